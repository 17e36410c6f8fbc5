"""Speech: waveform, mel spectrogram, and one mel window for each video frame.

The constants are those of the published Wav2Lip (its `hparams.py`), which the published weights require.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.limits import Limits
from lipsync_lab.media.container import decoded, opened, packets, sound_streams, zero

SAMPLE_RATE = 16_000
N_FFT = 800
HOP_LENGTH = 200
N_MELS = 80
F_MIN, F_MAX = 55, 7600
PREEMPHASIS = 0.97
REF_DB = 20
MIN_DB = -100
#: Mel values lie in [-MAX_ABS, MAX_ABS]; silence is -MAX_ABS.
MAX_ABS = 4.0
MELS_PER_SECOND = SAMPLE_RATE // HOP_LENGTH
#: Columns of one generator window: 0.2 s.
MEL_WINDOW = 16

assert SAMPLE_RATE % HOP_LENGTH == 0
assert N_FFT % 2 == 0

#: Samples transformed at a time, so that memory does not grow with the recording.
_BLOCK = 1 << 17

#: Most samples that an encoder adds after the end of the sound: four blocks of AAC.
_PADDING = 4096


@dataclass(frozen=True)
class Sound:
    """A recording as a stream of blocks, at its own sample rate.

    Attributes
    ----------
    rate : int
        Samples a second.
    channels : int
    blocks : iterable of ndarray, float32, (n, channels)
        In [-1, 1], one after the other without gaps.
    """

    rate: int
    channels: int
    blocks: Iterable[np.ndarray]

    @classmethod
    def from_wave(cls, wave: np.ndarray, rate: int = SAMPLE_RATE) -> Sound:
        """From a mono waveform, float32 in [-1, 1], (n,)."""
        return cls(rate, 1, [np.asarray(wave, np.float32)[:, None]])


def open_sound(path: str | Path, *, limits: Limits | None = None) -> Sound:
    """Open a sound track of any file that FFmpeg reads, as a stream: of those that can be decoded the default one.

    Time zero is where the file's earliest picture or sound starts: a track that starts later begins with silence,
    and silence fills a hole in its timestamps, in blocks of at most a second. Damaged packets are passed over.
    FFmpeg's own down-mix is not used anywhere (it comes out 1.41 times too loud): channels are handed on as they are.

    Parameters
    ----------
    path : path
    limits : Limits, optional
        By default those of the environment; `max_gap` bounds a hole.

    Raises
    ------
    MediaError
        The file cannot be read, or has no sound track that can be decoded. While the blocks are read: a hole longer
        than the limit, NaN or infinity, no sample at all.
    """
    with opened(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: has no sound track; give a recording of the voice, or a clip that has one")
        tracks = sound_streams(container)
        if not tracks:
            raise MediaError(f"{path}: its sound is in a codec that FFmpeg does not decode; convert it to WAV first")
        codec = tracks[0].codec_context
        blocks = _Blocks(path, tracks[0].index, codec.sample_rate, codec.channels, limits or Limits.from_environment())
        return Sound(codec.sample_rate, codec.channels, blocks)


@dataclass(frozen=True)
class _Blocks:
    """The samples of a file's sound track; can be read again from the start."""

    path: str | Path
    track: int
    rate: int
    channels: int
    limits: Limits

    def __iter__(self) -> Iterator[np.ndarray]:
        done = 0
        with opened(self.path) as container:
            stream, start = container.streams[self.track], zero(container)
            # AAC comes in blocks of 1024 samples; where in the last one the sound ends, the index of an MP4 says
            end = 0
            if container.format.name.startswith("mov") and stream.duration:
                end = round((((stream.start_time or 0) + stream.duration) * stream.time_base - start) * self.rate)
            for block in _cut(self._with_silence(container, stream, start), end):
                done += len(block)
                yield block
        if not done:
            raise MediaError(f"{self.path}: its sound track holds no sample; export the recording again")

    def _with_silence(self, container, stream, start) -> Iterator[np.ndarray]:
        """Decoded blocks, and silence where the timestamps leave a hole."""
        done = 0
        for pts, block in self._converted(chain.from_iterable(map(decoded, packets(container, stream, self.limits)))):
            hole = 0 if pts is None else round((pts - start) * self.rate) - done
            if hole > self.limits.max_gap * self.rate:
                raise self.limits.gap_error(self.path, "the sound", done / self.rate, hole / self.rate)
            # timestamps are rounded in many containers: less than 20 ms is no hole
            if hole > self.rate // 50:
                done += hole
                for first in range(0, hole, self.rate):
                    yield np.zeros((min(self.rate, hole - first), self.channels), np.float32)
            done += len(block)
            self.limits.check(self.path, "max_seconds", done / self.rate, "a sound of {} s or more")
            yield block

    def _converted(self, frames) -> Iterator[tuple[Fraction | None, np.ndarray]]:
        """Time in seconds, None where it is not known, and samples of each frame at the rate and channels of the track.

        Only the sample format is converted, unless the rate or the layout changes midway, as in joined recordings.
        """
        import av

        convert, form = None, None
        for frame in chain(frames, [None]):
            new = frame and (frame.sample_rate, frame.layout.name, frame.format.name)
            pieces = []
            if new != form:
                pieces = [(None, piece) for piece in convert.resample(None)] if convert else []
                convert, form = new and av.AudioResampler(format="flt", layout=frame.layout, rate=self.rate), new
            if frame:
                time = None if frame.pts is None else frame.pts * frame.time_base
                pieces += [(time, piece) for piece in convert.resample(frame)]
            for time, piece in pieces:
                block = piece.to_ndarray().reshape(-1, len(piece.layout.channels))
                if block.shape[1] != self.channels:  # FFmpeg's own down-mix is too loud
                    block = block.mean(axis=1, keepdims=True).repeat(self.channels, axis=1)
                if not np.isfinite(block).all():
                    raise MediaError(f"{self.path}: its sound holds NaN or infinity; export the recording again")
                yield time, block


def _cut(blocks: Iterable[np.ndarray], end: int) -> Iterator[np.ndarray]:
    """Blocks up to sample `end`; all of them where `end` is not positive, or so early that the header must be wrong."""
    place, beyond = 0, []
    for block in blocks:
        inside = block[: max(0, end - place)] if end > 0 else block
        place += len(block)
        if len(inside):
            yield inside
        if len(inside) < len(block):
            beyond.append(block[len(inside) :])
            if place - end > _PADDING:
                yield from beyond
                end, beyond = 0, []


def load(path: str | Path, *, limits: Limits | None = None) -> np.ndarray:
    """Decode a file's sound to the waveform that the networks take.

    Parameters
    ----------
    path : path
        Any container or codec that FFmpeg reads, a video among them.
    limits : Limits, optional
        As for `open_sound`.

    Returns
    -------
    ndarray, float32, (n,)
        Mono in [-1, 1] at `SAMPLE_RATE`: the mean of the channels (`polarity`), resampled by soxr.

    Raises
    ------
    MediaError
        The file cannot be read, has no sound, holds NaN, or has a hole longer than the limit.
    """
    samples = array("f")  # grows in place: joining a list of pieces would hold the recording twice
    for block in _resampled(path, limits):
        samples.frombytes(block.tobytes())
    return np.frombuffer(samples, np.float32)


def load_mel(path: str | Path, *, limits: Limits | None = None) -> tuple[np.ndarray, int]:
    """The mel spectrogram of `load`, and the number of its samples, which are never in memory together.

    Parameters and errors are those of `load` and `melspectrogram`.
    """
    return _mel_of(_resampled(path, limits))


def _resampled(path: str | Path, limits: Limits | None) -> Iterator[np.ndarray]:
    """Blocks of the waveform of `load`."""
    import soxr

    sound = open_sound(path, limits=limits)
    signs = polarity(sound)
    resampler = soxr.ResampleStream(sound.rate, SAMPLE_RATE, 1, dtype="float32")
    for block in sound.blocks:
        yield np.clip(resampler.resample_chunk(mono(block, signs)), -1, 1)
    yield np.clip(resampler.resample_chunk(np.zeros(0, np.float32), last=True), -1, 1)


def polarity(sound: Sound) -> np.ndarray:
    """The sign with which each channel enters the mean of all, float32 (channels,); it reads the sound once.

    1 for every channel, unless the channels cancel each other, as where a microphone is wired wrongly: the power of
    their mean is then under a quarter of what unrelated channels give (for two of the same power, a correlation below
    -0.75), and each channel takes the sign of its correlation with the strongest.
    """
    if sound.channels == 1:
        return np.ones(1, np.float32)
    power = np.zeros((sound.channels, sound.channels))
    for block in sound.blocks:
        finite = np.nan_to_num(block.astype(np.float64), posinf=0, neginf=0)
        power += finite.T @ finite
    if power.sum() >= np.trace(power) / 4:
        return np.ones(sound.channels, np.float32)
    return np.where(power[np.diag(power).argmax()] < 0, -1, 1).astype(np.float32)


def mono(block: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The mean of the channels of a block (n, channels), each with the sign that `polarity` gives."""
    return block.mean(axis=1) if (signs > 0).all() else (block * signs).mean(axis=1)


@lru_cache(maxsize=1)
def _mel_basis() -> np.ndarray:
    """Mel filter bank, float32, (80, 401).

    The bundled file is the output of ``librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=F_MIN,
    fmax=F_MAX)``, kept because importing librosa takes seconds; `tests/test_audio.py` holds the two equal.
    """
    with np.load(Path(__file__).with_name("mel_basis.npz")) as stored:
        return stored["basis"]


def melspectrogram(wave: np.ndarray) -> np.ndarray:
    """Mel spectrogram as Wav2Lip was trained on.

    Parameters
    ----------
    wave : ndarray, float32, (n,)
        Mono at `SAMPLE_RATE`, in [-1, 1].

    Returns
    -------
    ndarray, float32, (80, 1 + n // 200)
        Decibels brought to [-4, 4]; 80 columns a second.

    Raises
    ------
    ParameterError
        The waveform is not one-dimensional, is empty, or holds NaN.

    Notes
    -----
    Pre-emphasis, short-time Fourier transform with centred frames, mel filters, decibels below 20, and a linear map
    of [-100, 0] dB to [-4, 4]: `audio.py` and `hparams.py` of Rudrabha/Wav2Lip. Worked in blocks: the whole
    transform of ten minutes would take a quarter of a gigabyte.
    """
    wave = np.asarray(wave, np.float32)
    if wave.ndim != 1 or not len(wave):
        raise ParameterError(f"a waveform must have one dimension and at least one sample; this has shape {wave.shape}")
    if not np.isfinite(wave.sum(dtype=np.float64)):  # one number, where a mask would be as long as the recording
        raise ParameterError("the waveform contains NaN or infinity; decode the file again")
    return _mel_of(wave[first : first + _BLOCK] for first in range(0, len(wave), _BLOCK))[0]


def _mel_of(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, int]:
    """Mel spectrogram of a waveform in blocks, and the number of its samples."""
    step = _BLOCK // HOP_LENGTH
    whole = (step - 1) * HOP_LENGTH + N_FFT
    # pre-emphasised samples that no column has used up yet; zeros where there is no sound
    ready, there = [np.zeros(N_FFT // 2, np.float32)], N_FFT // 2
    count, before, parts = 0, np.float32(0), deque()
    for block in filter(len, blocks):
        ready.append(block - np.float32(PREEMPHASIS) * np.concatenate(([before], block[:-1])))
        before, count, there = block[-1], count + len(block), there + len(block)
        while there >= whole:
            joined = np.concatenate(ready)
            parts.append(_columns(joined[:whole]))
            ready, there = [joined[step * HOP_LENGTH :]], there - step * HOP_LENGTH
    if not count:
        raise ParameterError("a waveform must have at least one sample")
    columns, done = 1 + count // HOP_LENGTH, step * len(parts)
    joined = np.concatenate([*ready, np.zeros(N_FFT // 2, np.float32)])
    for first in range(0, columns - done, step):
        last = min(first + step, columns - done) - 1
        parts.append(_columns(joined[first * HOP_LENGTH : last * HOP_LENGTH + N_FFT]))
    mel, first = np.empty((N_MELS, columns), np.float32), 0
    while parts:  # a part is freed once it is copied
        part = parts.popleft()
        mel[:, first : first + part.shape[1]] = part
        first += part.shape[1]
    return mel, count


def _columns(emphasised: np.ndarray) -> np.ndarray:
    """Mel columns of pre-emphasised samples: one for each transform that fits."""
    window = np.hanning(N_FFT + 1)[:-1]  # the periodic Hann window
    pieces = np.lib.stride_tricks.sliding_window_view(emphasised, N_FFT)[::HOP_LENGTH]
    magnitude = np.abs(np.fft.rfft(window * pieces).astype(np.complex64)).T
    level = 20 * np.log10(np.maximum(10 ** (MIN_DB / 20), _mel_basis() @ magnitude)) - REF_DB
    return np.clip(2 * MAX_ABS * (level - MIN_DB) / -MIN_DB - MAX_ABS, -MAX_ABS, MAX_ABS).astype(np.float32)


def window_starts(columns: int, fps: float) -> list[int]:
    """First mel column of each video frame's window, as the published `inference.py` takes them.

    There are as many frames as windows fit, and a last one that is moved back to end with the sound: the picture
    comes out up to 0.15 s shorter than the voice.

    Parameters
    ----------
    columns : int
        Columns of the mel spectrogram.
    fps : float
        Frames a second.

    Raises
    ------
    ParameterError
        The sound is shorter than one window (0.2 s).
    """
    _check_length(columns)
    step, starts = MELS_PER_SECOND / fps, []
    while int(len(starts) * step) + MEL_WINDOW <= columns:
        starts.append(int(len(starts) * step))
    return [*starts, columns - MEL_WINDOW]


def mel_windows(mel: np.ndarray, starts: Iterable[int]) -> np.ndarray:
    """Cut windows out of a mel spectrogram.

    Parameters
    ----------
    mel : ndarray, float32, (80, columns)
    starts : iterable of int
        First column of each window. What lies before or after the sound is silence.

    Returns
    -------
    ndarray, float32, (N, 80, 16)
    """
    starts = np.asarray(list(starts), int)
    index = starts[:, None] + np.arange(MEL_WINDOW)
    outside = (index < 0) | (index >= mel.shape[1])
    windows = mel[:, np.where(outside, 0, index)]
    windows[:, outside] = -MAX_ABS
    return windows.transpose(1, 0, 2)


def _check_length(columns: int) -> None:
    if columns < MEL_WINDOW:
        raise ParameterError(
            f"the sound is shorter than one mel window ({MEL_WINDOW / MELS_PER_SECOND} s); use a longer one"
        )


def followed_by(voice: Sound, rest: Sound, start: float) -> Sound:
    """A voice, followed by the rest of another recording.

    Parameters
    ----------
    voice : Sound
    rest : Sound
        Brought to the voice's rate (soxr) and channels (mean, or the same in all).
    start : float
        Time in seconds at which the voice ends and the other recording takes over.
    """
    return Sound(voice.rate, voice.channels, _Joined(voice, rest, start))


@dataclass(frozen=True)
class _Joined:
    voice: Sound
    rest: Sound
    start: float

    def __iter__(self) -> Iterator[np.ndarray]:
        import soxr

        done = 0
        for block in self.voice.blocks:
            done += len(block)
            yield block
        done = max(done, round(self.start * self.voice.rate))
        resampler = soxr.ResampleStream(self.rest.rate, self.voice.rate, 1, dtype="float32")
        signs = polarity(self.rest)
        place = 0
        for block in chain(self.rest.blocks, (None,)):
            single = np.zeros(0, np.float32) if block is None else mono(block, signs)
            piece = resampler.resample_chunk(single, last=block is None)
            fresh = piece[max(0, done - place) :]
            place += len(piece)
            if len(fresh):
                yield np.repeat(fresh[:, None], self.voice.channels, axis=1)
