"""The parts of a report: a clip by a generator, a notebook, the findings. Each fails alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lipsync_lab import detection, evaluation, generation, runs
from lipsync_lab.errors import LipsyncError
from lipsync_lab.evaluation import ablation, findings
from lipsync_lab.evaluation.cases import Case, file_of, is_plain, portable, table
from lipsync_lab.evaluation.evaluated import Examined, sound_of
from lipsync_lab.progress import Reporter
from lipsync_lab.reporting.media import illustrate
from lipsync_lab.reporting.notebooks import execute
from lipsync_lab.reporting.outcome import Outcome, failing_alone, save, versions
from lipsync_lab.reporting.page import Found, Take
from lipsync_lab.reporting.runs import examined
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.progress import Progress

#: The explorer is a single picture on paper: it is executed for one clip.
_EXPLORER = "07_explorer"
#: The ablation dubs its clips again and again: it is executed for the first matched pair alone.
_ABLATION = "06_ablation"


@dataclass(frozen=True)
class Book:
    """A notebook, the parameters given for it, and the names of all that it has."""

    path: Path
    given: Mapping[str, Any]
    accepted: frozenset[str] | set[str]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_of_one_clip(self) -> bool:
        return "clip" in self.accepted


def stage_count(clips: int, books: Sequence[Book], pair: bool) -> int:
    """Number of stages of one generator: its clips, and the executions of the notebooks."""
    if not clips:
        return 0
    return clips + sum((2 if pair and book.name != _EXPLORER else 1) if book.is_of_one_clip else 1 for book in books)


def has_pair(cases: Sequence[Case]) -> bool:
    """Whether two of the cases are a matched pair, as far as can be known before they are dubbed."""
    with suppress(LipsyncError):
        planned = [Examined(case, None, None, sound_of(file_of(case.voice))) for case in cases]
        return bool(evaluation.evaluated.pairs(planned))
    return False


def _part_of(progress: Progress | None, name: str) -> Progress | None:
    return progress and (lambda stage, done, total: progress(f"{name}: {stage}", done, total))


def _finish(progress: Progress | None, name: str, error: str | None) -> None:
    if isinstance(progress, Reporter):
        progress.finish(name, failed=error is not None)


def take_of(
    pipeline: Pipeline, case: Case, model: str, out: Path, force: bool, progress: Progress | None = None
) -> Take:
    """One clip dubbed by one generator, evaluated and illustrated."""
    name = f"{model}/{case.name}"
    folder, reused, result = out / "runs" / name, False, None
    told = _part_of(progress, name)
    with failing_alone() as failure:
        face, speech = file_of(case.clip), file_of(case.voice)
        reused = not force and runs.is_current(pipeline, face, speech, folder)
        run = runs.run_once(pipeline, face, speech, folder, force, told)
        [result] = evaluation.evaluated.examine([case], {case.name: run}, told)
        illustrate(result, out / "pictures" / name)
    if failure.reason:
        result, reused = None, False
    _finish(progress, name, failure.reason)
    return Take(case, model, Outcome("clip", name, folder, failure.reason, failure.seconds, reused), result)


def notebooks_of(
    pipeline: Pipeline,
    good: Sequence[Examined],
    model: str,
    books: Sequence[Book],
    out: Path,
    force: bool,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Every notebook executed on the clips of one generator that succeeded; none where there are none."""
    outcomes = []
    for book in books:
        for these in _groups(book, good):
            title = f"{book.name}-{these[0].case.name}" if book.is_of_one_clip else book.name
            target = out / "notebooks" / model / f"{title}.ipynb"
            outcome, told = None, _part_of(progress, f"{model}/{title}")
            with failing_alone() as failure:
                target.parent.mkdir(exist_ok=True)
                if force:
                    target.unlink(missing_ok=True)
                offered = _offered(pipeline, these, out / "runs" / model, book, target)
                taken = {key: value for key, value in offered.items() if key in book.accepted} | dict(book.given)
                outcome = execute(book.path, target, taken, key=_key(book.path, taken, these), progress=told)
            if outcome is None:
                outcome = Outcome(
                    "notebook", title, target.with_suffix(".html"), failure.reason, failure.seconds, False
                )
            outcomes.append(replace(outcome, name=f"{model}/{title}"))
            _finish(progress, f"{model}/{title}", outcome.error)
    return outcomes


def findings_of(
    pipeline: Pipeline,
    good: list[Examined],
    model: str,
    books: Sequence[Book],
    executed: Sequence[Outcome],
    out: Path,
) -> tuple[list[Found], list[Outcome]]:
    """The findings of one generator's clips, a list per notebook of the laboratory, and the outcomes that failed.

    They are computed by the functions that the notebooks call. Those of the ablation need its runs, and are there only
    where its notebook was executed.
    """
    lists = {
        "02_missed_detections": ("Missed detections", _of_misses),
        "03_mouth_artifacts": ("Artifacts of generated mouths", findings.of_mouths),
        "04_sync_and_cadence": ("Sync and cadence", findings.of_timing),
        "05_animation_vs_live_action": ("Domains compared", _of_domains),
    }
    done = {outcome.name for outcome in executed if not outcome.error}
    for book in books:
        if book.name == _ABLATION and f"{model}/{book.name}" in done:
            folder = out / "runs" / model / "ablation"
            lists[book.name] = "Ablation", partial(_of_ablation, pipeline, folder)
    found, failed = [], []
    for notebook, (title, compute) in lists.items() if good else ():
        name = f"{model}/{notebook}"
        with failing_alone() as failure:
            link = f"notebooks/{name}" if name in {outcome.name for outcome in executed} else None
            found.append(Found(model, title, link, compute(good)))
        if failure.reason:
            failed.append(Outcome("findings", name, out, failure.reason, failure.seconds, False))
    return found, failed


def _of_misses(good: Sequence[Examined]) -> str:
    return findings.of_misses(evaluation.evaluated.frames(good), evaluation.tables.recorded())


def _of_domains(good: Sequence[Examined]) -> str:
    frames = evaluation.evaluated.frames(good)
    units = evaluation.bootstrap.UNITS
    apart = pd.concat([evaluation.bootstrap.differences(frames, by) for by in units], ignore_index=True)
    return findings.of_domains(good, apart)


def _of_ablation(pipeline: Pipeline, folder: Path, good: Sequence[Examined]) -> str:
    """The findings of the ablation's runs, which its notebook left in `folder`."""
    changed = ablation.pipelines(
        pipeline.generator, pipeline.detector, _changed(pipeline.settings), cache=folder / "detections"
    )
    cases = [one.case for one in walked(good, _ABLATION)]
    done = {name: examined(each, cases, folder / name.replace(" ", "_")) for name, each in changed.items()}
    return findings.of_mends(ablation.effects(done), ablation.filled())


def _groups(book: Book, good: Sequence[Examined]) -> list[list[Examined]]:
    """The clips of every execution of a notebook."""
    if book.is_of_one_clip:
        return [[one] for one in walked(good, book.name)]
    if book.name == _ABLATION:
        return [walked(good, book.name)] * bool(good)
    return [list(good)] * bool(good)


def walked(good: Sequence[Examined], name: str) -> list[Examined]:
    """The clips that a notebook of one clip, or the ablation, is executed for."""
    pair = _pair(good)
    return (pair or list(good))[: 2 if pair and name != _EXPLORER else 1]


def _pair(good: Sequence[Examined]) -> list[Examined]:
    """The clips of the first matched pair; empty where there is none."""
    names = next(iter(evaluation.evaluated.pairs(good).values()), ())
    return [one for one in good if one.case.name in names]


def _key(notebook: Path, parameters: Mapping[str, Any], these: Iterable[Examined]) -> str:
    """SHA-256 of all that an executed notebook depends on."""
    notes = ("request.json", f"{evaluation.FOLDER}/about.json")
    inputs = [(one.run.folder / note).read_text(encoding="utf-8") for one in these for note in notes]
    cases = [[one.case.name, one.case.domain, one.case.pair, dict(one.case.about)] for one in these]
    text = notebook.read_text(encoding="utf-8")
    content = json.dumps([text, dict(parameters), cases, inputs, runs.code(), versions()], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _offered(
    pipeline: Pipeline, these: Sequence[Examined], runs_folder: Path, book: Book, target: Path
) -> dict[str, Any]:
    """Parameters that a notebook may have; paths are relative to its folder where `runs.portable` allows it."""
    home = book.path.resolve().parent
    clips, voices = [portable(one.case.clip, home) for one in these], [portable(one.case.voice, home) for one in these]
    offered = {
        "clips": clips,
        "voices": voices,
        "runs_folder": runs.portable(runs_folder, home),
        "generator": portable(generation.reference(pipeline.generator), home),
        "detector": portable(detection.reference(pipeline.detector), home),
        "settings": _changed(pipeline.settings),
    }
    if len(these) == 1:
        offered |= {"clip": clips[0], "voice": voices[0], "run_folder": runs.portable(these[0].run.folder, home)}
    if "clips" in book.accepted and not all(is_plain(one.case) for one in these):
        path = target.with_suffix(".clips.csv")
        save(path, table([one.case for one in these], path.parent))
        offered |= {"clips": runs.portable(path, home), "voices": []}
    return offered


def _changed(settings: Settings) -> dict[str, Any]:
    """The settings that are not the defaults, as a notebook takes them."""
    given, usual = (json.loads(json.dumps(each.as_dict())) for each in (settings, Settings()))
    return {name: value for name, value in given.items() if value != usual[name]}
