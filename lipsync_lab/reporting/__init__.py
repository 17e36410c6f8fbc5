"""Reports: clips dubbed and examined, the notebooks printed by papermill, and one page that leads to all of it.

A report is a folder that needs no network: ``index.html``, the same in short as ``README.md`` for where Markdown is
shown and pages are not, ``table.csv``, ``manifest.json``, and, a folder a generator, ``runs/`` and ``pictures/`` with a
folder a clip, and ``notebooks/`` with each notebook as it was executed, and as HTML. What failed stays in it and says
why.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import comparison, evaluation, runs
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.progress import make as bars
from lipsync_lab.reporting.clips import (
    box_to_show,
    examined,
    headline,
    judged,
    located,
    telling_frame,
    worst,
)
from lipsync_lab.reporting.notebooks import (
    NOTEBOOKS,
    execute,
    find,
    findings,
    parameters_of,
    renew,
    to_html,
)
from lipsync_lab.reporting.outcomes import Outcome, first_line, versions
from lipsync_lab.reporting.page import TABLE, Take, write
from lipsync_lab.reporting.pictures import illustrate
from lipsync_lab.reporting.words import banner, proves
from lipsync_lab.runs import is_current
from lipsync_lab.runs import run_once as dubbed
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline, Progress

__all__ = [
    "CLIPS",
    "NOTEBOOKS",
    "Outcome",
    "Report",
    "TABLE",
    "banner",
    "bars",
    "box_to_show",
    "dubbed",
    "examined",
    "execute",
    "find",
    "findings",
    "headline",
    "judged",
    "located",
    "parameters_of",
    "proves",
    "renew",
    "report",
    "telling_frame",
    "to_html",
    "worst",
]

#: What is reported on unless something else is named: both matched pairs, and four clips that are hard.
CLIPS = (
    *("drawn_hello", "astronaut_hello", "drawn_baker", "astronaut_baker"),
    *("turning_away", "cut_in_the_city", "behind_a_cup", "nobody_there"),
)

#: An instrument that is a single picture on paper: it is printed for one clip.
_INSTRUMENT = "explorer"
#: This one dubs its clips again and again: it is printed for the first matched pair alone.
_AGAIN = "06_what_mends_it"


@dataclass(frozen=True)
class Report:
    """What `report` left behind, and whether all of it went well."""

    folder: Path
    outcomes: tuple[Outcome, ...]

    @property
    def index(self) -> Path:
        return self.folder / "index.html"

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one.error)

    @property
    def ok(self) -> bool:
        return not self.failed


def report(
    out: str | Path,
    clips: Sequence[str | Path] = CLIPS,
    *,
    voices: Sequence[str | Path] | None = None,
    generators: Sequence[str | Path | None] = (None,),
    detector: str | Path | None = None,
    settings: Settings | None = None,
    notebooks: Iterable[str | Path] | Mapping[str | Path, Mapping[str, Any]] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Dub and examine clips, execute notebooks on them, and write pages about all of it.

    Parameters
    ----------
    out : path
        Folder of the report. What an earlier report left there is used again where its inputs, its settings and the
        code are still the same.
    clips : sequence of str or path
        Names of samples, or files.
    voices : sequence of str or path, optional
        Names of samples, or any files with sound: one a clip, or one for all. None for each clip's own sound.
    generators : sequence of str or path
        Every one dubs every clip; None stands for the default of `pipeline.Pipeline`.
    detector, settings
        As for `pipeline.Pipeline`.
    notebooks : iterable of path, or mapping of path to parameters, optional
        None for `NOTEBOOKS`. Each is printed once a generator; one with a parameter `clip` for either clip of the first
        matched pair (`comparison.pairs`), or where there is none for the first clip, and the one that dubs them again
        for both together. Of `clip`, `voice`, `run_folder`,
        `clips`, `voices`, `runs`, `generator`, `detector` and `settings` each is given what it has a parameter for.
        Parameters of the mapping come on top, and must exist.
    force : bool
        Do everything again.
    progress : callable, optional
        See `pipeline.Progress`; the stages are clips and notebooks.

    Returns
    -------
    Report
        A clip that cannot be dubbed or examined and a notebook that fails are kept with their error; the rest goes on.

    Raises
    ------
    LipsyncError
        Before anything is run: no clips, voices that do not match them, an unknown parameter, weights that are
        not there, a folder that cannot be written.
    """
    cases = comparison.cases(clips, voices or ())
    notebooks = find() if notebooks is None else notebooks
    books = dict(notebooks) if isinstance(notebooks, Mapping) else {path: {} for path in notebooks}
    accepted = {path: parameters_of(path, given) for path, given in books.items()}
    pipelines = _pipelines(generators, detector, settings or Settings())
    out = Path(out).resolve()
    try:
        (out / "notebooks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{out}: cannot be written ({error.strerror}); name another folder for the report") from None

    takes, outcomes, found = [], [], {}
    for model, pipeline in pipelines.items():
        some = [_take(pipeline, case, model, out, force, progress) for case in cases]
        takes += some
        good = [take.examined for take in some if take.examined]
        for path, given in books.items():
            name = Path(path).stem
            a_clip = "clip" in accepted[path]
            walked = _walked(good, name)
            shown = [[one] for one in walked] if a_clip else [walked if name == _AGAIN else good] * bool(good)
            for these in shown:
                offered = _offered(pipeline, these, out / "runs" / model, Path(path).resolve().parent)
                taken = {key: value for key, value in offered.items() if key in accepted[path]} | dict(given)
                title = f"{name}-{these[0].case.name}" if a_clip else name
                target = out / "notebooks" / model / f"{title}.ipynb"
                target.parent.mkdir(exist_ok=True)
                if force:
                    target.unlink(missing_ok=True)
                key = _key(path, taken, these)
                outcome = execute(path, target, taken, key=key, progress=progress)
                outcomes.append(replace(outcome, name=f"{model}/{title}"))
                if not a_clip:
                    found[f"{model}/{title}"] = findings(target)
    outcomes = [take.outcome for take in takes] + outcomes
    write(out, pipelines, takes, outcomes, found)
    return Report(out, tuple(outcomes))


def _pipelines(
    generators: Sequence[str | Path | None], detector: str | Path | None, settings: Settings
) -> dict[str, Pipeline]:
    """Pipelines by the name that their generator has in the report."""
    from lipsync_lab.pipeline import Pipeline

    out: dict[str, Pipeline] = {}
    for generator in generators:
        named = {} if generator is None else {"generator": generator}
        pipeline = Pipeline(**named, detector=detector, settings=settings)
        # what stands in addresses and file names, on any system
        model = re.sub(r"[^A-Za-z0-9_.-]+", "_", pipeline.weights.name).strip("._") or "generator"
        if model in out:
            raise ParameterError(f"{generator}: two generators of the name {model}; name each once, or rename a file")
        out[model] = pipeline
    if not out:
        raise ParameterError("no generators to report on; name models or files")
    return out


def _take(
    pipeline: Pipeline, case: comparison.Case, model: str, out: Path, force: bool, progress: Progress | None
) -> Take:
    name = f"{model}/{case.name}"
    folder = out / "runs" / name

    def staged(stage: str, done: int, total: int | None) -> None:
        progress(f"{name}: {stage}", done, total)

    start, error, reused, examined = time.perf_counter(), None, False, None
    told = staged if progress else None
    try:
        face, speech = located(case.clip), located(case.voice)
        reused = not force and is_current(pipeline, face, speech, folder)
        run = dubbed(pipeline, face, speech, folder, force, told)
        [examined] = comparison.examine([case], {case.name: run}, told)
        illustrate(examined, out / "pictures" / name)
    except LipsyncError as failure:
        error, examined = first_line(failure), None
    seconds = round(time.perf_counter() - start, 3)
    return Take(case, model, Outcome("clip", name, folder, error, seconds, reused and not error), examined)


def _walked(examined: list[comparison.Examined], name: str) -> list[comparison.Examined]:
    """The clips that a notebook of one clip is printed for."""
    pair = next(iter(comparison.pairs(examined).values()), ())
    chosen = [one for one in examined if one.case.name in pair] or examined
    return chosen[: 2 if pair and name != _INSTRUMENT else 1]


def _key(notebook: str | Path, parameters: Mapping[str, Any], examined: Iterable[comparison.Examined]) -> str:
    """SHA-256 of all that an executed notebook depends on."""
    notes = ("request.json", f"{evaluation.FOLDER}/about.json")
    inputs = [(one.run.folder / note).read_text(encoding="utf-8") for one in examined for note in notes]
    text = Path(notebook).read_text(encoding="utf-8")
    content = json.dumps([text, dict(parameters), inputs, runs.code(), versions()], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _offered(pipeline: Pipeline, examined: list[comparison.Examined], runs_folder: Path, home: Path) -> dict[str, Any]:
    """Parameters that a notebook in the folder `home` may have."""
    settings = json.loads(json.dumps(pipeline.settings.as_dict()))
    usual = json.loads(json.dumps(Settings().as_dict()))
    offered = {
        "clips": [_portable(one.case.clip, home) for one in examined],
        "voices": [_portable(one.case.voice, home) for one in examined],
        "runs": runs.portable(runs_folder, home),
        "generator": _portable(pipeline.generator, home),
        "detector": None if pipeline.detector is None else _portable(pipeline.detector, home),
        "settings": {name: value for name, value in settings.items() if value != usual[name]},
    }
    if len(examined) == 1:
        run_folder = runs.portable(examined[0].run.folder, home)
        offered |= {"clip": offered["clips"][0], "voice": offered["voices"][0], "run_folder": run_folder}
    return offered


def _portable(name: str | Path, home: Path) -> str:
    """A model's or a sample's name as it is, a path as `runs.portable` tells it."""
    return runs.portable(name, home) if Path(name).exists() else str(name)
