"""S3FD at any width: published weights or small ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.detection.base import Detection, at_detection_size, register
from lipsync_lab.geometry import Box

if TYPE_CHECKING:
    from torch import Tensor

#: Candidates below this are dropped before overlaps are resolved, as published; far below any useful threshold.
FLOOR = 0.05
#: Of two boxes that overlap by more than this (IoU), the better one stays, as published.
NMS_IOU = 0.3

#: Least height and width that the network takes, in pixels.
_LEAST = 64


@register("s3fd", names=("s3fd-lab", "s3fd"), suffixes=("",))
class S3FDDetector:
    """S3FD (Zhang et al. 2017, "S3FD: Single Shot Scale-invariant Face Detector") with weights by name or path.

    Parameters
    ----------
    weights : str or path
        A detector's name in `models.registry`, or a file.
    device : str
        Where it runs.
    """

    reads_pixels = True

    def __init__(self, weights: str | Path = "s3fd", device: str = "cpu"):
        from lipsync_lab.models import inference, registry

        loaded = registry.load(weights, "detector", device)
        self.name = loaded.name
        self.device = device
        self.identity: dict[str, Any] = {"detector": "s3fd", "sha256": loaded.sha256, "floor": FLOOR, "nms": NMS_IOU}
        self.path = None if loaded.name in registry.MODELS else loaded.path
        # small weights know faces up to the size of the squares that they were trained on
        self.longest_side = loaded.longest_side
        self.provenance = loaded.provenance
        self.model = inference.ready(loaded.model)

    def coarser(self) -> S3FDDetector:
        """In lower precision, by OpenVINO or by ncnn, where that is faster and near enough; see `inference.coarser`."""
        import torch

        from lipsync_lab.models import fast_s3fd, inference

        # its features, of values up to 255, may not fit into float16
        shapes = ((-1, 3, -1, -1),)
        converters = [fast_s3fd.compiled] if fast_s3fd.is_installed() else []
        model = inference.coarser(
            self.model, lambda network: _probe(network, self.device), shapes, torch.bfloat16, converters
        )
        if model is self.model:
            return self
        other = copy.copy(self)
        other.model = model
        other.identity = self.identity | {"precision": inference.precision(model)}
        return other

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Every candidate above `FLOOR` that no better one covers; see `Detector`."""
        if self.longest_side and max(frames.shape[1:3]) > self.longest_side:
            return at_detection_size(self, frames, first, self.longest_side)
        import torch

        from lipsync_lab.models import cuda, inference
        from lipsync_lab.models.s3fd import MEANS, decode

        # as published: the frame is RGB, and the means of BGR are subtracted
        pixels = cuda.upload(frames, self.device).permute(0, 3, 1, 2).float()
        # the network halves its input five times: what is smaller gets a rim of the mean colour
        rim = [max(0, _LEAST - side) for side in pixels.shape[:1:-1]]
        with torch.inference_mode():
            pixels = torch.nn.functional.pad(pixels - pixels.new_tensor(MEANS).view(1, 3, 1, 1), (0, rim[0], 0, rim[1]))
            pixels = pixels.to(inference.dtype(self.model))
            boxes = inference.in_parts(lambda batch: decode([head.float() for head in self.model(batch)]), pixels)
            # nearly all anchors are far below: what is left is little to copy from a device
            above = boxes[..., 4] > FLOOR
            rows, counts = cuda.download(boxes[above]), cuda.download(above.sum(dim=1))
        return [candidates(row) for row in np.split(rows, counts.cumsum())[:-1]]


def _probe(model: Callable, device: str) -> Tensor:
    """Boxes of all anchors, in pixels, for a picture of soft colours."""
    import torch

    from lipsync_lab.models import inference
    from lipsync_lab.models.s3fd import decode

    rise, along = torch.meshgrid(torch.linspace(-100, 100, 96), torch.linspace(-100, 100, 128), indexing="ij")
    picture = torch.stack((rise, along, (rise + along) / 2))[None].to(device, inference.dtype(model))
    return decode([head.float() for head in model(picture)])[..., :4]


def candidates(rows: np.ndarray, floor: float = FLOOR, iou: float = NMS_IOU) -> list[Detection]:
    """One frame's decoded anchors to candidates, best first.

    Parameters
    ----------
    rows : ndarray, float32, (anchors, 5)
        x1, y1, x2, y2, score, of `models.s3fd.decode`.
    floor, iou : float
        See `FLOOR`, `NMS_IOU`.
    """
    rows = rows[rows[:, 4] > floor]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    # non-maximum suppression with the published code's whole-pixel areas
    areas = (rows[:, 2] - rows[:, 0] + 1) * (rows[:, 3] - rows[:, 1] + 1)
    open_, kept = np.ones(len(rows), bool), []
    for best in range(len(rows)):
        if not open_[best]:
            continue
        kept.append(Detection(Box(*rows[best, :4].tolist()), float(rows[best, 4])))
        corner = np.maximum(rows[best, :2], rows[:, :2])
        size = np.minimum(rows[best, 2:4], rows[:, 2:4]) - corner + 1
        inner = size.clip(0).prod(axis=1)
        open_ &= inner <= iou * (areas[best] + areas - inner)
    return kept
