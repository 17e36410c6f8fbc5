"""The ablation: the same clips dubbed again, with one setting of the published script changed at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.detection import Detection, tracking
from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.bootstrap import interval
from lipsync_lab.evaluation.evaluated import EvaluatedCase
from lipsync_lab.evaluation.examples import examples, near
from lipsync_lab.geometry import Box
from lipsync_lab.metrics import failures
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import PRESETS, Settings

if TYPE_CHECKING:
    import pandas

#: A face that got no generated mouth; `metrics.failures` counts missed detections, whether they were filled or not.
NOT_DRAWN = "face without a mouth"
#: Longest gaps, in frames, for which `filled` counts.
GAPS = (3, 6, 12, 25, 50, 100)


@dataclass(frozen=True)
class Mitigation:
    """A mitigation: settings that differ from the published ones.

    Attributes
    ----------
    name : str
    changes : mapping
        Settings that differ from `PUBLISHED`.
    measures : tuple of str
        Columns of `Evaluation.frames` that it is meant to lower.
    """

    name: str
    changes: Mapping[str, Any]
    measures: tuple[str, ...]


#: The baseline: settings of the published script, except that a frame without a face does not end the run.
PUBLISHED = Mitigation(
    "as published",
    {
        "smoothing": "reference",
        "audio_offset": 0,
        "feather": 0.0,
        "dropouts": "passthrough",
        "mouth_cadence": "every_frame",
    },
    (),
)
#: Each changes one of them.
MITIGATIONS = (
    Mitigation("gaps filled", {"dropouts": "interpolate"}, ("not_generated",)),
    Mitigation("boxes averaged within the shot", {"smoothing": "centered"}, ("box_jitter_on_holds", "crop_truncation")),
    Mitigation("a soft edge", {"feather": 0.1}, ("boundary_artifact", "colour_shift")),
    Mitigation("sound one frame earlier", {"audio_offset": 1}, ("syncnet_distance_per_frame",)),
    Mitigation(
        "mouths with the drawings", {"mouth_cadence": "holds"}, ("mouth_change_during_hold", "temporal_flicker")
    ),
)
#: All of them at once: the preset "animation", with the audio offset that the generator was trained with.
TOGETHER = Mitigation(
    "all of it",
    {**PRESETS["animation"], "audio_offset": 1},
    (
        "not_generated",
        "box_jitter_on_holds",
        "boundary_artifact",
        "syncnet_distance_per_frame",
        "mouth_change_during_hold",
    ),
)


def pipelines(
    generator: str | Path | None = None,
    detector: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> dict[str, Pipeline]:
    """The baseline's pipeline, one per mitigation and one for all of them, by name, from a notebook's parameters.

    With a folder `cache` in common, they detect faces once.
    """
    return {
        mitigation.name: Pipeline(
            generator,
            detector,
            Settings.of({**(settings or {}), **PUBLISHED.changes, **mitigation.changes}),
            cache=cache,
        )
        for mitigation in (PUBLISHED, *MITIGATIONS, TOGETHER)
    }


def changes() -> pandas.DataFrame:
    """The settings that each mitigation changes, index ``change``: setting, published, here."""
    import pandas as pd

    rows = [
        {"change": mitigation.name, "setting": name, "published": PUBLISHED.changes[name], "here": value}
        for mitigation in (*MITIGATIONS, TOGETHER)
        for name, value in mitigation.changes.items()
    ]
    return pd.DataFrame(rows).set_index("change")


def effects(results: Mapping[str, Sequence[EvaluatedCase]]) -> pandas.DataFrame:
    """The effect of each mitigation on the metrics that it is meant to lower, clip by clip.

    Parameters
    ----------
    results : mapping of str to sequence of EvaluatedCase
        The same clips by the name of the mitigation, "as published" among them.

    Returns
    -------
    DataFrame
        mitigation, kind (of failure), metric, threshold (`metrics.registry.Metric`), clip, domain, before, after (means
        over the frames in which both are known), difference, low, high (interval of 95 % of the difference, from a
        bootstrap that draws seconds of the clip), seconds (that it rests on). NaN where nothing is known.
    """
    import pandas as pd

    kinds = {kind.name: (kind.failure, kind.threshold) for kind in failures.KINDS} | {"not_generated": (NOT_DRAWN, 0.5)}
    rows = []
    for mitigation in (*MITIGATIONS, TOGETHER):
        for measure in mitigation.measures:
            for before, after in zip(results[PUBLISHED.name], results[mitigation.name], strict=True):
                columns = {"before": before.evaluation.frames, "after": after.evaluation.frames}
                both = pd.DataFrame({name: table[measure] for name, table in columns.items()})
                second = np.floor(before.evaluation.frames["time"] + 1e-6)
                means = both.dropna().groupby(second).mean()
                was, now, _, low, high = interval(means["before"].to_numpy(), means["after"].to_numpy(), True)
                what = dict(zip(("kind", "threshold"), kinds[measure], strict=True))
                who = {"clip": before.case.name, "domain": before.case.domain}
                numbers = {"before": was, "after": now, "difference": now - was, "low": -high, "high": -low}
                rows.append(
                    {"mitigation": mitigation.name, "metric": measure} | what | who | numbers | {"seconds": len(means)}
                )
    return pd.DataFrame(rows)


def shown(
    results: Mapping[str, Sequence[EvaluatedCase]], mitigation: str, kind: str
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The frame of each clip in which a kind of failure is worst as published, without and with a mitigation.

    Returns
    -------
    list of (clip and frame, as published, mended)
        uint8 RGB, cut to where something was drawn.
    """
    out = []
    for before, after in zip(results[PUBLISHED.name], results[mitigation], strict=True):
        for example in examples([before], kind):
            mitigated = near(after, example.frame, near_what=before)[1]
            out.append((f"{example.clip} {example.frame}", example.output, mitigated))
    return out


def filled() -> pandas.DataFrame:
    """How many of the frames that the published S3FD missed on the study's clips get a box from their neighbours.

    Returns
    -------
    DataFrame, index ``longest gap`` (frames, of `GAPS`)
        hold, interpolate (frames that are filled), of (frames that were missed).
    """
    import pandas as pd

    table: dict[str, list[int]] = {"hold": [], "interpolate": [], "of": []}
    clips = [(study.frames(clip), study.pixels(clip)["shot"].to_numpy()) for clip in study.names()]
    for longest in GAPS:
        for policy in ("hold", "interpolate"):
            left = 0
            for frames, shots in clips:
                boxes = frames[["x1", "y1", "x2", "y2"]].to_numpy()
                faces = [None if np.isnan(box).any() else Detection(Box(*box.tolist()), 1.0) for box in boxes]
                known = [[] if face is None else [face] for face in faces]
                size = np.nanmax(boxes[:, 2]), np.nanmax(boxes[:, 3])
                track = tracking.track(
                    known, faces, shots, size, dropouts=policy, max_dropout=longest, smoothing="none"
                )
                left += int((track.provenance == "missing").sum())
            missed = sum(int((~frames["detected"]).sum()) for frames, _ in clips)
            table[policy].append(missed - left)
        table["of"].append(missed)
    return pd.DataFrame(table, index=pd.Index(GAPS, name="longest gap"))
