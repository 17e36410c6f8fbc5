"""Labels are drawn, interpolated and saved in the format of the study's, and two passes are compared."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clips import HEIGHT, WIDTH, clip, read

from lipsync_lab.errors import LipsyncError, ParameterError
from lipsync_lab.evaluation import study
from lipsync_lab.explorer import Labeller, Labels, label, repeatability
from lipsync_lab.geometry import Box

FRAMES = 14


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return clip(tmp_path_factory.mktemp("label") / "mine.mp4", FRAMES, sound=False)


def test_labels_are_saved_beside_those_of_other_clips(video, tmp_path):
    path = shutil.copy(study.LABELS, tmp_path / "labels.csv")
    labels = Labels(video, path)
    assert list(labels.frames) == labels.unlabelled() == [0, 4, 8, 12]
    np.testing.assert_array_equal(labels.image(4), read(video)[4])
    assert labels.draw(0, Box(10.4, 10.2, 50, 49.6)) == Box(10, 10, 50, 50)
    assert labels.draw(4, Box(10, 10, 14, 60)) is None  # a slip of the mouse
    labels.draw(8, Box(30, 18, 70, 58))
    labels.no_face(12)
    assert labels.following(0) == labels.following(8) == labels.following(4) == 4
    labels.interpolate(4)
    assert labels.label(4) == Box(20, 14, 60, 54)
    assert labels.following(0) is None
    labels.save()

    before, after = (Path(file).read_text().splitlines() for file in (study.LABELS, path))
    assert [line for line in after if not line.startswith("mine,")] == before
    mine = [line for line in after if line.startswith("mine,")]
    assert mine == [
        "mine,0,target,10,10,50,50,1",
        "mine,4,target,20,14,60,54,1",
        "mine,8,target,30,18,70,58,1",
        "mine,12,none,,,,,1",
    ]
    again = Labels(video, path)
    assert again.unlabelled() == []
    assert again.edits.boxes == {0: Box(10, 10, 50, 50), 4: Box(20, 14, 60, 54), 8: Box(30, 18, 70, 58), 12: None}
    second = Labels(video, path, frames=[8, 0], number=2)  # does not show the first pass
    assert second.unlabelled() == [0, 8]
    second.draw(8, Box(32, 18, 72, 58))
    second.save()
    table = pd.read_csv(path).query("clip == 'mine'")
    first, other = (table[table["pass"] == number] for number in (1, 2))
    assert len(first) == 4
    assert repeatability(first, other) == (pytest.approx(38 / 42), pytest.approx(38 / 42), 1, 0)


def test_labels_are_copied_and_taken_back(video, tmp_path):
    labels = Labels(video, tmp_path / "new.csv")
    with pytest.raises(ParameterError, match="no frame before it has a box"):
        labels.copy(4)
    with pytest.raises(ParameterError, match="before and after"):
        labels.interpolate(4)
    labels.draw(0, Box(0, 0, 40, 40))
    assert labels.copy(8) == Box(0, 0, 40, 40)
    assert labels.undo()
    assert labels.unlabelled() == [4, 8, 12]
    assert labels.undo()
    assert not labels.undo()
    labels.save()
    assert (tmp_path / "new.csv").read_text() == ",".join(label.COLUMNS) + "\n"
    with pytest.raises(ParameterError, match="0 to 13"):
        Labels(video, tmp_path / "new.csv", frames=[14])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LipsyncError, match="no column clip"):
        Labels(video, tmp_path / "other.csv")


def test_nothing_is_interpolated_across_a_cut(tmp_path):
    from lipsync_lab.media import video as media

    rng = np.random.default_rng(0)
    shots = [np.kron(rng.integers(0, 255, (6, 8, 3), np.uint8), np.ones((16, 16, 1), np.uint8)) for _ in range(2)]
    media.write_clip(tmp_path / "cut.mp4", [shots[n // 10] for n in range(20)], 25)
    labels = Labels(tmp_path / "cut.mp4", tmp_path / "labels.csv", frames=range(20))
    for frame in (4, 8, 12):
        labels.draw(frame, Box(10, 10, 50, 50))
    labels.interpolate(6)
    with pytest.raises(ParameterError, match="same shot"):
        labels.interpolate(10)


def test_repeatability_of_the_study_is_what_its_readme_says():
    result = repeatability(study.labels(), study.labels(repeated=True))
    assert result.n == 40
    assert result.disagreed == 0
    words = re.search(r"median IoU (0\.\d+), n = (\d+), lowest (0\.\d+)", (study.HOME / "README.md").read_text())
    assert words.groups() == (f"{result.median:.2f}", str(result.n), f"{result.lowest:.2f}")


def test_repeatability_of_passes_that_disagree():
    def table(*rows):
        return pd.DataFrame([("a", *row) for row in rows], columns=["clip", "frame", "face", *study.BOX])

    nothing = [np.nan] * 4
    first = table(
        (0, "target", 0, 0, 10, 10), (1, "target", 0, 0, 10, 10), (2, "none", *nothing), (3, "none", *nothing)
    )
    second = table(
        (0, "target", 5, 0, 15, 10), (1, "none", *nothing), (2, "none", *nothing), (0, "other", 0, 0, 10, 10)
    )
    assert repeatability(first, second) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 1, 1)
    assert np.isnan(repeatability(first, second.iloc[1:3]).median)


def test_every_missed_fourth_frame_of_the_study_is_labelled():
    frames = study.frames().query("not detected")
    wanted = frames[frames.groupby("clip").cumcount() % study.LABEL_STEP == 0][["clip", "frame"]]
    known = study.labels().query("face in ['target', 'none']")[["clip", "frame"]]
    assert len(wanted) == len(wanted.merge(known)) == 73


def test_the_widget_labels_a_clip(video, tmp_path):
    labeller = Labeller(video, tmp_path / "labels.csv")

    def press(name):
        content = {"event": "key_down", "key": name, "shift_key": False, "ctrl_key": False, "meta_key": False}
        labeller.stage.canvas[1]._handle_frontend_event(None, content, [])

    def drag(*corners):
        corners = [value * labeller.stage.viewport.scale for value in corners]
        for event, (x, y) in (("mouse_down", corners[:2]), ("mouse_move", corners[2:]), ("mouse_up", corners[2:])):
            labeller.stage.canvas[1]._handle_frontend_event(None, {"event": event, "x": x, "y": y}, [])

    assert labeller.frame == 0
    assert "no label yet" in labeller.words.value
    assert "4 of 4 frames left" in labeller.words.value
    drag(10, 10, 50, 50)
    assert "face 10, 10, 50, 50" in labeller.words.value
    press("n")
    assert labeller.frame == 4
    press("c")
    press("n")
    press("x")
    assert "no face" in labeller.words.value
    press("u")
    press("i")
    assert "before and after" in labeller.status.value
    for name in ("x", "n", "x", "n"):
        press(name)
    assert "all frames are labelled" in labeller.status.value
    press("s")
    assert "4 frames saved" in labeller.status.value
    saved = pd.read_csv(tmp_path / "labels.csv")
    assert saved["face"].tolist() == ["target", "target", "none", "none"]
    assert saved["x2"].dropna().tolist() == [50, 50]
    # zoomed in, the box is still in pixels of the frame
    press("ArrowLeft")
    labeller.stage.canvas[1]._handle_frontend_event(None, {"event": "mouse_wheel", "x": 0, "y": -120}, [])
    view = labeller.stage.viewport
    corners = [*view.to_frame(40, 40), *view.to_frame(120, 140)]
    scale = view.scale
    drag(40 / scale, 40 / scale, 120 / scale, 140 / scale)
    assert labeller.labels.label(labeller.frame) == Box(*(round(value) for value in corners)).clipped(WIDTH, HEIGHT)
