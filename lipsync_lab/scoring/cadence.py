"""Which frames hold a drawing, and how many mouths are drawn over each.

Drawn animation stands still for two or three frames at a time; a generator that draws another mouth in every frame
breaks that rhythm. The word for it and the shortest mouth, 70 ms, are those of Rhubarb Lip Sync (D. S. Wolf,
github.com/DanielSWolf/rhubarb-lip-sync).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lipsync_lab.drawings import BLOCK, BOUND, RAISE, changes, noise
from lipsync_lab.scoring import regions

#: The noise that raises the bound is that of the clip's quietest quarter.
_QUIET = 0.25
#: Share of the skin's blocks that the change of a mouth has to rise above: what the whole cheek does is boil, no mouth.
_CALM = 0.9
#: Milliseconds that a mouth stands at the least (Rhubarb Lip Sync).
SHORTEST_MOUTH = 70.0

COLUMNS = (
    *("time", "shot", "source_change", "source_noise", "held", "drawing"),
    *("mouth_change", "mouth_noise", "mouth", "extra_mouth"),
)


def held(change: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Which frames show the same drawing as the frame before.

    Parameters
    ----------
    change : ndarray, (N,)
        Grey levels of the most changed block; NaN where there is no frame before.
    noise : ndarray, (N,)
        Grey levels of the middle block, see `noise`.

    Returns
    -------
    ndarray, float64, (N,)
        1 held, 0 new, NaN where `change` is. Under a camera that moves no drawing is held.
    """
    change = np.asarray(change, float)
    return np.where(np.isnan(change), np.nan, (change < bound(noise)).astype(float))


def bound(noise: np.ndarray, floor: float | np.ndarray = 0.0) -> float | np.ndarray:
    """Change (grey levels) from which on something new is shown, in a clip of that noise.

    `floor` is the noise of each frame's surroundings, where it is known to be more than the clip's.
    """
    known = np.asarray(noise, float)
    known = known[~np.isnan(known)]
    quiet = float(np.quantile(known, _QUIET)) if len(known) else 0.0
    return BOUND * (1 + RAISE * np.fmax(quiet, floor))


def rows(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], ledger: pd.DataFrame, truth: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Cadence, one row a frame.

    Parameters
    ----------
    pairs : iterable of (source, output)
        Frames uint8 RGB (H, W, 3) in the ledger's order; two at a time are kept.
    ledger : DataFrame
        Of a run (`runs.LEDGER`).
    truth : DataFrame, optional
        Of a made clip; says where the lips are, nothing else.

    Returns
    -------
    DataFrame, index ``frame``
        time, shot
            The ledger's.
        source_change, source_noise
            Grey levels of the most changed and of the middle block against the frame before; NaN in the first.
        held
            1 where the source shows the drawing of the frame before, else 0; NaN in the first frame.
        drawing
            Number of the drawing that the source shows, from 0.
        mouth_change, mouth_noise
            Of the output: grey levels of the most changed block of the lips, and of one in ten of the skin round them
            (the 90th percentile); NaN unless a mouth was drawn in both frames.
        mouth
            Number of the mouth that the output shows, from 0; NaN where none was drawn. A mouth that a moving head
            carries along is another one.
        extra_mouth
            1 where a held drawing got another mouth, 0 where it kept its own, NaN elsewhere.
    """
    lips, drawn = regions.mouths(ledger, truth), regions.drawn(ledger)
    found, before = [], None
    for row, (source, output) in regions.aligned(pairs, ledger):
        numbers = [np.nan] * 4
        if before is not None:
            of_source = changes(before[0], source)
            numbers[:2] = float(of_source.max()), noise(of_source)
            numbers[2:] = _mouth(before[1], output, drawn[row - 1 : row + 1], lips[row - 1 : row + 1])
        found.append(numbers)
        before = source, output
    return _table(np.array(found, float).reshape(-1, 4), drawn, ledger)


def _mouth(before: np.ndarray, after: np.ndarray, boxes: np.ndarray, lips: np.ndarray) -> tuple[float, float]:
    """Most changed block of the lips (wherever they are in one of the two frames), and nearly that of the skin."""
    places = [regions.inside(row, after.shape) for row in lips]
    box = regions.inside(boxes[1], after.shape)
    if np.isnan(boxes).any() or None in places or box is None:
        return np.nan, np.nan
    # only the neighbourhood is looked at: what is drawn is a small part of the frame
    rows, columns = (slice(max(0, part.start - 2 * BLOCK), part.stop + 2 * BLOCK) for part in box.slices)
    found = np.zeros(after.shape[:2], np.float32)
    found[rows, columns] = changes(before[rows, columns], after[rows, columns])
    around = found[regions.skin(after.shape, box, lips[1])]
    most = max(float(found[place.slices].max()) for place in places)
    return most, float(np.quantile(around, _CALM)) if len(around) else np.nan


def _table(numbers: np.ndarray, drawn: np.ndarray, ledger: pd.DataFrame) -> pd.DataFrame:
    out = ledger[["frame", "time", "shot"]].iloc[: len(numbers)].set_index("frame")
    change, source_noise, mouth_change, mouth_noise = numbers.T
    same = held(change, source_noise)
    there = ~np.isnan(drawn[: len(numbers), 0])
    # nothing can be said of a mouth whose frame before has none: it begins there
    kept = mouth_change < bound(source_noise, np.nan_to_num(mouth_noise))
    mouth = np.cumsum(there & ~kept) - 1.0
    out["source_change"], out["source_noise"], out["held"] = change, source_noise, same
    out["drawing"] = np.cumsum(same != 1) - 1
    out["mouth_change"], out["mouth_noise"] = mouth_change, mouth_noise
    out["mouth"] = np.where(there, mouth, np.nan)
    out["extra_mouth"] = np.where((same == 1) & ~np.isnan(mouth_change), (~kept).astype(float), np.nan)
    return out


def drawings(table: pd.DataFrame) -> pd.DataFrame:
    """The held drawings of `rows`.

    Returns
    -------
    DataFrame, index ``drawing``
        first, last (frames), frames, ms, mouths: how many different mouths were drawn over it; NaN where there was
        a frame without one.
    """
    frames = table.reset_index()
    out = frames.groupby("drawing").agg(
        first=("frame", "min"), last=("frame", "max"), frames=("frame", "size"), mouths=("mouth", "nunique")
    )
    whole = frames.groupby("drawing")["mouth"].apply(lambda mouth: mouth.notna().all())
    out["mouths"] = out["mouths"].where(whole).astype(float)
    out["ms"] = out["frames"] * _frame_ms(table)
    return out[out["frames"] > 1]


def mouths(table: pd.DataFrame) -> pd.DataFrame:
    """The mouths of `rows`, and how long each stands.

    Returns
    -------
    DataFrame, index ``mouth``
        first, last (frames), frames, ms, whole: False where the clip, a shot or a stretch without a mouth cut it
        short, so that it may have stood longer.
    """
    frames = table.reset_index().dropna(subset="mouth")
    out = frames.groupby("mouth").agg(
        first=("frame", "min"), last=("frame", "max"), frames=("frame", "size"), shot=("shot", "first")
    )
    shot = table["shot"].where(table["mouth"].notna())
    out["ms"] = out["frames"] * _frame_ms(table)
    before, after = (shot.reindex(edge).to_numpy() for edge in (out["first"] - 1, out["last"] + 1))
    out["whole"] = (before == out["shot"]) & (after == out["shot"])
    return out.drop(columns="shot")


def summary(table: pd.DataFrame) -> dict[str, float]:
    """A clip's cadence.

    Parameters
    ----------
    table : DataFrame
        Of `rows`.

    Returns
    -------
    dict
        held (share of frames), drawings_per_second, mouths_per_second (over the frames that have a mouth),
        mouths_per_drawing (mean over held drawings), extra_mouth (share of held frames that got another mouth),
        extra_mouth_covered (share of frames of which that can be said), mouth_ms (median of the mouths seen from
        beginning to end), mouth_ms_shortest, mouths_too_short (share below `SHORTEST_MOUTH`); NaN where undefined.
    """
    seconds, stands = _frame_ms(table) / 1000, mouths(table)
    whole = stands[stands["whole"]]["ms"]
    with_mouth = int(table["mouth"].notna().sum())
    return {
        "held": float(table["held"].mean()),
        "drawings_per_second": table["drawing"].nunique() / (len(table) * seconds) if len(table) else np.nan,
        "mouths_per_second": len(stands) / (with_mouth * seconds) if with_mouth else np.nan,
        "mouths_per_drawing": float(drawings(table)["mouths"].mean()),
        "extra_mouth": float(table["extra_mouth"].mean()),
        "extra_mouth_covered": float(table["extra_mouth"].notna().mean()),
        "mouth_ms": float(whole.median()),
        "mouth_ms_shortest": float(whole.min()),
        "mouths_too_short": float((whole < SHORTEST_MOUTH).mean()),
    }


def _frame_ms(table: pd.DataFrame) -> float:
    """Milliseconds of a frame; NaN for a clip of one."""
    return float(np.median(np.diff(table["time"]))) * 1000 if len(table) > 1 else np.nan
