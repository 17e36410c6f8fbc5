"""The commands of use: `dub`, `detect`, `evaluate` and `report`."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import fields
from pathlib import Path

from lipsync_lab import files, progress
from lipsync_lab.cli import closing, extras, flags
from lipsync_lab.errors import CheckpointError, MediaError, ParameterError
from lipsync_lab.settings import Settings

#: Exit code of a report of which a part failed.
FAILED = 1


def dub(options: argparse.Namespace) -> int:
    from lipsync_lab.geometry import Box
    from lipsync_lab.pipeline import Pipeline

    settings = _settings(options, options.preset)
    box = None if options.box[0] == -1 else Box.from_yyxx(options.box)
    outfile = _outfile(options.outfile, settings.codec)
    folder = Path(options.run_folder) if options.run_folder else outfile.with_suffix("")
    face, speech = _clip(options.face, "--face"), _clip(options.audio, "--audio")
    _check_models(options)
    _keep(outfile, "--outfile", face, speech, options.generator, options.detector)
    for read in (face, speech, Path(options.generator)):
        if folder.resolve() in read.resolve().parents:
            raise ParameterError(f"{read}: lies in {folder}, which this run replaces; name another --run-folder")
    pipeline = Pipeline(
        generator=options.generator,
        detector=options.detector,
        settings=settings,
        box=box,
        device=options.device,
        cache=_cache(options),
    )
    _say(options, pipeline.models)
    with progress.make(quiet=options.quiet) as shown:
        run = pipeline.run(face, speech, folder, shown)
    _place(run.output, outfile)
    for line in closing.lines(run, outfile):
        _say(options, line)
    _say(options, f"{folder}: ledger.csv, detections.json, run.json")
    _warn(run.info["warnings"])
    return 0


def detect(options: argparse.Namespace) -> int:
    from lipsync_lab import detection
    from lipsync_lab.detection import tracking
    from lipsync_lab.detection.detect import detect
    from lipsync_lab.geometry import Box
    from lipsync_lab.models.registry import best_device

    settings = _settings(options, None)
    box = None if options.box[0] == -1 else Box.from_yyxx(options.box)
    face = _clip(options.face, "--face")
    if not options.out or Path(options.out).is_dir():
        raise MediaError(f"--out {options.out or '(empty)'}: is a folder; name a file, such as detections.json, in it")
    _check_models(options)
    _keep(Path(options.out), "--out", face, options.detector)
    with progress.make(quiet=options.quiet) as shown:
        detector = detection.load(options.detector, box=box, device=options.device or best_device())
        detections = detect(face, detector, _cache(options), out=options.out, settings=settings, progress=shown)
    faces, _ = tracking.chosen_faces(detections, settings)
    missed = sum(box is None for box in faces)
    _say(options, f"{options.out}: a face in {len(faces) - missed} of {len(faces)} frames, missed in {missed}")
    if missed == len(faces):
        _warn([f"{face}: no face was detected in any frame; try a lower --threshold or another --detector"])
    return 0


def evaluate(options: argparse.Namespace) -> int:
    from lipsync_lab.evaluation.evaluate import evaluate as evaluate_videos

    source, output = _clip(options.source, "--source"), _clip(options.output, "--output")
    voice = None if options.voice is None else _clip(options.voice, "--voice")
    for read in filter(None, (source, output, voice, options.detections)):
        if options.out and Path(read).resolve() == Path(options.out).resolve():
            raise ParameterError(f"--out {options.out}: is an input; name a folder for the tables")
    with progress.make(quiet=options.quiet) as shown:
        done = evaluate_videos(
            source,
            output,
            voice=voice,
            detections=options.detections,
            encode_control=options.encode_control,
            domain=options.domain,
            device=options.device,
            out=options.out,
            progress=shown,
        )
    if done.alignment is not None:
        _say(options, closing.alignment(done.alignment))
    if done.encode is not None:
        _say(options, closing.encode(done.encode))
    for line in closing.table(done.metrics):
        print(line)
    if options.out:
        _say(options, f"{options.out}: {', '.join(sorted(path.name for path in Path(options.out).glob('*.csv')))}")
    return 0


def report(options: argparse.Namespace) -> int:
    extras.need("lab", "report")
    from lipsync_lab import reporting

    for name in options.generators or [None]:
        _check_models(argparse.Namespace(generator=name, detector=options.detector))
    sides = {"": options.clips or [], "animation": options.animation, "live_action": options.live}
    clips = [clip for side in sides.values() for clip in side]
    domains = [domain for domain, side in sides.items() for _ in side] if options.animation or options.live else None
    with progress.make(quiet=options.quiet) as shown:
        done = reporting.report(
            options.out,
            clips or None,
            voices=options.voices,
            domains=domains,
            generators=options.generators or (None,),
            detector=options.detector,
            force=options.force,
            progress=shown,
        )
        shown.failed = len(done.failed)
    for outcome in done.failed:
        print(f"lipsync_lab: {outcome.kind} {outcome.name} failed: {outcome.error}", file=sys.stderr)
    if done.has_pages:
        print(done.index)
    else:
        print(f"lipsync_lab: no clip succeeded; no page was written in {done.folder}", file=sys.stderr)
    return 0 if done.ok else FAILED


def _settings(options: argparse.Namespace, preset: str | None) -> Settings:
    """The settings that the flags of `options` give, over those of a preset."""
    given = dict(vars(options))
    if given.pop("nosmooth", False) and given.setdefault("smoothing", "none") != "none":
        raise ParameterError(f"--nosmooth and --smoothing {given['smoothing']} exclude each other; give one of the two")
    try:
        return Settings.of({field.name: given[field.name] for field in fields(Settings) if field.name in given}, preset)
    except ParameterError as error:
        # the message begins with the setting's name; the user gave a flag
        name, _, rest = str(error).partition(" ")
        raise ParameterError(f"{flags.of_setting(name)} {rest}") from None


def _keep(target: Path, flag: str, *read: str | Path | None) -> None:
    """Refuse to write over an input; names of models and of samples are no files and are skipped."""
    for source in filter(None, read):
        if target.exists() and Path(source).exists() and target.samefile(source):
            raise ParameterError(f"{target}: would overwrite an input; give {flag} another name")


def _check_models(options: argparse.Namespace) -> None:
    """Where a file of weights is missing and has the name of a model, say how to get that model."""
    from lipsync_lab.models import registry

    for flag in ("generator", "detector"):
        name = getattr(options, flag, None)
        if name is None or name in registry.MODELS or Path(name).is_file():
            continue
        if not name:
            raise ParameterError(f"--{flag} is empty; name a model or a file")
        for model in registry.MODELS.values():
            named = Path(name).stem == model.name and Path(name).suffix not in (".json", ".xml")
            if named or Path(name).name == model.file:
                fetch = f"run 'python -m lipsync_lab weights fetch {model.name}', and then " if model.url else ""
                raise CheckpointError(f"{name}: no such file; {fetch}give --{flag} {model.name}")


def _clip(name: str, flag: str) -> Path:
    """The path of a file, or else of the sample of that name."""
    from lipsync_lab import samples

    if not name:
        raise ParameterError(f"{flag} is empty; name a file or a sample")
    return samples.resolve_path(name, progress=True)


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
    """Copy the run's clip to the outfile: a later change of the one must not change the other."""
    with files.atomic_file(outfile) as part:
        shutil.copyfile(output, part)


def _warn(lines: list[str]) -> None:
    for line in lines:
        print(f"lipsync_lab: warning: {line}", file=sys.stderr)


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.quiet:
        print(line)
