"""One box for every frame: the published `--box`, for a clip in which no detector finds the face."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsync_lab.detection.base import Detection
from lipsync_lab.errors import DetectionError
from lipsync_lab.geometry import Box


class FixedBox:
    """The same box in every frame, with score 1. A person gave it, so its provenance is "manual"."""

    name = "fixed"
    looks = False
    path = None

    def __init__(self, box: Box):
        if box.area == 0:
            raise DetectionError(
                f"the box {tuple(box)} (x1, y1, x2, y2) has no area; the order on the command line is y1 y2 x1 x2"
            )
        self.box = box
        self.identity: dict[str, Any] = {"detector": self.name, "box": list(box)}

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """The box, cut to the frame; see `Detector`."""
        box = self.box.clipped(frames.shape[2], frames.shape[1])
        if box.area == 0:
            raise DetectionError(
                f"the box {tuple(self.box)} lies outside the frame of {frames.shape[2]} x {frames.shape[1]} pixels"
            )
        return [[Detection(box, 1.0)] for _ in frames]
