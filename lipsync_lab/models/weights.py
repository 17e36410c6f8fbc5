"""Reading state dicts from files, safely, and loading them into networks."""

from __future__ import annotations

import contextlib
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import renamed
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.limits import Limits

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Kinds of networks, and their names in messages.
KINDS = {
    "detector": "face detector",
    "generator": "generator",
    "sync_expert": "sync expert",
    "discriminator": "discriminator",
    "lse": "network of the LSE metric",
    "mouth_openness": "mouth-openness regressor",
    "visemes": "viseme network",
    "mouth_locator": "mouth locator",
    "restorer": "mouth restorer",
}


def network(kind: str, width: float) -> nn.Module:
    """A network of a kind, with torch's initial weights."""
    from lipsync_lab.models import mouth_locator, mouth_openness, restorer, s3fd, syncnet, visemes, wav2lip

    networks = {
        "detector": s3fd.S3FD,
        "generator": wav2lip.Wav2Lip,
        "sync_expert": syncnet.SyncNetColor,
        "discriminator": wav2lip.QualityDiscriminator,
        "lse": syncnet.SyncNetV2,
        "mouth_openness": mouth_openness.MouthOpennessNet,
        "visemes": visemes.VisemeNet,
        "mouth_locator": mouth_locator.MouthLocatorNet,
        "restorer": restorer.MouthRestorer,
    }
    return networks[kind](width)


def skeleton(kind: str, width: float) -> nn.Module:
    """The network on torch's meta device: names and shapes of its parameters, without memory for them."""
    import torch

    with torch.device("meta"):
        return network(kind, width)


def fit(path: Path, kind: str) -> tuple[nn.Module, float, int, int]:
    """Load a file of weights into the network of a kind.

    Returns
    -------
    network : torch.nn.Module
        float32, on the CPU.
    width : float
        Share of the published network's inner channels, from the file's metadata or inferred from the shapes.
    audio_offset : int
        Frames by which mel windows start earlier, from the metadata; 0 where they state none.
    longest_side : int
        Largest side of a detector's input in pixels, from the metadata; 0 for no limit.

    Raises
    ------
    CheckpointError
        The file holds no state dict, or one that does not fit.
    """
    import torch

    state, metadata = _read(path)
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    try:
        width = float(metadata["width"]) if "width" in metadata else _infer_width(state, kind)
        offset, longest = int(metadata.get("audio_offset", 0)), int(metadata.get("longest_side", 0))
        fitted = skeleton(kind, width)
    except (ValueError, ParameterError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be used ({error}): write the file again") from error
    wanted = fitted.state_dict()
    for other in KINDS:
        if set(state) != set(wanted) and set(state) == set(skeleton(other, 1.0).state_dict()):
            raise CheckpointError(f"{path} is a {KINDS[other]}, and a {KINDS[kind]} is needed: give one of those")
    for name in wanted:
        # used in training only: files of torch before 0.4.1, such as SyncNet's, lack it, and in files of half precision
        # it is a float, which may be infinite
        if name.endswith("num_batches_tracked"):
            given = state.get(name)
            if given is None or (given.is_floating_point() and given.ndim == 0):
                state[name] = torch.tensor(0)
    faults = {
        "missing": [name for name in wanted if name not in state],
        "unknown": [ascii(name)[1:-1] for name in state if name not in wanted],  # text of a foreign file
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in state and state[name].shape != tensor.shape
        ],
    }
    if any(faults.values()):
        listed = [f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in faults.items() if names]
        raise CheckpointError(
            f"{path} does not fit the {KINDS[kind]} at width {width:g}, first three names of each fault: "
            f"{'; '.join(listed)}: give weights that were trained for this network"
        )
    if fault := _unusable({name: (state[name], wanted[name]) for name in wanted}):
        raise CheckpointError(f"{path}: {fault}")
    fitted.load_state_dict(state, assign=True)
    return fitted.float(), width, offset, longest


def _unusable(pairs: dict[str, tuple[Tensor, Tensor]]) -> str:
    """Why a network cannot compute with these tensors, each beside the one that it replaces; empty if it can."""
    import torch

    odd, broken = [], []
    for name, (given, wanted) in pairs.items():
        strided = given.layout == torch.strided and not given.is_quantized and given.device.type == "cpu"
        if not strided or given.is_floating_point() != wanted.is_floating_point() or given.is_complex():
            odd.append(f"{name} {str(given.dtype).removeprefix('torch.')}")
        elif given.is_floating_point() and not torch.isfinite(given.float()).all():
            broken.append(name)
    if odd:
        return (
            f"{len(odd)} tensors hold no plain floating-point numbers ({', '.join(odd[:3])}), as in a quantised file: "
            "give the weights that it was made from"
        )
    if broken:
        return (
            f"{len(broken)} tensors hold NaN or infinity ({', '.join(broken[:3])}): its training diverged, give an "
            "earlier checkpoint"
        )
    return ""


def _infer_width(state: dict[str, Tensor], kind: str) -> float:
    """The width at which most layers have the shape that they have in the file; 1 where no layer is known."""
    published = skeleton(kind, 1.0).state_dict()
    common = [name for name in published if name in state and published[name].ndim and state[name].ndim]
    if not common:
        return 1.0
    widest = max(common, key=lambda name: len(published[name]))
    ratio = len(state[widest]) / len(published[widest])

    def fitting(width: float) -> int:
        wanted = skeleton(kind, width).state_dict()
        return sum(wanted[name].shape == state[name].shape for name in common)

    # channels are whole numbers, so the ratio lies a little off the width that was asked for
    return max((width for width in (round(ratio, 2), ratio, 1.0) if 0 < width <= 4), key=fitting)


#: Exceptions that torch.load raises on truncated files and on files that are no checkpoint.
_GARBAGE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
            AssertionError, OSError, MemoryError, struct.error)  # fmt: skip

#: Exceptions that zipfile raises on damaged archives; a name in another encoding is a ValueError.
_NO_ARCHIVE = (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and the metadata of a safetensors file."""
    import safetensors.torch

    if other := what_else(path):
        raise CheckpointError(f"{path} is {other}: give a .pth state dict or a .safetensors file")
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[8:] != b"{":  # eight bytes of length, then JSON
        return _read_pickle(path), {}
    length = int.from_bytes(start[:8], "little")
    Limits.from_environment().check(path, "max_header", length, "a header of {} bytes", CheckpointError)
    try:
        with safetensors.safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
        # not by get_tensor: safetensors 0.8 keeps 20 kB of every file that is read so
        state = safetensors.torch.load(path.read_bytes())
        return state, {renamed.METADATA.get(name, name): value for name, value in metadata.items()}
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is a damaged safetensors file ({error}): download it again") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    import torch

    _check_archive(path)
    try:
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore")  # about the pickle protocol; the error below says more
            # a stream, since torch takes a file by its name for safetensors, whatever is in it
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except _GARBAGE as error:
        if asked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path} holds more than weights: opening it would run {asked[1]}; nothing was run: "
                "save its state_dict() alone"
            ) from error
        raise CheckpointError(
            f"{path} holds no weights that torch can read, or is truncated: download it again"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f'{path} holds no state dict: save model.state_dict(), bare or under "state_dict"')
    return state


def _check_archive(path: Path) -> None:
    """Refuse a zip file that unpacks to more than it holds; torch stores tensors uncompressed."""
    limits = Limits.from_environment()
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _NO_ARCHIVE as error:
        raise CheckpointError(f"{path} is a damaged archive ({error}): download it again") from error
    if any(entry.file_size > entry.compress_size for entry in entries):
        raise CheckpointError(
            f"{path} is a compressed archive, which torch does not write: save the weights with torch"
        )
    for entry in entries:
        if entry.filename.endswith(".pkl"):
            limits.check(path, "max_header", entry.file_size, "a pickle of {} bytes", CheckpointError)


def what_else(path: Path) -> str:
    """What a file is, if its first bytes show that it holds no weights; otherwise empty."""
    with path.open("rb") as stream:
        start = stream.read(512).lstrip().lower()
    if not start:
        return "an empty file"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, not weights (an address with /blob/ gives the page, with /resolve/ the file)"
    if start.startswith(b"pk"):
        with contextlib.suppress(*_NO_ARCHIVE), zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return "a TorchScript archive, which contains a program and not bare weights"
    return ""
