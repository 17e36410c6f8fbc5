"""SIGINT and SIGTERM at random moments of dub, evaluate, train, sweep, report: one line, its exit code, nothing left?

    python benchmarks/interrupt.py --out FOLDER [--commands report sweep ...] [--signals 10] [--seed 1]

The calls and their folders are those of `kill.py`. Each signal goes to the whole process group, as a terminal's Ctrl-C
does, at a random share of the processor time that a call needs, the imports left out. It is counted whether the exit
code is 128 and the signal's number, whether stderr holds the line of an interruption and nothing else, whether a
private file or folder is left, and whether a process goes on 10 s later.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import cv2
import kill

from lipsync_lab import __main__ as entry
from lipsync_lab import cli, files
from lipsync_lab.cli import use

LINE = "lipsync_lab: interrupted; nothing half-written was left behind"


def call_of(command: kill.Command):
    """The call as the console script does it, with its handlers of signals."""

    def call() -> int:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
        main, use.report = cli.main, lambda options: command.call()
        whole = command.call if command.call is not kill.call_report else lambda: main(["report", "--out", "out"])
        cli.main = lambda words=None: whole() if words is None else main(words)
        return entry.run()

    return call


def tried(name: str, command: kill.Command, out: Path, count: int, seed: int) -> int:
    """Interrupt a command so often; the number of faults."""
    home, rng, log, faults, sent = out / name, random.Random(f"{seed} {name}"), out / "log.txt", 0, 0
    if command.warm:
        kill.fresh(home, command)
        with contextlib.chdir(home):
            command.call()
    kill.fresh(home, command)
    code, needed = kill.finish(kill.start(home, command.call))
    if code:
        sys.exit(f"{name}: an uninterrupted call ended with code {code}; see {log}")
    while sent < count:
        kill.fresh(home, command)
        log.unlink(missing_ok=True)
        number, moment = (signal.SIGINT, signal.SIGTERM)[sent % 2], rng.uniform(0.02, 1) * needed
        pid = kill.start(home, call_of(command))
        ended = 0
        while kill.seconds(pid) < moment and not ended:
            ended, status = os.waitpid(pid, os.WNOHANG)
            time.sleep(0.003)
        if ended:
            continue  # it was complete before that moment
        os.killpg(pid, number)
        _, status = os.waitpid(pid, 0)
        code, text = os.waitstatus_to_exitcode(status), log.read_text(errors="replace").strip()
        if code == 0:
            continue  # as before
        sent += 1
        private = [path.name for path in home.rglob("*") if files.is_private(path)]
        problems = {
            "exit code": code if code != 128 + number else None,
            "stderr": text if text.splitlines()[-1:] != [LINE] or "Traceback" in text else None,
            "left": private,
            "processes": kill.still_running(home),
        }
        if bad := {what: value for what, value in problems.items() if value}:
            faults += 1
            print(f"{name}: {number.name} at {moment:.2f} of {needed:.2f} s: {bad}", flush=True)
    print(f"{name}: {sent} signals, {faults} faults", flush=True)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for the trials")
    parser.add_argument("--commands", nargs="+", choices=kill.COMMANDS, default=list(kill.COMMANDS))
    parser.add_argument("--signals", type=int, default=10, help="to each command (10)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in kill.IMPORTED:
        importlib.import_module(name)
    cv2.setNumThreads(1)
    sys.exit(any([tried(name, kill.COMMANDS[name], out, options.signals, options.seed) for name in options.commands]))


if __name__ == "__main__":
    main()
