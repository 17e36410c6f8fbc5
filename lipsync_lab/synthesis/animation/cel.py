"""Drawing on a transparent cel: curves, fills, tapered strokes and clipping.

A cel is larger than the frame and reduced by area averaging, for smooth edges. Its pixels are RGBA with colours
premultiplied by alpha, so that blending of opaque paint at an edge is correct in all four channels.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache

import cv2
import numpy as np

Colour = tuple[int, int, int]

#: A cel has this many pixels for one of the frame, in each direction.
SUPERSAMPLE = 2

_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel
_STEPS = 7  # points on one span of a spline


def _unchanged(points: np.ndarray) -> np.ndarray:
    return points


class Cel:
    """A transparent sheet with a drawing plane.

    Parameters
    ----------
    width, height : int
        Size of the finished frame in pixels.

    Attributes
    ----------
    pixels : ndarray, uint8, (2 height, 2 width, 4)
        RGBA, premultiplied.
    matrix : ndarray, float64, (2, 3)
        From the drawing's units to pixels of the cel.
    wrap : callable
        Applied to points (N, 2) of the drawing before `matrix`; it turns a face.
    """

    def __init__(self, width: int, height: int):
        self.pixels = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE, 4), np.uint8)
        self.matrix = np.array([[SUPERSAMPLE, 0, 0], [0, SUPERSAMPLE, 0]], float)
        self.wrap: Callable[[np.ndarray], np.ndarray] = _unchanged

    @property
    def unit(self) -> float:
        """Pixels of the cel in a unit of the drawing."""
        return float(np.sqrt(abs(self.matrix[0, 0] * self.matrix[1, 1] - self.matrix[0, 1] * self.matrix[1, 0])))

    def project(self, points) -> np.ndarray:
        """Convert points (N, 2) of the drawing to pixels of the cel."""
        return self.wrap(np.asarray(points, float)) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def fill(self, points, colour: Colour) -> None:
        """Paint the inside of a closed polygon."""
        self._paint(self.project(points), colour)

    def outline(self, points, colour: Colour, width: float, closed: bool = True) -> None:
        """Draw a line of constant width, in units of the drawing."""
        thickness = max(1, round(width * self.unit))
        cv2.polylines(
            self.pixels, [_fixed(self.project(points))], closed, (*colour, 255), thickness, cv2.LINE_AA, _SHIFT
        )

    def shape(self, points, colour: Colour, ink: Colour | None, width: float) -> None:
        """Paint a closed polygon, and draw its edge if `ink` is given."""
        self.fill(points, colour)
        if ink is not None and width > 0:
            self.outline(points, ink, width)

    def stroke(self, points, colour: Colour, width: float, ends: tuple[float, float] = (0.1, 0.1)) -> None:
        """Draw a line that is widest in its middle; `ends` are the widths of its ends relative to `width`."""
        line = self.project(points)
        along = np.gradient(line, axis=0)
        normal = np.column_stack([-along[:, 1], along[:, 0]]) / (np.hypot(along[:, 0], along[:, 1])[:, None] + 1e-9)
        t = np.linspace(0, 1, len(line))
        bulge = np.sin(np.pi * t) ** 0.8
        relative = (1 - bulge) * (ends[0] + (ends[1] - ends[0]) * t) + bulge
        half = normal * (relative * width * self.unit / 2)[:, None]
        self._paint(np.concatenate([line + half, (line - half)[::-1]]), colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        """Paint an ellipse; see `oval`."""
        self.fill(oval(x, y, rx, ry, turn), colour)

    @contextmanager
    def inside(self, *shapes):
        """Clip what is painted in this block to polygons."""
        edges = [self.project(points) for points in shapes]
        corners = np.concatenate(edges)
        height, width = self.pixels.shape[:2]
        x1, y1 = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, (width, height))
        x2, y2 = np.clip(np.ceil(corners.max(0)).astype(int) + 2, 0, (width, height))
        whole, matrix = self.pixels, self.matrix
        shown = x2 > x1 and y2 > y1
        patch = whole[y1:y2, x1:x2].copy() if shown else np.zeros((1, 1, 4), np.uint8)
        self.pixels, self.matrix = patch, matrix - [[0, 0, x1], [0, 0, y1]]
        try:
            yield
        finally:
            self.pixels, self.matrix = whole, matrix
        if shown:
            mask = np.zeros(patch.shape[:2], np.uint8)
            for edge in edges:
                cv2.fillPoly(mask, [_fixed(edge - (x1, y1))], 255, cv2.LINE_AA, _SHIFT)
            cv2.copyTo(patch, (mask > 127).view(np.uint8), whole[y1:y2, x1:x2])

    @contextmanager
    def plane(self, matrix=None, wrap=None):
        """Draw in another plane in this block: `matrix` (2, 3) is applied before the present one."""
        kept = self.matrix, self.wrap
        if matrix is not None:
            self.matrix = compose(self.matrix, matrix)
        if wrap is not None:
            self.wrap = wrap
        try:
            yield self
        finally:
            self.matrix, self.wrap = kept

    def over(self, background: np.ndarray) -> np.ndarray:
        """Return the finished frame: this cel over an RGB background (height, width, 3) of the frame's size."""
        height, width = background.shape[:2]
        small = cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA)
        clear = cv2.cvtColor(255 - small[:, :, 3], cv2.COLOR_GRAY2RGB)
        return cv2.add(cv2.multiply(background, clear, scale=1 / 255), small[:, :, :3])

    def _paint(self, pixels: np.ndarray, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [_fixed(pixels)], (*colour, 255), cv2.LINE_AA, _SHIFT)


def _fixed(pixels: np.ndarray) -> np.ndarray:
    return np.rint((pixels - 0.5) * (1 << _SHIFT)).astype(np.int32)


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the affine map (2, 3) that applies `inner` and then `outer`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def place(x: float, y: float, scale: float, degrees: float = 0.0, mirror: bool = False) -> np.ndarray:
    """Return the affine map (2, 3) that scales, mirrors, turns clockwise and moves to (x, y), in that order."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    flip = -1.0 if mirror else 1.0
    return np.array([[c * flip, -s, x], [s * flip, c, y]])


@lru_cache
def _blend(steps: int) -> np.ndarray:
    t = np.arange(steps) / steps
    return 0.5 * np.stack(
        [-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2], axis=1
    )


def curve(points, closed: bool = False, steps: int = _STEPS) -> np.ndarray:
    """Return a smooth line through points (N, 2): a Catmull-Rom spline (Catmull and Rom, 1974)."""
    points = np.asarray(points, float)
    if closed:
        around = np.concatenate([points[-1:], points, points[:2]])
    else:
        around = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    spans = np.stack([around[:-3], around[1:-2], around[2:-1], around[3:]], axis=1)
    line = np.einsum("tk,skd->std", _blend(steps), spans).reshape(-1, 2)
    return line if closed else np.concatenate([line, points[-1:]])


def bow(start, end, bulge: float, lean: float = 0.5, steps: int = 9) -> np.ndarray:
    """Return a bent line from `start` to `end`: a quadratic Bezier curve.

    `bulge` is the distance of its control point to the left of the line (with y down), relative to the length; `lean`
    is the position of the control point along the line.
    """
    start, end = np.asarray(start, float), np.asarray(end, float)
    way = end - start
    control = start + lean * way + bulge * np.array([way[1], -way[0]])
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end


@lru_cache
def _circle(steps: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0, power: float = 2.0) -> np.ndarray:
    """Return the points of an ellipse; `power` above 2 gives Lame's curve, `turn` is in degrees clockwise."""
    points = _circle(36)
    if power != 2.0:
        points = np.sign(points) * np.abs(points) ** (2 / power)
    points = points * (rx, ry)
    if turn:
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        points = points @ np.array([[c, s], [-s, c]])
    return points + (x, y)
