"""What a sweep's scheduler, store and summary cost at 100,000 runs, with tasks that do nothing.

    python benchmarks/sweep_scale.py --out FOLDER [--tasks 100000]

The client of `lipsync_lab.sweep` hands tasks that do nothing to a Dask scheduler in a process of its own, with two
workers of 50 threads in the place of 100 GPUs: in windows, as a sweep does, and once more all at once. Then the table
and the pages of as many runs with made-up numbers are written.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from lipsync_lab.sweep import client, page, summary
from lipsync_lab.sweep.store import Store
from lipsync_lab.sweep.work import Job

sys.path.insert(0, str(Path(__file__).parent))
from sweep_kill import kill, start

THREADS, WORKERS = 50, 2
GENERATORS, DOMAINS = ("identity", "wav2lip-lab", "cel", "mine"), ("animation", "live_action")


def nothing(job: str, run_id: str, timeout: float | None, memory: float | None) -> dict:
    """The task: its answer is as large as a record."""
    return {**EMPTY, "run_id": run_id}


#: As large as a record of a run.
EMPTY = {"metrics": {f"metric_{number}": 0.123456 for number in range(36)}, "settings": {str(n): n for n in range(23)}}


class Peak(threading.Thread):
    """Memory and processor time of a process, looked at twice a second."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.process, self.most, self.ended = psutil.Process(pid), 0, threading.Event()
        self.first, self.begun = self.process.memory_info().rss, sum(self.process.cpu_times()[:2])
        self.start()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            self.most = max(self.most, self.process.memory_info().rss)

    def stop(self) -> tuple[float, float]:
        """MB above the start at most, and processor seconds."""
        self.ended.set()
        self.join()
        return (max(self.most, self.first) - self.first) / 1e6, sum(self.process.cpu_times()[:2]) - self.begun


def jobs(count: int, out: str) -> list[Job]:
    from lipsync_lab.settings import Settings

    settings = Settings(audio_offset=0).as_dict()
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    made = []
    for number in range(count):
        clip = f"s3://bucket/clips/{number // 8:05d}.mp4", f"{number // 8:064x}"
        generator = GENERATORS[number % 4]
        made.append(
            Job(
                clip,
                clip,
                None,
                (generator, ""),
                ("auto", ""),
                {**settings, "feather": (0.0, 0.1)[number // 4 % 2]},
                DOMAINS[number // 8 % 2],
                "",
                clip[0].rpartition("/")[2],
                {"generator": generator},
                out,
            )  # fmt: skip
        )
    return made


def scheduled(folder: Path, made: list[Job], window: bool) -> None:
    """Hand out all jobs, and print what that cost."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    environment |= {"DASK_DISTRIBUTED__ADMIN__LOG_LENGTH": "0"}
    address, processes = "tcp://127.0.0.1:18786", []
    try:
        processes.append(start(folder, environment, "scheduler", "--port", "18786", "--dashboard-address", ":0"))
        for _ in range(WORKERS):
            spill = ["--local-directory", str(folder / "dask"), "--no-nanny", "--memory-limit", "0"]
            processes.append(
                start(
                    folder,
                    environment,
                    "worker",
                    address,
                    "--nthreads",
                    str(THREADS),
                    "--dashboard-address",
                    ":0",
                    *spill,
                )
            )
        with client.dask_workers(address) as (dask, pool):
            dask.wait_for_workers(WORKERS, timeout=120)
            scheduler, own = Peak(processes[0].pid), Peak(os.getpid())
            threads = (lambda: client.slots(dask)) if window else lambda: len(made)
            begun, count = time.monotonic(), 0
            store = Store(str(folder / "out"))
            for record in client.finished(store, made, pool, client.Limits(), threads, set, nothing):
                count += "metrics" in record
            wall = time.monotonic() - begun
            (memory, cpu), (client_memory, client_cpu) = scheduler.stop(), own.stop()
    finally:
        for process in processes:
            kill(process)
    name = "in windows" if window else "all at once"
    print(f"{count} tasks, {name}: {wall:.0f} s, {1e3 * wall / count:.2f} ms a task; scheduler {cpu:.0f} s of CPU "
          f"({1e3 * cpu / count:.2f} ms a task), {memory:.0f} MB; client {client_cpu:.0f} s, {client_memory:.0f} MB",
          flush=True)  # fmt: skip


def summarised(folder: Path, made: list[Job]) -> None:
    """Write the table and the pages of as many runs, and print what that cost."""
    rng, store = np.random.default_rng(0), Store(str(folder / "out"))
    names = summary.metrics()
    begun, tables = time.monotonic(), []
    for first in range(0, len(made), 5000):
        records = []
        for job in made[first : first + 5000]:
            values = dict(zip(names, rng.gamma(1.0, 0.1, len(names)).tolist(), strict=True))
            record = {
                **{**job.about, "status": "complete", "reason": "", "seconds": 40.0, "frames": 250, "device": "cuda"},
                **{"machine": f"gpu-{rng.integers(100)}", "code": "0" * 64, "notebooks": [], "metrics": values},
            }
            if rng.random() < 0.01:
                record |= {"status": "failed", "reason": f"timed out after {rng.integers(9999)} s", "metrics": {}}
            records.append(record)
        tables.append(summary.table_of(records))
    table = summary.joined(tables)
    print(f"table of {len(table)} rows and {table.shape[1]} columns: made in {time.monotonic() - begun:.0f} s, "
          f"{table.memory_usage(deep=True).sum() / 1e6:.0f} MB in memory")  # fmt: skip
    begun = time.monotonic()
    summary.write_table(store, table)
    size, took = (store.local / "runs.parquet").stat().st_size / 1e6, time.monotonic() - begun
    print(f"runs.parquet: {size:.1f} MB in {took:.1f} s")
    begun = time.monotonic()
    pages = page.write(store, table, len(table))
    sizes, took = [(store.local / name).stat().st_size / 1e6 for name in pages], time.monotonic() - begun
    print(f"{len(pages)} pages in {took:.0f} s: index.html {sizes[0]:.2f} MB, the largest {max(sizes):.2f} MB")
    print(f"memory of this process at its end: {psutil.Process().memory_info().rss / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--tasks", type=int, default=100_000, help="(100000)")
    parser.add_argument("--only", choices=("windows", "once", "summary"), help="one of the three parts (all)")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    made = jobs(options.tasks, str(folder / "out"))
    for part, call in (
        ("windows", lambda: scheduled(folder, made, True)),
        ("once", lambda: scheduled(folder, made, False)),
        ("summary", lambda: summarised(folder, made)),
    ):
        if options.only in (None, part):
            call()


if __name__ == "__main__":
    main()
