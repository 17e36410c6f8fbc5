"""Speech and a scene to a clip on disk, with its truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lipsync_lab import video
from lipsync_lab.audio import Sound
from lipsync_lab.cartoon import mouths, photograph, scene, truth
from lipsync_lab.cartoon.speech import Speech

#: Called as ``progress(stage, done, total)``.
Progress = Callable[[str, int, int | None], None]


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
    said = mouths.timeline(speech)
    hold = setting.mouth_on / setting.fps
    pictures = scene.frames(
        setting,
        lambda time: mouths.key_at(said, time, hold),
        speech.duration,
        partial(mouths.phoneme_at, said),
    )
    return _write(Path(out), pictures, setting.fps, speech, progress, **writer)


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
    pictures = photograph.frames(mouths.timeline(speech), fps=fps, size=size, seed=seed)
    return _write(Path(out), pictures, fps, speech, progress, **writer)


def _write(out: Path, pictures, fps: float, speech: Speech, progress: Progress | None, **writer) -> Path:
    rows, total = [], max(1, round(speech.duration * fps))
    tags = {"comment": f"Made by lipsync_lab's drawing machine, voice by espeak-ng: {speech.text}"}
    with video.Writer(out, fps=fps, sound=Sound.from_wave(speech.wave), tags=tags, **writer) as film:
        for image, row in pictures:
            film.write(image)
            rows.append(row)
            if progress:
                progress("draw", len(rows), total)
    table = out.with_suffix(".truth.csv")
    truth.table(rows).to_csv(table, index=False, lineterminator="\n", float_format="%.3f")
    return table
