"""The typeface of the explorer's pictures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from matplotlib import get_data_path
from PIL import ImageFont


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The typeface of the figures, which comes with matplotlib."""
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
