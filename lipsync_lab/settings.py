"""The settings of a run, and the presets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any

from lipsync_lab import renamed
from lipsync_lab.errors import ParameterError

FACE_SELECTIONS = ("prominent", "largest", "central", "best")
DROPOUTS = ("passthrough", "hold", "interpolate", "error")
SMOOTHINGS = ("centered", "reference", "none")
EXTENSIONS = ("loop", "hold", "pingpong")
CODECS = ("h264", "h264_nvenc", "ffv1")
PRECISIONS = ("auto", "float32")
DETECTION_CADENCES = ("every_frame", "changes", "tracked")
MOUTH_CADENCES = ("every_frame", "holds")
MOUTH_SOURCES = ("auto", "clip", "drawn")


#: Types of the settings, by their names in annotations.
_KINDS = {"int": Integral, "float": Real, "bool": bool, "str": str, "None": type(None)}


@dataclass(frozen=True)
class Settings:
    """Settings of a run. `PRESETS["reference"]` reproduces the published script; the defaults differ from it.

    Attributes
    ----------
    resize_factor : int
        The clip is shrunk by this before anything else.
    rotate : bool
        Turn the clip by 90 degrees clockwise, beyond what its metadata state.
    crop : (y1, y2, x1, x2)
        Part of the clip that is used; -1 for the lower or right edge. After shrinking and turning, as published.
    static : bool
        Use only the first frame.
    fps : float
        Frames a second where the clip is a still picture.
    output_fps : float or None
        Frames a second of the output where the clip is a video: its pictures are held or left out, and each frame gets
        a mouth of its own. None for the clip's own rate.
    detection_size : int or None
        Longest side, in pixels, of the detector's input; None for the clip's own size.
    detection_cadence : str
        Which frames the detector sees: "every_frame", as published; "changes", where a frame that repeats the picture
        before it keeps its candidates; or "tracked", where faces are also followed between key frames
        (`detection.sparse`).
    precision : str
        Of networks: "auto" computes in float16 on CUDA, and published-size networks on a processor in bfloat16, and by
        OpenVINO or ncnn, where these are faster there (`models.inference.coarser`); "float32", by torch, as published.
    detection_batch : int
        Frames per batch of the detector.
    threshold : float
        Score that a candidate must exceed to count as a face.
    face_selection : str or int
        Which of several faces: "prominent" (score, size and duration together), "largest", "central", "best" (the
        highest score in each frame, as published), or the n-th from the left, from 0.
    dropouts : str
        Frames without a detected face: "passthrough" leaves them unchanged, "hold" repeats the last box, "interpolate"
        goes from box to box, "error" stops, as published.
    faces : None, "all", int or tuple of int
        Faces that are dubbed, numbered from the left in each shot, from 0: None for one, by `face_selection`; "all";
        the so many most prominent ones; or those of these numbers (`detection.several`).
    max_dropout : int
        Longest dropout, in frames, that is filled, or over which a face is tracked.
    smoothing : str
        Of the box: "centered", "reference", "none".
    pads : (top, bottom, left, right)
        Pixels added to the detected box.
    generator_batch : int
        Faces per batch of the generator.
    audio_offset : int or None
        Frames by which each frame's mel window starts earlier: 0 as published, 1 as the published weights were trained;
        None for the offset that the generator's file states, and 0 where it states none.
    feather : float
        0 pastes the whole square, as published; else only the lower half, which is the part that is generated, blended
        over this share of the box: the upper face stays as sharp as it was.
    mouth_cadence : str
        "every_frame" generates a mouth for every frame, as published; "holds" generates one per animation hold of the
        source and reuses it for the rest of the hold (`generation.holds`).
    mouth_timing : str or None
        File of mouth shapes and their times (`generation.cel.exchange`), which the generator `cel` shows frame
        by frame; None for the shapes of the voice on the holds of the clip.
    mouth_source : str
        Mouths of the generator `cel`: "clip", each from the clip, the nearest that it shows; "drawn", each from the
        chart of shapes; "auto", from the clip where one is near enough, else from the chart.
    mouth_chart : str or None
        Folder of a mouth chart (`generation.cel.chart`), whose pictures are the mouths; before `mouth_source`.
    restorer : str or None
        A mouth restorer, by name or file, which sharpens what the generator generated (`generation.restoring`); None
        (or "none") for none, as published.
    extend : str
        Where the clip is shorter than the voice: "loop" (as published), "hold" its last frame, or "pingpong".
    keep_tail : bool
        Where the clip is longer than the voice: keep the rest, untouched, with its own sound.
    published_length : bool
        As many frames as mel windows fit (up to 0.15 s short), instead of the length of the voice.
    codec : str
        "h264" in MP4, by x264; "h264_nvenc", by the encoder of an NVIDIA GPU that has one; or "ffv1" in Matroska:
        lossless.
    crf : int
        Quality of H.264: 0 lossless, 18 by eye the same, 51 worst.
    """

    resize_factor: int = 1
    rotate: bool = False
    crop: tuple[int, int, int, int] = (0, -1, 0, -1)
    static: bool = False
    fps: float = 25.0
    output_fps: float | None = None
    detection_size: int | None = 640
    detection_cadence: str = "changes"
    precision: str = "auto"
    detection_batch: int = 16
    threshold: float = 0.5
    face_selection: str | int = "prominent"
    dropouts: str = "passthrough"
    faces: str | int | tuple[int, ...] | None = None
    max_dropout: int = 12
    smoothing: str = "centered"
    pads: tuple[int, int, int, int] = (0, 10, 0, 0)
    generator_batch: int = 16
    audio_offset: int | None = None
    feather: float = 0.1
    mouth_cadence: str = "every_frame"
    mouth_timing: str | None = None
    mouth_source: str = "auto"
    mouth_chart: str | None = None
    restorer: str | None = None
    extend: str = "loop"
    keep_tail: bool = False
    published_length: bool = False
    codec: str = "h264"
    crf: int = 18

    def __post_init__(self):
        def need(fits: bool, name: str, wanted: str) -> None:
            if not fits:
                raise ParameterError(f"{name} {getattr(self, name)!r} is not possible; it must be {wanted}")

        for field in fields(self):
            words, value = field.type.split(" | "), getattr(self, field.name)
            if set(words) <= _KINDS.keys():
                flag = isinstance(value, bool) and "bool" not in words
                need(isinstance(value, tuple(map(_KINDS.get, words))) and not flag, field.name, " or ".join(words))
        for name in ("crop", "pads"):
            values = getattr(self, name)
            need(isinstance(values, list | tuple), name, "four whole numbers of pixels")
            need(len(values) == 4 and all(isinstance(v, int) for v in values), name, "four whole numbers of pixels")
            object.__setattr__(self, name, tuple(values))
        for name in ("resize_factor", "detection_batch", "generator_batch"):
            need(getattr(self, name) >= 1, name, "1 or more")
        need(0 < self.fps <= 1000, "fps", "above 0 and at most 1000")
        need(self.output_fps is None or 0 < self.output_fps <= 1000, "output_fps", "above 0 and at most 1000, or None")
        need(self.detection_size is None or self.detection_size >= 32, "detection_size", "32 pixels or more, or None")
        need(0 <= self.threshold < 1, "threshold", "from 0 to below 1")
        need(self.max_dropout >= 0, "max_dropout", "0 or more")
        need(0 <= self.feather <= 0.25, "feather", "from 0 to 0.25")
        need(0 <= self.crf <= 51, "crf", "from 0 to 51")
        n_th = isinstance(self.face_selection, int) and self.face_selection >= 0
        need(
            self.face_selection in FACE_SELECTIONS or n_th,
            "face_selection",
            f"{', '.join(FACE_SELECTIONS)}, or 0, 1, ... from the left",
        )
        if isinstance(self.faces, list):
            object.__setattr__(self, "faces", tuple(self.faces))
        numbers = isinstance(self.faces, tuple) and len(set(map(repr, self.faces))) == len(self.faces) > 0
        need(
            self.faces in (None, "all")
            or (isinstance(self.faces, int) and self.faces >= 1)
            or (numbers and all(isinstance(n, int) and n >= 0 for n in self.faces)),
            "faces",
            "all, a number of faces, or different numbers of faces from the left, from 0",
        )
        if self.restorer == "none":
            object.__setattr__(self, "restorer", None)
        need(self.dropouts in DROPOUTS, "dropouts", " or ".join(DROPOUTS))
        need(self.smoothing in SMOOTHINGS, "smoothing", " or ".join(SMOOTHINGS))
        need(self.mouth_cadence in MOUTH_CADENCES, "mouth_cadence", " or ".join(MOUTH_CADENCES))
        need(self.mouth_source in MOUTH_SOURCES, "mouth_source", " or ".join(MOUTH_SOURCES))
        known = " or ".join(DETECTION_CADENCES)
        need(self.detection_cadence in DETECTION_CADENCES, "detection_cadence", known)
        need(self.precision in PRECISIONS, "precision", " or ".join(PRECISIONS))
        need(self.extend in EXTENSIONS, "extend", " or ".join(EXTENSIONS))
        need(self.codec in CODECS, "codec", " or ".join(CODECS))

    @classmethod
    def of(cls, values: Mapping[str, Any], preset: str | None = None) -> Settings:
        """Settings from a mapping, over a preset's or the defaults.

        Raises
        ------
        ParameterError
            A name that is not a setting, or a value outside its range.

        Warns
        -----
        DeprecationWarning
            A name or value of an earlier version; it is taken for the present one.
        """
        present, known = renamed.settings(values), [field.name for field in fields(cls)]
        if present != dict(values) or preset in renamed.PRESETS:
            old = [name for name in values if name not in present or values[name] != present[name]]
            spelling = ", ".join([*old, *([f"preset {preset}"] if preset in renamed.PRESETS else [])])
            new = [f"{name}={value!r}" for name, value in present.items() if values.get(name) != value]
            new += [f"preset {renamed.PRESETS[preset]}"] if preset in renamed.PRESETS else []
            message = f"settings have new names and values: {spelling} is now {', '.join(new)}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            values, preset = present, renamed.PRESETS.get(preset, preset)
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ParameterError(f"unknown setting {', '.join(unknown)}; known: {', '.join(known)}")
        if preset is not None and preset not in PRESETS:
            raise ParameterError(f"unknown preset {preset}; known: {', '.join(PRESETS)}")
        return cls(**{**PRESETS.get(preset, {}), **values})

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a file, which an earlier version may have written; their names are translated silently.

        Raises
        ------
        ParameterError
            As `of`.
        """
        return cls.of(renamed.settings(values))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


#: Named sets of settings. `reference` does everything as the published inference.py, including its faults;
#: `animation` is what `evaluation.ablation` shows to help on animation, whatever the generator.
PRESETS: dict[str, dict[str, Any]] = {
    "animation": {"dropouts": "interpolate", "smoothing": "centered", "feather": 0.1, "mouth_cadence": "holds"},
    "reference": {
        "precision": "float32",
        "detection_size": None,
        "detection_cadence": "every_frame",
        "face_selection": "best",
        "dropouts": "error",
        "smoothing": "reference",
        "audio_offset": 0,
        "feather": 0.0,
        "mouth_cadence": "every_frame",
        "extend": "loop",
        "keep_tail": False,
        "published_length": True,
    },
}
