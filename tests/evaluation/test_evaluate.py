"""Evaluation: the cache, the number of passes, any two videos, domains, and metrics that are added."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile
from pandas.testing import assert_frame_equal

import lipsync_lab
from lipsync_lab import evaluation, files, runs, samples
from lipsync_lab.detection.shots import Shots
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import cache, networks
from lipsync_lab.evaluation.alignment import align
from lipsync_lab.evaluation.evaluate import evaluate, ground_truth_of
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import open_clip
from lipsync_lab.metrics import failures, registry, sync
from lipsync_lab.metrics.openness import silent_frames
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.validation import injected, response
from lipsync_lab.models import registry as checkpoints
from lipsync_lab.pipeline import Pipeline

NETWORKS = {"sync_expert": None, "discriminator": None, "lse": None, "mouth_openness": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    """A run of the identity generator, with one frame without a box."""
    home = tmp_path_factory.mktemp("evaluation")
    clip = home / "clip.mp4"
    shutil.copy(samples.path("animation_hello"), clip)
    ground_truth = ground_truth_of(samples.path("animation_hello"))
    boxes = ground_truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy().tolist()
    boxes[10] = None
    (home / "boxes.json").write_text(json.dumps({"frames": len(boxes), "boxes": boxes}), encoding="utf-8")
    return Pipeline("identity", home / "boxes.json", device="cpu").run(clip, clip, home / "run")


def times(run: runs.Run) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (run.folder / evaluation.FOLDER).iterdir()}


def test_the_second_time_it_is_read_to_the_last_digit(run):
    first = evaluate(run, **NETWORKS)
    written = times(run)
    second = evaluate(run, **NETWORKS)
    assert times(run) == written
    for name in ("frames", "scores", "curves", "failures", "metrics"):
        assert_frame_equal(getattr(first, name), getattr(second, name))
    evaluate(run, **NETWORKS, force=True)
    assert times(run) != written


def test_the_file_of_failures_is_the_table_that_pages_read(run):
    result = evaluate(run, **NETWORKS)
    for name in ("failures", "metrics"):
        text = getattr(result, name).to_csv(index=False, lineterminator="\n", float_format="%.6g")
        assert (run.folder / evaluation.FOLDER / f"{name}.csv").read_text(encoding="utf-8") == text
    assert len(result.failures)


def test_the_ground_truth_is_in_the_key(run):
    ground_truth = Path(run.info["clip"]["file"]).with_suffix(".truth.csv")
    without = evaluate(run, **NETWORKS)
    try:
        shutil.copy(samples.path("animation_hello").with_suffix(".truth.csv"), ground_truth)
        with_it = evaluate(run, **NETWORKS)
        pd.read_csv(ground_truth).assign(mouth_x1=0.0).to_csv(ground_truth, index=False)
        edited = evaluate(run, **NETWORKS)
    finally:
        ground_truth.unlink()
    assert without.frames["crop_truncation"].isna().all()
    assert with_it.metric("crop_truncation") < 0.05 < edited.metric("crop_truncation")
    assert_frame_equal(evaluate(run, **NETWORKS).frames, without.frames)


def test_thresholds_messages_and_the_cut_detector_are_in_the_key(monkeypatch):
    usual, metrics = cache.key({}), registry.metrics()
    assert cache.key({}) == usual
    assert cache.key({"domain": "animation"}) != usual
    for change in ({"threshold": 0.01}, {"saturation": 0.9}, {"message": "other words"}, {"of_pair": brightness}):
        changed = tuple(replace(m, **change) if m.name == "sharpness_loss" else m for m in metrics)
        with monkeypatch.context() as patch:
            patch.setattr(registry, "metrics", lambda changed=changed: changed)
            assert cache.key({}) != usual
    defaults = Shots.__init__.__defaults__
    monkeypatch.setattr(Shots.__init__, "__defaults__", (defaults[0] + 1, *defaults[1:]))
    assert cache.key({}) != usual


def drop_column(path: Path) -> None:
    pd.read_csv(path).iloc[:, :-1].to_csv(path, index=False)


def drop_row(path: Path) -> None:
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(True)[:-1]), encoding="utf-8")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00{" * 20)


def edit(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0", "1", 1), encoding="utf-8")


def other_json(path: Path) -> None:
    path.write_text("[1, 2]", encoding="utf-8")


def deep_json(path: Path) -> None:
    path.write_text("[" * 100_000, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        *((f"{name}.csv", spoil) for name in ("frames", "scores") for spoil in (drop_column, drop_row, edit)),
        *((f"{name}.csv", binary) for name in ("frames", "curves", "failures", "metrics")),
        *((f"{name}.csv", Path.unlink) for name in ("frames", "metrics")),
        *(("about.json", spoil) for spoil in (truncate, binary, edit, other_json, deep_json, Path.unlink)),
    ],
)
def test_a_spoilt_file_of_the_cache_is_a_miss(run, tmp_path, file, spoil):
    evaluate(run, **NETWORKS)
    folder = Path(shutil.copytree(run.folder / evaluation.FOLDER, tmp_path / "copy"))
    key = json.loads((folder / "about.json").read_text(encoding="utf-8"))["key"]
    assert cache.read(folder, key) is not None
    assert cache.read(folder, key[::-1]) is None
    spoil(folder / file)
    assert cache.read(folder, key) is None


def test_what_was_spoilt_is_made_again(run):
    wanted = evaluate(run, **NETWORKS)
    path = run.folder / evaluation.FOLDER / "frames.csv"
    content = path.read_bytes()
    drop_column(path)
    assert_frame_equal(evaluate(run, **NETWORKS).frames, wanted.frames)
    assert path.read_bytes() == content


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files whose pictures are decoded, one entry a pass."""
    passes, pictures = [], video._pictures

    def counted(source, start):
        passes.append(source.path.name)
        return pictures(source, start)

    monkeypatch.setattr(video, "_pictures", counted)
    return passes


def test_one_pass_over_either_video(run, decoded):
    evaluate(run, lse=None, force=True, device="cpu")
    assert sorted(decoded) == ["clip.mp4", "output.mp4"]


def test_videos_too_long_to_be_kept_are_decoded_for_every_reading(run, boxes, decoded, monkeypatch):
    pair = (run.info["clip"]["file"], run.output)
    kept = evaluate(*pair, detections=boxes, **NETWORKS)
    decoded.clear()
    monkeypatch.setattr("lipsync_lab.media.kept.Kept.__init__.__defaults__", (0,))
    again = evaluate(*pair, detections=boxes, **NETWORKS)
    assert sorted(decoded) == ["clip.mp4"] * 4 + ["output.mp4"] * 3
    assert_frame_equal(kept.frames, again.frames)


def test_a_hit_decodes_nothing_and_loads_no_network(run, decoded, monkeypatch):
    evaluate(run, lse=None, device="cpu")
    decoded.clear()
    monkeypatch.setattr(checkpoints, "load", None)
    result = evaluate(run, lse=None)
    assert decoded == []
    assert result.about["sync_expert"]["sha256"] == files.sha256(checkpoints.MODELS[networks.SYNC_EXPERT].path)
    assert result.about["sync_expert"]["width"] > 0


def test_other_weights_are_another_evaluation(run, tmp_path):
    own = tmp_path / "own.safetensors"
    shutil.copy(checkpoints.MODELS[networks.SYNC_EXPERT].path, own)
    first = networks.identified({"sync_expert": own})["sync_expert"]
    own.write_bytes(own.read_bytes() + b" ")
    second = networks.identified({"sync_expert": own})["sync_expert"]
    assert first["name"] == second["name"] == "own.safetensors"
    assert first["sha256"] != second["sha256"]


@pytest.mark.parametrize(("there", "wanted"), [(True, "cuda"), (False, "cpu")])
def test_networks_run_on_cuda_where_there_is_one(run, monkeypatch, there, wanted):
    import torch

    asked = []

    def load(name, kind, device):
        asked.append(device)
        raise MediaError("far enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(checkpoints, "load", load)
    for device in (None, "cpu"):
        with pytest.raises(MediaError, match="far enough"):
            evaluate(run, force=True, device=device)
    assert asked == [wanted, "cpu"]


def test_one_row_a_frame_and_the_miss_is_in_it(run):
    result = evaluate(run, **NETWORKS)
    assert result.frames.index.tolist() == list(range(len(run.ledger())))
    assert result.frames.index[result.frames["missed_detection"] == 1].tolist() == [10]
    assert "missed detection" in set(result.failures["kind"])
    # where no mouth was generated nothing can be message of the picture
    assert np.isnan(result.frames["sharpness_loss"][10])
    assert result.frames["sharpness_loss"].notna().sum() == len(result.frames) - 1


def test_the_summary_has_one_row_a_metric(run):
    result = evaluate(run, **NETWORKS)
    table = result.metrics.set_index("metric")
    assert table.index.is_unique
    header = (run.folder / evaluation.FOLDER / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "metric,value,low,high,unit,n_frames,coverage,threshold,failed,reason"
    blur, count = result.frames["sharpness_loss"], len(result.frames)
    assert table.loc["sharpness_loss", "value"] == result.metric("sharpness_loss") == pytest.approx(blur.median())
    assert table.loc["sharpness_loss", ["low", "high"]].tolist() == pytest.approx(blur.quantile([0.25, 0.75]).tolist())
    # a rate is a mean, which has no quartiles
    assert table.loc["missed_detection", "value"] == pytest.approx(1 / count)
    assert table.loc["missed_detection", ["low", "high"]].isna().all()
    assert table.loc["sharpness_loss", ["n_frames", "coverage", "threshold"]].tolist() == [
        count - 1,
        (count - 1) / count,
        0.35,
    ]
    assert table["failed"].to_dict()["missed_detection"] == 1
    # a value has a reason beside it where its own offset is not stated
    noted = table.index[table["value"].notna() & (table["reason"] != "")]
    assert set(noted) == {"openness_best", "syncnet_distance"} & set(table.index[table["value"].notna()])
    assert table.loc["openness_best", "reason"].endswith("openness_offset says why that offset is not stated")
    assert table.loc["openness_offset", "reason"] != ""
    assert (table.loc[table["value"].isna(), "reason"] != "").all()
    assert (
        table.loc["syncnet_distance_per_frame", "reason"] == table.loc["realism_loss", "reason"] == "none was asked for"
    )
    assert "ground truth" in table.loc["crop_truncation", "reason"]
    assert np.isnan(result.metric("nothing"))


def test_a_network_that_is_absent_leaves_its_scores_undefined_with_the_reason(run):
    scores = evaluate(run, **NETWORKS).scores
    of_expert = scores[scores["score"].str.startswith(("syncnet_", "av_"))]
    assert len(of_expert) == 4
    assert of_expert["value"].isna().all()
    assert set(of_expert["reason"]) == {"none was asked for"}


def test_metrics_of_holds_are_for_animation_alone(run):
    drawn = evaluate(run, **NETWORKS)
    assert drawn.domain == "animation"  # by the content: the clip is a copy of a sample
    filmed = evaluate(run, **NETWORKS, domain="live_action")
    for name in ("mouth_change_during_hold", "box_jitter_on_holds"):
        assert drawn.frames[name].notna().any()
        assert filmed.frames[name].isna().all()
        row = filmed.metrics.set_index("metric").loc[name]
        assert "animation only, and this clip is live_action" in row["reason"]
        assert row["n_frames"] == 0
    assert filmed.frames["sharpness_loss"].equals(drawn.frames["sharpness_loss"])
    with pytest.raises(ParameterError, match="synthetic_photo"):
        evaluate(run, **NETWORKS, domain="clay")


@pytest.mark.parametrize(
    ("name", "animated"), [("animation_hello", True), ("astronaut_hello", False), ("grid_lip_lbbc2a", False)]
)
def test_holds_of_a_clip_of_unknown_domain_are_those_of_animation(name, animated, tmp_path, request):
    """The speaker of the recording keeps still in 61 % of its frames."""
    if name.startswith("grid"):
        path = request.getfixturevalue("shared") / f"footage/live/{name}.mpg"
    else:
        path = samples.path(name)
    source = changed(path, tmp_path / "source.mkv", slice(None))
    output = changed(path, tmp_path / "output.mkv", slice(None), lambda image: cv2.GaussianBlur(image, (0, 0), 2))
    result = evaluate(source, output, **NETWORKS)
    assert result.domain is None
    for metric in ("mouth_change_during_hold", "box_jitter_on_holds"):
        row = result.metrics.set_index("metric").loc[metric]
        assert (row["n_frames"] > 0) == animated
        assert ("the domain is unknown" in row["reason"]) == (not animated)
    assert result.metric("sharpness_loss") > 0


def test_a_clip_that_is_gone_or_another_is_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    info = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    for file, content, message in (("gone.mp4", None, "gone"), ("other.mp4", b"another", "not the clip any more")):
        if content:
            (tmp_path / file).write_bytes(content)
        info["clip"]["file"] = str(tmp_path / file)
        info["clip"]["sha256"] = "0" * 64  # a sample would be result by its hash
        (copy / "run.json").write_text(json.dumps(info), encoding="utf-8")
        with pytest.raises(MediaError, match=message):
            evaluate(runs.Run(Path(copy)), **NETWORKS)


def test_a_bundled_clip_and_its_output(run):
    result = lipsync_lab.evaluate("animation_hello", run.output, lse=None, device="cpu")
    assert result.domain == "animation"
    assert result.score("av_offset") == 0
    assert result.metric("missed_detection") == 0 < result.metric("sharpness_loss")


@pytest.fixture(scope="module")
def boxes(run) -> Path:
    return run.folder.parent / "boxes.json"


def test_nothing_is_out_of_sync_in_silence(run, tmp_path):
    wave = audio.load(run.output)
    wave[: len(wave) // 2] = 0
    voice = tmp_path / "voice.wav"
    soundfile.write(voice, wave, audio.SAMPLE_RATE)
    distance = evaluate(run.info["clip"]["file"], run.output, voice=voice, detections=run.detections).frames[
        "syncnet_distance_per_frame"
    ]
    silent = silent_frames(wave, 25, len(distance))
    assert silent.sum() > 20
    assert distance[silent].isna().all()
    assert distance[~silent].notna().mean() > 0.8


def test_a_run_and_its_two_videos_give_the_same_numbers(run, boxes, tmp_path, decoded):
    of_run = evaluate(run, **NETWORKS, force=True)
    decoded.clear()
    pair = (run.info["clip"]["file"], run.output)
    result = evaluate(*pair, detections=boxes, **NETWORKS, out=tmp_path / "out")
    # although detection reads the source as well, and two searches for the edit, of which there is none, read both
    assert sorted(decoded) == ["clip.mp4", "output.mp4"]
    assert_frame_equal(result.frames, of_run.frames)
    assert_frame_equal(result.scores, of_run.scores)
    decoded.clear()
    again = evaluate(*pair, detections=boxes, **NETWORKS, out=tmp_path / "out")
    assert decoded == []
    assert_frame_equal(result.metrics, again.metrics)


def written(path: Path, frames: int, size: tuple[int, int] = (64, 48), sound=None) -> Path:
    rng = np.random.default_rng(0)
    with video.Writer(path, fps=25, codec="ffv1") as film:
        for _ in range(frames):
            film.write(rng.integers(0, 255, (size[1], size[0], 3), np.uint8))
    return path


def test_other_footage_is_refused_with_numbers(tmp_path):
    source = written(tmp_path / "source.mkv", 12)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"frames": 12, "boxes": [[10, 10, 40, 40]] * 12}), encoding="utf-8")
    larger = written(tmp_path / "larger.mkv", 12, (66, 48))
    with pytest.raises(ParameterError, match=r"same footage.*at the start and -?0\.\d\d at the end"):
        evaluate(source, larger, detections=boxes, **NETWORKS)
    with pytest.raises(ParameterError, match="no output"):
        evaluate(source)
    # one frame more or less, and sides that were rounded up, are what encoders do
    odd = written(tmp_path / "odd.mkv", 12, (63, 47))
    images = [np.pad(frame.image, ((0, 1), (0, 1), (0, 0)), mode="edge") for frame in video.frames(odd)]
    near = video.write_clip(tmp_path / "near.mkv", [*images, images[-1]], 25, codec="ffv1")
    result = evaluate(odd, near, detections=boxes, **NETWORKS)
    assert len(result.frames) == 12
    assert result.domain is None
    assert result.alignment is None


def changed(path: Path, target: Path, frames: slice, change=lambda image: image, repeats: int = 1) -> Path:
    images = [change(frame.image) for frame in video.frames(path)][frames] * repeats
    return video.write_clip(target, images, 25, codec="ffv1")


def test_an_output_of_another_size_and_length_is_aligned(run, boxes, tmp_path):
    """Of the output frames 20 to 59, cropped to a part and shown twice, the metrics are those of that part."""
    source, rows = Path(run.info["clip"]["file"]), slice(20, 60)
    part = changed(source, tmp_path / "part.mkv", rows, lambda image: image[40:360, 60:340])
    short = changed(source, tmp_path / "short.mkv", rows)
    own = changed(run.output, tmp_path / "own.mkv", rows, lambda image: image[40:360, 60:340])
    long = changed(run.output, tmp_path / "long.mkv", rows, lambda image: image[40:360, 60:340], 2)
    places = json.loads(boxes.read_text(encoding="utf-8"))["boxes"][rows]
    faces = {"whole": places, "part": [box and [box[0] - 60, box[1] - 40, box[2] - 60, box[3] - 40] for box in places]}
    for name, values in faces.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"frames": 40, "boxes": values}), encoding="utf-8")
    wanted = evaluate(part, own, detections=tmp_path / "part.json", **NETWORKS)
    result = evaluate(short, long, detections=tmp_path / "whole.json", **NETWORKS, out=tmp_path / "out")
    assert (result.alignment["offset"], result.alignment["loop"]) == (0, "loop")
    assert result.alignment["source_box"] == [60, 40, 340, 360]
    assert len(result.frames) == 80
    for name in ("sharpness_loss", "colour_shift", "background_change"):
        assert result.metric(name) == pytest.approx(wanted.metric(name), rel=0.02)
    again = evaluate(short, long, detections=tmp_path / "whole.json", **NETWORKS, out=tmp_path / "out")
    assert again.alignment == result.alignment


@pytest.mark.parametrize(
    ("name", "crf", "scale"),
    [
        *(("small_in_the_hills", 28, 1.0), ("cut_in_the_city", 23, 1.0), ("animation_hello", 23, 0.75)),
        *(("astronaut_hello", 18, 1.0), ("astronaut_hello", 28, 1.0), ("grid_s2_pwij3p", 28, 1.0)),
    ],
)
def test_a_source_that_was_only_encoded_again_has_no_failure_of_any_kind(tmp_path, name, crf, scale, request):
    """With its sound, whatever the detector misses, and in every domain; the numbers stay."""
    if name.startswith("grid"):
        path = request.getfixturevalue("shared") / "footage" / "live" / f"{name}.mpg"
        domain = "live_action"
    else:
        path, domain = samples.path(name), samples.get(name).domain
    images = [frame.image for frame in video.frames(path, stop=48)]
    sound = audio.Sound.from_wave(audio.load(path)[: 48 * audio.SAMPLE_RATE // 25])
    source = video.write_clip(tmp_path / "source.mkv", images, 25, codec="ffv1", sound=sound)
    size = [2 * round(side * scale / 2) for side in images[0].shape[1::-1]]
    images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale != 1 else image for image in images]
    output = video.write_clip(tmp_path / "output.mp4", images, 25, crf=crf, sound=sound)
    options = {"domain": domain, "device": "cpu", "out": tmp_path / "out"}
    result = evaluate(source, output, **options)
    assert result.region["kind"] == "none"
    assert not result.is_edited
    assert result.failures.empty
    assert not result.metrics["failed"].any()
    table = result.metrics.set_index("metric")
    assert table["value"].notna()[["sharpness_loss", "ssim_inside", "syncnet_distance"]].all()
    assert "nothing was edited" in table.loc["sharpness_loss", "reason"]
    assert result.metric("encode_noise") > 0.1
    again = evaluate(source, output, **options)
    assert again.region == result.region
    assert_frame_equal(again.failures, result.failures)


def test_of_an_output_that_was_encoded_again_what_fails_is_beyond_the_noise(run, boxes, tmp_path):
    source = Path(run.info["clip"]["file"])
    images = np.stack([frame.image for frame in video.frames(source)])
    places = json.loads(boxes.read_text(encoding="utf-8"))["boxes"]
    for image, place in zip(images, places, strict=True):
        if place:
            x1, y1, x2, y2 = (int(edge) for edge in place)
            image[y1:y2, x1:x2] = cv2.GaussianBlur(image[y1:y2, x1:x2], (0, 0), 3) // 2 + 60
    output = video.write_clip(tmp_path / "output.mp4", images, 25, crf=26)
    result = evaluate(source, output, detections=boxes, **NETWORKS, domain="animation")
    assert result.region["kind"] != "none"
    assert result.is_edited
    assert result.facts["box_source"] == "detections.json"
    assert 0 < result.region["levels"]["colour_shift"] < 5
    assert {"sharpness loss", "colour shift", "missed detection"} <= set(result.failures["kind"])
    assert "background change" not in set(result.failures["kind"])
    # a frame that was left as it is has no generated mouth
    assert np.isnan(result.frames["colour_shift"][10])
    assert result.metric("background_change_noise") < 4


def test_the_numbers_rest_on_what_evaluation_json_names(run, boxes, tmp_path):
    source = Path(run.info["clip"]["file"])
    result = evaluate(source, run.output, detections=boxes, **NETWORKS, device="cpu", out=tmp_path)
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(result.as_dict()))
    assert "NaN" not in (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    for kind, path in (("source", source), ("output", run.output), ("voice", run.output), ("detections", boxes)):
        assert written["inputs"][kind] == {"name": path.name, "sha256": files.sha256(path)}
    assert {"lipsync_lab", "torch", "opencv-python-headless", "av"} <= set(written["versions"])
    assert written["thresholds"]["colour_shift"] == 3.0
    assert (written["device"], written["box_source"]) == ("cpu", "detections.json")
    assert written["networks"]["sync_expert"]["absent"] == "none was asked for"
    assert evaluate(run, **NETWORKS).facts["box_source"] == "run"


def test_the_bundled_expert_is_called_unreliable_on_filmed_speech(run):
    options = NETWORKS | {"sync_expert": networks.SYNC_EXPERT}
    for domain, there in (("live_action", True), ("animation", False)):
        table = evaluate(run, **options, domain=domain, device="cpu").metrics.set_index("metric")
        assert table.loc["syncnet_confidence", "reason"] == ("not reliable on filmed speech" if there else "")
        assert table.loc["syncnet_confidence", "value"] > 0


def test_an_alignment_that_is_given_is_taken(run, boxes, tmp_path):
    source = Path(run.info["clip"]["file"])
    later = changed(run.output, tmp_path / "later.mkv", slice(8, None))
    lined_up = align(open_clip(source), open_clip(later))
    assert lined_up.offset == 8
    shifted = evaluate(source, later, detections=boxes, alignment=replace(lined_up, offset=0.0), **NETWORKS)
    assert shifted.alignment["offset"] == 0
    aligned = evaluate(source, later, detections=boxes, alignment=lined_up, **NETWORKS)
    assert aligned.frames["background_change"].mean() < 0.5 * shifted.frames["background_change"].mean()
    with pytest.raises(ParameterError, match="give the run alone"):
        evaluate(run, alignment=lined_up, **NETWORKS)


def test_an_output_without_sound_has_no_scores_and_says_why(tmp_path):
    source = written(tmp_path / "source.mkv", 12)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"frames": 12, "boxes": [[10, 10, 40, 40]] * 12}), encoding="utf-8")
    options = NETWORKS | {"sync_expert": networks.SYNC_EXPERT}
    result = evaluate(source, source, detections=boxes, device="cpu", **options)
    assert result.scores["value"].isna().all()
    reasons = result.scores.set_index("score")["reason"]
    assert "no sound" in reasons["syncnet_distance"].iloc[0]
    assert result.metric("background_change") == 0
    voiced = evaluate(source, source, voice="voice_umbrella", detections=boxes, device="cpu", **options)
    assert "no sound" not in "".join(voiced.scores["reason"])


def brightness(pair: FramePair) -> float:
    """A metric for which smaller is worse: grey levels of the output over those of the source."""
    return float(pair.output.mean() - pair.source.mean())


def darkened(material: injected.Material, strength: float, seed: int = 0) -> np.ndarray:
    return (material.frames * (1 - 0.5 * strength)).astype(np.uint8)


@pytest.fixture
def toy():
    yield registry.register(
        registry.Metric(
            *("brightness", "grey levels", "picture", "darkened frame", -5.0, -50.0, "{value:.1f} grey levels darker"),
            direction=-1,
            of_pair=brightness,
            artifact=registry.Artifact("darkened", darkened),
        )
    )
    registry.unregister("brightness")


def test_a_metric_is_added_by_its_declaration_alone(run, toy):
    result = evaluate(run, **NETWORKS)
    assert result.metrics.set_index("metric").loc["brightness", ["unit", "threshold", "failed"]].tolist() == [
        *("grey levels", -5.0, 0),
    ]
    assert result.frames["brightness"].abs().max() < 5
    dark = result.frames.assign(brightness=np.where(result.frames.index < 4, -27.5, 0.0))
    row = failures.find(dark).set_index("kind").loc["darkened frame"]
    assert row[["first", "last", "frames", "severity"]].tolist() == [0, 3, 4, 0.5]
    assert row["evidence"] == "-27.5 grey levels darker"
    assert "darkened frame" in [kind.failure for kind in failures.KINDS]
    assert response.artifacts_and_metrics()["darkened"] == "brightness"
    with pytest.raises(ParameterError, match="brightness"):
        registry.register(toy)


def test_a_removed_metric_is_gone(run):
    assert "brightness" not in evaluate(run, **NETWORKS).frames
    assert "darkened frame" not in [kind.failure for kind in failures.KINDS]


def test_other_footage_of_the_same_size_and_length_is_refused():
    with pytest.raises(ParameterError, match="do not show the same footage"):
        evaluate("animation_hello", "astronaut_hello", sync_expert=None, discriminator=None, mouth_openness=None)


def test_a_sound_is_embedded_once_for_both_sides(run, monkeypatch):
    """The clip's own sound, and its three controls, which belong to the output alone."""
    calls, embed = [], sync.embed_audio

    def counted(protocol, network, wave):
        calls.append(len(wave))
        return embed(protocol, network, wave)

    monkeypatch.setattr(sync, "embed_audio", counted)
    result = evaluate(run, **NETWORKS | {"sync_expert": networks.SYNC_EXPERT}, device="cpu")
    assert len(calls) == 4
    # as if each input were measured by itself
    own = result.scores.query("score == 'syncnet_distance'").set_index("input")["value"]
    lowest = result.curves.groupby("input")["distance"].min()
    assert own["dubbed"] == pytest.approx(lowest["output"])
    assert own["untouched_source"] == pytest.approx(lowest["source"])
