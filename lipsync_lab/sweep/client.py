"""The client of a sweep: hashes the inputs, leaves out what is done, hands out runs, keeps the records' table."""

from __future__ import annotations

import json
import os
import queue
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import generation
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.progress import Progress
from lipsync_lab.sweep import child, spec, summary
from lipsync_lab.sweep.store import Store, digests, fetched, truth_of
from lipsync_lab.sweep.work import (
    COMPLETE,
    FAILED,
    RECORDS,
    Job,
    detector_of,
    failed,
    generator_of,
    notebook_path,
    weights_of,
)

if TYPE_CHECKING:
    import pandas

#: Runs that are with the workers or wait there, at least, and for each thread of theirs: the scheduler's memory stays
#: small however many runs there are.
_LEAST, _FOR_A_THREAD = 64, 4
#: Seconds between two tables of the records so far, at least, and in units of what the last one took.
_EVERY, _TIMES = 30.0, 20.0
#: Seconds a run that is assumed where none was measured.
GUESS = 30.0
#: Seconds between two questions for runs that an earlier client left to the workers.
_PAUSE = 2.0


@dataclass(frozen=True)
class Plan:
    """What a sweep is.

    Attributes
    ----------
    store : Store
    jobs : dict of str to Job
        By run id, in the order of the file; runs that the file asks for twice stand here once.
    table : DataFrame
        Of the finished runs that are there (`summary.known`).
    """

    store: Store
    jobs: Mapping[str, Job]
    table: pandas.DataFrame

    def to_do(self, again: bool = False) -> list[Job]:
        """The jobs without a record; `again`: those that failed too."""
        columns = (self.table[name] for name in ("run_id", "status", "notebooks"))
        known = {run_id: (status, books.split()) for run_id, status, books in zip(*columns, strict=True)}
        out = []
        for run_id, job in self.jobs.items():
            status, books = known.get(run_id, ("", ()))
            if not job.is_done(status, books) and (again or status != FAILED):
                out.append(job)
        return out

    def estimate(self, jobs: Sequence[Job]) -> tuple[float, str]:
        """Seconds that jobs take one after the other, and what that rests on."""
        done = self.table[self.table["status"] == COMPLETE]
        if done.empty:
            return GUESS * len(jobs), f"a guess of {GUESS:g} s a run; none is measured yet"
        usual, means = done["seconds"].mean(), done.groupby("generator")["seconds"].mean().to_dict()
        total = sum(means.get(job.generator[0], usual) for job in jobs)
        return total, f"from {len(done)} finished runs of {usual:.1f} s on average"


@dataclass(frozen=True)
class Limits:
    """Of every run: seconds and GB, None for no limit; further attempts after a crash, a time-out or a lost worker."""

    timeout: float | None = 3600.0
    memory: float | None = None
    retries: int = 1


def plan(
    path: str | Path,
    *,
    device: str | None = None,
    notebooks: Sequence[str] = (),
    keep: bool = True,
) -> Plan:
    """Read ``sweep.yaml``, and hash everything that its runs depend on; nothing is started.

    Parameters
    ----------
    path : path
        See `spec.read`.
    device : str, optional
        "cuda" or "cpu" on the workers; None takes CUDA where there is one.
    notebooks : sequence of str
        Names or paths of notebooks that are executed on every run.
    keep : bool
        Note in the folder of the results which inputs were hashed, so that the next call need not.

    Raises
    ------
    LipsyncError
        All that is wrong with the file, an input or a model.
    """
    wanted = spec.read(path)
    for notebook in notebooks:
        notebook_path(notebook)
    store = Store(wanted.out)
    if wanted.out.startswith(("http:", "https:")):
        raise ParameterError(f"{path}: out {wanted.out} cannot be written by HTTP; name a folder, or s3:// or gs://")
    files = [name for run in wanted.runs for name in _models(run) if _is_file(name)]
    truths = [truth_of(run.clip) for run in wanted.runs if _is_file(run.clip)]
    inputs = [address for run in wanted.runs for address in (run.clip, run.voice)]
    hashes = digests([*inputs, *files, *truths], store, keep)
    _check_inputs(path, wanted.runs, hashes)
    weights = _weights(path, wanted.runs, hashes)
    jobs: dict[str, Job] = {}
    for run in wanted.runs:
        about, offset = weights[_models(run)]
        settings = run.settings if run.settings.audio_offset is not None else replace(run.settings, audio_offset=offset)
        truth = truth_of(run.clip) if _is_file(run.clip) else None
        job = Job(
            clip=(run.clip, hashes[run.clip]),
            voice=(run.voice, hashes[run.voice]),
            truth=(truth, hashes[truth]) if truth and hashes[truth] else None,
            generator=(run.generator, hashes.get(run.generator) or ""),
            detector=(run.detector, hashes.get(run.detector) or ""),
            restorer=(run.settings.restorer or "", hashes.get(run.settings.restorer) or ""),
            settings=json.loads(json.dumps(settings.as_dict())),
            domain=run.domain,
            pair=run.pair,
            name=run.name,
            weights=about,
            out=wanted.out,
            device=device,
            notebooks=tuple(notebooks),
        )
        jobs.setdefault(job.run_id, job)
    return Plan(store, jobs, summary.known(store))


def _models(run: spec.Wanted) -> tuple[str, str, str]:
    """Generator, detector and restorer (empty for none) by name or address."""
    return run.generator, run.detector, run.settings.restorer or ""


def _is_file(name: str) -> bool:
    """Whether a clip or a model is given by an address: spec has made every path absolute."""
    return "://" in name or Path(name).is_absolute()


def _check_inputs(path: str | Path, runs: Sequence[spec.Wanted], hashes: Mapping[str, str | None]) -> None:
    problems = {}
    for run in runs:
        for address in (run.clip, run.voice, *_models(run)):
            if address in hashes and hashes[address] is None:
                problems[f"{run.where}: {address} is not there"] = None
        if run.sha256 and hashes[run.clip] not in (None, run.sha256.lower()):
            problems[f"{run.where}: {run.clip} has the SHA-256 {hashes[run.clip]}, not {run.sha256}"] = None
    if problems:
        raise MediaError(f"{path}: nothing was started; {'; '.join(list(problems)[:20])}")


def _weights(
    path: str | Path, runs: Sequence[spec.Wanted], hashes: Mapping[str, str | None]
) -> dict[tuple[str, str, str], tuple[dict[str, Any], int]]:
    """By generator, detector and restorer: the hashes of all weights, and the generator's audio offset."""
    out, checked = {}, set()
    with tempfile.TemporaryDirectory() as folder:

        def here(name: str) -> str:
            return str(fetched(name, hashes[name], Path(folder))) if _is_file(name) else name

        for run in runs:
            key = _models(run)
            if (key, run.settings) in checked:
                continue
            checked.add((key, run.settings))
            try:
                generator, detector = generator_of(here(run.generator)), detector_of(here(run.detector))
                generation.check(generator, run.settings)
                if key not in out:
                    generator = generation.restored(generator, here(key[2]) or None)
            except LipsyncError as error:
                raise type(error)(f"{path}, {run.where}: {error}") from None
            if key not in out:
                out[key] = json.loads(json.dumps(weights_of(generator, detector))), generator.audio_offset
    return out


@contextmanager
def local_workers(count: int, devices: Sequence[str] = ()) -> Iterator[Executor]:
    """Threads with a process each on this machine.

    Parameters
    ----------
    count : int
    devices : sequence of str
        Values of ``CUDA_VISIBLE_DEVICES``, one a thread; none leaves it as it is.
    """
    threads = str(max(1, (os.cpu_count() or 1) // count))
    free: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for number in range(count):
        own = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": threads}
        free.put(own | ({"CUDA_VISIBLE_DEVICES": devices[number]} if devices else {}))
    pool = ThreadPoolExecutor(count, initializer=lambda: child.begin(free.get()))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        child.stop()


@contextmanager
def dask_workers(address: str, gpu: bool = False) -> Iterator[tuple[Any, Executor]]:
    """A Dask cluster by its scheduler's address: the client, and its workers as an executor.

    Parameters
    ----------
    address : str
    gpu : bool
        Hand runs only to workers with the resource ``GPU``, as many at a time as they have of it.

    Raises
    ------
    LipsyncError
        The scheduler cannot be reached.
    """
    from distributed import Client

    try:
        client = Client(address, timeout="20s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise LipsyncError(f"--scheduler {address}: cannot be reached ({str(error).partition(chr(10))[0]})") from None
    with client:
        options = {"resources": {"GPU": 1}} if gpu else {}
        yield client, client.get_executor(pure=False, **options)


def slots(client: Any) -> int:
    """Threads of all workers of a Dask cluster."""
    return sum(client.nthreads().values())


def orphans(client: Any) -> set[str]:
    """Ids of the runs that workers still do for a client that died."""
    return {run_id for ids in client.run(child.running).values() for run_id in ids}


def run(
    planned: Plan,
    executor: Executor,
    *,
    limits: Limits = Limits(),
    threads: Callable[[], int] = lambda: 1,
    busy: Callable[[], set[str]] = set,
    again: bool = False,
    task: Callable[..., dict[str, Any]] = child.do,
    progress: Progress | None = None,
) -> pandas.DataFrame:
    """Do what is to do of a sweep, and write ``runs.parquet`` now and then, and at the end.

    Parameters
    ----------
    planned : Plan
    executor : Executor
        Of `local_workers` or `dask_workers`.
    limits : Limits
    threads : callable
        How many runs the workers do at a time, now.
    busy : callable
        Ids of runs that an earlier client left to the workers: they are waited for, and not begun again.
    again : bool
        Do what failed once more.
    task : callable
        What a worker calls: `child.do`.
    progress : callable, optional
        The stage is "sweep", the unit a run.

    Returns
    -------
    DataFrame
        See `summary.table_of`.

    Raises
    ------
    LipsyncError
        The workers are gone. What is finished is kept, and another call goes on.
    """
    left, held, table = planned.to_do(again), busy(), planned.table
    left.sort(key=lambda job: job.run_id in held)
    count, fresh, writing = len(left), [], _Writing(planned.store)
    for done, record in enumerate(finished(planned.store, left, executor, limits, threads, busy, task), start=1):
        fresh.append(record)
        if writing.is_due():
            table, fresh = summary.joined([table, summary.table_of(fresh)]), []
            writing.write(table)
        if progress:
            progress("sweep", done, count)
    table = summary.joined([table, summary.table_of(fresh)])
    writing.write(table)
    return table


class _Writing:
    """Writes the table so seldom that it takes a small share of the time."""

    def __init__(self, store: Store):
        self._store, self._next = store, time.monotonic() + _EVERY

    def is_due(self) -> bool:
        return time.monotonic() > self._next

    def write(self, table: pandas.DataFrame) -> None:
        start = time.monotonic()
        summary.write_table(self._store, table)
        now = time.monotonic()
        self._next = now + max(_EVERY, _TIMES * (now - start))


def finished(store: Store, left: Sequence[Job], executor, limits: Limits, threads, busy, task) -> Iterator[dict]:
    """The records of jobs, as they are finished; a failure is recorded once its attempts are used up."""
    waiting, attempts = deque(left), Counter()
    pending: dict[Future, Job] = {}
    ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
    held = busy()
    most = 0
    while waiting or pending:
        most = max(_LEAST, _FOR_A_THREAD * threads()) if len(pending) <= most // 2 else most
        while waiting and len(pending) < most:
            if waiting[0].run_id in held and (held := busy()) and waiting[0].run_id in held:
                if not pending:
                    time.sleep(_PAUSE)
                break
            job = waiting.popleft()
            future = executor.submit(task, job.as_json(), job.run_id, limits.timeout, limits.memory)
            pending[future] = job
            future.add_done_callback(ended.put)
        if not pending:
            continue
        job = pending.pop(future := ended.get())
        answer = _answer(future)
        if "failed" in answer:
            attempts[job.run_id] += 1
            if not answer["final"] and attempts[job.run_id] <= limits.retries:
                waiting.append(job)
                continue
            made = f" ({attempts[job.run_id]} attempts)" if attempts[job.run_id] > 1 else ""
            answer = failed(job, answer["failed"] + made, answer.get("seconds", 0.0))
            store.write(f"{RECORDS}/{job.run_id}.json", (json.dumps(answer, indent=1) + "\n").encode())
        yield answer


def _answer(future: Future) -> dict[str, Any]:
    """What a worker answered; that workers were lost with a run is an answer, that all are gone is an error."""
    try:
        return future.result()
    except CancelledError:
        raise LipsyncError("the scheduler is gone; what is finished is kept, and the same command goes on") from None
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        return {"failed": f"lost with its worker ({type(error).__name__}: {reason})", "final": True}
