"""Render the figures of the README into reports/figures.

    python benchmarks/render_figures.py            # or: make figures

characters.png: the characters of seeds 0 to 23. four_styles.png: one sentence in the four drawing styles.
matched_pair.png: mouths of a matched pair of bundled clips. samples.png: one frame of each longer bundled clip.
pairs.png: one frame of each of the short matched pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from lipsync_lab import samples
from lipsync_lab.generation.cel.shapes import MouthShape
from lipsync_lab.media import video
from lipsync_lab.synthesis import visemes
from lipsync_lab.synthesis.animation.character import STYLES
from lipsync_lab.synthesis.animation.scene import frames
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.samples import CLIPS, PAIRS
from lipsync_lab.synthesis.speech import Speech, speak

_MOUTHS = (
    MouthShape("X", 0.0, 0.5),
    MouthShape("D", 0.9, 0.6, teeth=0.6, tongue=0.2),
    MouthShape("C", 0.5, 0.6, teeth=0.5, tongue=0.2),
    MouthShape("A", 0.0, 0.55),
    MouthShape("E", 0.5, 0.35, rounding=0.6),
)
_VIEWS = ("front", "three-quarter", "front", "three-quarter", "profile")


def characters(seeds: Iterable[int] = range(24), size: int = 160, columns: int = 6) -> np.ndarray:
    """Draw one character for each seed, with different views and mouths; tiles of size x size pixels."""
    tiles = []
    for number, seed in enumerate(seeds):
        scene = Scene(seed=seed, size=(size, size), view=_VIEWS[number % len(_VIEWS)], grain=0.0)
        mouth = _MOUTHS[(number * 3) % len(_MOUTHS)]
        pixels, _ = next(frames(scene, lambda time, mouth=mouth: mouth, 1 / scene.fps))
        tiles.append(pixels)
    return grid(tiles, columns)


def four_styles(speech: Speech, seed: int = 11, size: int = 128, columns: int = 8) -> np.ndarray:
    """Draw a sentence in the four styles: one row a style, one column a moment."""
    timeline, tiles = visemes.timeline(speech), []
    for style in STYLES:
        scene = Scene(seed=seed, style=style, size=(size, size), framing="portrait", grain=0.0)
        poses = frames(scene, lambda time: visemes.pose_at(timeline, time), speech.duration)
        pictures = [pixels for pixels, _ in poses]
        tiles += [pictures[at] for at in evenly(len(pictures), columns)]
    return grid(tiles, columns)


def matched_pair(names: Sequence[str], size: int = 160, columns: int = 7) -> np.ndarray:
    """Show the faces of two bundled clips of one sentence at the same moments: one row per clip."""
    tiles = []
    for name in names:
        path = samples.path(name)
        boxes = pd.read_csv(path.with_suffix(".truth.csv"))[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy()
        chosen = evenly(len(boxes), columns + 2)[1:-1]
        for frame in video.frames(path):
            if frame.index in chosen:
                x1, y1, x2, y2 = boxes[frame.index]
                half = 0.65 * max(x2 - x1, y2 - y1)
                scale, corner = size / (2 * half), ((x1 + x2) / 2 - half, (y1 + y2) / 2 - half)
                matrix = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
                tiles.append(cv2.warpAffine(frame.image, matrix, (size, size), flags=cv2.INTER_AREA))
    return grid(tiles, columns)


def bundled(names: Iterable[str], width: int = 216, height: int = 162, columns: int = 5) -> np.ndarray:
    """Show a frame of each clip, two fifths into it, fitted into width x height pixels on white."""
    tiles = []
    for name in names:
        pictures = [frame.image for frame in video.frames(samples.path(name))]
        picture = pictures[2 * len(pictures) // 5]
        scale = min(width / picture.shape[1], height / picture.shape[0])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = np.full((height, width, 3), 255, np.uint8)
        top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        tile[top : top + small.shape[0], left : left + small.shape[1]] = small
        tiles.append(tile)
    return grid(tiles, columns)


def evenly(count: int, moments: int) -> list[int]:
    """Return `moments` frame numbers at equal distances, from the first to the last of `count` frames."""
    return np.linspace(0, count - 1, moments).round().astype(int).tolist()


def grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Put tiles of one size into rows; missing tiles of the last row are white."""
    tiles = tiles + [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the figures of the README.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "reports" / "figures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    figures = {
        "characters": characters(),
        "four_styles": four_styles(speak("My mother and father love the warm weather.")),
        "matched_pair": matched_pair([name for name in CLIPS if name.endswith("_hello")]),
        "samples": bundled(name for name in CLIPS if name.split("_")[1] not in PAIRS),
        "pairs": bundled((f"{side}_{word}" for side in ("animation", "astronaut") for word in PAIRS), 144, 144, 8),
    }
    for name, picture in figures.items():
        # a palette makes the files a quarter as large
        Image.fromarray(picture).quantize(256).save(out / f"{name}.png", optimize=True)
        print(out / f"{name}.png")


if __name__ == "__main__":
    main()
