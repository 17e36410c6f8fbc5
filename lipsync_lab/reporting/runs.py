"""One clip of a report: its run, its numbers, and which of its frames to show."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import evaluation, runs
from lipsync_lab.evaluation.cases import file_of
from lipsync_lab.geometry import Box

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.progress import Progress


def examined(
    pipeline: Pipeline, cases: Sequence[evaluation.cases.Case], folder: str | Path, progress: Progress | None = None
) -> list[evaluation.evaluated.Examined]:
    """Every case dubbed into a folder of its name, or found again there (`runs.run_once`), and examined."""
    made = {
        case.name: runs.run_once(
            pipeline, file_of(case.clip), file_of(case.voice), Path(folder) / case.name, progress=progress
        )
        for case in cases
    }
    return evaluation.evaluated.examine(cases, made, progress)


def headline(run: runs.Run) -> dict[str, Any]:
    """What a run says of itself, for the table: what became of its frames."""
    ledger, info = run.ledger(), run.info
    count = ledger["provenance"].value_counts()
    return {
        "frames": len(ledger),
        "detected": int(count.get("detected", 0) + count.get("recorded", 0) + count.get("manual", 0)),
        "gap_filled": int(count.get("interpolated", 0) + count.get("held", 0)),
        "passed_through": int(count.get("missing", 0)),
        "mouths_drawn": int(ledger["mouth_generated"].sum()),
        "seconds": f"{float(len(ledger) / Fraction(info['face']['fps'])):.2f}",
        "frames_written": info["frames_written"],
    }


def judged(found: evaluation.Evaluation) -> dict[str, str | int]:
    """What was found out about a run, for the table: the sync scores with their nulls, and the worst failures.

    Scores have three digits after the point, and are empty where they are undefined.
    """
    bad, failing = worst(found), found.failures
    numbers = {
        "syncnet_distance": found.score("syncnet_distance"),
        "av_offset": found.score("av_offset"),
        "syncnet_distance_shuffled_audio": found.score("syncnet_distance", "shuffled_audio"),
        "syncnet_distance_silent_audio": found.score("syncnet_distance", "silent_audio"),
        "syncnet_distance_untouched_source": found.score("syncnet_distance", "untouched_source"),
        "lse_d": found.score("lse_d"),
        "lse_c": found.score("lse_c"),
    }
    return {
        **{name: "" if number != number else f"{number:.3f}" for name, number in numbers.items()},
        "failures": len(failing),
        "worst": "; ".join(bad["kind"]),
        "worst_frame": int(bad["worst"].iloc[0]) if len(bad) else "",
    }


def worst(found: evaluation.Evaluation, most: int = 3) -> pandas.DataFrame:
    """The worst stretch of each of the worst kinds of failure: rows of `metrics.failures.find`."""
    return found.failures.drop_duplicates("kind").head(most)


def telling_frame(ledger: pandas.DataFrame) -> int:
    """Number of the frame to show of a clip: amid those on which a mouth was drawn, else amid all."""
    drawn = ledger["frame"][ledger["mouth_generated"]]
    numbers = drawn if len(drawn) else ledger["frame"]
    return int(numbers.iloc[len(numbers) // 2])


def box_to_show(ledger: pandas.DataFrame, frame: int, image: np.ndarray) -> tuple[Box, str]:
    """A frame's box and what it is; where no face was found, something to show the further steps on.

    Returns
    -------
    Box
        In whole pixels: the box drawn on; else the refused candidate; else the middle of the frame.
    str
        Which of the three.
    """
    row = ledger.iloc[frame]
    height, width = image.shape[:2]
    if row["provenance"] != "missing":
        return Box(*(float(row[side]) for side in ("x1", "y1", "x2", "y2"))), f"the {row['provenance']} face"
    if row["best_score"] == row["best_score"]:  # not NaN: something was proposed, and refused
        best = Box(*(int(row[f"best_{side}"]) for side in ("x1", "y1", "x2", "y2"))).clipped(width, height)
        if best.width >= 1 and best.height >= 1:
            return best, "a refused candidate, on which the run draws nothing"
    side = max(1, min(height, width) // 2)
    x, y = (width - side) // 2, (height - side) // 2
    return Box(x, y, x + side, y + side), "the middle of the frame, since no face was found and the run draws nothing"
