"""The pages of `evaluate`: one pair with its viewer and its table, and the table of many pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import files
from lipsync_lab.evaluation import many, text
from lipsync_lab.evaluation.alignment import Alignment, aligned_pairs
from lipsync_lab.evaluation.result import Evaluation
from lipsync_lab.files import write_text
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import open_clip
from lipsync_lab.media.difference import CAPTION
from lipsync_lab.metrics import registry
from lipsync_lab.reporting import media
from lipsync_lab.reporting import viewer as viewers

if TYPE_CHECKING:
    import pandas

#: Folder of the videos and pictures, beside the page.
MEDIA = "media"
#: Pixels of the videos' longest side, their quality, the most pictures of failures, and the pixels of their height.
_LONGEST, _CRF, _PICTURES, _HEIGHT = 640, 20, 4, 380
#: The metric of sync that the table shows, and the scores that are in a sentence below it: of the whole clip.
_SYNC, _OF_CLIP = "syncnet_distance_per_frame", ("syncnet_distance", "syncnet_distance_at_zero")
#: Metrics whose failures no single picture shows.
_UNSEEN = (_SYNC, "mouth_change_during_hold", "temporal_flicker", "box_jitter_on_holds", "identity_switch")
#: Version of what is rendered.
_LAYOUT = 5


def write(
    folder: str | Path,
    evaluation: Evaluation,
    source: str | Path,
    output: str | Path,
    *,
    voice: str | Path | None = None,
    title: str = "",
    about: Mapping[str, str] | None = None,
) -> Path:
    """Write ``index.html`` and its `MEDIA` beside the tables of an evaluation, unless they are those of it already.

    Parameters
    ----------
    folder : path
        The folder that `evaluate` wrote its tables into.
    evaluation : Evaluation
    source, output : path
        The videos that were compared.
    voice : path, optional
        That of the output; its own sound if not given.
    title : str
        Name of the pair; the names of the two files if not given, with their folders if these are equal.
    about : mapping of str to str, optional
        Facts on the pair, such as the model.

    Returns
    -------
    Path
        Of the page. It needs no network.
    """
    folder, (source_name, output_name) = Path(folder), _names(Path(source), Path(output))
    title = title or f"{output_name} against {source_name}"
    page, note = folder / "index.html", folder / MEDIA / "made.json"
    wanted = [_LAYOUT, files.sha256(folder / "about.json")]
    if not (note.is_file() and json.loads(note.read_text(encoding="utf-8"))["of"] == wanted):
        made = _rendered(folder / MEDIA, evaluation, Path(source), Path(output), voice)
        write_text(note, json.dumps({"of": wanted, **made}) + "\n")
    made = json.loads(note.read_text(encoding="utf-8"))
    pictures = [(f"{MEDIA}/{name}", caption) for name, caption in made["pictures"]]
    shown = viewers.viewer(
        title,
        f"{MEDIA}/source.mp4",
        f"{MEDIA}/output.mp4",
        evaluation.frames,
        fps=made["fps"],
        size=made["size"],
        boxes=_boxes(evaluation),
        failures=evaluation.failures,
        key_frames=pictures,
    )
    facts = {"source": source_name, "output": output_name, **(about or {})}
    if evaluation.domain:
        facts["domain"] = evaluation.domain
    tables = sorted(path.name for path in folder.iterdir() if path.suffix in (".csv", ".json"))
    write_page(
        page,
        evaluation,
        title,
        shown,
        facts=facts,
        files=[(name, name) for name in tables],
        close_up=pictures[0],
        note="The videos above are small copies, encoded again; everything was measured on the files themselves.",
    )
    return page


def _names(source: Path, output: Path) -> tuple[str, str]:
    """Names of two files by which they can be told apart."""
    if source.name != output.name:
        return source.name, output.name
    return tuple(f"{path.resolve().parent.name}/{path.name}" for path in (source, output))


def write_page(
    path: Path,
    evaluation: Evaluation,
    title: str,
    viewer: str,
    *,
    facts: Mapping[str, str],
    files: Sequence[tuple[str, str]],
    close_up: tuple[str, str],
    note: str = "",
) -> None:
    """Write the page of one source and output: a viewer, and the table of metrics.

    Parameters
    ----------
    path : Path
    evaluation : Evaluation
    title : str
    viewer : str
        Of `viewer.viewer`.
    facts : mapping of str to str
        On the pair; empty ones are left out.
    files : sequence of (str, str)
        Addresses, from the page, and names of files that the page leads to.
    close_up : (str, str)
        Address and caption of the picture that shows source, output and difference at the mouth.
    note : str
        About the videos.
    """
    metrics = evaluation.metrics
    elsewhere = metrics["metric"].isin(_elsewhere(metrics))
    content = {
        "title": title,
        "facts": {name: value for name, value in facts.items() if value},
        "sentences": sentences(evaluation),
        "viewer": viewer,
        "close_up": close_up,
        "difference": CAPTION,
        "rows": (rows := _metric_rows(metrics[metrics["value"].notna() & ~elsewhere])),
        "sync": _whole_clip(metrics),
        "quartiles": any(row["spread"] for row in rows),
        "undefined": [
            (reason, [registry.label(name) for name in rows["metric"]])
            for reason, rows in metrics[metrics["value"].isna()].groupby("reason", sort=False)
        ],
        "notes": [
            (reason, [registry.label(name) for name in rows["metric"]])
            for reason, rows in metrics[metrics["value"].notna() & (metrics["reason"] != "")].groupby("reason")
        ],
        "region": _region_evidence(evaluation),
        "networks": evaluation.about,
        "files": files,
        "note": note,
    }
    write_text(path, _page("evaluation.html.j2", content, viewers.script()))


def write_pairs(out: str | Path, table: pandas.DataFrame) -> Path:
    """Write the ``index.html`` of many pairs.

    Parameters
    ----------
    out : path
        The folder of `many.evaluate_pairs`.
    table : DataFrame
        What it returned.
    """
    out = Path(out)
    names = [metric.name for metric in registry.metrics() if metric.name in table and table[metric.name].notna().any()]
    shares = [name for name in names if _metric(name).failure and _metric(name).stage != "detection"]
    about = [column for column in ("model", "domain") if column in table]
    content = {
        "title": f"{len(table)} pairs of source and output",
        "measured": int((table["status"] == "measured").sum()),
        "failed": table[table["status"] == "failed"].to_dict("records"),
        "about": about,
        "metrics": [{"name": name, "label": registry.label(name), "unit": _metric(name).unit} for name in shares],
        "rows": [
            {
                **row,
                "values": [(_number(row[name]), bool(_metric(name).beyond(row[name]))) for name in shares],
                "page": f"{row['name']}/index.html",
                "picture": f"{row['name']}/{MEDIA}/{picture}" if (picture := _thumbnail(out / row["name"])) else "",
            }
            for row in table[table["status"] == "measured"].to_dict("records")
        ],
        "medians": _median_rows(table, shares, about),
    }
    script = Path(__file__).with_name("sort.js").read_text(encoding="utf-8")
    write_text(out / "index.html", _page("pairs.html.j2", content, script))
    return out / "index.html"


def sentences(evaluation: Evaluation) -> list[str]:
    """What an evaluation says, most important first: the failures, the alignment, the edited region."""
    table = evaluation.metrics
    failed = table[table["failed"] > 0].set_index("metric")
    # in the order of the pictures
    order = [metric for metric in _seen_first(evaluation.failures)["metric"].unique() if metric in failed.index]
    parts = [
        f"{registry.label(row.Index)} in {row.failed} of {row.n_frames} frames"
        for row in failed.loc[order].itertuples()
    ]
    out = [f"Beyond the threshold: {'; '.join(parts)}." if parts else "No metric is beyond its threshold in any frame."]
    if evaluation.alignment is not None:
        out.append(_sentence(text.alignment(evaluation.alignment)))
    else:
        out.append("Aligned: output frame n is source frame n, pixel by pixel.")
    if evaluation.region is not None:
        out.append(_sentence(text.region(evaluation.region, len(evaluation.frames))))
    return out


def _region_evidence(evaluation: Evaluation) -> str:
    """What the edited region rests on; empty where a sentence above says so, or where there is none."""
    if evaluation.region is None or evaluation.region["kind"] == "none":
        return ""
    return f"The edited region rests on this: {text.region_evidence(evaluation.region)}."


def _rendered(folder: Path, evaluation: Evaluation, source: Path, output: Path, voice) -> dict[str, Any]:
    """Write videos and pictures; returns frames a second, the frames' size, and the pictures with their captions."""
    count, boxes = len(evaluation.frames), _boxes(evaluation)
    captions = _key_frames(evaluation)
    fps, first, pairs = _pairs(source, output, evaluation.alignment)
    sound, start = None, first / fps * audio.SAMPLE_RATE
    if voice is not None or video.probe(output).has_sound:
        wave = audio.load(output if voice is None else voice)
        sound = audio.Sound.from_wave(wave[round(start) : round(start + count / fps * audio.SAMPLE_RATE)])
    pictures, size, scale = [], None, 1.0
    with (
        video.Writer(folder / "source.mp4", fps=fps, crf=_CRF) as before,
        video.Writer(folder / "output.mp4", fps=fps, crf=_CRF, sound=sound) as after,
    ):
        for row, images in zip(range(count), pairs, strict=False):
            if size is None:
                size = images[0].shape[1], images[0].shape[0]
                scale = min(1.0, _LONGEST / max(size))
            if row in captions:
                box = np.full(4, np.nan) if boxes is None else boxes[min(row, len(boxes) - 1)]
                pictures.append((f"frame-{row}.jpg", captions[row]))
                square = media.around_region(box)
                media.jpeg(folder / pictures[-1][0], media.beside(*images, square, _HEIGHT, margin=0.0))
            for image, writer in zip(images, (before, after), strict=True):
                writer.write(image if scale == 1 else media.scaled(image, scale))
    order = list(captions)
    pictures.sort(key=lambda picture: order.index(int(picture[0][6:-4])))
    return {"fps": float(fps), "size": size, "pictures": pictures}


def _pairs(
    source: Path, output: Path, alignment: dict | None
) -> tuple[Fraction, int, Iterator[tuple[np.ndarray, np.ndarray]]]:
    """Frames a second, the first output frame that shows the source, and the frame pairs that were measured."""
    first, second = open_clip(source), open_clip(output)
    if alignment is not None:
        given = Alignment.of(alignment)
        return given.fps, int((given.order() >= 0).argmax()), aligned_pairs(first, second, given)
    # encoders round odd sides up
    pairs = zip(first.read(0, None), second.read(0, None), strict=False)
    return first.fps, 0, ((image, shown[: image.shape[0], : image.shape[1]]) for image, shown in pairs)


def _boxes(evaluation: Evaluation) -> np.ndarray | None:
    """The edited region, one box for all frames; None where it is not known."""
    box = (evaluation.region or {}).get("box")
    return None if box is None else np.array([box], float)


def _key_frames(evaluation: Evaluation) -> dict[int, str]:
    """Rows and captions of the worst frames, one a kind of failure; without a failure the middle frame.

    What no single picture shows comes last, such as a mouth that is out of sync.
    """
    rows = {number: row for row, number in enumerate(evaluation.frames.index)}
    out: dict[int, str] = {}
    for failure in _seen_first(evaluation.failures.drop_duplicates("kind")).itertuples():
        if len(out) < _PICTURES:
            out.setdefault(rows[failure.worst], f"{failure.kind}, frame {failure.worst}: {failure.evidence}")
    middle = len(rows) // 2
    return out or {middle: f"frame {evaluation.frames.index[middle]}, nothing failed"}


def _seen_first(failures: pandas.DataFrame) -> pandas.DataFrame:
    """Failures, the worst first, those that no single picture shows last."""
    return failures.iloc[failures["metric"].isin(_UNSEEN).to_numpy().argsort(kind="stable")]


def _elsewhere(metrics: pandas.DataFrame) -> tuple[str, ...]:
    """Scores that the table leaves out: they measure what its row of sync does, over the whole clip."""
    return _OF_CLIP if _has(metrics, _SYNC) else ()


def _has(metrics: pandas.DataFrame, name: str) -> bool:
    return bool(metrics.set_index("metric")["value"].notna().get(name, False))


def _whole_clip(metrics: pandas.DataFrame) -> str:
    """The SyncNet distance of the whole clip as a sentence; empty where the table has no row of sync."""
    if not _elsewhere(metrics) or not all(_has(metrics, name) for name in _OF_CLIP):
        return ""
    value = metrics.set_index("metric")["value"]
    best, zero = (_number(value[name]) for name in _OF_CLIP)
    return (
        f"{registry.label(_SYNC)[0].upper()}{registry.label(_SYNC)[1:]} is the SyncNet distance, the median of single "
        f"frames. Over the whole clip it is {zero} with the sound as it is, and {best} at the offset where it is least "
        f"({value.get('av_offset', 0):.0f} frames)."
    )


def _metric_rows(metrics: pandas.DataFrame) -> list[dict[str, Any]]:
    out = []
    for row in metrics.to_dict("records"):
        limits = [_number(row.get(name, np.nan)) for name in ("low", "high")]
        out.append(
            {
                **row,
                "label": registry.label(row["metric"]),
                "column": row["metric"] if text.page_name(row["metric"]) else "",
                "value": _number(row["value"]),
                "spread": f"{limits[0]} to {limits[1]}" if all(limits) else "",
                "threshold": _number(row["threshold"]),
                "coverage": f"{row['coverage']:.0%}",
            }
        )
    return out


def _median_rows(table: pandas.DataFrame, names: list[str], about: list[str]) -> list[dict[str, Any]]:
    """A row per model and domain, a cell a metric."""
    medians = many.medians(table)
    out = []
    for key, group in medians.groupby(about, sort=True) if about else [((), medians)]:
        cells = group.set_index("metric").reindex(names)
        out.append(
            {
                "group": [*key],
                "sources": int(group["sources"].max()),
                "cells": [
                    (_number(cell.median), f"{_number(cell.low)} to {_number(cell.high)}" if cell.sources > 1 else "")
                    for cell in cells.itertuples()
                ],
            }
        )
    return out


def _thumbnail(folder: Path) -> str:
    """The picture of a pair's worst failure."""
    note = folder / MEDIA / "made.json"
    return json.loads(note.read_text(encoding="utf-8"))["pictures"][0][0] if note.is_file() else ""


def _metric(name: str) -> registry.Metric:
    return next(metric for metric in registry.metrics() if metric.name == name)


def _number(value: float) -> str:
    return "" if value != value else f"{round(value, 4):.3g}"


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."


def _page(template: str, content: Mapping[str, Any], script: str) -> str:
    import lipsync_lab

    return viewers.template(template).render(
        style=viewers.style(),
        script=script,
        policy=viewers.policy(script),
        version=lipsync_lab.__version__,
        **content,
    )
