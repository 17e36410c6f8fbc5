"""The study's recorded boxes: what is bundled is what was recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lipsync_lab import samples
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import study


def test_the_bundled_numbers_are_the_recorded_ones(shared):
    recorded = json.loads((shared / "footage/animation/seed/s3fd_boxes.json").read_text(encoding="utf-8"))
    assert set(study.names()) == set(recorded)
    for name, given in recorded.items():
        table = study.frames(name)
        assert len(table) == given["frames"] == samples.get(name).frames
        for box, row in zip(given["boxes"], table.itertuples(), strict=True):
            assert row.found == (box is not None)
            assert np.array_equal([row.x1, row.y1, row.x2, row.y2], box or [np.nan] * 4, equal_nan=True)


def test_the_readme_says_what_the_table_holds():
    table = study.frames()
    readme = (study.PATH.parent / "README.md").read_text(encoding="utf-8")
    assert f"{(~table.found).sum()} of {len(table):,} frames" in readme
    assert f"{study.FOUND:,} of {study.FRAMES:,} frames ({study.FOUND / study.FRAMES:.1%}".replace("%", " %") in readme


def test_boxes_lie_in_their_clips_and_times_follow_the_frame_rate():
    table = study.frames()
    for name, rows in table.groupby("clip"):
        sample = samples.get(name)
        width, height = sample.size
        seen = rows[rows.found]
        assert (seen.x2 > seen.x1).all()
        assert (seen.y2 > seen.y1).all()
        # S3FD's boxes may reach over the edge; their middle does not
        assert ((seen.x1 + seen.x2) / 2).between(0, width).all()
        assert ((seen.y1 + seen.y2) / 2).between(0, height).all()
        assert np.allclose(np.diff(rows.time), 1 / float(sample.fps), atol=2e-6)


def test_an_unknown_clip_is_named_with_the_known_ones():
    with pytest.raises(ParameterError, match="berserk_output1"):
        study.frames("nobody")


def test_a_damaged_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PATH", tmp_path / "s3fd_boxes.json")
    study.PATH.write_text("{", encoding="utf-8")
    with pytest.raises(MediaError, match="restore"):
        study.frames()
