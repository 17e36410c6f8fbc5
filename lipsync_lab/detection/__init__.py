"""Face detectors: one protocol, one file a backend.

A detector hands back every candidate with its score, also those below any threshold: what was nearly found is
what this laboratory is about. Which candidate becomes the face is decided in `tracking`.
"""

from __future__ import annotations

from pathlib import Path

from lipsync_lab.detection.base import Detection, Detector, at_analysis_size
from lipsync_lab.errors import DetectionError, ParameterError
from lipsync_lab.geometry import Box

__all__ = ["NAMES", "Detection", "Detector", "at_analysis_size", "default", "load"]

#: What `load` takes beside a path. `lbp` and `anime-lbp` are small cascades, `s3fd` is what Wav2Lip was published with.
NAMES = ("s3fd", "lbp", "anime-lbp")

_ANIME_CASCADE = "lbpcascade_animeface.xml"


def default() -> str:
    """Name of the detector that is used when none is named; the same whatever else lies in the folder of weights."""
    from lipsync_lab import checkpoints

    return checkpoints.DEFAULTS["detector"]


def load(name: str | Path | None = None, *, box: Box | None = None, device: str = "cpu") -> Detector:
    """Make a detector.

    Parameters
    ----------
    name : str or path, optional
        One of `NAMES`, the name of any other detector in `checkpoints`, a `detections.json`, a cascade (`.xml`),
        or a file of S3FD weights. Without a name: `default`.
    box : Box, optional
        The same box in every frame instead of a search: the published `--box`.
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
        from lipsync_lab.detection.fixed import FixedBox

        return FixedBox(box)
    name = default() if name is None else name
    suffix = Path(name).suffix.lower()
    if suffix == ".json":
        from lipsync_lab.detection.recorded import Recorded

        return Recorded.read(name)
    if name in ("lbp", "anime-lbp") or suffix == ".xml":
        from lipsync_lab.detection.cascade import LBPCascade

        return LBPCascade(_cascade_path(name))
    from lipsync_lab import checkpoints

    trained = [model.name for model in checkpoints.MODELS.values() if model.kind == "detector"]
    known = ", ".join(dict.fromkeys((*NAMES, *trained)))
    if str(name) not in checkpoints.MODELS and not Path(name).is_file():
        raise DetectionError(
            f"{name} is neither a file nor a detector's name: give one of {known}, "
            "a detections.json, a cascade (.xml), or a file of S3FD weights"
        )
    from lipsync_lab.detection.s3fd import S3FDDetector

    return S3FDDetector(name, device)


def _cascade_path(name: str | Path) -> Path:
    if name == "lbp":
        from skimage.data import lbp_frontal_face_cascade_filename

        return Path(lbp_frontal_face_cascade_filename())
    if name == "anime-lbp":
        from lipsync_lab import checkpoints

        path = checkpoints.folder() / _ANIME_CASCADE
        if not path.is_file():
            raise DetectionError(
                f"{path}: the anime cascade is not there; put {_ANIME_CASCADE} of nagadomi/lbpcascade_animeface "
                "into that folder, or give its path as the detector"
            )
        return path
    return Path(name)
