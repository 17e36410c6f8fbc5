"""S3FD by ncnn in place of torch: the same values at any size, chosen where it is faster and agrees."""

import numpy as np
import pytest
import torch

from lipsync_lab import detection
from lipsync_lab.models import fast, fast_s3fd, inference
from lipsync_lab.models.s3fd import S3FD, decode
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

RNG = np.random.default_rng(11)

needs_ncnn = pytest.mark.skipif(not fast_s3fd.is_installed(), reason="the extra `fast` (ncnn) is not installed")


def pictures(*shape):
    return torch.from_numpy(RNG.uniform(-120, 150, shape).astype(np.float32))


@pytest.fixture(scope="module")
def network():
    """Random weights, normalised features with weights of their own for each channel."""
    torch.manual_seed(3)
    made = S3FD(0.125)
    for norm in (made.conv3_3_norm, made.conv4_3_norm, made.conv5_3_norm):
        torch.nn.init.uniform_(norm.weight, 1, 10)
    return inference.ready(made.eval())


@pytest.fixture
def chosen(monkeypatch):
    """Every network counts as wide, ncnn alone is installed, and it is quicker; the conversions are recorded."""
    asked = []
    convert = fast_s3fd.compiled
    monkeypatch.setattr(inference, "WIDE", 0)
    monkeypatch.setattr(inference, "pays", lambda: False)
    monkeypatch.setattr(inference, "is_quicker", lambda new, old: True)
    monkeypatch.setattr(fast, "is_installed", lambda: False)
    monkeypatch.setattr(fast_s3fd, "compiled", lambda network: asked.append(network) or convert(network))
    return asked


@needs_ncnn
@pytest.mark.parametrize(
    "shape",
    # one strip; several; a last strip of 1 to 3 rows, which make none of a quarter; sides that halve unevenly
    [(1, 64, 64), (3, 97, 211), (1, 128, 96), (1, 129, 100), (2, 259, 131), (1, 388, 64)],
)
def test_heads_are_those_of_torch(network, shape):
    given = pictures(shape[0], 3, *shape[1:])
    with torch.inference_mode():
        wanted, made = network(given), fast_s3fd.compiled(network)(given)
    assert [each.shape for each in made] == [each.shape for each in wanted]
    for ours, theirs in zip(made, wanted, strict=True):
        assert (ours - theirs).abs().max() <= 3e-5 * theirs.abs().max()


@needs_ncnn
def test_boxes_are_those_of_torch():
    network = detection.load("s3fd-lab").model
    given = pictures(2, 3, 120, 161)
    with torch.inference_mode():
        before, after = decode(network(given)), decode(fast_s3fd.compiled(network)(given))
    assert (before - after).abs().max() < 0.01


@needs_ncnn
def test_strips_are_the_whole_picture(network, monkeypatch):
    """What lies at the edges of the strips is the same, to the rounding, as in one strip of all rows."""
    twin, given = fast_s3fd.compiled(network), pictures(1, 3, 230, 96)
    in_strips = twin(given)
    monkeypatch.setattr(fast_s3fd, "ROWS", 512)
    for whole, parts in zip(twin(given), in_strips, strict=True):
        assert (whole - parts).abs().max() <= 1e-4 * whole.abs().max()
    # and with one row of four less beyond them it is not: the comparison can fail
    monkeypatch.setattr(fast_s3fd, "ROWS", 128)
    monkeypatch.setattr(fast_s3fd, "BEYOND", 4)
    wrong = twin(given)
    far = [(a - b).abs().max() / b.abs().max() for a, b in zip(wrong, in_strips, strict=True)]
    assert max(far) > 1e-3


@needs_ncnn
def test_results_are_kept_when_the_next_call_comes(network):
    twin, given = fast_s3fd.compiled(network), pictures(1, 3, 70, 70)
    first = twin(given)
    kept = [each.clone() for each in first]
    twin(-given)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


@needs_ncnn
def test_what_agrees_and_is_quicker_takes_the_place(chosen):
    detector = detection.load("s3fd-lab")
    quick = detector.coarser()
    assert isinstance(quick.model, fast_s3fd.Compiled)
    assert quick.identity == detector.identity | {"precision": quick.model.precision}
    assert quick.model.precision.startswith("float32, ncnn 1")
    frames = RNG.integers(0, 256, (2, 90, 120, 3), np.uint8)
    for ours, theirs in zip(quick.detect(frames), detector.detect(frames), strict=True):
        assert len(ours) == len(theirs)
        assert all(np.allclose([*a.box], [*b.box], atol=0.01) for a, b in zip(ours, theirs, strict=True))
    assert quick.coarser() is quick, "a pipeline and `detect` both ask"
    assert len(chosen) == 1


@needs_ncnn
def test_what_is_slower_or_disagrees_does_not(chosen, monkeypatch):
    detector = detection.load("s3fd-lab")
    monkeypatch.setattr(inference, "AGREES", 1.1)
    assert detector.coarser() is detector
    monkeypatch.setattr(inference, "AGREES", 0.99)
    monkeypatch.setattr(inference, "is_quicker", lambda new, old: False)
    assert detector.coarser() is detector
    assert len(chosen) == 2


def test_float32_and_small_networks_never_ask(chosen, monkeypatch):
    Pipeline("wav2lip-lab", "s3fd-lab", Settings(precision="float32"), device="cpu")
    monkeypatch.setattr(inference, "WIDE", 8_000_000)
    Pipeline("wav2lip-lab", "s3fd-lab", device="cpu")
    assert chosen == []


def test_of_two_that_are_quicker_the_quickest_stays(monkeypatch):
    """OpenVINO is quicker than torch, and ncnn quicker than OpenVINO, or not."""
    seconds = {"torch": 3, "OpenVINO": 2, "ncnn": 1}

    class Timed(torch.nn.Linear):
        def __init__(self, name):
            super().__init__(1, 1, bias=False)
            torch.nn.init.ones_(self.weight)
            self.name = name

        def forward(self, x):
            now[0] += seconds[self.name]
            return super().forward(x)

    def probe(each):
        return each(torch.ones(1, 1))

    now = [0.0]
    monkeypatch.setattr(inference, "WIDE", 0)
    monkeypatch.setattr(inference, "pays", lambda: False)
    monkeypatch.setattr(inference.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(fast, "is_installed", lambda: True)
    monkeypatch.setattr(fast, "compiled", lambda network, inputs, shapes, bf16: Timed("OpenVINO"))
    shapes, converters = ((-1, 1),), [lambda network: Timed("ncnn")]
    for by_openvino, by_ncnn, best in ((2, 1, "ncnn"), (2, 2.5, "OpenVINO"), (4, 2.5, "ncnn"), (4, 4, "torch")):
        seconds |= {"OpenVINO": by_openvino, "ncnn": by_ncnn}
        assert inference.coarser(Timed("torch"), probe, shapes, converters=converters).name == best


def test_what_cannot_be_converted_stays_with_torch(caplog, monkeypatch):
    monkeypatch.setattr(fast_s3fd, "written", lambda network: ("no\nnetwork", b""))
    assert fast_s3fd.compiled(S3FD(0.02)) is None
    assert caplog.messages[0].startswith("ncnn is not used: ")
    assert "\n" not in caplog.messages[0]


@needs_ncnn
@pytest.mark.parametrize("threads", [1, 2])
def test_it_takes_as_many_threads_as_torch(network, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        twin = fast_s3fd.compiled(network)
    finally:
        torch.set_num_threads(before)
    assert twin._net.opt.num_threads == threads
    assert twin._net.opt.openmp_blocktime == 0
