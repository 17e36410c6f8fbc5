"""What reports are made of: clips tables and domains, parts that fail, moved folders, and hostile text in files."""

from __future__ import annotations

import base64
import csv
import errno
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from clips import boxes, pictures
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lipsync_lab import cli, evaluation, reporting, runs, samples
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.evaluation import cases as clips_tables
from lipsync_lab.evaluation.findings import plain
from lipsync_lab.media import audio, video
from lipsync_lab.progress import Log
from lipsync_lab.reporting import build, estimate, parts, safe

FRAMES = 12
BOX = [30, 20, 90, 80]
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def talking(path: Path, seed: int, **options) -> Path:
    """A short clip whose sound is noise of its own."""
    wave = (0.3 * np.random.default_rng(seed).standard_normal(audio.SAMPLE_RATE * FRAMES // 25)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_clip(path, list(pictures(FRAMES)), 25, sound=audio.Sound.from_wave(wave), **options)
    return path


def make(out: Path, clips, detector: Path, **changes) -> reporting.Report:
    options = {"generators": ["untrained"], "detector": detector, "notebooks": []}
    return reporting.report(out, clips, **(options | changes))


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Path:
    """Four clips: two sentences, each in animation and in live action; and boxes that suit all."""
    folder = tmp_path_factory.mktemp("four")
    for name, seed in (("toon_a", 1), ("film_a", 1), ("toon_b", 2), ("film_b", 2)):
        talking(folder / f"{name}.mp4", seed)
    boxes(folder / "boxes.json", [BOX] * FRAMES)
    return folder


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def state(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- clips tables and domains ----------------------------------------------------------------------------------------


def test_a_report_on_own_clips_with_a_table_finds_its_pairs_and_a_typo_leaves_it_untouched(four, tmp_path, capsys):
    listed = table(
        four / "clips.csv",
        "clip,domain,voice,pair,shot_type",
        "toon_a.mp4,animation,film_b.mp4,greeting,close-up",  # by their voices alone these two would be no pair
        "film_a.mp4,live_action,,greeting,",
        "toon_b.mp4,animation,,,wide",
        "film_b.mp4,live_action,,,",
    )
    made = make(tmp_path / "out", listed, four / "boxes.json")
    assert made.ok, made.failed
    page, short = ((made.folder / name).read_text(encoding="utf-8") for name in ("index.html", "README.md"))
    assert "2 matched pairs are too few for an interval" in page
    assert "compared with live action?" in page
    assert "<dt>shot type</dt><dd>close-up</dd>" in page
    assert "| toon_b | animation | 100% |" in short
    with (made.folder / "table.csv").open(newline="", encoding="utf-8") as lines:
        assert [row["domain"] for row in csv.DictReader(lines)] == ["animation", "live_action"] * 2
    again = clips_tables.read_table(made.folder / "clips.csv")
    assert [(case.name, case.domain, case.pair, case.about) for case in again] == [
        ("toon_a", "animation", "greeting", {"shot_type": "close-up"}),
        ("film_a", "live_action", "greeting", {}),
        ("toon_b", "animation", "", {"shot_type": "wide"}),
        ("film_b", "live_action", "", {}),
    ]
    assert (made.folder / "clips.csv").read_text(encoding="utf-8").count("film_b.mp4") == 2  # own sound: an empty field
    assert [Path(case.voice).name for case in again] == ["film_b.mp4", "film_a.mp4", "toon_b.mp4", "film_b.mp4"]

    before = state(made.folder)
    for wrong in (["--clips", "tpyo"], ["--clips", str(four / "toon_a.mp4"), "--voices", "no.wav"]):
        assert cli.main(["report", "--quiet", "--out", str(made.folder), *wrong]) == cli.BAD_INPUT
        assert "no such file, and no sample of that name" in capsys.readouterr().err
    assert state(made.folder) == before


def test_flags_say_the_domains_and_equal_voices_make_the_pairs(four, monkeypatch, capsys):
    given = {}

    def noted(out, clips, **options):
        given.update(clips=clips, domains=options["domains"])
        return reporting.Report(Path(out), ())

    monkeypatch.setattr(reporting, "report", noted)
    names = [str(four / f"{name}.mp4") for name in ("toon_a", "toon_b", "film_a")]
    flags = ["--clips", "nobody_there", "--animation", *names[:2], "--live", names[2]]
    assert cli.main(["report", "--quiet", *flags]) == 0
    assert given["domains"] == ["", "animation", "animation", "live_action"]
    cases = evaluation.cases.read(given["clips"], (), given["domains"])
    assert [case.domain for case in cases] == ["animation", "animation", "animation", "live_action"]
    planned = [
        evaluation.evaluated.EvaluatedCase(case, None, None, evaluation.evaluated.sound_of(case.voice))
        for case in cases[1:]
    ]
    assert list(evaluation.evaluated.pairs(planned).values()) == [("toon_a", "film_a")]
    assert cli.main(["report", "--quiet"]) == 0
    assert given["domains"] is None
    capsys.readouterr()


def test_animation_is_compared_with_live_action_where_there_is_any():
    assert evaluation.evaluated.counterpart(["animation", "synthetic_photo"]) == "synthetic_photo"
    assert evaluation.evaluated.counterpart(["synthetic_photo", "live_action", "animation"]) == "live_action"
    clips = [
        evaluation.evaluated.EvaluatedCase(clips_tables.Case(name, name, name, domain), None, None, "one sound")
        for name, domain in (("p", "synthetic_photo"), ("a", "animation"), ("f", "live_action"), ("x", ""))
    ]
    assert list(evaluation.evaluated.pairs(clips).values()) == [("a", "f")]


def test_samples_in_a_table_have_the_domain_of_the_manifest(tmp_path):
    listed = table(tmp_path / "clips.csv", "clip, domain, name", "animation_hello,,first", "astronaut_hello,,")
    cases = clips_tables.read(str(listed))
    assert [(case.name, case.domain) for case in cases] == [
        ("first", "animation"),
        ("astronaut_hello", "synthetic_photo"),
    ]
    former = table(tmp_path / "former.csv", "clip,domain", "animation_hello,drawn")
    with pytest.warns(DeprecationWarning, match="is now animation"):
        assert clips_tables.read([former])[0].domain == "animation"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["file,domain", "a.mp4,animation"], "no column clip; its columns are file, domain"),
        (["clip,domain"], "no rows"),
        (["clip,domain", "toon_a.mp4,cartoon"], r"line 2 \(toon_a.mp4\): unknown domain 'cartoon'; the domains are"),
        (["clip,domain", "toon_a.mp4,voice"], "unknown domain 'voice'"),
        (["clip,domain", ",animation"], "line 2: the column clip is empty"),
        (["clip,domain", "toon_a.mp4,animation,extra"], "line 2: has 2 columns in the header"),
        (["clip,voice", "toon_a.mp4,gone.wav"], "line 2: the voice gone.wav is not a file in"),
        (["clip", "toon_a.mp4", "gone.mp4"], "line 3: the clip gone.mp4 is not a file in"),
        (["clip,domain,pair", "toon_a.mp4,animation,p"], r"pair 'p': has toon_a \(animation\); a matched pair is"),
        (["clip,domain,pair", "toon_a.mp4,animation,p", "toon_b.mp4,animation,p"], "pair 'p': has toon_a"),
        (["clip,domain,pair", "toon_a.mp4,animation,p", "film_b.mp4,,p"], r"film_b \(no domain\)"),
    ],
)
def test_a_table_that_is_not_valid_is_refused_with_its_line(four, tmp_path, rows, message):
    listed = table(four / "wrong.csv", *rows)
    with pytest.raises(LipsyncError, match=message):
        make(tmp_path / "out", listed, four / "boxes.json")
    assert not (tmp_path / "out").exists()


def test_a_table_stands_alone_and_must_be_there(four, tmp_path):
    listed = table(tmp_path / "clips.csv", "clip", "animation_hello")
    with pytest.raises(ParameterError, match="a clips table alone"):
        clips_tables.read([listed, "animation_hello"])
    with pytest.raises(ParameterError, match="a clips table alone"):
        clips_tables.read(listed, domains=["animation"])
    with pytest.raises(MediaError, match="clips table cannot be read"):
        clips_tables.read(tmp_path / "gone.csv")
    with pytest.raises(ParameterError, match="2 domains for 1 clips"):
        clips_tables.read(["animation_hello"], domains=["animation", ""])


# --- parts that fail -------------------------------------------------------------------------------------------------


def test_a_full_disk_or_memory_ends_one_part_and_not_the_report(four, tmp_path, monkeypatch, capsys):
    real = parts.render_pictures

    def render(clip, folder):
        if clip.case.name == "toon_a":
            raise OSError(errno.ENOSPC, "No space left on device")
        if clip.case.name == "film_a":
            raise MemoryError
        real(clip, folder)

    monkeypatch.setattr(parts, "render_pictures", render)
    clips = [four / f"{name}.mp4" for name in ("toon_a", "film_a", "toon_b")]
    made = make(tmp_path / "out", clips, four / "boxes.json")
    assert [outcome.error for outcome in made.outcomes] == [
        "OSError: [Errno 28] No space left on device",
        "MemoryError",
        None,
    ]
    page = made.index.read_text(encoding="utf-8")
    assert "2 of 3 parts of this report failed" in page
    assert page.count("No space left on device") >= 2

    # only such clips: the report exits with an error and leaves the pages as they are
    before = state(made.folder)
    monkeypatch.setattr(build, "of_a_report", list)
    flags = ["--generators", "untrained", "--detector", str(four / "boxes.json")]
    command = ["report", "--quiet", "--out", str(made.folder), *flags]
    assert cli.main([*command, "--clips", *map(str, clips[:2])]) == 1
    printed = capsys.readouterr()
    assert "clip untrained/film_a failed: MemoryError" in printed.err
    assert "no page was written" in printed.err
    assert printed.out == ""
    assert {path: text for path, text in state(made.folder).items() if path.parent == made.folder} == {
        path: text for path, text in before.items() if path.parent == made.folder
    }

    monkeypatch.setattr(parts, "render_pictures", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", clips, four / "boxes.json")


def test_stages_are_counted_in_advance_and_a_summary_follows(four, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no clip")
    lines = io.StringIO()
    with Log(None, lines) as progress:
        make(tmp_path / "out", [four / "toon_a.mp4", broken], four / "boxes.json", progress=progress)
    plan, *log = lines.getvalue().splitlines()
    # 12 frames of 25 a second, and a file whose length is not known
    assert plan == (
        "2 dubs, 0 notebooks: a line when each is finished; about 1 s by an estimate for two cores and the bundled "
        "models, where nothing is there yet"
    )
    assert re.fullmatch(r"\[1/2\] untrained/toon_a \d+ s, about 0 s left", log[0])
    assert re.fullmatch(r"\[2/2\] untrained/broken failed after \d+ s", log[1])
    assert log[2].startswith("1 of 2 done in ")
    assert log[2].endswith(", 1 failed")
    assert len(log) == 3


def test_the_estimate_is_of_the_length_of_the_voices_and_of_what_works_at_once(four):
    cases = clips_tables.read([four / "toon_a.mp4", four / "film_a.mp4"], [samples.path("voice_umbrella")] * 2, ())
    both = [SimpleNamespace(model=model, cases=cases) for model in ("wav2lip-lab", "cel")]
    work = estimate.of_dubs(both)
    assert list(work) == ["wav2lip-lab/toon_a", "wav2lip-lab/film_a", "cel/toon_a", "cel/film_a"]
    seconds = audio.load(samples.path("voice_umbrella")).size / audio.SAMPLE_RATE
    assert list(work.values()) == pytest.approx([estimate.DUB * seconds] * 4, rel=0.01)
    dubs = sum(work.values())
    assert estimate.whole(work, 0, 4) == pytest.approx(dubs), "clips are dubbed one after the other"
    assert estimate.whole(work, 8, 1) == pytest.approx(dubs + 8 * estimate.NOTEBOOK)
    assert estimate.whole(work, 8, 2) == pytest.approx((dubs + 8 * estimate.NOTEBOOK) / 2)


def test_the_number_of_stages_is_that_of_clips_and_executions():
    books = [
        parts.Notebook(Path(name), {}, {kind})
        for name, kind in (("01", "clip"), ("02", "clips"), ("07_explorer", "clip"))
    ]
    assert parts.stage_count(4, books, pair=True) == 4 + 2 + 1 + 1
    assert parts.stage_count(4, books, pair=False) == 4 + 1 + 1 + 1
    assert parts.stage_count(0, books, pair=False) == 0


def test_a_notebook_and_a_list_of_findings_fail_alone(four, tmp_path, monkeypatch):
    book = tmp_path / "book.ipynb"
    cells = [new_code_cell("clips = []", metadata={"tags": ["parameters"]})]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), book)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parts, "execute", full)
    monkeypatch.setattr(parts.findings, "of_misses", full)
    made = make(tmp_path / "out", [four / "toon_a.mp4"], four / "boxes.json", notebooks=[book])
    assert [(outcome.kind, outcome.error is None) for outcome in made.outcomes] == [
        ("clip", True),
        ("notebook", False),
        ("findings", False),
    ]
    assert not made.ok
    page = made.index.read_text(encoding="utf-8")
    assert page.count("OSError: [Errno 28] No space left on device") == 3


# --- moved reports ---------------------------------------------------------------------------------------------------


def test_a_report_that_was_moved_with_its_clips_is_used_again(four, tmp_path):
    shutil.copytree(four, tmp_path / "here")
    first = make(tmp_path / "here" / "out", [tmp_path / "here" / "toon_a.mp4"], four / "boxes.json")
    assert first.ok
    (tmp_path / "here").rename(tmp_path / "there")
    moved = make(tmp_path / "there" / "out", [tmp_path / "there" / "toon_a.mp4"], four / "boxes.json")
    assert [(outcome.error, outcome.reused) for outcome in moved.outcomes] == [(None, True)]
    info = runs.Run(moved.outcomes[0].path).info
    assert info["clip"]["file"] == str((tmp_path / "there" / "toon_a.mp4").resolve())


def broken_link(run: Path) -> None:
    """As a copy elsewhere leaves a run in the repository: with a relative path to nothing."""
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for side in ("clip", "voice"):
        content[side]["file"] = "../../../nowhere/tiny.mp4"
    (run / "run.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_sample_is_found_by_its_hash_and_another_clip_is_asked_for(four, tmp_path, monkeypatch):
    file = tmp_path / "cache" / "tiny.mp4"
    file.parent.mkdir()
    shutil.copyfile(four / "toon_a.mp4", file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    row = {name: getattr(samples.get("steamboat"), name) for name in samples.Sample.__dataclass_fields__}
    tiny = samples.Sample(**row | {"name": "tiny", "file": "tiny.mp4", "sha256": sha256})
    monkeypatch.setenv("LIPSYNC_LAB_CACHE", str(file.parent))
    monkeypatch.setitem(samples.SAMPLES, "tiny", tiny)
    made = make(tmp_path / "out", ["tiny"], four / "boxes.json")
    assert made.ok
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    run = tmp_path / "copy" / "runs" / "untrained" / "tiny"
    broken_link(run)
    assert runs.Run(run).info["clip"]["file"] == str(file)
    again = make(tmp_path / "copy", ["tiny"], four / "boxes.json")
    assert [(outcome.error, outcome.reused) for outcome in again.outcomes] == [(None, True)]

    monkeypatch.delitem(samples.SAMPLES, "tiny")
    [case] = clips_tables.read([file])
    broken_link(run)
    with pytest.raises(MediaError, match="tiny: the clip of its run is not at .*; give its present place with --clips"):
        evaluation.evaluated.evaluate_cases([case], {"tiny": runs.Run(run)})


# --- hostile text ----------------------------------------------------------------------------------------------------

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
LINK = "[click](javascript:alert(3))"
EVIL = f"{SCRIPT}{IMAGE}{LINK}"


class Dangers(HTMLParser):
    """What of a page would run."""

    def __init__(self, text: str):
        super().__init__()
        self.risks: list[str] = []
        self.scripts = 0
        self.policy = ""
        self.inline: str | None = None
        self.feed(text)

    def handle_data(self, data):
        if self.inline is not None:
            self.inline += data

    def handle_endtag(self, tag):
        if tag == "script" and self.inline is not None:
            digest = base64.b64encode(hashlib.sha256(self.inline.encode()).digest()).decode()
            if f"'sha256-{digest}'" not in self.policy:
                self.risks.append(f"a script that the policy does not name: {self.inline[:40]}")
            self.inline = None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "script" and given.get("type") != "application/json":
            self.scripts += 1
            self.inline = ""
        for name, value in attributes:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.risks.append(f"{tag} {name}={value}")


def dangers(folder: Path) -> list[str]:
    """Planted text that is HTML, or a link that runs something, in any page, Markdown file or notebook of a report."""
    problems = []
    for path in folder.rglob("*"):
        if path.suffix == ".html":
            page = Dangers(path.read_text(encoding="utf-8"))
            problems += [f"{path.name}: {risk}" for risk in page.risks]
            if "default-src 'none'" not in page.policy:
                problems.append(f"{path.name}: no Content-Security-Policy")
            expected = 2 if path.name == "index.html" else int("clips" in path.parts)
            if page.scripts != expected:
                problems.append(f"{path.name}: {page.scripts} scripts")
        texts = [path.read_text(encoding="utf-8")] if path.suffix == ".md" else []
        if path.suffix == ".ipynb":
            for cell in nbformat.read(path, as_version=4).cells:
                texts += [cell.source] if cell.cell_type == "markdown" else []
                for output in cell.get("outputs", []):
                    texts += [output.get("data", {}).get(kind, "") for kind in ("text/html", "text/markdown")]
        marks = ("<script>alert", "<img src=x", "[click](")
        problems += [f"{path.name}: {mark}" for text in texts for mark in marks if mark in text]
    return problems


def test_the_search_for_dangers_finds_what_is_planted(tmp_path):
    (tmp_path / "page.html").write_text(EVIL, encoding="utf-8")
    (tmp_path / "README.md").write_text(f"# {EVIL}", encoding="utf-8")
    nbformat.write(new_notebook(cells=[new_markdown_cell(EVIL)]), tmp_path / "book.ipynb")
    assert len(dangers(tmp_path)) == 4 + 3 + 3


def planted(content, keep: tuple[str, ...]):
    """The same JSON with the script in every string, except under keys whose values the program acts on."""
    if isinstance(content, dict):
        return {key: value if key in keep else planted(value, keep) for key, value in content.items()}
    if isinstance(content, list):
        return [planted(value, keep) for value in content]
    return content + EVIL if isinstance(content, str) else content


@pytest.fixture
def hostile(tmp_path) -> dict[str, Path]:
    """Inputs with a script in every string of every file, and in the names of the files."""
    folder = tmp_path / "inputs"
    toon = talking(folder / f"toon {IMAGE}.mp4", 1, tags={"title": EVIL, "artist": EVIL, "comment": EVIL})
    film = talking(folder / f"film {IMAGE}.mp4", 1)
    shutil.copyfile(film, folder / f"voice {IMAGE}.mp4")
    truth = pd.read_csv(samples.path("animation_hello").with_suffix(".truth.csv")).head(FRAMES)
    truth[["shape", "phoneme", "pose"]] = EVIL
    truth.to_csv(toon.with_suffix(".truth.csv"), index=False)
    detector = boxes(
        folder / f"boxes {IMAGE}.json",
        [None if number in (3, 4) else BOX for number in range(FRAMES)],
        detector={"name": EVIL, "detector": EVIL, "origin": {"name": EVIL}, EVIL: EVIL},
        clip={"file": EVIL, "sha256": EVIL},
    )
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["clip", "domain", "voice", "pair", "name", "shot_type", EVIL])
        writer.writerow([toon.name, "animation", f"voice {IMAGE}.mp4", EVIL, EVIL, EVIL, EVIL])
        writer.writerow([film.name, "live_action", "", EVIL, "", EVIL, EVIL])
    return {"table": folder / "clips.csv", "detector": detector}


def test_text_from_files_never_runs_in_a_page(hostile, tmp_path):
    book = tmp_path / "book.ipynb"
    cells = [
        new_code_cell(
            "clips = []\nvoices = []\ngenerator = None\ndetector = None\nsettings = {}\nruns = ''",
            metadata={"tags": ["parameters"]},
        ),
        new_code_cell(
            "from IPython.display import HTML, Markdown, display\n"
            "from lipsync_lab import evaluation, reporting\n"
            "pipeline = evaluation.evaluated.pipeline_of(generator, detector, settings)\n"
            "cases = evaluation.cases.read(clips, voices)\n"
            "evaluated = reporting.dub_and_evaluate(pipeline, cases, runs)\n"
            "display(Markdown(reporting.banner(pipeline)))\n"
            "display(evaluation.tables.overview(evaluated), evaluation.tables.provenance(evaluated))\n"
            "display(evaluation.evaluated.frames(evaluated))\n"
            "display(Markdown(evaluation.findings.of_mouths(evaluated)))\n"
            "display(Markdown(evaluation.findings.of_timing(evaluated)))"
        ),
    ]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), book)
    out = tmp_path / "out"
    made = make(out, hostile["table"], hostile["detector"], notebooks=[book])
    assert made.ok, made.failed
    assert dangers(out) == []
    page = made.index.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page  # it is shown, and does nothing

    # what runs and evaluations are read from: a hand can have been at it
    keep = ("file", "sha256", "fps", "output", "settings", "schema")
    for path in (out / "runs").rglob("run.json"):
        path.write_text(json.dumps(planted(json.loads(path.read_text(encoding="utf-8")), keep)), encoding="utf-8")
    for path in [*(out / "runs").rglob("failures.csv"), *(out / "runs").rglob("scores.csv")]:
        content = pd.read_csv(path)
        for column in content.columns[content.dtypes.map(pd.api.types.is_string_dtype)]:
            content[column] = content[column].astype(str) + EVIL
        content.to_csv(path, index=False)
    make(out, hostile["table"], hostile["detector"], notebooks=[book])
    assert dangers(out) == []
    ledger = next((out / "runs").rglob("ledger.csv"))
    content = pd.read_csv(ledger)
    content["provenance"] = EVIL
    content.to_csv(ledger, index=False)
    for path in (out / "runs").rglob("request.json"):
        if path.parent != ledger.parent:
            path.write_text(json.dumps(planted(json.loads(path.read_text(encoding="utf-8")), ())), encoding="utf-8")
    make(out, hostile["table"], hostile["detector"])
    assert dangers(out) == []


def test_widgets_show_text_from_files_and_do_not_run_it(hostile, tmp_path):
    import ipywidgets

    from lipsync_lab.explorer import Explorer

    made = make(tmp_path / "out", hostile["table"], hostile["detector"])
    widgets = []
    ipywidgets.Widget.on_widget_constructed(widgets.append)
    try:
        Explorer(made.outcomes[0].path)
    finally:
        ipywidgets.Widget.on_widget_constructed(None)
    values = [widget.value for widget in widgets if isinstance(widget, ipywidgets.HTML)]
    assert values
    for value in values:
        page = Dangers(value)
        assert (page.risks, page.scripts) == ([], 0), value


def test_clean_keeps_an_embedded_video_and_nothing_that_it_loads():
    embedded = '<video controls width="9" src="data:video/mp4;base64,AAAA"></video>'
    assert safe.clean(embedded) == embedded
    loaded = '<video src="http://example.com/a.mp4" poster="javascript:x" onplay="x()"></video>'
    assert safe.clean(loaded) == "<video></video>"
    assert safe.clean('<video src="data:text/html;base64,AA"></video>') == "<video></video>"


def test_clean_keeps_tables_and_figures():
    frame = pd.DataFrame({"a": [1.5], SCRIPT: [IMAGE]}, index=["x"])
    html = safe.clean(frame.to_html())
    assert "<table" in html
    assert "<td>1.5</td>" in html
    assert "<style" not in safe.clean(frame._repr_html_())
    assert "tbody" in safe.clean(frame._repr_html_())
    picture = '<img src="data:image/png;base64,AAAA" alt="a figure">'
    assert safe.clean(picture) == picture
    assert 'href="05.html"' in safe.clean('<a href="05.html">see</a>')
    for text in (
        SCRIPT,
        IMAGE,
        '<a href="javascript:alert(3)">x</a>',
        '<a href="data:text/html,x">x</a>',
        "<svg/onload=1>",
    ):
        page = Dangers(safe.clean(text))
        assert (page.risks, page.scripts) == ([], 0)
        assert "data:text" not in safe.clean(text)


def test_plain_text_is_shown_as_it_is():
    from nbconvert.filters import markdown2html

    shown = markdown2html(plain(f"{EVIL} a*b* `c` | d\nnext"))
    page = Dangers(shown)
    assert (page.risks, page.scripts) == ([], 0)
    assert "<em>" not in shown
    assert "a*b* `c` | d next" in shown
