"""The default detector: `s3fd-lab`, a second opinion by the mouth locator, and YuNet where both leave no face."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit

import lipsync_lab
from lipsync_lab import detection, samples
from lipsync_lab.detection import auto, detections
from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.detections import Detections
from lipsync_lab.generation.cel import locate
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import open_clip
from lipsync_lab.models import registry

FACE, OTHER = Box(10, 10, 50, 60), Box(100, 10, 140, 60)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """No file of weights but the bundled ones."""
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path))
    return tmp_path


def some_frames(name: str, step: int) -> np.ndarray:
    return np.stack(list(open_clip(samples.path(name)).read(0, None))[::step])


class Proposes:
    """A detector that proposes one face, and counts the frames that it is asked about."""

    def __init__(self, *faces: Detection):
        self.faces, self.asked = list(faces), []

    def detect(self, frames, first=0):
        self.asked += range(first, first + len(frames))
        return [list(self.faces) for _ in frames]


def test_scores_are_shifted_on_the_logit_scale():
    scores = np.linspace(0, 1, 41)
    shifted = [auto.calibrated(Detection(FACE, score)).score for score in scores]
    assert np.allclose(shifted, expit(logit(scores) - logit(auto.SURE)))
    assert auto.calibrated(Detection(FACE, auto.SURE)).score == pytest.approx(0.5)


def test_the_second_opinion_is_the_locators():
    """The same verdict as `generation.cel.locate`, which crops in another way, on faces, hidden mouths and scenery."""
    rng, network = np.random.default_rng(5), registry.load("mouth-locator-lab", "mouth_locator").model
    frames, boxes = [], []
    for name in ("animation_hello", "behind_a_cup", "turning_away", "astronaut_hello"):
        for frame, faces in zip(
            some_frames(name, 12), detection.load("s3fd-lab").detect(some_frames(name, 12)), strict=True
        ):
            height, width = frame.shape[:2]
            corners = rng.uniform((0, 0), (width - 60, height - 60), (3, 2))
            shown = [face.box for face in faces[:2]] + [Box(x, y, x + 60, y + 60) for x, y in corners.tolist()]
            frames, boxes = frames + [frame] * len(shown), boxes + shown
    named = [pose.visibility != "no face" for pose in locate.locate(frames, boxes, network=network)]
    ours = auto.has_mouth(network, frames, boxes)
    assert 0.2 < np.mean(named) < 0.8
    assert np.mean(np.equal(named, ours)) > 0.95


@pytest.mark.parametrize(
    "box", [Box(-30, -30, 5, 5), Box(300, 200, 700, 900), Box(-50, -50, -10, -10), Box(3, 3, 4, 4)]
)
def test_a_box_beyond_the_frame_has_an_answer(box):
    network = registry.load("mouth-locator-lab", "mouth_locator").model
    assert auto.has_mouth(network, [np.zeros((120, 200, 3), np.uint8)], [box]) in ([True], [False])


def test_faces_without_a_visible_mouth_stay_and_scenery_goes(bare):
    detector = detection.load("auto")
    hidden = [row[0].score for row in detector.detect(some_frames("behind_a_cup", 10))]
    assert min(hidden) > 0.5
    empty = detector.detect(some_frames("nobody_there", 4))
    assert all(auto.is_unsure(row) for row in empty)
    assert sum(map(len, empty)), "what was refused stays a candidate"


def test_frames_are_independent_of_their_batch(bare):
    detector, frames = detection.load("auto"), some_frames("cut_in_the_city", 30)
    together, alone = detector.detect(frames), [detector.detect(frame[None])[0] for frame in frames]
    for ours, theirs in zip(together, alone, strict=True):
        assert np.allclose(
            [[*face.box, face.score] for face in ours], [[*face.box, face.score] for face in theirs], atol=0.01
        )


def test_yunet_is_asked_where_no_candidate_is_accepted_and_nowhere_else(bare, monkeypatch):
    detector = detection.load("auto")
    assert detector.second is None
    assert "weights fetch yunet" in detector.absent
    detector.second = Proposes(Detection(FACE, 0.8, ((20.0, 20.0),)))
    frames = np.zeros((3, 90, 160, 3), np.uint8)
    known = [[Detection(FACE, 0.999)], [Detection(FACE, 0.6)], []]
    monkeypatch.setattr(detector.first, "detect", lambda frames, first=0: known)
    monkeypatch.setattr(auto, "has_mouth", lambda network, frames, boxes: [True] * len(boxes))
    sure, unsure, none = detector.detect(frames, 40)
    assert detector.second.asked == [41, 42]
    assert [face.detector for face in sure] == ["s3fd-lab"]
    assert unsure == none == [Detection(FACE, 0.8, ((20.0, 20.0),), "yunet")]
    monkeypatch.setattr(auto, "has_mouth", lambda network, frames, boxes: [False] * len(boxes))
    assert [row[0].detector for row in detector.detect(frames)] == ["yunet"] * 3
    detector.second = Proposes()
    refused = detector.detect(frames)[0]
    assert refused[0].score < 0.5


def test_merged_candidates_do_not_overlap():
    rng = np.random.default_rng(2)

    def proposed(number):
        corners, scores = rng.uniform(0, 100, (number, 2)).tolist(), rng.uniform(0, 1, number).tolist()
        return [Detection(Box(x, y, x + 30, y + 40), score) for (x, y), score in zip(corners, scores, strict=True)]

    first, second = proposed(20), proposed(20)
    kept = auto.merged(first, second)
    assert [face.score for face in kept] == sorted((face.score for face in kept), reverse=True)
    assert all(a.box.iou(b.box) <= 0.3 for a in kept for b in kept if a is not b)
    boxes = {face.box for face in kept}
    for face in [*first, *second]:
        better = [other for other in kept if other.score > face.score and other.box.iou(face.box) > 0.3]
        assert (face.box in boxes) != bool(better)


def test_the_real_yunet_helps_where_s3fd_lab_is_unsure(shared, monkeypatch):
    """A frame of broadcast animation whose face `s3fd-lab` scores below `auto.SURE`."""
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(shared / "models"))
    frame = next(open_clip(shared / "footage" / samples.get("output7").file).read(88, 89))
    [row] = detection.at_detection_size(detection.load("auto"), frame[None], 0, 640)
    assert row[0].detector == "yunet"
    assert row[0].score > 0.5
    assert len(row[0].landmarks) == 5


def test_identity_follows_the_files_and_loads_no_network(bare, shared, monkeypatch):
    monkeypatch.setattr(registry, "load", lambda *args: pytest.fail("loads a network"))
    without = auto.identity()
    assert "yunet" not in without
    (bare / registry.MODELS["yunet"].file).write_bytes(b"<html>")
    assert auto.identity() == without, "another file under the name is not YuNet"
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(shared / "models"))
    assert auto.identity() == without | {"yunet": registry.MODELS["yunet"].sha256}


def test_a_file_that_is_not_yunet_is_named(bare):
    (bare / registry.MODELS["yunet"].file).write_bytes(b"<html>")
    detector = detection.load("auto")
    assert detector.second is None
    assert registry.MODELS["yunet"].file in detector.absent


def test_decisions_are_counted_by_shot_and_told():
    a, b = Detection(FACE, 0.9, (), "s3fd-lab"), Detection(OTHER, 0.8, (), "yunet")
    chosen, shots = [a, a, None, b, b, b, None, Detection(FACE, 1.0)], np.array([0, 0, 0, 1, 1, 1, 1, 2])
    table = auto.decisions(chosen, shots)
    assert table == [
        {"first": 0, "last": 2, "faces": {"s3fd-lab": 2}, "none": 1},
        {"first": 3, "last": 6, "faces": {"yunet": 3}, "none": 1},
        {"first": 7, "last": 7, "faces": {"manual": 1}, "none": 0},
    ]
    text = auto.summary(table)
    assert "s3fd-lab gave the face in 2 of 8 frames" in text
    assert "yunet in 3" in text
    assert "3-6" in text
    assert "neither in 2" in text
    assert "was not applied" in auto.summary(table, "yunet was not applied: no file")


def test_candidates_keep_their_detector_in_a_file(tmp_path):
    rows = (
        [Detection(FACE, 0.9, (), "s3fd-lab")],
        [Detection(OTHER, 0.8, ((1.0, 2.0),), "yunet")],
        [Detection(FACE, 0.5)],
    )
    path = tmp_path / "detections.json"
    detections.write_detections(path, Detections(rows, (0,), (160, 90)))
    assert detections.read_detections(path).candidates == rows
    moved = rows[1][0].moved(lambda box: box.scaled(2, 2))
    assert (moved.detector, moved.landmarks) == ("yunet", ((2.0, 4.0),))


def test_a_run_says_what_was_decided_and_the_reference_preset_keeps_s3fd(tmp_path, bare):
    run = lipsync_lab.dub("animation_hello", "animation_hello", tmp_path / "run", generator="identity")
    decided = run.info["decisions"]
    assert "s3fd-lab gave the face in" in decided["summary"]
    assert sum(sum(shot["faces"].values()) + shot["none"] for shot in decided["shots"]) == len(run.ledger())
    assert json.loads(run.detections.read_text(encoding="utf-8"))["decisions"] == decided
    kept = lipsync_lab.dub(
        "animation_hello", "animation_hello", tmp_path / "kept", generator="identity", preset="reference"
    )
    assert kept.info["detector"]["name"] == "s3fd-lab"
    assert "decisions" not in kept.info
