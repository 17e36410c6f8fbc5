"""Small synthetic material for the tests of training, made on the spot: clips, pictures, films and tasks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.audio import Sound
from lipsync_lab.models.syncnet import SyncNetColor
from lipsync_lab.models.wav2lip import Wav2Lip
from lipsync_lab.training import (
    clips as layout,
)
from lipsync_lab.training import (
    detector,
    discriminator,
    expert,
    generator,
    loop,
    mouth_openness,
    render,
    restorer,
)
from lipsync_lab.training.recipes import (
    DetectorRecipe,
    DiscriminatorRecipe,
    GeneratorRecipe,
    MouthOpennessRecipe,
    RestorerRecipe,
    Schedule,
    SyncExpertRecipe,
)


def schedule(steps: int, lr: float = 3e-3, **more) -> Schedule:
    return Schedule(steps, lr, **{"warmup": 2, "log_every": 2, "check_every": 1000} | more)


def made_clip(
    seed: int, frames: int = 30, domain: str = "animation", speaker: str | None = None, first: int = 0
) -> layout.Clip:
    """A face whose mouth is a dark ellipse as high as its sound is loud: enough to learn from, and quick."""
    rng = np.random.default_rng(seed)
    gap = np.abs(np.convolve(rng.standard_normal(frames), np.ones(3) / 3, "same")) * 14
    gap[gap < 3] = 0
    faces = np.empty((frames, 96, 96, 3), np.uint8)
    faces[:] = rng.integers(120, 220, 3)
    for face, height in zip(faces, gap, strict=True):
        cv2.circle(face, (32, 36), 6, (40, 40, 60), -1)
        cv2.circle(face, (64, 36), 6, (40, 40, 60), -1)
        cv2.ellipse(face, (48, 74), (16, max(round(height / 2), 1)), 0, 0, 360, (70, 20, 30), -1)
    columns = int(np.ceil((first + frames) * 3.2)) + 16
    loud = np.interp(np.arange(columns) / 3.2 - first, np.arange(frames), gap, left=0, right=0)
    # pitch wanders too, so that no two moments sound alike
    tone = 40 + 25 * np.sin(np.arange(columns) / 5 + seed)
    mel = loud / 7 * np.exp(-(((np.arange(80)[:, None] - tone) / 12) ** 2)) - 4
    box = np.stack([np.full(frames, 32), 74 - gap / 2, np.full(frames, 64), 74 + gap / 2], axis=1)
    return layout.Clip(
        faces,
        mel.astype(np.float32).clip(-4, 4),
        first,
        domain,
        speaker or f"character {seed}",
        "tone",
        (gap / 14).astype(np.float32),
        gap.astype(np.float32),
        box.astype(np.float32),
    )


def made_picture(seed: int, faces: int = 1) -> render.Picture:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 200, (144, 192, 3)).astype(np.uint8)
    boxes = []
    for place in range(faces):
        side = int(rng.integers(30, 60))
        x, y = int(rng.integers(0, 90 - side) + 96 * (place % 2)), int(rng.integers(0, 144 - side))
        pixels[y : y + side, x : x + side] = (240, 200, 60)
        pixels[y + side // 4 : y + side // 3, x + side // 4 : x + 3 * side // 4] = 10
        boxes.append(Box(x, y, x + side, y + side))
    return render.Picture(pixels, tuple(boxes))


# -------------------------------------------------------------------------------------------------- layout and shards


def write_film(path: Path, cut: int, frames: int, fps: int = 25) -> np.ndarray:
    """Two flat shots with a bright square where `FixedBox` looks, and a rising tone; returns the tone."""
    wave = (0.3 * np.sin((np.arange(frames * 16_000 // fps) / 150) ** 2)).astype(np.float32)
    with video.Writer(path, fps=fps, sound=Sound.from_wave(wave), codec="ffv1") as film:
        for number in range(frames):
            image = np.full((120, 160, 3), 30 if number < cut else 170, np.uint8)
            image[30:90, 40:100] = (200, 3 * number, 90)
            film.write(image)
    return wave


# ----------------------------------------------------------------------------------------- everything can be learnt


class Softened(torch.nn.Module):
    """A generator whose faces are their references without detail."""

    def forward(self, mels, faces):
        return torch.nn.functional.avg_pool2d(faces[:, 3:], 5, 1, 2, count_include_pad=False)


def toy_tasks(clips) -> dict[str, loop.Task]:
    """One tiny task of each kind."""
    pictures = [made_picture(seed) for seed in range(4)]
    adversarial = {"adversarial": 0.07, "sync_from": 0.0, "discriminator_width": 0.05, "faces": 5}
    torch.manual_seed(0)
    return {
        "detector": detector.DetectorTask(DetectorRecipe(schedule(8), 0.07, batch=2, side=96), pictures, pictures[:2]),
        "sync_expert": expert.SyncExpertTask(
            SyncExpertRecipe(schedule(14, 6e-3), 0.07, clips=2, windows=4), clips, clips[:1]
        ),
        "generator": generator.GeneratorTask(
            GeneratorRecipe(schedule(16, 3e-2), 0.05, faces=2, sync=0.0), clips[:2], clips[:1]
        ),
        "gan": generator.GeneratorTask(
            GeneratorRecipe(schedule(8, 3e-2), 0.04, **adversarial), clips[:2], clips[:1], SyncNetColor(0.05)
        ),
        "discriminator": discriminator.DiscriminatorTask(
            DiscriminatorRecipe(schedule(16, 4e-3), 0.07, faces=2), clips, clips[:1], Wav2Lip(0.05)
        ),
        "restorer": restorer.RestorerTask(
            RestorerRecipe(schedule(16, 4e-3), 0.25, faces=6, discriminator_width=0.05), clips, clips[:1], Softened()
        ),
        "mouth_openness": mouth_openness.MouthOpennessTask(
            MouthOpennessRecipe(schedule(12), width=0.25, faces=8), clips, clips[:1]
        ),
    }
