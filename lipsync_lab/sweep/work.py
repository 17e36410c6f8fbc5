"""One run, as a worker does it: fetch the inputs, dub, evaluate, execute notebooks; its record is written last."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lipsync_lab
from lipsync_lab import detection, files, generation, runs
from lipsync_lab.errors import LipsyncError, ParameterError
from lipsync_lab.evaluation import cases
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.evaluation.networks import DISCRIMINATOR, LSE, MOUTH_OPENNESS, SYNC_EXPERT, identified
from lipsync_lab.models.registry import best_device
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings
from lipsync_lab.sweep.store import Store, fetched, truth_of

#: Version of a record.
SCHEMA = 1
#: Folder of the records, one file a finished run: a run without one is not finished, whatever else is there of it.
RECORDS = "records"
#: Folder of the runs.
RUNS = "runs"
#: States of a record.
COMPLETE, FAILED = "complete", "failed"


@dataclass(frozen=True)
class Job:
    """A run with its inputs by their content.

    Attributes
    ----------
    clip, voice, truth : (str, str) or None
        Address and SHA-256; `truth` is the ground truth beside the clip, if there is one.
    generator, detector : (str, str)
        Name of a model and an empty text, or address and SHA-256 of a file.
    restorer : (str, str)
        The same; two empty texts for none.
    settings : dict
        Every setting, the audio offset among them.
    domain, pair, name : str
    weights : dict
        Hashes of all weights (`weights_of`), and the version of the package.
    out : str
        Address of the results.
    device : str or None
    notebooks : tuple of str
        Names or paths of the notebooks that are executed on the run.
    """

    clip: tuple[str, str]
    voice: tuple[str, str]
    truth: tuple[str, str] | None
    generator: tuple[str, str]
    detector: tuple[str, str]
    settings: Mapping[str, Any]
    domain: str
    pair: str
    name: str
    weights: Mapping[str, Any]
    out: str
    restorer: tuple[str, str] = ("", "")
    device: str | None = None
    notebooks: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """20 hexadecimal digits of the SHA-256 of all that the numbers depend on; no path and no name is in it."""
        content = {
            "schema": SCHEMA,
            **{"clip": self.clip[1], "voice": self.voice[1], "truth": self.truth and self.truth[1]},
            # the restorer is among the weights
            **{"settings": {**self.settings, "restorer": None}, "domain": self.domain, "weights": self.weights},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def about(self) -> dict[str, Any]:
        """What the tables say of the run beside its numbers."""
        own = {"clip": self.clip[0], "voice": self.voice[0], "name": self.name, "domain": self.domain}
        models = {"generator": self.generator[0], "detector": self.detector[0]}
        return {"run_id": self.run_id, **own, "pair": self.pair, **models, "settings": dict(self.settings)}

    def is_done(self, status: str, notebooks: Iterable[str]) -> bool:
        """Whether a record with this status and these notebooks is complete, and lacks no notebook."""
        return status == COMPLETE and {Path(notebook).stem for notebook in self.notebooks} <= set(notebooks)

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Job:
        given = json.loads(text)
        pairs = ("clip", "voice", "truth", "generator", "detector", "restorer", "notebooks")
        return cls(**given | {key: None if given[key] is None else tuple(given[key]) for key in pairs})


@lru_cache(maxsize=4)
def generator_of(reference: str, device: str | None = None) -> Any:
    """A generator by name or path, and kept: a worker's next run has the same, most often."""
    return generation.load(reference, device=device or best_device())


@lru_cache(maxsize=4)
def detector_of(reference: str, device: str | None = None) -> Any:
    """A detector by name or path, and kept."""
    return detection.load(reference, device=device or best_device())


def weights_of(generator: Any, detector: Any) -> dict[str, Any]:
    """What the numbers depend on beside inputs and settings: all weights by their hashes, and the package's version."""
    names = {"sync_expert": SYNC_EXPERT, "discriminator": DISCRIMINATOR, "lse": LSE, "mouth_openness": MOUTH_OPENNESS}
    restorer = getattr(generator, "restorer", None)
    return {
        "generator": generator.sha256 or generator.name,
        "width": generator.width,
        **({"restorer": restorer["sha256"]} if restorer else {}),
        "detector": detector.identity,
        **{kind: about.get("sha256") for kind, about in identified(names).items()},
        "version": lipsync_lab.__version__,
    }


def failed(job: Job, reason: str, seconds: float) -> dict[str, Any]:
    """The record of a run that failed."""
    return _record(job, FAILED, reason, seconds)


def _record(job: Job, status: str, reason: str, seconds: float, **more: Any) -> dict[str, Any]:
    rest = {"frames": None, "device": None, "machine": platform.node(), "code": runs.code(), "notebooks": []}
    return {
        **{"schema": SCHEMA, **job.about, "status": status, "reason": reason, "seconds": round(seconds, 2)},
        **rest,
        "metrics": {},
        **more,
    }


def perform(job: Job, scratch: Path) -> dict[str, Any]:
    """Do a run, unless its record is there, and write its record last.

    Parameters
    ----------
    job : Job
    scratch : Path
        Folder for fetched inputs and, where the results are on no disk of this machine, for the run itself.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    LipsyncError
        With the reason why it fails, and will fail again. What there is of the run was kept.
    """
    start, store = time.monotonic(), Store(job.out)
    name = f"{RECORDS}/{job.run_id}.json"
    if (known := store.json(name)) and job.is_done(known["status"], known["notebooks"]):
        return known
    home = (store.local or scratch) / RUNS / job.run_id
    try:
        clip, voice = (fetched(*given, scratch / "inputs") for given in (job.clip, job.voice))
        if job.truth is not None:
            _beside(clip, fetched(*job.truth, scratch / "inputs"))
        models = [
            str(fetched(name, sha256, scratch / "inputs")) if sha256 else name
            for name, sha256 in (job.generator, job.detector, job.restorer)
        ]
        generator, detector = generator_of(models[0], job.device), detector_of(models[1], job.device)
        device, settings = job.device or best_device(), {**job.settings, "restorer": models[2] or None}
        _check(job, weights_of(generation.restored(generator, settings["restorer"], device), detector))
        kept = (store.local or scratch) / "detections"
        pipeline = Pipeline(generator, detector, Settings.read(settings), device=job.device, cache=kept)
        run = runs.run_once(pipeline, clip, voice, home / "run")
        measured = evaluate(run, domain=job.domain or None, device=job.device)
        titles = _execute(job, pipeline, run, clip, voice, home)
        values = measured.metrics.set_index("metric")["value"]
        record = _record(
            job,
            COMPLETE,
            "",
            time.monotonic() - start,
            frames=len(measured.frames),
            device=pipeline.device,
            notebooks=titles,
            metrics={metric: None if value != value else float(value) for metric, value in values.items()},
        )
    finally:
        if store.local is None and home.is_dir():
            store.publish(home, f"{RUNS}/{job.run_id}")
    store.write(name, (json.dumps(record, indent=1) + "\n").encode())
    if store.local is None:
        shutil.rmtree(home)
    return record


def _check(job: Job, weights: dict[str, Any]) -> None:
    """Refuse to give a run's name to numbers of other weights or of another version."""
    own, wanted = json.loads(json.dumps(weights)), json.loads(json.dumps(job.weights))
    if other := [key for key in wanted if own.get(key) != wanted[key]]:
        shown = ", ".join(f"{key} {own.get(key)} in place of {wanted[key]}" for key in other)
        raise ParameterError(f"{platform.node()} has other weights or another version than the client: {shown}")


def _beside(clip: Path, truth: Path) -> None:
    """Put fetched ground truth where `evaluate` looks for it."""
    place = Path(truth_of(str(clip)))
    if place != truth and not place.is_file():
        with files.atomic_file(place) as part:
            shutil.copyfile(truth, part)


def _execute(job: Job, pipeline: Pipeline, run: runs.Run, clip: Path, voice: Path, home: Path) -> list[str]:
    """Execute the notebooks of a job on its run with papermill; one that fails is kept, and fails the run."""
    if not job.notebooks:
        return []
    from lipsync_lab.reporting import notebooks

    case = cases.Case("run", str(clip), str(voice), job.domain, job.pair)
    table = home / "clips.csv"
    files.write_text(table, cases.table([case], home))
    settings, usual = (json.loads(json.dumps(each.as_dict())) for each in (pipeline.settings, Settings()))
    offered = {
        **{"clip": str(clip), "voice": str(voice), "clips": str(table), "voices": []},
        **{"generator": generation.reference(pipeline.generator), "detector": detection.reference(pipeline.detector)},
        **{"settings": {key: value for key, value in settings.items() if value != usual[key]}},
        **{"run_folder": str(run.folder), "runs_folder": str(home)},
    }
    titles = []
    for notebook in job.notebooks:
        path = notebook_path(notebook)
        accepted = notebooks.notebook_parameters(path)
        taken = {key: value for key, value in offered.items() if key in accepted}
        outcome = notebooks.execute(path, home / path.name, taken)
        if outcome.error:
            raise LipsyncError(f"notebook {path.name}: {outcome.error}")
        titles.append(path.stem)
    return titles


def notebook_path(notebook: str) -> Path:
    """The file of a notebook: a path, or the name of one of the repository's.

    Raises
    ------
    ParameterError
        There is none.
    """
    from lipsync_lab.reporting import notebooks

    for path in (Path(notebook), notebooks.NOTEBOOKS / f"{notebook}.ipynb"):
        if path.is_file():
            return path.resolve()
    raise ParameterError(f"{notebook}: no such notebook; give a path, or a name such as 01_pipeline_walkthrough")
