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

from lipsync_lab import checkpoints, files
from lipsync_lab.errors import ParameterError
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

# -------------------------------------------------------------------------------------------- export, and all by name


@pytest.mark.parametrize(("kind", "make"), [("expert", SyncNetColor), ("gan", QualityDiscriminator)])
def test_what_is_exported_can_be_loaded(clips, tmp_path: Path, kind, make):
    task = toy_tasks(clips)[kind]
    task.recipe = recipes.changed(task.recipe, steps=1)
    means = loop.train(task, tmp_path / "run")
    network = "expert" if kind == "expert" else "quality"
    done = export(
        tmp_path / "run",
        tmp_path / "out",
        "tiny-lab",
        numbers={"drawn_accuracy": 0.5, "auc": 0.9, "blur_falls": 0.0},
        materials=("drawn", "film"),
        network=None if kind == "expert" else "quality",
    )
    loaded = checkpoints.load(done.path, network)
    assert isinstance(loaded.model, make)
    assert loaded.width == pytest.approx(0.07 if kind == "expert" else 0.05)
    for key, value in means[network].state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[key], value)
    card = done.card.read_text()
    assert "CC BY 4.0" in card
    assert "GRID" in card
    assert ("**missed**" in card) == (kind == "expert") or "blur_falls | 0 | >= 1, **missed**" in card
    (row,) = csv.reader([done.row])
    assert row[:3] == ["tiny-lab", network, "tiny-lab.safetensors"]
    assert row[4] == files.sha256(done.path)
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
    run("fit", "reader", *common, "--out", str(tmp_path / "r"), *numbers, "width=0.125", "faces=2")
    told = run("benchmark", "reader", str(tmp_path / "r"), *common)
    assert "drawn_closed:" in told
    run("fit", "expert", *common, "--out", str(tmp_path / "e"), *numbers, "width=0.05", "clips=2", "windows=3")
    given = ["--expert", str(tmp_path / "e")]
    run("fit", "generator", *common, "--out", str(tmp_path / "g"), *given, *numbers, "width=0.05", "faces=2")
    given = ["--generator", str(tmp_path / "g")]
    told = run("fit", "quality", *common, "--out", str(tmp_path / "q"), *given, *numbers, "width=0.05", "faces=2")
    assert told.strip().endswith("log.csv")
    told = run("benchmark", "expert", str(tmp_path / "e"), *common)
    assert "drawn_accuracy:" in told
    run(
        "benchmark",
        "generator",
        str(tmp_path / "g"),
        *common,
        "--reader",
        str(tmp_path / "r"),
        "--out",
        str(tmp_path / "n"),
    )
    told = run("benchmark", "quality", str(tmp_path / "q"), *common, *given)
    assert "auc:" in told
    assert {"openness", "mouth", "closed_in_silence"} <= set(json.loads((tmp_path / "n").read_text()))
    words = ["--numbers", str(tmp_path / "n"), "--name", "w", "--out", str(tmp_path / "out"), "--on", "a test"]
    told = run("export", str(tmp_path / "g"), *words)
    assert "w,generator,w.safetensors" in told
    assert checkpoints.load(tmp_path / "out" / "w.safetensors", "generator").width == pytest.approx(0.05)
    with pytest.raises(ParameterError, match="taught by an expert"):
        tasks.train("generator", folder, tmp_path / "x")
    with pytest.raises(ParameterError, match="no recipe"):
        tasks.train("expert", folder, tmp_path / "x", recipe="huge")
    with pytest.raises(SystemExit):
        options("fit", "expert", *common, "--out", "x", "--set", "steps")


def test_layouts_are_packed_by_command(tmp_path: Path):
    for name in [f"p{number}" for number in range(12)]:
        folder = tmp_path / "crops" / name / "000"
        folder.mkdir(parents=True)
        for number in range(12):
            cv2.imwrite(str(folder / f"{number}.jpg"), np.full((20, 20, 3), 10 * number, np.uint8))
        wavfile.write(folder / "audio.wav", 16_000, np.zeros(16_000, np.int16))
    tasks.preprocess([], tmp_path / "crops", data=tmp_path / "data")
    sides = [{clip.who for clip in layout.open_shards(tmp_path / "data" / part)} for part in corpus.SPLITS]
    assert sides[0] | sides[1] == {f"crops/p{number}" for number in range(12)}
    assert sides[1] == {who for who in sides[0] | sides[1] if layout.held_out(who)}
    assert sides[1]
