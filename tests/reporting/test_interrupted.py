"""A signal while a notebook is executed: the exit code, one line, nothing half-written, and no kernel that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lipsync_lab import files
from lipsync_lab.reporting.notebooks import Kernels, _kernel_manager, execute

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

#: Runs the command line with a `report` that executes a notebook: alone, while it waits for it, while a clip is dubbed.
CHILD = """
import sys
import time
from lipsync_lab.__main__ import run
from lipsync_lab.cli import use
from lipsync_lab.reporting.executions import Executions
from lipsync_lab.reporting.notebooks import execute

def call(kernels, progress):
    return execute("asked.ipynb", "out/asked.ipynb", {{}}, kernels=kernels)

def report(options):
    with Executions({kernels}) as executions:
        executions.begin("asked", call)
        {meanwhile}
        return executions.outcome("asked", call).error

use.report = report
sys.argv[1:] = ["report", "--out", "out"]
sys.exit(run())
"""
ALONE = {"kernels": 1, "meanwhile": "pass"}
WAITING = {"kernels": 2, "meanwhile": "pass"}
DUBBING = {"kernels": 2, "meanwhile": "time.sleep(60)"}

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
NOTE = "import os, pathlib, time; pathlib.Path('kernel').write_text(str(os.getpid()))"


def begun(folder, how=WAITING, **options) -> subprocess.Popen:
    """A process of which the notebook's cell runs."""
    book = new_notebook(cells=[new_code_cell(f"{NOTE}; time.sleep(60)")], metadata={"kernelspec": KERNEL})
    nbformat.write(book, folder / "asked.ipynb")
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(**how)], cwd=folder, start_new_session=True, **streams, **options
    )
    limit = time.monotonic() + 60
    while not (folder / "kernel").is_file() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(0.2)
    return process


def restore_interrupt():
    """What a shell starts in the background ignores SIGINT, and so does what that starts: the tests, for instance."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("name", "how"), [("SIGINT", ALONE), ("SIGTERM", ALONE), ("SIGINT", WAITING), ("SIGTERM", DUBBING)]
)
def test_a_signal_in_a_notebook_is_one_line(name, how, tmp_path):
    process = begun(tmp_path, how, preexec_fn=restore_interrupt)
    os.killpg(process.pid, getattr(signal, name))  # as a terminal does: to the whole group
    out, _ = process.communicate(timeout=60)
    assert out == "lipsync_lab: interrupted; nothing half-written was left behind\n"
    assert process.returncode == 128 + getattr(signal, name)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "kernel").read_text()), 0)


def test_what_sigkill_left_lies_where_the_next_call_removes_it(tmp_path):
    (tmp_path / "tmp").mkdir()
    process = begun(tmp_path, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    process.kill()
    process.communicate(timeout=60)
    assert list((tmp_path / "tmp").iterdir()) == []
    (left,) = (tmp_path / "out").iterdir()
    files.sweep(tmp_path / "out")
    assert not left.exists()


def test_who_waits_for_a_cell_is_let_go_before_the_kernel_ends(monkeypatch, tmp_path):
    """Else asyncio prints `DeadKernelError`, or an error of a closed socket, when the interpreter ends."""
    import asyncio

    from jupyter_client import AsyncKernelManager

    ended = []

    async def shut_down(self, now):
        ended.append(now)
        await asyncio.sleep(0.05)  # the kernel needs a while

    async def wait():
        await asyncio.sleep(0.01)
        raise RuntimeError("Kernel died")

    async def interrupted():
        waiting = asyncio.ensure_future(wait())
        await manager.shutdown_kernel(now=False)
        return waiting

    monkeypatch.setattr(AsyncKernelManager, "shutdown_kernel", shut_down)
    manager = _kernel_manager(tmp_path, tmp_path, Kernels())()
    assert asyncio.run(interrupted()).cancelled()
    assert ended == [False]


def test_a_kernel_that_cannot_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit('no kernel here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    book = new_notebook(cells=[new_code_cell("1")], metadata={"kernelspec": KERNEL})
    nbformat.write(book, tmp_path / "asked.ipynb")
    assert "no kernel here" in execute(tmp_path / "asked.ipynb", tmp_path / "out.ipynb", {}).error
