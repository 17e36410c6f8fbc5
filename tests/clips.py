"""Tiny clips made on the spot: a picture that moves, with a box for a face, and a voice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from lipsync_lab.media import video
from lipsync_lab.media.audio import Sound

WIDTH, HEIGHT = 128, 96


def pictures(frames: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Smooth coloured waves that move, with the frame's number as a bar of light; uint8 RGB (N, H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    out = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        waves = (np.sin(x / 17 + index / 5), np.cos(y / 13 - index / 7), np.sin((x + y) / 23 + index / 9))
        out[index] = np.stack([128 + 90 * wave for wave in waves], axis=2)
        out[index, :4] = 0
        out[index, :4, : 2 * (index + 1)] = 255
    return out


def number(frame: np.ndarray) -> int:
    """The frame's number, read back from its bar of light."""
    return round(float((frame[1, :, 0] > 127).sum()) / 2) - 1


def voice(seconds: float, rate: int = 16_000) -> np.ndarray:
    """Syllables: a tone that swells four times a second; float32 in [-1, 1]."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 220 * t) * np.abs(np.sin(2 * np.pi * 2 * t))).astype(np.float32)


def clip(path: Path, frames: int = 20, fps=25, *, sound: bool = True, **options) -> Path:
    wave = Sound.from_wave(voice(frames / float(fps))) if sound else None
    with video.Writer(path, fps=fps, sound=wave, **options) as writer:
        for image in pictures(frames):
            writer.write(image)
    return path


def wav(path: Path, seconds: float = 1.0) -> Path:
    soundfile.write(path, voice(seconds), 16_000)
    return path


def boxes(path: Path, rows: list, **more) -> Path:
    path.write_text(json.dumps({"frames": len(rows), "boxes": rows, **more}))
    return path


def read(path: Path) -> np.ndarray:
    return np.stack([frame.image for frame in video.frames(path)])
