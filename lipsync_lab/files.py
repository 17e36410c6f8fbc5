"""Files and folders that are complete or absent: hashes, atomic writing, downloads.

Everything is written under a private name in the target's own folder and renamed at the end. The private name carries
the machine and the process that writes, so that a later write into the same folder can remove what a killed process
left behind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lipsync_lab.errors import MediaError, ParameterError

#: Errors of a disk that takes no more: full, quota, read-only, limit of a file's size, broken.
_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EROFS, errno.EFBIG, errno.EIO}

#: Seconds to wait for another process that replaces the same folder: one that was killed may need a moment to end.
PATIENCE = 5.0

#: A private name: machine, process, random digits.
_PRIVATE = re.compile(r"\.[0-9a-f]{8}-\d+-[0-9a-f]{16}\.part")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    MediaError
        The file cannot be read.
    """
    if (there := kind(path)) and there != "a folder":
        raise MediaError(f"{path} is {there}, and it is read more than once: save it to a file first")
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Write a file that is complete or absent, also where two processes write it at once.

    Parameters
    ----------
    path : str or Path
        The file to write. Missing folders are made; a file that is there is replaced.

    Yields
    ------
    Path
        A private name in the same folder, without the target's suffix: writers that choose a format by suffix must be
        given the format. The file takes the target's name when the block ends, and is removed if the block raises.

    Raises
    ------
    MediaError
        The disk is full or read-only, or a quota or limit is reached; with the name of the target.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    part = private_name(path.parent)
    try:
        with _explained(part, path):
            yield part
            put(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, with line ends as they are in `text`, that is complete or absent."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


@contextmanager
def atomic_folder(target: str | Path, is_ours: Callable[[Path], bool], kind: str = "folder") -> Iterator[Path]:
    """Write a folder that is complete or absent.

    Parameters
    ----------
    target : str or Path
        The folder to write. Missing parents are made.
    is_ours : callable
        Whether a folder may be deleted: called with a path that exists and is not an empty folder. It is asked before
        the block, and again when the folder is about to take the target's place.
    kind : str
        What such a folder holds, for messages: "run".

    Yields
    ------
    Path
        A private folder beside the target. It takes the target's place when the block ends, and is removed if the
        block raises.

    Raises
    ------
    MediaError
        The folder cannot be written; or something that is not ours appeared at `target` while the block ran. In the
        second case both are kept, the finished folder as ``<target>-2`` (or the next number), and the message names
        both.
    ParameterError
        Something that is not ours stands at `target` before the block.
    """
    target = Path(target)
    if not _replaceable(target, is_ours):
        raise ParameterError(
            f"{target} is there already and is not an earlier {kind}, or holds other files too; name another folder"
        )
    part = private_name(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        part.mkdir()
    except OSError as error:
        raise MediaError(
            f"{target}: cannot be written ({error.strerror}); name a folder that you may write to"
        ) from None
    try:
        with _explained(part, target):
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    _flush(file)
                else:
                    _flush_folder(file)
            _flush_folder(part)
        while not _renamed(part, target):
            if not _removed(target, is_ours):
                kept = _put_beside(part, target)
                raise MediaError(
                    f"{target}: files that do not belong to a {kind} were put there meanwhile, and were left as they "
                    f"are; the finished {kind} is in {kept}"
                )
        _flush_folder(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def only_writer(folder: str | Path, what: str) -> Iterator[None]:
    """Hold a folder that is written bit by bit, such as a report's; the lock ends with the process.

    Raises
    ------
    MediaError
        Another process holds it, or the folder cannot be written. `what` names what is written there.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise MediaError(
            f"{folder}: another {what} is being written there; wait for its end, or name another folder"
        ) from None
    except OSError as error:
        raise MediaError(f"{folder}: cannot be written ({error.strerror}); name another folder") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def one_at_a_time(target: str | Path, what: str) -> Iterator[None]:
    """Hold a name that is about to be replaced, such as a run's folder; the lock ends with the process.

    The lock is a file in this user's folder for temporary files, since nothing but the result should lie beside the
    target: it is one among the processes of one user on one machine. Where no such file can be made there is no lock.

    Raises
    ------
    MediaError
        Another process holds it, and still does after `PATIENCE` seconds. `what` names what is written there.
    """
    from filelock import FileLock, Timeout

    target = Path(target)
    name = hashlib.sha256(os.fsencode(target.absolute().resolve())).hexdigest()[:32]
    user = getattr(os, "getuid", int)()
    lock = FileLock(Path(tempfile.gettempdir()) / f"lipsync_lab-locks-{user}" / f"{name}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(mode=0o700, exist_ok=True)
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise MediaError(
            f"{target}: another {what} is being written there; wait for its end, or name another folder"
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        lock.release()


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A folder for what is not finished; it is removed when the block ends, or by a later `sweep`."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = private_name(parent)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def private_name(folder: Path) -> Path:
    """Return a name in `folder` that is not taken, and that `sweep` removes once this process is gone."""
    return folder / f".{_machine()}-{os.getpid()}-{secrets.token_hex(8)}.part"


def put(part: Path, path: Path) -> None:
    """Give a finished private file its name, once its content is on the disk."""
    _flush(part)
    part.replace(path)
    _flush_folder(path.parent)


def is_private(path: Path) -> bool:
    """Whether a file or folder is one that is being written, or was when its process ended."""
    return _PRIVATE.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Remove the private files and folders in `folder` whose process, on this machine, runs no more."""
    left = []
    with contextlib.suppress(OSError):  # a folder that may be written to need not be readable
        left = [path for path in folder.iterdir() if is_private(path)]
    for path in left:
        machine, process = path.name[1:].split("-")[:2]
        if machine == _machine() and not _runs(int(process)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()


def download(url: str, target: str | Path, check: Callable[[Path], str], progress: bool = True) -> str:
    """Download a file, which takes its place only when `check` has no objection to it.

    Parameters
    ----------
    url : str
    target : str or Path
        Missing folders are made.
    check : callable
        From the downloaded file to an objection against it; an empty string where there is none. A check of the
        SHA-256 goes here, since some files have only a part of one published, or none.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    str
        Why the file is not there, in words that go on from the file's name; empty if it is.
    """
    import pooch

    with contextlib.ExitStack() as stack:

        def close_later(response, **_) -> None:  # pooch leaves the connection open when a download breaks off
            stack.callback(response.close)

        fetch = pooch.HTTPDownloader(progressbar=progress, chunk_size=2**20, hooks={"response": close_later})
        try:
            with atomic_file(target) as part:
                fetch(url, str(part), None)
                if objection := check(part):
                    raise _Refused(objection)
        except _Refused as refused:
            return f"did not come: {url} sent another file, which {refused}; put the right one at {target} by hand"
        except OSError as error:  # requests' own errors are among these
            response = getattr(error, "response", None)
            reason = f"HTTP status {response.status_code}" if response is not None else error.strerror
            reason = reason or type(error).__name__
            return (
                f"could not be fetched from {url} ({reason}): try again with a network, or put the file at {target} "
                "by hand"
            )
    return ""


class _Refused(Exception):
    """The downloaded file is not the one that was asked for."""


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    if os.name != "posix":  # elsewhere, signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@contextmanager
def _explained(part: Path, target: Path) -> Iterator[None]:
    """Errors of a disk that takes no more name the target, and not the private name or the file that was read."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch raises the latter when it cannot finish what a disk refused
        known = error if isinstance(error, OSError) else error.__context__
        if not isinstance(known, OSError) or known.errno not in _NO_ROOM:
            raise
        raise MediaError(f"{target}: cannot be written ({known.strerror}); check the folder and the disk") from error
    except MediaError as error:
        if str(part) not in str(error):
            raise
        raise MediaError(str(error).replace(str(part), str(target))) from error


def _flush(path: Path) -> None:
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Bring names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(number)
        finally:
            os.close(number)


def kind(path: str | Path) -> str:
    """What a name stands for instead of a file, with its article: "a folder", "a pipe"; empty for a file or none."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return ""
    kinds = {"a folder": stat.S_ISDIR, "a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}
    kinds |= {"a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode)}
    return next((name for name, test in kinds.items() if test(mode)), "")


def _replaceable(target: Path, is_ours: Callable[[Path], bool]) -> bool:
    if not target.exists() and not target.is_symlink():
        return True
    return (target.is_dir() and not any(target.iterdir())) or is_ours(target)


def _renamed(part: Path, target: Path) -> bool:
    try:
        part.rename(target)
    except OSError:
        if target.exists() or target.is_symlink():
            return False
        raise
    return True


def _removed(target: Path, is_ours: Callable[[Path], bool]) -> bool:
    """Delete what stands at `target` if it is ours; ask again once it is out of everyone's way."""
    old = private_name(target.parent)
    try:
        if not _replaceable(target, is_ours):
            return False
        target.rename(old)
    except FileNotFoundError:
        return True
    if not _replaceable(old, is_ours):
        if not _renamed(old, target):
            _put_beside(old, target)
        return False
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)
    return True


def _put_beside(part: Path, target: Path) -> Path:
    for number in itertools.count(2):
        beside = target.with_name(f"{target.name}-{number}")
        if not beside.exists() and not beside.is_symlink() and _renamed(part, beside):
            return beside
    raise AssertionError("unreachable")
