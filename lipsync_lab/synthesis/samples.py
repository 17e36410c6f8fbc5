"""Recipes of the bundled clips and voices in ``data/samples``, from which each can be made again.

The bundled models were not trained on these characters, voices and sentences: seeds and voice variants are held out by
`training.corpus`, except for the portrait, which also occurs in the training material, and the older hello pair.
"""

from __future__ import annotations

import wave
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.synthesis import film
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.speech import SAMPLE_RATE, Speech, join, silence, speak


@dataclass(frozen=True)
class Line:
    """A spoken line: the arguments of `speech.speak`, and seconds of silence before and after it."""

    text: str
    variant: str
    voice: str = "en-us"
    rate: int = 160
    pitch: int = 50
    before: float = 0.0
    after: float = 0.0

    def speech(self) -> Speech:
        """Synthesise the line."""
        spoken = speak(self.text, voice=self.voice, rate=self.rate, pitch=self.pitch, variant=self.variant)
        pauses = [silence(seconds) if seconds else None for seconds in (self.before, self.after)]
        return join(*(part for part in (pauses[0], spoken, pauses[1]) if part))


@dataclass(frozen=True)
class Portrait:
    """A take of the animated portrait: arguments of `film.write_portrait`."""

    seed: int = 0
    size: tuple[int, int] = (384, 384)


_HELD_OUT = 1_000_000_000
_HELLO = Line("Hello! Tell me, am I drawn, or was I filmed?", "f2")
_BAKER = Line("Every morning, my baker makes five warm loaves for me.", "linda", rate=150, before=0.2, after=0.3)

#: Matched pairs of two seconds: the line, and the character who says it in the animation; the portrait says it too.
PAIRS: dict[str, tuple[Line, Scene]] = {
    word: (replace(line, before=0.2), Scene(seed=_HELD_OUT + seed, style=style, size=(288, 288), grain=0.0))
    for word, line, seed, style in (
        ("kettle", Line("The kettle is boiling over.", "Annie", after=0.342), 107, "anime"),
        ("village", Line("We leave this village tomorrow.", "boris", pitch=45, after=0.234), 109, "western"),
        ("apples", Line("Five apples fell at once.", "linda", rate=180, pitch=60, after=0.192), 105, "flat"),
        ("violin", Line("My brother plays the violin.", "Lee", "en-gb", pitch=55, after=0.174), 103, "anime"),
        ("tomatoes", Line("Please water the tomatoes.", "grandpa", rate=150, after=0.222), 104, "western"),
        ("wardrobe", Line("Who opened my wardrobe?", "Annie", "en-gb", 150, 70, after=0.336), 102, "rubberhose"),
        ("postman", Line("That parrot bit the postman.", "boris", "en-gb", 165, 30, after=0.163), 108, "flat"),
        ("bus", Line("Bob missed his bus again.", "linda", "en-gb", 150, 45, after=0.18), 110, "rubberhose"),
    )
}

#: Takes of each clip; the keys are the names of the files.
CLIPS: dict[str, tuple[tuple[Line, Scene | Portrait], ...]] = {
    "animation_hello": ((_HELLO, Scene(seed=13, style="anime", size=(384, 384))),),
    "astronaut_hello": ((_HELLO, Portrait()),),
    "animation_baker": ((_BAKER, Scene(seed=_HELD_OUT + 22, style="flat", size=(384, 384), backdrop="room")),),
    "astronaut_baker": ((_BAKER, Portrait(seed=4)),),
    "turning_away": (
        (
            Line("Look over there! A ship is coming home.", "Lee", rate=150, pitch=85, before=0.2, after=0.4),
            Scene(seed=_HELD_OUT + 9, style="anime", size=(512, 288), view="away", backdrop="sea", framing="close"),
        ),
    ),
    "small_in_the_hills": (
        (
            Line(
                "Can you see me? I am all the way down here, below the hill.", "Annie", pitch=60, before=0.2, after=0.2
            ),
            Scene(seed=_HELD_OUT + 12, style="flat", size=(640, 360), framing="far", camera="pan", backdrop="hills"),
        ),
    ),
    "behind_a_cup": (
        (
            Line("Mm, what a lovely pot of tea. Would you like a cup, my dear?", "linda", "en-gb", 140, 40, 0.2, 0.3),
            Scene(seed=_HELD_OUT, style="western", size=(512, 288), framing="close", occluder="cup", backdrop="room"),
        ),
    ),
    "cut_in_the_city": (
        (
            Line("Did you bring the map?", "Annie", rate=170, before=0.16, after=0.24),
            Scene(seed=_HELD_OUT + 8, style="anime", size=(512, 288), view="three-quarter", backdrop="city"),
        ),
        (
            Line("Me? I believed you had it!", "boris", rate=165, before=0.2, after=0.3),
            Scene(
                seed=_HELD_OUT + 10, style="anime", size=(512, 288), framing="portrait", backdrop="city", camera="zoom"
            ),
        ),
    ),
    "dog_on_threes": (
        (
            Line("Oh boy, oh boy! My very own moving picture!", "grandpa", rate=150, pitch=70, before=0.25, after=0.4),
            Scene(seed=_HELD_OUT + 15, style="rubberhose", size=(384, 288), exposure=3, mouth_exposure=3, fps=24.0),
        ),
    ),
    "nobody_there": (
        (
            Line(
                "She looked at the sea for a long time, and said nothing at all.",
                "Annie",
                "en-gb",
                150,
                before=0.3,
                after=0.4,
            ),
            Scene(
                seed=_HELD_OUT + 31, style="anime", size=(512, 288), empty=True, cuts=1, backdrop="sea", camera="pan"
            ),
        ),
    ),
}
for _number, (_word, (_line, _scene)) in enumerate(PAIRS.items()):
    CLIPS[f"animation_{_word}"] = ((_line, _scene),)
    CLIPS[f"astronaut_{_word}"] = ((_line, Portrait(seed=_HELD_OUT + 11 + _number, size=(288, 288))),)

#: Voices to dub with, which no clip contains.
VOICES: dict[str, Line] = {
    "voice_lighthouse": Line(
        "The keeper of the lighthouse feeds a family of gulls, and gives each of them a name.", "m4", rate=155
    ),
    "voice_umbrella": Line(
        "Please remember my blue umbrella; it may be raining before we arrive.", "f5", "en-gb", 150, 55
    ),
}


def make(folder: str | Path, names: Iterable[str] | None = None) -> list[Path]:
    """Make bundled clips and voices again.

    Sound, pictures and ground truth equal the committed ones; the bytes of the clips depend on the encoder's version.

    Parameters
    ----------
    folder : path
        Where ``NAME.mp4`` and ``NAME.truth.csv``, or ``NAME.wav``, are written.
    names : iterable of str, optional
        Keys of `CLIPS` and `VOICES`; all of them if not given.

    Returns
    -------
    list of Path
        The clips and voices, in the order of the names.

    Raises
    ------
    ParameterError
        There is no sample of a name.
    """
    folder, names = Path(folder), list(names or [*CLIPS, *VOICES])
    if unknown := [name for name in names if name not in CLIPS and name not in VOICES]:
        raise ParameterError(f"no bundled sample is named {unknown[0]}; there are {', '.join([*CLIPS, *VOICES])}")
    return [_voice(folder, name) if name in VOICES else _clip(folder, name) for name in names]


def _clip(folder: Path, name: str) -> Path:
    out, takes = folder / f"{name}.mp4", CLIPS[name]
    line, settings = takes[0]
    if isinstance(settings, Portrait):
        film.write_portrait(out, line.speech(), seed=settings.seed, size=settings.size)
    else:
        film.write_scenes(out, [(line.speech(), settings) for line, settings in takes])
    return out


def _voice(folder: Path, name: str) -> Path:
    out = folder / f"{name}.wav"
    samples = np.rint(VOICES[name].speech().wave * 32767).astype("<i2")
    with wave.open(str(out), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return out
