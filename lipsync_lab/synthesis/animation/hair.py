"""Hair, hats and what hangs behind a head, for every turn of it.

A fringe is a row of locks rooted on the skull's cylinder by angle (0 in front, +-90 at the ears), so that it turns with
the face; the hair above is bounded by an ellipse a little larger than the skull.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from lipsync_lab.synthesis.animation.cel import Cel, bow, curve, oval
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.palette import lighter, mix, shaded


def _turned(character: Character, look: Look, angle, y) -> np.ndarray:
    """Return points on the cylinder of the hair, from angles in degrees and heights in head units."""
    angle = np.clip(np.asarray(angle, float) + 0.9 * min(abs(look.yaw), 95.0), -92, 92)
    radius = (character.width + 0.02) * np.where(np.asarray(y) < -0.5, 0.97, 1.0)
    x = radius * np.sin(np.radians(angle)) - 0.10 * np.sin(np.radians(abs(look.yaw)))
    return np.column_stack([x, np.asarray(y, float) + 0.05 * look.nod])


#: Locks of each fringe: angles of the roots, height of roots and tips; None follows from the genes.
def _fringe(character: Character, look: Look) -> list[tuple[float, float, float, float, float]]:
    """Return rows of (start angle, end angle, tip angle, root height, tip height), from left to right."""
    c, side = character, look.side
    r = np.asarray(c.locks)
    low = min(c.brow_y + 0.05, -0.06)
    if c.fringe == "spiky":
        n = 5 + int(abs(r[0]) * 4)
        edges = np.linspace(-88, 88, n + 1) + np.concatenate([[0], r[1:n] * 6, [0]])
        lean = 10 * r[20]
        rows = [
            (
                a,
                b,
                (a + b) / 2 + lean + 7 * r[10 + k],
                -0.46 - 0.14 * np.cos(np.radians(a)),
                low + 0.16 * r[22 + k] + 0.24 * abs((a + b) / 176) ** 2,
            )
            for k, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True))
        ]
        rows[0] = (*rows[0][:3], rows[0][3], 0.34 + 0.1 * r[30])
        rows[-1] = (*rows[-1][:3], rows[-1][3], 0.34 + 0.1 * r[31])
    elif c.fringe == "blunt":
        n = 5
        edges = np.linspace(-64, 64, n + 1)
        y = low + 0.03
        rows = [
            (a, b, (a + b) / 2 + 3 * r[k], y - 0.16, y + 0.03 * r[k + 8])
            for k, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True))
        ]
        rows = [(-90, -64, -80, -0.3, 0.55 + 0.1 * r[3]), *rows, (64, 90, 80, -0.3, 0.55 + 0.1 * r[3])]
    elif c.fringe in ("parted", "swept"):
        part = 55 * c.parting
        tall = -0.60
        if c.fringe == "swept":
            part = 62 * np.sign(part)
        rows = [
            (-90, -62, -84, -0.35, 0.30),
            (-62, part, -70 if part > 0 else -50, tall, low + 0.10),
            (part, 62, 70 if part < 0 else 50, tall, low + 0.10),
            (62, 90, 84, -0.35, 0.30),
        ]
        if c.fringe == "swept":
            cut = np.linspace(-62, 62, 5)
            lean = -14 if part > 0 else 14
            rows = [
                rows[0],
                *[
                    (a, b, (a + b) / 2 + lean, -0.52, low + 0.05 + 0.10 * r[k])
                    for k, (a, b) in enumerate(zip(cut[:-1], cut[1:], strict=True))
                ],
                rows[3],
            ]
        else:
            rows = [row for row in rows if row[1] - row[0] > 8]
    elif c.fringe == "curtains":
        part = 20 * c.parting
        rows = [
            (-90, -50, -78, -0.4, 0.42),
            (-50, part, -58, -0.66, 0.02),
            (part, 50, 58, -0.66, 0.02),
            (50, 90, 78, -0.4, 0.42),
        ]
    elif c.fringe == "curly":
        edges = np.linspace(-90, 90, 8)
        rows = [
            (a, b, (a + b) / 2, -0.40 + 0.3 * abs(a + b) / 180, -0.40 + 0.3 * abs(a + b) / 180 + 0.14)
            for a, b in zip(edges[:-1], edges[1:], strict=True)
        ]
    else:  # up and buzz: a hairline without locks
        peak = -0.52 if c.fringe == "up" else -0.46
        rows = [
            (-90, -66, -82, -0.2, 0.16),
            (-66, 0, -40, peak, peak + 0.03),
            (0, 66, 40, peak, peak + 0.03),
            (66, 90, 82, -0.2, 0.16),
        ]
    if side < 0:
        rows = [(-b, -a, -t, y, tip) for a, b, t, y, tip in rows[::-1]]
    return rows


def _locks(character: Character, look: Look) -> list[np.ndarray]:
    """Return the edge of each lock, from its left root over the tip to its right root."""
    locks = []
    for a, b, tip, root, end in _fringe(character, look):
        (start, stop), (point,) = _turned(character, look, [a, b], [root, root]), _turned(character, look, [tip], [end])
        if stop[0] - start[0] < 0.01:
            continue
        if character.fringe == "curly":
            locks.append(curve([start, point, stop]))
        else:
            bend = 0.10 if character.fringe != "blunt" else 0.03
            locks.append(np.concatenate([bow(start, point, -bend, 0.6), bow(point, stop, -bend, 0.4)]))
    return locks


def _outer(character: Character, look: Look) -> np.ndarray:
    """Return the silhouette of the hair, from the right side over the crown to the left."""
    c, turn = character, np.sin(np.radians(abs(look.yaw)))
    r = np.asarray(c.locks)
    v = 0.03 if c.fringe == "buzz" else c.volume
    rx, ry = c.width + 0.04 + 0.45 * v + 0.07 * turn, 0.92 + v
    center = np.array([-0.14 * turn, -0.10])
    spiky = c.fringe == "spiky" and c.style != "flat"
    start, end = np.radians(-4), np.radians(184 + 22 * turn)
    if c.fringe == "curly":
        knots = np.linspace(start, end, 15)
        ring = center + np.column_stack([rx * np.cos(knots), -ry * np.sin(knots)])
        return np.concatenate([bow(a, b, -0.4, steps=7) for a, b in zip(ring[:-1], ring[1:], strict=True)])
    if spiky or (c.fringe == "up" and c.locks[9] > 0 and c.style != "flat"):
        n = 6 + int(4 * abs(r[2]))
        knots = np.linspace(start, end, n + 1)
        parts = []
        for k, (a, b) in enumerate(zip(knots[:-1], knots[1:], strict=True)):
            comb = 0.12 * (np.pi / 2 - (a + b) / 2) if spiky else -0.05
            long = 1.12 + 0.18 * abs(r[k]) + (0.10 if not spiky else 0)
            middle = (a + b) / 2 - comb
            tip = center + (rx * long * np.cos(middle), -ry * long * np.sin(middle))
            left, right = (center + (rx * np.cos(q), -ry * np.sin(q)) for q in (a, b))
            parts += [bow(left, tip, 0.16), bow(tip, right, 0.12)]
        return np.concatenate(parts)
    knots = np.linspace(start, end, 28)
    ring = center + np.column_stack([rx * np.cos(knots), -ry * np.sin(knots)])
    if c.fringe == "up":  # a crest
        lift = np.clip(np.sin(knots + 0.35 * np.sign(c.parting) * look.side * (1 - turn) - 0.5 * turn), 0, 1) ** 1.5 * (
            0.09 + 0.07 * r[4]
        )
        ring = ring - np.column_stack([-0.8 * turn * lift, lift])
    return ring


def _round_the_ear(character: Character, look: Look) -> np.ndarray:
    """Return the edge of the hair from the nape to the temple, behind a visible ear."""
    if look.view == "front":
        return np.empty((0, 2))
    ear = -0.02 if look.view == "profile" else 0.02 - character.width * np.cos(np.radians(look.yaw))
    nape = 0.52 if look.view == "profile" else 0.42
    return curve([(ear - 0.34, nape), (ear - 0.13, nape - 0.08), (ear - 0.12, 0.05), (ear - 0.13, -0.2)])


def _under_the_hat(character: Character, rim: np.ndarray) -> np.ndarray:
    """Flatten the silhouette under a hat."""
    if character.hat == "none":
        return rim
    brim = -0.72 if character.hat in ("bowler", "brim") else -0.62
    return np.column_stack([rim[:, 0], np.maximum(rim[:, 1], brim)])


def front(cel: Cel, character: Character, look: Look, edge: np.ndarray) -> None:
    """Draw the hair on skull and forehead with shade, strands and shine; `edge` is the outline of the head."""
    c, skin = character, character.palette
    if c.fringe == "none":
        return
    locks = _locks(c, look)
    rim = np.concatenate([_under_the_hat(c, _outer(c, look)), _round_the_ear(c, look)])
    roots = np.concatenate([lock[[0, -1]] for lock in locks])
    # Locks may overlap, so they are painted one by one; each reaches up into the hair to leave no seam.
    pieces = [np.concatenate([rim, roots])]
    pieces += [np.concatenate([lock, lock[[-1, 0]] - (0, 0.06)]) for lock in locks]
    if c.shade and c.fringe != "buzz":
        with cel.inside(edge):
            for piece in pieces:
                cel.fill(piece + (0.02 * c.light * look.side, 0.055), skin.skin_shade)
    colour = mix(skin.skin, skin.hair, 0.75) if c.fringe == "buzz" else skin.hair
    for piece in pieces:
        cel.fill(piece, colour)
    with cel.inside(*pieces):
        _shading(cel, c, look)
    if c.line:
        ink = mix(skin.ink, skin.hair_shade, 0.35)
        cel.outline(np.concatenate([locks[-1][-1:], rim, locks[0][:1]]), ink, c.line, closed=False)
        for lock in locks:
            cel.outline(lock, ink, c.line, closed=False)
        if c.fringe not in ("buzz", "curly"):
            _strands(cel, c, look)


def _shading(cel: Cel, c: Character, look: Look) -> None:
    skin, turn = c.palette, np.sin(np.radians(abs(look.yaw)))
    away = c.light * look.side
    if c.shade and c.style != "flat":
        rim = curve(
            [
                (away * c.width * 0.52, -1.3),
                (away * c.width * 0.78, -0.6),
                (away * c.width * 0.72, 0.0),
                (away * c.width * 0.85, 0.8),
            ]
        )
        cel.fill(np.concatenate([rim, [(away * 2, 0.8), (away * 2, -1.3)]]), skin.hair_shade)
    if c.style == "anime" and c.fringe not in ("buzz", "curly"):
        # The halo that cel painters give to hair: a band with a toothed edge.
        n = 13
        x = np.linspace(-0.80, 0.80, n) * c.width - 0.1 * turn
        y = -0.66 + 0.42 * (np.linspace(-1, 1, n) ** 2) - 0.6 * (c.volume - 0.1)
        tooth = 0.05 + 0.09 * np.abs(np.asarray(c.locks[:n]))
        tooth[1::2] *= 0.15
        cel.fill(
            np.concatenate(
                [np.column_stack([x, y - tooth]), np.column_stack([x, y + tooth[::-1] * 0.9 + 0.045])[::-1]]
            ),
            skin.hair_light,
        )
    elif c.style == "western" and c.fringe not in ("buzz", "curly") and c.locks[12] > -0.3:
        x = -away * c.width * 0.45
        cel.stroke(bow((x - 0.16, -0.70), (x + 0.22, -0.86), 0.2), skin.hair_light, 0.07, (0.0, 0.0))
    elif c.style == "rubberhose":
        x = -away * c.width * 0.4
        cel.stroke(bow((x - 0.12, -0.72), (x + 0.16, -0.86), 0.2), skin.hair_light, 0.06, (0.2, 0.0))


def _strands(cel: Cel, c: Character, look: Look) -> None:
    """Draw lines from where locks meet towards the crown."""
    ink = mix(c.palette.ink, c.palette.hair_shade, 0.35)
    crown = np.array([-0.12 * np.sin(np.radians(abs(look.yaw))) + 0.2 * c.parting * look.side, -0.98 - 0.7 * c.volume])
    for a, b, _tip, root, _end in _fringe(c, look)[:-1]:
        start, stop = _turned(c, look, [a, b], [root, root])
        if stop[0] - start[0] < 0.06:
            continue
        way = stop + (crown - stop) * 0.5
        cel.stroke(bow(stop, way, 0.10 * np.sign(stop[0] - crown[0])), ink, c.line * 1.1, (0.9, 0.0))


def behind(cel: Cel, character: Character, look: Look) -> None:
    """Draw the hair behind head and shoulders."""
    c, skin, back = character, character.palette, character.back
    if c.fringe == "none" or back in ("none",):
        return
    turn = np.sin(np.radians(abs(look.yaw)))
    r = c.locks
    x = -0.26 * turn
    w = c.width + 0.06 + 0.6 * c.volume
    far = 0.25 * turn + 0.45 * (look.view == "profile")  # less shows on the side looked to
    inked = partial(cel.shape, ink=mix(skin.ink, skin.hair_shade, 0.35), width=c.line)
    dark = skin.hair_shade
    if back == "short":
        nape = curve(
            [
                (x - w * 0.92, -0.3),
                (x - w * 0.98, 0.2),
                (x - w * 0.72, 0.62),
                (x, 0.72),
                (x + w * 0.72 - 0.5 * turn, 0.62),
                (x + w * 0.98 - 0.7 * turn, 0.2),
                (x + w * 0.92 - 0.4 * turn, -0.3),
            ]
        )
        inked(nape, dark)
    elif back == "afro":
        knots = np.linspace(0, 2 * np.pi, 19)
        radius = 1.18 + 1.2 * c.volume
        ring = np.column_stack([x * 0.6 + radius * (w + 0.06) * np.cos(knots), -0.28 - radius * 0.98 * np.sin(knots)])
        inked(np.concatenate([bow(a, b, -0.36, steps=6) for a, b in zip(ring[:-1], ring[1:], strict=True)]), skin.hair)
    elif back in ("bob", "long", "wavy"):
        length = {"bob": 0.72 + 0.28 * abs(r[14]), "long": 1.9 + 0.8 * abs(r[14]), "wavy": 1.4 + 0.6 * abs(r[14])}[back]
        flare = {"bob": 0.12, "long": 0.10, "wavy": 0.34}[back]
        levels = np.concatenate([[-0.5], np.linspace(-0.12, length, 5)])
        wave = (
            (0.09 * np.sin(np.arange(6) * 2.3) if back == "wavy" else 0)
            + flare * np.linspace(0, 1, 6) ** 1.5
            - 0.2 * w * (np.arange(6) == 0)
        )
        sides = [np.column_stack([x + side * (w * 0.98 + wave) - (far if side > 0 else 0), levels]) for side in (1, -1)]
        tips = np.linspace(sides[0][-1, 0], sides[1][-1, 0], 8)
        hem = np.column_stack(
            [tips[1:-1], length + np.array([0.12, -0.06, 0.1, -0.08, 0.13, -0.05]) * (1 if c.style != "flat" else 0.2)]
        )
        shape = np.concatenate([curve(sides[0]), hem, curve(sides[1])[::-1]])
        inked(shape, dark if c.shade or c.style == "anime" else skin.hair)
        with cel.inside(shape):
            for k in range(4):
                sx = x + (-0.75 + 0.5 * k + 0.1 * r[k]) * w
                cel.stroke(bow((sx, 0.2), (sx + 0.1 * r[k + 3], length), 0.05), skin.hair, 0.10, (0.6, 0.0))
    elif back == "tails":
        for side in (-1, 1):
            root = np.array([x * 0.6 + side * w * 0.92, -0.45])
            tip = np.array([x + side * (w + 0.45 + 0.15 * r[15]), 1.3 + 0.5 * abs(r[16])])
            tail = np.concatenate(
                [
                    bow(root + (-side * 0.12, -0.14), tip, 0.34 * side, 0.35),
                    bow(tip, root + (-side * 0.02, 0.18), -0.06 * side, 0.55),
                ]
            )
            inked(tail, skin.hair)
            with cel.inside(tail):
                cel.stroke(bow(root + (side * 0.1, 0.2), tip, 0.16 * side), dark, 0.10, (0.5, 0.0))
            inked(oval(*(root + (side * 0.02, -0.01)), 0.11, 0.14), skin.accent)
    elif back == "ponytail":
        root, tip = np.array([x - 0.15, -0.86]), np.array([x - w - 0.35, 0.9 + 0.4 * r[15]])
        tail = np.concatenate([bow(root + (0.1, -0.2), tip, -0.75, 0.3), bow(tip, root + (-0.1, 0.16), 0.38, 0.6)])
        inked(tail, skin.hair)
    elif back == "bun":
        inked(oval(x * 1.2, -1.12 - c.volume, 0.34, 0.30), skin.hair)
        cel.stroke(bow((x - 0.2, -1.1 - c.volume), (x + 0.14, -1.28 - c.volume), 0.3), dark, 0.04)


def hat(cel: Cel, character: Character, look: Look) -> None:
    """Draw the hat, if any."""
    c, skin = character, character.palette
    if c.hat == "none":
        return
    turn = np.sin(np.radians(abs(look.yaw)))
    w, x = c.width + 0.08 + 0.4 * c.volume, -0.12 * turn
    inked = partial(cel.shape, ink=skin.ink, width=c.line)
    top = -1.08 - 0.5 * c.volume
    if c.hat == "beanie":
        dome = curve([(x - w, -0.42), (x - w * 0.9, -0.95), (x, top - 0.16), (x + w * 0.9, -0.95), (x + w, -0.42)])
        inked(dome, skin.accent)
        inked(oval(x, top - 0.24, 0.16, 0.16), lighter(skin.trim, 0.25))
        inked(
            curve(
                [
                    (x - w * 1.03, -0.62),
                    (x, -0.74),
                    (x + w * 1.03, -0.62),
                    (x + w * 1.05, -0.34),
                    (x, -0.46),
                    (x - w * 1.05, -0.34),
                ],
                closed=True,
            ),
            shaded(skin.accent, 0.15),
        )
    elif c.hat == "cap":
        dome = curve(
            [(x - w, -0.45), (x - w * 0.92, -0.92), (x, top - 0.04), (x + w * 0.92, -0.92), (x + w, -0.45), (x, -0.58)],
            closed=True,
        )
        inked(dome, skin.accent)
        bill = x + 0.75 * turn
        inked(
            curve(
                [
                    (bill - 0.55, -0.56),
                    (bill, -0.72),
                    (bill + 0.55, -0.56),
                    (bill + 0.6 + 0.2 * turn, -0.40),
                    (bill, -0.38),
                    (bill - 0.6, -0.42),
                ],
                closed=True,
            ),
            shaded(skin.accent, 0.2),
        )
    else:
        tall = 0.5 if c.hat == "bowler" else 0.42
        crown = curve(
            [
                (x - w * 0.72, -0.70),
                (x - w * 0.70, -0.9 - tall * 0.6),
                (x - w * 0.3, -1.05 - tall),
                (x + w * 0.3, -1.05 - tall),
                (x + w * 0.70, -0.9 - tall * 0.6),
                (x + w * 0.72, -0.70),
            ]
        )
        inked(crown, skin.accent)
        inked(
            np.concatenate(
                [
                    bow((x - w * 0.72, -0.72), (x + w * 0.72, -0.72), -0.06),
                    bow((x + w * 0.72, -0.90), (x - w * 0.72, -0.90), 0.06),
                ]
            ),
            shaded(skin.accent, 0.45),
        )
        brim = oval(x, -0.70, w * (1.08 if c.hat == "bowler" else 1.45), 0.13)
        inked(brim, skin.accent)
