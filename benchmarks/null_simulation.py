"""False positive rates of the report's tests and of bootstrap intervals where there is no difference.

    python benchmarks/null_simulation.py [--trials 10000] [--seed 0]

Prints, for 8, 16 and 32 units, the share of trials in which a 95 % interval excludes the true value:

- matched pairs (`evaluation.comparison.matched`): sign flips, beside the percentile and the BCa bootstrap of SciPy, for
  four distributions of a pair's difference with mean 0. The last is asymmetric, which sign flips do not allow;
- 15 metrics with a correlation of 0.5, none with a difference: the share of trials in which at least one has an
  adjusted p value of 0.05 or less, by joint sign flips (step-down maxT) and by Holm's method;
- two groups (`evaluation.comparison.independent`): the studentised permutation test, where the spreads are equal, and
  where one group's is three times the other's.

Takes about five minutes on one core.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

from lipsync_lab.evaluation import resampling

UNITS = (8, 16, 32)
METRICS, CORRELATION = 15, 0.5
#: Flips or permutations of a trial. The report samples more (`resampling.RESAMPLES`), with the same level.
RESAMPLES = 999
#: Trials at a time, for their memory.
BATCH = 100
#: Distributions of a difference whose mean is 0.
NULLS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "difference of two log-normals": lambda rng, shape: rng.lognormal(size=shape) - rng.lognormal(size=shape),
    "Student's t, 2 degrees of freedom": lambda rng, shape: rng.standard_t(2, size=shape),
    "log-normal minus its mean (asymmetric)": lambda rng, shape: rng.lognormal(size=shape) - math.exp(0.5),
}
#: Units and standard deviations of two groups.
GROUPS = {
    "8 and 8, equal spread": ((8, 1), (8, 1)),
    "8 and 20, equal spread": ((8, 1), (20, 1)),
    "8 and 20, three times the spread in the larger": ((8, 1), (20, 3)),
    "8 and 20, three times the spread in the smaller": ((8, 3), (20, 1)),
    "20 and 20, three times the spread in one": ((20, 3), (20, 1)),
}


def batches(values: np.ndarray):
    """Differences (units, trials), some trials at a time."""
    return np.array_split(values, math.ceil(values.shape[1] / BATCH), axis=1)


def sign_flip(values: np.ndarray) -> float:
    """Share of the trials (units, trials) whose interval by sign flips excludes 0."""
    flips = resampling.sign_flips(len(values), RESAMPLES)
    limits = [resampling.sign_flip(batch, flips)[1:] for batch in batches(values)]
    return float(np.concatenate([(low > 0) | (high < 0) for low, high in limits]).mean())


def bootstrap(values: np.ndarray, method: str, rng: np.random.Generator) -> float:
    """Share of the trials (units, trials) whose bootstrap interval of the mean excludes 0."""
    out = []
    for batch in batches(values):
        data = (np.ascontiguousarray(batch.T),)
        limits = stats.bootstrap(data, np.mean, axis=-1, n_resamples=RESAMPLES, method=method, rng=rng)
        out.append((limits.confidence_interval.low > 0) | (limits.confidence_interval.high < 0))
    return float(np.concatenate(out).mean())


def families(units: int, trials: int, rng: np.random.Generator) -> tuple[float, float]:
    """Share of the families of metrics with a false positive, by joint sign flips and by Holm's method."""
    flips, false = resampling.sign_flips(units, RESAMPLES), np.zeros(2)
    for _ in range(trials):
        common, own = rng.normal(size=(units, 1)), rng.normal(size=(units, METRICS))
        values = math.sqrt(CORRELATION) * common + math.sqrt(1 - CORRELATION) * own
        by_holm = resampling.holm(resampling.sign_flip(values, flips).p)
        false += [each.min() <= 0.05 for each in (resampling.step_down(values, flips), by_holm)]
    return tuple((false / trials).tolist())


def two_groups(groups, trials: int, rng: np.random.Generator) -> float:
    """Share of the trials whose interval for two groups excludes 0."""
    false = 0
    for trial in range(trials):
        first, second = (rng.normal(0, spread, units) for units, spread in groups)
        result = resampling.studentised(first, second, resamples=RESAMPLES, seed=trial)
        false += result.low > 0 or result.high < 0
    return false / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, trials = np.random.default_rng(arguments.seed), arguments.trials

    print(f"False positives in {trials} trials, %\n")
    print(f"{'matched pairs':40} units  sign flips  percentile   BCa")
    for name, draw in NULLS.items():
        for units in UNITS:
            values = draw(rng, (units, trials))
            rates = [sign_flip(values), *(bootstrap(values, method, rng) for method in ("percentile", "BCa"))]
            print(
                f"{name:40} {units:5}  {100 * rates[0]:10.1f}  {100 * rates[1]:10.1f} {100 * rates[2]:5.1f}", flush=True
            )
    print(f"\n{f'{METRICS} metrics, at least one':40} units  joint flips        Holm")
    for units in UNITS:
        joint, by_holm = families(units, trials, rng)
        print(f"{'normal, correlation 0.5':40} {units:5}  {100 * joint:11.1f}  {100 * by_holm:10.1f}", flush=True)
    print(f"\n{'two groups':48} studentised permutation")
    for name, groups in GROUPS.items():
        print(f"{name:48} {100 * two_groups(groups, trials, rng):23.1f}", flush=True)


if __name__ == "__main__":
    main()
