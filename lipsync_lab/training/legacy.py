"""Old names in run folders, shards and command lines, and the names that replace them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

#: Kinds of models.
KINDS = {"expert": "sync_expert", "quality": "discriminator", "reader": "mouth_openness"}
#: Domains of clips.
DOMAINS = {"drawn": "animation", "photograph": "synthetic_photo", "film": "live_action"}
#: Numbers of recipes.
RECIPE = {
    "lead": "audio_offset",
    "quality": "adversarial",
    "quality_width": "discriminator_width",
    "readers": "workers",
    **DOMAINS,
}


def kind(name: str) -> str:
    """Return the present name of a kind of model; an old name gives a DeprecationWarning."""
    if name in KINDS:
        warnings.warn(f"the kind {name!r} is deprecated; use {KINDS[name]!r}", DeprecationWarning, stacklevel=3)
    return KINDS.get(name, name)


def domain(name: str) -> str:
    """Return the present name of the domain of a clip."""
    return DOMAINS.get(name, name)


def state(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a run, as `loop` saves it, with the present names."""
    renamed = dict(content)
    for part in ("networks", "averages", "optimisers"):
        renamed[part] = {KINDS.get(name, name): value for name, value in content[part].items()}
    return renamed | {"kind": KINDS.get(content["kind"], content["kind"]), "recipe": recipe(content["recipe"])}


def recipe(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a recipe, as they are saved with a run, with the present names."""
    return {
        RECIPE.get(name, name): recipe(value) if isinstance(value, Mapping) else value
        for name, value in numbers.items()
    }
