"""Preprocessing of clips into the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_material import write_film

from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.boxes import FixedBox
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.training import (
    clips as layout,
)
from lipsync_lab.training.preprocess import preprocess


def test_the_reader_of_the_layout_reads_what_preprocessing_wrote(tmp_path: Path):
    wave = write_film(tmp_path / "talk.mkv", cut=20, frames=44)
    calls = []
    folders = preprocess(
        [tmp_path / "talk.mkv"],
        tmp_path / "crops",
        FixedBox(Box(40, 30, 100, 90)),
        pads=(0, 0, 0, 0),
        progress=lambda *call: calls.append(call),
    )
    assert [folder.relative_to(tmp_path).as_posix() for folder in folders] == ["crops/talk/000", "crops/talk/001"]
    assert calls == [("preprocess", 1, 1)]
    first, second = layout.read_layout(tmp_path / "crops")
    assert (len(first), len(second)) == (20, 24)
    assert first.speaker == second.speaker == "crops/talk"
    # the shot's own frames, in order, and nothing of what is around the box
    greens = [face[..., 1].mean() for clip in (first, second) for face in clip.faces]
    np.testing.assert_allclose(greens, 3 * np.arange(44), atol=3)
    assert np.abs(first.faces[0].astype(int) - (200, 0, 90)).max() < 12
    # and the shot's own piece of the sound: it starts where the shot does
    own = audio.melspectrogram(wave[20 * 640 :])
    assert second.mel.shape == own.shape
    assert np.abs(second.mel[:, 4:-4] - own[:, 4:-4]).mean() < 0.1
    # done once: a second call adds nothing
    assert preprocess([tmp_path / "talk.mkv"], tmp_path / "crops", FixedBox(Box(0, 0, 9, 9))) == folders


def test_preprocessing_brings_other_rates_to_25(tmp_path: Path):
    write_film(tmp_path / "fast.mkv", cut=99, frames=50, fps=50)
    preprocess([tmp_path / "fast.mkv"], tmp_path / "crops", FixedBox(Box(40, 30, 100, 90)), pads=(0, 0, 0, 0))
    (clip,) = layout.read_layout(tmp_path / "crops")
    greens = [face[..., 1].mean() for face in clip.faces]
    np.testing.assert_allclose(greens, 6 * np.arange(25), atol=3)


def test_frames_between_two_looks_get_boxes_between():
    class Walks:
        """Finds the face where it is, and counts how often it was asked."""

        name, identity, reads_pixels, asked = "walks", {}, True, 0

        def detect(self, frames, first=0):
            Walks.asked += len(frames)
            # the frame says in its corner which one it is
            return [[Detection(Box(int(f[0, 0, 0]), 30, int(f[0, 0, 0]) + 40, 70), 0.9)] for f in frames]

    from lipsync_lab.training import preprocess as module

    class Film:
        fps, width, height = 25, 160, 120

    def frames(path):
        for number in range(21):
            image = np.full((120, 160, 3), 90, np.uint8)
            image[0, 0] = 10 + 2 * number
            yield video.Frame(number, number, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.video, "probe", lambda path: Film)
        patch.setattr(module.video, "frames", frames)
        boxes, shots = module._boxes(Path("live_action"), Walks(), 5, 0.5, (0, 0, 0, 0))
    assert Walks.asked == 5
    assert not shots.any()
    # smoothed over five frames, which changes nothing on a straight way but at its ends
    np.testing.assert_allclose(boxes[2:-2, 0], 10 + 2 * np.arange(21)[2:-2], atol=1)
