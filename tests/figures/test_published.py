"""Figures of published models, by the artists in their axes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from lipsync_lab import figures
from lipsync_lab.evaluation import published
from lipsync_lab.evaluation.published import GROUPS

ANIMATION, LIVE_ACTION = (figures.DOMAIN_COLOURS[domain] for domain in ("animation", "live_action"))


@pytest.fixture(autouse=True)
def _no_figure_left():
    yield
    plt.close("all")


def dots(ax, mark: str = "o") -> dict[str, list[list[float]]]:
    """x of the dots, a list a call, by colour."""
    out: dict[str, list[list[float]]] = {}
    for line in ax.lines:
        if line.get_marker() == mark and line.get_linestyle() == "None":
            out.setdefault(to_hex(line.get_color()).upper(), []).append(list(line.get_xdata()))
    return out


def thresholds(ax) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]


def medians(ax) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linewidth() == 3 and len(line.get_xdata()) == 2]


def test_domains_in_multiples_of_the_threshold_with_medians_and_the_finding():
    sources = pd.DataFrame(
        {
            "domain": ["animation"] * 3 + ["live_action"] * 2,
            "sharpness_loss": [0.35, 0.70, 0.105, 0.0, 0.175],
            "colour_shift": [3.0, 6.0, np.nan, 1.5, 1.5],
        }
    )
    effects = pd.DataFrame({"difference": [0.3, 0.1], "p_adjusted": [0.01, 0.2]})
    ax = figures.published_domains(sources, effects, metrics=("sharpness_loss", "colour_shift"))
    shown = dots(ax)
    assert shown[ANIMATION][0] == pytest.approx([1, 2, 0.3])
    assert shown[ANIMATION][1] == pytest.approx([1, 2])
    assert shown[LIVE_ACTION][0] == pytest.approx([0, 0.5])
    assert thresholds(ax) == [1]
    assert medians(ax) == pytest.approx([1])  # where there are more than two
    assert ax.get_title(loc="left") == "Wav2Lip is worse on animation in 1 of 2 metrics (3 and 2 sources)"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["sharpness loss", "colour shift"]


def test_faults_by_group_with_the_count_of_failing_sources():
    rows = []
    for kind, metric, threshold, failing in (
        ("sharpness loss", "sharpness_loss", 0.35, (3, 1, 0)),
        ("colour shift", "colour_shift", 3.0, (2, 0, 1)),
    ):
        for group, count in zip(GROUPS, failing, strict=True):
            values, edited = (0.0, threshold, 2 * threshold), (True, True, True)
            rows.append((kind, metric, threshold, group, 4, count, threshold, values, edited))
    columns = ["kind", "metric", "threshold", "group", "sources", "failing", "median", "values", "edited"]
    ax = figures.published_models(pd.DataFrame(rows, columns=columns))
    assert ax.get_title(loc="left") == "2 of 2 kinds of failure occur, 1 of them with other models too"
    assert [text.get_text() for text in ax.texts] == ["3/4", "1/4", "0/4", "2/4", "0/4", "1/4"]
    assert dots(ax)[ANIMATION] == [pytest.approx([0, 1, 2])] * 2
    assert len(dots(ax, "D")) == 1
    assert thresholds(ax) == [1]


def test_filled_dots_beyond_the_threshold_are_the_sources_that_fail():
    """In a source of sharpness loss 0.66 (pizza1, threshold 0.35) no edit is seen, and it counts as not failing."""
    counts = published.fault_counts()
    ax = figures.published_models(counts)
    beyond, hollow = 0, []
    for line in ax.lines:
        if line.get_marker() not in ("o", "D") or line.get_linestyle() != "None":
            continue
        if line.get_markerfacecolor() == "white":
            hollow += list(line.get_xdata())
        else:
            beyond += int((line.get_xdata() > 1).sum())
    assert beyond == counts["failing"].sum() == sum(int(text.get_text().split("/")[0]) for text in ax.texts)
    assert max(hollow) == pytest.approx(0.65738 / 0.35)
    assert "no edit seen" in " ".join(text.get_text() for text in ax.get_legend().get_texts())


def test_sync_above_the_diagonal_counts_as_preferred():
    margins = pd.DataFrame(
        {
            "family": ["Wav2Lip", "Wav2Lip", "DINet", "Wav2Lip"],
            "domain": ["animation", "live_action", "live_action", "animation"],
            "dubbed": [0.4, 0.5, 0.6, np.nan],
            "shuffled": [0.5, 0.6, 0.55, np.nan],
        }
    )
    ax = figures.published_sync(margins.assign(margin=margins["shuffled"] - margins["dubbed"]))
    assert ax.get_title(loc="left") == "The expert prefers the own sound in 2 of 3 sources"
    assert [text.get_text() for text in ax.texts] == ["DINet"]
    assert dots(ax) == {ANIMATION: [[0.4]], LIVE_ACTION: [[0.5]]}
    assert dots(ax, "D") == {LIVE_ACTION: [[0.6]]}


def test_boxes_by_the_kind_of_the_region():
    agreement = pd.DataFrame(
        {
            "domain": ["animation", "animation", "live_action", "animation"],
            "region": ["rectangle", "mask", "mask", "none"],
            "iou": [0.8, 0.3, 0.5, np.nan],
        }
    )
    ax = figures.published_boxes(agreement)
    assert ax.get_title(loc="left") == "Median overlap 0.50 (n\xa0=\xa03 outputs)"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["region: rectangle", "region: mask"]
    assert dots(ax)[ANIMATION] == [[0.8], [0.3]]
