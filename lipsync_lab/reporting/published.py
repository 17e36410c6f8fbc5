"""The section of a report on published models, from the bundled numbers: no pixel and no network is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsync_lab import figures
from lipsync_lab.evaluation import published
from lipsync_lab.reporting.media import save_chart

#: Folder of the section's figures.
FOLDER = "published"


def content(out: Path) -> dict[str, Any]:
    """What the template takes, the same for every report: how much was measured, the findings, the figures.

    Parameters
    ----------
    out : Path
        Folder of the report, into which the figures are written.
    """
    (out / FOLDER).mkdir(exist_ok=True)
    pairs = published.pairs()
    domains = figures.published_domains(published.of_wav2lip(), published.domain_effects())
    models = figures.published_models(published.fault_counts())
    charts = {
        "domains": ("Wav2Lip on animation and on live action, a dot a source", domains),
        "models": ("every metric of the picture by group of models, a dot a source", models),
    }
    for name, (_, axes) in charts.items():
        save_chart(out / FOLDER / f"{name}.png", axes)
    return {
        "outputs": len(pairs),
        "footage": pairs["footage"].nunique(),
        "sentences": published.points(),
        "charts": [(f"{FOLDER}/{name}.png", title) for name, (title, _) in charts.items()],
    }
