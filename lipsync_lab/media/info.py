"""What is known of a clip before its frames are read, and a frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

#: FFmpeg's number of primaries, or of a transfer function, that the file does not state.
UNKNOWN = 2
#: Transfer functions of HDR.
HDR = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a clip, from its header and its first picture.

    Attributes
    ----------
    path : Path
    width, height : int
        In pixels, as shown: after rotation.
    fps : Fraction
        Frames a second of the constant timeline that `frames` delivers. 25 for a still image.
    frames : int or None
        Number of frames that `frames` will deliver: an estimate from the header. None where the header has no length.
    duration : float or None
        Seconds from clip zero to the end of the picture, by the header.
    rotation : int
        Degrees, clockwise, by which the stored picture has been turned: 0, 90, 180 or 270.
    still : bool
        A single image (png, jpeg, webp, ...).
    has_sound : bool
    full_range : bool
        YCbCr that uses 0..255 and not 16..235. False for stills and RGB, for which the question does not arise.
    codec, pixel_format : str
        FFmpeg's names.
    tags : dict of str to str
        The container's own tags, names in lower case.
    pixel_aspect : Fraction
        Width of a pixel as shown, in heights of it; 1 for square pixels.
    colour_tags : (int, int)
        FFmpeg's numbers of primaries and transfer function; 2 for unknown. Frames are not converted from them.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    frames: int | None
    duration: float | None
    rotation: int
    still: bool
    has_sound: bool
    full_range: bool
    codec: str
    pixel_format: str
    tags: dict[str, str]
    pixel_aspect: Fraction = Fraction(1)
    colour_tags: tuple[int, int] = (UNKNOWN, UNKNOWN)


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of the constant timeline.

    Attributes
    ----------
    index : int
        From 0; shown from `index / fps` seconds after clip zero.
    time : Fraction
        Seconds from clip zero at which the file itself presents this picture.
    image : ndarray, uint8, (H, W, 3)
        RGB. The caller's own: no other frame shares its memory.
    """

    index: int
    time: Fraction
    image: np.ndarray
