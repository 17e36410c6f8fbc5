"""Clips with their voices, domains and pairs: from lists of names, or from a table that a user writes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lipsync_lab import limits, runs, samples
from lipsync_lab.errors import MediaError, ParameterError

#: Columns of a clips table that have a meaning; any other column is kept and shown.
COLUMNS = ("clip", "domain", "voice", "pair", "name")


@dataclass(frozen=True)
class Case:
    """A clip with its voice: names of samples, or paths.

    Attributes
    ----------
    name : str
        Name in folders and figures: letters, digits, ``_``, ``.``, ``-``.
    clip, voice : str
    domain : str
        One of `samples.CLIP_DOMAINS`; empty where it is unknown.
    pair : str
        Name of the matched pair that a clips table puts the clip into; else empty (see `evaluated.pairs`).
    about : mapping of str to str
        Further columns of the clips table, such as ``shot_type``.
    """

    name: str
    clip: str
    voice: str
    domain: str
    pair: str = ""
    about: Mapping[str, str] = field(default_factory=dict)


def read(
    clips: str | Path | Sequence[str | Path],
    voices: Sequence[str | Path] = (),
    domains: Sequence[str] = (),
) -> list[Case]:
    """Clips with their voices, each under a name of its own.

    Parameters
    ----------
    clips : path, or sequence of str or path
        Names of samples, or paths; or one clips table (``.csv``, see `read_table`).
    voices : sequence of str or path
        Names of samples, or paths: one per clip, one for all, or none for each clip's own sound.
    domains : sequence of str
        One of `samples.CLIP_DOMAINS` per clip, or none. Where none is given, the domain of a sample is the manifest's,
        and that of any other file is unknown.

    Raises
    ------
    ParameterError
        No clips; voices or domains that do not match them; an unknown domain; a table that is not valid.
    MediaError
        The table cannot be read, or names a file that is not there.
    """
    clips = [clips] if isinstance(clips, str | Path) else list(clips)
    if not clips:
        raise ParameterError("there are no clips to compare; name samples or files")
    tables = [clip for clip in clips if Path(clip).suffix.lower() == ".csv"]
    if tables:
        if len(clips) > 1 or voices or domains:
            raise ParameterError(f"{tables[0]}: give a clips table alone; it names clips, voices and domains")
        return read_table(tables[0])
    voices = list(voices) * (len(clips) if len(voices) == 1 else 1) or clips
    if len(voices) != len(clips):
        raise ParameterError(f"{len(voices)} voices for {len(clips)} clips; name one per clip, or one for all of them")
    if domains and len(domains) != len(clips):
        raise ParameterError(f"{len(domains)} domains for {len(clips)} clips; name one per clip")
    given = domains or [""] * len(clips)
    known = [samples.clip_domain(text) or domain_of_sample(str(clip)) for text, clip in zip(given, clips, strict=True)]
    names = plain_names([str(clip) for clip in clips])
    return [Case(*map(str, row)) for row in zip(names, clips, voices, known, strict=True)]


def read_table(path: str | Path) -> list[Case]:
    """Clips from a table in CSV.

    Parameters
    ----------
    path : path
        A file with the column ``clip`` (a path from the table's folder, or a sample's name) and, optionally,
        ``domain`` (one of `samples.CLIP_DOMAINS`), ``voice`` (as ``clip``; empty for the clip's own sound), ``pair``
        (the same text in the two rows of a matched pair) and ``name``. Other columns are kept in `Case.about`.

    Raises
    ------
    ParameterError
        A column is missing, a domain is unknown, or a pair does not have one clip of animation and one of another
        domain. The message names the row.
    MediaError
        The table cannot be read, or a clip or a voice is not there.
    """
    path = Path(path)
    try:
        text = limits.checked(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path}: the clips table cannot be read ({reason}); give a CSV file in UTF-8") from None
    lines = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    columns = [name.strip() for name in lines.fieldnames or ()]
    if "clip" not in columns:
        raise ParameterError(f"{path}: has no column clip; its columns are {', '.join(columns) or 'none'}")
    lines.fieldnames = columns
    rows = []
    for row in lines:
        where = f"{path}, line {lines.line_num}"
        if None in row or None in row.values():
            raise ParameterError(f"{where}: has {len(columns)} columns in the header and another number here")
        rows.append((where, {name: value.strip() for name, value in row.items()}))
    if not rows:
        raise ParameterError(f"{path}: has no rows; write one line per clip")
    clips = [_input(row["clip"], path.parent, where, "clip") for where, row in rows]
    names = plain_names([row.get("name") or clip for (_, row), clip in zip(rows, clips, strict=True)])
    cases = []
    for (where, row), clip, name in zip(rows, clips, names, strict=True):
        voice = _input(row["voice"], path.parent, where, "voice") if row.get("voice") else clip
        try:
            domain = samples.clip_domain(row.get("domain", "")) or domain_of_sample(clip)
        except ParameterError as error:
            raise ParameterError(f"{where} ({row['clip']}): {error}") from None
        about = {column: value for column, value in row.items() if column not in COLUMNS and value}
        cases.append(Case(name, clip, voice, domain, row.get("pair", ""), about))
    _check_pairs(cases, path)
    return cases


def table(cases: Sequence[Case], home: Path) -> str:
    """The text of a clips table in the folder `home` that `read_table` reads as these cases."""
    import pandas as pd

    rows = [
        {
            "clip": portable(case.clip, home),
            "domain": case.domain,
            "voice": "" if case.voice == case.clip else portable(case.voice, home),
            "pair": case.pair,
            "name": case.name,
            **case.about,
        }
        for case in cases
    ]
    return pd.DataFrame(rows).fillna("").to_csv(index=False, lineterminator="\n")


def portable(name: str | Path, home: Path) -> str:
    """The name of a sample or of a model as it is, a path as `runs.portable` writes it."""
    return runs.portable(name, home) if Path(name).exists() else str(name)


def is_plain(case: Case) -> bool:
    """Whether a case has neither a pair, nor further columns, nor a domain other than that of its sample."""
    return not case.pair and not case.about and case.domain == domain_of_sample(case.clip)


def file_of(name: str | Path) -> Path:
    """A path as it is if a file is there, else the file of the sample of that name.

    Raises
    ------
    MediaError
        Neither is there, or the sample cannot be fetched.
    """
    path = samples.resolve_path(name)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file, and no sample of that name"
        raise MediaError(f"{name}: {what}; check the path (`samples list` names the samples)")
    return path


def _check_pairs(cases: Sequence[Case], path: Path) -> None:
    for pair in dict.fromkeys(case.pair for case in cases if case.pair):
        members = [case for case in cases if case.pair == pair]
        domains = ", ".join(f"{case.name} ({case.domain or 'no domain'})" for case in members)
        animated = sum(case.domain == "animation" for case in members)
        if len(members) != 2 or animated != 1 or not all(case.domain for case in members):
            raise ParameterError(
                f"{path}, pair {pair!r}: has {domains}; a matched pair is one clip of animation and one of "
                "live_action or synthetic_photo"
            )


def _input(text: str, folder: Path, where: str, column: str) -> str:
    """A file named in a table, from the table's folder; or a sample's name."""
    if not text:
        raise ParameterError(f"{where}: the column {column} is empty")
    if (folder / text).is_file():
        return str(folder / text)
    if text in samples.SAMPLES:
        return text
    raise MediaError(f"{where}: the {column} {text} is not a file in {folder.resolve()}, and no sample has that name")


def domain_of_sample(clip: str) -> str:
    sample = samples.SAMPLES.get(clip)
    return sample.domain if sample and sample.domain in samples.CLIP_DOMAINS else ""


def plain_names(clips: Sequence[str]) -> list[str]:
    """Different names for folders and addresses, valid on any system."""
    out: list[str] = []
    for clip in clips:
        stem = clip if clip in samples.SAMPLES else Path(clip).stem
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("._") or "clip"
        name, number = stem, 1
        while name.lower() in [other.lower() for other in out]:
            number += 1
            name = f"{stem}-{number}"
        out.append(name)
    return out
