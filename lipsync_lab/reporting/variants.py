"""Variants of a report: each dubs every clip with its own generator or settings, and they are shown side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab.errors import ParameterError
from lipsync_lab.evaluation.comparison import by_construction
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.detection import Detector
    from lipsync_lab.evaluation.cases import Case
    from lipsync_lab.evaluation.evaluated import EvaluatedCase
    from lipsync_lab.generation import Generator
    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.reporting.outcome import Outcome


@dataclass(frozen=True)
class Variant:
    """A generator with its settings.

    Attributes
    ----------
    name : str
        Name of its folders: letters, digits, ``_``, ``.``, ``-``.
    label : str
        Name on pages: the generator's, the settings', or both, whatever tells the variants apart.
    generator : str
        The generator's name, fit for folders.
    settings_name : str
        Name of its settings; empty where the report has one set of settings.
    pipeline : Pipeline
    """

    name: str
    label: str
    generator: str
    settings_name: str
    pipeline: Pipeline

    def dubs(self, case: Case) -> bool:
        """Whether the generator is meant for the domain of a clip; an unknown domain is not excluded."""
        return not self.domains or not case.domain or case.domain in self.domains

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that the generator is made for; empty for every one."""
        return getattr(self.pipeline.generator, "domains", ())

    @property
    def by_construction(self) -> frozenset[str]:
        """Metrics that its settings, as its generator takes them, satisfy by construction."""
        return by_construction(self.pipeline.settings, getattr(self.pipeline.generator, "instead", ()))

    def is_beside(self, first: Variant) -> bool:
        """Whether it dubs the clips of some domains only, beside the first variant of a report."""
        return self.generator != first.generator and bool(self.domains)


def variants(
    generators: Sequence[str | Path | None],
    detector: str | Path | None,
    settings: Settings | Mapping[str, Settings] | None,
    cache: Path,
) -> list[Variant]:
    """Every generator with every set of settings, in the order given.

    Parameters
    ----------
    generators : sequence of str or path
        None stands for the generator that `dub` takes: that of a preset where the settings have its name.
    detector : str or path, optional
        None as for the generators.
    settings : Settings, or mapping of str to Settings, optional
        One set of settings, or several by their names.
    cache : path
        Folder for detections, which several variants share; with one variant it is not made.

    Raises
    ------
    ParameterError
        There is no generator, or two variants have one name.
    """
    from lipsync_lab import detection, generation
    from lipsync_lab.pipeline import Pipeline

    named = dict(settings) if isinstance(settings, Mapping) else {"": settings or Settings()}
    if not generators:
        raise ParameterError("no generators to report on; name models or files")
    if not named:
        raise ParameterError("no settings to report on; name presets")
    shared = {"cache": cache} if len(generators) * len(named) > 1 else {}
    loaded: dict[str | Path, Generator] = {}
    detectors: dict[str | Path, Detector] = {}
    made: dict[tuple[str, str], Pipeline] = {}
    for given in generators:
        for name, values in named.items():
            chosen = generation.default(name) if given is None else given
            wanted = detection.default(name) if detector is None else detector
            # what several variants share is read once
            pipeline = Pipeline(loaded.get(chosen, chosen), detectors.get(wanted, wanted), values, **shared)
            loaded[chosen], detectors[wanted] = pipeline.generator, pipeline.detector
            # fit for addresses and file names on any system
            model = _plain(pipeline.generator.name) or "generator"
            if (model, name) in made:
                raise ParameterError(f"{given}: two generators of the name {model}; name each once, or rename a file")
            made[model, name] = pipeline
    models = {model for model, _ in made}
    out = []
    for (model, name), pipeline in made.items():
        label = ", ".join([model] * (len(models) > 1 or len(named) < 2) + [name] * bool(name))
        out.append(Variant("-".join(filter(None, (model, _plain(name)))), label, model, name, pipeline))
    if len({variant.name for variant in out}) < len(out):
        raise ParameterError(f"two sets of settings have one name in folders: {', '.join(named)}; name each otherwise")
    return out


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._")


@dataclass(frozen=True)
class ClipResult:
    """A clip as one variant dubbed it; `evaluated` is None where that failed."""

    case: Case
    variant: Variant
    outcome: Outcome
    evaluated: EvaluatedCase | None
