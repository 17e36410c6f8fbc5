"""Characters: appearance parameters, chosen at random from a seed.

Lengths are in head units: the head's middle is the origin, the crown (without hair) stands at y = -1 and the chin at
y = +1; x grows to the right, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.synthesis.animation.palette import Palette, palette

STYLES = ("anime", "western", "rubberhose", "flat")


@dataclass(frozen=True)
class Character:
    """Parameters of a character. Kinds are strings, sizes are in head units, amounts are in [0, 1].

    `locks` are random numbers (-1 to 1) for hair, beards and folds, so that a character has the same strands in all
    frames; `light` is +1 if the light comes from the left of the frame.
    """

    seed: int
    style: str
    age: str
    sex: str
    palette: Palette
    line: float
    shade: float
    light: int
    width: float
    jaw: float
    chin: float
    cheek: float
    ear: float
    ear_kind: str
    neck: float
    shoulders: float
    cloth: str
    eye_kind: str
    eye_x: float
    eye_y: float
    eye_w: float
    eye_h: float
    eye_tilt: float
    lashes: float
    brow_kind: str
    brow_y: float
    brow_weight: float
    brow_tilt: float
    nose_kind: str
    nose_y: float
    nose_size: float
    mouth_y: float
    mouth_w: float
    mouth_open: float
    smile: float
    lipstick: float
    fringe: str
    back: str
    volume: float
    parting: float
    locks: tuple[float, ...]
    glasses: str
    hat: str
    beard: str
    moustache: bool
    freckles: bool
    blush: float
    earrings: bool
    mark: str


def character(seed: int, style: str | None = None) -> Character:
    """Return the character of a seed.

    Parameters
    ----------
    seed : int
        Determines all parameters.
    style : str, optional
        One of `STYLES`; chosen by the seed if not given.

    Raises
    ------
    ParameterError
        There is no such style.
    """
    if style is not None and style not in STYLES:
        raise ParameterError(f"unknown drawing style {style!r}; choose one of {', '.join(STYLES)}")
    rng = np.random.default_rng([seed, 0xC0FFEE])
    random_style = STYLES[rng.choice(4, p=(0.4, 0.3, 0.12, 0.18))]
    style = style or random_style
    age = str(rng.choice(["adult", "adult", "adult", "adult", "child", "child", "old"]))
    sex = str(rng.choice(["woman", "man"]))
    colours = palette(rng, style, age)
    genes = dict(
        seed=seed,
        style=style,
        age=age,
        sex=sex,
        palette=colours,
        light=int(rng.choice([-1, 1])),
        locks=tuple(rng.uniform(-1, 1, 48).round(3).tolist()),
        parting=float(rng.choice([-1, 1]) * rng.uniform(0.15, 0.6)),
        volume=float(rng.uniform(0.06, 0.2)),
        ear_kind="round",
        earrings=bool(rng.random() < (0.4 if sex == "woman" else 0.06)),
        freckles=bool(rng.random() < 0.12),
        moustache=False,
        beard="none",
        lipstick=0.0,
        mark="none",
    )
    genes |= _head(rng, age, sex)
    genes |= _hair(rng, age, sex, style)
    genes |= {"anime": _anime, "western": _western, "rubberhose": _rubberhose, "flat": _flat}[style](rng, age, sex)
    genes |= _wardrobe(rng, age, sex, style)
    return Character(
        **{name: value.item() if isinstance(value, np.generic) else value for name, value in genes.items()}
    )


def _pick(rng: np.random.Generator, **weights: float) -> str:
    names = list(weights)
    share = np.array(list(weights.values()), float)
    return names[rng.choice(len(names), p=share / share.sum())]


def _head(rng, age, sex) -> dict:
    u = rng.uniform
    manly = sex == "man" and age != "child"
    return dict(
        width=u(0.70, 0.86) + (0.08 if age == "child" else 0),
        jaw=u(0.45, 1.0) if manly else u(0.15, 0.55),
        chin=u(0.14, 0.34) if manly else u(0.08, 0.2),
        cheek=u(0.2, 0.6) + (0.3 if age == "child" else 0),
        ear=u(0.16, 0.24),
        neck=u(0.38, 0.56) if manly else u(0.26, 0.34),
        shoulders=u(1.55, 2.1) if manly else u(1.1, 1.45) - (0.15 if age == "child" else 0),
    )


def _hair(rng, age, sex, style) -> dict:
    if sex == "woman":
        fringe = _pick(rng, spiky=2, blunt=2.4, parted=2, swept=2.5, curtains=2, up=1, curly=0.8)
        back = _pick(rng, short=1, bob=2.5, long=2.5, wavy=2, tails=1.5, ponytail=1.5, bun=1.2)
        back = "afro" if fringe == "curly" and rng.random() < 0.6 else back
    else:
        old = 3 if age == "old" else 0
        fringe = _pick(rng, spiky=4, blunt=1, parted=2, swept=2.5, curtains=1, up=2.5, curly=1, buzz=1, none=0.5 + old)
        back = _pick(rng, short=7, bob=0.5, long=0.7, ponytail=0.4)
        back = "afro" if fringe == "curly" and rng.random() < 0.4 else back
    if age == "child" and fringe in ("buzz", "none"):
        fringe = "spiky"
    if fringe in ("buzz", "none"):
        back = "none"
    if style == "rubberhose" and sex == "man" and rng.random() < 0.2:
        fringe, back = "none", "none"
    return dict(fringe=fringe, back=back)


def _wardrobe(rng, age, sex, style) -> dict:
    glasses = "none" if rng.random() < 0.84 else _pick(rng, round=1, square=1)
    hat = "none" if rng.random() < (0.55 if style == "rubberhose" else 0.9) else _pick(rng, cap=1, beanie=1, brim=1)
    if style == "rubberhose":
        hat = "bowler" if hat != "none" else "none"
        glasses = "none"
    wear = dict(glasses=glasses, hat=hat)
    wear["cloth"] = _pick(rng, tee=2, shirt=2, turtleneck=1.2, hoodie=1.2, suit=1.5, sailor=0.8, ruffle=0.8, scarf=1)
    return wear


def _anime(rng, age, sex) -> dict:
    """Choose between large-eyed faces and the long faces of adult adventure series."""
    u = rng.uniform
    grim = age == "old" or (age == "adult" and rng.random() < (0.55 if sex == "man" else 0.2))
    eye_h = u(0.085, 0.13) if grim else u(0.19, 0.30) + (0.03 if age == "child" else 0)
    genes = dict(
        line=u(0.015, 0.026),
        shade=rng.choice([0.0, 1.0, 1.0, 1.0]),
        width=u(0.62, 0.72) if grim else u(0.74, 0.88),
        chin=u(0.1, 0.24) if grim else u(0.03, 0.09),
        ear_kind="pointed" if rng.random() < 0.12 else "round",
        eye_kind="grim" if grim else "anime",
        eye_x=u(0.28, 0.33) if grim else u(0.34, 0.41),
        eye_y=u(0.05, 0.12) if grim else u(0.14, 0.24),
        eye_w=u(0.15, 0.18) if grim else u(0.18, 0.24),
        eye_h=eye_h,
        eye_tilt=u(-2, 12) if grim else u(-7, 9),
        lashes=1.0 if sex == "woman" else u(0.2, 0.6),
        brow_kind="angular" if grim else "thin",
        brow_weight=u(0.05, 0.10) if grim else u(0.02, 0.04),
        brow_tilt=u(4, 18) if grim else u(-8, 10),
        nose_kind="bridge" if grim else _pick(rng, dot=2, tick=2, none=0.4),
        nose_y=u(0.44, 0.50) if grim else u(0.42, 0.50),
        nose_size=u(0.10, 0.15) if grim else u(0.035, 0.07),
        mouth_y=u(0.66, 0.70),
        mouth_w=u(0.16, 0.24) if grim else u(0.10, 0.19),
        mouth_open=u(0.20, 0.30) if grim else u(0.18, 0.28),
        smile=u(0.0, 0.4) if grim else u(0.3, 0.9),
        lipstick=u(0.4, 1.0) if grim and sex == "woman" else 0.0,
        blush=0.0 if grim else rng.choice([0.0, 0.0, 1.0]),
        moustache=bool(grim and sex == "man" and rng.random() < 0.15),
        beard=_pick(rng, none=6, goatee=1, stubble=1) if grim and sex == "man" else "none",
        mark=_pick(rng, none=8, scar=1, tear=1) if grim else "none",
    )
    genes["brow_y"] = genes["eye_y"] - eye_h - (u(0.03, 0.07) if grim else u(0.10, 0.18))
    return genes


def _western(rng, age, sex) -> dict:
    u = rng.uniform
    kind = _pick(rng, ball=3, almond=3, dot=1)
    eye_w = {"ball": u(0.17, 0.25), "almond": u(0.15, 0.20), "dot": u(0.045, 0.06)}[kind]
    genes = dict(
        line=u(0.028, 0.048),
        shade=rng.choice([0.0, 0.0, 1.0]),
        width=u(0.68, 0.95),
        eye_kind=kind,
        eye_x=eye_w * u(1.0, 1.15) if kind == "ball" else u(0.28, 0.36),
        eye_y=u(-0.08, 0.1),
        eye_w=eye_w,
        eye_h=eye_w * (u(0.95, 1.3) if kind == "ball" else u(0.75, 1.1) if kind == "almond" else u(1.2, 1.8)),
        eye_tilt=0.0 if kind == "ball" else u(-3, 8),
        lashes=u(0.7, 1.0) if sex == "woman" else 0.0,
        brow_kind=_pick(rng, thick=2, thin=1, angular=1),
        brow_weight=u(0.04, 0.10) if sex == "man" else u(0.025, 0.05),
        brow_tilt=u(-8, 12),
        nose_kind=_pick(rng, bulb=2.5, hook=2, button=1.5, long=1),
        nose_y=u(0.32, 0.42),
        nose_size=u(0.10, 0.20) if sex == "man" else u(0.06, 0.13),
        mouth_y=u(0.62, 0.70),
        mouth_w=u(0.26, 0.42),
        mouth_open=u(0.28, 0.40),
        smile=u(0.1, 0.9),
        lipstick=u(0.4, 1.0) if sex == "woman" and age != "child" and rng.random() < 0.6 else 0.0,
        blush=rng.choice([0.0, 0.0, 0.6]),
        moustache=bool(sex == "man" and age != "child" and rng.random() < 0.18),
        beard=_pick(rng, none=5, full=1.2, goatee=0.6, stubble=1.2) if sex == "man" and age != "child" else "none",
    )
    genes["brow_y"] = genes["eye_y"] - genes["eye_h"] - u(0.07, 0.13) - (0.08 if kind == "dot" else 0)
    return genes


def _rubberhose(rng, age, sex) -> dict:
    u = rng.uniform
    beast = rng.random() < 0.5
    eye_w = u(0.12, 0.17)
    genes = dict(
        line=u(0.028, 0.040),
        shade=0.0,
        width=u(0.82, 1.0),
        cheek=u(0.7, 1.0),
        jaw=u(0.3, 0.6),
        chin=u(0.15, 0.3),
        ear_kind=_pick(rng, bear=1.2, cat=1, dog=1.2) if beast else "round",
        eye_kind="pie",
        eye_x=eye_w * u(1.15, 1.5),
        eye_y=u(-0.12, 0.0),
        eye_w=eye_w,
        eye_h=eye_w * u(1.6, 2.2),
        eye_tilt=0.0,
        lashes=1.0 if sex == "woman" else 0.0,
        brow_kind="thin",
        brow_weight=u(0.03, 0.05),
        brow_tilt=u(-12, 0),
        nose_kind="black" if beast else _pick(rng, black=1, bulb=2),
        nose_y=u(0.30, 0.38),
        nose_size=u(0.10, 0.15),
        mouth_y=u(0.62, 0.67),
        mouth_w=u(0.36, 0.50),
        mouth_open=u(0.34, 0.46),
        smile=u(0.4, 0.9),
        blush=0.0,
        glasses="none",
        shoulders=u(0.9, 1.2),
        neck=u(0.16, 0.24),
    )
    if beast:
        genes |= dict(fringe="none", back="none", freckles=False)
    genes["brow_y"] = genes["eye_y"] - genes["eye_h"] - u(0.08, 0.14)
    return genes


def _flat(rng, age, sex) -> dict:
    u = rng.uniform
    kind = _pick(rng, dot=3, bead=2, arc=0.4)
    genes = dict(
        line=rng.choice([0.0, 0.0, 0.012]),
        shade=rng.choice([0.0, 1.0, 2.0]),
        width=u(0.66, 0.88),
        jaw=u(0.2, 1.0),
        chin=u(0.2, 0.45),
        eye_kind=kind,
        eye_x=u(0.28, 0.38),
        eye_y=u(-0.02, 0.14),
        eye_w={"dot": u(0.05, 0.075), "bead": u(0.11, 0.15), "arc": 0.1}[kind],
        eye_h={"dot": u(0.06, 0.09), "bead": u(0.12, 0.17), "arc": 0.06}[kind],
        eye_tilt=0.0,
        lashes=u(0.5, 1.0) if sex == "woman" else 0.0,
        brow_kind=_pick(rng, thick=2, thin=1),
        brow_weight=u(0.03, 0.06),
        brow_tilt=u(-8, 8),
        nose_kind=_pick(rng, wedge=2, bar=2, ell=1),
        nose_y=u(0.34, 0.42),
        nose_size=u(0.09, 0.15),
        mouth_y=u(0.62, 0.68),
        mouth_w=u(0.20, 0.32),
        mouth_open=u(0.22, 0.32),
        smile=u(0.0, 0.4),
        lipstick=u(0.5, 1.0) if sex == "woman" and rng.random() < 0.35 else 0.0,
        blush=rng.choice([0.0, 1.0]),
        moustache=bool(sex == "man" and age != "child" and rng.random() < 0.2),
        beard=_pick(rng, none=3, full=1.5) if sex == "man" and age != "child" else "none",
    )
    genes["brow_y"] = genes["eye_y"] - genes["eye_h"] - u(0.08, 0.14)
    return genes


def vintage(given: Character) -> Character:
    """Return a character made over as one of western animation of the 1930s.

    Face and jaw are broad, the chin is heavy, the body large, the nose bulbous; beards, caps and bowlers are
    common. Colours, style, sex and age stay.
    """
    rng = np.random.default_rng([given.seed, 0x1930])
    u = rng.uniform
    kind = _pick(rng, pie=2, ball=1, dot=1.5)
    eye_w = {"pie": u(0.09, 0.17), "ball": u(0.13, 0.22), "dot": u(0.04, 0.07)}[kind]
    eye_h, eye_y = eye_w * u(1.0, 2.0), u(-0.2, 0.05)
    is_man = given.sex == "man" and given.age != "child"
    beast = given.ear_kind in ("bear", "cat", "dog")
    changes = dict(
        line=u(0.02, 0.05),
        width=u(0.66, 1.0),
        jaw=u(0.6, 1.0) if is_man else u(0.3, 0.8),
        chin=u(0.25, 0.6) if is_man else u(0.15, 0.35),
        cheek=u(0.2, 1.0),
        ear=u(0.18, 0.32),
        neck=u(0.2, 0.6),
        shoulders=u(1.4, 3.0) if is_man else u(0.9, 1.8),
        eye_kind=kind,
        eye_x=eye_w * u(1.0, 1.3) if kind != "dot" else u(0.14, 0.32),
        eye_y=eye_y,
        eye_w=eye_w,
        eye_h=eye_h,
        eye_tilt=0.0,
        brow_y=eye_y - eye_h - u(0.05, 0.14),
        brow_weight=u(0.03, 0.11),
        nose_kind="black" if beast else _pick(rng, bulb=4, black=1, long=1, hook=1, button=1),
        nose_y=u(0.24, 0.42),
        nose_size=u(0.10, 0.26),
        mouth_y=u(0.58, 0.74),
        mouth_w=u(0.22, 0.5),
        mouth_open=u(0.2, 0.46),
        beard=_pick(rng, none=2, stubble=2, full=3, goatee=1) if is_man and not beast else "none",
        moustache=bool(is_man and not beast and rng.random() < 0.3),
        hat=given.hat if beast else _pick(rng, none=2, cap=2, bowler=1, brim=1),
        glasses="none",
    )
    return replace(given, **changes)
