"""One contract for every detector, and what each one promises beyond it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_weights import fill
from skimage import data

from lipsync_lab import detection
from lipsync_lab.detection import Detection, at_detection_size
from lipsync_lab.detection.base import REGISTRY
from lipsync_lab.detection.boxes import Recorded
from lipsync_lab.detection.detections import Detections, read_detections, read_with_faces, write_detections
from lipsync_lab.detection.lbp import LBPCascade
from lipsync_lab.detection.s3fd import candidates
from lipsync_lab.errors import CheckpointError, DetectionError, ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.media import clip as source
from lipsync_lab.media.clip import View
from lipsync_lab.models import registry
from lipsync_lab.models.s3fd import S3FD
from lipsync_lab.settings import Settings

PORTRAIT_FACE = Box(178, 62, 272, 168)  # of scikit-image's portrait, measured by eye: brow to chin, ear to ear


@pytest.fixture(scope="module")
def frames():
    """A portrait, the same mirrored, and a frame without any face."""
    portrait = data.astronaut()[:256, 100:356]
    return np.stack([portrait, portrait[:, ::-1], np.full_like(portrait, 127)])


@pytest.fixture(scope="module")
def small_s3fd(tmp_path_factory):
    """S3FD with small random weights whose face score is low without a reason, so that a grey frame has no face."""
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    network = fill(S3FD(0.125))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("mbox_conf.bias"):
                parameter[-1] = -6.0
                parameter[:-1] = 0.0
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(params=["s3fd", "recorded", "lbp", "anime-lbp"])
def detector(request, small_s3fd, tmp_path, frames):
    if request.param == "s3fd":
        return detection.load(small_s3fd)
    if request.param == "recorded":
        boxes = [[78, 62, 172, 168], [84, 62, 178, 168], None]
        (tmp_path / "boxes.json").write_text(json.dumps({"frames": 3, "boxes": boxes}))
        return detection.load(tmp_path / "boxes.json")
    if request.param == "anime-lbp":
        folder = request.getfixturevalue("shared") / "footage" / "faces"
        return detection.load(folder / "lbpcascade_animeface.xml")
    return detection.load("lbp")


def test_contract(detector, frames):
    rows = detector.detect(frames)
    assert len(rows) == len(frames)
    assert rows[2] == [], "a frame without a face gives an empty list"
    assert detector.detect(frames[:0]) == []
    for row in rows:
        assert all(isinstance(candidate, Detection) and 0 <= candidate.score <= 1 for candidate in row)
        scores = [candidate.score for candidate in row]
        assert scores == sorted(scores, reverse=True)
        assert all(candidate.box.width > 0 and candidate.box.height > 0 for candidate in row)
    single = [detector.detect(frames[i : i + 1], first=i)[0] for i in range(len(frames))]
    for together, alone in zip(rows, single, strict=True):
        assert len(together) == len(alone)
        for a, b in zip(together, alone, strict=True):
            assert np.allclose(list(a.box), list(b.box), atol=0.01)
            assert a.score == pytest.approx(b.score, abs=1e-4)
    json.dumps(detector.identity)


@pytest.fixture(scope="module")
def bundled_frames():
    """Three frames of a bundled clip, and two blank ones."""
    clip = source.open_clip("animation_baker")
    frames = np.stack(list(clip.read(0, 3)))
    return np.concatenate((frames, np.zeros_like(frames[:1]), np.full_like(frames[:1], 255)))


@pytest.mark.parametrize("name", detection.NAMES)
def test_every_registered_detector_obeys_the_contract(name, bundled_frames, request, monkeypatch):
    """Candidates inside the frame, best first, the same each time; whatever is added to the registry is tested."""
    if (model := registry.MODELS.get(name)) and model.file.endswith(".onnx"):
        monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(request.getfixturevalue("shared") / "models"))
    try:
        detector = detection.load(name)
    except (CheckpointError, DetectionError) as error:
        pytest.skip(f"weights that are not bundled: {error}")
    rows = detector.detect(bundled_frames)
    assert rows == detector.detect(bundled_frames)
    height, width = bundled_frames.shape[1:3]
    for row in rows:
        scores = [candidate.score for candidate in row]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        for candidate in row:
            inside = candidate.box.clipped(width, height)
            assert candidate.box.area > 0
            assert inside.area > 0.5 * candidate.box.area, "at most a part of a face may lie outside"


def test_the_registry_has_every_name_once_and_the_default_first():
    assert detection.NAMES[0] == detection.default()
    assert len(set(detection.NAMES)) == len(detection.NAMES)
    trained = {model.name for model in registry.MODELS.values() if model.kind == "detector"}
    assert trained <= set(detection.NAMES), "each model of the table belongs to a registered detector"
    assert {plugin.name for plugin in REGISTRY.plugins.values()} >= {"s3fd", "lbp", "recorded"}


def test_broken_detector_is_not_skipped(detector, frames, monkeypatch):
    """A fault inside a loaded model comes out; it never looks like a frame without a face."""

    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    target = {"LBPCascade": "_cascade"}
    if detector.identity["detector"] == "recorded":
        monkeypatch.setattr(Detections, "scaled_to", broken)
    elif isinstance(detector, LBPCascade):
        monkeypatch.setattr(
            detector,
            target["LBPCascade"],
            type("Cascade", (), {"detect_multi_scale": broken, "window_width": 24, "window_height": 24})(),
        )
    else:
        monkeypatch.setattr(detector, "model", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        detector.detect(frames)


def test_lbp_finds_the_portrait(frames):
    row = detection.load("lbp").detect(data.astronaut()[None])[0]
    assert row[0].box.iou(PORTRAIT_FACE) > 0.5
    assert row[0].score > 0.5


def test_fixed_box_obeys_the_contract(frames):
    fixed = detection.load(box=Box.from_yyxx((10, 60, 20, 300)))
    assert fixed.detect(frames) == [[Detection(Box(20, 10, 256, 60), 1.0)]] * 3
    with pytest.raises(DetectionError, match="lies outside"):
        detection.load(box=Box(400, 400, 500, 500)).detect(frames)
    with pytest.raises(DetectionError, match="no area"):
        detection.load(box=Box(10, 10, 10, 20))


def test_a_box_and_a_detector_exclude_each_other():
    with pytest.raises(ParameterError):
        detection.load("lbp", box=Box(0, 0, 9, 9))


def test_published_boxes(golden):
    """Half a pixel from what the published detector returns, face by face, after its own suppression."""
    from lipsync_lab.models.s3fd import MEANS, decode

    with np.load(golden / "s3fd.npz") as known:
        rgb = known["frames_bgr"][..., ::-1].astype(np.float32) - np.array(MEANS, np.float32)
        with torch.inference_mode():
            rows = decode(fill(S3FD())(torch.from_numpy(rgb).permute(0, 3, 1, 2))).numpy()
        for index in range(2):
            faces = [candidate for candidate in candidates(rows[index]) if candidate.score > 0.5]
            theirs = known[f"faces_{index}"]
            assert len(faces) == len(theirs)
            ours = np.array([[*face.box, face.score] for face in faces])
            # two scores may be equal to the last digit, so that their order is chance
            apart = np.abs(ours[:, None, :4] - theirs[None, :, :4]).max(axis=2)
            partner = apart.argmin(axis=1)
            assert sorted(partner) == list(range(len(theirs)))
            assert apart.min(axis=1).max() < 0.5
            assert np.abs(ours[:, 4] - theirs[partner, 4]).max() < 1e-4
            top = np.clip(ours[0, :4], 0, None).astype(int)
            assert top.tolist() == known["top"][index].tolist()


def test_suppression_against_brute_force():
    rng = np.random.default_rng(3)
    corner, size = rng.uniform(0, 60, (200, 2)), rng.uniform(5, 30, (200, 2))
    rows = np.concatenate((corner, corner + size, rng.uniform(0, 1, (200, 1))), axis=1).astype(np.float32)
    kept = []
    for row in sorted(rows.tolist(), key=lambda r: -r[4]):
        # the published areas count whole pixels: one more on each side
        grown = Box(row[0], row[1], row[2] + 1, row[3] + 1)
        if row[4] > 0.05 and all(grown.iou(other) <= 0.3 for other, _ in kept):
            kept.append((grown, row[4]))
    assert [candidate.score for candidate in candidates(rows)] == pytest.approx([score for _, score in kept])


def test_detection_size_gives_boxes_of_the_clip(frames):
    class Corner:
        """Finds the bright corner, at whatever size."""

        name, identity, reads_pixels = "corner", {}, True

        def detect(self, frames, first=0):
            rows = []
            for frame in frames:
                ys, xs = np.nonzero(frame[..., 0] > 127)
                rows.append([Detection(Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), 1.0)])
            return rows

    big = np.zeros((1, 300, 500, 3), np.uint8)
    big[:, 100:200, 50:250] = 255
    box = at_detection_size(Corner(), big, 0, 100)[0][0].box
    assert np.allclose(list(box), [50, 100, 250, 200], atol=5)
    assert at_detection_size(Corner(), big, 0, None)[0][0].box == Box(50, 100, 250, 200)
    assert at_detection_size(Corner(), big, 0, 800)[0][0].box == Box(50, 100, 250, 200)


def test_the_default_is_the_same_whatever_else_lies_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path))
    (tmp_path / registry.MODELS["s3fd"].file).write_bytes(b"not the weights")
    assert detection.default() == detection.load().name == "auto"
    assert detection.default("reference") == "s3fd-lab"
    with pytest.raises(CheckpointError, match="619a316812"):
        detection.load("s3fd")


def test_s3fd_takes_pictures_that_are_smaller_than_its_steps():
    rows = detection.load("s3fd-lab").detect(np.zeros((2, 3, 5, 3), np.uint8))
    assert [isinstance(row, list) for row in rows] == [True, True]


def test_an_unknown_detector_is_answered_with_all_names():
    with pytest.raises(DetectionError, match=r"nobody is neither .* s3fd, .*lbp, anime-lbp.*detections\.json"):
        detection.load("nobody")


@pytest.mark.parametrize("name", ["anime-lbp", "absent.xml", "text.xml", "absent.json", "nobody", "haar.xml"])
def test_detectors_that_cannot_be_had(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_LAB_CHECKPOINTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.xml").write_text("<xml>nothing</xml>")
    (tmp_path / "haar.xml").write_text(
        "<opencv_storage><cascade><featureType>HAAR</featureType></cascade></opencv_storage>"
    )
    with pytest.raises((DetectionError, CheckpointError)) as caught:
        detection.load(name)
    assert "\n" not in str(caught.value)


# -- detections.json ---------------------------------------------------------------------------------------------


def some_detections():
    rows = ([Detection(Box(1, 2, 30, 40), 0.9), Detection(Box(5, 5, 9, 9), 0.2)], [], [Detection(Box(2, 2, 8, 9), 0.3)])
    return Detections(rows, (0, 2), (64, 48), True)


def test_record_comes_back(tmp_path):
    write_detections(tmp_path / "a.json", some_detections())
    assert read_detections(tmp_path / "a.json") == some_detections()


def test_landmarks_are_kept_and_mapped_like_the_box(tmp_path):
    points = ((4.0, 8.0), (20.0, 8.5), (12.0, 16.0), (6.0, 24.0), (18.0, 24.0))
    face = Detection(Box(1, 2, 30, 40), 0.9, points)
    detections, path = Detections(([face, Detection(Box(5, 5, 9, 9), 0.2)],), (0,), (64, 48)), tmp_path / "a.json"
    write_detections(path, detections, [face], threshold=0.5)
    assert read_detections(path) == detections
    enlarged = read_detections(path).scaled_to((128, 96), path).candidates[0]
    assert enlarged[0].landmarks == tuple((2 * x, 2 * y) for x, y in points)
    assert enlarged[1].landmarks == ()
    below = replace(detections, view=View((64, 48))).in_view(View((64, 48), crop=(10, -1, 4, -1)), path)
    assert np.allclose(below.candidates[0][0].landmarks, np.array(points) - (4, 10))
    path.write_text('{"boxes": [[1, 2, 30, 40]], "candidates": [[[1, 2, 30, 40, 0.9, [[1, NaN]]]]]}')
    with pytest.raises(DetectionError, match="not finite"):
        read_detections(path)


def test_boxes_decide_and_keep_rejected_candidates(tmp_path):
    detections, path = some_detections(), tmp_path / "a.json"
    write_detections(path, detections, [detections.candidates[0][0], None, None], threshold=0.5)
    assert read_detections(path) == detections
    content = json.loads(path.read_text())
    content["boxes"] = [None, [3, 3, 9, 9], [4, 4, 8, 8]]  # a person at work
    path.write_text(json.dumps(content))
    edited = read_detections(path).candidates
    assert edited[0] == [Detection(Box(5, 5, 9, 9), 0.2)]
    assert edited[1] == [Detection(Box(3, 3, 9, 9), 1.0)]
    assert edited[2] == [Detection(Box(4, 4, 8, 8), 1.0), Detection(Box(2, 2, 8, 9), 0.3)]
    assert read_detections(path).manual == {1: Box(3, 3, 9, 9), 2: Box(4, 4, 8, 8)}


def test_manual_boxes_are_kept_through_files_views_and_cuts(tmp_path):
    manual, path = {1: Box(10, 12, 30, 32), 2: None}, tmp_path / "a.json"
    detections = replace(some_detections(), manual=manual, interpolated=frozenset({1}))
    write_detections(
        path, detections, [detections.candidates[0][0], Detection(Box(10, 12, 30, 32), 1.0), None], threshold=0.5
    )
    again = read_detections(path)
    assert (again.manual, again.interpolated) == (detections.manual, {1})
    content = json.loads(path.read_text())
    assert (content["manual"], content["interpolated"]) == ([2], [1])
    assert again.first(2).manual == {1: Box(10, 12, 30, 32)}
    assert again.scaled_to((128, 96), path).manual == {1: Box(20, 24, 60, 64), 2: None}
    apart, faces = read_with_faces(path)
    assert apart.candidates == detections.candidates
    assert faces == [Box(1, 2, 30, 40), Box(10, 12, 30, 32), None]


def test_a_file_with_boxes_alone_is_recorded(tmp_path):
    (tmp_path / "a.json").write_text('{"boxes": [[1, 2, 30, 40], null]}')
    assert read_detections(tmp_path / "a.json").manual == {}


def test_beginning_of_some_detections():
    assert some_detections().first(2) == Detections(some_detections().candidates[:2], (0,), (64, 48), False)
    assert some_detections().first(9) == some_detections()


#: Settings of the view of a clip, and of a picture of the same in another size.
VIEWS = [
    {},
    {"crop": (20, -1, 10, 110)},
    {"resize_factor": 2, "crop": (4, 60, 8, -1)},
    {"rotate": True, "crop": (10, 100, 20, -1)},
    {"resize_factor": 3, "rotate": True},
    {"crop": (-90, -10, 16, 120)},
]


def view_and_box(picture: np.ndarray, settings: Settings) -> tuple[View, Box]:
    """A view, and the bright place in what it shows: found in the pixels themselves."""
    frame = next(source.clip_from_array(picture[None], 25, settings).read(0, 1))
    ys, xs = np.nonzero(frame[..., 0] > 127)
    view = View(picture.shape[1::-1], settings.resize_factor, settings.rotate, settings.crop)
    assert view.size == frame.shape[1::-1]
    return view, Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


@pytest.mark.parametrize("there", VIEWS, ids=str)
@pytest.mark.parametrize("here", VIEWS, ids=str)
def test_boxes_are_carried_from_view_to_view_and_from_size_to_size(here, there):
    picture = np.zeros((120, 180, 3), np.uint8)
    picture[42:78, 36:96] = 255
    (a, box), (b, expected) = view_and_box(picture, Settings(**here)), view_and_box(picture, Settings(**there))
    assert list(a.carried(box, b)) == pytest.approx(list(expected), abs=3 if a.resize_factor > 1 else 1)
    larger, expected = view_and_box(np.kron(picture, np.ones((2, 2, 1), np.uint8)), Settings(resize_factor=1))
    assert list(a.carried(box, larger)) == pytest.approx(list(expected), abs=2 * a.resize_factor)
    assert View.of(json.loads(json.dumps(a.as_dict()))) == a


def test_a_record_that_knows_only_its_size_speaks_of_the_whole_picture():
    cropped = View((128, 96), crop=(10, -1, 20, -1))
    moved = some_detections().in_view(cropped, "x.json")  # made at 64 x 48
    assert moved.candidates[0][0].box == Box(2 - 20, 4 - 10, 60 - 20, 80 - 10)
    assert moved.size == (108, 86)
    nowhere = Detections(some_detections().candidates)
    assert nowhere.in_view(cropped, "x.json").candidates == nowhere.candidates, "of the frames as they are"
    with pytest.raises(DetectionError, match="64 x 48"):
        some_detections().in_view(View((96, 128)), "x.json")


def test_boxes_outside_the_picture_are_counted():
    fitted = Recorded(some_detections()).in_view(View((64, 48), crop=(0, -1, 10, -1)))
    assert fitted.outside == {0: 0.2, 2: 0.3}
    assert [len(row) for row in fitted.detections.candidates] == [1, 0, 0]


def test_a_record_says_which_detector_and_clip_it_is_of(tmp_path):
    about = {"view": View((64, 48)), "clip": {"file": "c.mp4", "sha256": "aa"}}
    found_by = {"name": "s3fd", "detector": "s3fd", "sha256": "its own"}
    detections = Detections(some_detections().candidates, (0, 2), (64, 48), **about, detector=found_by)
    write_detections(tmp_path / "a.json", detections)
    assert read_detections(tmp_path / "a.json") == detections
    first = detection.load(tmp_path / "a.json")
    assert first.name == "recorded from s3fd, by file a.json"
    assert [first.is_of_another_clip(sha) for sha in ("aa", "bb", None)] == [False, True, False]
    again = {"name": first.name, **first.identity}
    write_detections(tmp_path / "b.json", Detections(detections.candidates, detector=again))
    assert detection.load(tmp_path / "b.json").identity["origin"] == found_by, "and not the file between them"
    assert Recorded(some_detections()).name == "recorded, by file detections.json"
    assert not Recorded(some_detections()).is_of_another_clip("aa")


def test_record_of_another_size_is_scaled():
    bigger = some_detections().scaled_to((128, 96), "x.json")
    assert bigger.candidates[0][0].box == Box(2, 4, 60, 80)
    with pytest.raises(DetectionError, match="64 x 48"):
        some_detections().scaled_to((48, 64), "x.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "{}",
        '{"frames": 2, "boxes": [null]}',
        '{"boxes": [[1, 2, 3]]}',
        '{"boxes": [[5, 5, 1, 9]]}',
        '{"boxes": [["a", 5, 1, 9]]}',
        '{"boxes": [[1, 1, 9, 9]], "shots": [1]}',
        '{"boxes": [[1, 1, 9, 9]], "candidates": [[], []]}',
        '{"boxes": 7}',
        '{"boxes": [null], "size": [64]}',
        '{"boxes": [null], "clip": 7}',
        '{"boxes": [null], "manual": [1]}',
        '{"boxes": [[NaN, 1, 9, 9]]}',
        '{"boxes": [[1, 1, 9, 9]], "size": [Infinity, 9]}',
        '{"boxes": [null], "view": {"clip": [64, 48]}}',
        '{"boxes": [null], "view": {"clip": [64, 48], "resize_factor": 99, "rotate": false, "crop": [0, -1, 0, -1]}}',
    ],
)
def test_files_of_boxes_that_are_none(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(DetectionError, match=r"b\.json") as caught:
        read_detections(tmp_path / "b.json")
    assert "\n" not in str(caught.value)


def test_too_few_recorded_boxes(tmp_path, frames):
    (tmp_path / "b.json").write_text('{"frames": 1, "boxes": [null]}')
    with pytest.raises(DetectionError, match="1 frames"):
        detection.load(tmp_path / "b.json").detect(frames)


def test_the_least_form_of_the_study(shared):
    """One clip's entry in the recorded S3FD boxes is a file of boxes as it stands."""
    study = json.loads((shared / "footage" / "animation" / "seed" / "s3fd_boxes.json").read_text())
    assert len(study) == 10
    for name, entry in study.items():
        assert {"frames", "boxes"} <= entry.keys(), name
