"""Detection in some frames: what is asked is counted, and rows are compared with those of every frame."""

import numpy as np
import pytest

from lipsync_lab.detection import sparse
from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import clip_from_array
from lipsync_lab.pipeline import make_plan
from lipsync_lab.settings import Settings

RNG = np.random.default_rng(5)
FACE = RNG.integers(0, 256, (12, 12, 3), np.uint8).repeat(5, 0).repeat(5, 1)
ROOM = RNG.integers(60, 120, (30, 40, 3), np.uint8).repeat(6, 0).repeat(6, 1)


class Bright:
    """Finds the painted face by its place in a list; counts the frames that it is asked about."""

    name, path, reads_pixels, identity = "bright", None, True, {"detector": "bright"}

    def __init__(self, score: float = 0.9):
        self.asked, self.score = [], score

    def detect(self, frames, first=0):
        rows = []
        for frame in frames:
            self.asked.append(frame)
            # exact: the face's first pixel row and column
            match = [
                (y, x)
                for y in range(0, 180 - 59)
                for x in [int(frame[0, 0, 0])]
                if (frame[y, x : x + 60] == FACE[0]).all()
            ]
            rows.append([Detection(Box(x, y, x + 60, y + 60), self.score) for y, x in match[:1]])
        return rows


def picture(x: int | None, y: int = 50) -> np.ndarray:
    """The room with the face at x, y, and x in the first pixel; None without a face."""
    out = ROOM.copy()
    if x is not None:
        out[y : y + 60, x : x + 60] = FACE
    out[0, 0] = 0 if x is None else x
    return out


def detected(frames: list[np.ndarray], cadence: str, **more):
    detector = Bright(**more)
    clip = clip_from_array(np.stack(frames), 25)
    return detect(clip, detector, settings=Settings(detection_cadence=cadence)), detector


def test_a_held_picture_is_detected_once():
    frames = [picture(40)] * 30 + [picture(90)] * 30
    usual, first = detected(frames, "every_frame")
    for cadence in ("changes", "tracked"):
        sparsely, detector = detected(frames, cadence)
        assert sparsely.candidates == usual.candidates
        assert len(detector.asked) == 2
        assert sorted(sparsely.copied) == [n for n in range(60) if n not in (0, 30)]
    assert len(first.asked) == 60


def test_slow_motion_adds_up():
    """Each frame is nearly the one before, but not the first one."""
    frames = [(picture(40).astype(int) + n).clip(0, 255).astype(np.uint8) for n in range(12)]
    pictures = [sparse.Picture.of(n, frame, 240) for n, frame in enumerate(frames)]
    _, kinds, _ = sparse.candidates(pictures, lambda places: [[] for _ in places], follow=False)
    assert [n for n, kind in enumerate(kinds) if kind == "detected"] == [0, 3, 6, 9]


def test_a_face_in_motion_is_followed():
    """On a straight line the boxes between are exact."""
    frames = [picture(20 + n) for n in range(16)] + [picture(35 + n) for n in range(16)]
    usual, _ = detected(frames, "every_frame")
    sparsely, detector = detected(frames, "tracked")
    assert len(detector.asked) <= 12
    assert sparsely.copied == {16}
    assert len(sparsely.tracked) == 31 - len(detector.asked)
    for ours, theirs in zip(sparsely.candidates, usual.candidates, strict=True):
        assert ours[0].box.iou(theirs[0].box) > 0.95


def test_a_cut_is_a_doubt():
    """The same place, another shot in between: every frame of it is detected, and so are those around it."""
    other = [np.ascontiguousarray(picture(40)[::-1, ::-1])] * 3
    frames = [picture(40 + n % 2) for n in range(8)] + other + [picture(40 + n % 2) for n in range(5)]
    usual, _ = detected(frames, "every_frame")
    sparsely, _ = detected(frames, "tracked")
    faces = [[bool(row) for row in detections.candidates] for detections in (usual, sparsely)]
    assert faces[0] == faces[1]
    assert not set(range(8, 11)) & sparsely.tracked


def test_no_face_and_an_unsure_face_are_doubts():
    empty = [picture(None) + np.uint8(8) * (n % 2) for n in range(16)]
    sparsely, detector = detected(empty, "tracked")
    assert len(detector.asked) == 16
    moving = [picture(20 + n) for n in range(16)]
    _, detector = detected(moving, "tracked", score=0.5)
    assert len(detector.asked) == 16


def test_partners():
    def face(x, score, name=""):
        return Detection(Box(x, 0, x + 50, 50), score, (), name)

    assert len(sparse.partners([face(0, 0.9), face(99, 0.3)], [face(100, 0.3), face(1, 0.8)])) == 2
    assert sparse.partners([face(0, 0.9)], [face(1, 0.9), face(99, 0.1)]) == [(face(0, 0.9), face(1, 0.9))]
    assert sparse.partners([face(0, 0.9)], [face(20, 0.9)]) is None
    assert sparse.partners([face(0, 0.9)], [face(0, 0.9), face(99, 0.3)]) is None
    assert sparse.partners([face(0, 0.9)], [face(0, 0.3)]) is None
    assert sparse.partners([face(0, 0.9, "a")], [face(0, 0.9, "b")]) is None


@pytest.mark.parametrize("batch", [1, 5])
def test_batches_do_not_matter(batch):
    frames = [picture(20 + n // 2) for n in range(40)]
    clip = clip_from_array(np.stack(frames), 25)
    usual, other = (
        detect(clip, Bright(), settings=Settings(detection_cadence="tracked", detection_batch=size))
        for size in (16, batch)
    )
    assert usual.candidates == other.candidates
    assert (usual.copied, usual.tracked) == (other.copied, other.tracked)


def test_provenance(tmp_path):
    """The ledger's column and the file say which rows the detector did not give."""
    frames = [picture(20 + n // 2) for n in range(16)]
    clip, settings = clip_from_array(np.stack(frames), 25), Settings(detection_cadence="tracked")
    detections = detect(clip, Bright(), settings=settings, out=tmp_path / "detections.json")
    assert detections.copied
    assert detections.tracked
    track = make_plan(clip, detections, None, settings).track
    kinds = {"detected", "copied", "tracked"}
    assert set(track.provenance) == kinds
    assert [kind == "copied" for kind in track.provenance] == [n in detections.copied for n in range(16)]
    again = read_detections(tmp_path / "detections.json")
    assert (again.copied, again.tracked) == (detections.copied, detections.tracked)
    part = detections.first(5)
    assert max(part.copied | part.tracked) < 5
