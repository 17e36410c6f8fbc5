"""The figure of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from lipsync_lab.figures.style import GREY, axes_of, styled

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

_HELD_OUT = "held_out_"
#: Held-out numbers that are shares: higher is better, and they are not on the scale of losses.
_SHARES = {"accuracy", "auc", "recall", "precision", "correlation", "openness"}
#: Columns of the log that are neither losses nor held-out numbers.
_OTHER = {"step", "seconds", "lr"}


@styled
def training_curves(log: pandas.DataFrame, title: str = "", ax: Axes | None = None) -> Axes:
    """Losses of a training, and its held-out numbers.

    Parameters
    ----------
    log : DataFrame
        A run's ``log.csv``: ``step``, ``seconds``, ``lr``, losses, and ``held_out_...`` where it was measured.
    title : str
        Of the model.

    Returns
    -------
    Axes
        Losses, logarithmic, dotted where held out; shares are on a second axis at the right, from 0 to 1.
    """
    ax = axes_of(ax, 0.45)
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    losses = [name for name in log if name not in _OTHER and not name.startswith(_HELD_OUT)]
    held_out = {
        name.removeprefix(_HELD_OUT): log[["step", name]].dropna() for name in log if name.startswith(_HELD_OUT)
    }
    lines, shares = [], []
    for number, name in enumerate(losses):
        lines += ax.plot(log["step"], log[name], color=colours[number % len(colours)], linewidth=1.1, label=name)
    for name, known in held_out.items():
        step, values = known["step"], known[_HELD_OUT + name]
        if name in _SHARES and len(known):
            shares.append((name, step, values))
        elif len(known) and values.max() <= 2:  # above, it is a number of examples
            colour = colours[losses.index(name) % len(colours)] if name in losses else GREY
            style = {"linestyle": ":", "marker": "o", "markersize": 4, "label": f"{name}, held out"}
            lines += ax.plot(step, values, color=colour, **style)
    ax.set(xlabel="step", ylabel="loss (logarithmic)", yscale="log", title=title)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    if shares:
        right = ax.twinx()
        right.set(ylim=(0, 1), ylabel="share, held out")
        right.grid(False)
        for number, (name, step, values) in enumerate(shares):
            style = {"color": "#222222", "linestyle": "--", "marker": "sD^v"[number % 4], "markersize": 4}
            lines += right.plot(step, values, label=f"{name}, held out (right)", **style)
    ax.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)
    return ax
