"""Sync: golden numbers, brute force, and networks that measure the time, for which every injected offset is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pandas
import pytest
import torch
from golden_weights import fill
from scipy.signal import medfilt

from lipsync_lab import samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.generation import crop
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.audio import SAMPLE_RATE, melspectrogram
from lipsync_lab.metrics import controls, openness, sync, syncnet_inputs
from lipsync_lab.metrics.sync import LSE, SYNC_EXPERT, Lips, embed_audio, embed_frames, measure_sync, offset_distances
from lipsync_lab.metrics.syncnet_inputs import crop_at, crop_places
from lipsync_lab.models import registry
from lipsync_lab.models.syncnet import SyncNetColor, SyncNetV2
from lipsync_lab.samples import HOME
from lipsync_lab.training.clips import Clip, unknown_ground_truth
from lipsync_lab.training.expert import lower_halves

#: The same rules on smaller faces: what the network makes of them is tested with the real one.
SMALL_LSE = replace(LSE, side=8)
PROTOCOLS = pytest.mark.parametrize("protocol", [SMALL_LSE, SYNC_EXPERT], ids=lambda protocol: protocol.name)


@pytest.fixture(scope="module")
def known(golden) -> dict[str, np.ndarray]:
    with np.load(golden / "syncnet_v2.npz") as archive:
        return dict(archive)


# --- the published numbers ---


def test_mfcc_is_that_of_python_speech_features(known, monkeypatch):
    wave = (known["pcm"] / 32768).astype(np.float32)
    coefficients = syncnet_inputs.mfcc(wave)
    assert coefficients.shape == known["mfcc"].shape
    np.testing.assert_allclose(coefficients, known["mfcc"], atol=1e-4)
    monkeypatch.setattr(syncnet_inputs, "_BLOCK", 7)
    np.testing.assert_allclose(
        syncnet_inputs.mfcc(wave), coefficients, rtol=1e-12, atol=1e-12
    )  # the work in blocks leaves no seam


@pytest.mark.parametrize(("samples", "columns"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3)])
def test_mfcc_columns(samples: int, columns: int):
    assert syncnet_inputs.mfcc(np.zeros(samples, np.float32)).shape == (13, columns)


def test_mfcc_of_silence_is_finite_and_of_nothing_an_error():
    assert np.isfinite(syncnet_inputs.mfcc(np.zeros(3200, np.float32))).all()
    with pytest.raises(ParameterError, match="at least one sample"):
        syncnet_inputs.mfcc(np.zeros(0, np.float32))


def test_lse_curve_offset_and_confidence_are_the_published_ones(known):
    curve = offset_distances(LSE, known["lip"], known["aud"], int(known["vshift"])).mean(axis=0)
    np.testing.assert_allclose(curve[::-1], known["mean_dist"], rtol=1e-5)  # published from late sound to early
    assert curve.argmin() - int(known["vshift"]) == known["offset"]
    assert curve.min() == pytest.approx(float(known["min_distance"]), rel=1e-5)
    assert np.median(curve) - curve.min() == pytest.approx(float(known["confidence"]), abs=1e-3)


def test_lse_embeddings_are_the_published_ones(known):
    y, x = np.mgrid[0:224, 0:224].astype(float)
    faces = [
        np.stack(
            [
                110 + 70 * np.sin((x + y) / 35 + 0.15 * i),
                120 + 80 * np.cos(y / 31 - 0.2 * i) + 30 * np.sin(x / 21),
                128 + 90 * np.sin(x / 27 + 0.3 * i) + 20 * np.cos(y / 19),
            ],
            axis=2,
        )
        for i in range(8)
    ]
    network = fill(SyncNetV2())
    lips = embed_frames(LSE, network, [face.clip(0, 255).astype(np.uint8) for face in faces])
    np.testing.assert_allclose(lips.embeddings, known["lip"][:3], rtol=1e-3, atol=1e-3)
    sounds = embed_audio(LSE, network, (known["pcm"] / 32768).astype(np.float32))
    assert sounds.shape == known["aud"].shape
    np.testing.assert_allclose(sounds, known["aud"], rtol=1e-3, atol=1e-3)


def test_the_inputs_of_the_expert_are_those_of_its_training():
    rng = np.random.default_rng(1)
    faces = rng.integers(0, 256, (9, 96, 96, 3)).astype(np.uint8)
    wave = rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    windows = np.stack([faces[i : i + 5] for i in range(5)])
    torch.testing.assert_close(SYNC_EXPERT.lips(torch.from_numpy(windows)), lower_halves(torch.from_numpy(windows)))
    clip = Clip(faces, melspectrogram(wave), 0, "live_action", "a", "a", **unknown_ground_truth(9))
    sounds = SYNC_EXPERT.sounds(wave)
    np.testing.assert_array_equal(sounds[:9, 0], clip.windows(np.arange(9)))
    network = fill(SyncNetColor(0.125))
    with torch.inference_mode():
        audio, lips = network(torch.from_numpy(sounds[:5]), lower_halves(torch.from_numpy(windows)))
    np.testing.assert_allclose(embed_frames(SYNC_EXPERT, network, faces).embeddings, lips, atol=1e-5)
    np.testing.assert_allclose(embed_audio(SYNC_EXPERT, network, wave)[:5], audio, atol=1e-5)


# --- networks that measure the time: the lips show it as a grey level, the sound as its loudness ---

STEP_DB, LENGTH = 0.6, 90


@cache
def rising(late: int = 0, frames: int = LENGTH) -> np.ndarray:
    """A tone that grows by so many decibels a frame, heard that many frames later."""
    time = np.arange(frames * 640) / SAMPLE_RATE
    gain = 10 ** ((STEP_DB * (25 * time - late) - 65) / 20)
    return (gain * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)


class Clock(torch.nn.Module):
    """A network whose embeddings are hands of a clock."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol
        self.slope = STEP_DB * (np.log(10) / 10 if protocol.published else 0.08)
        self.start = self.loudness(torch.from_numpy(protocol.sounds(rising())))[20] - 20 * self.slope

    def loudness(self, sound):
        return (sound[:, 0, 0] if self.protocol.published else sound[:, 0].amax(dim=1)).mean(dim=1)

    def forward(self, sound, lips):
        shown = lips.flatten(1)[:, 0] * (1 if self.protocol.published else 255) / 2
        times = (self.loudness(sound) - self.start) / self.slope, shown
        return tuple(torch.stack([(0.1 * t).cos(), (0.1 * t).sin()], dim=1).float() for t in times)


def dial(protocol, frames: int = LENGTH, fps: float = 25) -> list[np.ndarray]:
    """Faces whose grey is twice the time in 25ths of a second."""
    return [np.full((protocol.side, protocol.side, 3), round(50 * i / fps), np.uint8) for i in range(frames)]


@cache
def embedded(protocol, frames: int = LENGTH, fps: float = 25) -> tuple[Lips, Clock]:
    network = Clock(protocol)
    return embed_frames(protocol, network, dial(protocol, frames, fps), fps), network


@PROTOCOLS
@pytest.mark.parametrize("late", range(-6, 7))
def test_injected_offsets_are_measured_exactly(protocol, late: int):
    """Positive as in syncnet_python: the sound comes too early."""
    lips, network = embedded(protocol)
    measured = measure_sync(lips, network, rising(late))
    assert measured.offset == -late
    assert measured.confidence > 0.2
    assert measured.covered >= (LENGTH - 1) / LENGTH
    assert measured.curve["offset"].tolist() == list(range(-15, 16))
    if protocol is SYNC_EXPERT:
        assert measured.distance < 1e-3
        assert measured.curve["windows"].tolist() == [86 - abs(offset) for offset in range(-15, 16)]
        # the hands are `late` tenths of a radian apart, and windows of sound begin up to a quarter of a frame early
        assert measured.at_zero == pytest.approx(1 - np.cos(0.1 * late), abs=0.02)


@pytest.mark.parametrize(
    ("fps", "sources"),
    [
        (12.5, [0, 0, 1, 1, 2, 2]),
        (25, [0, 1, 2, 3, 4, 5]),
        (24, [0, 1, 2, 3, 4, 5]),
        (30, [0, 1, 2, 4, 5, 6]),
        (50, [0, 2, 4, 6, 8, 10]),
    ],
)
def test_every_25th_of_a_second_shows_the_frame_that_stands_in_its_middle(fps: float, sources: list[int]):
    lips, _ = embedded(SYNC_EXPERT, int(LENGTH * fps / 25), fps)
    assert lips.sources[:6].tolist() == sources
    assert abs(len(lips.sources) - LENGTH) <= 1
    middles = (np.arange(len(lips.sources)) + 0.5) / 25
    assert (lips.sources / fps <= middles).all()
    assert (middles <= (lips.sources + 1) / fps + 1e-9).all()


@pytest.mark.parametrize("fps", [20, 24, 30, 50])
@pytest.mark.parametrize("late", [-4, 0, 3])
def test_other_frame_rates_are_brought_to_25_by_time(fps: float, late: int):
    lips, network = embedded(SYNC_EXPERT, int(LENGTH * fps / 25), fps)
    measured = measure_sync(lips, network, rising(late))
    assert measured.offset == -late
    assert measured.covered == pytest.approx(1, abs=0.05)
    assert len(measured.frames) == lips.frames == int(LENGTH * fps / 25)


# --- the logic, against loops ---


@pytest.mark.parametrize(("late", "known"), [(3, True), (-3, True), (4, False), (-4, False), (6, False)])
def test_an_offset_at_the_edge_of_the_range_is_undefined(late: int, known: bool):
    """Beyond the edge the distance may fall further, and at the edge that cannot be told apart."""
    measured = measure_sync(*embedded(SYNC_EXPERT), rising(late), shift=4)
    assert measured.offset == -late if known else np.isnan(measured.offset)
    scores = {score.score: score for score in measured.scores}
    assert scores["av_offset"].reason == (
        "" if known else "the least distance lies at the edge of the range of 4 frames"
    )
    assert scores["syncnet_distance"].reason == ""
    assert scores["syncnet_confidence"].value > 0


@PROTOCOLS
@pytest.mark.parametrize("shift", [2, 4])
def test_curve_offset_and_frames_against_brute_force(protocol, shift: int, monkeypatch):
    rng = np.random.default_rng(3)
    lips, sounds = (rng.normal(size=(count, 6)).astype(np.float32) for count in (14, 17))
    lips[[4, 9]] = np.nan
    monkeypatch.setattr(sync, "embed_audio", lambda *_: sounds)
    noise = rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    measured = measure_sync(Lips(protocol, lips, np.arange(18), 18, 25.0), None, noise, shift)

    def distance(i, j):
        inside = 0 <= j < 14
        if protocol is SYNC_EXPERT:
            return 1 - float(np.dot(lips[i], sounds[j])) if inside else None
        return float(np.sqrt(sum((lips[i] - (sounds[j] if inside else 0) + 1e-6) ** 2)))

    known = [i for i in range(14) if i not in (4, 9)]
    curve = []
    for offset in range(-shift, shift + 1):
        pairs = [d for d in (distance(i, i - offset) for i in known) if d is not None]
        curve.append(sum(pairs) / len(pairs))
    np.testing.assert_allclose(measured.curve["distance"], curve, rtol=1e-5)
    least = int(np.argmin(curve))
    assert measured.offset == least - shift or (np.isnan(measured.offset) and least in (0, 2 * shift))
    assert measured.distance == pytest.approx(min(curve), rel=1e-5)
    assert measured.confidence == pytest.approx(np.median(curve) - min(curve), rel=1e-4)
    assert measured.at_zero == pytest.approx(curve[shift], rel=1e-5)
    assert measured.curve["windows"][shift] == len(known)
    for frame in range(18):
        values = [distance(i, i) for i in known if i <= frame <= i + 4]
        assert measured.frames["distance"][frame] == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_missing_faces_and_cuts_are_no_window_and_lower_the_cover():
    faces = dial(SYNC_EXPERT)
    faces[20:24] = [None] * 4
    shots = [0] * 60 + [1] * 30
    network = Clock(SYNC_EXPERT)
    lips = embed_frames(SYNC_EXPERT, network, faces, shots=shots)
    missing = np.flatnonzero(np.isnan(lips.embeddings[:, 0])).tolist()
    assert missing == [*range(16, 24), *range(56, 60)]
    measured = measure_sync(lips, network, rising(2))
    assert measured.offset == -2
    assert measured.frames.loc[measured.frames["distance"].isna(), "frame"].tolist() == [20, 21, 22, 23]
    assert measured.covered == pytest.approx(86 / 90)
    assert {score.score: score.covered for score in measured.scores} == dict.fromkeys(
        ["syncnet_distance", "syncnet_confidence", "av_offset", "syncnet_distance_at_zero"], measured.covered
    )


@pytest.mark.parametrize(
    ("protocol", "fewest"), [(SMALL_LSE, 36), (SYNC_EXPERT, 35)], ids=lambda x: getattr(x, "name", None)
)
def test_too_short_is_undefined_with_a_reason(protocol, fewest: int):
    network = Clock(protocol)
    enough = measure_sync(embed_frames(protocol, network, dial(protocol, fewest)), network, rising())
    assert not np.isnan([score.value for score in enough.scores]).any()
    short = measure_sync(embed_frames(protocol, network, dial(protocol, fewest - 1)), network, rising())
    assert short.reason.startswith("too short: 30 windows")
    assert [score.covered for score in short.scores] == [0] * 4
    assert np.isnan([score.value for score in short.scores]).all()
    assert short.curve["distance"].isna().all()
    assert len(short.frames) == fewest - 1
    # a short sound is no better than a short picture
    lips, network = embedded(protocol)
    assert "too short" in measure_sync(lips, network, rising()[: 20 * 640]).reason
    assert "too short: 0 windows" in measure_sync(lips, network, np.zeros(0, np.float32)).reason


def test_no_face_is_undefined_with_a_reason():
    network = Clock(SYNC_EXPERT)
    nothing = measure_sync(embed_frames(SYNC_EXPERT, network, [None] * LENGTH), network, rising())
    assert (nothing.covered, nothing.reason) == (0, "no 5 frames in a row have a face")
    at_the_end = measure_sync(
        embed_frames(SYNC_EXPERT, network, [*[None] * 80, *dial(SYNC_EXPERT)[80:]]), network, rising()
    )
    assert at_the_end.reason.startswith("no window with a face has sound for 15 frames")
    assert measure_sync(embed_frames(SYNC_EXPERT, network, []), network, rising()).reason.startswith("too short")


@PROTOCOLS
def test_silence_has_distances_and_no_offset(protocol):
    lips, network = embedded(protocol)
    measured = measure_sync(lips, network, np.zeros(LENGTH * 640, np.float32))
    distance, confidence, offset, _ = measured.scores
    assert np.isnan(offset.value)
    assert np.isnan(confidence.value)
    assert offset.reason == "the sound is silent throughout"
    assert distance.value > 0
    assert (distance.reason, distance.covered) == ("", measured.covered)


def test_faces_of_another_size_and_no_frame_rate_are_errors():
    with pytest.raises(ParameterError, match=r"frame 1: sync_expert takes uint8 RGB faces of \(96, 96, 3\)"):
        embed_frames(SYNC_EXPERT, Clock(SYNC_EXPERT), [dial(SYNC_EXPERT)[0], dial(SMALL_LSE)[0]])
    with pytest.raises(ParameterError, match="positive frame rate"):
        embed_frames(SYNC_EXPERT, Clock(SYNC_EXPERT), [], fps=0)


# --- crops ---


def published_crop(image: np.ndarray, x: float, y: float, half: float) -> np.ndarray:
    """What syncnet_python's pipeline cuts out, by filling up the whole frame."""
    rim = int(half * 1.8)
    padded = np.pad(image, ((rim, rim), (rim, rim), (0, 0)), constant_values=110)
    y, x = y + rim, x + rim
    face = padded[int(y - half) : int(y + half * 1.8), int(x - half * 1.4) : int(x + half * 1.4)]
    return cv2.resize(face, (224, 224))


def crops(frames, boxes, shots=None):
    return [crop_at(frame, place) for frame, place in zip(frames, crop_places(boxes, shots), strict=True)]


def test_crops_are_those_of_the_published_pipeline():
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 256, (30, 90, 120, 3)).astype(np.uint8)
    middle = np.array([60, 45]) + rng.normal(0, 12, (30, 2))
    size = 30 + rng.normal(0, 5, (30, 2))
    boxes = np.hstack([middle - size / 2, middle + size / 2])
    x, y, half = (medfilt(row, 13) for row in (*middle.T, size.max(axis=1) / 2))
    for number, face in enumerate(crops(frames, boxes)):
        np.testing.assert_array_equal(face, published_crop(frames[number], x[number], y[number], half[number]))
    assert number == 29


def test_crops_do_not_reach_over_gaps_and_cuts():
    rng = np.random.default_rng(6)
    frames = rng.integers(0, 256, (40, 60, 80, 3)).astype(np.uint8)
    boxes = np.tile([20.0, 10, 50, 40], (40, 1)) + rng.normal(0, 2, (40, 1))
    boxes[20:] += 8
    boxes[5] = np.nan
    made = crops(frames, boxes, shots=[0] * 20 + [1] * 20)
    assert [number for number, face in enumerate(made) if face is None] == [5]
    for first, stop in ((0, 5), (6, 20), (20, 40)):
        alone = crops(frames[first:stop], boxes[first:stop])
        for face, other in zip(made[first:stop], alone, strict=True):
            np.testing.assert_array_equal(face, other)
    x, y = np.median(boxes[:5, [0, 1]] + 15, axis=0)
    np.testing.assert_array_equal(made[2], published_crop(frames[2], x, y, 15))


def test_crops_need_a_box_inside_the_frame_and_a_shot_a_box():
    frames, box = np.zeros((3, 60, 80, 3), np.uint8), np.array([[20.0, 10, 50, 40]])
    with pytest.raises(ParameterError, match="lies outside"):
        (crops(frames, np.repeat(box + 500, 3, axis=0)))
    with pytest.raises(ParameterError, match="3 boxes and 2 shot numbers"):
        (crops(frames, np.repeat(box, 3, axis=0), shots=[0, 0]))


# --- null baselines ---


def test_null_inputs_keep_length_and_samples():
    wave = np.random.default_rng(7).normal(0, 0.1, 41_000).astype(np.float32)
    made = controls.control_inputs(wave, seed=2)
    assert tuple(made) == controls.INPUTS
    assert all(sound.shape == wave.shape for sound in made.values())
    assert made["dubbed"] is wave
    np.testing.assert_array_equal(np.sort(made["shuffled_audio"]), np.sort(wave))
    assert np.mean(made["shuffled_audio"] == wave) < 0.2
    np.testing.assert_array_equal(made["shuffled_audio"], controls.control_inputs(wave, seed=2)["shuffled_audio"])
    assert (made["shuffled_audio"] != controls.control_inputs(wave, seed=3)["shuffled_audio"]).any()
    np.testing.assert_array_equal(made["shifted_audio"][20_500:], wave[:20_500])
    assert not made["silent_audio"].any()


def test_the_own_sound_is_better_than_every_null():
    lips, network = embedded(SYNC_EXPERT)
    rows = controls.with_controls(lambda wave: measure_sync(lips, network, wave).scores, rising())
    assert rows.columns.tolist() == ["score", "input", "value", "covered", "reason"]
    table = rows.pivot(index="score", columns="input", values="value")
    assert table.loc["av_offset", "dubbed"] == 0
    for name in ("shifted_audio", "shuffled_audio", "silent_audio"):
        assert table.loc["syncnet_distance_at_zero", "dubbed"] < 0.1 * table.loc["syncnet_distance_at_zero", name]
    assert rows["reason"].ne("").tolist() == rows["value"].isna().tolist()
    assert rows.loc[rows["value"].isna(), "input"].unique().tolist() == ["silent_audio"]


def test_level_is_the_root_mean_square_of_each_frame():
    wave = np.random.default_rng(8).normal(0, 0.1, 5000).astype(np.float32)
    loudness = controls.level(wave, 24, 10)
    for frame in range(7):
        piece = wave[round(frame * 16000 / 24) : round((frame + 1) * 16000 / 24)].astype(float)
        assert loudness[frame] == pytest.approx(20 * np.log10(np.sqrt(np.mean(piece**2))), abs=1e-6)
    assert loudness[8:].tolist() == [-100, -100]


# --- the mouth ---


def speech(frames: int, fps: float, seed: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """How far a mouth is open, and noise that is so loud at the same time."""
    rng = np.random.default_rng(seed)
    opened = np.clip(np.convolve(rng.normal(0, 1, frames + 4), np.ones(5) / 2, "valid"), 0, 1)
    samples = np.repeat(opened, round(SAMPLE_RATE / fps))
    return opened, (10 ** (2 * samples - 2.5) * rng.choice([-1, 1], len(samples))).astype(np.float32)


@pytest.mark.parametrize("late", [-5, -1, 0, 2, 6])
def test_the_opening_is_found_where_the_sound_is(late: int):
    opened, wave = speech(100, 25)
    curve, scores = openness.follows_sound(opened, np.roll(wave, late * 640), 25)
    values = {score.score: score for score in scores}
    assert values["openness_offset"].value == -late
    assert values["openness_best"].value > 0.99 - abs(late) / 50
    assert curve.loc[curve["offset"] == 0, "correlation"].item() == values["openness_correlation"].value
    assert curve["frames"].tolist() == [100 - abs(offset) for offset in range(-15, 16)]
    assert all(score.covered == 1 for score in scores)


def test_the_opening_is_undefined_where_there_is_nothing_to_compare():
    opened, wave = speech(100, 25)
    for mouth_, sound, reason in (
        (opened[:20], wave, "known in 20 frames"),
        (np.where(np.arange(100) < 80, np.nan, opened), wave, "known in 20 frames"),
        (np.full(100, 0.3), wave, "never moves"),
        (opened, np.zeros_like(wave), "as silent"),
        (np.zeros(0), wave, "known in 0 frames"),
    ):
        _, scores = openness.follows_sound(mouth_, sound, 25)
        assert all(np.isnan(score.value) and score.covered == 0 and reason in score.reason for score in scores)
    opened[10:20] = np.nan
    assert openness.follows_sound(opened, wave, 25)[1][0].covered == 0.9


def test_closures_by_hand():
    opened = np.array([0.5, 0.5, 0.05, 0.6, 0.6, 0.6, np.nan, np.nan, 0.02, 0.5])
    phonemes = [
        ("m", 0.05, 0.09),
        ("a", 0.1, 0.2),
        ("b", 0.16, 0.20),
        ("pʰ", 0.25, 0.30),
        ("", 0.3, 0.4),
        ("n", 0.3, 0.4),
    ]
    sounds = openness.bilabial_closures(opened, 25, phonemes)
    assert sounds["symbol"].tolist() == ["m", "b", "pʰ"]
    assert sounds[["first", "last"]].to_numpy().tolist() == [[1, 2], [4, 4], [6, 7]]
    assert sounds["closed"].tolist() == [True, False, False]
    assert np.isnan(sounds["least"][2])
    # with a slack, a mouth that closes a little late is closed
    assert openness.bilabial_closures(opened, 25, phonemes, slack=0.04)["closed"].sum() == 2
    assert openness.bilabial_closures(opened, 25, phonemes, threshold=0.7)["closed"].tolist() == [True, True, False]
    assert openness.bilabial_closures(opened, 25, [("a", 0, 1)]).empty


def test_movement_in_silence_by_hand():
    wave = np.random.default_rng(1).choice([-0.1, 0.1], 60 * 640).astype(np.float32)
    wave[20 * 640 : 40 * 640] = 0  # 20 frames, of which 3 at either end are left to the mouth
    wave[50 * 640 : 55 * 640] = 0  # shorter than a pause
    assert np.flatnonzero(openness.silent_frames(wave, 25, 60)).tolist() == list(range(23, 37))
    opened = np.full(60, 0.9)
    opened[20:40] = 0.0
    assert [score[1:] for score in openness.in_silence(opened, wave, 25)] == [(0, 14 / 60, ""), (0, 13 / 60, "")]
    opened[26:33] = 0.5
    opened_, moving = openness.in_silence(opened, wave, 25)
    assert opened_.value == pytest.approx(7 / 14)
    assert moving.value == pytest.approx(2 / 13)
    opened[26] = np.nan
    opened_, moving = openness.in_silence(opened, wave, 25)
    assert opened_ == ("silence_open", pytest.approx(6 / 13), pytest.approx(13 / 60), "")
    assert moving == ("silence_moving", pytest.approx(1 / 11), pytest.approx(11 / 60), "")
    assert all("no silence" in score.reason for score in openness.in_silence(opened, np.ones_like(wave), 25))
    assert all("no silent frame" in score.reason for score in openness.in_silence(opened * np.nan, wave, 25))
    # a sound that is silent throughout: LipLeak, over every frame
    assert openness.in_silence(np.tile([0.0, 1], 30), np.zeros_like(wave), 25)[0] == ("silence_open", 0.5, 1.0, "")


@pytest.mark.parametrize("name", ["animation_hello", "astronaut_hello"])
def test_the_opening_is_read_from_pixels_as_truth_has_it(name: str):
    ground_truth = pandas.read_csv(HOME / f"{name}.truth.csv")
    boxes = ground_truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy()
    frames = video.frames(HOME / f"{name}.mp4")
    faces = np.stack([crop(frame.image, Box(*box)) for frame, box in zip(frames, boxes, strict=True)])
    read = openness.openness(faces)
    assert read.min() == 0
    assert read.max() == 1
    assert np.corrcoef(read, ground_truth["openness_px"])[0, 1] > 0.6
    # brighter by a tenth is no other mouth
    assert np.corrcoef(openness.openness((faces * 0.9).astype(np.uint8)), read)[0, 1] > 0.95


def test_a_mouth_that_never_moves_is_not_read():
    face = np.random.default_rng(2).integers(0, 256, (1, 96, 96, 3)).astype(np.uint8)
    assert np.isnan(openness.openness(np.repeat(face, 9, axis=0))).all()
    assert np.isnan(openness.openness(face)).all()
    with pytest.raises(ParameterError, match="96, 96"):
        openness.openness(face[:, :50])


def test_readings_are_shares_of_the_range_that_they_are_asked_for():
    usual = np.r_[np.zeros(10), np.full(10, 4.0), np.nan]
    assert openness.in_range(np.array([0.0, 1.0, 4.0, 9.0, -3.0]), usual).tolist() == [0, 0.25, 1, 1, 0]
    assert np.isnan(openness.in_range(np.array([1.0, 2.0]), np.full(5, 3.0))).all()
    assert np.isnan(openness.in_range(np.array([1.0]), np.array([np.nan]))).all()


@pytest.mark.parametrize("name", ["animation_hello", "astronaut_hello"])
def test_the_bundled_reader_reads_lips_as_the_truth_knows_them(name):
    ground_truth = ground_truth_of(samples.path(name))
    boxes = ground_truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy()
    frames = video.frames(samples.path(name))
    faces = np.stack([crop(f.image, Box(*np.rint(box).tolist())) for f, box in zip(frames, boxes, strict=True)])
    regressor = registry.load(registry.DEFAULTS["mouth_openness"], "mouth_openness").model
    gaps = openness.read(faces, regressor)
    assert np.corrcoef(gaps, ground_truth["openness"])[0, 1] > 0.9
    closed = openness.in_range(gaps, gaps) < openness.CLOSED_BY_NETWORK
    assert closed[ground_truth["openness"] < 0.02].mean() > 0.9
    assert closed[ground_truth["openness"] > 0.25].mean() < 0.05
    with pytest.raises(ParameterError, match="96, 96, 3"):
        openness.read(faces[:, :50], regressor)
    assert openness.read(faces[:0], regressor).shape == (0,)
