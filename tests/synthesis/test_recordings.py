"""Recordings with a known text: the times of their phonemes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import audio
from lipsync_lab.synthesis import recordings, visemes
from lipsync_lab.synthesis.speech import SAMPLE_RATE, join, silence, speak


def test_a_recording_becomes_speech_with_its_own_times(tmp_path: Path):
    wave = (np.sin(np.arange(32_000) / 9) * 9000).astype(np.int16)
    wavfile.write(tmp_path / "a.wav", 16_000, wave)
    (tmp_path / "a.align").write_text("0 12500 sil\n12500 25000 blue\n25000 27000 b\n27000 50000 sil\n")
    speech = recordings.aligned(tmp_path / "a.wav", tmp_path / "a.align")
    assert speech.text == "blue b"
    assert speech.phonemes[0].start == 0
    assert speech.phonemes[-1].end == pytest.approx(2.0)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(speech.phonemes))
    sounds = [phoneme for phoneme in speech.phonemes if phoneme.symbol]
    assert sounds[0].symbol == "b"
    assert (sounds[0].start, sounds[-1].end) == pytest.approx((0.5, 1.08))
    (tmp_path / "a.align").write_text("not an alignment\n")
    with pytest.raises(MediaError, match=r"a\.align"):
        recordings.aligned(tmp_path / "a.wav", tmp_path / "a.align")


@pytest.mark.parametrize(
    ("voice", "variant", "text"),
    [("en-us", "f2", "Set white with P two soon."), ("de", "m3", "Guten Morgen, liebe Leute!")],
)
def test_the_phonemes_of_another_voice_are_found_again(voice, variant, text):
    """The recording is spoken by espeak-ng too, by another voice, slower, and with noise: its times are known."""
    known = join(silence(0.7), speak(text, voice=voice, variant=variant, rate=125, pitch=70), silence(0.4))
    noise = np.random.default_rng(1).normal(0, 1e-3, len(known.wave))
    moved = recordings.recorded((known.wave + noise).astype(np.float32), text, voice=voice)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(moved.phonemes))
    assert (moved.phonemes[0].start, moved.phonemes[-1].end) == (0, pytest.approx(known.duration))
    ours, theirs = ([p for p in speech.phonemes if p.symbol] for speech in (moved, known))
    assert [p.symbol for p in ours] == [p.symbol for p in theirs]
    wrong = np.abs([a.start - b.start for a, b in zip(ours, theirs, strict=True)])
    assert np.median(wrong) < 0.03
    assert wrong.max() < 0.15


def test_words_are_where_the_corpus_says(shared):
    folder, wrong = shared / "footage" / "training" / "grid_s1", []
    for code, text in {"lbak1s": "lay blue at K one soon", "pgij8n": "place green in J eight now"}.items():
        known = recordings.aligned(folder / f"{code}.mkv", folder / f"{code}.align")
        moved = recordings.recorded(audio.load(folder / f"{code}.mkv"), text)
        times = np.arange(0.5, 2.5, 0.01)
        opening = [[visemes.pose_at(visemes.timeline(s), t).openness for t in times] for s in (known, moved)]
        wrong.append(np.corrcoef(*opening)[0, 1])
    assert min(wrong) > 0.5


def test_what_is_no_recording_of_the_text_is_refused():
    with pytest.raises(ParameterError, match="no speech"):
        recordings.recorded(np.zeros(SAMPLE_RATE, np.float32), "Hello.")
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32) * np.hanning(SAMPLE_RATE)
    with pytest.raises(ParameterError, match="give the text of this recording"):
        recordings.recorded(noise, "She looked at the sea for a long time, and said nothing at all. " * 4)
