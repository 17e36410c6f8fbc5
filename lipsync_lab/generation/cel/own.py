"""Mouths as pictures: the clip's own drawings of its mouth, or an animator's, pasted where they are near enough.

A mouth is cut out along its own lines (`cut`): what differs from the face without it. Drawings that look the same are
one (`distinct`), and each is labelled with a letter of the chart by its gap, its width and its tongue (`letter_of`).
The gap is what the ink is higher than that of the clip's closed mouths: the locator names thin gaps closed, and rows of
teeth; a mouth that shows teeth is open. `nearest` picks the one for a shape, and `placed` puts it on a face: moved by
whole pixels where the face has the size and the rotation of the drawing, so that its pixels stay the very same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lipsync_lab.generation.cel import draw
from lipsync_lab.generation.cel.draw import Colour, Seat
from lipsync_lab.generation.cel.erase import beside_corners, lower_lip, mouth_axes, widest
from lipsync_lab.generation.cel.look import Look, Sample, seat_of, shows_teeth
from lipsync_lab.generation.cel.shapes import CHART, CLOSED, MouthShape
from lipsync_lab.geometry import Box

#: Confidence of a pose at or above which its mouth is cut out.
SURE = 0.8
#: Mean difference, in grey levels, up to which two cut mouths are one drawing.
SAME = 16.0
#: Pixels of ink beside what was erased, over the square root of the latter's pixels, at which a mouth is cut off.
GOES_ON = 0.3
#: Shares of the face box by which a mouth may lie beside the usual place of its shot: beyond, it is another mark.
ASIDE = 0.08
#: Widths, in widths at rest, that a closed mouth may have.
_CLOSED_WIDTHS = 0.6, 1.6
#: Distance (`_distance`) up to which a mouth is near enough to a shape.
NEAR = 0.2
#: CIELAB distance of the skins, and ratio of the sizes, up to which a mouth of another shot may be pasted.
ALIKE = 4.0, 1.5
#: Change of size, as a share, and of rotation, in degrees, that is too small to resample a picture for it.
_STEADY, _UPRIGHT = 0.06, 4.0
#: Gap, as a share of the widest, below which a mouth is closed: of the locator, and of what its ink is higher than a
#: closed one's.
_SHUT, _SLIT = 0.1, 0.08
#: Rank, among the heights of closed mouths, of the one that counts as the height of their line.
_THIN = 20
#: Fewer mouths that the locator names closed say nothing if they are higher than a line: of painted lips it names most
#: closed ones open.
_FEW = 3
#: Share of the inside that is tongue, more than usual, at or above which the letter is H; and the gaps of that letter.
_TONGUE, _LIFTED = 0.12, (0.2, 0.85)
_THUMB = 48, 64  # height and width of a mouth when two are compared


@dataclass(frozen=True, eq=False)
class Mouth:
    """A picture of a mouth.

    Attributes
    ----------
    shape : str
        Letter of the chart.
    openness : float
        Height of the gap as a share of the widest gap.
    width : float
        Between the corners, in widths of the mouth at rest.
    layer : ndarray, float32, (h, w, 4)
        RGB, 0 to 255, premultiplied by alpha, and alpha, 0 to 1.
    anchor : (float, float)
        x, y in the layer, in pixels: the middle between the corners.
    rest : float
        Width of the mouth at rest in pixels of the layer.
    angle, turn : float
        As in `draw.Seat`: of the face from which it was cut.
    line_width : float
        Pixels.
    skin : Colour
        Of the face from which it was cut.
    source : str
        "clip" or "drawn".
    frame, shot : int or None
        Of the clip.
    file : str or None
        Of a chart (`chart.read_chart`), its name.
    """

    shape: str
    openness: float
    width: float
    layer: np.ndarray
    anchor: tuple[float, float]
    rest: float
    angle: float
    turn: float
    line_width: float
    skin: Colour
    source: str
    frame: int | None = None
    shot: int | None = None
    file: str | None = None


@dataclass(frozen=True)
class Usual:
    """Of a clip: the height of the ink of its closed mouths as a share of the widest gap, and the share of the inside
    that has the tongue's colour in half of its mouths."""

    height: float
    tongue: float


def cut(sample: Sample, look: Look, usual: Usual | None = None) -> Mouth | None:
    """The mouth of a drawing, with the line or shadow under its lip; None where it is not located, where its ink
    reaches beyond what was erased, or where it lacks the line that the clip's mouths have under the lip.

    Parameters
    ----------
    sample : Sample
    look : Look
    usual : Usual, optional
        Without it the gap is the locator's, and no mouth has the letter H.
    """
    pose, erased = sample.pose, sample.erased
    if not _is_sure(sample):
        return None
    mask = _own(sample, look)
    if mask is None:
        return None
    whole = not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
    goes_on = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~mask & erased.ink
    if not whole or goes_on.sum() > GOES_ON * np.sqrt(mask.sum()) or (mask & erased.ink).sum() < 6:
        return None
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    inner = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    layer = _matte(sample.pixels, erased.pixels, mask, erased.ink)[inner]
    seat = seat_of(pose, sample.box, look, sample.shot, erased)
    anchor = seat.x - erased.box.x1 - columns[0], seat.y - erased.box.y1 - rows[0]
    width = pose.width / max(seat.width, 1)
    if usual is None:
        gap, tongue = _gap_of(sample, look), 0.0
        gap = 0.0 if gap < _SHUT else min(gap, 1.0)
    else:
        gap, tongue = _height(sample, look) - usual.height, _tongue(sample, look) - usual.tongue
        gap = 0.0 if gap < _SLIT else min(gap, 1.0)
    if shows_teeth(sample):
        # the gap of the locator is nothing where it takes clenched teeth for closed lips
        lips = usual.height if usual else _line(look)
        gap = float(np.clip(_height(sample, look) - lips, CHART["G"].openness, 1))
    if gap == 0 and not _CLOSED_WIDTHS[0] < width < _CLOSED_WIDTHS[1]:
        return None
    return Mouth(letter_of(gap, width, tongue), gap, width, layer, anchor, seat.width, pose.angle,
                 seat.turn, look.pen.thickness * sample.box.width / look.face, tuple(map(float, erased.skin[0])),
                 "clip", sample.frame, sample.shot)  # fmt: skip


def _is_sure(sample: Sample) -> bool:
    return sample.pose.visibility == "visible" and sample.pose.confidence >= SURE


def _gap_of(sample: Sample, look: Look) -> float:
    """The gap of the pose as a share of the widest."""
    widest = look.gap * look.rest(sample.box, sample.shot)
    return sample.pose.openness * sample.pose.width / max(widest, 1)


def _ink(sample: Sample) -> np.ndarray:
    return widest(sample.erased.mask & sample.erased.ink)


def _height(sample: Sample, look: Look) -> float:
    """Height of the ink in the middle of the mouth as a share of the widest gap; 0 without ink."""
    along, across = mouth_axes(sample.pose, sample.erased.box)
    middle = across[_ink(sample) & (np.abs(along) < 0.15)]
    widest = look.gap * look.rest(sample.box, sample.shot)
    return float(np.ptp(middle)) * max(sample.pose.width, 6.0) / max(widest, 1) if len(middle) else 0.0


def _line(look: Look) -> float:
    """Three times the thickness of the clip's lines, as a share of the widest gap."""
    return 3 * look.pen.thickness / max(look.gap * look.width * look.face, 1)


def _tongue(sample: Sample, look: Look) -> float:
    """Share of the inside whose colour is nearest to the tongue's."""
    thick = max(1, round(look.pen.thickness * sample.box.width / look.face))
    inside = cv2.erode(_ink(sample).astype(np.uint8), np.ones((thick + 1, thick + 1), np.uint8)) > 0
    if inside.sum() < 12:
        return 0.0
    pen = look.pen
    colours = np.float32([pen.line, pen.inner, pen.teeth, pen.tongue, sample.erased.skin[0]])
    lab = cv2.cvtColor(np.concatenate([sample.pixels[inside], colours])[None].astype(np.float32) / 255,
                       cv2.COLOR_RGB2LAB)[0]  # fmt: skip
    distance = np.linalg.norm(lab[: -len(colours), None] - lab[-len(colours) :], axis=-1)
    return float((distance.argmin(1) == 3).mean())


def cut_all(samples: Sequence[Sample], look: Look) -> list[Mouth]:
    """The mouths of drawings, without those that lie beside the usual place of their shot."""
    places = {shot: [] for shot in {sample.shot for sample in samples}}
    for sample in samples:
        places[sample.shot].append(_place(sample))
    usual = {shot: np.median(points, axis=0) for shot, points in places.items()}
    there = [sample for sample in samples if np.abs(_place(sample) - usual[sample.shot]).max() < ASIDE]
    usual = _usual(there, look)
    return [mouth for mouth in (cut(sample, look, usual) for sample in there) if mouth is not None]


def _usual(samples: Sequence[Sample], look: Look) -> Usual | None:
    """None where no mouth is closed."""
    sure = [sample for sample in samples if _is_sure(sample)]
    lips = [sample for sample in sure if not shows_teeth(sample)]
    shut = [_height(sample, look) for sample in lips if _gap_of(sample, look) < _SHUT]
    if len(shut) < _FEW <= len(lips) and min(shut, default=1.0) > _line(look):
        shut = [_height(sample, look) for sample in lips]
    if not shut:
        return None
    return Usual(float(np.percentile(shut, _THIN)), float(np.median([_tongue(sample, look) for sample in sure])))


def _place(sample: Sample) -> np.ndarray:
    """The middle between the corners, as shares of the face box."""
    middle = np.mean([sample.pose.left, sample.pose.right], axis=0)
    return (middle - sample.box.center) / (sample.box.width, sample.box.height)


def _own(sample: Sample, look: Look) -> np.ndarray | None:
    """What was erased of the mouth, of the line under its lip and of the marks at its corners, bool, without anything
    else; None without that line where the clip's mouths have one."""
    erased, ink = sample.erased, sample.erased.mask & sample.erased.ink
    mouth = widest(ink)
    axes = mouth_axes(sample.pose, erased.box)
    lip = lower_lip(ink, sample.pose, *axes) & ~mouth
    if look.pen.lip is not None and not lip.any():
        return None
    own = mouth | lip | (ink & beside_corners(*axes))
    rest = ink & ~own
    if not rest.any():
        return erased.mask
    near, far = (cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 3) for part in (own, rest))
    return erased.mask & (near <= far)


def _matte(pixels: np.ndarray, clean: np.ndarray, mask: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """The mouth as a layer that gives `pixels` over `clean`: opaque inside, its antialiased edge as it is."""
    new, old = pixels.astype(np.float32), clean.astype(np.float32)
    first, second = (cv2.cvtColor(part / 255, cv2.COLOR_RGB2LAB) for part in (new, old))
    distance = np.sqrt(((first - second) ** 2).sum(-1))
    peak = cv2.dilate(distance, np.ones((5, 5), np.uint8))
    alpha = np.clip(distance / np.maximum(peak, 25.0), 0, 1)
    # a colour of [0, 255] must give the pixel
    room = np.where(new < old, old, 255 - old)
    alpha = np.maximum(alpha, (np.abs(new - old) / np.maximum(room, 1)).max(-1))
    alpha[_filled_holes(cv2.erode((mask & ink).astype(np.uint8), np.ones((3, 3), np.uint8)))] = 1
    alpha = np.where(mask, np.minimum(alpha, 1), 0)
    colour = np.where(mask[..., None], new - (1 - alpha[..., None]) * old, 0)
    return np.dstack([np.clip(colour, 0, 255 * alpha[..., None]), alpha]).astype(np.float32)


def _filled_holes(mask: np.ndarray) -> np.ndarray:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, cv2.FILLED).astype(bool)


def drawn_mouth(shape: MouthShape, look: Look, skin: Colour) -> Mouth:
    """A mouth of the chart as `draw` draws it in the look of a clip, on a face in front view."""
    rest = look.width * look.face
    reach = 0.8 * rest + 4
    box = Box(0, 0, int(2 * reach), int(2 * reach))
    seat = Seat(reach, reach, rest, look.gap * rest, smile=look.smile)
    layer = draw.drawn(shape, seat, look.pen, box)
    rows, columns = (np.flatnonzero((layer[..., 3] > 1 / 512).any(axis=axis)) for axis in (1, 0))
    margin = 4  # pixels for whoever paints over the line
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    layer = layer[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
    return Mouth(shape.shape, shape.openness, chart_width(shape), layer, (reach - left, reach - top), rest, 0.0, 0.0,
                 look.pen.thickness, skin, "drawn")  # fmt: skip


def chart_width(shape: MouthShape) -> float:
    """Width between the corners of a shape as it is drawn, in widths of the mouth at rest (`draw`)."""
    return (0.62 + 0.76 * shape.width) * (1 - 0.42 * shape.rounding)


def letter_of(gap: float, width: float, tongue: float = 0.0) -> str:
    """The letter of a gap (share of the widest), a width (widths at rest) and the share of tongue in it that is more
    than usual, as far as these tell: of A and X always A, and never G (teeth on the lip), whose gap is nearly B's."""
    if gap <= 0:
        return "A"
    if tongue >= _TONGUE and _LIFTED[0] < gap < _LIFTED[1]:
        return "H"
    return min("BCDEF", key=lambda letter: abs(CHART[letter].openness - gap) + abs(chart_width(CHART[letter]) - width))


def distinct(mouths: Sequence[Mouth]) -> list[Mouth]:
    """The different drawings of each shot, in the order of the clip; of those that look the same, the first."""
    kept: list[tuple[Mouth, np.ndarray]] = []
    for mouth in mouths:
        thumb = _thumb(mouth)
        known = (other for other, picture in kept if other.shot == mouth.shot and _differ(thumb, picture) < SAME)
        if next(known, None) is None:
            kept.append((mouth, thumb))
    return [mouth for mouth, _ in kept]


def _thumb(mouth: Mouth) -> np.ndarray:
    """The mouth at a common size and rotation."""
    scale = 0.5 * _THUMB[1] / mouth.rest
    matrix = _similarity(mouth.anchor, scale, -mouth.angle, (_THUMB[1] / 2, _THUMB[0] / 2))
    # lines that lie a pixel apart are the same line
    return cv2.GaussianBlur(cv2.warpAffine(mouth.layer, matrix, _THUMB[::-1], flags=cv2.INTER_AREA), (0, 0), 1.5)


def _differ(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference in grey levels where either has a mouth."""
    either = np.maximum(first[..., 3], second[..., 3]) > 0.1
    difference = np.abs(first - second) * np.float32([1, 1, 1, 255])
    return float(difference[either].mean()) if either.any() else 0.0


def alike(mouths: Sequence[Mouth], shot: int | None, rest: float, skin: np.ndarray) -> list[Mouth]:
    """The mouths that may be pasted on a face: those without a shot, of its own shot, and of other shots in which a
    face has its colour and nearly its size. Elsewhere the light is another one, the line has another width, or another
    character is shown.

    Parameters
    ----------
    mouths : sequence of Mouth
    shot : int or None
    rest : float
        Width of the face's mouth at rest in pixels.
    skin : ndarray, (3,)
        The face's skin colour, RGB.
    """

    def fits(mouth: Mouth) -> bool:
        if mouth.shot in (None, shot):
            return True
        pair = cv2.cvtColor(np.float32([[mouth.skin, skin]]) / 255, cv2.COLOR_RGB2LAB)[0]
        sizes = max(mouth.rest, rest) / max(min(mouth.rest, rest), 1)
        return float(np.linalg.norm(pair[0] - pair[1])) < ALIKE[0] and sizes < ALIKE[1]

    return [mouth for mouth in mouths if fits(mouth)]


def nearest(shape: MouthShape, turn: float, shot: int | None, mouths: Sequence[Mouth]) -> tuple[Mouth | None, float]:
    """The mouth that is nearest to a shape on a face that is turned so, and its distance; of equals the first."""
    if not mouths:
        return None, np.inf
    best = min(mouths, key=lambda mouth: _distance(shape, turn, shot, mouth))
    return best, _distance(shape, turn, shot, best)


def _distance(shape: MouthShape, turn: float, shot: int | None, mouth: Mouth) -> float:
    gap = abs(shape.openness - mouth.openness) + (0.5 if (shape.openness > 0) != (mouth.openness > 0) else 0)
    letter = 0 if mouth.shape == shape.shape or shape.shape in CLOSED else 0.25 if shape.shape in "GH" else 0.03
    sides = 0.4 * max(abs(turn - mouth.turn) - 0.2, 0)
    return (
        gap
        + 0.4 * abs(chart_width(shape) - mouth.width) * (shape.openness > 0)
        + letter
        + sides
        + 0.05 * (shot is not None and shot != mouth.shot)
    )


def placed(mouth: Mouth, seat: Seat, box: Box, skin: np.ndarray) -> np.ndarray:
    """The layer of a mouth on a face, float32 (h, w, 4), of the size of `box`; see `draw.drawn`.

    Parameters
    ----------
    mouth : Mouth
    seat : Seat
    box : Box
        Part of the frame.
    skin : ndarray, (3,)
        The face's skin colour, RGB: the mouth's colours change as its skin does.
    """
    layer = mouth.layer
    gain = np.clip(np.asarray(skin, np.float32) / np.maximum(mouth.skin, 1), 0.4, 2.5)
    if np.abs(np.asarray(skin) - mouth.skin).max() > 4:
        layer = layer.copy()
        layer[..., :3] = np.minimum(layer[..., :3] * gain, 255 * layer[..., 3:])
    scale, angle = seat.width / mouth.rest, seat.angle - mouth.angle
    x, y = seat.x - box.x1, seat.y - box.y1
    if abs(scale - 1) < _STEADY and abs(angle) < _UPRIGHT:
        scale, angle = 1.0, 0.0
        x, y = (round(at - own) + own for at, own in zip((x, y), mouth.anchor, strict=True))
    elif scale < 0.7:
        size = max(1, round(layer.shape[1] * scale)), max(1, round(layer.shape[0] * scale))
        shares = size[0] / layer.shape[1], size[1] / layer.shape[0]
        layer = cv2.resize(layer, size, interpolation=cv2.INTER_AREA)
        mouth = replace(mouth, anchor=(mouth.anchor[0] * shares[0], mouth.anchor[1] * shares[1]))
        scale = 1.0
    matrix = _similarity(mouth.anchor, scale, angle, (x, y))
    moved = cv2.warpAffine(layer, matrix, (int(box.width), int(box.height)), flags=cv2.INTER_CUBIC)
    alpha = np.clip(moved[..., 3:], 0, 1)
    return np.concatenate([np.clip(moved[..., :3], 0, 255 * alpha), alpha], axis=-1)


def _similarity(anchor: tuple[float, float], scale: float, angle: float, to: tuple[float, float]) -> np.ndarray:
    """Affine map that scales and turns (degrees, clockwise in the picture) and moves the anchor to a point.

    Points are counted from the corner of the picture, OpenCV's from the middle of the first pixel.
    """
    radians = np.radians(angle)
    turned = scale * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    shift = np.asarray(to) - 0.5 - turned @ (np.asarray(anchor) - 0.5)
    return np.column_stack([turned, shift])
