"""Old names, in earlier versions' files and command lines, and the names that replace them; kept for one release."""

from __future__ import annotations

import warnings

#: Commands, and the words that replace each.
COMMANDS = {
    "cartoon": ("synthesize",),
    "render": ("train", "render"),
    "preprocess": ("train", "preprocess"),
    "export": ("train", "export"),
}
#: Flags by command; `cli.renamed` adds those of the settings.
FLAGS = {
    "dub": {"--face-index": "--face-selection"},
    "detect": {"--face-index": "--face-selection"},
    "report": {"--models": "--generators", "--checkpoint_path": "--generators"},
    "train": {"--every": "--step", "--expert": "--sync-expert", "--reader": "--mouth-openness", "--on": "--hardware"},
    "synthesize": {"--photograph": "--portrait", "--on": "--exposure", "--mouth-on": "--mouth-exposure"},
}

#: Kinds of models, and models.
MODELS = {
    "expert": "sync_expert",
    "quality": "discriminator",
    "reader": "mouth_openness",
    "quality-lab": "discriminator-lab",
    "reader-lab": "mouth-openness-lab",
}
#: Metadata in files of weights.
METADATA = {"mel_lead": "audio_offset"}
#: Domains of clips, in shards and command lines.
DOMAINS = {"drawn": "animation", "photograph": "synthetic_photo", "film": "live_action"}
#: Numbers of recipes, in run folders and command lines.
RECIPE = {
    "lead": "audio_offset",
    "quality": "adversarial",
    "quality_width": "discriminator_width",
    "readers": "workers",
    **DOMAINS,
}


def model(name: str) -> str:
    """Return the present name of a model or of a kind of models; an old name gives a DeprecationWarning."""
    if name in MODELS:
        warnings.warn(f"{name!r} is deprecated; use {MODELS[name]!r}", DeprecationWarning, stacklevel=3)
    return MODELS.get(name, name)
