"""A viewer in a page without a network: source, output and difference in step, with curves and failures to click.

`viewer` is a fragment of HTML. A page that holds one or more of them has `style` and `script` once, and `policy` as its
Content-Security-Policy, which allows no other script and no network.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from lipsync_lab.media.difference import CAPTION
from lipsync_lab.metrics import registry

if TYPE_CHECKING:
    import pandas

#: Curves that are always shown; the others are folded away.
_FIRST = 6
_HOME = Path(__file__).parent


def viewer(
    title: str,
    source_video: str,
    output_video: str,
    frames: pandas.DataFrame,
    *,
    fps: float,
    size: tuple[int, int],
    boxes: np.ndarray | None = None,
    metrics: Sequence[str] | None = None,
    failures: pandas.DataFrame | None = None,
    key_frames: Sequence[tuple[str, str]] = (),
) -> str:
    """A fragment of HTML that plays a source and an output of it in step.

    Parameters
    ----------
    title : str
    source_video, output_video : str
        Addresses, from the page, of two videos that a browser plays. Frame n of both is row n of `frames`.
    frames : DataFrame
        `evaluation.Evaluation.frames`; its index is the number that is shown for each frame.
    fps : float
        Frames a second of both videos.
    size : (width, height)
        Pixels in which `boxes` are given; the videos may be smaller.
    boxes : ndarray, float, (N, 4), optional
        A box for each frame, or (1, 4), one for all; NaN where there is none.
    metrics : sequence of str, optional
        Columns of `frames` that become curves, in this order; all with a value if not given, those that fail first.
    failures : DataFrame, optional
        `evaluation.Evaluation.failures`.
    key_frames : sequence of (str, str)
        Addresses of pictures and their captions, which are printed in place of the videos.

    Returns
    -------
    str
        HTML; all text in it is escaped.
    """
    shown = failures.to_dict("records") if failures is not None else []
    rows = {int(number): row for row, number in enumerate(frames.index)}
    spans = [
        {**failure, "start": rows[failure["first"]], "stop": rows[failure["last"]] + 1, "row": rows[failure["worst"]]}
        for failure in shown
    ]
    names = _names(frames, shown) if metrics is None else list(metrics)
    curves = [_curve(name, frames[name].to_numpy(float), spans) for name in names]
    data = {
        "fps": float(fps),
        "frames": [int(number) for number in frames.index],
        "boxes": [] if boxes is None else [_numbers(box) for box in np.asarray(boxes, float)],
        "curves": [_numbers(frames[name].to_numpy(float)) for name in names],
    }
    # no "<" in a script element that holds data: it must not end early
    packed = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return template("viewer.j2").render(
        title=title,
        source=source_video,
        output=output_video,
        count=len(frames),
        size=size,
        data=packed,
        curves=curves,
        first=_FIRST,
        failures=spans,
        key_frames=key_frames,
        difference=CAPTION,
    )


def style() -> str:
    """CSS of all viewers of a page."""
    return (_HOME / "viewer.css").read_text(encoding="utf-8")


def script() -> str:
    """JavaScript of all viewers of a page; goes at its end."""
    return (_HOME / "viewer.js").read_text(encoding="utf-8")


def policy(*scripts: str) -> str:
    """The Content-Security-Policy of a page that runs these inline scripts only, and loads nothing from a network."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    media = "'self' file: data: blob:"
    return (
        f"default-src 'none'; img-src {media}; media-src {media}; style-src 'unsafe-inline'; "
        f"script-src {hashes or chr(39) + 'none' + chr(39)}; base-uri 'none'; form-action 'none'"
    )


@cache
def template(name: str) -> jinja2.Template:
    """A template of this folder, which escapes all text for HTML."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string((_HOME / name).read_text(encoding="utf-8"))


def _names(frames: pandas.DataFrame, failures: Sequence[dict]) -> list[str]:
    """Metrics that have a value, those of the worst failures first."""
    failing = dict.fromkeys(failure["metric"] for failure in failures)
    known = [
        metric.name for metric in registry.metrics() if metric.name in frames and frames[metric.name].notna().any()
    ]
    return [name for name in failing if name in known] + [name for name in known if name not in failing]


def _curve(name: str, values: np.ndarray, failures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A metric's path in a drawing of one unit a frame and 100 units of height."""
    metric = next((metric for metric in registry.metrics() if metric.name == name), None)
    limit = metric.threshold if metric is not None and metric.failure else np.nan
    known = np.append(values[~np.isnan(values)], [0.0, *([limit] if limit == limit else [])])
    low, high = known.min(), known.max()
    height = 94 - 88 * (values - low) / ((high - low) or 1)
    path, pen = [], "M"
    for frame, y in enumerate(height):
        if np.isnan(y):
            pen = "M"
            continue
        path.append(f"{pen}{frame:g} {y:.1f}H{frame + 1:g}")
        pen = "L"
    return {
        "name": registry.label(name),
        "column": name,
        "unit": "" if metric is None else metric.unit,
        "path": "".join(path),
        "threshold": None if limit != limit else round(94 - 88 * (limit - low) / ((high - low) or 1), 1),
        "limit": None if limit != limit else f"{limit:g}",
        "failing": [failure for failure in failures if failure["metric"] == name],
        "median": f"{np.nanmedian(values):.3g}" if len(known) > 1 and not np.isnan(values).all() else "–",
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.4g}") for value in values]
