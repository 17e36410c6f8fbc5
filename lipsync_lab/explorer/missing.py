"""Failures as a table: the one that was given, or what the track itself tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import FaceTrack

if TYPE_CHECKING:
    import pandas

#: Columns of a table of failures.
FAILURES = ("kind", "first", "last", "worst", "severity", "evidence")


def missing_stretches(track: FaceTrack) -> pandas.DataFrame:
    """Stretches of frames without a face, as a table of failures.

    Parameters
    ----------
    track : FaceTrack

    Returns
    -------
    DataFrame
        With the columns `FAILURES`. A stretch ends at a cut; its worst frame is the one whose best candidate scored
        least, and its severity the share of the clip that it takes.
    """
    import pandas as pd

    missing = track.provenance == "missing"
    key = np.where(missing, track.shots, -1)
    edges = np.flatnonzero(np.diff(key)) + 1
    rows = []
    for start, stop in zip([0, *edges], [*edges, len(key)], strict=True):
        if stop > start and missing[start]:
            scores = np.nan_to_num(track.scores[start:stop], nan=-1.0)
            best = scores.max()
            said = f"its best candidate scored {best:.2f}" if best >= 0 else "there was no candidate"
            frames = f"frame {start}" if stop - start == 1 else f"frames {start} to {stop - 1}"
            share = (stop - start) / len(track)
            worst = int(start + scores.argmin())
            rows.append(("missing", int(start), int(stop - 1), worst, share, f"no face in {frames}; {said}"))
    return pd.DataFrame(rows, columns=FAILURES)


def check(table: pandas.DataFrame, frames: int) -> None:
    if absent := [name for name in FAILURES if name not in table]:
        raise ParameterError(f"a table of failures needs the columns {', '.join(absent)} too")
    beyond = table[(table[["first", "worst", "last"]] >= frames).any(axis=1)]
    if len(beyond):
        raise ParameterError(f"the failures reach to frame {beyond['last'].max()}, the clip has {frames} frames")
