"""``python -m lipsync_lab``: parses a command line and calls the command.

`dub` takes the flags of the published ``inference.py`` under their own names, so that a command line written for it
works; the flags of this project are spelled with hyphens. Old spellings are translated first (`renamed`).
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import signal
import sys
from collections.abc import Callable

import lipsync_lab
from lipsync_lab.cli import data, data_flags, flags, measure_flags, renamed, sweeping, training, use
from lipsync_lab.cli.use import FAILED
from lipsync_lab.errors import LipsyncError

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "main"]

#: Exit codes: the command cannot do what it was asked for; interrupted, as a shell counts it.
BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit code.

    An error is one line on stderr, with exit code 2; with ``--debug`` it is raised.
    """
    words, notes = renamed.translate(sys.argv[1:] if arguments is None else arguments)
    for note in notes:
        print(f"lipsync_lab: DeprecationWarning: {note}; the next release drops the old spelling", file=sys.stderr)
    options = _parsed(words)
    try:
        return options.call(options) or 0
    except LipsyncError as error:
        if options.debug:
            raise
        print(f"lipsync_lab: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # the reader of our output has closed it (`... | head`); the interpreter's flush at exit must not fail on it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if options.debug:
            raise
        if _is_shortage(error):
            return _out_of_memory()
        where = error.filename2 or error.filename or "stdout"  # an error without a name is one of printing
        print(f"lipsync_lab: {where}: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as error:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("lipsync_lab: interrupted; nothing half-written was left behind", file=sys.stderr)
        return 128 + getattr(error, "number", signal.SIGINT)
    except Exception as error:
        if options.debug or not _is_shortage(error):
            raise
        return _out_of_memory()


def _out_of_memory() -> int:
    print(
        "lipsync_lab: out of memory; try a smaller --face_det_batch_size and --wav2lip_batch_size, a larger "
        "--resize_factor, or a shorter clip",
        file=sys.stderr,
    )
    return BAD_INPUT


def _is_shortage(error: Exception) -> bool:
    """Whether memory ran out: torch, OpenCV, FFmpeg and the loader of libraries have errors of their own for it."""
    words, text = ("allocate memory", "out of memory", "failed to map segment", "can't start new thread"), str(error)
    no_thread = isinstance(error, BlockingIOError) and type(error).__module__.startswith("av.")
    return isinstance(error, MemoryError) or no_thread or any(each in text.lower() for each in words)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line: the usage of a command with forty flags hides what is wrong."""

    def error(self, message: str):
        self.exit(BAD_INPUT, f"{self.prog}: error: {message}; `{self.prog} --help` lists what there is\n")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show where an error was raised")
    parser.add_argument(
        "--quiet", action="store_true", help="no progress and no closing lines; warnings and errors are still shown"
    )


def _parsed(words: list[str]) -> argparse.Namespace:
    """The options of a command line; an unknown flag ends it with the nearest flag of its command."""
    parser = _parser()
    options, unknown = parser.parse_known_args(words)
    if unknown:
        flag = next((word for word in unknown if word.startswith("--")), unknown[0])
        near = difflib.get_close_matches(flag.partition("=")[0], options.parser._option_string_actions, 1, 0.7)
        hint = f"; did you mean {near[0]}?" if near else f"; `{options.parser.prog} --help` lists what there is"
        options.parser.exit(BAD_INPUT, f"{options.parser.prog}: error: {flag} is not known here{hint}\n")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lipsync_lab",
        usage="%(prog)s [-h] [--version] COMMAND ...",
        description="Dub a clip with Wav2Lip, and measure where the result fails.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=lipsync_lab.__version__)
    # the commands are listed in groups below the options, which argparse cannot do by itself
    commands = parser.add_subparsers(prog=parser.prog, required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    lines = []

    def group(title: str) -> None:
        lines.append(f"\n{title}:" if lines else f"{title}:")

    def command(name: str, summary: str, call: Callable | None = None) -> argparse.ArgumentParser:
        lines.append(f"  {name:12}{summary}")
        added = commands.add_parser(name, description=summary, allow_abbrev=False)
        added.set_defaults(parser=added)
        if call is not None:
            added.set_defaults(call=call)
            _common(added)
        return added

    group("use")
    flags.dub(command("dub", "Dub a clip with a voice.", use.dub))
    flags.detect(command("detect", "Detect the face in every frame, and write detections.json.", use.detect))
    flags.mouths(command("mouths", "Write which mouth shape a voice needs at which time.", use.mouths))
    flags.chart(command("chart", "Write the mouths of a clip as pictures, for an animator to edit.", use.chart))
    measure_flags.evaluate(command("evaluate", "Measure a dubbed video against its source.", use.evaluate))
    flags.report(
        command("report", "Dub and evaluate clips, run the notebooks on them, and write a report.", use.report)
    )
    sweeping.flags(
        command("sweep", "Dub and evaluate many combinations, here or on a cluster; resumable.", sweeping.sweep)
    )
    measure_flags.blind(
        command("blind", "Write a blind comparison of two methods' runs, or count its answers.", use.blind)
    )
    group("data")
    data_flags.samples(
        command("samples", "List the sample clips and voices, fetch one, or print its path.", data.samples)
    )
    data_flags.weights(command("weights", "List the models, fetch one, or verify their hashes.", data.weights))
    data_flags.synthesize(
        command("synthesize", "Write a synthetic clip of a speaking character, with ground truth.", data.synthesize)
    )
    group("training")
    names = ", ".join(training.COMMANDS)
    training.add(command("train", f"Train models: {names}."), _common)

    lines.append("\n`COMMAND --help` lists the flags of a command.")
    parser.epilog = "\n".join(lines)
    return parser
