import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box, FaceTrack, spans


def test_other_orders():
    assert Box.from_yyxx((1, 2, 3, 4)) == Box(3, 1, 4, 2)
    assert Box.from_xywh((1, 2, 3, 4)) == Box(1, 2, 4, 6)


def test_iou_against_painted_pixels():
    rng = np.random.default_rng(7)
    for _ in range(50):
        corners = rng.integers(0, 20, (2, 2, 2))
        a, b = (Box(*np.r_[pair.min(axis=0), pair.max(axis=0) + 1].tolist()) for pair in corners)
        painted = np.zeros((2, 21, 21), bool)
        painted[0][a.slices], painted[1][b.slices] = True, True
        assert a.iou(b) == pytest.approx(painted.all(axis=0).sum() / painted.any(axis=0).sum())


def test_outside_the_frame_nothing_is_left():
    assert Box(50, 50, 60, 60).clipped(40, 40).area == 0
    assert Box(-5, -5, 5, 5).clipped(40, 40) == Box(0, 0, 5, 5)


def test_a_box_turned_inside_out_has_no_area():
    assert Box(0, 0, 10, 10).padded(0, 0, -8, -8).area == 0


def track(**changed):
    rows = {
        "boxes": np.array([[1, 2, 3, 4], [np.nan] * 4], float),
        "scores": np.array([0.9, 0.1]),
        "provenance": np.array(["detected", "missing"]),
        "shots": np.array([0, 0]),
        "candidates": np.zeros((2, 4)),
    }
    return FaceTrack(**{**rows, **changed})


def test_track_gives_boxes_and_none():
    assert track().box(0) == Box(1, 2, 3, 4)
    assert track().box(1) is None
    assert len(track()) == 2


@pytest.mark.parametrize(
    "changed",
    [{"scores": np.zeros(3)}, {"boxes": np.zeros((2, 3))}, {"provenance": np.array(["runs", "missing"])}],
)
def test_tracks_that_cannot_be(changed):
    with pytest.raises(ParameterError):
        track(**changed)


def test_spans_are_those_of_a_plain_walk():
    def walk(mask, groups):
        runs, start = [], None
        for frame in range(len(mask) + 1):
            ends = frame == len(mask) or not mask[frame] or (start is not None and groups[frame] != groups[frame - 1])
            if start is not None and ends:
                runs.append((start, frame))
                start = None
            if start is None and frame < len(mask) and mask[frame]:
                start = frame
        return runs

    rng = np.random.default_rng(0)
    for length in [0, 1, 2, *rng.integers(3, 40, 200)]:
        mask = rng.random(length) < rng.choice([0.0, 0.3, 0.8, 1.0])
        groups = np.cumsum(rng.random(length) < 0.2)
        assert spans(mask) == walk(mask, np.zeros(length))
        assert spans(mask, groups) == walk(mask, groups)
        names = np.array(["held", "missing", "detected"])[groups % 3]
        assert spans(mask, names) == walk(mask, names)
