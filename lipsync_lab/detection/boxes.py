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


class Recorded:
    """The candidates of a record.

    Parameters
    ----------
    record : Detections
    path : path
        Where it was read from, for messages.

    Attributes
    ----------
    name : str
        Names the detector that made the record, as far as known, and the record's file.
    outside : dict of int to float
        Frames from which boxes were dropped since they lie wholly outside the frame, with the best score of those.
    """

    reads_pixels = False

    def __init__(self, record: Detections, path: str | Path = "detections.json"):
        self.record = record
        self.path = Path(path)
        self.outside: dict[int, float] = {}
        self.identity: dict[str, Any] = {"detector": "recorded"}
        made_by = record.detector or {}
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
        record = self.record.in_view(view, self.path)
        rows = [[found for found in row if found.box.clipped(*view.size).area > 0] for row in record.candidates]
        manual = {n: box for n, box in record.manual.items() if box is None or box.clipped(*view.size).area > 0}
        fitted = Recorded(replace(record, candidates=tuple(rows), manual=manual), self.path)
        fitted.outside = {
            number: max(found.score for found in before if found not in after)
            for number, (before, after) in enumerate(zip(record.candidates, rows, strict=True))
            if len(after) < len(before)
        }
        return fitted

    def is_of_another_clip(self, sha256: str | None) -> bool:
        """Whether the boxes were recorded from a clip with other content, as far as both are known."""
        known = (self.record.clip or {}).get("sha256")
        return bool(known and sha256 and known != sha256)

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """The recorded candidates of these frames; see `Detector`."""
        if first + len(frames) > len(self.record):
            raise DetectionError(
                f"{self.path}: holds boxes for {len(self.record)} frames, the clip has at least {first + len(frames)}; "
                "give the clip that they were recorded from"
            )
        record = self.record.scaled_to((frames.shape[2], frames.shape[1]), self.path)
        return list(record.candidates[first : first + len(frames)])


@register("recorded", suffixes=(".json",))
def open_recorded(path: str | Path, device: str = "cpu") -> Recorded:
    return Recorded.read(path)
