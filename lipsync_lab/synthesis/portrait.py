"""An animated portrait: the mouth timeline of the drawn characters drives a photograph, so that one sentence exists as
animation and as synthetic photo.

The portrait is scikit-image's `astronaut` (Eileen Collins, NASA, public domain), which its wheel contains. She
smiles with open lips. A smooth warp closes and opens the lips, and moves jaw and chin with the lower lip. Between the
lips, the teeth of the portrait stay fixed to the skull, in front of a painted cavity and tongue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel.shapes import REST, MouthShape
from lipsync_lab.synthesis.truth import MOUTH_POINTS, GroundTruth
from lipsync_lab.synthesis.visemes import Timeline, phoneme_at, pose_at

# Landmarks of the portrait, in its own 512 x 512 pixels (x, y). The smile's inner edges run from corner to corner.
_UPPER = (
    (203.3, 139.5), (206, 140.9), (208, 141.7), (212, 142.2), (216, 143.0), (220, 143.7), (224, 144.1), (228, 144.0),
    (232, 143.7), (236, 142.8), (240, 141.2), (244.6, 140.9),
)  # fmt: skip
_LOWER = (
    (203.3, 139.5), (208, 144.2), (211, 146.3), (213, 147.5), (216, 148.7), (219, 149.5), (222, 149.9), (226, 149.9),
    (230, 149.4), (233, 148.3), (236, 147.0), (240, 144.4), (243, 142.2), (244.6, 140.9),
)  # fmt: skip
_CENTER, _HALF = 224.0, 21.2  # of the smile
_CORNER = 140.2
_FACE = (176.0, 86.0, 274.0, 179.0)  # brow to chin, ear to ear
_LIPS = (3.6, 6.2)  # height of upper and lower lip in the middle
# Upper and lower lid of either eye, from corner to corner.
_EYES = (
    (((193, 101), (196, 99.5), (199, 98.3), (202, 97.7), (206, 98.0), (208, 99.3), (210, 101), (213, 103.5)),
     ((193, 101), (196, 103.2), (199, 104.2), (202, 104.7), (206, 104.5), (209, 103.9), (213, 103.5))),
    (((236, 104.6), (239, 102.6), (242, 101), (245, 100.2), (248, 100), (251, 100.6), (254, 102), (258, 104.5)),
     ((236, 104.6), (240, 105.4), (244, 106.2), (247, 106.5), (251, 106), (254, 105), (258, 104.5))),
)  # fmt: skip
_MOUTH_PATCH = (164, 124, 284, 200)
_EYES_PATCH = (184, 84, 264, 112)

_WORK = 2  # the patches are warped at this many pixels to one of the portrait
_CLOSED_LINE = 145.7  # where closed lips meet, in the middle
_WIDEST_GAP = 14.5
_PAUSE_BETWEEN_BLINKS = (1.8, 5.0)
_BLINK = 0.24


@dataclass(frozen=True)
class _Appearance:
    """Choices of a seed: crop and colour grading of the portrait, sway of the head, times of the blinks."""

    mirrored: bool
    zoom: float
    aspect: float
    offset: tuple[float, float]
    curve: np.ndarray
    sway: np.ndarray
    blinks: tuple[float, ...]


def frames(
    timeline: Timeline,
    *,
    fps: float = 25.0,
    size: tuple[int, int] = (256, 256),
    seed: int = 0,
    duration: float | None = None,
) -> Iterator[tuple[np.ndarray, GroundTruth]]:
    """Yield the frames of the speaking portrait.

    Parameters
    ----------
    timeline : Timeline
        From `visemes.timeline`.
    fps : float
        Frames a second.
    size : (int, int)
        Width and height in pixels.
    seed : int
        Seed of blinks and head motion. Seed 0 shows the portrait as it is; the others also grade, crop, mirror and
        distort it slightly.
    duration : float, optional
        Seconds; the timeline's own unless given. Beyond the timeline the mouth is at rest.

    Yields
    ------
    frame : ndarray, uint8, (height, width, 3)
        RGB.
    row : GroundTruth

    Raises
    ------
    ParameterError
        Size, frame rate or duration is not positive.
    MediaError
        scikit-image, which contains the portrait, is not installed.
    """
    width, height = size
    length = timeline.duration if duration is None else duration
    if min(width, height) < 16 or not fps > 0 or not length > 0:
        raise ParameterError(f"no film of {width} x {height} pixels, {fps} frames a second and {length} s can be made")
    return _frames(timeline, fps, size, _look(seed, length), round(length * fps))


def _frames(timeline, fps, size, look, count):
    portrait = _portrait()
    for frame in range(count):
        time = frame / fps
        pose = pose_at(timeline, time)
        matrix = _matrix(look, time, size)
        picture = _draw(portrait, pose, _lids(look, time), matrix, size)
        yield cv2.LUT(picture, look.curve), _truth(frame, time, pose, phoneme_at(timeline, time), matrix, size)


def still(pose: MouthShape = REST, *, size: tuple[int, int] = (256, 256), blink: float = 0.0) -> np.ndarray:
    """Return one picture of the portrait with a pose of the mouth.

    Parameters
    ----------
    pose : MouthShape
    size : (int, int)
        Width and height in pixels.
    blink : float
        0 for open eyes to 1 for closed eyes.

    Returns
    -------
    ndarray, uint8, (height, width, 3)
        RGB.
    """
    look = _look(0, 1.0)
    return _draw(_portrait(), pose, blink, _matrix(look, None, size), size)


@dataclass(frozen=True)
class _Portrait:
    source: np.ndarray
    large: np.ndarray
    teeth: np.ndarray


@cache
def _portrait() -> _Portrait:
    try:
        import skimage.data
    except ImportError as error:
        raise MediaError("the portrait is part of scikit-image: install the package scikit-image") from error
    source = skimage.data.astronaut()
    large = cv2.resize(source, None, fx=_WORK, fy=_WORK, interpolation=cv2.INTER_CUBIC)
    # The teeth on a patch of their own: lips are kept out by taking the nearest row that is tooth.
    x, y = _grid(_MOUTH_PATCH)
    upper, lower = np.interp(x, *_columns(_UPPER)) + 0.9, np.interp(x, *_columns(_LOWER)) - 0.9
    rows = np.clip(y, upper, np.maximum(lower, upper)).astype(np.float32)
    teeth = cv2.remap(source, x, rows, cv2.INTER_CUBIC).astype(np.float32)
    return _Portrait(source, large, teeth)


def _columns(points):
    return tuple(np.array(column, np.float64) for column in zip(*points, strict=True))


@cache
def _grid(patch) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y in pixels of the portrait for the pixels of an enlarged patch."""
    x1, y1, x2, y2 = patch
    x = (np.arange((x2 - x1) * _WORK) + 0.5) / _WORK - 0.5 + x1
    y = (np.arange((y2 - y1) * _WORK) + 0.5) / _WORK - 0.5 + y1
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return x, y


def _smooth(share):
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class _Lips:
    """Positions of the inner edges of the lips, in pixels of the portrait."""

    half: float
    corner: float
    middle: float
    gap: float
    raised: float

    @classmethod
    def of(cls, pose: MouthShape) -> _Lips:
        width = 0.66 + 0.48 * pose.width - 0.14 * max(pose.width - 0.5, 0) - 0.11 * pose.rounding - 0.07 * pose.openness
        gap = _WIDEST_GAP * pose.openness
        # A smile's corners are high; in speech they come down, and in rounding to the middle.
        corner = _CORNER + 2.0 + 3.0 * pose.rounding + 2.4 * pose.openness
        raised = min(gap * (0.08 + 0.4 * pose.teeth + 0.15 * pose.rounding), 2.4)
        return cls(_HALF * width, corner, _CLOSED_LINE + 1.3 * pose.rounding, gap, raised)

    def edges(self, across):
        """Upper and lower edge at `across`: -1 and 1 at the corners."""
        inside = np.clip(1 - across * across, 0, 1)
        line = self.corner + (self.middle - self.corner) * inside
        # Lower lips hang like a bow, upper ones are flatter.
        return line - self.raised * inside**0.7, line + (self.gap - self.raised) * inside**0.7


def _draw(portrait, pose, blink, matrix, size) -> np.ndarray:
    canvas = portrait.large.copy()
    _paste(canvas, _MOUTH_PATCH, _mouth(portrait, pose))
    if blink > 0:
        _paste(canvas, _EYES_PATCH, _eyes(portrait, blink))
    to_work = np.array([[1 / _WORK, 0, 0.5 / _WORK - 0.5], [0, 1 / _WORK, 0.5 / _WORK - 0.5], [0, 0, 1]])
    return cv2.warpAffine(canvas, matrix @ to_work, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _paste(canvas, patch, pixels) -> None:
    x1, y1, x2, y2 = (_WORK * edge for edge in patch)
    canvas[y1:y2, x1:x2] = pixels


def _mouth(portrait, pose) -> np.ndarray:
    """The patch round mouth and chin, warped and painted."""
    x, y = _grid(_MOUTH_PATCH)
    lips = _Lips.of(pose)
    away = x - _CENTER
    # Sideways: the corners go where the pose has them; nose, cheeks and chin stay.
    distance = np.abs(away)
    pull = (_HALF - lips.half) * np.minimum(distance / lips.half, 1) * (1 - _smooth((distance - lips.half) / 30))
    pull = np.sign(away) * pull
    x_from = x + pull * _smooth((y - 128) / 12) * _smooth((180 - y) / 28)
    across = away / lips.half
    upper, lower = lips.edges(across)

    # Up and down: each lip's edge comes from the smile's own edge, what lies between them is left out.
    beside = 1 - _smooth((distance - lips.half) / 26)
    columns = (x + pull)[0]
    clear = 0.8 * np.clip(1 - across**8, 0, 1)  # off the edge itself, whose pixels are half tooth
    from_upper, from_lower = (np.interp(columns, *_columns(edge))[None] for edge in (_UPPER, _LOWER))
    from_upper, from_lower = from_upper - clear, from_lower + clear
    above, below = np.maximum(upper - y, 0), np.maximum(y - lower, 0)
    lift = (from_upper - upper) * beside * (1 - _smooth(above / (upper - 130)))
    drop = (from_lower - lower) * beside
    middle_drop = 149.9 - (lips.middle + lips.gap - lips.raised)
    chin = 0.72 * middle_drop * (1 - _smooth((distance - 14) / 40))
    drop = drop + (chin - drop) * _smooth(below / 18)
    drop = drop * (1 - _smooth((y - 174) / 24))
    full = 0.4 * pose.rounding * beside
    drop = drop - full * below * np.exp(-below / 4)
    lift = lift + full * above * np.exp(-above / 3)
    y_from = y + np.where(y < (upper + lower) / 2, lift, drop)
    skin = cv2.remap(portrait.source, x_from, y_from.astype(np.float32), cv2.INTER_CUBIC).astype(np.float32)

    # Lips turn away from the light where they meet.
    inside = np.clip(1 - across * across, 0, 1)
    fold = np.exp(-(((above + below) / 0.9) ** 2)) * inside**0.3
    skin *= 1 - 0.45 * fold[..., None] * np.array([0.8, 1.0, 1.0], np.float32)

    if lips.gap > 0:
        cover = np.clip((y - upper) * _WORK + 0.5, 0, 1) * np.clip((lower - y) * _WORK + 0.5, 0, 1) * (inside > 0)
        cover = (cover * min(lips.gap, 1.0))[..., None]
        skin += (_cavity(portrait, pose, x, y, across, upper, lower) - skin) * cover
    return np.clip(skin, 0, 255).astype(np.uint8)


def _cavity(portrait, pose, x, y, across, upper, lower) -> np.ndarray:
    depth = _smooth((y - upper) / 9)[..., None]
    paint = np.array([66, 25, 24], np.float32) * (1 - depth) + np.array([50, 16, 16], np.float32) * depth
    # The tongue lies on the floor of the mouth, or rises to the teeth.
    floor = lower - 1.4 - 4.0 * pose.openness
    top = floor + (147.2 - floor) * pose.tongue + 3.0 * across * across
    tongue = _smooth((y - top) / 3.4) * _smooth((0.86 - np.abs(across)) * 4)
    shade = 0.72 + 0.28 * _smooth((y - top) / 6)
    groove = 1 - 0.16 * np.exp(-((across / 0.10) ** 2))
    paint = paint + (np.array([168, 84, 84], np.float32) * (shade * groove)[..., None] - paint) * tongue[..., None]
    # The row of teeth ends in an arch; pushed lips keep the light from it, a tongue that is up hides its lower part.
    arch = np.abs(x - (_CENTER - 1.5)) / 17.0
    teeth = _smooth((149.0 - 2.4 * pose.rounding - 3.4 * arch**2 - y) / 1.2 + 0.5) * _smooth((1.0 - arch) * 3.0)
    teeth *= 1 - tongue * _smooth((pose.tongue - 0.3) / 0.4)
    lit = np.array([0.95, 0.95, 0.95], np.float32) - pose.rounding * np.array([0.38, 0.46, 0.48], np.float32)
    paint = paint + (portrait.teeth * lit - paint) * teeth[..., None]
    # Lips shade what is behind them, most in the corners.
    light = (0.55 + 0.45 * _smooth((y - upper) / 2.5)) * (0.35 + 0.65 * _smooth((1 - np.abs(across)) * 2.2))
    return paint * light[..., None]


def _eyes(portrait, blink) -> np.ndarray:
    """The patch round the eyes with the upper lids down: the lid's own skin is drawn out over the eye."""
    x, y = _grid(_EYES_PATCH)
    y_from, cover = y, np.zeros_like(y)
    for top, bottom in _EYES:
        upper, lower = np.interp(x, *_columns(top)), np.interp(x, *_columns(bottom))
        lid = upper + blink * (lower + 0.3 - upper)
        above = np.maximum(lid - y, 0)
        inside = (x > top[0][0]) & (x < top[-1][0])
        # The lashes come down as they are; the skin above them is stretched, and taken from beyond their shade.
        stretched = np.clip((above - 1.2) / 10.8, 0, 1)
        beyond = 1.6 * blink * _smooth(above - 1.2) * (1 - stretched)
        y_from = np.where(inside & (above > 0), y - (lid - upper) * (1 - stretched) - beyond, y_from)
        cover = np.where(inside, np.clip((lid - y) * _WORK + 0.5, 0, 1), cover)
    opened = cv2.remap(portrait.source, x, y, cv2.INTER_CUBIC).astype(np.float32)
    closed = cv2.remap(portrait.source, x, y_from.astype(np.float32), cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(opened + (closed - opened) * cover[..., None], 0, 255).astype(np.uint8)


def _look(seed, duration) -> _Appearance:
    rng = np.random.default_rng([seed, 31])
    sway = np.stack([rng.uniform(0.05, 0.35, 8), rng.uniform(0, 2 * np.pi, 8)])
    blinks, time = [], rng.uniform(0.6, 2.5)
    while time < duration:
        blinks.append(float(time))
        time += rng.uniform(*_PAUSE_BETWEEN_BLINKS)
    levels = np.arange(256) / 255.0
    gain, gamma = np.ones(3), np.ones(3)
    mirrored, zoom, aspect, offset = False, 1.0, 1.0, (0.0, 0.0)
    if seed:
        gain = rng.uniform(0.82, 1.1) * rng.uniform(0.92, 1.06, 3)
        gamma = rng.uniform(0.8, 1.3) * rng.uniform(0.96, 1.04, 3)
        mirrored, zoom, aspect = bool(rng.integers(2)), rng.uniform(0.9, 1.5), rng.uniform(0.96, 1.04)
        offset = tuple(rng.uniform(-12, 12, 2) / zoom)
    curve = np.clip(255 * gain * levels[:, None] ** gamma, 0, 255).round().astype(np.uint8)[None]
    return _Appearance(mirrored, zoom, aspect, offset, curve, sway, tuple(blinks))


def _lids(look, time) -> float:
    """How far the lids are down at a time: quickly down, more slowly up."""
    for start in look.blinks:
        share = (time - start) / _BLINK
        if 0 <= share < 1:
            return float(_smooth(share / 0.35) if share < 0.45 else _smooth((1 - share) / 0.55))
    return 0.0


def _matrix(look, time, size) -> np.ndarray:
    """2 x 3: from the portrait's pixels to the frame's. `time` None stands still."""
    width, height = size
    slow = np.zeros(4)
    if time is not None:
        speed, phase = look.sway
        slow = np.sin(2 * np.pi * speed * time + phase).reshape(4, 2).mean(axis=1)
    scale = min(width, height) / 190.0 * look.zoom * (1 + 0.012 * slow[3])
    angle = np.deg2rad(1.6 * slow[2])
    # The head turns about the neck.
    pivot = np.array([_CENTER, 195.0])
    middle = np.array([_CENTER + look.offset[0], 118.0 + look.offset[1]])
    sides = np.diag([scale * look.aspect * (-1 if look.mirrored else 1), scale / look.aspect])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = sides @ turn
    shift = sides @ (pivot - middle + 1.3 * slow[:2]) + np.array([width, height]) / 2 - 0.5 - linear @ pivot
    return np.column_stack([linear, shift])


def _truth(frame, time, pose, phoneme, matrix, size) -> GroundTruth:
    lips = _Lips.of(pose)
    opened = lips.gap - lips.raised
    chin = 0.72 * (lips.middle + opened - 149.9)
    x1, y1, x2, y2 = _FACE
    face = _box((x1, y1, x2, y2 + chin), matrix, size)
    full = 1 + 0.3 * pose.rounding
    lip_box = (
        _CENTER - lips.half - 1,
        min(lips.middle - lips.raised - _LIPS[0] * full, lips.corner - 1.5),
        _CENTER + lips.half + 1,
        lips.middle + opened + _LIPS[1] * full,
    )
    mouth = _box(lip_box, matrix, size)
    middle = lips.middle + np.array([-lips.raised, opened])
    points = [(_CENTER - lips.half, lips.corner), (_CENTER + lips.half, lips.corner), *((_CENTER, y) for y in middle)]
    points = np.array(points) @ matrix[:, :2].T + matrix[:, 2] + 0.5
    points[:2] = points[points[:2, 0].argsort()]  # a mirrored portrait has its corners the other way round
    across, down = np.linalg.norm(matrix[:, 0]), np.linalg.norm(matrix[:, 1])
    return GroundTruth(
        frame=frame,
        time=time,
        **dict(zip(("face_x1", "face_y1", "face_x2", "face_y2"), face, strict=True)),
        **dict(zip(("mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"), mouth, strict=True)),
        **dict(zip(MOUTH_POINTS, points.ravel().tolist(), strict=True)),
        openness=pose.openness,
        openness_px=float(lips.gap * down),
        width_px=float(2 * lips.half * across),
        shape=pose.shape,
        phoneme=phoneme,
        drawing=frame,
        pose="front",
        yaw=0.0,
    )


def _box(box, matrix, size) -> tuple[float, float, float, float]:
    """Upright box round a moved one, cut to the frame."""
    x1, y1, x2, y2 = box
    corners = np.array([[x1, y1, 1], [x2, y1, 1], [x1, y2, 1], [x2, y2, 1]]) @ matrix.T + 0.5
    low, high = np.clip(corners.min(axis=0), 0, size), np.clip(corners.max(axis=0), 0, size)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
