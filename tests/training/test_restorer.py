"""The restorer's training: soft faces, their losses, and what is measured."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from training_material import made_clip, toy_tasks

from lipsync_lab.errors import ParameterError
from lipsync_lab.models.mouth_openness import MouthOpennessNet
from lipsync_lab.models.restorer import HALF, MouthRestorer
from lipsync_lab.models.wav2lip import Wav2Lip
from lipsync_lab.training import clips as layout
from lipsync_lab.training import restorer, soft_faces, tasks


def textured(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)


def test_degraded_faces_are_softer_in_the_same_place_and_colours():
    face, further = textured(), np.stack([textured(seed) for seed in (1, 2, 3)])
    whole = slice(None), slice(None)
    for seed in range(20):
        soft = soft_faces.degraded(face, further, np.random.default_rng(seed))
        assert soft.shape == face.shape
        assert soft.dtype == np.uint8
        assert restorer.sharpness(soft, whole) < 0.9 * restorer.sharpness(face, whole)
        assert np.abs(soft.mean((0, 1)) - face.mean((0, 1))).max() < 8
        # the face itself has the largest share
        alike = [np.corrcoef(soft.ravel(), other.ravel())[0, 1] for other in (face, *further)]
        assert np.argmax(alike) == 0
    again = [soft_faces.degraded(face, further, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_a_batch_has_three_kinds_of_faces(clips):
    task = toy_tasks(clips)["restorer"]
    task.recipe = restorer.RestorerRecipe(task.recipe.schedule, 0.25, faces=10, discriminator_width=0.05)
    batch = task.batch(np.random.default_rng(0), 0)
    names = ("source", "target", "mouth", "known", "mels", "soft")
    assert [len(batch[name]) for name in names] == [10, 10, 10, 10, 10, 3]
    assert task._parts() == (3, 6)
    # dubbed: two moments of two sources, whose targets are not known
    for name in ("source", "target", "mouth", "known"):
        np.testing.assert_array_equal(batch[name][6:8], batch[name][8:])
    first, second = batch["mels"][6:].reshape(2, 2, -1)
    assert (first != second).any(axis=1).all()
    np.testing.assert_array_equal(batch["known"], [1] * 6 + [0] * 4)
    # the others: the target with another mouth
    apart = np.abs(batch["source"][:6].astype(int) - batch["target"][:6]).max(axis=-1)
    assert apart[:, 48:].max() > 20
    assert apart[:, :40].max() == 0


def test_twins_are_sources_and_targets(clips):
    both = twin_clips()
    task = toy_tasks([*both, *clips])["restorer"]
    assert [task.twins[id(each)] is other for each, other in (both, both[::-1])] == [True, True]
    assert len(task.twins) == 2
    assert soft_faces.twin_of(both[1], both[0], 9) == (both[1], 7)
    assert soft_faces.twin_of(both[1], both[0], 1) is None  # the twin begins later
    assert soft_faces.twin_of(both[1], both[0], 12) is None  # another pose
    assert soft_faces.twin_of(None, both[0], 9) is None
    task.sampler = restorer.ClipSampler(both, {"animation": 1.0})
    rng = np.random.default_rng(0)
    known = [task._dubbed(rng)[0] for _ in range(30)]
    assert {float(part["known"]) for part in known} == {0.0, 1.0}
    for part in known:
        changed = (part["source"] != part["target"]).any()
        assert changed == bool(part["known"])


def twin_clips() -> tuple[layout.Clip, layout.Clip]:
    """Two clips of one character; the second begins two frames later, and has another pose in its frame 10."""
    clip = made_clip(1, speaker="one")
    other = made_clip(1, speaker="one", first=2)
    faces = other.faces.copy()
    faces[:, 60:80] //= 2
    faces[10, :48] //= 2
    return clip, dataclasses.replace(other, faces=faces)


def test_a_face_with_another_mouth_differs_in_and_around_its_box_only():
    face, other, box = textured(1), textured(2), np.float32([30, 60, 60, 84])
    for seed in range(10):
        out = soft_faces.with_mouth(face, other, box, np.random.default_rng(seed))
        np.testing.assert_array_equal(out[66:78, 40:50], other[66:78, 40:50])
        far = np.ones((96, 96), bool)
        far[48:, 18:72] = False
        np.testing.assert_array_equal(out[far], face[far])
    np.testing.assert_array_equal(soft_faces.joined(np.float32([1, 5, 7, 9]), np.float32([3, 2, 6, 11])), [1, 2, 7, 11])


def test_losses_of_dubbed_faces_by_hand():
    rng = np.random.default_rng(0)
    soft, source, target, restored = (torch.from_numpy(rng.random((2, 3, 96, 96), np.float32)) for _ in range(4))
    mouth, known = torch.tensor([[20.0, 60, 70, 80]] * 2), torch.tensor([1.0, 0.0])
    numbers = restorer.dubbed_losses(restored, soft, source, target, mouth, known)
    inside = restorer.box_mask(mouth)[0, 0].numpy() > 0
    outside = ~inside
    outside[:HALF] = False
    wanted = (restored - target).abs().numpy()[0][:, outside].mean()
    assert numbers["around"].item() == pytest.approx(wanted, rel=1e-4)
    shift = [np.median((source - soft)[n, :, HALF:].numpy().reshape(3, -1), axis=1)[:, None, None] for n in (0, 1)]
    moves = [(restored[0] - restored[1]).numpy(), (soft[0] - soft[1]).numpy() + shift[0] - shift[1]]
    moves = [np.abs(each)[:, HALF:] for each in moves]
    assert numbers["hold"].item() == pytest.approx(np.maximum(moves[0] - moves[1], 0).mean(), rel=1e-2)
    # a mouth that has more detail and the same blur is not changed; nothing moves that is the same twice
    still = restorer.dubbed_losses(target, source, source, target, mouth, known)
    assert still["around"].item() == 0
    same = torch.cat((restored[:1], restored[:1]))
    assert restorer.dubbed_losses(same, soft, source, target, mouth, known)["hold"].item() == 0
    assert restorer.dubbed_losses(source, source, source, target, mouth, known)["changed"].item() < 1e-6


def test_the_openness_of_dubbed_mouths_is_kept_as_the_regressor_reads_it(clips):
    task = toy_tasks(clips)["restorer"]
    batch = {name: torch.from_numpy(value) for name, value in task.batch(np.random.default_rng(0), 0).items()}
    _, paired = task._parts()
    assert "reading" not in next(task.losses(batch, 0))[2]

    class Red(torch.nn.Module):
        def forward(self, faces):
            return faces[:, 2, HALF:].mean((1, 2))

    class Redder(torch.nn.Module):
        def forward(self, pairs):
            return pairs[:, :3] + self.shift

    task.regressor, task.networks["restorer"] = Red(), Redder()
    for shift in (0.0, 0.25):
        task.networks["restorer"].shift = torch.full((len(batch["mels"]), 3, 1, 1), shift)
        task.networks["restorer"].shift[:paired] = 1  # of others it is not asked
        _, loss, numbers = next(task.losses(batch, 0))
        assert numbers["reading"].item() == pytest.approx(shift, abs=1e-6)
        task.recipe = dataclasses.replace(task.recipe, reading=0.0)
        _, rest, numbers = next(task.losses(batch, 0))
        task.recipe = dataclasses.replace(task.recipe, reading=0.5)
        assert (loss - rest).item() == pytest.approx(0.5 * shift, abs=1e-5)
        assert "reading" not in numbers


def test_dubbed_faces_have_no_target(clips):
    """What lies below in a dubbed target of which no twin is known changes nothing but the discriminator's examples."""
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
    batch["source"] = torch.full_like(batch["source"], 128)
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
    assert numbers[-1] < 0.98 * numbers[0], numbers


class Blank(torch.nn.Module):
    """A generator of grey faces."""

    def forward(self, mels, faces):
        return torch.full((len(faces), 3, 96, 96), 0.5)


def test_a_restorer_that_changes_nothing_measures_as_the_generator(clips):
    torch.manual_seed(0)
    generator, regressor = Wav2Lip(0.05).eval(), MouthOpennessNet(0.125).eval()
    numbers = restorer.measure(Nothing(), generator, regressor, clips, audio_offset=1)
    for name in ("animation_mouth_l1", "animation_sharpness", "openness_correlation", "closed_share_silence"):
        assert numbers[name] == pytest.approx(numbers[f"{name}_generated"], abs=1e-9, nan_ok=True), name
    assert numbers["clips"] == len(clips)
    assert "live_action_mouth_l1" not in numbers


class Nothing(torch.nn.Module):
    """A restorer that returns what it is given."""

    def forward(self, pairs):
        return pairs[:, :3]


def test_the_mouth_of_the_source_is_not_the_target(clips):
    """A restorer that returns the source has the mouth of another frame, and is measured so."""
    numbers = restorer.restoration(Source(), Copy(), clips, audio_offset=1)
    assert numbers["mouth_l1"] > 5 * numbers["mouth_l1_generated"]


class Source(torch.nn.Module):
    def forward(self, pairs):
        return pairs[:, 3:]


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
