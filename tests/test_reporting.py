"""Reports: what goes in comes out, failures are kept, nothing leaves the machine, and a second run says the same."""

from __future__ import annotations

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

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lipsync_lab import audio, checkpoints, reporting, samples, video
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.geometry import Box
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

WALKTHROUGH = reporting.NOTEBOOKS / "01_pipeline_walkthrough.ipynb"
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
    soundfile.write(folder / "voice.wav", wave, audio.SAMPLE_RATE)
    boxes = [None if number in (0, 1, 7, 8) else [30, 20, 70, 60] for number in range(FRAMES)]
    (folder / "boxes.json").write_text(json.dumps({"frames": FRAMES, "boxes": boxes}), encoding="utf-8")
    return folder


def make(out: Path, material: Path, **changes) -> reporting.Report:
    options = {
        "clips": [material / "talks.mp4", material / "gone.mp4"],
        "voices": [material / "voice.wav"],
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
        self.found: list[tuple[str, str]] = []
        self.scripts = 0
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.found += [
            (tag, value) for name, value in attributes if name in ("src", "href", "poster", "data", "srcset")
        ]


def test_every_part_is_there_and_only_the_broken_one_failed(printed):
    names = {(one.kind, one.name): one.error for one in printed.outcomes}
    assert list(names) == [("clip", "talks"), ("clip", "gone"), ("notebook", "01_pipeline_walkthrough-talks")]
    assert names["clip", "talks"] is None
    assert names["notebook", "01_pipeline_walkthrough-talks"] is None
    assert "no such file" in names["clip", "gone"]
    assert [one.name for one in printed.failed] == ["gone"]
    assert not printed.ok


def test_the_table_counts_what_was_recorded(printed, material):
    rows = list(csv.DictReader((printed.folder / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == reporting.TABLE
    numbers = {name: rows[0][name] for name in reporting.TABLE[2:]}
    assert numbers == {
        "frames": "10",
        "detected": "6",
        "gap_filled": "0",
        "passed_through": "4",
        "mouths_drawn": "6",
        "seconds": "0.40",
        "frames_written": "10",
        "error": "",
    }
    assert rows[1]["clip"] == "gone"
    assert "no such file" in rows[1]["error"]
    assert rows[1]["frames"] == ""


def test_the_page_shows_the_columns_of_the_table(printed):
    text = printed.index.read_text(encoding="utf-8")
    table = text[text.index("<table>") : text.index("</table>")]
    heads = [words for words in re.findall(r"<th[^>]*>([^<]*)</th>", table) if words != "source, output"]
    assert len(heads) == len(reporting.TABLE)
    assert "missing: passed through" in heads
    rows = list(csv.reader((printed.folder / "table.csv").read_text(encoding="utf-8").splitlines()))[1:]
    shown = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    for row, cells in zip(rows, shown, strict=True):
        assert [html.unescape(re.sub("<[^>]*>", "", cell)) for cell in cells[:1] + cells[2:]] == row
    assert "took" not in table
    manifest = json.loads((printed.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seconds"]["talks"]["generate"] > 0


def test_the_page_leads_to_files_that_are_there(printed):
    page = Addresses(printed.index)
    local = [value for _, value in page.found if not value.startswith("#")]
    assert len(local) >= 10
    for value in local:
        assert (printed.folder / value).is_file(), value
    text = printed.index.read_text(encoding="utf-8")
    assert ("video", "pictures/talks/after.mp4") in page.found  # the run's own output is lossless: no browser plays it
    assert text.count("<video") == 2
    assert 'id="talks"' in text
    assert "random weights" in text
    assert "1 of 3 parts of this report failed" in text
    assert "gone.mp4: no such file" in text


def test_pages_need_no_network(printed):
    for page in [printed.index, *printed.folder.glob("notebooks/*.html")]:
        addresses = Addresses(page)
        assert not [pair for pair in addresses.found if re.match(r"(https?:)?//", pair[1])]
        assert addresses.scripts == (page == printed.index)  # the players' own, inline
        assert not re.search(r"url\(\s*['\"]?https?:|@import", page.read_text(encoding="utf-8"))


def test_the_notebook_shows_every_step_and_agrees_with_the_run(printed):
    path = next(printed.folder.glob("notebooks/*.html"))
    pictures = [value for tag, value in Addresses(path).found if tag == "img"]
    assert [value[:22] for value in pictures] == ["data:image/png;base64,"] * 8
    page = " ".join(path.read_text(encoding="utf-8").split())
    assert "random weights" in page
    assert "%|" not in page  # no progress bars on paper
    # the run is lossless: what the notebook does by hand is what the pipeline did
    assert "a value moved by 0.00 of 255 inside the crop and by 0.00 outside" in page
    assert "The paste changed 0 pixels outside the crop" in page


def test_a_printed_notebook_does_not_tell_where_it_was_made(printed):
    about = nbformat.read(next(printed.folder.glob("notebooks/*.ipynb")), as_version=4).metadata.papermill
    assert about.input_path == WALKTHROUGH.name
    assert about.output_path == "01_pipeline_walkthrough-talks.ipynb"
    root = reporting.NOTEBOOKS.parent
    assert reporting._portable(root / "data" / "samples", reporting.NOTEBOOKS) == "../data/samples"
    assert reporting._portable(printed.folder, reporting.NOTEBOOKS) == str(printed.folder.resolve())
    assert reporting._portable("untrained", reporting.NOTEBOOKS) == "untrained"


def test_source_and_output_play_for_the_same_time(printed):
    folder = printed.folder / "pictures" / "talks"
    before, after = (video.probe(folder / f"{name}.mp4") for name in ("before", "after"))
    assert (before.codec, after.codec) == ("h264", "h264")
    assert before.frames == after.frames == FRAMES
    assert before.has_sound
    assert after.has_sound


def test_the_manifest_names_inputs_models_and_versions(printed, material):
    manifest = json.loads((printed.folder / "manifest.json").read_text(encoding="utf-8"))
    face, speech = (hashlib.sha256((material / name).read_bytes()).hexdigest() for name in ("talks.mp4", "voice.wav"))
    assert manifest["sha256"] == {"talks": {"face": face, "speech": speech}}
    assert manifest["table_sha256"] == hashlib.sha256((printed.folder / "table.csv").read_bytes()).hexdigest()
    assert manifest["generator"]["name"] == "untrained"
    assert manifest["detector"]["sha256"] == hashlib.sha256((material / "boxes.json").read_bytes()).hexdigest()
    assert manifest["settings"]["codec"] == "ffv1"
    assert {"torch", "papermill", "lipsync_lab", "python"} <= set(manifest["versions"])


def test_a_second_report_says_the_same_and_does_nothing_twice(printed, material, tmp_path):
    table = (printed.folder / "table.csv").read_bytes()
    again = make(printed.folder, material)
    assert [one.reused for one in again.outcomes] == [True, False, True]
    assert [one.error for one in again.outcomes] == [one.error for one in printed.outcomes]
    assert (printed.folder / "table.csv").read_bytes() == table

    elsewhere = make(tmp_path, material, notebooks=[])
    assert [one.reused for one in elsewhere.outcomes] == [False, False]
    assert (tmp_path / "table.csv").read_bytes() == table
    ledgers = [folder / "runs" / "talks" / "ledger.csv" for folder in (printed.folder, tmp_path)]
    assert ledgers[0].read_bytes() == ledgers[1].read_bytes()


def test_another_setting_another_run(material, tmp_path):
    first = make(tmp_path, material, notebooks=[], clips=[material / "talks.mp4"])
    other = make(tmp_path, material, notebooks=[], clips=[material / "talks.mp4"], settings=Settings(gap="hold"))
    assert [one.reused for one in first.outcomes + other.outcomes] == [False, False]
    forced = make(
        tmp_path, material, notebooks=[], clips=[material / "talks.mp4"], settings=Settings(gap="hold"), force=True
    )
    assert not forced.outcomes[0].reused
    row = next(csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert (row["gap_filled"], row["passed_through"]) == ("2", "2")
    assert ("video", "runs/talks/output.mp4") in Addresses(forced.index).found


def test_a_clip_without_sound_wants_a_voice(material, tmp_path):
    clips = [material / "mute.mp4"]
    assert "has no sound" in make(tmp_path, material, clips=clips, voices=None, notebooks=[]).outcomes[0].error
    spoken = make(tmp_path, material, clips=clips, notebooks=[])
    assert spoken.ok
    assert "to the voice voice" in spoken.index.read_text(encoding="utf-8")


def test_progress_tells_clip_and_stage(material, tmp_path):
    seen = []
    make(tmp_path, material, notebooks=[], progress=lambda *step: seen.append(step))
    assert ("talks: detect", FRAMES, FRAMES) in seen
    assert seen[-1] == ("talks: draw", FRAMES, FRAMES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": []}, "no clips"),
        ({"voices": ["a.wav", "b.wav", "c.wav"]}, "3 voices for 2 clips"),
        ({"notebooks": ["nowhere.ipynb"]}, "no such notebook"),
        ({"notebooks": {WALKTHROUGH: {"clip": "x", "colour": 1}}}, "no parameter colour; its parameters: clip"),
        ({"generator": "nobody"}, "nobody is neither a file nor"),
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


def test_names_in_a_report_are_apart_and_fit_for_addresses():
    name = samples.names()[0]
    parts = reporting._parts([name, "a b/Ä?&.mp4", "c/talk.mp4", "d/TALK.mp4", ".mp4"], None)
    assert [part.name for part in parts] == [name, "clip", "talk", "TALK-2", "mp4"]
    assert [part.sample is not None for part in parts] == [True, False, False, False, False]
    assert [part.speech for part in parts] == [part.face for part in parts]


def notebook(path: Path, *cells: str, kernel: dict | None = KERNEL, parameters: str = "number = 1") -> Path:
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    content = new_notebook(cells=[first, *map(new_code_cell, cells)], metadata={"kernelspec": kernel} if kernel else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)
    return path


def outputs(path: Path) -> str:
    cells = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
    return "".join(one.get("text", "") for cell in cells if cell.cell_type == "code" for one in cell.outputs)


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
    notebooks = {path: {"number": 2} for path in paths}
    made = make(tmp_path / "out", material, notebooks=notebooks, clips=[material / "talks.mp4"])
    errors = {one.name: one.error for one in made.outcomes if one.kind == "notebook"}
    assert errors["1_raises"] == "cell [3] ZeroDivisionError: division by zero"
    assert errors["2_leaves"].startswith("cell [3] SystemExit")
    assert errors["3_interrupted"].startswith("cell [3] KeyboardInterrupt")
    assert "died" in errors["4_dies"]
    assert errors["5_fine"] is None
    assert not made.ok
    for one in made.outcomes[1:]:
        page = one.path.read_text(encoding="utf-8")
        assert one.path.is_file()
        assert one.path.with_suffix(".ipynb").is_file()
        assert "never" not in outputs(one.path)
        assert bool(one.error) == ("This notebook was not finished" in page)
    assert "before" in outputs(made.outcomes[1].path)
    assert "ZeroDivisionError" in made.outcomes[1].path.read_text(encoding="utf-8")
    assert "2 ['talks.mp4']" in outputs(made.outcomes[5].path)

    again = make(tmp_path / "out", material, notebooks={paths[0]: {"number": 2}, paths[4]: {"number": 2}})
    assert [one.reused for one in again.outcomes[2:]] == [False, True]  # a failure is never taken for done


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
        "from tqdm.auto import tqdm\nfrom lipsync_lab import reporting\n"
        "with reporting.bars() as progress:\n    progress('stage', 1, 2)",
    )
    outcome = reporting.execute(book, tmp_path / "out.ipynb", {})
    assert outcome.error is None
    python, folder, package = outputs(outcome.path).splitlines()
    assert (python, Path(folder)) == (sys.executable, book.parent)
    assert Path(package) == Path(reporting.__file__).parents[1] / "__init__.py"
    assert [tag for tag, _ in Addresses(outcome.path).found] == ["img"]


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
        assert reporting.parameters_of(path) == set()
        message = "no parameter number; its parameters: none"
    with pytest.raises(ParameterError, match=message):
        reporting.parameters_of(path, ["number"])


def test_no_notebooks_is_an_error(tmp_path):
    with pytest.raises(ParameterError, match="holds no notebook"):
        reporting.find(tmp_path)
    assert WALKTHROUGH in reporting.find()


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
    reporting.to_html(tmp_path / "book.ipynb", tmp_path / "book.html")
    assert "the widget as text" in (tmp_path / "book.html").read_text(encoding="utf-8")
    page = Addresses(tmp_path / "book.html")
    assert (page.scripts, page.found) == (0, [])


def test_renewed_notebooks_keep_what_tests_compare(tmp_path):
    book = notebook(
        tmp_path / "book.ipynb", "print('x' * 30_000)", "print('y' * 30_000)", "print('small')", parameters="number = 3"
    )
    content = nbformat.read(book, as_version=4)
    content.cells[2].metadata = {"tags": ["nbval-check-output"], "collapsed": True}
    nbformat.write(content, book)
    reporting.renew([book])
    kept = nbformat.read(book, as_version=4)
    assert [len(cell.outputs) for cell in kept.cells] == [0, 0, 1, 1]
    assert [cell.execution_count for cell in kept.cells] == [1, 2, 3, 4]
    assert [cell.source for cell in kept.cells] == [cell.source for cell in content.cells]
    assert [dict(cell.metadata) for cell in kept.cells][1:3] == [{}, {"tags": ["nbval-check-output"]}]
    assert kept.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    once = book.read_bytes()
    reporting.renew([book])
    assert book.read_bytes() == once

    content.cells[1].source = "1 / 0"
    nbformat.write(content, book)
    broken = book.read_bytes()
    with pytest.raises(LipsyncError, match="ZeroDivisionError"):
        reporting.renew([book])
    assert book.read_bytes() == broken


def ledger(**columns) -> pd.DataFrame:
    return pd.DataFrame({"frame": np.arange(len(next(iter(columns.values())))), **columns})


def test_the_frame_to_show_has_a_mouth_where_there_is_one():
    assert reporting.telling_frame(ledger(mouth_drawn=[False, True, False, True, True])) == 3
    assert reporting.telling_frame(ledger(mouth_drawn=[False] * 5)) == 2


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
        "a refused candidate",
        "the middle of the frame",
        "the middle of the frame",
    ]
    assert all(isinstance(box, Box) and box.area > 0 for box, _ in shown)


def test_the_banner_says_what_each_kind_of_weights_can_prove(material):
    generators = [model.name for model in checkpoints.MODELS.values() if model.kind == "generator"] + ["mine.pth"]
    detectors = [("s3fd", "s3fd"), ("mine.pth", "s3fd"), ("lbpcascade", "lbp"), ("recorded",) * 2, ("fixed",) * 2]
    said = {}
    for generator, (name, kind) in product(generators, detectors):
        finder = SimpleNamespace(name=name, identity={"detector": kind})
        said[generator, name] = reporting.proves(
            SimpleNamespace(weights=SimpleNamespace(name=generator), finder=finder)
        )
    only = "only the published weights can show"
    assert {generator for (generator, _), words in said.items() if only not in words} == {
        *(model.name for model in checkpoints.MODELS.values() if model.kind == "generator" and model.url),
        "mine.pth",
    }
    assert "the published weights:" in said["wav2lip_gan", "s3fd"]
    assert "random weights" in said["untrained", "s3fd"]
    assert "hands its input back" in said["identity", "fixed"]
    assert {name for (_, name), words in said.items() if "is the published S3FD" in words} == {"s3fd"}
    assert {name for (_, name), words in said.items() if "not the published S3FD" in words} == {"mine.pth"}

    text = reporting.banner(Pipeline("identity", material / "boxes.json"))
    assert "identity" in text.splitlines()[0]
    assert "recorded" in text.splitlines()[0]


def test_bars_of_a_terminal(capsys):
    with reporting.bars() as progress:
        progress("detect", 5, 10)
        progress("draw", 1, None)
    said = capsys.readouterr().err
    assert "detect:   0%|          | 0/10" in said
    assert "draw: 0it" in said
