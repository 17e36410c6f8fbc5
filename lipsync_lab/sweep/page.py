"""``index.html`` of a sweep: counts, a matrix of metrics, why runs failed, and every run, some hundred on a page."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lipsync_lab
from lipsync_lab import samples
from lipsync_lab.metrics import registry
from lipsync_lab.reporting import viewer
from lipsync_lab.sweep.store import Store
from lipsync_lab.sweep.summary import SETTINGS
from lipsync_lab.sweep.work import COMPLETE, FAILED, RECORDS, RUNS

if TYPE_CHECKING:
    import pandas

#: Runs on a page: a browser sorts so many rows at once without a wait.
PER_PAGE = 1000
#: Most sorts of failure, and most groups of runs, that the first page names.
_MOST = 100
_HOME = Path(__file__).parent
_DIGITS = re.compile(r"\d+(\.\d+)?")


def medians(table: pandas.DataFrame) -> pandas.DataFrame:
    """Medians over clips of every metric with a threshold, by generator and domain.

    Parameters
    ----------
    table : DataFrame
        Of `summary.table_of`; several runs of a clip by one generator count once, by their mean.

    Returns
    -------
    DataFrame
        generator, domain, metric, label, value, n (clips), share (value over threshold; of a metric that fails below
        its threshold, threshold over value).
    """
    import pandas as pd

    limited = {metric.name: metric for metric in registry.metrics() if metric.failure and metric.name in table}
    done = table[table["status"] == COMPLETE]
    clips = done.groupby(["generator", "domain", "clip"], observed=True)[list(limited)].mean()
    rows = []
    for key, group in clips.groupby(level=["generator", "domain"]):
        for name, metric in limited.items():
            if count := int(group[name].notna().sum()):
                value = float(group[name].median())
                share = value / metric.threshold if metric.direction > 0 else metric.threshold / max(value, 1e-9)
                rows.append((*key, name, registry.label(name), value, count, share))
    return pd.DataFrame(rows, columns=["generator", "domain", "metric", "label", "value", "n", "share"])


def write(store: Store, table: pandas.DataFrame, wanted: int) -> list[str]:
    """Write ``index.html``, and ``index-2.html`` and so on where there are more than `PER_PAGE` runs.

    Parameters
    ----------
    store : Store
    table : DataFrame
        Of `summary.table_of`.
    wanted : int
        Runs that the file asks for.

    Returns
    -------
    list of str
        Names of the pages. They load nothing, and lead to the files of each run.
    """
    limited = [metric for metric in registry.metrics() if metric.failure and table[metric.name].notna().any()]
    beyond = sum((metric.beyond(table[metric.name]).astype(int) for metric in limited), start=0 * table["seconds"])
    order = table.assign(_failed=table["status"] == FAILED, _beyond=beyond.fillna(0))
    order = order.sort_values(["_failed", "_beyond", "name", "run_id"], ascending=[False, False, True, True])
    varied = [name for name in SETTINGS if table[name].nunique(dropna=False) > 1]
    count = max(1, -(-len(table) // PER_PAGE))
    names = ["index.html", *(f"index-{number}.html" for number in range(2, count + 1))]
    script = (Path(viewer.__file__).parent / "sort.js").read_text(encoding="utf-8")
    template = viewer.template(str(_HOME / "index.html.j2"))
    common = {
        **{"pages": names, "per_page": PER_PAGE, "varied": varied, "script": script, "policy": viewer.policy(script)},
        **{"metrics": [(metric.name, registry.label(metric.name), metric.unit) for metric in limited]},
        **{"version": lipsync_lab.__version__, "total": len(table), "wanted": wanted},
        **{"complete": int((table["status"] == COMPLETE).sum()), "failed": int((table["status"] == FAILED).sum())},
    }
    for number, name in enumerate(names):
        part = order.iloc[number * PER_PAGE : (number + 1) * PER_PAGE]
        first = {} if number else {"picture": _picture(table), "groups": _groups(table, varied), "why": _why(table)}
        rows = [_row(row, limited, varied) for row in part.to_dict("records")]
        text = template.render(number=number, rows=rows, **common, **({"picture": "", "groups": [], "why": []} | first))
        store.write(name, text.encode())
    stale = [name for name in store.names("") if re.fullmatch(r"index-\d+\.html", name) and name not in names]
    for name in stale:
        store.remove(name)
    return names


def _row(row: dict[str, Any], limited: list[registry.Metric], varied: list[str]) -> dict[str, Any]:
    run_id = row["run_id"]
    folder = f"{RUNS}/{run_id}/run"
    done = row["status"] == COMPLETE
    links = [("record", f"{RECORDS}/{run_id}.json")]
    if done:
        output = "output.mkv" if row["codec"] == "ffv1" else "output.mp4"
        links += [("video", f"{folder}/{output}"), ("metrics", f"{folder}/evaluation/metrics.csv")]
    links += [(title, f"{RUNS}/{run_id}/{title}.html") for title in row["notebooks"].split()]
    values = [(row[metric.name], bool(metric.beyond(row[metric.name]))) for metric in limited]
    return {
        **row,
        "done": done,
        "links": links,
        "domain": samples.domain_in_words(row["domain"]),
        "chosen": [_text(row[name]) for name in varied],
        "values": [("" if value != value else f"{value:.3g}", bad) for value, bad in values],
        "seconds": f"{row['seconds']:.1f}",
    }


def _text(value: Any) -> str:
    return "none" if value is None or value != value or str(value) in ("", "<NA>") else str(value)


def _groups(table: pandas.DataFrame, varied: list[str]) -> list[dict[str, Any]]:
    """What was combined with what: runs, failures and seconds."""
    by = ["generator", "detector", "domain", *varied]
    shown = table.assign(**{name: table[name].map(_text, na_action=None) for name in by})
    shown["domain"] = table["domain"].map(samples.domain_in_words)
    out = []
    for key, group in shown.groupby(by, sort=True):
        done = group[group["status"] == COMPLETE]
        seconds = f"{done['seconds'].mean():.1f}" if len(done) else ""
        numbers = {"runs": len(group), "failed": int((group["status"] == FAILED).sum()), "seconds": seconds}
        out.append({"key": list(key), "clips": group["clip"].nunique(), **numbers})
    return out[:_MOST]


def _why(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """The reasons of failures, those that differ in numbers alone together, the most frequent first."""
    bad = table[table["status"] == FAILED]
    out = []
    for _, group in bad.groupby(bad["reason"].map(lambda reason: _DIGITS.sub("0", reason))):
        first = group.iloc[0]
        out.append({"count": len(group), "reason": first["reason"], "run_id": first["run_id"], "name": first["name"]})
    return sorted(out, key=lambda row: -row["count"])[:_MOST]


def _picture(table: pandas.DataFrame) -> str:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from lipsync_lab import figures

    file = io.BytesIO()
    ax = figures.generator_matrix(medians(table))
    ax.figure.savefig(file, dpi=110, bbox_inches="tight", format="png")
    plt.close(ax.figure)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
