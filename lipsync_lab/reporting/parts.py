"""The parts of a report: a clip by a variant, a notebook, the findings. Each fails alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import detection, evaluation, generation, runs
from lipsync_lab.errors import LipsyncError
from lipsync_lab.evaluation import ablation, findings
from lipsync_lab.evaluation.cases import Case, file_of, is_plain, portable, table
from lipsync_lab.evaluation.evaluated import EvaluatedCase, sound_of
from lipsync_lab.files import write_text
from lipsync_lab.progress import Reporter
from lipsync_lab.reporting.media import render_pictures
from lipsync_lab.reporting.notebooks import execute
from lipsync_lab.reporting.outcome import Outcome, failing_alone, versions
from lipsync_lab.reporting.page import Findings
from lipsync_lab.reporting.runs import dub_and_evaluate
from lipsync_lab.reporting.variants import ClipResult, Variant
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.progress import Progress
    from lipsync_lab.reporting.executions import Executions
    from lipsync_lab.reporting.notebooks import Kernels

#: Executed for one clip: a printed explorer is a single picture.
_EXPLORER = "07_explorer"
#: Executed for the first matched pair alone: it dubs its clips with every mitigation.
_ABLATION = "06_ablation"


@dataclass(frozen=True)
class Notebook:
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


def stage_count(clips: int, notebooks: Sequence[Notebook], pair: bool) -> int:
    """Number of stages of one variant: its clips, and the executions of the notebooks."""
    if not clips:
        return 0
    return clips + sum(1 + (pair and book.is_of_one_clip and book.name != _EXPLORER) for book in notebooks)


def first_pair(cases: Sequence[Case]) -> tuple[str, ...]:
    """Names of the cases of the first matched pair, as far as can be known before they are dubbed; else none."""
    return next(iter(_planned_pairs(cases).values()), ())


def pair_count(cases: Sequence[Case]) -> int:
    """Matched pairs, as far as can be known before the cases are dubbed."""
    return len(_planned_pairs(cases))


def _planned_pairs(cases: Sequence[Case]) -> dict[str, tuple[str, str]]:
    with suppress(LipsyncError):
        planned = [EvaluatedCase(case, None, None, sound_of(file_of(case.voice))) for case in cases]
        return evaluation.evaluated.pairs(planned)
    return {}


@dataclass(frozen=True)
class VariantPart:
    """What one variant contributes to a report in the folder `out`, from the clips that it dubs.

    Of a variant that is not `whole` neither notebooks nor their findings are wanted.
    """

    out: Path
    variant: Variant
    cases: Sequence[Case]
    notebooks: Sequence[Notebook]
    whole: bool = True
    force: bool = False
    progress: Progress | None = None

    @property
    def model(self) -> str:
        """Name of the variant's folders."""
        return self.variant.name

    @property
    def pipeline(self) -> Pipeline:
        return self.variant.pipeline

    @cached_property
    def pair(self) -> tuple[str, ...]:
        """`first_pair` of the cases; none where no notebook asks for it."""
        return first_pair(self.cases) if self.notebooks else ()

    def _finish(self, outcome: Outcome, seconds: float | None = None) -> None:
        if isinstance(self.progress, Reporter):
            self.progress.finish(outcome.name, outcome.error is not None, seconds)

    def dub(self, case: Case) -> ClipResult:
        """Dub and evaluate a clip, and render its pictures."""
        name = f"{self.model}/{case.name}"
        folder, reused, result, steps = self.out / "runs" / name, False, None, _steps_of(name, self.progress)
        with failing_alone() as failure:
            face, speech = file_of(case.clip), file_of(case.voice)
            reused = not self.force and runs.is_current(self.pipeline, face, speech, folder)
            run = runs.run_once(self.pipeline, face, speech, folder, self.force, steps)
            [result] = evaluation.evaluated.evaluate_cases([case], {case.name: run}, steps)
            render_pictures(result, self.out / "pictures" / name)
        if failure.reason:
            result, reused = None, False
        outcome = Outcome("clip", name, folder, failure.reason, failure.seconds, reused)
        self._finish(outcome)
        return ClipResult(case, self.variant, outcome, result)

    def begin(self, dubbed: Sequence[ClipResult], executions: Executions) -> None:
        """Begin to execute the notebooks that need no other clips than those that were dubbed so far."""
        good = [result.evaluated for result in dubbed if result.evaluated]
        is_whole, names = len(dubbed) == len(self.cases), {clip.case.name for clip in good}
        if is_whole or (self.pair and names.issuperset(self.pair)):
            for book in self.notebooks:
                if is_whole or book.is_of_one_clip or book.name == _ABLATION:
                    for clips in _groups(book, good):
                        executions.begin(self._place(book, clips), partial(self._execute, book, clips))

    def execute(self, good: Sequence[EvaluatedCase], executions: Executions) -> list[Outcome]:
        """Execute every notebook on the clips that succeeded; none where there are none."""
        out = []
        for book in self.notebooks:
            for clips in _groups(book, good):
                outcome = executions.outcome(self._place(book, clips), partial(self._execute, book, clips))
                self._finish(outcome, outcome.seconds)
                out.append(outcome)
        return out

    def _place(self, book: Notebook, clips: Sequence[EvaluatedCase]) -> Path:
        """The executed notebook."""
        title = f"{book.name}-{clips[0].case.name}" if book.is_of_one_clip else book.name
        return self.out / "notebooks" / self.model / f"{title}.ipynb"

    def _execute(
        self, book: Notebook, clips: Sequence[EvaluatedCase], kernels: Kernels, progress: Progress | None
    ) -> Outcome:
        target = self._place(book, clips)
        name, outcome = f"{self.model}/{target.stem}", None
        with failing_alone() as failure:
            target.parent.mkdir(exist_ok=True)
            if self.force:
                target.unlink(missing_ok=True)
            offered = self._offered(book, clips, target)
            taken = {key: value for key, value in offered.items() if key in book.accepted} | dict(book.given)
            key, steps = _key(book.path, taken, clips), _steps_of(name, progress)
            outcome = execute(book.path, target, taken, key=key, progress=steps, kernels=kernels)
        if outcome is None:
            page = target.with_suffix(".html")
            outcome = Outcome("notebook", name, page, failure.reason, failure.seconds, False)
        return replace(outcome, name=name)

    def _offered(self, book: Notebook, clips: Sequence[EvaluatedCase], target: Path) -> dict[str, Any]:
        """Parameters that a notebook may have; paths are relative to its folder where `runs.portable` allows it."""
        home, pipeline = book.path.resolve().parent, self.pipeline
        names, voices = ([portable(getattr(clip.case, side), home) for clip in clips] for side in ("clip", "voice"))
        offered = {
            "clips": names,
            "voices": voices,
            "runs_folder": runs.portable(self.out / "runs" / self.model, home),
            "generator": portable(generation.reference(pipeline.generator), home),
            "detector": portable(detection.reference(pipeline.detector), home),
            "settings": _changed(pipeline.settings),
        }
        if len(clips) == 1:
            folder = runs.portable(clips[0].run.folder, home)
            offered |= {"clip": names[0], "voice": voices[0], "run_folder": folder}
        if "clips" in book.accepted and not all(is_plain(clip.case) for clip in clips):
            path = target.with_suffix(".clips.csv")
            write_text(path, table([clip.case for clip in clips], path.parent))
            offered |= {"clips": runs.portable(path, home), "voices": []}
        return offered

    def findings(
        self, good: Sequence[EvaluatedCase], executed: Sequence[Outcome]
    ) -> tuple[list[Findings], list[Outcome]]:
        """The findings of the clips, a list per notebook of the laboratory, and the outcomes that failed.

        They are computed by the functions that the notebooks call. Those of the ablation need its runs, and are there
        only where its notebook was executed.
        """
        lists = {
            "02_missed_detections": ("Missed detections", _of_detection),
        }
        errors = {outcome.name: outcome.error for outcome in executed}
        if errors.get(f"{self.model}/{_ABLATION}", "not executed") is None:
            lists[_ABLATION] = "Ablation", self._of_ablation
        computed, failed = [], []
        for notebook, (title, compute) in lists.items() if good and self.whole else ():
            name = f"{self.model}/{notebook}"
            link = f"notebooks/{name}" if name in errors else None
            with failing_alone() as failure:
                computed.append(Findings(self.variant.label, title, link, compute(good)))
            if failure.reason:
                failed.append(Outcome("findings", name, self.out, failure.reason, failure.seconds, False))
        return computed, failed

    def _of_ablation(self, good: Sequence[EvaluatedCase]) -> str:
        """The findings of the ablation's runs, which its notebook left in its folder."""
        folder, given = self.out / "runs" / self.model / "ablation", self.pipeline
        changed = ablation.pipelines(
            given.generator, given.detector, _changed(given.settings), cache=folder / "detections"
        )
        cases = [clip.case for clip in clips_to_show(good, _ABLATION)]
        runs_of = {
            name: dub_and_evaluate(each, cases, folder / name.replace(" ", "_")) for name, each in changed.items()
        }
        effects = ablation.effects(runs_of)
        return findings.of_mitigations(ablation.summary(effects), ablation.interactions(effects), ablation.filled())


def _steps_of(name: str, progress: Progress | None) -> Progress | None:
    return progress and (lambda stage, done, total: progress(f"{name}: {stage}", done, total))


def _of_detection(good: Sequence[EvaluatedCase]) -> str:
    return findings.of_misses(evaluation.evaluated.frames(good), evaluation.tables.recorded())


def _groups(book: Notebook, good: Sequence[EvaluatedCase]) -> list[list[EvaluatedCase]]:
    """The clips of every execution of a notebook."""
    if book.is_of_one_clip:
        return [[clip] for clip in clips_to_show(good, book.name)]
    clips = clips_to_show(good, book.name) if book.name == _ABLATION else list(good)
    return [clips] if clips else []


def clips_to_show(good: Sequence[EvaluatedCase], notebook: str) -> list[EvaluatedCase]:
    """The clips that a notebook of one clip, or the ablation, is executed for: the first matched pair, or one clip."""
    names = next(iter(evaluation.evaluated.pairs(good).values()), ())
    pair = [clip for clip in good if clip.case.name in names]
    return (pair or list(good))[: 2 if pair and notebook != _EXPLORER else 1]


def _key(notebook: Path, parameters: Mapping[str, Any], clips: Sequence[EvaluatedCase]) -> str:
    """SHA-256 of all that an executed notebook depends on."""
    notes = ("request.json", f"{evaluation.FOLDER}/about.json")
    inputs = [(clip.run.folder / note).read_text(encoding="utf-8") for clip in clips for note in notes]
    cases = [[clip.case.name, clip.case.domain, clip.case.pair, dict(clip.case.about)] for clip in clips]
    text = notebook.read_text(encoding="utf-8")
    content = json.dumps([text, dict(parameters), cases, inputs, runs.code(), versions()], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _changed(settings: Settings) -> dict[str, Any]:
    """The settings that are not the defaults, as a notebook takes them."""
    given, usual = (json.loads(json.dumps(each.as_dict())) for each in (settings, Settings()))
    return {name: value for name, value in given.items() if value != usual[name]}
