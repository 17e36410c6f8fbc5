"""Artifacts that are injected into synthetic material, at a strength from 0 (none) to 1 (obvious to every viewer).

`response` validates the metrics with them. Each changes what its own metric measures and little else: an injected
boundary artifact is a step along the border and leaves the picture inside as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import cv2
import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import regions


@dataclass(frozen=True)
class Material:
    """Material that artifacts are injected into.

    Attributes
    ----------
    frames : ndarray, uint8, (N, H, W, 3)
        RGB.
    boxes : ndarray, float64, (N, 4)
        Boxes of the faces, in whole pixels inside the frame.
    mouths : ndarray, float64, (N, 4)
        The lips.
    drawings : ndarray, int, (N,)
        Number of the drawing that each frame shows.
    """

    frames: np.ndarray
    boxes: np.ndarray
    mouths: np.ndarray
    drawings: np.ndarray

    def __post_init__(self):
        count = len(self.frames)
        if self.frames.ndim != 4 or not len(self.boxes) == len(self.mouths) == len(self.drawings) == count:
            raise ParameterError(f"{count} frames (N, H, W, 3) need as many boxes, mouths and drawings")


def _of_each_frame(change: Callable[[Material, int, float, int], np.ndarray]) -> Callable[..., np.ndarray]:
    """An artifact of a clip from an artifact of one frame, ``change(material, row, strength, seed)``.

    The artifact returns frames, uint8 RGB (N, H, W, 3). It leaves frames without a box, and all at strength 0, as they
    are; a strength outside of 0 to 1 is a `ParameterError`.
    """

    @wraps(change)
    def inject(material: Material, strength: float, seed: int = 0) -> np.ndarray:
        if not 0 <= strength <= 1:
            raise ParameterError(f"an artifact of strength {strength} is not possible; it must be from 0 to 1")
        out = material.frames.copy()
        for row in np.flatnonzero(~np.isnan(material.boxes).any(axis=1)) if strength > 0 else ():
            out[row] = _whole(change(material, int(row), strength, seed))
        return out

    return inject


@_of_each_frame
def blur(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """The lower half of the box out of focus, up to 2.5 % of its width; as generators of 96 x 96 are."""
    frame, box = material.frames[row], _box(material, row)
    soft = cv2.GaussianBlur(frame, (0, 0), max(0.025 * strength * box.width, 1e-3), borderType=cv2.BORDER_REPLICATE)
    return _mixed(frame, soft, _soft(frame.shape, box))


@_of_each_frame
def boundary_step(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """A step of up to 60 levels along the border of the box, gone within a few pixels inwards."""
    box = _box(material, row)
    rows, columns = (np.arange(part.stop - part.start) for part in box.slices)
    depth = np.minimum(np.minimum(rows, rows[::-1])[:, None], np.minimum(columns, columns[::-1])[None, :])
    step = 60 * strength * np.exp(-depth / 1.5)[..., None]
    out = material.frames[row].astype(float)
    inner = out[box.slices]
    # away from the nearer end of the scale, where it would be clipped
    inner += np.where(inner > 127, -step, step)
    return out


@_of_each_frame
def hue(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """Another colour, up to 16 units of CIELAB away at the same lightness, with soft edges."""
    from skimage.color import lab2rgb, rgb2lab

    angle = np.random.default_rng([seed, 3]).uniform(0, 2 * np.pi)
    shift = 16 * strength * np.array([0, np.cos(angle), np.sin(angle)])
    box, out = _box(material, row), material.frames[row].astype(float)
    weight = _soft(out.shape, box)[box.slices][..., None]
    # clipped to the colours that RGB has
    out[box.slices] = 255 * lab2rgb(rgb2lab(material.frames[row][box.slices]) + weight * shift).clip(0, 1)
    return out


@_of_each_frame
def extra_colours(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """Up to three quarters of the lips in blotches, fixed through the clip, of two colours that it does not have."""
    noise = cv2.GaussianBlur(np.random.default_rng([seed, 4]).standard_normal((48, 48)), (0, 0), 4)
    order = noise.ravel().argsort().argsort().reshape(noise.shape) / noise.size
    colours = np.array([(60, 255, 60), (60, 80, 255)], float)
    out = material.frames[row].astype(float)
    lips = regions.inside(material.mouths[row], out.shape)
    if lips is not None:
        part = out[lips.slices]
        place = cv2.resize(order, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        colour = colours[(place * 8).astype(int) % 2]
        part[:] = np.where((place < 0.75 * strength)[..., None], colour, part)
    return out


@_of_each_frame
def erased_outlines(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """Outlines round the lips fade into their surroundings."""
    frame, box = material.frames[row], _box(material, row)
    size = max(5, 2 * round(0.05 * box.width) + 1)
    gone = cv2.medianBlur(cv2.morphologyEx(frame, cv2.MORPH_CLOSE, np.ones((size, size), np.uint8)), min(size, 7))
    weight = np.zeros(frame.shape[:2])
    weight[box.slices] = strength
    lips = regions.inside(material.mouths[row], frame.shape, *regions.CLEAR)
    if lips is not None:
        weight[lips.slices] = 0
    return _mixed(frame, gone, weight)


@_of_each_frame
def blended_mouths(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """Another mouth of the clip shows through the source's, half and half at full strength."""
    return _with_mouth_of(material, row, _unlike(material, row), 0.5 * strength)


@_of_each_frame
def skin_noise(material: Material, row: int, strength: float, seed: int) -> np.ndarray:
    """Soft noise in the lower half of the box, new in each frame, up to 7 levels."""
    frame, box = material.frames[row], _box(material, row)
    noise = np.random.default_rng([seed, row]).standard_normal(frame.shape[:2])
    noise = cv2.GaussianBlur(noise, (0, 0), 0.06 * box.width)
    noise *= 7 * strength / noise[box.slices].std()
    return frame + (noise * _soft(frame.shape, box))[..., None]


def mouth_a_frame(material: Material, strength: float, seed: int = 0) -> np.ndarray:
    """On that share of the frames that hold a drawing, another mouth than the one before. Frames."""
    holds = np.flatnonzero(np.r_[False, np.diff(material.drawings) == 0])
    chosen = np.random.default_rng([seed, 8]).permutation(holds)[: round(strength * len(holds))]
    # of three frames with one drawing, the middle one changes and the last changes back, unless it is chosen too
    other = np.zeros(len(material.frames), bool)
    for row in sorted(chosen):
        other[row] = not other[row - 1]
    out = material.frames.copy()
    for row in np.flatnonzero(other):
        out[row] = _whole(_with_mouth_of(material, row, _unlike(material, row), 1.0))
    return out


def dropped_boxes(material: Material, strength: float, seed: int = 0) -> np.ndarray:
    """Up to 80 % of the boxes are gone (NaN); a stronger artifact drops those of a weaker one too. Boxes, (N, 4)."""
    out, count = material.boxes.astype(float), round(0.8 * strength * len(material.boxes))
    out[np.random.default_rng([seed, 9]).permutation(len(out))[:count]] = np.nan
    return out


def offset(wave: np.ndarray, strength: float, seconds: float = 0.4, rate: int = 16_000) -> np.ndarray:
    """The sound comes late, by up to that many seconds, and silence before it; the length stays. Wave."""
    late = min(len(wave), round(strength * seconds * rate))
    return np.r_[np.zeros(late, wave.dtype), wave[: len(wave) - late]]


def _whole(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _box(material: Material, row: int) -> Box:
    return Box(*material.boxes[row].astype(int).tolist())


def _mixed(frame: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return frame + (other.astype(float) - frame) * weight[..., None]


def _soft(shape: tuple[int, ...], box: Box) -> np.ndarray:
    """1 well inside the lower half of the box, 0 outside of it and on its edge; float64 (H, W)."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    edge = 0.06 * box.width
    middle = (box.y1 + box.y2) / 2
    inward = np.minimum(np.minimum(x - box.x1, box.x2 - x), np.minimum(y - middle, box.y2 - y))
    return (inward / edge).clip(0, 1)


def _unlike(material: Material, row: int) -> int:
    """The frame whose mouth's height differs most from this one's."""
    tall = material.mouths[:, 3] - material.mouths[:, 1]
    return int(np.nanargmax(np.abs(tall - tall[row])))


def _with_mouth_of(material: Material, row: int, donor: int, weight: float) -> np.ndarray:
    """A frame with another one's mouth at the place of its own, in a soft oval that covers both."""
    frame, other = material.frames[row], material.frames[donor]
    own, theirs = Box(*material.mouths[row].tolist()), Box(*material.mouths[donor].tolist())
    move = np.array([[1, 0, own.center[0] - theirs.center[0]], [0, 1, own.center[1] - theirs.center[1]]])
    moved = cv2.warpAffine(other, move, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    wide, tall = (max(getattr(own, side), getattr(theirs, side)) / 2 for side in ("width", "height"))
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    far = np.hypot((x - own.center[0]) / (1.25 * wide), (y - own.center[1]) / (1.25 * tall))
    return _mixed(frame, moved, weight * ((1.2 - far) / 0.2).clip(0, 1))
