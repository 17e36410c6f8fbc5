"""Mouth shapes from phonemes: which of the nine shapes is shown when, and the transitions between them.

The shapes are those of Preston Blair's chart with the letters of Rhubarb Lip Sync, from which the shortest hold of 70
ms is taken. Co-articulation follows rules: a consonant takes its rounding from the next vowel, a consonant that is too
short to be visible merges with its neighbours, and shapes that must be visible (closed lips on m, b, p) take time from
neighbours that need not be.
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass, replace

import numpy as np

from lipsync_lab.generation.cel.shapes import CHART, CLOSED, REST, MouthShape
from lipsync_lab.synthesis.speech import SAMPLE_RATE, Phoneme, Speech

#: Shortest time for which a shape is shown, in seconds (as in Rhubarb Lip Sync).
MINIMUM_HOLD = 0.07
#: Pauses shorter than this do not close the mouth.
MINIMUM_PAUSE = 0.12
#: Duration of the transition between two shapes, in seconds.
TRANSITION = 0.08

#: Shape of each IPA letter, for the languages in `speech.LANGUAGES` and related ones.
_LETTERS = {
    "A": "mbpɱʙ",
    "B": "iɪjɨszʃʒɕʑçθðβtdnɲrɹɾɽʈɖɳcɟ",
    "C": "æɛeəɐʌɜɘɤ",
    "D": "aɑ",
    "E": "ɔoɒœɞɵɚɝ",
    "F": "uʊwyʏʉøɥɯ",
    "G": "fvʋ",
    "H": "lɫʎɭɬ",
}
_SHAPE_OF = {letter: shape for shape, letters in _LETTERS.items() for letter in letters}
_VOWELS = frozenset("iɪɨæɛeəɐʌɜɘɤaɑɔoɒœɞɵɚɝuʊyʏʉøɯ")
#: Consonants for which the lips are pushed forward whatever follows.
_PROTRUDED = frozenset("ʃʒɹ")


@dataclass(frozen=True)
class Key:
    """One shape, held from `start` to `end` (seconds)."""

    start: float
    end: float
    pose: MouthShape


@dataclass(frozen=True)
class Timeline:
    """Mouth shapes of a speech: keys without gaps from 0 to `duration`, in seconds."""

    keys: tuple[Key, ...]
    phonemes: tuple[Phoneme, ...]
    duration: float


def shape_of(symbol: str) -> str:
    """Return the shapes of a phoneme in IPA, in order.

    Diphthongs and affricates such as pf have two shapes, sounds without a lip shape have none (""), and a pause ("")
    has the shape "X".
    """
    if not symbol:
        return "X"
    # the long vowel is that of "bird", the short one is the German final "er"
    letters = symbol.replace("ɜː", "ɝ")
    shapes = [_SHAPE_OF[letter] for letter in letters if letter in _SHAPE_OF]
    return "".join(shape for shape, _ in itertools.groupby(shapes))[:2]


def timeline(speech: Speech) -> Timeline:
    """Return the mouth shapes of a speech.

    The mouth is closed in pauses and on m, b and p, and each shape lasts at least `MINIMUM_HOLD`. In a speech shorter
    than `MINIMUM_HOLD` the mouth stays at rest.
    """
    levels = [_level(speech, phoneme) for phoneme in speech.phonemes]
    loudest = max(levels, default=0.0) or 1.0
    spans = []
    for phoneme, level in zip(speech.phonemes, levels, strict=True):
        spans += _spans(phoneme, level / loudest)
    spans = _with_minimum_hold(_merged(_without_hidden(spans)))
    poses = _with_rounding([span.pose for span in spans])
    edges = list(itertools.accumulate((span.duration for span in spans), initial=0.0))
    edges[-1] = speech.duration
    keys = tuple(Key(start, end, pose) for start, end, pose in zip(edges, edges[1:], poses, strict=False))
    return Timeline(keys, speech.phonemes, speech.duration)


def pose_at(timeline: Timeline, time: float) -> MouthShape:
    """Return the continuous pose of the mouth at `time` seconds.

    A transition lies half before and half after the border between two shapes, except that closed lips stay closed for
    the whole of their time. Before the start and from the end on, the mouth is at rest.
    """
    if not 0 <= time < timeline.duration:
        return REST
    keys, index = timeline.keys, _index(timeline, time)
    key = keys[index]
    if time - key.start <= key.end - time:
        other, away = (keys[index - 1].pose if index else REST), time - key.start
    else:
        other, away = (keys[index + 1].pose if index + 1 < len(keys) else REST), key.end - time
    closed, other_closed = key.pose.shape in CLOSED, other.shape in CLOSED
    half = (key.end - key.start) / 2
    if closed and not other_closed:
        return key.pose
    if other_closed and not closed:
        share = min(away / min(TRANSITION, half), 1.0)
    else:
        share = 0.5 + 0.5 * min(away / min(TRANSITION / 2, half), 1.0)
    return _between(other, key.pose, share * share * (3 - 2 * share))


def key_at(timeline: Timeline, time: float, hold: float = 0.0) -> MouthShape:
    """Return the pose that an animator would draw at `time` seconds: one of the nine shapes, without in-betweens.

    Parameters
    ----------
    timeline : Timeline
    time : float
        Seconds.
    hold : float
        Seconds for which the drawing is held. The drawing shows the shape with the longest duration in that time. A
        closed mouth of at least half a `MINIMUM_HOLD` has priority, so that no m, b or p is lost on twos and threes.
    """
    if not 0 <= time < timeline.duration:
        return REST
    first = _index(timeline, time)
    best, longest = timeline.keys[first].pose, 0.0
    for key in timeline.keys[first:]:
        if key.start >= time + hold:
            break
        visible = min(key.end, time + hold) - max(key.start, time)
        if key.pose.shape == "A" and visible >= MINIMUM_HOLD / 2:
            return key.pose
        if visible > longest:
            best, longest = key.pose, visible
    return best


def phoneme_at(timeline: Timeline, time: float) -> str:
    """Return the phoneme at `time` seconds, in IPA; "" in pauses and outside of the speech."""
    if not 0 <= time < timeline.duration:
        return ""
    index = bisect.bisect_right(timeline.phonemes, time, key=lambda phoneme: phoneme.start) - 1
    return timeline.phonemes[max(index, 0)].symbol


def _index(timeline, time) -> int:
    return max(bisect.bisect_right(timeline.keys, time, key=lambda key: key.start) - 1, 0)


def _between(first, second, share) -> MouthShape:
    """Interpolate the numbers between two poses; the letter is that of the second pose."""
    numbers = ("openness", "width", "rounding", "teeth", "tongue")
    mixed = {name: (1 - share) * getattr(first, name) + share * getattr(second, name) for name in numbers}
    return replace(second, **mixed)


@dataclass
class _Span:
    """A key before its times are final. Spans of higher rank take missing time from spans of lower rank."""

    duration: float
    pose: MouthShape | None
    rank: int

    @property
    def closed(self) -> bool:
        return self.pose is not None and self.pose.shape in CLOSED

    @property
    def surplus(self) -> float:
        return max(self.duration - MINIMUM_HOLD, 0.0)


_CONSONANT, _VOWEL, _CLOSURE = 1, 2, 3


def _level(speech, phoneme) -> float:
    """Return the root mean square of the wave during a vowel, and 0 for other phonemes."""
    if not _VOWELS.intersection(phoneme.symbol):
        return 0.0
    part = speech.wave[int(phoneme.start * SAMPLE_RATE) : int(phoneme.end * SAMPLE_RATE)]
    return float(np.sqrt(np.mean(np.square(part, dtype=np.float64)))) if len(part) else 0.0


def _spans(phoneme, loudness) -> list[_Span]:
    duration, symbol = phoneme.end - phoneme.start, phoneme.symbol
    shapes = shape_of(symbol)
    if not shapes or (shapes == "X" and duration < MINIMUM_PAUSE):
        return [_Span(duration, None, 0)]
    poses = [CHART[shape] for shape in shapes]
    if _VOWELS.intersection(symbol):
        # a loud vowel opens wide, an unstressed one hardly; loudness grows about with the square root of the level
        poses = [replace(pose, openness=pose.openness * (0.65 + 0.35 * loudness**0.5)) for pose in poses]
        ranks = [_VOWEL, _CONSONANT]
    else:
        ranks = [{"A": _CLOSURE, "G": _VOWEL, "X": _VOWEL}.get(shape, _CONSONANT) for shape in shapes]
        if _PROTRUDED.intersection(symbol):
            poses = [replace(pose, width=0.3, rounding=0.5) for pose in poses]
    shares = (1.0,) if len(poses) == 1 else (0.6, 0.4)
    if symbol == "p":  # the lips part at the burst; the aspiration after it belongs to the next sound
        return [_Span(0.65 * duration, poses[0], _CLOSURE), _Span(0.35 * duration, None, 0)]
    return [_Span(share * duration, *rest) for share, *rest in zip(shares, poses, ranks, strict=False)]


def _without_hidden(spans) -> list[_Span]:
    """Merge sounds without a lip shape, and short pauses, with the open shapes beside them."""
    result = list(spans)
    while hidden := [index for index, span in enumerate(result) if span.pose is None]:
        if len(result) == 1:
            return [_Span(result[0].duration, REST, _VOWEL)]
        beside = _beside(result, hidden[0])
        if len(beside) == 2 and all(span.closed for span in beside):
            result[hidden[0]] = _Span(result[hidden[0]].duration, CHART["B"], _CONSONANT)
        else:
            _absorb(result, hidden[0])
    return result


def _beside(spans, index) -> list[_Span]:
    return spans[max(index - 1, 0) : index] + spans[index + 1 : index + 2]


def _absorb(spans, index) -> None:
    """Give the time of a span to its open neighbours, or to the closed ones where there are no open ones."""
    beside = _beside(spans, index)
    takers = [span for span in beside if not span.closed] or beside
    for span in takers:
        span.duration += spans[index].duration / len(takers)
    del spans[index]


def _merged(spans) -> list[_Span]:
    """Merge neighbours of the same shape; the result has the larger openness."""
    result = []
    for span in spans:
        if result and result[-1].pose.shape == span.pose.shape:
            last = result[-1]
            wider = max(last.pose, span.pose, key=lambda pose: pose.openness)
            result[-1] = _Span(last.duration + span.duration, wider, max(last.rank, span.rank))
        else:
            result.append(span)
    return result


def _with_minimum_hold(spans) -> list[_Span]:
    tolerance = 1e-9
    while short := [index for index, span in enumerate(spans) if span.duration < MINIMUM_HOLD - tolerance]:
        if len(spans) == 1:
            return [_Span(spans[0].duration, REST, _VOWEL)]
        index = max(short, key=lambda index: spans[index].rank)
        span = spans[index]
        if span.rank > _CONSONANT:
            # the preceding span gives first, since lips lead the sound
            for giver in sorted(_beside(spans, index), key=lambda giver: giver.rank):
                free = giver.duration if giver.rank < span.rank and not giver.closed else giver.surplus
                given = min(free, MINIMUM_HOLD - span.duration)
                giver.duration -= given
                span.duration += given
        if span.duration < MINIMUM_HOLD - tolerance:
            _absorb(spans, index)
        spans = _merged([span for span in spans if span.duration > tolerance])
    return spans


def _with_rounding(poses) -> list[MouthShape]:
    """Round the lips during the consonant before a rounded vowel (anticipatory co-articulation)."""
    result = list(poses)
    for index, (pose, following) in enumerate(itertools.pairwise(poses)):
        if pose.shape in "ABGH" and following.shape in "EF":
            mixed = _between(pose, following, 0.6)
            result[index] = replace(pose, width=mixed.width, rounding=mixed.rounding)
    return result
