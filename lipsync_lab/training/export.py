"""From a run's folder to a model that ships: safetensors, and the card that says what it is."""

from __future__ import annotations

import csv
import io
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync_lab import files
from lipsync_lab.checkpoints import KINDS
from lipsync_lab.errors import ParameterError
from lipsync_lab.files import sha256
from lipsync_lab.training.benchmark import BARS
from lipsync_lab.training.detector import longest_side
from lipsync_lab.training.loop import STATE, read_state

#: Materials and their terms, for cards. Only what was trained on is named there.
MATERIALS = {
    "drawn": "Characters of this project's drawing machine, voices of espeak-ng (`lipsync_lab/synthesis`): made for "
    "this training, nothing to license.",
    "photograph": "The portrait of Eileen Collins that scikit-image carries as `astronaut` (NASA, public domain), made "
    "to speak by this project.",
    "film": "The GRID audiovisual sentence corpus, speaker 1 (M. Cooke, J. Barker, S. Cunningham, X. Shao, "
    '"An audio-visual corpus for speech perception and automatic speech recognition", J. Acoust. Soc. Am. 120, 2006), '
    "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); cut to faces, changed in colour and size for training.",
    "recording": "The voice of the same GRID speaker, CC BY 4.0, driving drawn mouths by its word alignments.",
    "textures": "scikit-image's own pictures without people, as what is no face (public domain or CC0).",
}
_WHAT = {
    "detector": "finds faces (S3FD)",
    "expert": "tells whether lips and sound belong together (SyncNet, the expert of Wav2Lip)",
    "generator": "draws the lower half of a face for 0.2 s of speech (Wav2Lip)",
    "reader": "reads from the pixels of a made face how far its lips are apart",
    "quality": "tells real lower halves of faces from generated and spoilt ones (Wav2Lip's discriminator)",
}


#: What the table of models tells of a kind that has no bar.
_TOLD = ("drawn_correlation", "drawn_closed", "drawn_open")


@dataclass(frozen=True)
class Exported:
    """Where a model went: the file, its card, and its row for ``checkpoints/models.csv``."""

    path: Path
    card: Path
    row: str


def export(
    run: str | Path,
    out: str | Path,
    name: str,
    *,
    numbers: Mapping[str, float] | None = None,
    materials: tuple[str, ...] = ("drawn", "photograph"),
    device: str = "",
    limits: str = "",
    network: str | None = None,
) -> Exported:
    """Write a trained model's running mean as safetensors, and its card beside it.

    Parameters
    ----------
    run : path
        Folder of `loop.train`.
    out : path
        Folder to write ``<name>.safetensors`` and ``<name>.md`` into.
    name : str
        Such as "wav2lip-lab".
    numbers : mapping, optional
        Of `evaluate`.
    materials : tuple of str
        Keys of `MATERIALS`: what was trained on.
    device : str
        What it was trained on, in words; this machine's processor if not given.
    limits : str
        What the model cannot do, in sentences of its maker's.
    network : str, optional
        Which of the run's networks, such as the "quality" that was trained beside a generator; the one that the run
        was for if not given.

    Returns
    -------
    Exported

    Raises
    ------
    CheckpointError
        The run has no state.
    ParameterError
        The run trained no such network, or there is no such material.
    """
    import torch
    from safetensors.torch import save_file

    state = read_state(Path(run) / STATE)
    kind = network or state["kind"]
    if kind not in state["averages"] or kind not in KINDS:
        raise ParameterError(f"{run}: trained {', '.join(state['averages'])}, and {kind} cannot be exported from it")
    strangers = [one for one in materials if one not in MATERIALS]
    if strangers:
        raise ParameterError(f"unknown material {', '.join(strangers)}; known: {', '.join(MATERIALS)}")
    recipe = state["recipe"]
    width = recipe["quality_width"] if kind != state["kind"] else recipe["width"]
    prefix = "module."
    tensors = {
        key.removeprefix(prefix): value.contiguous().clone()
        for key, value in state["averages"][kind].items()
        if key.startswith(prefix)
    }
    about = {"name": name, "kind": kind, "width": f"{width:g}", "steps": str(state["step"])}
    if "lead" in recipe:
        about["mel_lead"] = str(recipe["lead"])
    if kind == "detector":
        about["longest_side"] = str(longest_side(recipe["side"]))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    path, card = out / f"{name}.safetensors", out / f"{name}.md"
    with files.atomic_file(path) as part:
        save_file(tensors, part, metadata=about)
        part.chmod(0o644)  # safetensors writes for its owner alone
    share = "" if kind == "reader" else " of the published network's channels"  # nobody has published a reader
    facts = {
        "width": f"{width:g}{share}, "
        f"{sum(t.numel() for t in tensors.values() if t.is_floating_point()) / 1e6:.2f} million numbers",
        "steps": f"{state['step']} of {recipe['schedule']['steps']}",
        "begun from": state["begun_from"] or "random weights",
        "time": f"{state['seconds'] / 60:.0f} minutes of training",
        "device": device or f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
    }
    card.write_text(_card(name, kind, facts, recipe, numbers or {}, materials, limits), encoding="utf-8")
    return Exported(path, card, _row(name, kind, path, numbers or {}, materials))


def _card(name, kind, facts, recipe, numbers, materials, limits) -> str:
    lines = [f"# {name}", "", f"A small model of this project that {_WHAT[kind]}.", ""]
    lines += [f"- **{key}**: {value}" for key, value in facts.items()]
    lines += ["", "## Trained on", "", *(f"- {MATERIALS[one]}" for one in materials), ""]
    lines += ["## Numbers", ""]
    if numbers:
        lines += [
            "On characters, voices and sentences that were not trained on; what each number is stands in "
            "`lipsync_lab/training/benchmark.py`.",
            "",
            "| number | value | must be |",
            "|---|---|---|",
            *(f"| {key} | {_figure(value)} | {_bar(kind, key, value)} |" for key, value in numbers.items()),
        ]
    else:
        lines += ["Nothing has been measured."]
    lines += ["", "## Limits", "", limits or "Made to show how this laboratory works, not to make good pictures.", ""]
    lines += ["## Recipe", "", *(f"- {key}: {_words(value)}" for key, value in recipe.items()), ""]
    return "\n".join(lines)


def _figure(value: float) -> str:
    return "unknown" if isinstance(value, float) and math.isnan(value) else f"{value:.4g}"


def _bar(kind: str, key: str, value: float) -> str:
    sign, bar = BARS.get(kind, {}).get(key, ("", 0.0))
    if not sign:
        return ""
    reached = value >= bar if sign == ">=" else value <= bar
    return f"{sign} {bar:g}" + ("" if reached else ", **missed**")


def _words(value: Any) -> str:
    return ", ".join(f"{key} {_words(one)}" for key, one in value.items()) if isinstance(value, dict) else f"{value}"


def _row(name, kind, path, numbers, materials) -> str:
    """One line of ``checkpoints/models.csv``: name, kind, file, size, sha256, url, terms, note."""
    grid = {"film", "recording"} & set(materials)
    terms = "Apache-2.0" + ("; trained on GRID speaker 1, CC BY 4.0" if grid else "")
    bars = [f"{key} {_figure(numbers[key])}" for key in BARS.get(kind, _TOLD) if key in numbers]
    note = f"{_WHAT[kind]}; on held-out material {', '.join(bars)}" if bars else _WHAT[kind]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(
        [name, kind, path.name, path.stat().st_size, sha256(path), "", terms, note]
    )
    return line.getvalue()
