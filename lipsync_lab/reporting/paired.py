"""Two variants of a report side by side: the differences of their metrics over the clips that both dubbed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lipsync_lab import samples
from lipsync_lab.evaluation import comparison, evaluated, resampling
from lipsync_lab.evaluation.cases import Case
from lipsync_lab.metrics import failures
from lipsync_lab.reporting.variants import ClipResult

if TYPE_CHECKING:
    import pandas

#: Scores of the sound that are compared beside the metrics.
SCORES = ("syncnet_distance",)
#: What the numbers of the table of two variants are, for its legend.
STATISTIC = (
    "The values are means over the clips that both dubbed, of each clip's mean over its frames. metrics.csv has the "
    "median over the frames, of a rate the mean, so that its numbers can differ."
)
#: The page of the documentation on matched pairs.
_PAGE = "docs/tutorials/report.md"
#: Columns of `differences`.
COLUMNS = (
    *("metric", "n", "first", "second", "difference", "low", "high", "p", "p_adjusted"),
    *("verdict", "by_construction", "individual", "reason"),
)


def differences(first: Sequence[ClipResult], second: Sequence[ClipResult]) -> pandas.DataFrame:
    """The second variant minus the first, for every metric; the unit is a clip that both dubbed.

    Parameters
    ----------
    first, second : sequence of ClipResult
        Of one variant each.

    Returns
    -------
    DataFrame
        One row per metric with a value in both, the largest difference in multiples of the threshold first: metric;
        n (clips); first, second (means over these clips); difference; low, high (95 % interval, for this metric alone)
        and p, p_adjusted (for all metrics of the table) of `evaluation.comparison.infer`; verdict ("better", "worse",
        or empty where the adjusted p is above `comparison.ALPHA` or absent); by_construction (whether either variant's
        settings satisfy the metric); individual (tuple of float, the difference of every clip); reason, why there is
        no interval.
    """
    import numpy as np
    import pandas as pd

    sides = [pd.DataFrame({r.case.name: _means(r) for r in side if r.evaluated}).T for side in (first, second)]
    clips = [clip for clip in sides[0].index if clip in sides[1].index]
    names = [name for name in sides[0] if name in sides[1]] if clips else []
    before, after = (side.loc[clips, names].astype(float) for side in sides)
    both = before.notna() & after.notna()
    names = [name for name in names if both[name].any()]
    if not names:
        return pd.DataFrame(columns=list(COLUMNS))
    before, after = (side[names].where(both[names]) for side in (before, after))
    apart = (after - before).to_numpy(float)
    table = pd.DataFrame({"metric": names, "first": before.mean().to_numpy(), "second": after.mean().to_numpy()})
    table = table.assign(difference=table["second"] - table["first"], **comparison.infer(apart))
    directions = {kind.name: kind.direction for kind in failures.kinds()}
    towards = table["difference"] * table["metric"].map(lambda name: directions.get(name, 1))
    sure = table["p_adjusted"] <= comparison.ALPHA
    satisfied = frozenset[str]().union(*(side[0].variant.by_construction for side in (first, second)))
    table["verdict"] = np.where(sure, np.where(towards > 0, "worse", "better"), "")
    table["by_construction"] = table["metric"].isin(satisfied)
    table["reason"] = [comparison.why_none(apart[:, column], "clip") for column in range(len(names))]
    table["individual"] = [tuple(apart[~np.isnan(apart[:, column]), column]) for column in range(len(names))]
    limits = {kind.name: kind.threshold for kind in failures.kinds()}
    size = (table["difference"] / table["metric"].map(limits)).abs().fillna(-1)
    return table.iloc[np.argsort(-size.to_numpy(), kind="stable")][list(COLUMNS)].reset_index(drop=True)


def sentence(table: pandas.DataFrame, first: str, second: str) -> str:
    """What `differences` says of two variants, by their labels; plain text."""
    from lipsync_lab.metrics.registry import label

    count = int(table["n"].max()) if len(table) else 0
    if not count:
        return f"No clip was dubbed by both {first} and {second}."
    own = table[~table["by_construction"]]
    tested = own[own["p_adjusted"].notna()]
    clips = f"{count} clip{'s' * (count != 1)}"
    if tested.empty:
        few = count < resampling.MIN_UNITS
        why = (
            f"{'is' if count == 1 else 'are'} too few for an interval ({resampling.MIN_UNITS} are needed"
            f"{_absent(own, count)})"
            if few
            else "have equal metrics"
        )
        return f"{second} against {first}: {clips} {why}; the table “Side by side” shows each."
    least, most = int(tested["n"].min()), int(tested["n"].max())
    clips = f"{least} to {most} clips" if least < most else f"{most} clips"
    parts = []
    for verdict in ("better", "worse"):
        rows = tested[tested["verdict"] == verdict]
        parts.append(f"{verdict} in {len(rows)}" + (f" ({', '.join(map(label, rows['metric']))})" if len(rows) else ""))
    return (
        f"Of {len(tested)} metrics, {second} against {first} is {' and '.join(parts)} "
        f"(n = {clips}, p ≤ {comparison.ALPHA:g} adjusted for {len(table)} metrics)."
    )


def _absent(table: pandas.DataFrame, count: int) -> str:
    """That some metrics are measured in fewer clips, where that is so."""
    least = int(table["n"].min()) if len(table) else count
    return f"; some metrics are defined in {least} of them" if least < count else ""


def not_compared(cases: Sequence[Case], count: int) -> list[str]:
    """What a report of clips of two domains cannot say of them; empty where it can, or where there is one domain.

    Parameters
    ----------
    cases : sequence of Case
        The clips of the report.
    count : int
        Matched pairs among them.
    """
    domains = [case.domain for case in cases]
    against = evaluated.counterpart(domains)
    if not {"animation", against} <= {*domains} or count >= resampling.MIN_UNITS:
        return []
    needed = resampling.MIN_UNITS
    if count:
        pairs = f"{count} matched pair{' is' if count == 1 else 's are'}"
        return [f"{pairs} too few for an interval ({needed} are needed), and the plot shows each."]
    other = samples.domain_in_words(against)
    few = ("animation", domains.count("animation")), (other, domains.count(against))
    clips = " and ".join(f"{number} clip{'s' * (number != 1)} of {domain}" for domain, number in few)
    return [
        f"With {clips} that are no matched pair{'s' * (len(domains) > 2)}, this report cannot say whether lip-sync "
        f"fails more on animation than on {other}: {needed} matched pairs are needed ({_PAGE}). Below is what fails in "
        "each clip."
    ]


def in_row(values: Sequence[float], differences: Sequence[float], share: bool) -> tuple[list[str], list[str]]:
    """Values and signed differences of one row as text, all with the same digits after the point.

    Of a share, the values are percentages and their differences points.
    """
    scale = 100 if share else 1
    largest = max((abs(scale * value) for value in values if value == value), default=0.0)
    # three digits that count of the largest value, two of a percentage, and three after the point at most
    counted = (2 if share else 3) - 1
    digits = min(3, max(0, counted - math.floor(math.log10(largest)))) if largest else 0
    shown = [_signed(scale * value, digits, "") + "%" * share for value in values]
    return shown, [_signed(scale * value, digits, "+") + " points" * share for value in differences]


def _signed(number: float, digits: int, sign: str) -> str:
    text = f"{number:{sign}.{digits}f}"
    return text if set(text) & set("123456789") else text.lstrip("+-")


def without_mouth(first: Sequence[ClipResult], second: Sequence[ClipResult]) -> tuple[int, int]:
    """Over the clips that both dubbed: frames with a mouth by the first variant, and how many have none by the second.

    A metric of the mouth has no value in the latter, so that the second variant's means are over fewer frames.
    """
    mouths = [
        {r.case.name: r.evaluated.run.ledger()["mouth_generated"].to_numpy(bool) for r in side if r.evaluated}
        for side in (first, second)
    ]
    pairs = [(mouths[0][clip], mouths[1][clip]) for clip in mouths[0] if clip in mouths[1]]
    return sum(int(first.sum()) for first, _ in pairs), sum(int((first & ~second).sum()) for first, second in pairs)


def _means(result: ClipResult) -> dict[str, float]:
    """The mean of every metric of a clip over its frames, and the scores."""
    evaluation = result.evaluated.evaluation
    names = [kind.name for kind in failures.kinds() if kind.name in evaluation.frames]
    means = {name: float(evaluation.frames[name].astype(float).mean()) for name in names}
    return means | {name: evaluation.score(name) for name in SCORES}
