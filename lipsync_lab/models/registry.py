"""Models by name: the table of models, fetching and verifying their weights, and loading them into networks.

A name leads to a file and its SHA-256, which is compared before the file is parsed. Weights are unpickled with
``weights_only``, so that a file can supply tensors and cannot run code. `MODELS` is every named model by name, the rows
of ``checkpoints/models.csv``; it is read when it is first used.
"""

from __future__ import annotations

import csv
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import bundled, renamed
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.files import download, sha256
from lipsync_lab.files import kind as kind_of_file
from lipsync_lab.models import builtin, weights
from lipsync_lab.models.weights import KINDS

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

#: Folder of the table of models and of the bundled weights.
HOME = bundled.folder("checkpoints")


@dataclass(frozen=True)
class Model:
    """A named model.

    Attributes
    ----------
    name : str
    kind : str
        One of `KINDS`.
    file : str or None
        Name of the file; None for a model that is built in code.
    size : int or None
        Bytes; None where unknown.
    sha256 : str or None
        Of the file, in hexadecimal: all 64 digits, or the first ones where only these are published, or None.
    url : str or None
        Address of a published file; None for a model that this project trained.
    terms : str
        Terms under which the weights may be used.
    note : str
        What the model is.
    """

    name: str
    kind: str
    file: str | None
    size: int | None
    sha256: str | None
    url: str | None
    terms: str
    note: str

    @property
    def path(self) -> Path | None:
        """Path of the file, whether it exists or not; None for a model that is built in code."""
        if self.file is None:
            return None
        return (folder() if self.url else HOME) / self.file

    @property
    def is_small(self) -> bool:
        """Whether this project trained it: its pictures are no measure of Wav2Lip."""
        return self.url is None and self.file is not None


#: The default model of each kind: this project's own small models, which need no download, except for the LSE network,
#: of which only the published one exists.
DEFAULTS = {
    "detector": "s3fd-lab",
    "generator": "wav2lip-lab",
    "sync_expert": "syncnet-lab",
    "discriminator": "discriminator-lab",
    "lse": "syncnet_v2",
    "mouth_openness": "mouth-openness-lab",
    "mouth_locator": "mouth-locator-lab",
    "visemes": "visemes-lab",
    "restorer": "mouth-restorer-lab",
}


@dataclass(frozen=True)
class Weights:
    """A network with its weights, ready to run.

    Attributes
    ----------
    model : torch.nn.Module
        In evaluation mode, float32, on the device asked for.
    name : str
        The model's name, or the name of the file.
    path : Path or None
        The file; None for a model that is built in code.
    sha256 : str or None
        Of the file; for `untrained` of its parameters; None for `identity`, which has none.
    width : float
        Share of the published network's inner channels.
    provenance : str
        One sentence for the reader of a result: which weights these are, and whether they were verified.
    audio_offset : int
        Audio offset in frames that the file's metadata state for a generator; 0 for the published weights.
    longest_side : int
        Largest side in pixels of a detector's input that the file's metadata state; 0 for no limit.
    """

    model: nn.Module
    name: str
    path: Path | None
    sha256: str | None
    width: float
    provenance: str
    audio_offset: int = 0
    longest_side: int = 0


@dataclass(frozen=True)
class Finding:
    """Result of `verify` for one model: `state` is absent, right, wrong, or unverifiable (no hash is published)."""

    model: Model
    path: Path
    state: str
    sha256: str | None


@cache
def _models() -> dict[str, Model]:
    with (HOME / "models.csv").open(newline="", encoding="utf-8") as lines:
        rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(lines)]
    models = [Model(**row | {"size": row["size"] and int(row["size"])}) for row in rows]
    return {model.name: model for model in models}


def __getattr__(name: str) -> Any:
    if name == "MODELS":
        return _models()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def folder() -> Path:
    """Folder of fetched weights.

    ``LIPSYNC_LAB_CHECKPOINTS`` if that is set; else ``checkpoints/`` in a checkout, and for an installed package a
    folder in the user's cache, since the package's own may be read-only and goes when the package is removed.
    """
    if chosen := os.environ.get("LIPSYNC_LAB_CHECKPOINTS"):
        return Path(chosen)
    if not bundled.installed():
        return HOME
    import pooch

    return Path(pooch.os_cache("lipsync_lab")) / "checkpoints"


def load(name_or_path: str | Path, kind: str, device: str = "cpu") -> Weights:
    """Load a model: its weights in its network.

    Parameters
    ----------
    name_or_path : str or Path
        A name of `MODELS`, or a file: ``.pth`` as the published scripts write them (``{"state_dict": ...}`` or a
        bare state dict, with or without the ``module.`` prefix) or ``.safetensors``. A file with the name of a
        published file must be that file; under any other name it may contain the user's own weights.
    kind : str
        One of `KINDS`: the network that is needed.
    device : str
        Where torch puts it.

    Returns
    -------
    Weights

    Raises
    ------
    CheckpointError
        If the model is unknown, absent or of another kind, has another SHA-256 than the table says, holds anything but
        weights, or does not fit the network.
    ParameterError
        If the kind or the device does not exist.
    """
    kind, name_or_path = renamed.model(kind), renamed.model(str(name_or_path))
    if kind not in KINDS:
        raise ParameterError(f"no network is of kind {kind!r}; there are {', '.join(KINDS)}")
    _check_device(device)
    model = _models().get(name_or_path)
    if model is None:
        path = Path(name_or_path)
        if not path.is_file():
            there = kind_of_file(path)
            raise CheckpointError(
                f"{name_or_path} is {there and there + ', '}neither a file nor the name of a model: give a file that "
                f"is there, or one of {_names(kind)} ({KINDS[kind]})"
            )
        # a web page saved as wav2lip.pth is the most common wrong file
        model = next((known for known in _models().values() if known.url and known.file == path.name), None)
    else:
        path = model.path
    if model and model.kind != kind:
        raise CheckpointError(
            f"{name_or_path} is a {KINDS[model.kind]}, and a {KINDS[kind]} is needed: give one of {_names(kind)}"
        )
    if path is None:
        network, width = builtin.build(model.name), builtin.WIDTHS[model.name]
        digest = builtin.parameter_hash(network)
        return Weights(network.to(device), model.name, None, digest, width, f"{model.name}: {model.note}")
    if not path.is_file():
        raise CheckpointError(_absent(model))

    digest = sha256(path)
    if model:
        _refuse_another_file(model, path, digest)
    network, width, offset, longest = weights.fit(path, kind)
    name = model.name if model else path.name
    provenance = _provenance(model, path, digest, width)
    return Weights(network.eval().to(device), name, path, digest, width, provenance, offset, longest)


def verified(name: str) -> Path:
    """Path of a named model's file, once its SHA-256 has been compared; for files that are no state dicts.

    Raises
    ------
    CheckpointError
        The file is absent, or has another SHA-256 than the table says.
    """
    model = _models()[name]
    if not model.path.is_file():
        raise CheckpointError(_absent(model))
    _refuse_another_file(model, model.path, sha256(model.path))
    return model.path


def fetch(name: str, progress: bool = True) -> Path:
    """Download a published model's file into `folder`, unless the right one is there.

    A file with a wrong SHA-256 is deleted. Where no SHA-256 is published, that of the file is logged as a warning.

    Parameters
    ----------
    name : str
        A name of `MODELS`.
    progress : bool
        Draw a progress bar on stderr.

    Returns
    -------
    Path

    Raises
    ------
    CheckpointError
        If there is no such model, it has no file to fetch, the download fails, or its SHA-256 is wrong.
    """
    model = _models().get(renamed.model(name))
    if model is None:
        raise CheckpointError(f"no model is named {name}; there are {', '.join(_models())}")
    path = model.path
    if path is None:
        raise CheckpointError(f"{name} is built in code and has no file to fetch: use it by its name")
    if not path.is_file() or _objection(model, path, sha256(path)):
        if model.url is None:
            raise CheckpointError(_absent(model))
        if failure := download(model.url, path, lambda part: _objection(model, part, sha256(part)), progress):
            raise CheckpointError(f"{model.name} {failure}")
    if model.sha256 is None:
        log.warning("%s: no SHA-256 is published, so %s could not be verified; it has %s", name, path, sha256(path))
    return path


def verify(name: str | None = None) -> list[Finding]:
    """Compare the files of the models with their SHA-256.

    Parameters
    ----------
    name : str, optional
        One model; None for all of them.

    Returns
    -------
    list of Finding
        In the order of `MODELS`, without the models that are built in code.
    """
    findings = []
    for model in _models().values():
        if name in (None, model.name) and (path := model.path):
            digest = sha256(path) if path.is_file() else None
            right = "right" if model.sha256 else "unverifiable"
            state = "absent" if digest is None else "wrong" if _objection(model, path, digest) else right
            findings.append(Finding(model, path, state, digest))
    return findings


def _names(kind: str) -> str:
    return ", ".join(name for name, model in _models().items() if model.kind == kind)


def _absent(model: Model) -> str:
    if model.url is None:
        return f"{model.name}: the bundled file {model.path} is missing or changed: restore it from the repository"
    return (
        f"{model.name}: {model.path} is not there: run 'python -m lipsync_lab weights fetch {model.name}', "
        f"or put the file from {model.url} there by hand"
    )


def _objection(model: Model, path: Path, digest: str) -> str:
    """Why a file with that SHA-256 is not the model's; empty if it is."""
    other = weights.what_else(path)
    if digest.startswith(model.sha256) if model.sha256 else not other:
        return ""
    expected = "(none is published)" if model.sha256 is None else model.sha256 + "..." * (len(model.sha256) < 64)
    return f"is not {model.name}{other and ', it is '}{other}: expected SHA-256 {expected}, it has {digest}"


def _refuse_another_file(model: Model, path: Path, digest: str) -> None:
    if objection := _objection(model, path, digest):
        cure = f"delete it and run 'python -m lipsync_lab weights fetch {model.name}'" if model.url else "restore it"
        raise CheckpointError(f"{path} {objection}: {cure}, or give your own weights another name")


def best_device() -> str:
    """ "cuda" where torch has it, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ParameterError(
            f"torch cannot use device {device} here: give cpu ({str(error).splitlines()[0]})"
        ) from error


def _provenance(model: Model | None, path: Path, digest: str, width: float) -> str:
    if model is None:
        return f"{path.name}: weights of your own at width {width:g}, SHA-256 {digest}"
    if model.url is None:
        return f"{model.name}: this project's own small model at width {width:g}, {model.note}"
    if model.sha256 is None:
        return f"{model.name}: the published weights by name only, no SHA-256 is published; this file has {digest}"
    share = "" if len(model.sha256) == 64 else f"the first {len(model.sha256)} digits of "
    return f"{model.name}: the published weights, verified by {share}their SHA-256"
