"""Cascades of local binary patterns: small detectors that need no download and no network.

scikit-image carries one for frontal photographed faces (Liao et al. 2007, "Learning multi-scale block local binary
patterns for face recognition"); nagadomi's `lbpcascade_animeface.xml` has the same format. OpenCV's own reader of
such files, `CascadeClassifier`, is gone in OpenCV 5 and is not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import files, limits
from lipsync_lab.detection.base import Detection, register
from lipsync_lab.errors import DetectionError
from lipsync_lab.geometry import Box

#: Ratio between one window size and the next.
SCALE = 1.1
#: Smallest and largest face that is searched for, as a share of the frame's shorter side.
SMALLEST, LARGEST = 0.12, 1.0
#: Windows that must agree for the score 0.5: OpenCV's customary `minNeighbors`.
NEIGHBOURS = 3
#: Windows that overlap by this (IoU) belong to the same face.
SAME_FACE = 0.4

_ANIME_CASCADE = "lbpcascade_animeface.xml"


class LBPCascade:
    """A cascade read by scikit-image.

    Parameters
    ----------
    path : path
        An OpenCV cascade of local binary patterns (`.xml`).
    name : str, optional
        The name of a cascade that needs no path, see `detection.load`.
    """

    reads_pixels = True

    def __init__(self, path: str | Path, name: str | None = None):
        from skimage.feature import Cascade

        path = Path(path)
        if not path.is_file():
            raise DetectionError(f"{path}: no such cascade; check the path")
        text = limits.checked(path, DetectionError).read_text(encoding="utf-8", errors="replace")
        # scikit-image's reader accesses invalid memory on files of another kind, so the kind is checked first
        if "<cascade" not in text or "LBP" not in text:
            raise DetectionError(f"{path}: not an LBP cascade as OpenCV writes them; Haar cascades are not supported")
        self.name, self.path = name or path.stem, None if name else path
        self.identity: dict[str, Any] = {
            "detector": "lbp",
            "sha256": files.sha256(path),
            "scale": SCALE,
            "sizes": [SMALLEST, LARGEST],
            "neighbours": NEIGHBOURS,
            "same": SAME_FACE,
        }
        self._cascade = Cascade(str(path))

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Groups of agreeing windows; see `Detector`.

        The score of n windows is n / (n + 3): a cascade gives no probability, and more windows agree on a face
        than on a pattern of the wallpaper.
        """
        return [self._candidates(frame) for frame in frames]

    def _candidates(self, frame: np.ndarray) -> list[Detection]:
        side = min(frame.shape[:2])
        window = max(self._cascade.window_width, self._cascade.window_height)
        if side <= window:
            return []
        windows = self._cascade.detect_multi_scale(
            img=np.ascontiguousarray(frame),
            scale_factor=SCALE,
            step_ratio=1,
            min_size=(max(window, int(SMALLEST * side)),) * 2,
            max_size=(int(LARGEST * side),) * 2,
            # raw windows: scikit-image merges without telling how many it merged
            min_neighbor_number=1,
            intersection_score_threshold=1.1,
        )
        return _grouped([Box.from_xywh((w["c"], w["r"], w["width"], w["height"])) for w in windows])


@register("lbp", names=("lbp", "anime-lbp"), suffixes=(".xml",))
def open_cascade(name: str | Path, device: str = "cpu") -> LBPCascade:
    """A cascade by name or path; it always runs on the CPU."""
    if name == "lbp":
        from skimage.data import lbp_frontal_face_cascade_filename

        return LBPCascade(lbp_frontal_face_cascade_filename(), name)
    if name == "anime-lbp":
        from lipsync_lab.models import registry

        path = registry.folder() / _ANIME_CASCADE
        if not path.is_file():
            raise DetectionError(
                f"{path}: the anime cascade is not there; put {_ANIME_CASCADE} of nagadomi/lbpcascade_animeface "
                "into that folder, or give its path as the detector"
            )
        return LBPCascade(path, name)
    return LBPCascade(name)


def _grouped(boxes: list[Box]) -> list[Detection]:
    """Windows that overlap, averaged into candidates, best first."""
    groups: list[list[Box]] = []
    for box in boxes:
        for group in groups:
            if box.iou(_mean(group)) >= SAME_FACE:
                group.append(box)
                break
        else:
            groups.append([box])
    candidates = [Detection(_mean(group), len(group) / (len(group) + NEIGHBOURS)) for group in groups]
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _mean(boxes: list[Box]) -> Box:
    return Box(*np.mean([tuple(box) for box in boxes], axis=0).tolist())
