"""Peak memory of `dub`: a 720p clip of ten seconds looped under a voice of one minute, and under one of ten.

    python benchmarks/memory.py            # both, some minutes
    python benchmarks/memory.py 1 2        # other lengths of the voice, in minutes

Memory must not grow with the length: the ten-minute run may take 100 MB more than the one-minute run at most
(the waveform and its mel spectrogram are some 55 MB of it), and less than 1.5 GB in all.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from peak_memory import peak_memory

from lipsync_lab import cli
from lipsync_lab.media import video

FPS, SIZE = 25, (720, 1280)


def make_clip(path: Path) -> None:
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    with video.Writer(path, fps=FPS) as writer:
        for index in range(10 * FPS):
            waves = (np.sin(x / 90 + index / 9), np.cos(y / 70 - index / 12), np.sin((x + y) / 130))
            writer.write(np.stack([128 + 100 * wave for wave in waves], axis=2).astype(np.uint8))


def make_voice(path: Path, minutes: float) -> None:
    t = np.arange(round(minutes * 60 * 16_000)) / 16_000
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 220 * t) * np.abs(np.sin(np.pi * 3 * t)), 16_000)


def one_run(folder: Path, minutes: str) -> None:
    make_voice(folder / f"{minutes}.wav", float(minutes))
    start = time.perf_counter()
    code = subprocess.run(
        [sys.executable, __file__, "run", str(folder), minutes], check=True, stdout=subprocess.PIPE, text=True
    )
    peak, frames = code.stdout.split()
    print(f"{minutes:>4} min  {frames:>6} frames  peak {peak:>6} MB  {time.perf_counter() - start:7.1f} s", flush=True)


def child(folder: Path, minutes: str) -> None:
    """In a process of its own, so that the peak is this run's alone."""
    out = folder / f"{minutes}.mp4"
    box = ["--box", "200", "328", "480", "608"]
    line = ["dub", "--face", str(folder / "clip.mp4"), "--audio", str(folder / f"{minutes}.wav"), "--outfile", str(out)]
    if cli.main([*line, *box, "--no-cache", "--quiet"]) != 0:
        sys.exit("the run failed")
    peak = peak_memory()
    print(f"{peak:.0f} {video.probe(out).frames}")


def main() -> None:
    if sys.argv[1:2] == ["run"]:
        child(Path(sys.argv[2]), sys.argv[3])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clip(folder / "clip.mp4")
        for minutes in sys.argv[1:] or ("1", "10"):
            one_run(folder, minutes)


if __name__ == "__main__":
    main()
