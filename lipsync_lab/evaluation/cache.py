"""Evaluations on disk: tables and ``evaluation.json`` beside an ``about.json``, which has their hashes and its own.

A folder counts as an evaluation if every hash in it is right. Anything else, whatever is wrong with it, is a miss.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import marshal
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lipsync_lab import files
from lipsync_lab.detection.shots import Shots
from lipsync_lab.evaluation.result import SCHEMA, Evaluation
from lipsync_lab.metrics import registry

#: Attributes of an evaluation that are no tables.
_REST = ("about", "domain", "alignment", "region", "facts")
#: Code that the numbers depend on: modules and packages of `lipsync_lab`.
_CODE = (*("metrics", "evaluation", "detection", "generation", "media", "geometry", "plan"),)


def key(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of all that an evaluation depends on.

    Parameters
    ----------
    inputs : mapping
        Whatever JSON can hold: hashes of the files and of the networks' weights, settings.

    Returns
    -------
    str
        Of `inputs`, the declarations of all metrics (thresholds among them), the parameters of the cut detector, and
        the code that measures.
    """
    content = {
        "schema": SCHEMA,
        "inputs": inputs,
        "metrics": [_declaration(metric) for metric in registry.metrics()],
        "cut_detector": {
            name: parameter.default
            for name, parameter in inspect.signature(Shots).parameters.items()
            if parameter.default is not parameter.empty
        },
    }
    digest, here = hashlib.sha256(_canonical(content)), Path(__file__).resolve().parents[1]
    for name in _CODE:
        paths = sorted((here / name).rglob("*.py")) or [here / f"{name}.py"]
        for path in paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _declaration(metric: registry.Metric) -> dict[str, str]:
    out = {}
    for field in fields(metric):
        value = getattr(metric, field.name)
        code = getattr(value, "__code__", None)
        if code is not None:
            out[field.name] = hashlib.sha256(marshal.dumps(code, 2)).hexdigest()
        elif field.name != "artifact":
            out[field.name] = repr(value)
    return out


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, default=str).encode()


def texts(evaluation: Evaluation) -> dict[str, str]:
    """The tables as files hold them, by file name; failures and metrics are those of the numbers as written."""

    def text(content, index: bool = False) -> str:
        return content.to_csv(index=index, lineterminator="\n", float_format="%.6g")

    tables = {
        "frames.csv": text(evaluation.frames, True),
        "scores.csv": text(evaluation.scores),
        "curves.csv": text(evaluation.curves),
    }
    written = parsed(tables, _rest(evaluation))
    return tables | {"failures.csv": text(written.failures), "metrics.csv": text(written.metrics)}


def parsed(tables: Mapping[str, str], rest: Mapping[str, Any]) -> Evaluation:
    """The evaluation that `texts` came from, with the digits that the files have; `rest` is what is not a table."""
    import pandas as pd

    frames = pd.read_csv(io.StringIO(tables["frames.csv"]), index_col="frame")
    frames["cause"] = frames["cause"].astype(object).fillna("")
    scores = pd.read_csv(io.StringIO(tables["scores.csv"]))
    scores["reason"] = scores["reason"].astype(object).fillna("")
    return Evaluation(frames, scores, pd.read_csv(io.StringIO(tables["curves.csv"])), **rest)


def rounded(evaluation: Evaluation) -> tuple[dict[str, str], Evaluation]:
    """The tables as files hold them, and the evaluation with the same digits: a cached one equals a new one."""
    tables = texts(evaluation)
    return tables, parsed(tables, _rest(evaluation))


def _rest(evaluation: Evaluation) -> dict[str, Any]:
    return {name: getattr(evaluation, name) for name in _REST}


def write(folder: Path, tables: Mapping[str, str], evaluation: Evaluation, own_key: str) -> None:
    """Write the tables, ``evaluation.json``, and ``about.json`` last, so that an interrupted evaluation is a miss."""
    (folder / "about.json").unlink(missing_ok=True)
    for name, text in tables.items():
        files.write_text(folder / name, text)
    written = json.dumps(evaluation.as_dict(), indent=1) + "\n"
    files.write_text(folder / "evaluation.json", written)
    hashes = {name: _sha256(text.encode()) for name, text in {**tables, "evaluation.json": written}.items()}
    about = {"schema": SCHEMA, "key": own_key, "evaluation": _rest(evaluation), "tables": hashes}
    about["sha256"] = _sha256(_canonical(about))
    files.write_text(folder / "about.json", json.dumps(about, indent=1) + "\n")


def read(folder: Path, own_key: str) -> Evaluation | None:
    """The evaluation in a folder; None where there is none of that key, or where any of its files was changed."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(about, dict):
        return None
    own = about.pop("sha256", None)
    if own != _sha256(_canonical(about)) or about.get("key") != own_key or "evaluation" not in about:
        return None
    tables = {}
    for name, wanted in about["tables"].items():
        try:
            content = (folder / name).read_bytes()
        except OSError:
            return None
        if _sha256(content) != wanted:
            return None
        tables[name] = content.decode()
    return parsed(tables, about["evaluation"])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
