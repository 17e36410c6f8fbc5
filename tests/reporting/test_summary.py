"""The first page of a report: what its sentences say, what stands above the fold, and that a real browser agrees."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import chromium
from clips import boxes, pictures

from lipsync_lab import reporting
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import Evaluation, comparison, published
from lipsync_lab.evaluation.cases import Case
from lipsync_lab.evaluation.evaluated import EvaluatedCase
from lipsync_lab.media import audio, video
from lipsync_lab.metrics import registry
from lipsync_lab.reporting import clip_table, media, paired, summary
from lipsync_lab.reporting.outcome import Outcome
from lipsync_lab.reporting.variants import ClipResult, Variant, variants
from lipsync_lab.settings import Settings

FRAMES, BOX = 12, [30, 20, 90, 80]
NAN = float("nan")


# --- sentences and tables of known numbers ---------------------------------------------------------------------------


def variant(name: str = "model", **settings) -> Variant:
    detector, generator = SimpleNamespace(name="boxes"), SimpleNamespace(name=name)
    pipeline = SimpleNamespace(detector=detector, generator=generator, settings=Settings(**settings))
    return Variant(name, name, name, "", pipeline)


def result(clip: str, domain: str, of: Variant, pair: str = "", scores: dict | None = None, **metrics) -> ClipResult:
    """A clip of ten frames whose metrics are constant, or as given."""
    frames = pd.DataFrame({"shot": 0, "missed_detection": 0.0, "false_positives": NAN} | metrics, index=range(10))
    rows = [("syncnet_distance", given, number) for given, number in (scores or {}).items()]
    table = pd.DataFrame(rows, columns=["score", "input", "value"]).assign(covered=1.0, reason="")
    evaluation = Evaluation(frames.rename_axis("frame"), table, pd.DataFrame(), {}, domain or None)
    case = Case(clip, f"{clip}.mp4", f"{clip}.mp4", domain, pair)
    outcome = Outcome("clip", f"{of.name}/{clip}", Path(), None, 0.0, False)
    shots = [{"first": 0, "last": 9, "faces": {"s3fd-lab": 9}, "none": 1}]
    run = SimpleNamespace(info={"decisions": {"shots": shots}})
    return ClipResult(case, of, outcome, EvaluatedCase(case, run, evaluation, clip))


def pairs(count: int, seed: int = 0) -> list[ClipResult]:
    """Matched pairs: animation loses 0.5 more sharpness, live action flickers more, and colours differ by chance."""
    rng, of, out = np.random.default_rng(seed), variant(), []
    for number in range(count):
        for domain, sharp, flicker in (("animation", 0.8, 0.5), ("live_action", 0.3, 2.5)):
            values = {
                "sharpness_loss": sharp + 0.02 * rng.standard_normal(),
                "temporal_flicker": flicker + 0.1 * rng.standard_normal(),
                "colour_shift": 1 + 0.1 * rng.standard_normal(),
            }
            scores = {"dubbed": 0.3, "shuffled_audio": 0.5 if number or domain == "animation" else 0.2}
            out.append(result(f"{domain}_{number}", domain, of, f"p{number}", scores, **values))
    return out


def effects(results: list[ClipResult]) -> pd.DataFrame:
    from lipsync_lab.evaluation.evaluated import frames

    return comparison.matched(frames([each.evaluated for each in results]))


def test_sentences_name_the_worse_domain_with_number_interval_and_n():
    results = pairs(10)
    table = effects(results)
    lines = summary.sentences(results, table)
    assert 3 <= len(lines) <= 5
    row = table.set_index("metric").loc["sharpness_loss"]
    assert lines[0].startswith("Animation is worse than live action in 1 of ")
    assert f"n = 10 matched pairs; 95 % CI; p ≤ {comparison.ALPHA:g}" in lines[0]
    assert f"sharpness loss by {row.difference:.0%} of the sharpness [{row.low:.0%} to {row.high:.0%}]" in lines[0]
    flicker = table.set_index("metric").loc["temporal_flicker"]
    assert (
        f"temporal flicker by {-flicker.difference:.3g} grey levels [{-flicker.high:.3g} to {-flicker.low:.3g}]"
        in lines[1]
    )
    assert "colour shift" not in " ".join(lines[:2])
    assert "no difference is shown" in lines[1]
    assert "is sharpness loss in animation (100 of 100 frames, 10 of 10 clips) and temporal flicker in live" in lines[2]
    assert "0 of 100 frames of animation and 0 of 100 frames of live action." in lines[3]
    assert lines[3].startswith("The detector boxes (s3fd-lab gave the face in 180 of 200 frames) missed the face in ")
    alone = result("alone", "animation", variant(), missed_detection=[1.0] * 3 + [0.0] * 7)
    line = summary.sentences([*results, alone], table)[3]
    assert line.endswith("live action and 3 of 10 frames of clips without a partner (1 of 1 clip).")
    empty = result("empty", "animation", variant(), missed_detection=NAN)
    assert "without a partner" not in summary.sentences([*results, empty], table)[3]
    assert "shuffled with model in 10 of 10 clips of animation and in 9 of 10 clips of live action." in lines[4]


def test_the_sync_of_every_variant_is_given_by_name_and_with_its_limit_on_filmed_speech():
    results = pairs(1)
    for each in results:
        each.evaluated.evaluation.about["sync_expert"] = {"name": "syncnet-lab"}
    cel = result("animation_0", "animation", variant("cel"), scores={"dubbed": 0.6, "shuffled_audio": 0.5})
    line = summary.sentences(results, effects(results), [*results, cel])[-1]
    assert line.endswith(
        "shuffled with model in 1 of 1 clip of animation and in 0 of 1 clip of live action (not reliable on filmed "
        "speech); with cel in 0 of 1 clip of animation."
    )


def test_few_pairs_have_no_interval_and_no_pair_no_comparison():
    results = pairs(3)
    lines = summary.sentences(results, effects(results))
    assert lines[0] == "3 matched pairs are too few for an interval (8 are needed), and the plot shows each."
    row = effects(results).set_index("metric").loc["sharpness_loss"]
    assert f": sharpness loss, {row.animation:.0%} against {row.other:.0%} of the sharpness; " in lines[1]
    assert "[" not in " ".join(lines)
    alone = [each for each in results if each.case.domain == "animation"]
    assert summary.sentences(alone, effects(alone))[0].startswith("The commonest failure")
    apart = [result(f"{domain}_0", domain, variant(), domain) for domain in ("animation", "live_action")]
    assert summary.sentences(apart, effects(apart))[0] == (
        "With 1 clip of animation and 1 clip of live action that are no matched pair, this report cannot say whether "
        "lip-sync fails more on animation than on live action: 8 matched pairs are needed (docs/tutorials/report.md). "
        "Below is what fails in each clip."
    )
    assert summary.question(alone) == "Where does lip-sync fail on animation?"
    assert summary.question(results) == "Where does lip-sync fail on 2D animation, compared with live action?"


def test_a_metric_that_settings_satisfy_is_not_named():
    results = pairs(10)
    table = effects(results)
    table["by_construction"] = table["metric"] == "sharpness_loss"
    assert "sharpness loss by" not in " ".join(summary.sentences(results, table))


def test_the_shown_frame_is_the_worst_of_the_commonest_failure():
    of = variant()
    loss = np.full(10, 0.5)
    loss[7] = 0.9
    few = np.zeros(10)
    few[:2] = 9.0
    results = [
        result("a", "animation", of, sharpness_loss=np.full(10, 0.6), boundary_artifact=few),
        result("b", "animation", of, sharpness_loss=loss, boundary_artifact=few),
    ]
    kind, counts = summary.commonest(results)
    assert (kind.name, counts) == ("sharpness_loss", [(10, 10), (10, 10)])
    clip, frame, caption = summary._worst(results, kind)
    assert (clip.case.name, frame) == ("b", 7)
    assert caption == "sharpness loss, worst single frame: 90% of the sharpness (fails beyond 35%)"
    assert summary._worst(results, kind, True)[2].startswith("sharpness loss of model, worst single frame: 90%")
    fine = [result("c", "animation", of, sharpness_loss=0.0)]
    assert summary.commonest(fine)[0] is None


def test_close_ups_are_cut_to_the_lower_half_of_the_box_and_enlarged():
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, 100:] = 255
    [part] = media.close_ups([image], np.array([50.0, 50.0, 150.0, 150.0]))
    assert part.shape == (420, 420, 3)
    assert part[:, :200].mean() < 5 < 250 < part[:, 220:].mean()  # the middle of the box stays in the middle
    [whole] = media.close_ups([image[:, :100]], np.full(4, np.nan))
    assert whole.shape == (420, 210, 3)


def test_cells_say_their_numbers_and_how_to_sort():
    missed = [1.0, 1.0, *[0.0] * 6, NAN, NAN]
    clip = result("a", "animation", variant(), scores={"dubbed": 0.5, "shuffled_audio": 0.4}, sharpness_loss=0.9)
    clip.evaluated.evaluation.frames["missed_detection"] = missed
    clip.evaluated.evaluation.frames["false_positives"] = [1.0, *[0.0] * 9]
    [row] = clip_table.table_rows([clip])
    cells = row["cells"]
    assert (cells["recall"].text, cells["recall"].bad) == ("75%", True)
    assert (cells["false_positives"].text, float(cells["false_positives"].order)) == ("0.10", 0.1)
    assert (cells["syncnet_distance"].text, cells["syncnet_distance"].bad) == ("0.50", True)  # the control is nearer
    assert (cells["untouched_source"].text, cells["av_offset"].text, cells["av_offset"].order) == ("–", "–", "")
    assert cells["worst"].text == "sharpness loss"
    assert cells["worst"].small == "90% of the sharpness, frame 5, worst of 0 to 9"
    assert {column.name for column in clip_table.columns(True, True)} <= set(cells)
    assert all(column.meaning for column in clip_table.columns(True, True))


@pytest.mark.parametrize(
    ("source", "voice", "bad", "note"),
    [
        (0.3, None, True, ""),
        (0.45, None, False, "the sync expert finds no sync in the source either: it cannot judge this clip"),
        (0.45, "other.wav", True, ""),  # nobody expects a source to be in sync with another's voice
    ],
)
def test_a_distance_is_judged_where_the_source_is_in_sync_with_its_own_voice(source, voice, bad, note):
    scores = {"dubbed": 0.5, "shuffled_audio": 0.4, "untouched_source": source}
    clip = result("a", "animation", variant(), scores=scores, sharpness_loss=0.9)
    clip = replace(clip, case=replace(clip.case, voice=voice or clip.case.voice))
    [row] = clip_table.table_rows([clip])
    assert (row["cells"]["syncnet_distance"].bad, row["cells"]["syncnet_distance"].small) == (bad, note)
    assert row["cells"]["untouched_source"].text == f"{source:.2f}"


@pytest.mark.parametrize(
    ("generated", "text", "small"), [(0, "no mouth generated", ""), (4, "none", "mouths in 4 of 10 frames")]
)
def test_a_clip_without_a_failure_says_how_many_mouths_it_has(generated, text, small):
    clip = result("toon", "animation", variant())
    ledger = pd.DataFrame({"mouth_generated": np.arange(10) < generated})
    clip = replace(clip, evaluated=replace(clip.evaluated, run=SimpleNamespace(ledger=lambda: ledger)))
    [row] = clip_table.table_rows([clip])
    cell = row["cells"]["worst"]
    assert (cell.text, cell.small, cell.bad) == (text, small, not generated)


def test_two_settings_are_compared_clip_by_clip():
    plain, soft = variant("one"), variant("two", feather=0.1)
    rng = np.random.default_rng(0)
    first, second = [], []
    for number in range(9):
        noise = 0.01 * rng.standard_normal(4)
        first.append(
            result(f"c{number}", "animation", plain, sharpness_loss=0.5 + noise[0], boundary_artifact=5.0, ghosting=0.1)
        )
        second.append(
            result(f"c{number}", "animation", soft, sharpness_loss=0.3 + noise[1], boundary_artifact=0.1, ghosting=0.3)
        )
    table = paired.differences(first, second[:8]).set_index("metric")
    assert set(table["n"]) == {8}
    assert table.loc["sharpness_loss", "difference"] == pytest.approx(
        np.mean(
            [
                b.evaluated.evaluation.frames["sharpness_loss"].mean()
                - a.evaluated.evaluation.frames["sharpness_loss"].mean()
                for a, b in zip(first, second[:8], strict=False)
            ]
        )
    )
    assert table.loc["sharpness_loss", ["verdict", "by_construction"]].tolist() == ["better", False]
    assert table.loc["boundary_artifact", ["verdict", "by_construction"]].tolist() == ["better", True]
    assert table.loc["ghosting", "verdict"] == "worse"
    assert table.loc["missed_detection", "verdict"] == ""
    lines = paired.sentence(table.reset_index(), "one", "two")
    assert "two against one is better in 1 (sharpness loss) and worse in 1 (ghosting)" in lines
    assert "n = 8 clips" in lines
    assert "too few" in paired.sentence(paired.differences(first[:3], second[:3]), "one", "two")
    assert paired.in_row((0.06, 0.83), (-0.77,), True) == (["6%", "83%"], ["-77 points"])
    assert paired.in_row((2.28, 0.05), (-2.23, 0.001), False) == (["2.28", "0.05"], ["-2.23", "0.00"])
    assert paired.in_row((0.0, 0.0), (0.0,), True) == (["0%", "0%"], ["0 points"])
    second[0].evaluated.evaluation.frames["ghosting"] = NAN
    fewer = paired.sentence(paired.differences(first, second), "one", "two")
    assert "n = 8 to 9 clips" in fewer
    assert paired.sentence(paired.differences(first[:1], second[1:2]), "one", "two").startswith("No clip")


def test_frames_without_a_mouth_are_counted_over_the_clips_of_both():
    def side(of: str, **mouths: list[bool]) -> list[ClipResult]:
        made = []
        for name, given in mouths.items():
            clip = result(name, "animation", variant(of))
            ledger = pd.DataFrame({"mouth_generated": given})
            run = SimpleNamespace(ledger=lambda ledger=ledger: ledger)
            made.append(replace(clip, evaluated=replace(clip.evaluated, run=run)))
        return made

    first = side("one", a=[True, True, False], b=[True, True, True], c=[True])
    second = side("two", a=[True, False, True], b=[False, False, True])
    assert paired.without_mouth(first, second) == (5, 3)
    assert paired.without_mouth(first, first) == (6, 0)
    assert paired.without_mouth(first, []) == (0, 0)


def test_a_generator_dubs_the_domains_that_it_is_meant_for():
    of = variant()
    of.pipeline.generator = SimpleNamespace(domains=("animation",))
    assert [of.dubs(Case("a", "a", "a", domain)) for domain in ("animation", "live_action", "")] == [True, False, True]
    of.pipeline.generator = SimpleNamespace()
    assert of.dubs(Case("a", "a", "a", "live_action"))


def test_a_preset_brings_its_generator_and_detector_where_none_is_named(tmp_path):
    presets = {"default": Settings(), "animation": Settings.of({}, "animation")}
    first, second = variants((None,), None, presets, tmp_path)
    assert (first.name, second.name) == ("wav2lip-lab-default", "cel-animation")
    assert (first.label, second.label) == ("wav2lip-lab, default", "cel, animation")
    assert first.pipeline.detector is second.pipeline.detector
    both = variants(("identity",), "lbp", presets, tmp_path)
    assert [variant.label for variant in both] == ["default", "animation"]
    assert both[0].pipeline.generator is both[1].pipeline.generator
    with pytest.raises(ParameterError, match="one name in folders"):
        variants(("identity",), "lbp", {"a b": Settings(), "a_b": Settings()}, tmp_path)


def test_differences_are_printed_without_digits_that_say_nothing():
    levels, shares = (clip_table.unit_and_number(metric)[1] for metric in ("colour_shift", "sharpness_loss"))
    assert [levels(number, "+") for number in (-0.00568, 3.07e-6, -1.3234, 0.0, 12.345)] == [
        *("-0.006", "0.000", "-1.32", "0.000", "+12.3")
    ]
    assert [shares(number, "+") for number in (-0.004, 0.0, 0.5, -0.83)] == ["0%", "0%", "+50%", "-83%"]


# --- the page in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> reporting.Report:
    """Two matched pairs, of which one clip has a miss, by two sets of settings."""
    folder = tmp_path_factory.mktemp("a report")
    clips = []
    for name, seed in (("toon_a", 1), ("film_a", 1), ("toon_b", 2), ("film_b", 2)):
        wave = (0.3 * np.random.default_rng(seed).standard_normal(audio.SAMPLE_RATE * FRAMES // 25)).astype(np.float32)
        video.write_clip(folder / f"{name}.mp4", list(pictures(FRAMES)), 25, sound=audio.Sound.from_wave(wave))
        clips.append(folder / f"{name}.mp4")
    recorded = boxes(folder / "boxes.json", [BOX] * FRAMES)
    return reporting.report(
        folder / "out",
        clips,
        domains=["animation", "live_action"] * 2,
        generators=["untrained"],
        detector=recorded,
        settings={"plain": Settings(), "soft edge": Settings(feather=0.2)},
        notebooks=[],
    )


@pytest.fixture
def opened(page):
    executable = chromium()
    from playwright.sync_api import sync_playwright

    assert page.ok, page.failed
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=executable)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        errors, requests = [], []
        tab.on("console", lambda message: errors.append(message.text))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page.index.as_uri())
        yield tab, errors, requests
        browser.close()


def test_the_fold_holds_question_answer_plot_and_a_failure_of_each_domain(opened, page):
    tab, errors, requests = opened
    for part in ("question", "answer", "plot", "worst", "models"):
        assert tab.locator(f"#{part}").bounding_box()["height"] > 0
        bottom = tab.evaluate(f"document.getElementById('{part}').getBoundingClientRect().bottom")
        assert bottom <= 900, part
    images = tab.evaluate("[...document.querySelectorAll('header img')].map(i => [i.naturalWidth, i.clientWidth])")
    assert len(images) == 1 + 2 * 3  # the plot; of each domain the source and both outputs
    assert all(natural > 0 and width >= 150 for natural, width in images)
    worst = tab.locator("#worst").inner_text()
    assert re.search(r"animation: .*, frame \d+ of toon_", worst)
    assert re.search(r"live action: .*, frame \d+ of film_", worst)
    assert "soft edge" in worst
    assert len(requests) > 1
    assert {url.partition(":")[0] for url in requests} == {"file"}
    assert errors == []


def test_published_models_have_a_section_from_bundled_numbers(page):
    text = page.index.read_text(encoding="utf-8")
    assert text.index("<h2>Videos") < text.index('id="published"'), "the clips of the report come first"
    section = text.partition('id="published"')[2].partition("<h2")[0]
    assert f"{len(published.pairs())} outputs that others made with published weights" in section
    for sentence in published.points():
        assert html.escape(sentence, quote=False).replace("'", "&#39;") in section
    images = re.findall(r'<img src="([^"]+)"', section)
    assert len(images) == 2
    assert all((page.folder / image).is_file() for image in images)


def test_a_click_sorts_and_every_column_is_explained(opened):
    tab, errors, _ = opened
    heads = tab.locator("#clips th")
    assert all(heads.nth(place).get_attribute("title") for place in range(heads.count()))
    names = "[...document.querySelectorAll('#clips tbody tr')].map(r => r.cells[1].textContent.trim())"
    assert tab.evaluate(names)[0] == "toon_a"
    for order in (True, False):
        tab.locator("#clips th button", has_text="clip").first.click()
        shown = tab.evaluate(names)
        assert shown == sorted(shown, reverse=order)
        assert len(set(shown)) == 4
    assert tab.locator(".meanings").is_hidden()
    tab.emulate_media(media="print")
    assert tab.locator(".meanings").is_visible()
    assert errors == []


def test_a_failure_seeks_the_videos_and_the_clip_has_a_page(opened):
    tab, errors, requests = opened
    link = tab.locator(".failures a").first
    frame = int(link.get_attribute("data-frame"))
    link.click()
    # the policy of the page forbids what Playwright's own waiting does
    shown = "[...document.querySelector('.player').querySelectorAll('video')].map(v => [v.seeking, v.currentTime * 25])"
    for _ in range(100):
        if all(not seeking and int(at) == frame for seeking, at in tab.evaluate(shown)):
            break
        tab.wait_for_timeout(50)
    assert [int(at) for _, at in tab.evaluate(shown)] == [frame] * 3
    assert tab.locator(".player").first.locator("video").count() == 3
    tab.locator("figcaption a", has_text="Frame by frame").first.click()
    tab.wait_for_selector(".viewer[data-painted]")
    tab.keyboard.press("End")
    tab.wait_for_selector(f".viewer[data-frame='{FRAMES - 1}'][data-painted='{FRAMES - 1}']")
    assert {url.partition(":")[0] for url in requests} == {"file"}
    assert errors == []


def test_settings_are_side_by_side_in_table_and_files(page):
    table = pd.read_csv(page.folder / "table.csv", keep_default_na=False)
    assert table[["generator", "settings"]].drop_duplicates().to_numpy().tolist() == [
        ["untrained", "plain"],
        ["untrained", "soft edge"],
    ]
    assert (page.folder / "runs" / "untrained-soft_edge" / "toon_a").is_dir()
    text = page.index.read_text(encoding="utf-8")
    assert "<h3>soft edge against plain</h3>" in text
    boundary = re.search(r"<td class=\"words\">boundary artifact</td>.*?</tr>", text, re.DOTALL).group()
    assert "by construction" in boundary
    assert registry.label("boundary_artifact") == "boundary artifact"
    # detections are shared by the settings
    assert len(list((page.folder / "detections").rglob("*.json"))) <= 4
