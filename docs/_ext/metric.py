"""The directive ``metric``: what the registry holds about a metric, as a table on its page."""

from __future__ import annotations

import math
from typing import ClassVar

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from lipsync_lab.metrics import registry

_NETWORKS = {
    "discriminator": "a discriminator (`discriminator-lab` is bundled)",
    "sync_expert": "a sync expert (`syncnet-lab` is bundled)",
    "mouth_openness": "a mouth-openness regressor (`mouth-openness-lab` is bundled)",
    "lse": "`syncnet_v2.model` (fetched by `weights fetch`)",
}
_STAGES = {"detection": "detection", "picture": "picture", "time": "timing"}


def facts(metric: registry.Metric) -> dict[str, str]:
    """The rows of a metric's table."""
    worse = "larger" if metric.direction == 1 else "smaller"
    rows = {
        "Measures": registry.definition(metric) + ".",
        "Column": f"`{metric.name}` of `frames.csv`; a row of `metrics.csv`",
        "Unit": metric.unit,
        "Worse": f"{worse} values",
        "Stage": _STAGES[metric.stage],
        "Defined": f"in frames with {metric.requires}" + _domains(metric.domains),
        "Needs": _NETWORKS.get(metric.network, metric.network) if metric.network else "no network",
    }
    if metric.failure and not math.isnan(metric.threshold):
        rows["Failure kind"] = metric.failure
        rows["Threshold"] = f"a frame fails beyond {metric.threshold:g}"
        rows["Saturation"] = f"severity is 1 at {metric.saturation:g} and beyond"
    else:
        rows["Failure kind"] = "none: the metric is reported and never fails"
    if metric.artifact is not None:
        rows["Validated by"] = (
            f"the injected artifact “{metric.artifact.name}”: the metric rises with its strength "
            "(notebook `03_mouth_artifacts` shows the response matrix)"
        )
    return rows


def _domains(domains: tuple[str, ...]) -> str:
    return f", in the domain {' and '.join(domains)} only" if domains else ""


class MetricTable(SphinxDirective):
    """``{metric} NAME``: the table of `facts`."""

    required_arguments = 1
    option_spec: ClassVar[dict] = {}

    def run(self):
        known = {metric.name: metric for metric in registry.metrics()}
        if self.arguments[0] not in known:
            raise self.error(f"no metric {self.arguments[0]}; there are {', '.join(known)}")
        lines = ["| | |", "|---|---|"]
        lines += [
            f"| **{name}** | {text.replace('|', '/')} |" for name, text in facts(known[self.arguments[0]]).items()
        ]
        return self.parse_text_to_nodes(StringList(lines, source="metric"))


def setup(app) -> dict:
    app.add_directive("metric", MetricTable)
    return {"version": "1", "parallel_read_safe": True}
