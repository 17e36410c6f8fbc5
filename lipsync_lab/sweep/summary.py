"""The table of all finished runs, ``runs.parquet``, and the pages that show it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from lipsync_lab.metrics import controls, registry
from lipsync_lab.settings import Settings
from lipsync_lab.sweep.store import Store
from lipsync_lab.sweep.work import COMPLETE, RECORDS

if TYPE_CHECKING:
    import pandas

TABLE = "runs.parquet"
#: Columns before the settings, and after them; the metrics follow.
_FIRST = ("run_id", "status", "clip", "voice", "generator", "detector", "name", "domain", "pair")
_LAST = ("seconds", "frames", "reason", "notebooks", "device", "machine", "code")
SETTINGS = tuple(field.name for field in fields(Settings))
#: Settings that hold one whole number, one number, or yes and no; the others are text.
_TYPES = {int: "Int64", float: "float64", bool: "boolean"}
_READERS = 32


def metrics() -> tuple[str, ...]:
    """Columns of numbers: every metric of the registry, then every score of the sound."""
    return (*(metric.name for metric in registry.metrics()), *controls.UNITS)


@cache
def _types() -> dict[str, str]:
    """Every column of the table, in order, with its type."""
    usual = Settings().as_dict()
    whole = dict.fromkeys(("detection_size", "audio_offset"), "Int64")
    settings = {name: whole.get(name) or _TYPES.get(type(usual[name]), "string") for name in SETTINGS}
    return {
        **dict.fromkeys(_FIRST, "string"),
        **settings,
        **dict.fromkeys(_LAST, "string"),
        **{"seconds": "float64", "frames": "Int64"},
        **dict.fromkeys(metrics(), "float64"),
    }


def table_of(records: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row a record: what it was made of, every setting, ``seconds``, ``reason``, and every metric."""
    import pandas as pd

    rows = []
    for record in records:
        settings = {
            name: " ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in record["settings"].items()
        }
        rest = {key: record.get(key) for key in (*_FIRST, *_LAST)}
        rows.append({**rest, **settings, "notebooks": " ".join(record["notebooks"]), **record["metrics"]})
    return _typed(pd.DataFrame(rows))


def _typed(table: pandas.DataFrame) -> pandas.DataFrame:
    types = _types()
    table = table.reindex(columns=list(types))
    texts = [name for name, kind in types.items() if kind == "string"]
    table[texts] = table[texts].astype("string")
    return table.astype(types).fillna(dict.fromkeys(texts, ""))


def joined(tables: Sequence[pandas.DataFrame]) -> pandas.DataFrame:
    """Tables below each other; of two rows of one run the later stays."""
    import pandas as pd

    there = [table for table in tables if len(table)] or [*tables[:1]]
    return pd.concat(there, ignore_index=True).drop_duplicates("run_id", keep="last", ignore_index=True)


def known(store: Store) -> pandas.DataFrame:
    """The finished runs of a store.

    The records are what counts. The table of an earlier call saves reading those of complete runs again.
    """
    import pandas as pd

    there = [name.removesuffix(".json") for name in store.names(RECORDS) if name.endswith(".json")]
    try:
        table = _typed(pd.read_parquet(io.BytesIO(store.read(TABLE) or b"")))
    except (OSError, ValueError, KeyError):  # none is there, or a damaged one
        table = table_of([])
    table = table[table["run_id"].isin(there) & (table["status"] == COMPLETE)]
    missing = sorted(set(there) - set(table["run_id"]))
    with ThreadPoolExecutor(_READERS) as pool:
        records = list(pool.map(lambda run_id: store.json(f"{RECORDS}/{run_id}.json"), missing))
    return joined([table, table_of(record for record in records if record)])


def write_table(store: Store, table: pandas.DataFrame) -> None:
    """Write ``runs.parquet``, sorted by clip, voice, models and run id."""
    file = io.BytesIO()
    in_order(table).to_parquet(file, index=False, compression="zstd")
    store.write(TABLE, file.getvalue())


def in_order(table: pandas.DataFrame) -> pandas.DataFrame:
    return table.sort_values(["name", "clip", "voice", "generator", "detector", "run_id"], ignore_index=True)
