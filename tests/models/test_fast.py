"""OpenVINO in place of torch: chosen where it is faster and agrees, silent on the network, and the same call."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from clips import clip, wav
from torch import nn

from lipsync_lab import detection, generation
from lipsync_lab.generation import wav2lip
from lipsync_lab.models import fast, fast_s3fd, inference
from lipsync_lab.models.s3fd import decode
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.runs import about_generator
from lipsync_lab.settings import Settings

RNG = np.random.default_rng(5)
CROPS = RNG.integers(0, 256, (5, 96, 96, 3), np.uint8)
WINDOWS = RNG.uniform(-4, 4, (5, 80, 16)).astype(np.float32)

needs_openvino = pytest.mark.skipif(not fast.is_installed(), reason="the extra `fast` (openvino) is not installed")


class Twin:
    """What `fast.compiled` would give: the network itself, its outputs multiplied."""

    precision = "float32, OpenVINO 9.9"

    def __init__(self, network, factor):
        self.network, self.factor = network, factor

    def __call__(self, *inputs):
        made = self.network(*inputs)
        return made * self.factor if torch.is_tensor(made) else [each * self.factor for each in made]


@pytest.fixture
def twins(monkeypatch):
    """Every network counts as wide, and `fast.compiled` gives twins; what it was asked for is recorded."""

    class Asked(list):
        factor = 1.0

    asked = Asked()

    def compiled(network, inputs, shapes, bf16=False):
        asked.append((inputs, shapes, bf16))
        return Twin(network, asked.factor)

    monkeypatch.setattr(inference, "WIDE", 0)
    monkeypatch.setattr(inference, "pays", lambda: False)
    monkeypatch.setattr(inference, "is_quicker", lambda new, old: True)
    monkeypatch.setattr(fast, "is_installed", lambda: True)
    monkeypatch.setattr(fast_s3fd, "is_installed", lambda: False)  # tests/models/test_fast_s3fd.py
    monkeypatch.setattr(fast, "compiled", compiled)
    return asked


def test_what_agrees_and_is_quicker_takes_the_place(twins):
    generator, detector = generation.load("wav2lip-lab"), detection.load("s3fd-lab")
    quick = generator.coarser()
    assert isinstance(quick.model, Twin)
    assert quick.precision == "float32, OpenVINO 9.9"
    assert about_generator(quick, [], ".")["precision"] == "float32, OpenVINO 9.9"
    assert (quick.generate(CROPS, WINDOWS) == generator.generate(CROPS, WINDOWS)).all()
    other = detector.coarser()
    assert other.identity == detector.identity | {"precision": "float32, OpenVINO 9.9"}
    assert (quick.coarser(), other.coarser()) == (quick, other), "a pipeline and `detect` both ask"
    assert generator.precision == "float32", "the one that was given is unchanged"


def test_the_files_of_a_run_say_what_computed(twins, tmp_path):
    pipeline = Pipeline("wav2lip-lab", "s3fd-lab", device="cpu")
    run = pipeline.run(clip(tmp_path / "in.mp4", 8), wav(tmp_path / "in.wav", 0.3), tmp_path / "run")
    assert run.info["generator"]["precision"] == "float32, OpenVINO 9.9"
    for file in ("run.json", "detections.json"):
        about = json.loads((tmp_path / "run" / file).read_text(encoding="utf-8"))["detector"]
        assert about["precision"] == "float32, OpenVINO 9.9", file
    assert len(twins) == 2, "each network is converted once"


def test_example_inputs_have_the_shapes_that_are_named(twins):
    generation.load("wav2lip-lab").coarser()
    detection.load("s3fd-lab").coarser()
    for inputs, shapes, _ in twins:
        assert len(inputs) == len(shapes)
        for given, shape in zip(inputs, shapes, strict=True):
            assert [a for a, b in zip(given.shape, shape, strict=True) if b != -1] == [b for b in shape if b != -1]
    assert len(twins) == 2


def test_what_is_slower_does_not(twins, monkeypatch):
    monkeypatch.setattr(inference, "is_quicker", lambda new, old: False)
    generator = generation.load("wav2lip-lab")
    assert generator.coarser() is generator
    assert len(twins) == 1


@pytest.mark.parametrize(("factor", "agrees"), [(1.005, True), (1.05, False)])
def test_what_disagrees_does_not(twins, factor, agrees):
    """Five parts of a thousand of 255 grey levels are 1.3; fifty are more than two from a level of 40 on."""
    twins.factor = factor
    assert isinstance(generation.load("wav2lip-lab").coarser().model, Twin) == agrees


def test_it_computes_in_the_precision_that_pays(twins, monkeypatch):
    generation.load("wav2lip-lab").coarser()
    monkeypatch.setattr(inference, "pays", lambda: True)
    generation.load("wav2lip-lab").coarser()
    assert [bf16 for *_, bf16 in twins] == [False, True]


def test_small_networks_and_float32_as_published_never_ask(twins, monkeypatch):
    Pipeline("wav2lip-lab", "s3fd-lab", Settings(precision="float32"), device="cpu")
    monkeypatch.setattr(inference, "WIDE", 8_000_000)
    Pipeline("wav2lip-lab", "s3fd-lab", device="cpu")
    assert twins == []


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_quicker_is_the_one_of_less_time(monkeypatch, speed):
    now = [0.0]
    monkeypatch.setattr(inference.time, "perf_counter", lambda: now[0])
    noise = iter([0, 9, 0, 0, 0, 9, 0, 0])  # one slow call of either does not decide

    def takes(seconds):
        now[0] += seconds + next(noise)

    assert inference.is_quicker(lambda: takes(speed), lambda: takes(1.0)) == (speed < 1)


def test_without_the_extra_nothing_is_run(twins, monkeypatch):
    monkeypatch.setattr(fast, "is_installed", lambda: False)
    monkeypatch.setattr(wav2lip, "generate", lambda *_: pytest.fail("the probe costs time"))
    generator = generation.load("wav2lip-lab")
    assert generator.coarser() is generator
    assert twins == []


def test_what_cannot_be_converted_stays_with_torch(monkeypatch, caplog):
    def broken():
        raise RuntimeError("a tensor\n" + "0.1 " * 1000)

    monkeypatch.setattr(fast, "_openvino", broken)
    assert fast.compiled(nn.Linear(1, 1), (torch.ones(1, 1),), ((-1, 1),)) is None
    assert caplog.messages[0].startswith("OpenVINO is not used: a tensor 0.1")
    assert len(caplog.messages[0]) < 250
    assert "\n" not in caplog.messages[0]


def test_where_other_code_imported_telemetry_nothing_is_converted(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "openvino_telemetry", ModuleType("openvino_telemetry"))
    assert fast.compiled(nn.Linear(1, 1), (torch.ones(1, 1),), ((-1, 1),)) is None
    assert "openvino_telemetry" in caplog.text


# --- with OpenVINO itself --------------------------------------------------------------------------------------------


def generator_twin(**given):
    network, rest = generation.load("wav2lip-lab").model, {"shapes": ((-1, 1, 80, 16), (-1, 6, 96, 96))}
    inputs = (torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
    return network, fast.compiled(network, inputs, **rest, **given)


@needs_openvino
def test_generator_by_openvino_within_a_thousandth_of_a_grey_level():
    network, twin = generator_twin()
    assert twin.precision.startswith("float32, OpenVINO 20")
    for count in (1, 2, 5):
        mel = torch.from_numpy(WINDOWS[:count]).unsqueeze(1)
        face = torch.rand(count, 96, 96, 6, generator=torch.Generator().manual_seed(count)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            wanted, made = network(mel, face), twin(mel, face)
        assert made.shape == (count, 3, 96, 96)
        assert (wanted - made).abs().max() * 255 < 1e-3


@needs_openvino
def test_detector_by_openvino_at_any_size():
    network = detection.load("s3fd-lab").model
    twin = fast.compiled(network, (torch.zeros(1, 3, 96, 128),), ((-1, 3, -1, -1),))
    for shape in ((1, 3, 120, 160), (3, 3, 97, 211), (2, 3, 64, 300)):
        pixels = torch.from_numpy(RNG.uniform(-120, 150, shape).astype(np.float32))
        with torch.inference_mode():
            before, after = decode(network(pixels)), decode(twin(pixels))
        assert before.shape == after.shape
        assert (before - after).abs().max() < 0.01


@needs_openvino
def test_results_are_kept_when_the_next_call_comes():
    network, twin = generator_twin()
    mel, face = torch.from_numpy(WINDOWS).unsqueeze(1), torch.rand(5, 6, 96, 96)
    first = twin(mel, face)
    kept = first.clone()
    twin(-mel, 1 - face)
    assert torch.equal(first, kept)


@needs_openvino
@pytest.mark.parametrize("threads", [1, 2])
def test_it_takes_as_many_threads_as_torch(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        _, twin = generator_twin()
    finally:
        torch.set_num_threads(before)
    assert twin._request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == threads


@needs_openvino
def test_openvino_sends_nothing(tmp_path: Path):
    """In a process of its own, with a home in which nobody has refused: no socket, no name looked up, no file there."""
    code = f"""
import sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from lipsync_lab.generation import wav2lip
from lipsync_lab.models import fast
network = torch.nn.Conv2d(3, 4, 3).requires_grad_(False)
made = fast.compiled(network, (torch.ones(1, 3, 8, 8),), ((-1, 3, -1, -1),))
assert made(torch.ones(2, 3, 9, 9)).shape == (2, 4, 7, 7)
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__.endswith("stub"), telemetry_utils.tm
assert not [name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name]]
import time
time.sleep(0.5)
assert seen == [], seen
"""
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
