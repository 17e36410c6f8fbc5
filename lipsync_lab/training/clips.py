"""Clips of speaking faces: the published folder layout, packed shards, and the held-out split.

The published layout has a folder for each clip, with face crops numbered by frame (25 a second) and the sound::

    <speaker>/<clip>/0.jpg, 1.jpg, ...
    <speaker>/<clip>/audio.wav

Training reads shards instead: folders of a few large arrays, which are memory-mapped.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lipsync_lab import files, renamed
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.geometry import spans
from lipsync_lab.media import audio
from lipsync_lab.progress import Progress

#: Frames a second of all training material, as published.
FPS = 25
#: Domains of clips.
DOMAINS = ("animation", "synthetic_photo", "live_action")
#: One speaker in this number is held out.
HELD_OUT = 10


@dataclass(frozen=True)
class Clip:
    """Crops of one face in consecutive frames, with the sound.

    Attributes
    ----------
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB; may be memory-mapped.
    mel : ndarray, float32, (80, columns)
        Mel spectrogram of the whole sound.
    first : int
        Number of the first face's frame in the sound, 25 a second.
    domain : str
        One of `DOMAINS`.
    speaker, voice : str
        Names of the speaker in the picture and of the voice.
    openness : ndarray, float32, (N,)
        Openness of the mouth, 0 to 1; NaN where unknown.
    gap : ndarray, float32, (N,)
        Height of the gap between the lips in pixels of the crop; NaN where unknown.
    mouth : ndarray, float32, (N, 4)
        Box of the mouth in pixels of the crop (x1, y1, x2, y2); NaN where unknown.
    """

    faces: np.ndarray = field(repr=False)
    mel: np.ndarray = field(repr=False)
    first: int
    domain: str
    speaker: str
    voice: str
    openness: np.ndarray = field(repr=False)
    gap: np.ndarray = field(repr=False)
    mouth: np.ndarray = field(repr=False)

    def __post_init__(self):
        count = len(self.faces)
        if self.domain not in DOMAINS:
            raise ParameterError(f"the domain of a clip is {', '.join(DOMAINS)}, not {self.domain!r}")
        if self.faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3) or self.faces.dtype != np.uint8:
            raise ParameterError(
                f"faces must be uint8 RGB of 96 x 96 pixels, not {self.faces.dtype} {self.faces.shape}"
            )
        if not (len(self.openness) == len(self.gap) == len(self.mouth) == count):
            raise ParameterError(f"a clip of {count} faces needs {count} rows of ground truth")

    def __len__(self) -> int:
        return len(self.faces)

    def windows(self, index, audio_offset: int = 0) -> np.ndarray:
        """Return the mel windows of faces.

        Parameters
        ----------
        index : array of int
            Faces, from 0.
        audio_offset : int
            Frames by which a window starts before its frame: 0 for the sync expert, 1 for the generator, as published.

        Returns
        -------
        ndarray, float32, (len(index), 80, 16)
            Silence before and after the sound.
        """
        frame = self.first + np.asarray(index) - audio_offset
        starts = np.trunc(audio.MELS_PER_SECOND / FPS * frame).astype(int)
        return audio.mel_windows(self.mel, starts.tolist())


def unknown_ground_truth(count: int) -> dict[str, np.ndarray]:
    """GroundTruth of a clip about which nothing is known."""
    nan = np.full(count, np.nan, np.float32)
    return {"openness": nan, "gap": nan, "mouth": np.full((count, 4), np.nan, np.float32)}


def read_layout(root: str | Path, progress: Progress | None = None) -> Iterator[Clip]:
    """Read all clips under a folder in the published layout.

    A missing frame (without a detected face) splits a clip in two.

    Parameters
    ----------
    root : path
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Yields
    ------
    Clip
        Of the domain "live_action". The speaker is the parent of the clip's folder, which is the speaker in the
        published layout and the source clip in that of `preprocess`; or the clip's folder itself if it lies in `root`.

    Raises
    ------
    MediaError
        There is no such clip, or a clip has no picture, or one that cannot be read.
    """
    import cv2

    root = Path(root)
    folders = sorted(path.parent for path in root.rglob("audio.wav"))
    if not folders:
        raise MediaError(
            f"{root}: contains no clip in the layout <clip>/<frame>.jpg and <clip>/audio.wav; preprocess it"
        )
    for done, folder in enumerate(folders, start=1):
        pictures = {int(path.stem): path for path in folder.glob("*.jpg") if path.stem.isdigit()}
        if not pictures:
            raise MediaError(f"{folder}: has a sound and no <frame>.jpg; preprocess its clip again, or delete it")
        mel = audio.melspectrogram(audio.load(folder / "audio.wav"))
        speaker = (folder.parent if folder.parent != root else folder).relative_to(root.parent).as_posix()
        frames = np.array(sorted(pictures))
        for start, stop in spans(np.ones(len(frames), bool), frames - np.arange(len(frames))):
            numbers = frames[start:stop].tolist()
            faces = []
            for number in numbers:
                picture = cv2.imread(str(pictures[number]), cv2.IMREAD_COLOR)
                if picture is None:
                    raise MediaError(f"{pictures[number]}: cannot be read as a picture; preprocess its clip again")
                faces.append(cv2.resize(picture, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)[..., ::-1])
            yield Clip(
                np.stack(faces), mel, numbers[0], "live_action", speaker, speaker, **unknown_ground_truth(len(faces))
            )
        if progress:
            progress("read", done, len(folders))


def held_out(name: str) -> bool:
    """Return whether a name is in the validation split, from a hash of the last part of its path."""
    return zlib.crc32(name.rpartition("/")[2].encode()) % HELD_OUT == 0


def split(clips: Iterable[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Split clips into training and validation; no speaker is in both."""
    train, validation = [], []
    for clip in clips:
        (validation if held_out(clip.speaker) else train).append(clip)
    return train, validation


def write_shard(folder: str | Path, clips: list[Clip]) -> None:
    """Write clips into the folder of a shard, which is complete or absent.

    Raises
    ------
    ParameterError
        There are no clips.
    """
    if not clips:
        raise ParameterError(f"{folder}: there is no clip to pack; check that faces were detected, and the split")
    with new_shard(folder) as part:
        np.save(part / "faces.npy", np.concatenate([clip.faces for clip in clips]))
        np.savez(
            part / "clips.npz",
            mel=np.concatenate([clip.mel for clip in clips], axis=1).astype(np.float16),
            columns=[clip.mel.shape[1] for clip in clips],
            count=[len(clip) for clip in clips],
            first=[clip.first for clip in clips],
            **{name: [getattr(clip, name) for clip in clips] for name in ("domain", "speaker", "voice")},
            **{name: np.concatenate([getattr(clip, name) for clip in clips]) for name in ("openness", "gap", "mouth")},
        )


def new_shard(folder: str | Path) -> AbstractContextManager[Path]:
    """Return a context manager that writes the folder of a shard, which is complete or absent."""
    return files.atomic_folder(folder, _is_shard, "shard")


def _is_shard(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("faces.npy", "frames.npy", "crops.npy"))


def open_shards(root: str | Path) -> list[Clip]:
    """Open all clips of all shards under a folder; faces are memory-mapped.

    Raises
    ------
    MediaError
        There is no shard.
    """
    paths = sorted(path for path in Path(root).rglob("clips.npz") if not files.is_private(path.parent))
    if not paths:
        raise MediaError(f"{root}: contains no shard of clips; render or pack some first")
    return [clip for path in paths for clip in _open_shard(path)]


def _open_shard(path: Path) -> Iterator[Clip]:
    faces = np.load(path.parent / "faces.npy", mmap_mode="r")
    with np.load(path) as archive:
        rest = dict(archive)
    mel = rest["mel"].astype(np.float32)
    rows = np.concatenate([[0], np.cumsum(rest["count"])])
    columns = np.concatenate([[0], np.cumsum(rest["columns"])])
    # shards of earlier versions have the columns kind and who
    domains, speakers = (rest[new if new in rest else old] for new, old in (("domain", "kind"), ("speaker", "who")))
    for number, voice in enumerate(rest["voice"]):
        members = slice(rows[number], rows[number + 1])
        yield Clip(
            faces[members],
            mel[:, columns[number] : columns[number + 1]],
            int(rest["first"][number]),
            renamed.DOMAINS.get(str(domains[number]), str(domains[number])),
            str(speakers[number]),
            str(voice),
            **{name: rest[name][members] for name in ("openness", "gap", "mouth")},
        )
