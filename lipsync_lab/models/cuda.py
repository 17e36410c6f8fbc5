"""What CUDA does faster than by plain calls: a network as one graph of kernels, and copies by way of pinned memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from textwrap import shorten
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Outputs: TypeAlias = Tensor | list[Tensor]

#: Graphs of a network at most. Each keeps the memory of its batch.
MOST = 4
#: Calls before a graph is captured, in which libraries choose their ways and reserve memory.
WARM_UPS = 3


class Graphed:
    """A network on CUDA, called as the network itself is, and run as a CUDA graph for shapes that come more than once.

    The first inputs of a shape are computed as usual. After the second ones a graph is captured, and used for later
    ones if it gives the same bits as the network gave for these: what is computed does not depend on earlier calls.
    Where CUDA refuses, a bit differs or memory is short, no graph is used any more, and a line in the log says why.

    Parameters
    ----------
    network : torch.nn.Module
        From `inference.ready`, on CUDA. It gives one tensor, or several.
    """

    def __init__(self, network: nn.Module):
        self.network = network
        self._graphs: dict[tuple, Callable[..., Outputs]] | None = {}
        self._seen: set[tuple] = set()  # shapes that came once take no graph's place
        self._lock = threading.Lock()  # a graph has one set of buffers

    def parameters(self) -> Iterator[Tensor]:
        """Those of the network, whose type its inputs have to be of (`inference.dtype`)."""
        return self.network.parameters()

    def __call__(self, *inputs: Tensor) -> Outputs:
        """Outputs of the network."""
        shapes = tuple(each.shape for each in inputs)
        with self._lock:
            if replay := (self._graphs or {}).get(shapes):
                try:
                    return replay(*inputs)
                except RuntimeError as error:
                    self._stop(error)
            outputs = self._plain(inputs)
            if self._graphs is None:
                return outputs
            if shapes not in self._seen or len(self._graphs) == MOST:
                self._seen.add(shapes)
                return outputs
            try:
                replay = captured(self.network, inputs)
                if _are_same(replay(*inputs), outputs):
                    self._graphs[shapes] = replay
                else:
                    self._stop("what they give differs from what the network gives")
            except RuntimeError as error:
                self._stop(error)
            return outputs

    def _plain(self, inputs: Sequence[Tensor]) -> Outputs:
        try:
            return self.network(*inputs)
        except torch.OutOfMemoryError as error:
            if not self._graphs:
                raise
            self._stop(error)
        return self.network(*inputs)

    def _stop(self, why: object) -> None:
        self._graphs = None
        _say(f"CUDA graphs are not used: {shorten(str(why), 200)}")


def captured(network: Callable[..., Outputs], inputs: Sequence[Tensor]) -> Callable[..., Outputs]:
    """A network as a CUDA graph, for inputs of the shapes of the ones given.

    Raises
    ------
    RuntimeError
        It does something that a graph cannot hold, or its memory does not suffice.
    """
    given = [each.clone() for each in inputs]
    side, present = torch.cuda.Stream(given[0].device), torch.cuda.current_stream(given[0].device)
    side.wait_stream(present)
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            network(*given)
    present.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # other threads may use CUDA meanwhile: a decoder does
    with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
        made = network(*given)

    def replay(*inputs: Tensor) -> Outputs:
        for place, each in zip(given, inputs, strict=True):
            place.copy_(each)
        graph.replay()
        # the next replay writes into the same memory
        return made.clone() if isinstance(made, Tensor) else [each.clone() for each in made]

    return replay


def upload(array: np.ndarray, device: str) -> Tensor:
    """An array on a device; to CUDA from pinned memory, without waiting for the copy."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    try:
        tensor = tensor.pin_memory()
    except RuntimeError as error:
        _say(f"copies to CUDA are not pinned: {shorten(str(error), 200)}")
    return tensor.to(device, non_blocking=True)


def download(tensor: Tensor) -> np.ndarray:
    """A tensor as an array; from CUDA into pinned memory."""
    if tensor.is_cuda:
        device = tensor.device
        tensor = tensor.to("cpu", non_blocking=True)  # which torch pins
        torch.cuda.current_stream(device).synchronize()
    return tensor.numpy()


def _are_same(ours: Outputs, theirs: Outputs) -> bool:
    if isinstance(theirs, Tensor):
        return torch.equal(ours, theirs)
    return all(map(torch.equal, ours, theirs))


@cache
def _say(line: str) -> None:
    """Log a line once in a process."""
    log.warning("%s", line)
