"""Failures: tables whose failures are known, and a reference implementation that goes frame by frame."""

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


def test_nothing_fails_where_every_metric_is_zero():
    table = ledger(**{kind.name: 0.0 for kind in failures.KINDS})
    runs = failures.find(table)
    assert list(runs.columns) == list(failures.COLUMNS)
    assert not len(runs)


def test_what_is_undefined_does_not_fail():
    assert not len(failures.find(ledger(sharpness_loss=np.nan, missed_detection=np.nan)))


@pytest.mark.parametrize("kind", failures.KINDS, ids=lambda kind: kind.failure)
def test_every_kind_fails_where_its_metric_passes_the_threshold(kind):
    value = (kind.threshold + kind.saturation) / 2
    runs = failures.find(ledger(**{kind.name: at(40, range(10, 15), value)}))
    assert runs[["kind", "first", "last", "frames", "metric"]].values.tolist() == [[kind.failure, 10, 14, 5, kind.name]]
    assert runs["severity"][0] == pytest.approx(0.5)
    assert "{" not in runs["evidence"][0]
    # at the threshold itself nothing fails
    assert not len(failures.find(ledger(**{kind.name: at(40, range(10, 15), kind.threshold)})))


def test_severity_goes_from_bound_to_full_and_stays_within_one():
    kind = failures.kind("boundary artifact")
    seam = np.zeros(40)
    seam[3], seam[20:22] = kind.saturation * 3, [kind.saturation, kind.threshold + 1e-9]
    runs = failures.find(ledger(boundary_artifact=seam)).set_index("first")
    assert runs["severity"][3] == 1
    assert runs["severity"][20] == pytest.approx(0.5)
    assert runs["worst"][20] == 20
    assert runs["value"][3] == kind.saturation * 3


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
    bound = failures.kind("sharpness loss").threshold
    spans, open_since, last = [], None, None
    for frame in range(400):
        if values[frame] > bound:
            if last is not None and (frame - last > gap + 1 or shots[frame] != shots[last]):
                spans.append((open_since, last))
                open_since = frame
            open_since = frame if open_since is None else open_since
            last = frame
    spans.append((open_since, last))
    runs = failures.find(table, gap=gap)
    assert sorted(zip(runs["first"], runs["last"], strict=True)) == spans
    # every failing frame is in one run, and counted
    assert runs["frames"].sum() == (values > bound).sum()


def test_the_worst_come_first_and_length_counts():
    kind = failures.kind("temporal flicker")
    slight = kind.threshold + (kind.saturation - kind.threshold) * 0.4
    flicker = at(60, range(30, 50), slight) + at(60, [5], kind.threshold + (kind.saturation - kind.threshold) * 0.5)
    runs = failures.find(ledger(60, temporal_flicker=flicker))
    assert runs["first"].tolist() == [30, 5]


def test_the_evidence_of_a_miss_counts_frames_and_names_the_cause():
    cause = np.array([""] * 40, dtype=object)
    cause[10:14] = ["profile", "profile", "dark", "profile"]
    runs = failures.find(ledger(missed_detection=at(40, range(10, 14), 1.0), cause=cause))
    assert runs["evidence"][0] == "no face was detected in 4 frames (most frequent cause: profile)"
    single = failures.find(ledger(missed_detection=at(40, [10], 1.0), cause=np.array(["unexplained"] * 40)))
    assert single["evidence"][0] == "no face was detected in 1 frame (most frequent cause: unknown)"


def test_names_of_metrics_and_failures_are_unique():
    for name in ("failure", "name"):
        given = [getattr(kind, name) for kind in failures.KINDS]
        assert len(set(given)) == len(given)
    assert {kind.stage for kind in failures.KINDS} == {"detection", "picture", "time"}
    assert all(kind.saturation > kind.threshold > 0 for kind in failures.KINDS)
    with pytest.raises(ParameterError, match="missed detection"):
        failures.kind("nothing")
