"""The colours of the skin around a mouth, and what is ink on it.

Skin has few colours: lit, in shadow, a blush. Around a mouth in a beard most has the colour of the beard; the cheeks
tell the colour of the skin.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

from lipsync_lab.geometry import Box

#: CIELAB distance from every skin colour beyond which a pixel is ink.
INK = 9.0
#: Skin colours that are told apart, and as many of blushes; and the least CIELAB distance between two of them.
SKINS, APART = 3, 7.0
#: Values that a or b of a colour may have in steps of four CIELAB units: -32 to 32.
_CELLS = 65
#: Difference of hue and chroma, as a share of the skin's chroma, that a shadow may have in any case.
SATURATED = 0.3
#: Chroma above which a colour has a hue, and the cosine of the angle between two hues that are the same.
COLOURED, SAME_HUE = 10.0, 0.97
#: Least share of the ring that a skin colour has; and that a blush has, which lies so far, in widths, from the middle.
FREQUENT, BLUSH, ASIDE = 0.04, 0.01, 0.45
#: Half width and half height, beyond the gap, of the mouth's neighbourhood, in widths; least share of it that bare skin
#: in a beard has.
CLOSE, SHOWN = (0.65, 0.2), 0.02
#: Where the face shows its skin, as shares of the box: rows and columns.
CHEEKS = (0.3, 0.65, 0.2, 0.8)
#: What is not skin there: lightness at and below which it is hair, and at and above which it is the white of an eye, up
#: to a chroma. CIELAB distance within which half of a colour's surroundings lie if it is a flat fill; and the number of
#: these that are asked for: lit, and in shadow.
LIGHT, WHITE, FILL, LIT = (20.0, 93.0), 6.0, 3.0, 2


def to_lab(part: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def dilated(mask: np.ndarray, side: int) -> np.ndarray:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), ellipse).astype(bool)


def distances(lab: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """CIELAB distance of every pixel from each skin colour, (h, w, K)."""
    return np.sqrt(((lab[:, :, None] - skin) ** 2).sum(-1))


def off_skin(lab: np.ndarray, skin: np.ndarray, bare: int | None) -> np.ndarray:
    """CIELAB distance of every pixel from the skin colours and from the mixtures of any two.

    A colour other than the most frequent one counts only in and beside areas of it: a line may have the same. `bare`:
    number of the bare skin in a beard.
    """
    distance = distances(lab, skin)
    nearest, near = distance.argmin(-1), [np.ones(lab.shape[:2], bool)]
    near += [_beside_area(nearest == index) for index in range(1, len(skin))]
    off = np.where(np.stack(near, axis=-1), distance, np.inf).min(-1)
    for first, second in combinations(range(len(skin)), 2):
        way = skin[second] - skin[first]
        share = np.clip((lab - skin[first]) @ way / (way @ way), 0, 1)[..., None]
        mixed = np.linalg.norm(lab - skin[first] - share * way, axis=-1)
        off = np.where(near[first] & near[second], np.minimum(off, mixed), off)
    if bare is not None:  # a line on the bare skin in a beard may have the colour of the beard, or one between both
        on_skin = cv2.erode(_closed(nearest == bare), np.ones((3, 3), np.uint8)) > 0
        off = np.where(on_skin, distance[..., bare], off)
    return off


def _closed(mask: np.ndarray) -> np.ndarray:
    """A mask whose narrow gaps are filled, uint8."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, ellipse)


def _beside_area(colour: np.ndarray) -> np.ndarray:
    """Where pixels of a colour are more than lines, and beside that, bool."""
    area = cv2.morphologyEx(colour.astype(np.uint8), cv2.MORPH_OPEN, np.ones((4, 4), np.uint8))
    return dilated(area, 5)


def ring_around(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The face around the mouth, bool."""
    return (np.abs(along) < 0.95) & (np.abs(across) < 0.75)


def cheek_colours(frame: np.ndarray, face: Box | None) -> list[np.ndarray]:
    """The most frequent colours of the middle of a face, CIELAB, but for eyes, hair and colours in smooth shades."""
    if face is None:
        return []
    top, bottom, left, right = CHEEKS
    box = Box(
        *(int(face.x1 + left * face.width), int(face.y1 + top * face.height)),
        *(int(face.x1 + right * face.width), int(face.y1 + bottom * face.height)),
    ).clipped(frame.shape[1], frame.shape[0])
    pixels = to_lab(np.ascontiguousarray(frame[box.slices])).reshape(-1, 3) if box.area >= 1 else np.zeros((0, 3))
    pixels = pixels[(pixels[:, 0] > LIGHT[0]) & ((pixels[:, 0] < LIGHT[1]) | (np.hypot(*pixels[:, 1:].T) > WHITE))]
    colours: list[np.ndarray] = []
    while len(pixels) and len(colours) < LIT:
        cells = _cells(pixels)
        colour = np.median(pixels[cells == np.bincount(cells).argmax()], axis=0)
        apart = np.linalg.norm(pixels - colour, axis=1)
        if (apart < FILL).sum() <= (apart < APART).sum() / 2:
            break
        colours.append(colour)
        pixels = pixels[apart >= APART]
    return colours


def _cells(pixels: np.ndarray) -> np.ndarray:
    """A number for each cell of four CIELAB units a side, in the order of L, a, b."""
    return np.round(pixels / 4).astype(np.int32) @ np.array([_CELLS**2, _CELLS, 1]) + (_CELLS**2 - 1) // 2


def skin_colours(
    lab: np.ndarray, along: np.ndarray, across: np.ndarray, gap: float, inside: np.ndarray, cheeks: list[np.ndarray]
) -> tuple[np.ndarray, int, int | None]:
    """The most frequent colours of the ring around the mouth, CIELAB, (K, 3); how many of them, the first ones, are no
    blush; and which is a colour of the cheeks, if it is none of the others: the bare skin in a beard."""
    ring = ring_around(along, across) & ~inside
    pixels, aside = lab[ring], np.abs(along[ring]) > ASIDE
    cells = _cells(pixels)
    numbers = np.bincount(cells)
    there = np.flatnonzero(numbers)
    counts, which = numbers[there], (np.cumsum(numbers > 0) - 1)[cells]
    beyond = np.bincount(which, aside, len(counts)) > 0.9 * counts
    plain: list[np.ndarray] = []
    blush: list[np.ndarray] = []
    for cell in np.argsort(-counts):
        if plain and counts[cell] < BLUSH * len(pixels):
            break
        colour = np.median(pixels[which == cell], axis=0)
        if plain and _apart(colour, plain + blush) <= APART:
            continue
        frequent = not plain or counts[cell] >= FREQUENT * len(pixels)
        if not plain or (frequent and len(plain) < SKINS and _is_skin_like(colour, plain[0], 16)):
            plain.append(colour)
        elif beyond[cell] and len(blush) < SKINS and _is_skin_like(colour, plain[0], 32):
            blush.append(colour)
    bare = None
    near = (along[ring] / CLOSE[0]) ** 2 + (across[ring] / (gap + CLOSE[1])) ** 2 < 1
    shown = [colour for colour in cheeks if _is_bare(colour, plain)]
    colour = max(shown, key=lambda colour: _share(colour, pixels[near]), default=None)
    if colour is not None and _share(colour, pixels[near]) >= SHOWN:
        bare, blush = len(plain), [each for each in blush if np.linalg.norm(each - colour) > APART]
        plain.append(colour)
    return np.array(plain + blush, np.float32), len(plain), bare


def _is_bare(cheeks: np.ndarray, plain: list[np.ndarray]) -> bool:
    """Whether a colour of the cheeks is none of the skin colours, nor one of them in shadow."""
    return _apart(cheeks, plain) > 2 * APART and not any(_is_shadow(cheeks, skin) for skin in plain)


def _is_shadow(colour: np.ndarray, skin: np.ndarray) -> bool:
    """Whether a colour is darker than the skin and has nearly its hue and chroma, or its hue in another chroma."""
    if colour[0] >= skin[0]:
        return False
    turn = np.arctan2(colour[2], colour[1]) - np.arctan2(skin[2], skin[1])
    is_hue = min(np.linalg.norm(colour[1:]), np.linalg.norm(skin[1:])) > COLOURED and np.cos(turn) > SAME_HUE
    return bool(is_hue or np.linalg.norm(colour[1:] - skin[1:]) < _hue(skin, 16))


def _share(colour: np.ndarray, pixels: np.ndarray) -> float:
    return len(pixels) and float((np.linalg.norm(pixels - colour, axis=1) < APART).mean())


def _hue(skin: np.ndarray, least: float) -> float:
    """Difference of hue and chroma that a shadow may have: a saturated colour loses more than a pale one."""
    return max(least, SATURATED * float(np.linalg.norm(skin[1:])))


def _apart(colour: np.ndarray, known: list[np.ndarray]) -> float:
    return min(float(np.linalg.norm(colour - each)) for each in known)


def _is_skin_like(colour: np.ndarray, skin: np.ndarray, hue: float) -> bool:
    """Whether a frequent colour may be the skin in shadow or a blush: a little darker, and of nearly the same hue."""
    return bool(abs(colour[0] - skin[0]) < 32 and np.linalg.norm(colour[1:] - skin[1:]) < _hue(skin, hue))
