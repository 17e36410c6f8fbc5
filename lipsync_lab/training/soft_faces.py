"""Soft faces, and sources with other mouths, for the training of the mouth restorer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipsync_lab.models.restorer import HALF
from lipsync_lab.training.clips import Clip

#: Largest mean difference of the upper halves of twins in the same pose, in grey levels.
SAME = 1.5


def degraded(face: np.ndarray, further: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a face as soft as a generator's.

    Parameters
    ----------
    face : ndarray, uint8, (96, 96, 3)
    further : ndarray, uint8, (N, 96, 96, 3)
        Other frames of the clip.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, uint8, (96, 96, 3)
        A mean with some of the further frames, a blur or a loss of resolution, less contrast, a little noise.
    """
    import cv2

    out = face.astype(np.float32)
    if rng.random() < 0.6:
        used = further[: rng.integers(1, len(further) + 1)]
        share = rng.uniform(0.15, 0.5)
        out = (1 - share) * out + share * used.mean(axis=0)
    if rng.random() < 0.75:
        out = cv2.GaussianBlur(out, (0, 0), sigmaX=rng.uniform(0.4, 2.4), sigmaY=rng.uniform(0.4, 2.4))
    else:
        small = (int(96 / rng.uniform(1.5, 4)),) * 2
        out = cv2.resize(cv2.resize(out, small, interpolation=cv2.INTER_AREA), (96, 96), interpolation=cv2.INTER_CUBIC)
    mean = cv2.GaussianBlur(out, (0, 0), 6)
    out = mean + (out - mean) * rng.uniform(0.7, 1.0)
    out += rng.normal(0, rng.uniform(0, 2), out.shape)
    return out.clip(0, 255).round().astype(np.uint8)


def twin_of(twin: Clip | None, clip: Clip, at: int) -> tuple[Clip, int] | None:
    """Return the twin and its frame that shows the same pose as a frame of a clip; None if it has none.

    The pose is the same if the upper halves are, up to `SAME` grey levels: part of the acting follows the speech.
    """
    if twin is None:
        return None
    other = clip.first + at - twin.first
    if not 0 <= other < len(twin):
        return None
    upper = (np.asarray(each.faces[number][:HALF], np.int16) for each, number in ((clip, at), (twin, other)))
    return (twin, other) if np.abs(np.subtract(*upper)).mean() < SAME else None


def twins(clips: Sequence[Clip]) -> dict[int, Clip]:
    """Return the twin of each clip that has one, by its `id`: the other clip of the same character."""
    by_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.domain != "live_action":
            by_speaker.setdefault(clip.speaker, []).append(clip)
    pairs = [members for members in by_speaker.values() if len(members) == 2]
    return {id(clip): other for pair in pairs for clip, other in (pair, pair[::-1])}


def joined(box: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the box around two boxes, float32 (4,)."""
    return np.concatenate((np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:]))).astype(np.float32)


def with_mouth(face: np.ndarray, other: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a face with the mouth of another one in an ellipse around a box, which fades over some pixels.

    Parameters
    ----------
    face, other : ndarray, uint8, (96, 96, 3)
    box : ndarray, (4,)
        Around both mouths.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, uint8, (96, 96, 3)
    """
    centre, half = (box[2:] + box[:2]) / 2, (box[2:] - box[:2]) / 2 + rng.uniform(2, 7, 2)
    y, x = np.mgrid[:96, :96] + 0.5
    # 1 at the middle of the fading edge
    distance = np.hypot((x - centre[0]) / half[0], (y - centre[1]) / half[1])
    weight = ((1 - distance) * half.min() / rng.uniform(3, 7) + 0.5).clip(0, 1)[..., None]
    return (face + weight * (other.astype(np.float32) - face)).round().astype(np.uint8)
