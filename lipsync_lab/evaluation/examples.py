"""Frames to show: candidates of several detectors on the same frames, and the worst frames of a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import detection, evaluation
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.evaluation.evaluated import Examined, frames
from lipsync_lab.geometry import Box
from lipsync_lab.media import clip as source
from lipsync_lab.metrics import detection as detecting
from lipsync_lab.metrics import failures, regions
from lipsync_lab.models.registry import best_device
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.detection import Detection

#: Frames that two pictures of one clip lie apart at the least, so that they are not twice the same.
APART = 12


@dataclass(frozen=True)
class Example:
    """A frame that shows a failure; `source` and `output` are uint8 RGB, cropped to the generated mouth."""

    clip: str
    domain: str
    frame: int
    kind: failures.Kind
    value: float
    source: np.ndarray
    output: np.ndarray


#: Candidates by detector, clip and number of the frame.
Looked = Mapping[str, Mapping[str, Mapping[int, Sequence["Detection"]]]]


def look(
    examined: Sequence[Examined],
    detectors: Sequence[str | Path | None],
    every: int = 1,
    also: pandas.DataFrame | None = None,
) -> Looked:
    """All candidates of several detectors on the same frames of the runs, by detector, clip and frame.

    Parameters
    ----------
    examined : sequence of Examined
    detectors : sequence of str, path or None
        See `detection.load`; a detector that is named twice is applied once. The candidates of the runs' own detector
        are read from their records.
    every : int
        Apply the detectors to every n-th frame.
    also : DataFrame, optional
        Further frames: columns ``clip`` and ``frame``.
    """
    device = best_device()
    loaded = [detection.load(detector, device=device) for detector in detectors]
    finders = {finder.name: finder for finder in loaded}
    wanted = {one.case.name: set(range(0, len(one.found.frames), every)) for one in examined}
    for clip, frame in [] if also is None else also[["clip", "frame"]].itertuples(index=False):
        wanted[clip].add(int(frame))
    return {
        name: {one.case.name: _candidates(one, finder, sorted(wanted[one.case.name])) for one in examined}
        for name, finder in finders.items()
    }


def _candidates(one: Examined, finder: detection.Detector, numbers: Sequence[int]) -> dict[int, list[Detection]]:
    record = read_detections(one.run.detections)
    if record.detector == {"name": finder.name, **finder.identity}:
        return {number: record.candidates[number] for number in numbers}
    settings, out = Settings.read(one.run.info["settings"]), {}
    clip, wanted = source.open_clip(one.face, settings), set(numbers)
    for number, image in enumerate(clip.read(0, max(numbers, default=-1) + 1)):
        if number in wanted:
            [out[number]] = detection.at_detection_size(finder, image[None], number, settings.detection_size)
    return out


def recall(examined: Sequence[Examined], looked: Looked) -> pandas.DataFrame:
    """`metrics.detection.recall` of each domain: detector, domain, threshold, recall, frames, false_positives (a
    frame).

    Parameters
    ----------
    examined : sequence of Examined
    looked : mapping
        Of `look`.
    """
    import pandas as pd

    tables = []
    for one in examined:
        truth = evaluation.truth_of(one.face)
        by_detector = {detector: by_clip[one.case.name] for detector, by_clip in looked.items()}
        if truth is not None:
            truth = truth.iloc[list(next(iter(by_detector.values())))]
        found = {detector: list(by_frame.values()) for detector, by_frame in by_detector.items()}
        tables.append(detecting.recall(found, truth).assign(domain=one.case.domain))
    table = pd.concat(tables, ignore_index=True)
    # clips count by their frames
    table["recall"] *= table["frames"]
    table["false_positives"] *= table["frames"]
    out = table.groupby(["detector", "domain", "threshold"], sort=False)[["recall", "false_positives", "frames"]]
    out = out.sum(min_count=1).reset_index()
    return out.assign(recall=out["recall"] / out["frames"], false_positives=out["false_positives"] / out["frames"])


def missed_by(examined: Sequence[Examined], looked: Looked, threshold: float) -> dict[str, pandas.DataFrame]:
    """`frames` for each detector of `look`, restricted to the frames it was applied to, with its misses and causes.

    Parameters
    ----------
    examined : sequence of Examined
    looked : mapping
        Of `look`.
    threshold : float
        Score that a candidate must exceed.
    """
    import pandas as pd

    out = {}
    for detector, by_clip in looked.items():
        tables = []
        for one in examined:
            numbers, truth = list(by_clip[one.case.name]), evaluation.truth_of(one.face)
            own = frames([one])
            own = own[own["frame"].isin(numbers)]
            lists = list(by_clip[one.case.name].values())
            truth = truth if truth is None else truth.iloc[numbers]
            tables.append(detecting.missed_by(own, lists, truth, threshold))
        out[detector] = pd.concat(tables, ignore_index=True)
    return out


def hardest(table: pandas.DataFrame, most: int = 3) -> pandas.DataFrame:
    """The frames of each domain in which detection was hardest: missed before detected frames, then by score.

    Returns
    -------
    DataFrame
        Rows of `frames`, at most so many a domain, `APART` frames apart in a clip.
    """
    faces = table[table["missed_detection"].notna()].assign(sure=table["best_score"].fillna(-1.0))
    return _spread(faces.sort_values(["missed_detection", "sure"], ascending=[False, True], kind="stable"), most)


def examples(examined: Sequence[Examined], kind: str, most: int = 1) -> list[Example]:
    """The worst frames of each domain for a kind of failure, the worst first.

    Parameters
    ----------
    examined : sequence of Examined
    kind : str
        A name of `metrics.failures.KINDS`.
    most : int
        Of a domain; there is none where nothing could be measured.

    Raises
    ------
    ParameterError
        There is no such kind.
    """
    one = failures.kind(kind)
    table = frames(examined)
    if one.measure not in table:
        return []
    by_name = {each.case.name: each for each in examined}
    worst = table[table[one.measure] > 0].sort_values(one.measure, ascending=False, kind="stable")
    return [
        Example(row.clip, row.domain, row.frame, one, getattr(row, one.measure), *near(by_name[row.clip], row.frame))
        for row in _spread(worst, most).itertuples()
    ]


def _spread(table: pandas.DataFrame, most: int) -> pandas.DataFrame:
    chosen: list = []
    for row in table.itertuples():
        same = [other for other in chosen if other.domain == row.domain]
        near = [other for other in same if other.clip == row.clip and abs(other.frame - row.frame) < APART]
        if len(same) < most and not near:
            chosen.append(row)
    return table.loc[[row.Index for row in chosen]]


def near(one: Examined, frame: int, near_what: Examined | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Source and output around the generated mouth of this run, or of another run of the clip; the whole frame where no
    mouth was generated."""
    before, after = one.pictures(frame)
    box = regions.inside(regions.boxes((near_what or one).run.ledger())[frame], before.shape, 0.15, 0.15)
    box = box or Box(0, 0, before.shape[1], before.shape[0])
    return before[box.slices], after[box.slices]
