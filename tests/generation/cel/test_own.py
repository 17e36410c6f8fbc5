"""The clip's own mouths: cut out, told apart, placed; and charts in a folder, edited and given back."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync_lab import samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel import chart, draw, own
from lipsync_lab.generation.cel.erase import erase
from lipsync_lab.generation.cel.locate import MouthPose, locate
from lipsync_lab.generation.cel.look import Look, Sample, look_of
from lipsync_lab.generation.cel.refine import refined
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings
from lipsync_lab.synthesis.animation.scene import render
from lipsync_lab.synthesis.animation.settings import random_scene
from lipsync_lab.training.corpus import FIRST_HELD_OUT

SKIN, INK, RED = (236, 196, 170), (60, 34, 30), (160, 50, 60)
LOOK = Look(draw.Pen(INK, 2.0, RED, (240, 238, 230), (190, 90, 90)), face=150.0, width=0.4, gap=0.55, smile=0.0)
FACE = Box(25, 5, 175, 155)


def pose_at(x: float, y: float, width: float, gap: float = 0.0) -> MouthPose:
    half = width / 2
    edges = (x - half, y), (x + half, y), (x, y - gap / 2), (x, y + gap / 2)
    return MouthPose((x, y), *edges, gap / width, "visible", 0.9)


def picture(gap: int, width: int = 60, skin=SKIN) -> np.ndarray:
    """A face with a mouth at 100, 90: a line, or an ellipse with a red inside."""
    frame = np.full((160, 200, 3), skin, np.uint8)
    if gap:
        cv2.ellipse(frame, (100, 90), (width // 2, gap // 2), 0, 0, 360, RED, -1, cv2.LINE_AA)
        cv2.ellipse(frame, (100, 90), (width // 2, gap // 2), 0, 0, 360, INK, 2, cv2.LINE_AA)
    else:
        cv2.line(frame, (100 - width // 2, 90), (100 + width // 2, 90), INK, 2, cv2.LINE_AA)
    return frame


def sample(frame: np.ndarray, gap: int, width: int = 60, number: int = 0, shot: int = 0) -> Sample:
    pose = pose_at(100, 90, width, gap)
    erased = erase(frame, pose)
    return Sample(FACE, pose, frame[erased.box.slices].copy(), erased, number, shot)


def test_a_cut_mouth_gives_the_same_pixels_on_its_own_face():
    frame = picture(20)
    given = sample(frame, 20)
    mouth = own.cut(given, LOOK)
    assert (mouth.shape, mouth.source, mouth.frame) == ("C", "clip", 0)
    assert mouth.openness == pytest.approx(20 / (0.55 * 60), abs=0.01)
    seat = own.seat_of(given.pose, FACE, LOOK, erased=given.erased)
    layer = own.placed(mouth, seat, given.erased.box, given.erased.skin[0])
    again = draw.composited(given.erased.pixels, layer)
    assert np.abs(again.astype(int) - given.pixels).max() <= 1
    # moved by whole pixels it is the same picture, and nothing beyond the mouth changes
    moved = own.placed(mouth, replace(seat, x=seat.x + 7.3, y=seat.y - 4.4), given.erased.box, given.erased.skin[0])
    assert np.array_equal(moved[:-4, 7:], layer[4:, :-7])
    assert set(np.unique(layer[..., 3] > 0)) == {False, True}
    blank = np.full_like(given.erased.pixels, 77)
    assert (draw.composited(blank, layer)[~given.erased.mask] == 77).all()


@pytest.mark.parametrize("shift", [-5, 0, 5])
def test_corners_that_the_locator_puts_too_high_or_too_low_do_not_move_the_mouth(shift):
    """An ellipse and a line whose ends lie at a height of 90 pixels, whatever the pose says."""
    for gap in (0, 16, 24):
        frame = picture(gap)
        pose = pose_at(100, 90, 60, gap)
        moved = replace(pose, left=(70, 90 + shift), right=(130, 90 + shift))
        seat = own.seat_of(moved, FACE, LOOK, erased=erase(frame, moved))
        assert (seat.x, seat.y) == pytest.approx((100, 90.5), abs=1)


@pytest.mark.parametrize("jaw", [0, 9])
def test_a_wide_mouth_in_place_of_a_small_round_one_lies_where_the_wide_ones_of_the_shot_do(jaw):
    """Round mouths whose middle is as high as the ends of wide ones, or whose upper edge is, with a jaw that drops."""
    look = look_of([sample(picture(0), 0, number=number) for number in range(3)])
    assert look.heights == {0: pytest.approx((90.5 - FACE.y1) / (FACE.y2 - FACE.y1), abs=0.01)}
    frame = np.full((160, 200, 3), SKIN, np.uint8)
    cv2.ellipse(frame, (100, 90 + jaw), (9, 9), 0, 0, 360, INK, -1, cv2.LINE_AA)
    pose = pose_at(100, 90 + jaw, 18, 18)
    seat = own.seat_of(pose, FACE, look, 0, erased=erase(frame, pose))
    assert (seat.x, seat.y) == pytest.approx((100, 90.5), abs=1.5)


def with_shadow(gap: int) -> np.ndarray:
    frame = picture(gap)
    cv2.ellipse(frame, (100, 90 + gap // 2 + 12), (14, 4), 0, 0, 360, (150, 110, 95), -1, cv2.LINE_AA)
    return frame


def test_the_shadow_under_the_lip_goes_with_its_mouth():
    given = [sample(with_shadow(gap), gap, number=number) for number, gap in enumerate((0, 12, 20, 0, 16))]
    assert all(np.abs(each.erased.pixels.astype(int) - SKIN).max() <= 2 for each in given)
    look = look_of(given)
    assert look.pen.lip.height == pytest.approx(8 / 60, abs=0.04)
    mouth = own.cut(given[2], look)
    # from the upper line to the lower edge of the shadow, with a soft rim on either side
    assert mouth.layer.shape[0] == pytest.approx(20 + 12 + 4 + 8, abs=4)
    assert own.cut(sample(picture(20), 20), look) is None, "a mouth without the shadow that the others have"
    # a mouth from the chart has the shadow of the clip, as high and as dark
    seat = own.seat_of(given[0].pose, FACE, look, erased=given[0].erased)
    layer = draw.drawn(CHART["A"], seat, look.pen, given[0].erased.box)
    column = draw.composited(given[0].erased.pixels, layer)[:, layer.shape[1] // 2].astype(int)
    shaded = np.abs(column - (150, 110, 95)).max(axis=1) < 30
    assert 5 <= shaded.sum() <= 11


def test_two_marks_under_the_lip_and_a_small_mouth_are_measured():
    given = []
    for number in range(3):
        frame = picture(0)
        for x in (80, 120):
            cv2.ellipse(frame, (x, 104), (6, 3), 0, 0, 360, (150, 110, 95), -1, cv2.LINE_AA)
        given.append(sample(frame, 0, number=number))
    assert look_of(given).pen.lip.height == pytest.approx(6 / 60, abs=0.04)
    for width in range(6, 16):
        small = picture(0, width)
        pose = pose_at(100, 90, 1.5 * width)
        seat = own.seat_of(pose, FACE, LOOK, erased=erase(small, pose))
        assert (seat.x, seat.y) == pytest.approx((100, 90.5), abs=1.5)


def test_a_grey_clip_gets_a_grey_mouth():
    grey = [replace(each, pixels=np.repeat(each.pixels.mean(-1, keepdims=True), 3, -1).astype(np.uint8))
            for each in (sample(picture(0), 0) for _ in range(3))]  # fmt: skip
    pen = look_of(grey).pen
    assert np.ptp([pen.line, pen.inner, pen.teeth, pen.tongue], axis=1).max() < 8
    assert np.ptp(look_of([sample(picture(0), 0)]).pen.tongue) > 60


def test_a_clip_whose_open_mouths_are_one_dark_colour_gets_no_lighter_tongue():
    pen = look_of([sample(picture(24), 24)]).pen
    assert pen.tongue == pen.inner
    frame = picture(24)
    cv2.ellipse(frame, (100, 94), (24, 7), 0, 0, 360, (200, 90, 95), -1, cv2.LINE_AA)
    assert look_of([sample(frame, 24)]).pen.tongue == pytest.approx((200, 90, 95), abs=12)


def test_a_placed_mouth_takes_the_light_of_the_face():
    given = sample(picture(20), 20)
    mouth = own.cut(given, LOOK)
    seat = own.seat_of(given.pose, FACE, LOOK, erased=given.erased)
    dark = own.placed(mouth, seat, given.erased.box, 0.5 * np.array(SKIN))
    light = own.placed(mouth, seat, given.erased.box, np.array(SKIN))
    assert np.allclose(dark[..., :3], 0.5 * light[..., :3], atol=0.5)
    assert np.array_equal(dark[..., 3], light[..., 3])


def test_a_placed_mouth_follows_size_and_rotation():
    given = sample(picture(0), 0)
    mouth = own.cut(given, LOOK)
    part = Box(0, 0, 200, 160)
    for scale, angle in ((2.0, 25.0), (0.5, 0.0)):
        layer = own.placed(mouth, draw.Seat(100, 80, 60 * scale, 30, angle=angle), part, np.array(SKIN))
        rows, columns = np.nonzero(layer[..., 3] > 0.5)
        length = np.hypot(np.ptp(rows), np.ptp(columns))
        assert length == pytest.approx(60 * scale, rel=0.12)
        assert np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])) == pytest.approx(angle, abs=2)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((100, 80), abs=1.5)


def test_drawings_that_look_the_same_are_one():
    gaps = [0, 0, 12, 30, 12, 30, 0]
    mouths = [own.cut(sample(picture(gap), gap, number=number), LOOK) for number, gap in enumerate(gaps)]
    kept = own.distinct(mouths)
    assert [mouth.frame for mouth in kept] == [0, 2, 3]
    assert [mouth.shape for mouth in kept] == ["A", own.letter_of(12 / 33, 1.0), "D"]
    other = own.cut(sample(picture(0), 0, number=9, shot=1), LOOK)
    assert [mouth.frame for mouth in own.distinct([*mouths, other])] == [0, 2, 3, 9]


@pytest.mark.parametrize("letter", "BCDEF")
def test_the_letter_of_a_drawn_shape_is_its_own(letter):
    shape = CHART[letter]
    assert own.letter_of(shape.openness, own.chart_width(shape)) == letter


def test_the_nearest_mouth_is_closed_where_the_lips_close_and_open_where_they_open():
    mouths = [own.cut(sample(picture(gap), gap, number=gap), LOOK) for gap in (0, 12, 30)]
    for letter, gap in (("A", 0), ("X", 0), ("B", 12), ("D", 30)):
        assert own.nearest(CHART[letter], 0.0, 0, mouths)[0].frame == gap
    # only a wide mouth is there: near enough to a wide vowel, never to a closure
    assert own.nearest(CHART["D"], 0.0, 0, mouths[2:])[1] < own.NEAR < own.nearest(CHART["A"], 0.0, 0, mouths[2:])[1]
    assert own.nearest(CHART["D"], 0.9, 0, mouths)[1] > own.NEAR
    assert own.nearest(CHART["A"], 0.0, 0, []) == (None, np.inf)


def test_mouths_of_another_shot_are_pasted_on_the_same_face_only():
    mouth = own.drawn_mouth(CHART["D"], LOOK, (200.0, 170.0, 150.0))
    own_shot, other, chart = (replace(mouth, shot=shot) for shot in (0, 1, None))
    same, darker = np.array([201.0, 170.0, 150.0]), np.array([160.0, 136.0, 120.0])
    assert own.alike([own_shot, other, chart], 0, mouth.rest * 1.2, same) == [own_shot, other, chart]
    assert own.alike([own_shot, other, chart], 0, mouth.rest * 1.2, darker) == [own_shot, chart]
    for size in (0.4, 6):
        assert own.alike([own_shot, other, chart], 0, mouth.rest * size, same) == [own_shot, chart]


def test_a_mouth_whose_ink_goes_on_is_not_cut():
    frame = picture(0)
    cv2.line(frame, (100, 90), (160, 40), INK, 3, cv2.LINE_AA)
    assert own.cut(sample(frame, 0), LOOK) is None
    assert own.cut(replace(sample(picture(0), 0), pose=replace(pose_at(100, 90, 60), confidence=0.6)), LOOK) is None


def test_a_mark_beside_the_usual_place_is_no_mouth():
    given = [sample(picture(0), 0, number=number) for number in range(4)]
    low = picture(0)[:-20]
    low = np.vstack([np.full((20, 200, 3), SKIN, np.uint8), low])
    pose = pose_at(100, 110, 60)
    erased = erase(low, pose)
    stray = Sample(FACE, pose, low[erased.box.slices].copy(), erased, 4, 0)
    assert own.cut(stray, LOOK) is not None
    assert [mouth.frame for mouth in own.cut_all([*given, stray], LOOK)] == [0, 1, 2, 3]


def test_a_pose_beside_a_closed_mouth_is_put_on_its_line():
    frame = picture(0)
    cv2.ellipse(frame, (100, 115), (14, 3), 0, 0, 180, (150, 110, 95), -1, cv2.LINE_AA)  # the shadow under the lip
    between = pose_at(102, 103, 44, 16)
    right = refined(frame, between)
    assert right.openness == 0
    assert right.centre == pytest.approx((100.5, 90.5), abs=1.5)
    assert right.width == pytest.approx(61, abs=3)
    tilted = cv2.warpAffine(picture(0), cv2.getRotationMatrix2D((100, 90), -20, 1), (200, 160), borderValue=SKIN)
    assert refined(tilted, between).angle == pytest.approx(20, abs=2)
    # an open mouth that the locator takes for a nearly closed one is as high as its ink; its corners stay
    low = pose_at(100, 90, 60, 6)
    high = refined(picture(34), low)
    assert high.openness == pytest.approx(34 / 60 - 0.2, abs=0.08)
    assert (high.left, high.right) == (low.left, low.right)
    # an open mouth, and skin without any line, leave the pose as it is
    assert refined(picture(20), pose_at(100, 90, 60, 20)) == pose_at(100, 90, 60, 20)
    assert refined(np.full((160, 200, 3), SKIN, np.uint8), between) == between


@pytest.mark.parametrize(("seed", "style"), [(700, "anime"), (701, "western"), (702, "rubberhose"), (703, "flat")])
def test_the_letters_of_a_synthetic_character_are_those_of_its_shapes(seed, style):
    scene = random_scene(
        FIRST_HELD_OUT + seed, style=style, view="front" if seed != 702 else "three-quarter", size=(320, 320),
        framing=("close", "portrait")[seed % 2], occluder=None, partner=False, jpeg=0, grain=0.0, text="", fps=1.0,
    )  # fmt: skip
    given = []
    for number, letter in enumerate(SHAPES):
        frame = next(render(scene, lambda _, letter=letter: CHART[letter], 0.9))
        (pose,) = locate([frame.pixels], [frame.faces[0]])
        pose = refined(frame.pixels, pose)
        erased = erase(frame.pixels, pose)
        part = frame.pixels[erased.box.slices].copy()
        given.append(Sample(frame.faces[0], pose, part, erased, number, 0))
    letters = {SHAPES[mouth.frame]: mouth.shape for mouth in own.cut_all(given, look_of(given))}
    assert {"A", "X"} <= letters.keys()
    assert len(letters) >= 4
    # A and X look the same, and G's gap is nearly B's; a grey tongue is not told from teeth or skin
    expected = {"X": "A", "G": "B", "H": letters.get("H") if letters.get("H") == "C" else "H"}
    assert letters == {letter: expected.get(letter, letter) for letter in letters}


def clenched(gap: int) -> np.ndarray:
    """A mouth whose two rows of teeth meet, and a dark gap between them."""
    frame = picture(gap)
    cv2.ellipse(frame, (100, 90), (27, gap // 2 - 2), 0, 0, 360, (245, 243, 238), -1, cv2.LINE_AA)
    cv2.line(frame, (74, 90), (126, 90), INK, 2)
    return frame


def test_clenched_teeth_that_the_locator_takes_for_closed_lips_are_an_open_mouth():
    shut = sample(picture(0), 0)
    teeth = replace(sample(clenched(20), 20, number=5), pose=pose_at(100, 90, 60, 1))
    closed, grin = own.cut_all([shut, teeth], LOOK)
    assert (closed.openness, closed.shape) == (0, "A")
    assert grin.openness == pytest.approx(20 / (0.55 * 60), abs=0.12)
    assert grin.shape != "A"
    # a clip without closed lips shows none, and pastes none for m, b and p
    grins = own.cut_all([replace(teeth, frame=number) for number in range(4)], LOOK)
    assert len(grins) == 4
    assert all(mouth.openness > 0.4 for mouth in grins)
    assert own.nearest(CHART["A"], 0.0, 0, grins)[1] > own.NEAR


def test_of_painted_lips_a_single_closed_mouth_is_not_the_measure():
    """The locator names painted lips open, and once the upper one alone closed."""
    lips = [replace(sample(picture(18), 18, number=number), pose=pose_at(100, 90, 60, 9)) for number in range(5)]
    upper = replace(sample(picture(10), 10, number=5), pose=pose_at(100, 90, 60, 1))
    wide = sample(picture(34), 34, number=6)
    mouths = {mouth.frame: mouth.openness for mouth in own.cut_all([*lips, upper, wide], LOOK)}
    assert [mouths[number] for number in range(5)] == [0] * 5
    assert mouths[6] == pytest.approx((34 - 18) / (0.55 * 60), abs=0.1)
    # a line is: a closed mouth beside open ones
    mouths = {mouth.frame: mouth.openness for mouth in own.cut_all([*lips, sample(picture(0), 0, number=9)], LOOK)}
    assert mouths[9] == 0
    assert all(mouths[number] > 0.3 for number in range(5))


def test_teeth_that_lie_along_the_upper_lip_alone_give_their_colour():
    frame, skin = np.full((160, 200, 3), (116, 74, 52), np.uint8), (116, 74, 52)
    cv2.ellipse(frame, (100, 90), (30, 14), 0, 0, 360, (112, 50, 56), -1)
    cv2.ellipse(frame, (100, 90), (30, 14), 0, 190, 350, (206, 190, 170), -1)
    cv2.ellipse(frame, (100, 96), (30, 12), 0, 0, 360, (112, 50, 56), -1)
    cv2.ellipse(frame, (100, 90), (30, 14), 0, 0, 360, (52, 14, 0), 2)
    given = sample(frame, 28)
    assert np.abs(given.erased.skin[0] - skin).max() < 6
    assert np.abs(np.array(look_of([given] * 3).pen.teeth) - (206, 190, 170)).max() < 30


# --- charts ----------------------------------------------------------------------------------------------------------


def whole_chart() -> list[own.Mouth]:
    return [own.drawn_mouth(CHART[letter], LOOK, SKIN) for letter in SHAPES]


def test_a_chart_survives_its_folder(tmp_path):
    mouths = [*whole_chart(), own.cut(sample(picture(20), 20, number=7), LOOK)]
    chart.write_chart(tmp_path / "chart", mouths, "clip.mp4")
    again = chart.read_chart(tmp_path / "chart")
    assert [mouth.shape for mouth in again] == [*SHAPES, "C"]
    for before, after in zip(mouths, again, strict=True):
        assert np.abs(after.layer - before.layer).max() <= 1.01
        for name in ("openness", "width", "rest", "angle", "turn", "line_width"):
            assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-4)
        assert after.anchor == pytest.approx(before.anchor, abs=1e-3)
        assert (after.source, after.frame) == (before.source, before.frame)
    content = json.loads((tmp_path / "chart" / "chart.json").read_text())
    assert (content["schema"], content["clip"]) == (1, "clip.mp4")
    assert content["mouths"][-1]["file"] == "C-2.png"
    assert "#a4343c" in content["mouths"][-1]["colours"]
    sheet = cv2.imread(str(tmp_path / "chart" / "contact_sheet.png"))
    assert sheet.shape[1] == 5 * 220
    assert sheet.shape[0] > 2 * 190  # two rows of mouths, and what they say about shapes that share one
    assert (np.abs(sheet[6, 6].astype(int) - SKIN[::-1]) <= 1).all()


def test_the_sheet_says_which_mouth_each_shape_uses():
    own_mouths = [own.cut(sample(picture(20), 20, number=7), LOOK)]
    drawn = [mouth for mouth in whole_chart() if mouth.shape not in "AX"]
    closed = replace(whole_chart()[0], source="clip", frame=3)
    mouths = [closed, *drawn, *own_mouths, replace(closed, shape="X")]
    lines = chart.captions(mouths)
    assert lines[0] == ("A: clip, frame 3", "gap 0.00; the same as X")
    assert lines[-1] == ("X: clip, frame 3", "gap 0.00; the same as A")
    assert ("C: clip, frame 7", f"gap {own_mouths[0].openness:.2f}") in lines
    # the mouths of the clip that stand in for a shape of the chart where no other is wanted
    instead = own.nearest(CHART["D"], 0.0, None, [closed, *own_mouths])[0]
    assert ("D: chart of shapes", f"mouth-source clip: {instead.shape}, frame {instead.frame}") in lines
    assert chart.notes(mouths)[0].startswith("A and X share one mouth")
    assert not any("share" in note for note in chart.notes(whole_chart()))


def _without(folder, letter):
    content = json.loads((folder / "chart.json").read_text())
    content["mouths"] = [row for row in content["mouths"] if row["shape"] != letter]
    (folder / "chart.json").write_text(json.dumps(content))


def _saved(folder, change):
    picture = cv2.imread(str(folder / "D.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(folder / "D.png"), change(picture))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "chart.json").unlink(), "chart.json: cannot be read"),
        (lambda folder: (folder / "chart.json").write_text("{}"), "chart.json: is not a mouth chart"),
        (lambda folder: (folder / "chart.json").write_text('{"schema": 9}'), "the schema 9, not 1"),
        (lambda folder: _without(folder, "F"), "no mouth for the shape F"),
        (lambda folder: (folder / "D.png").unlink(), "D.png: cannot be read"),
        (lambda folder: (folder / "D.png").write_bytes(b"text"), "D.png: is not a picture"),
        (
            lambda folder: _saved(folder, lambda picture: picture[:, :-1]),
            r"D.png: has \d+ x \d+ pixels; chart.json says",
        ),
        (lambda folder: _saved(folder, lambda picture: picture[..., :3]), "D.png: has no alpha channel"),
    ],
)
def test_what_is_wrong_with_a_chart_is_said(tmp_path, spoil, message):
    chart.write_chart(tmp_path, whole_chart())
    spoil(tmp_path)
    with pytest.raises(MediaError, match=message):
        chart.read_chart(tmp_path)


def test_a_recoloured_chart_is_what_the_dub_shows(tmp_path):
    clip = samples.path("animation_hello")
    frames = np.stack([frame.image for frame in video.frames(clip, stop=20)])
    wave = audio.load(samples.path("voice_umbrella"))[:13000]
    chart.write_chart(tmp_path / "chart", Pipeline("cel").mouth_chart(clip), "hello")
    green = (0, 255, 0)
    for path in (tmp_path / "chart").glob("?*.png"):
        if path.name == chart.CONTACT:
            continue
        painted = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        painted[..., :3] = green
        cv2.imwrite(str(path), painted)
    plain, _ = Pipeline("cel").dub(frames, wave, 25)
    given, track = Pipeline("cel", settings=Settings(mouth_chart=str(tmp_path / "chart"))).dub(frames, wave, 25)
    pure = (np.abs(given.astype(int) - green) < 30).all(axis=-1)
    assert not (np.abs(plain.astype(int) - green) < 30).all(axis=-1).any()
    shown = (given != frames[: len(given)]).any(axis=(1, 2, 3))
    assert shown.mean() > 0.8
    assert (pure.sum(axis=(1, 2))[shown] > 10).mean() > 0.9
    for number in np.flatnonzero(shown):
        rows, columns = np.nonzero(pure[number])
        box = track.box(number)
        assert rows.min() > box.y1 + 0.4 * box.height
        assert columns.min() > box.x1
        assert columns.max() < box.x2


def test_the_mouths_of_a_source_are_those_asked_for():
    clip = samples.path("animation_hello")
    frames = np.stack([frame.image for frame in video.frames(clip, stop=20)])
    wave = audio.load(samples.path("voice_umbrella"))[:13000]
    dubbed = {
        source: Pipeline("cel", settings=Settings(mouth_source=source)).dub(frames, wave, 25)[0]
        for source in ("clip", "drawn", "auto")
    }
    assert not np.array_equal(dubbed["clip"], dubbed["drawn"])
    for number in range(len(frames[: len(dubbed["auto"])])):
        known = [np.array_equal(dubbed["auto"][number], dubbed[source][number]) for source in ("clip", "drawn")]
        assert any(known), number
    with pytest.raises(ParameterError, match="--mouth-source"):
        Pipeline("identity", settings=Settings(mouth_source="drawn"))
    with pytest.raises(ParameterError, match="mouth_source"):
        Settings(mouth_source="painted")
