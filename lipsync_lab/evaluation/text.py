"""Sentences on an evaluation, for the command line and for pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lipsync_lab.metrics import registry

if TYPE_CHECKING:
    import pandas


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts as lines, each column as wide as its longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def table(metrics: pandas.DataFrame) -> list[str]:
    """`Evaluation.metrics` as lines of text in columns; then, by reason, what has a limited value or none."""
    rows = [("metric", "value", "unit", "frames", "failed", "threshold")]
    measured = metrics["value"].notna()
    for row in metrics[measured].itertuples():
        failed = (str(row.failed), f"{row.threshold:g}") if row.threshold == row.threshold else ("-", "-")
        rows.append((_both_names(row.metric), f"{row.value:.4g}", row.unit, str(row.n_frames), *failed))
    lines = [*columns(rows), "value: median over the frames; of a rate the mean, of a score the score itself"]
    for start, rest in (("note", metrics[measured & (metrics["reason"] != "")]), ("not measured", metrics[~measured])):
        for reason, those in rest.groupby("reason", sort=False):
            lines.append(f"{start} ({reason}): {', '.join(map(_both_names, those['metric']))}")
    return lines


def _both_names(column: str) -> str:
    """The name of a column, with the one that pages print in brackets where it is another."""
    shown = page_name(column)
    return f"{column} ({shown})" if shown else column


def page_name(column: str) -> str:
    """The name, without a unit, that pages print for a column; empty where it is the column's in words."""
    shown = registry.label(column).partition(" (")[0]
    return "" if shown.lower().replace("-", " ") == column.replace("_", " ") else shown


def domain(domain: str | None, given: str | None, sample: str | None) -> str:
    """One line on the domain of an evaluation and why it is that: it was given, or the clip is a `sample`."""
    if domain is None:
        return "domain: unknown, so that some metrics and offsets are absent: give --domain"
    return f"domain: {domain}, {'as given' if given else f'the clip is the sample {sample}'}"


def alignment(alignment: dict) -> str:
    """One line on how an output lines up with its source (`Evaluation.alignment`)."""
    scale, frames = alignment["scale"], f"output frame 0 is source frame {alignment['offset']:g}"
    parts = [frames if alignment["offset"] >= 0 else f"the source begins at output frame {-alignment['offset']:g}"]
    if alignment["rate"] != 1:
        parts.append(f"{alignment['rate']:.4g} source frames an output frame")
    if alignment["output_frames"] > alignment["source_frames"]:
        parts.append(f"after the source's end: {alignment['loop']}")
    parts.append(f"scale {scale[0]:.4g} x {scale[1]:.4g}")
    for side in ("source", "output"):
        box, whole = alignment[f"{side}_box"], [0, 0, *alignment[f"{side}_size"]]
        if box != whole:
            parts.append(f"{side} box {', '.join(f'{edge:g}' for edge in box)}")
    return f"aligned: {'; '.join(parts)} (confidence {alignment['confidence']:.2f})"


def region(about: dict, frames: int) -> str:
    """One line on the edited region (`Evaluation.region`) of an output of `frames` frames.

    Where nothing was edited, with what that rests on (`region_evidence`).
    """
    if about["kind"] == "none":
        return f"nothing was edited beyond the noise of the encode ({region_evidence(about)})"
    box = ", ".join(f"{edge:.0f}" for edge in about["box"])
    what = {"mask": "a shape with a soft edge", "rectangle": "a rectangle"}[about["kind"]]
    rest = "" if about["frames"] == frames else "; the others equal the source but for the encode"
    return f"edited: {what} in {about['frames']} of {frames} frames{rest}; x1, y1, x2, y2 = {box} (median)"


def region_evidence(about: dict) -> str:
    """What the edited region rests on, with the meaning of its numbers."""
    return (
        f"lines and edges differ by {about['redrawn']:.1%} in the face and {about['apart']:.1%} outside: the change of "
        "their detail as a share of it, so that 0% is the same, 100% other lines in their place, and 200% the same "
        f"with dark and light exchanged; brightness changed by {about['shift']:.1f} grey levels in the face, "
        f"{about['noise']:.1f} outside"
    )
