"""Every choice of a run, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lipsync_lab.errors import ParameterError

CHOICES = ("largest", "central", "best")
GAPS = ("pass", "hold", "interpolate", "abort")
SMOOTHINGS = ("centered", "upstream", "none")
FILLS = ("loop", "hold", "pingpong")
CODECS = ("h264", "ffv1")
MOUTHS = ("frames", "drawings")


@dataclass(frozen=True)
class Settings:
    """Settings of a run; the defaults are this project's, `PRESETS["upstream"]` is the published script.

    Attributes
    ----------
    resize_factor : int
        The clip is shrunk by this before anything else.
    rotate : bool
        Turn the clip by 90 degrees clockwise, beyond what its metadata ask for.
    crop : (y1, y2, x1, x2)
        Part of the clip that is used; -1 for the lower or right edge. After shrinking and turning, as published.
    static : bool
        Use only the first frame.
    fps : float
        Frames a second where the clip is a still picture.
    analysis_size : int or None
        Longest side, in pixels, of the frames that the detector looks at; None for the clip's own size.
    detection_batch : int
        Frames that the detector is given at once.
    threshold : float
        Score that a candidate must exceed to be a face.
    choose : str or int
        Which face: "largest", "central", "best" (each frame for itself, as published), or the n-th from the left,
        from 0.
    gap : str
        Frames without a face: "pass", "hold", "interpolate", "abort".
    longest_gap : int
        Frames; longer gaps are never filled.
    smoothing : str
        Of the box: "centered", "upstream", "none".
    pads : (top, bottom, left, right)
        Pixels added to the found box.
    generator_batch : int
        Faces that are drawn at once.
    mel_lead : int or None
        Frames by which each frame's mel window starts earlier: 0 as published, 1 as the published weights were trained;
        None for what the generator's own file asks for, and 0 where it asks for nothing.
    feather : float
        0 pastes the whole square, as published; else the lower half, blended over this share of the box.
    mouths : str
        When a new one is drawn: in all "frames", as published, or with the "drawings": while the source holds the face
        that it shows, up to three frames, its mouth is held too (`drawings`).
    fill : str
        Where the clip is shorter than the voice: "loop" (as published), "hold" its last frame, or "pingpong".
    keep_tail : bool
        Where the clip is longer than the voice: keep the rest, untouched, with its own sound.
    published_length : bool
        As many frames as mel windows fit (up to 0.15 s short), instead of the length of the voice.
    codec : str
        "h264" in MP4, or "ffv1" in Matroska: lossless.
    crf : int
        Quality of H.264: 0 lossless, 18 by eye the same, 51 worst.
    """

    resize_factor: int = 1
    rotate: bool = False
    crop: tuple[int, int, int, int] = (0, -1, 0, -1)
    static: bool = False
    fps: float = 25.0
    analysis_size: int | None = 640
    detection_batch: int = 16
    threshold: float = 0.5
    choose: str | int = "largest"
    gap: str = "pass"
    longest_gap: int = 12
    smoothing: str = "centered"
    pads: tuple[int, int, int, int] = (0, 10, 0, 0)
    generator_batch: int = 16
    mel_lead: int | None = None
    feather: float = 0.0
    mouths: str = "frames"
    fill: str = "loop"
    keep_tail: bool = False
    published_length: bool = False
    codec: str = "h264"
    crf: int = 18

    def __post_init__(self):
        def need(fits: bool, name: str, wanted: str) -> None:
            if not fits:
                raise ParameterError(f"{name} {getattr(self, name)!r} is not possible; it must be {wanted}")

        for name in ("crop", "pads"):
            values = getattr(self, name)
            need(len(values) == 4 and all(isinstance(v, int) for v in values), name, "four whole numbers of pixels")
            object.__setattr__(self, name, tuple(values))
        for name in ("resize_factor", "detection_batch", "generator_batch"):
            need(getattr(self, name) >= 1, name, "1 or more")
        need(self.fps > 0, "fps", "above 0")
        need(self.analysis_size is None or self.analysis_size >= 32, "analysis_size", "32 pixels or more, or None")
        need(0 <= self.threshold < 1, "threshold", "from 0 to below 1")
        need(self.longest_gap >= 0, "longest_gap", "0 or more")
        need(0 <= self.feather <= 0.25, "feather", "from 0 to 0.25")
        need(0 <= self.crf <= 51, "crf", "from 0 to 51")
        n_th = isinstance(self.choose, int) and self.choose >= 0
        need(self.choose in CHOICES or n_th, "choose", f"{', '.join(CHOICES)}, or 0, 1, ... from the left")
        need(self.gap in GAPS, "gap", " or ".join(GAPS))
        need(self.smoothing in SMOOTHINGS, "smoothing", " or ".join(SMOOTHINGS))
        need(self.mouths in MOUTHS, "mouths", " or ".join(MOUTHS))
        need(self.fill in FILLS, "fill", " or ".join(FILLS))
        need(self.codec in CODECS, "codec", " or ".join(CODECS))

    @classmethod
    def of(cls, values: Mapping[str, Any], preset: str | None = None) -> Settings:
        """Settings from a mapping, over a preset's or the defaults.

        Raises
        ------
        ParameterError
            A name that is no setting, or a value that makes no sense.
        """
        known = [field.name for field in fields(cls)]
        strangers = [name for name in values if name not in known]
        if strangers:
            raise ParameterError(f"unknown setting {', '.join(strangers)}; known: {', '.join(known)}")
        if preset is not None and preset not in PRESETS:
            raise ParameterError(f"unknown preset {preset}; known: {', '.join(PRESETS)}")
        return cls(**{**PRESETS.get(preset, {}), **values})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


#: Named sets of settings. `upstream` does everything as the published inference.py, also where it is to its harm;
#: `animation` is what `comparison.mends` found to help on drawn clips, whatever the generator.
PRESETS: dict[str, dict[str, Any]] = {
    "animation": {"gap": "interpolate", "smoothing": "centered", "feather": 0.1, "mouths": "drawings"},
    "upstream": {
        "analysis_size": None,
        "choose": "best",
        "gap": "abort",
        "smoothing": "upstream",
        "mel_lead": 0,
        "feather": 0.0,
        "mouths": "frames",
        "fill": "loop",
        "keep_tail": False,
        "published_length": True,
    },
}
