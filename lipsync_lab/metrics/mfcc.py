"""Mel-frequency cepstral coefficients as the network behind LSE-D and LSE-C hears them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.media.audio import SAMPLE_RATE

#: Columns a second.
RATE = 100
#: Coefficients a column.
COUNT = 13
_LENGTH, _HOP, _FFT, _FILTERS = SAMPLE_RATE // 40, SAMPLE_RATE // RATE, 512, 26
_PREEMPHASIS, _LIFTER = 0.97, 22
_EPSILON = np.finfo(float).eps
#: Columns worked at a time, so that memory does not grow with the recording.
_BLOCK = 4096


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
    (Davis & Mermelstein 1980; the defaults of python_speech_features, which is no longer kept). The filters are on
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
    found = np.empty((COUNT, columns))
    for first in range(0, columns, _BLOCK):
        power = np.abs(np.fft.rfft(pieces[first : first + _BLOCK], _FFT)) ** 2 / _FFT
        bands, energy = power @ _filters().T, power.sum(axis=1)
        # digital silence has no logarithm
        bands, energy = (np.where(x == 0, _EPSILON, x) for x in (bands, energy))
        cepstra = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :COUNT] * lifter
        cepstra[:, 0] = np.log(energy)
        found[:, first : first + _BLOCK] = cepstra.T
    return found


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
