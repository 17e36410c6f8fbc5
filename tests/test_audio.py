"""Sound: the published mel and windows, and decoding against other libraries."""

import numpy as np
import pytest
import soundfile

from lipsync_lab import audio, video
from lipsync_lab.errors import MediaError, ParameterError


@pytest.fixture(scope="module")
def known(golden):
    with np.load(golden / "audio.npz") as stored:
        return {key: stored[key] for key in stored}


def test_mel_is_the_published_one(known):
    mel = audio.melspectrogram(known["wav"])
    assert mel.dtype == np.float32
    assert np.abs(mel - known["mel"]).max() < 1e-4


def test_mel_in_blocks_is_the_mel(known, monkeypatch):
    monkeypatch.setattr(audio, "_BLOCK", 7_000)
    assert np.abs(audio.melspectrogram(known["wav"]) - known["mel"]).max() < 1e-4


@pytest.mark.parametrize("fps", ["12", "15", "23.976", "24", "25", "29.97", "30", "50", "60"])
def test_window_starts_are_the_published_ones(known, fps):
    assert audio.window_starts(297, float(fps)) == known[f"starts_{fps}"].tolist()


def test_windows_are_slices_with_silence_outside(known):
    mel = known["mel"]
    windows = audio.mel_windows(mel, [-3, 40, 290])
    assert windows.shape == (3, 80, 16)
    assert (windows[1] == mel[:, 40:56]).all()
    assert (windows[0][:, :3] == -4).all()
    assert (windows[0][:, 3:] == mel[:, :13]).all()
    assert (windows[2][:, 7:] == -4).all()
    assert (windows[2][:, :7] == mel[:, 290:]).all()


def test_silence_is_the_lowest_value():
    assert (audio.melspectrogram(np.zeros(16_000, np.float32)) == -4).all()


@pytest.mark.parametrize("wave", [np.zeros(0), np.zeros((2, 2)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_waves_that_are_none(wave):
    with pytest.raises(ParameterError):
        audio.melspectrogram(wave)


def test_too_short_for_a_mouth():
    with pytest.raises(ParameterError, match=r"0\.2 s"):
        audio.window_starts(15, 25)
    assert audio.window_starts(16, 25) == [0, 0]


def tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "c.ogg", "d with 'quotes'.v2.wav"])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_file_is_16_khz_mono(tmp_path, name, channels):
    """A tone keeps its pitch, its level and its length; two channels are averaged, not summed."""
    rate = 44_100
    stereo = np.stack([tone(1, rate), tone(1, rate, level=0.1)], axis=1)
    soundfile.write(tmp_path / name, stereo[:, :channels], rate)
    wave = audio.load(tmp_path / name)
    assert wave.dtype == np.float32
    # FFmpeg leaves the last 3 ms of a Vorbis stream in the decoder
    assert len(wave) == pytest.approx(16_000, abs=50 if name.endswith("ogg") else 2)
    expected = tone(1, 16_000, level=0.5 if channels == 1 else 0.3)[: len(wave)]
    middle = slice(1_000, 15_000)
    assert np.abs(wave[: len(expected)] - expected)[middle].max() < (0.03 if name.endswith("ogg") else 2e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_sample_format_has_the_same_level(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(0.5, 16_000), 16_000, subtype=subtype)
    wave = audio.load(tmp_path / "a.wav")
    assert np.abs(wave - tone(0.5, 16_000)).max() < (1e-2 if subtype == "PCM_U8" else 1e-4)


def test_streaming_is_the_whole(tmp_path):
    soundfile.write(
        tmp_path / "a.wav", np.stack([tone(2, 22_050), tone(2, 22_050, 200)], axis=1), 22_050, subtype="FLOAT"
    )
    sound = audio.open_sound(tmp_path / "a.wav")
    assert (sound.rate, sound.channels) == (22_050, 2)
    twice = [np.concatenate(list(sound.blocks)) for _ in range(2)]
    assert (twice[0] == twice[1]).all()
    assert (twice[0] == soundfile.read(tmp_path / "a.wav", dtype="float32")[0]).all()


@pytest.mark.parametrize("samples", [16_000, 16_001, 16_383, 20_480])
def test_aac_ends_where_the_sound_ends(tmp_path, samples):
    """AAC decodes in whole blocks of 1024 samples; the index of an MP4 says how many count."""
    wave = tone(2, 16_000)[:samples]
    pictures = [np.zeros((32, 32, 3), np.uint8)] * 40
    video.write_clip(tmp_path / "a.mp4", pictures, 25, sound=audio.Sound.from_wave(wave))
    # to the millisecond, in which an MP4 counts it
    assert len(audio.load(tmp_path / "a.mp4")) == pytest.approx(samples, abs=16)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sound_that_is_no_number(tmp_path, value):
    wave = tone(1, 16_000)
    wave[500] = value
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(MediaError, match=r"a\.wav.*NaN"):
        audio.load(tmp_path / "a.wav")


def test_files_without_sound(tmp_path):
    (tmp_path / "text.wav").write_text("no sound here, only words\n" * 40)
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, np.float32), 16_000)
    for name in ("absent.wav", "text.wav", "empty.wav", "nothing.wav", "."):
        with pytest.raises(MediaError) as caught:
            audio.load(tmp_path / name)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_after_the_voice_comes_the_rest():
    voice = audio.Sound(8_000, 2, [np.full((8_000, 2), 0.25, np.float32)])
    rest = audio.Sound.from_wave(np.r_[np.zeros(16_000), np.full(32_000, -0.5)].astype(np.float32))
    joined = np.concatenate(list(audio.followed_by(voice, rest, 1.0).blocks))
    assert joined.shape == (24_000, 2)
    assert (joined[:8_000] == 0.25).all()
    assert np.abs(joined[8_200:23_800] + 0.5).max() < 0.01


def test_real_clips_last_as_long_as_their_picture(shared):
    """Fractions of a second: what the published clips of GRID (75 frames at 25 a second) must come to."""
    wave = audio.load(shared / "footage" / "live" / "grid_s2_pwij3p.mpg")
    assert len(wave) / audio.SAMPLE_RATE == pytest.approx(3.0, abs=0.05)
