"""The forest plot and the ablation, by the artists in their axes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from lipsync_lab import figures
from lipsync_lab.evaluation import comparison
from lipsync_lab.figures.style import GREY

NAN = float("nan")
ANIMATION, LIVE_ACTION = (figures.DOMAIN_COLOURS[domain] for domain in ("animation", "live_action"))


@pytest.fixture(autouse=True)
def _no_figure_left():
    yield
    plt.close("all")


def effect(label: str, difference: float, low: float = NAN, high: float = NAN, p: float = NAN, **other) -> dict:
    row = {"metric": label, "label": label, "threshold": 4.0, "n": 8, "n_other": 8, "individual": (), "by": "speaker"}
    row |= {"difference": difference, "low": low, "high": high, "p_adjusted": p, "against": "live_action"}
    return row | {"by_construction": False} | other


EFFECTS = pd.DataFrame(
    [
        effect("boundary artifact", 8.0, 4.0, 12.0, 0.01),
        effect("line-art loss", -2.0, -3.0, 1.0, 0.2),
        effect("colour shift", 1.0, n=3, n_other=3, individual=(0.0, 1.0, 2.0)),
        effect("temporal flicker", 0.4, 0.2, 0.6, 0.05, by_construction=True, n_other=20),
        effect("identity switch", 0.0),
        effect("ghosting", NAN, n=0, n_other=0),
        effect("LSE-C", 1.0, 0.5, 1.5, 0.01, threshold=NAN),
    ]
)


def names(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def title(ax) -> str:
    return " ".join(ax.get_title(loc="left").split())


def legend(ax) -> list[str]:
    return [words.get_text() for words in ax.get_legend().get_texts()]


def test_a_row_a_metric_in_units_of_the_threshold():
    ax = figures.forest(EFFECTS)
    assert names(ax) == [
        *("boundary artifact, n = 8", "line-art loss, n = 8", "colour shift, n = 3"),
        *("temporal flicker †, n = 8 and 20", "identity switch, n = 8"),
    ]
    intervals = {
        line.get_ydata()[0]: (*line.get_xdata(), line.get_color())
        for line in ax.lines
        if line.get_marker() == "None" and len(set(line.get_ydata())) == 1
    }
    assert intervals == {0: (1, 3, ANIMATION), 1: (-0.75, 0.25, LIVE_ACTION), 3: (0.05, 0.15, ANIMATION)}
    points = {
        line.get_ydata()[0]: (line.get_xdata()[0], line.get_marker(), line.get_color(), line.get_markerfacecolor())
        for line in ax.lines
        if line.get_marker() in "oD"
    }
    assert points == {
        0: (2.0, "o", ANIMATION, ANIMATION),
        1: (-0.5, "o", LIVE_ACTION, "white"),
        2: (0.25, "o", ANIMATION, "white"),
        3: (0.1, "D", ANIMATION, ANIMATION),
        4: (0.0, "o", GREY, "white"),
    }
    [dots] = [line for line in ax.lines if line.get_marker() == "."]
    assert (dots.get_xdata().tolist(), set(dots.get_ydata())) == ([0, 0.25, 0.5], {2 - 0.28})
    assert legend(ax) == ["adjusted p ≤ 0.05", "above, or not tested", "one speaker", "† by construction"]
    words = {text.get_text(): text.get_color() for text in ax.texts}
    assert same_color(words["← live action is worse"], LIVE_ACTION)
    assert same_color(words["animation is worse →"], ANIMATION)
    low, high = ax.get_xlim()
    assert low < -0.75
    assert high > 3


def test_the_title_counts_what_is_worse():
    # the diamond is satisfied by construction; colour shift and identity switch are not tested
    assert (
        title(figures.forest(EFFECTS))
        == "Worse in animation: 1 of 2 metrics, in live action: 0 (n = 8 and 20 speakers)"
    )
    few = EFFECTS.assign(p_adjusted=NAN, n=1, n_other=1, by="pair")
    assert title(figures.forest(few)) == (
        "n = 1 pair: too few to compare; largest difference: boundary artifact, worse in animation"
    )


def test_the_legend_explains_what_is_there():
    assert legend(figures.forest(EFFECTS[:2])) == ["adjusted p ≤ 0.05", "above, or not tested"]
    assert legend(figures.forest(EFFECTS[:2].assign(p_adjusted=NAN))) == ["mean, not tested"]


def test_it_takes_the_tables_of_the_comparison():
    number = np.arange(8)
    table = pd.concat(
        pd.DataFrame({"clip": domain + number.astype(str), "domain": domain, "pair": number.astype(str)}).assign(
            line_art_loss=number * factor
        )
        for domain, factor in (("animation", 0.3), ("synthetic_photo", 0.1))
    )
    for effects in (comparison.matched(table), comparison.independent(table)):
        ax = figures.forest(effects)
        assert names(ax) == ["line-art loss, n = 8"]
        assert "animation minus synthetic photo" in ax.get_xlabel()
    _, own = plt.subplots()
    assert figures.forest(effects, own) is own


def test_nothing_to_show_is_said():
    assert [text.get_text() for text in figures.forest(EFFECTS[5:]).texts] == ["no metric is defined on both sides"]


CELLS = pd.DataFrame(
    [
        ("soft edge", "boundary_artifact", -1.2, 0.01, True),
        ("soft edge", "line_art_loss", -0.3, 0.01, False),
        ("soft edge", "ghosting", NAN, NAN, False),
        ("boxes smoothed", "boundary_artifact", 0.001, NAN, False),
        ("boxes smoothed", "line_art_loss", 0.2, 0.4, False),
        ("boxes smoothed", "ghosting", NAN, NAN, False),
    ],
    columns=["mitigation", "metric", "change", "p_adjusted", "by_construction"],
).assign(threshold=1.0, n=8, label=lambda table: table["metric"].str.replace("_", " "))


def test_the_ablation_prints_every_change_and_marks_what_is_by_construction():
    cost = pd.Series({"as published": 0.02, "soft edge": 0.025, "boxes smoothed": 0.0199})
    unlimited = CELLS[:1].assign(metric="lse_c", label="LSE-C", threshold=NAN)
    ax = figures.ablation_matrix(pd.concat([CELLS, unlimited]), cost)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["soft edge", "boxes smoothed"]
    # what was measured nowhere, and what has no threshold, have no row
    assert names(ax) == ["boundary artifact", "line art loss"]
    words = {text.get_text(): text.get_fontweight() for text in ax.texts}
    assert words == {
        **{"−1.20": "bold", "−0.30": "bold", "0": "normal", "+0.20": "normal"},
        **{"seconds a frame": "normal", "+0.005": "normal", "−0.000": "normal"},
    }
    assert [patch.get_xy() for patch in ax.patches if patch.get_hatch()] == [(-0.5, -0.5)]
    assert title(ax) == (
        "Better: 1 of 3 effects, worse: 0 (adjusted p ≤ 0.05; n = 8 clips; without those by construction)"
    )
    red, green, blue, _ = ax.images[0].cmap(ax.images[0].norm(1.0))
    assert green < min(red, blue)  # worse is purple
    red, green, blue, _ = ax.images[0].cmap(ax.images[0].norm(-1.0))
    assert green > max(red, blue)


def test_the_ablation_without_cost_has_no_margin():
    _, own = plt.subplots()
    assert figures.ablation_matrix(CELLS, ax=own) is own
    few = figures.ablation_matrix(CELLS.assign(p_adjusted=NAN, n=2))
    assert title(few) == (
        "Better: 1 of 3 effects, worse: 1 (n = 2 clips, too few for a test; without those by construction)"
    )
    assert "seconds a frame" not in {text.get_text() for text in own.texts}


def test_the_matrix_of_generators_has_a_cell_a_metric_generator_and_domain():
    rows = [
        ("cel", "animation", "ghosting", "ghosting", 0.02, 9, 0.5),
        ("wav2lip-lab", "animation", "ghosting", "ghosting", 0.08, 9, 2.0),
        ("wav2lip-lab", "live_action", "colour_shift", "colour shift", 3.0, 4, 0.75),
    ]
    names = ["generator", "domain", "metric", "label", "value", "n", "share"]
    ax = figures.generator_matrix(pd.DataFrame(rows, columns=names))
    shares = ax.images[0].get_array()
    assert np.ma.filled(shares, -1).tolist() == [[0.5, 2.0, -1], [-1, -1, 0.75]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ghosting", "colour shift"]
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "cel\nanimation, n = 9",
        "wav2lip-lab\nanimation, n = 9",
        "wav2lip-lab\nlive action, n = 4",
    ]
    assert sorted(text.get_text() for text in ax.texts) == ["0.02", "0.08", "3"]
    assert "beyond the threshold in 1 of 3 cells" in ax.get_title(loc="left").replace("\n", " ")
    empty = figures.generator_matrix(pd.DataFrame([], columns=names))
    assert "no run has a value" in empty.texts[0].get_text()
