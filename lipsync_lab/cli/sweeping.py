"""The command `sweep`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

from lipsync_lab import progress
from lipsync_lab.cli import extras
from lipsync_lab.cli.use import FAILED
from lipsync_lab.errors import ParameterError

#: Runs that a dry run names.
_SHOWN = 5
#: Seconds between two lines where there is no terminal for a bar.
_LINES = 60.0


def flags(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The same command resumes a killed sweep. Exit codes: 0, every run is complete; 1, runs "
        "failed, and the others are complete; 2, the file cannot be used, or the scheduler is gone."
    )
    add = parser.add_argument
    add("file", metavar="SWEEP.yaml", help="clips, voices, generators, detectors, settings, combine, out")
    add("--dry-run", action="store_true", help="say what would run, and about how long, and stop (no)")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="runs at a time on this machine (half of its cores; with --gpu one a GPU)",
    )
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster, such as tcp://10.0.0.1:8786 (this machine)")
    add(
        "--gpu",
        action="store_true",
        help="one run a GPU: of a Dask cluster only workers with the resource GPU, here a worker a device (no)",
    )
    add("--timeout", type=float, default=3600.0, metavar="SECONDS", help="of a run; 0 for no limit (3600)")
    add("--memory-limit", type=float, default=0.0, metavar="GB", help="of a worker's process; 0 for no limit (0)")
    add(
        "--retries",
        type=int,
        default=1,
        metavar="N",
        help="further attempts after a crash, a time-out, or too much memory; an input that is wrong gets none (1)",
    )
    add("--retry-failed", action="store_true", help="do runs again that failed in an earlier call (no)")
    add("--device", help="cuda or cpu on the workers; if not given, cuda where it is available")
    add(
        "--notebooks",
        nargs="+",
        default=[],
        metavar="NOTEBOOK",
        help="execute these on every run with papermill: names such as 01_pipeline_walkthrough, or paths (none)",
    )


def sweep(options: argparse.Namespace) -> int:
    extras.need("sweep", "sweep")
    from lipsync_lab.sweep import client, page, summary
    from lipsync_lab.sweep.store import locked
    from lipsync_lab.sweep.work import COMPLETE

    for name in ("timeout", "memory_limit", "retries"):
        if not getattr(options, name) >= 0:
            raise ParameterError(
                f"--{name.replace('_', '-')} {getattr(options, name)} is not possible; it must be 0 or more"
            )
    if options.workers is not None and options.workers < 1:
        raise ParameterError(f"--workers {options.workers} is not possible; it must be 1 or more")
    if options.workers and options.scheduler:
        raise ParameterError("--workers and --scheduler exclude each other; a cluster has its own workers")
    say = (lambda line: None) if options.quiet else lambda line: print(line, file=sys.stderr, flush=True)
    planned = client.plan(options.file, device=options.device, notebooks=options.notebooks, keep=not options.dry_run)
    left = planned.to_do(options.retry_failed)
    devices = _devices() if options.gpu and not options.scheduler else []
    workers = options.workers or len(devices) or max(1, (os.cpu_count() or 1) // 2)
    if devices and workers > len(devices):
        raise ParameterError(f"--workers {workers} with --gpu: there are {len(devices)} devices")
    if options.dry_run:
        _describe(planned, left, None if options.scheduler else workers)
        return 0
    limits = client.Limits(options.timeout or None, options.memory_limit or None, options.retries)
    with ExitStack() as stack:
        stack.enter_context(locked(planned.store))
        planned = replace(planned, table=summary.known(planned.store))
        if options.scheduler:
            cluster, executor = stack.enter_context(client.dask_workers(options.scheduler, options.gpu))
            say(f"dashboard: {cluster.dashboard_link}")
            more = {"threads": lambda: client.slots(cluster), "busy": lambda: client.orphans(cluster)}
        else:
            executor = stack.enter_context(client.local_workers(workers, devices))
            more = {"threads": lambda: workers}
        shown = stack.enter_context(progress.make(quiet=options.quiet))
        lined = shown if type(shown) is not progress.Log else _Lines(say)
        table = client.run(planned, executor, limits=limits, again=options.retry_failed, progress=lined, **more)
        page.write(planned.store, table, len(planned.jobs))
    own = table[table["run_id"].isin(list(planned.jobs))]
    complete = int((own["status"] == COMPLETE).sum())
    bad = own[own["status"] != COMPLETE]
    for row in bad.head(20).itertuples():
        print(f"lipsync_lab: run {row.run_id} ({row.name}, {row.generator}) failed: {row.reason}", file=sys.stderr)
    print(f"{planned.store.address}/index.html: {complete} of {len(planned.jobs)} runs complete, {len(bad)} failed")
    return FAILED if len(bad) else 0


class _Lines:
    """Progress as a line a minute, with the time left."""

    def __init__(self, say):
        self._say, self._begun, self._said = say, time.monotonic(), time.monotonic()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if total and (now - self._said > _LINES or done == total):
            left = (now - self._begun) / done * (total - done)
            self._say(f"{stage}: {done} of {total} runs, about {progress.duration(left)} left")
            self._said = now


def _devices() -> list[str]:
    """The CUDA devices of this machine, as values of ``CUDA_VISIBLE_DEVICES``."""
    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [name for name in named.split(",") if name]
    import torch

    if not torch.cuda.device_count():
        raise ParameterError("--gpu: there is no CUDA device here; omit it, or name a --scheduler")
    return [str(number) for number in range(torch.cuda.device_count())]


def _describe(planned, left, workers: int | None) -> None:
    """What a dry run says."""
    from lipsync_lab.sweep.work import FAILED as failed

    known = planned.table[planned.table["run_id"].isin(list(planned.jobs))]
    bad = int((known["status"] == failed).sum())
    print(f"{planned.store.address}: {len(planned.jobs)} runs: {len(left)} to do, {len(planned.jobs) - len(left)} done"
          f"{f', of which {bad} failed (--retry-failed does them again)' if bad else ''}")  # fmt: skip
    for job in left[:_SHOWN]:
        print(f"  {job.run_id}  {job.name}  {job.voice[0].rpartition('/')[2]}  {job.generator[0]}  {job.detector[0]}")
    if len(left) > _SHOWN:
        print(f"  and {len(left) - _SHOWN} more")
    seconds, basis = planned.estimate(left)
    several = f"{workers} worker{'s' * (workers != 1)}"
    shared = f"; about {progress.duration(seconds / workers)} with {several}" if workers else ""
    print(f"about {progress.duration(seconds)} one after the other ({basis}){shared}")
