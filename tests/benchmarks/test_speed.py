"""The table of `benchmarks/speed.py`, from made-up seconds; what its rows measure is tested where it is computed."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def speed():
    spec = importlib.util.spec_from_file_location("speed", ROOT / "benchmarks" / "speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def repeat(speed, slowness: float) -> dict:
    """Seconds of a repeat in which the machine is so many times slower: the published script takes 2 s a frame."""
    stages = {"decode": 0.5 * slowness, "detect": 1.5 * slowness}
    rows = {row: {"wall": slowness / 10, "cpu": slowness / 5} for row in [*speed.DUBS, *speed.FACES]}
    published = {name: {"wall": seconds, "cpu": 2 * seconds} for name, seconds in stages.items()}
    return {"published": published} | {f"here:{row}": seconds for row, seconds in rows.items()}


def test_ratios_are_taken_within_a_repeat(speed):
    rows = [*speed.DUBS, *speed.FACES]
    table = speed.summary([repeat(speed, slowness) for slowness in (1, 4, 2)], ["here"], rows)["here"]
    for name in ("default_over_published", "s3fd_over_published", "same_detection_over_published"):
        assert table[name] == pytest.approx({"median": 20, "least": 20, "most": 20})
    for name in ("bundled_live_fps", "bundled_animation_fps", "generator_fps", "generator_fast_fps"):
        assert table[name] == pytest.approx({"median": 5, "least": 2.5, "most": 10})


def test_settings_that_a_checkout_lacks_are_left_out(speed):
    from lipsync_lab.settings import PRESETS, Settings

    known = Settings().as_dict().keys() | {"preset"}
    for _, _, _, settings in speed.DUBS.values():
        assert settings.keys() <= known
        assert settings.get("preset") in {None, *PRESETS}
