"""Generators of mouths: one protocol, one file each, found through a registry."""

from __future__ import annotations

from pathlib import Path

from lipsync_lab import plugins
from lipsync_lab.generation.base import REGISTRY, Generator, check, register
from lipsync_lab.generation.restoring import plain, restored
from lipsync_lab.generation.wav2lip import FACE_SIZE, crop, generate, masked
from lipsync_lab.settings import Settings

__all__ = [
    "FACE_SIZE",
    "NAMES",
    "Generator",
    "check",
    "crop",
    "default",
    "generate",
    "load",
    "masked",
    "ready",
    "reference",
    "register",
]


def default(preset: str | None = None) -> str:
    """Name of the generator that is used if none is named; with the preset "animation" it is `cel`."""
    from lipsync_lab.models import registry

    return "cel" if preset == "animation" else registry.DEFAULTS["generator"]


def load(name: str | Path | Generator | None = None, *, device: str = "cpu") -> Generator:
    """Make a generator.

    Parameters
    ----------
    name : str, path or Generator, optional
        One of `NAMES`, or a file of weights. None for `default`. A generator is returned as it is.
    device : str
        Where a network runs.

    Raises
    ------
    CheckpointError
        The weights are absent or are not the right ones.
    """
    name = default() if name is None else name
    if not isinstance(name, str | Path):
        return name
    return REGISTRY.find(str(name), Path(name).suffix.lower()).open(name, device)


def ready(name: str | Path | Generator | None, settings: Settings, device: str = "cpu") -> Generator:
    """Make a generator for a run: as `load`, in the settings' precision, with their restorer after it.

    Raises
    ------
    LipsyncError
        As `load`, `check` and `restoring.restored`.
    """
    generator = plugins.in_precision(plain(load(name, device=device)), settings.precision)
    check(generator, settings)
    return restored(generator, settings.restorer, device)


def reference(generator: Generator) -> str:
    """The name or path by which `load` makes a generator again."""
    return generator.name if generator.name in NAMES else str(generator.path)


plugins.import_all(__name__, __path__)
#: Names that `load` takes beside paths, the default's kind first.
NAMES = REGISTRY.names(default())
