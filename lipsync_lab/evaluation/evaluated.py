"""Cases with their runs and evaluations, matched pairs of them, and tables of several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import runs, samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation.cases import Case
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.evaluation.networks import DISCRIMINATOR, SYNC_EXPERT
from lipsync_lab.evaluation.result import Evaluation
from lipsync_lab.media import audio, video
from lipsync_lab.media import clip as source
from lipsync_lab.models import registry
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: The domains that animation is compared with: the first of these that is there.
COUNTERPARTS = ("live_action", "synthetic_photo")


@dataclass(frozen=True)
class EvaluatedCase:
    """A case, its run, and the evaluation of that.

    Attributes
    ----------
    case : Case
    run : runs.Run
    evaluation : Evaluation
    sound : str
        SHA-256 of the decoded voice, which is the same for one recording in two files.
    """

    case: Case
    run: runs.Run
    evaluation: Evaluation
    sound: str

    @property
    def face(self) -> Path:
        return Path(self.run.info["clip"]["file"])

    def pictures(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Source and output of a frame, uint8 RGB (H, W, 3)."""
        clip = source.open_clip(self.face, Settings.read(self.run.info["settings"]))
        before = next(clip.read(frame, frame + 1))
        after = next(video.frames(self.run.output, start=frame, stop=frame + 1)).image
        return before, after[: before.shape[0], : before.shape[1]]  # the encoder rounds odd sizes up


def pipeline_of(
    generator: str | Path | None = None,
    detector: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Pipeline:
    """A pipeline from a notebook's parameters: None and an empty mapping stand for the defaults."""
    return Pipeline(generator, detector, Settings.of(settings or {}))


def evaluate_cases(
    cases: Sequence[Case], made: Mapping[str, runs.Run], progress: Progress | None = None
) -> list[EvaluatedCase]:
    """Evaluate the runs of cases, or read the evaluations that are cached beside them.

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
        The clip or the voice of a run is not there; and see `evaluate`.
    """
    if absent := [case.name for case in cases if case.name not in made]:
        raise ParameterError(f"no run of {', '.join(absent)}; dub the clip first (`reporting.dubbed`)")
    # a network that is not bundled is absent with its reason, and no error
    known = {
        kind: name if name in registry.MODELS else None
        for kind, name in {"sync_expert": SYNC_EXPERT, "discriminator": DISCRIMINATOR}.items()
    }
    out = []
    for number, case in enumerate(cases):
        if progress:
            progress("evaluate", number, len(cases))
        run = made[case.name]
        _check_inputs(case, run)
        evaluation = evaluate(run, **known, domain=case.domain or None)
        out.append(EvaluatedCase(case, run, evaluation, sound_of(run.info["voice"]["file"])))
    if progress:
        progress("evaluate", len(cases), len(cases))
    return out


def _check_inputs(case: Case, run: runs.Run) -> None:
    for side in ("clip", "voice"):
        file = Path(run.info[side]["file"])
        if not file.is_file():
            raise MediaError(
                f"{case.name}: the {side} of its run is not at {file} any more; give its present place with --clips, "
                "and --voices"
            )


def sound_of(voice: str | Path) -> str:
    """SHA-256 of a decoded voice, which is the same for one recording in two files."""
    return hashlib.sha256(audio.load(voice).tobytes()).hexdigest()


def counterpart(domains: Iterable[str]) -> str:
    """The domain that animation is compared with: live_action where a clip has it, else synthetic_photo."""
    there = set(domains)
    return next((domain for domain in COUNTERPARTS if domain in there), COUNTERPARTS[-1])


def pairs(results: Sequence[EvaluatedCase]) -> dict[str, tuple[str, str]]:
    """Matched pairs: names of a clip of animation and of one of its `counterpart`, by the pair's name.

    Two clips are a pair if a clips table says so (`Case.pair`). Without an entry there, two samples that are dubbed
    with one voice are a pair if the manifest says so, and two files are if they have the same sound and keep it. No
    clip is in two pairs.
    """
    sides = ("animation", counterpart(result.case.domain for result in results))
    out = {}
    for key in dict.fromkeys(_pair_key(result) for result in results):
        members = [
            [result.case for result in results if (_pair_key(result), result.case.domain) == (key, side)]
            for side in sides
        ]
        for first, second in zip(*members, strict=False):
            out[first.pair or f"{first.name} | {second.name}"] = first.name, second.name
    return out


def _pair_key(result: EvaluatedCase) -> tuple[str, ...]:
    case, sample = result.case, samples.SAMPLES.get(result.case.clip)
    if case.pair:
        return "table", case.pair
    if sample and sample.pair:
        return "sample", sample.pair, result.sound
    # a voice that is given to a file says nothing about the file
    return ("file", result.sound) if not sample and case.voice == case.clip else ("none", case.name)


def frames(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """Every frame of every clip: ``clip``, ``domain``, ``pair`` (empty without one), then `Evaluation.frames`."""
    paired = {clip: name for name, clips in pairs(results).items() for clip in clips}
    table = by_clip(results, lambda result: result.evaluation.frames.reset_index())
    table.insert(2, "pair", [paired.get(clip, "") for clip in table["clip"]])
    return table


def by_clip(results: Sequence[EvaluatedCase], table: Callable[[EvaluatedCase], pandas.DataFrame]) -> pandas.DataFrame:
    """The tables of several clips, one below the other, with ``clip`` and ``domain`` in front."""
    return stacked(({"clip": result.case.name, "domain": result.case.domain}, table(result)) for result in results)


def stacked(tables: Iterable[tuple[Mapping[str, Any], pandas.DataFrame]]) -> pandas.DataFrame:
    """Tables one below the other, each with columns of constants in front; without the index of the tables."""
    import pandas as pd

    labelled = []
    for labels, table in tables:
        table = table.assign(**labels)
        labelled.append(table[[*labels, *(column for column in table if column not in labels)]])
    # a table without rows has columns without a type, which would make the type of the others uncertain
    return pd.concat([table for table in labelled if len(table)] or labelled[:1], ignore_index=True)
