"""Which AV offsets are stated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lipsync_lab.evaluation import sound
from lipsync_lab.metrics import openness

BUNDLED = "syncnet-lab"


def scores(confidence: dict[str, float], offset: float = 3.0) -> pd.DataFrame:
    rows = []
    for given, value in confidence.items():
        rows.append(("syncnet_confidence", given, value, 1.0, ""))
        rows.append(("av_offset", given, offset, 1.0, ""))
    return pd.DataFrame(rows, columns=["score", "input", "value", "covered", "reason"])


def offsets(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["score"] == "av_offset"].set_index("input")


@pytest.fixture(autouse=True)
def least(monkeypatch):
    monkeypatch.setattr(sound, "LEAST_CONFIDENCE", {"animation": 0.2, "live_action": np.inf})


def test_an_offset_is_stated_from_the_least_confidence_on_and_each_input_has_its_own():
    given = scores({"dubbed": 0.2, "untouched_source": 0.19})
    refused = offsets(sound.stated(given, BUNDLED, "animation"))
    assert refused.loc["dubbed", "value"] == 3
    assert np.isnan(refused.loc["untouched_source", "value"])
    assert refused.loc["untouched_source", "covered"] == 0
    reason = "no offset is stated: the confidence of syncnet-lab is 0.19, and at least 0.2 is needed"
    assert refused.loc["untouched_source", "reason"] == reason
    # never shown as the number that would be enough
    almost = offsets(sound.stated(scores({"dubbed": 0.1999}), BUNDLED, "animation"))
    assert "is 0.19, and at least 0.2 is" in almost.loc["dubbed", "reason"]
    # everything else is as it was, and so is what was given
    rest = given["score"] != "av_offset"
    pd.testing.assert_frame_equal(sound.stated(given, BUNDLED, "animation")[rest], given[rest])
    assert given["value"].notna().all()


def test_no_offset_is_stated_where_no_confidence_is_enough_or_the_domain_is_unknown():
    given = scores({"dubbed": 1.5})
    filmed, unknown = (offsets(sound.stated(given, BUNDLED, domain)).loc["dubbed"] for domain in ("live_action", None))
    assert np.isnan([filmed["value"], unknown["value"]]).all()
    assert "no confidence of syncnet-lab" in filmed["reason"]
    assert "--domain" in unknown["reason"]


def test_the_offsets_of_other_experts_are_left_as_they_are():
    given = scores({"dubbed": 0.01})
    for expert in ("lipsync_expert", None):
        pd.testing.assert_frame_equal(sound.stated(given, expert, "live_action"), given)


def test_the_offset_of_mouth_openness_is_stated_from_the_least_correlation_on(monkeypatch):
    monkeypatch.setattr(sound, "LEAST_CORRELATION", {"animation": 0.5, "live_action": np.inf})
    rows = [("openness_best", "dubbed", 0.5), ("openness_offset", "dubbed", -15.0)]
    rows += [("openness_best", "shuffled_audio", 0.4), ("openness_offset", "shuffled_audio", 2.0)]
    given = pd.DataFrame(rows, columns=["score", "input", "value"]).assign(covered=1.0, reason="")
    for expert in (BUNDLED, "lipsync_expert", None):
        table = sound.stated(given, expert, "animation").query("score == 'openness_offset'").set_index("input")
        assert table.loc["dubbed", "value"] == -15
        assert np.isnan(table.loc["shuffled_audio", "value"])
        assert table.loc["shuffled_audio", "reason"] == (
            "no offset is stated: the correlation at the best offset is 0.40, and at least 0.5 is needed"
        )
    filmed = sound.stated(given, None, "live_action").query("score == 'openness_offset'")
    assert filmed["value"].isna().all()
    assert "on filmed speech: no correlation at the best offset is enough there (0.50 here)" in filmed["reason"].iloc[0]


@pytest.mark.parametrize(
    ("closed", "is_cut", "is_defined"),
    [
        (openness.CLOSED_BY_PIXELS, False, True),
        (openness.CLOSED_BY_PIXELS, True, False),
        (openness.CLOSED_BY_NETWORK, True, True),
    ],
)
def test_closed_lips_of_several_shots_are_not_compared_by_their_pixels(closed, is_cut, is_defined):
    names, compute = sound._mouth_scores(np.full(50, 0.5), 25, closed, is_cut)
    table = {score.score: score for score in compute(np.zeros(2 * 16_000, np.float32))}
    assert tuple(table) == names
    assert (table["silence_open"].value == 1) == is_defined
    assert ("several shots" in table["silence_open"].reason) != is_defined
    assert table["silence_moving"].value == 0


def test_an_undefined_offset_keeps_its_reason():
    given = scores({"dubbed": 0.1}, offset=np.nan).assign(reason="the sound is silent throughout")
    assert offsets(sound.stated(given, BUNDLED, "animation")).loc["dubbed", "reason"].startswith("the sound is silent")
