"""What every detector is, and how it is run at another size than the clip's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lipsync_lab.geometry import Box


@dataclass(frozen=True)
class Detection:
    """A candidate: where, and how sure, 0 to 1."""

    box: Box
    score: float


class Detector(Protocol):
    """Finds candidates in frames.

    Attributes
    ----------
    name : str
        What the ledger calls it.
    identity : dict
        All that its answers depend on besides the frames (weights' hash, settings): the key of the cache.
    looks : bool
        False for one that answers without looking at the pixels (boxes given by a person or read from a file).
    """

    name: str
    identity: dict[str, Any]
    looks: bool

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Find all candidates.

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


def at_analysis_size(
    detector: Detector, frames: np.ndarray, first: int, longest_side: int | None
) -> list[list[Detection]]:
    """Detect on frames shrunk to a longest side, with boxes in the pixels of the frames as they were.

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
    height, width = frames.shape[1:3]
    if not detector.looks or longest_side is None or max(height, width) <= longest_side:
        return detector.detect(frames, first)
    import cv2

    scale = longest_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
    x, y = width / size[0], height / size[1]
    return [[Detection(found.box.scaled(x, y), found.score) for found in row] for row in detector.detect(small, first)]
