"""Closures in `benchmarks/visemes.py`: met and false ones against a count in steps of a millisecond."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lipsync_lab.generation.cel import timing
from lipsync_lab.generation.cel.shapes import CHART, CLOSED, SHAPES
from lipsync_lab.synthesis.visemes import Key, Timeline

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("visemes_benchmark", ROOT / "benchmarks" / "visemes.py")
    module = sys.modules["visemes_benchmark"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_shapes(random, what, begin=0.0):
    """Spans of 30 to 200 ms with random shapes, closed ones at least as often as open ones."""
    edges = begin + np.cumsum(random.integers(3, 21, 30)) * 0.01
    letters = [random.choice(list("AX") if random.random() < 0.5 else list(SHAPES)) for _ in edges[1:]]
    return [
        what(float(start), float(end), CHART[letter])
        for start, end, letter in zip(edges, edges[1:], letters, strict=False)
    ]


def times(start: float, end: float, wider: float = 0.0) -> set[int]:
    """The milliseconds between two times, by their number."""
    return set(range(round(1000 * (start - wider)), round(1000 * (end + wider))))


@pytest.mark.parametrize("seed", range(6))
def test_closures_are_those_of_a_count_by_milliseconds(benchmark, seed):
    random = np.random.default_rng(seed)
    keys, drawings = random_shapes(random, Key), random_shapes(random, timing.Cue, 0.005)
    truth = Timeline(tuple(keys), (), keys[-1].end)
    shown = [(times(cue.start, cue.end), cue.shape.shape in CLOSED) for cue in drawings]
    met = [
        any(closed and at & times(key.start, key.end, benchmark.TOLERANCE) for at, closed in shown)
        for key in keys
        if key.pose.shape == "A"
    ]
    assert [each for _, each in benchmark.closures(drawings, truth)] == met
    true = set().union(*(times(key.start, key.end, benchmark.TOLERANCE) for key in keys if key.pose.shape in CLOSED))
    false = [not at & true for at, closed in shown if closed]
    assert benchmark.false_closures(drawings, truth) == (sum(false), len(false))
    assert sum(met) > 0
    assert len(false) > sum(false)


def test_a_mouth_that_never_closes_has_no_false_closure_and_one_that_never_opens_misses_none(benchmark):
    keys = (Key(0.0, 0.5, CHART["D"]), Key(0.5, 0.6, CHART["A"]), Key(0.6, 2.0, CHART["D"]))
    truth = Timeline(keys, (), 2.0)
    edges = np.arange(0, 2, 0.08)
    open_, closed = (
        [timing.Cue(float(start), float(start) + 0.08, CHART[letter]) for start in edges] for letter in "DA"
    )
    assert [met for _, met in benchmark.closures(open_, truth)] == [False]
    assert benchmark.false_closures(open_, truth) == (0, 0)
    assert [met for _, met in benchmark.closures(closed, truth)] == [True]
    # drawings from 0.40, 0.48, 0.56 and (within 0.04 s) begin before 0.64 and end after 0.46: three of 25
    assert benchmark.false_closures(closed, truth) == (22, 25)
