"""What a run leaves behind: a folder that is there wholly or not at all."""

from __future__ import annotations

import hashlib
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
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lipsync_lab
from lipsync_lab import checkpoints
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


@lru_cache(maxsize=1)
def code() -> str:
    """SHA-256 of the package's own files: a version number does not change while one is working on them."""
    digest, home = hashlib.sha256(), Path(lipsync_lab.__file__).parent
    for path in sorted(path for path in home.rglob("*") if path.suffix in (".py", ".mplstyle", ".j2")):
        digest.update(f"{path.relative_to(home).as_posix()} ".encode() + path.read_bytes())
    return digest.hexdigest()


def request(pipeline: Any, face: str | Path, speech: str | Path) -> str:
    """Everything that a run depends on, as JSON text: inputs, weights, detector, settings, device, code, versions.

    Parameters
    ----------
    pipeline : pipeline.Pipeline
    face, speech : path
        As for `pipeline.Pipeline.run`.
    """
    weights = pipeline.weights
    content = {
        "face": checkpoints.sha256(face),
        "speech": checkpoints.sha256(speech),
        "generator": [weights.name, weights.sha256, weights.width],
        "detector": pipeline.finder.identity,
        "settings": pipeline.settings.as_dict(),
        "device": pipeline.device,
        "code": code(),
        "versions": versions(),
    }
    return json.dumps(content, indent=1) + "\n"


def is_current(pipeline: Any, face: str | Path, speech: str | Path, folder: str | Path) -> bool:
    """Whether `run_once` would use the run in a folder again."""
    note = Path(folder) / "request.json"
    return note.is_file() and note.read_text(encoding="utf-8") == request(pipeline, face, speech)


def run_once(
    pipeline: Any,
    face: str | Path,
    speech: str | Path,
    folder: str | Path,
    force: bool = False,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Run:
    """Return the run in a folder if the same request made it; otherwise make a new run there.

    The request is kept in the folder as ``request.json``. Parameters other than `force` are those of
    `pipeline.Pipeline.run`.

    Parameters
    ----------
    force : bool
        Make a new run in any case.
    """
    if not force and is_current(pipeline, face, speech, folder):
        return Run(Path(folder))
    run = pipeline.run(face, speech, folder, progress)
    text = request(pipeline, face, speech)
    write_whole(run.folder / "request.json", lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
    return run
