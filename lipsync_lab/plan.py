"""What is decided before the first mouth is generated (`make_plan`), and how it is carried out (`render`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from lipsync_lab.detection import Detection, tracking
from lipsync_lab.detection.detections import Detections
from lipsync_lab.errors import MediaError
from lipsync_lab.generation import Generator, holds
from lipsync_lab.generation.windows import Voice, window_starts
from lipsync_lab.geometry import FaceTrack
from lipsync_lab.media import audio
from lipsync_lab.media.ahead import ahead
from lipsync_lab.media.clip import Clip, batches, extension, play_order, played
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first mouth is generated.

    Attributes
    ----------
    settings : Settings
    track : FaceTrack
        One row for each source frame that is used.
    chosen : tuple of Detection or None
        The face of each of these frames, before gaps are filled and boxes are smoothed.
    voice : Voice or None
    starts : ndarray, int64, (S,)
        First mel column of each output frame's window; S frames have a voice.
    order : ndarray, int64, (M,)
        Source frame of each of the M output frames.
    mouths : ndarray, int64, (M,)
        Output frame whose generated mouth each output frame shows: its own number for a new mouth, an earlier one
        while a hold reuses its mouth, -1 for a passthrough frame.
    """

    settings: Settings
    track: FaceTrack
    chosen: tuple[Detection | None, ...]
    voice: Voice | None
    starts: np.ndarray
    order: np.ndarray
    mouths: np.ndarray

    @property
    def generates(self) -> bool:
        """Whether any output frame gets a generated mouth."""
        return bool((self.mouths >= 0).any())

    @property
    def mouth_generated(self) -> np.ndarray:
        """Which source frames are shown with a generated mouth, bool, one a row of the track."""
        return np.isin(np.arange(len(self.track)), self.order[self.mouths >= 0])


def make_plan(
    clip: Clip,
    detections: Detections,
    voice: Voice | np.ndarray | None,
    settings: Settings | None = None,
    chosen: Sequence[Detection | None] | None = None,
) -> Plan:
    """Decide which face each frame has and which mouth it gets.

    Parameters
    ----------
    clip : Clip
        Its frames are read only for `Settings.mouth_cadence` "holds", to find the holds.
    detections : Detections
        Of `detect`, for this clip.
    voice : Voice, ndarray, float32, (n,), or None
        A waveform is mono at 16 kHz, in [-1, 1]. None plans all frames without a mouth.
    settings : Settings, optional
    chosen : sequence of Detection or None, optional
        The face of each frame, as `detection.tracking.several_faces` gives it; chosen by the settings if not given.

    Raises
    ------
    DetectionError
        A frame has no face and `Settings.dropouts` is "error".
    ParameterError
        The voice is shorter than 0.2 s.
    """
    settings = settings or Settings()
    voice = Voice.from_wave(voice) if isinstance(voice, np.ndarray) else voice
    starts = np.zeros(0, np.int64) if voice is None else window_starts(voice, clip.fps, settings)
    tail = voice is None or settings.keep_tail
    used = detections if tail else detections.first(len(starts))
    picked, shots = tracking.chosen_faces(used, settings)
    chosen = picked if chosen is None else list(chosen[: len(used)])
    track = tracking.track(
        used.candidates,
        chosen,
        shots,
        used.size,
        dropouts=settings.dropouts,
        max_dropout=settings.max_dropout,
        smoothing=settings.smoothing,
        pads=settings.pads,
        provenance=used.provenances,
        manual=used.manual,
        fps=float(clip.fps),
    )
    exact = np.isin(np.arange(len(used)), list(used.manual))
    filled = exact & np.isin(np.arange(len(used)), list(used.interpolated)) & (track.provenance == "manual")
    track = replace(track, provenance=np.where(filled, "interpolated", track.provenance))
    length = max(len(starts), len(used)) if tail else len(starts)
    order = play_order(len(used), length, extension(settings.extend, len(used), length, clip.fps))
    numbers = np.arange(len(order))
    # frames after the voice are the untouched tail
    spoken = (numbers < len(starts)) & (track.provenance[order] != "missing")
    first = numbers
    if settings.mouth_cadence == "holds":
        track, same = _holds(clip, track, exact)
        first = _first_in_hold(order, same, spoken)
    mouths = np.where(spoken, holds.mouth_frames(first), -1)
    return Plan(settings, track, tuple(chosen), voice, starts, order, mouths)


def _holds(clip: Clip, track: FaceTrack, exact: np.ndarray) -> tuple[FaceTrack, np.ndarray]:
    """The track with the box of each hold's first frame throughout the hold, and which frames are held.

    A box that a person gave (`exact`) stays as it is, and ends a hold whose box it is not.
    """
    first = holds.first_frames(clip.read(0, len(track)), map(track.box, range(len(track))))
    if len(first) < len(track):
        raise _changed(clip, len(first))
    boxes = np.where(exact[:, None], track.boxes, track.boxes[first])
    same = first < np.arange(len(first))
    same[1:] &= (boxes[1:] == boxes[:-1]).all(axis=1)
    return replace(track, boxes=boxes), same


def _first_in_hold(order: np.ndarray, same: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """First output frame of the hold that each output frame belongs to; `same` is of the source frames."""
    numbers, step = np.arange(len(order)), np.diff(order, prepend=-9)
    before = np.r_[-1, order[:-1]]
    # played backwards, a frame is held if the next source frame is
    held = (step == 0) | ((step == 1) & same[order]) | ((step == -1) & same[before])
    held &= spoken & np.r_[False, spoken[:-1]]
    return np.maximum.accumulate(np.where(held, 0, numbers))


def prepared(clip: Clip, plan: Plan, generator: Generator) -> tuple[Generator, Plan]:
    """A generator that is ready for a clip, and the plan that it needs.

    A generator that needs the whole clip first has ``prepare(clip, plan)``, which returns these two (`generation.cel`);
    for any other they are the ones given.
    """
    return generator.prepare(clip, plan) if hasattr(generator, "prepare") else (generator, plan)


def render(
    clip: Clip,
    plan: Plan,
    generator: Generator,
    progress: Progress | None = None,
    timed: Callable[[str], Any] = nullcontext,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[np.ndarray]:
    """Generate and paste the mouths of a plan.

    Parameters
    ----------
    clip : Clip
    plan : Plan
    generator : Generator
        Of `prepared`.
    progress : callable, optional
        See `progress.Progress`; the stage is "generate", the unit a frame.
    timed : callable, optional
        ``timed(stage)`` is a context around "decode" and "generate", such as `runs.Clock`.
    start, stop : int, optional
        Output frames to render, half-open; None for all from `start` on. Within the first pass through the clip only
        these frames are read, and the first one of the hold that `start` lies in.

    Yields
    ------
    ndarray, uint8, (H, W, 3)
        RGB; one frame for each entry of `Plan.order` from `start` to `stop`.

    Raises
    ------
    MediaError
        The clip has fewer frames than when the plan was made.
    """
    settings, length = plan.settings, len(plan.order) if stop is None else min(stop, len(plan.order))
    draws = hasattr(generator, "draw")
    kept: dict[int, np.ndarray] = {}
    if (first := _first_shown(plan, generator, start)) < start:
        (frame,) = clip.read(int(plan.order[first]), int(plan.order[first]) + 1)
        if draws:
            generator.draw(frame, first)
        else:
            kept = _generated(plan, generator, [frame], first)
    done = start
    if length <= len(plan.track):
        playing = zip(range(done, length), clip.read(done, length), strict=False)
    else:
        extend = extension(settings.extend, len(plan.track), len(plan.order), clip.fps)
        # what was played over and over before `start` need not be read
        passes = len(plan.track) if extend == "loop" else max(1, 2 * len(plan.track) - 2)
        skipped = 0 if extend == "hold" else done - done % passes
        playing = islice(played(clip, len(plan.track), length - skipped, extend), done - skipped, None)
    for batch in batches(ahead(_timed(playing, timed)), settings.generator_batch):
        with timed("generate"):
            frames = [frame for _, frame in batch]
            if draws:
                frames = [generator.draw(frame, number) for number, frame in enumerate(frames, done)]
            shown = plan.mouths[done : done + len(batch)] if not draws else np.zeros(0, np.int64)
            kept = {number: face for number, face in kept.items() if number in shown}
            kept |= {} if draws else _generated(plan, generator, frames, done)
            for place, number in enumerate(shown.tolist()):
                if number >= 0:
                    box = plan.track.box(plan.order[done + place])
                    frames[place] = generator.paste(frames[place], kept[number], box, settings.feather)
        yield from frames
        done += len(batch)
        if progress:
            progress("generate", done, length)
    if done < length:
        raise _changed(clip, done)


def _first_shown(plan: Plan, generator: Generator, number: int) -> int:
    """The output frame on which the mouth of output frame `number` was made: the first one of its hold."""
    if number == 0 or number >= len(plan.order) or plan.mouths[number] < 0:
        return number
    if not hasattr(generator, "draw"):
        return int(plan.mouths[number])
    hold = generator.first[generator.order]
    before = np.flatnonzero(hold[:number] != hold[number])
    return int(before[-1]) + 1 if len(before) else 0


def _generated(plan: Plan, generator: Generator, frames: list[np.ndarray], first: int) -> dict[int, np.ndarray]:
    """New mouths for output frames from `first` on, by the number of the output frame."""
    numbers = [first + place for place in range(len(frames)) if plan.mouths[first + place] == first + place]
    if not numbers:
        return {}
    crops = [generator.crop(frames[number - first], plan.track.box(plan.order[number])) for number in numbers]
    windows = audio.mel_windows(plan.voice.mel, plan.starts[numbers])
    return dict(zip(numbers, generator.generate(np.stack(crops), windows), strict=True))


def _timed(items: Iterator, timed: Callable[[str], Any]) -> Iterator:
    while True:
        with timed("decode"):
            item = next(items, None)
        if item is None:
            return
        yield item


def _changed(clip: Clip, frames: int) -> MediaError:
    return MediaError(f"{clip.name}: gave {frames} frames the second time it was read; was it changed meanwhile?")


def why_no_mouth(plan: Plan, detector: str, generator: str) -> str:
    """Why no output frame has a generated mouth, and what to try: one line for a person."""
    spoken = plan.order[: len(plan.starts)]
    if faces := int((~np.isnan(plan.track.boxes[spoken, 0])).sum()):
        return (
            f"a face was detected in {faces} of {len(spoken)} frames, but {generator} located no mouth in them that it "
            "can draw (it is hidden, in profile, or painted in smooth shades); try --checkpoint_path wav2lip-lab, or a "
            "box of your own (--box)"
        )
    scores = plan.track.scores[~np.isnan(plan.track.scores)]
    best = f"the best candidate scored {scores.max():.2f}" if len(scores) else "there was no candidate at all"
    return (
        f"{detector} detected no face above the threshold of {plan.settings.threshold:g} in any of {len(plan.track)} "
        f"frames ({best}); try a lower --threshold, another --detector, a box of your own (--box, or --detector "
        "detections.json), and, where a face is detected now and then, --dropouts"
    )
