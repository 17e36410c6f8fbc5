"""Text to speech with the time of each phoneme.

The voice comes from espeak-ng, through its C library and its phoneme events. The package `espeakng_loader` contains the
library and its data, so that nothing has to be installed outside of the Python environment.
"""

from __future__ import annotations

import _ctypes
import ctypes
import itertools
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from lipsync_lab.errors import MediaError, ParameterError

#: Samples a second of a `Speech`.
SAMPLE_RATE = 16000
#: Languages on whose phonemes `visemes` is tested, as codes of espeak-ng; `speak` takes the other languages too.
LANGUAGES = ("en-us", "en-gb", "de", "fr-fr", "es", "it")
#: Variants of espeak-ng that sound like people; `speak` takes the other ones too (robots, whispers, croaks).
VARIANTS = (
    *(f"m{number}" for number in range(1, 9)),
    *(f"f{number}" for number in range(1, 6)),
    *("Alex", "Andrea", "Annie", "Lee", "Michael", "adam", "anika", "belinda", "boris", "david", "edward"),
    *("grandma", "grandpa", "linda", "max", "rob", "steph", "travis", "victor"),
)

# From speak_lib.h of espeak-ng 1.52.
_SYNCHRONOUS, _UTF8, _CHARACTERS = 2, 1, 1
_PHONEME_EVENTS, _IPA, _DO_NOT_EXIT = 0x1, 0x2, 0x8000
_RATE, _PITCH = 1, 3
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7

#: The closure of a stop consonant is silent and precedes its event; a longer silence is a pause.
_LONGEST_CLOSURE = 0.08
_STOPS = "pbtdkɡgcɟq"
_lock = threading.Lock()


@dataclass(frozen=True)
class Phoneme:
    """A phoneme with its times in seconds from the start of the wave.

    `symbol` is IPA without stress marks, and empty for a pause. `stress` is 2 on a vowel with primary stress, 1 with
    secondary stress, else 0.
    """

    symbol: str
    start: float
    end: float
    stress: int = 0


@dataclass(frozen=True)
class Speech:
    """A spoken text: waveform, phonemes and their times.

    Attributes
    ----------
    wave : ndarray, float32, (samples,)
        Mono, `SAMPLE_RATE` samples a second, in [-1, 1].
    phonemes : tuple of Phoneme
        Without gaps from 0 to `duration`; a stop consonant begins with its closure.
    text, voice : str
        Arguments of `speak`; the voice is ``language`` or ``language+variant``.
    """

    wave: np.ndarray = field(repr=False, compare=False)
    phonemes: tuple[Phoneme, ...]
    text: str = ""
    voice: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.wave) / SAMPLE_RATE


def speak(text: str, *, voice: str = "en-us", rate: int = 160, pitch: int = 50, variant: str | None = None) -> Speech:
    """Synthesise `text` with espeak-ng.

    The same arguments give the same samples. espeak-ng keeps the state of its noise and flutter generators between
    utterances and has no function that resets them, so the library is loaded again for each call (about 20 ms).

    Parameters
    ----------
    text : str
        One or more sentences.
    voice : str
        An espeak language code such as "en-us", "de", "fr-fr", also with a variant: "en-us+f2".
    rate : int
        Words a minute, 80 to 450.
    pitch : int
        0 to 99; 50 is the pitch of the voice as published.
    variant : str, optional
        Timbre of the voice, such as "m3" or "f2".

    Raises
    ------
    ParameterError
        The text is empty, or voice, variant, rate or pitch is unknown or out of range.
    MediaError
        espeak-ng cannot be loaded, or gives no sound.
    """
    if not text.strip():
        raise ParameterError("the text is empty; give at least one word")
    if not (80 <= rate <= 450 and 0 <= pitch <= 99):
        raise ParameterError(f"rate {rate} must be 80 to 450 words a minute and pitch {pitch} 0 to 99")
    language, _, suffix = voice.partition("+")
    variant = variant or suffix
    if language not in _languages():
        known = ", ".join(LANGUAGES)
        raise ParameterError(f"unknown voice {language!r}; take {known} or another language code of espeak-ng")
    if variant and variant not in _variants():
        raise ParameterError(f"unknown variant {variant!r}; take {', '.join(VARIANTS)} or another one of espeak-ng")
    name = _languages()[language] + (f"+{variant}" if variant else "")
    samples, events, native_rate = _synthesise(text, name, rate, pitch)

    import soxr

    wave = np.clip(soxr.resample(samples.astype(np.float32) / 32768, native_rate, SAMPLE_RATE), -1, 1)
    phonemes = _phonemes(samples, events, native_rate, len(wave) / SAMPLE_RATE)
    return Speech(wave.astype(np.float32), phonemes, text, language + (f"+{variant}" if variant else ""))


def silence(duration: float) -> Speech:
    """Return `duration` seconds of silence, at least one sample."""
    if not duration > 0:
        raise ParameterError(f"silence must last longer than {duration} s")
    wave = np.zeros(round(duration * SAMPLE_RATE), np.float32)
    return Speech(wave, (Phoneme("", 0.0, len(wave) / SAMPLE_RATE),))


def join(*parts: Speech) -> Speech:
    """Concatenate speeches: ``join(silence(0.5), speak("Hello."))``."""
    starts = itertools.accumulate((part.duration for part in parts), initial=0.0)
    phonemes = tuple(
        replace(phoneme, start=start + phoneme.start, end=start + phoneme.end)
        for start, part in zip(starts, parts, strict=False)
        for phoneme in part.phonemes
    )
    named = [part for part in parts if part.text]
    return Speech(
        np.concatenate([part.wave for part in parts]),
        phonemes,
        " ".join(part.text for part in named),
        named[0].voice if named else "",
    )


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """Context manager that loads the library and unloads it again; one at a time in a process."""

    def __enter__(self):
        _lock.acquire()
        try:
            self.library, self.sample_rate = self._load()
        except BaseException:
            _lock.release()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.library.espeak_Terminate()
            _unload(self.library)
        finally:
            _lock.release()

    @staticmethod
    def _load():
        try:
            import espeakng_loader
        except ImportError as error:
            raise MediaError("speech needs espeak-ng: install the package espeakng-loader") from error
        path, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            raise MediaError(f"{path}: espeak-ng cannot be loaded ({error}); install espeakng-loader again") from error
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        options = _PHONEME_EVENTS | _IPA | _DO_NOT_EXIT
        sample_rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), options)
        if sample_rate <= 0:
            _unload(library)
            raise MediaError(
                f"{data}: espeak-ng cannot read its data; the folder must exist and its path be shorter than 140 bytes"
            )
        # replaces the seed of noise and flutter, which the library takes from the clock
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        return library, sample_rate


def _unload(library) -> None:
    """Unload the library, and its state with it."""
    if hasattr(_ctypes, "dlclose"):
        _ctypes.dlclose(library._handle)
    else:
        _ctypes.FreeLibrary(library._handle)


def _synthesise(text, name, rate, pitch) -> tuple[np.ndarray, list[tuple[str, int]], int]:
    """Return int16 samples, (symbol, sample) of each phoneme event, and samples a second."""
    chunks, events = [], []

    def receive(wave, count, event):
        if wave and count > 0:
            chunks.append(ctypes.string_at(wave, 2 * count))
        for index in itertools.count():
            if event[index].type == _EVENT_END_OF_LIST:
                return 0
            if event[index].type == _EVENT_PHONEME:
                # eight bytes hold the symbols of the supported languages; a longer symbol may end within a character
                events.append((event[index].id.string.decode(errors="ignore"), event[index].sample))

    callback = _Callback(receive)
    with _Espeak() as espeak:
        library = espeak.library
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(name.encode()) != 0:
            raise MediaError(f"espeak-ng lists the voice {name} and cannot load it; install espeakng-loader again")
        library.espeak_SetParameter(_RATE, rate, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        content = text.encode()
        status = library.espeak_Synth(content, len(content) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    samples = np.frombuffer(b"".join(chunks), np.int16)
    if status != 0 or not samples.any():
        raise MediaError(f"espeak-ng made no sound of {text!r} with the voice {name}; give words in that language")
    return samples, events, espeak.sample_rate


def _phonemes(samples, events, native_rate, duration) -> tuple[Phoneme, ...]:
    # A pause consists of several events; sounds that are left out have events of zero length.
    ends = [sample for _, sample in events[1:]] + [len(samples)]
    sounds = [["", 0, events[0][1] if events else len(samples), 0]]
    for (text, start), end in zip(events, ends, strict=True):
        stress = 2 if "ˈ" in text else 1 if "ˌ" in text else 0
        symbol = text.strip("ˈˌ-_:; ")
        if end <= start:
            continue
        if not symbol and not sounds[-1][0]:
            sounds[-1][2] = end
            continue
        if symbol[:1] and symbol[0] in _STOPS:
            start = _closure(samples, start, max(sounds[-1][1] + native_rate // 100, 0), native_rate)
            sounds[-1][2] = min(sounds[-1][2], start)
        sounds.append([symbol, start, end, stress])
    sounds = [sound for sound in sounds if sound[2] > sound[1]]
    edges = [sound[1] / native_rate for sound in sounds[1:]]
    return tuple(
        Phoneme(sound[0], start, end, sound[3])
        for sound, start, end in zip(sounds, [0.0, *edges], [*edges, duration], strict=True)
    )


def _closure(samples, start, earliest, native_rate) -> int:
    """Return the first sample of the silence before `start`, at most as long as the closure of a stop consonant."""
    earliest = max(earliest, start - int(_LONGEST_CLOSURE * native_rate))
    sounding = np.flatnonzero(np.abs(samples[earliest:start].astype(int)) > 16)
    return min(start, earliest + int(sounding[-1]) + 1) if len(sounding) else min(start, earliest)


@cache
def _languages() -> dict[str, str]:
    """Return the language codes of espeak-ng, and for each the file of its preferred voice."""
    voices = {}
    with _Espeak() as espeak:
        for voice in itertools.takewhile(bool, espeak.library.espeak_ListVoices(None)):
            # `languages` is a list of (priority byte, zero-terminated code), closed by a zero byte.
            address = voice.contents.languages
            while priority := ctypes.string_at(address, 1)[0]:
                code = ctypes.string_at(address + 1)
                identifier = voice.contents.identifier.decode()
                if not identifier.startswith("mb/"):  # MBROLA voices need a program that is not included
                    voices.setdefault(code.decode(), []).append((priority, identifier))
                address += len(code) + 2
    return {code: min(candidates)[1] for code, candidates in voices.items()}


@cache
def _variants() -> frozenset[str]:
    import espeakng_loader

    return frozenset(path.name for path in Path(espeakng_loader.get_data_path(), "voices", "!v").iterdir())
