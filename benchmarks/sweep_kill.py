"""A sweep of 64 runs on two Dask workers: a worker is killed, then the client. What is done twice, what is lost?

    python benchmarks/sweep_kill.py --out FOLDER

Clips of a second (parts of bundled samples, and small synthetic pictures) are dubbed and evaluated. Once 12 records are
there, a worker with its nanny gets SIGKILL, and another takes its place; once 30 are there, the client gets SIGKILL;
then the same command is given again. What happened is counted apart from the sweep: an audit hook in every process
notes each rename of a record or of a run's folder into place.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lipsync_lab import samples
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import open_clip

#: Clips x voices x generators x settings = 64.
CLIPS = ("animation_hello", "animation_kettle", "astronaut_hello", "astronaut_kettle")
KILL_WORKER, KILL_CLIENT, RUNS = 12, 30, 64
#: Written as sitecustomize.py, which every Python process imports at its start.
HOOK = """
import os, sys

def _note(event, values):
    if event == "os.rename":
        target = str(values[1]).replace(os.sep, "/")
        if "/out/records/" in target or (target.endswith("/run") and "/out/runs/" in target):
            with open(os.environ["SWEEP_JOURNAL"], "a") as journal:
                journal.write(target.partition("/out/")[2] + "\\n")

sys.addaudithook(_note)
"""


def material(folder: Path, seconds: float = 1.0) -> None:
    """Clips, voices and the file of the sweep."""
    names = []
    for name in CLIPS:
        clip = open_clip(samples.path(name))
        frames = np.stack(list(clip.read(10, 10 + round(seconds * float(clip.fps)))))
        video.write_clip(folder / f"{name}.mp4", frames[:, ::2, ::2], clip.fps)
        names.append(name)
    y, x = np.mgrid[0:96, 0:96]
    for number in range(4):
        waves = [128 + 90 * np.sin(x / (9 + number) + frame / 5) * np.cos(y / 11) for frame in range(25)]
        frames = np.repeat(np.stack(waves)[..., None], 3, axis=3).astype(np.uint8)
        video.write_clip(folder / f"waves_{number}.mp4", frames, 25)
        names.append(f"waves_{number}")
    for name in ("voice_umbrella", "voice_lighthouse"):
        wave = audio.load(samples.path(name))[: round(seconds * audio.SAMPLE_RATE)]
        video.write_clip(folder / f"{name}.mp4", frames, 25, sound=audio.Sound.from_wave(wave))
    (folder / "sweep.yaml").write_text(
        f"clips: [{', '.join(f'{name}.mp4' for name in names)}]\n"
        "voices: [voice_umbrella.mp4, voice_lighthouse.mp4]\n"
        "generators: [identity, wav2lip-lab]\n"
        "settings: [{feather: 0.0}, {feather: 0.1}]\n"
        "out: out\n",
        encoding="utf-8",
    )


@contextlib.contextmanager
def cluster(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and two workers: its address, and the processes, of which the first is the scheduler."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    processes = [start(folder, environment, "scheduler", "--port", str(port), "--dashboard-address", ":0")]
    processes += [worker(folder, environment, address) for _ in range(2)]
    try:
        yield address, processes
    finally:
        for process in processes:
            kill(process)


def start(folder: Path, environment: dict[str, str], *words: str) -> subprocess.Popen:
    with (folder / "cluster.log").open("a") as log:
        command = [sys.executable, "-m", "dask", *words]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def worker(folder: Path, environment: dict[str, str], address: str) -> subprocess.Popen:
    spill = ["--local-directory", str(folder / "dask")]
    return start(folder, environment, "worker", address, "--nthreads", "1", "--dashboard-address", ":0", *spill)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to the nanny, the worker and whatever they began, except the runs' own processes.

    The latter are in the same session; they must end by themselves, since their input ends.
    """
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for each in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if "lipsync_lab.sweep.child" not in each.cmdline():
                    each.send_signal(signal.SIGKILL)
    process.wait()


def wait_for(records: Path, count: int, client: subprocess.Popen, limit: float) -> int:
    begun = time.monotonic()
    while (there := len(list(records.glob("*.json")))) < count:
        if client.poll() is not None or time.monotonic() - begun > limit:
            sys.exit(f"{there} of {count} records after {time.monotonic() - begun:.0f} s, client {client.poll()}")
        time.sleep(0.2)
    return there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--limit", type=float, default=3000.0, help="seconds to wait for records (3000)")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True)
    material(folder)
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    root = Path(__file__).resolve().parents[1]
    environment = {
        **os.environ,
        "SWEEP_JOURNAL": str(folder / "journal.txt"),
        "PYTHONPATH": os.pathsep.join([str(folder / "hook"), str(root)]),
    }
    records = folder / "out" / "records"
    with cluster(folder, environment) as (address, processes):
        command = [sys.executable, "-m", "lipsync_lab", "sweep", str(folder / "sweep.yaml"), "--scheduler", address]
        begun = time.monotonic()
        client = subprocess.Popen(command, env=environment)
        at_worker = wait_for(records, KILL_WORKER, client, options.limit)
        kill(processes[1])
        processes[1] = worker(folder, environment, address)
        at_client = wait_for(records, KILL_CLIENT, client, options.limit)
        client.send_signal(signal.SIGKILL)
        client.wait()
        before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in records.glob("*.json")}
        done = subprocess.run(command, env=environment, timeout=options.limit)
        seconds = time.monotonic() - begun
    lines = Counter((folder / "journal.txt").read_text(encoding="utf-8").splitlines())
    written = Counter({name: count for name, count in lines.items() if name.startswith("records/")})
    dubbed = Counter({name: count for name, count in lines.items() if name.startswith("runs/")})
    table = pd.read_parquet(folder / "out" / "runs.parquet")
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in records.glob("*.json")}
    private = [path for path in (folder / "out").rglob("*.part")]
    print(f"runs asked for                                  {RUNS}")
    print(f"records when a worker was killed                {at_worker}")
    print(f"records when the client was killed              {at_client}, {len(before)} after its death")
    print(f"records in the end                              {len(after)}, exit code {done.returncode}")
    print(f"rows of runs.parquet, complete                  {len(table)}, {int((table['status'] == 'complete').sum())}")
    print(f"run twice (records written more than once)      {sum(count > 1 for count in written.values())}")
    print(f"dubs made more than once                        {sum(count > 1 for count in dubbed.values())}")
    print(f"records of before that changed                  {sum(after[name] != before[name] for name in before)}")
    print(f"lost (asked for, and no complete row)           {RUNS - int((table['status'] == 'complete').sum())}")
    print(f"files left half-written                         {len(private)}")
    print(f"seconds in all                                  {seconds:.0f}")


if __name__ == "__main__":
    main()
