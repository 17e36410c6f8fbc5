"""The instrument: one clip, frame by frame, with every setting at hand and a mouse to draw the boxes that are missing.

`session` knows what is shown and what was changed (`opening`, `frames` and `missing` serve it), `canvas` draws it as
arrays, and `widget` is a thin layer of widgets over both.
"""

from lipsync_lab.explorer.missing import FAILURES, missing_stretches
from lipsync_lab.explorer.session import FrameView, Session
from lipsync_lab.explorer.widget import Explorer

__all__ = ["FAILURES", "Explorer", "FrameView", "Session", "missing_stretches"]
