"""What stands around the package agrees with itself: bounds, pins, conda names, targets, licence."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import lipsync_lab
from lipsync_lab import bundled
from lipsync_lab.cli import extras

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

#: conda-forge's name -> ours, where they differ.
CONDA_NAMES = {
    "matplotlib-base": "matplotlib",
    "pysoundfile": "soundfile",
    "pytorch": "torch",
    "soxr-python": "soxr",
}

#: What only the conda environment has to name: in the other one `venv` and the build provide them.
CONDA_ONLY = {"python", "pip", "setuptools"}

#: The extras that each part of the package may use beside the core dependencies; all other parts use none.
EXTRAS = {
    "models": {"fast"},
    "figures": {"lab"},
    "explorer": {"lab"},
    "reporting": {"lab"},
    "sweep": {"sweep"},
    "synthesis": {"synthesis"},
    "training": {"train"},
    "cli": {"lab", "sweep", "synthesis", "train"},
}

#: What is imported under another name than it is installed by.
IMPORT_NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "distributed": "dask",
    "pi_heif": "pi-heif",
    "scenedetect": "scenedetect-headless",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}

#: `torch` brings the first three where it is built for CUDA; the rest want libGL.
FORBIDDEN = re.compile(r"nvidia-.*|cuda-.*|triton|opencv-python|opencv-contrib-python.*|scenedetect|pyqt\d.*|pyside\d")

PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "win32": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
PYTHONS = {"3.11": "3.11.0", "3.12": "3.12.0", "3.13": "3.13.0"}


def runtime(*extras: str) -> dict[str, Requirement]:
    """The dependencies of the package, and those of extras, by canonical name."""
    optional, wanted = PROJECT["project"]["optional-dependencies"], dict.fromkeys(extras)
    lines = list(PROJECT["project"]["dependencies"])
    while wanted:
        lines += optional[(extra := next(iter(wanted)))]
        del wanted[extra]
        wanted |= dict.fromkeys(
            e for r in map(Requirement, optional[extra]) if r.name == "lipsync_lab" for e in r.extras
        )
    return {canonicalize_name(r.name): r for r in map(Requirement, lines) if r.name != "lipsync_lab"}


def everything() -> dict[str, Requirement]:
    """The dependencies of the package, of its extras, of its tests and of its development."""
    return runtime(*PROJECT["project"]["optional-dependencies"])


def conda() -> dict[str, SpecifierSet]:
    """environment.yml, both its sections, under our names."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    lines = [line for entry in listed for line in (entry["pip"] if isinstance(entry, dict) else [entry])]
    wanted = map(Requirement, lines)
    return {canonicalize_name(CONDA_NAMES.get(r.name, r.name)): r.specifier for r in wanted}


def pins(lock: str) -> list[Requirement]:
    """The lines of a lock that name something; a line that is not a requirement raises."""
    lines = re.sub(r" *\\\n +--hash=sha256:[0-9a-f]{64}", "", lock).splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned(environment: dict[str, str]) -> dict[str, str]:
    """What the lock installs there: name -> version."""
    active = [r for r in pins(LOCK) if r.marker is None or r.marker.evaluate(environment)]
    names = [canonicalize_name(r.name) for r in active]
    assert len(set(names)) == len(names), f"pinned twice: {sorted({n for n in names if names.count(n) > 1})}"
    return {name: str(r.specifier).removeprefix("==") for name, r in zip(names, active, strict=True)}


def imported(source: str) -> set[str]:
    """Top-level names of everything a file imports by an absolute name, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.split(".")[0])
    return modules


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """make, as from a shell of its own also where these tests run under another make."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "PYTHON"}
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that make reads, in a folder where nothing is built."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_conda_names_every_dependency_with_the_same_bounds():
    ours = {name: r.specifier for name, r in everything().items()}
    theirs = conda()
    assert theirs.pop("python") == SpecifierSet(PROJECT["project"]["requires-python"])
    assert theirs.pop("setuptools") == Requirement(PROJECT["build-system"]["requires"][0]).specifier
    assert {name: bound for name, bound in theirs.items() if name not in CONDA_ONLY} == ours


def test_every_dependency_has_a_lower_bound_and_a_reason():
    assert {name for name, r in everything().items() if ">=" not in str(r.specifier)} == set()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bare = [r.name for r in everything().values() if not re.search(rf'"{re.escape(str(r))}", +# \S', text)]
    assert bare == []


def test_package_imports_nothing_undeclared():
    """The core uses the core dependencies, and each other part its own extras."""
    undeclared = []
    for path in (ROOT / "lipsync_lab").rglob("*.py"):
        part = path.relative_to(ROOT / "lipsync_lab").with_suffix("").parts[0]
        declared = runtime(*EXTRAS.get(part, ()))
        for name in imported(path.read_text(encoding="utf-8")) - set(sys.stdlib_module_names) - {"lipsync_lab"}:
            if canonicalize_name(IMPORT_NAMES.get(name, name)) not in declared:
                undeclared.append(f"{path.relative_to(ROOT)}: {name}")
    assert undeclared == []


def test_tests_and_benchmarks_import_nothing_undeclared():
    local = {path.stem for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")}
    local |= {"lipsync_lab", "benchmarks"}
    sources = [p.read_text(encoding="utf-8") for f in ("tests", "benchmarks") for p in (ROOT / f).rglob("*.py")]
    foreign = set().union(*map(imported, sources)) - set(sys.stdlib_module_names) - local
    names = {canonicalize_name(IMPORT_NAMES.get(name, {"yaml": "pyyaml"}.get(name, name))) for name in foreign}
    assert names - runtime("dev").keys() == set()


def test_notebooks_import_nothing_undeclared():
    declared, names = runtime("lab"), set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        source = "\n".join(line for cell in cells for line in cell.splitlines() if not line.startswith(("%", "!")))
        names |= imported(source) - set(sys.stdlib_module_names) - {"lipsync_lab"}
    assert "IPython" in names
    assert {name for name in names if canonicalize_name(IMPORT_NAMES.get(name, name)) not in declared} == set()


def test_commands_ask_for_what_their_extras_bring():
    optional = PROJECT["project"]["optional-dependencies"]
    assert extras.EXTRAS.keys() == optional.keys() - {"all", "test", "docs", "dev"}
    for extra, modules in extras.EXTRAS.items():
        asked = {canonicalize_name(IMPORT_NAMES.get(name, name)) for name in modules}
        assert asked == runtime(extra).keys() - runtime().keys(), extra


def test_all_is_every_extra_that_the_package_uses():
    assert runtime("all").keys() == runtime("lab", "sweep", "synthesis", "train").keys()
    assert "papermill" in runtime("all")
    assert {"ncnn", "openvino"} <= runtime("fast").keys()
    assert not {"ncnn", "openvino"} & runtime("all").keys(), (
        "who wants all commands has not asked for another way to compute"
    )
    assert not {"papermill", "matplotlib", "jupyterlab", "espeakng-loader"} & runtime().keys()


def test_imported_sees_every_form():
    source = "import numpy.linalg as la, cv2\nfrom . import audio\ndef f():\n    from torch.nn import Module\n"
    assert imported(source) == {"numpy", "cv2", "torch"}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_lock_satisfies_the_bounds_everywhere(python: str, platform: str):
    environment = default_environment() | PLATFORMS[platform]
    versions = pinned(environment | {"python_version": python, "python_full_version": PYTHONS[python]})
    unmet = {name: versions.get(name) for name, r in everything().items() if versions.get(name) not in r.specifier}
    assert unmet == {}
    assert versions["torch"] == "2.13.0"
    assert versions["setuptools"] in Requirement(PROJECT["build-system"]["requires"][0]).specifier


def test_lock_is_nothing_but_plain_pins():
    assert pins(LOCK)
    crooked = [str(r) for r in pins(LOCK) if r.url or not re.fullmatch(r"==[\w.]+", str(r.specifier))]
    assert crooked == []  # no range, no address, no local version such as 2.13.0+cpu
    assert not re.search(r"://|^-", LOCK, re.MULTILINE)


def test_every_pin_but_torch_has_hashes():
    bare = [Requirement(line.strip()).name for line in re.findall(r"^[^ #].*\n(?! +--hash)", LOCK, re.MULTILINE)]
    assert bare == ["torch"]  # its builds differ by platform


def test_lock_holds_no_forbidden_package():
    assert [r.name for r in pins(LOCK) if FORBIDDEN.fullmatch(canonicalize_name(r.name))] == []


@pytest.mark.parametrize("name", ["nvidia-cudnn-cu13", "cuda-toolkit", "triton", "opencv-python", "scenedetect"])
def test_forbidden_are_recognised(name: str):
    assert FORBIDDEN.fullmatch(name)
    assert not FORBIDDEN.fullmatch(f"{name}-headless") or name.startswith(("nvidia-", "cuda-"))


def test_lock_holds_what_every_package_here_requires():
    """From the metadata of what is installed, since the lock could have been edited by hand."""
    versions = pinned(default_environment())
    open_, visited, missing = [(name, "") for name in everything()], set(), {}
    while open_:
        name, extra = open_.pop()
        if (name, extra) in visited or FORBIDDEN.fullmatch(name):
            continue
        visited.add((name, extra))
        if name not in versions:
            missing[name] = extra
            continue
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # an environment that is older than the lock
            continue
        for r in map(Requirement, needed):
            if r.marker is None or r.marker.evaluate({"extra": extra}):
                open_ += [(canonicalize_name(r.name), wanted) for wanted in ("", *r.extras)]
    assert missing == {}
    assert len(visited) > 80


def test_only_headless_opencv_is_installed():
    present = {canonicalize_name(d.metadata["Name"]) for d in importlib.metadata.distributions()}
    assert {name for name in present if name.startswith("opencv-")} == {"opencv-python-headless"}


def test_package_takes_its_other_files_along():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    data_files = [p for p in (ROOT / "lipsync_lab").rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}]
    assert [p.name for p in data_files if not any(p.match(pattern) for pattern in patterns)] == []


def test_version_is_that_of_the_package():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "lipsync_lab.__version__"}
    assert lipsync_lab.__version__ == "0.2.0"


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # the licence's own text file
    assert PROJECT["project"]["license"] == "Apache-2.0"


TARGETS = (
    ".venv",
    "test",
    "lint",
    "docs",
    "report",
    "figures",
    "notebooks",
    "lab",
    "lock",
    "audit",
    "licences",
    "clean",
    "help",
)


@pytest.mark.parametrize("target", TARGETS)
def test_target_exists(target: str, clone: Path):
    done = make(clone, "--dry-run", target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_unknown_target_is_an_error(clone: Path):
    assert make(clone, "--dry-run", "no-such-target").returncode != 0


def test_help_is_the_default_and_lists_every_target(clone: Path):
    done = make(clone)
    assert done.returncode == 0, done.stderr
    assert {line.split()[1] for line in done.stdout.splitlines()} == set(TARGETS)
    assert done.stdout == make(clone, "help").stdout


def test_environment_is_made_again_when_it_should_be(clone: Path):
    stamp = ".venv/complete"

    def stale() -> bool:
        return make(clone, "--question", stamp).returncode == 1

    assert stale()  # nothing there
    (clone / ".venv").mkdir()
    assert stale()  # begun and not finished
    (clone / stamp).touch()
    assert not stale()
    for name in ("requirements.lock", "pyproject.toml"):
        newer = (clone / stamp).stat().st_mtime + 5
        os.utime(clone / name, (newer, newer))
        assert stale(), name
        os.utime(clone / stamp, (newer, newer))
        assert not stale(), name


@pytest.mark.parametrize(
    ("version", "says"), [((3, 10, 14), "Python 3.10 is too old"), ((2, 7, 18), "Python 2.7 is too old")]
)
def test_old_python_is_refused_in_words(version: tuple[int, ...], says: str, clone: Path):
    old = clone / "old-python"
    act = f"import sys; sys.version_info = {version}; exec(sys.argv[2])"
    old.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{act}' \"$@\"\n", encoding="utf-8")
    old.chmod(0o755)
    done = make(clone, ".venv", f"PYTHON={old}")
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (clone / ".venv").exists()


def test_absent_python_is_named(clone: Path):
    done = make(clone, ".venv", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "no-such-python: no such program; install Python 3.11" in done.stderr


def test_notebook_run_that_finds_none_fails(tmp_path: Path):
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr


# --- the wheel -------------------------------------------------------------------------------------------------------


#: Endings of published weights, which may lie beside the bundled ones and are in no wheel.
FETCHED = (".pth", ".pt", ".model", ".onnx")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a wheel of this package is installed; nothing is downloaded for it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    unwanted = shutil.ignore_patterns("__pycache__", *(f"*{ending}" for ending in FETCHED))
    for name in ("lipsync_lab", "checkpoints", "data", "docs/models"):
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "checkpoints" / "wav2lip.pth").write_bytes(b"fetched")  # which no wheel may contain
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run = {"check": True, "cwd": folder, "timeout": 120}
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source], **run)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(source)
    subprocess.run([*pip, "install", "--no-deps", "--no-compile", "--target", folder / "site", wheel], **run)
    return folder / "site"


def elsewhere(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python with the installed wheel, in a folder where the repository is out of reach."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIPSYNC_LAB")}
    environment |= {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_wheel_holds_the_bundled_files_and_nothing_fetched(installed: Path):
    packaged = installed / "lipsync_lab" / "_bundled"
    for name, folder in bundled.FOLDERS.items():
        ours = (path for path in (ROOT / folder).rglob("*") if path.is_file() and not path.name.startswith("."))
        files = {path.relative_to(ROOT / folder).as_posix() for path in ours if path.suffix not in FETCHED}
        assert len(files) >= 3
        present = {
            path.relative_to(packaged / name).as_posix() for path in (packaged / name).rglob("*") if path.is_file()
        }
        assert files <= present
        assert not {path for path in present if path.endswith(FETCHED)}
        for file in files:
            assert (packaged / name / file).read_bytes() == (ROOT / folder / file).read_bytes(), file


def test_a_wheel_dubs_a_bundled_clip_away_from_the_repository(installed: Path, tmp_path: Path):
    line = ["-m", "lipsync_lab", "dub", "--face", "animation_hello", "--audio", "voice_umbrella", "--outfile", "o.mp4"]
    done = elsewhere(installed, tmp_path, *line, "--static", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.mp4").stat().st_size > 10_000
    assert "104 frames written by wav2lip-lab" in done.stdout
    assert "small model, no measure of Wav2Lip" in done.stdout


def test_a_wheel_is_imported_from_where_it_is_installed(installed: Path, tmp_path: Path):
    code = (
        "from pathlib import Path; import lipsync_lab; from lipsync_lab import samples\n"
        "from lipsync_lab.evaluation import study; from lipsync_lab.models import registry\n"
        "print(lipsync_lab.__file__); print(registry.HOME); print(samples.path('animation_hello'))\n"
        "print(study.PATH); print(Path(registry.MODELS['s3fd-lab'].path)); assert study.names()\n"
        "print(registry.folder())"
    )
    done = elsewhere(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    *paths, fetched = done.stdout.splitlines()
    assert len(paths) == 5
    assert all(Path(path).is_relative_to(installed) for path in paths), paths
    assert Path(fetched).is_relative_to(tmp_path / "cache")  # not into the package, which an upgrade removes
