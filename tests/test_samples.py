"""Clips and voices by name: the manifest, the cache folder, fetching, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lipsync_lab import samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.samples import DOMAINS, HOME, SAMPLES, get, names


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(folder))
    return folder


def message(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- the manifest ----------------------------------------------------------------------------------------------------


def test_every_row_is_whole():
    with (HOME / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        assert [row["name"] for row in csv.DictReader(lines)] == list(SAMPLES)  # no name twice
    assert len({sample.file for sample in SAMPLES.values()}) == len(SAMPLES)
    for sample in SAMPLES.values():
        assert sample.domain in DOMAINS
        assert re.fullmatch(r"[0-9a-f]{64}", sample.sha256)
        assert sample.licence
        assert sample.attribution
        assert ".." not in sample.file
        assert not Path(sample.file).is_absolute()
        if sample.domain == "voice":
            assert sample.has_sound
            assert (sample.fps, sample.frames, sample.size) == (None, None, None)
        else:
            assert 5 < sample.fps < 121
            assert sample.frames > 0
            assert min(sample.size) > 0
        if sample.bundled:
            assert sample.url is None
        elif sample.url is None:
            assert sample.note
        else:
            assert re.match(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/", sample.url)  # pinned


def test_bundled_files_are_as_committed():
    """Whatever they are named: each is there with its hash, none is there unnamed, together they are small."""
    for name in names(bundled=True):
        assert digest(samples.path(name).read_bytes()) == get(name).sha256
    files = [file for file in HOME.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 12e6
    media = {file for file in files if file.suffix in (".mp4", ".mkv", ".mpg", ".wav", ".flac", ".mp3", ".png", ".jpg")}
    assert media == {HOME / get(name).file for name in names(bundled=True)}


def test_the_rows_are_those_of_the_footage(shared):
    with (shared / "footage" / "MANIFEST.csv").open(newline="", encoding="utf-8") as lines:
        rows = {row["file"]: row for row in csv.DictReader(lines)}
    fetched = [get(name) for name in names(bundled=False)]
    assert len(fetched) >= 17
    for sample in fetched:
        row = rows[sample.file]
        assert sample.sha256 == row["sha256"]
        assert sample.url == (row["source"] if row["source"].startswith("https://") else None)
        assert sample.fps == (Fraction(row["fps"]) if row["fps"] else None)
        assert sample.frames == (int(row["frames"]) if row["frames"] else None)
        assert sample.size == (tuple(map(int, row["size"].split("x"))) if row["size"] else None)
        assert sample.has_sound == (row["audio"] == "yes")
        if "never redistributed" in row["licence"]:
            assert "never redistributed" in sample.note


def test_names_by_domain_and_place():
    assert names() == list(SAMPLES)
    assert sorted(name for domain in DOMAINS for name in names(domain)) == sorted(SAMPLES)
    assert sorted(names(bundled=True) + names(bundled=False)) == sorted(SAMPLES)
    assert {"popeye", "steamboat", "cherry_welcome", "output10"} <= set(names("animation", bundled=False))
    assert set(names("live_action", bundled=False)) == {
        *("grid_s2_pwij3p", "grid_s2_swwp2s", "grid_s3_sbia1a", "grid_lip_lbax4n", "grid_lip_lbbc2a"),
        *("grid_lip_sbwe5n", "grid_unk_032621", "grid_unk_120232", "obama_address"),
        *("grid_s1_bbal8p", "grid_s1_briz6n", "grid_s1_lbak1s", "grid_s1_lrwf1s"),
        *("grid_s1_pgij8n", "grid_s1_pwwy4p", "grid_s1_sgwd1s", "grid_s1_swih6n"),
    }
    assert all(get(name).has_sound for name in names("voice"))
    with pytest.raises(ParameterError, match="animation, live_action, synthetic_photo, voice"):
        names("painted")


def test_the_bundled_portrait_is_a_synthetic_photo_and_nothing_bundled_is_live_action():
    assert all(name.startswith("astronaut_") for name in names("synthetic_photo"))
    assert names("live_action", bundled=True) == []


def test_a_pair_is_one_animation_and_one_synthetic_photo():
    words = dict.fromkeys(sample.pair for sample in SAMPLES.values() if sample.pair)
    assert len(words) >= 10
    for word in words:
        members = [(sample.name, sample.domain) for sample in SAMPLES.values() if sample.pair == word]
        assert members == [(f"animation_{word}", "animation"), (f"astronaut_{word}", "synthetic_photo")]


def test_a_name_that_there_is_not():
    for call in (get, samples.path):
        with pytest.raises(ParameterError, match="cherry_welcome"):
            call("cherry_wellcome")


# --- the cache -------------------------------------------------------------------------------------------------------


def test_a_folder_of_footage_serves_as_the_cache(shared, monkeypatch):
    footage = shared / "footage"

    def no_network(*_, **__):
        raise AssertionError("the network was asked")

    def state():
        return {file: file.stat().st_mtime_ns for file in (footage, *footage.glob("*"), *footage.glob("[als]*/*"))}

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(footage))
    before = state()
    for name in names(bundled=False):
        file = samples.path(name)
        assert file == footage / get(name).file
        assert digest(file.read_bytes()) == get(name).sha256
    assert state() == before


def test_without_a_setting_the_cache_is_the_systems(monkeypatch):
    import pooch

    monkeypatch.delenv("LIPSYNC_LAB_CACHE", raising=False)
    assert samples.cache() == Path(pooch.os_cache("lipsync_lab"))


def test_a_wrong_file_in_the_cache_is_refused_and_kept(cache):
    file = cache / get("popeye").file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not Popeye")
    with pytest.raises(MediaError) as error:
        samples.path("popeye")
    assert get("popeye").sha256 in message(error)
    assert digest(b"not Popeye") in message(error)
    assert str(file) in message(error)
    assert file.read_bytes() == b"not Popeye"


# --- fetching --------------------------------------------------------------------------------------------------------


@contextmanager
def serving(content: bytes):
    """Serve bytes under /clip on this machine, and nothing else. Yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = content if self.path == "/clip" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def put(monkeypatch):
    """Give the sample `clip` an address and the hash of some bytes."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def put(url, content=b"a clip", **changes):
        sample = replace(
            get("steamboat"), name="clip", file="here/and/there.mp4", url=url, sha256=digest(content), **changes
        )
        monkeypatch.setitem(SAMPLES, "clip", sample)

    return put


def test_fetching_once(cache, put, capfd):
    with serving(b"a clip") as address:
        put(f"{address}/clip")
        file = samples.path("clip")
    assert file == cache / "here/and/there.mp4"
    assert file.read_bytes() == b"a clip"
    assert samples.path("clip") == file  # the server is gone
    assert list(file.parent.iterdir()) == [file]
    assert capfd.readouterr() == ("", "")


def test_a_path_or_a_name_is_resolved(cache, put, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert samples.resolve_path("animation_hello") == samples.path("animation_hello")
    Path("animation_hello").write_bytes(b"a file of that name")
    assert samples.resolve_path("animation_hello") == Path("animation_hello")
    assert samples.resolve_path(tmp_path / "animation_hello") == tmp_path / "animation_hello"
    with serving(b"a clip") as address:
        put(f"{address}/clip")
        assert samples.resolve_path("clip").read_bytes() == b"a clip"
    assert samples.resolve_path("typo") == Path("typo")


def test_fetching_with_a_bar(cache, put, capfd):
    content = bytes(2_000_000)
    with serving(content) as address:
        put(f"{address}/clip", content)
        samples.path("clip", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert "127.0.0.1" not in err


def test_another_file_comes(cache, put):
    with serving(b"<html>") as address:
        put(f"{address}/clip")
        with pytest.raises(MediaError, match="sent another file") as error:
            samples.path("clip")
    assert digest(b"a clip") in message(error)
    assert digest(b"<html>") in message(error)
    assert [file for file in cache.rglob("*") if file.is_file()] == []


def test_nothing_comes(cache, put):
    with serving(b"a clip") as address:
        put(f"{address}/gone")
        with pytest.raises(MediaError, match="HTTP status 404") as error:
            samples.path("clip")
    assert f"{address}/gone" in message(error)
    put(f"{address}/clip")  # nobody listens there any more
    with pytest.raises(MediaError, match="could not be fetched") as error:
        samples.path("clip")
    assert f"{address}/clip" in message(error)
    assert str(cache / "here/and/there.mp4") in message(error)
    assert [file for file in cache.rglob("*") if file.is_file()] == []


def test_a_cache_that_cannot_be_made(tmp_path, put, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(tmp_path / "file"))
    put("http://127.0.0.1:9/clip")
    with pytest.raises(MediaError, match="Not a directory|File exists"):
        samples.path("clip")


def test_a_clip_without_an_address(cache, put):
    put(None, note="derived: not byte-identical to the source")
    with pytest.raises(MediaError, match="not byte-identical") as error:
        samples.path("clip")
    assert digest(b"a clip") in message(error)
    assert str(cache / "here/and/there.mp4") in message(error)


def test_a_bundled_clip_that_is_gone_or_changed(tmp_path, put, monkeypatch):
    monkeypatch.setattr(samples, "HOME", tmp_path)
    put(None, bundled=True)
    with pytest.raises(MediaError, match="bundled file"):
        samples.path("clip")
    file = tmp_path / "here/and/there.mp4"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"changed")
    with pytest.raises(MediaError, match="restore it") as error:
        samples.path("clip")
    assert digest(b"changed") in message(error)
    file.write_bytes(b"a clip")
    assert samples.path("clip") == file


@pytest.mark.parametrize("name", ["hello", "baker"])
def test_former_names_are_accepted_with_a_warning(name):
    with pytest.warns(DeprecationWarning, match=f"drawn_{name} is now animation_{name}"):
        assert samples.resolve_path(f"drawn_{name}") == samples.path(f"animation_{name}")
    assert f"drawn_{name}" not in samples.names()


def test_a_folder_does_not_hide_the_sample_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("animation_hello", "runs"):
        Path(name).mkdir()
    assert samples.resolve_path("animation_hello") == samples.path("animation_hello")
    assert samples.resolve_path("./animation_hello") == Path("animation_hello")
    assert samples.resolve_path(tmp_path / "animation_hello").is_dir()
    assert samples.resolve_path("runs") == Path("runs")


def test_a_mistyped_sample_is_told_the_nearest_name():
    with pytest.raises(MediaError, match="did you mean animation_hello"):
        samples.resolve_path("animation_helo")
    assert samples.resolve_path("some/talk.mp4") == Path("some/talk.mp4")


def test_an_unknown_domain_has_one_name_everywhere():
    from lipsync_lab.evaluation import findings, scope
    from lipsync_lab.figures import style
    from lipsync_lab.reporting import summary
    from lipsync_lab.sweep import page

    words = {samples.domain_in_words(nothing) for nothing in ("", None)}
    words |= {name("") for name in (findings.label, scope._domain, style.domain_label, summary._words)}
    row = {"run_id": "1", "status": "failed", "notebooks": "", "domain": "", "seconds": 1.0}
    words.add(page._row(row, [], [])["domain"])
    assert words == {"unknown domain"}
    assert style.domain_label("live_action") == findings.label("live_action") == "live action"
