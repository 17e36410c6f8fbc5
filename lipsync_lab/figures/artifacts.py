"""Figures of artifacts in generated mouths, their frequency, and the differences between domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lipsync_lab.figures.style import (
    DOMAIN_COLOURS,
    GREY,
    HALO,
    INK,
    axes_of,
    domain_colour,
    domain_handles,
    domain_label,
    legend_above,
    styled,
)
from lipsync_lab.metrics import failures

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from lipsync_lab.evaluation.examples import Example

#: Where ticks stand on an axis that counts in bounds of failure: far values are drawn together, for there is no end.
_BOUNDS = (0, 0.25, 0.5, 1, 2, 4, 8, 16)


@styled
def gallery(examples: Sequence[Example], amplify: float = 4, ax: Axes | None = None) -> Axes:
    """The worst frames of one kind of failure: source, output and difference, the domains side by side.

    Parameters
    ----------
    examples : sequence of Example
        Of `evaluation.examples.examples`. Above each stands what the measure says of it, in bold where it is a failure.
    amplify : float
        The absolute difference is shown this many times as strong.
    ax : Axes, optional
    """
    domains = list(dict.fromkeys(one.domain for one in examples))
    domains.sort(key=lambda domain: [*DOMAIN_COLOURS, domain].index(domain))
    columns = [[one for one in examples if one.domain == domain] for domain in domains]
    # alone, a domain is not blown up to the whole width
    wide = 3 * max(2, len(domains)) + 0.3
    deep = max(map(len, columns), default=0)
    ax = axes_of(ax, (1.24 * deep + 0.5) / wide if deep else 0.1)
    for column, some in enumerate(columns):
        for row, one in enumerate(some):
            x, y = 3.3 * column, 1.24 * row
            change = cv2.convertScaleAbs(cv2.absdiff(one.source, one.output), alpha=amplify)
            pictures = one.source, one.output, change
            # of one width, and cut to a square where they are higher: crops nearly are squares
            for number, picture in enumerate(pictures):
                height = min(1.0, picture.shape[0] / picture.shape[1])
                shown = picture[: round(height * picture.shape[1])]
                ax.imshow(shown, extent=(x + number, x + number + 0.97, y + 0.24 + height * 0.97, y + 0.24))
            words = f"{_number(one.value)} (bound {one.kind.bound:g})"
            failing = one.value > one.kind.bound
            style = {"va": "bottom", "fontsize": 11, "annotation_clip": False}
            above = {"textcoords": "offset points", "color": INK, **style}
            ax.annotate(f"{one.clip}, frame {one.frame}", (x, y + 0.24), (0, 3), **above)
            weight = "bold" if failing else "normal"
            ax.annotate(words, (x + 2.97, y + 0.24), (0, 3), **above, ha="right", weight=weight)
        name, left = domain_label(domains[column]), 3.3 * column
        ax.add_patch(Rectangle((left, -0.16), 2.97, 0.2, color=domain_colour(domains[column])))
        ax.text(left + 0.05, -0.06, name, color="white", va="center", fontsize=12, weight="bold")
    ax.set(xlim=(0, wide), ylim=(1.24 * max(deep, 1) + 0.02, -0.18), aspect="equal")
    ax.axis("off")
    if examples:
        ax.set_title(f"{examples[0].kind.name}: source | output | difference × {amplify:g}")
    else:
        ax.text(0.5, 0.5, "nothing was measured above zero", transform=ax.transAxes, ha="center", color=INK)
    return ax


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


@styled
def distributions(table: pandas.DataFrame, part: str = "picture", ax: Axes | None = None) -> Axes:
    """How the measures of one part are spread over the frames, in bounds of failure: the domains one below the other.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.evaluated.frames`.
    part : {"detection", "picture", "time"}
        See `metrics.failures.Kind`. A box holds the middle half of the frames, whiskers nine of ten, the line is the
        median.
    ax : Axes, optional
    """
    kinds = [
        kind
        for kind in failures.KINDS
        if kind.part == part and kind.measure in table and table[kind.measure].notna().any()
    ]
    domains = [domain for domain in DOMAIN_COLOURS if (table["domain"] == domain).any()]
    domains += [domain for domain in dict.fromkeys(table["domain"]) if domain not in domains]
    ax = axes_of(ax, 0.16 + 0.062 * len(kinds))
    height = 0.76 / max(1, len(domains))
    for number, domain in enumerate(domains):
        colour = domain_colour(domain)
        for row, kind in enumerate(kinds):
            values = table[kind.measure][table["domain"] == domain].dropna() / kind.bound
            if not len(values):
                continue
            place = row + height * (number - (len(domains) - 1) / 2)
            low, first, middle, third, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
            ax.plot([low, high], [place, place], color=colour, linewidth=1.5)
            # a line where the box is too narrow to be seen
            style = {"color": colour, "edgecolor": colour, "linewidth": 1}
            ax.barh(place, third - first, 0.8 * height, left=first, **style)
            ax.plot([middle, middle], [place - 0.42 * height, place + 0.42 * height], color=INK, linewidth=2.5)
    ax.axvline(1, color=INK, linestyle="--", linewidth=1.5)
    ax.set_yticks(range(len(kinds)), labels=[kind.name for kind in kinds])
    ax.invert_yaxis()
    _in_bounds(ax, "measure (1 = the bound from which on it is a failure)")
    bound = Line2D([], [], color=INK, linestyle="--", linewidth=1.5, label="bound")
    handles = [*domain_handles(domains), bound]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=4)
    return ax


def _in_bounds(ax: Axes, label: str, both_ways: bool = False) -> None:
    ax.set_xscale("symlog", linthresh=1, linscale=1.2)
    ticks = [*(-tick for tick in reversed(_BOUNDS[1:])), *_BOUNDS] if both_ways else list(_BOUNDS)
    low, high = ax.get_xlim()
    ticks = [tick for tick in ticks if (tick <= max(1, high)) and (not both_ways or tick >= min(-1, low))]
    if both_ways:
        # around nothing there is room for few
        ticks = [tick for tick in ticks if abs(tick) != 0.25 and (abs(tick) != 0.5 or max(-low, high) <= 2)]
    ax.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlim((min(-1.0, low) if both_ways else -0.03), max(1.1, high))
    ax.set_xlabel(label)


@styled
def fault_matrix(responses: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """How far each planted fault moves each measure; the cell of a fault and its own measure is framed.

    Parameters
    ----------
    responses : DataFrame
        Of `metrics.validation.response.responses`: rows are faults, columns measures, the diagonal is 1.
    ax : Axes, optional
    """
    values = responses.to_numpy(float)
    ax = axes_of(ax, 0.12 + 0.062 * len(values))
    image = ax.imshow(values, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    for number in range(min(values.shape)):
        ax.add_patch(Rectangle((number - 0.5, number - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=3))
    ax.set_yticks(range(len(values)), labels=list(responses.index))
    names = [str(name).replace("_", " ") for name in responses.columns]
    ax.set_xticks(range(len(names)), labels=names, rotation=35, ha="right", rotation_mode="anchor")
    ax.set(xlabel="measure", ylabel="planted fault, at full strength")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="movement (1 = by its own fault)", pad=0.01)
    return ax


@styled
def failing(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of the frames that fail, by kind and domain.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.bootstrap.failing`; kinds that were measured nowhere are left out, and a domain in which a kind
        was not measured is marked.
    ax : Axes, optional
    """
    known = table[table["share"].notna()]
    kinds = [kind.name for kind in failures.KINDS if kind.name in set(known["kind"])]
    domains = [domain for domain in DOMAIN_COLOURS if domain in set(table["domain"])]
    domains += [domain for domain in dict.fromkeys(table["domain"]) if domain not in domains]
    ax = axes_of(ax, 0.14 + 0.056 * len(kinds))
    height = 0.8 / max(1, len(domains))
    for number, domain in enumerate(domains):
        some = table[table["domain"] == domain].set_index("kind").reindex(kinds)
        place = np.arange(len(kinds)) + height * (number - (len(domains) - 1) / 2)
        share = 100 * some["share"].to_numpy(float)
        bars = ax.barh(place, np.nan_to_num(share), height, color=domain_colour(domain), label=domain_label(domain))
        said = ["not measured" if np.isnan(one) else f"{one:.0f}" for one in share]
        ax.bar_label(bars, labels=said, padding=4, fontsize=11)
    ax.set_yticks(range(len(kinds)), labels=kinds)
    ax.set(xlabel="share of the frames in which it can be told (%)", xlim=(0, 106), ylim=(len(kinds) - 0.4, -0.6))
    legend_above(ax)
    return ax


@styled
def differences(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Animation minus its counterpart for every kind of failure, in bounds of failure, with its interval.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.bootstrap.differences`, of one or several units; rows without a difference are left out. A point
        has the colour of the side that fails more, and is hollow where the interval contains 0 or there is none.
    ax : Axes, optional
    """
    counterpart = next(iter(table["counterpart"]), "live_action")
    table = table[table["difference"].notna()]
    kinds = [kind.name for kind in failures.KINDS if kind.name in set(table["kind"])]
    units = list(dict.fromkeys(table["by"]))
    ax = axes_of(ax, 0.16 + 0.062 * len(kinds))
    marks = dict(zip(units, ("o", "s", "^"), strict=False))
    for number, by in enumerate(units):
        some = table[table["by"] == by].set_index("kind")
        for row, kind in enumerate(kinds):
            if kind not in some.index:
                continue
            at, middle = row + 0.26 * (number - (len(units) - 1) / 2), some.loc[kind]
            bound = middle["bound"]
            sure = middle["low"] > 0 or middle["high"] < 0
            worse = np.sign(middle["difference"])
            colour = {1: DOMAIN_COLOURS["animation"], -1: DOMAIN_COLOURS[counterpart]}.get(worse, GREY)
            if not np.isnan(middle["low"]):
                ax.plot([middle["low"] / bound, middle["high"] / bound], [at, at], color=colour, linewidth=2.5)
            face = colour if sure else "white"
            ax.plot(middle["difference"] / bound, at, marks[by], color=colour, markerfacecolor=face, markersize=8)
    ax.axvline(0, color=INK, linewidth=1.2)
    ax.set_yticks(range(len(kinds)), labels=kinds)
    ax.invert_yaxis()
    _in_bounds(ax, f"animation minus {domain_label(counterpart)} (1 = one bound of failure)", both_ways=True)
    handles = [
        Line2D([], [], color=INK, marker=mark, linestyle="none", markersize=8, label=f"by {by}")
        for by, mark in marks.items()
    ]
    hollow = {"marker": "o", "markerfacecolor": "white", "linestyle": "none", "markersize": 8}
    handles.append(Line2D([], [], color=INK, label="hollow: no interval, or it contains 0", **hollow))
    ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.3, ncols=4, columnspacing=1)
    ax.set_ylim(len(kinds) - 0.1, -0.6)
    for x, words, domain, side in (
        (0, f"← {domain_label(counterpart)} is worse", counterpart, "left"),
        (1, "animation is worse →", "animation", "right"),
    ):
        said = ax.text(x, -0.01, words, transform=ax.transAxes, ha=side, va="bottom", color=domain_colour(domain))
        said.set_path_effects(HALO)
        said.set_y(0.01)
    return ax


@styled
def mended(effects: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Each kind of failure as published (hollow) and with what is meant against it (filled), in bounds of failure.

    Parameters
    ----------
    effects : DataFrame
        Of `evaluation.ablation.effects`; rows where nothing is known are left out.
    ax : Axes, optional
    """
    known = effects[effects["before"].notna()]
    places = list(dict.fromkeys(zip(known["mend"], known["kind"], strict=True)))
    domains = list(dict.fromkeys(known["domain"]))
    ax = axes_of(ax, 0.16 + 0.07 * max(2, len(places)))
    for row, (mend, kind) in enumerate(places):
        some = known[(known["mend"] == mend) & (known["kind"] == kind)]
        for number, one in enumerate(some.itertuples()):
            at, colour = row + 0.28 * (number - (len(some) - 1) / 2), domain_colour(one.domain)
            before, after = one.before / one.bound, one.after / one.bound
            ax.annotate("", (after, at), (before, at), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})
            ax.plot(before, at, "o", color=colour, markerfacecolor="white", markersize=8)
            ax.plot(after, at, "o", color=colour, markersize=8)
    ax.set_yticks(range(len(places)), labels=[f"{kind}\n{mend}" for mend, kind in places])
    ax.axvline(1, color=INK, linestyle="--", linewidth=1.2)
    _in_bounds(ax, "measure (1 = bound of failure): hollow as published, filled with the change")
    ax.set_ylim(len(places) - 0.4, -0.6)
    ax.legend(handles=domain_handles(domains), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=2)
    return ax
