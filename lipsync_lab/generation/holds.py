"""Animation holds: runs of frames that show the same drawing of a face.

Drawn animation keeps one drawing for two or three frames ("on twos", "on threes"), or for much longer. A frame is
*held* if its face is that of the frame before it. This module has the only definition of that: `Pipeline` reuses
mouths by it (`Settings.mouth_cadence`), and the cadence metric counts mouth changes during holds by it.

The generated mouth of a hold is reused for `LONGEST` frames at most. In a longer hold a new mouth is due every
`LONGEST` frames: such a change is *scheduled* (`scheduled`) and is not a failure.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lipsync_lab.geometry import Box

#: Side in pixels of the block over which differences are averaged: the video codec's own block.
BLOCK = 8
#: Grey levels by which the most changed block of a held face may differ where there is no grain. Measured on twelve
#: synthetic clips of four styles on twos and threes, encoded at crf 18: precision 0.988 and recall 1.0 at 6.6. The
#: worst clip, with film grain and a small mouth, has 0.93 and 1.0.
BOUND = 6.6
#: Share by which the bound rises for every grey level of noise.
RAISE = 0.5
#: Grey levels: more noise than this does not raise the bound, since then the whole face has changed.
GRAIN = 6.0
#: Frames for which one mouth is reused during a hold, itself included: animation on threes.
LONGEST = 3


def changes(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Change of each pixel's neighbourhood: |difference of luma|, averaged over a block of `BLOCK` pixels.

    Parameters
    ----------
    before, after : ndarray, uint8, (H, W, 3)
        RGB.

    Returns
    -------
    ndarray, float32, (H, W)
        Grey levels.
    """
    import cv2

    return luma_changes(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)))


def luma_changes(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`changes` of two pictures' luma, uint8 (H, W)."""
    import cv2

    # sums of bytes are exact, and three times as fast as those of float32
    return cv2.boxFilter(cv2.absdiff(before, after), cv2.CV_32F, (BLOCK, BLOCK))


def noise(map_of_changes: np.ndarray) -> float:
    """Grey levels of the median block of `changes`: film grain, encoding noise, or a moving camera."""
    return float(np.median(map_of_changes[::BLOCK, ::BLOCK]))


def bound(grain: float | np.ndarray) -> float | np.ndarray:
    """Grey levels at or above which the most changed block shows a new drawing, at a noise of `grain` grey levels."""
    return BOUND * (1 + RAISE * np.minimum(grain, GRAIN))


def same_drawing(before: np.ndarray, after: np.ndarray, box: Box) -> bool:
    """Whether two frames show the same drawing inside a box.

    Parameters
    ----------
    before, after : ndarray, uint8, (H, W, 3)
        RGB.
    box : Box
        Whole pixels, inside the frames. Motion outside it, of the camera or of a hand, does not count.
    """
    if before.shape != after.shape:
        return False
    moved = changes(before[box.slices], after[box.slices])
    return float(moved.max()) < float(bound(noise(moved)))


class Holds:
    """Finds holds in frames that arrive one by one.

    Consecutive frames are compared inside the box of the hold's first frame. A track whose boxes stand still during
    each hold, as `pipeline.make_plan` makes it, therefore has the same holds as the track that it was made from.
    """

    def __init__(self):
        self._before: np.ndarray | None = None
        self._box: Box | None = None
        self._number = -1
        self._first = 0

    def add(self, frame: np.ndarray, box: Box | None) -> int:
        """Number of the first frame of the hold that the next frame belongs to; its own number if it is not held.

        Parameters
        ----------
        frame : ndarray, uint8, (H, W, 3)
            RGB.
        box : Box or None
            The frame's face: whole pixels, inside the frame. A frame without a face is never held, nor is the next.
        """
        self._number += 1
        held = box is not None and self._box is not None and same_drawing(self._before, frame, self._box)
        if not held:
            self._first, self._box = self._number, box
        self._before = frame
        return self._first


def first_frames(frames: Iterable[np.ndarray], boxes: Iterable[Box | None]) -> np.ndarray:
    """First frame of the hold that each frame belongs to.

    Parameters
    ----------
    frames : iterable of ndarray, uint8, (H, W, 3)
        RGB, read once; two are kept at a time.
    boxes : iterable of Box or None
        The face in each frame, see `Holds.add`.

    Returns
    -------
    ndarray, int64, (N,)
        ``first[n] == n`` for a new drawing; ``first[n] < n`` for a held frame.
    """
    holds = Holds()
    return np.array([holds.add(frame, box) for frame, box in zip(frames, boxes, strict=False)], np.int64)


def scheduled(first: np.ndarray) -> np.ndarray:
    """Which held frames are due for a new mouth, since their hold has lasted for a multiple of `LONGEST` frames.

    Parameters
    ----------
    first : ndarray, int64, (N,)
        Of `first_frames`.

    Returns
    -------
    ndarray, bool, (N,)
        False in the first frame of a hold.
    """
    age = np.arange(len(first)) - np.asarray(first)
    return (age > 0) & (age % LONGEST == 0)


def mouth_frames(first: np.ndarray) -> np.ndarray:
    """Frame whose mouth each frame shows: the last one at or before it that is new or `scheduled`.

    Parameters
    ----------
    first : ndarray, int64, (N,)
        Of `first_frames`.

    Returns
    -------
    ndarray, int64, (N,)
    """
    numbers = np.arange(len(first))
    return numbers - (numbers - np.asarray(first, np.int64)) % LONGEST
