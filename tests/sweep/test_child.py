"""A run's process that is interrupted removes what it has half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from lipsync_lab.sweep import child

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

#: A run that writes half of a folder.
CODE = """
import time
from pathlib import Path
from lipsync_lab import files
from lipsync_lab.sweep import child

def answer(line, scratch):
    with files.atomic_folder(Path("run"), bool) as part:
        (part / "half").write_text("half")
        for _ in range(600):
            time.sleep(0.1)

child._answer = answer
child.main()
"""


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A child in the middle of its run."""
    popen = subprocess.Popen

    def begin(words, **options):
        return popen([sys.executable, "-c", CODE, words[-1]], cwd=tmp_path, **options)

    monkeypatch.setattr(child.subprocess, "Popen", begin)
    made = child.Child({})
    made._process.stdin.write(b"{}\n")
    made._process.stdin.flush()
    limit = time.monotonic() + 60
    while not list(tmp_path.rglob("half")) and time.monotonic() < limit:
        time.sleep(0.02)
    assert list(tmp_path.rglob("half"))
    yield made
    made.end()


def test_stop_leaves_nothing_half_written(running, tmp_path):
    child.stop()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_and_stop_leave_nothing_half_written(running, tmp_path):
    running._process.send_signal(signal.SIGINT)  # of the terminal, to all
    child.stop()
    assert list(tmp_path.iterdir()) == []
