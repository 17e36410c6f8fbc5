"""Detection: causes, runs, recall, trembling boxes and wrong faces, against brute force and by hand."""

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.detection import Detection
from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import detection, misses
from lipsync_lab.metrics.validation.response import perfect_ledger
from lipsync_lab.synthesis.truth import GroundTruth, table

FACE = (40, 30, 100, 90)


def known(count: int, **columns) -> pd.DataFrame:
    """A face in every frame that faces the camera; columns are changed from frame to frame by lists."""
    names = ("face_x1", "face_y1", "face_x2", "face_y2", "mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2")
    box = dict(zip(names, (*map(float, FACE), 60.0, 70.0, 80.0, 80.0), strict=True))
    truth = table(GroundTruth(frame=i, time=i / 25, pose="front", yaw=0.0, drawing=i, **box) for i in range(count))
    return truth.assign(**columns)


def without(truth: pd.DataFrame, missed) -> pd.DataFrame:
    """The ledger of a detector that misses those frames."""
    ledger = perfect_ledger(truth, (160, 120))
    ledger.loc[missed, ["x1", "y1", "x2", "y2"]] = np.nan
    ledger.loc[missed, "provenance"] = "missing"
    ledger.loc[missed, "mouth_generated"] = False
    ledger.loc[missed, "best_score"] = 0.3
    return ledger


def pixels(count: int, **columns) -> pd.DataFrame:
    calm = {"luma": 150.0, "contrast": 120.0, "motion": 1.0}
    return pd.DataFrame(calm, index=pd.RangeIndex(count, name="frame")).assign(**columns)


def test_a_perfect_detector_has_no_fault():
    numbers = detection.summary(detection.detection_metrics(perfect_ledger(known(6), (160, 120)), known(6, drawing=0)))
    wanted = {
        "missed_detection": 0,
        "not_generated": 0,
        "covered": 1,
        "best_score": 1,
        "longest_miss": 0,
        "jitter_centre": 0,
    }
    assert {name: numbers[name] for name in wanted} == wanted
    assert numbers["identity_switches"] == numbers["box_size_jitter_on_holds"] == 0
    assert numbers["jitter_covered"] == pytest.approx(5 / 6)
    assert np.isnan(numbers["false_positives"])  # nobody gave the candidates


def test_a_refused_candidate_keeps_its_score_and_a_filled_gap_is_still_a_miss():
    truth = known(4)
    ledger = without(truth, [1])
    ledger.loc[2, "provenance"] = "interpolated"
    metrics_table = detection.detection_metrics(ledger, truth)
    assert metrics_table["best_score"].tolist() == [1, 0.3, 1, 1]
    assert metrics_table["missed_detection"].tolist() == [0, 1, 1, 0]
    assert metrics_table["not_generated"].tolist() == [0, 1, 0, 0]


def test_where_no_face_is_nothing_was_missed():
    truth = known(4)
    truth.loc[1:, [f"face_{edge}" for edge in ("x1", "y1", "x2", "y2")]] = np.nan
    ledger = without(truth, [1, 2, 3])
    metrics_table = detection.detection_metrics(ledger, truth)
    assert metrics_table["missed_detection"].isna().tolist() == [False, True, True, True]
    assert detection.summary(metrics_table)["covered"] == 0.25
    assert (
        detection.summary(detection.detection_metrics(ledger))["missed_detection"] == 0.75
    )  # without truth every frame shows one


@pytest.mark.parametrize(
    ("cause", "number", "truth", "reasons"),
    [
        ("occluded", 1, {"occluded": 1}, {}),
        ("profile", 80, {"yaw": -80.0}, {}),
        ("small", 20, {"face_x1": 60.0, "face_x2": 80.0}, {}),
        ("dark", 22, {}, {"luma": 22.0}),
        ("low contrast", 9, {}, {"contrast": 9.0}),
        ("motion", 31, {}, {"motion": 31.0}),
        ("after a cut", 1, {"shot": [0, 0, 0, 1, 1, 1, 1, 1]}, {}),
        ("profile", 90, {"yaw": 90.0}, {"luma": 3.0}),  # the first that holds
        ("unexplained", np.nan, {}, {}),
    ],
)
def test_every_cause_brings_the_number_that_says_so(cause, number, truth, reasons):
    frames = known(8)
    for name, value in truth.items():
        if isinstance(value, list):
            frames[name] = value
        else:
            frames.loc[4, name] = value
    shown = pixels(8)
    for name, value in reasons.items():
        shown.loc[4, name] = value
    metrics_table = detection.detection_metrics(without(frames, [4]), frames, shown)
    assert metrics_table.loc[4, "cause"] == cause
    assert metrics_table.loc[4, "cause_value"] == pytest.approx(number, nan_ok=True)
    assert set(metrics_table["cause"].drop(4)) == {""}
    counted = misses.causes(metrics_table)
    assert counted.loc[cause, "misses"] == counted["misses"].sum() == 1
    if cause not in ("unexplained", "after a cut"):
        assert (counted.loc[cause, "among_missed"], counted.loc[cause, "among_found"]) == (1, 0)


def test_a_cause_that_nobody_can_tell_is_unknown():
    metrics_table = detection.detection_metrics(without(known(4), [1]))
    counted = misses.causes(metrics_table)
    assert counted.loc[["occluded", "profile", "dark"], ["among_missed", "among_found"]].isna().all(axis=None)
    assert counted.loc["unexplained", "misses"] == 1


def test_runs_of_misses_end_at_cuts():
    truth = known(10, shot=[0] * 5 + [1] * 5, yaw=[0, 70, 80, 90, 0, 0, 0, 0, 0, 0])
    runs = misses.miss_runs(detection.detection_metrics(without(truth, [1, 2, 3, 4, 5, 9]), truth, pixels(10)))
    assert runs[["first", "last", "length", "shot"]].to_numpy().tolist() == [[1, 4, 4, 0], [5, 5, 1, 1], [9, 9, 1, 1]]
    assert runs["cause"].tolist() == ["profile", "after a cut", "unexplained"]
    assert runs["cause_value"].tolist()[:2] == [80, 0]
    assert misses.miss_runs(detection.detection_metrics(perfect_ledger(truth, (160, 120)), truth)).empty


def test_trembling_is_in_units_of_the_box_and_only_on_held_drawings():
    truth = known(5, drawing=[0, 0, 0, 1, 1])
    ledger = perfect_ledger(truth, (160, 120))
    ledger.loc[1, ["best_x1", "best_x2"]] += 6.0
    ledger.loc[4, ["best_x1", "best_y1"]] -= 6.0
    ledger.loc[4, ["best_x2", "best_y2"]] += 6.0
    metrics_table = detection.detection_metrics(ledger, truth)
    assert metrics_table["jitter_centre"].tolist() == pytest.approx([np.nan, 0.1, 0.1, np.nan, 0], nan_ok=True)
    assert metrics_table["jitter_size"].tolist() == pytest.approx([np.nan, 0, 0, np.nan, np.log(72 / 60)], nan_ok=True)
    assert metrics_table["box_jitter_on_holds"].fillna(0).tolist() == [0] * 5
    assert detection.detection_metrics(ledger)["jitter_centre"].isna().all()  # nobody said what is held
    assert detection.detection_metrics(ledger, held=[0, 1, 0, 0, 0])["jitter_centre"].notna().tolist() == [
        0,
        1,
        0,
        0,
        0,
    ]
    # a camera that moves over a held drawing moves the box too
    sides = [name for name in truth if name[-2:] in ("x1", "x2")]
    panned = truth.assign(**{name: truth[name] + 3.0 * np.arange(5) for name in sides})
    calm = detection.detection_metrics(perfect_ledger(panned, (160, 120)), panned)
    assert calm["jitter_centre"].dropna().tolist() == pytest.approx([0, 0, 0])


def test_a_box_that_jumps_to_a_stranger_is_a_switch():
    truth = known(6, shot=[0, 0, 0, 0, 1, 1])
    ledger = perfect_ledger(truth, (160, 120))
    ledger.loc[2, ["x1", "x2"]] = [100.0, 160.0]
    ledger.loc[4:, ["x1", "x2"]] = [100.0, 160.0]  # after a cut
    assert detection.detection_metrics(ledger)["identity_switch"].tolist() == pytest.approx(
        [np.nan, 0, 1, 1, np.nan, 0], nan_ok=True
    )
    # with truth the way back is none
    assert detection.detection_metrics(ledger, truth)["identity_switch"].tolist() == pytest.approx(
        [np.nan, 0, 1, 0, np.nan, 0], nan_ok=True
    )
    gap = without(truth, [1])
    gap.loc[2, ["x1", "x2"]] = [100.0, 160.0]
    assert detection.detection_metrics(gap, truth).loc[2, "identity_switch"] == 1  # over a gap too


def random_candidates(rng, count):
    rows = []
    for _ in range(count):
        row = []
        for _ in range(rng.integers(0, 4)):
            x, y = np.array(FACE[:2]) + rng.integers(-25, 26, 2)
            row.append(Detection(Box(x, y, x + 60, y + 60), float(rng.random())))
        rows.append(sorted(row, key=lambda metrics_table: -metrics_table.score))
    return rows


def test_recall_against_threshold_by_brute_force():
    rng, truth = np.random.default_rng(1), known(40)
    truth.loc[30:, [f"face_{edge}" for edge in ("x1", "y1", "x2", "y2")]] = np.nan
    lists = {"one": random_candidates(rng, 40), "other": random_candidates(rng, 40), "blind": [[]] * 40}
    metrics_table = detection.recall(lists, truth, thresholds=(0.0, 0.3, 0.8))
    face = Box(*FACE)
    for (name, threshold), row in metrics_table.set_index(["detector", "threshold"]).iterrows():
        hits = sum(any(c.score > threshold and c.box.iou(face) >= 0.5 for c in row) for row in lists[name][:30])
        strange = sum(
            c.score > threshold and (i >= 30 or c.box.iou(face) < 0.3) for i, row in enumerate(lists[name]) for c in row
        )
        assert row["recall"] == pytest.approx(hits / 30)
        assert row["false_positives"] == pytest.approx(strange / 40)
        assert (row["frames"], row["covered"]) == (30, 0.75)
    assert len(metrics_table) == 9
    assert metrics_table[metrics_table["detector"] == "blind"]["recall"].eq(0).all()
    blind = detection.recall({"one": lists["one"]}, thresholds=(0.3,)).iloc[0]
    assert blind["recall"] == pytest.approx(np.mean([any(c.score > 0.3 for c in row) for row in lists["one"]]))
    assert np.isnan(blind["false_positives"])


def test_a_partner_is_no_false_face_when_he_is_known():
    truth, partner = known(2), Box(110, 20, 150, 60)
    rows = [[Detection(Box(*FACE), 0.9), Detection(partner, 0.8)], [Detection(Box(0, 0, 20, 20), 0.7)]]
    ledger = perfect_ledger(truth, (160, 120))
    alone = detection.detection_metrics(ledger, truth, candidates=rows)
    assert alone["false_positives"].tolist() == [1, 1]
    both = detection.detection_metrics(ledger, truth, candidates=rows, faces=[[Box(*FACE), partner]] * 2)
    assert both["false_positives"].tolist() == [0, 1]
    assert detection.detection_metrics(ledger, truth, candidates=rows, threshold=0.75)["false_positives"].tolist() == [
        1,
        0,
    ]


def test_several_detectors_stand_in_one_long_table():
    truth = known(3)
    tables = {
        "a": detection.detection_metrics(perfect_ledger(truth, (160, 120)), truth),
        "b": detection.detection_metrics(without(truth, [1])),
    }
    metrics_table = detection.compare(tables)
    assert metrics_table.groupby("detector")["missed_detection"].sum().to_dict() == {"a": 0, "b": 1}
    assert metrics_table["frame"].tolist() == [0, 1, 2] * 2


def test_pixels_are_those_of_the_face():
    truth = known(3, shot=[0, 0, 1])
    frames = np.full((3, 120, 160, 3), 250, np.uint8)
    x1, y1, x2, y2 = FACE
    frames[:, y1:y2, x1:x2] = 20
    frames[1:, y1:y2, x1 : (x1 + x2) // 2] = 80
    metrics_table = detection.pixels(iter(frames), perfect_ledger(truth, (160, 120)), truth)
    assert metrics_table["luma"].tolist() == [20, 50, 50]
    assert metrics_table["contrast"].tolist() == [0, 60, 60]
    assert metrics_table["motion"].tolist() == pytest.approx([np.nan, 30, np.nan], nan_ok=True)  # a cut is no motion
    # without truth, the nearest box of the shot
    nearest = detection.pixels(iter(frames), without(truth, [1]))
    assert nearest.loc[1, "luma"] == (50 * 60 + 250 * 4) / 64  # the box drawn on goes on under the chin
    assert detection.pixels(iter(frames), without(truth, [2])).loc[2, "luma"] > 150  # its shot has none


def test_intersection_over_union_is_geometrys():
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 40, (2, 50, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(1, 40, (2, 50, 2))), axis=2)
    wanted = [Box(*a).iou(Box(*b)) for a, b in zip(*boxes, strict=True)]
    assert detection.iou(*boxes) == pytest.approx(np.array(wanted))


def test_the_truth_of_a_shorter_clip_is_refused():
    with pytest.raises(ParameterError, match="truth knows 2 frames, the ledger 3"):
        detection.detection_metrics(perfect_ledger(known(3), (160, 120)), known(2))
