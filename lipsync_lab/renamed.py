"""Old names, in earlier versions' files and command lines, and the names that replace them; kept for one release."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

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
#: Domains of samples, in reports and clips tables; where a clip has one domain, the first is meant.
SAMPLE_DOMAINS = {"drawn": ("animation",), "photographic": ("live_action", "synthetic_photo")}
#: Names of samples.
SAMPLES = {"drawn_hello": "animation_hello", "drawn_baker": "animation_baker"}
#: Columns of the ledger.
LEDGER = {"mouth_drawn": "mouth_generated"}
#: Parts of ``run.json``.
RUN = {"face": "clip", "speech": "voice"}
#: Settings.
SETTINGS = {
    "choose": "face_selection",
    "analysis_size": "detection_size",
    "longest_gap": "max_dropout",
    "gap": "dropouts",
    "mel_lead": "audio_offset",
    "mouths": "mouth_cadence",
    "fill": "extend",
}
#: Values of settings: present name of the setting -> old value -> present value.
SETTING_VALUES = {
    "dropouts": {"pass": "passthrough", "abort": "error"},
    "smoothing": {"upstream": "reference"},
    "mouth_cadence": {"drawings": "holds", "frames": "every_frame"},
}
#: Presets.
PRESETS = {"upstream": "reference"}
#: Numbers of recipes, in run folders and command lines.
RECIPE = {
    "lead": "audio_offset",
    "quality": "adversarial",
    "quality_width": "discriminator_width",
    "readers": "workers",
    **DOMAINS,
}


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under their present names and with their present values."""
    named = {SETTINGS.get(name, name): value for name, value in values.items()}
    return {
        name: SETTING_VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value
        for name, value in named.items()
    }


def model(name: str) -> str:
    """Return the present name of a model or of a kind of models; an old name gives a DeprecationWarning."""
    if name in MODELS:
        warnings.warn(f"{name!r} is deprecated; use {MODELS[name]!r}", DeprecationWarning, stacklevel=3)
    return MODELS.get(name, name)
