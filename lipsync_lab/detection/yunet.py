"""YuNet: a network of 75,000 parameters that proposes faces with five landmarks, run by OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab.detection.base import Detection, register
from lipsync_lab.geometry import Box

#: Candidates below this score are dropped before overlaps are resolved; far below any useful threshold.
FLOOR = 0.05
#: Of two boxes that overlap by more than this (IoU), the better one stays: OpenCV's default.
NMS_IOU = 0.3
#: Candidates that enter the suppression of overlaps: OpenCV's default.
TOP = 5000


@register("yunet", names=("yunet",))
class YuNet:
    """YuNet (Wu, Peng, Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector"), trained on photographs.

    Parameters
    ----------
    name : str
        Its name in `models.registry`.
    device : str
        Without effect: OpenCV runs the network on the CPU.
    """

    reads_pixels = True
    path = None

    def __init__(self, name: str | Path = "yunet", device: str = "cpu"):
        import cv2

        from lipsync_lab.models import registry

        weights = registry.verified(str(name))
        self.name = str(name)
        self.identity: dict[str, Any] = {
            "detector": "yunet",
            "sha256": registry.MODELS[self.name].sha256,
            "floor": FLOOR,
            "nms": NMS_IOU,
        }
        # OpenCV 5 warns on stderr that its new engine ignores the default target
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self.model = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), FLOOR, NMS_IOU, TOP)
        finally:
            cv2.utils.logging.setLogLevel(level)

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Every candidate above `FLOOR` that no better one covers, with landmarks; see `Detector`."""
        self.model.setInputSize((frames.shape[2], frames.shape[1]))
        # the network takes BGR
        return [_candidates(self.model.detect(np.ascontiguousarray(frame[..., ::-1]))[1]) for frame in frames]


def _candidates(rows: np.ndarray | None) -> list[Detection]:
    """OpenCV's rows (x, y, width, height, five landmarks, score), best first; None where there is no candidate."""
    rows = np.empty((0, 15)) if rows is None else rows[np.argsort(-rows[:, 14], kind="stable")].astype(float)
    return [
        Detection(Box.from_xywh(row[:4]), row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True)))
        for row in rows.tolist()
    ]
