"""Mouths: face crops and mel windows in, drawn faces out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box

if TYPE_CHECKING:
    from torch import nn

#: Side of the square that the generator sees and draws, in pixels.
FACE_SIZE = 96


def crop(frame: np.ndarray, box: Box) -> np.ndarray:
    """A face as the generator sees it.

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


def masked(faces: np.ndarray) -> np.ndarray:
    """The same faces with their lower half black, which is what the generator has to fill.

    Parameters
    ----------
    faces : ndarray, (..., 96, 96, 3)
    """
    out = faces.copy()
    out[..., FACE_SIZE // 2 :, :, :] = 0
    return out


def draw(generator: nn.Module, faces: np.ndarray, mels: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Draw faces that say what is heard.

    Parameters
    ----------
    generator : torch.nn.Module
        `models.wav2lip.Wav2Lip`, or anything with its call.
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB crops; each serves as its own reference, as published.
    mels : ndarray, float32, (N, 80, 16)
        One mel window a face.
    device : str
        Where the generator is.

    Returns
    -------
    ndarray, uint8, (N, 96, 96, 3)
        RGB.
    """
    import torch

    if faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3) or len(faces) != len(mels):
        raise ParameterError(f"{len(mels)} mel windows do not fit faces of the shape {faces.shape}")
    # the door to the network: RGB outside, BGR inside
    pair = np.concatenate((masked(faces)[..., ::-1], faces[..., ::-1]), axis=3)
    with torch.inference_mode():
        face = torch.from_numpy(pair).to(device).permute(0, 3, 1, 2).float() / 255
        mel = torch.from_numpy(np.ascontiguousarray(mels)).to(device).unsqueeze(1)
        drawn = generator(mel, face).clamp(0, 1) * 255
    # fractions are cut off, not rounded, as published
    return drawn.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()[..., ::-1]
