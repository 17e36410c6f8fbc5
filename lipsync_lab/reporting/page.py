"""The table, the manifest and the page that lead to everything else in a report."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import runs
from lipsync_lab.reporting.clips import draw, headline
from lipsync_lab.reporting.outcomes import Outcome, Part, code, save, versions
from lipsync_lab.reporting.words import made, proves

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline

#: Columns of ``table.csv`` and of the page's table, one row a clip. `gap_filled` are frames whose box is interpolated
#: or held, `passed_through` those whose box is missing, which go through untouched; `seconds` is the length of the
#: frames that were used. Nothing here changes from one run to the next: what a run took stands in the manifest.
TABLE = (
    *("clip", "domain", "frames", "detected", "gap_filled", "passed_through", "mouths_drawn", "seconds"),
    *("frames_written", "error"),
)

_HEADS = {"passed_through": "missing: passed through", "gap_filled": "gap-filled", "seconds": "length (s)"}


def write(out: Path, pipeline: Pipeline, parts: list[Part], outcomes: list[Outcome]) -> None:
    """Table, manifest and page."""
    import jinja2
    import pandas as pd

    from lipsync_lab import figures

    rows, shown, inputs, took = [], [], {}, {}
    for part, outcome in zip(parts, outcomes, strict=False):
        domain = part.sample.domain if part.sample else ""
        row = {"clip": part.name, "domain": domain, "error": outcome.error or ""}
        one = {
            "name": part.name,
            "domain": domain,
            "error": outcome.error,
            "voice": None if part.speech == part.face else Path(part.speech).stem,
        }
        if part.sample:
            one["credit"] = f"{part.sample.attribution} ({part.sample.licence})"
        if not outcome.error:
            run = runs.Run(outcome.path)
            info = run.info
            row |= headline(run)
            playable = run.output.suffix == ".mp4"
            one["after"] = (
                (run.output if playable else out / "pictures" / part.name / "after.mp4").relative_to(out).as_posix()
            )
            took[part.name] = info["seconds"]
            inputs[part.name] = {side: info[side]["sha256"] for side in ("face", "speech")}
        one["colour"] = figures.DOMAIN_COLOURS.get(domain, "#555")
        one["links"] = [
            {"name": book.name.removesuffix(f"-{part.name}"), "link": f"notebooks/{book.path.name}"}
            for book in outcomes
            if book.kind == "notebook" and book.name.endswith(f"-{part.name}")
        ]
        one["row"] = [row.get(name, "") for name in TABLE]
        rows.append(row)
        shown.append(one)

    text = io.StringIO()
    writer = csv.DictWriter(text, TABLE, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save(out / "table.csv", text.getvalue())
    good = pd.DataFrame([row for row in rows if not row["error"]], columns=list(TABLE))
    if len(good):
        draw(out / "coverage.png", figures.coverage(good))

    weights = pipeline.weights
    manifest = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "models": made(pipeline),
        "proves": proves(pipeline),
        "generator": {"name": weights.name, "sha256": weights.sha256, "width": weights.width},
        "detector": pipeline.finder.identity,
        "settings": pipeline.settings.as_dict(),
        "device": pipeline.device,
        "clips": {part.name: {"clip": Path(part.face).name, "voice": Path(part.speech).name} for part in parts},
        "sha256": inputs,
        "seconds": took,
        "outcomes": [asdict(one) | {"path": one.path.relative_to(out).as_posix()} for one in outcomes],
        "table_sha256": hashlib.sha256(text.getvalue().encode()).hexdigest(),
        "code_sha256": code(),
        "versions": versions(),
    }
    save(out / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    facts = {
        "generator": f"{weights.provenance}; parameters {weights.sha256 or 'none'}",
        "detector": ", ".join(f"{name} {value}" for name, value in pipeline.finder.identity.items()),
        "settings": ", ".join(f"{name} {value}" for name, value in pipeline.settings.as_dict().items()),
        "device": pipeline.device,
        **{f"{name}: {side}": digest for name, sides in inputs.items() for side, digest in sides.items()},
        "code": code(),
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = template.from_string(Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")).render(
        title="Lip-sync report",
        manifest=manifest,
        clips=shown,
        columns=[_HEADS.get(name, name.replace("_", " ")) for name in TABLE],
        notebooks=[
            {"name": one.name, "link": f"notebooks/{one.path.name}", "error": one.error}
            for one in outcomes
            if one.kind == "notebook"
        ],
        outcomes=outcomes,
        failed=[one for one in outcomes if one.error],
        coverage=len(good) > 0,
        facts=facts,
    )
    save(out / "index.html", page)
