"""Boxes found before, or drawn by a person: a `detections.json` in the place of a detector."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab.detection import record as records
from lipsync_lab.detection.base import Detection
from lipsync_lab.errors import DetectionError


class Recorded:
    """Hands out what a record holds.

    Parameters
    ----------
    record : Record
    path : path
        Where it was read from, for messages.
    """

    name = "recorded"
    looks = False

    def __init__(self, record: records.Record, path: str | Path = "detections.json"):
        self.record = record
        self.path = path
        self.identity: dict[str, Any] = {"detector": self.name}

    @classmethod
    def read(cls, path: str | Path) -> Recorded:
        """From a `detections.json`; raises `DetectionError` for anything else."""
        recorded = cls(records.read(path), path)
        recorded.identity["sha256"] = sha256(Path(path).read_bytes()).hexdigest()
        return recorded

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """The recorded candidates of these frames; see `Detector`."""
        if first + len(frames) > len(self.record):
            raise DetectionError(
                f"{self.path}: holds boxes for {len(self.record)} frames, the clip has at least {first + len(frames)}; "
                "give the clip that they were recorded from"
            )
        record = self.record.scaled_to((frames.shape[2], frames.shape[1]), self.path)
        return list(record.candidates[first : first + len(frames)])
