"""Files and folders that are complete or absent, whatever ends the process that writes them."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lipsync_lab import files
from lipsync_lab.errors import MediaError, ParameterError


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def made_here(folder: Path) -> bool:
    return folder.is_dir() and {path.name for path in folder.iterdir()} == {"ours"}


def test_sha256_of_a_file(tmp_path):
    content = os.urandom(300_000)
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    (tmp_path / "a").write_bytes(b"abc")  # the example of FIPS 180-2
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(MediaError, match="b cannot be read: No such file"):
        files.sha256(tmp_path / "b")


def test_a_file_appears_when_it_is_finished(tmp_path):
    target = tmp_path / "deep" / ("n" * 250 + ".txt")  # a private name must not be longer than names may be
    with files.atomic_file(target) as part:
        part.write_text("new")
        assert part.parent == target.parent
        assert not target.exists()
    assert listing(tmp_path) == ["deep", f"deep/{target.name}"]
    files.write_text(target, "line\nline\r\n")
    assert target.read_bytes() == b"line\nline\r\n"
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    files.write_text(tmp_path / "a", "old")

    def fails():
        with files.atomic_file(tmp_path / "a") as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert listing(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(os, "fsync", lambda number: events.append(os.fstat(number).st_ino))
    with files.atomic_file(tmp_path / "a") as part:
        part.write_text("x")
        number = part.stat().st_ino
    with files.atomic_folder(tmp_path / "b", made_here) as part:
        (part / "ours").write_text("x")
        folder, inside = part.stat().st_ino, (part / "ours").stat().st_ino
    here = tmp_path.stat().st_ino
    # content, then the names in a folder, then the folder's own name
    assert events == [number, here, inside, folder, here]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files, as a quota does")
@pytest.mark.parametrize("kind", ["file", "folder", "weights"])
def test_a_disk_that_takes_no_more_is_named_by_the_target_and_nothing_is_left(kind, tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    place = tmp_path / "there"
    make = files.atomic_folder(place, made_here) if kind == "folder" else files.atomic_file(place)

    def write(part):
        if kind == "weights":
            with part.open("wb") as stream:
                torch.save({"a": torch.zeros(1 << 18)}, stream)
        else:
            (part if kind == "file" else part / "ours").write_bytes(bytes(1 << 20))

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(MediaError, match="File too large") as error, make as part:
            write(part)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(place) in str(error.value)
    assert ".part" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


HOLDS = """
import sys
from lipsync_lab import files
with files.only_writer(sys.argv[1], "report"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_and_a_killed_one_holds_nothing(tmp_path):
    pipe = subprocess.PIPE
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path / "out"], stdin=pipe, stdout=pipe, text=True)
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(MediaError, match="another report is being written there"),
        files.only_writer(tmp_path / "out", "report"),
    ):
        pass
    holder.kill()
    holder.communicate()
    with files.only_writer(tmp_path / "out", "report"):
        pass
    with files.only_writer(tmp_path / "out", "report"):
        pass


def test_what_stands_for_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    kinds = {name: files.kind(tmp_path / name) for name in ("pipe", "file", "link", "none")}
    assert kinds == {"pipe": "a pipe", "file": "", "link": "a pipe", "none": ""}
    assert (files.kind(tmp_path), files.kind("/dev/null"), files.kind("a\0b")) == ("a folder", "a device", "")


KILLED = """
import os, signal, sys
from pathlib import Path
from lipsync_lab import files
target = Path(sys.argv[1])
with files.atomic_file(target / "file") as part, files.atomic_folder(target / "folder", bool) as folder:
    part.write_text("half")
    (folder / "ours").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="asks whether a process runs by signal 0")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed(kind, tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = listing(tmp_path)
    assert len(left) == 3
    assert all(name.startswith(".") for name in left)

    # the same names, of a process that runs, and of another machine, are none of ours
    running = re.sub(r"-\d+-", f"-{os.getppid()}-", left[0].split("/")[0])
    elsewhere = ".00000000-" + left[0].split("/")[0].split("-", 1)[1]
    for name in (running, elsewhere, ".hidden.part"):
        (tmp_path / name).write_text("kept")
    if kind == "file":
        files.write_text(tmp_path / "b", "")
    else:
        with files.atomic_folder(tmp_path / "b", made_here):
            pass
    assert listing(tmp_path) == sorted([running, elsewhere, ".hidden.part", "b"])


def test_a_folder_appears_when_it_is_finished(tmp_path):
    target = tmp_path / "deep" / "folder"
    for content in ("first", "second"):
        with files.atomic_folder(target, made_here) as part:
            (part / "ours").write_text(content)
            assert not target.exists() or (target / "ours").read_text() == "first"
        assert (target / "ours").read_text() == content
        assert listing(tmp_path) == ["deep", "deep/folder", "deep/folder/ours"]

    def fails():
        with files.atomic_folder(target, made_here) as part:
            (part / "ours").write_text("third")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert (target / "ours").read_text() == "second"
    assert listing(tmp_path) == ["deep", "deep/folder", "deep/folder/ours"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "folder").mkdir()
    with files.atomic_folder(tmp_path / "folder", made_here) as part:
        (part / "ours").write_text("x")
    assert listing(tmp_path) == ["folder", "folder/ours"]


@pytest.mark.parametrize("kind", ["file", "other", "more", "link"])
def test_a_folder_of_another_is_refused_at_once(kind, tmp_path):
    target = tmp_path / "folder"
    plant(kind, target)
    before = listing(tmp_path)
    with pytest.raises(ParameterError, match="folder is there already and is not an earlier box"):
        files.atomic_folder(target, made_here, "box").__enter__()
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("kind", "earlier"),
    [("file", False), ("other", False), ("more", False), ("link", False), ("other", True), ("more", True)],
)
def test_what_is_planted_meanwhile_is_kept(kind, earlier, tmp_path):
    target = tmp_path / "folder"
    (tmp_path / "folder-2").mkdir()
    (tmp_path / "folder-2" / "taken").write_text("x")
    if earlier:
        plant("ours", target)
    planted = []

    def write():
        with files.atomic_folder(target, made_here, "box") as part:
            (part / "ours").write_text("finished")
            plant(kind, target)
            planted.extend(name for name in listing(tmp_path) if name.split("/")[0] == "folder")

    with pytest.raises(MediaError) as error:
        write()
    assert f"{target}:" in str(error.value)
    assert str(tmp_path / "folder-3") in str(error.value)
    assert (tmp_path / "folder-3" / "ours").read_text() == "finished"
    assert listing(tmp_path) == sorted([*planted, "folder-2", "folder-2/taken", "folder-3", "folder-3/ours"])


def test_what_is_planted_at_the_last_moment_is_kept(tmp_path):
    target, calls = tmp_path / "folder", []
    plant("ours", target)

    def looks_away(folder: Path) -> bool:
        calls.append(folder)
        answer = made_here(folder)
        if len(calls) == 2:  # between the last look and the move
            plant("more", target)
        return answer

    with pytest.raises(MediaError, match="folder-2"), files.atomic_folder(target, looks_away) as part:
        (part / "ours").write_text("finished")
    assert listing(tmp_path) == ["folder", "folder-2", "folder-2/ours", "folder/notes", "folder/ours"]


def test_two_writers_of_one_folder(tmp_path):
    target = tmp_path / "folder"
    with files.atomic_folder(target, made_here) as first, files.atomic_folder(target, made_here) as second:
        (first / "ours").write_text("first")
        (second / "ours").write_text("second")
    assert (target / "ours").read_text() == "first"  # the one that finished last
    assert listing(tmp_path) == ["folder", "folder/ours"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MediaError, match="cannot be written"), files.atomic_folder(tmp_path / "folder", made_here):
        pass


def plant(kind: str, target: Path) -> None:
    if kind == "file":
        target.write_text("not ours")
    elif kind == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir(exist_ok=True)
        (target / ("ours" if kind == "ours" else "notes")).write_text("x")
        if kind == "more":
            (target / "ours").write_text("x")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
