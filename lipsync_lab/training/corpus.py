"""Spoken lines for training, and lines that are held out by construction.

The seed of a line determines words, language, voice, rate and pitch. Held out are seeds (and thus characters, since a
scene has the seed of its line), voices, and sentences, the latter by a hash of their text, so that no sentence is in
both splits.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.synthesis.speech import LANGUAGES, VARIANTS, Speech, join, silence, speak

SPLITS = ("train", "validation")
#: Smaller seeds are for training, these and larger seeds for validation.
FIRST_HELD_OUT = 1_000_000_000
#: Voice variants for validation only, in all languages.
HELD_OUT_VARIANTS = ("m4", "f5", "Annie", "Lee", "boris", "grandpa", "linda")
_TRAIN_VARIANTS = tuple(variant for variant in VARIANTS if variant not in HELD_OUT_VARIANTS)
#: One sentence in this number is held out.
_HELD_OUT_SENTENCES = 8


@cache
def _words() -> dict[str, list[str]]:
    """Return the words by language, which cover the mouth shapes: closures, all kinds of vowels, teeth on lip."""
    parts = Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split("[")[1:]
    return {language: words.split() for language, words in (part.split("]") for part in parts)}


def seeds(part: str, start: int, count: int) -> range:
    """Return seeds of a split.

    Raises
    ------
    ParameterError
        There is no such split, or the seeds are out of its range.
    """
    if part not in SPLITS:
        raise ParameterError(f"there is no split {part!r}; take {' or '.join(SPLITS)}")
    if not 0 <= start <= start + count <= FIRST_HELD_OUT:
        raise ParameterError(f"seeds {start} to {start + count} are not 0 to {FIRST_HELD_OUT}")
    first = start + (FIRST_HELD_OUT if part == "validation" else 0)
    return range(first, first + count)


def is_held_out(seed: int) -> bool:
    """Return whether a seed is for validation."""
    return seed >= FIRST_HELD_OUT


def sentence(rng: np.random.Generator, language: str, held_out: bool) -> str:
    """Return a random sentence of five to nine words that is held out or not; a hash of the words decides that."""
    words = _words()[language[:2]]
    while True:
        chosen = [words[index] for index in rng.integers(len(words), size=rng.integers(5, 10))]
        if len(chosen) > 6:
            chosen[3] += ","  # a pause
        text = " ".join(chosen).capitalize() + "."
        if sentence_is_held_out(text) == held_out:
            return text


def sentence_is_held_out(text: str) -> bool:
    """Return whether a sentence is for validation."""
    return zlib.crc32(text.encode()) % _HELD_OUT_SENTENCES == 0


def line(seed: int) -> Speech:
    """Return the line of a seed, with silence before and after it."""
    rng = np.random.default_rng([seed, 0x11E])
    held_out = is_held_out(seed)
    # half of the lines are English, which has most phonemes of the other languages
    language = str(rng.choice(LANGUAGES, p=(0.3, 0.2, 0.15, 0.15, 0.1, 0.1)))
    text = sentence(rng, language, held_out)
    variants = HELD_OUT_VARIANTS if held_out else _TRAIN_VARIANTS
    variant = str(variants[rng.integers(len(variants))])
    rate, pitch = int(rng.integers(125, 195)), int(rng.integers(25, 80))
    before, after = rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.7)
    spoken = speak(text, voice=language, variant=variant, rate=rate, pitch=pitch)
    return join(silence(before), spoken, silence(after))


def as_recorded(rng: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    """Return a synthetic voice at a random level, in half of the cases with noise.

    The silence of a synthetic voice is exactly zero, which does not occur in recordings.
    """
    wave = wave * rng.uniform(0.25, 1.0) / max(float(np.abs(wave).max()), 1e-3)
    if rng.random() < 0.5:
        noise = rng.standard_normal(len(wave))
        if rng.random() < 0.5:
            noise = np.convolve(noise, np.ones(8) / 8**0.5, mode="same")  # low-pass
        wave = wave + noise * 10 ** rng.uniform(-3.6, -2.2)
    return np.clip(wave, -1, 1).astype(np.float32)
