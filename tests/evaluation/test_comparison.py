"""Comparison: the tables of effects by hand, and the level of the tests and intervals under a simulated null."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import comparison, matched, resampling
from lipsync_lab.generation.cel.generator import Cel
from lipsync_lab.metrics import failures
from lipsync_lab.settings import PRESETS, Settings

NAN = float("nan")
#: Metrics and thresholds that the tables below use.
BOUNDARY, LINES = failures.kind("boundary artifact"), failures.kind("line-art loss")


def frames(differences: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Frames of matched pairs: line-art loss of animation is the difference above the other's, which is 0.3 on average.

    The two clips of a pair have different numbers of frames, and frames of the counterpart vary much more.
    """
    rng, rows = np.random.default_rng(seed), []
    for pair, difference in enumerate(differences):
        for domain, mean, spread, count in (("animation", 0.3 + difference, 0.01, 5), ("live_action", 0.3, 5.0, 9)):
            noise = rng.normal(0, spread, count)
            values = mean + noise - noise.mean()
            rows += [(f"{domain}{pair}", domain, f"pair {pair}", frame, value) for frame, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["clip", "domain", "pair", "frame", "line_art_loss"])


def test_an_effect_is_that_of_pairs_and_not_of_frames():
    differences = np.random.default_rng(1).normal(0.1, 0.1, 9)
    table = frames(differences)
    effects = comparison.matched(table)
    assert effects.columns.tolist() == list(comparison.COLUMNS)
    [row] = effects.to_dict("records")
    assert (row["metric"], row["label"], row["unit"]) == ("line_art_loss", LINES.failure, LINES.unit)
    assert (row["threshold"], row["n"], row["against"], row["by"]) == (0.25, 9, "live_action", "pair")
    assert (row["animation"], row["other"]) == pytest.approx((0.3 + differences.mean(), 0.3))
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["ratio"] == pytest.approx(row["animation"] / 0.3)
    assert sorted(row["individual"]) == pytest.approx(sorted(differences))
    reference = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert row["p"] == row["p_adjusted"] == pytest.approx(reference.pvalue)
    assert row["low"] < row["difference"] < row["high"]
    assert (row["reason"], row["by_construction"]) == ("", False)
    pd.testing.assert_frame_equal(effects, comparison.matched(table.sample(frac=1, random_state=1)))


def test_one_row_a_clip_gives_the_same_as_its_frames():
    table = frames(np.arange(8) / 10)
    clips = table.groupby(["clip", "domain", "pair"], as_index=False)["line_art_loss"].mean()
    pd.testing.assert_frame_equal(comparison.matched(table), comparison.matched(clips))


@pytest.mark.parametrize("units", [1, 5, 7])
def test_few_units_have_individual_values_and_no_interval(units):
    differences = np.arange(1.0, 1 + units)
    [row] = comparison.matched(frames(differences)).to_dict("records")
    assert row["reason"] == f"n = {units}: individual values are shown instead"
    assert np.isnan([row[name] for name in ("low", "high", "p", "p_adjusted")]).all()
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["individual"] == pytest.approx(differences)


def bundled(rows: list[tuple]) -> pd.DataFrame:
    columns = ["pair", "speaker", "metric", "animation", "live_action", "unit"]
    return pd.DataFrame(rows, columns=columns)


def test_pairs_of_one_speaker_count_once():
    own = np.random.default_rng(3).normal(0.5, 1, 8)
    # the first speaker has nine more pairs, with differences of its own
    more = own[0] + np.arange(-4, 5) * 3.0
    rows = [(f"p{i}", f"s{i}", "boundary_artifact", 2 + d, 2.0, "x") for i, d in enumerate(own)]
    rows += [(f"q{i}", "s0", "boundary_artifact", 2 + d, 2.0, "x") for i, d in enumerate(more)]
    [row] = comparison.matched(bundled(rows), by="speaker").to_dict("records")
    assert (row["n"], row["by"]) == (8, "speaker")
    assert row["difference"] == pytest.approx(own.mean())
    assert row["p"] == pytest.approx(stats.permutation_test((own,), np.mean, permutation_type="samples").pvalue)
    assert comparison.matched(bundled(rows)).loc[0, "n"] == 17


def test_a_value_that_one_side_lacks_takes_its_pair_out_of_that_metric_alone():
    table = bundled(
        [(f"p{i}", "s", "boundary_artifact", 5.0 + i, NAN if i == 3 else 2.0, "x") for i in range(9)]
        + [(f"p{i}", "s", "line_art_loss", 0.5 + i, 0.1, "x") for i in range(9)]
        + [(f"p{i}", "s", "mouth_change_during_hold", 0.5, NAN, "x") for i in range(9)]
        + [(f"p{i}", "s", "identity_switch", 0.5, 0.5, "x") for i in range(9)]
    )
    rows = comparison.matched(table).set_index("metric")
    assert rows["n"].to_dict() == {
        **{"line_art_loss": 9, "boundary_artifact": 8},
        **{"identity_switch": 9, "mouth_change_during_hold": 0},
    }
    assert rows.loc["boundary_artifact", "animation"] == pytest.approx(np.mean([5, 6, 7, 9, 10, 11, 12, 13]))
    reason = rows.loc["mouth_change_during_hold", "reason"]
    assert reason == "defined in 9 of 9 clips of animation, in 0 of live action"
    assert rows.loc["mouth_change_during_hold", ["animation", "other", "difference"]].isna().all()
    # nothing differs: no interval of width 0
    assert rows.loc["identity_switch", "reason"] == "both sides are equal in every pair"
    assert rows.loc["identity_switch", ["low", "high", "p"]].isna().all()


def test_rows_are_sorted_in_units_of_the_threshold_and_scores_without_one_are_last():
    table = bundled(
        [
            (f"p{i}", "s", metric, 1.0 + by, 1.0, unit)
            for i in range(8)
            for metric, by, unit in (
                *(("boundary_artifact", -2.0, "?"), ("line_art_loss", 0.5, "?")),
                *(("lse_c", 70.0, "?"), ("own_metric", 1.0, "beats")),
            )
        ]
    )
    assert comparison.matched(table)["metric"].tolist() == ["line_art_loss", "boundary_artifact"]  # 2, then 0.5
    rows = comparison.matched(table, metrics=["own_metric", "boundary_artifact", "lse_c", "line_art_loss"])
    assert rows["metric"].tolist() == ["line_art_loss", "boundary_artifact", "own_metric", "lse_c"]
    assert rows["unit"].tolist() == [LINES.unit, BOUNDARY.unit, "beats", "embedding distance"]
    assert rows["threshold"].isna().tolist() == [False, False, True, True]
    assert np.isnan(rows.loc[1, "ratio"])  # -1 over 1
    assert rows.loc[0, "ratio"] == 1.5


def test_the_adjusted_p_values_are_those_of_joint_flips():
    rng = np.random.default_rng(2)
    apart = rng.normal([3, 0.5, 0], 1, (8, 3))
    names = ["boundary_artifact", "line_art_loss", "colour_shift"]
    table = bundled(
        [(f"p{i}", "s", name, value, 0.0, "") for i in range(8) for name, value in zip(names, apart[i], strict=True)]
    )
    rows = comparison.matched(table).set_index("metric")
    flips = resampling.sign_flips(8)
    assert rows.loc[names, "p_adjusted"].tolist() == pytest.approx(resampling.step_down(apart, flips).tolist())
    assert rows.loc[names, "p"].tolist() == pytest.approx(resampling.sign_flip(apart, flips).p.tolist())


def test_columns_that_are_not_there_are_named():
    table = frames(np.ones(8))
    for call in (
        lambda: comparison.matched(table, by="speaker"),
        lambda: comparison.matched(table, metrics=["speaker"]),
        lambda: comparison.independent(table, by="speaker"),
        lambda: comparison.matched(bundled([]).drop(columns="speaker"), by="speaker"),
    ):
        with pytest.raises(ParameterError, match="no column speaker"):
            call()


def test_clips_without_pairs_have_no_effect_and_the_reason():
    table = frames(np.ones(8)).assign(pair="")
    [row] = comparison.matched(table).to_dict("records")
    assert row["against"] == "live_action"
    assert (row["n"], row["reason"]) == (0, "there is no matched pair")


def test_two_groups_are_compared_by_clips():
    rng = np.random.default_rng(4)
    levels = {"animation": rng.normal(1, 0.3, 8), "live_action": rng.normal(0.2, 0.1, 11)}
    rows = [
        (f"{domain}{clip}", domain, level + step)
        for domain, values in levels.items()
        for clip, level in enumerate(values)
        for step in (-0.1, 0.1)
    ]
    table = pd.DataFrame(rows, columns=["clip", "domain", "line_art_loss"]).assign(ghosting=NAN, colour_shift=2.0)
    effects = comparison.independent(table).set_index("metric")
    row = effects.loc["line_art_loss"]
    assert (row["n"], row["n_other"], row["individual"]) == (8, 11, ())
    expected = resampling.studentised(levels["animation"], levels["live_action"])
    assert (row["p"], row["low"], row["high"]) == pytest.approx(tuple(expected))
    assert row["p_adjusted"] == pytest.approx(min(1, row["p"] * 2))  # Holm's, of two that are tested
    assert effects.loc["ghosting", "reason"] == "n = 0: individual values are shown instead"
    assert effects.loc["colour_shift", "reason"] == "neither side varies"
    few = comparison.independent(table[table["clip"] != "animation3"]).set_index("metric")
    assert few.loc["line_art_loss", "reason"] == "n = 7: individual values are shown instead"
    assert np.isnan(few.loc["line_art_loss", "p"])


def test_what_settings_satisfy_by_construction_is_marked():
    assert comparison.by_construction(Settings()) == {"boundary_artifact"}
    assert comparison.by_construction(Settings(feather=0.0)) == frozenset()
    animation = comparison.by_construction(Settings.of({}, preset="animation"))
    of_holds = {"mouth_change_during_hold", "box_jitter_on_holds", "temporal_flicker"}
    assert animation == {"boundary_artifact", "not_generated"} | of_holds
    assert comparison.by_construction(Settings(mouth_cadence="holds", feather=0.0)) == of_holds
    assert set(PRESETS["animation"]) >= {"feather", "mouth_cadence", "dropouts"}
    rows = comparison.matched(frames(np.ones(8)), by_construction={"line_art_loss"})
    assert rows["by_construction"].tolist() == [True]


def test_the_bundled_pairs_have_eight_speakers():
    rows = comparison.matched(matched.bundled(), by="speaker").set_index("metric")
    assert rows["n"].max() == 8
    assert rows.loc["boundary_artifact", "low"] > 0
    assert rows["p_adjusted"].min() == 2 / 2**8


# The null: nothing differs, and the report must say so in 95 % of the cases.
TRIALS = 2000
NULLS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "difference of two log-normals": lambda rng, shape: rng.lognormal(size=shape) - rng.lognormal(size=shape),
    "Student's t, 2 degrees of freedom": lambda rng, shape: rng.standard_t(2, size=shape),
}


def excluded(values: np.ndarray) -> np.ndarray:
    """Whether the interval that the report prints excludes 0, a column a trial."""
    flips = resampling.sign_flips(len(values), 999)
    batches = np.array_split(values, 10, axis=1)
    limits = [resampling.sign_flip(batch, flips)[1:] for batch in batches]
    return np.concatenate([(low > 0) | (high < 0) for low, high in limits])


@pytest.mark.parametrize("units", [8, 16, 32])
@pytest.mark.parametrize("null", NULLS)
def test_under_the_null_intervals_exclude_zero_in_one_of_twenty_trials(null, units):
    values = NULLS[null](np.random.default_rng(units), (units, TRIALS))
    assert 0.03 <= excluded(values).mean() <= 0.07


@pytest.mark.parametrize("units", [8, 16, 32])
def test_under_the_null_one_of_twenty_tables_has_a_difference(units):
    """As `matched` does it: 12 correlated metrics, of which one is undefined in a unit."""
    rng, flips, false = np.random.default_rng(units), resampling.sign_flips(units, 499), 0
    for _ in range(TRIALS):
        values = rng.normal(size=(units, 1)) + rng.normal(size=(units, 12))
        values[0, 5] = NAN
        false += resampling.step_down(values, flips).min() <= comparison.ALPHA
    assert 0.03 <= false / TRIALS <= 0.07


def test_what_is_simulated_is_what_the_table_prints():
    values = np.random.default_rng(9).normal(0.3, 1, 8)
    [row] = comparison.matched(frames(values)).to_dict("records")
    assert excluded(values[:, None])[0] == (row["low"] > 0 or row["high"] < 0)
    numbers = comparison.infer(values[:, None])
    assert (row["low"], row["high"]) == pytest.approx((numbers["low"][0], numbers["high"][0]))


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bootstraps_are_too_narrow_for_eight_units(method):
    rng = np.random.default_rng(8)
    values = rng.normal(size=(8, 600))
    limits = stats.bootstrap((values.T,), np.mean, axis=-1, n_resamples=499, method=method, rng=rng).confidence_interval
    assert ((limits.low > 0) | (limits.high < 0)).mean() > 0.08
    assert excluded(values).mean() <= 0.07


def test_an_asymmetric_null_is_not_held():
    """The limit that the documentation states."""
    values = np.random.default_rng(0).lognormal(size=(8, TRIALS)) - math.exp(0.5)
    assert excluded(values).mean() > 0.1


def test_two_groups_of_unequal_spread_hold_the_level_about():
    rng, false = np.random.default_rng(0), 0
    for trial in range(600):
        result = resampling.studentised(rng.normal(size=12), 3 * rng.normal(size=12), resamples=199, seed=trial)
        false += result.low > 0 or result.high < 0
    assert 0.03 <= false / 600 <= 0.08


def test_cel_keeps_holds_by_construction_and_has_no_soft_edge():
    soft, instead = Settings(feather=0.1), Cel.instead
    assert "boundary_artifact" in comparison.by_construction(soft)
    assert "mouth_change_during_hold" not in comparison.by_construction(soft)
    assert "boundary_artifact" not in comparison.by_construction(soft, instead)
    assert "mouth_change_during_hold" in comparison.by_construction(soft, instead)
