"""The explorer shows what the pipeline does and saves what `dub` takes; its failures are those of the evaluation."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from clips import HEIGHT, WIDTH, boxes, clip, read
from PIL import ImageColor

from lipsync_lab import detection, figures, samples
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.errors import DetectionError, LipsyncError, MediaError, ParameterError
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.explorer import FAILURES, Edits, Explorer, Session, canvas, timeline
from lipsync_lab.explorer import session as session_module
from lipsync_lab.explorer.frames import Frames
from lipsync_lab.explorer.viewport import stage_scale
from lipsync_lab.figures import style
from lipsync_lab.geometry import PROVENANCES, Box
from lipsync_lab.media import audio, video
from lipsync_lab.media import clip as source
from lipsync_lab.models import registry
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

FRAMES = 14
MISSED = (4, 5, 6, 10)


def face(number):
    return [20.0 + number, 12.0, 68.0 + number, 66.0]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A clip of its own with boxes for it, some of them missing."""
    folder = tmp_path_factory.mktemp("explorer")
    clip(folder / "in.mp4", FRAMES)
    boxes(folder / "found.json", [None if n in MISSED else face(n) for n in range(FRAMES)], size=[WIDTH, HEIGHT])
    return folder


def opened(home, **options):
    options = {
        "detector": home / "found.json",
        "generator": "identity",
        "device": "cpu",
        "cache": home / "cache",
    } | options
    return Session(home / "in.mp4", **options)


def dubbed(home, settings, detector):
    pipeline = Pipeline("untrained", detector, settings, device="cpu")
    return pipeline.dub(read(home / "in.mp4"), audio.load(home / "in.mp4"), 25)


def same_track(a, b):
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.shots, b.shots)
    np.testing.assert_array_equal(a.scores, b.scores)


# -- what is shown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"dropouts": "interpolate", "smoothing": "none", "audio_offset": 3, "feather": 0.1, "pads": (2, 5, 1, 1)},
        {"mouth_cadence": "holds", "dropouts": "interpolate"},
        {"dropouts": "hold", "max_dropout": 2, "smoothing": "reference", "published_length": True},
    ],
)
def test_every_frame_is_the_pipelines(home, values):
    settings = Settings.of(values)
    frames, track = dubbed(home, settings, home / "found.json")
    tuned = {name: value for name, value in values.items() if name != "published_length"}
    session = opened(home, generator="untrained", settings=Settings(published_length=settings.published_length))
    session.change(**tuned)
    same_track(session.track, track)
    assert session.track.provenance.tolist() == track.provenance.tolist()
    for number in (*range(len(frames)), 7, 3):
        view = session.view(number)
        # one mouth alone and one among many may differ in the last bit
        assert np.abs(view.output.astype(int) - frames[number]).max() <= 1
        assert (view.mouth is None) == (view.box is None)
    assert len(session) == len(frames)
    assert len(session.chosen) == FRAMES


@pytest.mark.parametrize(("generator", "tolerance"), [("wav2lip-lab", 1), ("cel", 0)])
@pytest.mark.parametrize("preset", [None, "animation"])
def test_a_drawn_clip_is_what_the_pipeline_writes(home, tmp_path, generator, tolerance, preset):
    """Every frame, with the exposures of the whole clip, although each is rendered by itself and in any order."""
    settings, face = replace(Settings.of({}, preset), codec="ffv1"), samples.path("animation_apples")
    pipeline = Pipeline(generator, "s3fd-lab", settings, device="cpu", cache=home / "detections")
    run = pipeline.run(face, face, tmp_path / "run")
    written = read(run.output)
    session = Session(face, generator=generator, detector="s3fd-lab", settings=settings, device="cpu", cache=home)
    assert len(session) == len(written)
    generated = changed = 0
    for number in np.random.default_rng(0).permutation(len(written)):
        view = session.view(int(number))
        assert np.abs(view.output.astype(int) - written[number]).max() <= tolerance
        generated += view.mouth is not None
        changed += bool(view.difference.any())
        # the clip's own mouth over the identical one changes nothing
        assert view.mouth is not None or not view.difference.any()
    assert changed > generated // 2
    assert generated == run.info["mouths_generated"] > len(written) // 2


def test_a_view_holds_together(home):
    session = opened(home, generator="untrained")
    view, image = session.view(2), read(home / "in.mp4")[2]
    np.testing.assert_array_equal(view.source, image)
    assert view.face.box == Box(*face(2))
    expected = np.minimum(np.abs(view.output.astype(int) - image) * 4, 255)
    np.testing.assert_array_equal(view.difference, expected)
    assert view.difference.any()
    x, y = slice(int(view.box.x1), int(view.box.x2)), slice(int(view.box.y1), int(view.box.y2))
    np.testing.assert_array_equal(view.crop, cv2.resize(image[y, x], (96, 96)))
    np.testing.assert_array_equal(view.mouth, cv2.resize(view.output[y, x], (96, 96)))
    missed = session.view(5)
    assert (missed.box, missed.mouth, missed.crop, missed.note) == (None, None, None, "no face")
    assert not missed.difference.any()


def test_without_a_voice_no_mouth(home, tmp_path):
    clip(tmp_path / "in.mp4", FRAMES, sound=False)
    boxes(tmp_path / "found.json", [face(n) for n in range(FRAMES)])
    view = opened(tmp_path).view(3)
    assert (view.mouth, view.note) == (None, "no voice")
    assert view.crop is not None
    assert opened(tmp_path, voice=home / "in.mp4").view(3).mouth is not None


def test_the_whole_clip_plays_as_the_pipeline_writes_it(home, tmp_path):
    session = opened(home, generator="untrained")
    (tmp_path / "played.mp4").write_bytes(session.playback())
    played, info = read(tmp_path / "played.mp4"), video.probe(tmp_path / "played.mp4")
    frames, _ = dubbed(home, session.settings, home / "found.json")
    assert info.has_sound
    assert len(played) == len(frames) == len(session)
    for number in range(len(frames)):
        both = np.hstack([read(home / "in.mp4")[number], frames[number]]).astype(float)
        assert np.abs(played[number] - both).mean() < 6  # encoded twice
    assert session.playback() is session.playback()
    long = audio.Sound.from_wave(np.tile(audio.load(home / "in.mp4"), 2))
    with video.Writer(tmp_path / "long.mp4", fps=25, sound=long) as writer:
        for image in [*read(home / "in.mp4")] * 2:
            writer.write(image)
    (tmp_path / "looped.mp4").write_bytes(opened(home, voice=tmp_path / "long.mp4").playback())
    assert len(read(tmp_path / "looped.mp4")) == 2 * FRAMES


# -- what is changed ---------------------------------------------------------------------------------------------


def test_drawn_boxes_are_what_dub_takes(home, tmp_path):
    session = opened(home, generator="untrained")
    session.change(dropouts="interpolate")
    assert session.draw_box(5, Box(30.4, 10.6, 80.2, 70.9)) == Box(30, 11, 80, 71)
    session.no_face(0)
    assert session.track.provenance[[0, 4, 5, 6]].tolist() == ["missing", "interpolated", "manual", "interpolated"]
    saved = session.save(tmp_path / "mine.json")

    record = read_detections(saved)
    assert record.candidates[0] == []
    assert record.candidates[5][0].box == Box(30, 11, 80, 71)
    assert record.candidates[3][0].box == Box(*face(3))
    frames, track = dubbed(home, session.settings, saved)
    np.testing.assert_array_equal(session.track.boxes, track.boxes)
    assert np.abs(session.view(5).output.astype(int) - frames[5]).max() <= 1

    session.reset(5)
    session.reset(0)
    session.change(dropouts="passthrough")
    assert np.flatnonzero(session.track.provenance == "missing").tolist() == list(MISSED)


def test_boxes_given_by_hand_are_exact(home):
    """Neither padded nor smoothed with their neighbours, whatever the settings are."""
    session = opened(home)
    session.change(pads=(3, 9, 4, 2), smoothing="centered", dropouts="interpolate")
    box = Box(40, 20, 90, 60)
    for frame in (2, 5):  # among detected frames, and in a dropout
        session.draw_box(frame, box)
        view = session.view(frame)
        assert (view.box, view.provenance, view.edited) == (box, "manual", True)
        np.testing.assert_array_equal(view.crop, cv2.resize(view.source[20:60, 40:90], (96, 96)))
    assert not session.view(7).edited


def test_between_two_key_boxes_the_frames_are_interpolated(home, tmp_path):
    session = opened(home)
    start, stop = Box(10, 10, 50, 50), Box(30, 18, 78, 66)
    session.draw_box(3, start)
    with pytest.raises(ParameterError, match="before and after"):
        session.interpolate(5)
    assert session.track.provenance[5] == "missing"
    session.draw_box(7, stop)
    before = session.track.boxes.copy()
    assert session.interpolate(7) == [4, 5, 6]
    assert session.track.provenance[3:8].tolist() == ["manual", *["interpolated"] * 3, "manual"]
    expected = np.stack([np.interp([4, 5, 6], [3, 7], [a, b]) for a, b in zip(start, stop, strict=True)], axis=1)
    np.testing.assert_array_equal(session.track.boxes[4:7], expected)
    np.testing.assert_array_equal(session.track.boxes[[3, 7]], [tuple(start), tuple(stop)])

    record = read_detections(session.save(tmp_path / "mine.json"))
    assert [tuple(record.candidates[n][0].box) for n in (4, 5, 6)] == [tuple(row) for row in expected]
    content = json.loads((tmp_path / "mine.json").read_text())
    assert (content["manual"], content["interpolated"]) == ([3, 7], [4, 5, 6])
    _, track = dubbed(home, session.settings, tmp_path / "mine.json")
    assert track.provenance.tolist() == session.track.provenance.tolist()
    np.testing.assert_array_equal(track.boxes, session.track.boxes)
    assert (
        opened(home, detector=tmp_path / "mine.json").track.provenance[3:8].tolist() == track.provenance[3:8].tolist()
    )

    session.draw_box(7, Box(30, 18, 70, 58))  # the frames between follow a key box
    assert session.view(5).box == Box(20, 14, 60, 54)
    session.no_face(5)
    assert session.track.provenance[4:7].tolist() == ["interpolated", "missing", "interpolated"]
    for _ in range(3):
        assert session.undo()
    np.testing.assert_array_equal(session.track.boxes, before)
    assert session.edits.boxes == {3: start, 7: stop}
    for _ in range(2):
        assert session.undo()
    assert session.edits == Edits()
    assert not session.undo()


def test_edits_as_values():
    shots = [0] * 10 + [1] * 10
    box, other = Box(0, 0, 10, 10), Box(20, 0, 30, 10)
    edits = Edits().with_box(2, box).with_box(8, other).with_box(12, box)
    with pytest.raises(ParameterError, match="same shot"):
        edits.with_interpolation(10, shots)
    with pytest.raises(ParameterError, match="no frame lies between"):
        edits.with_box(9, box).with_interpolation(9, shots)
    for frame in (2, 4, 8):  # on the first key box, between the two, on the last
        assert edits.with_interpolation(frame, shots).spans == {(2, 8)}
    filled = edits.with_interpolation(5, shots)
    assert filled.interpolated[5] == Box(10, 0, 20, 10)
    assert len(filled) == 3 + 5
    split = filled.with_box(5, Box(0, 0, 20, 20))
    assert split.spans == {(2, 5), (5, 8)}
    assert split.without(5).spans == frozenset()
    assert filled.with_box(8, None).spans == frozenset()
    assert filled.without(4).spans == frozenset()
    assert filled.with_box(4, None).interpolated.keys() == {3, 5, 6, 7}


def test_slips_of_the_mouse_and_boxes_over_the_edge(home):
    session = opened(home)
    assert session.draw_box(5, Box(40, 40, 44, 90)) is None
    assert session.draw_box(5, Box(-300, 0, -200, 90)) is None
    assert session.edits == Edits()
    assert session.draw_box(5, Box(-20, -20, 50, 500)) == Box(0, 0, 50, HEIGHT)
    with pytest.raises(ParameterError, match="frames 0 to 13"):
        session.no_face(FRAMES)


def test_what_cannot_be_changes_nothing(home):
    session = opened(home)
    before = session.settings, session.track, session.detector
    for wrong, error in (
        ({"threshold": 2.0}, ParameterError),
        ({"dropouts": "error"}, DetectionError),
        ({"detection_size": 100}, ParameterError),
        ({"detector": "nobody.json"}, DetectionError),
    ):
        with pytest.raises(error):
            session.change(**wrong)
        assert (session.settings, session.track, session.detector) == before


def test_detection_runs_once_for_each_detector(home, tmp_path, monkeypatch):
    clip(tmp_path / "in.mp4", 3, sound=False)
    boxes(tmp_path / "found.json", [face(n) for n in range(3)])
    calls = []
    detect = session_module.detect
    monkeypatch.setattr(session_module, "detect", lambda *a, **o: calls.append(a[1].name) or detect(*a, **o))
    session = opened(tmp_path)
    session.change(threshold=0.3)
    session.change(detector="lbp", dropouts="hold")
    assert "lbp" in session.models
    assert set(session.track.provenance) <= {"detected", "held", "missing"}
    session.change(detector=tmp_path / "found.json")
    session.change(detector="lbp")
    assert len(calls) == 2


def test_a_threshold_brings_back_what_was_refused(home, tmp_path):
    """The record keeps every candidate, chosen or not."""
    rows = [[[*face(0), 0.9], [90, 10, 120, 40, 0.7]], [[*face(1), 0.4]], []]
    clip(tmp_path / "in.mp4", 3, sound=False)
    (tmp_path / "found.json").write_text(json.dumps({"frames": 3, "candidates": rows, "size": [WIDTH, HEIGHT]}))
    session = opened(tmp_path)
    assert [len(row) for row in session.record.candidates] == [2, 1, 0]
    assert session.track.provenance.tolist() == ["recorded", "missing", "missing"]
    session.change(threshold=0.3)
    assert session.track.provenance.tolist() == ["recorded", "recorded", "missing"]
    session.change(threshold=0.95)
    assert set(session.track.provenance) == {"missing"}


def test_the_box_before_is_copied(home):
    session = opened(home)
    with pytest.raises(ParameterError, match="no frame before it has a box"):
        session.copy_box(0)
    assert session.copy_box(6) == session.track.box(3)  # 4 and 5 have none
    assert session.view(6).provenance == "manual"
    assert session.track.provenance[[4, 5]].tolist() == ["missing"] * 2
    assert session.copy_box(7) == session.track.box(6)


@pytest.mark.parametrize("name", ["boxes.txt", "in.mp4/boxes.json"])
def test_files_that_cannot_be_saved(home, name):
    with pytest.raises(LipsyncError):
        opened(home).save(home / name)


# -- failures ----------------------------------------------------------------------------------------------------


def test_failures_shrink_as_boxes_are_drawn(home):
    session = opened(home)
    assert session.failures()[["first", "last"]].to_numpy().tolist() == [[4, 6], [10, 10]]
    session.draw_box(10, Box(*face(10)))
    assert session.failures()[["first", "last"]].to_numpy().tolist() == [[4, 6]]
    for number in (4, 5, 6):
        session.draw_box(number, Box(*face(number)))
    assert session.next_failure(0) is None


def test_failures_are_the_evaluations_computed_once(home):
    stages = []

    def evaluated(session):
        """Stages of work that an evaluation reports; none where everything was in the cache."""
        stages.clear()
        session.evaluate(lambda stage, done, total: stages.append(stage))
        return set(stages)

    session = opened(home, generator="untrained", cache=home / "evaluated")
    assert set(session.failures()["metric"]) == {"missed_detection"}  # known without any evaluation
    assert session.needs_evaluation
    assert evaluated(session) > {"generate"}
    pipeline = Pipeline("untrained", home / "found.json", Settings(), device="cpu")
    expected = evaluate(pipeline.run(home / "in.mp4", home / "in.mp4", home / "beside")).failures
    pd.testing.assert_frame_equal(session.failures(), expected)
    assert len(set(expected["kind"])) > 2
    assert session.worst_failure() == expected["worst"].iloc[0]
    kinds = expected["kind"][(expected["first"] <= 5) & (expected["last"] >= 5)]
    assert session.failures_at(5)["kind"].tolist() == kinds.tolist() != []
    plain = opened(home, generator="untrained", failures=expected.iloc[:0])
    lines = canvas.sheet(session, 5).shape[0] - canvas.sheet(plain, 5).shape[0]
    assert lines >= 15 * len(kinds)  # the image for pages says what fails

    again = opened(home, generator="untrained", cache=home / "evaluated")
    assert evaluated(again) == set()
    pd.testing.assert_frame_equal(again.failures(), expected)

    again.draw_box(5, Box(*face(5)))
    assert again.stale
    pd.testing.assert_frame_equal(again.failures(), expected)
    assert evaluated(again) > {"generate"}
    assert not again.stale
    frames = again.evaluation.frames["missed_detection"]
    assert frames[frames == 1].index.tolist() == [4, 6, 10]
    again.undo()
    assert evaluated(again) == set()
    pd.testing.assert_frame_equal(again.failures(), expected)


def test_a_run_is_evaluated_itself_until_it_is_changed(home, tmp_path):
    pipeline = Pipeline("untrained", home / "found.json", Settings(), device="cpu")
    run = pipeline.run(home / "in.mp4", home / "in.mp4", tmp_path / "run")
    expected = evaluate(run).failures
    session = Session(run.folder, device="cpu", cache=tmp_path / "cache")
    session.evaluate()
    pd.testing.assert_frame_equal(session.failures(), expected)
    assert not (tmp_path / "cache" / "runs").exists()
    session.change(dropouts="hold")
    session.evaluate()
    assert len(list((tmp_path / "cache" / "runs").iterdir())) == 1
    assert len(session.failures()) != len(expected)


def test_without_a_voice_nothing_is_evaluated(home, tmp_path):
    clip(tmp_path / "in.mp4", FRAMES, sound=False)
    boxes(tmp_path / "found.json", [face(n) for n in range(FRAMES)])
    with pytest.raises(ParameterError, match="give a voice"):
        opened(tmp_path).evaluate()
    explorer = Explorer(tmp_path / "in.mp4", detector=tmp_path / "found.json", generator="identity", device="cpu")
    assert "not evaluated" in explorer.failures.words.value
    assert explorer.frame == 0


def test_a_table_of_failures_that_is_given(home):
    table = pd.DataFrame(
        [("boundary_artifact", 2, 3, 3, 0.5, "a seam"), ("ghosting", 1, 8, 7, 1.0, "a ghost")], columns=FAILURES
    )
    session = opened(home, failures=table)
    assert [session.next_failure(n) for n in (0, 3, 7, 13)] == [3, 7, 3, 3]
    with pytest.raises(ParameterError, match="the columns worst too"):
        opened(home, failures=table.drop(columns="worst"))
    with pytest.raises(ParameterError, match="reach to frame 8, the clip has 14"):
        opened(home, failures=table.assign(worst=20))


# -- the folder of a run -----------------------------------------------------------------------------------------


def test_a_run_is_opened_as_it_was_made(home, tmp_path):
    clip(tmp_path / "in.mp4", FRAMES)
    settings = Settings(dropouts="interpolate", audio_offset=1, codec="ffv1")
    pipeline = Pipeline("untrained", home / "found.json", settings, device="cpu")
    run = pipeline.run(tmp_path / "in.mp4", tmp_path / "in.mp4", tmp_path / "run")
    session, ledger = Session(run.folder, device="cpu"), run.ledger()
    assert session.settings == settings
    assert session.generator.name == "untrained"
    assert session.edits == Edits()
    assert session.track.provenance.tolist() == ledger["provenance"].tolist()
    np.testing.assert_array_equal(session.track.boxes, ledger[["x1", "y1", "x2", "y2"]].to_numpy())
    assert np.abs(session.view(5).output.astype(int) - read(run.output)[5]).max() <= 1

    content = json.loads(run.detections.read_text())
    content["boxes"][5], content["boxes"][0] = [30, 10, 80, 70], None
    run.detections.write_text(json.dumps(content))
    assert Session(run.folder, device="cpu").edits.boxes == {0: None, 5: Box(30, 10, 80, 70)}
    # key boxes and the frames between them are key boxes again
    session = Session(run.folder, device="cpu")
    session.draw_box(9, Box(34, 10, 84, 70))
    session.interpolate(7)
    session.no_face(8)
    session.save(run.detections)
    again = Session(run.folder, device="cpu")
    assert again.edits == session.edits
    again.draw_box(9, Box(38, 10, 88, 70))
    assert again.view(7).box == Box(34, 10, 84, 70)

    clip(tmp_path / "in.mp4", FRAMES + 1)
    with pytest.raises(MediaError, match="no longer the clip"):
        Session(run.folder)
    (tmp_path / "in.mp4").unlink()
    with pytest.raises(MediaError, match="is gone"):
        Session(run.folder)
    with pytest.raises(MediaError, match="no run.json"):
        Session(tmp_path)


def test_a_run_with_own_weights_is_opened_again(home, tmp_path):
    weights = shutil.copy(registry.MODELS["wav2lip-lab"].path, tmp_path / "mine.safetensors")
    clip(tmp_path / "in.mp4", FRAMES)
    pipeline = Pipeline(weights, home / "found.json", device="cpu")
    run = pipeline.run(tmp_path / "in.mp4", tmp_path / "in.mp4", tmp_path / "run")
    assert Session(run.folder, device="cpu").generator.sha256 == pipeline.generator.sha256
    Path(weights).write_bytes(b"other weights")
    with pytest.raises(MediaError, match=r"mine\.safetensors: no longer the weights"):
        Session(run.folder, device="cpu")
    Path(weights).unlink()
    with pytest.raises(MediaError, match=r"mine\.safetensors: the weights .* are gone"):
        Session(run.folder, device="cpu")
    assert Session(run.folder, generator="identity", device="cpu").generator.name == "identity"


# -- frames ------------------------------------------------------------------------------------------------------


def test_frames_in_any_order_within_the_bound(home):
    stream, expected, asked = source.open_clip(home / "in.mp4", Settings()), read(home / "in.mp4"), []

    def spied(start, stop):
        asked.append(start)
        return stream.read(start, stop)

    frame_bytes = WIDTH * HEIGHT * 3
    frames = Frames(spied, (WIDTH, HEIGHT), most_bytes=6 * frame_bytes)
    assert frames.block == 3
    for number in np.random.default_rng(0).permutation(FRAMES):
        np.testing.assert_array_equal(frames[int(number)], expected[number])
        assert frames.bytes <= 6 * frame_bytes
    asked.clear()
    for number in range(11, 5, -1):  # backwards over two blocks
        frames[number]
    assert set(asked) <= {9, 6}
    assert len(asked) <= 2
    assert Frames(stream.read, (100_000, 100_000)).block == 1


# -- pictures ----------------------------------------------------------------------------------------------------


def rgb(colour):
    return ImageColor.getrgb(colour)


def test_boxes_stand_where_they_are(home):
    session = opened(home)
    picture, scale = canvas.stage(session.view(2), 0.5), stage_scale((WIDTH, HEIGHT))
    assert picture.shape == (HEIGHT * scale, WIDTH * scale, 3)
    x1, _, x2, y2 = (round(value * scale) for value in face(2))
    # inner edge of the face's outline, half way down
    middle = round(40 * scale)
    assert tuple(picture[middle, x1 + 1]) == rgb(figures.PROVENANCE_COLOURS["recorded"])
    bottom = round(session.view(2).box.y2 * scale)
    assert tuple(picture[bottom, (x1 + x2) // 2 + 20]) == rgb(canvas.CROP_COLOUR)
    missed = canvas.stage(session.view(5), 0.5)
    blank = cv2.resize(session.view(5).source, missed.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    changed = np.flatnonzero((missed != blank).any(axis=(1, 2)))
    assert changed.min() > 0.8 * missed.shape[0]  # nothing but the words at the bottom


def test_the_timeline_is_the_track(home):
    session = opened(home)
    session.change(dropouts="interpolate", max_dropout=1)
    picture = timeline.strip(session.track, session.failures())
    width = timeline.WIDTH
    for number in range(FRAMES):
        x = round((number + 0.5) * width / FRAMES)
        assert timeline.column_frame(x, FRAMES) == number
        kind = session.track.provenance[number]
        assert tuple(picture[5, x]) == rgb(figures.PROVENANCE_COLOURS[kind])
        grey = picture[-5, x].max() - picture[-5, x].min() == 0
        assert grey == (kind != "missing")
    assert timeline.column_frame(-5, FRAMES) == 0
    assert timeline.column_frame(width + 5, FRAMES) == FRAMES - 1
    marked = timeline.picture(session, 3)
    assert marked.shape == (timeline.HEIGHT, width, 3)
    assert tuple(marked[5, round(3.5 * width / FRAMES)]) == rgb(timeline.CURSOR_COLOUR)
    words = {kind for kind, _ in timeline.legend(session.track, session.failures())}
    labels = {style.PROVENANCE_LABELS[kind] for kind in session.track.provenance}
    assert words == {*labels, "failure (second row)", "current frame"}
    assert set(figures.PROVENANCE_COLOURS) == set(PROVENANCES)


def test_small_pictures_say_which_weights_drew(home):
    session = opened(home, generator="untrained")
    drawn, missed = (canvas.tiles(session.view(n), session.generator.name) for n in (2, 5))
    assert any("generated by untrained" in words for words in drawn)
    assert any("difference × 4 (black: none)" in words for words in drawn)
    assert all(tile.shape == (canvas.TILE, canvas.TILE, 3) for tile in (*drawn.values(), *missed.values()))
    mouth = next(tile for words, tile in drawn.items() if words.startswith("generated"))
    assert mouth.std() > 20
    assert next(tile for words, tile in missed.items() if words.startswith("generated")).std() < 20


# -- widgets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def explorer(home, tmp_path):
    return Explorer(
        home / "in.mp4",
        detector=home / "found.json",
        generator="identity",
        device="cpu",
        cache=home / "cache",
        detections=tmp_path / "mine.json",
    )


def sent(canvas, event, **content):
    """What the browser sends to a canvas."""
    canvas._handle_frontend_event(canvas, {"event": event, **content}, [])


def drag(explorer, *corners):
    x1, y1, x2, y2 = (value * explorer.stage.viewport.scale for value in corners)
    top = explorer.stage.canvas[1]
    sent(top, "mouse_down", x=x1, y=y1)
    sent(top, "mouse_move", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
    sent(top, "mouse_up", x=x2, y=y2)


def key(explorer, name, shift=False):
    sent(explorer.timeline, "key_down", key=name, shift_key=shift, ctrl_key=False, meta_key=False)


def test_keys_and_timeline_walk_the_clip(explorer):
    assert explorer.frame == 5  # the middle of the longer dropout
    bad = sorted(set(explorer.session.failures()["worst"]))
    assert {5, 10} <= set(bad)
    walk = [("ArrowRight", 6), ("ArrowLeft", 5), *(("n", frame) for frame in [*bad[bad.index(5) + 1 :], bad[0]])]
    walk += [("p", bad[-1]), ("Home", 0), ("ArrowLeft", 0)]
    for name, frame in [*walk, ("End", FRAMES - 1), ("ArrowRight", FRAMES - 1), ("q", FRAMES - 1)]:
        key(explorer, name)
        assert explorer.frame == frame
        assert f"frame {frame} " in explorer.facts.value
    key(explorer, "ArrowLeft", shift=True)
    assert explorer.frame == FRAMES - 11
    sent(explorer.timeline, "mouse_down", x=timeline.WIDTH * 10.5 / FRAMES, y=3)
    assert explorer.frame == 10
    assert "no face was detected" in explorer.facts.value


def test_a_box_is_drawn_moved_undone_and_saved(explorer, tmp_path):
    drag(explorer, 70, 70, 30, 10)  # from the lower right
    assert explorer.session.edits.boxes == {5: Box(30, 10, 70, 70)}
    assert "manual, edited" in explorer.facts.value
    drag(explorer, 50, 40, 55, 38)  # pressed inside: moved
    assert explorer.session.edits.boxes == {5: Box(35, 8, 75, 68)}
    drag(explorer, 5, 5, 6, 6)  # a click
    assert explorer.session.edits.boxes == {5: Box(35, 8, 75, 68)}
    explorer.save_button.click()
    assert "mine.json: saved, 1 frame edited" in explorer.status.value
    assert read_detections(tmp_path / "mine.json").candidates[5][0].box == Box(35, 8, 75, 68)
    key(explorer, "u")
    assert explorer.session.edits.boxes == {5: Box(30, 10, 70, 70)}
    explorer.no_face.click()
    assert explorer.session.edits.boxes == {5: None}
    explorer.reset.click()
    assert explorer.session.edits == Edits()
    explorer.undo.click()
    assert explorer.session.edits.boxes == {5: None}


def test_two_key_boxes_are_interpolated_in_the_widget(explorer):
    key(explorer, "Home")
    drag(explorer, 20, 10, 60, 50)
    explorer.interpolate.click()
    assert "before and after" in explorer.status.value
    for _ in range(4):
        key(explorer, "ArrowRight")
    drag(explorer, 100, 80, 30, 15)  # outside the interpolated boxes that there are not yet: a new box
    explorer.interpolate.click()
    assert "frames 1 to 3 interpolated" in explorer.status.value
    key(explorer, "ArrowLeft")
    assert ": interpolated, edited" in explorer.facts.value
    assert explorer.session.view(2).box == Box(25, 12, 80, 65)
    key(explorer, "u")
    assert explorer.session.edits.spans == frozenset()
    key(explorer, "i")
    assert explorer.session.edits.spans == {(0, 4)}


def test_the_list_of_failures_is_the_evaluations_and_leads_to_them(explorer):
    table, panel = explorer.session.failures(), explorer.failures
    assert len(panel.list.options) == len(table) > 1
    assert f"<b>{len(table)} failures</b>" in panel.words.value
    assert explorer.frame == table["worst"].iloc[0]
    assert panel.list.index == 0
    panel.list.index = 1
    assert explorer.frame == table["worst"].iloc[1]
    assert str(table["evidence"].iloc[1]) in explorer.facts.value
    assert panel.button.disabled
    drag(explorer, 20, 10, 60, 50)
    assert "stale" in panel.words.value
    explorer.undo.click()
    assert "stale" not in panel.words.value
    explorer.settings.controls["dropouts"].value = "hold"
    assert "stale" in panel.words.value
    panel.button.click()
    assert "stale" not in panel.words.value
    assert panel.button.disabled


def test_failures_of_one_kind(home):
    rows = [
        ("ghosting", 1, 8, 7, 1.0, "a ghost"),
        ("colour shift", 2, 3, 3, 0.5, "a colour shift"),
        ("colour shift", 9, 9, 9, 0.4, "another"),
    ]
    table = pd.DataFrame(rows, columns=FAILURES)
    explorer = Explorer(
        home / "in.mp4", detector=home / "found.json", generator="identity", device="cpu", failures=table
    )
    panel = explorer.failures
    assert [words for words, _ in panel.kinds.options] == ["all kinds", "ghosting (1)", "colour shift (2)"]
    panel.kinds.value = "colour shift"
    assert explorer.frame == 3
    assert [words.split("  ")[1] for words, _ in panel.list.options] == ["colour shift, 2 to 3", "colour shift, 9"]
    for name, frame in (("n", 9), ("n", 3), ("p", 9)):  # past the ghost in frame 7
        key(explorer, name)
        assert (explorer.frame, panel.list.index) == (frame, int(frame == 9))
    panel.kinds.value = ""
    assert explorer.frame == 7
    key(explorer, "n")
    assert explorer.frame == 9


def test_the_menu_has_every_detector_whose_weights_are_here(explorer):
    known = {model.name for model in registry.MODELS.values() if model.kind == "detector"} | set(detection.NAMES)
    usable = set()
    for name in known:
        try:
            detection.load(name)
        except LipsyncError:
            continue
        usable.add(name)
    assert detection.default() in usable
    assert usable <= set(explorer.settings.detector.options)
    assert set(explorer.settings.detector.options) - usable <= {str(explorer.session.detector)}
    assert explorer.settings.detector.value in explorer.settings.detector.options


def test_settings_are_seen_at_once_and_errors_said(explorer):
    before = explorer.captions[0].value, bytes(explorer.tiles[0].value)
    explorer.settings.controls["dropouts"].value = "hold"
    assert "held" in explorer.facts.value
    assert (explorer.captions[0].value, bytes(explorer.tiles[0].value)) != before
    explorer.settings.pads[1].value = 20
    assert explorer.session.settings.pads == (0, 20, 0, 0)
    explorer.settings.detector.value = "nobody.json"
    assert "nobody.json" in explorer.status.value
    assert explorer.settings.detector.value == str(explorer.session.detector)
    explorer.path.value = "mine.txt"
    explorer.save_button.click()
    assert "JSON" in explorer.status.value


def test_another_clip_is_opened(explorer, tmp_path):
    clip(tmp_path / "short.mp4", 3, sound=False)
    explorer.settings.detector.value = "lbp"
    explorer.clip.value = str(tmp_path / "short.mp4")
    explorer.open_button.click()
    assert len(explorer.session) == 3
    assert explorer.slider.max == 2
    assert explorer.session.path.name == "short.mp4"
    explorer.clip.value = "nothing.mp4"
    explorer.open_button.click()
    assert "nothing.mp4" in explorer.status.value
    assert explorer.session.path.name == "short.mp4"


def test_where_no_widgets_are_a_picture_stands(explorer):
    bundle = explorer._repr_mimebundle_()
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(bundle["image/png"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] >= timeline.WIDTH
    assert picture.std() > 20
    # with the curve that the menu names
    assert explorer.metric.value
    sheet = canvas.sheet(explorer.session, explorer.frame, explorer.metric.value)
    np.testing.assert_array_equal(picture[..., ::-1], sheet)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    explorer.play.click()
    assert bytes(explorer.player.value) == explorer.session.playback()
    assert "identity" in explorer.status.value
