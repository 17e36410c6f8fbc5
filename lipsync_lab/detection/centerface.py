"""CenterFace: a network that marks the centres of faces in a heat map, with five landmarks, run by OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab.detection.base import Detection, register
from lipsync_lab.geometry import Box

#: Centres below this score are dropped; far below any useful threshold.
FLOOR = 0.05
#: Of two boxes that overlap by more than this (IoU), the better one stays, as published.
NMS_IOU = 0.3

#: Pixels of the network's input that a cell of its heat map stands for, and of which the input's sides are multiples.
_CELL, _MULTIPLE = 4, 32
#: The network's outputs: heat map, logarithm of height and width in cells, offset of the centre, landmarks.
_OUTPUTS = ("537", "538", "539", "540")


@register("centerface", names=("centerface",))
class CenterFace:
    """CenterFace (Xu et al. 2020, arXiv 1911.03599), trained on photographs.

    Parameters
    ----------
    name : str
        Its name in `models.registry`.
    device : str
        Without effect: OpenCV runs the network on the CPU.
    """

    reads_pixels = True
    path = None

    def __init__(self, name: str | Path = "centerface", device: str = "cpu"):
        import cv2

        from lipsync_lab.models import registry

        self.name = str(name)
        self.identity: dict[str, Any] = {
            "detector": "centerface",
            "sha256": registry.MODELS[self.name].sha256,
            "floor": FLOOR,
            "nms": NMS_IOU,
        }
        self.model = cv2.dnn.readNetFromONNX(str(registry.verified(self.name)))

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Every candidate above `FLOOR` that no better one covers, with landmarks; see `Detector`."""
        import cv2

        height, width = frames.shape[1:3]
        # as published, the frame is stretched to whole steps of the network
        size = tuple(-(-side // _MULTIPLE) * _MULTIPLE for side in (width, height))
        batch = []
        for frame in frames:
            self.model.setInput(cv2.dnn.blobFromImage(frame, size=size))
            rows = decode(*(output[0] for output in self.model.forward(_OUTPUTS)))
            rows[:, :-1] *= np.tile([width / size[0], height / size[1]], 7)
            batch.append(_candidates(rows, width, height))
        return batch


def decode(heat: np.ndarray, scale: np.ndarray, offset: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The network's outputs for one frame to candidates, overlapping ones too.

    Parameters
    ----------
    heat, scale, offset, landmarks : ndarray, float32, (1 | 2 | 2 | 10, H / 4, W / 4)
        The two of `scale` and `offset` and the pairs of `landmarks` are y, x.

    Returns
    -------
    ndarray, float64, (N, 15)
        x1, y1, x2, y2, five landmarks x, y, and the score, in pixels of the network's input.
    """
    y, x = np.nonzero(heat[0] > FLOOR)
    size = np.exp(scale[::-1, y, x].T.astype(float)) * _CELL
    # as published, a corner outside the frame is moved to its edge before the rest is counted from it
    corner = ((np.stack([x, y], 1) + offset[::-1, y, x].T + 0.5) * _CELL - size / 2).clip(0)
    points = landmarks[:, y, x].T.reshape(-1, 5, 2)[..., ::-1] * size[:, None] + corner[:, None]
    return np.concatenate([corner, corner + size, points.reshape(-1, 10), heat[0, y, x, None]], axis=1)


def _candidates(rows: np.ndarray, width: int, height: int) -> list[Detection]:
    """Rows of `decode` in pixels of a frame to candidates, best first, cut to the frame."""
    import cv2

    boxes = [Box(*row[:4]).clipped(width, height) for row in rows.tolist()]
    corners = [(box.x1, box.y1, box.width, box.height) for box in boxes]
    kept = cv2.dnn.NMSBoxes(corners, rows[:, 14].tolist(), FLOOR, NMS_IOU) if corners else ()
    return [
        Detection(boxes[index], float(rows[index, 14]), tuple(map(tuple, rows[index, 4:14].reshape(5, 2).tolist())))
        for index in kept
        if boxes[index].area
    ]
