"""Where the boxes of an evaluation come from."""

from fractions import Fraction

import pytest

from lipsync_lab.detection.detections import Detections
from lipsync_lab.evaluation import boxes
from lipsync_lab.evaluation.alignment import Alignment
from lipsync_lab.geometry import Box


@pytest.mark.parametrize("offset", [0, 2])
def test_boxes_by_hand_move_with_the_frames_that_show_them(offset: int):
    drawn = {frame: Box(10 + frame, 10, 30 + frame, 40) for frame in (2, 3, 4)}
    whole = Box(0, 0, 64, 48)
    record = Detections(
        tuple([] for _ in range(6)), size=(64, 48), shots=(0,), manual=drawn, interpolated=frozenset({3})
    )
    alignment = Alignment(
        source_size=(64, 48),
        output_size=(64, 48),
        source_frames=6,
        output_frames=6 - offset,
        fps=Fraction(25),
        rate=1.0,
        offset=offset,
        loop="none",
        source_box=whole,
        output_box=whole,
        start=1.0,
        end=1.0,
        contrast=1.0,
    )
    carried = boxes._carried(record, alignment)
    assert dict(carried.manual) == {frame - offset: box for frame, box in drawn.items()}
    assert carried.interpolated == {3 - offset}
