"""The result of an evaluation: tables of frames, scores and curves, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.evaluation import text
from lipsync_lab.metrics import cadence, controls, failures, registry
from lipsync_lab.metrics.sync import score_names
from lipsync_lab.models.registry import DEFAULTS

if TYPE_CHECKING:
    import pandas

#: Version of the files and of `Evaluation.as_dict`.
SCHEMA = 3
#: Folder of an evaluation in a run's folder.
FOLDER = "evaluation"
#: Reason beside a metric of an output in which nothing was edited.
UNEDITED = "nothing was edited beyond the noise of the encode, so that no frame fails"
#: Reason beside a metric of animation in a clip of unknown domain whose median drawing lasts shorter or longer.
NOT_ANIMATED = (
    "it is for animation, and the domain is unknown: {drawing}; in such a clip holds are measured only from "
    f"{cadence.ANIMATED[0]} to {cadence.ANIMATED[1]} frames: give --domain animation to measure them"
)
#: Reason beside the numbers of the bundled sync expert in live action: it tells a sentence's own sound from that of
#: another with an accuracy of 0.72 (mean of seven GRID speakers that it was not trained on; 0.56 on an address by an
#: eighth), and its confidence does not separate right offsets from wrong ones.
UNRELIABLE = "not reliable on filmed speech"
#: Columns of `Evaluation.metrics`.
METRICS = ("metric", "value", "low", "high", "unit", "n_frames", "coverage", "threshold", "failed", "reason")


#: The bundled sync expert, and the numbers that it gives.
SYNC_EXPERT = DEFAULTS["sync_expert"]
#: Scores at the best offset, and the offset.
_AT_OFFSET = {"syncnet_distance": "av_offset", "openness_best": "openness_offset"}
_OF_EXPERT = {*score_names("sync_expert"), "syncnet_distance_per_frame"}


@dataclass(frozen=True)
class Evaluation:
    """The measurements of a source and an output.

    Attributes
    ----------
    frames : DataFrame
        One row per source frame, or with an alignment one row per output frame that shows a source frame, index
        ``frame``: the columns of `metrics.detection.detection_metrics`,
        `metrics.cadence.cadence_table` and `metrics.realism.realism_metrics`, and one column for each metric of
        `metrics.registry`; ``mouth_openness`` of the output (`metrics.openness`: as a share of the source's range
        where the regressor measures it, of its own range elsewhere), and ``mouth_openness_source``.
    scores : DataFrame
        One row per score and input, as `metrics.controls.with_controls`; the input "untouched_source" is the untouched
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
    region : dict or None
        The edited region: ``kind`` ("none" where nothing was edited), ``frames`` that were, ``box`` (the median over
        them), ``contrast``, ``filled``, ``redrawn``, ``apart``, ``shift``, ``noise`` (`edited_region.EditedRegion`),
        and ``levels``, the noise of the encode by metric (`noise.EncodeNoise`). None for a run, which knows what it
        generated.
    facts : dict
        ``inputs`` (name and SHA-256 of each file), ``box_source`` (one of `boxes.SOURCES`), ``device``, ``versions``.
    """

    frames: pandas.DataFrame
    scores: pandas.DataFrame
    curves: pandas.DataFrame
    about: dict[str, Any]
    domain: str | None = None
    alignment: dict[str, Any] | None = None
    region: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """`metrics` as a table to read, with a reason for each number that is limited or absent."""
        return "\n".join(text.table(self.metrics))

    @property
    def is_edited(self) -> bool:
        """Whether a model changed the picture, as far as one can tell from source and output."""
        return self.region is None or self.region["kind"] != "none"

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
        """`frames`, less the noise of the encode where it is known; where nothing was edited, nothing can fail."""
        if not self.is_edited:
            return self.frames.assign(**{kind.name: np.nan for kind in failures.kinds() if kind.name in self.frames})
        # SciPy comes with it, which a command that only prints has no use for
        from lipsync_lab.evaluation.noise import beyond_noise

        return self.frames if self.region is None else beyond_noise(self.frames, self.region["levels"])

    @cached_property
    def metrics(self) -> pandas.DataFrame:
        """The summary: one row per metric, then one row per score of the sound.

        Returns
        -------
        DataFrame
            metric; value, the median over the frames in which it is defined, of a rate (`registry.Metric.rate`) their
            mean, of a score its value; low and high, the quartiles over these frames (NaN of a rate and of a score);
            unit; n_frames in which it is defined; coverage, their share of all frames; threshold (NaN for what never
            fails); failed, the number of frames beyond the threshold, and beyond the noise of the encode where that is
            known; reason, why there is no value, or what limits it (empty where nothing does).
        """
        import pandas as pd

        rows = [self._metric_row(metric) for metric in registry.metrics()]
        own, nan = self.scores[self.scores["input"] == "dubbed"], float("nan")
        for score in own.itertuples():
            count, unit = round(score.covered * len(self.frames)), controls.UNITS.get(score.score, "")
            reason = score.reason or self._limit(score.score)
            rows.append((score.score, score.value, nan, nan, unit, count, score.covered, nan, 0, reason))
        return pd.DataFrame(rows, columns=list(METRICS))

    def _metric_row(self, metric: registry.Metric) -> tuple:
        if metric.name not in self.frames:
            reason = self.about.get(metric.network, {}).get("absent", "it was not measured")
            return metric.name, *(float("nan"),) * 3, metric.unit, 0, 0.0, metric.threshold, 0, reason
        values = self.frames[metric.name].astype(float)
        count, failed = int(values.notna().sum()), int(metric.beyond(self._judged[metric.name]).sum())
        if not metric.defined_in(self.domain):
            reason = f"it is defined for {' and '.join(metric.domains)} only, and this clip is {self.domain}"
        elif self.domain is None and metric.domains and not cadence.is_animated(self.frames):
            lasts = cadence.median_drawing(self.frames)
            drawing = (
                f"the median drawing lasts {lasts:g} frame{'s' * (lasts != 1)}"
                if lasts == lasts
                else "no frame shows a face"
            )
            reason = NOT_ANIMATED.format(drawing=drawing)
        elif not count:
            reason = self.about.get(metric.network, {}).get("absent", f"no frame has {metric.requires}")
        else:
            reason = UNEDITED if metric.failure and not self.is_edited else self._limit(metric.name)
        coverage, numbers = count / len(values) if len(values) else 0.0, metric.summary(values)
        return metric.name, *numbers, metric.unit, count, coverage, metric.threshold, failed, reason

    def _limit(self, name: str) -> str:
        """What limits a number that is there."""
        if name in _AT_OFFSET and np.isnan(self.score(_AT_OFFSET[name])) and self.domain != "live_action":
            return f"at the offset where it is best; {_AT_OFFSET[name]} says why that offset is not stated"
        expert = self.about.get("sync_expert", {}).get("name") == SYNC_EXPERT
        return UNRELIABLE if expert and self.domain == "live_action" and name in _OF_EXPERT else ""

    def metric(self, name: str) -> float:
        """The value of one row of `metrics`; NaN where it was not measured."""
        values = self.metrics.loc[self.metrics["metric"] == name, "value"]
        return float(values.iloc[0]) if len(values) else float("nan")

    def score(self, name: str, given: str = "dubbed") -> float:
        """One number of `scores`; NaN where it was not measured."""
        values = self.scores.loc[(self.scores["score"] == name) & (self.scores["input"] == given), "value"]
        return float(values.iloc[0]) if len(values) else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """What the numbers rest on, for JSON; ``evaluation.json`` holds the same."""
        return {
            **{"schema": SCHEMA, "domain": self.domain, "frames": len(self.frames), "alignment": self.alignment},
            **{"edited_region": self.region, "networks": self.about},
            "thresholds": {kind.name: kind.threshold for kind in failures.kinds()},
            **self.facts,
        }
