"""Ablation: effects on the same frames, and filled dropouts against an independent count."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from lipsync_lab import evaluation
from lipsync_lab.evaluation import ablation, findings, study
from lipsync_lab.metrics import failures
from lipsync_lab.settings import Settings

NAN = float("nan")
NAMES = ["as published", *(mitigation.name for mitigation in ablation.MITIGATIONS), "all of it"]


def evaluated_case(frames: pd.DataFrame, name: str = "toon") -> evaluation.evaluated.EvaluatedCase:
    case = evaluation.cases.Case(name, name, name, "animation")
    table = pd.DataFrame({"time": np.arange(100) / 25}).assign(**frames)
    return evaluation.evaluated.EvaluatedCase(case, None, evaluation.Evaluation(table, None, None, {}), "")


def measured(**values) -> dict:
    names = {measure for mitigation in ablation.MITIGATIONS for measure in mitigation.measures}
    return dict.fromkeys(names, NAN) | values


def test_each_changes_one_habit_and_is_meant_for_something_that_is_measured():
    usual = asdict(Settings.of(ablation.PUBLISHED.changes))
    known = {kind.name for kind in failures.KINDS} | {"not_generated"}
    for mitigation in ablation.MITIGATIONS:
        changed = asdict(Settings.of({**ablation.PUBLISHED.changes, **mitigation.changes}))
        assert {name for name in usual if usual[name] != changed[name]} == set(mitigation.changes)
        assert len(mitigation.changes) == 1
        assert mitigation.measures
        assert set(mitigation.measures) <= known
    assert ablation.TOGETHER.changes == {
        name: value for mitigation in ablation.MITIGATIONS for name, value in mitigation.changes.items()
    }
    upstream = Settings.of({}, preset="reference")
    assert all(
        getattr(upstream, name) == value for name, value in ablation.PUBLISHED.changes.items() if name != "dropouts"
    )


def test_pipelines_are_those_of_the_changes_over_the_readers_own_settings():
    made = ablation.pipelines("identity", "lbp", {"crf": 30, "feather": 0.2})
    assert list(made) == ["as published", *(mitigation.name for mitigation in ablation.MITIGATIONS), "all of it"]
    assert {pipeline.settings.crf for pipeline in made.values()} == {30}
    assert made["as published"].settings.feather == 0
    assert made["a soft edge"].settings.feather == 0.1
    assert made["sound one frame earlier"].settings.audio_offset == 1


def test_effects_are_counted_on_frames_that_both_know():
    number = np.arange(100)
    before = evaluated_case(measured(boundary_artifact=8.0 + number % 2, temporal_flicker=1.0))
    after = evaluated_case(
        measured(
            boundary_artifact=np.where(number < 50, 2.0, NAN), temporal_flicker=1.0 + (number // 25) % 2 * 0.5 - 0.25
        )
    )
    effects = ablation.effects(dict.fromkeys(NAMES, [after]) | {"as published": [before]})
    rows = effects[effects["mitigation"] != "all of it"].set_index("metric")
    seam = rows.loc["boundary_artifact"]
    assert (seam["kind"], seam["threshold"], seam["seconds"]) == ("boundary artifact", 4.0, 2)
    assert (seam["before"], seam["after"]) == (pytest.approx(8.5, abs=0.03), 2.0)
    assert seam["low"] <= seam["difference"] <= seam["high"] < 0
    flicker = rows.loc["temporal_flicker"]
    assert flicker["low"] < 0 < flicker["high"]
    assert rows.loc["syncnet_distance_per_frame", ["before", "after", "low"]].isna().all()
    text = findings.of_mitigations(effects, ablation.filled())
    assert "- **a soft edge**, against boundary artifact: toon from 8.5 to **2**." in text
    assert "toon from 1 to **1** (not sure: the interval holds 0)" in text
    assert "- **sound one frame earlier**, against out of sync: toon cannot be told." in text
    none = evaluated_case(measured(not_generated=0.0))
    effects = ablation.effects(dict.fromkeys(NAMES, [none]))
    assert "face without a mouth: toon has none to mitigate" in findings.of_mitigations(effects, ablation.filled())


def test_filled_gaps_are_those_with_a_neighbour_in_the_shot():
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
