"""Corrections that a person makes to the boxes of a clip, as one value that never changes: undo is the value before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box


@dataclass(frozen=True)
class Edits:
    """Boxes given by hand, and the spans between two of them that are interpolated.

    Attributes
    ----------
    boxes : dict of int to Box or None
        The box given by hand for each edited frame, in pixels; None where a person said that there is no face.
    spans : frozenset of (first, last)
        Frame numbers of two boxes given by hand (key boxes). The frames between them are interpolated, and follow
        when a key box is moved.
    """

    boxes: dict[int, Box | None] = field(default_factory=dict)
    spans: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def recorded(cls, manual: Mapping[int, Box | None], interpolated: frozenset[int]) -> Edits:
        """From a file (`Detections.manual`, `Detections.interpolated`); the frames between key boxes follow them again.

        An interpolated box that does not lie between two drawn ones, since somebody changed the file, is a drawn box.
        """
        drawn = {frame: box for frame, box in manual.items() if frame not in interpolated}
        keys = sorted(frame for frame, box in drawn.items() if box is not None)
        spans = {span for span in pairwise(keys) if interpolated & set(range(*span))}
        # every frame of a span was given: by interpolation, or as one without a face
        spans = frozenset((a, b) for a, b in spans if all(n in manual for n in range(a, b)))
        between = cls(drawn, spans).interpolated
        moved = {frame: manual[frame] for frame in interpolated if between.get(frame) != manual[frame]}
        return cls({**drawn, **moved}, spans)

    def with_box(self, frame: int, box: Box | None) -> Edits:
        """Give a frame's box by hand, or None for no face. A box inside an interpolated span becomes a key box."""
        spans: set[tuple[int, int]] = set()
        for first, last in self.spans:
            if box is not None and first < frame < last:
                spans |= {(first, frame), (frame, last)}
            elif box is not None or frame not in (first, last):
                spans.add((first, last))
        return Edits({**self.boxes, frame: box}, frozenset(spans))

    def without(self, frame: int) -> Edits:
        """Go back to the detector's result for a frame; a span that it lies in or bounds is no longer interpolated."""
        boxes = {number: box for number, box in self.boxes.items() if number != frame}
        return Edits(boxes, frozenset((first, last) for first, last in self.spans if not first <= frame <= last))

    def with_interpolation(self, frame: int, shots: Sequence[int]) -> Edits:
        """Interpolate between the two key boxes around a frame.

        On a key box the span before it is taken, or, on the first key box of a shot, the span after it.

        Parameters
        ----------
        frame : int
        shots : sequence of int
            Number of each frame's shot; nothing is interpolated across a cut.

        Raises
        ------
        ParameterError
            The shot has no key box on one of the two sides, or no frame lies between them.
        """
        keys = sorted(n for n, box in self.boxes.items() if box is not None and shots[n] == shots[frame])
        place = bisect_left(keys, frame)
        if place == 0 and keys[:1] == [frame]:
            place = 1
        if not 0 < place < len(keys):
            raise ParameterError(
                f"frame {frame}: interpolation needs a box given by hand before and after the frame, in the same shot"
            )
        first, last = keys[place - 1], keys[place]
        if last - first < 2:
            raise ParameterError(f"frames {first} and {last}: no frame lies between these two boxes")
        return Edits(self.boxes, self.spans | {(first, last)})

    @property
    def interpolated(self) -> dict[int, Box]:
        """The interpolated box of each frame in a span, linear between the key boxes, in whole pixels."""
        out = {}
        for first, last in sorted(self.spans):
            start, stop = self.boxes[first], self.boxes[last]
            for frame in range(first + 1, last):
                share = (frame - first) / (last - first)
                if frame not in self.boxes:
                    out[frame] = Box(*(round(a + (b - a) * share) for a, b in zip(start, stop, strict=True)))
        return out

    def __len__(self) -> int:
        """Number of frames that are not as the detector left them."""
        return len(self.boxes) + len(self.interpolated)
