"""Networks made ready to run: the same function of their input in fewer operations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def ready(network: nn.Module, half_on: str = "") -> nn.Module:
    """The network itself, for inference only: batch norms folded, channels last.

    On a CPU the outputs differ by the rounding of float32: at most one grey level of a generated face. Inputs have to
    be of the network's type (`dtype`).

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    half_on : str
        Type of device on which it runs in half precision, such as "cuda"; empty for none.
    """
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(layers) - 1):
            convolution, norm = layers[place], layers[place + 1]
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                layers[place] = fuse_conv_bn_eval(convolution, norm, isinstance(convolution, nn.ConvTranspose2d))
                layers[place + 1] = nn.Identity()
    network = network.to(memory_format=torch.channels_last)
    device = next((each.device.type for each in network.parameters()), "")
    return network.half() if half_on and device == half_on else network


def dtype(network: Callable) -> torch.dtype:
    """Type of a network's parameters; float32 for a network, or any other function, without them."""
    return next((each.dtype for each in getattr(network, "parameters", tuple)()), torch.float32)


def in_parts(run: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """``run(*inputs)``; where memory does not suffice, the halves of the batch one after the other, and so on.

    Raises
    ------
    torch.OutOfMemoryError
        A batch of one does not fit.
    """
    try:
        return run(*inputs)
    except torch.OutOfMemoryError:
        if len(inputs[0]) == 1:
            raise
    half = (len(inputs[0]) + 1) // 2
    return torch.cat([in_parts(run, *(each[part] for each in inputs)) for part in (slice(half), slice(half, None))])
