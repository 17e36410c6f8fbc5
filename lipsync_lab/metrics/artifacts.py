"""Artifacts of a generated mouth: source against output, in the lips, round them, on the boundary and outside the box.

Every metric is 0 where the output is the source, and rises with the artifact that it is named for
(`validation.response`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import pandas as pd

from lipsync_lab.geometry import Box
from lipsync_lab.metrics import regions
from lipsync_lab.metrics.pairs import FEWEST, FLAT, FramePair, gradient, lab, length
from lipsync_lab.metrics.registry import Artifact, Metric
from lipsync_lab.metrics.validation import injected

if TYPE_CHECKING:
    from lipsync_lab.metrics.collect import ClipData

#: Grey levels a pixel at or above which a gradient is an edge.
EDGE = 14.0
#: CIEDE2000 from the nearest colour of the source's palette at which a colour is out of the palette. 2.3 is just
#: noticeable; the palette's cells and H.264's chroma account for the rest.
NEW = 7.0
#: Share of the source's pixels that a colour needs to belong to its palette, and bits a channel that it is counted in.
_SHARE, _BITS = 2e-4, 5
#: Neighbours looked up in the palette.
_NEIGHBOURS = 4


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

    def distance(self, colours: np.ndarray) -> np.ndarray:
        """Distance of each colour (CIELAB, (N, 3)) to the nearest of the palette, (N,).

        CIEDE2000 to the nearest few in CIELAB; small distances are those of CIELAB, which are never much smaller.
        """
        from skimage.color import deltaE_ciede2000

        out, _ = self._tree.query(colours)
        doubtful = out > NEW / 2
        _, near = self._tree.query(colours[doubtful], k=list(range(1, min(_NEIGHBOURS, len(self.colours)) + 1)))
        out[doubtful] = deltaE_ciede2000(colours[doubtful, None], self.colours[near]).min(axis=1)
        return out


class LipColours(NamedTuple):
    """Colours of the lips of one frame pair, kept until the palette is known.

    Each of `source` and `output` is a pair of arrays: distinct colours packed as 0xRRGGBB, uint32 (K,), and the number
    of pixels of each, uint32 (K,). `shift` is the median shift of the skin in CIELAB, which `colour_shift` measures.
    """

    source: tuple[np.ndarray, np.ndarray]
    output: tuple[np.ndarray, np.ndarray]
    shift: np.ndarray | float


class PaletteCount:
    """Counts the colours in the boxes of some source frames."""

    def __init__(self):
        self._count = np.zeros(1 << 3 * _BITS)
        self._total = np.zeros((1 << 3 * _BITS, 3))

    def add(self, source: np.ndarray, box: Box | None) -> None:
        """Count one frame, uint8 RGB (H, W, 3); nothing is counted without a box."""
        if box is None:
            return
        pixels = source[box.slices].reshape(-1, 3)
        cells = (pixels >> (8 - _BITS)).astype(np.int32) @ np.array([1 << 2 * _BITS, 1 << _BITS, 1], np.int32)
        self._count += np.bincount(cells, minlength=len(self._count))
        for channel in range(3):
            self._total[:, channel] += np.bincount(cells, pixels[:, channel], minlength=len(self._count))

    def palette(self) -> Palette | None:
        """Cells of 5 bits a channel, each by the mean of what fell into it; None where nothing was counted."""
        if not self._count.any():
            return None
        frequent = self._count >= _SHARE * self._count.sum()
        return Palette(lab(self._total[frequent] / self._count[frequent, None]))


def palette(sources: Iterable[np.ndarray], ledger: pd.DataFrame) -> Palette | None:
    """The palette of source frames, uint8 RGB (H, W, 3), inside the boxes of their ledger; None without a box."""
    counted, boxes = PaletteCount(), regions.boxes(ledger)
    for row, source in regions.aligned(sources, ledger):
        counted.add(source, regions.inside(boxes[row], source.shape))
    return counted.palette()


def sharpness_loss(pair: FramePair) -> float:
    """1 - variance of the Laplacian in the lips, output over source (Pech-Pacheco et al. 2000).

    The same ratio round the box, the effect of the encode, is divided out. 0 also where the output is sharper;
    NaN without lips, and where the source has no detail.
    """
    near = pair.near
    if near is None or near.lips is None:
        return np.nan
    lips, box = near.lips, near.box
    detail = [cv2.Laplacian(image, cv2.CV_32F) for image in near.grey]
    around = np.ones(near.source.shape[:2], bool)
    around[box.padded(2, 2, 2, 2).clipped(around.shape[1], around.shape[0]).slices] = False
    of_source, of_output = (float(image[lips.slices].var()) for image in detail)
    if of_source < 1:
        return np.nan
    encode = 1.0
    if around.sum() >= FEWEST and (there := float(detail[0][around].var())) >= 1:
        encode = min(1.0, max(0.1, float(detail[1][around].var()) / there))
    return max(0.0, 1 - of_output / of_source / encode)


def boundary_step(pair: FramePair) -> float:
    """Grey levels by which the step across the box's border (the largest channel's) is higher than the source's."""
    near = pair.near
    if near is None:
        return np.nan
    box, steps = near.box, []
    for image in (near.source, near.output):
        # the horizontal borders of the picture, and of its transpose
        step = [_steps(image, *(int(v) for v in (box.y1, box.y2, box.x1, box.x2)))]
        step.append(_steps(image.swapaxes(0, 1), *(int(v) for v in (box.x1, box.x2, box.y1, box.y2))))
        steps.append(np.concatenate(step))
    return max(0.0, float((steps[1] - steps[0]).mean())) if len(steps[0]) else np.nan


def colour_shift(pair: FramePair) -> float:
    """Mean CIEDE2000 (Sharma et al. 2005) of the flat places of the skin round the lips."""
    from skimage.color import deltaE_ciede2000

    skin = None if pair.near is None else pair.near.skin_colours
    return np.nan if skin is None else float(deltaE_ciede2000(*skin).mean())


def lip_colours(pair: FramePair) -> LipColours | None:
    """What `out_of_palette` needs of one frame; None without lips."""
    near = pair.near
    if near is None or near.lips is None:
        return None
    skin, packed = near.skin_colours, []
    for image in (near.source, near.output):
        pixels = image[near.lips.slices].reshape(-1, 3).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        packed.append(tuple(part.astype(np.uint32) for part in np.unique(pixels, return_counts=True)))
    return LipColours(*packed, 0.0 if skin is None else np.median(skin[1] - skin[0], axis=0))


def out_of_palette(frames: Sequence[LipColours | None], palette: Palette | None) -> list[float]:
    """Share of the lips' pixels that are further than `NEW` from the palette, beyond the source's own share.

    The median shift of the skin is taken out first. NaN without lips or palette. A colour that several frames of the
    source have is compared with the palette once.
    """
    known = [colours for colours in frames if colours is not None]
    if palette is None or not known:
        return [np.nan] * len(frames)
    of_source = np.unique(np.concatenate([colours.source[0] for colours in known]))
    is_new, out = palette.distance(_unpacked(of_source)) > NEW, []
    for colours in frames:
        if colours is None:
            out.append(np.nan)
            continue
        (packed, count), (packed_output, count_output) = colours.source, colours.output
        own = float(count[is_new[np.searchsorted(of_source, packed)]].sum() / count.sum())
        far = palette.distance(_unpacked(packed_output) - colours.shift) > NEW
        out.append(max(0.0, float(count_output[far].sum() / count_output.sum()) - own))
    return out


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """CIELAB of colours that are packed as in `LipColours`."""
    return lab(np.stack((packed >> 16, packed >> 8 & 255, packed & 255), axis=1))


def line_art_loss(pair: FramePair) -> float:
    """Share of the gradient on the source's edges, round the lips, that is gone in the output.

    An edge that moved by a pixel counts as there. NaN where the source has hardly an edge.
    """
    near = pair.near
    if near is None:
        return np.nan
    source, output = near.gradients
    edges = np.zeros(source.shape, bool)
    edges[near.box.slices] = source[near.box.slices] > EDGE
    if near.clear is not None:
        edges[near.clear.slices] = False
    if edges.sum() < FEWEST:
        return np.nan
    dilated = cv2.dilate(output, np.ones((3, 3), np.uint8))
    return float(np.maximum(source - dilated, 0)[edges].sum() / source[edges].sum())


def ghosting(pair: FramePair) -> float:
    """How much two mouths show through each other, 0.5 at most.

    The smaller of two shares of the source's edges in and round the lips: those that are half left (by the gradient
    along the source's), and the edges of the output where the source has none.
    """
    near = pair.near
    if near is None or near.lips is None:
        return np.nan
    source, output = (image[near.clear.slices] for image in near.grey)
    (x, y), (x_out, y_out) = gradient(source), gradient(output)
    strength = length(x, y)
    edges = strength > EDGE
    if edges.sum() < FEWEST // 2:
        return np.nan
    whole = float(strength[edges].sum())
    # the share of each edge that is lost; an edge that is half left shows through
    gone = ((x * (x - x_out) + y * (y - y_out))[edges] / strength[edges] ** 2).clip(0, 1)
    through = float((np.minimum(gone, 1 - gone) * strength[edges]).sum()) / whole
    # not next to the source's own edges, where blur leaves some
    empty = cv2.dilate(edges.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    of_output = length(x_out, y_out)
    new = float(np.maximum(of_output - strength, 0)[empty & (of_output > FLAT)].sum()) / whole
    return min(through, new)


def temporal_flicker(pair: FramePair) -> float:
    """Grey levels by which the skin round the lips changes from frame to frame beyond the source's own change.

    The lips are left out: they move with the voice. NaN without skin, in the first frame, and where either
    frame has no generated mouth. It is defined during holds only (`on_holds`).
    """
    if pair.before is None or pair.box is None or np.isnan(pair.before.pasted[0]):
        return np.nan
    place = pair.box.slices
    skin = regions.skin(pair.source.shape, pair.box, pair.mouth)[place]
    if skin.sum() < FEWEST:
        return np.nan
    pictures = ((pair.before.source, pair.source), (pair.before.output, pair.output))
    source, output = (float(cv2.absdiff(first[place], second[place])[skin].mean()) for first, second in pictures)
    return max(0.0, output - source)


def background_change_noise(pair: FramePair) -> float:
    """Background change in units of the encode noise; NaN where the median block did not change."""
    mean, _, noise = pair.outside
    return mean / noise if noise > 0 else np.nan


def crop_truncation(pair: FramePair) -> float:
    """Share of the true mouth's box that lies outside the box with the generated mouth; NaN without ground truth."""
    if np.isnan(pair.pasted).any() or np.isnan(pair.true_mouth).any():
        return np.nan
    lips, box = Box(*pair.true_mouth), Box(*pair.pasted)
    inner = Box(max(lips.x1, box.x1), max(lips.y1, box.y1), min(lips.x2, box.x2), min(lips.y2, box.y2))
    return 1 - inner.area / lips.area if lips.area else np.nan


def on_holds(clip: ClipData) -> np.ndarray:
    """`temporal_flicker` where the source holds its drawing, NaN elsewhere."""
    return np.where(clip.frames["held"] == 1, np.array(clip.collected["temporal_flicker"], float), np.nan)


def _steps(picture: np.ndarray, first: int, stop: int, start: int, end: int) -> np.ndarray:
    """Steps across the two borders that lie along rows: the largest channel's, grey levels."""
    steps = [np.empty(0)]
    for inner, outer in ((first, first - 1), (stop - 1, stop)):
        if 0 <= outer < len(picture):
            steps.append(cv2.absdiff(picture[inner, start:end], picture[outer, start:end]).max(axis=-1).astype(float))
    return np.concatenate(steps)


METRICS = (
    Metric(
        *("crop_truncation", "share of the mouth", "detection", "crop truncation", 0.02, 0.5),
        "{value:.0%} of the true mouth lies outside the box",
        of_pair=crop_truncation,
        requires="a generated mouth and ground truth",
    ),
    Metric(
        *("sharpness_loss", "share of the sharpness", "picture", "sharpness loss", 0.35, 1.0),
        "the mouth has {value:.0%} less detail than the source's: it is blurred, or its shape has fewer edges",
        of_pair=sharpness_loss,
        artifact=Artifact("Gaussian blur", injected.blur),
    ),
    Metric(
        *("boundary_artifact", "grey levels", "picture", "boundary artifact", 4.0, 30.0),
        "the step across the boundary is {value:.1f} grey levels higher than in the source",
        of_pair=boundary_step,
        artifact=Artifact("boundary step", injected.boundary_step),
    ),
    Metric(
        *("colour_shift", "CIEDE2000", "picture", "colour shift", 3.0, 15.0),
        "the skin colour differs by {value:.1f} (CIEDE2000) from the source",
        of_pair=colour_shift,
        artifact=Artifact("hue", injected.hue),
    ),
    Metric(
        *("out_of_palette", "share of the lips", "picture", "out-of-palette colours", 0.05, 0.5),
        "{value:.0%} of the mouth has colours outside the source's palette",
        of_pair=lip_colours,
        of_clip=lambda clip: out_of_palette(clip.collected["out_of_palette"], clip.palette),
        artifact=Artifact("extra colours", injected.extra_colours),
        definition="Share of the mouth's pixels whose colours do not occur in the source",
    ),
    Metric(
        *("line_art_loss", "share of the edges", "picture", "line-art loss", 0.25, 1.0),
        "{value:.0%} of the source's line art is lost",
        of_pair=line_art_loss,
        artifact=Artifact("erased outlines", injected.erased_outlines),
    ),
    Metric(
        *("ghosting", "share of the edges", "picture", "ghosting", 0.25, 0.5),
        "the source's mouth shows through the generated one ({value:.2f} of at most 0.5)",
        of_pair=ghosting,
        artifact=Artifact("blended mouths", injected.blended_mouths),
        definition="Share of the edges of the source's mouth that show through the generated one, 0.5 at most",
    ),
    Metric(
        *("temporal_flicker", "grey levels", "picture", "temporal flicker", 2.0, 12.0),
        "the skin changes by {value:.1f} grey levels during a hold",
        of_pair=temporal_flicker,
        of_clip=on_holds,
        requires="a generated mouth during a hold",
        artifact=Artifact("skin noise", injected.skin_noise),
    ),
    Metric(
        *("background_change", "grey levels", "picture", "background change", 2.0, 10.0),
        "the frame outside the box changes by {value:.1f} grey levels",
        of_pair=lambda pair: pair.outside.mean,
        definition="Mean difference between output and source outside of the box",
    ),
    Metric(
        "background_change_peak",
        "grey levels",
        "picture",
        of_pair=lambda pair: pair.outside.peak,
        definition="Largest difference between output and source outside of the box, of all blocks",
    ),
    Metric(
        *("encode_noise", "grey levels", "picture"),
        of_pair=lambda pair: pair.outside.noise,
        requires="a pixel outside of the box",
        definition="Difference between output and source in the median block outside of the box",
    ),
    Metric(
        *("background_change_noise", "encode noise", "picture"),
        of_pair=background_change_noise,
        untouched=float("nan"),
        requires="noise of an encode outside of the box",
        definition="Background change in units of the encode noise: about 1 to 2 where the encode alone made it",
    ),
)
