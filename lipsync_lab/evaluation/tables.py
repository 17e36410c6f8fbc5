"""Tables of several runs: misses, scores, curves, mouths, and everything that the numbers depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.evaluation.evaluated import EvaluatedCase
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
    import pandas as pd

    tables = []
    for clip in study.names():
        boxes, measured = study.frames(clip), study.pixels(clip)
        ledger = boxes.assign(
            shot=measured["shot"].to_numpy(),
            best_score=np.nan,
            provenance=np.where(boxes["detected"], "recorded", "missing"),
            mouth_generated=boxes["detected"],
            **{f"best_{side}": boxes[side] for side in ("x1", "y1", "x2", "y2")},
        )
        # a dropout goes on over a cut, since none was filled
        rows = detecting.detection_metrics(ledger, pixels=measured).reset_index().assign(shot=0)
        tables.append(rows.assign(clip=clip, domain="animation"))
    return pd.concat(tables, ignore_index=True)


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
    """`metrics.misses.dropouts` of every clip of `frames` or `recorded`, with ``clip`` and ``domain``."""
    import pandas as pd

    tables = [
        misses.dropouts(rows.set_index("frame")).assign(clip=clip, domain=domain)
        for (clip, domain), rows in table.groupby(["clip", "domain"], sort=False)
    ]
    # a table of no row has columns of no kind, which would make those of the others uncertain
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def missed(table: pandas.DataFrame) -> pandas.DataFrame:
    """Misses in numbers, a row a clip of `frames` or `recorded`.

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
    """`metrics.misses.missed_detection_causes` of each domain of `frames`: columns domain, cause, misses, share, ..."""
    import pandas as pd

    by_domain = table.groupby("domain", sort=False)
    tables = [misses.missed_detection_causes(rows).assign(domain=domain) for domain, rows in by_domain]
    return pd.concat(tables).reset_index()


def overview(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """The numbers of every clip, a row each: counts of frames, means of metrics, and sync scores beside a control.

    Returns
    -------
    DataFrame, index ``clip``
        domain; frames; missed_detection, mouths_generated (frames); failures (rows of that table); the mean of every
        metric of the picture that has a failure threshold; mouth_change_during_hold (share of held frames); mouth_ms
        (median duration); opening_correlation (of mouth openness and loudness), opening_correlation_shuffled_audio
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
            "opening_correlation": evaluation.score("opening_correlation"),
            "opening_correlation_shuffled_audio": evaluation.score("opening_correlation", "shuffled_audio"),
            "syncnet_distance_at_zero": evaluation.score("syncnet_distance_at_zero"),
        }
    table = pd.DataFrame(rows.values(), index=pd.Index(rows, name="clip"))
    return table.dropna(axis="columns", how="all")


def scores(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`Evaluation.scores` of every clip, with ``clip`` and ``domain``."""
    return _below(results, lambda result: result.evaluation.scores)


def sync_curves(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`Evaluation.curves` of every clip, with ``clip`` and ``domain``; empty where no network judged."""
    return _below(results, lambda result: result.evaluation.curves)


def opening_curves(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """Correlation of opening and loudness over offsets, of output, untouched source, and with sounds not their own.

    Returns
    -------
    DataFrame
        clip, domain, input ("output", "source", "shifted_audio", "shuffled_audio"), offset (frames, as
        `mouth.follows_sound`), correlation, frames.
    """
    import pandas as pd

    def curves(result: EvaluatedCase) -> pandas.DataFrame:
        wave, fps = _voice_of(result)
        unrelated = controls.control_inputs(wave)
        given = {
            "output": ("opened", wave),
            "source": ("opened_source", wave),
            **{name: ("opened", unrelated[name]) for name in ("shifted_audio", "shuffled_audio")},
        }
        by_input = {
            name: openness.follows_sound(result.evaluation.frames[column].to_numpy(), sound, fps)[0]
            for name, (column, sound) in given.items()
        }
        return pd.concat(by_input, names=["input"]).reset_index("input")

    return _below(results, curves)


def loudness(result: EvaluatedCase) -> np.ndarray:
    """Loudness of each frame's piece of the voice, decibels against full scale, float64 (frames,)."""
    wave, fps = _voice_of(result)
    return controls.level(wave, fps, len(result.evaluation.frames))


def bilabial_closures(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """Every M, B and P of the clips whose truth knows the sounds, and how far the mouth is open at its most closed.

    A clip that is dubbed with another voice than its own is left out: its truth does not know that voice.

    Returns
    -------
    DataFrame
        clip, domain, input ("output", "source"), the columns of `metrics.openness.bilabial_closures`, and the
        ``threshold`` below which a mouth counts as closed.
    """
    import pandas as pd

    tables = []
    for result in results:
        truth, info = ground_truth_of(result.face), result.run.info
        if truth is None or info["speech"]["sha256"] != info["face"]["sha256"]:
            continue
        fps = _voice_of(result)[1]
        spoken = list(_phonemes(truth, fps))
        for given, column in {"output": "opened", "source": "opened_source"}.items():
            sounds = openness.bilabial_closures(
                result.evaluation.frames[column].to_numpy(), fps, spoken, result.evaluation.closed
            )
            about = {
                "clip": result.case.name,
                "domain": result.case.domain,
                "input": given,
                "threshold": result.evaluation.closed,
            }
            tables.append(sounds.assign(**about))
    columns = ["clip", "domain", "input", "symbol", "start", "end", "first", "last", "least", "closed", "threshold"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _phonemes(truth: pandas.DataFrame, fps: float) -> Iterator[tuple[str, float, float]]:
    """Symbol, start and end (seconds) of what is said; silence is nobody's."""
    phonemes = truth["phoneme"].fillna("").tolist()
    edges = [0, *(i for i in range(1, len(phonemes)) if phonemes[i] != phonemes[i - 1]), len(phonemes)]
    for first, stop in zip(edges[:-1], edges[1:], strict=True):
        if phonemes[first]:
            yield phonemes[first], first / fps, stop / fps


def mouths(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`metrics.cadence.mouths` of every clip, with ``clip`` and ``domain``; those seen from beginning to end."""
    table = _below(results, lambda result: cadence.mouths(result.evaluation.frames))
    return table[table["whole"].astype(bool)].reset_index(drop=True)


def cadence_summary(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """`metrics.cadence.summary` of every clip, a row each, with its ``domain``."""
    import pandas as pd

    rows = {
        result.case.name: {"domain": result.case.domain} | cadence.summary(result.evaluation.frames)
        for result in results
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("clip")


def provenance(results: Sequence[EvaluatedCase]) -> pandas.DataFrame:
    """Everything that the numbers depend on: a row a fact, index ``fact``, column ``value`` (text)."""
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
            f"{result.case.name}: clip": f"SHA-256 {info['face']['sha256']}",
            f"{result.case.name}: voice": f"SHA-256 {info['speech']['sha256']}",
        }
        for fact, value in facts_of_run.items():
            facts.setdefault(fact, []).append(value)
    # runs of several models may stand side by side
    facts_of_run = {fact: "; ".join(dict.fromkeys(values)) for fact, values in facts.items()}
    return pd.DataFrame({"value": pd.Series(facts_of_run)}).rename_axis("fact")


def _voice_of(result: EvaluatedCase) -> tuple[np.ndarray, float]:
    """The voice of a run, as long as its frames, and frames a second."""
    fps = float(Fraction(result.run.info["face"]["fps"]))
    return audio.load(result.run.output)[: round(len(result.evaluation.frames) / fps * audio.SAMPLE_RATE)], fps


def _below(results: Sequence[EvaluatedCase], table: Callable[[EvaluatedCase], pandas.DataFrame]) -> pandas.DataFrame:
    import pandas as pd

    tables = [table(result).assign(clip=result.case.name, domain=result.case.domain) for result in results]
    # a table of no row has columns of no kind, which would make those of the others uncertain
    rows = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(rows, ignore_index=True)
