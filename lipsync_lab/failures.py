"""From a ledger of measures to labelled failures: what went wrong, from which frame to which, how badly, and by which
number.

A measure is a failure where it passes a bound. The bounds are this laboratory's working definitions: above what an
untouched clip shows after its encode, and below what a reader of the frame points at. They are here in one table, so
that they can be argued about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import spans

if TYPE_CHECKING:
    import pandas

COLUMNS = ("kind", "shot", "first", "last", "frames", "severity", "measure", "value", "worst", "evidence")


@dataclass(frozen=True)
class Kind:
    """One way to fail.

    Attributes
    ----------
    name : str
        What people call it.
    measure : str
        Column of `evaluation.Evaluation.frames`.
    bound : float
        The measure above which it is a failure.
    full : float
        The measure at which it cannot get worse to the eye: severity 1.
    says : str
        Evidence, with ``{value}`` for the measure at the worst frame and ``{frames}`` for the length.
    part : {"detection", "picture", "time"}
        Which part of the pipeline is to blame.
    """

    name: str
    measure: str
    bound: float
    full: float
    says: str
    part: str


#: Every kind of failure, in the order in which tables and pictures show them.
KINDS = (
    Kind("missed face", "missed", 0.5, 1.0, "no candidate was accepted in {frames} frames{cause}", "detection"),
    Kind("wrong face", "switch", 0.5, 1.0, "the box left the face of the frame before it", "detection"),
    Kind(
        *("trembling box", "drawn_jitter_centre", 0.02, 0.10),
        *("over a held drawing the box moves by {value:.1%} of its size", "detection"),
    ),
    Kind(
        *("mouth outside the box", "cropped", 0.02, 0.5),
        *("{value:.0%} of the true mouth lies outside of what is drawn on", "detection"),
    ),
    Kind("blurred mouth", "blur", 0.35, 1.0, "{value:.0%} of the source's sharpness is gone", "picture"),
    Kind(
        "visible seam",
        "seam",
        4.0,
        30.0,
        "across the border {value:.1f} grey levels more than in the source",
        "picture",
    ),
    Kind("shifted colour", "colour", 3.0, 15.0, "the skin is {value:.1f} CIEDE2000 from the source's", "picture"),
    Kind(
        "new colours",
        "new_colours",
        0.05,
        0.5,
        "{value:.0%} of the mouth in colours unknown to the source",
        "picture",
    ),
    Kind("lost lines", "lines", 0.25, 1.0, "{value:.0%} of the source's outlines are gone", "picture"),
    Kind("ghost of the old mouth", "ghost", 0.25, 1.0, "the source's mouth shows through: {value:.2f}", "picture"),
    Kind("flicker", "flicker", 2.0, 12.0, "{value:.1f} grey levels change while the source holds still", "picture"),
    Kind("changed outside the box", "outside", 2.0, 10.0, "{value:.1f} grey levels where nothing was drawn", "picture"),
    Kind("judged unreal", "unreal", 0.5, 1.0, "the judge gives it {value:.2f} less than the source", "picture"),
    Kind("mouth moves over a held drawing", "extra_mouth", 0.5, 1.0, "another mouth in {frames} held frames", "time"),
    Kind("out of sync", "sync", 0.75, 1.25, "the expert's distance is {value:.2f}", "time"),
)


def kind(name: str) -> Kind:
    """The kind of a name.

    Raises
    ------
    ParameterError
        There is none.
    """
    for one in KINDS:
        if one.name == name:
            return one
    raise ParameterError(f"unknown kind of failure {name!r}; known: {', '.join(one.name for one in KINDS)}")


def find(frames: pandas.DataFrame, gap: int = 2) -> pandas.DataFrame:
    """Labelled stretches, the worst first.

    Parameters
    ----------
    frames : DataFrame
        One row a frame, index ``frame``, with ``shot`` and columns of measures (`evaluation.Evaluation.frames`);
        kinds whose measure is absent are not looked for.
    gap : int
        Frames that may lie between two of a stretch; none reaches over a cut.

    Returns
    -------
    DataFrame
        The columns `COLUMNS`: ``kind``; ``shot``; ``first`` and ``last`` frame; ``frames`` of them that fail;
        ``severity``, the mean over those from the bound (0) to `Kind.full` (1); ``measure`` and its ``value`` in the
        ``worst`` frame; ``evidence``, a sentence. Sorted by severity times the root of the length, so that a long,
        slight failure and a short, bad one both come up.
    """
    import pandas as pd

    found = [row for one in KINDS if one.measure in frames for row in _stretches(frames, one, gap)]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    weight = table["severity"].astype(float) * np.sqrt(table["frames"].astype(float))
    order = np.lexsort((table["first"], -weight)) if len(table) else []
    return table.iloc[order].reset_index(drop=True)


def _stretches(frames: pandas.DataFrame, one: Kind, gap: int) -> Iterator[tuple]:
    values = frames[one.measure].to_numpy(float)
    numbers, shots = frames.index.to_numpy(), frames["shot"].to_numpy()
    failing = np.flatnonzero(np.nan_to_num(values, nan=-np.inf) > one.bound)
    apart = (np.diff(numbers[failing]) > gap + 1) | (np.diff(shots[failing]) != 0)
    group = np.concatenate([[0], np.cumsum(apart)])[: len(failing)]
    for start, stop in spans(np.ones(len(failing), bool), group):
        rows = failing[start:stop]
        degrees = ((values[rows] - one.bound) / (one.full - one.bound)).clip(0, 1)
        # in the middle of equals: a miss is as bad in its first frame as in any other
        equals = rows[values[rows] == values[rows].max()]
        worst = int(equals[len(equals) // 2])
        told = one.says.format(value=values[worst], frames=len(rows), cause=_cause(frames, rows))
        yield (
            *(one.name, int(shots[rows[0]]), int(numbers[rows[0]]), int(numbers[rows[-1]]), len(rows)),
            *(float(degrees.mean()), one.measure, float(values[worst]), int(numbers[worst]), told),
        )


def _cause(frames: pandas.DataFrame, rows: np.ndarray) -> str:
    """What most of the missed frames are put down to."""
    if "cause" not in frames:
        return ""
    count = frames["cause"].iloc[rows].value_counts()
    count = count[count.index != ""]
    return f", most of them: {count.index[0]}" if len(count) else ""


def summary(table: pandas.DataFrame, frames: int) -> pandas.DataFrame:
    """How much of a clip fails in which way.

    Parameters
    ----------
    table : DataFrame
        Of `find`.
    frames : int
        Of the clip.

    Returns
    -------
    DataFrame, index ``kind``
        In the order of `KINDS`, those that occur: ``stretches``, ``frames``, ``share`` of the clip's frames,
        ``severity`` (the worst stretch's), ``worst`` frame.
    """
    import pandas as pd

    rows = []
    for one in KINDS:
        some = table[table["kind"] == one.name]
        if len(some):
            bad = some.loc[some["severity"].astype(float).idxmax()]
            count = int(some["frames"].sum())
            rows.append((one.name, len(some), count, count / max(frames, 1), float(bad["severity"]), int(bad["worst"])))
    return pd.DataFrame(rows, columns=["kind", "stretches", "frames", "share", "severity", "worst"]).set_index("kind")
