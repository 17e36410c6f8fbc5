"""The ablation: the same clips dubbed with the settings of the published script, and with each mitigation of these.

A mitigation is one line of `MITIGATIONS`, or is given to `register`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.detection import Detection, tracking
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.bootstrap import interval
from lipsync_lab.evaluation.evaluated import EvaluatedCase
from lipsync_lab.evaluation.examples import examples, near
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import registry
from lipsync_lab.metrics.registry import label
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import PRESETS, Settings

if TYPE_CHECKING:
    import pandas

#: Faces without a generated mouth: the one column of the table that is no registered metric.
NOT_GENERATED = "not_generated", "face without a generated mouth", 0.5, 1
#: Values of `max_dropout` (frames) for which `filled` counts.
MAX_DROPOUTS = (3, 6, 12, 25, 50, 100)
#: Smaller changes are not shown, in units of the metric's threshold.
LEAST_EFFECT = 0.01


@dataclass(frozen=True)
class Mitigation:
    """A row of the ablation: a name, and the settings that differ from those of `BASELINE`."""

    name: str
    settings: Mapping[str, Any]


#: Settings of the published script, except that a frame without a face does not end the run.
BASELINE = Mitigation(
    "as published",
    {
        "smoothing": "reference",
        "audio_offset": 0,
        "feather": 0.0,
        "dropouts": "passthrough",
        "mouth_cadence": "every_frame",
    },
)
#: One line each. The last is the preset "animation", with the audio offset that the generator was trained with.
MITIGATIONS = (
    Mitigation("dropouts interpolated", {"dropouts": "interpolate"}),
    Mitigation("boxes smoothed", {"smoothing": "centered"}),
    Mitigation("soft edge", {"feather": 0.1}),
    Mitigation("audio one frame earlier", {"audio_offset": 1}),
    Mitigation("one mouth per hold", {"mouth_cadence": "holds"}),
    Mitigation("all combined", {**PRESETS["animation"], "audio_offset": 1}),
)

#: Policies for dropouts that give a missed frame a box.
_POLICIES = ("hold", "interpolate")

_registered: list[Mitigation] = []


def mitigations() -> tuple[Mitigation, ...]:
    """Every mitigation: `MITIGATIONS`, then those given to `register`."""
    return (*MITIGATIONS, *_registered)


def register(mitigation: Mitigation) -> Mitigation:
    """Add a mitigation for the rest of the process.

    Raises
    ------
    ParameterError
        The name is taken, or a setting is unknown or has an impossible value.
    """
    if mitigation.name in [known.name for known in (BASELINE, *mitigations())]:
        raise ParameterError(f"there is a mitigation {mitigation.name!r} already; choose another name")
    Settings.of({**BASELINE.settings, **mitigation.settings})
    _registered.append(mitigation)
    return mitigation


def unregister(name: str) -> None:
    """Remove a mitigation that was given to `register`."""
    _registered[:] = [mitigation for mitigation in _registered if mitigation.name != name]


def pipelines(
    generator: str | Path | None = None,
    detector: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> dict[str, Pipeline]:
    """The pipelines of the baseline and of each mitigation, by name, from a notebook's parameters.

    With a folder `cache` in common, they detect faces once.
    """
    return {
        row.name: Pipeline(
            generator, detector, Settings.of({**(settings or {}), **BASELINE.settings, **row.settings}), cache=cache
        )
        for row in (BASELINE, *mitigations())
    }


def changes() -> pandas.DataFrame:
    """The settings that each mitigation changes, index ``mitigation``: setting, published, value."""
    import pandas as pd

    published = Settings.of(BASELINE.settings)
    rows = [
        (mitigation.name, name, getattr(published, name), value)
        for mitigation in mitigations()
        for name, value in mitigation.settings.items()
    ]
    return pd.DataFrame(rows, columns=["mitigation", "setting", "published", "value"]).set_index("mitigation")


def effects(results: Mapping[str, Sequence[EvaluatedCase]]) -> pandas.DataFrame:
    """The effect of each mitigation on every metric, clip by clip.

    Parameters
    ----------
    results : mapping of str to sequence of EvaluatedCase
        The same clips by the name of the mitigation, "as published" among them.

    Returns
    -------
    DataFrame
        mitigation, kind (of failure), metric, threshold (NaN for a metric that never fails), direction (1: larger is
        worse), clip, domain, before, after (means over the frames in which both are known), difference, low, high (95 %
        interval of the difference, from a bootstrap that resamples seconds of the clip; not corrected for the number of
        metrics), seconds (that it rests on). NaN where nothing is known.
    """
    import pandas as pd

    known = [(metric.name, label(metric.name), metric.threshold, metric.direction) for metric in registry.metrics()]
    rows = []
    for mitigation in mitigations():
        for metric, kind, threshold, direction in (NOT_GENERATED, *known):
            for before, after in zip(results[BASELINE.name], results[mitigation.name], strict=True):
                sides = {"before": before.evaluation.frames, "after": after.evaluation.frames}
                both = {side: frames.get(metric, np.nan) for side, frames in sides.items()}
                second = np.floor(sides["before"]["time"] + 1e-6)
                means = pd.DataFrame(both, second.index).dropna().groupby(second).mean()
                now, was, *change = interval(means["after"].to_numpy(), means["before"].to_numpy(), paired=True)
                about = mitigation.name, kind, metric, threshold, direction, before.case.name, before.case.domain
                rows.append((*about, was, now, *change, len(means)))
    numbers = ["before", "after", "difference", "low", "high", "seconds"]
    return pd.DataFrame(
        rows, columns=["mitigation", "kind", "metric", "threshold", "direction", "clip", "domain", *numbers]
    )


def largest_effects(effects: pandas.DataFrame, most: int = 3) -> pandas.DataFrame:
    """The rows of `effects` of those metrics that each mitigation changes most, in units of their thresholds.

    Parameters
    ----------
    effects : DataFrame
        Of `effects`.
    most : int
        Metrics a mitigation. Metrics that never fail, and changes below `LEAST_EFFECT` in every clip, are left out.
    """
    import pandas as pd

    size = (effects["difference"] / effects["threshold"]).abs()
    largest = size.groupby([effects["mitigation"], effects["kind"]], sort=False).max()
    largest = largest[largest >= LEAST_EFFECT].sort_values(ascending=False, kind="stable")
    chosen = largest.groupby("mitigation").head(most).index
    return effects[pd.MultiIndex.from_frame(effects[["mitigation", "kind"]]).isin(chosen)]


def shown(
    results: Mapping[str, Sequence[EvaluatedCase]], mitigation: str, kind: str
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The frame of each clip in which a kind of failure is worst as published, without and with a mitigation.

    Returns
    -------
    list of (clip and frame, as published, mitigated)
        uint8 RGB, cropped to the generated mouth.
    """
    out = []
    for before, after in zip(results[BASELINE.name], results[mitigation], strict=True):
        for example in examples([before], kind):
            mitigated = near(after, example.frame, near_what=before)[1]
            out.append((f"{example.clip} {example.frame}", example.output, mitigated))
    return out


def filled() -> pandas.DataFrame:
    """How many of the frames that the published S3FD missed on the study's clips get a box from their neighbours.

    Returns
    -------
    DataFrame, index ``max_dropout`` (frames, of `MAX_DROPOUTS`)
        hold, interpolate (frames that are filled), of (frames that were missed).
    """
    import pandas as pd

    clips = [(study.frames(clip), study.pixels(clip)["shot"].to_numpy()) for clip in study.names()]
    missed = sum(int((~frames["detected"]).sum()) for frames, _ in clips)
    table = pd.DataFrame(
        [[sum(_filled(*clip, policy, longest) for clip in clips) for policy in _POLICIES] for longest in MAX_DROPOUTS],
        index=pd.Index(MAX_DROPOUTS, name="max_dropout"),
        columns=list(_POLICIES),
    )
    return table.assign(of=missed)


def _filled(frames: pandas.DataFrame, shots: np.ndarray, policy: str, longest: int) -> int:
    """Frames of a recorded clip that a policy for dropouts gives a box."""
    boxes = frames[study.BOX].to_numpy()
    faces = [None if np.isnan(box).any() else Detection(Box(*box.tolist()), 1.0) for box in boxes]
    candidates = [[] if face is None else [face] for face in faces]
    size = np.nanmax(boxes[:, 2]), np.nanmax(boxes[:, 3])
    track = tracking.track(candidates, faces, shots, size, dropouts=policy, max_dropout=longest, smoothing="none")
    return int((~frames["detected"]).sum() - (track.provenance == "missing").sum())
