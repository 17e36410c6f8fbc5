"""Drawings that stand: what is new and what is held, frame by frame, and mouths that keep that rhythm in a run."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync_lab import audio, drawings, evaluation, samples, video
from lipsync_lab.geometry import Box
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

BOX = Box(8, 8, 56, 56)


def rhythm_of(frames, boxes=None) -> list[int]:
    rhythm = drawings.Rhythm()
    return [rhythm.add(frame, box) for frame, box in zip(frames, boxes or [BOX] * len(frames), strict=True)]


def shown(*numbers: int) -> list[np.ndarray]:
    """A picture a number."""
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 255, (8, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(9)]
    return [pictures[number] for number in numbers]


def test_a_mouth_stands_with_its_drawing_and_no_longer_than_on_threes():
    assert rhythm_of(shown(0, 1, 2, 3)) == [0, 0, 0, 0]
    assert rhythm_of(shown(0, 0, 1, 1, 2, 2)) == [0, 1, 0, 1, 0, 1]
    assert rhythm_of(shown(0, 0, 0, 1, 1, 1)) == [0, 1, 2, 0, 1, 2]
    assert rhythm_of(shown(*[0] * 8)) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_only_the_face_counts_and_grain_is_no_drawing():
    frames = [frame.copy() for frame in shown(0, 0, 0)]
    frames[1][:6] = 255 - frames[1][:6]  # something moves beside the face
    assert rhythm_of(frames) == [0, 1, 2]
    rng = np.random.default_rng(1)
    grainy = [np.clip(f + rng.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in shown(0, 0, 1, 1)]
    assert rhythm_of(grainy) == [0, 1, 0, 1]


def test_without_a_face_or_after_a_change_of_size_a_new_mouth_begins():
    assert rhythm_of(shown(0, 0, 0, 0), [BOX, None, BOX, BOX]) == [0, 0, 0, 1]
    assert rhythm_of([shown(0)[0], shown(0)[0][:60]]) == [0, 0]


def test_it_finds_the_drawings_that_the_truth_knows():
    path = samples.path("drawn_baker")
    truth = evaluation.truth_of(path)
    boxes = [Box(*np.rint(row).tolist()) for row in truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy()]
    found = np.array(rhythm_of([frame.image for frame in video.frames(path)], boxes)) > 0
    number = truth["drawing"].to_numpy()
    held = np.r_[False, number[1:] == number[:-1]]
    # where a drawing stands longer than on threes a new mouth is due all the same
    due = np.array([sum(held[max(0, at - 2) : at + 1]) == 3 for at in range(len(held))])
    assert (found == held)[~due].mean() > 0.9


@pytest.fixture(scope="module")
def on_twos() -> np.ndarray:
    return np.stack(shown(*[number // 2 % 9 for number in range(24)]))


def test_a_run_holds_its_mouths_with_the_drawings(on_twos):
    wave = (0.3 * np.random.default_rng(0).standard_normal(audio.SAMPLE_RATE * 24 // 25)).astype(np.float32)
    settings = {"mel_lead": 0, "smoothing": "none", "generator_batch": 5}  # batches that cut drawings in two
    dubbed = {
        mouths: Pipeline("untrained", box=BOX, device="cpu", settings=Settings(mouths=mouths, **settings)).dub(
            on_twos, wave, 25
        )[0]
        for mouths in ("frames", "drawings")
    }
    pairs = {
        mouths: [np.array_equal(a, b) for a, b in zip(f[::2], f[1::2], strict=True)] for mouths, f in dubbed.items()
    }
    assert all(pairs["drawings"])
    assert not any(pairs["frames"])
    # the first frame of each drawing is what it was: its own sound, its own mouth
    np.testing.assert_array_equal(dubbed["drawings"][::2], dubbed["frames"][::2])
