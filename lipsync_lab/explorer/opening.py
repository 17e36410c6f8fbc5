"""What a session works on: a clip or the folder of a run, its candidates, and the track with a person's edits."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipsync_lab import checkpoints, detection, files, runs, samples, tracking
from lipsync_lab.detection import Detection
from lipsync_lab.detection import record as records
from lipsync_lab.errors import DetectionError, MediaError
from lipsync_lab.explorer.edits import Edits
from lipsync_lab.geometry import Box, FaceTrack
from lipsync_lab.settings import Settings


def located(name: str | Path) -> Path:
    """The path if it exists, otherwise the file of the sample of that name."""
    return samples.path(str(name)) if str(name) in samples.SAMPLES and not Path(name).exists() else Path(name)


def detectors() -> list[str]:
    """Names of the detectors that can be used here, the default first: those whose weights are on this machine."""
    trained = [model.name for model in checkpoints.MODELS.values() if model.kind == "detector"]
    names = dict.fromkeys((detection.default(), *trained, *detection.NAMES))
    return [name for name in names if _is_here(name)]


def _is_here(name: str) -> bool:
    if name in checkpoints.MODELS:
        path = checkpoints.MODELS[name].path
        return path is None or path.is_file()
    try:  # a cascade, which takes milliseconds to load
        detection.load(name)
    except DetectionError:
        return False
    return True


@dataclass(frozen=True)
class RunContent:
    """Inputs and detections of a run, and boxes in its `detections.json` that a person has changed since."""

    clip: Path
    voice: Path
    generator: str
    settings: Settings
    record: records.Record
    provenance: str
    edits: dict[int, Box | None]


def run_content(folder: Path) -> RunContent:
    """Read the folder of a run, and check that its clip is unchanged.

    Raises
    ------
    MediaError
        It is not the folder of a run, or the clip is gone or has changed.
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
    """Every candidate in a `detections.json`, and separately the box that was selected in each frame."""
    records.read(path)  # says what is wrong with it
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    boxes = [None if corners is None else Box(*corners[:4]) for corners in content.pop("boxes")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(path).name
        file.write_text(json.dumps(content), encoding="utf-8")
        return records.read(file), boxes


def chosen(record: records.Record, settings: Settings) -> list[Detection | None]:
    """The face of each frame, as the pipeline selects it."""
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


def tracked(
    record: records.Record, used: int, kind: str, settings: Settings, edits: Edits, fps: float
) -> tuple[list[Detection | None], FaceTrack]:
    """Faces of all frames, and the track of the frames that are used, as the pipeline makes them, with the edits."""
    part = record.first(used)
    faces = chosen(part, settings) + chosen(record, settings)[used:]
    given = {**edits.interpolated, **edits.boxes}
    for frame, box in given.items():
        faces[frame] = None if box is None else Detection(box, 1.0)
    track = tracking.track(
        part.candidates,
        faces[:used],
        shots(part),
        record.size,
        gap=settings.gap,
        longest_gap=settings.longest_gap,
        smoothing=settings.smoothing,
        pads=settings.pads,
        provenance=kind,
        manual={frame: box for frame, box in given.items() if frame < used},
        fps=fps,
    )
    provenance = track.provenance.copy()
    provenance[[frame for frame in edits.interpolated if frame < used]] = "interpolated"
    return faces, replace(track, provenance=provenance)
