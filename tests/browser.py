"""The system's own browser, for tests of pages."""

from __future__ import annotations

import os
import shutil

import pytest


def chromium() -> str:
    """Path of the system's browser; Playwright's own is never downloaded."""
    path = os.environ.get("LIPSYNC_LAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        missing = "no chromium on the path (Debian: apt-get install chromium; or set LIPSYNC_LAB_CHROMIUM)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return path
