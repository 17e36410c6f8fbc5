"""The list of failures: to click, and to filter by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from lipsync_lab.explorer.session import Session


class FailureList(widgets.VBox):
    """Failures of a session, worst first.

    Parameters
    ----------
    go : callable
        ``go(frame)`` is called with the worst frame of a failure that a person clicks.
    evaluate : callable
        Called when a person asks for a new evaluation.
    height : int
        Of the whole list, in pixels.

    Attributes
    ----------
    kinds, list, button : Dropdown, Select, Button
    words : HTML
        How many failures there are, and whether they are stale.
    """

    def __init__(self, go: Callable[[int], None], evaluate: Callable, height: int):
        self._go, self._quiet, self._session = go, False, None
        self.words = widgets.HTML()
        self.button = widgets.Button(description="Evaluate again", layout=widgets.Layout(width="auto"))
        self.button.on_click(evaluate)
        wide = widgets.Layout(width="100%", margin="0")
        self.kinds = widgets.Dropdown(options=[("all kinds", "")], layout=wide)
        self.kinds.observe(self._on_kind, "value")
        self.list = widgets.Select(layout=widgets.Layout(width="100%", height=f"{height - 108}px", margin="0"))
        self.list.observe(self._on_choice, "value")
        super().__init__([self.words, self.kinds, self.list, self.button])

    @property
    def kind(self) -> str:
        """The kind that is shown, and that the next and previous failure are of; empty for all."""
        return self.kinds.value or ""

    def show(self, session: Session, frame: int) -> None:
        """Fill the list, and select the failure whose worst frame is shown."""
        self._session, self._quiet = session, True
        table = session.failures()
        count = f"{len(table)} failure{'s' * (len(table) != 1)}"
        notes = [" of the present settings and boxes"] if session.evaluation is not None else [""]
        if session.stale:
            notes = [", stale: settings or boxes have changed since"]
        elif session.needs_evaluation:
            notes = [" (missed detections only, not evaluated)"]
        self.words.value = f'<div style="font-size:80%; line-height:1.3"><b>{count}</b>{notes[0]}</div>'
        self.button.disabled = session.voice is None or not session.needs_evaluation
        number = table["kind"].value_counts(sort=False)
        kinds = [("all kinds", ""), *((f"{kind} ({count})", kind) for kind, count in number.items())]
        if list(self.kinds.options) != kinds:
            kept = self.kind if self.kind in set(table["kind"]) else ""
            self.kinds.options, self.kinds.value = kinds, kept
        shown = session.failures(self.kind)
        entries = [
            (f"{row.severity:.2f}  {row.kind}, {_span(int(row.first), int(row.last))}", int(row.worst))
            for row in shown.itertuples()
        ]
        entries = [(words, (number, worst)) for number, (words, worst) in enumerate(entries)]
        if list(self.list.options) != entries:
            self.list.options = entries
        chosen = self.list.value
        if chosen is None or chosen[1] != frame:
            self.list.value = next((value for _, value in entries if value[1] == frame), None)
        self._quiet = False

    def _on_kind(self, _: Any) -> None:
        if not self._quiet:
            self.list.value = None
            worst = self._session.failures(self.kind)["worst"]
            self._go(int(worst.iloc[0]))

    def _on_choice(self, change: dict[str, Any]) -> None:
        if not self._quiet and change["new"] is not None:
            self._go(change["new"][1])


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
