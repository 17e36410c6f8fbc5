"""Wav2Lip (Prajwal et al. 2020): the published generator, at any width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.generation import compositing
from lipsync_lab.generation.base import register
from lipsync_lab.geometry import Box
from lipsync_lab.media.audio import MEL_WINDOW

if TYPE_CHECKING:
    import torch

#: Height and width of a crop in pixels.
FACE_SIZE = 96


@dataclass(frozen=True)
class Wav2LipGenerator:
    """Wav2Lip with weights; see `generation.base.Generator`.

    `region` is the lower half: the network gets the upper half as it is.
    """

    model: Callable = field(repr=False)
    name: str
    path: Path | None
    sha256: str | None
    width: float
    provenance: str
    audio_offset: int = 0
    device: str = "cpu"

    side = FACE_SIZE
    region = (0.0, 0.5, 1.0, 1.0)
    window = MEL_WINDOW

    @property
    def precision(self) -> str:
        """Type in which the network computes: "float32", "bfloat16" or "float16", and OpenVINO's version if it does."""
        from lipsync_lab.models import inference

        return inference.precision(self.model)

    def coarser(self) -> Wav2LipGenerator:
        """In lower precision, or by OpenVINO, where that is faster and near enough; see `models.inference.coarser`."""
        from lipsync_lab.models import inference

        shapes = ((-1, 1, 80, MEL_WINDOW), (-1, 6, FACE_SIZE, FACE_SIZE))
        model = inference.coarser(self.model, lambda network: _probe(network, self.device), shapes)
        return self if model is self.model else replace(self, model=model)

    def crop(self, frame: np.ndarray, box: Box) -> np.ndarray:
        """See `crop`."""
        return crop(frame, box)

    def generate(self, crops: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """See `generate`."""
        return generate(self.model, crops, windows, self.device)

    def paste(self, frame: np.ndarray, face: np.ndarray, box: Box, feather: float = 0.0) -> np.ndarray:
        """See `generation.compositing.paste`."""
        return compositing.paste(frame, face, box, feather)


@register("wav2lip", names=("wav2lip-lab", "wav2lip", "wav2lip_gan", "untrained", "identity"), suffixes=("",))
def open_wav2lip(name: str | Path, device: str = "cpu") -> Wav2LipGenerator:
    """Wav2Lip with the weights of a name or file; raises `CheckpointError` as `models.registry.load` does."""
    from lipsync_lab.models import inference, registry

    loaded = registry.load(name, "generator", device)
    return Wav2LipGenerator(
        model=inference.ready(loaded.model),
        name=loaded.name,
        path=loaded.path,
        sha256=loaded.sha256,
        width=loaded.width,
        provenance=loaded.provenance,
        audio_offset=loaded.audio_offset,
        device=device,
    )


def crop(frame: np.ndarray, box: Box) -> np.ndarray:
    """The crop of a face that the generator takes.

    Parameters
    ----------
    frame : ndarray, uint8, (H, W, 3)
        RGB.
    box : Box
        Inside the frame.

    Returns
    -------
    ndarray, uint8, (96, 96, 3)
        RGB, stretched to a square whatever the box's shape, bilinear, as published.
    """
    import cv2

    face = frame[box.slices]
    if face.size == 0:
        raise ParameterError(f"the box {tuple(box)} holds no pixel of a frame of {frame.shape[1]} x {frame.shape[0]}")
    return cv2.resize(np.ascontiguousarray(face), (FACE_SIZE, FACE_SIZE))


def _probe(network: Callable, device: str) -> torch.Tensor:
    """Generated faces in grey levels, for faces of soft colours and windows of many levels."""
    import torch

    ramp = np.linspace(0, 255, FACE_SIZE, dtype=np.float32)
    face = np.stack(np.broadcast_arrays(ramp, ramp[:, None], (ramp + ramp[:, None]) / 2), axis=-1).astype(np.uint8)
    windows = np.random.default_rng(0).uniform(-4, 4, (2, 80, MEL_WINDOW)).astype(np.float32)
    faces = generate(network, np.stack([face, face[::-1]]), windows, device)
    return torch.from_numpy(faces.astype(np.float32))


def masked(faces: np.ndarray) -> np.ndarray:
    """Faces with a black lower half, which the generator has to fill.

    Parameters
    ----------
    faces : ndarray, (..., 96, 96, 3)
    """
    out = faces.copy()
    out[..., FACE_SIZE // 2 :, :, :] = 0
    return out


def generate(generator: Callable, faces: np.ndarray, mels: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Generate faces whose lips fit mel windows.

    Parameters
    ----------
    generator : callable
        `models.wav2lip.Wav2Lip`, or anything with its call.
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB crops; each serves as its own reference, as published.
    mels : ndarray, float32, (N, 80, 16)
        One mel window for each face.
    device : str
        Where the generator is.

    Returns
    -------
    ndarray, uint8, (N, 96, 96, 3)
        RGB.

    Raises
    ------
    CheckpointError
        The network's output is not a number: its weights are useless, although each of them is finite.
    """
    import torch

    from lipsync_lab.models import cuda, inference

    if faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3) or len(faces) != len(mels):
        raise ParameterError(f"{len(mels)} mel windows do not fit faces of the shape {faces.shape}")
    # the network takes and returns BGR
    pair = np.concatenate((masked(faces)[..., ::-1], faces[..., ::-1]), axis=3)
    with torch.inference_mode():
        kind = inference.dtype(generator)
        # channels last, as the crops are
        face = cuda.upload(pair, device).permute(0, 3, 1, 2).to(kind) / 255
        mel = cuda.upload(mels, device).unsqueeze(1).to(kind)
        generated = inference.in_parts(generator, mel, face).float().clamp(0, 1) * 255
    if generated.isnan().any():
        raise CheckpointError("the generator's output is not a number (NaN): its weights are damaged, give others")
    # fractions are cut off, not rounded, as published
    return cuda.download(generated.permute(0, 2, 3, 1).to(torch.uint8))[..., ::-1]
