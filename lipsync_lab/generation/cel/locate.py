"""Where the mouth is: corners, gap, visibility and a confidence, by the network `mouth-locator-lab`.

The network looks at a crop that is a little larger than the face box. Its answers for the crop and for the mirrored
crop are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box, spans

if TYPE_CHECKING:
    from torch import nn

#: Parts of the face box that are added above, below, and on either side, as shares of its height and width.
ABOVE, BELOW, BESIDE = 0.0, 0.2, 0.12
#: Confidence at or above which a pose counts as right.
SURE = 0.5
#: Visibilities with which a mouth can be drawn.
DRAWABLE = ("visible", "profile")
_AT_ONCE = 64

Point = tuple[float, float]


@dataclass(frozen=True)
class MouthPose:
    """A mouth in a frame. Points are x, y in pixels of the frame.

    Attributes
    ----------
    centre : (float, float)
        Mean of the four points below.
    left, right : (float, float)
        Corners, named by their side of the picture. In profile one of them is the front of the lips.
    top, bottom : (float, float)
        Upper and lower edge of the gap between the lips: in its middle, in profile at the front.
    openness : float
        Height of the gap over the distance of the corners, cut to [0, 1].
    visibility : str
        "visible", "profile", "hidden" (by a hand or an object), "off-picture", or "no face" (the box shows no mouth).
    confidence : float
        Estimated probability that the pose is right: centre within 0.2 widths of the mouth, width within 25 %, and the
        mouth visible or in profile.
    """

    centre: Point
    left: Point
    right: Point
    top: Point
    bottom: Point
    openness: float
    visibility: str
    confidence: float

    @property
    def width(self) -> float:
        """Distance between the corners in pixels."""
        return float(np.hypot(self.right[0] - self.left[0], self.right[1] - self.left[1]))

    @property
    def angle(self) -> float:
        """Degrees by which the line from the left to the right corner points down."""
        return float(np.degrees(np.arctan2(self.right[1] - self.left[1], self.right[0] - self.left[0])))

    @property
    def drawable(self) -> bool:
        """Whether a mouth can be drawn here: it is visible or in profile, and the confidence is `SURE` at least."""
        return self.visibility in DRAWABLE and self.confidence >= SURE


def pose_of(points: np.ndarray, visibility: str, confidence: float) -> MouthPose:
    """Make a pose from its points, (4, 2): left, right, top, bottom."""
    width = float(np.hypot(*(points[1] - points[0])))
    gap = float(np.hypot(*(points[3] - points[2])))
    left, right, top, bottom = (tuple(map(float, point)) for point in points)
    centre = tuple(map(float, points.mean(0)))
    openness = min(gap / width, 1.0) if width > 0 else 0.0
    return MouthPose(centre, left, right, top, bottom, openness, visibility, float(confidence))


def locate(
    frames: Sequence[np.ndarray], boxes: Sequence[Box | None], *, network: nn.Module | None = None
) -> list[MouthPose | None]:
    """Locate the mouth of one face in each frame.

    Parameters
    ----------
    frames : sequence of ndarray, uint8, (H, W, 3)
        RGB.
    boxes : sequence of Box or None
        The face in each frame, in pixels; None without a face.
    network : MouthLocatorNet, optional
        In evaluation mode; the bundled one if not given.

    Returns
    -------
    list of MouthPose or None
        One per frame; None where there is no box.

    Raises
    ------
    ParameterError
        There are not as many boxes as frames.
    """
    if len(frames) != len(boxes):
        raise ParameterError(f"{len(frames)} frames need as many boxes, not {len(boxes)}")
    network = _bundled() if network is None else network
    poses: list[MouthPose | None] = [None] * len(frames)
    known = [number for number, box in enumerate(boxes) if box is not None and box.area > 0]
    for first in range(0, len(known), _AT_ONCE):
        numbers = known[first : first + _AT_ONCE]
        matrices = [_to_crop(boxes[number]) for number in numbers]
        crops = np.stack([_crop(frames[number], to) for number, to in zip(numbers, matrices, strict=True)])
        for number, matrix, located in zip(numbers, matrices, zip(*read(crops, network), strict=True), strict=True):
            height, width = frames[number].shape[:2]
            points = (located[0] - matrix[:, 2]) / matrix.diagonal()
            pose = pose_of(points, *located[1:])
            inside = 0 <= pose.centre[0] < width and 0 <= pose.centre[1] < height
            poses[number] = pose if inside or pose.visibility == "no face" else replace(pose, visibility="off-picture")
    return poses


def read(crops: np.ndarray, network: nn.Module) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Run the network on crops and on the mirrored crops.

    Parameters
    ----------
    crops : ndarray, uint8, (N, 64, 64, 3)
        RGB.
    network : MouthLocatorNet
        In evaluation mode.

    Returns
    -------
    points : ndarray, float64, (N, 4, 2)
        Pixels of the crop: left, right, top, bottom.
    visibility : list of str
    confidence : ndarray, float64, (N,)
    """
    import torch

    from lipsync_lab.models.mouth_locator import SIDE, VISIBILITIES

    device = next(network.parameters()).device
    both = np.concatenate([crops, crops[:, :, ::-1]])[..., ::-1]
    batch = torch.from_numpy(np.ascontiguousarray(both)).to(device).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        points, _, visibility, confidence = network(batch)
    straight, mirrored = points.double().cpu().numpy().reshape(2, len(crops), 4, 2)
    mirrored = np.stack([1 - mirrored[..., 0], mirrored[..., 1]], axis=-1)[:, [1, 0, 2, 3]]
    shares = visibility.softmax(1).cpu().numpy().reshape(2, len(crops), -1).mean(0)
    sure = confidence.sigmoid().double().cpu().numpy().reshape(2, -1).mean(0)
    return (straight + mirrored) / 2 * SIDE, [VISIBILITIES[best] for best in shares.argmax(1)], sure


def steady(
    poses: Sequence[MouthPose | None], held: Sequence[int], shots: Sequence[int] | None = None
) -> list[MouthPose | None]:
    """Keep the pose constant during holds.

    Parameters
    ----------
    poses : sequence of MouthPose or None
        Of `locate`.
    held : sequence of int
        First frame of the hold that each frame belongs to (`generation.holds.first_frames`).
    shots : sequence of int, optional
        Number of the shot of each frame; a hold also ends where it changes.

    Returns
    -------
    list of MouthPose or None
        In each hold the median of the points and of the confidence of its poses, and their most frequent visibility;
        None in a hold without any pose.
    """
    steadied: list[MouthPose | None] = [None] * len(poses)
    groups = np.asarray(held) if shots is None else np.asarray(held) * (max(shots, default=0) + 1) + np.asarray(shots)
    for start, stop in spans(np.ones(len(poses), bool), groups):
        known = [pose for pose in poses[start:stop] if pose is not None]
        if not known:
            continue
        points = np.median([astuple(pose)[1:5] for pose in known], axis=0)
        names = [pose.visibility for pose in known]
        usual = max(dict.fromkeys(names), key=names.count)
        pose = pose_of(points, usual, np.median([pose.confidence for pose in known]))
        steadied[start:stop] = [pose] * (stop - start)
    return steadied


def face_area(box: Box) -> Box:
    """The part of a frame that the network sees of a face: the box, enlarged."""
    return box.padded(ABOVE * box.height, BELOW * box.height, BESIDE * box.width, BESIDE * box.width)


def _to_crop(box: Box) -> np.ndarray:
    """Affine map, 2 x 3, from the frame to the crop of a face box."""
    from lipsync_lab.models.mouth_locator import SIDE

    area = face_area(box)
    across, down = SIDE / area.width, SIDE / area.height
    return np.array([[across, 0, -area.x1 * across], [0, down, -area.y1 * down]])


def _crop(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The crop, uint8 (64, 64, 3); a large face is shrunk by area averaging before."""
    import cv2

    from lipsync_lab.models.mouth_locator import SIDE

    shrink = min(1.0, 2 * float(max(matrix[0, 0], matrix[1, 1])))
    if shrink < 1:
        size = max(1, round(frame.shape[1] * shrink)), max(1, round(frame.shape[0] * shrink))
        real = size[0] / frame.shape[1], size[1] / frame.shape[0]
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        matrix = matrix / np.array([[real[0], 1, 1], [1, real[1], 1]])
    # samples lie in the middle of pixels
    matrix = matrix + np.array([[0, 0, 0.5 * matrix[0, 0] - 0.5], [0, 0, 0.5 * matrix[1, 1] - 0.5]])
    return cv2.warpAffine(frame, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@cache
def _bundled() -> nn.Module:
    from lipsync_lab.models import registry

    return registry.load(registry.DEFAULTS["mouth_locator"], "mouth_locator").model
