"""Figures of what a detector finds and misses, by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lipsync_lab.figures.style import (
    DARK_HALO,
    GREY,
    HALO,
    INK,
    PROVENANCE_COLOURS,
    axes_of,
    domain_colour,
    domain_handles,
    domain_label,
    legend_above,
    rectangle,
    styled,
)

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from lipsync_lab.detection import Detection

_LINES = ("-", "--", ":", "-.")
_MARKS = ("o", "s", "^", "D")


@styled
def found_strips(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """One strip a clip: where a face was found, in the domain's colour, and where it was missed, dark.

    Parameters
    ----------
    table : DataFrame
        Columns clip, domain, time (s), missed_detection (1, 0, or NaN where the truth says that there is no face), such
        as `evaluation.evaluated.frames` and `evaluation.tables.recorded` have; clips in the order of their rows.
    ax : Axes, optional
    """
    clips = list(dict.fromkeys(table["clip"]))
    ax = axes_of(ax, 0.14 + 0.05 * len(clips))
    missing, end = PROVENANCE_COLOURS["missing"], 0.0
    for row, clip in enumerate(clips):
        some = table[table["clip"] == clip]
        colour, missed = domain_colour(some["domain"].iloc[0]), some["missed_detection"].to_numpy(float)
        time = some["time"].to_numpy(float)
        step = float(np.median(np.diff(time))) if len(time) > 1 else 0.04
        for value, shown in ((0, {"color": colour, "alpha": 0.45}), (1, {"color": missing})):
            ax.broken_barh([(at, step) for at in time[missed == value]], (row - 0.36, 0.72), linewidth=0, **shown)
        known = missed[~np.isnan(missed)]
        share = f"{known.mean():.0%} missed" if len(known) else "no face"
        end = max(end, time[-1] + step)
        ax.annotate(share, (time[-1] + step, row), (6, 0), textcoords="offset points", va="center", color=INK)
    ax.set_yticks(range(len(clips)), labels=clips)
    first = table.drop_duplicates("clip")
    for label, domain in zip(ax.get_yticklabels(), first["domain"], strict=True):
        label.set_color(domain_colour(domain))
    ax.invert_yaxis()
    # room for the shares
    ax.set(xlabel="time (s)", xlim=(0, 1.2 * end))
    handles = [
        Patch(color=missing, label="missed detection"),
        *domain_handles(first["domain"], "found, {}", alpha=0.45),
    ]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=4)
    return ax


@styled
def miss_lengths(runs: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """How long detection stays away: number of stretches by their length.

    Parameters
    ----------
    runs : DataFrame
        Of `evaluation.tables.miss_runs`.
    ax : Axes, optional
    """
    ax = axes_of(ax, 0.3)
    bounds = [1, 2, 3, 5, 9, 17, 33, 65]
    names = ["1", "2", "3–4", "5–8", "9–16", "17–32", "33–64", "65 and more"]
    domains = list(dict.fromkeys(runs["domain"]))
    width = 0.8 / max(1, len(domains))
    for number, domain in enumerate(domains):
        lengths = runs["length"][runs["domain"] == domain].to_numpy(float)
        count = np.histogram(lengths, [*bounds, np.inf])[0]
        place = np.arange(len(names)) + width * (number - (len(domains) - 1) / 2)
        bars = ax.bar(place, count, width, color=domain_colour(domain), label=domain_label(domain))
        ax.bar_label(bars, labels=[str(n) if n else "" for n in count], padding=2, fontsize=12)
    ax.set_xticks(range(len(names)), labels=names)
    ax.set(xlabel="length of a stretch without a face (frames)", ylabel="stretches")
    ax.margins(y=0.15)
    ax.yaxis.get_major_locator().set_params(integer=True)
    if domains:
        legend_above(ax)
    else:
        ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(0, 1), yticks=[])
        ax.text(0.5, 0.5, "nothing was missed", transform=ax.transAxes, ha="center", va="center", color=INK)
    return ax


@styled
def recall(table: pandas.DataFrame, threshold: float | None = None, ax: Axes | None = None) -> Axes:
    """Share of faces found against the score that is asked for: a line a detector and domain.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.examples.recall`.
    threshold : float, optional
        Score that the runs asked for.
    ax : Axes, optional
    """
    ax = axes_of(ax, 0.42)
    detectors = list(dict.fromkeys(table["detector"]))
    for number, detector in enumerate(detectors):
        for domain in dict.fromkeys(table["domain"]):
            some = table[(table["detector"] == detector) & (table["domain"] == domain)]
            style = {"linestyle": _LINES[number % 4], "marker": _MARKS[number % 4], "markersize": 5}
            ax.plot(some["threshold"], 100 * some["recall"], color=domain_colour(domain), **style)
    handles = [
        *domain_handles(table["domain"]),
        *(
            Line2D([], [], color=INK, linestyle=_LINES[number % 4], marker=_MARKS[number % 4], label=detector)
            for number, detector in enumerate(detectors)
        ),
    ]
    if threshold is not None:
        handles.append(ax.axvline(threshold, color=GREY, linewidth=1.5, label=f"threshold of the runs: {threshold:g}"))
    ax.set(xlabel="score asked for (0 to 1)", ylabel="faces found (%)", xlim=(0, 1), ylim=(0, 104))
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=2)
    return ax


@styled
def causes(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Misses by what the truth or the pixels put them down to; causes that explain none are left out.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.tables.causes`.
    ax : Axes, optional
    """
    some = table[table["misses"] > 0]
    names = [name for name in dict.fromkeys(table["cause"]) if name in set(some["cause"])] or ["nothing was missed"]
    domains = list(dict.fromkeys(table["domain"]))
    ax = axes_of(ax, 0.14 + 0.06 * len(names))
    height = 0.8 / len(domains)
    for number, domain in enumerate(domains):
        some = table[table["domain"] == domain].set_index("cause").reindex(names)
        place = np.arange(len(names)) + height * (number - (len(domains) - 1) / 2)
        bars = ax.barh(place, some["misses"].fillna(0), height, color=domain_colour(domain), label=domain_label(domain))
        ax.bar_label(bars, padding=4, fontsize=12)
    ax.set_yticks(range(len(names)), labels=names)
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="missed frames")
    ax.set_xlim(left=0, right=max(1.0, ax.get_xlim()[1]))
    legend_above(ax)
    return ax


@styled
def searched(
    images: Mapping[str, np.ndarray],
    proposals: Mapping[str, Sequence[Sequence[Detection]]],
    threshold: float,
    ax: Axes | None = None,
) -> Axes:
    """The same frames under several detectors, a row each: accepted boxes solid, the best refused one dashed.

    Parameters
    ----------
    images : mapping of str to ndarray, uint8, (H, W, 3)
        RGB, by what is written above them.
    proposals : mapping of str to sequence of list of Detection
        By detector: the candidates of each of these frames.
    threshold : float
        Score that a candidate must exceed.
    ax : Axes, optional
    """
    # the widest picture decides: all of one width, so that columns stay columns
    tallest = max(image.shape[0] / image.shape[1] for image in images.values())
    gap, head = 0.05, 0.16
    total = len(images) * (1 + gap) - gap, len(proposals) * (tallest + head)
    ax = axes_of(ax, min(total[1] / total[0] + 0.03, 1.6))
    for row, (detector, of_frames) in enumerate(proposals.items()):
        for column, ((title, image), found) in enumerate(zip(images.items(), of_frames, strict=True)):
            scale = 1 / image.shape[1]
            x, y = column * (1 + gap), row * (tallest + head) + head
            ax.imshow(image, extent=(x, x + 1, y + image.shape[0] * scale, y))
            accepted = [one for one in found if one.score > threshold]
            for one in reversed(accepted or list(found[:1])):
                colour = PROVENANCE_COLOURS["detected"] if accepted else "white"
                line = rectangle(one.box.scaled(scale, scale).padded(-y, y, -x, x), edgecolor=colour, linewidth=2)
                line.set_linestyle("-" if accepted else (0, (3, 2)))
                line.set_path_effects([*DARK_HALO, patheffects.Normal()])
                ax.add_patch(line)
            best = f"best score {found[0].score:.2f}" if found else "no candidate"
            words = title if not row else ""
            ax.annotate(words, (x, 0), (0, 2), textcoords="offset points", va="bottom", annotation_clip=False)
            said = ax.text(x + 0.03, y + image.shape[0] * scale - 0.04, best, color=INK, fontsize=11)
            said.set_path_effects(HALO)
        ax.text(0, row * (tallest + head) + 0.6 * head, detector, va="center", color=INK, fontsize=12, style="italic")
    ax.set(xlim=(0, total[0]), ylim=(total[1], 0), aspect="equal")
    ax.axis("off")
    return ax
