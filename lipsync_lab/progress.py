"""How far a long task is: one bar in a terminal or a notebook, one plain line a finished stage anywhere else."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import Protocol, Self, TextIO

#: The number of a stage, before its name.
_NUMBER = re.compile(r"\[(\d+)/(\d+)\] ")
#: Seconds between two pictures of a bar.
_INTERVAL = 0.1


class Progress(Protocol):
    """A callback that long tasks call.

    Parameters
    ----------
    stage : str
        What is being done: "detect". In ``"talks: detect"``, "talks" is the stage and "detect" a step of it. In
        ``"[3/10] talks: detect"``, the stage is the third of ten.
    done : int
        Units of this stage, or of this step, that are finished.
    total : int or None
        Units in all, where the number is known.
    """

    def __call__(self, stage: str, done: int, total: int | None) -> None: ...


class Reporter:
    """Follows the stages of a task, and shows nothing.

    A stage is finished when another one begins, when `finish` is called with its name, or when the block of the
    ``with`` statement ends. Where the number of stages is known, a summary follows them.

    Parameters
    ----------
    total_stages : int or None
        Number of stages of the task, if it is known.
    file : TextIO
        Where to write.

    Attributes
    ----------
    failed : int
        Stages that failed, for the summary; the caller may set it.
    """

    def __init__(self, total_stages: int | None, file: TextIO):
        self.total_stages, self.failed = total_stages, 0
        self._file = file
        self._begun = self._stage_begun = time.monotonic()
        self._stage: str | None = None
        self._finished: set[str] = set()
        self._before = 0  # stages before the present one
        self._work: dict[str, float] = {}
        self._other_work = 0.0

    def __enter__(self) -> Self:
        return self

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        name = stage.partition(": ")[0]
        # where stages are counted, one that is finished stays so
        if name != self._stage and (self.total_stages is None or name not in self._finished):
            if self._stage is not None:
                self.finish(self._stage)
            self._stage, self._stage_begun, self._before = name, time.monotonic(), len(self._finished)
            if number := _NUMBER.match(name):
                self._before, self.total_stages = int(number[1]) - 1, int(number[2])
        self._show(stage, done, total)

    def finish(self, stage: str, failed: bool = False, seconds: float | None = None) -> None:
        """Count a stage as finished, also one of which nothing was reported.

        `seconds` is what it took, where it was done beside other stages; by default the time since it began here.
        """
        if stage in self._finished and stage != self._stage:
            return
        if seconds is None:
            seconds = time.monotonic() - self._stage_begun if stage == self._stage else 0.0
        self._finished.add(stage)
        self.failed += failed
        self._stage = None if stage == self._stage else self._stage
        self._stage_finished(stage, seconds, failed)

    def __exit__(self, kind, *_) -> None:
        if kind is None and self._stage is not None:
            self.finish(self._stage)
        self._close()
        if kind is None and self.total_stages is not None:
            self._summarise(
                f"{self.total_stages - self.failed} of {self.total_stages} done in "
                f"{duration(time.monotonic() - self._begun)}, {self.failed} failed"
            )

    def announce(self, line: str) -> None:
        """Say what is going to be done, where nothing else shows that it has begun."""

    def expect(self, work: Mapping[str, float], other: float) -> None:
        """Say how much work each stage is, in any unit; `other` is that of each stage without a number of its own."""
        self._work, self._other_work = dict(work), other

    def left(self) -> float | None:
        """Seconds that the rest may take, from those that the finished stages took; None where that is not known."""
        unnamed = len(self._finished - self._work.keys()) * self._other_work
        done = unnamed + sum(work for stage, work in self._work.items() if stage in self._finished)
        if self.total_stages is None or not done:
            return None
        whole = sum(self._work.values()) + self._other_work * max(0, self.total_stages - len(self._work))
        return (time.monotonic() - self._begun) * max(0.0, whole - done) / done

    def _show(self, stage: str, done: int, total: int | None) -> None:
        """A step forward."""

    def _stage_finished(self, stage: str, seconds: float, failed: bool) -> None:
        """The end of a stage."""

    def _close(self) -> None:
        """The end of the task, before the summary."""

    def _summarise(self, line: str) -> None:
        """The summary of a task whose number of stages is known."""


class Log(Reporter):
    """Writes one plain line a finished stage, without cursor codes: for log files and pipes."""

    def announce(self, line: str) -> None:
        self._summarise(line)

    def _stage_finished(self, stage: str, seconds: float, failed: bool) -> None:
        if self.total_stages is not None and not _NUMBER.match(stage):
            stage = f"[{len(self._finished)}/{self.total_stages}] {stage}"
        left = None if len(self._finished) == self.total_stages else self.left()
        more = "" if left is None else f", about {duration(left)} left"
        self._summarise(f"{stage} {'failed after ' if failed else ''}{duration(seconds)}{more}")

    def _summarise(self, line: str) -> None:
        print(line, file=self._file, flush=True)


class Bar(Reporter):
    """Draws one bar, in a terminal or as a widget in a notebook; its description is the present stage.

    The bar counts stages where their number is known, and otherwise the units of the present stage.
    """

    def __init__(self, total_stages: int | None, file: TextIO, notebook: bool = False):
        super().__init__(total_stages, file)
        self._notebook, self._bar = notebook, None
        self._shown, self._shown_at = "", 0.0

    def _show(self, stage: str, done: int, total: int | None) -> None:
        counts_stages, now = self.total_stages is not None, time.monotonic()
        if self._bar is None:
            if self._notebook:
                from tqdm.notebook import tqdm
            else:
                from tqdm import tqdm
            self._bar = tqdm(total=self.total_stages if counts_stages else total, leave=False, file=self._file)
        elif stage == self._shown and now - self._shown_at < _INTERVAL and done != total:
            return
        if stage != self._shown and not counts_stages:
            self._bar.set_description_str(stage, refresh=False)
            self._bar.reset(total)
            self._bar.total = total  # which `reset` keeps where the new one is not known
        if counts_stages:
            self._bar.total = self.total_stages
            self._bar.set_postfix_str(f"{done}/{total}" if total is not None else str(done), refresh=False)
        self._bar.n = self._before if counts_stages else done
        self._bar.set_description_str(_NUMBER.sub("", stage))
        self._shown, self._shown_at = stage, now

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _summarise(self, line: str) -> None:
        print(line, file=self._file, flush=True)


def make(total_stages: int | None = None, quiet: bool = False, file: TextIO | None = None) -> Reporter:
    """Choose how progress is shown: a widget in a notebook, a bar in a terminal, plain lines anywhere else.

    Parameters
    ----------
    total_stages : int, optional
        Number of stages of the task, if it is known: stages are then numbered, and a summary follows them.
    quiet : bool
        Show nothing. The environment variable ``TQDM_DISABLE=1`` does the same.
    file : TextIO, optional
        Where to write; stderr if not given.

    Returns
    -------
    Reporter
        A `Progress` callback, to be used in a ``with`` statement.

    Examples
    --------
    >>> with make() as progress:
    ...     run = pipeline.run("talks.mp4", "voice.wav", "run", progress)
    """
    stream = sys.stderr if file is None else file
    if quiet or os.environ.get("TQDM_DISABLE") == "1":
        return Reporter(total_stages, stream)
    if file is None and _in_notebook():
        return Bar(total_stages, stream, notebook=True)
    return (Bar if stream.isatty() else Log)(total_stages, stream)


def duration(seconds: float) -> str:
    """Write a time as a person would: "24 s", "3 min 41 s", "1 h 2 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _in_notebook() -> bool:
    """Whether this process is a Jupyter kernel that can show widgets."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive else None
    return hasattr(shell, "kernel") and importlib.util.find_spec("ipywidgets") is not None
