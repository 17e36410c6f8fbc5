"""``python -m lipsync_lab``, and the console script of the package."""

import sys


def run() -> int:
    """Run the command line; where a core dependency is not installed, one line says so instead of a traceback."""
    try:
        from lipsync_lab.cli import main

        return main()
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


if __name__ == "__main__":
    sys.exit(run())
