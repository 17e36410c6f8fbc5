"""Erasing against exact ground truth: synthetic faces that are drawn with and without their mouth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync_lab.generation.cel import erase
from lipsync_lab.generation.cel.locate import MouthPose

#: Largest median error, and largest median share of edges that are left of the mouth. On these faces: 8.9 and 0.03.
MOST_L1, MOST_LEFT = 12.0, 0.08


@pytest.fixture(scope="module")
def erasing():
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "erasing.py"
    spec = importlib.util.spec_from_file_location("erasing", path)
    module = sys.modules["erasing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def faces(erasing):
    return [face for face in erasing.faces(first=700, count=20) if face.pose is not None]


def medians(erasing, faces) -> dict[str, dict[str, float]]:
    rows = [row for face in faces for row in erasing.measured(face)]
    return {
        method: {
            error: float(np.nanmedian([row[error] for row in rows if row["method"] == method]))
            for error in ("l1", "lines_lost", "lines_left")
        }
        for method in {row["method"] for row in rows}
    }


def fails(error: dict[str, float]) -> bool:
    return error["l1"] > MOST_L1 or error["lines_left"] > MOST_LEFT


def test_erased_faces_are_near_the_faces_without_a_mouth(erasing, faces):
    assert len(faces) >= 16
    error = medians(erasing, faces)
    assert not fails(error["cel.erase"])
    assert error["cel.erase"]["lines_lost"] < 0.05
    assert error["cel.erase"]["l1"] < error["Telea, same mask"]["l1"] < error["Telea, box"]["l1"]
    assert fails(error["source"])


def blurred(frame, pose):
    right = genuine(frame, pose)
    pixels = frame[right.box.slices].copy()
    pixels[right.mask] = cv2.GaussianBlur(pixels, (0, 0), 0.25 * pose.width)[right.mask]
    return erase.Erased(right.box, pixels, right.mask, right.ink, right.skin)


def half_erased(frame, pose):
    right = genuine(frame, pose)
    mask = right.mask & (np.arange(right.mask.shape[1]) < right.mask.shape[1] // 2)
    pixels = np.where(mask[..., None], right.pixels, frame[right.box.slices])
    return erase.Erased(right.box, pixels, mask, right.ink, right.skin)


genuine = erase.erase


@pytest.mark.parametrize("fault", [blurred, half_erased])
def test_a_fault_in_the_erasing_is_beyond_the_limits(erasing, faces, fault, monkeypatch):
    monkeypatch.setattr(erase, "erase", fault)
    assert fails(medians(erasing, faces)["cel.erase"])


def test_a_mouth_over_the_shadow_of_a_saturated_skin_is_filled_with_both_colours():
    clean = np.full((160, 200, 3), (255, 221, 72), np.uint8)
    clean[:, :100] = (190, 138, 20)
    frame = clean.copy()
    cv2.ellipse(frame, (100, 90), (30, 10), 0, 0, 360, (90, 30, 30), -1, cv2.LINE_AA)
    pose = MouthPose((100, 90), (70, 90), (130, 90), (100, 80), (100, 100), 20 / 60, "visible", 0.9)
    erased = erase.erase(frame, pose)
    error = np.abs(erased.pixels.astype(int) - clean[erased.box.slices]).max(-1)
    assert erased.mask.sum() > 900
    # but for a column or two at the border of the two colours
    assert (error > 4).sum() < 4 * erased.mask.any(axis=1).sum()


def test_a_nose_that_touches_the_mouth_stays():
    clean = np.full((200, 240, 3), (230, 190, 160), np.uint8)
    nose = np.array([[100, 70], [140, 70], [124, 96], [116, 96]])
    cv2.fillConvexPoly(clean, nose, (120, 70, 50), cv2.LINE_AA)
    frame = clean.copy()
    cv2.ellipse(frame, (120, 116), (40, 20), 0, 0, 360, (90, 30, 30), -1, cv2.LINE_AA)
    pose = MouthPose((120, 116), (80, 116), (160, 116), (120, 98), (120, 134), 36 / 80, "visible", 0.9)
    erased = erase.erase(frame, pose)
    error = np.abs(erased.pixels.astype(int) - clean[erased.box.slices]).max(-1)
    assert erased.mask.sum() > 2000
    # but for the row or two in which they touch
    assert (error > 30).sum() < 40
    assert not erased.ink[: 90 - erased.box.y1].any()
