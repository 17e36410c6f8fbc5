"""Properties that hold for any input: boxes, views, settings, detections as a file, the order of frames."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
from hypothesis import given, settings, strategies

from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.detections import Detections, detections_text, parse_detections, rounded
from lipsync_lab.errors import LipsyncError
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio
from lipsync_lab.media.clip import View, extension, play_order
from lipsync_lab.settings import EXTENSIONS, Settings

quick = settings(max_examples=60, deadline=None, derandomize=True)
sides = strategies.integers(1, 4000)
places = strategies.floats(-5000, 5000, allow_nan=False)
boxes = strategies.builds(
    lambda x, y, width, height: Box(x, y, x + width, y + height),
    places,
    places,
    strategies.floats(0.01, 5000),
    strategies.floats(0.01, 5000),
)
text = strategies.text(max_size=20)
json_values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers() | text,
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def result(call, *values):
    """What a call returns, and the package's own error instead; any other is raised."""
    try:
        return call(*values), None
    except LipsyncError as error:
        return None, str(error)


@quick
@given(boxes, sides, sides)
def test_a_clipped_box_lies_in_the_frame_and_in_the_box(box, width, height):
    inside = box.clipped(width, height)
    assert inside.area >= 0
    if inside.area:
        assert 0 <= inside.x1 <= inside.x2 <= width
        assert 0 <= inside.y1 <= inside.y2 <= height
        assert inside.area <= box.area + 1e-6 * box.area + 1
        assert tuple(inside.clipped(width, height)) == tuple(inside)


views = strategies.builds(
    lambda width, height, factor, rotate: View((width * factor, height * factor), factor, rotate),
    strategies.integers(20, 500),
    strategies.integers(20, 500),
    strategies.integers(1, 4),
    strategies.booleans(),
)


@quick
@given(boxes, views, strategies.booleans(), strategies.integers(1, 4))
def test_a_box_comes_back_from_another_view(box, view, rotate, factor):
    other = View(view.clip, min(factor, *view.clip), rotate)
    back = other.carried(view.carried(box, other), view)
    assert np.allclose(tuple(back), tuple(box), rtol=1e-6, atol=1e-6 * 5000)


@quick
@given(strategies.dictionaries(strategies.sampled_from(list(Settings().as_dict())), json_values, max_size=3))
def test_settings_are_taken_whole_or_refused_in_one_line(values):
    made, error = result(Settings.read, values)
    if error is None:
        assert Settings.read(json.loads(json.dumps(made.as_dict()))) == made
    else:
        assert len(error.splitlines()) == 1


scored = strategies.lists(strategies.builds(Detection, boxes, strategies.floats(0, 1, allow_nan=False)), max_size=3)


@quick
@given(strategies.lists(scored, min_size=1, max_size=6))
def test_detections_come_back_from_their_file(rows):
    kept = Detections(tuple(rounded(row) for row in rows), (0,), (4000, 3000))
    again = parse_detections(detections_text(kept), "detections.json")
    assert again.candidates == kept.candidates
    assert (again.shots, again.size, again.complete) == (kept.shots, kept.size, kept.complete)


@quick
@given(json_values)
def test_any_json_is_detections_or_refused_in_one_line(content):
    whole = {"boxes": [None], "candidates": content, "view": content, "size": content}
    for each in (content, {"boxes": content}, whole):
        _, error = result(parse_detections, json.dumps(each), "detections.json")
        assert error is None or error.startswith("detections.json: ")


@quick
@given(strategies.integers(1, 300), strategies.integers(0, 700), strategies.sampled_from(EXTENSIONS))
def test_a_clip_is_played_in_order_and_without_leaps_but_those_of_a_loop(frames, length, extend):
    order = play_order(frames, length, extension(extend, frames, length, Fraction(25)))
    assert len(order) == length
    assert order[:frames].tolist() == list(range(min(frames, length)))
    if length:
        assert 0 <= order.min() <= order.max() < frames
    leaps = np.abs(np.diff(order)) > 1
    assert not leaps.any() or (extend == "loop" and set(order[1:][leaps]) == {0})


@quick
@given(strategies.integers(1, 6), strategies.integers(0, 2**32 - 1))
def test_channels_never_cancel_in_the_mean(channels, seed):
    rng = np.random.default_rng(seed)
    voice = rng.normal(0, 0.2, 2000).astype(np.float32)
    signs, levels = rng.choice([-1, 1], channels), rng.uniform(0.2, 1, channels)
    block = (voice[:, None] * signs * levels).astype(np.float32)
    single = audio.mono(block, audio.polarity(audio.Sound(16_000, channels, [block])))
    power = (single**2).mean() / (voice**2).mean()
    assert power >= 0.9 * (levels**2).sum() / channels**2 / 4
