"""What is wrong with a drawn mouth: source against output, in the lips, round them, on the seam and outside the box.

Every measure is 0 where the output is the source, and rises with the fault that it is named for (`matrix` shows that
each rises with its own fault more than with any other).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import pandas as pd

from lipsync_lab import drawings
from lipsync_lab.geometry import Box
from lipsync_lab.scoring import cadence, regions

MEASURES = ("blur", "seam", "colour", "new_colours", "lines", "ghost", "flicker", "outside", "outside_peak", "cropped")

#: Grey levels a pixel from which on a gradient is an edge, and below which a place is flat.
EDGE, FLAT = 14.0, 7.0
#: CIEDE2000 from the nearest colour of the source's palette from which on a colour is new. 2.3 is just noticeable; a
#: palette's cells and H.264's chroma account for the rest.
NEW = 7.0
#: Share of the source's pixels that a colour needs to belong to its palette, and bits a channel that it is counted in.
_SHARE, _BITS = 2e-4, 5
#: Most pixels of the skin that are compared, fewest that say anything, and neighbours looked at in the palette.
_MOST, _FEWEST, _NEIGHBOURS = 1500, 32, 4


@dataclass(frozen=True)
class Palette:
    """The colours of a source.

    Attributes
    ----------
    colours : ndarray, float64, (K, 3)
        CIELAB, D65.
    """

    colours: np.ndarray

    @cached_property
    def _tree(self):
        from scipy.spatial import cKDTree

        return cKDTree(self.colours)

    def distance(self, lab: np.ndarray) -> np.ndarray:
        """Distance of each colour (CIELAB, (N, 3)) to the nearest of the palette, (N,).

        CIEDE2000 to the nearest few in CIELAB; where CIELAB's own distance is small it is left at that, which is never
        much the smaller of the two.
        """
        from skimage.color import deltaE_ciede2000

        far, near = self._tree.query(lab, k=list(range(1, min(_NEIGHBOURS, len(self.colours)) + 1)))
        out = far[:, 0]
        doubtful = out > NEW / 2
        out[doubtful] = deltaE_ciede2000(lab[doubtful, None], self.colours[near[doubtful]]).min(axis=1)
        return out


def palette(sources: Iterable[np.ndarray], ledger: pd.DataFrame) -> Palette | None:
    """The colours that a source shows in the boxes drawn on; a part of its frames will do.

    Parameters
    ----------
    sources : iterable of ndarray, uint8, (H, W, 3)
        RGB, in the order of the ledger's rows.
    ledger : DataFrame
        Of a run; only the rows of these frames.

    Returns
    -------
    Palette or None
        Quantised to 5 bits a channel, each cell by the mean of what fell into it; None where there was no box.
    """
    count = np.zeros(1 << 3 * _BITS)
    total = np.zeros((1 << 3 * _BITS, 3))
    boxes = regions.boxes(ledger)
    for row, source in regions.aligned(sources, ledger):
        box = regions.inside(boxes[row], source.shape)
        if box is None:
            continue
        pixels = source[box.slices].reshape(-1, 3)
        cells = (pixels >> (8 - _BITS)).astype(np.int32) @ np.array([1 << 2 * _BITS, 1 << _BITS, 1], np.int32)
        count += np.bincount(cells, minlength=len(count))
        for channel in range(3):
            total[:, channel] += np.bincount(cells, pixels[:, channel], minlength=len(count))
    if not count.any():
        return None
    frequent = count >= _SHARE * count.sum()
    return Palette(_lab(total[frequent] / count[frequent, None]))


def rows(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    ledger: pd.DataFrame,
    truth: pd.DataFrame | None = None,
    palette: Palette | None = None,
) -> pd.DataFrame:
    """Artifacts, one row a frame.

    Parameters
    ----------
    pairs : iterable of (source, output)
        Frames uint8 RGB (H, W, 3) in the ledger's order; two at a time are kept.
    ledger : DataFrame
        Of a run (`runs.LEDGER`).
    truth : DataFrame, optional
        Of a made clip: where the lips are. Without it they are taken to be at `regions.LIPS` of the box.
    palette : Palette, optional
        Of `palette`; without it `new_colours` is undefined.

    Returns
    -------
    DataFrame, index ``frame``
        The columns `MEASURES`, of `compare` and `flicker`; and `cropped`, the share of the true mouth's box that lies
        outside the box drawn on (NaN without truth). All are NaN where no mouth was drawn, save those of the outside,
        which is the whole frame there.
    """
    lips, drawn = regions.mouths(ledger, truth), regions.drawn(ledger)
    found, change, noise, before = [], [], [], None
    for row, (source, output) in regions.aligned(pairs, ledger):
        box = regions.inside(drawn[row], source.shape)
        numbers = compare(source, output, box, lips[row], palette)
        change.append(np.nan)
        noise.append(np.nan)
        if before is not None:
            moved = drawings.changes(before[0], source)
            change[-1], noise[-1] = float(moved.max()), drawings.noise(moved)
            # what is drawn now against what was drawn there; a frame passed through between is no flicker
            if box is not None and not np.isnan(drawn[row - 1, 0]):
                numbers["flicker"] = flicker(before, (source, output), box, lips[row])
        if truth is not None:
            numbers["cropped"] = _cropped(drawn[row], regions.boxes(truth.iloc[row : row + 1], "mouth_")[0])
        found.append(numbers)
        before = source, output
    out = pd.DataFrame(found, columns=list(MEASURES), index=pd.Index(ledger["frame"].iloc[: len(found)], name="frame"))
    out.loc[cadence.held(change, noise) != 1, "flicker"] = np.nan
    return out.astype(float)


def compare(
    source: np.ndarray,
    output: np.ndarray,
    box: Box | None,
    mouth: np.ndarray,
    palette: Palette | None = None,
) -> dict[str, float]:
    """What one frame shows by itself.

    Parameters
    ----------
    source, output : ndarray, uint8, (H, W, 3)
        RGB.
    box : Box or None
        What was drawn on, in whole pixels.
    mouth : ndarray, (4,)
        The lips' box; NaN where it is unknown.
    palette : Palette, optional

    Returns
    -------
    dict
        blur
            1 - variance of the Laplacian in the lips, output over source (Pech-Pacheco et al. 2000), after the same
            ratio round the box is taken out, which is what the encode softens. 0 also where it is sharper.
        seam
            Grey levels by which the step across the box's border (the largest channel's) is higher than the source's.
        colour
            Mean CIEDE2000 (Sharma et al. 2005) of the flat places of the skin round the lips.
        new_colours
            Share of the lips' pixels that are new to the palette (further than `NEW`), beyond the source's own, after
            the middle shift of the skin is taken out: that is `colour`'s affair.
        lines
            Share of the gradient on the source's edges, round the lips, that is gone in the output; an edge that moved
            by a pixel counts as there.
        ghost
            The smaller of two shares of the source's edges in and round the lips: what is half there of them (neither
            as it was nor gone, from the gradient along the source's), and the edges that the output has where the
            source has none. High only where two mouths show through each other; 0.5 at most.
        outside, outside_peak
            Grey levels by which the frame outside the box changed: mean, and most changed block of 8 x 8.
    """
    out = _outside(source, output, box)
    if box is None:
        return out
    # only the neighbourhood is looked at from here on: what is drawn is a small part of the frame
    area = Box(
        *np.trunc(tuple(box.padded(*(4 + 0.3 * side for side in (box.height, box.height, box.width, box.width)))))
    )
    area = area.clipped(source.shape[1], source.shape[0])
    source, output = source[area.slices], output[area.slices]
    box = box.padded(area.y1, -area.y1, area.x1, -area.x1)
    mouth = mouth - np.array([area.x1, area.y1, area.x1, area.y1])
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in (source, output)]
    lips = regions.inside(mouth, source.shape, 0.1, 0.1)
    skin = regions.skin(source.shape, box, mouth)
    gradients = [_length(*_gradient(picture)) for picture in grey]
    out["seam"] = _seam(source, output, box)
    out["lines"] = _lines(*gradients, box, regions.inside(mouth, source.shape, *regions.CLEAR))
    shift = _skin_colours(source, output, skin & (gradients[0] < FLAT))
    if shift is not None:
        out["colour"] = shift[0]
    if lips is not None:
        out["blur"] = _blur(*grey, box, lips)
        wider = regions.inside(mouth, source.shape, *regions.CLEAR)
        out["ghost"] = _ghost(*(picture[wider.slices] for picture in grey))
        if palette is not None:
            out["new_colours"] = _new_colours(source[lips.slices], output[lips.slices], shift, palette)
    return out


def flicker(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], box: Box, mouth: np.ndarray
) -> float:
    """How much the skin round the lips changes from frame to frame beyond the source's own change.

    Parameters
    ----------
    before, after : (source, output)
        Two frames in a row, uint8 RGB (H, W, 3). `rows` keeps the number only where the source holds a drawing.
    box : Box
        What was drawn on in the later frame, in whole pixels.
    mouth : ndarray, (4,)
        The lips' box; they are left out, for a mouth that speaks has to move.

    Returns
    -------
    float
        Grey levels, mean over the skin, at least 0; NaN where there is no skin.
    """
    place = box.slices
    skin = regions.skin(after[0].shape, box, mouth)[place]
    if skin.sum() < _FEWEST:
        return np.nan
    source, output = (
        float(cv2.absdiff(first[place], second[place])[skin].mean())
        for first, second in zip(before, after, strict=True)
    )
    return max(0.0, output - source)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Mean and worst of each measure, and the share of frames that it covers (``<name>_covered``).

    Parameters
    ----------
    table : DataFrame
        Of `rows`.
    """
    out = {}
    for name in MEASURES:
        known = table[name]
        out |= {name: known.mean(), f"{name}_worst": known.max(), f"{name}_covered": known.notna().mean()}
    return {name: float(value) for name, value in out.items()}


def _outside(source: np.ndarray, output: np.ndarray, box: Box | None) -> dict[str, float]:
    change = cv2.absdiff(source, output)
    blocks = drawings.changes(source, output)
    pixels = change.shape[0] * change.shape[1]
    total = float(change.sum(dtype=np.float64))
    if box is not None:
        total -= float(change[box.slices].sum(dtype=np.float64))
        pixels -= int(box.area)
        # a block that reaches into the box says nothing about the outside
        blocks[box.padded(*[drawings.BLOCK // 2] * 4).clipped(source.shape[1], source.shape[0]).slices] = 0
    return {"outside": total / (3 * pixels) if pixels else np.nan, "outside_peak": float(blocks.max())}


def _gradient(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels a pixel, to the right and down (Sobel)."""
    return cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of vectors; the same for the same numbers to the last bit, which OpenCV's is not."""
    return np.sqrt(x * x + y * y)


def _blur(source: np.ndarray, output: np.ndarray, box: Box, lips: Box) -> float:
    detail = [cv2.Laplacian(picture, cv2.CV_32F) for picture in (source, output)]
    around = np.ones(source.shape, bool)
    around[box.padded(2, 2, 2, 2).clipped(source.shape[1], source.shape[0]).slices] = False
    of_source, of_output = (float(picture[lips.slices].var()) for picture in detail)
    if of_source < 1:
        return np.nan
    encode = 1.0
    if around.sum() >= _FEWEST and (there := float(detail[0][around].var())) >= 1:
        encode = min(1.0, max(0.1, float(detail[1][around].var()) / there))
    return max(0.0, 1 - of_output / of_source / encode)


def _seam(source: np.ndarray, output: np.ndarray, box: Box) -> float:
    steps = []
    for picture in (source, output):
        # the same border of the picture and of the picture on its side
        step = [_steps(picture, *(int(v) for v in (box.y1, box.y2, box.x1, box.x2)))]
        step.append(_steps(picture.swapaxes(0, 1), *(int(v) for v in (box.x1, box.x2, box.y1, box.y2))))
        steps.append(np.concatenate(step))
    return max(0.0, float((steps[1] - steps[0]).mean())) if len(steps[0]) else np.nan


def _steps(picture: np.ndarray, first: int, stop: int, start: int, end: int) -> np.ndarray:
    """Steps across the two borders that lie along rows: the largest channel's, grey levels."""
    found = [np.empty(0)]
    for inner, outer in ((first, first - 1), (stop - 1, stop)):
        if 0 <= outer < len(picture):
            found.append(cv2.absdiff(picture[inner, start:end], picture[outer, start:end]).max(axis=-1).astype(float))
    return np.concatenate(found)


def _skin_colours(source: np.ndarray, output: np.ndarray, flat: np.ndarray) -> tuple[float, np.ndarray] | None:
    """Mean CIEDE2000, and median shift in CIELAB."""
    from skimage.color import deltaE_ciede2000

    if flat.sum() < _FEWEST:
        return None
    places = np.flatnonzero(flat)
    places = places[:: -(-len(places) // _MOST)]
    first, second = (_lab(frame.reshape(-1, 3)[places]) for frame in (source, output))
    return float(deltaE_ciede2000(first, second).mean()), np.median(second - first, axis=0)


def _new_colours(source: np.ndarray, output: np.ndarray, shift, palette: Palette) -> float:
    new = []
    for lips, moved in ((source, 0.0), (output, 0.0 if shift is None else shift[1])):
        # a drawing has few colours: each is looked up once
        packed = lips.reshape(-1, 3).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        cells, count = np.unique(packed, return_counts=True)
        colours = np.stack((cells >> 16, cells >> 8 & 255, cells & 255), axis=1)
        new.append(float(count[palette.distance(_lab(colours) - moved) > NEW].sum() / count.sum()))
    return max(0.0, new[1] - new[0])


def _lines(source: np.ndarray, output: np.ndarray, box: Box, lips: Box | None) -> float:
    edges = np.zeros(source.shape, bool)
    edges[box.slices] = source[box.slices] > EDGE
    if lips is not None:
        edges[lips.slices] = False
    if edges.sum() < _FEWEST:
        return np.nan
    near = cv2.dilate(output, np.ones((3, 3), np.uint8))
    return float(np.maximum(source - near, 0)[edges].sum() / source[edges].sum())


def _ghost(source: np.ndarray, output: np.ndarray) -> float:
    (x, y), (x_out, y_out) = _gradient(source), _gradient(output)
    strength = _length(x, y)
    edges = strength > EDGE
    if edges.sum() < _FEWEST // 2:
        return np.nan
    whole = float(strength[edges].sum())
    # how much of each edge of the source is left: 1 all, 0 none; what is half there shows through
    gone = ((x * (x - x_out) + y * (y - y_out))[edges] / strength[edges] ** 2).clip(0, 1)
    through = float((np.minimum(gone, 1 - gone) * strength[edges]).sum()) / whole
    # not next to the source's own, where blur leaves some
    empty, drawn = cv2.dilate(edges.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0, _length(x_out, y_out)
    new = float(np.maximum(drawn - strength, 0)[empty & (drawn > FLAT)].sum()) / whole
    return min(through, new)


def _cropped(drawn: np.ndarray, mouth: np.ndarray) -> float:
    if np.isnan(drawn).any() or np.isnan(mouth).any():
        return np.nan
    lips, box = Box(*mouth), Box(*drawn)
    inner = Box(max(lips.x1, box.x1), max(lips.y1, box.y1), min(lips.x2, box.x2), min(lips.y2, box.y2))
    return 1 - inner.area / lips.area if lips.area else np.nan


def _lab(rgb: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return rgb2lab(np.asarray(rgb, float) / 255)
