"""The pose of a mouth at one instant, which the speech decides and all drawing styles draw."""

from __future__ import annotations

from dataclasses import dataclass

#: The nine mouth shapes that animators use: Preston Blair's set with the letters of Rhubarb Lip Sync.
#: A closed (m, b, p); B slightly open, teeth together (most consonants, ee); C open (eh); D wide open (ah);
#: E rounded (oh, er); F puckered (oo, w); G teeth on lip (f, v); H tongue up (l); X at rest.
SHAPES = "ABCDEFGHX"


@dataclass(frozen=True)
class MouthPose:
    """Pose of a mouth; all numbers are in [0, 1].

    Attributes
    ----------
    shape : str
        One of `SHAPES`.
    openness : float
        Gap between the lips: 0 closed, 1 the widest gap of the face.
    width : float
        Distance between the corners: 0 puckered, 0.5 at rest, 1 stretched.
    rounding : float
        Protrusion of the lips into a ring.
    teeth : float
        Visible part of the upper teeth in the gap.
    tongue : float
        Height of the tongue in the gap.
    """

    shape: str
    openness: float
    width: float
    rounding: float = 0.0
    teeth: float = 0.0
    tongue: float = 0.0


REST = MouthPose("X", 0.0, 0.5)
