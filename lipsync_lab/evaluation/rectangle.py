"""The rectangle of a picture with the largest sum."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Pixels of the cells of the first search, and pixels by which an edge may move from there.
CELL, REACH = 4, 8


def rectangle(evidence: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the rectangle with the largest sum of evidence, float32 (h, w).

    Over cells first (all pairs of their rows), then edge by edge.
    """
    height, width = (side // CELL for side in evidence.shape)
    cells = evidence[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL).sum(axis=(1, 3))
    below = np.vstack((np.zeros(width, np.float32), np.cumsum(cells, axis=0))).T.copy()
    top, bottom = _row_pairs(height + 1)
    # columns of the picture are rows here, so that all pairs of its rows are added up at once
    sums = np.zeros((width + 1, len(top)), np.float32)
    np.cumsum(below.take(bottom, axis=1) - below.take(top, axis=1), axis=0, out=sums[1:])
    # the best stretch of columns that ends at each column (Kadane)
    gains = sums[1:] - np.minimum.accumulate(sums, axis=0)[1:]
    pair = int(gains.max(axis=0).argmax())
    stop = int(gains[:, pair].argmax())
    start = int(sums[: stop + 1, pair].argmin())
    box = [start * CELL, int(top[pair]) * CELL, int(stop + 1) * CELL, int(bottom[pair]) * CELL]
    for edge in (*range(4), *range(4)):
        box[edge] = _moved_edge(evidence, box, edge)
    return tuple(box)


@lru_cache(maxsize=2)
def _row_pairs(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(rows, 1)


def _moved_edge(evidence: np.ndarray, box: list[int], edge: int) -> int:
    """Where an edge has to be, near where it is, for the largest sum inside."""
    x1, y1, x2, y2 = box
    low, high = max(0, box[edge] - REACH), min(evidence.shape[1 - edge % 2], box[edge] + REACH)
    if edge < 2:
        high = min(high, box[edge + 2] - 1)
    else:
        low = max(low, box[edge - 2] + 1)
    # an edge at the left takes out what is before it, one at the right takes it in
    profile = evidence[y1:y2, low:high].sum(axis=0) if edge % 2 == 0 else evidence[low:high, x1:x2].sum(axis=1)
    sums = np.zeros(len(profile) + 1, np.float32)
    np.cumsum(profile, out=sums[1:])
    return low + int(sums.argmin() if edge < 2 else sums.argmax())
