"""Clips: frames on a constant timeline that can be read as often as needed, and how they are played."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_lab import samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.media.info import HDR
from lipsync_lab.settings import Settings

#: Frames that are read forwards at a time when a clip is played backwards.
_BLOCK = 48

#: Pictures a second under which speech is not seen on the lips.
_SLOW = 8


@dataclass(frozen=True)
class View:
    """How the frames of a `Clip` come out of its pictures: shrunk, then turned, then cropped, as published.

    Attributes
    ----------
    clip : (width, height)
        Pixels of the clip's pictures as a player shows them.
    resize_factor : int
    rotate : bool
        By 90 degrees clockwise.
    crop : (y1, y2, x1, x2)
        As in `settings.Settings`.
    """

    clip: tuple[int, int]
    resize_factor: int = 1
    rotate: bool = False
    crop: tuple[int, int, int, int] = (0, -1, 0, -1)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> View:
        """From the mapping that `as_dict` makes; raises KeyError, TypeError, ValueError or OverflowError otherwise."""
        width, height = (int(side) for side in values["clip"])
        y1, y2, x1, x2 = (int(side) for side in values["crop"])
        factor = int(values["resize_factor"])
        if factor < 1 or min(width, height) < factor:
            raise ValueError(f"a view of {width} x {height} pixels, shrunk {factor} times, shows nothing")
        return cls((width, height), factor, bool(values["rotate"]), (y1, y2, x1, x2))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height of the frames before they are cropped."""
        width, height = (side // self.resize_factor for side in self.clip)
        return (height, width) if self.rotate else (width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return tuple(stop - start for start, stop in self._cut())

    @property
    def corner(self) -> tuple[int, int]:
        """x and y of the frames' upper left corner in the uncropped ones."""
        return tuple(start for start, _ in self._cut())

    def _cut(self) -> list[tuple[int, int]]:
        y1, y2, x1, x2 = self.crop
        # -1 is the far edge, any other negative number what it is to a slice
        pairs = zip(((x1, x2), (y1, y2)), self.whole, strict=True)
        return [slice(start, None if stop == -1 else stop).indices(side)[:2] for (start, stop), side in pairs]

    def _from_shares(self) -> np.ndarray:
        """Homogeneous 3 x 3 matrix to the frames' pixels, from places in the clip as shares of its sides."""
        width, height = (side // self.resize_factor for side in self.clip)
        place = np.diag([float(width), float(height), 1.0])
        if self.rotate:
            place = np.array([[0, -1, height], [1, 0, 0], [0, 0, 1]], float) @ place
        place[:2, 2] -= self.corner
        return place

    def carried(self, box: Box, other: View) -> Box:
        """A box in this view's frames, in pixels of another view of the same picture at any size."""
        if other == self:
            return box
        corners = np.array([[box.x1, box.x2], [box.y1, box.y2], [1, 1]])
        x, y, _ = other._from_shares() @ np.linalg.inv(self._from_shares()) @ corners
        return Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))


@dataclass(frozen=True)
class Clip:
    """Frames on a constant timeline.

    Attributes
    ----------
    name : str
        For messages.
    fps : Fraction
        Frames a second.
    view : View
        How the frames come out of the clip's pictures; ``view.size`` is the frames' width and height in pixels.
    full_range : bool
        Whether the file's luma uses 0..255 instead of 16..235.
    read : callable
        ``read(start, stop)`` yields uint8 RGB frames (H, W, 3); ``stop`` may be None or lie beyond the end.
    expected : int or None
        Number of frames, if it is known before they are read.
    identity : dict
        Everything that the frames depend on, as JSON: the key of a cache. Empty for frames in memory.
    still : bool
        Whether the file is a still picture.
    pixel_aspect : Fraction
        Width of a frame's pixel as a player shows it, in heights of it.
    colour_tags : (int, int)
        FFmpeg's numbers of primaries and transfer function, as of `video.ClipInfo`.
    """

    name: str
    fps: Fraction
    view: View
    full_range: bool
    read: Callable[[int, int | None], Iterator[np.ndarray]]
    expected: int | None
    identity: dict[str, Any]
    still: bool = False
    pixel_aspect: Fraction = Fraction(1)
    colour_tags: tuple[int, int] = (2, 2)

    @property
    def shown(self) -> dict[str, Any]:
        """What a file of these frames has to say for a player to show them as it shows the clip: for `video.Writer`."""
        return {"full_range": self.full_range, "pixel_aspect": self.pixel_aspect, "colour_tags": self.colour_tags}


def open_clip(path: str | Path, settings: Settings | None = None, *, keep: bool = False, device: str = "cpu") -> Clip:
    """Open a video or a still picture.

    Parameters
    ----------
    path : path or str
        A file, or a sample's name.
    settings : Settings, optional
        Its view: `resize_factor`, `rotate`, `crop`, `static`, `fps` for a still picture, and `output_fps`. None for
        the defaults.
    keep : bool
        Whether the pictures of a short clip stay in memory with it, so that several readings decode them once
        (`media.kept`).
    device : str
        With "cuda" NVDEC decodes what it decodes to the same bits (`video.gpu_decoder`).

    Raises
    ------
    MediaError
        The file cannot be read as pictures.
    """
    from lipsync_lab.files import sha256
    from lipsync_lab.media import video
    from lipsync_lab.media.kept import Kept

    settings, path = settings or Settings(), samples.resolve_path(path)
    rate = None if settings.output_fps is None else Fraction(settings.output_fps).limit_denominator(1001)
    info = video.probe(path, fps=rate)
    still = info.still or settings.static
    crop = {"resize_factor": settings.resize_factor, "rotate": settings.rotate, "crop": list(settings.crop)}

    kept = Kept() if keep else None
    hwaccel = video.gpu_decoder(path, device) if device.startswith("cuda") else None

    def read(start: int, stop: int | None) -> Iterator[np.ndarray]:
        for frame in video.frames(path, start=start, stop=1 if still else stop, fps=rate, kept=kept, hwaccel=hwaccel):
            yield _viewed(frame.image, settings)

    return Clip(
        name=str(path),
        fps=rate or Fraction(settings.fps).limit_denominator(1001) if info.still else info.fps,
        view=View((info.width, info.height), settings.resize_factor, settings.rotate, settings.crop),
        full_range=info.full_range,
        read=read,
        expected=1 if still else info.frames,
        identity={"sha256": sha256(path), "static": still, **crop, **({"output_fps": str(rate)} if rate else {})},
        still=info.still,
        pixel_aspect=1 / info.pixel_aspect if settings.rotate else info.pixel_aspect,
        colour_tags=info.colour_tags,
    )


def oddities(clip: Clip, codec: str) -> list[str]:
    """What a user should know of a clip that is dubbed into a file of `codec`, a line each."""
    lines = []
    if transfer := HDR.get(clip.colour_tags[1]):
        lines.append(
            f"{clip.name}: is HDR ({transfer}); faces are detected and mouths generated on its flat colours, and the "
            "output says that it is HDR but has 8 bits; for better ones convert the clip to SDR first"
        )
    if not clip.still and clip.fps < _SLOW:
        lines.append(
            f"{clip.name}: has {float(clip.fps):g} pictures a second, and so many mouths; --output-fps 25 gives every "
            "frame of a faster output a mouth of its own (--fps is for a still picture)"
        )
    if clip.pixel_aspect != 1 and codec == "ffv1":
        lines.append(
            f"{clip.name}: its pixels are not square ({clip.pixel_aspect}), which the lossless output cannot say; set "
            "the aspect ratio in your editor"
        )
    return lines


def clip_from_array(frames: np.ndarray, fps: float | Fraction, settings: Settings | None = None) -> Clip:
    """Make a clip of frames in memory.

    Parameters
    ----------
    frames : ndarray, uint8, (N, H, W, 3)
        RGB.
    fps : float or Fraction
        Frames a second.
    settings : Settings, optional
        As for `open_clip`.

    Raises
    ------
    ParameterError
        The array has another type or shape, or no frame.
    """
    settings, frames = settings or Settings(), np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        raise ParameterError(f"frames must be uint8 RGB of the shape N x H x W x 3, not {frames.dtype} {frames.shape}")
    frames = frames[:1] if settings.static else frames

    def read(start: int, stop: int | None) -> Iterator[np.ndarray]:
        return (_viewed(frame, settings) for frame in frames[start:stop])

    view = View((frames.shape[2], frames.shape[1]), settings.resize_factor, settings.rotate, settings.crop)
    return Clip("array", Fraction(fps).limit_denominator(1001), view, False, read, len(frames), {})


def _viewed(image: np.ndarray, settings: Settings) -> np.ndarray:
    import cv2

    if settings.resize_factor > 1:
        size = image.shape[1] // settings.resize_factor, image.shape[0] // settings.resize_factor
        if 0 in size:
            raise ParameterError(
                f"resize_factor {settings.resize_factor} leaves nothing of {image.shape[1]} x {image.shape[0]} pixels"
            )
        image = cv2.resize(image, size)
    if settings.rotate:
        image = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
    y1, y2, x1, x2 = settings.crop
    part = image[y1 : image.shape[0] if y2 == -1 else y2, x1 : image.shape[1] if x2 == -1 else x2]
    if not part.size:
        raise ParameterError(
            f"the crop {settings.crop} (y1, y2, x1, x2) leaves nothing of {image.shape[1]} x {image.shape[0]} pixels"
        )
    return part


def batches(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items; the last one may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def extension(extend: str, frames: int, length: int, fps: Fraction | float) -> str:
    """How a clip is extended to `length` frames: its last frame is held where the voice is longer by a block or two.

    Encoders put a voice into blocks, so that a clip's own sound, encoded again, lasts up to 0.2 s longer; the jump back
    to the first frame that a loop would make there is seen.
    """
    return "hold" if 0 < length - frames <= min(0.2 * fps, frames // 2) else extend


def play_order(frames: int, length: int, extend: str) -> np.ndarray:
    """Number of the source frame that each output frame shows, int64 (length,); parameters as for `played`."""
    order = np.arange(length)
    if extend == "hold" or frames == 1:
        return np.minimum(order, frames - 1)
    if extend == "loop":
        return order % frames
    return frames - 1 - np.abs(order % (2 * frames - 2) - (frames - 1))


def played(clip: Clip, frames: int, length: int, extend: str) -> Iterator[tuple[int, np.ndarray]]:
    """Play a clip for `length` frames.

    Parameters
    ----------
    clip : Clip
    frames : int
        Number of source frames to use, from the first on.
    length : int
        Number of frames to yield.
    extend : {"loop", "hold", "pingpong"}
        What follows the last source frame: the first one again, the last one, or the frames backwards and forwards.

    Yields
    ------
    (int, ndarray)
        Number of the source frame, and the frame. There are fewer if the clip has become shorter than `frames`.
    """
    forward = partial(_forward, clip)
    if frames == 1 or extend == "hold":
        given, last = 0, None
        for last in forward(0, min(frames, length)):
            given += 1
            yield last
        for _ in range(length - given if last else 0):
            yield last
        return
    given = 0
    while given < length:
        start = given
        for pair in forward(0, frames) if extend == "loop" else _to_and_fro(forward, frames):
            if given == length:
                return
            given += 1
            yield pair
        if given == start:
            return


def _forward(clip: Clip, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    return zip(range(start, stop), clip.read(start, stop), strict=False)


def _to_and_fro(forward: Callable, frames: int) -> Iterator[tuple[int, np.ndarray]]:
    """Forwards, then backwards without showing either end twice."""
    yield from forward(0, frames)
    for stop in range(frames - 1, 1, -_BLOCK):
        yield from reversed(list(forward(max(1, stop - _BLOCK), stop)))
