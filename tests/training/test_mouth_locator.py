"""The mouth locator's training: points move with their pictures, errors and thresholds are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from training_material import schedule

from lipsync_lab import bundled
from lipsync_lab.generation.cel import locate
from lipsync_lab.models.mouth_locator import SIDE, VISIBILITIES
from lipsync_lab.training import loop, mouth_examples, mouth_locator, mouth_marks
from lipsync_lab.training.mouth_examples import STORED, MouthExamples
from lipsync_lab.training.mouth_locator import HIDDEN, NO_FACE, OFF, VISIBLE
from lipsync_lab.training.recipes import MouthLocatorRecipe

#: The bundled table.
MARKS = bundled.folder("study") / "mouths.csv"
POINTS = np.array([[44.0, 70.0], [68.0, 70.0], [56.0, 66.0], [56.0, 76.0]])


def spotted(count: int = 1) -> MouthExamples:
    """Grey crops with a white spot at each of the four points."""
    crop = np.full((STORED, STORED, 3), 60, np.uint8)
    for x, y in POINTS.astype(int):
        crop[y - 2 : y + 2, x - 2 : x + 2] = 255
    return MouthExamples(
        np.stack([crop] * count),
        np.stack([POINTS] * count).astype(np.float32),
        np.zeros(count, int),
        np.array(["anime"] * count),
    )


def test_points_move_with_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(30):
        crop, points, label = mouth_locator.varied(spotted(), 0, rng, events=False, degraded=False)
        assert label == VISIBLE
        assert points[0, 0] < points[1, 0]
        for x, y in points * SIDE:
            if 4 < x < SIDE - 4 and 4 < y < SIDE - 4:
                part = crop[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4, 0].astype(float) - 60
                rows, columns = np.mgrid[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] + 0.5
                centre = (part * columns).sum() / part.sum(), (part * rows).sum() / part.sum()
                assert centre == pytest.approx((x, y), abs=0.75)


def test_events_hide_the_mouth_or_remove_it():
    rng = np.random.default_rng(0)
    examples, shown = spotted(), {label: [] for label in range(len(VISIBILITIES))}
    for _ in range(400):
        crop, points, label = mouth_locator.varied(examples, 0, rng, degraded=False)
        shown[label].append((crop, points * SIDE))
    assert min(len(shown[label]) for label in (VISIBLE, HIDDEN, OFF, NO_FACE)) > 5
    for _, points in shown[NO_FACE]:
        assert not ((points > 0) & (points < SIDE)).all(axis=1).any()
    for crop, points in shown[VISIBLE]:
        x, y = points.mean(0).astype(int)
        if 8 < x < SIDE - 8 and 8 < y < SIDE - 8:
            assert crop[y - 8 : y + 8, x - 8 : x + 8].max() > 150


def test_errors_are_shares_of_the_width():
    moved = POINTS + (3.0, 4.0)
    wider = POINTS + np.array([[-3.0, 0], [3.0, 0], [0, 0], [0, 0]])
    turned = np.array([[44.0, 58.0], [44.0, 82.0], [48.0, 70.0], [38.0, 70.0]])
    wrong = np.asarray(mouth_locator.errors(np.stack([moved, wider, turned]), np.stack([POINTS] * 3)))
    assert wrong[0] == pytest.approx((5 / 24, 0, 0, 0))
    assert wrong[1] == pytest.approx((0, 6 / 24, 0, 0))
    assert wrong[2, 1:] == pytest.approx((0, 0, 90))


def test_one_batch_of_mouths_can_be_learnt():
    task = mouth_locator.MouthLocatorTask(MouthLocatorRecipe(schedule(12, 3e-3), 0.25, crops=6), spotted(4))
    batch = {key: loop.tensor(value) for key, value in task.batch(np.random.default_rng(0), 0).items()}
    run = loop._Run(task, task.recipe.schedule, "cpu")
    numbers = [run.forward(batch, step, bf16=False) for step in range(12)]
    for name in ("distance", "cells", "classes"):
        assert numbers[-1][name] < 0.9 * numbers[0][name]


def test_a_seed_gives_the_same_examples_within_the_crop():
    first, again = (list(mouth_examples.of_seed(3)) for _ in range(2))
    assert len(first) == len(again) > 3
    for (crop, points, name, style), (other, *_) in zip(first, again, strict=True):
        assert (crop == other).all()
        assert name in VISIBILITIES
        assert style in ("anime", "flat", "rubberhose", "western")
        assert (points > 0).all()
        assert (points < STORED).all()
        assert points[0, 0] < points[1, 0]
        assert points[2, 1] <= points[3, 1]


def test_the_threshold_is_the_lowest_that_is_right_often_enough():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    right = np.array([True, True, True, True, False, False])
    assert mouth_marks.threshold_for(confidence, right) == 0.6
    assert mouth_marks.threshold_for(confidence, right, wanted=0.75) == 0.5
    assert mouth_marks.threshold_for(confidence, ~right) == float("inf")


def test_reliability_of_an_honest_confidence():
    rng = np.random.default_rng(0)
    sure = rng.random(20_000)
    honest = mouth_locator.reliability(sure, rng.random(20_000) < sure)
    assert honest["confidence_error"] < 0.02
    assert honest["confidence_auc"] == pytest.approx(5 / 6, abs=0.02)  # of a uniform honest confidence
    assert mouth_locator.reliability(sure, rng.random(20_000) < 0.5)["confidence_error"] == pytest.approx(
        0.25, abs=0.02
    )


def test_marks_of_the_study():
    marks = mouth_marks.read_marks(MARKS)
    again = mouth_marks.read_marks(MARKS, repeated=True)
    assert len(marks) >= 150
    assert len(again) == 20
    both = again.merge(marks, on=["clip", "frame"])
    assert len(both) == 20
    before, after = (
        both[[f"{name}_{side}" for name in mouth_marks.POINTS]].to_numpy(float).reshape(-1, 4, 2) for side in "xy"
    )
    wrong = np.asarray(mouth_locator.errors(before, after))
    assert np.median(wrong[:, 0]) < 0.05  # one labeller agrees with themselves
    assert (wrong[:, 0] < 0.15).all()
    assert set(marks["visibility"]) <= set(VISIBILITIES)
    assert (marks["left_x"] < marks["right_x"]).all()
    assert locate.DRAWABLE == ("visible", "profile")
