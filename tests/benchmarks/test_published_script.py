"""The transcription that speeds are measured against gives what the published code gave."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from golden_weights import fill

from lipsync_lab.media import audio
from lipsync_lab.models.s3fd import S3FD
from lipsync_lab.models.wav2lip import Wav2Lip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("published_script", ROOT / "benchmarks" / "published_script.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def known(golden):
    with np.load(golden / "inference.npz") as stored:
        return {key: stored[key] for key in stored}


@pytest.fixture(scope="module")
def generator():
    return fill(Wav2Lip())


def test_mel_and_windows(script, golden):
    with np.load(golden / "audio.npz") as stored:
        mel = script.mel_spectrogram(stored["wav"])
        assert np.abs(mel - stored["mel"]).max() < 1e-3
        for fps in (25, 30):
            chunks = script.mel_chunks(mel, fps)
            starts = stored[f"starts_{fps}"]
            assert len(chunks) == len(starts)
            assert all(
                np.array_equal(chunk, mel[:, start : start + 16]) for chunk, start in zip(chunks, starts, strict=True)
            )


def test_faces(script, golden):
    network = fill(S3FD())
    with np.load(golden / "s3fd.npz") as stored:
        batch = stored["frames_bgr"][..., ::-1]
        for rows, theirs in zip(script.candidates(network, batch), (stored["faces_0"], stored["faces_1"]), strict=True):
            # two scores may be equal to the last digit, so that their order is chance
            apart = np.abs(rows[:, None, :4] - theirs[None, :, :4]).max(axis=2)
            assert sorted(apart.argmin(axis=1)) == list(range(len(theirs)))
            assert apart.min(axis=1).max() < 0.5
        faces = script.detect(network, list(stored["frames_bgr"]))
        assert [face.tolist() for face in faces] == stored["top"].tolist()


@pytest.mark.parametrize(
    ("name", "options"),
    [("smooth", {}), ("nosmooth", {"smooth": False}), ("pads", {"smooth": False, "pads": (5, 15, -4, 8)})],
)
def test_frames(name, options, script, generator, known):
    """Equal to the published frames: two grey levels at most, which is what another OpenCV may differ by."""
    chunks = script.mel_chunks(script.mel_spectrogram(known["wav"]), int(known["fps"]))
    frames = list(known["frames_bgr"][: len(chunks)])
    places = script.boxes(list(known["rects"][: len(chunks)]), frames, **options)
    out = np.stack(list(script.dubbed(generator, frames, places, chunks)))
    numbers = np.arange(len(out)) if name == "smooth" else known["frames"]
    theirs = known["frames_bgr"][numbers] + known[f"change_{name}"]
    assert len(out) == 17
    assert np.abs(out[numbers].astype(int) - theirs).max() <= 2


def test_a_frame_without_a_face_ends_the_run(script, known):
    with pytest.raises(ValueError, match="Face not detected"):
        script.boxes([None], [known["frames_bgr"][0]])


def test_from_file_to_file(script, tmp_path, monkeypatch):
    from clips import clip, wav

    from lipsync_lab.media import video

    monkeypatch.setattr(script, "detect", lambda _, frames: [np.array([40, 20, 90, 70])] * len(frames))
    path = clip(tmp_path / "in.mp4", 30)
    script.dub(path, wav(tmp_path / "voice.wav", 0.8), tmp_path / "out.mp4", None, fill(Wav2Lip(0.25)))
    starts = audio.window_starts(1 + int(0.8 * 80), 25)
    assert sum(1 for _ in video.frames(tmp_path / "out.mp4")) == len(starts)
