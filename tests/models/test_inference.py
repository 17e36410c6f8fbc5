"""Networks made ready give what the plain ones give, up to rounding; batches step back where memory is short."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lipsync_lab import detection, generation
from lipsync_lab.detection.s3fd import candidates
from lipsync_lab.generation import wav2lip
from lipsync_lab.models import inference, registry
from lipsync_lab.models.s3fd import MEANS, decode

RNG = np.random.default_rng(2)
CROPS = RNG.integers(0, 256, (3, 96, 96, 3), np.uint8)
WINDOWS = RNG.uniform(-4, 4, (3, 80, 16)).astype(np.float32)


def test_generator_within_one_grey_level():
    """One level: a fraction that is cut off on the other side of a whole number, in at most one of 1,000 values."""
    plain = registry.load("wav2lip-lab", "generator").model
    ready = generation.load("wav2lip-lab")
    assert not [layer for layer in ready.model.modules() if isinstance(layer, nn.BatchNorm2d)]
    before, after = wav2lip.generate(plain, CROPS, WINDOWS).astype(int), ready.generate(CROPS, WINDOWS)
    assert np.abs(before - after).max() <= 1
    assert (before != after).mean() < 1e-3


def test_detector_within_a_hundredth_of_a_pixel():
    frame = RNG.integers(0, 256, (1, 120, 160, 3), np.uint8)
    plain = registry.load("s3fd-lab", "detector").model
    with torch.inference_mode():
        pixels = torch.from_numpy(frame.astype(np.float32) - np.array(MEANS, np.float32)).permute(0, 3, 1, 2)
        before = candidates(decode(plain(pixels))[0].numpy(), floor=0.001)
        rows = decode(inference.ready(copy.deepcopy(plain))(pixels.contiguous(memory_format=torch.channels_last)))
        after = candidates(rows[0].numpy(), floor=0.001)
    assert len(before) == len(after) > 0
    for ours, theirs in zip(before, after, strict=True):
        assert np.allclose([*ours.box, ours.score], [*theirs.box, theirs.score], atol=0.01)
    assert isinstance(detection.load("s3fd-lab").detect(frame)[0], list)


def test_lower_precision_takes_the_same_way():
    """What runs on CUDA in half precision runs here in bfloat16, which is coarser."""
    network = inference.ready(registry.load("wav2lip-lab", "generator").model, half_on="cuda")
    assert inference.dtype(network) == torch.float32
    full = wav2lip.generate(network, CROPS, WINDOWS).astype(int)
    coarse = wav2lip.generate(network.bfloat16(), CROPS, WINDOWS)
    assert coarse.dtype == np.uint8
    assert np.abs(full - coarse).mean() < 3


@pytest.mark.parametrize("room", [1, 2, 3, 8])
def test_a_batch_steps_back(room):
    sizes = []

    def run(a, b):
        if len(a) > room:
            raise torch.OutOfMemoryError("no memory")
        sizes.append(len(a))
        return a + b

    a, b = torch.arange(7.0), torch.ones(7)
    assert torch.equal(inference.in_parts(run, a, b), a + b)
    assert max(sizes) <= room


def test_one_that_does_not_fit_is_an_error():
    def run(_):
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        inference.in_parts(run, torch.ones(4))
