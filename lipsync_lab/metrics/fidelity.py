"""SSIM and PSNR between source and output, inside and outside of the box with the generated mouth.

They are reported beside the metrics of `artifacts`, since papers report them, and never fail: both average over a
region, so that a local artifact hardly moves them (Electronics 14(17) 3487, 2025), and a mouth that says something else
differs from the source's without being wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.registry import Metric

if TYPE_CHECKING:
    from lipsync_lab.metrics.collect import ClipData

#: Side of the window in pixels, and its pixels.
_WINDOW, _N = 7, 49
#: The constants of Wang et al. 2004 for grey levels of 0 to 255, as they stand beside products of a window's sums.
_C1, _C2 = np.float32(_N**2 * (0.01 * 255) ** 2), np.float32(_N * (_N - 1) * (0.03 * 255) ** 2)
#: Rows at a time, whose arrays fit a cache.
_ROWS = 64
#: Pixels round the box that count neither as inside nor as outside: an encoder carries a change over by up to a block.
_RIM = 8


class Fidelity(NamedTuple):
    """SSIM (-1 to 1) and PSNR (dB) of a frame pair; NaN where a region is empty, PSNR also without a difference."""

    ssim_inside: float
    ssim_outside: float
    psnr_inside: float
    psnr_outside: float


def ssim_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of the window round each pixel.

    The uniform window of 7 x 7 pixels and the unbiased variance are the defaults of
    `skimage.metrics.structural_similarity`, whose map this one equals. The sums of a window are whole numbers, so that
    nothing cancels: with their sums a and b of the two pictures, s of the squared difference and p of the product,
    49 p - a b is the covariance, and 49 s - (a - b)^2 the variance of the difference, of 49 x 48 times the size.

    Parameters
    ----------
    first, second : ndarray, uint8, (H, W)
        Luma.

    Returns
    -------
    ndarray, float32, (H, W)
        -1 to 1.
    """
    out, margin = np.empty(first.shape, np.float32), _WINDOW // 2
    for start in range(0, len(out), _ROWS):
        stop, above = min(len(out), start + _ROWS), max(0, start - margin)
        rows = slice(above, stop + margin)
        out[start:stop] = _ssim_rows(first[rows], second[rows])[start - above : stop - above]
    return out


def _ssim_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = _sums_round(first), _sums_round(second)
    apart = cv2.absdiff(first, second)
    covariance = _sums_round(np.multiply(first, second, dtype=np.uint16))
    variance = _sums_round(np.multiply(apart, apart, dtype=np.uint16))
    product = a * b
    a -= b
    a *= a
    covariance *= _N
    covariance -= product
    variance *= _N
    variance -= a
    # of either pair of factors the second is the first and what the pictures differ by
    means, spread = product.astype(np.float32), covariance.astype(np.float32)
    means *= 2
    means += _C1
    spread *= 2
    spread += _C2
    similar = means * spread
    means += a.astype(np.float32)
    spread += variance.astype(np.float32)
    means *= spread
    similar /= means
    return similar


def _sums_round(values: np.ndarray) -> np.ndarray:
    """Sum of the window round each pixel, int32."""
    return cv2.boxFilter(values, cv2.CV_32S, (_WINDOW, _WINDOW), normalize=False, borderType=cv2.BORDER_REFLECT)


def fidelity(pair: FramePair) -> Fidelity:
    """SSIM of luma and PSNR of the colours, inside the box and outside of it."""
    similar, change = ssim_map(pair.source_grey, pair.output_grey), pair.difference
    whole = _sums(similar, change)
    if pair.box is None:
        return Fidelity(np.nan, whole[0] / whole[2], np.nan, _decibels(whole[1] / whole[2]))
    inside = _sums(similar[pair.box.slices], change[pair.box.slices])
    reached = pair.box.padded(*[_RIM] * 4).clipped(similar.shape[1], similar.shape[0])
    outside = np.subtract(whole, _sums(similar[reached.slices], change[reached.slices]))
    ratios = [sums[:2] / sums[2] if sums[2] else (np.nan, np.nan) for sums in (np.array(inside), outside)]
    return Fidelity(ratios[0][0], ratios[1][0], _decibels(ratios[0][1]), _decibels(ratios[1][1]))


def _sums(similar: np.ndarray, change: np.ndarray) -> tuple[float, float, int]:
    """Sum of the similarity, sum of the squared error (mean of the channels), and number of pixels."""
    return float(cv2.sumElems(similar)[0]), cv2.norm(change, cv2.NORM_L2SQR) / 3, similar.size


def _decibels(squared_error: float) -> float:
    # what is left of a sum of zeros is less than a millionth
    return float(10 * np.log10(255**2 / squared_error)) if squared_error > 1e-6 else np.nan


def _column(name: str):
    def of_clip(clip: ClipData) -> list[float]:
        return [getattr(row, name) for row in clip.collected["ssim_inside"]]

    return of_clip


METRICS = (
    Metric(
        *("ssim_inside", "SSIM", "picture"),
        direction=-1,
        untouched=1.0,
        of_pair=fidelity,
        of_clip=_column("ssim_inside"),
        definition="Structural similarity of source and output inside the box, on luma with a window of 7 x 7",
    ),
    Metric(
        *("ssim_outside", "SSIM", "picture"),
        direction=-1,
        untouched=1.0,
        of_clip=_column("ssim_outside"),
        requires="a pixel outside of the box",
        definition="Structural similarity of source and output outside of the box, on luma with a window of 7 x 7",
    ),
    Metric(
        *("psnr_inside", "dB", "picture"),
        direction=-1,
        untouched=float("nan"),
        of_clip=_column("psnr_inside"),
        requires="a generated mouth and a difference from the source",
        definition="Peak signal-to-noise ratio of the output against the source inside the box",
    ),
    Metric(
        *("psnr_outside", "dB", "picture"),
        direction=-1,
        untouched=float("nan"),
        of_clip=_column("psnr_outside"),
        requires="a difference from the source outside of the box",
        definition="Peak signal-to-noise ratio of the output against the source outside of the box",
    ),
)
