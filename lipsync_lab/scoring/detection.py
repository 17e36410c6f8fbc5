"""Where a face detector misses, why, and how its box trembles.

Recall and false faces are counted at the intersection over union that PASCAL VOC (Everingham et al. 2010) made the
custom. Where there is no truth, every frame is taken to show a face: say so of a clip only after looking at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from lipsync_lab.geometry import Box, spans
from lipsync_lab.scoring import regions

if TYPE_CHECKING:
    from lipsync_lab.detection import Detection

#: Intersection over union from which on a candidate is the true face, and below which it is none.
MATCH, STRANGE = 0.5, 0.3
#: Below this a box has left the one before: a smoothed track moves by a few pixels a frame.
JUMP = 0.3
#: When a miss has a cause, in the order in which they are asked. Degrees; pixels of the face's shorter side; grey
#: levels of the face's mean; grey levels between its 5th and 95th percentile; mean grey levels from the frame before;
#: frames since a cut. The bounds are working definitions: `causes` sets the frames that were found beside them.
PROFILE, SMALL, DARK, FLAT, FAST, CUT = 60.0, 32.0, 45.0, 40.0, 12.0, 2
CAUSES = ("occluded", "profile", "small", "dark", "low contrast", "motion", "after a cut")

PIXELS = ("luma", "contrast", "motion")
#: Provenances of the ledger that say that the detector itself found the face.
_FOUND = ("detected", "recorded", "manual")


def rows(
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
        1 where the frame holds the drawing before it (`cadence.rows`, column ``held``); the truth's drawings serve
        where it is absent.
    candidates : sequence of list of Detection, optional
        All of every frame, for `false_faces`.
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
        missed
            1 where the detector itself found no face, 0 where it did; NaN where the truth says that there is none.
        not_drawn
            1 where a face is there and no mouth was drawn, else 0; a gap that was filled counts as drawn.
        iou
            Of the best candidate and the true face; NaN without either.
        jitter_centre, jitter_size
            How far the detector's box moved (centre), and how much its size changed, from the frame before, in units
            of its size (the root of its area), less the true face's own movement; only on held drawings.
        drawn_jitter_centre, drawn_jitter_size
            The same of the padded and smoothed box that was drawn on.
        switch
            1 where the box drawn on left the one before it in the same shot (`JUMP`), with truth only if for a place
            that is not the true face (`STRANGE`); NaN where there was none before.
        false_faces
            Candidates above the threshold that are no true face (`STRANGE`); NaN without truth or candidates.
        yaw, face_size, occluded, luma, contrast, motion, since_cut
            What a miss may be due to: degrees, pixels, 0 or 1, grey levels (three), frames. NaN where unknown.
        cause, cause_value
            The first of `CAUSES` that holds, and the number that says so; "unexplained" where none does, "" where
            nothing was missed.
    """
    frames = len(ledger)
    out = ledger[["frame", "time", "shot", "best_score"]].set_index("frame")
    drawn, best = regions.boxes(ledger), regions.boxes(ledger, "best_")
    found = ledger["provenance"].isin(_FOUND).to_numpy()
    if truth is not None:
        truth = regions.check_truth(truth, frames)
    true = np.full((frames, 4), np.nan) if truth is None else regions.boxes(truth, "face_")
    there = np.ones(frames, bool) if truth is None else ~np.isnan(true).any(axis=1)
    out["missed"] = np.where(there, (~found).astype(float), np.nan)
    out["not_drawn"] = np.where(there, 1.0 - ledger["mouth_drawn"].to_numpy(bool), np.nan)
    out["iou"] = iou(best, true)
    shots = ledger["shot"].to_numpy()
    if held is None and truth is not None:
        drawings = truth["drawing"].to_numpy()
        held = np.r_[np.nan, drawings[1:] == drawings[:-1]] if frames else []
    still = np.zeros(frames, bool) if held is None else np.asarray(held, float)[:frames] == 1
    own = np.where(found[:, None], best, np.nan)
    for name, moved in (("jitter", own), ("drawn_jitter", drawn)):
        centre, size = jitter(moved, None if truth is None else true)
        out[f"{name}_centre"], out[f"{name}_size"] = np.where(still, centre, np.nan), np.where(still, size, np.nan)
    out["switch"] = _switches(drawn, shots, None if truth is None else true)
    out["false_faces"] = _false(candidates, threshold, faces if faces is not None else _as_faces(truth, true), frames)
    _add_reasons(out, truth, true, pixels, shots)
    return _with_causes(out)


def pixels(frames: Iterable[np.ndarray], ledger: pd.DataFrame, truth: pd.DataFrame | None = None) -> pd.DataFrame:
    """What the pixels say of each frame where its face is.

    Parameters
    ----------
    frames : iterable of ndarray, uint8, (H, W, 3)
        RGB, in the order of the ledger's rows; two at a time are kept.
    ledger : DataFrame
        Of a run.
    truth : DataFrame, optional
        Says where the face is. Else the box drawn on does; where there is none, the nearest in time of the same shot;
        where the shot has none, the whole frame.

    Returns
    -------
    DataFrame, index ``frame``
        luma (mean), contrast (5th to 95th percentile), motion (mean difference from the frame before; NaN in the first
        and after a cut), all in grey levels.
    """
    places = _nearest(regions.boxes(ledger), ledger["shot"].to_numpy())
    if truth is not None:
        true = regions.boxes(regions.check_truth(truth, len(ledger)), "face_")
        places = np.where(np.isnan(true), places, true)
    shots, found, before = ledger["shot"].to_numpy(), [], None
    for row, frame in regions.aligned(frames, ledger):
        box = regions.inside(places[row], frame.shape) or Box(0, 0, frame.shape[1], frame.shape[0])
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        face = grey[box.slices]
        low, high = np.percentile(face, (5, 95))
        same = before is not None and shots[row] == shots[row - 1]
        moved = float(cv2.absdiff(face, before[box.slices]).mean()) if same else np.nan
        found.append((float(face.mean()), float(high - low), moved))
        before = grey
    return pd.DataFrame(found, columns=list(PIXELS), index=pd.Index(ledger["frame"].iloc[: len(found)], name="frame"))


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
        By detector: all candidates of every frame, such as `detection.record.Record.candidates`.
    truth : DataFrame, optional
        A face counts as found by a candidate of `MATCH` or more. Without truth any candidate counts, and every frame
        is taken to show a face.
    thresholds : sequence of float
        Scores to be exceeded.
    faces : sequence of list of Box, optional
        Every face of every frame, for `false_faces`; see `rows`.

    Returns
    -------
    DataFrame
        detector, threshold, recall (share of frames with a face), frames (with a face; where there are none recall is
        NaN), covered (their share of all frames), false_faces (a frame; NaN without truth).
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
                    "false_faces": float(np.mean(_false(lists, threshold, known, len(lists)))) if lists else np.nan,
                }
            )
    columns = ["detector", "threshold", "recall", "frames", "covered", "false_faces"]
    return pd.DataFrame(out, columns=columns)


def missed_by(
    table: pd.DataFrame,
    candidates: Sequence[Sequence[Detection]],
    truth: pd.DataFrame | None = None,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """The frames of `rows` as another detector saw them.

    Parameters
    ----------
    table : DataFrame
        Of `rows`; all of the frames, or some.
    candidates : sequence of list of Detection
        What the other proposed on these frames.
    truth : DataFrame, optional
        Of these frames, as for `recall`.
    threshold : float
        Score to be exceeded.

    Returns
    -------
    DataFrame
        `table` with other ``missed``, ``cause`` and ``cause_value``.
    """
    true = np.full((len(table), 4), np.nan)
    if truth is not None:
        true = regions.boxes(regions.check_truth(truth, len(table)), "face_")
    best = [_best_match(row, None if truth is None else box) for row, box in zip(candidates, true, strict=True)]
    missed = (np.array(best, float) <= threshold).astype(float)
    return _with_causes(table.assign(missed=np.where(table["missed"].isna(), np.nan, missed)))


def compare(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of `rows` by several detectors on the same frames, one below the other; columns detector, frame, ..."""
    return pd.concat(tables, names=["detector"]).reset_index()


def miss_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Stretches of missed frames within a shot.

    Parameters
    ----------
    table : DataFrame
        Of `rows`.

    Returns
    -------
    DataFrame
        first, last (frames), length, shot, cause (the most frequent of its frames), cause_value (its median);
        the distribution of lengths is ``.length.value_counts()``.
    """
    out = []
    for start, stop in spans((table["missed"] == 1).to_numpy(), table["shot"].to_numpy()):
        run = table.iloc[start:stop]
        counts = run["cause"].value_counts(sort=False)
        cause = counts.idxmax()
        value = run["cause_value"][run["cause"] == cause].median()
        out.append((run.index[0], run.index[-1], len(run), run["shot"].iloc[0], cause, value))
    return pd.DataFrame(out, columns=["first", "last", "length", "shot", "cause", "cause_value"])


def causes(table: pd.DataFrame) -> pd.DataFrame:
    """Misses by cause, with what found frames look like beside them.

    Parameters
    ----------
    table : DataFrame
        Of `rows`.

    Returns
    -------
    DataFrame, index ``cause``
        misses (frames whose cause it is), share (of all misses), median (of the number that says so),
        among_missed, among_found (share of missed and of found frames of which it holds, first or not). A cause is
        worth its name where the last is much the lower; NaN where nobody could tell.
    """
    missed, found = table[table["missed"] == 1], table[table["missed"] == 0]
    out = []
    for cause in (*CAUSES, "unexplained"):
        here = missed["cause"] == cause
        among = [np.nan, np.nan]
        if cause != "unexplained":
            holds = [_reasons(part)[cause] for part in (missed, found)]
            among = [float(part[0][part[1]].mean()) if part[1].any() else np.nan for part in holds]
        share = float(here.mean()) if len(missed) else np.nan
        out.append((cause, int(here.sum()), share, float(missed["cause_value"][here].median()), *among))
    columns = ["cause", "misses", "share", "median", "among_missed", "among_found"]
    return pd.DataFrame(out, columns=columns).set_index("cause")


def summary(table: pd.DataFrame) -> dict[str, float]:
    """A clip in numbers.

    Parameters
    ----------
    table : DataFrame
        Of `rows`.

    Returns
    -------
    dict
        missed, not_drawn (shares of the frames that show a face), covered (the share that does), best_score (mean),
        longest_miss (frames), jitter_centre, jitter_size, drawn_jitter_centre, drawn_jitter_size (mean over held
        frames), jitter_covered, switches (number), false_faces (a frame).
    """
    runs = miss_runs(table)
    names = ("jitter_centre", "jitter_size", "drawn_jitter_centre", "drawn_jitter_size")
    return {
        "missed": float(table["missed"].mean()),
        "not_drawn": float(table["not_drawn"].mean()),
        "covered": float(table["missed"].notna().mean()),
        "best_score": float(table["best_score"].mean()),
        "longest_miss": float(runs["length"].max()) if len(runs) else 0.0,
        **{name: float(table[name].mean()) for name in names},
        "jitter_covered": float(table["jitter_centre"].notna().mean()),
        "switches": float(table["switch"].sum()) if table["switch"].notna().any() else np.nan,
        "false_faces": float(table["false_faces"].mean()),
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
            sum(found.score > threshold and all(found.box.iou(face) < STRANGE for face in there) for found in row)
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
        row = [found for found in row if found.box.iou(face) >= MATCH]
    return max((found.score for found in row), default=-np.inf)


def _add_reasons(out: pd.DataFrame, truth, true: np.ndarray, pixels: pd.DataFrame | None, shots: np.ndarray) -> None:
    known = truth is not None
    out["yaw"] = truth["yaw"].abs().to_numpy(float) if known else np.nan
    out["face_size"] = np.minimum(true[:, 2] - true[:, 0], true[:, 3] - true[:, 1])
    out["occluded"] = truth["occluded"].to_numpy(float) if known else np.nan
    for name in PIXELS:
        out[name] = np.nan if pixels is None else pixels[name].reindex(out.index)
    starts = np.flatnonzero(np.r_[False, shots[1:] != shots[:-1]])
    since = np.full(len(out), np.nan)
    for start in starts:
        since[start:] = np.arange(len(out) - start)
    out["since_cut"] = since


def _reasons(table: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """By cause: where it holds, where that is known, and the number that says so."""
    tests = zip(
        CAUSES,
        ("occluded", "yaw", "face_size", "luma", "contrast", "motion", "since_cut"),
        (np.greater_equal, np.greater_equal, np.less, np.less, np.less, np.greater_equal, np.less_equal),
        (1, PROFILE, SMALL, DARK, FLAT, FAST, CUT),
        strict=True,
    )
    out = {}
    for cause, column, test, limit in tests:
        values = table[column].to_numpy(float)
        known = ~np.isnan(values) if column != "since_cut" else np.ones(len(values), bool)
        out[cause] = test(values, limit), known, values
    return out


def _with_causes(out: pd.DataFrame) -> pd.DataFrame:
    missed = (out["missed"] == 1).to_numpy()
    cause, value = np.where(missed, "unexplained", "").astype(object), np.full(len(out), np.nan)
    for name, (holds, _, values) in reversed(_reasons(out).items()):
        here = missed & holds
        cause[here], value[here] = name, values[here]
    out["cause"], out["cause_value"] = cause, value
    return out


def _nearest(boxes: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """Each frame's box, or the nearest in time of its shot."""
    out = boxes.copy()
    known = np.flatnonzero(~np.isnan(boxes).any(axis=1))
    for row in np.flatnonzero(np.isnan(boxes).any(axis=1)):
        near = known[shots[known] == shots[row]]
        if len(near):
            out[row] = boxes[near[np.argmin(np.abs(near - row))]]
    return out
