"""The explorer: what it shows is what the pipeline does, what it saves is what `dub` takes; and the widgets over it."""

import base64
import json
from itertools import groupby

import cv2
import numpy as np
import pandas as pd
import pytest
from clips import HEIGHT, WIDTH, boxes, clip, read
from PIL import ImageColor

from lipsync_lab import audio, figures, source, video
from lipsync_lab.detection import record as records
from lipsync_lab.errors import DetectionError, LipsyncError, MediaError, ParameterError
from lipsync_lab.explorer import FAILURES, Explorer, Session, canvas, missing_stretches
from lipsync_lab.explorer import session as room
from lipsync_lab.explorer.frames import Frames
from lipsync_lab.geometry import PROVENANCES, Box, FaceTrack
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
        {"gap": "interpolate", "smoothing": "none", "mel_lead": 3, "feather": 0.1, "pads": (2, 5, 1, 1)},
        {"gap": "hold", "longest_gap": 2, "smoothing": "upstream", "published_length": True},
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
    for number in (0, 5, len(frames) - 1):
        view = session.view(number)
        # one mouth alone and one among many may differ in the last bit
        assert np.abs(view.output.astype(int) - frames[number]).max() <= 1
        assert (view.mouth is None) == (view.box is None)
    assert len(session) == len(frames)
    assert len(session.chosen) == FRAMES


def test_a_view_holds_together(home):
    session = opened(home, generator="untrained")
    view, image = session.view(2), read(home / "in.mp4")[2]
    np.testing.assert_array_equal(view.source, image)
    assert view.face.box == Box(*face(2))
    expected = np.minimum(np.abs(view.output.astype(int) - image) * 8, 255)
    np.testing.assert_array_equal(view.difference, expected)
    assert view.difference.any()
    x, y = slice(int(view.box.x1), int(view.box.x2)), slice(int(view.box.y1), int(view.box.y2))
    np.testing.assert_array_equal(view.crop, cv2.resize(image[y, x], (96, 96)))
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


def test_the_next_second_plays(home, tmp_path):
    session = opened(home, generator="untrained")
    (tmp_path / "second.mp4").write_bytes(session.second(3))
    played, info = read(tmp_path / "second.mp4"), video.probe(tmp_path / "second.mp4")
    assert info.has_sound
    assert played.shape == (FRAMES - 3, HEIGHT, 2 * WIDTH, 3)
    for place in (0, 2, 5):
        view = session.view(3 + place)
        for half, expected in ((played[place][:, :WIDTH], view.source), (played[place][:, WIDTH:], view.output)):
            blurred = (cv2.GaussianBlur(one, (9, 9), 3).astype(int) for one in (half, expected))
            assert np.abs(np.subtract(*blurred)).mean() < 6  # H.264 on a mouth of noise
    assert len(audio.load(tmp_path / "second.mp4")) == pytest.approx((FRAMES - 3) / 25 * 16_000, abs=50)


# -- what is changed ---------------------------------------------------------------------------------------------


def test_drawn_boxes_are_what_dub_takes(home, tmp_path):
    session = opened(home, generator="untrained")
    session.change(gap="interpolate", smoothing="none")
    assert session.draw_box(5, Box(30.4, 10.6, 80.2, 70.9)) == Box(30, 11, 80, 71)
    session.no_face(0)
    assert session.track.provenance[[0, 4, 5, 6]].tolist() == ["missing", "interpolated", "recorded", "interpolated"]
    saved = session.save(tmp_path / "mine.json")

    record = records.read(saved)
    assert record.candidates[0] == []
    assert record.candidates[5][0].box == Box(30, 11, 80, 71)
    assert record.candidates[3][0].box == Box(*face(3))
    frames, track = dubbed(home, session.settings, saved)
    np.testing.assert_array_equal(session.track.boxes, track.boxes)
    assert np.abs(session.view(5).output.astype(int) - frames[5]).max() <= 1

    session.undo(5)
    session.undo(0)
    session.change(gap="pass")
    assert np.flatnonzero(session.track.provenance == "missing").tolist() == list(MISSED)


def test_slips_of_the_mouse_and_boxes_over_the_edge(home):
    session = opened(home)
    assert session.draw_box(5, Box(40, 40, 44, 90)) is None
    assert session.draw_box(5, Box(-300, 0, -200, 90)) is None
    assert session.edits == {}
    assert session.draw_box(5, Box(-20, -20, 50, 500)) == Box(0, 0, 50, HEIGHT)
    with pytest.raises(ParameterError, match="frames 0 to 13"):
        session.no_face(FRAMES)


def test_what_cannot_be_changes_nothing(home):
    session = opened(home)
    before = session.settings, session.track, session.detector
    for wrong, error in (
        ({"threshold": 2.0}, ParameterError),
        ({"gap": "abort"}, DetectionError),
        ({"analysis_size": 100}, ParameterError),
        ({"detector": "nobody.json"}, DetectionError),
    ):
        with pytest.raises(error):
            session.change(**wrong)
        assert (session.settings, session.track, session.detector) == before


def test_faces_are_looked_for_once_a_detector(home, tmp_path, monkeypatch):
    clip(tmp_path / "in.mp4", 3, sound=False)
    boxes(tmp_path / "found.json", [face(n) for n in range(3)])
    looked = []
    find = room.find
    monkeypatch.setattr(room, "find", lambda *a, **o: looked.append(str(o["detector"])) or find(*a, **o))
    session = opened(tmp_path)
    session.change(threshold=0.3)
    session.change(detector="lbp", gap="hold")
    assert "lbp" in session.models
    assert set(session.track.provenance) <= {"detected", "held", "missing"}
    session.change(detector=tmp_path / "found.json")
    session.change(detector="lbp")
    assert looked == [str(tmp_path / "found.json"), "lbp"]


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


@pytest.mark.parametrize("name", ["boxes.txt", "in.mp4/boxes.json"])
def test_files_that_cannot_be_saved(home, name):
    with pytest.raises(LipsyncError):
        opened(home).save(home / name)


# -- failures ----------------------------------------------------------------------------------------------------


def a_track(seed):
    rng = np.random.default_rng(seed)
    frames = 60
    missing = np.repeat(rng.random(frames // 3) < 0.4, 3)
    scores = np.where(rng.random(frames) < 0.2, np.nan, rng.random(frames))
    rows = np.where(missing[:, None], np.nan, [10.0, 10.0, 50.0, 50.0])
    provenance = np.where(missing, "missing", "detected").astype("<U12")
    return FaceTrack(rows, scores, provenance, np.sort(rng.integers(0, 4, frames)), np.full((frames, 4), np.nan))


@pytest.mark.parametrize("seed", range(4))
def test_stretches_by_brute_force(seed):
    track = a_track(seed)
    table = missing_stretches(track)
    expected = []
    for (kind, _), run in groupby(range(len(track)), lambda n: (track.provenance[n], track.shots[n])):
        numbers = list(run)
        if kind == "missing":
            expected.append((numbers[0], numbers[-1]))
    assert list(zip(table["first"], table["last"], strict=True)) == expected
    assert tuple(table.columns) == FAILURES
    for row in table.itertuples():
        scores = track.scores[row.first : row.last + 1]
        worst = track.scores[row.worst]
        assert np.isnan(worst) if np.isnan(scores).any() else worst == scores.min()
        assert row.severity == pytest.approx((row.last - row.first + 1) / 60)
    walked, frame = [], -1
    session = Session.__new__(Session)  # only its walk over the failures is wanted
    session._failures, session.track = None, track
    for _ in table.itertuples():
        frame = session.next_failure(frame)
        walked.append(frame)
    assert walked == sorted(table["worst"])
    assert session.next_failure(frame) == walked[0]
    assert session.next_failure(walked[0], back=True) == walked[-1]


def test_failures_shrink_as_boxes_are_drawn(home):
    session = opened(home)
    assert session.failures()[["first", "last"]].to_numpy().tolist() == [[4, 6], [10, 10]]
    session.draw_box(10, Box(*face(10)))
    assert session.failures()[["first", "last"]].to_numpy().tolist() == [[4, 6]]
    for number in (4, 5, 6):
        session.draw_box(number, Box(*face(number)))
    assert session.next_failure(0) is None


def test_a_table_of_failures_that_is_given(home):
    table = pd.DataFrame([("seam", 2, 3, 3, 0.5, "a seam"), ("ghost", 1, 8, 7, 1.0, "a ghost")], columns=FAILURES)
    session = opened(home, failures=table)
    assert [session.next_failure(n) for n in (0, 3, 7, 13)] == [3, 7, 3, 3]
    with pytest.raises(ParameterError, match="the columns worst too"):
        opened(home, failures=table.drop(columns="worst"))
    with pytest.raises(ParameterError, match="reach to frame 8, the clip has 14"):
        opened(home, failures=table.assign(worst=20))


# -- the folder of a run -----------------------------------------------------------------------------------------


def test_a_run_is_opened_as_it_was_made(home, tmp_path):
    clip(tmp_path / "in.mp4", FRAMES)
    settings = Settings(gap="interpolate", mel_lead=1, codec="ffv1")
    pipeline = Pipeline("untrained", home / "found.json", settings, device="cpu")
    run = pipeline.run(tmp_path / "in.mp4", tmp_path / "in.mp4", tmp_path / "run")
    session, ledger = Session(run.folder, device="cpu"), run.ledger()
    assert session.settings == settings
    assert session.weights.name == "untrained"
    assert session.edits == {}
    assert session.track.provenance.tolist() == ledger["provenance"].tolist()
    np.testing.assert_array_equal(session.track.boxes, ledger[["x1", "y1", "x2", "y2"]].to_numpy())
    assert np.abs(session.view(5).output.astype(int) - read(run.output)[5]).max() <= 1

    content = json.loads(run.detections.read_text())
    content["boxes"][5], content["boxes"][0] = [30, 10, 80, 70], None
    run.detections.write_text(json.dumps(content))
    assert Session(run.folder, device="cpu").edits == {0: None, 5: Box(30, 10, 80, 70)}

    clip(tmp_path / "in.mp4", FRAMES + 1)
    with pytest.raises(MediaError, match="no longer the clip"):
        Session(run.folder)
    (tmp_path / "in.mp4").unlink()
    with pytest.raises(MediaError, match="is gone"):
        Session(run.folder)
    with pytest.raises(MediaError, match="no run.json"):
        Session(tmp_path)


# -- frames ------------------------------------------------------------------------------------------------------


def test_frames_in_any_order_within_the_bound(home):
    stream, expected, asked = source.from_file(home / "in.mp4", Settings()), read(home / "in.mp4"), []

    def spied(start, stop):
        asked.append(start)
        return stream.read(start, stop)

    one = WIDTH * HEIGHT * 3
    frames = Frames(spied, (WIDTH, HEIGHT), most_bytes=6 * one)
    assert frames.block == 3
    for number in np.random.default_rng(0).permutation(FRAMES):
        np.testing.assert_array_equal(frames[int(number)], expected[number])
        assert frames.bytes <= 6 * one
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
    picture, scale = canvas.stage(session.view(2), 0.5), canvas.stage_scale((WIDTH, HEIGHT))
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
    session.change(gap="interpolate", longest_gap=1)
    picture = canvas.strip(session.track, session.failures())
    width, height = canvas.STRIP
    for number in range(FRAMES):
        x = round((number + 0.5) * width / FRAMES)
        assert canvas.column_frame(x, FRAMES) == number
        kind = session.track.provenance[number]
        assert tuple(picture[5, x]) == rgb(figures.PROVENANCE_COLOURS[kind])
        grey = picture[-5, x].max() - picture[-5, x].min() == 0
        assert grey == (kind != "missing")
    assert canvas.column_frame(-5, FRAMES) == 0
    assert canvas.column_frame(width + 5, FRAMES) == FRAMES - 1
    marked = canvas.strip(session.track, session.failures(), 3)
    assert tuple(marked[5, round(3.5 * width / FRAMES)]) == rgb(canvas.CURSOR_COLOUR)
    words = {kind for kind, _ in canvas.legend(session.track, session.failures())}
    assert words == {*session.track.provenance, "failure (lower row)", "this frame"}
    assert set(figures.PROVENANCE_COLOURS) == set(PROVENANCES)


def test_small_pictures_say_which_weights_drew(home):
    session = opened(home, generator="untrained")
    drawn, missed = (canvas.tiles(session.view(n), session.weights.name) for n in (2, 5))
    assert any("mouth, by untrained" in words for words in drawn)
    assert any("× 8" in words for words in drawn)
    assert all(tile.shape == (canvas.TILE, canvas.TILE, 3) for tile in (*drawn.values(), *missed.values()))
    mouth = next(tile for words, tile in drawn.items() if words.startswith("mouth"))
    assert mouth.std() > 20
    assert next(tile for words, tile in missed.items() if words.startswith("mouth")).std() < 20


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
    x1, y1, x2, y2 = (value * explorer._scale for value in corners)
    top = explorer.stage[1]
    sent(top, "mouse_down", x=x1, y=y1)
    sent(top, "mouse_move", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
    sent(top, "mouse_up", x=x2, y=y2)


def key(explorer, name, shift=False):
    sent(explorer.timeline, "key_down", key=name, shift_key=shift, ctrl_key=False, meta_key=False)


def test_keys_and_timeline_walk_the_clip(explorer):
    assert explorer.frame == 4
    walk = [("ArrowRight", 5), ("ArrowLeft", 4), ("n", 10), ("n", 4), ("p", 10), ("Home", 0), ("ArrowLeft", 0)]
    for name, frame in [*walk, ("End", FRAMES - 1), ("ArrowRight", FRAMES - 1), ("q", FRAMES - 1)]:
        key(explorer, name)
        assert explorer.frame == frame
        assert f"frame {frame} " in explorer.facts.value
    key(explorer, "ArrowLeft", shift=True)
    assert explorer.frame == FRAMES - 11
    sent(explorer.timeline, "mouse_down", x=canvas.STRIP[0] * 10.5 / FRAMES, y=3)
    assert explorer.frame == 10
    assert "no face in frame 10" in explorer.facts.value


def test_a_box_is_drawn_moved_taken_back_and_saved(explorer, tmp_path):
    drag(explorer, 70, 70, 30, 10)  # from the lower right
    assert explorer.session.edits == {4: Box(30, 10, 70, 70)}
    assert "edited by hand" in explorer.facts.value
    drag(explorer, 50, 40, 55, 38)  # pressed inside: moved
    assert explorer.session.edits == {4: Box(35, 8, 75, 68)}
    drag(explorer, 5, 5, 6, 6)  # a click
    assert explorer.session.edits == {4: Box(35, 8, 75, 68)}
    explorer.save_button.click()
    assert "mine.json: saved, 1 frame edited" in explorer.status.value
    assert records.read(tmp_path / "mine.json").candidates[4][0].box == Box(35, 8, 75, 68)
    key(explorer, "u")
    assert explorer.session.edits == {}
    explorer.no_face.click()
    assert explorer.session.edits == {4: None}


def test_settings_are_seen_at_once_and_errors_said(explorer):
    before = explorer.captions[0].value, bytes(explorer.tiles[0].value)
    explorer.gap.value = "hold"
    assert "held" in explorer.facts.value
    assert (explorer.captions[0].value, bytes(explorer.tiles[0].value)) != before
    explorer.pads[1].value = 20
    assert explorer.session.settings.pads == (0, 20, 0, 0)
    explorer.detector.value = "nobody.json"
    assert "nobody.json" in explorer.status.value
    assert explorer.detector.value == str(explorer.session.detector)
    explorer.path.value = "mine.txt"
    explorer.save_button.click()
    assert "JSON" in explorer.status.value


def test_another_clip_is_opened(explorer, tmp_path):
    clip(tmp_path / "short.mp4", 3, sound=False)
    explorer.detector.value = "lbp"
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
    assert picture.shape[1] >= canvas.STRIP[0]
    assert picture.std() > 20
    assert "application/vnd.jupyter.widget-view+json" in bundle
    explorer.next_second.click()
    assert "<video" in explorer.player.value
    assert "identity" in explorer.player.value
