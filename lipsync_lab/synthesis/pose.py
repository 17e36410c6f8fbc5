"""How a mouth stands at one instant: what speech decides and what every style draws."""

from __future__ import annotations

from dataclasses import dataclass

#: The nine mouth shapes that animators use: Preston Blair's set with the letters of Rhubarb Lip Sync.
#: A closed (m, b, p); B slightly open, teeth together (most consonants, ee); C open (eh); D wide open (ah);
#: E rounded (oh, er); F puckered (oo, w); G teeth on lip (f, v); H tongue up (l); X at rest.
SHAPES = "ABCDEFGHX"


@dataclass(frozen=True)
class MouthPose:
    """Every number is 0 to 1.

    Attributes
    ----------
    shape : str
        One of `SHAPES`.
    openness : float
        Gap between the lips: 0 closed, 1 as wide as this face can.
    width : float
        Distance between the corners: 0 puckered, 0.5 at rest, 1 stretched.
    rounding : float
        How far the lips are pushed forward into a ring.
    teeth : float
        How much of the upper teeth shows in the gap.
    tongue : float
        How high the tongue stands in the gap.
    """

    shape: str
    openness: float
    width: float
    rounding: float = 0.0
    teeth: float = 0.0
    tongue: float = 0.0


REST = MouthPose("X", 0.0, 0.5)
