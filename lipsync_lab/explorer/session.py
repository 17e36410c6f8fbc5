"""What is looked at, what was changed, and what follows from it: all of the explorer that needs no widget."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import audio, checkpoints, compositing, drawings, files, generation, samples, source, tracking, video
from lipsync_lab.detection import Detection, default
from lipsync_lab.detection import record as records
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.explorer import missing
from lipsync_lab.explorer.frames import Frames
from lipsync_lab.explorer.opening import chosen, located, read_whole, run_content, shots
from lipsync_lab.geometry import Box, FaceTrack
from lipsync_lab.pipeline import Progress, _starts, find
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: The difference is shown this many times as strong.
AMPLIFY = 8
#: Settings that may change while a clip is open; all others decide what the frames are, or what a file is.
TUNABLE = ("threshold", "choose", "gap", "longest_gap", "smoothing", "pads", "mel_lead", "feather", "mouths")
#: A box drawn by hand has sides of this many pixels at least: less is a slip of the mouse.
LEAST_SIDE = 8


@dataclass(frozen=True)
class FrameView:
    """All that there is to see of one frame; pictures are uint8 RGB.

    Attributes
    ----------
    frame : int
    source : ndarray, (H, W, 3)
    candidates : list of Detection
        What the detector proposed, best first, refused ones too.
    face : Detection or None
        What was chosen of it, or was drawn by hand; None where there is no face.
    box : Box or None
        Padded and smoothed, in whole pixels: what is cut out.
    provenance : str
        One of `geometry.PROVENANCES`; "recorded" also where it was drawn by hand.
    by_hand : bool
        Whether a person said where the face is, or that there is none.
    crop, mouth : ndarray, (96, 96, 3), or None
        What the generator is given and what it gives back; no mouth where `note` says why.
    output : ndarray, (H, W, 3)
    difference : ndarray, (H, W, 3)
        Between source and output, `AMPLIFY` times as strong, clipped at 255.
    note : str
        Why no mouth was drawn, or nothing.
    """

    frame: int
    source: np.ndarray
    candidates: list[Detection]
    face: Detection | None
    box: Box | None
    provenance: str
    by_hand: bool
    crop: np.ndarray | None
    mouth: np.ndarray | None
    output: np.ndarray
    difference: np.ndarray
    note: str


class Session:
    """A clip under the instrument.

    The whole clip is searched for faces once a detector, and what was found is kept; everything after that is done
    again for the frames that are shown. Those are the frames that `dub` uses: none after the end of the voice, unless
    the tail is kept; where the voice is longer than the clip, frames as the first pass through the clip has them.

    Parameters
    ----------
    clip : str or path
        A sample's name, a clip, a still picture, or the folder of a run.
    voice : str or path, optional
        A sample's name or any file with sound; None for the clip's own. Without any, no mouths are drawn.
    generator : str, path or checkpoints.Weights, optional
        None for the default of `checkpoints.DEFAULTS`, or the run's.
    detector : str or path, optional
        See `detection.load`. None for the default, or in a run's folder for what the run found.
    settings : Settings, optional
        None for the defaults, or the run's.
    failures : DataFrame, optional
        With the columns `missing.FAILURES`. Without it, failures are the stretches of frames without a face.
    device : str, optional
        As for `pipeline.Pipeline`.
    cache : path, optional
        Folder for detections; None for the one that the command line uses.
    progress : callable, optional
        See `pipeline.Progress`.

    Raises
    ------
    LipsyncError
        With the file or setting that is wrong.

    Attributes
    ----------
    settings : Settings
    detector : str or path
    record : detection.record.Record
        Every candidate of every frame of the clip.
    chosen : list of Detection or None
        The face of every frame of the clip, by the detector or by hand.
    track : FaceTrack
        Of the frames that are shown.
    edits : dict of int to Box or None
        Boxes drawn by hand; None where somebody said that there is no face.
    """

    def __init__(
        self,
        clip: str | Path,
        voice: str | Path | None = None,
        *,
        generator: str | Path | checkpoints.Weights | None = None,
        detector: str | Path | None = None,
        settings: Settings | None = None,
        failures: pandas.DataFrame | None = None,
        device: str | None = None,
        cache: str | Path | None = None,
        progress: Progress | None = None,
    ):
        self.path = located(clip)
        self.edits: dict[int, Box | None] = {}
        self._found: dict[str, tuple[records.Record, str]] = {}
        if self.path.is_dir():
            run = run_content(self.path)
            settings, voice, generator = settings or run.settings, voice or run.voice, generator or run.generator
            if detector is None:
                detector, self.edits = self.path / "detections.json", run.edits
                self._found[str(detector)] = run.record, run.provenance
            self.path = run.clip
        self.settings = settings or Settings()
        self.source = source.from_file(self.path, self.settings)
        if device is None:
            import torch

            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        loaded = isinstance(generator, checkpoints.Weights)
        named = generator or checkpoints.DEFAULTS["generator"]
        self.weights = named if loaded else checkpoints.load(named, "generator", device)
        if self.settings.mel_lead is None:
            self.settings = replace(self.settings, mel_lead=self.weights.mel_lead)
        self.wave = self.mel = None
        if voice is not None or video.probe(self.path).has_sound:
            self.wave = audio.load(self.path if voice is None else located(voice))
            self.mel = audio.melspectrogram(self.wave)
        self._cache = samples.cache() / "detections" if cache is None else Path(cache)
        self.change(detector=detector or default(), progress=progress)
        self._frames = Frames(self.source.read, self.record.size)
        self._failures = failures
        if failures is not None:
            missing.check(failures, len(self))

    def __len__(self) -> int:
        return len(self.track)

    @property
    def models(self) -> str:
        """One sentence on what draws and what detects, to stand beside every picture."""
        found = self.record.detector or {}
        return f"generator {self.weights.provenance}; detector {found.get('name') or Path(self.detector).name}"

    @property
    def seconds(self) -> float:
        """Of the clip."""
        return len(self) / float(self.source.fps)

    def change(self, *, detector: str | Path | None = None, progress: Progress | None = None, **values: Any) -> None:
        """Other settings, or another detector; all or, after an error, nothing of it.

        Parameters
        ----------
        detector : str or path, optional
        progress : callable, optional
            Told of the search, which only a detector that was not used before needs.
        values
            Of `TUNABLE`.

        Raises
        ------
        LipsyncError
            A setting that cannot be changed or makes no sense, or a detector that cannot be used.
        """
        if strangers := sorted(set(values) - set(TUNABLE)):
            raise ParameterError(f"{', '.join(strangers)}: cannot change while a clip is open, open it anew with it")
        settings = Settings.of({**self.settings.as_dict(), **values})
        detector = detector or self.detector
        record, kind = self._search(detector, settings, progress)
        # an error in here leaves everything as it was
        starts = [] if self.mel is None else _starts(self.mel, len(self.wave), self.source.fps, settings)
        used = len(record) if self.mel is None or settings.keep_tail else min(len(starts), len(record))
        tracked = _track(record, used, kind, settings, self.edits, float(self.source.fps))
        self.settings, self.detector, self.record, self._starts = settings, detector, record, starts
        self.chosen, self.track = tracked
        self._rhythm: list[int] | None = None

    def _search(
        self, detector: str | Path, settings: Settings, progress: Progress | None
    ) -> tuple[records.Record, str]:
        if str(detector) not in self._found:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "detections.json"
                find(
                    self.path,
                    file,
                    detector=detector,
                    settings=settings,
                    device=self.device,
                    cache=self._cache,
                    progress=progress,
                )
                kind = "recorded" if Path(detector).suffix.lower() == ".json" else "detected"
                self._found[str(detector)] = read_whole(file)[0], kind
        return self._found[str(detector)]

    def draw_box(self, frame: int, box: Box) -> Box | None:
        """Put a box on a frame by hand, in place of what was found there.

        Returns
        -------
        Box or None
            In whole pixels inside the frame; None, and nothing is changed, where it is smaller than `LEAST_SIDE`.
        """
        box = Box(*(round(value) for value in box)).clipped(*self.record.size)
        if min(box.width, box.height) < LEAST_SIDE:
            return None
        self._edit(frame, box)
        return box

    def no_face(self, frame: int) -> None:
        """Say that a frame has no face, whatever was found there."""
        self._edit(frame, None)

    def undo(self, frame: int) -> None:
        """Go back to what the detector found on a frame."""
        self.edits.pop(frame, None)
        self.change()

    def _edit(self, frame: int, box: Box | None) -> None:
        if not 0 <= frame < len(self):
            raise ParameterError(f"frame {frame}: the clip has the frames 0 to {len(self) - 1}")
        self.edits[frame] = box
        self.change()

    def save(self, path: str | Path) -> Path:
        """Write the boxes as they are now, for ``dub --detector PATH``.

        Raises
        ------
        MediaError
            The file cannot be written.
        ParameterError
            Its name does not end in ``.json``, by which `dub` knows it.
        """
        path = Path(path)
        if path.suffix.lower() != ".json":
            raise ParameterError(f"{path}: boxes are saved as JSON; let the name end in .json")
        about = {"threshold": self.settings.threshold, "fps": str(self.source.fps)}
        try:
            with files.atomic_file(path) as part:
                records.write(part, self.record, self.chosen, **about)
        except OSError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return path

    def failures(self) -> pandas.DataFrame:
        """The table that was given; else stretches of frames without a face, as they are after all edits.

        Returns
        -------
        DataFrame
            With the columns `missing.FAILURES`: kind; first, last and worst frame; severity, 0 to 1; evidence in words.
        """
        return missing.missing_stretches(self.track) if self._failures is None else self._failures

    def next_failure(self, frame: int, back: bool = False) -> int | None:
        """Worst frame of the failure that comes next, from the clip's other end on where none does; None without any.

        Parameters
        ----------
        frame : int
            Where to look from.
        back : bool
            Look towards the beginning.
        """
        worst = sorted(set(self.failures()["worst"].astype(int)), reverse=back)
        beyond = [one for one in worst if (one < frame if back else one > frame)]
        return (beyond or worst or [None])[0]

    def view(self, frame: int) -> FrameView:
        """Everything about one frame, worked out with the settings of this moment."""
        image, box = self._frames[frame], self.track.box(frame)
        crop = None if box is None else generation.crop(image, box)
        note = self._why_not(frame)
        mouth, output = None, image
        if not note:
            mouth = self._mouths([frame])[0]
            output = compositing.paste(image, mouth, box, self.settings.feather)
        difference = np.clip(np.abs(image.astype(int) - output) * AMPLIFY, 0, 255).astype(np.uint8)
        return FrameView(
            frame=frame,
            source=image,
            candidates=self.record.candidates[frame],
            face=self.chosen[frame],
            box=box,
            provenance=str(self.track.provenance[frame]),
            by_hand=frame in self.edits,
            crop=crop,
            mouth=mouth,
            output=output,
            difference=difference,
            note=note,
        )

    def second(self, frame: int) -> bytes:
        """The next second as a clip to play: source and output side by side, with the voice.

        Parameters
        ----------
        frame : int
            The first one. There are fewer frames than a second has where the clip ends before.

        Returns
        -------
        bytes
            Of an MP4, at most 1280 pixels wide.
        """
        import cv2

        fps = self.source.fps
        numbers = list(range(frame, min(len(self), frame + max(1, round(fps)))))
        spoken = [number for number in numbers if not self._why_not(number)]
        mouths = dict(zip(spoken, self._mouths(spoken), strict=True)) if spoken else {}
        sound = None
        if self.wave is not None:
            start, stop = (round(float(edge / fps) * audio.SAMPLE_RATE) for edge in (numbers[0], numbers[-1] + 1))
            piece = self.wave[start:stop]
            sound = audio.Sound.from_wave(np.pad(piece, (0, stop - start - len(piece))))
        shrink = max(1.0, 2 * self.record.size[0] / 1280)
        size = tuple(2 * max(1, round(side / shrink / 2)) for side in self.record.size)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "second.mp4"
            with video.Writer(file, fps=fps, sound=sound) as writer:
                for number in numbers:
                    image = output = self._frames[number]
                    if number in mouths:
                        box = self.track.box(number)
                        output = compositing.paste(image, mouths[number], box, self.settings.feather)
                    writer.write(
                        np.hstack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (image, output)])
                    )
            return file.read_bytes()

    def _mouths(self, frames: list[int]) -> np.ndarray:
        crops = np.stack([generation.crop(self._frames[frame], self.track.box(frame)) for frame in frames])
        mels = audio.mel_windows(self.mel, [self._starts[frame - self._stood(frame)] for frame in frames])
        return generation.draw(self.weights.model, crops, mels, self.device)

    def _stood(self, frame: int) -> int:
        """For how many frames the mouth of a frame has been standing; to know it, the whole clip is looked at once."""
        if self.settings.mouths == "frames":
            return 0
        if self._rhythm is None:
            numbers = range(len(self))
            first = drawings.first_frames((self._frames[n] for n in numbers), (self.track.box(n) for n in numbers))
            self._rhythm = (np.arange(len(self)) - drawings.mouth_frames(first)).tolist()
        return self._rhythm[frame]

    def _why_not(self, frame: int) -> str:
        """Why no mouth is drawn on a frame; nothing where one is."""
        if self.track.box(frame) is None:
            return "no face"
        if self.mel is None:
            return "no voice"
        return "" if frame < len(self._starts) else "after the voice"


def _track(
    record: records.Record, used: int, kind: str, settings: Settings, edits: dict[int, Box | None], fps: float
) -> tuple[list[Detection | None], FaceTrack]:
    """Faces of all frames, and the track of those that are used, as the pipeline makes them.

    Boxes drawn by hand stand in the place of what was found.
    """
    part = record.first(used)
    faces = chosen(part, settings) + chosen(record, settings)[used:]
    for frame, box in edits.items():
        faces[frame] = None if box is None else Detection(box, 1.0)
    track = tracking.track(
        part.candidates,
        faces[:used],
        shots(part),
        record.size,
        gap=settings.gap,
        longest_gap=settings.longest_gap,
        smoothing=settings.smoothing,
        pads=settings.pads,
        provenance=kind,
        fps=fps,
    )
    provenance = track.provenance.copy()
    drawn = [frame for frame in edits if frame < used and provenance[frame] == kind]
    provenance[drawn] = "recorded"
    return faces, replace(track, provenance=provenance)
