"""How an output lines up with its source: the source frame that each output frame shows, and the part of it.

Luma of small frames is correlated. First the geometry is alignment on frames that lie far apart (a stretch of the whole
picture, bars, or a crop by template matching over scales), then the offset, the frame rates' ratio and the extension
of a source that is shorter, by the correlation over all offsets, then the geometry again to a fraction of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import registration
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import Clip, View, play_order

#: How an output goes on after the source's last frame; "none" where what follows is not the source.
LOOPS = ("loop", "pingpong", "hold", "none")
#: Least correlation of the same footage. On 28 published outputs it is 0.98 and more; between outputs and the sources
#: of other clips it is 0.30 and less (n = 746 pairings).
SAME = 0.7
#: Output frames that are compared over all offsets, and frames that refine the geometry.
_COMPARED, _REFINED = 96, 4
#: Share of the pixels that are masked since the model may have changed them, and passes in which they are alignment.
_MASKED, _PASSES = 0.25, 3
#: Share of the best cost within which a smaller offset is preferred.
_TIE = 0.03
#: Grey levels (RMS over time, of small frames) below which a source is still.
_STILL = 0.5
#: Most frames that are in memory where a source is shown backwards.
_BLOCK = 16


@dataclass(frozen=True)
class Alignment:
    """How an output lines up with its source.

    Attributes
    ----------
    source_size, output_size : (width, height)
        Pixels.
    source_frames, output_frames : int
    fps : Fraction
        Frames a second of the output.
    rate : float
        Source frames that pass in one output frame: 1 where frames align by index.
    offset : float
        Source frame that output frame 0 shows; negative where the output starts earlier. A whole number if `rate` is 1.
    loop : str
        One of `LOOPS`: what follows the source's last frame, if the output goes on.
    source_box : Box
        The part of the source that the output shows, in pixels of the source.
    output_box : Box
        Where it is shown, in whole pixels of the output; less than the frame where the output has bars.
    start, end : float
        Median correlation of the aligned frames in the first and in the last eighth of the output, -1 to 1.
    contrast : float
        0 where every offset fits equally (a still source), near 1 where only `offset` fits.
    """

    source_size: tuple[int, int]
    output_size: tuple[int, int]
    source_frames: int
    output_frames: int
    fps: Fraction
    rate: float
    offset: float
    loop: str
    source_box: Box
    output_box: Box
    start: float
    end: float
    contrast: float

    @property
    def confidence(self) -> float:
        """The smaller of `start` and `end`."""
        return min(self.start, self.end)

    @property
    def scale(self) -> tuple[float, float]:
        """Output pixels for a source pixel, across and down."""
        return self.output_box.width / self.source_box.width, self.output_box.height / self.source_box.height

    @property
    def letterbox(self) -> bool:
        """Whether the output has bars beside the picture."""
        return tuple(self.output_box) != (0, 0, *self.output_size)

    @property
    def cropped(self) -> bool:
        """Whether the output shows less than the whole source."""
        return tuple(self.source_box) != (0, 0, *self.source_size)

    def order(self) -> np.ndarray:
        """Number of the source frame that each output frame shows, int64 (output_frames,); -1 where it shows none."""
        return _order(self.offset, self.rate, self.loop, self.source_frames, self.output_frames)

    def to_output(self, box: Box) -> Box:
        """A box in source pixels, in pixels of the aligned frames (the inside of `output_box`)."""
        x, y = self.scale
        part = self.source_box
        return Box((box.x1 - part.x1) * x, (box.y1 - part.y1) * y, (box.x2 - part.x1) * x, (box.y2 - part.y1) * y)

    def resample(self, frame: np.ndarray) -> np.ndarray:
        """A source frame, uint8 RGB (H, W, 3), as the output would show it without the model."""
        size = round(self.output_box.width), round(self.output_box.height)
        if not self.cropped and size == self.source_size:
            return frame
        return registration.warped(frame, self.source_box, size)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Alignment:
        """From the mapping that `as_dict` makes."""
        boxes = {name: Box(*values[name]) for name in ("source_box", "output_box")}
        sizes = {name: tuple(values[name]) for name in ("source_size", "output_size")}
        rest = {field.name: values[field.name] for field in fields(cls)} | sizes | boxes
        return cls(**rest | {"fps": Fraction(values["fps"])})

    def as_dict(self) -> dict:
        """For JSON."""
        given = asdict(self) | {
            name: list(getattr(self, name)) for name in ("source_size", "output_size", "source_box", "output_box")
        }
        return given | {"fps": str(self.fps), "confidence": self.confidence, "scale": list(self.scale)}


def align(
    source: Clip,
    output: Clip,
    *,
    offset: float | None = None,
    rate: float | None = None,
    loop: str | None = None,
    source_box: Box | None = None,
    output_box: Box | None = None,
) -> Alignment:
    """Estimate how an output lines up with its source.

    Parameters
    ----------
    source, output : Clip
        Each is read once, and a few of their frames again. The source may be a still picture.
    offset, rate, loop, source_box, output_box
        Attributes of `Alignment`, which are taken as given; what is None is estimated. Of the boxes, one alone means
        that the other is the whole picture.

    Returns
    -------
    Alignment

    Raises
    ------
    ParameterError
        The two are not the same footage: the correlation at the start or at the end is below `SAME`. An override that
        is impossible.
    """
    if loop is not None and loop not in LOOPS:
        raise ParameterError(f"unknown loop {loop!r}; known: {', '.join(LOOPS)}")
    if rate is not None and not 0 < rate < 100:
        raise ParameterError(f"a rate of {rate} source frames for an output frame is not possible")
    (first, source_size), (second, output_size) = _small_frames(source), _small_frames(output)
    known = source_box is not None or output_box is not None
    boxes = source_box or registration.whole(source_size), output_box or registration.whole(output_size)
    if not known:
        boxes = registration.coarse_geometry(first, second, source_size, output_size)
    rates = [rate] if rate is not None else sorted({1.0, float(source.fps / output.fps)}, key=lambda r: r != 1)
    search = partial(_timing, offset=offset, rates=rates, loop=loop)
    alignment = _estimated(first, second, source_size, output_size, output.fps, boxes, search)
    if not known and alignment.confidence >= SAME / 2:
        refined = registration.refined_geometry(_sampled(source, output, alignment), *boxes)
        if refined != boxes:
            alignment = _estimated(first, second, source_size, output_size, output.fps, refined, search)
    if alignment.confidence < SAME:
        raise ParameterError(
            f"{source.name} and {output.name} do not show the same footage: at the best alignment (offset "
            f"{alignment.offset:g} frames) their luma correlates by {alignment.start:.2f} at the start and "
            f"{alignment.end:.2f} at the end, and {SAME} is needed"
        )
    return alignment


def aligned_pairs(source: Clip, output: Clip, alignment: Alignment) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of source and output that show the same.

    The source is resampled to the output's geometry, and not the output to the source's: the output is what is
    measured, and resampling would soften it; and a source that was scaled down with the output has lost the detail
    that the model is not to blame for. Bars are cut off.

    Parameters
    ----------
    source, output : Clip
        Those that `align` was given.
    alignment : Alignment

    Yields
    ------
    (ndarray, ndarray)
        uint8 RGB (h, w, 3), of the size of `Alignment.output_box`, one pair for each output frame that shows a source
        frame (`Alignment.order`).
    """
    yield from zip(aligned_source(source, alignment).read(0, None), aligned_output(output, alignment), strict=False)


def aligned_source(source: Clip, alignment: Alignment) -> Clip:
    """The source as the output would show it without the model: a clip with a frame for each aligned output frame.

    Detectors read it like any other clip; its `identity` has the alignment in it.
    """
    order = alignment.order()
    order = order[order >= 0]
    size = round(alignment.output_box.width), round(alignment.output_box.height)

    def read(start: int, stop: int | None) -> Iterator[np.ndarray]:
        return map(alignment.resample, _in_order(source, order[start:stop]))

    identity = source.identity and {**source.identity, "alignment": alignment.as_dict()}
    return Clip(source.name, alignment.fps, View(size), source.full_range, read, len(order), identity)


def aligned_output(output: Clip, alignment: Alignment) -> Iterator[np.ndarray]:
    """The output's frames that show a source frame, uint8 RGB (h, w, 3), without bars."""
    place = alignment.output_box.slices
    for number, image in zip(alignment.order(), output.read(0, None), strict=False):
        if number >= 0:
            yield image[place]


def _in_order(source: Clip, order: np.ndarray) -> Iterator[np.ndarray]:
    """Frames by their numbers: streamed where the numbers rise by little, a block at a time where they fall."""
    steps = np.diff(order)
    turns = np.flatnonzero((np.abs(steps) > _BLOCK) | np.r_[False, np.sign(steps[1:]) * np.sign(steps[:-1]) < 0]) + 1
    for run in np.split(order, turns):
        if not len(run) or run[0] <= run[-1]:
            numbered = enumerate(source.read(int(run[0]), int(run[-1]) + 1), int(run[0])) if len(run) else iter(())
            at, frame = -1, None
            for number in run:
                while at < number:
                    at, frame = next(numbered)
                yield frame
        else:
            for first in range(0, len(run), _BLOCK):
                part = run[first : first + _BLOCK]
                kept = list(source.read(int(part[-1]), int(part[0]) + 1))
                yield from (kept[number - part[-1]] for number in part)


def _small_frames(clip: Clip) -> tuple[np.ndarray, tuple[int, int]]:
    """Luma uint8 (N, h, w) of every frame, and the frames' width and height."""
    small, size = [], clip.view.size
    for frame in clip.read(0, None):
        size = frame.shape[1], frame.shape[0]
        small.append(registration.luma(frame, 2 * registration.SMALL))
    if not small:
        raise ParameterError(f"{clip.name}: has no frame to compare")
    return np.stack(small), size


def _sampled(source: Clip, output: Clip, alignment: Alignment) -> list[tuple[np.ndarray, np.ndarray]]:
    """Luma uint8 (H, W) of a few aligned frames."""
    order = alignment.order()
    there = np.flatnonzero(order >= 0)
    pairs = []
    for number in there[registration.spread(len(there), _REFINED)].tolist():
        frames = (next(clip.read(at, at + 1)) for clip, at in ((source, int(order[number])), (output, number)))
        pairs.append(tuple(registration.luma(frame, max(frame.shape)) for frame in frames))
    return pairs


def _order(offset: float, rate: float, loop: str, source_frames: int, output_frames: int) -> np.ndarray:
    number = np.floor(offset + rate * np.arange(output_frames) + 1e-6).astype(np.int64)
    after = number >= source_frames
    if after.any():
        extended = play_order(source_frames, int(number.max()) + 1, "hold" if loop == "none" else loop)
        number[after] = -1 if loop == "none" else extended[number[after]]
    return np.maximum(number, -1)


def _timing(first, second, *, offset, rates, loop) -> tuple[float, float, str, float]:
    """Rate, offset, loop and contrast from small frames in one geometry, float32 (N, h, w)."""
    usual = rates[0], offset or 0.0, loop or "loop", 0.0
    first = first.reshape(len(first), -1)
    if len(first) == 1 or float(first.std(axis=0).mean()) < _STILL:
        return usual
    sampled = registration.spread(len(second), _COMPARED)
    second, middle = second.reshape(len(second), -1)[sampled], first.mean(axis=0)
    first, second = first - middle, second - middle
    residual = np.abs(second.mean(axis=0))
    for _ in range(_PASSES):
        # what the model changed differs the most, at the right offset and at offsets near it
        steady = residual <= np.quantile(residual, 1 - _MASKED)
        (rate, start, way, contrast), number = _best_timing(
            first[:, steady], second[:, steady], sampled, offset=offset, rates=rates, loop=loop
        )
        there = number >= 0
        residual = np.abs(second[there] - first[number[there]]).mean(axis=0)
    return rate, start, way, contrast


def _best_timing(first, second, sampled, *, offset, rates, loop):
    """Rate, offset, loop and contrast of the least mean square difference, and the source frames of the sampled ones.

    `first` has all source frames and `second` the output's `sampled` ones, float32 (N, pixels).
    """
    product = 2 / first.shape[1] * (second @ first.T)
    cost = (second**2).mean(axis=1)[:, None] + (first**2).mean(axis=1) - product
    count, length, best = len(first), int(sampled[-1]) + 1, None
    for rate in rates:
        reach = rate * (length - 1)
        step = 1.0 if rate == 1 else 0.25
        offsets = np.arange(-min(reach, count) // 2, count, step) if offset is None else np.array([float(offset)])
        for way in [loop] if loop else LOOPS[:3]:
            numbers, costs = [], np.full(len(offsets), np.inf)
            for row, start in enumerate(offsets):
                number = _order(start, rate, way, count, length)[sampled]
                numbers.append(number)
                there = number >= 0
                if 2 * there.sum() >= len(number):
                    costs[row] = max(0.0, float(cost[there, number[there]].mean()))
            if not np.isfinite(costs).any():
                continue
            near = np.flatnonzero(costs <= costs.min() * (1 + _TIE))
            row = near[np.abs(offsets[near]).argmin()]
            if best is None or costs[row] < best[0] * (1 - _TIE):
                median = float(np.median(costs[np.isfinite(costs)]))
                timing = rate, float(offsets[row]), way, float(1 - costs[row] / max(median, 1e-9))
                best = costs[row], timing, numbers[row]
    if best is None:
        raise ParameterError(f"with an offset of {offset} frames less than half of the output shows the source")
    return best[1:]


def _estimated(first, second, source_size, output_size, fps, boxes, search) -> Alignment:
    """The alignment in a geometry."""
    shape = registration.small_shape(boxes[1])
    small = [
        np.stack(registration.cut(images, box, size, shape)).astype(np.float32)
        for images, box, size in zip((first, second), boxes, (source_size, output_size), strict=True)
    ]
    rate, offset, loop, contrast = search(*small)
    order = _order(offset, rate, loop, len(first), len(second))
    there = np.flatnonzero(order >= 0)
    correlation = np.full(len(order), np.nan)
    correlation[there] = (registration.unit(small[1][there]) * registration.unit(small[0][order[there]])).sum(axis=1)
    after = there >= np.flatnonzero(np.floor(offset + rate * np.arange(len(order)) + 1e-6) < len(first))[-1] + 1
    if (
        len(first) > 1
        and after.any()
        and np.median(correlation[there[after]]) < SAME <= np.median(correlation[there[~after]])
    ):
        loop, there = "none", there[~after]
    eighth = max(1, len(there) // 8)
    start, end = (float(np.median(correlation[part])) for part in (there[:eighth], there[-eighth:]))
    sizes = source_size, output_size
    return Alignment(*sizes, len(first), len(second), fps, rate, offset, loop, *boxes, start, end, contrast)
