"""The widgets: they show what `session` says and `canvas` draws, and hand back what a person does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipycanvas
import ipywidgets as widgets
import numpy as np

from lipsync_lab import detection, samples
from lipsync_lab.errors import LipsyncError
from lipsync_lab.explorer import canvas
from lipsync_lab.explorer.session import Session
from lipsync_lab.geometry import Box
from lipsync_lab.settings import CHOICES, GAPS, MOUTHS, SMOOTHINGS

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Progress

#: Frames that a key takes one further, with shift.
STRIDE = 10
_HINT = (
    "Drag over the picture to draw a box; press inside a drawn box to move it. Click the picture or the timeline, then "
    "<b>←</b> <b>→</b> step (with shift, ten frames), <b>n</b> / <b>p</b> go to the next / previous failure, "
    "<b>u</b> takes a drawn box back. Boxes: accepted in green, refused in white, drawn by hand in blue, the crop in "
    "yellow."
)
_WIDE = {"description_width": "105px"}


def _reporting(call: Callable) -> Callable:
    """What a person did wrong is said in the instrument, where a traceback would end in a log that nobody reads."""

    @wraps(call)
    def reporting(self: Explorer, *given: Any) -> None:
        try:
            call(self, *given)
        except LipsyncError as error:
            self._say(str(error), bad=True)

    return reporting


class Explorer(widgets.VBox):
    """A clip to look at frame by frame, in JupyterLab.

    Where there are no widgets, as on a page of a report, its picture stands in its place.

    Parameters
    ----------
    clip : str or path
        A sample's name, a clip, or the folder of a run.
    voice : str or path, optional
    frame : int, optional
        To begin with; None for the first failure, or the first frame of a clip without any.
    detections : path, optional
        Where drawn boxes are saved unless another name is typed.
    progress : callable, optional
        See `pipeline.Progress`; told of the first search for faces.
    options
        Of `explorer.Session`.

    Raises
    ------
    LipsyncError
        The clip, a model or a setting cannot be used.

    Attributes
    ----------
    session : Session
        All that is shown comes from it, and can be asked of it.
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
            [self._opening, self.about, self._pictures, self.timeline, self._moving, self.status]
            + [self._tuning, self._saving, self.player],
            layout=widgets.Layout(width=f"{canvas.STRIP[0] + 20}px"),
        )
        self.add_class("lipsync-lab-explorer")
        self._adopt(frame)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options)
        png = _encoded(canvas.sheet(self.session, self.frame))
        return {**bundle, "image/png": base64.b64encode(png).decode("ascii")}

    @property
    def frame(self) -> int:
        return self.slider.value

    def _build(self, clip: str, detections: str) -> None:
        bundled = samples.names(bundled=True)
        names = [name for name in bundled if samples.get(name).domain != "voice"]
        wide, narrow = widgets.Layout(width="430px"), widgets.Layout(width="330px")
        self.clip = widgets.Combobox(
            value=clip, options=names, description="clip", placeholder="sample, path, or a run's folder", layout=wide
        )
        self.open_button = _button("Open", self._on_open)
        self._opening = widgets.HBox([self.clip, self.open_button])
        self.about = widgets.HTML()

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
        # not stretched: the mouse would be where the picture is not
        self._pictures = widgets.HBox([self.stage, four], layout=widgets.Layout(align_items="flex-start"))

        self.timeline = ipycanvas.Canvas(width=canvas.STRIP[0], height=canvas.STRIP[1])
        self.timeline.on_mouse_down(self._on_timeline)
        self.timeline.on_key_down(self._on_key)
        self.legend = widgets.HTML()
        self.slider = widgets.IntSlider(description="frame", layout=widgets.Layout(width="640px"))
        self.slider.observe(self._on_slide, "value")
        back, on = _button("Previous failure", self._on_previous), _button("Next failure", self._on_next)
        self.next_failure = on
        self.next_second = _button("Play next second", self._on_second)
        self.facts = widgets.HTML()
        buttons = widgets.HBox([self.slider, back, on, self.next_second])
        self._moving = widgets.VBox([self.legend, buttons, self.facts])

        options = {"style": _WIDE, "layout": narrow}
        self.detector = widgets.Combobox(
            description="detector", options=detection.NAMES, continuous_update=False, **options
        )
        self.threshold = widgets.FloatSlider(
            description="threshold", min=0, max=0.99, step=0.01, continuous_update=False, **options
        )
        self.choose = widgets.Dropdown(description="which face", options=[*CHOICES, *range(10)], **options)
        self.gap = widgets.Dropdown(description="gaps", options=GAPS, **options)
        self.longest_gap = widgets.BoundedIntText(description="longest gap", max=100_000, **options)
        self.smoothing = widgets.Dropdown(description="smoothing", options=SMOOTHINGS, **options)
        self.mel_lead = widgets.BoundedIntText(description="mel lead", min=-1000, max=1000, **options)
        self.feather = widgets.FloatSlider(
            description="feather", min=0, max=0.25, step=0.01, continuous_update=False, **options
        )
        self.mouths = widgets.Dropdown(description="new mouths with", options=MOUTHS, **options)
        small = widgets.Layout(width="150px")
        self.pads = [
            widgets.BoundedIntText(description=f"pad {side}", min=-5000, max=5000, layout=small)
            for side in ("top", "bottom", "left", "right")
        ]
        self._knobs = {
            name: getattr(self, name)
            for name in ("threshold", "choose", "gap", "longest_gap", "smoothing", "mel_lead", "feather", "mouths")
        }
        for knob in (*self._knobs.values(), *self.pads, self.detector):
            knob.observe(self._on_knob, "value")
        self._tuning = widgets.HBox(
            [
                widgets.VBox([self.detector, self.threshold, self.choose]),
                widgets.VBox([self.gap, self.longest_gap, self.smoothing]),
                widgets.VBox([self.mel_lead, self.feather, self.mouths]),
            ]
        )
        self._tuning = widgets.VBox([self._tuning, widgets.HBox(self.pads)])

        self.path = widgets.Text(value=detections, description="boxes to", layout=wide)
        self.save_button = _button("Save boxes", self._on_save)
        self.no_face = _button("No face here", self._on_no_face)
        self.undo = _button("Take back", self._on_undo)
        self._saving = widgets.VBox(
            [
                widgets.HBox([self.no_face, self.undo, self.path, self.save_button]),
                widgets.HTML(f"<small>{_HINT}</small>"),
            ]
        )
        self.status, self.player = widgets.HTML(), widgets.HTML()

    def _adopt(self, frame: int | None) -> None:
        """Set every widget to what the session is, and show a frame."""
        session = self.session
        width, height = session.record.size
        self._scale = canvas.stage_scale((width, height))
        self.stage.width, self.stage.height = round(width * self._scale), round(height * self._scale)
        self._quiet = True
        for name, knob in self._knobs.items():
            knob.value = getattr(session.settings, name)
        for pad, value in zip(self.pads, session.settings.pads, strict=True):
            pad.value = value
        self.detector.value = str(session.detector)
        self.slider.max = len(session) - 1
        if frame is None:
            frame = session.next_failure(-1) or 0
        self.slider.value = min(max(0, frame), len(session) - 1)
        self._quiet = False
        self.player.value = ""
        self._show()

    def _show(self) -> None:
        """Draw everything anew."""
        session = self.session
        view = session.view(self.frame)
        with ipycanvas.hold_canvas():
            self.stage[0].put_image_data(_opaque(canvas.stage(view, session.settings.threshold)))
            self.stage[1].clear()
            self.timeline.put_image_data(_opaque(canvas.strip(session.track, session.failures(), self.frame)))
        shown = canvas.tiles(view, session.weights.name).items()
        for tile, caption, (words, picture) in zip(self.tiles, self.captions, shown, strict=True):
            tile.value, caption.value = _encoded(picture), f"<small>{escape(words)}</small>"
        self.about.value = f"<small>{escape(session.models)}</small>"
        self.facts.value = f"{escape(canvas.caption(session, view))}{self._of_failures()}"
        entries = canvas.legend(session.track, session.failures())
        self.legend.value = "&emsp;".join(f'<span style="color:{colour}">■</span> {kind}' for kind, colour in entries)

    def _of_failures(self) -> str:
        table = self.session.failures()
        here = table[(table["first"] <= self.frame) & (self.frame <= table["last"])]
        said = "".join(f"<br><b>{escape(str(one.kind))}</b>: {escape(str(one.evidence))}" for one in here.itertuples())
        return f"; {len(table)} failure{'s' * (len(table) != 1)} in the clip{said}"

    def _say(self, words: str, bad: bool = False) -> None:
        colour = "#B3261E" if bad else "#1B6E3C"
        self.status.value = f'<span style="color:{colour}">{escape(words)}</span>'

    def _searching(self, stage: str, done: int, total: int | None) -> None:
        self._say(f"looking for faces: {done} of {total or '?'} frames")

    def _go(self, frame: int | None) -> None:
        if frame is None:
            self._say("no failure in this clip")
        else:
            self.slider.value = min(max(0, frame), len(self.session) - 1)

    # what a person does

    @_reporting
    def _on_open(self, *_: Any) -> None:
        name, options = self.clip.value.strip(), dict(self._options)
        # boxes of one clip are of no use on another, and a run brings its own of everything
        if Path(name).is_dir():
            options.pop("settings", None)
        else:
            given = Path(self.detector.value).suffix.lower() == ".json"
            options |= {"generator": self.session.weights, "detector": None if given else self.detector.value.strip()}
        self.session = Session(name, progress=self._searching, **options)
        self._adopt(None)
        self._say(f"{name}: {len(self.session)} frames")

    @_reporting
    def _on_slide(self, *_: Any) -> None:
        if not self._quiet:
            self._show()

    @_reporting
    def _on_knob(self, *_: Any) -> None:
        if self._quiet:
            return
        values = {name: knob.value for name, knob in self._knobs.items()}
        values["pads"] = tuple(pad.value for pad in self.pads)
        try:
            self.session.change(detector=self.detector.value.strip(), progress=self._searching, **values)
        except LipsyncError:
            self._adopt(self.frame)  # back to what holds
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
    def _on_second(self, *_: Any) -> None:
        self._say("drawing the next second ...")
        clip = base64.b64encode(self.session.second(self.frame)).decode("ascii")
        words = f"source | output from frame {self.frame} on, mouths by {self.session.weights.name}"
        self.player.value = (
            f"<small>{escape(words)}</small><br>"
            f'<video controls autoplay loop style="max-width:100%" src="data:video/mp4;base64,{clip}"></video>'
        )
        self.status.value = ""

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
            case "u":
                self._on_undo()

    @_reporting
    def _on_timeline(self, x: float, _: float) -> None:
        self._go(canvas.column_frame(x, len(self.session)))

    @_reporting
    def _on_press(self, x: float, y: float) -> None:
        drawn = self.session.edits.get(self.frame)
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
            for colour, width in (("black", 4), ("#56B4E9", 2)):
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
        # a drag that leaves the picture ends at its edge
        self._on_release(x, y)

    def _dragged(self, x: float, y: float) -> Box:
        """The box that a drag to that place of the screen makes: a new one, or the held one moved."""
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
    def _on_undo(self, *_: Any) -> None:
        self.session.undo(self.frame)
        self._say(f"frame {self.frame}: as it was found")
        self._show()

    @_reporting
    def _on_save(self, *_: Any) -> None:
        path = self.session.save(self.path.value)
        count = len(self.session.edits)
        self._say(f"{path}: saved, {count} frame{'s' * (count != 1)} edited; use it with dub --detector {path}")


def _button(words: str, call: Callable) -> widgets.Button:
    button = widgets.Button(description=words, layout=widgets.Layout(width="auto"))
    button.on_click(call)
    return button


def _opaque(picture: np.ndarray) -> np.ndarray:
    """ipycanvas sends three channels as JPEG, whose artifacts would pass for ours, and four as PNG."""
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def _encoded(picture: np.ndarray) -> bytes:
    """As PNG."""
    import cv2

    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
