"""Registration of two clips: which part of the source's frames an output shows, and where.

A box of the source and a box of the output that show the same are one axis-aligned affine map. `coarse_geometry` finds
them among stretches of the whole picture, bars and crops; `refined_geometry` gives them to a fraction of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from lipsync_lab.geometry import Box

#: Pixels of the longer side of the frames that are compared over all offsets; the frames that are kept have twice it.
SMALL = 64
#: Pixels of the longer side of the frames that refine the geometry.
_FINE = 480
#: Width of the high-pass filter, as a share of the longer side: large areas of light and dark are alike in many clips.
_DETAIL = 1 / 12
#: Output frames that a geometry is tried on.
_PLACED = 9
#: Sizes of a crop that are tried, as shares of the picture.
_CROPS = 0.96 ** np.arange(1, 28)
#: Correlation at or above which no crop is looked for, and luma below which a border is a bar.
_FITS, _BLACK = 0.9, 24
#: Pixels of the high-pass filter while the geometry is refined, and share of the cost that it must fall to.
_SHARP, _BETTER = 8.0, 0.95
#: Pixels of the output within which an edge is taken for the frame's own.
_NEAR = 0.6


def whole(size: tuple[int, int]) -> Box:
    return Box(0, 0, *size)


def luma(frame: np.ndarray, longest: int) -> np.ndarray:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    by = min(1.0, longest / max(grey.shape))
    size = max(1, round(grey.shape[1] * by)), max(1, round(grey.shape[0] * by))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def warped(frame: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """The part of a frame inside a box, which need not be whole pixels, at another size (width, height)."""
    x, y = size[0] / box.width, size[1] / box.height
    if x < 1 or y < 1:
        # area averaging, which a warp does not do: first the whole frame at the new scale
        small = max(1, round(frame.shape[1] * min(x, 1))), max(1, round(frame.shape[0] * min(y, 1)))
        box = box.scaled(small[0] / frame.shape[1], small[1] / frame.shape[0])
        frame = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        if tuple(box) == (0, 0, *size):
            return frame
        x, y = size[0] / box.width, size[1] / box.height
    # pixel centres: the middle of pixel 0 is 0.5
    matrix = np.array([[x, 0, (0.5 - box.x1) * x - 0.5], [0, y, (0.5 - box.y1) * y - 0.5]])
    return cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def unit(images: Iterable[np.ndarray], width: float | None = None) -> np.ndarray:
    """Rows that correlate by their product: high-passed, without mean, of length 1; float32 (N, pixels)."""
    rows = []
    for image in images:
        detail = image.astype(np.float32)
        detail -= cv2.GaussianBlur(detail, (0, 0), width or _DETAIL * max(image.shape))
        rows.append(detail.ravel())
    rows = np.stack(rows)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)


def spread(count: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int))


def cut(images: np.ndarray, box: Box, size: tuple[int, int], shape: tuple[int, int]) -> list[np.ndarray]:
    """The part of small frames inside a box, given in pixels of frames of `size`, at `shape` (width, height)."""
    inner = box.scaled(images.shape[2] / size[0], images.shape[1] / size[1])
    return [warped(image, inner, shape) for image in images]


def small_shape(box: Box) -> tuple[int, int]:
    by = SMALL / max(box.width, box.height)
    return max(8, round(box.width * by)), max(8, round(box.height * by))


def _content(small: np.ndarray, size: tuple[int, int]) -> Box:
    """The picture without black bars, in pixels of frames of `size`."""
    brightest = small.max(axis=0) if len(small) < 64 else small[spread(len(small), 64)].max(axis=0)
    edges = []
    for axis in (0, 1):
        there = np.flatnonzero(brightest.max(axis=axis) > _BLACK)
        if not len(there):
            return whole(size)
        by = size[axis] / small.shape[2 - axis]
        edges.append((there[0] * by, (there[-1] + 1) * by))
    (x1, x2), (y1, y2) = edges
    return Box(float(x1), float(y1), float(x2), float(y2))


def _agreement(first, second, sizes, boxes) -> float:
    """Median correlation of some output frames with the source frames that fit them best, in a geometry."""
    shape = small_shape(boxes[1])
    sources = unit(cut(first[spread(len(first), 200)], boxes[0], sizes[0], shape))
    outputs = unit(cut(second[spread(len(second), _PLACED)], boxes[1], sizes[1], shape))
    return float(np.median((outputs @ sources.T).max(axis=1)))


def coarse_geometry(first, second, source_size, output_size) -> tuple[Box, Box]:
    """Boxes of source and output that show the same, to a pixel of the small frames."""
    sizes = source_size, output_size
    if all(0 <= b - a <= 1 for a, b in zip(*sizes, strict=True)):
        return whole(source_size), whole(source_size)  # encoders round odd sides up
    sides = [
        dict.fromkeys((whole(size), _content(small, size))) for small, size in zip((first, second), sizes, strict=True)
    ]
    candidates = [(a, b) for a in sides[0] for b in sides[1]]
    best = max(candidates, key=lambda boxes: _agreement(first, second, sizes, boxes))
    agreement = _agreement(first, second, sizes, best)
    if agreement < 0.9:
        for boxes in (_crop(first, second, sizes), _crop(second, first, sizes[::-1])[::-1]):
            if (value := _agreement(first, second, sizes, boxes)) > agreement:
                best, agreement = boxes, value
    return best


def _crop(first, second, sizes) -> tuple[Box, Box]:
    """The part of the first clip's frames that the whole second clip shows, by template matching over scales."""
    inner, (height, width) = _content(second, sizes[1]), first.shape[1:]
    aspect = inner.width / inner.height
    widest, best, box = min(width, height * aspect), -2.0, Box(0, 0, width, height)
    scenes = first[spread(len(first), 12)]
    for share in (1.0, *_CROPS):
        shape = int(widest * share), int(widest * share / aspect)
        if min(shape) < 12:
            break
        for template in cut(second[spread(len(second), 3)], inner, sizes[1], shape):
            for scene in scenes:
                match = cv2.matchTemplate(scene, template, cv2.TM_CCOEFF_NORMED)
                if match.max() > best:
                    y, x = (int(v) for v in np.unravel_index(int(match.argmax()), match.shape))
                    best, box = float(match.max()), Box(x, y, x + shape[0], y + shape[1])
    return box.scaled(sizes[0][0] / width, sizes[0][1] / height), inner


def refined_geometry(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], source_box: Box, output_box: Box
) -> tuple[Box, Box]:
    """The geometry to a fraction of a pixel: least squares over four edges, on frames of up to `_FINE` pixels.

    Parameters
    ----------
    pairs : sequence of (source, output)
        Luma uint8 (H, W) of a few aligned frames.
    source_box, output_box : Box
        Of `coarse_geometry`.

    Returns
    -------
    (Box, Box)
        The same boxes where no others fit better. The output's box is in whole pixels.
    """
    from scipy.optimize import least_squares

    sizes = tuple((image.shape[1], image.shape[0]) for image in pairs[0])
    inner = output_box
    if tuple(inner) != (0, 0, *sizes[1]):
        # the edges of bars are known to a pixel of the small frames only
        x, y = (side / SMALL for side in sizes[1])
        inner = inner.padded(-y, -y, -x, -x)
    by = min(1.0, _FINE / max(inner.width, inner.height))
    shape = max(8, round(inner.width * by)), max(8, round(inner.height * by))
    wanted = np.concatenate([unit([warped(output, inner, shape)], _SHARP) for _, output in pairs])
    weight, side = np.sqrt(shape[0] * shape[1]), max(sizes[0])
    x, y = source_box.width / output_box.width, source_box.height / output_box.height
    start = np.array(
        [
            *(source_box.x1 + (inner.x1 - output_box.x1) * x, source_box.y1 + (inner.y1 - output_box.y1) * y),
            *(source_box.x2 + (inner.x2 - output_box.x2) * x, source_box.y2 + (inner.y2 - output_box.y2) * y),
        ]
    )

    def residual(moved: np.ndarray) -> np.ndarray:
        """`moved` is 1 where an edge stays, so that a step of the numerical derivative is half a pixel everywhere."""
        box = Box(*(start + (moved - 1) * side))
        return (
            weight
            * (np.concatenate([unit([warped(image, box, shape)], _SHARP) for image, _ in pairs]) - wanted).ravel()
        )

    before = float((np.sqrt(1 + residual(np.ones(4)) ** 2) - 1).sum())

    def fitted(at: np.ndarray):
        return least_squares(residual, at, loss="soft_l1", diff_step=0.5 / _FINE, max_nfev=20)

    fit = fitted(np.ones(4))
    # most crops are whole pixels, and lines of a drawing give the cost narrow valleys beside the right one
    again = fitted(1 + (np.round(start + (fit.x - 1) * side) - start) / side)
    fit = min(fit, again, key=lambda each: each.cost)
    if fit.cost > _BETTER * before:
        return source_box, output_box
    return _snapped(Box(*(start + (fit.x - 1) * side).tolist()), inner, sizes)


def _snapped(part: Box, inner: Box, sizes) -> tuple[Box, Box]:
    """Boxes of source and output, as large as the frames allow, from two boxes that show the same."""
    edges = []
    for axis in (0, 1):
        (a1, a2), (b1, b2) = ((box[axis], box[axis + 2]) for box in (tuple(part), tuple(inner)))
        by = (b2 - b1) / (a2 - a1)
        source_side, output_side = sizes[0][axis], sizes[1][axis]
        for edge, limit in ((0, 0), (source_side, output_side)):
            place = b1 + (edge - a1) * by  # of the source's edge, in pixels of the output
            if abs(place - limit) <= _NEAR:
                edges.append((edge, limit))
            elif (place > 0) if not edge else (place < output_side):
                edges.append((edge, round(place)))
            else:
                cut = a1 + (limit - b1) / by
                edges.append((round(cut) if abs(cut - round(cut)) < _NEAR / by / 2 else cut, limit))
    (x1, x2), (y1, y2) = edges[:2], edges[2:]
    return tuple(Box(*(float(edge[side]) for edge in (x1, y1, x2, y2))) for side in (0, 1))
