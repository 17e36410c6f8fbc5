"""Tables of several runs: misses, scores, curves, mouths, and everything that the numbers depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import evaluation
from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.evaluated import Examined
from lipsync_lab.media import audio
from lipsync_lab.metrics import cadence, controls, failures, misses, openness
from lipsync_lab.metrics import detection as detecting

if TYPE_CHECKING:
    import pandas


def recorded() -> pandas.DataFrame:
    """What the published S3FD found on the study's clips (`evaluation.study`), with the columns of `frames` that it
    has.

    Where a face was missed, the box of the nearest frame in which it was found says where the pixels were measured and
    how large it is.
    """
    import pandas as pd

    tables = []
    for clip in study.names():
        found, measured = study.frames(clip), study.pixels(clip)
        ledger = found.assign(
            shot=measured["shot"].to_numpy(),
            best_score=np.nan,
            provenance=np.where(found["found"], "recorded", "missing"),
            mouth_generated=found["found"],
            **{f"best_{side}": found[side] for side in ("x1", "y1", "x2", "y2")},
        )
        # a stretch of misses goes on over a cut: nobody filled any of it
        rows = detecting.detection_metrics(ledger, pixels=measured).reset_index().assign(shot=0)
        tables.append(rows.assign(clip=clip, domain="animation"))
    return pd.concat(tables, ignore_index=True)


def by_eye() -> pandas.DataFrame:
    """What a person sees in the frames that the published S3FD missed (`evaluation.study.seen`), a row a clip.

    Returns
    -------
    DataFrame, index ``clip``
        view, what, stretches, frames (missed).
    """
    seen = study.seen().assign(frames=lambda rows: rows["last"] - rows["first"] + 1)
    sights = seen.groupby(["clip", "view", "what"], sort=False)["frames"].agg(["size", "sum"]).reset_index()
    return sights.set_index("clip").rename(columns={"size": "stretches", "sum": "frames"})


def miss_runs(table: pandas.DataFrame) -> pandas.DataFrame:
    """`metrics.misses.miss_runs` of every clip of `frames` or `recorded`, with ``clip`` and ``domain``."""
    import pandas as pd

    found = [
        misses.miss_runs(rows.set_index("frame")).assign(clip=clip, domain=domain)
        for (clip, domain), rows in table.groupby(["clip", "domain"], sort=False)
    ]
    # a table of no row has columns of no kind, which would make those of the others uncertain
    return pd.concat([one for one in found if len(one)] or found[:1], ignore_index=True)


def missed(table: pandas.DataFrame) -> pandas.DataFrame:
    """Misses in numbers, a row a clip of `frames` or `recorded`.

    Returns
    -------
    DataFrame, index ``clip``
        domain, frames (with a face), missed_detection (of them), share, runs, longest (frames).
    """
    lengths = miss_runs(table).groupby("clip")["length"]
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


def causes(table: pandas.DataFrame) -> pandas.DataFrame:
    """`metrics.detection.causes` of either domain of `frames`: columns domain, cause, misses, share, ..."""
    import pandas as pd

    found = [misses.causes(rows).assign(domain=domain) for domain, rows in table.groupby("domain", sort=False)]
    return pd.concat(found).reset_index()


def overview(examined: Sequence[Examined]) -> pandas.DataFrame:
    """The numbers of every clip, a row each: counts of frames, means of measures, and sync beside its null.

    Returns
    -------
    DataFrame, index ``clip``
        domain; frames; missed_detection, drawn (frames); failures (labelled stretches); the mean of every measured kind
        of picture failure, by its measure's name; mouth_change_during_hold (share of held frames); mouth_ms (median);
        opening (correlation with loudness) and opening_shuffled (the same with shuffled sound); expert (distance at
        offset 0) where an expert judged.
    """
    import pandas as pd

    rows = []
    for one in examined:
        found = one.found
        pictured = {kind.measure for kind in failures.KINDS if kind.part == "picture" and kind.measure in found.frames}
        rows.append(
            {
                "clip": one.case.name,
                "domain": one.case.domain,
                "frames": len(found.frames),
                "missed_detection": int((found.frames["missed_detection"] == 1).sum()),
                "drawn": int(one.run.ledger()["mouth_generated"].sum()),
                "failures": len(found.failures),
                **{k.measure: float(found.frames[k.measure].mean()) for k in failures.KINDS if k.measure in pictured},
                "mouth_change_during_hold": found.metric("mouth_change_during_hold"),
                "mouth_ms": cadence.summary(found.frames)["mouth_ms"],
                "opening": found.score("opening_correlation"),
                "opening_shuffled": found.score("opening_correlation", "shuffled_audio"),
                "expert": found.score("syncnet_distance_at_zero"),
            }
        )
    return pd.DataFrame(rows).set_index("clip").dropna(axis="columns", how="all")


def scores(examined: Sequence[Examined]) -> pandas.DataFrame:
    """`Evaluation.scores` of every clip, with ``clip`` and ``domain``."""
    return _below(examined, lambda one: one.found.scores)


def sync_curves(examined: Sequence[Examined]) -> pandas.DataFrame:
    """`Evaluation.curves` of every clip, with ``clip`` and ``domain``; empty where no network judged."""
    return _below(examined, lambda one: one.found.curves)


def opening_curves(examined: Sequence[Examined]) -> pandas.DataFrame:
    """Correlation of opening and loudness over offsets, of output, untouched source, and with sounds not their own.

    Returns
    -------
    DataFrame
        clip, domain, input ("output", "source", "shifted_audio", "shuffled_audio"), offset (frames, as
        `mouth.follows_sound`), correlation, frames.
    """
    import pandas as pd

    def curves(one: Examined) -> pandas.DataFrame:
        wave, fps = _heard(one)
        nulls = controls.null_inputs(wave)
        given = {
            "output": ("opened", wave),
            "source": ("opened_source", wave),
            **{name: ("opened", nulls[name]) for name in ("shifted_audio", "shuffled_audio")},
        }
        found = {
            name: openness.follows_sound(one.found.frames[column].to_numpy(), sound, fps)[0]
            for name, (column, sound) in given.items()
        }
        return pd.concat(found, names=["input"]).reset_index("input")

    return _below(examined, curves)


def loudness(one: Examined) -> np.ndarray:
    """Loudness of each frame's piece of the voice, decibels against full scale, float64 (frames,)."""
    wave, fps = _heard(one)
    return controls.level(wave, fps, len(one.found.frames))


def closures(examined: Sequence[Examined]) -> pandas.DataFrame:
    """Every M, B and P of the clips whose truth knows the sounds, and how far the mouth is open at its most closed.

    A clip that is dubbed with another voice than its own is left out: its truth does not know that voice.

    Returns
    -------
    DataFrame
        clip, domain, input ("output", "source"), the columns of `metrics.openness.closures`, and the ``bound`` below
        which a mouth counts as closed.
    """
    import pandas as pd

    tables = []
    for one in examined:
        truth, info = evaluation.truth_of(one.face), one.run.info
        if truth is None or info["speech"]["sha256"] != info["face"]["sha256"]:
            continue
        fps = _heard(one)[1]
        spoken = list(_phonemes(truth, fps))
        for given, column in {"output": "opened", "source": "opened_source"}.items():
            sounds, _ = openness.closures(one.found.frames[column].to_numpy(), fps, spoken, one.found.closed)
            told = {"clip": one.case.name, "domain": one.case.domain, "input": given, "bound": one.found.closed}
            tables.append(sounds.assign(**told))
    columns = ["clip", "domain", "input", "symbol", "start", "end", "first", "last", "least", "closed", "bound"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _phonemes(truth: pandas.DataFrame, fps: float) -> Iterator[tuple[str, float, float]]:
    """Symbol, start and end (seconds) of what is said; silence is nobody's."""
    said = truth["phoneme"].fillna("").tolist()
    edges = [0, *(i for i in range(1, len(said)) if said[i] != said[i - 1]), len(said)]
    for first, stop in zip(edges[:-1], edges[1:], strict=True):
        if said[first]:
            yield said[first], first / fps, stop / fps


def mouths(examined: Sequence[Examined]) -> pandas.DataFrame:
    """`metrics.cadence.mouths` of every clip, with ``clip`` and ``domain``; those seen from beginning to end."""
    table = _below(examined, lambda one: cadence.mouths(one.found.frames))
    return table[table["whole"].astype(bool)].reset_index(drop=True)


def rhythm(examined: Sequence[Examined]) -> pandas.DataFrame:
    """`metrics.cadence.summary` of every clip, a row each, with its ``domain``."""
    import pandas as pd

    rows = {one.case.name: {"domain": one.case.domain} | cadence.summary(one.found.frames) for one in examined}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("clip")


def provenance(examined: Sequence[Examined]) -> pandas.DataFrame:
    """Everything that the numbers depend on: a row a fact, index ``fact``, column ``value`` (text)."""
    import pandas as pd

    facts: dict[str, list[str]] = {}
    for one in examined:
        info = one.run.info
        judges = {kind: about.get("sha256") or about.get("absent") for kind, about in one.found.about.items()}
        told = {
            "generator": f"{info['generator']['provenance']}; SHA-256 {info['generator']['sha256'] or 'none'}",
            "detector": ", ".join(f"{name} {value}" for name, value in info["detector"].items()),
            **{f"judge: {kind}": f"{one.found.about[kind]['name']}: {judges[kind]}" for kind in judges},
            "settings": json.dumps(info["settings"]),
            "device": info["device"],
            "versions": ", ".join(f"{name} {number}" for name, number in info["versions"].items()),
            f"{one.case.name}: clip": f"SHA-256 {info['face']['sha256']}",
            f"{one.case.name}: voice": f"SHA-256 {info['speech']['sha256']}",
        }
        for fact, value in told.items():
            facts.setdefault(fact, []).append(value)
    # runs of several models may stand side by side
    told = {fact: "; ".join(dict.fromkeys(values)) for fact, values in facts.items()}
    return pd.DataFrame({"value": pd.Series(told)}).rename_axis("fact")


def _heard(one: Examined) -> tuple[np.ndarray, float]:
    """The voice of a run, as long as its frames, and frames a second."""
    fps = float(Fraction(one.run.info["face"]["fps"]))
    return audio.load(one.run.output)[: round(len(one.found.frames) / fps * audio.SAMPLE_RATE)], fps


def _below(examined: Sequence[Examined], table: Callable[[Examined], pandas.DataFrame]) -> pandas.DataFrame:
    import pandas as pd

    tables = [table(one).assign(clip=one.case.name, domain=one.case.domain) for one in examined]
    # a table of no row has columns of no kind, which would make those of the others uncertain
    some = [one for one in tables if len(one)] or tables[:1]
    return pd.concat(some, ignore_index=True)
