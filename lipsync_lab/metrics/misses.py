"""Dropouts (runs of missed detections), and the possible causes of each missed detection."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lipsync_lab.geometry import spans

#: By cause, in the order in which they are tested: column, comparison and limit. Limits are working definitions, in
#: degrees, pixels of the face's shorter side, grey levels of the face (mean; 5th to 95th percentile; mean change from
#: the frame before), and frames since a cut. `missed_detection_causes` compares them with the detected frames.
CAUSES = {
    "occluded": ("occluded", np.greater_equal, 1),
    "profile": ("yaw", np.greater_equal, 60.0),
    "small": ("face_size", np.less, 32.0),
    "dark": ("luma", np.less, 45.0),
    "low contrast": ("contrast", np.less, 40.0),
    "motion": ("motion", np.greater_equal, 12.0),
    "after a cut": ("since_cut", np.less_equal, 2),
}
PIXELS = ("luma", "contrast", "motion")


def dropouts(table: pd.DataFrame) -> pd.DataFrame:
    """Runs of missed frames within a shot.

    Parameters
    ----------
    table : DataFrame
        Of `detection.detection_metrics`.

    Returns
    -------
    DataFrame
        first, last (frames), length, shot, cause (the most frequent of its frames), cause_value (its median).
    """
    out = []
    for start, stop in spans((table["missed_detection"] == 1).to_numpy(), table["shot"].to_numpy()):
        run = table.iloc[start:stop]
        cause = run["cause"].value_counts(sort=False).idxmax()
        value = run["cause_value"][run["cause"] == cause].median()
        out.append((run.index[0], run.index[-1], len(run), run["shot"].iloc[0], cause, value))
    return pd.DataFrame(out, columns=["first", "last", "length", "shot", "cause", "cause_value"])


def missed_detection_causes(table: pd.DataFrame) -> pd.DataFrame:
    """Missed frames by cause, and how often each cause holds in missed and in detected frames.

    Parameters
    ----------
    table : DataFrame
        Of `detection.detection_metrics`.

    Returns
    -------
    DataFrame, index ``cause``
        misses (frames with this cause), share (of all missed frames), median (of `cause_value`), among_missed,
        among_detected (share of missed and of detected frames in which the cause holds, whether or not an earlier one
        does; NaN where it is unknown). A cause explains misses only where the last is much the lower.
    """
    missed, detected = (table[table["missed_detection"] == value] for value in (1, 0))
    values = missed.groupby("cause")["cause_value"]
    out = pd.DataFrame({"misses": values.size(), "median": values.median()}).reindex([*CAUSES, "unexplained"])
    out["misses"] = out["misses"].fillna(0).astype(int)
    out.insert(1, "share", out["misses"] / len(missed) if len(missed) else np.nan)
    for name, part in (("among_missed", missed), ("among_detected", detected)):
        tests = _tests(part).items()
        out[name] = pd.Series(
            {cause: holds[known].mean() for cause, (holds, known) in tests if known.any()}, dtype=float
        )
    return out.rename_axis("cause")


def _tests(table: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By cause: where it holds, and where that is known (before the first cut, "after a cut" is known not to hold)."""
    out = {}
    for cause, (column, compare, limit) in CAUSES.items():
        values = table[column].to_numpy(float)
        out[cause] = compare(values, limit), ~np.isnan(values) | (column == "since_cut")
    return out


def add_conditions(
    out: pd.DataFrame, ground_truth: pd.DataFrame | None, true: np.ndarray, pixels: pd.DataFrame | None
) -> None:
    """Add the columns that `CAUSES` names; NaN where unknown."""
    for name in ("yaw", "occluded"):
        out[name] = np.nan if ground_truth is None else ground_truth[name].abs().to_numpy(float)
    out["face_size"] = np.minimum(true[:, 2] - true[:, 0], true[:, 3] - true[:, 1])
    for name in PIXELS:
        out[name] = np.nan if pixels is None else pixels[name].reindex(out.index)
    cuts = (out["shot"].diff().fillna(0) != 0).cumsum()
    out["since_cut"] = out.groupby(cuts).cumcount().where(cuts > 0)


def with_causes(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``cause`` and ``cause_value`` of every missed frame: the first of `CAUSES` that holds."""
    missed = (table["missed_detection"] == 1).to_numpy()
    cause, value = np.where(missed, "unexplained", "").astype(object), np.full(len(table), np.nan)
    for name, (holds, _) in reversed(_tests(table).items()):
        here = missed & holds
        cause[here], value[here] = name, table[CAUSES[name][0]].to_numpy(float)[here]
    return table.assign(cause=cause, cause_value=value)
