"""Networks run by OpenVINO on a CPU: the extra ``fast``.

OpenVINO's converter reports its use over the network as soon as it is imported, where the package `openvino-telemetry`
is importable and nobody objected. It stays out of this process: see `_openvino`.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from textwrap import shorten
from types import ModuleType

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class Compiled:
    """A network run by OpenVINO, called as the network itself is.

    Parameters
    ----------
    model : openvino.CompiledModel
    precision : str
        Type in which it computes, and OpenVINO's version. Inputs and outputs are float32.
    """

    def __init__(self, model, precision: str):
        self.precision = precision
        self._request = model.create_infer_request()
        self._count = len(model.outputs)
        self._lock = threading.Lock()  # a request has one set of buffers

    def __call__(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        """Outputs of the network, float32, on the CPU: one tensor, or a list where the network returns several."""
        with self._lock:
            outputs = self._request.infer([each.contiguous().numpy() for each in inputs], share_inputs=True)
            made = [torch.from_numpy(outputs[number]) for number in range(self._count)]
        return made[0] if self._count == 1 else made


def is_installed() -> bool:
    """Whether OpenVINO is."""
    return find_spec("openvino") is not None


def compiled(
    network: nn.Module, inputs: Sequence[Tensor], shapes: Sequence[Sequence[int]], bf16: bool = False
) -> Callable | None:
    """A network converted for OpenVINO; None where that is not possible, with a warning.

    It uses as many threads as torch does now, and they do not spin. Nothing is kept on disk: a conversion takes about a
    second of processor time, less than a dub of a few seconds gains by it.

    Parameters
    ----------
    network : torch.nn.Module
        From `inference.ready`, on the CPU, of float32.
    inputs : sequence of Tensor
        Example inputs. Nothing that depends on their values or sizes may decide what the network computes.
    shapes : sequence of sequence of int
        Shape of each input; -1 for a side of any length.
    bf16 : bool
        Compute in bfloat16 inside; inputs and outputs stay float32.
    """

    def function(*given: Tensor) -> Tensor | tuple[Tensor, ...]:
        made = network(*given)
        return made if isinstance(made, Tensor) else tuple(made)

    try:
        openvino = _openvino()
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, about shapes that are constants of the network
            # a function takes a third of the time of a module, whose every part is made anew; and the tracer's own
            # comparison would run the network three times more: the caller compares
            traced = torch.jit.trace(function, tuple(inputs), check_trace=False)
            model = openvino.convert_model(traced, example_input=tuple(inputs))
        model.reshape({number: openvino.PartialShape(list(shape)) for number, shape in enumerate(shapes)})
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        made = openvino.Core().compile_model(model, "CPU", settings)
    except Exception as error:  # of any kind: it is only a faster way
        log.warning("OpenVINO is not used: %s", shorten(str(error), 200))
        return None
    return Compiled(made, f"{'bfloat16' if bf16 else 'float32'}, OpenVINO {version('openvino')}")


def _openvino() -> ModuleType:
    """The package `openvino`, without its telemetry.

    Raises
    ------
    ImportError
        It is damaged; or other code in this process has imported `openvino_telemetry`, which would report our
        conversions.
    """
    # None makes each later import of it an ImportError, and OpenVINO then takes a stub that does nothing
    if sys.modules.setdefault("openvino_telemetry", None) is not None:
        raise ImportError("openvino_telemetry is imported, and reports conversions")
    import openvino

    return openvino
