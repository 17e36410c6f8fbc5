"""Training: material and its splits, batches, losses, the loop, measurements, and what is exported."""

from __future__ import annotations

import argparse
import csv
import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from lipsync_lab import audio, checkpoints, generation, video
from lipsync_lab.audio import Sound
from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.fixed import FixedBox
from lipsync_lab.errors import CheckpointError, MediaError, ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.networks.s3fd import S3FD, decode
from lipsync_lab.networks.syncnet import SyncNetColor
from lipsync_lab.networks.wav2lip import QualityDiscriminator, Wav2Lip
from lipsync_lab.training import (
    command,
    data,
    detector,
    drawn,
    evaluate,
    expert,
    generator,
    loop,
    quality,
    reader,
    recipes,
    sentences,
    windows,
    work,
)
from lipsync_lab.training.export import export
from lipsync_lab.training.preprocess import preprocess
from lipsync_lab.training.recipes import (
    DetectorRecipe,
    ExpertRecipe,
    GeneratorRecipe,
    QualityRecipe,
    ReaderRecipe,
    Schedule,
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def schedule(steps: int, lr: float = 3e-3, **more) -> Schedule:
    return Schedule(steps, lr, **{"warmup": 2, "log_every": 2, "check_every": 1000} | more)


def made_clip(seed: int, frames: int = 30, kind: str = "drawn", who: str | None = None, first: int = 0) -> data.Clip:
    """A face whose mouth is a dark ellipse as high as its sound is loud: enough to learn from, and quick."""
    rng = np.random.default_rng(seed)
    gap = np.abs(np.convolve(rng.standard_normal(frames), np.ones(3) / 3, "same")) * 14
    gap[gap < 3] = 0
    faces = np.empty((frames, 96, 96, 3), np.uint8)
    faces[:] = rng.integers(120, 220, 3)
    for face, height in zip(faces, gap, strict=True):
        cv2.circle(face, (32, 36), 6, (40, 40, 60), -1)
        cv2.circle(face, (64, 36), 6, (40, 40, 60), -1)
        cv2.ellipse(face, (48, 74), (16, max(round(height / 2), 1)), 0, 0, 360, (70, 20, 30), -1)
    columns = int(np.ceil((first + frames) * 3.2)) + 16
    loud = np.interp(np.arange(columns) / 3.2 - first, np.arange(frames), gap, left=0, right=0)
    # pitch wanders too, so that no two moments sound alike
    tone = 40 + 25 * np.sin(np.arange(columns) / 5 + seed)
    mel = loud / 7 * np.exp(-(((np.arange(80)[:, None] - tone) / 12) ** 2)) - 4
    box = np.stack([np.full(frames, 32), 74 - gap / 2, np.full(frames, 64), 74 + gap / 2], axis=1)
    return data.Clip(
        faces,
        mel.astype(np.float32).clip(-4, 4),
        first,
        kind,
        who or f"character {seed}",
        "tone",
        (gap / 14).astype(np.float32),
        gap.astype(np.float32),
        box.astype(np.float32),
    )


@pytest.fixture(scope="module")
def clips() -> list[data.Clip]:
    return [made_clip(seed) for seed in range(4)]


def made_picture(seed: int, faces: int = 1) -> drawn.Picture:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 200, (144, 192, 3)).astype(np.uint8)
    boxes = []
    for place in range(faces):
        side = int(rng.integers(30, 60))
        x, y = int(rng.integers(0, 90 - side) + 96 * (place % 2)), int(rng.integers(0, 144 - side))
        pixels[y : y + side, x : x + side] = (240, 200, 60)
        pixels[y + side // 4 : y + side // 3, x + side // 4 : x + 3 * side // 4] = 10
        boxes.append(Box(x, y, x + side, y + side))
    return drawn.Picture(pixels, tuple(boxes))


# ------------------------------------------------------------------------------------------------- what is held out


def test_no_line_can_be_on_both_sides():
    train, held_out = sentences.seeds("train", 0, 400), sentences.seeds("validation", 0, 400)
    assert not set(train) & set(held_out)
    assert not set(sentences.HELD_OUT_VARIANTS) & set(sentences._TRAIN_VARIANTS)
    assert set(sentences.HELD_OUT_VARIANTS) <= set(sentences.VARIANTS)
    said = [
        {
            sentences.sentence(np.random.default_rng(seed), language, side)
            for seed in range(150)
            for language in ("en", "it")
        }
        for side in (False, True)
    ]
    assert min(map(len, said)) > 290
    assert not said[0] & said[1]
    with pytest.raises(ParameterError, match="no split"):
        sentences.seeds("test", 0, 1)
    with pytest.raises(ParameterError, match="are not 0 to"):
        sentences.seeds("train", sentences.FIRST_HELD_OUT - 1, 2)


def test_spoken_lines_keep_to_their_side():
    for part, allowed in (("train", sentences._TRAIN_VARIANTS), ("validation", sentences.HELD_OUT_VARIANTS)):
        for seed in sentences.seeds(part, 3, 3):
            said = sentences.line(seed)
            assert said.voice.partition("+")[2] in allowed
            assert sentences.sentence_is_held_out(said.text) == (part == "validation")
            # it begins and ends with a silence, so that a network learns what a closed mouth sounds like
            assert not said.wave[: sentences.SAMPLE_RATE // 10].any()
            assert not said.wave[-sentences.SAMPLE_RATE // 10 :].any()


def test_nobody_is_on_both_sides_of_a_split(clips):
    people = [made_clip(seed, 12, "film", f"clips/p{seed % 40}") for seed in range(80)]
    train, held_out = data.split(people)
    assert len(train) + len(held_out) == 80
    assert 1 <= len(held_out) <= 20
    assert not {clip.who for clip in train} & {clip.who for clip in held_out}
    assert data.held_out("somewhere/else/p7") == data.held_out("clips/p7")


def test_a_recording_becomes_speech_with_its_own_times(tmp_path: Path):
    wave = (np.sin(np.arange(32_000) / 9) * 9000).astype(np.int16)
    wavfile.write(tmp_path / "a.wav", 16_000, wave)
    (tmp_path / "a.align").write_text("0 12500 sil\n12500 25000 blue\n25000 27000 b\n27000 50000 sil\n")
    said = sentences.aligned(tmp_path / "a.wav", tmp_path / "a.align")
    assert said.text == "blue b"
    assert said.phonemes[0].start == 0
    assert said.phonemes[-1].end == pytest.approx(2.0)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(said.phonemes))
    sounds = [phoneme for phoneme in said.phonemes if phoneme.symbol]
    assert sounds[0].symbol == "b"
    assert (sounds[0].start, sounds[-1].end) == pytest.approx((0.5, 1.08))
    (tmp_path / "a.align").write_text("not an alignment\n")
    with pytest.raises(MediaError, match=r"a\.align"):
        sentences.aligned(tmp_path / "a.wav", tmp_path / "a.align")


# -------------------------------------------------------------------------------------------------- layout and shards


def write_film(path: Path, cut: int, frames: int, fps: int = 25) -> np.ndarray:
    """Two flat shots with a bright square where `FixedBox` looks, and a rising tone; returns the tone."""
    wave = (0.3 * np.sin((np.arange(frames * 16_000 // fps) / 150) ** 2)).astype(np.float32)
    with video.Writer(path, fps=fps, sound=Sound.from_wave(wave), codec="ffv1") as film:
        for number in range(frames):
            image = np.full((120, 160, 3), 30 if number < cut else 170, np.uint8)
            image[30:90, 40:100] = (200, 3 * number, 90)
            film.write(image)
    return wave


def test_the_reader_of_the_layout_reads_what_preprocessing_wrote(tmp_path: Path):
    wave = write_film(tmp_path / "talk.mkv", cut=20, frames=44)
    seen = []
    folders = preprocess(
        [tmp_path / "talk.mkv"],
        tmp_path / "crops",
        FixedBox(Box(40, 30, 100, 90)),
        pads=(0, 0, 0, 0),
        progress=lambda *told: seen.append(told),
    )
    assert [folder.relative_to(tmp_path).as_posix() for folder in folders] == ["crops/talk/000", "crops/talk/001"]
    assert seen == [("preprocess", 1, 1)]
    first, second = data.read_layout(tmp_path / "crops")
    assert (len(first), len(second)) == (20, 24)
    assert first.who == second.who == "crops/talk"
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
    (clip,) = data.read_layout(tmp_path / "crops")
    greens = [face[..., 1].mean() for face in clip.faces]
    np.testing.assert_allclose(greens, 6 * np.arange(25), atol=3)


def test_frames_between_two_looks_get_boxes_between():
    class Walks:
        """Finds the face where it is, and counts how often it was asked."""

        name, identity, looks, asked = "walks", {}, True, 0

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
        boxes, shots = module._boxes(Path("film"), Walks(), 5, 0.5, (0, 0, 0, 0), None)
    assert Walks.asked == 5
    assert not shots.any()
    # smoothed over five frames, which changes nothing on a straight way but at its ends
    np.testing.assert_allclose(boxes[2:-2, 0], 10 + 2 * np.arange(21)[2:-2], atol=1)


def test_the_studys_layout_is_read(tmp_path: Path):
    # flat, as the study has it; frame 3 had no face; sizes differ
    folder = tmp_path / "study" / "output7"
    folder.mkdir(parents=True)
    for number in (0, 1, 2, 4, 5, 10):
        picture = np.full((50 + number, 40, 3), 20 * number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    wavfile.write(folder / "audio.wav", 44_100, np.zeros(44_100, np.int16))
    clips = list(data.read_layout(tmp_path / "study"))
    assert [(clip.first, len(clip)) for clip in clips] == [(0, 3), (4, 2), (10, 1)]
    assert {clip.who for clip in clips} == {"study/output7"}
    assert clips[1].faces[1].mean() == pytest.approx(100, abs=2)
    (folder / "5.jpg").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"5\.jpg"):
        list(data.read_layout(tmp_path / "study"))
    with pytest.raises(MediaError, match="holds no clip"):
        list(data.read_layout(tmp_path / "nothing"))


def test_shards_give_back_what_was_packed(tmp_path: Path):
    packed = [made_clip(1, 12), made_clip(2, 25, "film", "a/b", first=7)]
    data.write_shard(tmp_path / "train" / "one", packed)
    data.write_shard(tmp_path / "train" / "two", [made_clip(3, 10)])
    opened = data.open_shards(tmp_path)
    assert [len(clip) for clip in opened] == [12, 25, 10]
    for before, after in zip(packed, opened, strict=False):
        assert (before.first, before.kind, before.who, before.voice) == (
            after.first,
            after.kind,
            after.who,
            after.voice,
        )
        np.testing.assert_array_equal(before.faces, after.faces)
        np.testing.assert_allclose(before.mel, after.mel, atol=2e-3)
        np.testing.assert_array_equal(before.mouth, after.mouth)
        np.testing.assert_array_equal(before.gap, after.gap)
    data.write_shard(tmp_path / "train" / "two", [made_clip(3, 11)])  # takes the old one's place
    assert [len(clip) for clip in data.open_shards(tmp_path)] == [12, 25, 11]
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["one", "two"]
    with pytest.raises(RuntimeError), data.new_folder(tmp_path / "train" / "three"):
        raise RuntimeError
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["one", "two"]
    with pytest.raises(MediaError, match="no shard"):
        data.open_shards(tmp_path / "nowhere")


def test_mel_windows_are_those_of_the_published_training():
    clip = made_clip(5, 40, first=6)
    index = np.arange(40)
    for lead in (0, 1):
        # published: frame f's window starts at column int(80 * (f - lead) / 25)
        wanted = np.stack([clip.mel[:, int(80 * (6 + i - lead) / 25) :][:, :16] for i in index])
        np.testing.assert_array_equal(clip.windows(index, lead), wanted)
    early = made_clip(5, 12).windows([0], 1)[0]
    assert (early[:, :3] == -4).all()


def test_rendered_shards_follow_from_their_number_alone(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(drawn, "CLIPS", 1)
    monkeypatch.setattr(drawn, "FRAMES", 4)
    monkeypatch.setattr(drawn, "_LONGEST", 0.5)
    one = drawn.render(tmp_path / "a", "faces", "train", 1, first=6)
    two = drawn.render(tmp_path / "b", "faces", "train", 1, first=6)
    other = drawn.render(tmp_path / "b", "faces", "validation", 1, first=6)
    faces = [np.load(path / "faces.npy") for (path,) in (one, two, other)]
    assert faces[0].shape[1:] == (96, 96, 3)
    assert len(faces[0]) == 12
    np.testing.assert_array_equal(faces[0], faces[1])
    assert faces[0].shape != faces[2].shape or (faces[0] != faces[2]).any()
    stamp = (one[0] / "faces.npy").stat().st_mtime_ns
    drawn.render(tmp_path / "a", "faces", "train", 1, first=6)
    assert (one[0] / "faces.npy").stat().st_mtime_ns == stamp
    drawn.render(tmp_path / "a", "frames", "train", 1, first=2)
    pictures = detector.open_frames(tmp_path / "a")
    assert len(pictures) == 4
    assert all(picture.pixels.shape == (288, 384, 3) for picture in pictures)
    assert sum(len(picture.faces) for picture in pictures) > 0
    with pytest.raises(ParameterError, match="no shards of"):
        drawn.render(tmp_path, "boxes", "train", 1)


def test_the_photograph_speaks_in_its_crop(monkeypatch):
    monkeypatch.setattr(drawn, "_LONGEST", 1.6)
    seed = next(seed for seed in range(100) if seed % drawn._PHOTOGRAPHS == 5)
    clip = drawn.clip(seed)
    assert clip.kind == "photograph"
    # from one frame to the next the head hardly sways: take the two between which the mouth moves most
    at = int(np.abs(np.diff(clip.openness)).argmax())
    assert abs(clip.openness[at + 1] - clip.openness[at]) > 0.2
    x1, y1, x2, y2 = clip.mouth[at : at + 2].mean(axis=0).astype(int)
    assert 0 < x1 < x2 < 96
    assert 48 < y1 < y2 < 96
    away = np.abs(clip.faces[at + 1].astype(int) - clip.faces[at]).mean(axis=2)
    assert away[y1:y2, x1:x2].mean() > 3 * away[:24].mean()


# ------------------------------------------------------------------------------------------------------------ batches


def test_off_sync_windows_are_off():
    rng = np.random.default_rng(0)
    mels = rng.uniform(-4, 4, (6, 80, 16)).astype(np.float32)
    mels[4:] = -4  # two silences
    starts = np.array([0, 3, 5, 20, 40, 60])
    off = windows.off_sync(starts, mels, least_shift=4, least_difference=0.6)
    assert (off == off.T).all()
    assert not off.diagonal().any()
    wanted = {
        (a, b) for a in range(6) for b in range(6) if abs(starts[a] - starts[b]) >= 4 and (a, b) not in {(4, 5), (5, 4)}
    }
    assert {tuple(pair) for pair in np.argwhere(off)} == wanted


def test_the_experts_pairs_are_what_they_are_called(clips):
    recipe = ExpertRecipe(schedule(1), 0.1, clips=3, windows=5)
    batch = expert.ExpertTask(recipe, clips).batch(np.random.default_rng(1), 0)
    assert batch["faces"].shape == (3, 5, 5, 96, 96, 3)
    assert batch["off"].any()
    for group in range(3):
        for a, b in np.argwhere(batch["off"][group]):
            assert np.sqrt(np.mean((batch["mels"][group, a] - batch["mels"][group, b]) ** 2)) > 0.3
    for clip, starts, own, other in expert.pairs(clips, 3, 6, 4, 0.6):
        assert len(starts) == len(own) == len(other)
        np.testing.assert_array_equal(clip.windows(starts), own)
        sounds = clip.windows(np.arange(len(clip) - 4))
        for start, wrong in zip(starts, other, strict=True):
            [from_where] = [at for at, sound in enumerate(sounds) if np.array_equal(sound, wrong)]
            assert abs(from_where - start) >= 4
            assert np.sqrt(np.mean((wrong - sounds[start]) ** 2)) >= 0.6


def test_only_sounds_that_are_off_sync_stand_for_choice():
    rng = np.random.default_rng(3)
    likeness = torch.from_numpy(rng.uniform(0, 1, (2, 4, 4)).astype(np.float32))
    off = torch.ones(2, 4, 4, dtype=torch.bool) & ~torch.eye(4, dtype=torch.bool)
    off[0, 1, 2] = off[0, 2, 1] = False
    off[1, 3, :3] = off[1, :3, 3] = False  # nothing to choose from: no loss
    wanted = []
    for group in range(2):
        for row in range(4):
            among = [row, *np.flatnonzero(off[group, row]).tolist()]
            for values in (likeness[group, row], likeness[group, :, row]):
                shares = np.exp(values.numpy()[among] / 0.1)
                wanted.append(-np.log(shares[0] / shares.sum()))
    assert float(expert.chosen(likeness, off)) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_a_reference_is_another_frame_of_the_clip():
    for frames in (1, 5):
        found = {windows.reference(np.random.default_rng(seed), 12, 4, frames) for seed in range(300)}
        assert found == set(range(12 - frames + 1)) - {4}


def test_what_is_seen_moves_with_its_boxes():
    face = np.full((1, 96, 96, 3), 255, np.uint8)
    face[0, 60:72, 20:44] = 0
    moved = False
    for seed in range(40):
        faces, boxes = windows.seen(face, np.array([[20, 60, 44, 72]]), np.random.default_rng(seed))
        rows, columns = np.nonzero(faces[0].mean(axis=2) < 90)
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(boxes[0], edges, atol=1.6)
        moved |= bool(np.abs(boxes[0] - (20, 60, 44, 72)).max() > 5)
    assert moved
    assert (face[0, 60:72, 20:44] == 0).all()


def test_silence_stays_silence_however_it_is_heard():
    mels = np.full((2, 80, 16), -4, np.float32)
    mels[1] = 1
    heard = {float(windows.heard(mels, np.random.default_rng(seed))[1, 0, 0]) for seed in range(9)}
    assert len(heard) == 9
    assert all((windows.heard(mels, np.random.default_rng(seed))[0] == -4).all() for seed in range(9))
    assert (mels[1] == 1).all()


def test_another_throat_has_its_resonances_elsewhere():
    mels = np.full((1, 80, 16), -2, np.float32)
    mels[:, 38:43] = 2
    peaks = [int(windows.heard(mels, np.random.default_rng(seed))[0, :, 0].argmax()) for seed in range(60)]
    assert min(peaks) in range(34, 38)
    assert max(peaks) in range(41, 48)


def test_between_two_bands_the_throat_goes_straight():
    class Given:
        """A throat longer by a twentieth, before a microphone that changes nothing."""

        def __init__(self):
            self.drawn = iter((0.95, 0.0, 0.0))

        def random(self):
            return 0.0

        def uniform(self, low, high):
            return next(self.drawn)

    bands = np.arange(80)
    mels = np.random.default_rng(0).uniform(-3, 3, (2, 80, 16)).astype(np.float32)
    wanted = [[np.interp(bands * 0.95, bands, column) for column in window.T] for window in mels]
    np.testing.assert_allclose(windows.heard(mels, Given()), np.swapaxes(wanted, 1, 2), atol=1e-5)


def test_clips_are_drawn_by_their_kinds_share(clips):
    mixed = [*clips, made_clip(9, 30, "film", "p")]
    choice = windows.Choice(mixed, {"drawn": 0.25, "film": 0.75, "photograph": 1.0})
    rng = np.random.default_rng(0)
    share = np.mean([choice.clip(rng).kind == "film" for _ in range(600)])
    assert 0.68 < share < 0.82
    with pytest.raises(ParameterError, match="no clips of"):
        windows.Choice([made_clip(0, 9)], {"drawn": 1.0})


def test_the_generator_never_sees_what_it_has_to_draw(clips):
    recipe = GeneratorRecipe(schedule(10), 0.1, faces=10, sync_from=0.5)
    task = generator.GeneratorTask(recipe, clips, expert=SyncNetColor(0.1))
    assert not any(parameter.requires_grad for parameter in task.expert.parameters())
    early, late = (task.batch(np.random.default_rng(0), step) for step in (4, 5))
    assert early["target"].shape == (10, 1, 96, 96, 3)
    assert late["target"].shape == (2, 5, 96, 96, 3)
    assert late["mels"].shape == (2, 5, 80, 16)
    target, reference = (loop.pixels(torch.from_numpy(late[name])) for name in ("target", "reference"))
    given = generator.masked_pair(target, reference)
    assert (given[:, :3, 48:] == 0).all()
    torch.testing.assert_close(given[:, :3, :48], target[:, :, :48])
    torch.testing.assert_close(given[:, 3:], reference)
    # the same door as in use: RGB outside, BGR inside
    rgb = late["target"].reshape(-1, 96, 96, 3)
    torch.testing.assert_close(target, torch.from_numpy(rgb[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255)


def test_a_generator_draws_here_as_in_the_pipeline(clips):
    network = Wav2Lip(0.05).eval()
    faces, mels = clips[0].faces[:3], clips[0].windows([0, 1, 2])
    np.testing.assert_array_equal(generator.draw(network, faces, faces, mels), generation.draw(network, faces, mels))


def test_the_mouth_is_counted_where_its_box_is():
    inside = generator.within(torch.tensor([[30.0, 60.0, 50.0, 70.0]]))
    rows, columns = np.nonzero(inside[0, 0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (57, 72, 27, 52)


# ----------------------------------------------------------------------------------------------------------- detector


def test_offsets_are_turned_back_by_the_network_s_own_decoder():
    rng = np.random.default_rng(2)
    prior = detector.all_anchors(128, 160)
    low = torch.from_numpy(rng.uniform(0, 90, (len(prior), 2)).astype(np.float32))
    faces = torch.cat((low, low + torch.from_numpy(rng.uniform(8, 60, (len(prior), 2)).astype(np.float32))), dim=1)
    offsets = detector.encode(faces, prior)
    heads, first = [], 0
    for head in S3FD(0.05).eval()(torch.zeros(1, 3, 128, 160))[::2]:
        height, width = head.shape[2:]
        some = offsets[first : first + height * width]
        heads += [torch.zeros(1, 2, height, width), some.T.reshape(1, 4, height, width)]
        first += height * width
    assert first == len(prior)
    torch.testing.assert_close(decode(heads)[0, :, :4], faces, atol=2e-3, rtol=1e-4)


def test_overlaps_equal_those_of_boxes():
    prior = detector.all_anchors(64, 64)
    faces = torch.tensor([[3.0, 5.0, 40.0, 60.0], [50.0, 50.0, 64.0, 63.0]])
    found = detector.overlap(faces, prior)
    for row, face in enumerate(faces.tolist()):
        for column in range(0, len(prior), 37):
            cx, cy, w, h = prior[column].tolist()
            wanted = Box(*face).iou(Box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
            assert found[row, column] == pytest.approx(wanted, abs=1e-6)


def slow_match(faces: list[list[float]], prior: list[list[float]]) -> list[int]:
    """Anchor matching as the paper tells it, box by box."""
    boxes = [Box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2) for cx, cy, w, h in prior]
    overlaps = [[Box(*face).iou(box) for box in boxes] for face in faces]
    owner = [-1] * len(boxes)
    for anchor in range(len(boxes)):
        best = max(range(len(faces)), key=lambda row: overlaps[row][anchor])
        if overlaps[best][anchor] > 0.35:
            owner[anchor] = best
    counts = [owner.count(row) for row in range(len(faces))]
    wanted = max(round(sum(counts) / len(faces)), 1)
    for row in range(len(faces)):
        if counts[row] < wanted:
            free = sorted((a for a in range(len(boxes)) if owner[a] < 0), key=lambda a: -overlaps[row][a])
            for anchor in free[: wanted - counts[row]]:
                if overlaps[row][anchor] > 0.1:
                    owner[anchor] = row
    for row in range(len(faces)):
        owner[max(range(len(boxes)), key=lambda a: overlaps[row][a])] = row
    return owner


def test_matching_equals_matching_by_hand():
    prior = detector.all_anchors(64, 64)
    rng = np.random.default_rng(4)
    compensated = 0
    for _ in range(8):
        # odd numbers: no two overlaps are the same, so that order does not matter
        low = rng.uniform(0, 40, (4, 2))
        faces = np.concatenate([low, low + rng.uniform(7, 45, (4, 2))], axis=1).astype(np.float32)
        owner = detector.match(torch.from_numpy(faces), prior)
        by_hand = slow_match(faces.tolist(), prior.tolist())
        overlaps = detector.overlap(torch.from_numpy(faces), prior)
        for row in range(4):
            # a face that lies within several anchors of one size overlaps them all alike: any of those will do
            mine, wanted = (np.sort(overlaps[row][torch.tensor(some) == row]) for some in (owner.tolist(), by_hand))
            assert len(mine) > 0
            np.testing.assert_allclose(mine, wanted, atol=1e-5)
        compensated += int((overlaps[owner[owner >= 0], (owner >= 0).nonzero()[:, 0]] <= 0.35).sum())
    assert compensated > 0
    assert (detector.match(torch.zeros(0, 4), prior) == -1).all()


def test_faces_cut_off_or_tiny_are_neither_face_nor_background():
    prior = detector.all_anchors(64, 64)
    faces = np.array([[4, 4, 24, 24], [40, 40, 60, 60]], np.float32)
    labels, offsets = detector.targets(faces, np.array([True, False]), prior)
    centers = prior[:, :2].numpy()
    passed = ((centers > 40) & (centers < 60)).all(axis=1)
    assert (labels.numpy()[passed] == detector.IGNORED).all()
    assert (labels == detector.FACE).any()
    assert (offsets[labels != detector.FACE] == 0).all()
    torch.testing.assert_close(
        detector.encode(torch.from_numpy(faces[:1]).expand(int((labels == 1).sum()), 4), prior[labels == 1]),
        offsets[labels == 1],
    )


def test_only_the_hardest_background_counts():
    heads = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, 4)]
    heads[0][0, 1, 0, :3] = 5.0  # three backgrounds that look like faces
    labels, offsets = torch.zeros(1, 16, dtype=torch.long), torch.zeros(1, 16, 4)
    labels[0, 15], offsets[0, 15] = 1, 1.0
    labels[0, 2] = detector.IGNORED
    what, where = detector.multibox_loss(heads, labels, offsets)
    # one face, undecided: log 2; three backgrounds: two that look like faces, one undecided
    assert float(what) == pytest.approx(np.log(2) + 2 * np.log(1 + np.exp(5)) + np.log(2), rel=1e-5)
    assert float(where) == pytest.approx(4 * 0.5)
    what, where = detector.multibox_loss(heads, torch.zeros(1, 16, dtype=torch.long), offsets)
    assert float(what) == pytest.approx(3 * np.log(1 + np.exp(5)), rel=1e-5)
    assert float(where) == 0


def test_squares_show_faces_where_they_say():
    pictures = [made_picture(seed, faces=2) for seed in range(4)]
    whole = 0
    for seed in range(60):
        pixels, faces, visible = detector.square(pictures, np.random.default_rng(seed), 128, tiled=0.4)
        assert pixels.shape == (128, 128, 3)
        assert (faces >= 0).all()
        assert (faces <= 128).all()
        assert len(faces) == len(visible)
        for x1, y1, x2, y2 in faces[(visible > 0.999) & (faces[:, 2] - faces[:, 0] > 14)]:
            inside = pixels[int(y1 + 0.75 * (y2 - y1)) - 1, int((x1 + x2) / 2)].astype(int)
            # yellow, or grey where colours were taken away; noise has no such patch
            patch = pixels[int(y1 + 0.6 * (y2 - y1)) : int(y1 + 0.9 * (y2 - y1)), int(x1) + 3 : int(x2) - 3]
            assert patch.reshape(-1, 3).std(axis=0).max() < 14
            assert inside[0] >= inside[2] - 8
            whole += 1
    assert whole > 40


def test_recall_and_precision_are_counted():
    pictures = [made_picture(1, 2), made_picture(2, 0), made_picture(3, 1)]

    class Says(torch.nn.Module):
        """Finds one of the two faces, and one more where there is nothing."""

        def __init__(self):
            super().__init__()
            self.rows = iter([[pictures[0].faces[1]], [Box(100, 5, 140, 50)], [pictures[2].faces[0]]])
            self.nothing = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return next(self.rows)

    def read(found):
        return torch.tensor([[[*box, 0.9] for box in found]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "decode", read)
        numbers = detector.found_faces(Says(), pictures)
    assert numbers == {"recall": pytest.approx(2 / 3), "precision": pytest.approx(2 / 3), "faces": 3}


# ----------------------------------------------------------------------------------------- everything can be learnt


def tasks(clips) -> dict[str, loop.Task]:
    """One tiny task of each kind."""
    pictures = [made_picture(seed) for seed in range(4)]
    judged = {"quality": 0.07, "sync_from": 0.0, "quality_width": 0.05, "faces": 5}
    torch.manual_seed(0)
    return {
        "detector": detector.DetectorTask(DetectorRecipe(schedule(8), 0.07, batch=2, side=96), pictures, pictures[:2]),
        "expert": expert.ExpertTask(ExpertRecipe(schedule(14, 6e-3), 0.07, clips=2, windows=4), clips, clips[:1]),
        "generator": generator.GeneratorTask(
            GeneratorRecipe(schedule(16, 3e-2), 0.05, faces=2, sync=0.0), clips[:2], clips[:1]
        ),
        "gan": generator.GeneratorTask(
            GeneratorRecipe(schedule(8, 3e-2), 0.04, **judged), clips[:2], clips[:1], SyncNetColor(0.05)
        ),
        "quality": quality.QualityTask(
            QualityRecipe(schedule(16, 4e-3), 0.07, faces=2), clips, clips[:1], Wav2Lip(0.05)
        ),
        "reader": reader.ReaderTask(ReaderRecipe(schedule(12), width=0.25, faces=8), clips, clips[:1]),
    }


@pytest.mark.parametrize("name", ["detector", "expert", "generator", "gan", "quality", "reader"])
def test_one_batch_can_be_learnt(clips, name):
    task = tasks(clips)[name]
    first = task.batch(np.random.default_rng(0), 0)
    batch = {key: torch.from_numpy(value) for key, value in first.items()}
    run = loop._Run(task, task.recipe.schedule, "cpu")
    told = [run.forward(batch, step, bf16=False) for step in range(task.recipe.schedule.steps)]
    wanted = {
        "detector": ("what", "where"),
        "expert": ("loss", "in_sync", "contrast", "hints"),
        "generator": ("l1",),
        "gan": ("l1",),
        "quality": ("generated",),
        "reader": ("loss",),
    }[name]
    for number in wanted:
        assert told[-1][number] < 0.8 * told[0][number], (number, told[0], told[-1])
    assert all(np.isfinite(list(one.values())).all() for one in told)
    if name == "gan":
        assert {"l1", "mouth", "hints", "sync", "perceptual", "judge"} == set(told[0])


@pytest.mark.parametrize("name", ["detector", "gan", "reader"])
def test_going_on_is_as_if_never_stopped(clips, name, tmp_path: Path):
    def run(folder: str, steps: int, minutes: float | None = None):
        task = tasks(clips)[name]
        task.recipe = recipes.changed(task.recipe, steps=4, check_every=2, log_every=1)
        if steps < 4:  # stopped in the middle, as a person or a power cut does
            whole, task.batch = task.batch, lambda rng, step: whole(rng, step) if step < steps else 1 / 0
            with pytest.raises(ZeroDivisionError):
                loop.train(task, tmp_path / folder)
            return None
        torch.manual_seed(99)  # whatever else has used torch's own numbers
        return loop.train(task, tmp_path / folder)

    straight = run("straight", 4)
    run("halves", 2)
    halves = run("halves", 4)
    for network, mean in straight.items():
        for key, value in mean.state_dict().items():
            torch.testing.assert_close(halves[network].state_dict()[key], value, rtol=0, atol=0)
    logs = [(tmp_path / folder / "log.csv").read_text().splitlines() for folder in ("straight", "halves")]
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(log)] for log in logs]
    assert [row["step"] for row in rows[0]] == ["1", "2", "3", "4"]
    assert rows[0] == rows[1]
    assert any(name.startswith("held_out_") and rows[0][1][name] for name in rows[0][1])


def test_a_run_is_not_taken_up_by_another_recipe(clips, tmp_path: Path):
    task = reader.ReaderTask(ReaderRecipe(schedule(2), width=0.125, faces=4), clips)
    loop.train(task, tmp_path)
    other = reader.ReaderTask(ReaderRecipe(schedule(3), width=0.125, faces=4), clips)
    with pytest.raises(CheckpointError, match=r"state\.pt.*other numbers"):
        loop.train(other, tmp_path)
    (tmp_path / "state.pt").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read"):
        loop.train(task, tmp_path)


def test_a_time_limit_stops_with_the_state_saved(clips, tmp_path: Path):
    task = reader.ReaderTask(ReaderRecipe(schedule(50), width=0.125, faces=2), clips)
    seen = []
    loop.train(task, tmp_path, minutes=0.0, progress=lambda *told: seen.append(told))
    assert loop.read_state(tmp_path / "state.pt")["step"] == 1
    assert seen == [("train reader", 0, 50), ("train reader", 1, 50)]


def test_training_begins_with_given_weights_and_the_card_says_so(clips, tmp_path: Path):
    recipe = ReaderRecipe(schedule(2), width=0.125, faces=4)
    loop.train(reader.ReaderTask(recipe, clips), tmp_path / "first")
    task = reader.ReaderTask(recipes.changed(recipe, seed=5), clips)
    assert work._begin(task, tmp_path / "first") == "first"
    given = loop.read_state(tmp_path / "first" / "state.pt")["averages"]["reader"]
    for name, value in task.networks["reader"].state_dict().items():
        torch.testing.assert_close(value, given[f"module.{name}"], rtol=0, atol=0)
    loop.train(task, tmp_path / "second", begun_from="first")
    assert loop.read_state(tmp_path / "second" / "state.pt")["begun_from"] == "first"
    wider = reader.ReaderTask(ReaderRecipe(schedule(2), width=0.2, faces=4), clips)
    with pytest.raises(ParameterError, match="another width"):
        work._begin(wider, tmp_path / "first")


def test_half_precision_runs_and_a_loss_that_is_no_number_stops(clips):
    task = tasks(clips)["expert"]
    run = loop._Run(task, task.recipe.schedule, "cpu")
    batch = {key: torch.from_numpy(value) for key, value in task.batch(np.random.default_rng(0), 0).items()}
    assert np.isfinite(run.forward(batch, 0, bf16=True)["loss"])
    batch["mels"] = batch["mels"] * np.nan
    with pytest.raises(ParameterError, match="no number at step 1"):
        run.forward(batch, 1, bf16=False)
    with pytest.raises(ParameterError, match="precision"):
        loop.train(task, "unused", precision="fp8")


def test_the_rate_rises_and_falls():
    plan = Schedule(100, 1e-3, warmup=10, floor=0.1)
    rates = [loop.rate(plan, step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert np.argmax(rates) in (9, 10)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(1e-4, rel=0.01)


def test_recipes_can_be_changed_by_name():
    found = recipes.changed(recipes.SMALL_CPU.expert, steps=7, clips=3)
    assert (found.schedule.steps, found.clips, found.width) == (7, 3, recipes.SMALL_CPU.expert.width)
    with pytest.raises(ParameterError, match="has no colour"):
        recipes.changed(recipes.SMALL_CPU.expert, colour=1)


# ------------------------------------------------------------------------------------------------------- measurements


def test_auc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40), rng.integers(0, 7, 30)
    wanted = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
    assert expert.auc(a, b) == pytest.approx(wanted)


def test_faults_grow_and_stay_in_the_lower_half(clips):
    face = cv2.resize(np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8), (96, 96))
    for fault in quality.FAULTS:
        away = [
            np.abs(quality.spoilt(face, fault, strength, np.random.default_rng(1)).astype(int) - face).astype(float)
            for strength in quality.STRENGTHS
        ]
        assert away[0].max() == 0
        assert all(a.mean() < b.mean() for a, b in pairwise(away)), fault
        assert all(one[:48].max() == 0 for one in away)
    with pytest.raises(ParameterError, match="no fault"):
        quality.spoilt(face, "rust", 0.5, np.random.default_rng(0))


class Draws(torch.nn.Module):
    """Stands for a generator: the reference comes back, with a mouth as open as the mel window is loud."""

    def __init__(self, shut: bool = False):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.shut = shut

    def forward(self, mel, face):
        out = face[:, 3:].clone()
        out[:, :, 60:90, 30:66] = out[:, :, 50:51, 30:31]
        # the loudest moment of the two columns at which the middle of the frame is heard
        loud = (mel[:, 0, :, 3:5].amax(dim=(1, 2)) + 4) * 3.5
        for one, height in zip(out, loud.tolist(), strict=True):
            if not self.shut and height > 3:
                one[:, 74 - round(height / 2) : 74 + round(height / 2), 32:64] = 0.1
        return out


class Measures(torch.nn.Module):
    """Stands for the reader: counts dark rows in the middle of the mouth."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, faces):
        return (faces[:, 2, 55:, 48] < 0.32).sum(dim=1).float() / 10


def test_a_generator_that_follows_the_sound_is_told_from_one_that_does_not():
    clips = [made_clip(seed, 40) for seed in range(30, 34)]
    good = evaluate.generator(Draws(), Measures(), clips, lead=1)
    assert good["openness"] > 0.8
    assert abs(good["openness_of_source"]) < 0.35
    assert good["closed_in_silence"] == 1
    assert good["openness"] > good["openness_at_0"] + 0.05
    assert good["reader_correlation"] > 0.95
    idle = evaluate.generator(Draws(shut=True), Measures(), clips, lead=1)
    assert np.isnan(idle["openness"])
    assert "openness is nan and must be >= 0.7" in evaluate.missed_bars("generator", idle)


def test_reconstruction_lies_between_what_is_shown_and_what_is_pasted(clips, monkeypatch):
    pasting = generator.reconstruction(checkpoints.load("identity", "generator").model, clips, 1)
    assert pasting["pasted"] > 0.02
    assert pasting["mouth"] == pytest.approx(pasting["pasted"], abs=1 / 255)
    monkeypatch.setattr(generator, "draw", lambda network, faces, references, mels: faces)
    assert generator.reconstruction(Draws(), clips, 1) == {"l1": 0, "mouth": 0, "pasted": pasting["pasted"]}
    assert np.isnan(generator.reconstruction(Draws(), [], 1)["mouth"])


def test_bars_are_missed_from_the_right_side():
    numbers = {"openness": 0.7, "openness_of_source": 0.3, "mouth_against_pasted": 0.5, "closed_in_silence": 0.89}
    assert [line.split()[0] for line in evaluate.missed_bars("generator", numbers)] == [
        "openness_of_source",
        "closed_in_silence",
    ]
    assert len(evaluate.missed_bars("quality", {})) == 4


def test_recorded_frames_are_counted_with_their_neighbours(tmp_path: Path):
    write_film(tmp_path / "film.mkv", cut=99, frames=20)
    boxes = {"film": {"frames": 20, "boxes": [[40, 30, 100, 90] if n < 10 else None for n in range(20)]}}
    found = evaluate.on_recorded(FixedBox(Box(45, 30, 100, 90)), [tmp_path / "film.mkv"], boxes)
    assert found == {"found": 1.0, "found_recorded": 1.0, "found_missed": 1.0, "frames": 20, "missed": 10}
    wrong = evaluate.on_recorded(FixedBox(Box(0, 0, 50, 50)), [tmp_path / "film.mkv"], boxes)
    assert wrong["found"] == 0
    assert evaluate.on_clips(FixedBox(Box(0, 0, 50, 50)), [tmp_path / "film.mkv"])["one"] == 1
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    assert evaluate.read_boxes(tmp_path / "boxes.json") == boxes
    with pytest.raises(MediaError, match="no boxes are recorded"):
        evaluate.on_recorded(FixedBox(Box(0, 0, 9, 9)), [tmp_path / "film.mkv"], {})


def test_tiles_are_searched_one_by_one():
    class Bright:
        name, identity, looks = "bright", {}, True

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
    found = evaluate.on_tiles(Bright(), image, 64, boxes)
    assert found == {
        "recall": pytest.approx(2 / 3),
        "precision": 1.0,
        "recall_04": pytest.approx(2 / 3),
        "faces": 3,
    }


# -------------------------------------------------------------------------------------------- export, and all by name


@pytest.mark.parametrize(("kind", "make"), [("expert", SyncNetColor), ("gan", QualityDiscriminator)])
def test_what_is_exported_can_be_loaded(clips, tmp_path: Path, kind, make):
    task = tasks(clips)[kind]
    task.recipe = recipes.changed(task.recipe, steps=1)
    means = loop.train(task, tmp_path / "run")
    network = "expert" if kind == "expert" else "quality"
    done = export(
        tmp_path / "run",
        tmp_path / "out",
        "tiny-lab",
        numbers={"drawn_accuracy": 0.5, "auc": 0.9, "blur_falls": 0.0},
        materials=("drawn", "film"),
        network=None if kind == "expert" else "quality",
    )
    loaded = checkpoints.load(done.path, network)
    assert isinstance(loaded.model, make)
    assert loaded.width == pytest.approx(0.07 if kind == "expert" else 0.05)
    for key, value in means[network].state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[key], value)
    card = done.card.read_text()
    assert "CC BY 4.0" in card
    assert "GRID" in card
    assert ("**missed**" in card) == (kind == "expert") or "blur_falls | 0 | >= 1, **missed**" in card
    (row,) = csv.reader([done.row])
    assert row[:3] == ["tiny-lab", network, "tiny-lab.safetensors"]
    assert row[4] == checkpoints.sha256(done.path)
    with pytest.raises(ParameterError, match="unknown material"):
        export(tmp_path / "run", tmp_path, "x", materials=("gold",))


def options(name: str, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.COMMANDS[name].add_arguments(parser)
    return parser.parse_args(words)


def test_everything_by_command(clips, tmp_path: Path, capsys):
    folder = tmp_path / "data"
    data.write_shard(folder / "train" / "faces-0", clips)
    data.write_shard(folder / "validation" / "faces-0", [made_clip(seed, 12) for seed in (50, 51)])

    def run(name: str, *words: str) -> str:
        assert command.COMMANDS[name].run(options(name, *words), None) == 0
        return capsys.readouterr().out

    common = ["--data", str(folder)]
    numbers = ["--set", "steps=1", "warmup=1"]
    run("train", "reader", *common, "--out", str(tmp_path / "r"), *numbers, "width=0.125", "faces=2")
    told = run("evaluate", "reader", str(tmp_path / "r"), *common)
    assert "drawn_closed:" in told
    run("train", "expert", *common, "--out", str(tmp_path / "e"), *numbers, "width=0.05", "clips=2", "windows=3")
    given = ["--expert", str(tmp_path / "e")]
    run("train", "generator", *common, "--out", str(tmp_path / "g"), *given, *numbers, "width=0.05", "faces=2")
    given = ["--generator", str(tmp_path / "g")]
    told = run("train", "quality", *common, "--out", str(tmp_path / "q"), *given, *numbers, "width=0.05", "faces=2")
    assert told.strip().endswith("log.csv")
    told = run("evaluate", "expert", str(tmp_path / "e"), *common)
    assert "drawn_accuracy:" in told
    run(
        "evaluate",
        "generator",
        str(tmp_path / "g"),
        *common,
        "--reader",
        str(tmp_path / "r"),
        "--out",
        str(tmp_path / "n"),
    )
    told = run("evaluate", "quality", str(tmp_path / "q"), *common, *given)
    assert "auc:" in told
    assert {"openness", "mouth", "closed_in_silence"} <= set(json.loads((tmp_path / "n").read_text()))
    words = ["--numbers", str(tmp_path / "n"), "--name", "w", "--out", str(tmp_path / "out"), "--on", "a test"]
    told = run("export", str(tmp_path / "g"), *words)
    assert "w,generator,w.safetensors" in told
    assert checkpoints.load(tmp_path / "out" / "w.safetensors", "generator").width == pytest.approx(0.05)
    with pytest.raises(ParameterError, match="taught by an expert"):
        work.train("generator", folder, tmp_path / "x")
    with pytest.raises(ParameterError, match="no recipe"):
        work.train("expert", folder, tmp_path / "x", recipe="huge")
    with pytest.raises(SystemExit):
        options("train", "expert", *common, "--out", "x", "--set", "steps")


def test_layouts_are_packed_by_command(tmp_path: Path):
    for name in [f"p{number}" for number in range(12)]:
        folder = tmp_path / "crops" / name / "000"
        folder.mkdir(parents=True)
        for number in range(12):
            cv2.imwrite(str(folder / f"{number}.jpg"), np.full((20, 20, 3), 10 * number, np.uint8))
        wavfile.write(folder / "audio.wav", 16_000, np.zeros(16_000, np.int16))
    work.preprocess([], tmp_path / "crops", data=tmp_path / "data")
    sides = [{clip.who for clip in data.open_shards(tmp_path / "data" / part)} for part in sentences.SPLITS]
    assert sides[0] | sides[1] == {f"crops/p{number}" for number in range(12)}
    assert sides[1] == {who for who in sides[0] | sides[1] if data.held_out(who)}
    assert sides[1]
