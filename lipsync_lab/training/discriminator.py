"""The visual quality discriminator by itself: real faces against generated and against degraded ones.

Beside a generator (`generator`) it only learns to separate real from generated faces. As a metric it must also fall
monotonically with the strength of an artifact, so that it is trained here on artifacts of known strength too, with the
strength as its target. Its input is the lower half of the face: a colour shift is one against the rest of that half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.expert import auc, log_loss
from lipsync_lab.training.generator import generate, initial_discriminator, masked_pair
from lipsync_lab.training.loop import device_of, pixels, tensor
from lipsync_lab.training.recipes import DiscriminatorRecipe
from lipsync_lab.training.sampling import ClipSampler, augment_faces, augment_mels, reference

ARTIFACTS = ("sharpness_loss", "boundary_artifact", "colour_shift")
#: Strengths at which the response to artifacts is measured; 0 is the unchanged face.
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: The changed part of the face, about what a generator draws, in pixels of the crop (x1, y1, x2, y2).
_PATCH = (14, 50, 82, 94)
_CHECKED, _AT_ONCE = 64, 128


def degraded(face: np.ndarray, artifact: str, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a face with one artifact around the mouth.

    Parameters
    ----------
    face : ndarray, uint8, (96, 96, 3)
        RGB.
    artifact : {"sharpness_loss", "boundary_artifact", "colour_shift"}
        A patch around the mouth is blurred (up to 3 pixels), shifted with a hard edge (up to 6 pixels), or tinted (up
        to 45 levels).
    strength : float
        0 leaves the face as it is, 1 is an obvious artifact.

    Returns
    -------
    ndarray, uint8, (96, 96, 3)

    Raises
    ------
    ParameterError
        There is no such artifact.
    """
    import cv2

    if artifact not in ARTIFACTS:
        raise ParameterError(f"there is no artifact {artifact!r}; take {', '.join(ARTIFACTS)}")
    x1, y1, x2, y2 = (int(edge + rng.integers(-6, 7)) for edge in _PATCH)
    y1, y2 = max(y1, FACE_SIZE // 2), min(y2, FACE_SIZE)
    out = face.copy()
    if strength <= 0:
        return out
    if artifact == "sharpness_loss":
        changed = cv2.GaussianBlur(face, (0, 0), 0.3 + 2.7 * strength)
    elif artifact == "boundary_artifact":
        angle = rng.uniform(0, 2 * np.pi)
        shift = 6 * strength * np.array([np.cos(angle), np.sin(angle)])
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        changed = cv2.warpAffine(face, matrix, (FACE_SIZE, FACE_SIZE), borderMode=cv2.BORDER_REFLECT)
    else:
        tint = rng.standard_normal(3)
        tint *= 45 * strength / max(np.abs(tint).max(), 1e-6)
        changed = np.clip(face + tint, 0, 255).astype(np.uint8)
    out[y1:y2, x1:x2] = changed[y1:y2, x1:x2]
    return out


class DiscriminatorTask:
    """Task of the discriminator; see `loop.Task`.

    Parameters
    ----------
    recipe : DiscriminatorRecipe
    clips, held_out : sequence of Clip
    generator : Wav2Lip, optional
        Trained; the source of generated faces.
    audio_offset : int
        Frames by which the generator's mel windows start early.
    """

    kind = "discriminator"

    def __init__(
        self,
        recipe: DiscriminatorRecipe,
        clips: Sequence[Clip],
        held_out: Sequence[Clip] = (),
        generator: nn.Module | None = None,
        audio_offset: int = 1,
    ):
        self.recipe, self.audio_offset = recipe, audio_offset
        self.sampler = ClipSampler(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        self.generator = None if generator is None else generator.eval().requires_grad_(False)
        self.networks = {self.kind: initial_discriminator(recipe.width, recipe.schedule.seed)}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        batch: dict[str, list] = {"real": [], "degraded": [], "reference": [], "mels": [], "strength": []}
        for _ in range(self.recipe.faces):
            clip = self.sampler.clip(rng)
            at = int(rng.integers(len(clip)))
            # real and degraded face have the same augmentation, so that its softness and noise separate nothing
            pair, _ = augment_faces(clip.faces[[at, reference(rng, len(clip), at, 1)]], np.zeros((2, 4)), rng)
            # the sound of any moment: only the picture is scored
            mels = augment_mels(clip.windows([int(rng.integers(len(clip)))], self.audio_offset), rng)[0]
            strength = float(rng.uniform(0.1, 1.0))
            artifact = ARTIFACTS[rng.integers(len(ARTIFACTS))]
            values = (pair[0], degraded(pair[0], artifact, strength, rng), pair[1], mels, np.float32(strength))
            for column, value in zip(batch.values(), values, strict=True):
                column.append(value)
        return {name: np.stack(column) for name, column in batch.items()}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        network = self.networks[self.kind]
        real = log_loss(network(pixels(batch["real"]).unsqueeze(2)), 1.0).mean()
        # the target falls with the strength, so that the ranking of strengths is learnt
        chance = network(pixels(batch["degraded"]).unsqueeze(2))
        numbers = {"real": real, "degraded": log_loss(chance, (1 - batch["strength"]).clamp(min=0)[:, None]).mean()}
        if self.generator is not None:
            with torch.no_grad():
                faces = masked_pair(pixels(batch["real"]), pixels(batch["reference"]))
                generated = self.generator(batch["mels"].unsqueeze(1), faces).float()
            numbers["generated"] = log_loss(network(generated.unsqueeze(2)), 0.0).mean()
        loss = sum(numbers.values()) / len(numbers)
        yield self.kind, loss, {"loss": loss, **numbers}

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if not self.held_out:
            return {}
        network = networks[self.kind]
        scores = response(network, self.held_out, of_clip=2)
        numbers = {artifact: values[0] - values[-1] for artifact, values in scores.items()}
        if self.generator is not None:
            numbers["auc"] = auc_against_generated(network, self.generator, self.held_out, self.audio_offset, of_clip=2)
        return numbers


def realism(network: nn.Module, faces: np.ndarray) -> np.ndarray:
    """Return the discriminator's scores of faces, uint8 RGB (N, 96, 96, 3): float32 (N,), 1 for real."""
    device, scores = device_of(network), []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            batch = tensor(faces[first : first + _AT_ONCE], device)
            scores.append(network(pixels(batch).unsqueeze(2)).float().cpu().numpy()[:, 0])
    return np.concatenate(scores)


def auc_against_generated(
    network: nn.Module, generator: nn.Module, clips: Sequence[Clip], audio_offset: int, of_clip: int = 6
) -> float:
    """Return the AUC of real against generated faces, on up to `of_clip` faces of each clip."""
    real, generated = [], []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([11, number])
        index = rng.choice(len(clip), size=min(of_clip, len(clip)), replace=False)
        references = np.array([reference(rng, len(clip), int(at), 1) for at in index])
        real.append(clip.faces[index])
        mels = clip.windows(index, audio_offset)
        generated.append(generate(generator, clip.faces[index], clip.faces[references], mels))
    return auc(realism(network, np.concatenate(real)), realism(network, np.concatenate(generated)))


def response(network: nn.Module, clips: Sequence[Clip], of_clip: int = 4) -> dict[str, list[float]]:
    """Return the mean score of faces with each artifact, at each of `STRENGTHS`."""
    faces = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([13, number])
        faces.append(clip.faces[np.sort(rng.choice(len(clip), min(of_clip, len(clip)), replace=False))])
    faces = np.concatenate(faces)

    def score(artifact: str, strength: float) -> float:
        # one seed for all strengths: the same place and direction
        rngs = (np.random.default_rng([17, at]) for at in range(len(faces)))
        changed = [degraded(face, artifact, strength, rng) for face, rng in zip(faces, rngs, strict=True)]
        return float(realism(network, np.stack(changed)).mean())

    return {artifact: [score(artifact, strength) for strength in STRENGTHS] for artifact in ARTIFACTS}
