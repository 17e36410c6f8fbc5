"""Several voices as one sound, against sums and resamplings that numpy and soxr make in one piece."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from lipsync_lab.media.audio import Sound
from lipsync_lab.media.mix import mixed


def sound(wave: np.ndarray, rate: int, block: int) -> Sound:
    wave = wave.astype(np.float32)
    return Sound(rate, wave.shape[1], [wave[first : first + block] for first in range(0, len(wave), block)])


def joined(given: Sound) -> np.ndarray:
    return np.concatenate(list(given.blocks))


@pytest.mark.parametrize("block", [1, 777, 100_000])
def test_the_mix_is_the_sum_as_long_as_the_longest(block):
    generator = np.random.default_rng(1)
    waves = [generator.uniform(-0.3, 0.3, (length, 2)) for length in (900, 2500, 1600)]
    mix = mixed([sound(wave, 1000, block) for wave in waves])
    expected = sum(np.pad(wave, ((0, 2500 - len(wave)), (0, 0))) for wave in waves)
    assert (mix.rate, mix.channels) == (1000, 2)
    np.testing.assert_allclose(joined(mix), expected, atol=1e-6)
    np.testing.assert_allclose(joined(mix), expected, atol=1e-6)  # it can be read again


def test_another_rate_is_resampled_and_another_number_of_channels_becomes_mono():
    time = np.arange(22_050) / 22_050
    slow, fast = np.sin(2 * np.pi * 440 * time)[:, None] * 0.4, np.zeros((44_100, 2))
    mix = mixed([sound(slow, 22_050, 1000), sound(fast, 44_100, 1000)])
    expected = soxr.resample(slow.astype(np.float32), 22_050, 44_100)
    assert (mix.rate, mix.channels) == (44_100, 1)
    assert abs(len(joined(mix)) - 44_100) <= 1
    np.testing.assert_allclose(joined(mix)[: len(expected)], expected, atol=1e-4)


def test_a_sum_beyond_full_scale_is_cut():
    loud = np.full((10, 1), 0.8)
    assert joined(mixed([sound(loud, 100, 3), sound(loud, 100, 4)])).max() == 1


def test_a_single_sound_is_handed_on():
    alone = sound(np.zeros((5, 1)), 100, 5)
    assert mixed([alone]) is alone
