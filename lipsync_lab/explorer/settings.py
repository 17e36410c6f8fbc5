"""The settings that can change while a clip is open, as a panel of widgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from lipsync_lab.explorer.opening import detectors
from lipsync_lab.settings import DROPOUTS, FACE_SELECTIONS, MOUTH_CADENCES, SMOOTHINGS, Settings


class SettingsPanel(widgets.VBox):
    """Detector and settings.

    Parameters
    ----------
    changed : callable
        Called without arguments after a person has changed a value.

    Attributes
    ----------
    detector : Combobox
        Lists the detectors that can be used here; a file can be typed.
    controls : dict of str to Widget
        By the name of the setting, all but the pads.
    pads : list of BoundedIntText
        Top, bottom, left, right, in pixels.
    """

    def __init__(self, changed: Callable[[], None]):
        self._changed, self._quiet = changed, False
        common = {"style": {"description_width": "150px"}, "layout": widgets.Layout(width="380px")}
        dragged = {"step": 0.01, "continuous_update": False, **common}
        self.detector = widgets.Combobox(description="detector", continuous_update=False, **common)
        self.controls = {
            "threshold": widgets.FloatSlider(description="threshold (score)", min=0, max=0.99, **dragged),
            "face_selection": widgets.Dropdown(
                description="face selection", options=[*FACE_SELECTIONS, *range(10)], **common
            ),
            "dropouts": widgets.Dropdown(description="dropouts", options=DROPOUTS, **common),
            "max_dropout": widgets.BoundedIntText(description="max dropout (frames)", max=100_000, **common),
            "smoothing": widgets.Dropdown(description="smoothing", options=SMOOTHINGS, **common),
            "audio_offset": widgets.BoundedIntText(description="audio offset (frames)", min=-1000, max=1000, **common),
            "feather": widgets.FloatSlider(description="feather (× box)", min=0, max=0.25, **dragged),
            "mouth_cadence": widgets.Dropdown(description="mouth cadence", options=MOUTH_CADENCES, **common),
        }
        self.pads = [
            widgets.BoundedIntText(
                *(0, -5000, 5000),
                description=side,
                style={"description_width": "50px"},
                layout=widgets.Layout(width="114px"),
            )
            for side in ("top", "bottom", "left", "right")
        ]
        for control in (self.detector, *self.controls.values(), *self.pads):
            control.observe(self._on_change, "value")
        controls = [self.detector, *self.controls.values()]
        columns = [*(widgets.VBox(part) for part in (controls[:3], controls[3:6])), widgets.VBox(controls[6:])]
        pads = widgets.HTML('<div style="width:150px; text-align:right; white-space:nowrap">pads (px)</div>')
        super().__init__([widgets.HBox(columns), widgets.HBox([pads, *self.pads])])

    def show(self, settings: Settings, detector: str | Path) -> None:
        """Set every control, without calling `changed`."""
        self._quiet = True
        for name, control in self.controls.items():
            control.value = getattr(settings, name)
        for pad, value in zip(self.pads, settings.pads, strict=True):
            pad.value = value
        self.detector.options = list(dict.fromkeys((str(detector), *detectors())))
        self.detector.value = str(detector)
        self._quiet = False

    @property
    def values(self) -> dict[str, Any]:
        """Detector and settings, as `Session.change` takes them."""
        settings = {name: control.value for name, control in self.controls.items()}
        return {"detector": self.detector.value.strip(), "pads": tuple(pad.value for pad in self.pads), **settings}

    def _on_change(self, *_: Any) -> None:
        if not self._quiet:
            self._changed()
