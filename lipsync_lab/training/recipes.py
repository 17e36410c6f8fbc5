"""The numbers of a training, as frozen values: one recipe for two CPU cores, one for a GPU.

What differs from the published training, and why: small networks stand higher learning rates, which fall along a
cosine; the generator begins on single frames of many clips (five frames that follow each other are nearly one, the
more so in drawings on twos), and its loss weighs the mouth by itself, for a small drawn mouth is one pixel in a
hundred; the expert compares every window of a clip with every other one's sound instead of one pair at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from lipsync_lab.errors import ParameterError


@dataclass(frozen=True)
class Schedule:
    """How any of the networks is brought forward.

    Attributes
    ----------
    steps : int
    lr : float
        Highest learning rate of Adam. It rises over `warmup` steps and falls along half a cosine to `floor` of itself.
    warmup : int
    floor : float
    betas : (float, float)
        Of Adam.
    clip : float
        Longest gradient.
    average : float
        Decay of the running mean of the weights, which is what is measured and exported.
    seed : int
    log_every, check_every : int
        Steps between rows of the log, and between measurements on held-out material, which also save the state.
    readers : int
        Threads that make batches ready.
    """

    steps: int
    lr: float
    warmup: int = 100
    floor: float = 0.02
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 5.0
    average: float = 0.997
    seed: int = 1
    log_every: int = 20
    check_every: int = 500
    readers: int = 1


@dataclass(frozen=True)
class DetectorRecipe:
    """S3FD. `side` is the side in pixels of the squares that it is trained on, `batch` how many at once; `tiled` the
    chance that a square is made of four smaller ones; `smallest` the side in pixels below which a face is neither a
    face nor background."""

    schedule: Schedule
    width: float
    batch: int = 16
    side: int = 256
    tiled: float = 0.3
    smallest: float = 10.0


@dataclass(frozen=True)
class ExpertRecipe:
    """The sync expert. A batch is `windows` windows of each of `clips` clips; two windows of a clip are off sync if
    they start at least `least_shift` frames apart and their sounds differ by `least_difference` (root mean square of
    mel values, which go from -4 to 4). `contrast` weighs the choice of the right sound among a clip's own, `hints`
    what both embeddings know of how far the mouth is open, where that is known. `mix` gives each kind's share of the
    clips."""

    schedule: Schedule
    width: float
    clips: int = 12
    windows: int = 5
    least_shift: int = 4
    least_difference: float = 0.6
    contrast: float = 0.5
    hints: float = 1.0
    mix: Mapping[str, float] = field(default_factory=lambda: {"drawn": 0.75, "photograph": 0.08, "film": 0.17})


@dataclass(frozen=True)
class GeneratorRecipe:
    """Wav2Lip. `faces` a batch; `lead` frames by which the mel window starts early (1 as published); `mouth` weight of
    the mouth's own L1 beside the whole face's; from the share `sync_from` of the steps on, batches are windows of five
    frames, the expert counts `sync` and, when there is one, the discriminator `quality` (published: 0.03 and 0.07).
    The discriminator has the width `quality_width`. `hints` weighs what the sound's embedding knows of how far the
    mouth is open, where that is known: the picture's own loss takes long to ask for it."""

    schedule: Schedule
    width: float
    faces: int = 40
    lead: int = 1
    mouth: float = 1.0
    sync: float = 0.03
    quality: float = 0.0
    hints: float = 0.2
    quality_width: float = 0.125
    sync_from: float = 0.6
    mix: Mapping[str, float] = field(default_factory=lambda: {"drawn": 0.75, "photograph": 0.08, "film": 0.17})


@dataclass(frozen=True)
class QualityRecipe:
    """The visual quality discriminator by itself: `faces` real ones a batch, as many generated, as many spoilt."""

    schedule: Schedule
    width: float
    faces: int = 24
    mix: Mapping[str, float] = field(default_factory=lambda: {"drawn": 0.75, "photograph": 0.08, "film": 0.17})


@dataclass(frozen=True)
class ReaderRecipe:
    """The reader of mouths, with which the generator is measured: `faces` a batch."""

    schedule: Schedule
    width: float = 1.0
    faces: int = 64
    mix: Mapping[str, float] = field(default_factory=lambda: {"drawn": 0.9, "photograph": 0.1})


@dataclass(frozen=True)
class Recipe:
    """What it takes to make all models; `train_shards` and `validation_shards` of faces and of frames are rendered."""

    detector: DetectorRecipe
    expert: ExpertRecipe
    generator: GeneratorRecipe
    quality: QualityRecipe
    reader: ReaderRecipe
    face_shards: tuple[int, int]
    frame_shards: tuple[int, int]


#: Some two and a half hours in all on two cores that have nothing else to do and no bfloat16. Seconds of one core for a
#: step, measured on an EPYC with AVX2: 0.4 detector, 0.8 expert, 1.25 generator, 0.35 quality, 0.11 reader; a clip of
#: faces to render 1.
SMALL_CPU = Recipe(
    detector=DetectorRecipe(Schedule(7000, 1.5e-3, warmup=200), 0.125, batch=12, side=192),
    expert=ExpertRecipe(Schedule(6500, 1e-3), 0.25, clips=10, windows=5),
    generator=GeneratorRecipe(Schedule(5500, 1.5e-3), 0.25, faces=30),
    quality=QualityRecipe(Schedule(3000, 4e-4), 0.125, faces=16),
    reader=ReaderRecipe(Schedule(4000, 2e-3)),
    face_shards=(60, 5),
    frame_shards=(24, 3),
)
#: An hour or two on one GPU; the same material, and more of it.
GPU = Recipe(
    detector=DetectorRecipe(Schedule(20_000, 1e-3, warmup=500, readers=8), 0.25, batch=64, side=320),
    expert=ExpertRecipe(Schedule(20_000, 8e-4, warmup=500, readers=8), 0.5, clips=48, windows=6),
    generator=GeneratorRecipe(
        Schedule(40_000, 8e-4, warmup=500, average=0.999, readers=8), 0.5, faces=200, quality=0.03
    ),
    quality=QualityRecipe(Schedule(8_000, 3e-4, readers=8), 0.25, faces=128),
    reader=ReaderRecipe(Schedule(8_000, 2e-3, readers=8), width=1.5, faces=256),
    face_shards=(400, 12),
    frame_shards=(120, 6),
)
RECIPES = {"small-cpu": SMALL_CPU, "gpu": GPU}


def changed(recipe: Any, **changes: Any) -> Any:
    """A recipe with other numbers, those of its schedule too: ``changed(SMALL_CPU.expert, steps=10, clips=2)``.

    Raises
    ------
    ParameterError
        It has no such number.
    """
    own = {one.name for one in fields(recipe)}
    mine = {name: value for name, value in changes.items() if name in own}
    rest = {name: value for name, value in changes.items() if name not in own}
    if rest:
        inner = getattr(recipe, "schedule", None)
        strangers = set(rest) - {one.name for one in fields(inner)} if is_dataclass(inner) else set(rest)
        if strangers:
            raise ParameterError(
                f"{type(recipe).__name__} has no {', '.join(sorted(strangers))}; see training/recipes.py"
            )
        mine["schedule"] = replace(inner, **rest)
    return replace(recipe, **mine)
