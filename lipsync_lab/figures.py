"""Pictures of everything that a run measures: ``(data, ax=None) -> Axes``, and nothing is shown or saved here.

Without `ax` a figure of a fitting shape is made, in the one style that all figures share (`lab.mplstyle`). The
colours are Okabe and Ito's ("Color Universal Design", 2008), which people with any kind of colour blindness can tell
apart; where a colour means something it means the same in every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.patches import Patch, Rectangle

from lipsync_lab import audio
from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import PROVENANCES, Box

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from lipsync_lab.detection import Detection

#: The style of every figure.
STYLE = Path(__file__).with_name("lab.mplstyle")

#: The two domains, in the same two colours everywhere.
DOMAIN_COLOURS = {"drawn": "#D55E00", "photographic": "#0072B2"}
#: Where a frame's box comes from. Frames without one are the finding, so they are the darkest.
PROVENANCE_COLOURS = {
    "detected": "#009E73",
    "recorded": "#56B4E9",
    "interpolated": "#E69F00",
    "held": "#F0E442",
    "missing": "#333333",
}
assert tuple(sorted(PROVENANCE_COLOURS)) == tuple(sorted(PROVENANCES))

#: What a legend says of each: the track's word, and what happens to a frame of which it is true.
_WORDS = {kind: kind for kind in PROVENANCES} | {"missing": "missing: passed through"}

_INK, _ACCENT, _CROP = "#222222", "#D55E00", "#F0E442"
#: Keeps writing and lines readable on any picture.
_HALO = [patheffects.withStroke(linewidth=3, foreground="white")]
_DARK_HALO = [patheffects.withStroke(linewidth=3, foreground="black")]
#: Widest figure, in inches.
_WIDTH = 9.0
#: Columns that a waveform is drawn with: more than a page has pixels tells the eye nothing.
_COLUMNS = 1800


def _styled(draw):
    """Draw in the common style, whatever the caller's own is."""

    @wraps(draw)
    def styled(*args, **options):
        # loads the backend: leaving the style's context would undo what a notebook's backend sets when it is loaded
        plt.draw_if_interactive()
        with plt.style.context(STYLE):
            return draw(*args, **options)

    return styled


def _axes(ax: Axes | None, aspect: float) -> Axes:
    """The axes given, or those of a new figure; `aspect` is its height over its width."""
    return plt.subplots(figsize=(_WIDTH, _WIDTH * aspect))[1] if ax is None else ax


@_styled
def waveform(wave: np.ndarray, window: tuple[float, float] | None = None, ax: Axes | None = None) -> Axes:
    """A voice, and the stretch of it that one mouth is drawn from.

    Parameters
    ----------
    wave : ndarray, float32, (n,)
        Mono at `audio.SAMPLE_RATE`, in [-1, 1].
    window : (start, stop), optional
        Seconds.
    ax : Axes, optional
    """
    ax = _axes(ax, 0.27)
    step = max(1, -(-len(wave) // _COLUMNS))
    # the highest and lowest sample of each column: thinning would lose the peaks
    columns = np.pad(wave, (0, -len(wave) % step), mode="edge").reshape(-1, step)
    seconds = np.arange(len(columns)) * step / audio.SAMPLE_RATE
    ax.fill_between(seconds, columns.min(axis=1), columns.max(axis=1), color="#0072B2", linewidth=0.6)
    if window is not None:
        _span(ax, window, f"window of one frame: {window[1] - window[0]:.2f} s")
    ax.set(xlabel="time (s)", ylabel="amplitude", xlim=(0, len(wave) / audio.SAMPLE_RATE), ylim=(-1, 1))
    return ax


@_styled
def mel(spectrogram: np.ndarray, first: int | None = None, ax: Axes | None = None) -> Axes:
    """A mel spectrogram in decibels, and the sixteen columns that one mouth is drawn from.

    Parameters
    ----------
    spectrogram : ndarray, float32, (80, columns)
        Of `audio.melspectrogram`, in [-4, 4].
    first : int, optional
        First column of the window.
    ax : Axes, optional
    """
    import librosa

    ax = _axes(ax, 0.36)
    bands, columns = spectrogram.shape
    share = (spectrogram + audio.MAX_ABS) / (2 * audio.MAX_ABS)
    image = ax.imshow(
        audio.MIN_DB * (1 - share),
        origin="lower",
        aspect="auto",
        extent=(0, columns / audio.MELS_PER_SECOND, 0, bands),
        vmin=audio.MIN_DB,
        vmax=0,
        interpolation="nearest",
    )
    centres = librosa.mel_frequencies(n_mels=bands + 2, fmin=audio.F_MIN, fmax=audio.F_MAX)[1:-1]
    ticks = [250, 500, 1000, 2000, 4000]
    ax.set_yticks(np.interp(ticks, centres, np.arange(bands) + 0.5), labels=[f"{tick:,}" for tick in ticks])
    ax.set(xlabel="time (s)", ylabel="frequency (Hz)")
    if first is not None:
        start, stop = np.array([first, first + audio.MEL_WINDOW]) / audio.MELS_PER_SECOND
        ax.add_patch(Rectangle((start, 0), stop - start, bands, fill=False, edgecolor="white", linewidth=2.5))
        ax.set_title(f"window of one frame: {audio.MEL_WINDOW} columns, {stop - start:.2f} s")
    ax.figure.colorbar(image, ax=ax, label="level (dB)", pad=0.01)
    return ax


def _span(ax: Axes, window: tuple[float, float], title: str) -> None:
    ax.axvspan(*window, color=_ACCENT, alpha=0.25, linewidth=0)
    for edge in window:
        ax.axvline(edge, color=_ACCENT, linewidth=1.5)
    ax.set_title(title)


@_styled
def candidates(
    image: np.ndarray, found: Sequence[Detection], threshold: float, crop: Box | None = None, ax: Axes | None = None
) -> Axes:
    """A frame with all that the detector proposes: accepted boxes solid, refused ones dashed.

    Parameters
    ----------
    image : ndarray, uint8, (H, W, 3)
        RGB.
    found : sequence of Detection
        Each is drawn with its score.
    threshold : float
        Score that a candidate must exceed.
    crop : Box, optional
        The padded and smoothed box that is cut out.
    ax : Axes, optional
    """
    height, width = image.shape[:2]
    ax = _axes(ax, min(0.62 * height / width + 0.1, 0.9))
    ax.imshow(image, extent=(0, width, height, 0))
    handles = []
    if crop is not None:
        # broad and below: the found box often shares three of its edges
        line = ax.add_patch(_rectangle(crop, edgecolor=_CROP, linewidth=7))
        line.set_path_effects([patheffects.withStroke(linewidth=8, foreground="black"), patheffects.Normal()])
        handles.append(Patch(fill=False, edgecolor=_CROP, linewidth=5, label="crop"))
    for one in reversed(found):  # the best on top
        accepted = one.score > threshold
        style = {"edgecolor": PROVENANCE_COLOURS["detected"] if accepted else "white"}
        line = ax.add_patch(_rectangle(one.box, linewidth=2, linestyle="-" if accepted else (0, (3, 2)), **style))
        line.set_path_effects([*_DARK_HALO, patheffects.Normal()])
        words = ax.text(one.box.x1, one.box.y1 - 0.01 * height, f"{one.score:.2f}", color=_INK, va="bottom")
        words.set_path_effects(_HALO)
    accepted = sum(one.score > threshold for one in found)
    if accepted < len(found):
        handles.insert(0, Patch(fill=False, edgecolor="#888888", linewidth=2, linestyle="--", label="refused"))
    if accepted:
        green = PROVENANCE_COLOURS["detected"]
        handles.insert(0, Patch(fill=False, edgecolor=green, linewidth=3, label=f"score above {threshold:g}"))
    ax.set(xlim=(0, width), ylim=(height, 0), xlabel="x (pixels)", ylabel="y (pixels)")
    ax.set_title(f"{_counted(len(found), 'candidate')}, {accepted} accepted")
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return ax


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _rectangle(box: Box, **style) -> Rectangle:
    return Rectangle((box.x1, box.y1), box.width, box.height, fill=False, **style)


@_styled
def timeline(ledger: pandas.DataFrame, threshold: float, ax: Axes | None = None) -> Axes:
    """A whole clip: best score a frame against the threshold, cuts, and below, where each frame's box came from.

    Parameters
    ----------
    ledger : DataFrame
        Of `pipeline.Run.ledger`.
    threshold : float
        Score that a candidate must exceed.
    ax : Axes, optional
    """
    ax = _axes(ax, 0.4)
    time = ledger["time"].to_numpy()
    step = float(np.median(np.diff(time))) if len(time) > 1 else 0.04
    score = ledger["best_score"].to_numpy()
    accepted = score > threshold
    middle = time + step / 2
    colour = PROVENANCE_COLOURS["detected"]
    ax.plot(middle, score, color="#BBBBBB", linewidth=1, zorder=1)
    refused = ~accepted & ~np.isnan(score)
    for these, label, style in (
        (accepted, "above the threshold", {"color": colour}),
        (refused, "refused", {"facecolor": "white", "edgecolor": _INK}),
    ):
        if these.any():
            ax.scatter(middle[these], score[these], s=26, label=label, zorder=2, **style)
    ax.axhline(threshold, color=_INK, linestyle="--", linewidth=1.5, label=f"threshold {threshold:g}")
    runs = [(kind, [i for i, _ in run]) for kind, run in groupby(enumerate(ledger["provenance"]), lambda pair: pair[1])]
    for kind in (kind for kind in PROVENANCES if kind in set(ledger["provenance"])):
        spans = [(time[frames[0]], len(frames) * step) for this, frames in runs if this == kind]
        ax.broken_barh(spans, (-0.24, 0.16), color=PROVENANCE_COLOURS[kind], label=_WORDS[kind], linewidth=0)
    cuts = time[np.flatnonzero(np.diff(ledger["shot"])) + 1]
    for number, cut in enumerate(cuts):
        ax.axvline(cut, color="#CC79A7", linestyle=":", linewidth=2, label=None if number else "cut")
    ax.set(xlabel="time (s)", ylabel="score of the best candidate", xlim=(0, time[-1] + step), ylim=(-0.28, 1.04))
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    _legend_above(ax)
    return ax


def _legend_above(ax: Axes) -> None:
    """Above and not beside: time and shares have the whole width."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=4, columnspacing=1.4, handlelength=1.6)


@_styled
def steps(images: Mapping[str, np.ndarray], ax: Axes | None = None) -> Axes:
    """Pictures side by side at the same height, each under its name and size in pixels.

    Parameters
    ----------
    images : mapping of str to ndarray, uint8, (H, W, 3)
        RGB; shown pixel by pixel, since what matters here is what the network has to work with.
    ax : Axes, optional
    """
    titles = [f"{name}\n{image.shape[1]} × {image.shape[0]}" for name, image in images.items()]
    return _row(list(images.values()), titles, ax, interpolation="nearest")


@_styled
def triptych(
    source: np.ndarray,
    output: np.ndarray,
    amplify: float = 8,
    titles: tuple[str, str] = ("source", "output"),
    ax: Axes | None = None,
) -> Axes:
    """Two pictures, and how far they lie apart.

    Parameters
    ----------
    source, output : ndarray, uint8, (H, W, 3)
        RGB.
    amplify : float
        The absolute difference is shown this many times as strong.
    titles : (str, str)
        Of the two pictures.
    ax : Axes, optional

    Raises
    ------
    ParameterError
        The two are of different sizes.
    """
    if source.shape != output.shape:
        raise ParameterError(f"a difference needs pictures of one size, not {source.shape} and {output.shape}")
    difference = np.abs(source.astype(int) - output)
    shown = np.clip(difference * amplify, 0, 255).astype(np.uint8)
    return _row([source, output, shown], [*titles, f"difference × {amplify:g}"], ax)


def _row(images: list[np.ndarray], titles: list[str], ax: Axes | None, **style) -> Axes:
    """Images of height 1 in one pair of axes, so that a row of pictures is an Axes like any other figure."""
    widths = [image.shape[1] / image.shape[0] for image in images]
    gap = 0.03 * sum(widths)
    total = sum(widths) + gap * (len(images) - 1)
    lines = 1 + max(title.count("\n") for title in titles)
    ax = _axes(ax, 1 / total + 0.035 * lines)
    left = 0.0
    for image, width, title in zip(images, widths, titles, strict=True):
        ax.imshow(image, extent=(left, left + width, 0, 1), **style)
        ax.annotate(title, (left, 1), (0, 5), textcoords="offset points", va="bottom", annotation_clip=False)
        left += width + gap
    ax.set(xlim=(0, total), ylim=(0, 1), aspect="equal")
    ax.axis("off")
    return ax


@_styled
def contact_sheet(
    images: Mapping[int, np.ndarray], ledger: pandas.DataFrame | None = None, columns: int = 6, ax: Axes | None = None
) -> Axes:
    """Frames of a clip with their numbers, and, from the ledger, their boxes in the colour of where they come from.

    Parameters
    ----------
    images : mapping of int to ndarray, uint8, (H, W, 3)
        RGB by number of the frame; all of one size.
    ledger : DataFrame, optional
        Of `pipeline.Run.ledger`. A frame without a face gets a dark border.
    columns : int
        Frames a row.
    ax : Axes, optional
    """
    height, width = next(iter(images.values())).shape[:2]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    gap = 0.06 * width
    total = columns * (width + gap) - gap, rows * (height + gap) - gap
    ax = _axes(ax, total[1] / total[0] + 0.05)
    kinds = set()
    for place, (number, image) in enumerate(images.items()):
        x, y = place % columns * (width + gap), place // columns * (height + gap)
        ax.imshow(image, extent=(x, x + width, y + height, y))
        words = ax.text(x + 0.03 * width, y + 0.04 * height, str(number), color=_INK, va="top", fontsize=12)
        words.set_path_effects(_HALO)
        if ledger is None or number >= len(ledger):
            continue
        row = ledger.iloc[number]
        kinds.add(row["provenance"])
        colour = PROVENANCE_COLOURS[row["provenance"]]
        if row["provenance"] == "missing":
            ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=3))
        else:
            box = Box(row["x1"] + x, row["y1"] + y, row["x2"] + x, row["y2"] + y)
            line = ax.add_patch(_rectangle(box, edgecolor=colour, linewidth=2.5))
            line.set_path_effects([*_HALO, patheffects.Normal()])
    ax.set(xlim=(0, total[0]), ylim=(total[1], 0), aspect="equal")
    ax.axis("off")
    if kinds:
        handles = [
            Patch(fill=False, edgecolor=PROVENANCE_COLOURS[kind], linewidth=3, label=_WORDS[kind])
            for kind in PROVENANCES
            if kind in kinds
        ]
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), borderaxespad=0.2)
    return ax


@_styled
def coverage(table: pandas.DataFrame, ax: Axes | None = None) -> Axes:
    """What became of every clip's frames, as shares; each name with the clip's domain, in the domain's colour.

    Parameters
    ----------
    table : DataFrame
        With the columns clip, domain, frames, detected, gap_filled, passed_through.
    ax : Axes, optional
    """
    ax = _axes(ax, 0.17 + 0.055 * len(table))
    kinds = {"detected": "detected", "gap_filled": "interpolated", "passed_through": "missing"}
    left = np.zeros(len(table))
    for column, kind in kinds.items():
        share = 100 * table[column].to_numpy(float) / table["frames"].to_numpy(float)
        name = _WORDS["missing"] if kind == "missing" else column.replace("_", " ")
        name = name if share.any() else "_nothing of the kind"  # an underscore keeps it out of the legend
        ax.barh(np.arange(len(table)), share, left=left, color=PROVENANCE_COLOURS[kind], label=name, height=0.7)
        left += share
    names = [f"{clip}\n{domain}" if domain else clip for clip, domain in table[["clip", "domain"]].to_numpy()]
    ax.set_yticks(np.arange(len(table)), labels=names)
    for label, domain in zip(ax.get_yticklabels(), table["domain"], strict=True):
        label.set_color(DOMAIN_COLOURS.get(domain, _INK))
    ax.invert_yaxis()
    ax.set(xlabel="share of the frames (%)", xlim=(0, 100))
    ax.set_title("What became of each clip's frames", pad=30)
    _legend_above(ax)
    return ax
