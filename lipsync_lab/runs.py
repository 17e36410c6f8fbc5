"""The folder of a run, which is complete or absent."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lipsync_lab
from lipsync_lab import files, limits, renamed, samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.geometry import FaceTrack

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.progress import Progress

#: Columns of the ledger, one row per source frame and face.
LEDGER = (
    *("frame", "time", "shot", "best_score", "best_x1", "best_y1", "best_x2", "best_y2"),
    *("provenance", "x1", "y1", "x2", "y2", "mouth_generated", "face"),
)

#: All that a run's folder holds: what the run writes, the request that made it, and the folder of its evaluation.
CONTENTS = {
    "output.mp4",
    "output.mkv",
    "detections.json",
    "ledger.csv",
    "run.json",
    "request.json",
    "evaluation",
    "exposure_sheet.csv",
}
#: How `Run.mouths` names the sources of mouths.
_SOURCES = {"clip": "pasted from the clip", "chart": "pasted from the given chart", "drawn": "drawn"}
#: What file managers write into any folder.
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Run:
    """What a run left behind: a folder with ``output.mp4``, ``detections.json``, ``ledger.csv`` and ``run.json``."""

    folder: Path

    @property
    def info(self) -> dict[str, Any]:
        """Settings, inputs with their hashes, models, versions, device, seconds a stage.

        The inputs' ``file`` is an absolute path: the path in ``run.json``, which may be relative to the run's folder
        (`portable`), or, where another file or none is there, the sample with the same SHA-256.
        ``warnings`` are lines about what may be wrong although the run succeeded, such as boxes of another clip.

        Raises
        ------
        MediaError
            The file is damaged.
        """
        with _understood(self.folder / "run.json"):
            return self._info()

    def _info(self) -> dict[str, Any]:
        info = _content(self.folder)
        for part in ("clip", "voice", "generator", "detector"):
            if "file" in info[part]:
                info[part]["file"] = str((self.folder / info[part]["file"]).resolve())
        for side in ("clip", "voice"):
            info[side]["file"] = str(_present_place(Path(info[side]["file"]), info[side]["sha256"]))
        for each in info.get("faces", []):
            file = (self.folder / each["voice"]["file"]).resolve()
            each["voice"]["file"] = str(_present_place(file, each["voice"]["sha256"]))
        return info

    @property
    def output(self) -> Path:
        """The lip-synced clip: ``output.mp4``, or ``output.mkv`` where it is lossless."""
        with _understood(self.folder / "run.json"):
            return self.folder / Path(self.info["output"]).name

    @property
    def mouths(self) -> str:
        """In how many frames a mouth was pasted or drawn, or the source's stays; empty but for `cel`."""
        info = self.info
        counts = info.get("mouths_by_source", {})
        if not counts:
            return ""
        rest = info["frames_written"] * max(1, len(info.get("faces", []))) - sum(counts.values())
        parts = [f"in {n} frame{'s' * (n != 1)} {_SOURCES[source]}" for source, n in counts.items()]
        return ", ".join(parts + ([f"in {rest} frame{'s' * (rest != 1)} the source's own"] if rest else []))

    @property
    def detections(self) -> Path:
        return self.folder / "detections.json"

    @property
    def faces(self) -> list[int]:
        """Numbers of the faces that were dubbed, from the left in each shot; [0] where only one was."""
        return sorted(self._whole_ledger()["face"].unique().tolist())

    def ledger(self, face: int | None = None) -> pandas.DataFrame:
        """One row per source frame, with the columns `LEDGER`.

        ``best_*`` is the frame's best candidate, also where it was rejected; ``x1`` to ``y2`` the padded and
        smoothed box into which a mouth was generated, in pixels; ``time`` in seconds; ``face`` the number of the face.

        Parameters
        ----------
        face : int, optional
            Of a run with several faces, one of `faces`; the first if not given.

        Raises
        ------
        ParameterError
            The run has no such face.
        """
        table = self._whole_ledger()
        numbers = sorted(table["face"].unique().tolist())
        if face is not None and face not in numbers:
            raise ParameterError(f"{self.folder}: has no face {face}; its faces are {', '.join(map(str, numbers))}")
        return table[table["face"] == (numbers[0] if face is None else face)].reset_index(drop=True)

    def column(self, name: str) -> list[str]:
        """One column of `ledger`, as text: what a table without pandas, whose import takes long, is enough for."""
        with _understood(self.folder / "ledger.csv"):
            text = limits.checked(self.folder / "ledger.csv").read_text(encoding="utf-8")
            rows = [
                {renamed.LEDGER.get(key, key): row[key] for key in row} for row in csv.DictReader(text.splitlines())
            ]
            first = min(int(row.get("face", 0)) for row in rows)
            return [row[name] for row in rows if int(row.get("face", 0)) == first]

    def _whole_ledger(self) -> pandas.DataFrame:
        import pandas as pd

        with _understood(self.folder / "ledger.csv"):
            table = pd.read_csv(limits.checked(self.folder / "ledger.csv")).rename(columns=renamed.LEDGER)
            if table.empty:
                raise ValueError("no rows")
        return table if "face" in table else table.assign(face=0)  # written by an earlier version


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


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Whatever a damaged file of a run leads to becomes one error that names the file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise MediaError(f"{path}: damaged ({why}); make the run again") from error


def _content(folder: Path) -> dict[str, Any]:
    """What ``run.json`` holds, under present names."""
    content = json.loads(limits.checked(folder / "run.json").read_text(encoding="utf-8"))
    return {renamed.RUN.get(part, part): value for part, value in content.items()}


def _present_place(stored: Path, sha256: str) -> Path:
    """Where an input lies: at its stored path, or, after the run was moved, where the sample with its hash lies."""
    name = samples.with_sha256(sha256)
    if name is None or (stored.is_file() and files.sha256(stored) == sha256):
        return stored
    file = samples.place(name)
    return file if file.is_file() else stored


def portable(path: str | Path, home: str | Path) -> str:
    """A path from the folder `home`, with ``/``, where both lie in the repository, which may move; else absolute."""
    path, home, root = Path(path).resolve(), Path(home).resolve(), Path(lipsync_lab.__file__).resolve().parents[1]
    within = root in path.parents and root in home.parents
    return Path(os.path.relpath(path, home)).as_posix() if within else str(path)


def about_voice(voice: Path, seconds: float, folder: str | Path) -> dict[str, Any]:
    """What ``run.json`` says of a voice."""
    return {"file": portable(voice, folder), "sha256": files.sha256(voice), "seconds": seconds}


def about_generator(generator: Any, known: Sequence[str], folder: str | Path) -> dict[str, Any]:
    """What `run.json` says of a generator; one whose name is not `known` has a file of a user's own, see `own_file`."""
    names = ("name", "sha256", "width", "provenance", "precision", "restorer")
    about = {name: getattr(generator, name) for name in names if hasattr(generator, name)}
    return about | own_file(None if generator.name in known else generator.path, folder)


def own_file(path: Path | None, folder: str | Path) -> dict[str, str]:
    """Where a user's own file of weights or boxes lies; nothing for what is known by its name."""
    return {} if path is None else {"file": portable(path, folder)}


def ledger(track: FaceTrack, generated: np.ndarray, fps: Fraction) -> pandas.DataFrame:
    """The ledger of a track, see `Run.ledger`; `generated` says in which frames a mouth was generated."""
    import pandas as pd

    return pd.DataFrame(_columns(track, generated, fps))


def _columns(track: FaceTrack, generated: np.ndarray, fps: Fraction, face: int = 0) -> dict[str, np.ndarray]:
    frames = np.arange(len(track))
    columns = [
        *(frames, np.round(frames / float(fps), 6), track.shots, track.scores, *track.candidates.T),
        *(track.provenance, *track.boxes.T, generated, np.full(len(track), face)),
    ]
    return dict(zip(LEDGER, columns, strict=True))


def write_ledger(path: Path, faces: Mapping[int, tuple[FaceTrack, np.ndarray]], fps: Fraction) -> None:
    """Write the ledger of a run: a row per frame and face, in this order.

    Without pandas: its import takes a tenth of the time from the start to the end of a short dub. The bytes are those
    of `DataFrame.to_csv`.

    Parameters
    ----------
    path : Path
    faces : mapping of int to tuple
        By the number of a face: its track, and in which frames a mouth was generated (ndarray, bool, (N,)). All tracks
        have as many frames.
    fps : Fraction
        Frames per second of the clip.
    """
    tables = [_columns(*faces[number], fps, number) for number in sorted(faces)]
    rows = [zip(*(column.tolist() for column in table.values()), strict=True) for table in tables]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(LEDGER)
        for same_frame in zip(*rows, strict=True):
            table.writerows([["" if value != value else value for value in row] for row in same_frame])


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A private folder beside the target that takes its place when all went well (`files.atomic_folder`).

    An earlier run is replaced. A folder that holds anything else, also beside a run, is never deleted: it is refused
    at the start, and if it got there while the run was made, the finished run is kept beside it. Of two processes that
    write the same folder at once, the second is refused (`files.one_at_a_time`).
    """
    with files.one_at_a_time(target, "dub"), files.atomic_folder(target, is_run, "run") as part:
        yield part


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run and nothing that no run writes, so that a new run may replace it."""
    if not (folder / "run.json").is_file():
        return False
    own = [path for path in folder.iterdir() if path.name not in _LITTER and not files.is_private(path)]
    # a generator's own files, where there are several faces
    own = [path for path in own if not (re.fullmatch(r"face_\d+", path.name) and path.is_dir())]
    tables = [path for path in (folder / "evaluation").rglob("*") if not path.is_dir()]
    return {path.name for path in own} <= CONTENTS and all(
        path.suffix in (".csv", ".json") or path.name in _LITTER or files.is_private(path) for path in tables
    )


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
        "pillow",
        "pi-heif",
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
    generator = pipeline.generator
    content = {
        "clip": files.sha256(face),
        "voice": files.sha256(speech),
        "generator": [generator.name, generator.sha256, generator.width, getattr(generator, "precision", None)],
        "restorer": getattr(generator, "restorer", None),
        "detector": pipeline.detector.identity,
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
    progress: Progress | None = None,
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
        run = Run(Path(folder))
        _relink(run, face, speech)
        return run
    run = pipeline.run(face, speech, folder, progress)
    files.write_text(run.folder / "request.json", request(pipeline, face, speech))
    return run


def _relink(run: Run, face: str | Path, speech: str | Path) -> None:
    """Note in a run that was moved, or whose inputs were, where these inputs are now."""
    content = _content(run.folder)
    stale = False
    for side, file in (("clip", face), ("voice", speech)):
        stored = Path(run.info[side]["file"])
        if not stored.is_file() or files.sha256(stored) != content[side]["sha256"]:
            content[side]["file"], stale = portable(file, run.folder), True
    if stale:
        files.write_text(run.folder / "run.json", json.dumps(content, indent=1) + "\n")
