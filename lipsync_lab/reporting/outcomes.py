"""What became of each part of a report, and what it depends on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import lipsync_lab
from lipsync_lab import files

_PACKAGES = (
    *("torch", "numpy", "opencv-python-headless", "av", "librosa", "soxr", "scikit-image", "scenedetect-headless"),
    *("pandas", "matplotlib", "papermill", "nbconvert"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one clip or one notebook.

    Attributes
    ----------
    kind : {"clip", "notebook"}
    name : str
        With the generator before it: ``untrained/drawn_hello``.
    path : Path
        Folder of the run, or page of the notebook.
    error : str or None
        What went wrong, in one line.
    seconds : float
        What it took; near zero where it was `reused`.
    reused : bool
        It was there already, made from the same inputs by the same code.
    """

    kind: str
    name: str
    path: Path
    error: str | None
    seconds: float
    reused: bool


def first_line(error: object) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip("- ")), type(error).__name__)


def versions() -> dict[str, str]:
    names = {"lipsync_lab": lipsync_lab.__version__, "python": platform.python_version()}
    return names | {name: version(name) for name in _PACKAGES}


def save(path: Path, text: str) -> None:
    """A text file that is there wholly or not at all, the same on every system."""
    files.write_text(path, text)
