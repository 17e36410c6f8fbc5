"""Which face is followed on the recorded clips, by each way of choosing among several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.detection import Detection, tracking
from lipsync_lab.evaluation import study
from lipsync_lab.geometry import Box

if TYPE_CHECKING:
    import pandas

#: Clips that were examined at fewer than one frame in so many have no tracks.
STEP = 2


def followed(
    detectors: Sequence[str] = ("auto", "s3fd-lab", "yunet", "centerface", "lbp"),
    selections: Sequence[str] = ("largest", "prominent"),
    threshold: float = 0.5,
) -> pandas.DataFrame:
    """Where the chosen box lies in the frames with ground truth, a row per clip, detector and selection.

    Parameters
    ----------
    detectors : sequence of str
        Of `study.detectors`.
    selections : sequence of str
        Of `settings.FACE_SELECTIONS`.
    threshold : float
        Score that a candidate must exceed.

    Returns
    -------
    pandas.DataFrame
        ``clip``, ``domain``, ``detector``, ``selection``, ``frames`` with a target face, and the shares of these whose
        chosen box lies ``on_face``, on a ``further_face`` that the labels name, ``elsewhere``, or whose frame has
        ``no_box``. A box lies on a face if they overlap (IoU) by `study.MATCH`.
    """
    import pandas as pd

    ground_truth, rows = study.faces(), []
    for detector in detectors:
        for (clip, domain), proposed in study.detections(detector).groupby(["clip", "domain"]):
            numbers, candidates, shots = _clip(clip, proposed)
            if len(numbers) < 2 or numbers[1] - numbers[0] > STEP:
                continue
            known = ground_truth[(ground_truth["clip"] == clip) & ground_truth["frame"].isin(numbers)]
            for selection in selections:
                # the middle of the frame plays a part in "central" alone, which needs the size
                chosen = tracking.choose(candidates, shots, (0, 0), threshold=threshold, face=selection)
                places = _places(dict(zip(numbers, chosen, strict=True)), known)
                shares = {name: float(np.mean([place == name for place in places])) for name in _PLACES}
                about = {"clip": clip, "domain": domain, "detector": detector, "selection": selection}
                rows.append(about | {"frames": len(places)} | shares)
    return pd.DataFrame(rows)


_PLACES = ("on_face", "further_face", "elsewhere", "no_box")


def _clip(clip: str, proposed: pandas.DataFrame) -> tuple[list[int], list[list[Detection]], np.ndarray]:
    """Numbers of the examined frames, their candidates, and the number of each frame's shot."""
    by_frame: dict[int, list[Detection]] = {int(number): [] for number in sorted(proposed["frame"].unique())}
    for row in proposed.dropna(subset="score").itertuples():
        by_frame[row.frame].append(Detection(Box(row.x1, row.y1, row.x2, row.y2), row.score))
    numbers = list(by_frame)
    # the filmed clips have one shot each
    shots = study.pixels(clip)["shot"].reindex(numbers).to_numpy() if clip in study.names() else np.zeros(len(numbers))
    return numbers, list(by_frame.values()), shots.astype(np.int64)


def _places(chosen: dict[int, Detection | None], known: pandas.DataFrame) -> list[str]:
    """For each frame with a target face, the name of `_PLACES` of its chosen box."""
    by_frame: dict[int, list[tuple[str, Box]]] = {}
    # no table for each frame: it takes twenty times as long
    for number, kind, *box in known[["frame", "face", *study.BOX]].itertuples(index=False):
        by_frame.setdefault(number, []).append((kind, Box(*box)))
    places = []
    for number, faces in sorted(by_frame.items()):
        if all(kind != "target" for kind, _ in faces):
            continue
        face, place = chosen[number], "no_box"
        if face is not None:
            on = {kind for kind, box in faces if not math.isnan(box.x1) and face.box.iou(box) >= study.MATCH}
            place = "on_face" if "target" in on else "further_face" if on else "elsewhere"
        places.append(place)
    return places
