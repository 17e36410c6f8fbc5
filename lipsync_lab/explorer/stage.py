"""The picture that a person draws boxes in: mouse, wheel and keys, for the explorer and the labeller."""

from __future__ import annotations

from collections.abc import Callable

import ipycanvas
import ipywidgets as widgets
import numpy as np

from lipsync_lab.explorer.viewport import Viewport
from lipsync_lab.figures import PROVENANCE_COLOURS
from lipsync_lab.geometry import Box

#: Factor of one turn of the wheel, or one key.
ZOOM = 1.25


class Stage(widgets.Box):
    """A canvas with the present frame.

    Parameters
    ----------
    picture : callable
        ``picture(viewport)`` is what to show, uint8 RGB.
    drawn : callable
        ``drawn(box)`` is called with the box of each drag, in pixels of the frame.
    key : callable
        ``key(name, shift)`` is called for each key that is not one of zooming.
    held : callable, optional
        ``held()`` is the box that a drag from inside of it moves; None for none.

    Attributes
    ----------
    viewport : Viewport
    canvas : MultiCanvas
    """

    def __init__(
        self,
        picture: Callable[[Viewport], np.ndarray],
        drawn: Callable[[Box], None],
        key: Callable[[str, bool], None],
        held: Callable[[], Box | None] = lambda: None,
    ):
        self._picture, self._drawn, self._key, self._held = picture, drawn, key, held
        self._press: tuple[float, float] | None = None
        self._moved: Box | None = None
        self._pointer = (0.0, 0.0)
        self.canvas = ipycanvas.MultiCanvas(2, width=2, height=2)
        self.canvas.on_mouse_down(self._on_press)
        self.canvas.on_mouse_move(self._on_move)
        self.canvas.on_mouse_up(self._on_release)
        # a drag that leaves the canvas ends at its edge
        self.canvas.on_mouse_out(self._on_release)
        self.canvas.on_mouse_wheel(lambda _, down: self._zoom(1 / ZOOM if down > 0 else ZOOM))
        self.canvas.on_key_down(self.on_key)
        super().__init__([self.canvas], layout=widgets.Layout(flex="0 0 auto", overflow="hidden"))

    def begin(self, size: tuple[int, int]) -> None:
        """Prepare for frames of that width and height, shown whole."""
        self.viewport = Viewport.whole(size)
        self.canvas.width, self.canvas.height = self.viewport.screen
        self._pointer = self.canvas.width / 2, self.canvas.height / 2

    def show(self) -> None:
        """Render the present frame again."""
        with ipycanvas.hold_canvas():
            self.canvas[0].put_image_data(opaque(self._picture(self.viewport)))
            self.canvas[1].clear()

    def on_key(self, name: str, shift: bool, *_: bool) -> None:
        """Zoom around the pointer, or hand a key on."""
        match name:
            case "+" | "=":
                self._zoom(ZOOM)
            case "-" | "_":
                self._zoom(1 / ZOOM)
            case "0":
                self._zoom(0)
            case _:
                self._key(name, shift)

    def _zoom(self, factor: float) -> None:
        self.viewport = self.viewport.zoomed(factor, self._pointer)
        self.show()

    def _on_press(self, x: float, y: float) -> None:
        box, (px, py) = self._held(), self.viewport.to_frame(x, y)
        inside = box is not None and box.x1 <= px < box.x2 and box.y1 <= py < box.y2
        self._press, self._moved = (px, py), box if inside else None

    def _on_move(self, x: float, y: float) -> None:
        self._pointer = x, y
        if self._press is None:
            return
        box = self.viewport.to_screen(self._dragged(x, y))
        with ipycanvas.hold_canvas():
            layer = self.canvas[1]
            layer.clear()
            for colour, width in (("white", 4), (PROVENANCE_COLOURS["manual"], 2)):
                layer.stroke_style, layer.line_width = colour, width
                layer.stroke_rect(box.x1, box.y1, box.width, box.height)

    def _on_release(self, x: float, y: float) -> None:
        if self._press is not None:
            box, self._press = self._dragged(x, y), None
            self._drawn(box)

    def _dragged(self, x: float, y: float) -> Box:
        """The box of a drag to that place on the screen: a new one, or the held one moved."""
        (x0, y0), (x, y) = self._press, self.viewport.to_frame(x, y)
        if self._moved is None:
            return Box(min(x0, x), min(y0, y), max(x0, x), max(y0, y))
        return self._moved.padded(y0 - y, y - y0, x0 - x, x - x0)


def opaque(picture: np.ndarray) -> np.ndarray:
    """Add an alpha channel: ipycanvas sends three channels as JPEG, with artifacts of its own, and four as PNG."""
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
