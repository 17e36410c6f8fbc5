"""The table, the manifest and the page that lead to everything else in a report."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import runs, samples
from lipsync_lab.evaluation import cases as clips_tables
from lipsync_lab.evaluation.findings import plain
from lipsync_lab.reporting.media import AMPLIFY, draw, is_playable
from lipsync_lab.reporting.outcome import Outcome, save, versions
from lipsync_lab.reporting.runs import headline, judged, worst
from lipsync_lab.reporting.safe import clean
from lipsync_lab.reporting.text import made, proves

if TYPE_CHECKING:
    from lipsync_lab.evaluation.cases import Case
    from lipsync_lab.evaluation.evaluated import Examined
    from lipsync_lab.pipeline import Pipeline

#: Columns of ``table.csv``, one row a clip and generator. `gap_filled` are frames whose box is interpolated or held,
#: `passed_through` those whose box is missing, which go through untouched; `seconds` is the length of the frames that
#: were used. `expert_*` is the sync expert's distance at the best offset and that offset in frames, and the distance
#: with the voice in pieces, without a voice, and of the untouched source under the same voice; `lse_*` the published
#: scores. `metrics.failures` counts stretches; `worst` are the worst kinds, `worst_frame` the first's. Nothing here
#: changes from one run to the next: what a run took stands in the manifest.
TABLE = (
    *("clip", "generator", "domain", "frames", "detected", "gap_filled", "passed_through", "mouths_drawn", "seconds"),
    *(
        "frames_written",
        "syncnet_distance",
        "av_offset",
        "syncnet_distance_shuffled_audio",
        "syncnet_distance_silent_audio",
        "syncnet_distance_untouched_source",
    ),
    *("lse_d", "lse_c", "failures", "worst", "worst_frame", "error"),
)


@dataclass(frozen=True)
class Take:
    """A clip as one generator dubbed it; `examined` is None where that failed."""

    case: Case
    model: str
    outcome: Outcome
    examined: Examined | None


@dataclass(frozen=True)
class Found:
    """Findings in Markdown under a title; `link` is the address, without its suffix, of the notebook that shows how."""

    model: str
    title: str
    link: str | None
    text: str


def write(
    out: Path,
    pipelines: Mapping[str, Pipeline],
    takes: Sequence[Take],
    outcomes: Sequence[Outcome],
    found: Sequence[Found],
) -> None:
    """Write table, clips table, manifest and pages."""
    import pandas as pd

    from lipsync_lab import figures

    rows = [_row(take) for take in takes]
    table = _csv(rows)
    save(out / "table.csv", table)
    cases = list({take.case.name: take.case for take in takes}.values())
    save(out / "clips.csv", clips_tables.table(cases, out))
    good = pd.DataFrame([row for row in rows if not row["error"]], columns=list(TABLE))
    if len(good):
        several = len(pipelines) > 1
        named = good.assign(clip=good["clip"] + ", " + good["generator"]) if several else good
        draw(out / "coverage.png", figures.coverage(named))
    manifest = _manifest(out, pipelines, takes, outcomes) | {"table_sha256": hashlib.sha256(table.encode()).hexdigest()}
    save(out / "manifest.json", json.dumps(manifest, indent=1) + "\n")

    content = {
        "title": "Lip-sync report",
        "manifest": manifest,
        "clips": [_shown(take, row) for take, row in zip(takes, rows, strict=True)],
        "several": len(pipelines) > 1,
        "lse": any(row.get("lse_d") for row in rows),
        "notebooks": [
            {"name": one.name, "link": f"notebooks/{one.name}", "error": one.error, "is_there": one.path.is_file()}
            for one in outcomes
            if one.kind == "notebook"
        ],
        "findings": [asdict(one) for one in found if one.text],
        "outcomes": len(outcomes),
        "failed": [{"kind": one.kind, "name": one.name, "error": one.error} for one in outcomes if one.error],
        "coverage": len(good) > 0,
        "amplify": AMPLIFY,
        "facts": _facts(manifest),
    }
    save(out / "index.html", _filled("report.html.j2", content))
    # Jinja escapes for HTML alone; findings are Markdown already
    save(out / "README.md", _filled("report.md.j2", _for_markdown(content) | {"findings": content["findings"]}))


def _for_markdown(content: Any) -> Any:
    """The same content with every text in it escaped for Markdown (`findings.plain`)."""
    if isinstance(content, Mapping):
        return {plain(key): _for_markdown(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_for_markdown(value) for value in content]
    return plain(content) if isinstance(content, str) else content


def _filled(template: str, content: Mapping[str, Any]) -> str:
    """A page from its template, whose last suffix but one says whether text is escaped for HTML."""
    import jinja2
    from nbconvert.filters import markdown2html

    html = template.endswith(".html.j2")
    environment = jinja2.Environment(
        autoescape=html, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["from_markdown"] = lambda text: clean(markdown2html(text))
    return environment.from_string(Path(__file__).with_name(template).read_text(encoding="utf-8")).render(content)


def _row(take: Take) -> dict[str, Any]:
    row = {"clip": take.case.name, "generator": take.model, "domain": take.case.domain}
    row["error"] = take.outcome.error or ""
    return row | (headline(take.examined.run) | judged(take.examined.found) if take.examined else {})


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, TABLE, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _shown(take: Take, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a clip; the numbers are those of the table."""
    from lipsync_lab import figures

    case, name = take.case, take.outcome.name
    sample = samples.SAMPLES.get(case.clip)
    pictures, run = f"pictures/{name}", f"runs/{name}"
    one = {
        "id": name.replace("/", "."),
        "name": case.name,
        "model": take.model,
        "domain": case.domain.replace("_", " "),
        "about": {name.replace("_", " "): value for name, value in case.about.items()},
        "colour": figures.DOMAIN_COLOURS.get(case.domain, "#555"),
        "voice": None if case.voice == case.clip else Path(case.voice).stem,
        "credit": f"{sample.attribution} ({sample.licence})" if sample else None,
        "error": take.outcome.error,
        "row": {column: row.get(column, "") for column in TABLE},
    }
    if not take.examined:
        return one
    bad = worst(take.examined.found)
    output = take.examined.run.output.name
    return one | {
        "run": run,
        "pictures": pictures,
        "after": f"{run}/{output}" if is_playable(take.examined.run) else f"{pictures}/after.mp4",
        "fps": float(Fraction(take.examined.run.info["face"]["fps"])),
        "share": f"{row['detected'] / row['frames']:.0%}",
        "thumbnail": f"{pictures}/{'worst-1' if len(bad) else 'telling'}.jpg",
        "worst": [
            {
                "kind": stretch.kind,
                "frame": stretch.worst,
                "first": stretch.first,
                "last": stretch.last,
                "evidence": stretch.evidence,
                "picture": f"{pictures}/worst-{place}.jpg",
            }
            for place, stretch in enumerate(bad.itertuples(), start=1)
        ],
        "unsaid": "; ".join(_reasons(take.examined)),
    }


def _reasons(one: Examined) -> list[str]:
    """Which scores are undefined, and why: one line a reason."""
    scores = one.found.scores
    unsaid = scores[scores["value"].isna() & (scores["input"] == "dubbed")]
    names = unsaid["score"].str.replace("_", " ").groupby(unsaid["reason"], sort=False).agg(", ".join)
    return [f"{some}: {reason}" for reason, some in names.items()]


def _manifest(
    out: Path, pipelines: Mapping[str, Pipeline], takes: Sequence[Take], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    some = next(iter(pipelines.values()))
    good = [take for take in takes if take.examined]
    info = {take.outcome.name: take.examined.run.info for take in good}
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "generators": {
            model: {
                "made": made(pipeline),
                "proves": proves(pipeline),
                "provenance": pipeline.generator.provenance,
                "sha256": pipeline.generator.sha256,
                "width": pipeline.generator.width,
                "settings": pipeline.settings.as_dict(),
            }
            for model, pipeline in pipelines.items()
        },
        "detector": some.detector.identity,
        "judges": good[0].examined.found.about if good else {},
        "device": some.device,
        "clips": {
            take.case.name: {
                "clip": Path(take.case.clip).name,
                "voice": Path(take.case.voice).name,
                "domain": take.case.domain,
                "pair": take.case.pair,
                **take.case.about,
            }
            for take in takes
        },
        "sha256": {
            take.case.name: {side: info[take.outcome.name][side]["sha256"] for side in ("face", "speech")}
            for take in good
        },
        "seconds": {name: one["seconds"] for name, one in info.items()},
        "outcomes": [asdict(one) | {"path": one.path.relative_to(out).as_posix()} for one in outcomes],
        "code_sha256": runs.code(),
        "versions": versions(),
    }


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The manifest in words, for the foot of the page."""
    generators = manifest["generators"]
    return {
        **{model: f"{one['provenance']}; SHA-256 {one['sha256'] or 'none'}" for model, one in generators.items()},
        **{f"{model}: settings": _listed(one["settings"]) for model, one in generators.items()},
        "detector": _listed(manifest["detector"]),
        **{
            f"judge: {kind}": f"{one['name'] or 'none'}: {one.get('sha256') or one.get('absent')}"
            for kind, one in manifest["judges"].items()
        },
        "device": manifest["device"],
        **{f"{name}: {side}": sha for name, sides in manifest["sha256"].items() for side, sha in sides.items()},
        "code": manifest["code_sha256"],
        "versions": _listed(manifest["versions"]),
    }


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())
