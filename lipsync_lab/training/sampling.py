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
    """Augment the faces of a clip: mirroring, a smooth warp, colours; the same for all faces.

    The warp is zoom, stretch, rotation, shift and a bend of a few pixels, so that one speaker has jaws, lips and
    noses of many shapes. It is one interpolation, bicubic, since a generator learns the softness of its targets.

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
    if rng.random() < 0.8:
        source = _warp(rng)
        faces = np.stack([cv2.remap(face, source, None, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE) for face in faces])
        boxes = np.stack([_warped_box(box, source) for box in boxes])
    if rng.random() < 0.6:
        faces = cv2.LUT(faces.reshape(-1, FACE_SIZE, 3), colour_table(rng, cast=0.25)).reshape(faces.shape)
    return faces, boxes.astype(np.float32)


def _warp(rng: np.random.Generator) -> np.ndarray:
    """Return a random warp: the place in the face, in pixel centres, of each pixel of the result, (96, 96, 2)."""
    import cv2

    turn, (x, y) = np.radians(rng.uniform(-6, 6)), rng.uniform(0.84, 1.03, 2)
    matrix = np.array([[x * np.cos(turn), -x * np.sin(turn)], [y * np.sin(turn), y * np.cos(turn)]])
    at = np.arange(FACE_SIZE) - (FACE_SIZE - 1) / 2
    plain = np.stack(np.meshgrid(at, at), axis=2) @ matrix.T + (FACE_SIZE - 1) / 2 + rng.uniform(-5, 5, 2)
    bend = cv2.resize(rng.normal(0, 1.6, (5, 5, 2)), (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)
    return (plain + bend).astype(np.float32)


def _warped_box(box: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the bounds of a box, (4,), after a warp."""
    import cv2

    sides = [np.linspace(box[start], box[start + 2], 5) - 0.5 for start in (0, 1)]
    wanted = np.stack(np.meshgrid(*sides), axis=2).astype(np.float32)
    at = wanted
    for _ in range(8):  # the warp is near the identity, so that this inverts it
        at = at + wanted - cv2.remap(source, at, None, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        at = at.clip(-0.5, FACE_SIZE - 0.5)
    return np.concatenate([at.min(axis=(0, 1)), at.max(axis=(0, 1))]) + 0.5


def colour_table(rng: np.random.Generator, cast: float = 0.1) -> np.ndarray:
    """Return a random table of gain and gamma for `cv2.LUT`, uint8, (1, 256, 3); `cast`: spread of the channels."""
    gain, gamma = (
        rng.uniform(0.75, 1.2) * rng.uniform(1 - cast, 1 + cast, 3),
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
