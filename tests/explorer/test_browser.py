"""The explorer in JupyterLab in a real browser, without a display and without a network."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from browser import chromium
from clips import boxes

from lipsync_lab import cli, runs, samples
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.reporting.notebooks import NOTEBOOKS

if TYPE_CHECKING:
    from playwright.sync_api import Locator

ROOT = Path(__file__).resolve().parents[2]
#: Kept for inspection; reports/ is ignored by git.
SCREENSHOT = ROOT / "reports" / "explorer.png"
CLIP = "animation_hello"
#: Frames without a box in the record that stands in for a detector.
MISSED = range(40, 52)
FACE = [100, 100, 290, 300]
#: Milliseconds for one step: on an idle machine none takes five seconds, on a busy one a page may take a minute.
PATIENCE = 240_000

KERNEL_IS_READY = """() => {
    const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === "connected" && kernel?.status === "idle";
}"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a JupyterLab with nothing but a copy of the notebook."""
    frames = samples.get(CLIP).frames
    home = tmp_path / "home"
    home.mkdir()
    boxes_file = boxes(home / "found.json", [None if n in MISSED else FACE for n in range(frames)])
    notebook = nbformat.read(NOTEBOOKS / "07_explorer.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source, changed = re.subn("detector = None", f"detector = {boxes_file.name!r}", cell.source)
    assert changed
    nbformat.write(notebook, home / "07_explorer.ipynb")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = tmp_path / "settings"
    news = settings / "lab" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTEST"))},
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TQDM_DISABLE": "1",
        "JUPYTER_CONFIG_DIR": str(settings),
        "JUPYTER_RUNTIME_DIR": str(settings / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings / "lab"),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", "--PasswordIdentityProvider.hashed_password=", f"--ServerApp.root_dir={home}"),
    ]
    log = tmp_path / "lab.log"
    with log.open("w") as stream, subprocess.Popen(command, env=environment, stdout=stream, stderr=stream) as server:
        try:
            yield _answering(f"http://127.0.0.1:{port}", server, log), home
        finally:
            server.terminate()


def _answering(address: str, server: subprocess.Popen, log: Path) -> str:
    for _ in range(PATIENCE // 100):
        try:
            with urlopen(f"{address}/api/status", timeout=5):
                return address
        except (URLError, TimeoutError):
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab does not answer:\n{log.read_text()}")


def test_scrub_draw_and_save_in_a_browser(lab: tuple[str, Path], tmp_path: Path):
    address, home = lab
    executable, duration = chromium(), samples.get(CLIP).frames / 25
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=executable)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(f"{address}/doc/tree/07_explorer.ipynb")
        page.wait_for_function(KERNEL_IS_READY)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")

        instrument = page.locator(".lipsync-lab-explorer")
        instrument.wait_for()
        instrument.scroll_into_view_if_needed()
        facts = instrument.get_by_text(re.compile(rf"^{CLIP}, frame "))
        stage, timeline = instrument.locator("canvas").nth(0), instrument.locator("canvas").last
        hint = instrument.get_by_text("Click picture or timeline")

        def shown(frame: int, words: str = "") -> None:
            expect(facts).to_contain_text(re.compile(rf"frame {frame} .*{words}"))

        def another(before: bytes) -> bytes:
            """The stage's picture, as soon as it is not the one before."""
            until = time.monotonic() + PATIENCE / 1000
            while (now := stage.screenshot()) == before:
                assert time.monotonic() < until, "the picture stays the same"
                page.wait_for_timeout(100)
            return now

        def entries(menu: Locator) -> list[str]:
            """What a menu lists; the widgets write spaces that do not break."""
            return [line.replace("\xa0", " ") for line in menu.locator("option").all_inner_texts()]

        def choose(menu: Locator, line: str) -> None:
            menu.select_option(index=entries(menu).index(line))

        # it opens with the failures of all kinds, worst first, and names the weights
        failures, kinds = instrument.get_by_role("listbox"), instrument.get_by_role("combobox").nth(1)
        listed = entries(failures)
        assert len({re.sub(r"^[\d.]+|,.*", "", line) for line in listed}) > 3
        expect(instrument.get_by_text(f"{len(listed)} failures")).to_be_visible()
        expect(instrument.get_by_text("this project's own small model").first).to_be_visible()

        # all of it is visible at once
        instrument.evaluate("element => element.scrollIntoView()")
        for part in (stage, timeline, failures, instrument.get_by_role("button", name="Save boxes"), hint):
            expect(part).to_be_in_viewport(ratio=1)
        SCREENSHOT.parent.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOT)

        # failures of one kind, then a click on one
        [missed] = [line for line in listed if line.endswith(f"missed detection, {MISSED[0]} to {MISSED[-1]}")]
        choose(kinds, "missed detection (1)")
        expect(failures.locator("option")).to_have_count(1)
        failures.locator("option").click()
        worst = MISSED[len(MISSED) // 2]
        shown(worst, "missing")

        # the output in place of the source, and a zoom around the pointer
        failures.locator("option").click()
        instrument.get_by_role("button", name="Next failure").click()
        choose(kinds, "all kinds")
        expect(failures.locator("option")).to_have_count(len(listed))
        stage.click(position={"x": 30, "y": 30})
        page.keyboard.press("Home")
        shown(0, "recorded")
        whole = stage.screenshot()
        page.keyboard.press(" ")
        expect(instrument.get_by_role("button", name="output")).to_have_class(re.compile("mod-active"))
        # the button says so before the picture has come from the kernel
        output = another(whole)
        page.keyboard.press(" ")
        expect(instrument.get_by_role("button", name="source")).to_have_class(re.compile("mod-active"))
        stage.hover(position={"x": 200, "y": 200})
        source = stage.screenshot()
        page.mouse.wheel(0, -200)
        close = another(source)
        assert close not in (whole, output)
        scrolled = page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTop")
        page.keyboard.press("0")
        assert another(close) != output
        assert scrolled == page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTop")
        choose(failures, missed)
        shown(worst, "missing")

        # the slider, then the keys, then the timeline
        instrument.locator(".noUi-handle").first.focus()
        page.keyboard.press("ArrowRight")
        shown(worst + 1, "missing")
        stage.click(position={"x": 30, "y": 30})
        page.keyboard.press("Home")
        shown(0, "recorded")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        shown(11)
        page.keyboard.press("p")
        expect(facts).not_to_contain_text("frame 11 ")
        place = timeline.bounding_box()
        page.mouse.click(place["x"] + place["width"] * (45.5 / samples.get(CLIP).frames), place["y"] + 10)
        shown(45, "missing")

        # a box with the mouse, where there was none
        place = stage.bounding_box()
        scale = place["width"] / samples.get(CLIP).size[0]
        x1, y1, x2, y2 = (110, 105, 280, 290)
        page.mouse.move(place["x"] + x1 * scale, place["y"] + y1 * scale)
        page.mouse.down()
        page.mouse.move(place["x"] + 200 * scale, place["y"] + 200 * scale, steps=4)
        page.mouse.move(place["x"] + x2 * scale, place["y"] + y2 * scale, steps=4)
        page.mouse.up()
        shown(45, "manual, edited")

        # a setting, applied at once to the frames around it
        instrument.get_by_label("dropouts").select_option("interpolate")
        page.keyboard.press("Tab")
        stage.focus()
        page.keyboard.press("ArrowRight")
        shown(46, "interpolated")
        page.keyboard.press("ArrowLeft")
        shown(45, "manual, edited")

        # two drawn boxes, and the frames between them
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        shown(48)
        page.mouse.move(place["x"] + 130 * scale, place["y"] + 105 * scale)
        page.mouse.down()
        page.mouse.move(place["x"] + 300 * scale, place["y"] + 290 * scale, steps=4)
        page.mouse.up()
        shown(48, "manual, edited")
        instrument.get_by_role("button", name="Interpolate").click()
        expect(instrument.get_by_text("frames 46 to 47 interpolated")).to_be_visible()
        expect(instrument.get_by_text("stale")).to_be_visible()
        stage.focus()
        page.keyboard.press("ArrowLeft")
        shown(47, "interpolated, edited")
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        shown(49, "interpolated")
        page.keyboard.press("c")
        shown(49, "manual, edited")

        instrument.get_by_role("button", name="Save boxes").click()
        expect(instrument.get_by_text("detections.json: saved, 5 frames edited")).to_be_visible()
        instrument.get_by_role("button", name="Play the clip").click()
        expect(instrument.locator("video")).to_be_visible()
        assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        playing = "video => video.readyState > 0 || new Promise(done => { video.onloadeddata = () => done(true) })"
        assert instrument.locator("video").evaluate(playing)
        page.screenshot(path=SCREENSHOT.with_name("explorer_playing.png"))
        assert instrument.locator("video").evaluate("video => video.duration") == pytest.approx(duration, abs=0.1)
        instrument.get_by_role("button", name="Back to the frame").click()
        expect(stage).to_be_visible()
        browser.close()

    given = (45, 46, 47, 48, 49)
    saved = read_detections(home / "detections.json")
    assert [n for n, row in enumerate(saved.candidates) if not row] == [n for n in MISSED if n not in given]
    assert list(saved.candidates[45][0].box) == pytest.approx([x1, y1, x2, y2], abs=1.5)

    face = str(samples.path(CLIP))
    options = ["--checkpoint_path", "identity", "--detector", str(home / "detections.json"), "--quiet"]
    outfile = tmp_path / "dubbed.mp4"
    assert cli.main(["dub", "--face", face, "--audio", face, "--outfile", str(outfile), *options]) == 0
    ledger = runs.Run(tmp_path / "dubbed").ledger()
    assert ledger["provenance"][list(given)].tolist() == ["manual", "interpolated", "interpolated", "manual", "manual"]
    assert ledger["frame"][ledger["provenance"] == "missing"].tolist() == [n for n in MISSED if n not in given]
    assert SCREENSHOT.stat().st_size > 50_000
