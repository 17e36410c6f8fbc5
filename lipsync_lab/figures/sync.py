"""Figures of time: mouth opening and audio, sync scores with their controls, and mouths during holds."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from lipsync_lab.figures.style import (
    GREY,
    INK,
    axes_of,
    beside,
    colour_clip_names,
    counted,
    domain_colour,
    domain_handles,
    domain_label,
    finding,
    frame_seconds,
    in_each,
    in_order,
    legend_above,
    note,
    styled,
    titled,
)
from lipsync_lab.geometry import spans
from lipsync_lab.metrics.cadence import SHORTEST_MOUTH
from lipsync_lab.metrics.registry import label

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

#: Lines of the curves by input: the output broad, the source and the controls thin.
_STYLES = {
    "output": {"linestyle": "-", "linewidth": 3},
    "source": {"linestyle": (0, (4, 2)), "linewidth": 2},
    "shifted_audio": {"linestyle": ":", "linewidth": 1.5},
    "shuffled_audio": {"linestyle": "-.", "linewidth": 1.2},
}
#: Scores of which a lower one is better.
_LOWER = ("syncnet_distance", "syncnet_distance_at_zero", "lse_d", "silence_open", "silence_moving")
#: Labels of the inputs of scores and curves, in the order in which figures show them.
_INPUT_LABELS = {
    "dubbed": "output",
    "output": "output",
    "source": "untouched source",
    "untouched_source": "untouched source",
    "shifted_audio": "control: shifted audio",
    "shuffled_audio": "control: shuffled audio",
    "silent_audio": "control: silent audio",
}


@styled
def offset_curves(
    curves: pandas.DataFrame,
    column: str,
    subject: str = "",
    ax: Axes | None = None,
    scores: pandas.DataFrame | None = None,
) -> Axes:
    """A sync score against the AV offset: the domains in their colours, the source and the controls thin.

    Parameters
    ----------
    curves : DataFrame
        Columns clip, domain, input, offset (frames; positive: the audio is early), and the score's, such as
        `evaluation.tables.openness_curves` and `evaluation.tables.sync_curves` have.
    column : {"correlation", "distance"}
        Of the score. Curves of a domain's clips are averaged.
    subject : str
        What the title names before its finding.
    scores : DataFrame, optional
        Of `evaluation.tables.scores`: the title states no offset of a domain in which they state none of some clip.
    """
    ax = axes_of(ax, 0.42)
    known = curves[curves[column].notna()]
    mean = known.groupby(["domain", "input", "offset"], sort=False)[column].mean().reset_index()
    inputs = [name for name in _STYLES if name in set(mean["input"])]
    for name in reversed(inputs):
        for domain, rows in mean[mean["input"] == name].groupby("domain", sort=False):
            rows = rows.sort_values("offset")
            words, colour = f"{domain_label(domain)} {name}", domain_colour(domain)
            ax.plot(rows["offset"], rows[column], color=colour, label=words, **_STYLES[name])
    ax.axvline(0, color=GREY, linewidth=1)
    ylabel = {"correlation": "correlation of mouth\nopening and loudness", "distance": "distance of lips and audio"}
    ax.set(xlabel="AV offset (frames; positive: the audio is early)", ylabel=ylabel[column])
    lines = [Line2D([], [], color=INK, label=_INPUT_LABELS[name], **_STYLES[name]) for name in inputs]
    clips, best = known.groupby("domain")["clip"].nunique(), {}
    output = mean[mean["input"] == "output"]
    for domain in in_order(output["domain"]):
        rows = output[output["domain"] == domain].set_index("offset")[column]
        at = rows.idxmax() if column == "correlation" else rows.idxmin()
        best[domain] = f"{at:+g} frames (n = {counted(clips[domain], 'clip')})".replace("+0 ", "0 ").replace("-", "−")
    title = finding(subject, _best_offsets(best, _refused(known, column, scores), column))
    legend_above(ax, title, [*domain_handles(mean["domain"]), *lines], ncols=3)
    return ax


def _best_offsets(best: dict[str, str], refused: set[str], column: str) -> str:
    """The offset of each domain, and that none is stated in the refused ones."""
    stated = {domain: words for domain, words in best.items() if domain not in refused}
    weak = {"correlation": "the correlation", "distance": "the confidence"}[column]
    none = f"no offset is stated: {weak} is too low"
    if not stated:
        return none
    kept = [f"in {domain_label(domain)} {none}" for domain in best if domain in refused]
    return "; ".join([f"the output fits best at {in_each(stated)}", *kept])


def _refused(curves: pandas.DataFrame, column: str, scores: pandas.DataFrame | None) -> set[str]:
    """Domains with a clip whose scores state no offset of these curves."""
    if scores is None or curves.empty:
        return set()
    names = {"sync_expert": "av_offset", "lse": "lse_av_offset"}
    name = "openness_offset" if column == "correlation" else names[curves["network"].iloc[0]]
    own = scores[(scores["score"] == name) & (scores["input"] == "dubbed") & scores["clip"].isin(curves["clip"])]
    return set(own.loc[own["value"].isna(), "domain"])


@styled
def scores_with_controls(scores: pandas.DataFrame, score: str, ax: Axes | None = None) -> Axes:
    """One score of every clip: of the output, of the untouched source, and of the output with control audio.

    Parameters
    ----------
    scores : DataFrame
        Of `evaluation.tables.scores`.
    score : str
        Name of the score.
    """
    table = scores[scores["score"] == score]
    inputs = [name for name in _INPUT_LABELS if name in set(table["input"])]
    ax = axes_of(ax, 0.14 + 0.05 * max(2, len(inputs)))
    domains = in_order(table["domain"])
    for row, name in enumerate(inputs):
        of_input = table[table["input"] == name]
        for number, domain in enumerate(domains):
            values = of_input["value"][of_input["domain"] == domain].dropna()
            place = np.full(len(values), row + beside(number, len(domains), 0.22 * len(domains)))
            ax.plot(values, place, "o", color=domain_colour(domain), markersize=9, alpha=0.8)
        if of_input["value"].isna().all():
            reasons = "; ".join(filter(None, dict.fromkeys(of_input["reason"])))
            # a line that is longer than the axis would squeeze it
            words = textwrap.shorten(f"undefined: {reasons}".removesuffix(": "), 90, placeholder=" …")
            ax.annotate(words, (0.01, row - 0.12), xycoords=("axes fraction", "data"), color=GREY, fontsize=11)
    ax.set_yticks(range(len(inputs)), labels=[_INPUT_LABELS[name] for name in inputs])
    ax.set_ylim(len(inputs) - 0.5, -0.5)
    ax.grid(axis="y")
    ax.set(xlabel=f"{label(score)} (one dot per clip)")
    if table["value"].isna().all():
        ax.set_xticks([])
    legend_above(ax, finding("", _against_controls(table, score)), domain_handles(domains))
    return ax


def _against_controls(table: pandas.DataFrame, score: str) -> str:
    """In how many clips the output scores better than each of its controls."""
    wide = table.pivot(index="clip", columns="input", values="value").reindex(columns=list(_INPUT_LABELS))
    wide = wide.dropna(subset="dubbed")
    controls = wide[[name for name in wide if name.endswith("_audio")]]
    controls = controls.max(axis=1) if score not in _LOWER else -controls.min(axis=1)
    own = (wide["dubbed"] * (-1 if score in _LOWER else 1))[controls.notna()]
    name = label(score).partition(" (")[0]
    if own.empty:
        return f"{name}: no clip has both an output and a control"
    better = f"{(own > controls[own.index]).sum()} of {counted(len(own), 'clip')}"
    return f"{name}: the output is better than every control in {better}"


@styled
def mouth_openness(
    frames: pandas.DataFrame,
    level: np.ndarray,
    domain: str = "",
    subject: str = "",
    correlation: float = np.nan,
    ax: Axes | None = None,
) -> Axes:
    """Mouth openness of output and source, with the loudness of the voice behind.

    Parameters
    ----------
    frames : DataFrame
        Of `Evaluation.frames`: columns time (s), mouth_openness, mouth_openness_source (0 to 1).
    level : ndarray, (frames,)
        Of `evaluation.tables.loudness`, in decibels.
    domain : str
        Of the clip.
    subject : str
        What the title names before its finding.
    correlation : float
        The score ``openness_correlation``; NaN where it is undefined.
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
    ax.plot(time, frames["mouth_openness_source"], **source)
    ax.plot(time, frames["mouth_openness"], color=domain_colour(domain), linewidth=2.5, label="output")
    ax.set(
        xlabel="time (s)", ylabel="mouth openness (0 to 1)", ylim=(0, 1.05), xlim=(0, time[-1] if len(time) > 1 else 1)
    )
    handles = [handle for axes in (ax, loud) for handle in axes.get_legend_handles_labels()[0]]
    known = int(frames["mouth_openness"].notna().sum())
    text = "mouth openness and loudness cannot be correlated"
    if correlation == correlation:
        text = f"correlation of mouth openness and loudness {correlation:.2f}"
    legend_above(ax, finding(subject, f"{text} (n = {counted(known, 'frame')})"), handles)
    return ax


@styled
def bilabial_closures(sounds: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Least mouth openness in every M, B and P, in which the lips must close: it should be left of the line.

    Parameters
    ----------
    sounds : DataFrame
        Of `evaluation.tables.bilabial_closures`; the line is at its highest ``threshold``.
    """
    rows = sounds[["clip", "domain", "input"]].drop_duplicates().sort_values(["clip", "input"], ascending=[True, False])
    ax = axes_of(ax, 0.16 + 0.045 * max(2, len(rows)))
    for place, row in enumerate(rows.itertuples()):
        of_row = sounds[(sounds["clip"] == row.clip) & (sounds["input"] == row.input)]
        face = domain_colour(row.domain) if row.input == "output" else "white"
        style = {"color": domain_colour(row.domain), "markerfacecolor": face}
        ax.plot(of_row["least"], np.full(len(of_row), place), "o", **style)
        if of_row["least"].isna().all():
            white = {"facecolor": "white", "edgecolor": "none"}
            ax.annotate("mouth openness is undefined", (0.01, place + 0.1), color=GREY, fontsize=11, bbox=white)
        for at, words in _gathered(of_row.dropna(subset="least").sort_values("least")):
            ax.annotate(words, (at, place), (0, 6), textcoords="offset points", ha="center", fontsize=11)
    threshold = sounds["threshold"].max()
    ax.axvline(threshold, color=INK, linestyle="--", linewidth=1.5)
    above = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "right"}
    ax.annotate("closed", (threshold, 1), (-6, 3), **above)
    ax.set_yticks(range(len(rows)), labels=[f"{row.clip}: {row.input}" for row in rows.itertuples()])
    colour_clip_names(ax, rows["domain"])
    ax.set_ylim(len(rows) - 0.5, -0.7)
    ax.set(xlabel="least mouth openness during the sound (0 to 1)", xlim=(-0.03, 1.03))
    known = sounds.dropna(subset="least")
    closed = (known["least"] < known["threshold"]).groupby(known["input"]).agg(["sum", "size"])
    counts = ", ".join(f"of the {name} in {row['sum']} of {row['size']}" for name, row in closed.iterrows())
    titled(ax, f"Closed mouths during M, B and P: {counts or 'mouth openness is undefined'}", rows=1)
    return ax


def _gathered(sounds: pandas.DataFrame, apart: float = 0.03) -> list[tuple[float, str]]:
    """Places and letters; letters that would overlap are one label, with their number."""
    nearest = (sounds["least"].diff() >= apart).cumsum()
    return [
        (
            float(group["least"].mean()),
            "".join(dict.fromkeys(group["symbol"])) + (f" ×{len(group)}" if len(group) > 1 else ""),
        )
        for _, group in sounds.groupby(nearest)
    ]


@styled
def cadence_timeline(frames: pandas.DataFrame, domain: str = "", subject: str = "", ax: Axes | None = None) -> Axes:
    """The drawings of the source and the mouths of the output over time: the shade changes with each new one.

    Parameters
    ----------
    frames : DataFrame
        Of `Evaluation.frames`: columns time (s), drawing, mouth, mouth_change_during_hold.
    domain : str
        Of the clip.
    subject : str
        What the title names before its finding.
    """
    ax = axes_of(ax, 0.2)
    time = frames["time"].to_numpy(float)
    step = frame_seconds(time)
    for row, (column, colour) in enumerate((("drawing", GREY), ("mouth", domain_colour(domain)))):
        numbers = frames[column].to_numpy(float)
        for first, stop in spans(~np.isnan(numbers), numbers):
            span, shade = (time[first], (stop - first) * step), 0.9 if numbers[first] % 2 else 0.4
            ax.broken_barh([span], (row - 0.4, 0.8), color=colour, alpha=shade, linewidth=0)
    changes = time[frames["mouth_change_during_hold"].to_numpy(float) == 1]
    if len(changes):
        ax.plot(changes + step / 2, np.full(len(changes), 1.55), "v", color=INK, markersize=6, clip_on=False)
    drawings, mouths = frames["drawing"].nunique(), frames["mouth"].nunique()
    names = f"{counted(drawings, 'drawing')}\nin the source", f"{counted(mouths, 'mouth')}\nin the output"
    ax.set_yticks([0, 1], labels=names)
    ax.set(xlabel="time (s)", xlim=(0, time[-1] + step), ylim=(1.7, -0.5))
    held = int(frames["mouth_change_during_hold"].notna().sum())
    text = f"the mouth changes in {len(changes)} of {counted(held, 'held frame')}{' (▾)' if len(changes) else ''}"
    titled(ax, finding(subject, text if held else "no held frame has a generated mouth"))
    return ax


@styled
def mouth_durations(mouths: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Durations of mouths by domain, with the shortest mouth that animators draw.

    Parameters
    ----------
    mouths : DataFrame
        Of `evaluation.tables.mouths`: columns domain, ms.
    """
    ax = axes_of(ax, 0.34)
    domains = in_order(mouths["domain"])
    # clips of 24 and of 25 frames a second fall into the same bins: a frame, two, three ...
    bins = np.arange(20, 421, 40)
    for number, domain in enumerate(domains):
        lengths = mouths["ms"][mouths["domain"] == domain].to_numpy(float)
        share = 100 * np.histogram(lengths.clip(max=bins[-1] - 1), bins)[0] / max(1, len(lengths))
        place = bins[:-1] + 20 + beside(number, len(domains), 32)
        ax.bar(place, share, 32 / len(domains), color=domain_colour(domain), label=domain_label(domain))
    shortest = f"shortest in animation: {SHORTEST_MOUTH:g} ms"
    ax.axvline(SHORTEST_MOUTH, color=INK, linestyle="--", linewidth=1.5, label=shortest)
    ax.set_xticks(bins[:-1] + 20, labels=[*(f"{edge + 20:g}" for edge in bins[:-2]), f"{bins[-2] + 20:g}\nand more"])
    ax.set(xlabel="duration of a mouth (ms)", ylabel="share of the mouths (%)")
    if not len(mouths):
        note(ax, "no mouth is visible from its beginning to its end")
    short = {
        domain: f"{(lengths < SHORTEST_MOUTH).sum()} of {len(lengths)} mouths"
        for domain, lengths in ((domain, mouths["ms"][mouths["domain"] == domain]) for domain in domains)
    }
    legend_above(ax, f"Shorter than {SHORTEST_MOUTH:g} ms: {in_each(short) or 'no mouth'}")
    return ax
