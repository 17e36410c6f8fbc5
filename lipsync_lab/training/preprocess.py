"""Anyone's clips to the published layout: 25 frames a second, one folder a shot, face crops and sound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lipsync_lab import audio, tracking, video
from lipsync_lab.detection import Detector, at_detection_size
from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import spans
from lipsync_lab.progress import Progress
from lipsync_lab.training.clips import FPS, new_folder

#: A shot with fewer faces is left out: the generator learns from five frames and a reference outside them.
SHORTEST = 15
_BATCH = 16


def preprocess(
    clips: Iterable[str | Path],
    out: str | Path,
    detector: Detector,
    *,
    every: int = 1,
    threshold: float = 0.5,
    pads: tuple[int, int, int, int] = (0, 10, 0, 0),
    detection_size: int | None = 640,
    quality: int = 95,
    progress: Progress | None = None,
) -> list[Path]:
    """Cut the largest face out of every frame of every clip.

    Parameters
    ----------
    clips : iterable of path
        Videos with sound. Other frame rates are brought to 25 by taking the nearest frame.
    out : path
        Each shot goes into ``<out>/<clip>/<shot>/``; clips that are there already are passed over.
    detector : Detector
    every : int
        Look for the face in one frame out of so many, and go straight between: much quicker on calm faces.
    threshold : float
        Score that a face must exceed.
    pads : (top, bottom, left, right)
        Pixels added to the box; ten below the chin, as published.
    detection_size : int or None
        Longest side of what the detector sees.
    quality : int
        Of the JPEG files.
    progress : callable, optional
        Called as ``progress(stage, done, total)``, once a clip.

    Returns
    -------
    list of Path
        Folders of the shots that are there now.

    Raises
    ------
    MediaError
        A clip cannot be read or has no sound, or no clip was given.
    """
    paths = [Path(path) for path in clips]
    if not paths:
        raise MediaError("no clip was given to preprocess; name files, or a folder that holds some")
    folders = []
    for done, path in enumerate(paths, start=1):
        folder = Path(out) / path.stem
        if not folder.is_dir():
            boxes, shots = _boxes(path, detector, every, threshold, pads, detection_size)
            with new_folder(folder) as part:
                _write(path, part, boxes, shots, quality)
        folders += sorted(found for found in folder.iterdir() if found.is_dir())
        if progress:
            progress("preprocess", done, len(paths))
    return folders


def _boxes(path, detector, every, threshold, pads, detection_size) -> tuple[np.ndarray, np.ndarray]:
    """A box a frame of the clip's own rate, NaN where there is no face, and each frame's shot."""
    info = video.probe(path)
    finder, candidates, batch = tracking.Shots(info.fps), [], []

    def look() -> None:
        # frames of one clip have one size, so that those between can wait in line
        for number, row in zip(
            [number for number, _ in batch],
            at_detection_size(detector, np.stack([image for _, image in batch]), batch[0][0], detection_size),
            strict=True,
        ):
            candidates[number] = row
        batch.clear()

    # a detector that does not look at pixels counts the frames that it is given
    step = every if detector.looks else 1
    for frame in video.frames(path):
        finder.add(frame.image)
        candidates.append([])
        if frame.index % step == 0:
            batch.append((frame.index, frame.image))
        if len(batch) == _BATCH:
            look()
    if batch:
        look()
    shots = tracking.shot_numbers(finder.starts, len(candidates))
    size, longest = (info.width, info.height), max(12, step)
    chosen = tracking.choose(candidates, shots, size, threshold=threshold, max_dropout=longest)
    track = tracking.track(candidates, chosen, shots, size, dropouts="interpolate", max_dropout=longest, pads=pads)
    return track.boxes, shots


def _write(path, folder, boxes, shots, quality) -> None:
    import cv2
    from scipy.io import wavfile

    fps = float(video.probe(path).fps)
    wave = audio.load(path)
    # number of the clip's frame that stands at each moment of the new rate
    source = np.minimum(
        np.floor(np.arange(round(len(boxes) / fps * FPS)) * fps / FPS + 1e-6).astype(int), len(boxes) - 1
    )
    wanted = {int(source[start]): range(start, stop) for start, stop in spans(np.ones(len(source), bool), source)}
    for shot in np.unique(shots).tolist():
        news = np.flatnonzero(shots[source] == shot)
        if np.sum(~np.isnan(boxes[source[news], 0])) < SHORTEST:
            continue
        here, start = folder / f"{shot:03d}", int(news[0])
        here.mkdir()
        for frame in video.frames(path, start=int(source[start]), stop=int(source[news[-1]]) + 1):
            if np.isnan(boxes[frame.index, 0]):
                continue
            x1, y1, x2, y2 = boxes[frame.index].astype(int)
            for new in wanted.get(frame.index, ()):
                target, options = here / f"{new - start}.jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]
                if not cv2.imwrite(str(target), np.ascontiguousarray(frame.image[y1:y2, x1:x2, ::-1]), options):
                    raise MediaError(f"{target}: cannot be written; check that the disk has room")
        first, stop = (round(new / FPS * audio.SAMPLE_RATE) for new in (start, int(news[-1]) + 1))
        piece = np.rint(wave[first:stop] * 32767).astype(np.int16)
        # sound may end before the picture does
        wavfile.write(here / "audio.wav", audio.SAMPLE_RATE, np.pad(piece, (0, stop - first - len(piece))))
