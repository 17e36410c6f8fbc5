"""Conversion of clips to the published layout: 25 frames a second, a folder for each shot, face crops and sound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lipsync_lab import files
from lipsync_lab.detection import Detector, at_detection_size, tracking
from lipsync_lab.detection.shots import Shots, shot_numbers
from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import spans
from lipsync_lab.media import audio, video
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings
from lipsync_lab.training.clips import FPS

#: A shot with fewer faces is left out, since the generator needs five frames and a reference outside of them.
SHORTEST = 15
_BATCH, _SIZE = 16, Settings().detection_size


def preprocess(
    clips: Iterable[str | Path],
    out: str | Path,
    detector: Detector,
    *,
    step: int = 1,
    threshold: float = 0.5,
    pads: tuple[int, int, int, int] = (0, 10, 0, 0),
    progress: Progress | None = None,
) -> list[Path]:
    """Crop the largest face from the frames of clips.

    Parameters
    ----------
    clips : iterable of path
        Videos with sound. Other frame rates are brought to 25 by taking the nearest frame.
    out : path
        Each shot goes into ``<out>/<clip>/<shot>/``; clips with a folder are skipped.
    detector : Detector
    step : int
        Detect in each `step`-th frame and interpolate the box in between, which is faster.
    threshold : float
        Minimum score of a face.
    pads : (top, bottom, left, right)
        Pixels added to the box; ten below the chin, as published.
    progress : callable, optional
        Called as ``progress(stage, done, total)``, once a clip.

    Returns
    -------
    list of Path
        Folders of the shots.

    Raises
    ------
    MediaError
        A clip cannot be read or has no sound, or there are no clips.
    """
    paths = [Path(path) for path in clips]
    if not paths:
        raise MediaError("no clip to preprocess; name files, or a folder of files")
    folders = []
    for done, path in enumerate(paths, start=1):
        folder = Path(out) / path.stem
        if not folder.is_dir():
            boxes, shots = _boxes(path, detector, step, threshold, pads)
            with files.atomic_folder(folder, lambda _: False) as part:
                _write(path, part, boxes, shots)
        folders += sorted(path for path in folder.iterdir() if path.is_dir())
        if progress:
            progress("preprocess", done, len(paths))
    return folders


def _boxes(path, detector, step, threshold, pads) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes of all frames at the clip's own rate, NaN without a face, and the shots of the frames."""
    info = video.probe(path)
    cuts, candidates, batch = Shots(info.fps), [], []

    def detect() -> None:
        for number, row in zip(
            [number for number, _ in batch],
            at_detection_size(detector, np.stack([image for _, image in batch]), batch[0][0], _SIZE),
            strict=True,
        ):
            candidates[number] = row
        batch.clear()

    # a detector that does not read pixels needs each frame
    step = step if detector.reads_pixels else 1
    for frame in video.frames(path):
        cuts.add(frame.image)
        candidates.append([])
        if frame.index % step == 0:
            batch.append((frame.index, frame.image))
        if len(batch) == _BATCH:
            detect()
    if batch:
        detect()
    shots = shot_numbers(cuts.starts, len(candidates))
    size, longest = (info.width, info.height), max(12, step)
    chosen = tracking.choose(candidates, shots, size, threshold=threshold, max_dropout=longest)
    track = tracking.track(candidates, chosen, shots, size, dropouts="interpolate", max_dropout=longest, pads=pads)
    return track.boxes, shots


def _write(path, folder, boxes, shots) -> None:
    import cv2
    from scipy.io import wavfile

    fps = float(video.probe(path).fps)
    wave = audio.load(path)
    # number of the clip's frame at each moment of the new rate
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
                target, options = here / f"{new - start}.jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]
                if not cv2.imwrite(str(target), np.ascontiguousarray(frame.image[y1:y2, x1:x2, ::-1]), options):
                    raise MediaError(f"{target}: cannot be written; check that the disk has room")
        first, stop = (round(new / FPS * audio.SAMPLE_RATE) for new in (start, int(news[-1]) + 1))
        piece = np.rint(wave[first:stop] * 32767).astype(np.int16)
        # the sound may be shorter than the picture
        wavfile.write(here / "audio.wav", audio.SAMPLE_RATE, np.pad(piece, (0, stop - first - len(piece))))
