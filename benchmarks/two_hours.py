"""A dub of two hours: time a frame in every segment, memory, disk, and a resume after SIGKILL in the middle.

    python benchmarks/two_hours.py --out FOLDER [--minutes 120] [--side 96]

Four drawings of a bundled sample, each held for five frames at 10 frames a second and scaled to a small picture, are
repeated without encoding them again; the voice is a bundled one, repeated, as FLAC. The clip is dubbed by the command
line with the bundled detector (``--detection-cadence tracked``) and wav2lip-lab, one mouth a drawing
(``--mouth-cadence holds``). Once half of the segments are there, the process gets SIGKILL, and the same command is
given again. CPU seconds are those of the process: the machine may be shared.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import psutil

from lipsync_lab import samples
from lipsync_lab.media import audio, segments, video
from lipsync_lab.media.clip import open_clip
from lipsync_lab.media.writer import Writer

#: Frames a second; drawings of the part that is repeated, and frames of each.
FPS, DRAWINGS, HELD = 10, 4, 5


def material(folder: Path, seconds: int, side: int) -> tuple[Path, Path]:
    """The clip and the voice."""
    import av
    import cv2

    clip = open_clip(samples.path("animation_kettle"))
    drawings = islice(clip.read(0, 10 * DRAWINGS), 0, None, 10)
    small = [cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in drawings]
    video.write_clip(folder / "base.mp4", [each for each in small for _ in range(HELD)], FPS)
    with Writer(folder / "clip.mp4", fps=FPS) as writer:
        for _ in range(seconds * FPS // (HELD * DRAWINGS)):
            writer.append(folder / "base.mp4")
    wave = (audio.load(samples.path("voice_umbrella")) * 32767).astype(np.int16)
    whole = np.resize(wave, seconds * audio.SAMPLE_RATE)
    with av.open(str(folder / "voice.flac"), "w") as container:
        stream = container.add_stream("flac", rate=audio.SAMPLE_RATE, layout="mono", format="s16")
        for first in range(0, len(whole), 4096):
            block = av.AudioFrame.from_ndarray(whole[None, first : first + 4096], "s16", "mono")
            block.sample_rate, block.pts, block.time_base = audio.SAMPLE_RATE, first, Fraction(1, audio.SAMPLE_RATE)
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return folder / "clip.mp4", folder / "voice.flac"


@dataclass
class Watch:
    """What was noted of one process: CPU seconds when each segment was finished, and the largest memory and disk."""

    marks: dict[str, float]
    memory: int = 0
    disk: int = 0
    files: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    changed: frozenset[str] = frozenset()


def watch(command: list[str], home: Path, stop_at: int | None) -> tuple[Watch, int]:
    """Run a command, and kill it once `stop_at` segments are there; what was noted, and its exit code."""
    begun, watched = time.monotonic(), Watch({})
    with (home / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    known = state(home)
    each = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            times, watched.memory = each.cpu_times(), max(watched.memory, each.memory_info().rss)
            watched.cpu, watched.files = times.user + times.system, max(watched.files, each.num_fds())
        except psutil.Error:
            break
        there = finished(home)
        for path in there:
            if path.name not in known and path.name not in watched.marks:
                watched.marks[path.name] = watched.cpu
        now = state(home)
        watched.changed |= {name for name in known.keys() & now.keys() if known[name] != now[name]}
        own = [path for path in home.rglob("*") if path.name not in ("clip.mp4", "voice.flac", "base.mp4")]
        watched.disk = max(watched.disk, sum(size(path) for path in own))
        if stop_at is not None and len(there) >= stop_at:
            time.sleep(1.0)  # into the next segment
            process.kill()
        time.sleep(0.25)
    code = process.wait()
    watched.wall = time.monotonic() - begun
    return watched, code


def finished(home: Path) -> list[Path]:
    return sorted(path for folder in home.glob(".run.*.segments") for path in folder.glob("[0-9]*.mp4"))


def size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def state(home: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every finished segment."""
    watched = {}
    for path in finished(home):
        with contextlib.suppress(FileNotFoundError):  # they are removed once they are joined
            watched[path.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return watched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--minutes", type=int, default=120, help="length of the clip (120)")
    parser.add_argument("--side", type=int, default=96, help="pixels of the picture's sides (96)")
    options = parser.parse_args()
    home = options.out.resolve()
    home.mkdir(parents=True)
    seconds = 60 * options.minutes
    clip, voice = material(home, seconds, options.side)
    count, step = seconds * FPS, segments.SECONDS * FPS
    print(f"{count} frames of {options.side} x {options.side}, {clip.stat().st_size / 1e6:.1f} MB, and a voice of "
          f"{voice.stat().st_size / 1e6:.1f} MB; segments of {step} frames", flush=True)  # fmt: skip
    command = [sys.executable, "-m", "lipsync_lab", "dub", "--quiet", "--face", str(clip), "--audio", str(voice)]
    command += ["--generator", "wav2lip-lab", "--detector", "s3fd-lab", "--detection-cadence", "tracked"]
    command += ["--mouth-cadence", "holds"]
    command += ["--cache", str(home / "cache"), "--run-folder", str(home / "run"), "--outfile", str(home / "out.mp4")]
    half = count // step // 2
    first, code = watch(command, home, half)
    kept = state(home)
    print(f"killed with {len(kept)} of {count // step} segments, exit code {code}: {first.wall:.0f} s, "
          f"{first.cpu:.0f} s of CPU, memory {first.memory / 1e6:.0f} MB, {first.files} open files")  # fmt: skip
    second, code = watch(command, home, None)
    print(f"resumed: exit code {code}; {second.wall:.0f} s, {second.cpu:.0f} s of CPU, memory "
          f"{second.memory / 1e6:.0f} MB, {second.files} open files")  # fmt: skip
    new = sorted(second.marks)
    print(f"segments that the resumed process wrote: {len(new)}, the first is {new[0] if new else '-'}; of the "
          f"{len(kept)} before it wrote {len(second.changed)} again")  # fmt: skip
    print("segment    CPU ms a frame")
    for part in (first, second):
        names = sorted(part.marks)
        for before, name in pairwise(names):
            print(f"{name[:9]}  {1e3 * (part.marks[name] - part.marks[before]) / step:.2f}")
    print(f"largest disk use beside the inputs: {max(first.disk, second.disk) / 1e6:.1f} MB; the output has "
          f"{(home / 'out.mp4').stat().st_size / 1e6:.1f} MB")  # fmt: skip
    info = video.probe(home / "out.mp4")
    samples_out = sum(len(block) for block in audio.open_sound(home / "out.mp4").blocks)
    sound = audio.open_sound(home / "out.mp4")
    print(f"output: {info.frames} of {count} frames; sound of {samples_out} samples at {sound.rate} a second, "
          f"the voice has {seconds * audio.SAMPLE_RATE} at {audio.SAMPLE_RATE}")  # fmt: skip
    left = sorted(path.name for path in home.iterdir() if path.name.startswith("."))
    print(f"left behind in the folder: {left}")


if __name__ == "__main__":
    main()
