"""How time and memory of a dub grow with the length of a clip, its resolution and its faces, with the bundled models.

    python benchmarks/growth.py                                # everything; some minutes on two idle cores
    python benchmarks/growth.py --lengths 10 60 --heights --faces

Clips are `astronaut_hello`, scaled with film grain (resolution), scaled to 320 x 180 and played forwards and backwards
(length), or side by side in a grid of 320 x 240 pixels each (faces). Every dub is a process of its own: wall and CPU
milliseconds a frame without the start, and the process's peak memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from peak_memory import peak_memory
from speed import Spent
from speed_inputs import FPS, clip, voice

from lipsync_lab.media import video

SOURCE = "astronaut_hello"


def grid(source: Path, path: Path, count: int) -> None:
    """A clip of so many copies of another, in rows of four."""
    with video.Writer(path, fps=FPS) as writer:
        for number, frame in enumerate(video.frames(source)):
            images = [np.roll(frame.image, (place + number) % 5, 1) for place in range(count)]
            images += [np.full_like(frame.image, 128)] * (-count % min(4, count))
            rows = [np.concatenate(images[k : k + 4], 1) for k in range(0, len(images), 4)]
            writer.write(np.concatenate(rows, 0))


def dubbed(path: Path, faces: int) -> dict[str, float]:
    """What one dub takes; in a process of its own."""
    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.settings import Settings

    pipeline = Pipeline("wav2lip-lab", settings=Settings(faces=faces if faces > 1 else None))
    with Spent() as spent:
        info = pipeline.run(path, path.with_suffix(".wav"), path.with_suffix("")).info
    frames = info["frames_written"]
    peak = peak_memory()
    dubbed_faces = len(info.get("faces", [0]))
    return {
        "frames": frames,
        "faces": dubbed_faces,
        "wall": spent.wall / frames,
        "cpu": spent.cpu / frames,
        "peak": peak,
    }


def measure(label: str, path: Path, frames: int, faces: int = 1) -> None:
    voice(path.with_suffix(".wav"), (frames - 0.5) / FPS)
    command = [sys.executable, __file__, "--dub", str(path), str(faces)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    row = json.loads(answer.splitlines()[-1])
    print(
        f"{label:12} {row['frames']:6} frames, {row['faces']} faces: {1000 * row['wall']:7.1f} ms a frame, "
        f"{1000 * row['cpu']:7.1f} CPU ms; peak {row['peak']:5.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", nargs="*", type=float, default=[10, 60, 600], help="in seconds")
    parser.add_argument("--heights", nargs="*", type=int, default=[360, 720, 1080, 2160], help="in pixels")
    parser.add_argument("--faces", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--frames", type=int, default=50, help="for the other two tables")
    parser.add_argument("--dub", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.dub:
        print(json.dumps(dubbed(Path(given.dub[0]), int(given.dub[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in given.faces:
            if not (folder / "one.mp4").is_file():
                clip(SOURCE, folder / "one.mp4", given.frames, (320, 240))
            grid(folder / "one.mp4", folder / f"faces{count}.mp4", count)
            measure(f"{count} faces", folder / f"faces{count}.mp4", given.frames, count)
        for height in given.heights:
            path = folder / f"height{height}.mp4"
            clip(SOURCE, path, given.frames, (round(height * 16 / 9 / 2) * 2, height), grain=3.0)
            measure(f"{height} lines", path, given.frames)
        for seconds in given.lengths:
            path, frames = folder / f"length{seconds:g}.mp4", round(seconds * FPS)
            clip(SOURCE, path, frames, (320, 180))
            measure(f"{seconds:g} s", path, frames)


if __name__ == "__main__":
    main()
