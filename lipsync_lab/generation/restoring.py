"""Restoration after generation: a small network sharpens a generated mouth before it is pasted, without the sound.

As restorers of photographs are used after Wav2Lip; this one is for crops of 96 pixels (`models.restorer`). The
generator alone decides the mouth's shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.errors import ParameterError

if TYPE_CHECKING:
    from torch import nn

    from lipsync_lab.generation.base import Generator
    from lipsync_lab.models.registry import Weights


class Restored:
    """A generator whose faces are restored; everything else is the generator's own.

    Parameters
    ----------
    generator : Generator
        Of crops of 96 pixels.
    weights : models.registry.Weights
        Of a mouth restorer.
    device : str
        Where the restorer is.

    Attributes
    ----------
    restorer : dict
        Name and SHA-256 of the weights.
    """

    def __init__(self, generator: Generator, weights: Weights, device: str = "cpu"):
        self._generator, self._network, self._device = generator, weights.model, device
        self.restorer = {"name": weights.name, "sha256": weights.sha256}
        self.provenance = f"{generator.provenance}; mouths restored by {weights.provenance}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # a copy or a pickle asks before the generator is there
            raise AttributeError(name)
        return getattr(self._generator, name)

    def generate(self, crops: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """See `generation.base.Generator`."""
        return restore(self._network, crops, self._generator.generate(crops, windows), self._device)


def plain(generator: Generator) -> Generator:
    """The generator without its restorer."""
    return generator._generator if isinstance(generator, Restored) else generator


def restored(generator: Generator, restorer: str | None, device: str = "cpu") -> Generator:
    """The generator with the restorer of a name or file after it; without one where `restorer` is None.

    Raises
    ------
    CheckpointError
        The restorer's weights are absent or are not the right ones.
    ParameterError
        The generator has no faces of 96 pixels, as `cel`, which draws in the frame.
    """
    from lipsync_lab.models import inference, registry
    from lipsync_lab.models.restorer import SIDE

    generator = plain(generator)
    if restorer is None:
        return generator
    if hasattr(generator, "prepare") or generator.side != SIDE:
        raise ParameterError(
            f"--restorer: {generator.name} generates no faces of {SIDE} pixels, which the restorer is for; leave it out"
        )
    weights = registry.load(restorer, "restorer", device)
    inference.ready(weights.model)
    return Restored(generator, weights, device)


def restore(network: nn.Module, crops: np.ndarray, faces: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Restore the lower halves of generated faces.

    Parameters
    ----------
    network : models.restorer.MouthRestorer
    crops : ndarray, uint8, (N, 96, 96, 3)
        RGB crops of the source, whose upper halves show the network the style of the picture.
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB, generated for these crops.
    device : str
        Where the network is.

    Returns
    -------
    ndarray, uint8, (N, 96, 96, 3)
        RGB; the upper halves are those of `faces`.
    """
    import torch

    from lipsync_lab.models import cuda, inference
    from lipsync_lab.models.restorer import HALF

    given = np.concatenate((crops[:, :HALF], faces[:, HALF:]), axis=1)
    given = np.concatenate((given[..., ::-1], crops[..., ::-1]), axis=-1)
    with torch.inference_mode():
        batch = cuda.upload(given, device).permute(0, 3, 1, 2).float() / 255
        out = inference.in_parts(network, batch).clamp(0, 1)[:, :, HALF:] * 255
    lower = cuda.download(out.round().permute(0, 2, 3, 1).to(torch.uint8))[..., ::-1]
    return np.concatenate((faces[:, :HALF], lower), axis=1)
