"""What every test may lean on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports matplotlib or torch: draw without a display, and leave a large machine's cores alone,
# since networks this small get slower, and their sums less repeatable, when spread over dozens of threads.
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real footage and full-size golden arrays, which is not part of the repository.

    It stands beside the repository, or where LIPSYNC_LAB_SHARED says.
    """
    folder = Path(os.environ.get("LIPSYNC_LAB_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: real footage is not part of the repository (set LIPSYNC_LAB_SHARED)")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The golden arrays that are part of the repository."""
    return ROOT / "tests" / "golden"
