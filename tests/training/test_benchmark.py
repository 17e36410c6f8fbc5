"""Benchmarks of trained models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_material import made_clip, write_film

from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.boxes import FixedBox
from lipsync_lab.errors import MediaError
from lipsync_lab.geometry import Box
from lipsync_lab.models import registry
from lipsync_lab.training import (
    benchmark,
    generator,
    render,
    tasks,
)


class Draws(torch.nn.Module):
    """A generator that returns the reference, with a mouth as open as the mel window is loud."""

    def __init__(self, shut: bool = False):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.shut = shut

    def forward(self, mel, face):
        out = face[:, 3:].clone()
        out[:, :, 60:90, 30:66] = out[:, :, 50:51, 30:31]
        # the loudest moment of the two columns at which the middle of the frame is heard
        loud = (mel[:, 0, :, 3:5].amax(dim=(1, 2)) + 4) * 3.5
        for face, height in zip(out, loud.tolist(), strict=True):
            if not self.shut and height > 3:
                face[:, 74 - round(height / 2) : 74 + round(height / 2), 32:64] = 0.1
        return out


class Measures(torch.nn.Module):
    """A mouth-openness regressor that counts dark rows in the middle of the mouth."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, faces):
        return (faces[:, 2, 55:, 48] < 0.32).sum(dim=1).float() / 10


def test_the_openness_correlation_separates_generators():
    clips = [made_clip(seed, 40) for seed in range(30, 34)]
    good = benchmark.generator(Draws(), Measures(), clips, audio_offset=1)
    assert good["openness_correlation"] > 0.8
    assert abs(good["openness_correlation_source"]) < 0.35
    assert good["closed_share_silence"] == 1
    assert good["openness_correlation"] > good["openness_correlation_offset_0"] + 0.05
    assert good["regressor_correlation"] > 0.95
    idle = benchmark.generator(Draws(shut=True), Measures(), clips, audio_offset=1)
    assert np.isnan(idle["openness_correlation"])
    assert "openness_correlation is nan and must be >= 0.7" in benchmark.missed_targets("generator", idle)


def test_reconstruction_lies_between_what_is_shown_and_what_is_pasted(clips, monkeypatch):
    pasting = generator.reconstruction(registry.load("identity", "generator").model, clips, 1)
    assert pasting["mouth_l1_reference"] > 0.02
    assert pasting["mouth_l1"] == pytest.approx(pasting["mouth_l1_reference"], abs=1 / 255)
    monkeypatch.setattr(generator, "generate", lambda network, faces, references, mels: faces)
    assert generator.reconstruction(Draws(), clips, 1) == {
        "l1": 0,
        "mouth_l1": 0,
        "mouth_l1_reference": pasting["mouth_l1_reference"],
    }
    assert np.isnan(generator.reconstruction(Draws(), [], 1)["mouth_l1"])


def test_targets_are_missed_from_the_right_side():
    numbers = {"openness_correlation": 0.7, "mouth_l1_ratio": 0.5, "closed_share_silence": 0.89}
    numbers["openness_correlation_source"] = 0.3
    assert [line.split()[0] for line in benchmark.missed_targets("generator", numbers)] == [
        "openness_correlation_source",
        "closed_share_silence",
    ]
    assert len(benchmark.missed_targets("discriminator", {})) == 4


def test_recorded_frames_are_counted_with_their_neighbours(tmp_path: Path):
    write_film(tmp_path / "film.mkv", cut=99, frames=20)
    boxes = {"film": {"frames": 20, "boxes": [[40, 30, 100, 90] if n < 10 else None for n in range(20)]}}
    scores = benchmark.recorded_recall(FixedBox(Box(45, 30, 100, 90)), [tmp_path / "film.mkv"], boxes)
    assert scores == {
        "recall": 1.0,
        "recall_detected": 1.0,
        "recall_dropouts": 1.0,
        "frames": 20,
        "dropout_frames": 10,
    }
    wrong = benchmark.recorded_recall(FixedBox(Box(0, 0, 50, 50)), [tmp_path / "film.mkv"], boxes)
    assert wrong["recall"] == 0
    assert (
        benchmark.detection_counts(FixedBox(Box(0, 0, 50, 50)), [tmp_path / "film.mkv"])["single_detection_share"] == 1
    )
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    assert benchmark.read_boxes(tmp_path / "boxes.json") == boxes
    with pytest.raises(MediaError, match="no boxes are recorded"):
        benchmark.recorded_recall(FixedBox(Box(0, 0, 9, 9)), [tmp_path / "film.mkv"], {})


def test_tiles_are_searched_one_by_one():
    class Bright:
        name, identity, reads_pixels = "bright", {}, True

        def detect(self, frames, first=0):
            out = []
            for frame in frames:
                rows, columns = np.nonzero(frame[..., 0] > 100)
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
                out.append([Detection(Box(*map(float, box)), 0.9)] if box else [])
            return out

    image = np.zeros((128, 128, 3), np.uint8)
    image[10:30, 70:100], image[80:120, 70:110] = 200, 200
    boxes = [(0, 1, Box(70, 10, 100, 30)), (1, 1, Box(70, 80, 110, 100)), (1, 0, Box(5, 70, 30, 90))]
    scores = benchmark.tile_scores(Bright(), image, 64, boxes)
    assert scores == {
        "recall": pytest.approx(2 / 3),
        "precision": 1.0,
        "recall_iou_0.4": pytest.approx(2 / 3),
        "faces": 3,
    }


def test_a_detector_is_measured_on_hard_frames_apart(tmp_path: Path):
    shown = [picture for seed in range(3) for picture in render.pictures(seed)]
    hard = [picture for seed in range(3, 8) for picture in render.pictures(seed, hard=True)]
    render.write_frames(tmp_path / "validation" / "frames-00000", shown)
    usual = tasks.benchmark("detector", "s3fd-lab", tmp_path)
    assert not any(name.startswith("hard") for name in usual)
    render.write_frames(tmp_path / "validation" / "hard-00000", hard)
    both = tasks.benchmark("detector", "s3fd-lab", tmp_path)
    assert {name: both[name] for name in usual} == usual
    wanted = [min(face.width, face.height) >= 16 for picture in hard for face in picture.faces]
    assert both["hard_faces"] == sum(wanted) > 0
    assert both["hard_recall"] > 0.5
    assert benchmark.meaning("detector", "hard_precision") == benchmark.meaning("detector", "precision")


def test_each_number_of_a_card_has_a_meaning():
    for card in (Path(__file__).resolve().parents[2] / "checkpoints").glob("*-lab.md"):
        kind = {
            "s3fd": "detector",
            "syncnet": "sync_expert",
            "wav2lip": "generator",
            "discriminator": "discriminator",
            "mouth-locator": "mouth_locator",
            "visemes": "visemes",
            "mouth-restorer": "restorer",
        }.get(card.stem.removesuffix("-lab"), "mouth_openness")
        # the table of the numbers; further ones have columns of their own
        section = card.read_text().partition("| number | value | target | meaning |")
        rows = [line.split("|")[1:-1] for line in "".join(section[1:]).partition("\n\n")[0].splitlines()]
        rows = [row for row in rows if not row[0].startswith("---")]
        numbers = [[cell.strip() for cell in row] for row in rows[1:]]
        assert len(numbers) > 4
        for name, value, _, meaning in numbers:
            float(value)
            assert meaning
            assert meaning == benchmark.meaning(kind, name), (card.name, name)
