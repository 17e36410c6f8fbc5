"""Build a report: check every input, dub and evaluate the clips, execute the notebooks, write the pages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import files
from lipsync_lab.errors import MediaError
from lipsync_lab.evaluation.cases import Case, file_of, read
from lipsync_lab.evaluation.evaluated import EvaluatedCase, pairs
from lipsync_lab.progress import Reporter, duration
from lipsync_lab.reporting import estimate
from lipsync_lab.reporting.executions import Executions, most_kernels
from lipsync_lab.reporting.notebooks import notebook_parameters, of_a_report
from lipsync_lab.reporting.outcome import Outcome
from lipsync_lab.reporting.page import write
from lipsync_lab.reporting.paired import not_compared
from lipsync_lab.reporting.parts import Notebook, VariantPart, pair_count, stage_count
from lipsync_lab.reporting.summary import ANIMATION
from lipsync_lab.reporting.variants import ClipResult, Variant, variants
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.progress import Progress

_PAIRS = ("kettle", "village", "apples", "violin", "tomatoes", "wardrobe", "postman", "bus")
_DIFFICULT = ("turning_away", "cut_in_the_city", "behind_a_cup", "nobody_there")
#: The clips of a report for which no others are named: eight matched pairs, and four clips on which methods fail.
CLIPS = (*(f"{side}_{pair}" for pair in _PAIRS for side in ("animation", "astronaut")), *_DIFFICULT)
#: Their voices: either clip of a pair gets the sentence of the next pair, the others keep their own.
VOICES = (*(f"animation_{pair}" for pair in (*_PAIRS[1:], _PAIRS[0]) for _ in range(2)), *_DIFFICULT)
#: Where no generator is named, it dubs the clips of animation beside the generator that `dub` takes.
BESIDE = "cel"


@dataclass(frozen=True)
class Report:
    """The result of `report`.

    Attributes
    ----------
    folder : Path
    outcomes : tuple of Outcome
        Of every clip, every notebook and every list of findings.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]

    @property
    def index(self) -> Path:
        return self.folder / "index.html"

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.error)

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def has_pages(self) -> bool:
        """Whether pages were written: they are if at least one clip succeeded."""
        return any(outcome.kind == "clip" and not outcome.error for outcome in self.outcomes)


def report(
    out: str | Path,
    clips: str | Path | Sequence[str | Path] | None = None,
    *,
    voices: Sequence[str | Path] | None = None,
    domains: Sequence[str] | None = None,
    generators: Sequence[str | Path | None] | None = None,
    detector: str | Path | None = None,
    settings: Settings | Mapping[str, Settings] | None = None,
    notebooks: Iterable[str | Path] | Mapping[str | Path, Mapping[str, Any]] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Dub and evaluate clips, execute notebooks on them, and write pages about all of it.

    Parameters
    ----------
    out : path
        Folder of the report. What an earlier report left there is used again where its inputs, its settings and the
        code are still the same.
    clips : path, or sequence of str or path, optional
        Names of samples, or files; or a clips table (`evaluation.cases.read_table`), which also has voices, domains and
        pairs. None for `CLIPS` with `VOICES`.
    voices : sequence of str or path, optional
        Names of samples, or any files with sound: one per clip, or one for all. None for each clip's own sound.
    domains : sequence of str, optional
        One of `samples.CLIP_DOMAINS` per clip, empty for one that is unknown. None for those of the samples.
    generators : sequence of str or path, optional
        Every one dubs every clip; an item None stands for the default of `pipeline.Pipeline`. After the first, a
        generator with an attribute ``domains`` dubs the clips of these domains only, and those of an unknown domain.
        None for that default and, where a clip is animation and the settings have no name, `BESIDE` after it.
    detector
        As for `pipeline.Pipeline`.
    settings : Settings, or mapping of str to Settings, optional
        Several sets of settings by their names are put side by side: every clip is dubbed with each. Where no generator
        or detector is named, settings with the name of a preset take those of the preset, as `dub` does.
    notebooks : iterable of path, or mapping of path to parameters, optional
        None for `notebooks.of_a_report`. Each is executed with the first settings, once per generator that is for
        every domain or is the first. A notebook with a parameter `clip` is executed for either clip of the first
        matched pair (`evaluation.evaluated.pairs`), or for the first clip where there is no pair; the ablation is
        executed for both clips of that pair together. Of the parameters `clip`, `voice`, `run_folder`, `clips`,
        `voices`, `runs_folder`, `generator`, `detector` and `settings` a notebook gets those that it has. Parameters of
        the mapping are added, and must exist.
    force : bool
        Do everything again.
    progress : callable, optional
        See `progress.Progress`; the stages are the clips and the notebooks of every generator. A `progress.Reporter`
        also gets their number.

    Returns
    -------
    Report
        A clip, a notebook or a list of findings that fails, for whatever reason, is kept with that reason, and the rest
        goes on. Without a single clip that succeeded no page is written, and the pages of an earlier report stay.

    Raises
    ------
    LipsyncError
        Before anything is written: no clips, a clip or a voice that is not there, voices that do not match the clips,
        a clips table that is not valid, an unknown parameter, weights that are not there, a folder that cannot be
        written.
    """
    if clips is None:
        clips, voices = CLIPS, voices or VOICES
    cases = read(clips, voices or (), domains or ())
    _check_inputs(cases)
    if not isinstance(notebooks, Mapping):
        notebooks = {path: {} for path in (of_a_report() if notebooks is None else notebooks)}
    books = [Notebook(Path(path), given, notebook_parameters(path, given)) for path, given in notebooks.items()]
    out = Path(out).resolve()
    if generators is None:
        generators = _default_generators(cases, settings)
    compared = variants(generators, detector, settings, out / "detections")
    try:
        (out / "notebooks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{out}: cannot be written ({error.strerror}); name another folder for the report") from None

    with files.only_writer(out, "report"):
        results, outcomes, findings = [], [], []
        counter = progress if isinstance(progress, Reporter) else Reporter(None, sys.stderr)
        parts = _parts(out, compared, cases, books, force, progress)
        planned = [stage_count(len(part.cases), part.notebooks, bool(part.pair)) for part in parts]
        counter.total_stages = sum(planned)
        dubs = sum(len(part.cases) for part in parts)
        books_planned, work = sum(planned) - dubs, estimate.of_dubs(parts)
        counter.expect(work, estimate.NOTEBOOK)
        time = duration(estimate.whole(work, books_planned, most_kernels()))
        counter.announce(
            f"{dubs} dubs, {books_planned} notebooks: a line when each is finished; about {time} by an estimate for "
            "two cores and the bundled models, where nothing is there yet"
        )
        for line in not_compared(cases, pair_count(cases)):
            counter.announce(line)
        with Executions(progress=progress) as executions:
            good_of: list[list[EvaluatedCase]] = []
            for part, stages in zip(parts, planned, strict=True):
                of_part: list[ClipResult] = []
                for case in part.cases:
                    of_part.append(part.dub(case))
                    part.begin(of_part, executions)
                good = [result.evaluated for result in of_part if result.evaluated]
                # clips that failed may leave no matched pair, or nothing to show in a notebook
                left = stage_count(len(good), part.notebooks, bool(pairs(good))) - len(good)
                counter.total_stages += left + len(part.cases) - stages
                results += of_part
                good_of.append(good)
            for part, good in zip(parts, good_of, strict=True):
                executed = part.execute(good, executions)
                lists, failed = part.findings(good, executed)
                findings += lists
                outcomes += executed + failed
        outcomes = [result.outcome for result in results] + outcomes
        if any(result.evaluated for result in results):
            write(out, compared, results, outcomes, findings)
        return Report(out, tuple(outcomes))


def _check_inputs(cases: Sequence[Case]) -> None:
    """Refuse before anything is written: a report of names that are mistyped must not replace a good one."""
    problems: list[str] = []
    for name in dict.fromkeys(name for case in cases for name in (case.clip, case.voice)):
        try:
            file_of(name)
        except MediaError as error:
            problems.append(str(error))
    if problems:
        raise MediaError("; ".join(problems))


def _default_generators(
    cases: Sequence[Case], settings: Settings | Mapping[str, Settings] | None
) -> tuple[str | None, ...]:
    """What dubs the clips where no generator is named; settings with names may be presets, which bring their own."""
    named = isinstance(settings, Mapping) and any(settings)
    return (None, BESIDE) if not named and any(case.domain == ANIMATION for case in cases) else (None,)


def _parts(
    out: Path,
    compared: Sequence[Variant],
    cases: Sequence[Case],
    books: Sequence[Notebook],
    force: bool,
    progress: Progress | None,
) -> list[VariantPart]:
    """What each variant contributes: notebooks are for the first settings of a generator that is for every domain."""
    parts, first = [], compared[0]
    for variant in compared:
        beside = variant.is_beside(first)
        own = [case for case in cases if variant.dubs(case)] if beside else cases
        whole = not beside and variant.settings_name == first.settings_name
        parts.append(VariantPart(out, variant, own, books if whole else (), whole, force, progress))
    return parts
