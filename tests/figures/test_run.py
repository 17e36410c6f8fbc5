"""Figures of a run, by the artists in their axes: nbval does not compare pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import librosa
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from lipsync_lab import figures, samples
from lipsync_lab.detection import Detection
from lipsync_lab.errors import ParameterError
from lipsync_lab.figures import run
from lipsync_lab.geometry import PROVENANCES, Box
from lipsync_lab.media import audio
from lipsync_lab.runs import LEDGER

NAN = float("nan")


@pytest.fixture(autouse=True)
def _no_figure_left():
    yield
    plt.close("all")


def ledger(provenance: list[str], scores: list[float], shots: list[int] | None = None) -> pd.DataFrame:
    rows = []
    for frame, (kind, score) in enumerate(zip(provenance, scores, strict=True)):
        box = (NAN,) * 4 if kind == "missing" else (3, 4, 13, 16)
        best = (NAN,) * 4 if score != score else (1, 2, 11, 12)
        shot = shots[frame] if shots else 0
        rows.append((frame, frame / 10, shot, score, *best, kind, *box, kind != "missing", 0))
    return pd.DataFrame(rows, columns=list(LEDGER))


def image(height: int = 40, width: int = 60, value: int = 0) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


LEDGER_OF_SIX = ledger(
    ["detected", "detected", "missing", "held", "missing", "missing"],
    [0.9, 0.8, 0.3, NAN, NAN, 0.6],
    [0, 0, 0, 1, 1, 2],
)

#: One call of every figure, for what must hold of all of them.
FIGURES = {
    "waveform": lambda ax=None: figures.waveform(np.zeros(16_000, np.float32), (0.2, 0.4), ax),
    "mel_spectrogram": lambda ax=None: figures.mel_spectrogram(np.zeros((80, 40), np.float32), 5, ax),
    "candidates": lambda ax=None: figures.candidates(image(), [Detection(Box(1, 1, 9, 9), 0.7)], 0.5, None, ax),
    "score_timeline": lambda ax=None: figures.score_timeline(LEDGER_OF_SIX, 0.5, ax),
    "generation_steps": lambda ax=None: figures.generation_steps({"crop": image(), "mouth": image()}, ax),
    "triptych": lambda ax=None: figures.triptych(image(), image(value=3), ax=ax),
    "contact_sheet": lambda ax=None: figures.contact_sheet({0: image(), 2: image()}, LEDGER_OF_SIX, ax=ax),
    "coverage": lambda ax=None: figures.coverage(TABLE, ax),
}
TABLE = pd.DataFrame(
    [("toon", "animation", 40, 10, 10, 20), ("film", "live_action", 10, 10, 0, 0)],
    columns=["clip", "domain", "frames", "detected", "filled", "passthrough"],
)


def test_every_figure_of_a_run_is_among_those_that_are_checked():
    public = {name for name in figures.__all__ if getattr(vars(figures)[name], "__module__", "") == run.__name__}
    assert public == set(FIGURES)


#: The finding of each figure, counted by hand in the arguments above.
TITLES = {
    "waveform": "One mouth is generated from 0.20 s of the voice's 1.00 s",
    "mel_spectrogram": "One mouth is generated from 16 of 40 columns (0.20 s), with 80 bands each",
    "candidates": "1 of 1 candidate accepted; the best score is 0.70",
    "score_timeline": "3 of 6 frames have a score above the threshold; 3 have no box",
    "generation_steps": "The paste makes 60 generated pixels 60 wide (1.0 times)",
    "triptych": "100% of 2,400 pixels differ, on average by 3.0 of 255 levels",
    "contact_sheet": "3 of 6 frames have a face box (2 are shown)",
    "coverage": "30 of 50 frames have a face box (2 clips)",
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_title_states_the_finding(name):
    assert " ".join(FIGURES[name]().get_title(loc="left").split()) == TITLES[name]


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_axes_in_axes_out(draw):
    before = dict(mpl.rcParams)
    own = draw()
    assert own.figure.get_size_inches()[0] == 9
    assert plt.get_fignums() == [own.figure.number]
    assert dict(mpl.rcParams) == before  # the caller's style is the caller's

    _, (left, right) = plt.subplots(1, 2)
    assert draw(right) is right
    assert right.has_data()
    assert not left.has_data()
    own.figure.canvas.draw()
    right.figure.canvas.draw()


@pytest.mark.parametrize("name", ["waveform", "mel_spectrogram", "candidates", "score_timeline", "coverage"])
def test_axes_say_their_units(name):
    ax = FIGURES[name]()
    assert "(" in ax.get_xlabel()
    assert "(" in ax.get_ylabel() or name in ("waveform", "score_timeline", "coverage")  # plain numbers, and names


def test_figures_of_a_notebook_are_shown(tmp_path: Path):
    # a style that is left again must not undo what the notebook's backend sets when it is first loaded
    code = (
        "import numpy as np, matplotlib; from lipsync_lab import figures\n"
        "figures.waveform(np.zeros(100, np.float32)); assert matplotlib.is_interactive()"
    )
    environment = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MPLCONFIGDIR": str(tmp_path)}
    root = Path(__file__).resolve().parents[2]
    shell = f"from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", shell], env=environment, cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_colours_are_fixed_and_apart():
    assert set(figures.DOMAIN_COLOURS) == set(samples.CLIP_DOMAINS)
    assert set(figures.PROVENANCE_COLOURS) == set(PROVENANCES)
    colours = [*figures.DOMAIN_COLOURS.values(), *figures.PROVENANCE_COLOURS.values()]
    assert len(set(colours)) == len(colours)


def test_waveform_keeps_the_peaks_and_marks_the_window():
    wave = np.zeros(200_000, np.float32)
    wave[123_456], wave[50_000] = 0.8, -0.7
    ax = figures.waveform(wave, window=(1.0, 1.2))
    outline = ax.collections[0].get_paths()[0].vertices
    for sample in (123_456, 50_000):
        near = outline[np.abs(outline[:, 0] - sample / 16_000) < 0.01, 1]
        assert near.max() == pytest.approx(abs(wave[sample]))
        assert near.min() == pytest.approx(-abs(wave[sample]))
    assert outline[:, 1].max() == pytest.approx(0.8)
    assert ax.get_xlim() == (0, 200_000 / 16_000)
    edges = [line for line in ax.lines if np.shape(line.get_xdata()) == (2,)]
    assert [line.get_xdata()[0] for line in edges] == [1.0, 1.2]
    assert "0.20 s" in ax.get_title(loc="left")


def test_mel_is_in_decibels_at_the_right_times_and_frequencies():
    spectrogram = np.full((80, 160), -4, np.float32)
    spectrogram[10, 100] = 4
    ax = figures.mel_spectrogram(spectrogram, first=100)
    level, corners = ax.collections[0].get_array(), ax.collections[0].get_coordinates()
    assert level.min() == -100
    assert np.argwhere(level == 0).tolist() == [[10, 100]]
    assert corners[0, [0, 100, -1], 0].tolist() == pytest.approx([0, 1.25, 2.0])
    centre = librosa.mel_frequencies(n_mels=82, fmin=55, fmax=7600)[11]
    assert corners[10, 0, 1] < centre < corners[11, 0, 1]
    assert ax.get_xlim() == (0, 2.0)
    window = next(patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert (window.get_x(), window.get_width()) == pytest.approx((1.25, 0.2))
    ticks = dict(zip([label.get_text() for label in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert ticks["1,000"] == 1000
    bar = next(other for other in ax.figure.axes if other is not ax)
    assert bar.get_ylabel() == "level (dB)"


def test_mel_of_a_tone_peaks_at_its_frequency():
    wave = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(16_000) / 16_000).astype(np.float32)
    mesh = figures.mel_spectrogram(audio.melspectrogram(wave)).collections[0]
    loudest = mesh.get_array()[:, 40].argmax()
    low, high = mesh.get_coordinates()[loudest : loudest + 2, 0, 1]
    assert low - 50 < 2000 < high + 50


def test_candidates_are_all_there_rejected_ones_dashed():
    detections = [
        Detection(Box(10, 5, 30, 25), 0.91),
        Detection(Box(40, 2, 50, 12), 0.5),
        Detection(Box(0, 0, 8, 8), 0.12),
    ]
    ax = figures.candidates(image(), detections, threshold=0.5, crop=Box(9, 4, 31, 36))
    solid = {patch.get_bbox().bounds: patch.get_linestyle() in ("-", "solid") for patch in ax.patches}
    assert solid == {
        (10, 5, 20, 20): True,
        (40, 2, 10, 10): False,  # a score must exceed the threshold
        (0, 0, 8, 8): False,
        (9, 4, 22, 32): True,
    }
    assert {words.get_text() for words in ax.texts} == {"0.91", "0.50", "0.12"}
    assert ax.images[0].get_extent() == [0, 60, 40, 0]  # pixel x covers x to x + 1, as boxes count
    assert ax.get_title(loc="left") == "1 of 3 candidates accepted; the best score is 0.91"
    assert legend(ax) == ["score above 0.5", "rejected", "crop"]
    crop, *boxes = (patch for patch in ax.patches)
    assert crop.get_bbox().bounds == (9, 4, 22, 32)  # below the others, and broader: neither hides the other
    assert all(crop.get_linewidth() > 2 * box.get_linewidth() for box in boxes)


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []


def test_legends_name_what_is_in_the_picture_and_nothing_else():
    box = Box(10, 5, 30, 25)
    assert legend(figures.candidates(image(), [Detection(box, 0.9)], 0.5)) == ["score above 0.5"]
    assert legend(figures.candidates(image(), [Detection(box, 0.3)], 0.5)) == ["rejected"]
    assert legend(figures.candidates(image(), [], 0.5)) == []
    calm, lost = ledger(["detected"] * 2, [0.9, 0.8]), ledger(["missing"] * 2, [0.2, NAN])
    assert legend(figures.score_timeline(calm, 0.5)) == ["above the threshold", "threshold 0.5", "detected"]
    assert legend(figures.score_timeline(lost, 0.5)) == ["rejected", "threshold 0.5", "missing: passthrough"]
    assert legend(figures.contact_sheet({0: image()}, lost)) == ["missing: passthrough"]
    assert legend(figures.coverage(TABLE)) == ["detected or copied", "dropout, filled", "passthrough"]
    assert legend(figures.coverage(TABLE[1:].reset_index(drop=True))) == ["detected or copied"]


def test_the_timeline_has_the_whole_width():
    ax = figures.score_timeline(LEDGER_OF_SIX, threshold=0.5)
    ax.figure.canvas.draw()
    assert ax.get_position().width > 0.85


def test_a_frame_without_candidates_has_a_figure():
    ax = figures.candidates(image(), [], 0.5)
    assert not ax.patches
    assert ax.get_title(loc="left") == "0 of 0 candidates accepted"


def test_timeline_shows_scores_threshold_cuts_and_provenance():
    ax = figures.score_timeline(LEDGER_OF_SIX, threshold=0.5)
    strips = {
        to_hex(bars.get_facecolor()[0]).upper(): [(p.get_extents().x0, p.get_extents().width) for p in bars.get_paths()]
        for bars in ax.collections[2:]
    }
    colours = figures.PROVENANCE_COLOURS
    assert strips == {
        colours["detected"]: [pytest.approx((0, 0.2))],
        colours["held"]: [pytest.approx((0.3, 0.1))],
        colours["missing"]: [pytest.approx((0.2, 0.1)), pytest.approx((0.4, 0.2))],
    }
    accepted, rejected = (dots.get_offsets().tolist() for dots in ax.collections[:2])
    assert [y for _, y in accepted] == [0.9, 0.8, 0.6]
    assert rejected == [pytest.approx([0.25, 0.3])]
    lines = [line.get_label() for line in ax.lines]
    assert "threshold 0.5" in lines
    cuts = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert cuts == pytest.approx([0.3, 0.5])


def test_timeline_of_one_frame():
    ax = figures.score_timeline(ledger(["missing"], [NAN]), 0.5)
    assert ax.get_xlim()[1] > 0


def test_steps_stand_side_by_side_at_one_height():
    ax = figures.generation_steps({"crop": image(96, 96), "pasted": image(120, 60)})
    (a, b, bottom, top), (c, d, *rest) = (picture.get_extent() for picture in ax.images)
    assert (bottom, top) == (0, 1) == tuple(rest)
    assert (b - a, d - c) == pytest.approx((1.0, 0.5))
    assert c > b
    assert [words.get_text() for words in ax.texts] == ["crop\n96 × 96", "pasted\n60 × 120"]
    assert all(picture.get_interpolation() == "nearest" for picture in ax.images)


def test_triptych_amplifies_the_difference_both_ways():
    source, output = image(value=100), image(value=100)
    output[0, 0], output[1, 1] = 105, 94
    output[2, 2] = 255
    shown = figures.triptych(source, output, amplify=8).images[2].get_array()
    assert shown[0, 0].tolist() == [40] * 3
    assert shown[1, 1].tolist() == [48] * 3
    assert shown[2, 2].tolist() == [255] * 3
    assert np.count_nonzero(shown) == 9


def test_triptych_refuses_pictures_of_two_sizes():
    with pytest.raises(ParameterError, match="one size"):
        figures.triptych(image(40, 60), image(40, 62))


def test_contact_sheet_numbers_every_frame_and_places_its_box():
    ax = figures.contact_sheet({number: image() for number in (0, 2, 3)}, LEDGER_OF_SIX, columns=2)
    assert [words.get_text() for words in ax.texts] == ["0", "2", "3"]
    places = [picture.get_extent() for picture in ax.images]
    assert places[0][3] == places[1][3] < places[2][3]  # two a row
    first, missing, held = ax.patches
    assert first.get_bbox().bounds == (3, 4, 10, 12)
    assert missing.get_bbox().bounds == pytest.approx((places[1][0], places[1][3], 60, 40))  # its border
    assert held.get_bbox().bounds == pytest.approx((3, places[2][3] + 4, 10, 12))
    colours = [to_hex(patch.get_edgecolor()).upper() for patch in ax.patches]
    assert colours == [figures.PROVENANCE_COLOURS[kind] for kind in ("detected", "missing", "held")]


def test_coverage_is_shares_with_names_in_the_colours_of_their_domains():
    twice = pd.concat([TABLE.assign(of=TABLE["clip"])] * 2, ignore_index=True)
    assert figures.coverage(twice).get_title(loc="left") == "30 of 50 frames have a face box (2 clips)"
    ax = figures.coverage(TABLE)
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[25, 100], [25, 0], [50, 0]]
    assert [bar.get_x() for bar in ax.containers[2]] == [50, 100]
    names = {label.get_text(): label.get_color() for label in ax.get_yticklabels()}
    colours = figures.DOMAIN_COLOURS
    assert names == {"toon\nanimation": colours["animation"], "film\nlive action": colours["live_action"]}
