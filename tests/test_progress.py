"""Progress in a terminal, in a log and in a notebook."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace

import pytest

from lipsync_lab import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set."""
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.time))
    return now


def stages(report, clock) -> None:
    """Three stages: one in two steps, one in one, one of which nothing is reported but its end."""
    for step in ("detect", "generate"):
        for done in range(51):
            report(f"talks: {step}", done, 50)
            clock.time += 2
    for done in range(1, 13):
        report("02_missed_detections", done, 12)
        clock.time += 2
    report.finish("02_missed_detections")
    report.finish("03_mouth_artifacts")


def test_a_log_has_one_line_a_stage(clock):
    file = io.StringIO()
    with progress.make(3, file=file) as report:
        stages(report, clock)
    assert file.getvalue().splitlines() == [
        "[1/3] talks 3 min 24 s",
        "[2/3] 02_missed_detections 24 s",
        "[3/3] 03_mouth_artifacts 0 s",
        "3 of 3 done in 3 min 48 s, 0 failed",
    ]
    assert not re.search(r"[\r\x1b]", file.getvalue())


def test_a_log_says_how_long_the_rest_may_take_where_the_work_is_known(clock):
    """Dubs of 10 and 30, notebooks of 20 each: after 20 s for 10 of 80 the rest takes 140 s, then 90 s for 30 of 80."""
    file = io.StringIO()
    with progress.make(4, file=file) as report:
        report.expect({"short": 10.0, "long": 30.0}, 20.0)
        assert report.left() is None
        for stage, seconds in (("short", 20), ("a notebook", 70), ("another", 10), ("long", 60)):
            clock.time += seconds
            report.finish(stage, seconds=seconds)
    assert file.getvalue().splitlines()[:4] == [
        "[1/4] short 20 s, about 2 min 20 s left",
        "[2/4] a notebook 1 min 10 s, about 2 min 30 s left",
        "[3/4] another 10 s, about 1 min 0 s left",
        "[4/4] long 1 min 0 s",
    ]


def test_failed_stages_are_counted(clock):
    file = io.StringIO()
    with progress.make(3, file=file) as report:
        report("a", 1, 2)
        clock.time += 5
        report.finish("a", failed=True)
        report("b", 1, 2)
        report.failed += 1
    assert file.getvalue().splitlines() == [
        "[1/3] a failed after 5 s",
        "[2/3] b 0 s",
        "1 of 3 done in 5 s, 2 failed",
    ]


def test_stages_with_numbers_of_their_own(clock):
    """A task that knows its stages tells their numbers; a stage that says nothing is passed over."""
    log, terminal = io.StringIO(), Terminal()
    with progress.make(file=log) as lines, progress.make(file=terminal) as bar:
        for stage in ("[1/4] a: detect", "[1/4] a: generate", "[2/4] b", "[4/4] b"):
            lines(stage, 3, 7)
            bar(stage, 3, 7)
            clock.time += 5
        bar.failed = lines.failed = 1
    expected = ["[1/4] a 10 s", "[2/4] b 5 s", "[4/4] b 5 s", "3 of 4 done in 20 s, 1 failed"]
    assert log.getvalue().splitlines() == expected
    *pictures, summary = screen(terminal.getvalue())
    assert summary == expected[-1]
    shown = [re.match(r"(.*?): +\d+%.*\| (\d/\d) \[.* (\d/\d)\]", picture) for picture in pictures]
    assert list(dict.fromkeys(picture.groups() for picture in shown if picture)) == [
        ("a: detect", "0/4", "3/7"),
        ("a: generate", "0/4", "3/7"),
        ("b", "1/4", "3/7"),
        ("b", "3/4", "3/7"),
    ]


def test_stages_that_nobody_counted_have_no_number_and_no_summary(clock):
    file = io.StringIO()
    with progress.make(file=file) as report:
        for stage in ("detect", "generate", "detect"):
            report(stage, 1, None)
            clock.time += 3
    assert file.getvalue().splitlines() == ["detect 3 s", "generate 3 s", "detect 3 s"]


def test_an_error_ends_the_log_without_a_summary(clock):
    file = io.StringIO()

    def fails():
        with progress.make(2, file=file) as report:
            report("a", 1, 2)
            report("b", 1, 2)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert file.getvalue().splitlines() == ["[1/2] a 0 s"]


def screen(text: str) -> list[str]:
    """The pictures of a terminal's only line, one after another."""
    assert "\x1b" not in text, "the cursor never leaves its line"
    return [picture.strip() for picture in text.split("\r") if picture.strip()]


def test_a_terminal_has_one_bar_for_all_stages(clock):
    file = Terminal()
    with progress.make(3, file=file) as report:
        stages(report, clock)
    text = file.getvalue()
    assert text.count("\n") == 1, "one line for the bar, and the summary"
    *pictures, summary = screen(text)
    assert summary == "3 of 3 done in 3 min 48 s, 0 failed"
    described = [picture.partition(":  ")[0] for picture in pictures]
    assert list(dict.fromkeys(described[1:])) == ["talks: detect", "talks: generate", "02_missed_detections"]
    assert any("| 0/3 [" in picture and "27/50" in picture for picture in pictures)
    assert any(" 33%|" in picture and "| 1/3 [" in picture and "12/12" in picture for picture in pictures)


def test_a_bar_counts_the_present_stage_where_stages_are_not_counted(clock):
    file = Terminal()
    with progress.make(file=file) as report:
        for stage, total in (("detect", 8), ("generate", 4), ("mux", None)):
            for done in range(1, (total or 3) + 1):
                report(stage, done, total)
                clock.time += 1
    assert "\n" not in file.getvalue()
    pictures = screen(file.getvalue())
    assert any("detect: 100%|" in picture and "| 8/8 [" in picture for picture in pictures)
    assert any("generate:  25%|" in picture and "| 1/4 [" in picture for picture in pictures)
    assert any("mux: 3it" in picture for picture in pictures)


def test_a_bar_is_not_drawn_at_every_step(clock):
    file = Terminal()
    with progress.make(file=file) as report:
        for done in range(1, 10_001):
            report("detect", done, 10_000)
            clock.time += 0.001
    assert 90 < len(screen(file.getvalue())) < 110


@pytest.mark.parametrize("file", [io.StringIO(), Terminal()])
def test_quiet(file, clock, monkeypatch):
    with progress.make(3, quiet=True, file=file) as report:
        stages(report, clock)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with progress.make(3, file=file) as report:
        stages(report, clock)
    assert file.getvalue() == ""


def test_a_notebook_has_a_widget(monkeypatch, clock, capsys):
    from tqdm import notebook

    widgets = []

    class Widget(notebook.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, display=False, **options)
            widgets.append(self)

    monkeypatch.setattr(notebook, "tqdm", Widget)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None)))
    with progress.make(2) as report:
        report("a", 1, 2)
        report("b", 1, 2)
        assert [widget.desc for widget in widgets] == ["b"]
        assert widgets[0].container.children[1].value == 1
    assert capsys.readouterr().err == "2 of 2 done in 0 s, 0 failed\n"


def test_a_console_of_ipython_is_no_notebook(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    with progress.make() as report:
        assert type(report) is progress.Log


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (221, "3 min 41 s"), (3600, "1 h 0 min"), (9000, "2 h 30 min")],
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


def test_a_plan_is_a_line_of_a_log_and_nothing_in_a_bar():
    log, bar = io.StringIO(), io.StringIO()
    progress.Log(3, log).announce("2 dubs, 1 notebook")
    progress.Bar(3, bar).announce("2 dubs, 1 notebook")
    assert (log.getvalue(), bar.getvalue()) == ("2 dubs, 1 notebook\n", "")
