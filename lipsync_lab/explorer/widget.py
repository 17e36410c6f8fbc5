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
from lipsync_lab.explorer import canvas, timeline
from lipsync_lab.explorer.failure_list import FailureList
from lipsync_lab.explorer.session import Session
from lipsync_lab.explorer.settings import SettingsPanel
from lipsync_lab.explorer.stage import Stage, opaque
from lipsync_lab.explorer.viewport import STAGE, Viewport
from lipsync_lab.geometry import Box

if TYPE_CHECKING:
    import numpy as np

    from lipsync_lab.progress import Progress

#: Frames of a step with the shift key.
STRIDE = 10
_HINT = (
    "Click picture or timeline to use the keys: <b>space</b> source/output, <b>b</b> boxes on/off, <b>wheel</b> "
    "or <b>+ -</b> zoom at the pointer, <b>0</b> whole frame, <b>← →</b> one frame (with shift, ten), <b>Home End</b>, "
    "<b>n p</b> next and previous failure, <b>v</b> play. Drag to draw a box, drag inside a drawn box to move it; "
    "<b>c</b> copies the previous frame's box, <b>i</b> interpolates between the two drawn boxes around this frame, "
    "<b>x</b> no face, <b>u</b> undo."
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
        self._quiet, self._output, self._boxes_shown = False, False, True
        self._build(str(clip), str(detections))
        super().__init__(
            [self._opening, self._pictures, self.timeline, self._moving, self._boxes, self.settings, self._help],
            layout=widgets.Layout(width=f"{timeline.WIDTH + 4}px"),
        )
        self.add_class("lipsync-lab-explorer")
        self._evaluate(progress or self._progress)
        self._adopt(frame)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options)
        png = canvas.encoded(canvas.sheet(self.session, self.frame, self.metric.value or ""))
        return {**bundle, "image/png": base64.b64encode(png).decode("ascii")}

    @property
    def frame(self) -> int:
        return self.slider.value

    def _build(self, clip: str, detections: str) -> None:
        bundled = samples.names(bundled=True)
        names = [name for name in bundled if samples.get(name).domain != "voice"]
        wide = widgets.Layout(width=f"{timeline.WIDTH}px")
        self.clip = widgets.Combobox(
            value=clip, options=names, description="clip", placeholder="sample, file, or folder of a run"
        )
        self.clip.layout.width = "400px"
        self.open_button = _button("Open", self._on_open)
        self.about = widgets.HTML(layout=widgets.Layout(width="680px", margin="0 0 0 12px"))
        self._opening = widgets.HBox([self.clip, self.open_button, self.about])

        self._keys = {
            "n": self._on_next,
            "p": self._on_previous,
            "v": self._on_play,
            "c": self._on_copy,
            "i": self._on_interpolate,
            "x": self._on_no_face,
            "u": self._on_undo,
        }
        self.stage = Stage(self._picture, self._on_box, self._on_key, lambda: self.session.edits.boxes.get(self.frame))
        # the bytes travel as they are, not as text in a page
        self.player = widgets.Video(format="mp4", autoplay=True, loop=False)
        self.player.layout = widgets.Layout(width=f"{timeline.WIDTH - 320}px", height=f"{STAGE[1]}px", display="none")
        self.tiles = [widgets.Image(format="png", width=canvas.TILE, height=canvas.TILE) for _ in range(4)]
        self.captions = [widgets.HTML() for _ in self.tiles]
        cells = [widgets.VBox(pair) for pair in zip(self.captions, self.tiles, strict=True)]
        self._four = widgets.GridBox(
            cells, layout=widgets.Layout(grid_template_columns=f"repeat(2, {canvas.TILE + 6}px)", margin="0 8px")
        )
        self.failures = FailureList(self._go, self._on_evaluate, STAGE[1])
        self.failures.layout = widgets.Layout(flex="1 1 auto", height=f"{STAGE[1]}px", overflow="hidden")
        pictures = [self.stage, self.player, self._four, self.failures]
        self._pictures = widgets.HBox(pictures, layout=widgets.Layout(align_items="flex-start", width=wide.width))

        self.timeline = ipycanvas.Canvas(width=timeline.WIDTH, height=timeline.HEIGHT)
        self.timeline.on_mouse_down(self._on_timeline)
        self.timeline.on_key_down(self.stage.on_key)
        self.legend = widgets.HTML(layout=widgets.Layout(margin="0 0 0 12px"))
        self.slider = widgets.IntSlider(description="frame", layout=widgets.Layout(width="330px"))
        self.slider.observe(self._on_slide, "value")
        back, on = _button("Previous failure", self._on_previous), _button("Next failure", self._on_next)
        self.toggle = widgets.ToggleButtons(
            options=["source", "output"],
            style={"button_width": "64px"},
            layout=widgets.Layout(width="150px", flex="0 0 auto"),
        )
        self.toggle.observe(self._on_toggle, "value")
        self.play = _button("Play the clip", self._on_play)
        self.metric = widgets.Dropdown(description="curve", layout=widgets.Layout(width="290px"))
        self.metric.style.description_width = "45px"
        self.metric.observe(self._on_slide, "value")
        # as high as the usual evidence, so that the controls below do not move
        self.facts = widgets.HTML(layout=widgets.Layout(width=wide.width, height="60px", overflow="auto"))
        self._moving = widgets.VBox(
            [widgets.HBox([self.slider, self.toggle, back, on, self.play, self.metric]), self.legend, self.facts]
        )

        self.settings = SettingsPanel(self._on_settings)

        self.path = widgets.Text(value=detections, layout=widgets.Layout(width="150px", flex="0 0 auto"))
        self.save_button = _button("Save boxes to", self._on_save)
        self.no_face = _button("No face here", self._on_no_face)
        self.copy = _button("Copy previous box", self._on_copy)
        self.interpolate = _button("Interpolate", self._on_interpolate)
        self.reset = _button("Back to detector", self._on_reset)
        self.undo = _button("Undo", self._on_undo)
        self.status = widgets.HTML(layout=widgets.Layout(flex="1 1 0", margin="0 0 0 8px"))
        buttons = [self.no_face, self.copy, self.interpolate, self.reset, self.undo, self.save_button, self.path]
        self._boxes = widgets.HBox([*buttons, self.status], layout=widgets.Layout(width=wide.width, height="34px"))
        self._help = widgets.HTML(_small(_HINT), layout=wide)

    def _adopt(self, frame: int | None) -> None:
        """Set every widget to the state of the session, and show a frame."""
        session = self.session
        self.stage.begin(session.record.size)
        self._stop()
        self._quiet = True
        self.settings.show(session.settings, session.detector)
        self.slider.max = len(session) - 1
        if frame is None:
            frame = session.worst_failure() or 0
        self.slider.value = min(max(0, frame), len(session) - 1)
        self._list_curves()
        self._quiet = False
        self._show()

    def _picture(self, viewport: Viewport) -> np.ndarray:
        threshold = self.session.settings.threshold
        return canvas.stage(self._view, threshold, viewport, output=self._output, boxes=self._boxes_shown)

    def _show(self) -> None:
        """Render everything again."""
        session = self.session
        self._view = view = session.view(self.frame)
        self.stage.show()
        self.timeline.put_image_data(opaque(timeline.picture(session, self.frame, self.metric.value or "")))
        shown = canvas.tiles(view, session.generator.name).items()
        for tile, caption, (words, picture) in zip(self.tiles, self.captions, shown, strict=True):
            tile.value, caption.value = canvas.encoded(picture), _small(escape(words))
        self.about.value = _small(escape(session.models))
        self.facts.value = f"{_small(escape(canvas.caption(session, view)), 90)}{self._evidence()}"
        entries = timeline.legend(session.track, session.failures())
        marks = (f'<span style="color:{colour}">■</span> {kind}' for kind, colour in entries)
        self.legend.value = _small("&emsp;".join(marks), 85)
        self.failures.show(session, self.frame)

    def _list_curves(self) -> None:
        """Fill the menu of curves; the first one shown is that of the worst failure."""
        known, table = timeline.curves(self.session), self.session.failures()
        if "metric" in table and self.metric.value not in known:
            first = next((name for name in table["metric"] if name in known), None)
        else:
            first = self.metric.value if self.metric.value in known else None
        quiet, self._quiet = self._quiet, True
        self.metric.options = [(timeline.title(name), name) for name in known]
        self.metric.value = first or next(iter(known), None)
        self._quiet = quiet

    def _stop(self) -> None:
        """Show the picture in place of the video."""
        self.player.layout.display, self.stage.layout.display, self._four.layout.display = "none", "", ""
        self.play.description = "Play the clip"

    def _evidence(self) -> str:
        """The failures of the current frame."""
        rows = self.session.failures_at(self.frame).itertuples()
        lines = [f"<b>{escape(str(row.kind))}</b>: {escape(str(row.evidence))}" for row in rows]
        return f'<div style="columns:2">{_small("<br>".join(lines), 90)}</div>'

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
            self._stop()
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
        self._go(self.session.next_failure(self.frame, back=True, kind=self.failures.kind))

    @_reporting
    def _on_next(self, *_: Any) -> None:
        self._go(self.session.next_failure(self.frame, kind=self.failures.kind))

    @_reporting
    def _on_toggle(self, change: dict[str, Any]) -> None:
        self._output = change["new"] == "output"
        self.stage.show()

    @_reporting
    def _on_play(self, *_: Any) -> None:
        if self.player.layout.display == "":
            self._stop()
            return
        self._say("making the video ...")
        self.player.value = self.session.playback(self._progress)
        self.player.layout.display, self.stage.layout.display, self._four.layout.display = "", "none", "none"
        self.play.description = "Back to the frame"
        self._say(f"source | output, generated by {self.session.generator.name}")

    @_reporting
    def _on_key(self, name: str, shift: bool) -> None:
        step = STRIDE if shift else 1
        match name:
            case "ArrowLeft":
                self._go(self.frame - step)
            case "ArrowRight":
                self._go(self.frame + step)
            case "Home":
                self._go(0)
            case "End":
                self._go(len(self.session) - 1)
            case " ":
                self.toggle.value = "source" if self._output else "output"
            case "b":
                self._boxes_shown = not self._boxes_shown
                self.stage.show()
            case _ if name in self._keys:
                self._keys[name]()

    @_reporting
    def _on_timeline(self, x: float, _: float) -> None:
        self._go(timeline.column_frame(x, len(self.session)))

    @_reporting
    def _on_box(self, box: Box) -> None:
        self._say_drawn(self.session.draw_box(self.frame, box))

    @_reporting
    def _on_copy(self, *_: Any) -> None:
        self._say_drawn(self.session.copy_box(self.frame))

    def _say_drawn(self, drawn: Box | None) -> None:
        if drawn is not None:
            corners = ", ".join(f"{value:g}" for value in drawn)
            self._say(f"frame {self.frame}: box {corners} (x1, y1, x2, y2); not saved yet")
        self._show()

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
    def _on_evaluate(self, *_: Any) -> None:
        self.session.evaluate(self._progress)
        self._list_curves()
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
    button = widgets.Button(description=words, layout=widgets.Layout(width="auto", flex="0 0 auto"))
    button.on_click(call)
    return button
