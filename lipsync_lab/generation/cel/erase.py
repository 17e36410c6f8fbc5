"""Erasing the mouth of a drawing: the face as it would be without one.

Such a mouth is a connected set of lines and fills on flat skin. The skin around the mouth is described by few colours
(lit, in shadow, a blush); what differs from all of them, and from their mixtures at the edge of a shadow, is ink. Ink
that is connected with the mouth and ends near it is the mouth, and so is a separate line of the lower lip; of ink that
goes on (jaw, beard, a hand) only the part between the lips is taken, and a nose that touches the mouth is cut off where
they are narrowest. A piece is taken with its soft rim, or not at all.
In a beard the bare skin around the mouth is such a skin colour (`skin`), and the mouth's place is filled with it.
The hole is filled from its own border: each pixel gets the skin colour on whose side of the edges around the hole it
lies, so that the edge of a shadow that ran behind the mouth runs on, and no colour is smeared over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync_lab.generation.cel.locate import MouthPose
from lipsync_lab.generation.cel.skin import (
    INK,
    cheek_colours,
    dilated,
    distances,
    off_skin,
    ring_around,
    skin_colours,
    to_lab,
)
from lipsync_lab.geometry import Box

#: Half width and half height of the part of the picture that is looked at, and of the mouth's own zone, in widths of
#: the mouth.
AROUND = (1.5, 1.1)
ZONE = (0.68, 0.42)
#: What is so far above the gap, in widths, is the nose; a piece that ends below the second is a painted lip.
ABOVE = (0.16, 0.32)
#: Of ink that goes on beyond the mouth, what is so near the gap, in widths, is a lip's.
NEAR = 0.09
#: Half the height of a gap, in widths, at or above which its middle is certainly no skin.
_SHUT = 0.05
#: Where the small marks beside the corners are, in widths: from and to so far along the mouth, and so far across.
CORNERS = (0.38, 0.8, 0.3)
#: Where a separate line of the lower lip is, in widths: so far along the mouth, so far below the gap; and its height.
LOWER_LIP = (0.64, 0.72, 0.45)
#: Half width, and height above and below the gap, in widths, of a box in which a whole piece of ink is the mouth.
WHOLE = (0.72, 0.32, 0.45)
#: Where a nose that touches the mouth is cut off: its widest and the mouth's widest row are so many times as wide as
#: the row between them, the nose is wider than so many widths of the mouth, and that row lies less far above the gap,
#: in widths, or in the gap's upper part, as a share of it.
NECK, SMALL, NOSE, UPPER = 1.8, 0.2, 0.4, 0.6
#: Share of the skin around a hole that a smooth edge may put on the wrong side.
UNFIT = 0.12
#: Share of the skin around a hole below which a colour does not go on in it.
LARGE = 0.08
#: Pixels up to which a piece is a speck of the encode.
SPECK = 6
#: Pixels by which the soft rim of the mouth is followed.
RIM = 4


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
        Pixels that were erased; all apart are those of the frame.
    ink : ndarray, bool, (h, w)
        What differs from the skin, the mouth and all else but a nose that was cut off from the mouth.
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


def erase(frame: np.ndarray, pose: MouthPose, face: Box | None = None) -> Erased:
    """Erase the mouth of a pose.

    Parameters
    ----------
    frame : ndarray, uint8, (H, W, 3)
        RGB.
    pose : MouthPose
        Inside the frame.
    face : Box, optional
        Of the face. Its cheeks show the skin of a mouth in a beard, most of whose surroundings have another colour.

    Returns
    -------
    Erased
    """
    box = region(pose, frame.shape)
    part = np.ascontiguousarray(frame[box.slices])
    lab = to_lab(part)
    along, across = mouth_axes(pose, box)
    inside = _inside(pose, along, across)
    skin, plain, bare = skin_colours(lab, along, across, _gap(pose), inside, cheek_colours(frame, face))
    distance, off = distances(lab, skin), off_skin(lab, skin, bare)
    ink = (off > INK) | inside
    mask, apart, nose = _mouth(ink, pose, along, across)
    free = ~dilated(apart, 3)
    # the soft edge of a line is paler than ink; what belongs to another piece of ink stays whole
    for _ in range(RIM):
        mask |= dilated(mask, 3) & (off > 0.4 * INK) & free
    grown = mask | dilated(mask, 5) & free
    nearest = distance.argmin(-1)
    patch = None if bare is None else _patch((nearest == bare) & (off < INK), grown, _lens(pose, along, across))
    pixels = _filled(part, grown, ink, nearest, bare, patch)
    of_skin = [part[(nearest == index) & ~ink] for index in range(len(skin))]
    # all of a dark colour may be the mouth's
    own = 255 * cv2.cvtColor(skin[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    colours = np.array([known.mean(0) if len(known) else own[index] for index, known in enumerate(of_skin)], np.float32)
    around = ring_around(along, across) & ((along / 0.6) ** 2 + (across / (_gap(pose) + 0.2)) ** 2 > 1)
    flat = distance[around][:, :plain].min(-1) < INK
    return Erased(box, pixels, grown, ink & ~nose, colours, float(flat.mean()) if around.any() else 0.0)


def inked(
    frame: np.ndarray, pose: MouthPose, contrast: float = 0.0, face: Box | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What differs from the skin around a pose, bool; coordinates along and across the mouth, in widths; and CIELAB.

    All are of the part of the frame that `region` gives. `contrast`: share of the difference of the mouth's own line
    from the skin that is asked for. `face`: as in `erase`.
    """
    box = region(pose, frame.shape)
    lab = to_lab(np.ascontiguousarray(frame[box.slices]))
    along, across = mouth_axes(pose, box)
    skin, _, bare = skin_colours(
        lab, along, across, _gap(pose), np.zeros(lab.shape[:2], bool), cheek_colours(frame, face)
    )
    off = off_skin(lab, skin, bare)
    there = (np.abs(along) < 0.5) & (np.abs(across) < _gap(pose) + 0.3)
    most = float(np.percentile(off[there], 97)) if there.any() else 0.0
    return off > max(INK, contrast * most), along, across, lab


def region(pose: MouthPose, shape: tuple[int, ...]) -> Box:
    """The part of a frame, (H, W, ...), that a mouth's erasing and drawing may change."""
    reach = max(pose.width, 6.0)
    x, y = pose.centre
    half = reach * AROUND[0], reach * max(AROUND[1], 0.75 * pose.openness + 0.6)
    return Box(int(x - half[0]), int(y - half[1]), int(x + half[0]) + 1, int(y + half[1]) + 1).clipped(
        shape[1], shape[0]
    )


def mouth_axes(pose: MouthPose, box: Box) -> tuple[np.ndarray, np.ndarray]:
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


def _mouth(
    ink: np.ndarray, pose: MouthPose, along: np.ndarray, across: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ink that belongs to the mouth, the pieces that have nothing of it, and of these the noses that were cut off
    from a mouth, bool, of the shape of the part."""
    gap = _gap(pose)
    core = (np.abs(along) < 0.5) & (np.abs(across) < gap + 0.07)
    zone = (along / ZONE[0]) ** 2 + (across / (gap + ZONE[1])) ** 2 < 1
    own, lips = (zone & (across > -(gap + above)) for above in ABOVE)
    whole = (np.abs(along) < WHOLE[0]) & (across > -(gap + WHOLE[1])) & (across < gap + WHOLE[2])
    corners = beside_corners(along, across)
    lens = _lens(pose, along, across)
    lip = lower_lip(ink, pose, along, across)
    count, labels = cv2.connectedComponents(ink.astype(np.uint8), connectivity=8)
    mouth, apart, noses = (np.zeros(ink.shape, bool) for _ in range(3))
    for label in range(1, count):
        piece = labels == label
        if (piece & core).any():
            nose = _nose(piece, along, across, gap)
            piece, noses = piece & ~nose, noses | nose
        size = int(piece.sum())
        speck = size <= SPECK and (piece & zone).any()
        if speck or (piece & lip).any() or (piece & corners).sum() > 0.9 * size:
            mouth |= piece
        elif (piece & core).any():
            if (piece & own).sum() > 0.85 * size or (piece & lips).sum() > 0.97 * size or whole.all(where=piece):
                mouth |= piece
            else:
                mouth |= piece & (own | corners if (piece & own).sum() > 0.5 * size else lens)
        else:
            apart |= piece
    return mouth, apart | noses, noses


def _nose(piece: np.ndarray, along: np.ndarray, across: np.ndarray, gap: float) -> np.ndarray:
    """What lies above the narrowest row of a piece of ink, bool, where that joins a mouth and a nose."""
    # rows of about a pixel, across the mouth
    step = float(np.abs(np.diff(across, axis=0)).max(initial=0)) or 1.0
    row = ((across - across.min()) / step).astype(int)
    wide = np.bincount(row[piece & (np.abs(along) < WHOLE[0])], minlength=row.max() + 1)
    above, below = np.maximum.accumulate(wide), np.maximum.accumulate(wide[::-1])[::-1]
    height = across.min() + step * (np.arange(len(wide)) + 0.5)
    necks = (wide > 0) & (height > -(gap + NOSE)) & (height < -UPPER * gap) & (above * step > SMALL)
    narrow = np.where(necks, np.minimum(above, below) / np.maximum(wide, 1), 0)
    if narrow.max() < NECK:
        return np.zeros_like(piece)
    # marks beside the mouth that reach as high are no nose
    count, labels = cv2.connectedComponents((piece & (row <= narrow.argmax())).astype(np.uint8), connectivity=8)
    return np.isin(labels, [label for label in range(1, count) if np.ptp(along[labels == label]) > SMALL])


def beside_corners(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Where the small marks at the corners of a mouth are, bool."""
    return (np.abs(along) > CORNERS[0]) & (np.abs(along) < CORNERS[1]) & (np.abs(across) < CORNERS[2])


def widest(ink: np.ndarray) -> np.ndarray:
    """The widest piece of ink, bool: the mouth among the marks beside it, such as the shadow under the lip."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    widths = stats[:, cv2.CC_STAT_WIDTH].copy()
    widths[0] = 0
    return ink & (labels == widths.argmax())


def lower_lip(ink: np.ndarray, pose: MouthPose, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The ink of a separate line of the lower lip, bool."""
    gap = _gap(pose)
    zone = (np.abs(along) < LOWER_LIP[0]) & (across > 0.5 * gap + 0.04) & (across < 1.2 * gap + LOWER_LIP[1])
    count, labels = cv2.connectedComponents(ink.astype(np.uint8), connectivity=8)
    lip = np.zeros(ink.shape, bool)
    for label in range(1, count):
        piece = labels == label
        if zone.all(where=piece) and np.ptp(across[piece]) < LOWER_LIP[2]:
            lip |= piece
    return lip


def _lens(pose: MouthPose, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """What lies between the lips or less than `NEAR` from there, bool."""
    beyond = np.maximum(np.abs(along) - 0.5, 0)
    height = _gap(pose) * (1 - np.clip(2 * along, -1, 1) ** 6) + np.sqrt(np.maximum(NEAR**2 - beyond**2, 0))
    return (np.abs(across) < height) & (beyond < NEAR)


def _patch(bare: np.ndarray, hole: np.ndarray, lens: np.ndarray) -> np.ndarray:
    """The convex hull of the bare skin that touches a hole in a beard, and of the mouth in it, bool."""
    _, labels = cv2.connectedComponents(bare.astype(np.uint8), connectivity=8)
    touching = bare & np.isin(labels, np.unique(labels[dilated(hole, 5) & bare]))
    hull = np.zeros(hole.shape, np.uint8)
    if touching.any():
        cv2.fillConvexPoly(hull, cv2.convexHull(np.argwhere(touching | lens)[:, ::-1].astype(np.int32)), 1)
    return hull > 0


def _filled(
    part: np.ndarray, hole: np.ndarray, ink: np.ndarray, nearest: np.ndarray, bare: int | None, patch: np.ndarray | None
) -> np.ndarray:
    """The part with its hole filled from the skin at its border; in the `patch` from the bare skin in a beard."""
    if not hole.any():
        return part.copy()
    known = ~hole & ~cv2.dilate(ink.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    labels = np.unique(nearest[known])
    if not len(labels):
        return cv2.inpaint(part, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    choice = _sides(nearest, labels, known, hole)
    if choice is None:  # the colour that diffuses there most from the border
        shares = np.stack([_diffused((nearest == label).astype(np.float32), known, hole) for label in labels])
        choice = labels[_shortened(shares, known, hole).argmax(0)]
    if patch is not None and bare in labels:
        choice = np.where(patch, bare, choice)
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


def _sides(nearest: np.ndarray, labels: np.ndarray, known: np.ndarray, hole: np.ndarray) -> np.ndarray | None:
    """The skin colour of every pixel by smooth edges: logistic regression on the place and its squares and products.

    It is fitted to the skin around the hole. None where there is one colour alone, or where it is wrong for more than
    the share `UNFIT`, as with more than one edge between two colours.
    """
    around = known & dilated(hole, 2 * max(5, int(0.35 * np.sqrt(hole.sum()))) + 1)
    counts = np.array([(around & (nearest == label)).sum() for label in labels])
    labels = labels[counts > LARGE * max(counts.sum(), 1)]
    if not len(labels):
        return None
    around &= np.isin(nearest, labels)
    y, x = np.indices(hole.shape, np.float64)
    x, y = ((at - at[hole].mean()) / max(hole.shape) * 4 for at in (x, y))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    step = max(1, int(around.sum()) // 3000)
    rows, true = terms[around][::step], nearest[around][::step]
    weights = np.stack([_logistic(rows, true == label) for label in labels], axis=-1) if len(labels) > 1 else None
    if weights is None:
        return np.full(hole.shape, labels[0])
    if (labels[(rows @ weights).argmax(-1)] != true).mean() > UNFIT:
        return None
    return labels[(terms @ weights).argmax(-1)]


def _logistic(rows: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression, by Newton's method; the quadratic terms are damped."""
    weights, damping = np.zeros(rows.shape[1]), np.diag([1e-3, 1e-3, 1e-3, 0.3, 0.3, 0.3])
    for _ in range(12):
        share = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (true - share) - damping @ weights
        weights += np.linalg.solve((rows * (share * (1 - share) + 1e-6)[:, None]).T @ rows + damping, slope)
    return weights


def _shortened(shares: np.ndarray, known: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Shares of colours in a hole, (K, h, w), whose borders are as short as they can be (Merriman et al. 1992)."""
    size, there = float(np.sqrt(hole.sum())), (known | hole).astype(np.float32)
    for _ in range(25):
        best = shares.argmax(0)
        for index in range(len(shares)):
            own = there * (best == index)
            shares[index] = np.where(hole, cv2.GaussianBlur(own, (0, 0), max(1.5, 0.1 * size)), shares[index])
    return shares


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
