"""Export of trained models and their cards."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from training_material import toy_tasks

from lipsync_lab import files
from lipsync_lab.errors import ParameterError
from lipsync_lab.models import registry
from lipsync_lab.models.syncnet import SyncNetColor
from lipsync_lab.models.wav2lip import QualityDiscriminator
from lipsync_lab.training import (
    loop,
    recipes,
)
from lipsync_lab.training.export import export


@pytest.mark.parametrize(("name", "make"), [("sync_expert", SyncNetColor), ("gan", QualityDiscriminator)])
def test_what_is_exported_can_be_loaded(clips, tmp_path: Path, name, make):
    task = toy_tasks(clips)[name]
    task.recipe = recipes.changed(task.recipe, steps=1)
    means = loop.train(task, tmp_path / "run")
    kind = "discriminator" if name == "gan" else name
    exported = export(
        tmp_path / "run",
        tmp_path / "out",
        "tiny-lab",
        numbers={"animation_accuracy": 0.5, "auc": 0.9, "sharpness_loss_monotonic": 0.0},
        materials=("animation", "film"),
        network=None if kind == task.kind else kind,
    )
    loaded = registry.load(exported.path, kind)
    assert isinstance(loaded.model, make)
    assert loaded.width == pytest.approx(0.05 if name == "gan" else 0.07)
    for key, value in means[kind].state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[key], value)
    card = exported.card.read_text()
    assert "CC BY 4.0" in card
    assert "GRID" in card
    missed = {
        "sync_expert": "| animation_accuracy | 0.5 | >= 0.9, **missed** | balanced accuracy of in-sync",
        "discriminator": "| sharpness_loss_monotonic | 0 | >= 1, **missed** | 1 if the mean score falls",
    }
    assert missed[kind] in card
    (row,) = csv.reader([exported.row])
    assert row[:3] == ["tiny-lab", kind, "tiny-lab.safetensors"]
    assert "_" not in row[7], "raw keys"
    assert row[4] == files.sha256(exported.path)
    with pytest.raises(ParameterError, match="unknown material"):
        export(tmp_path / "run", tmp_path, "x", materials=("gold",))
