"""Committed notebooks meet what nbval and papermill need, and nbval notices a wrong output.

`make test` executes them all; these tests only read them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lipsync_lab.models import registry
from lipsync_lab.reporting import notebooks
from lipsync_lab.reporting.notebooks import CHECKED, LARGE_OUTPUT

#: Finding none raises, and so fails the whole file.
NOTEBOOKS = notebooks.find_notebooks()

KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


#: Statements of a cell: calls and what they take; more is logic.
MOST_STATEMENTS = 5


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def tree(cell) -> ast.Module:
    """The code of a cell, without lines that IPython alone understands."""
    return ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!"))))


def literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def pictures(output) -> set[str]:
    return notebooks.PICTURES & set(output.get("data", {}))


def statements(cell) -> int:
    """Statements of a cell at any depth, without imports."""
    kinds = ast.walk(tree(cell))
    return sum(isinstance(node, ast.stmt) and not isinstance(node, ast.Import | ast.ImportFrom) for node in kinds)


def faults(notebook) -> list[str]:
    """Reasons why nbval or papermill would fail, or a reader would be misled."""
    problems = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    parameters = tagged(notebook, "parameters")
    if len(parameters) != 1 or code[0] is not parameters[0]:
        problems.append("the first code cell must be the one tagged parameters")
    for cell in parameters:
        for node in tree(cell).body:
            if not (isinstance(node, ast.Assign) and literal(node.value)):
                problems.append(f"parameters: {ast.unparse(node)} is not a name and a literal")
    if any(
        isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda) for cell in code for node in ast.walk(tree(cell))
    ):
        problems.append("functions and classes belong in the package")
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        problems.append("not executed from top to bottom: run make notebooks")
    outputs = [(cell, output) for cell in code for output in cell.outputs]
    if any(output.output_type == "error" for _, output in outputs):
        problems.append("holds an error")
    if any(output.get("name") == "stderr" for _, output in outputs):
        problems.append("holds warnings or progress bars")
    if not any(cell.outputs for cell in tagged(notebook, CHECKED)):
        problems.append("nothing that nbval could compare")
    large = [cell for cell, output in outputs if len(str(output)) > 1.5 * LARGE_OUTPUT and not pictures(output)]
    if any(CHECKED not in cell.metadata.get("tags", []) for cell in large):
        problems.append("a large output was not stripped: run make notebooks")
    if any("set_title" in cell.source for cell in code):
        problems.append("a title that is written by hand: figures compute theirs")
    if any(statements(cell) > MOST_STATEMENTS for cell in code if cell not in parameters):
        problems.append("logic belongs in the package")
    if any(cell.cell_type == "markdown" and "](http" in cell.source and "![" in cell.source for cell in notebook.cells):
        problems.append("a picture from the network")
    return problems


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_in_order(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert faults(notebook) == []
    assert notebook.metadata.kernelspec == KERNEL["kernelspec"]
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_opens_with_question_answer_limits_and_its_page(path: Path):
    first = nbformat.read(path, as_version=4).cells[:7]
    text = [cell.source for cell in first if cell.cell_type == "markdown"]
    assert "**Question.**" in text[0]
    assert "(../reports/example/" in text[0]
    # limits of runs are computed from them
    printed = [output.get("data", {}).get("text/markdown", "") for cell in first for output in cell.get("outputs", [])]
    assert any(each.startswith("**Limits.**") for each in [*text[1:], *printed])
    [answer] = [cell for cell in first if "**Answer.**" in str(cell.get("outputs"))]
    shown = answer.outputs[0].data["text/markdown"]
    assert shown.startswith("> **Answer.** ")
    assert re.search(r"\d+ of \d+|n = \d+", shown)  # a number with its n
    assert not re.search(r"\d", answer.source)  # computed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_sees_every_parameter(path: Path):
    cell = tagged(nbformat.read(path, as_version=4), "parameters")[0]
    names = {target.id for node in tree(cell).body for target in node.targets}
    assert notebooks.notebook_parameters(path) == names
    assert names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_which_weights_generated_its_mouths(path: Path):
    cells = nbformat.read(path, as_version=4).cells
    if path.stem == notebooks.QUICKSTART:  # `dub` has no pipeline to name: the note has the card of the default
        assert f"(../checkpoints/{registry.DEFAULTS['generator']}.md)" in cells[0].source
    else:
        assert any("reporting.banner(pipeline" in cell.source for cell in cells[:4])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_between_notebooks_and_files_lead_somewhere(path: Path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (path.parent / link).is_file()] == []


def test_the_quickstart_names_every_notebook():
    [quickstart] = [path for path in NOTEBOOKS if path.stem == notebooks.QUICKSTART]
    text = "".join(cell.source for cell in nbformat.read(quickstart, as_version=4).cells)
    assert [path.name for path in NOTEBOOKS if path != quickstart and f"({path.name})" not in text] == []


def tiny(*, count: int | None = 2, parameters: str = "number = 3", code: str = "print(number)", printed: str = "3\n"):
    """A notebook without faults, except for those that the arguments plant."""
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]}, execution_count=1)
    second = new_code_cell(code, metadata={"tags": [CHECKED]}, execution_count=count)
    second.outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    return new_notebook(cells=[first, second], metadata=KERNEL)


def test_a_notebook_in_good_order_has_no_faults():
    assert faults(tiny()) == []


@pytest.mark.parametrize(
    ("notebook", "fault"),
    [
        (tiny(parameters="number = 1 + len('ab')"), "not a name and a literal"),
        (tiny(parameters="import os\nnumber = 3"), "not a name and a literal"),
        (tiny(code="def f(): return 3\nprint(f())"), "functions"),
        (tiny(code="print((lambda: 3)())"), "functions"),
        (tiny(count=None), "not executed"),
        (tiny(count=7), "not executed"),
        (tiny(printed=""), "nothing that nbval could compare"),
        (tiny(code="ax.set_title('a finding')"), "written by hand"),
        (tiny(code="for i in a:\n    if i:\n        b = 1\n        c = 2\n        d = 3\nprint(d)"), "logic"),
        (new_notebook(cells=[tiny().cells[1]], metadata=KERNEL), "tagged parameters"),
    ],
)
def test_a_planted_fault_is_found(notebook, fault: str):
    assert any(fault in problem for problem in faults(notebook))


def test_more_planted_faults():
    notebook = tiny()
    notebook.cells[0].outputs = [
        new_output("error", ename="E", evalue="", traceback=[]),
        new_output("stream", name="stderr", text="50%"),
        new_output("display_data", {"image/png": "x" * 2 * LARGE_OUTPUT}),
    ]
    assert faults(notebook) == [
        "holds an error",
        "holds warnings or progress bars",
    ]
    notebook.cells[0].outputs = [new_output("stream", name="stdout", text="x" * 2 * LARGE_OUTPUT)]
    assert faults(notebook) == ["a large output was not stripped: run make notebooks"]


def test_a_figure_without_its_picture_is_noticed():
    picture, sentence = (new_output("display_data", {kind: "x"}) for kind in ("image/jpeg", "text/markdown"))
    drawn, empty, replaced, other = (
        new_code_cell(source)
        for source in (
            "figures.forest(effects);",
            "a = figures.forest(b)",
            "reporting.draw(figures.x, t, '')",
            "figures",
        )
    )
    drawn.outputs, replaced.outputs = [picture], [sentence]
    assert notebooks.without_picture(new_notebook(cells=[drawn, empty, replaced, other])) == [empty.source]


def test_nbval_notices_a_wrong_output(tmp_path: Path):
    nbformat.write(tiny(), tmp_path / "right.ipynb")
    nbformat.write(tiny(printed="4\n"), tmp_path / "wrong.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=120)
    failed = {line.split("::")[0].removeprefix("FAILED ") for line in done.stdout.splitlines() if "FAILED" in line}
    assert failed == {"wrong.ipynb"}, done.stdout
    assert "1 failed, 3 passed" in done.stdout
    assert done.returncode == 1


def test_an_interrupted_notebook_leaves_nothing(tmp_path: Path, monkeypatch):
    def stop(source, target, **options):
        Path(target).write_text('{"half": ', encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr("papermill.execute_notebook", stop)
    with pytest.raises(KeyboardInterrupt):
        notebooks.execute(notebooks.find_notebooks()[0], tmp_path / "out" / "a.ipynb", {})
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebooks_show_their_figures(path: Path):
    assert notebooks.without_picture(nbformat.read(path, as_version=4)) == []
    assert path.stat().st_size < 1_500_000
