"""Generators of mouths: one protocol, one file each, found through a registry."""

from __future__ import annotations

from pathlib import Path

from lipsync_lab import plugins
from lipsync_lab.generation.base import REGISTRY, Generator, register
from lipsync_lab.generation.wav2lip import FACE_SIZE, crop, draw, masked

__all__ = ["FACE_SIZE", "NAMES", "Generator", "crop", "default", "draw", "load", "masked", "register"]


def default() -> str:
    """Name of the generator that is used if none is named."""
    from lipsync_lab.models import registry

    return registry.DEFAULTS["generator"]


def load(name: str | Path | None = None, *, device: str = "cpu") -> Generator:
    """Make a generator.

    Parameters
    ----------
    name : str or path, optional
        One of `NAMES`, or a file of weights. None for `default`.
    device : str
        Where a network runs.

    Raises
    ------
    CheckpointError
        The weights are absent or are not the right ones.
    """
    name = default() if name is None else name
    return REGISTRY.find(str(name), Path(name).suffix.lower()).open(name, device)


plugins.import_all(__name__, __path__)
#: Names that `load` takes beside paths, the default's kind first.
NAMES = REGISTRY.names(default())
