"""Where does Wav2Lip fail on 2D animation, compared with live action, and which mitigations help?

::

    import lipsync_lab

    run = lipsync_lab.dub("talk.mp4", "voice.wav", "runs/talk")
    detections = lipsync_lab.detect("talk.mp4")
    evaluation = lipsync_lab.evaluate(run)

The names of `__all__` are imported when they are first used. ``python -m lipsync_lab --help`` lists the commands.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Read when torch is first imported: threads without work give their core to other processes instead of spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from lipsync_lab.detection import load as load_detector
    from lipsync_lab.detection.detect import detect
    from lipsync_lab.evaluation.evaluate import evaluate
    from lipsync_lab.generation import load as load_generator
    from lipsync_lab.geometry import Box, FaceTrack
    from lipsync_lab.pipeline import Pipeline, dub
    from lipsync_lab.runs import Run
    from lipsync_lab.settings import Settings

__version__ = "0.2.0"

__all__ = [
    "Box",
    "FaceTrack",
    "Pipeline",
    "Run",
    "Settings",
    "detect",
    "dub",
    "evaluate",
    "load_detector",
    "load_generator",
]

_PLACES = {
    "Box": ("geometry", "Box"),
    "FaceTrack": ("geometry", "FaceTrack"),
    "Pipeline": ("pipeline", "Pipeline"),
    "Run": ("runs", "Run"),
    "Settings": ("settings", "Settings"),
    "detect": ("detection.detect", "detect"),
    "dub": ("pipeline", "dub"),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "load_detector": ("detection", "load"),
    "load_generator": ("generation", "load"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
