"""The viewer in a page that is a file, driven in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import chromium
from clips import HEIGHT, WIDTH, number, pictures

from lipsync_lab.media import video
from lipsync_lab.metrics import failures
from lipsync_lab.reporting import viewer as viewers

FRAMES, FPS = 30, 25
EVIL = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"


def table() -> pd.DataFrame:
    """Two metrics of which one fails in frames 12 to 15, the worst being 14."""
    loss = np.full(FRAMES, 0.1)
    loss[12:16] = (0.8, 0.85, 0.9, 0.8)
    loss[3] = np.nan
    index = pd.Index(range(FRAMES), name="frame")
    return pd.DataFrame({"shot": 0, "sharpness_loss": loss, "background_change": 0.5}, index=index)


def page(folder: Path, title: str = "a pair") -> Path:
    frames = pictures(FRAMES)
    video.write_clip(folder / "source.mp4", frames, FPS, crf=8)
    changed = frames.copy()
    changed[:, 40:80, 40:80] = 255 - changed[:, 40:80, 40:80]
    video.write_clip(folder / "output.mp4", changed, FPS, crf=8)
    failing = failures.find(table()).assign(evidence=EVIL)
    boxes = np.array([[40.0, 40.0, 80.0, 80.0]])
    part = viewers.viewer(
        *(title, "source.mp4", "output.mp4", table()),
        **{"fps": FPS, "size": (WIDTH, HEIGHT), "boxes": boxes, "failures": failing},
    )
    html = (
        f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="'
        f'{viewers.policy(viewers.script())}"><style>{viewers.style()}</style>{part}<script>{viewers.script()}</script>'
    )
    path = folder / "index.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def opened(tmp_path: Path):
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=executable)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        errors: list[str] = []
        tab.on("console", lambda message: errors.append(message.text))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page(tmp_path, EVIL).as_uri())
        tab.wait_for_selector(".viewer[data-painted]")
        yield tab, errors
        browser.close()


def at(tab, frame: int) -> None:
    tab.wait_for_selector(f".viewer[data-frame='{frame}'][data-painted='{frame}']")


def screenshot(tab, selector: str, folder: Path) -> np.ndarray:
    """An element as the screen shows it, shrunk to the clip's size."""
    import cv2

    path = folder / "look.png"
    tab.locator(selector).screenshot(path=path)
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def test_frames_step_in_both_videos_and_keys_and_clicks_work(opened, tmp_path):
    tab, errors = opened
    at(tab, 14)  # it opens at the worst failure
    tab.keyboard.press("b")
    for key, frame in {"ArrowRight": 15, "ArrowLeft": 14, "Home": 0, "Shift+ArrowRight": 10, "End": 29}.items():
        tab.keyboard.press(key)
        at(tab, frame)
        for side in ("source", "output"):
            assert number(screenshot(tab, f".pane.{side} .stage", tmp_path)) == frame, (key, side)
    tab.keyboard.press("j")
    at(tab, 14)
    plot = tab.locator("[data-curve] .plot").first.bounding_box()
    tab.mouse.click(plot["x"] + plot["width"] * 20.5 / FRAMES, plot["y"] + 5)
    at(tab, 20)
    tab.locator(".failures button").click()
    at(tab, 14)
    assert tab.locator(".track .value").nth(1).inner_text() == "0.9"
    assert errors == []


def test_the_difference_is_where_the_output_was_changed_and_space_swaps_the_picture(opened, tmp_path):
    tab, errors = opened
    at(tab, 14)
    box = tab.locator(".pane.output .box")
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == ["40", "40", "40", "40"]
    tab.keyboard.press("b")
    shown = screenshot(tab, ".pane.difference .stage", tmp_path).astype(int)
    assert shown[44:76, 44:76].mean() > 100
    assert shown[8:32, 8:].mean() < 25
    output, source = (screenshot(tab, f".pane.{side} .stage", tmp_path).astype(int) for side in ("output", "source"))
    assert np.abs(output - source).mean() > 10
    tab.keyboard.press("Space")
    tab.wait_for_selector(".viewer.flipped")
    assert np.abs(screenshot(tab, ".pane.output .stage", tmp_path) - source).mean() < 3
    tab.keyboard.press("Space")
    assert np.abs(screenshot(tab, ".pane.output .stage", tmp_path) - output).mean() < 3
    assert errors == []


def test_playing_ends_at_the_last_frame(opened):
    tab, errors = opened
    tab.select_option("select", "0.5")
    # a busy machine may read the label only when all is over: the page itself writes down what it showed
    tab.evaluate(
        """() => {
          const button = document.querySelector('[data-do=play]');
          window.labels = [];
          new MutationObserver(() => window.labels.push(button.textContent)).observe(button, {childList: true});
          document.querySelector('.viewer').show(4);
        }"""
    )
    at(tab, 4)
    tab.locator("[data-do=play]").click()
    at(tab, FRAMES - 1)
    tab.wait_for_function("window.labels.at(-1)?.includes('play')")
    assert "pause" in tab.evaluate("window.labels[0]")
    assert tab.evaluate("document.querySelector('video.source').playbackRate") == 0.5
    assert errors == []


def test_text_is_escaped_and_no_other_script_runs(opened):
    tab, errors = opened
    assert EVIL in tab.locator(".evidence").inner_text()
    assert tab.locator(".viewer").get_attribute("aria-label") == EVIL
    assert tab.evaluate("window.ran") is None
    assert errors == []
    tab.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert tab.evaluate("window.ran") is None
    assert any("Content Security Policy" in line for line in errors)


def test_curves_have_gaps_thresholds_and_failures():
    failing = failures.find(table())
    html = viewers.viewer("t", "a", "b", table(), fps=FPS, size=(4, 4), failures=failing)
    curves = re.findall(r'class="curve" d="([^"]+)"', html)
    assert len(curves) == 2
    assert [curve.count("M") for curve in curves] == [2, 1]  # frame 3 of the first is undefined
    assert re.findall(r'class="failing" x="(\d+)" y="0" width="(\d+)"', html) == [("12", "4")] * 2
    with pytest.raises(KeyError):
        viewers.viewer("t", "a", "b", table(), fps=FPS, size=(4, 4), metrics=["no_such_metric"])
