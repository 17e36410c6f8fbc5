"""The clips of a report's page with their videos, and a page for each with the viewer of `viewer` and all metrics."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import samples
from lipsync_lab.figures import style
from lipsync_lab.media import video
from lipsync_lab.metrics import regions
from lipsync_lab.metrics.registry import label
from lipsync_lab.reporting import evaluation_page
from lipsync_lab.reporting import viewer as viewers
from lipsync_lab.reporting.clip_table import anchor
from lipsync_lab.reporting.media import is_playable
from lipsync_lab.reporting.runs import worst_failures
from lipsync_lab.reporting.variants import ClipResult

if TYPE_CHECKING:
    import pandas

#: Files of a run that a page leads to.
FILES = (
    *("evaluation/failures.csv", "evaluation/frames.csv", "evaluation/scores.csv"),
    *("ledger.csv", "detections.json", "run.json"),
)


def shown(out: Path, results: Sequence[ClipResult]) -> list[dict[str, Any]]:
    """Every clip as the page shows it, with the outputs of all variants; the pages of the outputs are written."""
    return [
        _clip(out, [result for result in results if result.case.name == name])
        for name in dict.fromkeys(result.case.name for result in results)
    ]


def _clip(out: Path, results: Sequence[ClipResult]) -> dict[str, Any]:
    case, good = results[0].case, [result for result in results if result.evaluated]
    sample = samples.SAMPLES.get(case.clip)
    clip = {
        "id": anchor(case.name),
        "name": case.name,
        "domain": case.domain.replace("_", " "),
        "domain_colour": style.domain_colour(case.domain),
        "about": {name.replace("_", " "): value for name, value in case.about.items()},
        "voice": None if case.voice == case.clip else Path(case.voice).stem,
        "credit": f"{sample.attribution} ({sample.licence})" if sample else None,
        "errors": [
            {"variant": result.variant.label, "error": result.outcome.error}
            for result in results
            if result.outcome.error
        ],
        "outputs": [_output(out, result) for result in good],
    }
    if good:
        info = good[0].evaluated.run.info
        clip |= {"fps": float(Fraction(info["clip"]["fps"])), "frames": info["frames_written"]}
    return clip


def _output(out: Path, result: ClipResult) -> dict[str, Any]:
    evaluation, pictures = result.evaluated.evaluation, f"pictures/{result.outcome.name}"
    worst = worst_failures(evaluation).reset_index(drop=True)
    return {
        "variant": result.variant.label,
        "pictures": pictures,
        "run": f"runs/{result.outcome.name}",
        "video": output_video(result),
        "page": write(out, result),
        "failures": worst.assign(picture=[f"{pictures}/worst-{n}.jpg" for n in worst.index + 1]).to_dict("records"),
        "undefined": "; ".join(_undefined(evaluation.scores)),
    }


def _undefined(scores: pandas.DataFrame) -> list[str]:
    """Which scores of the output are undefined, and why: one line a reason."""
    undefined = scores[scores["value"].isna() & (scores["input"] == "dubbed")]
    names = undefined["score"].map(label).groupby(undefined["reason"], sort=False).agg(", ".join)
    return [f"{listed}: {reason}" for reason, listed in names.items()]


def output_video(result: ClipResult) -> str:
    """Address, from the report's folder, of the output that a browser plays."""
    name, run = result.outcome.name, result.evaluated.run
    return f"runs/{name}/{run.output.name}" if is_playable(run) else f"pictures/{name}/after.mp4"


def write(out: Path, result: ClipResult) -> str:
    """Write the page of a clip that was evaluated; returns its address from the report's folder."""
    evaluated, name = result.evaluated, result.outcome.name
    evaluation, info = evaluated.evaluation, evaluated.run.info
    address = f"clips/{name}.html"
    page = out / address
    home = Path(os.path.relpath(out, page.parent)).as_posix()
    pictures = f"{home}/pictures/{name}"
    size = video.probe(out / "pictures" / name / "before.mp4")
    worst = worst_failures(evaluation).reset_index(drop=True)
    shown_frames = [
        (f"{pictures}/worst-{row.Index + 1}.jpg", f"{row.kind}, frame {row.worst}: {row.evidence}")
        for row in worst.itertuples()
    ] or [(f"{pictures}/frame.jpg", "nothing failed")]
    shown = viewers.viewer(
        result.outcome.name,
        f"{pictures}/before.mp4",
        f"{home}/{output_video(result)}",
        evaluation.frames,
        fps=float(Fraction(info["clip"]["fps"])),
        size=(size.width, size.height),
        boxes=regions.generated(evaluated.run.ledger()),
        failures=evaluation.failures,
        key_frames=shown_frames,
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "voice": "its own" if result.case.voice == result.case.clip else Path(result.case.voice).stem,
        "dubbed by": result.variant.label,
        "mouths": evaluated.run.mouths,
        "domain": result.case.domain.replace("_", " "),
        **result.case.about,
    }
    links = [(f"{home}/index.html#clip.{result.case.name}", "the report")]
    links += [(f"{home}/runs/{name}/{file}", file.rpartition("/")[2]) for file in FILES]
    close_up = f"{pictures}/mouth.jpg", shown_frames[0][1]
    evaluation_page.write_page(page, evaluation, name, shown, facts=facts, files=links, close_up=close_up)
    return address
