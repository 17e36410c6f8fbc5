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

from lipsync_lab.geometry import Box
from lipsync_lab.metrics import misses, regions
from lipsync_lab.metrics.misses import PIXELS
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.registry import ANIMATION, Artifact, Metric
from lipsync_lab.metrics.validation import injected

if TYPE_CHECKING:
    from lipsync_lab.detection import Detection

#: Intersection over union from which on a candidate is the true face, and below which it is none.
MATCH, STRANGE = 0.5, 0.3
#: Below this a box has left the one before: a smoothed track moves by a few pixels a frame.
JUMP = 0.3
#: Jitter of the detector's box (centre, size), then of the box of the generated mouth.
_JITTER = ("jitter_centre", "jitter_size", "box_jitter_on_holds", "box_size_jitter_on_holds")
_NOWHERE = np.full(4, np.nan)
#: Provenances of the ledger that say that the detector itself found the face.
_FOUND = ("detected", "recorded", "manual")


def detection_metrics(
    ledger: pd.DataFrame,
    truth: pd.DataFrame | None = None,
    pixels: pd.DataFrame | None = None,
    held: Sequence[float] | None = None,
    candidates: Sequence[Sequence[Detection]] | None = None,
    threshold: float = 0.5,
    faces: Sequence[Sequence[Box]] | None = None,
) -> pd.DataFrame:
    """Detection, one row a frame.

    Parameters
    ----------
    ledger : DataFrame
        Of a run (`runs.LEDGER`), or of a record with the same columns.
    truth : DataFrame, optional
        Of a made clip. Without it, every frame is taken to show a face.
    pixels : DataFrame, optional
        Of `pixels`; without it no miss is explained by pixels.
    held : sequence of float, optional
        1 where the frame is held (`cadence.cadence_table`, column ``held``); the ground truth's drawings serve where
        it is absent.
    candidates : sequence of list of Detection, optional
        All of every frame, for `false_positives`.
    threshold : float
        Score that a candidate must exceed to count as one, as `Settings.threshold`.
    faces : sequence of list of Box, optional
        Every face of every frame; the truth knows only the speaker's, so that a partner's would count as false.

    Returns
    -------
    DataFrame, index ``frame``
        time, shot
            The ledger's.
        best_score
            Of the best candidate, also where it was refused; NaN where there was none.
        missed_detection
            1 where the detector itself found no face, 0 where it did; NaN where the truth says that there is none.
        not_generated
            1 where a face is there and no mouth was drawn, else 0; a gap that was filled counts as drawn.
        iou
            Of the best candidate and the true face; NaN without either.
        jitter_centre, jitter_size
            How far the detector's box moved (centre), and how much its size changed, from the frame before, in units
            of its size (the root of its area), less the true face's own movement; only on held drawings.
        box_jitter_on_holds, box_size_jitter_on_holds
            The same of the padded and smoothed box that was drawn on.
        identity_switch
            1 where the box drawn on left the one before it in the same shot (`JUMP`), with truth only if for a place
            that is not the true face (`STRANGE`); NaN where there was none before.
        false_positives
            Candidates above the threshold that are no true face (`STRANGE`); NaN without truth or candidates.
        yaw, face_size, occluded, luma, contrast, motion, since_cut
            What a miss may be due to: degrees, pixels, 0 or 1, grey levels (three), frames. NaN where unknown.
        cause, cause_value
            The first of `misses.CAUSES` that holds, and its number; "unexplained" where none does, "" where nothing
            was missed.
    """
    frames = len(ledger)
    out = ledger[["frame", "time", "shot", "best_score"]].set_index("frame")
    drawn, best = regions.boxes(ledger), regions.boxes(ledger, "best_")
    detected = ledger["provenance"].isin(_FOUND).to_numpy()
    if truth is not None:
        truth = regions.check_truth(truth, frames)
    true = np.full((frames, 4), np.nan) if truth is None else regions.boxes(truth, "face_")
    there = np.ones(frames, bool) if truth is None else ~np.isnan(true).any(axis=1)
    out["missed_detection"] = np.where(there, (~detected).astype(float), np.nan)
    out["not_generated"] = np.where(there, 1.0 - ledger["mouth_generated"].to_numpy(bool), np.nan)
    out["iou"] = iou(best, true)
    shots = ledger["shot"].to_numpy()
    if held is None and truth is not None:
        drawings = truth["drawing"].to_numpy()
        held = np.r_[np.nan, drawings[1:] == drawings[:-1]] if frames else []
    still = np.zeros(frames, bool) if held is None else np.asarray(held, float)[:frames] == 1
    own = np.where(detected[:, None], best, np.nan)
    for names, moved in ((_JITTER[:2], own), (_JITTER[2:], drawn)):
        for name, values in zip(names, jitter(moved, None if truth is None else true), strict=True):
            out[name] = np.where(still, values, np.nan)
    out["identity_switch"] = _switches(drawn, shots, None if truth is None else true)
    out["false_positives"] = _false(
        candidates, threshold, faces if faces is not None else _as_faces(truth, true), frames
    )
    misses.add_reasons(out, truth, true, pixels, shots)
    return misses.with_causes(out)


def pixels(frames: Iterable[np.ndarray], ledger: pd.DataFrame, truth: pd.DataFrame | None = None) -> pd.DataFrame:
    """Brightness, contrast and motion of each frame where its face is.

    Parameters
    ----------
    frames : iterable of ndarray, uint8, (H, W, 3)
        RGB, in the order of the ledger's rows; two at a time are kept.
    ledger : DataFrame
        Of a run.
    truth : DataFrame, optional
        See `face_places`.

    Returns
    -------
    DataFrame, index ``frame``
        See `pixel_table`.
    """
    places, shots = face_places(ledger, truth), ledger["shot"].to_numpy()
    numbers, before = [], None
    for row, frame in regions.aligned(frames, ledger):
        pair = FramePair(row, frame, frame, _NOWHERE, _NOWHERE, before=before)
        numbers.append(face_pixels(pair, places[row], row > 0 and shots[row] == shots[row - 1]))
        pair.before, before = None, pair
    return pixel_table(numbers, ledger)


def face_places(ledger: pd.DataFrame, truth: pd.DataFrame | None = None) -> np.ndarray:
    """Where the face of each frame is, float64 (N, 4): by the ground truth, else by the ledger's box.

    A frame without either has the box of the nearest frame of its shot, and NaN where the shot has none.
    """
    places = _nearest(regions.boxes(ledger), ledger["shot"].to_numpy())
    if truth is not None:
        true = regions.boxes(regions.check_truth(truth, len(ledger)), "face_")
        places = np.where(np.isnan(true), places, true)
    return places


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
    """Pixels of each frame's face.

    Returns
    -------
    DataFrame, index ``frame``
        luma (mean), contrast (5th to 95th percentile), motion (mean difference from the frame before; NaN in the first
        and after a cut), all in grey levels.
    """
    index = pd.Index(ledger["frame"].iloc[: len(numbers)], name="frame")
    return pd.DataFrame(list(numbers), columns=list(PIXELS), index=index)


def recall(
    candidates: Mapping[str, Sequence[Sequence[Detection]]],
    truth: pd.DataFrame | None = None,
    thresholds: Sequence[float] = tuple(np.round(np.arange(0, 1, 0.05), 2)),
    faces: Sequence[Sequence[Box]] | None = None,
) -> pd.DataFrame:
    """Recall against threshold, of several detectors on the same frames.

    Parameters
    ----------
    candidates : mapping of str to sequence of list of Detection
        By detector: all candidates of every frame, such as `detection.detections.Detections.candidates`.
    truth : DataFrame, optional
        A face counts as found by a candidate of `MATCH` or more. Without truth any candidate counts, and every frame
        is taken to show a face.
    thresholds : sequence of float
        Scores to be exceeded.
    faces : sequence of list of Box, optional
        Every face of every frame, for `false_positives`; see `detection_metrics`.

    Returns
    -------
    DataFrame
        detector, threshold, recall (share of frames with a face), frames (with a face; where there are none recall is
        NaN), covered (their share of all frames), false_positives (a frame; NaN without truth).
    """
    out = []
    for name, lists in candidates.items():
        true = np.full((len(lists), 4), np.nan)
        if truth is not None:
            true = regions.boxes(regions.check_truth(truth, len(lists)), "face_")
        there = np.ones(len(lists), bool) if truth is None else ~np.isnan(true).any(axis=1)
        scores = [_best_match(row, None if truth is None else box) for row, box in zip(lists, true, strict=True)]
        scores = np.array(scores, float)[there]
        known = faces if faces is not None else _as_faces(truth, true)
        for threshold in thresholds:
            out.append(
                {
                    "detector": name,
                    "threshold": threshold,
                    "recall": float((scores > threshold).mean()) if len(scores) else np.nan,
                    "frames": len(scores),
                    "covered": len(scores) / len(lists) if lists else np.nan,
                    "false_positives": float(np.mean(_false(lists, threshold, known, len(lists)))) if lists else np.nan,
                }
            )
    columns = ["detector", "threshold", "recall", "frames", "covered", "false_positives"]
    return pd.DataFrame(out, columns=columns)


def missed_by(
    table: pd.DataFrame,
    candidates: Sequence[Sequence[Detection]],
    truth: pd.DataFrame | None = None,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """The frames of `detection_metrics` as another detector saw them.

    Parameters
    ----------
    table : DataFrame
        Of `detection_metrics`; all of the frames, or some.
    candidates : sequence of list of Detection
        What the other proposed on these frames.
    truth : DataFrame, optional
        Of these frames, as for `recall`.
    threshold : float
        Score to be exceeded.

    Returns
    -------
    DataFrame
        `table` with other ``missed_detection``, ``cause`` and ``cause_value``.
    """
    true = np.full((len(table), 4), np.nan)
    if truth is not None:
        true = regions.boxes(regions.check_truth(truth, len(table)), "face_")
    best = [_best_match(row, None if truth is None else box) for row, box in zip(candidates, true, strict=True)]
    missed = (np.array(best, float) <= threshold).astype(float)
    return misses.with_causes(table.assign(missed_detection=np.where(table["missed_detection"].isna(), np.nan, missed)))


def compare(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of `detection_metrics` of several detectors on the same frames, concatenated: detector, frame, ..."""
    return pd.concat(tables, names=["detector"]).reset_index()


def summary(table: pd.DataFrame) -> dict[str, float]:
    """A clip in numbers.

    Parameters
    ----------
    table : DataFrame
        Of `detection_metrics`.

    Returns
    -------
    dict
        missed_detection, not_generated (shares of the frames that show a face), covered (the share that does),
        best_score (mean), longest_miss (frames), jitter_centre, jitter_size, box_jitter_on_holds,
        box_size_jitter_on_holds (mean over held frames), jitter_covered, identity_switches (number), false_positives (a
        frame).
    """
    runs = misses.miss_runs(table)
    return {
        "missed_detection": float(table["missed_detection"].mean()),
        "not_generated": float(table["not_generated"].mean()),
        "covered": float(table["missed_detection"].notna().mean()),
        "best_score": float(table["best_score"].mean()),
        "longest_miss": float(runs["length"].max()) if len(runs) else 0.0,
        **{name: float(table[name].mean()) for name in _JITTER},
        "jitter_covered": float(table["jitter_centre"].notna().mean()),
        "identity_switches": float(table["identity_switch"].sum())
        if table["identity_switch"].notna().any()
        else np.nan,
        "false_positives": float(table["false_positives"].mean()),
    }


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes, row by row: float64 (N,); NaN where one is absent."""
    corner, stop = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    inner = (stop - corner).clip(0).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (first, second)]
    with np.errstate(invalid="ignore"):
        return inner / (areas[0] + areas[1] - inner)


def jitter(boxes: np.ndarray, true: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Movement of boxes from frame to frame, in units of their size.

    Parameters
    ----------
    boxes : ndarray, (N, 4)
        Pixels; NaN where there is none.
    true : ndarray, (N, 4), optional
        The face's own boxes; their movement (a camera's, over a held drawing) is taken off.

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


def _switches(drawn: np.ndarray, shots: np.ndarray, true: np.ndarray | None) -> np.ndarray:
    out, last = np.full(len(drawn), np.nan), {}
    for row, shot in enumerate(shots):
        if np.isnan(drawn[row]).any():
            continue
        if shot in last:
            left = iou(drawn[last[shot], None], drawn[row, None])[0] < JUMP
            if left and true is not None and not np.isnan(true[row]).any():
                left = iou(drawn[row, None], true[row, None])[0] < STRANGE
            out[row] = float(left)
        last[shot] = row
    return out


def _as_faces(truth: pd.DataFrame | None, true: np.ndarray) -> list[list[Box]] | None:
    return None if truth is None else [[] if np.isnan(row).any() else [Box(*row.tolist())] for row in true]


def _false(candidates, threshold: float, faces, frames: int) -> np.ndarray:
    if candidates is None or faces is None:
        return np.full(frames, np.nan)
    return np.array(
        [
            sum(
                candidate.score > threshold and all(candidate.box.iou(face) < STRANGE for face in there)
                for candidate in row
            )
            for row, there in zip(candidates[:frames], faces[:frames], strict=True)
        ],
        float,
    )


def _best_match(row: Sequence[Detection], true: np.ndarray | None) -> float:
    """Highest score of a candidate that is the face; -inf without one."""
    if true is not None:
        if np.isnan(true).any():
            return -np.inf
        face = Box(*true.tolist())
        row = [candidate for candidate in row if candidate.box.iou(face) >= MATCH]
    return max((candidate.score for candidate in row), default=-np.inf)


def _nearest(boxes: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """Each frame's box, or the nearest in time of its shot."""
    out = boxes.copy()
    known = np.flatnonzero(~np.isnan(boxes).any(axis=1))
    for row in np.flatnonzero(np.isnan(boxes).any(axis=1)):
        near = known[shots[known] == shots[row]]
        if len(near):
            out[row] = boxes[near[np.argmin(np.abs(near - row))]]
    return out


METRICS = (
    Metric(
        *("missed_detection", "share of the frames", "detection", "missed detection", 0.5, 1.0),
        "no candidate was accepted in {frames} frames{cause}",
        artifact=Artifact("dropped boxes", injected.dropped_boxes, "boxes"),
        requires="a face",
    ),
    Metric(
        *("identity_switch", "share of the frames", "detection", "identity switch", 0.5, 1.0),
        "the box left the face of the frame before it",
        requires="a box after another box of its shot",
    ),
    Metric(
        *("box_jitter_on_holds", "share of the box", "detection", "box jitter on holds", 0.02, 0.10),
        "over a held drawing the box moves by {value:.1%} of its size",
        domains=(ANIMATION,),
        requires="a box during a hold",
    ),
)
