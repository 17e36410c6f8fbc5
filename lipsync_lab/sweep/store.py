"""Inputs and results by fsspec address: hashes of inputs, fetching, the folder of results, its lock.

A file is written whole or not at all: on a disk by fsync and rename, elsewhere by one upload, which object stores make
visible when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lipsync_lab import files, samples
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError

#: What tells that a remote file is another one than before: entity tags, generations, times.
_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "created")
#: Seconds between two signs of life of a client that holds a lock away from this machine's disks.
BEAT = 10.0
_LOCK, _HASHES = "sweep.lock", "inputs.json"
#: Addresses that are read at once.
_READERS = 16


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    try:
        return fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MediaError(f"{address}: {str(error).rstrip('.')}; install it here and on every worker") from None
    except Exception as error:  # whatever a file system's own library raises
        raise MediaError(f"{address}: is no address that can be read ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    line = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def local_path(address: str) -> Path | None:
    """The path of an address on this machine's disks; None for any other."""
    if "://" not in address:
        return Path(address)
    system, path = _opened(address)
    return Path(path) if isinstance(system, LocalFileSystem) else None


def is_there(address: str) -> bool:
    """Whether a sample or a file on a disk is there; of other addresses `digests` finds out, many at a time."""
    if address in samples.SAMPLES or address in samples.published_names():
        return True
    path = local_path(address)
    return path is None or path.is_file()


def expanded(pattern: str) -> list[str]:
    """The addresses that match a pattern with ``*``, sorted."""
    system, path = _opened(pattern)
    try:
        matching = system.glob(path)
    except Exception as error:
        raise MediaError(f"{pattern}: cannot be listed ({_reason(error)})") from None
    is_local = isinstance(system, LocalFileSystem)
    return sorted(each if is_local else system.unstrip_protocol(each) for each in matching)


def truth_of(address: str) -> str:
    """The address of the ground truth that may lie beside a clip."""
    return f"{address.rpartition('.')[0]}.truth.csv"


def _streamed(address: str) -> str:
    """SHA-256 of a file that is not on a disk here, a piece at a time."""
    system, path = _opened(address)
    digest = hashlib.sha256()
    with system.open(path, "rb") as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def digests(addresses: Iterable[str], store: Store, keep: bool = True) -> dict[str, str | None]:
    """SHA-256 by address; None where there is no file.

    Files that are what they were at an earlier call, by their size and time or entity tag, are not read again:
    ``inputs.json`` of the store remembers them, where they are to be kept.

    Raises
    ------
    MediaError
        An address cannot be read.
    """
    known = store.json(_HASHES) or {}

    def digest(address: str) -> tuple[str | None, str]:
        if address in samples.SAMPLES or address in samples.published_names():
            return samples.get(address).sha256, ""
        path = local_path(address)
        try:
            if path is not None:
                about = path.stat()
                state = f"{about.st_size} {about.st_mtime_ns}"
            else:
                system, inner = _opened(address)
                info = system.info(inner)
                versions = [str(info[key]) for key in _VERSIONS if info.get(key)]
                state = " ".join([str(info.get("size")), *versions]) if versions else ""
            if state and known.get(address, ("",))[0] == state:
                return known[address][1], state
            return (files.sha256(path) if path else _streamed(address)), state
        except FileNotFoundError:
            return None, ""
        except LipsyncError:
            raise
        except Exception as error:
            raise MediaError(f"{address}: cannot be read ({_reason(error)})") from None

    addresses = list(dict.fromkeys(addresses))
    with ThreadPoolExecutor(_READERS) as pool:
        read_now = dict(zip(addresses, pool.map(digest, addresses), strict=True))
    kept = known | {address: [state, sha256] for address, (sha256, state) in read_now.items() if sha256 and state}
    if keep and kept != known:
        store.write(_HASHES, json.dumps(kept, indent=0).encode())
    return {address: sha256 for address, (sha256, _) in read_now.items()}


def fetched(address: str, sha256: str, folder: Path) -> Path:
    """The file of an input on this machine, with the SHA-256 that it had when the sweep was planned.

    Parameters
    ----------
    address : str
        A sample's name, a path, or an fsspec address.
    sha256 : str
    folder : Path
        Where fetched files are put, under their hash and their own name.

    Raises
    ------
    MediaError
        It is not there, or another file is.
    """
    if address in samples.SAMPLES or address in samples.published_names():
        path = samples.path(address)
    elif (path := local_path(address)) is None:
        name = PurePosixPath(urlsplit(address).path).name or "input"
        path = folder / sha256 / name
        if not path.is_file():
            system, inner = _opened(address)
            with files.atomic_file(path) as part:
                try:
                    system.get_file(inner, str(part))
                except Exception as error:
                    raise MediaError(f"{address}: cannot be read ({_reason(error)})") from None
    elif not path.is_file():
        raise MediaError(f"{address}: is not there on {platform.node()}; give an address that every worker can read")
    if (other := files.sha256(path)) != sha256:
        raise MediaError(f"{address}: is another file than when the sweep was planned, by its SHA-256 {other}")
    return path


class Store:
    """A folder of results: on a disk, or at any fsspec address that can be written.

    Attributes
    ----------
    address : str
    local : Path or None
        The folder, where it is on a disk of this machine.
    """

    def __init__(self, address: str):
        self.address = address
        self._system, self._root = _opened(address)
        self.local = Path(self._root) if isinstance(self._system, LocalFileSystem) else None

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            return self._system.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise MediaError(f"{self.address}/{name}: cannot be read ({_reason(error)})") from None

    def json(self, name: str) -> Any:
        """The content of a JSON file; None where there is none, or none that can be read."""
        with contextlib.suppress(ValueError):
            return None if (content := self.read(name)) is None else json.loads(content)
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, complete or not at all."""
        try:
            if self.local is not None:
                with files.atomic_file(self.local / name) as part:
                    part.write_bytes(content)
            else:
                self._system.pipe_file(self._path(name), content)
        except Exception as error:
            raise MediaError(f"{self.address}/{name}: cannot be written ({_reason(error)})") from None

    def publish(self, folder: Path, name: str) -> None:
        """Copy a folder of this machine to a store that is on no disk of it."""
        for path in sorted(folder.rglob("*")):
            target = self._path(f"{name}/{path.relative_to(folder).as_posix()}")
            if path.is_file() and not files.is_private(path):
                try:
                    self._system.put_file(str(path), target)
                except Exception as error:
                    raise MediaError(f"{self.address}/{name}: cannot be written ({_reason(error)})") from None

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder; none where there is no folder."""
        try:
            self._system.invalidate_cache()
            listed = self._system.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise MediaError(f"{self.address}/{folder}: cannot be listed ({_reason(error)})") from None
        return sorted(path.rpartition("/")[2] for path in listed)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Hold a store alone, until the block or this process ends.

    On a disk the operating system holds the lock. Elsewhere a file counts up while its client lives: one that stands
    still for two beats is of a client that is dead.

    Raises
    ------
    ParameterError
        Another client holds it.
    """
    own = {"token": secrets.token_hex(8), "machine": platform.node(), "process": os.getpid(), "beat": 0}
    with _lock_on_disk(store, own) if store.local is not None else _lock_by_beats(store, own):
        yield


def _refusal(store: Store, holder: Mapping[str, Any] | None) -> ParameterError:
    who = f"process {holder['process']} on {holder['machine']}" if holder else "another process"
    return ParameterError(f"{store.address}: a sweep is writing here ({who}); wait for its end, or name another out")


@contextmanager
def _lock_on_disk(store: Store, own: Mapping[str, Any]) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        store.local.mkdir(parents=True, exist_ok=True)
        lock = FileLock(store.local / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise _refusal(store, store.json(f"{_LOCK}.json")) from None
    except OSError as error:
        raise MediaError(f"{store.address}: cannot be written ({error.strerror}); name another out") from None
    with lock:
        store.write(f"{_LOCK}.json", json.dumps(own).encode())
        yield


@contextmanager
def _lock_by_beats(store: Store, own: dict[str, Any]) -> Iterator[None]:
    held = store.json(_LOCK)
    if held:
        time.sleep(2 * BEAT)
        now = store.json(_LOCK)
        if now and (now["token"], now["beat"]) != (held["token"], held["beat"]):
            raise _refusal(store, now)
    store.write(_LOCK, json.dumps(own).encode())
    time.sleep(BEAT / 10)  # another client that saw no lock has written its own by now
    if (now := store.json(_LOCK) or own)["token"] != own["token"]:
        raise _refusal(store, now)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            own["beat"] += 1
            with contextlib.suppress(MediaError):  # the next beat may succeed
                store.write(_LOCK, json.dumps(own).encode())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        store.remove(_LOCK)
