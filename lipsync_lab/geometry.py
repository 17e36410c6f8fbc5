"""Boxes, and the track of one face through a clip."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lipsync_lab.errors import ParameterError

#: Where a frame's box comes from: a detector in this run (`detected`), in an earlier frame that shows the same picture
#: (`copied`), in frames before and after between which the face was followed (`tracked`), or in an earlier run
#: (`recorded`), a person (`manual`, exact), or the boxes around a dropout (`interpolated`, `held`). `missing` frames
#: have none.
PROVENANCES = ("detected", "copied", "tracked", "interpolated", "held", "recorded", "manual", "missing")
#: Provenances of frames whose box the detector, a file or a person gave; the others fill a dropout, or are one.
DETECTED = ("detected", "copied", "tracked", "recorded", "manual")


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, half-open: columns x1 <= x < x2, rows y1 <= y < y2.

    This class is the only place that converts from other orders.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    @classmethod
    def from_yyxx(cls, values) -> Box:
        """From (y1, y2, x1, x2), the order of the published `--box` and `--crop`."""
        y1, y2, x1, x2 = values
        return cls(x1, y1, x2, y2)

    @classmethod
    def from_xywh(cls, values) -> Box:
        """From (x, y, width, height), the order of cascade classifiers."""
        x, y, width, height = values
        return cls(x, y, x + width, y + height)

    def __iter__(self):
        return iter((self.x1, self.y1, self.x2, self.y2))

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Square pixels; zero for a box that is turned inside out."""
        return max(self.width, 0) * max(self.height, 0)

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns for indexing a frame; coordinates are truncated to whole pixels."""
        return slice(int(self.y1), int(self.y2)), slice(int(self.x1), int(self.x2))

    def scaled(self, x: float, y: float) -> Box:
        return Box(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)

    def padded(self, top: float, bottom: float, left: float, right: float) -> Box:
        """Grown outwards by that many pixels on each side; negative numbers shrink."""
        return Box(self.x1 - left, self.y1 - top, self.x2 + right, self.y2 + bottom)

    def clipped(self, width: int, height: int) -> Box:
        """Cut to a frame of that many pixels; a box that lies outside comes out with no area."""
        return Box(
            min(max(self.x1, 0), width),
            min(max(self.y1, 0), height),
            min(max(self.x2, 0), width),
            min(max(self.y2, 0), height),
        )

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        inner = Box(max(self.x1, other.x1), max(self.y1, other.y1), min(self.x2, other.x2), min(self.y2, other.y2)).area
        union = self.area + other.area - inner
        return inner / union if union else 0.0


@dataclass(frozen=True)
class FaceTrack:
    """One face through a clip: one row per source frame.

    Attributes
    ----------
    boxes : ndarray, float64, (N, 4)
        x1, y1, x2, y2 in pixels of the source frame; NaN where there is no face.
    scores : ndarray, float64, (N,)
        Score of the frame's best candidate, also where it was refused; NaN where there was none.
    provenance : ndarray of str, (N,)
        One of `PROVENANCES`.
    shots : ndarray, int64, (N,)
        Number of the shot that the frame belongs to, from 0.
    candidates : ndarray, float64, (N, 4)
        Box of the frame's best candidate, also where it was refused; NaN where there was none.
    """

    boxes: np.ndarray
    scores: np.ndarray
    provenance: np.ndarray
    shots: np.ndarray
    candidates: np.ndarray = field(repr=False)

    def __post_init__(self):
        frames = len(self.boxes)
        if self.boxes.shape != (frames, 4) or self.candidates.shape != (frames, 4):
            raise ParameterError(
                f"a track needs N x 4 boxes and candidates, not {self.boxes.shape}, {self.candidates.shape}"
            )
        if not len(self.scores) == len(self.provenance) == len(self.shots) == frames:
            raise ParameterError(f"a track of {frames} boxes needs as many scores, provenances and shots")
        unknown = set(self.provenance.tolist()) - set(PROVENANCES)
        if unknown:
            raise ParameterError(f"unknown provenance {sorted(unknown)}; known: {', '.join(PROVENANCES)}")

    def __len__(self) -> int:
        return len(self.boxes)

    def box(self, frame: int) -> Box | None:
        """The frame's box, or None where there is no face."""
        row = self.boxes[frame]
        return None if np.isnan(row[0]) else Box(*row.tolist())


def spans(mask: np.ndarray, groups: np.ndarray | None = None) -> list[tuple[int, int]]:
    """Runs of frames in which a mask is true.

    Parameters
    ----------
    mask : array_like of bool, (N,)
    groups : array_like, (N,), optional
        A run also ends where this changes, as numbers of shots do. With a mask that is true everywhere, the runs are
        those of equal values.

    Returns
    -------
    list of (start, stop)
        First frame and one past the last of each run, half-open, in order.
    """
    inside = np.asarray(mask, bool)
    change = np.zeros(max(len(inside) - 1, 0), bool)
    if groups is not None:
        values = np.asarray(groups)
        change = values[1:] != values[:-1]
    first, last = inside.copy(), inside.copy()
    first[1:] &= ~inside[:-1] | change
    last[:-1] &= ~inside[1:] | change
    return list(zip(np.flatnonzero(first).tolist(), (np.flatnonzero(last) + 1).tolist(), strict=True))
