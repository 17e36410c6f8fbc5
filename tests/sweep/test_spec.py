"""`sweep.yaml`: what it expands to, against a product made by hand; every message names its line."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from clips import wav

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.settings import PRESETS, Settings
from lipsync_lab.sweep import spec


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Files that are there; a sweep is not asked what they hold before it runs."""
    for name in ("a.mp4", "b.mp4", "shots/c.mp4", "shots/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    wav(tmp_path / "v.wav", 0.3)
    wav(tmp_path / "w.wav", 0.3)
    return tmp_path


def given(home: Path, text: str) -> spec.Sweep:
    (home / "sweep.yaml").write_text(text, encoding="utf-8")
    return spec.read(home / "sweep.yaml")


def key(run: spec.Wanted) -> tuple:
    return Path(run.clip).name, Path(run.voice).name, run.generator, run.detector, run.settings


def test_a_grid_is_every_combination(home):
    text = (
        "clips: [a.mp4, animation_hello]\nvoices: [v.wav, w.wav]\ngenerators: [identity, cel]\ndetectors: [lbp]\n"
        "settings:\n  feather: [0.0, 0.2]\n  pads: [[0, 10, 0, 0], [1, 2, 3, 4]]\n  crop: [0, -1, 0, -1]\nout: runs\n"
    )
    sweep = given(home, text)
    sets = [Settings(feather=f, pads=p) for f, p in itertools.product((0.0, 0.2), ((0, 10, 0, 0), (1, 2, 3, 4)))]
    wanted = itertools.product(("a.mp4", "animation_hello"), ("v.wav", "w.wav"), ("identity", "cel"), ("lbp",), sets)
    assert [key(run) for run in sweep.runs] == list(wanted)
    assert sweep.out == str(home / "runs")
    assert {run.domain for run in sweep.runs if run.clip == "animation_hello"} == {"animation"}


def test_a_list_takes_the_nth_of_each(home):
    sweep = given(home, "clips: [a.mp4, b.mp4]\nvoices: [v.wav, w.wav]\ncombine: list\ngenerators: identity\nout: o\n")
    assert [key(run)[:3] for run in sweep.runs] == [("a.mp4", "v.wav", "identity"), ("b.mp4", "w.wav", "identity")]
    with pytest.raises(
        ParameterError, match=r"line 1: combine: list needs lists of one length; clips has 2, another 3"
    ):
        given(home, "clips: [a.mp4, b.mp4]\nvoices: [v.wav, w.wav, v.wav]\ncombine: list\nout: o\n")


def test_a_row_of_a_table_stands_in_place_of_the_lists(home):
    (home / "clips.csv").write_text(
        "clip,voice,domain,pair,generator,feather,preset\na.mp4,w.wav,animation,p,cel,0.2,animation\nb.mp4,,,,,,\n"
    )
    sweep = given(home, "clips: clips.csv\nvoices: v.wav\ngenerators: [identity, wav2lip-lab]\nout: o\n")
    first, *rest = sweep.runs
    assert (key(first)[:3], first.domain, first.pair) == (("a.mp4", "w.wav", "cel"), "animation", "p")
    assert first.settings == Settings(**PRESETS["animation"] | {"feather": 0.2})
    assert [key(run)[:3] for run in rest] == [("b.mp4", "v.wav", "identity"), ("b.mp4", "v.wav", "wav2lip-lab")]


def test_own_sound_patterns_and_presets(home):
    sweep = given(home, "clips: shots/*.mp4\nsettings: [{}, {preset: animation}]\nout: memory://bucket/o\n")
    assert [(Path(run.clip).name, run.voice == run.clip, run.generator) for run in sweep.runs] == [
        ("c.mp4", True, "wav2lip-lab"),
        ("c.mp4", True, "cel"),
        ("d.mp4", True, "wav2lip-lab"),
        ("d.mp4", True, "cel"),
    ]
    assert sweep.out == "memory://bucket/o"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clip: a.mp4\nout: o\n", "line 1: unknown key clip; did you mean clips?"),
        ("clips: a.mp4\n", "line 1: out is missing"),
        ("clips: []\nout: o\n", "line 1: clips is empty"),
        ("out: o\nclips:\n  - a.mp4\n  - nowhere.mp4\n", "line 4: nowhere.mp4 is not there, nor a sample"),
        ("out: o\nclips:\n  - shots/*.mkv\n", "line 3: no file matches shots/*.mkv"),
        ("out: o\nclips: a.mp4\nvoices:\n  - v.wav\n  - 7\n", "line 5: voices has 7, not a name or an address"),
        ("out: o\nclips: a.mp4\nsettings:\n  feathers: 1\n", "line 4: unknown setting feathers; did you mean feather?"),
        ("out: o\nclips: a.mp4\nsettings:\n  - {}\n  - feather: 7\n", "line 5: feather 7"),
        ("out: o\nclips: a.mp4\nsettings: {mouth_chart: x}\n", "line 3: mouth_chart is of one clip"),
        ("out: o\nclips:\n  - {clip: a.mp4, domain: drawing}\n", "line 3: unknown domain 'drawing'"),
        ("out: o\nclips:\n  - {clip: a.mp4,\n     vioce: v.wav}\n", "line 4: unknown key vioce of a clip"),
        ("out: o\nclips: a.mp4\ncombine: product\n", "line 3: combine is 'product'"),
        ("out: o\nclips: a.mp4\nout: p\n", "line 3: the key out stands here twice"),
        ("out: o\nclips: [a.mp4\n", "line 3: is no YAML"),
        ("- a\n", "holds no keys"),
        ("out: o\nclips: &x [a.mp4]\nvoices: *x\n", "line 3: is YAML with an alias (*x)"),
        ("out: 3\nclips: a.mp4\n", "line 1: out is 3, not an address"),
        ("out: o\nclips: a.mp4\nsettings: {fps: []}\n", "line 3: a setting has an empty list"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(home, text, says):
    with pytest.raises(ParameterError) as error:
        given(home, text)
    assert says in str(error.value)
    assert not (home / "o").exists()


def test_all_problems_are_named_at_once(home):
    with pytest.raises(ParameterError, match=r"line 1: x is not there.*line 1: y is not there"):
        given(home, "clips: [x, y]\nout: o\n")


def test_files_that_are_no_yaml(home):
    with pytest.raises(MediaError, match="cannot be read"):
        spec.read(home / "none.yaml")
    for content in (b"\xff\xfe\x00", b"[" * 100_000, b"clips: !!python/object/apply:os.getcwd []\nout: o\n", b"\x00"):
        (home / "bad.yaml").write_bytes(content)
        with pytest.raises(ParameterError, match="YAML"):
            spec.read(home / "bad.yaml")


def test_a_grid_without_end_is_refused(home, monkeypatch):
    values = ", ".join(map(str, range(1001)))
    with pytest.raises(ParameterError, match="asks for 1002001 sets of settings"):
        given(home, f"clips: [a.mp4, b.mp4]\nsettings: {{crf: [{values}], max_dropout: [{values}]}}\nout: o\n")
    monkeypatch.setattr(spec, "MOST_RUNS", 5)
    with pytest.raises(ParameterError, match="line 1: asks for 6 runs; the most are 5"):
        given(home, "clips: [a.mp4, b.mp4]\nsettings: {feather: [0.0, 0.1, 0.2]}\nout: o\n")
