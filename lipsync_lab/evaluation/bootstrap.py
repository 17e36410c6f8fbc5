"""Failure rates of the domains, and differences of two domains with their intervals.

Intervals are percentile intervals of the bootstrap (Efron & Tibshirani 1993, "An Introduction to the Bootstrap",
chapter 13), by SciPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation.evaluated import counterpart
from lipsync_lab.metrics import failures

if TYPE_CHECKING:
    import pandas

#: What the bootstrap resamples, and whether as pairs: matched pairs of clips; their seconds, whose interval holds for
#: these clips alone; and shots, which need no pairs.
UNITS = {"pair": True, "second": True, "shot": False}


def failing(table: pandas.DataFrame) -> pandas.DataFrame:
    """The share of failing frames, by kind of failure and domain.

    Returns
    -------
    DataFrame
        kind, stage (`metrics.registry.Metric`), domain, covered (frames in which the metric is defined), frames (in
        which it is beyond its threshold), share (NaN where it is defined nowhere).
    """
    import pandas as pd

    rows = []
    for kind in failures.KINDS:
        for domain, frames in table.groupby("domain", sort=False):
            values = frames[kind.name].dropna() if kind.name in frames else []
            failed = int(kind.beyond(values).sum())
            share = failed / len(values) if len(values) else np.nan
            rows.append((kind.failure, kind.stage, domain, len(values), failed, share))
    return pd.DataFrame(rows, columns=["kind", "stage", "domain", "covered", "frames", "share"])


def differences(
    table: pandas.DataFrame, by: str = "pair", level: float = 0.95, resamples: int = 4000, seed: int = 0
) -> pandas.DataFrame:
    """Animation minus its counterpart, for the metric of every kind of failure, with a bootstrap interval.

    The counterpart is live_action if any frame is of that domain, else synthetic_photo (`evaluated.counterpart`).

    Parameters
    ----------
    table : DataFrame
        Of `evaluated.frames`.
    by : str
        One of `UNITS`: what is resampled. Each unit counts once, by the mean over its frames.
    level : float
        Coverage of the interval.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        kind, metric, threshold (`metrics.registry.Metric`), by, counterpart (its domain), animation, other (means of
        the two domains), difference, low, high (in the metric's unit), animation_units, other_units, reason. Numbers
        are NaN, with the reason, where a domain has no unit; the interval is NaN where a domain has one unit. A metric
        without a value has no row.

    Raises
    ------
    ParameterError
        No such unit.
    """
    import pandas as pd

    if by not in UNITS:
        raise ParameterError(f"no differences by {by!r}; there are {', '.join(UNITS)}")
    units, against = _units(table, by), counterpart(table["domain"])
    domains = ("animation", against)
    rows = []
    for kind in failures.KINDS:
        if kind.name not in table or table[kind.name].isna().all():
            continue
        wide = units[kind.name].unstack("domain").reindex(columns=list(domains))
        sides = [wide.dropna()[side] if UNITS[by] else wide[side].dropna() for side in domains]
        values = interval(*(side.to_numpy(float) for side in sides), UNITS[by], level, resamples, seed)
        reason = ""
        if min(map(len, sides)) < 2:
            counts = f"{len(sides[0])} of animation, {len(sides[1])} of {against.replace('_', ' ')}"
            reason = f"an interval needs two {by}s on either side: {counts}"
        rows.append((kind.failure, kind.name, kind.threshold, by, against, *values, *map(len, sides), reason))
    numbers = ["animation", "other", "difference", "low", "high", "animation_units", "other_units"]
    return pd.DataFrame(rows, columns=["kind", "metric", "threshold", "by", "counterpart", *numbers, "reason"])


def intervals(differences: pandas.DataFrame) -> pandas.DataFrame:
    """One table of `differences` by several units.

    Returns
    -------
    DataFrame, index ``kind``
        metric, threshold; animation, the counterpart under the name of its domain, and difference, by the first unit
        that has them; and for every unit the interval as text, empty where there is none.
    """
    known = differences[differences["difference"].notna()]
    out = known.groupby("kind", sort=False)[["metric", "threshold", "animation", "other", "difference"]].first()
    out = out.rename(columns={"other": next(iter(differences["counterpart"]), "other")})
    for by in differences["by"].unique():
        limits = known[(known["by"] == by) & known["low"].notna()].set_index("kind")[["low", "high"]]
        texts = {kind: f"{low:.3f} to {high:.3f}" for kind, low, high in limits.itertuples()}
        out[f"interval by {by}"] = [texts.get(kind, "") for kind in out.index]
    return out


def _units(table: pandas.DataFrame, by: str) -> pandas.DataFrame:
    """Means of every metric, by unit and domain."""
    names = [kind.name for kind in failures.KINDS if kind.name in table]
    if by == "shot":
        return table.groupby(["clip", "shot", "domain"])[names].mean()
    paired = table[table["pair"] != ""]
    # a frame's time is a multiple of its length, which is no round number in binary
    seconds = {"second": np.floor(paired["time"] + 1e-6).astype(int)} if by == "second" else {}
    return paired.assign(**seconds).groupby(["pair", *seconds, "domain"])[names].mean()


def interval(
    first: np.ndarray,
    second: np.ndarray,
    paired: bool,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float, float, float]:
    """Both means, the first less the second, and the bootstrap interval of that; NaN where there is none."""
    from scipy.stats import bootstrap

    if not len(first) or not len(second):
        return (*(float(side.mean()) if len(side) else np.nan for side in (first, second)), *[np.nan] * 3)
    means = float(first.mean()), float(second.mean())
    difference = means[0] - means[1]
    if min(len(first), len(second)) < 2:
        return *means, difference, np.nan, np.nan
    data = (first - second,) if paired else (first, second)
    limits = bootstrap(
        data,
        np.mean if paired else _difference_of_means,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return *means, difference, float(limits.low), float(limits.high)


def _difference_of_means(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    return first.mean(axis=axis) - second.mean(axis=axis)
