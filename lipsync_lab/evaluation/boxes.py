"""The boxes that an evaluation measures in, and where they came from.

A box is best known from the run that made the output, or from a ``detections.json`` of the source. Without either, a
detector detects the source's face; where the edited region turns out to be a rectangle that agrees with that face, the
rectangle is what was pasted, and takes the place of the detector's box.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import runs
from lipsync_lab.detection import auto
from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.detections import Detections
from lipsync_lab.evaluation.alignment import Alignment, aligned_source
from lipsync_lab.evaluation.edited_region import EditedRegion
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import Clip, View
from lipsync_lab.metrics import regions
from lipsync_lab.metrics.detection import iou
from lipsync_lab.plan import make_plan
from lipsync_lab.progress import Progress

if TYPE_CHECKING:
    import pandas

#: Where boxes come from: `Evaluation.facts["box_source"]`.
SOURCES = ("run", "detections.json", "edited region", "detector")
#: Least intersection over union, in the median frame, of a rectangle and the detected face that it was pasted over. A
#: paste of the lower half alone stays below it, and the lips could not be placed in it.
AGREE = 0.55
#: Largest overlap with the detected face of a region that shows that another face was dubbed.
_ELSEWHERE = 0.02


def detected(
    clip: Clip, alignment: Alignment | None, detections: str | Path | None, device: str, progress: Progress | None
) -> tuple[pandas.DataFrame, tuple, str]:
    """Detect, or read, the face of a source in the frames and pixels that are measured.

    Parameters
    ----------
    clip : Clip
        The source.
    alignment : Alignment or None
        With the output; None where frames and pixels correspond by their numbers.
    detections : path or None
        A ``detections.json`` of the source.
    device : str
        For the detector.
    progress : callable or None

    Returns
    -------
    (DataFrame, tuple, str)
        A ledger (`runs.LEDGER`) in which every frame with a face has a generated mouth; all candidates of every frame;
        and the boxes' source, one of `SOURCES`.
    """
    if alignment is not None and detections is None:
        clip = aligned_source(clip, alignment)
    record = detect(clip, detections, device=device, progress=progress)
    if alignment is not None and detections is not None:
        clip, record = aligned_source(clip, alignment), _carried(record, alignment)
    track = make_plan(clip, record, None).track
    source = SOURCES[3] if detections is None else SOURCES[1]
    return runs.ledger(track, track.provenance != "missing", clip.fps), record.candidates, source


def placed(ledger: pandas.DataFrame, source: str, region: EditedRegion) -> tuple[pandas.DataFrame, str]:
    """A ledger with the boxes, and the generated mouths, that the edited region is evidence of.

    Parameters
    ----------
    ledger, source
        Of `detected`.
    region : EditedRegion
        Of the same frames.

    Returns
    -------
    (DataFrame, str)
        Frames that were not edited have no generated mouth, unless no frame was. The boxes are those of the region
        where it is a rectangle and `AGREE`s with the detector's, and where the detector's face is not the one that was
        dubbed; boxes from a file are kept.
    """
    if region.kind == "none":
        return ledger, source
    boxes, count = regions.boxes(ledger), min(len(ledger), len(region))
    there = np.zeros(len(ledger), bool)
    there[:count] = ~np.isnan(region.boxes[:count, 0])
    overlap = _median(iou(boxes[:count], region.boxes[:count]))
    pasted = region.kind == "rectangle" and overlap >= AGREE
    if source == SOURCES[3] and (pasted or overlap < _ELSEWHERE):
        source, boxes = SOURCES[2], np.where(there[:, None], np.resize(region.boxes, boxes.shape), boxes)
    known = ~np.isnan(boxes[:, 0])
    columns = dict(zip(regions.BOX, boxes.T, strict=True))
    return ledger.assign(**columns, mouth_generated=known & there), source


def detector_identity() -> str:
    """Everything that the default detector depends on; no network is loaded for it."""
    return json.dumps(auto.identity(), sort_keys=True)


def _carried(record: Detections, alignment: Alignment) -> Detections:
    """Detections of the source in the frames and pixels of the aligned source."""
    order = alignment.order()
    order = order[order >= 0].tolist()
    rows = [[_carried_face(face, alignment) for face in record.candidates[number]] for number in order]
    manual = {
        frame: None if record.manual[number] is None else alignment.to_output(record.manual[number])
        for frame, number in enumerate(order)
        if number in record.manual
    }
    interpolated = frozenset(frame for frame, number in enumerate(order) if number in record.interpolated)
    shot = np.searchsorted(record.shots or (0,), order, side="right")
    starts = tuple([0, *(np.flatnonzero(np.diff(shot)) + 1).tolist()])
    size = round(alignment.output_box.width), round(alignment.output_box.height)
    moved = {"manual": manual, "interpolated": interpolated, "shots": starts, "size": size, "view": View(size)}
    return replace(record, candidates=tuple(rows), **moved)


def _carried_face(face: Detection, alignment: Alignment) -> Detection:
    points = (alignment.to_output(Box(x, y, x, y)) for x, y in face.landmarks)
    return replace(face, box=alignment.to_output(face.box), landmarks=tuple((point.x1, point.y1) for point in points))


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0
