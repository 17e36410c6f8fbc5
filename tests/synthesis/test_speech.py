"""Speech with known times, and the mouths that are made of it."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel.shapes import CHART, CLOSED, SHAPES, MouthShape
from lipsync_lab.synthesis import visemes
from lipsync_lab.synthesis.speech import (
    LANGUAGES,
    SAMPLE_RATE,
    VARIANTS,
    Phoneme,
    Speech,
    join,
    silence,
    speak,
)
from lipsync_lab.synthesis.truth import COLUMNS, GroundTruth, table

SENTENCES = {
    "en-us": "Mama, please buy five blue balloons. The sheep saw fish!",
    "en-gb": "Mama, please buy five blue balloons. The sheep saw fish!",
    "de": "Liebe Mutter, fünf Pferde laufen über die Brücke.",
    "fr-fr": "Bonjour, je m'appelle Pierre. Un bon vin blanc.",
    "es": "Mamá, el perro corre en Barcelona. Buenos días.",
    "it": "La mamma mangia la pizza, bella e buona.",
}
BILABIAL = set("mbp")


def part(speech: Speech, phoneme: Phoneme) -> np.ndarray:
    return speech.wave[int(phoneme.start * SAMPLE_RATE) : int(phoneme.end * SAMPLE_RATE)]


def level(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(wave.astype(float) ** 2)))


def fundamental(speech: Speech) -> float:
    """Pitch in Hz of the first vowel, by its cepstrum, 70 to 400 Hz."""
    wave = part(speech, next(phoneme for phoneme in speech.phonemes if phoneme.stress)).astype(float)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8192))
    cepstrum = np.fft.irfft(np.log(spectrum + 1e-6))
    first = SAMPLE_RATE // 400
    return SAMPLE_RATE / (first + np.argmax(cepstrum[first : SAMPLE_RATE // 70]))


@pytest.mark.parametrize("voice", LANGUAGES)
def test_phonemes_cover_the_wave_in_order(voice):
    speech = speak(SENTENCES[voice], voice=voice)
    assert speech.wave.dtype == np.float32
    assert speech.wave.ndim == 1
    assert 0.2 < np.abs(speech.wave).max() <= 1
    assert speech.phonemes[0].start == 0
    assert speech.phonemes[-1].end == speech.duration == len(speech.wave) / SAMPLE_RATE
    assert all(phoneme.start < phoneme.end for phoneme in speech.phonemes)
    assert all(first.end == second.start for first, second in pairwise(speech.phonemes))
    assert sum(bool(phoneme.symbol) for phoneme in speech.phonemes) >= 20


@pytest.mark.parametrize("voice", [*LANGUAGES, "en-us+f2", "de+m5"])
def test_sound_stands_where_the_phonemes_say(voice):
    speech = speak(SENTENCES[voice.partition("+")[0]], voice=voice)
    vowels = [level(part(speech, p)) for p in speech.phonemes if p.stress]
    # The middle of a pause: a sound dies away into its beginning.
    pauses = [level(part(speech, p)[160:-160]) for p in speech.phonemes if not p.symbol and p.end - p.start > 0.05]
    assert min(vowels) > 0.02
    assert pauses
    assert max(pauses) < 0.05 * min(vowels)


def test_hisses_stand_where_the_phonemes_say():
    speech = speak("A saw, a sea, a sash, a soup.")

    def crossings(phoneme):
        return float(np.mean(np.diff(np.signbit(part(speech, phoneme)).astype(int)) != 0))

    hisses = [crossings(p) for p in speech.phonemes if p.symbol == "s"]
    vowels = [crossings(p) for p in speech.phonemes if p.stress == 2]
    assert len(hisses) >= 4
    assert min(hisses) > 2 * max(vowels)


def test_a_stop_begins_with_its_closure():
    speech = speak("Papa, a copy, a top cap.")
    stops = [p for p in speech.phonemes[1:] if p.symbol == "p"]
    assert len(stops) >= 4
    for stop in stops:
        wave = np.abs(part(speech, stop))
        assert wave[16:160].max() < 0.02 < wave.max()


def test_same_words_same_samples_whatever_was_said_before():
    first = speak("Where do we go now?", voice="en-us", pitch=60)
    for voice in ("de+f2", "fr-fr", "en-us+croak", "en-us+klatt", "it+m3"):
        speak("Mamma, papa, hallo.", voice=voice)
        again = speak("Where do we go now?", voice="en-us", pitch=60)
        np.testing.assert_array_equal(again.wave, first.wave)
        assert again.phonemes == first.phonemes


def test_rate_pitch_and_voice_are_heard():
    plain = speak("Lava, mama, mellow llama.")
    assert speak(plain.text, rate=240).duration < 0.8 * plain.duration
    low, high = (fundamental(speak("Lala lala.", pitch=pitch, voice="en-us+m1")) for pitch in (20, 80))
    assert high > 1.25 * low
    woman = speak("Lala lala.", voice="en-us", variant="f2")
    assert woman.voice == "en-us+f2"
    assert fundamental(woman) > 1.25 * fundamental(speak("Lala lala."))


def test_languages_differ():
    assert {p.symbol for p in speak("Fünf Bücher", voice="de").phonemes} >= {"ʏ", "ç"}
    assert any("̃" in p.symbol for p in speak("un bon vin blanc", voice="fr-fr").phonemes)
    # English of two countries: only one of them says the r.
    assert "ɹ" in speak("harm", voice="en-us").phonemes[1].symbol + speak("harm", voice="en-us").phonemes[2].symbol
    assert not any("ɹ" in p.symbol for p in speak("harm", voice="en-gb").phonemes)


def test_listed_voices_speak():
    assert len({speak("Mama.", voice=language).wave.tobytes() for language in LANGUAGES}) == len(LANGUAGES)
    sounds = set()
    for variant in VARIANTS:  # an unknown variant would be refused
        speech = speak("Ma.", voice="de", variant=variant)
        assert speech.voice == f"de+{variant}"
        sounds.add(speech.wave.tobytes())
    assert len(sounds) == len(VARIANTS)


def test_silence_and_join():
    quiet = silence(0.5)
    assert not quiet.wave.any()
    assert quiet.duration == 0.5
    assert [p.symbol for p in quiet.phonemes] == [""]
    word = speak("Mama.")
    whole = join(quiet, word, quiet)
    assert whole.duration == pytest.approx(word.duration + 1.0)
    np.testing.assert_array_equal(whole.wave[8000:-8000], word.wave)
    assert whole.phonemes[1].start == 0.5
    assert whole.phonemes[-1].end == pytest.approx(whole.duration)
    assert (whole.text, whole.voice) == ("Mama.", "en-us")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"text": "  \n"}, "empty"),
        ({"text": "hello", "voice": "klingon"}, "klingon"),
        ({"text": "hello", "variant": "nobody"}, "nobody"),
        ({"text": "hello", "voice": "de+nobody"}, "nobody"),
        ({"text": "hello", "rate": 20}, "rate 20"),
        ({"text": "hello", "pitch": 100}, "pitch 100"),
    ],
)
def test_faults_are_named(arguments, says):
    with pytest.raises(ParameterError, match=says) as fault:
        speak(**arguments)
    assert "\n" not in str(fault.value)


def test_a_missing_library_is_named_and_does_not_block_the_next_call(monkeypatch, tmp_path):
    import espeakng_loader

    speak("Mama.")
    for getter, missing in (("get_library_path", tmp_path / "libespeak.so"), ("get_data_path", tmp_path / "data")):
        with monkeypatch.context() as patch:
            patch.setattr(espeakng_loader, getter, lambda path=missing: str(path))
            with pytest.raises(MediaError, match=missing.name):
                speak("Mama.")
    assert speak("Mama.").duration > 0.3


def test_text_without_words_is_refused():
    with pytest.raises(MediaError, match="no sound"):
        speak("...")


def test_silence_needs_a_length():
    with pytest.raises(ParameterError, match="silence"):
        silence(0)


# Mouths


@pytest.mark.parametrize(
    ("voice", "word", "shapes"),
    [
        ("en-us", "mama", "ADAC"),
        ("en-us", "five", "GDBG"),
        ("en-us", "boom", "AFA"),
        ("en-us", "valley", "GCHB"),
        ("en-us", "bye-bye", "ADBADB"),
        ("en-us", "pop", "ADA"),
        ("de", "Puppe", "AFAC"),
        ("de", "Vater", "GDBC"),
        ("de", "müde", "AFBC"),
        ("fr-fr", "beaux", "AE"),
        ("fr-fr", "fou", "GF"),
        ("fr-fr", "papa", "ADAD"),
        ("es", "mamá", "ADAD"),
        ("es", "foto", "GEBE"),
        ("it", "pappa", "ADAD"),
        ("it", "lupo", "HFAE"),
    ],
)
def test_words_have_the_mouths_that_an_animator_gives_them(voice, word, shapes):
    line = visemes.timeline(speak(word + ".", voice=voice, rate=110))
    assert "".join(key.pose.shape for key in line.keys).strip("X") == shapes


def test_every_shape_is_used_and_ordered_by_openness():
    assert set(CHART) == set(SHAPES)
    openness = {shape: pose.openness for shape, pose in CHART.items()}
    assert openness["X"] == openness["A"] == 0
    assert 0 < openness["G"] < openness["B"] < openness["F"] < openness["C"] < openness["D"] == 1
    assert CHART["F"].width < CHART["E"].width < CHART["X"].width


@pytest.mark.parametrize("rate", [140, 200, 280])
@pytest.mark.parametrize("voice", LANGUAGES)
def test_lips_close_on_every_bilabial_in_some_frame(voice, rate):
    speech = speak(SENTENCES[voice], voice=voice, rate=rate)
    line = visemes.timeline(speech)
    closing = [p for p in speech.phonemes if p.symbol[:1] in BILABIAL and p.symbol]
    assert len(closing) >= 3
    for phase in np.linspace(0, 0.04, 5, endpoint=False):
        times = np.arange(phase, speech.duration, 0.04)
        shut = np.array([visemes.pose_at(line, t).openness < 0.05 for t in times])
        for phoneme in closing:
            near = (times > phoneme.start - 0.06) & (times < phoneme.end + 0.06)
            assert shut[near].any(), phoneme


@pytest.mark.parametrize("voice", LANGUAGES)
def test_stressed_vowels_open_and_pauses_close(voice):
    speech = speak(SENTENCES[voice], voice=voice, rate=140)
    line = visemes.timeline(speech)
    for phoneme in speech.phonemes:
        inner = np.linspace(phoneme.start, phoneme.end, 22)[1:-1]
        poses = [visemes.pose_at(line, t) for t in inner]
        if phoneme.stress == 2:
            assert max(pose.openness for pose in poses) > 0.1, phoneme
        if not phoneme.symbol and phoneme.end - phoneme.start > 2 * visemes.MINIMUM_PAUSE:
            assert min(pose.openness for pose in poses[5:15]) == 0, phoneme
            assert {pose.shape for pose in poses[5:15]} == {"X"}
            assert visemes.phoneme_at(line, inner[9]) == ""


@pytest.mark.parametrize("voice", LANGUAGES)
def test_mouth_is_at_rest_outside_the_speech(voice):
    line = visemes.timeline(speak(SENTENCES[voice].rstrip("!."), voice=voice))
    for moment in (-0.1, line.duration, line.duration + 0.02, line.duration + 3):
        assert visemes.pose_at(line, moment) == visemes.key_at(line, moment) == CHART["X"]
        assert visemes.phoneme_at(line, moment) == ""
    assert visemes.pose_at(line, line.duration - 1e-4).openness < 0.01


def test_silence_is_at_rest():
    line = visemes.timeline(silence(1.0))
    assert [key.pose for key in line.keys] == [CHART["X"]]


def random_speech(rng) -> Speech:
    symbols = [*"mbpfvaeiouɔəlkstʃʒhŋw", "", "", "aɪ", "pf", "tʃ", "əl", "?"]
    edges = np.cumsum(np.r_[0, rng.uniform(0.001, 0.2, rng.integers(1, 15))])
    phonemes = tuple(Phoneme(str(rng.choice(symbols)), *span) for span in pairwise(edges.tolist()))
    return Speech(rng.uniform(-1, 1, int(edges[-1] * SAMPLE_RATE) + 1).astype(np.float32), phonemes)


def test_any_sequence_holds_its_shapes_and_moves_without_jumps():
    rng = np.random.default_rng(5)
    for _ in range(150):
        speech = random_speech(rng)
        line = visemes.timeline(speech)
        assert line.keys[0].start == 0
        assert line.keys[-1].end == line.duration == speech.duration
        assert all(first.end == second.start for first, second in pairwise(line.keys))
        assert all(first.pose.shape != second.pose.shape for first, second in pairwise(line.keys))
        if len(line.keys) > 1:
            assert min(key.end - key.start for key in line.keys) > visemes.MINIMUM_HOLD - 1e-4
        for key in line.keys:
            assert key.pose.openness == 0 or key.pose.shape not in CLOSED
        poses = [visemes.pose_at(line, t) for t in np.arange(0, line.duration, 0.002)]
        for name in ("openness", "width", "rounding", "teeth", "tongue"):
            values = np.array([getattr(pose, name) for pose in poses])
            assert values.min() >= 0
            assert values.max() <= 1
            # The fastest: from closed to wide in half a minimum hold, at a smoothstep's steepest.
            assert np.abs(np.diff(values)).max(initial=0) <= 1.5 * 0.002 / (visemes.MINIMUM_HOLD / 2) + 1e-6


@pytest.mark.parametrize("on", [1, 2, 3])
def test_no_closure_is_lost_when_drawings_are_held(on):
    hold = on / 24
    for voice, text in SENTENCES.items():
        line = visemes.timeline(speak(text, voice=voice, rate=180))
        times = np.arange(0, line.duration, hold)
        drawn = [visemes.key_at(line, t, hold).shape for t in times]
        for key in line.keys:
            if key.pose.shape == "A":
                shown = [s for t, s in zip(times, drawn, strict=True) if t < key.end and t + hold > key.start]
                assert "A" in shown


def test_lips_are_rounded_before_a_rounded_vowel():
    def consonant(word):
        keys = visemes.timeline(speak(word, rate=110)).keys
        return next(key.pose for key in keys if key.pose.shape == "B")

    assert consonant("soup.").width < consonant("sip.").width - 0.15
    assert consonant("soup.").rounding > consonant("sip.").rounding + 0.3


def test_louder_vowels_open_wider():
    wave = np.sin(np.arange(SAMPLE_RATE) * 0.2).astype(np.float32)
    wave[SAMPLE_RATE // 2 :] *= 0.2
    loud, soft = Phoneme("a", 0.0, 0.4), Phoneme("a", 0.6, 1.0)
    line = visemes.timeline(Speech(wave, (loud, Phoneme("m", 0.4, 0.6), soft)))
    assert [key.pose.shape for key in line.keys] == ["D", "A", "D"]
    assert line.keys[0].pose.openness == 1
    assert line.keys[2].pose.openness < 0.85


def test_drawn_mouths_are_keys_and_filmed_ones_pass_through_them():
    line = visemes.timeline(speak(SENTENCES["en-us"]))
    keys = {key.pose for key in line.keys}
    for key in line.keys:
        middle = (key.start + key.end) / 2
        assert visemes.key_at(line, middle) == key.pose
        assert visemes.pose_at(line, middle).openness == pytest.approx(key.pose.openness, abs=1e-6)
    drawn = {visemes.key_at(line, t) for t in np.arange(0, line.duration, 0.01)}
    assert drawn <= keys


# The table


def test_table_has_a_row_a_frame_and_its_columns():
    rows = table([GroundTruth(0, 0.0), GroundTruth(1, 0.04, face_x1=3.0, shape="D", openness=0.9, phoneme="a")])
    assert tuple(rows.columns) == COLUMNS
    assert rows["frame"].tolist() == [0, 1]
    assert rows["face_x1"].isna().tolist() == [True, False]
    assert table([]).columns.tolist() == list(COLUMNS)


def test_truth_knows_its_shapes():
    with pytest.raises(ParameterError, match="frame 4"):
        GroundTruth(4, 0.16, shape="Q")
    assert MouthShape("D", 1.0, 0.5).shape in SHAPES


def test_the_second_of_the_day_does_not_matter():
    """espeak-ng seeds its noise with the clock, in whole seconds."""
    first = speak("fifty ships")
    time.sleep(1.1)
    assert np.array_equal(first.wave, speak("fifty ships").wave)
