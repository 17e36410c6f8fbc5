"""A clip as the pipeline sees it: shrunk, turned and cropped as asked, and played as long as is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import video
from lipsync_lab.errors import ParameterError
from lipsync_lab.settings import Settings

#: Frames read forwards at a time when a clip is played backwards.
_BLOCK = 48


@dataclass(frozen=True)
class Source:
    """Frames that can be read again and again.

    Attributes
    ----------
    name : str
        For messages and the ledger.
    fps : Fraction
    size : (width, height)
        Pixels of the clip's pictures as they are shown, before they are shrunk, turned and cropped.
    full_range : bool
        Whether the file's luma uses 0..255 instead of 16..235.
    read : callable
        ``read(start, stop)`` yields uint8 RGB frames (H, W, 3); ``stop`` may be None or lie beyond the end.
    expected : int or None
        Frames, as far as is known before reading them.
    identity : dict
        What the frames depend on: the key of the cache.
    """

    name: str
    fps: Fraction
    size: tuple[int, int]
    full_range: bool
    read: Callable[[int, int | None], Iterator[np.ndarray]]
    expected: int | None
    identity: dict[str, Any]


def from_file(path: str | Path, settings: Settings) -> Source:
    """A clip or a still picture on disk.

    Raises
    ------
    MediaError
        It cannot be read as pictures.
    """
    from lipsync_lab.files import sha256

    info = video.probe(path)
    still = info.still or settings.static
    view = {"resize_factor": settings.resize_factor, "rotate": settings.rotate, "crop": list(settings.crop)}

    def read(start: int, stop: int | None) -> Iterator[np.ndarray]:
        stop = 1 if still else stop
        for frame in video.frames(path, start=start, stop=stop):
            yield _viewed(frame.image, settings)

    return Source(
        name=str(path),
        fps=Fraction(settings.fps).limit_denominator(1001) if info.still else info.fps,
        size=(info.width, info.height),
        full_range=info.full_range,
        read=read,
        expected=1 if still else info.frames,
        identity={"sha256": sha256(path), "static": still, **view},
    )


def from_array(frames: np.ndarray, fps: float | Fraction, settings: Settings) -> Source:
    """Frames that are in memory.

    Parameters
    ----------
    frames : ndarray, uint8, (N, H, W, 3)
        RGB.
    fps : float or Fraction
        Frames a second.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        raise ParameterError(f"frames must be uint8 RGB of the shape N x H x W x 3, not {frames.dtype} {frames.shape}")
    frames = frames[:1] if settings.static else frames

    def read(start: int, stop: int | None) -> Iterator[np.ndarray]:
        return (_viewed(frame, settings) for frame in frames[start:stop])

    size = frames.shape[2], frames.shape[1]
    return Source("array", Fraction(fps).limit_denominator(1001), size, False, read, len(frames), {})


def _viewed(image: np.ndarray, settings: Settings) -> np.ndarray:
    import cv2

    if settings.resize_factor > 1:
        size = image.shape[1] // settings.resize_factor, image.shape[0] // settings.resize_factor
        if 0 in size:
            raise ParameterError(
                f"resize_factor {settings.resize_factor} leaves nothing of {image.shape[1]} x {image.shape[0]} pixels"
            )
        image = cv2.resize(image, size)
    if settings.rotate:
        image = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
    y1, y2, x1, x2 = settings.crop
    part = image[y1 : image.shape[0] if y2 == -1 else y2, x1 : image.shape[1] if x2 == -1 else x2]
    if not part.size:
        raise ParameterError(
            f"the crop {settings.crop} (y1, y2, x1, x2) leaves nothing of {image.shape[1]} x {image.shape[0]} pixels"
        )
    return part


def played(source: Source, frames: int, wanted: int, fill: str) -> Iterator[tuple[int, np.ndarray]]:
    """Play a clip for as long as is wanted.

    Parameters
    ----------
    source : Source
    frames : int
        Frames to use of it, from the start.
    wanted : int
        Frames to hand out.
    fill : {"loop", "hold", "pingpong"}
        What follows the last frame.

    Yields
    ------
    (int, ndarray)
        Number of the source frame, and the frame.
    """
    forward = partial(_forward, source)
    if frames == 1 or fill == "hold":
        given, last = 0, None
        for last in forward(0, min(frames, wanted)):
            given += 1
            yield last
        for _ in range(wanted - given):
            yield last
        return
    given = 0
    while given < wanted:
        passes = forward(0, frames) if fill == "loop" else _to_and_fro(forward, frames)
        for pair in passes:
            if given == wanted:
                return
            given += 1
            yield pair


def _forward(source: Source, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    return zip(range(start, stop), source.read(start, stop), strict=False)


def _to_and_fro(forward: Callable, frames: int) -> Iterator[tuple[int, np.ndarray]]:
    """Forwards, then backwards without showing either end twice."""
    yield from forward(0, frames)
    for stop in range(frames - 1, 1, -_BLOCK):
        yield from reversed(list(forward(max(1, stop - _BLOCK), stop)))
