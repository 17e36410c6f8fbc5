"""One pass over source and output: everything that the metrics need is collected from one loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lipsync_lab.generation import crop
from lipsync_lab.metrics import artifacts, cadence, detection, regions, registry
from lipsync_lab.metrics.pairs import FramePair, frame_pairs

#: Most frames out of which the source's palette is taken.
PALETTE_FRAMES = 24


@dataclass(frozen=True, eq=False)
class ClipData:
    """What one pass over a frame sequence collected; the input of every `Metric.of_clip`.

    Attributes
    ----------
    ledger : DataFrame
        Columns `runs.LEDGER`, the rows of the frames that were read.
    ground_truth : DataFrame or None
        Ground truth, one row per frame.
    collected : dict of str to list
        What each `Metric.of_pair` returned, by the metric's name, one entry a frame.
    palette : artifacts.Palette or None
        Of the source, from `PALETTE_FRAMES` of its frames.
    frames : DataFrame, index ``frame``
        Tables of detection, cadence, realism and sync, as far as they are there already.
    pixels : DataFrame
        See `detection.pixel_table`.
    faces : tuple of list
        Face crops uint8 RGB (96, 96, 3) of the source and of the output; None where no mouth was generated.
    """

    ledger: pd.DataFrame
    ground_truth: pd.DataFrame | None
    collected: dict[str, list[Any]]
    palette: artifacts.Palette | None
    frames: pd.DataFrame
    pixels: pd.DataFrame
    faces: tuple[list[np.ndarray | None], list[np.ndarray | None]]

    def __len__(self) -> int:
        return len(self.ledger)

    def with_columns(self, *tables: pd.DataFrame) -> ClipData:
        """The same with more columns in `frames`."""
        return replace(self, frames=pd.concat([self.frames, *tables], axis=1))

    def with_metrics(self, domain: str | None = None) -> ClipData:
        """The same with a column in `frames` for every metric that can be computed.

        Parameters
        ----------
        domain : str, optional
            Metrics that are not defined in it become NaN; where it is not known, those of animation do in a clip
            that is not animated (`cadence.is_animated`).
        """
        frames = self.frames.copy()
        animated = domain is not None or cadence.is_animated(frames)
        for metric in registry.metrics():
            if metric.of_clip is not None:
                frames[metric.name] = np.asarray(metric.of_clip(self), float)
            elif metric.of_pair is not None:
                frames[metric.name] = np.asarray(self.collected[metric.name], float)
            if metric.name in frames and not (metric.defined_in(domain) and (animated or not metric.domains)):
                frames[metric.name] = np.nan
        return replace(self, frames=frames)


def collect(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    ledger: pd.DataFrame,
    ground_truth: pd.DataFrame | None = None,
    *,
    candidates: Sequence[Sequence[detection.Detection]] | None = None,
    threshold: float = 0.5,
    palette: artifacts.Palette | None = None,
    visit: Callable[[FramePair], None] | None = None,
) -> ClipData:
    """Read every frame pair once.

    Parameters
    ----------
    pairs, ledger, ground_truth
        As in `pairs.frame_pairs`. Of each frame two face crops (55 kB) and the distinct colours of the lips stay in
        memory, so that the palette needs no pass of its own.
    candidates : sequence of list of Detection, optional
        All candidates of every frame.
    threshold : float
        Score that a candidate must exceed, as `Settings.threshold`.
    palette : artifacts.Palette, optional
        Instead of that of the source.
    visit : callable, optional
        Called with every pair.

    Returns
    -------
    ClipData
        With the tables of detection and cadence. Where there are fewer pairs than rows of the ledger, it ends with the
        last pair.

    Raises
    ------
    ParameterError
        There are more pairs than rows, or fewer rows of ground truth.
    """
    functions = {metric.name: metric.of_pair for metric in registry.metrics() if metric.of_pair is not None}
    collected: dict[str, list[Any]] = {name: [] for name in functions}
    sampled = set(np.linspace(0, len(ledger) - 1, PALETTE_FRAMES).astype(int).tolist())
    boxes, places = regions.boxes(ledger), detection.face_places(ledger, ground_truth)
    shots, counted = ledger["shot"].to_numpy(), artifacts.PaletteCount()
    changes, holds, pixels, faces = [], cadence.HoldFinder(ledger), [], ([], [])
    for pair in frame_pairs(pairs, ledger, ground_truth):
        row = pair.row
        for name, function in functions.items():
            collected[name].append(function(pair))
        holds.add(pair.source)
        changes.append(cadence.frame_changes(pair))
        pixels.append(detection.face_pixels(pair, places[row], row > 0 and shots[row] == shots[row - 1]))
        if palette is None and row in sampled:
            counted.add(pair.source, regions.inside(boxes[row], pair.source.shape))
        for side, image in zip(faces, (pair.source, pair.output), strict=True):
            side.append(None if pair.box is None else crop(image, pair.box))
        if visit is not None:
            visit(pair)
    count = len(changes)
    ledger, ground_truth = ledger.iloc[:count], None if ground_truth is None else ground_truth.iloc[:count]
    beat = cadence.cadence_table(changes, holds.first, ledger)
    face_table = detection.pixel_table(pixels, ledger)
    detected = detection.detection_metrics(
        *(ledger, ground_truth, face_table, beat["held"].to_numpy()),
        candidates=None if candidates is None else candidates[:count],
        threshold=threshold,
    )
    frames = pd.concat([detected, beat.drop(columns=["time", "shot"])], axis=1)
    return ClipData(ledger, ground_truth, collected, palette or counted.palette(), frames, face_table, faces)
