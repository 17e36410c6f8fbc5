"""The bundled samples: that they can be made again, and that each shows what it was made for."""

from __future__ import annotations

import wave

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.media import audio, video
from lipsync_lab.synthesis import film
from lipsync_lab.synthesis import samples as making
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.speech import SAMPLE_RATE, join, silence, speak
from lipsync_lab.synthesis.truth import COLUMNS
from lipsync_lab.training import corpus

PAIRS = [(f"animation_{word}", f"astronaut_{word}") for word in ("hello", "baker", *making.PAIRS)]


def ground_truth(name: str) -> pd.DataFrame:
    return pd.read_csv(samples.HOME / f"{name}.truth.csv", keep_default_na=False, na_values={"face_x1": [""]})


def pictures(path) -> list[np.ndarray]:
    return [frame.image for frame in video.frames(path)]


def samples_of(path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, SAMPLE_RATE, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)


# --- made again ------------------------------------------------------------------------------------------------------


def test_every_bundled_file_has_a_recipe_and_every_recipe_a_file():
    assert set(making.CLIPS) | set(making.VOICES) == set(samples.names(bundled=True))
    assert set(making.VOICES) == set(samples.names("voice", bundled=True))


def test_a_clip_comes_out_again(tmp_path):
    (clip,) = making.make(tmp_path, ["cut_in_the_city"])
    kept = samples.path("cut_in_the_city")
    assert (tmp_path / "cut_in_the_city.truth.csv").read_bytes() == kept.with_suffix(".truth.csv").read_bytes()
    for again, before in zip(pictures(clip), pictures(kept), strict=True):
        assert np.abs(again.astype(int) - before).mean() < 2
    assert audio.load(clip) == pytest.approx(audio.load(kept), abs=0.02)


@pytest.mark.parametrize("name", making.VOICES)
def test_a_voice_comes_out_again(name, tmp_path):
    (again,) = making.make(tmp_path, [name])
    again, before = samples_of(again), samples_of(samples.path(name))
    assert len(again) == len(before)
    assert np.abs(again - before).max() <= 2  # a resampler may round otherwise on another processor


def test_a_sample_that_there_is_not(tmp_path):
    with pytest.raises(ParameterError, match="drawn_helo"):
        making.make(tmp_path, ["drawn_helo"])


# --- what they are ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", making.CLIPS)
def test_manifest_truth_and_film_agree(name):
    sample, rows, info = samples.get(name), ground_truth(name), video.probe(samples.path(name))
    assert tuple(rows.columns) == COLUMNS
    assert rows.frame.tolist() == list(range(sample.frames))
    assert rows.time.to_numpy() == pytest.approx(np.arange(sample.frames) / float(sample.fps), abs=6e-4)
    assert len(pictures(samples.path(name))) == sample.frames
    assert (info.fps, (info.width, info.height)) == (sample.fps, sample.size)
    assert len(audio.load(samples.path(name))) / SAMPLE_RATE == pytest.approx(
        sample.frames / float(sample.fps), abs=0.1
    )
    assert (sample.frames == 50) if sample.pair in making.PAIRS else 3 <= sample.frames / sample.fps <= 6
    assert "espeak-ng" in info.tags["comment"]
    assert ("never said" in info.tags["comment"]) == (sample.domain == "synthetic_photo")
    assert ("never said" in sample.note) == (sample.domain == "synthetic_photo")


def test_they_are_few_and_small():
    assert len(making.CLIPS) == 10 + 2 * len(making.PAIRS)
    assert len(making.VOICES) == 2
    assert sum(file.stat().st_size for file in samples.HOME.iterdir()) < 5e6


@pytest.mark.parametrize(("animation", "portrait"), PAIRS)
def test_a_pair_says_the_same_at_the_same_time(animation, portrait):
    assert (samples.get(animation).domain, samples.get(portrait).domain) == ("animation", "synthetic_photo")
    first, second = ground_truth(animation), ground_truth(portrait)
    assert first.phoneme.tolist() == second.phoneme.tolist()
    assert audio.load(samples.path(animation)) == pytest.approx(audio.load(samples.path(portrait)), abs=0.02)
    # the portrait moves in every frame, the animation holds each of its mouths for two
    lags = {lag: np.corrcoef(first.openness[4:-4], second.openness.shift(lag)[4:-4])[0, 1] for lag in range(-4, 5)}
    assert lags[0] > 0.5
    assert abs(max(lags, key=lags.get)) <= 1


def test_the_short_pairs_are_eight_characters_with_eight_sentences():
    lines, scenes = zip(*making.PAIRS.values(), strict=True)
    assert len(making.PAIRS) >= 8
    assert len({line.text for line in lines}) == len({scene.seed for scene in scenes}) == len(making.PAIRS)
    # training draws its sentences from a list of words: each of these has a word that is not in it
    known = set(corpus._words()["en"])
    assert all(set(line.text.lower().strip(".?").split()) - known for line in lines)


def test_every_style_is_there():
    settings = [setting for takes in making.CLIPS.values() for _, setting in takes if isinstance(setting, Scene)]
    assert {setting.style for setting in settings} == {"anime", "western", "rubberhose", "flat"}
    assert len({setting.seed for setting in settings}) == len(settings)


def test_dubbing_voices_are_in_no_clip():
    lines = [line for takes in making.CLIPS.values() for line, _ in takes]
    assert not {line.variant for line in lines} & {voice.variant for voice in making.VOICES.values()}
    assert not {line.text for line in lines} & {voice.text for voice in making.VOICES.values()}
    assert len({voice.variant for voice in making.VOICES.values()}) == 2


def test_training_has_not_seen_them():
    new = {name: takes for name, takes in making.CLIPS.items() if not name.endswith("_hello")}
    for line, setting in (take for takes in new.values() for take in takes):
        assert line.variant in corpus.HELD_OUT_VARIANTS
        assert corpus.is_held_out(setting.seed) or setting == making.Portrait(seed=4)  # the baker's portrait
    assert {voice.variant for voice in making.VOICES.values()} <= set(corpus.HELD_OUT_VARIANTS)


# --- each failure is in its clip -------------------------------------------------------------------------------------


def test_turning_away():
    poses = ground_truth("turning_away").pose
    assert poses[(poses != poses.shift())].tolist() == ["front", "three-quarter", "profile"]
    assert (poses == "profile").mean() > 0.4


def test_small_in_the_hills():
    rows = ground_truth("small_in_the_hills")
    assert ((rows.face_y2.astype(float) - rows.face_y1.astype(float)) < 0.1 * 360).all()
    assert (rows.face_x1 > 0).all()


def test_behind_a_cup():
    rows = ground_truth("behind_a_cup")
    assert 0.3 < rows.occluded.mean() < 0.6
    assert rows.occluded.iloc[[0, -1]].tolist() == [0, 0]
    assert rows.openness[rows.occluded == 1].max() > 0.3  # and it speaks all the while


def test_cut_in_the_city():
    shots, frames = ground_truth("cut_in_the_city").shot, pictures(samples.path("cut_in_the_city"))
    change = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames[:-1], frames[1:], strict=True)]
    (cut,) = np.flatnonzero(np.diff(shots))
    assert np.argmax(change) == cut
    assert change[cut] > 3 * sorted(change)[-2]


def test_dog_on_threes():
    drawings = ground_truth("dog_on_threes").drawing.to_numpy()
    starts = np.flatnonzero(np.diff(drawings, prepend=-1))
    assert (starts % 3 == 0).all()
    assert 15 < len(starts) <= -(-len(drawings) // 3)
    frames = [frame.mean(2)[60:230, 90:290] for frame in pictures(samples.path("dog_on_threes"))]
    change = np.array([np.abs(a - b).mean() for a, b in zip(frames[:-1], frames[1:], strict=True)])
    new = np.diff(drawings) > 0
    assert np.median(change[new]) > 1.2 * np.median(change[~new])  # under the grain, which never holds


def test_nobody_there():
    rows = ground_truth("nobody_there")
    assert rows.face_x1.isna().all()
    assert rows.shot.nunique() == 2
    assert (rows.phoneme != "").mean() > 0.6


# --- takes that are joined -------------------------------------------------------------------------------------------


def test_joined_takes_are_counted_on(tmp_path):
    first, second = speak("Ma!", variant="m4"), silence(0.31)
    takes = [(first, Scene(seed=3, size=(64, 64))), (second, Scene(seed=4, size=(64, 64), cuts=1))]
    rows = pd.read_csv(film.write_scenes(tmp_path / "two.mp4", takes), keep_default_na=False)
    frames = pictures(tmp_path / "two.mp4")
    assert rows.frame.tolist() == list(range(len(frames)))
    assert rows.time.to_numpy() == pytest.approx(rows.frame / 25, abs=6e-4)
    cut = -(-len(first.wave) // (SAMPLE_RATE // 25))  # in whole frames
    assert rows.shot.tolist()[cut - 1 : cut + 1] == [0, 1]
    assert rows.shot.max() == 2
    assert set(np.diff(rows.drawing)) <= {0, 1}
    assert rows.drawing[cut] == rows.drawing[cut - 1] + 1
    alone = pd.read_csv(film.write_scene(tmp_path / "one.mp4", *takes[0]), keep_default_na=False)
    assert rows[: len(alone)].equals(alone)
    sound = audio.load(tmp_path / "two.mp4")
    assert np.abs(sound[: len(first.wave)]).max() > 0.05
    assert np.abs(sound[cut * SAMPLE_RATE // 25 + 400 :]).max() < 0.01


@pytest.mark.parametrize("other", [Scene(size=(64, 64), fps=24.0), Scene(size=(64, 96)), None])
def test_takes_that_do_not_fit_are_not_joined(other, tmp_path):
    takes = [(silence(0.2), setting) for setting in (Scene(size=(64, 64)), other) if other]
    with pytest.raises(ParameterError, match=r"clip\.mp4.*one size and frame rate"):
        film.write_scenes(tmp_path / "clip.mp4", takes)
    assert not list(tmp_path.iterdir())


def test_a_line_has_its_pauses():
    speech = making.Line("Mama.", "m4", before=0.2, after=0.3).speech()
    assert speech.duration == pytest.approx(speak("Mama.", variant="m4").duration + 0.5, abs=1e-3)
    assert speech.phonemes == join(silence(0.2), speak("Mama.", variant="m4"), silence(0.3)).phonemes
