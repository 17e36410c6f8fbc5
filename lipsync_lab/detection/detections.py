"""Detections of a clip: every candidate of every frame, as a value and as a file (`detections.json`)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import files, limits
from lipsync_lab.detection.base import Detection
from lipsync_lab.errors import DetectionError
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import View

#: Candidates kept a frame; a trained detector has a handful.
MOST = 50


@dataclass(frozen=True)
class Detections:
    """Candidates and cuts of a clip, or of its beginning.

    Attributes
    ----------
    candidates : tuple of list of Detection
        One list a frame, best score first.
    shots : tuple of int, optional
        First frame of every shot, beginning with 0; None if cuts were not searched for.
    size : (width, height), optional
        Pixels of the frames that the boxes belong to; None in a file without it.
    complete : bool
        Whether the clip ends with the last of these frames.
    view : View, optional
        How these frames came out of the clip; None in a file without it.
    clip : dict, optional
        The clip's ``file`` name and ``sha256``, as far as known.
    detector : dict, optional
        ``name`` and identity of the detector that proposed the candidates.
    manual : dict of int to Box or None
        Faces given by a person, by frame; None says that the frame has no face. They replace any candidate.
    interpolated : frozenset of int
        Frames of `manual` whose box was not drawn, but interpolated between two that were.
    copied, tracked : frozenset of int
        Frames that the detector did not get (`Settings.detection_cadence`): their candidates are those of an
        earlier frame that shows the same picture, or lie between those of frames before and after.
    provenance : str
        "detected" or "recorded": how the candidates came here (not stored in a file, not compared).
    from_cache : bool
        Whether they were read from the cache of detections (not stored, not compared).
    outside : dict of int to float
        Frames from which recorded boxes were dropped since they lie outside the frame, with their best score (not
        stored, not compared).
    """

    candidates: tuple[list[Detection], ...]
    shots: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    complete: bool = True
    view: View | None = None
    clip: dict[str, str] | None = None
    detector: dict[str, Any] | None = None
    manual: Mapping[int, Box | None] = field(default_factory=dict)
    interpolated: frozenset[int] = frozenset()
    copied: frozenset[int] = frozenset()
    tracked: frozenset[int] = frozenset()
    provenance: str = field(default="detected", compare=False)
    from_cache: bool = field(default=False, compare=False)
    outside: Mapping[int, float] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.candidates)

    def first(self, frames: int) -> Detections:
        """The first frames."""
        if frames >= len(self):
            return self
        shots = None if self.shots is None else tuple(start for start in self.shots if start < frames)
        manual = {frame: box for frame, box in self.manual.items() if frame < frames}
        copied, tracked = (frozenset(n for n in kept if n < frames) for kept in (self.copied, self.tracked))
        part = replace(self, candidates=self.candidates[:frames], shots=shots, manual=manual, complete=False)
        return replace(part, copied=copied, tracked=tracked)

    @property
    def provenances(self) -> np.ndarray:
        """Provenance of each frame's candidates, str (N,): "recorded", or "detected", "copied" and "tracked"."""
        out = np.full(len(self), self.provenance, "<U12")
        if self.provenance == "detected":
            out[sorted(self.copied)], out[sorted(self.tracked)] = "copied", "tracked"
        return out

    def moved(self, move: Callable[[Box], Box], size: tuple[int, int]) -> Detections:
        """The detections with every box moved, for frames of that size."""
        rows = tuple([candidate.moved(move) for candidate in row] for row in self.candidates)
        # rounded as a file holds them: a whole pixel stays one
        manual = {frame: box and _rounded(move(box)) for frame, box in self.manual.items()}
        return replace(self, candidates=rows, manual=manual, size=size)

    def scaled_to(self, size: tuple[int, int], path: str | Path) -> Detections:
        """The detections for frames of another size of the same picture.

        Raises
        ------
        DetectionError
            The picture has another shape.
        """
        if self.size in (None, size):
            return self
        same_shape(self.size, size, path)
        return self.moved(lambda box: box.scaled(size[0] / self.size[0], size[1] / self.size[1]), size)

    def in_view(self, view: View, path: str | Path) -> Detections:
        """The detections for another view of the same picture.

        Detections with a view of their own are converted exactly. With a size only, they belong to frames of that size:
        those of the view if they have it, else the whole picture, uncropped. With neither, to the view's frames.

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
    kept = (replace(candidate.moved(_rounded), score=round(float(candidate.score), 5)) for candidate in row[:MOST])
    return [candidate for candidate in kept if candidate.box.area]


def _rounded(box: Box) -> Box:
    return Box(*(round(float(value), 3) for value in box))


def write_detections(
    path: str | Path, detections: Detections, chosen: list[Detection | None] | None = None, **about: Any
) -> None:
    """Write a `detections.json`, complete or not at all.

    Parameters
    ----------
    path : path
    detections : Detections
    chosen : list, optional
        The face of each frame, or None: the entry `boxes`, which a person may edit.
    about
        Further entries, such as the threshold.
    """
    files.write_text(path, detections_text(detections, chosen, **about))


def detections_text(detections: Detections, chosen: list[Detection | None] | None = None, **about: Any) -> str:
    """The text of a `detections.json`; parameters as for `write_detections`."""
    content: dict[str, Any] = {"frames": len(detections), "complete": detections.complete, **about}
    for name in ("clip", "detector", "size"):
        if (value := getattr(detections, name)) is not None:
            content[name] = value
    if detections.view is not None:
        content["view"] = detections.view.as_dict()
    if detections.shots is not None:
        content["shots"] = list(detections.shots)
    if detections.manual:
        content["manual"] = sorted(detections.manual.keys() - detections.interpolated)
    if filled := sorted(detections.manual.keys() & detections.interpolated):
        content["interpolated"] = filled
    content |= {name: sorted(getattr(detections, name)) for name in ("copied", "tracked") if getattr(detections, name)}
    if chosen is not None:
        content["boxes"] = [None if face is None else list(face.box) for face in chosen]
    content["candidates"] = [[_values(candidate) for candidate in row] for row in detections.candidates]
    # one frame a line, so that a person finds frame 117
    lines = [
        f"{json.dumps(key)}: {_lines(value) if key in ('boxes', 'candidates') else json.dumps(value)}"
        for key, value in content.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(rows: list) -> str:
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


def read_detections(path: str | Path) -> Detections:
    """Read a `detections.json`.

    The entry `boxes` decides: a box is the face of its frame, null means that the frame has none. A box gets the
    score of the candidate that it equals; one that equals no candidate of its frame is manual, with score 1, as are
    the frames listed under `manual` and, where the box was interpolated between two drawn ones, under `interpolated`.
    Refused candidates stay rejected. The least that a file must hold is
    ``{"frames": N, "boxes": [[x1, y1, x2, y2] or null, ...]}``. Boxes are in pixels of the frames that `view` and
    `size` describe; see `Detections.in_view`.

    Raises
    ------
    DetectionError
        The file is absent, has another format, or contradicts itself.
    """
    return parse_detections(_bytes(path), path)


def parse_detections(text: str | bytes, path: str | Path) -> Detections:
    """The detections in the text of a `detections.json`; `path` is for messages. Raises as `read_detections` does."""
    content, detections = _parsed(text, path)
    if "boxes" not in content:
        return detections
    try:
        return _decided(detections, content["boxes"], content.get("threshold"))
    except (TypeError, ValueError, OverflowError) as error:
        raise DetectionError(f"{path}: {error}") from None


def read_with_faces(path: str | Path) -> tuple[Detections, list[Box | None]]:
    """Read a `detections.json` with every candidate, and apart from them the face of each frame (entry `boxes`).

    Raises
    ------
    DetectionError
        As for `read_detections`; also if there is no entry `boxes`.
    """
    text = _bytes(path)
    faces, (content, detections) = parse_detections(text, path), _parsed(text, path)
    if "boxes" not in content:
        raise DetectionError(f'{path}: has no entry "boxes"; give the detections.json of a run')
    boxes = [None if values is None else _detection(values).box for values in content["boxes"]]
    if not detections.candidates:
        return faces, boxes
    return replace(detections, manual=faces.manual, interpolated=faces.interpolated), boxes


def _bytes(path: str | Path) -> bytes:
    if not Path(path).exists():
        raise DetectionError(f"{path}: no such file of boxes; check the path")
    return limits.checked(path, DetectionError).read_bytes()


def _parsed(text: str | bytes, path: str | Path) -> tuple[dict[str, Any], Detections]:
    """The JSON of a file, and its candidates, whatever its `boxes` decide."""
    try:
        content = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DetectionError(f"{path}: not JSON ({error}); give a detections.json") from None
    if not isinstance(content, dict) or not {"boxes", "candidates"} & content.keys():
        raise DetectionError(
            f'{path}: holds no "boxes"; the least is {{"frames": N, "boxes": [[x1, y1, x2, y2] or null, ...]}}'
        )
    try:
        return content, _from_content(content, path)
    except KeyError as error:
        raise DetectionError(f'{path}: "view" has no {error}; leave "view" out or give all of it') from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DetectionError(f"{path}: {error}") from None


def _from_content(content: dict[str, Any], path: str | Path) -> Detections:
    rows = [[_detection(values) for values in row] for row in content.get("candidates", [])]
    size = tuple(int(side) for side in content["size"]) if "size" in content else None
    shots = tuple(int(start) for start in content["shots"]) if "shots" in content else None
    view = View.of(content["view"]) if "view" in content else None
    clip, detector = (dict(content[name]) if name in content else None for name in ("clip", "detector"))
    frames = len(content["boxes"]) if "boxes" in content else len(rows)
    if rows and len(rows) != frames:
        raise ValueError(f"holds boxes for {frames} frames and candidates for {len(rows)}")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError('"size" must be the width and height of the frames in pixels')
    if content.get("frames", frames) != frames:
        raise DetectionError(f'{path}: says "frames": {content["frames"]}, but holds boxes for {frames}')
    if shots is not None and (shots[:1] != (0,) or any(a >= b for a, b in pairwise(shots))):
        raise ValueError('"shots" must be the first frames of the shots, rising, beginning with 0')
    lists = ("manual", "interpolated", "copied", "tracked")
    by_hand, between, copied, tracked = ([int(n) for n in content.get(name, [])] for name in lists)
    manual = dict.fromkeys([*by_hand, *between]) if "boxes" in content else {}
    if any(not 0 <= frame < frames for frame in (*manual, *copied, *tracked)):
        raise ValueError(f'"manual", "interpolated", "copied", "tracked" must be numbers of frames, 0 to {frames - 1}')
    filled, complete = frozenset(between) & manual.keys(), bool(content.get("complete", True))
    kept = frozenset(copied), frozenset(tracked)
    return Detections(tuple(rows), shots, size, complete, view, clip, detector, manual, filled, *kept)


def _values(candidate: Detection) -> list:
    """A candidate as a file holds it: x1, y1, x2, y2, score, and where there are any the landmarks and the detector."""
    further = [[list(point) for point in candidate.landmarks], candidate.detector]
    while further and not further[-1]:
        further.pop()
    return [*candidate.box, candidate.score, *further]


def _detection(values: Any) -> Detection:
    if not isinstance(values, list) or not 4 <= len(values) <= 7:
        raise ValueError(f"{values!r} is not a box; one is [x1, y1, x2, y2] in pixels")
    landmarks = tuple((float(x), float(y)) for x, y in (values[5] if len(values) > 5 else ()))
    *corners, score = (float(value) for value in [*values[:5], 1.0][:5])
    if not all(map(math.isfinite, (*corners, score, *(value for point in landmarks for value in point)))):
        raise ValueError(f"the box {values} has a number that is not finite")
    box = Box(*corners)
    if box.width <= 0 or box.height <= 0:
        raise ValueError(f"the box {values} has no area; the order is x1, y1, x2, y2")
    return Detection(box, score, landmarks, str(values[6]) if len(values) > 6 else "")


def _decided(detections: Detections, boxes: list, threshold: float | None) -> Detections:
    """The detections in which the entry `boxes` has replaced the candidates that it contradicts."""
    rows, manual = [], {}
    for number, values in enumerate(boxes):
        before = detections.candidates[number] if detections.candidates else []
        rejected = [each for each in before if threshold is not None and each.score <= threshold]
        if values is None:
            rows.append(rejected)
            if number in detections.manual:
                manual[number] = None
            continue
        face = _detection(values)
        same = [each for each in before if each.box == face.box]
        # a file without candidates does not say whether its boxes are a person's or a detector's
        if number in detections.manual or (detections.candidates and not same):
            manual[number] = face.box
        rows.append([*(same[:1] or [face]), *(each for each in rejected if each.box != face.box)])
    filled = frozenset(n for n in detections.interpolated if manual.get(n) is not None)
    return replace(detections, candidates=tuple(rows), manual=manual, interpolated=filled)
