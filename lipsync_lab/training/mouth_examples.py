"""Examples for the mouth locator: face crops with the points of the mouth, and crops without a mouth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.models.mouth_locator import VISIBILITIES
from lipsync_lab.synthesis import portrait, visemes
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.animation.character import character
from lipsync_lab.synthesis.animation.props import OCCLUDERS
from lipsync_lab.synthesis.animation.settings import random_scene
from lipsync_lab.synthesis.truth import MOUTH_POINTS, GroundTruth
from lipsync_lab.training import corpus
from lipsync_lab.training.clips import new_shard
from lipsync_lab.training.render import pictures

#: Side of a stored crop in pixels, and the part beyond each side of the face box, as a share of the box.
STORED, MARGIN = 112, 0.35
#: Seeds in a shard.
SEEDS = 60
#: Frames a second, and longest time in seconds, of a character.
_FPS, _LONGEST = 3.0, 2.4
#: Shares of seeds with the portrait, and with crops without a face.
_PORTRAITS, _NEGATIVES = 0.05, 0.24
#: Share of characters with a prop before the mouth.
_OCCLUDED = 0.12
#: Boxes at random in a picture without, or beside, its faces.
_RANDOM_BOXES = 3
#: Score at or above which a false box of the detector is an example.
_FALSE_SCORE = 0.2


@dataclass(frozen=True)
class MouthExamples:
    """Crops of 112 x 112 pixels with ground truth.

    Attributes
    ----------
    crops : ndarray, uint8, (N, 112, 112, 3)
        RGB; may be memory-mapped. The face box fills the crop but for a margin of 0.35 of its sides; a crop without a
        face is the same area of a box that is not a face.
    points : ndarray, float32, (N, 4, 2)
        Left and right corner, upper and lower edge of the gap, in pixels of the crop; NaN without a face.
    visibility : ndarray, int64, (N,)
        Index into `models.mouth_locator.VISIBILITIES`.
    style : ndarray of str, (N,)
        Style of the character, "portrait", or "none".
    """

    crops: np.ndarray = field(repr=False)
    points: np.ndarray = field(repr=False)
    visibility: np.ndarray = field(repr=False)
    style: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.crops)


def of_seed(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, str, str]]:
    """Yield crop, points, visibility and style of the examples of a seed."""
    rng = np.random.default_rng([seed, 0x307C])
    kind = rng.random()
    if kind < _NEGATIVES:
        for picture in pictures(seed):
            for box in _without_mouth(picture.pixels, picture.faces, rng):
                yield _cut(picture.pixels, box), np.full((4, 2), np.nan), "no face", "none"
    elif kind < _NEGATIVES + _PORTRAITS:
        timeline = visemes.timeline(corpus.line(seed))
        for image, row in portrait.frames(timeline, fps=_FPS, size=(288, 288), seed=seed, duration=_LONGEST):
            box = Box(row.face_x1, row.face_y1, row.face_x2, row.face_y2)
            area, points = _area(box), _points(row)
            yield _cut(image, box), (points - (area.x1, area.y1)) * STORED / (area.width, area.height), *_about(row)
    else:
        occluder = str(rng.choice(OCCLUDERS)) if rng.random() < _OCCLUDED else None
        speech = corpus.line(seed)
        settings = random_scene(seed, occluder=occluder, fps=_FPS)
        timeline = visemes.timeline(speech)
        start = rng.uniform(0, max(speech.duration - _LONGEST, 0.1))
        style = character(settings.seed, settings.style).style
        crops = scene.face_crops(
            settings,
            lambda time: visemes.pose_at(timeline, start + time),
            min(speech.duration, _LONGEST),
            size=STORED,
            bottom=0.0,
            margin=MARGIN,
        )
        for crop, row in crops:
            yield crop, _points(row), _about(row)[0], style


def _about(row: GroundTruth) -> tuple[str, str]:
    label = "hidden" if row.occluded else "profile" if row.pose == "profile" else "visible"
    return label, "portrait"


def _points(row: GroundTruth) -> np.ndarray:
    return np.array([getattr(row, name) for name in MOUTH_POINTS]).reshape(4, 2)


def _area(box: Box) -> Box:
    return box.padded(*(MARGIN * side for side in (box.height, box.height, box.width, box.width)))


def _cut(picture: np.ndarray, box: Box) -> np.ndarray:
    import cv2

    area = _area(box)
    x, y = STORED / area.width, STORED / area.height
    matrix = np.array([[x, 0, -area.x1 * x], [0, y, -area.y1 * y]])
    smaller = cv2.INTER_AREA if x < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(picture, matrix, (STORED, STORED), flags=smaller, borderMode=cv2.BORDER_REPLICATE)


def _without_mouth(picture: np.ndarray, faces: tuple[Box, ...], rng: np.random.Generator) -> Iterator[Box]:
    """Yield boxes at random, and false boxes of the detector, that overlap with no lower half of a face."""
    lower = [box.padded(-0.45 * box.height, 0, 0, 0) for box in faces]
    height, width = picture.shape[:2]
    proposed = [located.box for located in _detector().detect(picture[None])[0] if located.score > _FALSE_SCORE]
    for _ in range(_RANDOM_BOXES):
        side = float(np.exp(rng.uniform(np.log(24), np.log(180))))
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        proposed.append(Box(x, y, x + side * rng.uniform(0.7, 1.1), y + side))
    for box in proposed:
        area = box.padded(0, 0.1 * box.height, 0, 0)
        if box.area and all(area.iou(half) == 0 for half in lower):
            yield box


@cache
def _detector():
    from lipsync_lab import detection

    return detection.load("s3fd-lab")


def make_shard(work: tuple[Path, str, int], recordings: tuple = ()) -> None:
    """Write a shard; see `render.render`. Recordings have no part in it."""
    path, part, number = work
    rows = [row for seed in corpus.seeds(part, number * SEEDS, SEEDS) for row in of_seed(seed)]
    with new_shard(path) as folder:
        crops, points, visibility, style = zip(*rows, strict=True)
        np.save(folder / "crops.npy", np.stack(crops))
        np.savez(
            folder / "mouths.npz",
            points=np.array(points, np.float32),
            visibility=[VISIBILITIES.index(name) for name in visibility],
            style=list(style),
        )


def open_examples(root: str | Path) -> MouthExamples:
    """Open all shards of examples under a folder, in memory.

    Raises
    ------
    MediaError
        There is no shard.
    """
    paths = sorted(Path(root).rglob("mouths.npz"))
    if not paths:
        raise MediaError(f"{root}: contains no shard of mouths; render some first")
    parts = [np.load(path) for path in paths]
    crops = np.concatenate([np.load(path.parent / "crops.npy", mmap_mode="r") for path in paths])
    if crops.shape[1:] != (STORED, STORED, 3):
        raise ParameterError(f"{root}: its crops are {crops.shape[1:]}, not {STORED} x {STORED} x 3; render them again")
    rest = (np.concatenate([part[name] for part in parts]) for name in ("points", "visibility", "style"))
    return MouthExamples(crops, *rest)
