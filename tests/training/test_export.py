"""Export of trained models and their cards."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
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
from lipsync_lab.training.export import as_bytes, export


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


def test_the_same_weights_give_the_same_bytes():
    """Metadata come in the order of their names; 20 writings of `safetensors` itself differ."""
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "ä": torch.tensor([2**40]), "a": torch.ones(3, dtype=torch.half)}
    about = {name: f'"{name}" ü' for name in ["kind", "name", "steps", "width", "audio_offset"]}
    plain = [save(tensors, metadata=about) for _ in range(20)]
    assert len(set(plain)) > 1
    (written,) = {as_bytes(tensors, dict(sorted(about.items(), reverse=turned))) for turned in (False, True) * 10}
    read = load(written)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)
    size = int.from_bytes(written[:8], "little")
    assert size % 8 == 0
    header = json.loads(written[8 : 8 + size])
    assert list(header["__metadata__"].items()) == sorted(about.items())
    assert written[8 + size :] == plain[0][8 + int.from_bytes(plain[0][:8], "little") :]
