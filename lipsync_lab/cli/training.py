"""The commands of training: `train render`, `preprocess`, `fit`, `benchmark` and `export`, and their flags.

Each flag has the name of the parameter of `training.tasks` that it gives.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lipsync_lab import files, progress, renamed
from lipsync_lab.cli import extras
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.progress import Progress
from lipsync_lab.training import tasks


def add(group: argparse.ArgumentParser, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the commands to the parser of `train`; `common` adds the flags of every command."""
    commands = group.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, (summary, add_flags, _) in COMMANDS.items():
        parser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        parser.set_defaults(call=partial(_run, name), parser=parser)
        common(parser)
        add_flags(parser.add_argument)


def _run(name: str, options: argparse.Namespace) -> int:
    extras.need("train", f"train {name}")
    given = {key: value for key, value in vars(options).items() if key not in ("call", "parser", "debug", "quiet")}
    with progress.make(quiet=options.quiet) as shown:
        COMMANDS[name][2](given, shown)
    if name == "fit":
        _draw_curves(Path(options.out), options.kind)
    return 0


def _recipe_flag(add: Callable) -> None:
    add("--recipe", default="small-cpu", help="small-cpu or gpu (small-cpu)")


def _render_flags(add: Callable) -> None:
    add("--data", required=True, metavar="FOLDER", help="folder for the shards, in train/ and validation/")
    _recipe_flag(add)
    add(
        "--what",
        nargs="+",
        choices=("faces", "twins", "frames", "hard", "voices", "mouths"),
        default=("faces", "frames"),
        help="faces and frames if not given; twins: pairs of clips that differ only by their lines, for the restorer; "
        "hard: further frames for the detector, with things that are no face and with western characters; "
        "voices are for the viseme network, mouths for the mouth locator",
    )
    add("--shards", type=int, help="number of training shards, instead of the recipe's")
    add("--first", type=int, default=0, metavar="NUMBER", help="number of the first training shard (0)")
    add("--workers", type=int, default=1, help="processes (1)")
    add("--recordings", metavar="FOLDER", help="voices of some characters: GRID clips with .align files")
    add("--flite-lines", type=int, default=0, metavar="LINES", help="voices: lines of the program flite besides (0)")
    add("--texts", metavar="FILE", help="voices: table of sound, voice (of espeak-ng) and text: recordings besides")


def _render(given: dict[str, Any], progress: Progress | None) -> None:
    tasks.render(**given, progress=progress)


def _preprocess_flags(add: Callable) -> None:
    add("clips", nargs="*", metavar="CLIP", help="videos, or folders of them; none if --out contains crops already")
    add("--out", required=True, metavar="FOLDER", help="crops in the published layout: <clip>/<shot>/<frame>.jpg")
    add("--data", metavar="FOLDER", help="pack them into shards in this folder")
    add("--detector", metavar="MODEL", help="as for `dub`")
    add("--step", type=int, default=1, metavar="FRAMES", help="detect in each n-th frame, interpolate between (1)")
    add("--threshold", type=float, default=0.5, help="score that a face must exceed (0.5)")
    add("--pads", nargs=4, type=int, default=(0, 10, 0, 0), metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"))
    add("--device", default="cpu", help="where the detector runs (cpu)")


def _preprocess(given: dict[str, Any], progress: Progress | None) -> None:
    tasks.preprocess(**given | {"pads": tuple(given["pads"])}, progress=progress)


def _fit_flags(add: Callable) -> None:
    add("kind", type=renamed.model, choices=tasks.TRAINED, help="kind of model")
    add("--data", required=True, metavar="FOLDER", help="folder with shards in train/ and validation/; see `render`")
    add("--out", required=True, metavar="FOLDER", help="folder of the run; an unfinished run continues")
    _recipe_flag(add)
    add("--sync-expert", metavar="MODEL", help="for the generator: run's folder, file or name")
    add("--generator", metavar="MODEL", help="for discriminator and restorer: run's folder, file or name")
    add("--discriminator", metavar="MODEL", help="for generator and restorer: initial weights of its discriminator")
    add("--weights", metavar="MODEL", help="initial weights instead of random ones: run's folder, file or name")
    add("--device", default="cpu", help="cpu or cuda (cpu)")
    add("--precision", default="auto", choices=("auto", "bf16", "fp32"), help="auto: bf16 where the hardware has it")
    add("--minutes", type=float, help="stop after this time; the same command continues")
    add("--set", nargs="+", type=_number, default=(), metavar="NAME=VALUE", help="change numbers of the recipe")


def _fit(given: dict[str, Any], progress: Progress | None) -> None:
    changes = dict(given.pop("set"))
    if clash := sorted(changes.keys() & given.keys()):
        raise ParameterError(f"{', '.join(clash)} is a flag, and no number of a recipe")
    with files.only_writer(given["out"], "training"):
        print(tasks.fit(**given, progress=progress, **changes))


def _number(text: str) -> tuple[str, float]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    try:
        return renamed.RECIPE.get(name, name), int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} is not a number") from None


def _draw_curves(run: Path, title: str) -> None:
    """Draw the log of a training beside it, unless the training stopped before the first row."""
    import pandas as pd

    if (run / "log.csv").is_file():
        import matplotlib.pyplot as plt

        from lipsync_lab import figures

        axes = figures.training_curves(pd.read_csv(run / "log.csv"), title)
        axes.figure.savefig(run / "curve.png")
        plt.close(axes.figure)
        print(run / "curve.png")


def _benchmark_flags(add: Callable) -> None:
    add("kind", type=renamed.model, choices=tasks.TRAINED, help="kind of model")
    add("weights", metavar="MODEL", help="run's folder, file or name")
    add("--data", required=True, metavar="FOLDER", help="folder with shards in validation/")
    add("--out", metavar="NUMBERS.json", help="file for the numbers, which are also printed")
    _recipe_flag(add)
    add("--mouth-openness", metavar="MODEL", help="for the generator: regressor of its mouths (mouth-openness-lab)")
    add("--sync-expert", metavar="MODEL", help="for the generator: also measure sync")
    add("--generator", metavar="MODEL", help="for discriminator and restorer: source of generated faces")
    add(
        "--clips",
        nargs="+",
        default=(),
        metavar="CLIP",
        help="in which to count detections, or to locate marked mouths",
    )
    add("--boxes", metavar="BOXES", help="recorded boxes, or marked mouths, of these clips")
    add("--tiles", metavar="BOXES.json", help="faces of a picture of tiles that lies beside this file")
    add("--step", type=int, default=1, metavar="FRAMES", help="measure each n-th frame of the clips (1)")
    add("--device", default="cpu", help="cpu or cuda (cpu)")


def _benchmark(given: dict[str, Any], progress: Progress | None) -> None:
    from lipsync_lab.training.benchmark import missed_targets

    out = given.pop("out")
    numbers = tasks.benchmark(**given, progress=progress)
    if out:
        known = {name: None if value != value else value for name, value in numbers.items()}  # JSON has no NaN
        files.write_text(out, json.dumps(known, indent=1) + "\n")
    for name, value in numbers.items():
        print(f"{name}: {value:.4g}")
    for missed in missed_targets(given["kind"], numbers):
        print(f"missed: {missed}")


def _export_flags(add: Callable) -> None:
    add("run", metavar="FOLDER", help="folder of the run")
    add("--out", default="checkpoints", metavar="FOLDER", help="folder for the weights and the card (checkpoints)")
    add("--name", required=True, help="name of the model, such as wav2lip-lab")
    add("--numbers", metavar="NUMBERS.json", help="numbers that `train benchmark --out` wrote")
    known = "animation, synthetic_photo, live_action, recording, textures (animation synthetic_photo)"
    add("--materials", nargs="+", default=("animation", "synthetic_photo"), help=known)
    add("--hardware", default="", metavar="TEXT", help="hardware of the training, such as 2 cores of an EPYC")
    add("--limits", default="", metavar="TEXT", help="limits of the model, in sentences")
    add("--network", help="kind of a network that was trained beside the model")


def _export(given: dict[str, Any], progress: Progress | None) -> None:
    from lipsync_lab.training.export import export

    path, numbers = given.pop("numbers"), {}
    if path:
        try:
            read = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MediaError(
                f"{path}: cannot be read as numbers ({error}); write them with `train benchmark --out`"
            ) from None
        numbers = {name: float("nan") if value is None else value for name, value in read.items()}
    exported = export(**given | {"materials": tuple(given["materials"])}, numbers=numbers)
    print(f"{exported.path}\n{exported.card}\na row for checkpoints/models.csv: {exported.row}")


#: Name of each command -> its summary, the function that adds its flags, and the function that runs it with the values
#: of the flags.
COMMANDS = {
    "render": ("Render synthetic faces and frames for training.", _render_flags, _render),
    "preprocess": ("Crop faces from clips, into the published layout.", _preprocess_flags, _preprocess),
    "fit": ("Train a model.", _fit_flags, _fit),
    "benchmark": ("Measure a model on held-out material.", _benchmark_flags, _benchmark),
    "export": ("Write a trained model and its model card.", _export_flags, _export),
}
