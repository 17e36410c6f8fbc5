"""The script that renders the figures of the README."""

import importlib.util
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync_lab.synthesis.speech import speak

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("render_figures", ROOT / "benchmarks" / "render_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sheets_contain_their_pictures(script):
    sheet = script.characters(range(5), size=64, columns=3)
    assert sheet.shape == (128, 192, 3)
    tiles = [sheet[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64, 128)]
    assert (tiles.pop() == 255).all()
    assert all((a != b).any() for a, b in itertools.combinations(tiles, 2))
    assert script.four_styles(speak("Me."), size=48, columns=4).shape == (4 * 48, 4 * 48, 3)


def test_the_characters_of_the_readme_are_those_of_the_script(script):
    committed = cv2.imread(str(ROOT / "reports" / "figures" / "characters.png"))[..., ::-1]
    first = script.characters(range(2), size=160, columns=2)
    assert np.abs(committed[:160, :320].astype(int) - first).mean() < 8  # the committed file has 256 colours


def test_clips_are_shown_at_their_faces(script):
    pair = script.matched_pair(["small_in_the_hills"], size=40, columns=3)
    assert pair.shape == (40, 120, 3)
    tile = script.bundled(["small_in_the_hills"], width=64, height=48, columns=1)
    assert (tile[0] == 255).all()
    assert (tile[24] < 255).any()
