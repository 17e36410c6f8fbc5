"""What a report's page shows of a run: two films, the worst frames, the timeline."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from lipsync_lab import evaluation, figures, runs
from lipsync_lab.media import audio, video
from lipsync_lab.media import clip as source
from lipsync_lab.metrics import regions
from lipsync_lab.reporting.outcome import save
from lipsync_lab.reporting.runs import telling_frame, worst
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from lipsync_lab.evaluation.evaluated import Examined

#: How many times as strong a difference is shown.
AMPLIFY = 4
#: Pixels: a film's poster at its longest side, and the height of source | output | difference.
_POSTER, _STRIP = 480, 200
_GAP = 4
#: Colours of a chart, and how far any may lie from its own, of 255.
_COLOURS, _LOSS = 256, 8
#: Written last: what the pictures were made from.
_MARK = "made.json"


def illustrate(one: Examined, folder: Path) -> None:
    """Make the pictures of a run, unless those that are there show this very evaluation.

    ``before.mp4`` and, where the output is not as browsers play it, ``after.mp4``; of both a ``.jpg``; ``worst-1.jpg``
    and so on, as `clips.worst` counts, or where nothing failed ``telling.jpg``; ``timeline.png``.
    """
    mark = json.loads((one.run.folder / evaluation.FOLDER / "about.json").read_text(encoding="utf-8"))["key"]
    note = folder / _MARK
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) == mark:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ledger, info = one.run.ledger(), one.run.info
    settings = Settings.read(info["settings"])
    clip = source.open_clip(one.face, settings)
    playing = source.played(clip, len(ledger), info["frames_written"], settings.extend)
    # the two are compared by eye: what is lost by encoding must be the same in both
    _film(folder / "before.mp4", (frame for _, frame in playing), clip, _own_sound(one), settings.crf)
    if not is_playable(one.run):
        shown = (frame.image for frame in video.frames(one.run.output))
        _film(folder / "after.mp4", shown, clip, audio.open_sound(one.run.output), settings.crf)
    number = telling_frame(ledger)
    for name, image in zip(("before", "after"), one.pictures(number), strict=True):
        _jpeg(folder / f"{name}.jpg", _fitted(image, _POSTER / max(image.shape[:2])))
    bad = worst(one.found)["worst"]
    for place, frame in enumerate(bad, start=1):
        _jpeg(folder / f"worst-{place}.jpg", strip(one, int(frame)))
    if not len(bad):
        _jpeg(folder / "telling.jpg", strip(one, number))
    draw(folder / "timeline.png", figures.timeline(ledger, settings.threshold))
    save(note, json.dumps(mark))


def is_playable(run: runs.Run) -> bool:
    """Whether a browser plays the output: the lossless one it does not."""
    return run.output.suffix == ".mp4"


def strip(one: Examined, frame: int) -> np.ndarray:
    """Source, output and their difference, side by side; cut to what was drawn on, if anything was.

    Returns
    -------
    ndarray, uint8, (`_STRIP`, W, 3)
        RGB; the absolute difference is `AMPLIFY` times as strong.
    """
    before, after = one.pictures(frame)
    box = regions.inside(regions.drawn(one.run.ledger())[frame], before.shape, 0.15, 0.15)
    if box is not None:
        before, after = before[box.slices], after[box.slices]
    change = cv2.convertScaleAbs(cv2.absdiff(before, after), alpha=AMPLIFY)
    parts = [_fitted(image, _STRIP / image.shape[0]) for image in (before, after, change)]
    gap = np.full((parts[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([parts[0], gap, parts[1], gap, parts[2]])


def draw(path: Path, axes) -> None:
    """Save a chart as a PNG of few colours."""
    import matplotlib.pyplot as plt

    png = io.BytesIO()
    axes.figure.savefig(png, format="png")
    plt.close(axes.figure)
    path.write_bytes(_paletted(Image.open(png).convert("RGB"))[1])


def lighter(png: bytes) -> tuple[str, bytes]:
    """The same picture in fewer bytes: a chart in `_COLOURS` colours as PNG, what needs more of them as JPEG.

    Returns
    -------
    str
        "image/png" or "image/jpeg".
    bytes
        No more than there were.
    """
    image = Image.open(io.BytesIO(png)).convert("RGB")
    few, content = _paletted(image)
    kind = "image/png"
    if cv2.absdiff(np.asarray(few), np.asarray(image)).max() > _LOSS:
        jpeg = io.BytesIO()
        image.save(jpeg, "JPEG", quality=80, optimize=True)
        kind, content = "image/jpeg", jpeg.getvalue()
    return (kind, content) if len(content) < len(png) else ("image/png", png)


def _paletted(image: Image.Image) -> tuple[Image.Image, bytes]:
    # maximum coverage keeps a colour that is rare, such as the end of a scale
    few, png = image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE), io.BytesIO()
    few.save(png, "PNG", optimize=True)
    return few.convert("RGB"), png.getvalue()


def _own_sound(one: Examined) -> audio.Sound | None:
    """The clip's own sound where it is not what the output is heard with."""
    info = one.run.info
    other = info["speech"]["sha256"] != info["face"]["sha256"]
    return audio.open_sound(one.face) if other and video.probe(one.face).has_sound else None


def _film(path: Path, images: Iterable[np.ndarray], clip: source.Clip, sound: audio.Sound | None, crf: int) -> None:
    with video.Writer(path, fps=clip.fps, sound=sound, crf=crf, full_range=clip.full_range) as writer:
        for image in images:
            writer.write(image)


def _fitted(image: np.ndarray, scale: float) -> np.ndarray:
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _jpeg(path: Path, image: np.ndarray) -> None:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
