"""The Jupyter widgets: they show the state of `session` as `canvas` renders it, and pass on what a person does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipycanvas
import ipywidgets as widgets

from lipsync_lab import samples
from lipsync_lab.errors import LipsyncError
from lipsync_lab.explorer import canvas
from lipsync_lab.explorer.session import Session
from lipsync_lab.explorer.settings import SettingsPanel
from lipsync_lab.figures import PROVENANCE_COLOURS
from lipsync_lab.geometry import Box

if TYPE_CHECKING:
    from lipsync_lab.progress import Progress

#: Frames of a step with the shift key.
STRIDE = 10
_HINT = (
    "Drag in the picture to draw a box; drag inside a drawn box to move it. Click the picture or the timeline to use "
    "the keys: <b>←</b> <b>→</b> one frame (with shift, ten), <b>Home</b> <b>End</b>, <b>n</b> <b>p</b> next and "
    "previous failure, <b>i</b> interpolate between the two drawn boxes around this frame, <b>u</b> undo."
)
#: What the stages of `pipeline.Progress` are called on screen.
_STAGES = {"detect": "detecting faces", "generate": "generating mouths"}


def _reporting(call: Callable) -> Callable:
    """Show the message of a `LipsyncError` in the widget, since a traceback of a callback only reaches the log."""

    @wraps(call)
    def reporting(self: Explorer, *given: Any) -> None:
        try:
            call(self, *given)
        except LipsyncError as error:
            self._say(str(error), bad=True)

    return reporting


class Explorer(widgets.VBox):
    """One clip, frame by frame, in JupyterLab.

    The clip is dubbed and evaluated when it is opened, and the explorer shows the worst failure. Both results are kept
    in the cache, so that the same clip opens at once the next time. Where there are no widgets, as on a page of a
    report, an image of the explorer is shown.

    Parameters
    ----------
    clip : str or path
        A sample's name, a clip, or the folder of a run.
    voice : str or path, optional
    frame : int, optional
        The frame to begin with; None for the worst failure, or the first frame of a clip without failures.
    detections : path, optional
        Default file for saved boxes.
    progress : callable, optional
        See `pipeline.Progress`; called while the clip is opened.
    options
        Of `explorer.Session`.

    Raises
    ------
    LipsyncError
        The clip, a model or a setting cannot be used.

    Attributes
    ----------
    session : Session
        The state behind the widgets.
    frame : int
        The frame that is shown.
    """

    def __init__(
        self,
        clip: str | Path,
        voice: str | Path | None = None,
        *,
        frame: int | None = None,
        detections: str | Path = "detections.json",
        progress: Progress | None = None,
        **options: Any,
    ):
        self.session = Session(clip, voice, progress=progress, **options)
        self._options = {name: options[name] for name in ("device", "cache", "settings") if name in options}
        self._press: tuple[float, float] | None = None
        self._held: Box | None = None
        self._quiet = False
        self._build(str(clip), str(detections))
        super().__init__(
            [self._opening, self._pictures, self.timeline, self._moving, self._boxes]
            + [widgets.HBox([self._failing, self.settings]), self._help, self.player],
            layout=widgets.Layout(width=f"{canvas.STRIP[0] + 20}px"),
        )
        self.add_class("lipsync-lab-explorer")
        self._evaluate(progress or self._progress)
        self._adopt(frame)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options)
        png = canvas.encoded(canvas.sheet(self.session, self.frame))
        return {**bundle, "image/png": base64.b64encode(png).decode("ascii")}

    @property
    def frame(self) -> int:
        return self.slider.value

    def _build(self, clip: str, detections: str) -> None:
        bundled = samples.names(bundled=True)
        names = [name for name in bundled if samples.get(name).domain != "voice"]
        wide = widgets.Layout(width=f"{canvas.STRIP[0]}px")
        self.clip = widgets.Combobox(
            value=clip, options=names, description="clip", placeholder="sample, file, or folder of a run"
        )
        self.clip.layout.width = "400px"
        self.open_button = _button("Open", self._on_open)
        self.about = widgets.HTML(layout=widgets.Layout(width="640px", min_height="46px", margin="0 0 0 12px"))
        self._opening = widgets.HBox([self.clip, self.open_button, self.about])

        self.stage = ipycanvas.MultiCanvas(2, width=2, height=2)
        self.stage.on_mouse_down(self._on_press)
        self.stage.on_mouse_move(self._on_drag)
        self.stage.on_mouse_up(self._on_release)
        self.stage.on_mouse_out(self._on_leave)
        self.stage.on_key_down(self._on_key)
        self.tiles = [widgets.Image(format="png", width=canvas.TILE, height=canvas.TILE) for _ in range(4)]
        self.captions = [widgets.HTML() for _ in self.tiles]
        cells = [widgets.VBox(pair) for pair in zip(self.captions, self.tiles, strict=True)]
        four = widgets.GridBox(
            cells, layout=widgets.Layout(grid_template_columns=f"repeat(2, {canvas.TILE + 6}px)", margin="0 0 0 16px")
        )
        # not stretched, since mouse positions are those of the unscaled canvas
        self._pictures = widgets.HBox([self.stage, four], layout=widgets.Layout(align_items="flex-start"))

        self.timeline = ipycanvas.Canvas(width=canvas.STRIP[0], height=canvas.STRIP[1])
        self.timeline.on_mouse_down(self._on_timeline)
        self.timeline.on_key_down(self._on_key)
        self.legend = widgets.HTML()
        self.slider = widgets.IntSlider(description="frame", layout=widgets.Layout(width="640px"))
        self.slider.observe(self._on_slide, "value")
        back, on = _button("Previous failure", self._on_previous), _button("Next failure", self._on_next)
        self.next_failure = on
        self.play = _button("Play the clip", self._on_play)
        # as high as the usual evidence, so that the controls below rarely move
        self.facts = widgets.HTML(layout=widgets.Layout(width=wide.width, min_height="72px"))
        buttons = widgets.HBox([self.slider, back, on, self.play])
        self._moving = widgets.VBox([self.legend, buttons, self.facts])

        self.settings = SettingsPanel(self._on_settings)

        self.failures = widgets.Select(rows=8, layout=widgets.Layout(width="470px"))
        self.failures.observe(self._on_failure, "value")
        self.failing = widgets.HTML()
        self.evaluate = _button("Evaluate again", self._on_evaluate)
        self._failing = widgets.VBox([widgets.HBox([self.evaluate, self.failing]), self.failures])

        self.path = widgets.Text(value=detections, layout=widgets.Layout(width="200px"))
        self.save_button = _button("Save boxes to", self._on_save)
        self.no_face = _button("No face here", self._on_no_face)
        self.interpolate = _button("Interpolate", self._on_interpolate)
        self.reset = _button("Back to detector", self._on_reset)
        self.undo = _button("Undo", self._on_undo)
        self.status = widgets.HTML(layout=widgets.Layout(width="400px", margin="0 0 0 8px"))
        buttons = [self.no_face, self.interpolate, self.reset, self.undo, self.save_button, self.path]
        self._boxes = widgets.HBox([*buttons, self.status])
        self._help = widgets.HTML(_small(_HINT), layout=wide)
        # the bytes travel as they are, not as text in a page
        self.player = widgets.Video(format="mp4", autoplay=True, loop=False)
        self.player.layout.display = "none"

    def _adopt(self, frame: int | None) -> None:
        """Set every widget to the state of the session, and show a frame."""
        session = self.session
        width, height = session.record.size
        self._scale = canvas.stage_scale((width, height))
        self.stage.width, self.stage.height = round(width * self._scale), round(height * self._scale)
        self._quiet = True
        self.settings.show(session.settings, session.detector)
        self.slider.max = len(session) - 1
        if frame is None:
            frame = session.worst_failure() or 0
        self.slider.value = min(max(0, frame), len(session) - 1)
        self._quiet = False
        self.player.layout.display = "none"
        self._show()

    def _show(self) -> None:
        """Render everything again."""
        session = self.session
        view = session.view(self.frame)
        with ipycanvas.hold_canvas():
            self.stage[0].put_image_data(canvas.opaque(canvas.stage(view, session.settings.threshold)))
            self.stage[1].clear()
            self.timeline.put_image_data(canvas.opaque(canvas.strip(session.track, session.failures(), self.frame)))
        shown = canvas.tiles(view, session.generator.name).items()
        for tile, caption, (words, picture) in zip(self.tiles, self.captions, shown, strict=True):
            tile.value, caption.value = canvas.encoded(picture), _small(escape(words))
        self.about.value = _small(escape(session.models))
        self.facts.value = f"{_small(escape(canvas.caption(session, view)), 90)}{self._evidence()}"
        entries = canvas.legend(session.track, session.failures())
        self.legend.value = "&emsp;".join(f'<span style="color:{colour}">■</span> {kind}' for kind, colour in entries)
        self._list_failures()

    def _evidence(self) -> str:
        """The failures of the current frame."""
        rows = self.session.failures_at(self.frame).itertuples()
        lines = [f"<b>{escape(str(row.kind))}</b>: {escape(str(row.evidence))}" for row in rows]
        return f'<div style="columns:2">{_small("<br>".join(lines), 90)}</div>'

    def _list_failures(self) -> None:
        """Fill the list of failures, and select the one whose worst frame is shown."""
        session, table = self.session, self.session.failures()
        count = f"{len(table)} failure{'s' * (len(table) != 1)}"
        if session.stale:
            words = f"<b>{count}, stale</b>: settings or boxes have changed since"
        else:
            words = f"<b>{count}</b>, worst first (severity and length)" if len(table) else f"<b>{count}</b>"
            if session.evaluation is None:
                words += " (missed detections only, not evaluated)"
        self.failing.value = words
        self.evaluate.disabled = session.voice is None or not session.needs_evaluation
        entries = [
            (f"{row.severity:.2f}  {row.kind}, " + _span(int(row.first), int(row.last)), number)
            for number, row in enumerate(table.itertuples())
        ]
        quiet, self._quiet = self._quiet, True
        if list(self.failures.options) != entries:
            self.failures.options = entries
        chosen = self.failures.value
        if chosen is None or int(table["worst"].iloc[chosen]) != self.frame:
            self.failures.value = next((n for n, worst in enumerate(table["worst"]) if int(worst) == self.frame), None)
        self._quiet = quiet

    def _say(self, words: str, bad: bool = False) -> None:
        colour = "#B3261E" if bad else "#1B6E3C"
        self.status.value = f'<span style="color:{colour}">{_small(escape(words))}</span>'

    def _progress(self, stage: str, done: int, total: int | None) -> None:
        self._say(f"{_STAGES.get(stage, stage)}: {done} of {total or '?'}")

    def _evaluate(self, progress: Progress) -> None:
        """Evaluate where there is something to evaluate; an error is shown, and the clip stays open without."""
        if self.session.voice is None or not self.session.needs_evaluation:
            return
        try:
            self.session.evaluate(progress)
        except LipsyncError as error:
            self._say(f"not evaluated: {error}", bad=True)
        else:
            self.status.value = ""

    def _go(self, frame: int | None) -> None:
        if frame is None:
            self._say("no failures in this clip")
        else:
            self.slider.value = min(max(0, frame), len(self.session) - 1)

    # what a person does

    @_reporting
    def _on_open(self, *_: Any) -> None:
        name, options = self.clip.value.strip(), dict(self._options)
        # boxes belong to one clip, and a run has its own settings and models
        if Path(name).is_dir():
            options.pop("settings", None)
        else:
            given = Path(self.settings.detector.value).suffix.lower() == ".json"
            options |= {
                "generator": self.session.generator,
                "detector": None if given else self.settings.values["detector"],
            }
        self.session = Session(name, progress=self._progress, **options)
        self._adopt(None)
        self._evaluate(self._progress)
        self._adopt(None)

    @_reporting
    def _on_slide(self, *_: Any) -> None:
        if not self._quiet:
            self._show()

    @_reporting
    def _on_settings(self) -> None:
        try:
            self.session.change(progress=self._progress, **self.settings.values)
        except LipsyncError:
            self._adopt(self.frame)  # the session has kept its settings
            raise
        self.status.value = ""
        self._show()

    @_reporting
    def _on_previous(self, *_: Any) -> None:
        self._go(self.session.next_failure(self.frame, back=True))

    @_reporting
    def _on_next(self, *_: Any) -> None:
        self._go(self.session.next_failure(self.frame))

    @_reporting
    def _on_play(self, *_: Any) -> None:
        self._say("making the video ...")
        self.player.value = self.session.playback(self._progress)
        self.player.layout.display = ""
        self._say(f"source | output, generated by {self.session.generator.name}")

    @_reporting
    def _on_key(self, key: str, shift: bool, *_: Any) -> None:
        step = STRIDE if shift else 1
        match key:
            case "ArrowLeft":
                self._go(self.frame - step)
            case "ArrowRight":
                self._go(self.frame + step)
            case "Home":
                self._go(0)
            case "End":
                self._go(len(self.session) - 1)
            case "n":
                self._go(self.session.next_failure(self.frame))
            case "p":
                self._go(self.session.next_failure(self.frame, back=True))
            case "i":
                self._on_interpolate()
            case "u":
                self._on_undo()

    @_reporting
    def _on_timeline(self, x: float, _: float) -> None:
        self._go(canvas.column_frame(x, len(self.session)))

    @_reporting
    def _on_press(self, x: float, y: float) -> None:
        drawn = self.session.edits.boxes.get(self.frame)
        px, py = x / self._scale, y / self._scale
        inside = drawn is not None and drawn.x1 <= px < drawn.x2 and drawn.y1 <= py < drawn.y2
        self._press, self._held = (px, py), drawn if inside else None

    @_reporting
    def _on_drag(self, x: float, y: float) -> None:
        if self._press is None:
            return
        box = self._dragged(x, y)
        with ipycanvas.hold_canvas():
            layer = self.stage[1]
            layer.clear()
            for colour, width in (("white", 4), (PROVENANCE_COLOURS["manual"], 2)):
                layer.stroke_style, layer.line_width = colour, width
                corners = [value * self._scale for value in (box.x1, box.y1, box.width, box.height)]
                layer.stroke_rect(*corners)

    @_reporting
    def _on_release(self, x: float, y: float) -> None:
        if self._press is None:
            return
        box = self._dragged(x, y)
        self._press = None
        drawn = self.session.draw_box(self.frame, box)
        if drawn is not None:
            corners = ", ".join(f"{value:g}" for value in drawn)
            self._say(f"frame {self.frame}: box {corners} (x1, y1, x2, y2); not saved yet")
        self._show()

    @_reporting
    def _on_leave(self, x: float, y: float) -> None:
        # a drag that leaves the canvas ends at its edge
        self._on_release(x, y)

    def _dragged(self, x: float, y: float) -> Box:
        """The box of a drag to that screen position: a new one, or the held one moved."""
        x0, y0 = self._press
        x, y = x / self._scale, y / self._scale
        if self._held is None:
            return Box(min(x0, x), min(y0, y), max(x0, x), max(y0, y))
        return self._held.padded(y0 - y, y - y0, x0 - x, x - x0)

    @_reporting
    def _on_no_face(self, *_: Any) -> None:
        self.session.no_face(self.frame)
        self._say(f"frame {self.frame}: no face; not saved yet")
        self._show()

    @_reporting
    def _on_interpolate(self, *_: Any) -> None:
        filled = self.session.interpolate(self.frame)
        self._say(f"{_span(filled[0], filled[-1])} interpolated; not saved yet" if filled else "already interpolated")
        self._show()

    @_reporting
    def _on_reset(self, *_: Any) -> None:
        self.session.reset(self.frame)
        self._say(f"frame {self.frame}: the detector's result")
        self._show()

    @_reporting
    def _on_undo(self, *_: Any) -> None:
        self._say("last edit undone" if self.session.undo() else "there is no edit to undo")
        self._show()

    @_reporting
    def _on_failure(self, change: dict[str, Any]) -> None:
        if not self._quiet and change["new"] is not None:
            self._go(int(self.session.failures()["worst"].iloc[change["new"]]))

    @_reporting
    def _on_evaluate(self, *_: Any) -> None:
        self.session.evaluate(self._progress)
        self._say("evaluated")
        self._show()

    @_reporting
    def _on_save(self, *_: Any) -> None:
        path = self.session.save(self.path.value)
        count = len(self.session.edits)
        self._say(f"{path}: saved, {count} frame{'s' * (count != 1)} edited; use it with dub --detector {path}")


def _small(content: str, size: int = 80) -> str:
    """HTML at that percentage of the usual size, with lines close together."""
    return f'<div style="font-size:{size}%; line-height:1.35; white-space:normal">{content}</div>'


def _span(first: int, last: int) -> str:
    return f"frame {first}" if first == last else f"frames {first} to {last}"


def _button(words: str, call: Callable) -> widgets.Button:
    button = widgets.Button(description=words, layout=widgets.Layout(width="auto"))
    button.on_click(call)
    return button
