"""A reader of mouths: from the pixels of a face, how far its lips are apart.

It measures the generator, so it must not come from it: it learns from drawn truth alone, and is itself measured on
held-out characters, also when they are blurred, before anything that it says is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from lipsync_lab.models.mouth_openness import UNIT, MouthReader
from lipsync_lab.scoring import mouth
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.loop import pixels, seeded
from lipsync_lab.training.recipes import ReaderRecipe
from lipsync_lab.training.sampling import Choice, seen

_CHECKED = 64


class ReaderTask:
    """See `loop.Task`."""

    kind = "reader"

    def __init__(self, recipe: ReaderRecipe, clips: Sequence[Clip], held_out: Sequence[Clip] = ()):
        self.recipe = recipe
        self.choice = Choice(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        self.networks = {"reader": seeded(lambda: MouthReader(recipe.width), recipe.schedule.seed)}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        faces, gaps = [], []
        for _ in range(self.recipe.faces):
            clip = self.choice.clip(rng)
            at = int(rng.integers(len(clip)))
            before = np.array([[0, 0, 0, clip.gap[at]]], np.float32)  # height of this box follows the gap
            face, after = seen(clip.faces[at : at + 1], before, rng)
            faces.append(blurred(face[0], rng.uniform(0, 1.6)) if rng.random() < 0.5 else face[0])
            gaps.append(after[0, 3] - after[0, 1])
        return {"faces": np.stack(faces), "gaps": np.array(gaps, np.float32)}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        read = self.networks["reader"](pixels(batch["faces"])).float()
        loss = nn.functional.smooth_l1_loss(read, batch["gaps"] / UNIT, beta=0.1)
        yield "reader", loss, {"loss": loss}

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return validity(networks["reader"], self.held_out) if self.held_out else {}


def blurred(face: np.ndarray, sigma: float) -> np.ndarray:
    """A face out of focus; `sigma` in pixels."""
    import cv2

    return cv2.GaussianBlur(face, (0, 0), sigma) if sigma > 0.1 else face


def validity(network: nn.Module, clips: Sequence[Clip], sigma: float = 0.0) -> dict[str, float]:
    """How well the reader reads clips whose truth is known, blurred by `sigma` pixels.

    Returns
    -------
    dict
        ``correlation`` of reading and truth within a clip, its mean over clips; ``error``, mean absolute, in pixels;
        ``closed`` and ``open``, the shares of closed and of clearly open mouths (two pixels and more) that are read as
        such: below `scoring.mouth.CLOSED_READ` of the clip's own range, or not.
    """
    correlations, readings, shares, truths = [], [], [], []
    for clip in clips:
        known = np.flatnonzero(~np.isnan(clip.gap))
        if len(known) < 2:
            continue
        reading = mouth.read(np.stack([blurred(face, sigma) for face in clip.faces[known]]), network)
        correlations.append(correlation(reading, clip.gap[known]))
        readings.append(reading)
        shares.append(mouth.in_range(reading, reading))
        truths.append(clip.gap[known])
    if not truths:
        return dict.fromkeys(("correlation", "error", "closed", "open"), np.nan)
    reading, share, truth = (np.concatenate(some) for some in (readings, shares, truths))
    shut, wide = truth < 0.2, truth >= 2
    return {
        "correlation": float(np.nanmean(correlations)) if np.isfinite(correlations).any() else np.nan,
        "error": float(np.abs(reading - truth).mean()),
        "closed": float((share[shut] < mouth.CLOSED_READ).mean()) if shut.any() else np.nan,
        "open": float((share[wide] >= mouth.CLOSED_READ).mean()) if wide.any() else np.nan,
    }


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; NaN where one of them does not change."""
    if np.ptp(a) < 1e-6 or np.ptp(b) < 1e-6:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])
