"""Networks made ready to run: the same function of their input in fewer operations."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lipsync_lab.models import cuda, fast

#: Networks of fewer parameters stay in torch's float32 on a CPU: those of this project have at most a tenth of it, gain
#: a few milliseconds a face, and give the same results on every processor.
WIDE = 8_000_000
#: Share of float32's time that bfloat16 may take at most.
PAYS = 0.8
#: Least share of the outputs within `NEAR` of those in float32.
AGREES, NEAR = 0.99, 2.0


def ready(network: nn.Module) -> nn.Module:
    """The network itself, for inference only: batch norms folded, channels last, no gradients.

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
    return network.requires_grad_(False).to(memory_format=torch.channels_last)


def coarser(
    network: Callable,
    probe: Callable[[Callable], Tensor],
    shapes: Sequence[Sequence[int]],
    on_cuda: torch.dtype = torch.float16,
    converters: Sequence[Callable[[nn.Module], Callable | None]] = (),
) -> Callable:
    """What computes the same faster, and near enough: a copy in lower precision, OpenVINO, ncnn; or the network itself.

    CUDA computes in `on_cuda`, and what is given is run by CUDA graphs (`models.cuda.Graphed`). On a CPU only wide
    networks (`WIDE`) are replaced: by a copy in bfloat16 if the processor has the instructions and they are faster
    (`pays`), and by what the extra ``fast`` brings, where that is measured to be faster still: OpenVINO, in the same
    precision, and `converters`. Inputs have to be of the type of what is returned (`dtype`).

    Parameters
    ----------
    network : torch.nn.Module
        From `ready`. What an earlier call has given stays what it is.
    probe : callable
        From a network to its outputs for some input. `AGREES` of them have to lie within `NEAR` of those in float32, so
        that they must be in units in which this makes sense: grey levels, pixels.
    shapes : sequence of sequence of int
        Shape of each input of the network; -1 for a side of any length.
    on_cuda : torch.dtype
        bfloat16 for a network whose features may not fit into float16.
    converters : sequence of callable
        From the network to what is called in its place on a CPU, or to None where that is not possible.
    """
    parameters = list(network.parameters()) if isinstance(network, nn.Module) else []
    device = parameters[0].device.type if parameters else ""
    is_wide = sum(each.numel() for each in parameters) >= WIDE
    is_cpu = device == "cpu" and is_wide and (pays() or fast.is_installed() or bool(converters))
    if dtype(network) != torch.float32 or not (device == "cuda" or is_cpu):
        return network
    given: list[tuple[Tensor, ...]] = []

    def recorded(*inputs: Tensor) -> Tensor:
        given.append(inputs)
        return network(*inputs)

    with torch.inference_mode():
        wanted, best = probe(recorded), network

        def agrees(other: Callable) -> bool:
            return bool(((wanted - probe(other)).abs() <= NEAR).float().mean() >= AGREES)

        if device == "cuda" or pays():
            low = copy.deepcopy(network).to(on_cuda if device == "cuda" else torch.bfloat16)
            best = low if agrees(low) else network
        if is_cpu:
            by_openvino = [partial(fast.compiled, inputs=given[0], shapes=shapes, bf16=pays())]
            for convert in [*(by_openvino if fast.is_installed() else ()), *converters]:
                other = convert(network)
                if other is not None and agrees(other) and is_quicker(partial(probe, other), partial(probe, best)):
                    best = other
    return cuda.Graphed(best) if device == "cuda" else best


def is_quicker(new: Callable[[], object], old: Callable[[], object]) -> bool:
    """Whether `new` takes less time than `old`, both called before: the least of two calls each, in turns."""
    least = [float("inf"), float("inf")]
    for _ in range(2):
        for place, call in enumerate((new, old)):
            start = time.perf_counter()
            call()
            least[place] = min(least[place], time.perf_counter() - start)
    return least[0] < least[1]


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


def precision(network: Callable) -> str:
    """Type in which a network computes, and what computes if that is not torch: "float32, OpenVINO 2026.4.1"."""
    return getattr(network, "precision", None) or str(dtype(network)).removeprefix("torch.")


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
