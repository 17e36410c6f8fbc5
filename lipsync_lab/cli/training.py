"""The commands of training: `train render`, `preprocess`, `fit`, `benchmark` and `export`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lipsync_lab import progress
from lipsync_lab.cli import extras
from lipsync_lab.training import command

#: The commands by name.
COMMANDS = command.COMMANDS


def add(group: argparse.ArgumentParser, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the commands to the parser of `train`; `common` adds the flags of every command."""
    commands = group.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, task in COMMANDS.items():
        parser = commands.add_parser(name, help=task.summary, description=task.summary)
        parser.set_defaults(call=partial(_run, name, task))
        common(parser)
        task.add_arguments(parser)


def _run(name: str, task: command.Command, options: argparse.Namespace) -> int:
    extras.need("train", f"train {name}")
    with progress.make(quiet=options.quiet) as shown:
        code = task.run(options, shown)
    if name == "fit":
        _draw_curves(Path(options.out), options.what)
    return code


def _draw_curves(run: Path, title: str) -> None:
    """Draw the log of a training beside it, unless the training stopped before the first row."""
    import pandas as pd

    if (run / "log.csv").is_file():
        import matplotlib.pyplot as plt

        from lipsync_lab import figures

        axes = figures.training(pd.read_csv(run / "log.csv"), title)
        axes.figure.savefig(run / "curve.png")
        plt.close(axes.figure)
        print(run / "curve.png")
