"""What notebooks show: headers of tables, and the window of a frame in words."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import reporting
from lipsync_lab.reporting.steps import window_in_words


def test_a_table_to_show_has_one_row_of_headers_in_words():
    table = pd.DataFrame({"p_adjusted": [0.5], "n_other": [8], "mouths_generated": [3], "diagonal dominates": [True]})
    shown = reporting.headed(table.set_index(pd.MultiIndex.from_tuples([("a", "animation")], names=["clip", "domain"])))
    assert list(shown.columns) == ["domain", "adjusted p", "n (counterpart)", "mouths generated", "diagonal dominates"]
    assert shown.loc["a"].tolist() == ["animation", "0.5", 8, 3, "yes"]
    assert (shown.index.name, shown.columns.name) == (None, "clip")
    assert shown.to_html().count("<tr") == 2  # one of headers, one of numbers
    assert list(table) == ["p_adjusted", "n_other", "mouths_generated", "diagonal dominates"]


def test_values_of_a_table_to_show_are_in_words_and_its_numbers_have_few_digits():
    nan = float("nan")
    table = pd.DataFrame(
        {
            "metric": ["line_art_loss", "syncnet_distance_per_frame", "ghosting"],
            "domain": ["synthetic_photo", "animation", ""],
            "value": [0.12345, nan, -0.0001234],
            "threshold": [2.0, 10.0, nan],
            "low": [1.25, 1.5, 1.0],
            "cause": ["dark", None, nan],
        }
    )
    shown = reporting.headed(table)
    assert shown.columns.name == "metric"
    assert list(shown.index) == ["line-art loss", "out of sync", "ghosting"]
    assert list(shown["domain"]) == ["synthetic photo", "animation", "unknown domain"]
    assert list(shown["value"]) == ["0.123", "–", "-0.00012"]
    assert list(shown["threshold"]) == ["2", "10", "–"]
    assert list(shown["95 % CI from"]) == ["1.25", "1.50", "1.00"]
    assert list(shown["cause"]) == ["dark", "–", "–"]
    assert "NaN" not in shown.to_html()
    small = reporting.headed(pd.DataFrame({"clip": list("abcde"), "before": [0.00199, 0.00157, 0.0, 5.2172, 0.01]}))
    assert list(small["before"]) == ["0.0020", "0.0016", "0.000", "5.217", "0.010"]
    pivoted = table.assign(clip="my_clip").pivot(index=["metric", "domain"], columns="clip", values="value")
    assert list(reporting.headed(pivoted)) == ["domain", "my_clip"]


@pytest.mark.parametrize(
    ("offset", "words"),
    [(1, "**1 frame before the frame**"), (0, "**at the frame**"), (-2, "**2 frames after the frame**")],
)
def test_the_window_of_the_voice_begins_as_many_frames_early_as_the_audio_offset_says(offset, words):
    pipeline = SimpleNamespace(settings=SimpleNamespace(audio_offset=offset))
    step = SimpleNamespace(frame=50, window=np.array([2 - offset / 25, 2.2 - offset / 25]))
    text = window_in_words(pipeline, step)
    assert f"starts {words} (`audio_offset` {offset}) and lasts 0.20 s" in text
