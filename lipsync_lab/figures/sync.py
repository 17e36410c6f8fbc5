"""Pictures of time: the mouth against the sound, and mouths against held drawings."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from lipsync_lab.figures.style import (
    GREY,
    INK,
    axes_of,
    counted,
    domain_colour,
    domain_handles,
    domain_label,
    legend_above,
    styled,
)
from lipsync_lab.geometry import spans
from lipsync_lab.metrics.cadence import SHORTEST_MOUTH

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

#: How each input of a curve is drawn: what is asked about broad, what stands beside it thin.
_STYLES = {
    "output": {"linestyle": "-", "linewidth": 3},
    "source": {"linestyle": (0, (4, 2)), "linewidth": 2},
    "shifted_audio": {"linestyle": ":", "linewidth": 1.5},
    "shuffled_audio": {"linestyle": "-.", "linewidth": 1.2},
}
_INPUT_NAMES = {
    "output": "output, own sound",
    "source": "untouched source",
    "untouched_source": "untouched source",
    "shifted_audio": "output, shifted sound",
    "shuffled_audio": "output, shuffled sound",
    "dubbed": "output, own sound",
    "silent_audio": "output, silence",
}


@styled
def offset_curves(curves: pandas.DataFrame, column: str, ax: Axes | None = None) -> Axes:
    """A score against the offset of sound and picture: the domains in their colours, what stands beside them thin.

    Parameters
    ----------
    curves : DataFrame
        Columns clip, domain, input, offset (frames; positive: the sound comes too early), and the score's, such as
        `evaluation.tables.opening_curves` and `evaluation.tables.sync_curves` have.
    column : {"correlation", "distance"}
        Of the score. Curves of a domain's clips are averaged.
    ax : Axes, optional
    """
    ax = axes_of(ax, 0.42)
    known = curves[curves[column].notna()]
    mean = known.groupby(["domain", "input", "offset"], sort=False)[column].mean().reset_index()
    inputs = [name for name in _STYLES if name in set(mean["input"])]
    for name in reversed(inputs):
        for domain in dict.fromkeys(mean["domain"]):
            some = mean[(mean["domain"] == domain) & (mean["input"] == name)].sort_values("offset")
            ax.plot(
                some["offset"],
                some[column],
                color=domain_colour(domain),
                label=f"{domain_label(domain)} {name}",
                **_STYLES[name],
            )
    ax.axvline(0, color=GREY, linewidth=1)
    label = {"correlation": "correlation of opening and loudness", "distance": "distance of lips and sound"}[column]
    ax.set(xlabel="offset (frames; positive: the sound comes too early)", ylabel=label)
    lines = [Line2D([], [], color=INK, label=_INPUT_NAMES[name], **_STYLES[name]) for name in inputs]
    handles = [*domain_handles(mean["domain"]), *lines]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=3, handlelength=2.6)
    return ax


@styled
def beside_nulls(scores: pandas.DataFrame, score: str, ax: Axes | None = None) -> Axes:
    """One score of every clip, beside the same with sounds that have nothing to do with it, and of the source.

    Parameters
    ----------
    scores : DataFrame
        Of `evaluation.tables.scores`.
    score : str
        Name of the score.
    ax : Axes, optional
    """
    some = scores[scores["score"] == score]
    inputs = [
        name
        for name in ("dubbed", "untouched_source", "shifted_audio", "shuffled_audio", "silent_audio")
        if name in set(some["input"])
    ]
    ax = axes_of(ax, 0.14 + 0.05 * max(2, len(inputs)))
    domains = list(dict.fromkeys(some["domain"]))
    for row, name in enumerate(inputs):
        for number, domain in enumerate(domains):
            values = some[(some["input"] == name) & (some["domain"] == domain)]["value"].dropna()
            place = np.full(len(values), row + 0.22 * (number - (len(domains) - 1) / 2))
            ax.plot(values, place, "o", color=domain_colour(domain), markersize=9, alpha=0.8)
        if some["value"][some["input"] == name].isna().all():
            reasons = [one for one in dict.fromkeys(some["reason"][some["input"] == name]) if one]
            words = f"undefined: {'; '.join(reasons)}" if reasons else "undefined"
            # a line that is longer than the axis would squeeze it
            words = textwrap.shorten(words, 90, placeholder=" …")
            ax.annotate(words, (0.01, row - 0.12), xycoords=("axes fraction", "data"), color=GREY, fontsize=11)
    ax.set_yticks(range(len(inputs)), labels=[_INPUT_NAMES.get(name, "untouched source") for name in inputs])
    ax.set_ylim(len(inputs) - 0.5, -0.5)
    ax.grid(axis="y")
    ax.set(xlabel=f"{score.replace('_', ' ')} (one dot a clip)")
    if some["value"].isna().all():
        ax.set_xticks([])
    ax.legend(handles=domain_handles(domains), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=2)
    return ax


@styled
def openness(frames: pandas.DataFrame, level: np.ndarray, domain: str = "", ax: Axes | None = None) -> Axes:
    """How far the mouth is open, of output and source, over the loudness of the voice.

    Parameters
    ----------
    frames : DataFrame
        Of `Evaluation.frames`: columns time (s), opened, opened_source (0 to 1).
    level : ndarray, (frames,)
        Of `evaluation.tables.loudness`, in decibels.
    domain : str
        Of the clip.
    ax : Axes, optional
    """
    ax = axes_of(ax, 0.3)
    time = frames["time"].to_numpy(float)
    loud = ax.twinx()
    loud.fill_between(time, np.maximum(level, -60), -60, color="#CCCCCC", linewidth=0, step="mid", label="loudness")
    loud.set(ylabel="loudness (dB)", ylim=(-60, 0))
    loud.spines["right"].set_visible(True)
    ax.set_zorder(loud.get_zorder() + 1)
    ax.patch.set_visible(False)
    source = {"color": INK, "linewidth": 1.5, "linestyle": (0, (4, 2)), "label": "source"}
    ax.plot(time, frames["opened_source"], **source)
    ax.plot(time, frames["opened"], color=domain_colour(domain), linewidth=2.5, label="output")
    ax.set(xlabel="time (s)", ylabel="mouth open (0 to 1)", ylim=(0, 1.05), xlim=(0, time[-1] if len(time) > 1 else 1))
    handles = [handle for one in (ax, loud) for handle in one.get_legend_handles_labels()[0]]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=3)
    return ax


@styled
def closures(sounds: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """How far the mouth is open at its most closed in every M, B and P: it should be left of the line.

    Parameters
    ----------
    sounds : DataFrame
        Of `evaluation.tables.closures`; the line is at its ``bound``, the highest where clips were read in several
        ways.
    ax : Axes, optional
    """
    rows = sounds[["clip", "domain", "input"]].drop_duplicates().sort_values(["clip", "input"], ascending=[True, False])
    ax = axes_of(ax, 0.16 + 0.045 * max(2, len(rows)))
    for place, row in enumerate(rows.itertuples()):
        some = sounds[(sounds["clip"] == row.clip) & (sounds["input"] == row.input)]
        face = domain_colour(row.domain) if row.input == "output" else "white"
        ax.plot(some["least"], np.full(len(some), place), "o", color=domain_colour(row.domain), markerfacecolor=face)
        if some["least"].isna().all():
            white = {"facecolor": "white", "edgecolor": "none"}
            ax.annotate("the mouth is not known there", (0.01, place + 0.1), color=GREY, fontsize=11, bbox=white)
        for at, words in _gathered(some.dropna(subset="least").sort_values("least")):
            ax.annotate(words, (at, place), (0, 6), textcoords="offset points", ha="center", fontsize=11)
    bound = sounds["bound"].max()
    ax.axvline(bound, color=INK, linestyle="--", linewidth=1.5)
    ax.annotate(
        "closed", (bound, 1), (-6, 3), xycoords=("data", "axes fraction"), textcoords="offset points", ha="right"
    )
    ax.set_yticks(range(len(rows)), labels=[f"{row.clip}: {row.input}" for row in rows.itertuples()])
    for label, domain in zip(ax.get_yticklabels(), rows["domain"], strict=True):
        label.set_color(domain_colour(domain))
    ax.set_ylim(len(rows) - 0.5, -0.7)
    ax.set(xlabel="mouth open at its most closed (0 to 1)", xlim=(-0.03, 1.03))
    return ax


def _gathered(sounds: pandas.DataFrame, apart: float = 0.03) -> list[tuple[float, str]]:
    """Places and letters; letters that would be written over each other are written once, with their number."""
    groups: list[list] = []
    for one in sounds.itertuples():
        if groups and one.least - groups[-1][0].least < apart:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [
        (
            float(np.mean([one.least for one in group])),
            "".join(dict.fromkeys(one.symbol for one in group)) + (f" ×{len(group)}" if len(group) > 1 else ""),
        )
        for group in groups
    ]


@styled
def cadence_strip(frames: pandas.DataFrame, domain: str = "", ax: Axes | None = None) -> Axes:
    """The drawings that the source shows, and the mouths that the output shows over them: a new shade is a new one.

    Parameters
    ----------
    frames : DataFrame
        Of `Evaluation.frames`: columns time (s), drawing, mouth, mouth_change_during_hold.
    domain : str
        Of the clip.
    ax : Axes, optional
    """
    ax = axes_of(ax, 0.2)
    time = frames["time"].to_numpy(float)
    step = float(np.median(np.diff(time))) if len(time) > 1 else 0.04
    for row, (column, colour) in enumerate((("drawing", GREY), ("mouth", domain_colour(domain)))):
        numbers = frames[column].to_numpy(float)
        for first, stop in spans(~np.isnan(numbers), numbers):
            span = (time[first], (stop - first) * step)
            ax.broken_barh(
                [span], (row - 0.4, 0.8), color=colour, alpha=0.9 if numbers[first] % 2 else 0.4, linewidth=0
            )
    extra = time[frames["mouth_change_during_hold"].to_numpy(float) == 1]
    if len(extra):
        ax.plot(extra + step / 2, np.full(len(extra), 1.55), "v", color=INK, markersize=6, clip_on=False)
    drawings, mouths = frames["drawing"].nunique(), frames["mouth"].nunique()
    names = f"{counted(drawings, 'drawing')}\nin the source", f"{counted(mouths, 'mouth')}\nin the output"
    ax.set_yticks([0, 1], labels=names)
    ax.set(xlabel="time (s)", xlim=(0, time[-1] + step), ylim=(1.7, -0.5))
    ax.set_title(f"▾ {counted(len(extra), 'frame')} with another mouth over a held drawing" if len(extra) else "")
    return ax


@styled
def mouth_durations(mouths: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """How long mouths stand, by domain, with the shortest that an animator draws.

    Parameters
    ----------
    mouths : DataFrame
        Of `evaluation.tables.mouths`: columns domain, ms.
    ax : Axes, optional
    """
    ax = axes_of(ax, 0.34)
    domains = list(dict.fromkeys(mouths["domain"]))
    # clips of 24 and of 25 frames a second fall into the same bins: a frame, two, three ...
    bins = np.arange(20, 421, 40)
    width = 32 / max(1, len(domains))
    for number, domain in enumerate(domains):
        lengths = mouths["ms"][mouths["domain"] == domain].to_numpy(float)
        count = np.histogram(lengths.clip(max=bins[-1] - 1), bins)[0]
        place = bins[:-1] + 20 + width * (number - (len(domains) - 1) / 2)
        share = 100 * count / max(1, len(lengths))
        ax.bar(place, share, width, color=domain_colour(domain), label=f"{domain_label(domain)}, {len(lengths)} mouths")
    ax.axvline(
        SHORTEST_MOUTH, color=INK, linestyle="--", linewidth=1.5, label=f"shortest drawn mouth, {SHORTEST_MOUTH:g} ms"
    )
    ax.set_xticks(bins[:-1] + 20, labels=[*(f"{edge + 20:g}" for edge in bins[:-2]), f"{bins[-2] + 20:g}\nand more"])
    ax.set(xlabel="a mouth stands for (ms)", ylabel="share of the mouths (%)")
    if not len(mouths):
        said = "no mouth was seen from its beginning to its end"
        ax.text(0.5, 0.5, said, transform=ax.transAxes, ha="center", color=INK)
    legend_above(ax)
    return ax
