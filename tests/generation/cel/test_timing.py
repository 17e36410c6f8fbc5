"""Exposure sheets: exposures, the best path against brute force, closures, and files of mouth timing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel import exchange, timing
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.generation.cel.timing import Cue, SpokenShapes

FPS = 25.0


def speech_of(letters: str, columns: int = 8, sure: float = 0.8) -> SpokenShapes:
    """A voice in which each letter lasts for some mel columns (0.1 s)."""
    rows = np.full((len(SHAPES), columns * len(letters)), (1 - sure) / (len(SHAPES) - 1), np.float32)
    for place, letter in enumerate(letters):
        rows[SHAPES.index(letter), columns * place : columns * (place + 1)] = sure
    openness = np.repeat([CHART[letter].openness for letter in letters], columns)
    return SpokenShapes(rows, openness.astype(np.float32))


def test_an_exposure_begins_with_a_drawing_and_lasts_70_ms():
    assert timing.exposures(np.array([0, 0, 2, 2, 2, 5, 5, 5]), FPS) == [(0, 2), (2, 5), (5, 8)]
    on_ones = timing.exposures(np.arange(7), FPS)
    assert on_ones == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert timing.exposures(np.arange(9), 60.0)[:2] == [(0, 4), (4, 8)]
    assert timing.exposures(np.array([0, 0, -1, -1, 4, 4]), FPS) == [(0, 2), (2, 4), (4, 6)]
    # one frame without a mouth ends an exposure, and takes nothing from the one after it
    assert timing.exposures(np.array([0, 0, -1, 3, 3, 5, 5]), FPS) == [(0, 2), (2, 3), (3, 5), (5, 7)]
    assert timing.exposures(np.array([], int), FPS) == []


@pytest.mark.parametrize("seed", range(4))
def test_best_path_is_that_of_brute_force(seed):
    scores = np.random.default_rng(seed).normal(size=(5, 4))

    def worth(path):
        changes = sum(a != b for a, b in itertools.pairwise(path))
        return sum(scores[step, state] for step, state in enumerate(path)) - 0.7 * changes

    best = max(itertools.product(range(4), repeat=5), key=worth)
    assert timing._best_path(scores, 0.7) == list(best)


def test_the_sheet_says_what_is_heard():
    spoken = speech_of("XDDEFBX")
    exposed = timing.exposures(2 * (np.arange(17) // 2), FPS)
    letters = "".join(shape.shape for shape in timing.sheet(spoken, exposed, FPS))
    assert [letter for letter, _ in itertools.groupby(letters)] == list("XDEFBX")


def test_mouths_may_lead_the_sound_by_a_drawing():
    spoken = speech_of("XXDDXX", columns=16)
    exposed = timing.exposures(2 * (np.arange(30) // 2), FPS)
    late, early = (
        [shape.shape for shape in timing.sheet(spoken, exposed, FPS, audio_offset=offset)] for offset in (0, -2)
    )
    assert early[:-1] == late[1:]


def test_a_short_closure_is_not_skipped():
    # one twentieth of a second between two wide vowels, within one exposure of 0.12 s
    rows = speech_of("D" * 24, columns=1)
    rows.probabilities[:, 12:16] = 0.05
    rows.probabilities[SHAPES.index("A"), 12:16] = 0.6
    exposed = [(0, 3), (3, 6), (6, 7)]
    assert [shape.shape for shape in timing.sheet(rows, exposed, FPS)] == ["D", "A", "D"]


def test_quiet_speech_opens_the_mouth_less():
    loud, quiet = speech_of("DDD"), speech_of("DDD")
    quiet.openness[:] = 0.3
    widths = [timing.sheet(spoken, [(0, 7)], FPS)[0].openness for spoken in (loud, quiet)]
    # the shape itself asks for an opening of 1, the sound for 0.3
    assert widths == [1.0, 0.6]


def test_a_column_of_another_shape_does_not_decide_an_exposure():
    # fifteen columns are rather wide open, one is surely nearly closed: D has a share of 0.56, and B of 0.44
    spoken = speech_of("D", columns=16)
    spoken.probabilities[:] = 0.0
    spoken.probabilities[SHAPES.index("D"), :15], spoken.probabilities[SHAPES.index("B"), :15] = 0.6, 0.4
    spoken.probabilities[SHAPES.index("B"), 15] = 1.0
    assert [shape.shape for shape in timing.sheet(spoken, [(0, 5)], FPS)] == ["D"]


CUES = [Cue(0.0, 0.2, CHART["X"]), Cue(0.2, 0.32, CHART["D"]), Cue(0.32, 0.4, CHART["A"]), Cue(0.4, 0.8, CHART["F"])]


@pytest.mark.parametrize("suffix", exchange.SUFFIXES)
def test_timing_survives_a_file(tmp_path, suffix):
    path = tmp_path / f"mouths{suffix}"
    exchange.write_timing(path, CUES, FPS, sound="voice.wav")
    again = exchange.read_timing(path, FPS)
    assert timing.shapes_at(again, 25, FPS) == timing.shapes_at(CUES, 25, FPS)
    assert timing.shapes_at(again, 25, FPS)[20:] == [None] * 5
    assert again[-1].end == pytest.approx(0.8)


@pytest.mark.parametrize("fps", [12.0, 24000 / 1001, 25.0, 30.0, 60.0])
@pytest.mark.parametrize("suffix", exchange.SUFFIXES)
def test_the_letters_of_any_timing_survive_a_file(tmp_path, suffix, fps):
    random = np.random.default_rng(3)
    edges = np.cumsum(random.integers(1, 9, 40))
    letters = random.choice(list(SHAPES), 39)
    cues = [
        Cue(first / fps, last / fps, CHART[letter])
        for (first, last), letter in zip(itertools.pairwise(edges.tolist()), letters, strict=True)
    ]
    path = tmp_path / f"mouths{suffix}"
    exchange.write_timing(path, cues, fps)
    frames = int(edges[-1])
    expected = ["X" if suffix in (".tsv", ".dat") else None] * frames
    for first, last, letter in zip(edges, edges[1:], letters, strict=False):
        expected[first:last] = [letter] * (last - first)
    shapes = timing.shapes_at(exchange.read_timing(path, fps), frames, fps)
    assert [shape and shape.shape for shape in shapes] == expected


def test_an_exposure_sheet_keeps_openings_and_frames_without_a_mouth(tmp_path):
    half, cues = replace(CHART["D"], openness=0.55), []
    for first, shape in ((0, CHART["D"]), (2, half), (4, None), (5, replace(CHART["B"], openness=0.18 * 0.8))):
        cues += [Cue(first / FPS, (first + 2) / FPS - 0.04 * (first == 5), shape)] if shape else []
    exchange.write_timing(tmp_path / "a.csv", cues, FPS)
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert rows[0] == "frame,time,shape,opening"
    assert rows[3:6] == ["2,0.080,D,0.55", "3,0.120,D,0.55", "4,0.160,,"]
    again = exchange.read_timing(tmp_path / "a.csv", FPS)
    assert timing.shapes_at(again, 6, FPS) == [cues[0].shape] * 2 + [half] * 2 + [None, cues[-1].shape]
    # in a letter's file, both openings of one letter are one cue
    exchange.write_timing(tmp_path / "a.tsv", cues, FPS)
    assert (tmp_path / "a.tsv").read_text().split() == ["0.00", "D", "0.16", "X", "0.20", "B", "0.24", "X"]


def test_files_are_those_of_the_tools(tmp_path):
    exchange.write_timing(tmp_path / "a.tsv", CUES, FPS)
    assert (tmp_path / "a.tsv").read_text().splitlines() == ["0.00\tX", "0.20\tD", "0.32\tA", "0.40\tF", "0.80\tX"]
    exchange.write_timing(tmp_path / "a.dat", CUES, FPS)
    lines = ["MohoSwitch1", "1 rest", "6 AI", "9 MBP", "11 U", "21 rest"]
    assert (tmp_path / "a.dat").read_text().splitlines() == lines


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{}"),
        ("a.json", '{"mouthCues": [{"start": 0, "end": 1, "value": "Q"}]}'),
        ("a.tsv", "soon\tA\n"),
        ("a.dat", "1 A\n"),
        ("a.csv", "frame,shape\n"),
        ("a.csv", "frame,shape\n0,\n"),
        ("a.csv", "frame,shape,opening\n0,D,1.5\n"),
        ("a.txt", "0 A"),
    ],
)
def test_what_is_no_timing_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(MediaError, match="is not a mouth timing"):
        exchange.read_timing(tmp_path / name, FPS)


def test_cues_must_follow_each_other():
    with pytest.raises(ParameterError, match="overlap"):
        timing.shapes_at([CUES[1], CUES[0]], 2, FPS)
