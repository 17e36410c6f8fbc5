"""Heads, ears, necks and clothes, and the turning of a face: front to three-quarter.

A face is drawn in front view and then wrapped around an upright cylinder that turns: features shift in the direction of
the turn, and the far half becomes narrow. The outline of the head is not wrapped but constructed for the turn, since
brow, cheek and jaw are visible on the far side of a turned head only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from lipsync_lab.synthesis.animation.cel import Cel, bow, curve, oval, place
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.palette import mix, shaded

#: Degrees of turn at which a front becomes a three-quarter view, and that a profile.
QUARTER, PROFILE = 15.0, 60.0


@dataclass(frozen=True)
class Look:
    """Position and pose of a character in a drawing.

    Attributes
    ----------
    x, y : float
        Position of the middle of the head in pixels of the frame.
    scale : float
        Pixels of the frame in one head unit: half the height from crown to chin.
    yaw, roll : float
        Degrees: turned towards the right edge of the frame, tilted clockwise.
    nod : float
        -1 is up, 1 is down.
    blink : float
        0 open, 1 closed.
    gaze_x, gaze_y : float
        Direction of the gaze, -1 to 1.
    brow : float
        -1 lowered and knitted to 1 raised.
    """

    x: float
    y: float
    scale: float
    yaw: float = 0.0
    roll: float = 0.0
    nod: float = 0.0
    blink: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    brow: float = 0.0

    @property
    def view(self) -> str:
        """ "front", "three-quarter" or "profile"."""
        turn = abs(self.yaw)
        return "front" if turn < QUARTER else "three-quarter" if turn < PROFILE else "profile"

    @property
    def side(self) -> int:
        """Side of the turn: -1 if the drawing is mirrored (drawings face to the right), else 1."""
        return -1 if self.yaw < 0 else 1

    def head(self) -> np.ndarray:
        """Return the affine map (2, 3) from head units to pixels of the frame."""
        return place(self.x, self.y, self.scale, self.roll, self.yaw < 0)

    def body(self) -> np.ndarray:
        """Return the same map for neck and trunk, which follow the tilt of the head by a fifth."""
        return place(self.x, self.y, self.scale, 0.2 * self.roll, self.yaw < 0)


class Turn:
    """Map of points of a front view to the turned face, by wrapping them around a cylinder."""

    def __init__(self, character: Character, look: Look):
        self.radius = character.width
        self.angle = np.radians(min(abs(look.yaw), PROFILE))
        self.nod = look.nod

    def __call__(self, points: np.ndarray) -> np.ndarray:
        x = np.clip(points[:, 0] / self.radius, -0.999, 0.999)
        # eyes move further than mouth and chin, which are nearer to the axis
        swing = self.angle * (0.72 - 0.30 * np.clip(points[:, 1] - 0.3, 0.0, 0.7))
        turned = np.clip(np.arcsin(x) + swing, -np.pi / 2, np.pi / 2)
        drop = self.nod * (0.09 - 0.07 * x**2)
        return np.column_stack([self.radius * np.sin(turned), points[:, 1] + drop])


# Half of a front outline from crown to chin: y, and how far the far and the near side move in a three-quarter turn.
_LEVELS = np.array([-1.0, -0.86, -0.48, -0.05, 0.25, 0.60, 0.86, 0.975, 1.0])
_FAR = np.array([-0.05, -0.04, 0.0, -0.11, -0.01, 0.08, 0.27, 0.36, 0.38])
_NEAR = np.array([-0.05, -0.14, -0.16, -0.14, 0.04, 0.14, 0.25, 0.35, 0.38])


def outline(character: Character, look: Look) -> np.ndarray:
    """Return the outline of the head without hair and ears, in head units; closed, clockwise."""
    w, jaw, chin, cheek = character.width, character.jaw, character.chin, character.cheek
    half = np.array(
        [
            0.0,
            0.60 * w,
            0.94 * w,
            w,
            w * (0.955 + 0.05 * cheek),
            w * (0.70 + 0.17 * jaw + 0.08 * cheek),
            chin + (w - chin) * (0.24 + 0.20 * jaw + 0.05 * cheek),
            chin * 0.75 + 0.03,
            0.0,
        ]
    )
    turn = np.sin(np.radians(min(abs(look.yaw), PROFILE)))
    levels = _LEVELS + look.nod * np.array([0.03, 0.03, 0.02, 0, 0, 0.02, 0.05, 0.06, 0.06])
    far = np.column_stack([half + turn * _FAR, levels])
    near = np.column_stack([-half + turn * _NEAR, levels])
    return curve(np.concatenate([far, near[-2:0:-1]]), closed=True)


def head(cel: Cel, character: Character, look: Look, edge: np.ndarray) -> None:
    """Draw the skin of the head with its shade; `edge` is the outline."""
    skin = character.palette
    cel.fill(edge, skin.skin)
    if character.shade:
        away = character.light * look.side
        with cel.inside(edge):
            cel.fill(edge, skin.skin_shade)
            if character.shade > 1:
                middle = 0.38 * np.sin(np.radians(min(abs(look.yaw), PROFILE)))
                cel.fill([(middle, -1.2), (middle, 1.2), (-2 * away, 1.2), (-2 * away, -1.2)], skin.skin)
            else:
                cel.fill(edge - ((0.12 + 0.12 * abs(character.locks[5])) * away, 0.05), skin.skin)
    if character.line:
        cel.outline(edge, skin.ink, character.line)


def ear(cel: Cel, character: Character, x: float, side: int) -> None:
    """Draw an ear with its root at x; `side` is its direction, -1 or 1."""
    skin, size, y = character.palette, character.ear, character.eye_y * 0.5 + 0.14
    if character.ear_kind == "pointed":
        rim = curve([(x, y - size), (x + side * size * 0.7, y - size * 1.2), (x + side * size * 2.0, y - size * 1.9)])
        low = curve([(x + side * size * 2.0, y - size * 1.9), (x + side * size * 0.8, y + size * 0.4), (x, y + size)])
        shape = np.concatenate([rim, low])
    else:
        shape = curve(
            [
                (x - side * 0.06, y - size * 0.8),
                (x + side * size * 0.42, y - size * 1.05),
                (x + side * size * 0.68, y - size * 0.45),
                (x + side * size * 0.42, y + size * 0.55),
                (x + side * size * 0.12, y + size * 1.05),
                (x - side * 0.06, y + size * 0.8),
            ],
            closed=True,
        )
    cel.shape(shape, skin.skin, skin.ink, character.line)
    inner = [
        (x + side * size * 0.1, y - size * 0.5),
        (x + side * size * 0.45, y - size * 0.5),
        (x + side * size * 0.22, y + size * 0.35),
    ]
    if character.line:
        cel.stroke(curve(inner), skin.ink, character.line * 0.9, (0.2, 0.2))
    else:
        cel.stroke(curve(inner), skin.skin_shade, 0.05, (0.3, 0.3))
    if character.earrings:
        cel.shape(
            oval(x + side * size * 0.22, y + size * 1.25, 0.05, 0.06), skin.accent, skin.ink, character.line * 0.6
        )


def beast_ears(cel: Cel, character: Character, look: Look) -> None:
    """Draw the ears of a bear, cat or dog in the style of the 1930s."""
    skin, w = character.palette, character.width
    shift = -0.25 * np.sin(np.radians(abs(look.yaw)))
    for side in (-1, 1):
        if character.ear_kind == "bear":
            x = shift + side * w * 0.72
            cel.shape(oval(x, -0.86, 0.27, 0.27), skin.hair, skin.ink, character.line)
            cel.fill(oval(x + side * 0.01, -0.88, 0.14, 0.15), skin.skin_shade)
        elif character.ear_kind == "cat":
            tip = (shift + side * w * 0.95, -1.42)
            shape = np.concatenate(
                [bow((shift + side * 0.2, -0.85), tip, 0.12 * -side), bow(tip, (shift + side * w, -0.35), 0.12 * -side)]
            )
            cel.shape(shape, skin.hair, skin.ink, character.line)
            cel.fill(shape * (0.6, 0.6) + (side * 0.24 + shift * 0.4, -0.36), skin.skin_shade)
        else:
            lobe = curve(
                [
                    (shift + side * w * 0.5, -0.95),
                    (shift + side * w * 1.1, -0.9),
                    (shift + side * w * 1.4, -0.1),
                    (shift + side * w * 1.25, 0.45),
                    (shift + side * w * 0.98, 0.1),
                    (shift + side * w * 0.85, -0.5),
                ],
                closed=True,
            )
            cel.shape(lobe, skin.hair, skin.ink, character.line)


def mask(cel: Cel, character: Character, look: Look, edge: np.ndarray) -> None:
    """Draw the dark head of a rubber hose animal, with a heart-shaped mask in the colour of the skin."""
    skin, w = character.palette, character.width
    heart = curve(
        [
            (0, -0.52),
            (0.30, -0.86),
            (0.66 * w, -0.62),
            (0.66 * w, -0.1),
            (0.95 * w, 0.3),
            (0.85 * w, 0.75),
            (0, 1.15),
            (-0.85 * w, 0.75),
            (-0.95 * w, 0.3),
            (-0.66 * w, -0.1),
            (-0.66 * w, -0.62),
            (-0.30, -0.86),
        ],
        closed=True,
    )
    with cel.inside(edge):
        cel.fill(edge, skin.hair)
        cel.fill(Turn(character, look)(heart), skin.skin)
    cel.outline(edge, skin.ink, character.line)


def neck(cel: Cel, character: Character, look: Look, edge: np.ndarray) -> None:
    """Draw the neck with the shadow of the chin; `edge` is the outline of the head."""
    skin, n = character.palette, character.neck
    back = -0.16 * np.sin(np.radians(abs(look.yaw))) - 0.12 * (look.view == "profile")
    left = [(back - n, 0.3), (back - n * 0.98, 1.0), (back - n * 1.1, 1.22), (back - n * 1.3, 1.75)]
    right = [(back + n * 1.3, 1.75), (back + n * 1.1, 1.22), (back + n * 0.98, 1.0), (back + n, 0.3)]
    column = np.concatenate([curve(left), curve(right)])
    cel.shape(column, skin.skin, skin.ink if character.line else None, character.line)
    if character.style != "rubberhose":
        with cel.inside(column):
            cel.fill(edge + (0.02, 0.2), skin.skin_shade)


def clothes(cel: Cel, character: Character, look: Look) -> None:
    """Draw the shoulders and their clothes."""
    skin, n, kind = character.palette, character.neck, character.cloth
    turn = np.sin(np.radians(abs(look.yaw)))
    s = character.shoulders * (1 - 0.22 * turn)
    ink, line = (skin.ink if character.line else None), character.line
    shift = -0.12 * turn - 0.14 * (look.view == "profile")
    depth = {"tee": 0.16, "hoodie": 0.22, "turtleneck": 0.0, "scarf": 0.0, "ruffle": 0.05}.get(kind, 0.38)
    base = n + 0.16
    arm = curve([(base, 1.24), (s * 0.72, 1.42), (s * 0.97, 1.78), (s * 1.06, 2.5), (s * 1.1, 3.7), (s * 1.04, 4.9)])
    neckline = curve(
        [
            (-base, 1.24),
            (-base * 0.55, 1.24 + depth * 0.75),
            (0, 1.24 + depth),
            (base * 0.55, 1.24 + depth * 0.75),
            (base, 1.24),
        ]
    )
    if kind in ("shirt", "suit", "sailor"):
        neckline = np.array([(-base, 1.24), (0, 1.24 + depth), (base, 1.24)])
    trunk = np.concatenate([neckline, arm, (arm * (-1, 1))[::-1]]) + (shift, 0)
    if cel.project([(0, 4.5)])[0, 1] < cel.pixels.shape[0]:
        _legs(cel, character, s, shift)
    cel.fill(trunk, skin.cloth)
    if character.shade:
        away = character.light * look.side
        with cel.inside(trunk):
            cel.fill(
                [
                    (away * s * 0.55 + shift, 1.2),
                    (away * s * 0.8 + shift, 2.2),
                    (away * s * 0.5 + shift, 5.0),
                    (away * 4, 5.0),
                    (away * 4, 1.2),
                ],
                skin.cloth_shade,
            )
            cel.stroke(bow((shift - s * 0.75, 2.3), (shift - s * 0.62, 3.4), 0.1), skin.cloth_shade, 0.09, (0.0, 0.6))
    if line:
        cel.outline(trunk, skin.ink, line)
        for side in (-1, 1):
            cel.stroke(
                bow((shift + side * s * 0.74, 2.15), (shift + side * s * 0.78, 4.6), -0.04 * side),
                skin.ink,
                line,
                (0.1, 0.8),
            )
    with cel.plane(np.array([[1.0, 0, shift], [0, 1, 0]])):
        _collar(cel, character, base, depth, ink)


def _legs(cel: Cel, character: Character, s: float, shift: float) -> None:
    """Draw hands and legs, which are visible in far shots."""
    skin = character.palette
    inked = partial(cel.shape, ink=skin.ink, width=character.line)
    cloth = shaded(mix(skin.trim, (40, 44, 70), 0.6), 0.2)
    for side in (-1, 1):
        x = shift + side * s * 0.34
        bare = character.sex == "woman"
        leg = [(x - 0.3, 4.6), (x + 0.3, 4.6), (x + 0.26, 9.6), (x - 0.26, 9.6)]
        inked(leg, skin.skin if bare else cloth)
        inked(oval(x + 0.14, 9.65, 0.5, 0.24), skin.cloth_shade)
        glove = skin.white if character.style == "rubberhose" else skin.skin
        inked(oval(shift + side * s * 0.94, 4.98, 0.22, 0.3), glove)
    if character.sex == "woman":
        hem = s * 0.95
        inked([(shift - s * 0.7, 4.5), (shift + s * 0.7, 4.5), (shift + hem, 7.0), (shift - hem, 7.0)], cloth)
    else:
        cel.shape(oval(shift, 4.75, s * 0.72, 0.5), cloth, None, 0)


def _collar(cel: Cel, character: Character, base: float, depth: float, ink) -> None:
    skin, kind, line = character.palette, character.cloth, character.line
    inked = partial(cel.shape, ink=ink, width=line)
    v = 1.24 + depth
    if kind == "suit":
        inked(
            [(-base, 1.24), (0, v), (base, 1.24), (base * 0.9, 1.5), (0.24, 2.6), (-0.24, 2.6), (-base * 0.9, 1.5)],
            (244, 244, 240),
        )
        inked([(-0.08, v), (0.08, v), (0.06, v + 0.12), (0.15, 2.5), (-0.15, 2.5), (-0.06, v + 0.12)], skin.accent)
    if kind in ("suit", "shirt"):
        for side in (-1, 1):
            flap = [(side * base, 1.20), (0, v), (side * 0.22, v + 0.16), (side * (base + 0.16), 1.42)]
            inked(flap, skin.trim if kind == "shirt" else mix(skin.cloth, (255, 255, 255), 0.12))
        if kind == "shirt" and ink:
            cel.stroke([(0, v), (0, 4.9)], ink, line, (0.6, 0.8))
    elif kind == "sailor":
        for side in (-1, 1):
            inked(
                [
                    (side * base, 1.20),
                    (0, v),
                    (side * 0.1, v + 0.2),
                    (side * (base + 0.45), 1.62),
                    (side * (base + 0.3), 1.32),
                ],
                skin.trim,
            )
            inked(curve([(0, v + 0.1), (side * 0.34, v - 0.04), (side * 0.36, v + 0.26)], closed=True), skin.accent)
        inked(oval(0, v + 0.1, 0.08, 0.09), skin.accent)
    elif kind == "turtleneck":
        inked(
            curve(
                [
                    (-base * 0.92, 1.02),
                    (0, 1.10),
                    (base * 0.92, 1.02),
                    (base * 1.05, 1.30),
                    (0, 1.40),
                    (-base * 1.05, 1.30),
                ],
                closed=True,
            ),
            skin.cloth,
        )
        if ink:
            for x in (-0.6, -0.2, 0.25, 0.62):
                cel.stroke([(x * base, 1.12), (x * base * 1.05, 1.32)], ink, line * 0.7, (0.2, 0.2))
    elif kind == "hoodie":
        for side in (-1, 1):
            hood = curve(
                [
                    (side * base * 0.8, 1.12),
                    (side * (base + 0.22), 1.2),
                    (side * (base + 0.1), 1.5),
                    (side * 0.06, v + 0.14),
                    (side * base * 0.5, v - 0.06),
                ],
                closed=True,
            )
            inked(hood, shaded(skin.cloth, 0.12))
            cel.stroke(bow((side * 0.14, v + 0.1), (side * 0.18, v + 0.62), 0.06 * side), skin.trim, 0.04, (0.9, 0.9))
    elif kind == "scarf":
        wrap = curve(
            [(-base * 1.15, 1.04), (0, 1.20), (base * 1.15, 1.04), (base * 1.3, 1.36), (0, 1.56), (-base * 1.3, 1.36)],
            closed=True,
        )
        inked([(0.1, 1.4), (0.42, 1.4), (0.52, 2.4), (0.18, 2.45)], skin.trim)
        inked(wrap, skin.trim)
        cel.stroke(bow((-base, 1.2), (base * 0.7, 1.32), -0.16), shaded(skin.trim, 0.3), 0.04)
    elif kind == "ruffle":
        x = np.linspace(-1, 1, 8)
        for a, b in zip(x[:-1], x[1:], strict=True):
            m = (a + b) / 2
            y = 1.2 + 0.16 * (1 - m * m)
            puff = curve(
                [
                    (a * base * 1.1, y - 0.1),
                    (m * base * 1.2, y - 0.14),
                    (b * base * 1.1, y - 0.1),
                    (b * base * 1.5, y + 0.22),
                    (m * base * 1.5, y + 0.30),
                    (a * base * 1.5, y + 0.22),
                ],
                closed=True,
            )
            inked(puff, (250, 246, 230) if character.style != "rubberhose" else skin.trim)
    elif ink:
        rim = curve(
            [
                (-base, 1.24),
                (-base * 0.55, 1.24 + depth * 0.75),
                (0, v),
                (base * 0.55, 1.24 + depth * 0.75),
                (base, 1.24),
            ]
        )
        cel.stroke(rim + (0, 0.1), ink, line * 0.8, (0.5, 0.5))
