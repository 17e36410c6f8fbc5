"""The default detector: `s3fd-lab`, a second opinion by the mouth locator, and YuNet where both leave no face.

On labelled animation `s3fd-lab` detects hands and masonry as faces with scores up to 0.97; most of them have no mouth.
YuNet has nearly no false positives, but misses drawn faces that `s3fd-lab` detects. `data/study/README.md`
has the rates of each and of the three together; `benchmarks/auto_detector.py` measures them with the score `SURE`
chosen on other clips than the one that is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab.detection.base import Detection, Detector, register
from lipsync_lab.detection.s3fd import S3FDDetector
from lipsync_lab.detection.yunet import YuNet
from lipsync_lab.errors import CheckpointError
from lipsync_lab.geometry import Box, spans

NAME, FIRST, SECOND = "auto", "s3fd-lab", "yunet"
#: Score of `s3fd-lab` that becomes 0.5, the default threshold.
SURE = 0.95
#: Factor of the score of a candidate in which the locator names no mouth: it stays a candidate, below 0.5.
WITHOUT_MOUTH = 0.5
#: Candidates below this score are not shown to the locator.
LOCATED = 0.25
#: Of two candidates that overlap by more than this (IoU), the better one stays, as in both detectors.
NMS_IOU = 0.3
#: Score at or above which a frame counts as having a face.
ACCEPTED = 0.5

#: The part of a frame that the locator gets of a face box, as it was trained: shares of the box's height and width that
#: are added below and on either side.
_BELOW, _BESIDE = 0.2, 0.12
_AT_ONCE = 64


@register(NAME, names=(NAME,))
class Auto:
    """`s3fd-lab`, checked by `mouth-locator-lab`, and YuNet in frames where these leave no face.

    A candidate's `Detection.detector` says which of the two proposed it. Scores of `s3fd-lab` are shifted on the logit
    scale so that `SURE` becomes 0.5. Without YuNet's file the first two work alone; nothing is fetched.

    Parameters
    ----------
    name : str
        "auto".
    device : str
        Where the networks of this project run; OpenCV runs YuNet on the CPU.

    Attributes
    ----------
    absent : str
        Why YuNet is not asked; empty where it is.
    """

    reads_pixels = True
    path = None

    def __init__(self, name: str | Path = NAME, device: str = "cpu"):
        from lipsync_lab.models import inference, registry

        self.name = NAME
        self.identity = identity()
        self.first = S3FDDetector(FIRST, device)
        self.model = inference.ready(registry.load(registry.DEFAULTS["mouth_locator"], "mouth_locator", device).model)
        self.absent = _absent()
        self.second: Detector | None = None if self.absent else YuNet(SECOND, device)

    def detect(self, frames: np.ndarray, first: int = 0) -> list[list[Detection]]:
        """Candidates of `s3fd-lab`, and of YuNet where none of these is accepted; see `Detector`."""
        rows = [[calibrated(each) for each in row] for row in self.first.detect(frames, first)]
        rows = self._checked(frames, rows)
        if self.second is not None:
            for number, row in enumerate(rows):
                if is_unsure(row):
                    proposed = self.second.detect(frames[number : number + 1], first + number)[0]
                    rows[number] = merged(row, proposed)
        return rows

    def _checked(self, frames: np.ndarray, rows: list[list[Detection]]) -> list[list[Detection]]:
        """The candidates, with a lower score where the locator names no mouth."""
        places = [(n, k) for n, row in enumerate(rows) for k, each in enumerate(row) if each.score > LOCATED]
        boxes = [rows[n][k].box for n, k in places]
        rows = [list(row) for row in rows]
        for (n, k), has in zip(places, has_mouth(self.model, [frames[n] for n, _ in places], boxes), strict=True):
            if not has:
                rows[n][k] = replace(rows[n][k], score=rows[n][k].score * WITHOUT_MOUTH)
        return [_best_first(row) for row in rows]


def identity() -> dict[str, Any]:
    """Everything that the candidates depend on besides the frames; reads no network."""
    from lipsync_lab.models import registry

    names = [FIRST, registry.DEFAULTS["mouth_locator"], *([] if _absent() else [SECOND])]
    return {
        "detector": NAME,
        **{name: registry.MODELS[name].sha256 for name in names},
        "sure": SURE,
        "without_mouth": WITHOUT_MOUTH,
        "nms": NMS_IOU,
    }


def calibrated(face: Detection, sure: float = SURE) -> Detection:
    """A candidate of `s3fd-lab` with its score shifted on the logit scale: `sure` becomes 0.5."""
    odds = face.score * (1 - sure)
    return replace(face, score=odds / (odds + (1 - face.score) * sure), detector=FIRST)


def is_unsure(row: Sequence[Detection]) -> bool:
    """Whether no candidate of a frame is accepted, so that YuNet is asked."""
    return not any(each.score > ACCEPTED for each in row)


def merged(row: Sequence[Detection], proposed: Sequence[Detection]) -> list[Detection]:
    """The candidates of both detectors, best first; of those that overlap, the best."""
    kept: list[Detection] = []
    for each in _best_first([*row, *(replace(face, detector=SECOND) for face in proposed)]):
        if all(each.box.iou(other.box) <= NMS_IOU for other in kept):
            kept.append(each)
    return kept


def has_mouth(network: Any, frames: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[bool]:
    """Whether the locator names a mouth in each box, a hidden one included; its most probable class decides.

    Parameters
    ----------
    network : MouthLocatorNet
        In evaluation mode. The frame and the mirrored frame are averaged.
    frames : sequence of ndarray, uint8, (H, W, 3)
        RGB, one for each box.
    boxes : sequence of Box
        In pixels of the frames.
    """
    import torch

    from lipsync_lab.models.mouth_locator import VISIBILITIES

    out: list[bool] = []
    device = next(network.parameters()).device
    for start in range(0, len(boxes), _AT_ONCE):
        pairs = zip(frames[start : start + _AT_ONCE], boxes[start : start + _AT_ONCE], strict=True)
        crops = np.stack([_crop(frame, box) for frame, box in pairs])
        both = np.ascontiguousarray(np.concatenate([crops, crops[:, :, ::-1]])[..., ::-1])
        batch = torch.from_numpy(both).to(device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            shares = network(batch)[2].softmax(1).cpu().numpy()
        best = shares.reshape(2, len(crops), -1).mean(0).argmax(1)
        out += [VISIBILITIES[number] != "no face" for number in best]
    return out


def decisions(chosen: Sequence[Detection | None], shots: np.ndarray) -> list[dict[str, Any]]:
    """Which detector gave the face, shot by shot.

    Parameters
    ----------
    chosen : sequence of Detection or None
        The face of each frame (`tracking.chosen_faces`).
    shots : ndarray, int64, (N,)
        Number of each frame's shot.

    Returns
    -------
    list of dict
        ``first`` and ``last`` frame of the shot, ``faces``: number of frames by detector (or "manual"), most first, and
        ``none``: the number of frames without a face.
    """
    table = []
    for start, stop in spans(np.ones(len(chosen), bool), shots):
        names = [face.detector or "manual" for face in chosen[start:stop] if face is not None]
        counts = {name: names.count(name) for name in dict.fromkeys(names)}
        faces = dict(sorted(counts.items(), key=lambda item: -item[1]))
        table.append({"first": start, "last": stop - 1, "faces": faces, "none": stop - start - len(names)})
    return table


def decided(detector: Detector, chosen: Sequence[Detection | None], shots: np.ndarray) -> dict[str, Any]:
    """What a file records of `decisions`, under ``decisions``: their `summary` and ``shots``; empty for others."""
    if not isinstance(detector, Auto):
        return {}
    table = decisions(chosen, shots)
    return {"decisions": {"summary": summary(table, detector.absent), "shots": table}}


def summary(table: Sequence[dict[str, Any]], absent: str = "") -> str:
    """One sentence on `decisions`: which detector gave the face where, and why.

    Parameters
    ----------
    table : sequence of dict
        Of `decisions`.
    absent : str
        Why YuNet was not applied.
    """
    total = sum(shot["last"] - shot["first"] + 1 for shot in table)
    first = sum(shot["faces"].get(FIRST, 0) for shot in table)
    second = sum(shot["faces"].get(SECOND, 0) for shot in table)
    none = sum(shot["none"] for shot in table)
    parts = [f"{FIRST} gave the face in {first} of {total} frames"]
    if second:
        where = ", ".join(f"{shot['first']}-{shot['last']}" for shot in table if shot["faces"].get(SECOND))
        parts.append(f"{SECOND} in {second} where {FIRST} proposed no face with a mouth (shots at frames {where})")
    if none:
        parts.append(f"neither in {none}" if not absent else f"no face in {none} ({absent})")
    return f"detector {NAME}: {'; '.join(parts)}"


def _absent() -> str:
    from lipsync_lab.models import registry

    path = registry.MODELS[SECOND].path
    if not path.is_file():
        return f"{SECOND} was not applied: run 'python -m lipsync_lab weights fetch {SECOND}' for its 230 kB"
    try:
        registry.verified(SECOND)
    except CheckpointError as error:
        return f"{SECOND} was not applied: {error}"
    return ""


def _best_first(row: Sequence[Detection]) -> list[Detection]:
    return sorted(row, key=lambda each: -each.score)


def _crop(frame: np.ndarray, box: Box) -> np.ndarray:
    """The face with what is added to it, uint8 (side, side, 3); beyond the frame its rim is repeated."""
    import cv2

    from lipsync_lab.models.mouth_locator import SIDE

    height, width = frame.shape[:2]
    area = box.padded(0, _BELOW * box.height, _BESIDE * box.width, _BESIDE * box.width)
    # at least one pixel of the frame, whatever the box
    x1, y1 = min(round(area.x1), width - 1), min(round(area.y1), height - 1)
    x2, y2 = max(round(area.x2), x1 + 1, 1), max(round(area.y2), y1 + 1, 1)
    inside = frame[max(y1, 0) : y2, max(x1, 0) : x2]
    rim = max(0, -y1), max(0, y2 - height), max(0, -x1), max(0, x2 - width)
    whole = cv2.copyMakeBorder(np.ascontiguousarray(inside), *rim, cv2.BORDER_REPLICATE)
    shrinks = min(whole.shape[:2]) > SIDE
    return cv2.resize(whole, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
