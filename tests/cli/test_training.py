"""The training commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from training_material import made_clip

from lipsync_lab import cli
from lipsync_lab.errors import ParameterError
from lipsync_lab.models import registry
from lipsync_lab.training import clips as layout
from lipsync_lab.training import tasks


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_command(tmp_path: Path, capsys):
    folder = tmp_path / "data"
    layout.write_shard(folder / "train" / "faces-0", [made_clip(seed) for seed in range(4)])
    layout.write_shard(folder / "validation" / "faces-0", [made_clip(seed, 12) for seed in (50, 51)])

    def run(name: str, *words: str) -> str:
        assert cli.main(["train", name, *words, "--quiet"]) == 0
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
    assert [Path(line).name for line in out.split()] == ["log.csv", "curve.png"]
    assert "animation_accuracy:" in run("benchmark", "sync_expert", paths["e"], *common)
    given = ["--mouth-openness", paths["m"], "--sync-expert", paths["e"], "--out", paths["numbers.json"]]
    run("benchmark", "generator", paths["g"], *common, *given)
    out = run("benchmark", "discriminator", paths["d"], *common, "--generator", paths["g"])
    assert "auc:" in out
    measured = json.loads(Path(paths["numbers.json"]).read_text())
    assert {"openness_correlation", "mouth_l1", "closed_share_silence", "in_sync_share"} <= set(measured)
    words = ["--numbers", paths["numbers.json"], "--name", "w", "--out", str(tmp_path / "out"), "--hardware", "a test"]
    assert "w,generator,w.safetensors" in run("export", paths["g"], *words)
    assert registry.load(tmp_path / "out" / "w.safetensors", "generator").width == pytest.approx(0.05)
    with pytest.raises(ParameterError, match="trained with a sync expert"):
        tasks.fit("generator", folder, tmp_path / "x")
    with pytest.raises(ParameterError, match="no recipe"):
        tasks.fit("sync_expert", folder, tmp_path / "x", recipe="huge")
    with pytest.raises(SystemExit):
        cli.main(["train", "fit", "sync_expert", *common, "--out", "x", "--set", "steps"])
    assert cli.main(["train", "fit", "generator", *common, "--out", "x", "--set", "minutes=1"]) == cli.BAD_INPUT
