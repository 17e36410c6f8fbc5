"""How much a file may ask for, in one place.

A file can ask for much more than it holds: one timestamp three hours ahead stands for 270,000 held pictures. Every
reader takes its limits from here.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

from lipsync_lab import files
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for; the environment variable of a limit is its name after `LIPSYNC_LAB_`, in capitals.

    Attributes
    ----------
    max_gap : float
        Seconds, 10 by default. Longest gap between two pictures, or in the sound, that is filled: with the picture
        before the gap, or with silence.
    max_pixels : float
        Width times height of the picture, 100 million by default.
    max_frames : float
        Frames of a clip's constant timeline, 1 million by default.
    max_seconds : float
        Length of a sound, 6 hours by default.
    max_streams : float
        Tracks of a media file, of any kind, 100 by default.
    max_text : float
        Bytes of a file of text (JSON, CSV, XML) that is read, 100 million by default.
    max_header : float
        Bytes of the header of a checkpoint, or of the pickle that lists its tensors, 20 million by default.

    Raises
    ------
    ParameterError
        A limit that is not a positive number.
    """

    max_gap: float = 10.0
    max_pixels: float = 100_000_000
    max_frames: float = 1_000_000
    max_seconds: float = 6 * 3600
    max_streams: float = 100
    max_text: float = 100_000_000
    max_header: float = 20_000_000

    def __post_init__(self):
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ParameterError(f"{name} is {value}; give a positive number")

    @classmethod
    def from_environment(cls) -> Limits:
        """The defaults, with what the environment variables `LIPSYNC_LAB_MAX_GAP` and so on set instead."""
        values = {}
        for field in fields(cls):
            name = _variable(field.name)
            if text := os.environ.get(name):
                try:
                    values[field.name] = float(text)
                except ValueError:
                    raise ParameterError(f"{name} is {text!r}; give a positive number") from None
        return cls(**values)

    def check(
        self, path: str | Path, name: str, value: float, what: str, error: type[LipsyncError] = MediaError
    ) -> None:
        """Raise `error` if `value`, which a file asks for and `what` describes, is above the limit `name`."""
        limit = getattr(self, name)
        if value > limit:
            raise error(
                f"{path}: {what.format(f'{math.ceil(value):,}')}, and the limit is {limit:,.0f}; is that meant? set "
                f"{_variable(name)}={math.ceil(value)} to read it"
            )

    def check_pixels(self, path: str | Path, width: int, height: int) -> None:
        """Raise `MediaError` for a picture with more pixels than the limit."""
        self.check(path, "max_pixels", width * height, "a picture of {} pixels")

    def gap_error(self, path: str | Path, what: str, start: Fraction | float, length: Fraction | float) -> MediaError:
        """The error for a gap of `length` seconds that begins `start` seconds after clip zero."""
        return MediaError(
            f"{path}: {what} is missing for {float(length):.1f} s from {float(start):.2f} s on, and the limit is "
            f"{self.max_gap:g} s; cut the file there, or set {_variable('max_gap')}={math.ceil(length)} to fill the gap"
        )


def checked(path: str | Path, error: type[LipsyncError] = MediaError) -> Path:
    """The path of a file of text that may be read: absent, or a regular file of at most `Limits.max_text` bytes.

    Raises
    ------
    LipsyncError
        `error`: it is a folder, a pipe or the like, or larger.
    """
    path = Path(path)
    if kind := files.kind(path):
        raise error(f"{path}: is {kind}; name a file")
    with contextlib.suppress(OSError, ValueError):
        Limits.from_environment().check(path, "max_text", path.stat().st_size, "a text of {} bytes", error)
    return path


def _variable(field: str) -> str:
    return f"LIPSYNC_LAB_{field.upper()}"
