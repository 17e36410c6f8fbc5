"""The sync expert: which sound goes with these lips (Prajwal et al. 2020, section 3.1).

Published: binary cross-entropy on the cosine similarity of one window and one sound, in sync or from elsewhere in the
same clip. Here several windows of a clip are compared with each other's sounds, so that every window is seen in sync
once and off sync often, for the same work.

That loss begins with a long plain on which both embeddings are the same for everything. Two others lead off it: which
of the clip's sounds belongs to this window (a softmax, as in InfoNCE: van den Oord et al. 2018, arXiv 1807.03748), and
how far the mouth is open in each frame, which drawn material knows and both embeddings have to contain.
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
from lipsync_lab.training.recipes import ExpertRecipe
from lipsync_lab.training.sampling import WINDOW, Choice, heard, off_sync, seen

#: Pairs of held-out windows that are judged at once, and clips that the check in training looks at.
_AT_ONCE, _CHECKED = 64, 96
#: Likenesses that differ by this much are told apart with some certainty.
_TEMPERATURE = 0.1


def log_loss(chance: Tensor, truth: Tensor | float) -> Tensor:
    """Binary cross-entropy, element by element, in float32 whatever came in."""
    chance = chance.float().clamp(1e-6, 1 - 1e-6)
    return -(truth * chance.log() + (1 - truth) * (1 - chance).log())


def chosen(likeness: Tensor, off: Tensor) -> Tensor:
    """Cross-entropy of picking each window's own sound, and each sound's own window, from those off sync with it.

    Parameters
    ----------
    likeness : Tensor, float32, (G, K, K)
        Of windows and sounds.
    off : Tensor, bool, (G, K, K)
        Symmetric, False on the diagonal.
    """
    own = torch.eye(likeness.shape[1], dtype=torch.bool, device=likeness.device)
    logits = (likeness / _TEMPERATURE).masked_fill(~(off | own), -torch.inf)
    rows = [x.log_softmax(dim=2).diagonal(dim1=1, dim2=2) for x in (logits, logits.transpose(1, 2))]
    return -(rows[0] + rows[1]).mean() / 2


def lips(faces: Tensor) -> Tensor:
    """Windows of faces, (..., 5, 96, 96, 3) uint8 RGB, to what the expert sees: (N, 15, 48, 96), BGR, lower halves."""
    return stacked(pixels(faces[..., faces.shape[-3] // 2 :, :, :]))


def stacked(halves: Tensor) -> Tensor:
    """Lower halves (N * 5, 3, 48, 96), five of a window after each other, to (N, 15, 48, 96)."""
    return halves.reshape(-1, WINDOW * 3, *halves.shape[2:])


class ExpertTask:
    """See `loop.Task`."""

    kind = "expert"

    def __init__(self, recipe: ExpertRecipe, clips: Sequence[Clip], held_out: Sequence[Clip] = ()):
        self.recipe = recipe
        self.choice = Choice(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        seed, size = recipe.schedule.seed, scaled(512, recipe.width)
        self.networks = {
            "expert": seeded(lambda: SyncNetColor(recipe.width), seed),
            # reads openness out of either embedding; thrown away in the end
            "hints": seeded(lambda: nn.ModuleList([nn.Linear(size, WINDOW), nn.Linear(size, WINDOW)]), seed),
        }

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        recipe, faces, mels, off, openness = self.recipe, [], [], [], []
        for _ in range(recipe.clips):
            clip = self.choice.clip(rng)
            starts = rng.integers(len(clip) - WINDOW + 1, size=recipe.windows)
            index = starts[:, None] + np.arange(WINDOW)
            some = clip.faces[index.ravel()]
            openness.append(clip.openness[index])
            some, _ = seen(some, np.zeros((len(some), 4)), rng)
            sounds = clip.windows(starts)
            faces.append(some.reshape(recipe.windows, WINDOW, *some.shape[1:]))
            off.append(off_sync(starts, sounds, recipe.least_shift, recipe.least_difference))
            mels.append(heard(sounds, rng))
        found = {"faces": faces, "mels": mels, "off": off, "openness": openness}
        return {name: np.stack(some) for name, some in found.items()}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        groups, count = batch["mels"].shape[:2]
        audio, face = self.networks["expert"](batch["mels"].flatten(0, 1).unsqueeze(1), lips(batch["faces"]))
        audio, face = audio.float(), face.float()
        likeness = torch.einsum("gid,gjd->gij", face.view(groups, count, -1), audio.view(groups, count, -1))
        on = log_loss(likeness.diagonal(dim1=1, dim2=2), 1.0).mean()
        off = log_loss(likeness, 0.0)[batch["off"]]
        # a batch of silences has nothing that is off sync
        off = off.mean() if len(off) else on.detach()
        plain = (on + off) / 2
        contrast, hints = chosen(likeness, batch["off"]), self._hints(audio, face, batch["openness"])
        numbers = {"loss": plain, "in_sync": on, "off_sync": off, "contrast": contrast, "hints": hints}
        yield "expert", plain + self.recipe.contrast * contrast + self.recipe.hints * hints, numbers
        yield "hints", self._hints(audio.detach(), face.detach(), batch["openness"]), {}

    def _hints(self, audio: Tensor, face: Tensor, openness: Tensor) -> Tensor:
        truth = openness.flatten(0, 1)
        known = ~truth.isnan()
        if not known.any():
            return audio.sum() * 0
        # embeddings have the length one: their numbers are small
        said = [head(8 * one).float() for head, one in zip(self.networks["hints"], (audio, face), strict=True)]
        return sum(nn.functional.smooth_l1_loss(one[known], truth[known], beta=0.1) for one in said)

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return accuracy(networks["expert"], self.held_out, self.recipe) if self.held_out else {}


def pairs(
    clips: Sequence[Clip], seed: int, of_clip: int, least_shift: int, least_difference: float
) -> Iterator[tuple[Clip, np.ndarray, np.ndarray, np.ndarray]]:
    """Windows of every clip with their own sound and with one that is off sync.

    Yields
    ------
    (clip, starts, own, other)
        First frames of the windows, int (n,), and the two sounds of each, float32 (n, 80, 16), n up to `of_clip`.
        Nothing for a clip without such a pair.
    """
    for number, clip in enumerate(clips):
        if len(clip) < 2 * WINDOW:
            continue
        rng = np.random.default_rng([seed, number])
        starts = np.arange(len(clip) - WINDOW + 1)
        sounds = clip.windows(starts)
        off = off_sync(starts, sounds, least_shift, least_difference)
        mine = rng.permutation(np.flatnonzero(off.any(axis=1)))[:of_clip]
        if len(mine):
            others = np.array([rng.choice(np.flatnonzero(off[start])) for start in mine])
            yield clip, mine, sounds[mine], sounds[others]


def likenesses(network: nn.Module, faces: np.ndarray, mels: np.ndarray) -> np.ndarray:
    """Cosine similarity of windows (N, 5, 96, 96, 3) and sounds (N, 80, 16), float32, (N,)."""
    device, found = device_of(network), []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            mel = tensor(mels[some], device).unsqueeze(1)
            audio, face = network(mel, lips(tensor(faces[some], device)))
            found.append((audio * face).sum(dim=1).float().cpu().numpy())
    return np.concatenate(found)


def accuracy(
    network: nn.Module, clips: Sequence[Clip], recipe: ExpertRecipe, *, as_published: bool = False, of_clip: int = 6
) -> dict[str, float]:
    """How well in-sync and off-sync windows are told apart, as many of the one as of the other.

    Parameters
    ----------
    network : SyncNetColor
        In evaluation mode.
    clips : sequence of Clip
    recipe : ExpertRecipe
        Says what is off sync.
    as_published : bool
        Take any other window of the clip as off sync: one that starts a frame later, or a silence against a silence,
        among them.
    of_clip : int
        Windows taken of each clip.

    Returns
    -------
    dict
        ``accuracy`` at a similarity of one half, which is where the training puts the border; ``auc``, the chance that
        an in-sync pair is liked better than an off-sync one; ``windows``, how many of either. NaN where there is none.
    """
    rule = (1, 0.0) if as_published else (recipe.least_shift, recipe.least_difference)
    found = list(pairs(clips, 5, of_clip, *rule))
    if not found:
        return {"accuracy": np.nan, "auc": np.nan, "windows": 0}
    faces = np.concatenate([clip.faces[starts[:, None] + np.arange(WINDOW)] for clip, starts, _, _ in found])
    own, other = (np.concatenate(sounds) for sounds in list(zip(*found, strict=True))[2:])
    on, off = likenesses(network, faces, own), likenesses(network, faces, other)
    return {"accuracy": float(((on > 0.5).mean() + (off <= 0.5).mean()) / 2), "auc": auc(on, off), "windows": len(on)}


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Chance that one of the first is above one of the second; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))
