"""Inputs by address, and the folder of results with its lock."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import fsspec
import pytest

from lipsync_lab import samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.sweep import store as stores
from lipsync_lab.sweep.store import Store, digests, expanded, fetched, locked


@pytest.fixture
def served(tmp_path: Path):
    """A folder, and its address on a server of this machine, with the paths that were asked for."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, text, *values):
            asked.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield Store("memory://out")
    system.store.clear()


def test_hashes_are_those_of_the_content_wherever_it_lies(tmp_path, served, memory):
    folder, address, _ = served
    content = b"pixels" * 300_000
    (folder / "a.mp4").write_bytes(content)
    (tmp_path / "b.mp4").write_bytes(content)
    memory.write("c.mp4", content)
    places = [f"{address}/a.mp4", str(tmp_path / "b.mp4"), "memory://out/c.mp4", "animation_hello", f"{address}/none"]
    hashes = digests(places, memory)
    assert set(list(hashes.values())[:3]) == {hashlib.sha256(content).hexdigest()}
    assert hashes["animation_hello"] == samples.SAMPLES["animation_hello"].sha256
    assert hashes[f"{address}/none"] is None


def test_a_file_that_is_as_it_was_is_not_hashed_again(tmp_path, memory, monkeypatch):
    file = tmp_path / "a.mp4"
    file.write_bytes(b"one")
    first = digests([str(file)], memory)
    monkeypatch.setattr(stores.files, "sha256", lambda path: pytest.fail("read again"))
    assert digests([str(file)], memory) == first
    monkeypatch.undo()
    file.write_bytes(b"another")
    assert digests([str(file)], memory)[str(file)] == hashlib.sha256(b"another").hexdigest()


def test_an_input_is_fetched_once_and_only_if_it_is_the_right_one(tmp_path, served):
    folder, address, asked = served
    (folder / "a.mp4").write_bytes(b"right")
    digest = hashlib.sha256(b"right").hexdigest()
    for _ in range(2):
        path = fetched(f"{address}/a.mp4?x=1", digest, tmp_path)
    assert (path.name, path.read_bytes()) == ("a.mp4", b"right")
    assert sum(line.startswith("GET") for line in asked) == 1
    with pytest.raises(MediaError, match="is another file than when the sweep was planned"):
        fetched(f"{address}/a.mp4", "0" * 64, tmp_path)
    with pytest.raises(MediaError, match="cannot be read"):
        fetched(f"{address}/none.mp4", digest, tmp_path)
    with pytest.raises(MediaError, match="give an address that every worker can read"):
        fetched(str(tmp_path / "none.mp4"), digest, tmp_path)


def test_a_pattern_names_what_is_there(memory):
    for name in ("b.mp4", "a.mp4", "a.txt"):
        memory.write(f"shots/{name}", b"")
    assert expanded("memory://out/shots/*.mp4") == ["memory:///out/shots/a.mp4", "memory:///out/shots/b.mp4"]


@pytest.mark.parametrize("address", ["nosuch://a", "s3//a"])
def test_an_address_of_no_known_kind_is_an_error_in_a_line(address, tmp_path):
    if "://" in address:
        with pytest.raises(MediaError, match="nosuch"):
            Store(address)
    else:
        assert Store(address).local is not None


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_store_reads_what_it_wrote(kind, tmp_path, memory):
    store = Store(str(tmp_path / "out")) if kind == "disk" else memory
    assert (store.read("records/a.json"), store.json("records/a.json"), store.names("records")) == (None, None, [])
    store.write("records/a.json", b'{"a": 1}')
    store.write("records/b.json", b"{half")
    assert (store.json("records/a.json"), store.json("records/b.json")) == ({"a": 1}, None)
    assert store.names("records") == ["a.json", "b.json"]
    store.remove("records/a.json")
    store.remove("records/a.json")
    assert store.names("records") == ["b.json"]


def test_a_folder_is_published_to_a_store_elsewhere(tmp_path, memory):
    (tmp_path / "run" / "evaluation").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "evaluation" / "metrics.csv").write_text("a\n1\n")
    memory.publish(tmp_path, "runs/x")
    assert memory.read("runs/x/run/evaluation/metrics.csv") == b"a\n1\n"


def test_a_second_client_on_a_disk_is_refused_and_a_dead_one_holds_nothing(tmp_path):
    code = (
        "import sys, time\nfrom lipsync_lab.sweep.store import Store, locked\n"
        "with locked(Store(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ParameterError, match=rf"a sweep is writing here \(process {holder.pid} on"):
            locked(Store(str(tmp_path / "out"))).__enter__()
        holder.kill()
    with locked(Store(str(tmp_path / "out"))):
        pass


def test_a_second_client_elsewhere_is_refused_and_a_dead_one_holds_nothing(memory, monkeypatch):
    monkeypatch.setattr(stores, "BEAT", 0.05)
    with locked(memory), pytest.raises(ParameterError, match="a sweep is writing here"):
        locked(memory).__enter__()
    assert memory.json("sweep.lock") is None
    memory.write("sweep.lock", b'{"token": "dead", "beat": 3, "process": 1, "machine": "m"}')
    with locked(memory):
        assert memory.json("sweep.lock")["token"] != "dead"
