"""Estimate an upper limit of sync classification from five frames of a mouth of animation.

    python -m lipsync_lab train render --data DATA --what faces
    python benchmarks/sync_ceiling.py DATA          # some minutes

The sound encoder starts from `syncnet-lab`. In place of pixels, the other encoder has the ground truth of each frame as
input: openness and gap of the mouth, width and height of its box, as shares of the largest values of the clip. Pixels
also show teeth and tongue, which this limit ignores.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import nn

from lipsync_lab.models import registry
from lipsync_lab.training import clips as material
from lipsync_lab.training import expert
from lipsync_lab.training.loop import seeded
from lipsync_lab.training.recipes import SMALL_CPU
from lipsync_lab.training.sampling import WINDOW, augment_mels, off_sync

RECIPE, GROUPS, RATE = SMALL_CPU.sync_expert, 16, 1e-3


def ground_truth(clip: material.Clip) -> np.ndarray:
    x1, y1, x2, y2 = clip.mouth.T
    known = np.stack([clip.openness, clip.gap, x2 - x1, y2 - y1], axis=1)
    return (known / np.maximum(known.max(axis=0), 1e-3)).astype(np.float32)


def windows(clip: material.Clip, starts: np.ndarray) -> np.ndarray:
    return ground_truth(clip)[starts[:, None] + np.arange(WINDOW)].reshape(len(starts), -1)


class GroundTruthExpert(nn.Module):
    def __init__(self):
        super().__init__()
        self.sound = registry.load(registry.DEFAULTS["sync_expert"], "sync_expert").model.audio_encoder.train()
        size = self.sound[-1].conv_block[0].out_channels
        self.mouth = nn.Sequential(nn.Linear(4 * WINDOW, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        self.last = nn.Linear(256, size)

    def forward(self, mels: np.ndarray, mouths: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        audio = self.sound(torch.from_numpy(mels).unsqueeze(1)).flatten(1)
        face = self.last(self.mouth(torch.from_numpy(mouths)))
        return nn.functional.normalize(audio, dim=1), nn.functional.normalize(face, dim=1)


def train(clips: list[material.Clip], steps: int) -> GroundTruthExpert:
    network = seeded(GroundTruthExpert, 1)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        rng = np.random.default_rng([1, step])
        chosen = [clips[index] for index in rng.integers(len(clips), size=GROUPS)]
        starts = [rng.integers(len(clip) - WINDOW + 1, size=RECIPE.windows) for clip in chosen]
        sounds = [clip.windows(first) for clip, first in zip(chosen, starts, strict=True)]
        rule = RECIPE.least_shift, RECIPE.least_difference
        off = torch.from_numpy(np.stack([off_sync(*pair, *rule) for pair in zip(starts, sounds, strict=True)]))
        mouths = [windows(clip, first) for clip, first in zip(chosen, starts, strict=True)]
        audio, face = network(np.concatenate([augment_mels(sound, rng) for sound in sounds]), np.concatenate(mouths))
        audio, face = (x.view(GROUPS, RECIPE.windows, -1) for x in (audio, face))
        similarity = torch.einsum("gid,gjd->gij", face, audio)
        on = expert.log_loss(similarity.diagonal(dim1=1, dim2=2), 1.0).mean()
        loss = (on + expert.log_loss(similarity, 0.0)[off].mean()) / 2 + 0.5 * expert.contrastive_loss(similarity, off)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
    return network.eval()


@torch.inference_mode()
def measure(network: GroundTruthExpert, clips: list[material.Clip]) -> None:
    """Print accuracy and AUC on the pairs of `train benchmark sync_expert`."""
    on, off = [], []
    for clip, starts, own, other in expert.pairs(clips, 5, 6, RECIPE.least_shift, RECIPE.least_difference):
        mouths = windows(clip, starts)
        for rows, sounds in ((on, own), (off, other)):
            audio, face = network(sounds, mouths)
            rows += (audio * face).sum(dim=1).tolist()
    on, off = np.array(on), np.array(off)
    accuracy = ((on > 0.5).mean() + (off <= 0.5).mean()) / 2
    print(f"held out: accuracy {accuracy:.3f}, AUC {expert.auc(on, off):.3f}, {len(on)} windows of either class")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", metavar="DATA", help="folder with train/ and validation/")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    parts = (material.open_shards(f"{options.data}/{part}") for part in ("train", "validation"))
    training, held_out = (
        [clip for clip in part if clip.domain == "animation" and len(clip) >= 2 * WINDOW] for part in parts
    )
    measure(train(training, options.steps), held_out)


if __name__ == "__main__":
    main()
