"""Figures of artifacts in generated mouths, and of their frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lipsync_lab.figures.style import (
    INK,
    axes_of,
    beside,
    domain_bars,
    domain_colour,
    domain_handles,
    domain_label,
    in_each,
    in_multiples,
    in_order,
    legend_above,
    note,
    styled,
    titled,
)
from lipsync_lab.media.difference import AMPLIFY, difference
from lipsync_lab.metrics import failures
from lipsync_lab.metrics.registry import label

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from lipsync_lab.evaluation.examples import Example


@styled
def worst_frames(examples: Sequence[Example], amplify: float = AMPLIFY, ax: Axes | None = None) -> Axes:
    """The worst frames of one kind of failure: source, output and difference (black: none), the domains side by side.

    Parameters
    ----------
    examples : sequence of Example
        Of `evaluation.examples.examples`. Above each is the value of the metric, in bold where the frame fails. The
        title counts the frames that fail.
    amplify : float
        Factor of the absolute difference.
    """
    domains = in_order(example.domain for example in examples)
    columns = [[example for example in examples if example.domain == domain] for domain in domains]
    # alone, a domain does not take the whole width
    wide = 3 * max(2, len(domains)) + 0.3
    deep = max(map(len, columns), default=0)
    ax = axes_of(ax, (1.24 * deep + 0.5) / wide + 0.07 if deep else 0.1)
    for column, (domain, of_domain) in enumerate(zip(domains, columns, strict=True)):
        x = 3.3 * column
        for row, example in enumerate(of_domain):
            y = 1.24 * row
            change = difference(example.source, example.output, amplify)
            # of one width, and cut to a square where they are higher: crops are nearly square
            for number, picture in enumerate((example.source, example.output, change)):
                height = min(1.0, picture.shape[0] / picture.shape[1])
                shown = picture[: round(height * picture.shape[1])]
                ax.imshow(shown, extent=(x + number, x + number + 0.97, y + 0.24 + height * 0.97, y + 0.24))
            digits = 2 if example.value < 10 else 1
            value = f"{example.value:.{digits}f} (threshold {example.kind.threshold:g})"
            weight = "bold" if example.value > example.kind.threshold else "normal"
            style = {"va": "bottom", "fontsize": 11, "annotation_clip": False, "color": INK}
            above = {"xytext": (0, 3), "textcoords": "offset points", **style}
            ax.annotate(f"{example.clip}, frame {example.frame}", (x, y + 0.24), **above)
            ax.annotate(value, (x + 2.97, y + 0.24), **above, ha="right", weight=weight)
        ax.add_patch(Rectangle((x, -0.16), 2.97, 0.2, color=domain_colour(domain)))
        ax.text(x + 0.05, -0.06, domain_label(domain), color="white", va="center", fontsize=12, weight="bold")
    ax.set(xlim=(0, wide), ylim=(1.24 * max(deep, 1) + 0.02, -0.18), aspect="equal")
    ax.axis("off")
    if examples:
        worst = [rows[0] for rows in columns]
        counts = {each.domain: f"{each.failing} of {each.frames} frames" for each in worst}
        titled(ax, f"{examples[0].kind.failure} in {in_each(counts)}")
    else:
        note(ax, "no frame has a value above zero")
    return ax


@styled
def metric_distributions(table: pandas.DataFrame, part: str = "picture", ax: Axes | None = None) -> Axes:
    """Distribution over the frames of the metrics of one stage, in multiples of their thresholds, by domain.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.evaluated.frames`.
    part : {"detection", "picture", "time"}
        See `metrics.registry.Metric`. A box contains the middle half of the frames, its whiskers 90 %, its line is the
        median.
    """
    kinds = [
        kind for kind in failures.KINDS if kind.stage == part and kind.name in table and table[kind.name].notna().any()
    ]
    domains = in_order(table["domain"])
    ax = axes_of(ax, 0.16 + 0.062 * len(kinds))
    height = 0.76 / max(1, len(domains))
    for number, domain in enumerate(domains):
        colour = domain_colour(domain)
        for row, kind in enumerate(kinds):
            values = table[kind.name][table["domain"] == domain].dropna() / kind.threshold
            if not len(values):
                continue
            place = row + beside(number, len(domains), 0.76)
            low, first, middle, third, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
            ax.plot([low, high], [place, place], color=colour, linewidth=1.5)
            # a line where the box is too narrow to be visible
            style = {"color": colour, "edgecolor": colour, "linewidth": 1}
            ax.barh(place, third - first, 0.8 * height, left=first, **style)
            ax.plot([middle, middle], [place - 0.42 * height, place + 0.42 * height], color=INK, linewidth=2.5)
    ax.axvline(1, color=INK, linestyle="--", linewidth=1.5)
    ax.set_yticks(range(len(kinds)), labels=[kind.failure for kind in kinds])
    ax.invert_yaxis()
    in_multiples(ax, "value of the metric (1 = its threshold: a frame beyond it fails)")
    threshold = Line2D([], [], color=INK, linestyle="--", linewidth=1.5, label="threshold")
    fails = {}
    for domain in domains:
        middle = [table[kind.name][table["domain"] == domain].median() / kind.threshold for kind in kinds]
        count, frames = sum(value > 1 for value in middle), (table["domain"] == domain).sum()
        fails[domain] = f"{count} of {len(kinds)} metrics (n = {frames} frames)"
    title = f"The median frame is beyond the threshold: {in_each(fails)}"
    legend_above(ax, title, [*domain_handles(domains), threshold])
    return ax


@styled
def response_matrix(responses: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Response of each metric to each injected artifact; the metric named for the artifact is framed.

    Parameters
    ----------
    responses : DataFrame
        Of `metrics.validation.response.responses`: rows are artifacts, columns metrics, the diagonal is 1.
    """
    values = responses.to_numpy(float)
    ax = axes_of(ax, 0.12 + 0.062 * len(values))
    image = ax.imshow(values, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    for number in range(min(values.shape)):
        ax.add_patch(Rectangle((number - 0.5, number - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=3))
    ax.set_yticks(range(len(values)), labels=[label(str(name)) for name in responses.index])
    names = [label(str(name)) for name in responses.columns]
    ax.set_xticks(range(len(names)), labels=names, rotation=35, ha="right", rotation_mode="anchor")
    ax.set(xlabel="metric", ylabel="injected artifact, at full strength")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="response (1 = to its own artifact)", pad=0.01)
    rest = np.where(np.eye(*values.shape, dtype=bool), -np.inf, values)
    leads = (np.diag(values) > rest.max(axis=0)) & (np.diag(values) > rest.max(axis=1))
    titled(ax, f"{leads.sum()} of {len(leads)} injected artifacts and metrics respond to each other most")
    return ax


@styled
def failure_rates(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of the frames that fail, by kind and domain.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.tables.failing`; kinds that were measured nowhere are left out, and a domain in which a kind
        was not measured is marked.
    """
    known = table[table["share"].notna()]
    kinds = [kind.failure for kind in failures.KINDS if kind.failure in set(known["kind"])]
    domains = in_order(table["domain"])
    ax = axes_of(ax, 0.14 + 0.056 * len(kinds))
    by_kind = table.set_index(["domain", "kind"])["share"]
    shares = {domain: 100 * by_kind[domain].reindex(kinds).to_numpy(float) for domain in domains}
    bars_of = domain_bars(ax, {domain: np.nan_to_num(share) for domain, share in shares.items()})
    for bars, share in zip(bars_of, shares.values(), strict=True):
        labels = ["not measured" if np.isnan(value) else f"{value:.0f}" for value in share]
        ax.bar_label(bars, labels=labels, padding=4, fontsize=11)
    ax.set_yticks(range(len(kinds)), labels=kinds)
    xlabel = "failing frames (% of the frames in which the metric is defined)"
    ax.set(xlabel=xlabel, xlim=(0, 106), ylim=(len(kinds) - 0.4, -0.6))
    most = {}
    for domain, rows in known.groupby("domain", sort=False):
        row = rows.loc[rows["share"].idxmax()]
        most[domain] = f"{row['kind']} ({row['frames']} of {row['covered']} frames)" if row["frames"] else "none"
    most = {domain: most[domain] for domain in domains if domain in most}
    kinds_of = {domain: text.partition(" (")[0] for domain, text in most.items()}
    if len(most) > 1 and len(set(kinds_of.values())) == 1:
        counts = in_each({domain: text.partition(" (")[2].rstrip(")") for domain, text in most.items()})
        kind = next(iter(kinds_of.values()))
        where = "both" if len(most) == 2 else "all domains"
        legend_above(ax, f"Most frequent failure: {kind} in {where}" + (f" ({counts})" if kind != "none" else ""))
    else:
        legend_above(ax, f"Most frequent failure: {in_each(most)}")
    return ax
