"""The parts of a frame that metrics use: the box with the generated mouth, the lips in it, the skin round them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box

#: The lips inside a face box, as shares of its width and height (x1, y1, x2, y2), where no ground truth is known: the
#: middle of the mouths of the synthetic clips. They lie in the lower half, which Wav2Lip's generator fills.
LIPS = (0.28, 0.62, 0.72, 0.88)
#: Margin round the lips, across and down, in widths of the lips: the generated mouth may be wider than the source's.
CLEAR = 0.2, 0.5

BOX = ("x1", "y1", "x2", "y2")


def boxes(table: pd.DataFrame, prefix: str = "") -> np.ndarray:
    """Boxes of a table, float64 (N, 4), NaN where there is none; `prefix` as in ``best_`` or ``face_``."""
    return table[[prefix + edge for edge in BOX]].to_numpy(float)


def generated(ledger: pd.DataFrame) -> np.ndarray:
    """The boxes with a generated mouth, float64 (N, 4); NaN in the other frames."""
    return np.where(ledger["mouth_generated"].to_numpy(bool)[:, None], boxes(ledger), np.nan)


def true_boxes(ground_truth: pd.DataFrame | None, frames: int, part: str) -> np.ndarray:
    """The boxes of a part ("face" or "mouth") in the first frames of the ground truth.

    Returns
    -------
    ndarray, float64, (frames, 4)
        Pixels; NaN where the part is absent, and throughout without ground truth.

    Raises
    ------
    ParameterError
        The ground truth has fewer rows than that.
    """
    if ground_truth is None:
        return np.full((frames, 4), np.nan)
    if len(ground_truth) < frames:
        raise ParameterError(
            f"the ground truth has {len(ground_truth)} rows for {frames} frames; give the ground truth of this clip"
        )
    return boxes(ground_truth.iloc[:frames], f"{part}_")


def mouths(ledger: pd.DataFrame, ground_truth: pd.DataFrame | None = None) -> np.ndarray:
    """The lips' box of every frame, float64 (N, 4): by the ground truth, else `LIPS` of the face's box, else NaN."""
    box, known = boxes(ledger), true_boxes(ground_truth, len(ledger), "mouth")
    corner, size = box[:, :2], box[:, 2:] - box[:, :2]
    expected = np.hstack((corner + size * LIPS[:2], corner + size * LIPS[2:]))
    return np.where(np.isnan(known).any(axis=1, keepdims=True), expected, known)


def aligned(pairs: Iterable, ledger: pd.DataFrame) -> Iterator[tuple[int, object]]:
    """Number each of `pairs` by its row of the ledger; one too many is an error, for it belongs to another run."""
    for row, pair in enumerate(pairs):
        if row == len(ledger):
            raise ParameterError(f"there are more frames than the {len(ledger)} of the ledger; give those of one run")
        yield row, pair


def inside(row: np.ndarray, shape: tuple[int, ...], across: float = 0.0, down: float = 0.0) -> Box | None:
    """A box in whole pixels cut to a frame, grown on each side by shares of its width; None without a pixel."""
    if np.isnan(row).any():
        return None
    box = Box(*row.tolist())
    x, y = across * box.width, down * box.width
    box = box.padded(y, y, x, x)
    box = Box(np.floor(box.x1), np.floor(box.y1), np.ceil(box.x2), np.ceil(box.y2)).clipped(shape[1], shape[0])
    return box if box.area >= 1 else None


def skin(shape: tuple[int, ...], box: Box, mouth: np.ndarray) -> np.ndarray:
    """The lower half of a box without the lips and without the edge, where a boundary step would be; bool (H, W)."""
    mask = np.zeros(shape[:2], bool)
    edge = max(3, round(0.05 * box.width))
    half = Box(box.x1 + edge, (box.y1 + box.y2) / 2, box.x2 - edge, box.y2 - edge)
    if half.area:
        mask[half.slices] = True
    lips = inside(mouth, shape, *CLEAR)
    if lips is not None:
        mask[lips.slices] = False
    return mask
