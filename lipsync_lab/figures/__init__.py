"""Pictures of everything that is measured: ``(data, ax=None) -> Axes``, and nothing is shown or saved here.

Without `ax` a figure of a fitting shape is made, in the one style that all figures share (`lab.mplstyle`). The
colours are Okabe and Ito's ("Color Universal Design", 2008), which people with any kind of colour blindness can tell
apart; where a colour means something it means the same in every figure.
"""

from lipsync_lab.figures.artifacts import differences, distributions, failing, fault_matrix, gallery, mended
from lipsync_lab.figures.detection import causes, found_strips, miss_lengths, recall, searched
from lipsync_lab.figures.run import candidates, contact_sheet, coverage, mel, steps, timeline, triptych, waveform
from lipsync_lab.figures.style import DOMAIN_COLOURS, PROVENANCE_COLOURS, STYLE
from lipsync_lab.figures.sync import beside_nulls, cadence_strip, closures, mouth_durations, offset_curves, openness
from lipsync_lab.figures.training import training

__all__ = [
    "DOMAIN_COLOURS",
    "PROVENANCE_COLOURS",
    "STYLE",
    "beside_nulls",
    "cadence_strip",
    "candidates",
    "causes",
    "closures",
    "contact_sheet",
    "coverage",
    "differences",
    "distributions",
    "failing",
    "fault_matrix",
    "found_strips",
    "gallery",
    "mel",
    "mended",
    "miss_lengths",
    "mouth_durations",
    "offset_curves",
    "openness",
    "recall",
    "searched",
    "steps",
    "timeline",
    "training",
    "triptych",
    "waveform",
]
