"""The result of an evaluation: tables of frames, scores and curves, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lipsync_lab.evaluation.encode_control import beyond_noise
from lipsync_lab.metrics import controls, failures, registry

if TYPE_CHECKING:
    import pandas

#: Version of the files and of `Evaluation.as_dict`.
SCHEMA = 2
#: Folder of an evaluation in a run's folder.
FOLDER = "evaluation"
#: Columns of `Evaluation.metrics`.
METRICS = ("metric", "value", "low", "high", "unit", "n_frames", "coverage", "threshold", "failed", "reason")


@dataclass(frozen=True)
class Evaluation:
    """The measurements of a source and an output.

    Attributes
    ----------
    frames : DataFrame
        One row a source frame, or with an alignment one row an output frame that shows a source frame, index
        ``frame``: the columns of `metrics.detection.detection_metrics`,
        `metrics.cadence.cadence_table` and `metrics.realism.realism_metrics`, and one column for each metric of
        `metrics.registry`; ``mouth_openness`` of the output (`metrics.openness`: as a share of the source's range
        where the regressor measures it, of its own range elsewhere), and ``mouth_openness_source``.
    scores : DataFrame
        One row a score and input, as `metrics.controls.with_controls`; the input "untouched_source" is the untouched
        clip under the new voice.
    curves : DataFrame
        ``network``, ``input`` ("output", "source"), ``offset``, ``distance``: the sync curves.
    about : dict
        By kind of network: its name, SHA-256 and width, or the reason why it is absent; for the mouth-openness
        regressor also ``closed``, the openness below which a mouth counts as closed.
    domain : str or None
        "animation", "live_action" or "synthetic_photo"; None where it is unknown.
    alignment : dict or None
        `alignment.Alignment.as_dict`; None where frame n of the output is frame n of the source, pixel by pixel.
    encode : dict or None
        With a control: the edited region (``kind``, ``contrast``, ``box``: the median over frames), the ``noise``
        outside of it in grey levels (``luma``, ``red``, ``green``, ``blue``), and the control's ``crf``.
    control : DataFrame or None
        Metrics of the source alone, encoded to the same noise (`encode_control.control_frames`). Failures are what is
        beyond them.
    """

    frames: pandas.DataFrame
    scores: pandas.DataFrame
    curves: pandas.DataFrame
    about: dict[str, Any]
    domain: str | None = None
    alignment: dict[str, Any] | None = None
    encode: dict[str, Any] | None = None
    control: pandas.DataFrame | None = None

    @property
    def closed(self) -> float:
        """``mouth_openness`` below which a mouth counts as closed."""
        return self.about["mouth_openness"]["closed"]

    @cached_property
    def failures(self) -> pandas.DataFrame:
        """Runs of failing frames, the worst first: see `metrics.failures.find`. ``failures.csv`` holds this table."""
        return failures.find(self._judged)

    @cached_property
    def _judged(self) -> pandas.DataFrame:
        """`frames`, less the noise of the encode where it is known."""
        return self.frames if self.control is None else beyond_noise(self.frames, self.control)

    @cached_property
    def metrics(self) -> pandas.DataFrame:
        """The summary: one row a metric, then one row a score of the sound.

        Returns
        -------
        DataFrame
            metric; value, the median over the frames in which it is defined, of a rate (`registry.Metric.rate`) their
            mean, of a score its value; low and high, the quartiles over these frames (NaN of a rate and of a score);
            unit; n_frames in which it is defined; coverage, their share of all frames; threshold (NaN for what never
            fails); failed, the number of frames beyond the threshold; reason, why there is no value (empty where there
            is one).
        """
        import pandas as pd

        rows = [self._metric_row(metric) for metric in registry.metrics()]
        own = self.scores[self.scores["input"] == "dubbed"]
        for score in own.itertuples():
            count = round(score.covered * len(self.frames))
            unit = controls.UNITS.get(score.score, "")
            nan = float("nan")
            rows.append((score.score, score.value, nan, nan, unit, count, score.covered, nan, 0, score.reason))
        return pd.DataFrame(rows, columns=list(METRICS))

    def _metric_row(self, metric: registry.Metric) -> tuple:
        nan = float("nan")
        if metric.name not in self.frames:
            reason = self.about.get(metric.network, {}).get("absent", "it was not measured")
            return metric.name, nan, nan, nan, metric.unit, 0, 0.0, metric.threshold, 0, reason
        values = self.frames[metric.name].astype(float)
        count, failed, reason = int(values.notna().sum()), int(metric.beyond(self._judged[metric.name]).sum()), ""
        if not metric.defined_in(self.domain):
            reason = f"it is defined for {' and '.join(metric.domains)} only, and this clip is {self.domain}"
        elif not count:
            reason = self.about.get(metric.network, {}).get("absent", f"no frame has {metric.requires}")
        coverage = count / len(values) if len(values) else 0.0
        numbers = metric.summary(values)
        return metric.name, *numbers, metric.unit, count, coverage, metric.threshold, failed, reason

    def metric(self, name: str) -> float:
        """The value of one row of `metrics`; NaN where it was not measured."""
        values = self.metrics.loc[self.metrics["metric"] == name, "value"]
        return float(values.iloc[0]) if len(values) else float("nan")

    def score(self, name: str, given: str = "dubbed") -> float:
        """One number of `scores`; NaN where it was not measured."""
        values = self.scores.loc[(self.scores["score"] == name) & (self.scores["input"] == given), "value"]
        return float(values.iloc[0]) if len(values) else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """What the numbers rest on, for JSON: ``evaluation.json``."""
        facts = {"domain": self.domain, "frames": len(self.frames), "alignment": self.alignment}
        return {"schema": SCHEMA, **facts, "encode": self.encode, "networks": self.about}
