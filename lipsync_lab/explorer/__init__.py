"""The explorer: one clip, frame by frame, with every setting, its failures, and boxes that can be drawn by mouse.

`session` holds the state and computes every frame, with the help of `edits`, `failures`, `frames` and `opening`;
`canvas`, `timeline` and `viewport` render it as images, and `widget` (with `stage`, `failure_list` and `settings`) is a
thin layer of Jupyter widgets over both. `label` labels the faces of any clip, without a detector.
"""

from lipsync_lab.explorer.edits import Edits
from lipsync_lab.explorer.failures import FAILURES
from lipsync_lab.explorer.frames import FrameView
from lipsync_lab.explorer.label import Labeller, Labels, repeatability
from lipsync_lab.explorer.session import Session
from lipsync_lab.explorer.widget import Explorer

__all__ = ["FAILURES", "Edits", "Explorer", "FrameView", "Labeller", "Labels", "Session", "repeatability"]
