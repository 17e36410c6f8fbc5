"""Crops, mask and the BGR door; and how a drawn face is put back."""

import cv2
import numpy as np
import pytest
import torch

from lipsync_lab import generation, plugins
from lipsync_lab.errors import CheckpointError, ParameterError
from lipsync_lab.generation import compositing
from lipsync_lab.geometry import Box
from lipsync_lab.models import registry as checkpoints


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)


def test_crop_is_the_resized_region(frame):
    face = generation.crop(frame, Box(10, 20, 60, 75))
    assert (face == cv2.resize(frame[20:75, 10:60], (96, 96))).all()
    with pytest.raises(ParameterError):
        generation.crop(frame, Box(200, 0, 220, 20))


def test_mask_blackens_the_lower_half():
    faces = np.full((2, 96, 96, 3), 9, np.uint8)
    masked = generation.masked(faces)
    assert (masked[:, :48] == 9).all()
    assert (masked[:, 48:] == 0).all()
    assert (faces == 9).all(), "the reference stays whole"


def test_what_the_generator_is_given():
    """BGR in [0, 1], masked face first, one mel window each; and back to RGB with the fraction cut off."""
    given = {}

    def generator(mel, face):
        given.update(mel=mel, face=face)
        return torch.tensor([0.1, 0.5, 0.9999]).view(1, 3, 1, 1).expand(len(face), 3, 96, 96)

    faces = np.zeros((2, 96, 96, 3), np.uint8)
    faces[..., 0] = 255  # red
    out = generation.generate(generator, faces, np.full((2, 80, 16), -4, np.float32))
    assert given["mel"].shape == (2, 1, 80, 16)
    assert given["face"].shape == (2, 6, 96, 96)
    assert given["face"].dtype == torch.float32
    assert (given["face"][:, 2, :48] == 1).all()
    assert (given["face"][:, :3, 48:] == 0).all()
    assert (given["face"][:, 5] == 1).all()
    assert (given["face"][:, 3:5] == 0).all()
    assert out.dtype == np.uint8
    assert out[0, 0, 0].tolist() == [254, 127, 25]


def test_windows_and_faces_must_match():
    with pytest.raises(ParameterError):
        generation.generate(None, np.zeros((2, 96, 96, 3), np.uint8), np.zeros((3, 80, 16), np.float32))


def test_published_paste_is_the_whole_square(frame):
    face = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    before = frame.copy()
    out = compositing.paste(frame, face, Box(10, 20, 60, 75))
    assert (out[20:75, 10:60] == cv2.resize(face, (50, 55))).all()
    out[20:75, 10:60] = frame[20:75, 10:60]
    assert (out == before).all()
    assert (frame == before).all(), "the frame is left as it is"


@pytest.mark.parametrize("feather", [0.03, 0.1, 0.25])
@pytest.mark.parametrize("box", [Box(10, 20, 60, 75), Box(3, 1, 40, 44), Box(5, 5, 6, 6)])
def test_feathered_paste_is_a_weighted_mean_by_its_mask(frame, feather, box):
    face = np.random.default_rng(4).integers(0, 256, (96, 96, 3), np.uint8)
    weight = compositing.feather_mask(int(box.height), int(box.width), feather).astype(float)[..., None]
    expected = frame.astype(float)
    patch = cv2.resize(face, (int(box.width), int(box.height)))
    expected[box.slices] = patch * weight + expected[box.slices] * (1 - weight)
    assert np.abs(compositing.paste(frame, face, box, feather) - expected).max() < 0.501


def test_feathered_paste_has_no_seam_and_leaves_the_upper_half():
    grey, white = np.full((100, 100, 3), 100, np.uint8), np.full((96, 96, 3), 200, np.uint8)
    box = Box(20, 10, 80, 90)
    hard = compositing.paste(grey, white, box).astype(int)
    soft = compositing.paste(grey, white, box, feather=0.15).astype(int)
    assert (soft[:50] == 100).all()
    assert (soft[65:75, 45:55] == 200).all()
    steps = [max(np.abs(np.diff(out, axis=axis)).max() for axis in (0, 1)) for out in (hard, soft)]
    assert steps[0] == 100
    assert steps[1] < 25
    outside = np.ones((100, 100), bool)
    outside[box.slices] = False
    assert (soft[outside] == 100).all()


def test_feather_mask_rises_from_the_edges():
    mask = compositing.feather_mask(60, 40, 0.1)
    assert mask.shape == (60, 40)
    assert (mask[:30] == 0).all()
    assert mask[45, 20] == 1
    assert (np.diff(mask[45, :20]) >= 0).all()
    assert (mask == mask[:, ::-1]).all()


@pytest.mark.parametrize("name", generation.NAMES)
def test_every_registered_generator_obeys_the_contract(name, frame):
    try:
        made = generation.load(name)
    except CheckpointError as error:
        pytest.skip(f"weights that are not bundled: {error}")
    box, before = Box(10, 20, 60, 75), frame.copy()
    crops = np.stack([made.crop(frame, box)] * 2)
    assert crops.shape == (2, made.side, made.side, 3)
    windows = np.random.default_rng(1).uniform(-4, 4, (2, 80, made.window)).astype(np.float32)
    faces = made.generate(crops, windows)
    assert faces.dtype == np.uint8
    assert faces.shape == crops.shape
    np.testing.assert_array_equal(made.generate(crops, windows), faces)
    out = made.paste(frame, faces[0], box)
    rows, columns = box.slices
    out[rows, columns] = frame[rows, columns]
    np.testing.assert_array_equal(out, frame)
    np.testing.assert_array_equal(frame, before)
    x1, y1, x2, y2 = made.region
    assert 0 <= x1 < x2 <= 1
    assert 0 <= y1 < y2 <= 1


def test_the_registry_has_every_generator_once_and_the_default_first():
    assert generation.NAMES[0] == generation.default()
    models = [model.name for model in checkpoints.MODELS.values() if model.kind == "generator"]
    assert sorted(generation.NAMES) == sorted([*models, "cel"])


def test_a_kind_is_added_by_registering_it():
    registry = plugins.Registry()

    @registry.register("first", names=("a", "b"), suffixes=("", ".xml"))
    def open_first(name, device):
        return "first", name, device

    @registry.register("second", names=("c",), suffixes=(".onnx",))
    def open_second(name, device):
        return "second", name, device

    assert registry.names(first="c") == ("c", "a", "b")
    assert registry.find("c", "").open("c", "cpu") == ("second", "c", "cpu")
    assert registry.find("x.onnx", ".onnx").open("x.onnx", "cpu") == ("second", "x.onnx", "cpu")
    assert registry.find("x.pth", ".pth").open is open_first, "files of no known ending"
