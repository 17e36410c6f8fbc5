"""The public API: each function in a few lines on bundled samples, and an import that costs little."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import lipsync_lab
from lipsync_lab import samples
from lipsync_lab.errors import ParameterError


def test_dub(tmp_path):
    run = lipsync_lab.dub("animation_baker", "animation_baker", tmp_path / "run", generator="identity", detector="lbp")
    assert isinstance(run, lipsync_lab.Run)
    assert run.output.is_file()
    assert run.info["settings"]["feather"] == 0.1


@pytest.mark.parametrize(
    ("preset", "named", "generator"),
    [("animation", None, "cel"), ("animation", "identity", "identity"), ("reference", None, "wav2lip-lab")],
)
def test_the_preset_animation_draws_mouths_unless_a_generator_is_named(tmp_path, preset, named, generator):
    quick = {"box": lipsync_lab.Box(10, 10, 90, 90), "static": True}
    run = lipsync_lab.dub("animation_baker", "animation_bus", tmp_path / "run", preset=preset, generator=named, **quick)
    assert run.info["generator"]["name"] == generator


def test_dub_to_a_file(tmp_path):
    quick = {"generator": "identity", "box": lipsync_lab.Box(10, 10, 90, 90), "static": True}
    run = lipsync_lab.dub("animation_baker", "animation_baker", tmp_path / "out.mp4", **quick)
    assert (tmp_path / "out.mp4").read_bytes() == run.output.read_bytes()
    assert run.folder == tmp_path / "out"
    with pytest.raises(ParameterError, match=r"out\.mkv: with the codec h264"):
        lipsync_lab.dub("animation_baker", "animation_baker", tmp_path / "out.mkv", **quick)


def test_detect():
    detections = lipsync_lab.detect("animation_baker", "lbp", frames=3)
    assert len(detections) == 3
    assert detections.size == samples.get("animation_baker").size
    assert all(isinstance(candidate.box, lipsync_lab.Box) for row in detections.candidates for candidate in row)


def test_loaded_once_used_twice():
    detector, generator = lipsync_lab.load_detector("lbp"), lipsync_lab.load_generator("identity")
    pipeline = lipsync_lab.Pipeline(generator, detector, lipsync_lab.Settings(), device="cpu")
    frames = np.zeros((5, 64, 64, 3), np.uint8)
    assert pipeline.dub(frames, np.zeros(3_200, np.float32), 25)[0].shape == frames.shape


def test_a_setting_that_does_not_exist():
    with pytest.raises(ParameterError, match="feathers"):
        lipsync_lab.dub("animation_baker", "animation_baker", feathers=1)


def test_every_public_name_is_there():
    assert set(lipsync_lab.__all__) <= set(dir(lipsync_lab))
    assert all(getattr(lipsync_lab, name) is not None for name in lipsync_lab.__all__)
    with pytest.raises(AttributeError, match="nothing_such"):
        lipsync_lab.nothing_such  # noqa: B018


def test_the_import_is_light():
    code = (
        "import sys, lipsync_lab; "
        "assert not {'torch', 'cv2', 'numpy', 'pandas', 'av'} & set(sys.modules), 'heavy modules are imported'"
    )
    code += "; print(sum(__import__('os').times()[:2]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.5, "seconds of processor time, the interpreter's start included"
