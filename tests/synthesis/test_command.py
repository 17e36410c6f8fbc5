"""The command `synthesize`, and the old names of its flags."""

import shlex

from lipsync_lab import cli
from lipsync_lab.media import video

TEXT = ["--text", "Me too.", "--size", "64", "48", "--quiet"]


def test_exposures_reach_the_ground_truth(tmp_path, capsys):
    out = tmp_path / "new.mp4"
    assert cli.main(["synthesize", *TEXT, "--exposure", "3", "--mouth-exposure", "4", "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    assert (video.probe(out).width, video.probe(out).height) == (64, 48)
    old = tmp_path / "old.mp4"
    assert cli.main([*shlex.split("cartoon --on 3 --mouth-on 4"), *TEXT, "--out", str(old)]) == 0
    assert old.with_suffix(".truth.csv").read_bytes() == out.with_suffix(".truth.csv").read_bytes()
    assert "--mouth-on is now --mouth-exposure" in capsys.readouterr().err


def test_the_portrait_has_no_holds(tmp_path):
    out = tmp_path / "portrait.mp4"
    assert cli.main(["synthesize", *TEXT, "--portrait", "--out", str(out)]) == 0
    rows = out.with_suffix(".truth.csv").read_text().splitlines()
    column = rows[0].split(",").index("drawing")
    drawings = [int(row.split(",")[column]) for row in rows[1:]]
    assert drawings == list(range(len(drawings)))
