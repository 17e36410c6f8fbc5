"""Networks made ready give what the plain ones give, up to rounding; batches step back where memory is short."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lipsync_lab import detection, generation
from lipsync_lab.detection.s3fd import candidates
from lipsync_lab.generation import wav2lip
from lipsync_lab.models import fast, fast_s3fd, inference, registry
from lipsync_lab.models.s3fd import MEANS, decode
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

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


def test_bfloat16_takes_the_same_way():
    """What runs on CUDA in float16 runs here in bfloat16, which is coarser, on any processor."""
    network = inference.ready(registry.load("wav2lip-lab", "generator").model)
    full = wav2lip.generate(network, CROPS, WINDOWS).astype(int)
    coarse = wav2lip.generate(copy.deepcopy(network).bfloat16(), CROPS, WINDOWS)
    assert coarse.dtype == np.uint8
    assert np.abs(full - coarse).mean() < 3


def test_small_networks_stay_in_float32(monkeypatch):
    monkeypatch.setattr(inference, "pays", lambda: True)
    assert generation.load("wav2lip-lab").coarser().precision == "float32"
    assert inference.dtype(detection.load("s3fd-lab").coarser().model) == torch.float32


@pytest.mark.parametrize("pays", [True, False])
def test_wide_networks_are_coarser_where_it_pays(monkeypatch, pays):
    monkeypatch.setattr(inference, "WIDE", 0)
    monkeypatch.setattr(inference, "pays", lambda: pays)
    for module in (fast, fast_s3fd):  # tests/models/test_fast.py and test_fast_s3fd.py
        monkeypatch.setattr(module, "is_installed", lambda: False)
    fine, face = generation.load("wav2lip-lab"), detection.load("s3fd-lab")
    generator, detector = fine.coarser(), face.coarser()
    assert generator.precision == ("bfloat16" if pays else "float32")
    assert ("precision" in detector.identity) == pays
    assert fine.precision == "float32", "the one that was given is unchanged"
    assert "precision" not in face.identity
    near = np.abs(fine.generate(CROPS, WINDOWS).astype(int) - generator.generate(CROPS, WINDOWS)) <= inference.NEAR
    assert near.mean() >= inference.AGREES
    assert Pipeline(fine, face, Settings(precision="float32")).generator is fine
    assert Pipeline(fine, face).generator.precision == generator.precision


def test_what_is_far_off_stays_in_float32(monkeypatch):
    monkeypatch.setattr(inference, "WIDE", 0)
    monkeypatch.setattr(inference, "pays", lambda: True)
    monkeypatch.setattr(fast, "is_installed", lambda: False)
    network, given = nn.Linear(1, 1, bias=False), torch.tensor([[1.0]])
    with torch.no_grad():
        network.weight.fill_(1001.5)

    def probe(each):
        return each(given.to(inference.dtype(each))).float()

    # bfloat16 has eight bits: 1001.5 becomes 1000
    assert inference.dtype(inference.coarser(network, probe, ((-1, 1),))) == torch.bfloat16
    assert inference.dtype(inference.coarser(network, lambda each: 2 * probe(each), ((-1, 1),))) == torch.float32


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
