"""Segments: the joined video has the frames and the samples of one that was written in one piece."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync_lab import files
from lipsync_lab.errors import MediaError
from lipsync_lab.media import audio, segments, video
from lipsync_lab.media.audio import Sound

FPS = Fraction(30_000, 1001)
COUNT = 100


def images(start: int = 0, count: int = COUNT):
    """Frames whose grey level and moving square say their number."""
    for number in range(start, count):
        image = np.full((64, 96, 3), 40 + number, np.uint8)
        image[20:40, number % 70 : number % 70 + 20] = (200, 30, number)
        yield image


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(segments, "SECONDS", 1)  # 30 frames


@pytest.fixture
def voice():
    time = np.arange(round(COUNT / FPS * 44_100)) / 44_100
    return Sound(44_100, 1, [(0.3 * np.sin(2 * np.pi * (200 + 150 * time) * time)).astype(np.float32)[:, None]])


def packets(path, kind: str):
    with av.open(str(path)) as container:
        stream = container.streams.get({kind: 0})[0]
        return [(packet.pts, packet.dts, bytes(packet)) for packet in container.demux(stream) if packet.dts is not None]


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("ffv1", ".mkv")])
def test_joined_segments_have_the_frames_and_the_sound_of_one_piece(tmp_path, voice, codec, suffix):
    whole, joined = tmp_path / f"whole{suffix}", tmp_path / f"joined{suffix}"
    options = {"fps": FPS, "sound": voice, "codec": codec, "crf": 4, "quick": True}
    video.write_clip(whole, images(), **options)
    segments.write(joined, images, COUNT, tmp_path / "work", **options)
    assert not (tmp_path / "work").exists()
    # the sound to the byte, and so to the sample
    assert packets(joined, "audio") == packets(whole, "audio")
    times = sorted(pts for pts, _, _ in packets(joined, "video"))
    assert times == sorted(pts for pts, _, _ in packets(whole, "video"))
    orders = [dts for _, dts, _ in packets(joined, "video")]
    assert orders == sorted(set(orders))
    frames = [frame.image.astype(int) for frame in video.frames(joined)]
    assert len(frames) == COUNT
    error = [np.abs(frame - image).mean() for frame, image in zip(frames, images(), strict=True)]
    assert max(error) < (3 if codec == "h264" else 1e-9)
    assert video.probe(joined).fps == FPS


def test_what_is_finished_is_not_made_again(tmp_path, voice):
    whole = tmp_path / "whole.mp4"
    segments.write(whole, images, COUNT, tmp_path / "a", fps=FPS, sound=voice)

    def interrupted(start):
        for number, image in enumerate(images(start), start):
            if number == 70:
                raise KeyboardInterrupt
            yield image

    path, work, starts = tmp_path / "resumed.mp4", tmp_path / "b", []
    with pytest.raises(KeyboardInterrupt):
        segments.write(path, interrupted, COUNT, work, fps=FPS, sound=voice)
    assert not path.exists()
    assert [part.name for part in sorted(work.glob("*.mp4"))] == ["000000000.mp4", "000000030.mp4"]

    def resumed(start):
        starts.append(start)
        return images(start)

    segments.write(path, resumed, COUNT, work, fps=FPS, sound=voice)
    assert starts == [60]
    assert path.read_bytes() == whole.read_bytes()
    assert not work.exists()


@pytest.mark.parametrize("name", ["run", "run[12]"])
def test_segments_of_another_key_are_removed(tmp_path, name):
    target = tmp_path / name
    old, new = segments.place(target, "0" * 64), segments.place(target, "1" * 64)
    old.mkdir()
    others_run = segments.place(tmp_path / "run2", "0" * 64)  # which the second name would match as a pattern
    others_run.mkdir()
    segments.write(tmp_path / "clip.mp4", images, 10, new, fps=FPS)
    assert not old.exists()
    assert others_run.exists()


def test_a_clip_that_became_shorter_is_an_error(tmp_path):
    with pytest.raises(MediaError, match="65 of 100 frames"):
        segments.write(tmp_path / "clip.mp4", lambda start: images(start, 65), COUNT, tmp_path / "work", fps=FPS)


def test_a_short_video_is_written_as_ever(tmp_path, voice):
    segments.write(tmp_path / "a.mp4", lambda start: images(start, 20), 20, tmp_path / "work", fps=FPS, sound=voice)
    video.write_clip(tmp_path / "b.mp4", images(0, 20), fps=FPS, sound=voice, quick=True)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert len(audio.load(tmp_path / "a.mp4")) == len(audio.load(tmp_path / "b.mp4"))


def test_segments_that_are_being_written_are_refused_and_left_alone(tmp_path):
    target = tmp_path / "run"
    mine, of_another_key = segments.place(target, "0" * 64), segments.place(target, "1" * 64)
    with files.only_writer(of_another_key, "dub"):
        with pytest.raises(MediaError, match="another dub is being written"):
            segments.write(tmp_path / "a.mp4", images, COUNT, of_another_key, fps=FPS)
        segments.write(tmp_path / "b.mp4", images, COUNT, mine, fps=FPS)
        assert of_another_key.is_dir()
    assert not mine.exists()


@pytest.mark.parametrize(("finished", "end"), [(0, "the disk"), (1, "the next call goes on at frame 30")])
def test_a_full_disk_names_the_video_and_keeps_what_is_finished(tmp_path, monkeypatch, finished, end):
    def filled(writer, frames, timed):
        if (tmp_path / "work" / "000000000.mkv").is_file() == bool(finished):
            raise MediaError(
                f"{writer.path}: cannot be written (No space left on device); check the disk"
            )  # as it does
        fill(writer, frames, timed)

    fill = segments._fill
    monkeypatch.setattr(segments, "_fill", filled)
    with pytest.raises(MediaError) as raised:
        segments.write(tmp_path / "o.mkv", images, COUNT, tmp_path / "work", fps=FPS, codec="ffv1")
    assert str(raised.value).startswith(f"{tmp_path / 'o.mkv'}: cannot be written (No space left on device)")
    assert str(raised.value).endswith(end)
    videos = [path.name for path in tmp_path.rglob("*.mkv")]
    assert videos == ["000000000.mkv"] * finished
    assert (tmp_path / "work").exists() == bool(finished)


def test_an_interruption_in_the_first_segment_leaves_nothing(tmp_path):
    def interrupted(start):
        yield from images(start, 10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segments.write(tmp_path / "o.mkv", interrupted, COUNT, tmp_path / "work", fps=FPS, codec="ffv1")
    assert list(tmp_path.iterdir()) == []
