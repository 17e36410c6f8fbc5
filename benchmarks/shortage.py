"""A full disk, a read-only disk, too little memory: is each one line and an exit code, and is nothing half-written?

    sudo python benchmarks/shortage.py --out FOLDER [--commands dub evaluate train sweep report]

Each command of the kill trial (`kill.py`) works in a small file system of its own (tmpfs, which only root can mount),
the folder for temporary files included: with room for a share of what a whole call writes, read-only, and with so many
MB of address space beyond those of the process that forks. What stands at a final name afterwards must be what stood
there before, or what a whole call writes there.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import kill

from lipsync_lab import cli
from lipsync_lab.cli import use

#: Shares of what a whole call writes for which there is room; MB that it may map.
SHARES, MEGABYTES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), (0, 2, 8, 32, 128, 512)


@contextlib.contextmanager
def disk(home: Path) -> Iterator[None]:
    """A file system in memory."""
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", home], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)
        home.rmdir()


def line(call) -> int:
    """The call, with its errors in one line as the command line has them."""
    use.report = lambda options: call()
    return cli.main(["report", "--out", "out"]) if call is kill.call_report else call()


def used(home: Path) -> int:
    state = os.statvfs(home)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def mapped() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limited(call, memory: int):
    """The call with a limit of the address space."""

    def limit() -> int:
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))
        return line(call)

    return limit


def outcome(home: Path, call, wanted: dict[str, str], before: dict[str, str]) -> str:
    """What a call with a shortage did."""
    log = home.parent / "log.txt"
    log.unlink(missing_ok=True)
    code, _ = kill.finish(kill.start(home, call))
    text = log.read_text(errors="replace").strip().splitlines()
    after = kill.tree(home)
    bad = [name for name, content in after.items() if content not in (before.get(name), wanted.get(name), "any")]
    other = [name for name in bad if name in wanted and wanted[name] != "any"]
    left = [name for name in bad if name not in wanted]
    lost = [name for name in before if name not in after]
    trace = any("Traceback" in row for row in text)
    words = f"exit {code}, {len(text)} lines{', TRACEBACK' if trace else ''}; torn {other}, left {left}, lost {lost}"
    return f"{words}\n        {text[-1][:200] if text else ''}"


def tried(name: str, command: kill.Command, home: Path) -> None:
    with disk(home):
        (home / "tmp").mkdir()
        code, _ = kill.finish(kill.start(home, lambda: command.begin(home) or 0))
        if code:
            sys.exit(f"{name}: the inputs could not be made; see {home.parent / 'log.txt'}")
        inputs = home.with_name(f"{name} inputs")
        subprocess.run(["rm", "-rf", inputs], check=True)
        subprocess.run(["cp", "-a", home, inputs], check=True)
        begun = used(home)
        code, _ = kill.finish(kill.start(home, lambda: line(command.call)))
        first, needed = kill.tree(home), used(home) - begun
        for path in list(home.iterdir()):
            subprocess.run(["rm", "-rf", path], check=True)
        subprocess.run(["cp", "-a", f"{inputs}/.", home], check=True)
        kill.finish(kill.start(home, lambda: line(command.call)))
        wanted = {name: content if first.get(name) == content else "any" for name, content in kill.tree(home).items()}
    print(f"{name}: a whole call ends with {code} and writes {needed / 1e3:.0f} kB", flush=True)
    call = lambda: line(command.call)  # noqa: E731
    for share in SHARES:
        with disk(home):
            subprocess.run(["cp", "-a", f"{inputs}/.", home], check=True)
            room = os.statvfs(home)
            with (home / "ballast").open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, room.f_bavail * room.f_frsize - int(share * needed) - 4096)
            before = kill.tree(home)
            print(f"  full, {share:.0%} of it left: {outcome(home, call, wanted, before)}", flush=True)
    with disk(home):
        subprocess.run(["cp", "-a", f"{inputs}/.", home], check=True)
        before = kill.tree(home)
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)
        print(f"  read-only: {outcome(home, call, wanted, before)}", flush=True)
    for more in MEGABYTES:
        with disk(home):
            subprocess.run(["cp", "-a", f"{inputs}/.", home], check=True)
            before, small = kill.tree(home), limited(command.call, mapped() + more * 1_000_000)
            print(f"  {more} MB of memory: {outcome(home, small, wanted, before)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--commands", nargs="+", choices=kill.COMMANDS, default=list(kill.COMMANDS))
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True)
    for name in kill.IMPORTED:
        importlib.import_module(name)
    cv2.setNumThreads(1)
    for name in options.commands:
        tried(name, kill.COMMANDS[name], out / name)


if __name__ == "__main__":
    main()
