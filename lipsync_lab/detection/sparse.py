"""Detection in some frames only: a picture that did not change keeps its candidates, and faces are followed between
key frames where the candidates on both sides agree. In doubt the detector is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lipsync_lab.detection.base import Detection
from lipsync_lab.geometry import Box

#: Frames that are looked at together: the longest way over which a face is followed.
AHEAD = 16
#: Longest side in pixels of the grey pictures that are compared.
SIDE = 320
#: Side in pixels of the blocks that are compared, and the least mean difference in grey levels of one that changed.
BLOCK, STILL = 8, 3
#: Candidates at or below this score are not followed, and do not have to agree.
WEAK = 0.2
#: A face is followed if it scores more than the first on both sides, a near miss if it scores less than the second.
SURE, REFUSED = 0.6, 0.4
#: Least IoU of a face's boxes on both sides.
AGREE = 0.8
#: Least normalised correlation of a followed face with the face on either side.
MATCH = 0.7
#: Share of its side by which a face may lie beside the place between its boxes.
BESIDE = 0.06
#: Faces of fewer pixels a side in the grey pictures are not followed.
LEAST = 12


@dataclass(frozen=True)
class Picture:
    """A frame as it is compared.

    Attributes
    ----------
    number : int
        Of the frame in the clip.
    grey : ndarray, uint8, (h, w)
        At `SIDE` pixels or less.
    scale : float
        Pixels of `grey` for one pixel of the frames that boxes belong to.
    """

    number: int
    grey: np.ndarray
    scale: float

    @classmethod
    def of(cls, number: int, image: np.ndarray, width: int) -> Picture:
        """From a frame of any size, uint8 RGB, of a clip whose frames are `width` pixels wide."""
        import cv2

        height, across = image.shape[:2]
        share = min(1.0, SIDE / max(height, across))
        size = max(1, round(across * share)), max(1, round(height * share))
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        return cls(number, grey, size[0] / width)


@dataclass(frozen=True)
class Known:
    """A picture and its candidates."""

    picture: Picture
    row: list[Detection]


def candidates(
    pictures: Sequence[Picture],
    ask: Callable[[list[int]], list[list[Detection]]],
    before: Known | None = None,
    follow: bool = True,
) -> tuple[list[list[Detection]], list[str], Known]:
    """Candidates of consecutive frames.

    Parameters
    ----------
    pictures : sequence of Picture
        One or more frames.
    ask : callable
        Asks the detector: from places in `pictures` to a row of candidates for each.
    before : Known, optional
        The last picture before these that did not repeat another.
    follow : bool
        Whether faces are followed; else every picture that changed is detected.

    Returns
    -------
    rows : list of list of Detection
        One for each frame.
    kinds : list of str
        "detected", "copied" or "tracked": where each row comes from.
    last : Known
        `before` for the next frames.
    """
    # place -1 is the picture before
    source, known = _sources(pictures, before), {-1: before.row} if before else {}
    changed = [place for place, of in enumerate(source) if of == place]
    kinds = ["copied"] * len(pictures)

    def detect(places: list[int]) -> None:
        for place, row in zip(places, ask(places), strict=True) if places else ():
            known[place], kinds[place] = row, "detected"

    line = [-1, *changed] if before else changed
    if follow and len(line) > 2:
        detect([place for place in (line[0], line[-1]) if place not in known])
        gaps = [(0, len(line) - 1)]
        while gaps:
            halves = []
            for start, stop in gaps:
                ends = [Known(_at(pictures, before, line[k]), known[line[k]]) for k in (start, stop)]
                inside = line[start + 1 : stop]
                rows = followed(*ends, [pictures[place] for place in inside])
                if rows is None:
                    halves.append((start, stop))
                    continue
                for place, row in zip(inside, rows, strict=True):
                    known[place], kinds[place] = row, "tracked"
            detect([line[(start + stop) // 2] for start, stop in halves])
            gaps = [
                (a, b) for start, stop in halves for a, b in pairs_of(start, (start + stop) // 2, stop) if b - a > 1
            ]
    else:
        detect(changed)
    last = Known(pictures[changed[-1]], known[changed[-1]]) if changed else before
    return [known[of] for of in source], kinds, last


def pairs_of(*places: int) -> list[tuple[int, int]]:
    return list(zip(places[:-1], places[1:], strict=True))


def _at(pictures: Sequence[Picture], before: Known | None, place: int) -> Picture:
    return before.picture if place < 0 else pictures[place]


def _sources(pictures: Sequence[Picture], before: Known | None) -> list[int]:
    """Place of the picture whose candidates each one keeps; its own for a picture that changed.

    Pictures are compared with the first one of a hold, not with the one before, so that slow motion adds up.
    """
    out, place, first = [], -1, before and before.picture
    for number, picture in enumerate(pictures):
        if first is None or not same(first, picture):
            place, first = number, picture
        out.append(place)
    return out


def same(first: Picture, second: Picture) -> bool:
    """Whether no block of two pictures differs by `STILL` grey levels."""
    import cv2

    if first.grey.shape != second.grey.shape:
        return False
    return int(cv2.blur(cv2.absdiff(first.grey, second.grey), (BLOCK, BLOCK)).max()) < STILL


def followed(first: Known, last: Known, pictures: Sequence[Picture]) -> list[list[Detection]] | None:
    """Candidates of the pictures between two detected ones; None in doubt.

    Each face lies on the straight line between its boxes on both sides, and has to look like both of them there: within
    `BESIDE` of its side, the best correlation is `MATCH` or more. A cut, a turned head and a face that leaves the line
    are doubts, and so is a picture without any face, where one may have come and gone.
    """
    pairs = partners(first.row, last.row)
    if pairs is None or not any(a.score > SURE for a, _ in pairs):
        return None
    length, rows = last.picture.number - first.picture.number, []
    for picture in pictures:
        share = (picture.number - first.picture.number) / length
        row = [_mixed(a, b, share) for a, b in pairs]
        for (a, b), face in zip(pairs, row, strict=True):
            if face.score > SURE and not (
                _looks_like(first.picture, a.box, picture, face.box)
                and _looks_like(last.picture, b.box, picture, face.box)
            ):
                return None
        rows.append(sorted(row, key=lambda face: -face.score))
    return rows


def partners(first: list[Detection], last: list[Detection]) -> list[tuple[Detection, Detection]] | None:
    """The candidates of two frames in pairs, without the weak ones; None where one has no partner, or is unsure."""
    left, right = ([each for each in row if each.score > WEAK] for row in (first, last))
    if len(left) != len(right):
        return None
    pairs = []
    for each in left:
        other = max(right, key=lambda face: face.box.iou(each.box))
        scores = each.score, other.score
        if (
            other.box.iou(each.box) < AGREE
            or other.detector != each.detector
            or len(other.landmarks) != len(each.landmarks)
            or not (min(scores) > SURE or max(scores) < REFUSED)
        ):
            return None
        right.remove(other)
        pairs.append((each, other))
    return pairs


def _mixed(first: Detection, last: Detection, share: float) -> Detection:
    def between(a: float, b: float) -> float:
        return a + share * (b - a)

    points = tuple(
        (between(a[0], b[0]), between(a[1], b[1])) for a, b in zip(first.landmarks, last.landmarks, strict=True)
    )
    box = Box(*(between(a, b) for a, b in zip(first.box, last.box, strict=True)))
    return replace(first, box=box, score=between(first.score, last.score), landmarks=points)


def _looks_like(known: Picture, box: Box, picture: Picture, place: Box) -> bool:
    """Whether the face in a box of a known picture is found at a place of another."""
    import cv2

    (x1, y1, x2, y2), (u1, v1, u2, v2) = (_pixels(each, known) for each in (box, place))
    if min(x2 - x1, y2 - y1, u2 - u1, v2 - v1) < LEAST:
        return False
    face = cv2.resize(known.grey[y1:y2, x1:x2], (u2 - u1, v2 - v1))
    beside = max(1, round(BESIDE * max(face.shape)))
    # one pixel more on each side: a best match there lies outside
    rim = beside + 1
    around = cv2.copyMakeBorder(picture.grey, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    correlation = cv2.matchTemplate(around[v1 : v2 + 2 * rim, u1 : u2 + 2 * rim], face, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(correlation)
    return best >= MATCH and max(abs(x - rim), abs(y - rim)) <= beside


def _pixels(box: Box, picture: Picture) -> tuple[int, int, int, int]:
    height, width = picture.grey.shape
    return tuple(int(round(value)) for value in box.scaled(picture.scale, picture.scale).clipped(width, height))
