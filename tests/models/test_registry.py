"""Models by name: what is loaded, what is refused and with which words, what is fetched."""

from __future__ import annotations

import gc
import hashlib
import io
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
import warnings
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync_lab import renamed
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.files import sha256
from lipsync_lab.models import builtin, registry, weights
from lipsync_lab.models.mouth_locator import MouthLocatorNet
from lipsync_lab.models.mouth_openness import MouthOpennessNet
from lipsync_lab.models.registry import KINDS, MODELS, fetch, load, verify
from lipsync_lab.models.restorer import MouthRestorer
from lipsync_lab.models.s3fd import S3FD
from lipsync_lab.models.syncnet import SyncNetColor, SyncNetV2
from lipsync_lab.models.visemes import VisemeNet
from lipsync_lab.models.wav2lip import QualityDiscriminator, Wav2Lip

NETWORKS = {
    "detector": S3FD,
    "generator": Wav2Lip,
    "sync_expert": SyncNetColor,
    "discriminator": QualityDiscriminator,
    "lse": SyncNetV2,
    "mouth_openness": MouthOpennessNet,
    "visemes": VisemeNet,
    "mouth_locator": MouthLocatorNet,
    "restorer": MouthRestorer,
}
PAGE = b"<!DOCTYPE html>\n<html><body>Sign in to download</body></html>"


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(folder))
    return folder


def network(kind="generator", width=0.125):
    torch.manual_seed(7)
    return NETWORKS[kind](width)


def granularity(kind: str) -> float:
    """Widths nearer to each other than this may be the same network: channels are whole numbers."""
    return 1 / {"mouth_openness": 64, "mouth_locator": 64, "restorer": 64, "visemes": 128}.get(kind, 512)


def as_published(module):
    """What the published training scripts save."""
    return {
        "state_dict": {f"module.{name}": tensor for name, tensor in module.state_dict().items()},
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]},
        "global_step": 3,
        "global_epoch": 1,
    }


def bytes_of(content, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def publish(monkeypatch, name, content: bytes, url=None, digits=64):
    """Let a published name stand for other bytes, and for an address on this machine."""
    model = MODELS[name]
    known = hashlib.sha256(content).hexdigest()[:digits] if digits else None
    monkeypatch.setitem(MODELS, name, replace(model, sha256=known, url=url or model.url))


def message(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


class Trap:
    """Unpickled as pickle would, it makes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_says_what_the_anchors_say(shared):
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\w+) \| (.+) \|$", (shared / "ANCHORS.md").read_text(), re.MULTILINE)
    assert len(rows) == 6
    for name, file, size, digest in rows:
        model = MODELS[name]
        assert model.file == file
        assert model.size == (int(size) if size.isdigit() else None)
        known = re.search(r"[0-9a-f]{10,64}", digest)
        assert model.sha256 == (known[0] if known else None)


def test_every_row_is_whole():
    for name, model in MODELS.items():
        assert model.name == name
        assert model.kind in KINDS
        assert model.terms
        assert model.note
        if model.url:
            assert model.url.startswith("https://")
            assert "/blob/" not in model.url
            assert model.url.endswith(model.file)
    assert {"untrained", "identity"} <= MODELS.keys()


def test_the_bundled_models_are_as_committed():
    bundled = [finding for finding in verify() if finding.model.url is None]
    assert [finding.state for finding in bundled] == ["right"] * len(bundled)
    assert {file.name for file in registry.HOME.glob("*.safetensors")} == {f.model.file for f in bundled}
    assert sum(finding.path.stat().st_size for finding in bundled) < 25e6


def test_a_row_in_the_table_is_all_that_a_bundled_model_takes(tmp_path, monkeypatch):
    source = network("sync_expert", 0.3)
    save_file(source.state_dict(), tmp_path / "small.safetensors", {"width": "0.3"})
    digest = sha256(tmp_path / "small.safetensors")
    size = (tmp_path / "small.safetensors").stat().st_size
    header = (registry.HOME / "models.csv").read_text().splitlines()[0]
    (tmp_path / "models.csv").write_text(
        f"{header}\nsmall,sync_expert,small.safetensors,{size},{digest},,Apache-2.0,tiny\n"
    )
    monkeypatch.setattr(registry, "HOME", tmp_path)
    rows = registry._models.__wrapped__()
    monkeypatch.setattr(registry, "_models", lambda: rows)
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path / "elsewhere"))

    weights = load("small", "sync_expert")
    assert (weights.width, weights.sha256) == (0.3, digest)
    assert "own small model" in weights.provenance
    assert fetch("small") == tmp_path / "small.safetensors"
    (tmp_path / "small.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError) as error:
        load("small", "sync_expert")
    assert digest in message(error)
    with pytest.raises(CheckpointError, match="restore it from the repository"):
        fetch("small")


# --- what is loaded --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["published", "legacy", "bare", "safetensors"])
def test_what_was_saved_comes_back(kind, form, tmp_path):
    source = network(kind)
    path = tmp_path / "mine.weights"
    if form == "safetensors":
        save_file(source.state_dict(), path)
    else:
        content = source.state_dict() if form == "bare" else as_published(source)
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    weights = load(path, kind)

    assert weights.width == pytest.approx(0.125, abs=granularity(kind))
    assert weights.path == path
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.sha256 in weights.provenance
    assert not any(module.training for module in weights.model.modules())
    assert type(weights.model) is NETWORKS[kind]
    state = weights.model.state_dict()
    assert state.keys() == source.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in source.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.07, 0.3])
def test_the_width_is_read_off_the_shapes(kind, width, tmp_path):
    torch.save(network(kind, width).state_dict(), tmp_path / "mine.pth")
    weights = load(tmp_path / "mine.pth", kind)
    assert weights.width == pytest.approx(width, abs=granularity(kind))


def test_half_precision_becomes_float32(tmp_path):
    torch.save(network().half().state_dict(), tmp_path / "half.pth")
    model = load(tmp_path / "half.pth", "generator").model
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    out = model(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96))
    assert out.shape == (1, 3, 96, 96)


def test_weights_from_before_batches_were_counted(tmp_path):
    source = network("lse")
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert len(state) < len(source.state_dict())
    torch.save(state, tmp_path / "old.model")
    model = load(tmp_path / "old.model", "lse").model
    faces, mfcc = torch.rand(2, 3, 5, 224, 224), torch.randn(2, 1, 13, 20)
    with torch.inference_mode():
        for ours, theirs in zip(model(mfcc, faces), source.eval()(mfcc, faces), strict=True):
            assert torch.equal(ours, theirs)


def test_a_published_name_and_its_path_are_the_same(weights_folder, monkeypatch):
    content = bytes_of(as_published(network()))
    publish(monkeypatch, "wav2lip_gan", content)
    path = weights_folder / "wav2lip_gan.pth"
    path.write_bytes(content)
    for given in ("wav2lip_gan", path, str(path)):
        weights = load(given, "generator")
        assert weights.name == "wav2lip_gan"
        assert weights.path == path
        assert "verified by their SHA-256" in weights.provenance


@pytest.mark.parametrize(("digits", "expected"), [(10, "first 10 digits"), (0, "no SHA-256 is published")])
def test_provenance_says_how_much_was_verified(digits, expected, weights_folder, monkeypatch):
    content = bytes_of(network("lse").state_dict())
    publish(monkeypatch, "syncnet_v2", content, digits=digits)
    (weights_folder / "syncnet_v2.model").write_bytes(content)
    assert expected in load("syncnet_v2", "lse").provenance


def test_the_path_of_a_file_that_is_no_state_dict(weights_folder, monkeypatch):
    publish(monkeypatch, "s3fd", b"right")
    with pytest.raises(CheckpointError, match="weights fetch s3fd"):
        registry.verified("s3fd")
    path = weights_folder / MODELS["s3fd"].file
    path.write_bytes(b"wrong")
    with pytest.raises(CheckpointError, match="expected SHA-256"):
        registry.verified("s3fd")
    path.write_bytes(b"right")
    assert registry.verified("s3fd") == path


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["name", "path"])
def test_another_file_under_a_published_name_is_not_opened(by, weights_folder, tmp_path):
    path = weights_folder / "wav2lip.pth"
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(CheckpointError) as error:
        load("wav2lip" if by == "name" else path, "generator")
    assert MODELS["wav2lip"].sha256 in message(error)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in message(error)
    assert str(path) in message(error)
    assert "unpickle" not in message(error)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["wav2lip", "s3fd", "syncnet_v2"])
def test_a_web_page_under_a_published_name(name, weights_folder):
    model = MODELS[name]
    (weights_folder / model.file).write_bytes(PAGE)
    with pytest.raises(CheckpointError, match="web page") as error:
        load(name, model.kind)
    assert (model.sha256 or "none is published") in message(error)
    assert hashlib.sha256(PAGE).hexdigest() in message(error)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_pickle_that_would_run_code_does_not(form, tmp_path):
    path = tmp_path / "kind gift.pth"
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match=r"mkdir") as error:
        load(path, "generator")
    assert str(path) in message(error)
    assert not (tmp_path / "sprung").exists()
    torch.load(path, weights_only=False)  # the trap is a real one
    assert (tmp_path / "sprung").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive(tmp_path):
    path = tmp_path / "Wav2Lip-SD-GAN.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(CheckpointError, match="TorchScript"):
        load(path, "generator")


def damaged(fault) -> bytes:
    content = as_published(network("discriminator", 0.05))
    half = slice(len(bytes_of(content)) // 2)
    match fault:
        case "empty":
            return b""
        case "web page":
            return PAGE
        case "text":
            return b"these are not the weights you are looking for"
        case "zip cut short":
            return bytes_of(content)[half]
        case "legacy cut short":
            return bytes_of(content, _use_new_zipfile_serialization=False)[half]
        case "legacy cut very short":
            return bytes_of(content, _use_new_zipfile_serialization=False)[:30]
        case "safetensors cut short":
            return (1000).to_bytes(8, "little") + b'{"a":'
        case "list":
            return bytes_of([torch.ones(2)])
        case "numbers":
            return bytes_of({"state_dict": {"a": 3}})
        case "nameless":
            return bytes_of({0: torch.ones(2)})
        case "name not in UTF-8":  # in the archive's table, which says that it is
            whole = bytearray(bytes_of(content))
            entry = whole.rindex(b"PK\1\2")
            whole[entry + 9] |= 8
            whole[entry + 46] = 0xE4
            return bytes(whole)
        case "archive on two disks":
            whole = bytearray(bytes_of(content))
            whole[whole.rindex(b"PK\6\7") + 16] = 2
            return bytes(whole)


@pytest.mark.parametrize(
    "fault",
    [
        *("empty", "web page", "text", "zip cut short", "legacy cut short", "legacy cut very short"),
        *("safetensors cut short", "list", "numbers", "nameless", "name not in UTF-8", "archive on two disks"),
    ],
)
def test_a_damaged_file_is_named(fault, tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(damaged(fault))
    with pytest.raises(CheckpointError) as error:
        load(path, "discriminator")
    assert str(path) in message(error)
    assert "does not fit" not in message(error)


def test_a_safetensors_file_with_a_damaged_beginning_is_named(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file(network("discriminator", 0.05).state_dict(), path)
    content = bytearray(path.read_bytes())
    content[8] = 0xFF
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="holds no weights that torch can read"):
        load(path, "discriminator")


def spoilt(how: str, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """One tensor of a state dict as a broken or a quantised file has it."""
    if how in ("nan", "infinity"):
        broken = tensor.clone()
        broken.view(-1)[-1] = float(how) if how == "nan" else float("-inf")
        return broken if name.endswith("running_var") else tensor
    if how == "overflow":
        return tensor.half() + float("inf") if name.endswith(".bias") else tensor
    if how == "int8":
        return tensor.to(torch.int8)
    return tensor.to(torch.complex64)


@pytest.mark.parametrize("form", ["pth", "safetensors"])
@pytest.mark.parametrize("how", ["nan", "infinity", "overflow", "int8", "complex"])
def test_weights_that_are_no_numbers_are_refused_in_one_line(how, form, tmp_path):
    state = network("generator", 0.05).state_dict()
    state |= {name: spoilt(how, name, tensor) for name, tensor in state.items() if tensor.is_floating_point()}
    path = tmp_path / f"mine.{form}"
    (torch.save if form == "pth" else save_file)(state, path)
    with pytest.raises(CheckpointError) as error:
        load(path, "generator")
    says = "NaN or infinity" if how in ("nan", "infinity", "overflow") else "no plain floating-point numbers"
    assert says in message(error)
    assert str(path) in message(error)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_file_of_which_every_tensor_is_in_half_precision_is_read(kind, tmp_path):
    own = network("generator", 0.05).state_dict()
    steps = {name: tensor + 100_000 for name, tensor in own.items() if name.endswith("num_batches_tracked")}
    halved = {name: tensor.to(kind) for name, tensor in (own | steps).items()}
    assert steps
    save_file(halved, tmp_path / "mine.safetensors")
    read = load(tmp_path / "mine.safetensors", "generator").model.state_dict()
    for name, tensor in own.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(read[name], tensor.to(kind).float(), rtol=0, atol=0)


@pytest.mark.parametrize("how", ["quantised", "sparse"])
def test_tensors_that_are_not_plain_are_refused_in_one_line(how, tmp_path):
    state = network("discriminator", 0.05).state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that quantised tensors are going
        for name, tensor in state.items():
            if tensor.ndim > 1:
                odd = torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), tensor.to_sparse()
                state[name] = odd[how == "sparse"]
        torch.save({"state_dict": state}, tmp_path / "mine.pth")
        with pytest.raises(CheckpointError, match="no plain floating-point numbers"):
            load(tmp_path / "mine.pth", "discriminator")


def test_weights_whose_output_is_no_number_are_noticed():
    from lipsync_lab.generation.wav2lip import generate

    def model(mel, face):
        out = torch.full((1, 3, 96, 96), 0.5)
        out[0, 1, 50, 50] = torch.inf - torch.inf  # as finite weights make it that are too large
        return out

    faces, mels = np.full((1, 96, 96, 3), 90, np.uint8), np.zeros((1, 80, 16), np.float32)
    with pytest.raises(CheckpointError, match="not a number"):
        generate(model, faces, mels)


def test_names_that_do_not_fit_are_counted_and_shown(tmp_path):
    state = network().state_dict()
    gone = [name for name in state if name.endswith("conv_block.0.weight")][:5]
    for name in gone:
        del state[name]
    state["extra.one"] = state["extra\ntwo"] = torch.ones(1)
    bent = next(name for name in state if name.endswith("conv_block.0.bias"))
    state[bent] = torch.ones(77)
    torch.save(state, tmp_path / "mine.pth")
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "mine.pth", "generator")
    text = message(error)
    assert "width 0.125" in text
    assert f"5 missing ({', '.join(gone[:3])})" in text
    assert "2 unknown (extra.one, extra\\ntwo)" in text
    assert f"1 of another shape ({bent} (77,)" in text


@pytest.mark.parametrize("key", ["audio_offset", *renamed.METADATA])
def test_the_audio_offset_is_read_from_the_metadata_under_its_present_and_its_old_name(key, tmp_path):
    save_file(network("generator", 0.125).state_dict(), tmp_path / "own.safetensors", {"width": "0.125", key: "3"})
    assert load(tmp_path / "own.safetensors", "generator").audio_offset == 3


def test_a_width_in_the_metadata_that_does_not_fit(tmp_path):
    for width, expected in (("0.5", "does not fit"), ("wide", "metadata"), ("-1", "metadata")):
        save_file(network().state_dict(), tmp_path / "mine.safetensors", {"width": width})
        with pytest.raises(CheckpointError, match=expected):
            load(tmp_path / "mine.safetensors", "generator")


def test_the_wrong_kind_is_called_by_what_it_is(tmp_path):
    with pytest.raises(CheckpointError, match="s3fd is a face detector, and a generator is needed") as error:
        load("s3fd", "generator")
    assert "wav2lip_gan, wav2lip-lab, untrained" in message(error)
    for kind in KINDS:
        other = "sync_expert" if kind != "sync_expert" else "detector"
        torch.save(network(kind, 0.05).state_dict(), tmp_path / "mine.pth")
        with pytest.raises(CheckpointError, match=f"is a {KINDS[kind]}, and a {KINDS[other]} is needed"):
            load(tmp_path / "mine.pth", other)


def test_what_is_not_there(weights_folder):
    with pytest.raises(CheckpointError, match="neither a file nor the name") as error:
        load("wav2lip_gna", "generator")
    assert "wav2lip_gan" in message(error)
    with pytest.raises(CheckpointError, match="weights fetch lipsync_expert") as error:
        load("lipsync_expert", "sync_expert")
    assert str(weights_folder / "lipsync_expert.pth") in message(error)
    assert MODELS["lipsync_expert"].url in message(error)
    with pytest.raises(CheckpointError, match="neither a file"):
        load(weights_folder, "sync_expert")
    with pytest.raises(ParameterError, match="detector, generator"):
        load("s3fd", "landmarks")
    with pytest.raises(ParameterError, match="quantum") as error:
        load("untrained", "generator", device="quantum")
    message(error)


# --- built in code ---------------------------------------------------------------------------------------------------


def test_untrained_is_the_same_in_every_process():
    code = "from lipsync_lab.models import registry; print(registry.load('untrained', 'generator').sha256)"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    weights = load("untrained", "generator")
    assert fresh.stdout.strip() == weights.sha256
    assert torch.equal(torch.random.get_rng_state(), before)
    assert weights.path is None
    assert "no quality" in weights.provenance

    changed = load("untrained", "generator").model
    next(changed.parameters()).data.view(-1)[0] += 1e-3
    assert builtin.parameter_hash(changed) != weights.sha256


def test_untrained_draws_something_that_follows_sound_and_face():
    model = load("untrained", "generator").model
    rng = torch.Generator().manual_seed(1)
    mel = torch.randn(2, 1, 80, 16, generator=rng)
    face = torch.rand(2, 6, 96, 96, generator=rng)
    with torch.inference_mode():
        out, other_sound, other_face = model(mel, face), model(-mel, face), model(mel, 1 - face)
    assert out.shape == (2, 3, 96, 96)
    assert out.min() >= 0
    assert out.max() <= 1
    assert out.std() > 10 / 255
    assert (out - other_sound).abs().mean() > 1 / 255
    assert (out - other_face).abs().mean() > 1 / 255


def test_identity_gives_back_the_reference_face():
    weights = load("identity", "generator")
    face = torch.rand(3, 6, 96, 96)
    assert torch.equal(weights.model(torch.zeros(3, 1, 80, 16), face), face[:, 3:])
    assert weights.sha256 is None


# --- fetching --------------------------------------------------------------------------------------------------------


@contextmanager
def serving(files: dict[str, bytes], short: int = 0):
    """Serve bytes by path on this machine; `short` bytes fewer than announced. Yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: len(content or b"") - short])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("digits", [64, 10])
def test_fetch_brings_the_right_file_once(digits, weights_folder, monkeypatch, capfd):
    content = bytes_of(as_published(network()))
    weights_folder.rmdir()
    with serving({"/w": content}) as address:
        publish(monkeypatch, "wav2lip", content, f"{address}/w", digits)
        path = fetch("wav2lip", progress=False)
    assert capfd.readouterr() == ("", "")
    assert path == weights_folder / "wav2lip.pth"
    assert path.read_bytes() == content
    assert list(weights_folder.iterdir()) == [path]
    assert path.stat().st_mode & 0o044
    assert fetch("wav2lip", progress=False) == path  # the server is gone
    assert load("wav2lip", "generator").width == 0.125


def test_fetch_draws_a_bar_and_says_nothing_else(weights_folder, monkeypatch, capfd):
    content = os.urandom(3_000_000)
    with serving({"/w": content}) as address:
        publish(monkeypatch, "s3fd", content, f"{address}/w")
        fetch("s3fd")
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert "address" not in err
    assert "SHA" not in err


def test_fetch_says_what_could_not_be_verified(weights_folder, monkeypatch, caplog):
    content = bytes_of(network("lse", 0.05).state_dict())
    with serving({"/w": content}) as address, caplog.at_level(logging.WARNING):
        publish(monkeypatch, "syncnet_v2", content, f"{address}/w", digits=0)
        fetch("syncnet_v2", progress=False)
    assert hashlib.sha256(content).hexdigest() in caplog.text
    assert "could not be verified" in caplog.text


@pytest.mark.parametrize("digits", [64, 10, 0])
@pytest.mark.parametrize("before", [None, PAGE])
def test_fetch_leaves_nothing_wrong_behind(digits, before, weights_folder, monkeypatch):
    path = weights_folder / "wav2lip.pth"
    if before:
        path.write_bytes(before)
    with serving({"/w": PAGE}) as address:
        publish(monkeypatch, "wav2lip", b"the right one", f"{address}/w", digits)
        with pytest.raises(CheckpointError, match="web page") as error:
            fetch("wav2lip", progress=False)
    assert (MODELS["wav2lip"].sha256 or "none is published") in message(error)
    assert hashlib.sha256(PAGE).hexdigest() in message(error)
    assert list(weights_folder.iterdir()) == ([path] if before else [])


def test_fetch_replaces_a_wrong_file(weights_folder, monkeypatch):
    (weights_folder / "wav2lip.pth").write_bytes(PAGE)
    with serving({"/w": b"right"}) as address:
        publish(monkeypatch, "wav2lip", b"right", f"{address}/w")
        assert fetch("wav2lip", progress=False).read_bytes() == b"right"


def test_fetch_without_a_server(weights_folder, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/wav2lip.pth"
    publish(monkeypatch, "wav2lip", b"right", url)
    with pytest.raises(CheckpointError, match="could not be fetched") as error:
        fetch("wav2lip", progress=False)
    assert url in message(error)
    assert str(weights_folder / "wav2lip.pth") in message(error)
    assert list(weights_folder.iterdir()) == []


@pytest.mark.parametrize(("path", "short", "expected"), [("/gone", 0, "404"), ("/w", 5, "Error")])
def test_fetch_from_a_server_that_fails(path, short, expected, weights_folder, monkeypatch):
    with serving({"/w": b"right" * 100}, short) as address:
        publish(monkeypatch, "wav2lip", b"right" * 100, address + path)
        with pytest.raises(CheckpointError, match=expected) as error:
            fetch("wav2lip", progress=False)
    assert address + path in message(error)
    assert list(weights_folder.iterdir()) == []


def test_fetch_into_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path / "file" / "weights"))
    with pytest.raises(CheckpointError, match="Not a directory"):
        fetch("wav2lip", progress=False)


def test_fetch_what_cannot_be_fetched():
    with pytest.raises(CheckpointError, match="wav2lip_gan"):
        fetch("wav2lip_gna")
    with pytest.raises(CheckpointError, match="built in code"):
        fetch("untrained")


def test_verify(weights_folder, monkeypatch):
    publish(monkeypatch, "wav2lip", b"right")
    publish(monkeypatch, "s3fd", b"right", digits=10)
    for name, content in {"wav2lip": b"right", "s3fd": b"right", "wav2lip_gan": b"?", "syncnet_v2": b"?"}.items():
        (weights_folder / MODELS[name].file).write_bytes(content)
    findings = {finding.model.name: finding for finding in verify()}
    states = {
        "s3fd": "right",
        "wav2lip": "right",
        "wav2lip_gan": "wrong",
        "lipsync_expert": "absent",
        "visual_quality_disc": "absent",
        "syncnet_v2": "unverifiable",
    }
    assert {name: findings[name].state for name in states} == states
    assert findings["wav2lip_gan"].sha256 == hashlib.sha256(b"?").hexdigest()
    assert findings["lipsync_expert"].sha256 is None
    assert "untrained" not in findings


# --- odds and ends ---------------------------------------------------------------------------------------------------


def test_importing_loads_no_heavy_library():
    code = (
        "import sys, lipsync_lab.models.registry, lipsync_lab.samples; "
        "print(sorted({'torch', 'pooch', 'safetensors', 'numpy', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_file_that_is_read_again_keeps_no_memory():
    path = registry.load("mouth-openness-lab", "mouth_openness").path
    weights._read(path)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            weights._read(path)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20 * 500
    finally:
        tracemalloc.stop()
