"""The edited region: boxes of runs whose paste is known, after another encode; and the encode as a control."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from lipsync_lab import runs, samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation.edited_region import EditedRegion, edited_region, encode_noise
from lipsync_lab.evaluation.encode_control import (
    beyond_noise,
    control_frames,
    encoded,
    frames_of,
    matching_quality,
    noise_levels,
)
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.media import video
from lipsync_lab.media.clip import Clip, clip_from_array, open_clip
from lipsync_lab.metrics import collect, failures
from lipsync_lab.metrics.detection import iou
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

FRAMES = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("region")


def start(name: str, home: Path) -> tuple[Path, Path]:
    """The first frames of a sample, with a sound, and a file of the true boxes of its face."""
    clip, boxes = home / f"{name}.mp4", home / f"{name}.json"
    if not clip.is_file():
        images = (frame.image for frame in video.frames(samples.path(name), stop=FRAMES))
        video.write_clip(clip, images, 25, crf=10)
        truth = ground_truth_of(samples.path(name))[:FRAMES]
        rows = truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy().tolist()
        boxes.write_text(json.dumps({"frames": FRAMES, "boxes": rows}), encoding="utf-8")
    return clip, boxes


def dubbed(name: str, home: Path, feather: float) -> runs.Run:
    clip, boxes = start(name, home)
    settings = Settings(feather=feather)
    return Pipeline("wav2lip-lab", boxes, settings, device="cpu").run(
        clip, samples.path("voice_lighthouse"), home / f"{name}-{feather}"
    )


def read(path: Path, count: int) -> np.ndarray:
    return np.stack([frame.image for frame in video.frames(path, stop=count)])


@pytest.mark.parametrize(("feather", "scale", "least"), [(0.0, 1.0, 0.9), (0.0, 0.75, 0.9), (0.1, 1.0, 0.8)])
def test_the_box_of_a_run_is_found_after_another_encode(home, feather, scale, least):
    run = dubbed("animation_hello", home, feather)
    source = read(Path(run.info["face"]["file"]), FRAMES)
    output = read(run.output, FRAMES)
    if scale != 1:
        source, output = (
            np.stack([cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for image in images])
            for images in (source, output)
        )
    clip = clip_from_array(source, 25)
    again = read(video.write_clip(home / "again.mp4", output, 25, crf=23), FRAMES)
    control = encoded(clip, home / "control.mp4")
    region = edited_region(zip(source, again, strict=True), frames_of(clip, control))
    box = np.trunc(run.ledger()[["x1", "y1", "x2", "y2"]].to_numpy(float))
    if feather:
        # the lower half of the crop, where the generated face has half its weight
        side = box[:, 2:] - box[:, :2]
        box[:, 1] += side[:, 1] / 2
        box += 0.05 * np.hstack((side, -side))
    assert float(np.median(iou(region.boxes, box * scale))) > least
    assert region.kind == ("mask" if feather else "rectangle")
    assert region.contrast > 2
    middle = region.mask(FRAMES // 2)
    assert middle.shape == source.shape[1:3]
    inside = region.box(FRAMES // 2).area / middle.size
    assert 0.5 * inside < middle.mean() <= 1.05 * inside
    noise = encode_noise(zip(source, again, strict=True), region)
    outside = np.ones(source.shape[1:3], bool)
    x1, y1, x2, y2 = (box[0] * scale).astype(int)
    outside[y1 - 20 : y2 + 20, x1 - 20 : x2 + 20] = False
    assert noise.channels[0] == pytest.approx(cv2.absdiff(source[0], again[0])[outside][:, 0].mean(), rel=0.35)
    assert noise.frames.shape == (FRAMES,)
    assert noise.luma < noise.p99


def test_near_a_face_alone_the_region_is_looked_for(home):
    rng = np.random.default_rng(0)
    source = np.repeat(rng.integers(0, 256, (1, 96, 128, 3), np.uint8), 8, axis=0)
    output = source.copy()
    output[:, 60:80, 20:44] //= 2
    output[:, 8:40, 80:120] //= 4
    clip = clip_from_array(source, 25)
    faces = np.tile([16.0, 50.0, 48.0, 84.0], (8, 1))
    pairs, control = list(zip(source, output, strict=True)), encoded(clip, home / "noise.mp4")
    assert region_box(edited_region(pairs, frames_of(clip, control))) == pytest.approx((80, 8, 120, 40), abs=2)
    near = edited_region(pairs, frames_of(clip, control), faces)
    assert region_box(near) == pytest.approx((20, 60, 44, 80), abs=2)


def region_box(region: EditedRegion) -> tuple[float, ...]:
    return tuple(region.box(len(region) // 2))


def test_frames_that_were_not_changed_have_no_box(home):
    rng = np.random.default_rng(0)
    source = np.repeat(rng.integers(0, 256, (1, 96, 128, 3), np.uint8), 30, axis=0)
    output = source.copy()
    output[10:, 40:80, 20:60] = 255 - output[10:, 40:80, 20:60]
    clip = clip_from_array(source, 25)
    region = edited_region(zip(source, output, strict=True), frames_of(clip, encoded(clip, home / "half.mp4")))
    assert np.isnan(region.boxes[:, 0]).tolist() == [True] * 10 + [False] * 20
    assert region.box(3) is None
    assert not region.mask(3).any()


def test_frames_that_are_not_aligned_are_refused():
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ParameterError, match="not aligned"):
        edited_region([(image, image[:16])], [image])
    with pytest.raises(ParameterError, match="no aligned pair"):
        edited_region([], [])


def measured(source: Clip, frames, ledger: pd.DataFrame, truth, domain: str) -> pd.DataFrame:
    return collect.collect(zip(source.read(0, None), frames, strict=True), ledger, truth).with_metrics(domain).frames


@pytest.mark.parametrize("crf", [18, 23, 28])
@pytest.mark.parametrize("name", ["small_in_the_hills", "cut_in_the_city", "astronaut_hello"])
def test_an_encode_alone_is_no_failure(home, name, crf):
    path, boxes = start(name, home)
    source = open_clip(path)
    run = Pipeline("identity", boxes, device="cpu").run(path, samples.path("voice_lighthouse"), home / f"{name}-id")
    ledger = run.ledger().iloc[:FRAMES]
    truth, domain = ground_truth_of(samples.path(name))[:FRAMES], samples.get(name).domain
    output = encoded(source, home / "output.mp4", crf)
    frames = measured(source, frames_of(source, output), ledger, truth, domain)
    usual = encoded(source, home / "usual.mp4")
    pairs = zip(source.read(0, None), frames_of(source, output), strict=True)
    region = edited_region(pairs, frames_of(source, usual), ledger[["x1", "y1", "x2", "y2"]].to_numpy(float))
    pairs = zip(source.read(0, None), frames_of(source, output), strict=True)
    quality = matching_quality(source, region, encode_noise(pairs, region), home)
    assert abs(quality - crf) <= 2
    control = control_frames(source, encoded(source, home / "c.mp4", quality), ledger, truth, domain)
    of_pictures = set(control.columns)
    before, after = (failures.find(table) for table in (frames, beyond_noise(frames, control)))
    assert not set(after["metric"]) & of_pictures
    if crf == 28 and name == "small_in_the_hills":
        assert set(before["metric"]) & of_pictures


def test_the_worst_value_nearby_is_the_noise_and_the_rest_is_beyond_it():
    index = pd.RangeIndex(9, name="frame")
    control = pd.DataFrame({"colour_shift": [0, 0, 0, 0, 2.0, 0, 0, 0, np.nan]}, index=index)
    levels = noise_levels(control)["colour_shift"].tolist()
    assert levels == [0, 0, 2, 2, 2, 2, 2, 0, 0]
    frames = pd.DataFrame({"colour_shift": np.full(9, 3.5), "shot": 0}, index=index)
    assert beyond_noise(frames, control)["colour_shift"].tolist() == [3.5, 3.5, 1.5, 1.5, 1.5, 1.5, 1.5, 3.5, 3.5]
    assert beyond_noise(frames, control)["shot"].tolist() == [0] * 9
