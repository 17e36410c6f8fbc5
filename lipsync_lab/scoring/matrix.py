"""The proof that the measures measure: faults of known strength in, every measure out.

A measure is worth its name if it rises with the strength of its own fault, and if no other fault moves it as much. How
much a measure moves is counted in its own unit, so that grey levels and shares can be compared: 1 is what its own fault
does to it at full strength (`responses`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lipsync_lab.runs import LEDGER
from lipsync_lab.scoring import artifacts, collect, faults, regions, registry
from lipsync_lab.scoring.faults import Material

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
    """Made material after a fault: what a run would have left behind."""

    source: np.ndarray
    output: np.ndarray
    ledger: pd.DataFrame
    truth: pd.DataFrame
    wave: np.ndarray | None


def perfect_ledger(truth: pd.DataFrame, size: tuple[int, int], bottom: float = 0.06) -> pd.DataFrame:
    """The ledger of a detector that makes no mistake.

    Parameters
    ----------
    truth : DataFrame
        Of a made clip.
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
    """Plant every fault at every strength and take every measure.

    Parameters
    ----------
    frames : ndarray, uint8, (N, H, W, 3)
        RGB: a made clip that holds its drawings, one shot, with a face in every frame.
    truth : DataFrame
        Of the clip.
    wave : ndarray, float32, optional
        Its sound, at 16 kHz, for the fault "offset".
    sync : mapping of str to callable, optional
        More measures, by name. The first is the one named for "offset", which is planted only if there is one.
    strengths : tuple of float
        Rising from 0, where the output is the source.
    seed : int

    Returns
    -------
    DataFrame
        fault, strength, measure, value; NaN where a measure covers nothing.
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
    """How far each fault, at full strength, moves each measure, in the measure's own unit.

    Parameters
    ----------
    table : DataFrame
        Of `fault_matrix`.
    named : mapping of str to str
        Fault to measure; with sync, `artifacts_and_metrics` and ``{"offset": name}``.

    Returns
    -------
    DataFrame
        A row a fault, a column a measure, in the order of `named`: |value at full strength - value at none|, divided
        by what the measure's own fault makes of it. The diagonal is 1. That everything off it is below 1 says two
        things at once: a fault moves the measure named for it more than any other measure, and a measure is moved by
        the fault it is named for more than by any other fault. A measure that a fault leaves nothing to look at for
        (NaN) is not moved by it.
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
    """Spearman's rank correlation of strength and named measure, by fault."""
    from scipy.stats import spearmanr

    out = {}
    for fault, name in (artifacts_and_metrics() if named is None else named).items():
        own = table[(table["fault"] == fault) & (table["measure"] == name)]
        # a measure that does not move at all has no rank correlation: it does not rise
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
        mouth_drawn=clean.ledger["mouth_drawn"].to_numpy(bool) & ~gone,
    )
    return replace(clean, ledger=ledger)
