"""One clip of a report: its run, its numbers, and what is shown of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import audio, checkpoints, runs, samples, source, video
from lipsync_lab.geometry import Box
from lipsync_lab.reporting.outcomes import code, save, versions

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from lipsync_lab.pipeline import Pipeline, Progress


def located(name: str | Path) -> Path:
    """A path as it is where something is there, else the file of the sample of that name."""
    return samples.path(str(name)) if str(name) in samples.SAMPLES and not Path(name).exists() else Path(name)


def dubbed(
    pipeline: Pipeline,
    face: str | Path,
    speech: str | Path,
    folder: str | Path,
    force: bool = False,
    progress: Progress | None = None,
) -> runs.Run:
    """The run in a folder, if the same models, settings, inputs and code made it; else a new one.

    Parameters are those of `pipeline.Pipeline.run`.
    """
    if not force and is_done(pipeline, face, speech, Path(folder)):
        return runs.Run(Path(folder))
    run = pipeline.run(face, speech, folder, progress)
    save(run.folder / "request.json", _request(pipeline, face, speech))
    return run


def is_done(pipeline: Pipeline, face: Path, speech: Path, folder: Path) -> bool:
    note = folder / "request.json"
    return note.is_file() and note.read_text(encoding="utf-8") == _request(pipeline, face, speech)


def _request(pipeline: Pipeline, face: str | Path, speech: str | Path) -> str:
    """All that a run depends on, as text."""
    weights = pipeline.weights
    content = {
        "face": checkpoints.sha256(face),
        "speech": checkpoints.sha256(speech),
        "generator": [weights.name, weights.sha256, weights.width],
        "detector": pipeline.finder.identity,
        "settings": pipeline.settings.as_dict(),
        "device": pipeline.device,
        "code": code(),
        "versions": versions(),
    }
    return json.dumps(content, indent=1) + "\n"


def headline(run: runs.Run) -> dict[str, Any]:
    """The numbers of a run that stand in the table: a row of `TABLE` without clip, domain and error."""

    ledger, info = run.ledger(), run.info
    count = ledger["provenance"].value_counts()
    return {
        "frames": len(ledger),
        "detected": int(count.get("detected", 0) + count.get("recorded", 0)),
        "gap_filled": int(count.get("interpolated", 0) + count.get("held", 0)),
        "passed_through": int(count.get("missing", 0)),
        "mouths_drawn": int(ledger["mouth_drawn"].sum()),
        "seconds": f"{float(len(ledger) / Fraction(info['face']['fps'])):.2f}",
        "frames_written": info["frames_written"],
    }


def telling_frame(ledger: pandas.DataFrame) -> int:
    """Number of the frame to show of a clip: amid those on which a mouth was drawn, else amid all."""
    drawn = ledger["frame"][ledger["mouth_drawn"]]
    numbers = drawn if len(drawn) else ledger["frame"]
    return int(numbers.iloc[len(numbers) // 2])


def box_to_show(ledger: pandas.DataFrame, frame: int, image: np.ndarray) -> tuple[Box, str]:
    """A frame's box and what it is; where no face was found, something to show the further steps on.

    Returns
    -------
    Box
        In whole pixels: the box drawn on; else the refused candidate; else the middle of the frame.
    str
        Which of the three.
    """
    row = ledger.iloc[frame]
    height, width = image.shape[:2]
    if row["provenance"] != "missing":
        return Box(*(float(row[side]) for side in ("x1", "y1", "x2", "y2"))), f"the {row['provenance']} face"
    if row["best_score"] == row["best_score"]:  # not NaN: something was proposed, and refused
        best = Box(*(int(row[f"best_{side}"]) for side in ("x1", "y1", "x2", "y2"))).clipped(width, height)
        if best.width >= 1 and best.height >= 1:
            return best, "a refused candidate, on which the run draws nothing"
    side = max(1, min(height, width) // 2)
    x, y = (width - side) // 2, (height - side) // 2
    return Box(x, y, x + side, y + side), "the middle of the frame, since no face was found and the run draws nothing"


def illustrate(pipeline: Pipeline, run: runs.Run, face: Path, folder: Path) -> None:
    """What the page shows of a run: source and output as browsers play them, a picture of each, the timeline."""
    from lipsync_lab import figures

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clip, ledger, info = source.from_file(face, pipeline.settings), run.ledger(), run.info
    sound = audio.open_sound(face) if video.probe(face).has_sound else None
    playing = source.played(clip, len(ledger), info["frames_written"], pipeline.settings.fill)
    _film(folder / "before.mp4", (frame for _, frame in playing), clip, sound)
    if run.output.suffix != ".mp4":
        shown = (frame.image for frame in video.frames(run.output))
        _film(folder / "after.mp4", shown, clip, audio.open_sound(run.output))
    number = telling_frame(ledger)
    _thumbnail(folder / "before.jpg", next(clip.read(number, number + 1)))
    _thumbnail(folder / "after.jpg", next(video.frames(run.output, start=number, stop=number + 1)).image)
    # the last one: where it is, the others are
    draw(folder / "timeline.png", figures.timeline(ledger, pipeline.settings.threshold))


def _film(path: Path, images: Iterable[np.ndarray], clip: source.Source, sound: audio.Sound | None) -> None:
    with video.Writer(path, fps=clip.fps, sound=sound, crf=21, full_range=clip.full_range) as writer:
        for image in images:
            writer.write(image)


def _thumbnail(path: Path, image: np.ndarray) -> None:
    import cv2

    scale = min(1.0, 640 / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    path.write_bytes(cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes())


def draw(path: Path, axes) -> None:
    import matplotlib.pyplot as plt

    axes.figure.savefig(path)
    plt.close(axes.figure)
