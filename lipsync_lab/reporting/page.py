"""The table, the manifest and the pages of a report, which link to everything else in it."""

from __future__ import annotations

import hashlib
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
from lipsync_lab.files import write_text
from lipsync_lab.metrics.registry import label
from lipsync_lab.reporting.media import AMPLIFY, is_playable, save_chart
from lipsync_lab.reporting.outcome import Outcome, versions
from lipsync_lab.reporting.runs import evaluation_summary, frame_summary, worst_failures
from lipsync_lab.reporting.safe import clean
from lipsync_lab.reporting.text import evidence_note, models_sentence

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.evaluation.cases import Case
    from lipsync_lab.evaluation.evaluated import EvaluatedCase
    from lipsync_lab.pipeline import Pipeline

#: Columns of ``table.csv``, one row a clip and generator: `runs.frame_summary`, `runs.evaluation_summary`, the error.
#: `failures` counts spans of failing frames; `worst_failures` are the worst kinds, `worst_frame` is the first's. The
#: same inputs give the same table, byte for byte; durations are in the manifest.
TABLE = (
    *("clip", "generator", "domain", "frames", "detected", "filled", "passthrough", "mouths_generated", "seconds"),
    *("frames_written", "syncnet_distance", "av_offset", "syncnet_distance_shuffled_audio"),
    *("syncnet_distance_silent_audio", "syncnet_distance_untouched_source", "lse_d", "lse_c"),
    *("failures", "worst_failures", "worst_frame", "error"),
)


@dataclass(frozen=True)
class ClipResult:
    """A clip as one generator dubbed it; `evaluated` is None where that failed."""

    case: Case
    model: str
    outcome: Outcome
    evaluated: EvaluatedCase | None


@dataclass(frozen=True)
class Findings:
    """Findings in Markdown under a title; `link` is the address, without its suffix, of the notebook that shows how."""

    model: str
    title: str
    link: str | None
    text: str


def write(
    out: Path,
    pipelines: Mapping[str, Pipeline],
    results: Sequence[ClipResult],
    outcomes: Sequence[Outcome],
    findings: Sequence[Findings],
) -> None:
    """Write table, clips table, manifest and pages."""
    import pandas as pd

    from lipsync_lab import figures

    rows = pd.DataFrame([_row(result) for result in results])
    table = rows.to_csv(index=False, lineterminator="\n")
    write_text(out / "table.csv", table)
    cases = list({result.case.name: result.case for result in results}.values())
    write_text(out / "clips.csv", clips_tables.table(cases, out))
    several, good = len(pipelines) > 1, rows[rows["error"] == ""]
    named = good.assign(clip=good["clip"] + ", " + good["generator"]) if several else good
    save_chart(out / "coverage.png", figures.coverage(named))
    manifest = _manifest(out, pipelines, results, outcomes)
    manifest["table_sha256"] = hashlib.sha256(table.encode()).hexdigest()
    write_text(out / "manifest.json", json.dumps(manifest, indent=1) + "\n")

    content = {
        "title": "Lip-sync report",
        "manifest": manifest,
        "clips": [_shown(*pair) for pair in zip(results, rows.to_dict("records"), strict=True)],
        "several": several,
        "lse": (rows["lse_d"] != "").any(),
        "notebooks": [
            {
                "name": outcome.name if several else outcome.name.split("/")[1],
                "link": f"notebooks/{outcome.name}",
                "error": outcome.error,
                "exists": outcome.path.is_file(),
            }
            for outcome in outcomes
            if outcome.kind == "notebook"
        ],
        "findings": [asdict(each) for each in findings if each.text],
        "outcomes": len(outcomes),
        "failed": [asdict(outcome) | {"path": ""} for outcome in outcomes if outcome.error],
        "amplify": AMPLIFY,
        "facts": _facts(manifest),
    }
    write_text(out / "index.html", _filled("report.html.j2", content))
    # Jinja escapes for HTML only; findings are Markdown already
    write_text(out / "README.md", _filled("report.md.j2", _for_markdown(content) | {"findings": content["findings"]}))


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


def _row(result: ClipResult) -> dict[str, Any]:
    case, error = result.case, result.outcome.error or ""
    names = {"clip": case.name, "generator": result.model, "domain": case.domain, "error": error}
    row = dict.fromkeys(TABLE, "") | names
    if result.evaluated:
        row |= frame_summary(result.evaluated.run) | evaluation_summary(result.evaluated.evaluation)
    return row


def _shown(result: ClipResult, row: Mapping[str, Any]) -> dict[str, Any]:
    """A clip as the page shows it; the numbers are those of the table."""
    from lipsync_lab.figures import style

    case, name, evaluated = result.case, result.outcome.name, result.evaluated
    sample = samples.SAMPLES.get(case.clip)
    pictures, run = f"pictures/{name}", f"runs/{name}"
    shown = {
        "id": name.replace("/", "."),
        "name": case.name,
        "model": result.model,
        "domain": case.domain.replace("_", " "),
        "about": {name.replace("_", " "): value for name, value in case.about.items()},
        "domain_colour": style.domain_colour(case.domain),
        "voice": None if case.voice == case.clip else Path(case.voice).stem,
        "credit": f"{sample.attribution} ({sample.licence})" if sample else None,
        "error": result.outcome.error,
        "row": dict(row),
    }
    if not evaluated:
        return shown
    worst = worst_failures(evaluated.evaluation).reset_index(drop=True)
    return shown | {
        "run": run,
        "pictures": pictures,
        "after": f"{run}/{evaluated.run.output.name}" if is_playable(evaluated.run) else f"{pictures}/after.mp4",
        "fps": float(Fraction(evaluated.run.info["face"]["fps"])),
        "detected": f"{row['detected'] / row['frames']:.0%}",
        "thumbnail": f"{pictures}/{'worst-1' if len(worst) else 'frame'}.jpg",
        "failures": worst.assign(picture=[f"{pictures}/worst-{n}.jpg" for n in worst.index + 1]).to_dict("records"),
        "undefined": "; ".join(_undefined(evaluated.evaluation.scores)),
    }


def _undefined(scores: pandas.DataFrame) -> list[str]:
    """Which scores of the output are undefined, and why: one line a reason."""
    undefined = scores[scores["value"].isna() & (scores["input"] == "dubbed")]
    names = undefined["score"].map(label).groupby(undefined["reason"], sort=False).agg(", ".join)
    return [f"{listed}: {reason}" for reason, listed in names.items()]


def _manifest(
    out: Path, pipelines: Mapping[str, Pipeline], results: Sequence[ClipResult], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    first = next(iter(pipelines.values()))
    good = {result.outcome.name: result for result in results if result.evaluated}
    info = {name: result.evaluated.run.info for name, result in good.items()}
    networks = next((result.evaluated.evaluation.about for result in good.values()), {})
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "generators": {
            model: {
                "models": models_sentence(pipeline),
                "evidence": evidence_note(pipeline),
                "provenance": pipeline.generator.provenance,
                "sha256": pipeline.generator.sha256,
                "width": pipeline.generator.width,
                "settings": pipeline.settings.as_dict(),
            }
            for model, pipeline in pipelines.items()
        },
        "detector": first.detector.identity,
        "networks": networks,
        "device": first.device,
        "clips": {
            case.name: {
                "clip": Path(case.clip).name,
                "voice": Path(case.voice).name,
                "domain": case.domain,
                "pair": case.pair,
                **case.about,
            }
            for case in (result.case for result in results)
        },
        "sha256": {
            good[name].case.name: {side: about[side]["sha256"] for side in ("face", "speech")}
            for name, about in info.items()
        },
        "seconds": {name: about["seconds"] for name, about in info.items()},
        "outcomes": [asdict(outcome) | {"path": outcome.path.relative_to(out).as_posix()} for outcome in outcomes],
        "code_sha256": runs.code(),
        "versions": versions(),
    }


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The manifest in words, for the foot of the page."""
    generators = manifest["generators"]
    return {
        **{f"{model}: provenance": about["provenance"] for model, about in generators.items()},
        **{f"{model}: SHA-256": about["sha256"] or "none" for model, about in generators.items()},
        **{f"{model}: settings": _listed(about["settings"]) for model, about in generators.items()},
        "detector": _listed(manifest["detector"]),
        **{
            f"network: {kind.replace('_', ' ')}": f"{about['name'] or 'none'}: "
            f"{about.get('sha256') or about.get('absent')}"
            for kind, about in manifest["networks"].items()
        },
        "device": manifest["device"],
        **{
            f"{name}: {side} SHA-256": sides[key]
            for name, sides in manifest["sha256"].items()
            for side, key in (("clip", "face"), ("voice", "speech"))
        },
        "code SHA-256": manifest["code_sha256"],
        "versions": _listed(manifest["versions"]),
    }


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())
