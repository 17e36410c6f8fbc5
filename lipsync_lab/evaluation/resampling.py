"""Tests and intervals that hold their level at small n: arrays in, arrays out.

Matched pairs: the sign-flip test, its inversion to an interval (Hartigan 1969, "Using subsample values as typical
values", JASA 64), and joint sign flips of several metrics (Westfall & Young 1993, "Resampling-based multiple testing",
step-down maxT). Two groups: the studentised permutation test (Janssen 1997, Statistics & Probability Letters 36;
Neubert & Brunner 2007, Computational Statistics & Data Analysis 51).

The sign-flip test is exact where, without an effect, a pair's difference is as likely as its negative. With 8 to 32
units its 95 % interval misses the true value in 4.5 to 5.1 % of 10,000 trials, for three symmetric distributions; the
percentile bootstrap does in 6.5 to 13.5 %, BCa in 6.6 to 18.0 %. It does not hold for an asymmetric distribution: 15.8,
14.4 and 11.4 % for a log-normal minus its mean, with 8, 16 and 32 units (`benchmarks/null_simulation.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: With fewer units no interval and no p value is computed.
MIN_UNITS = 8
#: With more units, sign flips are sampled: 2048 different ones are all that 12 units have.
EXACT_UNITS = 12
RESAMPLES = 9999
LEVEL = 0.95
#: Sums that differ by rounding alone are equal, in units of the sum of the magnitudes.
_EQUAL = 1e-12


class Tested(NamedTuple):
    """The p value of no difference, and the interval of the difference; floats, or arrays of one number a column."""

    p: np.ndarray
    low: np.ndarray
    high: np.ndarray


def sign_flips(units: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Which units have their sign flipped, a row a flip; the first row flips none.

    Up to `EXACT_UNITS` units these are all flips that keep the first unit's sign (a flip of every sign changes no
    two-sided test); of more units it is a sample.

    Returns
    -------
    ndarray, bool, (2 ** (units - 1), units) or (1 + resamples, units)
    """
    if units <= EXACT_UNITS:
        numbers = np.arange(2 ** max(0, units - 1))
        return (numbers[:, None] >> np.arange(units - 1, -1, -1)) % 2 == 1
    flips = np.random.default_rng(seed).random((1 + resamples, units)) < 0.5
    flips[0] = False
    return flips


def sign_flip(differences: np.ndarray, flips: np.ndarray, level: float = LEVEL) -> Tested:
    """The two-sided sign-flip test of every column, and the interval of the values that it does not reject.

    A flip of the subset S of units makes the sum of d - mu as extreme as it is where the mean of d over S or over
    its complement is at most mu. The interval therefore lies between order statistics of the means of subsets; it
    excludes 0 exactly where p is at most 1 - level.

    Parameters
    ----------
    differences : ndarray, float, (n, m)
        A row per unit, a column per metric; NaN where a unit has no value.
    flips : ndarray, bool, (r, n)
        Of `sign_flips`.
    level : float
        Coverage of the interval.

    Returns
    -------
    Tested of ndarray, float, (m,)
        Infinite limits where no flip is rare enough (five units or fewer at a level of 0.95).
    """
    values, known = np.nan_to_num(differences), ~np.isnan(differences)
    flipped, total, size = flips.astype(float), values.sum(axis=0), np.abs(values).sum(axis=0)
    sums, counts = flipped @ values, flipped @ known
    p = (np.abs(total - 2 * sums) >= np.abs(total) - _EQUAL * size).mean(axis=0)
    sums = np.concatenate([sums, total - sums])
    counts = np.concatenate([counts, known.sum(axis=0) - counts])
    sums[np.abs(sums) <= _EQUAL * size] = 0
    means = np.divide(sums, counts, where=counts > 0, out=np.full(sums.shape, np.nan))
    # an empty subset flips nothing, which is as extreme at either end
    rare = int((1 - level) * len(flips) * (1 + _EQUAL))
    low = np.partition(np.where(counts > 0, means, -np.inf), rare, axis=0)[rare]
    high = np.partition(np.where(counts > 0, means, np.inf), -1 - rare, axis=0)[-1 - rare]
    return Tested(p, low, high)


def step_down(differences: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """p values of the columns, adjusted for the number of columns by joint sign flips: step-down maxT.

    A unit's sign is flipped in all columns at once, so that correlated metrics cost less than by Holm's method. With
    eight units the least p value is 2/256, which Holm's method cannot bring under 0.05 for seven metrics; this one can.
    The statistic is the sum over the root of the sum of squares, which orders flips as Student's t does.

    Parameters
    ----------
    differences : ndarray, float, (n, m)
        As of `sign_flip`.
    flips : ndarray, bool, (r, n)
        Of `sign_flips`.

    Returns
    -------
    ndarray, float, (m,)
        The probability that at least one column without a difference is as extreme is at most p.
    """
    values = np.nan_to_num(differences)
    norm = np.sqrt((values**2).sum(axis=0))
    scaled = np.divide(values, norm, where=norm > 0, out=np.zeros_like(values))
    statistics = np.abs((1.0 - 2.0 * flips) @ scaled)
    order = np.argsort(-statistics[0], kind="stable")
    ordered = statistics[:, order]
    # of each column and those less extreme than it, the most extreme
    largest = np.maximum.accumulate(ordered[:, ::-1], axis=1)[:, ::-1]
    adjusted = np.maximum.accumulate((largest >= ordered[0] - 1e-9).mean(axis=0))
    return adjusted[np.argsort(order, kind="stable")]


def studentised(
    first: np.ndarray, second: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Tested:
    """The studentised permutation test of two groups' means, and the interval of the first less the second.

    Under unequal spreads it holds its level for large groups. In 10,000 trials of 8 against 20 normal values, the 95 %
    interval misses in 6.6 % where the 8 have three times the spread, and in 3.8 % where the 20 have it
    (`benchmarks/null_simulation.py`).

    Parameters
    ----------
    first, second : ndarray, float, (n,)
        Values of either group, two or more each.

    Returns
    -------
    Tested of float
        The interval is NaN where both groups have no spread.
    """
    # sorted, so that the order of the units changes nothing
    values, units = np.concatenate([np.sort(first), np.sort(second)]), len(first)
    drawn = np.random.default_rng(seed).random((resamples, len(values))).argsort(axis=1)
    drawn = np.concatenate([np.arange(len(values))[None], drawn])
    sides = values[drawn[:, :units]], values[drawn[:, units:]]
    difference = sides[0].mean(axis=1) - sides[1].mean(axis=1)
    error = np.sqrt(sum(side.var(axis=1, ddof=1) / side.shape[1] for side in sides))
    same = np.abs(difference) <= _EQUAL * np.abs(values).max()
    statistics = np.divide(np.abs(difference), error, where=error > 0, out=np.where(same, 0.0, np.inf))
    p = float((statistics >= statistics[0] * (1 - _EQUAL)).mean())
    rare = int((1 - level) * len(statistics) * (1 + _EQUAL))
    reach = np.partition(statistics[1:], -rare)[-rare] * error[0] if error[0] else np.nan
    return Tested(p, float(difference[0] - reach), float(difference[0] + reach))


def holm(p: np.ndarray) -> np.ndarray:
    """p values adjusted for their number by Holm's method (1979); NaN stays NaN and does not count.

    Examples
    --------
    >>> holm(np.array([0.04, 0.01, np.nan])).round(3).tolist()
    [0.04, 0.02, nan]
    """
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    out = np.full(len(p), np.nan)
    out[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return out
