"""Open media files: what the readers of sound and of pictures share.

Recordings that were joined byte by byte (transport and program streams, Ogg, FLV) have a clock that starts over or
jumps; `packets` puts their parts one after the other. `opened` reads one file and never another (`media.allowed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import files
from lipsync_lab.errors import MediaError
from lipsync_lab.limits import Limits
from lipsync_lab.media import allowed

if TYPE_CHECKING:
    import av
    from av.codec.hwaccel import HWAccel

#: Decoding times of one stream never go back. Less than this (seconds) is rounding, as FFmpeg's own program has it.
_STEP_BACK = Fraction(1, 10)


@contextmanager
def opened(path: str | Path, hwaccel: HWAccel | None = None):
    """Open a media file for reading, and turn FFmpeg's errors into `MediaError`.

    Parameters
    ----------
    path : path
    hwaccel : av.codec.hwaccel.HWAccel, optional
        What decodes the pictures instead of the processor.

    Yields
    ------
    av.container.InputContainer
        Closed on leaving, also where a generator that holds it is abandoned midway.
    """
    import av

    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if (kind := files.kind(path)) == "a folder":
        raise MediaError(f"{path}: not a file but a folder; name one clip or recording in it")
    if kind:
        raise MediaError(f"{path}: not a file but {kind}, and it is read more than once; save it to a file first")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty; copy or download it again")
    try:
        # `file:` keeps FFmpeg from reading a colon or a percent sign in the name as a protocol or a pattern
        with av.open(
            f"file:{path}", metadata_errors="replace", options=allowed.options(), hwaccel=hwaccel
        ) as container:
            Limits.from_environment().check(path, "max_streams", len(container.streams), "a file of {} tracks")
            yield container
    except MemoryError:
        raise
    except PermissionError as error:
        if hwaccel:
            raise MediaError(f"{path}: not decoded by the GPU ({error.strerror})") from error
        raise MediaError(f"{path}: may not be read; check its permissions") from None
    except av.error.FFmpegError as error:
        if kind := allowed.refused(path, error):
            raise MediaError(f"{path}: is {kind}, which may name other files and is not read") from error
        raise MediaError(
            f"{path}: not readable as media ({error.strerror}); is it complete, and a clip or sound at all?"
        ) from error


def zero(container: av.container.InputContainer) -> Fraction:
    """Time, in the container's own seconds, at which its earliest picture or sound starts.

    Picture and sound are both counted from here, so that neither moves against the other.
    """
    return min((s.start_time * s.time_base for s in _timed_streams(container)), default=Fraction(0))


def _timed_streams(container: av.container.InputContainer) -> list[av.stream.Stream]:
    return [s for s in (*container.streams.video, *container.streams.audio) if s.start_time is not None]


def sound_streams(container: av.container.InputContainer) -> list[av.AudioStream]:
    """The sound tracks that can be decoded here, the preferred one first."""
    return preferred_first(
        stream
        for stream in container.streams.audio
        if (codec := stream.codec_context) is not None
        and allowed.decoder(codec.name)
        and codec.sample_rate
        and codec.channels
    )


def preferred_first(streams: Iterable[av.stream.Stream]) -> list[av.stream.Stream]:
    """Tracks in the order in which a player takes them: a default one, then any but a commentary, then the first."""
    import av

    flags = av.stream.Disposition
    other = flags.comment | flags.hearing_impaired | flags.visual_impaired | flags.descriptions | flags.captions
    return sorted(
        streams, key=lambda stream: (not stream.disposition & flags.default, bool(stream.disposition & other))
    )


def decoder(stream: av.stream.Stream) -> Callable[[av.Packet], list]:
    """`decoded` for the packets of a stream; FFmpeg's own decoders of VP8 and VP9 leave out the alpha channel."""
    import av

    tags = {name.lower(): value for name, value in stream.metadata.items()}
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name not in av.codecs_available or tags.get("alpha_mode") != "1":
        return decoded
    context = av.CodecContext.create(name, "r")
    context.extradata = stream.codec_context.extradata
    return lambda packet: decoded(packet, context)


def decoded(packet: av.Packet, context: av.CodecContext | None = None) -> list:
    """The frames that a packet completes; none where the decoder refuses it, as it does a damaged one."""
    import av

    try:
        return packet.decode() if context is None else context.decode(packet if packet.size else None)
    except MemoryError:
        raise
    except av.error.BlockingIOError as error:  # of a decoder that begins threads, for which there is no memory
        raise MemoryError(f"out of memory: {error.strerror}") from error
    except av.error.FFmpegError:  # of any kind: some decoders answer damage with "operation not permitted"
        return []


def joinable(container: av.container.InputContainer) -> bool:
    """Whether the clock of this kind of file may jump: what is meant to be recorded, cut and joined as bytes."""
    import av

    return bool(container.format.flags & av.format.Flags.ts_discont.value) or container.format.name == "flv"


def packets(container: av.container.InputContainer, stream: av.stream.Stream, limits: Limits) -> Iterator[av.Packet]:
    """Packets of one stream from the start of the file, on one clock.

    In files that may be joined recordings, a part whose clock starts over, or lies more than `limits.max_gap` ahead,
    follows directly on the part before. The correction is the same for picture and sound, whichever is read.
    """
    if not joinable(container):
        yield from container.demux(stream)
        return
    clock = _Clock(zero(container), limits.max_gap)
    for packet in container.demux(_timed_streams(container)):
        clock.correct(packet)
        if packet.stream.index == stream.index:
            yield packet


class _Clock:
    """One timeline through the packets of all streams, in the order of the file."""

    def __init__(self, start: Fraction, max_gap: float):
        self.end = start  # latest end of a packet, in corrected seconds
        self.jumped = False
        self.ends: dict[int, Fraction] = {}  # the same for each stream
        self._max_gap = Fraction(max_gap)
        self._newest = Fraction(0)  # correction of the part that began last
        self._corrections: dict[int, Fraction] = {}
        self._last: dict[int, Fraction] = {}

    def correct(self, packet: av.Packet) -> None:
        """Move the timestamps of a packet to the common timeline."""
        index, base = packet.stream.index, packet.time_base
        correction = self._corrections.get(index, self._newest)
        if packet.dts is not None:
            time = packet.dts * base
            if not self._follows(index, time + correction):
                # streams meet a jump one after the other: the next ones take the correction that the first one made
                if not self._follows(index, time + self._newest):
                    self._newest = self.end - time
                correction, self.jumped = self._newest, True
            step = time + correction - self._last.get(index, time + correction)
            self._last[index] = time + correction
            end = (packet.pts if packet.pts is not None else packet.dts) * base + correction
            end += packet.duration * base if packet.duration else step  # FLV gives no durations
            self.ends[index] = max(end, self.ends.get(index, end))
            self.end = max(end, self.end)
        self._corrections[index] = correction
        if correction and base:
            ticks = round(correction / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _follows(self, index: int, time: Fraction) -> bool:
        return self._last.get(index, time) - _STEP_BACK <= time <= self.end + self._max_gap


def joined(path: Path, max_gap: float) -> tuple[bool, dict[int, Fraction]]:
    """Read a `joinable` file's packets once: whether its clock jumps, and where each stream ends (seconds, corrected).

    The answer is kept for as long as the file does not change.
    """
    state = path.stat()
    return _joined(path, state.st_size, state.st_mtime_ns, max_gap)


@lru_cache(maxsize=64)
def _joined(path: Path, size: int, modified: int, max_gap: float) -> tuple[bool, dict[int, Fraction]]:
    with opened(path) as container:
        clock = _Clock(zero(container), max_gap)
        for packet in container.demux(_timed_streams(container)):
            clock.correct(packet)
    return clock.jumped, clock.ends
