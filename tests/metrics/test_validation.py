"""Validation of the metrics: artifacts are injected at known strengths into a synthetic clip."""

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.shapes import MouthShape
from lipsync_lab.metrics import artifacts, openness, registry
from lipsync_lab.metrics.validation import injected, response
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.truth import table

POSES = [MouthShape("A", 0.0, 0.5), MouthShape("D", 1.0, 0.6, teeth=0.6), MouthShape("B", 0.2, 0.6, teeth=0.8)]
SIZE, FRAMES = 160, 16


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, pd.DataFrame]:
    """An animated face on twos that opens and closes its mouth."""
    setting = scene.Scene(seed=7, style="anime", size=(SIZE, SIZE), framing="portrait", life=0.6)
    frames, truths = zip(*scene.frames(setting, lambda time: POSES[int(time * 8) % 3], FRAMES / 25), strict=True)
    return np.stack(frames), table(truths)


def late(degraded: response.Degraded) -> float:
    """A stand-in for a metric of sync: seconds before the sound begins."""
    return float(np.argmax(degraded.wave > 0.5)) / 16_000


@pytest.fixture(scope="module")
def matrix(made) -> pd.DataFrame:
    wave = np.ones(16_000, np.float32)
    return response.response_matrix(*made, wave=wave, sync={"late": late})


NAMED = {**response.artifacts_and_metrics(), "offset": "late"}


def test_every_artifact_is_injected_at_every_strength(matrix):
    assert set(matrix["artifact"]) == set(NAMED)
    assert len(matrix) == len(NAMED) * len(response.STRENGTHS) * matrix["metric"].nunique()


def test_identity_in_gives_the_value_of_an_untouched_frame(matrix):
    """Every validated metric, and the others of `artifacts` too, where they cover anything."""
    none = matrix[matrix["strength"] == 0].set_index("metric")["value"]
    assert none[list(NAMED.values())].eq(0).all()
    wanted = {metric.name: metric.untouched for metric in registry.metrics()}
    del wanted["crop_truncation"]  # where the box lies does not depend on the output
    for name in set(none.index) & set(wanted):
        assert none[name].to_numpy() == pytest.approx(wanted[name], abs=1e-6, nan_ok=True), name
    assert {metric.name for metric in artifacts.METRICS} <= set(none.index)


@pytest.mark.parametrize("artifact", NAMED)
def test_a_metric_rises_with_its_artifact(matrix, artifact):
    assert response.rises(matrix, NAMED)[artifact] >= 0.9


@pytest.mark.parametrize("artifact", NAMED)
def test_an_artifact_moves_its_metric_more_than_any_other(matrix, artifact):
    """In units of a metric's response to its own artifact at full strength: see `responses`."""
    moved = response.responses(matrix, NAMED)
    assert moved.loc[artifact, NAMED[artifact]] == 1
    assert moved.loc[artifact].drop(NAMED[artifact]).max() < 0.9
    assert moved[NAMED[artifact]].drop(artifact).max() < 0.9


def test_nothing_is_changed_outside_the_box(matrix):
    background = matrix[matrix["metric"] == "background_change"]
    assert background["value"].max() < 0.5


def test_a_metric_that_does_not_change_does_not_rise(matrix):
    assert response.rises(matrix, {"Gaussian blur": "missed_detection"})["Gaussian blur"] == 0
    still = matrix.assign(value=matrix["value"].where(matrix["metric"] != "boundary_artifact", 1 - matrix["value"]))
    assert response.rises(still)["boundary step"] < -0.9
    assert not response.validated(still).loc["boundary step", "rises with its artifact"]


def test_the_validation_says_which_artifact_moves_another_metric_more(matrix):
    assert response.validated(matrix, NAMED).all(axis=None)
    blurred = (matrix["artifact"] == "Gaussian blur") & (matrix["strength"] > 0)
    values = matrix["value"].where(~(blurred & (matrix["metric"] == "colour_shift")), 1e3)
    dominates = response.validated(matrix.assign(value=values), NAMED)["diagonal dominates"]
    named = {artifact for artifact, metric in NAMED.items() if metric == "colour_shift"}
    assert set(dominates.index[~dominates]) == {"Gaussian blur", *named}


@pytest.fixture(scope="module")
def material(made) -> injected.Material:
    frames, ground_truth = made
    ledger = response.perfect_ledger(ground_truth, (SIZE, SIZE))
    mouths = ground_truth[["mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"]].to_numpy(float)
    return injected.Material(
        frames, ledger[["x1", "y1", "x2", "y2"]].to_numpy(float), mouths, ground_truth["drawing"].to_numpy()
    )


INJECTED = {
    metric.artifact.name: metric.artifact.inject
    for metric in registry.metrics()
    if metric.artifact is not None and metric.artifact.changes == "frames"
}


@pytest.mark.parametrize("name", INJECTED)
def test_a_picture_artifact_depends_on_strength_and_seed_alone(material, name):
    inject = INJECTED[name]
    before = material.frames.copy()
    assert np.array_equal(inject(material, 0.0, 1), before)
    full = inject(material, 1.0, 1)
    assert full.dtype == np.uint8
    assert full.shape == before.shape
    assert not np.array_equal(full, before)
    assert np.array_equal(inject(material, 1.0, 1), full)
    assert np.array_equal(material.frames, before)


def test_more_boxes_are_dropped_and_the_first_ones_stay_dropped(material):
    gone = [np.isnan(injected.dropped_boxes(material, s, 3)).any(axis=1) for s in (0, 0.25, 0.5, 1)]
    assert [int(mask.sum()) for mask in gone] == [0, 3, 6, 13]
    assert all((a <= b).all() for a, b in zip(gone, gone[1:], strict=False))


def test_a_late_sound_is_the_same_sound_later():
    wave = np.arange(1, 11, dtype=np.float32)
    assert injected.offset(wave, 0.5, seconds=1.0, rate=6).tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert injected.offset(wave, 0.0).tolist() == wave.tolist()
    assert injected.offset(wave, 1.0).tolist() == [0] * 10


def test_the_mouths_lag_behind_the_sound_is_the_injected_one():
    """The artifact "offset", by the metric of sync that needs no network."""
    rng = np.random.default_rng(6)
    loud = np.repeat(rng.uniform(0.02, 0.9, 50), 2)
    wave = (np.repeat(loud, 640) * rng.choice([-1.0, 1.0], 64_000)).astype(np.float32)
    lags = []
    for strength in response.STRENGTHS:
        curve, _ = openness.follows_sound(20 * np.log10(loud), injected.offset(wave, strength), 25)
        lags.append(-float(curve["offset"][curve["correlation"].idxmax()]))
    assert lags == [0, 2, 4, 6, 8, 10]


def test_impossible_artifacts_are_refused(material):
    with pytest.raises(ParameterError, match="strength 1.5"):
        injected.blur(material, 1.5)
    with pytest.raises(ParameterError, match="as many boxes"):
        injected.Material(material.frames, material.boxes[:3], material.mouths, material.drawings)
