"""The training loop: every task learns one batch, stops and goes on."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from training_material import schedule, toy_tasks

from lipsync_lab import renamed
from lipsync_lab.errors import CheckpointError, MediaError, ParameterError
from lipsync_lab.models import registry
from lipsync_lab.models.wav2lip import QualityDiscriminator
from lipsync_lab.training import (
    loop,
    mouth_openness,
    recipes,
    tasks,
)
from lipsync_lab.training.recipes import (
    MouthOpennessRecipe,
    Schedule,
)


@pytest.mark.parametrize("name", ["detector", "sync_expert", "generator", "gan", "discriminator", "mouth_openness"])
def test_one_batch_can_be_learnt(clips, name):
    task = toy_tasks(clips)[name]
    first = task.batch(np.random.default_rng(0), 0)
    batch = {key: torch.from_numpy(value) for key, value in first.items()}
    run = loop._Run(task, task.recipe.schedule, "cpu")
    numbers = [run.forward(batch, step, bf16=False) for step in range(task.recipe.schedule.steps)]
    falling = {
        "detector": ("classification", "localisation"),
        "sync_expert": ("loss", "in_sync", "contrast", "hints"),
        "generator": ("l1",),
        "gan": ("l1",),
        "discriminator": ("generated",),
        "mouth_openness": ("loss",),
    }[name]
    for name_of_loss in falling:
        assert numbers[-1][name_of_loss] < 0.8 * numbers[0][name_of_loss], (name_of_loss, numbers[0], numbers[-1])
    assert all(np.isfinite(list(row.values())).all() for row in numbers)
    if name == "gan":
        assert {"l1", "mouth_l1", "hints", "sync", "perceptual", "features", "discriminator"} == set(numbers[0])


@pytest.mark.parametrize("name", ["detector", "gan", "restorer", "mouth_openness"])
def test_going_on_is_as_if_never_stopped(clips, name, tmp_path: Path):
    def run(folder: str, steps: int, minutes: float | None = None):
        task = toy_tasks(clips)[name]
        task.recipe = recipes.changed(task.recipe, steps=4, check_every=2, log_every=1)
        if steps < 4:  # stopped in the middle, as a person or a power cut does
            whole, task.batch = task.batch, lambda rng, step: whole(rng, step) if step < steps else 1 / 0
            with pytest.raises(ZeroDivisionError):
                loop.train(task, tmp_path / folder)
            return None
        torch.manual_seed(99)  # whatever else has used torch's own numbers
        return loop.train(task, tmp_path / folder)

    straight = run("straight", 4)
    run("halves", 2)
    halves = run("halves", 4)
    for network, mean in straight.items():
        for key, value in mean.state_dict().items():
            torch.testing.assert_close(halves[network].state_dict()[key], value, rtol=0, atol=0)
    logs = [(tmp_path / folder / "log.csv").read_text().splitlines() for folder in ("straight", "halves")]
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(log)] for log in logs]
    assert [row["step"] for row in rows[0]] == ["1", "2", "3", "4"]
    assert rows[0] == rows[1]
    assert any(name.startswith("held_out_") and rows[0][1][name] for name in rows[0][1])


def test_a_run_is_not_taken_up_by_another_recipe(clips, tmp_path: Path):
    task = mouth_openness.MouthOpennessTask(MouthOpennessRecipe(schedule(2), width=0.125, faces=4), clips)
    loop.train(task, tmp_path)
    other = mouth_openness.MouthOpennessTask(MouthOpennessRecipe(schedule(3), width=0.125, faces=4), clips)
    with pytest.raises(CheckpointError, match=r"state\.pt.*another recipe"):
        loop.train(other, tmp_path)
    (tmp_path / "state.pt").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read"):
        loop.train(task, tmp_path)


def test_runs_of_earlier_versions_continue(clips, tmp_path: Path):
    """A state with the old names of kinds and of numbers of recipes."""
    task = toy_tasks(clips)["gan"]
    task.recipe = recipes.changed(task.recipe, steps=2)
    loop.train(task, tmp_path / "run", minutes=0.0)
    path = tmp_path / "run" / "state.pt"
    state = torch.load(path, weights_only=True)
    assert state["step"] == 1
    old = {new: name for name, new in renamed.MODELS.items()}
    for part in ("networks", "averages", "optimisers"):
        state[part] = {old.get(name, name): value for name, value in state[part].items()}
    recipe = state["recipe"]
    recipe["mix"] = dict(zip(renamed.DOMAINS, recipe["mix"].values(), strict=True))
    recipe["quality"], recipe["lead"] = recipe.pop("adversarial"), recipe.pop("audio_offset")
    recipe["quality_width"] = recipe.pop("discriminator_width")
    recipe["schedule"]["readers"] = recipe["schedule"].pop("workers")
    torch.save(state, path)
    loop.train(task, tmp_path / "run")
    assert loop.read_state(path)["step"] == 2
    network, audio_offset = tasks.network_of("discriminator", tmp_path / "run")
    assert audio_offset == task.recipe.audio_offset
    assert isinstance(network, QualityDiscriminator)


@pytest.mark.parametrize(("old", "new"), renamed.MODELS.items())
def test_old_kinds_are_deprecated(old, new, tmp_path: Path):
    with pytest.warns(DeprecationWarning, match=f"{old}.*{new}"):
        assert renamed.model(old) == new
    if new in tasks.TRAINED:
        with pytest.warns(DeprecationWarning, match=new), pytest.raises(MediaError, match="no shard"):
            tasks.fit(old, tmp_path, tmp_path / "run")
    else:
        with pytest.warns(DeprecationWarning, match=new):
            assert registry.load(old, registry.MODELS[new].kind).name == new


def test_a_time_limit_stops_with_the_state_saved(clips, tmp_path: Path):
    task = mouth_openness.MouthOpennessTask(MouthOpennessRecipe(schedule(50), width=0.125, faces=2), clips)
    calls = []
    loop.train(task, tmp_path, minutes=0.0, progress=lambda *call: calls.append(call))
    assert loop.read_state(tmp_path / "state.pt")["step"] == 1
    assert calls == [("train mouth_openness", 0, 50), ("train mouth_openness", 1, 50)]


def test_training_begins_with_given_weights_and_the_card_says_so(clips, tmp_path: Path):
    recipe = MouthOpennessRecipe(schedule(2), width=0.125, faces=4)
    loop.train(mouth_openness.MouthOpennessTask(recipe, clips), tmp_path / "first")
    task = mouth_openness.MouthOpennessTask(recipes.changed(recipe, seed=5), clips)
    assert tasks._begin(task, tmp_path / "first") == "first"
    given = loop.read_state(tmp_path / "first" / "state.pt")["averages"]["mouth_openness"]
    for name, value in task.networks["mouth_openness"].state_dict().items():
        torch.testing.assert_close(value, given[f"module.{name}"], rtol=0, atol=0)
    loop.train(task, tmp_path / "second", begun_from="first")
    assert loop.read_state(tmp_path / "second" / "state.pt")["begun_from"] == "first"
    wider = mouth_openness.MouthOpennessTask(MouthOpennessRecipe(schedule(2), width=0.2, faces=4), clips)
    with pytest.raises(ParameterError, match="another width"):
        tasks._begin(wider, tmp_path / "first")


def test_half_precision_runs_and_a_loss_that_is_no_number_stops(clips):
    task = toy_tasks(clips)["sync_expert"]
    run = loop._Run(task, task.recipe.schedule, "cpu")
    batch = {key: torch.from_numpy(value) for key, value in task.batch(np.random.default_rng(0), 0).items()}
    assert np.isfinite(run.forward(batch, 0, bf16=True)["loss"])
    batch["mels"] = batch["mels"] * np.nan
    with pytest.raises(ParameterError, match="not finite at step 1"):
        run.forward(batch, 1, bf16=False)
    with pytest.raises(ParameterError, match="precision"):
        loop.train(task, "unused", precision="fp8")


def test_the_rate_rises_and_falls():
    plan = Schedule(100, 1e-3, warmup=10, floor=0.1)
    rates = [loop.rate(plan, step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert np.argmax(rates) in (9, 10)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(1e-4, rel=0.01)


def test_recipes_can_be_changed_by_name():
    changed = recipes.changed(recipes.SMALL_CPU.sync_expert, steps=7, clips=3)
    assert (changed.schedule.steps, changed.clips, changed.width) == (7, 3, recipes.SMALL_CPU.sync_expert.width)
    with pytest.raises(ParameterError, match="has no colour"):
        recipes.changed(recipes.SMALL_CPU.sync_expert, colour=1)
