"""The ablation: the same clips dubbed with the settings of the published script, and with each mitigation of these.

A mitigation is one line of `MITIGATIONS`, or is given to `register`. ``data/ablation`` holds the effects on the bundled
clips of animation, as ``benchmarks/ablation.py`` measures them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import bundled as folders
from lipsync_lab.detection import Detection, tracking
from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation import comparison, study
from lipsync_lab.evaluation.evaluated import EvaluatedCase
from lipsync_lab.evaluation.examples import examples, near
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import registry
from lipsync_lab.metrics.registry import label
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import PRESETS, Settings

if TYPE_CHECKING:
    import pandas

HOME = folders.folder("ablation")
#: Columns of ``effects.csv``.
COLUMNS = ("mitigation", "metric", "clip", "domain", "before", "after")
#: Columns of `summary`.
SUMMARY = (
    *("mitigation", "metric", "label", "threshold", "direction", "n", "before", "after", "difference", "low", "high"),
    *("change", "p", "p_adjusted", "by_construction", "reason", "individual"),
)
#: Faces without a generated mouth: a column of the frames that is not a registered metric.
NOT_GENERATED = "not_generated", "face without a generated mouth", 0.5, 1
#: Scores of a clip that are compared beside the metrics of its frames, and in which direction they are worse.
SCORES = {"syncnet_distance": 1, "syncnet_confidence": -1, "openness_correlation": -1}
#: Values of `max_dropout` (frames) for which `filled` counts.
MAX_DROPOUTS = (3, 6, 12, 25, 50, 100)
#: Smaller changes are not named, in units of the metric's threshold.
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
    """Every metric before and after each mitigation, clip by clip.

    Parameters
    ----------
    results : mapping of str to sequence of EvaluatedCase
        The same clips by the name of the mitigation, "as published" among them.

    Returns
    -------
    DataFrame
        mitigation, metric (of `metrics.registry`, of `SCORES`, or `NOT_GENERATED`), clip, domain, before, after: means
        over the frames in which both are known, or a score's values. NaN where nothing is known.
    """
    import pandas as pd

    names, rows = [NOT_GENERATED[0], *(metric.name for metric in registry.metrics())], []
    for mitigation in mitigations():
        for before, after in zip(results[BASELINE.name], results[mitigation.name], strict=True):
            about, sides = (before.case.name, before.case.domain), (before.evaluation, after.evaluation)
            for metric in names:
                values = [side.frames.get(metric, np.nan) for side in sides]
                both = pd.DataFrame(dict(enumerate(values)), index=sides[0].frames.index).dropna().mean()
                rows.append((mitigation.name, metric, *about, *both))
            for score in SCORES:
                rows.append((mitigation.name, score, *about, *(side.score(score) for side in sides)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def bundled() -> pandas.DataFrame:
    """The effects on the bundled clips of animation, dubbed by the bundled models: a table as of `effects`."""
    import pandas as pd

    return pd.read_csv(HOME / "effects.csv")


def bundled_cost() -> pandas.Series:
    """Processor seconds a frame, without detection, by mitigation; as measured with `bundled`."""
    import pandas as pd

    return pd.read_csv(HOME / "seconds.csv", index_col="mitigation")["seconds_a_frame"]


def summary(effects: pandas.DataFrame) -> pandas.DataFrame:
    """The effect of each mitigation on every metric over the clips.

    The clip is the unit. Intervals and p values are those of sign flips (`comparison.infer`); the p values are adjusted
    for all mitigations and metrics of the table, by joint sign flips.

    Parameters
    ----------
    effects : DataFrame
        Of `effects` or `bundled`.

    Returns
    -------
    DataFrame
        One row a mitigation and metric: mitigation, metric, label, threshold (NaN for what never fails), direction (1:
        larger is worse), n (clips), before, after (means over clips), difference, low, high; change, the difference in
        units of the threshold, above 0 where the metric gets worse; p, p_adjusted; by_construction; reason, why there
        is no interval; individual (tuple of float: the difference of every clip). Numbers without a value are NaN.
    """
    import pandas as pd

    wide = _by_clip(effects)
    apart = (wide["after"] - wide["before"]).to_numpy(float)
    table = pd.DataFrame({side: wide[side].mean() for side in ("before", "after")}).reset_index()
    known = table["metric"].map(_known())
    for number, name in enumerate(("label", "threshold", "direction")):
        table[name] = [facts[number] for facts in known]
    table["difference"] = table["after"] - table["before"]
    table["change"] = table["direction"] * table["difference"] / table["threshold"]
    satisfied = [
        (row.name, metric)
        for row in mitigations()
        for metric in comparison.by_construction(Settings.of({**BASELINE.settings, **row.settings}))
    ]
    table["by_construction"] = pd.MultiIndex.from_frame(table[["mitigation", "metric"]]).isin(satisfied)
    table = table.assign(**_inferred(apart))
    table["individual"] = [tuple(column[~np.isnan(column)].tolist()) for column in apart.T]
    return table[list(SUMMARY)]


def by_clip(effects: pandas.DataFrame, over_clips: pandas.DataFrame) -> pandas.DataFrame:
    """The difference of each clip, for what changes by at least `LEAST_EFFECT` of its threshold over the clips.

    Parameters
    ----------
    effects, over_clips : DataFrame
        Of `effects`, and `summary` of it.

    Returns
    -------
    DataFrame, index ``mitigation`` and ``label``
        One column per clip, in the unit of the metric.
    """
    large = over_clips.loc[over_clips["change"].abs() >= LEAST_EFFECT, ["mitigation", "metric", "label"]]
    each = effects.assign(difference=effects["after"] - effects["before"]).merge(large, on=["mitigation", "metric"])
    return each.pivot(index=["mitigation", "label"], columns="clip", values="difference")


def interactions(effects: pandas.DataFrame) -> pandas.DataFrame:
    """All mitigations combined against the sum of their single effects, for every metric.

    Parameters
    ----------
    effects : DataFrame
        Of `effects` or `bundled`.

    Returns
    -------
    DataFrame, index ``metric``
        label, threshold, n (clips), sum (of the single effects), combined (effect of the last of `MITIGATIONS`),
        interaction (combined minus sum), low, high (its interval), p, p_adjusted (for these metrics), reason.
    """
    import pandas as pd

    *single, together = MITIGATIONS
    wide = _by_clip(effects)
    changes = wide["after"] - wide["before"]
    combined, parts = changes[together.name], sum(changes[mitigation.name] for mitigation in single)
    numbers = {"sum": parts.mean(), "combined": combined.mean(), "interaction": (combined - parts).mean()}
    known = [_known()[metric] for metric in combined]
    table = pd.DataFrame({"label": [row[0] for row in known], "threshold": [row[1] for row in known]}, combined.columns)
    return table.assign(**numbers, **_inferred((combined - parts).to_numpy(float)))


def _known() -> dict[str, tuple[str, float, int]]:
    """Label, threshold and direction of everything that is compared."""
    out = {metric.name: (label(metric.name), metric.threshold, metric.direction) for metric in registry.metrics()}
    out |= {score: (label(score), np.nan, direction) for score, direction in SCORES.items()}
    return out | {NOT_GENERATED[0]: NOT_GENERATED[1:]}


def _by_clip(effects: pandas.DataFrame) -> pandas.DataFrame:
    """A row per clip; columns: before or after, mitigation, metric, in the order of the table."""
    wide = effects.pivot(index="clip", columns=["mitigation", "metric"], values=["before", "after"])
    return wide.rename_axis(columns=["side", "mitigation", "metric"])


def _inferred(apart: np.ndarray) -> dict[str, Any]:
    """Columns of the tests of differences (clips, columns)."""
    return comparison.infer(apart) | {"reason": [comparison.why_none(column, "clip") for column in apart.T]}


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
