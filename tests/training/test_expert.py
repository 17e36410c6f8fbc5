"""The sync expert's pairs and losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_material import schedule

from lipsync_lab.training import (
    expert,
    sampling,
)
from lipsync_lab.training.recipes import (
    SyncExpertRecipe,
)

# ------------------------------------------------------------------------------------------------------------ batches


def test_off_sync_windows_are_off():
    rng = np.random.default_rng(0)
    mels = rng.uniform(-4, 4, (6, 80, 16)).astype(np.float32)
    mels[4:] = -4  # two silences
    starts = np.array([0, 3, 5, 20, 40, 60])
    off = sampling.off_sync(starts, mels, least_shift=4, least_difference=0.6)
    assert (off == off.T).all()
    assert not off.diagonal().any()
    wanted = {
        (a, b) for a in range(6) for b in range(6) if abs(starts[a] - starts[b]) >= 4 and (a, b) not in {(4, 5), (5, 4)}
    }
    assert {tuple(pair) for pair in np.argwhere(off)} == wanted


def test_the_experts_pairs_are_what_they_are_called(clips):
    recipe = SyncExpertRecipe(schedule(1), 0.1, clips=3, windows=5)
    batch = expert.SyncExpertTask(recipe, clips).batch(np.random.default_rng(1), 0)
    assert batch["faces"].shape == (3, 5, 5, 96, 96, 3)
    assert batch["off"].any()
    for group in range(3):
        for a, b in np.argwhere(batch["off"][group]):
            assert np.sqrt(np.mean((batch["mels"][group, a] - batch["mels"][group, b]) ** 2)) > 0.3
    for clip, starts, own, other in expert.pairs(clips, 3, 6, 4, 0.6):
        assert len(starts) == len(own) == len(other)
        np.testing.assert_array_equal(clip.windows(starts), own)
        sounds = clip.windows(np.arange(len(clip) - 4))
        for start, wrong in zip(starts, other, strict=True):
            [from_where] = [at for at, sound in enumerate(sounds) if np.array_equal(sound, wrong)]
            assert abs(from_where - start) >= 4
            assert np.sqrt(np.mean((wrong - sounds[start]) ** 2)) >= 0.6


def test_only_sounds_that_are_off_sync_stand_for_choice():
    rng = np.random.default_rng(3)
    similarity = torch.from_numpy(rng.uniform(0, 1, (2, 4, 4)).astype(np.float32))
    off = torch.ones(2, 4, 4, dtype=torch.bool) & ~torch.eye(4, dtype=torch.bool)
    off[0, 1, 2] = off[0, 2, 1] = False
    off[1, 3, :3] = off[1, :3, 3] = False  # nothing to choose from: no loss
    wanted = []
    for group in range(2):
        for row in range(4):
            among = [row, *np.flatnonzero(off[group, row]).tolist()]
            for values in (similarity[group, row], similarity[group, :, row]):
                shares = np.exp(values.numpy()[among] / 0.1)
                wanted.append(-np.log(shares[0] / shares.sum()))
    assert float(expert.contrastive_loss(similarity, off)) == pytest.approx(np.mean(wanted), rel=1e-4)


# ------------------------------------------------------------------------------------------------------- measurements


def test_auc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40), rng.integers(0, 7, 30)
    wanted = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
    assert expert.auc(a, b) == pytest.approx(wanted)
