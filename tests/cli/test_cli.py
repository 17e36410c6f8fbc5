"""The command line: the published flags, one line an error, exit codes."""

import re
import shlex
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
import soundfile
import torch
from clips import boxes, clip, pictures, read, wav

from lipsync_lab import cli, detection, files, samples
from lipsync_lab.cli import closing, renamed, training
from lipsync_lab.evaluation import text
from lipsync_lab.media import video
from lipsync_lab.models import registry
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import PRESETS, Settings


@pytest.fixture
def place(tmp_path, tmp_path_factory, monkeypatch):
    """A folder of its own to work in, with a clip and a voice, and caches that are its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # else the first import of matplotlib in a process keeps its fonts in that cache
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))
    clip(tmp_path / "in.mp4", 15)
    wav(tmp_path / "v.wav", 0.6)
    return tmp_path


DUB = ["dub", "--face", "in.mp4", "--audio", "v.wav"]


def test_a_command_line_of_the_published_script(place, monkeypatch):
    """Every flag of inference.py under its name, with the settings that it means."""
    passed = {}

    class Spy(Pipeline):
        def __init__(self, **options):
            passed.update(options)
            super().__init__(**options)

    monkeypatch.setattr("lipsync_lab.pipeline.Pipeline", Spy)
    torch.save(registry.load("untrained", "generator").model.state_dict(), "mine.pth")
    line = (
        "dub --checkpoint_path mine.pth --face in.mp4 --audio v.wav --outfile out/result.mp4 --static False --fps 20 "
        "--pads 1 2 3 4 --face_det_batch_size 5 --wav2lip_batch_size 7 --resize_factor 2 --crop 0 40 0 60 "
        "--box 5 35 10 50 --rotate --nosmooth"
    )
    assert cli.main(line.split()) == 0
    settings = passed["settings"]
    assert not settings.static
    assert (settings.fps, settings.pads, settings.resize_factor) == (20, (1, 2, 3, 4), 2)
    assert (settings.detection_batch, settings.generator_batch) == (5, 7)
    assert (settings.crop, settings.rotate, settings.smoothing) == ((0, 40, 0, 60), True, "none")
    assert tuple(passed["box"]) == (10, 5, 50, 35)
    assert passed["generator"] == "mine.pth"
    assert video.probe("out/result.mp4").width == 48 - 0 if settings.rotate else 64


@pytest.mark.parametrize(("words", "static"), [([], False), (["--static"], True), (["--static", "true"], True)])
def test_static_is_a_flag_that_also_takes_a_word(place, words, static):
    assert cli.main([*DUB, "--box", "10", "60", "10", "60", "--outfile", "o.mp4", *words]) == 0
    frames = read(place / "o.mp4").astype(int)
    moved = np.abs(frames[-1, 70:] - frames[0, 70:]).max() > 30
    assert moved != static


def test_defaults_say_what_made_the_picture(place, capsys):
    assert cli.main(DUB) == 0
    out = capsys.readouterr()
    assert "15 frames written by wav2lip-lab" in out.out
    assert "s3fd-lab" in out.out
    # no face in these frames: no picture is of the small weights, and the note on them would be false
    assert "small model" not in out.out
    assert (place / "results" / "result_voice.mp4").is_file()
    assert (place / "results" / "result_voice" / "ledger.csv").is_file()
    assert [re.sub(r"\d+", "N", line) for line in out.err.splitlines()[:2]] == ["detect N s", "generate N s"]


def test_the_small_model_is_named_once_where_it_generated_a_picture(place, capsys):
    assert cli.main([*DUB, "--box", "10", "60", "10", "60", "--outfile", "o.mp4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "small model" in line] == [lines[-1]]
    assert lines[-1].endswith("checkpoints/wav2lip-lab.md"), "no picture repeats: it is not taken for animation"
    assert max(map(len, lines)) < 160
    assert cli.main([*DUB, "--box", "10", "60", "10", "60", "--outfile", "o.mp4", "--generator", "identity"]) == 0
    assert "small model" not in capsys.readouterr().out
    assert cli.main([*DUB[:-1], "absent.wav"]) == cli.BAD_INPUT
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("repeated", "preset", "advised"), [(5, {}, True), (4, {}, False), (12, PRESETS, False)])
def test_the_preset_for_animation_is_named_where_pictures_repeat(repeated, preset, advised):
    kinds = ["detected"] * (12 - repeated) + ["copied"] * repeated
    settings = Settings(**preset.get("animation", {})).as_dict()
    info = {"generator": {"name": "wav2lip-lab"}, "mouths_generated": 12, "settings": settings}
    [line] = closing._small_model(SimpleNamespace(info=info, column={"provenance": kinds}.get))
    assert line.endswith("; for drawn animation: --preset animation") == advised


def test_closing_lines_name_every_file_and_where_the_time_went(place, capsys):
    line = ["dub", "--face", "animation_bus", "--audio", "v.wav", "--outfile", "o.mp4", "--generator", "cel"]
    assert cli.main(line) == 0
    out = capsys.readouterr().out
    [files] = [line for line in out.splitlines() if line.startswith("o: ")]
    assert set(files[3:].split(", ")) == {path.name for path in (place / "o").iterdir()}
    assert {"output.mp4", "exposure_sheet.csv"} <= set(files[3:].split(", "))
    counts = pandas.read_csv(place / "o" / "exposure_sheet.csv")["mouth_source"].value_counts()
    [mouths] = [line for line in out.splitlines() if line.startswith("mouths: ")]
    for source, words in (("clip", "pasted from the clip"), ("drawn", "drawn")):
        shown = re.findall(rf"in (\d+) frames? {words},", mouths)
        assert shown == ([str(counts[source])] if source in counts else [])
    [seconds] = [line for line in out.splitlines() if ", loading and the rest " in line]
    whole, *parts = map(float, re.findall(r"\d+\.\d", seconds))
    assert whole == pytest.approx(sum(parts), abs=0.5)


@pytest.mark.parametrize("extend", ["loop", "hold", "pingpong"])
def test_closing_lines_say_that_a_short_clip_was_played_on(extend, place, capsys):
    wav(place / "long.wav", 1.0)
    line = ["dub", "--face", "in.mp4", "--box", "10", "60", "10", "60", "--outfile", "o.mp4", "--extend", extend]
    assert cli.main([*line, "--audio", "long.wav"]) == 0
    out = capsys.readouterr().out
    assert "the clip lasts 0.60 s and the voice 0.40 s longer: for the last 10 frames" in out
    assert f"(--extend {extend})" in out
    assert cli.main([*line, "--audio", "v.wav"]) == 0
    assert "--extend" not in capsys.readouterr().out


def test_a_box_in_the_other_order_is_refused_with_the_one_that_was_meant(place, capsys):
    assert cli.main([*DUB, "--box", "20", "10", "60", "50"]) == cli.BAD_INPUT
    err = capsys.readouterr().err
    assert "the order is Y1 Y2 X1 X2 (top, bottom, left, right)" in err
    assert "for x1, y1, x2, y2 = 20, 10, 60, 50 give --box 10 50 20 60" in err
    assert cli.main([*DUB, "--box", "60", "50", "20", "10"]) == cli.BAD_INPUT
    assert "x1, y1" not in capsys.readouterr().err
    # no face is so flat, and as x1, y1, x2, y2 it would be 32 wide and 50 high
    assert cli.main([*DUB, "--box", "5", "13", "37", "63", "--quiet"]) == 0
    assert "--box 5 13 37 63 is 26 pixels wide and 8 high" in (err := capsys.readouterr().err)
    assert "give --box 13 63 5 37" in err


def test_quiet(place, capsys):
    assert cli.main([*DUB, "--box", "10", "60", "10", "60", "--quiet"]) == 0
    out = capsys.readouterr()
    assert out.out == out.err == ""


def test_a_dub_without_a_mouth_is_loud_about_it_even_when_quiet(place, capsys):
    boxes(place / "b.json", [None] * 15)
    assert cli.main([*DUB, "--detector", "b.json", "--outfile", "o.mp4", "--quiet"]) == 0
    assert "lipsync_lab: warning: NO MOUTH WAS GENERATED" in capsys.readouterr().err
    assert "no mouth was generated" in video.probe("o.mp4").tags["comment"]


def test_closing_lines_tell_what_was_written_from_what_was_used(place, capsys):
    boxes(place / "b.json", [[20, 20, 60, 60], None, None, [24, 20, 64, 60]] * 4)
    wav(place / "short.wav", 0.4)
    line = ["dub", "--face", "in.mp4", "--detector", "b.json", "--dropouts", "hold", "--max-dropout", "1", "--outfile"]
    assert cli.main([*line, "o.mp4", "--audio", "short.wav"]) == 0
    out = capsys.readouterr().out
    assert "o.mp4: 10 frames written by wav2lip-lab, from the first 10 of 15 frames of the clip: " in out
    assert "5 recorded" in out
    assert "1 held" in out
    assert "4 missing, passed through unchanged" in out
    assert "2 dropouts of 2 frames were too long to be filled: --max-dropout 1" in out
    assert cli.main([*line, "o.mp4", "--audio", "v.wav", "--max-dropout", "2"]) == 0
    out = capsys.readouterr().out
    assert "from all 15 frames of the clip" in out
    assert "too long" not in out


def test_the_outfile_is_a_file_of_its_own(place):
    assert cli.main([*DUB, "--box", "10", "60", "10", "60", "--outfile", "o.mp4", "--quiet"]) == 0
    assert (place / "o.mp4").read_bytes() == (place / "o" / "output.mp4").read_bytes()
    assert not (place / "o.mp4").samefile(place / "o" / "output.mp4")


@pytest.mark.parametrize("read", ["face", "audio", "generator", "detector", "out", "out over boxes"])
def test_what_is_read_is_never_written_over(place, capsys, read):
    """Also under another name for the same file, which is why names alone are not compared."""
    clip(place / "voice.mp4", 15)
    names = {"face": "in.mp4", "audio": "voice.mp4", "generator": "mine.mp4", "detector": "b.json"}
    torch.save(registry.load("untrained", "generator").model.state_dict(), "mine.mp4")
    boxes(place / "b.json", [[20, 20, 60, 60]] * 15)
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    if read == "detector":
        (place / "link.mp4").symlink_to("b.json")
    target = {"out": "in.mp4", "out over boxes": "b.json", "detector": "link.mp4"}.get(read) or f"./{names[read]}"
    if read.startswith("out"):
        line = ["detect", "--face", "in.mp4", "--detector", "b.json", "--out", target]
    else:
        line = ["dub", "--outfile", target, *(word for name in names for word in (f"--{name}", names[name]))]
    assert cli.main(line) == cli.BAD_INPUT
    assert "would overwrite an input" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.name in before} == before


def test_a_run_never_replaces_the_folder_that_it_reads_from(place, capsys):
    assert cli.main([*DUB, "--box", "10", "60", "10", "60", "--outfile", "o.mp4", "--quiet"]) == 0
    line = ["dub", "--face", "o/output.mp4", "--audio", "v.wav", "--outfile", "o.mp4"]
    assert cli.main(line) == cli.BAD_INPUT
    assert "name another --run-folder" in capsys.readouterr().err
    assert (place / "o" / "output.mp4").is_file()
    # its boxes are another matter: they are written again
    assert cli.main([*DUB, "--detector", "o/detections.json", "--outfile", "o.mp4", "--quiet"]) == 0


def test_recorded_boxes_and_our_flags(place):
    boxes(place / "b.json", [[20, 20, 60, 60], None, None, [24, 20, 64, 60]] * 4)
    line = [
        *DUB,
        "--detector",
        "b.json",
        "--dropouts",
        "interpolate",
        "--feather",
        "0.1",
        "--audio-offset",
        "1",
        "--crf",
        "30",
    ]
    assert (
        cli.main([*line, "--outfile", "o.mkv", "--codec", "ffv1", "--run-folder", "here", "--extend", "pingpong"]) == 0
    )
    ledger = (place / "here" / "ledger.csv").read_text()
    assert "interpolated" in ledger
    assert len(read(place / "o.mkv")) == 15


def test_reference_preset_stops_at_the_first_missed_frame(place, capsys):
    boxes(place / "b.json", [[20, 20, 60, 60], None] * 8)
    assert cli.main([*DUB, "--detector", "b.json", "--preset", "reference"]) == 2
    assert "frame 1" in capsys.readouterr().err
    assert not (place / "results").exists() or not any((place / "results").iterdir())


def test_path_with_spaces_and_quotes(place):
    name = 'it\'s a "clip".v2; rm -rf $HOME.mp4'
    clip(place / name, 10)
    wav(place / "it's a voice.wav", 0.4)
    assert cli.main(["dub", "--face", name, "--audio", "it's a voice.wav", "--outfile", f"out of {name}"]) == 0
    assert len(read(place / f"out of {name}")) == 10


def bad(place, name):
    """Arguments, and words that the one line must hold."""
    if name == "absent clip":
        return ["dub", "--face", "none.mp4", "--audio", "v.wav"], "none.mp4"
    if name == "absent voice":
        return ["dub", "--face", "in.mp4", "--audio", "none.wav"], "none.wav"
    if name == "text":
        (place / "text.mp4").write_text("words, words, words\n" * 99)
        return ["dub", "--face", "text.mp4", "--audio", "v.wav"], "text.mp4"
    if name == "no sound":
        clip(place / "mute.mp4", 5, sound=False)
        return ["dub", "--face", "in.mp4", "--audio", "mute.mp4"], "mute.mp4"
    if name == "no picture":
        return ["dub", "--face", "v.wav", "--audio", "v.wav"], "v.wav"
    if name == "short voice":
        wav(place / "s.wav", 0.05)
        return ["dub", "--face", "in.mp4", "--audio", "s.wav"], "0.2 s"
    if name == "nan":
        soundfile.write("nan.wav", np.full(9_000, np.nan, np.float32), 16_000, subtype="FLOAT")
        return ["dub", "--face", "in.mp4", "--audio", "nan.wav"], "nan.wav"
    if name == "truncated":
        (place / "cut.mp4").write_bytes((place / "in.mp4").read_bytes()[:700])
        return ["dub", "--face", "cut.mp4", "--audio", "v.wav"], "cut.mp4"
    if name == "output is a folder":
        (place / "o.mp4").mkdir()
        return [*DUB, "--outfile", "o.mp4"], "o.mp4"
    if name == "output below a file":
        return [*DUB, "--outfile", "v.wav/o.mp4"], "v.wav"
    if name == "wrong ending":
        return [*DUB, "--outfile", "o.avi"], "o.mp4"
    if name == "no such model":
        return [*DUB, "--checkpoint_path", "wav3lip"], "wav3lip"
    if name == "weights not there":
        return [*DUB, "--checkpoint_path", "wav2lip_gan"], "weights fetch wav2lip_gan"
    if name == "web page":
        (place / "weights").mkdir()
        (place / "weights" / "wav2lip_gan.pth").write_text("<!doctype html><html>not found</html>")
        return [*DUB, "--checkpoint_path", "wav2lip_gan"], "ca9ab7b7"
    if name == "no such detector":
        return [*DUB, "--detector", "b.json"], "b.json"
    if name == "weights by path":
        return [*DUB, "--checkpoint_path", "checkpoints/wav2lip.pth"], "python -m lipsync_lab weights fetch wav2lip'"
    if name == "detector by path":
        return [*DUB, "--detector", "s3fd-619a316812.pth"], "weights fetch s3fd"
    if name == "detections are a folder":
        (place / "there").mkdir()
        return ["detect", "--face", "in.mp4", "--out", "there"], "there: is a folder; name a file"
    return {
        "unknown detector": ([*DUB, "--detector", "nope"], "s3fd-lab, s3fd, "),
        "no name": (["dub", "--face", "", "--audio", "v.wav"], "--face is empty"),
        "no voice's name": (["dub", "--face", "in.mp4", "--audio", ""], "--audio is empty"),
        "no outfile": ([*DUB, "--outfile", ""], "--outfile is empty"),
        "two smoothings": ([*DUB, "--nosmooth", "--smoothing", "centered"], "--nosmooth and --smoothing centered"),
        "no batch": ([*DUB, "--wav2lip_batch_size", "0"], "--wav2lip_batch_size 0 is not possible"),
        "no frames at once": ([*DUB, "--face_det_batch_size", "0"], "--face_det_batch_size 0"),
        "feather": ([*DUB, "--feather", "2"], "--feather 2.0"),
        "gap": ([*DUB, "--max-dropout", "-1"], "--max-dropout -1"),
        "factor": ([*DUB, "--resize_factor", "0"], "--resize_factor 0"),
        "no such device": ([*DUB, "--device", "abacus"], "abacus"),
        "bad crop": ([*DUB, "--crop", "500", "600", "0", "-1"], "crop"),
        "box beyond the frame": ([*DUB, "--box", "500", "600", "500", "600"], "frame"),
        "no such face": ([*DUB, "--face-selection", "loudest"], "--face-selection 'loudest' is not possible"),
        "which weights": (["weights", "fetch"], "wav2lip"),
        "verify nobody": (["weights", "verify", "nobody"], "no model is named nobody"),
        "which sample": (["samples", "path"], "which sample"),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        *("absent clip", "absent voice", "text", "no sound", "no picture", "short voice", "nan", "truncated"),
        *("output is a folder", "output below a file", "wrong ending", "no such model", "weights not there"),
        *("web page", "no such detector", "no such device", "bad crop", "box beyond the frame", "no such face"),
        *("which weights", "which sample", "verify nobody", "weights by path", "detector by path", "unknown detector"),
        *("detections are a folder", "no name", "no voice's name", "no outfile", "two smoothings", "no batch"),
        *("no frames at once", "feather", "gap", "factor"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(name, place, capsys):
    line, word = bad(place, name)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert cli.main(line) == cli.BAD_INPUT
    err = capsys.readouterr().err.splitlines()
    message = [row for row in err if row.startswith("lipsync_lab: ")]
    assert len(message) == 1, err
    assert word in message[0]
    assert "Traceback" not in "".join(err)
    after = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and "cache" not in path.parts}
    assert after == before


def test_unwritable_output(place, capsys):
    """A folder that refuses: /proc takes no new folder, from root either."""
    assert cli.main([*DUB, "--outfile", "/proc/here/o.mp4"]) == cli.BAD_INPUT
    assert "/proc" in capsys.readouterr().err


def test_debug_shows_where(place):
    from lipsync_lab.errors import MediaError

    with pytest.raises(MediaError):
        cli.main(["dub", "--face", "none.mp4", "--audio", "v.wav", "--debug"])


def test_interrupted(place, monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lipsync_lab.generation.wav2lip.generate", stop)
    boxes(place / "b.json", [[20, 20, 60, 60]] * 15)
    assert cli.main([*DUB, "--detector", "b.json", "--outfile", "out/o.mp4"]) == cli.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
    assert list((place / "out").iterdir()) == []


def test_a_pickle_that_would_run_code(place, capsys):
    class Payload:
        def __reduce__(self):
            return open, (str(place / "pwned"), "w")

    torch.save({"state_dict": Payload()}, place / "evil.pth")
    assert cli.main([*DUB, "--checkpoint_path", "evil.pth"]) == cli.BAD_INPUT
    assert "evil.pth" in capsys.readouterr().err
    assert not (place / "pwned").exists()


def test_detect(place, capsys):
    assert cli.main(["detect", "--face", "in.mp4", "--out", "d.json", "--quiet"]) == 0
    assert cli.main([*DUB, "--detector", "d.json", "--quiet"]) == 0


def test_weights_list_and_verify(place, capsys):
    assert cli.main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert "wav2lip_gan" in listed
    assert listed.split("\n")[0].split("  ")[0] == "name"
    assert not re.search(
        r"[a-z]_[a-z]+_[a-z]|mouth_|sync_expert", re.sub(r"\S+\.(pth|onnx)|^\S+", "", listed, flags=re.M)
    )
    assert cli.main(["weights", "verify"]) == 0
    (place / "weights").mkdir()
    (place / "weights" / "wav2lip.pth").write_bytes(b"something else")
    assert cli.main(["weights", "verify"]) == cli.BAD_INPUT
    out = capsys.readouterr().out
    assert "b78b681b" in out, "expected"
    assert files.sha256(place / "weights" / "wav2lip.pth") in out, "found"
    assert cli.main(["weights", "verify", "wav2lip_gan"]) == 0, "the wrong one is another"
    out = capsys.readouterr().out
    assert "wav2lip_gan.pth" in out
    assert "wav2lip.pth" not in out
    assert cli.main(["weights", "verify", "wav2lip"]) == cli.BAD_INPUT
    assert cli.main(["weights", "verify", "untrained"]) == 0
    assert "built in code" in capsys.readouterr().out


def test_samples_list_and_path(place, capsys):
    assert cli.main(["samples", "list"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "domain", "seconds", "where", "licence", "note"]
    listed = {line.split()[0]: line for line in lines[: lines.index("")]}
    assert list(listed) == list(samples.names())
    start, end = header.index("licence"), header.index("note")
    for name, line in listed.items():
        assert samples.get(name).licence.startswith(line[start:end].strip()), name
    assert end - start < 40
    assert cli.main(["samples", "show", "astronaut_hello"]) == 0
    assert "the animation Apache-2.0" in capsys.readouterr().out
    assert cli.main(["samples", "show"]) == cli.BAD_INPUT
    assert cli.main(["samples", "path", "animation_hello"]) == 0
    assert capsys.readouterr().out.strip() == str(samples.path("animation_hello"))


def test_a_sound_file_is_no_language(place, capsys):
    words = ["synthesize", "--text", "hello", "--out", "s.mp4", "--voice"]
    for name in ("v.wav", "absent.wav"):
        assert cli.main([*words, name]) == cli.BAD_INPUT
        err = capsys.readouterr().err
        assert f"--voice {name}: is a file" in err
        assert "--recording" in err
    assert not (place / "s.mp4").exists()


def test_help_of_every_command(capsys):
    for command in (
        "dub",
        "detect",
        "mouths",
        "chart",
        "evaluate",
        "weights",
        "samples",
        "synthesize",
        "report",
        "train",
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main([command, "--help"])
        assert stopped.value.code == 0
        assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["dub", "detect", "mouths", "chart", "evaluate", "report", "synthesize"])
def test_help_states_every_default(command):
    """In brackets, or in words where the default is not one value."""
    parser = cli._parser()._subparsers._group_actions[0].choices[command]
    for action in parser._actions:
        if action.required or set(action.option_strings) & {"-h", "--debug", "--quiet"}:
            continue
        assert re.search(r"\([^)]+\)|not given", action.help), action.option_strings


def test_names_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["dub", "--help"])
    # lines may break a name at its hyphen
    out = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    for word in ("untrained", "identity", "anime-lbp", "results/result_voice.mp4", "0 to 0.25", "the code is 0"):
        assert word in out, word


def test_help_names_every_registered_detector(capsys):
    for command in ("dub", "detect", "report"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        out = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
        assert all(name in out for name in detection.NAMES)


def test_a_negative_seed_is_refused_in_words(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["synthesize", "--text", "a", "--out", "a.mp4", "--seed", "-1"])
    assert stopped.value.code == cli.BAD_INPUT
    assert "--seed: -1 is not a whole number from 0 on" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "known"), [("papermill", False), ("lipsync_lab.nowhere", True), ("tkinter", True)])
def test_a_python_without_the_packages_is_told_which_one_to_use(module, known, monkeypatch, capsys):
    """Not what is missing from the package itself or from Python: that is a fault, and keeps its traceback."""
    from lipsync_lab import __main__ as entry

    def absent():
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "main", absent)
    if known:
        with pytest.raises(ModuleNotFoundError):
            entry.run()
        return
    assert entry.run() == cli.BAD_INPUT
    err = capsys.readouterr().err
    assert "lacks papermill" in err
    assert ".venv/bin/python" in err
    assert len(err.splitlines()) == 1


def test_as_a_module_two_at_once_in_one_folder(place):
    """Two runs at the same moment in the same folder do not meet."""
    wav(place / "w.wav", 0.4)
    box = ["--box", "10", "60", "10", "60"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "lipsync_lab", *DUB[:-1], speech, "--outfile", f"o/{speech}.mp4", "--quiet", *box],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for speech in ("v.wav", "w.wav")
    ]
    for process in runs:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out == err == ""
    assert len(read(place / "o" / "v.wav.mp4")) == 15
    assert len(read(place / "o" / "w.wav.mp4")) == 10
    assert sorted(path.name for path in (place / "o").iterdir()) == ["v.wav", "v.wav.mp4", "w.wav", "w.wav.mp4"]


def test_voice_from_a_video(place):
    clip(place / "speaks.mp4", 10)
    assert cli.main(["dub", "--face", "in.mp4", "--audio", "speaks.mp4", "--outfile", "o.mp4", "--quiet"]) == 0
    assert abs(len(read(place / "o.mp4")) - 10) <= 1


def test_silent_voice(place):
    soundfile.write("silence.wav", np.zeros(8_000, np.float32), 16_000)
    assert cli.main(["dub", "--face", "in.mp4", "--audio", "silence.wav", "--outfile", "o.mp4", "--quiet"]) == 0
    assert len(read(place / "o.mp4")) in (12, 13)


def test_one_pixel(place):
    with video.Writer("tiny.mkv", fps=25, codec="ffv1") as writer:
        for _ in range(5):
            writer.write(np.full((1, 1, 3), 200, np.uint8))
    line = ["dub", "--face", "tiny.mkv", "--audio", "v.wav", "--outfile", "o.mkv", "--codec", "ffv1", "--quiet"]
    assert cli.main(line) == 0
    assert read(place / "o.mkv").shape == (15, 1, 1, 3)


# --- groups and old spellings ----------------------------------------------------------------------------------------


def test_help_lists_the_commands_in_three_groups(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    groups = re.findall(r"^(\w+):\n((?:  \w+ .*\n)+)", capsys.readouterr().out, re.MULTILINE)
    listed = {title: [line.split()[0] for line in lines.splitlines()] for title, lines in groups if title != "options"}
    assert listed["use"] == ["dub", "detect", "mouths", "chart", "evaluate", "report", "sweep", "blind"]
    assert listed["data"] == ["samples", "weights", "synthesize"]
    assert listed["training"] == ["train"]
    commands = cli._parser()._subparsers._group_actions[0].choices
    assert set(commands) == {name for names in listed.values() for name in names}
    assert set(commands["train"]._subparsers._group_actions[0].choices) == set(training.COMMANDS)
    assert set(training.COMMANDS) == {"render", "preprocess", "fit", "benchmark", "export"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "cartoon --text a --on 3 --mouth-on=2 --photograph",
            "synthesize --text a --exposure 3 --mouth-exposure=2 --portrait",
        ),
        ("render --data d", "train render --data d"),
        ("preprocess a.mp4 --out o", "train preprocess a.mp4 --out o"),
        ("export run --name x --on cpu", "train export run --name x --hardware cpu"),
        ("train export run --name x --on cpu", "train export run --name x --hardware cpu"),
        ("train detector --data d", "train fit detector --data d"),
        ("train --data d detector", "train fit --data d detector"),
        ("evaluate detector w --data d", "train benchmark detector w --data d"),
        (
            "train quality --data expert --generator reader",
            "train fit discriminator --data expert --generator reader",
        ),
        ("report --models a b", "report --generators a b"),
        ("weights fetch reader-lab", "weights fetch mouth-openness-lab"),
        ("evaluate --data d generator w --reader r", "train benchmark --data d generator w --mouth-openness r"),
        ("dub --gap pass --longest-gap 3", "dub --dropouts passthrough --max-dropout 3"),
        ("dub --gap=abort --mouths drawings", "dub --dropouts=error --mouth-cadence holds"),
        (
            "dub --mouths=frames --fill loop --mel-lead 1",
            "dub --mouth-cadence=every_frame --extend loop --audio-offset 1",
        ),
        ("dub --preset upstream --smoothing=upstream", "dub --preset reference --smoothing=reference"),
        ("detect --face-index 1 --analysis-size none", "detect --face-selection 1 --detection-size none"),
    ],
)
def test_old_spellings_are_translated_and_noted(old, new):
    words, notes = renamed.translate(old.split())
    assert words == new.split()
    assert notes
    assert all(" is now " in note for note in notes)


@pytest.mark.parametrize(
    "line",
    [
        *("", "--help", "train", "train --help", "train -h", "train fit detector", "evaluate --source a --output b"),
        *("evaluate --source generator --output detector", "dub --outfile pass --dropouts hold", "samples list"),
        *(
            "train export r --hardware x",
            "dub --face upstream --audio frames --mouth-cadence holds",
            "weights list abort",
        ),
        "synthesize --out a.mp4 -- --on",
    ],
)
def test_present_spellings_stay_as_they_are(line):
    assert renamed.translate(line.split()) == (line.split(), [])


def test_old_flags_still_work_and_warn_on_one_line_each(place, capsys):
    boxes(place / "b.json", [[20, 20, 60, 60], None, None, [24, 20, 64, 60]] * 4)
    line = [*DUB, "--detector", "b.json", "--quiet", "--outfile"]
    assert cli.main([*line, "new.mp4", "--dropouts", "hold", "--max-dropout", "3", "--mouth-cadence", "holds"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main([*line, "old.mp4", *shlex.split("--gap hold --longest-gap 3 --mouths drawings")]) == 0
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 4
    assert all(row.startswith("lipsync_lab: DeprecationWarning: --") for row in warned)
    assert "--gap is now --dropouts" in warned[0]
    assert np.array_equal(read(place / "old.mp4"), read(place / "new.mp4"))


@pytest.mark.parametrize(
    ("line", "module", "extra"),
    [
        ("report", "papermill", "lab"),
        ("synthesize --text a --out a.mp4", "espeakng_loader", "synthesis"),
        ("train fit generator --data d --out o", "matplotlib", "train"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(line, module, extra, place, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)  # which blocks its import
    before = set(place.rglob("*"))
    assert cli.main(line.split()) == cli.BAD_INPUT
    (message,) = capsys.readouterr().err.splitlines()
    assert module in message
    assert f"pip install 'lipsync_lab[{extra}]'" in message
    assert set(place.rglob("*")) == before


# --- evaluate --------------------------------------------------------------------------------------------------------


def test_evaluate_prints_a_table_and_writes_the_tables(place, capsys):
    """The printed numbers are those of the file."""
    frames = read(place / "in.mp4")
    with video.Writer("dubbed.mkv", fps=25, codec="ffv1") as writer:
        for frame in frames:
            writer.write(frame)
    with video.Writer("source.mkv", fps=25, codec="ffv1") as writer:
        for frame in frames:
            writer.write(frame)
    line = ["evaluate", "--source", "source.mkv", "--output", "dubbed.mkv", "--voice", "v.wav", "--out", "tables"]
    assert cli.main([*line, "--device", "cpu", "--quiet"]) == 0
    out = capsys.readouterr()
    table = pandas.read_csv(place / "tables" / "metrics.csv").set_index("metric")
    header, *lines = out.out.splitlines()
    assert header.split() == ["metric", "value", "unit", "frames", "failed", "threshold"]
    measured = table[table["value"].notna()]
    printed = {line.split()[0]: line[header.index("value") :].split() for line in lines[: len(measured)]}
    assert list(printed) == list(measured.index)
    for name, row in measured.iterrows():
        assert float(printed[name][0]) == pytest.approx(row["value"], rel=1e-3, abs=1e-9)
    for line in lines[: len(measured)]:
        row = table.loc[line.split()[0]]
        assert line[header.index("frames") :].split()[0] == str(row["n_frames"])
        failed = "-" if pandas.isna(row["threshold"]) else str(row["failed"])
        assert line[header.index("failed") :].split()[0] == failed
    rest = "\n".join(lines[len(measured) :])
    assert all(name in rest and row["reason"] in rest for name, row in table[table["reason"].notna()].iterrows())
    assert (place / "tables" / "frames.csv").is_file()


def test_evaluate_says_which_domain_it_used_and_why(place, capsys, monkeypatch):
    line = ["evaluate", "--source", "in.mp4", "--output", "in.mp4", "--device", "cpu"]
    assert cli.main(line) == 0
    assert "domain: unknown, so that some metrics and offsets are absent: give --domain" in capsys.readouterr().out
    assert cli.main([*line, "--domain", "animation"]) == 0
    assert "domain: animation, as given" in capsys.readouterr().out
    sample = SimpleNamespace(sha256=files.sha256("in.mp4"), domain="live_action")
    monkeypatch.setattr(samples, "SAMPLES", {"talk": sample})
    assert cli.main(line) == 0
    assert "domain: live_action, the clip is the sample talk" in capsys.readouterr().out


def test_the_printed_table_names_columns_as_pages_do():
    assert text.page_name("syncnet_distance_per_frame") == "out of sync"
    assert text.page_name("sharpness_loss") == text.page_name("line_art_loss") == text.page_name("av_offset") == ""
    about = {"value": 0.5, "unit": "", "n_frames": 3, "failed": 1, "threshold": 0.4, "reason": ""}
    table = text.table(pandas.DataFrame([{"metric": "syncnet_distance_per_frame", **about}]))
    assert table[1].startswith("syncnet_distance_per_frame (out of sync)  0.5")


def test_evaluate_says_how_an_output_lines_up_and_refuses_other_footage(place, capsys):
    frames = read(place / "in.mp4")
    video.write_clip("later.mkv", frames[5:, ::2, ::2].copy(), 25, codec="ffv1")
    line = ["evaluate", "--source", "in.mp4", "--device", "cpu", "--output"]
    assert cli.main([*line, "later.mkv"]) == 0
    out = capsys.readouterr().out
    assert (
        "aligned: output frame 0 is source frame 5; scale 0.5 x 0.5 (confidence 0.9" in out or "(confidence 1.0" in out
    )
    video.write_clip("other.mkv", np.flip(frames[5:, ::2, ::2], (1, 2)).copy(), 25, codec="ffv1")
    assert cli.main([*line, "other.mkv"]) == cli.BAD_INPUT
    assert "do not show the same footage" in capsys.readouterr().err


def test_evaluate_takes_an_alignment_from_flags(place, capsys):
    """Of a clip that moves little the given offset is taken, where the estimated one would be another."""
    frames = read(place / "in.mp4")
    video.write_clip("out.mkv", frames[4:, 8:, 16:].copy(), 25, codec="ffv1")
    line = ["evaluate", "--source", "in.mp4", "--output", "out.mkv", "--device", "cpu", "--offset", "3"]
    assert cli.main([*line, "--source-box", "16", "8", "128", "96"]) == 0
    out = capsys.readouterr().out
    assert "output frame 0 is source frame 3" in out
    assert "source box 16, 8, 128, 96" in out
    assert cli.main([*line, "--source-box", "0", "0", "40", "30"]) == cli.BAD_INPUT
    assert "do not show the same footage" in capsys.readouterr().err


def test_evaluate_writes_a_page_and_spares_its_inputs(place, capsys):
    line = ["evaluate", "--source", "in.mp4", "--output", "in.mp4", "--device", "cpu", "--quiet", "--out"]
    assert cli.main([*line, "result"]) == 0
    there = {path.relative_to(place / "result").as_posix() for path in (place / "result").rglob("*")}
    assert {
        "metrics.csv",
        "frames.csv",
        "failures.csv",
        "evaluation.json",
        "index.html",
        "media/source.mp4",
        "media/output.mp4",
    } <= there
    (place / "media").mkdir()
    (place / "media" / "source.mp4").write_bytes((place / "in.mp4").read_bytes())
    line[2] = "media/source.mp4"
    assert cli.main([*line, "."]) == cli.BAD_INPUT
    assert "media/source.mp4: lies where --out" in capsys.readouterr().err


def test_evaluate_of_many_pairs(place, capsys):
    (place / "broken.mp4").write_bytes(b"this is no clip")
    (place / "pairs.csv").write_text("source,output,model\nin.mp4,in.mp4,a\nin.mp4,broken.mp4,b\n")
    assert cli.main(["evaluate", "--pairs", "pairs.csv", "--out", "many", "--device", "cpu", "--quiet"]) == cli.FAILED
    out = capsys.readouterr()
    assert "many/index.html: 1 of 2 pairs measured" in out.out
    assert "pair broken failed: " in out.err
    table = pandas.read_csv(place / "many" / "pairs.csv")
    assert table["status"].tolist() == ["measured", "failed"]
    assert (place / "many" / "in" / "index.html").is_file()


def test_mouth_timing_is_written_for_a_voice_and_for_a_clip(place, capsys):
    for name in ("m.csv", "m.json", "m.tsv", "m.dat"):
        assert cli.main(["mouths", "voice_umbrella", "--out", name, "--fps", "24"]) == 0
        assert re.match(rf"{name}: \d+ mouths \(.*\), \d\.\d\d s, 24 frames a second", capsys.readouterr().out)
    table = pandas.read_csv("m.csv", keep_default_na=False)
    assert table["frame"].tolist() == list(range(len(table)))
    assert set(table["shape"]) <= set("ABCDEFGHX")
    line = ["mouths", "v.wav", "--face", "animation_hello", "-o", "clip.csv", "--preset", "animation", "--quiet"]
    assert cli.main(line) == 0
    dub = ["dub", "--generator", "cel", "--face", "animation_hello", "--audio", "v.wav", "--outfile", "o.mp4"]
    assert cli.main([*dub, "--preset", "animation", "--quiet"]) == 0
    drawn, timed = (pandas.read_csv(place / name, dtype=str) for name in ("o/exposure_sheet.csv", "clip.csv"))
    assert drawn[list(timed)].equals(timed)
    assert [*drawn.columns[len(timed.columns) :]] == ["mouth_source", "mouth_from"]
    assert cli.main([*dub, "--mouth-timing", "o/exposure_sheet.csv", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mouths", "v.wav", "--out", "m.txt"], "m.txt: mouth timing is written as .json, .tsv, .dat, .csv"),
        (["mouths", "none.wav"], "none.wav"),
        (["mouths", "v.wav", "--exposure", "0"], "--exposure 0"),
        (["mouths", "v.wav", "--fps", "0"], "--fps 0"),
        (["mouths", "v.wav", "--face", "in.mp4"], "in.mp4: no mouth is located"),
        ([*DUB, "--mouth-timing", "m.csv"], "--mouth-timing: wav2lip-lab does not draw"),
        ([*DUB, "--generator", "cel", "--mouth-timing", "v.wav"], "v.wav"),
    ],
)
def test_mouth_timing_is_refused_in_one_line(words, message, place, capsys):
    before = set(place.iterdir()) | {place / "cache"}
    assert cli.main([*words, "--quiet"]) == cli.BAD_INPUT
    (line,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("lipsync_lab: ")]
    assert message in line
    assert set(place.iterdir()) <= before


def test_a_chart_is_written_and_taken(place, capsys):
    assert cli.main(["chart", "animation_hello", "-o", "mouths"]) == 0
    assert re.search(
        r"mouths: \d+ mouths, \d+ from the clip and \d+ from the chart of shapes; contact_sheet",
        capsys.readouterr().out,
    )
    assert cli.main(["chart", "animation_hello", "--out", "drawn", "--mouth-source", "drawn", "--quiet"]) == 0
    names = {path.name for path in (place / "drawn").iterdir()}
    assert names == {"chart.json", "contact_sheet.png", *(f"{letter}.png" for letter in "ABCDEFGHX")}
    assert names <= {path.name for path in (place / "mouths").iterdir()}
    dub = ["dub", "--generator", "cel", "--face", "animation_hello", "--audio", "v.wav", "--quiet"]
    assert cli.main([*dub, "--mouth-chart", "drawn", "--outfile", "given.mp4"]) == 0
    (place / "drawn" / "E.png").unlink()
    assert cli.main([*dub, "--mouth-chart", "drawn", "--outfile", "spoilt.mp4"]) == cli.BAD_INPUT
    assert "E.png: cannot be read" in capsys.readouterr().err
    assert not (place / "spoilt.mp4").exists()
    assert cli.main(["chart", "in.mp4", "-o", "none", "--quiet"]) == cli.BAD_INPUT
    assert "in.mp4: no mouth is located" in capsys.readouterr().err
    assert not (place / "none").exists()


def test_metrics_are_listed_with_their_meaning(capsys):
    from lipsync_lab.metrics import openness, sync
    from lipsync_lab.metrics import registry as metrics

    assert cli.main(["evaluate", "--list-metrics"]) == 0
    first, second, _ = capsys.readouterr().out.split("\n\n")
    header, *rest = first.splitlines()
    lines = {line.split()[0]: line for line in rest}
    assert list(lines) == [metric.name for metric in metrics.metrics()]
    place = slice(header.index("fails"), header.index("what it measures"))
    for metric in metrics.metrics():
        assert metric.unit in lines[metric.name]
        assert ("above" in lines[metric.name][place]) == bool(metric.failure)
        assert len(metrics.definition(metric).split()) > 3, metric.name
    scores = {line.split()[0] for line in second.splitlines()[1:]}
    assert scores == {*sync.score_names("sync_expert"), *sync.score_names("lse"), *openness.SCORES}


def test_the_loops_of_the_flag_are_those_of_an_alignment():
    from lipsync_lab.cli import measure_flags
    from lipsync_lab.evaluation import alignment

    assert measure_flags.LOOPS == alignment.LOOPS


@pytest.fixture
def unusual(place) -> dict[str, np.ndarray]:
    """Files that are no ordinary clip, in the working folder; of those that hold pictures, the frames."""
    import av

    frames = pictures(24)
    (place / "text.mp4").write_bytes(b"this is no clip")
    (place / "empty.mp4").write_bytes(b"")
    wav(place / "sound.mp4.wav", 0.6)
    made = {
        "whole": frames,
        "short": frames[:16],
        "long": np.concatenate((frames, frames[:12])),
        "odd": frames[:, :95, :127],
        "still": np.repeat(frames[:1], 24, axis=0),
    }
    for name, images in made.items():
        video.write_clip(place / f"{name}.mkv", images, 25, codec="ffv1")
    with av.open(str(place / "picture.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "rgb24"
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(frames[0], "rgb24")), *stream.encode()):
            container.mux(packet)
    with av.open(str(place / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.set_display_rotation(90)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    made["upright"] = read(place / "phone.mp4")
    assert made["upright"].shape[1:3] == (128, 96)
    video.write_clip(place / "upright.mkv", made["upright"], 25, codec="ffv1")
    return made


@pytest.mark.parametrize(
    ("source", "output", "frames"),
    [
        ("whole.mkv", "short.mkv", 16),
        ("whole.mkv", "long.mkv", 36),
        ("odd.mkv", "odd.mkv", 24),
        ("picture.png", "still.mkv", 24),
        ("phone.mp4", "upright.mkv", 24),
    ],
)
def test_evaluate_measures_unusual_pairs(source, output, frames, unusual, place, capsys):
    """Shorter, longer, of odd sides, a still image, a rotated video of a telephone; none of them has sound."""
    line = ["evaluate", "--source", source, "--output", output, "--device", "cpu", "--quiet", "--out", "tables"]
    assert cli.main(line) == 0
    table = pandas.read_csv(place / "tables" / "metrics.csv").set_index("metric")
    assert len(pandas.read_csv(place / "tables" / "frames.csv")) == frames
    assert table.loc["background_change", "value"] < 2
    assert "no sound" in table.loc["syncnet_distance", "reason"]
    assert not table["failed"].any()


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("text.mp4", "whole.mkv", "text.mp4"),
        ("whole.mkv", "text.mp4", "text.mp4"),
        ("empty.mp4", "whole.mkv", "empty.mp4"),
        ("whole.mkv", "empty.mp4", "empty.mp4"),
        ("whole.mkv", "sound.mp4.wav", "sound.mp4.wav"),
        ("upright.mkv", "whole.mkv", "do not show the same footage"),
    ],
)
def test_evaluate_refuses_what_cannot_be_compared(source, output, words, unusual, place, capsys):
    before = set(place.rglob("*"))
    assert cli.main(["evaluate", "--source", source, "--output", output, "--device", "cpu"]) == cli.BAD_INPUT
    (line,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("lipsync_lab: ")]
    assert words in line
    assert len(line.split()) > 4
    assert set(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--source", "none.mp4", "--output", "in.mp4"], "none.mp4"),
        (["--source", "in.mp4", "--output", "none.mp4"], "none.mp4"),
        (["--source", "in.mp4", "--output", "in.mp4", "--domain", "comic"], "comic"),
        (["--source", "in.mp4", "--output", "in.mp4", "--voice", ""], "--voice is empty"),
        (["--source", "in.mp4", "--output", "in.mp4", "--out", "in.mp4"], "--out in.mp4"),
        (["--source", "in.mp4"], "--source and --output, or"),
        (["--pairs", "none.csv", "--out", "o"], "none.csv"),
        (["--pairs", "v.wav", "--source", "in.mp4", "--offset", "1", "--out", "o"], "--source, --offset exclude"),
        (["--pairs", "in.mp4"], "--pairs needs --out"),
    ],
)
def test_evaluate_refuses_bad_input_in_one_line(words, message, place, capsys):
    before = set(place.iterdir())
    assert cli.main(["evaluate", *words]) == cli.BAD_INPUT
    (line,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("lipsync_lab: ")]
    assert message in line
    assert set(place.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("dub --face a.mp4 --audio b.wav --outfle c.mp4", "--outfle is not known here; did you mean --outfile?"),
        ("report --voice x.wav", "--voice is not known here; did you mean --voices?"),
        ("evaluate --zzzzz", "--zzzzz is not known here; `python -m lipsync_lab evaluate --help` lists what there is"),
        ("train render --data x --whta frames", "--whta is not known here; did you mean --what?"),
    ],
)
def test_an_unknown_or_shortened_flag_ends_the_command_with_the_nearest(words, line, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(words.split())
    assert end.value.code == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "missing"),
    [([], "COMMAND"), (["dub"], "--face"), (["dub", "--face", "in.mp4"], "--audio"), (["samples", "lst"], "'show'")],
)
def test_what_is_missing_is_one_line_without_the_usage(words, missing, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == cli.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert missing in line
    assert "--help` lists" in line


def test_a_name_that_is_no_file_and_no_sample_names_its_flag(place, capsys):
    assert cli.main(["dub", "--face", "in.mp4", "--audio", "en-us"]) == cli.BAD_INPUT
    assert "--audio en-us: no such file, and no sample of that name" in capsys.readouterr().err


def test_a_misspelt_sample_is_suggested(capsys):
    assert cli.main(["samples", "path", "animation_buz"]) == 2
    assert "did you mean animation_bus?" in capsys.readouterr().err
