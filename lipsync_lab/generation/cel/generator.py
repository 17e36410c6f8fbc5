"""`cel`: the generator that draws mouths as an animator does, instead of repainting the face.

It needs the whole clip before the first mouth: where the mouth is in each drawing (`locate`), how the clip draws
(`look`), and which shape each exposure shows (`timing`). `Cel.prepare` finds all that; the `DrawnClip` that it returns
then changes one frame after the other, and only where the old mouth was and the new one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import compositing, holds
from lipsync_lab.generation.cel import chart, draw, exchange, own, timing
from lipsync_lab.generation.cel.erase import Erased, erase
from lipsync_lab.generation.cel.locate import DRAWABLE, MouthPose, locate, steady
from lipsync_lab.generation.cel.look import Look, Sample, look_of, seat_of
from lipsync_lab.generation.cel.own import Mouth
from lipsync_lab.generation.cel.refine import refined
from lipsync_lab.generation.cel.shapes import CHART, SHAPES, MouthShape
from lipsync_lab.generation.cel.timing import Cue
from lipsync_lab.generation.windows import Voice
from lipsync_lab.geometry import Box, spans
from lipsync_lab.media import audio
from lipsync_lab.media.audio import MEL_WINDOW
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from torch import nn

#: Drawings of a clip from which its own mouths are taken.
OWN = 120
#: Name of the exposure sheet in the folder of a run.
SHEET = "exposure_sheet.csv"
#: Where a mouth comes from: cut from the clip and pasted, of a chart that was given, or drawn from the chart of shapes.
SOURCES = ("clip", "chart", "drawn")
#: Confidence that is enough beside a frame whose mouth is located.
LESS_SURE = 0.15
#: Longest gap in frames, between mouths that are drawn, in which a mouth is drawn at any confidence.
GAP = 2
#: Share of flat skin around the mouth, the median of a clip, below which its faces are painted: no mouth is drawn.
FLAT = 0.36
_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Cel:
    """The animation generator; see `generation.base.Generator` for the attributes.

    A run uses `prepare`, which gives what draws whole frames. `crop`, `generate` and `paste` draw one frame by itself,
    without the look of the rest of the clip and without an exposure sheet, for the explorer.
    """

    locator: nn.Module = field(repr=False)
    visemes: nn.Module = field(repr=False)
    sha256: str | None
    name: str = "cel"
    path: Path | None = None
    width: float = 1.0
    provenance: str = "cel: mouths from the clip or from a chart of shapes, in the line of the clip"
    audio_offset: int = 0

    side = 256
    region = (0.0, 0.5, 1.0, 1.0)
    domains = ("animation",)
    instead = {
        "mouth_cadence": "holds, as cel does by itself (or as mouth_timing says)",
        "feather": "not used",
        "generator_batch": "not used",
    }
    window = MEL_WINDOW

    @classmethod
    def load(cls, device: str = "cpu") -> Cel:
        """With the bundled networks; raises `CheckpointError` where they are absent."""
        from lipsync_lab.models import registry

        locator, visemes = (
            registry.load(registry.DEFAULTS[kind], kind, device) for kind in ("mouth_locator", "visemes")
        )
        return cls(locator.model, visemes.model, f"{locator.sha256} {visemes.sha256}")

    def crop(self, frame: np.ndarray, box: Box) -> np.ndarray:
        """The face box as a square, uint8 RGB (256, 256, 3)."""
        return cv2.resize(np.ascontiguousarray(frame[box.slices]), (self.side, self.side), interpolation=cv2.INTER_AREA)

    def generate(self, crops: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Crops with the mouth of each mel window, uint8 RGB; unchanged where no mouth is located."""
        whole, out = Box(0, 0, self.side, self.side), crops.copy()
        for place, (crop, pose) in enumerate(
            zip(crops, locate(crops, [whole] * len(crops), network=self.locator), strict=True)
        ):
            if pose is None or not pose.drawable:
                continue
            pose = _on_ink(crop, pose, whole)
            erased = erase(crop, pose, whole)
            look = look_of([Sample(whole, pose, crop[erased.box.slices], erased)])
            sounds = timing.classify(windows[place], self.visemes)
            (shape,) = timing.sheet(sounds, [(0, 1)], audio.MELS_PER_SECOND / MEL_WINDOW)
            layer = draw.drawn(shape, seat_of(pose, whole, look, erased=erased), look.pen, erased.box)
            out[place][erased.box.slices] = draw.composited(erased.pixels, layer)
        return out

    def paste(self, frame: np.ndarray, face: np.ndarray, box: Box, feather: float = 0.0) -> np.ndarray:
        """See `generation.compositing.paste`."""
        return compositing.paste(frame, face, box, feather)

    def prepare(self, clip, plan) -> tuple[DrawnClip, Any]:
        """Find the mouths of a clip and the shapes of a voice.

        Parameters
        ----------
        clip : Clip
            Read once.
        plan : plan.Plan

        Returns
        -------
        DrawnClip
        Plan
            With the exposures as `Plan.mouths`. Frames whose mouth is hidden, off the picture or not `accepted` are
            passthrough frames, and so are all of a clip whose faces are painted (`FLAT`).
        """
        poses, first, samples = self._survey(clip, plan.track)
        look, pictures = self._pictures(samples, plan.settings)
        order, fps = plan.order, float(clip.fps)
        spoken = (plan.mouths >= 0) & accepted(poses, plan.track.shots)[order]
        if plan.settings.mouth_timing is None:
            shown = np.where(spoken, holds.mouth_frames(_runs(first[order], spoken)), -1)
            exposed = [(start, stop) for start, stop in timing.exposures(shown, fps) if spoken[start]]
            sounds = timing.classify(plan.voice.mel, self.visemes)
            shapes = timing.sheet(sounds, exposed, fps, plan.settings.audio_offset or 0)
        else:
            given = timing.shapes_at(exchange.read_timing(plan.settings.mouth_timing, fps), len(order), fps)
            spoken &= np.array([shape is not None for shape in given])
            changed = [frame for frame in range(1, len(given)) if given[frame] != given[frame - 1]]
            exposed = list(spans(spoken, np.searchsorted(changed, np.arange(len(given)), "right")))
            shapes = [given[start] for start, _ in exposed]
        mouths = np.full(len(order), -1, np.int64)
        shape_of: dict[int, MouthShape] = {}
        for (start, stop), shape in zip(exposed, shapes, strict=True):
            mouths[start:stop], shape_of[start] = start, shape
        mouths[~spoken] = -1
        cues = timing.cues(shapes, exposed, fps)
        drawn = DrawnClip(look, poses, first, order, mouths, shape_of, plan.track, cues, pictures, clip)
        return drawn, replace(plan, mouths=mouths)

    def check(self, settings: Settings) -> None:
        """Read the files that settings name, so that a wrong one is refused before anything else is done.

        Raises
        ------
        MediaError
            The file cannot be read.
        """
        if settings.mouth_timing is not None:
            exchange.read_timing(settings.mouth_timing, settings.fps)
        if settings.mouth_chart is not None:
            chart.read_chart(settings.mouth_chart)

    def mouths(self, voice: Voice, fps: float, exposure: int = 2, audio_offset: int = 0) -> list[Cue]:
        """The mouth timing of a voice without a clip.

        Parameters
        ----------
        voice : Voice
        fps : float
            Frames a second.
        exposure : int
            Frames of a drawing; a mouth lasts `timing.SHORTEST` at least.
        audio_offset : int
            See `timing.sheet`.
        """
        frames = np.arange(max(1, round(voice.seconds * fps)))
        exposed = timing.exposures(exposure * (frames // exposure), fps)
        shapes = timing.sheet(timing.classify(voice.mel, self.visemes), exposed, fps, audio_offset)
        return timing.cues(shapes, exposed, fps)

    def _survey(self, clip, track) -> tuple[list[MouthPose | None], np.ndarray, list[Sample]]:
        """The pose in every source frame, the first frame of its hold, and drawings to measure the look on."""
        drawings, poses, samples = holds.Holds(), [], []
        first: list[int] = []
        batch: list[np.ndarray] = []
        step, asked = max(1, len(track) // OWN), 0

        def finish() -> None:
            nonlocal asked
            start = len(poses)
            boxes = [track.box(start + i) for i in range(len(batch))]
            located = locate(batch, boxes, network=self.locator)
            poses.extend(map(_on_ink, batch, located, boxes))
            for number, frame in enumerate(batch, start):
                pose = poses[number]
                if number >= asked and first[number] == number and pose is not None and pose.drawable:
                    asked = number + step
                    erased = erase(frame, pose, track.box(number))
                    part = frame[erased.box.slices].copy()
                    samples.append(Sample(track.box(number), pose, part, erased, number, int(track.shots[number])))
            batch.clear()

        for number, frame in enumerate(clip.read(0, len(track))):
            first.append(drawings.add(frame, track.box(number)))
            batch.append(frame)
            if len(batch) == _AT_ONCE:
                finish()
        finish()
        firsts = np.array(first, np.int64)
        if not samples or np.median([sample.erased.flat for sample in samples]) < FLAT:
            poses, samples = [None] * len(poses), []
        return steady(poses, firsts, track.shots), firsts, samples

    def _pictures(self, samples: list[Sample], settings: Settings) -> tuple[Look | None, Pictures]:
        """The look of a clip, and the mouths that are pasted: of a chart that is given, or the clip's own."""
        look = look_of(samples) if samples else None
        if settings.mouth_chart is not None:
            return look, Pictures(tuple(chart.read_chart(settings.mouth_chart)), np.inf)
        if look is None or settings.mouth_source == "drawn":
            return look, Pictures()
        mouths = own.distinct(own.cut_all(samples, look))
        return look, Pictures(tuple(mouths), np.inf if settings.mouth_source == "clip" else own.NEAR)

    def chart(self, clip, plan) -> list[Mouth]:
        """The mouth chart of a clip, by shape: its own mouths, and for shapes that it does not show those of the chart.

        Parameters
        ----------
        clip : Clip
            Read once.
        plan : plan.Plan
            Its voice is not used; `Settings.mouth_source` "drawn" leaves out the clip's own mouths.

        Raises
        ------
        ParameterError
            No mouth is located in any frame.
        """
        _, _, samples = self._survey(clip, plan.track)
        if not samples:
            raise ParameterError(f"{clip.name}: no mouth is located in any frame; try another --detector or a --box")
        look, pictures = self._pictures(samples, plan.settings)
        skin = tuple(float(value) for value in np.median([sample.erased.skin[0] for sample in samples], axis=0))
        mouths = list(pictures.mouths)
        # the closed mouth that the clip shows first is its mouth at rest too
        mouths += [replace(mouth, shape="X") for mouth in mouths if mouth.shape == "A"][:1]
        known = {mouth.shape for mouth in mouths}
        mouths += [own.drawn_mouth(CHART[letter], look, skin) for letter in SHAPES if letter not in known]
        return sorted(mouths, key=lambda mouth: SHAPES.index(mouth.shape))


@dataclass(frozen=True, eq=False)
class Pictures:
    """Mouths that are pasted where their distance (`own.nearest`) is below `near`; elsewhere they are drawn."""

    mouths: tuple[Mouth, ...] = ()
    near: float = 0.0


@dataclass(frozen=True, eq=False)
class DrawnClip:
    """The mouths of a clip and a voice, ready to be drawn.

    Attributes
    ----------
    look : Look or None
        None where no mouth can be drawn.
    poses : sequence of MouthPose or None
        Of each source frame.
    first : ndarray, int64
        First frame of the hold of each source frame.
    order, mouths : ndarray, int64, (M,)
        As in `plan.Plan`; a mouth is numbered by the first frame of its exposure.
    shapes : dict of int to MouthShape
        By the number of the mouth.
    track : FaceTrack
    cues : list of Cue
        The mouth timing, for `exchange.write_timing`.
    pictures : Pictures
    clip : Clip or None
    """

    look: Look | None
    poses: Sequence[MouthPose | None]
    first: np.ndarray
    order: np.ndarray
    mouths: np.ndarray
    shapes: dict[int, MouthShape]
    track: Any
    cues: list[Cue]
    pictures: Pictures = Pictures()
    clip: Any = None

    def write_files(self, folder: Path, fps: Fraction | float) -> dict[str, int]:
        """Write ``exposure_sheet.csv``, which `Settings.mouth_timing` takes when it was corrected.

        Returns
        -------
        dict of str to int
            Output frames by the source of their mouth.
        """
        origins = self.origins()
        if self.cues:
            exchange.write_timing(folder / SHEET, self.cues, fps, origins=origins)
        return {source: n for source in SOURCES if (n := sum(source == each for each, _ in origins))}

    def origins(self) -> list[tuple[str, str]]:
        """Where the mouth of each output frame came from, after `draw`: one of `SOURCES`, and what was pasted.

        The second is the source frame from which a mouth of the clip was cut, or the file of a chart; empty for a mouth
        that is drawn. Both are empty where the frame keeps its own mouth.
        """
        keys = [self._key(number) if mouth >= 0 else None for number, mouth in enumerate(self.mouths.tolist())]
        self._choose_again({key for key in keys if key is not None and key not in self._pasted})
        return [("", "") if key is None else _origin(self._pasted[key]) for key in keys]

    def _choose_again(self, keys: set[tuple[int, MouthShape]]) -> None:
        """Choose the mouths that an interrupted call drew (`media.segments`)."""
        shapes: dict[int, list[MouthShape]] = {}
        for hold, shape in keys:
            shapes.setdefault(hold, []).append(shape)
        for hold, frame in enumerate(self.clip.read(0, max(shapes) + 1) if shapes else ()):
            if hold in shapes:
                source = int(np.flatnonzero(self.first == hold)[-1])
                erased = erase(frame, self.poses[source], self.track.box(hold))
                for shape in shapes[hold]:
                    self._chosen(erased, shape, source)

    def _key(self, number: int) -> tuple[int, MouthShape]:
        """The hold and the shape of an output frame with a mouth: one mouth."""
        return int(self.first[self.order[number]]), self.shapes[int(self.mouths[number])]

    def draw(self, frame: np.ndarray, number: int) -> np.ndarray:
        """An output frame with its mouth.

        Parameters
        ----------
        frame : ndarray, uint8, (H, W, 3)
            RGB, the source frame.
        number : int
            Of the output frame.

        Returns
        -------
        ndarray, uint8, (H, W, 3)
            A copy that differs from `frame` only where the old mouth was erased or the new one is drawn. Within a hold
            one shape has the same pixels in every frame.
        """
        source = int(self.order[number])
        hold = int(self.first[source])
        if hold != self._now.get("hold"):
            self._now.clear()
            # the mouth is erased from the frame that the hold begins with, also where that one passes through
            self._now.update(hold=hold, frame=frame)
        if self.mouths[number] < 0:
            return frame
        _, shape = self._key(number)
        if "erased" not in self._now:
            self._now["erased"] = erase(self._now["frame"], self.poses[source], self.track.box(hold))
        if shape not in self._now:
            self._now[shape] = self._mouth(self._now["erased"], shape, source)
        part, pixels, where = self._now[shape]
        out = frame.copy()
        out[part.slices][where] = pixels[where]
        return out

    @cached_property
    def _now(self) -> dict:
        """The first frame of the present hold, its face without a mouth, and the mouths that it showed already."""
        return {}

    @cached_property
    def _pasted(self) -> dict[tuple[int, MouthShape], Mouth | None]:
        """The picture of each mouth that was made, by `_key`; None where it was drawn."""
        return {}

    def _chosen(self, erased: Erased, shape: MouthShape, source: int) -> tuple[draw.Seat, Mouth | None]:
        hold, shot = int(self.first[source]), int(self.track.shots[source])
        seat = seat_of(self.poses[source], self.track.box(hold), self.look, shot, erased)
        mouths = own.alike(self.pictures.mouths, shot, seat.width, erased.skin[0])
        picture, distance = own.nearest(shape, seat.turn, shot, mouths)
        self._pasted[hold, shape] = picture if picture is not None and distance < self.pictures.near else None
        return seat, self._pasted[hold, shape]

    def _mouth(self, erased: Erased, shape: MouthShape, source: int):
        seat, picture = self._chosen(erased, shape, source)
        if picture is not None:
            layer = own.placed(picture, seat, erased.box, erased.skin[0])
        else:
            layer = self._drawn(erased, shape, seat, self.track.box(int(self.first[source])))
        return erased.box, draw.composited(erased.pixels, layer), erased.mask | (layer[..., 3] > 1 / 512)

    def _drawn(self, erased: Erased, shape: MouthShape, seat: draw.Seat, box: Box) -> np.ndarray:
        scale = box.width / self.look.face
        pen = replace(
            self.look.pen, thickness=self.look.pen.thickness * scale, softness=self.look.pen.softness * min(scale, 1.5)
        )
        return draw.drawn(shape, seat, pen, erased.box)


def accepted(poses: Sequence[MouthPose | None], shots: Sequence[int]) -> np.ndarray:
    """Frames in which a mouth is drawn, bool.

    Those with a pose of enough confidence; those with a lower one (`LESS_SURE`) beside them in the same shot; and gaps
    of `GAP` frames at most between them, as of small round mouths: a mouth that comes and goes is worse than one that
    is a little off. In either case the mouth has to be at nearly the same place.
    """
    sure = np.array([pose is not None and pose.drawable for pose in poses])

    def beside(frame: int, other: int) -> bool:
        pose, known = poses[frame], poses[other]
        if pose is None or not sure[other] or shots[frame] != shots[other]:
            return False
        return np.hypot(pose.centre[0] - known.centre[0], pose.centre[1] - known.centre[1]) < 0.5 * known.width

    for order in (range(1, len(poses)), range(len(poses) - 2, -1, -1)):
        for frame in order:
            if not sure[frame] and beside(frame, frame - order.step):
                sure[frame] = poses[frame].visibility in DRAWABLE and poses[frame].confidence >= LESS_SURE
    for start, stop in spans(~sure):
        if start > 0 and stop < len(poses) and stop - start <= GAP:
            # both neighbours, before the gap is changed
            near = [beside(frame, start - 1) and beside(frame, stop) for frame in range(start, stop)]
            sure[start:stop] = all(near)
    return sure


def _origin(picture: Mouth | None) -> tuple[str, str]:
    if picture is None:
        return "drawn", ""
    return ("clip", str(picture.frame)) if picture.file is None else ("chart", picture.file)


def _on_ink(frame: np.ndarray, pose: MouthPose | None, face: Box | None) -> MouthPose | None:
    """The pose on the line of its mouth, where it may be drawn."""
    asked = pose is not None and pose.visibility == "visible" and pose.confidence >= LESS_SURE
    return refined(frame, pose, face) if asked else pose


def _runs(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """First place of each run of equal values; a place without the mask is a run of its own."""
    new = np.r_[True, (values[1:] != values[:-1]) | ~mask[1:] | ~mask[:-1]]
    return np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
