"""One run, as a worker does it: inputs by HTTP, results in a store without a disk; the same run from another path."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from clips import boxes, clip, wav

import lipsync_lab
from lipsync_lab import cli
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.sweep import client, summary, work


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    clip(folder / "a.mp4", 8, sound=False)
    wav(folder / "v.wav", 0.32)
    boxes(folder / "boxes.json", [[30, 20, 90, 80]] * 8)
    return folder


@pytest.fixture
def address(home: Path):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(home))
    handler.func.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def only(planned: client.Plan) -> work.Job:
    (job,) = planned.jobs.values()
    return job


def plan(folder: Path, clips: str, out: str) -> client.Plan:
    voice = f"{clips}/v.wav"
    text = f"clips: {clips}/a.mp4\nvoices: {voice}\ngenerators: identity\ndetectors: boxes.json\nout: {out}\n"
    (folder / "sweep.yaml").write_text(text)
    return client.plan(folder / "sweep.yaml", device="cpu")


def test_a_run_without_a_shared_disk_is_the_run_of_another_path(home, address, tmp_path):
    fsspec.filesystem("memory").store.clear()
    remote = plan(home, address, "memory://out")
    elsewhere = tmp_path / "copy"
    shutil.copytree(home, elsewhere)
    local = plan(elsewhere, ".", "out")
    assert only(remote).run_id == only(local).run_id
    made = work.perform(only(remote), tmp_path / "scratch")
    assert made["status"] == "complete"
    names = fsspec.filesystem("memory").find("/out")
    assert f"/out/runs/{made['run_id']}/run/output.mp4" in names
    assert not list((tmp_path / "scratch" / "runs").iterdir())
    # the numbers are those of a dub and an evaluation by hand
    run = lipsync_lab.dub(home / "a.mp4", home / "v.wav", tmp_path / "run", generator="identity",
                          detector=home / "boxes.json", device="cpu")  # fmt: skip
    metrics = lipsync_lab.evaluate(run, device="cpu").metrics.set_index("metric")["value"].dropna()
    assert {name: value for name, value in made["metrics"].items() if value is not None} == metrics.to_dict()
    [row] = summary.known(remote.store).to_dict("records")
    assert row["background_change"] == metrics["background_change"]
    assert (row["clip"], row["crf"], row["detector"]) == (f"{address}/a.mp4", 18, str(home / "boxes.json"))
    # a record that is there is not made again, and other weights do not get its name
    fsspec.filesystem("memory").rm("/out/runs", recursive=True)
    assert work.perform(only(remote), tmp_path / "scratch") == made
    other = replace(only(remote), weights={**only(remote).weights, "version": "0.0.1"})
    with pytest.raises(ParameterError, match=r"version .* in place of 0\.0\.1"):
        work.perform(other, tmp_path / "scratch")
    with pytest.raises(MediaError, match="is another file"):
        work.perform(replace(other, clip=(other.clip[0], "0" * 64)), tmp_path / "scratch")


def test_the_command_says_what_it_would_do_does_it_and_keeps_what_fails(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(home)
    (home / "bad.mp4").write_bytes(b"no clip")
    text = "clips: [a.mp4, bad.mp4]\nvoices: v.wav\ngenerators: identity\ndetectors: boxes.json\nout: results\n"
    (home / "two.yaml").write_text(text)
    assert cli.main(["sweep", "two.yaml", "--dry-run", "--workers", "1"]) == 0
    assert "2 runs: 2 to do, 0 done" in capsys.readouterr().out
    assert not (home / "results").exists()
    line = ["sweep", "two.yaml", "--workers", "1", "--device", "cpu"]
    assert cli.main(line) == 1
    out = capsys.readouterr()
    assert "1 of 2 runs complete, 1 failed" in out.out
    assert "(bad.mp4, identity) failed: " in out.err
    table = pd.read_parquet(home / "results" / "runs.parquet").set_index("name")
    assert dict(table["status"]) == {"a.mp4": "complete", "bad.mp4": "failed"}
    assert "bad.mp4" in table.loc["bad.mp4", "reason"]
    before = {path: path.stat().st_mtime_ns for path in (home / "results" / "records").iterdir()}
    assert cli.main(line) == 1
    assert {path: path.stat().st_mtime_ns for path in (home / "results" / "records").iterdir()} == before
    page = (home / "results" / "index.html").read_text(encoding="utf-8")
    assert f"runs/{table.loc['a.mp4', 'run_id']}/run/output.mp4" in page
    assert json.loads((home / "results" / "records" / f"{table.loc['bad.mp4', 'run_id']}.json").read_text())["reason"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timeout", "-1"], "--timeout -1.0 is not possible"),
        (["--workers", "0"], "--workers 0 is not possible"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "exclude each other"),
        (["--notebooks", "nothing"], "nothing: no such notebook"),
    ],
)
def test_flags_that_are_wrong_are_named_before_anything_starts(home, words, says, monkeypatch, capsys):
    monkeypatch.chdir(home)
    (home / "s.yaml").write_text(
        "clips: a.mp4\nvoices: v.wav\ngenerators: identity\ndetectors: boxes.json\nout: none\n"
    )
    assert cli.main(["sweep", "s.yaml", *words]) == 2
    assert says in capsys.readouterr().err
    assert not (home / "none").exists()
