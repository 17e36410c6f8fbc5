"""The timeline: provenance of the boxes, failures, waveform, phonemes and the curve of a metric, frame by frame."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from lipsync_lab.evaluation.evaluate import ground_truth_of
from lipsync_lab.explorer.text import font
from lipsync_lab.figures.style import PROVENANCE_COLOURS, PROVENANCE_LABELS
from lipsync_lab.geometry import PROVENANCES, FaceTrack, spans
from lipsync_lab.media import audio
from lipsync_lab.metrics import registry

if TYPE_CHECKING:
    from pathlib import Path

    import pandas

    from lipsync_lab.explorer.session import Session

#: Width of the timeline, and heights of its rows, in pixels.
WIDTH = 1180
TRACK, FAILURE, WAVE, PHONEME, CURVE = 18, 10, 36, 16, 58
HEIGHT = TRACK + FAILURE + WAVE + PHONEME + CURVE

FAILURE_COLOUR, CURSOR_COLOUR = "#CC79A7", "#D55E00"
_EMPTY, _PAPER, _INK, _FAINT, _LINE, _SOUND = "#E6E6E6", "#FFFFFF", "#222222", "#767676", "#0072B2", "#5B7F95"


def column_frame(x: float, frames: int) -> int:
    """Number of the frame at a column of the timeline."""
    return min(frames - 1, max(0, int(x * frames / WIDTH)))


def picture(session: Session, frame: int | None = None, metric: str = "") -> np.ndarray:
    """Render the timeline of a session.

    Parameters
    ----------
    session : Session
    frame : int, optional
        The frame that is shown, to be marked.
    metric : str, optional
        Name of the metric whose curve is drawn, one of `curves`.

    Returns
    -------
    ndarray, uint8, (HEIGHT, WIDTH, 3)
    """
    frames = len(session)
    rows = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    rows.paste(Image.fromarray(strip(session.track, session.failures())), (0, 0))
    draw, top = ImageDraw.Draw(rows), TRACK + FAILURE
    seconds = frames / float(session.clip.fps)
    _draw_wave(draw, top, session.wave, seconds)
    _draw_phonemes(draw, top + WAVE, phonemes(session.voice), seconds)
    _draw_curve(draw, top + WAVE + PHONEME, curves(session).get(metric), metric, frame, session.stale)
    out = np.array(rows)
    if frame is not None:
        x = round((frame + 0.5) * WIDTH / frames)
        out[: TRACK + FAILURE, max(0, x - 3) : x + 3] = 255
        out[:, max(0, x - 1) : x + 1] = ImageColor.getrgb(CURSOR_COLOUR)
    return out


def strip(track: FaceTrack, failures: pandas.DataFrame) -> np.ndarray:
    """Render the provenance of each frame's box above, the failures below, paler where less severe.

    Parameters
    ----------
    track : FaceTrack
    failures : DataFrame
        With first, last and severity.

    Returns
    -------
    ndarray, uint8, (TRACK + FAILURE, WIDTH, 3)
    """
    columns = np.array([column_frame(x, len(track)) for x in range(WIDTH)])
    palette = np.array([ImageColor.getrgb(PROVENANCE_COLOURS[kind]) for kind in PROVENANCES], np.uint8)
    kinds = np.array([PROVENANCES.index(kind) for kind in track.provenance.tolist()])
    severity = np.zeros(len(track))
    for failure in failures.itertuples():
        span = slice(int(failure.first), int(failure.last) + 1)
        severity[span] = np.maximum(severity[span], 0.35 + 0.65 * float(failure.severity))
    ink, paper = (np.array(ImageColor.getrgb(colour), float) for colour in (FAILURE_COLOUR, _EMPTY))
    out = np.empty((TRACK + FAILURE, WIDTH, 3), np.uint8)
    out[:TRACK] = palette[kinds[columns]]
    out[TRACK:] = (paper + (ink - paper) * severity[columns][:, None]).round().astype(np.uint8)
    out[TRACK] = 255
    out[:, np.flatnonzero(np.diff(track.shots[columns])) + 1] = 255
    return out


def legend(track: FaceTrack, failures: pandas.DataFrame) -> list[tuple[str, str]]:
    """Names and colours of what the timeline shows."""
    present = set(track.provenance.tolist())
    kinds = [(PROVENANCE_LABELS[kind], PROVENANCE_COLOURS[kind]) for kind in PROVENANCES if kind in present]
    failed = [("failure (second row)", FAILURE_COLOUR)] if len(failures) else []
    return [*kinds, *failed, ("current frame", CURSOR_COLOUR)]


def curves(session: Session) -> dict[str, np.ndarray]:
    """The metrics of the last evaluation by name: float64, one value a frame, NaN where undefined."""
    if session.evaluation is None:
        return {}
    table = session.evaluation.frames.reindex(range(len(session)))
    known = [metric.name for metric in registry.metrics() if metric.name in table]
    values = {name: table[name].to_numpy(float, na_value=np.nan) for name in known}
    return {name: column for name, column in values.items() if np.isfinite(column).any()}


def title(name: str) -> str:
    """A metric's name in words, with its unit."""
    metric = next(metric for metric in registry.metrics() if metric.name == name)
    return f"{name.replace('_', ' ')} ({metric.unit})" if metric.unit else name.replace("_", " ")


def phonemes(voice: Path | None) -> list[tuple[float, float, str]]:
    """Start and end in seconds, and the symbol, of each phoneme of a voice from a synthetic clip with ground truth."""
    table = None if voice is None else ground_truth_of(voice)
    if table is None or len(table) < 2:
        return []
    times, out = table["time"].to_numpy(float), []
    step = times[1] - times[0]
    for symbol, group in groupby(zip(times, table["phoneme"].fillna(""), strict=True), key=lambda pair: pair[1]):
        span = [time for time, _ in group]
        if symbol:
            out.append((span[0], span[-1] + step, symbol))
    return out


def _draw_wave(draw: ImageDraw.ImageDraw, top: int, wave: np.ndarray | None, seconds: float) -> None:
    """Lowest and highest sample of each column; full scale is the loudest sample."""
    if wave is None:
        draw.text((4, top + 10), "no voice", _FAINT, font(12))
        return
    edges = np.linspace(0, seconds * audio.SAMPLE_RATE, WIDTH + 1).astype(int)
    loudest, middle = max(float(np.abs(wave).max()), 1e-6), top + WAVE / 2
    for x, (start, stop) in enumerate(zip(edges, np.maximum(edges[1:], edges[:-1] + 1), strict=False)):
        piece = wave[start:stop]
        if len(piece):
            low, high = (middle - (WAVE / 2 - 2) * value / loudest for value in (piece.max(), piece.min()))
            draw.line((x, low, x, high), _SOUND)


def _draw_phonemes(draw: ImageDraw.ImageDraw, top: int, symbols: list, seconds: float) -> None:
    """A mark at the start of each phoneme, and its symbol where it fits."""
    free = 0.0
    for start, _, symbol in symbols:
        x = start / seconds * WIDTH
        draw.line((x, top, x, top + 4), _FAINT)
        if x >= free and x + draw.textlength(symbol, font(12)) <= WIDTH:
            draw.text((x + 2, top), symbol, _INK, font(12))
            free = x + draw.textlength(symbol, font(12)) + 4


def _draw_curve(
    draw: ImageDraw.ImageDraw, top: int, values: np.ndarray | None, name: str, frame: int | None, stale: bool
) -> None:
    """The values as a line, failing frames in the colour of failures, and the threshold."""
    draw.line((0, top, WIDTH, top), _EMPTY)
    if values is None:
        draw.text(
            (4, top + 4), "no metric: not evaluated" if not name else f"{title(name)}: undefined", _FAINT, font(12)
        )
        return
    metric = next(metric for metric in registry.metrics() if metric.name == name)
    limits = [values[np.isfinite(values)].min(), values[np.isfinite(values)].max()]
    if metric.failure:
        limits += [metric.threshold]
    low, high = min(limits), max(limits)
    high = high if high > low else low + 1

    def height(value: float) -> float:
        return top + CURVE - 4 - (CURVE - 24) * (value - low) / (high - low)

    if metric.failure:
        for x in range(0, WIDTH, 8):
            draw.line((x, height(metric.threshold), x + 3, height(metric.threshold)), _FAINT)
    step = WIDTH / len(values)
    for start, stop in spans(np.isfinite(values)):
        points = [((n + side) * step, height(values[n])) for n in range(start, stop) for side in (0, 1)]
        draw.line(points, _LINE, 1)
    for start, stop in spans(metric.beyond(values)):
        points = [((n + side) * step, height(values[n])) for n in range(start, stop) for side in (0, 1)]
        draw.line(points, FAILURE_COLOUR, 3)
    here = "" if frame is None else f", here {values[frame]:.3g}" if np.isfinite(values[frame]) else ", here undefined"
    limit = f", threshold {metric.threshold:g}" if metric.failure else ""
    words = f"{title(name)}: {limits[0]:.3g} to {limits[1]:.3g}{limit}{here}{', stale' if stale else ''}"
    draw.rectangle((0, top + 1, draw.textlength(words, font(12)) + 8, top + 16), _PAPER)
    draw.text((4, top + 1), words, _INK, font(12))
