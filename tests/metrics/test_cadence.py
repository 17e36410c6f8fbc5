"""Cadence: against the truth of encoded made clips, and against clips whose every mouth is known."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import lipsync_lab
from lipsync_lab import runs
from lipsync_lab.generation import holds as drawings
from lipsync_lab.generation.cel.shapes import MouthShape
from lipsync_lab.geometry import Box
from lipsync_lab.media import video
from lipsync_lab.metrics import cadence
from lipsync_lab.metrics.pairs import frame_pairs
from lipsync_lab.metrics.validation.response import perfect_ledger
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.truth import GroundTruth, table

POSES = [MouthShape("A", 0.0, 0.5), MouthShape("D", 1.0, 0.6, teeth=0.6), MouthShape("E", 0.5, 0.35, rounding=0.6)]
FACE, MOUTH = (16, 16, 80, 80), (36, 60, 60, 72)


def sequence(drawings: str, mouths: str, shots: str = "", grain: float = 0.0):
    """Pairs, ledger and ground truth: a letter a drawing or mouth; '.' for a frame without a generated mouth."""
    rng = np.random.default_rng(0)
    names = ("face_x1", "face_y1", "face_x2", "face_y2", "mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2")
    box, pairs, rows = dict(zip(names, (*FACE, *MOUTH), strict=True)), [], []
    for i, (drawing, mouth) in enumerate(zip(drawings, mouths, strict=True)):
        source = np.full((96, 96, 3), 150, np.uint8)
        source[20:28, 20 + 12 * (ord(drawing) - 65) :][:, :8] = (
            30  # something in the face moves from drawing to drawing
        )
        output = source.copy()
        if mouth != ".":
            output[MOUTH[1] : MOUTH[3], MOUTH[0] : MOUTH[2]] = 25 * (ord(mouth) - 96)
        if grain:
            noise = rng.normal(0, grain, source.shape)
            source, output = (np.clip(f + noise, 0, 255).astype(np.uint8) for f in (source, output))
        pairs.append((source, output))
        rows.append(
            GroundTruth(frame=i, time=i / 25, shot=int(shots[i]) if shots else 0, **({} if mouth == "." else box))
        )
    ground_truth = table(rows)
    return pairs, perfect_ledger(ground_truth, (96, 96)), ground_truth


def cadence_of(pairs, ledger, ground_truth=None) -> pd.DataFrame:
    numbers, holds = [], cadence.HoldFinder(ledger)
    for pair in frame_pairs(pairs, ledger, ground_truth):
        holds.add(pair.source)
        numbers.append(cadence.frame_changes(pair))
    return cadence.cadence_table(numbers, holds.first, ledger)


def measured(*args, **options) -> pd.DataFrame:
    pairs, ledger, ground_truth = sequence(*args, **options)
    return cadence_of(iter(pairs), ledger, ground_truth)


@pytest.mark.parametrize(("style", "on", "seed"), [("anime", 2, 5), ("western", 3, 6), ("rubberhose", 2, 3)])
def test_held_drawings_are_found_after_the_encode(style, on, seed, tmp_path):
    """Rubber hose has film grain: no two of its frames are alike."""
    setting = scene.Scene(seed=seed, style=style, exposure=on, mouth_exposure=on, size=(192, 192))
    truths = []
    with video.Writer(tmp_path / "clip.mp4", fps=25, crf=18) as film:
        for image, row in scene.frames(setting, lambda time: POSES[int(time * 4) % 3], 2.0):
            film.write(image)
            truths.append(row)
    ground_truth = table(truths)
    pairs = ((frame.image, frame.image) for frame in video.frames(tmp_path / "clip.mp4"))
    held = cadence_of(pairs, perfect_ledger(ground_truth, (192, 192)), ground_truth)["held"].to_numpy()
    wanted = np.diff(ground_truth["drawing"]) == 0
    assert np.isnan(held[0])
    assert 0.3 < wanted.mean() < 0.9
    both = (held[1:] == 1) & wanted
    assert both.sum() / wanted.sum() >= 0.93
    assert both.sum() / (held == 1).sum() >= 0.95


def test_an_untouched_clip_has_no_extra_mouth():
    pairs, ledger, ground_truth = sequence("AABBCC", "aabbcc")
    cadence_table = cadence_of(((output, output) for _, output in pairs), ledger, ground_truth)
    assert cadence_table["mouth_change_during_hold"].dropna().tolist() == [0, 0, 0]
    assert cadence_table["drawing"].tolist() == cadence_table["mouth"].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("grain", [0, 6])
def test_mouths_are_counted_over_held_drawings(grain):
    cadence_table = measured("AABBBCCDD", "abcdeeeff", grain=grain)
    assert cadence_table["held"].tolist()[1:] == [1, 0, 1, 1, 0, 1, 0, 1]
    assert cadence_table["mouth"].tolist() == [0, 1, 2, 3, 4, 4, 4, 5, 5]
    assert cadence_table["mouth_change_during_hold"].tolist() == [
        pytest.approx(v, nan_ok=True) for v in (np.nan, 1, np.nan, 1, 1, np.nan, 0, np.nan, 0)
    ]
    drawings = cadence.drawings(cadence_table)
    assert drawings["mouths"].tolist() == [2, 3, 1, 1]
    assert drawings["ms"].tolist() == pytest.approx([80, 120, 80, 80])
    numbers = cadence.summary(cadence_table)
    assert numbers["mouth_change_during_hold"] == pytest.approx(3 / 5)
    assert numbers["mouth_change_during_hold_covered"] == pytest.approx(5 / 9)
    assert numbers["mouths_per_drawing"] == pytest.approx(7 / 4)
    assert numbers["drawings_per_second"] == pytest.approx(4 / 9 * 25)
    assert numbers["mouths_per_second"] == pytest.approx(6 / 9 * 25)


def test_a_mouth_that_is_cut_short_may_have_stood_longer():
    cadence_table = measured("AAAABBBBBB", "aabbbcc.dd", shots="0000000000")
    stands = cadence.mouths(cadence_table)
    assert stands["frames"].tolist() == [2, 3, 2, 2]
    assert stands["whole"].tolist() == [False, True, False, False]
    numbers = cadence.summary(cadence_table)
    assert numbers["mouth_ms"] == numbers["mouth_ms_shortest"] == pytest.approx(120)
    assert numbers["mouths_too_short"] == 0
    assert cadence.drawings(cadence_table)["frames"].tolist() == [4, 3, 2]  # a frame without a face ends a hold
    pairs, ledger, ground_truth = sequence("AAAABBBBBB", "aabbbccddd")
    ledger.loc[7, "mouth_generated"] = False
    partly = cadence_of(pairs, ledger, ground_truth)
    assert cadence.drawings(partly)["mouths"].isna().tolist() == [False, True]  # one frame has no generated mouth
    cut = cadence.mouths(measured("AAAABBBBBB", "aabbbccddd", shots="0000011111"))
    assert cut["whole"].tolist() == [False, False, False, False]


def test_mouths_below_70_ms_are_too_short():
    numbers = cadence.summary(measured("AAAAAAAA", "aabccddd"))
    assert numbers["mouth_ms_shortest"] == pytest.approx(40)
    assert numbers["mouths_too_short"] == pytest.approx(1 / 2)


def test_without_a_mouth_nothing_is_said_of_mouths():
    pairs, ledger, ground_truth = sequence("AABB", "aabb")
    cadence_table = cadence_of(pairs, ledger.assign(mouth_generated=False), ground_truth)
    assert cadence_table[["mouth", "mouth_change", "mouth_change_during_hold"]].isna().all(axis=None)
    assert cadence_table["held"].tolist()[1:] == [1, 0, 1]
    numbers = cadence.summary(cadence_table)
    assert np.isnan(
        [numbers[name] for name in ("mouths_per_second", "mouth_change_during_hold", "mouth_ms", "mouths_too_short")]
    ).all()
    assert numbers["mouth_change_during_hold_covered"] == 0


def test_a_cheek_that_boils_is_no_new_mouth():
    pairs, ledger, ground_truth = sequence("A" * 8, "a" * 8)
    boiling = []
    for index, (source, output) in enumerate(pairs):
        output = output.copy()
        output[48:80, 16:80] += np.uint8(12 * (index % 2))
        boiling.append((source, output))
    cadence_table = cadence_of(boiling, ledger, ground_truth)
    assert cadence_table["mouth_change"].min() > drawings.BOUND
    assert (
        cadence_table["mouth_change_during_hold"].dropna().tolist() == [0] * 5
    )  # of seven held frames, two are due for a new mouth


def test_a_scheduled_change_of_a_long_hold_is_no_failure():
    """The reference says frame by frame which change breaks the rule: a mouth during a hold lasts three frames."""
    cadence_table = measured("A" * 10, "aaabbbcccd")
    assert cadence_table["mouth_change_during_hold"].isna().to_numpy().nonzero()[0].tolist() == [0, 3, 6, 9]
    assert cadence_table["mouth_change_during_hold"].sum() == 0
    assert measured("A" * 10, "aabbbcccdd")["mouth_change_during_hold"].to_numpy().nonzero()[0].tolist() == [
        0,
        2,
        3,
        5,
        6,
        8,
        9,
    ]


@pytest.mark.parametrize(("cadence_of_mouths", "changed"), [("holds", [3, 6]), ("every_frame", [*range(1, 9)])])
def test_a_still_with_reused_mouths_has_no_unscheduled_change(cadence_of_mouths, changed, monkeypatch):
    """Nine frames of one picture through the pipeline; each generated mouth is black or white, in turn."""
    generator, made = lipsync_lab.load_generator("identity"), []

    def generate(self, crops, windows):
        faces = crops.copy()
        for face in faces:
            face[66:84, 30:66] = 255 * (len(made) % 2)
            made.append(face)
        return faces

    monkeypatch.setattr(type(generator), "generate", generate)
    picture = sequence("A", "a")[0][0][0]
    settings = Settings(mouth_cadence=cadence_of_mouths, audio_offset=0)
    pipe = Pipeline(generator, box=Box(*FACE), device="cpu", settings=settings)
    dubbed, track = pipe.dub(np.stack([picture] * 9), np.zeros(16_000 * 9 // 25, np.float32), 25)
    ledger = runs.ledger(track, track.provenance != "missing", Fraction(25))
    cadence_table = cadence_of(((picture, frame) for frame in dubbed), ledger)
    assert cadence_table["held"].sum() == 8
    assert np.flatnonzero(cadence_table["mouth_change"] > 100).tolist() == changed
    assert cadence.summary(cadence_table)["mouth_change_during_hold"] == (0 if cadence_of_mouths == "holds" else 1)


def test_changes_are_block_means_of_luma():
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 256, (2, 40, 48, 3), dtype=np.uint8)
    luma = [np.rint(frame @ np.array([0.299, 0.587, 0.114])) for frame in (first, second)]
    wanted = np.abs(luma[1] - luma[0])[16:24, 20:28].mean()
    assert drawings.changes(first, second)[20, 24] == pytest.approx(wanted, abs=0.5)
    assert drawings.noise(drawings.changes(first, first)) == 0


@pytest.mark.parametrize(
    ("drawn", "animated"),
    [
        ("AABBCCDDEE", True),  # on twos
        ("AAABBBCCCD", True),  # on threes
        ("AABBCCCCCCCCCCDD", True),  # a long hold among drawings on twos
        ("ABCDEFGHIJ", False),  # another picture in every frame, as filmed
        ("ABCDEFGGGGGGGG", False),  # a person who keeps still at the end
        ("AAAAAAAAAAAA", False),  # a still picture
        ("A", False),
    ],
)
def test_a_clip_is_animated_where_its_drawings_last_some_frames(drawn, animated):
    new = [0.0] + [float(a == b) for a, b in zip(drawn, drawn[1:], strict=False)]
    numbers = np.cumsum([1.0 - held for held in new]) - 1
    frames = pd.DataFrame({"held": new, "drawing": numbers})
    assert cadence.is_animated(frames) == animated
    lengths = pd.Series(list(drawn)).ne(pd.Series(list(drawn)).shift()).cumsum().value_counts()
    assert cadence.median_drawing(frames) == lengths.median()
    # frames without a face say nothing
    blank = pd.DataFrame({"held": np.nan, "drawing": numbers[-1] + 1 + np.arange(40.0)})
    assert cadence.is_animated(pd.concat([frames, blank], ignore_index=True)) == animated
