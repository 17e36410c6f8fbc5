"""Pasting generated faces into their frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lipsync_lab.geometry import Box


def paste(frame: np.ndarray, face: np.ndarray, box: Box, feather: float = 0.0) -> np.ndarray:
    """Paste a generated face where its crop was taken.

    Parameters
    ----------
    frame : ndarray, uint8, (H, W, 3)
        RGB; not changed.
    face : ndarray, uint8, (side, side, 3)
        RGB, of a generator.
    box : Box
        Whole pixels, inside the frame.
    feather : float
        0 pastes the whole square with hard edges, as published. Else only the lower half is taken, which is the
        part that was masked, and blended over this share of the box at each edge.

    Returns
    -------
    ndarray, uint8, (H, W, 3)
        RGB. Nothing outside the box is changed.
    """
    import cv2

    rows, columns = box.slices
    size = columns.stop - columns.start, rows.stop - rows.start
    patch = cv2.resize(np.ascontiguousarray(face), size)
    out = frame.copy()
    if feather > 0:
        top, weight, rest = _lower_weights(size[1], size[0], feather)
        patch = patch[top:]
        rows = slice(rows.start + top, rows.stop)
        mixed = patch * weight
        mixed += frame[rows, columns] * rest
        patch = np.rint(mixed, out=mixed).astype(np.uint8)
    out[rows, columns] = patch
    return out


@lru_cache(maxsize=8)
def _lower_weights(height: int, width: int, feather: float) -> tuple[int, np.ndarray, np.ndarray]:
    """First row of a box that is not left as it is; from there on, `feather_mask` and 1 less it, one value a colour."""
    weight = feather_mask(height, width, feather)
    top = height // 2
    weight = np.repeat(weight[top:, :, None], 3, axis=2)
    return top, weight, 1 - weight


def feather_mask(height: int, width: int, feather: float) -> np.ndarray:
    """Weight of the generated face at each pixel of the box.

    Parameters
    ----------
    height, width : int
        Pixels of the box.
    feather : float
        Share of the box over which the weight rises, 0 to 0.5.

    Returns
    -------
    ndarray, float32, (height, width)
        0 in the upper half and at the edges, 1 well inside the lower half.
    """

    def rise(distance):
        t = np.clip(distance / feather, 0, 1)
        return t * t * (3 - 2 * t)

    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    down = rise(np.minimum(y - 0.5, 1 - y))
    across = rise(np.minimum(x, 1 - x))
    return np.outer(down, across).astype(np.float32)
