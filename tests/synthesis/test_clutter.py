"""Things that are no face, and characters of the 1930s: material that is hard for a face detector."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.shapes import REST
from lipsync_lab.synthesis.animation import clutter, figure
from lipsync_lab.synthesis.animation.cel import Cel
from lipsync_lab.synthesis.animation.character import STYLES, character, vintage
from lipsync_lab.synthesis.animation.clutter import THINGS, Thing
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.scene import render
from lipsync_lab.synthesis.animation.settings import Scene


def drawn(kind: str, seed: int, gray: bool = False) -> np.ndarray:
    cel = Cel(80, 80)
    clutter.draw(cel, Thing(kind, 40, 40, 16, 0.0, True, seed, gray))
    return cel.pixels


@pytest.mark.parametrize("kind", THINGS)
def test_things_are_drawn_where_they_stand_and_each_seed_draws_its_own(kind):
    things = [drawn(kind, seed) for seed in range(6)]
    for picture in (thing[..., 3] > 0 for thing in things):
        y, x = np.nonzero(picture)
        # a cel has two pixels for one of the frame
        assert 60 < x.mean() < 100
        assert 50 < y.mean() < 120
        assert picture.mean() > 0.02
    assert all((things[0] != other).any() for other in things[1:])
    np.testing.assert_array_equal(drawn(kind, 3), drawn(kind, 3))
    in_gray = drawn(kind, 1, gray=True)[..., :3].astype(int)
    assert np.ptp(in_gray, axis=2).max() <= 2


def test_a_cluttered_scene_shows_the_same_face():
    different = []
    for seed in range(6):
        scene = Scene(seed=seed, style="western", framing="medium", size=(192, 144), backdrop="plain", grain=0.0)
        (bare,), (full,) = (list(render(each, lambda t: REST, 0.04)) for each in (scene, replace(scene, clutter=14)))
        assert bare.faces == full.faces
        x1, y1, x2, y2 = (round(edge) for edge in bare.faces[0])
        inner = slice((3 * y1 + y2) // 4, (y1 + 3 * y2) // 4), slice((3 * x1 + x2) // 4, (x1 + 3 * x2) // 4)
        np.testing.assert_array_equal(bare.pixels[inner], full.pixels[inner])
        different.append((bare.pixels != full.pixels).any(axis=2).mean())
    assert np.mean(different) > 0.05


def test_clutter_alone_is_no_face():
    (frame,) = render(Scene(seed=4, empty=True, clutter=9, size=(96, 72)), lambda t: REST, 0.04)
    assert frame.faces == ()
    assert math.isnan(frame.ground_truth.face_x1)
    with pytest.raises(ParameterError, match="-1"):
        Scene(clutter=-1)


def test_things_lie_in_the_frame_and_some_stand_in_front():
    many = clutter.things(np.random.default_rng(2), 400, (200, 100), False)
    assert {thing.kind for thing in many} == set(THINGS)
    assert all(0 <= thing.x <= 200 and 0 <= thing.y <= 100 and 2 <= thing.size <= 20 for thing in many)
    assert 0.4 < np.mean([thing.in_front for thing in many]) < 0.6
    near = replace(many[0], x=50, y=50, size=10)
    assert clutter.covers(near, (70, 40, 90, 60))
    assert not clutter.covers(near, (77, 40, 90, 60))


@pytest.mark.parametrize("style", STYLES)
def test_characters_of_the_1930s_have_broad_jaws_and_keep_their_colours(style):
    given = [character(seed, style) for seed in range(60)]
    made = [vintage(each) for each in given]
    assert [each.palette for each in given] == [each.palette for each in made]
    assert made == [vintage(each) for each in given]
    men = [n for n, each in enumerate(given) if each.sex == "man" and each.age != "child"]
    assert np.mean([made[n].jaw for n in men]) > np.mean([given[n].jaw for n in men])
    assert np.mean([made[n].shoulders for n in men]) > np.mean([given[n].shoulders for n in men])
    assert sum(made[n].beard != "none" for n in men) > sum(given[n].beard != "none" for n in men)
    assert all(made[n].beard == "none" for n in range(60) if n not in men)
    for each in made[:6]:
        for yaw in (3.0, -33.0, 90.0):
            look = Look(60, 55, 36, yaw=yaw)
            cel = Cel(120, 120)
            mouth = figure.draw(cel, each, look, REST)
            face = figure.face_box(each, look, np.eye(2, 3))
            x, y = (mouth.box[0] + mouth.box[2]) / 2, (mouth.box[1] + mouth.box[3]) / 2
            assert face.x1 < x < face.x2
            assert face.center[1] < y < face.y2
