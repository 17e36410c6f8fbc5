"""Live action beside animation: the bundled numbers, and how they are made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import samples
from lipsync_lab.evaluation import matched
from lipsync_lab.evaluation.result import UNRELIABLE
from lipsync_lab.files import sha256
from lipsync_lab.metrics import registry
from lipsync_lab.training import clips, corpus


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "matched_pairs.py"
    spec = importlib.util.spec_from_file_location("matched_pairs", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "matched_pairs", module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return matched.bundled()


# --- the bundled numbers ---------------------------------------------------------------------------------------------


def test_sixteen_pairs_of_eight_speakers_and_sixteen_characters(table):
    assert tuple(table.columns) == matched.COLUMNS
    pairs = table.drop_duplicates("pair")
    assert (len(pairs), pairs["speaker"].nunique(), pairs["character"].nunique()) == (16, 8, 16)
    assert pairs["sentence"].is_unique
    assert not table.duplicated(["pair", "metric"]).any()
    assert (table.groupby("pair")["metric"].apply(tuple).value_counts() == 16).all()
    assert len({metric.name for metric in registry.metrics()} & set(table["metric"])) > 12


def test_what_is_undefined_or_limited_has_its_reason(table):
    undefined = table[["animation", "live_action"]].isna().any(axis=1)
    assert (table.loc[undefined, "reason"] != "").all()
    limited = table[~undefined & (table["reason"] != "")]
    assert set(limited["reason"]) == {UNRELIABLE}
    assert set(limited["metric"]) == {
        *("syncnet_confidence", "syncnet_distance", "syncnet_distance_at_zero"),
        "syncnet_distance_per_frame",
    }
    whole = table[~undefined].groupby("metric").size()
    assert {"sharpness_loss", "boundary_artifact", "line_art_loss", "syncnet_distance"} <= set(whole[whole == 16].index)


def test_the_models_have_not_seen_characters_or_clips(table):
    assert all(corpus.is_held_out(seed) for seed in table["character"])
    mine = [pair.removeprefix("grid_s1_") for pair in table["pair"].unique() if "_s1_" in pair]
    assert len(mine) == 8
    assert all(clips.held_out(name) for name in mine)


def test_the_notes_name_clips_voices_and_models(table):
    notes = json.loads((matched.HOME / "grid.json").read_text(encoding="utf-8"))
    assert set(notes["pairs"]) == set(table["pair"])
    for name, pair in notes["pairs"].items():
        assert pair["sha256"]["live_action"] == samples.get(name).sha256
        assert pair["voice"] in notes["pairs"]
        assert pair["voice"] != name
        assert pair["openness_loudness"] > 0.4
    assert len({pair["voice"] for pair in notes["pairs"].values()}) == 16


# --- how they are made -----------------------------------------------------------------------------------------------


def evaluated(*metrics: tuple) -> SimpleNamespace:
    summary = pd.DataFrame(metrics, columns=["metric", "value", "unit", "reason"])
    return SimpleNamespace(evaluation=SimpleNamespace(metrics=summary))


def test_rows_hold_both_sides_by_metric_and_the_reason():
    nan = float("nan")
    animation = evaluated(("a", 1 / 3, "pixels", ""), ("b", 2.0, "frames", ""))
    live = evaluated(("b", nan, "frames", "no, it was not"), ("a", 4.0, "pixels", ""))
    rows = matched.of_pair("p", "s2", 7, "a sentence", animation, live)
    assert rows[0] == ("p", "s2", 7, "a sentence", "a", 1 / 3, 4.0, "pixels", "")
    assert rows[1][4:6] == ("b", 2.0)
    assert np.isnan(rows[1][6])
    assert rows[1][8] == "no, it was not"
    assert matched.text(rows).splitlines()[1:] == [
        "p,s2,7,a sentence,a,0.333333,4,pixels,",
        'p,s2,7,a sentence,b,2,,frames,"no, it was not"',
    ]


def test_sentences_are_those_of_the_corpus(script, shared):
    """Of speaker 1 the corpus' alignments have the words, which are independent of the file's name."""
    by_clip = {pair.live: pair.sentence.lower() for pair in script.pairs()}
    assert by_clip["grid_lip_lbax4n"] == "lay blue at x four now"
    for name in by_clip:
        if "_s1_" in name:
            path = shared / "footage" / "training" / "grid_s1" / f"{name.removeprefix('grid_s1_')}.align"
            words = [row.split()[2] for row in path.read_text().splitlines()]
            assert by_clip[name].split() == [word for word in words if word not in ("sil", "sp")]


def test_a_pair_is_animated_again(script, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(shared / "footage"))
    notes = json.loads((matched.HOME / "grid.json").read_text(encoding="utf-8"))["pairs"]["grid_lip_lbax4n"]
    [pair] = [pair for pair in script.pairs() if pair.live == "grid_lip_lbax4n"]
    clip = script.animate(pair, tmp_path)
    assert script.loudness_correlation(clip) == pytest.approx(notes["openness_loudness"], abs=0.02)
    assert sha256(samples.path(pair.live)) == notes["sha256"]["live_action"]
