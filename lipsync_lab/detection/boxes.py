"""Boxes in place of a detector: those of a `detections.json`, or one box for every frame (the published `--box`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import files
from lipsync_lab.detection.base import Detection, register
from lipsync_lab.detection.detections import Detections, read_detections
from lipsync_lab.errors import DetectionError
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import View


class FixedBox:
    """The same box in every frame, with score 1. A person gave it, so its provenance is "manual"."""

    name = "fixed"
    reads_pixels = False
    path = None

    def __init__(self, box: Box):
        if box.area == 0:
            raise DetectionError(
                f"the box {tuple(box)} (x1, y1, x2, y2) has no area; the order of --box is Y1 Y2 X1 X2"
            )
        self.box = box
        self.identity: dict[str, Any] = {"detector": self.name, "box": list(box)}

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """The box, cut to the frame; see `Detector`."""
        box = self.box.clipped(frames.shape[2], frames.shape[1])
        if box.area == 0:
            raise DetectionError(
                f"the box {tuple(self.box)} (x1, y1, x2, y2) lies outside the frame of {frames.shape[2]} x "
                f"{frames.shape[1]} pixels; the order of --box is Y1 Y2 X1 X2 (top, bottom, left, right)"
            )
        return [[Detection(box, 1.0)] for _ in frames]


class Recorded:
    """The candidates of earlier detections.

    Parameters
    ----------
    detections : Detections
    path : path
        Where they were read from, for messages.

    Attributes
    ----------
    name : str
        Names the detector that proposed the candidates, as far as known, and the file.
    outside : dict of int to float
        Frames from which boxes were dropped since they lie wholly outside the frame, with the best score of those.
    """

    reads_pixels = False

    def __init__(self, detections: Detections, path: str | Path = "detections.json"):
        self.detections = detections
        self.path = Path(path)
        self.outside: dict[int, float] = {}
        self.identity: dict[str, Any] = {"detector": "recorded"}
        made_by = detections.detector or {}
        # boxes that were read and written again still come from the first detector
        origin = made_by.get("origin") if made_by.get("detector") == "recorded" else made_by
        if origin:
            self.identity["origin"] = origin
        source = origin and (origin.get("name") or origin.get("detector"))
        self.name = f"recorded{f' from {source}' if source else ''}, by file {Path(path).name}"

    @classmethod
    def read(cls, path: str | Path) -> Recorded:
        """From a `detections.json`; raises `DetectionError` for anything else."""
        recorded = cls(read_detections(path), path)
        recorded.identity["sha256"] = files.sha256(path)
        return recorded

    def in_view(self, view: View) -> Recorded:
        """The same boxes in the pixels of a view's frames, without those that lie wholly outside them."""
        detections = self.detections.in_view(view, self.path)
        rows = [[each for each in row if each.box.clipped(*view.size).area > 0] for row in detections.candidates]
        manual = {n: box for n, box in detections.manual.items() if box is None or box.clipped(*view.size).area > 0}
        fitted = Recorded(replace(detections, candidates=tuple(rows), manual=manual), self.path)
        fitted.outside = {
            number: max(each.score for each in before if each not in after)
            for number, (before, after) in enumerate(zip(detections.candidates, rows, strict=True))
            if len(after) < len(before)
        }
        return fitted

    def is_of_another_clip(self, sha256: str | None) -> bool:
        """Whether the boxes were recorded from a clip with other content, as far as both are known."""
        known = (self.detections.clip or {}).get("sha256")
        return bool(known and sha256 and known != sha256)

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """The recorded candidates of these frames; see `Detector`."""
        held, needed = len(self.detections), first + len(frames)
        if needed > held:
            raise DetectionError(
                f"{self.path}: holds boxes for {held} frames, the clip has at least {needed}; "
                "give the clip that they were recorded from"
            )
        detections = self.detections.scaled_to((frames.shape[2], frames.shape[1]), self.path)
        return list(detections.candidates[first : first + len(frames)])


@register("recorded", suffixes=(".json",))
def open_recorded(path: str | Path, device: str = "cpu") -> Recorded:
    return Recorded.read(path)
