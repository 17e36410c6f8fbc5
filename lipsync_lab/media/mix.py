"""Several voices as one sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from lipsync_lab.media.audio import Sound, mono, polarity


def mixed(sounds: Sequence[Sound]) -> Sound:
    """The sum of several sounds that start together, cut to [-1, 1].

    Parameters
    ----------
    sounds : sequence of Sound
        One at least.

    Returns
    -------
    Sound
        As long as the longest, at the highest of their rates (soxr resamples the others). With their channels where all
        have as many, else mono, the mean of the channels. A single one comes back as it is.
    """
    if len(sounds) == 1:
        return sounds[0]
    channels = {sound.channels for sound in sounds}
    rate, channels = max(sound.rate for sound in sounds), channels.pop() if len(channels) == 1 else 1
    return Sound(rate, channels, _Mixed(tuple(sounds), rate, channels))


@dataclass(frozen=True)
class _Mixed:
    """Blocks of at most a second; can be read again from the start."""

    sounds: tuple[Sound, ...]
    rate: int
    channels: int

    def __iter__(self) -> Iterator[np.ndarray]:
        voices = [_blocks(sound, self.rate, self.channels) for sound in self.sounds]
        waiting = [np.zeros((0, self.channels), np.float32) for _ in voices]
        running = set(range(len(voices)))
        while True:
            for number in sorted(running):
                while len(waiting[number]) < self.rate:
                    block = next(voices[number], None)
                    if block is None:
                        running.discard(number)
                        break
                    waiting[number] = np.concatenate((waiting[number], block))
            total = np.zeros((min(self.rate, max(map(len, waiting))), self.channels), np.float32)
            if not len(total):
                return
            for number, block in enumerate(waiting):
                part, waiting[number] = block[: len(total)], block[len(total) :]
                total[: len(part)] += part
            yield np.clip(total, -1, 1, out=total)


def _blocks(sound: Sound, rate: int, channels: int) -> Iterator[np.ndarray]:
    import soxr

    signs = polarity(sound) if sound.channels != channels else None
    resampler = None if sound.rate == rate else soxr.ResampleStream(sound.rate, rate, channels, dtype="float32")
    for block in chain(sound.blocks, (None,)):
        ending = block is None
        if ending:
            block = np.zeros((0, channels), np.float32)
        elif block.shape[1] != channels:
            block = mono(block, signs)[:, None]
        if resampler is not None:
            block = resampler.resample_chunk(np.ascontiguousarray(block, np.float32), last=ending)
        if len(block):
            yield block.reshape(-1, channels)
