"""Frames of a clip: random access within a limit of memory, all that is shown of one, and several as a short video."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from lipsync_lab.detection import Detection
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video

#: Default limit, in bytes, of the decoded frames that are kept.
MOST_BYTES = 400_000_000
#: Frames decoded at a time, so that a step back rarely decodes again from the last key frame.
BLOCK = 16
#: Widest preview, in pixels.
WIDEST = 1280


@dataclass(frozen=True)
class FrameView:
    """Everything about one frame; images are uint8 RGB.

    Attributes
    ----------
    frame : int
    source : ndarray, (H, W, 3)
    candidates : list of Detection
        The detector's candidates, best first, rejected ones too.
    face : Detection or None
        The selected candidate, or the box given by hand; None where there is no face.
    box : Box or None
        The box that is cropped and pasted, in whole pixels: the face's, padded and smoothed, or exactly the one given
        by hand.
    provenance : str
        One of `geometry.PROVENANCES`.
    edited : bool
        Whether a person gave the box, its key boxes, or the statement that there is no face.
    crop, mouth : ndarray, (side, side, 3), or None
        The generator's crop of the source, and the same crop of the output; no mouth where `note` says why.
    output : ndarray, (H, W, 3)
        As the pipeline makes it.
    difference : ndarray, (H, W, 3)
        Of source and output, see `media.difference`.
    note : str
        Why no mouth was generated, or empty.
    """

    frame: int
    source: np.ndarray
    candidates: list[Detection]
    face: Detection | None
    box: Box | None
    provenance: str
    edited: bool
    crop: np.ndarray | None
    mouth: np.ndarray | None
    output: np.ndarray
    difference: np.ndarray
    note: str


class Frames:
    """Frames by number, decoded in blocks; the least recently used block is dropped first.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` yields uint8 RGB frames, as `media.clip.Clip.read`.
    size : (width, height)
        Pixels of the frames.
    most_bytes : int
        Limit of what is kept. One block is always kept, of a single frame where frames are that large.
    """

    def __init__(
        self, read: Callable[[int, int], Iterator[np.ndarray]], size: tuple[int, int], most_bytes: int = MOST_BYTES
    ):
        frame_bytes = 3 * size[0] * size[1]
        self._read = read
        self.block = max(1, min(BLOCK, most_bytes // (2 * frame_bytes)))
        self._most = max(1, most_bytes // (self.block * frame_bytes))
        self._blocks: OrderedDict[int, list[np.ndarray]] = OrderedDict()

    def __getitem__(self, number: int) -> np.ndarray:
        """The frame, uint8 RGB (H, W, 3); not to be written to."""
        place, within = divmod(number, self.block)
        if place not in self._blocks:
            while len(self._blocks) >= self._most:
                self._blocks.popitem(last=False)
            first = place * self.block
            self._blocks[place] = list(self._read(first, first + self.block))
        self._blocks.move_to_end(place)
        return self._blocks[place][within]

    def read(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Frames from `start` to `stop`, half-open, as `media.clip.Clip.read`."""
        return (self[number] for number in range(start, stop))

    @property
    def bytes(self) -> int:
        """Bytes of the frames that are kept at present."""
        return sum(frame.nbytes for block in self._blocks.values() for frame in block)


def side_by_side(pairs: Iterable[tuple[np.ndarray, np.ndarray]], fps: Fraction, sound: audio.Sound) -> bytes:
    """Encode pairs of frames, left and right, as an MP4 file.

    Parameters
    ----------
    pairs : iterable of (left, right)
        uint8 RGB, (H, W, 3), all of one size; the video is at most `WIDEST` pixels wide.
    fps : Fraction
        Frames per second.
    sound : audio.Sound
    """
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "preview.mp4"
        with video.Writer(file, fps=fps, sound=sound, crf=23) as writer:
            for pair in pairs:
                height, width = pair[0].shape[:2]
                shrink = max(1.0, 2 * width / WIDEST)
                size = tuple(2 * max(1, round(side / shrink / 2)) for side in (width, height))
                writer.write(np.hstack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in pair]))
        return file.read_bytes()
