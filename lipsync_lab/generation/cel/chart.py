"""Mouth charts as files: one PNG with alpha a mouth, ``chart.json``, and a contact sheet.

An animator exports the chart of a clip, edits the pictures in any paint program, and gives the folder back. Pictures
keep their size; the JSON says where each lies on the face. Several mouths may have one letter: the one whose opening is
nearest to the sound's is used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from lipsync_lab import files, limits
from lipsync_lab.errors import MediaError
from lipsync_lab.generation.cel.own import Mouth, nearest
from lipsync_lab.generation.cel.shapes import CHART, CLOSED, SHAPES

SCHEMA, NAME, CONTACT = 1, "chart.json", "contact_sheet.png"
_CELL, _COLUMNS, _LINE = (220, 190), 5, 22
_NUMBERS = ("openness", "width", "rest", "angle", "turn", "line_width")


def write_chart(folder: str | Path, mouths: Sequence[Mouth], clip: str = "") -> None:
    """Write a chart; files of the same names are replaced.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    mouths : sequence of Mouth
    clip : str
        Name of the clip, for the JSON.
    """
    folder, counts, rows = Path(folder), dict.fromkeys(SHAPES, 0), []
    folder.mkdir(parents=True, exist_ok=True)
    for mouth in mouths:
        counts[mouth.shape] += 1
        name = f"{mouth.shape}{f'-{counts[mouth.shape]}' if counts[mouth.shape] > 1 else ''}.png"
        picture = _straight(mouth.layer)
        _write(folder / name, picture)
        height, width = picture.shape[:2]
        row = {
            "file": name,
            "shape": mouth.shape,
            "size": [width, height],
            "anchor": [round(at, 3) for at in mouth.anchor],
        }
        row |= {number: round(float(getattr(mouth, number)), 4) for number in _NUMBERS}
        rows.append(row | {"skin": [round(value) for value in mouth.skin], "colours": _colours(picture),
                           "source": mouth.source, "frame": mouth.frame})  # fmt: skip
    _write(folder / CONTACT, contact_sheet(mouths))
    files.write_text(folder / NAME, json.dumps({"schema": SCHEMA, "clip": clip, "mouths": rows}, indent=1) + "\n")


def read_chart(folder: str | Path) -> list[Mouth]:
    """Read a chart that `write_chart` wrote and somebody may have edited.

    Raises
    ------
    MediaError
        The folder is not a chart; a shape, a picture or its alpha is missing, or a picture has another size.
    """
    folder = Path(folder)
    try:
        content = json.loads(limits.checked(folder / NAME).read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise MediaError(
                f"{folder / NAME}: has the schema {content['schema']}, not {SCHEMA}; export the chart again"
            )
        mouths = [_mouth(folder, row) for row in content["mouths"]]
    except OSError as error:
        raise MediaError(
            f"{folder / NAME}: cannot be read ({error.strerror}); give a folder that `chart` wrote"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MediaError(f"{folder / NAME}: is not a mouth chart ({type(error).__name__}: {error})") from None
    missing = [letter for letter in SHAPES if letter not in {mouth.shape for mouth in mouths}]
    if missing:
        raise MediaError(f"{folder / NAME}: has no mouth for the shape {', '.join(missing)}")
    return mouths


def _mouth(folder: Path, row: dict) -> Mouth:
    path, (width, height) = folder / row["file"], row["size"]
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); {NAME} names it") from None
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if picture is None:
        raise MediaError(f"{path}: is not a picture that can be read; save it as PNG")
    if picture.ndim != 3 or picture.shape[2] != 4:
        raise MediaError(f"{path}: has no alpha channel; save it as PNG with transparency")
    if picture.dtype != np.uint8:
        raise MediaError(f"{path}: has {8 * picture.dtype.itemsize} bits a channel; save it with 8")
    if picture.shape[:2] != (height, width):
        raise MediaError(f"{path}: has {picture.shape[1]} x {picture.shape[0]} pixels; {NAME} says {width} x {height}")
    if row["shape"] not in SHAPES:
        raise MediaError(f"{folder / NAME}: the shape {row['shape']} is none of {', '.join(SHAPES)}")
    alpha = picture[..., 3:].astype(np.float32) / 255
    layer = np.dstack([picture[..., 2::-1].astype(np.float32) * alpha, alpha])
    numbers = {name: float(row[name]) for name in _NUMBERS}
    x, y = map(float, row["anchor"])
    return Mouth(row["shape"], layer=layer, anchor=(x, y), skin=tuple(map(float, row["skin"])), source=row["source"],
                 frame=row["frame"], file=path.name, **numbers)  # fmt: skip


def _straight(layer: np.ndarray) -> np.ndarray:
    """A layer as uint8 RGBA that is not premultiplied."""
    alpha = layer[..., 3:]
    colour = np.where(alpha > 1 / 512, layer[..., :3] / np.maximum(alpha, 1e-6), 0)
    return np.clip(np.concatenate([colour, 255 * alpha], axis=-1).round(), 0, 255).astype(np.uint8)


def _write(path: Path, picture: np.ndarray) -> None:
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, order))
    with files.atomic_file(path) as part:
        part.write_bytes(data.tobytes())


def _colours(picture: np.ndarray) -> list[str]:
    """The most frequent opaque colours, at most six, as #rrggbb."""
    solid = picture[picture[..., 3] > 250][:, :3]
    values, counts = np.unique(solid // 8 * 8 + 4, axis=0, return_counts=True) if len(solid) else (solid, np.zeros(0))
    return ["#" + "".join(f"{value:02x}" for value in values[place]) for place in np.argsort(-counts)[:6]]


def contact_sheet(mouths: Sequence[Mouth]) -> np.ndarray:
    """All mouths on their skin, with letter, source and openness, and which shapes share a mouth, uint8 RGB."""
    cells = [_cell(mouth, lines) for mouth, lines in zip(mouths, captions(mouths), strict=True)]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % _COLUMNS)
    rows = [np.hstack(cells[first : first + _COLUMNS]) for first in range(0, len(cells), _COLUMNS)]
    foot = np.full((_LINE * len(lines := notes(mouths)) + 10, rows[0].shape[1], 3), 255, np.uint8)
    for place, text in enumerate(lines, start=1):
        _say(foot, text, _LINE * place - 4)
    return np.vstack([*rows, foot])


def captions(mouths: Sequence[Mouth]) -> list[tuple[str, str]]:
    """Two lines on each mouth: its shape with where it comes from, and its gap with the shapes that use the same."""
    own, out = [mouth for mouth in mouths if mouth.frame is not None], []
    for mouth in mouths:
        if mouth.frame is None and mouth.source == "drawn":
            instead, _ = nearest(CHART[mouth.shape], mouth.turn, mouth.shot, own)
            gap = f"gap {mouth.openness:.2f}"
            second = gap if instead is None else f"mouth-source clip: {instead.shape}, frame {instead.frame}"
            out.append((f"{mouth.shape}: chart of shapes", second))
            continue
        shared = "".join(f"; the same as {other}" for other in _sharing(mouth, mouths) if other != mouth.shape)
        origin = mouth.source if mouth.frame is None else f"clip, frame {mouth.frame}"
        out.append((f"{mouth.shape}: {origin}", f"gap {mouth.openness:.2f}{shared}"))
    return out


def notes(mouths: Sequence[Mouth]) -> list[str]:
    """Lines at the foot of a sheet: why shapes share a mouth, and where those come from that the clip does not show."""
    groups = dict.fromkeys(letters for mouth in mouths if len(letters := _sharing(mouth, mouths)) > 1)
    out = [
        f"{' and '.join(letters)} share one mouth: "
        + ("closed lips are the mouth at rest too." if set(letters) <= set(CLOSED) else "no other drawing is nearer.")
        for letters in groups
    ]
    drawn = [mouth.shape for mouth in mouths if mouth.frame is None and mouth.source == "drawn"]
    if drawn and len(drawn) < len(mouths):
        out.append(
            f"The clip shows no mouth for {', '.join(drawn)}: the chart of shapes gives one, and --mouth-source clip "
            "pastes the named mouth of the clip."
        )
    if len({mouth.shape for mouth in mouths}) < len(mouths):
        out.append("Of several mouths of one shape, the one whose gap is nearest to that of the sound is used.")
    return out


def _sharing(mouth: Mouth, mouths: Sequence[Mouth]) -> tuple[str, ...]:
    """The shapes that have the mouth of a frame; of a mouth without a frame, its own alone."""
    if mouth.frame is None:
        return (mouth.shape,)
    return tuple(dict.fromkeys(other.shape for other in mouths if other.frame == mouth.frame))


def _say(picture: np.ndarray, text: str, y: int) -> None:
    cv2.putText(picture, text, (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def _cell(mouth: Mouth, lines: tuple[str, str]) -> np.ndarray:
    width, height = _CELL
    cell = np.full((height, width, 3), 255, np.uint8)
    face = cell[4 : height - 50, 4 : width - 4]
    face[:] = mouth.skin
    scale = min(0.45 * face.shape[1] / mouth.rest, 0.9 * face.shape[0] / mouth.layer.shape[0],
                0.95 * face.shape[1] / mouth.layer.shape[1])  # fmt: skip
    size = max(1, round(mouth.layer.shape[1] * scale)), max(1, round(mouth.layer.shape[0] * scale))
    layer = cv2.resize(mouth.layer, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (face.shape[0] - size[1]) // 2, (face.shape[1] - size[0]) // 2
    under = face[top : top + size[1], left : left + size[0]]
    under[:] = np.clip((under * (1 - layer[..., 3:]) + layer[..., :3]).round(), 0, 255)
    for text, y in zip(lines, (height - 32, height - 12), strict=True):
        _say(cell, text, y)
    return cell
