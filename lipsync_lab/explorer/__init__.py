"""The explorer: one clip, frame by frame, with every setting, its failures, and boxes that can be drawn by mouse.

`session` holds the state and computes every frame, with the help of `edits`, `failures`, `frames` and `opening`;
`canvas` renders it as images, and `widget` (with `settings`) is a thin layer of Jupyter widgets over both.
"""

from lipsync_lab.explorer.edits import Edits
from lipsync_lab.explorer.failures import FAILURES
from lipsync_lab.explorer.frames import FrameView
from lipsync_lab.explorer.session import Session
from lipsync_lab.explorer.widget import Explorer

__all__ = ["FAILURES", "Edits", "Explorer", "FrameView", "Session"]
