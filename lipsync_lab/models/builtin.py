"""Generators that are built in code and need no file: `identity` and `untrained`.

Both have Wav2Lip's signature, so that crops, mel windows and pasting can be tested without trained weights.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lipsync_lab.models import weights

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Share of the published network's inner channels, by name.
WIDTHS = {"untrained": 0.25, "identity": 1.0}


def build(name: str) -> nn.Module:
    """The network of a name of `WIDTHS`, in evaluation mode, on the CPU."""
    return {"untrained": untrained, "identity": identity}[name]().eval()


def untrained() -> nn.Module:
    """Wav2Lip at width 0.25 with random weights."""
    import numpy as np
    import torch

    network = weights.skeleton("generator", WIDTHS["untrained"])
    rng = np.random.default_rng(0)  # numpy's generator gives the same numbers on every machine
    state = {}
    for name, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            # with torch's initial weights the signal fades over so many layers: every output would be grey
            values = rng.standard_normal(tensor.shape) * 1.2 / np.sqrt(np.prod(tensor.shape[1:]))
        else:
            values = np.full(tensor.shape, name.endswith(("weight", "running_var")))
        state[name] = torch.from_numpy(values).to(tensor.dtype)
    network.load_state_dict(state, assign=True)
    return network


def identity() -> nn.Module:
    """A network with Wav2Lip's signature that returns the reference face unchanged."""
    from torch import nn

    class Identity(nn.Module):
        def forward(self, mel: Tensor, face: Tensor) -> Tensor:
            return face[:, 3:]  # channels 0 to 2 are the masked face

    return Identity()


def parameter_hash(network: nn.Module) -> str | None:
    """SHA-256 of the names, types, shapes and values of all parameters; None for a network without any."""
    state = network.state_dict()
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest() if state else None
