"""The part of the picture that a lip-sync model changed, and the noise of the encode in the rest.

A pixel's difference between source and output is compared with those outside of the region, at places where the source
has as much detail: there an encode makes as much of a difference. The logarithm of the two likelihoods' ratio is its
evidence, and the region of a frame is the rectangle with the largest sum of evidence over a few frames. Region and
likelihoods are estimated in turn, as in expectation-maximisation: neither the level of the output's noise nor its shape
is assumed.

Whether the picture was changed at all is told by two other properties. An encode takes fine detail and keeps the shapes
that a face of 48 pixels still shows, while another mouth draws others there (`_redrawn`); and it keeps the mean of each
of its blocks, while the colour of a pasted face moves the means of large cells (`_shift`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation.rectangle import CELL, rectangle
from lipsync_lab.geometry import Box

#: What a region is: a rectangle that was pasted, a soft mask, or nothing beyond the noise of the encode.
KINDS = ("rectangle", "mask", "none")
#: Pixels of the longer side of the maps that regions are looked for in, and share of a face's size that is looked at
#: on each side of it.
_WORK, _AROUND = 256, 0.7
#: Levels of the difference (fourths of a doubling), and classes of the difference that an encode alone makes there.
_LEVELS, _CLASSES = 32, (0.75, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0)
#: Number of codes: each stands for a level and a class.
_CODES = (len(_CLASSES) + 1) * _LEVELS
#: Pixels over which the difference of the encode alone is averaged: where it falls is known, its grain is not.
_NEAR = 9
#: Levels above the median at or above which a difference is evidence at first; the best of these starts is kept.
_STARTS = (3, 7, 11)
#: Rounds of estimation, frames that are used for it, and frames on each side that a region is supported by.
_ROUNDS, _FRAMES, _SUPPORT = 5, 40, 2
#: Largest evidence of a pixel, and pixels of the maps beside a region that count neither as region nor as noise.
_MOST, _RIM = 3.0, 4
#: Share of the median frame's evidence below which a frame was not changed.
_ABSENT = 0.15
#: Pixels that a face has across where shapes are compared, pixels of the window round each, and grey levels of detail
#: below which a place has no shape.
_FACE, _SHAPE, _FLAT = 48, 9, 3.0
#: Share of the detail beyond which shapes were drawn anew, and multiples of what it is outside of the boxes. Chosen on
#: 16 encodes (H.264 at crf 18, at 28, and at 23 when scaled to 3/4, and MPEG-4) of four clips in three domains: at most
#: 0.044, and one of 0.071 that is 1.3 times the outside's. The feathered output of `wav2lip-lab` has 0.098 (3.4 times)
#: on the filmed clip and 0.37 and more on the others, `cel` 0.44 and more, also encoded again at crf 28.
_REDRAWN, _APART = 0.06, 1.7
#: The same where one place of the window is enough: encodes reach 0.09 there.
_SURE = 0.2
#: Quantile of the places of a frame, and of the frames: a mouth is a small part, and some frames need no other one.
_PLACES, _TIMES = 0.98, 0.8
#: Cells a face's width, and least pixels of a cell: two of the largest blocks that encoders transform.
_CELLS, _SMALLEST = 8, 16
#: Grey levels, and multiples of the noise, beyond which the means of cells were moved by a model. Encodes alone (55:
#: H.264 at crf 18, at 28, and at 23 when scaled, and MPEG-4, of 14 bundled clips) move them by at most 1.67.
#: Outputs of published models move them by 4.5 and more (16 of 17; of the last the detected face was not the one that
#: was dubbed, 1.0), and hard pastes of `wav2lip-lab` by 2.9 and more.
_MOVED, _BEYOND = 2.2, 2.0
#: Quantile of the cells of a frame that is compared inside and outside.
_UPPER = 0.9
#: Share of the sides that a corner takes, and share of its pixels with evidence at or above which it is a rectangle's.
_CORNER, _FILLED = 0.12, 0.92


@dataclass(frozen=True, eq=False)
class EditedRegion:
    """Where a model changed the picture.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    boxes : ndarray, float64, (N, 4)
        The rectangle of each frame, or the box round its mask, in pixels of the aligned frames; NaN where nothing
        changed beyond the noise.
    contrast : float
        Mean difference inside the boxes over that outside, at places with as much detail.
    redrawn, apart : float
        Share of the detail that has another shape inside the boxes, and outside of them: `_redrawn`.
    shift, noise : float
        Grey levels by which the means of cells moved inside the boxes, and outside of them: `_shift`.
    filled : float
        Evidence in the corners of the boxes, as a share of what it is inside them: high where rectangles were pasted.
    size : (width, height)
        Pixels of the frames.
    """

    kind: str
    boxes: np.ndarray
    contrast: float
    redrawn: float
    apart: float
    shift: float
    noise: float
    filled: float
    size: tuple[int, int]
    _masks: np.ndarray = field(repr=False)
    _window: Box = field(repr=False)

    def __len__(self) -> int:
        return len(self.boxes)

    def as_dict(self) -> dict[str, Any]:
        """What is known of it, for JSON."""
        there = self.boxes[~np.isnan(self.boxes[:, 0])]
        return {
            **{"kind": self.kind, "frames": len(there)},
            "box": [round(edge, 1) for edge in np.median(there, axis=0).tolist()] if len(there) else None,
            **{
                name: _finite(getattr(self, name))
                for name in ("contrast", "filled", "redrawn", "apart", "shift", "noise")
            },
        }

    def box(self, frame: int) -> Box | None:
        """The frame's rectangle, or None where nothing was changed."""
        row = self.boxes[frame]
        return None if np.isnan(row[0]) else Box(*row.tolist())

    def mask(self, frame: int) -> np.ndarray:
        """Weight of the model's picture at each pixel, float32 (H, W), 0 to 1: of a rectangle, 0 or 1."""
        weight = np.zeros(self.size[::-1], np.float32)
        box = self.box(frame)
        if box is None:
            return weight
        if self.kind == "rectangle":
            weight[Box(*np.rint(tuple(box))).clipped(*self.size).slices] = 1
            return weight
        place = self._window.slices
        size = place[1].stop - place[1].start, place[0].stop - place[0].start
        weight[place] = cv2.resize(self._masks[frame], size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        return weight


def edited_region(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    faces: np.ndarray | None = None,
) -> EditedRegion:
    """Estimate the part of the picture that a model changed.

    Parameters
    ----------
    pairs : iterable of (source, output)
        Aligned frames, uint8 RGB (H, W, 3), read once. Of each, three maps of at most 85 kB stay in memory.
    faces : ndarray, float, (N, 4), optional
        Boxes of the source's face in pixels of the aligned frames, NaN where there is none. The region is looked for
        near them; without them, in the whole picture.

    Returns
    -------
    EditedRegion

    Raises
    ------
    ParameterError
        There is no pair, or the frames of a pair differ in size.
    """
    codes, cells, shapes, size, window, side = [], [], [], None, None, 0.0
    for source, output in pairs:
        if source.shape != output.shape:
            raise ParameterError(f"frames of {source.shape} and {output.shape} are not aligned")
        if size is None:
            size = source.shape[1], source.shape[0]
            window, side = _window(faces, size), _side(faces, size)
        greys = [cv2.cvtColor(image[window.slices], cv2.COLOR_RGB2GRAY) for image in (source, output)]
        codes.append(_coded(*greys))
        cells.append(_moved_means(*greys, max(_SMALLEST, round(side / _CELLS))))
        shapes.append(_other_shapes(*greys, min(0.5, _FACE / side)))  # of single pixels an encode makes what it likes
    if size is None:
        raise ParameterError("there is no aligned pair of frames to compare")
    codes = np.stack(codes)
    used = np.unique(np.linspace(0, len(codes) - 1, min(len(codes), _FRAMES)).astype(int))
    counted = _counted(codes)
    tables = [_estimated(codes, used, counted[used], _first_table(counted, start)) for start in _STARTS]
    table, _ = max(tables, key=lambda pair: _gain(codes[used], *pair))
    gains, boxes = [], np.zeros((len(codes), 4))
    for frame, evidence in enumerate(_evidences(codes, table)):
        boxes[frame] = x1, y1, x2, y2 = rectangle(evidence)
        gains.append(float(cv2.LUT(codes[frame], table)[y1:y2, x1:x2].sum()))
    absent = np.array(gains) < _ABSENT * np.median(gains)
    boxes = ndimage.median_filter(boxes, (min(5, len(boxes)), 1), mode="nearest").astype(int)
    contrast, filled = _contrast(codes, counted, boxes, ~absent), _filled(codes, table, boxes, ~absent)
    shapes, sides = np.stack(shapes), np.tile(codes.shape[2:0:-1], 2)
    if (small := _small(shapes, boxes / sides)) is not None:
        # a mouth of animation has few pixels, so that the largest sum of evidence may lie elsewhere
        boxes, absent = np.nan_to_num(np.rint(small * sides)).astype(int), np.isnan(small[:, 0])
        contrast, filled = _contrast(codes, counted, boxes, ~absent), 0.0
    shares = boxes[~absent] / sides
    shift, noise = _shift(np.stack(cells), shares, ~absent)
    redrawn, apart = _redrawn(shapes, shares, ~absent)
    moved = shift > _MOVED and shift > _BEYOND * noise
    edited = moved or (redrawn > _REDRAWN and redrawn > _APART * apart)
    kind = "none" if not edited else "rectangle" if filled > _FILLED else "mask"
    masks = np.zeros(codes.shape, np.uint8)
    if kind == "mask":
        for frame, evidence in enumerate(_evidences(codes, table)):
            x1, y1, x2, y2 = boxes[frame]
            weight = cv2.GaussianBlur(evidence, (0, 0), 2.0)
            masks[frame, y1:y2, x1:x2] = np.rint(255 / (1 + np.exp(-2 * weight[y1:y2, x1:x2])))
    by = np.array([window.width / codes.shape[2], window.height / codes.shape[1]] * 2)
    places = boxes * by + np.array([window.x1, window.y1] * 2)
    places[absent | (kind == "none")] = np.nan
    return EditedRegion(kind, places, contrast, redrawn, apart, shift, noise, filled, size, masks, window)


def _finite(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _window(faces: np.ndarray | None, size: tuple[int, int]) -> Box:
    """The part of the frames that is looked at: round all faces, else all of it."""
    if faces is None or np.isnan(faces).all():
        return Box(0, 0, *size)
    width, height = np.nanmax(faces[:, 2:] - faces[:, :2], axis=0)
    (x1, y1), (x2, y2) = np.nanmin(faces[:, :2], axis=0), np.nanmax(faces[:, 2:], axis=0)
    across, down = _AROUND * width, _AROUND * height
    return Box(*np.rint(tuple(Box(x1, y1, x2, y2).padded(down, down, across, across))).tolist()).clipped(*size)


def _coded(source: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Level of the difference, and class of the detail that the source has there, of each pixel: uint8 (h, w).

    Luma alone: every encode subsamples the chroma again.
    """
    by = min(1.0, _WORK / max(source.shape))
    size = max(CELL, round(source.shape[1] * by)), max(CELL, round(source.shape[0] * by))
    own, detail = (
        cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for values in (cv2.absdiff(source, output), cv2.absdiff(source, cv2.blur(source, (5, 5))))
    )
    level = np.clip(np.rint(4 * np.log2(1 + 2 * cv2.blur(own, (3, 3)))), 0, _LEVELS - 1).astype(np.uint8)
    return level + _LEVELS * np.digitize(cv2.blur(detail, (_NEAR, _NEAR)), _CLASSES).astype(np.uint8)


def _side(faces: np.ndarray | None, size: tuple[int, int]) -> float:
    """Pixels of a face's width; a third of the frame where no face is known."""
    known = faces is not None and not np.isnan(faces).all()
    return max(1.0, float(np.nanmedian(faces[:, 2] - faces[:, 0])) if known else max(size) / 3)


def _other_shapes(source: np.ndarray, output: np.ndarray, by: float) -> np.ndarray:
    """Energy of the change round each pixel, as a share of the detail of both pictures there: float32, 0 to about 2.

    Local means are taken out first, so that neither a conversion of colours nor the colour of a block counts.
    """
    size = max(_SHAPE, round(source.shape[1] * by)), max(_SHAPE, round(source.shape[0] * by))
    window = (_SHAPE, _SHAPE)
    detail = []
    for image in (source, output):
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        detail.append(small - cv2.blur(small, window))
    energy = sum(cv2.blur(part * part, window) for part in detail)
    change = detail[0] - detail[1]
    return cv2.blur(change * change, window) / (energy + 2 * _FLAT**2)


def _places(boxes: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which cells of a grid lie inside of boxes (shares of the window), and which outside and not beside them."""
    height, width = shape
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    inner, outer = [], []
    for x1, y1, x2, y2 in boxes:
        inner.append(np.outer((y > y1) & (y < y2), (x > x1) & (x < x2)))
        # a cell round the boxes may have a part of the change
        rows, columns = (y > y1 - 1 / height) & (y < y2 + 1 / height), (x > x1 - 1 / width) & (x < x2 + 1 / width)
        outer.append(~np.outer(rows, columns))
    return np.array(inner), np.array(outer)


def _small(shapes: np.ndarray, boxes: np.ndarray) -> np.ndarray | None:
    """Boxes (shares of the window) round the place of each frame that changed most, NaN where none did beyond doubt.

    None where these places lie in `boxes`, or where too few frames have one.
    """
    places = shapes.reshape(len(shapes), -1)
    known = np.flatnonzero(places.max(axis=1) >= _SURE)
    if len(known) <= (1 - _TIMES) * len(shapes):
        return None
    size, half, held = np.array(shapes.shape[:0:-1]), _SHAPE // 2, []
    out = np.full((len(shapes), 4), np.nan)
    for frame in known:
        row, column = np.unravel_index(int(places[frame].argmax()), shapes.shape[1:])
        x, y = (np.array([column, row]) + 0.5) / size
        held.append(boxes[frame, 0] < x < boxes[frame, 2] and boxes[frame, 1] < y < boxes[frame, 3])
        parts = ndimage.label(shapes[frame] > _SURE / 2)[0]
        rows, columns = np.nonzero(parts == parts[row, column])
        out[frame] = columns.min() - half, rows.min() - half, columns.max() + 1 + half, rows.max() + 1 + half
    return None if np.mean(held) > 0.5 else (out / np.tile(size, 2)).clip(0, 1)


def _redrawn(shapes: np.ndarray, boxes: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """The share of the detail with another shape, `_other_shapes`, inside of boxes and outside; an upper quantile."""
    out = []
    for places in _places(boxes, shapes.shape[1:]):
        values = [
            np.quantile(frame[place], _PLACES)
            for frame, place in zip(shapes[there], places, strict=True)
            if place.any()
        ]
        out.append(float(np.quantile(values, _TIMES)) if values else 0.0)
    return out[0], out[1]


def _moved_means(source: np.ndarray, output: np.ndarray, side: int) -> np.ndarray:
    """Difference of luma, with its sign, in the mean of each cell: float32."""
    size = max(1, round(source.shape[1] / side)), max(1, round(source.shape[0] / side))
    change = cv2.subtract(output, source, dtype=cv2.CV_32F)
    return cv2.resize(change, size, interpolation=cv2.INTER_AREA)


def _shift(cells: np.ndarray, boxes: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """Grey levels by which the cells inside boxes (shares of the window), and the others, moved in the median frame.

    In each frame it is an upper quantile of the cells. The median of the others over the clip is taken out first: a
    player's or an encoder's conversion of colours may shift the whole picture by two levels.
    """
    inner, outer = _places(boxes, cells.shape[1:])
    cells = cells[there]
    if len(cells) and outer.any():
        cells = np.abs(cells - np.median(cells[outer]))
    out = []
    for places in (inner, outer):
        values = [np.quantile(frame[place], _UPPER) for frame, place in zip(cells, places, strict=True) if place.any()]
        out.append(float(np.median(values)) if values else 0.0)
    return out[0], out[1]


def _counted(codes: Iterable[np.ndarray]) -> np.ndarray:
    """Number of pixels of each class and level in each map, float64 (maps, classes, levels)."""
    counts = [
        cv2.calcHist([code], [0], None, [_CODES], [0, _CODES]) if code.size else np.zeros(_CODES) for code in codes
    ]
    return np.reshape(counts, (-1, len(_CLASSES) + 1, _LEVELS)).astype(float)


def _first_table(counted: np.ndarray, start: float) -> np.ndarray:
    """Evidence of each code before a region is known: the level above the median of the same class."""
    below = np.cumsum(counted.sum(axis=0), axis=1)
    median = (below < 0.5 * below[:, -1:]).sum(axis=1, keepdims=True)
    return np.clip((np.arange(_LEVELS) - median - start) / 4, -1, 2).astype(np.float32).ravel()


def _split(codes: np.ndarray, counted: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of pixels of each class and level inside and outside the boxes, float64; `counted` is that of all."""
    return _inside(codes, boxes), counted.sum(axis=0) - _inside(codes, boxes, _RIM)


def _inside(codes: np.ndarray, boxes: np.ndarray, rim: int = 0) -> np.ndarray:
    parts = zip(codes, boxes.tolist(), strict=True)
    return _counted(c[max(0, y1 - rim) : y2 + rim, max(0, x1 - rim) : x2 + rim] for c, (x1, y1, x2, y2) in parts).sum(0)


def _estimated(
    codes: np.ndarray, used: np.ndarray, counted: np.ndarray, table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of each code, and the boxes of the used frames, from a first guess of the evidence."""
    for _ in range(_ROUNDS):
        boxes = np.array([rectangle(evidence) for evidence in _evidences(codes, table, used)])
        rates = []
        for count in _split(codes[used], counted, boxes):
            count = ndimage.gaussian_filter1d(count, 1.0, axis=1)
            count += 1e-4 * count.sum(axis=1, keepdims=True) + 1
            rates.append(count / count.sum(axis=1, keepdims=True))
        evidence = np.clip(np.log(rates[0] / rates[1]), -_MOST, _MOST)
        # a model makes the difference larger: less than the noise's median is never a sign of it
        quiet = np.cumsum(rates[1], axis=1) < 0.5
        table = np.where(quiet, np.minimum(evidence, 0), evidence).astype(np.float32).ravel()
    return table, boxes


def _gain(codes: np.ndarray, table: np.ndarray, boxes: np.ndarray) -> float:
    """Evidence of the median frame, over the root of the area: large regions with little evidence are noise."""
    gains = [
        table[code[y1:y2, x1:x2]].sum() / np.sqrt((x2 - x1) * (y2 - y1))
        for code, (x1, y1, x2, y2) in zip(codes, boxes, strict=True)
    ]
    return float(np.median(gains))


def _evidences(codes: np.ndarray, table: np.ndarray, frames: Iterable[int] | None = None) -> Iterator[np.ndarray]:
    """Mean evidence of each pixel over the frames that support each of `frames` (all), float32 (h, w)."""
    known: dict[int, np.ndarray] = {}
    for frame in range(len(codes)) if frames is None else frames:
        support = range(max(0, frame - _SUPPORT), min(len(codes), frame + _SUPPORT + 1))
        known = {other: known[other] if other in known else cv2.LUT(codes[other], table) for other in support}
        yield sum(known.values()) / np.float32(len(known))


def _contrast(codes: np.ndarray, counted: np.ndarray, boxes: np.ndarray, there: np.ndarray) -> float:
    inside, outside = _split(codes[there], counted[there], boxes[there])
    known = (inside.sum(axis=1) > 0) & (outside.sum(axis=1) > 0)
    if not known.any():
        return np.inf  # the region fills the picture
    level = (2 ** (np.arange(_LEVELS) / 4) - 1) / 2
    means = [(count @ level)[known] / count.sum(axis=1)[known] for count in (inside, outside)]
    weight = inside.sum(axis=1)[known]
    return float((weight @ means[0]) / max(weight @ means[1], 1e-9))


def _filled(codes: np.ndarray, table: np.ndarray, boxes: np.ndarray, there: np.ndarray) -> float:
    """Evidence in the corners, as a share of what pixels of the same classes have inside; the median frame's."""
    inside = _inside(codes[there], boxes[there])
    usual = (inside * table.reshape(inside.shape)).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    shares, frames = [], np.flatnonzero(there)
    for frame, evidence in zip(frames, _evidences(codes, table, frames), strict=True):
        x1, y1, x2, y2 = boxes[frame]
        corner = np.zeros((y2 - y1, x2 - x1), bool)
        x, y = (max(1, round(_CORNER * side)) for side in corner.shape[::-1])
        for rows in (slice(y), slice(-y, None)):
            corner[rows, :x] = corner[rows, -x:] = True
        wanted = usual[codes[frame][y1:y2, x1:x2][corner] // _LEVELS].sum()
        shares.append(evidence[y1:y2, x1:x2][corner].sum() / max(wanted, 1e-3))
    return float(np.median(shares)) if shares else 0.0
