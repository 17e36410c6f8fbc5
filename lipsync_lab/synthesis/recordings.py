"""Recordings with a known text as `Speech`: the times of phonemes come from word alignments or a synthetic voice."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import audio
from lipsync_lab.synthesis.speech import SAMPLE_RATE, Phoneme, Speech, speak

#: `Speech.voice` of a recording.
RECORDING = "recording"
#: Ticks a second in GRID's alignments.
_TICKS = 25_000
#: Samples between two frames of features, and samples of a frame.
_HOP, _WINDOW = 160, 400
#: Share of the range from the quiet to the loud level, in decibels, beyond which a recording counts as speech.
_SPEECH = 0.5


def aligned(sound: str | Path, alignment: str | Path, voice: str = RECORDING) -> Speech:
    """Return a recording with word alignments as a `Speech`.

    Parameters
    ----------
    sound : path
        English, any file with sound.
    alignment : path
        Lines of ``start end word`` in 25,000 ticks a second, as in the GRID corpus; "sil" and "sp" are silence.
    voice : str
        Name of the speaker.

    Returns
    -------
    Speech
        The phonemes of each word are those of espeak-ng, with the same relative durations.

    Raises
    ------
    MediaError
        One of the files cannot be read.
    """
    wave = audio.load(sound)
    try:
        rows = [row.split() for row in Path(alignment).read_text(encoding="utf-8").splitlines() if row.strip()]
        words = [(int(start) / _TICKS, int(end) / _TICKS, word) for start, end, word in rows]
    except (OSError, ValueError) as error:
        raise MediaError(
            f"{alignment}: is not an alignment of lines 'start end word' ({error}); give GRID's .align"
        ) from None
    duration, phonemes, now = len(wave) / SAMPLE_RATE, [], 0.0
    for start, end, word in words:
        start, end = max(start, now), min(end, duration)
        if word in ("sil", "sp") or end <= start:
            continue
        if start > now:
            phonemes.append(Phoneme("", now, start))
        phonemes += [
            Phoneme(sound.symbol, start + a * (end - start), start + b * (end - start), sound.stress)
            for sound, a, b in _spread(word)
        ]
        now = end
    if now < duration:
        phonemes.append(Phoneme("", now, duration))
    return Speech(wave, tuple(phonemes), " ".join(word for *_, word in words if word not in ("sil", "sp")), voice)


@cache
def _spread(word: str) -> tuple[tuple[Phoneme, float, float], ...]:
    """Return the phonemes of a word, with start and end as shares of its duration."""
    # GRID contains single letters: in lower case "a" is the article
    spoken = speak(word.upper() if len(word) == 1 else word)
    sounds = [phoneme for phoneme in spoken.phonemes if phoneme.symbol]
    lengths = np.array([sound.end - sound.start for sound in sounds])
    edges = np.concatenate([[0.0], np.cumsum(lengths / lengths.sum())]).tolist()
    return tuple(zip(sounds, edges[:-1], edges[1:], strict=True))


def recorded(wave: np.ndarray, text: str, *, voice: str = "en-us", variant: str | None = None) -> Speech:
    """Return a recording of a known text as a `Speech`.

    espeak-ng speaks the text, about as fast as the recording, and dynamic time warping of cepstral coefficients carries
    the times of its phonemes over to the recording (Malfrere and Dutoit 1997, "High-quality speech synthesis for
    phonetic speech segmentation"). On 49 sentences of the GRID corpus the borders of words differ from the corpus'
    alignments by 31 ms (median).

    Parameters
    ----------
    wave : ndarray, float32, (samples,)
        Mono at 16 kHz, in [-1, 1].
    text : str
        All that is said, in the order of the recording; single letters in upper case are spelled.
    voice, variant : str
        As for `speech.speak`: the language of the text, and the timbre of the voice that is compared.

    Raises
    ------
    ParameterError
        The recording is silent, or is more than twice as long or short as the text; and see `speech.speak`.
    """
    import librosa

    wave = np.asarray(wave, np.float32)
    level = _level(wave)
    quiet, loud = np.percentile(level, (10, 98)) if len(level) else (0.0, 0.0)
    if loud - quiet < 6:
        raise ParameterError("the recording has no speech that is louder than the rest; give one of the text")
    sounding = np.flatnonzero(level > quiet + _SPEECH * (loud - quiet))
    first, last = int(sounding[0]), int(sounding[-1]) + 1

    spoken = speak(text, voice=voice, variant=variant)
    start, end = _extent(spoken)
    rate = int(np.clip(160 * (end - start) / ((last - first) * _HOP / SAMPLE_RATE), 80, 450))
    spoken = speak(text, voice=voice, variant=variant, rate=rate)
    start, end = _extent(spoken)

    # the synthetic voice gets the silence that is before and after the speech of the recording, and faint noise
    core = spoken.wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    synthetic = np.pad(core, (first * _HOP, max(len(wave) - last * _HOP, 0)))
    synthetic = synthetic + 1e-4 * np.random.default_rng(0).standard_normal(len(synthetic)).astype(np.float32)
    ours = _features(synthetic, first, first + max(len(core) // _HOP, 1))
    try:
        steps = np.array([[1, 1], [1, 2], [2, 1]])
        _, path = librosa.sequence.dtw(ours, _features(wave, first, last), step_sizes_sigma=steps)
    except librosa.ParameterError:
        raise ParameterError(
            f"the recording has {(last - first) * _HOP / SAMPLE_RATE:.1f} s of speech, and the text takes "
            f"{end - start:.1f} s: give the text of this recording"
        ) from None
    from_, to = path[::-1].T * (_HOP / SAMPLE_RATE)
    duration = len(wave) / SAMPLE_RATE

    def time(of: float) -> float:
        return min(float(np.interp(of - start + first * _HOP / SAMPLE_RATE, from_, to)), duration)

    sounds = [phoneme for phoneme in spoken.phonemes if start <= phoneme.start < end]
    moved = [replace(phoneme, start=time(phoneme.start), end=time(phoneme.end)) for phoneme in sounds]
    edges = [Phoneme("", 0.0, moved[0].start), *moved, Phoneme("", moved[-1].end, duration)]
    return Speech(wave, tuple(phoneme for phoneme in edges if phoneme.end > phoneme.start), text, RECORDING)


def _extent(speech: Speech) -> tuple[float, float]:
    """Return start and end of the sounds, without the pauses at the ends, in seconds."""
    sounds = [phoneme for phoneme in speech.phonemes if phoneme.symbol]
    return sounds[0].start, sounds[-1].end


def _level(wave: np.ndarray) -> np.ndarray:
    """Return the level of each frame in decibels."""
    import librosa

    return 20 * np.log10(librosa.feature.rms(y=wave, frame_length=_WINDOW, hop_length=_HOP)[0] + 1e-5)


def _features(wave: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return features by frame, in columns: cepstral coefficients, normalised over the speech, level, and changes."""
    import librosa

    options = dict(sr=SAMPLE_RATE, n_mfcc=13, hop_length=_HOP, n_fft=_WINDOW, n_mels=40)
    cepstrum, level = librosa.feature.mfcc(y=wave, **options)[1:], _level(wave)
    speech = cepstrum[:, first:last]
    cepstrum = (cepstrum - speech.mean(axis=1, keepdims=True)) / (speech.std(axis=1, keepdims=True) + 1e-3)
    loudness = np.clip((level - np.percentile(level[first:last], 95)) / 15, -3, 1)
    features = np.vstack([cepstrum, 2 * loudness])
    return np.vstack([features, 2 * librosa.feature.delta(features, width=5)])
