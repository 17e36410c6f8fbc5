"""The generator: L1 loss on the face, sync loss on five frames, and optionally an adversarial loss.

As published (Prajwal et al. 2020, section 3.2), the lower half of a window of faces is masked, another window of the
same clip is the reference, and each frame has the mel window that starts one frame before it. Unlike there, the L1 loss
of the mouth box is added to that of the face.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.models.blocks import scaled
from lipsync_lab.models.wav2lip import QualityDiscriminator, Wav2Lip
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.expert import log_loss, stacked
from lipsync_lab.training.loop import device_of, pixels, seeded, tensor
from lipsync_lab.training.recipes import GeneratorRecipe
from lipsync_lab.training.sampling import WINDOW, ClipSampler, augment_faces, augment_mels, reference

#: Mouth box of faces without ground truth (x1, y1, x2, y2 of 96 pixels).
DEFAULT_MOUTH = (24.0, 58.0, 72.0, 90.0)
#: Margin in pixels around the mouth box.
_AROUND = 3.0
_CHECKED, _AT_ONCE = 48, 32
#: Share of the references with the upper half of the target. At inference the reference is the frame itself. In a hold,
#: frames with equal upper halves have equal mouths, so that otherwise the generator learns to copy the reference.
_SAME_ABOVE = 0.5
#: References to choose from.
_CANDIDATES = 4


class GeneratorTask:
    """Task of the generator; see `loop.Task`.

    Parameters
    ----------
    recipe : GeneratorRecipe
    clips, held_out : sequence of Clip
    sync_expert : SyncNetColor, optional
        Trained; its weights are fixed. Without it the weight of the sync loss must be 0.
    discriminator : QualityDiscriminator, optional
        Its initial weights, of the recipe's `discriminator_width`; random ones if not given.
    """

    kind = "generator"

    def __init__(
        self,
        recipe: GeneratorRecipe,
        clips: Sequence[Clip],
        held_out: Sequence[Clip] = (),
        sync_expert: nn.Module | None = None,
        discriminator: nn.Module | None = None,
    ):
        self.recipe = recipe
        self.sampler = ClipSampler(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        self.sync_expert = None if sync_expert is None else sync_expert.eval().requires_grad_(False)
        seed = recipe.schedule.seed
        self.networks = {"generator": seeded(lambda: Wav2Lip(recipe.width), seed)}
        if recipe.hints:
            # regresses the openness from the embedding of the sound; only used in training
            self.networks["hints"] = seeded(lambda: nn.Linear(scaled(512, recipe.width), 1), seed)
        if recipe.adversarial:
            own = self.networks["discriminator"] = initial_discriminator(recipe.discriminator_width, seed)
            if discriminator is not None:
                own.load_state_dict(discriminator.state_dict())

    def in_second_phase(self, step: int) -> bool:
        """Return whether the step has the sync and adversarial losses."""
        has_losses = (self.sync_expert is not None and self.recipe.sync > 0) or self.recipe.adversarial > 0
        return has_losses and step >= self.recipe.sync_from * self.recipe.schedule.steps

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        frames = WINDOW if self.in_second_phase(step) and self.recipe.sync else 1
        parts = [self._window(rng, frames) for _ in range(max(self.recipe.faces // frames, 1))]
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}

    def _window(self, rng, frames: int) -> dict[str, np.ndarray]:
        clip = self.sampler.clip(rng)
        start = int(rng.integers(len(clip) - frames + 1))
        index = np.arange(frames)
        other = _unlike(clip, rng, start, frames)
        faces = np.concatenate([clip.faces[start + index], clip.faces[other + index]])
        boxes = np.where(np.isnan(clip.mouth[start + index]), np.float32(DEFAULT_MOUTH), clip.mouth[start + index])
        faces, boxes = augment_faces(faces, np.concatenate([boxes, boxes]), rng)
        if rng.random() < _SAME_ABOVE:
            faces[frames:, : FACE_SIZE // 2] = faces[:frames, : FACE_SIZE // 2]
        # the same augmentation for the generator's and the sync expert's input
        mels = augment_mels(
            np.concatenate([clip.windows(start + index, self.recipe.audio_offset), clip.windows([start])]), rng
        )
        return {
            "target": faces[:frames],
            "reference": faces[frames:],
            "mouth": boxes[:frames],
            "openness": clip.openness[start + index],
            "mels": mels[:frames],
            "sync_mel": mels[frames],
        }

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        recipe, numbers, network = self.recipe, {}, self.networks["generator"]
        if self.in_second_phase(step) and recipe.sync_from > 0:
            # a small batch, or five frames of each of a few clips, has no representative means and variances
            _freeze_statistics(network)
        sync = recipe.sync if self.in_second_phase(step) and self.sync_expert is not None else 0.0
        adversarial = recipe.adversarial if self.in_second_phase(step) else 0.0
        target, mels = pixels(batch["target"]), batch["mels"].flatten(0, 1).unsqueeze(1)
        openness, discriminator = batch["openness"].flatten(), self.networks.get("discriminator")
        embedded = []
        with network.audio_encoder.register_forward_hook(lambda _, __, embedding: embedded.append(embedding)):
            generated = network(mels, masked_pair(target, pixels(batch["reference"]))).float()
        difference = (generated - target).abs()
        inside = box_mask(batch["mouth"].flatten(0, 1))
        numbers["l1"] = difference.mean()
        numbers["mouth_l1"] = (difference * inside).sum() / (3 * inside.sum()).clamp(min=1)
        loss = (1 - sync - adversarial) * (numbers["l1"] + recipe.mouth * numbers["mouth_l1"])
        if recipe.hints:
            embedded = embedded[0].flatten(1).float()
            numbers["hints"] = self._hints(embedded, openness)
            loss = loss + recipe.hints * numbers["hints"]
        if sync:
            audio, face = self.sync_expert(batch["sync_mel"].unsqueeze(1), stacked(generated[:, :, FACE_SIZE // 2 :]))
            numbers["sync"] = log_loss((audio.float() * face.float()).sum(dim=1), 1.0).mean()
            loss = loss + sync * numbers["sync"]
        if adversarial:
            with torch.no_grad():
                wanted, _ = scored(discriminator, target)
            features, score = scored(discriminator, generated)
            numbers["perceptual"] = log_loss(score, 1.0).mean()
            pairs = zip(features, wanted, strict=True)
            numbers["features"] = torch.stack([(g - w).abs().mean() / w.abs().mean() for g, w in pairs]).mean()
            loss = loss + adversarial * numbers["perceptual"] + recipe.features * numbers["features"]
        yield "generator", loss, numbers
        if recipe.hints:
            yield "hints", self._hints(embedded.detach(), openness), {}
        if adversarial:
            real, false = (scored(discriminator, faces)[1] for faces in (target, generated.detach()))
            loss = (log_loss(real, 1.0).mean() + log_loss(false, 0.0).mean()) / 2
            yield "discriminator", loss, {"discriminator": loss}

    def _hints(self, embedded: Tensor, openness: Tensor) -> Tensor:
        known = ~openness.isnan()
        if not known.any():
            return self.networks["hints"](embedded).float().sum() * 0
        predicted = self.networks["hints"](embedded[known]).float()[:, 0]
        return nn.functional.smooth_l1_loss(predicted, openness[known], beta=0.1)

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if not self.held_out:
            return {}
        return reconstruction(networks["generator"], self.held_out, self.recipe.audio_offset, of_clip=4)


def _unlike(clip: Clip, rng: np.random.Generator, start: int, frames: int) -> int:
    """Return the first frame of a reference: of a few random ones that with the least similar mouth.

    At inference the reference shows the mouth of another sound. With a sharp reference that is often alike, the
    adversarial loss teaches the generator to copy it whatever the sound.
    """
    x1, y1, x2, y2 = (int(side) for side in DEFAULT_MOUTH)
    choices = [reference(rng, len(clip), start, frames) for _ in range(_CANDIDATES)]
    mouths = [clip.faces[other, y1:y2, x1:x2].astype(np.int16) for other in choices]
    own = clip.faces[start, y1:y2, x1:x2]
    return choices[int(np.argmax([np.abs(mouth - own).mean() for mouth in mouths]))]


def scored(discriminator: QualityDiscriminator, faces: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the outputs of the discriminator's layers but the last, and its scores, (N, 1).

    The difference of these outputs is the feature matching loss of Wang et al. 2018 (arXiv 1711.11585): unlike the L1
    loss of pixels, it does not prefer the mean of the possible mouths.
    """
    x, layers = faces[:, :, FACE_SIZE // 2 :], []
    for block in discriminator.face_encoder_blocks:
        x = block(x)
        layers.append(x.float())
    return layers[:-1], discriminator.binary_pred(x).flatten(1)


def initial_discriminator(width: float, seed: int) -> nn.Module:
    """Return a discriminator with Kaiming initialisation.

    It has no normalisation layers, so that with torch's default initialisation its output is constant for thousands of
    steps.
    """

    def make() -> nn.Module:
        network = QualityDiscriminator(width)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.01, nonlinearity="leaky_relu")
                nn.init.zeros_(layer.bias)
        return network

    return seeded(make, seed)


def _freeze_statistics(network: nn.Module) -> None:
    """Use the running means and variances of batch norms, and leave them unchanged."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def masked_pair(target: Tensor, reference: Tensor) -> Tensor:
    """Return the generator's input, (N, 6, 96, 96): the face with its lower half black, and the reference."""
    hidden = target.clone()
    hidden[:, :, FACE_SIZE // 2 :] = 0
    return torch.cat((hidden, reference), dim=1)


def box_mask(boxes: Tensor) -> Tensor:
    """Return masks (N, 1, 96, 96) that are 1 in the boxes (N, 4) with a margin, and 0 elsewhere."""
    at = torch.arange(FACE_SIZE, device=boxes.device) + 0.5
    x1, y1, x2, y2 = (boxes[:, side, None] for side in range(4))
    across = (at > x1 - _AROUND) & (at < x2 + _AROUND)
    down = (at > y1 - _AROUND) & (at < y2 + _AROUND)
    return (down[:, None, :, None] & across[:, None, None, :]).float()


def generate(network: nn.Module, faces: np.ndarray, references: np.ndarray, mels: np.ndarray) -> np.ndarray:
    """Generate faces, uint8 RGB (N, 96, 96, 3), from faces and references of that shape and mel windows (N, 80, 16)."""
    device, out = device_of(network), []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            face, other = (pixels(tensor(x[part], device)) for x in (faces, references))
            mel = tensor(mels[part], device).unsqueeze(1)
            generated = network(mel, masked_pair(face, other)).float().clamp(0, 1) * 255
            out.append(generated.flip(1).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy())
    return np.concatenate(out)


def reconstruction(network: nn.Module, clips: Sequence[Clip], audio_offset: int, of_clip: int = 8) -> dict[str, float]:
    """Measure the reconstruction of masked faces, on clips with known mouth boxes.

    Parameters
    ----------
    network : Wav2Lip
        In evaluation mode.
    clips : sequence of Clip
    audio_offset : int
        Frames by which mel windows start early.
    of_clip : int
        Frames of each clip, each with another frame of it as reference.

    Returns
    -------
    dict
        Mean absolute differences, 0 to 1: ``l1`` in the lower half, ``mouth_l1`` in the mouth box, and
        ``mouth_l1_reference`` in the mouth box if the reference were pasted. NaN if no mouth box is known.
    """
    rows = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([7, number])
        known = np.flatnonzero(~np.isnan(clip.mouth[:, 0]))
        if len(known) < 2 * WINDOW:
            continue
        index = rng.choice(known, size=min(of_clip, len(known)), replace=False)
        partners = np.array([reference(rng, len(clip), int(at), 1) for at in index])
        faces, references = clip.faces[index], clip.faces[partners]
        generated = generate(network, faces, references, clip.windows(index, audio_offset))
        inside = box_mask(torch.from_numpy(clip.mouth[index])).numpy()[:, 0, :, :, None] > 0
        for at in range(len(index)):
            differences = [cv2.absdiff(x[at], faces[at]) / 255 for x in (generated, references)]
            mouth = np.broadcast_to(inside[at], faces[at].shape)
            lower = differences[0][FACE_SIZE // 2 :].mean()
            rows.append((lower, *(difference[mouth].mean() for difference in differences)))
    means = np.mean(rows, axis=0).tolist() if rows else [np.nan] * 3
    return dict(zip(("l1", "mouth_l1", "mouth_l1_reference"), means, strict=True))
