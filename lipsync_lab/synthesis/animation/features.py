"""Eyes, brows, noses, glasses and marks of a face, drawn in front view; the wrap of the cel turns them."""

from __future__ import annotations

import numpy as np

from lipsync_lab.synthesis.animation.cel import Cel, bow, curve, oval
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.palette import lighter, mix, shaded


def eyes(cel: Cel, character: Character, look: Look) -> None:
    """Draw both eyes, with the lids at the position of `look.blink`."""
    draw = {"ball": _ball, "pie": _ball, "dot": _dot, "bead": _ball, "arc": _arc}.get(character.eye_kind, _drawn_eye)
    for side in (-1, 1):
        draw(cel, character, look, side)


def _lid(character: Character, side: int, blink: float) -> tuple[np.ndarray, np.ndarray]:
    """Return upper and lower lid of an almond-shaped eye, from the inner to the outer corner."""
    x, y, w, h = character.eye_x, character.eye_y, character.eye_w, character.eye_h
    rise = np.sin(np.radians(character.eye_tilt)) * w
    grim = character.eye_kind == "grim"
    inner, outer = (x - w, y + rise + 0.12 * h), (x + w, y - rise)
    if grim:
        upper = [inner, (x - 0.45 * w, y - 0.55 * h + rise * 0.5), (x + 0.3 * w, y - h - rise * 0.2), outer]
        lower = [inner, (x - 0.35 * w, y + 0.62 * h + rise * 0.3), (x + 0.45 * w, y + 0.62 * h), outer]
    else:
        upper = [
            inner,
            (x - 0.70 * w, y - 0.55 * h + rise),
            (x - 0.1 * w, y - h),
            (x + 0.62 * w, y - 0.74 * h - rise),
            outer,
        ]
        lower = [inner, (x - 0.62 * w, y + 0.72 * h), (x + 0.05 * w, y + h), (x + 0.68 * w, y + 0.70 * h), outer]
    upper, lower = curve(upper), curve(lower)
    # Two lids of different length must meet: both are read at the same share of their way.
    share = np.linspace(0, 1, 25)
    upper, lower = _along(upper, share), _along(lower, share)
    closed = lower * 0.75 + upper * 0.25 + (0, 0.1 * h)
    return (upper + (closed - upper) * blink) * (side, 1), (lower + (closed - lower) * blink) * (side, 1)


def _along(line: np.ndarray, share: np.ndarray) -> np.ndarray:
    t = np.linspace(0, 1, len(line))
    return np.column_stack([np.interp(share, t, line[:, 0]), np.interp(share, t, line[:, 1])])


def _drawn_eye(cel: Cel, character: Character, look: Look, side: int) -> None:
    """Draw an eye with an iris: large and layered in anime, narrow in grim faces, rounder in western ones."""
    skin, kind = character.palette, character.eye_kind
    x, y, w, h = character.eye_x, character.eye_y, character.eye_w, character.eye_h
    upper, lower = _lid(character, side, min(look.blink, 1.0))
    lash = {"anime": 0.055, "grim": 0.034, "almond": 0.035}[kind] * (0.7 + 0.5 * character.lashes)
    ink = mix(skin.ink, (15, 8, 14), 0.6)
    if look.blink < 0.85:
        white = np.concatenate([upper, lower[::-1]])
        cel.fill(white, skin.white)
        with cel.inside(white):
            gx = side * x + look.gaze_x * look.side * w * 0.28 - 0.04 * w * side
            gy = y + look.gaze_y * h * 0.2 + (0.02 if kind == "anime" else -0.1 * h)
            ry = h * {"anime": 0.90, "grim": 0.72, "almond": 0.66}[kind]
            rx = min(w * {"anime": 0.62, "grim": 0.40, "almond": 0.52}[kind], ry * {"anime": 0.86}.get(kind, 1.0))
            iris(cel, character, gx, gy, rx, ry)
            cel.stroke(
                upper + (0, h * 0.16), mix(skin.white, skin.ink, 0.35), h * 0.16, (0.4, 0.6)
            ) if kind == "anime" else None
    if character.line or kind != "almond":
        cel.stroke(upper, ink, lash * 1.4, (0.35, 0.75))
        if look.blink < 0.85:
            part = lower[8:] if kind == "anime" else lower[4:]
            cel.stroke(part, ink, lash * 0.5, (0.05, 0.5))
    out = upper[-1]
    if character.lashes > 0.45:
        flick = lash * (3.2 if character.sex == "woman" else 1.6)
        cel.stroke(
            bow(out - (side * lash * 0.8, lash * 0.3), out + (side * flick * 0.8, -flick * 0.4), 0.15 * side),
            ink,
            lash * 1.3,
            (0.7, 0.0),
        )
        if character.sex == "woman" and kind != "grim":
            tip = upper[19]
            cel.stroke(bow(tip, tip + (side * flick * 0.7, -flick * 0.6), 0.15 * side), ink, lash * 0.7, (0.9, 0.0))
    if kind != "almond" or character.age == "old":
        crease = upper[5:22] + (0, -(0.035 + 0.1 * h))
        cel.stroke(crease, mix(skin.ink, skin.skin, 0.25), character.line * 0.8, (0.0, 0.1))
    if kind == "grim" and character.shade:
        under = lower[5:21] + (0, 0.055)
        cel.stroke(under, skin.skin_shade, 0.03, (0.0, 0.0))


def iris(cel: Cel, character: Character, x: float, y: float, rx: float, ry: float) -> None:
    """Draw iris, pupil and highlight."""
    skin = character.palette
    dark, base, light = shaded(skin.iris, 0.6), skin.iris, lighter(skin.iris, 0.5)
    cel.ellipse(x, y, rx, ry, mix(dark, (10, 8, 16), 0.3))
    cel.ellipse(x, y, rx * 0.86, ry * 0.9, base)
    if character.eye_kind == "anime":
        with cel.inside(oval(x, y, rx * 0.86, ry * 0.9)):
            cel.ellipse(x, y + ry * 1.0, rx * 0.95, ry * 0.72, light)
            cel.ellipse(x, y - ry * 0.9, rx * 1.2, ry * 0.85, dark)
        cel.ellipse(x, y - ry * 0.05, rx * 0.38, ry * 0.42, mix(dark, (8, 6, 14), 0.6))
        cel.ellipse(x - rx * 0.36, y - ry * 0.46, rx * 0.34, ry * 0.26, skin.white)
        cel.ellipse(x + rx * 0.40, y + ry * 0.50, rx * 0.17, ry * 0.13, skin.white)
    else:
        cel.ellipse(x, y, rx * 0.5, ry * 0.5, (14, 10, 14))
        cel.ellipse(x - rx * 0.3, y - ry * 0.36, rx * 0.26, ry * 0.26, skin.white)


def _ball(cel: Cel, character: Character, look: Look, side: int) -> None:
    """Draw an eyeball: of television comedy, a bead of flat design, or the pie eye of 1930."""
    skin, line = character.palette, character.line
    x, y, w, h = side * character.eye_x, character.eye_y, character.eye_w, character.eye_h
    white = oval(x, y, w, h)
    pie = character.eye_kind == "pie"
    if look.blink > 0.8 and pie:
        cel.stroke(bow((x - w, y + h * 0.1), (x + w, y + h * 0.1), -0.35), skin.ink, line * 1.4, (0.3, 0.3))
        return
    cel.fill(white, skin.white)
    with cel.inside(white):
        px, py = x + look.gaze_x * look.side * w * 0.45 - side * w * 0.12, y + look.gaze_y * h * 0.4
        if pie:
            py += 0.22 * h
            cel.ellipse(px, py, w * 0.58, h * 0.60, skin.iris)
            cut = np.radians(np.linspace(-72, -28, 5))
            cel.fill(
                [(px, py), *np.column_stack([px + w * 0.7 * np.cos(cut), py + h * 0.72 * np.sin(cut)])], skin.white
            )
        elif character.eye_kind == "bead":
            cel.ellipse(px, py, w * 0.55, w * 0.55, mix(skin.iris, (20, 14, 24), 0.6))
            cel.ellipse(px - w * 0.18, py - w * 0.2, w * 0.17, w * 0.17, skin.white)
        else:
            r = w * (0.24 + 0.1 * abs(character.locks[0]))
            cel.ellipse(px, py, r, r, (14, 10, 14))
            if character.locks[1] > 0:
                cel.ellipse(px - r * 0.3, py - r * 0.35, r * 0.32, r * 0.32, skin.white)
        drop = max(look.blink, 0.0 if pie else 0.18 + 0.14 * character.locks[2])
        if drop > 0.02:
            edge = y - h * 1.1 + 2.2 * h * drop
            lid = np.concatenate(
                [
                    bow((x - w * 1.2, edge), (x + w * 1.2, edge), 0.12 * (1 - 2 * drop)),
                    [(x + 2 * w, y - 2 * h), (x - 2 * w, y - 2 * h)],
                ]
            )
            cel.fill(lid, shaded(skin.skin, 0.1))
            if line:
                cel.stroke(lid[:9], skin.ink, line, (0.9, 0.9))
    if line:
        cel.outline(white, skin.ink, line)
    if character.lashes > 0.45:
        for k, angle in enumerate((-70, -48, -26)):
            a = np.radians(angle)
            root = np.array([x + side * w * np.cos(a), y + h * np.sin(a)])
            cel.stroke(
                bow(root, root + (side * 0.09 * np.cos(a), 0.10 * np.sin(a)), 0.2 * side),
                skin.ink if line else (40, 25, 35),
                0.03,
                (1, 0.2 + 0.1 * k),
            )


def _dot(cel: Cel, character: Character, look: Look, side: int) -> None:
    x, y, w, h = side * character.eye_x, character.eye_y, character.eye_w, character.eye_h
    dark = mix(character.palette.ink, (20, 14, 20), 0.7)
    x, y = x + look.gaze_x * look.side * 0.03, y + look.gaze_y * 0.02
    if look.blink > 0.6:
        cel.stroke(bow((x - w * 1.3, y), (x + w * 1.3, y), -0.25), dark, 0.035, (0.4, 0.4))
        return
    cel.ellipse(x, y, w, h * (1 - look.blink), dark)
    if character.style == "western":
        cel.ellipse(x - w * 0.3, y - h * 0.35, w * 0.35, h * 0.3, character.palette.white)
    if character.lashes > 0.45:
        for k in (0, 1):
            root = np.array([x + side * w * 0.7, y - h * (0.2 + 0.5 * k)])
            cel.stroke(bow(root, root + (side * 0.07, -0.03 - 0.04 * k), 0.15 * side), dark, 0.025, (1, 0.3))


def _arc(cel: Cel, character: Character, look: Look, side: int) -> None:
    """Draw a smiling, closed eye."""
    x, y = side * character.eye_x, character.eye_y
    cel.stroke(
        bow((x - 0.11, y + 0.03), (x + 0.11, y + 0.03), 0.7 - 1.0 * look.blink),
        mix(character.palette.ink, (20, 14, 20), 0.7),
        0.045,
        (0.5, 0.5),
    )


def brows(cel: Cel, character: Character, look: Look) -> None:
    """Draw the brows."""
    skin = character.palette
    colour = skin.hair if character.fringe != "none" or character.style == "rubberhose" else skin.hair_shade
    if character.style in ("anime", "western"):
        colour = mix(skin.hair_shade, skin.ink, 0.55)
    if character.style == "rubberhose":
        colour = skin.ink
    lift = 0.07 * look.brow
    tilt = np.radians(character.brow_tilt + 14 * max(0.0, -look.brow))
    length = max(character.eye_w * 1.05, 0.13)
    for side in (-1, 1):
        x, y = character.eye_x * 1.02, character.brow_y - lift
        inner = np.array([x - length * np.cos(tilt), y + length * np.sin(tilt)])
        outer = np.array([x + length * np.cos(tilt), y - length * np.sin(tilt) * 0.6])
        weight = character.brow_weight
        arch = 0.22 if character.brow_kind != "angular" else 0.1
        line = bow(inner, outer, arch, 0.6) * (side, 1)
        ends = {"thick": (0.75, 0.5), "thin": (0.5, 0.1), "angular": (1.0, 0.0)}[character.brow_kind]
        cel.stroke(line, colour, weight, ends)
    if look.brow < -0.4 and character.style in ("anime", "western"):
        for side in (-1, 1):
            cel.stroke(
                bow((side * 0.06, character.brow_y - 0.02), (side * 0.05, character.brow_y + 0.13), 0.1 * side),
                skin.ink,
                character.line * 0.8,
            )


def nose(cel: Cel, character: Character, look: Look) -> None:
    """Draw the nose, which protrudes and so moves further in a turn than other features."""
    kind, y, r = character.nose_kind, character.nose_y, character.nose_size
    skin, line = character.palette, character.line
    turn = np.sin(np.radians(min(abs(look.yaw), 60)))
    x = 0.22 * turn * (r + 0.08) / 0.2
    ink = skin.ink
    away = -1 if turn < 0.2 and character.light * look.side > 0 else 1
    if kind == "none":
        return
    if kind == "dot":
        cel.stroke([(x - 0.012, y - 0.008), (x + 0.012, y + 0.010)], mix(ink, skin.skin, 0.15), 0.035, (0.7, 0.7))
    elif kind == "tick":
        cel.stroke(bow((x + 0.015, y - r), (x + 0.02 + turn * 0.05, y), -0.15), ink, line * 0.9, (0.0, 0.7))
        cel.stroke(bow((x + 0.02 + turn * 0.05, y), (x - 0.03, y + 0.015), 0.1), ink, line * 0.8, (0.7, 0.0))
    elif kind == "bridge":
        top = character.eye_y - 0.02
        if character.shade:
            cel.fill(
                [
                    (away * 0.035 + x * 0.3, top),
                    (x, y - r * 0.5),
                    (x + away * r * 0.75, y - 0.01),
                    (x + away * 0.02, y + 0.035),
                    (x + away * 0.10 * (1 - turn), y - 0.1),
                ],
                skin.skin_shade,
            )
        if turn > 0.2:
            cel.stroke(
                curve([(x * 0.45 + 0.02, top), (x * 0.8, (top + y) / 2), (x + r * 0.45, y - 0.03)]),
                ink,
                line,
                (0.1, 0.7),
            )
        cel.stroke(
            curve(
                [
                    (x + r * 0.45 * (1 if turn > 0.2 else away), y - 0.03),
                    (x + away * 0.03, y + 0.035),
                    (x - away * r * 0.4, y),
                ]
            ),
            ink,
            line * 1.1,
            (0.4, 0.1),
        )
    elif kind in ("bulb", "button"):
        ry = r * (0.85 if kind == "bulb" else 0.7)
        ball = oval(x, y, r, ry)
        cel.fill(ball, mix(skin.skin, skin.blush, 0.6))
        cel.ellipse(x - r * 0.3, y - ry * 0.4, r * 0.3, ry * 0.22, lighter(skin.skin, 0.45))
        if line:
            open_part = np.roll(ball, 7, axis=0)[:29]  # the bridge runs into the face: no line at the top
            cel.stroke(open_part, ink, line, (0.5, 0.5))
    elif kind in ("hook", "long"):
        drop = 1.0 if kind == "hook" else 1.7
        shape = curve(
            [
                (x * 0.3 + 0.03, y - r * 1.6 * drop),
                (x + r * 0.75 * (0.5 + turn), y - 0.2 * r),
                (x + r * 0.5, y + r * 0.35),
                (x, y + r * 0.42),
                (x - r * 0.55, y + r * 0.2),
                (x - r * 0.5, y - 0.25 * r),
            ]
        )
        cel.fill(shape, mix(skin.skin, skin.blush, 0.35))
        cel.stroke(shape, ink, line, (0.2, 0.3))
    elif kind == "black":
        cel.ellipse(x, y, r * 1.15, r * 0.8, skin.ink)
        cel.ellipse(x - r * 0.35, y - r * 0.3, r * 0.32, r * 0.16, (250, 250, 250))
    elif kind == "wedge":
        cel.fill([(x * 0.4, y - r * 2.0), (x + r * 0.75, y), (x, y + r * 0.18)], skin.skin_shade)
    elif kind == "bar":
        cel.fill(oval(x, y - r * 0.6, r * 0.42, r * 1.2, power=3.5), mix(skin.skin, skin.skin_shade, 0.75))
    else:
        cel.stroke(
            np.concatenate(
                [
                    bow((x, y - r * 1.7), (x + r * 0.6, y - 0.02), 0.05),
                    bow((x + r * 0.6, y), (x - r * 0.15, y + 0.02), -0.1),
                ]
            ),
            mix(skin.skin_shade, skin.ink, 0.5),
            0.035,
            (0.5, 0.6),
        )


def marks(cel: Cel, character: Character) -> None:
    """Draw blush, freckles, scars, painted tears and wrinkles, below all other features."""
    skin, y = character.palette, (character.nose_y + character.mouth_y) / 2 - 0.06
    if character.blush:
        for side in (-1, 1):
            cel.ellipse(side * character.width * 0.58, y, 0.14, 0.085, mix(skin.skin, skin.blush, character.blush))
            if character.style == "anime":
                for k in (-1, 0, 1):
                    x = side * character.width * 0.58 + 0.05 * k
                    cel.stroke(
                        [(x + 0.02, y - 0.04), (x - 0.02, y + 0.04)],
                        mix(skin.blush, (200, 60, 60), 0.5),
                        0.014,
                        (0.4, 0.4),
                    )
    if character.freckles:
        for k in range(5):
            dx, dy = character.locks[k] * 0.1, character.locks[k + 5] * 0.05
            for side in (-1, 1):
                cel.ellipse(side * (character.width * 0.45 + dx), y - 0.04 + dy, 0.015, 0.015, shaded(skin.skin, 0.3))
    if character.mark == "scar":
        x = character.eye_x * character.light
        cel.stroke(
            bow((x - 0.05, character.eye_y - 0.32), (x + 0.06, character.eye_y + 0.34), 0.06),
            shaded(skin.skin, 0.35),
            0.035,
        )
    elif character.mark == "tear":
        x, y0 = character.eye_x * character.light, character.eye_y + character.eye_h + 0.06
        cel.fill(
            curve([(x, y0), (x + 0.045, y0 + 0.14), (x, y0 + 0.2), (x - 0.045, y0 + 0.14)], closed=True), skin.accent
        )
    if character.age == "old" and character.line:
        for side in (-1, 1):
            cel.stroke(
                bow(
                    (side * 0.16, character.nose_y + 0.05),
                    (side * (character.mouth_w + 0.12), character.mouth_y + 0.02),
                    0.12 * side,
                ),
                mix(skin.ink, skin.skin, 0.3),
                character.line * 0.8,
                (0.1, 0.2),
            )
            cel.stroke(
                bow(
                    (side * (character.eye_x - 0.1), character.eye_y + character.eye_h + 0.07),
                    (side * (character.eye_x + 0.12), character.eye_y + character.eye_h + 0.05),
                    -0.2 * side,
                ),
                mix(skin.ink, skin.skin, 0.4),
                character.line * 0.7,
            )


def glasses(cel: Cel, character: Character) -> None:
    """Draw the rims of glasses."""
    if character.glasses == "none":
        return
    colour = shaded(character.palette.accent, 0.55)
    w = max(character.eye_w, 0.14) + 0.06
    h = max(min(character.eye_h + 0.06, w * 1.1), w * 0.75)
    w = min(w, character.eye_x - 0.03)
    power = 2.0 if character.glasses == "round" else 4.5
    y = character.eye_y + 0.02
    for side in (-1, 1):
        cel.outline(oval(side * character.eye_x, y, w, h, power=power), colour, 0.035)
        cel.outline(
            [(side * (character.eye_x + w), y - 0.02), (side * character.width * 0.99, y - 0.06)],
            colour,
            0.03,
            closed=False,
        )
    cel.outline(bow((w - character.eye_x, y), (character.eye_x - w, y), 0.3), colour, 0.03, closed=False)
