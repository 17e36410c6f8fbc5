"""Figures of one run: its voice, its frames, its boxes and their provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.patches import Patch, Rectangle

from lipsync_lab.errors import ParameterError
from lipsync_lab.figures.style import (
    ACCENT,
    HALO,
    INK,
    PROVENANCE_COLOURS,
    PROVENANCE_LABELS,
    axes_of,
    colour_clip_names,
    counted,
    domain_label,
    frame_seconds,
    legend_above,
    outline,
    row_of_pictures,
    styled,
    titled,
)
from lipsync_lab.geometry import PROVENANCES, Box, spans
from lipsync_lab.media import audio
from lipsync_lab.media.difference import AMPLIFY, difference

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from lipsync_lab.detection import Detection

_CROP = "#F0E442"
#: Samples above which a waveform is shown by its envelope: about the pixels that a page is wide.
_COLUMNS = 1800


@styled
def waveform(wave: np.ndarray, window: tuple[float, float] | None = None, ax: Axes | None = None) -> Axes:
    """The waveform of a voice (`librosa.display.waveshow`), and the part of it that one mouth is generated from.

    Parameters
    ----------
    wave : ndarray, float32, (n,)
        Mono at `media.audio.SAMPLE_RATE`, in [-1, 1]. A long one is shown by its envelope: the largest magnitude of
        each column of pixels, above and below zero.
    window : (start, stop), optional
        Seconds.
    """
    import librosa.display

    ax = axes_of(ax, 0.27)
    librosa.display.waveshow(
        wave, sr=audio.SAMPLE_RATE, max_points=_COLUMNS, axis="s", ax=ax, color="#0072B2", linewidth=0.6
    )
    if window is not None:
        ax.axvspan(*window, color=ACCENT, alpha=0.25, linewidth=0)
        for edge in window:
            ax.axvline(edge, color=ACCENT, linewidth=1.5)
        seconds = len(wave) / audio.SAMPLE_RATE
        titled(ax, f"One mouth is generated from {window[1] - window[0]:.2f} s of the voice's {seconds:.2f} s")
    ax.set(xlabel="time (s)", ylabel="amplitude", xlim=(0, len(wave) / audio.SAMPLE_RATE), ylim=(-1, 1))
    return ax


@styled
def mel_spectrogram(spectrogram: np.ndarray, first: int | None = None, ax: Axes | None = None) -> Axes:
    """A mel spectrogram in decibels (`librosa.display.specshow`), and the columns that one mouth is generated from.

    Parameters
    ----------
    spectrogram : ndarray, float32, (80, columns)
        Of `media.audio.melspectrogram`, in [-4, 4].
    first : int, optional
        First column of the window of sixteen.
    """
    import librosa.display

    ax = axes_of(ax, 0.36)
    bands, columns = spectrogram.shape
    share = (spectrogram + audio.MAX_ABS) / (2 * audio.MAX_ABS)
    mesh = librosa.display.specshow(
        audio.MIN_DB * (1 - share),
        x_coords=np.arange(columns + 1) / audio.MELS_PER_SECOND,
        # edges between the centres of the bands, halfway on the mel scale
        y_coords=librosa.mel_frequencies(n_mels=2 * bands + 3, fmin=audio.F_MIN, fmax=audio.F_MAX)[1::2],
        x_axis="s",
        y_axis="mel",
        ax=ax,
        vmin=audio.MIN_DB,
        vmax=0,
        cmap=mpl.rcParams["image.cmap"],
        rasterized=True,
    )
    ticks = [250, 500, 1000, 2000, 4000]
    ax.set_yticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set(xlabel="time (s)", ylabel="frequency (Hz, mel scale)", xlim=(0, columns / audio.MELS_PER_SECOND))
    if first is not None:
        start, stop = np.array([first, first + audio.MEL_WINDOW]) / audio.MELS_PER_SECOND
        low, high = ax.get_ylim()
        ax.add_patch(Rectangle((start, low), stop - start, high - low, fill=False, edgecolor="white", linewidth=2.5))
        window = f"{audio.MEL_WINDOW} of {columns} columns ({stop - start:.2f} s)"
        titled(ax, f"One mouth is generated from {window}, with {bands} bands each")
    ax.figure.colorbar(mesh, ax=ax, label="level (dB)", pad=0.01)
    return ax


@styled
def candidates(
    image: np.ndarray,
    detections: Sequence[Detection],
    threshold: float,
    crop: Box | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A frame with every candidate of the detector: accepted boxes solid, rejected ones dashed.

    Parameters
    ----------
    image : ndarray, uint8, (H, W, 3)
        RGB.
    detections : sequence of Detection
        The candidates, each shown with its score.
    threshold : float
        Score that a candidate must exceed.
    crop : Box, optional
        The padded and smoothed box that is cut out.
    """
    height, width = image.shape[:2]
    ax = axes_of(ax, min(0.62 * height / width + 0.1, 0.9))
    ax.imshow(image, extent=(0, width, height, 0))
    handles = []
    if crop is not None:
        # broad and below the others: the detected box often shares three of its edges
        outline(ax, crop, [patheffects.withStroke(linewidth=8, foreground="black")], edgecolor=_CROP, linewidth=7)
        handles.append(Patch(fill=False, edgecolor=_CROP, linewidth=5, label="crop"))
    for detection in reversed(detections):  # the best on top
        box, accepted = detection.box, detection.score > threshold
        colour = PROVENANCE_COLOURS["detected"] if accepted else "white"
        outline(ax, box, edgecolor=colour, linewidth=2, linestyle="-" if accepted else (0, (3, 2)))
        # inside the picture, also beside its right edge and under its upper one
        right, high = box.x1 > 0.88 * width, box.y1 < 0.08 * height
        x, y = max(width if right else box.x1, 0), max(box.y1, 0)
        at = {"ha": "right" if right else "left", "va": "top" if high else "bottom"}
        words = ax.text(x, y + (0.01 if high else -0.01) * height, f"{detection.score:.2f}", color=INK, **at)
        words.set_path_effects(HALO)
    accepted = sum(detection.score > threshold for detection in detections)
    if accepted < len(detections):
        handles.insert(0, Patch(fill=False, edgecolor="#888888", linewidth=2, linestyle="--", label="rejected"))
    if accepted:
        green = PROVENANCE_COLOURS["detected"]
        handles.insert(0, Patch(fill=False, edgecolor=green, linewidth=3, label=f"score above {threshold:g}"))
    ax.set(xlim=(0, width), ylim=(height, 0), xlabel="x (pixels)", ylabel="y (pixels)")
    best = f"; the best score is {max(each.score for each in detections):.2f}" if detections else ""
    titled(ax, f"{accepted} of {counted(len(detections), 'candidate')} accepted{best}")
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return ax


@styled
def score_timeline(ledger: pandas.DataFrame, threshold: float, ax: Axes | None = None) -> Axes:
    """Best score of each frame against the threshold, with the cuts, and below it the provenance of each box.

    Parameters
    ----------
    ledger : DataFrame
        Of `runs.Run.ledger`.
    threshold : float
        Score that a candidate must exceed.
    """
    ax = axes_of(ax, 0.4)
    time = ledger["time"].to_numpy()
    step = frame_seconds(time)
    score = ledger["best_score"].to_numpy()
    accepted = score > threshold
    middle = time + step / 2
    colour = PROVENANCE_COLOURS["detected"]
    ax.plot(middle, score, color="#BBBBBB", linewidth=1, zorder=1)
    rejected = ~accepted & ~np.isnan(score)
    for these, label, style in (
        (accepted, "above the threshold", {"color": colour}),
        (rejected, "rejected", {"facecolor": "white", "edgecolor": INK}),
    ):
        if these.any():
            ax.scatter(middle[these], score[these], s=26, label=label, zorder=2, **style)
    ax.axhline(threshold, color=INK, linestyle="--", linewidth=1.5, label=f"threshold {threshold:g}")
    provenance = ledger["provenance"].to_numpy()
    for kind in (kind for kind in PROVENANCES if kind in set(ledger["provenance"])):
        bars = [(time[start], (stop - start) * step) for start, stop in spans(provenance == kind)]
        ax.broken_barh(bars, (-0.24, 0.16), color=PROVENANCE_COLOURS[kind], label=PROVENANCE_LABELS[kind], linewidth=0)
    cuts = time[np.flatnonzero(np.diff(ledger["shot"])) + 1]
    for number, cut in enumerate(cuts):
        ax.axvline(cut, color="#CC79A7", linestyle=":", linewidth=2, label=None if number else "cut")
    ax.set(xlabel="time (s)", ylabel="score of the best candidate", xlim=(0, time[-1] + step), ylim=(-0.28, 1.04))
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    none = (provenance == "missing").sum()
    title = f"{accepted.sum()} of {len(ledger)} frames have a score above the threshold; {none} have no box"
    legend_above(ax, title)
    return ax


@styled
def generation_steps(images: Mapping[str, np.ndarray], ax: Axes | None = None) -> Axes:
    """Pictures side by side at the same height, each under its name and size in pixels.

    Parameters
    ----------
    images : mapping of str to ndarray, uint8, (H, W, 3)
        RGB; shown pixel by pixel. The last two are the generated mouth, and the same after the paste.
    """
    titles = [f"{name}\n{image.shape[1]} × {image.shape[0]}" for name, image in images.items()]
    *_, before, after = images.values()
    times = after.shape[1] / before.shape[1]
    title = f"The paste makes {before.shape[1]} generated pixels {after.shape[1]} wide ({times:.1f} times)"
    return row_of_pictures(list(images.values()), titles, title, ax, interpolation="nearest")


@styled
def triptych(
    source: np.ndarray,
    output: np.ndarray,
    amplify: float = AMPLIFY,
    titles: tuple[str, str] = ("source", "output"),
    ax: Axes | None = None,
) -> Axes:
    """Two pictures and their difference.

    Parameters
    ----------
    source, output : ndarray, uint8, (H, W, 3)
        RGB.
    amplify : float
        The absolute difference is shown this many times as strong.
    titles : (str, str)
        Of the two pictures.

    Raises
    ------
    ParameterError
        The two are of different sizes.
    """
    if source.shape != output.shape:
        raise ParameterError(f"a difference needs pictures of one size, not {source.shape} and {output.shape}")
    apart = cv2.absdiff(source, output)
    shown, largest = difference(source, output, amplify), apart.max(axis=2)
    title = f"{(largest > 0).mean():.0%} of {largest.size:,} pixels differ"
    if largest.any():
        title += f", on average by {largest[largest > 0].mean():.1f} of 255 levels"
    return row_of_pictures([source, output, shown], [*titles, f"difference × {amplify:g} (black: none)"], title, ax)


@styled
def contact_sheet(
    images: Mapping[int, np.ndarray], ledger: pandas.DataFrame | None = None, columns: int = 4, ax: Axes | None = None
) -> Axes:
    """Frames of a clip with their numbers, and, from the ledger, their boxes in the colour of their provenance.

    Parameters
    ----------
    images : mapping of int to ndarray, uint8, (H, W, 3)
        RGB by number of the frame; all of one size.
    ledger : DataFrame, optional
        Of `runs.Run.ledger`. A passthrough frame has a dark border.
    columns : int
        Frames a row.
    """
    height, width = next(iter(images.values())).shape[:2]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    gap = 0.06 * width
    total = columns * (width + gap) - gap, rows * (height + gap) - gap
    ax = axes_of(ax, total[1] / total[0] + 0.05)
    kinds = set()
    for place, (number, image) in enumerate(images.items()):
        x, y = place % columns * (width + gap), place // columns * (height + gap)
        ax.imshow(image, extent=(x, x + width, y + height, y))
        words = ax.text(x + 0.03 * width, y + 0.04 * height, str(number), color=INK, va="top", fontsize=12)
        words.set_path_effects(HALO)
        if ledger is None or number >= len(ledger):
            continue
        row = ledger.iloc[number]
        kinds.add(row["provenance"])
        colour = PROVENANCE_COLOURS[row["provenance"]]
        if row["provenance"] == "missing":
            ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=3))
        else:
            box = Box(row["x1"] + x, row["y1"] + y, row["x2"] + x, row["y2"] + y)
            outline(ax, box, HALO, edgecolor=colour, linewidth=2.5)
    ax.set(xlim=(0, total[0]), ylim=(total[1], 0), aspect="equal")
    ax.axis("off")
    if kinds:
        handles = [
            Patch(fill=False, edgecolor=PROVENANCE_COLOURS[kind], linewidth=3, label=PROVENANCE_LABELS[kind])
            for kind in PROVENANCES
            if kind in kinds
        ]
        boxes = (ledger["provenance"] != "missing").sum()
        title = f"{boxes} of {len(ledger)} frames have a face box ({len(images)} are shown)"
        legend_above(ax, title, handles)
    return ax


@styled
def coverage(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of each clip's frames by the provenance of their box; each name has the colour of its domain.

    Parameters
    ----------
    table : DataFrame
        With the columns clip, domain, frames, detected, filled, passthrough; where several rows are of one clip, its
        name in ``of``, so that the title counts its frames once.
    """
    ax = axes_of(ax, 0.17 + 0.055 * len(table))
    kinds = {"detected": ("detected", "detected or copied"), "filled": ("interpolated", "dropout, filled")}
    kinds["passthrough"] = "missing", "passthrough"
    left = np.zeros(len(table))
    for column, (kind, name) in kinds.items():
        share = 100 * table[column].to_numpy(float) / table["frames"].to_numpy(float)
        name = name if share.any() else "_none"  # an underscore keeps it out of the legend
        ax.barh(np.arange(len(table)), share, left=left, color=PROVENANCE_COLOURS[kind], label=name, height=0.7)
        left += share
    names = [
        f"{clip}\n{domain_label(domain)}" if domain else clip for clip, domain in table[["clip", "domain"]].to_numpy()
    ]
    ax.set_yticks(np.arange(len(table)), labels=names)
    colour_clip_names(ax, table["domain"])
    ax.invert_yaxis()
    ax.set(xlabel="share of the frames (%)", xlim=(0, 100))
    # variants of a clip share its frames
    clips = table.drop_duplicates("of" if "of" in table else "clip")
    frames = clips["frames"].sum()
    title = f"{frames - clips['passthrough'].sum()} of {frames} frames have a face box ({counted(len(clips), 'clip')})"
    legend_above(ax, title)
    return ax
