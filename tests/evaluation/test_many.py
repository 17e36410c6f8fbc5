"""Many pairs: the table is checked before anything starts, a failing pair is kept, and what is measured stays so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clips import boxes, pictures

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import evaluate as evaluating
from lipsync_lab.evaluation import many
from lipsync_lab.media import video

FRAMES = 8
NETWORKS = dict.fromkeys(("sync_expert", "discriminator", "lse", "mouth_openness"))
TABLE = "source,output,detections,model,domain,shot\nsource.mkv,a/out.mkv,boxes.json,m 1,animation,near\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A source, an output with a grey box, one without a change, and one that is not a video."""
    frames = pictures(FRAMES)
    changed = frames.copy()
    changed[:, 40:80, 40:80] = 127
    for name, images in {"source": frames, "a/out": changed, "b/out": frames}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        video.write_clip(tmp_path / f"{name}.mkv", images, 25, codec="ffv1")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "out.mkv").write_bytes(b"this is no video")
    boxes(tmp_path / "boxes.json", [[36, 36, 84, 84]] * FRAMES)
    (tmp_path / "pairs.csv").write_text(
        f"{TABLE}source.mkv,c/out.mkv,,m 1,,\nsource.mkv,b/out.mkv,boxes.json,m 2,animation,\n", encoding="utf-8"
    )
    return tmp_path


def test_every_problem_of_a_table_is_named_and_nothing_is_written(home):
    path = home / "bad.csv"
    path.write_text(f"{TABLE}none.mkv,a/out.mkv,gone.json,,comic,\n,a/out.mkv,,,,\n", encoding="utf-8")
    before = set(home.rglob("*"))
    with pytest.raises(ParameterError) as error:
        many.evaluate_pairs(path, home / "out")
    for words in (
        "line 3: source none.mkv",
        "line 3: detections gone.json",
        "line 3: unknown domain 'comic'",
        "line 4: source is empty",
    ):
        assert words in str(error.value)
    assert "line 2" not in str(error.value)
    assert set(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("source,voice\na,b\n", "no column output"),
        ("source,output\n", "no rows"),
        ("source,output,status\na,b,c\n", "columns status too"),
        ("source,output,colour_shift\na,b,c\n", "columns colour_shift too"),
    ],
)
def test_a_table_that_cannot_be_used(content, words, tmp_path):
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(ParameterError, match=words):
        many.read_pairs(tmp_path / "pairs.csv")


def test_an_unreadable_table_and_one_that_would_be_overwritten(home):
    with pytest.raises(MediaError, match=r"none\.csv"):
        many.read_pairs(home / "none.csv")
    (home / "bytes.csv").write_bytes(b"\xff\xfe\x00source")
    with pytest.raises(MediaError, match="UTF-8"):
        many.read_pairs(home / "bytes.csv")
    with pytest.raises(ParameterError, match="overwrite"):
        many.evaluate_pairs(home / "pairs.csv", home)


def test_pairs_are_measured_and_a_failing_one_is_kept_with_its_reason(home):
    stages = []
    table = many.evaluate_pairs(
        *(home / "pairs.csv", home / "out"),
        **{"device": "cpu", "progress": lambda stage, done, total: stages.append(stage)},
        **NETWORKS,
    )
    assert table["name"].tolist() == ["a_out", "c_out", "b_out"]
    assert table["status"].tolist() == ["measured", "failed", "measured"]
    assert "out.mkv" in table["reason"][1]
    assert table["shot"].tolist() == ["near", "", ""]
    assert table["model"].tolist() == ["m 1", "m 1", "m 2"]
    alone = evaluating.evaluate(
        *(home / "source.mkv", home / "a/out.mkv"),
        **{"detections": home / "boxes.json", "domain": "animation", "device": "cpu"},
        **NETWORKS,
    )
    assert table["sharpness_loss"][0] == pytest.approx(alone.metric("sharpness_loss"))
    assert table["worst"][0] == alone.failures["kind"][0]
    assert table["failures"].tolist()[2] == 0
    assert table["sharpness_loss"].isna().tolist() == [False, True, False]
    written = pd.read_csv(home / "out" / many.TABLE)
    assert written["colour_shift"].to_numpy() == pytest.approx(
        table["colour_shift"].to_numpy(float), rel=1e-5, nan_ok=True
    )
    assert (home / "out" / "a_out" / "metrics.csv").is_file()
    assert list(dict.fromkeys(stage.partition(":")[0] for stage in stages)) == [
        "[1/3] a_out",
        "[2/3] c_out",
        "[3/3] b_out",
    ]


def test_a_call_that_was_interrupted_goes_on(home, monkeypatch):
    measured = []
    measure = evaluating._measured

    def counted(given, *rest):
        if len(measured) == 1:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(Path(given.output.name).parent.name)
        return measure(given, *rest)

    monkeypatch.setattr(evaluating, "_measured", counted)
    with pytest.raises(KeyboardInterrupt):
        many.evaluate_pairs(home / "pairs.csv", home / "out", device="cpu", **NETWORKS)
    half = pd.read_csv(home / "out" / many.TABLE)
    assert half["status"].tolist() == ["measured", "failed"]
    table = many.evaluate_pairs(home / "pairs.csv", home / "out", device="cpu", **NETWORKS)
    assert measured == ["a", "interrupted", "b"]
    assert table["status"].tolist() == ["measured", "failed", "measured"]


def test_medians_are_over_sources():
    """Two outputs of source x count once: its mean is 2, beside 5 and 9 of the others."""
    table = pd.DataFrame(
        {
            "source": ["x", "x", "y", "z", "x"],
            "model": ["m", "m", "m", "m", "n"],
            "status": ["measured"] * 3 + ["measured", "failed"],
            "colour_shift": [1.0, 3.0, 5.0, 9.0, np.nan],
        }
    )
    (row,) = many.medians(table).to_dict("records")
    assert row == {"model": "m", "metric": "colour_shift", "sources": 3, "median": 5.0, "low": 2.0, "high": 9.0}
