"""The look of a clip's mouths: line, colours inside, sharpness and proportions, measured on its own drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from lipsync_lab.generation.cel.draw import Colour, LowerLip, Pen, Seat
from lipsync_lab.generation.cel.erase import Erased, lower_lip, mouth_axes, widest
from lipsync_lab.generation.cel.locate import MouthPose
from lipsync_lab.geometry import Box

#: Drawings on which line and colours are measured.
SAMPLES = 24
#: Height of the widest gap in widths of the mouth at rest: where a clip shows no wider one, and at most.
GAP, WIDEST = 0.55, 0.8
#: Openness at or above which a mouth shows its inside, and below which it is closed.
_OPEN, _SHUT = 0.22, 0.1
#: CIELAB lightness and chroma of teeth, and chroma of a tongue.
_TEETH, _GREY, _TONGUE = 68.0, 18.0, 28.0
_LIPS = 14.0
#: Least number of pixels on which colours inside a mouth are measured.
_ENOUGH = 30
#: Grey levels by which teeth are lighter than the skin at least, and the share of them in the ink of a mouth that shows
#: them.
_LIGHTER, _TOOTHY = 8, 0.1
#: Widths, in widths of the pose, that the ink of its mouth may have; and the share of it that is an end.
_WIDTHS, _END = (0.6, 1.6), 0.06
#: Width of ink, in widths of the mouth at rest, below which it is a small round mouth.
_NARROW = 0.6
#: Chroma of the strongest colours of a clip, the share of weaker ones, and the chroma below which the clip is grey.
_STRONGEST, _GREY_CLIP = 99, 16.0
#: Colours of the inside on the skin `_SKIN`, where a clip shows none; light that changes the skin changes them alike.
_INNER, _WHITE, _RED = (96.0, 34.0, 40.0), (240.0, 236.0, 228.0), (190.0, 92.0, 92.0)
_SKIN = (225.0, 190.0, 165.0)


@dataclass(frozen=True, eq=False)
class Sample:
    """A drawing of the clip: its face box, the pose of its mouth, the part of the frame around it, and it erased; the
    numbers of the frame and of the shot."""

    box: Box
    pose: MouthPose
    pixels: np.ndarray
    erased: Erased
    frame: int | None = None
    shot: int | None = None


@dataclass(frozen=True)
class Look:
    """What is measured on the samples of a clip.

    Attributes
    ----------
    pen : Pen
        Its thickness and softness are in pixels of a face as wide as `face`.
    face : float
        Median width of the face box in pixels.
    width : float
        Width of the mouth at rest, as a share of the face box.
    widths : dict of int to float
        The same by shot: a turned head shortens it.
    gap : float
        Height of the widest gap in widths of the mouth at rest.
    smile : float
        See `draw.Seat`.
    heights : dict of int to float
        By shot: how high the ends of mouths that are not narrow lie, from the upper edge of the face box down, as a
        share of its height.
    """

    pen: Pen
    face: float
    width: float
    gap: float
    smile: float
    widths: dict[int | None, float] = field(default_factory=dict)
    heights: dict[int | None, float] = field(default_factory=dict)

    def rest(self, box: Box, shot: int | None = None) -> float:
        """Width in pixels of the mouth at rest of a face in a shot."""
        return self.widths.get(shot, self.width) * box.width


def look_of(samples: Sequence[Sample]) -> Look:
    """Measure the look of a clip on its drawings; at least one."""
    widths = {
        shot: float(np.median([own.pose.width / own.box.width for own in samples if own.shot == shot]))
        for shot in {sample.shot for sample in samples}
    }
    heights = _heights(samples, widths)
    samples = [samples[place] for place in np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).astype(int)]
    face = float(np.median([sample.box.width for sample in samples]))
    width = float(np.median([sample.pose.width / sample.box.width for sample in samples]))
    gaps = [sample.pose.openness * sample.pose.width / (width * sample.box.width) for sample in samples]
    gap = float(np.clip(max(GAP, np.percentile(gaps, 95)), GAP, WIDEST))
    skin = np.median([sample.erased.skin[0] for sample in samples], axis=0)
    lines = [_line(sample, skin) for sample in samples]
    lines = [line for line in lines if line is not None] or [(0.25 * skin, 0.012 * face, 0.5)]
    colour = np.median([line[0] for line in lines], axis=0)
    thickness, softness = (float(np.median([line[place] for line in lines])) for place in (1, 2))
    shut = [sample for sample in samples if sample.pose.openness < _SHUT and not shows_teeth(sample)]
    closed = [_closed_line(sample) * face / sample.box.width for sample in shut]
    thickness = float(np.clip(np.median(closed), thickness, 1.6 * thickness)) if closed else thickness
    thickness = float(np.clip(thickness, 0.8, max(1.2, 0.1 * width * face)))
    pen = Pen(_rgb(colour), thickness, *_inside(samples, skin, colour, thickness), softness, _lip(samples, width))
    return Look(pen, face, width, gap, _smile(samples), widths, heights)


def seat_of(pose: MouthPose, box: Box, look: Look, shot: int | None = None, erased: Erased | None = None) -> Seat:
    """Where the mouth of a pose is drawn: as wide at rest as the mouths of the shot, whatever this one's shape is.

    The ends of its ink, if it was erased, say how high it lies: the locator's corners of an open mouth may lie some
    pixels beside those of a closed one, and mouths that are put at their place would jump. A small round mouth has its
    ends where those of wide mouths are, or, with a jaw that drops while the upper lip stays, its upper edge: what is
    nearer to their height in the shot counts.
    """
    width = look.rest(box, shot)
    x, y = np.mean([pose.left, pose.right], axis=0)
    if erased is not None and (placed := _ends(pose, erased)):
        ends, edge, across = placed
        x, y = ends
        if across < _NARROW * width and shot in look.heights:
            usual = box.y1 + look.heights[shot] * (box.y2 - box.y1)
            x, y = min((ends, edge), key=lambda place: abs(place[1] - usual))
        x, y = np.array([x, y]) + _down(pose) * 0.5 * look.smile * max(pose.width, 6.0)
    room = max(box.y2 - y, 0.25 * width)
    turn = float(np.clip((x - box.center[0]) / (0.3 * box.width), -1, 1))
    return Seat(float(x), float(y), width, min(look.gap * width, 1.15 * room), pose.angle, turn, look.smile)


def shows_teeth(sample: Sample) -> bool:
    """Whether a part of the mouth is lighter than the skin: the locator takes clenched teeth for closed lips."""
    return _are_enough(_is_light(sample.pixels[widest(sample.erased.mask & sample.erased.ink)], sample))


def _is_light(pixels: np.ndarray, sample: Sample) -> np.ndarray:
    return pixels.mean(-1) > sample.erased.skin[0].mean() + _LIGHTER


def _are_enough(light: np.ndarray) -> bool:
    return len(light) > 0 and bool(light.mean() >= _TOOTHY)


def _heights(samples: Sequence[Sample], widths: dict[int | None, float]) -> dict[int | None, float]:
    """See `Look.heights`; without the shots that show no mouth that is wide enough."""
    by_shot: dict[int | None, list[float]] = {}
    for sample in samples:
        placed = _ends(sample.pose, sample.erased)
        if placed and placed[2] >= _NARROW * widths[sample.shot] * sample.box.width:
            height = (placed[0][1] - sample.box.y1) / (sample.box.y2 - sample.box.y1)
            by_shot.setdefault(sample.shot, []).append(float(height))
    return {shot: float(np.median(heights)) for shot, heights in by_shot.items()}


def _ends(pose: MouthPose, erased: Erased) -> tuple[np.ndarray, np.ndarray, float] | None:
    """The middle between the ends of a mouth's ink, its upper edge below or above that, and its width, in pixels; None
    where there is no ink, or ink of another width than the pose's mouth."""
    ink = widest(erased.mask & erased.ink)
    if not ink.any():
        return None
    along, across = mouth_axes(pose, erased.box)
    along, across = along[ink], across[ink]
    # places of pixels, so that none of the ends is empty
    left, right = np.percentile(along, (1, 99), method="nearest")
    if not _WIDTHS[0] < right - left < _WIDTHS[1]:
        return None
    ends = [across[np.abs(along - end) < _END * (right - left)].mean() for end in (left, right)]
    width, down = max(pose.width, 6.0), _down(pose)
    middle = np.asarray(pose.centre) + width * (left + right) / 2 * np.array([down[1], -down[0]])
    return (
        middle + width * np.mean(ends) * down,
        middle + width * np.percentile(across, 2) * down,
        width * (right - left),
    )


def _down(pose: MouthPose) -> np.ndarray:
    """The direction across the mouth, towards the chin."""
    angle = np.radians(pose.angle)
    return np.array([-np.sin(angle), np.cos(angle)])


def _rgb(colour) -> Colour:
    return tuple(float(value) for value in colour)


def _line(sample: Sample, skin: np.ndarray) -> tuple[np.ndarray, float, float] | None:
    """Colour, thickness and softness (pixels) of the lines around a mouth; None where there is no dark line."""
    part = sample.pixels.astype(np.float32)
    dark = (skin - part) @ np.array([0.299, 0.587, 0.114], np.float32)
    ink = sample.erased.mask & (dark > 12)
    if ink.sum() < 8:
        return None
    colour = np.median(part[ink & (dark >= np.percentile(dark[ink], 85))], axis=0)
    contrast = float((skin - colour) @ np.array([0.299, 0.587, 0.114]))
    cover = np.clip(dark / max(contrast, 1.0), 0, 1)
    solid = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    thin = (solid > 0) & (solid >= cv2.dilate(solid, np.ones((3, 3), np.uint8)) - 1e-3) & (solid < 4)
    if thin.sum() < 4:
        return None
    thickness = 2 * float(np.median(solid[thin])) - 0.5
    slope = np.hypot(cv2.Sobel(cover, cv2.CV_32F, 1, 0), cv2.Sobel(cover, cv2.CV_32F, 0, 1))[ink]
    # an edge that was blurred by sigma rises by 1 / (sigma sqrt(2 pi)) a pixel, of which Sobel's kernel gives 8 times;
    # it gives 4 for a sharp edge, as if that were blurred by 0.8
    sigma = 8 / max(float(np.percentile(slope, 97)), 0.5) / np.sqrt(2 * np.pi)
    # a drawn line loses its colour where the blur is as wide as the line
    return colour, thickness, float(np.clip(np.sqrt(max(sigma**2 - 0.64, 0)), 0, 0.3 * thickness))


def _closed_line(sample: Sample) -> float:
    """Thickness in pixels of the line of a closed mouth: its ink over its length, without the paler colour of lips."""
    part, clean = sample.pixels.astype(np.float32), sample.erased.pixels.astype(np.float32)
    dark = np.where(sample.erased.mask, (clean - part).mean(-1), 0)
    peak = float(np.percentile(dark[sample.erased.mask], 95)) if sample.erased.mask.any() else 0.0
    cover = np.clip((dark / max(peak, 1.0) - 0.3) / 0.4, 0, 1)
    return float(cover.sum() / max(sample.pose.width, 1.0))


def _inside(
    samples: Sequence[Sample], skin: np.ndarray, line: np.ndarray, thickness: float
) -> tuple[Colour, Colour, Colour]:
    """Colours of the inner mouth, teeth and tongue: those of the clip's open mouths, else usual ones as bright as the
    skin."""
    light = np.clip(skin / _SKIN, 0.3, 1.15)
    light = (light + light.mean()) / 2
    inner, teeth, tongue = (np.array(colour) * light for colour in (_INNER, _WHITE, _RED))
    inner = 0.8 * inner + 0.2 * line
    inner, teeth, tongue = (_within(colour, samples) for colour in (inner, teeth, tongue))
    pixels = [_gap_pixels(sample) for sample in samples if sample.pose.openness > _OPEN]
    if sum(map(len, pixels)) < _ENOUGH:  # the locator says less than what the ink of a mouth shows
        pixels = [_ink_pixels(sample, thickness) for sample in samples if sample.pose.openness >= _SHUT]
    pixels = np.concatenate(pixels) if pixels else np.zeros((0, 3), np.float32)
    if len(pixels) >= _ENOUGH:
        lightness, chroma = _lightness_and_chroma(pixels / light)
        white = (lightness > _TEETH) & (chroma < _GREY)
        # grey that is not black is the colour of lips
        dark = ~white & (lightness < 55) & ((chroma > _LIPS) | (lightness < 25))
        red = ~white & ~dark & (lightness >= 55) & (chroma > _TONGUE)
        inner, teeth, tongue = (
            np.median(pixels[mask], axis=0) if mask.mean() > 0.08 else usual
            for mask, usual in ((dark, inner), (white, teeth), (red, tongue))
        )
        if dark.mean() > 0.08 >= red.mean():  # a show whose open mouths are one dark colour draws no lighter tongue
            tongue = inner
        if white.mean() <= 0.08:  # teeth that lie along the upper lip alone are not in the middle of the gap
            lighter = np.concatenate([_lighter(sample, thickness) for sample in samples])
            lighter = lighter[_lightness_and_chroma(lighter / light)[1] < _GREY] if len(lighter) else lighter
            # of a thin row most pixels are mixed with what is beside it
            teeth = np.percentile(lighter, 75, axis=0) if len(lighter) >= _ENOUGH else teeth
    return _rgb(inner), _rgb(np.minimum(teeth, 255)), _rgb(np.minimum(tongue, 255))


def _lightness_and_chroma(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CIELAB lightness and chroma of RGB pixels of 0 to 255, float (n, 3)."""
    lab = cv2.cvtColor(pixels.clip(0, 255).astype(np.float32).reshape(-1, 1, 3) / 255, cv2.COLOR_RGB2LAB)[:, 0]
    return lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])


def _within(colour: np.ndarray, samples: Sequence[Sample]) -> np.ndarray:
    """A colour with no more chroma than a clip has whose colours are nearly grey; in other clips the same."""
    pixels = np.concatenate([sample.pixels.reshape(-1, 3)[::7] for sample in samples]).astype(np.float32)
    lab = cv2.cvtColor(np.concatenate([colour[None], pixels])[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    most = np.percentile(chroma[1:], _STRONGEST)
    if most >= _GREY_CLIP or chroma[0] <= most:
        return colour
    # the hue of a tinted film is that of its skin
    tint = np.median(lab[1:, 1:], axis=0)
    muted = np.float32([[[lab[0, 0], *tint]]])
    return 255 * cv2.cvtColor(muted, cv2.COLOR_LAB2RGB)[0, 0].clip(0, 1).astype(float)


def _gap_pixels(sample: Sample) -> np.ndarray:
    """Pixels well inside the gap between the lips, float32 (n, 3)."""
    pose, box = sample.pose, sample.erased.box
    centre = pose.centre[0] - box.x1, pose.centre[1] - box.y1
    axes = 0.33 * pose.width, 0.33 * pose.openness * pose.width
    sheet = np.zeros(sample.pixels.shape[:2], np.uint8)
    cv2.ellipse(sheet, (centre, (2 * axes[0], 2 * axes[1]), pose.angle), 255, -1)
    return sample.pixels[sheet > 0].astype(np.float32)


def _ink_pixels(sample: Sample, thickness: float) -> np.ndarray:
    """Pixels of the mouth's ink that are farther from its edge than a line is thick, float32 (n, 3)."""
    ink = widest(sample.erased.mask & sample.erased.ink).astype(np.uint8)
    side = 2 * round(thickness + 1) + 1
    return sample.pixels[cv2.erode(ink, np.ones((side, side), np.uint8)) > 0].astype(np.float32)


def _lighter(sample: Sample, thickness: float) -> np.ndarray:
    """The inner pixels of the mouth's ink that are as light as teeth, float32 (n, 3); none where they are few."""
    pixels = _ink_pixels(sample, thickness)
    light = _is_light(pixels, sample)
    return pixels[light] if _are_enough(light) else pixels[:0]


def _lip(samples: Sequence[Sample], width: float) -> LowerLip | None:
    """The line of the lower lip, where a third of the samples have one; `width` is that at rest, in face boxes."""
    lips = []
    for sample in samples:
        pose = sample.pose
        along, across = mouth_axes(pose, sample.erased.box)
        ink = lower_lip(sample.erased.ink & sample.erased.mask, pose, along, across)
        if ink.sum() < 4:
            continue
        angle, bottom = np.radians(pose.angle), np.subtract(pose.bottom, pose.centre)
        edge = (bottom[1] * np.cos(angle) - bottom[0] * np.sin(angle)) / max(pose.width, 6.0)
        size = pose.width / (width * sample.box.width)
        line = widest(ink)
        high = np.ptp(np.percentile(across[line & (np.abs(along - np.median(along[line])) < 0.15)], (5, 95)))
        numbers = np.ptp(along[ink]) * size, (np.median(across[ink]) - edge) * size, high * size
        lips.append([*np.median(sample.pixels[ink], axis=0), *numbers])
    if not lips or len(lips) < len(samples) / 3:
        return None
    *colour, length, below, height = np.median(lips, axis=0)
    return LowerLip(
        *(_rgb(colour), float(np.clip(length, 0.1, 0.9))),
        *(float(np.clip(below, 0.1, 0.6)), float(np.clip(height, 0.0, 0.3))),
    )


def _smile(samples: Sequence[Sample]) -> float:
    """Rise of the corners of closed mouths over their middle, in widths: of a parabola through their ink."""
    rises = []
    for sample in samples:
        if sample.pose.openness >= _SHUT:
            continue
        along, across = mouth_axes(sample.pose, sample.erased.box)
        ink = sample.erased.ink & sample.erased.mask
        line = ink & (np.abs(along) < 0.5) & (np.abs(across) < 0.3)
        line &= ~lower_lip(ink, sample.pose, along, across)
        if line.sum() >= 8:
            rises.append(-0.25 * np.polyfit(along[line], across[line], 2)[0])
    return float(np.clip(np.median(rises), -0.12, 0.2)) if rises else 0.0
