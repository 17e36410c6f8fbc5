"""The discriminator's degraded faces."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.training import (
    discriminator,
)


def test_artifacts_grow_and_stay_in_the_lower_half(clips):
    face = cv2.resize(np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8), (96, 96))
    for artifact in discriminator.ARTIFACTS:
        away = [
            np.abs(
                discriminator.degraded(face, artifact, strength, np.random.default_rng(1)).astype(int) - face
            ).astype(float)
            for strength in discriminator.STRENGTHS
        ]
        assert away[0].max() == 0
        assert all(a.mean() < b.mean() for a, b in pairwise(away)), artifact
        assert all(difference[:48].max() == 0 for difference in away)
    with pytest.raises(ParameterError, match="no artifact"):
        discriminator.degraded(face, "rust", 0.5, np.random.default_rng(0))
