"""Everything that the explorer shows, as arrays: uint8 RGB in, uint8 RGB out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageColor, ImageDraw, ImageFont

from lipsync_lab.explorer.session import AMPLIFY, FrameView, Session
from lipsync_lab.figures import PROVENANCE_COLOURS
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.geometry import PROVENANCES, Box, FaceTrack

if TYPE_CHECKING:
    import pandas

#: Longest width and height of the frame, in pixels of the screen.
STAGE = (640, 480)
#: Side of each of the four small pictures.
TILE = 232
#: Width and height of the timeline.
STRIP = (1120, 44)

CROP_COLOUR, FAILURE_COLOUR, CURSOR_COLOUR = "#F0E442", "#CC79A7", "#D55E00"
_INK, _PAPER, _EMPTY, _REFUSED = "#222222", "#FFFFFF", "#E6E6E6", "#FFFFFF"


def stage_scale(size: tuple[int, int]) -> float:
    """Pixels of the screen a pixel of a frame of that width and height; small frames are enlarged, up to twice."""
    return min(2.0, STAGE[0] / size[0], STAGE[1] / size[1])


def stage(view: FrameView, threshold: float) -> np.ndarray:
    """The frame with its boxes: the face and accepted candidates solid, refused ones thin, and the crop.

    Parameters
    ----------
    view : FrameView
    threshold : float
        Score that a candidate must exceed.

    Returns
    -------
    ndarray, uint8, (h, w, 3)
        `stage_scale` times as large as the frame.
    """
    height, width = view.source.shape[:2]
    scale = stage_scale((width, height))
    shown = _resized(view.source, (round(width * scale), round(height * scale)))
    picture = Image.fromarray(shown)
    draw = ImageDraw.Draw(picture)
    others = [one for one in view.candidates if view.face is None or one.box != view.face.box]
    for one in reversed(others):  # the best on top
        accepted = one.score > threshold
        colour = PROVENANCE_COLOURS["detected"] if accepted else _REFUSED
        _outline(draw, one.box, scale, colour, 2 if accepted else 1)
        _label(draw, one.box, scale, f"{one.score:.2f}", colour)
    if view.box is not None:
        _outline(draw, view.box, scale, CROP_COLOUR, 2)
        _label(draw, view.box, scale, f"crop ({view.provenance})", CROP_COLOUR, below=True)
    if view.face is not None:
        colour = PROVENANCE_COLOURS[view.provenance if view.provenance != "missing" else "detected"]
        _outline(draw, view.face.box, scale, colour, 3)
        _label(
            draw,
            view.face.box,
            scale,
            "drawn by hand" if view.by_hand else f"{view.face.score:.2f} {view.provenance}",
            colour,
        )
    if view.box is None:
        _boxed(draw, (6, shown.shape[0] - 28), "no face: passed through untouched", PROVENANCE_COLOURS["missing"])
    return np.array(picture)


def tiles(view: FrameView, weights: str) -> dict[str, np.ndarray]:
    """The four small pictures by their captions: crop, mouth, and, about the box, output and difference.

    Parameters
    ----------
    view : FrameView
    weights : str
        Name of the weights that drew the mouth, for the captions.

    Returns
    -------
    dict of str to ndarray, uint8, (TILE, TILE, 3)
        Grey, with the reason, where there is nothing.
    """
    note = view.note
    part = _about(view.box, view.source.shape)
    whole = "" if view.box is not None else ", whole frame"
    return {
        f"crop, {FACE_SIZE} × {FACE_SIZE}": _tile(view.crop, note, pixels=True),
        f"mouth, by {weights}": _tile(view.mouth, note, pixels=True),
        f"output{whole}": _tile(view.output[part]),
        f"difference × {AMPLIFY}{whole}": _tile(view.difference[part]),
    }


def strip(track: FaceTrack, failures: pandas.DataFrame, frame: int | None = None) -> np.ndarray:
    """The timeline: above, where each frame's box comes from; below, the failures, paler where they are milder.

    Parameters
    ----------
    track : FaceTrack
    failures : DataFrame
        With first, last and severity.
    frame : int, optional
        Marked as the one that is shown.

    Returns
    -------
    ndarray, uint8, (STRIP[1], STRIP[0], 3)
    """
    width, height = STRIP
    columns = np.array([column_frame(x, len(track)) for x in range(width)])
    palette = np.array([ImageColor.getrgb(PROVENANCE_COLOURS[kind]) for kind in PROVENANCES], np.uint8)
    kinds = np.array([PROVENANCES.index(kind) for kind in track.provenance.tolist()])
    severity = np.zeros(len(track))
    for one in failures.itertuples():
        span = slice(int(one.first), int(one.last) + 1)
        severity[span] = np.maximum(severity[span], 0.35 + 0.65 * float(one.severity))
    ink, paper = (np.array(ImageColor.getrgb(colour), float) for colour in (FAILURE_COLOUR, _EMPTY))
    out = np.empty((height, width, 3), np.uint8)
    split = height * 5 // 8
    out[:split] = palette[kinds[columns]]
    out[split:] = (paper + (ink - paper) * severity[columns][:, None]).round().astype(np.uint8)
    out[split] = 255
    cuts = np.flatnonzero(np.diff(track.shots[columns])) + 1
    out[:, cuts] = 255
    if frame is not None:
        x = round((frame + 0.5) * width / len(track))
        out[:, max(0, x - 3) : x + 3] = 255
        out[:, max(0, x - 2) : x + 2] = ImageColor.getrgb(CURSOR_COLOUR)
    return out


def column_frame(x: float, frames: int) -> int:
    """Frame that stands at a column of the timeline."""
    return min(frames - 1, max(0, int(x * frames / STRIP[0])))


def sheet(session: Session, frame: int) -> np.ndarray:
    """The whole instrument as one picture, for where no widgets are: pages of a report, a notebook on the web."""
    view = session.view(frame)
    stage_picture = stage(view, session.settings.threshold)
    small = list(tiles(view, session.weights.name).items())
    line, gap = 26, 12
    left, width = stage_picture.shape[1] + gap, STRIP[0]
    top = 2 * line + 4
    side_height = 2 * (TILE + line)
    height = top + max(stage_picture.shape[0], side_height) + gap + line + STRIP[1]
    picture = Image.new("RGB", (max(width, left + 2 * TILE + gap), height), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((0, 0), caption(session, view), _INK, font(16))
    draw.text((0, line), session.models, _INK, font(13))
    picture.paste(Image.fromarray(stage_picture), (0, top))
    for place, (words, tile) in enumerate(small):
        x, y = left + place % 2 * (TILE + gap), top + place // 2 * (TILE + line)
        draw.text((x, y), words, _INK, font(13))
        picture.paste(Image.fromarray(tile), (x, y + line - 6))
    y, x = height - STRIP[1] - line, 0
    for kind, colour in legend(session.track, session.failures()):
        draw.rectangle((x, y + 4, x + 13, y + 17), colour)
        draw.text((x + 18, y), kind, _INK, font(13))
        x += 36 + round(draw.textlength(kind, font(13)))
    picture.paste(Image.fromarray(strip(session.track, session.failures(), frame)), (0, height - STRIP[1]))
    return np.array(picture)


def caption(session: Session, view: FrameView) -> str:
    """Where in the clip a frame stands, and what is known of it."""
    seconds = view.frame / float(session.source.fps)
    best = f"best score {view.candidates[0].score:.2f}" if view.candidates else "no candidate"
    edited = ", edited by hand" if view.by_hand else ""
    shot = int(session.track.shots[view.frame])
    where = f"frame {view.frame} (0 to {len(session) - 1}), {seconds:.2f} s, shot {shot}"
    return f"{session.path.stem}, {where}: {view.provenance}{edited}, {best}"


def legend(track: FaceTrack, failures: pandas.DataFrame) -> list[tuple[str, str]]:
    """Names and colours of what stands in the timeline."""
    present = set(track.provenance.tolist())
    kinds = [(kind, PROVENANCE_COLOURS[kind]) for kind in PROVENANCES if kind in present]
    failed = [("failure (lower row)", FAILURE_COLOUR)] if len(failures) else []
    return [*kinds, *failed, ("this frame", CURSOR_COLOUR)]


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The face of the figures, which matplotlib carries."""
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _about(box: Box | None, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The box with a third of its size around it, or the whole frame."""
    if box is None:
        return slice(None), slice(None)
    x, y = box.width / 3, box.height / 3
    return box.padded(y, y, x, x).clipped(shape[1], shape[0]).slices


def _tile(image: np.ndarray | None, note: str = "", pixels: bool = False) -> np.ndarray:
    """A picture in the middle of a square, as large as fits; `pixels` leaves them visible."""
    tile = Image.new("RGB", (TILE, TILE), _EMPTY)
    if image is None:
        draw = ImageDraw.Draw(tile)
        draw.text((TILE / 2, TILE / 2), note, "#666666", font(16), anchor="mm")
        return np.array(tile)
    scale = TILE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    shown = Image.fromarray(_resized(image, size, pixels))
    tile.paste(shown, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return np.array(tile)


def _resized(image: np.ndarray, size: tuple[int, int], pixels: bool = False) -> np.ndarray:
    import cv2

    enlarged = cv2.INTER_NEAREST if pixels else cv2.INTER_CUBIC
    smaller = size[0] < image.shape[1]
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA if smaller else enlarged)


def _outline(draw: ImageDraw.ImageDraw, box: Box, scale: float, colour: str, width: int) -> None:
    corners = [round(value * scale) for value in box]
    dark = [corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1]
    draw.rectangle(dark, outline="black", width=width + 2)
    draw.rectangle(corners, outline=colour, width=width)


def _label(draw: ImageDraw.ImageDraw, box: Box, scale: float, words: str, colour: str, below: bool = False) -> None:
    width, height = draw.im.size
    x, y = box.x1 * scale, box.y2 * scale + 3 if below else box.y1 * scale - 23
    x = max(0, min(x, width - draw.textlength(words, font(13)) - 10))
    _boxed(draw, (x, max(0, min(y, height - 20))), words, colour)


def _boxed(draw: ImageDraw.ImageDraw, place: tuple[float, float], words: str, colour: str) -> None:
    x, y = place
    dark = sum(ImageColor.getrgb(colour)) < 300
    draw.rectangle((x, y, x + draw.textlength(words, font(13)) + 8, y + 19), colour)
    draw.text((x + 4, y + 1), words, "white" if dark else "black", font(13))
