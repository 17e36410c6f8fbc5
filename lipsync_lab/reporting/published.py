"""The section of a report on published models, from the bundled numbers: no pixel and no network is needed."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

from lipsync_lab import figures
from lipsync_lab.evaluation import published
from lipsync_lab.reporting.media import chart

#: Folder of the section's figures.
FOLDER = "published"


def content(out: Path) -> dict[str, Any]:
    """What the template takes, the same for every report: how much was measured, the findings, the figures.

    Parameters
    ----------
    out : Path
        Folder of the report, into which the figures are written.
    """
    about, pictures = _made()
    (out / FOLDER).mkdir(exist_ok=True)
    for name, png in pictures.items():
        (out / FOLDER / f"{name}.png").write_bytes(png)
    return copy.deepcopy(about)


@cache
def _made() -> tuple[dict[str, Any], dict[str, bytes]]:
    """What `content` gives, and the figures as PNG: of the bundled numbers alone, so that it is made once a process."""
    pairs = published.pairs()
    domains = figures.published_domains(published.of_wav2lip(), published.domain_effects())
    models = figures.published_models(published.fault_counts())
    charts = {
        "domains": ("Wav2Lip on animation and on live action, a dot a source", domains),
        "models": ("every metric of the picture by group of models, a dot a source", models),
    }
    about = {
        "outputs": len(pairs),
        "footage": pairs["footage"].nunique(),
        "sentences": published.points(),
        "charts": [(f"{FOLDER}/{name}.png", title) for name, (title, _) in charts.items()],
    }
    return about, {name: chart(axes) for name, (_, axes) in charts.items()}
