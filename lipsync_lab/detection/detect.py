"""Detection over a clip: every candidate of every frame and the cuts, with a cache on disk."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from lipsync_lab import detection, files
from lipsync_lab.detection import auto, sparse, tracking
from lipsync_lab.detection.base import Detection, Detector, enlarged, shrunk
from lipsync_lab.detection.boxes import FixedBox, Recorded
from lipsync_lab.detection.detections import (
    Detections,
    detections_text,
    parse_detections,
    rounded,
    write_detections,
)
from lipsync_lab.detection.shots import Shots
from lipsync_lab.errors import DetectionError, MediaError
from lipsync_lab.media.ahead import ahead
from lipsync_lab.media.clip import Clip, batches, open_clip
from lipsync_lab.models.registry import best_device
from lipsync_lab.plugins import in_precision
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

log = logging.getLogger(__name__)

#: Version of the cache's files.
_FORMAT = 5


def detect(
    clip: Clip | str | Path,
    detector: Detector | str | Path | None = None,
    cache: str | Path | None = None,
    *,
    out: str | Path | None = None,
    settings: Settings | None = None,
    frames: int | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Detections:
    """Detect faces and cuts in a clip.

    Parameters
    ----------
    clip : Clip, path or str
        A clip, or a file or sample's name to open with `settings`.
    detector : Detector, str or path, optional
        A detector, or what `detection.load` takes.
    cache : path, optional
        Folder of earlier detections, by the content of clip, detector and settings. None detects anew. A file in it
        that is damaged or edited is replaced. Boxes that a person gave or that a file holds are not cached.
    out : path, optional
        A ``detections.json`` to write, with the face that `settings` choose in each frame (`tracking.chosen_faces`).
    settings : Settings, optional
        The clip's view, the size and number of frames that the detector gets at once, and the choice of faces for
        `out`.
    frames : int, optional
        Number of frames from the first one on; None for all.
    device : str, optional
        Where a detector that is given by name runs; None takes CUDA where there is one.
    progress : callable, optional
        See `progress.Progress`; the stage is "detect", the unit a frame.

    Returns
    -------
    Detections
        Boxes in pixels of the clip's frames.

    Raises
    ------
    MediaError
        The clip cannot be read, or has no frame.
    DetectionError
        Recorded boxes do not fit the clip.
    """
    settings = settings or Settings()
    device = device or best_device()
    clip = clip if isinstance(clip, Clip) else open_clip(clip, settings, device=device)
    detector = in_precision(detection.load(detector, device=device), settings.precision)
    is_cached = cache is not None and clip.identity and detector.reads_pixels
    place = _place(Path(cache), clip, detector, settings) if is_cached else None
    detections = _cached(place, frames) if place else None
    if detections is None:
        detections = _detected(clip, detector, settings, frames, progress)
        if place:
            text = detections_text(detections)
            try:
                files.write_text(place, f"{_digest(text.encode())}\n{text}")
            except (OSError, MediaError) as error:  # a cache saves time, and its absence is no failure
                log.warning(
                    "%s: the detections could not be kept there (%s); --cache names another folder", cache, error
                )
    detections = replace(
        detections,
        view=clip.view,
        clip={"file": Path(clip.name).name, **{key: clip.identity[key] for key in ("sha256",) if clip.identity}},
        detector={"name": detector.name, **detector.identity},
        provenance="detected" if detector.reads_pixels else "recorded",
    )
    if out is not None:
        faces, shots = tracking.chosen_faces(detections, settings)
        about = {"threshold": settings.threshold, "fps": str(clip.fps)} | auto.decided(detector, faces, shots)
        write_detections(out, detections, faces, **about)
    return detections


def _detected(
    clip: Clip, detector: Detector, settings: Settings, frames: int | None, progress: Progress | None
) -> Detections:
    rows, kinds = [], []
    shots, before = Shots(clip.fps), None
    expected = clip.expected if frames is None else min(frames, clip.expected or frames)
    if isinstance(detector, Recorded):
        detector = detector.in_view(clip.view)
    longest = settings.detection_size if detector.reads_pixels else None
    size = clip.view.size[::-1]

    def shrunken(frame: np.ndarray) -> np.ndarray:
        shots.add(frame)
        return shrunk(frame, longest)

    def asked(batch: list[np.ndarray], places: Sequence[int]) -> list[list[Detection]]:
        out: list[list[Detection]] = []
        for part in batches(places, settings.detection_batch):
            images = np.stack([batch[place] for place in part])
            out += enlarged(detector.detect(images, len(rows) + part[0]), images.shape[1:3], size)
        return [rounded(row) for row in out]

    stream = ahead(clip.read(0, None if frames is None else frames + 1))
    sparsely = detector.reads_pixels and settings.detection_cadence != "every_frame"
    # only shrunk frames are kept
    for batch in batches(map(shrunken, islice(stream, frames)), sparse.AHEAD if sparsely else settings.detection_batch):
        if sparsely:
            pictures = [sparse.Picture.of(number, image, size[1]) for number, image in enumerate(batch, len(rows))]
            follow = settings.detection_cadence == "tracked"
            more, origins, before = sparse.candidates(pictures, partial(asked, batch), before, follow)
            rows += more
            kinds += origins
        else:
            rows += asked(batch, range(len(batch)))
        if progress:
            progress("detect", len(rows), expected)
    # one frame more than is needed shows whether the clip ends there
    complete = frames is None or next(stream, None) is None
    if not rows:
        raise MediaError(f"{clip.name}: holds no picture; is it complete?")
    starts, manual, interpolated, outside = shots.starts, {}, frozenset(), {}
    if isinstance(detector, Recorded):
        starts = detector.detections.shots or starts
        manual = {frame: box for frame, box in detector.detections.manual.items() if frame < len(rows)}
        interpolated = detector.detections.interpolated & manual.keys()
        outside = {frame: score for frame, score in detector.outside.items() if frame < len(rows)}
    elif isinstance(detector, FixedBox):
        manual = {frame: row[0].box for frame, row in enumerate(rows)}
    starts = tuple(start for start in starts if start < len(rows))
    given = Detections(tuple(rows), starts, clip.view.size, complete, manual=manual, outside=outside)
    copied, tracked = (frozenset(n for n, kind in enumerate(kinds) if kind == name) for name in ("copied", "tracked"))
    return replace(given, interpolated=interpolated, copied=copied, tracked=tracked)


def _place(cache: Path, clip: Clip, detector: Detector, settings: Settings) -> Path:
    key = {
        "clip": clip.identity,
        "detector": detector.identity,
        "detection_size": settings.detection_size,
        "detection_cadence": settings.detection_cadence,
        "format": _FORMAT,
    }
    return cache / f"{_digest(json.dumps(key, sort_keys=True).encode())[:32]}.json"


def _cached(place: Path, frames: int | None) -> Detections | None:
    """The detections of so many frames in the cache; None if there are fewer, or not what was written there."""
    try:
        digest, _, text = place.read_bytes().partition(b"\n")
    except OSError:
        return None
    if digest != _digest(text).encode():
        return None
    try:
        detections = parse_detections(text, place)
    except DetectionError:  # written by another version
        return None
    if not detections.complete and (frames is None or len(detections) < frames):
        return None
    return replace(detections if frames is None else detections.first(frames), from_cache=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
