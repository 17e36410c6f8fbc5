"""Export and the training commands."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile
from training_material import made_clip, toy_tasks

from lipsync_lab import files
from lipsync_lab.errors import ParameterError
from lipsync_lab.models import registry
from lipsync_lab.models.syncnet import SyncNetColor
from lipsync_lab.models.wav2lip import QualityDiscriminator
from lipsync_lab.training import (
    clips as layout,
)
from lipsync_lab.training import (
    command,
    corpus,
    loop,
    recipes,
    tasks,
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
    assert row[4] == files.sha256(exported.path)
    with pytest.raises(ParameterError, match="unknown material"):
        export(tmp_path / "run", tmp_path, "x", materials=("gold",))


def options(name: str, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.COMMANDS[name].add_arguments(parser)
    return parser.parse_args(words)


def test_everything_by_command(clips, tmp_path: Path, capsys):
    folder = tmp_path / "data"
    layout.write_shard(folder / "train" / "faces-0", clips)
    layout.write_shard(folder / "validation" / "faces-0", [made_clip(seed, 12) for seed in (50, 51)])

    def run(name: str, *words: str) -> str:
        assert command.COMMANDS[name].run(options(name, *words), None) == 0
        return capsys.readouterr().out

    common = ["--data", str(folder)]
    numbers = ["--set", "steps=1", "warmup=1"]
    paths = {name: str(tmp_path / name) for name in ("m", "e", "g", "d", "numbers.json")}
    run("fit", "mouth_openness", *common, "--out", paths["m"], *numbers, "width=0.125", "faces=2")
    assert "animation_closed_recall:" in run("benchmark", "mouth_openness", paths["m"], *common)
    run("fit", "sync_expert", *common, "--out", paths["e"], *numbers, "width=0.05", "clips=2", "windows=3")
    given = ["--sync-expert", paths["e"]]
    run("fit", "generator", *common, "--out", paths["g"], *given, *numbers, "width=0.05", "faces=2")
    given = ["--generator", paths["g"]]
    out = run("fit", "discriminator", *common, "--out", paths["d"], *given, *numbers, "width=0.05", "faces=2")
    assert out.strip().endswith("log.csv")
    assert "animation_accuracy:" in run("benchmark", "sync_expert", paths["e"], *common)
    given = ["--mouth-openness", paths["m"], "--sync-expert", paths["e"], "--out", paths["numbers.json"]]
    run("benchmark", "generator", paths["g"], *common, *given)
    out = run("benchmark", "discriminator", paths["d"], *common, "--generator", paths["g"])
    assert "auc:" in out
    measured = json.loads(Path(paths["numbers.json"]).read_text())
    assert {"openness_correlation", "mouth_l1", "closed_share_silence", "in_sync_share"} <= set(measured)
    words = ["--numbers", paths["numbers.json"], "--name", "w", "--out", str(tmp_path / "out"), "--on", "a test"]
    assert "w,generator,w.safetensors" in run("export", paths["g"], *words)
    assert registry.load(tmp_path / "out" / "w.safetensors", "generator").width == pytest.approx(0.05)
    with pytest.raises(ParameterError, match="trained with a sync expert"):
        tasks.fit("generator", folder, tmp_path / "x")
    with pytest.raises(ParameterError, match="no recipe"):
        tasks.fit("sync_expert", folder, tmp_path / "x", recipe="huge")
    with pytest.raises(SystemExit):
        options("fit", "sync_expert", *common, "--out", "x", "--set", "steps")


def test_layouts_are_packed_by_command(tmp_path: Path):
    for name in [f"p{number}" for number in range(12)]:
        folder = tmp_path / "crops" / name / "000"
        folder.mkdir(parents=True)
        for number in range(12):
            cv2.imwrite(str(folder / f"{number}.jpg"), np.full((20, 20, 3), 10 * number, np.uint8))
        wavfile.write(folder / "audio.wav", 16_000, np.zeros(16_000, np.int16))
    tasks.preprocess([], tmp_path / "crops", data=tmp_path / "data")
    sides = [{clip.speaker for clip in layout.open_shards(tmp_path / "data" / part)} for part in corpus.SPLITS]
    assert sides[0] | sides[1] == {f"crops/p{number}" for number in range(12)}
    assert sides[1] == {name for name in sides[0] | sides[1] if layout.held_out(name)}
    assert sides[1]
