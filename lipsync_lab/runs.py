"""What a run leaves behind: a folder that is there wholly or not at all."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lipsync_lab
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.geometry import FaceTrack

if TYPE_CHECKING:
    import pandas

#: Columns of the ledger, one row a source frame.
LEDGER = (
    *("frame", "time", "shot", "best_score", "best_x1", "best_y1", "best_x2", "best_y2"),
    *("provenance", "x1", "y1", "x2", "y2", "mouth_drawn"),
)


@dataclass(frozen=True)
class Run:
    """What a run left behind: a folder with ``output.mp4``, ``detections.json``, ``ledger.csv`` and ``run.json``."""

    folder: Path

    @property
    def info(self) -> dict[str, Any]:
        """Settings, inputs with their hashes, models, versions, device, seconds a stage.

        The inputs' ``file`` is where they are, also where ``run.json`` tells it from the run's folder (`portable`).
        ``warnings`` are lines for a person who sees that all went well: no mouth drawn, boxes of another clip.
        """
        info = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        for side in ("face", "speech"):
            info[side]["file"] = str((self.folder / info[side]["file"]).resolve())
        return info

    @property
    def output(self) -> Path:
        """The lip-synced clip: ``output.mp4``, or ``output.mkv`` where it is lossless."""
        return self.folder / self.info["output"]

    @property
    def detections(self) -> Path:
        return self.folder / "detections.json"

    def ledger(self) -> pandas.DataFrame:
        """One row a source frame, with the columns `LEDGER`.

        ``best_*`` is the frame's best candidate, also where it was refused; ``x1`` to ``y2`` the padded and
        smoothed box that was drawn on, in pixels; ``time`` in seconds.
        """
        import pandas as pd

        return pd.read_csv(self.folder / "ledger.csv")


class Clock:
    """Seconds spent in each stage."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def portable(path: str | Path, home: str | Path) -> str:
    """A path from the folder `home`, with ``/``, where both lie in the repository, which may move; else absolute."""
    path, home, root = Path(path).resolve(), Path(home).resolve(), Path(lipsync_lab.__file__).resolve().parents[1]
    within = root in path.parents and root in home.parents
    return Path(os.path.relpath(path, home)).as_posix() if within else str(path)


def ledger(track: FaceTrack, drawn: np.ndarray, fps: Fraction) -> pandas.DataFrame:
    import pandas as pd

    frames = np.arange(len(track))
    columns = [
        *(frames, np.round(frames / float(fps), 6), track.shots, track.scores, *track.candidates.T),
        *(track.provenance, *track.boxes.T, drawn),
    ]
    return pd.DataFrame(dict(zip(LEDGER, columns, strict=True)))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A private folder beside the target that takes its place when all went well, and is gone when not."""
    if target.exists() and not (target / "run.json").is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise ParameterError(f"{target}: is there already and is not an earlier run; name another folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise MediaError(
            f"{target}: cannot be written ({error.strerror}); name a folder that you may write to"
        ) from None
    try:
        yield part
        part.chmod(0o755)
        while not _took_place(part, target):
            # an earlier run stands there, or another one finished meanwhile: the last one stays
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            with suppress(FileNotFoundError):
                target.rename(old / "run")
            shutil.rmtree(old)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _took_place(part: Path, target: Path) -> bool:
    try:
        part.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """A cache file is there wholly or not at all, also where two runs write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Of this package, of Python, and of all that a run's pictures and sounds depend on."""
    names = (
        "torch",
        "numpy",
        "opencv-python-headless",
        "av",
        "librosa",
        "soxr",
        "scikit-image",
        "scenedetect-headless",
    )
    return {
        "lipsync_lab": lipsync_lab.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
