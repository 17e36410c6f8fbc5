"""The picture of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from lipsync_lab.figures.style import GREY, axes_of, styled

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

_HELD_OUT = "held_out_"
#: Held-out numbers that are shares: better the higher, and not on the scale of losses.
_SHARES = {"accuracy", "auc", "recall", "precision", "correlation", "openness"}
#: Columns of the log that say nothing of how well it goes.
_OTHER = {"step", "seconds", "lr"}


@styled
def training(log: pandas.DataFrame, title: str = "", ax: Axes | None = None) -> Axes:
    """Losses of a training, and what was measured on held-out material on the way.

    Parameters
    ----------
    log : DataFrame
        A run's ``log.csv``: ``step``, ``seconds``, ``lr``, losses, and ``held_out_...`` where it was measured.
    title : str
        What was trained.
    ax : Axes, optional

    Returns
    -------
    Axes
        Losses, logarithmic, dotted where held out; shares are on a second axis at the right, from 0 to 1.
    """
    ax = axes_of(ax, 0.45)
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    learnt = [name for name in log if name not in _OTHER and not name.startswith(_HELD_OUT)]
    measured = [name for name in log if name.startswith(_HELD_OUT) and log[name].notna().sum() > 0]
    counts = [name for name in measured if log[name].max() > 2]  # how much was looked at, not how well
    shares = [name for name in measured if name.removeprefix(_HELD_OUT) in _SHARES]
    lines = []
    for number, name in enumerate(learnt):
        lines += ax.plot(log["step"], log[name], color=colours[number % len(colours)], linewidth=1.1, label=name)
    for name in measured:
        if name in shares or name in counts:
            continue
        known = log[log[name].notna()]
        own = name.removeprefix(_HELD_OUT)
        colour = colours[learnt.index(own) % len(colours)] if own in learnt else GREY
        label = f"{own}, held out"
        lines += ax.plot(known["step"], known[name], color=colour, linestyle=":", marker="o", markersize=4, label=label)
    ax.set(xlabel="step", ylabel="loss", yscale="log", title=title)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    if shares:
        right = ax.twinx()
        right.set(ylim=(0, 1), ylabel="share, held out")
        right.grid(False)
        for number, name in enumerate(shares):
            known = log[log[name].notna()]
            style = {"color": "#222222", "linestyle": "--", "marker": "sD^v"[number % 4], "markersize": 4}
            label = f"{name.removeprefix(_HELD_OUT)}, held out (right)"
            lines += right.plot(known["step"], known[name], label=label, **style)
    ax.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)
    return ax
