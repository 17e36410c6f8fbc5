"""Figures of the bundled numbers of published models: a dot a source, the median, the failure threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from lipsync_lab.evaluation import comparison
from lipsync_lab.evaluation.published import ASKED, GROUPS, WAV2LIP
from lipsync_lab.figures.style import (
    DOMAIN_COLOURS,
    GREY,
    INK,
    axes_of,
    beside,
    domain_colour,
    domain_handles,
    in_multiples,
    in_order,
    legend_above,
    styled,
)
from lipsync_lab.metrics import registry

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

#: Marks and colours of the groups of `evaluation.published.GROUPS`.
_MARKS = (("o", DOMAIN_COLOURS["animation"]), ("o", DOMAIN_COLOURS["live_action"]), ("D", GREY))
_GROUPS = dict(zip(GROUPS, _MARKS, strict=True))
_HOLLOW = {"markerfacecolor": "white", "markeredgewidth": 1.5}
_THRESHOLD = {"color": INK, "linestyle": "--", "linewidth": 1.5}


@styled
def published_domains(
    sources: pandas.DataFrame, effects: pandas.DataFrame, metrics: Sequence[str] = ASKED, ax: Axes | None = None
) -> Axes:
    """A published model on animation and on live action: a dot a source, in multiples of the failure threshold.

    Parameters
    ----------
    sources : DataFrame
        Of `evaluation.published.of_wav2lip`.
    effects : DataFrame
        Of `evaluation.published.domain_effects`: the finding in the title.
    metrics : sequence of str
        A row of the figure each.
    """
    ax, thresholds = axes_of(ax, 0.2 + 0.09 * len(metrics)), _thresholds()
    domains = in_order(sources["domain"])
    for number, domain in enumerate(domains):
        own = sources[sources["domain"] == domain]
        for row, name in enumerate(metrics):
            values = own[name].dropna().to_numpy(float) / thresholds[name]
            _dots(ax, values, row + beside(number, len(domains), 0.7), domain_colour(domain))
    ax.axvline(1, **_THRESHOLD)
    ax.set_yticks(range(len(metrics)), labels=[_name(name) for name in metrics])
    ax.set_ylim(len(metrics) - 0.5, -0.5)
    in_multiples(ax, "median over frames (1 = failure threshold)")
    worse = effects[(effects["p_adjusted"] <= comparison.ALPHA) & (effects["difference"] > 0)]
    n = " and ".join(str((sources["domain"] == domain).sum()) for domain in domains)
    title = f"Wav2Lip is worse on animation in {len(worse)} of {len(effects)} metrics ({n} sources)"
    legend_above(ax, title, [*domain_handles(domains), *_handles()])
    return ax


@styled
def published_models(counts: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Every metric of the picture by group of models: a dot a source, in multiples of the failure threshold.

    Parameters
    ----------
    counts : DataFrame
        Of `evaluation.published.fault_counts`. Right of a row stands how many sources fail, in the order of the groups.
        A source in which no edit is seen, so that it never fails, has a hollow mark.
    """
    kinds, groups = list(dict.fromkeys(counts["kind"])), list(_GROUPS)
    ax = axes_of(ax, 0.16 + 0.085 * len(kinds))
    for row in counts.itertuples():
        mark, colour = _GROUPS[row.group]
        place = kinds.index(row.kind) + beside(groups.index(row.group), len(groups), 0.75)
        _dots(ax, np.array(row.values, float) / row.threshold, place, colour, mark, np.array(row.edited, bool))
    ax.axvline(1, **_THRESHOLD)
    for place, kind in enumerate(kinds):
        by = counts[counts["kind"] == kind].set_index("group")
        for number, group in enumerate(group for group in groups if group in by.index):
            text = f"{by.loc[group, 'failing']}/{by.loc[group, 'sources']}"
            style = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
            ax.annotate(text, (1, place), (8 + 42 * number, 0), color=_GROUPS[group][1], **style)
    ax.set_yticks(range(len(kinds)), labels=kinds)
    ax.set_ylim(len(kinds) - 0.5, -0.5)
    in_multiples(ax, "median over frames (1 = failure threshold)")
    ax.set_xlabel(f"{ax.get_xlabel()}\nright: sources that fail / sources in which the metric is defined")
    failing = counts[counts["failing"] > 0]
    elsewhere = failing[~failing["group"].str.startswith(WAV2LIP)]["kind"].nunique()
    kinds_failing = failing["kind"].nunique()
    title = f"{kinds_failing} of {len(kinds)} kinds of failure occur, {elsewhere} of them with other models too"
    style = {"linestyle": "none"}
    handles = [Line2D([], [], marker=mark, color=of, label=name, **style) for name, (mark, of) in _GROUPS.items()]
    if not all(map(all, counts["edited"])):
        handles.append(Line2D([], [], marker="o", color=INK, **_HOLLOW, label="no edit seen: never fails", **style))
    legend_above(ax, title, [*handles, *_handles()], ncols=3)
    return ax


@styled
def published_sync(margins: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """SyncNet distance with the own sound against the same sound shuffled: a dot a source and model.

    Parameters
    ----------
    margins : DataFrame
        Of `evaluation.published.sync_margins`. Above the diagonal the expert prefers the own sound.
    """
    ax, known = axes_of(ax, 0.55), margins[margins["margin"].notna()]
    for row in known.itertuples():
        ax.plot(
            row.dubbed, row.shuffled, "o" if row.family == WAV2LIP else "D", color=domain_colour(row.domain), alpha=0.85
        )
    # names of neighbours above and below in turn
    named = known[known["family"] != WAV2LIP].sort_values("dubbed")
    for number, row in enumerate(named.itertuples()):
        place, style = (4, 7 if number % 2 else -16), {"fontsize": 11, "color": INK, "ha": "center"}
        ax.annotate(row.family, (row.dubbed, row.shuffled), place, textcoords="offset points", **style)
    limits = [known[["dubbed", "shuffled"]].min().min() - 0.02, known[["dubbed", "shuffled"]].max().max() + 0.02]
    ax.plot(limits, limits, color=INK, linewidth=1)
    ax.set(xlim=limits, ylim=limits, xlabel="SyncNet distance, own sound", ylabel="SyncNet distance, shuffled sound")
    own = int((known["margin"] > 0).sum())
    title = f"The expert prefers the own sound in {own} of {len(known)} sources"
    dot = {"color": INK, "linestyle": "none"}
    marks = [Line2D([], [], marker="o", label=WAV2LIP, **dot), Line2D([], [], marker="D", label="other model", **dot)]
    legend_above(ax, title, [*domain_handles(known["domain"]), *marks], ncols=5)
    return ax


@styled
def published_boxes(agreement: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Overlap of the detected face with the region that a model changed: a dot an output.

    Parameters
    ----------
    agreement : DataFrame
        Of `evaluation.published.detector_agreement`.
    """
    known = agreement[agreement["iou"].notna()]
    regions = [kind for kind in ("rectangle", "mask") if (known["region"] == kind).any()]
    ax = axes_of(ax, 0.18 + 0.09 * len(regions))
    domains = in_order(known["domain"])
    for row, region in enumerate(regions):
        for number, domain in enumerate(domains):
            own = known[(known["region"] == region) & (known["domain"] == domain)]
            _dots(ax, own["iou"].to_numpy(float), row + beside(number, len(domains), 0.7), domain_colour(domain))
    ax.set_yticks(range(len(regions)), labels=[f"region: {kind}" for kind in regions])
    ax.set(
        xlim=(0, 1), ylim=(max(1, len(regions)) - 0.5, -0.5), xlabel="overlap (IoU) of detected face and changed region"
    )
    title = f"Median overlap {known['iou'].median():.2f} (n = {len(known)} outputs)"
    legend_above(ax, title, [*domain_handles(domains), _handles()[1]], ncols=5)
    return ax


def _dots(
    ax: Axes, values: np.ndarray, place: float, colour: str, mark: str = "o", filled: np.ndarray | None = None
) -> None:
    """A dot each value, hollow where it is not filled, and their median as a line where there are more than two."""
    filled = np.ones(len(values), bool) if filled is None else filled
    for these, style in ((filled, {"alpha": 0.7, "markeredgewidth": 0}), (~filled, _HOLLOW)):
        if these.any():
            ax.plot(values[these], np.full(these.sum(), place), mark, color=colour, markersize=7, **style)
    if len(values) > 2:
        middle = np.median(values)
        ax.plot([middle, middle], [place - 0.13, place + 0.13], color=INK, linewidth=3, solid_capstyle="butt")


def _handles() -> list[Line2D]:
    median = Line2D([], [], color=INK, linewidth=3, marker="|", linestyle="none", markersize=11, label="median")
    return [Line2D([], [], label="threshold", **_THRESHOLD), median]


def _thresholds() -> dict[str, float]:
    return {metric.name: metric.threshold for metric in registry.metrics()}


def _name(metric: str) -> str:
    return registry.label(metric).split(" (")[0]
