"""Ablation: effects on the same frames, and filled dropouts against an independent count."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import evaluation
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import ablation, findings, study
from lipsync_lab.metrics import registry
from lipsync_lab.settings import Settings

NAN = float("nan")
NAMES = ["as published", *(mitigation.name for mitigation in ablation.MITIGATIONS)]


def evaluated_case(name: str = "toon", **metrics) -> evaluation.evaluated.EvaluatedCase:
    case = evaluation.cases.Case(name, name, name, "animation")
    table = pd.DataFrame({"time": np.arange(100) / 25}).assign(**metrics)
    return evaluation.evaluated.EvaluatedCase(case, None, evaluation.Evaluation(table, None, None, {}), "")


def test_each_mitigation_changes_the_settings_that_it_names():
    published = asdict(Settings.of(ablation.BASELINE.settings))
    *single, combined = ablation.MITIGATIONS
    for mitigation in ablation.MITIGATIONS:
        changed = asdict(Settings.of({**ablation.BASELINE.settings, **mitigation.settings}))
        assert {name for name in published if published[name] != changed[name]} == set(mitigation.settings)
    assert all(len(mitigation.settings) == 1 for mitigation in single)
    assert combined.settings == {name: value for mitigation in single for name, value in mitigation.settings.items()}
    reference = Settings.of({}, preset="reference")
    assert all(
        getattr(reference, name) == value for name, value in ablation.BASELINE.settings.items() if name != "dropouts"
    )
    changes = ablation.changes()
    assert changes.loc["soft edge"].tolist() == ["feather", 0.0, 0.1]
    assert len(changes.loc["all combined"]) == len(single)


def test_pipelines_are_those_of_the_mitigations_over_the_readers_own_settings():
    made = ablation.pipelines("identity", "lbp", {"crf": 30, "feather": 0.2})
    assert list(made) == NAMES
    assert {pipeline.settings.crf for pipeline in made.values()} == {30}
    assert made["as published"].settings.feather == 0
    assert made["soft edge"].settings.feather == 0.1
    assert made["audio one frame earlier"].settings.audio_offset == 1


def test_a_registered_mitigation_is_a_row_of_everything():
    """A name and settings are all that a mitigation needs, also settings that the baseline does not mention."""
    ablation.register(ablation.Mitigation("sharper file", {"crf": 1}))
    try:
        assert ablation.pipelines("identity", "lbp")["sharper file"].settings.crf == 1
        assert ablation.changes().loc["sharper file"].tolist() == ["crf", Settings().crf, 1]
        case = evaluated_case(sharpness_loss=0.5)
        effects = ablation.effects(dict.fromkeys([*NAMES, "sharper file"], [case]))
        assert "sharper file" in set(effects["mitigation"])
        assert "- **sharper file** changes no metric" in findings.of_mitigations(effects, ablation.filled())
        for name, settings in (("sharper file", {}), ("as published", {}), ("new", {"nothing": 1})):
            with pytest.raises(ParameterError):
                ablation.register(ablation.Mitigation(name, settings))
    finally:
        ablation.unregister("sharper file")
    assert ablation.mitigations() == ablation.MITIGATIONS


def test_effects_are_those_of_the_frames_that_both_know_on_every_metric():
    number = np.arange(100)
    before = evaluated_case(boundary_artifact=8.0 + number % 2, temporal_flicker=1.0, background_change_peak=1.0)
    after = evaluated_case(
        boundary_artifact=np.where(number < 50, 2.0, NAN),
        temporal_flicker=1.0 + (number // 25) % 2 * 0.5 - 0.25,
        background_change_peak=3.0,
    )
    effects = ablation.effects(dict.fromkeys(NAMES, [after]) | {"as published": [before]})
    known = {metric.name for metric in registry.metrics()} | {"not_generated"}
    for _, rows in effects.groupby("mitigation"):
        assert set(rows["metric"]) == known
    rows = effects[effects["mitigation"] == "soft edge"].set_index("metric")
    boundary = rows.loc["boundary_artifact"]
    assert (boundary["kind"], boundary["threshold"], boundary["seconds"]) == ("boundary artifact", 4.0, 2)
    assert (boundary["before"], boundary["after"]) == (pytest.approx(8.5, abs=0.03), 2.0)
    assert boundary["low"] <= boundary["difference"] <= boundary["high"] < 0
    flicker = rows.loc["temporal_flicker"]
    assert flicker["low"] < 0 < flicker["high"]
    assert rows.loc["syncnet_distance_per_frame", ["before", "after", "low"]].isna().all()
    assert np.isnan(rows.loc["background_change_peak", "threshold"])
    text = findings.of_mitigations(effects, ablation.filled())
    assert "- **soft edge**, boundary artifact: toon from 8.5 to **2**." in text
    assert "peak" not in text


def test_the_largest_effects_are_largest_in_units_of_the_threshold():
    # differences in units of the thresholds (4, 2, 10, 0.25, 3): 2, 0.5, 0.001, 4, 1 for the worse
    before = dict.fromkeys(("boundary_artifact", "temporal_flicker", "colour_shift"), 1.0)
    before = evaluated_case(**before, background_change=1.0, line_art_loss=1.1, ghosting=0.2, not_generated=0.0)
    after = {"boundary_artifact": 9.0, "temporal_flicker": 2.0, "background_change": 1.001, "line_art_loss": 0.1}
    after = evaluated_case(**after, colour_shift=-2.0, ghosting=0.2, not_generated=0.0)
    effects = ablation.effects(dict.fromkeys(NAMES, [after]) | {"as published": [before]})
    largest = ablation.largest_effects(effects)
    expected = {"boundary artifact", "colour shift", "line-art loss"}
    assert largest.groupby("mitigation")["kind"].agg(set).to_dict() == dict.fromkeys(NAMES[1:], expected)
    more = ablation.largest_effects(effects, most=9)
    assert set(more["kind"]) == expected | {"temporal flicker"}
    unchanged = ablation.effects(dict.fromkeys(NAMES, [before]))
    assert ablation.largest_effects(unchanged).empty
    text = findings.of_mitigations(unchanged, ablation.filled())
    assert text.startswith("- **dropouts interpolated** changes no metric by 1% of its threshold.")


def test_effects_in_words():
    def words(**numbers):
        row = {"clip": "toon", "before": 1.0, "after": 2.0, "low": 0.5, "high": 1.5, "direction": 1} | numbers
        return findings._effect(SimpleNamespace(**row))

    assert words() == "toon from 1 to **2**, worse"
    assert words(direction=-1) == "toon from 1 to **2**"
    assert words(low=-0.5) == "toon from 1 to **2** (95 % CI includes 0)"
    assert words(low=NAN, high=NAN) == "toon from 1 to **2** (no interval)"
    assert words(after=1.0, low=0.0, high=0.0) == "toon unchanged at 1"
    assert words(before=NAN, after=NAN) == "toon not measured"


def test_filled_dropouts_are_those_with_a_neighbour_in_the_shot():
    table = ablation.filled()
    assert table["of"].eq(284).all()
    for longest, row in table.iterrows():
        hold = between = 0
        for clip in study.names():
            for _, rows in study.frames(clip).groupby(study.pixels(clip)["shot"].to_numpy()):
                strip = "".join("." if detected else "x" for detected in rows["detected"])
                at = 0
                while (at := strip.find("x", at)) >= 0:
                    stop = len(strip) if "." not in strip[at:] else strip.index(".", at)
                    if stop - at <= longest and at > 0:
                        hold += stop - at
                        between += (stop - at) * (stop < len(strip))
                    at = stop
        assert (row["hold"], row["interpolate"]) == (hold, between)
