"""A run examined: the second time it is read, what is absent says so, and a clip that changed is not examined."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from lipsync_lab import evaluation, runs, samples
from lipsync_lab.errors import MediaError
from lipsync_lab.pipeline import Pipeline

JUDGES = {"expert": None, "judge": None, "lse": None, "reader": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    """Nothing is drawn anew: the generator gives each face back."""
    home = tmp_path_factory.mktemp("evaluation")
    clip = home / "clip.mp4"
    shutil.copy(samples.path("drawn_hello"), clip)
    truth = evaluation.truth_of(samples.path("drawn_hello"))
    boxes = truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy().tolist()
    boxes[10] = None
    (home / "boxes.json").write_text(json.dumps({"frames": len(boxes), "boxes": boxes}), encoding="utf-8")
    return Pipeline("identity", home / "boxes.json", device="cpu").run(clip, clip, home / "run")


def test_the_second_time_it_is_read_to_the_last_digit(run):
    first = evaluation.evaluate(run, **JUDGES)
    written = {path: path.stat().st_mtime_ns for path in (run.folder / evaluation.FOLDER).iterdir()}
    second = evaluation.evaluate(run, **JUDGES)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert_frame_equal(first.frames, second.frames)
    assert_frame_equal(first.scores, second.scores)
    assert first.clip.keys() == second.clip.keys()
    evaluation.evaluate(run, **JUDGES, force=True)
    assert any(path.stat().st_mtime_ns != then for path, then in written.items())


def test_one_row_a_frame_and_the_miss_is_in_it(run):
    found = evaluation.evaluate(run, **JUDGES)
    assert found.frames.index.tolist() == list(range(len(run.ledger())))
    assert found.frames.index[found.frames["missed"] == 1].tolist() == [10]
    assert "missed face" in set(found.failures["kind"])
    # where nothing was drawn nothing can be said of the picture
    assert np.isnan(found.frames["blur"][10])
    assert found.frames["blur"].notna().sum() == len(found.frames) - 1


def test_a_judge_that_is_not_there_leaves_its_scores_undefined_with_the_reason(run):
    scores = evaluation.evaluate(run, **JUDGES).scores
    of_expert = scores[scores["score"].str.startswith("expert_")]
    assert len(of_expert) == 4
    assert of_expert["value"].isna().all()
    assert set(of_expert["reason"]) == {"none was asked for"}


def test_a_clip_that_is_gone_or_another_is_not_examined(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    info = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    for file, content, said in (("gone.mp4", None, "gone"), ("other.mp4", b"another", "not the clip any more")):
        if content:
            (tmp_path / file).write_bytes(content)
        info["face"]["file"] = str(tmp_path / file)
        info["face"]["sha256"] = "0" * 64  # a sample would be found by its hash
        (copy / "run.json").write_text(json.dumps(info), encoding="utf-8")
        with pytest.raises(MediaError, match=said):
            evaluation.evaluate(runs.Run(Path(copy)), **JUDGES)
