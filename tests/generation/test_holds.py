"""Animation holds: which frames are held, when a new mouth is due, and which mouth a frame of a hold shows."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync_lab import samples
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.generation import holds
from lipsync_lab.geometry import Box
from lipsync_lab.media import video

BOX = Box(8, 8, 56, 56)


def first_of(frames, boxes=None) -> list[int]:
    return holds.first_frames(frames, boxes or [BOX] * len(frames)).tolist()


def shown(*numbers: int) -> list[np.ndarray]:
    """One of nine pictures for each number."""
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 255, (8, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(9)]
    return [pictures[number] for number in numbers]


def test_holds_of_any_length():
    assert first_of(shown(0, 1, 2, 3)) == [0, 1, 2, 3]
    assert first_of(shown(0, 0, 1, 1, 2, 2)) == [0, 0, 2, 2, 4, 4]
    assert first_of(shown(0, 0, 0, 1, 1, 1)) == [0, 0, 0, 3, 3, 3]
    assert first_of(shown(*[0] * 8)) == [0] * 8
    assert first_of([]) == []


def test_a_long_hold_has_a_scheduled_change_every_third_frame():
    first = holds.first_frames(shown(*[0] * 8, 1, 1), [BOX] * 10)
    assert np.flatnonzero(holds.scheduled(first)).tolist() == [3, 6]
    assert holds.mouth_frames(first).tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 8, 8]


def test_motion_outside_the_face_and_grain_do_not_end_a_hold():
    frames = [frame.copy() for frame in shown(0, 0, 0)]
    frames[1][:6] = 255 - frames[1][:6]
    assert first_of(frames) == [0, 0, 0]
    rng = np.random.default_rng(1)
    grainy = [np.clip(f + rng.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in shown(0, 0, 1, 1)]
    assert first_of(grainy) == [0, 0, 2, 2]


def test_a_frame_without_a_face_and_a_change_of_size_end_a_hold():
    assert first_of(shown(0, 0, 0, 0), [BOX, None, BOX, BOX]) == [0, 1, 2, 2]
    assert first_of([shown(0)[0], shown(0)[0][:60]]) == [0, 1]


def test_boxes_that_stand_still_during_a_hold_give_the_same_holds():
    """The boxes of a track are frozen over its holds; whoever measures that track must find these very holds."""
    rng = np.random.default_rng(3)
    frames = shown(0, 0, 1, 1, 1, 2, 3, 3, 3, 3)
    for frame in range(3, 10, 2):
        frames[frame] = frames[frame].copy()
        frames[frame][:12] = 0  # in some of the boxes, beside the others
    boxes = [Box(4, top, 60, 60) for top in rng.integers(0, 24, 10).tolist()]
    first = holds.first_frames(frames, boxes)
    assert len(set(first.tolist())) > 4
    np.testing.assert_array_equal(holds.first_frames(frames, [boxes[number] for number in first]), first)


def test_holds_are_those_of_the_ground_truth():
    path = samples.path("animation_baker")
    truth = ground_truth_of(path)
    boxes = [Box(*np.rint(row).tolist()) for row in truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy()]
    first = holds.first_frames((frame.image for frame in video.frames(path)), boxes)
    number = truth["drawing"].to_numpy()
    assert ((first < np.arange(len(first))) == np.r_[False, number[1:] == number[:-1]]).mean() > 0.9


def test_changes_are_means_of_blocks():
    """The sums of bytes are exact: the map is that of float64 arithmetic, bit for bit."""
    before, after = np.random.default_rng(0).integers(0, 256, (2, 30, 41, 3), np.uint8)
    luma = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(float) for frame in (before, after)]
    wanted = cv2.blur(np.abs(luma[0] - luma[1]), (holds.BLOCK, holds.BLOCK))
    np.testing.assert_array_equal(holds.changes(before, after), wanted.astype(np.float32))
