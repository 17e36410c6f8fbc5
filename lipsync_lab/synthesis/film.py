"""Write synthetic clips: a video file with sound, and its ground truth beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.media import video
from lipsync_lab.media.audio import Sound
from lipsync_lab.progress import Progress
from lipsync_lab.synthesis import portrait, truth, visemes
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.recordings import RECORDING
from lipsync_lab.synthesis.speech import SAMPLE_RATE, Speech, join, silence

_Pictures = Iterable[tuple[np.ndarray, truth.GroundTruth]]

_SOURCE = "Made by lipsync_lab's character generator; animation Apache-2.0; voice "
_PORTRAIT = "She never said this: NASA's portrait of Eileen Collins (public domain, from scikit-image), animated"


def write_scene(out: str | Path, speech: Speech, settings: Scene, progress: Progress | None = None, **writer) -> Path:
    """Write a clip of an animated scene whose character speaks.

    Parameters
    ----------
    out : path
        The clip, ``.mp4``; the ground truth is written beside it as ``.truth.csv``.
    speech : Speech
    settings : Scene
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    writer
        More options of `media.video.Writer`, such as ``crf``.

    Returns
    -------
    Path
        The table of ground truth.
    """
    return write_scenes(out, [(speech, settings)], progress, **writer)


def write_scenes(
    out: str | Path, takes: Sequence[tuple[Speech, Scene]], progress: Progress | None = None, **writer
) -> Path:
    """Write a clip of scenes that follow each other with hard cuts, as in a dialogue.

    Parameters
    ----------
    takes : sequence of (Speech, Scene)
        Speech and settings of each scene; all of one size and frame rate. A cut falls on the first frame after the
        speech of a scene.
    out, progress, writer
        As for `write_scene`.

    Raises
    ------
    ParameterError
        There are no takes, or their sizes or frame rates differ.
    """
    formats = {(settings.size, settings.fps) for _, settings in takes}
    if len(formats) != 1:
        raise ParameterError(f"{out}: takes that are joined must be of one size and frame rate, not {len(formats)}")
    ((_, fps),) = formats
    speeches = [_whole_frames(speech, fps) for speech, _ in takes[:-1]] + [takes[-1][0]]
    pictures = _numbered(map(_take, speeches, [settings for _, settings in takes]), fps)
    return _write(Path(out), pictures, fps, join(*speeches), "", progress, **writer)


def write_portrait(
    out: str | Path,
    speech: Speech,
    *,
    seed: int = 0,
    fps: float = 25.0,
    size: tuple[int, int] = (256, 256),
    progress: Progress | None = None,
    **writer,
) -> Path:
    """Write a clip of the animated portrait; parameters as for `write_scene` and `portrait.frames`."""
    pictures = portrait.frames(visemes.timeline(speech), fps=fps, size=size, seed=seed)
    return _write(Path(out), pictures, fps, speech, f"{_PORTRAIT}. ", progress, **writer)


def _take(speech: Speech, settings: Scene) -> _Pictures:
    timeline = visemes.timeline(speech)
    hold = settings.mouth_exposure / settings.fps
    return scene.frames(
        settings,
        lambda time: visemes.key_at(timeline, time, hold),
        speech.duration,
        partial(visemes.phoneme_at, timeline),
    )


def _whole_frames(speech: Speech, fps: float) -> Speech:
    """Return the speech with silence after it up to the end of its last frame."""
    # rounding can put one sample past the end of a frame, which is not a reason for another frame
    count = math.ceil((len(speech.wave) - 1) * fps / SAMPLE_RATE)
    lacking = round(count * SAMPLE_RATE / fps) - len(speech.wave)
    return join(speech, silence(lacking / SAMPLE_RATE)) if lacking > 0 else speech


def _numbered(takes: Iterable[_Pictures], fps: float) -> Iterator[tuple[np.ndarray, truth.GroundTruth]]:
    """Yield the takes one after the other, with continuous numbers of frames, shots and drawings."""
    frame = shot = drawing = 0
    for pictures in takes:
        row = None
        for number, (image, row) in enumerate(pictures, frame):
            yield (
                image,
                replace(row, frame=number, time=number / fps, shot=shot + row.shot, drawing=drawing + row.drawing),
            )
        frame, shot, drawing = number + 1, shot + row.shot + 1, drawing + row.drawing + 1


def _write(
    out: Path, pictures: _Pictures, fps: float, speech: Speech, about: str, progress: Progress | None, **writer
) -> Path:
    rows, total = [], max(1, round(speech.duration * fps))
    voice = "from a recording" if speech.voice == RECORDING else "synthesised with espeak-ng"
    tags = {"comment": f"{about}{_SOURCE}{voice}: {speech.text}"}
    with video.Writer(out, fps=fps, sound=Sound.from_wave(speech.wave), tags=tags, **writer) as film:
        for image, row in pictures:
            film.write(image)
            rows.append(row)
            if progress:
                progress("draw", len(rows), total)
    table = out.with_suffix(".truth.csv")
    truth.table(rows).to_csv(table, index=False, lineterminator="\n", float_format="%.3f")
    return table
