"""The bake-off: its bundled numbers, their summary, and what it computes against ground truth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.generation.cel import timing
from lipsync_lab.generation.cel.shapes import CHART

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bakeoff():
    spec = importlib.util.spec_from_file_location("bakeoff", ROOT / "benchmarks" / "bakeoff.py")
    module = sys.modules["bakeoff"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_readme_are_those_of_the_numbers(bakeoff):
    table = pd.read_csv(ROOT / "data" / "bakeoff" / "bakeoff.csv")
    assert bakeoff.summary(table).strip() in (ROOT / "data" / "bakeoff" / "README.md").read_text(encoding="utf-8")
    assert not table.duplicated(["clip", "voice", "method"]).any()
    counts = table.groupby(["group", "voice"])["clip"].nunique()
    assert counts.loc[("bundled", "foreign")] == 8
    assert counts.loc[("study", "foreign")] == 10
    # every clip is dubbed by every method, but the control, which needs ground truth
    known = table[(table["method"] != bakeoff.CONTROL) & (table["group"] != "published")]
    rows = known.groupby(["group", "voice"]).size()
    assert (rows == counts[rows.index] * len(bakeoff.METHODS)).all()


def test_published_outputs_stand_beside_the_dubs_of_their_sources(bakeoff):
    table = pd.read_csv(ROOT / "data" / "bakeoff" / "bakeoff.csv")
    given = table[table["voice"] == "its own"].set_index("clip")
    assert set(given.index) == set(table.loc[(table["group"] == "published") & (table["voice"] == "foreign"), "clip"])
    metrics = pd.read_csv(ROOT / "data" / "published" / "metrics.csv").set_index(["pair", "metric"])["value"]
    for metric in ("line_art_loss", "sharpness_loss", "syncnet_distance"):
        for clip, value in given[metric].items():
            assert value == pytest.approx(metrics[clip.removesuffix("_source"), metric], rel=1e-4)
    assert list(bakeoff.published_rows()[0])[:4] == ["group", "clip", "voice", "method"]


def test_the_control_has_the_shapes_of_the_ground_truth(bakeoff):
    shapes = list("XXAADDDDCCAABBEE")
    truth = pd.DataFrame({"shape": shapes, "openness": [CHART[shape].openness for shape in shapes]})
    network = bakeoff.TrueVisemes(truth, 25.0)
    spoken = timing.classify(np.zeros((80, int(len(truth) * 3.2)), np.float32), network)
    exposed = [(frame, frame + 2) for frame in range(0, len(truth), 2)]
    sheet = timing.sheet(spoken, exposed, 25.0)
    assert [shape.shape for shape in sheet] == shapes[::2]
    true = [CHART[shape].openness for shape in shapes[::2]]
    assert np.corrcoef([shape.openness for shape in sheet], true)[0, 1] > 0.97


def test_openness_and_closures_are_counted_against_the_truth(bakeoff):
    shapes = list("DDAADDAADD")
    truth = pd.DataFrame({"shape": shapes, "openness": [1.0, 1, 0, 0, 0.8, 0.8, 0, 0, 1, 1]})
    read = truth["openness"].to_numpy() * 0.5 + 0.1
    mouths = np.arange(10) // 2 * 2
    shown = {0: CHART["D"], 2: CHART["X"], 4: CHART["D"], 6: CHART["D"], 8: CHART["D"]}
    row = bakeoff.against_truth(read, truth, SimpleNamespace(mouths=mouths, shapes=shown))
    assert row["openness_r"] == pytest.approx(1.0)
    assert row["sheet_r"] < 0.9
    assert (row["closures"], row["closures_met"]) == (2, 0.5)
    assert set(bakeoff.against_truth(read, truth, None)) == {"openness_r"}
