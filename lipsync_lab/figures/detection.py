"""Figures of detections and missed detections, by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lipsync_lab.figures.style import (
    GREY,
    HALO,
    INK,
    PROVENANCE_COLOURS,
    axes_of,
    colour_clip_names,
    counted,
    domain_bars,
    domain_colour,
    domain_handles,
    domain_label,
    finding,
    frame_seconds,
    in_order,
    legend_above,
    note,
    outline,
    styled,
    titled,
)
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from lipsync_lab.detection import Detection

_LINES = ("-", "--", ":", "-.")
_MARKS = ("o", "s", "^", "D")
#: Lengths of a dropout, in frames, from which each class of `dropout_lengths` begins.
_LENGTHS = (1, 2, 3, 5, 9, 17, 33, 65)


@styled
def detection_timeline(table: pandas.DataFrame, subject: str = "", ax: Axes | None = None) -> Axes:
    """One strip a clip: detected frames in the domain's colour, missed detections dark, frames without a face empty.

    Parameters
    ----------
    table : DataFrame
        Columns clip, domain, time (s), missed_detection (1, 0, or NaN where the ground truth has no face), such as
        `evaluation.evaluated.frames` and `evaluation.tables.recorded` have; clips in the order of their rows.
    subject : str
        What the title names before its finding.
    """
    clips = list(dict.fromkeys(table["clip"]))
    ax = axes_of(ax, 0.14 + 0.05 * len(clips))
    missing, end = PROVENANCE_COLOURS["missing"], 0.0
    for row, clip in enumerate(clips):
        frames = table[table["clip"] == clip]
        colour, missed = domain_colour(frames["domain"].iloc[0]), frames["missed_detection"].to_numpy(float)
        time = frames["time"].to_numpy(float)
        step = frame_seconds(time)
        for value, style in ((0, {"color": colour, "alpha": 0.45}), (1, {"color": missing})):
            ax.broken_barh([(at, step) for at in time[missed == value]], (row - 0.36, 0.72), linewidth=0, **style)
        known = missed[~np.isnan(missed)]
        share = f"{known.mean():.0%} missed" if len(known) else "no face"
        end = max(end, time[-1] + step)
        ax.annotate(share, (time[-1] + step, row), (6, 0), textcoords="offset points", va="center", color=INK)
    domains = table.drop_duplicates("clip")["domain"]
    ax.set_yticks(range(len(clips)), labels=clips)
    colour_clip_names(ax, domains)
    # room for the shares
    ax.set(xlabel="time (s)", xlim=(0, 1.2 * end))
    # a clip without a face has no bar, and keeps its row
    ax.set_ylim(len(clips) - 0.5, -0.5)
    known = table["missed_detection"].dropna()
    missed = [Patch(color=missing, label="black: no detection")] if known.sum() else []
    text = f"{known.sum():.0f} of {len(known)} frames with a face are missed ({counted(len(clips), 'clip')})"
    legend_above(ax, finding(subject, text), [*missed, *domain_handles(domains, "detected, {}", alpha=0.45)])
    return ax


@styled
def dropout_lengths(dropouts: pandas.DataFrame, subject: str = "", ax: Axes | None = None) -> Axes:
    """Number of dropouts by their length.

    Parameters
    ----------
    dropouts : DataFrame
        Of `evaluation.tables.dropouts`.
    subject : str
        What the title names before its finding.
    """
    ax = axes_of(ax, 0.3)
    last = [stop - 1 for stop in _LENGTHS[1:]]
    names = [f"{first}" if first == stop else f"{first}–{stop}" for first, stop in zip(_LENGTHS, last, strict=False)]
    names.append(f"{_LENGTHS[-1]} and more")
    domains = in_order(dropouts["domain"])
    lengths = {domain: dropouts["length"][dropouts["domain"] == domain].to_numpy(float) for domain in domains}
    counts = {domain: np.histogram(values, [*_LENGTHS, np.inf])[0] for domain, values in lengths.items()}
    for bars in domain_bars(ax, counts, upright=True):
        labels = [f"{bar.get_height():g}" if bar.get_height() else "" for bar in bars]
        ax.bar_label(bars, labels=labels, padding=2, fontsize=12)
    ax.set_xticks(range(len(names)), labels=names)
    ax.set(xlabel="length of a dropout (frames; classes of doubling width)", ylabel="number of dropouts")
    ax.margins(y=0.15)
    ax.yaxis.get_major_locator().set_params(integer=True)
    if domains:
        longest = Settings().max_dropout
        over = f"{(dropouts['length'] > longest).sum()} of {counted(len(dropouts), 'dropout')}"
        most = f"{dropouts['length'].max():g}"
        text = f"{over} are longer than {longest} frames, too long to be filled; the longest: {most}"
        legend_above(ax, finding(subject, text))
    else:
        ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(0, 1), yticks=[])
        note(ax, "no missed detections")
    return ax


@styled
def recall_curves(
    table: pandas.DataFrame, threshold: float | None = None, subject: str = "", ax: Axes | None = None
) -> Axes:
    """Recall against the score threshold: a line for each detector and domain.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.examples.recall`.
    threshold : float, optional
        Score threshold of the runs.
    subject : str
        What the title names before its finding.
    """
    ax = axes_of(ax, 0.42)
    detectors = list(dict.fromkeys(table["detector"]))
    handles = domain_handles(table["domain"])
    for number, detector in enumerate(detectors):
        style = {"linestyle": _LINES[number % 4], "marker": _MARKS[number % 4]}
        handles.append(Line2D([], [], color=INK, label=detector, **style))
        for domain, rows in table[table["detector"] == detector].groupby("domain", sort=False):
            colour = domain_colour(domain)
            ax.plot(rows["threshold"], 100 * rows["recall"], color=colour, markersize=5, **style)
    if threshold is not None:
        handles.append(ax.axvline(threshold, color=GREY, linewidth=1.5, label=f"threshold of the runs: {threshold:g}"))
    ax.set(xlabel="score threshold (0 to 1)", ylabel="recall (%)", xlim=(0, 1), ylim=(0, 104))
    legend_above(ax, finding(subject, _recall_at(table, threshold)), handles, ncols=4)
    return ax


def _recall_at(table: pandas.DataFrame, threshold: float | None) -> str:
    """The recall of each detector and domain at the threshold, or at the lowest where none is given."""
    scores = table["threshold"].to_numpy(float)
    at = scores[np.abs(scores - (scores.min() if threshold is None else threshold)).argmin()]
    rows, unit = table[scores == at], "clips" if "clips" in table else "frames"
    shares = {
        domain: ", ".join(f"{row.detector} {row.recall:.0%}" for row in of_domain.itertuples())
        + f" (n = {of_domain[unit].max():g} {unit})"
        for domain, of_domain in rows.groupby("domain", sort=False)
    }
    return f"recall at score {at:g}: {'; '.join(f'{domain_label(domain)} {text}' for domain, text in shares.items())}"


@styled
def missed_detection_causes(table: pandas.DataFrame, subject: str = "", ax: Axes | None = None) -> Axes:
    """Missed detections by the cause that the ground truth or the pixels give; causes of none are left out.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.tables.missed_detection_causes`.
    subject : str
        What the title names before its finding.
    """
    known = set(table["cause"][table["misses"] > 0])
    names = [name for name in dict.fromkeys(table["cause"]) if name in known] or ["no missed detections"]
    domains = in_order(table["domain"])
    ax = axes_of(ax, 0.14 + 0.06 * len(names))
    misses = table.set_index(["domain", "cause"])["misses"]
    for bars in domain_bars(ax, {domain: misses[domain].reindex(names).fillna(0) for domain in domains}):
        ax.bar_label(bars, padding=4, fontsize=12)
    ax.set_yticks(range(len(names)), labels=names)
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="missed detections (frames)")
    ax.set_xlim(left=0, right=max(1.0, ax.get_xlim()[1]))
    total, by_cause = int(table["misses"].sum()), table.groupby("cause")["misses"].sum()
    text = f"most frequent cause: {by_cause.idxmax()}, {by_cause.max():.0f} of {total} missed frames"
    legend_above(ax, finding(subject, text if total else "no frame is missed"))
    return ax


@styled
def detector_comparison(
    images: Mapping[str, np.ndarray],
    candidates: Mapping[str, Sequence[Sequence[Detection]]],
    threshold: float,
    ax: Axes | None = None,
) -> Axes:
    """The same frames for several detectors, a row each: accepted boxes solid, the best rejected one dashed.

    Parameters
    ----------
    images : mapping of str to ndarray, uint8, (H, W, 3)
        RGB, by their titles.
    candidates : mapping of str to sequence of list of Detection
        By detector: the candidates of each of these frames, best first.
    threshold : float
        Score that a candidate must exceed.
    """
    # all pictures have one width: the columns stay aligned
    tallest = max(image.shape[0] / image.shape[1] for image in images.values())
    gap, head = 0.05, 0.16
    total = len(images) * (1 + gap) - gap, len(candidates) * (tallest + head)
    ax = axes_of(ax, min(total[1] / total[0] + 0.03, 1.6))
    for row, (detector, of_frames) in enumerate(candidates.items()):
        for column, ((title, image), detections) in enumerate(zip(images.items(), of_frames, strict=True)):
            scale = 1 / image.shape[1]
            x, y = column * (1 + gap), row * (tallest + head) + head
            ax.imshow(image, extent=(x, x + 1, y + image.shape[0] * scale, y))
            accepted = [detection for detection in detections if detection.score > threshold]
            for detection in reversed(accepted or list(detections[:1])):
                colour = PROVENANCE_COLOURS["detected"] if accepted else "white"
                box, line = detection.box.scaled(scale, scale), "-" if accepted else (0, (3, 2))
                outline(ax, box.padded(-y, y, -x, x), edgecolor=colour, linewidth=2, linestyle=line)
            best = f"best score {detections[0].score:.2f}" if detections else "no candidate"
            words = title if not row else ""
            ax.annotate(words, (x, 0), (0, 2), textcoords="offset points", va="bottom", annotation_clip=False)
            label = ax.text(x + 0.03, y + image.shape[0] * scale - 0.04, best, color=INK, fontsize=11)
            label.set_path_effects(HALO)
        ax.text(0, row * (tallest + head) + 0.6 * head, detector, va="center", color=INK, fontsize=12, style="italic")
    ax.set(xlim=(0, total[0]), ylim=(total[1], 0), aspect="equal")
    ax.axis("off")
    boxes = {
        detector: sum(any(each.score > threshold for each in detections) for detections in of_frames)
        for detector, of_frames in candidates.items()
    }
    counts = ", ".join(f"{detector} {count}" for detector, count in boxes.items())
    titled(ax, f"Of these {counted(len(images), 'frame')}, accepted boxes in: {counts}", rows=1)
    return ax
