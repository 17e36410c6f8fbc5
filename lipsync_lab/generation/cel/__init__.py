"""The animation generator: mouths of a chart, drawn in the line and the colours of the clip."""

from __future__ import annotations

from pathlib import Path

from lipsync_lab.generation.base import register


@register("cel", names=("cel",))
def open_cel(name: str | Path, device: str = "cpu"):
    """`generator.Cel` with the bundled networks."""
    from lipsync_lab.generation.cel.generator import Cel

    return Cel.load(device)
