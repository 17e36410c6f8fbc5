"""Several faces in one clip: which voice each one speaks and when, and their frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import runs
from lipsync_lab.detection import tracking
from lipsync_lab.detection.detections import Detections
from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import Generator
from lipsync_lab.generation.windows import Voice
from lipsync_lab.media import audio
from lipsync_lab.media.clip import Clip
from lipsync_lab.plan import Plan, make_plan, render
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

#: Columns of a table of turns.
TURNS = ("start", "end", "face")


@dataclass(frozen=True)
class Turn:
    """A time in which a face speaks.

    Attributes
    ----------
    start, end : float
        Seconds, half-open.
    face : int
        From the left, from 0.
    """

    start: float
    end: float
    face: int


def read_turns(path: str | Path) -> list[Turn]:
    """Read who speaks when: a CSV with the columns `TURNS`, in seconds and numbers of faces from the left, from 0.

    Raises
    ------
    ParameterError
        The file is no such table, or a turn ends before it starts.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, comment="#", skipinitialspace=True)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ParameterError(f"{path}: cannot be read as a table of turns ({error})") from None
    if missing := [name for name in TURNS if name not in table]:
        raise ParameterError(f"{path}: lacks the column {missing[0]}; a table of turns has {', '.join(TURNS)}")
    turns = []
    for line, row in enumerate(table[list(TURNS)].itertuples(index=False), start=2):
        try:
            turn = Turn(float(row.start), float(row.end), int(row.face))
        except (TypeError, ValueError):
            turn = None
        if turn is None or turn.face != row.face or turn.face < 0 or not 0 <= turn.start < turn.end < float("inf"):
            raise ParameterError(
                f"{path}, row {line}: {', '.join(map(str, row))} is no turn; give start and end in seconds, the end "
                "after the start, and the number of a face from the left, from 0"
            )
        turns.append(turn)
    if not turns:
        raise ParameterError(f"{path}: holds no turn")
    return turns


def spoken(
    numbers: Sequence[int], waves: Sequence[np.ndarray], turns: Sequence[Turn] | None = None
) -> dict[int, np.ndarray]:
    """The waveform that each face speaks.

    Parameters
    ----------
    numbers : sequence of int
        Of the faces, in rising order.
    waves : sequence of ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1]: one for all faces, or one for each in their order. Faces beyond the last are left
        out.
    turns : sequence of Turn, optional
        A face is silent outside of its turns; by default it speaks throughout.

    Returns
    -------
    dict of int to ndarray
        All as long as the longest wave.
    """
    longest = max(map(len, waves))
    given = dict.fromkeys(numbers, waves[0]) if len(waves) == 1 else dict(zip(numbers, waves, strict=False))
    out = {}
    for number, wave in given.items():
        out[number] = np.zeros(longest, np.float32)
        own = [Turn(0, longest / audio.SAMPLE_RATE, number)] if turns is None else turns
        for turn in (turn for turn in own if turn.face == number):
            start, stop = (round(seconds * audio.SAMPLE_RATE) for seconds in (turn.start, turn.end))
            part = wave[start:stop]
            out[number][start : start + len(part)] = part
    return out


def make_plans(
    clip: Clip,
    detections: Detections,
    waves: Sequence[np.ndarray | Voice],
    settings: Settings,
    turns: Sequence[Turn] | None = None,
) -> dict[int, Plan]:
    """A plan for each face, by its number; parameters and errors as for `make_plan` and `spoken`.

    Without `Settings.faces` there is one plan, of face 0, and the first of `waves` may be a `Voice`.

    Raises
    ------
    ParameterError
        A turn names a face that is not there, or no face was found.
    """
    if settings.faces is None:
        return {0: make_plan(clip, detections, waves[0], settings)}
    chosen = tracking.several_faces(detections, settings)
    if not chosen:
        return {0: make_plan(clip, detections, waves[0], settings)}
    absent = sorted({turn.face for turn in turns or ()} - chosen.keys())
    if absent:
        raise ParameterError(
            f"a turn is of face {absent[0]}, and the faces are {', '.join(map(str, chosen))}, from the left; correct "
            "the table of turns, or ask for more faces"
        )
    voices = spoken(list(chosen), waves, turns)
    return {
        number: make_plan(clip, detections, Voice.from_wave(wave), settings, chosen[number])
        for number, wave in voices.items()
    }


def render_faces(
    clip: Clip,
    plans: Mapping[int, Plan],
    generators: Mapping[int, Generator],
    progress: Progress | None = None,
    timed: Callable[[str], Any] = nullcontext,
    start: int = 0,
) -> Iterator[np.ndarray]:
    """Generate and paste the mouths of several faces, one after the other; for one face this is `render`.

    Parameters
    ----------
    clip : Clip
        Read once.
    plans : mapping of int to Plan
        Of `make_plans`, after `plan.prepared`.
    generators : mapping of int to Generator
        Of `plan.prepared`, with the same keys.
    progress, timed, start
        As for `render`.

    Yields
    ------
    ndarray, uint8, (H, W, 3)
        As `render`.
    """
    last = max(plans)
    for number, plan in sorted(plans.items()):
        # each face is generated in the frames that already show those before it, which are a clip of their own
        source, shown = clip, plan if number == min(plans) else _unrolled(plan)
        frames = _Frames(source, shown, generators[number], progress if number == last else None, timed)
        clip = replace(clip, read=frames.read, expected=len(plan.order))
    yield from clip.read(start, None)


@dataclass(frozen=True)
class _Frames:
    clip: Clip
    plan: Plan
    generator: Generator
    progress: Progress | None
    timed: Callable[[str], Any]

    def read(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        return render(self.clip, self.plan, self.generator, self.progress, self.timed, start, stop)


def _unrolled(plan: Plan) -> Plan:
    """The plan of a clip whose frames are the output frames of this one."""
    rows = {field.name: getattr(plan.track, field.name)[plan.order] for field in fields(plan.track)}
    return replace(plan, track=replace(plan.track, **rows), order=np.arange(len(plan.order)))


def write_files(generators: Mapping[int, Any], folder: Path, fps: Fraction | float) -> dict[str, int]:
    """Have generators that drew write what they keep beside a run: of several faces, each into ``face_<number>``.

    Returns
    -------
    dict of str to int
        Frames by the source of their mouth, of all faces; empty for generators that keep nothing.
    """
    counts: dict[str, int] = {}
    for number, generator in generators.items():
        if hasattr(generator, "write_files"):
            home = folder if len(generators) == 1 else folder / f"face_{number}"
            home.mkdir(exist_ok=True)
            for source, frames in generator.write_files(home, fps).items():
                counts[source] = counts.get(source, 0) + frames
    return counts


def about(
    plans: Mapping[int, Plan],
    voices: Sequence[Path],
    seconds: Sequence[float],
    turns: Sequence[Turn] | None,
    folder: str | Path,
) -> dict[str, Any]:
    """What ``run.json`` says of several faces, under ``faces``; nothing of a single one.

    Parameters
    ----------
    plans : mapping of int to Plan
        Of `make_plans`.
    voices, seconds : sequence of path, sequence of float
        The files, and how long each is.
    turns : sequence of Turn, optional
    folder : path
        Of the run.
    """
    if len(plans) == 1 and len(voices) == 1 and turns is None:
        return {}
    described = [runs.about_voice(*each, folder) for each in zip(voices, seconds, strict=True)]
    return {
        "faces": [
            {
                "face": number,
                "voice": described[place if len(voices) > 1 else 0],
                "turns": None if turns is None else [[turn.start, turn.end] for turn in turns if turn.face == number],
                "mouths_generated": int(plan.mouth_generated.sum()),
            }
            for place, (number, plan) in enumerate(sorted(plans.items()))
        ]
    }
