"""The commands of data: `samples`, `weights` and `synthesize`."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import progress
from lipsync_lab.cli import extras
from lipsync_lab.errors import ParameterError

if TYPE_CHECKING:
    from lipsync_lab.samples import Sample

#: Exit code of `weights verify` where a file is another than the table of models says.
WRONG = 2
#: States of a model's file, and kinds of models, as `weights list` names them.
_STATES = {"absent": "not fetched", "right": "present", "unverifiable": "present", "wrong": "wrong hash"}
_KINDS = {"lse": "SyncNet (LSE)", "visemes": "viseme network"}


def weights(options: argparse.Namespace) -> int:
    from lipsync_lab.evaluation.text import columns
    from lipsync_lab.models import registry

    if options.what == "fetch":
        if not options.name:
            raise ParameterError(f"which weights? name one of {', '.join(registry.MODELS)}")
        if (model := registry.MODELS.get(options.name)) is not None:
            print(f"{model.name}: {model.note}\nterms: {model.terms}")
        print(registry.fetch(options.name, progress=not options.quiet))
        return 0
    if options.name and options.name not in registry.MODELS:
        raise ParameterError(f"no model is named {options.name}; there are {', '.join(registry.MODELS)}")
    wanted = [registry.MODELS[options.name]] if options.name else list(registry.MODELS.values())
    findings = {finding.model.name: finding for finding in registry.verify(options.name) if finding.model in wanted}
    if options.what == "list":
        lines = [("name", "kind", "state", "file", "what it is")]
        for model in wanted:
            state = _STATES[findings[model.name].state] if model.name in findings else "built in code"
            kind = _KINDS.get(model.kind, model.kind.replace("_", " "))
            lines.append((model.name, kind, state, model.file or "-", model.note))
        print("\n".join(columns(lines)))
        return 0
    if options.name and not findings:
        print(f"{options.name}: built in code, there is no file to verify")
    for finding in findings.values():
        print(f"{finding.state:13} {finding.path} {finding.sha256 or ''}".rstrip())
        if finding.state == "wrong":
            print(f"{'':13} expected {finding.model.sha256}")
    return WRONG if any(finding.state == "wrong" for finding in findings.values()) else 0


def samples(options: argparse.Namespace) -> int:
    from lipsync_lab import samples as table
    from lipsync_lab.evaluation.text import columns

    if options.what == "list":
        rows = [("name", "domain", "seconds", "where", "licence", "note"), *map(_row, map(table.get, table.names()))]
        # a long note that several rows share is printed once
        notes = ["as above" if note and note == before else note for (*_, before), (*_, note) in pairwise(rows)]
        for line in columns([rows[0], *((*row, note) for (*row, _), note in zip(rows[1:], notes, strict=True))]):
            print(line)
        print("\n`samples show NAME` prints everything about one, with its terms in full.")
        return 0
    if not options.name:
        raise ParameterError(f"which sample? name one of {', '.join(table.names())}")
    if options.what == "show":
        about = asdict(table.get(options.name)) | {"seconds": _seconds(table.get(options.name))}
        about["size"] = about["size"] and " x ".join(map(str, about["size"]))
        for name, value in about.items():
            if value not in (None, ""):
                print(f"{name + ':':14}{ {True: 'yes', False: 'no'}.get(value, value) }")
        return 0
    print(table.path(options.name, progress=options.what == "fetch" and not options.quiet))
    return 0


def _seconds(sample: Sample) -> str:
    """Seconds of a clip; empty for a voice, whose length the manifest does not have."""
    return f"{sample.frames / float(sample.fps):.1f}" if sample.frames and sample.fps else ""


def _row(sample: Sample) -> tuple[str, ...]:
    """A sample in a line: a licence ends where its explanation begins, and a note at its first clause."""
    licence, note = re.split(r"[(,]", sample.licence)[0].strip(), sample.note.partition(", for ")[0]
    where = "bundled" if sample.bundled else "to fetch"
    return sample.name, sample.domain, _seconds(sample), where, licence, note


def synthesize(options: argparse.Namespace) -> int:
    extras.need("synthesis", "synthesize")
    from lipsync_lab.media import audio
    from lipsync_lab.metrics.sync import LEAST_SECONDS
    from lipsync_lab.synthesis import film
    from lipsync_lab.synthesis.animation.settings import Scene
    from lipsync_lab.synthesis.recordings import recorded
    from lipsync_lab.synthesis.speech import speak

    if Path(options.voice).suffix or Path(options.voice).exists():
        raise ParameterError(
            f"--voice {options.voice}: is a file; --voice takes espeak-ng's language code, such as en-us or de, and "
            "--recording a file in which somebody speaks the text"
        )
    voice = {"voice": options.voice, "variant": options.variant}
    if options.recording:
        speech = recorded(audio.load(options.recording), options.text, **voice)
    else:
        speech = speak(options.text, **voice, rate=options.rate, pitch=options.pitch)
    size = tuple(options.size)
    with progress.make(quiet=options.quiet) as shown:
        if options.portrait:
            table = film.write_portrait(
                options.out, speech, seed=options.seed, fps=options.fps, size=size, progress=shown
            )
        else:
            setting = Scene(
                seed=options.seed,
                style=options.style,
                exposure=options.exposure,
                mouth_exposure=options.mouth_exposure or options.exposure,
                fps=options.fps,
                size=size,
                view=options.view,
                framing=options.framing,
                text=options.subtitle,
            )
            table = film.write_scene(options.out, speech, setting, shown)
    if speech.duration < LEAST_SECONDS:
        print(
            f"lipsync_lab: {options.out}: lasts {speech.duration:.2f} s; sync is measured from {LEAST_SECONDS:.2f} s "
            "on: give a longer text",
            file=sys.stderr,
        )
    if not options.quiet:
        print(f"{options.out}: {speech.duration:.2f} s; ground truth: {table}")
    return 0
