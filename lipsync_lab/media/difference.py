"""The picture of a difference: one convention for every figure, page and widget."""

from __future__ import annotations

import cv2
import numpy as np

#: Factor of the absolute difference.
AMPLIFY = 4
#: What a caption says of it.
CAPTION = f"difference × {AMPLIFY} (black: none)"


def difference(before: np.ndarray, after: np.ndarray, amplify: float = AMPLIFY) -> np.ndarray:
    """The absolute difference of two pictures, amplified: black where they are equal.

    Parameters
    ----------
    before, after : ndarray, uint8, (H, W, 3)
        RGB.
    amplify : float

    Returns
    -------
    ndarray, uint8, (H, W, 3)
        Values above 255 are clipped.
    """
    return cv2.convertScaleAbs(cv2.absdiff(before, after), alpha=amplify)
