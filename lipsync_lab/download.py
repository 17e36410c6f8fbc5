"""Bringing a file from an address: whole and checked, or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path


def download(url: str, target: Path, check: Callable[[Path], str], progress: bool = True) -> str:
    """Download a file, which takes its place only when nothing speaks against it.

    Parameters
    ----------
    url : str
    target : Path
        Missing folders are made.
    check : callable
        From the downloaded file to what speaks against it; an empty string if nothing does.
    progress : bool
        Draw a progress bar on stderr.

    Returns
    -------
    str
        Why the file is not there, in words that go on from the file's name; empty if it is.
    """
    import pooch

    with contextlib.ExitStack() as stack:

        def close_later(response, **_) -> None:  # pooch leaves the connection open when a download breaks off
            stack.callback(response.close)

        bring = pooch.HTTPDownloader(progressbar=progress, chunk_size=2**20, hooks={"response": close_later})
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=target.parent, prefix="."))) / target.name
            bring(url, str(part), None)
            if objection := check(part):
                return (
                    f"did not come: {url} sent another file, which {objection}; put the right one at {target} by hand"
                )
            part.replace(target)
        except OSError as error:  # requests' own errors are among these
            response = getattr(error, "response", None)
            reason = f"HTTP status {response.status_code}" if response is not None else error.strerror
            reason = reason or type(error).__name__
            return (
                f"could not be fetched from {url} ({reason}): try again with a network, or put the file at {target} "
                "by hand"
            )
    return ""
