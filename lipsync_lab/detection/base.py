"""The protocol of detectors, their registry, and detection at another size than the clip's.

A detector is one file in this package. It registers itself with the names that a user can ask for::

    @register("yunet", names=("yunet",), suffixes=(".onnx",))
    class YuNet:
        reads_pixels = True
        def __init__(self, weights, device="cpu"): ...
        def detect(self, frames, first=0): ...

`--help`, the explorer's menu and the contract test read the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lipsync_lab.geometry import Box
from lipsync_lab.plugins import Registry

#: All detectors; `register` is the decorator that adds one.
REGISTRY = Registry()
register = REGISTRY.register


@dataclass(frozen=True)
class Detection:
    """A candidate.

    Attributes
    ----------
    box : Box
        In pixels of the frame.
    score : float
        0 to 1.
    landmarks : tuple of (x, y)
        In pixels of the frame: the eyes, the tip of the nose and the corners of the mouth, each pair from left to right
        in the picture of a frontal face. Empty for a detector without landmarks.
    detector : str
        Which detector proposed it, of a detector that asks several; else empty.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...] = ()
    detector: str = ""

    def moved(self, move: Callable[[Box], Box]) -> Detection:
        """The candidate with its box and landmarks mapped into another frame."""
        points = (move(Box(x, y, x, y)) for x, y in self.landmarks)
        return replace(self, box=move(self.box), landmarks=tuple((point.x1, point.y1) for point in points))


class Detector(Protocol):
    """Proposes faces in frames.

    Attributes
    ----------
    name : str
        Name in messages and tables.
    identity : dict
        Everything that its candidates depend on besides the frames (hash of the weights, settings), as JSON: the key
        of the cache.
    reads_pixels : bool
        Whether it reads the pixels. False for boxes that a person gives or that a file holds.
    path : Path or None
        A user's own file of weights, a cascade or boxes; None for a detector that is known by its name.
    """

    name: str
    identity: dict[str, Any]
    reads_pixels: bool
    path: Path | None

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Propose candidates.

        Parameters
        ----------
        frames : ndarray, uint8, (N, H, W, 3)
            RGB.
        first : int
            Number in the clip of the first of these frames.

        Returns
        -------
        list of list of Detection
            One list a frame, best score first; empty where there is no candidate. Boxes in pixels, half-open.
        """
        ...


def at_detection_size(
    detector: Detector, frames: np.ndarray, first: int, longest_side: int | None
) -> list[list[Detection]]:
    """Detect on frames shrunk to a longest side; boxes are in pixels of the frames before that.

    Parameters
    ----------
    detector : Detector
    frames : ndarray, uint8, (N, H, W, 3)
        RGB.
    first : int
        Number in the clip of the first of these frames.
    longest_side : int or None
        Pixels; smaller frames are not enlarged, and None leaves all as they are.
    """
    if not detector.reads_pixels or longest_side is None or max(frames.shape[1:3]) <= longest_side:
        return detector.detect(frames, first)
    small = np.stack([shrunk(frame, longest_side) for frame in frames])
    return enlarged(detector.detect(small, first), small.shape[1:3], frames.shape[1:3])


def shrunk(frame: np.ndarray, longest_side: int | None) -> np.ndarray:
    """A frame, uint8 RGB (H, W, 3), with a longest side of so many pixels at most; itself where it has no more."""
    import cv2

    height, width = frame.shape[:2]
    if longest_side is None or max(height, width) <= longest_side:
        return frame
    scale = longest_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def enlarged(rows: list[list[Detection]], small: tuple[int, int], size: tuple[int, int]) -> list[list[Detection]]:
    """Candidates in frames of `small` (height, width), in pixels of frames of `size`."""
    if small == size:
        return rows
    x, y = size[1] / small[1], size[0] / small[0]
    return [[candidate.moved(lambda box: box.scaled(x, y)) for candidate in row] for row in rows]
