"""The mouth-openness regressor: height of the gap between the lips, from the pixels of a face crop.

It measures generators, so it is trained on ground truth only and never on their output. Its agreement with ground truth
is measured on held-out characters, also on blurred faces, before its readings are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from lipsync_lab.metrics import openness
from lipsync_lab.models.mouth_openness import UNIT, MouthOpennessNet
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.loop import pixels, seeded
from lipsync_lab.training.recipes import MouthOpennessRecipe
from lipsync_lab.training.sampling import ClipSampler, augment_faces

_CHECKED = 64
#: Gaps in pixels of the crop below which a mouth is closed, and from which it is open, in the ground truth.
_CLOSED_GAP, _OPEN_GAP = 0.2, 2.0


class MouthOpennessTask:
    """Task of the mouth-openness regressor; see `loop.Task`."""

    kind = "mouth_openness"

    def __init__(self, recipe: MouthOpennessRecipe, clips: Sequence[Clip], held_out: Sequence[Clip] = ()):
        self.recipe = recipe
        self.sampler = ClipSampler(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        self.networks = {self.kind: seeded(lambda: MouthOpennessNet(recipe.width), recipe.schedule.seed)}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        faces, gaps = [], []
        for _ in range(self.recipe.faces):
            clip = self.sampler.clip(rng)
            at = int(rng.integers(len(clip)))
            before = np.array([[0, 0, 0, clip.gap[at]]], np.float32)  # the height of this box follows the gap
            face, after = augment_faces(clip.faces[at : at + 1], before, rng)
            faces.append(blurred(face[0], rng.uniform(0, 1.6)) if rng.random() < 0.5 else face[0])
            gaps.append(after[0, 3] - after[0, 1])
        return {"faces": np.stack(faces), "gaps": np.array(gaps, np.float32)}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        gaps = self.networks[self.kind](pixels(batch["faces"])).float()
        loss = nn.functional.smooth_l1_loss(gaps, batch["gaps"] / UNIT, beta=0.1)
        yield self.kind, loss, {"loss": loss}

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return agreement(networks[self.kind], self.held_out) if self.held_out else {}


def blurred(face: np.ndarray, sigma: float) -> np.ndarray:
    """Return a face, uint8 RGB, after a Gaussian blur of `sigma` pixels."""
    import cv2

    return cv2.GaussianBlur(face, (0, 0), sigma) if sigma > 0.1 else face


def agreement(network: nn.Module, clips: Sequence[Clip], sigma: float = 0.0) -> dict[str, float]:
    """Measure the agreement of the regressor with ground truth.

    Parameters
    ----------
    network : MouthOpennessNet
        In evaluation mode.
    clips : sequence of Clip
        Frames without a known gap are left out.
    sigma : float
        Gaussian blur of the faces, in pixels.

    Returns
    -------
    dict
        ``correlation``: Pearson's r of reading and gap within a clip, mean over clips. ``error``: mean absolute error
        in pixels of the crop. ``closed_recall``: share of closed mouths (gap below 0.2 pixels) with a reading below
        `metrics.openness.CLOSED_BY_NETWORK` of the clip's range; ``open_recall``: share of open mouths (2 pixels or
        more) with a reading of at least that. NaN where there are no such frames.
    """
    correlations, readings, shares, gaps = [], [], [], []
    for clip in clips:
        known = np.flatnonzero(~np.isnan(clip.gap))
        if len(known) < 2:
            continue
        reading = openness.read(np.stack([blurred(face, sigma) for face in clip.faces[known]]), network)
        correlations.append(correlation(reading, clip.gap[known]))
        readings.append(reading)
        shares.append(openness.in_range(reading, reading))
        gaps.append(clip.gap[known])
    if not gaps:
        return dict.fromkeys(("correlation", "error", "closed_recall", "open_recall"), np.nan)
    reading, share, gap = (np.concatenate(values) for values in (readings, shares, gaps))
    is_closed, is_open = (
        share[gap < _CLOSED_GAP] < openness.CLOSED_BY_NETWORK,
        share[gap >= _OPEN_GAP] >= openness.CLOSED_BY_NETWORK,
    )
    return {
        "correlation": float(np.nanmean(correlations)) if np.isfinite(correlations).any() else np.nan,
        "error": float(np.abs(reading - gap).mean()),
        "closed_recall": float(is_closed.mean()) if len(is_closed) else np.nan,
        "open_recall": float(is_open.mean()) if len(is_open) else np.nan,
    }


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's r of two arrays; NaN if one of them is constant."""
    if np.ptp(a) < 1e-6 or np.ptp(b) < 1e-6:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])
