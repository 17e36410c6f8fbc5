"""The clips of a report: their runs and evaluations, their numbers, and which of their frames to show."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import evaluation, runs
from lipsync_lab.evaluation.cases import file_of
from lipsync_lab.geometry import DETECTED, Box

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.progress import Progress


def dub_and_evaluate(
    pipeline: Pipeline, cases: Sequence[evaluation.cases.Case], folder: str | Path, progress: Progress | None = None
) -> list[evaluation.evaluated.EvaluatedCase]:
    """Dub every case into a folder of its name, unless the same run is there (`runs.run_once`), and evaluate it."""
    runs_of = {
        case.name: runs.run_once(
            pipeline, file_of(case.clip), file_of(case.voice), Path(folder) / case.name, progress=progress
        )
        for case in cases
    }
    return evaluation.evaluated.evaluate_cases(cases, runs_of, progress)


def frame_summary(run: runs.Run) -> dict[str, Any]:
    """Counts of a run's frames, for the table.

    Returns
    -------
    dict
        frames; detected (`geometry.DETECTED`), filled (interpolated or held box) and passthrough (no box) of them;
        mouths_generated; seconds (text); frames_written.
    """
    ledger, info = run.ledger(), run.info
    count = ledger["provenance"].value_counts()
    return {
        "frames": len(ledger),
        "detected": int(ledger["provenance"].isin(DETECTED).sum()),
        "filled": int(count.get("interpolated", 0) + count.get("held", 0)),
        "passthrough": int(count.get("missing", 0)),
        "mouths_generated": int(ledger["mouth_generated"].sum()),
        "seconds": f"{float(len(ledger) / Fraction(info['clip']['fps'])):.2f}",
        "frames_written": info["frames_written"],
    }


def frame_counts(results: Sequence[evaluation.evaluated.EvaluatedCase]) -> pandas.DataFrame:
    """`frame_summary` of every clip, one row each, with its ``clip`` and ``domain``, as `figures.coverage` takes it."""
    import pandas as pd

    about = ({"clip": result.case.name, "domain": result.case.domain} for result in results)
    return pd.DataFrame([frame_summary(result.run) | case for result, case in zip(results, about, strict=True)])


def evaluation_summary(result: evaluation.Evaluation) -> dict[str, str | int]:
    """Sync scores with their controls, and the worst failures, for the table.

    Scores have three digits after the point, and are empty where they are undefined.
    """
    bad, failing = worst_failures(result), result.failures
    scores = {name: result.score(name) for name in ("syncnet_distance", "av_offset", "lse_d", "lse_c")}
    for control in ("shuffled_audio", "silent_audio", "untouched_source"):
        scores[f"syncnet_distance_{control}"] = result.score("syncnet_distance", control)
    return {
        **{name: "" if number != number else f"{number:.3f}" for name, number in scores.items()},
        "failures": len(failing),
        "worst_failures": "; ".join(bad["kind"]),
        "worst_frame": int(bad["worst"].iloc[0]) if len(bad) else "",
    }


def worst_failures(result: evaluation.Evaluation, most: int = 3) -> pandas.DataFrame:
    """The worst failure of each of the worst kinds: rows of `metrics.failures.find`."""
    return result.failures.drop_duplicates("kind").head(most)


def frame_to_show(ledger: pandas.DataFrame) -> int:
    """Number of the frame to show of a clip: the middle one of those with a generated mouth, else of all."""
    generated = ledger["frame"][ledger["mouth_generated"]]
    numbers = generated if len(generated) else ledger["frame"]
    return int(numbers.iloc[len(numbers) // 2])


def box_to_show(ledger: pandas.DataFrame, frame: int, image: np.ndarray) -> tuple[Box, str]:
    """A frame's box and what it is; on a passthrough frame, a box to show the further steps on.

    Returns
    -------
    Box
        In whole pixels: the box of the generated mouth; else the rejected candidate; else the middle of the frame.
    str
        Which of the three.
    """
    row = ledger.iloc[frame]
    height, width = image.shape[:2]
    if row["provenance"] != "missing":
        return Box(*(float(row[side]) for side in ("x1", "y1", "x2", "y2"))), f"the {row['provenance']} face"
    if row["best_score"] == row["best_score"]:  # not NaN: there is a candidate, and it was rejected
        best = Box(*(int(row[f"best_{side}"]) for side in ("x1", "y1", "x2", "y2"))).clipped(width, height)
        if best.width >= 1 and best.height >= 1:
            return best, "a rejected candidate, on which the run generates nothing"
    side = max(1, min(height, width) // 2)
    x, y = (width - side) // 2, (height - side) // 2
    return Box(x, y, x + side, y + side), "the middle of the frame, since no face was detected: a passthrough frame"
