"""The README's commands and its Python snippet, run from the README's own text; its length, and its first picture."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lipsync_lab import cli
from lipsync_lab.media import video

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
#: Commands that are not run, by their beginning, and why. `test_documents.py` parses those of the package.
EXCEPTED = {
    "make .venv": "makes an environment from the network",
    "pip install": "needs a network",
    "conda env create": "needs conda and a network",
    "python -m lipsync_lab report": "takes minutes, and names clips of the reader",
    "python -m lipsync_lab evaluate": "names clips of the reader; the snippet evaluates a run",
    "python -m lipsync_lab weights fetch": "needs a network",
}


def commands() -> list[str]:
    """Command lines of the README, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [shlex.join(shlex.split(line, comments=True)) for block in blocks for line in block.splitlines()]


def excepted(command: str) -> bool:
    return any(command.startswith(beginning) for beginning in EXCEPTED)


def test_every_exception_is_in_the_readme_and_the_others_are_of_the_package():
    assert all(any(command.startswith(beginning) for command in commands()) for beginning in EXCEPTED)
    run = [command for command in commands() if not excepted(command)]
    assert len(run) >= 4
    assert [command for command in run if not command.startswith("python -m lipsync_lab ")] == []


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in commands():
        if not excepted(command):
            words = shlex.split(command)[3:]
            assert cli.main(words) == 0, command
            written = [words[at + 1] for at, word in enumerate(words) if word in ("--outfile", "--out")]
            assert all(video.probe(tmp_path / name).frames >= 25 for name in written), command
    assert "animation_bus" in capsys.readouterr().out


def test_the_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    [snippet] = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(compile(snippet, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    assert str(names["run"].output) in shown
    assert {"sharpness_loss", "line_art_loss"} <= set(names["evaluation"].metrics["metric"])
    table = names["evaluation"].metrics.set_index("metric")
    assert all(metric in shown for metric in table.index)
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line}
    assert lines["sharpness_loss"][-2:] == [str(table["failed"]["sharpness_loss"]), "0.35"]
    assert lines["openness_correlation"][-2:] == ["-", "-"]  # it never fails
    for reason in table.loc[table["value"].isna(), "reason"]:
        assert f"not measured ({reason})" in shown


def test_the_readme_is_short_and_names_who_made_its_picture():
    assert len(TEXT.splitlines()) <= 120
    picture, _, caption = TEXT.partition("reports/figures/failures.jpg)")
    assert caption
    assert "small bundled models made these pictures" in caption[:500]
    assert "lipsync_lab" in picture
