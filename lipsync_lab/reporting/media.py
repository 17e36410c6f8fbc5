"""Media of a report's page for one run: two videos, the worst frames, the timeline."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from lipsync_lab import evaluation, figures, runs
from lipsync_lab.files import write_text
from lipsync_lab.media import audio, video
from lipsync_lab.media import clip as media_clip
from lipsync_lab.media.difference import difference
from lipsync_lab.metrics import regions
from lipsync_lab.reporting.runs import frame_to_show, worst_failures
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lipsync_lab.evaluation.evaluated import EvaluatedCase

#: Pixels: a film's poster at its longest side, and the height of source | output | difference.
_POSTER, _STRIP = 480, 200
#: Pixels of the height of a close-up of a mouth, and its side in widths of the face's box.
_CLOSE_UP, _AROUND = 420, 0.9
#: Height of an edited region in its widths from which it is a face, and the square round a flatter one in its widths.
_FACE, _ROOM = 0.8, 1.1
_GAP = 4
#: Colours of a chart, and how far any may lie from its own, of 255.
_COLOURS, _LOSS = 256, 8
#: Written last: the key of the evaluation that the pictures belong to, and the version of what is rendered.
_NOTE, _LAYOUT = "made.json", 3


def render_pictures(clip: EvaluatedCase, folder: Path) -> None:
    """Render the pictures of a run, unless those that are there belong to this very evaluation.

    ``before.mp4`` and, where browsers do not play the output, ``after.mp4``; of both a ``.jpg``; ``worst-1.jpg`` and so
    on, in the order of `runs.worst_failures`, or where nothing failed ``frame.jpg``; ``mouth.jpg``, the first of these
    enlarged at the mouth; ``timeline.png``.
    """
    key = json.loads((clip.run.folder / evaluation.FOLDER / "about.json").read_text(encoding="utf-8"))["key"]
    note = folder / _NOTE
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) == [_LAYOUT, key]:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ledger, info = clip.run.ledger(), clip.run.info
    settings = Settings.read(info["settings"])
    source = media_clip.open_clip(clip.face, settings)
    extend = media_clip.extension(settings.extend, len(ledger), info["frames_written"], source.fps)
    played = media_clip.played(source, len(ledger), info["frames_written"], extend)
    # the two are compared by eye: the loss by encoding must be the same in both
    _video(folder / "before.mp4", (frame for _, frame in played), source, _own_sound(clip), settings.crf)
    if not is_playable(clip.run):
        frames = (frame.image for frame in video.frames(clip.run.output))
        _video(folder / "after.mp4", frames, source, audio.open_sound(clip.run.output), settings.crf)
    number = frame_to_show(ledger)
    for name, image in zip(("before", "after"), clip.pictures(number), strict=True):
        jpeg(folder / f"{name}.jpg", scaled(image, _POSTER / max(image.shape[:2])))
    worst = worst_failures(clip.evaluation)["worst"]
    for place, frame in enumerate(worst, start=1):
        jpeg(folder / f"worst-{place}.jpg", comparison(clip, int(frame)))
    if not len(worst):
        jpeg(folder / "frame.jpg", comparison(clip, number))
    jpeg(folder / "mouth.jpg", at_mouth(clip, int(worst.iloc[0]) if len(worst) else number))
    save_chart(folder / "timeline.png", figures.score_timeline(ledger, settings.threshold))
    write_text(note, json.dumps([_LAYOUT, key]))


def is_playable(run: runs.Run) -> bool:
    """Whether a browser plays the output; it does not play the lossless one."""
    return run.output.suffix == ".mp4"


def comparison(clip: EvaluatedCase, frame: int) -> np.ndarray:
    """Source, output and their difference, side by side; cut to the surroundings of the mouth, if one was generated.

    Returns
    -------
    ndarray, uint8, (`_STRIP`, W, 3)
        RGB; the last is their `media.difference`.
    """
    return beside(*clip.pictures(frame), regions.generated(clip.run.ledger())[frame])


def at_mouth(clip: EvaluatedCase, frame: int) -> np.ndarray:
    """`comparison`, cut to a square round the mouth alone, and enlarged."""
    box = regions.generated(clip.run.ledger())[frame]
    return beside(*clip.pictures(frame), _around_mouth(box), _CLOSE_UP, margin=0.0)


def beside(
    before: np.ndarray, after: np.ndarray, box: np.ndarray, height: int = _STRIP, margin: float = 0.15
) -> np.ndarray:
    """`comparison` of two frames, uint8 RGB (H, W, 3), cut to the surroundings of a box (4,); whole where it is NaN."""
    box = regions.inside(box, before.shape, margin, margin)
    if box is not None:
        before, after = before[box.slices], after[box.slices]
    images = before, after, difference(before, after)
    parts = [scaled(image, height / image.shape[0]) for image in images]
    gap = np.full((parts[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([parts[0], gap, parts[1], gap, parts[2]])


def close_ups(images: Sequence[np.ndarray], box: np.ndarray) -> list[np.ndarray]:
    """Pictures of one frame, cut to a square round the lower half of the face, and enlarged to one height.

    Parameters
    ----------
    images : sequence of ndarray, uint8, (H, W, 3)
    box : ndarray, float, (4,)
        Of the generated mouth: the face's box. NaN where there is none; then the frames are whole.

    Returns
    -------
    list of ndarray, uint8, (`_CLOSE_UP`, W, 3)
    """
    around = regions.inside(_around_mouth(box), images[0].shape)
    parts = [image if around is None else image[around.slices] for image in images]
    return [scaled(part, _CLOSE_UP / part.shape[0]) for part in parts]


def around_region(box: np.ndarray) -> np.ndarray:
    """A square round the mouth, (4,), from the box of an edited region (4,): NaN where that is.

    A region that is about as high as wide is a face, of which the square holds the lower half; a flatter one lies round
    the mouth, and so does the square.
    """
    x1, y1, x2, y2 = box
    if y2 - y1 >= _FACE * (x2 - x1):
        return _around_mouth(box)
    half, x, y = _ROOM * (x2 - x1) / 2, (x1 + x2) / 2, (y1 + y2) / 2
    return np.array([x - half, y - half, x + half, y + half])


def _around_mouth(box: np.ndarray) -> np.ndarray:
    """A square round the lower half of a face's box, (4,)."""
    x1, y1, x2, y2 = box
    half, x, y = _AROUND * (x2 - x1) / 2, (x1 + x2) / 2, y1 + 0.72 * (y2 - y1)
    return np.array([x - half, y - half, x + half, y + half])


def save_chart(path: Path, axes: Axes, **options: Any) -> None:
    """Save a `chart`."""
    path.write_bytes(chart(axes, **options))


def chart(axes: Axes, **options: Any) -> bytes:
    """A chart as a PNG of few colours, after which its figure is closed; options as of matplotlib's ``savefig``."""
    import matplotlib.pyplot as plt

    png = io.BytesIO()
    axes.figure.savefig(png, format="png", **options)
    plt.close(axes.figure)
    return _paletted(Image.open(png).convert("RGB"))[1]


def compressed(png: bytes) -> tuple[str, bytes]:
    """The same picture in fewer bytes: PNG for a chart of up to `_COLOURS` colours, JPEG for any other picture.

    Returns
    -------
    str
        "image/png" or "image/jpeg".
    bytes
        No longer than `png`.
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


def _own_sound(clip: EvaluatedCase) -> audio.Sound | None:
    """The clip's own sound where the output has another one."""
    info = clip.run.info
    other = info["voice"]["sha256"] != info["clip"]["sha256"]
    return audio.open_sound(clip.face) if other and video.probe(clip.face).has_sound else None


def _video(
    path: Path, images: Iterable[np.ndarray], clip: media_clip.Clip, sound: audio.Sound | None, crf: int
) -> None:
    with video.Writer(path, fps=clip.fps, sound=sound, crf=crf, **clip.shown) as writer:
        for image in images:
            writer.write(image)


def scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """A picture, uint8 (H, W, 3), resized by a factor."""
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def jpeg(path: Path, image: np.ndarray) -> None:
    """Write a picture, uint8 RGB (H, W, 3)."""
    Image.fromarray(image).save(path, "JPEG", quality=80)
