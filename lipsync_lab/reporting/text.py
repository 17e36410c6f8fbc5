"""The banner of a page: the models behind its pictures, and what these are evidence of."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import bundled
from lipsync_lab.evaluation.findings import plain
from lipsync_lab.files import write_text
from lipsync_lab.models import registry
from lipsync_lab.reporting.safe import clean

#: Cards of methods, which have no weights of their own.
_CARDS = bundled.folder("cards")
#: Models that a generator or a detector consists of.
_PARTS = {"cel": ("mouth-locator-lab", "visemes-lab"), "auto": ("s3fd-lab", "mouth-locator-lab")}

if TYPE_CHECKING:
    import pandas
    from IPython.display import Markdown

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


def models_sentence(pipeline: Pipeline) -> str:
    """The models behind the pictures, as a sentence of plain text."""
    return f"Generator {pipeline.generator.name}, detector {pipeline.detector.name}."


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

    A generator or detector that consists of several models (`_PARTS`) has theirs after its own.
    """
    import jinja2
    from nbconvert.filters import markdown2html

    page = jinja2.Environment(autoescape=True).from_string(
        '<!DOCTYPE html><meta charset="utf-8"><title>{{ name }}</title>'
        "<style>body { font: 15px/1.5 sans-serif; max-width: 1000px; margin: 1rem auto; padding: 0 1rem; } "
        "table { border-collapse: collapse; } th, td { border-bottom: 1px solid #ddd; padding: .2rem .5rem; "
        "text-align: left; }</style>{{ text | safe }}"
    )
    pipelines = [variant.pipeline for variant in variants]
    names = [part.name for pipeline in pipelines for part in (pipeline.generator, pipeline.detector)]
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
    "detected": "detected or copied",
    "n_other": "n (counterpart)",
    "other": "counterpart",
    "p_adjusted": "adjusted p",
    "missed_detection": "missed detections",
}


def headed(table: pandas.DataFrame) -> pandas.DataFrame:
    """A table for a notebook to show: headers in words, truth values as yes and no, and no second row of headers.

    Parameters
    ----------
    table : DataFrame
        Each level of its index becomes a column, except the first; its name stands in the corner.
    """
    first, *levels = table.index.names
    out = table.reset_index(level=levels) if levels else table.copy()
    truths = {name: {True: "yes", False: "no"} for name in out.select_dtypes("bool")}
    out = out.replace(truths) if truths else out
    out.columns = [_HEADERS.get(name, str(name).replace("_", " ")) for name in out.columns]
    return out.rename_axis(index=None, columns=first)
