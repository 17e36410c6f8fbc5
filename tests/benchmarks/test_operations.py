"""What a dub and an evaluation do, counted: operations of the networks, and pictures that a stage gets.

Counts are the same on every machine. A change by which a stage does more fails here; one by which it does less asks for
the smaller number.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lipsync_lab import Pipeline, Settings, detection, evaluate, generation, samples
from lipsync_lab.detection.auto import Auto
from lipsync_lab.generation.wav2lip import Wav2LipGenerator
from lipsync_lab.media import video


def million_operations(network, *inputs) -> float:
    """Two for a multiplication and an addition."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        network(*inputs)
    return counted.get_total_flops() / 1e6


def test_operations_of_the_networks():
    generator, detector = generation.load("wav2lip-lab").model, detection.load("s3fd-lab").model
    assert million_operations(generator, torch.rand(1, 1, 80, 16), torch.rand(1, 6, 96, 96)) <= 513  # a face
    assert million_operations(detector, torch.rand(1, 3, 180, 320)) <= 619  # a frame of 16 : 9


@pytest.fixture
def counts(monkeypatch):
    """Pictures that each stage got; a dub encodes as many as `frames_written`."""
    counts = dict.fromkeys(("decoded", "detected", "generated"), 0)

    def count(owner, name, stage):
        call = getattr(owner, name)

        def counted(self, pictures, *rest):
            counts[stage] += len(pictures)
            return call(self, pictures, *rest)

        monkeypatch.setattr(owner, name, counted)

    decode = video._pictures

    def pictures(*given):
        for picture in decode(*given):
            counts["decoded"] += 1
            yield picture

    monkeypatch.setattr(video, "_pictures", pictures)
    count(Auto, "detect", "detected")
    count(Wav2LipGenerator, "generate", "generated")
    return counts


@pytest.mark.parametrize(("clip", "detected", "generated"), [("animation_hello", 36, 43), ("astronaut_hello", 88, 62)])
def test_pictures_of_each_stage(tmp_path, counts, clip, detected, generated):
    """Both clips have 88 frames; the animation is on twos and threes, and the portrait stands still now and then."""

    def taken():
        out = dict(counts)
        counts.update(dict.fromkeys(counts, 0))
        return out

    settings = Settings(mouth_cadence="holds")
    run = Pipeline("wav2lip-lab", settings=settings, device="cpu").run(clip, samples.path(clip), tmp_path / "run")
    assert run.info["frames_written"] == 88
    # decoded once for detection and dubbing together, since a clip of this length is kept
    assert taken() == {"decoded": 88, "detected": detected, "generated": generated}
    evaluate(run, device="cpu", out=tmp_path / "of_a_run")
    assert taken() == {"decoded": 2 * 88, "detected": 0, "generated": 0}
    # detection, the edited region and the metrics share the pictures of either video, since both are short
    evaluate(clip, run.output, device="cpu", out=tmp_path / "of_two_files")
    assert taken() == {"decoded": 2 * 88, "detected": detected, "generated": 0}
