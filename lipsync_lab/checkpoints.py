"""Models by name: where their weights lie, what they must be, and how they get into a network.

A name leads to a file and the file's SHA-256, which is compared before anything in the file is read. Weights are
unpickled with ``weights_only``, so that a file can bring numbers and nothing else.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import statedict
from lipsync_lab.download import download
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.statedict import KINDS

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

#: Where the table of all models and the bundled ones lie; fetched weights too unless `folder` says otherwise.
HOME = Path(__file__).resolve().parents[1] / "checkpoints"


@dataclass(frozen=True)
class Model:
    """A model that has a name.

    Attributes
    ----------
    name : str
    kind : str
        One of `KINDS`.
    file : str or None
        Name of the file; None for a model that is made on the spot.
    size : int or None
        Bytes; None where unknown.
    sha256 : str or None
        Of the file, in hexadecimal: all 64 digits, or the first ones where no more are published, or None.
    url : str or None
        Address of a published file; None for what this project made itself.
    terms : str
        Under which terms the weights are given.
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
        """Where the file belongs, whether it is there or not; None for a model that is made on the spot."""
        if self.file is None:
            return None
        return (folder() if self.url else HOME) / self.file


#: What is used of each kind where nothing else is named: this project's own small models, which need no download. Of
#: the LSE network there is none but the published one.
DEFAULTS = {
    "detector": "s3fd-lab",
    "generator": "wav2lip-lab",
    "expert": "syncnet-lab",
    "quality": "quality-lab",
    "lse": "syncnet_v2",
    "reader": "reader-lab",
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
        The file; None for a model that is made on the spot.
    sha256 : str or None
        Of the file; for `untrained` of its parameters; None for `identity`, which has none.
    width : float
        Share of the published network's inner channels.
    provenance : str
        One sentence for the reader of a result: what these weights are.
    mel_lead : int
        Frames by which a generator's mel windows have to start early, as its file says; 0 as published.
    longest_side : int
        Pixels: a detector should be shown no larger pictures, as its file says; 0 for any, as published.
    """

    model: nn.Module
    name: str
    path: Path | None
    sha256: str | None
    width: float
    provenance: str
    mel_lead: int = 0
    longest_side: int = 0


@dataclass(frozen=True)
class Finding:
    """What `verify` found of one model: `state` is absent, right, wrong, or unverifiable (no hash is published)."""

    model: Model
    path: Path
    state: str
    sha256: str | None


def _models() -> dict[str, Model]:
    with (HOME / "models.csv").open(newline="", encoding="utf-8") as lines:
        rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(lines)]
    models = [Model(**row | {"size": row["size"] and int(row["size"])}) for row in rows]
    return {model.name: model for model in models}


#: Every model that has a name, by name: the rows of ``checkpoints/models.csv``.
MODELS: dict[str, Model] = _models()


def folder() -> Path:
    """Where fetched weights lie: ``LIPSYNC_LAB_CHECKPOINTS``, or ``checkpoints/`` in the repository."""
    return Path(os.environ.get("LIPSYNC_LAB_CHECKPOINTS") or HOME)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, read piece by piece, in hexadecimal.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def load(name_or_path: str | Path, kind: str, device: str = "cpu") -> Weights:
    """Bring a model's weights into its network.

    Parameters
    ----------
    name_or_path : str or Path
        A name of `MODELS`, or a file: ``.pth`` as the published scripts write them (``{"state_dict": ...}`` or a
        bare state dict, with or without the ``module.`` prefix) or ``.safetensors``. A file that bears a published
        file's name must be that file; under any other name it may be anyone's own training.
    kind : str
        One of `KINDS`: which network it has to be.
    device : str
        Where torch puts it.

    Returns
    -------
    Weights

    Raises
    ------
    CheckpointError
        If the model is unknown, is absent, is of another kind, is not the file it claims to be, does not hold
        weights and nothing but weights, or does not fit the network.
    ParameterError
        If there is no such kind or device.
    """
    if kind not in KINDS:
        raise ParameterError(f"no network is of kind {kind!r}; there are {', '.join(KINDS)}")
    _check_device(device)
    model = MODELS.get(str(name_or_path))
    if model is None:
        path = Path(name_or_path)
        if not path.is_file():
            raise CheckpointError(
                f"{name_or_path} is neither a file nor the name of a model: give a file that is there, or one of "
                f"{_names(kind)} ({KINDS[kind]})"
            )
        # a web page saved as wav2lip.pth is the commonest wrong file there is
        model = next((known for known in MODELS.values() if known.url and known.file == path.name), None)
    else:
        path = model.path
    if model and model.kind != kind:
        raise CheckpointError(
            f"{name_or_path} is a {KINDS[model.kind]}, and a {KINDS[kind]} is wanted: give one of {_names(kind)}"
        )
    if path is None:
        return _made_on_the_spot(model, device)
    if not path.is_file():
        raise CheckpointError(_absent(model))

    found = sha256(path)
    if model and (objection := _objection(model, path, found)):
        cure = f"delete it and run 'python -m lipsync_lab weights fetch {model.name}'" if model.url else "restore it"
        raise CheckpointError(f"{path} {objection}: {cure}, or give your own weights another name")
    network, width, lead, longest = statedict.fit(path, kind)
    name = model.name if model else path.name
    provenance = _provenance(model, path, found, width)
    return Weights(network.eval().to(device), name, path, found, width, provenance, lead, longest)


def fetch(name: str, progress: bool = True) -> Path:
    """Download a published model's file into `folder`, unless the right one is there.

    The file takes its place only when its SHA-256 is right; a wrong one is deleted. Where no SHA-256 is published,
    the one found is logged as a warning.

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
        If there is no such model, nothing to fetch, no connection, no room, or another file came.
    """
    model = MODELS.get(name)
    if model is None:
        raise CheckpointError(f"no model is named {name}; there are {', '.join(MODELS)}")
    path = model.path
    if path is None:
        raise CheckpointError(f"{name} is made on the spot: there is no file to fetch, use it by its name")
    if not path.is_file() or _objection(model, path, sha256(path)):
        if model.url is None:
            raise CheckpointError(_absent(model))
        if failure := download(model.url, path, lambda part: _objection(model, part, sha256(part)), progress):
            raise CheckpointError(f"{model.name} {failure}")
    if model.sha256 is None:
        log.warning("%s: no SHA-256 is published, so %s could not be verified; it has %s", name, path, sha256(path))
    return path


def verify(name: str | None = None) -> list[Finding]:
    """Compare known models' files with their SHA-256; every file is read again each time.

    Parameters
    ----------
    name : str, optional
        One model; None for all of them.

    Returns
    -------
    list of Finding
        In the order of `MODELS`, without those that are made on the spot.
    """
    findings = []
    for model in MODELS.values():
        if name in (None, model.name) and (path := model.path):
            found = sha256(path) if path.is_file() else None
            right = "right" if model.sha256 else "unverifiable"
            state = "absent" if found is None else "wrong" if _objection(model, path, found) else right
            findings.append(Finding(model, path, state, found))
    return findings


def _names(kind: str) -> str:
    return ", ".join(name for name, model in MODELS.items() if model.kind == kind)


def _absent(model: Model) -> str:
    if model.url is None:
        return f"{model.name}: {model.path} is not as it came with the repository: bring it back from there"
    return (
        f"{model.name}: {model.path} is not there: run 'python -m lipsync_lab weights fetch {model.name}', "
        f"or put the file from {model.url} there by hand"
    )


def _objection(model: Model, path: Path, found: str) -> str:
    """Why a file with that SHA-256 is not the model's, or nothing if it is."""
    other = statedict.what_else(path)
    if found.startswith(model.sha256) if model.sha256 else not other:
        return ""
    expected = "(none is published)" if model.sha256 is None else model.sha256 + "..." * (len(model.sha256) < 64)
    return f"is not {model.name}{other and ', it is '}{other}: expected SHA-256 {expected}, found {found}"


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ParameterError(
            f"torch cannot use device {device} here: give cpu ({str(error).splitlines()[0]})"
        ) from error


def _provenance(model: Model | None, path: Path, found: str, width: float) -> str:
    if model is None:
        return f"{path.name}: weights of your own at width {width:g}, SHA-256 {found}"
    if model.url is None:
        return f"{model.name}: this project's own small model at width {width:g}, {model.note}"
    if model.sha256 is None:
        return f"{model.name}: the published weights by name only, no SHA-256 is published; this file has {found}"
    share = "" if len(model.sha256) == 64 else f"the first {len(model.sha256)} digits of "
    return f"{model.name}: the published weights, verified by {share}their SHA-256"


def _made_on_the_spot(model: Model, device: str) -> Weights:
    width = 0.25 if model.name == "untrained" else 1.0
    network = (_untrained(width) if model.name == "untrained" else _identity()).eval()
    found = _hash_of_parameters(network)
    return Weights(network.to(device), model.name, None, found, width, f"{model.name}: {model.note}")


def _untrained(width: float) -> nn.Module:
    import numpy as np
    import torch

    network = statedict.skeleton("generator", width)
    rng = np.random.default_rng(0)  # and not torch's: these numbers are the same on every machine
    state = {}
    for name, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            # torch's own initial weights fade out over so many layers: the face would be grey whatever is said
            values = rng.standard_normal(tensor.shape) * 1.2 / np.sqrt(np.prod(tensor.shape[1:]))
        else:
            values = np.full(tensor.shape, name.endswith(("weight", "running_var")))
        state[name] = torch.from_numpy(values).to(tensor.dtype)
    network.load_state_dict(state, assign=True)
    return network


def _identity() -> nn.Module:
    from torch import nn

    class Identity(nn.Module):
        """Wav2Lip's signature; gives back the reference face, channels 3 to 5, untouched."""

        def forward(self, mel: Tensor, face: Tensor) -> Tensor:
            return face[:, 3:]

    return Identity()


def _hash_of_parameters(network: nn.Module) -> str | None:
    state = network.state_dict()
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest() if state else None
