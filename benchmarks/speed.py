"""How fast a dub is, as a ratio to a plain transcription of the published script, measured in one run.

    python benchmarks/speed.py                          # bundled samples at 720 lines; some minutes on two idle cores
    python benchmarks/speed.py --json speed.json
    python benchmarks/speed.py --live talk.mp4 --animation cartoon.mp4 --frames 200
    python benchmarks/speed.py --against ../before      # the same work by another checkout, interleaved
    python benchmarks/speed.py --quick                  # every part once, tiny: no number of it means anything

Every repeat measures each row once, one after the other, so that what else the machine does hits all rows alike; a
ratio is taken within a repeat, and the table has its median and its range. Two clocks: wall time, and CPU time of the
process, which other processes change less. Model loading is not part of any row; both sides have it.

The published script takes seconds a frame at 720 lines. Its detector is timed on `--published-frames` frames, the other
stages on the whole clip, and the sum is a time per frame: nothing of it gets cheaper with more frames. Weights are
random at width 1 (`speed_inputs`), and in the rows "bundled" those of this repository.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

#: GFLOP (two for a multiplication and addition) of the networks at width 1, a face and a frame of 1280 x 720.
GENERATOR_GFLOP, S3FD_GFLOP = 7.93, 582.0
HOME = Path(__file__).resolve().parent

#: Rows that are dubs by this package: clip, generator, detector (None for the default), settings. A setting that an
#: earlier checkout lacks is left out there.
DUBS: dict[str, tuple[str, str, str | None, dict[str, Any]]] = {
    "default": ("live", "generator", None, {}),
    "s3fd": ("live", "generator", "detector", {"detection_cadence": "tracked"}),
    "same_detection": ("short", "generator", "detector", {"detection_size": None, "detection_cadence": "every_frame"}),
    "bundled_live": ("live", "wav2lip-lab", None, {"detection_cadence": "tracked"}),
    "bundled_animation": ("animation", "wav2lip-lab", None, {"preset": "animation", "detection_cadence": "changes"}),
}
#: Rows that are compared with the published script; where none is asked for, it does not run.
RATIOS = {"default", "s3fd", "same_detection"}
#: Rows of the generator alone, and whether the extra `fast` may be used; dubs use it where it is installed.
FACES = {"generator": False, "generator_fast": True}


# -- what a worker does ------------------------------------------------------------------------------------------


class Spent:
    """Wall and CPU seconds of a `with` block."""

    def __enter__(self) -> Spent:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


def peak() -> dict[str, float]:
    """GFLOP per CPU second of a matrix product and of a convolution like those in the networks."""
    import torch

    a, b = torch.randn(768, 768), torch.randn(768, 768)
    image, kernel = torch.randn(4, 128, 48, 48), torch.randn(128, 128, 3, 3)
    out = {}
    with torch.inference_mode():
        for name, call, flop in (
            ("gemm", lambda: a @ b, 2 * 768**3),
            ("convolution", lambda: torch.nn.functional.conv2d(image, kernel, padding=1), 2 * 4 * 48**2 * 9 * 128**2),
        ):
            call()
            count = 20
            with Spent() as spent:
                for _ in range(count):
                    call()
            out[name] = count * flop / spent.cpu / 1e9
    return out


_LOADED: dict[tuple, Any] = {}


def loaded(kind: tuple, make: Callable[[], Any]) -> Any:
    """What is loaded once in a process and used by every repeat."""
    if kind not in _LOADED:
        _LOADED[kind] = make()
    return _LOADED[kind]


def published(folder: str, count: int) -> dict[str, dict[str, float]]:
    """Seconds a frame of each stage of the transcription; the detector sees `count` frames."""
    import numpy as np
    import published_script as script
    import torch

    from lipsync_lab.media import audio
    from lipsync_lab.models.s3fd import S3FD
    from lipsync_lab.models.wav2lip import Wav2Lip

    def network(make: type, file: str) -> torch.nn.Module:
        made = make().eval()
        made.load_state_dict(torch.load(f"{folder}/{file}", weights_only=True))
        return made

    detector = loaded(("published", "detector"), lambda: network(S3FD, "detector.pth"))
    generator = loaded(("published", "generator"), lambda: network(Wav2Lip, "generator.pth"))
    loaded(("published", "librosa"), lambda: script.mel_spectrogram(np.zeros(8000, np.float32)))
    stages, frames_of = {}, {}
    with Spent() as stages["decode"]:
        frames, fps = script.read_clip(f"{folder}/live.mp4")
    with Spent() as stages["voice"]:
        chunks = script.mel_chunks(script.mel_spectrogram(audio.load(f"{folder}/live.wav")), fps)
    frames, chunks = frames[: len(chunks)], chunks[: len(frames)]
    with Spent() as stages["detect"]:
        faces = script.detect(detector, frames[:count])
    frames_of["detect"], frames_of["encode"] = count, len(chunks)
    places = script.boxes([faces[number % count] for number in range(len(frames))], frames)
    generate, spent = script.generate, [0.0, 0.0]

    def timed(*given):
        with Spent() as once:
            out = generate(*given)
        spent[0] += once.wall
        spent[1] += once.cpu
        return out

    script.generate = timed
    try:
        with Spent() as stages["encode"]:
            out = f"{folder}/published.mp4"
            script.write(
                script.dubbed(generator, frames, places, chunks),
                fps,
                f"{folder}/live.wav",
                out,
            )
    finally:
        script.generate = generate
    table = {
        name: {"wall": each.wall / frames_of.get(name, len(frames)), "cpu": each.cpu / frames_of.get(name, len(frames))}
        for name, each in stages.items()
    }
    table["generate"] = {"wall": spent[0] / len(chunks), "cpu": spent[1] / len(chunks)}
    for clock in ("wall", "cpu"):
        table["encode"][clock] -= table["generate"][clock]
    return table


def dub(folder: str, name: str) -> dict[str, Any]:
    """Seconds a frame of a dub by the package, from file to file, and how often its networks were asked."""
    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.settings import Settings

    clip, generator, detector, settings = DUBS[name]
    known = {field.name for field in fields(Settings)}
    preset = settings.get("preset")
    chosen = Settings.of({key: value for key, value in settings.items() if key in known}, preset)
    place = {"generator": f"{folder}/generator.pth", "detector": f"{folder}/detector.pth"}
    pipeline = loaded(
        ("pipeline", name), lambda: Pipeline(place.get(generator, generator), place.get(detector, detector), chosen)
    )
    asked, detect = [0], type(pipeline.detector).detect

    def counted(self, frames, first=0):
        asked[0] += len(frames)
        return detect(self, frames, first)

    type(pipeline.detector).detect = counted
    try:
        with Spent() as spent:
            run = pipeline.run(f"{folder}/{clip}.mp4", f"{folder}/{clip}.wav", f"{folder}/run-{os.getpid()}-{name}")
    finally:
        type(pipeline.detector).detect = detect
    info = run.info
    frames = info["frames_written"]
    return {
        "wall": spent.wall / frames,
        "cpu": spent.cpu / frames,
        "stages": {stage: seconds / frames for stage, seconds in info["seconds"].items()},
        "frames": frames,
        "detected": asked[0],
        "mouths": info["mouths_generated"],
    }


def generate(folder: str, name: str) -> dict[str, Any]:
    """Seconds a face of the generator at width 1, in the pipeline's batches, and what it computes in."""
    import numpy as np

    from lipsync_lab import generation
    from lipsync_lab.settings import Settings

    def load():
        generator = generation.load(f"{folder}/generator.pth")
        # earlier checkouts have no such ways
        fast = importlib.import_module("lipsync_lab.models.fast") if find_spec("lipsync_lab.models.fast") else None
        allowed = FACES[name] or fast is None
        with contextlib.nullcontext() if allowed else patch.object(fast, "is_installed", bool):
            return generator.coarser() if hasattr(generator, "coarser") else generator

    generator = loaded((name,), load)
    size = Settings().generator_batch
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (size, 96, 96, 3), np.uint8)
    windows = rng.uniform(-4, 4, (size, 80, 16)).astype(np.float32)
    loaded((name, "warm"), lambda: generator.generate(crops, windows))
    with Spent() as spent:
        generator.generate(crops, windows)
    return {"wall": spent.wall / size, "cpu": spent.cpu / size, "precision": getattr(generator, "precision", "float32")}


def memory(folder: str, name: str) -> float:
    """Peak memory of this process in MB after one dub."""
    from peak_memory import peak_memory

    dub(folder, name)
    return peak_memory()


WORK = {"peak": peak, "published": published, "dub": dub, "generate": generate, "memory": memory}


def worker() -> None:
    """Do what each line on the standard input asks for, and print what it gave as a line of JSON."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, *given = json.loads(line)
        print(json.dumps(WORK[name](*given)), file=answers, flush=True)


class Worker:
    """A process with the package of one checkout."""

    def __init__(self, root: Path):
        environment = os.environ | {"PYTHONPATH": str(root)}
        self._process = subprocess.Popen(
            [sys.executable, str(HOME / "speed.py"), "--worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, *call) -> Any:
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


# -- what is asked for, and the table ----------------------------------------------------------------------------


def prepare(folder: Path, live: str, animation: str, frames: int, size: tuple[int, int]) -> None:
    import speed_inputs as inputs

    short = 6  # the shortest voice has five
    inputs.clip(live, folder / "live.mp4", frames, size, grain=3.0)
    inputs.clip(animation, folder / "animation.mp4", frames, size)
    inputs.clip(live, folder / "short.mp4", short, size, grain=3.0)
    for name, length in (("live", frames), ("animation", frames), ("short", short)):
        # half a frame less: rounding never asks for one frame more than there is
        inputs.voice(folder / f"{name}.wav", (length - 0.5) / inputs.FPS)
    inputs.generator(folder / "generator.pth")
    inputs.detector(folder / "detector.pth", folder / "short.mp4")


def measure(workers: dict[str, Worker], folder: Path, count: int, rows: list[str]) -> dict[str, Any]:
    """One repeat: every row once, by each checkout in turn."""
    first = next(iter(workers.values()))
    out: dict[str, Any] = {"peak": first.ask("peak")}
    if RATIOS & set(rows):
        out["published"] = first.ask("published", str(folder), count)
    for name in rows:
        for side, each in workers.items():
            out[f"{side}:{name}"] = each.ask("generate" if name in FACES else "dub", str(folder), name)
    return out


def summary(repeats: list[dict[str, Any]], sides: list[str], rows: list[str]) -> dict[str, Any]:
    """Median and range over the repeats: of ratios within a repeat, and of frames a second."""
    import numpy as np

    def spread(values: list[float]) -> dict[str, float]:
        return {"median": float(np.median(values)), "least": min(values), "most": max(values)}

    out: dict[str, Any] = {}
    for side in sides:
        of = {row: [each[f"{side}:{row}"] for each in repeats] for row in rows}
        table: dict[str, Any] = {}
        for row in rows:
            for clock in ("wall", "cpu"):
                if row in RATIOS:
                    whole = [sum(stage[clock] for stage in each["published"].values()) for each in repeats]
                    ratios = [theirs / ours[clock] for theirs, ours in zip(whole, of[row], strict=True)]
                    table[f"{row}_over_published" + "_cpu" * (clock == "cpu")] = spread(ratios)
                elif clock == "wall":
                    table[f"{row}_fps"] = spread([1 / each["wall"] for each in of[row]])
                else:
                    table[f"{row}_cpu_ms"] = spread([1000 * each["cpu"] for each in of[row]])
        out[side] = table
    return out


def show(repeats: list[dict[str, Any]], table: dict[str, Any], sides: list[str], rows: list[str], pixels: int) -> None:
    import numpy as np

    def median(values) -> float:
        return float(np.median(list(values)))

    gemm, conv = (median(each["peak"][name] for each in repeats) for name in ("gemm", "convolution"))
    print(
        f"machine: {os.cpu_count()} cores, {gemm:.0f} GFLOP a CPU second (matrix product), {conv:.0f} (convolution)\n"
    )
    published = repeats[0].get("published", {})
    if published:
        print("published, a frame         CPU ms     wall ms")
    for stage in published:
        cpu, wall = (1000 * median(each["published"][stage][clock] for each in repeats) for clock in ("cpu", "wall"))
        print(f"  {stage:20} {cpu:12.1f} {wall:11.1f}")
    for stage, gflop in (("detect", S3FD_GFLOP * pixels / (1280 * 720)), ("generate", GENERATOR_GFLOP)):
        if stage not in published:
            continue
        share = gflop / median(each["published"][stage]["cpu"] for each in repeats) / conv
        print(f"  {stage}: {share:.0%} of the convolution's speed")
    for row in rows:
        print()
        for side in sides:
            of = [each[f"{side}:{row}"] for each in repeats]
            cpu, wall = (median(each[clock] for each in of) for clock in ("cpu", "wall"))
            line = f"{row} ({side}): {1000 * cpu:.1f} CPU ms a frame, {1 / wall:.1f} frames a second"
            if row in FACES:
                line += f", {GENERATOR_GFLOP / cpu / conv:.0%} of the convolution's speed, in {of[0]['precision']}"
            else:
                line += f"; {of[0]['detected']} of {of[0]['frames']} frames detected, {of[0]['mouths']} mouths"
                stages = {stage: 1000 * median(each["stages"][stage] for each in of) for stage in of[0]["stages"]}
                line += "\n    wall ms a frame: " + ", ".join(f"{name} {ms:.1f}" for name, ms in stages.items())
            print(line)
    for side in sides:
        print(f"\n{side}: median (range) of {len(repeats)} repeats")
        for name, value in table[side].items():
            if isinstance(value, dict):
                print(f"  {name:34} {value['median']:8.1f} ({value['least']:.1f} to {value['most']:.1f})")
            else:
                print(f"  {name:34} {value:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", default="astronaut_hello", help="clip or sample of a talking head")
    parser.add_argument("--animation", default="animation_hello", help="clip or sample of drawn animation")
    parser.add_argument("--frames", type=int, default=100, help="of each clip")
    parser.add_argument("--published-frames", type=int, default=2, help="that the published detector sees")
    parser.add_argument("--repeats", type=int, default=5)
    rows = [*DUBS, *FACES]
    default = [row for row in rows if not FACES.get(row) or find_spec("openvino")]
    parser.add_argument("--rows", nargs="+", default=default, choices=rows, help="all, where OpenVINO is installed")
    parser.add_argument("--size", nargs=2, type=int, default=(1280, 720), metavar=("W", "H"))
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--inputs", type=Path, help="folder to keep clips and weights in, and to take them from")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--quick", action="store_true", help="one small repeat, to see that all parts work")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker()
        return
    if given.quick:
        given.frames, given.published_frames, given.repeats, given.size = 8, 1, 1, (320, 180)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.inputs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "detector.pth").is_file():
            prepare(folder, given.live, given.animation, given.frames, tuple(given.size))
        roots = {"here": HOME.parent} | ({"against": given.against.resolve()} if given.against else {})
        workers = {side: Worker(root) for side, root in roots.items()}
        repeats = [measure(workers, folder, given.published_frames, given.rows) for _ in range(given.repeats)]
        for each in workers.values():
            each.close()
        table = summary(repeats, list(roots), given.rows)
        dubs = [row for row in given.rows if row.startswith("bundled")]
        for side, root in roots.items():
            peaks = []
            for row in dubs:
                alone = Worker(root)
                peaks.append(alone.ask("memory", str(folder), row))
                alone.close()
            table[side]["peak_mb"] = max(peaks, default=0.0)
        show(repeats, table, list(roots), given.rows, given.size[0] * given.size[1])
        if given.json:
            given.json.write_text(
                json.dumps({"schema": 1, "repeats": len(repeats), **table.pop("here"), **table}, indent=1) + "\n"
            )


if __name__ == "__main__":
    main()
