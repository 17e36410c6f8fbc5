"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest
import torch
from training_material import made_clip

from lipsync_lab.training import (
    clips as layout,
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clips() -> list[layout.Clip]:
    return [made_clip(seed) for seed in range(4)]
