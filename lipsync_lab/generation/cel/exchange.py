"""Mouth timing in the files of animators' tools: read and written.

- ``.json``, ``.tsv``: as Rhubarb Lip Sync writes them; times in seconds, to a hundredth.
- ``.dat``: a switch of Moho; frames from 1, the mouths by their letters, or by the names of Preston Blair's chart.
- ``.csv``: an exposure sheet, one row per frame: ``frame`` (from 0), ``time`` (seconds), ``shape`` (empty where the
  frame keeps the source's mouth), ``opening`` (share of the chart's opening, to a hundredth; 1 if that is absent). A
  run adds ``mouth_source`` and ``mouth_from`` (`generator.DrawnClip.origins`), which are not read.

The first three have letters alone, and their mouths are as open as the chart's. Where no mouth is drawn, ``.tsv`` and
``.dat`` have the mouth at rest.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from lipsync_lab import files, limits
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel.shapes import CHART, SHAPES, MouthShape
from lipsync_lab.generation.cel.timing import Cue, shapes_at

SUFFIXES = (".json", ".tsv", ".dat", ".csv")
#: Names of the mouths in Preston Blair's chart, which Moho's own characters have.
BLAIR = {"A": "MBP", "B": "etc", "C": "E", "D": "AI", "E": "O", "F": "U", "G": "FV", "H": "L", "X": "rest"}
_NAMES = {name.lower(): letter for letter, name in BLAIR.items()}
_LETTERS = _NAMES | {letter.lower(): letter for letter in SHAPES}
_HEAD = "MohoSwitch1"
#: Columns that the exposure sheet of a run adds.
ORIGIN = ("mouth_source", "mouth_from")


def write_timing(
    path: str | Path,
    cues: Sequence[Cue],
    fps: Fraction | float,
    sound: str = "",
    origins: Sequence[tuple[str, str]] | None = None,
) -> None:
    """Write mouth timing; the ending of `path` says in which of `SUFFIXES`.

    Parameters
    ----------
    path : path
    cues : sequence of Cue
        In order; the frames of a gap keep the source's mouth.
    fps : Fraction or float
        Frames a second of ``.dat`` and ``.csv``.
    sound : str
        Name of the sound file, for ``.json``.
    origins : sequence of (str, str), optional
        ``mouth_source`` and ``mouth_from`` of each frame, for ``.csv``.

    Raises
    ------
    ParameterError
        The ending is none of `SUFFIXES`, or there are no cues.
    """
    check_name(path)
    path, fps = Path(path), float(fps)
    if not cues:
        raise ParameterError(f"{path}: there is no mouth timing to write")
    rows = _letters(cues)
    match path.suffix.lower():
        case ".json":
            about = {"soundFile": sound, "duration": round(rows[-1][1], 2)}
            mouths = [{"start": round(start, 2), "end": round(end, 2), "value": shape} for start, end, shape in rows]
            text = json.dumps({"metadata": about, "mouthCues": mouths}, indent=2) + "\n"
        case ".tsv":
            text = "".join(f"{start:.2f}\t{shape}\n" for start, shape in _changes(rows))
        case ".dat":
            lines = [f"{1 + round(start * fps)} {BLAIR[shape]}\n" for start, shape in _changes(rows)]
            text = f"{_HEAD}\n{''.join(lines)}"
        case _:
            written = io.StringIO()
            sheet = csv.writer(written, lineterminator="\n")
            sheet.writerow(("frame", "time", "shape", "opening", *(ORIGIN if origins else ())))
            for frame, shape in enumerate(shapes_at(cues, round(cues[-1].end * fps), fps)):
                cells = ("", "") if shape is None else _cell(shape)
                sheet.writerow((frame, f"{frame / fps:.3f}", *cells, *(origins[frame] if origins else ())))
            text = written.getvalue()
    files.write_text(path, text)


def check_name(path: str | Path) -> None:
    """Refuse a file name that has none of `SUFFIXES` as its ending, by a `ParameterError`."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ParameterError(f"{path}: mouth timing is written as {', '.join(SUFFIXES)}")


def read_timing(path: str | Path, fps: Fraction | float) -> list[Cue]:
    """Read mouth timing that `write_timing`, Rhubarb or Moho wrote.

    Parameters
    ----------
    path : path
        One of `SUFFIXES`.
    fps : Fraction or float
        Frames a second of ``.dat``, and of a ``.csv`` without times.

    Returns
    -------
    list of Cue
        Mouths as they are in the chart.

    Raises
    ------
    MediaError
        The file cannot be read, or is not a mouth timing.
    """
    path, fps = Path(path), float(fps)
    try:
        text = limits.checked(path).read_text(encoding="utf-8-sig")
        match path.suffix.lower():
            case ".json":
                rows = json.loads(text)["mouthCues"]
                cues = [(float(cue["start"]), float(cue["end"]), _mouth(cue["value"])) for cue in rows]
            case ".tsv":
                cues = _until_next([(float(time), _mouth(shape)) for time, shape in _words(text)])
            case ".dat":
                head, _, rest = text.partition("\n")
                if head.strip() != _HEAD:
                    raise ValueError(f"the first line is not {_HEAD}")
                rows = _words(rest)
                # E is a letter of the chart and one of Blair's names, for C
                names = _NAMES if {name.strip().lower() for _, name in rows} <= set(_NAMES) else _LETTERS
                cues = _until_next([((int(frame) - 1) / fps, _mouth(name, names=names)) for frame, name in rows])
            case ".csv":
                cues = _of_sheet(list(csv.DictReader(io.StringIO(text))), fps)
            case suffix:
                raise ValueError(f"{suffix or 'no ending'} is none of {', '.join(SUFFIXES)}")
        return [Cue(*cue) for cue in cues]
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); give a file of mouth timing") from None
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, csv.Error) as error:
        raise MediaError(f"{path}: is not a mouth timing ({error}); give Rhubarb's JSON or TSV, a Moho switch, or an "
                         "exposure sheet") from None  # fmt: skip


def _words(text: str) -> list[list[str]]:
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def _mouth(name: str, opening: str | None = None, names: dict[str, str] = _LETTERS) -> MouthShape:
    """A mouth of the chart by its letter or Blair's name, opened to a share of the chart's opening."""
    shape, share = CHART[names[str(name).strip().lower()]], float(opening or 1)
    if not 0 < share <= 1:
        raise ValueError(f"an opening of {opening} is not above 0 and at most 1")
    return replace(shape, openness=shape.openness * share)


def _cell(shape: MouthShape) -> tuple[str, str]:
    """Letter and opening of a mouth."""
    usual = CHART[shape.shape].openness
    return shape.shape, f"{shape.openness / usual if usual else 1:.2f}"


def _letters(cues: Sequence[Cue]) -> list[tuple[float, float, str]]:
    """Start, end and letter; neighbours of the same letter are one."""
    rows: list[tuple[float, float, str]] = []
    for cue in cues:
        if rows and rows[-1][1:] == (cue.start, cue.shape.shape):
            rows[-1] = rows[-1][0], cue.end, cue.shape.shape
        else:
            rows.append((cue.start, cue.end, cue.shape.shape))
    return rows


def _changes(rows: list[tuple[float, float, str]]) -> list[tuple[float, str]]:
    """Time and letter of every change; at rest before the first row, in gaps, and after the last."""
    changes, at = [], 0.0
    for start, end, shape in rows:
        if start > at + 1e-6:
            changes.append((at, "X"))
        changes.append((start, shape))
        at = end
    return [*changes, (at, "X")]


def _of_sheet(rows: list[dict[str, str]], fps: float) -> list[tuple[float, float, MouthShape]]:
    """Cues of an exposure sheet; frames that show the same mouth after each other are one."""
    cues: list[tuple[float, float, MouthShape]] = []
    for row in rows:
        frame, letter = int(row["frame"]), row["shape"].strip()
        if not letter:
            continue
        shape = _mouth(letter, row.get("opening"))
        if cues and cues[-1][1:] == (frame / fps, shape):
            cues[-1] = cues[-1][0], (frame + 1) / fps, shape
        else:
            cues.append((frame / fps, (frame + 1) / fps, shape))
    if not cues:
        raise ValueError("no row has a shape")
    return cues


def _until_next(rows: list[tuple[float, MouthShape]]) -> list[tuple[float, float, MouthShape]]:
    """Cues that last until the next one begins; the last row only says when the one before it ends."""
    return [(start, end, shape) for (start, shape), (end, _) in zip(rows, rows[1:], strict=False)]
