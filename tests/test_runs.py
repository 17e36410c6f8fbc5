"""The folder of a run that is damaged, or that somebody wrote who means harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lipsync_lab.errors import MediaError
from lipsync_lab.runs import Run

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


def test_the_output_lies_in_the_folder_whatever_the_file_says(tmp_path):
    made = run(tmp_path, json.dumps({**INFO, "output": "../../etc/passwd"}))
    assert made.output == tmp_path / "passwd"
