"""The viseme network: it is causal, and its material says what the character generator draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from lipsync_lab.errors import MediaError
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.geometry import spans
from lipsync_lab.models.visemes import CLASSES, LOOK_AHEAD, NUMBERS, VisemeNet
from lipsync_lab.synthesis import visemes as drawn
from lipsync_lab.synthesis.speech import speak
from lipsync_lab.training import corpus, visemes
from lipsync_lab.training.recipes import SMALL_CPU, changed


def test_a_column_depends_on_the_past_and_a_fifth_of_a_second_to_come():
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


def test_closure_loss_is_that_of_the_best_column_of_each_closure():
    rng, index = np.random.default_rng(3), SHAPES.index("A")
    shapes = rng.integers(0, CLASSES, (2, 40))
    shapes[0, 5:9] = shapes[0, 39] = shapes[1, 0] = index
    logits = rng.normal(0, 2, (2, CLASSES, 40))
    sure = logits[:, index] - np.log(np.exp(logits).sum(1))
    each = [max(sure[n, first:last].max(), -6) for n in (0, 1) for first, last in spans(shapes[n] == index)]
    given = visemes.closure_loss(torch.from_numpy(logits), torch.from_numpy(shapes))
    assert float(given) == pytest.approx(-np.mean(each))
    assert float(visemes.closure_loss(torch.from_numpy(logits), torch.full((2, 40), index + 1))) == 0


def test_a_smaller_network_is_extended_without_a_change():
    class Before(torch.nn.Module):
        def __init__(self):
            super().__init__()
            like = VisemeNet(0.1)
            self.first, self.body = like.first, like.body[:5]
            self.last = torch.nn.Conv1d(like.last.in_channels, CLASSES + NUMBERS, 1)

        def forward(self, mel):
            mel = torch.nn.functional.pad(mel, (4, 8), value=-4.0)
            return self.last(self.body(self.first(mel / 4).relu()))[:, :, 8:]

    before, network = Before().eval(), VisemeNet(0.1)
    network.load_state_dict(visemes.extended(before.state_dict(), network.state_dict()))
    mel = torch.randn(1, 80, 90)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(mel), before(mel), atol=1e-5)


def test_recordings_with_a_text_are_a_group_and_those_of_another_text_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(visemes, "LINES", (2, 1))
    speech = speak("My mother bought a big map of Bombay.", variant="f2")
    wavfile.write(tmp_path / "map.wav", 16000, speech.wave)
    wavfile.write(tmp_path / "still.wav", 16000, np.zeros(16000, np.float32))
    table = tmp_path / "texts.csv"
    table.write_text(f"sound,voice,text\nmap.wav,en-us,{speech.text}\nstill.wav,en-us,Nothing.\n", encoding="utf-8")
    lines = visemes.read(visemes.write(tmp_path, texts=visemes.read_texts(table))[0])
    assert [line.group for line in lines] == ["synthetic", "synthetic", "texts"]
    truth = visemes.labelled(speech)
    assert np.mean(lines[2].shapes[: len(truth.shapes)] == truth.shapes) > 0.8
    mix = {"synthetic": 0.0, "aligned": 0.5, "texts": 0.5}
    task = visemes.VisemesTask(changed(SMALL_CPU.visemes, width=0.1, mix=mix), lines)
    rng = np.random.default_rng(0)
    assert {task._line(rng).group for _ in range(20)} == {"texts"}
    with pytest.raises(MediaError, match="table of sound"):
        visemes.read_texts(tmp_path / "none.csv")


def test_augmentation_keeps_the_range_and_depends_on_the_seed():
    mel = visemes.labelled(speak("Hello.")).mel.astype(np.float32)
    first, again, other = (visemes.augmented(mel, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() <= 4
    assert set(CHART) == set(SHAPES)
