"""Pictures that are kept: the frames of any reading are those of a reading from the file."""

import numpy as np
import pytest

from lipsync_lab.media import video
from lipsync_lab.media.clip import open_clip
from lipsync_lab.media.kept import Kept

COUNT = 30


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 4, 6, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return video.write_clip(tmp_path_factory.mktemp("kept") / "clip.mp4", images, 25)


@pytest.fixture
def decodings(monkeypatch):
    """Start of each reading that decodes the file."""
    starts, decode = [], video._pictures

    def counted(source, start):
        starts.append(start)
        return decode(source, start)

    monkeypatch.setattr(video, "_pictures", counted)
    return starts


def read(path, kept, start=0, stop=None):
    frames = list(video.frames(path, start=start, stop=stop, kept=kept))
    assert [frame.index for frame in frames] == list(range(start, start + len(frames)))
    return [frame.image for frame in frames]


@pytest.mark.parametrize("part", [(0, None), (0, 7), (5, 9), (29, None), (12, 99)])
def test_a_clip_that_fits_is_decoded_once(clip, decodings, part):
    kept, plain = Kept(), read(clip, None)
    read(clip, kept)
    decodings.clear()
    np.testing.assert_array_equal(read(clip, kept, *part), plain[slice(*part)])
    assert decodings == []


def test_a_reading_that_stops_early_keeps_what_it_read(clip, decodings):
    kept, plain = Kept(), read(clip, None)
    decodings.clear()
    for start, stop, expected in ((0, 11, [0]), (0, 11, [0]), (3, 8, [0]), (10, 15, [0, 10]), (0, None, [0, 10, 0])):
        np.testing.assert_array_equal(read(clip, kept, start, stop), plain[start:stop])
        assert decodings == expected
    np.testing.assert_array_equal(read(clip, kept, 20, None), plain[20:])
    assert decodings == [0, 10, 0]


def test_a_clip_that_does_not_fit_is_decoded_each_time(clip, decodings):
    kept, plain = Kept(10 * 32 * 48), read(clip, None)
    decodings.clear()
    for _ in range(2):
        np.testing.assert_array_equal(read(clip, kept), plain)
    assert decodings == [0, 0]
    assert kept._pictures == []


def test_a_clip_keeps_its_pictures_if_asked_to(clip, decodings):
    kept, plain = open_clip(clip, keep=True), open_clip(clip)
    first, again, other = list(kept.read(0, None)), list(kept.read(0, None)), list(plain.read(0, None))
    np.testing.assert_array_equal(first, other)
    np.testing.assert_array_equal(again, other)
    assert decodings == [0, 0]
    list(plain.read(0, None))
    assert decodings == [0, 0, 0]
