"""The generator: L1 on the face, the expert's opinion of five frames, and when asked a discriminator of pictures.

As published (Prajwal et al. 2020, section 3.2): the lower half of a window of faces is blacked out, another window of
the same clip is the reference, and each frame has the mel window that starts one frame before it. The mouth has an L1
of its own beside the face's.
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
from lipsync_lab.training.sampling import WINDOW, Choice, heard, reference, seen

#: Where the mouth of a filmed face is looked for: nobody has measured it (x1, y1, x2, y2 of 96 pixels).
FILM_MOUTH = (24.0, 58.0, 72.0, 90.0)
#: Pixels that count for the mouth round its box.
_AROUND = 3.0
_CHECKED, _AT_ONCE = 48, 32
#: Share of the references that get the target's upper half. At inference the reference is the frame itself; in a held
#: drawing two frames with the same upper half have the same mouth, and without this the generator learns to copy it.
_SAME_ABOVE = 0.5


class GeneratorTask:
    """See `loop.Task`.

    Parameters
    ----------
    recipe : GeneratorRecipe
    clips, held_out : sequence of Clip
    expert : SyncNetColor, optional
        Trained; stays as it is. Without one the expert's weight must be 0.
    """

    kind = "generator"

    def __init__(self, recipe, clips: Sequence[Clip], held_out: Sequence[Clip] = (), expert: nn.Module | None = None):
        self.recipe: GeneratorRecipe = recipe
        self.choice = Choice(clips, recipe.mix)
        self.held_out = held_out[:_CHECKED]
        self.expert = None if expert is None else expert.eval().requires_grad_(False)
        seed = recipe.schedule.seed
        self.networks = {"generator": seeded(lambda: Wav2Lip(recipe.width), seed)}
        if recipe.hints:
            # reads openness out of the sound's embedding; thrown away in the end
            self.networks["hints"] = seeded(lambda: nn.Linear(scaled(512, recipe.width), 1), seed)
        if recipe.quality:
            self.networks["quality"] = fresh_judge(recipe.quality_width, seed)

    def synced(self, step: int) -> bool:
        """Whether the step is one of those in which expert and discriminator have a say."""
        judged = (self.expert is not None and self.recipe.sync > 0) or self.recipe.quality > 0
        return judged and step >= self.recipe.sync_from * self.recipe.schedule.steps

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        frames = WINDOW if self.synced(step) else 1
        parts = [self._window(rng, frames) for _ in range(max(self.recipe.faces // frames, 1))]
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}

    def _window(self, rng, frames: int) -> dict[str, np.ndarray]:
        clip = self.choice.clip(rng)
        start = int(rng.integers(len(clip) - frames + 1))
        other = reference(rng, len(clip), start, frames)
        index = np.arange(frames)
        faces = np.concatenate([clip.faces[start + index], clip.faces[other + index]])
        boxes = np.where(np.isnan(clip.mouth[start + index]), np.float32(FILM_MOUTH), clip.mouth[start + index])
        faces, boxes = seen(faces, np.concatenate([boxes, boxes]), rng)
        if rng.random() < _SAME_ABOVE:
            faces[frames:, : FACE_SIZE // 2] = faces[:frames, : FACE_SIZE // 2]
        # what is drawn from and what is judged by sound alike
        mels = heard(np.concatenate([clip.windows(start + index, self.recipe.lead), clip.windows([start])]), rng)
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
        if self.synced(step) and recipe.sync_from > 0:
            # few clips are in such a batch, five frames of each: its means and variances would be theirs alone
            _keep_statistics(network)
        sync = recipe.sync if self.synced(step) and self.expert is not None else 0.0
        quality = recipe.quality if self.synced(step) else 0.0
        target, mels = pixels(batch["target"]), batch["mels"].flatten(0, 1).unsqueeze(1)
        openness, judge = batch["openness"].flatten(), self.networks.get("quality")
        embedded = []
        with network.audio_encoder.register_forward_hook(lambda _, __, embedding: embedded.append(embedding)):
            drawn = network(mels, masked_pair(target, pixels(batch["reference"]))).float()
        away = (drawn - target).abs()
        inside = within(batch["mouth"].flatten(0, 1))
        numbers["l1"] = away.mean()
        numbers["mouth"] = (away * inside).sum() / (3 * inside.sum()).clamp(min=1)
        loss = (1 - sync - quality) * (numbers["l1"] + recipe.mouth * numbers["mouth"])
        if recipe.hints:
            embedded = embedded[0].flatten(1).float()
            numbers["hints"] = self._hints(embedded, openness)
            loss = loss + recipe.hints * numbers["hints"]
        if sync:
            audio, face = self.expert(batch["sync_mel"].unsqueeze(1), stacked(drawn[:, :, FACE_SIZE // 2 :]))
            numbers["sync"] = log_loss((audio.float() * face.float()).sum(dim=1), 1.0).mean()
            loss = loss + sync * numbers["sync"]
        if quality:
            numbers["perceptual"] = log_loss(judge(drawn.unsqueeze(2)), 1.0).mean()
            loss = loss + quality * numbers["perceptual"]
        yield "generator", loss, numbers
        if recipe.hints:
            yield "hints", self._hints(embedded.detach(), openness), {}
        if quality:
            real, false = (judge(faces.unsqueeze(2)) for faces in (target, drawn.detach()))
            loss = (log_loss(real, 1.0).mean() + log_loss(false, 0.0).mean()) / 2
            yield "quality", loss, {"judge": loss}

    def _hints(self, embedded: Tensor, openness: Tensor) -> Tensor:
        known = ~openness.isnan()
        if not known.any():
            return embedded.sum() * 0
        said = self.networks["hints"](embedded[known]).float()[:, 0]
        return nn.functional.smooth_l1_loss(said, openness[known], beta=0.1)

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if not self.held_out:
            return {}
        found = reconstruction(networks["generator"], self.held_out, self.recipe.lead, of_clip=4)
        return {"l1": found["l1"], "mouth": found["mouth"], "pasted": found["pasted"]}


def fresh_judge(width: float, seed: int) -> nn.Module:
    """A discriminator with first weights under which signals keep their strength.

    It has no norms, and under torch's own first weights its answer is the same for every picture until many thousands
    of steps have passed.
    """

    def make() -> nn.Module:
        judge = QualityDiscriminator(width)
        for layer in judge.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.01, nonlinearity="leaky_relu")
                nn.init.zeros_(layer.bias)
        return judge

    return seeded(make, seed)


def _keep_statistics(network: nn.Module) -> None:
    """Let norms use their running means and variances, and leave those as they are."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def masked_pair(target: Tensor, other: Tensor) -> Tensor:
    """What the generator is given, (N, 6, 96, 96): the face with its lower half black, and the reference."""
    hidden = target.clone()
    hidden[:, :, FACE_SIZE // 2 :] = 0
    return torch.cat((hidden, other), dim=1)


def within(boxes: Tensor) -> Tensor:
    """1 in and close round each box, 0 elsewhere: (N, 4) to (N, 1, 96, 96)."""
    at = torch.arange(FACE_SIZE, device=boxes.device) + 0.5
    x1, y1, x2, y2 = (boxes[:, side, None] for side in range(4))
    across = (at > x1 - _AROUND) & (at < x2 + _AROUND)
    down = (at > y1 - _AROUND) & (at < y2 + _AROUND)
    return (down[:, None, :, None] & across[:, None, None, :]).float()


def draw(network: nn.Module, faces: np.ndarray, references: np.ndarray, mels: np.ndarray) -> np.ndarray:
    """Faces drawn anew, uint8 RGB (N, 96, 96, 3), from others of the same shape and one mel window each."""
    device, found = device_of(network), []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            face, other = (pixels(tensor(x[some], device)) for x in (faces, references))
            mel = tensor(mels[some], device).unsqueeze(1)
            drawn = network(mel, masked_pair(face, other)).float().clamp(0, 1) * 255
            found.append(drawn.flip(1).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy())
    return np.concatenate(found)


def reconstruction(network: nn.Module, clips: Sequence[Clip], lead: int, of_clip: int = 8) -> dict[str, float]:
    """How near the generator comes to what it was not shown, on clips whose mouths are known.

    Parameters
    ----------
    network : Wav2Lip
        In evaluation mode.
    clips : sequence of Clip
    lead : int
        Frames by which mel windows start early.
    of_clip : int
        Frames taken of each clip, each with another frame of it as its reference.

    Returns
    -------
    dict
        Mean absolute differences, 0 to 1: ``l1`` of the lower half; ``mouth`` in the mouth's box; ``pasted`` there too,
        if the reference's pixels stood in the mouth's place. NaN where no mouth is known.
    """
    rows = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([7, number])
        known = np.flatnonzero(~np.isnan(clip.mouth[:, 0]))
        if len(known) < 2 * WINDOW:
            continue
        index = rng.choice(known, size=min(of_clip, len(known)), replace=False)
        others = np.array([reference(rng, len(clip), int(at), 1) for at in index])
        faces, references = clip.faces[index], clip.faces[others]
        drawn = draw(network, faces, references, clip.windows(index, lead))
        inside = within(torch.from_numpy(clip.mouth[index])).numpy()[:, 0, :, :, None] > 0
        for at in range(len(index)):
            away, pasted = (cv2.absdiff(x[at], faces[at]) / 255 for x in (drawn, references))
            mouth = np.broadcast_to(inside[at], away.shape)
            rows.append((away[FACE_SIZE // 2 :].mean(), away[mouth].mean(), pasted[mouth].mean()))
    means = np.mean(rows, axis=0).tolist() if rows else [np.nan] * 3
    return dict(zip(("l1", "mouth", "pasted"), means, strict=True))
