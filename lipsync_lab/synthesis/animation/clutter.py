"""Things that are no face, drawn as characters are: negative examples for face detectors.

Detectors that are trained on drawings take small outlined shapes for faces: hands, ears, buckles, stars on a flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from lipsync_lab.synthesis.animation.cel import Cel, Colour, bow, curve, oval, place
from lipsync_lab.synthesis.animation.palette import hsv, lighter, mix, shaded


@dataclass(frozen=True)
class Thing:
    """A thing in a scene.

    Attributes
    ----------
    kind : str
        One of `THINGS`.
    x, y : float
        Its middle in pixels of the scene.
    size : float
        Half its height in pixels, roughly.
    turn : float
        Degrees clockwise.
    in_front : bool
        Whether it stands before the characters; where it would cover a face it is left out.
    seed : int
        Of its shape and colours.
    gray : bool
        Whether it is drawn in greys.
    """

    kind: str
    x: float
    y: float
    size: float
    turn: float
    in_front: bool
    seed: int
    gray: bool = False


def things(rng: np.random.Generator, count: int, size: tuple[int, int], gray: bool) -> tuple[Thing, ...]:
    """Return things at random in a frame of `size` (width, height) pixels, from 4 to 40 % of its height."""
    width, height = size
    return tuple(
        Thing(
            kind=str(rng.choice(THINGS)),
            x=float(rng.uniform(0, width)),
            y=float(rng.uniform(0, height)),
            size=float(height * 0.02 * 10 ** rng.uniform(0, 1)),
            turn=float(rng.normal(0, 25)),
            in_front=bool(rng.random() < 0.5),
            seed=int(rng.integers(1 << 31)),
            gray=gray,
        )
        for _ in range(count)
    )


def draw(cel: Cel, thing: Thing) -> None:
    """Draw a thing; the plane of the cel is the scene in pixels."""
    rng = np.random.default_rng(thing.seed)
    paint = _paint(rng, thing.gray)
    with cel.plane(place(thing.x, thing.y, thing.size, thing.turn, bool(rng.random() < 0.5))):
        _DRAWN[thing.kind](cel, rng, *paint)


def _paint(rng: np.random.Generator, gray: bool) -> tuple[Colour, Colour, Colour | None, float]:
    """Return two colours, the colour of lines, which is None for flat design, and the width of lines."""
    if rng.random() < 0.5:  # of skin
        first = hsv(rng.normal(0.07, 0.01), rng.uniform(0.1, 0.5), rng.uniform(0.5, 1.0))
    else:
        first = hsv(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.2, 1.0))
    second = shaded(first, 0.3) if rng.random() < 0.5 else hsv(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.2, 1))
    ink = mix((12, 10, 12), shaded(first, 0.6), rng.random()) if rng.random() < 0.85 else None
    if gray:
        first, second, ink = (colour and (max(colour),) * 3 for colour in (first, second, ink))
    return first, second, ink, float(rng.uniform(0.03, 0.12))


def _wobbly(rng: np.random.Generator, knots: int = 8, rough: float = 0.25) -> np.ndarray:
    """Return a closed outline of radius 1, roughly."""
    angle = np.linspace(0, 2 * np.pi, knots, endpoint=False)
    radius = np.clip(1 + rng.normal(0, rough, knots), 0.4, 1.6)
    return curve(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) * rng.uniform(0.6, 1.0, 2), True)


def _blob(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw an outlined blob with a shade, and some lines and dots that do not make a face."""
    edge = _wobbly(rng)
    cel.shape(edge, first, ink, line)
    with cel.inside(edge):
        if rng.random() < 0.5:
            cel.fill(edge + rng.uniform(-0.5, 0.5, 2), second)
        for _ in range(rng.integers(0, 4)):
            start, stop = rng.uniform(-0.7, 0.7, (2, 2))
            cel.stroke(bow(start, stop, rng.normal(0, 0.3)), ink or second, line, (0.2, 0.2))
    if ink:
        cel.outline(edge, ink, line)


def _hand(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a fist or an open hand with a sleeve."""
    inked = partial(cel.shape, ink=ink, width=line)
    spread, length = rng.uniform(0.1, 0.9), rng.uniform(0.2, 1.1)
    inked([(-0.45, 0.5), (0.45, 0.5), (0.55, 2.2), (-0.55, 2.2)], second)
    for k in range(int(rng.integers(3, 5))):
        way = np.array([np.sin((k - 1.5) * 0.45 * spread), -np.cos((k - 1.5) * 0.45 * spread)])
        root = np.array([-0.42 + 0.28 * k, -0.2])
        side = np.array([-way[1], way[0]]) * 0.16
        tip = root + way * length
        inked(curve([root - side, tip - side, tip + way * 0.16, tip + side, root + side]), first)
    thumb = np.array([[0.5, 0.3], [0.8, -0.1], [0.7, -0.35], [0.35, -0.05]])
    palm = curve(
        [(-0.55, -0.25), (0.0, -0.35), (0.55, -0.25), (0.6, 0.3), (0.35, 0.7), (-0.35, 0.7), (-0.6, 0.3)], True
    )
    inked(palm, first)
    inked(curve(thumb, True), first)
    if ink and rng.random() < 0.7:
        for k in range(3):
            cel.stroke(bow((-0.28 + 0.28 * k, -0.2), (-0.25 + 0.26 * k, 0.15), 0.1), ink, line, (0.7, 0.0))


def _wheel(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a wheel, plate, clock or porthole."""
    cel.shape(oval(0, 0, 1, 1), first, ink, line)
    inner = rng.uniform(0.3, 0.8)
    cel.shape(oval(0, 0, inner, inner), second, ink, line)
    spokes = int(rng.choice([0, 2, 3, 4, 6, 8, 12]))
    for angle in np.arange(spokes) * 2 * np.pi / max(spokes, 1):
        way = np.array([np.cos(angle), np.sin(angle)])
        cel.stroke([way * 0.12, way * 0.97], ink or shaded(first, 0.4), max(line, 0.05), (1, 1))
    if rng.random() < 0.6:
        cel.shape(oval(0, 0, 0.14, 0.14), first, ink, line)


def _star(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a star or a flower."""
    points = int(rng.integers(4, 9))
    angle = np.arange(2 * points) * np.pi / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2, rng.uniform(0.35, 0.7), 1.0)
    edge = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    cel.shape(curve(edge, True) if rng.random() < 0.4 else edge, first, ink, line)
    if rng.random() < 0.4:
        cel.shape(oval(0, 0, 0.3, 0.3), second, ink, line)


def _buckle(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a belt with a buckle, or a clasp with a stone."""
    if rng.random() < 0.6:
        cel.shape([(-2.5, -0.5), (2.5, -0.5), (2.5, 0.5), (-2.5, 0.5)], second, ink, line)
    power = float(rng.choice([2.0, 4.0, 8.0]))
    cel.shape(oval(0, 0, 0.9, 0.75, power=power), first, ink, line)
    cel.shape(oval(0, 0, 0.55, 0.42, power=power), second, ink, line)
    if rng.random() < 0.5:
        cel.stroke([(-0.9, 0), (0.5, 0)], ink or first, 0.12, (1, 1))
    else:
        cel.ellipse(-0.15, -0.12, 0.14, 0.1, lighter(second, 0.7))


def _shirt(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw cloth with folds, buttons, a pocket or a badge."""
    edge = curve([(-0.8, -1), (0, -0.8), (0.8, -1), (1.0, 0.2), (0.9, 1.2), (0, 1.1), (-0.9, 1.2), (-1.0, 0.2)], True)
    cel.shape(edge, first, ink, line)
    with cel.inside(edge):
        for _ in range(rng.integers(1, 5)):
            start, stop = rng.uniform(-1, 1, (2, 2))
            cel.stroke(bow(start, stop, rng.normal(0, 0.2)), second, rng.uniform(0.03, 0.2), (0.0, 0.4))
        if rng.random() < 0.6:
            cel.stroke([(0, -0.9), (0.05, 1.2)], ink or second, line, (1, 1))
            for y in np.arange(-0.5, 1.2, rng.uniform(0.3, 0.6)):
                cel.shape(oval(0.02, y, 0.08, 0.08), lighter(second, 0.4), ink, 0.5 * line)
        if rng.random() < 0.5:
            cel.shape([(0.25, -0.4), (0.75, -0.4), (0.7, 0.1), (0.5, 0.2), (0.3, 0.1)], second, ink, line)
    if ink:
        cel.outline(edge, ink, line)


def _ear(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw an ear by itself, or a shell."""
    edge = curve([(0.5, -0.8), (-0.2, -1.0), (-0.8, -0.4), (-0.6, 0.4), (-0.2, 1.0), (0.4, 0.9)], True)
    cel.shape(edge, first, ink, line)
    cel.stroke(curve([(0.3, -0.5), (-0.4, -0.5), (-0.3, 0.2), (0.1, 0.5)]), ink or second, max(line, 0.06), (0.2, 0.2))
    if rng.random() < 0.5:
        cel.fill(curve([(0.2, -0.2), (-0.2, -0.2), (-0.1, 0.3), (0.2, 0.3)], True), second)


def _flag(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a flag with stripes and stars."""
    wave = rng.uniform(0, 0.2)
    x = np.linspace(-1.5, 1.5, 13)
    top = np.column_stack([x, -1 + wave * np.sin(2 * x)])
    count = int(rng.integers(2, 8))
    for row in range(count):
        low, high = (top + (0, 2 * share / count) for share in (row, row + 1))
        cel.shape(np.concatenate([low, high[::-1]]), (first, second)[row % 2], ink, 0.4 * line)
    corner = np.concatenate([top[:6], (top[:6] + (0, 1))[::-1]])
    cel.fill(corner, shaded(second, 0.4))
    for px, py in np.stack(np.meshgrid(np.linspace(-1.3, -0.5, 3), np.linspace(-0.8, -0.2, 3)), -1).reshape(-1, 2):
        cel.shape(oval(px, py, 0.11, 0.11), lighter(first, 0.8), ink, 0.4 * line)
    if ink:
        cel.outline(np.concatenate([top, (top + (0, 2))[::-1]]), ink, line)


def _letters(cel: Cel, rng, first, second, ink, line) -> None:
    """Write some letters, at times on a board."""
    if rng.random() < 0.5:
        cel.shape([(-2, -0.9), (2, -0.9), (2, 0.9), (-2, 0.9)], second, ink, line)
    text = "".join(rng.choice(list("ABDGOQRS0368&%8oe"), int(rng.integers(1, 5))))
    middle = cel.project([(0, 0)])[0]
    scale = cel.unit / 14
    pen = max(1, round(cel.unit * rng.uniform(0.08, 0.3)))
    font = int(rng.choice([cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX]))
    (wide, high), _ = cv2.getTextSize(text, font, scale, pen)
    at = round(middle[0] - wide / 2), round(middle[1] + high / 2)
    cv2.putText(cel.pixels, text, at, font, scale, (*(ink or first), 255), pen, cv2.LINE_AA)


def _rocks(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a heap of rocks, fruit or bricks."""
    for _ in range(rng.integers(3, 9)):
        x, y = rng.uniform(-1.2, 1.2, 2)
        edge = _wobbly(rng, int(rng.integers(4, 9)), 0.15) * rng.uniform(0.3, 0.7) + (x, y)
        tone = mix(first, second, rng.random())
        cel.shape(edge, tone, ink, line)
        with cel.inside(edge):
            cel.fill(edge + rng.uniform(-0.3, 0.3, 2), shaded(tone, 0.2))
        if ink:
            cel.outline(edge, ink, line)


def _foot(cel: Cel, rng, first, second, ink, line) -> None:
    """Draw a foot with toes or claws, or a shoe with laces."""
    edge = curve([(-0.9, -0.9), (-0.3, -1.0), (0.0, -0.1), (0.9, 0.2), (1.1, 0.7), (-0.9, 0.75)], True)
    cel.shape(edge, first, ink, line)
    for k in range(int(rng.integers(2, 5))):
        if rng.random() < 0.5:
            cel.shape(oval(1.0 - 0.28 * k, 0.55, 0.2, 0.24), first, ink, line)
        else:
            cel.stroke(
                [(-0.5 + 0.25 * k, -0.4 + 0.2 * k), (0.0 + 0.25 * k, -0.6 + 0.2 * k)], ink or second, 0.07, (1, 1)
            )


_DRAWN = {
    "blob": _blob,
    "hand": _hand,
    "wheel": _wheel,
    "star": _star,
    "buckle": _buckle,
    "shirt": _shirt,
    "ear": _ear,
    "flag": _flag,
    "letters": _letters,
    "rocks": _rocks,
    "foot": _foot,
}
THINGS = tuple(_DRAWN)


def covers(thing: Thing, box: tuple[float, float, float, float]) -> bool:
    """Return whether a thing may reach into a box, both in the same pixels; things reach 2.6 sizes far."""
    x1, y1, x2, y2 = box
    reach = 2.6 * thing.size
    return x1 - reach < thing.x < x2 + reach and y1 - reach < thing.y < y2 + reach
