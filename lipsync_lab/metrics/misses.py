"""Runs of missed detections, and what each miss may be due to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lipsync_lab.geometry import spans

#: When a miss has a cause, in the order in which they are asked. Degrees; pixels of the face's shorter side; grey
#: levels of the face's mean; grey levels between its 5th and 95th percentile; mean grey levels from the frame before;
#: frames since a cut. The bounds are working definitions: `causes` sets the frames that were found beside them.
PROFILE, SMALL, DARK, FLAT, FAST, CUT = 60.0, 32.0, 45.0, 40.0, 12.0, 2
CAUSES = ("occluded", "profile", "small", "dark", "low contrast", "motion", "after a cut")

PIXELS = ("luma", "contrast", "motion")


def miss_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Stretches of missed frames within a shot.

    Parameters
    ----------
    table : DataFrame
        Of `detection.detection_metrics`.

    Returns
    -------
    DataFrame
        first, last (frames), length, shot, cause (the most frequent of its frames), cause_value (its median);
        the distribution of lengths is ``.length.value_counts()``.
    """
    out = []
    for start, stop in spans((table["missed_detection"] == 1).to_numpy(), table["shot"].to_numpy()):
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
        Of `detection.detection_metrics`.

    Returns
    -------
    DataFrame, index ``cause``
        misses (frames whose cause it is), share (of all misses), median (of the number that says so),
        among_missed, among_found (share of missed and of found frames of which it holds, first or not). A cause is
        worth its name where the last is much the lower; NaN where nobody could tell.
    """
    missed, detected = table[table["missed_detection"] == 1], table[table["missed_detection"] == 0]
    out = []
    for cause in (*CAUSES, "unexplained"):
        here = missed["cause"] == cause
        among = [np.nan, np.nan]
        if cause != "unexplained":
            holds = [_reasons(part)[cause] for part in (missed, detected)]
            among = [float(part[0][part[1]].mean()) if part[1].any() else np.nan for part in holds]
        share = float(here.mean()) if len(missed) else np.nan
        out.append((cause, int(here.sum()), share, float(missed["cause_value"][here].median()), *among))
    columns = ["cause", "misses", "share", "median", "among_missed", "among_found"]
    return pd.DataFrame(out, columns=columns).set_index("cause")


def add_reasons(out: pd.DataFrame, truth, true: np.ndarray, pixels: pd.DataFrame | None, shots: np.ndarray) -> None:
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


def with_causes(out: pd.DataFrame) -> pd.DataFrame:
    missed = (out["missed_detection"] == 1).to_numpy()
    cause, value = np.where(missed, "unexplained", "").astype(object), np.full(len(out), np.nan)
    for name, (holds, _, values) in reversed(_reasons(out).items()):
        here = missed & holds
        cause[here], value[here] = name, values[here]
    out["cause"], out["cause_value"] = cause, value
    return out
