"""The study's recorded detections: the bundled numbers are the recorded ones, and the rates follow from them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lipsync_lab import detection, samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import published, study
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import open_clip
from lipsync_lab.models import registry
from lipsync_lab.settings import Settings


def test_the_bundled_numbers_are_the_recorded_ones(shared):
    recorded = json.loads((shared / "footage/animation/seed/s3fd_boxes.json").read_text(encoding="utf-8"))
    assert set(study.names()) == set(recorded)
    for name, given in recorded.items():
        table = study.frames(name)
        assert len(table) == given["frames"] == samples.get(name).frames
        for box, row in zip(given["boxes"], table.itertuples(), strict=True):
            assert row.detected == (box is not None)
            assert np.array_equal([row.x1, row.y1, row.x2, row.y2], box or [np.nan] * 4, equal_nan=True)


def test_the_readme_says_what_the_table_holds():
    table = study.frames()
    readme = (study.PATH.parent / "README.md").read_text(encoding="utf-8")
    assert f"{(~table.detected).sum()} of {len(table):,} frames" in readme
    share = f"({study.DETECTED / study.FRAMES:.1%}".replace("%", " %")
    assert f"{study.DETECTED:,} of {study.FRAMES:,} frames {share}" in readme


def test_boxes_lie_in_their_clips_and_times_follow_the_frame_rate():
    table = study.frames()
    for name, rows in table.groupby("clip"):
        sample = samples.get(name)
        width, height = sample.size
        detected = rows[rows.detected]
        assert (detected.x2 > detected.x1).all()
        assert (detected.y2 > detected.y1).all()
        # S3FD's boxes may reach over the edge; their middle does not
        assert ((detected.x1 + detected.x2) / 2).between(0, width).all()
        assert ((detected.y1 + detected.y2) / 2).between(0, height).all()
        assert np.allclose(np.diff(rows.time), 1 / float(sample.fps), atol=2e-6)


def test_an_unknown_clip_is_named_with_the_known_ones():
    with pytest.raises(ParameterError, match="berserk_output1"):
        study.frames("nobody")


def test_a_damaged_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PATH", tmp_path / "s3fd_boxes.json")
    study.PATH.write_text("{", encoding="utf-8")
    with pytest.raises(MediaError, match="restore"):
        study.frames()


# --- candidates of other detectors -----------------------------------------------------------------------------------


DETECTORS = {*study.INDEPENDENT, "auto", "auto-without-yunet"}


def test_candidates_lie_in_their_clips_and_come_best_first():
    table = study.detections()
    assert set(study.detectors()) == set(table["detector"]) == DETECTORS
    assert set(study.names()) < set(table["clip"])
    for (_, clip), rows in table.groupby(["detector", "clip"]):
        sample = samples.get(clip)
        assert (rows["domain"] == sample.domain).all()
        sampled = np.unique(rows["frame"])
        assert len(set(np.diff(sampled))) == 1
        assert sample.frames - (sampled[1] - sampled[0]) <= sampled[-1] < sample.frames
        known = rows.dropna(subset="score")
        assert known["score"].between(0, 1).all()
        assert known.groupby("frame")["score"].apply(lambda scores: scores.is_monotonic_decreasing).all()
        assert known.groupby("frame").size().max() <= 5
        assert (known["x2"] > known["x1"]).all()
        assert (known["y2"] > known["y1"]).all()
        assert ((known["x1"] + known["x2"]) / 2).between(0, sample.size[0]).all()
        assert ((known["y1"] + known["y2"]) / 2).between(0, sample.size[1]).all()
    assert table.equals(pd.concat([study.detections(name) for name in study.detectors()], ignore_index=True))
    with pytest.raises(ParameterError, match="yunet"):
        study.detections("nobody")


def test_recorded_files_are_small_and_belong_to_the_weights_of_the_table():
    assert sum(path.stat().st_size for path in study.DETECTIONS.iterdir()) < 3e6
    for name in study.detectors():
        content = json.loads((study.DETECTIONS / f"{name}.json").read_text(encoding="utf-8"))
        assert content["schema"] == 1
        assert content["detector"]["name"] == name.removesuffix("-without-yunet")
        if name in registry.MODELS:
            assert content["detector"]["sha256"] == registry.MODELS[name].sha256
        parts = registry.MODELS.keys() & content["detector"].keys()
        assert ("auto" in name) == bool(parts)
        assert ("yunet" in parts) == (name == "auto")
        assert all(content["detector"][part] == registry.MODELS[part].sha256 for part in parts)
        for clip, entry in content["clips"].items():
            assert entry["sha256"] == samples.get(clip).sha256


def test_recorded_candidates_are_those_of_the_detector(shared, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(shared / "models"))
    frame = next(open_clip(shared / "footage" / samples.get("output3").file).read(88, 89))
    for name in ("auto", "yunet", "centerface", "s3fd-lab"):
        proposed = detection.at_detection_size(detection.load(name), frame[None], 88, Settings().detection_size)[0]
        rows = study.detections(name).query("clip == 'output3' and frame == 88")
        assert np.allclose(rows[study.BOX], [list(face.box) for face in proposed[:5]], atol=1.5)
        assert np.allclose(rows["score"], [face.score for face in proposed[:5]], atol=0.01)


def test_labels_are_in_missed_frames_and_repeatable():
    labels, missed = study.labels(), study.frames().query("~detected")
    targets = labels[(labels["face"] == "target") & labels["clip"].isin(study.names())]
    for clip, rows in missed.groupby("clip"):
        assert targets.loc[targets["clip"] == clip, "frame"].tolist() == rows["frame"].tolist()[:: study.LABEL_STEP]
    for row in labels[labels["face"] != "none"].itertuples():
        width, height = samples.get(row.clip).size
        assert 0 <= row.x1 < row.x2 <= width
        assert 0 <= row.y1 < row.y2 <= height
    again = study.labels(repeated=True).merge(labels[labels["face"] == "target"], on=["clip", "frame"])
    assert len(again) == 40
    pairs = [[Box(*row[[f"{side}_{half}" for side in study.BOX]]) for half in "xy"] for _, row in again.iterrows()]
    median = np.median([first.iou(second) for first, second in pairs])
    readme = (study.HOME / "README.md").read_text(encoding="utf-8")
    assert f"median IoU {median:.2f}" in readme


def a_table(rows, columns):
    return pd.DataFrame(rows, columns=columns.split())


def test_rates_of_a_detector_that_is_counted_by_hand(monkeypatch):
    """Four frames: a hit, a hit with a false positive, another face that is not a mistake, and no face at all."""
    ground_truth = a_table(
        [
            ("a", "animation", 0, "target", 0, 0, 10, 10, "s3fd"),
            ("a", "animation", 1, "target", 0, 0, 10, 10, "s3fd"),
            ("a", "animation", 2, "target", 0, 0, 10, 10, "s3fd"),
            ("a", "animation", 2, "other", 50, 0, 60, 10, "label"),
            ("a", "animation", 3, "none", *[np.nan] * 4, "label"),
        ],
        "clip domain frame face x1 y1 x2 y2 source",
    )
    proposed = a_table(
        [
            ("a", "animation", "d", 0, 0.9, 0, 0, 10, 9),
            ("a", "animation", "d", 1, 0.8, 30, 0, 40, 10),
            ("a", "animation", "d", 1, 0.4, 0, 0, 10, 10),
            ("a", "animation", "d", 2, 0.7, 50, 0, 60, 10),
            ("a", "animation", "d", 3, 0.2, 5, 5, 9, 9),
            ("a", "animation", "d", 9, 0.9, 5, 5, 9, 9),  # without ground truth, so it does not count
        ],
        "clip domain detector frame score x1 y1 x2 y2",
    )
    monkeypatch.setattr(study, "faces", lambda: ground_truth)
    rates = study.detection_rates([0.1, 0.5, 0.85], proposed).set_index("threshold")
    assert rates["frames"].tolist() == [4, 4, 4]
    assert rates["recall"].tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert rates["false_positives"].tolist() == pytest.approx([2 / 4, 1 / 4, 0])


def test_a_box_round_the_head_matches_by_its_centre_alone(monkeypatch):
    ground_truth = a_table(
        [("a", "animation", 0, "target", 10, 10, 20, 20, "s3fd")], "clip domain frame face x1 y1 x2 y2 source"
    )
    columns = "clip domain detector frame score x1 y1 x2 y2"
    head, beside = (2, 0, 26, 30), (19, 10, 29, 20)
    monkeypatch.setattr(study, "faces", lambda: ground_truth)
    for box, overlap, centre in ((head, 0, 1), (beside, 0, 0), ((10, 10, 20, 19), 1, 1)):
        proposed = a_table([("a", "animation", "d", 0, 0.9, *box)], columns)
        for match, expected in (("overlap", overlap), ("centre", centre)):
            rates = study.detection_rates([0.5], proposed, match).iloc[0]
            assert (rates["recall"], rates["false_positives"]) == (expected, 1 - expected)
    with pytest.raises(ParameterError, match="overlap, centre"):
        study.detection_rates(match="edge")


def test_agreement_takes_three_detectors_and_ignores_a_fourth():
    face, wall = (10, 10, 50, 50), (200, 10, 240, 50)
    rows = [("a", 0, name, 0.9, *face) for name in "pqr"] + [("a", 0, "s", 0.9, *wall)]
    rows += [("a", 1, name, 0.9, *face) for name in "pq"] + [("a", 1, name, 0.9, *wall) for name in "rs"]
    rows += [("a", 2, "p", np.nan, *[np.nan] * 4)] + [("a", 3, name, 0.9, *face) for name in "pq"]
    agreed = study._agreed(a_table(rows, "clip frame detector score x1 y1 x2 y2"))
    assert agreed[["frame", *study.BOX]].to_numpy().tolist() == [[0, *face]]


def test_overlap_is_that_of_boxes():
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 50, (2, 100, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 50, (2, 100, 2))], axis=2)
    expected = [Box(*first).iou(Box(*second)) for first, second in zip(*boxes, strict=True)]
    assert study._overlap(*boxes) == pytest.approx(expected)


def test_intervals_over_clips_hold_their_level_and_need_eight_clips():
    def rates(values):
        rows = [("d", "animation", str(n), 0.5, 10, value, 0.0) for n, value in enumerate(values)]
        return a_table(rows, "detector domain clip threshold frames recall false_positives")

    row = study.rates_by_domain(rates([0.2] * 4 + [0.8] * 4)).iloc[0]
    assert (row["clips"], row["frames"], row["recall"]) == (8, 80, pytest.approx(0.5))
    assert np.isnan(study.rates_by_domain(rates([0.2] * 3 + [0.8] * 4)).iloc[0]["recall_low"])
    assert np.isnan(study.share_interval(np.ones(9))).all(), "all clips agree"
    rng = np.random.default_rng(1)
    for draw, mean in ((lambda: rng.beta(4, 2, 10), 4 / 6), (lambda: rng.beta(2, 0.5, 8), 0.8)):
        intervals = [study.share_interval(draw()) for _ in range(1000)]
        assert 0.925 < np.mean([low <= mean <= high for low, high in intervals]) < 0.975
        assert all(0 <= low < high <= 1 for low, high in intervals)


def test_the_interval_of_clips_that_are_all_or_nothing_is_wilsons():
    """By scipy, for as many independent units as the spread over clips stands for, at the level of Student's t."""
    shares = np.repeat([1.0, 0.0], [9, 4])
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, 12)) - 1
    expected = stats.binomtest(9, 13).proportion_ci(level, method="wilson")
    # 13 clips with the spread of 12 independent units
    assert study.share_interval(shares) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_a_clip_is_held_out_of_the_choice_of_its_threshold():
    """Clip a alone would choose 0.9; it is reported at 0.2, which the other two choose, and they are at 0.9 and 0.2."""
    rows = [("d", "animation", clip, threshold, 10, recall, wrong)
            for clip, values in {"a": [(0.2, 0.0, 1.0), (0.9, 1.0, 0.0)], "b": [(0.2, 1.0, 0.0), (0.9, 0.4, 0.0)],
                                 "c": [(0.2, 1.0, 0.0), (0.9, 0.5, 0.0)]}.items()
            for threshold, recall, wrong in values]  # fmt: skip
    rates = a_table(rows, "detector domain clip threshold frames recall false_positives")
    held = study.held_out(rates).set_index("clip")
    assert held["threshold"].to_dict() == {"a": 0.2, "b": 0.9, "c": 0.9}
    assert held.loc["a", "recall"] == 0.0


def test_the_table_of_detectors_has_a_cost_and_an_interval():
    table = study.detector_table().set_index(["detector", "domain"])
    assert set(table.index.get_level_values(0)) == DETECTORS
    assert (table["ms"] > 0).all()
    row = table.loc["auto", "animation"]
    assert row["recall_low"] < row["recall"] < row["recall_high"]
    assert row["false_positives"] < table.loc["s3fd-lab", "animation"]["false_positives"] / 5
    assert row["recall"] > table.loc["auto-without-yunet", "animation"]["recall"]


def test_the_sources_of_published_outputs_are_recorded():
    footage = published.pairs().drop_duplicates("footage").set_index("footage")
    for name in study.detectors():
        table = study.detections(name, study.PUBLISHED_DETECTIONS)
        assert set(table["clip"]) == set(footage.index)
        assert (table["domain"] == table["clip"].map(footage["domain"])).all()
        assert (table["frame"] % 10 == 0).all()
    rates = study.published_rates([0.5])
    assert rates["recall"].between(0, 1).all()
    clips = rates.groupby(["detector", "domain"]).size()
    assert clips["auto", "animation"] >= study.LEAST_CLIPS
    assert sum(path.stat().st_size for path in study.PUBLISHED_DETECTIONS.iterdir()) < 1e6


def test_recall_falls_and_false_positives_fall_with_the_threshold():
    rates = study.detection_rates()
    for _, clip in rates.groupby(["detector", "domain", "clip"]):
        assert clip["recall"].is_monotonic_decreasing
        assert clip["false_positives"].is_monotonic_decreasing
    assert set(rates["domain"]) == {"animation", "live_action"}
    clips = rates.drop_duplicates(["detector", "clip"]).groupby(["detector", "domain"]).size()
    assert clips.min() >= study.LEAST_CLIPS


def test_the_readme_has_the_rates():
    readme = (study.HOME / "README.md").read_text(encoding="utf-8")
    rates = study.rates_by_domain(study.detection_rates([0.5])).set_index(["detector", "domain"])
    cost = pd.read_csv(study.DETECTIONS / "cost.csv").set_index("detector")["ms"]

    def cell(row, name):
        if name == "false_positives":
            return f"{row[name]:.2f} ({row[f'{name}_worst']:.2f})"
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return f"{row[name]:.2f}" + ("" if np.isnan(low) else f" ({low:.2f} to {high:.2f})")

    for name in study.detectors():
        rows = [rates.loc[name, domain] for domain in ("animation", "live_action")]
        cells = [cell(row, column) for row in rows for column in ("recall", "false_positives")]
        assert f"| `{name}` | {' | '.join(cells)} | {cost[name]:.0f} |" in readme
    page = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    for row in study.detector_table().query("domain == 'animation'").itertuples():
        recall = f"{row.recall:.2f} ({row.recall_low:.2f} to {row.recall_high:.2f})"
        assert f" | {recall} | {row.false_positives:.2f} | {row.ms:.0f} |" in page
    for domain, words in (("animation", "Animation"), ("live_action", "Filmed")):
        row = rates.loc["yunet", domain]
        assert f"{words}: {row['clips']:.0f} clips, {row['frames']:.0f} frames" in readme
    centre = study.detection_rates([0.5], match="centre").groupby(["detector", "domain"])["recall"].mean()
    assert f"recall of {centre['anime-lbp', 'animation']:.2f} and `lbp` of {centre['lbp', 'animation']:.2f}" in readme


def test_recording_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    class Fake:
        name, path, reads_pixels = "fake", None, True

        def __init__(self, weights):
            self.identity = {"detector": "fake", "sha256": weights}

        def detect(self, frames, first=0):
            calls.append(first)
            return [[detection.Detection(Box(1.4, 2, 3.6, 9), 0.123456)] if first else [] for _ in frames]

    script = Path(__file__).resolve().parents[2] / "benchmarks" / "record_detections.py"
    spec = importlib.util.spec_from_file_location("record_detections", script)
    spec.loader.exec_module(record_detections := importlib.util.module_from_spec(spec))
    calls = []
    monkeypatch.setattr(study, "DETECTIONS", tmp_path)
    monkeypatch.setattr(record_detections, "steps", lambda: {"animation_hello": 20, "astronaut_hello": 40})
    monkeypatch.setattr("sys.argv", ["record_detections.py", "fake"])
    monkeypatch.setattr(detection, "load", lambda name: Fake("a"))
    record_detections.main()
    entry = json.loads((tmp_path / "fake.json").read_text(encoding="utf-8"))["clips"]["animation_hello"]
    assert entry["candidates"][:2] == [[], [[1, 2, 4, 9, 0.123]]]
    assert calls[: len(entry["candidates"])] == list(range(0, samples.get("animation_hello").frames, 20))
    assert set(study.detections("fake")["clip"]) == {"animation_hello", "astronaut_hello"}
    whole, content = len(calls), json.loads((tmp_path / "fake.json").read_text(encoding="utf-8"))
    record_detections.main()
    assert len(calls) == whole
    del content["clips"]["astronaut_hello"]
    (tmp_path / "fake.json").write_text(json.dumps(content), encoding="utf-8")
    record_detections.main()
    assert len(calls) == whole + len(range(0, samples.get("astronaut_hello").frames, 40))
    monkeypatch.setattr(detection, "load", lambda name: Fake("b"))
    calls.clear()
    record_detections.main()
    assert len(calls) == whole
