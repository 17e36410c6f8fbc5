"""The documentation: it builds without a warning, every metric has its page, the pages' commands and snippets hold."""

import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lipsync_lab
from lipsync_lab.cli import _parser
from lipsync_lab.metrics import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def test_the_documentation_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert (made.returncode, made.stderr) == (0, "")
    page = (tmp_path / "metrics" / "line_art_loss.html").read_text(encoding="utf-8")
    line_art = next(metric for metric in registry.metrics() if metric.name == "line_art_loss")
    assert f"{line_art.threshold:g}" in page
    assert registry.definition(line_art).partition("'")[0] in page  # the theme's quotes are typographic


def _metric_pages() -> dict[str, Path]:
    """By metric: the page that has its table."""
    named = {}
    for page in (DOCS / "metrics").glob("*.md"):
        names = re.findall(r"^```\{metric\} (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        named |= dict.fromkeys(names, page)
    return named


def test_every_metric_has_its_page_and_every_page_its_metric():
    named = _metric_pages()
    assert set(named) == {metric.name for metric in registry.metrics()}
    index = (DOCS / "metrics" / "index.md").read_text(encoding="utf-8").splitlines()
    assert {page.stem for page in named.values()} <= {line.strip() for line in index}
    for metric in registry.metrics():
        threshold = "never fails" if math.isnan(metric.threshold) else f"{metric.threshold:g}"
        about = f"{metric.unit} | {threshold} | {registry.definition(metric)}"
        assert f"| [`{metric.name}`]({named[metric.name].name}) | {about} |" in index


@pytest.mark.parametrize("page", sorted(set(_metric_pages().values())), ids=lambda page: page.stem)
def test_a_metrics_page_has_formula_range_and_reference(page: Path):
    text = page.read_text(encoding="utf-8")
    for part in ("## Formula", "**Range:**", "## How to read it", "## Reference"):
        assert text.count(part) == 1, part


def test_a_metric_can_reach_the_value_at_which_it_saturates():
    ends = {}
    for name, page in _metric_pages().items():
        if limit := re.search(r"\*\*Range:\*\* .*? to (\d+(?:\.\d+)?)\b", page.read_text(encoding="utf-8")):
            ends[name] = float(limit[1])
    assert len(ends) > 5
    assert ends["ghosting"] == 0.5
    for metric in registry.metrics():
        if metric.name in ends and metric.failure:
            assert metric.saturation <= ends[metric.name], metric.name


def _commands() -> list[tuple[str, str]]:
    out = []
    for page in PAGES:
        for line in re.findall(r"^\$ python -m lipsync_lab (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            out.append((str(page.relative_to(DOCS)), line.partition("  #")[0].strip()))
    return out


def test_there_are_commands_in_the_documentation():
    assert len(_commands()) > 15


@pytest.mark.parametrize(("page", "line"), _commands())
def test_a_command_of_the_documentation_is_one_that_the_command_line_takes(page: str, line: str):
    _parser().parse_args(shlex.split(line))


def test_python_snippets_are_valid_and_import_what_there_is():
    for page in PAGES:
        for snippet in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            code = compile(snippet, str(page), "exec")
            assert code
            imports = [line for line in snippet.splitlines() if line.startswith(("import ", "from "))]
            exec(compile("\n".join(imports), str(page), "exec"), {})


def _dictionary() -> dict[str, set[str]]:
    """By file, the columns that the data dictionary names."""
    out = {}
    for section in re.split(r"^### ", (DOCS / "files.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, text = section.partition("\n")
        first = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
        out[name.strip()] = {column for cell in first for column in re.findall(r"`([^`]+)`", cell)} or set(
            re.findall(r"`([a-z_0-9]+)`", text)
        )
    return out


def _key(path: Path) -> str:
    """The heading of a table: its name, with its folder where two tables have one name."""
    named = [f"{path.parent.name}/{path.name}", path.name]
    return (
        "truth.csv" if path.name.endswith(".truth.csv") else next((n for n in named if n in _dictionary()), path.name)
    )


def test_every_column_of_the_bundled_tables_is_in_the_data_dictionary():
    dictionary, tables = _dictionary(), [*(ROOT / "data").rglob("*.csv"), ROOT / "checkpoints" / "models.csv"]
    assert len(tables) > 30
    unnamed = {
        f"{path.relative_to(ROOT)}: {column}"
        for path in tables
        for column in path.read_text(encoding="utf-8").partition("\n")[0].split(",")
        if column not in dictionary.get(_key(path), ())
    }
    assert unnamed == set()


def test_every_column_of_a_run_and_its_evaluation_is_in_the_data_dictionary(tmp_path: Path):
    run = lipsync_lab.dub("animation_hello", "voice_umbrella", tmp_path / "run", generator="identity")
    lipsync_lab.evaluate(run)
    dictionary, metrics = _dictionary(), {metric.name for metric in registry.metrics()}
    tables = [run.folder / "ledger.csv", *(run.folder / "evaluation").glob("*.csv")]
    assert len(tables) > 4
    for path in tables:
        columns = set(path.read_text(encoding="utf-8").partition("\n")[0].split(","))
        known = dictionary[path.name] | (metrics if path.name == "frames.csv" else set())
        assert columns - known == set(), path.name
        assert dictionary[path.name] - columns == set(), path.name


def test_the_gallery_has_every_kind_of_failure_and_is_small():
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    pictures = {path.stem: path.stat().st_size for path in (DOCS / "pictures" / "gallery").glob("*.jpg")}
    for metric in (metric for metric in registry.metrics() if metric.failure):
        section = re.search(rf"^## {metric.failure}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
        assert section, metric.failure
        assert f"metrics/{metric.name}.md" in section[1]
        shown = f"pictures/gallery/{metric.name}.jpg" in section[1]
        assert shown == (metric.name in pictures), metric.name
        assert shown or "no example" in section[1]
    assert len(pictures) >= 8
    assert sum(pictures.values()) < 1_500_000
    assert "small bundled models made every picture" in text[:200]
