"""Networks made ready to run: the same function of their input in fewer operations."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Networks of fewer parameters stay in float32 on a CPU: those of this project have at most a tenth of it, gain about a
#: millisecond a face, and give the same results on every processor.
WIDE = 8_000_000
#: Share of float32's time that bfloat16 may take at most.
PAYS = 0.8
#: Least share of the outputs within `NEAR` of those in float32.
AGREES, NEAR = 0.99, 2.0


def ready(network: nn.Module) -> nn.Module:
    """The network itself, for inference only: batch norms folded, channels last.

    The outputs differ by the rounding of float32: at most one grey level of a generated face.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    """
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(layers) - 1):
            convolution, norm = layers[place], layers[place + 1]
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                layers[place] = fuse_conv_bn_eval(convolution, norm, isinstance(convolution, nn.ConvTranspose2d))
                layers[place + 1] = nn.Identity()
    return network.to(memory_format=torch.channels_last)


def coarser(
    network: nn.Module, probe: Callable[[nn.Module], Tensor], on_cuda: torch.dtype = torch.float16
) -> nn.Module:
    """A copy in lower precision where that is faster and near enough; else the network itself.

    CUDA computes in `on_cuda`. A CPU computes in bfloat16 if it has the instructions, if they are faster (`pays`), and
    if the network is wide (`WIDE`). Inputs have to be of the network's type (`dtype`).

    Parameters
    ----------
    network : torch.nn.Module
        From `ready`.
    probe : callable
        From a network to its outputs for some input. `AGREES` of them have to lie within `NEAR` of those in float32, so
        that they must be in units in which this makes sense: grey levels, pixels.
    on_cuda : torch.dtype
        bfloat16 for a network whose features may not fit into float16.
    """
    device = next((each.device.type for each in network.parameters()), "")
    is_wide = sum(each.numel() for each in network.parameters()) >= WIDE
    if dtype(network) != torch.float32 or not (device == "cuda" or (device == "cpu" and is_wide and pays())):
        return network
    low = copy.deepcopy(network).to(on_cuda if device == "cuda" else torch.bfloat16)
    with torch.inference_mode():
        near = (probe(network) - probe(low)).abs() <= NEAR
    return low if near.float().mean() >= AGREES else network


def has_bf16(device: str) -> bool:
    """Whether the device computes in bfloat16; CPUs that emulate it are eight times slower than in float32."""
    if not device.startswith("cpu"):
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


@cache
def pays() -> bool:
    """Whether this CPU computes a convolution in bfloat16 in at most `PAYS` of the time in float32.

    Processors with the same instructions differ: some gain three times, some nothing. Measured once in a process, in
    about 20 ms.
    """
    if not has_bf16("cpu"):
        return False
    image, kernel = torch.ones(2, 128, 48, 48), torch.ones(128, 128, 3, 3)

    def seconds(kind: torch.dtype) -> float:
        pair = [each.to(kind, memory_format=torch.channels_last) for each in (image, kernel)]
        least = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            torch.nn.functional.conv2d(*pair, padding=1)
            least = min(least, time.perf_counter() - start)
        return least

    with torch.inference_mode():
        return seconds(torch.bfloat16) <= PAYS * seconds(torch.float32)


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
