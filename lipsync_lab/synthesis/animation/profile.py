"""Heads seen from the side, looking to the right: nose, lips and chin are the head's own contour here.

The gap between the lips is a notch in that contour, with the inside of the mouth behind it, so a profile is drawn anew
for every mouth. The chin keeps its place, as in limited animation.
"""

from __future__ import annotations

import numpy as np

from lipsync_lab.generation.cel.shapes import REST, MouthShape
from lipsync_lab.synthesis.animation.cel import Cel, bow, curve, oval
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.features import iris
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.lips import CLOSED, Mouth, measure
from lipsync_lab.synthesis.animation.palette import lighter, mix, shaded

#: How far each kind of nose stands out, relative to its size; balls are drawn on top instead.
_REACH = dict(dot=2.2, tick=2.2, none=2.2, bridge=1.5, hook=1.8, long=2.4, wedge=1.5, bar=1.3, ell=1.5)


def _front(character: Character) -> float:
    return 0.84 * character.width


def _notch(character: Character, pose: MouthShape) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return the edge of the upper lip, the corner, the edge of the lower lip, and the protrusion of the lips."""
    f, y = _front(character), character.mouth_y
    gap = 0.85 * pose.openness * character.mouth_open
    if gap < CLOSED:
        gap = 0.0
    depth = character.mouth_w * (0.62 + 0.5 * pose.width) * (1 - 0.4 * pose.rounding)
    push = 0.05 * pose.rounding
    x = f * 0.95 + push
    corner = np.array([x - depth, y - 0.10 * character.smile * depth + 0.15 * gap])
    return np.array([x, y - 0.40 * gap]), corner, np.array([x - 0.12 * gap, y + 0.60 * gap]), push


def outline(character: Character, pose: MouthShape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the closed contour, and the upper and lower side of the mouth, both from the corner to the front."""
    c, f, w = character, _front(character), character.width
    upper, corner, lower, push = _notch(c, pose)
    reach = max(_REACH.get(c.nose_kind, 0.45) * c.nose_size, 0.06)
    beast = c.nose_kind == "black"
    full = 0.012 + 0.03 * c.lipstick
    brow = min(c.brow_y + 0.05, c.eye_y - 0.12)
    y = c.nose_y
    above = curve(
        [
            (-0.10, -1.0),
            (0.48 * w, -0.90),
            (f * 0.96, -0.56),
            (f * 1.03, -0.30),
            (f * 1.02, brow),
            (f * (0.93 if c.style != "flat" else 0.99), c.eye_y + 0.02),
            (f + reach * 0.45, (c.eye_y + y) / 2 + 0.04),
        ]
    )
    tip = curve(
        [
            (f + reach * 0.45, (c.eye_y + y) / 2 + 0.04),
            (f + reach, y - 0.03),
            (f + reach * 0.8, y + 0.045),
            (f + 0.01, y + 0.085),
        ],
        steps=5,
    )
    lip = curve(
        [
            (f + 0.01, y + 0.085),
            (f * 0.97 + push, (y + 0.085 + upper[1] - 0.05) / 2),
            (upper[0] + 0.025 + full, upper[1] - 0.035 - full),
            upper,
        ],
        steps=5,
    )
    room = 0.90 - lower[1]
    chin = (f * (0.88 + 0.25 * c.chin), 0.89)
    lower_lip = (lower[0] + 0.02 + full, lower[1] + min(0.045 + full, room * 0.3))
    jaw = curve([lower, lower_lip, (f * 0.90, lower[1] + room * 0.55), chin])
    back = curve(
        [
            chin,
            (f * 0.76, 0.995),
            (f * 0.35, 0.93),
            (-0.10, 0.66 + 0.08 * c.jaw),
            (-0.26, 0.36),
            (-0.66 * w, 0.46),
            (-1.04 * w, 0.05),
            (-1.13 * w, -0.38),
            (-0.82 * w, -0.86),
            (-0.10, -1.0),
        ]
    )
    bend = 0.10 * min((lower[1] - upper[1]) / 0.06, 1.0)
    top, bottom = bow(corner, upper, bend), bow(corner, lower, -bend)
    if beast:  # a muzzle
        above[:, 0] *= 0.94
    return np.concatenate([above, tip, lip, top[::-1], bottom, jaw, back]), top, bottom


def box_outline(character: Character) -> np.ndarray:
    """Return the part of the contour in front of the ear, which bounds the face."""
    edge, _, _ = outline(character, REST)
    return np.concatenate([edge[edge[:, 0] > -0.05], [(-0.2, character.eye_y), (-0.2, 0.4)]])


def face(
    cel: Cel, character: Character, look: Look, pose: MouthShape, with_lips: bool = True
) -> tuple[Mouth, np.ndarray]:
    """Draw the head without hair: skin, mouth, nose, eye and brow. Return the mouth and the outline.

    Without lips, their colour and the line of a closed mouth are left out.
    """
    c, skin, line = character, character.palette, character.line
    edge, top, bottom = outline(c, pose)
    gap = bottom[-1, 1] - top[-1, 1]
    if gap > CLOSED:
        _inside(cel, c, pose, top, bottom)
    cel.fill(edge, skin.skin)
    beast = c.style == "rubberhose" and c.ear_kind in ("bear", "cat", "dog")
    with cel.inside(edge):
        if beast:
            cel.fill(edge, skin.hair)
            f = _front(c)
            cel.fill(
                curve(
                    [
                        (f * 1.6, -0.45),
                        (f * 0.75, -0.66),
                        (f * 0.30, -0.40),
                        (f * 0.38, 0.0),
                        (-0.05, 0.35),
                        (0.05, 0.8),
                        (f, 1.3),
                        (f * 2.2, 0.6),
                    ],
                    closed=True,
                ),
                skin.skin,
            )
        elif c.shade:
            away = c.light * look.side
            cel.fill(edge, skin.skin_shade)
            lit = outline(c, REST)[0]  # shade stays when the mouth opens
            cel.fill(lit - ((0.12 + 0.12 * abs(c.locks[5])) * away, 0.05), skin.skin)
        _cheek(cel, c)
        _beard(cel, c, top)
    around = [top, bottom]
    if c.lipstick and with_lips:
        colour = mix(skin.skin, skin.lips, 0.35 + 0.65 * c.lipstick)
        with cel.inside(edge):
            for root, sign in ((top[-1], -1), (bottom[-1], 1)):
                cel.fill(oval(root[0] - 0.02, root[1] + 0.03 * sign, 0.085, 0.05), colour)
    if line:
        cel.outline(edge, skin.ink, line)
        if gap <= CLOSED and with_lips:
            cel.stroke(top, skin.ink, max(line, 0.02) * 1.3, (0.1, 0.8))
    else:
        ink = mix(skin.skin_shade, skin.ink, 0.75)
        if gap <= CLOSED and with_lips:
            cel.stroke(top, ink, 0.026, (0.3, 0.8))
    if c.moustache:
        x, y, r = top[-1, 0], c.mouth_y - 0.05, 0.05
        shape = curve(
            [
                (x + 0.05, y - 1.9 * r),
                (x - 0.16, y - 1.6 * r),
                (x - 0.34, y + 0.6 * r),
                (x - 0.12, y + 0.1 * r),
                (x + 0.05, y - 0.4 * r),
            ],
            closed=True,
        )
        cel.shape(shape, skin.hair, skin.ink, line)
        around.append(shape)
    _nose(cel, c)
    _eye(cel, c, look)
    _brow(cel, c, look)
    # The lips' contour moves with the gap: it belongs to the mouth from under the nose to above the chin.
    front = edge[(edge[:, 1] > c.nose_y) & (edge[:, 1] < 0.91) & (edge[:, 0] > 0.6 * _front(c))]
    mouth = measure(cel, np.concatenate([*around, front]), top, bottom, line, at=-1)
    return mouth, edge


def _inside(cel: Cel, c: Character, pose: MouthShape, top: np.ndarray, bottom: np.ndarray) -> None:
    skin, gap = c.palette, bottom[-1, 1] - top[-1, 1]
    hollow = np.concatenate([top, bow(top[-1], bottom[-1], 0.12), bottom[::-1]])
    cel.fill(hollow, skin.mouth)
    with cel.inside(hollow):
        x = (bottom[0, 0] + bottom[-1, 0]) / 2
        cel.ellipse(
            x,
            bottom[-1, 1] - 0.1 * gap,
            0.6 * (bottom[-1, 0] - bottom[0, 0]),
            gap * (0.25 + 0.4 * pose.tongue),
            skin.tongue,
        )
        if pose.teeth > 0.05:
            deep = gap * (1.0 if pose.openness < 0.3 and pose.teeth > 0.5 else 0.12 + 0.26 * pose.teeth)
            band = top[2:]
            cel.fill(np.concatenate([band - (0, 0.03), (band + (0, deep))[::-1]]), skin.teeth)


def _cheek(cel: Cel, c: Character) -> None:
    if c.blush:
        cel.ellipse(
            0.42 * _front(c),
            (c.nose_y + c.mouth_y) / 2 - 0.06,
            0.13,
            0.085,
            mix(c.palette.skin, c.palette.blush, c.blush),
        )
    if c.freckles:
        for k in range(5):
            cel.ellipse(
                0.55 * _front(c) + 0.1 * c.locks[k],
                c.nose_y + 0.02 + 0.05 * c.locks[k + 5],
                0.015,
                0.015,
                shaded(c.palette.skin, 0.3),
            )


def _beard(cel: Cel, c: Character, top: np.ndarray) -> None:
    skin, x, y = c.palette, top[0, 0], c.mouth_y
    if c.beard == "none":
        return
    colour = mix(skin.skin, skin.hair_shade, 0.28) if c.beard == "stubble" else skin.hair
    if c.beard == "goatee":
        cel.fill(curve([(x + 0.12, 0.86), (x + 0.4, 0.8), (x + 0.5, 1.2), (x, 1.2)], closed=True), colour)
        return
    f = _front(c)
    patch = curve(
        [
            (-0.22, 0.08),
            (-0.02, 0.10),
            (0.10, y - 0.22),
            (x - 0.12, y - 0.10),
            (x - 0.03, y + 0.13),
            (f * 1.2, y + 0.17),
            (f * 1.4, 1.3),
            (-0.5, 1.3),
        ],
        closed=True,
    )
    cel.shape(patch, colour, None if c.beard == "stubble" else skin.ink, c.line * 0.8)


def _nose(cel: Cel, c: Character) -> None:
    skin, f, y, r = c.palette, _front(c), c.nose_y, c.nose_size
    if c.nose_kind in ("bulb", "button"):
        ball = oval(f + 0.45 * r, y - 0.02, r * 0.95, r * 0.8)
        cel.fill(ball, mix(skin.skin, skin.blush, 0.6))
        cel.ellipse(f + 0.25 * r, y - 0.3 * r, r * 0.3, r * 0.2, lighter(skin.skin, 0.45))
        if c.line:
            cel.stroke(np.roll(ball, 14, axis=0)[:29], skin.ink, c.line, (0.5, 0.5))
    elif c.nose_kind == "black":
        cel.ellipse(f + 0.5 * r, y - 0.03, r, r * 0.8, skin.ink)
        cel.ellipse(f + 0.4 * r, y - 0.35 * r, r * 0.3, r * 0.16, (250, 250, 250))
    elif c.line:
        reach = max(_REACH[c.nose_kind] * r, 0.06)
        cel.stroke(bow((f + reach * 0.15, y + 0.0), (f - 0.02, y + 0.055), 0.4), skin.ink, c.line * 0.8, (0.2, 0.6))


def _eye(cel: Cel, c: Character, look: Look) -> None:
    skin, f, y, w, h = c.palette, _front(c), c.eye_y, c.eye_w, c.eye_h
    ink = mix(skin.ink, (15, 8, 14), 0.6)
    if c.eye_kind == "dot":
        x = 0.66 * f
        if look.blink > 0.6:
            cel.stroke(bow((x - w * 1.3, y), (x + w * 1.3, y), -0.25), ink, 0.035, (0.4, 0.4))
        else:
            cel.ellipse(x, y, w * 0.85, h * (1 - look.blink), ink)
        return
    if c.eye_kind == "arc":
        cel.stroke(bow((0.5 * f, y + 0.03), (0.74 * f, y + 0.03), 0.7 - look.blink), ink, 0.045, (0.5, 0.5))
        return
    if c.eye_kind in ("ball", "bead", "pie"):
        x = (0.74 if c.eye_kind != "bead" else 0.64) * f
        white = oval(x, y, w * 0.72, h)
        if look.blink > 0.8:
            cel.fill(white, shaded(skin.skin, 0.1) if c.eye_kind == "ball" else skin.skin)
            cel.stroke(bow((x - w * 0.7, y), (x + w * 0.7, y), -0.35), skin.ink, max(c.line, 0.03), (0.3, 0.3))
        else:
            cel.fill(white, skin.white)
            with cel.inside(white):
                px, py = (
                    x + w * (0.34 + 0.15 * look.gaze_x * look.side),
                    y + 0.3 * h * look.gaze_y + (0.2 * h if c.eye_kind == "pie" else 0),
                )
                rx, ry = (w * 0.36, h * 0.58) if c.eye_kind == "pie" else (w * 0.24, w * 0.32)
                cel.ellipse(px, py, rx, ry, (14, 10, 14))
                if c.eye_kind == "ball":
                    cel.fill(
                        [
                            (x - w, y - h * 1.1),
                            (x + w, y - h * 1.1),
                            (x + w, y - h * (0.72 - 1.5 * look.blink)),
                            (x - w, y - h * (0.55 - 1.5 * look.blink)),
                        ],
                        shaded(skin.skin, 0.1),
                    )
        if c.line:
            cel.outline(white, skin.ink, c.line)
        return
    x1, x2 = 0.80 * f, 0.80 * f - 1.25 * w
    lids = np.array([(x2, y + 0.1 * h), ((x1 + x2) / 2, y - 0.75 * h), (x1, y - h)])
    low = np.array([(x2, y + 0.1 * h), ((x1 + x2) / 2, y + 0.75 * h), (x1 - 0.05, y + 0.85 * h)])
    upper, lower = curve(lids), curve(low)
    shut = lower * 0.8 + upper * 0.2
    upper = upper + (shut - upper) * look.blink
    lash = {"anime": 0.055, "grim": 0.034, "almond": 0.035}[c.eye_kind] * (0.7 + 0.5 * c.lashes)
    if look.blink < 0.85:
        white = np.concatenate([upper, bow(upper[-1], lower[-1], 0.12), lower[::-1]])
        cel.fill(white, skin.white)
        with cel.inside(white):
            ry = h * (0.88 if c.eye_kind == "anime" else 0.66)
            rx = min(0.36 * w, ry * 0.6)
            iris(cel, c, x1 - 0.03 - rx * 0.8 + 0.06 * look.gaze_x * look.side, y + 0.12 * h * look.gaze_y, rx, ry)
        cel.stroke(lower[2:], ink, lash * 0.45, (0.1, 0.4))
    cel.stroke(upper, ink, lash * 1.4, (0.5, 0.9))
    if c.lashes > 0.45:
        root = upper[-1]
        cel.stroke(bow(root, root + (0.09, -0.035), -0.2), ink, lash, (1, 0))
    cel.stroke(upper[2:-1] - (0, 0.03 + 0.1 * h), mix(skin.ink, skin.skin, 0.25), c.line * 0.8, (0.0, 0.1))


def _brow(cel: Cel, c: Character, look: Look) -> None:
    skin, f = c.palette, _front(c)
    colour = (
        skin.ink
        if c.style == "rubberhose"
        else skin.hair
        if c.style == "flat"
        else mix(skin.hair_shade, skin.ink, 0.55)
    )
    tilt = np.radians(c.brow_tilt + 14 * max(0.0, -look.brow))
    long, y = max(c.eye_w * 1.6, 0.2), c.brow_y - 0.07 * look.brow
    inner = np.array([f * 0.97, y + 0.5 * long * np.sin(tilt)])
    outer = np.array([f * 0.97 - long, y - 0.2 * long * np.sin(tilt)])
    ends = {"thick": (0.75, 0.5), "thin": (0.5, 0.1), "angular": (1.0, 0.0)}[c.brow_kind]
    cel.stroke(bow(outer, inner, 0.18, 0.5)[::-1], colour, c.brow_weight, ends)
