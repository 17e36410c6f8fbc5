"""`evaluate_pairs`: a table of sources and outputs, each pair measured by itself, and one table of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import files, limits, samples
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.evaluation.cases import plain_names
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.evaluation.result import Evaluation
from lipsync_lab.metrics import registry
from lipsync_lab.progress import Progress

if TYPE_CHECKING:
    import pandas

#: Columns of a table of pairs that name files; every table has the first two.
FILES = ("source", "output", "voice", "detections")
#: Columns that the result adds, before one column per metric.
ADDED = ("status", "reason", "frames", "confidence", "failures", "worst", "evidence")
#: Name of the table of all pairs in its folder.
TABLE = "pairs.csv"


@dataclass(frozen=True)
class Pair:
    """A source and an output of it.

    Attributes
    ----------
    name : str
        Of its folder.
    given : mapping of str to str
        The row of the table, every column of it.
    source, output : Path
    voice, detections : Path or None
    domain : str or None
        One of `samples.CLIP_DOMAINS`.
    """

    name: str
    given: Mapping[str, str]
    source: Path
    output: Path
    voice: Path | None = None
    detections: Path | None = None
    domain: str | None = None


def read_pairs(path: str | Path) -> list[Pair]:
    """Read a table of pairs, and check all that can be checked before anything is measured.

    Parameters
    ----------
    path : path
        A CSV file in UTF-8 with the columns ``source`` and ``output`` (paths from the table's folder, or names of
        samples) and, optionally, ``voice``, ``detections`` (as ``source``), ``domain`` and ``name``. Other columns,
        such as ``model``, are kept.

    Raises
    ------
    MediaError
        The table cannot be read.
    ParameterError
        Names all problems of the table at once, with their lines.
    """
    import pandas as pd

    path = Path(path)
    try:
        limits.checked(path)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise MediaError(f"{path}: the table of pairs cannot be read ({reason}); give a CSV file in UTF-8") from None
    table.columns = [column.strip() for column in table.columns]
    if missing := [column for column in FILES[:2] if column not in table]:
        raise ParameterError(f"{path}: has no column {' and no column '.join(missing)}; it has {', '.join(table)}")
    taken = {metric.name for metric in registry.metrics()} | {*ADDED}
    if clash := [column for column in table if column in taken]:
        raise ParameterError(f"{path}: the results have columns {', '.join(clash)} too; give these columns other names")
    if table.empty:
        raise ParameterError(f"{path}: has no rows; write one line per pair")
    problems, pairs = [], []
    given = [{column: text.strip() for column, text in row.items()} for row in table.to_dict("records")]
    for line, (name, row) in enumerate(zip(_names(given), given, strict=True), start=2):
        paths = {column: _file(row.get(column, ""), path.parent) for column in FILES}
        for column, place in paths.items():
            if place is None and (row.get(column) or column in FILES[:2]):
                problems.append(
                    f"line {line}: {column} {row[column] or 'is empty'}{' is not there' if row[column] else ''}"
                )
        try:
            domain = samples.clip_domain(row.get("domain", "")) or None
        except ParameterError as error:
            problems.append(f"line {line}: {error}")
            continue
        pairs.append(Pair(name, row, **paths, domain=domain))
    if problems:
        raise ParameterError(f"{path}: nothing was measured; {'; '.join(problems)}")
    return pairs


def evaluate_pairs(
    table: str | Path,
    out: str | Path,
    *,
    device: str | None = None,
    force: bool = False,
    finished: Callable[[Pair, Evaluation, Path], None] | None = None,
    progress: Progress | None = None,
    **options,
) -> pandas.DataFrame:
    """Measure every pair of a table.

    A pair whose folder has a current evaluation is not measured again. The table is written after every pair, so that a
    call that was interrupted continues where it stopped.

    Parameters
    ----------
    table : path
        See `read_pairs`.
    out : path
        Folder: a folder per pair with its tables, and `TABLE`.
    device, force
        As for `evaluate.evaluate`.
    finished : callable
        Called with a pair, its evaluation and its folder, once it is measured or read.
    progress : callable, optional
        Called as ``progress(stage, done, total)``; each pair is a stage.
    **options
        Further arguments of `evaluate.evaluate`, the same for all pairs.

    Returns
    -------
    DataFrame
        One row per pair: ``name``; the columns given; ``status``, "measured" or "failed", and the ``reason`` why it
        failed; ``frames`` that were measured; ``confidence`` of the alignment; the number of ``failures``, the kind of
        the ``worst``, and its ``evidence``; and the value of each metric, NaN where it is undefined.

    Raises
    ------
    MediaError, ParameterError
        The table cannot be used; nothing was written.
    """
    pairs, out = read_pairs(table), Path(out)
    if (out / TABLE).resolve() == Path(table).resolve():
        raise ParameterError(f"{table}: the results would overwrite this table; give another folder")
    with files.only_writer(out, "table of pairs"):
        rows = []
        for number, pair in enumerate(pairs, start=1):
            stage = f"[{number}/{len(pairs)}] {pair.name}"
            folder = out / pair.name
            try:
                evaluation = evaluate(
                    pair.source,
                    pair.output,
                    voice=pair.voice,
                    detections=pair.detections,
                    domain=pair.domain,
                    device=device,
                    out=folder,
                    force=force,
                    progress=None if progress is None else _staged(progress, stage),
                    **options,
                )
                if finished is not None:
                    finished(pair, evaluation, folder)
                rows.append(_row(pair, evaluation))
            except LipsyncError as error:
                rows.append({**pair.given, "name": pair.name, "status": "failed", "reason": str(error)})
            if progress is not None:
                progress(stage, 1, 1)
            written = _table(rows, pairs[0].given)
            files.write_text(out / TABLE, written.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        return written


def medians(table: pandas.DataFrame) -> pandas.DataFrame:
    """Medians over sources of every metric, by model and domain.

    Parameters
    ----------
    table : DataFrame
        Of `evaluate_pairs`.

    Returns
    -------
    DataFrame
        ``model``, ``domain`` (where the table has them); ``metric``; ``sources``, their number; ``median`` over them,
        where several outputs of one source count once, by their mean; ``low`` and ``high``, the smallest and the
        largest source: a range, and no interval.
    """
    import pandas as pd

    names = [metric.name for metric in registry.metrics() if metric.name in table]
    by = [column for column in ("model", "domain") if column in table]
    known = table[table["status"] == "measured"]
    rows = []
    for key, group in known.groupby(by, sort=True) if by else [((), known)]:
        sources = group.groupby("source")[names].mean()
        for name in names:
            values = sources[name].dropna()
            if len(values):
                numbers = (len(values), values.median(), values.min(), values.max())
                rows.append((*key, name, *numbers))
    return pd.DataFrame(rows, columns=[*by, "metric", "sources", "median", "low", "high"])


def _row(pair: Pair, evaluation: Evaluation) -> dict:
    worst = evaluation.failures.iloc[0] if len(evaluation.failures) else {"kind": "", "evidence": ""}
    values = evaluation.metrics.set_index("metric")["value"]
    return {
        **pair.given,
        **{"name": pair.name, "status": "measured", "reason": ""},
        "frames": len(evaluation.frames),
        "confidence": (evaluation.alignment or {}).get("confidence", float("nan")),
        **{"failures": len(evaluation.failures), "worst": worst["kind"], "evidence": worst["evidence"]},
        **values.to_dict(),
    }


def _table(rows: Sequence[Mapping], given: Iterable[str]) -> pandas.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows)
    table = table.reindex(columns=list(dict.fromkeys(["name", *given, *ADDED, *table.columns])))
    return table.assign(**{column: table[column].fillna("") for column in ("reason", "worst", "evidence")})


def _staged(progress: Progress, stage: str) -> Progress:
    return lambda step, done, total: progress(f"{stage}: {step.replace(': ', ', ')}", done, total)


def _names(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """A folder's name for each row: its name, else its output's, with the folder in it where that is not unique."""
    outputs = [Path(row["output"]) for row in rows]
    count = Counter(path.stem for path in outputs)
    usual = [path.stem if count[path.stem] == 1 else f"{path.parent.name}_{path.stem}" for path in outputs]
    return plain_names([row.get("name") or name for row, name in zip(rows, usual, strict=True)])


def _file(text: str, folder: Path) -> Path | None:
    """A file from the table's folder, or that of a sample; None where there is none."""
    if text and (folder / text).is_file():
        return folder / text
    return samples.resolve_path(text) if text in samples.SAMPLES else None
