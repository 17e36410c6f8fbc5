"""Missed detections, false positives, and jitter of a detector's boxes.

Recall and false positives are counted at the intersection over union of PASCAL VOC (Everingham et al. 2010). Without
ground truth every frame is taken to have a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from lipsync_lab.geometry import DETECTED, Box
from lipsync_lab.metrics import misses, regions
from lipsync_lab.metrics.misses import PIXELS
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.registry import ANIMATION, Artifact, Metric
from lipsync_lab.metrics.validation import injected

if TYPE_CHECKING:
    from lipsync_lab.detection import Detection

#: Intersection over union with the true face: a candidate of `MATCH` or more is that face, below `OTHER` it is not.
MATCH, OTHER = 0.5, 0.3
#: Intersection over union of a box and the one before it, below which the track has jumped to another place.
JUMP = 0.3


def detection_metrics(
    ledger: pd.DataFrame,
    ground_truth: pd.DataFrame | None = None,
    pixels: pd.DataFrame | None = None,
    held: Sequence[float] | None = None,
    candidates: Sequence[Sequence[Detection]] | None = None,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """Detection, one row per frame.

    Parameters
    ----------
    ledger : DataFrame
        Columns `runs.LEDGER`.
    ground_truth : DataFrame, optional
        Of a synthetic clip, one row per frame; it has one face a frame, so that a second person counts as a false
        positive.
    pixels : DataFrame, optional
        Of `pixel_table`, for the causes of missed detections.
    held : sequence of float, optional
        1 where the frame is held (`cadence.cadence_table`); by default the drawings of the ground truth say so.
    candidates : sequence of list of Detection, optional
        All candidates of every frame, for ``false_positives``.
    threshold : float
        Score that a candidate must exceed.

    Returns
    -------
    DataFrame, index ``frame``
        Columns are NaN where they are undefined: time, shot, best_score (of the best candidate, accepted or not);
        missed_detection (1 where the detector accepted no face); not_generated (1 where a frame with a face has no
        generated mouth); iou (of the best candidate and the true face); jitter_centre, jitter_size (movement of the
        detector's box during a hold, `jitter`); box_jitter_on_holds, box_size_jitter_on_holds (the same of the padded
        and smoothed box); identity_switch (1 where the box jumped within a shot, `JUMP`, and not to the true face);
        false_positives (candidates above the threshold that are not the face, `OTHER`); yaw (degrees), face_size
        (pixels), occluded, luma, contrast, motion (grey levels), since_cut (frames): what the causes are tested with;
        cause, cause_value (`misses.with_causes`).

    Raises
    ------
    ParameterError
        The ground truth has fewer rows than the ledger.
    """
    frames = len(ledger)
    out = ledger[["frame", "time", "shot", "best_score"]].set_index("frame")
    boxes, best = regions.boxes(ledger), regions.boxes(ledger, "best_")
    detected = ledger["provenance"].isin(DETECTED).to_numpy()
    true = regions.true_boxes(ground_truth, frames, "face")
    has_face = np.ones(frames, bool) if ground_truth is None else ~np.isnan(true).any(axis=1)
    out["missed_detection"] = np.where(has_face, (~detected).astype(float), np.nan)
    out["not_generated"] = np.where(has_face, 1.0 - ledger["mouth_generated"].to_numpy(bool), np.nan)
    out["iou"] = iou(best, true)
    if ground_truth is not None:
        ground_truth = ground_truth.iloc[:frames]
        held = ground_truth["drawing"].diff().eq(0).to_numpy(float) if held is None else held
    still = np.zeros(frames, bool) if held is None else np.asarray(held, float)[:frames] == 1
    moved = jitter(np.where(detected[:, None], best, np.nan), None if ground_truth is None else true)
    out["jitter_centre"], out["jitter_size"] = np.where(still, moved, np.nan)
    moved = jitter(boxes, None if ground_truth is None else true)
    out["box_jitter_on_holds"], out["box_size_jitter_on_holds"] = np.where(still, moved, np.nan)
    out["identity_switch"] = _switches(boxes, ledger["shot"].to_numpy(), true)
    known = candidates is not None and ground_truth is not None
    out["false_positives"] = _false_positives(candidates[:frames], true, threshold) if known else np.nan
    misses.add_conditions(out, ground_truth, true, pixels)
    return misses.with_causes(out)


def pixels(
    frames: Iterable[np.ndarray], ledger: pd.DataFrame, ground_truth: pd.DataFrame | None = None
) -> pd.DataFrame:
    """`pixel_table` of frames, uint8 RGB (H, W, 3), in the ledger's order; two at a time are in memory."""
    places, shots = face_places(ledger, ground_truth), ledger["shot"].to_numpy()
    numbers, before, nowhere = [], None, np.full(4, np.nan)
    for row, frame in regions.aligned(frames, ledger):
        pair = FramePair(row, frame, frame, nowhere, nowhere, before=before)
        numbers.append(face_pixels(pair, places[row], row > 0 and shots[row] == shots[row - 1]))
        pair.before, before = None, pair
    return pixel_table(numbers, ledger)


def face_places(ledger: pd.DataFrame, ground_truth: pd.DataFrame | None = None) -> np.ndarray:
    """The face's place in each frame, float64 (N, 4): by the ground truth, else by the ledger's box.

    A frame without either has the box of the nearest frame of its shot, and NaN where the shot has none.
    """
    boxes, true = regions.boxes(ledger), regions.true_boxes(ground_truth, len(ledger), "face")
    places, shots = boxes.copy(), ledger["shot"].to_numpy()
    known = np.flatnonzero(~np.isnan(boxes).any(axis=1))
    for row in np.flatnonzero(np.isnan(boxes).any(axis=1)):
        near = known[shots[known] == shots[row]]
        if len(near):
            places[row] = boxes[near[np.argmin(np.abs(near - row))]]
    return np.where(np.isnan(true), places, true)


def face_pixels(pair: FramePair, place: np.ndarray, same_shot: bool) -> tuple[float, float, float]:
    """The row of `pixel_table` for one frame: the source inside `place`, or in the whole frame where that is NaN."""
    shape = pair.source.shape
    box = regions.inside(place, shape) or Box(0, 0, shape[1], shape[0])
    face = pair.source_grey[box.slices]
    low, high = np.percentile(face, (5, 95))
    moved = np.nan
    if same_shot and pair.before is not None:
        moved = float(cv2.absdiff(face, pair.before.source_grey[box.slices]).mean())
    return float(face.mean()), float(high - low), moved


def pixel_table(numbers: Sequence[tuple[float, float, float]], ledger: pd.DataFrame) -> pd.DataFrame:
    """Pixels of each frame's face, in grey levels.

    Returns
    -------
    DataFrame, index ``frame``
        luma (mean), contrast (5th to 95th percentile), motion (mean difference from the frame before; NaN in the first
        and after a cut).
    """
    index = pd.Index(ledger["frame"].iloc[: len(numbers)], name="frame")
    return pd.DataFrame(list(numbers), columns=list(PIXELS), index=index)


def recall(
    candidates: Mapping[str, Sequence[Sequence[Detection]]],
    ground_truth: pd.DataFrame | None = None,
    thresholds: Sequence[float] = tuple(np.round(np.arange(0, 1, 0.05), 2)),
) -> pd.DataFrame:
    """Recall and false positives against the threshold, of several detectors on the same frames.

    Parameters
    ----------
    candidates : mapping of str to sequence of list of Detection
        By detector: all candidates of every frame, such as `detection.detections.Detections.candidates`.
    ground_truth : DataFrame, optional
        A candidate of `MATCH` or more detects the face. Without ground truth any candidate does, and every frame is
        taken to have a face.
    thresholds : sequence of float
        Scores that a candidate must exceed.

    Returns
    -------
    DataFrame
        detector, threshold, recall (share of the frames with a face; NaN without one), frames (with a face), covered
        (their share of all frames), false_positives (a frame; NaN without ground truth).
    """
    out = []
    for name, by_frame in candidates.items():
        true = regions.true_boxes(ground_truth, len(by_frame), "face")
        has_face = np.ones(len(by_frame), bool) if ground_truth is None else ~np.isnan(true).any(axis=1)
        scores = _match_scores(by_frame, None if ground_truth is None else true)[has_face]
        for threshold in thresholds:
            known = ground_truth is not None and len(by_frame)
            row = {
                "detector": name,
                "threshold": threshold,
                "recall": float((scores > threshold).mean()) if len(scores) else np.nan,
                "frames": len(scores),
                "covered": len(scores) / len(by_frame) if by_frame else np.nan,
                "false_positives": _false_positives(by_frame, true, threshold).mean() if known else np.nan,
            }
            out.append(row)
    return pd.DataFrame(out, columns=["detector", "threshold", "recall", "frames", "covered", "false_positives"])


def missed_by(
    table: pd.DataFrame,
    candidates: Sequence[Sequence[Detection]],
    ground_truth: pd.DataFrame | None = None,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """The table of `detection_metrics` with the missed detections of another detector, and their causes.

    Parameters
    ----------
    table : DataFrame
        Of `detection_metrics`; all of the frames, or some.
    candidates : sequence of list of Detection
        The other detector's, for these frames.
    ground_truth : DataFrame, optional
        Of these frames, as for `recall`.
    threshold : float
        Score that a candidate must exceed.
    """
    true = None if ground_truth is None else regions.true_boxes(ground_truth, len(table), "face")
    missed = (_match_scores(candidates, true) <= threshold).astype(float)
    return misses.with_causes(table.assign(missed_detection=np.where(table["missed_detection"].isna(), np.nan, missed)))


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes, row by row: float64 (N,); NaN where one is absent."""
    corner, stop = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    inner = (stop - corner).clip(0).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (first, second)]
    with np.errstate(invalid="ignore"):
        return inner / (areas[0] + areas[1] - inner)


def jitter(boxes: np.ndarray, true: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Movement of boxes from frame to frame, in units of their size (the root of their area).

    Parameters
    ----------
    boxes : ndarray, (N, 4)
        Pixels; NaN where there is none.
    true : ndarray, (N, 4), optional
        The true face; its own movement (of the camera, during a hold) is subtracted.

    Returns
    -------
    centre, size : ndarray, float64, (N,)
        Distance that the centre moved, and |log| of the ratio of the sizes; NaN where a frame or the one before lacks
        a box.
    """

    def parts(rows):
        side = np.sqrt((rows[:, 2:] - rows[:, :2]).prod(axis=1))
        return (rows[:, :2] + rows[:, 2:]) / 2, side

    if not len(boxes):
        return np.empty(0), np.empty(0)
    centre, side = parts(boxes)
    moved, grown = np.diff(centre, axis=0), np.diff(np.log(side))
    if true is not None:
        centre_true, side_true = parts(true)
        moved, grown = moved - np.diff(centre_true, axis=0), grown - np.diff(np.log(side_true))
    return np.r_[np.nan, np.hypot(*moved.T) / side[1:]], np.r_[np.nan, np.abs(grown)]


def _switches(boxes: np.ndarray, shots: np.ndarray, true: np.ndarray) -> np.ndarray:
    out, last = np.full(len(boxes), np.nan), {}
    for row, shot in enumerate(shots):
        if np.isnan(boxes[row]).any():
            continue
        if shot in last:
            jumped = iou(boxes[last[shot], None], boxes[row, None])[0] < JUMP
            out[row] = float(jumped and not iou(boxes[row, None], true[row, None])[0] >= OTHER)
        last[shot] = row
    return out


def _false_positives(candidates: Sequence[Sequence[Detection]], true: np.ndarray, threshold: float) -> np.ndarray:
    """Candidates of each frame above the threshold that are not the true face; NaN means that there is none."""
    counts = []
    for row, face in zip(candidates, true, strict=True):
        boxes = [candidate.box for candidate in row if candidate.score > threshold]
        counts.append(sum(np.isnan(face).any() or box.iou(Box(*face.tolist())) < OTHER for box in boxes))
    return np.array(counts, float)


def _match_scores(candidates: Sequence[Sequence[Detection]], true: np.ndarray | None) -> np.ndarray:
    """Highest score of each frame's candidates that are the true face, or of all without one; -inf where none is."""
    out = []
    for number, row in enumerate(candidates):
        if true is not None:
            # an absent face overlaps no candidate
            row = [each for each in row if each.box.iou(Box(*true[number].tolist())) >= MATCH]
        out.append(max((candidate.score for candidate in row), default=-np.inf))
    return np.array(out, float)


METRICS = (
    Metric(
        *("missed_detection", "share of the frames", "detection", "missed detection", 0.5, 1.0),
        "no face was detected in {frames} frame{s}{cause}",
        artifact=Artifact("dropped boxes", injected.dropped_boxes, "boxes"),
        requires="a face",
        rate=True,
        definition="1 where no face was detected in a frame with a face, else 0",
    ),
    Metric(
        *("identity_switch", "share of the frames", "detection", "identity switch", 0.5, 1.0),
        "the box jumps to another place than the face of the frame before",
        requires="a box after another box of its shot",
        rate=True,
        definition="1 where the box jumps to another place than the face of the frame before, else 0",
    ),
    Metric(
        *("box_jitter_on_holds", "share of the box", "detection", "box jitter on holds", 0.02, 0.10),
        "the box moves by {value:.1%} of its size during a hold",
        domains=(ANIMATION,),
        requires="a box during a hold",
        definition="Movement of the box against the frame before, during a hold of the animation",
    ),
)
