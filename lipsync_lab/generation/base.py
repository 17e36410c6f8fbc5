"""The protocol of generators, and their registry.

A generator is one file in this package. It registers itself with the names that a user can ask for::

    @register("wav2lip", names=("wav2lip",), suffixes=(".pth",))
    def open_wav2lip(name_or_path, device): ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.plugins import Registry
from lipsync_lab.settings import Settings

#: All generators; `register` is the decorator that adds one.
REGISTRY = Registry()
register = REGISTRY.register


class Generator(Protocol):
    """Generates mouths from face crops and mel windows.

    A generator that needs the whole clip before the first mouth has ``prepare(clip, plan)`` as well, which returns an
    object with ``draw(frame, number)`` and ``first``, the first frame of the hold of each source frame, whose pixels a
    hold may keep, and a plan; its `crop`, `generate` and `paste` are not called (`generation.cel.generator`). One that
    takes settings that others do not has ``check(settings)``, see `check`. One that is made for some domains of clips
    names them in ``domains``; beside another generator a report has it dub clips of these only (`reporting.report`).
    One that leaves settings out of account says in ``instead``, by their names, what holds in their place. One whose
    network can compute in lower precision, or by another library, has ``coarser()``, which returns it so where that
    pays, and says in ``precision`` what it computes in.

    Attributes
    ----------
    name : str
        Name of the weights, or of their file.
    path : Path or None
        The file of weights; None for a generator without one.
    sha256 : str or None
        Of the weights; None for a generator without any.
    width : float
        Share of the published network's inner channels.
    provenance : str
        One sentence for the reader of a result: what these weights are.
    audio_offset : int
        Frames by which mel windows have to start earlier, as the file of weights says; 0 as published.
    side : int
        Height and width of a crop in pixels.
    region : (x1, y1, x2, y2)
        The part of the crop that is generated, as shares of its sides; the rest is given.
    window : int
        Columns of a mel window (80 a second).
    """

    name: str
    path: Path | None
    sha256: str | None
    width: float
    provenance: str
    audio_offset: int
    side: int
    region: tuple[float, float, float, float]
    window: int

    def crop(self, frame: np.ndarray, box: Box) -> np.ndarray:
        """The crop, uint8 RGB (side, side, 3), of a box in a frame, uint8 RGB (H, W, 3)."""
        ...

    def generate(self, crops: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Faces, uint8 RGB (N, side, side, 3), from as many crops and mel windows, float32 (N, 80, window)."""
        ...

    def paste(self, frame: np.ndarray, face: np.ndarray, box: Box, feather: float = 0.0) -> np.ndarray:
        """A copy of a frame, uint8 RGB (H, W, 3), with a generated face in its box; see `compositing.paste`."""
        ...


#: Settings that only a generator with a ``check`` takes, and their defaults.
_OF_DRAWING = {name: getattr(Settings(), name) for name in ("mouth_timing", "mouth_source", "mouth_chart")}


def check(generator: Generator, settings: Settings) -> None:
    """Refuse settings that a generator does not take, before anything is done.

    Raises
    ------
    ParameterError
        With the setting's name.
    MediaError
        A file that a setting names cannot be read.
    """
    if hasattr(generator, "check"):
        generator.check(settings)
        return
    for name, usual in _OF_DRAWING.items():
        if getattr(settings, name) != usual:
            flag = f"--{name.replace('_', '-')}"
            raise ParameterError(f"{flag}: {generator.name} does not draw mouths of a chart; give --generator cel")
