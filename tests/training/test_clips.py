"""Clips of faces: layout, shards, splits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import wavfile
from training_material import made_clip

from lipsync_lab import renamed
from lipsync_lab.errors import MediaError
from lipsync_lab.training import (
    clips as layout,
)
from lipsync_lab.training import corpus, tasks


def test_nobody_is_on_both_sides_of_a_split(clips):
    people = [made_clip(seed, 12, "live_action", f"clips/p{seed % 40}") for seed in range(80)]
    train, held_out = layout.split(people)
    assert len(train) + len(held_out) == 80
    assert 1 <= len(held_out) <= 20
    assert not {clip.speaker for clip in train} & {clip.speaker for clip in held_out}
    assert layout.held_out("somewhere/else/p7") == layout.held_out("clips/p7")


def test_the_studys_layout_is_read(tmp_path: Path):
    # flat, as the study has it; frame 3 had no face; sizes differ
    folder = tmp_path / "study" / "output7"
    folder.mkdir(parents=True)
    for number in (0, 1, 2, 4, 5, 10):
        picture = np.full((50 + number, 40, 3), 20 * number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    wavfile.write(folder / "audio.wav", 44_100, np.zeros(44_100, np.int16))
    clips = list(layout.read_layout(tmp_path / "study"))
    assert [(clip.first, len(clip)) for clip in clips] == [(0, 3), (4, 2), (10, 1)]
    assert {clip.speaker for clip in clips} == {"study/output7"}
    assert clips[1].faces[1].mean() == pytest.approx(100, abs=2)
    (folder / "5.jpg").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"5\.jpg"):
        list(layout.read_layout(tmp_path / "study"))
    with pytest.raises(MediaError, match="contains no clip"):
        list(layout.read_layout(tmp_path / "nothing"))


def test_shards_give_back_what_was_packed(tmp_path: Path):
    packed = [made_clip(1, 12), made_clip(2, 25, "live_action", "a/b", first=7)]
    layout.write_shard(tmp_path / "train" / "one", packed)
    layout.write_shard(tmp_path / "train" / "two", [made_clip(3, 10)])
    opened = layout.open_shards(tmp_path)
    assert [len(clip) for clip in opened] == [12, 25, 10]
    for before, after in zip(packed, opened, strict=False):
        names = ("first", "domain", "speaker", "voice")
        assert [getattr(before, name) for name in names] == [getattr(after, name) for name in names]
        np.testing.assert_array_equal(before.faces, after.faces)
        np.testing.assert_allclose(before.mel, after.mel, atol=2e-3)
        np.testing.assert_array_equal(before.mouth, after.mouth)
        np.testing.assert_array_equal(before.gap, after.gap)
    layout.write_shard(tmp_path / "train" / "two", [made_clip(3, 11)])  # takes the old one's place
    assert [len(clip) for clip in layout.open_shards(tmp_path)] == [12, 25, 11]
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["one", "two"]
    with pytest.raises(RuntimeError), layout.new_shard(tmp_path / "train" / "three"):
        raise RuntimeError
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["one", "two"]
    with pytest.raises(MediaError, match="no shard"):
        layout.open_shards(tmp_path / "nowhere")


def test_shards_of_earlier_versions_are_read(tmp_path: Path):
    clips = [made_clip(1, 12), made_clip(2, 12, "synthetic_photo"), made_clip(3, 12, "live_action", "a/b")]
    layout.write_shard(tmp_path / "one", clips)
    with np.load(tmp_path / "one" / "clips.npz") as archive:
        columns = dict(archive)
    columns["who"] = columns.pop("speaker")
    del columns["domain"]
    np.savez(tmp_path / "one" / "clips.npz", kind=list(renamed.DOMAINS), **columns)
    opened = layout.open_shards(tmp_path)
    assert [(clip.domain, clip.speaker) for clip in opened] == [(clip.domain, clip.speaker) for clip in clips]


def test_mel_windows_are_those_of_the_published_training():
    clip = made_clip(5, 40, first=6)
    index = np.arange(40)
    for offset in (0, 1):
        # published: frame f's window starts at column int(80 * (f - offset) / 25)
        expected = np.stack([clip.mel[:, int(80 * (6 + i - offset) / 25) :][:, :16] for i in index])
        np.testing.assert_array_equal(clip.windows(index, offset), expected)
    early = made_clip(5, 12).windows([0], 1)[0]
    assert (early[:, :3] == -4).all()


def test_layouts_are_packed_by_the_task(tmp_path: Path):
    for name in [f"p{number}" for number in range(12)]:
        folder = tmp_path / "crops" / name / "000"
        folder.mkdir(parents=True)
        for number in range(12):
            cv2.imwrite(str(folder / f"{number}.jpg"), np.full((20, 20, 3), 10 * number, np.uint8))
        wavfile.write(folder / "audio.wav", 16_000, np.zeros(16_000, np.int16))
    tasks.preprocess([], tmp_path / "crops", data=tmp_path / "data")
    sides = [{clip.speaker for clip in layout.open_shards(tmp_path / "data" / part)} for part in corpus.SPLITS]
    assert sides[0] | sides[1] == {f"crops/p{number}" for number in range(12)}
    assert sides[1] == {name for name in sides[0] | sides[1] if layout.held_out(name)}
    assert sides[1]
