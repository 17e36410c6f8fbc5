"""Colours of a character, and colour arithmetic for cel shading."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from lipsync_lab.synthesis.animation.cel import Colour


@dataclass(frozen=True)
class Palette:
    """RGB colours of a character, 0 to 255. `ink` is the colour of lines."""

    skin: Colour
    skin_shade: Colour
    blush: Colour
    hair: Colour
    hair_shade: Colour
    hair_light: Colour
    ink: Colour
    white: Colour
    iris: Colour
    lips: Colour
    mouth: Colour
    tongue: Colour
    teeth: Colour
    cloth: Colour
    cloth_shade: Colour
    trim: Colour
    accent: Colour


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the colour of a hue (in turns, any number), saturation and value (0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours: `first` at a share of 0, `second` at a share of 1."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    red, green, blue = np.clip(np.rint(a + (b - a) * share), 0, 255).astype(int).tolist()
    return red, green, blue


def shaded(colour: Colour, depth: float = 0.22) -> Colour:
    """Return the shadow of a colour: darker, more saturated, and with the hue towards violet as in cel painting."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    towards = (0.97 if hue < 0.22 or hue > 0.8 else 0.7) - hue
    towards = (towards + 0.5) % 1.0 - 0.5
    return hsv(
        hue + 0.12 * towards * (depth / 0.22),
        saturation * (1 + 0.5 * depth) + 0.06 * min(saturation / 0.15, 1.0),
        value * (1 - depth),
    )


def lighter(colour: Colour, amount: float = 0.35) -> Colour:
    """Mix a colour with white."""
    return mix(colour, (255, 255, 255), amount)


#: Hue, saturation and value of people's skins, from pale to dark.
_SKINS = (
    (0.065, 0.14, 1.0),
    (0.07, 0.20, 0.99),
    (0.075, 0.28, 0.97),
    (0.07, 0.36, 0.93),
    (0.075, 0.42, 0.84),
    (0.065, 0.48, 0.70),
    (0.06, 0.52, 0.56),
    (0.055, 0.50, 0.42),
)
#: And of those who are not people: blue, green, gray, violet, lime, red, yellow.
_STRANGE = (
    (0.57, 0.40, 0.88),
    (0.40, 0.38, 0.80),
    (0.60, 0.06, 0.72),
    (0.76, 0.30, 0.85),
    (0.25, 0.45, 0.85),
    (0.01, 0.55, 0.86),
    (0.135, 0.72, 1.0),
)
_NATURAL_HAIR = (
    (0.07, 0.6, 0.16),
    (0.06, 0.6, 0.30),
    (0.06, 0.62, 0.45),
    (0.11, 0.5, 0.90),
    (0.04, 0.75, 0.68),
    (0.6, 0.05, 0.78),
)


def palette(rng: np.random.Generator, style: str, age: str = "adult") -> Palette:
    """Return random colours for a character of a style and age."""
    if style == "rubberhose":
        return _monochrome(rng)

    def jitter(colour, hue=0.012, rest=0.04):
        return hsv(*(np.asarray(colour) + rng.normal(0, (hue, rest, rest))))

    strange = rng.random() < {"anime": 0.10, "western": 0.24, "flat": 0.25}[style]
    row = _STRANGE[rng.integers(len(_STRANGE))] if strange else _SKINS[min(int(rng.beta(1.1, 1.6) * 8), 7)]
    skin = jitter(row, 0.006, 0.02)
    if rng.random() < {"anime": 0.55, "western": 0.3, "flat": 0.5}[style]:
        hair = hsv(rng.random(), rng.uniform(0.25, 0.75), rng.uniform(0.35, 0.97))
    else:
        dark = 3 if row[2] < 0.6 and not strange else len(_NATURAL_HAIR)
        hair = jitter(_NATURAL_HAIR[rng.integers(dark)])
    if age == "old":
        hair = mix(hair, hsv(0.6, 0.04, rng.uniform(0.7, 0.92)), rng.uniform(0.6, 1.0))
    hair_value = max(hair) / 255
    depth = rng.uniform(0.16, 0.3)
    cloth = hsv(rng.random(), rng.uniform(0.15, 0.8), rng.uniform(0.25, 0.95))
    trim = hsv(rng.random(), rng.uniform(0.0, 0.8), rng.uniform(0.5, 1.0))
    if style == "anime":
        ink = mix(shaded(shaded(skin, 0.5), 0.45), (20, 10, 20), rng.uniform(0.2, 0.9))
    elif style == "western":
        ink = mix((12, 10, 12), shaded(skin, 0.6), rng.choice([0.0, 0.0, 0.5]))
    else:
        ink = mix(shaded(skin, 0.55), (30, 25, 50), rng.uniform(0.2, 0.8))
    lips = mix(shaded(skin, 0.2), hsv(rng.choice([0.97, 0.99, 0.93]), 0.7, 0.8), rng.uniform(0.45, 0.85))
    return Palette(
        skin=skin,
        skin_shade=shaded(skin, depth),
        blush=mix(skin, (245, 90, 90), 0.32),
        hair=hair,
        hair_shade=shaded(hair, 0.3) if hair_value > 0.3 else mix(hair, (0, 0, 0), 0.45),
        hair_light=lighter(hair, 0.45) if hair_value > 0.3 else mix(hair, hsv(rng.random(), 0.35, 0.8), 0.55),
        ink=ink,
        white=(255, 255, 255) if rng.random() < 0.8 else (250, 246, 232),
        iris=hsv(rng.random(), rng.uniform(0.45, 0.9), rng.uniform(0.45, 0.85)),
        lips=lips,
        mouth=mix((70, 12, 24), (25, 8, 14), rng.random()),
        tongue=mix((205, 80, 90), (232, 120, 120), rng.random()),
        teeth=(255, 255, 255) if rng.random() < 0.7 else (250, 245, 228),
        cloth=cloth,
        cloth_shade=shaded(cloth, 0.26),
        trim=trim,
        accent=hsv(rng.random(), 0.75, 0.85),
    )


def _monochrome(rng: np.random.Generator) -> Palette:
    """Return the greys of a film of 1930, sometimes with a warm tint."""
    tint = np.array([1.0, *(rng.choice([(1.0, 1.0), (0.985, 0.95), (0.97, 0.9)]))])

    def grey(value: float) -> Colour:
        red, green, blue = np.clip(value * tint, 0, 255).astype(int).tolist()
        return red, green, blue

    skin = rng.uniform(205, 248)
    hair = rng.choice([16.0, 16.0, 24.0, 60.0, 150.0])
    cloth = rng.choice([20.0, 90.0, 140.0, 190.0])
    return Palette(
        skin=grey(skin),
        skin_shade=grey(skin * 0.82),
        blush=grey(skin * 0.9),
        hair=grey(hair),
        hair_shade=grey(hair * 0.7),
        hair_light=grey(min(hair + 75, 245)),
        ink=grey(12),
        white=grey(252),
        iris=grey(14),
        lips=grey(60),
        mouth=grey(14),
        tongue=grey(140),
        teeth=grey(250),
        cloth=grey(cloth),
        cloth_shade=grey(cloth * 0.75),
        trim=grey(rng.uniform(150, 250)),
        accent=grey(rng.uniform(40, 220)),
    )
