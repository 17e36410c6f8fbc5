"""Several runs side by side: drawn against photographic, in matched pairs, and how sure the difference is.

It reads what `evaluation` wrote beside each run and runs no generator. Two clips are a matched pair where one is drawn,
the other photographic, and both are dubbed with the very same sound.
"""

from lipsync_lab.comparison import findings, mends
from lipsync_lab.comparison.examined import SIDES, Case, Examined, cases, examine, frames, pairs, pipeline_of
from lipsync_lab.comparison.intervals import UNITS, differences, failing, intervals
from lipsync_lab.comparison.looks import Example, examples, hardest, look, missed_by, recall
from lipsync_lab.comparison.tables import (
    by_eye,
    causes,
    closures,
    loudness,
    miss_runs,
    missed,
    mouths,
    opening_curves,
    overview,
    provenance,
    recorded,
    rhythm,
    scores,
    sync_curves,
)

__all__ = [
    "SIDES",
    "UNITS",
    "Case",
    "Example",
    "Examined",
    "by_eye",
    "cases",
    "causes",
    "closures",
    "differences",
    "examine",
    "examples",
    "failing",
    "findings",
    "frames",
    "hardest",
    "intervals",
    "look",
    "loudness",
    "mends",
    "miss_runs",
    "missed",
    "missed_by",
    "mouths",
    "opening_curves",
    "overview",
    "pairs",
    "pipeline_of",
    "provenance",
    "recall",
    "recorded",
    "rhythm",
    "scores",
    "sync_curves",
]
