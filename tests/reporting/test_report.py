"""Reports: what goes in comes out, failures are kept, nothing leaves the machine, and a second run says the same."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import lipsync_lab
from lipsync_lab import cli, evaluation, reporting, runs, samples
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.evaluation import findings
from lipsync_lab.geometry import PROVENANCES, Box
from lipsync_lab.media import audio, video
from lipsync_lab.media.difference import AMPLIFY
from lipsync_lab.models import registry
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.reporting import clip_table, media, notebooks, parts
from lipsync_lab.reporting.outcome import Outcome
from lipsync_lab.reporting.page import TABLE
from lipsync_lab.reporting.runs import evaluation_summary, frame_summary, worst_failures
from lipsync_lab.reporting.text import evidence_note
from lipsync_lab.settings import Settings

WALKTHROUGH = notebooks.NOTEBOOKS / "01_pipeline_walkthrough.ipynb"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FRAMES = 10
NAN = float("nan")


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A clip of ten frames with its sound, and boxes for it: a face in six frames, none in four."""
    folder = tmp_path_factory.mktemp("a clip {0} & 'its' boxes")
    rng = np.random.default_rng(0)
    wave = (0.3 * rng.standard_normal(audio.SAMPLE_RATE * FRAMES // 25)).astype(np.float32)
    picture = np.kron(rng.integers(0, 255, (12, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    pictures = [np.roll(picture, number, axis=1) for number in range(FRAMES)]
    video.write_clip(folder / "talks.mp4", pictures, 25, sound=audio.Sound.from_wave(wave))
    video.write_clip(folder / "mute.mp4", pictures, 25)
    (folder / "broken.mp4").write_bytes(b"this is no clip")
    soundfile.write(folder / "voice.wav", wave, audio.SAMPLE_RATE)
    boxes = [None if number in (0, 1, 7, 8) else [30, 20, 70, 60] for number in range(FRAMES)]
    (folder / "boxes.json").write_text(json.dumps({"frames": FRAMES, "boxes": boxes}), encoding="utf-8")
    return folder


def make(out: Path, material: Path, **changes) -> reporting.Report:
    options = {
        "clips": [material / "talks.mp4", material / "broken.mp4"],
        "voices": [material / "voice.wav"],
        "generators": ["untrained"],
        "detector": material / "boxes.json",
        "settings": Settings(codec="ffv1"),
        "notebooks": [WALKTHROUGH],
    }
    return reporting.report(out, **(options | changes))


@pytest.fixture(scope="module")
def printed(tmp_path_factory, material) -> reporting.Report:
    return make(tmp_path_factory.mktemp("the report"), material)


class Addresses(HTMLParser):
    """Every address that a page makes a browser open, or lets a reader open."""

    def __init__(self, page: Path):
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.scripts = 0
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.links += [
            (tag, value) for name, value in attributes if name in ("src", "href", "poster", "data", "srcset")
        ]


def test_every_part_is_there_and_only_the_broken_one_failed(printed):
    names = {(outcome.kind, outcome.name): outcome.error for outcome in printed.outcomes}
    assert list(names) == [
        ("clip", "untrained/talks"),
        ("clip", "untrained/broken"),
        ("notebook", "untrained/01_pipeline_walkthrough-talks"),
    ]
    assert names["clip", "untrained/talks"] is None
    assert names["notebook", "untrained/01_pipeline_walkthrough-talks"] is None
    assert "broken.mp4" in names["clip", "untrained/broken"]
    assert [outcome.name for outcome in printed.failed] == ["untrained/broken"]
    assert not printed.ok


def table_of(report: reporting.Report) -> list[dict[str, str]]:
    return list(csv.DictReader((report.folder / "table.csv").read_text(encoding="utf-8").splitlines()))


def test_the_table_counts_what_was_recorded(printed):
    row, gone = table_of(printed)
    assert tuple(row) == TABLE
    assert {name: row[name] for name in TABLE[:11]} == {
        "clip": "talks",
        "generator": "untrained",
        "settings": "",
        "domain": "",
        "frames": "10",
        "detected": "6",
        "filled": "0",
        "passthrough": "4",
        "mouths_generated": "6",
        "seconds": "0.40",
        "frames_written": "10",
    }
    assert row["syncnet_distance"] == row["lse_d"] == row["error"] == ""  # ten frames are too few for a score
    assert gone["clip"] == "broken"
    assert "broken.mp4" in gone["error"]
    assert gone["frames"] == ""


def test_the_table_names_the_worst_failures(printed):
    row = table_of(printed)[0]
    failures = pd.read_csv(printed.folder / "runs" / "untrained" / "talks" / "evaluation" / "failures.csv")
    assert int(row["failures"]) == len(failures) > 3
    assert row["worst_failures"].split("; ") == list(dict.fromkeys(failures["kind"]))[:3]
    assert int(row["worst_frame"]) == failures["worst"][0]
    assert "missed detection" in set(failures["kind"])


def evaluated(frames: pd.DataFrame, **scores) -> evaluation.Evaluation:
    rows = [(name.split("__")[0], (name.split("__") + ["dubbed"])[1], value) for name, value in scores.items()]
    table = pd.DataFrame(rows, columns=["score", "input", "value"]).assign(covered=1.0, reason="")
    return evaluation.Evaluation(frames, table, pd.DataFrame(), {})


def test_the_scores_are_in_the_table():
    numbers = {"syncnet_distance": 0.51234, "av_offset": -2.0, "lse_d": NAN}
    controls = {
        "syncnet_distance__shuffled_audio": 0.9,
        "syncnet_distance__silent_audio": 0.8,
        "syncnet_distance__untouched_source": 1.05,
    }
    frames = pd.DataFrame(
        {"shot": 0, "sharpness_loss": [0.0, 0.9, 0.5, 0.0], "boundary_artifact": [0.0, 0.0, 0.0, 5.0]}
    )
    row = evaluation_summary(evaluated(frames, **numbers, **controls))
    assert row == {
        "syncnet_distance": "0.512",
        "av_offset": "-2.000",
        "syncnet_distance_shuffled_audio": "0.900",
        "syncnet_distance_silent_audio": "0.800",
        "syncnet_distance_untouched_source": "1.050",
        "lse_d": "",
        "lse_c": "",
        "failures": 2,
        "worst_failures": "sharpness loss; boundary artifact",
        "worst_frame": 1,
    }
    fine = evaluation_summary(evaluated(frames * 0, **numbers))
    assert (fine["failures"], fine["worst_failures"], fine["worst_frame"]) == (0, "", "")


def test_the_worst_are_of_different_kinds():
    frames = pd.DataFrame(
        {
            "shot": 0,
            "sharpness_loss": [0.9, 0, 0, 0, 0.8],
            "boundary_artifact": [0, 5.0, 0, 0, 0],
            "temporal_flicker": [0, 0, 3.0, 0, 0],
        }
    )
    result = evaluated(frames)
    assert len(result.failures) == 4
    assert list(worst_failures(result)["kind"])[0] == "sharpness loss"
    assert len(set(worst_failures(result)["kind"])) == len(worst_failures(result)) == 3
    assert len(worst_failures(result, most=1)) == 1


def test_the_page_shows_the_numbers_of_the_table(printed):
    text = printed.index.read_text(encoding="utf-8")
    table = text[text.index('<table id="clips"') : text.index("</table>")]
    shown = [
        [
            " ".join(html.unescape(re.sub("<[^>]*>", " ", cell)).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in table.split("<tr>")[2:]
    ]
    row, gone = table_of(printed)
    worst = pd.read_csv(printed.folder / "runs" / "untrained" / "talks" / "evaluation" / "failures.csv").iloc[0]
    number = clip_table.value(worst["metric"], worst["value"])
    assert worst["kind"] == row["worst_failures"].split("; ")[0]
    assert shown[0] == [
        *("", "talks", "unknown domain", "60%", "–"),
        f"{worst['kind']} {number}, frame {row['worst_frame']}"
        + (f", worst of {worst['first']} to {worst['last']}" if worst["first"] != worst["last"] else ""),
        *["–"] * 4,
    ]
    assert shown[1] == ["", "broken", "unknown domain", gone["error"]]
    manifest = json.loads((printed.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seconds"]["untrained/talks"]["generate"] > 0
    evidence = pd.read_csv(printed.folder / "runs" / "untrained" / "talks" / "evaluation" / "failures.csv")["evidence"]
    assert html.escape(evidence[0], quote=False) in text
    assert "Undefined: " in text


def test_the_page_leads_to_files_that_are_there(printed):
    page = Addresses(printed.index)
    text = printed.index.read_text(encoding="utf-8")
    local = [value for _, value in page.links if not value.startswith("#")]
    assert len(local) >= 15
    for value in local:
        assert (printed.folder / value).is_file(), value
    for value in {value for _, value in page.links} - set(local):
        assert f'id="{value[1:]}"' in text, value
    assert (
        "video",
        "pictures/untrained/talks/after.mp4",
    ) in page.links  # the run's own output is lossless
    assert text.count("<video") == 2
    assert 'id="clip.talks"' in text
    assert ("a", "clips/untrained/talks.html") in page.links
    own = Addresses(printed.folder / "clips" / "untrained" / "talks.html")
    for _, value in own.links:
        assert (printed.folder / "clips" / "untrained" / value.partition("#")[0]).is_file(), value
    assert 'data-fps="25.0" data-frames="10"' in text
    assert "random weights" in text
    assert "1 of 3 parts of this report failed" in text
    assert "broken.mp4: " in text


def test_pages_need_no_network(printed):
    pages = [printed.index, *printed.folder.glob("*/*/*.html")]
    assert {page.parent.parent.name for page in pages[1:]} == {"clips", "notebooks"}
    for page in pages:
        addresses = Addresses(page)
        assert not [pair for pair in addresses.links if re.match(r"(https?:)?//", pair[1])]
        # inline: the players and the sorting of the table; the viewer and its data
        assert bool(addresses.scripts) == (page == printed.index or "clips" in page.parts)
        assert not re.search(r"url\(\s*['\"]?https?:|@import", page.read_text(encoding="utf-8"))


def test_the_notebook_shows_every_step_and_agrees_with_the_run(printed):
    path = next(printed.folder.glob("notebooks/*/*.html"))
    pictures = [value for tag, value in Addresses(path).links if tag == "img"]
    assert len(pictures) == 8
    assert {value.split(",")[0] for value in pictures} <= {"data:image/png;base64", "data:image/jpeg;base64"}
    page = " ".join(path.read_text(encoding="utf-8").split())
    assert "random weights" in page
    assert "%|" not in page  # no progress bars on paper
    # the run is lossless: what the notebook does by hand is what the pipeline did
    assert "moves a value by 0.00 of 255 levels on average inside of the square, and by 0.00 outside" in page
    assert "of that square and 0 outside of it" in page
    # a page does not link to itself
    assert "as a page with all its figures" not in page
    book = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert f"[This notebook as a page with all its figures]({path.name})" in book.cells[0].source


def test_a_printed_notebook_does_not_tell_where_it_was_made(printed):
    about = nbformat.read(next(printed.folder.glob("notebooks/*/*.ipynb")), as_version=4).metadata.papermill
    assert about.input_path == WALKTHROUGH.name
    assert about.output_path == "01_pipeline_walkthrough-talks.ipynb"
    root = notebooks.NOTEBOOKS.parent
    assert evaluation.cases.portable(root / "data" / "samples", notebooks.NOTEBOOKS) == "../data/samples"
    assert evaluation.cases.portable(printed.folder, notebooks.NOTEBOOKS) == str(printed.folder.resolve())
    assert evaluation.cases.portable("untrained", notebooks.NOTEBOOKS) == "untrained"


def test_source_and_output_play_for_the_same_time(printed):
    folder = printed.folder / "pictures" / "untrained" / "talks"
    before, after = (video.probe(folder / f"{name}.mp4") for name in ("before", "after"))
    assert (before.codec, after.codec) == ("h264", "h264")
    assert before.frames == after.frames == FRAMES
    assert before.has_sound
    assert after.has_sound


def test_the_manifest_names_inputs_models_and_versions(printed, material):
    manifest = json.loads((printed.folder / "manifest.json").read_text(encoding="utf-8"))
    face, speech = (hashlib.sha256((material / name).read_bytes()).hexdigest() for name in ("talks.mp4", "voice.wav"))
    assert manifest["sha256"] == {"talks": {"clip": face, "voice": speech}}
    assert manifest["table_sha256"] == hashlib.sha256((printed.folder / "table.csv").read_bytes()).hexdigest()
    assert manifest["generators"]["untrained"]["sha256"] == Pipeline("untrained").generator.sha256
    assert manifest["generators"]["untrained"]["settings"]["codec"] == "ffv1"
    assert set(manifest["networks"]) == {"sync_expert", "discriminator", "lse", "mouth_openness"}
    assert manifest["detector"]["sha256"] == hashlib.sha256((material / "boxes.json").read_bytes()).hexdigest()
    assert {"torch", "papermill", "lipsync_lab", "python"} <= set(manifest["versions"])


def pictures_of(report: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in report.glob("pictures/*/*/*")}


def test_a_second_report_says_the_same_and_does_nothing_twice(printed, material, tmp_path):
    table = (printed.folder / "table.csv").read_bytes()
    made_before = pictures_of(printed.folder)
    again = make(printed.folder, material)
    assert [outcome.reused for outcome in again.outcomes] == [True, False, True]
    assert [outcome.error for outcome in again.outcomes] == [outcome.error for outcome in printed.outcomes]
    assert pictures_of(printed.folder) == made_before
    assert (printed.folder / "table.csv").read_bytes() == table

    elsewhere = make(tmp_path, material, notebooks=[])
    assert [outcome.reused for outcome in elsewhere.outcomes] == [False, False]
    assert (tmp_path / "table.csv").read_bytes() == table
    ledgers = [folder / "runs" / "untrained" / "talks" / "ledger.csv" for folder in (printed.folder, tmp_path)]
    assert ledgers[0].read_bytes() == ledgers[1].read_bytes()


def test_another_setting_another_run(material, tmp_path):
    first = make(tmp_path, material, notebooks=[], clips=[material / "talks.mp4"])
    other = make(tmp_path, material, notebooks=[], clips=[material / "talks.mp4"], settings=Settings(dropouts="hold"))
    assert [outcome.reused for outcome in first.outcomes + other.outcomes] == [False, False]
    forced = make(
        tmp_path, material, notebooks=[], clips=[material / "talks.mp4"], settings=Settings(dropouts="hold"), force=True
    )
    assert not forced.outcomes[0].reused
    row = next(csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert (row["filled"], row["passthrough"]) == ("2", "2")
    assert ("video", "runs/untrained/talks/output.mp4") in Addresses(forced.index).links


def test_a_clip_without_sound_wants_a_voice(material, tmp_path):
    clips = [material / "mute.mp4"]
    assert "has no sound" in make(tmp_path, material, clips=clips, voices=None, notebooks=[]).outcomes[0].error
    spoken = make(tmp_path, material, clips=clips, notebooks=[])
    assert spoken.ok
    assert "dubbed with the voice voice" in spoken.index.read_text(encoding="utf-8")


def test_progress_tells_clip_and_stage(material, tmp_path):
    steps = []
    make(tmp_path, material, notebooks=[], progress=lambda *step: steps.append(step))
    assert ("untrained/talks: detect", FRAMES, FRAMES) in steps
    assert ("untrained/talks: generate", FRAMES, FRAMES) in steps
    assert steps[-1] == ("untrained/talks: evaluate", 1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": []}, "no clips"),
        ({"voices": ["a.wav", "b.wav", "c.wav"]}, "3 voices for 2 clips"),
        ({"notebooks": ["nowhere.ipynb"]}, "no such notebook"),
        ({"notebooks": {WALKTHROUGH: {"clip": "x", "size": 1}}}, "no parameter size; its parameters: clip"),
        ({"generators": ["nobody"]}, "nobody is neither a file nor"),
        ({"generators": ["identity", "identity"]}, "two generators of the name identity"),
        ({"generators": []}, "no generators"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(changes, message, material, tmp_path):
    with pytest.raises(LipsyncError, match=message):
        make(tmp_path / "out", material, **changes)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(material, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MediaError, match="cannot be written"):
        make(tmp_path / "file" / "out", material, notebooks=[])


def test_every_generator_dubs_every_clip(material, tmp_path):
    clips = [material / "talks.mp4"]
    made = make(tmp_path, material, clips=clips, generators=["identity", "untrained"], notebooks=[])
    assert made.ok
    rows = table_of(made)
    assert [(row["clip"], row["generator"]) for row in rows] == [("talks", "identity"), ("talks", "untrained")]
    assert int(rows[0]["failures"]) < int(rows[1]["failures"])  # the one gives the face back, the other draws noise
    text = made.index.read_text(encoding="utf-8")
    assert "returns its input" in text
    assert "random weights" in text
    assert text.count("<video") == 3  # the source once
    assert 'src="runs/identity/talks' in text or 'src="pictures/identity/talks/after.mp4"' in text
    assert "<h3>untrained against identity</h3>" in text


def test_a_report_in_the_repository_can_be_moved_with_it(material, tmp_path, monkeypatch):
    runs.code()  # which is told once, from the true package
    for name in ("here", "there"):
        monkeypatch.setattr(lipsync_lab, "__file__", str(tmp_path / name / "lipsync_lab" / "__init__.py"))
        if name == "here":
            (tmp_path / name).mkdir()
            for file in ("talks.mp4", "voice.wav", "boxes.json"):
                (tmp_path / name / file).write_bytes((material / file).read_bytes())
        else:
            (tmp_path / "here").rename(tmp_path / name)
        root = tmp_path / name
        options = {"clips": [root / "talks.mp4"], "voices": [root / "voice.wav"], "detector": root / "boxes.json"}
        made = make(root / "reports" / "one", material, **options, notebooks=[])
        assert made.ok
        assert made.outcomes[0].reused == (name == "there")
        for path in made.folder.rglob("*"):
            if path.suffix in (".json", ".csv", ".html"):
                assert str(tmp_path) not in path.read_text(encoding="utf-8"), path
        info = runs.Run(made.outcomes[0].path).info
        assert info["clip"]["file"] == str((root / "talks.mp4").resolve())


def test_paths_beyond_the_repository_are_whole(tmp_path):
    root = Path(lipsync_lab.__file__).resolve().parents[1]
    assert runs.portable(root / "data" / "a.mp4", root / "reports" / "x" / "runs") == "../../../data/a.mp4"
    assert runs.portable(tmp_path / "a.mp4", root / "reports" / "x") == str((tmp_path / "a.mp4").resolve())
    assert runs.portable(root / "data" / "a.mp4", tmp_path) == str(root / "data" / "a.mp4")


def test_clips_of_the_usual_report_are_eight_pairs_that_are_dubbed_with_another_sentence():
    assert {*reporting.CLIPS, *reporting.VOICES} <= set(samples.names(bundled=True))
    cases = evaluation.cases.read(reporting.CLIPS, reporting.VOICES)
    planned = [evaluation.evaluated.EvaluatedCase(case, None, None, case.voice) for case in cases]
    pairs = evaluation.evaluated.pairs(planned)
    assert len(pairs) == 8
    voice = {case.name: case.voice for case in cases}
    for animation, photo in pairs.values():
        word = samples.get(animation).pair
        assert (samples.get(photo).pair, samples.get(photo).domain) == (word, "synthetic_photo")
        assert voice[animation] == voice[photo] != animation
        assert samples.get(voice[animation]).pair != word
    assert len(set(voice.values())) == 12


@pytest.mark.parametrize(
    ("clips", "voices", "count"),
    [
        (["turning_away", "astronaut_hello", "animation_baker"], ["voice_umbrella"], 0),
        (["animation_hello", "astronaut_hello"], ["voice_umbrella"], 1),
        (["a.mp4", "b.mp4"], [], 1),
        (["a.mp4", "b.mp4"], ["v.wav"], 0),
    ],
)
def test_the_voice_that_clips_are_dubbed_with_makes_no_pair(clips, voices, count):
    domains = ["animation", "live_action"] if "a.mp4" in clips else []
    cases = evaluation.cases.read(clips, voices, domains)
    planned = [evaluation.evaluated.EvaluatedCase(case, None, None, "one sound") for case in cases]
    assert len(evaluation.evaluated.pairs(planned)) == count


def dubbed(name: str, domain: str, sound: str) -> evaluation.evaluated.EvaluatedCase:
    return evaluation.evaluated.EvaluatedCase(evaluation.cases.Case(name, name, name, domain), None, None, sound)


def test_a_notebook_of_one_clip_is_printed_for_the_first_pair():
    clips = [
        dubbed("a", "animation", "1"),
        dubbed("b", "animation", "2"),
        dubbed("c", "synthetic_photo", "2"),
        dubbed("d", "synthetic_photo", "1"),
    ]
    names = [clip.case.name for clip in parts.clips_to_show(clips, "01_pipeline_walkthrough")]
    assert names == ["a", "d"]
    assert [clip.case.name for clip in parts.clips_to_show(clips, "07_explorer")] == ["a"]
    assert [clip.case.name for clip in parts.clips_to_show(clips[:2], "01_pipeline_walkthrough")] == ["a"]
    assert parts.clips_to_show([], "07_explorer") == []


def shot(before: np.ndarray, after: np.ndarray, generated: bool) -> SimpleNamespace:
    box = {"x1": 20.0, "y1": 20.0, "x2": 60.0, "y2": 60.0}
    rows = pd.DataFrame([{"mouth_generated": generated, **box}])
    return SimpleNamespace(pictures=lambda frame: (before, after), run=SimpleNamespace(ledger=lambda: rows))


def test_a_strip_is_source_output_and_difference():
    before = np.full((90, 120, 3), 100, np.uint8)
    after = before.copy()
    after[20:60, 20:60] = 110
    whole = media.comparison(shot(before, after, False), 0)
    third = (whole.shape[1] - 8) // 3
    assert whole.shape[0] == 200
    assert third == round(200 * 120 / 90)
    middle = whole[90, [third // 3, third + 4 + third // 3, 2 * (third + 4) + third // 3], 0].tolist()
    assert middle == [100, 110, AMPLIFY * 10]
    near = media.comparison(shot(before, after, True), 0)
    assert near.shape[1] == 3 * 200 + 8  # a square box, grown by the same on every side
    assert (near[:, -200:, 0] > 20).mean() == pytest.approx((40 / 52) ** 2, abs=0.03)


def test_names_in_a_report_are_apart_and_fit_for_addresses(material, tmp_path):
    (tmp_path / "a b").mkdir()
    clip = tmp_path / "a b" / "Ä?&.mp4"
    clip.write_bytes((material / "talks.mp4").read_bytes())
    made = make(tmp_path / "out", material, clips=[material / "talks.mp4", clip], notebooks=[])
    assert [outcome.name for outcome in made.outcomes] == ["untrained/talks", "untrained/clip"]
    assert made.ok


def test_the_command_hands_on_what_it_is_given(monkeypatch, tmp_path, capsys):
    given = []

    def noted(out, clips, **options):
        given.append((out, clips, options))
        return reporting.Report(tmp_path, (Outcome("clip", "a", tmp_path, None, 0.0, False),))

    monkeypatch.setattr(reporting, "report", noted)
    assert (
        cli.main(["report", "--quiet", "--generators", "identity", "untrained", "--clips", "a", "--voices", "b"]) == 0
    )
    assert cli.main(["report", "--quiet", "--checkpoint_path", "identity", "--detector", "lbp", "--force"]) == 0
    assert [options["generators"] for _, _, options in given] == [["identity", "untrained"], ["identity"]]
    assert [clips for _, clips, _ in given] == [["a"], None]
    assert [options["voices"] for _, _, options in given] == [["b"], None]
    assert [options["detector"] for _, _, options in given] == [None, "lbp"]
    assert [options["force"] for _, _, options in given] == [False, True]
    assert [options["settings"] for _, _, options in given] == [{"": Settings()}, {"": Settings()}]
    assert capsys.readouterr().out.split() == [str(tmp_path / "index.html")] * 2
    assert cli.main(["report", "--generators", "untrained", "nowhere/wav2lip.pth"]) == cli.BAD_INPUT
    assert "weights fetch wav2lip" in capsys.readouterr().err


def test_the_command_hands_on_settings_and_presets(monkeypatch, tmp_path, capsys):
    given = []

    def noted(out, clips, **options):
        given.append(options["settings"])
        return reporting.Report(tmp_path, (Outcome("clip", "a", tmp_path, None, 0.0, False),))

    monkeypatch.setattr(reporting, "report", noted)
    assert (
        cli.main(["report", "--quiet", "--preset", "animation", "--feather", "0.2", "--pads", "1", "2", "3", "4"]) == 0
    )
    assert given.pop() == {"animation": Settings.of({"feather": 0.2, "pads": (1, 2, 3, 4)}, "animation")}
    assert cli.main(["report", "--quiet", "--compare", "default", "reference", "--threshold", "0.7"]) == 0
    assert given.pop() == {
        "default": Settings(threshold=0.7),
        "reference": Settings.of({"threshold": 0.7}, "reference"),
    }
    for wrong in (["--compare", "default"], ["--compare", "default", "default"]):
        assert cli.main(["report", *wrong]) == cli.BAD_INPUT
        assert "two or more different presets" in capsys.readouterr().err
    assert cli.main(["report", "--compare", "default", "reference", "--preset", "animation"]) == cli.BAD_INPUT
    assert "exclude each other" in capsys.readouterr().err
    assert not given


def notebook(path: Path, *cells: str, kernel: dict | None = KERNEL, parameters: str = "number = 1") -> Path:
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    content = new_notebook(cells=[first, *map(new_code_cell, cells)], metadata={"kernelspec": kernel} if kernel else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)
    return path


def outputs(path: Path) -> str:
    cells = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
    return "".join(output.get("text", "") for cell in cells if cell.cell_type == "code" for output in cell.outputs)


def test_failed_notebooks_are_kept_and_the_others_go_on(material, tmp_path):
    books = {
        "1_raises": ("print('before')\n1 / 0", "print('never')"),
        "2_leaves": ("import sys\nsys.exit(0)", "print('never')"),
        "3_interrupted": ("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nhash('x')", "print('never')"),
        "4_dies": ("print('before', flush=True)", "import os\nos._exit(1)", "print('never')"),
        "5_fine": ("print(number, [name[-9:] for name in clips])",),
    }
    first = "number = 1\nclips = []"
    paths = [notebook(tmp_path / f"{name}.ipynb", *cells, parameters=first) for name, cells in books.items()]
    given = {path: {"number": 2} for path in paths}
    made = make(tmp_path / "out", material, notebooks=given, clips=[material / "talks.mp4"])
    errors = {part.name.split("/")[1]: part.error for part in made.outcomes if part.kind == "notebook"}
    assert errors["1_raises"] == "cell [3] ZeroDivisionError: division by zero"
    assert errors["2_leaves"].startswith("cell [3] SystemExit")
    assert errors["3_interrupted"].startswith("cell [3] KeyboardInterrupt")
    assert "died" in errors["4_dies"]
    assert errors["5_fine"] is None
    assert not made.ok
    for outcome in made.outcomes[1:]:
        page = outcome.path.read_text(encoding="utf-8")
        assert outcome.path.is_file()
        assert outcome.path.with_suffix(".ipynb").is_file()
        assert "never" not in outputs(outcome.path)
        assert bool(outcome.error) == ("This notebook was not finished" in page)
    assert "before" in outputs(made.outcomes[1].path)
    assert "ZeroDivisionError" in made.outcomes[1].path.read_text(encoding="utf-8")
    assert "2 ['talks.mp4']" in outputs(made.outcomes[5].path)

    again = make(tmp_path / "out", material, notebooks={paths[0]: {"number": 2}, paths[4]: {"number": 2}})
    assert [outcome.reused for outcome in again.outcomes[2:]] == [False, True]  # a failure is never taken for done


def test_findings_on_the_first_pages_are_those_of_the_functions(printed):
    page, short = (printed.folder.joinpath(name).read_text(encoding="utf-8") for name in ("index.html", "README.md"))
    [clip] = evaluation.evaluated.evaluate_cases(
        evaluation.cases.read(["talks"]), {"talks": runs.Run(printed.folder / "runs" / "untrained" / "talks")}
    )
    text = findings.of_misses(evaluation.evaluated.frames([clip]), evaluation.tables.recorded())
    here, recorded = short.split("## Known from recorded runs, not from these clips")
    lines = text.splitlines()
    assert {line.startswith("- Recorded") for line in lines} == {True, False}
    assert all(line in (recorded if line.startswith("- Recorded") else here).splitlines() for line in lines)
    assert "- Recorded" not in here
    assert "<h3>Missed detections</h3>" in page  # not a link: the notebook was not executed
    assert "the detector missed the face in <strong>4 of 10</strong> frames" in page


def test_the_short_page_says_what_the_page_says_and_leads_to_files(printed):
    short, page = (printed.folder.joinpath(name).read_text(encoding="utf-8") for name in ("README.md", "index.html"))
    addresses = re.findall(r"\]\(([^)]+)\)", short)
    assert len(addresses) >= 7
    assert all((printed.folder / address).is_file() for address in addresses)
    _, gone = table_of(printed)
    assert "| talks | unknown domain | 60% | – | " in short
    assert f"| broken | unknown domain | {findings.plain(gone['error'])} |" in short.splitlines()
    sentences = re.findall(r"<li>(.*?)</li>", page[page.index('id="answer"') : page.index('id="worst"')])
    assert len(sentences) >= 2
    assert [f"- {findings.plain(html.unescape(sentence))}" for sentence in sentences] == [
        line for line in short[: short.index("> **Models.**")].splitlines() if line.startswith("- ")
    ]
    assert "random weights" in short
    assert "1 of 3 parts of this report failed" in short
    assert "&#" not in short  # nothing is escaped for a language that it is not in


def test_the_kernel_is_this_python_in_the_notebooks_own_folder(tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "another Python", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    book = notebook(
        tmp_path / "where {it} is" / "book.ipynb",
        "import os, sys, lipsync_lab\nprint(sys.executable, os.getcwd(), lipsync_lab.__file__, sep='\\n')",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "from tqdm.auto import tqdm\nfrom lipsync_lab import progress\n"
        "with progress.make() as shown:\n    shown('stage', 1, 2)",
    )
    outcome = notebooks.execute(book, tmp_path / "out.ipynb", {})
    assert outcome.error is None
    python, folder, package = outputs(outcome.path).splitlines()
    assert (python, Path(folder)) == (sys.executable, book.parent)
    assert Path(package) == Path(reporting.__file__).parents[1] / "__init__.py"
    assert [tag for tag, _ in Addresses(outcome.path).links] == ["img"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no notebook", "not a notebook"),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "kernel"),
    ],
)
def test_files_that_are_no_notebooks(text, message, tmp_path):
    path = tmp_path / "book.ipynb"
    path.write_text(text)
    if message == "kernel":
        assert notebooks.notebook_parameters(path) == set()
        message = "no parameter number; its parameters: none"
    with pytest.raises(ParameterError, match=message):
        notebooks.notebook_parameters(path, ["number"])


def test_no_notebooks_is_an_error(tmp_path):
    with pytest.raises(ParameterError, match="has no notebook"):
        notebooks.find_notebooks(tmp_path)
    assert WALKTHROUGH in notebooks.find_notebooks()


def test_widgets_and_scripts_do_not_get_onto_paper(tmp_path):
    cell = new_code_cell("x", execution_count=1)
    bundle = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "1", "version_major": 2, "version_minor": 0},
        "application/javascript": "alert(1)",
        "text/plain": "the widget as text",
    }
    cell.outputs = [new_output("display_data", bundle)]
    metadata = {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}}
    nbformat.write(new_notebook(cells=[cell, new_markdown_cell("$x$")], metadata=metadata), tmp_path / "book.ipynb")
    notebooks.to_html(tmp_path / "book.ipynb", tmp_path / "book.html")
    assert "the widget as text" in (tmp_path / "book.html").read_text(encoding="utf-8")
    page = Addresses(tmp_path / "book.html")
    assert (page.scripts, page.links) == (0, [])


def test_pages_of_notebooks_are_light(tmp_path):
    rng = np.random.default_rng(0)
    photograph = cv2.resize(rng.integers(0, 255, (25, 25, 3), np.uint8), (400, 400), interpolation=cv2.INTER_CUBIC)
    chart = np.full((900, 900, 3), 255, np.uint8)
    chart[rng.random((900, 900)) < 0.02] = 0
    small = photograph[:40, :40]
    cell = new_code_cell("x", execution_count=1)
    for image in (photograph, chart, small):
        data = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
        cell.outputs.append(new_output("display_data", {"image/png": data, "text/plain": "a figure"}))
    book = new_notebook(cells=[cell])
    notebooks._compress_pictures(book)
    assert [[kind for kind in output.data if "image" in kind] for output in cell.outputs] == [
        ["image/jpeg"],
        ["image/png"],
        ["image/png"],
    ]
    again = cv2.imdecode(
        np.frombuffer(base64.b64decode(cell.outputs[0].data["image/jpeg"]), np.uint8), cv2.IMREAD_COLOR
    )
    assert np.abs(again.astype(int) - photograph).mean() < 5
    nbformat.write(book, tmp_path / "book.ipynb")
    notebooks.to_html(tmp_path / "book.ipynb", tmp_path / "book.html")
    text = (tmp_path / "book.html").read_text(encoding="utf-8")
    pictures = [value for tag, value in Addresses(tmp_path / "book.html").links if tag == "img"]
    assert [value[5:15] for value in pictures] == ["image/jpeg", "image/png;", "image/png;"]
    assert len(text) - sum(map(len, pictures)) < 20_000


def test_printed_pages_leave_out_what_is_about_keys_and_buttons(tmp_path):
    cells = [new_markdown_cell("Press the space bar.", metadata={"tags": [notebooks.LIVE]}), new_markdown_cell("Rest.")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "book.ipynb")
    notebooks.to_html(tmp_path / "book.ipynb", tmp_path / "book.html")
    text = (tmp_path / "book.html").read_text(encoding="utf-8")
    assert "Rest." in text
    assert "space bar" not in text
    # of the notebook that is printed, nothing else speaks of them
    explorer = nbformat.read(notebooks.NOTEBOOKS / "07_explorer.ipynb", as_version=4)
    printed = [cell.source for cell in explorer.cells if notebooks.LIVE not in cell.metadata.get("tags", [])]
    for words in ("space bar", "wheel", "**Play", "**Evaluate again**", "**Interpolate**", "The list on the right"):
        assert not any(words in source for source in printed), words
        assert any(words in cell.source for cell in explorer.cells), words


def test_code_is_folded_on_pages_except_where_it_failed(tmp_path):
    good, bad = (new_code_cell(source, execution_count=1) for source in ("print(number)", "1 / 0"))
    good.outputs = [new_output("stream", name="stdout", text="3")]
    bad.outputs = [new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    nbformat.write(new_notebook(cells=[good, bad]), tmp_path / "book.ipynb")
    notebooks.to_html(tmp_path / "book.ipynb", tmp_path / "book.html")
    text = (tmp_path / "book.html").read_text(encoding="utf-8")
    first, second = (part.partition("</details>") for part in text.split("<details")[1:])
    assert [" open=" in part[0] for part in (first, second)] == [False, True]
    assert "print" in first[0]
    assert "<summary>Code</summary>" in first[0]
    assert ">3" not in first[0]
    assert "<pre>3" in first[2]


def test_the_code_before_the_answer_is_one_folded_line(tmp_path):
    cells = [new_code_cell(source, execution_count=1) for source in ("number = 3", "import this", "answer()", "draw()")]
    cells[1].outputs = [new_output("display_data", {"text/markdown": "> **Models.** small"})]
    cells[2].outputs = [new_output("display_data", {"text/markdown": "> **Answer.** 3 of 4"})]
    nbformat.write(new_notebook(cells=[*cells[:3], new_markdown_cell("Then."), cells[3]]), tmp_path / "book.ipynb")
    notebooks.to_html(tmp_path / "book.ipynb", tmp_path / "book.html")
    before, _, after = (tmp_path / "book.html").read_text(encoding="utf-8").partition("<strong>Answer.</strong>")
    folded = before[: before.rindex("</details>")]
    assert before.count("<details") == 1
    assert all(word in folded for word in ("number", "this", "answer"))
    assert "<strong>Models.</strong>" in before.rpartition("</details>")[2]
    assert after.count("<details") == 1


def test_what_was_forced_is_used_again(tmp_path, material):
    book = notebook(tmp_path / "book.ipynb", "print(number)")
    options = {"clips": [material / "talks.mp4"], "generators": ["identity"], "notebooks": [book]}
    made = [make(tmp_path / "out", material, **options, force=force) for force in (True, False)]
    assert [[outcome.reused for outcome in each.outcomes] for each in made] == [[False, False], [True, True]]


def test_renewed_notebooks_keep_what_tests_compare(tmp_path):
    book = notebook(
        tmp_path / "book.ipynb", "print('x' * 30_000)", "print('y' * 30_000)", "print('small')", parameters="number = 3"
    )
    content = nbformat.read(book, as_version=4)
    content.cells[2].metadata = {"tags": ["nbval-check-output"], "collapsed": True}
    nbformat.write(content, book)
    notebooks.renew([book])
    kept = nbformat.read(book, as_version=4)
    assert [len(cell.outputs) for cell in kept.cells] == [0, 0, 1, 1]
    assert [cell.execution_count for cell in kept.cells] == [1, 2, 3, 4]
    assert [cell.source for cell in kept.cells] == [cell.source for cell in content.cells]
    assert [dict(cell.metadata) for cell in kept.cells][1:3] == [{}, {"tags": ["nbval-check-output"]}]
    assert kept.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    once = book.read_bytes()
    notebooks.renew([book])
    assert book.read_bytes() == once

    content.cells[1].source = "1 / 0"
    nbformat.write(content, book)
    broken = book.read_bytes()
    with pytest.raises(LipsyncError, match="ZeroDivisionError"):
        notebooks.renew([book])
    assert book.read_bytes() == broken


def ledger(**columns) -> pd.DataFrame:
    return pd.DataFrame({"frame": np.arange(len(next(iter(columns.values())))), **columns})


def test_renewed_notebooks_keep_their_pictures_compressed_and_their_links(tmp_path):
    draw = (
        "import numpy as np\nfrom PIL import Image\n"
        "Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8))"
    )
    book = notebook(tmp_path / "book.ipynb", draw, "print('x' * 30_000)", parameters="number = 3")
    content = nbformat.read(book, as_version=4)
    link = "[A page](../reports/example/notebooks/lab/book.html)"
    content.cells.insert(0, new_markdown_cell(f"# Title\n\n{link}"))
    nbformat.write(content, book)
    notebooks.renew([book])
    kept = nbformat.read(book, as_version=4)
    assert kept.cells[0].source.endswith(link)
    [figure], printed = (cell.outputs for cell in kept.cells[-2:])
    assert printed == []
    assert notebooks.PICTURES & set(figure.data) == {"image/jpeg"}  # noise
    assert len(figure.data["image/jpeg"]) < 250_000


def test_a_figure_without_rows_is_a_sentence(monkeypatch):
    shown, drawn = [], []
    monkeypatch.setattr("IPython.display.display", lambda value: shown.append(value.data))
    for table in (pd.DataFrame({"x": [1]}), pd.DataFrame({"x": []})):
        reporting.draw(lambda table, **options: drawn.append((len(table), options)), table, "No row.", subject="a")
    assert drawn == [(1, {"subject": "a"})]
    assert shown == ["No row."]


def test_metrics_with_the_same_number_of_pairs_are_one_sentence():
    effects = pd.DataFrame({"label": ["a", "b"], "n": [2, 2], "reason": "n = 2: individual values are shown instead"})
    alike = reporting.counts_or(effects).data
    assert alike == "All 2 metrics have n = 2: individual values are shown instead of an interval."
    assert reporting.counts_or(effects.assign(n=[2, 1]))["n"].tolist() == [2, 1]
    assert reporting.counts_or(effects.assign(n=0)).data == "No metric has a pair."


def test_the_frame_to_show_has_a_mouth_where_there_is_one():
    assert reporting.frame_to_show(ledger(mouth_generated=[False, True, False, True, True])) == 3
    assert reporting.frame_to_show(ledger(mouth_generated=[False] * 5)) == 2


def test_every_frame_of_a_run_is_counted_once():
    kinds = ["detected", "copied", "tracked", "recorded", "manual", "interpolated", "held", "missing"]
    info = {"clip": {"fps": "25"}, "frames_written": 8}
    run = SimpleNamespace(ledger=lambda: ledger(provenance=kinds, mouth_generated=[True] * 7 + [False]), info=info)
    counts = frame_summary(run)
    assert (counts["detected"], counts["filled"], counts["passthrough"]) == (5, 2, 1)
    assert sorted(kinds) == sorted(PROVENANCES)


def test_the_box_to_show_says_what_it_is():
    rows = ledger(
        provenance=["held", "missing", "missing", "missing"],
        best_score=[NAN, 0.3, NAN, 0.2],
        best_x1=[NAN, -5.5, NAN, 200],
        best_y1=[NAN, 2.5, NAN, 200],
        best_x2=[NAN, 20.2, NAN, 220],
        best_y2=[NAN, 30.9, NAN, 220],
        **{side: [value, NAN, NAN, NAN] for side, value in zip(("x1", "y1", "x2", "y2"), (1, 2, 11, 22), strict=True)},
    )
    image = np.zeros((40, 60, 3), np.uint8)
    shown = [reporting.box_to_show(rows, frame, image) for frame in range(4)]
    assert [tuple(box) for box, _ in shown] == [(1, 2, 11, 22), (0, 2, 20, 30), (20, 10, 40, 30), (20, 10, 40, 30)]
    assert [words.split(",")[0] for _, words in shown] == [
        "the held face",
        "a rejected candidate",
        "the middle of the frame",
        "the middle of the frame",
    ]
    assert all(isinstance(box, Box) and box.area > 0 for box, _ in shown)


def test_the_banner_says_what_each_kind_of_weights_can_prove(material):
    generators = [model.name for model in registry.MODELS.values() if model.kind == "generator"] + ["mine.pth"]
    detectors = [("s3fd", "s3fd"), ("mine.pth", "s3fd"), ("lbpcascade", "lbp"), ("recorded",) * 2, ("fixed",) * 2]
    notes = {}
    for generator, (name, kind) in product(generators, detectors):
        detector = SimpleNamespace(name=name, identity={"detector": kind})
        pipeline = SimpleNamespace(generator=SimpleNamespace(name=generator), detector=detector)
        notes[generator, name] = evidence_note(pipeline)
    only = "only the published weights can show"
    assert {generator for (generator, _), words in notes.items() if only not in words} == {
        *(model.name for model in registry.MODELS.values() if model.kind == "generator" and model.url),
        "mine.pth",
    }
    assert "the published weights:" in notes["wav2lip_gan", "s3fd"]
    assert "random weights" in notes["untrained", "s3fd"]
    assert "returns its input" in notes["identity", "fixed"]
    assert {name for (_, name), words in notes.items() if "is the published S3FD" in words} == {"s3fd"}
    assert {name for (_, name), words in notes.items() if "not the published S3FD" in words} == {"mine.pth"}

    text = reporting.banner(Pipeline("identity", material / "boxes.json"))
    assert "identity" in text.splitlines()[0]
    assert "recorded" in text.splitlines()[0]
