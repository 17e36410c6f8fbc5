"""A process that does one run after the other, for a thread of a worker: it can be killed for its time or its memory.

The worker writes a job as a line of JSON to the process's input, and reads a line of JSON from its output. The process
ends when its input ends, in the middle of a run too: a worker that was killed leaves no process that works on.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

#: Seconds between two looks at the memory of a run.
_LOOK = 0.25
#: Seconds for a process to end by itself when the sweep is interrupted.
_PATIENCE = 10.0
#: Ids of the runs that this process does; a client asks a worker for them (`running`).
_running: set[str] = set()
_own = threading.local()
#: The signal that ends this process.
_left: list[int] = []
_children: set[Child] = set()


class Child:
    """The process of one thread."""

    def __init__(self, environment: dict[str, str]):
        self._scratch = tempfile.mkdtemp(prefix="lipsync_lab_sweep_")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lipsync_lab.sweep.child", self._scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        _children.add(self)

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: str, timeout: float | None, memory: float | None) -> dict[str, Any]:
        """Do a job; what ends its process is an answer as well: ``failed`` with the reason, and not ``final``."""
        import psutil

        start = time.monotonic()
        with contextlib.suppress(OSError):  # a process that died is found below
            self._process.stdin.write(job.encode() + b"\n")
            self._process.stdin.flush()
        while True:
            try:
                answer = self._answers.get(timeout=_LOOK)
            except queue.Empty:
                if timeout is not None and time.monotonic() - start > timeout:
                    reason = f"timed out after {timeout:g} s"
                else:
                    used = 0
                    with contextlib.suppress(psutil.Error):
                        process = psutil.Process(self._process.pid)
                        used = sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
                    if memory is None or used <= memory * 1e9:
                        continue
                    reason = f"used {used / 1e9:.2f} GB of memory, and the limit is {memory:g} GB"
                self.end()
                return {"failed": reason, "final": False}
            if answer:
                return json.loads(answer)
            code, last = self._process.wait(), self._last_line()
            self.end()
            return {"failed": f"its process ended with code {code}{last}", "final": False}

    def _last_line(self) -> str:
        if self._errors.closed:  # `stop` ended it
            return ""
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read()[-4000:].decode(errors="replace").splitlines()]
        return next((f": {line[:300]}" for line in reversed(lines) if line), "")

    def end(self, patience: float = 0.0) -> None:
        """Kill the process, and remove what it left; it may have some seconds to remove what is half-written."""
        if patience:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        _children.discard(self)


def begin(environment: dict[str, str]) -> None:
    """Say what this thread's process has in its environment, before it is begun."""
    _own.environment = environment


def do(job: str, run_id: str, timeout: float | None = None, memory: float | None = None) -> dict[str, Any]:
    """Do a job in this thread's process, which is begun if need be.

    Parameters
    ----------
    job : str
        `work.Job.as_json`.
    run_id : str
    timeout : float or None
        Seconds after which the process is killed.
    memory : float or None
        GB (10^9 bytes) of memory above which it is killed.

    Returns
    -------
    dict
        A record (`work.perform`); or ``failed``, the reason, with ``final``, whether another attempt would be in vain,
        and ``seconds``.
    """
    child = getattr(_own, "child", None)
    if child is None or not child.is_alive:
        if child is not None:
            child.end()
        child = _own.child = Child(getattr(_own, "environment", {}))
    start = time.monotonic()
    _running.add(run_id)
    try:
        answer = child.ask(job, timeout, memory)
    finally:
        _running.discard(run_id)
    return {"seconds": time.monotonic() - start} | answer if "failed" in answer else answer


def running() -> list[str]:
    """Ids of the runs that this process does now."""
    return list(_running)


def stop() -> None:
    """End all processes of this one's threads."""
    for child in list(_children):
        child.end(_PATIENCE)


def _answer(line: str, scratch: Path) -> dict[str, Any]:
    from lipsync_lab.errors import LipsyncError
    from lipsync_lab.reporting.outcome import first_line
    from lipsync_lab.sweep import work

    try:
        return work.perform(work.Job.of_json(line), scratch)
    except Exception as error:
        return {"failed": first_line(error), "final": isinstance(error, LipsyncError)}


def _leave(number: int, frame: object) -> None:
    """End the process as an exception does, so that nothing half-written stays."""
    if not _left:  # of Ctrl-C and `stop`, which comes next, the second must not interrupt the cleaning up
        _left.append(number)
        raise SystemExit(128 + number)


def main() -> None:
    """The process: jobs from the standard input, answers to the standard output; what is printed goes to the errors."""
    scratch = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    threading.Thread(target=listen, daemon=True).start()
    while True:
        answers.write(json.dumps(_answer(jobs.get(), scratch)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
