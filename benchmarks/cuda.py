"""What a GPU gives: networks with and without CUDA graphs, NVDEC, and a dub from file to file.

    python benchmarks/cuda.py                     # planned for less than 8 minutes on a machine with CUDA; prints JSON
    python benchmarks/cuda.py --json cuda.json

It has not run on a GPU yet: a test runs its parts on the CPU at tiny sizes. Weights are random at width 1
(`speed_inputs`). Differences are those from float32 on the CPU. `fallbacks` are the lines in which the package says
that it took the plain way.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync_lab import detection, generation
from lipsync_lab.errors import ParameterError
from lipsync_lab.media import video
from lipsync_lab.media.clip import open_clip
from lipsync_lab.media.writer import check_codec
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

#: Faces, and frames, at once.
FACES, FRAMES = (16, 64, 256), (4, 16, 32)


class Lines(logging.Handler):
    """The lines of the package's log."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def rate(call: Callable[[], object], items: int, seconds: float) -> float:
    """Items a second of a call that takes so many, after three calls, in the second of which graphs are captured."""
    for _ in range(3):
        call()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        call()
        calls += 1
    return calls * items / (time.perf_counter() - start)


def rates(ways: dict[str, Callable], inputs: Callable[[int], tuple], sizes: Sequence[int], seconds: float) -> dict:
    """Items a second of each way at each size of a batch, and the best size."""
    table: dict[str, Any] = {name: {} for name in ways}
    for size in sizes:
        given = inputs(size)
        for name, call in ways.items():
            table[name][str(size)] = round(rate(partial(call, *given), size, seconds), 1)
    for name in ways:
        table[f"{name}_best"] = max(table[name].values())
    return table


def plain(network: Callable) -> Callable:
    """A network without its CUDA graphs."""
    return getattr(network, "network", network)


def faces(weights: str | Path, device: str, sizes: Sequence[int] = FACES, seconds: float = 3.0) -> dict[str, Any]:
    """The generator: faces a second, and differences in grey levels."""
    rng = np.random.default_rng(0)

    def inputs(size: int) -> tuple[np.ndarray, np.ndarray]:
        # smooth, as faces are
        small = rng.integers(0, 256, (size, 6, 6, 3), np.uint8)
        return small.repeat(16, 1).repeat(16, 2), rng.uniform(-4, 4, (size, 80, 16)).astype(np.float32)

    used = generation.load(weights, device=device).coarser()
    ways = {"plain": replace(used, model=plain(used.model)).generate, "used": used.generate}
    given = inputs(4)
    expected = generation.load(weights, device="cpu").generate(*given).astype(int)
    far = np.abs(np.stack([used.generate(*given) for _ in range(3)]).astype(int) - expected)
    return {
        "precision": used.precision,
        "graphs": used.model is not plain(used.model),
        "faces_a_second": rates(ways, inputs, sizes, seconds),
        "largest_difference": int(far.max()),
        "within_two_levels": round(float((far <= 2).mean()), 5),
    }


def frames(
    weights: str | Path, device: str, clip: Path, sizes: Sequence[int] = FRAMES, seconds: float = 3.0, side: int = 640
) -> dict[str, Any]:
    """S3FD: frames a second at the size of a dub, and differences of candidates above 0.5 in pixels and score."""
    from lipsync_lab.detection.base import shrunk

    images = [shrunk(image, side) for image in open_clip(clip).read(0, max(sizes))]

    def inputs(size: int) -> tuple[np.ndarray]:
        return (np.stack([images[number % len(images)] for number in range(size)]),)

    used = detection.load(weights, device=device)
    used = used.coarser()
    without = detection.load(weights, device=device)
    without.model = plain(used.model)
    ways = {"plain": without.detect, "used": used.detect}
    given = inputs(2)
    rows = [[each for each in row if each.score > 0.5] for row in detection.load(weights, device="cpu").detect(*given)]
    ours = [[each for each in row if each.score > 0.5] for row in used.detect(*given)]
    pairs = [pair for row, other in zip(rows, ours, strict=True) for pair in zip(row, other, strict=False)]
    return {
        "size": list(images[0].shape[1::-1]),
        "frames_a_second": rates(ways, inputs, sizes, seconds),
        "candidates": [sum(map(len, rows)), sum(map(len, ours))],
        "largest_difference_pixels": max((float(np.abs(np.subtract(a.box, b.box)).max()) for a, b in pairs), default=0),
        "largest_difference_score": max((abs(a.score - b.score) for a, b in pairs), default=0),
    }


def decoding(clip: Path, device: str) -> dict[str, Any]:
    """Frames a second to RGB by the processor and by NVDEC, and how many frames differ."""
    out: dict[str, Any] = {"nvdec": device.startswith("cuda") and video.gpu_decoder(clip, device) is not None}
    for name, where in (("processor", "cpu"), ("used", device)):
        opened, start = open_clip(clip, device=where), time.perf_counter()
        count = sum(1 for _ in opened.read(0, None))
        out[name] = round(count / (time.perf_counter() - start), 1)
    both = zip(open_clip(clip).read(0, None), open_clip(clip, device=device).read(0, None), strict=True)
    return out | {"frames": count, "frames_that_differ": sum(not np.array_equal(*pair) for pair in both)}


def dub(folder: Path, device: str, generator: str | Path, detector: str | Path) -> dict[str, Any]:
    """Milliseconds a frame of the stages of a dub of ``live.mp4``, and the differences that ``short.mp4`` shows."""

    def dubbed(name: str, where: str, **settings: Any):
        pipeline = Pipeline(generator, detector, Settings(**settings), device=where)
        clip, voice = (folder / f"{name}.{kind}" for kind in ("mp4", "wav"))
        return pipeline.run(clip, voice, folder / f"{name}-{where.replace(':', '-')}")

    out: dict[str, Any] = {}
    for repeat in ("first", "second"):
        start = time.perf_counter()
        info = dubbed("live", device).info
        count = info["frames_written"]
        out[repeat] = {
            "frames": count,
            "mouths": info["mouths_generated"],
            "frames_a_second": round(count / (time.perf_counter() - start), 1),
            "ms_a_frame": {stage: round(1000 * seconds / count, 2) for stage, seconds in info["seconds"].items()},
        }
    both = [
        np.stack(list(open_clip(dubbed("short", where, codec="ffv1", precision=precision).output).read(0, None)))
        for where, precision in ((device, "auto"), ("cpu", "float32"))
    ]
    far = np.abs(np.subtract(*both, dtype=int))
    return out | {"largest_difference": int(far.max()), "within_two_levels": round(float((far <= 2).mean()), 5)}


def prepare(folder: Path, count: int = 300, size: tuple[int, int] = (1280, 720)) -> None:
    """Clips, voices and weights."""
    import speed_inputs as inputs

    for name, length in (("live", count), ("short", 6)):
        inputs.clip("astronaut_hello", folder / f"{name}.mp4", length, size, grain=3.0)
        inputs.voice(folder / f"{name}.wav", (length - 0.5) / inputs.FPS)
    inputs.generator(folder / "generator.pth")
    inputs.detector(folder / "detector.pth", folder / "short.mp4")


def nvenc() -> str:
    """Whether the GPU's encoder opens."""
    try:
        check_codec("h264_nvenc")
    except ParameterError as error:
        return str(error)
    return "opens"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/cuda.py: torch sees no CUDA here; run it on a machine with an NVIDIA GPU")
    lines, device, start = Lines(), "cuda", time.perf_counter()
    logging.getLogger("lipsync_lab").addHandler(lines)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        weights = folder / "generator.pth", folder / "detector.pth"
        numbers = {
            "schema": 1,
            "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "generator": faces(weights[0], device),
            "s3fd": frames(weights[1], device, folder / "short.mp4"),
            "decoding": decoding(folder / "live.mp4", device),
            "nvenc": nvenc(),
            "dub": dub(folder, device, *weights),
            "memory_mb": round(torch.cuda.max_memory_allocated() / 1e6),
        }
    numbers |= {"fallbacks": lines.lines, "seconds": round(time.perf_counter() - start)}
    text = json.dumps(numbers, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
