"""No retired name or phrase comes back: names follow `docs/migration.md`; prose is plain English (CONTRIBUTING.md).

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

#: Phrases that only their writers understood, or that had to be read twice; a space stands for any white space.
PHRASES = (
    "same ears",
    "told the truth",
    "beside it it",
    "(what|that) mends",
    "clip of nobody",
    "door to the network",
    "(not|n't) hold 0",
    "metadata ask",
    "go(es)? on where",
    "from (then|which|here) on",
    r"from \w+ (answers|clips|lines|pixels|units|frames|pairs) on\b",
    "(that|which|what) is no (?!longer|more|less|better|worse|higher|lower|larger|smaller)[a-z]",
    r"mouth is (not )?sure\b",
    r"(is|are|be) not sure\b",
    "brought onto",
    "nobody (marked|labelled)",
    "by nobody",
    "nothing to do with",
    "next to nothing",
    "was not asked",
    "(registry|package|dictionary) knows",
    "begun from",
    "million numbers",
    r"drawn mouths?\b",
    r"at the (least|most)\b",
    "the same in short",
    "in the time of",
    r"leaves? \S+( \S+)? away\b",
    "(row|page|folder|column|line|figure|positives|one) an? (frame|metric|pair|run|clip|sample|file|method|score)",
)
_PHRASE = re.compile("|".join(f"(?:{phrase})" for phrase in PHRASES).replace(" ", r"[\s#>]+"), re.IGNORECASE)


def prose() -> Iterator[tuple[str, str]]:
    """Path from the repository's root, and text, of everything that a person may read, without the migration table."""
    paths = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "Makefile")]
    paths += [ROOT / "checkpoints" / "models.csv", ROOT / "data" / "samples" / "manifest.csv"]
    for folder in ("lipsync_lab", "benchmarks", "docs", "data", "checkpoints", "tests", ".github"):
        paths += [path for ending in ("md", "py", "j2", "js", "yml") for path in (ROOT / folder).rglob(f"*.{ending}")]
    for path in sorted(set(paths) - {ROOT / "docs" / "migration.md", ROOT / "tests" / "test_names.py"}):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.relative_to(ROOT).as_posix(), "\n".join("".join(cell["source"]) for cell in cells)


def phrases(text: str) -> Iterator[tuple[int, str]]:
    """Line and wording of every retired phrase in a text."""
    for match in _PHRASE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, re.sub(r"\s+", " ", match[0])


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
    """One line for each use of a retired name or phrase in the repository."""
    names = [
        f"{path}:{line}: {name}"
        for path, text in python_sources()
        for line, name in retired(text, strings=path not in TRANSLATIONS)
    ]
    return names + [f"{path}:{line}: {wording!r}" for path, text in prose() for line, wording in phrases(text)]


def test_no_retired_name_or_phrase_is_used():
    assert uses() == []


def test_a_retired_name_is_reported():
    assert list(retired("found = 1\n")) == [(1, "found")]
    assert list(retired("def rows():\n    rows = 1\n")) == [(1, "def rows")]
    assert list(retired("table['seam']\n")) == [(1, "'seam'")]
    assert list(retired("table['seam']\n", strings=False)) == []
    assert list(retired("foundation = 'a seam in the box'\n")) == []


def test_a_retired_phrase_is_reported():
    assert list(phrases("one\nan interval that does not\n# hold 0")) == [(2, "not # hold 0")]
    assert list(phrases("What is no face\nis drawn.")) == [(1, "What is no f")]
    assert list(phrases("A row per frame, that is no longer there; 12 frames a second; hold 0.3 s")) == []


def test_the_lint_reads_what_people_read():
    paths = [path for path, _ in prose()]
    assert {"README.md", "docs/index.md", "lipsync_lab/cli/flags.py", "checkpoints/wav2lip-lab.md"} <= set(paths)
    assert "notebooks/00_quickstart.ipynb" in paths
    assert not any(path.startswith("build") for path in paths)


def test_translations_exist():
    assert [path for path in sorted(TRANSLATIONS) if not (ROOT / path).is_file()] == []


def test_every_retired_public_name_is_in_the_migration_table():
    table = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    assert [name for name in sorted(STRINGS) if not re.search(rf"`{re.escape(name)}`", table)] == []


if __name__ == "__main__":
    faults = uses()
    print("\n".join(faults + [f"{len(faults)} uses of retired names and phrases"]))
    sys.exit(bool(faults))
