"""Notebooks: list them, check their parameters, execute them with papermill, print them, renew them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab.errors import LipsyncError, ParameterError
from lipsync_lab.evaluation.findings import plain
from lipsync_lab.files import private_folder, put, write_text
from lipsync_lab.reporting.media import compressed
from lipsync_lab.reporting.outcome import Outcome, first_line

if TYPE_CHECKING:
    from lipsync_lab.progress import Progress

_quiet = logging.getLogger(__name__)
_quiet.setLevel(logging.ERROR)

#: The notebooks of the repository.
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

#: The notebook that a report leaves out: it calls the public API on one clip, and the others show more of it.
QUICKSTART = "00_quickstart"

#: Pictures above this many bytes are compressed; other outputs above it are not committed, except those that tests
#: compare.
LARGE_OUTPUT = 20_000

#: Types of the pictures that are committed: repository pages and JupyterLab show them.
PICTURES = {"image/png", "image/jpeg"}

#: A line of Markdown that links to the page of the bundled example report; in another report it is that report's page.
_PAGE_LINK = re.compile(r"^(\[[^\]]*\]\()\.\./reports/example/notebooks/[^)]*(\)\.?)$", re.MULTILINE)

#: What a kernel says, in the private folder of a notebook that is executed.
KERNEL_LOG = "kernel.log"

#: The tag of cells of text on keys and buttons, which a printed page does not have.
LIVE = "live"

#: The tag of cells whose outputs nbval compares.
CHECKED = "nbval-check-output"


def find_notebooks(folder: str | Path = NOTEBOOKS) -> list[Path]:
    """The notebooks of a folder, in order.

    Raises
    ------
    ParameterError
        There is none: a report or a test without any must not pass for a success.
    """
    paths = sorted(Path(folder).glob("*.ipynb"))
    if not paths:
        raise ParameterError(f"{folder}: has no notebook; name another folder, or restore the repository's notebooks")
    return paths


def of_a_report() -> list[Path]:
    """The notebooks that a report executes: those of the repository without `QUICKSTART`."""
    return [path for path in find_notebooks() if path.stem != QUICKSTART]


def notebook_parameters(notebook: str | Path, given: Iterable[str] = ()) -> set[str]:
    """Names of a notebook's parameters; those given must be among them.

    papermill itself only logs a warning on a name that the notebook does not have.

    Raises
    ------
    ParameterError
        There is no such notebook, it is none, or it has no such parameter.
    """
    import nbformat
    from papermill import inspect_notebook

    path = Path(notebook)
    if not path.is_file():
        raise ParameterError(f"{path}: no such notebook; check the path")
    try:
        known = set(inspect_notebook(_unbraced(path)))
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, ValueError) as error:
        raise ParameterError(f"{path}: not a notebook that can be run ({str(error).splitlines()[0]})") from error
    if unknown := sorted(set(given) - known):
        names = ", ".join(sorted(known)) or "none"
        raise ParameterError(f"{path.name}: has no parameter {', '.join(unknown)}; its parameters: {names}")
    return known


def execute(
    notebook: str | Path,
    target: str | Path,
    parameters: Mapping[str, Any],
    *,
    key: str | None = None,
    progress: Progress | None = None,
    kernels: Kernels | None = None,
) -> Outcome:
    """Execute a notebook, and write the result as a notebook, and as HTML beside it.

    The kernel is this interpreter's, in the notebook's own folder, whatever kernels are installed. Several threads may
    execute notebooks at the same time.

    Parameters
    ----------
    notebook : path
    target : path
        ``.ipynb``; the page gets the same name with ``.html``.
    parameters : mapping
        Must exist in the notebook.
    key : str, optional
        Of everything that the result depends on; a target with the same key is used again.
    progress : callable, optional
        Called with the notebook's name, cells so far and cells in all.
    kernels : Kernels, optional
        What ends the kernel when another thread is interrupted.

    Returns
    -------
    Outcome
        With an error where a cell failed, was interrupted or was never reached; the cells before it are kept.
    """
    import nbformat
    from nbclient.exceptions import CellTimeoutError
    from papermill import PapermillExecutionError, execute_notebook

    notebook_parameters(notebook, parameters)
    kernels = kernels or Kernels()
    notebook, target = Path(notebook).resolve(), Path(target).resolve()
    page = target.with_suffix(".html")
    if key and target.is_file() and page.is_file():
        done = nbformat.read(target, as_version=4)
        if done.metadata.get("lipsync_lab", {}).get("key") == key:
            return Outcome("notebook", target.stem, page, None, 0.0, True)

    start, error = time.perf_counter(), None
    cells = len(nbformat.read(notebook, as_version=4).cells) + bool(parameters)
    with private_folder(target.parent) as folder:
        written = folder / target.name
        try:
            execute_notebook(
                _unbraced(notebook),
                _unbraced(written),
                parameters=dict(parameters),
                kernel_name="python3",
                kernel_manager_class=_kernel_manager(folder, notebook.parent, kernels),
                progress_bar=False,
                on_cell_start=lambda cell, cell_index: progress and progress(target.stem, cell_index + 1, cells),
            )
        except (PapermillExecutionError, CellTimeoutError, RuntimeError) as failure:  # RuntimeError: the kernel died
            kernels.check()
            error = first_line(failure)
            words = (folder / KERNEL_LOG).read_text(errors="replace").strip()
            if words and isinstance(failure, RuntimeError):
                error += f" ({words.splitlines()[-1]})"
        result = nbformat.read(written, as_version=4)
        # papermill writes paths of this machine into the notebook
        result.metadata.papermill |= {"input_path": notebook.name, "output_path": target.name}
        error = _raised(result) or error or _unreached(result)
        if error:
            result.cells.insert(
                0, nbformat.v4.new_markdown_cell(f"**This notebook was not finished: {plain(error)}.**")
            )
        if key and not error:
            result.metadata["lipsync_lab"] = {"key": key}
        _compress_pictures(result)
        for cell in result.cells:
            if cell.cell_type == "markdown":
                cell.source = _PAGE_LINK.sub(rf"\g<1>{page.name}\g<2>", cell.source)
        nbformat.write(result, written)
        to_html(written, page)
        put(written, target)  # last: a page beside a notebook with its key belongs to it
    return Outcome("notebook", target.stem, page, error, round(time.perf_counter() - start, 3), False)


def _compress_pictures(notebook) -> None:
    """Compress large pictures: browsers load the whole page, and it may be committed."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png", "")
            if len(png) > LARGE_OUTPUT:
                kind, content = compressed(base64.b64decode(png))
                del output.data["image/png"]
                output.data[kind] = base64.b64encode(content).decode()


def _is_kept(output) -> bool:
    """Whether an output is committed."""
    return bool(PICTURES & set(output.get("data", {}))) or len(json.dumps(output)) <= LARGE_OUTPUT


def without_picture(notebook) -> list[str]:
    """The sources of cells that draw figures and show neither a picture nor the sentence that replaces one."""
    shown = PICTURES | {"text/markdown"}
    draws = re.compile(r"\bfigures\.\w+\(|\breporting\.draw\(|^explorer$", re.MULTILINE)
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code"
        and draws.search(cell.source)
        and not any(shown & set(output.get("data", {})) for output in cell.outputs)
    ]


def _raised(notebook) -> str | None:
    """The error that an executed notebook shows; papermill takes `exit()` for a success."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"cell [{cell.execution_count}] {output.ename}: {first_line(output.evalue)}"
    return None


def _unreached(notebook) -> str | None:
    """The first cell that was not executed."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            return f"stopped before the cell that begins with {first_line(cell.source)[:60]!r}"
    return None


def _unbraced(path: Path) -> str:
    """The path for papermill, which formats paths with braces in them."""
    return str(path).replace("{", "{{").replace("}", "}}")


class Kernels:
    """The kernels of notebooks that several threads execute; they end together."""

    def __init__(self):
        self._started: list[tuple[asyncio.AbstractEventLoop, subprocess.Popen]] = []
        self._is_stopped = False

    def add(self, process: subprocess.Popen) -> None:
        """Know a kernel that was started by the loop that runs; after `stop` it ends at once."""
        self._started.append((asyncio.get_running_loop(), process))
        if self._is_stopped:
            self.stop()

    def check(self) -> None:
        """Raise KeyboardInterrupt after `stop`: what a killed kernel leaves is no result."""
        if self._is_stopped:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Kill all kernels; the threads that wait for them raise `asyncio.CancelledError` or KeyboardInterrupt."""
        self._is_stopped = True
        for loop, process in self._started:
            with contextlib.suppress(RuntimeError):  # a loop that is closed waits for nothing
                # first, since who finds a kernel dead logs that
                loop.call_soon_threadsafe(lambda loop=loop: [task.cancel() for task in asyncio.all_tasks(loop)])
            process.kill()


def _kernel_manager(folder: Path, home: Path, kernels: Kernels) -> type:
    import zmq
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class ThisInterpreter(AsyncKernelManager):
        """Starts kernels of the running Python: an installed `python3` kernel may belong to another one.

        The file of its addresses lies in the private folder, which is removed whatever happens. What it says goes to a
        file there: after Ctrl-C that may be a traceback about a socket that is closed.
        """

        @default("connection_file")
        def _in_the_private_folder(self):
            return str(folder / "kernel.json")

        @default("kernel_spec_manager")
        def _no_installed_kernels(self):
            return KernelSpecManager(parent=self, kernel_dirs=[])

        @default("transport_encryption")
        def _quiet_where_it_can_be(self):
            return "auto" if zmq.has("curve") else "disabled"

        async def start_kernel(self, **options) -> None:
            root = str(Path(__file__).resolve().parents[2])
            environment = {
                **os.environ,
                # the package that is running, installed or not
                "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
                # figures go into the notebook, whatever backend the caller uses
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                # a printed bar is useless, and its widget loads scripts from the network
                "TQDM_DISABLE": "1",
            }
            with (folder / KERNEL_LOG).open("wb") as log:
                # papermill's own `cwd` changes the folder of this process, of all its threads
                await super().start_kernel(env=environment, stderr=log, cwd=str(home), **options)
            kernels.add(self.provisioner.process)

        async def shutdown_kernel(self, *words, **options) -> None:
            # after Ctrl-C some still wait for a cell's answer: what the kernel's end is to them is not to be printed
            waiting = asyncio.all_tasks() - {asyncio.current_task()}
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await super().shutdown_kernel(*words, **options)

    return ThisInterpreter


def to_html(notebook: str | Path, page: str | Path) -> None:
    """Print an executed notebook as HTML in one file that needs no network.

    Code is folded: a click shows it. Widgets are shown as the picture or text that they carry, formulas as their
    source; cells with the tag `LIVE` are left out. HTML and Markdown may contain text from foreign files: they are
    sanitized (`safe.clean`), and SVG, which may contain scripts, is left out.
    """
    import jinja2
    import nbformat
    from traitlets.config import Config

    from lipsync_lab.reporting.safe import SafeExporter

    template = Path(__file__).with_name("notebook.html.j2").read_text(encoding="utf-8")
    kinds = ["text/html", "text/markdown", "image/jpeg", "image/png", "text/plain"]
    exporter = SafeExporter(
        template_file="offline.html.j2",
        extra_loaders=[jinja2.DictLoader({"offline.html.j2": template})],
        embed_images=True,
        exclude_raw=True,
        config=Config({"NbConvertBase": {"display_data_priority": kinds}}),
        log=_quiet,  # it warns that figures have no alternative text
    )
    path = Path(notebook)
    content = nbformat.read(path, as_version=4)
    content.metadata.pop("widgets", None)
    content.cells = [cell for cell in content.cells if LIVE not in cell.metadata.get("tags", [])]
    content.cells = _folded(content.cells)
    itself = re.compile(rf"^\[[^\]]*\]\({re.escape(Path(page).name)}\)\.?$", re.MULTILINE)
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = itself.sub("", cell.source)
    about = {"metadata": {"name": path.stem, "path": str(path.parent)}}
    text, _ = exporter.from_notebook_node(content, resources=about)
    write_text(page, text)


def _folded(cells: list) -> list:
    """Cells in which the code that stands before the answer is in one cell, so that a page folds it into one line.

    Code cells that follow each other, up to the one whose output is the answer, become one with all their outputs.
    """
    answers = [
        place for place, cell in enumerate(cells) if any("**Answer.**" in str(out) for out in cell.get("outputs", []))
    ]
    if not answers:
        return cells
    last = first = answers[0]
    while first and cells[first - 1].cell_type == "code":
        first -= 1
    merged = cells[last].copy()
    merged.source = "\n\n".join(cell.source for cell in cells[first : last + 1])
    merged.outputs = [output for cell in cells[first : last + 1] for output in cell.outputs]
    return [*cells[:first], merged, *cells[last + 1 :]]


def renew(notebooks: Iterable[str | Path] | None = None) -> None:
    """Execute notebooks on their default parameters and write them back as they are committed.

    They keep execution counts, pictures, small outputs and those that nbval compares; other large outputs are removed.

    Raises
    ------
    LipsyncError
        A notebook failed; it is left as it was.
    """
    import nbformat

    for path in map(Path, notebooks or find_notebooks()):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / path.name
            outcome = execute(path, target, {})
            if outcome.error:
                raise LipsyncError(f"{path}: {outcome.error}; correct the notebook, it was left unchanged")
            result = nbformat.read(target, as_version=4)
        for cell, written in zip(result.cells, nbformat.read(path, as_version=4).cells, strict=True):
            cell.source = written.source
            tags = cell.metadata.get("tags", [])
            cell.metadata = {"tags": tags} if tags else {}
            if cell.cell_type == "code" and CHECKED not in tags:
                cell.outputs = [output for output in cell.outputs if _is_kept(output)]
            for output in cell.get("outputs", []):
                # without its state, which is not kept, a widget would hide its picture
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        names = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        result.metadata = {"kernelspec": names, "language_info": {"name": "python"}}
        nbformat.write(result, path)
