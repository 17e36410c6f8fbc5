"""YuNet: it gives what OpenCV's detector gives for the file, in the laboratory's colour order and boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from lipsync_lab import detection
from lipsync_lab.detection import yunet
from lipsync_lab.errors import CheckpointError
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import open_clip

PORTRAIT_FACE = Box(178, 62, 272, 168)  # of scikit-image's portrait, measured by eye: brow to chin, ear to ear


@pytest.fixture
def detector(shared, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(shared / "models"))
    return detection.load("yunet")


def test_the_portrait_has_one_face_with_landmarks_in_it(detector):
    portrait = data.astronaut()
    face, *rest = detector.detect(np.stack([portrait, portrait[:, ::-1]]))[0]
    assert face.box.iou(PORTRAIT_FACE) > 0.5
    assert face.score > 0.8
    assert all(other.score < 0.5 for other in rest)
    left_eye, right_eye, nose, left_corner, right_corner = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_corner[0] < right_corner[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])
    assert all(face.box.x1 < x < face.box.x2 and face.box.y1 < y < face.box.y2 for x, y in face.landmarks)


def test_the_network_gets_bgr(detector, shared):
    """Scores are those of OpenCV's own reading of the picture, and rest where the colours are turned round."""
    path = shared / "footage" / "live" / "grid_s2_pwij3p.mpg"
    rgb = next(open_clip(path).read(0, 1))
    reference = cv2.FaceDetectorYN.create(str(shared / "models" / detector_file()), "", rgb.shape[1::-1], 0.05)
    (expected,) = reference.detect(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    (face,) = detector.detect(rgb[None])[0]
    assert face.score == pytest.approx(expected[14], abs=1e-6)
    assert list(face.box) == pytest.approx([*expected[:2], *(expected[:2] + expected[2:4])], abs=1e-3)
    assert np.ravel(face.landmarks) == pytest.approx(expected[4:14], abs=1e-3)
    turned = detector.detect(rgb[None, ..., ::-1])[0][0]
    assert abs(turned.score - face.score) > 1e-3


def detector_file() -> str:
    from lipsync_lab.models import registry

    return registry.MODELS["yunet"].file


def test_contract(detector):
    """Frames of any size, a frame without a face, and the same candidates one by one as together."""
    portrait = data.astronaut()[:256, 100:356]
    frames = np.stack([portrait, portrait[:, ::-1], np.full_like(portrait, 127)])
    rows = detector.detect(frames)
    assert rows[2] == []
    assert [detector.detect(frame[None])[0] for frame in frames] == rows
    assert all(yunet.FLOOR <= face.score <= 1 for row in rows for face in row)
    assert detector.detect(np.zeros((2, 3, 5, 3), np.uint8)) == [[], []]


def test_candidates_come_best_first():
    rows = np.zeros((3, 15), np.float32)
    rows[:, 2:4], rows[:, 14] = 10, (0.2, 0.9, 0.5)
    assert [face.score for face in yunet._candidates(rows)] == pytest.approx([0.9, 0.5, 0.2])


def test_loading_is_quiet_and_other_warnings_stay(shared, monkeypatch, capfd):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(shared / "models"))
    level = cv2.utils.logging.getLogLevel()
    detection.load("yunet")
    assert capfd.readouterr().err == ""
    assert cv2.utils.logging.getLogLevel() == level


def test_absent_weights_are_refused_with_the_command_that_fetches_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointError, match="weights fetch yunet"):
        detection.load("yunet")
    (tmp_path / detector_file()).write_bytes(b"another file")
    with pytest.raises(CheckpointError, match="expected SHA-256 ebafce4e"):
        detection.load("yunet")
