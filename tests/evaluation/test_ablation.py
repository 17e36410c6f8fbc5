"""Ablation: effects on the same frames, and filled dropouts against an independent count."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lipsync_lab import evaluation
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import ablation, findings, study
from lipsync_lab.metrics import registry
from lipsync_lab.settings import Settings

NAN = float("nan")
NAMES = ["as published", *(mitigation.name for mitigation in ablation.MITIGATIONS)]


def evaluated_case(name: str = "toon", scores: dict | None = None, **metrics) -> evaluation.evaluated.EvaluatedCase:
    case = evaluation.cases.Case(name, name, name, "animation")
    table = pd.DataFrame({"time": np.arange(100) / 25}).assign(**metrics)
    rows = [(score, "dubbed", value) for score, value in (scores or {}).items()]
    known = pd.DataFrame(rows, columns=["score", "input", "value"])
    return evaluation.evaluated.EvaluatedCase(case, None, evaluation.Evaluation(table, known, None, {}), "")


def in_words(effects: pd.DataFrame) -> str:
    return findings.of_mitigations(ablation.summary(effects), ablation.interactions(effects), ablation.filled())


def clips(changes: dict[str, np.ndarray]) -> pd.DataFrame:
    """Effects on eight clips: a mitigation changes line-art loss of 0.2 by the values given for it, else by none."""
    before = [evaluated_case(f"toon{clip}", line_art_loss=0.2) for clip in range(8)]
    after = {
        name: [
            evaluated_case(f"toon{clip}", line_art_loss=0.2 + changes.get(name, np.zeros(8))[clip]) for clip in range(8)
        ]
        for name in NAMES
    }
    return ablation.effects(after | {"as published": before})


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
        assert "- **sharper file** changes no metric" in in_words(effects)
        for name, settings in (("sharper file", {}), ("as published", {}), ("new", {"nothing": 1})):
            with pytest.raises(ParameterError):
                ablation.register(ablation.Mitigation(name, settings))
    finally:
        ablation.unregister("sharper file")
    assert ablation.mitigations() == ablation.MITIGATIONS


def test_effects_are_those_of_the_frames_that_both_know_on_every_metric():
    number = np.arange(100)
    before = evaluated_case(scores={"syncnet_distance": 0.5}, boundary_artifact=8.0 + number % 2, ghosting=1.0)
    after = evaluated_case(
        scores={"syncnet_distance": 0.25}, boundary_artifact=np.where(number < 50, 2.0, NAN), not_generated=0.0
    )
    effects = ablation.effects(dict.fromkeys(NAMES, [after]) | {"as published": [before]})
    assert effects.columns.tolist() == list(ablation.COLUMNS)
    known = {metric.name for metric in registry.metrics()} | {"not_generated", *ablation.SCORES}
    for _, rows in effects.groupby("mitigation"):
        assert set(rows["metric"]) == known
    rows = effects[effects["mitigation"] == "soft edge"].set_index("metric")
    assert rows.loc["boundary_artifact", ["clip", "domain", "before", "after"]].tolist() == [
        "toon",
        "animation",
        8.5,
        2,
    ]
    assert rows.loc["syncnet_distance", ["before", "after"]].tolist() == [0.5, 0.25]
    assert rows.loc[["ghosting", "not_generated", "line_art_loss"], ["before", "after"]].isna().all().all()


def test_the_summary_is_over_clips_in_units_of_the_threshold():
    change = np.random.default_rng(0).normal(0.1, 0.02, 8)
    effects = clips({"soft edge": -change, "boxes smoothed": change, "all combined": -2 * change})
    table = ablation.summary(effects)
    assert table.columns.tolist() == list(ablation.SUMMARY)
    rows = table[table["metric"] == "line_art_loss"].set_index("mitigation")
    soft = rows.loc["soft edge"]
    assert (soft["label"], soft["threshold"], soft["n"], soft["reason"]) == ("line-art loss", 0.25, 8, "")
    assert (soft["before"], soft["difference"]) == pytest.approx((0.2, -change.mean()))
    assert soft["change"] == pytest.approx(-change.mean() / 0.25)
    assert rows.loc["boxes smoothed", "change"] == pytest.approx(change.mean() / 0.25)  # worse
    reference = stats.permutation_test((change,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert soft["p"] == pytest.approx(reference.pvalue)
    assert soft["low"] < soft["difference"] < soft["high"] < 0
    assert sorted(soft["individual"]) == pytest.approx(sorted(-change))
    assert rows.loc["one mouth per hold", ["difference", "reason"]].tolist() == [
        0,
        "both sides are equal in every clip",
    ]
    absent = table[(table["mitigation"] == "soft edge") & (table["metric"] == "ghosting")].iloc[0]
    assert np.isnan(absent["change"])
    assert absent["reason"] == "n = 0: individual values are shown instead"


def test_cells_that_the_settings_satisfy_are_marked():
    table = ablation.summary(clips({}))
    marked = {(row.mitigation, row.metric) for row in table[table["by_construction"]].itertuples()}
    of_holds = {"mouth_change_during_hold", "box_jitter_on_holds", "temporal_flicker"}
    assert marked == {
        *(("all combined", name) for name in of_holds | {"boundary_artifact", "not_generated"}),
        *(("one mouth per hold", name) for name in of_holds),
        ("soft edge", "boundary_artifact"),
        ("dropouts interpolated", "not_generated"),
    }


def test_interactions_are_the_combined_effect_less_the_sum_of_the_single_ones():
    rng = np.random.default_rng(1)
    soft, smooth = rng.normal(-0.05, 0.01, 8), rng.normal(0.02, 0.01, 8)
    together = soft + smooth + np.arange(1, 9) / 100
    table = ablation.interactions(clips({"soft edge": soft, "boxes smoothed": smooth, "all combined": together}))
    row = table.loc["line_art_loss"]
    assert (row["sum"], row["combined"]) == pytest.approx(((soft + smooth).mean(), together.mean()))
    assert row["interaction"] == pytest.approx(0.045)
    assert (row["n"], row["p"]) == (8, 2 / 2**8)
    assert 0 < row["low"] < 0.045 < row["high"]
    added = ablation.interactions(clips({"soft edge": soft, "all combined": soft}))
    assert added.loc["line_art_loss", "interaction"] == pytest.approx(0)


def test_findings_name_what_gets_better_and_what_gets_worse():
    change = np.arange(10, 18) / 100
    changes = {"soft edge": -change, "boxes smoothed": 2 * change, "all combined": change / 2}
    text = in_words(clips(changes)).splitlines()
    assert text[:3] == [
        "- **dropouts interpolated** changes no metric by 1% of its threshold.",
        "- **boxes smoothed** (n = 8 clips): better in no metric; **worse** in line-art loss 0.2 to 0.47.",
        "- **soft edge** (n = 8 clips): better in line-art loss 0.2 to 0.065; **worse** in no metric.",
    ]
    sums = "where the single effects add up to +0.135 (n = 8 clips)."
    assert f"- Together: all combined change line-art loss by +0.0675, {sums}" in text
    effects = clips({"soft edge": change, "boxes smoothed": -change})
    table = ablation.summary(effects)
    table["p_adjusted"] += 0.2
    text = findings.of_mitigations(table, ablation.interactions(effects), ablation.filled()).splitlines()
    assert "; not established, worse by its interval alone: line-art loss 0.2 to 0.335." in text[2]
    assert text[1] == "- **boxes smoothed** (n = 8 clips): better in no metric; **worse** in no metric."


def test_by_clip_shows_each_clip_of_what_changes():
    change = np.linspace(0.1, 0.2, 8)
    effects = clips({"soft edge": change})
    table = ablation.by_clip(effects, ablation.summary(effects))
    assert table.index.tolist() == [("soft edge", "line-art loss")]  # nothing else changes
    assert table.loc[("soft edge", "line-art loss")].to_numpy() == pytest.approx(change)


def test_findings_of_few_clips_name_the_largest_changes_without_a_test():
    before = dict.fromkeys(("boundary_artifact", "colour_shift", "ghosting", "line_art_loss", "realism_loss"), 1.0)
    # in units of the thresholds: 2, 1, 0.4, 0.2 worse, and 1 better
    after = {"boundary_artifact": 9.0, "colour_shift": 4.0, "ghosting": 1.1, "line_art_loss": 1.05, "realism_loss": 0.5}
    cases = {"before": evaluated_case(**before), "after": evaluated_case(scores={"syncnet_distance": 2.0}, **after)}
    effects = ablation.effects(dict.fromkeys(NAMES, [cases["after"]]) | {"as published": [cases["before"]]})
    text = findings.of_mitigations(ablation.summary(effects), ablation.interactions(effects)).splitlines()
    assert len(text) == len(NAMES) - 1
    assert text[1] == (
        "- **boxes smoothed** (n = 1 clip, too few for a test): better in realism loss 1 to 0.5; **worse** in boundary "
        "artifact 1 to 9; colour shift 1 to 4; ghosting 1 to 1.1."
    )


def test_the_bundled_effects_are_eight_clips_of_animation_by_every_mitigation():
    effects, cost = ablation.bundled(), ablation.bundled_cost()
    assert set(effects["domain"]) == {"animation"}
    assert effects["clip"].nunique() == 8
    assert list(dict.fromkeys(effects["mitigation"])) == NAMES[1:]
    assert cost.index.tolist() == NAMES
    assert (cost > 0).all()
    table = ablation.summary(effects).set_index(["mitigation", "metric"])
    assert table.loc[("soft edge", "line_art_loss"), "high"] < 0
    # the preset blends the boundary away and holds the mouth, which is not a finding
    assert table.loc[("all combined", "boundary_artifact"), "by_construction"]


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
