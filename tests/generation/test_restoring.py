"""Restoration after generation: what the restorer is given, and what it may change."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync_lab import generation
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.generation import restoring
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.audio import Sound
from lipsync_lab.models.restorer import HALF, MouthRestorer
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import PRESETS, Settings


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A small restorer that changes every pixel of the lower half."""
    torch.manual_seed(0)
    network = MouthRestorer(0.25)
    torch.nn.init.constant_(network.last[-1].bias, 0.2)
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file(network.state_dict(), path, {"width": "0.25", "kind": "restorer"})
    return path


def faces(count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (count, 96, 96, 3)).astype(np.uint8)


def test_the_network_is_given_the_source_above_and_the_generated_face_below_in_bgr():
    given_to_it = []

    def network(batch):
        given_to_it.append(batch)
        return torch.full_like(batch, 0.5)

    crops, generated = faces(seed=1), faces(seed=2)
    out = restoring.restore(network, crops, generated)
    (batch,) = given_to_it
    assert batch.dtype == torch.float32
    shown = (255 * batch).round().permute(0, 2, 3, 1).numpy()[..., ::-1]
    np.testing.assert_array_equal(shown[:, :HALF], crops[:, :HALF])
    np.testing.assert_array_equal(shown[:, HALF:], generated[:, HALF:])
    np.testing.assert_array_equal(out[:, :HALF], generated[:, :HALF])
    assert out.dtype == np.uint8
    assert set(out[:, HALF:].ravel()) == {128}


def test_an_untrained_restorer_changes_nothing():
    crops, generated = faces(seed=1), faces(seed=2)
    np.testing.assert_array_equal(restoring.restore(MouthRestorer(0.25), crops, generated), generated)


def test_the_lower_half_depends_on_both_halves_and_the_upper_on_nothing():
    network = MouthRestorer(0.25)
    torch.nn.init.normal_(network.last[-1].weight)
    batch = torch.rand(1, 3, 96, 96)
    above, far = batch.clone(), batch.clone()
    above[:, :, 40:HALF] = 0
    far[:, :, :32] = 0
    with torch.inference_mode():
        whole, other, same = (network(each) for each in (batch, above, far))
    assert torch.equal(whole[:, :, :HALF], batch[:, :, :HALF])
    assert not torch.equal(whole[:, :, HALF:], other[:, :, HALF:])
    assert torch.equal(whole[:, :, HALF:], same[:, :, HALF:])


def test_a_restored_generator_is_the_generator_but_for_its_faces(weights: Path):
    generator = generation.load("identity")
    made = restoring.restored(generator, str(weights))
    crops, windows = faces(3), np.zeros((3, 80, 16), np.float32)
    assert (made.name, made.side, made.sha256) == (generator.name, generator.side, generator.sha256)
    assert made.restorer["name"] == "own.safetensors"
    assert len(made.restorer["sha256"]) == 64
    assert "own.safetensors" in made.provenance
    out = made.generate(crops, windows)
    np.testing.assert_array_equal(out[:, :HALF], crops[:, :HALF])
    assert (out[:, HALF:].astype(int) - crops[:, HALF:]).mean() > 20
    assert copy.copy(made).name == generator.name
    assert restoring.restored(generator, None) is generator


def test_what_cannot_be_restored_is_refused(weights: Path):
    with pytest.raises(ParameterError, match="--restorer: cel"):
        restoring.restored(generation.load("cel"), str(weights))
    with pytest.raises(CheckpointError, match="mouth restorer is needed"):
        restoring.restored(generation.load("identity"), "wav2lip-lab")
    assert Settings().restorer is None
    assert Settings.of({}, "reference").restorer is None
    assert all("restorer" not in preset for preset in PRESETS.values())


def test_a_run_restores_its_mouths_and_says_so(weights: Path, tmp_path: Path):
    film, box = tmp_path / "film.mkv", Box(30, 20, 110, 100)
    wave = (0.3 * np.sin((np.arange(16_000) / 150) ** 2)).astype(np.float32)
    with video.Writer(film, fps=25, sound=Sound.from_wave(wave), codec="ffv1") as writer:
        for number in range(25):
            writer.write(np.full((120, 160, 3), 90 + number, np.uint8))
    runs = {}
    for name in (None, str(weights)):
        pipeline = Pipeline("identity", settings=Settings(restorer=name, codec="ffv1"), box=box, device="cpu")
        runs[name] = pipeline.run(film, film, tmp_path / f"run-{name is None}")
    plain, restored = (json.loads((run.folder / "run.json").read_text()) for run in runs.values())
    assert "restorer" not in plain["generator"]
    assert restored["generator"]["restorer"]["name"] == "own.safetensors"
    assert restored["settings"]["restorer"] == str(weights)
    before, after = (np.stack([frame.image for frame in video.frames(run.output)]).astype(int) for run in runs.values())
    changed = (before != after).any(axis=(0, 3))
    assert changed[65:95, 40:100].all()
    changed[60:110, 30:110] = False  # the lower half of the box with its padding
    assert not changed.any()
