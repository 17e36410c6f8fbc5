"""Kinds of files that people have and that a plain reader gets wrong, each written by hand with PyAV or Pillow."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lipsync_lab.errors import MediaError
from lipsync_lab.limits import Limits
from lipsync_lab.media import allowed, audio, video
from lipsync_lab.media.clip import extension, open_clip, play_order
from lipsync_lab.settings import Settings

RATE = 16_000
DEFAULT = av.stream.Disposition.default


def tone(level: float, seconds: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def grey(level: int, count: int = 10, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), level, np.uint8)] * count


def mux(path: Path, videos=(), sounds=(), *, rate=10, codec="mpeg4", disposition=None, prepare=None) -> Path:
    """Write several pictures (lists of frames) and several mono sounds, with PyAV alone."""
    with av.open(str(path), "w") as container:
        tracks = []
        for pictures in videos:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            tracks.append((stream, [av.VideoFrame.from_ndarray(image, "rgb24") for image in pictures]))
        for wave in sounds:
            stream = container.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=RATE, layout="mono")
            stream.time_base = Fraction(1, RATE)
            block = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
            block.sample_rate, block.time_base, block.pts = RATE, Fraction(1, RATE), 0
            tracks.append((stream, [block]))
        for number, (stream, _) in enumerate(tracks):
            if disposition:
                stream.disposition = disposition[number]
            if prepare:
                prepare(stream)
        container.start_encoding()
        for stream, items in tracks:
            for number, item in enumerate(items):
                if isinstance(item, av.VideoFrame):
                    item.pts, item.time_base = number, Fraction(1, rate)
                container.mux(stream.encode(item))
            container.mux(stream.encode(None))
    return path


def first(path: Path) -> np.ndarray:
    return next(video.frames(path)).image


# --- which track -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_the_default_track_is_taken_of_sound_and_picture(tmp_path, name):
    waves = tone(0.0), tone(0.3), tone(0.6)
    path = mux(
        tmp_path / name,
        [grey(40), grey(200)],
        waves,
        disposition=[0, DEFAULT, 0, DEFAULT, 0],
    )
    assert np.abs(audio.load(path)[1000:6000]).max() == pytest.approx(0.3, abs=0.03)
    assert first(path).mean() == pytest.approx(200, abs=4)


def test_without_a_default_a_commentary_comes_last(tmp_path):
    flags = [0, av.stream.Disposition.comment, 0]
    path = mux(tmp_path / "clip.mkv", [grey(40)], [tone(0.6), tone(0.2)], disposition=flags)
    assert np.abs(audio.load(path)).max() == pytest.approx(0.2, abs=0.02)


# --- channels that cancel --------------------------------------------------------------------------------------------


def power(wave: np.ndarray) -> float:
    return float((wave.astype(float) ** 2).mean())


def channels(*waves: np.ndarray) -> audio.Sound:
    return audio.Sound(RATE, len(waves), [np.stack(waves, axis=1)])


def test_a_channel_that_is_turned_over_does_not_silence_the_voice(tmp_path):
    rng = np.random.default_rng(0)
    voice, noise = rng.normal(0, 0.1, RATE).astype(np.float32), rng.normal(0, 0.01, RATE).astype(np.float32)
    assert audio.polarity(channels(voice, -voice)).tolist() == [1, -1]
    assert audio.polarity(channels(voice + noise, -0.7 * voice)).tolist() == [1, -1]
    assert audio.polarity(channels(voice, voice)).tolist() == [1, 1]
    assert audio.polarity(channels(voice, 0 * voice)).tolist() == [1, 1]
    other = rng.normal(0, 0.1, RATE).astype(np.float32)
    assert audio.polarity(channels(voice, other)).tolist() == [1, 1]
    # a voice in the centre of 5.1 alone is no cancellation; a pair that cancels there is
    zero = 0 * voice
    assert audio.polarity(channels(zero, zero, voice, zero, zero, zero)).tolist() == [1] * 6
    assert audio.polarity(channels(voice, -voice, zero, zero, zero, zero)).tolist() == [1, -1, 1, 1, 1, 1]

    path = tmp_path / "inverted.wav"
    import soundfile

    soundfile.write(path, np.stack([voice, -voice], axis=1), RATE, subtype="FLOAT")
    assert np.abs(audio.load(path) - np.clip(voice, -1, 1)).max() < 1e-6


# --- pixels: alpha, shape, colours -----------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_see_through_webm_lies_over_grey(tmp_path, codec):
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[20:40, 20:40] = 255, 255, 255, 255
    path = tmp_path / "art.webm"
    with av.open(str(path), "w") as container:
        options = {"auto-alt-ref": "0", "cpu-used": "8", "deadline": "realtime"}
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(picture, "rgba").reformat(format="yuva420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = [frame.image for frame in video.frames(path)]
    assert len(frames) == 4
    for image in frames:
        assert image[5, 50].tolist() == pytest.approx([128] * 3, abs=3)
        assert image[30, 30].tolist() == pytest.approx([255] * 3, abs=6)
    assert [frame.image[5, 50, 0] for frame in video.frames(path, start=2)] == [image[5, 50, 0] for image in frames[2:]]


def anamorphic(path: Path) -> Path:
    def wide(stream):
        if stream.type == "video":
            stream.codec_context.sample_aspect_ratio = Fraction(64, 45)

    return mux(path, [grey(90, height=48, width=60)], prepare=wide)


def test_pixels_that_are_not_square_keep_their_shape(tmp_path):
    source = anamorphic(tmp_path / "pal.mp4")
    assert video.probe(source).pixel_aspect == Fraction(64, 45)
    for rotate, aspect in ((False, Fraction(64, 45)), (True, Fraction(45, 64))):
        clip = open_clip(source, Settings(rotate=rotate))
        out = video.write_clip(
            tmp_path / "o.mp4",
            clip.read(0, None),
            clip.fps,
            **clip.shown,
        )
        shape = video.probe(out)
        ratio = shape.width * shape.pixel_aspect / shape.height
        assert float(shape.pixel_aspect) == pytest.approx(float(aspect), rel=0.02)
        assert float(ratio) == pytest.approx(16 / 9 if not rotate else 9 / 16, rel=0.02)


def test_hdr_is_named_and_its_tags_are_kept(tmp_path):
    def hlg(stream):
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 9, 18

    clip = open_clip(mux(tmp_path / "hlg.mp4", [grey(90)], codec="libx264", prepare=hlg))
    assert clip.colour_tags == (9, 18)
    for name, codec in (("o.mp4", "h264"), ("o.mkv", "ffv1")):
        out = video.write_clip(tmp_path / name, clip.read(0, None), clip.fps, codec=codec, **clip.shown)
        assert video.probe(out).colour_tags == (9, 18)
    plain = video.write_clip(tmp_path / "plain.mp4", grey(90), 10)
    assert video.probe(plain).colour_tags == (2, 2)


# --- stills ----------------------------------------------------------------------------------------------------------


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + x, 220 - y, 60 + (x + y) // 2], axis=2).astype(np.uint8)


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def tile(image: np.ndarray, codec: str) -> tuple[bytes, bytes]:
    """One intra picture, and the decoder's configuration as its MP4 has it."""
    options = {"x265-params": "log-level=none:info=0:keyint=1", "preset": "ultrafast", "crf": "8"}
    with av.open(f"{os.devnull}", "w", format="mp4", options={}) as container:
        stream = container.add_stream("libx265", rate=1, options=options)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.codec_tag = "hvc1"
        container.start_encoding()
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
        packets = [*stream.encode(frame), *stream.encode(None)]
        data, extra = bytes(packets[0]), bytes(stream.codec_context.extradata or b"")
    return data, extra


def nal_units(stream: bytes) -> list[bytes]:
    """Units of an Annex B stream."""
    parts = stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


def heic_of_tiles(path: Path, image: np.ndarray, side: int, turn: int = 0) -> Path:
    """A HEIC whose main picture is a grid of square tiles, cut to the size of `image`, as a phone writes it."""
    height, width = image.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    padded = np.pad(image, ((0, rows * side - height), (0, columns * side - width), (0, 0)), "edge")
    tiles, sets = [], {}
    for row in range(rows):
        for column in range(columns):
            data, extra = tile(padded[row * side :, column * side :][:side, :side], "hevc")
            units = nal_units(extra + data)
            sets |= {unit[0] >> 1 & 63: unit for unit in units if unit[0] >> 1 & 63 in (32, 33, 34)}
            coded = [unit for unit in units if unit[0] >> 1 & 63 < 32]
            tiles.append(b"".join(struct.pack(">I", len(unit)) + unit for unit in coded))
    profile = sets[33][3:15]  # profile, tier and level stand after two bytes of header and one of sub-layers
    arrays = b"".join(struct.pack(">BHH", kind, 1, len(sets[kind])) + sets[kind] for kind in (32, 33, 34))
    config = box(b"hvcC", b"\1", profile, b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\3", arrays)
    grid, numbers = len(tiles) + 1, range(1, len(tiles) + 1)
    ispe = [full(b"ispe", 0, 0, struct.pack(">II", *size)) for size in ((side, side), (width, height))]
    ipco = box(b"ipco", config, *ispe, box(b"irot", bytes([turn])))
    links = b"".join(struct.pack(">HBBB", number, 2, 0x81, 2) for number in numbers)
    ipma = full(b"ipma", 0, 0, struct.pack(">I", grid), links, struct.pack(">HBBB", grid, 2, 3, 0x84))
    entries = [full(b"infe", 2, 1, struct.pack(">HH4sB", n, 0, b"hvc1", 0)) for n in numbers]
    entries.append(full(b"infe", 2, 0, struct.pack(">HH4sB", grid, 0, b"grid", 0)))
    order = struct.pack(f">HH{len(tiles)}H", grid, len(tiles), *numbers)

    def meta(start: int) -> bytes:
        places, at = [], start
        for number, data in zip(numbers, tiles, strict=True):
            places.append(struct.pack(">HHHHII", number, 0, 0, 1, at, len(data)))
            at += len(data)
        places.append(struct.pack(">HHHHII", grid, 1, 0, 1, 0, 8))
        return full(
            b"meta",
            0,
            0,
            full(b"hdlr", 0, 0, struct.pack(">I4s13x", 0, b"pict")),
            full(b"pitm", 0, 0, struct.pack(">H", grid)),
            full(b"iloc", 1, 0, struct.pack(">BBH", 0x44, 0, grid), *places),
            full(b"iinf", 0, 0, struct.pack(">H", grid), *entries),
            full(b"iref", 0, 0, box(b"dimg", order)),
            box(b"iprp", ipco, ipma),
            box(b"idat", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)),
        )

    head = box(b"ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", *tiles))
    return path


@pytest.mark.parametrize("turn", [0, 1])
def test_a_photograph_in_tiles_is_whole_and_upright(tmp_path, turn):
    image = picture(150, 200)
    path = heic_of_tiles(tmp_path / "phone.heic", image, 128, turn)
    expected = np.rot90(image, turn)
    shown = first(path)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 4
    info = video.probe(path)
    assert (info.still, info.height, info.width) == (True, *expected.shape[:2])
    with pytest.raises(MediaError, match="pixels"):
        video.frames(path, limits=Limits(max_pixels=20_000))


def test_avif_is_a_still_over_grey(tmp_path):
    image = np.dstack([picture(), np.full((96, 128), 255, np.uint8)])
    image[:20, :20, 3] = 0
    Image.fromarray(image).save(tmp_path / "a.avif", quality=95)
    shown = first(tmp_path / "a.avif")
    assert np.abs(shown[4:12, 4:12].astype(int) - 128).max() <= 4
    assert np.abs(shown[30:].astype(int) - picture()[30:]).mean() < 3


@pytest.mark.parametrize("name", ["a.avif", "a.gif", "a.png", "a.webp"])
def test_one_picture_is_a_still_and_takes_the_rate_of_stills(tmp_path, name):
    Image.fromarray(picture()).save(tmp_path / name)
    clip = open_clip(tmp_path / name, Settings(fps=24))
    assert (clip.fps, clip.still, clip.expected) == (24, True, 1)
    assert len(list(clip.read(0, None))) == 1


def test_several_pictures_are_a_clip(tmp_path):
    images = [Image.fromarray(picture() // (1 + n)) for n in range(3)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100)
    clip = open_clip(tmp_path / "a.gif", Settings(fps=24))
    assert (clip.fps, clip.still) == (10, False)


def test_a_damaged_photograph_is_one_line(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.avif")
    whole = (tmp_path / "a.avif").read_bytes()
    (tmp_path / "a.avif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match="not readable as a picture"):
        video.probe(tmp_path / "a.avif")


# --- rates and lengths -----------------------------------------------------------------------------------------------


def test_a_slow_clip_at_a_faster_rate_holds_its_pictures(tmp_path):
    images = [image for level in (40, 120, 200) for image in grey(level, 1)]
    path = mux(tmp_path / "slow.mp4", [images], rate=1)
    clip = open_clip(path, Settings(output_fps=25))
    levels = [round(image.mean() / 40) for image in clip.read(0, None)]
    assert (clip.fps, levels) == (25, [1] * 25 + [3] * 25 + [5] * 25)
    assert open_clip(path).identity != clip.identity
    assert list(clip.read(24, 26))[1].mean() == pytest.approx(120, abs=4)


def test_a_voice_that_is_a_block_longer_holds_the_last_picture():
    for extend in ("loop", "pingpong", "hold"):
        for more in range(1, 6):
            assert extension(extend, 75, 75 + more, 25) == "hold"
        for length in (10, 75, 81, 400):
            assert extension(extend, 75, length, 25) == extend
        assert extension(extend, 2, 5, 25) == extend  # a loop of two drawings is a loop
    assert play_order(75, 77, extension("loop", 75, 77, 25))[-3:].tolist() == [74, 74, 74]


# --- limits, and files that name others ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "says"),
    [({"max_frames": 5}, "clip of 6 frames or more"), ({"max_pixels": 1000}, "3,072 pixels")],
)
def test_a_clip_beyond_a_limit_is_refused_with_the_variable_that_raises_it(tmp_path, limit, says):
    path = mux(tmp_path / "clip.mkv", [grey(90)])
    with pytest.raises(MediaError, match=says) as error:
        list(video.frames(path, limits=Limits(**limit)))
    assert f"LIPSYNC_LAB_{next(iter(limit)).upper()}=" in str(error.value)


def test_a_sound_beyond_a_limit_is_refused(tmp_path, monkeypatch):
    path = mux(tmp_path / "clip.mkv", [grey(90)], [tone(0.1, 3), tone(0.1, 3)])
    with pytest.raises(MediaError, match="LIPSYNC_LAB_MAX_SECONDS"):
        audio.load(path, limits=Limits(max_seconds=1))
    monkeypatch.setenv("LIPSYNC_LAB_MAX_STREAMS", "2")
    with pytest.raises(MediaError, match="3 tracks"):
        audio.load(path)


class Opens:
    """Names of files in a folder that any code of this process opens, by the kernel's own word."""

    def __init__(self, folder: Path):
        self._c = ctypes.CDLL(None, use_errno=True)
        self._number = self._c.inotify_init1(os.O_NONBLOCK)
        assert self._c.inotify_add_watch(self._number, os.fsencode(folder), 0x20) > 0  # IN_OPEN

    def __call__(self) -> set[str]:
        names = set()
        try:
            data = os.read(self._number, 1 << 16)
        except BlockingIOError:
            return names
        while data:
            length = struct.unpack_from("iIII", data)[3]
            names.add(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return names


def reference(path: Path, other: Path) -> Path:
    """A MOV whose samples lie in another file, by the data reference of its track."""
    mux(path, [grey(200)])
    data = path.read_bytes()
    at = data.index(b"url \0\0\0\1") - 4
    assert struct.unpack_from(">I", data, at)[0] == 12
    # the reference is longer; the boxes around it grow
    alias = full(b"alis", 0, 0, struct.pack(">HH", 0, 0)[:0], alias_record(other))
    data = bytearray(data[:at] + alias + data[at + 12 :])
    grown = len(alias) - 12
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = data.index(kind) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + grown)
    path.write_bytes(bytes(data))
    return path


def alias_record(other: Path) -> bytes:
    """A Macintosh alias, as FFmpeg's reader of `alis` takes it: volume, file name, and the path as a tagged string."""
    name, full_name = other.name.encode(), str(other).encode()
    head = struct.pack(">IHH", 0, 150, 2) + struct.pack(">H", 0) + b"\x00" * 28 + b"\0" * 12
    head += bytes([len(name)]) + name.ljust(63, b"\0") + b"\0" * 16 + struct.pack(">hh", 0, 0) + b"\0" * 16
    even = full_name + b"\0" * (len(full_name) % 2)
    return head + struct.pack(">hH", 2, len(full_name)) + even + struct.pack(">hH", -1, 0)


LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    "network": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {other}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{other}"/></svg>',
}


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which files are opened")
@pytest.mark.parametrize("kind", [*LISTS, "mov"])
@pytest.mark.parametrize("ending", ["", ".mp4"])
def test_no_file_makes_the_reader_open_another(tmp_path, kind, ending):
    import socket

    folder = tmp_path / "others"
    folder.mkdir()
    other = mux(folder / "secret.mp4", [grey(200)])
    opened, server = Opens(folder), socket.create_server(("127.0.0.1", 0))
    server.settimeout(0)
    path = tmp_path / f"list{ending or '.m3u8'}"
    if kind == "mov":
        path = reference(tmp_path / "reference.mov", other)
    else:
        path.write_text(LISTS[kind].format(other=other, port=server.getsockname()[1]))
    for read in (video.probe, audio.open_sound):
        with pytest.raises(MediaError) as error:
            read(path)
        assert str(path) in str(error.value)
    assert opened() == set()
    with pytest.raises(BlockingIOError):
        server.accept()
    server.close()
    other.read_bytes()
    assert opened() == {"secret.mp4"}  # the watch works


def test_a_name_with_a_percent_sign_is_no_series_of_pictures(tmp_path):
    for number in range(3):
        Image.fromarray(np.full((32, 32, 3), 90 * number, np.uint8)).save(tmp_path / f"p{number}.png")
    Image.fromarray(np.full((32, 32, 3), 250, np.uint8)).save(tmp_path / "p%d.png")
    assert [round(frame.image.mean()) for frame in video.frames(tmp_path / "p%d.png")] == [250]


def test_decoders_of_clips_are_allowed_and_those_of_games_are_not():
    clips = "h264 hevc vp8 vp9 libdav1d av1 mpeg4 prores ffv1 png mjpeg gif aac mp3float opus vorbis flac pcm_s16le"
    assert all(map(allowed.decoder, clips.split()))
    assert not any(map(allowed.decoder, ["ansi", "smackvid", "subrip", "idcinvideo", "h264_cuvid", "wavesynth"]))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the names of threads")
def test_pictures_are_not_decoded_by_threads_that_wait_for_each_other(tmp_path):
    """FFmpeg's threads of frames, named df0, df1 and so on, waited for ever in streams that a fuzzer had damaged."""
    path = video.write_clip(
        tmp_path / "a.mp4", [np.full((64, 64, 3), 20 * number, np.uint8) for number in range(8)], 25
    )
    frames = video.frames(path)
    next(frames)
    names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    assert not any(":df" in name for name in names)
    assert len(list(frames)) == 7
