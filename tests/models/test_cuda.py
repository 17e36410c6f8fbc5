"""CUDA graphs and pinned copies, by stand-ins for CUDA on the processor: the order of calls, and every way back."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lipsync_lab import generation
from lipsync_lab.detection.s3fd import S3FDDetector
from lipsync_lab.generation import wav2lip
from lipsync_lab.models import cuda, inference

RNG = np.random.default_rng(4)


@pytest.fixture(autouse=True)
def says_anew():
    cuda._say.cache_clear()


class Doubled(nn.Module):
    """Twice its input, as one tensor or as a list; notes the shape of each call."""

    def __init__(self, several: bool = False):
        super().__init__()
        self.weight, self.several, self.calls = nn.Parameter(torch.tensor(2.0)), several, []

    def forward(self, given):
        self.calls.append(tuple(given.shape))
        out = given * self.weight
        return [out, -out] if self.several else out


class FakeCuda:
    """Streams and graphs: a graph runs the network again on its own buffers, as CUDA runs the captured kernels."""

    def __init__(self, network, error=1.0):
        self.network, self.error, self.events = network, error, []
        self.present = self.Stream()
        forward = network.forward

        def watched(*given):
            out = forward(*given)
            self.events.append("run")
            self.made = given, out
            return out

        network.forward, self._forward = watched, forward

    def Stream(self, device=None):
        number = sum(event.startswith("new") for event in self.events)
        self.events.append(f"new stream {number}")
        return SimpleNamespace(wait_stream=lambda other: self.events.append("wait"), number=number)

    def current_stream(self, device=None):
        return self.present

    @contextlib.contextmanager
    def stream(self, stream):
        self.events.append(f"into {stream.number}")
        yield
        self.events.append("out")

    def CUDAGraph(self):
        fake, made = self, {}

        class Graph:
            def replay(self):
                given, out = made["buffers"]
                anew = fake._forward(*given)
                for mine, new in [(out, anew)] if torch.is_tensor(out) else zip(out, anew, strict=True):
                    mine.copy_(new * fake.error)
                fake.events.append("replay")

            def captured(self):
                made["buffers"] = fake.made

        return Graph()

    @contextlib.contextmanager
    def graph(self, graph, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        self.events.append(f"capture on {stream.number}")
        yield
        graph.captured()
        self.events.append("captured")


@pytest.fixture
def fake(monkeypatch):
    def made(network, **more):
        fake = FakeCuda(network, **more)
        for name in ("Stream", "current_stream", "stream", "CUDAGraph", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
        return fake

    return made


@pytest.mark.parametrize("several", [False, True])
def test_a_shape_that_comes_again_is_captured_and_replayed(fake, several):
    network = Doubled(several)
    cuda_, graphed = fake(network), cuda.Graphed(network)
    batches, kept = [torch.rand(4, 3) for _ in range(5)], []
    with torch.inference_mode():
        for number, batch in enumerate(batches):
            cuda_.events.clear()
            kept.append(graphed(batch))
            if number == 0:
                assert cuda_.events == ["run"]
            elif number == 1:
                assert cuda_.events == [
                    "run", "new stream 0", "wait", "into 0", *["run"] * cuda.WARM_UPS, "out", "wait",
                    "capture on 0", "run", "captured", "replay",
                ]  # fmt: skip
            else:
                assert cuda_.events == ["replay"]
    for batch, out in zip(batches, kept, strict=True):  # no result lies in memory that a later replay writes
        for ours, theirs in zip(out if several else [out], [2 * batch, -2 * batch], strict=False):
            assert torch.equal(ours, theirs)


def test_a_smaller_last_batch_is_run_at_its_own_size(fake):
    network = Doubled()
    cuda_, graphed = fake(network), cuda.Graphed(network)
    with torch.inference_mode():
        whole = torch.rand(11, 3)
        parts = [graphed(part) for part in whole.split(4)]
    assert torch.equal(torch.cat(parts), 2 * whole)
    assert network.calls[-1] == (3, 3)
    assert cuda_.events[-1] == "run"


def test_graphs_are_few(fake):
    network = Doubled()
    cuda_, graphed = fake(network), cuda.Graphed(network)
    with torch.inference_mode():
        for _ in range(3):
            for size in range(1, cuda.MOST + 4):
                graphed(torch.rand(size, 3))
    assert cuda_.events.count("captured") == cuda.MOST


def test_shapes_that_come_once_take_no_graph_from_those_that_come_again(fake):
    network = Doubled()
    cuda_, graphed = fake(network), cuda.Graphed(network)
    with torch.inference_mode():
        for size in range(1, cuda.MOST + 2):  # last batches of clips
            graphed(torch.rand(size, 3))
        batch = torch.rand(40, 3)
        for _ in range(3):
            assert torch.equal(graphed(batch), 2 * batch)
    assert cuda_.events[-1] == "replay"


def test_where_a_bit_differs_no_graph_is_used(fake, caplog):
    network = Doubled()
    cuda_, graphed = fake(network, error=1 + 2**-20), cuda.Graphed(network)
    batch = torch.rand(4, 3)
    with torch.inference_mode():
        outs = [graphed(batch) for _ in range(6)]
    assert all(torch.equal(out, 2 * batch) for out in outs)
    assert cuda_.events.count("replay") == 1
    assert [record.message for record in caplog.records] == [
        "CUDA graphs are not used: what they give differs from what the network gives"
    ]


def test_where_cuda_refuses_no_graph_is_used(fake, monkeypatch, caplog):
    network = Doubled()
    fake(network)
    graphed, batch = cuda.Graphed(network), torch.rand(4, 3)

    def refuse(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    with torch.inference_mode():
        outs = [graphed(batch) for _ in range(4)]
    assert all(torch.equal(out, 2 * batch) for out in outs)
    assert network.calls == [(4, 3)] * (4 + cuda.WARM_UPS), "captured once, not again"
    assert [record.message for record in caplog.records] == [
        "CUDA graphs are not used: operation not permitted when stream is capturing"
    ]


def test_a_replay_that_fails_is_computed_as_usual(fake, monkeypatch):
    network = Doubled()
    fake(network)
    graphed, batch = cuda.Graphed(network), torch.rand(4, 3)
    with torch.inference_mode():
        graphed(batch), graphed(batch)

        def fail(*_):
            raise RuntimeError("CUDA error: launch failed")

        monkeypatch.setitem(graphed._graphs, (batch.shape,), fail)
        assert torch.equal(graphed(batch), 2 * batch)
        assert torch.equal(graphed(batch), 2 * batch)


def test_short_memory_takes_the_graphs_first_and_then_halves_the_batch(fake):
    """A graph keeps the memory of its batch: a larger one that does not fit is computed without any."""
    network = Doubled()
    cuda_ = fake(network)
    graphed, forward, room = cuda.Graphed(network), network.forward, 8

    def short(given):
        held = 4 if any((graphed._graphs or {}).values()) else 0
        if len(given) > room - held:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(given)

    network.forward = short
    small, large, huge = (torch.rand(size, 3) for size in (4, 8, 16))
    with torch.inference_mode():
        for _ in range(3):
            assert torch.equal(inference.in_parts(graphed, small), 2 * small)
        assert cuda_.events[-1] == "replay"
        assert torch.equal(inference.in_parts(graphed, large), 2 * large)
        assert network.calls[-1] == (8, 3)
        assert torch.equal(inference.in_parts(graphed, huge), 2 * huge)
        assert network.calls[-2:] == [(8, 3)] * 2


def test_the_generator_gives_the_same_faces_by_graphs(fake, monkeypatch):
    monkeypatch.setattr(cuda, "WARM_UPS", 1)
    plain = generation.load("untrained")
    cuda_ = fake(plain.model)
    graphed = cuda.Graphed(plain.model)
    assert inference.dtype(graphed) == torch.float32
    assert inference.precision(graphed) == "float32"
    for number in range(3):
        crops = RNG.integers(0, 256, (1, 96, 96, 3), np.uint8)
        windows = RNG.uniform(-4, 4, (1, 80, 16)).astype(np.float32)
        ours = wav2lip.generate(graphed, crops, windows)
        assert (cuda_.events[-1] == "replay") == (number > 0)
        np.testing.assert_array_equal(ours, wav2lip.generate(cuda_._forward, crops, windows))


def test_the_detector_gives_the_same_candidates_by_graphs(fake, monkeypatch):
    monkeypatch.setattr(cuda, "WARM_UPS", 1)
    detector = S3FDDetector("s3fd-lab")
    frames = RNG.integers(0, 256, (3, 64, 96, 3), np.uint8)
    expected = detector.detect(frames)
    network = detector.model
    cuda_, detector.model = fake(network), cuda.Graphed(network)
    assert [detector.detect(frames) for _ in range(3)] == [expected] * 3
    assert cuda_.events[-1] == "replay"


class OnCuda(nn.Module):
    """Looks as if its parameters were on CUDA; a copy in another type is `error` off."""

    def __init__(self, error=0.0):
        super().__init__()
        self.error, self.kind = error, torch.float32

    def parameters(self):
        return iter([SimpleNamespace(device=torch.device("cuda"), dtype=self.kind, numel=lambda: 1)])

    def to(self, kind):
        self.kind = kind
        return self

    def forward(self, given):
        return given + (self.error if self.kind != torch.float32 else 0.0)


@pytest.mark.parametrize(("error", "kind"), [(1.0, torch.float16), (9.0, torch.float32)])
def test_on_cuda_half_precision_and_graphs(error, kind):
    given = inference.coarser(OnCuda(error), lambda network: network(torch.zeros(2, 3)), ((-1, 3),))
    assert isinstance(given, cuda.Graphed)
    assert inference.dtype(given) == kind
    assert inference.coarser(given, lambda network: network(torch.zeros(2, 3)), ((-1, 3),)) is given


# --- copies ---


@pytest.fixture
def copies(monkeypatch):
    """Copies to a device that is not there: what is asked of tensors."""
    asked, to = [], torch.Tensor.to

    def copied(self, where, *given, **more):
        if where != "cuda:0":
            return to(self, where, *given, **more)
        asked.append(("to", where, more))
        return self

    monkeypatch.setattr(torch.Tensor, "to", copied)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append("pinned") or self)
    return asked


def test_uploads_are_pinned_and_do_not_wait(copies):
    array = RNG.integers(0, 256, (2, 5, 3), np.uint8)[:, ::-1]
    np.testing.assert_array_equal(cuda.upload(array, "cuda:0").numpy(), array)
    assert copies == ["pinned", ("to", "cuda:0", {"non_blocking": True})]
    copies.clear()
    np.testing.assert_array_equal(cuda.upload(array, "cpu").numpy(), array)
    assert copies == []


def test_uploads_that_cannot_be_pinned_are_made_all_the_same(copies, monkeypatch, caplog):
    def refuse(_):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.Tensor, "pin_memory", refuse)
    for _ in range(2):
        np.testing.assert_array_equal(cuda.upload(np.arange(3), "cuda:0").numpy(), np.arange(3))
    assert copies == [("to", "cuda:0", {"non_blocking": True})] * 2
    assert [record.message for record in caplog.records] == ["copies to CUDA are not pinned: CUDA error: out of memory"]


def test_downloads_are_read_once_they_are_there(monkeypatch, caplog):
    events = []
    here = SimpleNamespace(numpy=lambda: events.append("read") or np.arange(3))
    there = SimpleNamespace(
        is_cuda=True, device="cuda:0", to=lambda *given, **more: events.append((given, more)) or here
    )
    stream = SimpleNamespace(synchronize=lambda: events.append("waited"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    np.testing.assert_array_equal(cuda.download(there), np.arange(3))
    assert events == [(("cpu",), {"non_blocking": True}), "waited", "read"]
    np.testing.assert_array_equal(cuda.download(torch.arange(3)), np.arange(3))
