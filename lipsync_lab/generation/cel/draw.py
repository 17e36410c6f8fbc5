"""Drawing a mouth of the chart in the line and the colours of the clip.

The shape is given by numbers (`shapes.MouthShape`), the place by a pose, the look by a `Pen`: the width and colour of
the line, the colours inside, and how soft the lines of the clip are. A mouth is drawn with `SUPERSAMPLE` pixels for one
of the frame and reduced by area averaging.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync_lab.generation.cel.shapes import MouthShape
from lipsync_lab.geometry import Box

SUPERSAMPLE = 4
#: Gaps smaller than this, in widths of the mouth at rest, are a closed line.
_CLOSED = 0.03
_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class LowerLip:
    """The separate line under a mouth, or the shadow of its lip: its colour, and its length, its distance from the gap
    and its height in widths at rest."""

    colour: Colour
    length: float
    below: float
    height: float = 0.0


@dataclass(frozen=True)
class Pen:
    """The look of the mouths of a clip. Colours are RGB, 0 to 255.

    Attributes
    ----------
    line : Colour
    thickness : float
        Of the line, in pixels.
    inner, teeth, tongue : Colour
        Colours inside the mouth.
    softness : float
        Standard deviation in pixels of the blur of the clip's lines.
    lip : LowerLip or None
        None where the clip draws none.
    """

    line: Colour
    thickness: float
    inner: Colour
    teeth: Colour
    tongue: Colour
    softness: float = 0.0
    lip: LowerLip | None = None


@dataclass(frozen=True)
class Seat:
    """Where a mouth is drawn, in pixels of the frame.

    Attributes
    ----------
    x, y : float
        Middle of the line between the corners.
    width : float
        Between the corners at rest.
    gap : float
        Height of the widest gap.
    angle : float
        Degrees that the line from the left to the right corner points down.
    turn : float
        -1 (a profile that looks to the left) to 1 (to the right), 0 in front: the far half of the mouth is shorter, and
        the mouth opens along the face rather than across the line between its corners.
    smile : float
        Rise of the corners over the middle, in widths.
    """

    x: float
    y: float
    width: float
    gap: float
    angle: float = 0.0
    turn: float = 0.0
    smile: float = 0.0


def drawn(shape: MouthShape, seat: Seat, pen: Pen, box: Box) -> np.ndarray:
    """Draw a mouth.

    Parameters
    ----------
    shape : MouthShape
    seat : Seat
    pen : Pen
    box : Box
        Part of the frame.

    Returns
    -------
    ndarray, float32, (h, w, 4)
        RGB, 0 to 255, premultiplied by alpha, and alpha, 0 to 1; of the size of `box`.
    """
    size = box.height * SUPERSAMPLE, box.width * SUPERSAMPLE
    upper, lower, gap = _opening(shape, seat)
    to = _placed(seat, box)
    edge = np.concatenate([upper, lower[::-1]])
    colour, alpha = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    thickness = pen.thickness * SUPERSAMPLE
    if gap > 0:
        inside = _fill(size, to(edge))
        _paint(colour, alpha, inside, pen.inner)
        if shape.tongue > 0.05:
            _paint(colour, alpha, np.minimum(inside, _fill(size, to(_tongue(upper, lower, shape.tongue)))), pen.tongue)
        if shape.teeth > 0.05:
            height = min(0.9, 0.22 + 0.5 * shape.teeth * (1 - shape.openness))
            teeth = np.concatenate([upper, (upper + (lower - upper) * height)[::-1]])
            _paint(colour, alpha, np.minimum(inside, _fill(size, to(teeth))), pen.teeth)
        _paint(colour, alpha, _stroke(size, to(lower), 0.8 * thickness, 0.35), pen.line)
    _paint(colour, alpha, _stroke(size, to(upper), thickness, 0.35), pen.line)
    if pen.lip is not None:
        t, half = np.linspace(-1, 1, 15), pen.lip.length * seat.width / 2
        below = np.column_stack([half * t, pen.lip.below * seat.width + 0.15 * half * (1 - t**2)])
        height = max(0.6 * thickness, pen.lip.height * seat.width * SUPERSAMPLE)
        _paint(colour, alpha, _stroke(size, to(lower[12] + below), height, 0.0), pen.lip.colour)
    layer = np.dstack([colour, alpha])
    layer = cv2.resize(layer, (box.width, box.height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(layer, (0, 0), pen.softness) if pen.softness > 0.2 else layer


def composited(pixels: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """A drawn layer over pixels, uint8 RGB (h, w, 3); where the layer is empty the pixels stay as they are."""
    over = pixels.astype(np.float32) * (1 - layer[..., 3:]) + layer[..., :3]
    return np.where(layer[..., 3:] > 1 / 512, np.clip(over.round(), 0, 255).astype(np.uint8), pixels)


def _opening(shape: MouthShape, seat: Seat) -> tuple[np.ndarray, np.ndarray, float]:
    """Upper and lower side of the gap from left to right, (25, 2) each, in pixels from the middle; the gap's height."""
    half = seat.width / 2 * (0.62 + 0.76 * shape.width) * (1 - 0.42 * shape.rounding)
    gap = shape.openness * seat.gap
    gap = gap if gap > _CLOSED * seat.width else 0.0
    t = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 25))
    soft = 2.0 + 2.2 * (1 - shape.rounding) * min(1.0, shape.width + 0.3)
    above = (1 - np.abs(t) ** soft) * gap * (0.30 + 0.15 * shape.rounding)
    below = (1 - np.abs(t) ** (2.0 + 0.4 * (1 - shape.rounding))) * gap * (0.70 - 0.15 * shape.rounding)
    corners = -seat.smile * seat.width * (1 - shape.rounding) * (np.abs(t) ** 1.7 - 0.5)
    # the half beyond the middle of a turned face is seen at a smaller angle
    x = half * (t - 0.28 * seat.turn * (1 - t**2))
    return np.column_stack([x, corners - above]), np.column_stack([x, corners + below]), gap


def _tongue(upper: np.ndarray, lower: np.ndarray, height: float) -> np.ndarray:
    """A mound on the floor of the mouth."""
    t = np.linspace(-1, 1, 25)
    top = lower - (lower - upper) * (0.25 + 0.55 * height) * (1 - t**2)[:, None] ** 0.6
    middle = slice(4, 21)
    return np.concatenate([top[middle], lower[middle][::-1]])


def _placed(seat: Seat, box: Box):
    """From pixels around the middle of the mouth to pixels of the supersampled part."""
    angle = np.radians(seat.angle)
    # in a turned face the corners' line is tilted by perspective; what is above the other stays above it
    down = angle * (1 - min(abs(seat.turn), 1))
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(down), np.cos(down)]])
    origin = np.array([seat.x - box.x1, seat.y - box.y1])
    return lambda points: (points @ turned + origin) * SUPERSAMPLE


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _fill(size: tuple[int, int], outline: np.ndarray) -> np.ndarray:
    sheet = np.zeros(size, np.uint8)
    cv2.fillPoly(sheet, [_fixed(outline)], 255, cv2.LINE_AA, _SHIFT)
    return sheet.astype(np.float32) / 255


def _stroke(size: tuple[int, int], points: np.ndarray, thickness: float, ends: float) -> np.ndarray:
    """A line that gets thinner towards its ends, to the share `ends`."""
    t = np.linspace(-1, 1, len(points))
    half = thickness / 2 * (ends + (1 - ends) * (1 - t**2) ** 0.5)
    along = np.gradient(points, axis=0)
    normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.maximum(np.linalg.norm(along, axis=1), 1e-6)[:, None]
    outline = np.concatenate([points + normal * half[:, None], (points - normal * half[:, None])[::-1]])
    return _fill(size, outline)


def _paint(colour: np.ndarray, alpha: np.ndarray, cover: np.ndarray, paint: Colour) -> None:
    """Paint over what is there, premultiplied, in place."""
    colour *= (1 - cover)[..., None]
    colour += cover[..., None] * np.asarray(paint, np.float32)
    alpha *= 1 - cover
    alpha += cover
