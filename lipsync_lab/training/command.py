"""The command line of training: `render`, `preprocess`, `fit`, `benchmark` and `export`, and their flags."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync_lab import files, renamed
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.progress import Progress
from lipsync_lab.training import tasks
from lipsync_lab.training.tasks import TRAINED


@dataclass(frozen=True)
class Command:
    """A command: `summary` for the help, `add_arguments(parser)`, and `run(options, progress) -> exit code`."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Progress | None], int]


def _number(text: str) -> tuple[str, float]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    try:
        return renamed.RECIPE.get(name, name), int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} is not a number") from None


def _domain(name: str) -> str:
    return renamed.DOMAINS.get(name, name)


def _render_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="FOLDER", help="of the shards, which go into train/ and validation/")
    _recipe_flag(add)
    add("--what", nargs="+", choices=("faces", "frames"), default=("faces", "frames"), help="both if not given")
    add("--shards", type=int, help="number of training shards, instead of the recipe's")
    add("--first", type=int, default=0, metavar="NUMBER", help="of the first training shard (0)")
    add("--workers", type=int, default=1, help="processes (1)")
    add("--recordings", metavar="FOLDER", help="voices of some characters: GRID clips with .align files")


def _render(options: argparse.Namespace, progress: Progress) -> int:
    names = ("recipe", "what", "shards", "first", "workers", "recordings")
    tasks.render(options.data, **{name: getattr(options, name) for name in names}, progress=progress)
    return 0


def _preprocess_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("clips", nargs="*", metavar="CLIP", help="videos, or folders of them; none if --out contains crops already")
    add("--out", required=True, metavar="FOLDER", help="crops in the published layout: <clip>/<shot>/<frame>.jpg")
    add("--data", metavar="FOLDER", help="pack them into shards in this folder")
    add("--detector", metavar="MODEL", help="as for `dub`")
    add("--step", type=int, default=1, metavar="FRAMES", help="detect in each n-th frame, interpolate between (1)")
    add("--threshold", type=float, default=0.5, help="score that a face must exceed (0.5)")
    add("--pads", nargs=4, type=int, default=(0, 10, 0, 0), metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"))
    add("--device", default="cpu", help="where the detector runs (cpu)")


def _preprocess(options: argparse.Namespace, progress: Progress) -> int:
    names = ("data", "detector", "step", "threshold", "device")
    given = {name: getattr(options, name) for name in names}
    tasks.preprocess(options.clips, options.out, **given, pads=tuple(options.pads), progress=progress)
    return 0


def _fit_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", type=renamed.model, choices=TRAINED, help="kind of model")
    add("--data", required=True, metavar="FOLDER", help="with shards in train/ and validation/; see `render`")
    add("--out", required=True, metavar="FOLDER", help="of the run: log.csv, state.pt; an unfinished run continues")
    _recipe_flag(add)
    add("--sync-expert", metavar="MODEL", help="for the generator: run's folder, file or name")
    add("--generator", metavar="MODEL", help="for the discriminator: run's folder, file or name")
    add("--weights", metavar="MODEL", help="initial weights instead of random ones: run's folder, file or name")
    add("--device", default="cpu", help="cpu or cuda (cpu)")
    add("--precision", default="auto", choices=("auto", "bf16", "fp32"), help="auto: bf16 where the hardware has it")
    add("--minutes", type=float, help="stop after this time; the same command continues")
    add("--set", nargs="+", type=_number, default=(), metavar="NAME=VALUE", help="change numbers of the recipe")


def _fit(options: argparse.Namespace, progress: Progress) -> int:
    names = ("recipe", "sync_expert", "generator", "weights", "device", "precision", "minutes")
    given = {name: getattr(options, name) for name in names}
    clash = sorted(set(given) & {name for name, _ in options.set})
    if clash:
        raise ParameterError(f"{', '.join(clash)} is a flag, and no number of a recipe")
    print(tasks.fit(options.what, options.data, options.out, **given, progress=progress, **dict(options.set)))
    return 0


def _benchmark_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", type=renamed.model, choices=TRAINED, help="kind of model")
    add("weights", metavar="MODEL", help="run's folder, file or name")
    add("--data", required=True, metavar="FOLDER", help="with shards in validation/")
    add("--out", metavar="NUMBERS.json", help="file for the numbers, which are also printed")
    _recipe_flag(add)
    add("--mouth-openness", metavar="MODEL", help="for the generator: regressor of its mouths (mouth-openness-lab)")
    add("--sync-expert", metavar="MODEL", help="for the generator: also measure sync")
    add("--generator", metavar="MODEL", help="for the discriminator: source of generated faces")
    add("--clips", nargs="+", default=(), metavar="CLIP", help="for the detector: clips in which to count detections")
    add("--boxes", metavar="BOXES.json", help="recorded boxes of these clips")
    add("--tiles", metavar="BOXES.json", help="faces of a picture of tiles that lies beside this file")
    add("--step", type=int, default=1, metavar="FRAMES", help="measure each n-th frame of the clips (1)")
    add("--device", default="cpu", help="cpu or cuda (cpu)")


def _benchmark(options: argparse.Namespace, progress: Progress) -> int:
    from lipsync_lab.training.benchmark import missed_targets

    names = ("recipe", "mouth_openness", "sync_expert", "generator", "clips", "boxes", "tiles", "step", "device")
    given = {name: getattr(options, name) for name in names}
    numbers = tasks.benchmark(options.what, options.weights, options.data, **given, progress=progress)
    if options.out:
        _write_numbers(options.out, numbers)
    for name, value in numbers.items():
        print(f"{name}: {value:.4g}")
    for missed in missed_targets(options.what, numbers):
        print(f"missed: {missed}")
    return 0


def _write_numbers(path: str | Path, numbers: Mapping[str, float]) -> None:
    known = {name: None if value != value else value for name, value in numbers.items()}  # JSON has no NaN
    files.write_text(path, json.dumps(known, indent=1) + "\n")


def _export_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="FOLDER", help="of the run")
    add("--out", default="checkpoints", metavar="FOLDER", help="for the weights and the card (checkpoints)")
    add("--name", required=True, help="of the model, such as wav2lip-lab")
    add("--numbers", metavar="NUMBERS.json", help="of `train benchmark`")
    materials = ("animation", "synthetic_photo")
    known = "animation, synthetic_photo, live_action, recording, textures"
    add("--materials", nargs="+", type=_domain, default=materials, help=known)
    add("--on", default="", metavar="TEXT", help="the hardware of the training, such as 2 cores of an EPYC")
    add("--limits", default="", metavar="TEXT", help="limits of the model, in sentences")
    add("--network", help="kind of a network that was trained beside the model")


def _export(options: argparse.Namespace, progress: Progress) -> int:
    from lipsync_lab.training.export import export

    numbers: dict[str, Any] = {}
    if options.numbers:
        try:
            read = json.loads(Path(options.numbers).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MediaError(
                f"{options.numbers}: cannot be read as numbers ({error}); write them with `train benchmark --out`"
            ) from None
        numbers = {name: float("nan") if value is None else value for name, value in read.items()}
    exported = export(
        options.run,
        options.out,
        options.name,
        numbers=numbers,
        materials=tuple(options.materials),
        device=options.on,
        limits=options.limits,
        network=options.network,
    )
    print(f"{exported.path}\n{exported.card}\na row for checkpoints/models.csv: {exported.row}")
    return 0


def _recipe_flag(add: Callable) -> None:
    add("--recipe", default="small-cpu", help="small-cpu or gpu (small-cpu)")


#: The commands of `python -m lipsync_lab train`.
COMMANDS = {
    "render": Command("Render synthetic faces and frames for training.", _render_flags, _render),
    "preprocess": Command("Crop faces from clips, into the published layout.", _preprocess_flags, _preprocess),
    "fit": Command("Train a model.", _fit_flags, _fit),
    "benchmark": Command("Measure a model on held-out material.", _benchmark_flags, _benchmark),
    "export": Command("Write a trained model and its model card.", _export_flags, _export),
}
