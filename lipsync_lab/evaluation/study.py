"""Detections on real clips, recorded once and bundled without a picture.

The published S3FD's boxes on ten 2D clips of the study that this project starts from, and the candidates of `auto` and
of five other detectors on these, on other animation and on filmed people. ``data/study/README.md`` says where the
numbers come from. They show the misses of real detectors with no weights and no network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import bundled, samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import published

if TYPE_CHECKING:
    import pandas

HOME = bundled.folder("study")
PATH = HOME / "s3fd_boxes.json"
#: What `benchmarks/study_pixels.py` measured on the same frames, and the view of the face in those that were missed.
PIXELS, VIEWS = HOME / "pixels.csv", HOME / "views.csv"
#: Candidates of `auto` and five other detectors on these clips and others, a file each; made by
#: `benchmarks/record_detections.py`.
DETECTIONS = HOME / "detections"
#: The same of the sources of published models' outputs (`evaluation.published`), a clip a footage.
PUBLISHED_DETECTIONS = published.HOME / "detections"
#: Faces labelled by a person: `labels`.
LABELS = HOME / "labels.csv"

#: Columns of a box.
BOX = ["x1", "y1", "x2", "y2"]
#: Overlap (IoU) at or above which a candidate counts as a face's.
MATCH = 0.4
#: Detectors that must agree on the face of a filmed frame, of those that ask no other detector.
AGREEMENT = 3
INDEPENDENT = ("anime-lbp", "centerface", "lbp", "s3fd-lab", "yunet")
#: Ground truth is taken in every n-th of the study's detected, and of its missed, frames.
LABEL_STEP = 4
#: Clips that an interval over clips takes.
LEAST_CLIPS = 8
#: Score thresholds of `detection_rates`.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))

#: Over all 21 clips of the study whose video survives: frames in which S3FD detected a face, and all frames.
DETECTED, FRAMES = 2240, 2841


def names() -> tuple[str, ...]:
    """The ten clips whose boxes are here, in the order of the alphabet."""
    return tuple(sorted(_json(PATH)))


def frames(clip: str | None = None) -> pandas.DataFrame:
    """The boxes of the published S3FD, one row per frame.

    Parameters
    ----------
    clip : str, optional
        One of `names`; None for all.

    Returns
    -------
    pandas.DataFrame
        ``clip``; ``frame``, from 0; ``time`` in seconds; ``detected``, bool; ``x1`` to ``y2``, the box in pixels of the
        clip, NaN where there is none. Every frame shows a face, so that each frame without a box is a missed detection.

    Raises
    ------
    ParameterError
        No such clip.
    """
    import pandas as pd

    content = _json(PATH)
    if clip is not None and clip not in content:
        raise ParameterError(f"the study has no clip {clip!r}; it has {', '.join(names())}")
    tables = []
    for name in names() if clip is None else [clip]:
        boxes = np.array([box or [np.nan] * 4 for box in content[name]["boxes"]], float).reshape(-1, 4)
        number = np.arange(len(boxes))
        columns = {
            "clip": name,
            "frame": number,
            "time": np.round(number / float(samples.get(name).fps), 6),
            "detected": ~np.isnan(boxes[:, 0]),
        }
        tables.append(pd.DataFrame(columns | dict(zip(BOX, boxes.T, strict=True))))
    return pd.concat(tables, ignore_index=True)


def pixels(clip: str) -> pandas.DataFrame:
    """Shots and pixel statistics of a clip's frames, measured once.

    Parameters
    ----------
    clip : str
        One of `names`.

    Returns
    -------
    pandas.DataFrame, index ``frame``
        ``shot``, and the columns of `metrics.detection.pixels`.
    """
    table = _table(PIXELS)
    return table[table["clip"] == clip].drop(columns="clip").set_index("frame")


def views() -> pandas.DataFrame:
    """The view of the face in each dropout (run of missed frames), labelled by a person in its middle frame.

    Returns
    -------
    pandas.DataFrame
        ``clip``; ``first`` and ``last`` frame; ``view`` (front, three-quarter, profile, from behind); ``what`` is
        unusual about the face, empty where nothing is.
    """
    return _table(VIEWS).fillna({"what": ""})


def detections(detector: str | None = None, home: Path | None = None) -> pandas.DataFrame:
    """The recorded candidates of the detectors, a row per candidate.

    Parameters
    ----------
    detector : str, optional
        One of `detectors`; None for all.
    home : path, optional
        Folder of the recordings: `DETECTIONS`, or `PUBLISHED_DETECTIONS`.

    Returns
    -------
    pandas.DataFrame
        ``clip``, ``domain``, ``detector``, ``frame``, ``score``, and ``x1`` to ``y2``, the box in whole pixels of the
        clip. A frame in which the detector proposed nothing has one row with NaN in place of score and box. At most
        five candidates a frame, best first; of the longer clips every second or twenty-fifth frame.

    Raises
    ------
    ParameterError
        No such detector.
    """
    import pandas as pd

    if detector is not None and detector not in detectors():
        raise ParameterError(f"no detections of {detector!r} are bundled; there are {', '.join(detectors())}")
    files = ((home or DETECTIONS) / f"{name}.json" for name in ([detector] if detector else detectors()))
    return pd.concat(map(_candidates, files), ignore_index=True)  # a copy: what is kept stays as it is


@cache
def _candidates(path: Path) -> pandas.DataFrame:
    """The rows of one recording."""
    import pandas as pd

    rows = []
    for clip, entry in _json(path)["clips"].items():
        for number, candidates in enumerate(entry["candidates"]):
            about = clip, entry["domain"], path.stem, number * entry["step"]
            rows += [(*about, *values) for values in candidates or [[np.nan] * 5]]
    columns = ["clip", "domain", "detector", "frame", *BOX, "score"]
    return pd.DataFrame(rows, columns=columns)[[*columns[:4], "score", *BOX]]


def detectors() -> tuple[str, ...]:
    """The detectors whose candidates are bundled, in the order of the alphabet."""
    return tuple(sorted(path.stem for path in DETECTIONS.glob("*.json")))


def labels(repeated: bool = False) -> pandas.DataFrame:
    """Faces labelled by a person, a row a face.

    Parameters
    ----------
    repeated : bool
        The second, independent labels of 40 of the frames, in place of the first labels of all.

    Returns
    -------
    pandas.DataFrame
        ``clip``, ``frame``; ``face``: "target", which a detector should propose, "other", a further face that counts
        neither as missed nor as a false positive, "none" for a frame without a face; ``x1`` to ``y2`` in pixels of the
        clip, NaN where there is no face.
    """
    table = _table(LABELS)
    return table[table["pass"] == 1 + repeated].drop(columns="pass").reset_index(drop=True)


def faces() -> pandas.DataFrame:
    """Ground truth for the recorded detections, a row a face.

    Returns
    -------
    pandas.DataFrame
        ``clip``, ``domain``, ``frame``, ``face`` and ``x1`` to ``y2`` as in `labels`, and ``source`` of the box:

        - "s3fd" in every fourth frame of the study in which the published S3FD detected the face;
        - "label" for every fourth of those in which it missed it, for further faces, and for the other animation;
        - "agreement" in filmed clips, which show one face in every frame: the median box of the best candidates of the
          `INDEPENDENT` detectors, those of `AGREEMENT` at least overlapping it. Frames without such agreement are
          absent, so that recall on filmed clips is relative to the detectors' agreement.
    """
    import pandas as pd

    detected = frames().query("detected")
    detected = detected[detected.groupby("clip").cumcount() % LABEL_STEP == 0].assign(face="target", source="s3fd")
    marked = labels().assign(source="label")
    recorded = detections()
    domains = recorded.drop_duplicates("clip").set_index("clip")["domain"]
    agreed = _agreed(recorded[(recorded["domain"] == "live_action") & recorded["detector"].isin(INDEPENDENT)])
    table = pd.concat([detected, marked, agreed], ignore_index=True)
    table["domain"] = table["clip"].map(domains)
    return table[["clip", "domain", "frame", "face", *BOX, "source"]].sort_values(["clip", "frame"], ignore_index=True)


def detection_rates(
    thresholds: Sequence[float] = THRESHOLDS,
    candidates: pandas.DataFrame | None = None,
    match: str = "overlap",
    ground_truth: pandas.DataFrame | None = None,
) -> pandas.DataFrame:
    """Recall and false positives of every recorded detector against the score threshold, a row per clip.

    Parameters
    ----------
    thresholds : sequence of float
        A candidate counts if its score is above.
    candidates : DataFrame, optional
        In place of `detections`, such as the choice of a combination of detectors.
    match : str
        When a candidate is a face's. "overlap": they overlap by `MATCH` (IoU), so that the box can be used as it is.
        "centre": each contains the other's centre, which also accepts boxes round the whole head, as the cascades
        propose them.
    ground_truth : DataFrame, optional
        In place of `faces`.

    Returns
    -------
    pandas.DataFrame
        ``detector``, ``domain``, ``clip``, ``threshold``; ``frames``, the number of frames with ground truth that the
        detector examined; ``recall``, the share of target faces with a candidate; ``false_positives``, the number of
        candidates a frame that are no face's. ``recall`` is NaN where no frame has a target.

    Raises
    ------
    ParameterError
        No such match.
    """
    import pandas as pd

    if match not in _MATCHES:
        raise ParameterError(f"no candidates are matched by {match!r}; give one of {', '.join(_MATCHES)}")
    candidates = detections() if candidates is None else candidates
    ground_truth = faces() if ground_truth is None else ground_truth
    rows = []
    for (detector, domain, clip), proposed in candidates.groupby(["detector", "domain", "clip"], sort=True):
        known = ground_truth.query("clip == @clip and frame in @proposed.frame")
        number = known["frame"].nunique()
        if not number:
            continue
        proposed = proposed[proposed["frame"].isin(known["frame"])].dropna(subset="score").reset_index(drop=True)
        pairs = proposed.reset_index(names="candidate").merge(
            known.reset_index(names="face_number"), on="frame", suffixes=("", "_face")
        )
        pairs = pairs[_MATCHES[match](pairs[BOX].to_numpy(), pairs[[f"{side}_face" for side in BOX]].to_numpy())]
        targets = known.index[known["face"] == "target"]
        best = pairs.groupby("face_number")["score"].max().reindex(targets, fill_value=-np.inf)
        wrong = proposed.loc[~proposed.index.isin(pairs["candidate"]), "score"]
        for threshold in thresholds:
            recall = float((best > threshold).mean())
            rows.append((detector, domain, clip, threshold, number, recall, (wrong > threshold).sum() / number))
    return pd.DataFrame(
        rows, columns=["detector", "domain", "clip", "threshold", "frames", "recall", "false_positives"]
    )


def rates_by_domain(rates: pandas.DataFrame, level: float = 0.95) -> pandas.DataFrame:
    """Means over clips of `detection_rates`, with an interval of the recall over clips.

    Parameters
    ----------
    rates : DataFrame
        Of `detection_rates`.
    level : float
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        ``detector``, ``domain``, ``threshold``, ``clips``, ``frames``; ``recall``, the mean over clips, with its
        `share_interval` from ``recall_low`` to ``recall_high``; ``false_positives`` a frame, the mean over clips, and
        ``false_positives_worst``, the clip with most. The interval is NaN below `LEAST_CLIPS` clips, for which the
        clips' own values are to be shown.
    """
    import pandas as pd

    rows = []
    for key, clips in rates.groupby(["detector", "domain", "threshold"], sort=True):
        row = dict(zip(["detector", "domain", "threshold"], key, strict=True))
        row |= {"clips": len(clips), "frames": int(clips["frames"].sum())}
        recalls, wrong = clips["recall"].dropna().to_numpy(), clips["false_positives"]
        low, high = share_interval(recalls, level)
        row |= {"recall": recalls.mean() if len(recalls) else np.nan, "recall_low": low, "recall_high": high}
        rows.append(row | {"false_positives": wrong.mean(), "false_positives_worst": wrong.max()})
    return pd.DataFrame(rows)


def share_interval(shares: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of a mean share over clips: Wilson's, with the number of units that the spread over clips stands for.

    The interval for a proportion in clustered samples (Korn & Graubard 1998, Survey Methodology 24; with Wilson's
    limits, Dean & Pagano 2015, Journal of Survey Statistics and Methodology 3): n = p (1 - p) / (s^2 / clips) units,
    and Student's t in place of the normal quantile. It stays within 0 and 1, and with 8 to 16 clips it covers the mean
    in 92 to 99 % of 4000 trials with five distributions, those of the recorded recalls among them, where Student's t
    interval covers it in 83 to 95 %.

    Parameters
    ----------
    shares : ndarray, float, (clips,)
        0 to 1.
    level : float
        Coverage.

    Returns
    -------
    low, high : float
        NaN for fewer than `LEAST_CLIPS` clips, and where all clips have one value, which says nothing of the spread.
    """
    from scipy import stats

    clips = len(shares)
    if clips < LEAST_CLIPS or np.ptp(shares) == 0:
        return np.nan, np.nan
    mean, variance = float(np.mean(shares)), float(np.var(shares, ddof=1)) / clips
    units = mean * (1 - mean) / variance
    t = float(stats.t.ppf((1 + level) / 2, clips - 1))
    middle = (mean + t**2 / (2 * units)) / (1 + t**2 / units)
    reach = t / (1 + t**2 / units) * np.sqrt(mean * (1 - mean) / units + (t / (2 * units)) ** 2)
    return float(max(0.0, middle - reach)), float(min(1.0, middle + reach))


def held_out(rates: pandas.DataFrame) -> pandas.DataFrame:
    """Rates of each clip at a threshold that was chosen without it.

    The threshold is the one with the largest recall less false positives per frame, both as means over all other clips
    of either domain; of equal ones the nearest to their middle.

    Parameters
    ----------
    rates : DataFrame
        Of `detection_rates`, at several thresholds.

    Returns
    -------
    DataFrame
        The rows of `rates` that were chosen, one for each detector and clip.
    """
    import pandas as pd

    rows = []
    for _, each in rates.groupby("detector", sort=True):
        gain = each.assign(gain=each["recall"].fillna(1.0) - each["false_positives"])
        table = gain.pivot(index="threshold", columns="clip", values="gain")
        for clip in table.columns:
            without = table.drop(columns=clip).mean(axis=1)
            best = without.index[without >= without.max() - 1e-9].to_numpy()
            chosen = best[np.abs(best - np.median(best)).argmin()]
            rows.append(each[(each["clip"] == clip) & (each["threshold"] == chosen)])
    return pd.concat(rows, ignore_index=True)


def detector_table(threshold: float = 0.5, match: str = "overlap") -> pandas.DataFrame:
    """Every recorded detector: `rates_by_domain` at one threshold, and its cost.

    Returns
    -------
    DataFrame
        The columns of `rates_by_domain`, and ``ms``, the CPU time a frame of 1920 x 1080 pixels on one thread,
        shrinking included. The published S3FD is absent: the ground truth of the study's clips is in part its boxes.
    """
    table = rates_by_domain(detection_rates([threshold], match=match)).drop(columns="threshold")
    return table.merge(_table(DETECTIONS / "cost.csv")[["detector", "ms"]], on="detector", how="left")


def published_rates(thresholds: Sequence[float] = THRESHOLDS) -> pandas.DataFrame:
    """`detection_rates` of every detector on the sources of published models' outputs, a row a footage.

    The face of a frame is the box that `AGREEMENT` of the `INDEPENDENT` detectors agree on; frames without agreement
    are absent, so that recall is relative to it, and further faces count as false positives. Airbrushed portraits,
    which belong to no domain, have the domain "".
    """
    recorded = detections(home=PUBLISHED_DETECTIONS)
    agreed = _agreed(recorded[recorded["detector"].isin(INDEPENDENT)])
    return detection_rates(thresholds, recorded, ground_truth=agreed)


def _agreed(candidates: pandas.DataFrame) -> pandas.DataFrame:
    """The box of each frame that detectors agree on, from their best candidates."""
    best = candidates.dropna(subset="score").drop_duplicates(["clip", "frame", "detector"])
    keys = ["clip", "frame"]
    for _ in range(2):  # the second median is not pulled by those that the first one excludes
        median = best.groupby(keys)[BOX].transform("median")
        best = best[_overlap(best[BOX].to_numpy(), median.to_numpy()) >= MATCH]
    grouped = best.groupby(keys, as_index=False)
    boxes = grouped[BOX].median()[grouped.size()["size"] >= AGREEMENT]
    return boxes.assign(face="target", source="agreement")


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of rows of boxes, (N, 4) and (N, 4); 0 where a box is NaN."""
    corner, end = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    inner = (end - corner).clip(0).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.nan_to_num(inner / (areas[0] + areas[1] - inner))


def _centred(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether each box of a pair contains the other's centre; False where a box is NaN."""
    inside = [
        (a[:, :2] <= middle) & (middle <= a[:, 2:])
        for a, b in ((first, second), (second, first))
        for middle in [(b[:, :2] + b[:, 2:]) / 2]
    ]
    return np.concatenate(inside, axis=1).all(axis=1)


#: Criteria of `detection_rates`: name -> function of two arrays of boxes, (N, 4) and (N, 4).
_MATCHES = {"overlap": lambda first, second: _overlap(first, second) >= MATCH, "centre": _centred}


def _table(path: Path) -> pandas.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be read ({error}); restore it from the repository") from None


def _json(path: Path) -> dict[str, dict]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be read ({error}); restore it from the repository") from None
