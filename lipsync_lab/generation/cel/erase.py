"""Erasing a drawn mouth: the face as it would be without one.

A drawn mouth is a connected set of lines and fills on flat skin. The skin around the mouth is described by few colours
(lit, in shadow); what differs from all of them near the mouth is ink. Ink that is connected with the mouth and ends
near it is the mouth; of ink that goes on (jaw, beard, a hand) only the part between the lips is taken. A separate line
of the lower lip stays. The hole is filled from its own border: each pixel gets the skin colour whose border it
continues, so that the edge of a shadow that ran behind the mouth runs on, and no colour is smeared over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync_lab.generation.cel.locate import MouthPose
from lipsync_lab.geometry import Box

#: Half width and half height of the part of the picture that is looked at, and of the mouth's own zone, in widths of
#: the mouth.
AROUND = (1.5, 1.1)
ZONE = (0.68, 0.42)
#: CIELAB distance from every skin colour beyond which a pixel is ink.
INK = 9.0
#: Skin colours that are told apart, and the least CIELAB distance between two of them.
SKINS, APART = 3, 7.0
#: What is so far above the gap, in widths, is the nose; a piece that ends below the second is a painted lip.
ABOVE = (0.16, 0.32)
#: Of ink that goes on beyond the mouth, what is so near the gap, in widths, is a lip's.
NEAR = 0.13
#: Half the height of a gap, in widths, at or above which its middle is certainly no skin.
_SHUT = 0.05
#: Where the small marks beside the corners are, in widths: from and to so far along the mouth, and so far across.
CORNERS = (0.38, 0.8, 0.3)


@dataclass(frozen=True, eq=False)
class Erased:
    """A part of a frame without its mouth.

    Attributes
    ----------
    box : Box
        The part of the frame.
    pixels : ndarray, uint8, (h, w, 3)
        RGB, the part without the mouth.
    mask : ndarray, bool, (h, w)
        Pixels that were erased; all others are those of the frame.
    ink : ndarray, bool, (h, w)
        What differs from the skin, the mouth and all else.
    skin : ndarray, float32, (K, 3)
        Skin colours, RGB, the most frequent first.
    flat : float
        Share of the face around the mouth that has one of the skin colours: 0.4 and more on drawings in flat colours,
        0.25 and less on paintings.
    """

    box: Box
    pixels: np.ndarray
    mask: np.ndarray
    ink: np.ndarray
    skin: np.ndarray
    flat: float = 1.0


def erase(frame: np.ndarray, pose: MouthPose) -> Erased:
    """Erase the mouth of a pose.

    Parameters
    ----------
    frame : ndarray, uint8, (H, W, 3)
        RGB.
    pose : MouthPose
        Inside the frame.

    Returns
    -------
    Erased
    """
    box = region(pose, frame.shape)
    part = np.ascontiguousarray(frame[box.slices])
    lab = _lab(part)
    along, across = _mouth_axes(pose, box)
    inside = _inside(pose, along, across)
    skin = _skin_colours(lab, along, across, inside)
    distance = _distances(lab, skin)
    ink = (distance.min(-1) > INK) | inside
    mask = _mouth(ink, pose, along, across)
    # the soft edge of a line is paler than ink
    mask |= _dilated(mask, 7) & (distance.min(-1) > 0.5 * INK)
    grown = _dilated(mask, 5)
    pixels = _filled(part, grown, ink, distance.argmin(-1))
    colours = np.array([part[(distance.argmin(-1) == index) & ~ink].mean(0) for index in range(len(skin))], np.float32)
    around = _ring(along, across) & ((along / 0.6) ** 2 + (across / (_gap(pose) + 0.2)) ** 2 > 1)
    return Erased(box, pixels, grown, ink, colours, float((~ink[around]).mean()) if around.any() else 0.0)


def inked(frame: np.ndarray, pose: MouthPose) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What differs from the skin around a pose, bool; coordinates along and across the mouth, in widths; and CIELAB.

    All are of the part of the frame that `region` gives.
    """
    box = region(pose, frame.shape)
    lab = _lab(np.ascontiguousarray(frame[box.slices]))
    along, across = _mouth_axes(pose, box)
    skin = _skin_colours(lab, along, across, np.zeros(lab.shape[:2], bool))
    return _distances(lab, skin).min(-1) > INK, along, across, lab


def region(pose: MouthPose, shape: tuple[int, ...]) -> Box:
    """The part of a frame, (H, W, ...), that a mouth's erasing and drawing may change."""
    reach = max(pose.width, 6.0)
    x, y = pose.centre
    half = reach * AROUND[0], reach * max(AROUND[1], 0.75 * pose.openness + 0.6)
    return Box(int(x - half[0]), int(y - half[1]), int(x + half[0]) + 1, int(y + half[1]) + 1).clipped(
        shape[1], shape[0]
    )


def _lab(part: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _dilated(mask: np.ndarray, side: int) -> np.ndarray:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), ellipse).astype(bool)


def _distances(lab: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """CIELAB distance of every pixel from each skin colour, (h, w, K)."""
    return np.sqrt(((lab[:, :, None] - skin) ** 2).sum(-1))


def _mouth_axes(pose: MouthPose, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel of the part along the mouth and across it, in widths, from the middle of the gap."""
    y, x = np.mgrid[box.y1 : box.y2, box.x1 : box.x2].astype(np.float32)
    x, y, angle = x + 0.5 - pose.centre[0], y + 0.5 - pose.centre[1], np.radians(pose.angle)
    width = max(pose.width, 6.0)
    return (x * np.cos(angle) + y * np.sin(angle)) / width, (y * np.cos(angle) - x * np.sin(angle)) / width


def _gap(pose: MouthPose) -> float:
    """Half the height of the gap in widths."""
    return 0.5 * pose.openness


def _inside(pose: MouthPose, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """What is certainly between the lips, bool: a tongue may have the colour of the skin."""
    gap = _gap(pose)
    return (along / 0.4) ** 2 + (across / (0.75 * max(gap, 1e-6))) ** 2 < (gap > _SHUT)


def _ring(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The face around the mouth, bool."""
    return (np.abs(along) < 0.95) & (np.abs(across) < 0.75)


def _skin_colours(lab: np.ndarray, along: np.ndarray, across: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The most frequent colours of the ring around the mouth, CIELAB, (K, 3)."""
    ring = _ring(along, across) & ~inside
    pixels = lab[ring]
    cells = np.round(pixels / 4).astype(np.int32)
    _, which, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    skins: list[np.ndarray] = []
    for cell in np.argsort(-counts):
        if counts[cell] < 0.04 * len(pixels) and skins:
            break
        colour = np.median(pixels[which.ravel() == cell], axis=0)
        if not skins or (
            min(np.linalg.norm(colour - known) for known in skins) > APART and _is_skin_like(colour, skins[0])
        ):
            skins.append(colour)
        if len(skins) == SKINS:
            break
    return np.array(skins, np.float32)


def _is_skin_like(colour: np.ndarray, skin: np.ndarray) -> bool:
    """Whether a frequent colour may be the skin in shadow: a little darker, and of nearly the same hue."""
    return bool(abs(colour[0] - skin[0]) < 32 and np.linalg.norm(colour[1:] - skin[1:]) < 16)


def _mouth(ink: np.ndarray, pose: MouthPose, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The ink that belongs to the mouth, bool, of the shape of the part."""
    gap = _gap(pose)
    core = (np.abs(along) < 0.5) & (np.abs(across) < gap + 0.07)
    zone = (along / ZONE[0]) ** 2 + (across / (gap + ZONE[1])) ** 2 < 1
    own, lips = (zone & (across > -(gap + above)) for above in ABOVE)
    corners = (np.abs(along) > CORNERS[0]) & (np.abs(along) < CORNERS[1]) & (np.abs(across) < CORNERS[2])
    lens = _lens(pose, along, across)
    count, labels = cv2.connectedComponents(ink.astype(np.uint8), connectivity=8)
    mouth = np.zeros(ink.shape, bool)
    for label in range(1, count):
        piece = labels == label
        size = int(piece.sum())
        if size == int((piece & corners).sum()):
            mouth |= piece
        elif (piece & core).any():
            if (piece & own).sum() > 0.85 * size or (piece & lips).sum() > 0.97 * size:
                mouth |= piece
            else:
                mouth |= piece & (own | corners if (piece & own).sum() > 0.5 * size else lens)
    return mouth


def _lens(pose: MouthPose, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """What lies between the lips or less than `NEAR` from there, bool."""
    beyond = np.maximum(np.abs(along) - 0.5, 0)
    height = _gap(pose) * (1 - np.clip(2 * along, -1, 1) ** 2) + np.sqrt(np.maximum(NEAR**2 - beyond**2, 0))
    return (np.abs(across) < height) & (beyond < NEAR)


def _filled(part: np.ndarray, hole: np.ndarray, ink: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """The part with its hole filled from the skin at its border."""
    if not hole.any():
        return part.copy()
    known = ~hole & ~cv2.dilate(ink.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    labels = np.unique(nearest[known])
    if not len(labels):
        return cv2.inpaint(part, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    # each place gets the skin colour that diffuses there most from the border
    shares = np.stack([_diffused((nearest == label).astype(np.float32), known, hole) for label in labels])
    choice = labels[shares.argmax(0)]
    out = part.astype(np.float32)
    for label in labels:
        own = known & (nearest == label)
        here = hole & (choice == label)
        if here.any():
            for channel in range(3):
                out[..., channel][here] = _diffused(part[..., channel].astype(np.float32), own, here | hole)[here]
    out[hole] += _grain(part, known, int(hole.sum()))
    edge = cv2.GaussianBlur(out, (0, 0), 0.6)
    border = cv2.morphologyEx(choice.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    out[hole & border] = edge[hole & border]
    return np.clip(out.round(), 0, 255).astype(np.uint8)


def _diffused(values: np.ndarray, known: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Values spread from known pixels into the rest: weighted means over growing neighbourhoods, the nearest first."""
    weight, total = known.astype(np.float32), np.where(known, values, 0).astype(np.float32)
    out, left = np.where(known, values, 0).astype(np.float32), hole & ~known
    sigma = 1.5
    while left.any() and sigma < max(values.shape):
        near = cv2.GaussianBlur(weight, (0, 0), sigma)
        there = left & (near > 0.02)
        out[there] = (cv2.GaussianBlur(total, (0, 0), sigma) / np.maximum(near, 1e-6))[there]
        left &= ~there
        sigma *= 1.6
    if left.any():
        out[left] = values[known].mean() if known.any() else 0
    return out


def _grain(part: np.ndarray, known: np.ndarray, count: int) -> np.ndarray:
    """Noise as strong as that of the skin, float32 (count, 3); the same for the same picture."""
    smooth = cv2.medianBlur(part, 3).astype(np.float32)
    rest = (part.astype(np.float32) - smooth)[known]
    if len(rest) < 20:
        return np.zeros((count, 3), np.float32)
    strength = np.median(np.abs(rest), axis=0) / 0.6745
    noise = np.random.default_rng(count).standard_normal((count, 1)).astype(np.float32)
    return noise * strength
