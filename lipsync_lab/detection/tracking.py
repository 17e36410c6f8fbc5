"""From candidates to the track of one face: choice, gaps, manual boxes, smoothing.

Functions of arrays. Nothing crosses a cut, except the published smoothing, which does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.shots import shot_numbers
from lipsync_lab.errors import DetectionError, ParameterError
from lipsync_lab.geometry import Box, FaceTrack, spans
from lipsync_lab.settings import DROPOUTS, FACE_SELECTIONS, SMOOTHINGS, Settings

if TYPE_CHECKING:
    from lipsync_lab.detection.detections import Detections

#: Frames that a box is averaged over, as published.
SMOOTHING_WINDOW = 5
#: A second track with this share of the chosen one's prominence is close to it.
CLOSE = 0.5


@dataclass
class _Thread:
    """A face followed through a shot: candidates by frame number, in order."""

    faces: dict[int, Detection]

    @property
    def last(self) -> int:
        return next(reversed(self.faces))

    @property
    def area(self) -> float:
        return sum(face.box.area for face in self.faces.values())

    @property
    def prominence(self) -> float:
        """Score times side in pixels, summed over the frames: a large box counts less than by its area."""
        return sum(face.score * math.sqrt(face.box.area) for face in self.faces.values())

    def center(self) -> np.ndarray:
        return np.mean([face.box.center for face in self.faces.values()], axis=0)


def choose(
    candidates: list[list[Detection]] | tuple[list[Detection], ...],
    shots: np.ndarray,
    size: tuple[int, int],
    *,
    threshold: float = 0.5,
    face: str | int = "prominent",
    max_dropout: int = 12,
) -> list[Detection | None]:
    """Choose one face a frame, the same one through a shot.

    Candidates of following frames are linked into threads where they are of similar size and near each other. In each
    shot one thread is chosen; another one is added only if it shares no frame with those chosen before it.

    Parameters
    ----------
    candidates : list of list of Detection
        One list a frame.
    shots : ndarray, int64, (N,)
        Number of each frame's shot, rising from 0.
    size : (width, height)
        Pixels of the frames.
    threshold : float
        Candidates must score more than this.
    face : {"prominent", "largest", "central", "best"} or int
        Which thread: the one with the largest sum of score times side over the shot; the one with most area over the
        shot; the one nearest the middle of the frame; or the n-th from the left, from 0. "best" links nothing and takes
        each frame's best score, as published.
    max_dropout : int
        Frames for which a face may be missed and still be the same one.

    Returns
    -------
    list of Detection or None
        One per frame.

    Raises
    ------
    ParameterError
        `face` is none of these.
    """
    if not (face in FACE_SELECTIONS or (isinstance(face, int) and face >= 0)):
        raise ParameterError(
            f"face {face!r} is not a choice; take {', '.join(FACE_SELECTIONS)}, or 0, 1, ... from the left"
        )
    accepted = [[candidate for candidate in row if candidate.score > threshold] for row in candidates]
    if face == "best":
        return [row[0] if row else None for row in accepted]
    chosen: list[Detection | None] = [None] * len(accepted)
    for start, stop in spans(np.ones(len(accepted), bool), shots):
        for thread in _preferred(_threads(accepted, range(start, stop), max_dropout), face, size):
            if all(chosen[frame] is None for frame in thread.faces):
                for frame, candidate in thread.faces.items():
                    chosen[frame] = candidate
    return chosen


def chosen_faces(detections: Detections, settings: Settings) -> tuple[list[Detection | None], np.ndarray]:
    """The face of each frame, chosen by `choose` or given by a person, and the number of the frame's shot."""
    shots = shot_numbers(detections.shots or (0,), len(detections))
    chosen = choose(
        detections.candidates,
        shots,
        detections.size,
        threshold=settings.threshold,
        face=settings.face_selection,
        max_dropout=settings.max_dropout,
    )
    for frame, box in detections.manual.items():
        chosen[frame] = None if box is None else Detection(box, 1.0)
    return chosen, shots


def several_faces(detections: Detections, settings: Settings) -> dict[int, list[Detection | None]]:
    """Choose several faces a frame, each the same one through a shot.

    In each shot the threads of `choose` are joined over gaps of any length where no other thread is nearer. Faces that
    are there for less than half as long as the longest are left out. The others are numbered from the left, by their
    mean place in the shot: over a cut, nothing says which face is which.

    Parameters
    ----------
    detections : Detections
    settings : Settings
        `faces` says which ones, see there.

    Returns
    -------
    dict of int to list of Detection or None
        By number of the face, one entry a frame.

    Raises
    ------
    ParameterError
        A person gave the face of a frame, which says nothing of the other faces.
    """
    if detections.manual:
        raise ParameterError("boxes given by hand are of one face; dub one face, or take detections without such boxes")
    frames, wanted = len(detections), settings.faces
    shots = shot_numbers(detections.shots or (0,), frames)
    accepted = [[each for each in row if each.score > settings.threshold] for row in detections.candidates]
    chosen: dict[int, list[Detection | None]] = {}
    for start, stop in spans(np.ones(frames, bool), shots):
        threads = _joined(_threads(accepted, range(start, stop), settings.max_dropout))
        most = max((len(thread.faces) for thread in threads), default=0)
        counted = [thread for thread in threads if 2 * len(thread.faces) >= most]
        if isinstance(wanted, int):
            counted = sorted(counted, key=lambda thread: -thread.prominence)[:wanted]
        for number, thread in enumerate(sorted(counted, key=lambda thread: thread.center()[0])):
            if not isinstance(wanted, tuple) or number in wanted:
                row = chosen.setdefault(number, [None] * frames)
                for frame, candidate in thread.faces.items():
                    row[frame] = candidate
    return dict(sorted(chosen.items()))


def _joined(threads: list[_Thread]) -> list[_Thread]:
    """Threads of one shot, where a face that came back at the place where it was lost is one thread."""
    joined: list[_Thread] = []
    for thread in sorted(threads, key=lambda thread: next(iter(thread.faces))):
        first = next(iter(thread.faces))
        ended = [each for each in joined if each.last < first]
        near = [(_distance(each.faces[each.last].box, thread.faces[first].box), n) for n, each in enumerate(ended)]
        if near and min(near)[0] < 1:
            ended[min(near)[1]].faces.update(thread.faces)
        else:
            joined.append(thread)
    return joined


@dataclass(frozen=True)
class CloseTracks:
    """Two faces of a shot of which neither is clearly the one to choose.

    Attributes
    ----------
    first, last : int
        First and last frame that show both.
    share : float
        Prominence of the one that was not chosen, as a share of the chosen one's.
    """

    first: int
    last: int
    share: float


def close_tracks(detections: Detections, settings: Settings) -> list[CloseTracks]:
    """Where the choice "prominent" is a close one: at most one entry a shot, the closest.

    Frames in which a person gave the face do not count. Empty for any other `Settings.face_selection`.
    """
    if settings.face_selection != "prominent":
        return []
    shots = shot_numbers(detections.shots or (0,), len(detections))
    accepted = [
        [] if frame in detections.manual else [each for each in row if each.score > settings.threshold]
        for frame, row in enumerate(detections.candidates)
    ]
    close = []
    for start, stop in spans(np.ones(len(accepted), bool), shots):
        threads = _threads(accepted, range(start, stop), settings.max_dropout)
        chosen, *rivals = _preferred(threads, "prominent", detections.size) or [None]
        for other in rivals:  # in falling order: the first that shares a frame is the closest
            both = sorted(chosen.faces.keys() & other.faces.keys())
            if both:
                share = other.prominence / chosen.prominence if chosen.prominence else 1.0
                close += [CloseTracks(both[0], both[-1], share)] if share >= CLOSE else []
                break
    return close


def _threads(accepted: list[list[Detection]], frames: range, max_dropout: int) -> list[_Thread]:
    """Link the candidates of one shot, in time proportional to its frames: a thread that has ended is not revisited."""
    threads: list[_Thread] = []
    open_: list[_Thread] = []
    for frame in frames:
        open_ = [thread for thread in open_ if frame - thread.last <= max_dropout + 1]
        pairs = [
            (_distance(thread.faces[thread.last].box, candidate.box), t, c)
            for t, thread in enumerate(open_)
            for c, candidate in enumerate(accepted[frame])
        ]
        taken_threads, taken_faces = set(), set()
        for distance, t, c in sorted(pairs):
            if distance < 1 and t not in taken_threads and c not in taken_faces:
                open_[t].faces[frame] = accepted[frame][c]
                taken_threads.add(t)
                taken_faces.add(c)
        begun = [_Thread({frame: candidate}) for c, candidate in enumerate(accepted[frame]) if c not in taken_faces]
        threads += begun
        open_ += begun
    return threads


def _distance(a: Box, b: Box) -> float:
    """Below 1 where two boxes may be the same face: moved by less than half of its size, at most 1.6 times as big."""
    if not a.area or not b.area:
        return math.inf
    moved = math.dist(a.center, b.center) / (0.5 * (a.area * b.area) ** 0.25)
    grown = abs(math.log(a.area / b.area)) / (2 * math.log(1.6))
    return max(moved, grown)


def _preferred(threads: list[_Thread], face: str | int, size: tuple[int, int]) -> list[_Thread]:
    """Threads in the order in which they are to be chosen."""
    by_area = sorted(threads, key=lambda thread: -thread.area)
    if face == "largest":
        return by_area
    if face == "prominent":
        return sorted(threads, key=lambda thread: -thread.prominence)
    if face == "central":
        middle = np.asarray(size) / 2
        return sorted(by_area, key=lambda thread: float(np.linalg.norm(thread.center() - middle)))
    # only faces of a good part of the shot are counted: a flicker on the wallpaper is not the second face
    most = max((len(thread.faces) for thread in threads), default=0)
    counted = sorted((t for t in threads if 2 * len(t.faces) >= most), key=lambda thread: thread.center()[0])
    return counted[face : face + 1]


def track(
    candidates: list[list[Detection]] | tuple[list[Detection], ...],
    chosen: list[Detection | None],
    shots: np.ndarray,
    size: tuple[int, int],
    *,
    dropouts: str = "passthrough",
    max_dropout: int = 12,
    smoothing: str = "centered",
    pads: tuple[int, int, int, int] = (0, 10, 0, 0),
    provenance: str | np.ndarray = "detected",
    manual: Mapping[int, Box | None] | None = None,
    fps: float = 25.0,
) -> FaceTrack:
    """Make the track whose boxes are cropped and pasted.

    Parameters
    ----------
    candidates : list of list of Detection
        All of them, for the ledger.
    chosen : list of Detection or None
        One per frame, of `choose`.
    shots : ndarray, int64, (N,)
        Number of each frame's shot.
    size : (width, height)
        Pixels of the frames.
    dropouts : {"passthrough", "hold", "interpolate", "error"}
        What frames without a face get: nothing; the box before them; boxes between those on both sides. "error"
        raises, as published. Nothing is filled across a cut, nor where more than `max_dropout` frames are missing.
    max_dropout : int
        Frames.
    smoothing : {"centered", "reference", "none"}
        Mean over five frames within a shot; as published (forward, in place, across cuts, in whole pixels); none.
    pads : (top, bottom, left, right)
        Pixels added to each box; the published default adds ten below the chin.
    provenance : str or ndarray of str, (N,)
        Of a chosen box: "detected", "copied", "tracked" or "recorded"; the same for all frames, or one for each.
    manual : mapping of int to Box or None, optional
        Faces that a person gave, by frame, in place of the chosen ones. They are exact: neither padded nor smoothed,
        and not part of the smoothing of other boxes. Filled boxes beside one meet it. None: the frame has no face.
    fps : float
        For the message of "error".

    Returns
    -------
    FaceTrack
        Boxes padded, cut to the frame and smoothed, in whole pixels.

    Raises
    ------
    DetectionError
        A frame has no face and the policy is "error".
    ParameterError
        A policy that does not exist.
    """
    if dropouts not in DROPOUTS:
        raise ParameterError(f"dropouts policy {dropouts!r} does not exist; take {', '.join(DROPOUTS)}")
    if smoothing not in SMOOTHINGS:
        raise ParameterError(f"smoothing {smoothing!r} does not exist; take {', '.join(SMOOTHINGS)}")
    boxes = np.full((len(chosen), 4), np.nan)
    for frame, face in enumerate(chosen):
        if face is not None:
            boxes[frame] = tuple(face.box)
    source = np.where(np.isnan(boxes[:, 0]), "missing", provenance).astype("<U12")
    exact = np.full_like(boxes, np.nan)
    for frame, box in (manual or {}).items():
        # without the pads, which are added below: a box between this one and a detected one is padded like both
        exact[frame] = np.nan if box is None else np.trunc(tuple(box.clipped(*size)))
        boxes[frame] = exact[frame] - _outwards(pads)
        source[frame] = "none" if box is None else "manual"
    if dropouts == "error" and (source == "missing").any():
        first = int(np.argmax(source == "missing"))
        raise DetectionError(
            f"frame {first} ({first / fps:.2f} s): no face found, and dropouts is set to error: "
            "take passthrough, hold or interpolate, or lower the threshold"
        )
    if dropouts in ("hold", "interpolate"):
        _fill(boxes, source, shots, dropouts, max_dropout)
    # pads first, then whole pixels: the published order, which its smoothing depends on
    boxes = _padded(np.trunc(boxes), pads, size)
    by_hand = source == "manual"
    boxes[by_hand] = np.nan
    boxes = {"centered": _centered, "reference": _published, "none": lambda b, _: b}[smoothing](boxes, shots)
    boxes[by_hand] = exact[by_hand]
    boxes[(boxes[:, 2] - boxes[:, 0] < 1) | (boxes[:, 3] - boxes[:, 1] < 1)] = np.nan
    source[np.isnan(boxes[:, 0])] = "missing"
    best = [row[0] if row else None for row in candidates]
    return FaceTrack(
        boxes=boxes,
        scores=np.array([np.nan if face is None else face.score for face in best], float),
        provenance=source,
        shots=shots,
        candidates=np.array([[np.nan] * 4 if face is None else tuple(face.box) for face in best], float).reshape(-1, 4),
    )


def between(first: Box, last: Box, frames: int) -> list[Box]:
    """Boxes for the frames between two key boxes of one shot, in equal steps.

    Parameters
    ----------
    first, last : Box
        The key boxes, in pixels.
    frames : int
        Number of frames between them.

    Returns
    -------
    list of Box
        `frames` boxes in whole pixels; the key boxes are not among them.

    Raises
    ------
    ParameterError
        `frames` is negative.
    """
    if frames < 0:
        raise ParameterError(f"{frames} frames cannot lie between two key boxes; give 0 or more")
    steps = np.linspace(tuple(first), tuple(last), frames + 2)[1:-1]
    return [Box(*np.rint(step).tolist()) for step in steps]


def _fill(boxes: np.ndarray, source: np.ndarray, shots: np.ndarray, dropouts: str, max_dropout: int) -> None:
    for start, stop in spans(source == "missing", shots):
        before = start > 0 and shots[start - 1] == shots[start] and source[start - 1] != "none"
        after = stop < len(boxes) and shots[stop] == shots[start] and source[stop] != "none"
        if stop - start > max_dropout or not before or (dropouts == "interpolate" and not after):
            continue
        if dropouts == "hold":
            boxes[start:stop] = boxes[start - 1]
            source[start:stop] = "held"
        else:
            share = np.arange(1, stop - start + 1)[:, None] / (stop - start + 1)
            boxes[start:stop] = boxes[start - 1] * (1 - share) + boxes[stop] * share
            source[start:stop] = "interpolated"


def _outwards(pads: tuple[int, int, int, int]) -> np.ndarray:
    """Pads as what is added to x1, y1, x2, y2."""
    top, bottom, left, right = pads
    return np.array([-left, -top, right, bottom])


def _padded(boxes: np.ndarray, pads: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    out = boxes + _outwards(pads)
    out[:, 0::2] = out[:, 0::2].clip(0, size[0])
    out[:, 1::2] = out[:, 1::2].clip(0, size[1])
    # a box that lies outside the frame, or that negative pads turned inside out, is no face
    out[(out[:, 2] - out[:, 0] < 1) | (out[:, 3] - out[:, 1] < 1)] = np.nan
    return out


def _centered(boxes: np.ndarray, shots: np.ndarray) -> np.ndarray:
    import cv2

    out = boxes.copy()
    for start, stop in spans(~np.isnan(boxes[:, 0]), shots):
        # the same as scipy.ndimage.uniform_filter1d, whose import takes longer than the tracking of a short clip
        mean = cv2.blur(boxes[start:stop], (1, SMOOTHING_WINDOW), borderType=cv2.BORDER_REPLICATE)
        out[start:stop] = np.round(mean).reshape(stop - start, 4)
    return out


def _published(boxes: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """As published: mean of this frame and the next four, written back before the next is averaged."""
    out = boxes.copy()
    present = np.flatnonzero(~np.isnan(boxes[:, 0]))
    kept = out[present]
    for row in range(len(kept)):
        start = min(row, max(0, len(kept) - SMOOTHING_WINDOW))
        kept[row] = np.trunc(kept[start : start + SMOOTHING_WINDOW].mean(axis=0))
    out[present] = kept
    return out
