"""The visual quality discriminator by itself: real faces against generated ones and against spoilt ones.

Beside a generator it learns to tell the two apart (`generator`). As a judge of pictures it must also fall the further
a picture is spoilt, so it is trained on faults of known strength too, and told how strong they were. It sees lower
halves alone: a colour shift is one against the rest of the half.
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
from lipsync_lab.training.generator import draw, fresh_judge
from lipsync_lab.training.loop import device_of, pixels, tensor
from lipsync_lab.training.recipes import QualityRecipe
from lipsync_lab.training.sampling import Choice, heard, reference, seen

FAULTS = ("blur", "seam", "colour")
#: Strengths at which faults are measured; 0 is the face as it was.
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: The part of the face that a fault lies on, in pixels of the crop: what a generator draws (x1, y1, x2, y2).
_PATCH = (14, 50, 82, 94)
_CHECKED, _AT_ONCE = 64, 128


def spoilt(face: np.ndarray, fault: str, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A face with one fault.

    Parameters
    ----------
    face : ndarray, uint8, (96, 96, 3)
        RGB.
    fault : {"blur", "seam", "colour"}
        The patch round the mouth out of focus (up to 3 pixels); moved against its surroundings with a hard edge (up to
        6 pixels); or of another tint (up to 45 levels).
    strength : float
        0 leaves the face as it is, 1 is a fault that nobody overlooks.

    Returns
    -------
    ndarray, uint8, (96, 96, 3)
    """
    import cv2

    if fault not in FAULTS:
        raise ParameterError(f"there is no fault {fault!r}; take {', '.join(FAULTS)}")
    x1, y1, x2, y2 = (int(edge + rng.integers(-6, 7)) for edge in _PATCH)
    y1, y2 = max(y1, FACE_SIZE // 2), min(y2, FACE_SIZE)
    out = face.copy()
    if strength <= 0:
        return out
    if fault == "blur":
        changed = cv2.GaussianBlur(face, (0, 0), 0.3 + 2.7 * strength)
    elif fault == "seam":
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


class QualityTask:
    """See `loop.Task`.

    Parameters
    ----------
    recipe : QualityRecipe
    clips, held_out : sequence of Clip
    generator : Wav2Lip
        Trained; what it draws is what has to be told from real faces.
    lead : int
        Frames by which its mel windows start early.
    """

    kind = "quality"

    def __init__(
        self,
        recipe: QualityRecipe,
        clips: Sequence[Clip],
        held_out: Sequence[Clip] = (),
        generator: nn.Module | None = None,
        lead: int = 1,
    ):
        self.recipe, self.lead = recipe, lead
        self.choice = Choice(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        self.generator = None if generator is None else generator.eval().requires_grad_(False)
        self.networks = {"quality": fresh_judge(recipe.width, recipe.schedule.seed)}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        real, broken, strengths, others, mels = [], [], [], [], []
        for _ in range(self.recipe.faces):
            clip = self.choice.clip(rng)
            at = int(rng.integers(len(clip)))
            # whether the picture as a whole is soft or noisy is the clip's affair: no mirrored copy is resampled
            pair, _ = seen(clip.faces[[at, reference(rng, len(clip), at, 1)]], np.zeros((2, 4)), rng)
            # sounds of any moment: what is judged is the picture
            mels.append(heard(clip.windows([int(rng.integers(len(clip)))], self.lead), rng)[0])
            strength = float(rng.uniform(0.1, 1.0))
            broken.append(spoilt(pair[0], FAULTS[rng.integers(len(FAULTS))], strength, rng))
            strengths.append(strength)
            real.append(pair[0])
            others.append(pair[1])
        found = {"real": real, "spoilt": broken, "other": others, "mels": mels}
        return {name: np.stack(some) for name, some in found.items()} | {"strength": np.array(strengths, np.float32)}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        judge = self.networks["quality"]
        real = log_loss(judge(pixels(batch["real"]).unsqueeze(2)), 1.0).mean()
        # a fault of half the strength is half as unreal: the ranking of strengths is part of what is learnt
        chance = judge(pixels(batch["spoilt"]).unsqueeze(2))
        broken = log_loss(chance, (1 - batch["strength"]).clamp(min=0)[:, None]).mean()
        numbers = {"real": real, "spoilt": broken}
        if self.generator is not None:
            with torch.no_grad():
                target, other = pixels(batch["real"]), pixels(batch["other"])
                hidden = target.clone()
                hidden[:, :, FACE_SIZE // 2 :] = 0
                drawn = self.generator(batch["mels"].unsqueeze(1), torch.cat((hidden, other), dim=1)).float()
            numbers["generated"] = log_loss(judge(drawn.unsqueeze(2)), 0.0).mean()
        loss = sum(numbers.values()) / len(numbers)
        yield "quality", loss, {"loss": loss, **numbers}

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if not self.held_out:
            return {}
        found = falls(networks["quality"], self.held_out, of_clip=2)
        numbers = {fault: scores[0] - scores[-1] for fault, scores in found.items()}
        if self.generator is not None:
            numbers["auc"] = against(networks["quality"], self.generator, self.held_out, self.lead, of_clip=2)
        return numbers


def judged(network: nn.Module, faces: np.ndarray) -> np.ndarray:
    """The network's opinion of faces uint8 RGB (N, 96, 96, 3): float32 (N,), 1 for real."""
    device, found = device_of(network), []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            some = tensor(faces[first : first + _AT_ONCE], device)
            found.append(network(pixels(some).unsqueeze(2)).float().cpu().numpy()[:, 0])
    return np.concatenate(found)


def against(network: nn.Module, generator: nn.Module, clips: Sequence[Clip], lead: int, of_clip: int = 6) -> float:
    """Chance that a real face is thought better than a generated one, on faces of these clips."""
    real, drawn = [], []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([11, number])
        index = rng.choice(len(clip), size=min(of_clip, len(clip)), replace=False)
        others = np.array([reference(rng, len(clip), int(at), 1) for at in index])
        real.append(clip.faces[index])
        drawn.append(draw(generator, clip.faces[index], clip.faces[others], clip.windows(index, lead)))
    return auc(judged(network, np.concatenate(real)), judged(network, np.concatenate(drawn)))


def falls(network: nn.Module, clips: Sequence[Clip], of_clip: int = 4) -> dict[str, list[float]]:
    """Mean opinion of faces of these clips under each fault, at each of `STRENGTHS`."""
    faces = np.concatenate(
        [
            clip.faces[np.sort(np.random.default_rng([13, number]).choice(len(clip), min(of_clip, len(clip)), False))]
            for number, clip in enumerate(clips)
        ]
    )
    return {
        fault: [
            float(
                judged(
                    network,
                    # one seed for all strengths: the same place and direction, only stronger
                    np.stack(
                        [
                            spoilt(face, fault, strength, np.random.default_rng([17, at]))
                            for at, face in enumerate(faces)
                        ]
                    ),
                ).mean()
            )
            for strength in STRENGTHS
        ]
        for fault in FAULTS
    }
