"""Reports: clips are dubbed and evaluated, notebooks are executed by papermill, and one page links to all of it.

A report is a folder that needs no network: ``index.html``, the same as a short text in ``README.md``; ``table.csv``;
``clips.csv``; ``manifest.json``; and, in a folder per generator, ``runs/`` and ``pictures/`` with a folder per clip,
and ``notebooks/`` with each notebook as it was executed, and as HTML. A part that failed stays in it with its reason.

The command line and the notebooks use the names below; everything else is imported from its module.
"""

from lipsync_lab.reporting.build import CLIPS, VOICES, Report, report
from lipsync_lab.reporting.runs import box_to_show, dub_and_evaluate, frame_counts, frame_summary, frame_to_show
from lipsync_lab.reporting.text import banner, counts_or, draw, headed, table_or

__all__ = [
    "CLIPS",
    "VOICES",
    "Report",
    "banner",
    "box_to_show",
    "counts_or",
    "draw",
    "dub_and_evaluate",
    "frame_counts",
    "frame_summary",
    "frame_to_show",
    "headed",
    "report",
    "table_or",
]
