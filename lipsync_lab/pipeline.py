"""The four calls that everything is made of, and `Pipeline`, which makes them for many clips.

::

    clip       = open_clip(path, settings)                     # frames on a constant timeline
    detections = detect(clip, detector, cache)                 # every candidate with its score, and the cuts
    plan       = make_plan(clip, detections, voice, settings)  # the track, and which frames get which mouth
    frames     = render(clip, plan, generator)                 # finished frames, one after the other
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lipsync_lab
from lipsync_lab import detection, faces, files, generation, renamed, runs, samples
from lipsync_lab.detection import Detector, auto, tracking
from lipsync_lab.detection.boxes import Recorded
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.detections import Detections, write_detections
from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import Generator
from lipsync_lab.generation.windows import Voice, window_starts
from lipsync_lab.geometry import Box, FaceTrack
from lipsync_lab.media import audio, segments, video, writer
from lipsync_lab.media.clip import Clip, clip_from_array, oddities, open_clip
from lipsync_lab.media.mix import mixed
from lipsync_lab.models.registry import MODELS, best_device
from lipsync_lab.plan import Plan, make_plan, prepared, render, why_no_mouth
from lipsync_lab.plugins import in_precision
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.generation.cel.own import Mouth
    from lipsync_lab.generation.cel.timing import Cue

__all__ = ["Pipeline", "Plan", "Progress", "dub", "make_plan", "prepared", "render"]


class Pipeline:
    """A detector and a generator, loaded once, for any number of clips.

    Parameters
    ----------
    generator : str, path or Generator, optional
        As for `generation.load`.
    detector : str, path or Detector, optional
        As for `detection.load`.
    settings : Settings, optional
    box : Box, optional
        The same box in every frame instead of a detector; it is exact.
    device : str, optional
        "cuda" or "cpu"; None takes CUDA where there is one.
    cache : path, optional
        Folder in which detections are kept, by the content of clip, detector and settings.

    Attributes
    ----------
    generator : Generator
    detector : Detector
    settings : Settings
        With the audio offset of the generator where none was given.
    device : str
    cache : path or None
    """

    def __init__(
        self,
        generator: str | Path | Generator | None = None,
        detector: str | Path | Detector | None = None,
        settings: Settings | None = None,
        box: Box | None = None,
        device: str | None = None,
        cache: str | Path | None = None,
    ):
        self.device, self.cache = device or best_device(), cache
        self.settings = settings or Settings()
        writer.check_codec(self.settings.codec)
        self.generator = generation.ready(generator, self.settings, self.device)
        self.detector = detection.load(detector, box=box, device=self.device)
        self.detector = in_precision(self.detector, self.settings.precision)
        if self.settings.audio_offset is None:
            self.settings = replace(self.settings, audio_offset=self.generator.audio_offset)

    @property
    def models(self) -> str:
        """One sentence that names the generator's weights and the detector, for captions."""
        return f"generator {self.generator.provenance}; detector {self.detector.name}"

    def run(
        self,
        face: str | Path,
        speech: str | Path | Sequence[str | Path],
        folder: str | Path,
        progress: Progress | None = None,
        turns: str | Path | None = None,
        *,
        outfile: str | Path | None = None,
    ) -> runs.Run:
        """Dub a clip.

        Parameters
        ----------
        face : path or str
            A clip or a still picture, or a sample's name.
        speech : path or str, or several
            Any file with sound, or a sample's name. Several: one for each face of `Settings.faces`, from the left.
        folder : path
            Of the run: it is made complete or not at all. An earlier run there is replaced.
        progress : callable, optional
            See `progress.Progress`; the stages are "detect" and "generate", the unit is a frame.
        turns : path, optional
            A table of who speaks when (`faces.read_turns`); a face is silent outside of its turns.
        outfile : path, optional
            A copy of the dubbed video, which appears together with the folder or not at all.

        Returns
        -------
        runs.Run

        Raises
        ------
        LipsyncError
            With the file or setting that is wrong.
        """
        clock, settings = runs.Clock(), self.settings
        face, voices = samples.resolve_path(face), [samples.resolve_path(each) for each in _several(speech)]
        if settings.faces is None and (len(voices) > 1 or turns is not None):
            settings = replace(settings, faces="all" if len(voices) == 1 else len(voices))
        schedule = None if turns is None else faces.read_turns(turns)
        clip = open_clip(face, settings, keep=True, device=self.device)
        with runs.new_folder(Path(folder)) as part:
            with clock("voice"):
                sound = mixed([audio.open_sound(each) for each in voices])
                whole = settings.faces is not None  # two hours have 460 MB as a waveform, which only several faces need
                spoken = [audio.load(each) if whole else Voice.from_file(each) for each in voices]
                seconds = [len(each) / audio.SAMPLE_RATE if whole else each.seconds for each in spoken]
            if settings.keep_tail and not settings.static and video.probe(face).has_sound:
                sound = audio.followed_by(sound, audio.open_sound(face), max(seconds))
            output = part / ("output.mkv" if settings.codec == "ffv1" else "output.mp4")
            detections, plans = self._planned(clip, spoken, settings, schedule, progress, clock)
            del spoken  # not needed again
            with clock("prepare"):
                ready = {number: prepared(clip, plan, self.generator) for number, plan in plans.items()}
                plans = {number: plan for number, (_, plan) in ready.items()}
                generators = {number: generator for number, (generator, _) in ready.items()}
            plan, title = plans[min(plans)], f"{face.stem}, dubbed"
            segments.write(
                output,
                lambda start: faces.render_faces(clip, plans, generators, progress, clock, start),
                len(plan.order),
                segments.place(Path(folder), self._key(face, voices, turns)),
                fps=clip.fps,
                sound=sound,
                codec=settings.codec,
                crf=settings.crf,
                **clip.shown,
                tags={"comment": self._tag(plans), "title": title},
                timed=clock,
            )
            decided = auto.decided(self.detector, plan.chosen, plan.track.shots)
            about = {"threshold": settings.threshold, "fps": str(clip.fps)} | decided
            write_detections(part / "detections.json", detections, list(plan.chosen), **about)
            tracks = {number: (each.track, each.mouth_generated) for number, each in plans.items()}
            runs.write_ledger(part / "ledger.csv", tracks, clip.fps)
            sources = faces.write_files(generators, part, clip.fps)
            info = {
                "output": output.name,
                "settings": settings.as_dict(),
                "clip": {
                    "file": runs.portable(face, folder),
                    "sha256": clip.identity["sha256"],
                    "fps": str(clip.fps),
                    "frames": len(plan.track),
                    "frames_of_the_clip": len(plan.track) if detections.complete else clip.expected,
                },
                "voice": runs.about_voice(voices[0], seconds[0], folder),
                **faces.about(plans, voices, seconds, schedule, folder),
                "generator": runs.about_generator(self.generator, generation.NAMES, folder),
                "detector": {
                    "name": self.detector.name,
                    **self.detector.identity,
                    **runs.own_file(self.detector.path, folder),
                },
                **decided,
                "detections_from_cache": detections.from_cache,
                "frames_written": len(plan.order),
                "frames_by_provenance": {
                    str(kind): int(np.sum([track.provenance == kind for track, _ in tracks.values()]))
                    for kind in np.unique([track.provenance for track, _ in tracks.values()])
                },
                "mouths_generated": sum(int(generated.sum()) for _, generated in tracks.values()),
                **({"mouths_by_source": sources} if sources else {}),
                "warnings": self._warnings(clip, detections, plans, len(voices)),
                "device": self.device,
                "versions": runs.versions(),
                "seconds": {stage: round(seconds, 3) for stage, seconds in clock.seconds.items()},
            }
            (part / "run.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
            if outfile is not None:
                with files.atomic_file(outfile) as copy:
                    shutil.copyfile(output, copy)
        return runs.Run(Path(folder))

    def dub(
        self, frames: np.ndarray, wave: np.ndarray, fps: float | Fraction, progress: Progress | None = None
    ) -> tuple[np.ndarray, FaceTrack]:
        """Dub frames in memory.

        Parameters
        ----------
        frames : ndarray, uint8, (N, H, W, 3)
            RGB.
        wave : ndarray, float32, (n,)
            Mono at 16 kHz, in [-1, 1].
        fps : float or Fraction
            Frames a second.
        progress : callable, optional
            See `progress.Progress`; the stages are "detect" and "generate", the unit is a frame.

        Returns
        -------
        frames : ndarray, uint8, (M, H, W, 3)
            RGB; as long as the voice.
        track : FaceTrack
            One row for each source frame that was used.
        """
        clip, clock = clip_from_array(frames, fps, self.settings), runs.Clock()
        plan = self._planned(clip, [wave], replace(self.settings, faces=None), None, progress, clock)[1][0]
        generator, plan = prepared(clip, plan, self.generator)
        return np.stack(list(render(clip, plan, generator, progress, clock))), plan.track

    def mouth_timing(
        self, face: str | Path, speech: str | Path, progress: Progress | None = None
    ) -> tuple[list[Cue], Fraction]:
        """The mouth shapes that `run` would draw, without drawing them.

        Parameters
        ----------
        face, speech, progress
            As for `run`.

        Returns
        -------
        cues : list of Cue
            None where no mouth is located.
        fps : Fraction
            Frames a second of the clip.

        Raises
        ------
        LipsyncError
            With the file or setting that is wrong.
        ParameterError
            The generator does not draw mouths of a chart.
        """
        if not hasattr(self.generator, "prepare"):
            raise ParameterError(f"{self.generator.name} does not draw mouths of a chart; give the generator cel")
        clip = open_clip(samples.resolve_path(face), self.settings)
        voice, settings = Voice.from_file(samples.resolve_path(speech)), replace(self.settings, faces=None)
        plan = self._planned(clip, [voice], settings, None, progress, runs.Clock())[1][0]
        drawn, _ = prepared(clip, plan, self.generator)
        return drawn.cues, clip.fps

    def mouth_chart(self, face: str | Path, progress: Progress | None = None) -> list[Mouth]:
        """The mouth chart of a clip, for `generation.cel.chart.write_chart`.

        Parameters
        ----------
        face, progress
            As for `run`.

        Raises
        ------
        LipsyncError
            With the file or setting that is wrong.
        ParameterError
            The generator does not draw mouths of a chart, or no mouth is located.
        """
        if not hasattr(self.generator, "chart"):
            raise ParameterError(f"{self.generator.name} does not draw mouths of a chart; give the generator cel")
        clip = open_clip(samples.resolve_path(face), self.settings)
        detections = self._detected(clip, None, progress, runs.Clock())
        return self.generator.chart(clip, make_plan(clip, detections, None, self.settings))

    def _key(self, face: Path, voices: Sequence[Path], turns: str | Path | None) -> str:
        """SHA-256 of all that the frames depend on."""
        given = [*voices[1:], turns, self.settings.mouth_timing, self.settings.mouth_chart]
        paths = [Path(path) for path in given if path is not None]
        read = [file for path in paths for file in (sorted(path.glob("*.*")) if path.is_dir() else [path])]
        parts = [runs.request(self, face, voices[0]), str(turns), *map(files.sha256, read)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _planned(
        self,
        clip: Clip,
        spoken: Sequence[np.ndarray | Voice],
        settings: Settings,
        turns: Sequence[faces.Turn] | None,
        progress: Progress | None,
        clock: runs.Clock,
    ) -> tuple[Detections, dict[int, Plan]]:
        longest = spoken[0] if len(spoken) == 1 else max(spoken, key=len)
        longest = longest if isinstance(longest, Voice) else Voice.from_wave(longest)
        detections = self._detected(clip, longest, progress, clock)
        with clock("track"):
            return detections, faces.make_plans(clip, detections, spoken, settings, turns)

    def _detected(self, clip: Clip, voice: Voice | None, progress: Progress | None, clock: runs.Clock) -> Detections:
        needed = (
            None if voice is None or self.settings.keep_tail else len(window_starts(voice, clip.fps, self.settings))
        )
        with clock("detect"):
            return detect(clip, self.detector, self.cache, settings=self.settings, frames=needed, progress=progress)

    def _warnings(self, clip: Clip, detections: Detections, plans: Mapping[int, Plan], voices: int) -> list[str]:
        """One line for each thing that may be wrong although the run succeeded."""
        plan = plans[min(plans)]
        lines, frames = oddities(clip, self.settings.codec), len(plan.track)
        if 1 < voices != len(plans):
            lines.append(
                f"{voices} voices for {len(plans)} faces: voices go to the faces from the left, and a voice without a "
                "face is heard and not shown; ask for the faces by number, or give a table of turns"
            )
        if isinstance(self.detector, Recorded) and self.detector.is_of_another_clip(clip.identity.get("sha256")):
            other = (self.detector.detections.clip or {}).get("file", "another clip")
            lines.append(
                f"{self.detector.path}: its boxes were recorded from {other}, and {clip.name} is another file; where "
                "the two differ the boxes lie wrong (a clip that was only encoded again is fine)"
            )
        outside = sum(score > self.settings.threshold for score in detections.outside.values())
        if outside:
            lines.append(
                f"{self.detector.path}: in {outside} of {frames} frames the recorded box lies wholly outside the "
                "picture and was dropped; compare the clip's size, --crop and --rotate with those that it was made for"
            )
        close = tracking.close_tracks(detections.first(frames), self.settings) if len(plans) == 1 else []
        if close:
            where = ", ".join(f"{pair.first}-{pair.last}" for pair in close)
            lines.append(
                f"frames {where}: a second face is nearly as prominent as the chosen one ("
                f"{max(pair.share for pair in close):.2f} of its score, size and duration); if the wrong one speaks, "
                "choose with --face-selection 0, 1, ... (from the left), central or largest"
            )
        if not any(each.generates for each in plans.values()):
            why = why_no_mouth(plan, self.detector.name, self.generator.name)
            lines.append(f"NO MOUTH WAS GENERATED, the picture is the clip's own: {why}")
        return lines

    def _tag(self, plans: Mapping[int, Plan]) -> str:
        """Comment for the video file, which players show: short, and `run.json` has the rest."""
        what = (
            "the mouth was generated, the person did not say this"
            if any(plan.generates for plan in plans.values())
            else "no mouth was generated, the picture is the source's and the sound is not"
        )
        # the first digits of the hash: names of weights can be given to other files
        weights = [(self.generator.name, self.generator.sha256)]
        if restorer := getattr(self.generator, "restorer", None):
            weights.append((restorer["name"], restorer["sha256"]))
        made = [name + (f" ({sha256[:12]})" if sha256 else "") for name, sha256 in weights]
        model = MODELS.get(self.generator.name)
        made[0] += ", a small model, no measure of Wav2Lip" if model and model.is_small else ""
        by = f"generator {' with '.join(made)}, detector {self.detector.name}"
        return f"lipsync_lab {lipsync_lab.__version__}: {what}; {by}"


def dub(
    face: str | Path,
    audio: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    turns: str | Path | None = None,
    generator: str | Path | Generator | None = None,
    detector: str | Path | Detector | None = None,
    box: Box | None = None,
    preset: str | None = None,
    device: str | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> runs.Run:
    """Dub a clip with a voice.

    Parameters
    ----------
    face, audio : path or str
        Files, or names of samples. Several voices are given to as many faces, from the left.
    output : path, optional
        The folder of the run, see `Pipeline.run`; or a video to write, ``.mp4`` (``.mkv`` with the codec ffv1), beside
        which the folder of the run gets the same name without the ending. None makes a new temporary folder.
    turns
        See `Pipeline.run`.
    generator, detector, box, device, cache, progress
        See `Pipeline`.
    preset : str, optional
        One of `settings.PRESETS`. "animation" also takes the generator `cel` where none is named, "reference" the
        published kind of detector.
    **settings
        Attributes of `Settings`, over the preset's.

    Returns
    -------
    runs.Run
        ``run.output`` is the dubbed video.

    Raises
    ------
    LipsyncError
        With the file or setting that is wrong.

    Examples
    --------
    >>> run = lipsync_lab.dub("talk.mp4", "voice.wav", "runs/talk", preset="animation")
    >>> run.output
    """
    chosen = Settings.of(settings, preset)
    suffix = ".mkv" if chosen.codec == "ffv1" else ".mp4"
    target = Path(tempfile.mkdtemp(prefix="lipsync_lab_")) if output is None else Path(output)
    is_video = target.suffix.lower() in (".mp4", ".mkv")
    if is_video and target.suffix.lower() != suffix:
        raise ParameterError(f"{target}: with the codec {chosen.codec} the output is a {suffix} file")
    if detector is None and box is None:
        detector = detection.default(renamed.PRESETS.get(preset, preset))
    if generator is None:
        generator = generation.default(renamed.PRESETS.get(preset, preset))
    pipeline = Pipeline(generator, detector, chosen, box, device, cache)
    folder = target.with_suffix("") if is_video else target
    return pipeline.run(face, audio, folder, progress, turns, outfile=target if is_video else None)


def _several(speech: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    given = [speech] if isinstance(speech, str | Path) else list(speech)
    if not given:
        raise ParameterError("there is no voice; give a file with sound")
    return given
