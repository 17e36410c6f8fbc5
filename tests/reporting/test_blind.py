"""The blind comparison: arrangement, the page in a real browser, and the count of its answers."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from browser import chromium
from clips import pictures

from lipsync_lab import cli
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.media import video
from lipsync_lab.reporting import blind

METHODS = ("our cel", "wav2lip-lab")
EVIL = "</script><script>window.ran = 1</script>"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> list[blind.Pair]:
    """Three pairs, each clip with a length of its own."""
    folder, made = tmp_path_factory.mktemp("clips"), []
    for number in range(3):
        clips = []
        for side in range(2):
            path = folder / f"{number}_{side}.mp4"
            video.write_clip(path, pictures(4 + 2 * number + side), 25)
            clips.append(path)
        made.append(blind.Pair(f"clip {number}", tuple(clips)))
    return made


def test_sides_are_balanced_and_neither_page_nor_file_names_tell_the_method(pairs, tmp_path):
    lefts, orders = Counter(), set()
    for seed in range(30):
        page = blind.write_page(tmp_path / str(seed), pairs, METHODS, seed=seed)
        key = json.loads(page.with_name(blind.KEY).read_text())
        left = Counter(trial["left"] for trial in key["trials"])
        assert abs(left[METHODS[0]] - left[METHODS[1]]) == 1
        lefts += left
        orders.add(tuple(trial["pair"] for trial in key["trials"]))
        for number, trial in enumerate(key["trials"], 1):
            for side in ("left", "right"):
                shown = page.with_name(blind.MEDIA) / f"{number:03d}_{side}.mp4"
                clips = pairs[int(trial["pair"][-1])].clips
                assert shown.read_bytes() == clips[METHODS.index(trial[side])].read_bytes()
        text = page.read_text()
        assert not any(word in text for word in (*METHODS, "clip 0"))
    assert 30 < lefts[METHODS[0]] < 60
    assert len(orders) == 6
    again = blind.write_page(tmp_path / "0", pairs, METHODS, seed=0)
    assert again.read_bytes() == (tmp_path / "0" / blind.PAGE).read_bytes()


def test_a_folder_with_answers_is_not_replaced(pairs, tmp_path):
    page = blind.write_page(tmp_path / "study", pairs, METHODS)
    (page.parent / "answers.csv").write_text("kept")
    with pytest.raises(ParameterError, match="another folder"):
        blind.write_page(tmp_path / "study", pairs, METHODS)


def play_both(tab, trial: int) -> None:
    tab.wait_for_selector(f"body[data-trial='{trial}']")
    for digit, side in ("1", "left"), ("2", "right"):
        tab.keyboard.press(digit)
        tab.wait_for_selector(f"#{side}-played:text-is('played')")


def test_the_page_asks_every_pair_and_saves_the_answers(pairs, tmp_path):
    executable = chromium()
    from playwright.sync_api import sync_playwright

    page = blind.write_page(tmp_path / "study", pairs, METHODS, seed=3, question=f"Which? {EVIL}")
    key = json.loads(page.with_name(blind.KEY).read_text())
    chosen = ["left", "right", "right"]
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=executable)
        tab, errors = browser.new_page(viewport={"width": 1280, "height": 900}), []
        tab.on("console", lambda message: errors.append(message.text))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page.as_uri())
        for trial, choice in enumerate(chosen, 1):
            button = tab.locator(f"[data-choice={choice}]")
            tab.wait_for_selector(f"body[data-trial='{trial}']")
            assert button.is_disabled()  # before both clips were played
            play_both(tab, trial)
            for side in ("left", "right"):
                duration = tab.evaluate(f"document.getElementById('{side}').duration")
                number = int(key["trials"][trial - 1]["pair"][-1])
                method = METHODS.index(key["trials"][trial - 1][side])
                assert duration == pytest.approx((4 + 2 * number + method) / 25, abs=0.02)
            if trial == 2:  # the first answer is taken back, and given again
                tab.click("#back")
                play_both(tab, 1)
                tab.keyboard.press("ArrowLeft")
                play_both(tab, 2)
            button.click()
        assert tab.locator("#done").is_visible()
        if picture := os.environ.get("LOOK"):
            tab.click("#back")
            tab.screenshot(path=picture)
            play_both(tab, 3)
            button.click()
        tab.fill("#participant", '=1+1, "Ann"')
        with tab.expect_download() as download:
            tab.click("#save")
        download.value.save_as(tmp_path / "answers.csv")
        assert tab.evaluate("window.ran") is None
        assert errors == []
        browser.close()
    answers = blind.read_answers([tmp_path / "answers.csv"], page.with_name(blind.KEY))
    assert answers["participant"].tolist() == ['1+1, "Ann"'] * 3
    assert answers["preferred"].tolist() == [t[c] for t, c in zip(key["trials"], chosen, strict=True)]
    assert answers["pair"].tolist() == [t["pair"] for t in key["trials"]]
    assert (answers["seconds"] > 0).all()


def written(folder: Path, key: dict, choices: str, who: str = "a") -> Path:
    path = folder / f"{who}.csv"
    rows = [(key["study"], who, trial, {"l": "left", "r": "right"}[c], 2.5) for trial, c in enumerate(choices, 1)]
    pd.DataFrame(rows, columns=list(blind.COLUMNS)).to_csv(path, index=False)
    return path


def test_answers_are_counted_with_an_exact_interval_from_eight_on(pairs, tmp_path, capsys):
    page = blind.write_page(tmp_path / "study", [pairs[n % 3] for n in range(10)], METHODS, seed=1)
    key_file = page.with_name(blind.KEY)
    key = json.loads(key_file.read_text())
    for_cel = "".join("l" if trial["left"] == METHODS[0] else "r" for trial in key["trials"])
    other = {"l": "r", "r": "l"}
    choices = for_cel[:9] + other[for_cel[9]]
    answers = blind.read_answers([written(tmp_path, key, choices)], key_file)
    result = blind.preference(answers, METHODS[0])
    assert (result.preferred, result.answers, result.other) == (9, 10, "wav2lip-lab")
    # Clopper and Pearson: the ends at which 9 or more, and 9 or fewer, of 10 have a probability of 2.5 %
    assert sum(math.comb(10, k) * result.low**k * (1 - result.low) ** (10 - k) for k in (9, 10)) == pytest.approx(0.025)
    assert 1 - result.high**10 == pytest.approx(0.025)
    assert result.p == pytest.approx(2 * 11 / 2**10)
    few = blind.preference(answers.head(7), METHODS[0])
    assert math.isnan(few.low)
    assert few.share == 1.0
    assert cli.main(["blind", "--answers", str(tmp_path / "a.csv"), "--key", str(key_file)]) == 0
    assert (
        "cel was preferred to wav2lip-lab in 9 of 10 answers (90%, exact 95 % interval 55%" in capsys.readouterr().out
    )
    with pytest.raises(ParameterError, match="nobody"):
        blind.preference(answers, "nobody")


def test_what_is_no_answer_is_refused(pairs, tmp_path):
    page = blind.write_page(tmp_path / "study", pairs, METHODS)
    key_file = page.with_name(blind.KEY)
    key = json.loads(key_file.read_text())
    twice = written(tmp_path, key, "lr")
    twice.write_text(twice.read_text().replace(",2,right", ",1,right"))
    strange = written(tmp_path, key, "l", "b")
    strange.write_text(strange.read_text().replace("left", "both"))
    of_another = written(tmp_path, key | {"study": "0"}, "l", "c")
    for path in (twice, strange, of_another, tmp_path / "none.csv"):
        with pytest.raises(MediaError):
            blind.read_answers([path], key_file)


def test_pairs_need_one_source_and_one_voice(pairs, tmp_path):
    def run(name: str, voice: str):
        from lipsync_lab.runs import Run

        folder = tmp_path / name
        folder.mkdir()
        info = {"output": "output.mp4", "clip": {"file": "a/dog.mp4", "sha256": "f"}, "generator": {}, "detector": {}}
        info["voice"] = {"file": "v.wav", "sha256": voice}
        (folder / "run.json").write_text(json.dumps(info))
        (folder / "output.mp4").write_bytes(pairs[0].clips[0].read_bytes())
        return Run(folder)

    first, second, other = run("first", "v"), run("second", "v"), run("other", "w")
    (pair,) = blind.pairs_of_runs([first], [second])
    assert pair == blind.Pair("dog", (first.output, second.output))
    with pytest.raises(ParameterError, match="voice"):
        blind.pairs_of_runs([first], [other])
    with pytest.raises(ParameterError, match="1 runs"):
        blind.pairs_of_runs([first], [second, other])
    command = ["blind", "--first", str(first.folder), "--second", str(second.folder), "--out", str(tmp_path / "ab")]
    assert cli.main([*command, "--methods", "a", "b", "--quiet"]) == 0
    assert (tmp_path / "ab" / blind.PAGE).is_file()
    with pytest.raises(ParameterError, match="different names"):
        blind.write_page(tmp_path / "same", [pair], ("a", "a"))
    with pytest.raises(ParameterError, match="MP4"):
        blind.write_page(tmp_path / "mkv", [blind.Pair("x", (Path(__file__), Path(__file__)))], METHODS)
