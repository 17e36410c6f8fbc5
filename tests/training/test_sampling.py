"""Batches out of clips."""

from __future__ import annotations

import numpy as np
import pytest
from training_material import made_clip

from lipsync_lab.errors import ParameterError
from lipsync_lab.training import (
    sampling,
)


def test_a_reference_is_another_frame_of_the_clip():
    for frames in (1, 5):
        starts = {sampling.reference(np.random.default_rng(seed), 12, 4, frames) for seed in range(300)}
        assert starts == set(range(12 - frames + 1)) - {4}


def test_augmented_faces_move_with_their_boxes():
    face = np.full((1, 96, 96, 3), 255, np.uint8)
    face[0, 60:72, 20:44] = 0
    moved = False
    for seed in range(40):
        faces, boxes = sampling.augment_faces(face, np.array([[20, 60, 44, 72]]), np.random.default_rng(seed))
        rows, columns = np.nonzero(faces[0].mean(axis=2) < 90)
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(boxes[0], edges, atol=1.6)
        moved |= bool(np.abs(boxes[0] - (20, 60, 44, 72)).max() > 5)
    assert moved
    assert (face[0, 60:72, 20:44] == 0).all()


def test_silence_stays_silence_however_it_is_heard():
    mels = np.full((2, 80, 16), -4, np.float32)
    mels[1] = 1
    values = {float(sampling.augment_mels(mels, np.random.default_rng(seed))[1, 0, 0]) for seed in range(9)}
    assert len(values) == 9
    assert all((sampling.augment_mels(mels, np.random.default_rng(seed))[0] == -4).all() for seed in range(9))
    assert (mels[1] == 1).all()


def test_another_throat_has_its_resonances_elsewhere():
    mels = np.full((1, 80, 16), -2, np.float32)
    mels[:, 38:43] = 2
    peaks = [int(sampling.augment_mels(mels, np.random.default_rng(seed))[0, :, 0].argmax()) for seed in range(60)]
    assert min(peaks) in range(34, 38)
    assert max(peaks) in range(41, 48)


def test_between_two_bands_the_throat_goes_straight():
    class Given:
        """A throat longer by a twentieth, before a microphone that changes nothing."""

        def __init__(self):
            self.drawn = iter((0.95, 0.0, 0.0))

        def random(self):
            return 0.0

        def uniform(self, low, high):
            return next(self.drawn)

    bands = np.arange(80)
    mels = np.random.default_rng(0).uniform(-3, 3, (2, 80, 16)).astype(np.float32)
    wanted = [[np.interp(bands * 0.95, bands, column) for column in window.T] for window in mels]
    np.testing.assert_allclose(sampling.augment_mels(mels, Given()), np.swapaxes(wanted, 1, 2), atol=1e-5)


def test_clips_are_drawn_by_their_kinds_share(clips):
    mixed = [*clips, made_clip(9, 30, "live_action", "p")]
    sampler = sampling.ClipSampler(mixed, {"animation": 0.25, "live_action": 0.75, "synthetic_photo": 1.0})
    rng = np.random.default_rng(0)
    share = np.mean([sampler.clip(rng).domain == "live_action" for _ in range(600)])
    assert 0.68 < share < 0.82
    with pytest.raises(ParameterError, match="no clips of"):
        sampling.ClipSampler([made_clip(0, 9)], {"animation": 1.0})
