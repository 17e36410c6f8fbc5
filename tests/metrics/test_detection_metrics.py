"""Detection: causes, runs, recall, box jitter and identity switches, against brute force and by hand."""

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
    ground_truth = table(
        GroundTruth(frame=i, time=i / 25, pose="front", yaw=0.0, drawing=i, **box) for i in range(count)
    )
    return ground_truth.assign(**columns)


def without(ground_truth: pd.DataFrame, missed) -> pd.DataFrame:
    """The ledger of a detector that misses those frames."""
    ledger = perfect_ledger(ground_truth, (160, 120))
    ledger.loc[missed, ["x1", "y1", "x2", "y2"]] = np.nan
    ledger.loc[missed, "provenance"] = "missing"
    ledger.loc[missed, "mouth_generated"] = False
    ledger.loc[missed, "best_score"] = 0.3
    return ledger


def pixels(count: int, **columns) -> pd.DataFrame:
    calm = {"luma": 150.0, "contrast": 120.0, "motion": 1.0}
    return pd.DataFrame(calm, index=pd.RangeIndex(count, name="frame")).assign(**columns)


def test_a_perfect_detector_has_no_failure():
    metrics_table = detection.detection_metrics(perfect_ledger(known(6), (160, 120)), known(6, drawing=0))
    zero = ["missed_detection", "not_generated", "jitter_centre", "box_size_jitter_on_holds", "identity_switch"]
    assert metrics_table[zero].max().tolist() == [0] * 5
    assert metrics_table["best_score"].eq(1).all()
    assert metrics_table["jitter_centre"].count() == 5
    assert metrics_table["false_positives"].isna().all()  # the candidates are not given
    assert misses.dropouts(metrics_table).empty


def test_a_refused_candidate_keeps_its_score_and_a_filled_dropout_is_still_a_miss():
    ground_truth = known(4)
    ledger = without(ground_truth, [1])
    ledger.loc[2, "provenance"] = "interpolated"
    metrics_table = detection.detection_metrics(ledger, ground_truth)
    assert metrics_table["best_score"].tolist() == [1, 0.3, 1, 1]
    assert metrics_table["missed_detection"].tolist() == [0, 1, 1, 0]
    assert metrics_table["not_generated"].tolist() == [0, 1, 0, 0]


def test_a_frame_without_a_face_has_no_missed_detection():
    ground_truth = known(4)
    ground_truth.loc[1:, [f"face_{edge}" for edge in ("x1", "y1", "x2", "y2")]] = np.nan
    ledger = without(ground_truth, [1, 2, 3])
    metrics_table = detection.detection_metrics(ledger, ground_truth)
    assert metrics_table["missed_detection"].isna().tolist() == [False, True, True, True]
    # without ground truth every frame is taken to have a face
    assert detection.detection_metrics(ledger)["missed_detection"].mean() == 0.75


@pytest.mark.parametrize(
    ("cause", "number", "ground_truth", "reasons"),
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
def test_every_cause_comes_with_its_number(cause, number, ground_truth, reasons):
    frames = known(8)
    for name, value in ground_truth.items():
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
    counted = misses.missed_detection_causes(metrics_table)
    assert counted.loc[cause, "misses"] == counted["misses"].sum() == 1
    if cause not in ("unexplained", "after a cut"):
        assert (counted.loc[cause, "among_missed"], counted.loc[cause, "among_detected"]) == (1, 0)


def test_without_ground_truth_and_pixels_a_cause_is_unknown():
    metrics_table = detection.detection_metrics(without(known(4), [1]))
    counted = misses.missed_detection_causes(metrics_table)
    assert counted.loc[["occluded", "profile", "dark"], ["among_missed", "among_detected"]].isna().all(axis=None)
    assert counted.loc["unexplained", "misses"] == 1


def test_runs_of_misses_end_at_cuts():
    ground_truth = known(10, shot=[0] * 5 + [1] * 5, yaw=[0, 70, 80, 90, 0, 0, 0, 0, 0, 0])
    runs = misses.dropouts(
        detection.detection_metrics(without(ground_truth, [1, 2, 3, 4, 5, 9]), ground_truth, pixels(10))
    )
    assert runs[["first", "last", "length", "shot"]].to_numpy().tolist() == [[1, 4, 4, 0], [5, 5, 1, 1], [9, 9, 1, 1]]
    assert runs["cause"].tolist() == ["profile", "after a cut", "unexplained"]
    assert runs["cause_value"].tolist()[:2] == [80, 0]
    assert misses.dropouts(detection.detection_metrics(perfect_ledger(ground_truth, (160, 120)), ground_truth)).empty


def test_jitter_is_in_units_of_the_box_and_only_on_held_drawings():
    ground_truth = known(5, drawing=[0, 0, 0, 1, 1])
    ledger = perfect_ledger(ground_truth, (160, 120))
    ledger.loc[1, ["best_x1", "best_x2"]] += 6.0
    ledger.loc[4, ["best_x1", "best_y1"]] -= 6.0
    ledger.loc[4, ["best_x2", "best_y2"]] += 6.0
    metrics_table = detection.detection_metrics(ledger, ground_truth)
    assert metrics_table["jitter_centre"].tolist() == pytest.approx([np.nan, 0.1, 0.1, np.nan, 0], nan_ok=True)
    assert metrics_table["jitter_size"].tolist() == pytest.approx([np.nan, 0, 0, np.nan, np.log(72 / 60)], nan_ok=True)
    assert metrics_table["box_jitter_on_holds"].fillna(0).tolist() == [0] * 5
    assert detection.detection_metrics(ledger)["jitter_centre"].isna().all()  # it is unknown which frames are held
    assert detection.detection_metrics(ledger, held=[0, 1, 0, 0, 0])["jitter_centre"].notna().tolist() == [
        0,
        1,
        0,
        0,
        0,
    ]
    # a camera that moves over a held drawing moves the box too
    sides = [name for name in ground_truth if name[-2:] in ("x1", "x2")]
    panned = ground_truth.assign(**{name: ground_truth[name] + 3.0 * np.arange(5) for name in sides})
    calm = detection.detection_metrics(perfect_ledger(panned, (160, 120)), panned)
    assert calm["jitter_centre"].dropna().tolist() == pytest.approx([0, 0, 0])


def test_a_box_that_jumps_to_another_place_is_an_identity_switch():
    ground_truth = known(6, shot=[0, 0, 0, 0, 1, 1])
    ledger = perfect_ledger(ground_truth, (160, 120))
    ledger.loc[2, ["x1", "x2"]] = [100.0, 160.0]
    ledger.loc[4:, ["x1", "x2"]] = [100.0, 160.0]  # after a cut
    assert detection.detection_metrics(ledger)["identity_switch"].tolist() == pytest.approx(
        [np.nan, 0, 1, 1, np.nan, 0], nan_ok=True
    )
    # with ground truth the way back is none
    assert detection.detection_metrics(ledger, ground_truth)["identity_switch"].tolist() == pytest.approx(
        [np.nan, 0, 1, 0, np.nan, 0], nan_ok=True
    )
    gap = without(ground_truth, [1])
    gap.loc[2, ["x1", "x2"]] = [100.0, 160.0]
    assert detection.detection_metrics(gap, ground_truth).loc[2, "identity_switch"] == 1  # over a gap too


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
    rng, ground_truth = np.random.default_rng(1), known(40)
    ground_truth.loc[30:, [f"face_{edge}" for edge in ("x1", "y1", "x2", "y2")]] = np.nan
    lists = {"one": random_candidates(rng, 40), "other": random_candidates(rng, 40), "blind": [[]] * 40}
    metrics_table = detection.recall(lists, ground_truth, thresholds=(0.0, 0.3, 0.8))
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


def test_false_positives_are_candidates_above_the_threshold_that_are_not_the_face():
    ground_truth = known(2)
    rows = [[Detection(Box(*FACE), 0.9), Detection(Box(110, 20, 150, 60), 0.8)], [Detection(Box(0, 0, 20, 20), 0.7)]]
    for threshold, wanted in ((0.5, [1, 1]), (0.75, [1, 0])):
        table = detection.detection_metrics(
            perfect_ledger(ground_truth, (160, 120)), ground_truth, candidates=rows, threshold=threshold
        )
        assert table["false_positives"].tolist() == wanted


def test_pixels_are_those_of_the_face():
    ground_truth = known(3, shot=[0, 0, 1])
    frames = np.full((3, 120, 160, 3), 250, np.uint8)
    x1, y1, x2, y2 = FACE
    frames[:, y1:y2, x1:x2] = 20
    frames[1:, y1:y2, x1 : (x1 + x2) // 2] = 80
    metrics_table = detection.pixels(iter(frames), perfect_ledger(ground_truth, (160, 120)), ground_truth)
    assert metrics_table["luma"].tolist() == [20, 50, 50]
    assert metrics_table["contrast"].tolist() == [0, 60, 60]
    assert metrics_table["motion"].tolist() == pytest.approx([np.nan, 30, np.nan], nan_ok=True)  # a cut is no motion
    # without ground truth, the nearest box of the shot
    nearest = detection.pixels(iter(frames), without(ground_truth, [1]))
    assert nearest.loc[1, "luma"] == (50 * 60 + 250 * 4) / 64  # the box of the generated mouth goes on under the chin
    assert detection.pixels(iter(frames), without(ground_truth, [2])).loc[2, "luma"] > 150  # its shot has none


def test_intersection_over_union_is_geometrys():
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 40, (2, 50, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(1, 40, (2, 50, 2))), axis=2)
    wanted = [Box(*a).iou(Box(*b)) for a, b in zip(*boxes, strict=True)]
    assert detection.iou(*boxes) == pytest.approx(np.array(wanted))


def test_the_ground_truth_of_a_shorter_clip_is_refused():
    with pytest.raises(ParameterError, match="2 rows for 3 frames"):
        detection.detection_metrics(perfect_ledger(known(3), (160, 120)), known(2))
