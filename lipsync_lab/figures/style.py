"""The one look of all figures: where it is kept, what colours mean, and what every figure is drawn with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.patches import Patch, Rectangle

from lipsync_lab.geometry import PROVENANCES, Box

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The style of every figure.
STYLE = Path(__file__).with_name("lab.mplstyle")

#: The domains, in the same colours everywhere.
DOMAIN_COLOURS = {"animation": "#D55E00", "live_action": "#0072B2", "synthetic_photo": "#CC79A7"}
#: Where a frame's box comes from. Frames without one are the finding, so they are the darkest.
PROVENANCE_COLOURS = {
    "detected": "#009E73",
    "recorded": "#56B4E9",
    "manual": "#5D3A9B",
    "interpolated": "#E69F00",
    "held": "#F0E442",
    "missing": "#333333",
}
assert tuple(sorted(PROVENANCE_COLOURS)) == tuple(sorted(PROVENANCES))

#: What a legend says of each: the track's word, and what happens to a frame of which it is true.
WORDS = {kind: kind for kind in PROVENANCES} | {"missing": "missing: passed through"}

INK, ACCENT, GREY = "#222222", "#D55E00", "#777777"
#: Keeps writing and lines readable on any picture.
HALO = [patheffects.withStroke(linewidth=3, foreground="white")]
DARK_HALO = [patheffects.withStroke(linewidth=3, foreground="black")]
#: Widest figure, in inches.
WIDTH = 9.0


def styled(draw):
    """Draw in the common style, whatever the caller's own is."""

    @wraps(draw)
    def in_style(*args, **options):
        # loads the backend: leaving the style's context would undo what a notebook's backend sets when it is loaded
        plt.draw_if_interactive()
        with plt.style.context(STYLE):
            return draw(*args, **options)

    return in_style


def axes_of(ax: Axes | None, aspect: float) -> Axes:
    """The axes given, or those of a new figure; `aspect` is its height over its width."""
    return plt.subplots(figsize=(WIDTH, WIDTH * aspect))[1] if ax is None else ax


def domain_colour(domain: object) -> str:
    """The colour of a domain; grey for a clip whose domain is unknown."""
    return DOMAIN_COLOURS.get(str(domain), GREY)


def domain_label(domain: object) -> str:
    """A domain in words; "other" for a clip whose domain is unknown."""
    return str(domain).replace("_", " ") or "other"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def rectangle(box: Box, **style) -> Rectangle:
    return Rectangle((box.x1, box.y1), box.width, box.height, fill=False, **style)


def legend_above(ax: Axes) -> None:
    """Above and not beside: time and shares have the whole width."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=4, columnspacing=1.4, handlelength=1.6)


def row_of_pictures(images: list[np.ndarray], titles: list[str], ax: Axes | None, **style) -> Axes:
    """Images of height 1 in one pair of axes, so that a row of pictures is an Axes like any other figure."""
    widths = [image.shape[1] / image.shape[0] for image in images]
    gap = 0.03 * sum(widths)
    total = sum(widths) + gap * (len(images) - 1)
    lines = 1 + max(title.count("\n") for title in titles)
    ax = axes_of(ax, 1 / total + 0.035 * lines)
    left = 0.0
    for image, width, title in zip(images, widths, titles, strict=True):
        ax.imshow(image, extent=(left, left + width, 0, 1), **style)
        ax.annotate(title, (left, 1), (0, 5), textcoords="offset points", va="bottom", annotation_clip=False)
        left += width + gap
    ax.set(xlim=(0, total), ylim=(0, 1), aspect="equal")
    ax.axis("off")
    return ax


def domain_handles(domains: Iterable[object], name: str = "{}", **style) -> list[Patch]:
    """What a legend says of the domains that are there, in the order in which they always stand."""
    there = list(dict.fromkeys(map(str, domains)))
    order = [domain for domain in DOMAIN_COLOURS if domain in there]
    order += [domain for domain in there if domain not in order]
    return [Patch(color=domain_colour(one), label=name.format(domain_label(one)), **style) for one in order]
