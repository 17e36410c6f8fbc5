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
    moved = (
        f"{about['redrawn']:.1%} of the detail has another shape, {about['apart']:.1%} outside; "
        f"means of cells moved by {about['shift']:.1f} grey levels, {about['noise']:.1f} outside"
    )
    if about["kind"] == "none":
        return f"nothing was edited beyond the noise of the encode ({moved})"
    box = ", ".join(f"{edge:.0f}" for edge in about["box"])
    return f"edited region: {about['kind']} in {about['frames']} of {frames} frames, median box {box} ({moved})"
