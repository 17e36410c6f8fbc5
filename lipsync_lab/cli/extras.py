"""The optional dependencies of the commands, and the extras of the package that bring them."""

from __future__ import annotations

from importlib.util import find_spec

from lipsync_lab.errors import LipsyncError

_LAB = (
    *("IPython", "bleach", "ipycanvas", "ipywidgets", "jinja2", "jupyter_client", "jupyter_core", "jupyterlab"),
    *("matplotlib", "nbclient", "nbconvert", "nbformat", "papermill", "traitlets", "zmq"),
)
#: Extra -> the modules that it brings, by their import names.
EXTRAS = {
    "lab": _LAB,
    "sweep": (*_LAB, "aiohttp", "distributed", "fsspec", "psutil", "pyarrow", "yaml"),
    "synthesis": ("espeakng_loader",),
    "fast": ("ncnn", "openvino"),
    "train": ("espeakng_loader", "matplotlib"),
}


def need(extra: str, command: str) -> None:
    """Stop a command before it begins where an extra that it needs is not installed.

    Raises
    ------
    LipsyncError
        Names the missing modules and the command that installs them.
    """
    if missing := [module for module in EXTRAS[extra] if find_spec(module) is None]:
        raise LipsyncError(
            f"`{command}` needs {', '.join(missing)}, not installed here: run pip install 'lipsync_lab[{extra}]'"
        )
