"""Two commands at once on the same folder: the second is refused in one line, and a killed first one holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import clip

from lipsync_lab import cli, files
from lipsync_lab.media import segments
from lipsync_lab.reporting import build
from lipsync_lab.sweep import client
from lipsync_lab.training import tasks

#: What each command does once it holds its folder, replaced by a function that says so and waits.
INNER = {
    "dub": (segments, "write"),
    "report": (build, "_parts"),
    "train": (tasks, "fit"),
    "sweep": (client, "run"),
}
LINES = {
    "dub": "dub --quiet --generator identity --box 10 60 10 60 --face in.mp4 --audio in.mp4 --outfile out.mp4",
    "report": "report --quiet --generators identity --clips in.mp4 --out report",
    "train": "train fit mouth_openness --quiet --data data --out training",
    "sweep": "sweep --quiet sweep.yaml",
}
HOLDER = """
import threading, time
import test_two_at_once as test
from lipsync_lab import cli

def held(name):
    def wait(*_, **__):
        print(name, flush=True)
        time.sleep(600)
    return wait

for name, (module, function) in test.INNER.items():
    setattr(module, function, held(name))
threads = [threading.Thread(target=cli.main, args=(line.split(),)) for line in test.LINES.values()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


class Reached(Exception):
    """The command holds its folder."""


def reached(*_, **__):
    raise Reached


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    clip(tmp_path / "in.mp4", 6)
    (tmp_path / "sweep.yaml").write_text("clips: [in.mp4]\nvoices: [in.mp4]\ngenerators: [identity]\nout: sweep\n")
    return tmp_path


def test_the_second_is_refused_until_the_first_is_gone(place, monkeypatch, capsys):
    paths = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parent)))
    environment = {**os.environ, "PYTHONPATH": paths}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=pipe, text=True, env=environment) as holder:
        try:
            assert {holder.stdout.readline().strip() for _ in INNER} == {*INNER}
            for name, line in LINES.items():
                capsys.readouterr()
                assert cli.main(line.split()) == cli.BAD_INPUT, name
                err = capsys.readouterr().err
                assert len(err.splitlines()) == 1
                assert "is being written there; wait for its end" in err or "a sweep is writing here" in err, err
        finally:
            holder.kill()
    for name, line in LINES.items():
        monkeypatch.setattr(*INNER[name], reached)
        with pytest.raises(Reached):
            cli.main(line.split())


def test_without_a_folder_for_locks_there_is_none(place, monkeypatch):
    (place / "no folder").write_text("")
    monkeypatch.setenv("TMPDIR", str(place / "no folder"))
    with files.one_at_a_time(place / "out", "dub"), files.one_at_a_time(place / "other", "dub"):
        pass
