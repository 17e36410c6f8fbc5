"""Contact sheets: many characters at a glance, and one sentence in every style."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from lipsync_lab.synthesis.animation.character import STYLES
from lipsync_lab.synthesis.animation.scene import frames
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.pose import MouthPose

_MOUTHS = (
    MouthPose("X", 0.0, 0.5),
    MouthPose("D", 0.9, 0.6, teeth=0.6, tongue=0.2),
    MouthPose("C", 0.5, 0.6, teeth=0.5, tongue=0.2),
    MouthPose("A", 0.0, 0.55),
    MouthPose("E", 0.5, 0.35, rounding=0.6),
)
_VIEWS = ("front", "three-quarter", "front", "three-quarter", "profile")


def contact_sheet(seeds: Iterable[int], size: int = 192, columns: int = 6, style: str | None = None) -> np.ndarray:
    """Characters in rows, each in its own place, view and mouth.

    Parameters
    ----------
    seeds : iterable of int
        One character each.
    size : int
        Pixels of a square tile.
    columns : int
        Tiles in a row; what the last row lacks is left white.
    style : str, optional
        The same style for all; decided by each seed when absent.

    Returns
    -------
    ndarray, uint8, (rows * size, columns * size, 3)
        RGB.
    """
    tiles = []
    for number, seed in enumerate(seeds):
        scene = Scene(seed=seed, style=style, size=(size, size), view=_VIEWS[number % len(_VIEWS)], grain=0.0)
        mouth = _MOUTHS[(number * 3) % len(_MOUTHS)]
        pixels, _ = next(frames(scene, lambda time, mouth=mouth: mouth, 1 / scene.fps))
        tiles.append(pixels)
    return _grid(tiles, columns)


def sentence_strip(
    pose_at: Callable[[float], MouthPose],
    duration: float,
    seed: int = 0,
    size: int = 192,
    columns: int = 8,
    view: str = "front",
) -> np.ndarray:
    """One sentence in the four styles: a row for each, the same moments under each other.

    Parameters
    ----------
    pose_at : callable
        From seconds to `MouthPose`.
    duration : float
        Seconds.
    seed, size, columns, view
        Of the scene, its square frame, and how many moments are shown.

    Returns
    -------
    ndarray, uint8, (4 * size, columns * size, 3)
        RGB.
    """
    rows = []
    for style in STYLES:
        scene = Scene(seed=seed, style=style, size=(size, size), framing="portrait", view=view, grain=0.0)
        pictures = [pixels for pixels, _ in frames(scene, pose_at, duration)]
        moments = np.linspace(0, len(pictures) - 1, columns).round().astype(int)
        rows += [pictures[moment] for moment in moments]
    return _grid(rows, columns)


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    blank = [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    tiles = tiles + blank
    return np.vstack([np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)])
