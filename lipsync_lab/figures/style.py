"""The common style of all figures: the style file, the meaning of colours, and helpers that every figure uses."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.patches import Patch, Rectangle

from lipsync_lab import samples
from lipsync_lab.geometry import PROVENANCES, Box

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer

#: The style of every figure.
STYLE = Path(__file__).with_name("lab.mplstyle")

#: The domains, in the same colours everywhere.
DOMAIN_COLOURS = {"animation": "#D55E00", "live_action": "#0072B2", "synthetic_photo": "#CC79A7"}
#: The origin of a frame's box. Frames without a box matter most, so they are the darkest.
PROVENANCE_COLOURS = {
    "detected": "#009E73",
    "copied": "#66C9A8",
    "tracked": "#A3D977",
    "recorded": "#56B4E9",
    "manual": "#5D3A9B",
    "interpolated": "#E69F00",
    "held": "#F0E442",
    "missing": "#333333",
}
assert tuple(sorted(PROVENANCE_COLOURS)) == tuple(sorted(PROVENANCES))

#: Labels of the provenances in legends.
PROVENANCE_LABELS = {kind: kind for kind in PROVENANCES} | {
    "copied": "copied: picture repeats",
    "missing": "missing: passthrough",
}

INK, ACCENT, GREY = "#222222", "#D55E00", "#777777"
#: Keep text and lines readable on any picture.
HALO = [patheffects.withStroke(linewidth=3, foreground="white")]
DARK_HALO = [patheffects.withStroke(linewidth=3, foreground="black")]
#: Widest figure, in inches.
WIDTH = 9.0
#: Characters of a line of a title, which must not be wider than the axes.
_TITLE = 74
#: The same where there is a picture in place of axes, which has the width of the figure.
_WIDE = 88
#: Points above the axes for a title, and for each row of a legend below it.
_PAD, _ROW = 10, 20
#: Ticks of an axis in multiples of the threshold: it is logarithmic above 1, since the values have no upper limit.
_MULTIPLES = (0, 0.25, 0.5, 1, 2, 4, 8, 16)


def styled(figure):
    """Decorate a figure function to use the common style, whatever the caller's own style is."""

    @wraps(figure)
    def in_style(*args, **options):
        # loads the backend: leaving the style's context would undo what a notebook's backend sets when it is loaded
        plt.draw_if_interactive()
        with plt.style.context(STYLE):
            return figure(*args, **options)

    return in_style


def axes_of(ax: Axes | None, aspect: float) -> Axes:
    """The axes given, or those of a new figure; `aspect` is its height over its width."""
    return plt.subplots(figsize=(WIDTH, WIDTH * aspect))[1] if ax is None else ax


def domain_colour(domain: object) -> str:
    """The colour of a domain; grey for a clip whose domain is unknown."""
    return DOMAIN_COLOURS.get(str(domain), GREY)


def domain_label(domain: object) -> str:
    """A domain in words, see `samples.domain_in_words`."""
    return samples.domain_in_words(domain)


def in_order(domains: Iterable[object]) -> list[str]:
    """The different domains, in the order in which every figure shows them."""
    present = list(dict.fromkeys(map(str, domains)))
    return sorted(present, key=[*DOMAIN_COLOURS, *present].index)


def domain_handles(domains: Iterable[object], name: str = "{}", **style) -> list[Patch]:
    """Legend entries of the domains, in the order of `in_order`."""
    return [
        Patch(color=domain_colour(domain), label=name.format(domain_label(domain)), **style)
        for domain in in_order(domains)
    ]


def colour_clip_names(ax: Axes, domains: Iterable[object]) -> None:
    """Give each label of the y axis the colour of its clip's domain."""
    for label, domain in zip(ax.get_yticklabels(), domains, strict=True):
        label.set_color(domain_colour(domain) if domain else INK)


def beside(number: int, count: int, total: float) -> float:
    """Distance from the middle of a row to the centre of one of `count` bars that share the height `total`."""
    return total / max(1, count) * (number - (count - 1) / 2)


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def outline(ax: Axes, box: Box, halo: Sequence[patheffects.AbstractPathEffect] = DARK_HALO, **style) -> None:
    """The outline of a box, readable on any picture."""
    line = ax.add_patch(Rectangle((box.x1, box.y1), box.width, box.height, fill=False, **style))
    line.set_path_effects([*halo, patheffects.Normal()])


def frame_seconds(time: np.ndarray) -> float:
    """Seconds of a frame, from the times of all; 1/25 for a clip of one frame."""
    return float(np.median(np.diff(time))) if len(time) > 1 else 0.04


def domain_bars(ax: Axes, values: Mapping[str, np.ndarray], upright: bool = False) -> list[BarContainer]:
    """A group of bars at 0, 1, 2, ..., with a bar a domain in each; horizontal, or upright."""
    bars, width, out = ax.bar if upright else ax.barh, 0.8 / max(1, len(values)), []
    for number, (domain, lengths) in enumerate(values.items()):
        place = np.arange(len(lengths)) + beside(number, len(values), 0.8)
        out.append(bars(place, lengths, width, color=domain_colour(domain), label=domain_label(domain)))
    return out


def legend_above(
    ax: Axes, title: str, handles: Sequence[Artist] | None = None, ncols: int = 4, right: bool = False
) -> None:
    """A title, and a legend below it, above the axes and not beside them: time and shares get the whole width."""
    given = {} if handles is None else {"handles": handles}
    place = {"loc": f"lower {'right' if right else 'left'}", "bbox_to_anchor": (int(right), 1), "borderaxespad": 0.3}
    legend = ax.legend(**given, **place, ncols=ncols, columnspacing=1.4, handlelength=2 if handles else 1.6)
    titled(ax, title, rows=-(-len(legend.get_texts()) // ncols))


def titled(ax: Axes, title: str, rows: int = 0) -> None:
    """A title that states a finding, in lines that fit above the axes, and above so many rows of text."""
    title = title.replace("n = ", "n\u00a0=\u00a0")  # is not broken there
    most = _TITLE if ax.axison else _WIDE
    lines = [line for part in title.split("\n") for line in _wrapped(part, most)]
    ax.set_title("\n".join(lines), loc="left", pad=_PAD + _ROW * rows)


def _wrapped(text: str, most: int) -> list[str]:
    """The lines of a text; the last has at least a third of the width where the others can spare the words."""
    lines = textwrap.wrap(text, most, break_long_words=False)
    for width in range(most - 1, most // 2, -1):
        narrower = textwrap.wrap(text, width, break_long_words=False)
        if len(lines) < 2 or len(lines[-1]) >= most / 3 or len(narrower) > len(lines):
            break
        lines = narrower
    return lines


def finding(subject: str, text: str) -> str:
    """The title of a figure: its finding, after what it is of where that is given."""
    return f"{subject}: {text}" if subject else f"{text[:1].upper()}{text[1:]}"


def in_each(words: Mapping[str, object]) -> str:
    """What holds in each domain, as a list: ``{"animation": "3 of 4"}`` becomes "3 of 4 in animation"."""
    return ", ".join(f"{text} in {domain_label(domain)}" for domain, text in words.items())


def note(ax: Axes, text: str) -> None:
    """A sentence in the middle of axes that have nothing to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=INK)


def row_of_pictures(images: list[np.ndarray], titles: list[str], title: str, ax: Axes | None, **style) -> Axes:
    """Images of height 1 in one pair of axes, so that a row of pictures is an Axes like any other figure."""
    widths = [image.shape[1] / image.shape[0] for image in images]
    gap = 0.03 * sum(widths)
    total = sum(widths) + gap * (len(images) - 1)
    lines = 1 + max(title.count("\n") for title in titles)
    ax = axes_of(ax, 1 / total + 0.035 * (lines + 1))
    left = 0.0
    for image, width, name in zip(images, widths, titles, strict=True):
        ax.imshow(image, extent=(left, left + width, 0, 1), **style)
        ax.annotate(name, (left, 1), (0, 5), textcoords="offset points", va="bottom", annotation_clip=False)
        left += width + gap
    ax.set(xlim=(0, total), ylim=(0, 1), aspect="equal")
    ax.axis("off")
    titled(ax, title, rows=lines)
    return ax


def in_multiples(ax: Axes, xlabel: str, both_ways: bool = False) -> None:
    """Scale the x axis, in multiples of a threshold: linear up to 1, logarithmic above."""
    ax.set_xscale("symlog", linthresh=1, linscale=1.2)
    low, high = ax.get_xlim()
    ticks = [tick for tick in _MULTIPLES if tick <= max(1, high)]
    if both_ways:
        # there is room for few around zero
        kept = [tick for tick in _MULTIPLES if tick != 0.25 and (tick != 0.5 or max(-low, high) <= 2)]
        ticks = [tick for tick in sorted({*kept, *(-tick for tick in kept)}) if min(-1, low) <= tick <= max(1, high)]
    ax.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlim((min(-1.0, low) if both_ways else -0.03), max(1.1, high))
    ax.set_xlabel(f"{xlabel}; logarithmic above 1")
