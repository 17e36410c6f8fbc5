"""Props that cover the mouth, subtitles, night, film grain and compression."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from lipsync_lab.synthesis.animation.cel import Cel, bow, curve, oval, place
from lipsync_lab.synthesis.animation.character import Character
from lipsync_lab.synthesis.animation.palette import lighter, shaded

OCCLUDERS = ("hand", "cup", "microphone", "book", "fan")


def occluder(cel: Cel, character: Character, kind: str, x: float, y: float, scale: float) -> np.ndarray:
    """Draw a prop whose middle is at (x, y) pixels of the frame; `scale` is pixels in a head unit.

    Return the outline of the prop, (N, 2) in pixels of the frame.
    """
    skin = character.palette
    ink = skin.ink if character.line else None
    line = max(character.line, 0.0)
    skin_tone = skin.white if character.style == "rubberhose" else skin.skin  # gloves, in 1930
    inked = partial(cel.shape, ink=ink, width=line)
    matrix = place(x, y, scale)
    with cel.plane(matrix):
        if kind == "hand":
            shape = _palm(cel, skin_tone, skin.cloth, ink, line)
        elif kind == "cup":
            shape = np.array([(-0.36, -0.34), (0.36, -0.34), (0.31, 0.42), (-0.31, 0.42)])
            cel.outline(oval(0.42, 0.0, 0.17, 0.2), ink or shaded(skin.accent, 0.3), 0.09)
            cel.outline(oval(0.42, 0.0, 0.17, 0.2), skin.accent, 0.05)
            inked(shape, skin.accent)
            cel.fill([(-0.35, -0.2), (0.35, -0.2), (0.34, -0.08), (-0.34, -0.08)], lighter(skin.accent, 0.5))
            _grip(cel, skin_tone, ink, line, -0.30, 0.25)
        elif kind == "microphone":
            inked([(-0.10, 0.1), (0.10, 0.1), (0.07, 1.5), (-0.07, 1.5)], (52, 52, 60))
            shape = oval(0, -0.05, 0.30, 0.32)
            inked(shape, (120, 122, 130))
            with cel.inside(shape):
                for k in np.linspace(-0.3, 0.3, 6):
                    cel.stroke([(-0.4, k - 0.15), (0.4, k + 0.15)], (80, 82, 90), 0.02, (1, 1))
            _grip(cel, skin_tone, ink, line, 0.0, 0.62)
        elif kind == "book":
            shape = np.array([(-0.78, -0.38), (0.0, -0.30), (0.78, -0.38), (0.78, 0.66), (0.0, 0.74), (-0.78, 0.66)])
            inked(shape, skin.accent)
            cel.stroke([(0, -0.3), (0, 0.74)], shaded(skin.accent, 0.35), 0.05, (1, 1))
            cel.fill([(0.2, -0.1), (0.6, -0.14), (0.6, 0.1), (0.2, 0.14)], lighter(skin.accent, 0.55))
            _grip(cel, skin_tone, ink, line, -0.76, 0.35)
            _grip(cel, skin_tone, ink, line, 0.76, 0.35)
        else:
            angle = np.radians(np.linspace(200, 340, 15))
            shape = np.concatenate(
                [[(0.0, 0.62)], np.column_stack([0.85 * np.cos(angle), 0.55 + 0.95 * np.sin(angle)])]
            )
            inked(shape, skin.accent)
            for a in angle[1:-1:2]:
                cel.stroke(
                    [(0, 0.62), (0.82 * np.cos(a), 0.55 + 0.92 * np.sin(a))], shaded(skin.accent, 0.25), 0.02, (1, 1)
                )
            _grip(cel, skin_tone, ink, line, 0.0, 0.62)
    return shape @ matrix[:, :2].T + matrix[:, 2]


def _palm(cel: Cel, skin, cloth, ink, line: float) -> np.ndarray:
    """Draw a hand before the mouth, with its back to the viewer; return its outline."""
    inked = partial(cel.shape, ink=ink, width=line)
    inked([(0.02, 0.3), (0.5, 0.18), (0.95, 1.6), (0.30, 1.75)], skin)
    inked([(0.12, 0.85), (0.74, 0.70), (1.05, 2.2), (0.3, 2.3)], cloth)
    palm = curve(
        [(-0.34, -0.16), (0.0, -0.26), (0.36, -0.12), (0.46, 0.2), (0.24, 0.46), (-0.12, 0.42), (-0.38, 0.18)],
        closed=True,
    )
    fingers = []
    for k in range(4):
        root, tip = (-0.22, -0.16 + 0.145 * k), (-0.68 + 0.05 * abs(k - 1.3), -0.24 + 0.15 * k)
        fingers.append(_finger(root, tip, 0.085))
    thumb = _finger((0.18, -0.12), (-0.02, -0.48), 0.09)
    for shape in (*fingers, thumb):
        inked(shape, skin)
    inked(palm, skin)
    cel.fill(oval(-0.18, 0.08, 0.22, 0.24), skin)  # fingers run into the palm
    if ink:
        for k in range(3):
            cel.stroke(bow((-0.40, -0.10 + 0.145 * k), (-0.18, -0.06 + 0.13 * k), 0.08), ink, line, (0.6, 0.0))
    return cv2.convexHull(np.concatenate([palm, *fingers]).astype(np.float32))[:, 0].astype(float)


def _finger(root, tip, radius: float) -> np.ndarray:
    root, tip = np.asarray(root, float), np.asarray(tip, float)
    way = (tip - root) / np.hypot(*(tip - root))
    across = np.array([-way[1], way[0]]) * radius
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    cap = tip + np.cos(angle) * way * radius + np.sin(angle) * across
    return np.concatenate([[root - across], cap, [root + across]])


def _grip(cel: Cel, skin, ink, line: float, x: float, y: float) -> None:
    """Draw the fingers that hold a prop."""
    for k in range(4):
        cel.shape(oval(x, y + 0.10 * k - 0.15, 0.15, 0.065), skin, ink, line)


def hides(outline: np.ndarray, box: tuple[float, float, float, float]) -> bool:
    """Return whether the outline covers at least a third of the box."""
    x1, y1, x2, y2 = box
    polygon = outline.astype(np.float32)
    inside = [
        cv2.pointPolygonTest(polygon, (float(x), float(y)), False) >= 0
        for x in np.linspace(x1, x2, 6)
        for y in np.linspace(y1, y2, 6)
    ]
    return sum(inside) >= 12


def subtitle(picture: np.ndarray, text: str) -> None:
    """Draw white text with a dark edge at the bottom of the picture, in place."""
    height, width = picture.shape[:2]
    face, size = cv2.FONT_HERSHEY_DUPLEX, height / 520
    pen, edge = max(1, round(1.6 * size)), max(1, round(1.5 * size))

    def extent(row: str) -> int:
        return cv2.getTextSize(row, face, size, pen)[0][0]

    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and extent(longer) > 0.86 * width:
            lines.append(word)
        else:
            lines[-1] = longer
    step = int(34 * size)
    # A thicker pen would set wider letters in OpenCV 5, so the edge is the same letters moved about.
    around = [(dx, dy) for dx in (-edge, 0, edge) for dy in (-edge, 0, edge) if dx or dy]
    for k, row in enumerate(lines):
        x, y = (width - extent(row)) // 2, height - int(0.05 * height) - step * (len(lines) - 1 - k)
        for dx, dy in around:
            cv2.putText(picture, row, (x + dx, y + dy), face, size, (10, 10, 14), pen, cv2.LINE_AA)
        cv2.putText(picture, row, (x, y), face, size, (248, 246, 236), pen, cv2.LINE_AA)


def night(picture: np.ndarray, tint: tuple[float, float, float]) -> np.ndarray:
    """Return the picture in moonlight: each channel times its factor."""
    return cv2.multiply(picture, (*tint, 0.0))


def grain(rng: np.random.Generator, picture: np.ndarray, amount: float) -> np.ndarray:
    """Add film grain of `amount` grey levels, flicker, vignetting and occasional scratches."""
    height, width = picture.shape[:2]
    noise = cv2.resize(rng.standard_normal((height // 2 + 1, width // 2 + 1), np.float32), (width, height)) * amount
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    gain = (1.0 - 0.22 * (x * x + y * y) ** 1.5 * 0.5) * np.float32(1 + rng.normal(0, 0.012))
    out = picture * gain[:, :, None] + noise[:, :, None]
    if rng.random() < 0.12:
        column = int(rng.integers(width))
        out[:, column : column + max(1, width // 400)] += 40
    return np.clip(out, 0, 255).astype(np.uint8)


def compress(picture: np.ndarray, quality: int) -> np.ndarray:
    """Return the picture after JPEG compression of a quality from 1 to 100."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def moonlight(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a random tint for `night`."""
    return float(rng.uniform(0.35, 0.5)), float(rng.uniform(0.4, 0.55)), float(rng.uniform(0.6, 0.8))
