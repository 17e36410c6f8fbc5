"""The commands of use: `dub`, `detect`, `mouths`, `chart`, `evaluate`, `report` and `blind`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields
from pathlib import Path

from lipsync_lab import progress
from lipsync_lab.cli import closing, extras, flags
from lipsync_lab.errors import CheckpointError, LipsyncError, MediaError, ParameterError
from lipsync_lab.settings import Settings

#: Exit code of a report of which a part failed.
FAILED = 1


def dub(options: argparse.Namespace) -> int:
    from lipsync_lab import detection, generation
    from lipsync_lab.pipeline import Pipeline

    begun, settings = time.perf_counter(), _settings(options, options.preset)
    if options.generator is None:
        options.generator = generation.default(options.preset)
    box = _box(options)
    outfile = _outfile(options.outfile, settings.codec)
    folder = Path(options.run_folder) if options.run_folder else outfile.with_suffix("")
    face = _clip(options.face, "--face")
    voices = [_clip(name, "--voices") for name in options.voices or ()] or [_clip(options.audio, "--audio")]
    _check_models(options)
    _keep(outfile, "--outfile", face, *voices, options.turns, options.generator, options.detector)
    for read in (face, *voices, Path(options.generator)):
        if folder.resolve() in read.resolve().parents:
            raise ParameterError(f"{read}: lies in {folder}, which this run replaces; name another --run-folder")
    detector = options.detector
    if detector is None and box is None:
        detector = detection.default(options.preset)
    pipeline = Pipeline(
        generator=options.generator,
        detector=detector,
        settings=settings,
        box=box,
        device=options.device,
        cache=_cache(options),
    )
    with progress.make(quiet=options.quiet) as shown:
        run = pipeline.run(face, voices, folder, shown, options.turns, outfile=outfile)
    for line in closing.lines(run, outfile, time.perf_counter() - begun):
        _say(options, line)
    _warn(run.info["warnings"])
    _warn(_unused_rate(options, run.info["clip"]["fps"], face))
    return 0


def detect(options: argparse.Namespace) -> int:
    from lipsync_lab import detection
    from lipsync_lab.detection import auto, tracking
    from lipsync_lab.detection.detect import detect
    from lipsync_lab.models.registry import best_device

    settings = _settings(options, None)
    box = _box(options)
    face = _clip(options.face, "--face")
    if not options.out or Path(options.out).is_dir():
        raise MediaError(f"--out {options.out or '(empty)'}: is a folder; name a file, such as detections.json, in it")
    _check_models(options)
    _keep(Path(options.out), "--out", face, options.detector)
    with progress.make(quiet=options.quiet) as shown:
        detector = detection.load(options.detector, box=box, device=options.device or best_device())
        detections = detect(face, detector, _cache(options), out=options.out, settings=settings, progress=shown)
    faces, shots = tracking.chosen_faces(detections, settings)
    missed = sum(box is None for box in faces)
    _say(options, f"{options.out}: a face in {len(faces) - missed} of {len(faces)} frames, missed in {missed}")
    for decided in auto.decided(detector, faces, shots).values():
        _say(options, decided["summary"])
    if missed == len(faces):
        _warn([f"{face}: no face was detected in any frame; try a lower --threshold or another --detector"])
    return 0


def mouths(options: argparse.Namespace) -> int:
    from lipsync_lab.generation.cel import exchange

    settings, voice = _settings(options, options.preset), _clip(options.voice, "VOICE")
    if options.exposure < 1:
        raise ParameterError(f"--exposure {options.exposure} is not possible; it must be 1 or more")
    face = None if options.face is None else _clip(options.face, "--face")
    exchange.check_name(options.out)
    _check_models(options)
    _keep(Path(options.out), "--out", face, voice, options.detector)
    if face is None:
        cues, fps = _mouths_of_voice(options, settings, voice)
    else:
        cues, fps = _mouths_of_clip(options, settings, voice, face)
    exchange.write_timing(options.out, cues, fps, sound=voice.name)
    letters = "".join(cue.shape.shape for cue in cues)
    counts = ", ".join(f"{letters.count(letter)} {letter}" for letter in sorted(set(letters)))
    _say(options, f"{options.out}: {len(cues)} mouths ({counts}), {cues[-1].end:.2f} s, {float(fps):g} frames a second")
    return 0


def _mouths_of_voice(options: argparse.Namespace, settings: Settings, voice: Path):
    from lipsync_lab import generation
    from lipsync_lab.generation.windows import Voice
    from lipsync_lab.media import audio

    cel = generation.load("cel", device=options.device or "cpu")
    spoken = Voice.from_wave(audio.load(voice))
    return cel.mouths(spoken, settings.fps, options.exposure, settings.audio_offset or 0), settings.fps


def _mouths_of_clip(options: argparse.Namespace, settings: Settings, voice: Path, face: Path):
    from lipsync_lab.pipeline import Pipeline

    box = _box(options)
    with progress.make(quiet=options.quiet) as shown:
        pipeline = Pipeline("cel", options.detector, settings, box, options.device, _cache(options))
        cues, fps = pipeline.mouth_timing(face, voice, shown)
    if not cues:
        raise ParameterError(
            f"{face}: no mouth is located in any frame, and none would be drawn; try another --detector or a --box, or "
            "leave out --face"
        )
    return cues, fps


def chart(options: argparse.Namespace) -> int:
    from lipsync_lab.generation.cel.chart import write_chart
    from lipsync_lab.pipeline import Pipeline

    settings, face = _settings(options, None), _clip(options.face, "CLIP")
    if Path(options.out).is_file():
        raise MediaError(f"--out {options.out}: is a file; name a folder")
    _check_models(options)
    box = _box(options)
    with progress.make(quiet=options.quiet) as shown:
        pipeline = Pipeline("cel", options.detector, settings, box, options.device, _cache(options))
        mouths = pipeline.mouth_chart(face, shown)
    write_chart(options.out, mouths, face.name)
    own = sum(mouth.source == "clip" for mouth in mouths)
    _say(options, f"{options.out}: {len(mouths)} mouths, {own} from the clip and {len(mouths) - own} "
                  "from the chart of shapes; contact_sheet.png shows all")  # fmt: skip
    return 0


def evaluate(options: argparse.Namespace) -> int:
    if options.list_metrics:
        for line in closing.metric_list():
            print(line)
        return 0
    if options.pairs is not None:
        return _evaluate_pairs(options)
    if options.source is None or options.output is None:
        raise ParameterError("give --source and --output, or a table of many with --pairs")
    from lipsync_lab import files, samples
    from lipsync_lab.evaluation import text
    from lipsync_lab.evaluation.evaluate import evaluate as evaluate_videos

    source, output = _clip(options.source, "--source"), _clip(options.output, "--output")
    voice = None if options.voice is None else _clip(options.voice, "--voice")
    _keep_inputs(options.out, source, output, voice, options.detections)
    with progress.make(quiet=options.quiet) as shown:
        done = evaluate_videos(
            source,
            output,
            voice=voice,
            detections=options.detections,
            alignment=_alignment(options, source, output),
            domain=options.domain,
            device=options.device,
            out=options.out,
            progress=shown,
        )
        page = _page_writer() if options.out else None
        if page is not None:
            shown("evaluate: page", 0, 1)
            page(options.out, done, source, output, voice=voice)
            shown("evaluate: page", 1, 1)
    digest = files.sha256(source)
    sample = next((name for name, known in samples.SAMPLES.items() if known.sha256 == digest), None)
    _say(options, text.domain(done.domain, options.domain, sample))
    if done.alignment is not None:
        _say(options, text.alignment(done.alignment))
    if done.region is not None:
        _say(options, text.region(done.region, len(done.frames)))
    print(done)
    if options.out:
        tables = "metrics.csv (the table above), frames.csv, failures.csv, evaluation.json"
        _say(options, f"{options.out}: {tables}" + (f"; open {options.out}/index.html in a browser" if page else ""))
    return 0


def _evaluate_pairs(options: argparse.Namespace) -> int:
    from lipsync_lab.evaluation import many

    single = ("source", "output", "voice", "detections", "domain", "offset", "loop", "source_box", "output_box")
    given = [f"--{name.replace('_', '-')}" for name in single if getattr(options, name) is not None]
    if given:
        raise ParameterError(f"--pairs and {', '.join(given)} exclude each other; the table's columns name the files")
    if not options.out:
        raise ParameterError("--pairs needs --out, a folder for the results")
    page = _page_writer()

    def finished(pair: many.Pair, evaluation, folder: Path) -> None:
        about = {name: pair.given[name] for name in pair.given if name not in (*many.FILES, "name", "domain")}
        page(folder, evaluation, pair.source, pair.output, voice=pair.voice, title=pair.name, about=about)

    with progress.make(quiet=options.quiet) as shown:
        table = many.evaluate_pairs(
            options.pairs,
            options.out,
            device=options.device,
            finished=None if page is None else finished,
            progress=shown,
        )
        failed = table[table["status"] == "failed"]
        shown.failed = len(failed)
    if page is not None:
        from lipsync_lab.reporting import evaluation_page

        evaluation_page.write_pairs(options.out, table)
    for row in failed.itertuples():
        print(f"lipsync_lab: pair {row.name} failed: {row.reason}", file=sys.stderr)
    index = Path(options.out) / ("index.html" if page is not None else many.TABLE)
    print(f"{index}: {len(table) - len(failed)} of {len(table)} pairs measured")
    return FAILED if len(failed) else 0


def _page_writer():
    """`evaluation_page.write`, or None, with a warning, where the packages that pages need are not installed."""
    try:
        extras.need("lab", "evaluate --out")
    except LipsyncError as error:
        _warn([f"no index.html is written: {error}"])
        return None
    from lipsync_lab.reporting import evaluation_page

    return evaluation_page.write


def _alignment(options: argparse.Namespace, source: Path, output: Path):
    """The alignment that the flags ask for; None where all of it is to be estimated."""
    from lipsync_lab.evaluation.alignment import align
    from lipsync_lab.geometry import Box
    from lipsync_lab.media.clip import open_clip

    boxes = {
        name: None if corners is None else Box(*corners)
        for name, corners in (("source_box", options.source_box), ("output_box", options.output_box))
    }
    given = {"offset": options.offset, "loop": options.loop, **boxes}
    if all(value is None for value in given.values()):
        return None
    return align(open_clip(source), open_clip(output), **given)


def _keep_inputs(out: str | None, *read: str | Path | None) -> None:
    """Refuse a folder for results in which one of the inputs has the name of a result."""
    if not out:
        return
    folder = Path(out).resolve()
    for path in filter(None, read):
        place = Path(path).resolve()
        if place == folder:
            raise ParameterError(f"--out {out}: is an input; name a folder for the tables")
        if place.parent == folder / "media":
            raise ParameterError(f"{path}: lies where --out {out} keeps its own copies; name another folder")


def blind(options: argparse.Namespace) -> int:
    from lipsync_lab.reporting import blind as comparison
    from lipsync_lab.runs import Run

    if options.answers:
        if options.key is None:
            raise ParameterError("--answers needs --key, the ab_key.json of the page")
        answers = comparison.read_answers(options.answers, options.key)
        if answers.empty:
            raise ParameterError("there are no answers in these files")
        result = comparison.preference(answers, min(answers.iloc[0][["preferred", "other"]]))
        print(
            f"{result.method} was preferred to {result.other} in {result.preferred} of {result.answers} answers "
            f"({result.share:.0%}{comparison.interval_text(result)})"
        )
        return 0
    if not (options.first and options.second and options.out):
        raise ParameterError("a page needs --first, --second and --out; to count answers give --answers and --key")
    pairs = comparison.pairs_of_runs(*([Run(Path(run)) for run in runs] for runs in (options.first, options.second)))
    page = comparison.write_page(options.out, pairs, tuple(options.methods), seed=options.seed)
    _say(options, f"{page}: {len(pairs)} pairs; keep {comparison.KEY} from the participants")
    return 0


def report(options: argparse.Namespace) -> int:
    extras.need("lab", "report")
    from lipsync_lab import reporting

    for name in options.generators or [None]:
        _check_models(argparse.Namespace(generator=name, detector=options.detector))
    if options.compare and options.preset:
        raise ParameterError("--preset and --compare exclude each other; name all presets after --compare")
    if options.compare and len(set(options.compare)) < max(2, len(options.compare)):
        raise ParameterError("--compare needs two or more different presets")
    compared = {name: _settings(options, None if name == flags.DEFAULT else name) for name in options.compare or ()}
    sides = {"": options.clips or [], "animation": options.animation, "live_action": options.live}
    clips = [clip for side in sides.values() for clip in side]
    domains = [domain for domain, side in sides.items() for _ in side] if options.animation or options.live else None
    with progress.make(quiet=options.quiet) as shown:
        done = reporting.report(
            options.out,
            clips or None,
            voices=options.voices,
            domains=domains,
            generators=options.generators,
            detector=options.detector,
            settings=compared or {options.preset or "": _settings(options, options.preset)},
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


def _box(options: argparse.Namespace):
    """The `Box` of --box, whose order is that of the published script; None where none is given."""
    from lipsync_lab.geometry import Box

    if options.box[0] == -1:
        return None
    box, other = Box.from_yyxx(options.box), Box(*options.box)
    meant = ""
    if other.width > 0 and other.height > 0:
        meant = f"; for x1, y1, x2, y2 = {', '.join(map(str, other))} give --box {flags.yyxx(other)}"
    given = f"--box {' '.join(map(str, options.box))}"
    if box.width <= 0 or box.height <= 0:
        raise ParameterError(f"{given} has no area: the order is {flags.CORNERS}{meant}")
    if meant and not 1 / 3 < box.width / box.height < 3 and 1 / 2 < other.width / other.height < 2:
        _warn([f"{given} is {box.width} pixels wide and {box.height} high: the order is {flags.CORNERS}{meant}"])
    return box


def _unused_rate(options: argparse.Namespace, fps: str, face: Path) -> list[str]:
    from fractions import Fraction

    own = Fraction(fps)
    if not hasattr(options, "fps") or own == Fraction(options.fps).limit_denominator(1001):
        return []
    return [f"--fps is the rate of a still picture, and {face} is a clip of {float(own):g} frames a second; "
            "--output-fps changes the rate of a clip"]  # fmt: skip


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
    path = samples.resolve_path(name, progress=True)
    if not path.exists():
        raise MediaError(f"{flag} {name}: no such file, and no sample of that name (`samples list` names the samples)")
    return path


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


def _warn(lines: list[str]) -> None:
    for line in lines:
        print(f"lipsync_lab: warning: {line}", file=sys.stderr)


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.quiet:
        print(line)
