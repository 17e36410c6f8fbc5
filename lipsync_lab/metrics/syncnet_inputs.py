"""Inputs of the network behind LSE-D and LSE-C, as published: face crops and mel-frequency cepstral coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import spans
from lipsync_lab.media.audio import SAMPLE_RATE

#: Height and width of a crop, in pixels.
SIDE = 224
_CROP_SCALE, _MEDIAN, _GRAY = 0.40, 13, 110
#: Columns a second.
RATE = 100
#: Coefficients a column.
COUNT = 13
_LENGTH, _HOP, _FFT, _FILTERS = SAMPLE_RATE // 40, SAMPLE_RATE // RATE, 512, 26
_PREEMPHASIS, _LIFTER = 0.97, 22
_EPSILON = np.finfo(float).eps
#: Columns computed at a time, so that memory does not grow with the recording.
_BLOCK = 4096


def crop_places(boxes: np.ndarray, shots: Sequence[int] | None = None) -> np.ndarray:
    """Where each frame is cropped for LSE-D and LSE-C: `run_pipeline.py` of syncnet_python, without its two encodes.

    The box is made a square by its longer side and smoothed by a median over 13 frames, which does not reach over a cut
    or a missing face; fewer than 13 frames share one box.

    Parameters
    ----------
    boxes : ndarray, float, (N, 4)
        x1, y1, x2, y2 in pixels, one row per frame; NaN where there is no face.
    shots : sequence of int, optional
        Number of each frame's shot; one shot unless given.

    Returns
    -------
    ndarray, float64, (N, 3)
        Half a side, then x and y of the centre; NaN without a face.

    Raises
    ------
    ParameterError
        There are not as many shots as boxes.
    """
    boxes = np.asarray(boxes, float)
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    places = np.stack([half, (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2])
    if shots is not None and len(shots) != len(boxes):
        raise ParameterError(f"there are {len(boxes)} boxes and {len(shots)} shot numbers; give one of each a frame")
    for start, stop in spans(~np.isnan(boxes[:, 0]), shots):
        places[:, start:stop] = _smoothed(places[:, start:stop])
    return places.T


def crop_at(frame: np.ndarray, place: np.ndarray) -> np.ndarray | None:
    """The crop of one frame at a row of `crop_places`: uint8 RGB (224, 224, 3), or None where the row is NaN.

    It is wider than the box by 0.4 of half its side to the left, the right and, twice, below, and grey outside the
    frame.
    """
    import cv2

    half, x, y = place
    if np.isnan(half):
        return None
    rim = int(half * (1 + 2 * _CROP_SCALE))
    top, bottom = (int(y + rim + half * by) - rim for by in (-1, 1 + 2 * _CROP_SCALE))
    left, right = (int(x + rim + half * by) - rim for by in (-1 - _CROP_SCALE, 1 + _CROP_SCALE))
    height, width = frame.shape[:2]
    inside = frame[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not inside.size:
        raise ParameterError(f"a box of the LSE crops lies outside the frame's {width} x {height} pixels")
    rims = max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)
    face = cv2.copyMakeBorder(inside, *rims, cv2.BORDER_CONSTANT, value=(_GRAY,) * 3)
    return cv2.resize(face, (SIDE, SIDE))


def _smoothed(places: np.ndarray) -> np.ndarray:
    """Rows through the published median filter, which takes what lies beyond either end for zeros."""
    from scipy.signal import medfilt

    if places.shape[1] < _MEDIAN:
        return np.median(places, axis=1, keepdims=True)
    return np.stack([medfilt(row, _MEDIAN) for row in places])


def mfcc(wave: np.ndarray) -> np.ndarray:
    """Cepstral coefficients as `python_speech_features.mfcc` gives them for 16-bit sound at 16 kHz.

    Parameters
    ----------
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1].

    Returns
    -------
    ndarray, float64, (13, columns)
        100 columns a second; the first row is the logarithm of the energy.

    Raises
    ------
    ParameterError
        The waveform is not one-dimensional, or is empty.

    Notes
    -----
    Pre-emphasis over the whole wave, windows of 25 ms without taper, the power spectrum of 512 points, 26 triangular
    filters on whole bins from 0 to 8 kHz, the orthonormal cosine transform of their logarithms, and a sine lifter
    (Davis & Mermelstein 1980; the defaults of python_speech_features, unmaintained). The filters are on
    HTK's mel scale, and their feet are cut to whole bins, which librosa's are not.
    """
    from scipy.fft import dct

    wave = np.asarray(wave)
    if wave.ndim != 1 or not len(wave):
        raise ParameterError(f"a waveform has one dimension and at least one sample, not the shape {wave.shape}")
    signal = np.rint(wave.astype(float) * 32768).clip(-32768, 32767)
    signal = np.concatenate([signal[:1], signal[1:] - _PREEMPHASIS * signal[:-1]])
    columns = 1 + max(0, -(-(len(signal) - _LENGTH) // _HOP))
    signal = np.pad(signal, (0, (columns - 1) * _HOP + _LENGTH - len(signal)))
    pieces = np.lib.stride_tricks.sliding_window_view(signal, _LENGTH)[::_HOP]
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(COUNT) / _LIFTER)
    coefficients = np.empty((COUNT, columns))
    for first in range(0, columns, _BLOCK):
        power = np.abs(np.fft.rfft(pieces[first : first + _BLOCK], _FFT)) ** 2 / _FFT
        bands, energy = power @ _filters().T, power.sum(axis=1)
        # digital silence has no logarithm
        bands, energy = (np.where(x == 0, _EPSILON, x) for x in (bands, energy))
        cepstra = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :COUNT] * lifter
        cepstra[:, 0] = np.log(energy)
        coefficients[:, first : first + _BLOCK] = cepstra.T
    return coefficients


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """Triangles over the bins of the spectrum, (26, 257)."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _FILTERS + 2) / 2595) - 1)
    feet = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    low, top, high = feet[:-2, None], feet[1:-1, None], feet[2:, None]
    bins = np.arange(_FFT // 2 + 1)
    rising, falling = (bins - low) / (top - low), (high - bins) / (high - top)
    return np.where(bins < top, rising, falling).clip(0)
