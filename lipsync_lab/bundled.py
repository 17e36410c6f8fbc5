"""Where the bundled files lie: in the repository's folders, or in the package that a wheel installs."""

from __future__ import annotations

from pathlib import Path

#: Folders of bundled files: name -> path in the repository. ``setup.py`` copies them into every wheel.
FOLDERS = {
    "checkpoints": "checkpoints",
    "cards": "docs/models",
    "samples": "data/samples",
    "study": "data/study",
    "pairs": "data/pairs",
    "published": "data/published",
    "ablation": "data/ablation",
}
#: Folder inside the installed package that contains the copies.
PACKAGED = "_bundled"

_HERE = Path(__file__).resolve().parent


def installed() -> bool:
    """Whether this package comes from a wheel, and so has no repository around it."""
    return (_HERE / PACKAGED).is_dir()


def folder(name: str) -> Path:
    """The folder with the bundled files of one sort.

    Parameters
    ----------
    name : str
        A key of `FOLDERS`.

    Returns
    -------
    Path
        The repository's folder in a checkout, the package's copy in an installed wheel.
    """
    return _HERE / PACKAGED / name if installed() else _HERE.parent / FOLDERS[name]
