"""From a name to what a session works on: a clip or a run's folder, every candidate of a file of boxes, a voice."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipsync_lab import files, runs, samples, tracking
from lipsync_lab.detection import Detection
from lipsync_lab.detection import record as records
from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import Box
from lipsync_lab.settings import Settings


def located(name: str | Path) -> Path:
    """A path where something is there, else the file of the sample of that name."""
    return samples.path(str(name)) if str(name) in samples.SAMPLES and not Path(name).exists() else Path(name)


@dataclass(frozen=True)
class RunContent:
    """What a run's folder says: its inputs, what its detector found, and boxes in it that a person changed since."""

    clip: Path
    voice: Path
    generator: str
    settings: Settings
    record: records.Record
    provenance: str
    edits: dict[int, Box | None]


def run_content(folder: Path) -> RunContent:
    """Read a run's folder, and look at whether the clip still is what it was.

    Raises
    ------
    MediaError
        It is no run's folder, or the clip is gone or is another one.
    """
    run = runs.Run(folder)
    if not (folder / "run.json").is_file():
        raise MediaError(f"{folder}: a folder, but not of a run, it has no run.json; give a clip or a run's folder")
    info = run.info
    clip = Path(info["face"]["file"])
    if not clip.is_file():
        raise MediaError(f"{folder}: its clip {clip} is gone; bring it back, or open another run")
    if files.sha256(clip) != info["face"]["sha256"]:
        raise MediaError(f"{folder}: {clip} is no longer the clip that the run was made from; dub it again")
    settings, kind = Settings.of(info["settings"]), info["detector"]["detector"]
    record, boxes = read_whole(run.detections)
    edits = {
        frame: box
        for frame, (face, box) in enumerate(zip(chosen(record, settings), boxes, strict=True))
        if box != (face and face.box)
    }
    if kind == "fixed":  # the published --box is used as it is
        settings = replace(settings, pads=(0, 0, 0, 0), smoothing="none")
    provenance = "recorded" if kind in ("recorded", "fixed") else "detected"
    voice, generator = Path(info["speech"]["file"]), info["generator"]["name"]
    return RunContent(clip, voice, generator, settings, record, provenance, edits)


def read_whole(path: str | Path) -> tuple[records.Record, list[Box | None]]:
    """Every candidate of a `detections.json` that has them, and apart from them the boxes that were chosen."""
    records.read(path)  # says what is wrong with it
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    boxes = [None if corners is None else Box(*corners[:4]) for corners in content.pop("boxes")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(path).name
        file.write_text(json.dumps(content), encoding="utf-8")
        return records.read(file), boxes


def chosen(record: records.Record, settings: Settings) -> list[Detection | None]:
    """The face of each frame, as the pipeline chooses it."""
    return tracking.choose(
        record.candidates,
        shots(record),
        record.size,
        threshold=settings.threshold,
        face=settings.choose,
        longest_gap=settings.longest_gap,
    )


def shots(record: records.Record) -> np.ndarray:
    """Number of each frame's shot, int64 (frames,)."""
    return tracking.shot_numbers(record.shots or (0,), len(record))
