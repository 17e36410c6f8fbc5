"""NVDEC and NVENC, by stand-ins: the same frames as the processor's, and every way back to it."""

import av
import clips
import numpy as np
import pytest

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import nvdec, video, writer
from lipsync_lab.media.clip import open_clip
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

COUNT = 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clips.clip(tmp_path_factory.mktemp("nvdec") / "clip.mp4", COUNT)


@pytest.fixture
def gpu(monkeypatch):
    """PyAV with a GPU: what it decodes comes as nv12, as from NVDEC. Gives what was opened so."""
    opened, open_ = [], av.open

    def with_gpu(path, *given, hwaccel=None, **more):
        if hwaccel is not None:
            opened.append(hwaccel)
        return open_(path, *given, **more)

    monkeypatch.setattr(av, "open", with_gpu)
    monkeypatch.setattr(nvdec, "hwdevices_available", lambda: ["cuda"])
    nvdec._say.cache_clear()
    decodes(monkeypatch, lambda picture: picture)
    return opened


def decodes(monkeypatch, change):
    """Let the GPU decode so."""

    def decode(packet):
        pictures = []
        for picture in packet.decode():
            given = picture.reformat(format="nv12")
            given.pts, given.time_base = picture.pts, picture.time_base
            pictures.append(nvdec.planar(change(given)))
        return pictures

    monkeypatch.setattr(nvdec, "decode", decode)


def frames(path, *part, **more):
    return np.stack(list(open_clip(path, **more).read(*(part or (0, None)))))


@pytest.mark.parametrize(("size", "part"), [((64, 48), (0, None)), ((64, 48), (17, 31)), ((64, 720), (0, None))])
def test_the_gpu_gives_the_frames_of_the_processor(tmp_path, gpu, size, part):
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (COUNT, 6, 8, 3), np.uint8)
    video.write_clip(path, (image.repeat(size[1] // 6, 0).repeat(size[0] // 8, 1) for image in small), 25)
    plain = frames(path, *part)
    assert not gpu
    np.testing.assert_array_equal(frames(path, *part, device="cuda:1"), plain)
    assert len(gpu) >= 2, "once to compare, and to read"
    assert {each.device_id for each in gpu} == {1}
    # FFmpeg refuses to share the context that torch has opened
    assert not any("primary_ctx" in each.options for each in gpu)


def test_a_gpu_that_differs_in_one_bit_is_not_used(clip, gpu, monkeypatch, caplog):
    count = 0

    def change(picture):
        nonlocal count
        count += 1
        if count == nvdec.COMPARED:
            planes = picture.to_ndarray()
            planes[3, 5] ^= 1
            other = av.VideoFrame.from_ndarray(planes, "nv12")
            other.pts, other.time_base = picture.pts, picture.time_base
            other.colorspace, other.color_range = picture.colorspace, picture.color_range
            return other
        return picture

    decodes(monkeypatch, change)
    plain = frames(clip)
    np.testing.assert_array_equal(frames(clip, device="cuda"), plain)
    assert count == nvdec.COMPARED
    assert [record.message for record in caplog.records] == [
        f"{clip}: NVDEC is not used: its pictures differ from the processor's"
    ]


@pytest.mark.parametrize("error", [av.error.PermissionError(1, "Operation not permitted"), RuntimeError("no stream")])
def test_a_gpu_that_does_not_open_is_not_used(clip, gpu, monkeypatch, caplog, error):
    open_ = av.open

    def refuse(path, *given, hwaccel=None, **more):
        if hwaccel is not None:
            raise error
        return open_(path, *given, **more)

    monkeypatch.setattr(av, "open", refuse)
    plain = frames(clip)
    for _ in range(2):
        np.testing.assert_array_equal(frames(clip, device="cuda"), plain)
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("NVDEC is not used: ")
    assert ("not permitted" in line) or ("no stream" in line)
    assert "check its permissions" not in line


def test_a_build_without_it(clip, gpu, monkeypatch, caplog):
    monkeypatch.setattr(nvdec, "hwdevices_available", lambda: ["vaapi"])
    assert len(frames(clip, device="cuda")) == COUNT
    assert not gpu
    assert [record.message for record in caplog.records] == ["NVDEC is not used: this build of PyAV has none"]


@pytest.mark.parametrize("part", [(0, None), (5, None)])
def test_where_the_gpu_stops_the_processor_goes_on(clip, gpu, monkeypatch, caplog, part):
    count, plain = 0, frames(clip, *part)

    def change(picture):
        nonlocal count
        count += 1
        if count > nvdec.COMPARED + 12:
            raise av.error.ExternalError(0, "cuvid decode callback error")
        return picture

    decodes(monkeypatch, change)
    np.testing.assert_array_equal(frames(clip, *part, device="cuda"), plain)
    (line,) = [record.message for record in caplog.records]
    assert line.startswith(f"{clip}: decoded by the processor after 0.")


@pytest.mark.parametrize("name", ["lossless.mkv", "still.png"])
def test_what_is_no_8_bit_h264_stays_with_the_processor(tmp_path, gpu, name):
    path = tmp_path / name
    if name == "still.png":
        import cv2

        cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    else:
        clips.clip(path, 5, codec="ffv1")
    assert video.gpu_decoder(path) is None
    assert not gpu


# --- NVENC ---


def test_a_gpu_without_an_encoder_is_named_before_anything_is_done(monkeypatch):
    def refuse(*_):
        raise av.error.PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(av.CodecContext, "create", refuse)
    with pytest.raises(ParameterError, match=r"--codec h264_nvenc: .*H200 have none; give --codec h264$"):
        Pipeline("identity", settings=Settings(codec="h264_nvenc"))
    writer.check_codec("h264")


@pytest.mark.skipif("h264_nvenc" not in av.codecs_available, reason="this build of FFmpeg has no NVENC")
def test_an_encoder_that_does_not_open_is_named(tmp_path):
    """FFmpeg's own: without a GPU it does not open, and with one it does not for pictures as small as these."""
    with pytest.raises(MediaError, match=r"GPU's encoder does not open for 64 x 48 pixels .*give --codec h264$"):
        video.write_clip(tmp_path / "clip.mp4", clips.pictures(2, 64, 48), 25, codec="h264_nvenc")
    assert not list(tmp_path.iterdir())


def test_what_nvenc_is_asked_for(tmp_path, monkeypatch):
    """With x264 in its place, which knows the quantizer by the same name: 0 gives the pictures back."""
    monkeypatch.setitem(writer._CODECS, "h264_nvenc", ("mp4", ".mp4", "libx264", "aac"))
    images, errors = clips.pictures(5), []
    for quantizer in (1, 40):
        path = video.write_clip(tmp_path / "clip.mp4", images, 25, codec="h264_nvenc", crf=quantizer)
        assert video.probe(path).codec == "h264"
        errors.append(np.abs(clips.read(path).astype(int) - images).mean())
    assert errors[0] < errors[1] / 2
    with pytest.raises((ParameterError, MediaError), match=r"name the file clip\.mp4"):
        video.write_clip(tmp_path / "clip.mkv", images, 25, codec="h264_nvenc")
