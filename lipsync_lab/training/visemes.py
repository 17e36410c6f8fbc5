"""The viseme network: mouth shapes from sound, for the animation generator.

Its material is sound alone, as mel spectrograms with the mouth shape of every column: lines that espeak-ng and Flite
speak, recordings with word alignments, and recordings with a text, onto which espeak-ng's phonemes are warped. The
shapes are those of the character generator (`synthesis.visemes`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from torch import Tensor, nn

from lipsync_lab import files
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel import timing
from lipsync_lab.generation.cel.shapes import CLOSED, SHAPES
from lipsync_lab.geometry import spans
from lipsync_lab.media import audio
from lipsync_lab.models.visemes import CLASSES, VisemeNet
from lipsync_lab.progress import Progress
from lipsync_lab.synthesis import flite, visemes
from lipsync_lab.synthesis.recordings import aligned, recorded
from lipsync_lab.synthesis.speech import Speech, join, silence
from lipsync_lab.training import corpus
from lipsync_lab.training.loop import seeded
from lipsync_lab.training.recipes import VisemesRecipe

#: File of the material in a split's folder.
FILE = "voices.npz"
#: Lines for training and for validation.
LINES = (6000, 160)
#: Groups of lines: synthetic voices, recordings with word alignments, and recordings with a text.
GROUPS = ("synthetic", "aligned", "texts")
#: Least correlation of the openness of a recording's labels with that of the bundled network: below it, the text is not
#: what is said, or the phonemes lost their place.
_AGREEMENT = 0.15
#: Weight of the three numbers of the pose in the loss.
_POSE = 3.0
#: Frames a second at which accuracy is measured.
_FPS = 25


@dataclass(frozen=True)
class Line:
    """A spoken line: its mel spectrogram, and what the mouth does in each column.

    Attributes
    ----------
    mel : ndarray, float16, (80, T)
    shapes : ndarray, uint8, (T,)
        Index into `SHAPES`.
    pose : ndarray, float16, (3, T)
        Openness, width and rounding, 0 to 1.
    group : str
        One of `GROUPS`.
    """

    mel: np.ndarray
    shapes: np.ndarray
    pose: np.ndarray
    group: str = GROUPS[0]


def labelled(speech: Speech, wave: np.ndarray | None = None) -> Line:
    """The mouth shapes of a speech, by mel column; `wave` replaces its sound."""
    timeline = visemes.timeline(speech)
    mel = audio.melspectrogram(speech.wave if wave is None else wave)
    times = np.arange(mel.shape[1]) / audio.MELS_PER_SECOND
    shapes = [SHAPES.index(visemes.key_at(timeline, time).shape) for time in times]
    poses = [visemes.pose_at(timeline, time) for time in times]
    numbers = np.array([[pose.openness, pose.width, pose.rounding] for pose in poses], np.float16).T
    return Line(mel.astype(np.float16), np.array(shapes, np.uint8), numbers)


def write(
    data: str | Path,
    recordings: Sequence[tuple[str, str]] = (),
    flite_lines: int = 0,
    progress: Progress | None = None,
    texts: Sequence[tuple[str, str, str]] = (),
) -> tuple[Path, Path]:
    """Write the material of both splits: the file `FILE` in ``DATA/train`` and in ``DATA/validation``.

    Parameters
    ----------
    data : path
    recordings : sequence of (sound, alignment)
        Files for `synthesis.recordings.aligned`, for training alone.
    flite_lines : int
        Lines of `synthesis.flite`, for training alone.
    progress : callable, optional
    texts : sequence of (sound, voice, text)
        Recordings with what is said in them, and the language's voice in espeak-ng, for training alone; those whose
        phonemes lost their place are left out.
    """
    paths = []
    for part, count in zip(corpus.SPLITS, LINES, strict=True):
        lines = []
        for done, seed in enumerate(corpus.seeds(part, 0, count)):
            speech, rng = corpus.line(seed), np.random.default_rng([seed, 0x715E])
            lines.append(labelled(speech, corpus.as_recorded(rng, speech.wave)))
            if progress:
                progress(f"voices: {part}", done + 1, count)
        if part == "train":
            lines += [replace(labelled(aligned(*pair)), group="aligned") for pair in recordings]
            lines += [_of_flite(number) for number in range(flite_lines)]
            lines += [line for line in (_of_text(*each) for each in texts) if line]
        paths.append(Path(data) / part / FILE)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_file(paths[-1]) as target, target.open("wb") as stream:
            columns = {name: np.concatenate([getattr(line, name) for line in lines], -1) for name in _ARRAYS}
            groups = [GROUPS.index(line.group) for line in lines]
            np.savez(stream, lengths=[len(line.shapes) for line in lines], groups=groups, **columns)
    return paths[0], paths[1]


def read_texts(path: str | Path) -> list[tuple[str, str, str]]:
    """Sound, voice and text of each row of a CSV file with these columns; a sound is relative to the file's folder."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as rows:
            return [(str(Path(path).parent / row["sound"]), row["voice"], row["text"]) for row in csv.DictReader(rows)]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise MediaError(f"{path}: is not a table of sound, voice and text ({error})") from None


def _of_text(sound: str, voice: str, text: str) -> Line | None:
    """A recording with a text; None where the phonemes do not fit it."""
    from lipsync_lab.models import registry

    wave = audio.load(sound)
    try:
        line = labelled(recorded(0.8 * wave / max(float(np.abs(wave).max(initial=0)), 1e-3), text, voice=voice))
    except ParameterError:
        return None
    network = registry.load(registry.DEFAULTS["visemes"], "visemes").model
    given = timing.classify(line.mel.astype(np.float32), network).openness
    fits = np.corrcoef(given, line.pose[0].astype(float))[0, 1] >= _AGREEMENT
    return replace(line, group="texts") if fits else None


def _of_flite(number: int) -> Line:
    """A line of Flite; the voices take turns."""
    rng = np.random.default_rng([number, 0xF117E])
    text, voice = corpus.sentence(rng, "en", False), flite.VOICES[number % len(flite.VOICES)]
    spoken = flite.speak(text, voice=voice, slowness=rng.uniform(0.75, 1.2))
    speech = join(silence(rng.uniform(0.05, 0.4)), spoken, silence(rng.uniform(0.05, 0.4)))
    return labelled(speech, corpus.as_recorded(rng, speech.wave))


_ARRAYS = ("mel", "shapes", "pose")


def read(path: str | Path) -> list[Line]:
    """The lines of a file that `write` made."""
    if not Path(path).is_file():
        raise MediaError(f"{path}: there are no voices; make them with `train render --what voices`")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in _ARRAYS}
        edges = np.concatenate([[0], np.cumsum(archive["lengths"])])
        groups = archive["groups"] if "groups" in archive else np.zeros(len(edges) - 1, int)
    pieces = zip(edges[:-1], edges[1:], groups, strict=True)
    return [Line(*(arrays[name][..., start:stop] for name in _ARRAYS), GROUPS[of]) for start, stop, of in pieces]


def extended(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network before (five blocks, 0.1 s of look-ahead) as those of the present one.

    The further blocks are those of `like`, a state dict of the present network, and change nothing at first: the
    network computes what it computed. A mean of the result and of `like` is between the two networks.
    """
    out = {name: state.get(name, value).clone() for name, value in like.items()}
    out["last.weight"] = like["last.weight"].new_zeros(like["last.weight"].shape)
    out["last.weight"][:, :, :1] = state["last.weight"]
    for name in out:
        if name not in state and name.endswith(("layers.4.weight", "layers.4.bias")):
            out[name].zero_()
    return out


class VisemesTask:
    """Task of the viseme network; see `loop.Task`."""

    kind = "visemes"

    def __init__(self, recipe: VisemesRecipe, lines: Sequence[Line], held_out: Sequence[Line] = ()):
        self.recipe, self.lines, self.held_out = recipe, lines, held_out
        # rare shapes count more, by the root of their rarity
        counts = np.bincount(np.concatenate([line.shapes for line in lines]), minlength=CLASSES)
        self.weights = (np.sqrt(counts.mean() / np.maximum(counts, 1))).clip(0.5, 3.0).tolist()
        names = [name for name in recipe.mix if any(line.group == name for line in lines)]
        self.groups = [[line for line in lines if line.group == name] for name in names]
        self.shares = np.array([recipe.mix[name] for name in names]) / sum(recipe.mix[name] for name in names)
        self.networks = {self.kind: seeded(lambda: VisemeNet(recipe.width), recipe.schedule.seed)}

    def _line(self, rng: np.random.Generator) -> Line:
        """A random line: first its group, then one of that; of recordings, long ones are taken more often."""
        group = self.groups[rng.choice(len(self.groups), p=self.shares)]
        if group[0].group == GROUPS[0]:
            return group[rng.integers(len(group))]
        ends = np.cumsum([len(line.shapes) for line in group])
        return group[int(np.searchsorted(ends, rng.random() * ends[-1], "right"))]

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        length = self.recipe.columns
        mels, shapes, poses = [], [], []
        for _ in range(self.recipe.lines):
            line = self._line(rng)
            start = int(rng.integers(max(len(line.shapes) - length, 0) + 1))
            part = slice(start, start + length)
            missing = max(length - len(line.shapes), 0)
            mel = np.pad(line.mel[:, part].astype(np.float32), ((0, 0), (0, missing)), constant_values=-audio.MAX_ABS)
            if rng.random() < 0.3:  # another voice in the background
                other = self._line(rng).mel[:, :length].astype(np.float32)
                mel[:, : other.shape[1]] = np.maximum(mel[:, : other.shape[1]], other - rng.uniform(0.8, 2.0))
            mels.append(augmented(mel, rng))
            shapes.append(np.pad(line.shapes[part], (0, missing), constant_values=SHAPES.index("X")))
            poses.append(np.pad(line.pose[:, part].astype(np.float32), ((0, 0), (0, missing)), mode="edge"))
        return {"mel": np.stack(mels), "shapes": np.stack(shapes).astype(np.int64), "pose": np.stack(poses)}

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        given = self.networks[self.kind](batch["mel"]).float()
        weights = given.new_tensor(self.weights)
        entropy = nn.functional.cross_entropy(given[:, :CLASSES], batch["shapes"], weights, label_smoothing=0.05)
        pose = nn.functional.smooth_l1_loss(given[:, CLASSES:].sigmoid(), batch["pose"], beta=0.1)
        closure = closure_loss(given[:, :CLASSES], batch["shapes"])
        total = entropy + _POSE * pose + self.recipe.closure * closure
        yield self.kind, total, {"entropy": entropy, "pose": pose, "closure": closure}

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return accuracy(networks[self.kind], self.held_out) if self.held_out else {}


def closure_loss(logits: Tensor, shapes: Tensor) -> Tensor:
    """Mean over all closures of the negative logarithm of the highest probability of closed lips in it.

    One column suffices, since a closure is shown where one column has it, and since the borders of a warped label are
    not exact.

    Parameters
    ----------
    logits : Tensor, float32, (N, 9, T)
    shapes : Tensor, int64, (N, T)
    """
    index = SHAPES.index("A")
    closed, sure = shapes == index, logits.log_softmax(1)[:, index]
    begins = closed.clone()
    begins[:, 1:] &= ~closed[:, :-1]
    count = int(begins.sum())
    if not count:
        return sure.sum() * 0
    place = begins.flatten().long().cumsum(0).reshape(shapes.shape) * closed
    best = sure.new_full((count + 1,), -30.0)
    best = best.scatter_reduce(0, place.flatten(), sure.masked_fill(~closed, -30.0).flatten(), "amax")
    # a closure that is wholly missed counts as a probability of 0.0025: labels of recordings can be wrong
    return -best[1:].clamp(min=-6.0).mean()


def augmented(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mel spectrogram from another throat, room and microphone; a new array.

    Vocal tract length by up to 18 % (Jaitly and Hinton 2013), echo, blur, the response of a microphone, gain, a floor
    of noise, lost high bands, and blanked bands and columns (Park et al. 2019, "SpecAugment").
    """
    bands, top = np.arange(len(mel)), audio.MAX_ABS
    if rng.random() < 0.8:
        at = np.minimum(bands * rng.uniform(0.85, 1.18), bands[-1])
        low = np.minimum(at.astype(int), bands[-1] - 1)
        share = (at - low).astype(np.float32)[:, None]
        mel = mel[low] * (1 - share) + mel[low + 1] * share
    if rng.random() < 0.4:  # an echo decays by so much a column
        fall, echo = rng.uniform(0.25, 0.8), mel.copy()
        for column in range(1, mel.shape[1]):
            echo[:, column] = np.maximum(echo[:, column], echo[:, column - 1] - fall)
        mel = np.maximum(mel, echo - rng.uniform(0.2, 1.0))
    if rng.random() < 0.5:  # less crisp than espeak-ng: its bands and closures are sharper than those of people
        sigma = rng.uniform(0.3, 2.0), rng.uniform(0.2, 1.3)
        mel = ndimage.gaussian_filter(mel, sigma, mode="nearest")
    tilt = rng.uniform(-0.9, 0.9) * (bands / bands[-1] - 0.5)
    room = np.interp(bands, np.linspace(0, bands[-1], 9), rng.normal(0, 0.35, 9))
    mel = mel + (rng.uniform(-1.2, 0.6) + tilt + room).astype(np.float32)[:, None]
    if rng.random() < 0.6:
        floor = rng.uniform(-3.9, -1.6) + rng.uniform(-0.5, 0.5) * (bands / bands[-1] - 0.5)
        mel = np.maximum(mel, floor[:, None] + 0.3 * rng.standard_normal(mel.shape))
    if rng.random() < 0.25:
        mel[int(rng.integers(45, 78)) :] = -top
    for axis, most in ((0, 12), (1, 10)):
        if rng.random() < 0.4:
            width = int(rng.integers(1, most))
            start = int(rng.integers(mel.shape[axis] - width))
            mel[(slice(None),) * axis + (slice(start, start + width),)] = -top
    return np.clip(mel, -top, top).astype(np.float32)


def accuracy(network: nn.Module, lines: Iterable[Line]) -> dict[str, float]:
    """Agreement of the network with labelled lines, at 25 frames a second.

    Returns
    -------
    dict
        ``accuracy``: share of frames with the right one of nine shapes, closed (A) and rest (X) counted as one;
        ``closure_recall``: share of closures (spans of shape A) in which the network has a closed mouth in at least one
        column; ``closure_precision``: share of the network's closed spans that overlap a closed one;
        ``openness_correlation``: Pearson's r of the openness, over all frames; ``frames``.
    """
    import torch

    right, given_openness, true_openness, closures, claimed = [], [], [], [], []
    for line in lines:
        with torch.inference_mode():
            given = network(torch.from_numpy(line.mel.astype(np.float32))[None])[0].float().numpy()
        frames = np.arange(0, len(line.shapes), audio.MELS_PER_SECOND / _FPS).astype(int)
        shapes = given[:CLASSES].argmax(0)
        closed, truly = (np.isin(s, [SHAPES.index(c) for c in CLOSED]) for s in (shapes, line.shapes))
        right.append(((shapes == line.shapes) | (closed & truly))[frames])
        given_openness.append(1 / (1 + np.exp(-given[CLASSES, frames])))
        true_openness.append(line.pose[0, frames].astype(float))
        closures += [closed[slice(*span)].any() for span in spans(line.shapes == SHAPES.index("A"))]
        claimed += [truly[slice(*span)].any() for span in spans(shapes == SHAPES.index("A"))]
    correlation = np.corrcoef(np.concatenate(given_openness), np.concatenate(true_openness))[0, 1]
    return {
        "accuracy": float(np.concatenate(right).mean()),
        "closure_recall": float(np.mean(closures)) if closures else np.nan,
        "closure_precision": float(np.mean(claimed)) if claimed else np.nan,
        "openness_correlation": float(correlation),
        "frames": int(sum(map(len, right))),
    }
