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
