"""SSIM and PSNR, against scikit-image and plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import metrics as reference

from lipsync_lab.metrics import fidelity, registry
from lipsync_lab.metrics.pairs import FramePair

BOX = (20, 12, 60, 52)


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture with an edge, and the same with noise in a box and less of it outside."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:72, 0:96]
    source = np.stack([60 + x, 200 - y, 120 + 60 * (x > 40)], axis=2).astype(np.uint8)
    noise = rng.normal(0, 2, source.shape)
    noise[12:52, 20:60] *= 10
    return source, np.clip(source + noise, 0, 255).astype(np.uint8)


def measured(source, output, box=BOX) -> fidelity.Fidelity:
    return fidelity.fidelity(FramePair(0, source, output, np.array(box, float), np.full(4, np.nan)))


def test_the_map_is_that_of_scikit_image():
    rng = np.random.default_rng(1)
    for low, high in ((0, 256), (100, 104), (0, 2)):
        # more rows than are worked at a time
        first, second = rng.integers(low, high, (2, 2 * fidelity._ROWS + 5, 50), np.uint8)
        wanted = reference.structural_similarity(first, second, full=True)[1]
        assert fidelity.ssim_map(first, second) == pytest.approx(wanted, abs=1e-6)


def test_inside_and_outside_are_means_of_the_map_and_of_the_squared_error():
    source, output = pictures()
    values = measured(source, output)
    grey = [
        FramePair(0, image, image, np.full(4, np.nan), np.full(4, np.nan)).source_grey for image in (source, output)
    ]
    similar = reference.structural_similarity(*grey, full=True)[1]
    outside = np.ones(similar.shape, bool)
    outside[12 - 8 : 52 + 8, 20 - 8 : 60 + 8] = False
    assert values.ssim_inside == pytest.approx(similar[12:52, 20:60].mean(), abs=1e-4)
    assert values.ssim_outside == pytest.approx(similar[outside].mean(), abs=1e-4)
    cut = (slice(12, 52), slice(20, 60))
    assert values.psnr_inside == pytest.approx(
        reference.peak_signal_noise_ratio(source[cut], output[cut], data_range=255), abs=1e-3
    )
    assert values.psnr_outside == pytest.approx(
        reference.peak_signal_noise_ratio(source[outside], output[outside], data_range=255), abs=1e-3
    )
    assert values.psnr_inside < values.psnr_outside - 10


def test_without_a_box_the_whole_frame_is_outside():
    source, output = pictures()
    values = measured(source, output, [np.nan] * 4)
    assert np.isnan(values.ssim_inside)
    assert np.isnan(values.psnr_inside)
    assert values.psnr_outside == pytest.approx(reference.peak_signal_noise_ratio(source, output), abs=1e-3)


def test_a_box_as_large_as_the_frame_has_no_outside():
    source, output = pictures()
    values = measured(source, output, (0, 0, 96, 72))
    assert np.isnan(values.ssim_outside)
    assert values.psnr_inside == pytest.approx(reference.peak_signal_noise_ratio(source, output), abs=1e-3)


def test_equal_pictures_have_ssim_1_and_no_psnr():
    source, _ = pictures()
    values = measured(source, source)
    assert values[:2] == pytest.approx((1, 1), abs=1e-6)
    assert np.isnan(values[2:]).all()


def test_what_is_reported_never_fails():
    metrics = [metric for metric in registry.metrics() if metric.name.startswith(("ssim_", "psnr_"))]
    assert [metric.name for metric in metrics] == list(fidelity.Fidelity._fields)
    assert not any(metric.failure or metric.beyond(np.array([-1.0, 0.0, 0.5, 99.0])).any() for metric in metrics)
