"""Commands, flags and links in the Markdown documents exist."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lipsync_lab import cli
from lipsync_lab.cli import renamed

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/migration.md")),
    *(ROOT / folder / "README.md" for folder in ("data/samples", "checkpoints")),
]
LINKED = sorted({*DOCUMENTS, *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").glob("*/README.md")})


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\\\n", " ")


def command_lines(path: Path) -> list[list[str]]:
    """Words of every command line of this package in a code block, without its comment."""
    lines = re.findall(r"^(?: {4})?(?:\.venv/bin/)?python -m lipsync_lab (.*)$", text_of(path), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def known_flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every flag of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from known_flags(command)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_command_lines_are_valid(path: Path):
    for words in command_lines(path):
        assert renamed.translate(words) == (words, []), "an old spelling"
        cli._parser().parse_args(words)


def test_the_readme_has_command_lines():
    assert {words[0] for words in command_lines(ROOT / "README.md")} >= {"dub", "report", "weights", "synthesize"}


def test_flags_in_the_readme_exist():
    lines = [line for line in text_of(ROOT / "README.md").splitlines() if "pip install" not in line]
    flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", "\n".join(lines)))
    assert flags - set(known_flags(cli._parser())) == set()


def links_of(text: str) -> list[str]:
    """Files that a document links to or shows; headings and addresses are left out."""
    return [link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text) if "://" not in link]


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(path: Path):
    assert [link for link in links_of(text_of(path)) if not (path.parent / link).exists()] == []


def test_links_are_read():
    text = "[a](b.md), ![c](d/e.png) and [f](g.md#h), not [i](https://example.org/j) and [k](#l)"
    assert links_of(text) == ["b.md", "d/e.png", "g.md"]
    assert len(links_of(text_of(ROOT / "README.md"))) > 20


def test_the_readme_names_every_notebook():
    readme = text_of(ROOT / "README.md")
    assert [path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if f"`{path.stem}`" not in readme] == []
