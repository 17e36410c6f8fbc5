"""The pages of `evaluate` in a real browser: what they show is what was measured, and nothing planted runs."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import chromium
from clips import boxes, number, pictures, read
from PIL import Image

from lipsync_lab.evaluation import many
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.media import audio, video
from lipsync_lab.metrics import registry
from lipsync_lab.reporting import evaluation_page, media

FRAMES, SKIPPED = 12, 3
EVIL = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
NETWORKS = dict.fromkeys(("sync_expert", "discriminator", "lse", "mouth_openness"))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A source, and two outputs that begin with its fourth frame and are half as large; one has a grey box."""
    folder = tmp_path_factory.mktemp("pairs")
    frames = pictures(FRAMES + SKIPPED, 256, 192)
    video.write_clip(folder / "source.mkv", frames, 25, codec="ffv1")
    small = frames[SKIPPED:, ::2, ::2].copy()
    wave = np.linspace(-0.5, 0.5, FRAMES * audio.SAMPLE_RATE // 25, dtype=np.float32)
    video.write_clip(folder / "same.mkv", small, 25, codec="ffv1", sound=audio.Sound.from_wave(wave))
    small[:, 40:80, 40:80] = 127
    video.write_clip(folder / "changed.mkv", small, 25, codec="ffv1")
    boxes(folder / "boxes.json", [[72, 72, 168, 168]] * (FRAMES + SKIPPED))
    table = pd.DataFrame(
        {
            "source": "source.mkv",
            "output": ["changed.mkv", "same.mkv"],
            "detections": "boxes.json",
            "model": [EVIL, "10"],
            "domain": "animation",
            "note": EVIL,
        }
    )
    table.to_csv(folder / "pairs.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def out(home) -> Path:
    def finished(pair, evaluation, folder):
        about = {name: pair.given[name] for name in ("model", "note")}
        evaluation_page.write(folder, evaluation, pair.source, pair.output, title=EVIL, about=about)

    table = many.evaluate_pairs(home / "pairs.csv", home / "out", device="cpu", finished=finished, **NETWORKS)
    assert table["status"].tolist() == ["measured"] * 2, table["reason"].tolist()
    evaluation_page.write_pairs(home / "out", table)
    return home / "out"


def test_the_videos_are_the_aligned_pair(out):
    for side in ("source", "output"):
        frames = read(out / "same" / "media" / f"{side}.mp4")
        assert frames.shape[1:3] == (96, 128)
        # the bar of light that numbers the frames is half as long in a frame of half the size
        assert [2 * number(frame) + 1 - SKIPPED for frame in frames] == pytest.approx(list(range(FRAMES)), abs=2)
    assert len(audio.load(out / "same" / "media" / "output.mp4")) == pytest.approx(7680, abs=1100)


def test_a_page_is_not_rendered_twice(home, out, monkeypatch):
    before = (out / "changed" / "index.html").read_bytes()
    monkeypatch.setattr(evaluation_page, "_rendered", None)
    done = evaluate(
        *(home / "source.mkv", home / "changed.mkv"),
        **{"detections": home / "boxes.json", "domain": "animation", "device": "cpu", "out": out / "changed"},
        **NETWORKS,
    )
    about = {"model": EVIL, "note": EVIL}
    evaluation_page.write(out / "changed", done, home / "source.mkv", home / "changed.mkv", title=EVIL, about=about)
    assert (out / "changed" / "index.html").read_bytes() == before


@pytest.fixture(scope="module")
def tab(out):
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=executable)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.errors = []
        tab.on("console", lambda message: tab.errors.append(message.text))
        tab.on("pageerror", lambda error: tab.errors.append(str(error)))
        yield tab
        browser.close()


def test_the_page_of_a_pair_shows_its_numbers(tab, out):
    tab.goto((out / "changed" / "index.html").as_uri())
    tab.wait_for_selector(".viewer[data-painted]")
    assert tab.title() == tab.locator("h1").inner_text() == EVIL
    metrics = pd.read_csv(out / "changed" / "metrics.csv").set_index("metric")
    shown = {
        row.locator("td").first.get_attribute("title"): row.locator("td").all_inner_texts()
        for row in tab.locator("table tr:has(td)").all()
    }
    assert set(shown) == set(metrics.index[metrics["value"].notna()])
    for name in ("sharpness_loss", "colour_shift"):
        assert float(shown[name][1]) == pytest.approx(metrics["value"][name], rel=0.01)
        assert int(shown[name][-2]) == metrics["failed"][name]
    assert "output frame 0 is source frame 3" in tab.locator("body").inner_text()
    failures = pd.read_csv(out / "changed" / "failures.csv")
    assert tab.locator(".failures button b").all_inner_texts() == failures["kind"].tolist()
    assert tab.locator(".failures .evidence").all_inner_texts() == failures["evidence"].tolist()
    for link in tab.locator("a[href]").all():
        assert (out / "changed" / link.get_attribute("href")).is_file()
    tab.keyboard.press("End")
    tab.wait_for_selector(f".viewer[data-painted='{FRAMES - 1}']")
    assert tab.evaluate("window.ran") is None
    assert tab.errors == []


def test_the_page_shows_the_mouth_enlarged(tab, out):
    tab.goto((out / "changed" / "index.html").as_uri())
    picture = tab.locator(".closeup img")
    size = picture.evaluate("image => [image.naturalWidth, image.naturalHeight, image.clientHeight]")
    assert size[1] == 380
    assert size[2] > 200
    # source, output and difference are squares; at the picture's edge a square may lose a row
    assert size[0] == pytest.approx(3 * 380, rel=0.05)
    address = picture.get_attribute("src")
    source, output = (
        np.asarray(Image.open(out / "changed" / address))[:, a:b].astype(int) for a, b in ((0, 298), (304, 600))
    )
    middle = slice(100, 200)
    assert np.abs(output[middle, middle] - 127).max() < 12
    assert source[middle, middle].std() > 12
    assert tab.errors == []


def test_the_page_prints_pictures_in_place_of_videos(tab, out, tmp_path):
    tab.goto((out / "changed" / "index.html").as_uri())
    tab.emulate_media(media="print")
    assert not tab.locator("video.source").is_visible()
    pictures = tab.locator(".keyframes img")
    assert pictures.count() >= 1
    assert all(pictures.nth(n).evaluate("image => image.naturalWidth > 100") for n in range(pictures.count()))
    assert tab.locator(".plot").first.is_visible()
    tab.emulate_media(media="screen")
    assert tab.errors == []


def test_the_table_of_pairs_is_sorted_by_a_click_and_links_to_the_pages(tab, out):
    tab.goto((out / "index.html").as_uri())
    names = tab.locator(".sortable tbody td:nth-child(2)")
    assert names.all_inner_texts() == ["changed", "same"]
    column = next(
        n
        for n, text in enumerate(tab.locator(".sortable thead th").all_inner_texts())
        if text.startswith("colour shift")
    )
    for expected in (["changed", "same"], ["same", "changed"]):
        tab.locator(".sortable thead th").nth(column).locator("button").click()
        assert names.all_inner_texts() == expected
    assert "beyond" in tab.locator(f".sortable tbody tr:has-text('changed') td:nth-child({column + 1})").get_attribute(
        "class"
    )
    assert tab.locator("tbody img").first.evaluate("image => image.naturalWidth > 100")
    assert EVIL in tab.locator("body").inner_text()
    names.first.locator("a").click()
    tab.wait_for_selector(".viewer[data-painted]")
    assert tab.evaluate("window.ran") is None
    assert tab.errors == []


def test_no_page_names_an_address_outside(out):
    for page in out.rglob("*.html"):
        assert not re.search(r"(?:src|href)=\"?(?:https?:)?//", page.read_text(encoding="utf-8"))


def test_every_metric_has_a_definition():
    assert [metric.name for metric in registry.metrics() if not registry.definition(metric)] == []


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    source, output = tmp_path / "shot" / "hero.mp4", tmp_path / "dub" / "hero.mp4"
    assert evaluation_page._names(source, output) == ("shot/hero.mp4", "dub/hero.mp4")
    assert evaluation_page._names(source, output.with_name("new.mp4")) == ("hero.mp4", "new.mp4")


def test_the_first_picture_shows_a_failure_that_a_picture_can_show():
    rows = [
        ("out of sync", "syncnet_distance_per_frame", 3),
        ("ghosting", "ghosting", 5),
        ("out of sync", "syncnet_distance_per_frame", 7),
    ]
    failures = pd.DataFrame([(*row, "much") for row in rows], columns=["kind", "metric", "worst", "evidence"])
    shown = evaluation_page._key_frames(SimpleNamespace(failures=failures, frames=pd.DataFrame(index=range(9))))
    assert list(shown) == [5, 3]


def test_sync_has_one_row_and_a_sentence_on_the_whole_clip():
    rows = [
        ("syncnet_distance_per_frame", 0.274),
        ("syncnet_distance", 0.25),
        ("syncnet_distance_at_zero", 0.271),
        ("av_offset", -2.0),
    ]
    metrics = pd.DataFrame(rows, columns=["metric", "value"])
    text = evaluation_page._whole_clip(metrics)
    assert "0.271 with the sound as it is, and 0.25 at the offset where it is least (-2 frames)" in text
    assert evaluation_page._elsewhere(metrics) == ("syncnet_distance", "syncnet_distance_at_zero")
    without = metrics.iloc[1:]
    assert (evaluation_page._whole_clip(without), evaluation_page._elsewhere(without)) == ("", ())


def test_a_close_up_is_a_square_round_the_mouth():
    flat, face = (media.around_region(np.array(box, float)) for box in ([90, 150, 200, 200], [90, 90, 190, 190]))
    for square in (flat, face):
        assert square[2] - square[0] == pytest.approx(square[3] - square[1])
    assert [(flat[0] + flat[2]) / 2, (flat[1] + flat[3]) / 2] == [145, 175]
    assert face[1] > 110  # the lower half of the face
    assert face[3] > 190
    assert np.isnan(media.around_region(np.full(4, np.nan))).all()
