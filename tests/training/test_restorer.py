"""The restorer's training: soft faces, their losses, and what is measured."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from training_material import toy_tasks

from lipsync_lab.errors import ParameterError
from lipsync_lab.models.mouth_openness import MouthOpennessNet
from lipsync_lab.models.restorer import HALF, MouthRestorer
from lipsync_lab.models.wav2lip import Wav2Lip
from lipsync_lab.training import clips as layout
from lipsync_lab.training import restorer, tasks


def textured(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)


def test_degraded_faces_are_softer_in_the_same_place_and_colours():
    face, further = textured(), np.stack([textured(seed) for seed in (1, 2, 3)])
    whole = slice(None), slice(None)
    for seed in range(20):
        soft = restorer.degraded(face, further, np.random.default_rng(seed))
        assert soft.shape == face.shape
        assert soft.dtype == np.uint8
        assert restorer.sharpness(soft, whole) < 0.9 * restorer.sharpness(face, whole)
        assert np.abs(soft.mean((0, 1)) - face.mean((0, 1))).max() < 8
        # the face itself has the largest share
        alike = [np.corrcoef(soft.ravel(), other.ravel())[0, 1] for other in (face, *further)]
        assert np.argmax(alike) == 0
    again = [restorer.degraded(face, further, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_blur_is_gaussian():
    face = textured().astype(np.float32)
    tensor = torch.from_numpy(face).permute(2, 0, 1)[None]
    ours = restorer.blurred(tensor, 3.0)[0].permute(1, 2, 0).numpy()
    theirs = cv2.GaussianBlur(face, (19, 19), 3.0, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_a_batch_has_three_kinds_of_faces(clips):
    task = toy_tasks(clips)["restorer"]
    task.recipe = restorer.RestorerRecipe(task.recipe.schedule, 0.25, faces=10, discriminator_width=0.05)
    batch = task.batch(np.random.default_rng(0), 0)
    assert [len(batch[name]) for name in ("target", "mouth", "mels", "soft")] == [10, 10, 10, 3]
    assert task._parts() == (3, 6)


def test_dubbed_faces_have_no_target(clips):
    """What lies below in a dubbed target changes only what the generator is given as its reference."""
    task = toy_tasks(clips)["restorer"]
    task.generator = Blank()
    batch = {name: torch.from_numpy(value) for name, value in task.batch(np.random.default_rng(0), 0).items()}
    _, paired = task._parts()

    def losses(given) -> dict[str, float]:
        return {name: value.item() for name, value in next(task.losses(given, 0))[2].items()}

    numbers = losses(batch)
    changed = dict(batch, target=batch["target"].clone())
    changed["target"][paired:, HALF:] = 0
    assert losses(changed) == numbers
    changed["target"][:paired, HALF:] = 0
    assert losses(changed)["l1"] != numbers["l1"]


def test_detail_of_one_batch_can_be_learnt(clips):
    task = toy_tasks(clips)["restorer"]
    task.recipe = dataclasses.replace(task.recipe, features=0.0, adversarial_from=1.0)
    batch = {name: torch.from_numpy(value) for name, value in task.batch(np.random.default_rng(0), 0).items()}
    batch["target"] = batch["target"][:4] // 2 + torch.from_numpy(np.stack([textured(seed) for seed in range(4)])) // 2
    blurred = [cv2.GaussianBlur(face.numpy(), (0, 0), 1.2) for face in batch["target"][:2]]
    batch = {name: value[:4] for name, value in batch.items()} | {"soft": torch.from_numpy(np.stack(blurred))}
    task._parts = lambda: (2, 4)
    network, numbers = task.networks["restorer"], []
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(25):
        _, loss, values = next(task.losses(batch, 0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        numbers.append(values["edges"].item())
    assert numbers[-1] < 0.95 * numbers[0], numbers


class Blank(torch.nn.Module):
    """A generator of grey faces."""

    def forward(self, mels, faces):
        return torch.full((len(faces), 3, 96, 96), 0.5)


def test_a_restorer_that_changes_nothing_measures_as_the_generator(clips):
    torch.manual_seed(0)
    generator, regressor = Wav2Lip(0.05).eval(), MouthOpennessNet(0.125).eval()
    numbers = restorer.measure(MouthRestorer(0.25), generator, regressor, clips, audio_offset=1)
    for name in ("animation_mouth_l1", "animation_sharpness", "openness_correlation", "closed_share_silence"):
        assert numbers[name] == pytest.approx(numbers[f"{name}_generated"], abs=1e-9, nan_ok=True), name
    assert numbers["clips"] == len(clips)
    assert "live_action_mouth_l1" not in numbers


def test_sharpness_is_relative_to_the_true_face(clips):
    copying = Copy()
    numbers = restorer.restoration(MouthRestorer(0.25), copying, clips, audio_offset=1)
    assert numbers["mouth_l1_generated"] < 0.005  # the fractions of grey levels
    assert numbers["sharpness_generated"] == pytest.approx(1, abs=0.02)


class Copy(torch.nn.Module):
    """A generator that copies its reference."""

    def forward(self, mels, faces):
        return faces[:, 3:]


def test_it_needs_a_generator(clips, tmp_path):
    layout.write_shard(tmp_path / "train" / "faces-00000", clips)
    with pytest.raises(ParameterError, match="restorer is trained on faces of a generator"):
        tasks.fit("restorer", tmp_path, tmp_path / "run")
