"""The whole way: parity with the published script, lengths, fills, provenance, the cache, and what is left behind."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from clips import boxes, clip, number, pictures, read, voice, wav
from golden_weights import fill

import lipsync_lab
from lipsync_lab import detection, files, generation
from lipsync_lab.detection import Detection
from lipsync_lab.detection.boxes import Recorded
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.detections import Detections
from lipsync_lab.errors import DetectionError, MediaError, ParameterError
from lipsync_lab.generation import holds
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media import clip as source
from lipsync_lab.media.clip import clip_from_array
from lipsync_lab.models.wav2lip import Wav2Lip
from lipsync_lab.pipeline import Pipeline, make_plan, render
from lipsync_lab.runs import LEDGER, Run
from lipsync_lab.settings import Settings

FACE = [40, 20, 90, 70]


# -- parity ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(golden):
    with np.load(golden / "inference.npz") as stored:
        return {key: stored[key] for key in stored}


@pytest.fixture(scope="module")
def published_weights(tmp_path_factory):
    """The golden generator as a checkpoint like the released ones."""
    path = tmp_path_factory.mktemp("weights") / "golden.pth"
    state = {f"module.{name}": tensor for name, tensor in fill(Wav2Lip()).state_dict().items()}
    torch.save({"state_dict": state, "optimizer": None, "global_step": 1}, path)
    return path


def expected(known: dict, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames that are known, and the frames, RGB."""
    if name == "resize2":
        return known["frames"], known["resize2"][..., ::-1]
    changed = known[f"change_{name}"]
    numbers = np.arange(len(changed)) if name == "smooth" else known["frames"]
    return numbers, (known["frames_bgr"][numbers] + changed)[..., ::-1]


VARIANTS = {
    "smooth": ({}, None),
    "nosmooth": ({"smoothing": "none"}, None),
    "pads": ({"smoothing": "none", "pads": (5, 15, -4, 8)}, None),
    "box": ({}, (20, 100, 40, 110)),
    "resize2": ({"smoothing": "none", "resize_factor": 2}, (10, 50, 20, 55)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_upstream_preset_is_the_published_script(name, published, published_weights, tmp_path):
    """Through the files, lossless: two grey levels at most, which is what another OpenCV may differ by."""
    options, box = VARIANTS[name]
    with video.Writer(tmp_path / "in.mkv", fps=int(published["fps"]), codec="ffv1") as writer:
        for frame in published["frames_bgr"]:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    import soundfile

    soundfile.write(tmp_path / "in.wav", published["wav"], 16_000, subtype="FLOAT")
    recorded = boxes(tmp_path / "boxes.json", published["rects"].tolist())
    pipeline = Pipeline(
        published_weights,
        None if box else recorded,
        Settings.of({**options, "codec": "ffv1"}, "reference"),
        box=Box.from_yyxx(box) if box else None,
    )
    out = read(pipeline.run(tmp_path / "in.mkv", tmp_path / "in.wav", tmp_path / "run").output)
    numbers, theirs = expected(published, name)
    assert len(out) == 17
    assert out[numbers].shape == theirs.shape
    assert np.abs(out[numbers].astype(int) - theirs).max() <= 2


# -- small machinery ---------------------------------------------------------------------------------------------


def plain(generator="identity", faces=None, **settings) -> Pipeline:
    """A pipeline whose detector reads the list of boxes."""
    pipeline = Pipeline(generator, "lbp", Settings.of(settings))
    rows = [[] if box is None else [Detection(Box(*map(float, box)), 1.0)] for box in faces or [FACE] * 200]
    pipeline.detector = Recorded(Detections(tuple(rows)))
    return pipeline


def dubbed(pipeline, frames=20, seconds=1.0, fps=25):
    return pipeline.dub(pictures(frames), voice(seconds), fps)


def played(out) -> list[int]:
    return [number(frame) for frame in out]


# -- lengths and fills -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [12, 24000 / 1001, 25, 29.97, 60])
@pytest.mark.parametrize("seconds", [0.31, 1.0, 1.777])
def test_output_is_as_long_as_the_voice(fps, seconds):
    out, _ = dubbed(plain(), seconds=seconds, fps=fps)
    assert abs(len(out) / fps - seconds) <= 1 / fps


def test_a_short_clip_is_looped_held_or_played_to_and_fro():
    assert played(dubbed(plain(), 6, 0.6)[0]) == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert played(dubbed(plain(extend="hold"), 6, 0.6)[0]) == [0, 1, 2, 3, 4, 5] + [5] * 9
    assert played(dubbed(plain(extend="pingpong"), 6, 0.6)[0]) == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
    assert played(dubbed(plain(extend="pingpong"), 1, 0.4)[0]) == [0] * 10
    assert played(dubbed(plain(extend="pingpong"), 2, 0.4)[0]) == [0, 1] * 5


def test_to_and_fro_over_many_blocks(tmp_path):
    """Backwards by seeking, from a file with far between key frames, is backwards."""
    path = clip(tmp_path / "long.mp4", 60)
    out = plain(extend="pingpong", codec="ffv1").run(path, wav(tmp_path / "v.wav", 4.72), tmp_path / "run").output
    assert played(read(out)) == [*range(60), *range(58, 0, -1)]


def test_a_long_clip_ends_with_the_voice_or_keeps_its_tail(tmp_path):
    path, speech = clip(tmp_path / "in.mp4", 40), wav(tmp_path / "v.wav", 0.8)
    short = plain("untrained", codec="ffv1").run(path, speech, tmp_path / "short")
    long = plain("untrained", codec="ffv1", keep_tail=True).run(path, speech, tmp_path / "long")
    whole, source = read(long.output), read(path)
    assert len(read(short.output)) == 20
    assert len(whole) == 40
    assert (whole[20:] == source[20:]).all(), "the tail is untouched"
    assert (whole[:20] != source[:20]).any()
    assert long.ledger().mouth_generated.tolist() == [True] * 20 + [False] * 20
    sound = audio.load(long.output)
    expected_tail = audio.load(path)[: len(sound)]
    assert len(sound) == pytest.approx(1.6 * 16_000, abs=800)
    assert np.abs(sound[13_500:25_000] - expected_tail[13_500:25_000]).max() < 0.02, "with its own sound"


def test_published_length_is_the_published_one():
    out, _ = dubbed(plain(published_length=True), seconds=1.0)
    assert len(out) == len(audio.window_starts(81, 25)) < 25


def test_static_uses_the_first_frame_alone():
    assert played(dubbed(plain(static=True), 8, 0.4)[0]) == [0] * 10


# -- the view of the clip ----------------------------------------------------------------------------------------


def test_shrink_turn_crop():
    out, _ = dubbed(plain(faces=[None] * 20, resize_factor=2, rotate=True, crop=(4, 60, 2, -1)), 5, 0.2)
    assert out.shape == (5, 56, 46, 3)
    import cv2

    small = cv2.resize(pictures(1)[0], (64, 48))
    assert (out[0] == np.rot90(small, -1)[4:60, 2:]).all()


@pytest.mark.parametrize("settings", [{"crop": (200, 300, 0, -1)}, {"resize_factor": 1000}])
def test_views_that_leave_nothing(settings):
    with pytest.raises(ParameterError, match="nothing"):
        dubbed(plain(**settings))


# -- faces and gaps ----------------------------------------------------------------------------------------------


def test_frames_without_a_face_go_through_untouched():
    out, track = dubbed(plain("untrained", [FACE, None, FACE, None, FACE]), 5, 0.2)
    same = (out == pictures(5)).all(axis=(1, 2, 3))
    assert same.tolist() == [False, True, False, True, False]
    assert track.provenance.tolist() == ["recorded", "missing", "recorded", "missing", "recorded"]


def test_nothing_outside_the_box_is_touched():
    out, track = dubbed(plain("untrained", pads=(0, 0, 0, 0)), 5, 0.2)
    rows, columns = track.box(0).slices
    assert (out != pictures(5))[:, rows, columns].any()
    out[:, rows, columns] = pictures(5)[:, rows, columns]
    assert (out == pictures(5)).all()


def test_abort_is_an_error():
    with pytest.raises(DetectionError, match="frame 1"):
        dubbed(plain(faces=[FACE, None] * 10, dropouts="error"))


def test_audio_offset_starts_windows_earlier():
    """Frame n with a lead of one hears what frame n - 1 hears without."""
    still = np.repeat(pictures(1), 20, axis=0)
    plainly, _ = plain("untrained").dub(still, voice(0.8), 25)
    leading, _ = plain("untrained", audio_offset=1).dub(still, voice(0.8), 25)
    assert (leading[2::5] == plainly[1:-1:5]).all() or np.abs(leading[2::5].astype(int) - plainly[1:-1:5]).max() <= 1
    assert (leading[1:] != plainly[1:]).any()


def test_silence_is_dubbed_too():
    out, _ = plain("untrained").dub(pictures(10), np.zeros(6_400, np.float32), 25)
    assert len(out) == 10


def test_voice_shorter_than_a_window():
    with pytest.raises(ParameterError, match=r"0\.2 s"):
        dubbed(plain(), seconds=0.1)


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), np.zeros((1, 4, 4, 3))]
)
def test_arrays_that_are_no_clip(frames):
    with pytest.raises(ParameterError):
        plain().dub(frames, voice(1), 25)


def test_batches_do_not_matter():
    single, _ = dubbed(plain("untrained", generator_batch=1, detection_batch=1), 10, 0.4)
    many, _ = dubbed(plain("untrained", generator_batch=7, detection_batch=3), 10, 0.4)
    assert np.abs(single.astype(int) - many).max() <= 1


# -- what a run leaves behind ------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    rows = [FACE, FACE, None, None, FACE] * 4
    boxes(tmp_path / "b.json", rows)
    pipeline = Pipeline("untrained", tmp_path / "b.json")
    path, speech = clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav", 0.8)
    steps = []
    made = pipeline.run(path, speech, tmp_path / "run", lambda *step: steps.append(step))
    return made, steps


def test_run_folder(run, tmp_path):
    made, steps = run
    assert sorted(p.name for p in made.folder.iterdir()) == ["detections.json", "ledger.csv", "output.mp4", "run.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.json", "in.mp4", "run", "v.wav"]
    ledger = made.ledger()
    assert tuple(ledger.columns) == LEDGER
    assert len(ledger) == 20
    assert ledger.frame.tolist() == list(range(20))
    assert ledger.time.tolist() == pytest.approx([n / 25 for n in range(20)])
    assert (ledger.mouth_generated == (ledger.provenance == "recorded")).all()
    assert ledger.mouth_generated.sum() == 12
    assert steps[0][0] == "detect"
    assert steps[-1] == ("generate", 20, 20)
    info = made.info
    assert info["generator"]["name"] == "untrained"
    assert info["frames_written"] == 20
    assert {"voice", "detect", "generate", "encode"} <= info["seconds"].keys()
    assert len(info["clip"]["sha256"]) == len(info["voice"]["sha256"]) == 64


def recorded_run(tmp_path, face, folder, rows=None, **settings):
    """A run with boxes, from `b.json` or made of rows; nothing that moves a box."""
    file = boxes(tmp_path / "b.json", rows) if rows else tmp_path / "b.json"
    settings = Settings.of({"smoothing": "none", "pads": (0, 0, 0, 0), **settings})
    return Pipeline("identity", file, settings).run(face, wav(tmp_path / "v.wav", 0.4), tmp_path / folder)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"crop": (16, 80, 24, 120)}, (16, 4, 66, 54)),
        ({"resize_factor": 2}, (20, 10, 45, 35)),
        ({"rotate": True}, (96 - 70, 40, 96 - 20, 90)),
    ],
)
def test_recorded_boxes_follow_the_picture_into_another_view(tmp_path, settings, expected):
    path = clip(tmp_path / "in.mp4", 10)
    whole = recorded_run(tmp_path, path, "whole", [FACE] * 10)
    (tmp_path / "b.json").write_bytes(whole.detections.read_bytes())
    other = recorded_run(tmp_path, path, "other", **settings)
    assert other.ledger()[["x1", "y1", "x2", "y2"]].drop_duplicates().to_numpy().tolist() == [list(expected)]
    (tmp_path / "b.json").write_bytes(other.detections.read_bytes())
    back = recorded_run(tmp_path, path, "back")
    pd.testing.assert_frame_equal(back.ledger(), whole.ledger())
    assert whole.info["warnings"] == other.info["warnings"] == back.info["warnings"] == []


def test_boxes_of_another_clip_are_told_of(tmp_path):
    path = clip(tmp_path / "in.mp4", 10)
    first = recorded_run(tmp_path, path, "first", [FACE] * 10)
    (tmp_path / "b.json").write_bytes(first.detections.read_bytes())
    assert recorded_run(tmp_path, path.rename(tmp_path / "renamed.mp4"), "same").info["warnings"] == []
    other = recorded_run(tmp_path, clip(tmp_path / "other.mp4", 10, crf=30), "other")
    (warning,) = other.info["warnings"]
    assert "b.json" in warning
    assert "in.mp4" in warning
    assert "other.mp4 is another file" in warning
    assert other.ledger().mouth_generated.all(), "a clip that was encoded again may have these very faces"


def test_who_found_recorded_boxes_is_not_forgotten(tmp_path):
    path = clip(tmp_path / "in.mp4", 10)
    detect(path, "lbp", out=tmp_path / "b.json")
    first = recorded_run(tmp_path, path, "first")
    (tmp_path / "b.json").write_bytes(first.detections.read_bytes())
    about = recorded_run(tmp_path, path, "again").info["detector"]
    assert about["name"] == "recorded from lbp, by file b.json"
    assert about["origin"]["detector"] == "lbp"


def test_boxes_outside_the_picture_are_counted(tmp_path):
    rows = [FACE, [130, 10, 150, 30], [200, 200, 240, 240], [120, 10, 140, 30]] + [None] * 6
    made = recorded_run(tmp_path, clip(tmp_path / "in.mp4", 10), "run", rows)
    (warning,) = made.info["warnings"]
    assert "in 2 of 10 frames" in warning
    assert made.ledger().mouth_generated.tolist() == [True, False, False, True] + [False] * 6


def test_a_run_without_a_mouth_says_so(tmp_path):
    made = recorded_run(tmp_path, clip(tmp_path / "in.mp4", 10), "run", [None] * 10)
    (warning,) = made.info["warnings"]
    assert "NO MOUTH WAS GENERATED" in warning
    assert "10 frames (there was no candidate at all)" in warning
    assert all(flag in warning for flag in ("--threshold", "--detector", "--box", "--dropouts"))
    comment = video.probe(made.output).tags["comment"]
    assert "no mouth was generated" in comment
    assert "mouth was generated, the person" not in comment


def test_a_face_without_a_mouth_that_can_be_drawn_is_another_reason(tmp_path):
    file = boxes(tmp_path / "b.json", [FACE] * 10)
    made = Pipeline("cel", file).run(clip(tmp_path / "in.mp4", 10), wav(tmp_path / "v.wav", 0.4), tmp_path / "run")
    (warning,) = made.info["warnings"]
    assert "NO MOUTH WAS GENERATED" in warning
    assert "a face was detected in 10 of 10 frames, but cel located no mouth" in warning
    assert "--checkpoint_path wav2lip-lab" in warning
    assert "--threshold" not in warning


def test_a_face_in_the_tail_alone_is_no_mouth(tmp_path):
    path = clip(tmp_path / "in.mp4", 20)
    made = recorded_run(tmp_path, path, "run", [None] * 12 + [FACE] * 8, keep_tail=True)
    assert not made.ledger().mouth_generated.any()
    assert "no mouth was generated" in video.probe(made.output).tags["comment"]
    assert "best candidate scored 1.00" in made.info["warnings"][0]


def test_output_carries_a_tag_that_names_the_tool(run):
    comment = video.probe(run[0].output).tags["comment"]
    made = run[0].info["generator"]
    assert comment == (
        f"lipsync_lab {lipsync_lab.__version__}: the mouth was generated, the person did not say this; "
        f"generator untrained ({made['sha256'][:12]}), detector {run[0].info['detector']['name']}"
    )
    assert len(comment) < 160


def test_the_tag_says_that_a_small_model_is_no_measure_of_wav2lip(tmp_path):
    file = boxes(tmp_path / "b.json", [FACE] * 4)
    for name, says in (("wav2lip-lab", True), ("identity", False)):
        made = Pipeline(name, file).run(clip(tmp_path / "in.mp4", 4), wav(tmp_path / "v.wav", 0.2), tmp_path / name)
        assert ("a small model, no measure of Wav2Lip" in video.probe(made.output).tags["comment"]) == says


def test_a_run_again_is_the_same_byte_for_byte(run, tmp_path):
    made, _ = run
    before = {name: (made.folder / name).read_bytes() for name in ("ledger.csv", "detections.json", "output.mp4")}
    again = Pipeline("untrained", tmp_path / "b.json").run(tmp_path / "in.mp4", tmp_path / "v.wav", tmp_path / "run")
    assert {name: (again.folder / name).read_bytes() for name in before} == before


def test_detections_of_a_run_lead_to_the_same_run(run, tmp_path):
    made, _ = run
    again = Pipeline("untrained", made.detections).run(tmp_path / "in.mp4", tmp_path / "v.wav", tmp_path / "again")
    pd.testing.assert_frame_equal(again.ledger(), made.ledger())


def test_interrupted_run_leaves_nothing(tmp_path):
    path, speech = clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav")

    def stop(stage, done, total):
        if stage == "generate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plain().run(path, speech, tmp_path / "run", stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "v.wav"]


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ParameterError, match="mine"):
        plain().run(clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav"), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_an_earlier_run_is_replaced_with_all_that_was_made_of_it(run, tmp_path):
    made, _ = run
    (made.folder / "request.json").write_text("{}")
    (made.folder / "evaluation").mkdir()
    (made.folder / "evaluation" / "frames.csv").write_text("frame")
    (made.folder / ".DS_Store").write_text("of a file manager")
    plain().run(tmp_path / "in.mp4", tmp_path / "v.wav", made.folder)
    assert sorted(p.name for p in made.folder.iterdir()) == ["detections.json", "ledger.csv", "output.mp4", "run.json"]


@pytest.mark.parametrize("name", ["thesis.txt", "evaluation/thesis.txt", "takes/thesis.csv"])
def test_a_run_with_a_file_of_its_owner_is_left_alone(name, run, tmp_path):
    made, _ = run
    (made.folder / name).parent.mkdir(exist_ok=True)
    (made.folder / name).write_text("years of work")
    with pytest.raises(ParameterError, match="run is there already"):
        plain().run(tmp_path / "in.mp4", tmp_path / "v.wav", made.folder)
    assert (made.folder / name).exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_file_put_into_the_folder_during_the_run_is_kept(earlier, tmp_path):
    path, speech, target = clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav"), tmp_path / "run"
    if earlier:
        plain().run(path, speech, target)

    def plant(*_):
        target.mkdir(exist_ok=True)
        (target / "thesis.txt").write_text("years of work")

    with pytest.raises(MediaError) as error:
        plain().run(path, speech, target, plant)
    assert f"{target}:" in str(error.value)
    assert str(tmp_path / "run-2") in str(error.value)
    assert (target / "thesis.txt").read_text() == "years of work"
    assert len(Run(tmp_path / "run-2").ledger()) > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "run", "run-2", "v.wav"]


def test_boxes_for_too_few_frames(tmp_path):
    boxes(tmp_path / "b.json", [FACE] * 3)
    with pytest.raises(DetectionError, match="3 frames"):
        Pipeline("identity", tmp_path / "b.json").run(
            clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav"), tmp_path / "r"
        )


def test_truncated_clip_is_an_error(tmp_path):
    path = clip(tmp_path / "in.mp4", 40)
    whole = path.read_bytes()
    for length in (len(whole) - 2_000, len(whole) // 2, 700):
        path.write_bytes(whole[:length])
        with pytest.raises(MediaError, match=r"in\.mp4"):
            plain().run(path, wav(tmp_path / "v.wav"), tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "still.webp"])
def test_still_pictures_are_clips(tmp_path, name):
    from PIL import Image

    Image.fromarray(pictures(1)[0]).save(tmp_path / name)
    made = plain("untrained", fps=12.5).run(tmp_path / name, wav(tmp_path / "v.wav"), tmp_path / "run")
    assert video.probe(made.output).fps == 12.5
    assert len(read(made.output)) in (12, 13)


def test_frame_rate_and_range_are_the_clips(tmp_path):
    path = clip(tmp_path / "in.mp4", 30, fps=video.Fraction(30000, 1001), full_range=True)
    info = video.probe(plain().run(path, wav(tmp_path / "v.wav", 0.9), tmp_path / "run").output)
    assert info.fps == video.Fraction(30000, 1001)
    assert info.full_range


# -- the cache ---------------------------------------------------------------------------------------------------


class Counting:
    """A detector that counts how many frames it was shown."""

    name, reads_pixels, path = "counting", True, None

    def __init__(self, **identity):
        self.identity, self.frames = {"detector": self.name, "sha256": "its own", **identity}, 0

    def detect(self, frames, first=0):
        self.frames += len(frames)
        return [[Detection(Box(*map(float, FACE)), 0.123456789 + 0.5)] for _ in frames]


def with_cache(tmp_path, detector, **settings):
    pipeline = Pipeline("identity", "lbp", Settings.of(settings), cache=tmp_path / "cache")
    pipeline.detector = detector
    return pipeline


def test_a_second_run_detects_nothing(tmp_path):
    path, speech, detector = clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav", 0.8), Counting()
    first = with_cache(tmp_path, detector).run(path, speech, tmp_path / "a")
    assert detector.frames == 20
    second = with_cache(tmp_path, detector, threshold=0.6, pads=(1, 2, 3, 4)).run(path, speech, tmp_path / "b")
    again = with_cache(tmp_path, detector).run(path, speech, tmp_path / "c")
    assert detector.frames == 20
    assert second.info["detections_from_cache"]
    assert (again.folder / "ledger.csv").read_bytes() == (first.folder / "ledger.csv").read_bytes()


def test_the_cache_knows_what_it_depends_on(tmp_path):
    path, speech = clip(tmp_path / "in.mp4"), wav(tmp_path / "v.wav", 0.8)
    with_cache(tmp_path, Counting()).run(path, speech, tmp_path / "a")
    for changed in (Counting(floor=0.1), Counting()):
        settings = {} if changed.identity.get("floor") else {"detection_size": 64}
        with_cache(tmp_path, changed, **settings).run(path, speech, tmp_path / "a")
        assert changed.frames == 20
    other = Counting()
    with_cache(tmp_path, other).run(clip(tmp_path / "in.mp4", 20, crf=30), speech, tmp_path / "a")
    assert other.frames == 20, "the same name with other content"


def test_a_longer_voice_looks_further(tmp_path):
    path, detector = clip(tmp_path / "in.mp4", 40), Counting()
    with_cache(tmp_path, detector).run(path, wav(tmp_path / "v.wav", 0.8), tmp_path / "a")
    assert detector.frames == 20
    with_cache(tmp_path, detector).run(path, wav(tmp_path / "v.wav", 2.0), tmp_path / "a")
    assert detector.frames == 60
    with_cache(tmp_path, detector).run(path, wav(tmp_path / "v.wav", 1.2), tmp_path / "a")
    assert detector.frames == 60


def test_detect_writes_every_frame(tmp_path):
    path = clip(tmp_path / "in.mp4", 12)
    detections = detect(path, "lbp", out=tmp_path / "d.json")
    content = json.loads((tmp_path / "d.json").read_text())
    assert content["frames"] == len(content["boxes"]) == len(detections) == 12
    assert detection.load(tmp_path / "d.json").identity["detector"] == "recorded"


def test_the_weights_are_named_in_the_caption(tmp_path):
    pipeline = plain("untrained")
    assert "untrained" in pipeline.models
    assert "no quality" in pipeline.models
    pipeline.generator = replace(pipeline.generator, provenance="wav2lip_gan: the published weights")
    assert "published" in pipeline.models


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"40.0", b"41.0"),
        lambda data: data.replace(b"[", b"{"),
        lambda data: b"\xff" * 99,
        lambda data: b"[" * 99_999,
        lambda data: data.partition(b"\n")[2],
    ],
    ids=["empty", "truncated", "edited", "no JSON", "bytes", "deep", "no digest"],
)
def test_a_damaged_cache_file_is_made_again(damage, tmp_path):
    path, detector = clip(tmp_path / "in.mp4", 5), Counting()
    known = detect(path, detector, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    assert detect(path, detector, tmp_path / "cache") == known
    assert detector.frames == 10
    assert file.read_bytes() == whole


# -- holds -------------------------------------------------------------------------------------------------------


class CountingGenerator:
    """The identity generator's crops with a number for a mouth: another one each time."""

    def __init__(self):
        self.calls, self.inner = 0, generation.load("identity")

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def generate(self, crops, windows):
        out = crops.copy()
        for face in out:
            self.calls += 1
            face[48:] = 25 * self.calls
        return out


def held_mouths(frames, rows, **settings):
    generator = CountingGenerator()
    rows = [[Detection(Box(*map(float, box)), 1.0)] for box in rows]
    settings = Settings.of({"mouth_cadence": "holds", "audio_offset": 0, **settings})
    out, track = Pipeline(generator, Recorded(Detections(tuple(rows))), settings, device="cpu").dub(
        frames, voice(len(frames) / 25), 25
    )
    return out, track, generator.calls


def test_a_long_hold_reuses_its_mouth_until_a_scheduled_change():
    still = np.repeat(pictures(1), 9, axis=0)
    jitter = np.random.default_rng(0).integers(-2, 3, (9, 4))
    out, track, calls = held_mouths(still, np.array(FACE) + jitter)
    assert calls == 3
    assert len(np.unique(track.boxes, axis=0)) == 1, "the box stands still with the drawing"
    changed = [not np.array_equal(a, b) for a, b in zip(out[1:], out[:-1], strict=True)]
    first = holds.first_frames(still, map(track.box, range(9)))
    assert [n + 1 for n, new in enumerate(changed) if new] == np.flatnonzero(holds.scheduled(first)).tolist() == [3, 6]


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_frames_of_a_hold_have_the_same_mouth_whatever_the_batch(batch):
    frames = np.repeat(pictures(64)[::8], 2, axis=0)
    out, _, calls = held_mouths(frames, [FACE] * 16, generator_batch=batch, smoothing="none", feather=0.1)
    assert calls == 8
    for first, second in zip(out[::2], out[1::2], strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("extend", ["loop", "hold", "pingpong"])
def test_a_clip_that_is_played_on_has_holds_too(extend):
    frames = np.repeat(pictures(3) // 2 + np.arange(3, dtype=np.uint8)[:, None, None, None] * 40, 2, axis=0)
    plan = make_plan(
        clip_from_array(frames, 25),
        Detections(tuple([Detection(Box(*map(float, FACE)), 1.0)] for _ in frames), (0,), (128, 96)),
        voice(0.48),
        Settings(mouth_cadence="holds", extend=extend),
    )
    assert plan.order.tolist() == [number for number, _ in played_frames(frames, extend)]
    assert (
        plan.mouths.tolist()
        == {
            "loop": [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10],
            "hold": [0, 0, 2, 2, 4, 4, 4, 7, 7, 7, 10, 10],
            "pingpong": [0, 0, 2, 2, 4, 4, 4, 7, 7, 9, 9, 9],
        }[extend]
    )


def played_frames(frames, extend):
    return source.played(clip_from_array(frames, 25), len(frames), 12, extend)


# -- boxes given by hand -----------------------------------------------------------------------------------------


def test_an_edited_box_is_manual_and_exact(tmp_path):
    path, speech = clip(tmp_path / "in.mp4", 12), wav(tmp_path / "v.wav", 0.48)
    boxes(tmp_path / "b.json", [FACE] * 12, candidates=[[[*FACE, 0.9]]] * 12, threshold=0.5)
    first = Pipeline("identity", tmp_path / "b.json").run(path, speech, tmp_path / "first")
    content = json.loads(first.detections.read_text())
    assert "manual" not in content
    content["boxes"][5] = [10, 11, 70, 75]
    first.detections.write_text(json.dumps(content))
    second = Pipeline("identity", first.detections).run(path, speech, tmp_path / "second")
    again = Pipeline("identity", second.detections).run(path, speech, tmp_path / "again")
    before, after = first.ledger(), second.ledger()
    assert after.provenance.tolist() == ["recorded"] * 5 + ["manual"] + ["recorded"] * 6
    assert after.loc[5, ["x1", "y1", "x2", "y2"]].tolist() == [10, 11, 70, 75]
    columns = ["x1", "y1", "x2", "y2"]
    pd.testing.assert_frame_equal(after.drop(5)[columns], before.drop(5)[columns])
    assert json.loads(second.detections.read_text())["manual"] == [5]
    pd.testing.assert_frame_equal(again.ledger(), after)


def test_a_fixed_box_is_manual():
    _, track = Pipeline("identity", box=Box(*FACE), settings=Settings(pads=(9, 9, 9, 9)), device="cpu").dub(
        pictures(5), voice(0.2), 25
    )
    assert set(track.provenance) == {"manual"}
    assert track.boxes.tolist() == [FACE] * 5


# -- a user's own weights ----------------------------------------------------------------------------------------


def test_a_run_says_where_own_weights_lie(tmp_path, published_weights):
    path, speech = clip(tmp_path / "in.mp4", 6), wav(tmp_path / "v.wav", 0.24)
    boxes(tmp_path / "b.json", [FACE] * 6)
    info = Pipeline(published_weights, tmp_path / "b.json").run(path, speech, tmp_path / "run").info
    assert info["generator"]["file"] == str(published_weights)
    assert info["generator"]["sha256"] == files.sha256(published_weights)
    assert info["detector"]["file"] == str(tmp_path / "b.json")
    assert info["detector"]["sha256"] == files.sha256(tmp_path / "b.json")
    known = Pipeline("untrained", "lbp").run(path, speech, tmp_path / "known").info
    assert not {"file"} & (known["generator"].keys() | known["detector"].keys())


@pytest.mark.parametrize("values", [{}, {"mouth_cadence": "holds"}, {"extend": "pingpong"}])
def test_a_part_of_a_plan_renders_as_in_the_whole(values):
    """From any output frame on, also within a hold, and beyond the first pass through the clip."""
    frames = np.repeat(np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8), 3, axis=0)
    settings = Settings.of({**values, "generator_batch": 4})
    clip = clip_from_array(frames, 25, settings)
    record = replace(detect(clip, detection.load(box=Box(8, 4, 48, 40))), manual={})
    wave = np.random.default_rng(1).normal(0, 0.1, 16000 * 20 // 25).astype(np.float32)
    plan, generator = make_plan(clip, record, wave, settings), generation.load("untrained", device="cpu")
    whole = list(render(clip, plan, generator))
    assert len(whole) == 20
    for start, stop in ((0, 1), (1, 2), (2, 7), (11, 12), (5, 30), (13, 15), (19, None), (20, None)):
        part = list(render(clip, plan, generator, start=start, stop=stop))
        assert len(part) == len(whole[start:stop])
        for image, expected in zip(part, whole[start:stop], strict=True):
            assert np.abs(image.astype(int) - expected).max() <= 1


KILLED = """
import os, signal, sys
from lipsync_lab.media import segments
from lipsync_lab.media.writer import Writer
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings
segments.SECONDS, last = 0.4, int(sys.argv[2])
write = Writer.write

def dying(self, image):
    write(self, image)
    if "{:09d}".format(last) in self.path.name and self.count == 3:
        os.kill(os.getpid(), signal.SIGKILL)

Writer.write = dying
Pipeline("cel", settings=Settings.of({}, "animation")).run("animation_kettle", "voice_umbrella", sys.argv[1])
"""


def test_a_long_run_that_was_killed_goes_on_with_the_segment_it_was_in(tmp_path):
    """104 frames in segments of 10 (0.4 s), killed in the segment that begins with frame 50."""
    rendered = []
    for last in (50, 999):
        done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "killed", str(last)], check=False)
        (left,) = [*tmp_path.glob(".killed.*.segments")] or [None]
        rendered.append((done.returncode, None if left is None else len([*left.glob("*.mp4")])))
    assert rendered == [(-9, 5), (0, None)]
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "whole", "999"], check=True)
    assert Run(tmp_path / "killed").output.read_bytes() == Run(tmp_path / "whole").output.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".part")) == ["killed", "whole"]
