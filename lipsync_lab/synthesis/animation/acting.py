"""Acting of a character: blinks, gaze, brows and head motion.

Television animation goes from pose to pose: a short move, then a held drawing. A performance is therefore a list of
keys with short eases between them, not a sum of waves: between two moves nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipsync_lab.generation.cel.shapes import MouthShape

_EASE = 0.28  # seconds that a move takes
_BLINK = 0.20  # seconds from open to open
_NOD = 0.36

#: What a key holds: moves in head units, degrees, and the rest as in `head.Look`.
FIELDS = ("x", "y", "yaw", "roll", "nod", "gaze_x", "gaze_y", "brow")
_REACH = np.array([0.06, 0.03, 7.0, 5.0, 0.35, 0.6, 0.35, 0.7])


@dataclass(frozen=True)
class Acting:
    """One character's performance in one shot.

    Attributes
    ----------
    times : ndarray, float64, (K,)
        Seconds at which a move begins.
    keys : ndarray, float64, (K, 8)
        The pose that each move ends in; columns are `FIELDS`.
    blinks, stresses : ndarray, float64
        Seconds at which the eyes are shut, and on which the head nods.
    """

    times: np.ndarray
    keys: np.ndarray
    blinks: np.ndarray
    stresses: np.ndarray

    def at(self, time: float) -> dict[str, float]:
        """Return the offsets at `time` seconds by name: `FIELDS` and ``blink``."""
        now = max(int(np.searchsorted(self.times, time, side="right")) - 1, 0)
        before = self.keys[max(now - 1, 0)]
        share = min(max((time - self.times[now]) / _EASE, 0.0), 1.0)
        pose = before + (self.keys[now] - before) * (share * share * (3 - 2 * share))
        offsets = dict(zip(FIELDS, pose.round(4).tolist(), strict=True))
        beat = _pulse(self.stresses, time, _NOD)
        offsets["nod"] += round(0.45 * beat, 4)
        offsets["brow"] += round(0.5 * beat, 4)
        offsets["blink"] = round(min(1.6 * _pulse(self.blinks, time, _BLINK), 1.0), 4)
        return offsets


def _pulse(moments: np.ndarray, time: float, width: float) -> float:
    """Return a pulse that is 1 at each of the moments and falls to 0 at half a width from them."""
    if not len(moments):
        return 0.0
    away = np.abs(moments - time).min() / (width / 2)
    return float(np.cos(away * np.pi / 2) ** 2) if away < 1 else 0.0


def perform(
    rng: np.random.Generator,
    start: float,
    duration: float,
    life: float = 1.0,
    pose_at: Callable[[float], MouthShape] | None = None,
) -> Acting:
    """Return random acting for `duration` seconds from `start`.

    Parameters
    ----------
    rng : numpy.random.Generator
    start, duration : float
        Seconds.
    life : float
        Scale of the moves.
    pose_at : callable, optional
        From seconds to `MouthShape`; stresses are placed at wide openings of the mouth.
    """
    times = start + np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.7, int(duration / 0.5) + 2))])
    keys = rng.normal(0, 0.5, (len(times), len(FIELDS))).clip(-1, 1) * _REACH * life
    keys[rng.random(len(times)) < 0.45, 5:7] = 0.0  # the gaze returns to the viewer
    blinks = start + np.cumsum(rng.uniform(0.9, 3.6, int(duration / 0.9) + 2))
    if rng.random() < 0.25:
        blinks = np.sort(np.concatenate([blinks, blinks[::2] + 0.28]))  # double blinks
    stresses = np.array([])
    if pose_at is not None and life > 0:
        grid = np.arange(start, start + duration, 0.04)
        open_ = np.array([pose_at(float(t)).openness for t in grid])
        peaks = [k for k in range(1, len(grid) - 1) if open_[k] >= 0.55 and open_[k - 1] < open_[k] >= open_[k + 1]]
        stresses = np.array([grid[k] for k in peaks if rng.random() < 0.4])
    return Acting(times, keys.round(4), blinks, stresses)
