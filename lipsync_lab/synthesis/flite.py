"""Voices of Flite (Black and Lenzo 2001), an external program: people's recordings put together anew.

They sound more like people than espeak-ng, whose formants are computed. Flite prints the time of each phoneme; its
phonemes are brought to the IPA of espeak-ng. Training alone uses it; Debian has it as the package `flite`.
"""

from __future__ import annotations

import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

from lipsync_lab.errors import MediaError
from lipsync_lab.media import audio
from lipsync_lab.synthesis.speech import Phoneme, Speech

#: English voices that come with Flite: three speakers of CMU ARCTIC, and one of a diphone set.
VOICES = ("awb", "rms", "slt", "kal16")
_IPA = {
    "aa": "ɑː", "ae": "æ", "ah": "ʌ", "ao": "ɔː", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "b": "b", "ch": "tʃ",
    "d": "d", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "əl", "em": "m", "en": "n", "er": "ɚ", "ey": "eɪ", "f": "f",
    "g": "ɡ", "hh": "h", "hv": "h", "ih": "ɪ", "iy": "iː", "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n",
    "ng": "ŋ", "nx": "n", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "pau": "", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t",
    "th": "θ", "uh": "ʊ", "uw": "uː", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip


def speak(text: str, *, voice: str = "slt", slowness: float = 1.0) -> Speech:
    """Synthesise an English text with Flite.

    Parameters
    ----------
    text : str
    voice : str
        One of `VOICES`.
    slowness : float
        Factor of all durations.

    Raises
    ------
    MediaError
        Flite is not installed, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        options = ["-voice", voice, "--setf", f"duration_stretch={slowness:.3f}", "-psdur", "-t", text, "-o", sound]
        try:
            printed = subprocess.run(["flite", *options], capture_output=True, text=True, check=True).stdout.split()
            wave = audio.load(sound)
        except FileNotFoundError:
            raise MediaError("the program flite is not installed; install it, for example with apt") from None
        except subprocess.CalledProcessError as error:
            raise MediaError(f"flite cannot speak {text!r}: {error.stderr.strip()}") from None
    symbols, ends = zip(*(sound.rsplit(":", 1) for sound in printed), strict=True)
    edges = [0.0, *map(float, ends[:-1]), len(wave) / audio.SAMPLE_RATE]
    phonemes = tuple(
        Phoneme(_IPA[symbol], start, end) for symbol, (start, end) in zip(symbols, pairwise(edges), strict=True)
    )
    return Speech(wave, phonemes, text, f"flite {voice}")
