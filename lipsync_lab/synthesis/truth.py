"""Ground truth of the frames of synthetic clips, and the table that is written beside a clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.shapes import SHAPES

if TYPE_CHECKING:
    import pandas

NAN = float("nan")


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of one frame of a synthetic clip. Lengths are pixels of the finished frame, boxes are half-open.

    Attributes
    ----------
    frame : int
        Number of the frame, from 0.
    time : float
        Seconds at which the frame is shown.
    shot : int
        Number of the shot, from 0.
    face_x1, face_y1, face_x2, face_y2 : float
        Face box by S3FD's convention: brow to chin, ear to ear. NaN when there is no face.
    mouth_x1, mouth_y1, mouth_x2, mouth_y2 : float
        Box round the outer edge of the lips. NaN when there is no face.
    mouth_left_x, mouth_left_y, mouth_right_x, mouth_right_y : float
        Corners of the mouth, named by their side of the picture. NaN when there is no face.
    mouth_top_x, mouth_top_y, mouth_bottom_x, mouth_bottom_y : float
        Upper and lower edge of the gap between the lips: in its middle, or in profile at the front. NaN when there is
        no face.
    openness : float
        Gap between the lips in this frame, from 0 (closed) to 1 (the widest gap of this face).
    openness_px : float
        Largest height of the gap; NaN when there is no face.
    width_px : float
        Distance between the corners of the mouth; NaN when there is no face.
    shape : str
        One of `shapes.SHAPES`.
    phoneme : str
        Phoneme in IPA without stress marks; empty in silence.
    drawing : int
        Number of the drawing; frames with the same number show the same drawing (a hold).
    pose : str
        "front", "three-quarter" or "profile"; empty when there is no face.
    yaw : float
        Degrees that the head is turned, positive towards the right edge of the frame; NaN when there is no face.
    occluded : int
        1 when a prop covers the mouth, else 0.
    """

    frame: int
    time: float
    shot: int = 0
    face_x1: float = NAN
    face_y1: float = NAN
    face_x2: float = NAN
    face_y2: float = NAN
    mouth_x1: float = NAN
    mouth_y1: float = NAN
    mouth_x2: float = NAN
    mouth_y2: float = NAN
    mouth_left_x: float = NAN
    mouth_left_y: float = NAN
    mouth_right_x: float = NAN
    mouth_right_y: float = NAN
    mouth_top_x: float = NAN
    mouth_top_y: float = NAN
    mouth_bottom_x: float = NAN
    mouth_bottom_y: float = NAN
    openness: float = 0.0
    openness_px: float = NAN
    width_px: float = NAN
    shape: str = "X"
    phoneme: str = ""
    drawing: int = 0
    pose: str = ""
    yaw: float = NAN
    occluded: int = 0

    def __post_init__(self):
        if len(self.shape) != 1 or self.shape not in SHAPES:
            raise ParameterError(
                f"unknown mouth shape {self.shape!r} in frame {self.frame}; known: {', '.join(SHAPES)}"
            )


#: Columns of the points of a mouth, x and y in turn: corners, and the edges of the gap.
MOUTH_POINTS = tuple(f"mouth_{point}_{axis}" for point in ("left", "right", "top", "bottom") for axis in "xy")
#: The table's columns, in order.
COLUMNS = tuple(column.name for column in fields(GroundTruth))


def table(rows: Iterable[GroundTruth]) -> pandas.DataFrame:
    """Return a table with one row per frame and the columns `COLUMNS`, also when there are no rows."""
    import pandas

    return pandas.DataFrame([astuple(row) for row in rows], columns=list(COLUMNS))
