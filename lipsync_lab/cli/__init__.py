"""``python -m lipsync_lab``: parses, calls, prints.

`dub` takes the flags of the published ``inference.py`` under their own names, so that a command line from there
works; ours are spelled with hyphens and stand beside them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lipsync_lab
from lipsync_lab.cli import closing, flags
from lipsync_lab.errors import CheckpointError, LipsyncError, MediaError, ParameterError
from lipsync_lab.settings import Settings
from lipsync_lab.training import command as training

#: Exit codes: part of a report failed; what was asked for cannot be had; interrupted, as a shell counts it.
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

#: Flags of the published script whose settings have other names here.
_SETTING_OF = {
    "face_det_batch_size": "detection_batch",
    "wav2lip_batch_size": "generator_batch",
    "face_index": "choose",
}

#: Flags whose names are not the settings' with hyphens: the published ones, and those of `_SETTING_OF`.
_FLAG_OF = {"resize_factor": "--resize_factor", "choose": "--face-index"} | {
    setting: f"--{flag}" for flag, setting in _SETTING_OF.items() if setting != "choose"
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit code.

    Errors come out as one line on stderr, with exit code 2; ``--debug`` shows where they were raised.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.call(options) or 0
    except LipsyncError as error:
        if options.debug:
            raise
        print(f"lipsync_lab: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # whoever read our output has seen enough (`... | head`); the interpreter's own flush at exit must not stumble
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if options.debug:
            raise
        print(f"lipsync_lab: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("lipsync_lab: interrupted; nothing half-written was left behind", file=sys.stderr)
        return INTERRUPTED


def _dub(options: argparse.Namespace) -> int:
    from lipsync_lab.geometry import Box
    from lipsync_lab.pipeline import Pipeline

    settings = _settings(options, options.preset)
    box = None if options.box[0] == -1 else Box.from_yyxx(options.box)
    outfile = _outfile(options.outfile, settings.codec)
    folder = Path(options.run_folder) if options.run_folder else outfile.with_suffix("")
    face, speech = _clip(options.face, "--face"), _clip(options.audio, "--audio")
    _check_models(options)
    _keep(outfile, "--outfile", face, speech, options.checkpoint_path, options.detector)
    for read in (face, speech, Path(options.checkpoint_path)):
        if folder.resolve() in read.resolve().parents:
            raise ParameterError(f"{read}: lies in {folder}, which this run replaces; name another --run-folder")
    pipeline = Pipeline(
        generator=options.checkpoint_path,
        detector=options.detector,
        settings=settings,
        box=box,
        device=options.device,
        cache=_cache(options),
    )
    _say(options, pipeline.models)
    with _bars(options.quiet) as progress:
        run = pipeline.run(face, speech, folder, progress)
    _place(run.output, outfile)
    for line in closing.lines(run, outfile):
        _say(options, line)
    _say(options, f"{folder}: ledger.csv, detections.json, run.json")
    _warn(run.info["warnings"])
    return 0


def _detect(options: argparse.Namespace) -> int:
    from lipsync_lab.geometry import Box
    from lipsync_lab.pipeline import find

    settings = _settings(options, None)
    box = None if options.box[0] == -1 else Box.from_yyxx(options.box)
    face = _clip(options.face, "--face")
    if not options.out or Path(options.out).is_dir():
        raise MediaError(f"--out {options.out or '(empty)'}: is a folder; name a file, such as detections.json, in it")
    _check_models(options)
    _keep(Path(options.out), "--out", face, options.detector)
    with _bars(options.quiet) as progress:
        chosen = find(
            face,
            options.out,
            detector=options.detector,
            box=box,
            settings=settings,
            device=options.device,
            cache=_cache(options),
            progress=progress,
        )
    missed = sum(face is None for face in chosen)
    _say(options, f"{options.out}: a face in {len(chosen) - missed} of {len(chosen)} frames, missing in {missed}")
    if missed == len(chosen):
        _warn([f"{face}: no face was found in any frame; try a lower --threshold or another --detector"])
    return 0


def _weights(options: argparse.Namespace) -> int:
    from lipsync_lab import checkpoints

    if options.what == "fetch":
        if not options.name:
            raise ParameterError(f"which weights? name one of {', '.join(checkpoints.MODELS)}")
        if (model := checkpoints.MODELS.get(options.name)) is not None:
            print(f"{model.name}: {model.note}\nterms: {model.terms}")
        print(checkpoints.fetch(options.name, progress=not options.quiet))
        return 0
    if options.name and options.name not in checkpoints.MODELS:
        raise ParameterError(f"no model is named {options.name}; there are {', '.join(checkpoints.MODELS)}")
    wanted = [checkpoints.MODELS[options.name]] if options.name else list(checkpoints.MODELS.values())
    findings = {found.model.name: found for found in checkpoints.verify(options.name) if found.model in wanted}
    if options.what == "list":
        for model in wanted:
            state = findings[model.name].state if model.name in findings else "built in code"
            print(f"{model.name:20} {model.kind:10} {state:16} {model.file or '-':24} {model.note}")
        return 0
    if options.name and not findings:
        print(f"{options.name}: built in code, there is no file to verify")
    for finding in findings.values():
        print(f"{finding.state:13} {finding.path} {finding.sha256 or ''}".rstrip())
        if finding.state == "wrong":
            print(f"{'':13} expected {finding.model.sha256}")
    return BAD_INPUT if any(finding.state == "wrong" for finding in findings.values()) else 0


def _samples(options: argparse.Namespace) -> int:
    from lipsync_lab import samples

    if options.what == "list":
        for name in samples.names():
            sample = samples.get(name)
            where = "bundled" if sample.bundled else "fetched on demand"
            print(f"{name:20} {sample.domain:12} {where:18} {sample.licence} | {sample.note}".rstrip(" |"))
        return 0
    if not options.name:
        raise ParameterError(f"which sample? name one of {', '.join(samples.names())}")
    print(samples.path(options.name, progress=options.what == "fetch" and not options.quiet))
    return 0


def _cartoon(options: argparse.Namespace) -> int:
    from lipsync_lab.synthesis import film
    from lipsync_lab.synthesis.animation import scene
    from lipsync_lab.synthesis.speech import speak

    speech = speak(options.text, voice=options.voice, variant=options.variant, rate=options.rate, pitch=options.pitch)
    size = tuple(options.size)
    with _bars(options.quiet) as progress:
        if options.photograph:
            table = film.photographed(
                options.out, speech, seed=options.seed, fps=options.fps, size=size, progress=progress
            )
        else:
            setting = scene.Scene(
                seed=options.seed,
                style=options.style,
                on=options.on,
                mouth_on=options.mouth_on or options.on,
                fps=options.fps,
                size=size,
                view=options.view,
                framing=options.framing,
                text=options.subtitle,
            )
            table = film.drawn(options.out, speech, setting, progress)
    _say(options, f"{options.out}: {speech.duration:.2f} s; its truth: {table}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from lipsync_lab import reporting

    for name in options.models or [None]:
        _check_models(argparse.Namespace(checkpoint_path=name, detector=options.detector))
    with _bars(options.quiet) as progress:
        report = reporting.report(
            options.out,
            options.clips or reporting.CLIPS,
            voices=options.voices,
            generators=options.models or (None,),
            detector=options.detector,
            force=options.force,
            progress=progress,
        )
    for outcome in report.failed:
        print(f"lipsync_lab: {outcome.kind} {outcome.name} failed: {outcome.error}", file=sys.stderr)
    print(report.index)
    return 0 if report.ok else FAILED


def _training(trade: training.Command, options: argparse.Namespace) -> int:
    with _bars(options.quiet) as progress:
        code = trade.run(options, progress)
    if trade is training.COMMANDS["train"]:
        _draw_curve(Path(options.out), options.what)
    return code


def _draw_curve(run: Path, title: str) -> None:
    """The log of a training as a picture beside it; one that stopped before its first row has none."""
    import pandas as pd

    if (run / "log.csv").is_file():
        import matplotlib.pyplot as plt

        from lipsync_lab import figures

        axes = figures.training(pd.read_csv(run / "log.csv"), title)
        axes.figure.savefig(run / "curve.png")
        plt.close(axes.figure)
        print(run / "curve.png")


def _settings(options: argparse.Namespace, preset: str | None) -> Settings:
    from dataclasses import fields

    given = {_SETTING_OF.get(name, name): value for name, value in vars(options).items()}
    if given.pop("nosmooth", False) and given.setdefault("smoothing", "none") != "none":
        raise ParameterError(f"--nosmooth and --smoothing {given['smoothing']} exclude each other; give one of the two")
    try:
        return Settings.of({field.name: given[field.name] for field in fields(Settings) if field.name in given}, preset)
    except ParameterError as error:
        # the message begins with the setting's name, and a person at the command line knows the flag's
        name, _, rest = str(error).partition(" ")
        raise ParameterError(f"{_FLAG_OF.get(name, '--' + name.replace('_', '-'))} {rest}") from None


def _keep(target: Path, flag: str, *read: str | Path | None) -> None:
    """Refuse to write over what is read; names of models and of samples are no files, and are passed over."""
    for source in filter(None, read):
        if target.exists() and Path(source).exists() and target.samefile(source):
            raise ParameterError(f"{target}: would overwrite what is read; give {flag} another name")


def _check_models(options: argparse.Namespace) -> None:
    """Where a file of weights is not there but bears a model's name, say how the model is had."""
    from lipsync_lab import checkpoints

    for flag in ("checkpoint_path", "detector"):
        name = getattr(options, flag, None)
        if name is None or name in checkpoints.MODELS or Path(name).is_file():
            continue
        if not name:
            raise ParameterError(f"--{flag} is empty; name a model or a file")
        for model in checkpoints.MODELS.values():
            named = Path(name).stem == model.name and Path(name).suffix not in (".json", ".xml")
            if named or Path(name).name == model.file:
                fetch = f"run 'python -m lipsync_lab weights fetch {model.name}', and then " if model.url else ""
                raise CheckpointError(f"{name}: no such file; {fetch}give --{flag} {model.name}")


def _clip(name: str, flag: str) -> Path:
    """A file, or else a sample's name."""
    from lipsync_lab import samples

    if not name:
        raise ParameterError(f"{flag} is empty; name a file or a sample")
    if not Path(name).exists() and name in samples.names():
        return samples.path(name, progress=True)
    return Path(name)


def _cache(options: argparse.Namespace) -> Path | None:
    if options.no_cache:
        return None
    if options.cache:
        return Path(options.cache)
    import pooch

    return Path(pooch.os_cache("lipsync_lab")) / "detections"


def _outfile(name: str, codec: str) -> Path:
    path, suffix = Path(name), ".mkv" if codec == "ffv1" else ".mp4"
    if not name:
        raise ParameterError("--outfile is empty; name the clip to write")
    if path.suffix.lower() != suffix:
        raise ParameterError(
            f"{name}: with the codec {codec} the output is a {suffix} file; name it {path.stem}{suffix}"
        )
    if path.is_dir():
        raise MediaError(f"{name}: is a folder; name a file in it")
    return path


def _place(output: Path, outfile: Path) -> None:
    """The run's clip under the name asked for, as a copy: what is done to the one must not change the other."""
    outfile.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{outfile.stem}.", dir=outfile.parent) as private:
        part = Path(private) / outfile.name
        shutil.copyfile(output, part)
        part.replace(outfile)


@contextmanager
def _bars(quiet: bool) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A progress callback that draws one bar a stage on stderr."""
    if quiet:
        yield None
        return
    from tqdm import tqdm

    bars: dict[str, tqdm] = {}

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage not in bars:
            bars[stage] = tqdm(total=total, desc=stage, leave=False, file=sys.stderr)
        bars[stage].update(done - bars[stage].n)

    try:
        yield progress
    finally:
        for bar in bars.values():
            bar.close()


def _warn(lines: list[str]) -> None:
    for line in lines:
        print(f"lipsync_lab: warning: {line}", file=sys.stderr)


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.quiet:
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lipsync_lab", description="Lip-sync a clip, and see where it breaks.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=lipsync_lab.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call: Callable, summary: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=summary, description=summary)
        one.set_defaults(call=call)
        one.add_argument("--debug", action="store_true", help="show where an error was raised")
        one.add_argument(
            "--quiet", action="store_true", help="no progress bars and no closing lines; warnings and errors stay"
        )
        return one

    dub = command("dub", _dub, "Make the face in a clip speak a voice.")
    dub.epilog = (
        "Exit codes: 0, the outfile is there; 2, what was given cannot be used, and nothing was written. Where no face "
        "is found at all, the picture is the clip's own: the outfile is there, its metadata say so, the code is 0, and "
        "a warning on stderr says what to try."
    )
    flags.published(dub)
    flags.own(dub)

    detect = command("detect", _detect, "Find the face in every frame, and write detections.json.")
    detect.add_argument("--face", required=True, metavar="CLIP", help="a clip, a picture, or the name of a sample")
    detect.add_argument(
        "--out", default="detections.json", help="file to write; `dub --detector` takes it (detections.json)"
    )
    flags.frame(detect)
    flags.detection(detect)

    weights = command("weights", _weights, "Models by name: which are there, fetch one, compare hashes.")
    weights.add_argument("what", choices=("list", "fetch", "verify"))
    weights.add_argument(
        "name", nargs="?", help="of the model to fetch, to list or to verify; all of them if not given, save for fetch"
    )

    samples = command("samples", _samples, "Clips to try things on: list them, fetch one, say where one lies.")
    samples.add_argument("what", choices=("list", "fetch", "path"))
    samples.add_argument("name", nargs="?", help="of the sample")

    cartoon = command("cartoon", _cartoon, "Draw a character, or move a photograph, that says a sentence.")
    flags.cartoon(cartoon)

    for name, trade in training.COMMANDS.items():
        one = command(name, partial(_training, trade), trade.summary)
        trade.add_arguments(one)

    report = command("report", _report, "Dub and examine clips, run the notebooks on them, and print it all as HTML.")
    flags.report(report)
    return parser
