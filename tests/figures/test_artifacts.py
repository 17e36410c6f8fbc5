"""Figures of artifacts, missed detections, sync and cadence, by the artists in their axes."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_hex

from lipsync_lab import figures
from lipsync_lab.detection import Detection
from lipsync_lab.evaluation.examples import Example
from lipsync_lab.figures.style import INK, titled
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import failures

NAN = float("nan")
ANIMATION, LIVE_ACTION = (figures.DOMAIN_COLOURS[domain] for domain in ("animation", "live_action"))


@pytest.fixture(autouse=True)
def _no_figure_left():
    yield
    plt.close("all")


def frames(clip: str, domain: str, missed: list[float], **columns) -> pd.DataFrame:
    number = np.arange(len(missed))
    known = {"clip": clip, "domain": domain, "frame": number, "time": number / 10, "missed_detection": missed}
    return pd.DataFrame(known | columns)


TWO = pd.concat(
    [
        frames(
            "toon",
            "animation",
            [0, 1, 1, 0, 1, NAN],
            sharpness_loss=[0.7, 0.7, 0.7, 0.7, 0.7, NAN],
            boundary_artifact=2.0,
        ),
        frames("film", "live_action", [0] * 8, sharpness_loss=0.0, boundary_artifact=4.0),
    ],
    ignore_index=True,
)
RUNS = pd.DataFrame({"length": [1, 2, 3, 4, 70, 1], "domain": ["animation"] * 5 + ["live_action"]})
RECALL = pd.DataFrame(
    [
        (detector, domain, threshold, share, 10, 0.0)
        for detector in ("one", "two")
        for domain, share in (("animation", 0.3), ("live_action", 0.9))
        for threshold in (0.0, 0.5)
    ],
    columns=["detector", "domain", "threshold", "recall", "frames", "false_positives"],
)
CAUSES = pd.DataFrame(
    [
        ("animation", "occluded", 0),
        ("animation", "profile", 7),
        ("live_action", "profile", 0),
        ("live_action", "unexplained", 2),
    ],
    columns=["domain", "cause", "misses"],
)
MATRIX = pd.DataFrame(
    [[1.0, 0.2], [0.1, 1.0]],
    index=["sharpness_loss", "boundary_artifact"],
    columns=["sharpness_loss", "out_of_palette"],
)
FAILING = pd.DataFrame(
    [
        ("missed detection", "detection", "animation", 10, 5, 0.5),
        ("missed detection", "detection", "live_action", 10, 0, 0.0),
        ("sharpness loss", "picture", "animation", 0, 0, NAN),
        ("sharpness loss", "picture", "live_action", 8, 2, 0.25),
        ("temporal flicker", "picture", "animation", 0, 0, NAN),
        ("temporal flicker", "picture", "live_action", 0, 0, NAN),
    ],
    columns=["kind", "stage", "domain", "covered", "frames", "share"],
)
CURVES = pd.DataFrame(
    [
        (clip, domain, given, offset, height)
        for clip, domain in (("toon", "animation"), ("toon2", "animation"), ("film", "live_action"))
        for given, height in (
            ("output", 0.6 if clip == "toon" else 0.2),
            ("source", NAN if domain == "animation" else 0.8),
        )
        for offset in (-1, 0, 1)
    ],
    columns=["clip", "domain", "input", "offset", "correlation"],
)
SCORES = pd.DataFrame(
    [
        ("toon", "animation", "opening", "dubbed", 0.5, ""),
        ("toon", "animation", "opening", "silent_audio", NAN, "the audio is silent"),
        ("film", "live_action", "opening", "dubbed", 0.7, ""),
        ("film", "live_action", "opening", "silent_audio", NAN, "the audio is silent"),
    ],
    columns=["clip", "domain", "score", "input", "value", "reason"],
)
SOUNDS = pd.DataFrame(
    [
        ("toon", "animation", "output", "m", 0.6),
        ("toon", "animation", "output", "b", 0.1),
        ("toon", "animation", "source", "m", 0.0),
        ("film", "live_action", "output", "m", NAN),
    ],
    columns=["clip", "domain", "input", "symbol", "least"],
).assign(threshold=0.3)
BEAT = frames(
    "toon",
    "animation",
    [0] * 6,
    drawing=[0, 0, 1, 1, 2, 2],
    mouth=[0, 1, 2, 2, NAN, NAN],
    mouth_change_during_hold=[NAN, 1, NAN, 0, NAN, NAN],
)
MOUTHS = pd.DataFrame({"ms": [40, 40, 80, 1200], "domain": "animation"})
LEVEL = np.array([-20.0, -30, -100, -10, -10, -10])
OPEN = BEAT.assign(mouth_openness=[0.1, 0.9, 0.5, NAN, NAN, 0], mouth_openness_source=0.5)


def example(clip: str, domain: str, value: float, shape: tuple[int, int] = (40, 40)) -> Example:
    grey = np.full((*shape, 3), 100, np.uint8)
    return Example(clip, domain, 7, failures.kind("boundary artifact"), value, grey, grey + np.uint8(10), 3, 9)


EXAMPLES = [
    example("film", "live_action", 3.0),
    example("toon", "animation", 12.3),
    example("toon", "animation", 8.0, (60, 40)),
]
IMAGES = {"toon 3": np.zeros((40, 60, 3), np.uint8), "film 4": np.zeros((30, 60, 3), np.uint8)}
CANDIDATES = {
    "one": [[Detection(Box(6, 6, 24, 30), 0.9), Detection(Box(0, 0, 6, 6), 0.6), Detection(Box(1, 1, 9, 9), 0.1)], []],
    "two": [[Detection(Box(6, 6, 24, 30), 0.4), Detection(Box(0, 0, 6, 6), 0.3)], [Detection(Box(0, 0, 6, 6), 0.8)]],
}

FIGURES = {
    "scores_with_controls": lambda ax=None: figures.scores_with_controls(SCORES, "opening", ax),
    "cadence_timeline": lambda ax=None: figures.cadence_timeline(BEAT, "animation", ax=ax),
    "missed_detection_causes": lambda ax=None: figures.missed_detection_causes(CAUSES, ax=ax),
    "bilabial_closures": lambda ax=None: figures.bilabial_closures(SOUNDS, ax),
    "metric_distributions": lambda ax=None: figures.metric_distributions(TWO, ax=ax),
    "failure_rates": lambda ax=None: figures.failure_rates(FAILING, ax),
    "response_matrix": lambda ax=None: figures.response_matrix(MATRIX, ax),
    "detection_timeline": lambda ax=None: figures.detection_timeline(TWO, ax=ax),
    "worst_frames": lambda ax=None: figures.worst_frames(EXAMPLES, ax=ax),
    "dropout_lengths": lambda ax=None: figures.dropout_lengths(RUNS, ax=ax),
    "mouth_durations": lambda ax=None: figures.mouth_durations(MOUTHS, ax),
    "offset_curves": lambda ax=None: figures.offset_curves(CURVES, "correlation", ax=ax),
    "mouth_openness": lambda ax=None: figures.mouth_openness(OPEN, LEVEL, "animation", ax=ax),
    "recall_curves": lambda ax=None: figures.recall_curves(RECALL, 0.5, ax=ax),
    "detector_comparison": lambda ax=None: figures.detector_comparison(IMAGES, CANDIDATES, 0.5, ax),
}
NO_AXES = {"worst_frames", "detector_comparison"}


def test_this_file_checks_every_figure():
    # those of other modules are checked beside them
    elsewhere = {f"lipsync_lab.figures.{name}" for name in ("run", "training", "comparison", "published")}
    public = {name: vars(figures)[name] for name in figures.__all__}
    assert {name for name, it in public.items() if callable(it) and it.__module__ not in elsewhere} == {*FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_axes_in_axes_out(name):
    draw, before = FIGURES[name], dict(mpl.rcParams)
    own = draw()
    assert own.figure.get_size_inches()[0] == 9
    assert plt.get_fignums() == [own.figure.number]
    assert dict(mpl.rcParams) == before
    if name not in NO_AXES:
        assert own.get_xlabel()
        assert own.get_ylabel() or own.get_yticklabels()
    _, (left, right) = plt.subplots(1, 2)
    assert draw(right) is right
    assert not left.has_data()
    own.figure.canvas.draw()
    right.figure.canvas.draw()


def title(ax) -> str:
    return " ".join(ax.get_title(loc="left").split())


#: The finding of each figure, counted by hand in the tables above.
TITLES = {
    "cadence_timeline": "The mouth changes in 1 of 2 held frames (▾)",
    "missed_detection_causes": "Most frequent cause: profile, 7 of 9 missed frames",
    "bilabial_closures": "Closed mouths during M, B and P: of the output in 1 of 2, of the source in 1 of 1",
    "metric_distributions": "The median frame is beyond the threshold: 1 of 2 metrics (n = 6 frames) in animation, "
    "0 of 2 metrics (n = 8 frames) in live action",
    "failure_rates": "Most frequent failure: missed detection (5 of 10 frames) in animation, "
    "sharpness loss (2 of 8 frames) in live action",
    "response_matrix": "2 of 2 injected artifacts and metrics respond to each other most",
    "detection_timeline": "3 of 13 frames with a face are missed (2 clips)",
    "worst_frames": "boundary artifact in 3 of 9 frames in animation, 3 of 9 frames in live action",
    "dropout_lengths": "1 of 6 dropouts are longer than 12 frames, too long to be filled; the longest: 70",
    "mouth_durations": "Shorter than 70 ms: 2 of 4 mouths in animation",
    "offset_curves": "The output fits best at −1 frames (n = 2 clips) in animation, "
    "−1 frames (n = 1 clip) in live action",
    "mouth_openness": "Mouth openness and loudness cannot be correlated (n = 4 frames)",
    "recall_curves": "Recall at score 0.5: animation one 30%, two 30% (n = 10 frames); live action one 90%, two 90% "
    "(n = 10 frames)",
    "detector_comparison": "Of these 2 frames, accepted boxes in: one 1, two 1",
    "scores_with_controls": "Opening: no clip has both an output and a control",
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_title_states_the_finding(name):
    ax = FIGURES[name]()
    assert title(ax) == TITLES[name]
    assert max(map(len, ax.get_title(loc="left").splitlines())) <= (74 if ax.axison else 88)


def test_the_last_line_of_a_title_is_not_one_word():
    text = "missed detection (5 of 10 frames) in animation, sharpness loss (2 of 8 frames) in live action"
    _, ax = plt.subplots()
    titled(ax, text)
    first, last = ax.get_title(loc="left").split("\n")
    assert len(first) <= 74
    assert len(last) >= 74 / 3
    assert title(ax) == text


def test_a_title_names_its_subject():
    assert title(figures.detection_timeline(TWO, "recorded")) == f"recorded: {TITLES['detection_timeline']}"
    alone = figures.mouth_openness(OPEN, LEVEL, "animation", "toon", 0.634)
    assert title(alone) == "toon: correlation of mouth openness and loudness 0.63 (n = 4 frames)"


@pytest.mark.parametrize(("score", "better"), [("openness_correlation", 1), ("syncnet_distance_at_zero", 2)])
def test_an_output_is_compared_with_its_best_control(score, better):
    # the third clip has no control
    values = {"dubbed": (0.5, 0.7, 0.1), "shifted_audio": (0.6, 0.71, NAN), "shuffled_audio": (NAN, 0.72, NAN)}
    if score == "openness_correlation":
        values |= {"shifted_audio": (0.6, 0.2, NAN), "shuffled_audio": (0.4, 0.69, NAN)}
    rows = [
        (clip, "animation", score, name, value, "")
        for name, column in values.items()
        for clip, value in zip("abc", column, strict=True)
    ]
    ax = figures.scores_with_controls(pd.DataFrame(rows, columns=SCORES.columns), score)
    assert title(ax).endswith(f"the output is better than every control in {better} of 2 clips")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_detection_timeline_shows_where_and_how_much_was_missed():
    ax = figures.detection_timeline(TWO)
    places = {
        (to_hex(bars.get_facecolor()[0]).upper(), round(path.get_extents().x0, 3)): round(path.get_extents().y0 + 0.36)
        for bars in ax.collections
        for path in bars.get_paths()
    }
    dark = figures.PROVENANCE_COLOURS["missing"]
    assert {place: row for place, row in places.items() if place[0] == dark} == {
        (dark, 0.1): 0,
        (dark, 0.2): 0,
        (dark, 0.4): 0,
    }
    assert {place for place in places if place[0] == ANIMATION} == {
        (ANIMATION, 0.0),
        (ANIMATION, 0.3),
    }  # nothing where there is no face
    assert [words.get_text() for words in ax.texts] == ["60% missed", "0% missed"]
    assert {label.get_text(): label.get_color() for label in ax.get_yticklabels()} == {
        "toon": ANIMATION,
        "film": LIVE_ACTION,
    }
    assert legend(ax) == ["black: no detection", "detected, animation", "detected, live action"]


def test_lengths_are_counted_in_bins_that_double():
    ax = figures.dropout_lengths(RUNS)
    animation, live_action = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert animation == [1, 1, 2, 0, 0, 0, 0, 1]
    assert live_action == [1, 0, 0, 0, 0, 0, 0, 0]
    assert "no missed detections" in figures.dropout_lengths(RUNS[:0]).texts[0].get_text()


def test_recall_has_a_line_a_detector_and_domain():
    ax = figures.recall_curves(RECALL, threshold=0.5)
    lines = {(line.get_color(), line.get_linestyle()): line.get_ydata().tolist() for line in ax.lines[:-1]}
    assert lines == {
        (ANIMATION, "-"): [30, 30],
        (ANIMATION, "--"): [30, 30],
        (LIVE_ACTION, "-"): [90, 90],
        (LIVE_ACTION, "--"): [90, 90],
    }
    assert ax.lines[-1].get_xdata()[0] == 0.5
    assert legend(ax) == ["animation", "live action", "one", "two", "threshold of the runs: 0.5"]


def test_causes_of_no_missed_detection_are_left_out():
    ax = figures.missed_detection_causes(CAUSES)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["profile", "unexplained"]
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[7, 0], [0, 2]]
    assert figures.missed_detection_causes(CAUSES[:1]).get_yticklabels()[0].get_text() == "no missed detections"


def test_each_detector_has_a_row_with_its_candidates():
    ax = figures.detector_comparison(IMAGES, CANDIDATES, threshold=0.5)
    assert len(ax.images) == 4
    (a, b, *_), (c, d, *_) = (picture.get_extent() for picture in ax.images[:2])
    assert (a, b, d - c) == pytest.approx((0, 1, 1))
    green = figures.PROVENANCE_COLOURS["detected"]
    solid = [to_hex(patch.get_edgecolor()).upper() == green for patch in ax.patches]
    # both accepted boxes of the first, only the best rejected one of the second, the accepted box of the third
    assert solid == [True, True, False, True]
    assert [patch.get_linestyle() == "-" for patch in ax.patches] == solid
    words = [text.get_text() for text in ax.texts]
    assert [word for word in words if "score" in word or "candidate" in word] == [
        *("best score 0.90", "no candidate", "best score 0.40", "best score 0.80")
    ]
    best = ax.patches[1].get_bbox()
    top = ax.images[0].get_extent()[3]
    assert (best.x0, best.width, best.y0 - top) == pytest.approx((0.1, 0.3, 0.1))


def test_worst_frames_have_three_pictures_and_the_value_of_the_metric():
    ax = figures.worst_frames(EXAMPLES, amplify=4)
    assert len(ax.images) == 9
    assert ax.images[2].get_array().max() == 40  # a difference of 10
    words = {text.get_text(): text.get_fontweight() for text in ax.texts}
    assert words["12.3 (threshold 4)"] == words["8.00 (threshold 4)"] == "bold"
    assert words["3.00 (threshold 4)"] == "normal"  # no failure
    assert {"toon, frame 7", "film, frame 7", "animation", "live action"} <= set(words)
    at = {patch.get_x(): to_hex(patch.get_facecolor()).upper() for patch in ax.patches}
    assert at == {0: ANIMATION, 3.3: LIVE_ACTION}  # in the order of every figure
    # one of two rows is higher than wide, and is cut to a square
    assert {round(p.get_extent()[2] - p.get_extent()[3], 2) for p in ax.images} == {0.97}
    assert "no frame has a value above zero" in figures.worst_frames([]).texts[0].get_text()


def test_distributions_are_in_multiples_of_the_threshold():
    ax = figures.metric_distributions(TWO)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["sharpness loss", "boundary artifact"]
    bars = {(round(bar.get_x(), 3), to_hex(bar.get_facecolor()).upper()) for bars in ax.containers for bar in bars}
    assert bars == {(2.0, ANIMATION), (0.0, LIVE_ACTION), (0.5, ANIMATION), (1.0, LIVE_ACTION)}
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [1]
    assert legend(ax) == ["animation", "live action", "threshold"]


def test_the_response_matrix_frames_its_diagonal_and_prints_every_number():
    ax = figures.response_matrix(MATRIX)
    assert ax.images[0].get_array().tolist() == MATRIX.to_numpy().tolist()
    assert [words.get_text() for words in ax.texts] == ["1.00", "0.20", "0.10", "1.00"]
    assert [patch.get_xy() for patch in ax.patches] == [(-0.5, -0.5), (0.5, 0.5)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["sharpness loss", "out-of-palette colours"]


def test_shares_that_were_not_measured_are_not_shown_as_zero():
    ax = figures.failure_rates(FAILING)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["missed detection", "sharpness loss"]
    assert [words.get_text() for words in ax.texts] == ["50", "not measured", "0", "25"]
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[50, 0], [0, 25]]
    assert [to_hex(bars[0].get_facecolor()).upper() for bars in ax.containers] == [ANIMATION, LIVE_ACTION]


def test_curves_are_the_mean_of_a_domains_clips():
    ax = figures.offset_curves(CURVES, "correlation")
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["animation output"].get_ydata() == pytest.approx([0.4] * 3)
    assert lines["live action source"].get_ydata() == pytest.approx([0.8] * 3)
    assert "animation source" not in lines
    assert lines["animation output"].get_color() == ANIMATION
    assert lines["live action output"].get_linewidth() > lines["live action source"].get_linewidth()
    assert legend(ax) == ["animation", "live action", "output", "untouched source"]
    assert "distance" in figures.offset_curves(CURVES.assign(distance=1.0), "distance").get_ylabel()


def test_a_title_states_no_offset_that_the_scores_refuse():
    rows = [("toon", "animation", 0.0), ("toon2", "animation", 1.0), ("film", "live_action", NAN)]
    scores = pd.DataFrame(rows, columns=["clip", "domain", "value"]).assign(score="openness_offset", input="dubbed")
    text = title(figures.offset_curves(CURVES, "correlation", scores=scores))
    assert text == (
        "The output fits best at −1 frames (n = 2 clips) in animation; in live action no offset is stated: "
        "the correlation is too low"
    )
    weak = scores.assign(value=[0.0, NAN, NAN])
    assert title(figures.offset_curves(CURVES, "correlation", scores=weak)) == (
        "No offset is stated: the correlation is too low"
    )
    curves, lse = CURVES.assign(distance=1.0, network="lse"), scores.assign(score="lse_av_offset")
    assert title(figures.offset_curves(curves, "distance", scores=lse)).endswith("the confidence is too low")


def test_scores_have_a_row_per_control_and_undefined_ones_their_reason():
    ax = figures.scores_with_controls(SCORES, "opening")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["output", "control: silent audio"]
    dots = {(line.get_color(), float(x)) for line in ax.lines for x in line.get_xdata()}
    assert dots == {(ANIMATION, 0.5), (LIVE_ACTION, 0.7)}
    assert [words.get_text() for words in ax.texts] == ["undefined: the audio is silent"]
    nothing = figures.scores_with_controls(SCORES[SCORES["input"] == "silent_audio"], "opening")
    assert not len(nothing.get_xticks())


def test_mouth_openness_is_in_front_of_the_loudness():
    ax = figures.mouth_openness(OPEN, LEVEL, "animation")
    source, output = ax.lines
    assert output.get_color() == ANIMATION
    assert source.get_color() == INK
    np.testing.assert_array_equal(output.get_ydata(), OPEN["mouth_openness"])
    loud = next(other for other in ax.figure.axes if other is not ax)
    assert loud.get_ylabel() == "loudness (dB)"
    heights = loud.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (-60, -10)
    assert legend(ax) == ["source", "output", "loudness"]


def test_closures_are_filled_for_the_output_and_hollow_for_the_source():
    ax = figures.bilabial_closures(SOUNDS)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["film: output", "toon: source", "toon: output"]
    dots = [(line.get_markerfacecolor(), line.get_xdata().tolist()) for line in ax.lines if line.get_marker() == "o"]
    assert dots[1:] == [("white", [0.0]), (ANIMATION, [0.6, 0.1])]
    assert {words.get_text() for words in ax.texts} == {"m", "b", "closed", "mouth openness is undefined"}
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [0.3]


def test_letters_that_overlap_are_one_label():
    near = pd.DataFrame({"symbol": list("mbmp"), "least": [0.10, 0.11, 0.12, 0.5]})
    ax = figures.bilabial_closures(near.assign(clip="toon", domain="animation", input="output", threshold=0.3))
    assert {words.get_text() for words in ax.texts} == {"mb ×3", "p", "closed"}


def test_the_cadence_timeline_counts_drawings_and_mouths_and_marks_changes_during_holds():
    ax = figures.cadence_timeline(BEAT, "animation")
    spans = [
        (round(path.get_extents().x0, 2), round(path.get_extents().width, 2))
        for bars in ax.collections
        for path in bars.get_paths()
    ]
    assert spans == [(0, 0.2), (0.2, 0.2), (0.4, 0.2), (0, 0.1), (0.1, 0.1), (0.2, 0.2)]
    shades = [bars.get_alpha() for bars in ax.collections]
    assert all(shade != later for shade, later in zip(shades[:2], shades[1:3], strict=True))
    assert ax.lines[0].get_xdata().tolist() == pytest.approx([0.15])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "3 drawings\nin the source",
        "3 mouths\nin the output",
    ]
    calm = figures.cadence_timeline(BEAT.assign(mouth_change_during_hold=0.0), "animation")
    assert title(calm) == "The mouth changes in 0 of 6 held frames"
    nowhere = figures.cadence_timeline(BEAT.assign(mouth_change_during_hold=NAN), "live_action", "film")
    assert title(nowhere) == "film: no held frame has a generated mouth"
    assert not calm.lines


def test_durations_are_shares_with_the_shortest_mouth_marked():
    ax = figures.mouth_durations(MOUTHS)
    heights = [bar.get_height() for bar in ax.containers[0]]
    assert heights == [50, 25, *[0] * 7, 25]  # what is longer than the axis is in its last bar
    assert same_color(ax.containers[0][0].get_facecolor(), ANIMATION)
    assert [line.get_xdata()[0] for line in ax.lines] == [70]
    assert "no mouth is visible" in figures.mouth_durations(MOUTHS[:0]).texts[0].get_text()
