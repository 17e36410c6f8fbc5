"""The banner of a page: the models behind its pictures, and what these are evidence of."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import bundled, samples
from lipsync_lab.detection import auto
from lipsync_lab.evaluation.findings import plain
from lipsync_lab.files import write_text
from lipsync_lab.metrics.registry import label
from lipsync_lab.models import registry
from lipsync_lab.reporting.safe import clean

#: Cards of methods, which have no weights of their own.
_CARDS = bundled.folder("cards")
#: Models that a generator or a detector consists of.
_PARTS = {"cel": ("mouth-locator-lab", "visemes-lab"), "auto": ("s3fd-lab", "mouth-locator-lab")}

if TYPE_CHECKING:
    import pandas
    from IPython.display import Markdown

    from lipsync_lab.detection import Detector
    from lipsync_lab.pipeline import Pipeline
    from lipsync_lab.reporting.variants import Variant


def banner(pipeline: Pipeline) -> str:
    """Markdown for the top of a page: the models behind its pictures, and what these are evidence of.

    Names from files (weights, `detections.json`) are escaped: HTML and links in them do not work.
    """
    return (
        f"> **Models.** {plain(models_sentence(pipeline))}\n>\n"
        f"> **What these pictures are evidence of.** {plain(evidence_note(pipeline))}\n"
    )


def draw(figure: Callable[..., Any], table: pandas.DataFrame, otherwise: str, **options: Any) -> None:
    """Draw a figure of a table in a notebook; of a table without rows, show a sentence in place of an empty figure.

    Parameters
    ----------
    figure : callable
        Of `lipsync_lab.figures`; called with the table and the options.
    table : DataFrame
    otherwise : str
        Markdown: why there is no figure.
    """
    from IPython.display import Markdown, display

    if len(table):
        figure(table, **options)
    else:
        display(Markdown(otherwise))


def table_or(table: pandas.DataFrame, otherwise: str) -> pandas.DataFrame | Markdown:
    """A table for a notebook to show, `headed`; of one without rows, a sentence of Markdown in its place."""
    from IPython.display import Markdown

    return headed(table) if len(table) else Markdown(otherwise)


def counts_or(effects: pandas.DataFrame) -> pandas.DataFrame | Markdown:
    """The number of units of every metric and why one has no interval; a sentence where all metrics are alike.

    Parameters
    ----------
    effects : DataFrame
        Of `evaluation.comparison.matched`.
    """
    from IPython.display import Markdown

    known = effects[effects["n"] > 0].set_index("label")[["n", "reason"]].sort_index()
    if known.empty:
        return Markdown("No metric has a pair.")
    if len(known.drop_duplicates()) > 1 or not known["reason"].iloc[0]:
        return headed(known)
    return Markdown(f"All {len(known)} metrics have {known['reason'].iloc[0]} of an interval.")


def models_sentence(pipeline: Pipeline) -> str:
    """The models behind the pictures, as a sentence of plain text."""
    restorer = getattr(pipeline.generator, "restorer", None)
    restored = f", restorer {restorer['name']}" if restorer else ""
    return f"Generator {pipeline.generator.name}{restored}, detector {detector_in_words(pipeline.detector)}."


def detector_in_words(detector: Detector) -> str:
    """The name of a detector; of `auto`, also the detectors that it applies here."""
    if detector.identity["detector"] != auto.NAME:
        return detector.name
    if auto.SECOND in detector.identity:
        return f"auto ({auto.FIRST}, and {auto.SECOND} in frames where that proposes no face with a mouth)"
    return f"auto ({auto.FIRST} alone: the file of {auto.SECOND} is not there)"


def models_line(pipeline: Pipeline) -> str:
    """One sentence of plain text on what the pictures of a generator show, for the first page of a report."""
    name = pipeline.generator.name
    model = registry.MODELS.get(name)
    if name == "untrained":
        return "The generator has random weights: its mouths are noise."
    if name == "identity":
        return "The generator returns its input: differences come from crop, paste and encoding."
    if name == "cel":
        return (
            "cel takes its mouths from the clip or from a chart of shapes, in the line of the clip; it is not Wav2Lip."
        )
    if model is None:
        return f"The weights {name} are your own: the numbers are evidence of these weights."
    if model.url is None:
        return (
            f"{name} is a small model that this project trained: the numbers show which failures occur and that they "
            "are measured, not Wav2Lip's own quality."
        )
    return f"{name} has the published weights."


def cards(out: Path, variants: Sequence[Variant]) -> list[tuple[str, str]]:
    """Write the cards of the variants' bundled models as pages of a report; returns their titles and addresses.

    A generator or detector that consists of several models (`_PARTS`) has theirs after its own, and so has a generator
    that of its restorer.
    """
    import jinja2
    from nbconvert.filters import markdown2html

    page = jinja2.Environment(autoescape=True).from_string(
        '<!DOCTYPE html><meta charset="utf-8"><title>{{ name }}</title>'
        "<style>body { font: 15px/1.5 sans-serif; max-width: 1000px; margin: 1rem auto; padding: 0 1rem; } "
        "table { border-collapse: collapse; } th, td { border-bottom: 1px solid #ddd; padding: .2rem .5rem; "
        "text-align: left; }</style>{{ text | safe }}"
    )
    names = []
    for pipeline in (variant.pipeline for variant in variants):
        restorer = getattr(pipeline.generator, "restorer", None)
        names += [pipeline.generator.name, *([restorer["name"]] if restorer else []), pipeline.detector.name]
    known, texts = [each for name in names for each in (name, *_PARTS.get(name, ()))], {}
    for name in dict.fromkeys(known):
        card = next((path for path in (registry.HOME / f"{name}.md", _CARDS / f"{name}.md") if path.is_file()), None)
        if card is not None and (name in registry.MODELS or name in _PARTS):
            texts[name] = card.read_text(encoding="utf-8")
    for name, text in texts.items():
        text = clean(markdown2html(_within_report(text, texts)))
        write_text(out / "models" / f"{name}.html", page.render(name=name, text=text))
    return [(name, f"models/{name}.html") for name in texts]


def _within_report(text: str, written: Collection[str]) -> str:
    """A card without what only the documentation has: pictures with their captions, and links to other pages."""

    def link(match: re.Match) -> str:
        words, address = match.groups()
        name = address.removesuffix(".md")
        return f"[{words}]({name}.html)" if name in written else match[0] if ":" in address else words

    text = re.sub(r"^!\[[^\]]*\]\([^)]*\)\n\n(\*[^\n]*\*\n)?", "", text, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\(([^)]*)\)", link, text)


def evidence_note(pipeline: Pipeline) -> str:
    """What pictures of these models are evidence of, and what not: plain text."""
    weights, identity = pipeline.generator, pipeline.detector.identity
    model = registry.MODELS.get(weights.name)
    if weights.name == "untrained":
        mouths = (
            "The generator has random weights, so its mouths are noise. The pictures show that audio, frames, boxes, "
            "crops and pastes are aligned; only the published weights can show which mouths Wav2Lip generates."
        )
    elif weights.name == "identity":
        mouths = (
            "The generator returns its input, so every difference from the source comes from crop, resize, paste and "
            "encoding; only the published weights can show which mouths Wav2Lip generates."
        )
    elif weights.name == "cel":
        mouths = (
            "The generated mouths come from the clip or from a chart of shapes, in the line and colours of the clip, "
            "and from no network of Wav2Lip's kind."
        )
    elif model is None:
        mouths = f"The generator's weights are your own ({weights.name}): the pictures are evidence of these weights."
    elif model.url is None:
        mouths = (
            f"The generator is a small one that this project trained (checkpoints/{weights.name}.md has its quality): "
            "the pictures show which kinds of failure occur and that they are measured; how strong they are in Wav2Lip "
            "only the published weights can show."
        )
    else:
        mouths = "The generator has the published weights: these pictures are what Wav2Lip generates for these clips."
    if identity["detector"] == "recorded":
        origin = identity.get("origin", {}).get("name", "the program that wrote the file")
        boxes = f"The boxes were recorded earlier, by {origin}, or given by hand."
    elif identity["detector"] == "fixed":
        boxes = "The box was given by hand: nothing was detected."
    elif identity["detector"] == "lbp":
        boxes = (
            "The detector is a small cascade: its missed detections are no evidence about S3FD, the detector that "
            "Wav2Lip was published with."
        )
    elif pipeline.detector.name == "s3fd":
        boxes = "The detector is the published S3FD: users of Wav2Lip meet the same missed detections."
    else:
        boxes = (
            f"The detector is {pipeline.detector.name}, which is not the published S3FD: its missed detections are "
            "evidence about this detector only."
        )
    return f"{mouths} {boxes}"


#: Columns of tables in words, as notebooks show them; other names lose their underscores.
_HEADERS = {
    "among_detected": "share among detected",
    "among_missed": "share among missed",
    "clip_count": "clips",
    "coverage": "share of the frames",
    "detected": "detected or copied",
    "failed": "failing frames",
    "first": "from frame",
    "last": "to frame",
    "worst": "worst frame",
    "false_positives": "false positives per frame",
    "false_positives_worst": "false positives per frame, worst clip",
    "gan": "with a discriminator",
    "held": "share of held frames",
    "high": "95 % CI to",
    "iou": "overlap (IoU)",
    "label": "metric",
    "longest": "longest dropout (frames)",
    "low": "95 % CI from",
    "max_dropout": "longest dropout that is filled (frames)",
    "missed_detection": "missed detections",
    "missed_share": "share missed",
    "mouth_change_during_hold": "share of held frames with a mouth change",
    "mouth_change_during_hold_covered": "share of held frames with a mouth",
    "mouth_ms": "median mouth (ms)",
    "mouth_ms_shortest": "shortest mouth (ms)",
    "mouths_too_short": "share of mouths under 70 ms",
    "ms": "CPU time (ms a frame)",
    "n_frames": "frames measured",
    "n_other": "n (counterpart)",
    "of": "of missed frames",
    "other": "counterpart",
    "p_adjusted": "adjusted p",
    "provenance": "origin of the box",
    "recall_high": "recall, 95 % CI to",
    "recall_low": "recall, 95 % CI from",
    "runs": "dropouts",
    "what": "what is unusual",
}
#: The most digits after the point of a number in a table; two digits that count of a number below the second.
_DIGITS, _SMALL = 3, 0.01


def headed(table: pandas.DataFrame) -> pandas.DataFrame:
    """A table for a notebook to show: headers and values in words, and no second row of headers.

    Truth values become yes and no, an absent number a dash, metrics and domains their readable names; the numbers of a
    column have the same digits after the point, as few as they need and three at most, but for numbers below 0.01,
    which are shown to two digits that count.

    Parameters
    ----------
    table : DataFrame
        Each level of its index becomes a column, except the first; its name stands in the corner. Without a named index
        its first column does so.
    """
    if table.index.names == [None] and table.index.dtype.kind == "i":
        table = table.set_index(table.columns[0])
    first, *levels = table.index.names
    out = table.reset_index(level=levels) if levels else table.copy()
    for name in out.columns:
        out[name] = _in_words(name, out[name])
    out.index = _in_words(first, out.index.to_series())
    # columns of a pivoted table are values, such as names of clips
    own = set() if table.columns.name is None else set(table.columns)
    out.columns = [name if name in own else _header(name) for name in out.columns]
    return out.rename_axis(index=None, columns=_header(first) if first else first)


def _header(name: object) -> str:
    return _HEADERS.get(name, str(name).replace("_", " "))


def _in_words(name: object, values: pandas.Series) -> pandas.Series:
    """The values of a column as text, where they are more than counts."""
    kind = values.dtype.kind
    if kind == "b":
        return values.map({True: "yes", False: "no"})
    if kind == "f":
        known = values.dropna().round(_DIGITS)
        digits = next((few for few in range(_DIGITS) if (known == known.round(few)).all()), _DIGITS)
        return values.map(lambda number: _short(number, digits))
    if name == "domain":
        return values.map(samples.domain_in_words)
    if name == "metric":
        return values.map(label)
    return values if kind in "iu" else values.map(lambda value: "–" if value is None or value != value else value)


def _short(number: float, digits: int) -> str:
    if number != number:
        return "–"
    if 0 < abs(number) < _SMALL:
        digits = max(digits, 1 - math.floor(math.log10(abs(number))))
    return f"{round(number, digits) + 0:.{digits}f}"
