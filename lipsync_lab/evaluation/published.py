"""Published models: 28 outputs that lip-sync models made with their published weights.

``data/published`` holds the addresses of the videos; its README says where they come from.

The unit is the footage that a model was given, not the output: three outputs of one source count once, by their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lipsync_lab import bundled

if TYPE_CHECKING:
    import pandas

HOME = bundled.folder("published")
#: How the picture of a source was made -> the domain it counts to; airbrushed portraits count to none.
KINDS = {
    "line drawing": "animation",
    "painting": "animation",
    "3D": "animation",
    "airbrushed": "",
    "filmed": "live_action",
    "synthetic photo": "synthetic_photo",
}


def pairs() -> pandas.DataFrame:
    """The pairs of a source and an output.

    Returns
    -------
    DataFrame
        One row a pair, in a fixed order: ``pair``, its name; ``footage``, the name of what was dubbed, which several
        pairs may share; ``model``; ``gan``, whether its weights were trained with a discriminator ("yes", "no", empty
        where unknown); ``restoration`` applied afterwards; ``model_stated`` and ``how_known``, the model as its
        repository gives it; ``kind``, one of `KINDS`, and its ``domain``, one of
        `samples.CLIP_DOMAINS` or empty; ``about``; ``motion`` ("still", "moving"); ``source`` and
        ``output``, names for `samples.path`; ``repository``, ``commit``, ``path`` of the output; ``licence``;
        ``by_eye``, what one person noted on looking at the output.
    """
    return _table("pairs")


def _table(name: str, numbers: tuple[str, ...] = ()) -> pandas.DataFrame:
    import pandas as pd

    texts = {"reason": str, "loop": str, "region": str, "gan": str, "restoration": str, "domain": str, "unit": str}
    table = pd.read_csv(HOME / f"{name}.csv", encoding="utf-8")
    table = table.fillna({column: "" for column in texts if column in table})
    return table.astype({column: float for column in numbers})
