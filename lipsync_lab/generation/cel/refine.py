"""A pose put right by the ink: the line of a closed mouth that the locator placed beside it.

The locator takes the shadow under the lip for the lower lip where it is as dark as the mouth: the pose then lies
between the two, on skin, and the mouth would be drawn below the one that stays. Where the gap of a pose is mostly skin,
the widest piece of ink near it is the mouth. Where the gap is ink, the piece that it belongs to says how high the mouth
is, and how a nearly closed one is tilted.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsync_lab.generation.cel.erase import inked
from lipsync_lab.generation.cel.locate import MouthPose, pose_of
from lipsync_lab.geometry import Box

#: Share of the contrast of the mouth's line that ink has: a blush beside it has less.
_CONTRAST = 0.4
#: Share of the gap that is ink at or above which the pose is of an open mouth.
_OPEN = 0.5
#: Where the mouth may be, in widths: along the mouth, and above and below its gap.
_ALONG, _ABOVE, _BELOW = 0.85, 0.28, 0.15
#: Least width of a mouth in widths of the pose; height over width of a piece that is not a line; least height of a gap.
_WIDE, _TALL, _GAP = 0.5, 0.6, 0.12
#: Openness and height, in widths, below which a mouth is flat enough to have the tilt of its ink; height that lips add.
_NEARLY, _FLAT, _LIPS = 0.2, 0.4, 0.22
#: Openness below which, and confidence above which, a mouth is closed although its ink is no line, as painted lips.
_CLOSED = 0.04, 0.95
#: Share of a piece that may lie beyond the mouth, as a shadow at its corner does.
_BEYOND = 0.1
#: Difference of openness that is too small to change a pose for it.
_MORE = 0.08
#: CIELAB distance within which the colours inside a piece are those of one thick line.
_ONE = 15.0


def refined(frame: np.ndarray, pose: MouthPose, face: Box | None = None) -> MouthPose:
    """The pose on the line of its mouth; the same pose where the mouth is open or no line is near.

    Parameters
    ----------
    frame : ndarray, uint8, (H, W, 3)
        RGB.
    pose : MouthPose
    face : Box, optional
        See `erase.erase`.
    """
    ink, along, across, lab = inked(frame, pose, _CONTRAST, face)
    gap = 0.5 * pose.openness
    inner = (along / 0.35) ** 2 + (across / max(0.7 * gap, 0.03)) ** 2 < 1
    if inner.any() and ink[inner].mean() > _OPEN and gap > 0.04:
        return _as_high_as_its_ink(pose, ink, inner, along, across)
    there = ink & (np.abs(along) < _ALONG) & (across > -(gap + _ABOVE)) & (across < gap + _BELOW)
    count, labels = cv2.connectedComponents(there.astype(np.uint8), connectivity=8)
    best, width = None, _WIDE
    for label in range(1, count):
        piece = labels == label
        left, right = np.percentile(along[piece], (1, 99))
        low, high = np.percentile(across[piece], (2, 98))
        middle = abs(left + right) / 2
        # of two lines, the wider; at the same width the nearer
        worth = right - left - 0.5 * middle - 0.3 * abs(low + high) / 2
        if worth > width and high - low < _TALL * (right - left):
            best, width = piece, worth
    if best is None:
        return pose
    closed = pose.openness < _CLOSED[0] and pose.confidence > _CLOSED[1]
    return _on(pose, along[best], across[best], closed or _is_line(best, lab))


def _as_high_as_its_ink(pose: MouthPose, ink, inner, along, across) -> MouthPose:
    """An open pose with the height of the piece of ink in its gap, if that piece does not go on beyond the mouth."""
    _, labels = cv2.connectedComponents(ink.astype(np.uint8), connectivity=8)
    inside = labels[inner & ink]
    piece = labels == np.bincount(inside).argmax()
    beyond = (np.abs(along) > _ALONG) | (across < -0.55) | (across > 0.55 + 0.5 * pose.openness)
    if (piece & beyond).sum() > _BEYOND * piece.sum():
        return pose
    slope = 0.0
    if pose.openness < _NEARLY:
        slope, level = np.polyfit(along[piece], across[piece], 1)
        left, right = np.percentile(along[piece], (1, 99))
        if np.percentile(np.abs(across[piece] - slope * along[piece] - level), 95) > _FLAT / 2 or right - left < _WIDE:
            slope = 0.0
    middle = piece & (np.abs(along) < 0.25)
    low, high = np.percentile(across[middle] - slope * along[middle], (2, 98))
    gap = max(high - low - _LIPS, pose.openness)
    if gap < pose.openness + _MORE and slope == 0:
        return pose
    half, middle, corners = 0.5 * gap, 0.5 * (low + high), -_corners_above(pose)
    points = [(-0.5, corners - 0.5 * slope), (0.5, corners + 0.5 * slope), (0, middle - half), (0, middle + half)]
    return _from(pose, points)


def _corners_above(pose: MouthPose) -> float:
    """How far, in widths, the middle between the corners lies above the centre."""
    x, y = np.subtract(pose.centre, np.mean([pose.left, pose.right], axis=0))
    angle = np.radians(pose.angle)
    return float(y * np.cos(angle) - x * np.sin(angle)) / max(pose.width, 6.0)


def _from(pose: MouthPose, points: list[tuple[float, float]]) -> MouthPose:
    """A pose from points along and across another one, in its widths from its centre."""
    angle = np.radians(pose.angle)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    placed = np.asarray(points) @ turned * max(pose.width, 6.0) + np.asarray(pose.centre)
    return pose_of(placed, pose.visibility, pose.confidence)


def _is_line(piece: np.ndarray, lab: np.ndarray) -> bool:
    """Whether a piece has one colour apart from its edge, as a thick line has and an open mouth has not."""
    solid = lab[cv2.erode(piece.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0]
    if len(solid) < 4:
        return True
    return bool(np.percentile(np.linalg.norm(solid - np.median(solid, axis=0), axis=1), 85) < _ONE)


def _on(pose: MouthPose, along: np.ndarray, across: np.ndarray, is_line: bool) -> MouthPose:
    """The pose whose corners are the ends of a piece of ink; closed if that is a line."""
    slope, level = np.polyfit(along, across, 1)
    left, right = np.percentile(along, (1, 99))
    middle = np.abs(along - (left + right) / 2) < 0.2 * (right - left)
    rest = across[middle] - slope * along[middle] - level if middle.any() else np.zeros(1)
    low, high = np.percentile(rest, (5, 95))
    if is_line or high - low < _GAP * (right - left):
        low = high = (low + high) / 2
    at = (left + right) / 2
    points = [(left, slope * left + level), (right, slope * right + level),
              (at, slope * at + level + low), (at, slope * at + level + high)]  # fmt: skip
    return _from(pose, points)
