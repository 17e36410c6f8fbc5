"""The command line of training: `render`, `preprocess`, `train`, `evaluate` and `export`, and their flags."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync_lab import files
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.progress import Progress
from lipsync_lab.training import tasks
from lipsync_lab.training.tasks import TRAINED


@dataclass(frozen=True)
class Command:
    """One command: `summary` for the help, `add_arguments(parser)`, and `run(options, progress) -> exit code`."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Progress], int]


def _value(text: str) -> tuple[str, float]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    try:
        return name, int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} is not a number") from None


def _render_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="FOLDER", help="shards go into train/ and validation/ in it")
    _recipe_flag(add)
    add("--what", nargs="+", choices=("faces", "frames"), default=("faces", "frames"), help="both if not given")
    add("--shards", type=int, help="how many for training, instead of the recipe's number")
    add("--first", type=int, default=0, metavar="NUMBER", help="of the first for training (0)")
    add("--workers", type=int, default=1, help="processes (1)")
    add("--recordings", metavar="FOLDER", help="voices for some characters: GRID clips with their .align files")


def _render(options: argparse.Namespace, progress: Progress) -> int:
    names = ("recipe", "what", "shards", "first", "workers", "recordings")
    tasks.render(options.data, **{name: getattr(options, name) for name in names}, progress=progress)
    return 0


def _preprocess_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("clips", nargs="*", metavar="CLIP", help="videos, or folders of them; none if --out has crops already")
    add("--out", required=True, metavar="FOLDER", help="crops in the published layout: <clip>/<shot>/<frame>.jpg")
    add("--data", metavar="FOLDER", help="also pack them into shards there")
    add("--detector", metavar="MODEL", help="as for `dub`")
    add("--every", type=int, default=1, metavar="FRAMES", help="look at one frame in so many, go straight between (1)")
    add("--threshold", type=float, default=0.5, help="score that a face must exceed (0.5)")
    add("--pads", nargs=4, type=int, default=(0, 10, 0, 0), metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"))
    add("--device", default="cpu", help="where the detector runs (cpu)")


def _preprocess(options: argparse.Namespace, progress: Progress) -> int:
    names = ("data", "detector", "every", "threshold", "device")
    given = {name: getattr(options, name) for name in names}
    tasks.preprocess(options.clips, options.out, **given, pads=tuple(options.pads), progress=progress)
    return 0


def _train_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", choices=TRAINED)
    add("--data", required=True, metavar="FOLDER", help="with shards in train/ and validation/; see `render`")
    add("--out", required=True, metavar="FOLDER", help="of the run: log.csv, state.pt; a run begun there goes on")
    _recipe_flag(add)
    add("--expert", metavar="MODEL", help="for the generator: run's folder, file or name")
    add("--generator", metavar="MODEL", help="for quality: run's folder, file or name")
    add("--weights", metavar="MODEL", help="begin with these instead of random ones: run's folder, file or name")
    add("--device", default="cpu", help="cpu or cuda (cpu)")
    add("--precision", default="auto", choices=("auto", "bf16", "fp32"), help="auto: bf16 where it is quick")
    add("--minutes", type=float, help="stop after so long; the same command goes on")
    add("--set", nargs="+", type=_value, default=(), metavar="NAME=VALUE", help="other numbers than the recipe's")


def _train(options: argparse.Namespace, progress: Progress) -> int:
    names = ("recipe", "expert", "generator", "weights", "device", "precision", "minutes")
    given = {name: getattr(options, name) for name in names}
    clash = sorted(set(given) & {name for name, _ in options.set})
    if clash:
        raise ParameterError(f"{', '.join(clash)} is a flag of its own, and no number of a recipe")
    print(tasks.train(options.what, options.data, options.out, **given, progress=progress, **dict(options.set)))
    return 0


def _evaluate_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", choices=TRAINED)
    add("weights", metavar="MODEL", help="run's folder, file or name")
    add("--data", required=True, metavar="FOLDER", help="with shards in validation/")
    add("--out", metavar="NUMBERS.json", help="where the numbers go; on the screen in any case")
    _recipe_flag(add)
    add("--reader", metavar="MODEL", help="for the generator: reads its mouths (reader-lab)")
    add("--expert", metavar="MODEL", help="for the generator: judges it too")
    add("--generator", metavar="MODEL", help="for quality")
    add("--clips", nargs="+", default=(), metavar="CLIP", help="for the detector: clips to count finds in")
    add("--boxes", metavar="BOXES.json", help="faces recorded in these clips")
    add("--tiles", metavar="BOXES.json", help="faces of a picture of tiles that lies beside it")
    add("--step", type=int, default=1, metavar="FRAMES", help="look at one frame of the clips in so many (1)")
    add("--device", default="cpu", help="cpu or cuda (cpu)")


def _evaluate(options: argparse.Namespace, progress: Progress) -> int:
    from lipsync_lab.training.benchmark import missed_bars

    names = ("recipe", "reader", "expert", "generator", "clips", "boxes", "tiles", "step", "device")
    given = {name: getattr(options, name) for name in names}
    numbers = tasks.evaluate(options.what, options.weights, options.data, **given, progress=progress)
    if options.out:
        _write_numbers(options.out, numbers)
    for name, value in numbers.items():
        print(f"{name}: {value:.4g}")
    for missed in missed_bars(options.what, numbers):
        print(f"missed: {missed}")
    return 0


def _write_numbers(path: str | Path, numbers: Mapping[str, float]) -> None:
    # NaN is no JSON: what is unknown is null
    known = {name: None if value != value else value for name, value in numbers.items()}
    files.write_text(path, json.dumps(known, indent=1) + "\n")


def _export_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="FOLDER", help="of the training")
    add("--out", default="checkpoints", metavar="FOLDER", help="where weights and card go (checkpoints)")
    add("--name", required=True, help="of the model, such as wav2lip-lab")
    add("--numbers", metavar="NUMBERS.json", help="of `evaluate`")
    add("--materials", nargs="+", default=("drawn", "photograph"), help="drawn, photograph, film, recording, textures")
    add("--on", default="", metavar="TEXT", help="what it was trained on, such as 2 cores of an EPYC")
    add("--limits", default="", metavar="TEXT", help="what the model cannot do")
    add("--network", help="another network of the run than the one that it was for")


def _export(options: argparse.Namespace, progress: Progress) -> int:
    from lipsync_lab.training.export import export

    numbers: dict[str, Any] = {}
    if options.numbers:
        try:
            read = json.loads(Path(options.numbers).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MediaError(f"{options.numbers}: is no file of numbers ({error}); write one by `evaluate`") from None
        numbers = {name: float("nan") if value is None else value for name, value in read.items()}
    done = export(
        options.run,
        options.out,
        options.name,
        numbers=numbers,
        materials=tuple(options.materials),
        device=options.on,
        limits=options.limits,
        network=options.network,
    )
    print(f"{done.path}\n{done.card}\na row for checkpoints/models.csv: {done.row}")
    return 0


def _recipe_flag(add: Callable) -> None:
    add("--recipe", default="small-cpu", help="small-cpu or gpu (small-cpu)")


#: The commands of `python -m lipsync_lab train`.
COMMANDS = {
    "render": Command("Render drawn faces and frames to train on.", _render_flags, _render),
    "preprocess": Command("Cut faces out of clips, into the published layout.", _preprocess_flags, _preprocess),
    "fit": Command("Train a detector, expert, generator, discriminator or reader.", _train_flags, _train),
    "benchmark": Command("Measure a model on held-out material.", _evaluate_flags, _evaluate),
    "export": Command("Write a trained model and its card.", _export_flags, _export),
}
