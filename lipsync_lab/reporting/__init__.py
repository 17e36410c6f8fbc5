"""Reports: the pipeline on chosen clips, the notebooks printed by papermill, and one page that leads to all of it.

A report is a folder that needs no network: ``index.html``, ``table.csv``, ``manifest.json``, ``runs/`` and
``pictures/`` with one folder a clip, and ``notebooks/`` with each notebook as it was executed, and as HTML. What
failed stays in it and says why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import samples
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.reporting.clips import box_to_show, dubbed, headline, illustrate, is_done, located, telling_frame
from lipsync_lab.reporting.notebooks import NOTEBOOKS, bars, execute, find, parameters_of, renew, to_html
from lipsync_lab.reporting.outcomes import Outcome, Part, code, first_line, versions
from lipsync_lab.reporting.page import TABLE, write
from lipsync_lab.reporting.words import banner, proves
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline, Progress

__all__ = [
    "NOTEBOOKS",
    "Outcome",
    "Report",
    "TABLE",
    "banner",
    "bars",
    "box_to_show",
    "dubbed",
    "execute",
    "find",
    "headline",
    "located",
    "parameters_of",
    "proves",
    "renew",
    "report",
    "telling_frame",
    "to_html",
]


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
    clips: Sequence[str | Path] | None = None,
    *,
    voices: Sequence[str | Path] | None = None,
    generator: str | Path = "untrained",
    detector: str | Path | None = None,
    settings: Settings | None = None,
    notebooks: Iterable[str | Path] | Mapping[str | Path, Mapping[str, Any]] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Dub clips, execute notebooks on them, and write pages about all of it.

    Parameters
    ----------
    out : path
        Folder of the report. What an earlier report left there is used again where its inputs, its settings and the
        code are still the same.
    clips : sequence of str or path, optional
        Names of samples, or files; None for all bundled clips.
    voices : sequence of str or path, optional
        Names of samples, or any files with sound: one a clip, or one for all. None for each clip's own sound.
    generator, detector, settings
        As for `pipeline.Pipeline`.
    notebooks : iterable of path, or mapping of path to parameters, optional
        None for `NOTEBOOKS`. A notebook with a parameter `clip` is printed once a clip, any other once; of `clip`,
        `voice`, `run_folder`, `clips`, `voices`, `runs`, `generator`, `detector` and `settings` each is given what
        it has a parameter for. Parameters of the mapping come on top, and must exist.
    force : bool
        Do everything again.
    progress : callable, optional
        See `pipeline.Progress`; the stages are clips and notebooks.

    Returns
    -------
    Report
        A clip that cannot be dubbed and a notebook that fails are kept with their error; the rest goes on.

    Raises
    ------
    LipsyncError
        Before anything is run: no clips, voices that do not match them, an unknown parameter, weights that are
        not there, a folder that cannot be written.
    """
    from lipsync_lab.pipeline import Pipeline

    parts = _parts(clips, voices)
    notebooks = find() if notebooks is None else notebooks
    books = dict(notebooks) if isinstance(notebooks, Mapping) else {path: {} for path in notebooks}
    accepted = {path: parameters_of(path, given) for path, given in books.items()}
    pipeline = Pipeline(generator, detector, settings or Settings())
    out = Path(out).resolve()
    try:
        (out / "notebooks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{out}: cannot be written ({error.strerror}); name another folder for the report") from None

    outcomes = [_clip(pipeline, part, out / "runs" / part.name, force, progress) for part in parts]
    spoken = [part for part, outcome in zip(parts, outcomes, strict=True) if not outcome.error]
    for path, given in books.items():
        a_clip = "clip" in accepted[path]
        for shown in [[part] for part in spoken] if a_clip else [spoken]:
            offered = _offered(pipeline, shown, out / "runs", Path(path).resolve().parent)
            taken = {name: value for name, value in offered.items() if name in accepted[path]} | dict(given)
            target = out / "notebooks" / f"{Path(path).stem}{f'-{shown[0].name}' if a_clip else ''}.ipynb"
            key = None if force else _key(path, taken, [out / "runs" / part.name for part in shown])
            outcomes.append(execute(path, target, taken, key=key, progress=progress))
    write(out, pipeline, parts, outcomes)
    return Report(out, tuple(outcomes))


def _parts(clips: Sequence[str | Path] | None, voices: Sequence[str | Path] | None) -> list[Part]:
    if clips is None:
        clips = [name for name in samples.names(bundled=True) if samples.get(name).domain != "voice"]
    if not clips:
        raise ParameterError("no clips to report on; name samples or files")
    voices = clips if voices is None else list(voices) * (len(clips) if len(voices) == 1 else 1)
    if len(voices) != len(clips):
        raise ParameterError(f"{len(voices)} voices for {len(clips)} clips; name one a clip, or one for all of them")
    parts, taken = [], set()
    for clip, voice in zip(clips, voices, strict=True):
        sample = samples.SAMPLES.get(str(clip))
        # what stands in addresses and file names, on any system
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", sample.name if sample else Path(clip).stem).strip("._") or "clip"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        parts.append(Part(name, str(clip), str(voice), sample))
    return parts


def _clip(pipeline: Pipeline, part: Part, folder: Path, force: bool, progress: Progress | None) -> Outcome:
    def staged(stage: str, done: int, total: int | None) -> None:
        progress(f"{part.name}: {stage}", done, total)

    start, error, reused = time.perf_counter(), None, False
    pictures = folder.parents[1] / "pictures" / part.name
    try:
        face, speech = located(part.face), located(part.speech)
        reused = not force and is_done(pipeline, face, speech, folder)
        run = dubbed(pipeline, face, speech, folder, force, staged if progress else None)
        if not (reused and (pictures / "timeline.png").is_file()):
            illustrate(pipeline, run, face, pictures)
    except LipsyncError as failure:
        error = first_line(failure)
    return Outcome("clip", part.name, folder, error, round(time.perf_counter() - start, 3), reused)


def _key(notebook: str | Path, parameters: Mapping[str, Any], folders: Iterable[Path]) -> str:
    """SHA-256 of all that an executed notebook depends on."""
    requests = [(folder / "request.json").read_text(encoding="utf-8") for folder in folders]
    text = Path(notebook).read_text(encoding="utf-8")
    content = json.dumps([text, dict(parameters), requests, code(), versions()], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _offered(pipeline: Pipeline, parts: list[Part], runs_folder: Path, home: Path) -> dict[str, Any]:
    """Parameters that a notebook in the folder `home` may have."""
    settings = json.loads(json.dumps(pipeline.settings.as_dict()))
    usual = json.loads(json.dumps(Settings().as_dict()))
    offered = {
        "clips": [_portable(part.face, home) for part in parts],
        "voices": [_portable(part.speech, home) for part in parts],
        "runs": _portable(runs_folder, home),
        "generator": _portable(pipeline.generator, home),
        "detector": None if pipeline.detector is None else _portable(pipeline.detector, home),
        "settings": {name: value for name, value in settings.items() if value != usual[name]},
    }
    if len(parts) == 1:
        run_folder = _portable(runs_folder / parts[0].name, home)
        offered |= {"clip": offered["clips"][0], "voice": offered["voices"][0], "run_folder": run_folder}
    return offered


def _portable(name: str | Path, home: Path) -> str:
    """A name as it is; a path from the folder `home` if both lie in the repository, which may move, else absolute."""
    path, root = Path(name).resolve(), NOTEBOOKS.parent
    if not path.exists():
        return str(name)
    return Path(os.path.relpath(path, home)).as_posix() if {root} <= {*path.parents} & {*home.parents} else str(path)
