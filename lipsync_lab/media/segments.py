"""Long videos, written in segments: what is finished survives the end of the process, and is not written again."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import files
from lipsync_lab.errors import MediaError
from lipsync_lab.media.ahead import ahead
from lipsync_lab.media.writer import Writer

#: A video that is longer than this, in seconds, is written in segments of this length.
SECONDS = 180


def place(target: Path, key: str) -> Path:
    """Folder of the segments of a target, beside it; `key` says what they depend on."""
    return target.parent / f".{target.name}.{key[:16]}.segments"


def write(
    path: str | Path,
    frames: Callable[[int], Iterator[np.ndarray]],
    count: int,
    folder: Path,
    *,
    fps,
    sound=None,
    tags: dict[str, str] | None = None,
    timed: Callable[[str], Any] = nullcontext,
    **options: Any,
) -> None:
    """Write a video of which finished segments may be there already.

    Parameters
    ----------
    path : path
    frames : callable
        ``frames(start)`` yields the frames from `start` on, uint8 RGB, H x W x 3.
    count : int
        Number of frames.
    folder : path
        Where the segments are kept until the video is finished (`place`). Segments for another key are removed.
    fps, sound, tags, **options
        As for `video.Writer`; `quick` unless it is given. The sound is encoded in one piece.
    timed : callable, optional
        ``timed("encode")`` is a context around the encoder.

    Raises
    ------
    MediaError
        There are fewer frames than `count`, the file cannot be written, or another process writes these segments.
    """
    path, step, options = Path(path), max(1, round(SECONDS * fps)), {"quick": True, **options}
    start = glob.escape(folder.name.removesuffix(".segments")[:-16])
    for old in folder.parent.glob(f"{start}{'[0-9a-f]' * 16}.segments"):
        if old != folder:
            with suppress(MediaError), files.only_writer(old, "dub"):  # another process may be writing it
                shutil.rmtree(old, ignore_errors=True)
    if count <= step:
        with Writer(path, fps=fps, sound=sound, tags=tags, **options) as writer:
            _fill(writer, frames(0), timed)
        return
    with files.only_writer(folder, "dub"):
        parts = [folder / f"{first:09d}{path.suffix}" for first in range(0, count, step)]
        done = next((number for number, part in enumerate(parts) if not part.is_file()), len(parts))
        if done < len(parts):
            images = frames(done * step)
            for number, part in enumerate(parts[done:], done):
                try:
                    with Writer(part, fps=fps, **options) as writer:
                        _fill(writer, islice(images, step), timed)
                except MediaError as error:
                    kept = f"; the next call goes on at frame {number * step}" if number else ""
                    raise MediaError(f"{error}{kept}".replace(str(part), str(path))) from error
                finally:
                    if not parts[0].is_file():  # nothing is finished
                        shutil.rmtree(folder, ignore_errors=True)
                if writer.count != min(step, count - number * step):
                    part.unlink()
                    raise MediaError(f"{path}: gave {number * step + writer.count} of {count} frames")
        with timed("encode"), Writer(path, fps=fps, sound=sound, tags=tags, **options) as joined:
            for part in parts:
                joined.append(part)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(writer: Writer, images: Iterator[np.ndarray], timed: Callable[[str], Any]) -> None:
    for image in ahead(images):
        with timed("encode"):
            writer.write(image)
