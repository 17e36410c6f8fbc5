"""Several faces in one clip: numbered from the left, each with its own voice, and a ledger row per frame and face."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

import lipsync_lab
from lipsync_lab import runs, samples
from lipsync_lab.cli import main
from lipsync_lab.detection import Detection, tracking
from lipsync_lab.detection.detections import Detections
from lipsync_lab.errors import ParameterError
from lipsync_lab.faces import Turn, make_plans, read_turns, render_faces, spoken
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import clip_from_array
from lipsync_lab.plan import make_plan, render
from lipsync_lab.settings import Settings

LEFT, RIGHT = Box(40, 40, 100, 110), Box(200, 50, 270, 130)
FRAMES = 8


def detections_of(rows: list[list[Box]], shots: tuple[int, ...] = (0,), score: float = 0.9) -> Detections:
    candidates = tuple(tuple(Detection(box, score) for box in row) for row in rows)
    return Detections(candidates=candidates, shots=shots, size=(320, 180))


def numbers(given: dict) -> dict[int, list[int]]:
    """Frames in which each face is there."""
    return {number: [n for n, face in enumerate(row) if face is not None] for number, row in given.items()}


def test_faces_are_numbered_from_the_left_in_each_shot():
    rows = [[RIGHT, LEFT]] * 10 + [[LEFT, RIGHT]] * 5
    chosen = tracking.several_faces(detections_of(rows, (0, 10)), Settings(faces="all"))
    assert list(chosen) == [0, 1]
    assert {face.box for face in chosen[0]} == {LEFT}
    assert {face.box for face in chosen[1]} == {RIGHT}


def test_a_number_takes_the_most_prominent_and_a_tuple_takes_those_of_the_numbers():
    small = Box(130, 60, 150, 80)
    given = detections_of([[LEFT, RIGHT, small]] * 10)
    assert {face.box for row in tracking.several_faces(given, Settings(faces=2)).values() for face in row} == {
        LEFT,
        RIGHT,
    }
    only = tracking.several_faces(given, Settings(faces=(1,)))
    assert {number: {face.box for face in row} for number, row in only.items()} == {1: {small}}


def test_a_face_that_was_hidden_for_long_is_the_same_when_it_comes_back():
    rows = [[LEFT, RIGHT]] * 10 + [[LEFT]] * 20 + [[LEFT, RIGHT]] * 10
    chosen = tracking.several_faces(detections_of(rows), Settings(faces="all", max_dropout=5))
    assert numbers(chosen) == {0: list(range(40)), 1: [*range(10), *range(30, 40)]}


def test_a_flicker_is_no_face():
    rows = [[LEFT, RIGHT] if n % 9 == 0 else [LEFT] for n in range(30)]
    chosen = tracking.several_faces(detections_of(rows), Settings(faces="all", max_dropout=0))
    assert list(chosen) == [0]


def test_boxes_by_hand_name_one_face():
    given = Detections(candidates=((), ()), shots=(0,), size=(320, 180), manual={0: LEFT})
    with pytest.raises(ParameterError, match="by hand"):
        tracking.several_faces(given, Settings(faces="all"))


@pytest.mark.parametrize("wrong", [0, -1, "some", (), (0, 0), (-1,), (0.5,)])
def test_faces_that_are_no_choice_are_refused(wrong):
    with pytest.raises(ParameterError, match="faces"):
        Settings(faces=wrong)


def test_a_face_is_silent_outside_of_its_turns():
    wave = np.full(32_000, 0.5, np.float32)
    waves = spoken([0, 1], [wave], [Turn(0, 0.5, 0), Turn(0.5, 1, 1), Turn(1.5, 9, 0)])
    assert waves[0][:8000].all()
    assert waves[0][24_000:].all()
    assert not waves[0][8000:24_000].any()
    assert waves[1][8000:16_000].all()
    assert not waves[1][:8000].any()
    assert not waves[1][16_000:].any()


def test_voices_go_to_the_faces_in_their_order_and_are_as_long_as_the_longest():
    waves = spoken([0, 2, 5], [np.full(10, 0.1, np.float32), np.full(20, 0.2, np.float32)])
    assert list(waves) == [0, 2]
    assert [len(wave) for wave in waves.values()] == [20, 20]
    assert waves[0][:10].all()
    assert not waves[0][10:].any()
    assert waves[2].all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end\n0,1\n", "lacks the column face"),
        ("start,end,face\n1,1,0\n", "row 2"),
        ("start,end,face\n0,1,0\n0,nan,1\n", "row 3"),
        ("start,end,face\n0,1,left\n", "row 2"),
        ("start,end,face\n0,1,1.5\n", "row 2"),
        ("start,end,face\n", "holds no turn"),
        ("", "table of turns"),
    ],
)
def test_a_wrong_table_of_turns_is_refused(tmp_path, text, message):
    path = tmp_path / "turns.csv"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        read_turns(path)


def test_a_table_of_turns(tmp_path):
    path = tmp_path / "turns.csv"
    path.write_text("start, end, face\n0, 1.5, 0\n1.5, 2, 1\n")
    assert read_turns(path) == [Turn(0, 1.5, 0), Turn(1.5, 2, 1)]


def clip_of_two():
    generator = np.random.default_rng(0)
    return clip_from_array(generator.integers(0, 255, (FRAMES, 180, 320, 3), np.uint8), 25)


@pytest.mark.parametrize("extend", ["loop", "pingpong", "hold"])
def test_frames_of_two_faces_are_those_of_one_pasted_over_those_of_the_other(extend):
    """Against rendering each face alone: the boxes do not overlap, so that the mouths are put together by hand."""
    clip, given = clip_of_two(), detections_of([[LEFT, RIGHT]] * FRAMES)
    waves = [np.random.default_rng(n).normal(0, 0.1, 9600).astype(np.float32) for n in (1, 2)]
    settings, generator = Settings(faces="all", extend=extend), lipsync_lab.generation.load("wav2lip-lab")
    plans = make_plans(clip, given, waves, settings)
    both = list(render_faces(clip, plans, dict.fromkeys(plans, generator)))
    alone = [list(render(clip, plan, generator)) for plan in plans.values()]
    assert len(both) == 15
    for start in (7, 14):  # from the middle, beyond the first time that the clip is shown
        rest = list(render_faces(clip, plans, dict.fromkeys(plans, generator), start=start))
        np.testing.assert_array_equal(rest, both[start:])
    for left, right, image in zip(*alone, both, strict=True):
        expected = left.copy()
        expected[:, 160:] = right[:, 160:]
        np.testing.assert_array_equal(image, expected)


def test_a_single_face_is_rendered_as_ever():
    clip, given = clip_of_two(), detections_of([[LEFT]] * FRAMES)
    wave = np.zeros(6400, np.float32)
    generator = lipsync_lab.generation.load("wav2lip-lab")
    (plan,) = make_plans(clip, given, [wave], Settings()).values()
    known = render(clip, make_plan(clip, given, wave, Settings()), generator)
    for expected, image in zip(known, render_faces(clip, {0: plan}, {0: generator}), strict=True):
        np.testing.assert_array_equal(image, expected)


def test_a_turn_of_a_face_that_is_not_there_is_refused():
    with pytest.raises(ParameterError, match="a turn is of face 3, and the faces are 0, 1"):
        make_plans(
            *(clip_of_two(), detections_of([[LEFT, RIGHT]] * FRAMES)),
            *([np.zeros(8000, np.float32)], Settings(faces="all"), [Turn(0, 1, 3)]),
        )


@pytest.fixture(scope="module")
def two_speakers(tmp_path_factory):
    """Two bundled characters side by side, ten frames."""
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    sides = [video.frames(samples.resolve_path(name), stop=10) for name in ("animation_kettle", "animation_village")]
    images = (np.concatenate([a.image, b.image], axis=1) for a, b in zip(*sides, strict=True))
    return video.write_clip(path, images, Fraction(25))


@pytest.fixture(scope="module")
def run_of_two(two_speakers):
    out = two_speakers.with_name("run")
    voices = ["--voices", "voice_lighthouse", "voice_umbrella"]
    arguments = ["dub", "--quiet", "--preset", "animation", "--face", str(two_speakers), *voices, "--no-cache"]
    assert main([*arguments, "--static", "--outfile", f"{out}.mp4"]) == 0
    return runs.Run(out)


def test_a_run_of_two_faces(run_of_two):
    assert run_of_two.faces == [0, 1]
    left, right = run_of_two.ledger(0), run_of_two.ledger(1)
    assert left["x2"].max() < 288 < right["x1"].min()
    assert left["mouth_generated"].all()
    assert right["mouth_generated"].all()
    assert [each["voice"]["seconds"] for each in run_of_two.info["faces"]] == [5.0716875, 4.169]
    assert runs.is_run(run_of_two.folder)
    assert sorted(path.name for path in run_of_two.folder.glob("face_*/*")) == ["exposure_sheet.csv"] * 2
    with pytest.raises(ParameterError, match="its faces are 0, 1"):
        run_of_two.ledger(2)


def test_the_sound_of_the_output_holds_both_voices(run_of_two):
    sound_of_output = audio.load(run_of_two.output)
    voices = [audio.load(samples.resolve_path(name)) for name in ("voice_lighthouse", "voice_umbrella")]
    length = min(len(sound_of_output), *map(len, voices))
    for voice in voices:
        assert np.corrcoef(sound_of_output[:length], voice[:length])[0, 1] > 0.4
    assert np.corrcoef(sound_of_output[:length], sum(voice[:length] for voice in voices))[0, 1] > 0.95


def test_each_face_is_evaluated_with_its_own_box_and_voice(run_of_two):
    """What the other face's mouth changed does not count as a change of the background."""
    first, second = (
        lipsync_lab.evaluate(run_of_two, face=face, sync_expert=None, discriminator=None, lse=None)
        for face in run_of_two.faces
    )
    background = [each.metrics.set_index("metric").loc["background_change", "value"] for each in (first, second)]
    assert max(background) < 1
    assert {path.name for path in (run_of_two.folder / "evaluation").iterdir()} == {"face_0", "face_1"}
    assert [json.loads(json.dumps(each.as_dict()))["inputs"]["voice"]["name"] for each in (first, second)] == [
        "voice_lighthouse.wav",
        "voice_umbrella.wav",
    ]
    assert runs.is_run(run_of_two.folder)


def test_a_voice_without_a_face_is_heard_and_a_warning_says_so(tmp_path, two_speakers):
    voices = [samples.resolve_path(name) for name in ("voice_lighthouse", "voice_umbrella")]
    run = lipsync_lab.dub(
        *(two_speakers, voices, tmp_path / "run"), generator="identity", static=True, faces=(1,), detector="s3fd-lab"
    )
    assert any("2 voices for 1 faces" in line for line in run.info["warnings"])
