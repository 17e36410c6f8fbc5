"""Tables of failures for the explorer: a table of the user's own, and missed detections before any evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from lipsync_lab.errors import ParameterError
from lipsync_lab.metrics import failures

if TYPE_CHECKING:
    from lipsync_lab.geometry import FaceTrack

#: Columns that a table of failures must have.
FAILURES = ("kind", "first", "last", "worst", "severity", "evidence")


def missed_detections(track: FaceTrack) -> pd.DataFrame:
    """Missed detections of a track as a table of failures, worst first; see `metrics.failures.find`."""
    missed = (track.provenance == "missing").astype(float)
    return failures.find(pd.DataFrame({"shot": track.shots, "missed_detection": missed}))


def check(table: pd.DataFrame, frames: int) -> None:
    """Raise `ParameterError` unless a table has the columns `FAILURES` and stays within that many frames."""
    if absent := [name for name in FAILURES if name not in table]:
        raise ParameterError(f"a table of failures needs the columns {', '.join(absent)} too")
    beyond = table[(table[["first", "worst", "last"]] >= frames).any(axis=1)]
    if len(beyond):
        raise ParameterError(f"the failures reach to frame {beyond['last'].max()}, the clip has {frames} frames")
