"""The state of the explorer and everything that follows from it, without any widget."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import detection, evaluation, files, generation, runs, samples
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.detections import Detections, write_detections
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.explorer.edits import Edits
from lipsync_lab.explorer.failures import check, missed_detections
from lipsync_lab.explorer.frames import Frames, FrameView, side_by_side
from lipsync_lab.explorer.opening import is_unchanged, run_content
from lipsync_lab.generation import Generator
from lipsync_lab.generation.windows import Voice
from lipsync_lab.geometry import Box, FaceTrack
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import extension, open_clip, played
from lipsync_lab.media.difference import difference
from lipsync_lab.models.registry import best_device
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.plan import Plan, make_plan, prepared, render
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: Settings that can change while a clip is open; the others decide what the frames are, or how files are written.
TUNABLE = (
    *("threshold", "face_selection", "dropouts", "max_dropout", "smoothing"),
    *("pads", "audio_offset", "feather", "mouth_cadence"),
)
#: Shortest side, in pixels, of a box drawn by hand; a smaller one is taken for a slip of the mouse.
LEAST_SIDE = 8


class Session:
    """One open clip: its detections, settings, edits, track, failures, and any frame of its output.

    Detection runs once for the whole clip and is kept. Everything after it is computed again for the frames that are
    shown. The frames are those that `dub` uses: none after the end of the voice, unless the tail is kept; where the
    voice is longer than the clip, the frames of the first pass through the clip.

    Parameters
    ----------
    clip : str or path
        A sample's name, a clip, a still picture, or the folder of a run.
    voice : str or path, optional
        A sample's name or any file with sound; None for the clip's own. Without any, no mouths are generated.
    generator : str, path or Generator, optional
        A generator, or what `generation.load` takes. None for the default, or the run's.
    detector : str or path, optional
        See `detection.load`. None for the default, or in a run's folder for the run's own detections.
    settings : Settings, optional
        None for the defaults, or the run's.
    failures : DataFrame, optional
        With the columns `FAILURES`, worst first, to show instead of an evaluation's.
    device : str, optional
        As for `pipeline.Pipeline`.
    cache : path, optional
        Folder in which ``detections`` and evaluated ``runs`` are kept; None for the user's cache (`samples.cache`).
        It may be emptied at any time.
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
    generator : Generator
    record : detection.detections.Detections
        Every candidate of every frame of the clip, and the boxes given by hand.
    chosen : list of Detection or None
        The face of every frame of the clip, by the detector or by hand.
    plan : plan.Plan
        Of the frames that are shown, for the present settings and edits.
    edits : Edits
        Boxes given by hand, and interpolated spans.
    evaluation : evaluation.Evaluation or None
        Of the last `evaluate`.
    """

    def __init__(
        self,
        clip: str | Path,
        voice: str | Path | None = None,
        *,
        generator: str | Path | Generator | None = None,
        detector: str | Path | None = None,
        settings: Settings | None = None,
        failures: pandas.DataFrame | None = None,
        device: str | None = None,
        cache: str | Path | None = None,
        progress: Progress | None = None,
    ):
        self.path = samples.resolve_path(clip)
        self.edits, self._undone = Edits(), []
        self._run, self._detected = None, {}
        if self.path.is_dir():
            run, own = run_content(self.path), not (settings or voice or generator or detector)
            self._run = self.path if own else None
            settings, voice, generator = settings or run.settings, voice or run.voice, generator or run.generator()
            if detector is None:
                detector, self.edits = self.path / "detections.json", run.edits
                self._detected[str(detector)] = run.record
            self.path = run.clip
        self.settings = settings or Settings()
        self.clip = open_clip(self.path, self.settings)
        self.device = device or best_device()
        # as the pipeline does, so that the picture shown is the one that is written
        self.generator = generation.ready(generator, self.settings, self.device)
        if self.settings.audio_offset is None:
            self.settings = replace(self.settings, audio_offset=self.generator.audio_offset)
        self.voice = self.wave = self._sound = None
        if voice is not None or video.probe(self.path).has_sound:
            self.voice = self.path if voice is None else samples.resolve_path(voice)
            self.wave = audio.load(self.voice)
            self._sound = Voice.from_wave(self.wave)
        self._cache = samples.cache() if cache is None else Path(cache)
        self.change(detector=detector or detection.default(), progress=progress)
        if self._run and not is_unchanged(runs.Run(self._run), self.track):
            self._run = None
        self._frames = Frames(self.clip.read, self.record.size)
        self._cached_clip = replace(self.clip, read=self._frames.read)
        self._playback: tuple[Any, bytes] = (None, b"")
        self.evaluation: evaluation.Evaluation | None = None
        self._evaluated = self._opened = self._state()
        self._failures = failures
        if failures is not None:
            check(failures, len(self))

    def __len__(self) -> int:
        return len(self.track)

    @property
    def track(self) -> FaceTrack:
        """The boxes of the frames that are shown."""
        return self.plan.track

    @property
    def models(self) -> str:
        """Names the generator and the detector, to be shown beside every picture."""
        detector = (self.record.detector or {}).get("name") or Path(self.detector).name
        return f"generator {self.generator.provenance}; detector {detector}"

    def change(self, *, detector: str | Path | None = None, progress: Progress | None = None, **values: Any) -> None:
        """Change settings or the detector; after an error nothing is changed.

        Parameters
        ----------
        detector : str or path, optional
        progress : callable, optional
            Called during detection, which runs only for a detector that was not used before.
        values
            Of `TUNABLE`.

        Raises
        ------
        LipsyncError
            A setting that cannot be changed or makes no sense, or a detector that cannot be used.
        """
        if unknown := sorted(set(values) - set(TUNABLE)):
            raise ParameterError(
                f"{', '.join(unknown)}: cannot change while a clip is open; open the clip again with it"
            )
        settings = Settings.of({**self.settings.as_dict(), **values})
        self._apply(detector or self.detector, settings, self.edits, progress)

    def _apply(self, detector: str | Path, settings: Settings, edits: Edits, progress: Progress | None = None) -> None:
        # an error in here leaves everything as it was
        record = self._detections(detector, settings, progress)
        manual = {**record.manual, **edits.interpolated, **edits.boxes}
        filled = (record.interpolated | edits.interpolated.keys()) - edits.boxes.keys()
        record = replace(record, manual=manual, interpolated=filled)
        plan = make_plan(self.clip, record, self._sound, settings)
        chosen = list(plan.chosen)
        if len(chosen) < len(record):
            silent = replace(settings, dropouts="passthrough", mouth_cadence="every_frame")
            chosen += make_plan(self.clip, record, None, silent).chosen[len(chosen) :]
        self.plan, self._prepared = plan, None
        self.settings, self.detector, self.edits, self.record, self.chosen = settings, detector, edits, record, chosen

    def _detections(self, detector: str | Path, settings: Settings, progress: Progress | None) -> Detections:
        if str(detector) not in self._detected:
            loaded = detection.load(detector, device=self.device)
            self._detected[str(detector)] = detect(
                self.clip, loaded, self._cache / "detections", settings=settings, progress=progress
            )
        return self._detected[str(detector)]

    def draw_box(self, frame: int, box: Box) -> Box | None:
        """Give a frame's box by hand. It is used exactly: neither padded nor smoothed.

        Returns
        -------
        Box or None
            In whole pixels inside the frame; None, and nothing is changed, where it is smaller than `LEAST_SIDE`.
        """
        box = Box(*(round(value) for value in box)).clipped(*self.record.size)
        if min(box.width, box.height) < LEAST_SIDE:
            return None
        self._edit(frame, self.edits.with_box(frame, box))
        return box

    def no_face(self, frame: int) -> None:
        """State that a frame has no face, whatever was detected there."""
        self._edit(frame, self.edits.with_box(frame, None))

    def reset(self, frame: int) -> None:
        """Go back to the detector's result for a frame."""
        self._edit(frame, self.edits.without(frame))

    def interpolate(self, frame: int) -> list[int]:
        """Fill the frames between the two key boxes around a frame with boxes in between; see `Edits`.

        Returns
        -------
        list of int
            The frames that were filled.

        Raises
        ------
        ParameterError
            There are no two boxes given by hand around the frame in its shot.
        """
        before = self.edits.interpolated
        self._edit(frame, self.edits.with_interpolation(frame, self.track.shots))
        return sorted(self.edits.interpolated.keys() - before.keys())

    def copy_box(self, frame: int) -> Box | None:
        """Give a frame the box of the last frame before it that has one; see `draw_box`.

        Raises
        ------
        ParameterError
            No frame before it has a box.
        """
        before = next((n for n in range(frame - 1, -1, -1) if self.track.box(n) is not None), None)
        if before is None:
            raise ParameterError(f"frame {frame}: no frame before it has a box")
        return self.draw_box(frame, self.track.box(before))

    def undo(self) -> bool:
        """Take the last edit back; False where there is none."""
        if not self._undone:
            return False
        self._apply(self.detector, self.settings, self._undone.pop())
        return True

    def _edit(self, frame: int, edits: Edits) -> None:
        if not 0 <= frame < len(self):
            raise ParameterError(f"frame {frame}: the clip has the frames 0 to {len(self) - 1}")
        if edits != self.edits:
            before = self.edits
            self._apply(self.detector, self.settings, edits)
            self._undone.append(before)

    def save(self, path: str | Path) -> Path:
        """Write the present boxes as a `detections.json`, for ``dub --detector PATH``.

        Raises
        ------
        MediaError
            The file cannot be written.
        ParameterError
            Its name does not end in ``.json``, by which `dub` recognises it.
        """
        path = Path(path)
        if path.suffix.lower() != ".json":
            raise ParameterError(f"{path}: boxes are saved as JSON; let the name end in .json")
        about = {"threshold": self.settings.threshold, "fps": str(self.clip.fps)}
        try:
            with files.atomic_file(path) as part:
                write_detections(part, self.record, self.chosen, **about)
        except OSError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return path

    def evaluate(self, progress: Progress | None = None) -> evaluation.Evaluation:
        """Dub the clip with the present settings and boxes, evaluate the output, and take the evaluation's failures.

        Both are kept in the cache by the content of everything that they depend on, and are not computed again for
        the same clip, voice, models, settings and boxes. A run that was opened and not changed is evaluated itself.

        Parameters
        ----------
        progress : callable, optional
            See `pipeline.Progress`.

        Raises
        ------
        ParameterError
            There is no voice.
        LipsyncError
            The clip cannot be dubbed or evaluated.
        """
        self.evaluation = evaluate(self._current_run(progress), device=self.device, progress=progress)
        self._failures, self._evaluated = self.evaluation.failures, self._state()
        return self.evaluation

    def _current_run(self, progress: Progress | None) -> runs.Run:
        """The run of the present settings and boxes: the one that was opened, one in the cache, or a new one."""
        if self.voice is None:
            raise ParameterError(f"{self.path.name}: has no sound; give a voice, without one there is no output")
        if self._run and self._state() == self._opened:
            return runs.Run(self._run)
        with tempfile.TemporaryDirectory() as folder:
            detector = self.detector
            # a file of boxes carries its own choice of faces, which the settings may have changed since
            if len(self.edits) or Path(self.detector).suffix.lower() == ".json":
                detector = self.save(Path(folder) / "detections.json")
            pipeline = Pipeline(
                self.generator, detector, self.settings, device=self.device, cache=self._cache / "detections"
            )
            key = hashlib.sha256(runs.request(pipeline, self.path, self.voice).encode()).hexdigest()
            return runs.run_once(pipeline, self.path, self.voice, self._cache / "runs" / key[:32], progress=progress)

    def _state(self) -> tuple[Settings, str, Edits]:
        return self.settings, str(self.detector), self.edits

    @property
    def stale(self) -> bool:
        """Whether settings or boxes have changed since `evaluate`, so that its failures no longer apply."""
        return self.evaluation is not None and self._evaluated != self._state()

    @property
    def needs_evaluation(self) -> bool:
        """Whether the failures that are shown are not those of an evaluation of the present state, nor given."""
        return self.stale or (self.evaluation is None and self._failures is None)

    def failures(self, kind: str = "") -> pandas.DataFrame:
        """The failures to show, worst first: those that were given, those of `evaluate`, or else missed detections.

        Parameters
        ----------
        kind : str, optional
            Only those of one kind.

        Returns
        -------
        DataFrame
            With the columns `FAILURES` at least: kind; first, last and worst frame; severity, 0 to 1; evidence in
            words. Missed detections are those of the present track.
        """
        table = missed_detections(self.track) if self._failures is None else self._failures
        return table[table["kind"] == kind] if kind else table

    def failures_at(self, frame: int) -> pandas.DataFrame:
        """The failures of which a frame is a part, worst first."""
        table = self.failures()
        return table[(table["first"] <= frame) & (frame <= table["last"])]

    def next_failure(self, frame: int, back: bool = False, kind: str = "") -> int | None:
        """Worst frame of the next (or previous) failure in time, around the clip's ends; None without failures."""
        worst = sorted(set(self.failures(kind)["worst"].astype(int)), reverse=back)
        beyond = [number for number in worst if (number < frame if back else number > frame)]
        return (beyond or worst or [None])[0]

    def worst_failure(self) -> int | None:
        """Worst frame of the worst failure; None where there is no failure."""
        worst = self.failures()["worst"]
        return int(worst.iloc[0]) if len(worst) else None

    def view(self, frame: int) -> FrameView:
        """Everything about one frame, with the present settings."""
        image, box = self._frames[frame], self.track.box(frame)
        generator, plan = self._ready()
        output, note = image, self._why_not(frame, plan)
        if not note:
            output = next(render(self._cached_clip, plan, generator, start=frame, stop=frame + 1))
        return FrameView(
            frame=frame,
            source=image,
            candidates=self.record.candidates[frame],
            face=self.chosen[frame],
            box=box,
            provenance=str(self.track.provenance[frame]),
            edited=frame in self.edits.boxes or frame in self.edits.interpolated,
            crop=None if box is None else self.generator.crop(image, box),
            mouth=None if note else self.generator.crop(output, box),
            output=output,
            difference=difference(image, output),
            note=note,
        )

    def playback(self, progress: Progress | None = None) -> bytes:
        """The whole output beside its source as a video, with the voice: the run of `evaluate`, made if need be.

        Parameters
        ----------
        progress : callable, optional
            See `pipeline.Progress`.

        Returns
        -------
        bytes
            An MP4 file (H.264), at most `frames.WIDEST` pixels wide.

        Raises
        ------
        ParameterError
            There is no voice.
        """
        state = self._state()
        if self._playback[0] != state:
            run = self._current_run(progress)
            length = len(self.plan.order)
            extend = extension(self.settings.extend, len(self), length, self.clip.fps)
            sources = played(self.clip, len(self), length, extend)
            outputs = open_clip(run.output).read(0, None)
            pairs = ((source, output) for (_, source), output in zip(sources, outputs, strict=False))
            self._playback = state, side_by_side(pairs, self.clip.fps, audio.open_sound(run.output))
        return self._playback[1]

    def _ready(self) -> tuple[Any, Plan]:
        """The generator and the plan for `render`; a generator that surveys the clip first does so once a plan."""
        if self._prepared is None:
            plain = self.generator, self.plan
            self._prepared = prepared(self.clip, self.plan, self.generator) if self.plan.generates else plain
        return self._prepared

    def _why_not(self, frame: int, plan: Plan) -> str:
        """Why no mouth is generated for a frame; empty where one is."""
        if plan.mouths[frame] >= 0:
            return ""
        if self.track.box(frame) is None:
            return "no face"
        if self.voice is None:
            return "no voice"
        return "no mouth located" if self.plan.mouths[frame] >= 0 else "after the voice"
