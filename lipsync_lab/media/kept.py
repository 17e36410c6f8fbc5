"""Decoded pictures of a short clip, kept so that several readings of it decode it once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import av

    Timed: TypeAlias = tuple[Fraction, av.VideoFrame]

#: Bytes of pictures of a clip that are kept at most: 7 s at 1280 x 720 and 25 frames a second.
MOST = 256 * 1024 * 1024


class Kept:
    """The pictures of one clip from its first one on, as the decoder gives them; none of a clip that does not fit.

    Parameters
    ----------
    most : int
        Bytes.
    """

    def __init__(self, most: int = MOST):
        self._most = most
        self._pictures: list[Timed] = []
        self._is_whole = False

    def read(
        self, start: int, stop: int | None, slot: Callable[[Fraction], int], decode: Callable[[], Iterator[Timed]]
    ) -> Iterator[Timed]:
        """Times and pictures, from one that is shown at frame `start` or before, to one from frame `stop` on.

        Parameters
        ----------
        start, stop : int
            Frames; None for the end of the clip.
        slot : callable
            From a time to the frame from which a picture of that time is shown.
        decode : callable
            Decodes the pictures, where they are not all kept.
        """
        known = self._pictures
        if self._is_whole or (known and stop is not None and slot(known[-1][0]) >= stop):
            yield from known[max(0, bisect_right(known, start, key=lambda each: slot(each[0])) - 1) :]
            return
        new, room, is_whole = [], self._most if start == 0 else 0, False
        try:
            for time, picture in decode():
                room -= sum(plane.buffer_size for plane in picture.planes)
                if room >= 0:
                    new.append((time, picture))
                else:
                    new.clear()
                yield time, picture
            is_whole = room >= 0
        finally:
            if start == 0 and room < 0:
                self._most = 0
            if len(new) > len(known):
                self._pictures, self._is_whole = new, is_whole
