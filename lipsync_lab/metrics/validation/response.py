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
from lipsync_lab.metrics.validation import injected
from lipsync_lab.metrics.validation.injected import Material
from lipsync_lab.runs import LEDGER

STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
#: Stages in the order in which the matrix shows them.
_ORDER = ("picture", "time", "detection")


def artifacts_and_metrics() -> dict[str, str]:
    """Each injected artifact of frames and boxes, and the metric that it validates, from the registry."""
    return {
        metric.artifact.name: metric.name
        for metric in _validated()
        if metric.artifact is not None and metric.artifact.changes != "sound"
    }


def _validated() -> list[registry.Metric]:
    """Metrics with an artifact, and those of frame pairs, by stage in `_ORDER`."""
    chosen = [metric for metric in registry.metrics() if metric.artifact or metric.of_pair]
    return sorted(chosen, key=lambda metric: _ORDER.index(metric.stage))


@dataclass(frozen=True)
class Degraded:
    """Synthetic material after an artifact was injected, in the form that a run leaves."""

    source: np.ndarray
    output: np.ndarray
    ledger: pd.DataFrame
    ground_truth: pd.DataFrame
    wave: np.ndarray | None


def perfect_ledger(ground_truth: pd.DataFrame, size: tuple[int, int], bottom: float = 0.06) -> pd.DataFrame:
    """The ledger of a detector without errors.

    Parameters
    ----------
    ground_truth : DataFrame
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
    face = regions.boxes(ground_truth, "face_")
    box = face.copy()
    box[:, 3] += bottom * (face[:, 3] - face[:, 1])
    box = np.round(box.clip(0, [*size, *size]))
    there = ~np.isnan(face).any(axis=1)
    provenance = np.where(there, "detected", "missing")
    score = np.where(there, 1.0, np.nan)
    columns = [
        ground_truth["frame"],
        ground_truth["time"],
        ground_truth["shot"],
        score,
        *face.T,
        provenance,
        *box.T,
        there,
        np.zeros(len(there), int),
    ]
    return pd.DataFrame({name: np.asarray(values) for name, values in zip(LEDGER, columns, strict=True)})


def metric_means(degraded: Degraded, palette: artifacts.Palette | None = None) -> dict[str, float]:
    """The mean of every validated metric over the clip; NaN where it is undefined in every frame."""
    pairs = zip(degraded.source, degraded.output, strict=True)
    data = collect.collect(pairs, degraded.ledger, degraded.ground_truth, palette=palette)
    frames = data.with_metrics(registry.ANIMATION).frames
    return {metric.name: float(frames[metric.name].mean()) for metric in _validated()}


def response_matrix(
    frames: np.ndarray,
    ground_truth: pd.DataFrame,
    wave: np.ndarray | None = None,
    sync: Mapping[str, Callable[[Degraded], float]] | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
) -> pd.DataFrame:
    """Inject every artifact at every strength and compute every metric.

    Parameters
    ----------
    frames : ndarray, uint8, (N, H, W, 3)
        RGB: a synthetic clip with holds, one shot, with a face in every frame.
    ground_truth : DataFrame
        Of the clip.
    wave : ndarray, float32, optional
        Its sound, at 16 kHz, for the artifact "offset".
    sync : mapping of str to callable, optional
        More metrics, by name. The artifact "offset" is injected only if there are any; it validates the first.
    strengths : tuple of float
        Rising from 0, where the output is the source.
    seed : int

    Returns
    -------
    DataFrame
        artifact, strength, metric, value; NaN where a metric is undefined in every frame.
    """
    ledger = perfect_ledger(ground_truth, frames.shape[2:0:-1])
    material = Material(
        frames,
        regions.boxes(ledger),
        regions.true_boxes(ground_truth, len(ledger), "mouth"),
        ground_truth["drawing"].to_numpy(),
    )
    palette, sync = artifacts.palette(frames, ledger), dict(sync or {})
    clean = Degraded(frames, frames, ledger, ground_truth, wave)

    def values(degraded: Degraded) -> dict[str, float]:
        return metric_means(degraded, palette) | {name: float(metric(degraded)) for name, metric in sync.items()}

    untouched, out = values(clean), []
    for artifact in (*artifacts_and_metrics(), *(["offset"] if sync else [])):
        for strength in strengths:
            means = values(_inject(clean, material, artifact, strength, seed)) if strength > 0 else untouched
            out += [(artifact, strength, name, value) for name, value in means.items()]
    return pd.DataFrame(out, columns=["artifact", "strength", "metric", "value"])


def responses(table: pd.DataFrame, named: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Response of each metric to each artifact at full strength, in units of its response to its own artifact.

    Parameters
    ----------
    table : DataFrame
        Of `response_matrix`.
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
    wide = table.pivot_table(index="artifact", columns=["metric", "strength"], values="value", sort=False, dropna=False)
    none, full = table["strength"].min(), table["strength"].max()
    moved = pd.DataFrame({name: (wide[name][full] - wide[name][none]).abs().fillna(0.0) for name in named.values()})
    own = {metric: moved.loc[artifact, metric] for artifact, metric in named.items()}
    return moved.loc[list(named)] / pd.Series(own)


def rises(table: pd.DataFrame, named: Mapping[str, str] | None = None) -> pd.Series:
    """Spearman's rank correlation of strength and validated metric, by artifact; 0 for a metric that is constant."""
    from scipy.stats import spearmanr

    out = {}
    for artifact, name in (artifacts_and_metrics() if named is None else named).items():
        own = table[(table["artifact"] == artifact) & (table["metric"] == name)]
        out[artifact] = float(spearmanr(own["strength"], own["value"])[0]) if own["value"].nunique() > 1 else 0.0
    return pd.Series(out, name="spearman")


def validated(table: pd.DataFrame, named: Mapping[str, str] | None = None, least: float = 0.9) -> pd.DataFrame:
    """Whether each metric passes its validation, by artifact.

    Parameters
    ----------
    table, named
        As of `responses`.
    least : float
        Rank correlation from which a metric counts as rising with its artifact.

    Returns
    -------
    DataFrame, index of artifacts
        "rises with its artifact" (`rises`), and "diagonal dominates": no other response in the artifact's row, or in
        the metric's column, reaches that of the metric to its own artifact. Both bool.
    """
    moved = responses(table, named)
    rest = moved.to_numpy() * (1 - np.eye(len(moved)))
    out = rises(table, named).ge(least).to_frame("rises with its artifact")
    return out.assign(**{"diagonal dominates": (rest.max(axis=0) < 1) & (rest.max(axis=1) < 1)})


def _inject(clean: Degraded, material: Material, name: str, strength: float, seed: int) -> Degraded:
    if name == "offset":
        return replace(clean, wave=injected.offset(clean.wave, strength))
    artifact = next(m.artifact for m in registry.metrics() if m.artifact is not None and m.artifact.name == name)
    changed = artifact.inject(material, strength, seed)
    if artifact.changes == "frames":
        return replace(clean, output=changed)
    gone = np.isnan(changed).any(axis=1)
    ledger = clean.ledger.assign(
        **dict(zip(regions.BOX, changed.T, strict=True)),
        provenance=np.where(gone, "missing", clean.ledger["provenance"]),
        mouth_generated=clean.ledger["mouth_generated"].to_numpy(bool) & ~gone,
    )
    return replace(clean, ledger=ledger)
