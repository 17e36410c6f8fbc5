"""The metrics of this package: names, thresholds, functions, and the artifacts that validate them.

A metric is declared in one file: any module of this package may hold a tuple ``METRICS``. Failure kinds, tables, the
cache of evaluations and the validation matrix read `metrics` and name no metric themselves.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.errors import ParameterError

if TYPE_CHECKING:
    from lipsync_lab.metrics.collect import ClipData
    from lipsync_lab.metrics.pairs import FramePair

#: The domain in which metrics of holds are defined.
ANIMATION = "animation"
#: Stages of the pipeline that failures belong to, in the order of the tables.
STAGES = ("detection", "picture", "time")
#: Modules whose metrics come first; `metrics` finds the others.
_FIRST = ("detection", "artifacts", "fidelity", "realism", "cadence", "sync")


@dataclass(frozen=True)
class Artifact:
    """An artifact that is injected into synthetic material at a known strength.

    Attributes
    ----------
    name : str
    inject : callable
        ``inject(material, strength, seed)``, as in `validation.injected`; for sound ``inject(wave, strength)``. The
        result replaces what `changes` names.
    changes : {"frames", "boxes", "sound"}
    """

    name: str
    inject: Callable[..., np.ndarray]
    changes: str = "frames"


@dataclass(frozen=True)
class Metric:
    """One metric, with a value for every frame.

    Attributes
    ----------
    name : str
        Column of `evaluation.Evaluation.frames`.
    unit : str
    stage : str
        One of `STAGES`.
    failure : str
        Name of the failure kind; empty for a metric that is reported and never fails.
    threshold : float
        A frame whose value is beyond the threshold fails; NaN where `failure` is empty.
    saturation : float
        Value at or above which a failure has severity 1.
    message : str
        Evidence: ``{value}`` stands for the value of the worst frame, ``{frames}`` for the number of failing frames,
        ``{s}`` for the s of their plural, ``{cause}`` for the most frequent cause of a missed detection.
    direction : {1, -1}
        1 where larger values are worse, -1 where smaller values are worse.
    of_pair : callable, optional
        From a `pairs.FramePair` to a number, or to what `of_clip` needs of that frame.
    of_clip : callable, optional
        From a `collect.ClipData`, after the last frame, to one number a frame. A metric without either function is a
        column of the tables of detection, cadence, realism or sync.
    artifact : Artifact, optional
        The injected artifact that validates the metric (`validation.response`).
    domains : tuple of str
        Domains in which the metric is defined; empty for all.
    network : str
        Kind of the network that the metric needs; empty for none.
    requires : str
        What a frame must have for the metric to be defined: part of the reason where it is undefined.
    definition : str
        What is measured, in a sentence; where it is empty, see `definition`.
    rate : bool
        Whether the value of a frame is 0 or 1, so that a clip's is their mean, and not their median.
    untouched : float
        Value of a frame whose output is its source; NaN where the metric is undefined there.
    """

    name: str
    unit: str
    stage: str
    failure: str = ""
    threshold: float = float("nan")
    saturation: float = float("nan")
    message: str = ""
    direction: int = 1
    of_pair: Callable[[FramePair], Any] | None = None
    of_clip: Callable[[ClipData], Any] | None = None
    artifact: Artifact | None = None
    domains: tuple[str, ...] = ()
    network: str = ""
    requires: str = "a generated mouth"
    definition: str = ""
    rate: bool = False
    untouched: float = 0.0

    def __post_init__(self):
        if self.stage not in STAGES or self.direction not in (1, -1):
            raise ParameterError(f"{self.name}: the stage is one of {', '.join(STAGES)}, the direction 1 or -1")
        if self.failure and not self.direction * (self.saturation - self.threshold) > 0:
            raise ParameterError(f"{self.name}: the saturation must lie beyond the threshold in the direction given")

    def summary(self, values: np.ndarray) -> tuple[float, float, float]:
        """A clip's value, and a low and a high one: median and quartiles over the frames in which it is defined.

        Of a `rate`, the mean and NaN twice: quartiles of zeros and ones say nothing.
        """
        known = np.asarray(values, float)
        known = known[~np.isnan(known)]
        if not len(known):
            return (float("nan"),) * 3
        if self.rate:
            return float(known.mean()), float("nan"), float("nan")
        low, middle, high = np.quantile(known, (0.25, 0.5, 0.75)).tolist()
        return middle, low, high

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Which values fail: bool, of the shape of `values`; False where a value is NaN or the metric never fails."""
        return self.direction * (np.asarray(values, float) - self.threshold) > 0

    def defined_in(self, domain: str | None) -> bool:
        """Whether the metric is defined in a domain; a clip of unknown domain (None) is not excluded by it."""
        return domain is None or not self.domains or domain in self.domains


_registered: list[Metric] = []


@cache
def _declared() -> tuple[Metric, ...]:
    package = importlib.import_module(__package__)
    rest = sorted({module.name for module in pkgutil.iter_modules(package.__path__)} - {*_FIRST})
    modules = [importlib.import_module(f"{__package__}.{name}") for name in (*_FIRST, *rest)]
    return tuple(metric for module in modules for metric in getattr(module, "METRICS", ()))


def metrics() -> tuple[Metric, ...]:
    """Every metric, by stage: the ones declared in this package, then the ones given to `register`."""
    return tuple(sorted((*_declared(), *_registered), key=lambda metric: STAGES.index(metric.stage)))


def register(metric: Metric) -> Metric:
    """Add a metric from outside of this package for the rest of the process.

    Raises
    ------
    ParameterError
        Another metric has the name, or the failure kind.
    """
    for known in metrics():
        if metric.name == known.name or (metric.failure and metric.failure == known.failure):
            raise ParameterError(f"a metric {known.name} ({known.failure}) is there already; choose other names")
    _registered.append(metric)
    return metric


def unregister(name: str) -> None:
    """Remove a metric that was given to `register`."""
    _registered[:] = [metric for metric in _registered if metric.name != name]


#: Readable names of scores, of columns that are no metric, and of metrics that never fail, with their units.
_LABELS = {
    "syncnet_distance": "SyncNet distance (1 − cosine)",
    "syncnet_distance_at_zero": "SyncNet distance at offset 0 (1 − cosine)",
    "syncnet_confidence": "SyncNet confidence",
    "silence_open": "open mouth in silence (share of the silent frames)",
    "silence_moving": "moving mouth in silence (share of the silent frames)",
    "av_offset": "AV offset (frames)",
    "lse_d": "LSE-D",
    "lse_d_at_zero": "LSE-D at offset 0",
    "lse_c": "LSE-C",
    "lse_av_offset": "AV offset of LSE-D (frames)",
    "ssim_inside": "SSIM inside the box",
    "ssim_outside": "SSIM outside of the box",
    "psnr_inside": "PSNR inside the box (dB)",
    "psnr_outside": "PSNR outside of the box (dB)",
}


def label(name: str) -> str:
    """The readable name of a metric or score, with its unit, for figures and pages.

    Examples
    --------
    >>> label("av_offset")
    'AV offset (frames)'
    """
    for metric in metrics():
        if metric.name == name:
            return metric.failure or name.replace("_", " ")
    return _LABELS.get(name, name.replace("_", " "))


def definition(metric: Metric) -> str:
    """What a metric measures, in a sentence: its own, that of its function's docstring, or its message."""
    function = metric.of_pair or metric.of_clip
    written = metric.definition or (function and inspect.getdoc(function)) or metric.message
    return " ".join(written.partition("\n\n")[0].split()).rstrip(".")
