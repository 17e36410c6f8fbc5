"""The outcome of each part of a report, and the versions of the packages that it depends on."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import lipsync_lab
from lipsync_lab.errors import LipsyncError

_LOG = logging.getLogger(__name__)

_PACKAGES = (
    *("torch", "numpy", "opencv-python-headless", "av", "librosa", "soxr", "scikit-image", "scenedetect-headless"),
    *("pandas", "matplotlib", "papermill", "nbconvert"),
)


@dataclass
class Failure:
    """Why a part failed, None where it did not, and the seconds that it took."""

    reason: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of one clip, one notebook, or the findings of one notebook.

    Attributes
    ----------
    kind : {"clip", "notebook", "findings"}
    name : str
        With the generator before it: ``untrained/animation_hello``.
    path : Path
        Folder of the run, or page of the notebook.
    error : str or None
        What went wrong, in one line.
    seconds : float
        What it took; near zero where it was `reused`.
    reused : bool
        It is left from an earlier report with the same inputs and code.
    """

    kind: str
    name: str
    path: Path
    error: str | None
    seconds: float
    reused: bool


def first_line(error: object) -> str:
    """An error in one line; one that is not this package's, with its type."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip("- ")), "")
    if isinstance(error, Exception) and not isinstance(error, LipsyncError):
        return ": ".join(filter(None, (type(error).__name__, line)))
    return line


@contextmanager
def failing_alone() -> Iterator[Failure]:
    """Keep any error but an interruption as the reason why one part of a report failed; the report goes on."""
    failure, start = Failure(), time.perf_counter()
    try:
        yield failure
    except Exception as error:
        failure.reason = first_line(error)
        _LOG.debug("a part of the report failed", exc_info=True)
    finally:
        failure.seconds = round(time.perf_counter() - start, 3)


def versions() -> dict[str, str]:
    names = {"lipsync_lab": lipsync_lab.__version__, "python": platform.python_version()}
    return names | {name: version(name) for name in _PACKAGES}
