"""Figures of effects: animation compared with its counterpart, and the ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lipsync_lab.evaluation.ablation import LEAST_EFFECT
from lipsync_lab.evaluation.comparison import ALPHA
from lipsync_lab.evaluation.resampling import MIN_UNITS
from lipsync_lab.figures.style import (
    DOMAIN_COLOURS,
    GREY,
    HALO,
    INK,
    axes_of,
    counted,
    domain_colour,
    domain_label,
    in_multiples,
    legend_above,
    note,
    styled,
    titled,
)

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

#: Change, in units of the threshold, at or above which a cell has the full colour.
_FULL = 2.0
_TICKS = (-2, -1, -0.3, -0.1, 0, 0.1, 0.3, 1, 2)
#: The end of a linear scale of colours.
_LINEAR = 0.1
#: Words for the unit of inference that are not its column's name.
_UNITS = {"footage": "source"}


@styled
def forest(effects: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """The difference of the domains in every metric with its 95 % interval, in units of the failure threshold.

    Parameters
    ----------
    effects : DataFrame
        Of `evaluation.comparison.matched` or `independent`, a row of the figure a row, in that order; metrics without
        a threshold or a difference are left out. A point has the colour of the domain that is worse. It is filled
        where the adjusted p value is at most 0.05, and a diamond where the settings satisfy the metric by construction.
        With fewer than eight units the individual values are shown as dots instead of an interval.
    """
    shown = effects[effects["difference"].notna() & effects["threshold"].notna()]
    ax = axes_of(ax, 0.15 + 0.05 * max(2, len(shown)))
    if shown.empty:
        note(ax, "no metric is defined on both sides")
        ax.axis("off")
        return ax
    against = shown["against"].iloc[0]
    colours = {1: DOMAIN_COLOURS["animation"], -1: domain_colour(against)}
    for place, row in enumerate(shown.itertuples()):
        difference, low, high = (value / row.threshold for value in (row.difference, row.low, row.high))
        colour = colours.get(int(np.sign(difference)), GREY)
        if low == low:
            ax.plot([low, high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
        elif row.n < MIN_UNITS:
            dots = np.array(row.individual) / row.threshold
            # above the mean, which would hide those near it
            ax.plot(dots, np.full(len(dots), place - 0.28), ".", color=colour, alpha=0.6, markersize=8)
        face = colour if row.p_adjusted <= ALPHA else "white"
        ax.plot(difference, place, "D" if row.by_construction else "o", color=colour, markerfacecolor=face)
    ax.axvline(0, color=INK, linewidth=1.2)
    ax.set_yticks(range(len(shown)), labels=[_label(row) for row in shown.itertuples()])
    in_multiples(ax, f"animation minus {domain_label(against)}\n(1 = failure threshold)", both_ways=True)
    ax.set_ylim(len(shown) - 0.1, -0.6)
    style = {"color": INK, "linestyle": "none", "markersize": 8}
    tested = shown["p_adjusted"].notna().any()
    handles = [Line2D([], [], marker="o", label=f"adjusted p ≤ {ALPHA:g}", **style)] if tested else []
    hollow = "above, or not tested" if tested else "mean, not tested"
    handles.append(Line2D([], [], marker="o", markerfacecolor="white", label=hollow, **style))
    if (shown["individual"].map(len).between(1, MIN_UNITS - 1)).any():
        handles.append(Line2D([], [], marker=".", alpha=0.6, label=f"one {_unit(shown)}", **style))
    if shown["by_construction"].any():
        handles.append(Line2D([], [], marker="D", label="† by construction", **style))
    legend_above(ax, _worse(shown), handles, right=True)
    for x, words, domain, side in (
        (0.01, f"← {domain_label(against)} is worse", against, "left"),
        (1, "animation is worse →", "animation", "right"),
    ):
        text = ax.text(x, 0.01, words, transform=ax.transAxes, ha=side, va="bottom", color=domain_colour(domain))
        text.set_path_effects(HALO)
    return ax


def _unit(effects: pandas.DataFrame) -> str:
    """The unit of inference in words."""
    by = str(effects["by"].iloc[0])
    return _UNITS.get(by, by)


def _worse(effects: pandas.DataFrame) -> str:
    """In how many metrics either side is worse, as far as the number of units lets one say so."""
    own = effects[~effects["by_construction"]]
    tested, against = own[own["p_adjusted"].notna()], domain_label(effects["against"].iloc[0])
    rows = tested[tested["p_adjusted"] <= ALPHA]
    first, second = ((sign * rows["difference"] > 0).sum() for sign in (1, -1))
    units = int(effects["n"].max())
    n = f"{units} and {int(effects['n_other'].max())}" if (effects["n"] != effects["n_other"]).any() else f"{units}"
    about = f"n = {n} {_unit(effects)}{'s' * (units != 1)}"
    if tested.empty:
        return f"{about}: too few to compare{_largest(own)}"
    return f"Worse in animation: {first} of {len(tested)} metrics, in {against}: {second} ({about})"


def _largest(effects: pandas.DataFrame) -> str:
    """The metric whose difference is largest in units of its threshold."""
    sizes = (effects["difference"] / effects["threshold"]).dropna()
    if sizes.empty:
        return ""
    row = effects.loc[sizes.abs().idxmax()]
    worse = "animation" if row["difference"] > 0 else domain_label(row["against"])
    return f"; largest difference: {row['label']}, worse in {worse}"


def _label(row) -> str:
    """Name of a metric, with the number of its units."""
    count = f"{row.n}" if row.n == row.n_other else f"{row.n} and {row.n_other}"
    return f"{row.label}{' †' if row.by_construction else ''}, n = {count}"


@styled
def ablation_matrix(effects: pandas.DataFrame, cost: pandas.Series | None = None, ax: Axes | None = None) -> Axes:
    """What every mitigation changes in every metric, in units of the failure threshold: purple is worse, green better.

    Parameters
    ----------
    effects : DataFrame
        Of `evaluation.ablation.summary`; metrics without a threshold are left out. A number is bold where its adjusted
        p value is at most 0.05. Cells that the settings satisfy by construction are hatched, undefined ones are grey.
    cost : Series, optional
        Seconds a frame, by mitigation, "as published" among them: the difference from it stands in the margin.
    """
    shown = effects[effects["threshold"].notna()]
    table = shown.set_index(["metric", "mitigation"])
    columns, rows = (list(dict.fromkeys(shown[name])) for name in ("mitigation", "metric"))
    rows = [name for name in rows if table["change"][name].notna().any()]
    values = np.array([[table["change"].get((row, column), np.nan) for column in columns] for row in rows], float)
    values = values.reshape(len(rows), len(columns))
    ax = axes_of(ax, 0.28 + 0.044 * len(rows))
    ax.set_facecolor("#DDDDDD")
    norm = SymLogNorm(_LINEAR, vmin=-_FULL, vmax=_FULL)
    image = ax.imshow(np.ma.masked_invalid(values), cmap="PRGn_r", norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        cell = table.loc[(rows[row], columns[column])]
        if cell["by_construction"]:
            corner = column - 0.5, row - 0.5
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=GREY, linewidth=0))
        words = ax.text(column, row, _signed(value), ha="center", va="center", fontsize=12, color=INK)
        words.set(weight="bold" if cell["p_adjusted"] <= ALPHA else "normal", path_effects=HALO)
    ax.set_yticks(range(len(rows)), labels=[table["label"][name].iloc[0] for name in rows])
    ax.set_xticks(range(len(columns)), labels=columns, rotation=25, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    if cost is not None:
        above = {"transform": ax.get_xaxis_transform(), "va": "bottom", "color": INK, "fontsize": 11}
        ax.text(-0.6, 1.01, "seconds a frame", ha="right", **above)
        for place, name in enumerate(columns):
            if name in cost.index:
                more = f"{cost[name] - cost['as published']:+.3f}".replace("-", "−")
                ax.text(place, 1.01, more, ha="center", **above)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, ticks=_TICKS, extend="both")
    bar.ax.set_yticks([], minor=True)
    bar.ax.set_yticklabels([f"{tick:g}".replace("-", "−") for tick in _TICKS])
    bar.set_label(f"better  ←  change (1 = failure threshold;\nlogarithmic beyond ±{_LINEAR:g})  →  worse")
    titled(ax, _changes(shown[~shown["by_construction"] & shown["change"].notna()]), rows=cost is not None)
    return ax


def _changes(effects: pandas.DataFrame) -> str:
    """How many changes are for the better and for the worse; none is a change by construction."""
    tested = effects["p_adjusted"].notna().any()
    rows = effects[effects["p_adjusted"] <= ALPHA] if tested else effects[effects["change"].abs() >= LEAST_EFFECT]
    better, worse = (rows["change"] < 0).sum(), (rows["change"] > 0).sum()
    units = counted(int(effects["n"].max()), "clip") if len(effects) else "no clip"
    about = f"adjusted p ≤ {ALPHA:g}; n = {units}" if tested else f"n = {units}, too few for a test"
    return f"Better: {better} of {len(effects)} effects, worse: {worse} ({about}; without those by construction)"


@styled
def generator_matrix(medians: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Metrics of several generators in several domains: the median over clips, coloured by its share of the threshold.

    Parameters
    ----------
    medians : DataFrame
        Of `sweep.page.medians`: generator, domain, metric, label, value (median over clips), n (clips), share (value in
        units of the threshold; above 1 the median clip fails). Undefined cells are grey.
    """
    rows = list(dict.fromkeys(medians["label"]))
    columns = sorted(set(zip(medians["generator"], medians["domain"], strict=True)))
    cells = medians.set_index(["label", "generator", "domain"])
    shares = np.full((max(1, len(rows)), max(1, len(columns))), np.nan)
    ax = axes_of(ax, 0.28 + 0.05 * max(3, len(rows)))
    if not rows:
        note(ax, "no run has a value of a metric with a threshold")
        ax.axis("off")
        return ax
    ax.set_facecolor("#DDDDDD")
    for (row, column), _ in np.ndenumerate(shares):
        key = rows[row], *columns[column]
        if key in cells.index:
            cell = cells.loc[key]
            shares[row, column] = cell["share"]
            words = ax.text(column, row, f"{cell['value']:.3g}", ha="center", va="center", fontsize=12, color=INK)
            words.set_path_effects(HALO)
    image = ax.imshow(np.ma.masked_invalid(shares), cmap="Oranges", vmin=0, vmax=_FULL, aspect="auto")
    counts = medians.groupby(["generator", "domain"])["n"].max()
    labels = [f"{name}\n{domain_label(domain)}, n = {counts[name, domain]}" for name, domain in columns]
    ax.set_yticks(range(len(rows)), labels=rows)
    ax.set_xticks(range(len(columns)), labels=labels, rotation=25, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, extend="max")
    bar.set_label("median in units of the failure threshold")
    bad = medians[medians["share"] > 1]
    worst = medians.loc[medians["share"].idxmax()]
    most = f", furthest {worst['label']} of {worst['generator']} in {domain_label(worst['domain'])}" if len(bad) else ""
    titled(ax, f"The median clip is beyond the threshold in {len(bad)} of {len(medians)} cells{most}; n = clips")
    return ax


def _signed(value: float) -> str:
    """A change in two digits, and 0 where it would be rounded to that."""
    return "0" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")
