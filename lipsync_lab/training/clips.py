"""Clips of faces that speak: the published folder layout, packed shards, and who is held out.

The published layout has one folder a clip with its face crops, numbered by frame at 25 a second, and its sound::

    <speaker>/<clip>/0.jpg, 1.jpg, ...
    <speaker>/<clip>/audio.wav

Training reads shards instead: folders of a few large arrays, which the system maps into memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lipsync_lab import audio, files
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.geometry import spans
from lipsync_lab.progress import Progress

#: Frames a second of all training material, as published.
FPS = 25
#: What a clip shows.
KINDS = ("drawn", "photograph", "film")
#: Of all who are seen in anyone's clips, one in so many is held out.
HELD_OUT = 10


@dataclass(frozen=True)
class Clip:
    """One face, frame by frame without gaps, and what it says.

    Attributes
    ----------
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB; may be mapped from a file.
    mel : ndarray, float32, (80, columns)
        Of the whole sound.
    first : int
        Number of the first face's frame in the sound, 25 a second.
    kind : str
        One of `KINDS`.
    who, voice : str
        Who is seen, and who is heard.
    openness : ndarray, float32, (N,)
        How far the mouth is open as drawn, 0 to 1; NaN where nobody knows.
    gap : ndarray, float32, (N,)
        Height of the gap between the lips in pixels of the crop; NaN where nobody knows.
    mouth : ndarray, float32, (N, 4)
        The mouth's box in pixels of the crop (x1, y1, x2, y2); NaN where nobody knows.
    """

    faces: np.ndarray = field(repr=False)
    mel: np.ndarray = field(repr=False)
    first: int
    kind: str
    who: str
    voice: str
    openness: np.ndarray = field(repr=False)
    gap: np.ndarray = field(repr=False)
    mouth: np.ndarray = field(repr=False)

    def __post_init__(self):
        count = len(self.faces)
        if self.kind not in KINDS:
            raise ParameterError(f"a clip shows {', '.join(KINDS)}, not {self.kind!r}")
        if self.faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3) or self.faces.dtype != np.uint8:
            raise ParameterError(
                f"faces must be uint8 RGB of 96 x 96 pixels, not {self.faces.dtype} {self.faces.shape}"
            )
        if not (len(self.openness) == len(self.gap) == len(self.mouth) == count):
            raise ParameterError(f"a clip of {count} faces needs as many rows of truth")

    def __len__(self) -> int:
        return len(self.faces)

    def windows(self, index, lead: int = 0) -> np.ndarray:
        """Mel windows of some of its faces.

        Parameters
        ----------
        index : array of int
            Which faces, from 0.
        lead : int
            Frames by which the window starts before its frame: 0 for the expert; 1 for the generator, as published.

        Returns
        -------
        ndarray, float32, (len(index), 80, 16)
            What lies before or after the sound is silence.
        """
        frame = self.first + np.asarray(index) - lead
        starts = np.trunc(audio.MELS_PER_SECOND / FPS * frame).astype(int)
        return audio.mel_windows(self.mel, starts.tolist())


def unknown_truth(count: int) -> dict[str, np.ndarray]:
    """GroundTruth of a clip about which nothing is known."""
    nan = np.full(count, np.nan, np.float32)
    return {"openness": nan, "gap": nan, "mouth": np.full((count, 4), np.nan, np.float32)}


def read_layout(root: str | Path, progress: Progress | None = None) -> Iterator[Clip]:
    """Read every clip under a folder in the published layout.

    Frames that are missing (no face was found in them) split a clip in two.

    Parameters
    ----------
    root : path
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Yields
    ------
    Clip
        Of kind "film"; `who` is the folder that the clip's folder lies in, which is the speaker in the published
        layout and the source clip in `preprocess`'s; the clip's own folder where it lies in `root` itself.

    Raises
    ------
    MediaError
        No such clip is there, or one holds no picture, or one that cannot be read.
    """
    import cv2

    root = Path(root)
    folders = sorted(path.parent for path in root.rglob("audio.wav"))
    if not folders:
        raise MediaError(f"{root}: holds no clip in the layout <clip>/<frame>.jpg and <clip>/audio.wav; preprocess it")
    for done, folder in enumerate(folders, start=1):
        pictures = {int(path.stem): path for path in folder.glob("*.jpg") if path.stem.isdigit()}
        if not pictures:
            raise MediaError(f"{folder}: has a sound and no <frame>.jpg; preprocess its clip again, or delete it")
        mel = audio.melspectrogram(audio.load(folder / "audio.wav"))
        who = (folder.parent if folder.parent != root else folder).relative_to(root.parent).as_posix()
        frames = np.array(sorted(pictures))
        for start, stop in spans(np.ones(len(frames), bool), frames - np.arange(len(frames))):
            numbers = frames[start:stop].tolist()
            faces = []
            for number in numbers:
                picture = cv2.imread(str(pictures[number]), cv2.IMREAD_COLOR)
                if picture is None:
                    raise MediaError(f"{pictures[number]}: cannot be read as a picture; preprocess its clip again")
                faces.append(cv2.resize(picture, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)[..., ::-1])
            yield Clip(np.stack(faces), mel, numbers[0], "film", who, who, **unknown_truth(len(faces)))
        if progress:
            progress("read", done, len(folders))


def held_out(who: str) -> bool:
    """Whether what has this name is for validation: the same answer on every machine, by the last part of a path."""
    return zlib.crc32(who.rpartition("/")[2].encode()) % HELD_OUT == 0


def split(clips: Iterable[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on, and held-out ones: nobody is in both."""
    train, validation = [], []
    for clip in clips:
        (validation if held_out(clip.who) else train).append(clip)
    return train, validation


def write_shard(folder: str | Path, clips: list[Clip]) -> None:
    """Pack clips into a folder, which is complete or absent.

    Raises
    ------
    ParameterError
        There are no clips.
    """
    if not clips:
        raise ParameterError(f"{folder}: there is no clip to pack; check that faces were found and the split is right")
    with new_folder(folder) as part:
        np.save(part / "faces.npy", np.concatenate([clip.faces for clip in clips]))
        np.savez(
            part / "clips.npz",
            mel=np.concatenate([clip.mel for clip in clips], axis=1).astype(np.float16),
            columns=[clip.mel.shape[1] for clip in clips],
            count=[len(clip) for clip in clips],
            first=[clip.first for clip in clips],
            **{name: [getattr(clip, name) for clip in clips] for name in ("kind", "who", "voice")},
            **{name: np.concatenate([getattr(clip, name) for clip in clips]) for name in ("openness", "gap", "mouth")},
        )


def new_folder(folder: str | Path) -> AbstractContextManager[Path]:
    """Write a folder of training material that is complete or absent (`files.atomic_folder`).

    It replaces a folder that holds nothing but NumPy's files, as `write_shard` writes them.
    """
    return files.atomic_folder(folder, lambda path: path.is_dir() and _holds_arrays(path), "rendering")


def _holds_arrays(folder: Path) -> bool:
    return all(path.suffix in (".npy", ".npz") for path in folder.iterdir())


def open_shards(root: str | Path) -> list[Clip]:
    """Every clip of every shard under a folder; faces are mapped, not read.

    Raises
    ------
    MediaError
        There is no shard.
    """
    paths = sorted(path for path in Path(root).rglob("clips.npz") if not files.is_private(path.parent))
    if not paths:
        raise MediaError(f"{root}: holds no shard of clips; render or pack some first")
    return [clip for path in paths for clip in _open_shard(path)]


def _open_shard(path: Path) -> Iterator[Clip]:
    faces = np.load(path.parent / "faces.npy", mmap_mode="r")
    with np.load(path) as archive:
        rest = dict(archive)
    mel = rest["mel"].astype(np.float32)
    rows = np.concatenate([[0], np.cumsum(rest["count"])])
    columns = np.concatenate([[0], np.cumsum(rest["columns"])])
    for number in range(len(rest["count"])):
        some = slice(rows[number], rows[number + 1])
        yield Clip(
            faces[some],
            mel[:, columns[number] : columns[number + 1]],
            int(rest["first"][number]),
            **{name: str(rest[name][number]) for name in ("kind", "who", "voice")},
            **{name: rest[name][some] for name in ("openness", "gap", "mouth")},
        )
