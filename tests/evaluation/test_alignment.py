"""Alignment: what was done to a copy of a clip is estimated, and other footage is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync_lab import samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation.alignment import align, aligned_pairs, aligned_source
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.clip import clip_from_array, play_order

FRAMES = 40


def opening(name: str) -> np.ndarray:
    return np.stack([frame.image for frame in video.frames(samples.path(name), stop=FRAMES)])


@pytest.fixture(scope="module")
def footage() -> np.ndarray:
    return opening("animation_hello")


@pytest.fixture(scope="module")
def small(footage) -> np.ndarray:
    return resized(footage, 192, 192)


def spoken(frames: np.ndarray) -> np.ndarray:
    """A copy with another mouth and with noise, as a model and an encode leave it."""
    rng = np.random.default_rng(0)
    height, width = frames.shape[1:3]
    place = np.s_[:, round(0.55 * height) : round(0.75 * height), round(0.4 * width) : round(0.6 * width)]
    out = frames.astype(np.int16)
    out[place] = out[place][:, ::-1]
    return np.clip(out + rng.integers(-3, 4, out.shape), 0, 255).astype(np.uint8)


def resized(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def aligned(source: np.ndarray, output: np.ndarray, fps=(25, 25), **given):
    clips = [clip_from_array(frames, rate) for frames, rate in zip((source, output), fps, strict=True)]
    return align(*clips, **given), clips


@pytest.mark.parametrize(
    ("order", "offset", "loop"),
    [
        (np.arange(30), 0, "loop"),
        (np.arange(7, 30), 7, "loop"),
        (play_order(30, 75, "loop"), 0, "loop"),
        (play_order(30, 80, "loop")[11:], 11, "loop"),
        (play_order(30, 75, "pingpong"), 0, "pingpong"),
        (play_order(30, 55, "hold"), 0, "hold"),
    ],
)
def test_offset_and_loop(small, order, offset, loop):
    alignment, _ = aligned(small[:30], spoken(small[order]))
    assert (alignment.offset, alignment.loop, alignment.rate) == (offset, loop, 1)
    assert alignment.order().tolist() == order.tolist()
    assert alignment.confidence > 0.85
    assert alignment.contrast > 0.5
    assert not alignment.cropped
    assert not alignment.letterbox


def test_an_output_that_starts_earlier_has_frames_without_a_source(small):
    alignment, clips = aligned(small[5:], spoken(small))
    assert alignment.offset == -5
    assert alignment.order().tolist() == [-1] * 5 + list(range(35))
    assert sum(1 for _ in aligned_pairs(*clips, alignment)) == 35


def test_what_follows_the_source_and_is_not_the_source_is_left_out(footage):
    alignment, _ = aligned(footage[:30], np.concatenate((spoken(footage[:30]), opening("astronaut_hello")[:16])))
    assert alignment.loop == "none"
    assert alignment.order().tolist() == list(range(30)) + [-1] * 16


@pytest.mark.parametrize("phase", [0.0, 0.5])
def test_another_frame_rate_that_keeps_the_time(small, phase):
    order = np.floor(phase + np.arange(46) * 25 / 30 + 1e-6).astype(int)
    alignment, _ = aligned(small, spoken(small[order]), (25, 30))
    assert alignment.rate == pytest.approx(25 / 30)
    assert (alignment.order() == order).mean() > 0.95
    # the same frames played faster: the index counts, not the time
    assert aligned(small, spoken(small), (25, 30))[0].order().tolist() == list(range(FRAMES))


@pytest.mark.parametrize(
    ("change", "source_box", "output_box"),
    [
        (lambda x: resized(x, 288, 288), (0, 0, 384, 384), (0, 0, 288, 288)),
        (lambda x: resized(x, 480, 320), (0, 0, 384, 384), (0, 0, 480, 320)),
        (lambda x: resized(x[:, 30:330, 50:350], 240, 240), (50, 30, 350, 330), (0, 0, 240, 240)),
        (lambda x: resized(x[:, 2:-2, 2:-2], 384, 384), (2, 2, 382, 382), (0, 0, 384, 384)),
        (lambda x: x[:, :, 84:300], (84, 0, 300, 384), (0, 0, 216, 384)),
        (lambda x: np.pad(x, ((0, 0), (37, 41), (0, 0), (0, 0))), (0, 0, 384, 384), (0, 37, 384, 421)),
        (
            lambda x: np.pad(resized(x, 288, 288), ((0, 0), (0, 0), (112, 112), (0, 0))),
            (0, 0, 384, 384),
            (112, 0, 400, 288),
        ),
    ],
    ids=["scaled", "stretched", "a part", "a rim is gone", "upright", "letterbox", "pillarbox"],
)
def test_geometry(footage, change, source_box, output_box):
    source = footage[::2]
    alignment, clips = aligned(source, change(spoken(source)))
    assert tuple(alignment.source_box) == pytest.approx(source_box, abs=0.5)
    assert tuple(alignment.output_box) == output_box
    assert alignment.scale[0] == pytest.approx(
        (output_box[2] - output_box[0]) / (source_box[2] - source_box[0]), abs=0.01
    )
    wanted = change(source)
    place = alignment.output_box.slices
    for (first, second), image in zip(aligned_pairs(*clips, alignment), wanted, strict=True):
        assert first.shape == second.shape
        assert cv2.absdiff(first, image[place]).mean() < 1.5


def test_encoders_round_odd_sides_up(footage):
    source = footage[::4, :383, :381]
    alignment, clips = aligned(source, np.pad(spoken(source), ((0, 0), (0, 1), (0, 1), (0, 0)), "edge"))
    assert tuple(alignment.output_box) == (0, 0, 381, 383)
    for first, second in aligned_pairs(*clips, alignment):
        assert first.shape == second.shape == (383, 381, 3)


def test_boxes_of_the_source_are_carried_over(footage):
    alignment, _ = aligned(footage[::4], resized(spoken(footage[::4])[:, :, 84:300], 108, 192))
    assert tuple(alignment.to_output(Box(84, 0, 184, 100))) == pytest.approx((0, 0, 50, 50), abs=0.5)


def test_a_still_source(footage):
    output = spoken(np.repeat(footage[:1], 30, axis=0))
    for source in (footage[:1], output[:12]):
        alignment, clips = aligned(source, output)
        assert (alignment.offset, alignment.contrast) == (0, 0)
        pairs = list(aligned_pairs(*clips, alignment))
        assert len(pairs) == 30
        np.testing.assert_array_equal(pairs[0][0], source[0])


def test_the_aligned_source_is_read_like_a_clip(small):
    alignment, (source, _) = aligned(small[:30], spoken(small[play_order(30, 80, "pingpong")]))
    clip = aligned_source(source, alignment)
    assert (clip.expected, clip.view.size, clip.fps) == (80, (192, 192), 25)
    wanted = small[play_order(30, 80, "pingpong")]
    np.testing.assert_array_equal(np.stack(list(clip.read(0, None))), wanted)
    np.testing.assert_array_equal(np.stack(list(clip.read(25, 63))), wanted[25:63])


def test_what_is_given_is_not_estimated(small):
    alignment, _ = aligned(small, spoken(small[7:]), offset=7, loop="hold", rate=1, source_box=Box(0, 0, 192, 192))
    assert (alignment.offset, alignment.loop, alignment.rate) == (7, "hold", 1)
    with pytest.raises(ParameterError, match=r"offset 0 frames.*correlates by"):
        aligned(small, spoken(small), source_box=Box(50, 50, 100, 100))
    with pytest.raises(ParameterError, match="unknown loop"):
        aligned(small, small, loop="backwards")
    with pytest.raises(ParameterError, match="rate of 0"):
        aligned(small, small, rate=0)
    with pytest.raises(ParameterError, match="less than half"):
        aligned(small, small, offset=-30)


@pytest.mark.parametrize("other", ["astronaut_hello", "animation_baker", "turning_away"])
def test_other_footage_is_refused_with_numbers(footage, other):
    with pytest.raises(
        ParameterError, match=r"not show the same footage.*at the start and -?0\.\d\d at the end, and 0\.7"
    ):
        aligned(footage, opening(other))
