"""Mouth timing in the files of animators' tools: read and written.

- ``.json``, ``.tsv``: as Rhubarb Lip Sync writes them; times in seconds, to a hundredth.
- ``.dat``: a switch of Moho; frames from 1, the mouths by their letters, or by the names of Preston Blair's chart.
- ``.csv``: an exposure sheet, one row a frame: ``frame``, ``time`` (seconds), ``shape``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from lipsync_lab import files
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.generation.cel.timing import Cue

SUFFIXES = (".json", ".tsv", ".dat", ".csv")
#: Names of the mouths in Preston Blair's chart, which Moho's own characters have.
BLAIR = {"A": "MBP", "B": "etc", "C": "E", "D": "AI", "E": "O", "F": "U", "G": "FV", "H": "L", "X": "rest"}
_LETTERS = {name.lower(): letter for letter, name in BLAIR.items()} | {letter.lower(): letter for letter in SHAPES}
_HEAD = "MohoSwitch1"


def write_timing(path: str | Path, cues: Sequence[Cue], fps: Fraction | float, sound: str = "") -> None:
    """Write mouth timing; the ending of `path` says in which of `SUFFIXES`.

    Parameters
    ----------
    path : path
    cues : sequence of Cue
        Without gaps, in order.
    fps : Fraction or float
        Frames a second of ``.dat`` and ``.csv``.
    sound : str
        Name of the sound file, for ``.json``.

    Raises
    ------
    ParameterError
        The ending is none of `SUFFIXES`, or there are no cues.
    """
    path, fps = Path(path), float(fps)
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(f"{path}: mouth timing is written as {', '.join(SUFFIXES)}")
    if not cues:
        raise ParameterError(f"{path}: there is no mouth timing to write")
    rows = [(cue.start, cue.end, cue.shape.shape) for cue in cues]
    match path.suffix.lower():
        case ".json":
            about = {"soundFile": sound, "duration": round(rows[-1][1], 2)}
            mouths = [{"start": round(start, 2), "end": round(end, 2), "value": shape} for start, end, shape in rows]
            text = json.dumps({"metadata": about, "mouthCues": mouths}, indent=2) + "\n"
        case ".tsv":
            text = "".join(f"{start:.2f}\t{shape}\n" for start, _, shape in rows) + f"{rows[-1][1]:.2f}\tX\n"
        case ".dat":
            text = f"{_HEAD}\n" + "".join(f"{1 + round(start * fps)} {BLAIR[shape]}\n" for start, _, shape in rows)
            text += f"{1 + round(rows[-1][1] * fps)} {BLAIR['X']}\n"
        case _:
            lines = io.StringIO()
            sheet = csv.writer(lines, lineterminator="\n")
            sheet.writerow(("frame", "time", "shape"))
            for start, end, shape in rows:
                for frame in range(round(start * fps), round(end * fps)):
                    sheet.writerow((frame, f"{frame / fps:.3f}", shape))
            text = lines.getvalue()
    files.write_text(path, text)


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
        The file cannot be read, or is no mouth timing.
    """
    path, fps = Path(path), float(fps)
    try:
        text = path.read_text(encoding="utf-8-sig")
        match path.suffix.lower():
            case ".json":
                cues = [(float(cue["start"]), float(cue["end"]), cue["value"]) for cue in json.loads(text)["mouthCues"]]
            case ".tsv":
                cues = _until_next([(float(time), shape) for time, shape in _words(text)])
            case ".dat":
                head, _, rest = text.partition("\n")
                if head.strip() != _HEAD:
                    raise ValueError(f"the first line is not {_HEAD}")
                cues = _until_next([((int(frame) - 1) / fps, shape) for frame, shape in _words(rest)])
            case ".csv":
                table = csv.DictReader(io.StringIO(text))
                rows = [(int(row["frame"]) / fps, row["shape"]) for row in table]
                cues = _until_next([*rows, (rows[-1][0] + 1 / fps, rows[-1][1])])
            case suffix:
                raise ValueError(f"{suffix or 'no ending'} is none of {', '.join(SUFFIXES)}")
        return [Cue(start, end, CHART[_LETTERS[str(shape).strip().lower()]]) for start, end, shape in cues]
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); give a file of mouth timing") from None
    except (ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
        raise MediaError(f"{path}: is no mouth timing ({error}); give Rhubarb's JSON or TSV, a Moho switch, or an "
                         "exposure sheet") from None  # fmt: skip


def _words(text: str) -> list[list[str]]:
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def _until_next(rows: list[tuple[float, str]]) -> list[tuple[float, float, str]]:
    """Cues that last until the next one begins; the last row only says when the one before it ends."""
    return [(start, end, shape) for (start, shape), (end, _) in zip(rows, rows[1:], strict=False)]
