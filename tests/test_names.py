"""No retired name comes back: identifiers, table columns, flags, settings and kinds follow `docs/migration.md`.

`make lint` runs `python tests/test_names.py`, which prints every use with its line and the count.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Identifiers that said something only to those who wrote them, or that have another name now.
IDENTIFIERS = frozenset(
    re.findall(
        r"\S+",
        """
        found finder seeker looks strangers Rhythm rhythm stood examined Examined examine mends mended heard seen
        telling_frame by_eye judged said told one some others every proof stretch stretches
        mouth_drawn longest_gap mel_lead analysis_size cartoon extra_mouth new_colours drawn_jitter_centre
        expert_at_zero
        """,
    )
)

#: Strings that were table columns, flags, settings' values, kinds of failure or model kinds.
STRINGS = frozenset(
    re.findall(
        r"\S+",
        """
        photographic mouth_drawn longest_gap mel_lead analysis_size upstream
        blur seam colour new_colours lines ghost outside cropped extra_mouth switch missed flicker unreal
        drawn_jitter_centre among_found opened_source opening_shuffled
        expert_distance expert_confidence expert_offset expert_at_zero lse_distance lse_confidence lse_offset
        --mouths --gap --longest-gap --fill --mel-lead --analysis-size --face-index --models --on --mouth-on
        --photograph
        cartoon drawn_hello drawn_baker quality-lab reader-lab 05_comparison 06_what_mends_it what_mends_it
        """,
    )
) | {
    *("as is", "missed face", "wrong face", "trembling box", "mouth outside the box", "blurred mouth", "visible seam"),
    *("shifted colour", "new colours", "lost lines", "ghost of the old mouth", "changed outside the box"),
    *("judged unreal", "mouth moves over a held drawing"),
}

#: Modules that translate old public names, and tests of these translations: old strings, no old identifiers.
TRANSLATIONS = frozenset(
    re.findall(
        r"\S+",
        """
        lipsync_lab/renamed.py lipsync_lab/samples.py lipsync_lab/cli/renamed.py
        tests/test_names.py tests/test_renamed.py tests/test_settings.py tests/test_samples.py tests/cli/test_cli.py
        """,
    )
)


def python_sources() -> Iterator[tuple[str, str]]:
    """Path from the repository's root, and text, of every module, test, script and notebook (its code cells)."""
    for folder in ("lipsync_lab", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        yield path.relative_to(ROOT).as_posix(), "\n".join(code)


def retired(text: str, strings: bool = True) -> Iterator[tuple[int, str]]:
    """Line and retired name of every use in a Python source: of identifiers, and, unless switched off, of strings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in IDENTIFIERS:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name == "rows":
            yield node.lineno, "def rows"
        # docstrings and other prose are longer than a name
        if strings and isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in STRINGS:
            yield node.lineno, repr(node.value)


def uses() -> list[str]:
    """One line for each use of a retired name in the repository."""
    return [
        f"{path}:{line}: {name}"
        for path, text in python_sources()
        for line, name in retired(text, strings=path not in TRANSLATIONS)
    ]


def test_no_retired_name_is_used():
    assert uses() == []


def test_a_retired_name_is_reported():
    assert list(retired("found = 1\n")) == [(1, "found")]
    assert list(retired("def rows():\n    rows = 1\n")) == [(1, "def rows")]
    assert list(retired("table['seam']\n")) == [(1, "'seam'")]
    assert list(retired("table['seam']\n", strings=False)) == []
    assert list(retired("foundation = 'a seam in the box'\n")) == []


def test_translations_exist():
    assert [path for path in sorted(TRANSLATIONS) if not (ROOT / path).is_file()] == []


def test_every_retired_public_name_is_in_the_migration_table():
    table = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    assert [name for name in sorted(STRINGS) if not re.search(rf"`{re.escape(name)}`", table)] == []


if __name__ == "__main__":
    faults = uses()
    print("\n".join(faults + [f"{len(faults)} uses of retired names"]))
    sys.exit(bool(faults))
