"""Benchmarks of the small models on held-out characters, voices and sentences, and on recorded material.

Each function returns a flat dict of numbers, which `export` writes on the model card; `MEANINGS` defines them, and
`TARGETS` has the values to reach.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lipsync_lab.detection import Detector, at_detection_size
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.audio import MAX_ABS, MEL_WINDOW, N_MELS
from lipsync_lab.metrics import openness
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings
from lipsync_lab.training import discriminator, expert, mouth_openness, restorer
from lipsync_lab.training import mouth_locator as locator
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.generator import generate, reconstruction
from lipsync_lab.training.mouth_examples import MouthExamples
from lipsync_lab.training.recipes import SyncExpertRecipe

#: Targets: kind of model -> number -> comparison and value.
TARGETS = {
    "detector": {"recall": (">=", 0.95), "precision": (">=", 0.95)},
    "sync_expert": {"animation_accuracy": (">=", 0.90)},
    "generator": {
        "openness_correlation": (">=", 0.7),
        "openness_correlation_source": ("<=", 0.2),
        "mouth_l1_ratio": ("<=", 0.5),
        "closed_share_silence": (">=", 0.9),
    },
    "discriminator": {"auc": (">=", 0.8), **{f"{name}_monotonic": (">=", 1) for name in discriminator.ARTIFACTS}},
}

#: Definitions: kind of model -> number, or the end of its name -> meaning. Prefixes name the material.
MEANINGS = {
    "detector": {
        "recall": "share of faces with a detection of IoU >= 0.5",
        "precision": "share of detections with a face of IoU >= 0.5",
        "faces": "number of faces",
        "recorded_recall": "share of frames with a detection of IoU >= 0.4 with the recorded box, or with that of the "
        "nearest frame where the recorder missed the face",
        "recall_detected": "recorded_recall of frames with a recorded box",
        "recall_dropouts": "recorded_recall of frames without one",
        "dropout_frames": "number of frames without a recorded box",
        "frames": "number of frames",
        "recall_iou_0.4": "share of faces with a detection of IoU >= 0.4",
        "single_detection_share": "share of frames with one detection, in a clip of one speaker",
        "no_detection_share": "share of frames without a detection, in a clip of one speaker",
    },
    "sync_expert": {
        "accuracy": "balanced accuracy of in-sync against off-sync windows at a similarity of 0.5",
        "auc": "AUC of in-sync against off-sync windows",
        "windows": "number of windows of either class",
        "accuracy_published": "accuracy where any other window of the clip counts as off sync, as published",
    },
    "generator": {
        "openness_correlation": "Pearson's r, within a clip, of the mouth openness of the dubbed picture and the "
        "ground truth of the new sentence; mean over clips",
        "openness_correlation_source": "the same for the picture before dubbing",
        "openness_correlation_offset_0": "the same with an audio offset of 0 frames",
        "closed_share_silence": "share of frames with closed lips where the sound is silence",
        "l1": "mean absolute difference to the original in the lower half of the face, 0 to 1",
        "mouth_l1": "the same inside the mouth box",
        "mouth_l1_reference": "mouth_l1 if the reference frame were pasted instead",
        "mouth_l1_ratio": "mouth_l1 / mouth_l1_reference",
        "in_sync_share": "share of windows that the sync expert classifies as in sync with the new sound",
        "in_sync_share_source": "the same for the picture before dubbing",
        "regressor_correlation": "Pearson's r of mouth-openness regressor and ground truth on the same clips",
        "regressor_error": "mean absolute error of the regressor, in pixels of the crop",
        "regressor_closed_recall": "share of closed mouths that the regressor reads as closed",
        "regressor_open_recall": "share of mouths open by 2 pixels or more that it reads as open",
        "regressor_correlation_blurred": "regressor_correlation on faces blurred by 1 pixel",
        "clips": "number of clips",
    },
    "discriminator": {
        "auc": "AUC of real against generated faces",
        "monotonic": "1 if the mean score falls with each step of the artifact's strength, else 0",
        **{f"{strength:g}": f"mean score at strength {strength:g}" for strength in discriminator.STRENGTHS},
    },
    "mouth_locator": {
        "n": "number of mouths that are visible or in profile; of marked clips, the number of drawings",
        "centre_median": "distance of the centre from its true place, in widths of the mouth: median",
        "centre_p90": "the same, 90th percentile",
        "width_median": "error of the distance between the corners, as a share of it: median",
        "width_p90": "the same, 90th percentile",
        "gap_median": "error of the height of the gap between the lips, in widths of the mouth: median",
        "gap_p90": "the same, 90th percentile",
        "angle_median": "error of the angle of the line between the corners, in degrees: median",
        "angle_p90": "the same, 90th percentile",
        "visibility_accuracy": "share of crops with the right one of five visibilities",
        "mouth_recall": "share of mouths, visible or in profile, that are named visible or profile",
        "no_mouth_recall": "share of crops with a hidden mouth, a mouth off the picture, or none, that are named so",
        "right": "share of right poses",
        "drawable": "share of mouths that are named visible or profile",
        "threshold": "lowest confidence at or above which 0.9 of the poses are right, on every second marked clip",
        "accepted": "share of poses of at least this confidence, on the other clips",
        "accepted_right": "share of right poses among the accepted ones",
        "rejected_right": "share of right poses among the others",
        "reported_n": "number of drawings in those other clips",
        "confidence_auc": "AUC of the confidence, right poses against all others; a pose is right if its centre is "
        "within 0.2 widths of the mouth and its width within 25 %, and the mouth is visible or in profile",
        "confidence_error": "mean difference, over tenths of the crops by confidence, of confidence and share of right "
        "poses (expected calibration error)",
    },
    "mouth_openness": {
        "correlation": "Pearson's r of reading and ground truth within a clip, mean over clips",
        "error": "mean absolute error in pixels of the crop",
        "closed_recall": "share of closed mouths that are read as closed",
        "open_recall": "share of mouths open by 2 pixels or more that are read as open",
    },
    "visemes": {
        "accuracy": "share of frames, 25 a second, with the right one of nine mouth shapes; closed and at rest are one",
        "closure_recall": "share of closures (M, B, P) in which the network has a closed mouth",
        "closure_precision": "share of the network's closures that overlap a closed mouth",
        "openness_correlation": "Pearson's r of the openness with that of the character generator, over all frames",
        "frames": "number of frames",
    },
    "restorer": restorer.MEANINGS,
}
_BATCH = 16
#: Settings of a run, of which detectors get the threshold and the size.
_USUAL = Settings()


def missed_targets(kind: str, numbers: Mapping[str, float]) -> list[str]:
    """Return a sentence for each target that is missed; a number that is absent or NaN misses its target."""
    missed = []
    for name, (sign, target) in TARGETS.get(kind, {}).items():
        value = numbers.get(name, np.nan)
        if not (value >= target if sign == ">=" else value <= target):
            missed.append(f"{name} is {value:.3g} and must be {sign} {target:g}")
    return missed


def meaning(kind: str, name: str) -> str:
    """Return the definition of a number, or "" if it has none: the longest name in `MEANINGS` that it ends with."""
    known = MEANINGS.get(kind, {})
    ends = [end for end in known if name == end or name.endswith(f"_{end}")]
    return known[max(ends, key=len)] if ends else ""


def recorded_recall(
    detector: Detector,
    clips: Iterable[str | Path],
    boxes: Mapping[str, Any],
    *,
    step: int = 1,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure the recall of a detector on clips with recorded boxes, also in the recorder's dropouts.

    Parameters
    ----------
    detector : Detector
    clips : iterable of path
        Their names without the ending are keys of `boxes`.
    boxes : mapping
        Clip -> ``{"frames": N, "boxes": [[x1, y1, x2, y2] or null, ...]}``, as `detection.detections` writes it.
    step : int
        Every `step`-th frame is measured.
    progress : callable, optional

    Returns
    -------
    dict
        ``recall``, ``recall_detected``, ``recall_dropouts``, ``frames`` and ``dropout_frames``; see `MEANINGS`.

    Raises
    ------
    MediaError
        A clip has no recorded boxes.
    """
    hits: dict[bool, list[bool]] = {True: [], False: []}
    paths = [Path(path) for path in clips]
    for done, path in enumerate(paths, start=1):
        rows = boxes.get(path.stem)
        if rows is None:
            raise MediaError(f"{path}: no boxes are recorded for it; record some, or leave it out")
        known = [number for number, box in enumerate(rows["boxes"]) if box]
        if known:
            for number, detections in _detections(detector, path, step):
                if number < len(rows["boxes"]):
                    near = min(known, key=lambda other: abs(other - number))
                    target = Box(*rows["boxes"][near])
                    hits[near == number].append(any(box.iou(target) >= 0.4 for box in detections))
        if progress:
            progress("recorded faces", done, len(paths))
    both = hits[True] + hits[False]
    return {
        "recall": _share(both),
        "recall_detected": _share(hits[True]),
        "recall_dropouts": _share(hits[False]),
        "frames": len(both),
        "dropout_frames": len(hits[False]),
    }


def detection_counts(
    detector: Detector,
    clips: Iterable[str | Path],
    *,
    step: int = 1,
) -> dict[str, float]:
    """Count detections in clips of one speaker without recorded boxes.

    Returns
    -------
    dict
        ``single_detection_share``, ``no_detection_share`` and ``frames``; see `MEANINGS`.
    """
    counts = [len(row) for path in clips for _, row in _detections(detector, path, step)]
    return {
        "single_detection_share": _share([count == 1 for count in counts]),
        "no_detection_share": _share([count == 0 for count in counts]),
        "frames": len(counts),
    }


def tile_scores(
    detector: Detector, image: np.ndarray, tile: int, boxes: Sequence[tuple[int, int, Box]]
) -> dict[str, float]:
    """Measure a detector on a picture of square tiles, tile by tile.

    Parameters
    ----------
    detector : Detector
    image : ndarray, uint8, (H, W, 3)
        RGB.
    tile : int
        Side of a tile in pixels.
    boxes : sequence of (row, column, Box)
        Faces and their tiles; boxes in pixels of the whole picture.

    Returns
    -------
    dict
        ``recall``, ``precision``, ``recall_iou_0.4`` and ``faces``; see `MEANINGS`.
    """
    best, correct, detected = [], 0, 0
    for row, column in sorted({(row, column) for row, column, _ in boxes}):
        x, y = column * tile, row * tile
        piece = np.ascontiguousarray(image[y : y + tile, x : x + tile])
        detections = [d.box.padded(-y, y, -x, x) for d in detector.detect(piece[None])[0] if d.score > _USUAL.threshold]
        faces = [box for r, c, box in boxes if (r, c) == (row, column)]
        best += [max((face.iou(box) for box in detections), default=0) for face in faces]
        correct += sum(max((box.iou(face) for face in faces), default=0) >= 0.5 for box in detections)
        detected += len(detections)
    return {
        "recall": _share([value >= 0.5 for value in best]),
        "precision": correct / detected if detected else np.nan,
        "recall_iou_0.4": _share([value >= 0.4 for value in best]),
        "faces": len(best),
    }


def _detections(detector, path, step) -> Iterator[tuple[int, list[Box]]]:
    """Yield frame number and boxes above the threshold of every `step`-th frame, with the settings of a run."""
    frames = (frame for frame in video.frames(path) if frame.index % step == 0)
    while batch := list(islice(frames, _BATCH)):
        rows = at_detection_size(detector, np.stack([f.image for f in batch]), batch[0].index, _USUAL.detection_size)
        for frame, row in zip(batch, rows, strict=True):
            yield frame.index, [detection.box for detection in row if detection.score > _USUAL.threshold]


def read_boxes(path: str | Path) -> dict[str, Any]:
    """Read recorded boxes.

    Parameters
    ----------
    path : path
        Boxes of several clips, ``{clip: {"frames": N, "boxes": [...]}}``, or the `detections.json` of one clip, whose
        name is that of the file.

    Raises
    ------
    DetectionError, MediaError
        There is no such file, or it contains something else.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be read as recorded boxes ({error}); give a file of JSON") from None
    if isinstance(content, dict) and "boxes" in content:
        rows = read_detections(path).candidates
        return {path.stem: {"frames": len(rows), "boxes": [list(row[0].box) if row else None for row in rows]}}
    if not isinstance(content, dict) or not all(isinstance(v, dict) and "boxes" in v for v in content.values()):
        raise MediaError(f'{path}: is not {{clip: {{"frames": N, "boxes": [...]}}}}; give recorded boxes')
    return content


def sync_expert(network: nn.Module, clips: Sequence[Clip], recipe: SyncExpertRecipe) -> dict[str, float]:
    """Measure a sync expert on each domain of clips: ``animation_accuracy`` and so on; see `MEANINGS`."""
    numbers = {}
    for domain in sorted({clip.domain for clip in clips}):
        selected = [clip for clip in clips if clip.domain == domain]
        scores = expert.accuracy(network, selected, recipe)
        published = expert.accuracy(network, selected, recipe, as_published=True)
        numbers |= {f"{domain}_{name}": value for name, value in scores.items()}
        numbers[f"{domain}_accuracy_published"] = published["accuracy"]
    return numbers


def generator(
    network: nn.Module,
    regressor: nn.Module,
    clips: Sequence[Clip],
    *,
    audio_offset: int = 1,
    sync_expert: nn.Module | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure a generator on held-out clips, each dubbed with the sound of the next clip, and with silence.

    Parameters
    ----------
    network : Wav2Lip
        In evaluation mode.
    regressor : MouthOpennessNet
        In evaluation mode; its own agreement with ground truth is among the numbers.
    clips : sequence of Clip
        Clips without ground truth of the mouth are left out.
    audio_offset : int
        Frames by which mel windows start early, as in training.
    sync_expert : SyncNetColor, optional
        Also measures the dubbed clips.
    progress : callable, optional

    Returns
    -------
    dict
        See `MEANINGS`. Whether lips are closed is decided in the range of the clip before dubbing
        (`metrics.openness.in_range`).

    Raises
    ------
    MediaError
        Fewer than two clips have ground truth of the mouth.
    """
    known = [clip for clip in clips if not np.isnan(clip.openness).any() and len(clip) >= 10]
    if len(known) < 2:
        raise MediaError("at least two held-out clips with known mouths are needed; render validation shards")
    rows: dict[str, list[float]] = {f"openness_correlation{end}": [] for end in ("", "_source", "_offset_0")}
    closed, in_sync = [], {"in_sync_share": [], "in_sync_share_source": []}
    for number, clip in enumerate(known):
        other = known[(number + 1) % len(known)]
        count = min(len(clip), len(other))
        index, faces, target = np.arange(count), clip.faces[:count], other.openness[:count]
        silence = np.full((count, N_MELS, MEL_WINDOW), -MAX_ABS, np.float32)
        dubbed, early, silent = (
            generate(network, faces, faces, mels)
            for mels in (other.windows(index, audio_offset), other.windows(index, 0), silence)
        )
        before = openness.read(faces, regressor)
        readings = (openness.read(dubbed, regressor), before, openness.read(early, regressor))
        for row, reading in zip(rows.values(), readings, strict=True):
            row.append(mouth_openness.correlation(reading, target))
        # a clip whose mouth never moves has no range
        resting = openness.in_range(openness.read(silent, regressor), before)
        closed += [] if np.isnan(resting).any() else [float((resting < openness.CLOSED_BY_NETWORK).mean())]
        if sync_expert is not None:
            starts = np.arange(0, count - 5, 5)
            for name, pictures in zip(in_sync, (dubbed, faces), strict=True):
                shown = np.asarray(pictures)[starts[:, None] + np.arange(5)]
                in_sync[name] += (expert.similarities(sync_expert, shown, other.windows(starts)) > 0.5).tolist()
        if progress:
            progress("dub held-out clips", number + 1, len(known))
    numbers = {name: _mean(values) for name, values in rows.items()}
    numbers["closed_share_silence"] = _mean(closed)
    numbers |= reconstruction(network, known, audio_offset)
    numbers["mouth_l1_ratio"] = numbers["mouth_l1"] / numbers["mouth_l1_reference"]
    numbers |= {name: _share(values) for name, values in in_sync.items() if values}
    agreement = mouth_openness.agreement(regressor, known)
    numbers |= {f"regressor_{name}": value for name, value in agreement.items()}
    blurred = mouth_openness.agreement(regressor, known, sigma=1.0)
    return numbers | {"regressor_correlation_blurred": blurred["correlation"], "clips": len(known)}


def openness_regressor(network: nn.Module, clips: Sequence[Clip]) -> dict[str, float]:
    """Measure the agreement with ground truth: ``animation_correlation`` and so on, see `MEANINGS`.

    The prefix ``blurred`` is for animation blurred by one pixel.
    """
    by_domain = {name: [clip for clip in clips if clip.domain == name] for name in ("animation", "synthetic_photo")}
    results = {name: mouth_openness.agreement(network, selected) for name, selected in by_domain.items()}
    results["blurred"] = mouth_openness.agreement(network, by_domain["animation"], sigma=1.0)
    return {f"{prefix}_{name}": value for prefix, numbers in results.items() for name, value in numbers.items()}


def mouth_locator(network: nn.Module, examples: MouthExamples) -> dict[str, float]:
    """Measure the mouth locator on unseen characters, as they are and ``degraded``; see `MEANINGS`."""
    numbers = locator.measure(network, examples)
    worse = locator.measure(network, examples, degraded=True)
    kept = ("all", "visibility", "mouth", "no_mouth", "confidence")
    return numbers | {f"degraded_{name}": value for name, value in worse.items() if name.startswith(kept)}


def quality_discriminator(
    network: nn.Module, generator: nn.Module, clips: Sequence[Clip], *, audio_offset: int = 1
) -> dict[str, float]:
    """Measure the discriminator: ``auc``, and for each artifact the scores by strength; see `MEANINGS`."""
    numbers = {"auc": discriminator.auc_against_generated(network, generator, clips, audio_offset)}
    for artifact, scores in discriminator.response(network, clips).items():
        strengths = zip(discriminator.STRENGTHS, scores, strict=True)
        numbers |= {f"{artifact}_{strength:g}": score for strength, score in strengths}
        numbers[f"{artifact}_monotonic"] = float(np.all(np.diff(scores) < 0))
    return numbers


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN, or NaN if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
