"""Time of `evaluate` and of the start: this working tree against another revision, interleaved in one run.

    python benchmarks/evaluate_speed.py --before REVISION               # a pair of 10 s at 720p, some minutes
    python benchmarks/evaluate_speed.py --before REVISION --seconds 2 --height 360 --repeats 3

A bundled clip is scaled, repeated and dubbed once. Every measurement is a process of its own; processor seconds are
compared, since they depend less on what else runs. The tables of both revisions are compared byte by byte.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CLIP, VOICE, FPS = "animation_hello", "voice_umbrella", 25
#: What is measured, as Python; `evaluate` is given the pair and a folder for its tables.
WORK = {
    "evaluate": "import lipsync_lab, sys; lipsync_lab.evaluate(*sys.argv[1:3], out=sys.argv[3], device='cpu')",
    "list": "from lipsync_lab.cli import main; main(['samples', 'list'])",
    "import": "import lipsync_lab",
}
TABLES = ("frames.csv", "scores.csv", "curves.csv", "metrics.csv", "failures.csv")


def make_pair(folder: Path, seconds: float, height: int) -> tuple[Path, Path]:
    """A clip of so many seconds and so many rows, 16 by 9, and an output of it."""
    import cv2

    from lipsync_lab import dub, samples
    from lipsync_lab.media import video

    images = [frame.image for frame in video.frames(samples.path(CLIP))]
    width = round(height * 16 / 9 / 2) * 2
    left = (width - height) // 2
    source = folder / "source.mp4"
    with video.Writer(source, fps=FPS) as writer:
        for number in range(round(seconds * FPS)):
            frame = np.full((height, width, 3), 128, np.uint8)
            frame[:, left : left + height] = cv2.resize(images[number % len(images)], (height, height))
            writer.write(frame)
    run = dub(source, VOICE, folder / "run", keep_tail=True)
    return source, run.output


def measured(tree: Path, work: str, arguments: list[str]) -> dict[str, float]:
    """Processor seconds and wall seconds of a process that imports the package from `tree`."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", WORK[work], *arguments]
    done = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{work} failed in {tree}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", required=True, help="revision to compare with")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = {"before": folder / "before", "after": ROOT}
        trees["before"].mkdir()
        archive = subprocess.run(["git", "archive", options.before], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", trees["before"]], input=archive.stdout, check=True)
        source, output = make_pair(folder, options.seconds, options.height)
        seconds: dict[str, dict[str, list[float]]] = {work: {side: [] for side in trees} for work in WORK}
        for repeat in range(options.repeats):
            for work in WORK:
                for side, tree in trees.items():
                    tables = folder / f"{side}-{repeat}"
                    given = [str(source), str(output), str(tables)] if work == "evaluate" else []
                    seconds[work][side].append(measured(tree, work, given)["cpu"])
        same = all(filecmp.cmp(folder / "before-0" / each, folder / "after-0" / each, False) for each in TABLES)
    print(
        f"pair of {options.seconds:g} s, {options.height} rows; n = {options.repeats} interleaved; tables same: {same}"
    )
    result = {"seconds": options.seconds, "height": options.height, "same_tables": same, "cpu_seconds": seconds}
    for work, sides in seconds.items():
        ratios = np.divide(sides["before"], sides["after"])
        print(
            f"{work:10} {np.median(sides['before']):7.2f} s before, {np.median(sides['after']):7.2f} s after (CPU); "
            f"before/after {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
