"""Restoration after generation: what the restorer is given, and what it may change."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync_lab import generation
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.generation import restoring
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.media.audio import Sound
from lipsync_lab.models import registry, restorer
from lipsync_lab.models.restorer import HALF, MouthRestorer
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A small restorer that changes every pixel of the lower half."""
    torch.manual_seed(0)
    network = MouthRestorer(0.25)
    network.last[-1].bias.data = torch.tensor([0.2, 0.2, 0.2, -2.0])  # and nothing of the source
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file(network.state_dict(), path, {"width": "0.25", "kind": "restorer"})
    return path


def faces(count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (count, 96, 96, 3)).astype(np.uint8)


def test_the_network_is_given_the_source_above_the_generated_face_below_and_the_source_in_bgr():
    given_to_it = []

    def network(batch):
        given_to_it.append(batch)
        return torch.full_like(batch[:, :3], 0.5)

    crops, generated = faces(seed=1), faces(seed=2)
    out = restoring.restore(network, crops, generated)
    (batch,) = given_to_it
    assert batch.dtype == torch.float32
    shown, source = ((255 * batch[:, part]).round().permute(0, 2, 3, 1).numpy()[..., ::-1] for part in (LEFT, RIGHT))
    np.testing.assert_array_equal(source, crops)
    np.testing.assert_array_equal(shown[:, :HALF], crops[:, :HALF])
    np.testing.assert_array_equal(shown[:, HALF:], generated[:, HALF:])
    np.testing.assert_array_equal(out[:, :HALF], generated[:, :HALF])
    assert out.dtype == np.uint8
    assert set(out[:, HALF:].ravel()) == {128}


LEFT, RIGHT = slice(None, 3), slice(3, None)


def drawing(mouth: tuple[int, int] = (14, 5), colour: int = 60) -> np.ndarray:
    """A flat face with outlines, and a mouth of this half width and half height."""
    face = np.full((96, 96, 3), (240, 205, 180), np.uint8)
    cv2.ellipse(face, (48, 40), (40, 50), 0, 0, 360, (40, 20, 30), 2)
    cv2.line(face, (48, 40), (44, 56), (60, 40, 40), 1)
    cv2.ellipse(face, (48, 74), mouth, 0, 0, 360, (colour, 20, 30), -1)
    return face


def untrained(source: np.ndarray, face: np.ndarray) -> np.ndarray:
    return restoring.restore(MouthRestorer(0.25), source[None], face[None])[0]


def test_where_the_generator_only_lost_detail_the_source_comes_back():
    source = drawing() // 2 + 100
    soft = cv2.GaussianBlur(source, (0, 0), 0.7)
    error = [np.abs(each[HALF:].astype(int) - source[HALF:]).mean() for each in (untrained(source, soft), soft)]
    assert error[0] < 0.2 * error[1]


def test_where_the_generator_changed_the_mouth_its_own_pixels_stay():
    source, other = drawing() // 2 + 100, drawing((12, 14), 20) // 2 + 100
    soft = cv2.GaussianBlur(other, (0, 0), 0.7)
    out, mouth = untrained(source, soft).astype(int), (slice(66, 82), slice(40, 56))
    assert np.abs(out - soft)[mouth].mean() < 3
    assert np.abs(out - source)[mouth].mean() > 10
    # the outline of the chin is the source's
    around = np.ones((96, 96), bool)
    around[:HALF] = around[50:92, 24:72] = False
    assert np.abs(out - source)[around].mean() < 0.3 * np.abs(soft.astype(int) - source)[around].mean()


def test_a_shift_of_all_colours_is_taken_back():
    source, other = drawing(), drawing((12, 14), 20)
    shifted = cv2.add(cv2.GaussianBlur(other, (0, 0), 1.0), (8, 0, 5, 0))
    plain = untrained(source, cv2.GaussianBlur(other, (0, 0), 1.0))
    assert np.abs(untrained(source, shifted).astype(int) - plain)[HALF:].max() <= 1


def test_in_a_hold_only_the_mouth_changes():
    source = drawing() // 2 + 100
    rng, outs, softs = np.random.default_rng(0), [], []
    for height in (9, 12):
        noise = cv2.GaussianBlur(rng.normal(0, 6, (96, 96, 3)), (0, 0), 2)
        soft = cv2.GaussianBlur(drawing((12, height)) // 2 + 100, (0, 0), 0.7) + noise
        softs.append(soft.clip(0, 255).astype(np.uint8))
        outs.append(untrained(source, softs[-1]).astype(int))
    skin = np.ones((96, 96), bool)
    skin[:HALF] = skin[58:92, 28:68] = False
    moves = [np.abs(first.astype(int) - second)[skin].mean() for first, second in (outs, softs)]
    assert moves[0] < 0.25 * moves[1]


def test_agreement_is_the_difference_after_a_blur():
    """The same by OpenCV."""
    rng = np.random.default_rng(3)
    pair = cv2.resize(rng.uniform(0, 0.05, (8, 12, 6)), (96, 64)).astype(np.float32)
    apart = cv2.GaussianBlur(pair[..., :3] - pair[..., 3:], (15, 15), restorer.SEEN, borderType=cv2.BORDER_REPLICATE)
    apart = cv2.dilate(np.abs(apart).max(axis=2), np.ones((3, 3)))
    wanted = (restorer.SUREST * (1 - apart / restorer.APART)).clip(-restorer.SUREST, restorer.SUREST)
    batch = torch.from_numpy(pair).permute(2, 0, 1)[None]
    ours = restorer.agreement(batch[:, :3], batch[:, 3:])[0, 0].numpy()
    np.testing.assert_allclose(ours, wanted, atol=1e-3)
    assert (ours > 1).any()
    assert (ours < -1).any()


def test_blur_is_gaussian():
    face = cv2.resize(faces(1)[0], (96, 96)).astype(np.float32)
    tensor = torch.from_numpy(face).permute(2, 0, 1)[None]
    ours = restorer.blurred(tensor, 3.0)[0].permute(1, 2, 0).numpy()
    theirs = cv2.GaussianBlur(face, (19, 19), 3.0, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_the_lower_half_depends_on_both_halves_and_the_upper_on_nothing():
    network = MouthRestorer(0.25)
    torch.nn.init.normal_(network.last[-1].weight)
    batch = torch.rand(1, 6, 96, 96)
    above, below, far = batch.clone(), batch.clone(), batch.clone()
    above[:, :, 40:HALF] = 0
    below[:, 3:, HALF:] = 0
    far[:, :, :32] = 0
    with torch.inference_mode():
        whole, other, further, same = (network(each) for each in (batch, above, below, far))
    assert torch.equal(whole[:, :, :HALF], batch[:, :3, :HALF])
    assert not torch.equal(whole[:, :, HALF:], other[:, :, HALF:])
    assert not torch.equal(whole[:, :, HALF:], further[:, :, HALF:])
    assert torch.equal(whole[:, :, HALF:], same[:, :, HALF:])


def test_a_restored_generator_is_the_generator_but_for_its_faces(weights: Path):
    generator = generation.load("identity")
    made = restoring.restored(generator, str(weights))
    crops, windows = faces(3), np.zeros((3, 80, 16), np.float32)
    assert (made.name, made.side, made.sha256) == (generator.name, generator.side, generator.sha256)
    assert made.restorer["name"] == "own.safetensors"
    assert len(made.restorer["sha256"]) == 64
    assert "own.safetensors" in made.provenance
    out = made.generate(crops, windows)
    np.testing.assert_array_equal(out[:, :HALF], crops[:, :HALF])
    assert (out[:, HALF:].astype(int) - crops[:, HALF:]).mean() > 20
    assert copy.copy(made).name == generator.name
    assert restoring.restored(generator, None) is generator
    # what is restored already is not restored twice, and can be had without
    again = restoring.restored(made, str(weights))
    np.testing.assert_array_equal(again.generate(crops, windows), out)
    assert generation.ready(made, Settings(restorer=None)) is generator


def test_what_cannot_be_restored_is_refused(weights: Path):
    with pytest.raises(ParameterError, match="--restorer: cel"):
        restoring.restored(generation.load("cel"), str(weights))
    with pytest.raises(CheckpointError, match="mouth restorer is needed"):
        restoring.restored(generation.load("identity"), "wav2lip-lab")


def test_no_restorer_is_the_default():
    assert Settings().restorer is None
    assert Settings(restorer="none").restorer is None
    assert Settings.of({}, "reference").restorer is None
    assert generation.ready("wav2lip-lab", Settings(restorer="mouth-restorer-lab")).restorer["sha256"] == (
        registry.MODELS["mouth-restorer-lab"].sha256
    )
    assert not hasattr(generation.ready("wav2lip-lab", Settings()), "restorer")
    assert Settings.read(Settings().as_dict()) == Settings()


def test_a_run_restores_its_mouths_and_says_so(weights: Path, tmp_path: Path):
    film, box = tmp_path / "film.mkv", Box(30, 20, 110, 100)
    wave = (0.3 * np.sin((np.arange(16_000) / 150) ** 2)).astype(np.float32)
    with video.Writer(film, fps=25, sound=Sound.from_wave(wave), codec="ffv1") as writer:
        for number in range(25):
            writer.write(np.full((120, 160, 3), 90 + number, np.uint8))
    runs = {}
    for name in (None, str(weights)):
        pipeline = Pipeline("identity", settings=Settings(restorer=name, codec="ffv1"), box=box, device="cpu")
        runs[name] = pipeline.run(film, film, tmp_path / f"run-{name is None}")
    plain, restored = (json.loads((run.folder / "run.json").read_text()) for run in runs.values())
    assert "restorer" not in plain["generator"]
    assert restored["generator"]["restorer"]["name"] == "own.safetensors"
    assert restored["settings"]["restorer"] == str(weights)
    before, after = (np.stack([frame.image for frame in video.frames(run.output)]).astype(int) for run in runs.values())
    changed = (before != after).any(axis=(0, 3))
    assert changed[65:95, 40:100].all()
    changed[60:110, 30:110] = False  # the lower half of the box with its padding
    assert not changed.any()
