"""The closing lines of `dub` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab.geometry import spans

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.runs import Run


def lines(run: Run, outfile: Path) -> list[str]:
    """One line on frames, and one on dropouts that were too long to be filled."""
    info, ledger = run.info, run.ledger()
    counts = ledger["provenance"].value_counts()
    kinds = [f"{number} {kind}{', passed through unchanged' * (kind == 'missing')}" for kind, number in counts.items()]
    used, there = len(ledger), info["face"]["frames_of_the_clip"]
    part = f"all {used}" if used == there else f"the first {used}{f' of {there}' if there else ''}"
    whole = "one frame" if used == 1 else f"{part} frames"
    out = [f"{outfile}: {info['frames_written']} frames written, from {whole} of the clip: {'; '.join(kinds)}"]
    settings, limit = info["settings"], info["settings"]["max_dropout"]
    if settings["dropouts"] in ("hold", "interpolate"):
        missing = (ledger["provenance"] == "missing").to_numpy()
        lengths = [end - start for start, end in spans(missing, ledger["shot"].to_numpy())]
        long = [length for length in lengths if length > limit]
        if long:
            dropouts = "1 dropout" if len(long) == 1 else f"{len(long)} dropouts"
            length = f"{min(long)}" if min(long) == max(long) else f"{min(long)} to {max(long)}"
            was = "was" if len(long) == 1 else "were"
            out.append(f"{dropouts} of {length} frames {was} too long to be filled: --max-dropout {limit} is the limit")
    return out


def table(metrics: pandas.DataFrame) -> list[str]:
    """The metrics as lines of text: value, unit and failing frames, or the reason why there is no value."""
    width, units = (max(map(len, metrics[column]), default=0) for column in ("metric", "unit"))
    lines = []
    for row in metrics.itertuples():
        measured = (
            f"{row.value:10.4g} {row.unit:{units}} n={row.n_frames}" if not row.reason else f"{'-':>10} {row.reason}"
        )
        failed = f", {row.failed} beyond {row.threshold:g}" if row.threshold == row.threshold and not row.reason else ""
        lines.append(f"{row.metric:{width}} {measured}{failed}".rstrip())
    return lines
