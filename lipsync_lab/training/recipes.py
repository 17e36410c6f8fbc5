"""Recipes: the hyperparameters of all models, one recipe for two CPU cores and one for a GPU.

Differences to the published training: small networks allow higher learning rates, with cosine decay; the generator
begins with single frames of many clips, since five consecutive frames are nearly equal, above all in drawings on twos;
its loss weighs the mouth separately, since a small mouth is a hundredth of the pixels; the sync expert compares
all windows of a clip with each other's sounds instead of one pair at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from lipsync_lab.errors import ParameterError

#: Share of each domain in the clips.
_MIX = {"animation": 0.75, "synthetic_photo": 0.08, "live_action": 0.17}


@dataclass(frozen=True)
class Schedule:
    """Schedule of the optimisation.

    Attributes
    ----------
    steps : int
    lr : float
        Highest learning rate of Adam. It rises over `warmup` steps and falls along half a cosine to the share `floor`.
    warmup : int
    floor : float
    betas : (float, float)
        Of Adam.
    clip : float
        Largest norm of the gradient.
    average : float
        Decay of the running mean of the weights, which is measured and exported.
    seed : int
    log_every, check_every : int
        Steps between rows of the log, and between measurements on held-out material, which also save the state.
    workers : int
        Threads that prepare batches.
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
    workers: int = 1


@dataclass(frozen=True)
class DetectorRecipe:
    """S3FD. `side`: side of the training squares in pixels; `batch`: squares in a batch; `tiled`: probability that a
    square consists of four smaller ones; `smallest`: side in pixels below which a face is ignored; `close`: probability
    that a face which is chosen for a part of a picture fills it."""

    schedule: Schedule
    width: float
    batch: int = 16
    side: int = 256
    tiled: float = 0.3
    smallest: float = 10.0
    close: float = 0.2


@dataclass(frozen=True)
class SyncExpertRecipe:
    """The sync expert. A batch has `windows` windows of each of `clips` clips. Two windows of a clip are off sync if
    they start at least `least_shift` frames apart and their sounds differ by `least_difference` (root mean square of
    mel values in [-4, 4]). `contrast`: weight of the softmax loss over the sounds of a clip; `hints`: weight of the
    auxiliary regression of the mouth openness; `mix`: share of each domain in the clips."""

    schedule: Schedule
    width: float
    clips: int = 12
    windows: int = 5
    least_shift: int = 4
    least_difference: float = 0.6
    contrast: float = 0.5
    hints: float = 1.0
    mix: Mapping[str, float] = field(default_factory=_MIX.copy)


@dataclass(frozen=True)
class GeneratorRecipe:
    """Wav2Lip. `faces`: faces in a batch; `audio_offset`: frames by which the mel window starts early (1 as published);
    `mouth`: weight of the L1 loss of the mouth box relative to the face's; `sync`, `adversarial`: weights of the sync
    and adversarial losses (published: 0.03 and 0.07), from the share `sync_from` of the steps on, in batches of
    five-frame windows if there is a sync loss; `features`: weight, beside the adversarial loss, of the difference of
    the discriminator's features; `discriminator_width`: width of the discriminator; `hints`: weight of the auxiliary
    regression of the mouth openness from the embedding of the sound."""

    schedule: Schedule
    width: float
    faces: int = 40
    audio_offset: int = 1
    mouth: float = 1.0
    sync: float = 0.03
    adversarial: float = 0.0
    features: float = 0.0
    hints: float = 0.2
    discriminator_width: float = 0.125
    sync_from: float = 0.6
    mix: Mapping[str, float] = field(default_factory=_MIX.copy)


@dataclass(frozen=True)
class DiscriminatorRecipe:
    """The discriminator by itself. `faces`: real faces in a batch, with as many generated and as many degraded ones."""

    schedule: Schedule
    width: float
    faces: int = 24
    mix: Mapping[str, float] = field(default_factory=_MIX.copy)


@dataclass(frozen=True)
class MouthOpennessRecipe:
    """The mouth-openness regressor. `faces`: faces in a batch."""

    schedule: Schedule
    width: float = 1.0
    faces: int = 64
    mix: Mapping[str, float] = field(default_factory=lambda: {"animation": 0.9, "synthetic_photo": 0.1})


@dataclass(frozen=True)
class VisemesRecipe:
    """The viseme network. `lines`: spoken lines in a batch; `columns`: mel columns (80 a second) of each; `closure`:
    weight of the loss that asks for one closed column in each closure; `mix`: share of each group of lines
    (`visemes.GROUPS`); a group without lines is left out."""

    schedule: Schedule
    width: float = 1.0
    lines: int = 16
    columns: int = 200
    closure: float = 0.1
    mix: Mapping[str, float] = field(default_factory=lambda: {"synthetic": 0.6, "aligned": 0.1, "texts": 0.3})


@dataclass(frozen=True)
class MouthLocatorRecipe:
    """The mouth locator. `crops`: crops in a batch."""

    schedule: Schedule
    width: float = 1.0
    crops: int = 64


@dataclass(frozen=True)
class RestorerRecipe:
    """The mouth restorer. `faces`: faces in a batch; `mouth`, `edges`, `shape`, `features`, `adversarial`: weights
    relative to the L1 loss of the lower half (the mouth box, differences of neighbouring pixels, change of dubbed
    mouths under a blur, the discriminator's features and its score); `hold`: weight of the change from moment to moment
    beyond that without restoration; `reading`: weight of the change of the dubbed mouths' openness as the regressor
    reads it (1: 10 pixels); `adversarial_from`: share of the steps before that loss;
    `discriminator_width`: width of the discriminator; `mix`: share of each domain in the clips."""

    schedule: Schedule
    width: float = 1.0
    faces: int = 16
    mouth: float = 2.0
    edges: float = 3.0
    shape: float = 1.5
    hold: float = 3.0
    reading: float = 0.5
    features: float = 0.3
    adversarial: float = 0.06
    adversarial_from: float = 0.15
    discriminator_width: float = 0.125
    mix: Mapping[str, float] = field(
        default_factory=lambda: {"animation": 0.5, "synthetic_photo": 0.1, "live_action": 0.4}
    )


@dataclass(frozen=True)
class Recipe:
    """Recipes of all models, and the numbers of training and validation shards of what they are trained on."""

    detector: DetectorRecipe
    sync_expert: SyncExpertRecipe
    generator: GeneratorRecipe
    discriminator: DiscriminatorRecipe
    mouth_openness: MouthOpennessRecipe
    visemes: VisemesRecipe
    mouth_locator: MouthLocatorRecipe
    restorer: RestorerRecipe
    face_shards: tuple[int, int]
    twin_shards: tuple[int, int]
    frame_shards: tuple[int, int]
    hard_shards: tuple[int, int]
    mouth_shards: tuple[int, int]


#: About two and a half hours on two idle cores without bfloat16. Seconds of a core for a step, measured on an EPYC with
#: AVX2: 0.4 detector, 0.8 sync expert, 1.25 generator, 0.35 discriminator, 0.11 mouth openness; 1 for rendering a clip
#: of faces.
SMALL_CPU = Recipe(
    detector=DetectorRecipe(Schedule(7000, 1.5e-3, warmup=200), 0.125, batch=12, side=192),
    sync_expert=SyncExpertRecipe(Schedule(6500, 1e-3), 0.25, clips=10, windows=5),
    generator=GeneratorRecipe(Schedule(5500, 1.5e-3), 0.25, faces=30),
    discriminator=DiscriminatorRecipe(Schedule(3000, 4e-4), 0.125, faces=16),
    mouth_openness=MouthOpennessRecipe(Schedule(4000, 2e-3)),
    visemes=VisemesRecipe(Schedule(6000, 2e-3, average=0.999)),
    mouth_locator=MouthLocatorRecipe(Schedule(2300, 3e-3, average=0.995), crops=48),
    restorer=RestorerRecipe(Schedule(1200, 8e-4, warmup=50, average=0.99, check_every=100)),
    face_shards=(60, 5),
    twin_shards=(6, 1),
    frame_shards=(24, 3),
    hard_shards=(14, 2),
    mouth_shards=(56, 6),
)
#: One to two hours on a GPU, with more material.
GPU = Recipe(
    detector=DetectorRecipe(Schedule(20_000, 1e-3, warmup=500, workers=8), 0.25, batch=64, side=320),
    sync_expert=SyncExpertRecipe(Schedule(20_000, 8e-4, warmup=500, workers=8), 0.5, clips=48, windows=6),
    generator=GeneratorRecipe(
        Schedule(40_000, 8e-4, warmup=500, average=0.999, workers=8), 0.5, faces=200, adversarial=0.03
    ),
    discriminator=DiscriminatorRecipe(Schedule(8_000, 3e-4, workers=8), 0.25, faces=128),
    mouth_openness=MouthOpennessRecipe(Schedule(8_000, 2e-3, workers=8), width=1.5, faces=256),
    visemes=VisemesRecipe(Schedule(12_000, 2e-3, average=0.999, workers=8), width=1.5, lines=64),
    mouth_locator=MouthLocatorRecipe(Schedule(20_000, 3e-3, workers=8), crops=256),
    restorer=RestorerRecipe(Schedule(40_000, 4e-4, average=0.999, workers=8), faces=128),
    face_shards=(400, 12),
    twin_shards=(60, 3),
    frame_shards=(120, 6),
    hard_shards=(80, 4),
    mouth_shards=(200, 6),
)
RECIPES = {"small-cpu": SMALL_CPU, "gpu": GPU}


def changed(recipe: Any, **changes: Any) -> Any:
    """Return a recipe with changed numbers, also of its schedule: ``changed(recipe, steps=10, clips=2)``.

    Raises
    ------
    ParameterError
        The recipe has no such number.
    """
    names = {number.name for number in fields(recipe)}
    own = {name: value for name, value in changes.items() if name in names}
    rest = {name: value for name, value in changes.items() if name not in names}
    if rest:
        inner = getattr(recipe, "schedule", None)
        unknown = set(rest) - {number.name for number in fields(inner)} if is_dataclass(inner) else set(rest)
        if unknown:
            raise ParameterError(
                f"{type(recipe).__name__} has no {', '.join(sorted(unknown))}; see training/recipes.py"
            )
        own["schedule"] = replace(inner, **rest)
    return replace(recipe, **own)
