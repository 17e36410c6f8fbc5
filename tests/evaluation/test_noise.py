"""The noise of an encode on every metric, at places outside of the edited region."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.evaluation import noise
from lipsync_lab.evaluation.edited_region import edited_region
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.metrics import collect
from lipsync_lab.metrics.validation.response import perfect_ledger
from lipsync_lab.synthesis.truth import GroundTruth, table

FRAMES, SIZE, FACE = 12, (320, 200), (200, 40, 280, 140)


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    """A smooth picture with edges, which moves."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    frames = []
    for step in range(FRAMES):
        grey = 120 + 50 * np.sin((x + step) / 9) + 30 * np.cos((y + x / 3) / 14) + 20 * ((x + step) // 40 % 2)
        frames.append(np.stack([grey, 0.9 * grey, 0.8 * grey + 20], axis=2))
    return np.clip(frames, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def ledger() -> pd.DataFrame:
    edges = dict(zip(("face_x1", "face_y1", "face_x2", "face_y2"), FACE, strict=True))
    truth = table(GroundTruth(frame=frame, time=frame / 25, **edges) for frame in range(FRAMES))
    return perfect_ledger(truth, SIZE, bottom=0.0)


def pasted(frames: np.ndarray) -> np.ndarray:
    """The same with another picture in the box of the face."""
    out, (x1, y1, x2, y2) = frames.copy(), FACE
    out[:, y1:y2, x1:x2] = 255 - out[:, y1:y2, x1:x2]
    return out


def measured(source, output, ledger) -> tuple[noise.EncodeNoise, pd.DataFrame]:
    faces = ledger[["x1", "y1", "x2", "y2"]].to_numpy(float)
    meter = noise.EncodeNoise(edited_region(zip(source, output, strict=True), faces), ledger)
    data = collect.collect(zip(source, output, strict=True), ledger, visit=meter.add)
    return meter, data.with_metrics().frames


def test_without_an_encode_there_is_no_noise(source, ledger):
    levels = measured(source, pasted(source), ledger)[0].levels()
    assert set(levels) == {metric.name for metric in noise.of_pictures()}
    assert set(levels.values()) == {0.0}


def test_the_noise_is_about_what_the_same_encode_does_in_the_box(source, ledger, tmp_path):
    """Of an output that was pasted and encoded, the noise is near the metrics of the source that was encoded."""
    encoded = [
        np.stack([frame.image for frame in video.frames(video.write_clip(tmp_path / "a.mp4", images, 25, crf=30))])
        for images in (source, pasted(source))
    ]
    wanted = measured(source, encoded[0], ledger)[1]
    levels = measured(source, encoded[1], ledger)[0].levels()
    for name in ("colour_shift", "sharpness_loss"):
        assert 0 < levels[name] < 3 * wanted[name].quantile(0.9) + 0.05
        assert levels[name] > 0.3 * wanted[name].median()


def test_what_is_beyond_the_noise_is_left():
    frames = pd.DataFrame(
        {"colour_shift": [1.0, 5.0, np.nan], "background_change": [2.0, 0.5, 1.0], "encode_noise": 0.75, "shot": 0}
    )
    out = noise.beyond_noise(frames, {"colour_shift": 1.5})
    assert out["colour_shift"].tolist()[:2] == [0.0, 3.5]
    assert np.isnan(out["colour_shift"][2])
    assert out["background_change"].tolist() == [1.25, 0.0, 0.25]
    assert out["shot"].tolist() == [0, 0, 0]
    assert frames["colour_shift"][1] == 5.0


@pytest.mark.parametrize("seed", range(4))
def test_places_lie_outside_of_the_region_and_of_the_face(seed):
    rng = np.random.default_rng(seed)
    grey, region = rng.integers(0, 256, (240, 320), np.uint8), None

    class Region:
        def box(self, row):
            return region

    face = Box(20, 30, 100, 130)
    for region in (None, Box(15, 80, 105, 150), Box(0, 0, 320, 240)):
        places = noise._places(grey, face, Region(), 0)
        assert (places == []) == (region is not None and region.width == 320)
        for place in places:
            assert 0 <= place.x1 < place.x2 <= 320
            assert 0 <= place.y1 < place.y2 <= 240
            for other in (face, region):
                assert other is None or place.iou(other) == 0
