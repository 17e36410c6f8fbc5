"""``python -m lipsync_lab``, and the console script of the package."""

import os
import signal
import sys


class Stopped(KeyboardInterrupt):
    """A signal that asks a process to end: it unwinds as Ctrl-C does, so that nothing half-written stays."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def run() -> int:
    """Run the command line; where a core dependency is not installed, one line says so instead of a traceback.

    SIGTERM and SIGHUP end a command as Ctrl-C does. A character that a stream cannot write is replaced by its escape.
    """
    _have_streams()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # a command under `nohup` goes on when the terminal is closed
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    try:
        from lipsync_lab.cli import main

        return _flushed(main())
    except Stopped as stopped:  # before the command line was read
        return 128 + stopped.number
    except ModuleNotFoundError as error:
        top = (error.name or "lipsync_lab").partition(".")[0]
        if top == "lipsync_lab" or top in sys.stdlib_module_names:
            raise
        print(
            f"lipsync_lab: {sys.executable} lacks {top}: install the package with pip, or use .venv/bin/python, which "
            "`make .venv` builds",
            file=sys.stderr,
        )
        return 2


def _stop(number: int, frame: object) -> None:
    for each in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(each, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise Stopped(number)


def _have_streams() -> None:
    """Streams that are open and take any text.

    A closed one would give its number to the next file that is opened, and a library's message would end up in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """The exit code, once what was printed has left: a full disk or a closed pipe must not end in a traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return code
        print(f"lipsync_lab: stdout: {error.strerror}", file=sys.stderr)
        return code or 2
    return code


if __name__ == "__main__":
    sys.exit(run())
