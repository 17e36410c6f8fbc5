"""The mouth against the sound: whether it opens with the voice, closes where lips must, and rests in silence.

Mouth openness is an array with one number a frame: from the ground truth of a synthetic clip, from `read`, where the
network was validated on such material, or from `openness`, which needs no network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.geometry import spans
from lipsync_lab.metrics.controls import SILENT_DB, Score, level, scored

if TYPE_CHECKING:
    import pandas
    from torch import nn

#: Scores of `follows_sound` and `in_silence`.
SCORES = ("openness_correlation", "openness_best", "openness_offset", "silence_open", "silence_moving")
#: Largest offset between lips and sound, in frames.
SHIFT = 15
#: Fewest known frames for a correlation: one second.
_FEWEST = 25
#: Floor of the loudness, in decibels against full scale.
_FLOOR_DB = -45.0
#: First sounds of IPA symbols for which the lips must close.
CLOSING = "mbp"

_LOWER = (slice(50, 94), slice(18, 78))  # of a crop: where mouths are, without the background beside chin and cheeks
_MOVING, _CONTRAST = 0.8, 60.0
_AT_ONCE = 128

#: A mouth with less openness is closed, as a share of the clip's own range (`in_range`): by `openness`, and by `read`
#: with the bundled network, for which 97 % of closed animated lips lie below it and 1 % of those open by two pixels.
CLOSED_BY_PIXELS, CLOSED_BY_NETWORK = 0.3, 0.1


def read(faces: np.ndarray, network: nn.Module) -> np.ndarray:
    """The gap between the lips, by a network that was trained on synthetic faces.

    Parameters
    ----------
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB crops, as the generator sees them (`generation.crop`).
    network : models.mouth_openness.MouthOpennessNet
        In evaluation mode.

    Returns
    -------
    ndarray, float64, (N,)
        Pixels of the crop.

    Notes
    -----
    It is valid on material of the kind that the network was trained on only: with `mouth-openness-lab` the correlation
    with the ground truth is 0.97 on synthetic animation, and on the study's clips of broadcast animation it correlates
    less with the loudness of the voice than `openness` does.
    """
    import torch

    from lipsync_lab.models.mouth_openness import UNIT

    faces = _checked(faces)
    device, gaps = next(network.parameters()).device, []
    with torch.inference_mode():
        for first in range(0, len(faces), _AT_ONCE):
            bgr = torch.from_numpy(np.ascontiguousarray(faces[first : first + _AT_ONCE, ..., ::-1])).to(device)
            gaps.append(network(bgr.permute(0, 3, 1, 2).float() / 255).double().cpu().numpy() * UNIT)
    return np.concatenate(gaps) if gaps else np.empty(0)


def in_range(read: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Readings as shares of the range of others: 0 at their 5th percentile, 1 at their 95th, and no further.

    NaN throughout where the others do not differ. NaNs among them are passed over.
    """
    known = np.asarray(of, float)
    known = known[~np.isnan(known)]
    low, high = np.quantile(known, (0.05, 0.95)) if len(known) else (0.0, 0.0)
    return ((np.asarray(read, float) - low) / (high - low)).clip(0, 1) if high > low else np.full(len(read), np.nan)


def _checked(faces: np.ndarray) -> np.ndarray:
    faces = np.asarray(faces)
    if faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3) or faces.dtype != np.uint8:
        raise ParameterError(f"mouths are read from uint8 RGB (N, 96, 96, 3), not {faces.dtype} {faces.shape}")
    return faces


def openness(faces: np.ndarray) -> np.ndarray:
    """How far a mouth is open, from the pixels alone.

    The part of the lower face that moves most is taken for the mouth. An open one shows what is not skin: the mean
    difference in colour (Lab) between that part and the face, as a share of the clip's own range (`in_range`).

    Parameters
    ----------
    faces : ndarray, uint8, (N, 96, 96, 3)
        RGB crops of one face, as the generator sees them (`generation.crop`).

    Returns
    -------
    ndarray, float64, (N,)
        0 to 1; NaN throughout where nothing moves.

    Raises
    ------
    ParameterError
        Faces of another size.

    Notes
    -----
    The method is this package's own, and relative: a mouth that never closes counts as closed where it is least open.
    On 176 held-out animation clips (all views, some with a hand or a cup before the mouth) the correlation with the
    ground truth within a clip is 0.76 in the mean and 0.87 in the median, and below 0.44 in one of ten; on 16 synthetic
    photos it is 0.96. Below 0.3 lie 77 % of the closed animated mouths and 14 % of those that are open by four pixels
    of the crop or more (synthetic photos: 100 % and 4 %). It fails where the head turns more than the lips move (0.40
    on the bundled `turning_away`).
    """
    import cv2

    faces = _checked(faces)
    if len(faces) < 2:
        return np.full(len(faces), np.nan)
    lower = np.stack([cv2.cvtColor(np.ascontiguousarray(face[_LOWER]), cv2.COLOR_RGB2LAB) for face in faces])
    moved = np.zeros(lower.shape[1:3], np.float32)
    for before, after in zip(lower[:-1], lower[1:], strict=True):
        moved += cv2.absdiff(before, after).sum(axis=2, dtype=np.float32)
    moved = cv2.GaussianBlur(moved / (len(lower) - 1), (0, 0), 2)
    weight = moved * (moved >= np.quantile(moved, _MOVING))
    if not weight.any():
        return np.full(len(faces), np.nan)
    weight /= weight.sum()
    contrasts = np.empty(len(lower))
    for number, face in enumerate(lower):
        skin = np.median(face.reshape(-1, 3), axis=0)
        contrast = np.linalg.norm(face - skin, axis=2).clip(max=_CONTRAST)
        contrasts[number] = (contrast * weight).sum()
    return in_range(contrasts, contrasts)


def follows_sound(
    mouth_openness: np.ndarray, wave: np.ndarray, fps: float, shift: int = SHIFT
) -> tuple[pandas.DataFrame, tuple[Score, ...]]:
    """Correlation of the mouth's opening with the loudness of the sound, for every offset between them.

    After Yehia et al. 1998, "Quantitative association of vocal-tract and facial behavior". Loudness is in decibels
    against full scale, at least -45.

    Parameters
    ----------
    mouth_openness : ndarray, float, (N,)
        In any unit; NaN where unknown.
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1].
    fps : float
        Frames a second.
    shift : int
        The greatest offset, in frames of the clip.

    Returns
    -------
    curve : DataFrame
        ``offset`` in frames of the clip, with the sign of `sync` (positive: the sound comes too early);
        ``correlation``; ``frames`` that it rests on. NaN where that are less than 25, or one of the two never changes.
    scores : tuple of Score
        ``openness_correlation`` at offset 0, ``openness_best``, the highest of all offsets, and ``openness_offset``,
        where that is.
    """
    import pandas

    mouth_openness = np.asarray(mouth_openness, float)
    count, rows = len(mouth_openness), []
    loud = level(wave, fps, count).clip(min=_FLOOR_DB)
    for offset in range(-shift, shift + 1):
        first, stop = max(0, offset), max(0, offset, min(count, count + offset))
        mouth, sound = mouth_openness[first:stop], loud[max(0, first - offset) : max(0, stop - offset)]
        known = ~np.isnan(mouth)
        rows.append((offset, _correlation(mouth[known], sound[known]), int(known.sum())))
    curve = pandas.DataFrame(rows, columns=["offset", "correlation", "frames"])
    zero, best, at = float(curve["correlation"][shift]), np.nan, np.nan
    if curve["correlation"].notna().any():
        best, at = curve.loc[curve["correlation"].idxmax(), ["correlation", "offset"]]
    known = int((~np.isnan(mouth_openness)).sum())
    reason = (
        f"the mouth is known in {known} frames, and {_FEWEST} are needed"
        if known < _FEWEST
        else "the mouth never moves"
        if np.nanmax(mouth_openness) == np.nanmin(mouth_openness)
        else "the sound is as loud, or as silent, throughout"
    )
    values = {"correlation": zero, "best": best, "offset": at}
    covered = known / max(count, 1)
    return curve, tuple(scored(f"openness_{name}", value, covered, reason) for name, value in values.items())


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < _FEWEST or np.ptp(a) < 1e-6 or np.ptp(b) < 1e-6:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def bilabial_closures(
    mouth_openness: np.ndarray,
    fps: float,
    phonemes: Iterable[tuple[str, float, float]],
    threshold: float = 0.1,
    slack: float = 0.0,
) -> pandas.DataFrame:
    """Whether the mouth closes on M, B and P.

    Parameters
    ----------
    mouth_openness : ndarray, float, (N,)
        NaN where unknown.
    fps : float
        Frames a second; frame i stands from i / fps to (i + 1) / fps.
    phonemes : iterable of (symbol, start, end)
        IPA symbol and seconds.
    threshold : float
        A mouth that is less open than this is closed.
    slack : float
        Seconds before and after the sound in which a closed mouth counts too.

    Returns
    -------
    DataFrame
        One row an M, B or P: ``symbol``, ``start``, ``end``, ``first`` and ``last`` frame, ``least`` (the least
        openness; NaN where it is unknown in every frame), ``closed``.
    """
    import pandas

    mouth_openness, rows = np.asarray(mouth_openness, float), []
    for symbol, start, end in phonemes:
        if symbol[:1] not in CLOSING or not symbol:
            continue
        first = max(0, int(np.floor((start - slack) * fps + 1e-6)))
        stop = min(len(mouth_openness), int(np.ceil((end + slack) * fps - 1e-6)))
        during = mouth_openness[first:stop]
        known = ~np.isnan(during)
        least = float(during[known].min()) if known.any() else np.nan
        rows.append((symbol, start, end, first, stop - 1, least, least < threshold))
    return pandas.DataFrame(rows, columns=["symbol", "start", "end", "first", "last", "least", "closed"])


def silent_frames(
    wave: np.ndarray,
    fps: float,
    count: int,
    silent_db: float = SILENT_DB,
    shortest: float = 0.3,
    margin: float = 0.1,
) -> np.ndarray:
    """Frames of a silence, bool, (count,); parameters as for `in_silence`."""
    silent, edge = np.zeros(count, bool), int(np.ceil(margin * fps))
    for start, stop in spans(level(wave, fps, count) < silent_db):
        if stop - start >= shortest * fps:
            # no voice lies beyond the ends of the clip
            silent[start + edge * (start > 0) : stop - edge * (stop < count)] = True
    return silent


def in_silence(
    mouth_openness: np.ndarray,
    wave: np.ndarray,
    fps: float,
    threshold: float = 0.1,
    silent_db: float = SILENT_DB,
    shortest: float = 0.3,
    margin: float = 0.1,
) -> tuple[Score, Score]:
    """Open and moving mouths during silence, pauses in speech included.

    With a wave of zeros this is LipLeak of KeySync (Bigata et al. 2025, arXiv 2505.00497).

    Parameters
    ----------
    mouth_openness : ndarray, float, (N,)
        NaN where unknown.
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1].
    fps : float
        Frames a second.
    threshold : float
        A mouth is open from this openness on, and moves if it changes by this from one frame to the next.
    silent_db : float
        Softer than this is silence, in decibels against full scale.
    shortest, margin : float
        Seconds: shorter silences are the closures of consonants; mouths close after, and open before, the voice.

    Returns
    -------
    (Score, Score)
        ``silence_open`` and ``silence_moving``: shares of the silent frames.
    """
    mouth_openness = np.asarray(mouth_openness, float)
    silent = silent_frames(wave, fps, len(mouth_openness), silent_db, shortest, margin)
    known = silent & ~np.isnan(mouth_openness)
    change = np.abs(np.diff(mouth_openness, prepend=np.nan))
    both = known & ~np.isnan(change) & np.concatenate([[False], silent[:-1]])[: len(silent)]
    reason = "the mouth is known in no silent frame" if silent.any() else f"there is no silence of {shortest} s"
    values = {
        "open": (mouth_openness[known] >= threshold).mean() if known.any() else np.nan,
        "moving": (change[both] >= threshold).mean() if both.any() else np.nan,
    }
    rests = {"open": known, "moving": both}
    return tuple(
        scored(f"silence_{name}", value, rests[name].mean() if len(mouth_openness) else 0.0, reason)
        for name, value in values.items()
    )
