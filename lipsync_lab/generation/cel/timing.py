"""The exposure sheet of a voice: which mouth shape each frame shows.

A mouth in animation does not follow the sound continuously: it is one shape of the chart (`shapes.CHART`), and changes
only where the drawing of the clip changes, or every few frames of a long hold. The frames between two such moments are
an *exposure*. Dynamic programming (Viterbi 1967) finds the shapes of all exposures that fit the sound best, with a cost
for each change; an exposure in which the lips close for m, b or p is closed, whatever fits best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.shapes import CHART, CLOSED, SHAPES, MouthShape
from lipsync_lab.geometry import spans
from lipsync_lab.media import audio

#: Shortest time for which a mouth is shown, in seconds, as in Rhubarb Lip Sync.
SHORTEST = 0.07
#: Cost of a change of shape, in nats of one mel column: without it, mouths flicker where two shapes fit equally.
CHANGE = 1.0
#: Openings of a shape that are drawn, as shares of the chart's: quiet speech opens the mouth less.
LEVELS = (0.4, 0.6, 0.8, 1.0)
#: Probability of a closed mouth (shape A) at or above which the sound has a closure that must be shown.
CLOSURE = 0.25


@dataclass(frozen=True)
class Cue:
    """A mouth shape from `start` to `end` (seconds)."""

    start: float
    end: float
    shape: MouthShape


@dataclass(frozen=True, eq=False)
class SpokenShapes:
    """What `classify` finds in a voice, by mel column (80 a second).

    Attributes
    ----------
    probabilities : ndarray, float32, (9, T)
        Of `SHAPES`.
    openness : ndarray, float32, (T,)
        0 (closed) to 1 (the widest mouth of the chart).
    """

    probabilities: np.ndarray
    openness: np.ndarray


def classify(mel: np.ndarray, network) -> SpokenShapes:
    """Find the mouth shapes of a voice.

    Parameters
    ----------
    mel : ndarray, float32, (80, T)
        Of `media.audio.melspectrogram`.
    network : torch.nn.Module
        `models.visemes.VisemeNet`.
    """
    import torch

    with torch.inference_mode():
        device = next(network.parameters()).device
        given = network(torch.from_numpy(np.ascontiguousarray(mel, np.float32))[None].to(device))[0].float().cpu()
    count = len(SHAPES)
    return SpokenShapes(given[:count].softmax(0).numpy(), given[count].sigmoid().numpy())


def exposures(shown: np.ndarray, fps: float) -> list[tuple[int, int]]:
    """Frames that show one mouth: first frame and one past the last, half-open, in order, without gaps.

    Parameters
    ----------
    shown : ndarray, int64, (M,)
        Output frame whose mouth each frame may show at the earliest, as `plan.Plan.mouths`: a frame with its own number
        may have a new mouth, one with an earlier number is held. -1 ends an exposure.
    fps : float
        An exposure lasts `SHORTEST` at least: drawings that change faster share a mouth.
    """
    least, edges, shown = max(1, round(SHORTEST * fps)), [0], np.asarray(shown)
    for frame in range(1, len(shown)):
        begins_or_ends = (shown[frame] < 0) != (shown[frame - 1] < 0)
        if begins_or_ends or (shown[frame] == frame and frame - edges[-1] >= least):
            edges.append(frame)
    return list(zip(edges, [*edges[1:], len(shown)], strict=True)) if len(shown) else []


def sheet(
    spoken: SpokenShapes, exposed: Sequence[tuple[int, int]], fps: float, audio_offset: int = 0, change: float = CHANGE
) -> list[MouthShape]:
    """The mouth shape of every exposure.

    Parameters
    ----------
    spoken : SpokenShapes
    exposed : sequence of (first, last)
        Frames of each exposure, half-open, of `exposures`.
    fps : float
    audio_offset : int
        Frames by which the sound of a mouth begins earlier; -2 lets mouths lead the sound by one drawing on twos, as
        animators do.
    change : float
        See `CHANGE`.
    """
    if not exposed:
        return []
    columns = spoken.probabilities.shape[1]
    rate = audio.MELS_PER_SECOND / fps
    parts = []
    for first, last in exposed:
        begin, end = (round((frame - audio_offset) * rate) for frame in (first, last))
        begin = min(max(begin, 0), columns - 1)
        parts.append(slice(begin, min(max(end, begin + 1), columns)))
    shares = np.stack([_shares(spoken.probabilities[:, part]) for part in parts])
    lengths = np.array([part.stop - part.start for part in parts])
    scores = lengths[:, None] * np.log(np.maximum(shares, 1e-4))
    for place in _closures(spoken, parts):
        scores[place, [index for index, shape in enumerate(SHAPES) if shape not in CLOSED]] = -np.inf
    path = _best_path(scores, change)
    # the network's number and the opening that its shapes are expected to have err apart
    expected = shares @ [CHART[shape].openness for shape in SHAPES]
    openness = [(spoken.openness[part].mean() + each) / 2 for part, each in zip(parts, expected, strict=True)]
    return [_opened(CHART[SHAPES[index]], wanted) for index, wanted in zip(path, openness, strict=True)]


def _shares(probabilities: np.ndarray) -> np.ndarray:
    """The share of an exposure in which each shape is spoken, (9,).

    Its middle counts twice as much as its ends, since the network's borders are not exact. A sum of logarithms would
    rule out a shape that a single column denies.
    """
    middle = 1 + np.hanning(probabilities.shape[1] + 2)[1:-1]
    return np.average(probabilities, axis=1, weights=middle)


def _closures(spoken: SpokenShapes, parts: Sequence[slice]) -> set[int]:
    """The exposures that must be closed: of each closure, the one that has most of it."""
    closed = spoken.probabilities[SHAPES.index("A")]
    places = set()
    starts = np.array([part.start for part in parts])
    for first, last in spans(closed > CLOSURE):
        near = range(max(int(np.searchsorted(starts, first, "right")) - 1, 0), int(np.searchsorted(starts, last)))
        shares = [closed[max(first, parts[place].start) : min(last, parts[place].stop)].sum() for place in near]
        if shares:
            places.add(near[int(np.argmax(shares))])
    return places


def _best_path(scores: np.ndarray, change: float) -> list[int]:
    """The state of each step with the largest sum of scores, less `change` for each change of state (Viterbi)."""
    total, came_from = scores[0], []
    for step in scores[1:]:
        best = int(np.argmax(total))
        stays = total >= total[best] - change
        came_from.append(np.where(stays, np.arange(len(total)), best))
        total = np.where(stays, total, total[best] - change) + step
    path = [int(np.argmax(total))]
    for origin in reversed(came_from):
        path.append(int(origin[path[-1]]))
    return path[::-1]


def _opened(shape: MouthShape, openness: float) -> MouthShape:
    """A shape of the chart, opened as wide as the sound asks for, in steps of `LEVELS`."""
    if shape.openness == 0:
        return shape
    level = min(LEVELS, key=lambda level: abs(level - openness / shape.openness))
    return replace(shape, openness=shape.openness * level)


def cues(shapes: Sequence[MouthShape], exposed: Sequence[tuple[int, int]], fps: float) -> list[Cue]:
    """The shapes of exposures as times; neighbours that look the same are one cue."""
    out: list[Cue] = []
    for shape, (first, last) in zip(shapes, exposed, strict=True):
        if out and out[-1].shape == shape and out[-1].end == first / fps:
            out[-1] = replace(out[-1], end=last / fps)
        else:
            out.append(Cue(first / fps, last / fps, shape))
    return out


def shapes_at(given: Sequence[Cue], frames: int, fps: float) -> list[MouthShape | None]:
    """The shape of each frame from cues: that of the cue in which the middle of the frame lies, None where there is
    none.

    Raises
    ------
    ParameterError
        There are no cues, or they are not in the order of time.
    """
    if not given or any(a.end > b.start + 1e-6 for a, b in zip(given, given[1:], strict=False)):
        raise ParameterError("the mouth timing has no cues, or cues that overlap; give one shape at a time")
    starts, middles = np.array([cue.start for cue in given]), (np.arange(frames) + 0.5) / fps
    places = np.searchsorted(starts, middles, "right") - 1
    return [
        given[place].shape if place >= 0 and middle < given[place].end else None
        for place, middle in zip(places, middles, strict=True)
    ]
