"""Encode pictures and sound into a file that is complete or absent. Callers use `media.video.Writer`."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Interpolation

from lipsync_lab import files
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import ycbcr

if TYPE_CHECKING:
    from lipsync_lab.media.audio import Sound

#: Codec -> container format, file name extension, encoder, sound encoder.
_CODECS = {
    "h264": ("mp4", ".mp4", "libx264", "aac"),
    "h264_nvenc": ("mp4", ".mp4", "h264_nvenc", "aac"),
    "ffv1": ("matroska", ".mkv", "ffv1", "pcm_f32le"),
}

#: Tags that both containers keep; FFmpeg drops others from MP4 without a warning.
_TAGS = ("title", "artist", "album", "comment", "copyright", "description", "date", "genre")

#: Channels -> FFmpeg's name of the layout.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

#: Encoders' output depends on their number of threads, so it is the same on every machine.
_THREADS = 4
#: x264's AVX-512 code for macroblock trees reads memory that it never wrote, so that its output differed from run to
#: run. Up to AVX2 it has no such code, and gives the same bytes as up to SSE4.2. A processor without AVX2 takes what it
#: has; other processors have other names.
_X264 = {"x264-params": "asm=avx2"} if platform.machine().lower() in ("x86_64", "amd64") else {}

#: x264's preset, and by how much the crf is lower: of the usual encoding, and of the quick one.
_PRESETS = (("medium", 0), ("superfast", 2))

#: FFmpeg's numbers, those that swscale takes for matrices, and the one that a file states for BT.601.
_BT709, _BT601, _SMPTE170M = 1, 5, 6
_LIMITED, _FULL = 1, 2


class Writer:
    """Encode frames, and a sound with them, into one file that appears when it is complete.

    A context manager. The file is written under a private name in its own folder and renamed on leaving; an exception
    (Ctrl-C too) leaves nothing behind and an older file of that name as it was. The same input gives the same bytes.

    Parameters
    ----------
    path : path
        Missing folders are made. `.mp4` for h264, `.mkv` for ffv1.
    fps : Fraction, int or float
        Frames a second; a float stands for the nearest fraction with a denominator of at most 1001.
    sound : Sound, optional
        Starts with the first frame and is read as the frames come. What lasts longer than the picture by more than
        one frame is cut at the end of the picture; up to there it is written whole.
    codec : {"h264", "h264_nvenc", "ffv1"}
        H.264 (yuv420p) and AAC in MP4, index first; or FFV1 and float PCM in Matroska, both without any loss. In
        H.264 the last column and row are repeated where width or height is odd. `h264_nvenc` is the encoder of NVIDIA
        GPUs, if the GPU has one (`check_codec`); its bytes are not the same on every GPU.
    crf : float
        Quality of H.264, 0 (best) to 51; with NVENC the quantizer of P pictures, from which FFmpeg takes 0.8 of it for
        I pictures and 1.25 of it for B pictures.
    quick : bool
        Encode h264 with x264's preset superfast instead of medium, and a crf that is lower by 2: in a third of the
        time or less, with the same PSNR and SSIM, and two to three times as many bytes (`benchmarks/NOTES.md`).
    full_range : bool
        YCbCr of h264 in 0..255 instead of 16..235. The matrix is BT.709 from 720 lines upwards and BT.601 below. Both
        are tagged.
    pixel_aspect : Fraction
        Width of a pixel as a player shows it, in heights of it; PyAV cannot state it in Matroska.
    colour_tags : (int, int)
        FFmpeg's numbers of primaries and transfer function, which the file states; 2 states none.
    tags : dict of str to str, optional
        For the container: title, artist, album, comment, copyright, description, date, genre.

    Raises
    ------
    ParameterError
        Unknown codec or tag, wrong extension, crf or rate; a frame that is not uint8 H x W x 3 or not of the first
        one's size.
    MediaError
        The folder or disk does not take the file; no frame was written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Fraction | float,
        sound: Sound | None = None,
        codec: str = "h264",
        crf: float = 18,
        quick: bool = False,
        full_range: bool = False,
        pixel_aspect: Fraction | int = 1,
        colour_tags: tuple[int, int] = (2, 2),
        tags: dict[str, str] | None = None,
    ):
        self.path = Path(path)
        if codec not in _CODECS:
            raise ParameterError(f"there is no codec {codec!r}; use {' or '.join(_CODECS)}")
        extension = _CODECS[codec][1]
        if self.path.suffix.lower() != extension:
            raise ParameterError(f"{path}: {codec} goes into {extension}; name the file {self.path.stem}{extension}")
        if not 0 < fps <= 1000:
            raise ParameterError(f"{fps} frames a second cannot be written; give more than 0 and at most 1000")
        if not 0 <= crf <= 51:
            raise ParameterError(f"crf {crf} is outside of its range; give 0 (best) to 51")
        if unknown := set(tags or ()) - set(_TAGS):
            raise ParameterError(f"the containers do not keep the tags {sorted(unknown)}; use {', '.join(_TAGS)}")
        if sound is not None and sound.channels not in _LAYOUTS:
            raise ParameterError(f"a sound of {sound.channels} channels cannot be written; give 1 to 8")
        self.fps = Fraction(fps).limit_denominator(1001) if isinstance(fps, float) else Fraction(fps)
        self.count = 0
        self._sound, self._codec, self._crf, self._quick = sound, codec, crf, quick
        self._full_range, self._tags = full_range, tags or {}
        self._pixel_aspect, self._colour_tags = Fraction(pixel_aspect), colour_tags
        self._size = self._container = self._private = None
        self._encodes = False

    def __enter__(self) -> Writer:
        if self.path.is_dir():
            raise MediaError(f"{self.path}: is a folder; name a file in it")
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.sweep(self.path.parent)
            private = files.private_name(self.path.parent)
            os.close(os.open(private, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        self._private = private
        return self

    def write(self, image: np.ndarray) -> None:
        """Append a frame: uint8 RGB, H x W x 3, each of the first one's size."""
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ParameterError(f"a frame must be uint8, H x W x 3, not {image.dtype} {image.shape}")
        if self._size is None:
            self._size = image.shape
        if image.shape != self._size:
            raise ParameterError(f"frame {self.count} is {image.shape}, the first was {self._size}; resize it before")
        with self._explained():
            picture = self._picture(image)
            if self._container is None:
                self._open(picture)
            picture.pts, picture.time_base = self.count, 1 / self.fps
            self._container.mux(self._video.encode(picture))
        self._count_one()

    def append(self, path: str | Path) -> None:
        """Append the pictures of a clip that a writer with the same options wrote, without encoding them again.

        All frames of a file come this way, or none.
        """
        with self._explained(), av.open(f"file:{path}") as clip:
            stream = clip.streams.video[0]
            if self._container is None:
                self._create()
                self._video = self._container.add_stream_from_template(stream)
                self._add_sound()
            moved = round(self.count / self.fps / stream.time_base)
            for packet in clip.demux(stream):
                if packet.dts is None:  # the end of the file
                    continue
                packet.pts, packet.dts, packet.stream = packet.pts + moved, packet.dts + moved, self._video
                self._container.mux(packet)
                self._count_one()

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                if self._container is not None:
                    self._container.close()
            self._private.unlink(missing_ok=True)

    def _finish(self) -> None:
        if not self.count:
            raise MediaError(f"{self.path}: there is no frame to write; check the clip")
        if self._sound is not None:
            # one sample more than may be kept tells whether the sound goes on
            spare = self._samples_until(self.count + 1) - self._samples.done
            tail = self._samples.read(spare + 1)
            if len(tail) <= spare:
                self._write_sound(tail)
        with self._explained():
            if self._encodes:
                self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._audio.encode(None))
            self._container.close()
            files.put(self._private, self.path)

    def _count_one(self) -> None:
        self.count += 1
        if self._sound is not None:
            self._write_sound(self._samples.read(self._samples_until(self.count) - self._samples.done))

    def _create(self) -> None:
        form = _CODECS[self._codec][0]
        options = {"movflags": "+faststart"} if form == "mp4" else {}
        self._container = av.open(f"file:{self._private}", "w", format=form, container_options=options)
        # no library versions, no random track numbers
        self._container.flags |= av.container.Flags.bitexact.value
        self._container.metadata.update(self._tags)

    def _open(self, picture: av.VideoFrame) -> None:
        self._create()
        if self._codec == "h264_nvenc":
            settings = {"rc": "constqp", "qp": str(round(self._crf))}
        elif self._codec == "h264":
            preset, less = _PRESETS[self._quick]
            settings = {"crf": str(max(0, self._crf - less)), "preset": preset, **_X264}
        else:
            settings = {"level": "3", "slices": "4" if min(picture.width, picture.height) > 16 else "1"}
        self._video = self._container.add_stream(_CODECS[self._codec][2], rate=self.fps, options=settings)
        context = self._video.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, picture.format.name
        context.time_base, context.thread_count = 1 / self.fps, _THREADS
        context.flags |= av.codec.context.Flags.bitexact
        context.colorspace, context.color_range = picture.colorspace, picture.color_range
        context.color_primaries, context.color_trc = self._colour_tags
        if self._pixel_aspect != 1:
            context.sample_aspect_ratio = self._pixel_aspect
        if self._codec == "h264_nvenc":
            self._open_nvenc(context)
        self._encodes = True
        self._add_sound()

    def _open_nvenc(self, context: av.VideoCodecContext) -> None:
        try:
            context.open()
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{self.path}: the GPU's encoder does not open for {context.width} x {context.height} pixels "
                f"({error.strerror}): too small or too large for it, or busy; give --codec h264"
            ) from error

    def _add_sound(self) -> None:
        """Add the track of the sound, where there is one, and write the header."""
        if self._sound is not None:
            encoder = _CODECS[self._codec][3]
            rates = av.Codec(encoder, "w").audio_rates
            # an encoder resamples what it is given to its own rate
            rate = self._sound.rate if not rates or self._sound.rate in rates else 48_000
            self._audio = self._container.add_stream(encoder, rate=rate, layout=_LAYOUTS[self._sound.channels])
            # the most that AAC holds, up to what is plenty: with less, FFmpeg's encoder rings at the first sound
            self._audio.codec_context.bit_rate = min(128_000, 6 * rate) * self._sound.channels
            self._audio.codec_context.flags |= av.codec.context.Flags.bitexact
            self._samples = _Samples(self._sound)
        self._container.start_encoding()

    def _picture(self, image: np.ndarray) -> av.VideoFrame:
        if self._codec == "ffv1":
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(format="bgr0")
        height, width = image.shape[:2]
        matrix, reach = (_BT709 if height >= 720 else _BT601), (_FULL if self._full_range else _LIMITED)
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        if self._quick:
            planes = ycbcr.yuv420(np.ascontiguousarray(image), matrix == _BT709, self._full_range)
            picture = av.VideoFrame.from_ndarray(planes, "yuv420p")
            picture.colorspace, picture.color_range = (_BT709 if matrix == _BT709 else _SMPTE170M), reach
            return picture
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(
            format="yuv420p",
            dst_colorspace=matrix,
            dst_color_range=reach,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND,
        )

    def _samples_until(self, frame: int) -> int:
        return round(frame / self.fps * self._sound.rate)

    def _write_sound(self, samples: np.ndarray) -> None:
        if not len(samples):
            return
        layout, rate = _LAYOUTS[self._sound.channels], self._sound.rate
        with self._explained():
            block = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
            block.sample_rate, block.time_base = rate, Fraction(1, rate)
            block.pts = self._samples.done - len(samples)
            self._container.mux(self._audio.encode(block))

    @contextlib.contextmanager
    def _explained(self):
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            why = error.strerror or error
            raise MediaError(
                f"{self.path}: cannot be written ({why}); check the folder, its rights and the disk"
            ) from error


def check_codec(codec: str) -> None:
    """Refuse NVENC where it does not open, before anything is done.

    Raises
    ------
    ParameterError
        The GPU has no encoder, there is none, or this build of FFmpeg cannot use it.
    """
    if codec != "h264_nvenc":
        return
    try:
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt, context.time_base = 256, 256, "yuv420p", Fraction(1, 25)
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ParameterError(
            f"--codec h264_nvenc: no encoder of an NVIDIA GPU opens here ({why}); "
            "data-centre GPUs such as A100, H100 and H200 have none; give --codec h264"
        ) from error


class _Samples:
    """Any number of samples at a time, from blocks of any length."""

    def __init__(self, sound: Sound):
        self.done = 0
        self._blocks = iter(sound.blocks)
        self._rest = np.zeros((0, sound.channels), np.float32)

    def read(self, count: int) -> np.ndarray:
        """The next samples, float32 (n, channels); fewer than asked for at the end."""
        parts, wanted = [self._rest[:0]], count
        while wanted > 0:
            if not len(self._rest):
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = np.asarray(block, np.float32)
            parts.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(parts[-1])
        self.done += count - wanted
        return np.concatenate(parts)


def write_clip(path: str | Path, images: Iterable[np.ndarray], fps: Fraction | float, **options) -> Path:
    """Write frames, uint8 RGB H x W x 3, as a clip; options and errors as of `Writer`."""
    with Writer(path, fps=fps, **options) as writer:
        for image in images:
            writer.write(image)
    return writer.path
