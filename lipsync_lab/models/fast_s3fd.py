"""S3FD run by ncnn on a CPU: the extra ``fast``.

Nearly all operations of S3FD are convolutions of 3 x 3. ncnn computes them by Winograd's minimal filtering (Lavin and
Gray 2016, arXiv 1509.09308), in a quarter of the multiplications.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from textwrap import shorten

import numpy as np
import torch
from torch import Tensor, nn

from lipsync_lab.models.s3fd import HEADS, S3FD, STAGES

log = logging.getLogger(__name__)

#: Of its large first two stages the network computes so many rows of the picture at once, which stay in the cache; and
#: so many beyond either side, whose results are dropped: four convolutions reach 6 rows, and 4 rows make one of
#: the result.
ROWS, BEYOND, SCALE = 128, 8, 4


class Compiled:
    """S3FD run by ncnn, called as the network itself is.

    Parameters
    ----------
    net : ncnn.Net
        Loaded with what `written` gives.

    Attributes
    ----------
    precision : str
        Type in which it computes, and ncnn's version.
    """

    def __init__(self, net):
        self.precision = f"float32, ncnn {version('ncnn')}"
        self._net = net
        self._lock = threading.Lock()  # the threads of two calls would share the cores

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """See `S3FD.forward`; float32, on the CPU."""
        with self._lock:
            rows = [self._one(picture) for picture in pictures.contiguous().numpy()]
        return [torch.from_numpy(np.stack(maps)) for maps in zip(*rows, strict=True)]

    def _one(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        height = picture.shape[1]
        strips = [self._strip(picture, top, min(top + ROWS, height)) for top in range(0, height, ROWS)]
        for name, made in self._run("pool2", np.concatenate(strips, axis=1), _outputs()).items():
            # as in the network: of three background scores the largest
            yield np.stack((made[:3].max(axis=0), made[3])) if len(made) == 4 and name.endswith("conf") else made

    def _strip(self, picture: np.ndarray, top: int, bottom: int) -> np.ndarray:
        """The rows of the second stage's result that belong to the picture's from `top` to before `bottom`."""
        first, last = max(top - BEYOND, 0), min(bottom + BEYOND, picture.shape[1])
        made = self._run("picture", picture[:, first:last], ["pool2"])["pool2"]
        return made[:, (top - first) // SCALE : (bottom - first) // SCALE]

    def _run(self, name: str, given: np.ndarray, wanted: list[str]) -> dict[str, np.ndarray]:
        import ncnn

        given = np.ascontiguousarray(given)  # a name of its own: ncnn reads it later, and does not hold it
        extractor = self._net.create_extractor()
        extractor.input(name, ncnn.Mat(given))
        return {each: np.array(extractor.extract(each)[1]) for each in wanted}


def is_installed() -> bool:
    """Whether ncnn is."""
    return find_spec("ncnn") is not None


def compiled(network: nn.Module) -> Callable | None:
    """The network converted for ncnn; None where that is not possible, with a warning.

    It uses as many threads as torch does now, and they do not spin.

    Parameters
    ----------
    network : models.s3fd.S3FD
        On the CPU, of float32.
    """
    try:
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads, net.opt.openmp_blocktime = torch.get_num_threads(), 0
        net.opt.use_vulkan_compute = False
        for setting in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, setting, False)
        layers, weights = written(network)
        if net.load_param_mem(layers) or net.load_model(_reader(weights)):
            raise RuntimeError("ncnn does not read the network")
    except Exception as error:  # of any kind: it is only a faster way
        log.warning("ncnn is not used: %s", shorten(str(error), 200))
        return None
    return Compiled(net)


def _reader(weights: Sequence[np.ndarray]):
    """What ncnn reads weights from in memory, a part each time; its own reader would refer to memory that is gone."""
    import ncnn

    parts = iter(weights)
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )

    class Reader(ncnn.DataReader):
        def read(self, buffer, size: int) -> int:
            part = next(parts)
            if part.nbytes != size:
                raise ValueError(f"{size} bytes are asked for, and {part.nbytes} follow")
            ctypes.memmove(pointer(buffer, None), part.ctypes.data, size)
            return size

    return Reader()


def written(network: S3FD) -> tuple[str, list[np.ndarray]]:
    """The network in the two parts of ncnn's format: the list of layers, and the weights in their order.

    A layer of the list has a type, a name, how many inputs and outputs, their names, and numbered parameters. The
    input is `picture`; the outputs are those of `_outputs`, and `pool2`, from which the network can be run on.
    """
    layers: list[str] = []
    weights: list[np.ndarray] = []
    names: set[str] = set()

    def add(kind: str, name: str, inputs: list[str], outputs: list[str], parameters: str = "") -> None:
        counts = f"{len(inputs)} {len(outputs)}"
        layers.append(" ".join((kind, name, counts, *inputs, *outputs, parameters)).strip())
        names.update(outputs)

    def convolution(name: str, given: str, to: str, relu: bool = True) -> str:
        layer = getattr(network, name)
        kernel, bias = (np.ascontiguousarray(each.detach().numpy()) for each in (layer.weight, layer.bias))
        # 0: channels, 1: side, 3: stride, 4: padding, 5: it has a bias, 6: how many weights, 9: a ReLU follows
        sizes = f"0={len(kernel)} 1={kernel.shape[2]} 3={layer.stride[0]} 4={layer.padding[0]}"
        add("Convolution", name, [given], [to], f"{sizes} 5=1 6={kernel.size} 9={int(relu)}")
        weights.extend((np.uint32([0]), kernel, bias))  # 0: plain float32
        return to

    def split(name: str, into: str) -> tuple[str, str]:
        """The same values under two names: ncnn gives a value to one layer alone."""
        add("Split", f"{name}_for_{into}", [name], [f"{name}_on", f"{name}_{into}"])
        return f"{name}_on", f"{name}_{into}"

    add("Input", "input", [], ["picture"])
    now, maps = "picture", []
    for stage, (count, _) in enumerate(STAGES, start=1):
        for number in range(1, count + 1):
            now = convolution(f"conv{stage}_{number}", now, f"stage{stage}_{number}")
        if (norm := f"conv{stage}_3_norm") in HEADS:
            now, aside = split(now, "norm")
            scale = getattr(network, norm).weight.detach().numpy()
            # 0: not across pixels, 4: across channels, 1: a weight for each, 2: added under the root, 3: how many
            add("Normalize", norm, [aside], [norm], f"0=0 4=1 1=0 2=1e-10 3={scale.size}")
            weights.append(scale)
            maps.append(norm)
        # 0: largest value, 1 and 2: two by two pixels, 5: no padding
        add("Pooling", f"pooling{stage}", [now], [f"pool{stage}"], "0=0 1=2 2=2 5=1")
        now = f"pool{stage}"
    for first, second in (("fc6", "fc7"), ("conv6_1", "conv6_2"), ("conv7_1", "conv7_2")):
        now = convolution(second, convolution(first, now, f"made_{first}"), f"made_{second}")
        now, aside = split(now, "map")
        maps.append(aside)
    for name, given in zip(HEADS, maps, strict=True):
        for part, each in zip(("conf", "loc"), split(given, "again"), strict=True):
            convolution(f"{name}_mbox_{part}", each, f"{name}_{part}", relu=False)
    return "\n".join(("7767517", f"{len(layers)} {len(names)}", *layers, "")), weights


def _outputs() -> list[str]:
    return [f"{name}_{part}" for name in HEADS for part in ("conf", "loc")]
