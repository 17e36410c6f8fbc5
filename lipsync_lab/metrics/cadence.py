"""Animation holds, and how many mouths the output shows during each.

Animation keeps a drawing for two or three frames; a generator that generates another mouth in every frame breaks that
cadence. Which frames are held is defined in `lipsync_lab.generation.holds` alone. The shortest mouth, 70 ms, is that
of Rhubarb Lip Sync (D. S. Wolf, github.com/DanielSWolf/rhubarb-lip-sync).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lipsync_lab.generation.holds import BLOCK, BOUND, RAISE, Holds, changes, scheduled
from lipsync_lab.metrics import regions
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.registry import ANIMATION, Artifact, Metric
from lipsync_lab.metrics.validation import injected

#: The noise that raises the bound of a mouth change is that of the clip's quietest quarter.
_QUIET = 0.25
#: Quantile of the skin's blocks that a mouth change must exceed: a change of the whole cheek is boil.
_CALM = 0.9
#: Least and most frames of the median drawing of animation, on twos to fours (`is_animated`).
ANIMATED = 2, 4
#: Least milliseconds for which a mouth is shown (Rhubarb Lip Sync).
SHORTEST_MOUTH = 70.0

COLUMNS = (
    *("time", "shot", "source_change", "source_noise", "held", "drawing"),
    *("mouth_change", "mouth_noise", "mouth", "mouth_change_during_hold"),
)


class HoldFinder:
    """Finds the holds of a run's source, frame by frame, inside the boxes of its ledger."""

    def __init__(self, ledger: pd.DataFrame):
        self._boxes, self._holds, self.first = regions.boxes(ledger), Holds(), []

    def add(self, source: np.ndarray) -> None:
        """Add the next frame, uint8 RGB (H, W, 3)."""
        self.first.append(self._holds.add(source, regions.inside(self._boxes[len(self.first)], source.shape)))


def _mouth_bound(noise: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Change of the lips (grey levels) at or above which another mouth is shown.

    `noise` is the source's; `floor` is the noise round the lips in each frame, where it is known to be more.
    """
    known = noise[~np.isnan(noise)]
    quiet = float(np.quantile(known, _QUIET)) if len(known) else 0.0
    return BOUND * (1 + RAISE * np.fmax(quiet, floor))


def frame_changes(pair: FramePair) -> tuple[float, float, float, float]:
    """Changes against the frame before: of the whole source (most changed and median block), and of the output's mouth.

    The latter two are those of the most changed block of the lips (wherever they are in one of the two frames), and of
    one in ten of the skin's blocks. Grey levels; NaN where there is nothing to compare.
    """
    if pair.before is None:
        return (np.nan,) * 4
    return *pair.source_change, *_mouth_change(pair.before, pair)


def _mouth_change(before: FramePair, after: FramePair) -> tuple[float, float]:
    shape, box = after.output.shape, regions.inside(after.pasted, after.output.shape)
    places = [regions.inside(pair.mouth, shape) for pair in (before, after)]
    if np.isnan(before.pasted).any() or None in places or box is None:
        return np.nan, np.nan
    # a generated mouth is a small part of the frame: only its neighbourhood is compared
    rows, columns = (slice(max(0, part.start - 2 * BLOCK), part.stop + 2 * BLOCK) for part in box.slices)
    changed = np.zeros(shape[:2], np.float32)
    changed[rows, columns] = changes(before.output[rows, columns], after.output[rows, columns])
    around = changed[regions.skin(shape, box, after.mouth)]
    most = max(float(changed[place.slices].max()) for place in places)
    return most, float(np.quantile(around, _CALM)) if len(around) else np.nan


def cadence_table(numbers: Iterable[tuple[float, ...]], first: Iterable[int], ledger: pd.DataFrame) -> pd.DataFrame:
    """Cadence, one row per frame.

    Parameters
    ----------
    numbers : iterable of tuple
        Of `frame_changes`, one per frame.
    first : iterable of int
        First frame of each frame's hold (`generation.holds.first_frames`).
    ledger : DataFrame
        Of the run.

    Returns
    -------
    DataFrame, index ``frame``
        Columns are NaN where they are undefined: time, shot; source_change, source_noise, mouth_change, mouth_noise (of
        `frame_changes`); held (1 where the source repeats the drawing of the frame before, else 0; both frames need a
        face); drawing, mouth (numbers from 0 of the drawing that the source shows, and of the mouth that the output
        shows: a mouth that moves with the head is another one); mouth_change_during_hold (1 where the mouth changes
        during a hold, 0 where it stays; NaN also where a long hold is due for a new mouth, which is not a failure:
        `generation.holds.scheduled`).
    """
    numbers = np.array(list(numbers), float).reshape(-1, 4)
    first, count = np.array(list(first), np.int64), len(numbers)
    out = ledger[["frame", "time", "shot"]].iloc[:count].set_index("frame")
    change, source_noise, mouth_change, mouth_noise = numbers.T
    same = first < np.arange(count)
    there = ~np.isnan(regions.boxes(ledger)[:count, 0])
    known = there & np.r_[False, there[:-1]][:count]
    pasted = ~np.isnan(regions.generated(ledger)[:count, 0])
    # without a mouth in the frame before, a mouth begins here
    kept = mouth_change < _mouth_bound(source_noise, np.nan_to_num(mouth_noise))
    mouth = np.cumsum(pasted & ~kept) - 1.0
    out["source_change"], out["source_noise"] = change, source_noise
    out["held"] = np.where(known, same.astype(float), np.nan)
    out["drawing"] = np.cumsum(~same) - 1
    out["mouth_change"], out["mouth_noise"] = mouth_change, mouth_noise
    out["mouth"] = np.where(pasted, mouth, np.nan)
    compared = same & ~scheduled(first) & ~np.isnan(mouth_change)
    out["mouth_change_during_hold"] = np.where(compared, (~kept).astype(float), np.nan)
    return out


def is_animated(table: pd.DataFrame) -> bool:
    """Whether the source changes its drawing as animation does: the median drawing of a face lasts `ANIMATED` frames.

    Footage that was filmed changes in most frames, and a still picture never. Of a clip whose domain nobody stated this
    alone says whether holds are measured.

    Parameters
    ----------
    table : DataFrame
        With the columns ``held`` and ``drawing`` of `cadence_table`.
    """
    least, most = ANIMATED
    return least <= median_drawing(table) <= most


def median_drawing(table: pd.DataFrame) -> float:
    """Frames of the median drawing of a face, of the same table; NaN where no frame has a face."""
    return float(table["drawing"][table["held"].notna()].value_counts().median())


def drawings(table: pd.DataFrame) -> pd.DataFrame:
    """The holds of `cadence_table`.

    Returns
    -------
    DataFrame, index ``drawing``
        first, last (frames), frames, ms, mouths: how many different mouths the output shows during it; NaN where
        a frame has none.
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
    """The mouths of `cadence_table`, and for how long each is shown.

    Returns
    -------
    DataFrame, index ``mouth``
        first, last (frames), frames, ms, whole (False where the clip, the shot or a frame without a mouth may have cut
        it short).
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
        Of `cadence_table`.

    Returns
    -------
    dict
        held (share of frames), drawings_per_second, mouths_per_second (over the frames that have a mouth),
        mouths_per_drawing (mean over holds), mouth_change_during_hold (share of held frames with an unscheduled mouth
        change), mouth_change_during_hold_covered (share of frames of which that can be said), mouth_ms (median of the
        whole mouths), mouth_ms_shortest, mouths_too_short (share below `SHORTEST_MOUTH`); NaN where undefined.
    """
    seconds, durations = _frame_ms(table) / 1000, mouths(table)
    whole = durations[durations["whole"]]["ms"]
    with_mouth = int(table["mouth"].notna().sum())
    return {
        "held": float(table["held"].mean()),
        "drawings_per_second": table["drawing"].nunique() / (len(table) * seconds) if len(table) else np.nan,
        "mouths_per_second": len(durations) / (with_mouth * seconds) if with_mouth else np.nan,
        "mouths_per_drawing": float(drawings(table)["mouths"].mean()),
        "mouth_change_during_hold": float(table["mouth_change_during_hold"].mean()),
        "mouth_change_during_hold_covered": float(table["mouth_change_during_hold"].notna().mean()),
        "mouth_ms": float(whole.median()),
        "mouth_ms_shortest": float(whole.min()),
        "mouths_too_short": float((whole < SHORTEST_MOUTH).mean()),
    }


def _frame_ms(table: pd.DataFrame) -> float:
    """Milliseconds of a frame; NaN for a clip of one."""
    return float(np.median(np.diff(table["time"]))) * 1000 if len(table) > 1 else np.nan


METRICS = (
    Metric(
        *("mouth_change_during_hold", "share of the held frames", "time", "mouth change during hold", 0.5, 1.0),
        "the mouth changes in {frames} held frame{s}",
        artifact=Artifact("one mouth a frame", injected.mouth_a_frame),
        domains=(ANIMATION,),
        requires="a generated mouth during a hold",
        rate=True,
        definition="1 where the mouth changes though the drawing is held, else 0",
    ),
)
