"""Mel windows: which part of the voice each output frame's mouth is generated from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.media import audio
from lipsync_lab.settings import Settings


@dataclass(frozen=True)
class Voice:
    """A voice as a generator takes it.

    Attributes
    ----------
    mel : ndarray, float32, (80, columns)
        Mel spectrogram, 80 columns a second.
    samples : int
        Length at 16 kHz.
    """

    mel: np.ndarray
    samples: int

    @classmethod
    def from_wave(cls, wave: np.ndarray) -> Voice:
        """From a waveform: float32, (n,), mono, 16 kHz, in [-1, 1]."""
        return cls(audio.melspectrogram(wave), len(wave))

    @classmethod
    def from_file(cls, path: str | Path) -> Voice:
        """From any file with sound, of which the waveform is never in memory as a whole."""
        return cls(*audio.load_mel(path))

    @property
    def seconds(self) -> float:
        return self.samples / audio.SAMPLE_RATE


def window_starts(voice: Voice, fps: Fraction, settings: Settings) -> np.ndarray:
    """First mel column of each output frame's window, int64 (frames,).

    As many frames as the voice lasts, or, with `Settings.published_length`, as many as windows fit.

    Raises
    ------
    ParameterError
        The voice is shorter than one window (0.2 s).
    """
    step, columns = audio.MELS_PER_SECOND / float(fps), voice.mel.shape[1]
    lead = settings.audio_offset or 0
    if settings.published_length:
        starts = audio.window_starts(columns, float(fps))
        shifted = [int(max(0, index - lead) * step) for index in range(len(starts) - 1)]
        return np.array([*shifted, starts[-1]], np.int64)
    if columns < audio.MEL_WINDOW:
        raise ParameterError(f"the voice lasts {voice.seconds:.2f} s; a mouth needs 0.2 s at least")
    frames = max(1, math.floor(voice.samples * fps / audio.SAMPLE_RATE + Fraction(1, 2)))
    return np.array([math.floor((index - lead) * step) for index in range(frames)], np.int64)
