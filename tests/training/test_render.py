"""Rendered shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync_lab.errors import ParameterError
from lipsync_lab.training import clips as layout
from lipsync_lab.training import detector, render, soft_faces


def test_rendered_shards_follow_from_their_number_alone(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(render, "CLIPS", 1)
    monkeypatch.setattr(render, "FRAMES", 4)
    monkeypatch.setattr(render, "_LONGEST", 0.5)
    same = render.render(tmp_path / "a", "faces", "train", 1, first=6)
    two = render.render(tmp_path / "b", "faces", "train", 1, first=6)
    other = render.render(tmp_path / "b", "faces", "validation", 1, first=6)
    faces = [np.load(path / "faces.npy") for (path,) in (same, two, other)]
    assert faces[0].shape[1:] == (96, 96, 3)
    assert len(faces[0]) == 12
    np.testing.assert_array_equal(faces[0], faces[1])
    assert faces[0].shape != faces[2].shape or (faces[0] != faces[2]).any()
    stamp = (same[0] / "faces.npy").stat().st_mtime_ns
    render.render(tmp_path / "a", "faces", "train", 1, first=6)
    assert (same[0] / "faces.npy").stat().st_mtime_ns == stamp
    render.render(tmp_path / "a", "frames", "train", 1, first=2)
    pictures = detector.open_frames(tmp_path / "a")
    assert len(pictures) == 4
    assert all(picture.pixels.shape == (288, 384, 3) for picture in pictures)
    assert sum(len(picture.faces) for picture in pictures) > 0
    with pytest.raises(ParameterError, match="no shards of"):
        render.render(tmp_path, "boxes", "train", 1)


def test_twins_differ_by_their_lines_only(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(render, "CLIPS", 2)
    monkeypatch.setattr(render, "_LONGEST", 1.2)
    render.render(tmp_path, render.TWINS, "train", 1)
    first, other = layout.open_shards(tmp_path)
    assert (first.speaker, first.first) == (other.speaker, other.first)
    assert not np.array_equal(first.mel, other.mel)
    count = min(len(first), len(other))
    faces = [clip.faces[:count] for clip in (first, other)]
    apart = np.abs(faces[0].astype(int) - faces[1])
    upper, lower = apart[:, :48].mean(), apart[:, 48:].mean()
    assert upper < 0.1 * lower
    pairs = soft_faces.twins([first, other])
    assert pairs[id(first)] is other
    assert pairs[id(other)] is first


def test_the_photograph_speaks_in_its_crop(monkeypatch):
    monkeypatch.setattr(render, "_LONGEST", 1.6)
    seed = next(seed for seed in range(100) if seed % render._PORTRAITS == 5)
    clip = render.clip(seed)
    assert clip.domain == "synthetic_photo"
    # from one frame to the next the head hardly sways: take the two between which the mouth moves most
    at = int(np.abs(np.diff(clip.openness)).argmax())
    assert abs(clip.openness[at + 1] - clip.openness[at]) > 0.2
    x1, y1, x2, y2 = clip.mouth[at : at + 2].mean(axis=0).astype(int)
    assert 0 < x1 < x2 < 96
    assert 48 < y1 < y2 < 96
    away = np.abs(clip.faces[at + 1].astype(int) - clip.faces[at]).mean(axis=2)
    assert away[y1:y2, x1:x2].mean() > 3 * away[:24].mean()


def test_many_frames_for_the_detector_are_hard_and_say_where_the_faces_are():
    settings = [render._harder(seed) for seed in range(400)]
    cluttered = [each for each in settings if "clutter" in each]
    assert np.mean(["clutter" in each for each in settings]) == pytest.approx(render._CLUTTERED, abs=0.08)
    assert np.mean(["empty" in each for each in cluttered]) == pytest.approx(render._CLUTTERED_EMPTY, abs=0.08)
    assert np.mean(["vintage" in each for each in settings]) == pytest.approx(render._VINTAGE, abs=0.08)
    rows = [(render._harder(seed), list(render.pictures(seed, hard=True))) for seed in range(12)]
    assert any("clutter" in hard and not picture.faces for hard, pair in rows for picture in pair)
    assert any("clutter" in hard and picture.faces for hard, pair in rows for picture in pair)
    assert all(picture.pixels.shape == (288, 384, 3) for _, pair in rows for picture in pair)
