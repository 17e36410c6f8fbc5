"""Face detectors: one protocol, one file each, found through a registry.

A detector returns every candidate with its score, also those below any threshold: near misses are a subject of this
laboratory. `detection.tracking` chooses the face among the candidates.
"""

from __future__ import annotations

from pathlib import Path

from lipsync_lab import files, plugins
from lipsync_lab.detection.base import REGISTRY, Detection, Detector, at_detection_size, register
from lipsync_lab.errors import DetectionError, ParameterError
from lipsync_lab.geometry import Box

__all__ = ["NAMES", "Detection", "Detector", "at_detection_size", "default", "load", "reference", "register"]


def default(preset: str | None = None) -> str:
    """Name of the detector that is used if none is named, whatever other weights are there.

    The preset "reference" keeps the published kind of detector, an S3FD alone.
    """
    from lipsync_lab.models import registry

    return registry.DEFAULTS["detector"] if preset == "reference" else "auto"


def load(name: str | Path | Detector | None = None, *, box: Box | None = None, device: str = "cpu") -> Detector:
    """Make a detector.

    Parameters
    ----------
    name : str, path or Detector, optional
        One of `NAMES`, a `detections.json`, a cascade (`.xml`), or a file of S3FD weights. None for `default`. A
        detector is returned as it is.
    box : Box, optional
        The same box in every frame instead of a detector: the published `--box`.
    device : str
        Where a network runs.

    Raises
    ------
    DetectionError
        The file of boxes or the cascade cannot be used.
    CheckpointError
        The weights are absent or are not the right ones.
    ParameterError
        Both a box and a detector are given.
    """
    if box is not None:
        if name is not None:
            raise ParameterError("a fixed box and a detector exclude each other; give one of the two")
        from lipsync_lab.detection.boxes import FixedBox

        return FixedBox(box)
    name = default() if name is None else name
    if not isinstance(name, str | Path):
        return name
    suffix = Path(name).suffix.lower()
    plugin = REGISTRY.find(str(name), suffix)
    # a kind that opens files by their ending reports itself what is wrong with one
    by_suffix = suffix and suffix in plugin.suffixes
    if str(name) not in NAMES and not by_suffix and not Path(name).is_file():
        there = files.kind(name)
        raise DetectionError(
            f"{name} is {there and there + ', '}neither a file nor a detector's name: give one of {', '.join(NAMES)}, "
            "a detections.json, a cascade (.xml), or a file of S3FD weights"
        )
    return plugin.open(name, device)


def reference(detector: Detector) -> str:
    """The name or path by which `load` makes a detector again."""
    return detector.name if detector.path is None else str(detector.path)


plugins.import_all(__name__, __path__)
#: Names that `load` takes beside paths, the default's kind first.
NAMES = REGISTRY.names(default())
