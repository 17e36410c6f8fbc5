"""The sync expert: similarity of lips and sound (Prajwal et al. 2020, section 3.1).

The published loss is the binary cross-entropy on the cosine similarity of a window and a sound, in sync or from another
position in the clip. Here several windows of a clip are compared with each other's sounds, so that each window occurs
once in sync and several times off sync at the same cost.

That loss begins with a long plateau with equal embeddings for all inputs. Two auxiliary losses shorten it: a softmax
over the sounds of the clip (as in InfoNCE: van den Oord et al. 2018, arXiv 1807.03748), and a regression of the mouth
openness in each frame from either embedding, where it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lipsync_lab.models.blocks import scaled
from lipsync_lab.models.syncnet import SyncNetColor
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.loop import device_of, pixels, seeded, tensor
from lipsync_lab.training.recipes import SyncExpertRecipe
from lipsync_lab.training.sampling import WINDOW, ClipSampler, augment_faces, augment_mels, off_sync

#: Windows in a batch at inference, and clips in a check during training.
_AT_ONCE, _CHECKED = 64, 96
#: Temperature of the softmax over similarities.
_TEMPERATURE = 0.1


def log_loss(chance: Tensor, target: Tensor | float) -> Tensor:
    """Return the binary cross-entropy of each element, in float32."""
    chance = chance.float().clamp(1e-6, 1 - 1e-6)
    return -(target * chance.log() + (1 - target) * (1 - chance).log())


def contrastive_loss(similarity: Tensor, off: Tensor) -> Tensor:
    """Return the cross-entropy of selecting the window's own sound, and the sound's own window, from the off-sync ones.

    Parameters
    ----------
    similarity : Tensor, float32, (G, K, K)
        Similarities of windows and sounds.
    off : Tensor, bool, (G, K, K)
        Symmetric, False on the diagonal.
    """
    own = torch.eye(similarity.shape[1], dtype=torch.bool, device=similarity.device)
    logits = (similarity / _TEMPERATURE).masked_fill(~(off | own), -torch.inf)
    rows = [x.log_softmax(dim=2).diagonal(dim1=1, dim2=2) for x in (logits, logits.transpose(1, 2))]
    return -(rows[0] + rows[1]).mean() / 2


def lower_halves(faces: Tensor) -> Tensor:
    """Convert windows of faces, (..., 5, 96, 96, 3) uint8 RGB, to lower halves, (N, 15, 48, 96) BGR."""
    return stacked(pixels(faces[..., faces.shape[-3] // 2 :, :, :]))


def stacked(halves: Tensor) -> Tensor:
    """Stack the lower halves (N * 5, 3, 48, 96) of each window to (N, 15, 48, 96)."""
    return halves.reshape(-1, WINDOW * 3, *halves.shape[2:])


class SyncExpertTask:
    """Task of the sync expert; see `loop.Task`."""

    kind = "sync_expert"

    def __init__(self, recipe: SyncExpertRecipe, clips: Sequence[Clip], held_out: Sequence[Clip] = ()):
        self.recipe = recipe
        self.sampler = ClipSampler(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        seed, size = recipe.schedule.seed, scaled(512, recipe.width)
        self.networks = {
            self.kind: seeded(lambda: SyncNetColor(recipe.width), seed),
            # regress the openness from either embedding; only used in training
            "hints": seeded(lambda: nn.ModuleList([nn.Linear(size, WINDOW), nn.Linear(size, WINDOW)]), seed),
        }

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        recipe, faces, mels, off, openness = self.recipe, [], [], [], []
        for _ in range(recipe.clips):
            clip = self.sampler.clip(rng)
            starts = rng.integers(len(clip) - WINDOW + 1, size=recipe.windows)
            index = starts[:, None] + np.arange(WINDOW)
            crops = clip.faces[index.ravel()]
            openness.append(clip.openness[index])
            crops, _ = augment_faces(crops, np.zeros((len(crops), 4)), rng)
            sounds = clip.windows(starts)
            faces.append(crops.reshape(recipe.windows, WINDOW, *crops.shape[1:]))
            off.append(off_sync(starts, sounds, recipe.least_shift, recipe.least_difference))
            mels.append(augment_mels(sounds, rng))
        batch = {"faces": faces, "mels": mels, "off": off, "openness": openness}
        return {name: np.stack(values) for name, values in batch.items()}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        groups, count = batch["mels"].shape[:2]
        audio, face = self.networks[self.kind](batch["mels"].flatten(0, 1).unsqueeze(1), lower_halves(batch["faces"]))
        audio, face = audio.float(), face.float()
        similarity = torch.einsum("gid,gjd->gij", face.view(groups, count, -1), audio.view(groups, count, -1))
        on = log_loss(similarity.diagonal(dim1=1, dim2=2), 1.0).mean()
        off = log_loss(similarity, 0.0)[batch["off"]]
        # a batch of silence has no off-sync pairs
        off = off.mean() if len(off) else on.detach()
        plain = (on + off) / 2
        contrast, hints = contrastive_loss(similarity, batch["off"]), self._hints(audio, face, batch["openness"])
        numbers = {"loss": plain, "in_sync": on, "off_sync": off, "contrast": contrast, "hints": hints}
        yield self.kind, plain + self.recipe.contrast * contrast + self.recipe.hints * hints, numbers
        yield "hints", self._hints(audio.detach(), face.detach(), batch["openness"]), {}

    def _hints(self, audio: Tensor, face: Tensor, openness: Tensor) -> Tensor:
        target = openness.flatten(0, 1)
        known = ~target.isnan()
        if not known.any():
            return audio.sum() * 0
        # embeddings have unit length, so that their numbers are small
        heads = zip(self.networks["hints"], (audio, face), strict=True)
        values = [head(8 * embedding).float() for head, embedding in heads]
        return sum(nn.functional.smooth_l1_loss(value[known], target[known], beta=0.1) for value in values)

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return accuracy(networks[self.kind], self.held_out, self.recipe) if self.held_out else {}


def pairs(
    clips: Sequence[Clip], seed: int, of_clip: int, least_shift: int, least_difference: float
) -> Iterator[tuple[Clip, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield windows of each clip with their own sound and with an off-sync one.

    Yields
    ------
    (clip, starts, own, other)
        First frames of the windows, int (n,), and the two sounds of each, float32 (n, 80, 16), n up to `of_clip`. Clips
        without such a pair are skipped.
    """
    for number, clip in enumerate(clips):
        if len(clip) < 2 * WINDOW:
            continue
        rng = np.random.default_rng([seed, number])
        starts = np.arange(len(clip) - WINDOW + 1)
        sounds = clip.windows(starts)
        off = off_sync(starts, sounds, least_shift, least_difference)
        chosen = rng.permutation(np.flatnonzero(off.any(axis=1)))[:of_clip]
        if len(chosen):
            partners = np.array([rng.choice(np.flatnonzero(off[start])) for start in chosen])
            yield clip, chosen, sounds[chosen], sounds[partners]


def similarities(network: nn.Module, faces: np.ndarray, mels: np.ndarray) -> np.ndarray:
    """Return the cosine similarities of windows (N, 5, 96, 96, 3) and sounds (N, 80, 16): float32, (N,)."""
    device, values = device_of(network), []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            mel = tensor(mels[part], device).unsqueeze(1)
            audio, face = network(mel, lower_halves(tensor(faces[part], device)))
            values.append((audio * face).sum(dim=1).float().cpu().numpy())
    return np.concatenate(values)


def accuracy(
    network: nn.Module, clips: Sequence[Clip], recipe: SyncExpertRecipe, *, as_published: bool = False, of_clip: int = 6
) -> dict[str, float]:
    """Measure the classification of in-sync and off-sync windows, in equal numbers.

    Parameters
    ----------
    network : SyncNetColor
        In evaluation mode.
    clips : sequence of Clip
    recipe : SyncExpertRecipe
        Its rule for off-sync windows is used.
    as_published : bool
        Take any other window of the clip as off sync, also one that starts a frame later, or silence against silence.
    of_clip : int
        Windows taken of each clip.

    Returns
    -------
    dict
        ``accuracy``: balanced accuracy at a similarity of 0.5; ``auc``: area under the ROC curve; ``windows``: number
        of windows of either class. NaN without windows.
    """
    rule = (1, 0.0) if as_published else (recipe.least_shift, recipe.least_difference)
    windows = list(pairs(clips, 5, of_clip, *rule))
    if not windows:
        return {"accuracy": np.nan, "auc": np.nan, "windows": 0}
    faces = np.concatenate([clip.faces[starts[:, None] + np.arange(WINDOW)] for clip, starts, _, _ in windows])
    own, other = (np.concatenate(sounds) for sounds in list(zip(*windows, strict=True))[2:])
    on, off = similarities(network, faces, own), similarities(network, faces, other)
    return {"accuracy": float(((on > 0.5).mean() + (off <= 0.5).mean()) / 2), "auc": auc(on, off), "windows": len(on)}


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Return the area under the ROC curve: the probability of `higher` > `lower`, ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))
