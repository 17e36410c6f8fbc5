"""The package's structure: import directions, no circles, short modules, and an import that is quick and silent."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "lipsync_lab"

#: The parts of the package (modules and packages directly under it), from the lowest to the highest. A part imports
#: only from parts above it in this table.
CORE = (
    *("errors", "renamed", "geometry", "settings", "files", "limits", "progress", "bundled", "plugins"),
    *("samples", "media", "models", "runs", "detection", "generation", "plan", "faces", "pipeline"),
)
LABORATORY = ("metrics", "evaluation", "figures", "explorer", "reporting", "sweep")
#: The workshop stands beside the laboratory: only the command line imports it, and it imports the core and `metrics`.
WORKSHOP = ("synthesis", "training")
COMMAND_LINE = ("cli", "__main__")
ORDER = (*CORE, *LABORATORY, *WORKSHOP, *COMMAND_LINE)

#: What the package root may be asked for besides its parts.
ROOT_NAMES = {"__version__", "__file__", "__name__", "__path__"}

#: Libraries that draw or run notebooks, and the parts that may import them.
LAB_LIBRARIES = {"librosa", "matplotlib", "ipywidgets", "papermill"}
LAB_PARTS = {"figures", "explorer", "reporting", "sweep", "cli", "__main__"}
#: librosa also warps recordings in time, where synthetic clips are made.
ALLOWED = {("synthesis", "librosa")}

#: Arrays in, arrays out: these modules neither read nor write files. Of `models` the registry and the reader of
#: state dicts do.
DISKLESS = re.compile(r"(models\.(?!registry|weights).*|metrics(\..*)?|detection\.tracking)")
DISK_MODULES = re.compile(
    r"av|ftplib|glob|gzip|h5py|http|imageio|io|joblib|mmap|os|pathlib|pickle|pooch|requests|safetensors|shelve|shutil"
    r"|socket|soundfile|sqlite3|subprocess|tempfile|urllib|zipfile"
)
DISK_NAMES = re.compile(
    r"open(_\w+)?|memmap|load(txt|_file|_state_dict_from_url)?|dump|save(z\w*|txt|_file)?|(from|to)file|genfromtxt"
    r"|im(read|save|write)|(read|write|to)_(bytes|text|csv|json|parquet|pickle)|Video(Capture|Writer)"
)

#: A longer module holds more than one idea.
MOST_LINES = 450


def part_of(module: str) -> str:
    """`lipsync_lab.models.s3fd` -> `models`; the package root itself is the empty name."""
    return module.removeprefix(PACKAGE).removeprefix(".").split(".")[0]


def imports(module: str, tree: ast.AST, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import, also in functions, relative and dynamic ones."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=dots):
                origin = resolve_name("." * dots + (source or ""), package)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == PACKAGE:
                yield node.lineno, f"{PACKAGE}.{attribute}"
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(str(name)), *_]):
                if called in {"import_module", "__import__"}:
                    yield node.lineno, resolve_name(name, package)


def disk_uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every call or mention of something that reads or writes files."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name == "open":
                yield node.lineno, name
            case ast.Attribute(attr=name) if DISK_NAMES.fullmatch(name):
                yield node.lineno, name
            case ast.ImportFrom(names=names):
                yield from ((node.lineno, alias.name) for alias in names if DISK_NAMES.fullmatch(alias.name))


def may_import(own: str, other: str) -> bool:
    if own in WORKSHOP and other in LABORATORY:
        return other == "metrics"
    if other in WORKSHOP and own not in WORKSHOP:
        return own in COMMAND_LINE
    return ORDER.index(other) < ORDER.index(own)


def violations(sources: Mapping[str, tuple[str, bool]]) -> list[str]:
    """Imports that go against the order, one line each.

    Parameters
    ----------
    sources : mapping of dotted module name -> (source text, whether it is a package's ``__init__``)
    """
    faults = []
    for module, (text, is_package) in sources.items():
        own, tree = part_of(module), ast.parse(text)
        if own and own not in ORDER:
            faults.append(f"{module}: {own!r} has no place in the order; give it one in tests/test_imports.py")
            continue
        diskless = DISKLESS.fullmatch(module.removeprefix(f"{PACKAGE}."))
        for line, name in imports(module, tree, is_package):
            top, at = name.split(".")[0], f"{module}:{line}"
            if top in LAB_LIBRARIES and own not in LAB_PARTS and (own, top) not in ALLOWED:
                faults.append(f"{at}: {own or PACKAGE} imports {top}")
            if diskless and DISK_MODULES.fullmatch(top):
                faults.append(f"{at}: never touches a disk, and imports {top}")
            # the root module only hands on names, when they are first asked for
            if top != PACKAGE or not own or name in {PACKAGE, *(f"{PACKAGE}.{n}" for n in ROOT_NAMES)}:
                continue
            other = part_of(name)
            if other not in ORDER:
                faults.append(f"{at}: {other!r} is not a part; import what you need from the module that has it")
            elif other != own and not may_import(own, other):
                faults.append(f"{at}: {own} imports {other}")
        if diskless:
            faults += [f"{module}:{line}: never touches a disk, and uses {name}" for line, name in disk_uses(tree)]
    return faults


def package_sources() -> dict[str, tuple[str, bool]]:
    sources = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        names = path.relative_to(ROOT).with_suffix("").parts
        is_package = names[-1] == "__init__"
        sources[".".join(names[:-1] if is_package else names)] = path.read_text(encoding="utf-8"), is_package
    return sources


class _WithoutTypeImports(ast.NodeTransformer):
    """Drops what stands under ``if TYPE_CHECKING``: it is never executed."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return node.orelse if is_for_types else self.generic_visit(node)


def module_graph(sources: Mapping[str, tuple[str, bool]]) -> dict[str, set[str]]:
    """Which modules of the package each module imports, also inside functions, but for type checkers alone."""
    graph = {}
    for module, (text, is_package) in sources.items():
        graph[module] = set()
        for _, name in imports(module, _WithoutTypeImports().visit(ast.parse(text)), is_package):
            while name and name not in sources:
                name = name.rpartition(".")[0]
            if name and name not in (module, PACKAGE):
                graph[module].add(name)
    del graph[PACKAGE]  # it hands on names lazily, and everything may ask it for its version
    return graph


def test_every_part_imports_only_from_parts_below_it():
    assert violations(package_sources()) == []


def test_no_two_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(module_graph(package_sources())).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_circle_is_found():
    sources = {
        PACKAGE: ("", True),
        f"{PACKAGE}.media.a": ("from lipsync_lab.media import b", False),
        f"{PACKAGE}.media.b": ("def f():\n    from lipsync_lab.media.a import g", False),
    }
    with pytest.raises(CycleError):
        TopologicalSorter(module_graph(sources)).prepare()


def test_no_module_is_longer_than_one_idea():
    lengths = {module: len(text.splitlines()) for module, (text, _) in package_sources().items()}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}


def test_the_walk_sees_the_package():
    parts = {part_of(module) for module in package_sources()}
    assert parts == {"", *ORDER}


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("media.audio", "from lipsync_lab.pipeline import run", "media imports pipeline"),
        ("media.audio", "import lipsync_lab.pipeline as p", "media imports pipeline"),
        ("media.audio", "from lipsync_lab import pipeline", "media imports pipeline"),
        ("media.audio", "from .. import pipeline", "media imports pipeline"),
        ("models.s3fd", "from ..detection import x", "models imports detection"),
        ("media.audio", "def f():\n    import lipsync_lab.models", "media.audio:2: media imports models"),
        ("media.audio", "if TYPE_CHECKING:\n    from lipsync_lab.models import S", "media imports models"),
        ("media.audio", "import lipsync_lab\nlipsync_lab.models.get()", "media imports models"),
        ("media.audio", "importlib.import_module('lipsync_lab.models')", "media imports models"),
        ("media.audio", "from lipsync_lab import Pipeline", "'Pipeline' is not a part"),
        ("synthesis.film", "from lipsync_lab.figures import curve", "synthesis imports figures"),
        ("training.loop", "from lipsync_lab.reporting import report", "training imports reporting"),
        ("reporting.build", "from lipsync_lab.training import train", "reporting imports training"),
        ("pipeline", "from lipsync_lab.synthesis import film", "pipeline imports synthesis"),
        ("figures.run", "from lipsync_lab.cli import main", "figures imports cli"),
        ("attic", "x = 1", "'attic' has no place"),
        ("metrics.sync", "def f():\n    import matplotlib.pyplot as plt", "metrics imports matplotlib"),
        ("training.loop", "from matplotlib import pyplot", "training imports matplotlib"),
        ("pipeline", "from papermill import execute_notebook", "pipeline imports papermill"),
        ("", "import matplotlib", "lipsync_lab imports matplotlib"),
        ("detection.tracking", "from pathlib import Path", "never touches a disk, and imports pathlib"),
        ("detection.tracking", "boxes = np.load(name)", "never touches a disk, and uses load"),
        ("models.s3fd", "state = torch.load(name)", "never touches a disk, and uses load"),
        ("metrics.sync", "with open(name) as f: pass", "never touches a disk, and uses open"),
        ("metrics", "reader = open", "never touches a disk, and uses open"),
        ("metrics.validation.response", "frame.to_csv(name)", "never touches a disk, and uses to_csv"),
    ],
)
def test_a_planted_fault_is_found(module: str, source: str, fault: str):
    name = f"{PACKAGE}.{module}" if module else PACKAGE
    faults = violations({name: (source, not module)})
    assert [line for line in faults if fault in line], faults


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("media.audio", "import numpy\nfrom lipsync_lab.errors import MediaError\nfrom .container import opened"),
        ("models.s3fd", "from .blocks import Conv\nfrom lipsync_lab.models import blocks\nself.load_state_dict(x)"),
        ("models.registry", "from pathlib import Path\nopen('models.csv')"),
        ("pipeline", "import lipsync_lab\nfrom lipsync_lab import __version__, media\nlipsync_lab.__version__"),
        ("synthesis.film", "from lipsync_lab.models.s3fd import S3FD\nfrom lipsync_lab.media.video import Writer"),
        ("training.clips", "from lipsync_lab.synthesis import film\nfrom lipsync_lab.metrics.sync import label"),
        ("cli", "from lipsync_lab.training import train\nfrom lipsync_lab import reporting\nimport matplotlib"),
        ("__main__", "from lipsync_lab.cli import main"),
        ("", "def __getattr__(name):\n    from lipsync_lab.pipeline import Pipeline"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str):
    name = f"{PACKAGE}.{module}" if module else PACKAGE
    assert violations({name: (source, not module)}) == []


#: Too slow to load for one who only wants the package's version or the command line's help.
HEAVY = {"torch", "librosa", "matplotlib", "skimage", "scenedetect", "pooch", "papermill", "ipywidgets", "nbconvert"}
HEAVY_AT_ROOT = HEAVY | {"cv2", "av", "scipy", "pandas"}


def fresh_import(module: str, report: Path) -> tuple[float, set[str]]:
    """Processor seconds of the import in a process of its own, and what it loads; it must print nothing."""
    code = (
        "import sys, time; start = time.process_time()\n"
        f"import {module}\n"
        "took = time.process_time() - start\n"
        "import json; json.dump([took, sorted({m.split('.')[0] for m in sys.modules})], open(sys.argv[1], 'w'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, report], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    seconds, loaded = json.loads(report.read_text(encoding="utf-8"))
    return seconds, set(loaded)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [(PACKAGE, HEAVY_AT_ROOT), *((m, HEAVY) for m in [f"{PACKAGE}.cli"] if m in package_sources())],
)
def test_import_is_quiet_and_quick(module: str, heavy: set[str], tmp_path: Path):
    runs = [fresh_import(module, tmp_path / "report.json") for _ in range(3)]
    assert runs[0][1] & heavy == set()
    assert module.split(".")[0] in runs[0][1]
    assert min(seconds for seconds, _ in runs) < 0.5  # the best of three: other processes compete for the caches


def test_a_heavy_import_is_noticed(tmp_path: Path):
    assert "librosa" not in fresh_import("numpy", tmp_path / "report.json")[1]
    assert "pandas" in fresh_import("pandas", tmp_path / "report.json")[1]


def test_a_noisy_import_is_noticed(tmp_path: Path):
    with pytest.raises(AssertionError, match="Zen of Python"):
        fresh_import("this", tmp_path / "report.json")


def test_a_dub_loads_no_tables_and_no_analysis(tmp_path: Path):
    """Each of these takes a tenth of the time of a short dub, or more, before it does anything."""
    code = (
        "import sys; from lipsync_lab.cli import main\n"
        "sample = ['--face', 'animation_hello', '--audio', 'animation_hello']\n"
        "assert main(['dub', *sample, '--quiet', '--no-cache', '--checkpoint_path', 'identity', '--box', '60', '180',\n"
        "             '60', '180', '--outfile', sys.argv[1]]) == 0\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))\n"
    )
    given = [sys.executable, "-c", code, tmp_path / "out.mp4"]
    done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "av" in loaded
    assert loaded & {"pandas", "scipy", "librosa", "matplotlib", "skimage"} == set()
