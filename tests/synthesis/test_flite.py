"""Voices of Flite; a stand-in for the program prints what Flite 2.2 printed for "Bob."."""

from __future__ import annotations

import stat
import wave

import pytest

from lipsync_lab.errors import MediaError
from lipsync_lab.synthesis import flite, visemes

PRINTED = "pau:0.213 b:0.258 aa:0.491 b:0.602 pau:0.804 "


def test_phonemes_have_the_times_that_flite_prints(tmp_path, monkeypatch):
    sound = tmp_path / "bob.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * 12864))
    program = tmp_path / "flite"
    program.write_text(f'#!/bin/sh\nfor last; do :; done\ncp {sound} "$last"\nprintf "%s" "{PRINTED}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    speech = flite.speak("Bob.")
    assert [phoneme.symbol for phoneme in speech.phonemes] == ["", "b", "ɑː", "b", ""]
    assert [phoneme.end for phoneme in speech.phonemes] == pytest.approx([0.213, 0.258, 0.491, 0.602, 0.804])
    assert "".join(key.pose.shape for key in visemes.timeline(speech).keys) == "XADAX"


def test_without_flite_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MediaError, match="flite is not installed"):
        flite.speak("Bob.")


def test_every_sound_of_flite_has_the_shape_of_its_letter():
    shapes = {symbol: visemes.shape_of(ipa) for symbol, ipa in flite._IPA.items()}
    assert {shapes[symbol] for symbol in ("b", "p", "m", "em")} == {"A"}
    assert shapes["f"] == shapes["v"] == "G"
    assert shapes["aa"] == "D"
    assert shapes["l"] == "H"
    assert shapes["uw"] == "F"
    assert {symbol for symbol, shape in shapes.items() if not shape} == {"g", "hh", "hv", "k", "ng"}
