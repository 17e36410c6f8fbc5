"""Speech: waveform, mel spectrogram, one mel window a video frame.

The numbers are those that the published Wav2Lip was trained with (its `hparams.py`); nothing here is a choice.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np

from lipsync_lab.errors import MediaError, ParameterError

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


@dataclass(frozen=True)
class Sound:
    """A recording as a stream, at its own rate.

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


def open_sound(path: str | Path) -> Sound:
    """Open the first sound track of any file that FFmpeg reads, as a stream.

    Time zero is where the file's earliest picture or sound starts: a track that starts later begins with silence,
    and so does what follows a hole in its timestamps. FFmpeg's own down-mix is not used anywhere (it comes out
    1.41 times too loud): channels are handed on as they are.

    Raises
    ------
    MediaError
        The file cannot be read, or has no sound.
    """
    from lipsync_lab.container import opened

    with opened(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: has no sound track; give a recording of the voice, or a clip that has one")
        codec = container.streams.audio[0].codec_context
        if not codec.sample_rate or not codec.channels:
            raise MediaError(f"{path}: its sound track names no sample rate; convert it to WAV first")
        return Sound(codec.sample_rate, codec.channels, _Blocks(path, codec.sample_rate, codec.channels))


@dataclass(frozen=True)
class _Blocks:
    """The samples of a file's first sound track; can be read again from the start."""

    path: str | Path
    rate: int
    channels: int

    def __iter__(self) -> Iterator[np.ndarray]:
        import av

        from lipsync_lab.container import opened, zero

        done = 0
        with opened(self.path) as container:
            stream = container.streams.audio[0]
            start = zero(container)
            # only the sample format is converted: same rate, same channels
            convert = av.AudioResampler(format="flt", layout=stream.codec_context.layout, rate=self.rate)
            # AAC comes in blocks of 1024 samples; where in the last one the sound ends, the index of an MP4 says
            end = sys.maxsize
            if container.format.name.startswith("mov") and stream.duration is not None:
                end = round((((stream.start_time or 0) + stream.duration) * stream.time_base - start) * self.rate)
            for frame in container.decode(stream):
                if frame.pts is not None:
                    hole = round((frame.pts * frame.time_base - start) * self.rate) - done
                    # timestamps are rounded in many containers: less than 20 ms is no hole
                    if hole > self.rate // 50:
                        done += hole
                        yield np.zeros((hole, self.channels), np.float32)
                for piece in convert.resample(frame):
                    block = piece.to_ndarray().reshape(-1, self.channels)[: max(0, end - done)]
                    done += len(block)
                    if not np.isfinite(block).all():
                        raise MediaError(f"{self.path}: its sound holds NaN or infinity; export the recording again")
                    yield block
        if not done:
            raise MediaError(f"{self.path}: its sound track holds no sample; export the recording again")


def load(path: str | Path) -> np.ndarray:
    """Decode a file's sound to what the networks hear.

    Parameters
    ----------
    path : path
        Any container or codec that FFmpeg reads, a video among them.

    Returns
    -------
    ndarray, float32, (n,)
        Mono in [-1, 1] at `SAMPLE_RATE`: the mean of the channels, resampled by soxr.

    Raises
    ------
    MediaError
        The file cannot be read, has no sound, or holds NaN.
    """
    import soxr

    sound = open_sound(path)
    resampler = soxr.ResampleStream(sound.rate, SAMPLE_RATE, 1, dtype="float32")
    samples = array("f")  # grows in place: joining a list of pieces would hold the recording twice
    for block in sound.blocks:
        samples.frombytes(resampler.resample_chunk(block.mean(axis=1)).tobytes())
    samples.frombytes(resampler.resample_chunk(np.zeros(0, np.float32), last=True).tobytes())
    wave = np.frombuffer(samples, np.float32)
    return np.clip(wave, -1, 1, out=wave)


@lru_cache(maxsize=1)
def _mel_basis() -> np.ndarray:
    import librosa

    return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=F_MIN, fmax=F_MAX)


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
    import librosa

    wave = np.asarray(wave, np.float32)
    if wave.ndim != 1 or not len(wave):
        raise ParameterError(f"a waveform has one dimension and at least one sample, not the shape {wave.shape}")
    if not np.isfinite(wave.sum(dtype=np.float64)):  # one number, where a mask would be as long as the recording
        raise ParameterError("the waveform holds values that are no numbers (NaN or infinity); decode it again")
    columns = 1 + len(wave) // HOP_LENGTH
    mel = np.empty((N_MELS, columns), np.float32)
    step = _BLOCK // HOP_LENGTH
    for first in range(0, columns, step):
        count = min(step, columns - first)
        start = first * HOP_LENGTH - N_FFT // 2
        block = _emphasised(wave, start, start + (count - 1) * HOP_LENGTH + N_FFT)
        magnitude = np.abs(librosa.stft(block, n_fft=N_FFT, hop_length=HOP_LENGTH, center=False))
        level = 20 * np.log10(np.maximum(10 ** (MIN_DB / 20), _mel_basis() @ magnitude)) - REF_DB
        mel[:, first : first + count] = np.clip(2 * MAX_ABS * (level - MIN_DB) / -MIN_DB - MAX_ABS, -MAX_ABS, MAX_ABS)
    return mel


def _emphasised(wave: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Samples start to stop after pre-emphasis; zeros where there is no sound."""
    inside = wave[max(start, 0) : stop]
    before = wave[max(start, 0) - 1] if start > 0 else np.float32(0)
    block = inside - np.float32(PREEMPHASIS) * np.concatenate(([before], inside[:-1]))
    return np.pad(block, (max(-start, 0), stop - max(start, 0) - len(inside)))


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
            f"the sound is shorter than the {MEL_WINDOW / MELS_PER_SECOND} s that a mouth is drawn from; "
            "use a longer one"
        )


def followed_by(voice: Sound, rest: Sound, start: float) -> Sound:
    """A voice, and after it what another recording holds from there on.

    Parameters
    ----------
    voice : Sound
    rest : Sound
        Brought to the voice's rate (soxr) and channels (mean, or the same in all).
    start : float
        Seconds at which the voice ends and the rest is heard.
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
        place = 0
        for block in chain(self.rest.blocks, (None,)):
            mono = np.zeros(0, np.float32) if block is None else block.mean(axis=1)
            piece = resampler.resample_chunk(mono, last=block is None)
            fresh = piece[max(0, done - place) :]
            place += len(piece)
            if len(fresh):
                yield np.repeat(fresh[:, None], self.voice.channels, axis=1)
