"""The command as a process: signals, streams that cannot write, a full disk, memory, places that may not be written."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
from clips import clip, wav

from lipsync_lab import cli, files
from lipsync_lab.errors import MediaError
from lipsync_lab.media import video
from lipsync_lab.media.container import decoded

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

#: Runs the command line with a `dub` that writes half of a folder and of a file, and then waits or does what is asked.
CHILD = """
import sys, time
from pathlib import Path
from lipsync_lab import files
from lipsync_lab.cli import use
from lipsync_lab.__main__ import run

def dub(options):
    with files.atomic_folder(Path("run"), bool) as part, files.atomic_file("o.mp4") as file:
        (part / "run.json").write_text("half")
        file.write_text("half")
        {what}
    {after}

use.dub = dub
sys.argv[1:] = ["dub", "--face", "a", "--audio", "b"]
sys.exit(run())
"""


def child(what: str, folder: Path, after: str = "pass", **options) -> subprocess.Popen:
    pipe = subprocess.PIPE
    given = {"stdout": pipe, "stderr": pipe, "cwd": folder, "text": True, **options}
    return subprocess.Popen([sys.executable, "-c", CHILD.format(what=what, after=after)], **given)


def restore_interrupt():
    """What a shell starts in the background ignores SIGINT, and so does what that starts: the tests, for instance."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing_and_is_the_exit_code(name, tmp_path):
    process = child('print("ready", flush=True); time.sleep(60)', tmp_path, preexec_fn=restore_interrupt)
    assert process.stdout.readline() == "ready\n"
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name)
    assert err == "lipsync_lab: interrupted; nothing half-written was left behind\n"
    assert list(tmp_path.iterdir()) == []


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = child('print("ready", flush=True); time.sleep(1)', tmp_path, preexec_fn=ignore)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "run"]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_stream_that_cannot_write_a_name_gets_its_escape(encoding, tmp_path):
    what = 'print("顔 \\udcff"); print("顔 \\udcff", file=sys.stderr)'
    process = child(what, tmp_path, env={**os.environ, "PYTHONIOENCODING": encoding}, text=False)
    out, err = process.communicate(timeout=60)
    face = "顔" if encoding == "utf-8" else "\\u9854"
    assert (process.returncode, out.decode(), err.decode()) == (0, f"{face} \\udcff\n", f"{face} \\udcff\n")


def test_closed_streams_are_never_written_into_a_file(tmp_path):
    def close():
        for number in (0, 1, 2):
            os.close(number)

    what = 'print("out"); print("err", file=sys.stderr); import os; os.write(1, b"1"); os.write(2, b"2")'
    process = child(what, tmp_path, preexec_fn=close)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "o.mp4").read_text() == (tmp_path / "run" / "run.json").read_text() == "half"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_stdout_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        process = child("pass", tmp_path, 'print("words")', stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == cli.BAD_INPUT
    assert err == "lipsync_lab: stdout: No space left on device\n"


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError()",
        'RuntimeError("DefaultCPUAllocator: can\'t allocate memory")',
        'ImportError("stream.abi3.so: failed to map segment from shared object")',
        'OSError(12, "Cannot allocate memory")',
        'RuntimeError("can\'t start new thread")',
    ],
)
def test_too_little_memory_is_one_line_and_leaves_nothing(error, tmp_path):
    process = child(f"raise {error}", tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == cli.BAD_INPUT
    assert err.startswith("lipsync_lab: out of memory; ")
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def _open(error):
    def opened(*_, **__):
        raise error

    return opened


def test_memory_that_ffmpeg_lacks_is_no_fault_of_the_file(tmp_path, monkeypatch, capsys):
    clip(tmp_path / "in.mp4", 8)
    line = ["dub", "--generator", "identity", "--face", f"{tmp_path}/in.mp4", "--audio", f"{tmp_path}/in.mp4", *BOX]
    line += ["--outfile", f"{tmp_path}/o.mp4"]
    monkeypatch.setattr(av, "open", _open(av.error.MemoryError(12, "Cannot allocate memory", "in.mp4")))
    assert cli.main(line) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("lipsync_lab: out of memory; ")
    monkeypatch.undo()

    class Context:
        """A decoder whose threads cannot be begun."""

        decode = _open(av.error.BlockingIOError(11, "Resource temporarily unavailable"))

    with pytest.raises(MemoryError), av.open(str(tmp_path / "in.mp4")) as container:
        decoded(next(container.demux()), Context())
    # a converter of colours
    monkeypatch.setattr(video, "_rgb", _open(av.error.BlockingIOError(11, "Resource temporarily unavailable")))
    assert cli.main(line) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("lipsync_lab: out of memory; ")


# --- a whole dub -----------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clip(tmp_path / "in.mp4", 15)
    wav(tmp_path / "v.wav", 0.6)
    return tmp_path


DUB = ["dub", "--quiet", "--checkpoint_path", "identity", "--face", "in.mp4", "--audio", "v.wav"]
BOX = ["--box", "10", "60", "10", "60"]


@pytest.fixture
def small_files():
    """No file may grow beyond so many bytes, as on a full disk or with a used-up quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 3000])
def test_a_full_disk_names_the_outfile_and_keeps_the_run_before(size, place, capsys, small_files):
    assert cli.main([*DUB, *BOX, "--outfile", "d/o.mp4"]) == 0
    before = {path: path.read_bytes() for path in (place / "d").rglob("*") if path.is_file()}
    assert len((place / "d/o.mp4").read_bytes()) > 3000
    capsys.readouterr()
    small_files(size)
    code = cli.main([*DUB, *BOX, "--outfile", "d/o.mp4", "--crf", "10"])
    err = capsys.readouterr().err
    assert code == cli.BAD_INPUT
    assert len(err.splitlines()) == 1
    assert err.startswith("lipsync_lab: d/o")
    assert "File too large" in err
    assert {path: path.read_bytes() for path in (place / "d").rglob("*") if path.is_file()} == before


def test_a_last_copy_that_fails_names_the_outfile_and_leaves_no_run(place, capsys, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr("shutil.copyfile", full)
    assert cli.main([*DUB, *BOX, "--outfile", "d/o.mp4"]) == cli.BAD_INPUT
    assert "d/o.mp4: cannot be written (No space left on device)" in capsys.readouterr().err
    assert list((place / "d").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_failure(place, monkeypatch, capsys, caplog):
    (place / "cache").write_text("a file in the way of the folder")
    assert cli.main([*DUB, "--detector", "lbp", "--outfile", "o.mp4"]) == 0
    assert "detections could not be kept there" in caplog.text
    assert (place / "o.mp4").is_file()


def test_a_pipe_is_called_a_pipe(place, capsys):
    os.mkfifo("pipe.wav")
    os.mkfifo("pipe.json")
    for line in (
        [*DUB[:-1], "pipe.wav", *BOX],
        [*DUB[:4], "--face", "pipe.wav", "--audio", "v.wav", *BOX],
        [*DUB, "--detector", "pipe.json"],
        ["dub", "--checkpoint_path", "pipe.json", "--face", "in.mp4", "--audio", "v.wav"],
        ["evaluate", "--source", "pipe.wav", "--output", "in.mp4"],
    ):
        assert cli.main([*line]) == cli.BAD_INPUT, line
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1
        assert "a pipe" in err, err


def test_the_rate_of_stills_on_a_clip_gets_a_word(place, capsys):
    assert cli.main([*DUB, *BOX, "--fps", "30", "--outfile", "o.mp4"]) == 0
    assert "--fps is the rate of a still picture, and in.mp4 is a clip of 25 frames a second" in capsys.readouterr().err
    assert cli.main([*DUB, *BOX, "--fps", "25", "--outfile", "o.mp4"]) == 0
    assert capsys.readouterr().err == ""
    clip(place / "slow.mp4", 2, fps=2)
    assert cli.main([*DUB[:4], "--face", "slow.mp4", "--audio", "v.wav", *BOX, "--outfile", "o.mp4"]) == 0
    assert "2 pictures a second, and so many mouths; --output-fps 25" in capsys.readouterr().err
    line = [*DUB[:4], "--face", "slow.mp4", "--audio", "v.wav", *BOX, "--output-fps", "25", "--outfile", "o.mp4"]
    assert cli.main(line) == 0
    assert capsys.readouterr().err == ""
    from lipsync_lab.media import video

    assert (video.probe("o.mp4").fps, video.probe("o.mp4").frames) == (25, 15)


def test_errors_that_do_not_come_from_a_shortage_are_not_called_one(tmp_path):
    with pytest.raises(MediaError, match="no file"), files.atomic_file(tmp_path / "a"):
        raise MediaError("no file")
    with pytest.raises(FileNotFoundError), files.atomic_file(tmp_path / "a"):
        (tmp_path / "none").read_text()
