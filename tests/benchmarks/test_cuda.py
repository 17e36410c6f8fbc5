"""The parts of `benchmarks/cuda.py`, on the CPU and tiny: they run, and against itself the CPU shows no difference."""

import importlib.util
import logging
import sys
from pathlib import Path

import av
import clips
import pytest
import torch

from lipsync_lab.media import nvdec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_cuda", ROOT / "benchmarks" / "cuda.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_cuda_it_says_so(benchmark, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["cuda.py"])
    with pytest.raises(SystemExit, match="torch sees no CUDA here; run it on a machine with an NVIDIA GPU"):
        benchmark.main()


def test_networks(benchmark, tmp_path):
    given = benchmark.faces("untrained", "cpu", sizes=(1, 2), seconds=0.01)
    assert not given["graphs"]
    assert (given["precision"], given["largest_difference"], given["within_two_levels"]) == ("float32", 0, 1)
    speeds = given["faces_a_second"]
    assert speeds["used"].keys() == speeds["plain"].keys() == {"1", "2"}
    assert speeds["used_best"] == max(speeds["used"].values()) > 0

    clip = clips.clip(tmp_path / "clip.mp4", 3)
    given = benchmark.frames("s3fd-lab", "cpu", clip, sizes=(1, 2), seconds=0.01, side=64)
    assert given["size"] == [64, 48]
    assert given["candidates"][0] == given["candidates"][1]
    assert given["largest_difference_pixels"] == given["largest_difference_score"] == 0
    assert given["frames_a_second"]["plain_best"] > 0


def test_files(benchmark, tmp_path, monkeypatch):
    for name, count in (("live", 10), ("short", 6)):
        clips.clip(tmp_path / f"{name}.mp4", count)
        clips.wav(tmp_path / f"{name}.wav", (count - 0.5) / 25)
    given = benchmark.decoding(tmp_path / "live.mp4", "cpu")
    assert (given["nvdec"], given["frames"], given["frames_that_differ"]) == (False, 10, 0)

    boxes = clips.boxes(tmp_path / "boxes.json", [[20, 20, 80, 80]] * 10)
    given = benchmark.dub(tmp_path, "cpu", "identity", boxes)
    assert [given[part]["mouths"] for part in ("first", "second")] == [10, 10]
    assert {"detect", "generate", "encode"} <= given["second"]["ms_a_frame"].keys()
    assert (given["largest_difference"], given["within_two_levels"]) == (0, 1)


def test_what_it_reports_of_ways_back(benchmark, monkeypatch, tmp_path):
    lines = benchmark.Lines()
    log = logging.getLogger("lipsync_lab")
    log.addHandler(lines)
    nvdec._say.cache_clear()
    try:
        monkeypatch.setattr(nvdec, "hwdevices_available", lambda: [])
        assert benchmark.decoding(clips.clip(tmp_path / "clip.mp4", 3), "cuda")["nvdec"] is False
    finally:
        log.removeHandler(lines)
    assert lines.lines == ["NVDEC is not used: this build of PyAV has none"]


def test_nvenc(benchmark, monkeypatch):
    def refuse(*_):
        raise av.error.PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(av.CodecContext, "create", refuse)
    assert "H200 have none" in benchmark.nvenc()
