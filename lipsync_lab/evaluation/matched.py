"""Live action beside animation: bundled metrics of filmed clips and of animations that speak the same recordings.

``data/pairs/grid.csv`` holds the numbers, ``data/pairs/README.md`` says how `benchmarks/matched_pairs.py` makes them.
An offline report has its live action from them, with no pixel and no sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lipsync_lab import bundled as folders

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.evaluation.evaluated import EvaluatedCase

HOME = folders.folder("pairs")
COLUMNS = ("pair", "speaker", "character", "sentence", "metric", "animation", "live_action", "unit", "reason")


def bundled() -> pandas.DataFrame:
    """The bundled pairs.

    Returns
    -------
    DataFrame
        One row per pair and metric: pair (the sample that was filmed); speaker; character (its seed); sentence; metric;
        animation and live_action, the values of `Evaluation.metrics` for either clip (median over its frames, of a rate
        their mean, of a score its value), dubbed by the bundled models with one voice, NaN where undefined; unit;
        reason why a value is undefined, or what limits it, empty where nothing does.
    """
    import pandas as pd

    table = pd.read_csv(HOME / "grid.csv", keep_default_na=False, na_values={"animation": [""], "live_action": [""]})
    return table.astype({"animation": float, "live_action": float})


def of_pair(
    pair: str, speaker: str, character: int, sentence: str, animation: EvaluatedCase, live_action: EvaluatedCase
) -> list[tuple]:
    """The rows of a pair, in the order of `COLUMNS`."""
    sides = [side.evaluation.metrics.set_index("metric") for side in (animation, live_action)]
    out = []
    for metric in sides[0].index:
        first, second = (side.loc[metric] for side in sides)
        reason = "; ".join(dict.fromkeys(side["reason"] for side in (first, second) if side["reason"]))
        out.append((pair, speaker, character, sentence, metric, first["value"], second["value"], first["unit"], reason))
    return out


def text(rows: Sequence[tuple]) -> str:
    """The CSV file of rows, with six significant digits."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False, lineterminator="\n", float_format="%.6g")
