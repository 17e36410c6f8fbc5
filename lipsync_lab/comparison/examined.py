"""What is compared: clips with their voices, their runs, and what was found out about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import audio, checkpoints, evaluation, runs, samples, source, video
from lipsync_lab.errors import ParameterError
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: The two sides of every comparison, in the order in which they are shown.
SIDES = ("drawn", "photographic")


@dataclass(frozen=True)
class Case:
    """A clip with its voice: names of samples, or paths.

    Attributes
    ----------
    name : str
        What folders and figures call it: letters, digits, ``_``, ``.``, ``-``.
    clip, voice : str
    domain : str
        The sample's; empty for a file that is none.
    """

    name: str
    clip: str
    voice: str
    domain: str


@dataclass(frozen=True)
class Examined:
    """A case, its run, and what was found out about it.

    Attributes
    ----------
    case : Case
    run : runs.Run
    found : evaluation.Evaluation
    sound : str
        SHA-256 of the voice as the networks hear it: the same sentence from two files is the same.
    """

    case: Case
    run: runs.Run
    found: evaluation.Evaluation
    sound: str

    @property
    def face(self) -> Path:
        return Path(self.run.info["face"]["file"])

    def pictures(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Source and output of a frame, uint8 RGB (H, W, 3)."""
        clip = source.from_file(self.face, Settings.read(self.run.info["settings"]))
        before = next(clip.read(frame, frame + 1))
        after = next(video.frames(self.run.output, start=frame, stop=frame + 1)).image
        return before, after[: before.shape[0], : before.shape[1]]  # the encoder rounds odd sizes up


def pipeline_of(
    generator: str | Path | None = None,
    detector: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Pipeline:
    """A pipeline from a notebook's parameters: None and an empty mapping stand for the defaults."""
    named = {} if generator is None else {"generator": generator}
    return Pipeline(**named, detector=detector, settings=Settings.of(settings or {}))


def cases(clips: Sequence[str | Path], voices: Sequence[str | Path] = ()) -> list[Case]:
    """Clips with their voices, each under a name of its own.

    Parameters
    ----------
    clips, voices : sequence of str or path
        Names of samples, or paths. Voices: one a clip, one for all, or none for each clip's own sound.

    Raises
    ------
    ParameterError
        No clips, or voices that do not match them.
    """
    if not clips:
        raise ParameterError("there are no clips to compare; name samples or files")
    voices = list(voices) * (len(clips) if len(voices) == 1 else 1) or list(clips)
    if len(voices) != len(clips):
        raise ParameterError(f"{len(voices)} voices for {len(clips)} clips; name one a clip, or one for all of them")
    out, taken = [], set()
    for clip, voice in zip(clips, voices, strict=True):
        sample = samples.SAMPLES.get(str(clip))
        # what stands in file names, on any system
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", sample.name if sample else Path(clip).stem).strip("._") or "clip"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        out.append(Case(name, str(clip), str(voice), sample.domain if sample else ""))
    return out


def examine(cases: Sequence[Case], made: Mapping[str, runs.Run], progress: Progress | None = None) -> list[Examined]:
    """Examine the runs of some cases, or read what was found when they were examined before.

    Parameters
    ----------
    cases : sequence of Case
    made : mapping of str to runs.Run
        The run of each case, by its name.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Raises
    ------
    ParameterError
        A case has no run.
    MediaError
        See `evaluation.evaluate`.
    """
    if absent := [case.name for case in cases if case.name not in made]:
        raise ParameterError(f"no run of {', '.join(absent)}; dub the clip first (`reporting.dubbed`)")
    # a judge that is not among the models that come along is told as absent, not raised
    known = {
        kind: name if name in checkpoints.MODELS else None
        for kind, name in {"expert": evaluation.EXPERT, "judge": evaluation.JUDGE}.items()
    }
    out = []
    for number, case in enumerate(cases):
        if progress:
            progress("examine", number, len(cases))
        run = made[case.name]
        voice = audio.load(run.info["speech"]["file"])
        out.append(Examined(case, run, evaluation.evaluate(run, **known), hashlib.sha256(voice.tobytes()).hexdigest()))
    if progress:
        progress("examine", len(cases), len(cases))
    return out


def pairs(examined: Sequence[Examined]) -> dict[str, tuple[str, str]]:
    """Matched pairs: names of a drawn and a photographic clip with the same sound, by the pair's name.

    Clips of the same sound are paired in their order; none is in two pairs.
    """
    out = {}
    for sound in dict.fromkeys(one.sound for one in examined):
        sides = [[one.case.name for one in examined if (one.sound, one.case.domain) == (sound, side)] for side in SIDES]
        for drawn, photographic in zip(*sides, strict=False):
            out[f"{drawn} | {photographic}"] = drawn, photographic
    return out


def frames(examined: Sequence[Examined]) -> pandas.DataFrame:
    """Every frame of every clip: ``clip``, ``domain``, ``pair`` (empty without one), then `Evaluation.frames`."""
    import pandas as pd

    paired = {clip: name for name, clips in pairs(examined).items() for clip in clips}
    tables = []
    for one in examined:
        name = one.case.name
        about = {"clip": name, "domain": one.case.domain, "pair": paired.get(name, "")}
        tables.append(pd.concat([one.found.frames.reset_index().assign(**about)], ignore_index=True))
    table = pd.concat(tables, ignore_index=True)
    first = ["clip", "domain", "pair", "frame"]
    return table[[*first, *(name for name in table if name not in first)]]
