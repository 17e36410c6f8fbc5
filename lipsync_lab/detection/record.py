"""What one pass over a clip found, as a value and as a file (`detections.json`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.view import View
from lipsync_lab.errors import DetectionError
from lipsync_lab.geometry import Box

#: Candidates kept a frame; a trained detector has a handful.
MOST = 50


@dataclass(frozen=True)
class Record:
    """Candidates and cuts of a clip, or of its beginning.

    Attributes
    ----------
    candidates : tuple of list of Detection
        One list a frame, best first.
    shots : tuple of int, optional
        First frame of every shot, beginning with 0; None where nobody looked.
    size : (width, height), optional
        Pixels of the frames that the boxes belong to; None in a file that does not say.
    complete : bool
        Whether the clip ended with the last of these frames.
    view : View, optional
        How these frames came out of the clip; None in a file that does not say, and in the cache, which knows.
    clip : dict, optional
        The clip's ``file`` name and ``sha256``, as far as known.
    detector : dict, optional
        What found the candidates: its ``name`` and identity.
    """

    candidates: tuple[list[Detection], ...]
    shots: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    complete: bool = True
    view: View | None = None
    clip: dict[str, str] | None = None
    detector: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.candidates)

    def first(self, frames: int) -> Record:
        """The beginning of the record."""
        if frames >= len(self):
            return self
        shots = None if self.shots is None else tuple(start for start in self.shots if start < frames)
        return replace(self, candidates=self.candidates[:frames], shots=shots, complete=False)

    def moved(self, move: Callable[[Box], Box], size: tuple[int, int]) -> Record:
        """The record with every box moved, for frames of that size."""
        rows = tuple([Detection(move(found.box), found.score) for found in row] for row in self.candidates)
        return replace(self, candidates=rows, size=size)

    def scaled_to(self, size: tuple[int, int], path: str | Path) -> Record:
        """The record for frames of another size of the same picture.

        Raises
        ------
        DetectionError
            The picture has another shape.
        """
        if self.size in (None, size):
            return self
        same_shape(self.size, size, path)
        return self.moved(lambda box: box.scaled(size[0] / self.size[0], size[1] / self.size[1]), size)

    def seen_through(self, view: View, path: str | Path) -> Record:
        """The record for another view of the same picture.

        A record that knows its own view is carried over exactly. One that knows only a size speaks of frames of that
        size: those of the view if they have it, else the whole picture, uncropped. One that knows neither speaks of
        the view's frames as they are.

        Raises
        ------
        DetectionError
            The picture has another shape.
        """
        if self.view is not None:
            same_shape(self.view.clip, view.clip, path)
            moved = self.moved(lambda box: self.view.carried(box, view), view.size)
        elif self.size in (None, view.size):
            moved = replace(self, size=view.size)
        else:
            x, y = view.corner
            moved = self.scaled_to(view.whole, path).moved(lambda box: box.padded(y, -y, x, -x), view.size)
        return replace(moved, view=view)


def same_shape(theirs: tuple[int, int], ours: tuple[int, int], path: str | Path) -> None:
    """Raises `DetectionError` where two pictures (width, height) are not of one shape, to one part in twenty."""
    if abs(theirs[0] * ours[1] / (theirs[1] * ours[0]) - 1) > 0.05:
        raise DetectionError(
            f"{path}: its boxes belong to pictures of {theirs[0]} x {theirs[1]} pixels, "
            f"the clip has {ours[0]} x {ours[1]}; give the clip that they were recorded from"
        )


def rounded(row: list[Detection]) -> list[Detection]:
    """Candidates as a file holds them, so that a run from the cache equals the run that filled it."""
    boxes = [Box(*(round(float(value), 3) for value in found.box)) for found in row[:MOST]]
    return [Detection(box, round(float(found.score), 5)) for box, found in zip(boxes, row, strict=False) if box.area]


def write(path: str | Path, record: Record, chosen: list[Detection | None] | None = None, **about: Any) -> None:
    """Write a `detections.json`.

    Parameters
    ----------
    path : path
    record : Record
    chosen : list, optional
        The face of each frame, or None: what stands under `boxes`, for a person to edit. Left out in the cache.
    about
        More to keep, such as the threshold.
    """
    content: dict[str, Any] = {"frames": len(record), "complete": record.complete, **about}
    for name in ("clip", "detector", "size"):
        if (value := getattr(record, name)) is not None:
            content[name] = value
    if record.view is not None:
        content["view"] = record.view.as_dict()
    if record.shots is not None:
        content["shots"] = list(record.shots)
    if chosen is not None:
        content["boxes"] = [None if face is None else list(face.box) for face in chosen]
    content["candidates"] = [[[*found.box, found.score] for found in row] for row in record.candidates]
    # one frame a line: a person looks for frame 117 and edits it
    lines = [
        f"{json.dumps(key)}: {_lines(value) if key in ('boxes', 'candidates') else json.dumps(value)}"
        for key, value in content.items()
    ]
    Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _lines(rows: list) -> str:
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


def read(path: str | Path) -> Record:
    """Read a `detections.json`.

    `boxes` decides: a box there is the frame's face (with the score of the candidate that it equals, else 1, for
    then a person drew it), null means that there is none. Candidates that had been refused are kept as refused.
    The least that a file must hold is ``{"frames": N, "boxes": [[x1, y1, x2, y2] or null, ...]}``. Boxes are in pixels
    of the frames that `view` and `size` tell of; see `Record.seen_through`.

    Raises
    ------
    DetectionError
        The file is absent, is no such file, or contradicts itself.
    """
    path = Path(path)
    if not path.is_file():
        raise DetectionError(f"{path}: no such file of boxes; check the path")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DetectionError(f"{path}: not JSON ({error}); give a detections.json") from None
    if not isinstance(content, dict) or not {"boxes", "candidates"} & content.keys():
        raise DetectionError(
            f'{path}: holds no "boxes"; the least is {{"frames": N, "boxes": [[x1, y1, x2, y2] or null, ...]}}'
        )
    try:
        rows = [[_detection(values) for values in row] for row in content.get("candidates", [])]
        if "boxes" in content:
            rows = _edited(content["boxes"], rows, content.get("threshold"))
        size = tuple(int(side) for side in content["size"]) if "size" in content else None
        shots = tuple(int(start) for start in content["shots"]) if "shots" in content else None
        view = View.of(content["view"]) if "view" in content else None
        clip, detector = (dict(content[name]) if name in content else None for name in ("clip", "detector"))
    except KeyError as error:
        raise DetectionError(f'{path}: "view" has no {error}; leave "view" out or give all of it') from None
    except (TypeError, ValueError) as error:
        raise DetectionError(f"{path}: {error}") from None
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise DetectionError(f'{path}: "size" must be the width and height of the frames in pixels')
    if content.get("frames", len(rows)) != len(rows):
        raise DetectionError(f'{path}: says "frames": {content["frames"]}, but holds boxes for {len(rows)}')
    if shots is not None and (shots[:1] != (0,) or any(a >= b for a, b in pairwise(shots))):
        raise DetectionError(f'{path}: "shots" must be the first frames of the shots, rising, beginning with 0')
    return Record(tuple(rows), shots, size, bool(content.get("complete", True)), view, clip, detector)


def _detection(values: Any) -> Detection:
    if not isinstance(values, list) or len(values) not in (4, 5):
        raise ValueError(f"{values!r} is not a box; one is [x1, y1, x2, y2] in pixels")
    *corners, score = (float(value) for value in [*values, 1.0][:5])
    box = Box(*corners)
    if box.width <= 0 or box.height <= 0:
        raise ValueError(f"the box {values} has no area; the order is x1, y1, x2, y2")
    return Detection(box, score)


def _edited(boxes: list, rows: list[list[Detection]], threshold: float | None) -> list[list[Detection]]:
    if rows and len(rows) != len(boxes):
        raise ValueError(f"holds boxes for {len(boxes)} frames and candidates for {len(rows)}")
    out = []
    for number, values in enumerate(boxes):
        before = rows[number] if rows else []
        refused = [found for found in before if threshold is not None and found.score <= threshold]
        if values is None:
            out.append(refused)
            continue
        face = _detection(values)
        same = [found for found in before if found.box == face.box]
        out.append([*(same[:1] or [face]), *(found for found in refused if found.box != face.box)])
    return out
