"""Speech and a scene to a clip on disk, with its truth beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lipsync_lab import video
from lipsync_lab.audio import Sound
from lipsync_lab.errors import ParameterError
from lipsync_lab.synthesis import portrait, truth, visemes
from lipsync_lab.synthesis.animation import scene
from lipsync_lab.synthesis.speech import SAMPLE_RATE, Speech, join, silence

#: Called as ``progress(stage, done, total)``.
Progress = Callable[[str, int, int | None], None]
_Pictures = Iterable[tuple[np.ndarray, truth.Truth]]

_MADE = "Made by lipsync_lab's drawing machine; animation Apache-2.0; voice synthesised with espeak-ng"
_NEVER_SAID = "She never said this: NASA's portrait of Eileen Collins (public domain, from scikit-image), animated"


def drawn(out: str | Path, speech: Speech, setting: scene.Scene, progress: Progress | None = None, **writer) -> Path:
    """Film a drawn scene that speaks.

    Parameters
    ----------
    out : path
        ``.mp4``; the truth is written beside it as ``.truth.csv``.
    speech : Speech
    setting : scene.Scene
    progress : callable, optional
    writer
        More options of `video.Writer`, such as ``crf``.

    Returns
    -------
    Path
        Of the truth.
    """
    return joined(out, [(speech, setting)], progress, **writer)


def joined(
    out: str | Path, takes: Sequence[tuple[Speech, scene.Scene]], progress: Progress | None = None, **writer
) -> Path:
    """Film drawn scenes that follow each other with hard cuts, as in a dialogue; as `drawn`.

    Parameters
    ----------
    takes : sequence of (Speech, scene.Scene)
        What is said in each; all of one size and frame rate. A cut falls on the first frame after the speech.

    Raises
    ------
    ParameterError
        If there are no takes, or if their sizes or frame rates differ.
    """
    looks = {(setting.size, setting.fps) for _, setting in takes}
    if len(looks) != 1:
        raise ParameterError(f"{out}: takes that are joined must be of one size and frame rate, not {len(looks)}")
    ((_, fps),) = looks
    speeches = [_whole_frames(speech, fps) for speech, _ in takes[:-1]] + [takes[-1][0]]
    settings = [setting for _, setting in takes]
    return _write(
        Path(out), _numbered(map(_take, speeches, settings), fps), fps, join(*speeches), _MADE, progress, **writer
    )


def photographed(
    out: str | Path,
    speech: Speech,
    *,
    seed: int = 0,
    fps: float = 25.0,
    size: tuple[int, int] = (256, 256),
    progress: Progress | None = None,
    **writer,
) -> Path:
    """Film the photograph that speaks; as `drawn`."""
    pictures = portrait.frames(visemes.timeline(speech), fps=fps, size=size, seed=seed)
    return _write(Path(out), pictures, fps, speech, f"{_NEVER_SAID}. {_MADE}", progress, **writer)


def _take(speech: Speech, setting: scene.Scene) -> _Pictures:
    said = visemes.timeline(speech)
    hold = setting.mouth_on / setting.fps
    return scene.frames(
        setting,
        lambda time: visemes.key_at(said, time, hold),
        speech.duration,
        partial(visemes.phoneme_at, said),
    )


def _whole_frames(speech: Speech, fps: float) -> Speech:
    """The speech, with as much silence after it as its last frame has."""
    # a sample that rounding put past a frame's end is not worth another frame
    count = math.ceil((len(speech.wave) - 1) * fps / SAMPLE_RATE)
    lacking = round(count * SAMPLE_RATE / fps) - len(speech.wave)
    return join(speech, silence(lacking / SAMPLE_RATE)) if lacking > 0 else speech


def _numbered(takes: Iterable[_Pictures], fps: float) -> Iterator[tuple[np.ndarray, truth.Truth]]:
    """One take after the other; frames, shots and drawings are counted on."""
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
    out: Path, pictures: _Pictures, fps: float, speech: Speech, made: str, progress: Progress | None, **writer
) -> Path:
    rows, total = [], max(1, round(speech.duration * fps))
    tags = {"comment": f"{made}: {speech.text}"}
    with video.Writer(out, fps=fps, sound=Sound.from_wave(speech.wave), tags=tags, **writer) as film:
        for image, row in pictures:
            film.write(image)
            rows.append(row)
            if progress:
                progress("draw", len(rows), total)
    table = out.with_suffix(".truth.csv")
    truth.table(rows).to_csv(table, index=False, lineterminator="\n", float_format="%.3f")
    return table
