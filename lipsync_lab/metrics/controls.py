"""Scores of a clip and their null baselines: the same score with a sound that is unrelated to the lips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lipsync_lab.media.audio import SAMPLE_RATE

if TYPE_CHECKING:
    import pandas

#: Sound below this is silence, in decibels against full scale (root mean square).
SILENT_DB = -50.0
#: The clip's own sound, and the null baselines of every score: sounds that are unrelated to the lips.
INPUTS = ("dubbed", "shifted_audio", "shuffled_audio", "silent_audio")


class About(NamedTuple):
    """What a score is: its unit, which values are better ("lower", "higher", "near 0"), and its meaning."""

    unit: str
    better: str
    meaning: str


_PUBLISHED = "with the published syncnet_v2.model"
#: Every score by its name.
SCORES = {
    "syncnet_distance": About("1 - cosine", "lower", "Mean distance of lips and sound at the best offset"),
    "syncnet_confidence": About(
        "1 - cosine", "higher", "Median of the distances over all offsets, minus the least of them"
    ),
    "av_offset": About(
        "frames of 40 ms", "near 0", "The best offset, where it is reliable; positive: the sound comes too early"
    ),
    "syncnet_distance_at_zero": About("1 - cosine", "lower", "Mean distance of lips and sound without an offset"),
    "lse_d": About("embedding distance", "lower", f"LSE-D: the distance at the best offset {_PUBLISHED}"),
    "lse_c": About("embedding distance", "higher", f"LSE-C: the confidence {_PUBLISHED}"),
    "lse_av_offset": About("frames of 40 ms", "near 0", f"The best offset {_PUBLISHED}"),
    "lse_d_at_zero": About("embedding distance", "lower", f"The distance without an offset {_PUBLISHED}"),
    "openness_correlation": About("correlation", "higher", "Pearson's r of mouth openness and loudness at offset 0"),
    "openness_best": About("correlation", "higher", "The highest correlation of all offsets within 15 frames"),
    "openness_offset": About(
        "frames", "near 0", "Where that is, where it is reliable; positive: the sound comes too early"
    ),
    "silence_open": About("share of the silent frames", "lower", "Frames without sound in which the mouth is open"),
    "silence_moving": About("share of the silent frames", "lower", "Frames without sound in which the mouth moves"),
}
#: Unit of each score.
UNITS = {name: about.unit for name, about in SCORES.items()}


class Score(NamedTuple):
    """One number about a clip.

    Attributes
    ----------
    score : str
    value : float
        NaN where it is undefined.
    covered : float
        Share of the clip's frames that it rests on, 0 to 1.
    reason : str
        Why it is undefined; empty where it is not.
    """

    score: str
    value: float
    covered: float
    reason: str = ""


def scored(score: str, value: float, covered: float, reason: str) -> Score:
    """A score; an undefined one has coverage 0 and its reason, a defined one has no reason."""
    return Score(score, float(value), 0.0, reason) if np.isnan(value) else Score(score, float(value), float(covered))


def level(wave: np.ndarray, fps: float, frames: int) -> np.ndarray:
    """Loudness of each frame's piece of a sound.

    Parameters
    ----------
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1]; beyond its end there is silence.
    fps : float
        Frames a second.
    frames : int
        How many.

    Returns
    -------
    ndarray, float64, (frames,)
        Root mean square in decibels against full scale, at least -100.
    """
    borders = np.rint(np.arange(frames + 1) * SAMPLE_RATE / fps).astype(int)
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=float))])
    power = np.diff(power[borders.clip(0, len(wave))]) / np.diff(borders)
    return 10 * np.log10(power.clip(1e-10))


def control_inputs(wave: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """A sound and its controls, of the same length, by the names in `INPUTS`.

    The shifted one is rotated by half its length, which is beyond every offset that is tested; the shuffled one has its
    pieces of 0.2 s (`sync`'s windows) in another order, the rest stays at the end.
    """
    size = SAMPLE_RATE // 5
    whole = len(wave) // size * size
    pieces = wave[:whole].reshape(-1, size)
    order = np.random.default_rng(seed).permutation(len(pieces))
    shuffled = np.concatenate([pieces[order].ravel(), wave[whole:]])
    return dict(zip(INPUTS, (wave, np.roll(wave, round(len(wave) / 2)), shuffled, np.zeros_like(wave)), strict=True))


def with_controls(metric: Callable[[np.ndarray], Iterable[Score]], wave: np.ndarray, seed: int = 0) -> pandas.DataFrame:
    """Compute scores with the clip's own sound and with the null baselines.

    Parameters
    ----------
    metric : callable
        A waveform to `Score`s, such as ``lambda wave: measure_sync(lips, network, wave).scores``.
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1].
    seed : int
        Of the shuffling.

    Returns
    -------
    DataFrame
        One row per score and input: ``score``, ``input`` (one of `INPUTS`), ``value``, ``covered``, ``reason``.
    """
    import pandas

    inputs = control_inputs(wave, seed).items()
    rows = [score._asdict() | {"input": name} for name, sound in inputs for score in metric(sound)]
    return pandas.DataFrame(rows, columns=["score", "input", "value", "covered", "reason"])
