"""Zooming keeps what is under the pointer, and boxes lie on the pixels that they are of."""

import numpy as np
import pytest

from lipsync_lab.explorer.viewport import STAGE, Viewport
from lipsync_lab.geometry import Box


@pytest.mark.parametrize("size", [(128, 96), (1920, 1080), (300, 900)])
def test_the_place_under_the_pointer_stays(size):
    whole = Viewport.whole(size)
    assert whole.screen[0] <= STAGE[0]
    assert whole.screen[1] <= STAGE[1]
    at = whole.screen[0] * 0.3, whole.screen[1] * 0.8
    near = whole.zoomed(1.25, at).zoomed(3, at)
    assert near.scale == pytest.approx(3.75 * whole.scale)
    assert near.to_frame(*at) == pytest.approx(whole.to_frame(*at))
    assert near.zoomed(0, at) == whole
    assert near.zoomed(1 / 3.75, (0, 0)).scale == pytest.approx(whole.scale)
    corner = near.zoomed(10, (0, 0)).zoomed(0.2, whole.screen)  # nothing beyond the frame is shown
    x, y = corner.to_frame(*corner.screen)
    assert (x <= size[0] + 1 / corner.scale, y <= size[1] + 1 / corner.scale) == (True, True)
    assert min(corner.x, corner.y) >= 0
    assert whole.zoomed(1000, at).scale == 16


def test_a_box_lies_on_its_pixels():
    image, box = np.zeros((96, 128, 3), np.uint8), Box(40, 30, 44, 33)
    image[30:33, 40:44] = 255
    for factor in (2, 4, 8):
        view = Viewport.whole((128, 96)).zoomed(factor, (41 * 2, 31 * 2))
        rows, columns = np.nonzero(view.picture(image)[..., 0] > 127)
        shown = view.to_screen(box)
        expected = shown.x1, shown.y1, shown.x2, shown.y2
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == pytest.approx(expected, abs=1)
        assert view.to_frame(shown.x1, shown.y1) == pytest.approx((40, 30))
