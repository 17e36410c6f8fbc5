"""The table, the manifest and the pages of a report, which link to everything else in it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import runs
from lipsync_lab.evaluation import cases as clips_tables
from lipsync_lab.evaluation.findings import RECORDED, plain
from lipsync_lab.figures import style
from lipsync_lab.files import write_text
from lipsync_lab.media.difference import CAPTION
from lipsync_lab.reporting import clip_table, clips, published, summary
from lipsync_lab.reporting.media import save_chart
from lipsync_lab.reporting.outcome import Outcome, versions
from lipsync_lab.reporting.runs import evaluation_summary, frame_summary
from lipsync_lab.reporting.safe import clean
from lipsync_lab.reporting.text import evidence_note, models_sentence
from lipsync_lab.reporting.variants import ClipResult, Variant
from lipsync_lab.reporting.viewer import policy

if TYPE_CHECKING:
    import jinja2

_HOME = Path(__file__).parent

#: Columns of ``table.csv``, one row per clip and variant: `runs.frame_summary`, `runs.evaluation_summary`, the error.
#: `failures` counts spans of failing frames; `worst_failures` are the worst kinds, `worst_frame` is the first's. The
#: same inputs give the same table, byte for byte; durations are in the manifest.
TABLE = (
    *(
        "clip",
        "generator",
        "settings",
        "domain",
        "frames",
        "detected",
        "filled",
        "passthrough",
        "mouths_generated",
        "seconds",
    ),
    *("frames_written", "syncnet_distance", "av_offset", "syncnet_distance_shuffled_audio"),
    *("syncnet_distance_silent_audio", "syncnet_distance_untouched_source", "lse_d", "lse_c"),
    *("failures", "worst_failures", "worst_frame", "error"),
)


@dataclass(frozen=True)
class Findings:
    """Findings in Markdown under a title; `link` is the address, without its suffix, of the notebook that shows how."""

    model: str
    title: str
    link: str | None
    text: str


def write(
    out: Path,
    variants: Sequence[Variant],
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
    several, good = len(variants) > 1, rows[rows["error"] == ""]
    # as the terminal names them, and the folders
    names = pd.Series([result.outcome.name for result in results])[good.index]
    named = good.assign(of=good["clip"], clip=names if several else good["clip"])
    save_chart(out / "coverage.png", figures.coverage(named))
    manifest = _manifest(out, variants, results, outcomes)
    manifest["table_sha256"] = hashlib.sha256(table.encode()).hexdigest()
    write_text(out / "manifest.json", json.dumps(manifest, indent=1) + "\n")

    lse = bool((rows["lse_d"] != "").any())
    content = {
        "title": "Lip-sync report",
        "manifest": manifest,
        **summary.content(out, variants, results),
        "columns": clip_table.columns(several, lse),
        "rows": [row | {"domain_colour": style.domain_colour(row["domain"])} for row in clip_table.table_rows(results)],
        "published": published.content(out),
        "clips": clips.shown(out, results),
        "several": several,
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
        "findings": [asdict(each) | {"text": here} for each in findings if (here := _of_these_clips(each.text))],
        "recorded": _recorded(findings),
        "outcomes": len(outcomes),
        "failed": [asdict(outcome) | {"path": ""} for outcome in outcomes if outcome.error],
        "difference": CAPTION,
        "facts": _facts(manifest),
    }
    scripts = [(_HOME / name).read_text(encoding="utf-8") for name in ("report.js", "sort.js")]
    assets = {"style": (_HOME / "report.css").read_text(encoding="utf-8"), "scripts": scripts}
    write_text(out / "index.html", _filled("report.html.j2", content | assets | {"policy": policy(*scripts)}))
    # Jinja escapes for HTML only; findings are Markdown already
    markdown = {name: content[name] for name in ("findings", "recorded")}
    write_text(out / "README.md", _filled("report.md.j2", _for_markdown(content) | markdown))


def _of_these_clips(text: str) -> str:
    """Findings in Markdown, less those of recorded runs."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(RECORDED))


def _recorded(findings: Sequence[Findings]) -> str:
    """The findings of recorded runs, each once."""
    lines = [line for each in findings for line in each.text.splitlines() if line.startswith(RECORDED)]
    return "\n".join(dict.fromkeys(lines))


def _for_markdown(content: Any) -> Any:
    """The same content with every text in it escaped for Markdown (`findings.plain`)."""
    if isinstance(content, Mapping):
        return {plain(key): _for_markdown(value) for key, value in content.items()}
    if dataclasses.is_dataclass(content):
        return _for_markdown(asdict(content))
    if isinstance(content, list | tuple):
        return [_for_markdown(value) for value in content]
    return plain(content) if isinstance(content, str) else content


def _filled(template: str, content: Mapping[str, Any]) -> str:
    """A page from its template, whose last suffix but one says whether text is escaped for HTML."""
    return _environment(template.endswith(".html.j2")).get_template(template).render(content)


@cache
def _environment(html: bool) -> jinja2.Environment:
    """It keeps the templates that it has compiled."""
    import jinja2
    from nbconvert.filters import markdown2html

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HOME, encoding="utf-8"),
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["from_markdown"] = lambda text: clean(markdown2html(text))
    return environment


def _row(result: ClipResult) -> dict[str, Any]:
    case, error = result.case, result.outcome.error or ""
    names = {"clip": case.name, "generator": result.variant.generator, "settings": result.variant.settings_name}
    names |= {"domain": case.domain, "error": error}
    row = dict.fromkeys(TABLE, "") | names
    if result.evaluated:
        row |= frame_summary(result.evaluated.run) | evaluation_summary(result.evaluated.evaluation)
    return row


def _manifest(
    out: Path, variants: Sequence[Variant], results: Sequence[ClipResult], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    first = variants[0].pipeline
    good = {result.outcome.name: result for result in results if result.evaluated}
    info = {name: result.evaluated.run.info for name, result in good.items()}
    networks = next((result.evaluated.evaluation.about for result in good.values()), {})
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "generators": {variant.name: _about(variant) for variant in variants},
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
            good[name].case.name: {side: about[side]["sha256"] for side in ("clip", "voice")}
            for name, about in info.items()
        },
        "seconds": {name: about["seconds"] for name, about in info.items()},
        "outcomes": [asdict(outcome) | {"path": outcome.path.relative_to(out).as_posix()} for outcome in outcomes],
        "code_sha256": runs.code(),
        "versions": versions(),
    }


def _about(variant: Variant) -> dict[str, Any]:
    pipeline = variant.pipeline
    return {
        "label": variant.label,
        "models": models_sentence(pipeline),
        "evidence": evidence_note(pipeline),
        "provenance": pipeline.generator.provenance,
        "sha256": pipeline.generator.sha256,
        "width": pipeline.generator.width,
        "settings": pipeline.settings.as_dict(),
        "instead": getattr(pipeline.generator, "instead", {}),
    }


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The manifest in words, for the foot of the page."""
    generators = manifest["generators"]
    return {
        **{f"{model}: provenance": about["provenance"] for model, about in generators.items()},
        **{f"{model}: SHA-256": about["sha256"] or "none" for model, about in generators.items()},
        **{f"{model}: settings": _listed(about["settings"] | about["instead"]) for model, about in generators.items()},
        "detector": _listed(manifest["detector"]),
        **{
            f"network: {kind.replace('_', ' ')}": f"{about['name'] or 'none'}: "
            f"{about.get('sha256') or about.get('absent')}"
            for kind, about in manifest["networks"].items()
        },
        "device": manifest["device"],
        **{
            f"{name}: {side} SHA-256": digest
            for name, sides in manifest["sha256"].items()
            for side, digest in sides.items()
        },
        "code SHA-256": manifest["code_sha256"],
        "versions": _listed(manifest["versions"]),
    }


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())
