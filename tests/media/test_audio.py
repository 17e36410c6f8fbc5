"""Sound: the published mel and windows, and decoding against other libraries."""

import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from lipsync_lab import samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import audio, video


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


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(16_000, 1, 3.01), (44_100, 2, 9.3), (8_000, 1, 0.02)])
def test_the_mel_of_a_file_is_that_of_its_waveform(tmp_path, rate, channels, seconds):
    noise = np.random.default_rng(rate).uniform(-0.5, 0.5, (round(rate * seconds), channels))
    soundfile.write(tmp_path / "v.wav", noise, rate)
    wave = audio.load(tmp_path / "v.wav")
    mel, count = audio.load_mel(tmp_path / "v.wav")
    assert count == len(wave)
    assert np.array_equal(mel, audio.melspectrogram(wave))


def test_the_mel_of_a_file_needs_less_memory_than_its_waveform(tmp_path):
    soundfile.write(tmp_path / "v.flac", np.zeros(600 * 16_000, np.int16), 16_000)
    audio.load_mel(samples.path("voice_umbrella"))  # the filters are kept
    tracemalloc.start()
    mel, count = audio.load_mel(tmp_path / "v.flac")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert mel.shape == (80, 48_001)
    assert most < 4 * count


def test_bundled_mel_filters_are_those_of_librosa():
    """The call that the bundled file was made with."""
    import librosa

    basis = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    bundled = audio._mel_basis()
    assert (bundled.dtype, bundled.shape) == (np.float32, (80, 401))
    assert np.array_equal(bundled, basis)


def test_mel_does_not_import_librosa():
    code = (
        "import sys, numpy as np; from lipsync_lab.media import audio; audio.melspectrogram(np.ones(9000, np.float32));"
        "print(*sorted({'librosa', 'scipy', 'torch'} & set(sys.modules)))"
    )
    root = Path(audio.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


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


# --- timestamps, damage, wrong headers ---


def sound_with_hole(path: Path, hole: float, rate: int = 8_000) -> Path:
    """Half a second of a tone, a hole in the timestamps, another half second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for number in range(2):
            samples = (tone(0.5, rate) * 32_767).astype(np.int16)[None]
            block = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            block.sample_rate, block.time_base = rate, Fraction(1, rate)
            block.pts = round(number * (0.5 + hole) * rate)
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return path


def test_hole_within_the_limit_is_silence_in_pieces(tmp_path):
    sound = audio.open_sound(sound_with_hole(tmp_path / "a.mkv", 9))
    sizes, wave = [], []
    for block in sound.blocks:
        sizes.append(len(block))
        wave.append(block[:, 0])
    wave = np.concatenate(wave)
    assert max(sizes) <= 8_000
    assert len(wave) == 80_000
    assert not wave[4_000:76_000].any()
    assert np.abs(wave[76_000:] - tone(0.5, 8_000)).max() < 1e-3


def test_longer_hole_is_an_error_that_says_where(tmp_path):
    path = sound_with_hole(tmp_path / "a.mkv", 3 * 3600)
    tracemalloc.start()
    with pytest.raises(MediaError, match=r"a\.mkv: the sound .*10800\.0 s from 0\.50 s.*LIPSYNC_LAB_MAX_GAP=10800"):
        audio.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_limit_of_a_hole_can_be_raised(tmp_path, monkeypatch):
    path = sound_with_hole(tmp_path / "a.mkv", 12)
    assert len(audio.load(path, limits=audio.Limits(max_gap=12))) == pytest.approx(13 * 16_000, abs=2)
    monkeypatch.setenv("LIPSYNC_LAB_MAX_GAP", "12")
    assert len(audio.load(path)) == pytest.approx(13 * 16_000, abs=2)
    monkeypatch.setenv("LIPSYNC_LAB_MAX_GAP", "1")
    with pytest.raises(MediaError, match="limit is 1 s"):
        audio.load(path)


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "long"])
def test_limits_that_are_none(monkeypatch, text):
    monkeypatch.setenv("LIPSYNC_LAB_MAX_GAP", text)
    with pytest.raises(ParameterError, match="positive number"):
        audio.Limits.from_environment()


def m4a(path: Path, seconds: float = 2.0, rate: int = 48_000) -> bytearray:
    pictures = [np.zeros((32, 32, 3), np.uint8)] * round(seconds * 25)
    rng = np.random.default_rng(3)
    noise = rng.uniform(-0.3, 0.3, round(seconds * rate)).astype(np.float32)
    video.write_clip(path, pictures, 25, sound=audio.Sound.from_wave(noise, rate))
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("share", [0, 1 / 30, None])
def test_sound_whose_header_has_a_wrong_duration(tmp_path, share):
    data = m4a(tmp_path / "a.mp4")
    expected = audio.load(tmp_path / "a.mp4")
    at = data.rindex(b"mdhd") + 16  # of the second track, the sound
    length = int.from_bytes(data[at + 4 : at + 8], "big")
    data[at + 4 : at + 8] = (0xFFFFFFFF if share is None else int(share * length)).to_bytes(4, "big")
    (tmp_path / "b.mp4").write_bytes(data)
    wave = audio.load(tmp_path / "b.mp4")
    assert len(wave) == pytest.approx(len(expected), abs=1_500)  # up to four blocks of padding more
    assert np.abs(wave[: len(expected) - 100] - expected[:-100]).max() < 1e-6


def test_damaged_packet_is_passed_over(tmp_path):
    data = m4a(tmp_path / "a.mp4")
    expected = audio.load(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    position, size = packets[40]
    refused = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        damaged = data.copy()
        damaged[position : position + size] = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
        (tmp_path / "b.mp4").write_bytes(damaged)
        with av.open(str(tmp_path / "b.mp4")) as container:
            try:
                list(container.decode(audio=0))
            except av.error.FFmpegError:
                refused += 1
        wave = audio.load(tmp_path / "b.mp4")
        assert len(wave) == pytest.approx(len(expected), abs=400)
        assert np.abs(wave[:12_500] - expected[:12_500]).max() < 1e-6
        assert np.abs(wave[16_000:30_000] - expected[16_000:30_000]).max() < 0.02
    assert refused > 3


def test_first_track_that_decodes_is_read(tmp_path):
    """An iPhone's spatial sound: a codec that FFmpeg does not know, and AAC beside it."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        streams = [container.add_stream("aac", rate=48_000, layout="mono") for _ in range(2)]
        for stream, level in zip(streams, (0.1, 0.5), strict=True):
            block = av.AudioFrame.from_ndarray(tone(1, 48_000, level=level)[None], "fltp", "mono")
            block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), 0
            container.mux(stream.encode(block))
            container.mux(stream.encode(None))
    data = (tmp_path / "a.mp4").read_bytes()
    first = data.index(b"mp4a")
    alien = data[:first] + data[first:].replace(b"mp4a", b"apac", 1).replace(b"esds", b"dapa", 1)
    (tmp_path / "first.mp4").write_bytes(alien)
    assert np.abs(audio.load(tmp_path / "first.mp4")[4_000:12_000]).max() == pytest.approx(0.5, abs=0.05)
    (tmp_path / "both.mp4").write_bytes(data.replace(b"mp4a", b"apac").replace(b"esds", b"dapa"))
    with pytest.raises(MediaError, match=r"both\.mp4: .*codec that FFmpeg does not decode"):
        audio.load(tmp_path / "both.mp4")


def test_rate_and_channels_may_change_midway(tmp_path):
    """Joined MP3s: one voice at one rate, at the level and pitch of each part."""
    parts = b""
    for rate, layout, kind in ((44_100, "stereo", "s16p"), (48_000, "mono", "s16p"), (32_000, "stereo", "s16p")):
        with av.open(str(tmp_path / "part.mp3"), "w") as container:
            stream = container.add_stream("libmp3lame", rate=rate, layout=layout)
            wave = (tone(1, rate) * 32_767).astype(np.int16)
            block = av.AudioFrame.from_ndarray(np.stack([wave] * (2 if layout == "stereo" else 1)), kind, layout)
            block.sample_rate, block.time_base, block.pts = rate, Fraction(1, rate), 0
            container.mux(stream.encode(block))
            container.mux(stream.encode(None))
        parts += (tmp_path / "part.mp3").read_bytes()
    (tmp_path / "joined.mp3").write_bytes(parts)
    sound = audio.open_sound(tmp_path / "joined.mp3")
    assert {block.shape[1] for block in sound.blocks} == {sound.channels}
    wave = audio.load(tmp_path / "joined.mp3")
    assert len(wave) / 16_000 == pytest.approx(3, abs=0.3)  # with the encoders' padding
    for second in (0.5, 1.55, 2.6):
        part = wave[int(second * 16_000) - 2_000 : int(second * 16_000) + 2_000]
        assert np.abs(part).max() == pytest.approx(0.5, abs=0.05)
        assert np.abs(np.fft.rfft(part)).argmax() * 4 == pytest.approx(440, abs=4)
