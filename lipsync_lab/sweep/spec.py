"""``sweep.yaml``: what to run, checked before anything starts; every message names the line."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lipsync_lab import detection, generation, samples
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.evaluation import cases
from lipsync_lab.settings import Settings
from lipsync_lab.sweep.store import expanded, is_there, local_path

#: Keys of the file.
KEYS = ("clips", "voices", "generators", "detectors", "settings", "combine", "out")
#: Keys of a clip that is more than its address, beside those of a run.
_ABOUT = ("clip", "domain", "pair", "name", "sha256")
#: What a clip may name for itself in place of the lists, beside settings.
_OWN = ("voice", "generator", "detector", "preset")
#: Settings that hold four numbers: a list of numbers is one value of these.
_FOURS = ("crop", "pads")
#: Settings that name a file of one clip.
_FILES = ("mouth_timing", "mouth_chart")
_SETTINGS = tuple(field.name for field in fields(Settings))
#: More runs than this are taken for a mistake.
MOST_RUNS = 1_000_000
_MOST_BYTES = 50_000_000
_SHOWN, _DEEPEST = 20, 10


@dataclass(frozen=True)
class Wanted:
    """One run that the file asks for.

    Attributes
    ----------
    clip, voice : str
        Names of samples, absolute paths, or fsspec addresses.
    generator, detector : str
        Names of models, or, as the clips, files of weights.
    settings : Settings
    domain : str
        One of `samples.CLIP_DOMAINS`; empty where it is unknown.
    pair : str
        Name of the matched pair; empty without one.
    name : str
        Of the clip, for tables.
    sha256 : str
        That the clip should have; empty where the file does not say.
    where : str
        File and line.
    """

    clip: str
    voice: str
    generator: str
    detector: str
    settings: Settings
    domain: str
    pair: str
    name: str
    sha256: str
    where: str


@dataclass(frozen=True)
class Sweep:
    """What a file asks for: the address of the results, and the runs."""

    out: str
    runs: tuple[Wanted, ...]


@dataclass(frozen=True)
class _Clip:
    address: str
    about: Mapping[str, str]
    own: Mapping[str, Any]
    where: str


def read(path: str | Path) -> Sweep:
    """Read and check a file.

    Parameters
    ----------
    path : path
        YAML in UTF-8 with the keys `KEYS`; paths are from its folder. ``clips``: names of samples, paths, patterns with
        ``*``, fsspec addresses, mappings (``clip``, ``domain``, ``pair``, ``name``, ``sha256``, and ``voice``,
        ``generator``, ``detector``, ``preset`` or any setting of its own), or a table with these columns (``.csv``).
        ``voices``, ``generators``, ``detectors``: one, or a list. ``settings``: a grid (a mapping of a setting to one
        value or a list of them), or a list of such; ``preset`` is allowed. ``combine``: grid (default) or list.

    Raises
    ------
    MediaError
        The file cannot be read.
    ParameterError
        Names all that is wrong with their lines; nothing was started.
    """
    path = Path(path)
    given, lines = _loaded(path)
    problems = _Problems(path, lines)
    for key in given:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(KEYS)}"
            problems.add((key,), f"unknown key {key}; {hint}")
    for key in ("clips", "out"):
        if not given.get(key):
            problems.add((key,) if key in given else (), f"{key} is {'empty' if key in given else 'missing'}")
    problems.stop()
    out = given["out"]
    if not isinstance(out, str):
        problems.add(("out",), f"out is {out!r}, not an address")
        problems.stop()
    clips = _clips(given["clips"], path, problems)
    lists = [_texts(given.get(key), (key,), problems, key != "generators") for key in KEYS[1:4]]
    sets = _sets(given.get("settings"), problems)
    combine = given.get("combine", "grid")
    if combine not in ("grid", "list"):
        problems.add(("combine",), f"combine is {combine!r}; it must be grid or list")
    problems.stop()
    voices = [_input(voice, path.parent, where, problems) for voice, where in lists[0]]
    models = [[(_weights(name, path.parent), where) for name, where in each] for each in lists[1:]]
    problems.stop()
    if combine == "list":
        axes = _in_step([clips, voices, *models, sets], problems)
    else:
        count = len(clips) * max(1, len(voices)) * max(1, len(models[0])) * max(1, len(models[1])) * len(sets)
        if count > MOST_RUNS:
            problems.add(("clips",), f"asks for {count} runs; the most are {MOST_RUNS}")
        problems.stop()
        axes = product(clips, voices or [None], models[0] or [None], models[1] or [None], sets)
    runs = [_wanted(*axis, path.parent, problems) for axis in axes]
    problems.stop()
    return Sweep(_address(out, path.parent), tuple(dict.fromkeys(run for run in runs if run)))


class _Problems:
    """All that is wrong with a file, each with its line."""

    def __init__(self, path: Path, lines: Mapping[tuple, int]):
        self.path, self._lines, self._found = path, lines, {}

    def where(self, place: tuple) -> str:
        while place not in self._lines:
            place = place[:-1]
        return f"line {self._lines[place]}"

    def add(self, place: tuple | str, message: str) -> None:
        where = place if isinstance(place, str) else self.where(place)
        self._found[f"{where}: {message}"] = None

    def stop(self) -> None:
        if self._found:
            lines, more = list(self._found)[:_SHOWN], len(self._found) - _SHOWN
            rest = f"; and {more} more" if more > 0 else ""
            raise ParameterError(f"{self.path}: nothing was started; {'; '.join(lines)}{rest}")


def _loaded(path: Path) -> tuple[dict[str, Any], dict[tuple, int]]:
    """The content of a YAML file, and the line of everything in it by its keys and places."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ParameterError(f"{path}: is larger than {_MOST_BYTES // 10**6} MB; give a table of clips instead")
        text = path.read_text(encoding="utf-8-sig")
        # an alias may stand for exponentially many values
        depth = 0
        for event in yaml.parse(text):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                raise ParameterError(f"{path}, line {line}: is YAML with an alias (*{event.anchor}), which is not read")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ParameterError(f"{path}, line {line}: is YAML of more than {_DEEPEST} levels")
        node, lines = yaml.compose(text, Loader=yaml.SafeLoader), {(): 1}
        if not isinstance(node, yaml.MappingNode):
            raise ParameterError(f"{path}: holds no keys; a sweep has {', '.join(KEYS)}")
        _find_lines(node, (), lines, path)
        return yaml.safe_load(text), lines
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ParameterError(f"{path}, line {line}: is no YAML ({error.problem or error.context})") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ParameterError(f"{path}: is no YAML in UTF-8 ({reason})") from None


def _find_lines(node: yaml.Node, place: tuple, lines: dict[tuple, int], path: Path) -> None:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value) if isinstance(key, yaml.ScalarNode) else place
            if inner in lines and inner != place:
                raise ParameterError(f"{path}, line {key.start_mark.line + 1}: the key {key.value} stands here twice")
            _find_lines(value, inner, lines, path)
            lines[inner] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _find_lines(value, (*place, number), lines, path)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _texts(value: Any, place: tuple, problems: _Problems, whole: bool = True) -> list[tuple[str, str]]:
    """Texts of a key with their lines; one text stands for a list of it."""
    out = []
    for number, item in enumerate(_listed(value)):
        at = (*place, number) if isinstance(value, list) else place
        if isinstance(item, str) and item.strip():
            out.append((item.strip(), problems.where(at)))
        else:
            problems.add(at, f"{place[0]} has {item!r}, not a name or an address")
    if isinstance(value, list) and not value:
        problems.add(place, f"{place[0]} is empty; omit the key for the default")
    return out


def _clips(value: Any, path: Path, problems: _Problems) -> list[_Clip]:
    out = []
    for number, item in enumerate(_listed(value)):
        at = ("clips", number) if isinstance(value, list) else ("clips",)
        where = problems.where(at)
        if isinstance(item, str) and item.lower().endswith(".csv"):
            out += _table(path.parent / item, where, problems)
        elif isinstance(item, str) and item.strip():
            out += [_Clip(address, {}, {}, where) for address in _matches(item.strip(), path.parent, where, problems)]
        elif isinstance(item, Mapping) and isinstance(item.get("clip"), str):
            for key in item:
                if key not in (*_ABOUT, *_OWN, *_SETTINGS):
                    problems.add((*at, key), f"unknown key {key} of a clip")
            out += _of_row(item, path.parent, where, problems)
        else:
            problems.add(at, f"clips has {item!r}; a clip is an address, or a mapping with the key clip")
    return out


def _of_row(row: Mapping[str, Any], folder: Path, where: str, problems: _Problems) -> list[_Clip]:
    about = {key: str(row[key]) for key in _ABOUT[1:] if row.get(key)}
    own = {key: row[key] for key in (*_OWN, *_SETTINGS) if row.get(key) is not None}
    return [_Clip(address, about, own, where) for address in _matches(row["clip"], folder, where, problems)]


def _table(path: Path, where: str, problems: _Problems) -> list[_Clip]:
    """Clips of a table; a cell that is filled stands in place of the lists."""
    out = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines, skipinitialspace=True)
            columns = rows.fieldnames or ()
            if unknown := [column for column in columns if column not in (*_ABOUT, *_OWN, *_SETTINGS)]:
                problems.add(where, f"{path.name}: unknown columns {', '.join(unknown)}")
            for row in rows:
                at = f"{where} ({path.name}, line {rows.line_num})"
                if None in row or None in row.values() or not row.get("clip"):
                    problems.add(at, "another number of columns than in the header, or no clip")
                    continue
                typed = {key: yaml.safe_load(text) if key in _SETTINGS else text for key, text in row.items() if text}
                out += _of_row(typed, path.parent, at, problems)
    except (OSError, UnicodeDecodeError, csv.Error, yaml.YAMLError) as error:
        problems.add(where, f"{path}: is no table ({getattr(error, 'strerror', None) or error})")
    return out


def _matches(text: str, folder: Path, where: str, problems: _Problems) -> list[str]:
    """The addresses that a clip's text stands for, after a look whether they are there."""
    if "*" not in text:
        matching = _input(text, folder, where, problems)
        return [matching[0]] if matching else []
    try:
        matching = expanded(_address(text, folder))
    except MediaError as error:
        problems.add(where, str(error))
        return []
    if not matching:
        problems.add(where, f"no file matches {text}")
    return matching


def _input(text: str, folder: Path, where: str, problems: _Problems) -> tuple[str, str] | None:
    address = _address(text, folder)
    try:
        if is_there(address):
            return address, where
        problems.add(where, f"{text} is not there" + ("" if local_path(address) is None else ", nor a sample"))
    except MediaError as error:
        problems.add(where, str(error))
    return None


def _address(text: str, folder: Path) -> str:
    """A sample's name, a path made absolute from the file's folder, or an address as it is."""
    is_file = "://" not in text and not (folder / text).is_file()
    if is_file and (text in samples.SAMPLES or text in samples.published_names()):
        return text
    if "://" in text:
        place = local_path(text)
        return text if place is None else str(place)
    return str((folder / Path(text).expanduser()).resolve())


def _weights(name: str, folder: Path) -> str:
    """A model's name, or the address of a file of weights."""
    return name if "://" in name or not (folder / name).is_file() else str((folder / name).resolve())


def _sets(value: Any, problems: _Problems) -> list[tuple[dict[str, Any], str]]:
    """The sets of settings: a grid is multiplied out, a list of grids is joined."""
    out = []
    for number, grid in enumerate(_listed(value) or [{}]):
        at = ("settings", number) if isinstance(value, list) else ("settings",)
        if grid is None:
            grid = {}
        if not isinstance(grid, Mapping):
            problems.add(at, f"settings has {grid!r}; settings are a mapping, or a list of mappings")
            continue
        for key in grid:
            if key not in (*_SETTINGS, "preset"):
                near = difflib.get_close_matches(str(key), _SETTINGS, 1)
                problems.add((*at, key), f"unknown setting {key}{f'; did you mean {near[0]}?' if near else ''}")
        values = [_values(key, given) for key, given in grid.items()]
        where = problems.where(at)
        if (count := math.prod(map(len, values))) > MOST_RUNS:
            problems.add(at, f"asks for {count} sets of settings; the most are {MOST_RUNS}")
            problems.stop()
        out += [(dict(zip(grid, chosen, strict=True)), where) for chosen in product(*values)]
        if any(not each for each in values):
            problems.add(at, "a setting has an empty list")
    return out


def _values(key: str, given: Any) -> Sequence[Any]:
    is_one = not isinstance(given, list) or (key in _FOURS and not any(isinstance(each, list) for each in given))
    return [given] if is_one else given


def _in_step(axes: Sequence[Sequence], problems: _Problems) -> Iterator[tuple]:
    """The n-th of every list together; a list of one is repeated."""
    longest = max(len(axis) for axis in axes)
    for key, axis in zip(KEYS, axes, strict=False):
        if len(axis) not in (0, 1, longest):
            problems.add((key,), f"combine: list needs lists of one length; {key} has {len(axis)}, another {longest}")
    problems.stop()
    return zip(*(list(axis or [None]) * (longest if len(axis) < 2 else 1) for axis in axes), strict=True)


def _wanted(clip: _Clip, voice, generator, detector, chosen, folder: Path, problems: _Problems) -> Wanted | None:
    """A run from one clip, and from a voice, models and settings where the clip has none of its own."""
    own = clip.own
    if "voice" in own:
        voice = _input(str(own["voice"]), folder, clip.where, problems)
        if voice is None:
            return None
    values = {**chosen[0], **{key: own[key] for key in (*_SETTINGS, "preset") if key in own}}
    if files := [key for key in _FILES if values.get(key) is not None]:
        problems.add(chosen[1], f"{files[0]} is of one clip, and no setting of a sweep")
        return None
    preset = values.pop("preset", None)
    if isinstance(restorer := values.get("restorer"), str):
        values["restorer"] = _weights(restorer, folder)
    try:
        settings = Settings.of({key: tuple(v) if key in _FOURS else v for key, v in values.items()}, preset)
        domain = samples.clip_domain(clip.about.get("domain", "")) or cases.domain_of_sample(clip.address)
    except (LipsyncError, TypeError, ValueError) as error:
        problems.add(chosen[1] if values.keys() & chosen[0].keys() or preset else clip.where, str(error))
        return None
    generator = own.get("generator") or (generator and generator[0]) or generation.default(preset)
    detector = own.get("detector") or (detector and detector[0]) or detection.default(preset)
    return Wanted(
        clip=clip.address,
        voice=voice[0] if voice else clip.address,
        generator=_weights(str(generator), folder),
        detector=_weights(str(detector), folder),
        settings=settings,
        domain=domain,
        pair=clip.about.get("pair", ""),
        name=clip.about.get("name", "") or clip.address.rpartition("/")[2],
        sha256=clip.about.get("sha256", ""),
        where=clip.where,
    )
