"""The mouth restorer: detail for soft generated mouths, learned from faces alone, without sound.

As for photographs that are restored blindly (Wang et al. 2021, arXiv 2101.04061), true faces are made soft and the
network has to return them: L1 loss of pixels and of their differences, loss of the discriminator's features, and an
adversarial loss. Beside a soft face it is given a source: the same picture with another mouth, as a dub has it. That is
a *twin*, in which the same drawn character says another line, or the target with the mouth of another frame of its
clip. A soft face is one of three kinds:

- *degraded*: blurred, averaged with other frames of its clip (a generator that minimises a mean error averages over the
  mouths that a sound may have), made smaller, with less contrast;
- *copied*: the trained generator's picture with the clip's own sound and the target itself as the reference, so that
  its mouth has the target's place and shape, and the generator's softness;
- *dubbed*: the generator's picture of the source with the sound of another moment, and of the moment after it, as in a
  hold. Its mouth has no target: it has only the adversarial loss, and must stay itself under a blur and be as open as
  before to the mouth-openness regressor, which keeps its shape. Around the mouth its target is the twin, where there is
  one. Of two moments, no pixel may change by more than it does without restoration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lipsync_lab.generation.restoring import restore
from lipsync_lab.media.audio import MAX_ABS, MEL_WINDOW, N_MELS
from lipsync_lab.metrics import openness
from lipsync_lab.models.restorer import FIRST, HALF, MouthRestorer, blurred, recoloured
from lipsync_lab.progress import Progress
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.expert import log_loss
from lipsync_lab.training.generator import (
    DEFAULT_MOUTH,
    box_mask,
    generate,
    initial_discriminator,
    masked_pair,
    scored,
)
from lipsync_lab.training.loop import pixels, seeded
from lipsync_lab.training.mouth_openness import blurred as soften
from lipsync_lab.training.mouth_openness import correlation
from lipsync_lab.training.recipes import RestorerRecipe
from lipsync_lab.training.sampling import ClipSampler, augment_faces, augment_mels, reference
from lipsync_lab.training.soft_faces import degraded, joined, twin_of, twins, with_mouth

#: Shares of degraded and of copied faces in a batch; the rest are dubbed.
DEGRADED, COPIED = 0.3, 0.35
#: Share of the clips that are soft as a whole: a mouth must not be sharper than the picture around it.
SOFT_SOURCES = 0.2
#: Pixels of the blur under which a dubbed face must stay itself.
_SEEN = 2.0
_CHECKED = 48
#: Margin in pixels around a mouth that is measured, and the step between measured frames of a dubbed clip.
_AROUND, _EVERY = 3, 2
#: Definitions of what `measure` returns.
MEANINGS = {
    "mouth_l1": "mean absolute difference of restored and true mouth, 0 to 1; the generator had the clip's own sound "
    "and the face itself as the reference",
    "mouth_l1_generated": "the same without restoration",
    "sharpness": "variance of the Laplacian in the mouth, relative to the true face's; median over faces",
    "sharpness_generated": "the same without restoration",
    "openness_correlation": "Pearson's r, within a clip, of the mouth openness of the dubbed and restored picture and "
    "the ground truth of the new sentence, at every second frame; mean over clips",
    "openness_correlation_generated": "the same without restoration",
    "closed_share_silence": "share of frames with closed lips where the sound is silence",
    "closed_share_silence_generated": "the same without restoration",
    "clips": "number of dubbed clips",
}


class RestorerTask:
    """Task of the mouth restorer; see `loop.Task`.

    Parameters
    ----------
    recipe : RestorerRecipe
    clips, held_out : sequence of Clip
    generator : Wav2Lip
        Trained; the source of soft faces.
    audio_offset : int
        Frames by which the generator's mel windows start early.
    discriminator : QualityDiscriminator, optional
        Its initial weights, of the recipe's `discriminator_width`; random ones if not given.
    regressor : MouthOpennessNet, optional
        Trained; needed for the loss `reading`.
    """

    kind = "restorer"

    def __init__(
        self,
        recipe: RestorerRecipe,
        clips: Sequence[Clip],
        held_out: Sequence[Clip],
        generator: nn.Module,
        audio_offset: int = 1,
        discriminator: nn.Module | None = None,
        regressor: nn.Module | None = None,
    ):
        self.recipe, self.audio_offset = recipe, audio_offset
        self.regressor = None if regressor is None else regressor.eval().requires_grad_(False)
        self.sampler, self.twins = ClipSampler(clips, recipe.mix), twins(clips)
        self.held_out = held_out[:_CHECKED]
        self.generator = generator.eval().requires_grad_(False)
        seed = recipe.schedule.seed
        own = initial_discriminator(recipe.discriminator_width, seed)
        if discriminator is not None:
            own.load_state_dict(discriminator.state_dict())
        self.networks = {self.kind: seeded(lambda: MouthRestorer(recipe.width), seed), "discriminator": own}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Degraded faces first, then copied, then dubbed ones; only the degraded ones have a soft face already.

        Dubbed ones are in two equal parts, of a moment and of the next.
        """
        count, paired = self._parts()
        dubs = (self.recipe.faces - paired) // 2
        parts = [self._paired(rng, number < count) for number in range(paired)]
        parts += zip(*(self._dubbed(rng) for _ in range(dubs)), strict=True) if dubs else ()
        parts = [*parts[:paired], *(part for moment in parts[paired:] for part in moment)]
        names = ("source", "target", "mouth", "known", "mels")
        batch = {name: np.stack([part[name] for part in parts]) for name in names}
        return batch | {"soft": np.stack([part["soft"] for part in parts[:count]])}

    def _parts(self) -> tuple[int, int]:
        """How many faces of a batch are degraded, and how many have a target; the rest is even."""
        count, paired = (round(share * self.recipe.faces) for share in (DEGRADED, DEGRADED + COPIED))
        return count, paired + (self.recipe.faces - paired) % 2

    def _paired(self, rng, is_degraded: bool) -> dict[str, np.ndarray]:
        clip, twin = self._clip(rng)
        at = int(rng.integers(len(clip)))
        further = [reference(rng, len(clip), at, 1) for _ in range(3)]
        faces, boxes = self._augmented(clip, [at, *further], twin_of(twin, clip, at), rng)
        target, *further = faces[:4]
        source = faces[4] if len(faces) > 4 else with_mouth(target, further[0], joined(boxes[0], boxes[1]), rng)
        mels = augment_mels(clip.windows([at], self.audio_offset), rng)[0]
        part = {"source": source, "target": target, "mouth": boxes[0], "known": np.float32(1), "mels": mels}
        return part | ({"soft": degraded(target, np.stack(further), rng)} if is_degraded else {})

    def _dubbed(self, rng) -> list[dict[str, np.ndarray]]:
        """A source with the sounds of two moments; its target is the twin at the first."""
        clip, twin = self._clip(rng)
        at = int(rng.integers(len(clip)))
        other = twin_of(twin, clip, at)
        faces, boxes = self._augmented(clip, [at], other, rng)
        if other is None:
            voice, moment = clip, reference(rng, len(clip), at, 1)
        else:
            voice, moment = other
        mels = augment_mels(voice.windows([moment, moment + 1], self.audio_offset), rng)
        same = {"source": faces[0], "target": faces[-1], "mouth": joined(boxes[0], boxes[-1])}
        return [same | {"known": np.float32(other is not None), "mels": each} for each in mels]

    def _clip(self, rng) -> tuple[Clip, Clip | None]:
        clip = self.sampler.clip(rng)
        return clip, self.twins.get(id(clip))

    def _augmented(self, clip: Clip, index, twin: tuple[Clip, int] | None, rng) -> tuple[np.ndarray, np.ndarray]:
        """Faces of a clip, and that of its twin after them, with the boxes of their mouths."""
        members = [(clip, at) for at in index] + ([twin] if twin else [])
        faces = np.stack([each.faces[at] for each, at in members])
        boxes = np.stack([each.mouth[at] for each, at in members])
        faces, boxes = augment_faces(faces, np.where(np.isnan(boxes), np.float32(DEFAULT_MOUTH), boxes), rng)
        if rng.random() < SOFT_SOURCES:
            sigma = rng.uniform(0.4, 1.4)
            faces = np.stack([soften(face, sigma) for face in faces])
        return faces, boxes

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        recipe, network, discriminator = self.recipe, self.networks[self.kind], self.networks["discriminator"]
        source, target, given = (pixels(batch[name]) for name in ("source", "target", "soft"))
        count, paired = self._parts()
        with torch.no_grad():
            shown = torch.cat((target[count:paired], source[paired:]))
            generated = self.generator(batch["mels"][count:].unsqueeze(1), masked_pair(shown, shown)).float()
            soft = under(source, torch.cat((given, generated)))
        restored = network(torch.cat((soft, source), dim=1)).float()
        numbers = paired_losses(restored[:paired], target[:paired], batch["mouth"][:paired])
        rest = (faces[paired:] for faces in (restored, soft, source, target, batch["mouth"], batch["known"]))
        numbers |= dubbed_losses(*rest)
        loss = numbers["l1"] + recipe.mouth * numbers["mouth_l1"] + recipe.edges * numbers["edges"]
        loss = loss + recipe.shape * numbers["changed"] + numbers["around"] + recipe.hold * numbers["hold"]
        if recipe.reading and self.regressor is not None:
            with torch.no_grad():
                before = self.regressor(soft[paired:])
            numbers["reading"] = (self.regressor(restored[paired:]) - before).abs().mean()
            loss = loss + recipe.reading * numbers["reading"]
        with torch.no_grad():
            wanted, _ = scored(discriminator, target[:paired])
        features, score = scored(discriminator, restored)
        pairs = zip(features, wanted, strict=True)
        numbers["features"] = torch.stack([(g[:paired] - w).abs().mean() / w.abs().mean() for g, w in pairs]).mean()
        numbers["perceptual"] = log_loss(score, 1.0).mean()
        adversarial = recipe.adversarial if step >= recipe.adversarial_from * recipe.schedule.steps else 0.0
        yield self.kind, loss + recipe.features * numbers["features"] + adversarial * numbers["perceptual"], numbers
        if adversarial:
            real, false = (scored(discriminator, faces)[1] for faces in (target, restored.detach()))
            loss = (log_loss(real, 1.0).mean() + log_loss(false, 0.0).mean()) / 2
            yield "discriminator", loss, {"discriminator": loss}

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if not self.held_out:
            return {}
        return restoration(networks[self.kind], self.generator, self.held_out, self.audio_offset, of_clip=4)


def under(sources: Tensor, faces: Tensor) -> Tensor:
    """Return the upper halves of sources with the lower halves of other faces, all (N, 3, 96, 96)."""
    return torch.cat((sources[:, :, :HALF], faces[:, :, HALF:]), dim=2)


def paired_losses(restored: Tensor, target: Tensor, mouth: Tensor) -> dict[str, Tensor]:
    """Return the losses of restored faces with a target: ``l1``, ``mouth_l1``, and ``edges``, that of differences."""
    difference = (restored - target)[:, :, HALF:]
    inside = box_mask(mouth)[:, :, HALF:]
    across, down = difference.diff(dim=3).abs(), difference.diff(dim=2).abs()
    weighted = [(d * (1 + 2 * m)).mean() for d, m in ((across, inside[..., 1:]), (down, inside[:, :, 1:]))]
    difference = difference.abs()
    return {
        "l1": difference.mean(),
        "mouth_l1": (difference * inside).sum() / (3 * inside.sum()).clamp(min=1),
        "edges": sum(weighted) / 2,
    }


def dubbed_losses(
    restored: Tensor, soft: Tensor, source: Tensor, target: Tensor, mouth: Tensor, known: Tensor
) -> dict[str, Tensor]:
    """Return the losses of dubbed faces, whose second half is the first with the sound of the next moment.

    Parameters
    ----------
    restored, soft, source, target : Tensor, (N, 3, 96, 96)
    mouth : Tensor, (N, 4)
        Boxes around the mouths of both source and target.
    known : Tensor, (N,)
        1 where the target is known around the mouth, else 0.

    Returns
    -------
    dict
        ``changed``: change of the mouth under a blur of `_SEEN` pixels; ``around``: difference from the target around
        the mouth; ``hold``: how much more pixels change from one moment to the next than without restoration.
    """
    if not len(restored):
        return dict.fromkeys(("changed", "around", "hold"), restored.sum())
    inside = box_mask(mouth)[:, :, HALF:]
    face = recoloured(soft[:, :, FIRST:], source[:, :, FIRST:])[:, :, HALF - FIRST :]
    restored, target = restored[:, :, HALF:], target[:, :, HALF:]
    changed = blurred(restored - face, _SEEN).abs() * inside
    weight = (1 - inside) * known[:, None, None, None]
    around = (restored - target).abs() * weight
    moves, before = ((faces[: len(faces) // 2] - faces[len(faces) // 2 :]).abs() for faces in (restored, face))
    return {
        "changed": changed.sum() / (3 * inside.sum()).clamp(min=1),
        "around": around.sum() / (3 * weight.sum()).clamp(min=1),
        "hold": nn.functional.relu(moves - before).mean(),
    }


def restoration(
    network: nn.Module, generator: nn.Module, clips: Sequence[Clip], audio_offset: int, of_clip: int = 8
) -> dict[str, float]:
    """Measure restored faces of a generator, with the clip's own sound and the face itself as the reference.

    The source that the restorer is given is the face with the mouth of another frame.

    Parameters
    ----------
    network : MouthRestorer
        In evaluation mode.
    generator : Wav2Lip
    clips : sequence of Clip
    audio_offset : int
        Frames by which the generator's mel windows start early.
    of_clip : int
        Frames of each clip.

    Returns
    -------
    dict
        ``mouth_l1`` and ``mouth_l1_generated``: mean absolute difference to the true face in the mouth box, 0 to 1,
        with and without restoration. ``sharpness`` and ``sharpness_generated``: variance of the Laplacian in the mouth
        box relative to the true face's, median over faces.
    """
    rows = []
    for number, clip in enumerate(clips):
        rng = np.random.default_rng([19, number])
        index = rng.choice(len(clip), size=min(of_clip, len(clip)), replace=False)
        faces = clip.faces[index]
        soft = generate(generator, faces, faces, clip.windows(index, audio_offset))
        further = [reference(rng, len(clip), int(at), 1) for at in index]
        boxes = np.where(np.isnan(clip.mouth), np.float32(DEFAULT_MOUTH), clip.mouth)
        sources = [
            with_mouth(face, clip.faces[other], joined(boxes[at], boxes[other]), rng)
            for face, at, other in zip(faces, index, further, strict=True)
        ]
        for at, *pictures in zip(index, faces, restore(network, np.stack(sources), soft), soft, strict=True):
            box = boxes[at]
            x1, y1, x2, y2 = (round(float(side)) for side in box)
            area = slice(max(y1 - _AROUND, 0), y2 + _AROUND), slice(max(x1 - _AROUND, 0), x2 + _AROUND)
            sharp = [max(sharpness(picture, area), 1) for picture in pictures]
            errors = [np.abs(picture[area] / 255 - pictures[0][area] / 255).mean() for picture in pictures[1:]]
            rows.append((*errors, sharp[1] / sharp[0], sharp[2] / sharp[0]))
    errors, sharp = np.split(np.array(rows), 2, axis=1)
    names = ("mouth_l1", "mouth_l1_generated", "sharpness", "sharpness_generated")
    return dict(zip(names, [*errors.mean(axis=0).tolist(), *np.median(sharp, axis=0).tolist()], strict=True))


def sharpness(face: np.ndarray, area: tuple[slice, slice]) -> float:
    """Return the variance of the Laplacian of the grey levels in an area of a face, uint8 RGB."""
    import cv2

    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[area].var())


def measure(
    network: nn.Module,
    generator: nn.Module,
    regressor: nn.Module,
    clips: Sequence[Clip],
    audio_offset: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure a restorer on held-out clips; see `MEANINGS`.

    Parameters
    ----------
    network : MouthRestorer
        In evaluation mode.
    generator : Wav2Lip
    regressor : MouthOpennessNet
    clips : sequence of Clip
        Each is dubbed with the sound of the next one whose mouth is known, and with silence.
    audio_offset : int
        Frames by which the generator's mel windows start early.
    progress : callable, optional

    Returns
    -------
    dict of str -> float
    """
    numbers = {}
    for domain in ("animation", "live_action"):
        if members := [clip for clip in clips if clip.domain == domain]:
            values = restoration(network, generator, members, audio_offset)
            numbers |= {f"{domain}_{name}": value for name, value in values.items()}
    known = [clip for clip in clips if not np.isnan(clip.openness).any()]
    rows: list[tuple[float, ...]] = []
    for number, clip in enumerate(known):
        other = known[(number + 1) % len(known)]
        index = np.arange(0, min(len(clip), len(other)), _EVERY)
        faces, target = clip.faces[index], other.openness[index]
        before, row = openness.read(faces, regressor), []
        for mels in (
            other.windows(index, audio_offset),
            np.full((len(index), N_MELS, MEL_WINDOW), -MAX_ABS, np.float32),
        ):
            soft = generate(generator, faces, faces, mels)
            row += [openness.read(each, regressor) for each in (restore(network, faces, soft), soft)]
        closed = [openness.in_range(reading, before) < openness.CLOSED_BY_NETWORK for reading in row[2:]]
        moves = np.ptp(before) > 0
        rows.append(
            (*(correlation(each, target) for each in row[:2]), *(each.mean() if moves else np.nan for each in closed))
        )
        if progress:
            progress("dub held-out clips", number + 1, len(known))
    names = (
        "openness_correlation",
        "openness_correlation_generated",
        "closed_share_silence",
        "closed_share_silence_generated",
    )
    return numbers | dict(zip(names, np.nanmean(rows, axis=0).tolist(), strict=True)) | {"clips": len(known)}
