"""Processes that are really killed: a worker, the client, and the worker of a run's own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import light_runs
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
RUNS = 40


def until(fact: Callable[[], object], seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path):
    """Starts Python programs, which end with the test."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": paths, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "30s"}
    processes = []

    def begin(*words: str) -> subprocess.Popen:
        with (tmp_path / "log.txt").open("ab") as log:
            command = [sys.executable, *words]
            processes.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def test_nothing_is_done_twice_or_lost_when_a_worker_and_the_client_are_killed(start, tmp_path):
    any_port = ("--dashboard-address", ":0")
    start("-m", "dask", "scheduler", "--port", "0", "--scheduler-file", "scheduler.json", *any_port)
    until((tmp_path / "scheduler.json").is_file)
    worker = ("-m", "dask", "worker", "--scheduler-file", "scheduler.json", "--nthreads", "2", "--no-nanny", *any_port)
    workers = [start(*worker) for _ in range(2)]
    address = pd.read_json(tmp_path / "scheduler.json", typ="series")["address"]
    line = (str(ROOT / "tests" / "light_runs.py"), address, str(tmp_path / "out"), str(RUNS))
    records = tmp_path / "out" / "records"

    def there() -> set[str]:
        return {path.stem for path in records.glob("*.json")}

    client = start(*line)
    until(lambda: len(there()) >= 6)
    workers[0].send_signal(signal.SIGKILL)
    workers.append(start(*worker))
    until(lambda: len(there()) >= 16)
    client.send_signal(signal.SIGKILL)
    client.wait()
    finished = there()
    assert len(finished) < RUNS
    assert start(*line).wait(timeout=60) == 0
    wanted = {light_runs.job(number, "").run_id for number in range(RUNS)}
    assert there() == wanted
    done = Counter(text for text in (tmp_path / "journal.txt").read_text().splitlines() if text.startswith("done"))
    # a worker that dies between a record and its line in the journal leaves no line, at most one for each thread
    assert max(done.values()) == 1
    assert len({f"done {run_id}" for run_id in wanted} - done.keys()) <= 2
    table = pd.read_parquet(tmp_path / "out" / "runs.parquet")
    assert set(table["run_id"]) == wanted
    assert set(table["status"]) == {"complete"}
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_runs_process_ends_with_its_worker(start, tmp_path):
    code = (
        "import pathlib, time\nfrom lipsync_lab.sweep.child import Child\n"
        "own = Child({})\npathlib.Path('ids').write_text(f'{own._process.pid} {own._scratch}')\ntime.sleep(60)\n"
    )
    worker = start("-c", code)
    until(lambda: (tmp_path / "ids").is_file() and (tmp_path / "ids").read_text())
    pid, scratch = (tmp_path / "ids").read_text().split()
    assert Path(scratch).is_dir()
    time.sleep(0.5)
    worker.send_signal(signal.SIGKILL)
    worker.wait()

    def is_gone() -> bool:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{pid}/stat").is_file() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"

    until(is_gone)
    assert not Path(scratch).exists()
