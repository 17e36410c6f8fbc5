"""The mouth locator on recorded clips whose mouths a person marked: errors by style, and what its confidence is worth.

The unit is a drawing: of the frames that show one drawing, the first one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from lipsync_lab.errors import MediaError
from lipsync_lab.generation.cel import locate
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.training.mouth_locator import RIGHT_CENTRE, RIGHT_WIDTH, errors, reliability

if TYPE_CHECKING:
    import pandas

BOX = ["x1", "y1", "x2", "y2"]
POINTS = [f"{point}_{axis}" for point in ("left", "right", "top", "bottom") for axis in "xy"]
#: Share of right poses among the accepted ones that the threshold of the confidence has to reach.
WANTED = 0.9


def read_marks(path: str | Path, repeated: bool = False) -> pandas.DataFrame:
    """Read marked mouths, a row per frame; ``data/study/README.md`` defines the columns.

    Parameters
    ----------
    path : path
    repeated : bool
        The second marks of some frames, in place of the first marks of all.

    Raises
    ------
    MediaError
        The file cannot be read, or lacks a column.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path)
        return table[table["pass"] == 1 + repeated][
            ["clip", "style", "frame", "drawing", *BOX, *POINTS, "visibility"]
        ].reset_index(drop=True)
    except (OSError, ValueError, KeyError) as error:
        raise MediaError(f"{path}: cannot be read as marked mouths ({error}); give data/study/mouths.csv") from None


def located(network: nn.Module, clips: Sequence[str | Path], marks: pandas.DataFrame) -> pandas.DataFrame:
    """Locate the marked mouths of those clips that are given.

    Returns
    -------
    pandas.DataFrame
        The marks of these clips with ``confidence``, ``named`` (visibility by the network), the errors ``centre``,
        ``width``, ``gap`` (in widths of the mouth) and ``angle`` (degrees), and ``right``.

    Raises
    ------
    MediaError
        None of the clips has marks.
    """
    import pandas as pd

    parts = []
    for path in map(Path, clips):
        rows = marks[marks["clip"] == path.stem]
        if rows.empty:
            continue
        wanted = set(rows["frame"])
        images = {frame.index: frame.image for frame in video.frames(path) if frame.index in wanted}
        boxes = [Box(*box) for box in rows[BOX].to_numpy(float)]
        poses = locate.locate([images[frame] for frame in rows["frame"]], boxes, network=network)
        points = np.array([[pose.left, pose.right, pose.top, pose.bottom] for pose in poses])
        wrong = np.asarray(errors(points, rows[POINTS].to_numpy(float).reshape(-1, 4, 2)))
        parts.append(
            rows.assign(
                confidence=[pose.confidence for pose in poses],
                named=[pose.visibility for pose in poses],
                **dict(zip(("centre", "width", "gap", "angle"), wrong.T, strict=True)),
                right=(wrong[:, 0] <= RIGHT_CENTRE) & (wrong[:, 1] <= RIGHT_WIDTH),
            )
        )
    if not parts:
        raise MediaError("none of these clips has marked mouths; give clips of data/study/mouths.csv")
    return pd.concat(parts, ignore_index=True)


def measure(network: nn.Module, clips: Sequence[str | Path], marks: pandas.DataFrame) -> dict[str, float]:
    """Measure the locator on marked mouths, one frame a drawing, for ``all`` and for each style; see `MEANINGS`.

    The threshold of the confidence is chosen on every second clip, by name, and reported on the others.
    """
    rows = located(network, clips, marks).drop_duplicates(["clip", "drawing"])
    numbers: dict[str, float] = {}
    for style in ("all", *sorted(rows["style"].unique())):
        of_style = rows if style == "all" else rows[rows["style"] == style]
        name = style.replace(" ", "_")
        numbers[f"{name}_n"] = len(of_style)
        for column in ("centre", "width", "gap", "angle"):
            numbers[f"{name}_{column}_median"] = float(of_style[column].median())
            numbers[f"{name}_{column}_p90"] = float(of_style[column].quantile(0.9))
        numbers[f"{name}_right"] = float(of_style["right"].mean())
        numbers[f"{name}_drawable"] = float(of_style["named"].isin(locate.DRAWABLE).mean())
    names = sorted(rows["clip"].unique())
    chosen, reported = (rows[rows["clip"].isin(names[start::2])] for start in (0, 1))
    threshold = threshold_for(chosen["confidence"].to_numpy(), chosen["right"].to_numpy())
    accepted = reported[reported["confidence"] >= threshold]
    return numbers | {
        "threshold": threshold,
        "accepted": len(accepted) / len(reported) if len(reported) else np.nan,
        "accepted_right": float(accepted["right"].mean()) if len(accepted) else np.nan,
        "rejected_right": float(reported.drop(accepted.index)["right"].mean()),
        "reported_n": len(reported),
        **reliability(rows["confidence"].to_numpy(), rows["right"].to_numpy()),
    }


def threshold_for(confidence: np.ndarray, right: np.ndarray, wanted: float = WANTED) -> float:
    """Return the lowest confidence at or above which the share of right poses is `wanted`; infinity if none is.

    All poses of at least that confidence count, so that one right pose at the top is not enough by chance: at least a
    tenth of the poses must be accepted.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    share = np.cumsum(np.asarray(right)[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero((share >= wanted) & (np.arange(1, len(order) + 1) >= len(order) / 10))
    return float(confidence[order[enough[-1]]]) if len(enough) else float("inf")
