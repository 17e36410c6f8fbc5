"""Where in a frame a measure looks: the box drawn on, the lips in it, the skin round them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box

#: Where the lips are in the box drawn on, as shares of its width and height (x1, y1, x2, y2), when no truth says
#: better: the middle of the mouths of made clips, drawn and photographic. It is within the lower half, which is what
#: Wav2Lip's generator is asked to fill.
LIPS = (0.28, 0.62, 0.72, 0.88)
#: What is kept clear round the lips, across and down, in widths of the lips: another mouth there may be a wider one.
CLEAR = 0.2, 0.5

BOX = ("x1", "y1", "x2", "y2")


def boxes(table: pd.DataFrame, prefix: str = "") -> np.ndarray:
    """Boxes of a ledger or truth, float64 (N, 4), NaN where there is none; `prefix` as in ``best_`` or ``face_``."""
    return table[[prefix + edge for edge in BOX]].to_numpy(float)


def drawn(ledger: pd.DataFrame) -> np.ndarray:
    """The boxes that something was drawn on, float64 (N, 4); NaN where nothing was."""
    return np.where(ledger["mouth_generated"].to_numpy(bool)[:, None], boxes(ledger), np.nan)


def mouths(ledger: pd.DataFrame, truth: pd.DataFrame | None = None) -> np.ndarray:
    """The lips' box of every frame.

    Parameters
    ----------
    ledger : DataFrame
        Of a run.
    truth : DataFrame, optional
        Columns of `synthesis.truth`, one row a frame, in the same order; where it has no mouth, the ledger's box is
        used.

    Returns
    -------
    ndarray, float64, (N, 4)
        Pixels; by the truth, else `LIPS` of the box. NaN where neither is known.
    """
    box = boxes(ledger)
    corner, size = box[:, :2], box[:, 2:] - box[:, :2]
    out = np.hstack((corner + size * LIPS[:2], corner + size * LIPS[2:]))
    if truth is not None:
        known = boxes(check_truth(truth, len(ledger)), "mouth_")
        out = np.where(np.isnan(known).any(axis=1, keepdims=True), out, known)
    return out


def check_truth(truth: pd.DataFrame, frames: int) -> pd.DataFrame:
    """The truth's first rows, as many as the ledger has."""
    if len(truth) < frames:
        raise ParameterError(f"the truth knows {len(truth)} frames, the ledger {frames}; give the truth of this clip")
    return truth.iloc[:frames]


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
    """The lower half of a box without the lips and without the edge, where a seam would be; bool (H, W)."""
    mask = np.zeros(shape[:2], bool)
    edge = max(3, round(0.05 * box.width))
    half = Box(box.x1 + edge, (box.y1 + box.y2) / 2, box.x2 - edge, box.y2 - edge)
    if half.area:
        mask[half.slices] = True
    lips = inside(mouth, shape, *CLEAR)
    if lips is not None:
        mask[lips.slices] = False
    return mask
