"""Validation of the metrics: artifacts are injected at known strength, and every metric is computed.

A metric is valid if it rises with the strength of its own artifact, and if no other artifact moves it as much. The
response of a metric is expressed in units of its response to its own artifact at full strength (`responses`), so that
grey levels and shares can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lipsync_lab.metrics import artifacts, collect, regions, registry
from lipsync_lab.metrics.validation import injected as faults
from lipsync_lab.metrics.validation.injected import Material
from lipsync_lab.runs import LEDGER

STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
#: Stages in the order in which the matrix shows them.
_ORDER = ("picture", "time", "detection")


def artifacts_and_metrics() -> dict[str, str]:
    """Each injected artifact of picture and boxes, and the metric that it validates, from the registry."""
    return {
        metric.artifact.name: metric.name
        for metric in _validated()
        if metric.artifact is not None and metric.artifact.changes != "sound"
    }


def _validated() -> list[registry.Metric]:
    """Metrics with an artifact, and those of frame pairs, in the order of the registry: picture before detection."""
    chosen = [metric for metric in registry.metrics() if metric.artifact or metric.of_pair]
    return sorted(chosen, key=lambda metric: _ORDER.index(metric.stage))


@dataclass(frozen=True)
class Planted:
    """Synthetic material after an artifact was injected, as a run would have left it."""

    source: np.ndarray
    output: np.ndarray
    ledger: pd.DataFrame
    truth: pd.DataFrame
    wave: np.ndarray | None


def perfect_ledger(truth: pd.DataFrame, size: tuple[int, int], bottom: float = 0.06) -> pd.DataFrame:
    """The ledger of a detector without errors.

    Parameters
    ----------
    truth : DataFrame
        Ground truth of a synthetic clip.
    size : (width, height)
        Pixels of its frames.
    bottom : float
        How far the box goes on under the chin, as a share of its height.

    Returns
    -------
    DataFrame
        Columns `runs.LEDGER`; boxes in whole pixels.
    """
    face = truth[["face_x1", "face_y1", "face_x2", "face_y2"]].to_numpy(float)
    box = face.copy()
    box[:, 3] += bottom * (face[:, 3] - face[:, 1])
    box = np.round(box.clip(0, [*size, *size]))
    there = ~np.isnan(face).any(axis=1)
    provenance = np.where(there, "detected", "missing")
    score = np.where(there, 1.0, np.nan)
    columns = [truth["frame"], truth["time"], truth["shot"], score, *face.T, provenance, *box.T, there]
    return pd.DataFrame({name: np.asarray(values) for name, values in zip(LEDGER, columns, strict=True)})


def measure(planted: Planted, palette: artifacts.Palette | None = None) -> dict[str, float]:
    """Every validated metric, as the mean over the clip; NaN where a metric covers nothing."""
    pairs = zip(planted.source, planted.output, strict=True)
    frames = collect.collect(pairs, planted.ledger, planted.truth, palette=palette).with_metrics().frames
    return {metric.name: float(frames[metric.name].mean()) for metric in _validated()}


def fault_matrix(
    frames: np.ndarray,
    truth: pd.DataFrame,
    wave: np.ndarray | None = None,
    sync: Mapping[str, Callable[[Planted], float]] | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
) -> pd.DataFrame:
    """Inject every artifact at every strength and compute every metric.

    Parameters
    ----------
    frames : ndarray, uint8, (N, H, W, 3)
        RGB: a synthetic clip with holds, one shot, with a face in every frame.
    truth : DataFrame
        Of the clip.
    wave : ndarray, float32, optional
        Its sound, at 16 kHz, for the fault "offset".
    sync : mapping of str to callable, optional
        More metrics, by name. The artifact "offset" is injected only if there are any; it validates the first.
    strengths : tuple of float
        Rising from 0, where the output is the source.
    seed : int

    Returns
    -------
    DataFrame
        fault, strength, measure, value; NaN where a metric is undefined in every frame.
    """
    ledger = perfect_ledger(truth, frames.shape[2:0:-1])
    mouths = truth[["mouth_x1", "mouth_y1", "mouth_x2", "mouth_y2"]].to_numpy(float)
    material = Material(frames, ledger[["x1", "y1", "x2", "y2"]].to_numpy(float), mouths, truth["drawing"].to_numpy())
    palette, sync = artifacts.palette(frames, ledger), dict(sync or {})
    clean = Planted(frames, frames, ledger, truth, wave)
    kinds = [*artifacts_and_metrics(), *(["offset"] if sync else [])]
    at_rest, out = _measured(clean, palette, sync), []
    for fault in kinds:
        for strength in strengths:
            values = at_rest
            if strength > 0:
                values = _measured(_plant(clean, material, fault, strength, seed), palette, sync)
            out += [(fault, strength, name, value) for name, value in values.items()]
    return pd.DataFrame(out, columns=["fault", "strength", "measure", "value"])


def responses(table: pd.DataFrame, named: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Response of each metric to each artifact at full strength, in units of its response to its own artifact.

    Parameters
    ----------
    table : DataFrame
        Of `fault_matrix`.
    named : mapping of str to str
        Artifact to metric; with sync, `artifacts_and_metrics` and ``{"offset": name}``.

    Returns
    -------
    DataFrame
        A row for each artifact, a column for each metric, in the order of `artifacts_and_metrics`: |value at full
        strength - value at none|, divided by the response to the metric's own artifact. The diagonal is 1. Where all
        other entries are below 1, each artifact moves its own metric more than any other, and each metric responds to
        its own artifact more than to any other. A metric that an artifact makes undefined (NaN) has no response to it.
    """
    named = artifacts_and_metrics() if named is None else named
    wide = table.pivot_table(index="fault", columns=["measure", "strength"], values="value", sort=False, dropna=False)
    strengths = sorted(table["strength"].unique())
    moved = pd.DataFrame(
        {name: (wide[name][strengths[-1]] - wide[name][strengths[0]]).abs().fillna(0.0) for name in named.values()}
    )
    own = {measure: moved.loc[fault, measure] for fault, measure in named.items()}
    return moved.loc[list(named)] / pd.Series(own)


def rises(table: pd.DataFrame, named: Mapping[str, str] | None = None) -> pd.Series:
    """Spearman's rank correlation of strength and validated metric, by artifact."""
    from scipy.stats import spearmanr

    out = {}
    for fault, name in (artifacts_and_metrics() if named is None else named).items():
        own = table[(table["fault"] == fault) & (table["measure"] == name)]
        # a constant has no rank correlation: it does not rise
        out[fault] = float(spearmanr(own["strength"], own["value"])[0]) if own["value"].nunique() > 1 else 0.0
    return pd.Series(out, name="spearman")


def _measured(planted: Planted, palette, sync: Mapping[str, Callable[[Planted], float]]) -> dict[str, float]:
    return measure(planted, palette) | {name: float(take(planted)) for name, take in sync.items()}


def _plant(clean: Planted, material: Material, fault: str, strength: float, seed: int) -> Planted:
    if fault == "offset":
        return replace(clean, wave=faults.offset(clean.wave, strength))
    artifact = next(m.artifact for m in registry.metrics() if m.artifact is not None and m.artifact.name == fault)
    injected = artifact.inject(material, strength, seed)
    if artifact.changes == "frames":
        return replace(clean, output=injected)
    gone = np.isnan(injected).any(axis=1)
    ledger = clean.ledger.assign(
        **dict(zip(regions.BOX, injected.T, strict=True)),
        provenance=np.where(gone, "missing", clean.ledger["provenance"]),
        mouth_generated=clean.ledger["mouth_generated"].to_numpy(bool) & ~gone,
    )
    return replace(clean, ledger=ledger)
