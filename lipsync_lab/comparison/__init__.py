"""Several runs side by side: animation compared with live action or a synthetic photo, in matched pairs.

The modules read what `evaluation` wrote beside each run and run no generator, except `mends`:

- `cases`: clips with their voices, domains and pairs, from names or from a clips table
- `examined`: a case with its run and its evaluation; matched pairs; the frames of all clips in one table
- `tables`, `intervals`, `looks`: tables, differences with their intervals, frames to show
- `mends`: the same clips dubbed again with one setting changed at a time
- `findings`: what the numbers say, in sentences
"""

from lipsync_lab.comparison import cases, examined, findings, intervals, looks, mends, tables

__all__ = ["cases", "examined", "findings", "intervals", "looks", "mends", "tables"]
