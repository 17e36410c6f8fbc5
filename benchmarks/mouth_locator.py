"""What the mouth locator does as a second opinion on detected faces: recall and false positives before and after.

Every recorded candidate of `s3fd-lab` on the study's clips (``data/study/detections``) is shown to `mouth-locator-lab`.
A candidate without a mouth is rejected: one that the network names "no face", or one whose confidence is below a
threshold. The threshold is the highest one of `THRESHOLDS` that keeps the mean recall within `LOSS` of what it was, on
every second clip by name, and its rates are those of the other clips; "named no face" has no threshold and is reported
on all clips.

    python benchmarks/mouth_locator.py FOLDER_OF_CLIPS ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from lipsync_lab.evaluation import study
from lipsync_lab.generation.cel import locate
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.models import registry

DETECTOR = "s3fd-lab"
#: Thresholds of the detector's score at which rates are given: a run's own, and the strict one.
SCORES = (0.5, 0.9)
THRESHOLDS = tuple(np.round(np.arange(0.02, 0.96, 0.02), 2))
#: Recall that the threshold of the confidence may cost.
LOSS = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of the clips")
    parser.add_argument("--weights", default=registry.DEFAULTS["mouth_locator"], help="name or file of the locator")
    options = parser.parse_args()
    files = {path.stem.split("_t02")[0]: path for folder in options.folders for path in folder.glob("*.m*")}
    network = registry.load(options.weights, "mouth_locator").model
    table = with_mouths(study.detections(DETECTOR), files, network)
    clips = sorted(table["clip"].unique())
    chosen, reported = (table[table["clip"].isin(clips[start::2])] for start in (0, 1))
    for score in SCORES:
        threshold = best_threshold(chosen, score)
        show("all clips", table, score, {"before": everything, "named no face": named})
        rules = {"before": everything, f"confidence < {threshold:g}": lambda rows, low=threshold: keeps(rows, low)}
        show("other half", reported, score, rules)


def show(clips: str, table: pd.DataFrame, score: float, rules: dict) -> None:
    """Print the rates of each rule, by domain."""
    for name, rule in rules.items():
        for domain, rate in rates(table, rule, score).groupby("domain"):
            print(
                f"score > {score}  {clips}  {domain:12s} {name:18s} clips {len(rate):2d} frames {rate['frames'].sum()}"
                f"  recall {rate['recall'].mean():.3f}  false positives per frame {rate['false_positives'].mean():.3f}"
            )


def keeps(rows: pd.DataFrame, low: float) -> pd.Series:
    """Keep what has a confidence of at least `low`."""
    return rows["confidence"] >= low


def everything(rows: pd.DataFrame) -> pd.Series:
    """Keep all candidates."""
    return pd.Series(True, rows.index)


def named(rows: pd.DataFrame) -> pd.Series:
    """Keep what the network does not name "no face"."""
    return rows["visibility"] != "no face"


def with_mouths(candidates: pd.DataFrame, files: dict[str, Path], network) -> pd.DataFrame:
    """Add ``visibility`` and ``confidence`` of the mouth in each candidate's box, in frames with ground truth."""
    known = study.faces()[["clip", "frame"]].drop_duplicates()
    candidates = candidates.merge(known, on=["clip", "frame"])
    parts = []
    for clip, rows in candidates.groupby("clip"):
        shown = rows.dropna(subset="score")
        shown = shown[shown["score"] > min(SCORES)]
        frames = {}
        wanted = set(shown["frame"])
        for frame in video.frames(files[clip]):
            if frame.index in wanted:
                frames[frame.index] = frame.image
        poses = [
            locate.locate([frames[row.frame]], [Box(row.x1, row.y1, row.x2, row.y2)], network=network)[0]
            for row in shown.itertuples()
        ]
        mouths = pd.DataFrame(
            {"visibility": [pose.visibility for pose in poses], "confidence": [pose.confidence for pose in poses]},
            index=shown.index,
        )
        parts.append(rows.join(mouths))
    return pd.concat(parts)


def rates(table: pd.DataFrame, rule, score: float) -> pd.DataFrame:
    """Rates by clip of the candidates that a rule keeps; a frame whose candidates are all rejected has none."""
    rejected = table["visibility"].notna() & ~rule(table)
    kept = table.copy()
    kept.loc[rejected, ["score", *study.BOX]] = np.nan
    return study.detection_rates((score,), kept[["clip", "domain", "detector", "frame", "score", *study.BOX]])


def best_threshold(table: pd.DataFrame, score: float) -> float:
    """The highest threshold of the confidence that costs at most `LOSS` of the mean recall; 0 if none does."""
    before = rates(table, everything, score)["recall"].mean()
    best = 0.0
    for threshold in THRESHOLDS:
        after = rates(table, lambda rows, low=threshold: keeps(rows, low), score)["recall"].mean()
        if after < before - LOSS:
            break
        best = float(threshold)
    return best


if __name__ == "__main__":
    main()
