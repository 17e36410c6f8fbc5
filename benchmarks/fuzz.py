"""Mutate inputs and read them in a process of its own: counts of what was read, refused in one line, or anything else.

Anything else is a fault: another exception than the package's own, a crash, more than 10 s of processor time or 60 s by
the clock, more than 1.5 GB, a file that was written. The mutated input of each fault is kept under ``--out``.

    python benchmarks/fuzz.py --media 2000 --files 2000 --out build/fuzz
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

SECONDS, CLOCK, MEMORY = 10, 60, 1_500_000_000
ODD = (None, True, -1, 0, 1e308, float("nan"), 2**70, "", "\udcff", "<script>", "../../x", [], {}, [[[[]]]], "9" * 400)
MARKS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x80\0\0\0")


def mutated(data: bytes, other: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One mutation of bytes, and its name."""
    out, kind = bytearray(data), rng.choice(("bits", "cut", "splice", "header", "names"))
    if kind == "bits":
        for _ in range(rng.choice((1, 5, 50, 500))):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        out = out[: rng.randrange(len(out))]
    elif kind == "splice":
        start, length = rng.randrange(len(other)), rng.randrange(1, 5000)
        place = rng.randrange(len(out))
        out[place : place + rng.choice((0, length))] = other[start : start + length]
    elif kind == "header":
        for _ in range(rng.randrange(1, 5)):
            place = rng.randrange(min(len(out), 1500))
            out[place : place + 4] = rng.choice(MARKS)
    else:  # numbers of the tables of an MP4, which stand behind its names
        for _ in range(rng.randrange(1, 4)):
            name = rng.choice(
                (b"mdhd", b"tkhd", b"stts", b"stsz", b"stco", b"stsc", b"elst", b"stsd", b"ispe", b"iloc")
            )
            at = out.find(name)
            if at >= 0:
                place = at + 4 * rng.randrange(1, 8)
                out[place : place + 4] = rng.choice(MARKS)
    return kind, bytes(out)


def mutated_json(text: str, rng: random.Random) -> tuple[str, bytes]:
    """The same JSON with some values replaced, removed, or nested deeply."""
    content = json.loads(text)
    for _ in range(rng.choice((1, 1, 3, 10))):
        place = content
        while isinstance(place, dict | list) and place:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if rng.random() < 0.35 or not isinstance(place[key], dict | list):
                if rng.random() < 0.3:
                    del place[key]
                else:
                    place[key] = rng.choice(ODD)
                break
            place = place[key]
    if rng.random() < 0.03:
        return "nested", b'{"boxes": ' + b"[" * 100_000
    return "values", json.dumps(content).encode("utf-8", "surrogatepass")


def readers() -> dict[str, object]:
    """Name of a kind of file -> what reads it."""
    from lipsync_lab import runs
    from lipsync_lab.detection.detections import read_detections
    from lipsync_lab.evaluation import cases, many
    from lipsync_lab.generation.cel import chart, exchange
    from lipsync_lab.media import audio, video
    from lipsync_lab.models import registry
    from lipsync_lab.sweep import spec

    def media(path: Path) -> None:
        from lipsync_lab.errors import LipsyncError

        refused = []
        for read in (
            lambda: list(islice(video.frames(path), 30)),
            lambda: list(islice(audio.open_sound(path).blocks, 90)),
        ):
            try:
                read()
            except LipsyncError as error:
                refused.append(error)
        if len(refused) == 2:
            raise refused[0]

    def run(path: Path) -> None:
        folder = runs.Run(path.parent)
        folder.info, folder.output, folder.ledger()

    return {
        "media": media,
        "detections": read_detections,
        "run": run,
        "checkpoint": lambda path: registry.load(path, "generator"),
        "clips": cases.read_table,
        "pairs": many.read_pairs,
        "timing": lambda path: exchange.read_timing(path, 25),
        "chart": lambda path: chart.read_chart(path.parent),
        "sweep": spec.read,
    }


def work() -> None:
    """Read paths from stdin, one a line with its kind; answer each with one line."""
    import av
    import torch  # noqa: F401

    from lipsync_lab.errors import LipsyncError

    av.logging.set_level(av.logging.PANIC)
    known = readers()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    print("ready", flush=True)
    for line in sys.stdin:
        kind, _, path = line.rstrip("\n").partition("\t")
        try:
            known[kind](Path(path))
            answer = "read"
        except LipsyncError as error:
            answer = "refused" if len(str(error).splitlines()) == 1 else f"lines: {str(error)[:80]!r}"
        except MemoryError:
            answer = "memory"
        except BaseException as error:
            answer = f"{type(error).__name__}: {str(error)[:120]!r}"
        print(answer, flush=True)


class Worker:
    """The process that reads; a new one after a crash or a hang."""

    def __init__(self):
        self.process = None

    def ask(self, kind: str, path: Path) -> str:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--work"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            self.process.stdout.readline()
        self.process.stdin.write(f"{kind}\t{path}\n")
        began, clock = self.seconds(), time.monotonic()
        while not select.select([self.process.stdout], [], [], 0.5)[0]:
            if self.seconds() - began > SECONDS or time.monotonic() - clock > CLOCK:
                self.process.kill()
                self.process.wait()
                return "hang"
        answer = self.process.stdout.readline().strip()
        return answer or f"crash {self.process.wait()}"

    def seconds(self) -> float:
        """Processor time of the process: the machine may be shared."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def media_seeds(folder: Path) -> list[Path]:
    """A short clip in several containers and codecs, sounds, and stills, made on the spot."""
    import av
    import numpy as np
    from PIL import Image

    seeds = []
    forms = [
        *(("mp4", "libx264", "aac"), ("mkv", "libx264", "pcm_s16le"), ("webm", "libvpx", "libopus")),
        *(("ts", "libx264", "aac"), ("avi", "mpeg4", "libmp3lame"), ("mov", "prores_ks", "pcm_s16le")),
        *(("flv", "flv", "libmp3lame"), ("mpg", "mpeg2video", "mp2"), ("ogv", "ffv1", "libopus")),
        ("mp4", "libx265", "aac"),
    ]
    rng = np.random.default_rng(0)
    for number, (ending, picture, sound) in enumerate(forms):
        path = folder / f"{number}.{ending if ending != 'ogv' else 'mkv'}"
        with av.open(str(path), "w") as container:
            video = container.add_stream(picture, rate=25, options={"x265-params": "log-level=none"})
            video.width, video.height = 64, 48
            video.pix_fmt = "yuv422p10le" if picture == "prores_ks" else "yuv420p"
            voice = container.add_stream(sound, rate=48_000, layout="mono")
            for k in range(12):
                image = np.full((48, 64, 3), 20 * k, np.uint8) + rng.integers(0, 9, (48, 64, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=video.pix_fmt)
                frame.pts = k
                container.mux(video.encode(frame))
            form = voice.codec_context.format.name
            block = av.AudioFrame.from_ndarray(rng.integers(-999, 999, (1, 24_000)).astype(np.int16), "s16", "mono")
            block.sample_rate, block.pts = 48_000, 0
            fifo, resampler = av.AudioFifo(), av.AudioResampler(format=form, layout="mono", rate=48_000)
            for piece in resampler.resample(block):
                fifo.write(piece)
            while piece := fifo.read(voice.codec_context.frame_size or 1024, partial=True):
                container.mux(voice.encode(piece))
            container.mux(video.encode(None))
            container.mux(voice.encode(None))
        seeds.append(path)
    picture = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    for ending in ("png", "jpg", "gif", "webp", "avif", "tif", "bmp"):
        picture.save(folder / f"still.{ending}")
        seeds.append(folder / f"still.{ending}")
    return seeds


def file_seeds(folder: Path) -> list[tuple[str, str, bytes]]:
    """Kind, file name and content of files that are no media."""
    import torch
    from safetensors.torch import save_file

    from lipsync_lab.models.weights import network

    rows = [[10, 10, 60, 60], None, [10, 10.5, 60, 60]]
    full = {"frames": 3, "boxes": rows, "candidates": [[[10, 10, 60, 60, 0.9]], [], [[10, 10.5, 60, 60, 0.8]]],
            "shots": [0, 2], "size": [128, 96], "manual": [1], "clip": {"file": "a", "sha256": "b"},
            "view": {"clip": [128, 96], "resize_factor": 1, "rotate": False, "crop": [0, -1, 0, -1]}}  # fmt: skip
    about = {"file": "a.mp4", "sha256": "0" * 64}
    run = {"output": "output.mp4", "settings": {"fps": 25}, "clip": about, "voice": about, "generator": {"name": "x"},
           "detector": {"name": "x"}, "warnings": [], "frames_written": 3}  # fmt: skip
    state = network("generator", 0.02).state_dict()
    save_file(state, folder / "w.safetensors", metadata={"width": "0.02"})
    torch.save({"state_dict": state}, folder / "w.pth")
    torch.save(state, folder / "w.pkl", _use_new_zipfile_serialization=False)
    cues = [{"start": 0.0, "end": 0.5, "value": "A"}, {"start": 0.5, "end": 1.0, "value": "B"}]
    return [
        ("detections", "detections.json", json.dumps(full).encode()),
        ("run", "run.json", json.dumps(run).encode()),
        ("clips", "clips.csv", b"clip,domain,voice,pair\na.mp4,animation,b.wav,p\nc.mp4,live_action,,p\n"),
        ("pairs", "pairs.csv", b"source,output,voice,domain\na.mp4,b.mp4,c.wav,animation\n"),
        ("timing", "t.json", json.dumps({"mouthCues": cues}).encode()),
        ("timing", "t.tsv", b"0.00\tX\n0.25\tB\n1.00\tX\n"),
        ("timing", "t.dat", b"MohoSwitch1\n1 rest\n5 AI\n9 rest\n"),
        ("chart", "chart.json", json.dumps({"schema": 1, "mouths": [{"shape": "A", "file": "A.png"}]}).encode()),
        ("sweep", "sweep.yaml", b"clips: [a.mp4]\nvoices: [b.wav]\nsettings: {crf: [18, 20]}\nout: runs\n"),
        *(("checkpoint", name, (folder / name).read_bytes()) for name in ("w.safetensors", "w.pth", "w.pkl")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=int, default=2000)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return
    rng, worker, counts, faults = random.Random(options.seed), Worker(), Counter(), 0
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out) as place:
        place = Path(place)
        seeds = [(path.suffix, path.read_bytes()) for path in media_seeds(place)]
        plain = file_seeds(place)
        for number in range(options.media + options.files):
            folder = place / "case"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if number < options.media:
                kind, (ending, data) = "media", rng.choice(seeds)
                how, data = mutated(data, rng.choice(seeds)[1], rng)
                path = folder / f"case{ending}"
            else:
                kind, name, data = rng.choice(plain)
                if name.endswith(".json") and rng.random() < 0.7:
                    how, data = mutated_json(data.decode(), rng)
                else:
                    how, data = mutated(data, rng.choice(plain)[2], rng)
                path = folder / name
                if kind == "run":
                    (folder / "ledger.csv").write_bytes(
                        mutated(b"frame,time,shot\n0,0,0\n1,0.04,0\n", b"\0,\n", rng)[1]
                    )
            path.write_bytes(data)
            before = {each.name for each in folder.iterdir()}
            answer = worker.ask(kind, path)
            if {each.name for each in folder.iterdir()} != before:
                answer = "wrote a file"
            counts[kind, answer if answer in ("read", "refused") else "fault"] += 1
            if answer not in ("read", "refused"):
                faults += 1
                kept = options.out / f"fault{faults:03d}-{kind}-{how}{path.suffix}"
                shutil.copyfile(path, kept)
                print(f"{kept}: {answer}", flush=True)
            if number % 100 == 99:
                print(number + 1, dict(counts), flush=True)
    print("kind        read  refused  fault")
    for kind in dict.fromkeys(kind for kind, _ in counts):
        print(f"{kind:10} {counts[kind, 'read']:5} {counts[kind, 'refused']:8} {counts[kind, 'fault']:6}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
