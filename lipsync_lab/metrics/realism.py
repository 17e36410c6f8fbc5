"""Realism: the score that the visual quality discriminator gives each frame's mouth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.metrics.registry import Metric

if TYPE_CHECKING:
    from torch import nn

_AT_ONCE = 32


def discriminator_scores(network: nn.Module, faces: np.ndarray) -> np.ndarray:
    """The discriminator's score of faces (Prajwal et al. 2020, arXiv 2008.10010, section 3.3).

    Parameters
    ----------
    network : torch.nn.Module
        `models.wav2lip.QualityDiscriminator`, on the device where it shall run.
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB; the network uses their lower halves.

    Returns
    -------
    ndarray, float32, (N,)
        1 for real, 0 for generated. The score depends on the weights and measures no physical quantity.

    Raises
    ------
    ParameterError
        Faces of another shape.
    """
    import torch

    if faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
        raise ParameterError(f"the discriminator takes faces of (N, 96, 96, 3), not {faces.shape}; crop them first")
    device, scores = next(network.parameters()).device, [np.empty(0, np.float32)]
    training = network.training
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            # the network takes BGR; each face is a clip of one frame
            bgr = np.ascontiguousarray(faces[first : first + _AT_ONCE, ..., ::-1])
            pixels = torch.from_numpy(bgr).to(device).permute(0, 3, 1, 2).unsqueeze(2).float() / 255
            scores.append(network(pixels)[:, 0].float().cpu().numpy())
    network.train(training)
    return np.concatenate(scores)


def realism_metrics(
    faces: tuple[Sequence[np.ndarray | None], Sequence[np.ndarray | None]], ledger: pd.DataFrame, network: nn.Module
) -> pd.DataFrame:
    """The discriminator's score of each frame, and of the untouched source beside it.

    Parameters
    ----------
    faces : tuple of sequence
        Of the source and of the output, one entry a frame: a crop uint8 RGB (96, 96, 3) as `generation.crop` makes it,
        or None where no mouth was generated.
    ledger : DataFrame
        Of a run (`runs.LEDGER`); it has a row for every frame.
    network : torch.nn.Module
        `models.wav2lip.QualityDiscriminator`.

    Returns
    -------
    DataFrame, index ``frame``
        real_source, real_output
            0 to 1; the source's is the null baseline.
        realism_loss
            Source's less output's: 0 for an untouched frame, negative where the output has the higher score.
        All NaN where no mouth was generated.
    """
    out = np.full((len(faces[0]), 2), np.nan)
    known = [number for number, face in enumerate(faces[0]) if face is not None]
    for first in range(0, len(known), _AT_ONCE // 2):
        numbers = known[first : first + _AT_ONCE // 2]
        crops = np.stack([side[number] for side in faces for number in numbers])
        out[numbers] = discriminator_scores(network, crops).reshape(2, -1).T
    table = pd.DataFrame(out, columns=["real_source", "real_output"])
    table.index = pd.Index(ledger["frame"].iloc[: len(out)], name="frame")
    table["realism_loss"] = table["real_source"] - table["real_output"]
    return table


METRICS = (
    Metric(
        *("realism_loss", "share", "picture", "realism loss", 0.5, 1.0),
        "the discriminator's score is {value:.2f} below the source's",
        network="discriminator",
        definition="Score of a discriminator of real and generated mouths, source less output",
    ),
)
