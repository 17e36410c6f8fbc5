"""Failures: stretches of a made-up ledger whose failures are known, and a twin that walks frame by frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.metrics import failures


def ledger(frames: int = 40, **columns) -> pd.DataFrame:
    table = pd.DataFrame({"shot": np.zeros(frames, int)}, index=pd.Index(range(frames), name="frame"))
    return table.assign(**columns)


def at(frames: int, where, value: float, rest: float = 0.0) -> np.ndarray:
    values = np.full(frames, rest)
    values[list(where)] = value
    return values


def test_nothing_fails_where_every_measure_is_zero():
    table = ledger(**{one.measure: 0.0 for one in failures.KINDS})
    found = failures.find(table)
    assert list(found.columns) == list(failures.COLUMNS)
    assert not len(found)
    assert not len(failures.summary(found, len(table)))


def test_what_is_undefined_does_not_fail():
    assert not len(failures.find(ledger(sharpness_loss=np.nan, missed_detection=np.nan)))


@pytest.mark.parametrize("one", failures.KINDS, ids=lambda one: one.name)
def test_every_kind_is_found_where_its_measure_passes_the_bound(one):
    value = (one.bound + one.full) / 2
    found = failures.find(ledger(**{one.measure: at(40, range(10, 15), value)}))
    assert found[["kind", "first", "last", "frames", "measure"]].values.tolist() == [[one.name, 10, 14, 5, one.measure]]
    assert found["severity"][0] == pytest.approx(0.5)
    assert "{" not in found["evidence"][0]
    # at the bound itself nothing fails yet
    assert not len(failures.find(ledger(**{one.measure: at(40, range(10, 15), one.bound)})))


def test_severity_goes_from_bound_to_full_and_stays_within_one():
    one = failures.kind("boundary artifact")
    seam = np.zeros(40)
    seam[3], seam[20:22] = one.full * 3, [one.full, one.bound + 1e-9]
    found = failures.find(ledger(boundary_artifact=seam)).set_index("first")
    assert found["severity"][3] == 1
    assert found["severity"][20] == pytest.approx(0.5)
    assert found["worst"][20] == 20
    assert found["value"][3] == one.full * 3


def test_a_short_gap_is_bridged_and_a_cut_never_is():
    where = [5, 6, 9, 10, 14]
    table = ledger(missed_detection=at(40, where, 1.0))
    assert failures.find(table)[["first", "last", "frames"]].values.tolist() == [[5, 10, 4], [14, 14, 1]]
    cut = table.assign(shot=(np.arange(40) >= 10).astype(int))
    spans = sorted(failures.find(cut)[["shot", "first", "last"]].values.tolist())
    assert spans == [[0, 5, 9], [1, 10, 10], [1, 14, 14]]


def test_stretches_agree_with_a_walk_frame_by_frame():
    rng = np.random.default_rng(3)
    values, shots, gap = rng.random(400), np.sort(rng.integers(0, 6, 400)), 2
    table = ledger(400, sharpness_loss=values, shot=shots)
    bound = failures.kind("sharpness loss").bound
    spans, open_since, last = [], None, None
    for frame in range(400):
        if values[frame] > bound:
            if last is not None and (frame - last > gap + 1 or shots[frame] != shots[last]):
                spans.append((open_since, last))
                open_since = frame
            open_since = frame if open_since is None else open_since
            last = frame
    spans.append((open_since, last))
    found = failures.find(table, gap=gap)
    assert sorted(zip(found["first"], found["last"], strict=True)) == spans
    # every failing frame is in one stretch, and counted
    assert found["frames"].sum() == (values > bound).sum()


def test_the_worst_come_first_and_length_counts():
    one = failures.kind("temporal flicker")
    some = one.bound + (one.full - one.bound) * 0.4
    flicker = at(60, range(30, 50), some) + at(60, [5], one.bound + (one.full - one.bound) * 0.5)
    found = failures.find(ledger(60, temporal_flicker=flicker))
    assert found["first"].tolist() == [30, 5]


def test_a_miss_says_what_it_is_put_down_to():
    cause = np.array([""] * 40, dtype=object)
    cause[10:14] = ["profile", "profile", "dark", "profile"]
    found = failures.find(ledger(missed_detection=at(40, range(10, 14), 1.0), cause=cause))
    assert found["evidence"][0].endswith("most of them: profile")


def test_the_summary_counts_frames_and_keeps_the_order_of_kinds():
    table = ledger(missed_detection=at(40, [1, 2, 20], 1.0), mouth_change_during_hold=at(40, range(30, 34), 1.0))
    found = failures.summary(failures.find(table), 40)
    assert found.index.tolist() == ["missed detection", "mouth change during hold"]
    assert found.loc["missed detection", ["stretches", "frames", "share"]].tolist() == [2, 3, 3 / 40]
    assert found.loc["missed detection", "worst"] in (1, 2)


def test_names_measures_and_parts_are_one_of_a_kind():
    for name in ("name", "measure"):
        given = [getattr(one, name) for one in failures.KINDS]
        assert len(set(given)) == len(given)
    assert {one.part for one in failures.KINDS} == {"detection", "picture", "time"}
    assert all(one.full > one.bound > 0 for one in failures.KINDS)
    with pytest.raises(ParameterError, match="missed detection"):
        failures.kind("nothing")
