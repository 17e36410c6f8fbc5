"""Settings of an animated scene, and scenes chosen at random from a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.synthesis.animation.backgrounds import KINDS
from lipsync_lab.synthesis.animation.character import STYLES
from lipsync_lab.synthesis.animation.props import OCCLUDERS

VIEWS = ("front", "three-quarter", "profile", "turn", "away", "mixed")
CAMERAS = ("still", "pan", "zoom", "shake")

#: Head unit, and height of the head's middle, as shares of the frame's height.
FRAMINGS = {
    "portrait": (0.34, 0.46),
    "close": (0.255, 0.46),
    "medium": (0.165, 0.40),
    "wide": (0.10, 0.38),
    "far": (0.062, 0.42),
}


@dataclass(frozen=True)
class Scene:
    """Settings of an animated scene.

    Attributes
    ----------
    seed : int
        Seed of the character, acting, background and all other settings that are left open.
    style : str, optional
        One of `character.STYLES`; chosen by the seed if not given.
    exposure, mouth_exposure : int
        Frames for which a drawing of the body, and of the mouth, is held: 2 is "on twos".
    fps : float
        Frames a second.
    size : tuple of int
        Width and height in pixels.
    view : str
        "front", "three-quarter", "profile", "turn" (from front to three-quarter), "away" (from front to profile) or
        "mixed" (a view at random for each shot).
    framing : str
        "portrait" (the face fills the frame), "close", "medium", "wide" or "far".
    camera : str
        "still", "pan", "zoom" or "shake".
    cuts : int
        Number of shot changes.
    backdrop : str, optional
        One of `backgrounds.KINDS`; chosen by the seed if not given.
    partner : bool
        Whether a second character listens; the ground truth describes the one who speaks.
    occluder : str, optional
        One of `props.OCCLUDERS`: it covers the mouth in the middle of each shot.
    leaving : bool
        Whether the face leaves the frame towards the end of each shot.
    empty : bool
        A scene without a face: a background, or a character seen from behind.
    text : str
        Subtitle.
    night : bool
        Whether the scene is tinted as by moonlight.
    grain : float, optional
        Film grain in grey levels; by the style if not given (only rubber hose has it).
    jpeg : int
        Quality of a JPEG round trip, 1 to 100; 0 for none.
    life : float
        Amount of body motion, from 0; 1 is normal.
    mouth : bool
        Whether the speaker's mouth is drawn. Without it, the ground truth is that of the mouth that is left out, and
        all other pixels are the same, but in profile, where the lips are part of the head's contour: it is closed.
    clutter : int
        Number of things that are no face (`clutter.THINGS`), before and behind the characters; none covers a face.
    vintage : bool
        Whether the characters are made over as those of western animation of the 1930s (`character.vintage`).

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    seed: int = 0
    style: str | None = None
    exposure: int = 2
    mouth_exposure: int = 2
    fps: float = 25.0
    size: tuple[int, int] = (256, 256)
    view: str = "front"
    framing: str = "close"
    camera: str = "still"
    cuts: int = 0
    backdrop: str | None = None
    partner: bool = False
    occluder: str | None = None
    leaving: bool = False
    empty: bool = False
    text: str = ""
    night: bool = False
    grain: float | None = None
    jpeg: int = 0
    life: float = 1.0
    mouth: bool = True
    clutter: int = 0
    vintage: bool = False

    def __post_init__(self):
        known = dict(style=STYLES, view=VIEWS, framing=tuple(FRAMINGS), camera=CAMERAS, backdrop=KINDS)
        known |= dict(occluder=OCCLUDERS)
        for name, values in known.items():
            value = getattr(self, name)
            if value not in values and not (value is None and name in ("style", "backdrop", "occluder")):
                raise ParameterError(f"unknown {name} {value!r} for a scene; choose one of {', '.join(values)}")
        if min(self.exposure, self.mouth_exposure) < 1:
            raise ParameterError(
                f"a drawing is held for at least one frame, not {min(self.exposure, self.mouth_exposure)}"
            )
        if not self.fps > 0:
            raise ParameterError(f"a scene needs a positive frame rate, not {self.fps}")
        if min(self.size) < 32:
            raise ParameterError(f"a scene of {self.size[0]} x {self.size[1]} pixels is too small; use at least 32")
        if self.clutter < 0:
            raise ParameterError(f"a scene has 0 or more things in it, not {self.clutter}")
        if not 0 <= self.jpeg <= 100:
            raise ParameterError(f"JPEG quality goes from 1 to 100 (0 for none), not {self.jpeg}")


def random_scene(seed: int, **fixed) -> Scene:
    """Return a scene with settings at random.

    Parameters
    ----------
    seed : int
    **fixed
        Settings that are not chosen at random.

    Raises
    ------
    ParameterError
        `Scene` has no such setting.
    """
    unknown = set(fixed) - {field.name for field in fields(Scene)}
    if unknown:
        raise ParameterError(f"a scene has no setting {', '.join(sorted(unknown))}")
    rng = np.random.default_rng([seed, 0x5CE7E])

    def weighted(*choices):
        values, weights = zip(*choices, strict=True)
        return values[rng.choice(len(values), p=np.array(weights) / sum(weights))]

    settings = dict(
        seed=seed,
        exposure=weighted((1, 1), (2, 3), (3, 2)),
        mouth_exposure=weighted((1, 1), (2, 3), (3, 1)),
        view=weighted(("front", 4), ("three-quarter", 4), ("profile", 1.5), ("turn", 1)),
        framing=weighted(("portrait", 1), ("close", 4), ("medium", 3), ("wide", 2), ("far", 1)),
        camera=weighted(("still", 5), ("pan", 1.5), ("zoom", 1.5), ("shake", 0.5)),
        partner=bool(rng.random() < 0.18),
        occluder=weighted((None, 9), *((kind, 0.25) for kind in OCCLUDERS)),
        text=weighted(("", 5), ("Are you coming with us?", 1), ("That would be a fine thing to know.", 1)),
        night=bool(rng.random() < 0.15),
        grain=weighted((None, 5), (3.0, 1), (7.0, 1)),
        jpeg=int(weighted((0, 1), (rng.integers(25, 96), 2))),
        life=float(rng.uniform(0.3, 1.3)),
    )
    return Scene(**(settings | fixed))
