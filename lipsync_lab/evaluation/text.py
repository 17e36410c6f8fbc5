"""Sentences on an evaluation, for the command line and for pages."""

from __future__ import annotations


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
    """One line on the edited region (`Evaluation.region`) of an output of `frames` frames."""
    evidence = (
        f"lines and edges changed: {about['redrawn']:.1%} in the face, {about['apart']:.1%} outside; "
        f"brightness changed by {about['shift']:.1f} grey levels in the face, {about['noise']:.1f} outside"
    )
    if about["kind"] == "none":
        return f"nothing was edited beyond the noise of the encode ({evidence})"
    box = ", ".join(f"{edge:.0f}" for edge in about["box"])
    what = {"mask": "a shape with a soft edge", "rectangle": "a rectangle"}[about["kind"]]
    return f"edited: {what} in {about['frames']} of {frames} frames, x1, y1, x2, y2 = {box} (median; {evidence})"
