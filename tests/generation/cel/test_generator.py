"""The animation generator: erasing, drawing, and a clip that is dubbed with it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import soundfile

from lipsync_lab import generation, samples
from lipsync_lab.detection.detect import detect
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.generation.cel import chart, draw, erase, exchange, generator, look, timing
from lipsync_lab.generation.cel.locate import MouthPose
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.generation.windows import Voice
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import clip_from_array
from lipsync_lab.pipeline import Pipeline, make_plan, prepared, render
from lipsync_lab.settings import Settings

LIT, SHADE, INK = (236, 196, 170), (206, 166, 142), (60, 34, 30)


def pose_at(x: float, y: float, width: float, gap: float = 0.0, confidence: float = 0.9) -> MouthPose:
    half = width / 2
    edges = (x - half, y), (x + half, y), (x, y - gap / 2), (x, y + gap / 2)
    return MouthPose((x, y), *edges, gap / width, "visible", confidence)


def face() -> tuple[np.ndarray, np.ndarray]:
    """Skin with the edge of a shadow and a jaw line; the same with a mouth whose line crosses the edge."""
    clean = np.full((160, 200, 3), LIT, np.uint8)
    cv2.fillPoly(clean, [np.array([[120, 0], [200, 0], [200, 160], [100, 160]])], SHADE, cv2.LINE_AA)
    cv2.polylines(clean, [np.array([[20, 60], [60, 150], [160, 150]])], False, INK, 2, cv2.LINE_AA)
    mouth = clean.copy()
    cv2.ellipse(mouth, (105, 90), (30, 9), 0, 0, 360, (120, 40, 45), -1, cv2.LINE_AA)
    cv2.ellipse(mouth, (105, 90), (30, 9), 0, 0, 360, INK, 2, cv2.LINE_AA)
    return clean, mouth


def test_the_erased_face_is_the_face_without_a_mouth():
    clean, mouth = face()
    erased = erase.erase(mouth, pose_at(105, 90, 60, 18))
    part = clean[erased.box.slices].astype(int)
    before = np.abs(mouth[erased.box.slices].astype(int) - part)[erased.mask].mean()
    after = np.abs(erased.pixels.astype(int) - part)[erased.mask].mean()
    assert after < 3 < 40 < before
    assert np.array_equal(erased.pixels[~erased.mask], mouth[erased.box.slices][~erased.mask])
    # the jaw line goes on, and the shadow's edge is not blurred over the mouth
    dark = (part.sum(-1) < 300) & ~erased.mask
    assert dark.sum() == (part.sum(-1) < 300).sum()
    row = erased.pixels[90 - erased.box.y1, :, 0].astype(int)
    assert np.ptp(row) >= LIT[0] - SHADE[0] - 4
    assert (np.abs(row - LIT[0]) > 6).sum() - (np.abs(row - SHADE[0]) < 6).sum() < 8


def test_a_line_that_runs_on_from_the_mouth_stays():
    _, mouth = face()
    scar = mouth.copy()
    cv2.line(scar, (135, 90), (199, 40), INK, 2, cv2.LINE_AA)
    erased = erase.erase(scar, pose_at(105, 90, 60, 18))
    where = np.zeros(scar.shape[:2], bool)
    where[erased.box.slices] = erased.mask
    assert where[90, 100]
    assert not where[:, 160:].any()
    assert (scar[:, 160:].sum(-1) < 300).any()


def pen(**changes) -> draw.Pen:
    return draw.Pen(**{"line": INK, "thickness": 2.0, "inner": (90, 30, 40), "teeth": (240, 238, 230),
                       "tongue": (190, 90, 90)} | changes)  # fmt: skip


SEAT, PART = draw.Seat(60.0, 50.0, 40.0, 24.0), Box(10, 10, 110, 90)


def test_each_shape_of_the_chart_is_drawn_as_open_as_it_is():
    heights = {}
    for letter in SHAPES:
        layer = draw.drawn(CHART[letter], SEAT, pen(), PART)
        assert layer.shape == (80, 100, 4)
        rows = np.flatnonzero((layer[..., 3] > 0.5).any(axis=1))
        heights[letter] = np.ptp(rows) + 1
        columns = np.flatnonzero((layer[..., 3] > 0.5).any(axis=0))
        assert abs(columns.mean() + 10 - 60) < 1.5
    assert heights["A"] == heights["X"] <= 3
    assert heights["A"] < heights["B"] < heights["C"] < heights["D"]
    widths = {
        letter: (draw.drawn(CHART[letter], SEAT, pen(), PART)[..., 3] > 0.5).any(axis=0).sum() for letter in "XEF"
    }
    assert widths["F"] < widths["E"] < widths["X"]


def test_a_turned_head_turns_the_mouth():
    tilted = draw.drawn(CHART["A"], draw.Seat(60.0, 50.0, 40.0, 24.0, angle=30.0), pen(), PART)[..., 3]
    rows, columns = np.nonzero(tilted > 0.5)
    assert np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])) == pytest.approx(30, abs=2)


def test_a_mouth_in_three_quarter_view_opens_along_the_face():
    """The corners' line is tilted by perspective: the lower lip lies below the upper one, not across that line."""
    tilts = {}
    for turn in (0.0, 1.0):
        seat = draw.Seat(60.0, 50.0, 40.0, 30.0, angle=20.0, turn=turn)
        layer = draw.drawn(CHART["D"], seat, pen(tongue=(190, 90, 91)), PART)
        # the middle of the teeth, which hang from the upper lip, and of the tongue, which lies on the lower one
        teeth, tongue = (
            np.argwhere(np.abs(layer[..., :3] - paint).max(axis=-1) < 3).mean(axis=0)
            for paint in ((240, 238, 230), (190, 90, 91))
        )
        down, right = tongue - teeth
        tilts[turn] = np.degrees(np.arctan2(-right, down))
    assert tilts[0.0] == pytest.approx(20, abs=3)
    assert tilts[1.0] == pytest.approx(0, abs=5)


def test_the_line_is_as_thick_as_that_of_the_closed_mouth():
    pens = {}
    for thickness in (2, 5):
        frame = np.full((160, 200, 3), LIT, np.uint8)
        frame[90 : 90 + thickness, 70:130] = INK
        pose, box = pose_at(100, 90 + thickness / 2, 60), Box(25, 5, 175, 155)
        erased = erase.erase(frame, pose)
        pens[thickness] = look.look_of([look.Sample(box, pose, frame[erased.box.slices], erased, 0, 0)]).pen
    assert pens[2].thickness == pytest.approx(2, abs=0.4)
    assert pens[5].thickness == pytest.approx(5, abs=0.8)
    assert np.abs(np.subtract(pens[5].line, INK)).max() < 12


def test_only_what_is_drawn_changes():
    pixels = np.random.default_rng(1).integers(0, 256, (80, 100, 3), np.uint8)
    layer = draw.drawn(CHART["D"], SEAT, pen(softness=0.6), PART)
    out = draw.composited(pixels, layer)
    untouched = layer[..., 3] <= 1 / 512
    assert np.array_equal(out[untouched], pixels[untouched])
    assert np.allclose(out[layer[..., 3] > 0.999].min(), layer[..., :3][layer[..., 3] > 0.999].min(), atol=1)


def test_a_less_sure_mouth_is_drawn_beside_a_sure_one_at_the_same_place():
    near, far = pose_at(101, 90, 60, confidence=0.3), pose_at(160, 90, 60, confidence=0.3)
    poses = [pose_at(100, 90, 60), near, far, near, None]
    assert generator.accepted(poses, [0, 0, 0, 0, 0]).tolist() == [True, True, False, False, False]
    assert generator.accepted(poses[:2], [0, 1]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("gap", "shots", "moved", "drawn"),
    [(1, 1, 0, True), (2, 1, 0, True), (3, 1, 0, False), (2, 2, 0, False), (2, 1, 30, False)],
)
def test_a_short_gap_between_mouths_of_one_place_is_drawn(gap, shots, moved, drawn):
    sure = pose_at(100, 90, 40)
    doubtful = replace(pose_at(100 + moved, 90, 8, confidence=0.01), visibility="hidden")
    poses = [sure, *[doubtful] * gap, sure]
    numbers = [0] * (gap + 1) + [shots - 1]
    assert generator.accepted(poses, numbers).tolist() == [True, *[drawn] * gap, True]
    # neither the start nor the end of a clip is a gap, and where no pose is known none can be drawn
    assert generator.accepted(poses[:-1], numbers[:-1]).tolist() == [True, *[False] * gap]
    assert not generator.accepted([sure, None, sure], [0, 0, 0])[1]


def test_a_clip_changes_at_its_mouth_alone_and_holds_keep_their_pixels():
    frames = np.stack([frame.image for frame in video.frames(samples.path("animation_hello"), stop=30)])
    wave = audio.load(samples.path("voice_umbrella"))[: int(1.2 * audio.SAMPLE_RATE)]
    pipeline = Pipeline("cel")
    out, track = pipeline.dub(frames, wave, 25)
    changed = (out != frames[: len(out)]).any(axis=-1)
    # a closed mouth over the very same closed mouth changes nothing
    assert changed.any(axis=(1, 2)).mean() > 0.7
    for number, where in enumerate(changed):
        rows, columns = np.nonzero(where)
        if len(rows):
            box = track.box(number)
            assert rows.min() > box.y1 + 0.4 * box.height
            assert columns.min() > box.x1
            assert columns.max() < box.x2
            assert where.mean() < 0.05
    again, _ = pipeline.dub(frames, wave, 25)
    assert np.array_equal(again, out)
    held = [n for n in range(1, len(out)) if np.array_equal(frames[n], frames[n - 1])]
    for number in held:
        assert np.array_equal(out[number], out[number - 1])


def _rewritten(sheet: Path, target: Path, letter_of) -> Path:
    """An exposure sheet with other letters, by frame."""
    with open(sheet, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(target, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(row | {"shape": letter_of(int(row["frame"])), "opening": ""} for row in rows)
    return target


def test_a_corrected_exposure_sheet_is_drawn_frame_by_frame(tmp_path):
    clip = samples.path("animation_hello")
    soundfile.write(tmp_path / "v.wav", audio.load(samples.path("voice_umbrella"))[: audio.SAMPLE_RATE], 16000)
    lossless = {"codec": "ffv1"}

    def dubbed(name: str, **settings):
        run = Pipeline("cel", settings=Settings(**lossless, **settings)).run(clip, tmp_path / "v.wav", tmp_path / name)
        return np.stack([frame.image for frame in video.frames(run.output)])

    plain = dubbed("plain")
    sheet = tmp_path / "plain" / "exposure_sheet.csv"
    with open(sheet, encoding="utf-8", newline="") as file:
        assert [row["frame"] for row in csv.DictReader(file)] == [str(n) for n in range(len(plain))]
    cues, fps = Pipeline("cel").mouth_timing(clip, tmp_path / "v.wav")
    again = exchange.read_timing(sheet, fps)
    assert timing.shapes_at(cues, len(plain), fps) == timing.shapes_at(again, len(plain), fps)
    assert np.array_equal(dubbed("same", mouth_timing=str(sheet)), plain)
    assert (tmp_path / "same" / "exposure_sheet.csv").read_bytes() == sheet.read_bytes()

    letters = ["ADF "[number // 3 % 4] if number % 5 else "D" for number in range(len(plain))]
    of_letter = {
        letter: dubbed(letter, mouth_timing=str(_rewritten(sheet, tmp_path / f"{letter}.csv", lambda _, to=letter: to)))
        for letter in "ADF"
    }
    of_letter[" "] = np.stack([frame.image for frame in video.frames(clip, stop=len(plain))])
    mixed = dubbed("mixed", mouth_timing=str(_rewritten(sheet, tmp_path / "mixed.csv", letters.__getitem__)))
    assert set(letters) == set(of_letter)
    for number, letter in enumerate(letters):
        assert np.array_equal(mixed[number], of_letter[letter][number]), number
        assert not np.array_equal(mixed[number], of_letter["A" if letter == "D" else "D"][number])


def _sheet(run) -> list[dict[str, str]]:
    with open(run.folder / "exposure_sheet.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _apart(shown: np.ndarray, mouth: np.ndarray, angle: float) -> float:
    """Root mean square difference, in grey levels, of a turned picture from the most similar part of another."""
    height, width = mouth.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    turned = cv2.warpAffine(mouth, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return float(np.sqrt(cv2.matchTemplate(shown, turned, cv2.TM_SQDIFF).min() / mouth.size))


def test_the_exposure_sheet_says_where_each_mouth_came_from(tmp_path):
    clip = samples.path("animation_hello")
    soundfile.write(tmp_path / "v.wav", audio.load(samples.path("voice_umbrella"))[: 2 * audio.SAMPLE_RATE], 16000)
    run = Pipeline("cel", settings=Settings(codec="ffv1")).run(clip, tmp_path / "v.wav", tmp_path / "auto")
    rows = _sheet(run)
    by_source = {source: [row for row in rows if row["mouth_source"] == source] for source in generator.SOURCES}
    assert min(len(by_source["clip"]), len(by_source["drawn"])) > 2
    assert run.info["mouths_by_source"] == {"clip": len(by_source["clip"]), "drawn": len(by_source["drawn"])}
    # the output shows the mouth of the named frame rather than any other mouth that was pasted
    sources = [frame.image for frame in video.frames(clip)]
    outputs = [frame.image for frame in video.frames(run.output)]
    with open(clip.with_name("animation_hello.truth.csv"), encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file))
    mouths = {}
    for number in {int(row["mouth_from"]) for row in by_source["clip"]}:
        place = Box(*(round(float(truth[number][f"mouth_{side}"])) for side in ("x1", "y1", "x2", "y2")))
        mouths[number] = sources[number][place.slices]
    assert len(mouths) > 3
    for row in by_source["clip"]:
        face = Box(*(float(truth[int(row["frame"])][f"face_{side}"]) for side in ("x1", "y1", "x2", "y2")))
        shown = outputs[int(row["frame"])][face.slices]
        # a mouth turns with the face, and is resampled then
        apart = {
            number: min(_apart(shown, mouth, angle) for angle in range(-15, 16)) for number, mouth in mouths.items()
        }
        assert 1.5 * apart.pop(int(row["mouth_from"])) < min(apart.values()), row
    assert all(row["mouth_from"] == "" for row in by_source["drawn"])

    # one source alone, if that is asked for
    for source in ("clip", "drawn"):
        run = Pipeline("cel", settings=Settings(mouth_source=source)).run(clip, tmp_path / "v.wav", tmp_path / source)
        assert set(run.info["mouths_by_source"]) == {source}
        assert {row["mouth_source"] for row in _sheet(run)} <= {source, ""}


def test_mouths_of_a_chart_are_named_by_their_files(tmp_path):
    clip = samples.path("animation_hello")
    soundfile.write(tmp_path / "v.wav", audio.load(samples.path("voice_umbrella"))[: audio.SAMPLE_RATE], 16000)
    chart.write_chart(tmp_path / "chart", Pipeline("cel").mouth_chart(clip))
    settings = Settings(mouth_chart=str(tmp_path / "chart"))
    rows = _sheet(Pipeline("cel", settings=settings).run(clip, tmp_path / "v.wav", tmp_path / "run"))
    assert {row["mouth_source"] for row in rows} == {"chart"}
    assert all((tmp_path / "chart" / row["mouth_from"]).is_file() for row in rows)
    assert {row["mouth_from"][0] for row in rows} <= set(SHAPES)


def test_mouths_that_an_interrupted_call_drew_are_named_too():
    frames = np.stack([frame.image for frame in video.frames(samples.path("animation_hello"), stop=40)])
    wave = audio.load(samples.path("voice_umbrella"))[: 2 * audio.SAMPLE_RATE]
    pipeline, clip = Pipeline("cel"), clip_from_array(frames, 25)
    plan = make_plan(clip, detect(clip, pipeline.detector), wave, pipeline.settings)
    drawn, plan = prepared(clip, plan, pipeline.generator)
    assert len(list(render(clip, plan, drawn))) == len(plan.order) == 50
    resumed, _ = prepared(clip, plan, pipeline.generator)
    for _ in render(clip, plan, resumed, start=20):
        pass
    assert resumed.origins() == drawn.origins()
    assert {source for source, _ in drawn.origins()} >= {"clip"}


@pytest.mark.parametrize(("fps", "exposure"), [(24, 2), (12, 1), (25, 3)])
def test_mouths_of_a_voice_change_with_its_drawings(fps, exposure):
    voice = Voice.from_wave(audio.load(samples.path("voice_umbrella")))
    cues = generation.load("cel").mouths(voice, fps, exposure)
    starts = np.array([cue.start for cue in cues]) * fps
    assert np.allclose(starts, np.round(starts))
    assert set(np.round(starts).astype(int) % exposure) == {0}
    assert cues[-1].end == pytest.approx(voice.seconds, abs=0.5 / fps)
    assert len({cue.shape.shape for cue in cues}) > 4


def test_a_generator_that_draws_no_chart_refuses_mouth_timing(tmp_path):
    (tmp_path / "a.tsv").write_text("0.00\tA\n1.00\tX\n")
    with pytest.raises(ParameterError, match="--mouth-timing.*identity.*--generator cel"):
        Pipeline("identity", settings=Settings(mouth_timing=str(tmp_path / "a.tsv")))
    with pytest.raises(MediaError, match="b.tsv: cannot be read"):
        Pipeline("cel", settings=Settings(mouth_timing=str(tmp_path / "b.tsv")))


def test_a_frame_without_a_sure_mouth_passes_through():
    drawn = generator.DrawnClip(None, [None], np.array([0]), np.array([0]), np.array([-1]), {}, SimpleNamespace(), [])
    frame = np.zeros((4, 4, 3), np.uint8)
    assert drawn.draw(frame, 0) is frame


def test_cel_is_a_generator_by_name():
    assert "cel" in generation.NAMES
    made = generation.load("cel")
    assert made.name == "cel"
    assert made.sha256


def painted(seed: int) -> np.ndarray:
    """A face in smooth shades, with a mouth."""
    rng = np.random.default_rng(seed)
    shade = cv2.resize(rng.uniform(-70, 70, (5, 6, 3)).astype(np.float32), (200, 160), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(np.array(LIT, np.float32) - 40 + shade, 0, 255).astype(np.uint8)
    cv2.ellipse(picture, (105, 90), (30, 9), 0, 0, 360, (120, 40, 45), -1, cv2.LINE_AA)
    return picture


def test_a_painted_face_has_no_flat_skin_and_gets_no_mouth(monkeypatch):
    pose = pose_at(105, 90, 60, 18)
    drawing, paintings = face()[1], [painted(seed) for seed in range(5)]
    assert erase.erase(drawing, pose).flat > 0.7
    assert max(erase.erase(painting, pose).flat for painting in paintings) < generator.FLAT
    cel, box = generator.Cel.load(), Box(40, 10, 170, 150)
    monkeypatch.setattr(generator, "locate", lambda frames, boxes, network: [pose] * len(frames))
    for frame, drawn in ((drawing, True), (paintings[0], False)):
        clip = SimpleNamespace(read=lambda start, stop, frame=frame: iter([frame] * 6))
        poses, _, samples = cel._survey(clip, Track(box))
        assert (poses[0] is not None) == drawn == bool(samples)


class Track:
    """Six frames with one face."""

    shots = (0,) * 6

    def __init__(self, box: Box):
        self._box = box

    def box(self, number: int) -> Box:
        return self._box

    def __len__(self) -> int:
        return 6
