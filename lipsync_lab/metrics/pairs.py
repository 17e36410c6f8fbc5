"""A frame of the source and the same frame of the output, with what several metrics compute from both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from lipsync_lab.generation import holds
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import regions

#: Grey levels a pixel below which a place is flat.
FLAT = 7.0
#: Fewest pixels that a metric is computed from, and most pixels of the skin that are compared.
FEWEST, _MOST = 32, 1500


def gradient(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels a pixel, to the right and down (Sobel)."""
    return cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)


def length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Length of vectors; bit for bit the same for the same numbers, which OpenCV's is not."""
    return np.sqrt(x * x + y * y)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of colours of 0 to 255, (..., 3)."""
    from skimage.color import rgb2lab

    return rgb2lab(np.asarray(rgb, float) / 255)


class Outside(NamedTuple):
    """Grey levels by which a frame changed outside of the box: mean, most changed block of 8 x 8, and median block.

    The last one is the noise of an encode, as long as a model did not change half of the picture.
    """

    mean: float
    peak: float
    noise: float


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The part of a frame pair round the box: metrics of the mouth need nothing else.

    Attributes
    ----------
    source, output : ndarray, uint8, (h, w, 3)
        RGB.
    box : Box
        In whole pixels of this part.
    mouth : ndarray, float64, (4,)
        The lips' box in pixels of this part; NaN where it is unknown.
    """

    source: np.ndarray
    output: np.ndarray
    box: Box
    mouth: np.ndarray

    @cached_property
    def grey(self) -> tuple[np.ndarray, np.ndarray]:
        """Luma of source and output, float32."""
        return tuple(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (self.source, self.output))

    @cached_property
    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Length of the gradient of source and output, grey levels a pixel."""
        return tuple(length(*gradient(image)) for image in self.grey)

    @cached_property
    def lips(self) -> Box | None:
        """The lips with a tenth of their width on each side."""
        return regions.inside(self.mouth, self.source.shape, 0.1, 0.1)

    @cached_property
    def clear(self) -> Box | None:
        """The lips with `regions.CLEAR` round them."""
        return regions.inside(self.mouth, self.source.shape, *regions.CLEAR)

    @cached_property
    def skin(self) -> np.ndarray:
        """`regions.skin`, bool (h, w)."""
        return regions.skin(self.source.shape, self.box, self.mouth)

    @cached_property
    def skin_colours(self) -> tuple[np.ndarray, np.ndarray] | None:
        """CIELAB of source and output in flat places of the skin, float64 (n, 3); None where there are too few."""
        flat = self.skin & (self.gradients[0] < FLAT)
        if flat.sum() < FEWEST:
            return None
        places = np.flatnonzero(flat)
        places = places[:: -(-len(places) // _MOST)]
        return tuple(lab(image.reshape(-1, 3)[places]) for image in (self.source, self.output))


@dataclass(eq=False)
class FramePair:
    """A frame of the source and the same frame of the output.

    Attributes
    ----------
    row : int
        Row of the ledger.
    source, output : ndarray, uint8, (H, W, 3)
        RGB.
    pasted : ndarray, float64, (4,)
        The box whose mouth was generated; NaN where none was.
    mouth : ndarray, float64, (4,)
        The lips' box, by the ground truth or by `regions.LIPS` of the box; NaN where neither is known.
    true_mouth : ndarray, float64, (4,)
        The lips' box by the ground truth alone; NaN without it.
    before : FramePair or None
        The pair of the frame before; its own `before` is None.
    """

    row: int
    source: np.ndarray
    output: np.ndarray
    pasted: np.ndarray
    mouth: np.ndarray
    true_mouth: np.ndarray = field(default_factory=lambda: np.full(4, np.nan))
    before: FramePair | None = None

    @cached_property
    def box(self) -> Box | None:
        """`pasted` in whole pixels inside the frame."""
        return regions.inside(self.pasted, self.source.shape)

    @cached_property
    def source_grey(self) -> np.ndarray:
        """Luma of the whole source frame, uint8 (H, W)."""
        return cv2.cvtColor(self.source, cv2.COLOR_RGB2GRAY)

    @cached_property
    def output_grey(self) -> np.ndarray:
        """Luma of the whole output frame, uint8 (H, W)."""
        return cv2.cvtColor(self.output, cv2.COLOR_RGB2GRAY)

    @cached_property
    def difference(self) -> np.ndarray:
        """|output - source|, uint8 (H, W, 3)."""
        return cv2.absdiff(self.source, self.output)

    @cached_property
    def source_change(self) -> tuple[float, float]:
        """Grey levels of the most changed block and of the median block of the source; NaN in the first frame."""
        if self.before is None:
            return np.nan, np.nan
        changed = holds.luma_changes(self.before.source_grey, self.source_grey)
        return float(changed.max()), holds.noise(changed)

    @cached_property
    def outside(self) -> Outside:
        """The frame's change outside of the box."""
        change, blocks = self.difference, holds.luma_changes(self.source_grey, self.output_grey)
        pixels = change.shape[0] * change.shape[1]
        total = sum(cv2.sumElems(change))
        counted = blocks[:: holds.BLOCK, :: holds.BLOCK]
        if self.box is not None:
            total -= sum(cv2.sumElems(change[self.box.slices]))
            pixels -= int(self.box.area)
            # blocks that reach into the box are not outside
            reached = self.box.padded(*[holds.BLOCK // 2] * 4).clipped(self.source.shape[1], self.source.shape[0])
            blocks[reached.slices] = np.nan
            counted = counted[~np.isnan(counted)]
            blocks[reached.slices] = 0
        noise = float(np.median(counted)) if counted.size else np.nan
        return Outside(total / (3 * pixels) if pixels else np.nan, float(blocks.max()), noise)

    @cached_property
    def near(self) -> Neighbourhood | None:
        """The part of the frames round the box; None where no mouth was generated."""
        box = self.box
        if box is None:
            return None
        sides = (box.height, box.height, box.width, box.width)
        area = Box(*np.trunc(tuple(box.padded(*(4 + 0.3 * side for side in sides)))))
        area = area.clipped(self.source.shape[1], self.source.shape[0])
        return Neighbourhood(
            self.source[area.slices],
            self.output[area.slices],
            box.padded(area.y1, -area.y1, area.x1, -area.x1),
            self.mouth - np.array([area.x1, area.y1, area.x1, area.y1]),
        )


def frame_pairs(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], ledger: pd.DataFrame, ground_truth: pd.DataFrame | None = None
) -> Iterator[FramePair]:
    """Frames of source and output with their boxes, one pair after the other; two pairs at a time are in memory.

    Parameters
    ----------
    pairs : iterable of (source, output)
        Frames uint8 RGB (H, W, 3) in the ledger's order.
    ledger : DataFrame
        Columns `runs.LEDGER`.
    ground_truth : DataFrame, optional
        Ground truth of a synthetic clip, one row per frame.

    Raises
    ------
    ParameterError
        There are more pairs than rows of the ledger, or fewer rows of ground truth.
    """
    pasted, mouths = regions.generated(ledger), regions.mouths(ledger, ground_truth)
    true = regions.true_boxes(ground_truth, len(ledger), "mouth")
    before = None
    for row, (source, output) in regions.aligned(pairs, ledger):
        pair = FramePair(row, source, output, pasted[row], mouths[row], true[row], before)
        yield pair
        pair.before, before = None, pair
