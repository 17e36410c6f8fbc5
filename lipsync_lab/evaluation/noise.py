"""What the encode of an output does to every metric, from places that no model edited.

An output is encoded by its maker, and again by a platform, and every metric of the picture takes that loss for the
model's. In some frames each metric is computed once more, in boxes as large as the face that lie outside of the edited
region, where the source has about as much detail as in the face. What it gives there is the noise of the encode, and a
frame fails where the metric is beyond its threshold by more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from lipsync_lab.evaluation.edited_region import EditedRegion
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import artifacts, regions, registry
from lipsync_lab.metrics.pairs import FramePair

#: Frames in which the metrics are computed at the control places, and places a frame.
_FRAMES, _PLACES = 16, 3
#: Quantile over frames and places that counts as the noise.
_HIGH = 0.9
#: Least side of a control place in pixels, and shares of the face that its sides may have where there is little room.
_LEAST, _SHRINK = 48, (1.0, 0.7, 0.5)
#: Pixels round the edited region that no control place touches: an encoder carries a change over by up to a block.
_RIM = 16


class EncodeNoise:
    """Collects the metrics at control places, frame pair by frame pair.

    Parameters
    ----------
    region : EditedRegion
    ledger : DataFrame
        The boxes of the faces (`runs.LEDGER`).
    """

    def __init__(self, region: EditedRegion, ledger: pd.DataFrame):
        self._region, self._boxes = region, regions.boxes(ledger)
        # of two consecutive frames, since flicker compares with the frame before
        self._rows = set(np.linspace(0, len(ledger) - 1, _FRAMES).astype(int).tolist())
        self._metrics = [metric for metric in of_pictures() if metric.of_pair is not None]
        self._values = {metric.name: [] for metric in self._metrics}

    def add(self, pair: FramePair) -> None:
        """Add the next frame pair; most are passed over."""
        if pair.row not in self._rows or np.isnan(self._boxes[pair.row, 0]):
            return
        for place in _places(pair.source_grey, Box(*self._boxes[pair.row].tolist()), self._region, pair.row):
            here = _moved(pair, place)
            for metric in self._metrics:
                value = metric.of_pair(here)
                if metric.name == "out_of_palette":
                    counted = artifacts.PaletteCount()
                    counted.add(pair.source, place)
                    [value] = artifacts.out_of_palette([value], counted.palette())
                self._values[metric.name].append(value)

    def levels(self) -> dict[str, float]:
        """Noise of each metric in its own unit, by its name; without those that are undefined at every place."""
        out = {}
        for metric in self._metrics:
            values = metric.direction * np.array(self._values[metric.name], float)
            if not np.isnan(values).all():
                out[metric.name] = metric.direction * float(np.nanquantile(values, _HIGH))
        return out


def beyond_noise(frames: pd.DataFrame, levels: Mapping[str, float]) -> pd.DataFrame:
    """A table of metrics from which the noise of the encode is taken away.

    Parameters
    ----------
    frames : DataFrame, index ``frame``
        Metrics of the output, one row per frame.
    levels : mapping of str to float
        Of `EncodeNoise.levels`.

    Returns
    -------
    DataFrame
        The same with every metric of `levels` less its noise, not below 0 (above 0 where smaller is worse), and the
        background change less ``encode_noise``. Failures are found in it as in any other (`metrics.failures.find`).
    """
    out = frames.copy()
    for metric in of_pictures():
        if metric.name in levels and metric.name in out:
            beyond = metric.direction * (out[metric.name].astype(float) - levels[metric.name])
            out[metric.name] = metric.direction * beyond.clip(lower=0)
    if "encode_noise" in out:
        out["background_change"] = (out["background_change"] - out["encode_noise"]).clip(lower=0)
    return out


def of_pictures() -> list[registry.Metric]:
    """The metrics of the box that fail, that an encode can change, and that need neither sound nor network."""
    return [
        metric
        for metric in registry.metrics()
        if metric.failure and metric.stage == "picture" and not metric.network and metric.name != "background_change"
    ]


def _places(grey: np.ndarray, face: Box, region: EditedRegion, row: int) -> list[Box]:
    """Boxes outside of the region with about the face's detail, the most similar first; none overlaps another much."""
    import cv2

    size, edited = grey.shape[::-1], region.box(row)
    taken = [face.padded(*[_RIM] * 4)] + ([] if edited is None else [edited.padded(*[_RIM] * 4)])
    detail = cv2.integral(cv2.absdiff(grey, cv2.blur(grey, (5, 5))))

    def density(box: Box) -> float:
        x1, y1, x2, y2 = (int(edge) for edge in box.clipped(*size))
        return float(detail[y2, x2] - detail[y1, x2] - detail[y2, x1] + detail[y1, x1]) / max(1, (x2 - x1) * (y2 - y1))

    wanted = np.log1p(density(face))
    for shrink in _SHRINK:
        width, height = round(shrink * face.width), round(shrink * face.height)
        if min(width, height) < min(_LEAST, face.width, face.height):
            break
        corners = [
            (x, y)
            for x in range(0, size[0] - width + 1, max(8, width // 4))
            for y in range(0, size[1] - height + 1, max(8, height // 4))
        ]
        free = [
            box
            for box in (Box(x, y, x + width, y + height) for x, y in corners)
            if not any(_overlap(box, other) for other in taken)
        ]
        free.sort(key=lambda box: abs(np.log1p(density(box)) - wanted))
        out: list[Box] = []
        for box in free:
            if all(_overlap(box, other) < 0.3 * box.area for other in out):
                out.append(box)
            if len(out) == _PLACES:
                break
        if out:
            return out
    return []


def _overlap(first: Box, second: Box) -> float:
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    return max(0.0, width) * max(0.0, height)


def _moved(pair: FramePair, place: Box) -> FramePair:
    """The pair as if the mouth had been generated in another place, and in the frame before too."""
    box = np.array(tuple(place), float)
    corner, side = box[:2], box[2:] - box[:2]
    mouth = np.hstack((corner + side * regions.LIPS[:2], corner + side * regions.LIPS[2:]))
    before = pair.before and replace(pair.before, pasted=box, mouth=mouth, before=None)
    return replace(pair, pasted=box, mouth=mouth, true_mouth=np.full(4, np.nan), before=before)
