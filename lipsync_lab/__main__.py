"""``python -m lipsync_lab``, and the console script of the package."""

import sys


def run() -> int:
    """The command line; where a package that it needs is not installed, one line says so instead of a traceback."""
    try:
        from lipsync_lab.cli import main

        return main()
    except ModuleNotFoundError as error:
        top = (error.name or "lipsync_lab").partition(".")[0]
        if top == "lipsync_lab" or top in sys.stdlib_module_names:
            raise
        print(
            f"lipsync_lab: this Python, {sys.executable}, lacks {top}: use .venv/bin/python, which `make .venv` makes "
            "(or install the package into this one)",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(run())
