"""Synthetic material, rendered into shards by several processes.

Split and number of a shard determine its content: on every machine its bytes are the same.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.geometry import Box, spans
from lipsync_lab.media import audio
from lipsync_lab.progress import Progress
from lipsync_lab.synthesis import portrait, visemes
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.animation.settings import random_scene
from lipsync_lab.synthesis.recordings import aligned
from lipsync_lab.synthesis.speech import Speech
from lipsync_lab.synthesis.truth import GroundTruth
from lipsync_lab.training import corpus
from lipsync_lab.training.clips import FPS, Clip, new_shard, write_shard

#: Part of a crop below the chin, as a share of the face box: ten published pixels on a face of 170.
BOTTOM = 0.06
#: Clips of faces in a shard, and frames for the detector in a shard.
CLIPS, FRAMES = 24, 240
#: One clip in this number shows the portrait; where recordings are given, one in this number has their voice.
_PORTRAITS, _RECORDINGS = 12, 8
#: Longest clip, in seconds.
_LONGEST = 4.0
#: Width and height of frames for the detector, and the number of frames of a scene, a second apart.
FRAME_SIZE = (384, 288)
_OF_SCENE = 2
#: Name of the shards of hard frames for the detector.
HARD = "hard"
#: Name of the shards of clips that come in pairs, which differ only by their lines.
TWINS = "twins"
#: Share of frames for the detector without a face, half of them textures.
_EMPTY = 0.15
#: Shares of hard scenes: with things that are no face; of these, without a character; with characters of western
#: animation of the 1930s.
_CLUTTERED, _CLUTTERED_EMPTY, _VINTAGE = 0.6, 0.3, 0.35
_TEXTURES = ("brick", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field", "rocket", "text")


def clip(seed: int, recordings: tuple[tuple[str, str], ...] = ()) -> Clip:
    """Render the clip of a seed: its line, spoken by a character or by the portrait.

    Parameters
    ----------
    seed : int
        From `corpus.seeds`.
    recordings : tuple of (sound, alignment)
        Files for `synthesis.recordings.aligned`, as voices of some characters; never in validation.
    """
    rng = np.random.default_rng([seed, 0xC11B])
    if recordings and not corpus.is_held_out(seed) and rng.integers(_RECORDINGS) == 0:
        speech = aligned(*recordings[rng.integers(len(recordings))])
    else:
        speech = corpus.line(seed)
    return (_portrait if seed % _PORTRAITS == 5 else _animation)(seed, speech, rng, min(speech.duration, _LONGEST))


def twins(seed: int, other: int) -> list[Clip]:
    """Render two clips of the character of a seed: its line, and that of another seed.

    They are as long as the shorter line, on which the acting depends, so that most of them have the same poses.
    """
    speeches, rng = [corpus.line(line) for line in (seed, other)], np.random.default_rng([seed, 0xC11B])
    duration = min(_LONGEST, *(speech.duration for speech in speeches))
    return [_animation(seed, speech, rng, duration) for speech in speeches]


def _animation(seed: int, speech: Speech, rng: np.random.Generator, duration: float) -> Clip:
    """Render a random character; no prop covers the mouth."""
    settings = random_scene(seed, occluder=None, fps=float(FPS))
    timeline = visemes.timeline(speech)
    hold = settings.mouth_exposure / settings.fps
    crops = scene.face_crops(
        settings, lambda time: visemes.key_at(timeline, time, hold), duration, size=FACE_SIZE, bottom=BOTTOM
    )
    return _clip(list(crops), speech, rng, "animation", f"character {seed}")


def _portrait(seed: int, speech: Speech, rng: np.random.Generator, duration: float) -> Clip:
    """Render the portrait, cropped to its face."""
    import cv2

    crops, timeline = [], visemes.timeline(speech)
    for image, row in portrait.frames(timeline, fps=FPS, size=(200, 200), seed=seed, duration=duration):
        box = Box(row.face_x1, row.face_y1, row.face_x2, row.face_y2)
        box = Box(box.x1, box.y1, box.x2, box.y2 + BOTTOM * box.height)
        x, y = FACE_SIZE / box.width, FACE_SIZE / box.height
        matrix = np.array([[x, 0, -box.x1 * x], [0, y, -box.y1 * y]])
        crop = cv2.warpAffine(
            image, matrix, (FACE_SIZE, FACE_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        mouth = Box(row.mouth_x1 - box.x1, row.mouth_y1 - box.y1, row.mouth_x2 - box.x1, row.mouth_y2 - box.y1)
        values = dict(zip(("mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"), mouth.scaled(x, y), strict=True))
        values |= dict(frame=row.frame, time=row.time, openness=row.openness, openness_px=row.openness_px * y)
        crops.append((crop, GroundTruth(**values)))
    return _clip(crops, speech, rng, "synthetic_photo", f"portrait {seed}")


def _clip(crops: list[tuple[np.ndarray, GroundTruth]], speech: Speech, rng, domain: str, speaker: str) -> Clip:
    """Make a clip of the longest run of frames with a visible face."""
    numbers = np.array([row.frame for _, row in crops])
    if not len(numbers):
        raise ParameterError(f"{speaker}: its face is never in the frame")
    runs = spans(np.ones(len(numbers), bool), numbers - np.arange(len(numbers)))
    run = range(*max(runs, key=lambda run: run[1] - run[0]))
    rows = [crops[at][1] for at in run]
    return Clip(
        faces=np.stack([crops[at][0] for at in run]),
        mel=audio.melspectrogram(corpus.as_recorded(rng, speech.wave)),
        first=int(numbers[run[0]]),
        domain=domain,
        speaker=speaker,
        voice=speech.voice,
        openness=np.array([row.openness for row in rows], np.float32),
        gap=np.array([row.openness_px for row in rows], np.float32),
        mouth=np.array([(r.mouth_x1, r.mouth_y1, r.mouth_x2, r.mouth_y2) for r in rows], np.float32),
    )


@dataclass(frozen=True)
class Picture:
    """A frame for the detector: `pixels` uint8 RGB (288, 384, 3), `faces` the boxes of all faces in it."""

    pixels: np.ndarray
    faces: tuple[Box, ...]


def pictures(seed: int, hard: bool = False) -> Iterator[Picture]:
    """Yield frames of the seed's scene, a second apart; some seeds have the portrait, a texture, or no face.

    In `hard` ones many scenes show things that are no face, characters of the 1930s, and far or near faces.
    """
    rng = np.random.default_rng([seed, 0xF4A3])
    kind = rng.random()
    if kind < _EMPTY / 2:
        yield from (Picture(_texture(rng), ()) for _ in range(_OF_SCENE))
        return
    speech = corpus.line(seed)
    timeline = visemes.timeline(speech)
    if kind > 1 - 1 / _PORTRAITS:
        yield from _portraits(seed, timeline, rng)
        return
    more = _harder(seed) if hard else {}
    settings = random_scene(seed, fps=1.0, size=FRAME_SIZE, **({"empty": kind < _EMPTY} | more))
    # all lines begin with silence: start at a random moment
    start = rng.uniform(0, max(speech.duration - _OF_SCENE, 0.1))
    for frame in scene.render(settings, lambda time: visemes.pose_at(timeline, start + time), float(_OF_SCENE)):
        yield Picture(frame.pixels, frame.faces)


def _harder(seed: int) -> dict[str, object]:
    """Return the settings that make a scene hard."""
    rng = np.random.default_rng([seed, 0x4A2D])
    settings: dict[str, object] = {}
    if rng.random() < _CLUTTERED:
        settings["clutter"] = int(rng.integers(2, 13))
        if rng.random() < _CLUTTERED_EMPTY:
            settings["empty"] = True
    if rng.random() < _VINTAGE:
        settings |= {"vintage": True, "style": str(rng.choice(["western", "western", "rubberhose"]))}
    if rng.random() < 0.3:
        settings["framing"] = str(rng.choice(["portrait", "wide", "far", "far"]))
    return settings


def _portraits(seed, timeline, rng) -> Iterator[Picture]:
    """Yield pictures of the portrait at a random size on a texture."""
    import cv2

    for image, row in portrait.frames(timeline, fps=1.0, size=(288, 288), seed=seed, duration=float(_OF_SCENE)):
        pixels, side = _texture(rng), int(rng.integers(70, 289))
        x, y = int(rng.integers(FRAME_SIZE[0] - side + 1)), int(rng.integers(FRAME_SIZE[1] - side + 1))
        pixels[y : y + side, x : x + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        face = Box(row.face_x1, row.face_y1, row.face_x2, row.face_y2).scaled(side / 288, side / 288)
        yield Picture(pixels, (face.padded(-y, y, -x, x),))


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Return a part of a photograph without people, or of print, as a negative example."""
    import cv2

    whole = _textures()[rng.integers(len(_TEXTURES))]
    width = int(rng.integers(80, min(whole.shape[1], whole.shape[0] * 4 // 3) + 1))
    height = width * 3 // 4
    x, y = rng.integers(whole.shape[1] - width + 1), rng.integers(whole.shape[0] - height + 1)
    piece = cv2.resize(whole[y : y + height, x : x + width], FRAME_SIZE, interpolation=cv2.INTER_LINEAR)
    return piece[:, ::-1].copy() if rng.random() < 0.5 else piece


@cache
def _textures() -> tuple[np.ndarray, ...]:
    import skimage.data

    pictures = (getattr(skimage.data, name)() for name in _TEXTURES)
    return tuple(np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture for picture in pictures)


def render(
    folder: str | Path,
    what: str,
    part: str,
    shards: int,
    *,
    first: int = 0,
    workers: int = 1,
    recordings: tuple[tuple[str, str], ...] = (),
    make: Callable | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Render shards; existing shards are kept.

    Parameters
    ----------
    folder : path
        Shards go into ``<folder>/<part>/<what>-<number>/``.
    what : {"faces", "twins", "frames", "hard", "mouths"}
        Clips of faces, pairs of them (`twins`), frames for the detector, hard ones (`pictures`), or whatever `make`
        writes.
    part : {"train", "validation"}
    shards, first : int
        Number of shards, and number of the first.
    workers : int
        Processes.
    recordings : tuple of (sound, alignment)
        See `clip`.
    make : callable, optional
        Writes a shard of something else, such as `mouth_examples.make_shard`.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    list of Path
    """
    make = make or _MAKERS.get(what)
    if make is None:
        raise ParameterError(f"there are no shards of {what!r}; take {' or '.join(_MAKERS)}")
    corpus.seeds(part, first * CLIPS, shards * CLIPS)
    paths = [Path(folder) / part / f"{what}-{number:05d}" for number in range(first, first + shards)]
    work = [(path, part, number) for number, path in enumerate(paths, start=first) if not path.is_dir()]
    make = partial(make, recordings=recordings)
    with ExitStack() as stack:
        run = map
        if workers > 1 and len(work) > 1:
            # spawn, since a fork loses the threads that torch and OpenCV may have started
            pool = multiprocessing.get_context("spawn").Pool(min(workers, len(work)), _single_thread)
            run = stack.enter_context(pool).imap_unordered
        for done, _ in enumerate(run(make, work), start=len(paths) - len(work) + 1):
            if progress:
                progress(f"render {what} for {part}", done, len(paths))
    return paths


def _single_thread() -> None:
    """Use one core, since a worker is one of several."""
    import cv2

    cv2.setNumThreads(1)


def _faces(work: tuple[Path, str, int], recordings) -> None:
    path, part, number = work
    write_shard(path, [clip(seed, recordings) for seed in corpus.seeds(part, number * CLIPS, CLIPS)])


def _twins(work: tuple[Path, str, int], recordings) -> None:
    path, part, number = work
    seeds = corpus.seeds(part, number * CLIPS, CLIPS)
    pairs = zip(seeds[::2], seeds[1::2], strict=True)
    write_shard(path, [each for seed, other in pairs for each in twins(seed, other)])


def _frames(work: tuple[Path, str, int], recordings, hard: bool = False) -> None:
    path, part, number = work
    count = FRAMES // _OF_SCENE
    seeds = corpus.seeds(part, number * count, count)
    write_frames(path, [picture for seed in seeds for picture in pictures(seed, hard)])


_MAKERS = {"faces": _faces, TWINS: _twins, "frames": _frames, HARD: partial(_frames, hard=True)}


def write_frames(folder: str | Path, frames: list[Picture]) -> None:
    """Write frames for the detector into the folder of a shard, which is complete or absent."""
    with new_shard(folder) as part:
        np.save(part / "frames.npy", np.stack([picture.pixels for picture in frames]))
        boxes = [tuple(box) for picture in frames for box in picture.faces]
        np.savez(
            part / "boxes.npz",
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            count=[len(picture.faces) for picture in frames],
        )
