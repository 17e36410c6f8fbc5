"""Clips and voices by name: bundled ones, and ones that are fetched on demand.

``data/samples/manifest.csv`` has one row per file. A bundled file lies beside the manifest and was made by this
project; any other is fetched from its public address into a cache, under the same relative path, and compared with its
SHA-256 at each use. `SAMPLES` is every sample by name, in the manifest's order; it is read when it is first used.

``data/published/manifest.csv`` has the videos of the published models in the same way (`published_names`): they are
fetched by name as well, and are no samples, since nothing but measurements needs them.
"""

from __future__ import annotations

import csv
import difflib
import os
import warnings
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache as cached
from pathlib import Path
from typing import Any

from lipsync_lab import bundled, renamed
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.files import download, sha256

#: Folder of the manifest and of the bundled files.
HOME = bundled.folder("samples")
#: Domains of clips: animation; filmed people; a single photograph whose mouth and head are moved by a program.
CLIP_DOMAINS = ("animation", "live_action", "synthetic_photo")
#: Domains of samples; a voice has no picture.
DOMAINS = (*CLIP_DOMAINS, "voice")


@dataclass(frozen=True)
class Sample:
    """One row of the manifest.

    Attributes
    ----------
    name : str
    domain : str
        One of `DOMAINS`.
    file : str
        Path of the file, with ``/``: from the manifest's folder if bundled, else from the cache's.
    licence, attribution : str
        Terms under which the file may be used, and whom to credit.
    sha256 : str
        Of the file, in hexadecimal.
    url : str or None
        Address of the very bytes; None where there is none.
    fps : Fraction or None
        Frames a second; None for a voice.
    frames : int or None
        Number of frames; None for a voice.
    size : tuple of int or None
        Width and height in pixels; None for a voice.
    has_sound : bool
    bundled : bool
        Whether the file came with the repository.
    pair : str
        Name of the matched pair that the clip is of; empty where it is of none.
    note : str
        What it is suited to, and its limits.
    """

    name: str
    domain: str
    file: str
    licence: str
    attribution: str
    sha256: str
    url: str | None
    fps: Fraction | None
    frames: int | None
    size: tuple[int, int] | None
    has_sound: bool
    bundled: bool
    pair: str
    note: str


def _sample(row: dict[str, str]) -> Sample:
    size = row["size"].split("x")
    return Sample(
        **row
        | {
            "url": row["url"] or None,
            "fps": Fraction(row["fps"]) if row["fps"] else None,
            "frames": int(row["frames"]) if row["frames"] else None,
            "size": (int(size[0]), int(size[1])) if row["size"] else None,
            "has_sound": row["has_sound"] == "yes",
            "bundled": row["bundled"] == "yes",
        }
    )


@cached
def _samples() -> dict[str, Sample]:
    with (HOME / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        return {row["name"]: _sample(row) for row in csv.DictReader(lines)}


@cached
def _published() -> dict[str, Sample]:
    """The videos of the published models; what the manifest of samples has in other columns is derived."""
    own = {field.name for field in fields(Sample)}
    with (bundled.folder("published") / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    out = {}
    for row in rows:
        added = {
            "attribution": f"{row['repository']} on GitHub",
            **{"has_sound": "yes", "bundled": "no", "pair": ""},
            "note": f"{row['role']} of {row['pair']}, for measurement only, never redistributed",
        }
        out[row["name"]] = _sample({key: text for key, text in (row | added).items() if key in own})
    return out


def published_names() -> list[str]:
    """Names of the sources, outputs and voices of the published models, for `get` and `path`."""
    return list(_published())


def _named(name: str) -> Sample | None:
    return _samples().get(name) or _published().get(name)


def __getattr__(name: str) -> Any:
    if name == "SAMPLES":
        return _samples()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def cache() -> Path:
    """Where fetched samples lie: ``LIPSYNC_LAB_CACHE``, or the folder that the system has for such things."""
    if folder := os.environ.get("LIPSYNC_LAB_CACHE"):
        return Path(folder)
    import pooch

    return Path(pooch.os_cache("lipsync_lab"))


def names(domain: str | None = None, bundled: bool | None = None) -> list[str]:
    """Names of samples, in the manifest's order.

    Parameters
    ----------
    domain : str, optional
        Only those of this one of `DOMAINS`; a former name is accepted with a `DeprecationWarning`.
    bundled : bool, optional
        Only those that came with the repository, or only those that did not.

    Raises
    ------
    ParameterError
        If there is no such domain.
    """
    wanted = DOMAINS if domain is None else _present_names(domain) or (domain,)
    if not set(wanted) <= set(DOMAINS):
        raise ParameterError(f"no samples are of domain {domain!r}; there are {', '.join(DOMAINS)}")
    return [
        name for name, sample in _samples().items() if sample.domain in wanted and bundled in (None, sample.bundled)
    ]


def domain_in_words(domain: object) -> str:
    """A domain as tables, figures and sentences name it, also one that is not known."""
    return str(domain or "").replace("_", " ") or "unknown domain"


def clip_domain(text: str) -> str:
    """The domain of a clip from what a user wrote.

    Parameters
    ----------
    text : str
        One of `CLIP_DOMAINS`, a former name (accepted with a `DeprecationWarning`), or empty for none.

    Raises
    ------
    ParameterError
        The domain is unknown.
    """
    name = (_present_names(text) or (text,))[0]
    if name and name not in CLIP_DOMAINS:
        raise ParameterError(f"unknown domain {text!r}; the domains are {', '.join(CLIP_DOMAINS)}")
    return name


def _present_names(domain: str) -> tuple[str, ...]:
    """The domains that a former name stands for; empty for any other text."""
    present = renamed.SAMPLE_DOMAINS.get(domain, ())
    if present:
        warnings.warn(f"the domain {domain!r} is now {' or '.join(present)}", DeprecationWarning, stacklevel=3)
    return present


def with_sha256(sha256: str) -> str | None:
    """Name of the sample whose file has this SHA-256; None if there is none."""
    return next((name for name, sample in _samples().items() if sample.sha256 == sha256), None)


def get(name: str) -> Sample:
    """The manifest's row of a sample.

    Raises
    ------
    ParameterError
        If there is no sample of that name.
    """
    if present := renamed.SAMPLES.get(name):
        warnings.warn(f"the sample {name} is now {present}", DeprecationWarning, stacklevel=2)
        name = present
    sample = _named(name)
    if sample is None:
        near = difflib.get_close_matches(name.lower(), _samples(), 1, 0.8)
        there = f"did you mean {near[0]}?" if near else f"there are {', '.join(_samples())}"
        raise ParameterError(f"no sample is named {name}; {there}")
    return sample


def resolve_path(name: str | Path, progress: bool = False) -> Path:
    """Return the path of a file that is given by its path or by the name of a sample.

    Parameters
    ----------
    name : str or Path
    progress : bool
        Show a progress bar on stderr while a sample is fetched.

    Returns
    -------
    Path
        `name` itself if a file is there or if no sample has a name like it, else the sample's file. A folder with the
        name of a sample, such as that of a run, does not hide the sample; "./name" is the folder.

    Raises
    ------
    MediaError
        The sample's file is absent and cannot be fetched, or is not the manifest's; or a sample has nearly that name.
    """
    is_sample = bool(_named(str(name))) or str(name) in renamed.SAMPLES
    if Path(name).is_file() or (Path(name).exists() and not is_sample):
        return Path(name)
    if is_sample:
        return path(str(name), progress)
    if near := difflib.get_close_matches(str(name).lower(), _samples(), 1, 0.8):
        raise MediaError(f"{name}: no such file, and no sample of that name; did you mean {near[0]}?")
    return Path(name)


def place(name: str) -> Path:
    """Path of a sample's file, also before it is fetched."""
    sample = get(name)
    return (HOME if sample.bundled else cache()) / sample.file


def path(name: str, progress: bool = False) -> Path:
    """The file of a sample, fetched first where it has to be.

    Parameters
    ----------
    name : str
    progress : bool
        Show a progress bar on stderr while fetching.

    Returns
    -------
    Path
        To a file whose SHA-256 is the manifest's.

    Raises
    ------
    MediaError
        The file is not the manifest's, or is absent and cannot be fetched.
    ParameterError
        If there is no sample of that name.
    """
    sample = get(name)
    file = place(name)
    if not file.is_file():
        if sample.bundled:
            raise MediaError(f"{name}: the bundled file {file} is missing: restore it from the repository")
        if sample.url is None:
            raise MediaError(
                f"{name} cannot be fetched, it has no public address ({sample.note or sample.attribution}): put the "
                f"file with SHA-256 {sample.sha256} at {file}"
            )
        if failure := download(sample.url, file, lambda part: _objection(sample, part), progress):
            raise MediaError(f"{name} {failure}")
    if objection := _objection(sample, file):
        cure = "restore it from the repository" if sample.bundled else "delete it, and it is fetched again"
        raise MediaError(f"{file} {objection}: {cure}")
    return file


def _objection(sample: Sample, file: Path) -> str:
    digest = sha256(file)
    return "" if digest == sample.sha256 else f"is not {sample.name}: expected SHA-256 {sample.sha256}, found {digest}"
