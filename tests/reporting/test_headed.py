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
    assert shown.loc["a"].tolist() == ["animation", 0.5, 8, 3, "yes"]
    assert (shown.index.name, shown.columns.name) == (None, "clip")
    assert shown.to_html().count("<tr") == 2  # one of headers, one of numbers
    assert list(table) == ["p_adjusted", "n_other", "mouths_generated", "diagonal dominates"]


@pytest.mark.parametrize(
    ("offset", "words"),
    [(1, "**1 frame before the frame**"), (0, "**at the frame**"), (-2, "**2 frames after the frame**")],
)
def test_the_window_of_the_voice_begins_as_many_frames_early_as_the_audio_offset_says(offset, words):
    pipeline = SimpleNamespace(settings=SimpleNamespace(audio_offset=offset))
    step = SimpleNamespace(frame=50, window=np.array([2 - offset / 25, 2.2 - offset / 25]))
    text = window_in_words(pipeline, step)
    assert f"starts {words} (`audio_offset` {offset}) and lasts 0.20 s" in text
