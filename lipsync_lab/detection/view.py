"""How the frames that a detector saw came out of a clip: so that boxes can be carried to another view of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lipsync_lab.geometry import Box


@dataclass(frozen=True)
class View:
    """A clip's pictures, shrunk, then turned, then cropped: the order of the published script.

    Attributes
    ----------
    clip : (width, height)
        Pixels of the clip's pictures as they are shown, before any of it.
    resize_factor : int
    rotate : bool
        By 90 degrees clockwise.
    crop : (y1, y2, x1, x2)
        As in `settings.Settings`.
    """

    clip: tuple[int, int]
    resize_factor: int = 1
    rotate: bool = False
    crop: tuple[int, int, int, int] = (0, -1, 0, -1)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> View:
        """From what `as_dict` gave; raises TypeError or ValueError for anything else."""
        width, height = (int(side) for side in values["clip"])
        y1, y2, x1, x2 = (int(side) for side in values["crop"])
        factor = int(values["resize_factor"])
        if factor < 1 or min(width, height) < factor:
            raise ValueError(f"a view of {width} x {height} pixels, shrunk {factor} times, shows nothing")
        return cls((width, height), factor, bool(values["rotate"]), (y1, y2, x1, x2))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height of the frames before they are cropped."""
        width, height = (side // self.resize_factor for side in self.clip)
        return (height, width) if self.rotate else (width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return tuple(stop - start for start, stop in self._cut())

    @property
    def corner(self) -> tuple[int, int]:
        """x and y of the frames' upper left corner in the uncropped ones."""
        return tuple(start for start, _ in self._cut())

    def _cut(self) -> list[tuple[int, int]]:
        y1, y2, x1, x2 = self.crop
        # -1 is the far edge, any other negative number what it is to a slice
        pairs = zip(((x1, x2), (y1, y2)), self.whole, strict=True)
        return [slice(start, None if stop == -1 else stop).indices(side)[:2] for (start, stop), side in pairs]

    def _from_shares(self) -> np.ndarray:
        """Homogeneous 3 x 3 matrix to the frames' pixels, from places in the clip as shares of its sides."""
        width, height = (side // self.resize_factor for side in self.clip)
        place = np.diag([float(width), float(height), 1.0])
        if self.rotate:
            place = np.array([[0, -1, height], [1, 0, 0], [0, 0, 1]], float) @ place
        place[:2, 2] -= self.corner
        return place

    def carried(self, box: Box, other: View) -> Box:
        """A box of this view's frames in those of another view of the same picture, of whatever size it is there."""
        if other == self:
            return box
        corners = np.array([[box.x1, box.x2], [box.y1, box.y2], [1, 1]])
        x, y, _ = other._from_shares() @ np.linalg.inv(self._from_shares()) @ corners
        return Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
