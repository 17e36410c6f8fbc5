"""Painted backgrounds: hills, rooms, streets at night, gradients and patterns, at random."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync_lab.synthesis.animation.cel import curve
from lipsync_lab.synthesis.animation.palette import hsv, mix, shaded

KINDS = ("hills", "room", "city", "forest", "sea", "wall", "gradient", "dots", "rays", "plain")


def background(rng: np.random.Generator, kind: str, width: int, height: int, gray: bool = False) -> np.ndarray:
    """Paint a background, uint8 RGB (height, width, 3); `gray` for black-and-white film."""
    picture = np.ascontiguousarray(_PAINTERS[kind](rng, width, height))
    if kind in ("hills", "room", "city", "forest", "sea", "wall"):
        picture = _brush(rng, picture)
    if gray:
        soft = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        picture = cv2.convertScaleAbs(soft, alpha=0.62, beta=82)
    return picture


def _brush(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Add the texture of paint, and blur."""
    height, width = picture.shape[:2]
    coarse = cv2.resize(rng.normal(0, 1, (9, 12)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, 1, (height // 6 + 2, width // 14 + 2)).astype(np.float32), (width, height))
    stain = cv2.cvtColor(coarse * 5 + fine * 4, cv2.COLOR_GRAY2RGB)
    picture = cv2.add(picture.astype(np.float32), stain)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    blur = rng.uniform(0.002, 0.007) * height
    return cv2.GaussianBlur(picture, (0, 0), max(blur, 0.4))


def _fade(top, bottom, width: int, height: int) -> np.ndarray:
    t = np.linspace(0, 1, height)[:, None, None]
    column = np.asarray(top) * (1 - t) + np.asarray(bottom) * t
    return np.rint(np.broadcast_to(column, (height, width, 3))).astype(np.uint8).copy()


def _polygon(picture: np.ndarray, points, colour) -> None:
    cv2.fillPoly(picture, [np.rint(np.asarray(points, float) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def _ridge(rng, width, height, level, rough) -> np.ndarray:
    x = np.linspace(-0.1, 1.1, 9) * width
    line = curve(np.column_stack([x, (level + rng.normal(0, rough, 9)) * height]))
    return np.concatenate([line, [(1.2 * width, height), (-0.2 * width, height)]])


def _hills(rng, width, height) -> np.ndarray:
    hue = rng.uniform(0.52, 0.62) if rng.random() < 0.7 else rng.uniform(0.02, 0.1)
    top, low = hsv(hue, rng.uniform(0.35, 0.65), 0.95), hsv(hue + 0.03, 0.15, 1.0)
    picture = _fade(top, low, width, height)
    _soft_clouds(rng, picture)
    green = hsv(rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.65), rng.uniform(0.5, 0.8))
    for k, level in enumerate((0.50, 0.60, 0.74)):
        _polygon(picture, _ridge(rng, width, height, level, 0.035), mix(low, green, 0.45 + 0.27 * k))
    for _ in range(rng.integers(2, 8)):
        x, y, s = rng.uniform(0, width), rng.uniform(0.60, 0.74) * height, rng.uniform(0.02, 0.06) * height
        for _ in range(5):
            cv2.circle(
                picture,
                (int(x + rng.normal(0, s)), int(y - abs(rng.normal(0, s)))),
                int(s),
                shaded(green, rng.uniform(0.15, 0.35)),
                -1,
                cv2.LINE_AA,
            )
    return picture


def _soft_clouds(rng, picture) -> None:
    height, width = picture.shape[:2]
    veil = np.zeros((height, width, 3), np.uint8)
    for _ in range(rng.integers(2, 6)):
        x, y, s = rng.uniform(0, width), rng.uniform(0.05, 0.42) * height, rng.uniform(0.03, 0.09) * height
        for _ in range(9):
            dx = rng.normal(0, 1.7) * s
            cv2.circle(
                veil,
                (int(x + dx), int(y - max(0, rng.uniform(-0.2, 0.8)) * s)),
                int(s * rng.uniform(0.5, 1)),
                (255, 255, 255),
                -1,
                cv2.LINE_AA,
            )
    veil = cv2.GaussianBlur(veil, (0, 0), 0.007 * height)
    share = veil.astype(np.float32) * (0.8 / 255)
    picture[:] = (picture * (1 - share) + 255 * share).astype(np.uint8)


def _room(rng, width, height) -> np.ndarray:
    wall = hsv(rng.random(), rng.uniform(0.1, 0.45), rng.uniform(0.55, 0.92))
    picture = _fade(shaded(wall, 0.05), shaded(wall, 0.2), width, height)
    if rng.random() < 0.5:
        for x in np.arange(0, width, width / rng.integers(9, 18)):
            cv2.line(picture, (int(x), 0), (int(x), height), shaded(wall, 0.2), max(1, width // 90), cv2.LINE_AA)
    floor = int(height * rng.uniform(0.78, 0.9))
    wood = hsv(rng.uniform(0.04, 0.1), 0.5, rng.uniform(0.4, 0.7))
    cv2.rectangle(picture, (0, floor), (width, height), wood, -1)
    cv2.rectangle(picture, (0, floor - height // 40), (width, floor), shaded(wood, 0.3), -1)
    x1, x2, y1, y2 = rng.uniform(0.05, 0.2) * width, rng.uniform(0.3, 0.42) * width, 0.14 * height, 0.58 * height
    if rng.random() < 0.5:
        x1, x2 = width - x2, width - x1
    _polygon(picture, [(x1, y1), (x2, y1), (x2, y2), (x1, y2)], hsv(rng.uniform(0.5, 0.62), 0.35, 0.98))
    for t in (0, 0.5, 1):
        x, y = int(x1 + (x2 - x1) * t), int(y1 + (y2 - y1) * t)
        cv2.line(picture, (x, int(y1)), (x, int(y2)), (240, 236, 225), max(2, width // 70), cv2.LINE_AA)
        cv2.line(picture, (int(x1), y), (int(x2), y), (240, 236, 225), max(2, width // 70), cv2.LINE_AA)
    left = width - x2 if x1 < width / 2 else 0.1 * width
    for k in range(3):  # a shelf with books
        y = (0.26 + 0.2 * k) * height
        cv2.rectangle(
            picture, (int(left), int(y)), (int(left + 0.3 * width), int(y + 0.02 * height)), shaded(wood, 0.1), -1
        )
        x = left + 0.01 * width
        while x < left + 0.27 * width:
            w, h = rng.uniform(0.012, 0.03) * width, rng.uniform(0.08, 0.14) * height
            _polygon(
                picture,
                [(x, y - h), (x + w, y - h), (x + w, y), (x, y)],
                hsv(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(0.4, 0.85)),
            )
            x += w * rng.choice([1.05, 1.05, 2.0])
    return picture


def _city(rng, width, height) -> np.ndarray:
    night = hsv(rng.uniform(0.6, 0.75), rng.uniform(0.5, 0.8), rng.uniform(0.12, 0.25))
    picture = _fade(night, mix(night, hsv(rng.random(), 0.5, 0.6), 0.5), width, height)
    for layer in range(2):
        x = -0.05 * width
        while x < width:
            w, top = rng.uniform(0.08, 0.18) * width, rng.uniform(0.08, 0.5) * height + 0.1 * height * layer
            tone = mix(night, (8, 8, 18), 0.3 + 0.35 * layer)
            _polygon(picture, [(x, top), (x + w, top), (x + w, height), (x, height)], tone)
            lamp = hsv(rng.choice([0.13, 0.12, 0.5, 0.08]), rng.uniform(0.2, 0.6), 1.0)
            step = max(4.0, 0.028 * height)
            for wx in np.arange(x + step * 0.5, x + w - step * 0.6, step):
                for wy in np.arange(top + step * 0.5, height, step * 1.5):
                    if rng.random() < 0.4:
                        cv2.rectangle(
                            picture,
                            (int(wx), int(wy)),
                            (int(wx + step * 0.5), int(wy + step * 0.8)),
                            mix(tone, lamp, rng.uniform(0.3, 1)),
                            -1,
                        )
            x += w * rng.uniform(0.9, 1.3)
    return picture


def _forest(rng, width, height) -> np.ndarray:
    green = hsv(rng.uniform(0.2, 0.42), rng.uniform(0.3, 0.6), rng.uniform(0.45, 0.8))
    picture = _fade(mix(green, (255, 255, 220), 0.55), shaded(green, 0.2), width, height)
    for layer in range(3):
        bark = mix(mix(green, (255, 255, 230), 0.3), (50, 35, 25), 0.25 + 0.27 * layer)
        for _ in range(4 + layer):
            x, w = rng.uniform(0, width), rng.uniform(0.01, 0.025) * width * (1 + layer)
            _polygon(picture, [(x - w, 0), (x + w * 0.8, 0), (x + w * 1.3, height), (x - w * 1.5, height)], bark)
        for _ in range(14):
            s = rng.uniform(0.03, 0.09) * height
            y = rng.choice([rng.uniform(0, 0.25), rng.uniform(0.8, 1.0)]) * height
            cv2.circle(
                picture,
                (int(rng.uniform(0, width)), int(y)),
                int(s),
                mix(green, (20, 40, 20), rng.uniform(0, 0.2) + 0.2 * layer),
                -1,
                cv2.LINE_AA,
            )
    return picture


def _sea(rng, width, height) -> np.ndarray:
    dusk = rng.random() < 0.5
    top, low = (hsv(0.72, 0.5, 0.6), hsv(0.06, 0.6, 1.0)) if dusk else (hsv(0.56, 0.6, 0.95), hsv(0.53, 0.15, 1.0))
    picture = _fade(top, low, width, height)
    cv2.circle(
        picture,
        (int(rng.uniform(0.2, 0.8) * width), int(0.42 * height)),
        int(0.09 * height),
        (255, 240, 200),
        -1,
        cv2.LINE_AA,
    )
    _soft_clouds(rng, picture)
    line, water = int(0.52 * height), mix(top, (20, 60, 110), 0.5)
    picture[line:] = _fade(mix(water, low, 0.4), water, width, height - line)
    for _ in range(26):
        y, x, w = rng.uniform(line, height), rng.uniform(0, width), rng.uniform(0.03, 0.12) * width
        cv2.line(
            picture, (int(x), int(y)), (int(x + w), int(y)), mix(water, low, 0.7), max(1, height // 160), cv2.LINE_AA
        )
    return picture


def _wall(rng, width, height) -> np.ndarray:
    stone = hsv(rng.uniform(0.02, 0.14), rng.uniform(0.1, 0.5), rng.uniform(0.45, 0.8))
    picture = _fade(shaded(stone, 0.3), shaded(stone, 0.35), width, height)
    tall = height / rng.integers(7, 13)
    for row in range(int(height / tall) + 1):
        x = -rng.uniform(0, 2 * tall)
        while x < width:
            w = tall * rng.uniform(1.5, 2.4)
            _polygon(
                picture,
                [
                    (x + 1.5, row * tall + 1.5),
                    (x + w - 1.5, row * tall + 1.5),
                    (x + w - 1.5, (row + 1) * tall - 1.5),
                    (x + 1.5, (row + 1) * tall - 1.5),
                ],
                mix(stone, shaded(stone, 0.3), rng.random()),
            )
            x += w
    return picture


def _gradient(rng, width, height) -> np.ndarray:
    hue = rng.random()
    return _fade(
        hsv(hue, rng.uniform(0.1, 0.6), rng.uniform(0.5, 1)),
        hsv(hue + rng.normal(0, 0.1), rng.uniform(0, 0.5), rng.uniform(0.4, 1)),
        width,
        height,
    )


def _dots(rng, width, height) -> np.ndarray:
    ground = hsv(rng.random(), rng.uniform(0.15, 0.5), rng.uniform(0.7, 1))
    picture, step = _plain(rng, width, height), height / rng.integers(8, 16)
    picture[:] = ground
    tone = mix(ground, (255, 255, 255), 0.35) if rng.random() < 0.6 else shaded(ground, 0.12)
    for row in range(int(height / step) + 2):
        for column in range(int(width / step) + 2):
            centre = (int((column + 0.5 * (row % 2)) * step), int(row * step))
            cv2.circle(picture, centre, int(step * 0.26), tone, -1, cv2.LINE_AA)
    return picture


def _rays(rng, width, height) -> np.ndarray:
    """Paint radial lines."""
    ground = hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.6, 1))
    picture = _plain(rng, width, height)
    picture[:] = ground
    n, reach = int(rng.integers(14, 34)), width + height
    for angle in np.arange(n) * 2 * np.pi / n + rng.uniform(0, 1):
        a, b = angle, angle + np.pi / n * rng.uniform(0.6, 1.0)
        centre = np.array([width / 2, height / 2])
        _polygon(
            picture,
            [
                centre,
                centre + reach * np.array([np.cos(a), np.sin(a)]),
                centre + reach * np.array([np.cos(b), np.sin(b)]),
            ],
            mix(ground, (255, 255, 255), 0.3),
        )
    return picture


def _plain(rng, width, height) -> np.ndarray:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = hsv(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.3, 1))
    return picture


_PAINTERS = dict(zip(KINDS, (_hills, _room, _city, _forest, _sea, _wall, _gradient, _dots, _rays, _plain), strict=True))
