"""The viseme network: it is causal, and its material says what the character generator draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lipsync_lab.errors import MediaError
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.models.visemes import CLASSES, LOOK_AHEAD, NUMBERS, VisemeNet
from lipsync_lab.synthesis import visemes as drawn
from lipsync_lab.synthesis.speech import speak
from lipsync_lab.training import corpus, visemes
from lipsync_lab.training.recipes import SMALL_CPU, changed


def test_a_column_depends_on_the_past_and_a_tenth_of_a_second_to_come():
    network = VisemeNet(0.1).eval()
    mel = torch.randn(1, 80, 120)
    other = mel.clone()
    other[:, :, 60 + LOOK_AHEAD + 1 :] += 1.0
    with torch.inference_mode():
        first, second = network(mel), network(other)
    assert first.shape == (1, CLASSES + NUMBERS, 120)
    assert torch.equal(first[..., :61], second[..., :61])
    assert not torch.equal(first[..., 61], second[..., 61])


def test_labels_are_those_of_the_timeline():
    speech = speak("Mama bought a big boat.")
    line, timeline = visemes.labelled(speech), drawn.timeline(speech)
    for column in range(0, len(line.shapes), 7):
        assert SHAPES[line.shapes[column]] == drawn.key_at(timeline, column / 80).shape
        assert line.pose[0, column] == pytest.approx(drawn.pose_at(timeline, column / 80).openness, abs=1e-3)
    assert {"A", "D"} <= {SHAPES[index] for index in line.shapes}


def test_a_perfect_network_is_measured_as_perfect():
    line = visemes.labelled(speak("A bump on a map."))

    class Perfect(torch.nn.Module):
        def forward(self, mel):
            classes = torch.nn.functional.one_hot(torch.from_numpy(line.shapes.astype(int)), CLASSES).T * 9.0
            pose = torch.logit(torch.from_numpy(line.pose.astype(np.float32)), eps=1e-4)
            return torch.cat([classes, pose])[None]

    numbers = visemes.accuracy(Perfect(), [line])
    assert (numbers["accuracy"], numbers["closure_recall"], numbers["closure_precision"]) == (1, 1, 1)
    assert numbers["openness_correlation"] > 0.999
    assert numbers["frames"] == len(range(0, len(line.shapes) * 25 // 80 + 1))


def test_material_survives_its_file_and_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(visemes, "LINES", (3, 2))
    train, held_out = visemes.write(tmp_path)
    lines = visemes.read(train)
    assert len(lines) == 3
    rng, speech = np.random.default_rng([0, 0x715E]), corpus.line(0)
    assert np.array_equal(lines[0].mel, visemes.labelled(speech, corpus.as_recorded(rng, speech.wave)).mel)
    task = visemes.VisemesTask(
        changed(SMALL_CPU.visemes, lines=2, columns=80, width=0.1), lines, visemes.read(held_out)
    )
    batch = {name: torch.from_numpy(values) for name, values in task.batch(np.random.default_rng(1), 0).items()}
    assert batch["mel"].shape == (2, 80, 80)
    ((name, loss, _),) = task.losses(batch, 0)
    loss.backward()
    assert np.isfinite(task.check({name: task.networks[name].eval()})["openness_correlation"])
    with pytest.raises(MediaError, match="--what voices"):
        visemes.read(tmp_path / "none.npz")


def test_augmentation_keeps_the_range_and_depends_on_the_seed():
    mel = visemes.labelled(speak("Hello.")).mel.astype(np.float32)
    first, again, other = (visemes.augmented(mel, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() <= 4
    assert set(CHART) == set(SHAPES)
