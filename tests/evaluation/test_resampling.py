"""Tests of matched pairs and of two groups: against SciPy's, against intervals by search, and under the null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lipsync_lab.evaluation import resampling


def scipy_p(differences: np.ndarray) -> float:
    """The exact sign-flip test of a mean, by SciPy."""

    def mean(values, axis=-1):
        return values.mean(axis=axis)

    return stats.permutation_test(
        (differences,), mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue


@pytest.mark.parametrize("units", [8, 9, 12])
def test_p_values_are_those_of_scipy(units):
    values = np.random.default_rng(units).normal(0.4, 1, (units, 5))
    values[:, 3] = np.round(values[:, 3])  # with ties
    values[:, 4] = np.abs(values[:, 4])  # the most extreme of all flips
    got = resampling.sign_flip(values, resampling.sign_flips(units)).p
    assert got == pytest.approx([scipy_p(column) for column in values.T], abs=1e-12)
    assert got[4] == 2 / 2**units


def test_sampled_flips_come_close_to_all_of_them():
    values = np.random.default_rng(1).normal(0.5, 1, (14, 4))
    got = resampling.sign_flip(values, resampling.sign_flips(14)).p
    assert got == pytest.approx([scipy_p(column) for column in values.T], abs=0.01)
    assert resampling.sign_flips(14)[0].sum() == 0
    np.testing.assert_array_equal(resampling.sign_flips(14), resampling.sign_flips(14))
    assert (resampling.sign_flips(14, seed=1) != resampling.sign_flips(14)).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_what_scipys_test_does_not_reject(seed):
    values = np.random.default_rng(seed).standard_t(2, 8) + 0.5
    _, [low], [high] = resampling.sign_flip(values[:, None], resampling.sign_flips(8))
    step = 1e-6
    assert scipy_p(values - (low + step)) > 0.05 >= scipy_p(values - (low - step))
    assert scipy_p(values - (high - step)) > 0.05 >= scipy_p(values - (high + step))


def test_the_interval_excludes_zero_exactly_where_p_is_small():
    rng = np.random.default_rng(5)
    for units in (8, 20):
        values = np.round(rng.normal(0.5, 1, (units, 400)), 1)
        p, low, high = resampling.sign_flip(values, resampling.sign_flips(units, 999))
        np.testing.assert_array_equal((low > 0) | (high < 0), p <= 0.05)
        assert 0.05 < (p <= 0.05).mean() < 0.95


def test_units_without_a_value_do_not_count():
    values = np.random.default_rng(2).normal(1, 1, (9, 2))
    values[4, 1] = np.nan
    p, low, high = resampling.sign_flip(values, resampling.sign_flips(9))
    alone = resampling.sign_flip(np.delete(values[:, 1:], 4, axis=0), resampling.sign_flips(8))
    assert (p[1], low[1], high[1]) == pytest.approx((alone.p[0], alone.low[0], alone.high[0]))
    assert p[1] == pytest.approx(scipy_p(np.delete(values[:, 1], 4)))


def test_few_units_have_no_interval_at_all():
    _, low, high = resampling.sign_flip(np.arange(1.0, 6)[:, None], resampling.sign_flips(5))
    assert (low[0], high[0]) == (-np.inf, np.inf)


def brute_force_step_down(values: np.ndarray) -> np.ndarray:
    """Westfall and Young's step-down maxT by Student's t, a flip and a hypothesis at a time."""
    units, metrics = values.shape
    signs = 1 - 2 * np.array(np.meshgrid(*[[0, 1]] * units)).reshape(units, -1).T
    t = np.array([np.abs(stats.ttest_1samp(values * row[:, None], 0).statistic) for row in signs])
    observed = np.abs(stats.ttest_1samp(values, 0).statistic)
    order, adjusted, least = np.argsort(-observed), np.empty(metrics), 0.0
    for rank, column in enumerate(order):
        rest = order[rank:]
        p = (t[:, rest].max(axis=1) >= observed[column] - 1e-9).mean()
        adjusted[column] = least = max(least, p)
    return adjusted


def test_joint_flips_give_westfalls_and_youngs_p_values():
    values = np.random.default_rng(3).normal([1.5, 0, 0.8, 0.3, 0], 1, (8, 5))
    got = resampling.step_down(values, resampling.sign_flips(8))
    assert got == pytest.approx(brute_force_step_down(values))
    assert (got >= resampling.sign_flip(values, resampling.sign_flips(8)).p - 1e-12).all()


def test_eight_units_establish_many_metrics_jointly_and_none_by_holm():
    values = np.random.default_rng(4).normal(5, 1, (8, 12))
    flips = resampling.sign_flips(8)
    assert resampling.step_down(values, flips).max() < 0.05
    assert resampling.holm(resampling.sign_flip(values, flips).p).min() > 0.05


def test_a_metric_that_never_differs_changes_no_p_value():
    values = np.random.default_rng(4).normal(1, 1, (8, 3))
    flips = resampling.sign_flips(8)
    with_zeros = resampling.step_down(np.column_stack([values, np.zeros(8)]), flips)
    assert with_zeros[:3] == pytest.approx(resampling.step_down(values, flips))
    assert with_zeros[3] == 1


def test_the_studentised_permutation_test_is_scipys():
    rng = np.random.default_rng(6)
    first, second = rng.normal(1, 3, 8), rng.normal(0, 1, 12)

    def welch(left, right, axis=-1):
        return stats.ttest_ind(left, right, axis=axis, equal_var=False).statistic

    reference = stats.permutation_test((first, second), welch, n_resamples=20000, vectorized=True, rng=rng)
    p, low, high = resampling.studentised(first, second)
    assert p == pytest.approx(reference.pvalue, abs=0.015)
    assert (low + high) / 2 == pytest.approx(first.mean() - second.mean())
    rarest = np.quantile(np.abs(reference.null_distribution), 0.95)
    reach = rarest * np.sqrt(first.var(ddof=1) / 8 + second.var(ddof=1) / 12)
    assert (high - low) / 2 == pytest.approx(reach, rel=0.05)


def test_the_studentised_interval_excludes_zero_exactly_where_p_is_small():
    rng, small = np.random.default_rng(7), []
    for _ in range(60):
        p, low, high = resampling.studentised(rng.normal(1, 1, 8), rng.normal(0, 1, 9), resamples=499)
        assert (low > 0 or high < 0) == (p <= 0.05)
        small.append(p <= 0.05)
    assert 0 < np.mean(small) < 1


def test_groups_without_spread_have_no_interval():
    p, low, high = resampling.studentised(np.ones(8), np.zeros(8), resamples=999)
    assert p == pytest.approx(1 / 1000, abs=0.002)
    assert np.isnan([low, high]).all()
    assert resampling.studentised(np.ones(8), np.ones(8), resamples=99).p == 1


def test_holm_is_that_of_the_definition():
    p = np.array([0.01, 0.04, 0.03, np.nan])
    assert resampling.holm(p)[:3].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(resampling.holm(p)[3])
    assert resampling.holm(np.array([0.9, 0.8])).tolist() == [1, 1]
