"""Read and write clips: properties of a file, its pictures on a constant timeline, and one encode at the end.

Reading sets four things right that FFmpeg's libraries leave to the caller: rotation, variable frame rate, streams
that do not start together, and colour matrix and range. It leaves three alone: interlaced fields stay woven; pixels
that are not square, and HDR, stay as stored, and `ClipInfo` says so, for the file that is written of them.
"""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.video.reformatter import Interpolation, VideoReformatter

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.limits import Limits
from lipsync_lab.media import allowed, nvdec, photo
from lipsync_lab.media.container import (
    decoder,
    joinable,
    joined,
    opened,
    packets,
    preferred_first,
    sound_streams,
    zero,
)
from lipsync_lab.media.info import UNKNOWN, ClipInfo, Frame
from lipsync_lab.media.kept import Kept
from lipsync_lab.media.writer import Writer, write_clip

__all__ = ["STILL_FPS", "ClipInfo", "Frame", "Limits", "Writer", "frames", "gpu_decoder", "probe", "write_clip"]

log = logging.getLogger(__name__)

#: Frame rate of a still image, and of a clip whose file states none.
STILL_FPS = Fraction(25)

#: Packets whose timestamps give the frame rate. The last ones may lack neighbours, since B-frames come later.
_STAMPS, _UNSETTLED = 120, 20

#: Containers that give their packets decoding times only; FFmpeg makes up the others, and not in order. The pictures
#: take the packets' times as they come.
_NO_PICTURE_TIMES = {"avi"}

#: Containers that leave out most times, so that the first ones after a jump are guesses.
_NO_SEARCH = {"mpeg"}

#: Rates that a clip with wavering timestamps may have been meant to have.
_COMMON = [Fraction(n * 1000, 1001) for n in (24, 30, 60)] + [Fraction(n) for n in (8, 12, 15, 24, 25, 30, 48, 50, 60)]

#: Containers of one picture or several: with one it is a still.
_PICTURES = {"gif", "apng", "webp_anim", "jpegxl_anim"}

#: swscale's quick way to RGB is about a level too dark. This one gives each luma value back when it is encoded again,
#: so that a frame which passes through untouched stays as it was.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

#: FFmpeg's numbers: the YCbCr matrices that swscale knows, and full range.
_BT709, _FCC, _BT601_625, _BT601_525, _SMPTE240, _BT2020 = 1, 4, 5, 6, 7, 9
_MATRICES = {_BT709, _FCC, _BT601_625, _BT601_525, _SMPTE240, _BT2020}
_FULL = 2


@dataclass(frozen=True)
class _Source:
    """How to read one clip: the start of its timeline, and how its pictures become frames."""

    path: Path
    limits: Limits
    searchable: bool
    zero: Fraction
    fps: Fraction
    lean: Fraction
    end: Fraction | None
    form: str
    still: bool
    size: tuple[int, int]
    turn: tuple[float, float, float, float]
    hwaccel: HWAccel | None = None

    def slot(self, time: Fraction) -> int:
        """Index of the frame from which a picture of that time is shown: the nearest."""
        return math.floor(time * self.fps + self.lean + Fraction(1, 2))


def probe(path: str | Path, *, limits: Limits | None = None, fps: Fraction | None = None) -> ClipInfo:
    """Read the properties of a clip or still image.

    Parameters
    ----------
    path : path
    limits : Limits, optional
        By default those of the environment.
    fps : Fraction, optional
        Frames a second of the timeline; by default the clip's own. Ignored for a still image.

    Returns
    -------
    ClipInfo

    Raises
    ------
    MediaError
        No such file, a folder, an empty file, not media, cut short, no video stream, no picture that decodes, more
        pixels than the limit.
    """
    limits = limits or Limits.from_environment()
    if coding := photo.coding(path):
        height, width = photo.read(path, limits).shape[:2]
        return ClipInfo(Path(path), width, height, STILL_FPS, 1, 0.04, 0, True, False, False, coding, "rgb24", {})
    return _survey(path, limits, fps)[0]


def frames(
    path: str | Path,
    *,
    start: int = 0,
    stop: int | None = None,
    limits: Limits | None = None,
    fps: Fraction | None = None,
    kept: Kept | None = None,
    hwaccel: HWAccel | None = None,
) -> Iterator[Frame]:
    """Decode a clip as a stream, one frame after the other at a constant rate.

    Clip zero is where the file's earliest picture or sound starts. Each picture of the file is shown from the frame
    nearest to its time, so that picture and sound never move by more than half a frame against each other; the first
    one is held back to zero, gaps are filled with the picture before, and of pictures closer than a frame the last
    is shown. A clip of constant rate gives each of its pictures exactly once; if it starts less than a frame after
    its sound (AAC in Matroska does so as a rule), it starts at zero and is early by that much.

    Rotation is applied, the EXIF orientation of photographs too (PyAV 18.1 cannot tell the mirrored ones of those from
    the plain). YCbCr is converted by the matrix and range that the file names; where it names none, BT.709
    from 720 lines upwards and BT.601 below, limited range. Transparent pixels are composited over mid grey (128).
    Pictures of another size than the clip's are scaled to it. Damaged packets are passed over, as a player does.
    Recordings that were joined byte by byte (MPEG-TS, MPEG-PS, Ogg, FLV), so that the clock jumps, follow one another
    directly.

    Parameters
    ----------
    path : path
        Video, or a still image, which is a clip of one frame.
    start, stop : int
        First frame, and the one after the last; the same frames as slicing the whole. Reading begins at the key frame
        before `start` where the file can be searched.
    limits : Limits, optional
        By default those of the environment; `max_gap` bounds how long one picture is held.
    fps : Fraction, optional
        As for `probe`: a picture is shown until the next one, whatever the clip's own rate.
    kept : Kept, optional
        Of this clip: its pictures are taken from there, and left there.
    hwaccel : HWAccel, optional
        Of this clip's `gpu_decoder`.

    Yields
    ------
    Frame
        Memory does not grow with the clip. The file is closed when the iterator ends or is dropped.

    Raises
    ------
    ParameterError
        Negative `start` or `stop`.
    MediaError
        As `probe`, and at once, not at the first frame. During reading: a gap, or more frames, than the limit.
    """
    if start < 0 or (stop is not None and stop < 0):
        raise ParameterError(f"frames from {start} to {stop}: frames are counted from 0; give no negative number")
    limits = limits or Limits.from_environment()
    if photo.coding(path):
        return iter([Frame(0, Fraction(0), photo.read(path, limits))][start:stop])
    return _frames(replace(_survey(path, limits, fps)[1], hwaccel=hwaccel), start, stop, kept or Kept(0))


def gpu_decoder(path: str | Path, device: str = "cuda", *, limits: Limits | None = None) -> HWAccel | None:
    """NVDEC, for a clip that it decodes as the processor does (`nvdec.checked`); None for any other.

    Raises
    ------
    MediaError
        As `probe`.
    """
    if photo.coding(path):
        return None
    info, source = _survey(path, limits or Limits.from_environment(), None)
    if info.codec not in nvdec.CODECS or info.pixel_format != nvdec.FORMAT:
        return None
    return nvdec.checked(source.path, lambda hwaccel: _decoded(replace(source, hwaccel=hwaccel), 0), device)


def _survey(path: str | Path, limits: Limits, rate: Fraction | None) -> tuple[ClipInfo, _Source]:
    path = Path(path)
    with opened(path) as container:
        stream = _video_stream(container, path)
        last = stream.index_entries[-1] if len(stream.index_entries) else None
        if last and last.pos + last.size > path.stat().st_size:
            raise MediaError(f"{path}: cut short, its index names more than the file holds; copy or download it again")

        limits.check_pixels(path, stream.codec_context.width, stream.codec_context.height)
        decode = decoder(stream)
        form = container.format.name
        still = form.endswith("_pipe") or form == "image2"
        first, stamps, sized = None, [], 0
        for packet in packets(container, stream, limits):
            stamp = packet.dts if form in _NO_PICTURE_TIMES else packet.pts
            if stamp is not None and not packet.is_discard:
                stamps.append(stamp)
            sized += packet.size > 0
            if first is None:
                first = next(iter(decode(packet)), None)
            if first is not None and (still or len(stamps) >= _STAMPS):
                break
        still = still or (form in _PICTURES and sized == 1)
        if first is None:
            raise MediaError(f"{path}: holds no picture that can be decoded; export the clip again")

        stamps.sort()
        steps = [float((b - a) * stream.time_base) for a, b in pairwise(stamps) if b > a]
        steps = [step for step in (steps if len(stamps) < _STAMPS else steps[:-_UNSETTLED]) if step <= limits.max_gap]
        fps = STILL_FPS if still else rate or _rate(stream, steps, limits.max_gap)
        origin = zero(container)
        offset = (stamps[0] * stream.time_base - origin) * fps if stamps and not still else Fraction(0)
        steady = all(abs(step * fps - 1) < 0.25 for step in steps)
        # On a grid of its own phase, a constant rate survives timestamps rounded to milliseconds.
        lean = (0 if offset < 1 else round(offset)) - offset if steady else Fraction(0)

        a, b, c, d = turn = _turn(first)
        sideways, stored = abs(a) < abs(b), (first.width, first.height)
        width, height = stored[::-1] if sideways else stored
        duration = 1 / STILL_FPS if still else _duration(container, stream, origin)
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        jumps, ends = joined(path, limits.max_gap) if joinable(container) else (False, {})
        if jumps and stream.index in ends:  # the header spans the jump
            duration = ends[stream.index] - origin
        info = ClipInfo(
            path=path,
            width=width,
            height=height,
            fps=fps,
            frames=None if duration is None else max(1, math.floor(duration * fps + lean + Fraction(1, 2))),
            duration=None if duration is None else float(duration),
            rotation=(90 if b > 0 else 270) if sideways else (180 if a < 0 and d < 0 else 0),
            still=still,
            has_sound=bool(sound_streams(container)),
            full_range=first.color_range == _FULL and not first.format.is_rgb and not still,
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            tags={name.lower(): value for name, value in container.metadata.items()},
            pixel_aspect=1 / aspect if sideways else aspect,
            colour_tags=(UNKNOWN, UNKNOWN) if still else (int(first.color_primaries), int(first.color_trc)),
        )
        # In MP4 a picture's own duration is that of its neighbour in decoding order.
        end = duration if "mp4" in form else None
        searchable = form not in _NO_PICTURE_TIMES | _NO_SEARCH and not jumps
        return info, _Source(path, limits, searchable, origin, fps, Fraction(lean), end, form, still, stored, turn)


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    attached = av.stream.Disposition.attached_pic
    tracks = [stream for stream in container.streams.video if not stream.disposition & attached]
    for stream in preferred_first(tracks):
        if stream.codec_context is not None and allowed.decoder(stream.codec_context.name):
            return stream
    if tracks:
        raise MediaError(f"{path}: its video is in a codec that is not decoded here; convert it to H.264 in MP4")
    if not container.streams.audio:
        raise MediaError(f"{path}: holds neither picture nor sound, perhaps cut short; copy or export it again")
    raise MediaError(f"{path}: holds no video; give it as the voice, and a video or picture as the clip")


def _rate(stream: av.VideoStream, steps: list[float], longest: float) -> Fraction:
    """Frames a second for the constant timeline.

    FFmpeg's guess, unless no two pictures are that close (it is the rate of fields then, or of the clock), or most of
    them are much closer (it is a mean over long holds).
    """
    guess = stream.guessed_rate or stream.average_rate
    if not steps:  # no timestamps, one picture, or gaps only
        return guess if guess and guess * longest >= 1 else STILL_FPS
    quickest, usual = np.quantile(steps, [0.05, 0.5]).tolist()
    if guess and guess * quickest < 1.5 and guess * usual > 0.67:
        return guess
    common = min(_COMMON, key=lambda rate: abs(rate * usual - 1))
    if abs(common * usual - 1) < 0.03:
        return common
    return Fraction(1 / usual).limit_denominator(1001) if usual < 1 else 1 / Fraction(usual).limit_denominator(1001)


def _duration(container: av.container.InputContainer, stream: av.VideoStream, origin: Fraction) -> Fraction | None:
    """Seconds from clip zero to the end of the picture, as the header has it."""
    if stream.duration:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base - origin
    # Matroska knows the length of the longest stream only; most programs add each one's as a tag.
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(Fraction, tag.groups())
        return 3600 * hours + 60 * minutes + seconds - origin
    return Fraction(container.duration, av.time_base) if container.duration else None


def _turn(picture: av.VideoFrame) -> tuple[float, float, float, float]:
    """Display matrix of a picture, a b c d: stored pixel (x, y) is shown at (a x + c y, b x + d y)."""
    try:
        matrix = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18.1 fails on a kind of side data that it has no name for, such as the EXIF block of a photograph.
        # This way knows rotation but not mirroring.
        angle = math.radians(picture.rotation)
        return math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    return a, b, c, d


def _frames(source: _Source, start: int, stop: int | None, kept: Kept) -> Iterator[Frame]:
    convert = VideoReformatter()
    if source.still:
        stop = 1 if stop is None else min(stop, 1)
    index, held = start, None
    longest = max(1, math.floor(source.limits.max_gap * source.fps))

    def show(until: int) -> Iterator[Frame]:
        nonlocal index
        end = until if stop is None else min(until, stop)
        if index < end:
            time, picture = held
            begin = min(index, source.slot(time))
            if end - begin > longest:
                length = (until - begin) / source.fps
                raise source.limits.gap_error(source.path, "the picture", begin / source.fps, length)
            source.limits.check(source.path, "max_frames", end, "a clip of {} frames or more")
            image = _rgb(picture, source, convert)
            while index < end:
                yield Frame(index, time, image if index == end - 1 else image.copy())
                index += 1

    for time, picture in kept.read(start, stop, source.slot, partial(_pictures, source, start)):
        if held is not None:
            yield from show(source.slot(time))
        if stop is not None and index >= stop:
            return
        held = time, picture
    if held is not None:
        end = source.end
        if end is None:
            end = time + (picture.duration * picture.time_base if picture.duration else 1 / source.fps)
        yield from show(max(source.slot(end), source.slot(time) + 1))


def _pictures(source: _Source, start: int) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Pictures and their times, from one that is shown at frame `start` or before."""
    last = None
    if source.hwaccel:
        try:
            for last, picture in _decoded(source, start):
                yield last, picture
            return
        except (av.error.FFmpegError, MediaError) as error:
            log.warning("%s: decoded by the processor after %.2f s: NVDEC stopped (%s)", source.path, last or 0, error)
    for time, picture in _decoded(replace(source, hwaccel=None), start):
        if last is None or time > last:
            yield time, picture


def _decoded(source: _Source, start: int) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    target, back = start / source.fps, 1 / source.fps
    while target > back and source.searchable:
        with opened(source.path, source.hwaccel) as container:
            stream = _video_stream(container, source.path)
            try:
                container.seek(math.floor((target - back + source.zero) / stream.time_base), stream=stream)
            except av.error.FFmpegError:
                break
            pictures = _timed(stream, container.demux(stream), source)
            # Decoders give nothing before a picture that leans on no other.
            first = next(pictures, None)
            if first and first[1].pts is not None and source.slot(first[0]) <= start:
                yield from chain([first], pictures)
                return
        back = 4 * back + 1
    with opened(source.path, source.hwaccel) as container:
        stream = _video_stream(container, source.path)
        yield from _timed(stream, packets(container, stream, source.limits), source)


def _timed(
    stream: av.VideoStream, demuxed: Iterator[av.Packet], source: _Source
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    # never by frames: in a damaged stream FFmpeg's threads can wait for each other's rows for ever
    stream.thread_type = "SLICE"
    time, queue, decode = -1 / source.fps, deque(), nvdec.decode if source.hwaccel else decoder(stream)
    for packet in demuxed:
        if source.form in _NO_PICTURE_TIMES and packet.size:
            queue.append(packet.dts)
        for picture in decode(packet):
            stamp = queue.popleft() if queue else picture.pts
            time = time + 1 / source.fps if stamp is None else stamp * stream.time_base - source.zero
            yield time, picture


def _rgb(picture: av.VideoFrame, source: _Source, convert: VideoReformatter) -> np.ndarray:
    """The picture as shown: uint8 RGB, H x W x 3, upright, in memory of its own."""
    import cv2

    kind = picture.format
    transparent = kind.has_palette or any(component.is_alpha for component in kind.components)
    if not kind.is_rgb and picture.colorspace not in _MATRICES:
        old = source.still or picture.height < 720
        picture.colorspace = _BT601_525 if old else _BT709
    width, height = source.size
    if transparent:
        image = convert.reformat(picture, width, height, "rgba", interpolation=_EXACT).to_ndarray()
        image = photo.over_grey(image)
    else:
        # by way of planes, which OpenCV joins: the same result in half the time
        green, blue, red = (
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, :width]
            for plane in convert.reformat(picture, width, height, "gbrp", interpolation=_EXACT).planes
        )
        image = cv2.merge((red, green, blue))
    a, b, c, d = source.turn
    if abs(a) < abs(b):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
