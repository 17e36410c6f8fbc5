"""The picture of a training: lines hold the log's numbers, on the axis that they belong to."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lipsync_lab import figures


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": [20, 40, 60],
            "seconds": [1.0, 2.0, 3.0],
            "lr": [1e-3] * 3,
            "mouth": [0.3, 0.2, 0.1],
            "held_out_mouth": [np.nan, 0.25, 0.15],
            "held_out_auc": [np.nan, 0.7, 0.8],
            "held_out_windows": [np.nan, 108, 108],
        }
    )


def lines(ax) -> dict[str, tuple[list, list]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.get_lines()}


def test_losses_stand_at_the_left_and_shares_at_the_right():
    ax = figures.training_curves(log(), "expert")
    right = next(other for other in ax.figure.axes if other is not ax)
    assert lines(ax) == {
        "mouth": ([20, 40, 60], [0.3, 0.2, 0.1]),
        "mouth, held out": ([40, 60], [0.25, 0.15]),
    }
    assert lines(right) == {"auc, held out (right)": ([40, 60], [0.7, 0.8])}
    assert ax.get_title(loc="left") + ax.get_title() == "expert"
    assert ax.get_yscale() == "log"
    assert right.get_ylim() == (0, 1)


def test_a_held_out_number_has_the_colour_of_its_loss():
    ax = figures.training_curves(log())
    learnt, measured = ax.get_lines()
    assert learnt.get_color() == measured.get_color()
    assert measured.get_linestyle() == ":"


def test_a_log_without_measurements_has_one_axis_and_draws_into_the_axes_given():
    _, (left, right) = plt.subplots(1, 2)
    assert figures.training_curves(log()[["step", "mouth"]], ax=right) is right
    assert not left.has_data()
    assert len(right.figure.axes) == 2
