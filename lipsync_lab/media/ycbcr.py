"""From RGB to the YCbCr of H.264, in less time than swscale's exact way takes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Weights of red and blue in luma.
_BT709, _BT601 = (0.2126, 0.0722), (0.299, 0.114)


@lru_cache(maxsize=4)
def _matrices(is_bt709: bool, full_range: bool) -> tuple[list[float], np.ndarray]:
    """Weights of red, green, blue and 1 in luma; and of the same in Cb and Cr, float32 (2, 4)."""
    red, blue = _BT709 if is_bt709 else _BT601
    weights = np.array([red, 1 - red - blue, blue])
    luma, chroma, offset = (255, 255, 0) if full_range else (219, 224, 16)
    y = [*(weights * luma / 255).tolist(), float(offset)]
    cb, cr = (
        [*((np.eye(3)[channel] - weights) / (1 - weights[channel]) / 2 * chroma / 255).tolist(), 128.0]
        for channel in (2, 0)
    )
    return y, np.array([cb, cr], np.float32)


def yuv420(image: np.ndarray, is_bt709: bool, full_range: bool) -> np.ndarray:
    """The planes of a picture, one below the other as in FFmpeg's yuv420p.

    Parameters
    ----------
    image : ndarray, uint8, (H, W, 3)
        RGB, with even sides. Chroma is that of the mean of two by two pixels.
    is_bt709, full_range : bool
        The matrix, else BT.601; and the range, else 16..235.

    Returns
    -------
    ndarray, uint8, (H * 3 / 2, W)
        Rounded: within one level of swscale's exact result.
    """
    import cv2

    height, width = image.shape[:2]
    (red, green, blue, offset), chroma = _matrices(is_bt709, full_range)
    out = np.empty((height * 3 // 2, width), np.uint8)
    r, g, b = cv2.split(image)
    both = cv2.addWeighted(r, red, g, green, offset, dtype=cv2.CV_32F)
    cv2.addWeighted(both, 1, b, blue, 0, dst=out[:height], dtype=cv2.CV_8U)
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    planes = out[height:].reshape(2, height // 2, width // 2)
    planes[0], planes[1] = cv2.split(cv2.transform(half, chroma))
    return out
