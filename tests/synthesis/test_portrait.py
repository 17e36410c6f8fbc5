"""The portrait that speaks, read from its pixels."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.geometry import Box
from lipsync_lab.synthesis import portrait, visemes
from lipsync_lab.synthesis.speech import Phoneme, join, silence, speak
from lipsync_lab.synthesis.truth import table


@pytest.fixture(scope="module")
def line():
    return visemes.timeline(join(speak("Mama, please buy five balloons."), silence(0.4)))


@pytest.fixture(scope="module")
def films(line):
    """Pictures and ground truth of three seeds, the first of them the portrait as it is."""
    return {seed: tuple(zip(*portrait.frames(line, seed=seed), strict=True)) for seed in (0, 3, 5)}


def between_lips(frame: np.ndarray, box: Box) -> np.ndarray:
    """Pixels of a box that are no skin: dark or red (cavity, tongue), or without skin's red and yellow (teeth)."""
    part = frame[box.slices]
    dark = part[..., 1] < 0.55 * np.median(part[..., 1])
    lab = cv2.cvtColor(part, cv2.COLOR_RGB2LAB).astype(float)
    skin = np.median(lab.reshape(-1, 3), axis=0)
    return dark | ((lab[..., 1] < skin[1] - 4) & (lab[..., 2] < skin[2] - 4))


def mouth_box(ground_truth) -> Box:
    """One box for all frames."""
    rows = table(ground_truth)
    return Box(rows.mouth_x1.min(), rows.mouth_y1.min(), rows.mouth_x2.max(), rows.mouth_y2.max())


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_openness_can_be_read_from_pixels(films, seed):
    pictures, ground_truth = films[seed]
    box = mouth_box(ground_truth)
    gaps = [between_lips(picture, box).sum() for picture in pictures]
    assert np.corrcoef(gaps, [row.openness for row in ground_truth])[0, 1] > 0.93
    assert np.corrcoef(gaps, [row.openness_px for row in ground_truth])[0, 1] > 0.93


@pytest.mark.parametrize("shape", "CDE")
def test_gap_and_width_are_those_of_the_picture(shape):
    pose = CHART[shape]
    held = visemes.Timeline((visemes.Key(0.0, 1.0, pose),), (Phoneme("a", 0.0, 1.0),), 1.0)
    picture, row = list(portrait.frames(held, fps=5))[2]
    assert row.openness == pose.openness
    box = Box(row.mouth_x1 - 6, row.mouth_y1 - 4, row.mouth_x2 + 6, row.mouth_y2 + 4)
    hole = between_lips(picture, box)
    _, _, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8))
    _, _, width, height, _ = max(stats[1:], key=lambda row: row[cv2.CC_STAT_AREA])
    assert width == pytest.approx(row.width_px, abs=7)
    assert hole.sum(axis=0).max() <= height
    assert height == pytest.approx(row.openness_px, abs=4.5)


def test_closed_lips_show_no_teeth(films):
    pictures, ground_truth = films[0]
    box = mouth_box(ground_truth)
    part = [cv2.cvtColor(picture[box.slices], cv2.COLOR_RGB2LAB).astype(float) for picture in pictures]
    # Teeth have neither skin's nor lips' red.
    white = np.array([((p[..., 0] > 110) & (p[..., 1] < 131)).sum() for p in part])
    openness = np.array([row.openness for row in ground_truth])
    bared = np.array([row.shape in "BCDH" for row in ground_truth]) & (openness > 0.4)
    assert bared.any()
    assert (openness == 0).sum() >= 10
    assert np.median(white[bared]) > 40
    assert white[openness == 0].max() < 4


def test_what_opens_lies_inside_the_mouth_box(films):
    for pictures, ground_truth in films.values():
        for picture, row in zip(pictures, ground_truth, strict=True):
            if row.openness < 0.4:
                continue
            face = Box(row.face_x1, row.face_y1, row.face_x2, row.face_y2)
            mouth = Box(row.mouth_x1, row.mouth_y1, row.mouth_x2, row.mouth_y2)
            # The dark of the open mouth, sought in the whole lower middle of the face.
            middle, quarter = face.center[0], face.width / 4
            lower = Box(middle - quarter, face.y1 + 0.58 * face.height, middle + quarter, face.y2 - 0.06 * face.height)
            part = picture[lower.slices].max(axis=-1)
            rows, columns = np.nonzero(part < 0.4 * np.median(part))
            assert len(rows) > 10
            rows, columns = rows + int(lower.y1), columns + int(lower.x1)
            assert mouth.x1 <= columns.min()
            assert columns.max() < mouth.x2
            assert mouth.y1 <= rows.min()
            assert rows.max() < mouth.y2


def test_only_mouth_jaw_and_lids_change():
    closed = portrait.still(CHART["X"], size=(380, 380)).astype(int)
    changed = np.zeros((380, 380), bool)
    for shape in SHAPES:
        changed |= np.abs(portrait.still(CHART[shape], size=(380, 380)).astype(int) - closed).max(axis=-1) > 2
    rows, columns = np.nonzero(changed)
    # Twice the portrait's pixels: below the nose and inside the patch, whose border must not show as a seam.
    left, top = 2 * (164 - 224) + 190, 2 * (124 - 118) + 190
    assert rows.min() > top + 8
    assert columns.min() > left
    assert columns.max() < left + 2 * 120
    assert rows.max() < top + 2 * 76
    lids = np.abs(portrait.still(size=(380, 380), blink=1.0).astype(int) - closed).max(axis=-1) > 2
    rows, columns = np.nonzero(lids)
    assert len(rows) > 300
    assert rows.max() < top - 20


def test_jaw_follows_the_lower_lip():
    """The chin's edge against the neck, measured as the darkest row under the mouth."""

    def chin(shape):
        column = portrait.still(CHART[shape], size=(380, 380))[280:345, 180:200].mean(axis=(1, 2))
        return int(np.argmin(column[:45]))

    assert chin("D") >= chin("A") + 4


def test_face_box_agrees_with_a_face_detector():
    """scikit-image's local-binary-pattern cascade: another hand's idea of where the face is."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    cascade = Cascade(lbp_frontal_face_cascade_filename())
    assert Path(lbp_frontal_face_cascade_filename()).exists()
    line = visemes.timeline(silence(0.2))
    for seed in (0, 2, 6):
        picture, row = next(portrait.frames(line, seed=seed))
        detections = cascade.detect_multi_scale(picture, 1.2, 1, min_size=(60, 60), max_size=(220, 220))
        face = Box(row.face_x1, row.face_y1, row.face_x2, row.face_y2)
        best = max((Box.from_xywh((d["c"], d["r"], d["width"], d["height"])).iou(face) for d in detections), default=0)
        assert best > 0.5


def test_truth_follows_the_timeline(films, line):
    ground_truth = films[0][1]
    assert len(ground_truth) == round(25 * line.duration)
    for number, row in enumerate(ground_truth):
        pose = visemes.pose_at(line, number / 25)
        assert (row.frame, row.drawing, row.time) == (number, number, number / 25)
        assert (row.openness, row.shape) == (pose.openness, pose.shape)
        assert row.phoneme == visemes.phoneme_at(line, number / 25)
        assert row.face_x1 < row.mouth_x1 < row.mouth_x2 < row.face_x2
        assert row.face_y1 < row.mouth_y1 < row.mouth_y2 < row.face_y2
    assert {row.phoneme for row in ground_truth} >= {"m", "f", "v", ""}
    assert {row.shape for row in ground_truth[-8:]} == {"X"}
    *_, (_, late) = portrait.frames(line, duration=line.duration + 0.4, fps=5, size=(64, 64))
    assert (late.shape, late.openness, late.openness_px, late.phoneme) == ("X", 0, 0, "")


def test_frames_stream_and_repeat(line):
    endless = portrait.frames(line, duration=1e5, size=(128, 96))
    first = [picture for picture, _ in itertools.islice(endless, 4)]
    again = [picture for picture, _ in itertools.islice(portrait.frames(line, duration=1e5, size=(128, 96)), 4)]
    for picture, same in zip(first, again, strict=True):
        assert picture.shape == (96, 128, 3)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, same)


def test_seeds_differ_and_some_mirror(line):
    """A face looks more like its mirror image than like itself when it has been mirrored."""
    plain = next(portrait.frames(line))[0].mean(axis=-1)
    mirrored = []
    for seed in range(1, 9):
        picture = next(portrait.frames(line, seed=seed))[0]
        assert np.abs(picture.mean(axis=-1) - plain).mean() > 5
        same, turned = (np.corrcoef(picture.mean(axis=-1).ravel(), p.ravel())[0, 1] for p in (plain, plain[:, ::-1]))
        mirrored.append(turned > same)
    assert 1 <= sum(mirrored) <= 7


def test_eyes_blink_and_the_head_sways():
    line = visemes.timeline(silence(4.0))
    pictures, ground_truth = zip(*portrait.frames(line), strict=True)
    rows = table(ground_truth)
    assert 0.5 < np.ptp(rows.face_x1) < 20
    assert rows.face_x1.diff().abs().max() < 1
    # Open eyes hold the darkest pixels of the upper face; a lid hides them for a few frames.
    dark = np.array([(p[95:125, 85:150].max(axis=-1) < 80).sum() for p in pictures])
    closed = dark < 0.6 * np.median(dark)
    assert 2 <= closed.sum() <= 0.2 * len(closed)


@pytest.mark.parametrize("wrong", [{"size": (8, 256)}, {"fps": 0}, {"duration": 0.0}])
def test_impossible_films_are_refused_before_the_first_frame(line, wrong):
    with pytest.raises(ParameterError, match="no film"):
        portrait.frames(line, **wrong)
