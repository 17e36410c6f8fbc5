"""Cuts between shots, found while frames go by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Longest side in pixels of the frames that are compared.
_SIDE = 160


class Shots:
    """PySceneDetect's adaptive detector on lightness alone.

    A cut changes much more than the frames around it do. Lightness alone, because black and white film has no hue
    that could change. On the ten clips of the study, Popeye and Steamboat Willie (3,675 frames) it finds all 12 cuts
    and 5 false ones; PySceneDetect's content detector finds 9 (none of Steamboat Willie's) and 2 false ones. A false
    cut only ends a smoothing early; a missed one moves a box across the cut.

    Parameters
    ----------
    fps : float
        Frames a second of the clip.
    ratio : float
        Least ratio of a cut's change to the mean change of the two frames on either side.
    least : float
        Mean change, 0 to 255, below which nothing is a cut.

    Attributes
    ----------
    starts : list of int
        First frame of every shot so far, beginning with 0.
    """

    def __init__(self, fps: float, ratio: float = 3.0, least: float = 15.0):
        from scenedetect.detectors import AdaptiveDetector

        # a cut may follow the last one at once: animated action has shots of a quarter of a second
        self._detector = AdaptiveDetector(ratio, min_scene_len=2, min_content_val=least, luma_only=True)
        self._fps = float(fps)
        self._frames = 0
        self.starts = [0]

    def add(self, frame: np.ndarray) -> None:
        """Take the next frame, uint8 RGB (H, W, 3)."""
        import cv2
        from scenedetect import FrameTimecode

        height, width = frame.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        cuts = self._detector.process_frame(FrameTimecode(self._frames, self._fps), small)
        self.starts += [cut.frame_num for cut in cuts if cut.frame_num > self.starts[-1]]
        self._frames += 1


def shot_numbers(starts: Sequence[int], frames: int) -> np.ndarray:
    """Number of the shot of every frame, int64 (frames,), from the shots' first frames."""
    return np.searchsorted(np.asarray(starts), np.arange(frames), side="right") - 1
