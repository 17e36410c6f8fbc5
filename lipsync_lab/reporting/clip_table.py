"""The table of a report's page with one row per clip, or a clip and variant: its columns and its cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lipsync_lab import samples
from lipsync_lab.metrics import registry
from lipsync_lab.reporting.runs import worst_failures
from lipsync_lab.reporting.variants import ClipResult

if TYPE_CHECKING:
    import pandas

_DOMAIN = "animation, live action or synthetic photo (a photograph that a program animates)"
_RECALL = (
    "share of the frames with a face in which the detector accepted one; without ground truth every frame is taken to "
    "have a face"
)
_FALSE = "detections above the threshold that are not the face, a frame; undefined without ground truth"
_WORST = (
    "the run of failing frames that is most severe and lasts longest, and the value of its metric in the worst frame "
    "of this run, whose source, output and difference are shown; a single frame elsewhere may be worse"
)
_DISTANCE = "SyncNet distance (1 - cosine) of output and voice; smaller where mouth and voice agree"
_SHUFFLED = (
    "control: the same distance with the voice in another order; the output is evidence of sync only where its own "
    "distance is smaller"
)
_SOURCE = (
    "control: the same distance of the untouched source, with the voice of the output; where it is not below the "
    "shuffled audio and the voice is the source's own, the sync expert cannot judge the clip"
)
_NO_SYNC = "the sync expert finds no sync in the source either: it cannot judge this clip"
_OFFSET = "offset of least SyncNet distance, in frames; positive where the sound is early"


@dataclass(frozen=True)
class Column:
    """A column: its key in `Cell` rows, its head, its explanation, and whether it holds words."""

    name: str
    head: str
    meaning: str
    words: bool = False


@dataclass(frozen=True)
class Cell:
    """Text of a cell, with what the table sorts by, a second line, and whether it is remarkable."""

    text: str
    order: str
    small: str = ""
    bad: bool = False


def columns(several: bool, lse: bool) -> list[Column]:
    """The columns; `several` variants have a column of their own, and so has the published network where it is."""
    return [
        Column("clip", "clip", "name of the clip; leads to its videos below", words=True),
        *([Column("variant", "dubbed by", "generator or settings", words=True)] if several else []),
        Column("domain", "domain", _DOMAIN, words=True),
        Column("recall", "recall", _RECALL),
        Column("false_positives", "false positives per frame", _FALSE),
        Column("worst", "worst failure", _WORST, words=True),
        Column("syncnet_distance", "SyncNet distance", _DISTANCE),
        Column("shuffled_audio", "shuffled audio", _SHUFFLED),
        Column("untouched_source", "source", _SOURCE),
        Column("av_offset", "AV offset (frames)", _OFFSET),
        *([Column("lse_d", "LSE-D", "the published SyncNet distance; smaller is better")] if lse else []),
        *([Column("lse_c", "LSE-C", "the published SyncNet confidence; larger is better")] if lse else []),
    ]


def table_rows(results: Sequence[ClipResult]) -> list[dict[str, Any]]:
    """The rows of the table, the variants of a clip together: `Cell` by column, and what the row leads to."""
    names = list(dict.fromkeys(result.case.name for result in results))
    return [_row(result) for result in sorted(results, key=lambda result: names.index(result.case.name))]


def recall(result: ClipResult) -> float:
    """Share of the frames with a face in which the detector accepted one; NaN without such a frame."""
    return 1 - float(result.evaluated.evaluation.frames["missed_detection"].mean())


def _row(result: ClipResult) -> dict[str, Any]:
    case, name = result.case, result.outcome.name
    cells = {
        "clip": Cell(case.name, case.name),
        "variant": Cell(result.variant.label, result.variant.label),
        "domain": Cell(samples.domain_in_words(case.domain), case.domain),
    }
    row = {"id": anchor(case.name), "domain": case.domain, "error": result.outcome.error, "cells": cells}
    if result.evaluated is None:
        return row
    evaluation = result.evaluated.evaluation
    share, false = recall(result), float(evaluation.frames["false_positives"].astype(float).mean())
    inputs = ("dubbed", "shuffled_audio", "untouched_source")
    distance, shuffled, source = (evaluation.score("syncnet_distance", given) for given in inputs)
    # a source is in sync with its own voice alone
    unjudged = case.voice == case.clip and source >= shuffled
    worst = worst_failures(evaluation, most=1)
    cells |= {
        "recall": _number(share, f"{share:.0%}", bad=share < 1),
        "false_positives": _number(false, f"{false:.2f}", bad=false > 0),
        "worst": _without_failure(result) if worst.empty else _failure(worst.iloc[0]),
        "syncnet_distance": _number(
            distance, f"{distance:.2f}", bad=distance >= shuffled and not unjudged, small=_NO_SYNC if unjudged else ""
        ),
        "shuffled_audio": _number(shuffled, f"{shuffled:.2f}"),
        "untouched_source": _number(source, f"{source:.2f}"),
        "av_offset": _number(offset := evaluation.score("av_offset"), f"{offset:.0f}", bad=abs(offset) > 1),
        **{name: _number(score := evaluation.score(name), f"{score:.2f}") for name in ("lse_d", "lse_c")},
    }
    return row | {"picture": f"pictures/{name}/{'frame' if worst.empty else 'worst-1'}.jpg"}


def _failure(first: pandas.Series) -> Cell:
    number = value(first["metric"], first["value"])
    frames = f"frame {first['worst']}"
    if first["first"] != first["last"]:
        frames += f", worst of {first['first']} to {first['last']}"
    return Cell(first["kind"], f"{first['kind']} {first['value']:09.4f}", f"{number}, {frames}")


def _without_failure(result: ClipResult) -> Cell:
    """What the table says of a clip without a failure: nothing fails where no mouth was generated."""
    generated = result.evaluated.run.ledger()["mouth_generated"].astype(bool)
    if not generated.any():
        return Cell("no mouth generated", "0", bad=recall(result) > 0)
    return Cell("none", "0", "" if generated.all() else f"mouths in {generated.sum()} of {len(generated)} frames")


def value(metric: str, number: float) -> str:
    """A metric's value with its unit, shares as percentages."""
    unit, show = unit_and_number(metric)
    text = show(number)
    return f"{text} {unit.removeprefix('%').strip()}".strip() if text.endswith("%") else f"{text} {unit}".strip()


def unit_and_number(metric: str) -> tuple[str, Callable[..., str]]:
    """The unit of a metric as it is printed, and what prints a number in it: ``show(number, sign="")``."""
    unit = next((known.unit for known in registry.metrics() if known.name == metric), "")
    if unit.startswith("share"):
        return f"%{unit.removeprefix('share')}", lambda number, sign="": _unsigned_zero(f"{number:{sign}.0%}")
    # a cosine has no unit that a reader needs
    return "" if "cosine" in unit else unit, _three_digits


def _three_digits(number: float, sign: str = "") -> str:
    """Three digits, of which none stands behind the third place."""
    return _unsigned_zero(f"{number:{sign}.3g}" if abs(number) >= 0.1 else f"{number:{sign}.3f}")


def _unsigned_zero(text: str) -> str:
    return text.lstrip("+-") if not set(text) & set("123456789") else text


def anchor(clip: str) -> str:
    """The address of a clip's videos on the page."""
    return f"clip.{clip}"


def _number(number: float, text: str, bad: bool = False, small: str = "") -> Cell:
    return Cell("–", "") if math.isnan(number) else Cell(text, f"{number:.6f}", small, bad)
