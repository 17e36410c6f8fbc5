"""The picture of a difference."""

import numpy as np

from lipsync_lab.media.difference import AMPLIFY, CAPTION, difference


def test_a_difference_is_black_where_nothing_changed_and_four_times_as_strong_elsewhere():
    before, after = np.full((2, 3, 3), 100, np.uint8), np.full((2, 3, 3), 100, np.uint8)
    after[0, 0], after[0, 1], after[1, 2] = (103, 100, 90), (100, 200, 0), (100, 100, 99)
    expected = np.clip(4 * np.abs(before.astype(int) - after), 0, 255)
    assert np.array_equal(difference(before, after), expected)
    assert np.array_equal(difference(before, after, 2)[0, 0], [6, 0, 20])
    assert AMPLIFY == 4
    assert CAPTION == "difference × 4 (black: none)"
