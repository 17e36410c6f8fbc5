"""The folder of a run that is damaged, or that somebody wrote who means harm."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import PROVENANCES, FaceTrack
from lipsync_lab.runs import Run, ledger, write_ledger

ABOUT = {"file": "a.mp4", "sha256": "0" * 64}
INFO = {"output": "output.mp4", "clip": ABOUT, "voice": ABOUT, "generator": {"name": "x"}, "detector": {"name": "x"}}


def run(folder: Path, info: str, ledger: str = "frame,time\n0,0\n") -> Run:
    (folder / "run.json").write_text(info, encoding="utf-8")
    (folder / "ledger.csv").write_text(ledger, encoding="utf-8")
    return Run(folder)


@pytest.mark.parametrize(
    "info",
    [
        *("", "{", "[]", "null", "[" * 100_000, '"text"'),
        *(json.dumps({**INFO, "clip": value}) for value in (None, 3, "text", [], {})),
        *(json.dumps({**INFO, "generator": value}) for value in (None, 3)),
        *(json.dumps({name: value for name, value in INFO.items() if name != gone}) for gone in ("clip", "detector")),
    ],
)
def test_a_damaged_run_json_is_one_line(info, tmp_path):
    with pytest.raises(MediaError, match="damaged") as error:
        run(tmp_path, info).info  # noqa: B018
    assert str(tmp_path / "run.json") in str(error.value)


def test_a_damaged_ledger_is_one_line(tmp_path):
    with pytest.raises(MediaError, match="damaged") as error:
        run(tmp_path, json.dumps(INFO), 'a,b\n1,2,3,4\n"').ledger()
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(MediaError, match="ledger.csv: damaged .*no rows"):
        run(tmp_path, json.dumps(INFO), "frame,time,shot\n").ledger()


def random_track(rng: np.random.Generator, frames: int) -> FaceTrack:
    """Boxes and scores of all magnitudes, whole numbers and gaps among them."""
    numbers = (rng.normal(size=(frames, 9)) * 10.0 ** rng.integers(-7, 4, (frames, 9))).round(rng.integers(0, 12))
    numbers[rng.random(frames) < 0.2] = np.nan
    kinds = rng.choice(PROVENANCES, frames)
    return FaceTrack(numbers[:, :4], numbers[:, 4], kinds, np.sort(rng.integers(0, 3, frames)), numbers[:, 5:])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("numbers", [(0,), (0, 1, 4)])
def test_the_written_ledger_has_the_bytes_of_pandas(seed, numbers, tmp_path):
    rng, fps = np.random.default_rng(seed), Fraction(30000, 1001)
    faces = {number: (random_track(rng, 40), rng.random(40) < 0.5) for number in numbers}
    write_ledger(tmp_path / "ledger.csv", faces, fps)
    table = pd.concat([ledger(*face, fps).assign(face=number) for number, face in faces.items()])
    table = table.sort_values(["frame", "face"], kind="stable")
    assert (tmp_path / "ledger.csv").read_text() == table.to_csv(index=False, lineterminator="\n")
    back = Run(tmp_path)
    for name in ("provenance", "shot"):
        assert back.column(name) == back.ledger()[name].astype(str).tolist()


def test_a_column_of_an_earlier_version_and_of_a_damaged_ledger(tmp_path):
    earlier = run(tmp_path, json.dumps(INFO), "frame,time,provenance\n0,0,detected\n1,0.04,missing\n")
    assert earlier.column("provenance") == ["detected", "missing"]
    for damaged in ("frame,time,provenance\n", "frame\n0\n", "frame,provenance,face\n0,detected,x\n"):
        with pytest.raises(MediaError, match="ledger.csv: damaged"):
            run(tmp_path, json.dumps(INFO), damaged).column("provenance")


def test_the_output_lies_in_the_folder_whatever_the_file_says(tmp_path):
    made = run(tmp_path, json.dumps({**INFO, "output": "../../etc/passwd"}))
    assert made.output == tmp_path / "passwd"
