"""Frames to show: candidates of several detectors on the same frames, and the worst frames of a failure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import detection, samples
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.evaluation.evaluated import EvaluatedCase, by_clip, frames
from lipsync_lab.geometry import Box
from lipsync_lab.media import clip as source
from lipsync_lab.media import video
from lipsync_lab.metrics import detection as detecting
from lipsync_lab.metrics import failures, regions, registry
from lipsync_lab.metrics.validation import response
from lipsync_lab.models.registry import best_device
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.detection import Detection

#: Smallest distance of two frames that are shown of one clip.
LEAST_DISTANCE = 12


@dataclass(frozen=True)
class Example:
    """A frame that shows a failure; `source` and `output` are uint8 RGB: the whole frame for a metric of what lies
    outside of the box, and cropped to the generated mouth for others.

    In its domain, the metric is defined in `frames`, and beyond its threshold in `failing` of them.
    """

    clip: str
    domain: str
    frame: int
    kind: registry.Metric
    value: float
    source: np.ndarray
    output: np.ndarray
    failing: int
    frames: int


#: Candidates by detector, clip and number of the frame.
Candidates = Mapping[str, Mapping[str, Mapping[int, Sequence["Detection"]]]]


def detect_frames(
    results: Sequence[EvaluatedCase],
    detectors: Sequence[str | Path | None],
    frame_step: int = 1,
    also: pandas.DataFrame | None = None,
) -> Candidates:
    """All candidates of several detectors on the same frames of the runs, by detector, clip and frame.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    detectors : sequence of str, path or None
        See `detection.load`; a detector that is named twice is applied once. The candidates of the runs' own detector
        are read from their records.
    frame_step : int
        Apply the detectors to every n-th frame.
    also : DataFrame, optional
        Further frames: columns ``clip`` and ``frame``.
    """
    device = best_device()
    loaded = [detection.load(detector, device=device) for detector in detectors]
    by_name = {detector.name: detector for detector in loaded}
    wanted = {result.case.name: set(range(0, len(result.evaluation.frames), frame_step)) for result in results}
    for clip, frame in [] if also is None else also[["clip", "frame"]].itertuples(index=False):
        wanted[clip].add(int(frame))
    return {
        name: {result.case.name: _candidates(result, detector, sorted(wanted[result.case.name])) for result in results}
        for name, detector in by_name.items()
    }


def _candidates(
    result: EvaluatedCase, detector: detection.Detector, numbers: Sequence[int]
) -> dict[int, list[Detection]]:
    record = read_detections(result.run.detections)
    if record.detector == {"name": detector.name, **detector.identity}:
        return {number: record.candidates[number] for number in numbers}
    settings, out = Settings.read(result.run.info["settings"]), {}
    clip, wanted = source.open_clip(result.face, settings), set(numbers)
    for number, image in enumerate(clip.read(0, max(numbers, default=-1) + 1)):
        if number in wanted:
            [out[number]] = detection.at_detection_size(detector, image[None], number, settings.detection_size)
    return out


def recall(results: Sequence[EvaluatedCase], candidates: Candidates) -> pandas.DataFrame:
    """`metrics.detection.recall` of each domain: detector, domain, threshold, recall, frames, false_positives (a
    frame).

    Parameters
    ----------
    results : sequence of EvaluatedCase
    candidates : mapping
        Of `detect_frames`.
    """

    def of_clip(result: EvaluatedCase) -> pandas.DataFrame:
        by_detector = {detector: by_frame[result.case.name] for detector, by_frame in candidates.items()}
        ground_truth = _ground_truth(result, next(iter(by_detector.values())))
        lists = {detector: list(by_frame.values()) for detector, by_frame in by_detector.items()}
        return detecting.recall(lists, ground_truth)

    table = by_clip(results, of_clip)
    # clips count by their frames
    table["recall"] *= table["frames"]
    table["false_positives"] *= table["frames"]
    out = table.groupby(["detector", "domain", "threshold"], sort=False)[["recall", "false_positives", "frames"]]
    out = out.sum(min_count=1).reset_index()
    return out.assign(recall=out["recall"] / out["frames"], false_positives=out["false_positives"] / out["frames"])


def missed_by(
    results: Sequence[EvaluatedCase], candidates: Candidates, threshold: float
) -> dict[str, pandas.DataFrame]:
    """`frames` for each detector of `detect_frames`, restricted to the frames it was applied to, with its misses and
    causes.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    candidates : mapping
        Of `detect_frames`.
    threshold : float
        Score that a candidate must exceed.
    """

    def of_clip(result: EvaluatedCase, by_frame: Mapping[int, Sequence[Detection]]) -> pandas.DataFrame:
        own = frames([result])
        own = own[own["frame"].isin(by_frame)]
        return detecting.missed_by(own, list(by_frame.values()), _ground_truth(result, by_frame), threshold)

    return {
        detector: by_clip(results, lambda result, clips=clips: of_clip(result, clips[result.case.name]))
        for detector, clips in candidates.items()
    }


def _ground_truth(result: EvaluatedCase, numbers: Iterable[int]) -> pandas.DataFrame | None:
    """The rows of the ground truth of numbered frames; None where there is none."""
    ground_truth = ground_truth_of(result.face)
    return None if ground_truth is None else ground_truth.iloc[list(numbers)]


def hardest_of_all(missed: Mapping[str, pandas.DataFrame], candidates: Candidates, most: int = 3) -> pandas.DataFrame:
    """The frames of each domain that most detectors missed, and of these the one with the lowest score of any.

    Parameters
    ----------
    missed : mapping of str to DataFrame
        Of `missed_by`: the tables of all detectors have the same frames.
    candidates : mapping
        Of `detect_frames`.
    most : int
        As for `hardest`.

    Returns
    -------
    DataFrame
        As of `hardest`; ``missed_detection`` is the number of detectors that missed the face, ``best_score`` the least
        of their best scores.
    """
    tables = [*missed.values()]
    places = tables[0][["clip", "frame"]].to_numpy()
    best = [
        min(max((each.score for each in clips[clip][frame]), default=-1.0) for clips in candidates.values())
        for clip, frame in places
    ]
    return hardest(
        tables[0].assign(missed_detection=sum(table["missed_detection"] for table in tables), best_score=best), most
    )


def hardest(table: pandas.DataFrame, most: int = 3) -> pandas.DataFrame:
    """The frames of each domain in which detection was hardest: missed before detected frames, then by score.

    Returns
    -------
    DataFrame
        Rows of `evaluated.frames`, at most so many a domain, `LEAST_DISTANCE` frames apart in a clip.
    """
    faces = table[table["missed_detection"].notna()].assign(sure=table["best_score"].fillna(-1.0))
    return _spread(faces.sort_values(["missed_detection", "sure"], ascending=[False, True], kind="stable"), most)


def proposals(
    results: Sequence[EvaluatedCase], candidates: Candidates, chosen: pandas.DataFrame
) -> tuple[dict[str, np.ndarray], dict[str, list[Sequence[Detection]]]]:
    """Frames and what each detector proposes in them, as `figures.detector_comparison` takes them.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    candidates : mapping
        Of `detect_frames`.
    chosen : DataFrame
        Rows of `hardest`.

    Returns
    -------
    dict of str to ndarray, uint8, (H, W, 3)
        RGB frames of the sources, by clip and number.
    dict of str to list of list of Detection
        The candidates of each of these frames, by detector.
    """
    by_name = {result.case.name: result for result in results}
    places = chosen[["clip", "frame"]].to_numpy()
    images = {f"{clip} {frame}": by_name[clip].pictures(frame)[0] for clip, frame in places}
    return images, {name: [lists[clip][frame] for clip, frame in places] for name, lists in candidates.items()}


def injected(clip: str, first: int, stop: int, strengths: Sequence[float] = (0.0, 0.5, 1.0)) -> pandas.DataFrame:
    """`metrics.validation.response.response_matrix` on frames `first` to `stop` - 1 of a synthetic sample."""
    path = samples.path(clip)
    ground_truth = ground_truth_of(path).iloc[first:stop].reset_index(drop=True)
    material = np.stack([frame.image for frame in video.frames(path, start=first, stop=stop)])
    return response.response_matrix(material, ground_truth, strengths=tuple(strengths))


def examples(results: Sequence[EvaluatedCase], kind: str, most: int = 1) -> list[Example]:
    """The worst frames of each domain for a kind of failure, the worst first.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    kind : str
        A name of `metrics.failures.KINDS`.
    most : int
        Of a domain; there is none where nothing could be measured.

    Raises
    ------
    ParameterError
        There is no such kind.
    """
    kind = failures.kind(kind)
    table = frames(results)
    if kind.name not in table:
        return []
    by_name = {each.case.name: each for each in results}
    worst = table[table[kind.name] > 0].sort_values(kind.name, ascending=False, kind="stable")
    known = table.dropna(subset=kind.name).groupby("domain")[kind.name]
    counts = {domain: (int(kind.beyond(values).sum()), len(values)) for domain, values in known}
    out = []
    for row in _spread(worst, most).itertuples():
        show = EvaluatedCase.pictures if kind.name == "background_change" else near
        pictures = show(by_name[row.clip], row.frame)
        value = getattr(row, kind.name)
        out.append(Example(row.clip, row.domain, row.frame, kind, value, *pictures, *counts[row.domain]))
    return out


def _spread(table: pandas.DataFrame, most: int) -> pandas.DataFrame:
    chosen: list = []
    for row in table.itertuples():
        same = [other for other in chosen if other.domain == row.domain]
        near = [other for other in same if other.clip == row.clip and abs(other.frame - row.frame) < LEAST_DISTANCE]
        if len(same) < most and not near:
            chosen.append(row)
    return table.loc[[row.Index for row in chosen]]


def near(result: EvaluatedCase, frame: int, near_what: EvaluatedCase | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Source and output around the generated mouth of this run, or of another run of the clip; the whole frame where no
    mouth was generated."""
    before, after = result.pictures(frame)
    box = regions.inside(regions.boxes((near_what or result).run.ledger())[frame], before.shape, 0.15, 0.15)
    box = box or Box(0, 0, before.shape[1], before.shape[0])
    return before[box.slices], after[box.slices]
