"""Drawing of mouths: lips, teeth and tongue of a `MouthShape`, in all styles, in front and three-quarter view.

The nine shapes are not nine drawings: each number of the pose moves one thing. `openness` is the gap, `width` and
`rounding` set the corners, and the line from corner to corner is flat-topped when the mouth is wide and an oval when
it is round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsync_lab.generation.cel.shapes import MouthShape
from lipsync_lab.synthesis.animation.cel import SUPERSAMPLE, Cel, bow, curve, oval
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.palette import mix, shaded

#: Gaps smaller than this, in head units, are drawn as a closed line.
CLOSED = 0.012


@dataclass(frozen=True)
class Mouth:
    """Measurements of a mouth as drawn, in pixels of the frame.

    Attributes
    ----------
    box : tuple of float
        x1, y1, x2, y2 of the whole mouth.
    gap : float
        Largest height of the gap between the lips.
    width : float
        Distance between the corners.
    points : tuple of (float, float)
        The corners, that on the left of the picture first; and the upper and the lower edge of the gap in its middle,
        or in profile at the front.
    """

    box: tuple[float, float, float, float]
    gap: float
    width: float
    points: tuple[tuple[float, float], ...]


def measure(
    cel: Cel, edge: np.ndarray, upper: np.ndarray, lower: np.ndarray, pen: float, at: int | None = None
) -> Mouth:
    """Measure a mouth as drawn: `edge` bounds it, `upper` and `lower` are the gap's sides (all in drawing units).

    The height of the gap is marked at point `at` of the sides, the middle one if not given.
    """
    around, above, below = (cel.project(points) / SUPERSAMPLE for points in (edge, upper, lower))
    pen = pen * cel.unit / SUPERSAMPLE / 2 + 1
    x1, y1 = around.min(0) - pen
    x2, y2 = around.max(0) + pen
    gaps = np.hypot(*(above - below).T)
    at = len(above) // 2 if at is None else at
    corners = sorted(((above + below) / 2)[[0, -1]].tolist())
    return Mouth(
        (float(x1), float(y1), float(x2), float(y2)),
        float(gaps.max()),
        float(np.hypot(*(above[-1] - above[0]))),
        tuple(map(tuple, (*corners, above[at].tolist(), below[at].tolist()))),
    )


def _opening(character: Character, look: Look, pose: MouthShape) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper and the lower side of the gap, from left to right: two lines of 25 points with the same x."""
    y = character.mouth_y
    half = character.mouth_w * (0.62 + 0.76 * pose.width) * (1 - 0.42 * pose.rounding)
    half *= 1 - 0.2 * np.sin(np.radians(abs(look.yaw)))  # distance to the far cheek in a turned face
    gap = pose.openness * character.mouth_open
    if gap < CLOSED:
        gap = 0.0
    t = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 25))
    soft = 2.0 + 2.2 * (1 - pose.rounding) * min(1.0, pose.width + 0.3)
    above = (1 - np.abs(t) ** soft) * gap * (0.30 + 0.15 * pose.rounding)
    below = (1 - np.abs(t) ** (2.0 + 0.4 * (1 - pose.rounding))) * gap * (0.70 - 0.15 * pose.rounding)
    corners = -character.smile * (1 - pose.rounding) * 0.22 * half * (2 * np.abs(t) ** 1.7 - 1)
    return np.column_stack([half * t, y + corners - above]), np.column_stack([half * t, y + corners + below])


def mouth(cel: Cel, character: Character, look: Look, pose: MouthShape) -> Mouth:
    """Draw the mouth of a front or three-quarter face; the plane of the cel is in head units and wrapped."""
    skin, line = character.palette, character.line
    upper, lower = _opening(character, look, pose)
    edge = np.concatenate([upper, lower[::-1]])
    pen = max(line, 0.02)
    ink = skin.ink if line else mix(skin.skin_shade, skin.ink, 0.75)
    gap = float((lower - upper)[:, 1].max())
    around = _painted_lips(cel, character, pose, upper, lower) if character.lipstick else edge
    if gap == 0.0:
        _closed(cel, character, pose, upper, ink, pen)
        around = np.concatenate([around, upper + (0, 0.09)])
    else:
        cel.fill(edge, skin.mouth)
        with cel.inside(edge):
            _within(cel, character, pose, upper, lower, gap)
        if line and not character.lipstick:
            cel.stroke(upper, ink, pen * 1.5, (0.5, 0.5))
            cel.stroke(lower, ink, pen * 1.0, (0.5, 0.5))
        elif line:
            cel.outline(edge, mix(ink, skin.lips, 0.3), pen * 0.6)
        below = lower[8:17] + (0, 0.07)
        if not character.lipstick and line:
            cel.stroke(below, mix(ink, skin.skin, 0.35), pen * 0.8, (0.0, 0.0))
            around = np.concatenate([around, below])
    if character.style == "rubberhose" or (character.style == "western" and character.smile > 0.3):
        for side, corner in ((-1, upper[0]), (1, upper[-1])):
            dimple = bow(corner + (side * 0.03, -0.07), corner + (side * 0.02, 0.05), 0.35 * side)
            cel.stroke(dimple, ink, pen, (0.1, 0.1))
            around = np.concatenate([around, dimple])
    if character.moustache:
        around = np.concatenate([around, moustache(cel, character)])
    return measure(cel, around, upper, lower, pen * 1.5)


def _closed(cel: Cel, character: Character, pose: MouthShape, line: np.ndarray, ink, pen: float) -> None:
    skin = character.palette
    if pose.rounding > 0.5:
        middle = line[12]
        cel.fill(oval(*middle, 0.04, 0.035), skin.mouth)
    cel.stroke(line, ink, pen * 1.35, (0.25, 0.25))
    if not character.lipstick and character.style != "flat":
        cel.stroke(line[9:16] + (0, 0.075), mix(ink, skin.skin, 0.4), pen * 0.8, (0.0, 0.0))


def _painted_lips(cel: Cel, character: Character, pose: MouthShape, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Draw coloured lips around the gap; return their outer edge."""
    skin = character.palette
    t = np.linspace(-1, 1, len(upper))
    full = character.mouth_w * 0.26
    bow_of_cupid = 1 - np.abs(t) ** 2.2 - 0.32 * np.exp(-((t / 0.16) ** 2))
    top = upper - np.column_stack([np.zeros_like(t), full * bow_of_cupid])
    low = lower + np.column_stack([np.zeros_like(t), full * 1.2 * (1 - np.abs(t) ** 2.4)])
    around = np.concatenate([top, low[::-1]])
    colour = mix(skin.skin, skin.lips, 0.35 + 0.65 * character.lipstick)
    cel.fill(around, colour)
    cel.fill(np.concatenate([top, upper[::-1]]), shaded(colour, 0.16))
    if character.line:
        shine = low[9:14] - (0, full * 0.55)
        cel.stroke(shine, mix(colour, (255, 255, 255), 0.55), 0.022, (0, 0))
        cel.outline(around, mix(colour, skin.ink, 0.75), character.line * 0.6)
    return around


def _within(cel: Cel, character: Character, pose: MouthShape, upper: np.ndarray, lower: np.ndarray, gap: float) -> None:
    """Draw tongue and teeth; the caller clips them to the gap."""
    skin = character.palette
    left, right = lower[0, 0], lower[-1, 0]
    half, middle, floor = (right - left) / 2, (left + right) / 2, lower[12, 1]
    rise = gap * (0.24 + 0.5 * pose.tongue)
    cel.ellipse(middle, floor + gap * 0.1, half * (0.68 - 0.12 * pose.tongue), rise + gap * 0.1, skin.tongue)
    if pose.tongue > 0.5:
        cel.stroke([(middle, floor - rise * 0.75), (middle, floor)], shaded(skin.tongue, 0.25), 0.016, (0.2, 0.8))
    if pose.teeth < 0.05:
        return
    if pose.openness < 0.3 and pose.teeth > 0.5:
        cel.fill(np.concatenate([upper, lower[::-1]]), skin.teeth)
        if pose.shape != "G" and character.style != "anime" and character.line:
            cel.stroke((upper * 0.45 + lower * 0.55)[1:-1], mix(skin.teeth, skin.ink, 0.55), 0.014, (0.6, 0.6))
        if pose.shape == "G":  # the lower lip is tucked under the teeth
            cel.fill(np.concatenate([upper * 0.25 + lower * 0.75, lower[::-1]]), mix(skin.skin_shade, skin.mouth, 0.35))
        return
    depth = gap * (0.10 + 0.24 * pose.teeth)
    flat = np.column_stack([upper[:, 0], np.maximum(upper[:, 1], upper[12, 1] * 0.5 + upper[:, 1] * 0.5) + depth])
    cel.fill(np.concatenate([upper - (0, 0.02), flat[::-1]]), skin.teeth)
    if character.style in ("western", "rubberhose") and pose.openness > 0.55 and character.locks[6] > 0.1:
        cel.fill(np.concatenate([lower + (0, 0.02), (lower - (0, gap * 0.10))[::-1]]), skin.teeth)


def moustache(cel: Cel, character: Character) -> np.ndarray:
    """Draw a moustache; return its outline."""
    skin, y, w = character.palette, character.mouth_y - 0.035, character.mouth_w
    r = 0.05 + 0.03 * character.locks[7]
    wing = curve(
        [
            (0, y - 2.2 * r),
            (0.5 * w, y - 2.4 * r),
            (1.15 * w, y - 0.4 * r),
            (1.35 * w, y - 1.1 * r),
            (1.1 * w, y + 0.3 * r),
            (0.45 * w, y - 0.3 * r),
            (0, y - 0.8 * r),
        ]
    )
    shape = np.concatenate([wing, (wing * (-1, 1))[::-1]])
    cel.shape(shape, skin.hair, skin.ink, character.line)
    return shape


def beard(cel: Cel, character: Character, edge: np.ndarray) -> None:
    """Draw the beard; `edge` is the outline of the head, and the plane of the cel is not wrapped."""
    skin, kind = character.palette, character.beard
    if kind == "none":
        return
    colour = mix(skin.skin, skin.hair_shade, 0.28) if kind == "stubble" else skin.hair
    chin = edge[edge[:, 1].argmax(), 0]
    y, w = character.mouth_y, character.mouth_w
    if kind == "goatee":
        tip = curve(
            [
                (chin - w * 0.6, 0.88),
                (chin, 0.84),
                (chin + w * 0.6, 0.88),
                (chin + w * 0.35, 1.06),
                (chin, 1.13),
                (chin - w * 0.35, 1.06),
            ],
            closed=True,
        )
        cel.shape(tip, colour, skin.ink, character.line)
        return
    low = edge[edge[:, 1] > 0.12]
    right, left = low[low[:, 0] > chin], low[low[:, 0] <= chin]
    right, left = right[right[:, 1].argsort()], left[left[:, 1].argsort()[::-1]]
    grow = 1.0 if kind == "stubble" else 1.06
    rim = np.concatenate([right, left]) * (1, grow) - (0, 0.12 * (grow - 1))
    x = chin * 0.8
    inner = curve(
        [
            (left[-1, 0] * 0.92, 0.2),
            (x - w * 1.6, y - 0.07),
            (x - w * 0.75, y - 0.19),
            (x, y - 0.13),
            (x + w * 0.75, y - 0.19),
            (x + w * 1.6 * (1 - 0.3 * chin), y - 0.07),
            (right[0, 0] * 0.97, 0.2),
        ]
    )
    cel.fill(np.concatenate([rim, inner]), colour)
    if kind == "full" and character.line:
        cel.outline(rim, skin.ink, character.line, closed=False)
        # on the cheeks hair thins out: a line as heavy as the jaw's would read as a second mouth
        cel.stroke(inner, shaded(skin.hair, 0.4), 0.6 * character.line, (1, 1))
    if kind == "full":
        patch = oval(x, y + 0.02, w * 1.05, 0.13)
        cel.fill(patch, skin.skin)
