"""Animation compared with its counterpart: effects on every metric, with intervals and p values over clips.

The unit of inference is the clip or the matched pair, or what several pairs have in common, such as a speaker; never
the frame. Below `resampling.MIN_UNITS` units there is no interval and no p value: the individual values are kept for
the figure (`figures.forest`) instead.

Matched pairs are tested by sign flips, two groups without pairs by the studentised permutation test; the intervals
invert these tests (`evaluation.resampling`), each for its metric alone. The p values are adjusted for the metrics that
are tested together: of matched pairs by joint sign flips (Westfall and Young), of two groups by Holm's method.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import resampling
from lipsync_lab.evaluation.evaluated import COUNTERPARTS, counterpart
from lipsync_lab.metrics import controls, failures, registry
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

ANIMATION = "animation"
#: Columns of `matched` and `independent`.
COLUMNS = (
    *("metric", "label", "unit", "threshold", "n", "animation", "other", "difference", "low", "high", "ratio"),
    *("p", "p_adjusted", "by_construction", "reason", "against", "by", "n_other", "individual"),
)
#: Adjusted p values up to this are called a difference.
ALPHA = 0.05


def by_construction(settings: Settings, instead: Collection[str] = ()) -> frozenset[str]:
    """Names of the metrics that settings satisfy by construction, whatever the generated mouth looks like.

    A soft edge blends the boundary away on which the boundary artifact is measured. One mouth per hold keeps mouth, box
    and skin through a hold, so that no change is left for the metrics of holds.

    Parameters
    ----------
    settings : Settings
    instead : collection of str
        Settings that the generator leaves out of account (`Generator.instead`): `cel`, the only one that does so with
        ``mouth_cadence``, keeps holds whatever it says.
    """
    holds = settings.mouth_cadence == "holds" or "mouth_cadence" in instead
    satisfied = {
        "boundary_artifact": settings.feather > 0 and "feather" not in instead,
        **dict.fromkeys(("mouth_change_during_hold", "box_jitter_on_holds", "temporal_flicker"), holds),
        "not_generated": settings.dropouts in ("hold", "interpolate"),
    }
    return frozenset(name for name, fixed in satisfied.items() if fixed)


def matched(
    table: pandas.DataFrame,
    by: str = "pair",
    metrics: Sequence[str] | None = None,
    by_construction: Collection[str] = (),
    level: float = resampling.LEVEL,
    seed: int = 0,
) -> pandas.DataFrame:
    """Animation minus its counterpart over matched pairs, for every metric, the largest effect first.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.evaluated.frames` (``clip``, ``domain``, ``pair``, a column per metric; a row per frame or clip),
        or of `evaluation.matched.bundled` (a row per pair and ``metric``, with the columns ``animation`` and
        ``live_action`` or ``synthetic_photo``). Frames are averaged within their clip.
    by : str
        Column that names the independent unit. Pairs of one unit are averaged, so that it counts once.
    metrics : sequence of str, optional
        The metrics that are tested together; by default those of the table that have a threshold.
    by_construction : collection of str
        Metrics that the settings satisfy by construction (`by_construction`).
    level : float
        Coverage of an interval.
    seed : int
        Of the sign flips, which are sampled above `resampling.EXACT_UNITS` units.

    Returns
    -------
    DataFrame
        One row per metric, sorted by ``|difference / threshold|``: metric; label (its readable name); unit; threshold
        (NaN where it never fails); n, units with a value on both sides; animation, other (means over units);
        difference; low, high (its interval, for this metric alone); ratio (animation / other where both are positive);
        p; p_adjusted (for the metrics of this table, by joint sign flips); by_construction; reason, why there is no
        interval (empty where there is one); against (the counterpart's domain); by; n_other (equal to n); individual
        (tuple of float: the difference of every unit). Numbers that are not there are NaN.

    Raises
    ------
    ParameterError
        The table has no such column.
    """
    sides, against, units = _pairs_of(table, by, metrics)
    both = sides[0].notna() & sides[1].notna()
    there = [side.where(both).groupby(units).mean() for side in sides]
    apart = (there[0] - there[1]).to_numpy(float)
    numbers = infer(apart, level, seed)
    rows = []
    for column, name in enumerate(sides[0]):
        individual = tuple(apart[~np.isnan(apart[:, column]), column].tolist())
        reason = why_none(apart[:, column], by)
        if not individual:
            first, second = (int(side[name].notna().sum()) for side in sides)
            defined = f"defined in {first} of {len(both)} clips of animation, in {second} of {_words(against)}"
            reason = defined if len(both) else "there is no matched pair"
        row = {field: values[column] for field, values in numbers.items()}
        row |= {"metric": name, "animation": there[0][name].mean(), "other": there[1][name].mean()}
        rows.append(row | {"n_other": row["n"], "reason": reason, "individual": individual})
    return _effects(rows, table, against, by, by_construction)


def infer(differences: np.ndarray, level: float = resampling.LEVEL, seed: int = 0) -> dict[str, np.ndarray]:
    """The sign-flip tests of several metrics on the same units.

    Parameters
    ----------
    differences : ndarray, float, (units, metrics)
        NaN where a unit has no value.

    Returns
    -------
    dict of ndarray, (metrics,)
        n, units with a value; low, high, p, and p_adjusted for the metrics that are tested: NaN for those with fewer
        than `resampling.MIN_UNITS` units, and for those without a difference in any unit.
    """
    counts = (~np.isnan(differences)).sum(axis=0)
    chosen = (counts >= resampling.MIN_UNITS) & (np.nan_to_num(differences) != 0).any(axis=0)
    out = {"n": counts} | {name: np.full(len(counts), np.nan) for name in ("low", "high", "p", "p_adjusted")}
    if chosen.any():
        values, flips = differences[:, chosen], resampling.sign_flips(len(differences), seed=seed)
        out["p"][chosen], out["low"][chosen], out["high"][chosen] = resampling.sign_flip(values, flips, level)
        out["p_adjusted"][chosen] = resampling.step_down(values, flips)
    return out


def why_none(differences: np.ndarray, by: str) -> str:
    """Why `infer` has no interval for the differences of a metric; empty where it has one."""
    known = differences[~np.isnan(differences)]
    return _too_few(len(known)) or ("" if known.any() else f"both sides are equal in every {by}")


def independent(
    table: pandas.DataFrame,
    by: str = "clip",
    metrics: Sequence[str] | None = None,
    by_construction: Collection[str] = (),
    level: float = resampling.LEVEL,
    seed: int = 0,
) -> pandas.DataFrame:
    """Animation minus its counterpart over two groups of clips without pairs, for every metric.

    The studentised permutation test allows unequal spreads, and holds its level approximately; the p values are
    adjusted by Holm's method.

    Parameters
    ----------
    table : DataFrame
        ``domain``, the column that `by` names, and a column per metric; a row per frame or a clip.
    by, metrics, by_construction, level, seed
        As of `matched`.

    Returns
    -------
    DataFrame
        As of `matched`, with n units of animation and n_other of the counterpart; individual is empty, since no unit
        has a difference.

    Raises
    ------
    ParameterError
        The table has no such column.
    """
    _need(table, by, "domain")
    against, names = counterpart(table["domain"]), _names(table, metrics)
    units = table.groupby(["domain", by])[names].mean()
    rows = []
    for name in names:
        sides = [_of_domain(units, domain)[name].dropna().to_numpy(float) for domain in (ANIMATION, against)]
        p = low = high = np.nan
        if not (reason := _too_few(min(map(len, sides)))):
            p, low, high = resampling.studentised(*sides, level=level, seed=seed)
            reason = "neither side varies" if np.isnan(low) else ""
        first, second = (float(side.mean()) if len(side) else np.nan for side in sides)
        row = {"metric": name, "n": len(sides[0]), "n_other": len(sides[1]), "animation": first, "other": second}
        rows.append(row | {"low": low, "high": high, "p": p, "reason": reason, "individual": ()})
    for row, p in zip(rows, resampling.holm(np.array([row["p"] for row in rows])), strict=True):
        row["p_adjusted"] = p
    return _effects(rows, table, against, by, by_construction)


def _pairs_of(
    table: pandas.DataFrame, by: str, metrics: Sequence[str] | None
) -> tuple[list[pandas.DataFrame], str, pandas.Series]:
    """Both sides of every pair (a row per pair, a column per metric), the counterpart's domain, each pair's unit."""
    _need(table, "pair", by)
    paired = table[table["pair"] != ""]
    units = paired.drop_duplicates("pair").set_index("pair", drop=False)[by]
    if "metric" in table:
        against = next((domain for domain in COUNTERPARTS if domain in table), COUNTERPARTS[0])
        _need(table, ANIMATION, against)
        sides = [paired.pivot(index="pair", columns="metric", values=side) for side in (ANIMATION, against)]
    else:
        _need(table, "domain", "clip")
        against = counterpart(table["domain"])
        clips = paired.groupby(["domain", "pair", "clip"])[_names(table, metrics)].mean()
        pairs = clips.groupby(["domain", "pair"]).mean()
        sides = [_of_domain(pairs, domain) for domain in (ANIMATION, against)]
    names = _names(sides[0], metrics)
    return [side.reindex(units.index)[names] for side in sides], against, units


def _of_domain(means: pandas.DataFrame, domain: str) -> pandas.DataFrame:
    """The rows of a domain, the first level of the index; none where no clip is of it."""
    return means[means.index.get_level_values("domain") == domain].droplevel("domain")


def _need(table: pandas.DataFrame, *columns: str) -> None:
    if absent := [column for column in columns if column not in table]:
        there = ", ".join(map(str, table.columns))
        raise ParameterError(f"the table has no column {', '.join(absent)}; its columns are {there}")


def _names(table: pandas.DataFrame, metrics: Sequence[str] | None) -> list[str]:
    """The metrics that are compared, of those that are columns of a table."""
    if metrics is not None:
        _need(table, *metrics)
        return list(metrics)
    return [kind.name for kind in failures.kinds() if kind.name in table]


def _too_few(units: int) -> str:
    return f"n = {units}: individual values are shown instead" if units < resampling.MIN_UNITS else ""


def _words(domain: str) -> str:
    return domain.replace("_", " ")


def _effects(
    rows: Sequence[dict], table: pandas.DataFrame, against: str, by: str, by_construction: Collection[str]
) -> pandas.DataFrame:
    """Rows as the table that `matched` describes."""
    import pandas as pd

    known = {metric.name: metric for metric in registry.metrics()}
    units = {name: metric.unit for name, metric in known.items()} | controls.UNITS
    if {"metric", "unit"} <= set(table):
        units = dict(zip(table["metric"], table["unit"], strict=True)) | units
    out = pd.DataFrame(rows, columns=list(COLUMNS))
    out["label"] = [registry.label(name) for name in out["metric"]]
    out["unit"] = [units.get(name, "") for name in out["metric"]]
    out["threshold"] = [known[name].threshold if name in known else np.nan for name in out["metric"]]
    out["difference"] = out["animation"] - out["other"]
    positive = (out["animation"] > 0) & (out["other"] > 0)
    out["ratio"] = (out["animation"] / out["other"]).where(positive)
    out["by_construction"] = [name in by_construction for name in out["metric"]]
    out["against"], out["by"] = against, by
    size = (out["difference"] / out["threshold"]).abs()
    return out.iloc[np.argsort(-size.fillna(-1).to_numpy(), kind="stable")].reset_index(drop=True)
