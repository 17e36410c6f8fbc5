"""What the published S3FD did on ten real 2D clips: its boxes, recorded once, bundled without a picture.

The clips are those of the study that this project starts from; ``data/study/README.md`` says where the numbers are
from. They let the misses of the real detector be seen with no weights and no network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import bundled, samples
from lipsync_lab.errors import MediaError, ParameterError

if TYPE_CHECKING:
    import pandas

HOME = bundled.folder("study")
PATH = HOME / "s3fd_boxes.json"
#: What `benchmarks/study_pixels.py` measured on the same frames, and what a person sees in those that were missed.
PIXELS, SEEN = HOME / "pixels.csv", HOME / "seen.csv"

#: Over all 21 clips of the study whose video survives: frames in which S3FD found a face, and frames in all.
FOUND, FRAMES = 2240, 2841


def names() -> tuple[str, ...]:
    """The ten clips whose boxes are here, in the order of the alphabet."""
    return tuple(sorted(_read()))


def frames(clip: str | None = None) -> pandas.DataFrame:
    """What was found, one row a frame.

    Parameters
    ----------
    clip : str, optional
        One of `names`; None for all.

    Returns
    -------
    pandas.DataFrame
        ``clip``; ``frame``, from 0; ``time`` in seconds; ``found``, bool; ``x1`` to ``y2``, the box in pixels of the
        clip, NaN where nothing was found. A face is in every frame: what was not found was missed.

    Raises
    ------
    ParameterError
        No such clip.
    """
    import pandas as pd

    content = _read()
    if clip is not None and clip not in content:
        raise ParameterError(f"the study has no clip {clip!r}; it has {', '.join(names())}")
    tables = []
    for name in names() if clip is None else [clip]:
        boxes = np.array([box or [np.nan] * 4 for box in content[name]["boxes"]], float).reshape(-1, 4)
        number = np.arange(len(boxes))
        columns = {
            "clip": name,
            "frame": number,
            "time": np.round(number / float(samples.get(name).fps), 6),
            "found": ~np.isnan(boxes[:, 0]),
        }
        tables.append(pd.DataFrame(columns | dict(zip(("x1", "y1", "x2", "y2"), boxes.T, strict=True))))
    return pd.concat(tables, ignore_index=True)


def pixels(clip: str) -> pandas.DataFrame:
    """What the pixels of a clip's frames say, measured once.

    Parameters
    ----------
    clip : str
        One of `names`.

    Returns
    -------
    pandas.DataFrame, index ``frame``
        ``shot``, and the columns of `metrics.detection.pixels`.
    """
    table = _table(PIXELS)
    return table[table["clip"] == clip].drop(columns="clip").set_index("frame")


def seen() -> pandas.DataFrame:
    """What a person sees in the frames that were missed, a row a stretch: the middle frame of each was looked at.

    Returns
    -------
    pandas.DataFrame
        ``clip``; ``first`` and ``last`` frame; ``view`` (front, three-quarter, profile, from behind); ``what`` is
        unusual about the face, in words, empty where nothing is.
    """
    return _table(SEEN).fillna({"what": ""})


def _table(path: Path) -> pandas.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be read ({error}); restore it from the repository") from None


def _read() -> dict[str, dict]:
    try:
        return json.loads(PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(f"{PATH}: cannot be read ({error}); restore it from the repository") from None
