"""The generator's material."""

from __future__ import annotations

import numpy as np
import torch
from training_material import schedule

from lipsync_lab import generation
from lipsync_lab.models.syncnet import SyncNetColor
from lipsync_lab.models.wav2lip import Wav2Lip
from lipsync_lab.training import (
    generator,
    loop,
)
from lipsync_lab.training.recipes import (
    GeneratorRecipe,
)


def test_the_generator_never_sees_what_it_has_to_draw(clips):
    recipe = GeneratorRecipe(schedule(10), 0.1, faces=10, sync_from=0.5)
    task = generator.GeneratorTask(recipe, clips, sync_expert=SyncNetColor(0.1))
    assert not any(parameter.requires_grad for parameter in task.sync_expert.parameters())
    early, late = (task.batch(np.random.default_rng(0), step) for step in (4, 5))
    assert early["target"].shape == (10, 1, 96, 96, 3)
    assert late["target"].shape == (2, 5, 96, 96, 3)
    assert late["mels"].shape == (2, 5, 80, 16)
    target, reference = (loop.pixels(torch.from_numpy(late[name])) for name in ("target", "reference"))
    given = generator.masked_pair(target, reference)
    assert (given[:, :3, 48:] == 0).all()
    torch.testing.assert_close(given[:, :3, :48], target[:, :, :48])
    torch.testing.assert_close(given[:, 3:], reference)
    # the same door as in use: RGB outside, BGR inside
    rgb = late["target"].reshape(-1, 96, 96, 3)
    torch.testing.assert_close(target, torch.from_numpy(rgb[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255)


def test_a_generator_draws_here_as_in_the_pipeline(clips):
    network = Wav2Lip(0.05).eval()
    faces, mels = clips[0].faces[:3], clips[0].windows([0, 1, 2])
    np.testing.assert_array_equal(
        generator.generate(network, faces, faces, mels), generation.generate(network, faces, mels)
    )


def test_the_mouth_is_counted_where_its_box_is():
    inside = generator.box_mask(torch.tensor([[30.0, 60.0, 50.0, 70.0]]))
    rows, columns = np.nonzero(inside[0, 0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (57, 72, 27, 52)


def test_the_features_of_the_adversarial_loss_are_those_of_the_lower_half_that_lead_to_the_score():
    network = generator.initial_discriminator(0.1, 0)
    faces = torch.rand((3, 3, 96, 96), generator=torch.Generator().manual_seed(0))
    layers, score = generator.scored(network, faces)
    torch.testing.assert_close(score, network(faces.unsqueeze(2)))
    above, below = faces.clone(), faces.clone()
    above[:, :, :48] = 0
    below[:, :, 48:] = 0
    assert all(torch.equal(a, b) for a, b in zip(generator.scored(network, above)[0], layers, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(generator.scored(network, below)[0], layers, strict=True))


def test_an_adversarial_step_starts_from_the_given_discriminator_and_trains_both(clips):
    given = generator.initial_discriminator(0.125, 5)
    recipe = GeneratorRecipe(schedule(4), 0.1, faces=4, sync=0.0, sync_from=0.0, adversarial=0.1, features=1.0)
    task = generator.GeneratorTask(recipe, clips, discriminator=given)
    before = {name: value.clone() for name, value in given.state_dict().items()}
    assert all(torch.equal(value, before[name]) for name, value in task.networks["discriminator"].state_dict().items())
    batch = {name: torch.from_numpy(value) for name, value in task.batch(np.random.default_rng(0), 0).items()}
    assert batch["target"].shape[:2] == (4, 1)
    losses = {}
    for name, loss, numbers in task.losses(batch, 0):
        loss.backward()
        losses[name] = numbers
        assert any(weight.grad is not None for weight in task.networks[name].parameters())
    assert {"generator", "discriminator"} <= set(losses)
    assert losses["generator"]["perceptual"].detach() > 0
    assert losses["generator"]["features"].detach() > 0


def test_hints_without_any_known_openness_are_zero_and_can_be_learnt_from(clips):
    recipe = GeneratorRecipe(schedule(4), 0.1, faces=4, sync=0.0)
    task = generator.GeneratorTask(recipe, clips)
    loss = task._hints(torch.rand(4, 51), torch.full((4,), torch.nan))
    loss.backward()
    assert loss.detach() == 0
