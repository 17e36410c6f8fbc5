"""HTML of notebooks without anything that runs: tables, figures and formatted text stay."""

from __future__ import annotations

import re
from functools import cache

import bleach
from bleach.css_sanitizer import CSSSanitizer
from jinja2 import pass_context
from nbconvert import HTMLExporter

_TAGS = """
    a b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i
    img li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul video
"""
_ATTRIBUTES = {"align", "alt", "class", "colspan", "height", "id", "rowspan", "style", "title", "width"}
_STYLE = re.compile(r"<style\b.*?</style\s*>", re.DOTALL | re.IGNORECASE)


def clean(html: str) -> str:
    """HTML with a list of harmless elements only; any other element is shown as text.

    Parameters
    ----------
    html : str
        Of a notebook's output, or rendered from Markdown. Style sheets in it are left out.

    Returns
    -------
    str
        Links lead to ``http``, ``https``, ``mailto`` or within the report; pictures and videos may be embedded as
        ``data:``.
    """
    return _cleaner().clean(_STYLE.sub("", html))


@cache
def _cleaner() -> bleach.Cleaner:
    return bleach.Cleaner(
        tags=set(_TAGS.split()),
        attributes=_is_harmless,
        protocols={"http", "https", "mailto", "data"},
        css_sanitizer=CSSSanitizer(),
    )


def _is_harmless(tag: str, name: str, value: str) -> bool:
    if (tag, name) == ("a", "href"):
        return not value.strip().lower().startswith("data:")
    if (tag, name) == ("img", "src"):
        return not re.match(r"\s*data:(?!image/(png|jpeg|gif|webp);)", value, re.IGNORECASE)
    if tag == "video":
        embedded = name == "src" and value.strip().lower().startswith("data:video/mp4;base64,")
        return embedded or name in ("controls", "width", "height")
    return name in _ATTRIBUTES


class SafeExporter(HTMLExporter):
    """nbconvert's exporter, whose HTML outputs and rendered Markdown pass through `clean`.

    nbconvert's own sanitizer works on Markdown before it is rendered, which breaks block quotes.
    """

    @pass_context
    def markdown2html(self, context, source):
        return clean(super().markdown2html(context, source))

    def from_notebook_node(self, nb, resources=None, **options):
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if "text/html" in data:
                    data["text/html"] = clean(data["text/html"])
        return super().from_notebook_node(nb, resources, **options)
