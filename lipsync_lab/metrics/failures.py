"""From a table of metrics to labelled failures: kind, frames, severity and evidence.

A frame fails where a metric is beyond its threshold. Thresholds are working definitions: above the values of an
untouched clip after its encode, below those that a viewer objects to. They are part of the declaration of the metric
(`metrics.registry`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import spans
from lipsync_lab.metrics import registry

if TYPE_CHECKING:
    import pandas

COLUMNS = ("kind", "shot", "first", "last", "frames", "severity", "metric", "value", "worst", "evidence")


def kinds() -> tuple[registry.Metric, ...]:
    """Every metric that has a kind of failure, in the order in which tables and figures show them; also `KINDS`."""
    return tuple(metric for metric in registry.metrics() if metric.failure)


def __getattr__(name: str) -> Any:
    if name == "KINDS":
        return kinds()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def kind(name: str) -> registry.Metric:
    """The metric whose kind of failure has a name.

    Raises
    ------
    ParameterError
        There is none.
    """
    for known in kinds():
        if known.failure == name:
            return known
    raise ParameterError(f"unknown kind of failure {name!r}; known: {', '.join(known.failure for known in kinds())}")


def find(frames: pandas.DataFrame, gap: int = 2) -> pandas.DataFrame:
    """Runs of failing frames, the worst first.

    Parameters
    ----------
    frames : DataFrame
        One row per frame, index ``frame``, with ``shot`` and columns of metrics (`evaluation.Evaluation.frames`);
        kinds whose metric is absent are left out.
    gap : int
        Frames that may lie between two failing frames of a run; no run reaches over a cut.

    Returns
    -------
    DataFrame
        The columns `COLUMNS`: ``kind``; ``shot``; ``first`` and ``last`` frame; ``frames`` of them that fail;
        ``severity``, the mean over those from the threshold (0) to the saturation of its metric (1); ``metric`` and its
        ``value`` in the ``worst`` frame; ``evidence``, a sentence. Sorted by severity times the root of the length.
    """
    import pandas as pd

    rows = [row for kind in kinds() if kind.name in frames for row in _runs(frames, kind, gap)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    weight = table["severity"].astype(float) * np.sqrt(table["frames"].astype(float))
    order = np.lexsort((table["first"], -weight)) if len(table) else []
    return table.iloc[order].reset_index(drop=True)


def _runs(frames: pandas.DataFrame, kind: registry.Metric, gap: int) -> Iterator[tuple]:
    values = frames[kind.name].to_numpy(float)
    numbers, shots = frames.index.to_numpy(), frames["shot"].to_numpy()
    excess = np.nan_to_num(kind.direction * (values - kind.threshold), nan=-np.inf)
    failing = np.flatnonzero(excess > 0)
    apart = (np.diff(numbers[failing]) > gap + 1) | (np.diff(shots[failing]) != 0)
    group = np.concatenate([[0], np.cumsum(apart)])[: len(failing)]
    for start, stop in spans(np.ones(len(failing), bool), group):
        rows = failing[start:stop]
        degrees = ((values[rows] - kind.threshold) / (kind.saturation - kind.threshold)).clip(0, 1)
        # of equal frames the middle one
        equals = rows[excess[rows] == excess[rows].max()]
        worst = int(equals[len(equals) // 2])
        count = {"frames": len(rows), "s": "s" * (len(rows) != 1)}
        evidence = kind.message.format(value=values[worst], **count, cause=_cause(frames, rows))
        yield (
            *(kind.failure, int(shots[rows[0]]), int(numbers[rows[0]]), int(numbers[rows[-1]]), len(rows)),
            *(float(degrees.mean()), kind.name, float(values[worst]), int(numbers[worst]), evidence),
        )


def _cause(frames: pandas.DataFrame, rows: np.ndarray) -> str:
    """The most frequent cause of the missed frames, in parentheses."""
    causes = frames["cause"].iloc[rows].replace("", np.nan).value_counts() if "cause" in frames else ()
    return f" (most frequent cause: {causes.index[0].replace('unexplained', 'unknown')})" if len(causes) else ""
