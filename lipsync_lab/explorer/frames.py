"""Any frame of a clip at once, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np

#: Bytes of decoded frames that are kept.
MOST_BYTES = 400_000_000
#: Frames decoded at a time: a step back then rarely decodes anew from the last key frame.
BLOCK = 16


class Frames:
    """Frames by number: decoded in blocks, the block that was asked for longest ago let go first.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` yields uint8 RGB frames, as `source.Source.read`.
    size : (width, height)
        Pixels of the frames.
    most_bytes : int
        Never more than this is kept, save one block, which shrinks to a single frame where frames are that large.
    """

    def __init__(
        self, read: Callable[[int, int], Iterator[np.ndarray]], size: tuple[int, int], most_bytes: int = MOST_BYTES
    ):
        one = 3 * size[0] * size[1]
        self._read = read
        self.block = max(1, min(BLOCK, most_bytes // (2 * one)))
        self._most = max(1, most_bytes // (self.block * one))
        self._blocks: OrderedDict[int, list[np.ndarray]] = OrderedDict()

    def __getitem__(self, number: int) -> np.ndarray:
        """The frame, uint8 RGB (H, W, 3); not to be written to."""
        place, within = divmod(number, self.block)
        if place not in self._blocks:
            while len(self._blocks) >= self._most:
                self._blocks.popitem(last=False)
            first = place * self.block
            self._blocks[place] = list(self._read(first, first + self.block))
        self._blocks.move_to_end(place)
        return self._blocks[place][within]

    @property
    def bytes(self) -> int:
        """Bytes of the frames that are kept at the moment."""
        return sum(frame.nbytes for block in self._blocks.values() for frame in block)
