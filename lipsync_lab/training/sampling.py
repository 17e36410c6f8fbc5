"""Sampling of clips and frames for batches, and augmentation of faces and mel windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.media.audio import MAX_ABS
from lipsync_lab.training.clips import Clip

#: Frames in a window of the sync expert.
WINDOW = 5


class ClipSampler:
    """Draw clips at random: first the domain by its share, then a clip of that domain.

    Parameters
    ----------
    clips : sequence of Clip
        Clips that are too short for a window and a reference are left out.
    mix : mapping of domain -> share
        Domains without clips are left out.

    Raises
    ------
    ParameterError
        No clip is left.
    """

    def __init__(self, clips: Sequence[Clip], mix: Mapping[str, float]):
        long = [clip for clip in clips if len(clip) >= 2 * WINDOW]
        by_domain = {domain: [clip for clip in long if clip.domain == domain] for domain in mix}
        self.domains = {domain: members for domain, members in by_domain.items() if members and mix[domain] > 0}
        if not self.domains:
            raise ParameterError(
                f"there are no clips of {', '.join(mix)} with {2 * WINDOW} frames or more to learn from"
            )
        shares = np.array([mix[domain] for domain in self.domains])
        self.shares = shares / shares.sum()

    def clip(self, rng: np.random.Generator) -> Clip:
        """Return a random clip."""
        members = list(self.domains.values())[rng.choice(len(self.shares), p=self.shares)]
        return members[rng.integers(len(members))]


def off_sync(starts: np.ndarray, mels: np.ndarray, least_shift: int, least_difference: float) -> np.ndarray:
    """Return which windows of a clip are off sync with which sounds.

    Parameters
    ----------
    starts : ndarray of int, (K,)
        First frames of windows of one clip.
    mels : ndarray, (K, 80, 16)
        Their mel windows.
    least_shift : int
        Frames.
    least_difference : float
        Root mean square difference of mel values: two windows of silence are not off sync with each other.

    Returns
    -------
    ndarray of bool, (K, K)
        Symmetric; False on the diagonal.
    """
    apart = np.abs(starts[:, None] - starts[None]) >= max(least_shift, 1)
    difference = np.sqrt(np.mean((mels[:, None] - mels[None]) ** 2, axis=(2, 3)))
    return apart & (difference >= least_difference)


def reference(rng: np.random.Generator, count: int, start: int, frames: int = WINDOW) -> int:
    """Return the first frame of any other window of a clip of `count` frames than that at `start`, as published."""
    other = int(rng.integers(count - frames))
    return other + (other >= start)


def augment_faces(faces: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Augment the faces of a clip: mirroring, zoom and shift of the crop, colours; the same for all faces.

    Parameters
    ----------
    faces : ndarray, uint8, (N, 96, 96, 3)
    boxes : ndarray, float32, (N, 4)
        Boxes of the mouths (x1, y1, x2, y2).

    Returns
    -------
    (faces, boxes)
        Of the same shapes; new arrays.
    """
    import cv2

    faces, boxes = np.ascontiguousarray(faces), np.array(boxes, np.float32)
    if rng.random() < 0.5:
        faces = np.ascontiguousarray(faces[:, :, ::-1])
        boxes = np.stack([FACE_SIZE - boxes[:, 2], boxes[:, 1], FACE_SIZE - boxes[:, 0], boxes[:, 3]], axis=1)
    if rng.random() < 0.5:
        width, height = rng.uniform(0.86, 1.0, 2) * FACE_SIZE
        x, y = rng.random() * (FACE_SIZE - width), rng.random() * (FACE_SIZE - height)
        scale = np.array([FACE_SIZE / width, FACE_SIZE / height])
        # in pixel centres: the left edge of the part becomes the left edge of the crop
        shift = scale * (0.5 - np.array([x, y])) - 0.5
        matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
        size = (FACE_SIZE, FACE_SIZE)
        faces = np.stack([cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE) for face in faces])
        boxes = (boxes - np.tile([x, y], 2)) * np.tile(scale, 2)
    if rng.random() < 0.6:
        faces = cv2.LUT(faces.reshape(-1, FACE_SIZE, 3), colour_table(rng)).reshape(faces.shape)
    return faces, boxes.astype(np.float32)


def colour_table(rng: np.random.Generator) -> np.ndarray:
    """Return a random table of gain and gamma for `cv2.LUT`, uint8, (1, 256, 3)."""
    gain, gamma = (
        rng.uniform(0.75, 1.2) * rng.uniform(0.9, 1.1, 3),
        rng.uniform(0.75, 1.35) * rng.uniform(0.95, 1.05, 3),
    )
    levels = np.arange(256)[:, None] / 255
    return np.clip(255 * gain * levels**gamma, 0, 255).round().astype(np.uint8)[None]


def augment_mels(mels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment the mel windows of a clip, the same for all windows.

    Vocal tract length perturbation by up to a tenth (Jaitly and Hinton 2013), spectral tilt, and gain of up to 6 dB.
    Silence is unchanged.

    Parameters
    ----------
    mels : ndarray, float32, (N, 80, 16)

    Returns
    -------
    ndarray, float32, (N, 80, 16)
        A new array.
    """
    bands = np.arange(mels.shape[1])
    if rng.random() < 0.7:
        at = np.minimum(bands * rng.uniform(0.9, 1.1), bands[-1])
        low = np.minimum(at.astype(int), bands[-1] - 1)
        share = (at - low).astype(np.float32)[:, None]
        mels = mels[:, low] * (1 - share) + mels[:, low + 1] * share
    tilt = rng.uniform(-0.4, 0.4) * (bands / bands[-1] - 0.5)
    shift = (rng.uniform(-0.48, 0.48) + tilt).astype(np.float32)[:, None]
    return np.where(mels > -MAX_ABS, np.clip(mels + shift, -MAX_ABS, MAX_ABS), mels)
