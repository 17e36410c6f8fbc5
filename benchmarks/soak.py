"""300 dubs and 300 evaluations in one process: do memory, open files and threads stay flat?

    python benchmarks/soak.py --out FOLDER [--count 300] [--figure soak.png]

Every dub loads its models anew, with the bundled small generator in a fixed box, on eight frames of a bundled sample,
scaled to 96 x 96; every other one runs the bundled detector instead. Every output is evaluated against its source.
After each pair of calls the process's memory (resident set), open files and threads are noted. The slope is that of a
line through the second half, with the first half as the time that caches need to fill.
"""

from __future__ import annotations

import argparse
import csv
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import psutil

import lipsync_lab
from lipsync_lab import samples
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import open_clip

SIDE, FRAMES, FPS = 96, 8, 25
COLUMNS = ("pair", "memory_mb", "open_files", "threads", "seconds")


def material(folder: Path) -> Path:
    """A clip of a face with its sound."""
    clip = open_clip(samples.path("astronaut_kettle"))
    images = [cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for each in islice(clip.read(0, 50), FRAMES)]
    wave = audio.load(samples.path("voice_umbrella"))[: audio.SAMPLE_RATE * FRAMES // FPS]
    return video.write_clip(folder / "clip.mp4", images, FPS, sound=audio.Sound.from_wave(wave))


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Memory, open files and threads over the pairs of calls."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
    pairs = [row["pair"] for row in rows]
    titles = {"memory_mb": "memory (MB)", "open_files": "open files", "threads": "threads"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        values = [row[name] for row in rows]
        axis.plot(pairs, values, linewidth=1)
        axis.set(title=title, xlabel="dub and evaluation", ylim=(0, 1.15 * max(values)))
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--count", type=int, default=300, help="dubs, and as many evaluations (300)")
    parser.add_argument("--figure", type=Path, help="a PNG of the three curves")
    options = parser.parse_args()
    home = options.out.resolve()
    home.mkdir(parents=True)
    clip, process, rows = material(home), psutil.Process(), []
    with (home / "soak.csv").open("w", newline="", encoding="utf-8") as lines:
        table = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        table.writeheader()
        for number in range(options.count):
            begun = time.process_time()
            place = {"box": Box(8, 8, 88, 88)} if number % 2 else {"detector": "s3fd-lab"}
            crf = 10 + number % 30  # another output than that of the call before
            run = lipsync_lab.dub(clip, clip, home / "run", generator="wav2lip-lab", device="cpu", crf=crf, **place)
            measured = evaluate(clip, run.output, device="cpu")
            assert len(measured.frames) == FRAMES
            now = process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()
            rows.append(dict(zip(COLUMNS, (number + 1, *now, time.process_time() - begun), strict=True)))
            table.writerow(rows[-1])
            lines.flush()
    print(f"{len(rows)} dubs and {len(rows)} evaluations, {sum(row['seconds'] for row in rows):.0f} s of CPU")
    half = rows[len(rows) // 2 :]
    for name in COLUMNS[1:]:
        values = np.array([row[name] for row in half])
        slope = 100 * np.polyfit(range(len(half)), values, 1)[0]
        print(f"{name:11} first {rows[0][name]:.2f}, at half {values[0]:.2f}, last {values[-1]:.2f}, most "
              f"{max(row[name] for row in rows):.2f}; second half: {slope:+.3f} per 100 pairs")  # fmt: skip
    if options.figure is not None:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
