"""The bars: what each small model must reach on characters, voices and sentences never trained on, and what it does on
recorded material, reported as it is.

Every function returns a flat dict of numbers, which `export` puts on the model's card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lipsync_lab import video
from lipsync_lab.audio import MAX_ABS, MEL_WINDOW, N_MELS
from lipsync_lab.detection import Detector, at_detection_size
from lipsync_lab.detection import record as records
from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import Box
from lipsync_lab.progress import Progress
from lipsync_lab.scoring import mouth
from lipsync_lab.training import discriminator, expert, mouth_openness
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.detector import found_faces
from lipsync_lab.training.generator import draw, reconstruction
from lipsync_lab.training.recipes import ExpertRecipe
from lipsync_lab.training.render import Picture

#: What must be reached: kind of model -> number -> which side of which value it has to be on.
BARS = {
    "detector": {"recall": (">=", 0.95), "precision": (">=", 0.95)},
    "expert": {"drawn_accuracy": (">=", 0.90)},
    "generator": {
        "openness": (">=", 0.7),
        "openness_of_source": ("<=", 0.2),
        "mouth_against_pasted": ("<=", 0.5),
        "closed_in_silence": (">=", 0.9),
    },
    "quality": {"auc": (">=", 0.8), "blur_falls": (">=", 1), "seam_falls": (">=", 1), "colour_falls": (">=", 1)},
}
_BATCH = 16


def missed_bars(kind: str, numbers: Mapping[str, float]) -> list[str]:
    """Which bars are not reached, a sentence each; a number that is absent or none reaches nothing."""
    missed = []
    for name, (sign, bar) in BARS.get(kind, {}).items():
        value = numbers.get(name, np.nan)
        if not (value >= bar if sign == ">=" else value <= bar):
            missed.append(f"{name} is {value:.3g} and must be {sign} {bar:g}")
    return missed


def detector(network: nn.Module, pictures: Sequence[Picture]) -> dict[str, float]:
    """Recall and precision on drawn frames; see `detector.found_faces`."""
    return found_faces(network, pictures)


def on_recorded(
    finder: Detector,
    clips: Iterable[str | Path],
    boxes: Mapping[str, Any],
    *,
    threshold: float = 0.5,
    detection_size: int | None = 640,
    step: int = 1,
    progress: Progress | None = None,
) -> dict[str, float]:
    """How many frames of clips with recorded faces a detector finds, also those in which the recorder found none.

    Parameters
    ----------
    finder : Detector
    clips : iterable of path
        Looked up in `boxes` by their name without its ending.
    boxes : mapping
        Clip -> ``{"frames": N, "boxes": [[x1, y1, x2, y2] or null, ...]}``, as `detection.record` writes it.
    threshold, detection_size
        As in a run.
    step : int
        Look at one frame out of so many.

    Returns
    -------
    dict
        ``found``: share of frames with a find that overlaps the recorded box, or where there is none the nearest
        frame's that has one, by 0.4 or more; ``found_recorded`` and ``found_missed``, the same among frames with and
        without a recorded box; ``frames`` and ``missed``, how many were looked at.
    """
    hits: dict[bool, list[bool]] = {True: [], False: []}
    paths = [Path(path) for path in clips]
    for done, path in enumerate(paths, start=1):
        rows = boxes.get(path.stem)
        if rows is None:
            raise MediaError(f"{path}: no boxes are recorded for it; record some, or leave it out")
        known = [number for number, box in enumerate(rows["boxes"]) if box]
        if known:
            for number, finds in _finds(finder, path, threshold, detection_size, step):
                if number < len(rows["boxes"]):
                    near = min(known, key=lambda other: abs(other - number))
                    wanted = Box(*rows["boxes"][near])
                    hits[near == number].append(any(find.iou(wanted) >= 0.4 for find in finds))
        if progress:
            progress("recorded faces", done, len(paths))
    both = hits[True] + hits[False]
    return {
        "found": _share(both),
        "found_recorded": _share(hits[True]),
        "found_missed": _share(hits[False]),
        "frames": len(both),
        "missed": len(hits[False]),
    }


def on_clips(
    finder: Detector,
    clips: Iterable[str | Path],
    *,
    threshold: float = 0.5,
    detection_size: int | None = 640,
    step: int = 1,
) -> dict[str, float]:
    """Clips of one speaker each, whose boxes nobody knows: the shares of frames with one find (``one``), and with none
    (``none``)."""
    counts = [len(finds) for path in clips for _, finds in _finds(finder, path, threshold, detection_size, step)]
    return {"one": _share([c == 1 for c in counts]), "none": _share([c == 0 for c in counts]), "frames": len(counts)}


def on_tiles(
    finder: Detector, image: np.ndarray, tile: int, boxes: Sequence[tuple[int, int, Box]], threshold: float = 0.5
) -> dict[str, float]:
    """A picture of many square tiles, each looked at by itself.

    Parameters
    ----------
    finder : Detector
    image : ndarray, uint8, (H, W, 3)
        RGB.
    tile : int
        Side of a tile in pixels.
    boxes : sequence of (row, column, Box)
        Faces and the tiles that they are in; boxes in pixels of the whole picture.
    threshold : float

    Returns
    -------
    dict
        ``recall`` and ``precision`` at an overlap of one half, ``recall_04`` at 0.4, ``faces``.
    """
    found, near, right, given = [], [], 0, 0
    for row, column in sorted({(row, column) for row, column, _ in boxes}):
        x, y = column * tile, row * tile
        piece = np.ascontiguousarray(image[y : y + tile, x : x + tile])
        finds = [f.box.padded(-y, y, -x, x) for f in finder.detect(piece[None])[0] if f.score > threshold]
        faces = [box for r, c, box in boxes if (r, c) == (row, column)]
        best = [max((face.iou(find) for find in finds), default=0) for face in faces]
        found += [value >= 0.5 for value in best]
        near += [value >= 0.4 for value in best]
        right += sum(max((find.iou(face) for face in faces), default=0) >= 0.5 for find in finds)
        given += len(finds)
    return {
        "recall": _share(found),
        "precision": right / given if given else np.nan,
        "recall_04": _share(near),
        "faces": len(found),
    }


def _finds(finder, path, threshold, detection_size, step):
    """(number, boxes over the threshold) of every `step`-th frame."""
    frames = (frame for frame in video.frames(path) if frame.index % step == 0)
    while batch := list(islice(frames, _BATCH)):
        rows = at_detection_size(finder, np.stack([f.image for f in batch]), batch[0].index, detection_size)
        for frame, row in zip(batch, rows, strict=True):
            yield frame.index, [find.box for find in row if find.score > threshold]


def read_boxes(path: str | Path) -> dict[str, Any]:
    """Recorded boxes of several clips in one file: ``{clip: {"frames": N, "boxes": [...]}}``; or of one clip, as a
    `detections.json`, which then stands for the clip that has the file's name.

    Raises
    ------
    DetectionError, MediaError
        There is no such file, or it holds something else.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be read as recorded boxes ({error}); give a file of JSON") from None
    if isinstance(content, dict) and "boxes" in content:
        rows = records.read(path).candidates
        return {path.stem: {"frames": len(rows), "boxes": [list(row[0].box) if row else None for row in rows]}}
    if not isinstance(content, dict) or not all(isinstance(v, dict) and "boxes" in v for v in content.values()):
        raise MediaError(f'{path}: is not {{clip: {{"frames": N, "boxes": [...]}}}}; give recorded boxes')
    return content


def sync_expert(network: nn.Module, clips: Sequence[Clip], recipe: ExpertRecipe) -> dict[str, float]:
    """In-sync against off-sync windows for each kind of clip, ``drawn_accuracy`` and so on; with the suffix
    ``_published`` where any other window of the clip counts as off sync."""
    numbers = {}
    for kind in sorted({clip.kind for clip in clips}):
        some = [clip for clip in clips if clip.kind == kind]
        found = expert.accuracy(network, some, recipe)
        loose = expert.accuracy(network, some, recipe, as_published=True)
        numbers |= {f"{kind}_{name}": value for name, value in found.items()}
        numbers |= {f"{kind}_accuracy_published": loose["accuracy"]}
    return numbers


def generator(
    network: nn.Module,
    judge: nn.Module,
    clips: Sequence[Clip],
    *,
    lead: int = 1,
    likes: nn.Module | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """A generator on held-out clips: each is dubbed with the next one's sound, and with silence.

    Parameters
    ----------
    network : Wav2Lip
        In evaluation mode.
    judge : models.mouth_openness.MouthReader
        In evaluation mode; how far it can be trusted is among the numbers.
    clips : sequence of Clip
        Those without known mouths are left out.
    lead : int
        Frames by which mel windows start early, as in training.
    likes : SyncNetColor, optional
        Expert that judges the dubbed clips too.
    progress : callable, optional

    Returns
    -------
    dict
        ``openness``: correlation, within a clip, of the mouth read from the dubbed picture with the openness of the
        *new* sentence; ``openness_of_source``: the same of the picture before; ``openness_at_0``: of what comes out
        when mel windows start with their frame; ``closed_in_silence``: share of frames, closed by the range of the clip
        as it was (`scoring.mouth.in_range`); ``mouth``, ``pasted``, ``l1``
        of `generator.reconstruction` and ``mouth_against_pasted``; ``expert`` and ``expert_of_source``: share of
        windows that the expert takes for in sync with the new sound; ``reader_...`` of `mouth_openness.validity`,
        sharp and blurred by one pixel.
    """
    known = [clip for clip in clips if not np.isnan(clip.openness).any() and len(clip) >= 10]
    if len(known) < 2:
        raise MediaError("at least two held-out clips with known mouths are needed; render validation shards")
    rows: dict[str, list[float]] = {"openness": [], "openness_of_source": [], "openness_at_0": []}
    closed, expert_rows = [], {"expert": [], "expert_of_source": []}
    for number, clip in enumerate(known):
        other = known[(number + 1) % len(known)]
        count = min(len(clip), len(other))
        index, faces, wanted = np.arange(count), clip.faces[:count], other.openness[:count]
        before, dubbed = mouth.read(faces, judge), draw(network, faces, faces, other.windows(index, lead))
        rows["openness"].append(mouth_openness.correlation(mouth.read(dubbed, judge), wanted))
        rows["openness_of_source"].append(mouth_openness.correlation(before, wanted))
        late = draw(network, faces, faces, other.windows(index, 0))
        rows["openness_at_0"].append(mouth_openness.correlation(mouth.read(late, judge), wanted))
        silent = draw(network, faces, faces, np.full((count, N_MELS, MEL_WINDOW), -MAX_ABS, np.float32))
        # a clip whose own mouth never moves has no range to be closed in
        resting = mouth.in_range(mouth.read(silent, judge), before)
        closed += [] if np.isnan(resting).any() else [float((resting < mouth.CLOSED_READ).mean())]
        if likes is not None:
            starts = np.arange(0, count - 5, 5)
            for name, pictures in (("expert", dubbed), ("expert_of_source", faces)):
                shown = np.asarray(pictures)[starts[:, None] + np.arange(5)]
                expert_rows[name] += (expert.likenesses(likes, shown, other.windows(starts)) > 0.5).tolist()
        if progress:
            progress("dub held-out clips", number + 1, len(known))
    numbers = {name: _mean(values) for name, values in rows.items()}
    numbers["closed_in_silence"] = _mean(closed)
    numbers |= reconstruction(network, known, lead)
    numbers["mouth_against_pasted"] = numbers["mouth"] / numbers["pasted"]
    numbers |= {name: _share(values) for name, values in expert_rows.items() if values}
    numbers |= {f"reader_{name}": value for name, value in mouth_openness.validity(judge, known).items()}
    soft = mouth_openness.validity(judge, known, sigma=1.0)
    return numbers | {"reader_correlation_blurred": soft["correlation"], "clips": len(known)}


def reader_of_mouths(network: nn.Module, clips: Sequence[Clip]) -> dict[str, float]:
    """`mouth_openness.validity` of each kind of clip with known mouths, ``drawn_correlation`` and so on, and of drawn
    ones blurred by one pixel, ``blurred_correlation`` and so on."""
    numbers = {}
    for kind in ("drawn", "photograph"):
        some = [clip for clip in clips if clip.kind == kind]
        numbers |= {f"{kind}_{name}": value for name, value in mouth_openness.validity(network, some).items()}
    drawn = [clip for clip in clips if clip.kind == "drawn"]
    return numbers | {
        f"blurred_{name}": value for name, value in mouth_openness.validity(network, drawn, sigma=1.0).items()
    }


def judge_of_quality(
    network: nn.Module, drawer: nn.Module, clips: Sequence[Clip], *, lead: int = 1
) -> dict[str, float]:
    """The discriminator on held-out clips: ``auc``, real against generated; for each fault the mean opinion at each
    strength (``blur_0.25`` and so on), and ``blur_falls``: 1 if every step up in strength is a step down in opinion."""
    numbers = {"auc": discriminator.against(network, drawer, clips, lead)}
    for fault, opinions in discriminator.falls(network, clips).items():
        strengths = zip(discriminator.STRENGTHS, opinions, strict=True)
        numbers |= {f"{fault}_{strength:g}": opinion for strength, opinion in strengths}
        numbers[f"{fault}_falls"] = float(np.all(np.diff(opinions) < 0))
    return numbers


def _mean(values: Sequence[float]) -> float:
    """Of what is known of them."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
