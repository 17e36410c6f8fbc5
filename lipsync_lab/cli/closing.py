"""The closing lines of `dub` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab.geometry import spans

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.runs import Run


def lines(run: Run, outfile: Path) -> list[str]:
    """A line on frames, one on what `auto` decided, and one on dropouts that were too long to be filled."""
    info, ledger = run.info, run.ledger()
    counts = ledger["provenance"].value_counts()
    kinds = [f"{number} {kind}{', passed through unchanged' * (kind == 'missing')}" for kind, number in counts.items()]
    used, there = len(ledger), info["clip"]["frames_of_the_clip"]
    part = f"all {used}" if used == there else f"the first {used}{f' of {there}' if there else ''}"
    whole = "one frame" if used == 1 else f"{part} frames"
    out = [f"{outfile}: {info['frames_written']} frames written, from {whole} of the clip: {'; '.join(kinds)}"]
    if decided := info.get("decisions"):
        out.append(decided["summary"])
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
    """`Evaluation.metrics` as lines of text in columns; then, by reason, what has a limited value or none."""
    rows = [("metric", "value", "unit", "frames", "failed", "threshold")]
    measured = metrics["value"].notna()
    for row in metrics[measured].itertuples():
        failed = (str(row.failed), f"{row.threshold:g}") if row.threshold == row.threshold else ("-", "-")
        rows.append((row.metric, f"{row.value:.4g}", row.unit, str(row.n_frames), *failed))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for start, rest in (("note", metrics[measured & (metrics["reason"] != "")]), ("not measured", metrics[~measured])):
        for reason, those in rest.groupby("reason", sort=False):
            lines.append(f"{start} ({reason}): {', '.join(those['metric'])}")
    return lines


def metric_list() -> list[str]:
    """Name, unit, threshold and meaning of every metric, a line each, by stage."""
    from lipsync_lab.metrics import registry

    lines = []
    for metric in registry.metrics():
        limit = f"fails {'above' if metric.direction > 0 else 'below'} {metric.threshold:g}" if metric.failure else "-"
        lines.append((metric.name, metric.unit, limit, registry.definition(metric)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
