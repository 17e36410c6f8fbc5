"""Tables of several evaluated clips: missed detections, scores, curves, mouths, and provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.evaluation.evaluated import EvaluatedCase, by_clip, stacked
from lipsync_lab.geometry import spans
from lipsync_lab.media import audio
from lipsync_lab.metrics import cadence, controls, failures, misses, openness
from lipsync_lab.metrics import detection as detecting

if TYPE_CHECKING:
    import pandas


def recorded() -> pandas.DataFrame:
    """The detections of the published S3FD on the study's clips (`evaluation.study`), with the columns of
    `evaluated.frames` that it has.

    Pixels and size of a missed face are those of the box of the nearest frame with one.
    """
    return _recorded().copy()


@cache
def _recorded() -> pandas.DataFrame:
    tables = []
    for clip in study.names():
        boxes, measured = study.frames(clip), study.pixels(clip)
        ledger = boxes.assign(
            shot=measured["shot"].to_numpy(),
            best_score=np.nan,
            provenance=np.where(boxes["detected"], "recorded", "missing"),
            mouth_generated=boxes["detected"],
            **{f"best_{side}": boxes[side] for side in study.BOX},
        )
        # a dropout goes on over a cut, since none was filled
        rows = detecting.detection_metrics(ledger, pixels=measured).reset_index().assign(shot=0)
        tables.append(({"clip": clip, "domain": "animation"}, rows))
    return stacked(tables)


def missed_views() -> pandas.DataFrame:
    """The view of the face in the frames that the published S3FD missed (`evaluation.study.views`).

    Returns
    -------
    DataFrame, index ``clip``
        view, what (is unusual), dropouts, frames (missed).
    """
    views = study.views().assign(frames=lambda rows: rows["last"] - rows["first"] + 1)
    groups = views.groupby(["clip", "view", "what"], sort=False)["frames"]
    return groups.agg(dropouts="size", frames="sum").reset_index(["view", "what"])


def dropouts(table: pandas.DataFrame) -> pandas.DataFrame:
    """`metrics.misses.dropouts` of every clip of `evaluated.frames` or `recorded`, with ``clip`` and ``domain``."""
    groups = table.groupby(["clip", "domain"], sort=False)
    return stacked(
        ({"clip": clip, "domain": domain}, misses.dropouts(rows.set_index("frame"))) for (clip, domain), rows in groups
    )


def missed(table: pandas.DataFrame) -> pandas.DataFrame:
    """Misses in numbers, a row per clip of `frames` or `recorded`.

    Returns
    -------
    DataFrame, index ``clip``
        domain, frames (with a face), missed_detection (of them), share, runs, longest (frames).
    """
    lengths = dropouts(table).groupby("clip")["length"]
    out = table.groupby("clip", sort=False).agg(
        domain=("domain", "first"),
        frames=("missed_detection", "count"),
        missed_detection=("missed_detection", "sum"),
        share=("missed_detection", "mean"),
    )
    out["missed_detection"] = out["missed_detection"].astype(int)
    for name, number in {"runs": lengths.size(), "longest": lengths.max()}.items():
        out[name] = number.reindex(out.index).fillna(0).astype(int)
    return out


def missed_detection_causes(table: pandas.DataFrame) -> pandas.DataFrame:
    """`metrics.misses.missed_detection_causes` of each domain of `evaluated.frames`, with ``domain`` and ``cause``."""
    groups = table.groupby("domain", sort=False)
    return stacked(({"domain": domain}, misses.missed_detection_causes(rows).reset_index()) for domain, rows in groups)


def failing(table: pandas.DataFrame) -> pandas.DataFrame:
    """The share of failing frames, by kind of failure and domain.

    Returns
    -------
    DataFrame
        kind, stage (`metrics.registry.Metric`), domain, covered (frames in which the metric is defined), frames (in
        which it is beyond its threshold), share (NaN where it is defined nowhere).
    """
    import pandas as pd

    rows = []
    for kind in failures.KINDS:
        for domain, frames in table.groupby("domain", sort=False):
            values = frames[kind.name].dropna() if kind.name in frames else []
            failed = int(kind.beyond(values).sum())
            share = failed / len(values) if len(values) else np.nan
            rows.append((kind.failure, kind.stage, domain, len(values), failed, share))
    return pd.DataFrame(rows, columns=["kind", "stage", "domain", "covered", "frames", "share"])


def overview(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """The numbers of every clip, a row each: counts of frames, medians of metrics, and sync scores beside a control.

    Returns
    -------
    DataFrame, index ``clip``
        domain; frames; missed_detection, mouths_generated (frames); failures (rows of that table); the median of every
        metric of the picture that has a failure threshold; mouth_change_during_hold (share of held frames); mouth_ms
        (median duration); openness_correlation (of mouth openness and loudness), openness_correlation_shuffled_audio
        (its control), syncnet_distance_at_zero. Columns without any value are left out.
    """
    import pandas as pd

    rows = {}
    for result in results:
        evaluation = result.evaluation
        rows[result.case.name] = {
            "domain": result.case.domain,
            "frames": len(evaluation.frames),
            "missed_detection": int((evaluation.frames["missed_detection"] == 1).sum()),
            "mouths_generated": int(result.run.ledger()["mouth_generated"].sum()),
            "failures": len(evaluation.failures),
            **{kind.name: evaluation.metric(kind.name) for kind in failures.KINDS if kind.stage == "picture"},
            "mouth_change_during_hold": evaluation.metric("mouth_change_during_hold"),
            "mouth_ms": cadence.summary(evaluation.frames)["mouth_ms"],
            "openness_correlation": evaluation.score("openness_correlation"),
            "openness_correlation_shuffled_audio": evaluation.score("openness_correlation", "shuffled_audio"),
            "syncnet_distance_at_zero": evaluation.score("syncnet_distance_at_zero"),
        }
    table = pd.DataFrame(rows.values(), index=pd.Index(rows, name="clip"))
    return table.dropna(axis="columns", how="all")


def scores(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`Evaluation.scores` of every clip, with ``clip`` and ``domain``."""
    return by_clip(results, lambda result: result.evaluation.scores)


def sync_curves(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`Evaluation.curves` of every clip, with ``clip`` and ``domain``; empty without a sync network."""
    return by_clip(results, lambda result: result.evaluation.curves)


def openness_curves(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """Correlation of mouth openness and loudness over audio offsets: output, untouched source, and two controls.

    Returns
    -------
    DataFrame
        clip, domain, input ("output", "source", "shifted_audio", "shuffled_audio"), offset (frames, as
        `openness.follows_sound`), correlation, frames.
    """

    def curves(result: EvaluatedCase) -> pandas.DataFrame:
        wave, fps = _voice_of(result)
        unrelated = controls.control_inputs(wave)
        frames = result.evaluation.frames
        inputs = {
            "output": ("mouth_openness", wave),
            "source": ("mouth_openness_source", wave),
            **{name: ("mouth_openness", unrelated[name]) for name in ("shifted_audio", "shuffled_audio")},
        }
        return stacked(
            ({"input": name}, openness.follows_sound(frames[column].to_numpy(), sound, fps)[0])
            for name, (column, sound) in inputs.items()
        )

    return by_clip(results, curves)


def loudness(result: EvaluatedCase) -> np.ndarray:
    """Loudness of each frame's piece of the voice, decibels against full scale, float64 (frames,)."""
    wave, fps = _voice_of(result)
    return controls.level(wave, fps, len(result.evaluation.frames))


def bilabial_closures(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """Every M, B and P of the clips whose ground truth has the phonemes, and how far the mouth closes.

    A clip that is dubbed with another voice than its own is left out, since its ground truth is that of its own voice.

    Returns
    -------
    DataFrame
        clip, domain, input ("output", "source"), the columns of `metrics.openness.bilabial_closures`, and the
        ``threshold`` below which a mouth counts as closed.
    """
    import pandas as pd

    columns = ["input", "symbol", "start", "end", "first", "last", "least", "closed", "threshold"]

    def closures(result: EvaluatedCase) -> pandas.DataFrame:
        ground_truth, info = ground_truth_of(result.face), result.run.info
        if ground_truth is None or info["voice"]["sha256"] != info["clip"]["sha256"]:
            return pd.DataFrame(columns=columns)
        fps, evaluation = float(Fraction(info["clip"]["fps"])), result.evaluation
        spoken = list(_phonemes(ground_truth, fps))
        sides = {"output": "mouth_openness", "source": "mouth_openness_source"}
        tables = {
            name: openness.bilabial_closures(evaluation.frames[side].to_numpy(), fps, spoken, evaluation.closed)
            for name, side in sides.items()
        }
        return stacked(({"input": name}, table.assign(threshold=evaluation.closed)) for name, table in tables.items())

    return by_clip(results, closures)


def _phonemes(ground_truth: pandas.DataFrame, fps: float) -> Iterator[tuple[str, float, float]]:
    """Symbol, start and end (seconds) of each phoneme; silence has none."""
    phonemes = ground_truth["phoneme"].fillna("")
    for start, stop in spans(phonemes != "", phonemes.ne(phonemes.shift()).cumsum()):
        yield phonemes.iloc[start], start / fps, stop / fps


def mouths(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`metrics.cadence.mouths` of every clip, with ``clip`` and ``domain``; those with both start and end."""
    table = by_clip(results, lambda result: cadence.mouths(result.evaluation.frames))
    return table[table["whole"].astype(bool)].reset_index(drop=True)


def cadence_summary(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`metrics.cadence.summary` of every clip, a row each, with its ``domain``; index ``clip``."""
    import pandas as pd

    table = by_clip(results, lambda result: pd.DataFrame([cadence.summary(result.evaluation.frames)]))
    return table.set_index("clip")


def provenance(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """The models, settings, versions and files that the numbers depend on; index ``fact``, column ``value`` (text)."""
    import pandas as pd

    facts: dict[str, list[str]] = {}
    for result in results:
        info = result.run.info
        networks = {kind: about.get("sha256") or about.get("absent") for kind, about in result.evaluation.about.items()}
        facts_of_run = {
            "generator": f"{info['generator']['provenance']}; SHA-256 {info['generator']['sha256'] or 'none'}",
            "detector": ", ".join(f"{name} {value}" for name, value in info["detector"].items()),
            **{f"network: {kind}": f"{result.evaluation.about[kind]['name']}: {networks[kind]}" for kind in networks},
            "settings": json.dumps(info["settings"]),
            "device": info["device"],
            "versions": ", ".join(f"{name} {number}" for name, number in info["versions"].items()),
            f"{result.case.name}: clip": f"SHA-256 {info['clip']['sha256']}",
            f"{result.case.name}: voice": f"SHA-256 {info['voice']['sha256']}",
        }
        for fact, value in facts_of_run.items():
            facts.setdefault(fact, []).append(value)
    # runs may differ in models or settings
    facts_of_run = {fact: "; ".join(dict.fromkeys(values)) for fact, values in facts.items()}
    return pd.DataFrame({"value": pd.Series(facts_of_run)}).rename_axis("fact")


def _voice_of(result: EvaluatedCase) -> tuple[np.ndarray, float]:
    """The voice of a run, as long as its frames, and frames a second."""
    fps = float(Fraction(result.run.info["clip"]["fps"]))
    return audio.load(result.run.output)[: round(len(result.evaluation.frames) / fps * audio.SAMPLE_RATE)], fps
