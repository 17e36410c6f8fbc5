"""Notebooks of a report, several at a time: what begins when, in which thread, and in which order they end."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lipsync_lab.reporting import executions
from lipsync_lab.reporting.executions import Executions, most_kernels
from lipsync_lab.reporting.notebooks import execute
from lipsync_lab.reporting.outcome import Outcome

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def named(name: str, error: str | None = None) -> Outcome:
    return Outcome("notebook", name, Path(name), error, 0.0, False)


def test_two_work_at_the_same_time_while_the_caller_goes_on():
    both = threading.Barrier(3, timeout=30)

    def work(name):
        def execute(kernels, progress):
            both.wait()
            return named(name, f"in {threading.current_thread().name}")

        return execute

    with Executions(2) as begun:
        begun.begin("a", work("a"))
        begun.begin("b", work("b"))
        begun.begin("a", work("never: the key is known"))
        both.wait()  # reached while both execute
        outcomes = [begun.outcome(key, None) for key in ("b", "a")]
    assert [outcome.name for outcome in outcomes] == ["b", "a"]
    assert len({outcome.error for outcome in outcomes}) == 2


def test_with_one_kernel_a_notebook_is_executed_where_it_is_asked_for():
    calls = []

    def execute(kernels, progress):
        calls.append(threading.current_thread())
        return named("a")

    with Executions(1) as begun:
        begun.begin("a", execute)
        assert calls == []
        assert begun.outcome("a", execute) == named("a")
    assert calls == [threading.main_thread()]


def test_steps_are_told_to_the_thread_that_asks_of_the_notebook_that_it_waits_for(monkeypatch):
    monkeypatch.setattr(executions, "_LOOK", 0.01)
    steps, may_end = [], threading.Event()

    def show(*step):
        steps.append((*step, threading.current_thread() is threading.main_thread()))
        may_end.set()

    def first(kernels, progress):
        progress("a", 1, 2)
        assert may_end.wait(30)
        return named("a")

    def second(kernels, progress):
        progress("b", 2, 2)
        return named("b")

    with Executions(2, show) as begun:
        begun.begin("a", first)
        begun.begin("b", second)
        assert [begun.outcome(key, None).name for key in "ab"] == ["a", "b"]
    assert steps == [("a", 1, 2, True), ("b", 2, 2, True)]


def test_an_interruption_ends_kernels_and_what_waits():
    begun_at, events = threading.Event(), []

    def first(kernels, progress):
        begun_at.set()
        while True:  # as nbclient does, which looks whether its kernel lives
            kernels.check()
            time.sleep(0.01)

    def interrupted():
        with Executions(2) as begun:
            begun.begin("a", first)
            begun.begin("b", first)
            begun.begin("c", lambda *_: events.append("c"))
            assert begun_at.wait(30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert events == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("notebook")]


def test_no_more_kernels_than_cores_and_memory(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    pages = {"SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    for gigabytes, kernels in ((64, 6), (8, 4), (1, 1)):
        pages["SC_PHYS_PAGES"] = gigabytes * 10**9 // 4096 + 1
        assert most_kernels() == kernels


def test_two_notebooks_in_their_own_folders_leave_this_process_where_it_is(tmp_path):
    here, books = os.getcwd(), []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        wait = (
            "while not all((here.parent / name / 'begun').is_file() for name in ('first', 'second')): time.sleep(0.02)"
        )
        source = f"import pathlib, time\nhere = pathlib.Path.cwd()\n(here / 'begun').touch()\n{wait}\nprint(here.name)"
        nbformat.write(
            new_notebook(cells=[new_code_cell(source)], metadata={"kernelspec": KERNEL}), folder / "book.ipynb"
        )
        books.append(folder)

    def of(folder):
        return lambda kernels, progress: execute(folder / "book.ipynb", folder / "out.ipynb", {}, kernels=kernels)

    with Executions(2) as begun:
        for folder in books:
            begun.begin(folder, of(folder))
        assert [begun.outcome(folder, None).error for folder in books] == [None, None]
    for folder in books:
        (cell,) = (cell for cell in nbformat.read(folder / "out.ipynb", as_version=4).cells if cell.cell_type == "code")
        assert cell.outputs[0].text == f"{folder.name}\n"
    assert os.getcwd() == here
