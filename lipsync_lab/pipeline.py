"""A clip and a voice in; a lip-synced clip, a ledger and all that is needed to ask why, out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import lipsync_lab
from lipsync_lab import (
    audio,
    checkpoints,
    compositing,
    detection,
    drawings,
    files,
    generation,
    runs,
    source,
    tracking,
    video,
)
from lipsync_lab.detection import record as records
from lipsync_lab.detection.recorded import Recorded
from lipsync_lab.detection.view import View
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.geometry import Box, FaceTrack
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings


@dataclass
class Pipeline:
    """Detector and generator, loaded once, for as many clips as you like.

    Parameters
    ----------
    generator : str or path
        A generator's name in `checkpoints` or a file of weights.
    detector : str, path or None
        See `detection.load`; None takes its default.
    settings : Settings
    box : Box, optional
        The same box in every frame instead of a detector.
    device : str, optional
        "cuda" or "cpu"; None takes CUDA where there is one.
    cache : path, optional
        Folder in which detections are kept, by the content of clip, detector and settings.
    """

    generator: str | Path = checkpoints.DEFAULTS["generator"]
    detector: str | Path | None = None
    settings: Settings = field(default_factory=Settings)
    box: Box | None = None
    device: str | None = None
    cache: Path | None = None

    def __post_init__(self):
        if self.device is None:
            import torch

            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.weights = checkpoints.load(self.generator, "generator", self.device)
        if self.settings.mel_lead is None:
            self.settings = replace(self.settings, mel_lead=self.weights.mel_lead)
        self.finder = detection.load(self.detector, box=self.box, device=self.device)

    @property
    def models(self) -> str:
        """One sentence on what draws and what detects, to stand beside every picture."""
        return f"generator {self.weights.provenance}; detector {self.finder.name}"

    def run(
        self, face: str | Path, speech: str | Path, folder: str | Path, progress: Progress | None = None
    ) -> runs.Run:
        """Dub a clip.

        Parameters
        ----------
        face : path
            A clip or a still picture.
        speech : path
            Any file with sound.
        folder : path
            Of the run: made complete or not at all. An earlier run there is replaced.
        progress : callable, optional
            See `progress.Progress`; the stages are "detect" and "draw", counted in frames.

        Returns
        -------
        runs.Run

        Raises
        ------
        LipsyncError
            With the file or setting that is wrong.
        """
        clock = runs.Clock()
        settings = self.settings
        clip = source.from_file(face, settings)
        with clock("voice"):
            wave, voice = audio.load(speech), audio.open_sound(speech)
            # ten minutes of it are 38 MB, which nobody needs any more
            mel, samples = audio.melspectrogram(wave), len(wave)
            del wave
        if settings.keep_tail and not settings.static and video.probe(face).has_sound:
            voice = audio.followed_by(voice, audio.open_sound(face), samples / audio.SAMPLE_RATE)

        with runs.new_folder(Path(folder)) as part:
            output = part / ("output.mkv" if settings.codec == "ffv1" else "output.mp4")
            work = self._prepared(clip, mel, samples, progress, clock)
            writer = video.Writer(
                output,
                fps=clip.fps,
                sound=voice,
                codec=settings.codec,
                crf=settings.crf,
                full_range=clip.full_range,
                tags={"comment": self._tag(work.draws), "title": f"{Path(face).stem}, dubbed"},
            )
            with writer:
                for frame in self._frames(clip, work, progress, clock):
                    with clock("encode"):
                        writer.write(frame)
            self._write_detections(part / "detections.json", work.record, work.chosen, clip)
            runs.ledger(work.track, work.drawn, clip.fps).to_csv(part / "ledger.csv", index=False, lineterminator="\n")
            info = {
                "output": output.name,
                "settings": settings.as_dict(),
                "face": {
                    "file": runs.portable(face, folder),
                    "sha256": clip.identity["sha256"],
                    "fps": str(clip.fps),
                    "frames": len(work.track),
                    "frames_of_the_clip": len(work.track) if work.record.complete else clip.expected,
                },
                "speech": {
                    "file": runs.portable(speech, folder),
                    "sha256": files.sha256(speech),
                    "seconds": samples / audio.SAMPLE_RATE,
                },
                "generator": _about(self.weights),
                "detector": {"name": self.finder.name, **self.finder.identity},
                "detections_from_cache": work.cached,
                "frames_written": work.wanted,
                "frames_by_provenance": {
                    str(k): int(n) for k, n in zip(*np.unique(work.track.provenance, return_counts=True), strict=True)
                },
                "mouths_drawn_on_source_frames": int(work.drawn.sum()),
                "warnings": self._warnings(clip, work),
                "device": self.device,
                "versions": runs.versions(),
                "seconds": {stage: round(seconds, 3) for stage, seconds in clock.seconds.items()},
            }
            (part / "run.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
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
            See `progress.Progress`; the stages are "detect" and "draw", counted in frames.

        Returns
        -------
        frames : ndarray, uint8, (M, H, W, 3)
            As long as the voice.
        track : FaceTrack
            One row a source frame that was used.
        """
        clip, clock = source.from_array(frames, fps, self.settings), runs.Clock()
        work = self._prepared(clip, audio.melspectrogram(wave), len(wave), progress, clock)
        return np.stack(list(self._frames(clip, work, progress, clock))), work.track

    def _prepared(
        self, clip: source.Source, mel: np.ndarray, samples: int, progress: Progress | None, clock: runs.Clock
    ) -> _Work:
        settings = self.settings
        starts = _starts(mel, samples, clip.fps, settings)
        needed = None if settings.keep_tail else len(starts)
        with clock("detect"):
            record, cached, outside = self._detected(clip, needed, progress)
        with clock("track"):
            chosen, shots = self._chosen(record)
            given = not self.finder.looks
            track = tracking.track(
                record.candidates,
                chosen,
                shots,
                record.size,
                gap=settings.gap,
                longest_gap=settings.longest_gap,
                # the published --box is used as it is
                smoothing="none" if self.finder.name == "fixed" else settings.smoothing,
                pads=(0, 0, 0, 0) if self.finder.name == "fixed" else settings.pads,
                provenance="recorded" if given else "detected",
                fps=float(clip.fps),
            )
        wanted = max(len(starts), len(record)) if settings.keep_tail else len(starts)
        # frames after the voice are the untouched tail
        draws = bool((track.provenance[: len(starts)] != "missing").any())
        return _Work(record, chosen, track, mel, starts, wanted, cached, draws, outside, np.zeros(len(track), bool))

    def _detected(
        self, clip: source.Source, needed: int | None, progress: Progress | None
    ) -> tuple[records.Record, bool, int]:
        """Candidates and cuts of the clip's first frames (None: of all), from the cache where it has them.

        Beside them, whether they are from the cache, and in how many frames a recorded face lay outside the picture.
        """
        place = self._cache_place(clip)
        if place is not None and place.is_file():
            record = records.read(place)
            if record.complete or (needed is not None and len(record) >= needed):
                return (record if needed is None else record.first(needed)), True, 0

        settings, finder, rows, size = self.settings, self.finder, [], None
        shots = tracking.Shots(clip.fps)
        expected = clip.expected if needed is None else min(needed, clip.expected or needed)
        complete = True
        # one frame more than is needed tells whether the clip ends there
        for batch in _batches(clip.read(0, None if needed is None else needed + 1), settings.detection_batch):
            if needed is not None and len(rows) + len(batch) > needed:
                complete = False
                batch = batch[: needed - len(rows)]
                if not batch:
                    break
            if size is None and isinstance(finder, Recorded):
                finder = finder.seen_through(self._view(clip))
            size = batch[0].shape[1], batch[0].shape[0]
            for frame in batch:
                shots.add(frame)
            found = detection.at_analysis_size(finder, np.stack(batch), len(rows), settings.analysis_size)
            rows += [records.rounded(row) for row in found]
            if progress:
                progress("detect", len(rows), expected)
        if not rows:
            raise MediaError(f"{clip.name}: holds no picture; is it complete?")
        starts, outside = shots.starts, 0
        if isinstance(finder, Recorded):
            starts = finder.record.shots or starts
            outside = sum(frame < len(rows) and score > settings.threshold for frame, score in finder.outside.items())
        record = records.Record(tuple(rows), tuple(s for s in starts if s < len(rows)), size, complete)
        if place is not None:
            with files.atomic_file(place) as part:
                records.write(part, record)
        return record, False, outside

    def _chosen(self, record: records.Record) -> tuple[list[detection.Detection | None], np.ndarray]:
        """The face of each frame, and each frame's shot."""
        settings, shots = self.settings, tracking.shot_numbers(record.shots, len(record))
        chosen = tracking.choose(
            record.candidates,
            shots,
            record.size,
            threshold=settings.threshold,
            face=settings.choose,
            longest_gap=settings.longest_gap,
        )
        return chosen, shots

    def _view(self, clip: source.Source) -> View:
        settings = self.settings
        return View(clip.size, settings.resize_factor, settings.rotate, settings.crop)

    def _write_detections(self, path: Path, record: records.Record, chosen: list, clip: source.Source) -> None:
        whole = replace(
            record,
            view=self._view(clip),
            clip={"file": Path(clip.name).name, "sha256": clip.identity["sha256"]},
            detector={"name": self.finder.name, **self.finder.identity},
        )
        about = {"threshold": self.settings.threshold, "fps": str(clip.fps)}
        with files.atomic_file(path) as part:
            records.write(part, whole, chosen, **about)

    def _warnings(self, clip: source.Source, work: _Work) -> list[str]:
        """What a person must know who sees that all went well, one line each."""
        said, frames = [], len(work.track)
        if isinstance(self.finder, Recorded) and self.finder.is_of_another_clip(clip.identity.get("sha256")):
            other = (self.finder.record.clip or {}).get("file", "another clip")
            said.append(
                f"{self.finder.path}: its boxes were recorded from {other}, and {clip.name} is another file; where "
                "the two differ the boxes lie wrong (a clip that was only encoded again is fine)"
            )
        if work.outside:
            said.append(
                f"{self.finder.path}: in {work.outside} of {frames} frames the recorded box lies wholly outside the "
                "picture and was dropped; compare the clip's size, --crop and --rotate with those that it was made for"
            )
        if not work.draws:
            best = work.track.scores[~np.isnan(work.track.scores)]
            seen = f"the best candidate scored {best.max():.2f}" if len(best) else "there was no candidate at all"
            looked = f"{self.finder.name} found no face above the threshold of {self.settings.threshold:g}"
            said.append(
                f"NO MOUTH WAS DRAWN, the picture is the clip's own: {looked} in any of {frames} frames ({seen}); try "
                "a lower --threshold, another --detector, a box of your own (--box, or --detector detections.json), "
                "and, where a face is found now and then, a --gap"
            )
        return said

    def _cache_place(self, clip: source.Source) -> Path | None:
        if self.cache is None or "sha256" not in clip.identity or not self.finder.looks:
            return None
        key = {
            "clip": clip.identity,
            "detector": self.finder.identity,
            "analysis_size": self.settings.analysis_size,
            "format": 2,
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return Path(self.cache) / f"{digest[:32]}.json"

    def _frames(
        self, clip: source.Source, work: _Work, progress: Progress | None, clock: runs.Clock
    ) -> Iterator[np.ndarray]:
        """The finished frames, one after the other."""
        playing = source.played(clip, len(work.record), work.wanted, self.settings.fill)
        done = 0
        for batch in _batches(_timed(playing, clock, "decode"), self.settings.generator_batch):
            with clock("generate"):
                finished = self._finished(batch, done, work)
            yield from finished
            done += len(batch)
            if progress:
                progress("draw", done, work.wanted)
        if done < work.wanted:
            raise MediaError(f"{clip.name}: gave {done} frames the second time it was read; was it changed meanwhile?")

    def _finished(self, batch: list[tuple[int, np.ndarray]], done: int, work: _Work) -> list[np.ndarray]:
        # frames after the voice are the untouched tail
        faces = [
            (place, work.track.box(number))
            for place, (number, _) in enumerate(batch)
            if done + place < len(work.starts) and work.track.box(number) is not None
        ]
        finished = [frame for _, frame in batch]
        stood = [0] * len(batch)
        if self.settings.mouths == "drawings":
            firsts = [work.holds.add(frame, work.track.box(number)) for number, frame in batch]
            stood = [(done + place - first) % drawings.LONGEST for place, first in enumerate(firsts)]
        if not faces:
            return finished
        mels = audio.mel_windows(work.mel, [work.starts[done + place - stood[place]] for place, _ in faces])
        crops = np.stack([generation.crop(finished[place], box) for place, box in faces])
        mouths = generation.draw(self.weights.model, crops, mels, self.device)
        for (place, box), mouth in zip(faces, mouths, strict=True):
            finished[place] = compositing.paste(finished[place], mouth, box, self.settings.feather)
            work.drawn[batch[place][0]] = True
        return finished

    def _tag(self, draws: bool) -> str:
        what = (
            "the mouth in this video was generated and the person did not say this"
            if draws
            else "no mouth drawn, since no face was found; the picture is the source's and the sound is not"
        )
        return f"Made with lipsync_lab {lipsync_lab.__version__}: {what}. {self.models}"


def find(
    face: str | Path,
    out: str | Path,
    *,
    detector: str | Path | None = None,
    box: Box | None = None,
    settings: Settings | None = None,
    device: str | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[detection.Detection | None]:
    """Find the face in every frame of a clip and write a ``detections.json``.

    Parameters are those of `Pipeline` and `Pipeline.run`; no generator is loaded.

    Returns
    -------
    list of Detection or None
        The chosen face of each frame, before gaps are filled.
    """
    seeker = Pipeline("identity", detector, settings or Settings(), box, device, cache)
    clip = source.from_file(face, seeker.settings)
    record, _, _ = seeker._detected(clip, None, progress)
    chosen, _ = seeker._chosen(record)
    seeker._write_detections(Path(out), record, chosen, clip)
    return chosen


@dataclass
class _Work:
    """What is known before the first mouth is drawn; `drawn` is filled in while they are.

    `draws` is whether any mouth will be, `outside` in how many frames a recorded face lies outside the picture.
    """

    record: records.Record
    chosen: list
    track: FaceTrack
    mel: np.ndarray
    starts: list[int]
    wanted: int
    cached: bool
    draws: bool
    outside: int
    drawn: np.ndarray
    holds: drawings.Holds = field(default_factory=drawings.Holds)


def _starts(mel: np.ndarray, samples: int, fps: Fraction, settings: Settings) -> list[int]:
    """First mel column of each output frame's window."""
    step = audio.MELS_PER_SECOND / float(fps)
    if settings.published_length:
        starts = audio.window_starts(mel.shape[1], float(fps))
        last = starts.pop()
        return [int(max(0, index - settings.mel_lead) * step) for index in range(len(starts))] + [last]
    if mel.shape[1] < audio.MEL_WINDOW:
        raise ParameterError(
            f"the voice lasts {samples / audio.SAMPLE_RATE:.2f} s; a mouth is drawn from 0.2 s at least"
        )
    frames = max(1, math.floor(samples * fps / audio.SAMPLE_RATE + Fraction(1, 2)))
    return [math.floor((index - settings.mel_lead) * step) for index in range(frames)]


def _batches(items: Iterator, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _timed(items: Iterator, clock: runs.Clock, stage: str) -> Iterator:
    while True:
        with clock(stage):
            item = next(items, None)
        if item is None:
            return
        yield item


def _about(weights: checkpoints.Weights) -> dict[str, Any]:
    return {"name": weights.name, "sha256": weights.sha256, "width": weights.width, "provenance": weights.provenance}
