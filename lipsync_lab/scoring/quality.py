"""The visual quality discriminator as a judge: how real it thinks each frame's mouth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE, crop
from lipsync_lab.scoring import regions

if TYPE_CHECKING:
    from torch import nn

_AT_ONCE = 32


def judge(network: nn.Module, faces: np.ndarray) -> np.ndarray:
    """The discriminator's opinion of faces (Prajwal et al. 2020, arXiv 2008.10010, section 3.3).

    Parameters
    ----------
    network : torch.nn.Module
        `models.wav2lip.QualityDiscriminator`, on the device where it shall run.
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB; only their lower halves are looked at.

    Returns
    -------
    ndarray, float32, (N,)
        1 for real, 0 for generated. How much it is worth depends on the weights: an opinion, not a measurement.

    Raises
    ------
    ParameterError
        Faces of another shape.
    """
    import torch

    if faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
        raise ParameterError(f"the judge looks at faces of (N, 96, 96, 3), not {faces.shape}; crop them first")
    device, found = next(network.parameters()).device, [np.empty(0, np.float32)]
    training = network.training
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            # the door to the network: RGB outside, BGR inside; each face is a clip of one frame
            some = np.ascontiguousarray(faces[first : first + _AT_ONCE, ..., ::-1])
            pixels = torch.from_numpy(some).to(device).permute(0, 3, 1, 2).unsqueeze(2).float() / 255
            found.append(network(pixels)[:, 0].float().cpu().numpy())
    network.train(training)
    return np.concatenate(found)


def rows(pairs: Iterable[tuple[np.ndarray, np.ndarray]], ledger: pd.DataFrame, network: nn.Module) -> pd.DataFrame:
    """What the judge thinks of each frame, and of the untouched source beside it.

    Parameters
    ----------
    pairs : iterable of (source, output)
        Frames uint8 RGB (H, W, 3) in the ledger's order; only crops are kept, and few at a time.
    ledger : DataFrame
        Of a run (`runs.LEDGER`).
    network : torch.nn.Module
        `models.wav2lip.QualityDiscriminator`.

    Returns
    -------
    DataFrame, index ``frame``
        real_source, real_output
            0 to 1; the source's is the null baseline.
        unreal
            Source's less output's: 0 for an untouched frame, negative where the output is thought the more real.
        All NaN where no mouth was drawn.
    """
    drawn = regions.drawn(ledger)
    out = np.full((len(ledger), 2), np.nan)
    waiting: list[tuple[int, np.ndarray, np.ndarray]] = []

    def settle():
        if waiting:
            numbers, sources, outputs = zip(*waiting, strict=True)
            opinions = judge(network, np.stack([*sources, *outputs]))
            out[list(numbers)] = opinions.reshape(2, -1).T
            waiting.clear()

    count = 0
    for row, (source, output) in regions.aligned(pairs, ledger):
        count = row + 1
        box = regions.inside(drawn[row], source.shape)
        if box is not None:
            waiting.append((row, crop(source, box), crop(output, box)))
        if len(waiting) == _AT_ONCE // 2:
            settle()
    settle()
    table = pd.DataFrame(out[:count], columns=["real_source", "real_output"])
    table.index = pd.Index(ledger["frame"].iloc[:count], name="frame")
    table["unreal"] = table["real_source"] - table["real_output"]
    return table


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Means of `rows`, the worst frame's `unreal`, and the share of frames that were judged (``covered``)."""
    return {
        **{name: float(table[name].mean()) for name in ("real_source", "real_output", "unreal")},
        "unreal_worst": float(table["unreal"].max()),
        "covered": float(table["unreal"].notna().mean()),
    }
