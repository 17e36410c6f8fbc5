"""What a session can be opened with: the detectors that are here, and the folder of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import detection, files, runs
from lipsync_lab.detection.detections import Detections, read_with_faces
from lipsync_lab.errors import DetectionError, MediaError
from lipsync_lab.explorer.edits import Edits
from lipsync_lab.geometry import FaceTrack
from lipsync_lab.media.clip import open_clip
from lipsync_lab.models import registry
from lipsync_lab.plan import make_plan
from lipsync_lab.settings import Settings


def detectors() -> list[str]:
    """Names of the detectors that can be used here, the default first: those whose weights are on this machine."""
    return [name for name in detection.NAMES if _is_here(name)]


def _is_here(name: str) -> bool:
    if name in registry.MODELS:
        path = registry.MODELS[name].path
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
    weights: dict[str, Any]
    settings: Settings
    record: Detections
    edits: Edits

    def generator(self) -> str:
        """Name of the run's generator, or the path of a user's own weights.

        Raises
        ------
        MediaError
            The file of the weights is gone or has changed.
        """
        file = self.weights.get("file")
        if file is None:
            return self.weights["name"]
        if not Path(file).is_file():
            raise MediaError(f"{file}: the weights that the run was made with are gone; bring them back")
        if files.sha256(file) != self.weights["sha256"]:
            raise MediaError(f"{file}: no longer the weights that the run was made with; dub the clip again")
        return file


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
    clip = Path(info["clip"]["file"])
    if not clip.is_file():
        raise MediaError(f"{folder}: its clip {clip} is gone; bring it back, or open another run")
    if files.sha256(clip) != info["clip"]["sha256"]:
        raise MediaError(f"{folder}: {clip} is no longer the clip that the run was made from; dub it again")
    settings, kind = Settings.read(info["settings"]), info["detector"]["detector"]
    record, boxes = read_with_faces(run.detections)
    record = replace(record, provenance="recorded" if kind in ("recorded", "fixed") else "detected")
    if kind == "fixed":  # the published --box is exact
        record, edits = replace(record, manual=dict(enumerate(boxes))), Edits()
    else:
        edits = Edits.recorded(record.manual, record.interpolated)
        record = replace(record, manual={}, interpolated=frozenset())
    plan = make_plan(
        open_clip(clip, settings), record, None, replace(settings, dropouts="passthrough", mouth_cadence="every_frame")
    )
    for frame, (face, box) in enumerate(zip(plan.chosen, boxes, strict=True)):
        given = frame in edits.boxes or frame in edits.interpolated
        if not given and box != (face and face.box):
            edits = edits.with_box(frame, box)
    return RunContent(clip, Path(info["voice"]["file"]), info["generator"], settings, record, edits)


def is_unchanged(run: runs.Run, track: FaceTrack) -> bool:
    """Whether a run was made with the boxes of a track, so that its output is still that of its folder's boxes."""
    boxes = run.ledger()[["x1", "y1", "x2", "y2"]].to_numpy(float)
    return boxes.shape == track.boxes.shape and np.array_equal(boxes, track.boxes, equal_nan=True)
