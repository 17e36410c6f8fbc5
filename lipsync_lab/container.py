"""Opening media files: the part of PyAV that sound and picture share."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab.errors import MediaError

if TYPE_CHECKING:
    import av


@contextmanager
def opened(path: str | Path):
    """Open a media file for reading, and turn FFmpeg's complaints about it into `MediaError`.

    Yields
    ------
    av.container.InputContainer
        Closed on leaving, also where a generator that holds it is abandoned midway.
    """
    import av

    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise MediaError(f"{path}: not a file but a folder; name one clip or recording in it")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty; copy or download it again")
    try:
        # `file:` keeps FFmpeg from reading a colon or a percent sign in the name as a protocol or a pattern
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            yield container
    except PermissionError:
        raise MediaError(f"{path}: may not be read; check its permissions") from None
    except av.error.FFmpegError as error:
        raise MediaError(
            f"{path}: not readable as media ({error.strerror}); is it complete, and a clip or sound at all?"
        ) from error


def zero(container: av.container.InputContainer) -> Fraction:
    """Time, in the container's own seconds, at which its earliest picture or sound starts.

    Picture and sound are both counted from here, so that neither moves against the other.
    """
    starts = [
        s.start_time * s.time_base
        for s in (*container.streams.video, *container.streams.audio)
        if s.start_time is not None
    ]
    return min(starts, default=Fraction(0))
