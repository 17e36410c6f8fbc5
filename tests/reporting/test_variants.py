"""What dubs the clips of a report: the generators of a default report, and one that is made for some domains only."""

from __future__ import annotations

import re
from itertools import islice

import cv2
import numpy as np
import pandas as pd
import pytest
from browser import chromium

from lipsync_lab import reporting, samples
from lipsync_lab.evaluation.cases import Case
from lipsync_lab.media import video
from lipsync_lab.reporting import build
from lipsync_lab.reporting.variants import variants
from lipsync_lab.settings import Settings

FRAMES = 12


def cases(*domains: str) -> list[Case]:
    return [Case(f"clip{n}", f"clip{n}.mp4", f"clip{n}.mp4", domain) for n, domain in enumerate(domains)]


@pytest.mark.parametrize(
    ("domains", "settings", "generators"),
    [
        (["animation", "live_action"], None, (None, "cel")),
        (["animation"], {"": Settings(feather=0.2)}, (None, "cel")),
        (["live_action", ""], None, (None,)),
        (["animation"], {"animation": Settings()}, (None,)),
        (["animation"], {"default": Settings(), "soft": Settings()}, (None,)),
    ],
)
def test_cel_is_a_default_for_animation_unless_settings_have_a_name(domains, settings, generators):
    assert build._default_generators(cases(*domains), settings) == generators


@pytest.mark.parametrize(
    ("generators", "dubbed", "with_notebooks"),
    [
        (("identity", "cel"), [["clip0", "clip1", "clip2"], ["clip0", "clip2"]], [True, False]),
        (("cel", "identity"), [["clip0", "clip1", "clip2"]] * 2, [True, True]),
        (("cel",), [["clip0", "clip1", "clip2"]], [True]),
    ],
)
def test_a_generator_of_some_domains_dubs_all_where_it_is_the_first(generators, dubbed, with_notebooks, tmp_path):
    compared = variants(generators, "lbp", None, tmp_path)
    parts = build._parts(tmp_path, compared, cases("animation", "live_action", ""), ["a notebook"], False, None)
    assert [[case.name for case in part.cases] for part in parts] == dubbed
    assert [bool(part.notebooks) for part in parts] == [part.whole for part in parts] == with_notebooks


def test_notebooks_run_for_the_first_generator_where_every_clip_is_animation(tmp_path):
    compared = variants(("identity", "cel"), "lbp", None, tmp_path)
    parts = build._parts(tmp_path, compared, cases("animation"), ["a notebook"], False, None)
    assert [(len(part.cases), len(part.notebooks), part.whole) for part in parts] == [(1, 1, True), (1, 0, False)]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> reporting.Report:
    """The first half second of a bundled matched pair, with nothing said about generators."""
    folder, clips = tmp_path_factory.mktemp("default"), []
    for name in ("animation_kettle", "astronaut_kettle"):
        images = [frame.image for frame in islice(video.frames(samples.path(name)), FRAMES)]
        clips.append(folder / f"{name}.mp4")
        video.write_clip(clips[-1], images, 25)
    voice = [samples.path("animation_village")]
    return reporting.report(folder / "out", clips, voices=voice, domains=["animation", "live_action"], notebooks=[])


def test_the_first_page_shows_the_frame_of_animation_by_both_generators(page):
    assert page.ok, page.failed
    table = pd.read_csv(page.folder / "table.csv")
    assert list(zip(table["generator"], table["clip"], strict=True)) == [
        ("wav2lip-lab", "animation_kettle"),
        ("wav2lip-lab", "astronaut_kettle"),
        ("cel", "animation_kettle"),
    ]
    header = page.index.read_text(encoding="utf-8").partition("</header>")[0]
    assert "dubbed by wav2lip-lab, 1 also by cel" in header
    cards = ("wav2lip-lab", "cel", "mouth-locator-lab", "visemes-lab", "s3fd-lab")
    for name in cards:
        assert f'<a href="models/{name}.html">{name}</a>' in header
        text = (page.folder / "models" / f"{name}.html").read_text(encoding="utf-8")
        assert f'<h1 id="{name}">{name}' in text
        links = re.findall(r'href="([^"#]+)"', text)
        assert all(link.startswith("http") or (page.folder / "models" / link).is_file() for link in links)
        assert "<img" not in text
    assert 'href="visemes-lab.html"' in (page.folder / "models" / "cel.html").read_text(encoding="utf-8")
    whole = page.index.read_text(encoding="utf-8")
    used = re.search(r"<dt>cel: settings</dt><dd><code>([^<]*)", whole)[1]
    assert "mouth_cadence holds, as cel does by itself" in used
    assert "mouth_cadence every_frame" not in used
    assert "mouth_cadence every_frame" in re.search(r"<dt>wav2lip-lab: settings</dt><dd><code>([^<]*)", whole)[1]
    assert "Sentences that name no generator are about wav2lip-lab." in header
    assert "cel against wav2lip-lab: 1 clip" in header
    assert "sharpness loss of wav2lip-lab, worst single frame: " in header
    source, regressed, drawn = (
        cv2.imread(str(page.folder / "summary" / f"animation-{place}.jpg")).astype(float) for place in range(3)
    )
    assert np.abs(regressed - source).mean() > 1  # grey levels: a mouth and a blurred face around it
    assert np.abs(drawn - source).mean() > 0.3  # a mouth alone
    edges = [np.abs(cv2.Laplacian(image, cv2.CV_64F)).mean() for image in (source, regressed, drawn)]
    assert edges[1] < 0.9 * edges[0]  # the regression loses lines, the drawing keeps them
    assert edges[2] > 0.9 * edges[0]


def test_the_fold_holds_the_outputs_of_both_generators(page):
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=executable)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(page.index.as_uri())
        titles = [each.locator("figcaption").all_inner_texts() for each in tab.locator("#worst > div").all()]
        bottom = tab.evaluate("document.getElementById('models').getBoundingClientRect().bottom")
        browser.close()
    assert bottom <= 900
    assert titles == [["source", "wav2lip-lab", "cel"], ["source", "wav2lip-lab", "difference × 4 (black: none)"]]


def test_the_page_of_a_clip_shows_the_mouth_enlarged(page):
    name = "wav2lip-lab/animation_kettle"
    text = (page.folder / "clips" / f"{name}.html").read_text(encoding="utf-8")
    address = re.search(r'<figure class="closeup"><img src="([^"]+)"', text)[1]
    picture = cv2.imread(str((page.folder / "clips" / name).parent / address))
    side = picture.shape[0]
    source = picture[:, : picture.shape[1] // 3 - 4]
    frame = int(re.search(r"difference × 4 \(black: none\) at the mouth: [a-z -]+, frame (\d+)", text)[1])
    truth = pd.read_csv(samples.path("animation_kettle").with_suffix(".truth.csv")).loc[frame]
    whole = next(islice(video.frames(samples.path("animation_kettle")), frame, None)).image[..., ::-1]
    best = (-1.0, 0, 0, 0.0)
    for width in range(40, 200, 4):
        small = cv2.resize(source, (width, round(width * side / source.shape[1])), interpolation=cv2.INTER_AREA)
        if small.shape[0] < whole.shape[0] and width < whole.shape[1]:
            match = cv2.matchTemplate(whole, small, cv2.TM_CCOEFF_NORMED)
            _, score, _, (x, y) = cv2.minMaxLoc(match)
            best = max(best, (score, x, y, width))
    score, x, y, width = best
    assert score > 0.95
    # the mouth lies in the middle, and is a large part of the picture
    assert abs((truth["mouth_x1"] + truth["mouth_x2"]) / 2 - (x + width / 2)) < 0.2 * width
    assert y < truth["mouth_y1"] < truth["mouth_y2"] < y + width
    assert width < 1.1 * (truth["face_x2"] - truth["face_x1"])
