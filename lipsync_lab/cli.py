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
from pathlib import Path
from typing import Any

import lipsync_lab
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError

#: Exit codes: what was asked for cannot be had, or has failed on the way; or was interrupted, as a shell counts it.
BAD_INPUT, INTERRUPTED = 2, 130

#: Flags of the published script whose settings have other names here.
_SETTING_OF = {
    "face_det_batch_size": "detection_batch",
    "wav2lip_batch_size": "generator_batch",
    "face_index": "choose",
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
    from lipsync_lab.settings import Settings

    settings = Settings.of(_settings(options), options.preset)
    box = None if options.box[0] == -1 else Box.from_yyxx(options.box)
    outfile = _outfile(options.outfile, settings.codec)
    pipeline = Pipeline(
        generator=options.checkpoint_path,
        detector=options.detector,
        settings=settings,
        box=box,
        device=options.device,
        cache=_cache(options),
    )
    _say(options, pipeline.models)
    folder = Path(options.run_folder) if options.run_folder else outfile.with_suffix("")
    with _bars(options.quiet) as progress:
        run = pipeline.run(_clip(options.face), _clip(options.audio), folder, progress)
    _place(run.output, outfile)
    counts = run.info["frames_by_provenance"]
    found = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    _say(options, f"{outfile}: {run.info['frames_written']} frames; of the clip's {sum(counts.values())}: {found}")
    _say(options, f"{folder}: ledger.csv, detections.json, run.json")
    return 0


def _detect(options: argparse.Namespace) -> int:
    from lipsync_lab.geometry import Box
    from lipsync_lab.pipeline import find
    from lipsync_lab.settings import Settings

    settings = Settings.of(_settings(options), None)
    box = None if options.box[0] == -1 else Box.from_yyxx(options.box)
    with _bars(options.quiet) as progress:
        chosen = find(
            _clip(options.face),
            options.out,
            detector=options.detector,
            box=box,
            settings=settings,
            device=options.device,
            cache=_cache(options),
            progress=progress,
        )
    missed = sum(face is None for face in chosen)
    _say(options, f"{options.out}: a face in {len(chosen) - missed} of {len(chosen)} frames, none in {missed}")
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
    findings = {finding.model.name: finding for finding in checkpoints.verify()}
    if options.what == "list":
        for model in checkpoints.MODELS.values():
            state = findings[model.name].state if model.name in findings else "made on the spot"
            print(f"{model.name:20} {model.kind:10} {state:16} {model.file or '-':24} {model.note}")
        return 0
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
            print(f"{name:20} {sample.domain:12} {where:18} {sample.licence}")
        return 0
    if not options.name:
        raise ParameterError(f"which sample? name one of {', '.join(samples.names())}")
    print(samples.path(options.name, progress=options.what == "fetch" and not options.quiet))
    return 0


def _cartoon(options: argparse.Namespace) -> int:
    from lipsync_lab.cartoon import film, scene
    from lipsync_lab.cartoon.speech import speak

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

    with _bars(options.quiet) as progress:
        report = reporting.report(
            options.out,
            options.clips,
            voices=options.voices,
            generator=options.checkpoint_path,
            detector=options.detector,
            force=options.force,
            progress=progress,
        )
    print(report.index)
    return 0 if report.ok else 1


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    from dataclasses import fields

    from lipsync_lab.settings import Settings

    given = {_SETTING_OF.get(name, name): value for name, value in vars(options).items()}
    if given.pop("nosmooth", False):
        given["smoothing"] = "none"
    return {field.name: given[field.name] for field in fields(Settings) if field.name in given}


def _clip(name: str) -> Path:
    """A file, or else a sample's name."""
    from lipsync_lab import samples

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
    if path.suffix.lower() != suffix:
        raise ParameterError(
            f"{name}: with the codec {codec} the output is a {suffix} file; name it {path.stem}{suffix}"
        )
    if path.is_dir():
        raise MediaError(f"{name}: is a folder; name a file in it")
    return path


def _place(output: Path, outfile: Path) -> None:
    """The run's clip under the name asked for: the same bytes on the disk where the file system can, else a copy."""
    outfile.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{outfile.stem}.", dir=outfile.parent) as private:
        part = Path(private) / outfile.name
        try:
            os.link(output, part)
        except OSError:
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
            bars[stage] = tqdm(total=total, desc=stage, unit="frame", leave=False, file=sys.stderr)
        bars[stage].update(done - bars[stage].n)

    try:
        yield progress
    finally:
        for bar in bars.values():
            bar.close()


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.quiet:
        print(line)


def _truth(text: str) -> bool:
    """True or false from a command line: the published script took any text, "False" too, for true."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return known[text.lower()]


def _face(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def _side(text: str) -> int | None:
    return None if text in ("none", "0") else int(text)


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
        one.add_argument("--quiet", action="store_true", help="no progress bars and no closing lines")
        return one

    dub = command("dub", _dub, "Make the face in a clip speak a voice.")
    _published_flags(dub)
    _own_flags(dub)

    detect = command("detect", _detect, "Find the face in every frame, and write detections.json.")
    detect.add_argument("--face", required=True, metavar="CLIP", help="a clip, a picture, or the name of a sample")
    detect.add_argument("--out", default="detections.json", help="file to write; `dub --detector` takes it")
    _frame_flags(detect)
    _detection_flags(detect)

    weights = command("weights", _weights, "Models by name: which are there, fetch one, compare hashes.")
    weights.add_argument("what", choices=("list", "fetch", "verify"))
    weights.add_argument("name", nargs="?", help="of the model to fetch")

    samples = command("samples", _samples, "Clips to try things on: list them, fetch one, say where one lies.")
    samples.add_argument("what", choices=("list", "fetch", "path"))
    samples.add_argument("name", nargs="?", help="of the sample")

    cartoon = command("cartoon", _cartoon, "Draw a character, or move a photograph, that says a sentence.")
    _cartoon_flags(cartoon)

    report = command("report", _report, "Run pipeline and notebooks on chosen samples, and print it all as HTML.")
    report.add_argument("--out", default="reports/latest", help="folder of the report")
    report.add_argument("--clips", nargs="+", metavar="CLIP", help="samples or files; all bundled clips if not given")
    report.add_argument("--voices", nargs="+", metavar="VOICE", help="one voice a clip; each clip's own if not given")
    report.add_argument("--checkpoint_path", default="untrained", metavar="MODEL", help="generator, by name or file")
    report.add_argument("--detector", metavar="MODEL", help="see `dub --help`")
    report.add_argument("--force", action="store_true", help="do again what is done already")
    return parser


def _cartoon_flags(cartoon: argparse.ArgumentParser) -> None:
    add = cartoon.add_argument
    add("--text", required=True, help="what is said")
    add("--out", required=True, metavar="CLIP.mp4", help="the truth of every frame is written beside it as .truth.csv")
    add("--voice", default="en-us", help="espeak-ng's language code (en-us)")
    add("--variant", help="espeak-ng's voice variant, such as f2 or m3")
    add("--rate", type=int, default=160, help="words a minute (160)")
    add("--pitch", type=int, default=50, help="0 to 99 (50)")
    add("--photograph", action="store_true", help="scikit-image's portrait speaks, instead of a drawn character")
    add("--seed", type=int, default=0, help="of character, acting and background (0)")
    add("--style", help="anime, western, rubberhose or flat; by the seed if not given")
    add("--on", type=int, default=2, metavar="FRAMES", help="frames that a drawing is held (2)")
    add("--mouth-on", type=int, metavar="FRAMES", help="frames that a mouth is held; as --on if not given")
    add("--fps", type=float, default=25.0, help="frames a second (25)")
    add("--size", nargs=2, type=int, default=(384, 384), metavar=("WIDTH", "HEIGHT"), help="pixels (384 384)")
    add("--view", default="front", help="front, three-quarter, profile, turn or mixed (front)")
    add("--framing", default="close", help="portrait, close, medium, wide or far (close)")
    add("--subtitle", default="", metavar="TEXT", help="text in the picture")


def _published_flags(dub: argparse.ArgumentParser) -> None:
    group = dub.add_argument_group("as in the published inference.py")
    add = group.add_argument
    add(
        "--checkpoint_path", default="untrained", metavar="MODEL", help="generator: a model's name or a file of weights"
    )
    add("--face", required=True, metavar="CLIP", help="a clip or picture with a face, or the name of a sample")
    add("--audio", required=True, metavar="VOICE", help="any file with sound, or the name of a sample")
    add("--outfile", default="results/result_voice.mp4", help="the clip to write")
    add("--static", nargs="?", const=True, type=_truth, default=argparse.SUPPRESS, help="use only the first frame")
    add("--fps", type=float, default=argparse.SUPPRESS, help="frames a second where the clip is a picture (25)")
    sides = ("TOP", "BOTTOM", "LEFT", "RIGHT")
    add(
        "--pads", nargs=4, type=int, default=argparse.SUPPRESS, metavar=sides, help="pixels added to the box (0 10 0 0)"
    )
    add("--face_det_batch_size", type=int, default=argparse.SUPPRESS, help="frames the detector gets at once (16)")
    add("--wav2lip_batch_size", type=int, default=argparse.SUPPRESS, help="faces drawn at once (16; 128 as published)")
    add("--nosmooth", action="store_true", default=argparse.SUPPRESS, help="do not smooth the boxes")
    _frame_flags(group)


def _frame_flags(group) -> None:
    """Which part of the clip is looked at; the published script's own."""
    corners = {"nargs": 4, "type": int, "metavar": ("Y1", "Y2", "X1", "X2")}
    add = group.add_argument
    add("--resize_factor", type=int, default=argparse.SUPPRESS, help="shrink the clip by this first (1)")
    add("--crop", **corners, default=argparse.SUPPRESS, help="part of the clip to use (0 -1 0 -1: all of it)")
    add("--box", **corners, default=(-1, -1, -1, -1), help="this box in every frame, instead of a detector")
    add("--rotate", action="store_true", default=argparse.SUPPRESS, help="turn by 90 degrees clockwise")


def _detection_flags(group) -> None:
    add = group.add_argument
    add(
        "--detector",
        metavar="MODEL",
        help="s3fd, lbp, anime-lbp, a file of S3FD weights, a cascade (.xml), or a detections.json; "
        "if not given, s3fd where its weights are there, else lbp",
    )
    add("--threshold", type=float, default=argparse.SUPPRESS, help="score that a face must exceed (0.5)")
    add(
        "--face-index",
        type=_face,
        default=argparse.SUPPRESS,
        metavar="WHICH",
        help="largest, central, best, or the n-th from the left from 0 (largest)",
    )
    add(
        "--analysis-size",
        type=_side,
        default=argparse.SUPPRESS,
        metavar="PIXELS",
        help="longest side the detector sees; none for the clip's own (640)",
    )
    add(
        "--longest-gap",
        type=int,
        default=argparse.SUPPRESS,
        metavar="FRAMES",
        help="longest gap to fill or to follow a face over (12)",
    )
    add("--device", help="cuda or cpu; if not given, cuda where there is one")
    add("--cache", metavar="FOLDER", help="where detections are kept; if not given, the user's cache folder")
    add("--no-cache", action="store_true", help="detect again, and keep nothing")


def _own_flags(dub: argparse.ArgumentParser) -> None:
    from lipsync_lab.settings import CODECS, FILLS, GAPS, PRESETS, SMOOTHINGS

    group = dub.add_argument_group("ours")
    add, unset = group.add_argument, argparse.SUPPRESS
    add("--preset", choices=PRESETS, help="upstream: everything as published, also where it fails")
    _detection_flags(group)
    add(
        "--gap",
        choices=GAPS,
        default=unset,
        help="frames without a face: let pass, hold the box, interpolate, or stop (pass)",
    )
    add("--smoothing", choices=SMOOTHINGS, default=unset, help="of the box (centered)")
    add(
        "--mel-lead",
        type=int,
        default=unset,
        metavar="FRAMES",
        help="let the sound lead by this; 1 as in training (0, as published)",
    )
    add(
        "--feather",
        type=float,
        default=unset,
        metavar="SHARE",
        help="soft edge, as a share of the box; 0 pastes the whole square as published (0)",
    )
    add("--fill", choices=FILLS, default=unset, help="a clip shorter than the voice: loop, hold, pingpong (loop)")
    add(
        "--keep-tail", action="store_true", default=unset, help="keep what a longer clip has after the voice, untouched"
    )
    add("--codec", choices=CODECS, default=unset, help="h264 in .mp4, or lossless ffv1 in .mkv (h264)")
    add("--crf", type=int, default=unset, help="quality of h264, 0 to 51 (18)")
    add(
        "--run-folder",
        metavar="FOLDER",
        help="for ledger and detections; if not given, the outfile's name without its ending",
    )
