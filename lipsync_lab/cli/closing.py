"""The lines that a run closes with: what was written, and what became of the clip's frames."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.runs import Run


def lines(run: Run, outfile: Path) -> list[str]:
    """One line on frames, and one on gaps that were too long to be filled."""
    info, ledger = run.info, run.ledger()
    counts = ledger["provenance"].value_counts()
    said = [f"{number} {kind}{', passed through untouched' * (kind == 'missing')}" for kind, number in counts.items()]
    used, there = len(ledger), info["face"]["frames_of_the_clip"]
    part = f"all {used}" if used == there else f"the first {used}{f' of {there}' if there else ''}"
    whole = "one frame" if used == 1 else f"{part} frames"
    out = [f"{outfile}: {info['frames_written']} frames written, from {whole} of the clip: {'; '.join(said)}"]
    settings = info["settings"]
    if settings["gap"] in ("hold", "interpolate"):
        gaps = [length for length in gap_lengths(ledger) if length > settings["longest_gap"]]
        if gaps:
            number = "1 gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
            length = f"{min(gaps)}" if min(gaps) == max(gaps) else f"{min(gaps)} to {max(gaps)}"
            was = "was" if len(gaps) == 1 else "were"
            limit = settings["longest_gap"]
            out.append(f"{number} of {length} frames {was} too long to be filled: --longest-gap {limit} is the limit")
    return out


def gap_lengths(ledger: pandas.DataFrame) -> list[int]:
    """Frames of every stretch without a box, within a shot."""
    stretches = groupby(zip(ledger["provenance"], ledger["shot"], strict=True))
    return [len(list(frames)) for (kind, _), frames in stretches if kind == "missing"]
