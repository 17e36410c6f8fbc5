"""The drawing machine: what it says about a frame is held against the frame's pixels."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.shapes import REST, SHAPES, MouthShape
from lipsync_lab.synthesis.animation import figure, props
from lipsync_lab.synthesis.animation.backgrounds import KINDS, background
from lipsync_lab.synthesis.animation.cel import Cel, bow, curve, oval, place
from lipsync_lab.synthesis.animation.character import STYLES, character
from lipsync_lab.synthesis.animation.head import Look
from lipsync_lab.synthesis.animation.scene import face_crops, frames, render
from lipsync_lab.synthesis.animation.settings import Scene, random_scene

POSES = {
    "A": MouthShape("A", 0.0, 0.5),
    "B": MouthShape("B", 0.18, 0.6, teeth=0.9),
    "C": MouthShape("C", 0.5, 0.6, teeth=0.5, tongue=0.2),
    "D": MouthShape("D", 1.0, 0.6, teeth=0.6, tongue=0.2),
    "E": MouthShape("E", 0.5, 0.35, rounding=0.6),
    "F": MouthShape("F", 0.25, 0.05, rounding=1.0),
    "G": MouthShape("G", 0.12, 0.5, teeth=1.0),
    "H": MouthShape("H", 0.5, 0.55, teeth=0.4, tongue=0.9),
    "X": REST,
}
YAWS = {"front": 3.0, "three-quarter": -33.0, "profile": 90.0}
STILL = np.array([[1.0, 0, 0], [0, 1, 0]])


def silent(time: float) -> MouthShape:
    return REST


def chatter(time: float) -> MouthShape:
    """A mouth that changes eight times a second."""
    return POSES["XDBACEFAGCHDBXX"[int(time * 8 + 1e-6) % 15]]


def drawn(seed: int, style: str, yaw: float, pose: MouthShape, size: int = 200, **look):
    """A character on green, its mouth as measured, and its look."""
    hero = character(seed, style)
    look = Look(size / 2, size * 0.46, size * 0.3, yaw=yaw, **look)
    cel = Cel(size, size)
    mouth = figure.draw(cel, hero, look, pose)
    return cel.over(np.full((size, size, 3), (0, 200, 0), np.uint8)), mouth, hero, look


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("view", YAWS)
def test_every_shape_is_drawn_and_no_two_look_alike(style, view):
    pictures = {shape: drawn(5, style, YAWS[view], POSES[shape])[0] for shape in SHAPES}
    for first, second in itertools.combinations(SHAPES, 2):
        differs = np.abs(pictures[first].astype(int) - pictures[second]).max()
        assert differs > 40 or {first, second} == {"A", "X"}, (first, second)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("view", YAWS)
def test_what_the_mouth_changes_lies_in_its_box(style, view):
    for seed in range(2):
        shut, closed, hero, look = drawn(seed, style, YAWS[view], REST, roll=6.0)
        for shape in "BDF":
            open_, mouth, _, _ = drawn(seed, style, YAWS[view], POSES[shape], roll=6.0)
            rows, columns = np.nonzero(np.abs(open_.astype(int) - shut).max(2) > 8)
            x1, y1, x2, y2 = (
                min(mouth.box[0], closed.box[0]),
                min(mouth.box[1], closed.box[1]),
                max(mouth.box[2], closed.box[2]),
                max(mouth.box[3], closed.box[3]),
            )
            assert len(rows), (seed, shape)
            spill = (x1 - columns.min(), columns.max() + 1 - x2, y1 - rows.min(), rows.max() + 1 - y2)
            assert max(spill) <= 1, (seed, shape)
            face = figure.face_box(hero, look, STILL)
            assert face.x1 - 8 < (x1 + x2) / 2 < face.x2 + 8
            assert face.y1 < (y1 + y2) / 2 < face.y2


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("yaw", [0.0, 33.0, 90.0])
def test_the_gap_in_the_truth_is_the_gap_in_the_picture(style, yaw):
    """Drawn twice with other colours in the mouth, only that differs: its highest column is the gap less the ink."""
    for seed, openness in itertools.product(range(20, 22), (0.3, 1.0)):
        hero, size = character(seed, style), 320
        look, pictures = Look(size / 2, size * 0.46, size * 0.3, yaw=yaw), []
        for colour in ((255, 0, 0), (0, 255, 0)):
            painted = replace(hero, palette=replace(hero.palette, mouth=colour, tongue=colour, teeth=colour))
            cel = Cel(size, size)
            mouth = figure.draw(cel, painted, look, MouthShape("D", openness, 0.6))
            pictures.append(cel.over(np.zeros((size, size, 3), np.uint8)).astype(int))
        hollow = np.abs(pictures[0] - pictures[1]).max(2) > 128
        measured = hollow.sum(0).max()
        ink = 1.25 * max(hero.line, 0.02) * look.scale
        slack = 2.0 if yaw < 60 else 2.0 + 0.1 * mouth.gap  # a profile's notch is highest at a slanting edge
        assert mouth.gap - ink - slack <= measured <= mouth.gap + 1.5, (seed, openness)
        x1, y1, x2, y2 = mouth.box
        rows, columns = np.nonzero(hollow)
        assert x1 <= columns.min()
        assert columns.max() < x2
        assert y1 <= rows.min()
        assert rows.max() < y2
        assert np.ptp(columns) < mouth.width + 2
        if openness == 1.0 and yaw < 60:  # ink fills the corners, and more of a narrow gap
            assert np.ptp(columns) > 0.6 * mouth.width


@pytest.mark.parametrize("style", STYLES)
def test_a_closed_mouth_has_no_gap(style):
    for seed, yaw in itertools.product(range(3), YAWS.values()):
        _, mouth, _, _ = drawn(seed, style, yaw, REST)
        assert mouth.gap == 0.0
        assert mouth.width > 0


@pytest.mark.parametrize("style", ["anime", "western", "flat"])
@pytest.mark.parametrize("view", YAWS)
def test_the_face_box_holds_the_skin(style, view):
    """A bald head without clothes of its colour: the skin between brow and chin spans the box."""
    for seed in (2, 9, 14):
        hero = character(seed, style)
        size = 240
        look = Look(size / 2, size * 0.46, size * 0.3, yaw=YAWS[view])
        box = figure.face_box(hero, look, STILL)
        bare = {"fringe": "none", "back": "none", "hat": "none", "beard": "none", "shade": 0.0, "glasses": "none"}
        hero = replace(hero, **bare)
        cel = Cel(size, size)
        figure.draw(cel, hero, look, REST)
        picture = cel.over(np.full((size, size, 3), (0, 200, 0), np.uint8)).astype(int)
        skin = np.abs(picture - hero.palette.skin).max(2) < 10
        middle = skin[int(box.y1 + 0.2 * box.height) : int(box.y2 - 0.25 * box.height)]
        columns = np.nonzero(middle.sum(0) > 2)[0]
        if view != "profile":  # behind the face there is more of the head
            ears = 1.6 * hero.ear * look.scale
            assert columns.min() > box.x1 - ears - 4
            assert columns.min() < box.x1 + 0.2 * box.width
        assert columns.max() < box.x2 + (1.6 * hero.ear * look.scale if view == "front" else 4)
        assert columns.max() > box.x2 - 0.25 * box.width
        assert box.y2 == pytest.approx(look.y + look.scale, abs=5)
        assert box.y1 < look.y + look.scale * hero.brow_y


def test_the_same_seed_draws_the_same_and_another_does_not():
    scene = random_scene(11, size=(96, 96))
    assert scene == random_scene(11, size=(96, 96))
    first, again, other = (list(frames(random_scene(seed, size=(96, 96)), chatter, 0.6)) for seed in (11, 11, 12))
    assert [repr(row) for _, row in first] == [repr(row) for _, row in again]
    assert all((a == b).all() for (a, _), (b, _) in zip(first, again, strict=True))
    assert any((a != b).any() for (a, _), (b, _) in zip(first, other, strict=True))


def test_characters_differ_from_each_other():
    """Thumbnails without background: no two of 24 are near."""
    small = []
    for seed in range(24):
        picture, *_ = drawn(seed, None, 0.0, REST, 96)
        small.append(cv2.resize(picture, (24, 24), interpolation=cv2.INTER_AREA).astype(float))
    near = min(np.abs(a - b).mean() for a, b in itertools.combinations(small, 2))
    assert near > 3.0
    people = [character(seed) for seed in range(200)]
    assert {person.style for person in people} == set(STYLES)
    assert {person.age for person in people} == {"adult", "child", "old"}
    assert {person.sex for person in people} == {"man", "woman"}
    assert len({person.palette.skin for person in people}) > 100


@pytest.mark.parametrize(("exposure", "mouth_exposure"), [(1, 1), (2, 2), (3, 2), (2, 3)])
def test_held_drawings_are_the_same_frame(exposure, mouth_exposure):
    scene = Scene(seed=4, style="anime", exposure=exposure, mouth_exposure=mouth_exposure, size=(96, 96))
    stream = list(frames(scene, chatter, 1.6))
    changes = 0
    for (a, before), (b, after) in itertools.pairwise(stream):
        held = before.drawing == after.drawing
        assert held == bool((a == b).all())
        changes += not held
        if not held:
            assert after.frame % exposure == 0 or after.frame % mouth_exposure == 0
    assert changes >= 4
    assert [row.frame for _, row in stream] == list(range(40))


def test_mouths_move_on_their_own_exposure():
    shapes = [row.shape for _, row in frames(Scene(seed=1, exposure=2, mouth_exposure=3, size=(64, 64)), chatter, 1.2)]
    assert shapes == [chatter((n - n % 3) / 25).shape for n in range(30)]


def test_a_scene_without_a_face_says_so():
    for seed in (2, 3):  # a landscape, and somebody from behind
        for pixels, row in frames(Scene(seed=seed, empty=True, size=(64, 64)), chatter, 0.2):
            assert pixels.shape == (64, 64, 3)
            assert math.isnan(row.face_x1)
            assert math.isnan(row.mouth_y2)
            assert math.isnan(row.openness_px)
            assert (row.shape, row.openness, row.pose) == ("X", 0.0, "")


def test_a_leaving_face_leaves_and_its_box_stays_in_the_frame():
    ground_truth = [row for _, row in frames(Scene(seed=6, leaving=True, size=(96, 64)), chatter, 2.0)]
    gone = [math.isnan(row.face_x1) for row in ground_truth]
    assert not any(gone[:25])
    assert gone[-1]
    assert sum(a != b for a, b in itertools.pairwise(gone)) == 1
    for row in ground_truth:
        if not math.isnan(row.face_x1):
            assert 0 <= row.face_x1 < row.face_x2 <= 96
            assert 0 <= row.face_y1 < row.face_y2 <= 64


@pytest.mark.parametrize("kind", props.OCCLUDERS)
def test_an_occluder_hides_the_mouth_while_it_says_so(kind):
    scene = Scene(seed=8, style="western", occluder=kind, size=(160, 160), life=0.0)
    truth = [row for _, row in frames(scene, lambda t: POSES["D"], 2.0)]
    shut = list(frames(scene, silent, 2.0))
    open_ = list(frames(scene, lambda t: POSES["D"], 2.0))
    assert {row.occluded for row in truth} == {0, 1}
    shown = {0: [], 1: []}
    for (a, row), (b, _) in zip(shut, open_, strict=True):
        shown[row.occluded].append(np.count_nonzero(np.abs(a.astype(int) - b).max(2) > 12))
    assert np.median(shown[1]) < 0.5 * np.median(shown[0])


def test_cuts_number_the_shots_and_change_the_picture():
    stream = list(frames(Scene(seed=3, cuts=2, size=(64, 64)), silent, 2.0))
    shots = [row.shot for _, row in stream]
    assert sorted(set(shots)) == [0, 1, 2]
    assert shots == sorted(shots)
    jumps = [np.abs(a.astype(int) - b).mean() for (a, _), (b, _) in itertools.pairwise(stream)]
    borders = [k for k, (a, b) in enumerate(itertools.pairwise(shots)) if a != b]
    assert set(np.argsort(jumps)[-2:].tolist()) == set(borders)


def test_a_camera_moves_the_box_with_the_picture():
    scene = Scene(seed=5, camera="pan", life=0.0, size=(96, 96))
    stream = list(frames(scene, silent, 2.0))
    (first, a), (last, b) = stream[0], stream[-1]
    moved = b.face_x1 - a.face_x1
    assert abs(moved) > 8
    shifted = cv2.warpAffine(first, np.array([[1.0, 0, moved], [0, 1, b.face_y1 - a.face_y1]]), (96, 96))
    y1, y2, x1, x2 = int(b.face_y1), int(b.face_y2), int(b.face_x1), int(b.face_x2)
    inside = np.s_[max(y1, 2) : y2, max(x1, 16) : min(x2, 80)]
    assert (
        np.abs(shifted[inside].astype(int) - last[inside]).mean()
        < 0.5 * np.abs(first[inside].astype(int) - last[inside]).mean()
    )


def test_a_partner_is_a_second_face():
    faces = [
        frame.faces for frame in render(Scene(seed=9, partner=True, framing="medium", size=(160, 96)), chatter, 0.4)
    ]
    assert all(len(pair) == 2 for pair in faces)
    assert all(pair[0].iou(pair[1]) < 0.2 for pair in faces)


def test_views_are_named_and_turn_the_right_way():
    for view in ("front", "three-quarter", "profile"):
        for seed in range(4):
            _, row = next(frames(Scene(seed=seed, view=view, size=(64, 64)), silent, 0.04))
            assert row.pose == view
            left = row.mouth_x1 + row.mouth_x2 < row.face_x1 + row.face_x2
            if view != "front":
                assert left == (row.yaw < 0)
    for seed in range(4):  # within a shot a drawing is never mirrored
        yaws = [row.yaw for _, row in frames(Scene(seed=seed, size=(32, 32), life=1.5), silent, 3.0)]
        assert len(set(np.sign(yaws))) == 1
        assert len(set(yaws)) > 3
    poses = [row.pose for _, row in frames(Scene(seed=1, view="turn", size=(64, 64)), silent, 3.0)]
    assert poses[0] == "front"
    assert poses[-1] == "three-quarter"


def test_crops_show_the_face_of_the_frame():
    scene = Scene(seed=7, size=(192, 192), framing="portrait")
    for (crop, row), (pixels, whole) in zip(
        face_crops(scene, chatter, 0.4, bottom=0.0), frames(scene, chatter, 0.4), strict=True
    ):
        assert crop.shape == (96, 96, 3)
        assert (row.face_x1, row.face_y1) == pytest.approx((0, 0), abs=1e-6)
        assert (row.face_x2, row.face_y2) == pytest.approx((96, 96), abs=1e-6)
        assert row.shape == whole.shape
        y1, y2, x1, x2 = round(whole.face_y1), round(whole.face_y2), round(whole.face_x1), round(whole.face_x2)
        cut = cv2.resize(pixels[y1:y2, x1:x2], (96, 96), interpolation=cv2.INTER_AREA)
        assert np.abs(cut.astype(int) - crop).mean() < 9
        scale = (whole.face_y2 - whole.face_y1) / 96
        assert row.openness_px * scale == pytest.approx(whole.openness_px, abs=1.0)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("view", ["front", "three-quarter", "profile"])
def test_a_face_without_its_mouth_is_the_same_everywhere_else(style, view):
    for seed in range(3):
        scene = Scene(seed=seed, style=style, view=view, size=(160, 160), framing="portrait", life=0.0)
        for shape in ("A", "D"):
            (pixels, row), (without, same) = (
                next(frames(replace(scene, mouth=mouth), lambda _, shape=shape: POSES[shape], 0.04))
                for mouth in (True, False)
            )
            changed = (pixels != without).any(-1)
            assert row == same
            assert changed.sum() > 8
            y, x = np.nonzero(changed)
            assert row.mouth_x1 - 1 <= x.min() <= x.max() <= row.mouth_x2 + 1
            assert row.mouth_y1 - 1 <= y.min() <= y.max() <= row.mouth_y2 + 1
            if view != "profile":  # in profile the contour closes
                shut = next(frames(replace(scene, mouth=False), silent, 0.04))[0]
                assert np.array_equal(shut, without)


def test_night_and_compression_change_every_frame_but_not_the_truth():
    plain = Scene(seed=2, size=(96, 96))
    for changed in (dict(night=True), dict(jpeg=20), dict(grain=8.0), dict(text="Now, then...")):
        (a, before), (b, after) = (next(frames(scene, silent, 0.1)) for scene in (plain, replace(plain, **changed)))
        assert (a != b).any()
        assert before == after
    dark = next(frames(Scene(seed=2, size=(96, 96), night=True), silent, 0.1))[0]
    light = next(frames(plain, silent, 0.1))[0]
    assert dark.mean() < 0.75 * light.mean()


def test_backgrounds_are_painted_and_gray_before_colour():
    for kind in KINDS:
        rng = np.random.default_rng(1)
        picture = background(rng, kind, 80, 60)
        assert picture.shape == (60, 80, 3)
        assert picture.dtype == np.uint8
        gray = background(np.random.default_rng(1), kind, 80, 60, gray=True)
        assert np.ptp(gray.astype(int), axis=2).max() == 0
    assert all(
        np.ptp(frame.astype(int), axis=2).max() < 60
        for frame, _ in frames(Scene(seed=1, style="rubberhose", size=(64, 64)), silent, 0.1)
    )


def test_random_scenes_run_and_keep_what_is_fixed():
    for seed in range(8):
        scene = random_scene(seed, size=(80, 64), style="flat")
        assert (scene.style, scene.size, scene.seed) == ("flat", (80, 64), seed)
        stream = list(frames(scene, chatter, 0.3, lambda t: "a"))
        assert len(stream) == round(0.3 * 25)
        assert all(pixels.shape == (64, 80, 3) and pixels.dtype == np.uint8 for pixels, _ in stream)
        assert all(row.phoneme == "a" for _, row in stream)
    assert len({random_scene(seed).view for seed in range(40)}) >= 4


@pytest.mark.parametrize(
    "wrong",
    [
        dict(style="oil"), dict(view="top"), dict(exposure=0), dict(mouth_exposure=0), dict(fps=0), dict(size=(8, 8)),
        dict(jpeg=101), dict(occluder="wall"), dict(framing="huge"), dict(backdrop="moon"), dict(camera="fly"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_in_one_line(wrong):
    with pytest.raises(ParameterError) as caught:
        Scene(**wrong)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused():
    with pytest.raises(ParameterError, match="brush"):
        random_scene(1, brush=2)
    with pytest.raises(ParameterError, match="oil"):
        character(1, "oil")


def test_a_cel_blends_its_edges_like_an_average_of_pixels():
    """Half a pixel of red over grey is half red."""
    cel = Cel(4, 4)
    cel.fill([(0, 0), (2.5, 0), (2.5, 4), (0, 4)], (255, 0, 0))
    picture = cel.over(np.full((4, 4, 3), 100, np.uint8)).astype(int)
    assert np.abs(picture[1, 0] - (255, 0, 0)).max() < 3
    assert np.abs(picture[1, 3] - 100).max() < 3
    assert np.abs(picture[1, 2] - (178, 50, 50)).max() < 60


def test_paint_inside_a_shape_stays_there():
    cel = Cel(60, 60)
    ring = oval(30, 30, 12, 8)
    with cel.inside(ring):
        cel.fill([(0, 0), (60, 0), (60, 60), (0, 60)], (9, 200, 9))
    painted = cel.pixels[:, :, 3] > 0
    row = np.zeros(painted.shape, np.uint8)
    cv2.fillPoly(row, [np.rint(ring * 2).astype(np.int32)], 1)
    assert np.count_nonzero(painted != row.astype(bool)) < 120
    with cel.inside(oval(-50, -50, 5, 5)):  # off the sheet
        cel.fill(ring, (1, 2, 3))
    assert (cel.pixels[:, :, 3] > 0).sum() == painted.sum()


def test_curves_pass_through_their_points():
    points = np.array([(0, 0), (1, 2), (3, 1), (4, 4)], float)
    for closed in (False, True):
        line = curve(points, closed=closed)
        assert all(np.hypot(*(line - point).T).min() < 1e-9 for point in points)
    arc = bow((0, 0), (2, 0), 0.5)
    assert arc[0].tolist() == [0, 0]
    assert arc[-1].tolist() == [2, 0]
    assert arc[4, 1] == pytest.approx(-0.5)
    assert (place(3, 4, 2.0, 90.0) @ (1, 0, 1)).tolist() == pytest.approx([3, 6])


def test_a_face_turns_away_to_profile():
    ground_truth = [row for _, row in frames(Scene(seed=1, view="away", size=(64, 64)), silent, 3.0)]
    poses = [pose for pose, _ in itertools.groupby(row.pose for row in ground_truth)]
    assert poses == ["front", "three-quarter", "profile"]
    assert all(abs(row.yaw) == 90 for row in ground_truth if row.pose == "profile")
    assert len({math.copysign(1, row.yaw) for row in ground_truth}) == 1


@pytest.mark.parametrize("yaw", [0.0, 33.0])
@pytest.mark.parametrize("kind", ["bowler", "brim"])
def test_no_hair_stands_beside_a_hat(kind, yaw):
    for seed in (3, 20):
        hero = replace(character(seed, "rubberhose"), hat=kind, fringe="spiky", back="short", ear_kind="round")
        hats = []
        for fringe in ("spiky", "none"):
            cel = Cel(200, 200)
            figure.draw_body(cel, replace(hero, fringe=fringe), Look(100, 110, 55, yaw=yaw))
            hats.append(cel.over(np.full((200, 200, 3), (0, 200, 0), np.uint8)).astype(int))
        above = int(110 - 0.86 * 55)  # the brim's upper edge
        assert np.array_equal(hats[0][:above], hats[1][:above])
        assert not np.array_equal(hats[0][above:], hats[1][above:])


def test_long_hair_falls_over_the_back_of_the_clothes():
    hero = replace(character(7, "anime"), back="long", hat="none", fringe="blunt")
    measured = []
    for back in ("long", "short"):
        cel = Cel(200, 200)
        figure.draw_from_behind(cel, replace(hero, back=back), Look(100, 70, 50))
        measured.append(cel.over(np.zeros((200, 200, 3), np.uint8))[70 + 60, 100])
    assert np.abs(measured[0].astype(int) - hero.palette.hair_shade).max() < 12
    assert np.abs(measured[0].astype(int) - measured[1]).max() > 30


def test_no_black_line_runs_across_a_beard():
    """Above the mouth a full beard has no more ink than stubble, which has none."""
    ink = []
    for beard in ("full", "stubble"):
        hero = replace(character(11, "western"), beard=beard, moustache=False)
        look, cel = Look(150, 138, 90), Cel(300, 300)
        mouth = figure.draw(cel, hero, look, REST)
        picture = cel.over(np.full((300, 300, 3), (0, 200, 0), np.uint8))
        face = figure.face_box(hero, look, STILL)
        left, right = int(face.x1 + 0.12 * face.width), int(face.x2 - 0.12 * face.width)
        band = picture[int(face.y1 + 0.3 * face.height) : int(mouth.box[1]), left:right]
        ink.append((np.abs(band.astype(int) - hero.palette.ink).max(2) < 40).sum())
    assert ink[0] <= ink[1] + 10
