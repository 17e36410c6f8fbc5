"""Artifacts, against plain arithmetic, other libraries and pictures with known artifacts."""

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from lipsync_lab.errors import ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import artifacts, collect, regions
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.validation.response import perfect_ledger
from lipsync_lab.synthesis.truth import GroundTruth, table

SIZE = 128
FACE, MOUTH = (32, 24, 96, 92), (52, 72, 76, 82)
SKIN, LIP, LINE = (224, 180, 150), (170, 60, 70), (20, 15, 10)


def face(mouth=MOUTH) -> np.ndarray:
    """A head with outlines and a mouth on a patterned ground."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    frame = np.stack([100 + 40 * ((x // 8 + y // 8) % 2)] * 3, axis=2).astype(np.uint8)
    cv2.ellipse(frame, (64, 58), (30, 36), 0, 0, 360, SKIN, -1)
    cv2.ellipse(frame, (64, 58), (30, 36), 0, 0, 360, LINE, 2)
    cv2.line(frame, (40, 60), (48, 66), LINE, 2)
    cv2.rectangle(frame, (mouth[0] + 2, mouth[1] + 2), (mouth[2] - 3, mouth[3] - 3), LIP, -1)
    return frame


def known(count: int, missing=(), **more) -> pd.DataFrame:
    names = ("face_x1", "face_y1", "face_x2", "face_y2", "mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2")
    box = dict(zip(names, (*FACE, *MOUTH), strict=True))
    return table(GroundTruth(frame=i, time=i / 25, **({} if i in missing else box), **more) for i in range(count))


def measured(source, output, ground_truth=None, **options) -> pd.DataFrame:
    ground_truth = known(len(source)) if ground_truth is None else ground_truth
    return metrics_of(
        zip(source, output, strict=True), perfect_ledger(ground_truth, (SIZE, SIZE)), ground_truth, **options
    )


def metrics_of(*args, **options) -> pd.DataFrame:
    return collect.collect(*args, **options).with_metrics().frames[[metric.name for metric in artifacts.METRICS]]


def compared(source, output, palette=None, box=FACE) -> dict:
    """Every metric of one frame pair."""
    pair = FramePair(0, source, output, np.array(box, float), np.array(MOUTH, float))
    metrics_table = {metric.name: metric.of_pair(pair) for metric in artifacts.METRICS}
    return metrics_table | {"out_of_palette": artifacts.out_of_palette([metrics_table["out_of_palette"]], palette)[0]}


def test_an_untouched_clip_has_no_artifact_and_everything_is_covered():
    frames = [face(), face(), face((52, 70, 76, 86))]
    palette = artifacts.palette(frames, perfect_ledger(known(3), (SIZE, SIZE)))
    metrics_table = measured(frames, frames, palette=palette)
    wanted = [metric.untouched for metric in artifacts.METRICS]
    assert metrics_table.mean().tolist() == pytest.approx(wanted, nan_ok=True)
    assert metrics_table[["sharpness_loss", "colour_shift"]].notna().all(axis=None)
    assert metrics_table["temporal_flicker"].isna().tolist() == [
        True,
        False,
        True,
    ]  # only the second frame holds a drawing


def test_nothing_drawn_is_undefined_and_not_zero():
    frames, ground_truth = [face()] * 4, known(4, missing=(1, 2))
    other = [frame + np.uint8(2) for frame in frames]
    metrics_table = measured(frames, other, ground_truth)
    assert (
        metrics_table.loc[
            [1, 2],
            [
                "sharpness_loss",
                "boundary_artifact",
                "colour_shift",
                "line_art_loss",
                "ghosting",
                "temporal_flicker",
                "crop_truncation",
            ],
        ]
        .isna()
        .all(axis=None)
    )
    assert metrics_table.loc[[1, 2], "background_change"].tolist() == [2, 2]
    assert metrics_table["line_art_loss"].notna().tolist() == [True, False, False, True]
    without = perfect_ledger(known(2, missing=(0, 1)), (SIZE, SIZE))
    assert metrics_of([(face(), face())] * 2, without)["out_of_palette"].isna().all()  # no box, so no palette


def test_outside_is_the_mean_over_the_pixels_outside():
    source = face()
    output = source.copy()
    output[FACE[1] : FACE[3], FACE[0] : FACE[2]] = 0
    assert compared(source, output)["background_change"] == compared(source, output)["background_change_peak"] == 0
    output[4:12, 4:12] += np.uint8(50)
    mask = np.ones((SIZE, SIZE), bool)
    mask[FACE[1] : FACE[3], FACE[0] : FACE[2]] = False
    wanted = np.abs(output.astype(int) - source)[mask].mean()
    assert compared(source, output)["background_change"] == pytest.approx(wanted)
    assert compared(source, output)["background_change_peak"] == pytest.approx(50, abs=1)


def test_seam_is_the_step_across_the_border():
    source = np.full((SIZE, SIZE, 3), 90, np.uint8)
    output = source.copy()
    output[FACE[1] : FACE[3], FACE[0] : FACE[2], 1] += 33
    assert compared(source, output)["boundary_artifact"] == pytest.approx(33)
    assert compared(output, source)["boundary_artifact"] == 0  # a step that the source had and the output has not
    # at the frame's own edge there is nothing to step from
    assert np.isnan(compared(source, output, box=(0, 0, SIZE, SIZE))["boundary_artifact"])


def test_colour_is_the_skins_and_not_the_lips():
    source, output = np.full((2, SIZE, SIZE, 3), SKIN, np.uint8)
    output[:] = (234, 170, 150)
    output[MOUTH[1] : MOUTH[3], MOUTH[0] : MOUTH[2]] = LIP
    wanted = deltaE_ciede2000(*(rgb2lab(np.array(c) / 255.0) for c in (SKIN, (234, 170, 150))))
    assert compared(source, output)["colour_shift"] == pytest.approx(wanted)
    source, output = face(), face()
    output[(source == LIP).all(axis=2)] = (60, 200, 60)
    assert compared(source, output)["colour_shift"] == 0


def test_new_colours_are_the_share_of_the_lips_that_the_film_has_not():
    source = face()
    palette = artifacts.palette([source], perfect_ledger(known(1), (SIZE, SIZE)))
    output = source.copy()
    x1, y1, x2, y2 = MOUTH
    output[y1 : y1 + 5, x1:x2] = (40, 250, 40)
    lips = regions.inside(np.array(MOUTH, float), source.shape, 0.1, 0.1)
    assert compared(source, output, palette)["out_of_palette"] == pytest.approx(5 * (x2 - x1) / lips.area)
    output[y1 : y1 + 5, x1:x2] = LINE  # elsewhere in the source
    assert compared(source, output, palette)["out_of_palette"] == 0
    # a shift of everything alike is a matter of `colour`
    shifted = np.clip(source.astype(int) + (10, -10, 0), 0, 255).astype(np.uint8)
    metrics_table = compared(source, shifted, palette)
    assert metrics_table["out_of_palette"] < 0.05 < 3 < metrics_table["colour_shift"]


def test_the_palettes_distance_is_the_smallest_of_all():
    rng = np.random.default_rng(1)
    palette = artifacts.Palette(rgb2lab(rng.random((60, 3))))
    asked = rgb2lab(rng.random((200, 3)))
    brute = deltaE_ciede2000(asked[:, None], palette.colours[None]).min(axis=1)
    metrics_table = palette.distance(asked)
    assert ((metrics_table > artifacts.NEW) == (brute > artifacts.NEW)).mean() > 0.95
    assert np.corrcoef(metrics_table, brute)[0, 1] > 0.95
    assert artifacts.palette([], perfect_ledger(known(0), (SIZE, SIZE))) is None


def test_every_frame_is_compared_with_the_palette_as_if_it_were_alone():
    """A twin that looks up four neighbours of every colour of every frame, as the definition has it."""
    rng = np.random.default_rng(2)
    palette = artifacts.Palette(rgb2lab(rng.random((40, 3))))
    frames = [None, *(_lip_colours(rng, shift) for shift in (0.0, np.array([2.0, -1.0, 3.0])))]
    wanted = []
    for colours in frames[1:]:
        new = []
        for (packed, count), shift in ((colours.source, 0.0), (colours.output, colours.shift)):
            lab = rgb2lab(np.stack((packed >> 16, packed >> 8 & 255, packed & 255), axis=1) / 255) - shift
            apart = np.linalg.norm(lab[:, None] - palette.colours, axis=2)
            near = np.argsort(apart, axis=1)[:, : artifacts._NEIGHBOURS]
            far = deltaE_ciede2000(lab[:, None], palette.colours[near]).min(axis=1)
            far = np.where(apart.min(axis=1) > artifacts.NEW / 2, far, apart.min(axis=1))
            new.append(count[far > artifacts.NEW].sum() / count.sum())
        wanted.append(max(0.0, new[1] - new[0]))
    assert artifacts.out_of_palette(frames, palette) == pytest.approx([np.nan, *wanted], abs=1e-12, nan_ok=True)
    assert 0 < max(wanted) < 1


def _lip_colours(rng: np.random.Generator, shift: np.ndarray | float) -> artifacts.LipColours:
    packed = [np.unique(rng.integers(0, 1 << 24, 300)).astype(np.uint32) for _ in range(2)]
    return artifacts.LipColours(*((part, rng.integers(1, 9, len(part)).astype(np.uint32)) for part in packed), shift)


def test_lines_say_how_much_is_gone():
    source = np.full((SIZE, SIZE, 3), 200, np.uint8)
    for x in (40, 48, 80, 88):
        source[30:60, x : x + 2] = 20
    half = source.copy()
    half[28:62, 76:94] = 200
    assert compared(source, half)["line_art_loss"] == pytest.approx(0.5, abs=0.02)
    assert compared(source, np.full_like(source, 200))["line_art_loss"] == pytest.approx(1)
    assert compared(source, np.roll(source, 1, axis=1))["line_art_loss"] < 0.05  # moved by a pixel, and still there
    assert np.isnan(compared(np.full_like(source, 200), source)["line_art_loss"])  # no line to lose


def test_blur_of_the_mouth_is_an_artifact_and_of_the_whole_frame_an_encode():
    source = face()
    soft = cv2.GaussianBlur(source, (0, 0), 1.0)
    output = source.copy()
    output[FACE[1] : FACE[3], FACE[0] : FACE[2]] = soft[FACE[1] : FACE[3], FACE[0] : FACE[2]]
    inside, everywhere = (compared(source, frame)["sharpness_loss"] for frame in (output, soft))
    assert inside > 0.5
    assert everywhere < inside / 2
    assert compared(soft, source)["sharpness_loss"] == 0


def test_a_ghost_is_two_mouths_and_not_another_mouth():
    source, other = face(), face((48, 62, 80, 92))
    double = cv2.addWeighted(source, 0.5, other, 0.5, 0)
    metrics_table = [compared(source, frame)["ghosting"] for frame in (source, other, double)]
    assert metrics_table[0] == 0
    assert metrics_table[2] > 0.2 > 2 * metrics_table[1]


def test_flicker_is_what_changes_round_the_lips_while_the_source_holds():
    frames = [face()] * 3
    output = [frame.copy() for frame in frames]
    skin = regions.skin(frames[0].shape, Box(*FACE), np.array(MOUTH, float))
    output[1][skin] += np.uint8(5)
    output[2][MOUTH[1] : MOUTH[3], MOUTH[0] : MOUTH[2]] = 0
    output[2][skin] += np.uint8(5)
    metrics_table = measured(frames, output)["temporal_flicker"]
    assert metrics_table.tolist()[1:] == [pytest.approx(5, rel=0.2), 0]  # the box of the ledger is a little higher
    moving = [np.roll(frame, 3 * i, axis=1) for i, frame in enumerate(frames)]
    assert measured(moving, output)["temporal_flicker"].isna().all()


def test_a_mouth_outside_the_box_is_cropped():
    ground_truth = known(1)
    ground_truth[["mouth_x1", "mouth_x2"]] = (90.0, 102.0)  # the box ends at 96
    metrics_table = measured([face()], [face()], ground_truth)
    assert metrics_table["crop_truncation"].tolist() == [0.5]
    ledger = perfect_ledger(known(1), (SIZE, SIZE))
    assert metrics_of([(face(), face())], ledger)["crop_truncation"].isna().all()


def test_where_the_truth_is_silent_the_box_says_where_the_lips_are():
    ledger = perfect_ledger(known(2), (SIZE, SIZE))
    ground_truth = known(2, missing=(1,))
    metrics_table = regions.mouths(ledger, ground_truth)
    assert metrics_table[0].tolist() == list(MOUTH)
    box = ledger.loc[1, ["x1", "y1", "x2", "y2"]].to_numpy(float)
    assert metrics_table[1, 0] == pytest.approx(box[0] + regions.LIPS[0] * (box[2] - box[0]))
    assert (box[1] + box[3]) / 2 < metrics_table[1, 1] < metrics_table[1, 3] < box[3]


def test_frames_of_another_run_are_refused():
    ledger = perfect_ledger(known(2), (SIZE, SIZE))
    with pytest.raises(ParameterError, match="more frames than the 2"):
        metrics_of([(face(), face())] * 3, ledger)
    with pytest.raises(ParameterError, match="1 rows for 2 frames"):
        metrics_of([(face(), face())] * 2, ledger, known(1))
    assert len(metrics_of([(face(), face())], ledger)) == 1  # a shorter output is allowed
