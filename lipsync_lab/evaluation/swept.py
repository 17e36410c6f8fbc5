"""The table of a sweep, ``runs.parquet``, for the comparison of domains and for the ablation.

A run's value of a metric is the median over its frames, of a rate the mean, of a score its value. Several runs of one
clip count once, by their mean: the unit is the clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import ablation, comparison
from lipsync_lab.metrics import controls, registry
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

_SETTINGS = tuple(field.name for field in fields(Settings))


def read(path: str | Path, generator: str | None = None) -> pandas.DataFrame:
    """The complete runs of a sweep.

    Parameters
    ----------
    path : path
        ``runs.parquet``, or the folder that holds it.
    generator : str, optional
        Only runs of this one; None for all.

    Returns
    -------
    DataFrame
        A row per run, columns as in ``docs/files.md``; ``clip`` is its address.

    Raises
    ------
    MediaError
        The table cannot be read.
    ParameterError
        It is no table of a sweep, or has no complete run of the generator.
    """
    import pandas as pd

    path = Path(path) / "runs.parquet" if Path(path).is_dir() else Path(path)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, ImportError) as error:
        raise MediaError(f"{path}: cannot be read as a table of a sweep ({str(error).partition('. ')[0]})") from None
    if missing := [name for name in ("clip", "domain", "pair", "status", "generator", *_SETTINGS) if name not in table]:
        raise ParameterError(f"{path}: is no table of a sweep, it has no column {', '.join(missing)}")
    table = table[(table["status"] == "complete") & (generator is None or table["generator"] == generator)]
    if table.empty:
        raise ParameterError(f"{path}: has no complete run{f' of {generator}' if generator else ''}")
    return table


def domain_effects(path: str | Path, generator: str | None = None) -> pandas.DataFrame:
    """Animation minus its counterpart over the clips of a sweep.

    Returns
    -------
    DataFrame
        Of `comparison.matched` where the clips have pairs, else of `comparison.independent`.

    Raises
    ------
    MediaError, ParameterError
        As `read`; or the clips are not of animation and another domain.
    """
    table = read(path, generator)
    names = [name for name in _numbers(table) if table[name].notna().any()]
    clips = table.groupby(["clip", "domain", "pair"], as_index=False)[names].mean()
    clips = clips[clips["domain"] != ""]
    if not {"animation"} < set(clips["domain"]):
        raise ParameterError(f"{path}: compares domains only with clips of animation and of another domain")
    return comparison.matched(clips) if (clips["pair"] != "").any() else comparison.independent(clips)


def mitigation_effects(path: str | Path, generator: str | None = None) -> pandas.DataFrame:
    """Every metric before and after each mitigation, clip by clip, from the runs of a sweep.

    A run is that of a mitigation if its settings are those of `ablation.BASELINE` with the mitigation's. It is compared
    with the run of the same clip, voice, models and other settings that has those of the baseline.

    Returns
    -------
    DataFrame
        As of `ablation.effects`, with the mitigations that have runs.

    Raises
    ------
    MediaError, ParameterError
        As `read`; or no mitigation has a run beside one of the baseline.
    """
    import pandas as pd

    table = read(path, generator)
    names = [name for name in (*_numbers(table), *ablation.SCORES) if name in table]
    changed = sorted({name for row in (ablation.BASELINE, *ablation.mitigations()) for name in row.settings})
    same = ["clip", "domain", "voice", "generator", "detector", *(name for name in _SETTINGS if name not in changed)]
    table = table.assign(**{name: table[name].astype(str) for name in same})
    numbers = list(dict.fromkeys(names))
    before = _with(table, changed, {}).set_index(same)[numbers]
    parts = []
    for mitigation in ablation.mitigations():
        after = _with(table, changed, mitigation.settings).set_index(same)[numbers]
        both = before.stack(future_stack=True).to_frame("before")
        both = both.join(after.stack(future_stack=True).rename("after"), how="inner").dropna()
        both.index = both.index.set_names("metric", level=-1)
        means = both.groupby(["metric", "clip", "domain"], sort=False).mean().reset_index()
        parts.append(means.assign(mitigation=mitigation.name))
    effects = pd.concat(parts, ignore_index=True)
    if effects.empty:
        raise ParameterError(
            f"{path}: has no run with the settings of a mitigation beside one with those of {ablation.BASELINE.name!r}"
        )
    return effects[list(ablation.COLUMNS)]


def _numbers(table: pandas.DataFrame) -> list[str]:
    known = (*(metric.name for metric in registry.metrics()), *controls.UNITS)
    return [name for name in known if name in table]


def _with(table: pandas.DataFrame, changed: list[str], settings: Mapping[str, Any]) -> pandas.DataFrame:
    """The runs with the baseline's settings and those of a mitigation."""
    wanted = Settings.of({**ablation.BASELINE.settings, **settings})
    fits = table["clip"].notna()
    for name in changed:
        fits &= table[name] == getattr(wanted, name)
    return table[fits.fillna(False)]
