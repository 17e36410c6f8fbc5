"""Which part of a frame is on the screen, and how large."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lipsync_lab.geometry import Box

#: Longest width and height of the frame, in pixels of the screen.
STAGE = (608, 388)
#: Most screen pixels per frame pixel.
CLOSEST = 16.0
#: Screen pixels per frame pixel at or above which single pixels are shown as squares.
_SQUARES = 4.0


def stage_scale(size: tuple[int, int]) -> float:
    """Screen pixels per frame pixel, for a whole frame of that width and height; at most 2."""
    return min(2.0, STAGE[0] / size[0], STAGE[1] / size[1])


@dataclass(frozen=True)
class Viewport:
    """The part of a frame that is shown.

    Attributes
    ----------
    size : (width, height)
        Of the frame in pixels.
    scale : float
        Screen pixels per frame pixel.
    x, y : float
        Place in the frame, in pixels, of the screen's upper left corner.
    """

    size: tuple[int, int]
    scale: float
    x: float = 0.0
    y: float = 0.0

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Viewport:
        """The whole frame."""
        return cls(size, stage_scale(size))

    @property
    def screen(self) -> tuple[int, int]:
        """Width and height of the picture on the screen, whatever part is shown."""
        return round(self.size[0] * stage_scale(self.size)), round(self.size[1] * stage_scale(self.size))

    def zoomed(self, factor: float, at: tuple[float, float]) -> Viewport:
        """Enlarged by a factor around a place on the screen, which goes on showing the same place of the frame."""
        x, y = self.to_frame(*at)
        scale = min(max(self.scale * factor, stage_scale(self.size)), max(CLOSEST, self.scale))
        corner = (
            min(max(place - pointer / scale, 0.0), max(side - shown / scale, 0.0))
            for place, pointer, side, shown in zip((x, y), at, self.size, self.screen, strict=True)
        )
        return replace(self, scale=scale, **dict(zip("xy", corner, strict=True)))

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """The place in the frame under a place on the screen."""
        return x / self.scale + self.x, y / self.scale + self.y

    def to_screen(self, box: Box) -> Box:
        """A box of the frame in pixels of the screen."""
        return box.padded(self.y, -self.y, self.x, -self.x).scaled(self.scale, self.scale)

    def picture(self, image: np.ndarray) -> np.ndarray:
        """The shown part of an image, uint8 RGB (H, W, 3), as it is on the screen."""
        if self.scale == stage_scale(self.size):
            return resized(image, self.screen)
        import cv2

        # centres of pixels lie at halves
        move = np.array([[self.scale, 0, (0.5 - self.x) * self.scale - 0.5], [0, self.scale, 0]])
        move[1, 2] = (0.5 - self.y) * self.scale - 0.5
        how = cv2.INTER_NEAREST if self.scale >= _SQUARES else cv2.INTER_LINEAR
        return cv2.warpAffine(image, move, self.screen, flags=how, borderMode=cv2.BORDER_REPLICATE)


def resized(image: np.ndarray, size: tuple[int, int], squares: bool = False) -> np.ndarray:
    """An image, uint8 (H, W, 3), at that width and height; `squares` keeps single pixels visible."""
    import cv2

    enlarged = cv2.INTER_NEAREST if squares else cv2.INTER_CUBIC
    smaller = size[0] < image.shape[1]
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA if smaller else enlarged)
