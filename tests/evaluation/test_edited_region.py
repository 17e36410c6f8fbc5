"""The edited region: boxes of runs whose paste is known, after another encode; and sources that were only encoded."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync_lab import runs, samples
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import edited_region as region
from lipsync_lab.evaluation.edited_region import EditedRegion, edited_region
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.evaluation.rectangle import CELL, REACH, rectangle
from lipsync_lab.media import video
from lipsync_lab.metrics.detection import iou
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

FRAMES = 20
#: Frames of the clip with a mouth of animation.
_DRAWN = 40


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
    source = read(Path(run.info["clip"]["file"]), FRAMES)
    output = read(run.output, FRAMES)
    if scale != 1:
        source, output = (
            np.stack([cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for image in images])
            for images in (source, output)
        )
    again = read(video.write_clip(home / "again.mp4", output, 25, crf=23), FRAMES)
    region = edited_region(zip(source, again, strict=True))
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


def test_near_a_face_alone_the_region_is_looked_for():
    rng = np.random.default_rng(0)
    source = np.repeat(rng.integers(0, 256, (1, 96, 128, 3), np.uint8), 8, axis=0)
    output = source.copy()
    output[:, 60:80, 20:44] //= 2
    output[:, 8:40, 80:120] //= 4
    faces = np.tile([16.0, 50.0, 48.0, 84.0], (8, 1))
    pairs = list(zip(source, output, strict=True))
    assert region_box(edited_region(pairs)) == pytest.approx((80, 8, 120, 40), abs=2)
    near = edited_region(pairs, faces)
    assert region_box(near) == pytest.approx((20, 60, 44, 80), abs=2)


def region_box(region: EditedRegion) -> tuple[float, ...]:
    return tuple(region.box(len(region) // 2))


def test_frames_that_were_not_changed_have_no_box():
    rng = np.random.default_rng(0)
    source = np.repeat(rng.integers(0, 256, (1, 96, 128, 3), np.uint8), 30, axis=0)
    output = source.copy()
    output[10:, 40:80, 20:60] = 255 - output[10:, 40:80, 20:60]
    region = edited_region(zip(source, output, strict=True))
    assert np.isnan(region.boxes[:, 0]).tolist() == [True] * 10 + [False] * 20
    assert region.box(3) is None
    assert not region.mask(3).any()


def test_frames_that_are_not_aligned_are_refused():
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ParameterError, match="not aligned"):
        edited_region([(image, image[:16])])
    with pytest.raises(ParameterError, match="no aligned pair"):
        edited_region([])


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("crf", [18, 28])
@pytest.mark.parametrize("name", ["small_in_the_hills", "cut_in_the_city", "astronaut_hello"])
def test_an_encode_alone_is_no_edit(home, name, crf, shift):
    """Also where all of the picture is brighter, as another conversion of colours makes it."""
    path, boxes = start(name, home)
    source = read(path, FRAMES)
    again = read(video.write_clip(home / "encoded.mp4", source, 25, crf=crf), FRAMES)
    faces = np.array(json.loads(boxes.read_text(encoding="utf-8"))["boxes"], float)
    pairs = zip(source, np.clip(again.astype(int) + shift, 0, 255).astype(np.uint8), strict=True)
    region = edited_region(pairs, faces)
    assert region.kind == "none"
    assert np.isnan(region.boxes).all()
    assert region.box(0) is None
    assert region.as_dict()["box"] is None


@pytest.mark.parametrize("crf", [None, 28])
@pytest.mark.parametrize("name", ["animation_kettle", "animation_violin"])
def test_a_small_mouth_that_is_blended_is_an_edit(home, name, crf):
    """Its cells keep their mean luma to within what an encode does; the shapes in them are others."""
    run = dubbed(name, home, 0.1)
    source, output = read(Path(run.info["clip"]["file"]), FRAMES), read(run.output, FRAMES)
    if crf is not None:
        output = read(video.write_clip(home / "again.mp4", output, 25, crf=crf), FRAMES)
    faces = np.array(json.loads((home / f"{name}.json").read_text(encoding="utf-8"))["boxes"], float)
    region = edited_region(zip(source, output, strict=True), faces)
    assert region.kind != "none"
    assert region.redrawn > 2 * region.apart


def test_a_small_drawn_mouth_is_an_edit_where_it_is(home):
    """So few pixels differ that the largest sum of evidence lies elsewhere in this clip."""
    run = Pipeline("cel", settings=Settings.of({}, "animation"), device="cpu").run(
        samples.path("animation_hello"), samples.path("voice_umbrella"), home / "drawn"
    )
    truth = ground_truth_of(samples.path("animation_hello"))[:_DRAWN]
    source, output = read(samples.path("animation_hello"), _DRAWN), read(run.output, _DRAWN)
    faces = truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy(float)
    region = edited_region(zip(source, output, strict=True), faces)
    assert region.kind == "mask"
    x, y = ((truth[f"mouth_{axis}1"] + truth[f"mouth_{axis}2"]).to_numpy() / 2 for axis in "xy")
    x1, y1, x2, y2 = region.boxes.T
    there = ~np.isnan(x1)
    held = (x > x1) & (x < x2) & (y > y1) & (y < y2)
    assert there.mean() > 0.5
    assert held[there].mean() > 0.9
    assert np.nanmedian((x2 - x1) * (y2 - y1)) < 0.5 * np.prod(faces[0, 2:] - faces[0, :2])


def test_the_rectangle_is_the_best_of_all_and_its_evidence_that_of_its_neighbours():
    """Twins: every rectangle of cells by its own sum, the mean of the looked-up maps, and counts by class and level."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, region._CODES, (4, 28, 36)).astype(np.uint8)
    codes[:, 8:20, 12:28] |= 16  # rather high levels
    table = np.tile(np.linspace(-1, 1.2, region._LEVELS, dtype=np.float32), len(region._CLASSES) + 1)
    for frame, evidence in enumerate(region._evidences(codes, table)):
        near = codes[max(0, frame - region._SUPPORT) : frame + region._SUPPORT + 1]
        np.testing.assert_array_equal(evidence, table[near].mean(axis=0))
        cell = CELL
        y, x = np.arange(0, 29, cell), np.arange(0, 37, cell)
        sums = {(a, b, c, d): evidence[b:d, a:c].sum() for a in x for c in x[x > a] for b in y for d in y[y > b]}
        best = np.array(max(sums, key=sums.get))
        box = np.array(rectangle(evidence))
        assert np.abs(box - best).max() <= REACH
        assert evidence[box[1] : box[3], box[0] : box[2]].sum() >= sums[tuple(best)] - 1e-3
    boxes = np.tile([12, 8, 28, 20], (4, 1))
    inside, outside = region._split(codes, region._counted(codes), boxes)
    away = codes.copy().astype(int)
    away[:, 8 - region._RIM : 20 + region._RIM, 12 - region._RIM : 28 + region._RIM] = -1
    for got, part in ((inside, codes[:, 8:20, 12:28]), (outside, away[away >= 0])):
        np.testing.assert_array_equal(got.ravel(), np.bincount(part.ravel(), minlength=region._CODES))
