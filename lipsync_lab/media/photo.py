"""Photographs in HEIF containers (HEIC, AVIF), which phones write in tiles, turned, and with a thumbnail beside.

FFmpeg gives the tiles as so many videos, and leaves it to the caller to join them.
"""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from lipsync_lab import files
from lipsync_lab.errors import MediaError
from lipsync_lab.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image

#: Brands of files whose main picture is a still; those of sequences of pictures (hevc, avis, msf1) are videos.
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2"}
_AVIF = {b"avif"}
_SEQUENCES = {b"hevc", b"hevx", b"avis", b"msf1"}

#: Grey level behind transparent pixels: both black and white line art are visible on it.
GREY = 128


def coding(path: str | Path) -> str | None:
    """ "hevc" or "av1" for a photograph in a HEIF container; None for any other file, or none."""
    if files.kind(path):
        return None  # opening a pipe would wait
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as stream:
        start = stream.read(256)
        size = int.from_bytes(start[:4], "big")
        if start[4:8] != b"ftyp" or start[8:12] in _SEQUENCES:
            return None
        brands = {start[8:12], *(start[at : at + 4] for at in range(16, min(size, len(start)), 4))}
        if start[8:12] in _HEIC | _AVIF:
            return "av1" if brands & _AVIF else "hevc"
    return None


def read(path: str | Path, limits: Limits) -> np.ndarray:
    """The main picture of a photograph for which `coding` is not None: uint8 RGB, H x W x 3, upright.

    Transparent pixels are composited over mid grey (128).

    Raises
    ------
    MediaError
        The file is damaged, or has more pixels than the limit.
    """
    from PIL import ImageOps

    try:
        with warnings.catch_warnings(), open(path, "rb") as stream:
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; our own limit holds
            picture = _opened(path, stream)
            limits.check_pixels(path, *picture.size)
            picture = ImageOps.exif_transpose(picture)
            if picture.has_transparency_data:
                return over_grey(np.array(picture.convert("RGBA")))
            return np.array(picture.convert("RGB"))
    except (OSError, ValueError, RuntimeError, SyntaxError, EOFError) as error:
        raise MediaError(f"{path}: not readable as a picture ({error}); is it complete? export it as JPEG") from error


def over_grey(image: np.ndarray) -> np.ndarray:
    """An RGBA picture, uint8 (H, W, 4), over mid grey (128): uint8 (H, W, 3)."""
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + GREY * (255 - alpha) + 127) // 255).astype(np.uint8)


def _opened(path: str | Path, stream: BinaryIO) -> Image:
    from PIL import Image

    if coding(path) == "hevc":
        import pi_heif

        pi_heif.register_heif_opener()
    try:
        return Image.open(stream)
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: more pixels than Pillow opens ({error}); scale it down") from error
