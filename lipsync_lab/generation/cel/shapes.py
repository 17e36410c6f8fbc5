"""Mouth shapes: the nine shapes of animators' mouth charts, and the pose of a mouth at one instant."""

from __future__ import annotations

from dataclasses import dataclass

#: The nine mouth shapes that animators use: Preston Blair's set with the letters of Rhubarb Lip Sync.
#: A closed (m, b, p); B slightly open, teeth together (most consonants, ee); C open (eh); D wide open (ah);
#: E rounded (oh, er); F puckered (oo, w); G teeth on lip (f, v); H tongue up (l); X at rest.
SHAPES = "ABCDEFGHX"


@dataclass(frozen=True)
class MouthShape:
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


REST = MouthShape("X", 0.0, 0.5)

#: The mouth chart: pose of each shape in clear speech.
CHART = {
    "A": MouthShape("A", 0.0, 0.5),
    "B": MouthShape("B", 0.18, 0.6, teeth=0.8),
    "C": MouthShape("C", 0.5, 0.6, teeth=0.4, tongue=0.15),
    "D": MouthShape("D", 1.0, 0.55, teeth=0.3, tongue=0.1),
    "E": MouthShape("E", 0.5, 0.3, rounding=0.6, teeth=0.15),
    "F": MouthShape("F", 0.25, 0.05, rounding=1.0),
    "G": MouthShape("G", 0.12, 0.5, teeth=1.0),
    "H": MouthShape("H", 0.5, 0.55, teeth=0.4, tongue=0.9),
    "X": REST,
}

#: Shapes with closed lips.
CLOSED = "AX"
