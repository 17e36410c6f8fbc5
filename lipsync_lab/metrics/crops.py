"""Face crops as the network behind LSE-D and LSE-C is shown them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import spans

#: Height and width of a crop, in pixels.
SIDE = 224
_CROP_SCALE, _MEDIAN, _GRAY = 0.40, 13, 110


def crops(
    frames: Iterable[np.ndarray], boxes: np.ndarray, shots: Sequence[int] | None = None
) -> Iterator[np.ndarray | None]:
    """Face crops as LSE-D and LSE-C were published with, one after the other.

    The box is made a square by its longer side, steadied by a median over 13 frames, widened by 0.4 of half its side to
    the left, the right and, twice, below, and filled up with grey where it leaves the frame: `run_pipeline.py` of
    syncnet_python, without the two lossy encodes that it puts in between. The median does not reach over a cut or a
    missing face, and where fewer than 13 frames are together, they share one box.

    Parameters
    ----------
    frames : iterable of ndarray, uint8, (H, W, 3)
        RGB.
    boxes : ndarray, float, (N, 4)
        x1, y1, x2, y2 in pixels, one row a frame; NaN where there is no face (`FaceTrack.boxes`).
    shots : sequence of int, optional
        Number of each frame's shot; one shot unless given.

    Yields
    ------
    ndarray, uint8, (224, 224, 3), or None
        RGB; None for a frame without a face.

    Raises
    ------
    ParameterError
        There are not as many boxes, or shots, as frames.
    """
    places, number = crop_places(boxes, shots), -1
    for number, frame in enumerate(frames):
        if number == len(places):
            raise ParameterError(f"there are {len(boxes)} boxes and more frames than that; give one row a frame")
        yield crop_at(frame, places[number])
    if number + 1 < len(places):
        raise ParameterError(f"there are {len(boxes)} boxes and fewer frames than that; give one row a frame")


def crop_places(boxes: np.ndarray, shots: Sequence[int] | None = None) -> np.ndarray:
    """Where `crops` cuts each frame, float64 (N, 3): half a side, then x and y of the centre; NaN without a face."""
    boxes = np.asarray(boxes, float)
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    places = np.stack([half, (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2])
    if shots is not None and len(shots) != len(boxes):
        raise ParameterError(f"there are {len(boxes)} boxes and {len(shots)} shot numbers; give one of each a frame")
    for start, stop in spans(~np.isnan(boxes[:, 0]), shots):
        places[:, start:stop] = _steadied(places[:, start:stop])
    return places.T


def crop_at(frame: np.ndarray, place: np.ndarray) -> np.ndarray | None:
    """The crop of one frame at a row of `crop_places`: uint8 RGB (224, 224, 3), or None where the row is NaN."""
    import cv2

    half, x, y = place
    if np.isnan(half):
        return None
    rim = int(half * (1 + 2 * _CROP_SCALE))
    top, bottom = (int(y + rim + half * by) - rim for by in (-1, 1 + 2 * _CROP_SCALE))
    left, right = (int(x + rim + half * by) - rim for by in (-1 - _CROP_SCALE, 1 + _CROP_SCALE))
    height, width = frame.shape[:2]
    inside = frame[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not inside.size:
        raise ParameterError(f"a box of the LSE crops lies outside of the frame's {width} x {height} pixels")
    rims = max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)
    face = cv2.copyMakeBorder(inside, *rims, cv2.BORDER_CONSTANT, value=(_GRAY,) * 3)
    return cv2.resize(face, (SIDE, SIDE))


def _steadied(places: np.ndarray) -> np.ndarray:
    """Rows through the published median filter, which takes what lies beyond either end for zeros."""
    from scipy.signal import medfilt

    if places.shape[1] < _MEDIAN:
        return np.median(places, axis=1, keepdims=True)
    return np.stack([medfilt(row, _MEDIAN) for row in places])
