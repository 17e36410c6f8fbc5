"""The notebooks of a report, several at a time, while further clips are dubbed."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Self

from lipsync_lab.reporting.notebooks import Kernels
from lipsync_lab.reporting.outcome import Outcome

if TYPE_CHECKING:
    from lipsync_lab.progress import Progress

#: Bytes of memory for every kernel: one that dubs clips of 360 lines takes about a third of it.
MEMORY = 2 * 10**9
#: Seconds between two looks at how far a notebook is.
_LOOK = 0.2


def most_kernels() -> int:
    """How many kernels work at the same time: one a core, and one for every `MEMORY` bytes of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows does not say
        return cores
    return max(1, min(cores, memory // MEMORY))


class Executions:
    """Executions of notebooks, which begin as soon as their clips are there and are asked for in their order.

    A kernel is a process of its own, and a thread waits for it. Its networks have as many threads as those of a single
    kernel, since the last digit of a metric may depend on that; threads that wait do not spin. With one kernel nothing
    is done beside anything else: a notebook is executed when its outcome is asked for.

    Parameters
    ----------
    kernels : int, optional
        By default `most_kernels`.
    progress : callable, optional
        Called in the thread that asks, with the steps of the notebook that it waits for.
    """

    def __init__(self, kernels: int | None = None, progress: Progress | None = None):
        count = kernels or most_kernels()
        self._progress, self._kernels = progress, Kernels()
        self._pool = ThreadPoolExecutor(count, "notebook") if count > 1 else None
        self._begun: dict[Hashable, Future[Outcome]] = {}
        self._steps: dict[Hashable, tuple[str, int, int | None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None:
            self._kernels.stop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)

    def begin(self, key: Hashable, execute: Callable[[Kernels, Progress], Outcome]) -> None:
        """Execute a notebook in a thread, where more than one kernel may work; the same key is begun once."""
        if self._pool is not None and key not in self._begun:
            steps = lambda *step: self._steps.update({key: step})  # noqa: E731
            self._begun[key] = self._pool.submit(_in_thread, execute, self._kernels, steps)

    def outcome(self, key: Hashable, execute: Callable[[Kernels, Progress | None], Outcome]) -> Outcome:
        """The outcome of an execution; one that has not begun begins now."""
        if self._pool is None:
            return execute(self._kernels, self._progress)
        self.begin(key, execute)
        future, shown = self._begun[key], None
        while True:
            done, _ = wait([future], timeout=_LOOK)
            step = self._steps.get(key)
            if self._progress and step is not None and step != shown:
                self._progress(*step)
                shown = step
            if done:
                return future.result()


def _in_thread(execute: Callable[[Kernels, Progress], Outcome], kernels: Kernels, progress: Progress) -> Outcome:
    from jupyter_core.utils import ensure_event_loop

    try:
        return execute(kernels, progress)
    finally:
        ensure_event_loop().close()  # each thread has one of its own, which nobody else closes
