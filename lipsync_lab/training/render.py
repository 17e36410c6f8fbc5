"""Drawn material without end, rendered into shards by several processes at once.

What is in a shard follows from its split and number alone: whoever renders it, and when, gets the same bytes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from lipsync_lab import audio
from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.geometry import Box, spans
from lipsync_lab.progress import Progress
from lipsync_lab.synthesis import portrait, visemes
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.animation.settings import random_scene
from lipsync_lab.synthesis.speech import Speech
from lipsync_lab.synthesis.truth import GroundTruth
from lipsync_lab.training import corpus
from lipsync_lab.training.clips import FPS, Clip, new_folder, write_shard

#: How far a crop goes on under the chin, as a share of the box: what ten published pixels are on a face of 170.
BOTTOM = 0.06
#: Clips of faces in one shard, and frames for the detector in one.
CLIPS, FRAMES = 24, 240
#: One clip in so many is the photograph that speaks; where recordings are given, one in so many has their voice.
_PHOTOGRAPHS, _RECORDINGS = 12, 8
#: Longest clip, in seconds.
_LONGEST = 4.0
#: Width and height of frames for the detector, and how many are taken of each scene, a second apart.
FRAME_SIZE = (384, 288)
_OF_SCENE = 2
#: Share of frames for the detector in which nobody is seen, half of them textures.
_EMPTY = 0.15
_TEXTURES = ("brick", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field", "rocket", "text")


def clip(seed: int, recordings: tuple[tuple[str, str], ...] = ()) -> Clip:
    """The clip of a seed: a character, or now and then the photograph, says its line.

    Parameters
    ----------
    seed : int
        From `corpus.seeds`.
    recordings : tuple of (sound, alignment)
        Files for `corpus.aligned`, which some characters speak with; never in validation.
    """
    rng = np.random.default_rng([seed, 0xC11B])
    if recordings and not corpus.is_held_out(seed) and rng.integers(_RECORDINGS) == 0:
        speech = corpus.aligned(*recordings[rng.integers(len(recordings))], voice="recording")
    else:
        speech = corpus.line(seed)
    if seed % _PHOTOGRAPHS == 5:
        return photographed(seed, speech, rng)
    return drawn(seed, speech, rng)


def drawn(seed: int, speech: Speech, rng: np.random.Generator) -> Clip:
    """A random character says something; nothing hides the mouth."""
    setting = random_scene(seed, occluder=None, fps=float(FPS))
    said = visemes.timeline(speech)
    hold = setting.mouth_exposure / setting.fps
    duration = min(speech.duration, _LONGEST)
    crops = scene.face_crops(
        setting, lambda time: visemes.key_at(said, time, hold), duration, size=FACE_SIZE, bottom=BOTTOM
    )
    return _clip(list(crops), speech, rng, "drawn", f"character {seed}")


def photographed(seed: int, speech: Speech, rng: np.random.Generator) -> Clip:
    """The photograph says something."""
    import cv2

    crops = []
    duration = min(speech.duration, _LONGEST)
    for image, truth in portrait.frames(
        visemes.timeline(speech), fps=FPS, size=(200, 200), seed=seed, duration=duration
    ):
        box = Box(truth.face_x1, truth.face_y1, truth.face_x2, truth.face_y2)
        box = Box(box.x1, box.y1, box.x2, box.y2 + BOTTOM * box.height)
        x, y = FACE_SIZE / box.width, FACE_SIZE / box.height
        matrix = np.array([[x, 0, -box.x1 * x], [0, y, -box.y1 * y]])
        crop = cv2.warpAffine(
            image, matrix, (FACE_SIZE, FACE_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        mouth = Box(truth.mouth_x1 - box.x1, truth.mouth_y1 - box.y1, truth.mouth_x2 - box.x1, truth.mouth_y2 - box.y1)
        values = dict(zip(("mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"), mouth.scaled(x, y), strict=True))
        known = dict(frame=truth.frame, time=truth.time, openness=truth.openness, openness_px=truth.openness_px * y)
        crops.append((crop, GroundTruth(**known, **values)))
    return _clip(crops, speech, rng, "photograph", f"portrait {seed}")


def _clip(crops, speech: Speech, rng, kind: str, who: str) -> Clip:
    """The longest run of frames in which the face is there."""
    numbers = np.array([truth.frame for _, truth in crops])
    if not len(numbers):
        raise ParameterError(f"{who}: its face is never in the frame")
    runs = spans(np.ones(len(numbers), bool), numbers - np.arange(len(numbers)))
    run = range(*max(runs, key=lambda run: run[1] - run[0]))
    truths = [crops[row][1] for row in run]
    return Clip(
        faces=np.stack([crops[row][0] for row in run]),
        mel=audio.melspectrogram(corpus.as_recorded(rng, speech.wave)),
        first=int(numbers[run[0]]),
        kind=kind,
        who=who,
        voice=speech.voice,
        openness=np.array([truth.openness for truth in truths], np.float32),
        gap=np.array([truth.openness_px for truth in truths], np.float32),
        mouth=np.array([(t.mouth_x1, t.mouth_y1, t.mouth_x2, t.mouth_y2) for t in truths], np.float32),
    )


@dataclass(frozen=True)
class Picture:
    """A frame for the detector: `pixels` uint8 RGB (288, 384, 3), `faces` every face in it."""

    pixels: np.ndarray
    faces: tuple[Box, ...]


def pictures(seed: int) -> Iterator[Picture]:
    """Frames of the seed's scene, a second apart; of the photograph, of a texture, or of nobody for some seeds."""
    rng = np.random.default_rng([seed, 0xF4A3])
    kind = rng.random()
    if kind < _EMPTY / 2:
        yield from (Picture(_texture(rng), ()) for _ in range(_OF_SCENE))
        return
    speech = corpus.line(seed)
    said = visemes.timeline(speech)
    if kind > 1 - 1 / _PHOTOGRAPHS:
        yield from _portraits(seed, said, rng)
        return
    setting = random_scene(seed, fps=1.0, size=FRAME_SIZE, empty=kind < _EMPTY)
    # the first moment is the same in all: begin somewhere in the line
    start = rng.uniform(0, max(speech.duration - _OF_SCENE, 0.1))
    for frame in scene.render(setting, lambda time: visemes.pose_at(said, start + time), float(_OF_SCENE)):
        yield Picture(frame.pixels, frame.faces)


def _portraits(seed, said, rng) -> Iterator[Picture]:
    """The photograph at any size before a texture."""
    import cv2

    for image, truth in portrait.frames(said, fps=1.0, size=(288, 288), seed=seed, duration=float(_OF_SCENE)):
        pixels, side = _texture(rng), int(rng.integers(70, 289))
        x, y = int(rng.integers(FRAME_SIZE[0] - side + 1)), int(rng.integers(FRAME_SIZE[1] - side + 1))
        pixels[y : y + side, x : x + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        face = Box(truth.face_x1, truth.face_y1, truth.face_x2, truth.face_y2).scaled(side / 288, side / 288)
        yield Picture(pixels, (face.padded(-y, y, -x, x),))


def _texture(rng: np.random.Generator) -> np.ndarray:
    """A piece of a photograph without people, or of print: what a detector must not take for a face."""
    import cv2

    whole = _photographs()[rng.integers(len(_TEXTURES))]
    width = int(rng.integers(80, min(whole.shape[1], whole.shape[0] * 4 // 3) + 1))
    height = width * 3 // 4
    x, y = rng.integers(whole.shape[1] - width + 1), rng.integers(whole.shape[0] - height + 1)
    piece = cv2.resize(whole[y : y + height, x : x + width], FRAME_SIZE, interpolation=cv2.INTER_LINEAR)
    return piece[:, ::-1].copy() if rng.random() < 0.5 else piece


@cache
def _photographs() -> tuple[np.ndarray, ...]:
    import skimage.data

    found = (getattr(skimage.data, name)() for name in _TEXTURES)
    return tuple(np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture for picture in found)


def render(
    folder: str | Path,
    what: str,
    part: str,
    shards: int,
    *,
    first: int = 0,
    workers: int = 1,
    recordings: tuple[tuple[str, str], ...] = (),
    progress: Progress | None = None,
) -> list[Path]:
    """Render shards; those that are there already are left as they are.

    Parameters
    ----------
    folder : path
        They go into ``<folder>/<part>/<what>-<number>/``.
    what : {"faces", "frames"}
        Clips of faces, or frames for the detector.
    part : {"train", "validation"}
    shards, first : int
        How many, and the number of the first.
    workers : int
        Processes.
    recordings : tuple of (sound, alignment)
        See `clip`.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    list of Path
    """
    if what not in _MAKERS:
        raise ParameterError(f"there are no shards of {what!r}; take {' or '.join(_MAKERS)}")
    corpus.seeds(part, first * CLIPS, shards * CLIPS)
    paths = [Path(folder) / part / f"{what}-{number:05d}" for number in range(first, first + shards)]
    work = [(path, part, number) for number, path in enumerate(paths, start=first) if not path.is_dir()]
    make = partial(_MAKERS[what], recordings=recordings)
    done = len(paths) - len(work)
    if workers > 1 and len(work) > 1:
        # not forked: torch and OpenCV may have threads already, which a fork leaves behind
        with multiprocessing.get_context("spawn").Pool(min(workers, len(work)), _alone) as pool:
            for _ in pool.imap_unordered(make, work):
                done += 1
                if progress:
                    progress(f"render {what} for {part}", done, len(paths))
        return paths
    for one in work:
        make(one)
        done += 1
        if progress:
            progress(f"render {what} for {part}", done, len(paths))
    return paths


def _alone() -> None:
    """A worker is one of several: it keeps to one core."""
    import cv2

    cv2.setNumThreads(1)


def _faces(work: tuple[Path, str, int], recordings) -> None:
    path, part, number = work
    write_shard(path, [clip(seed, recordings) for seed in corpus.seeds(part, number * CLIPS, CLIPS)])


def _frames(work: tuple[Path, str, int], recordings) -> None:
    path, part, number = work
    count = FRAMES // _OF_SCENE
    write_frames(path, [one for seed in corpus.seeds(part, number * count, count) for one in pictures(seed)])


_MAKERS = {"faces": _faces, "frames": _frames}


def write_frames(folder: str | Path, found: list[Picture]) -> None:
    """Pack frames for the detector into a folder, which is complete or absent."""
    with new_folder(folder) as part:
        np.save(part / "frames.npy", np.stack([picture.pixels for picture in found]))
        boxes = [tuple(box) for picture in found for box in picture.faces]
        np.savez(
            part / "boxes.npz",
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            count=[len(picture.faces) for picture in found],
        )
