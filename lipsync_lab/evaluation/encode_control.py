"""The encode as a control: what the metrics give for the source alone, encoded as the output was.

An output is encoded again, by its maker or by a platform, and every metric of the picture takes that loss for the
model's. The control is the aligned source after an encode that makes the same noise outside of the edited region: its
values are the noise of each metric, at the same place and with the same boxes. A frame fails where the metric is
beyond its threshold by more than that. A patch beside the face would not do instead, since what an encode takes depends
on the place: at crf 28 the skin of a small dark face is off by 5 CIEDE2000, that of a large one by 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from lipsync_lab.evaluation.edited_region import EditedRegion, EncodeNoise, edited_region, encode_noise
from lipsync_lab.media import video
from lipsync_lab.media.clip import Clip
from lipsync_lab.metrics import collect, realism, registry

#: Quality (crf of H.264) of the encode that tells `edited_region` where an encode makes a difference.
USUAL = 23
#: Least and most crf of a control, and frames that it is chosen on.
_LEAST, _MOST, _FRAMES = 10, 44, 48
#: Frames over which the control's worst value counts: two encodes lose the same, though not in the same frame.
_SPAN = 5


def controlled(
    source: Clip,
    pairs: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]],
    ledger: pd.DataFrame,
    truth: pd.DataFrame | None,
    domain: str | None,
    discriminator,
    folder: str | Path,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The edited region, the noise outside of it, and the metrics of the source encoded to that noise.

    Parameters
    ----------
    source : Clip
        Aligned with the output.
    pairs : callable
        Gives the aligned frames of source and output, as often as it is called.
    ledger, truth, domain, discriminator
        See `control_frames`. Near the ledger's boxes the region is looked for.
    folder : path
        For the encoded source, some of the output's size.

    Returns
    -------
    (dict, DataFrame)
        `Evaluation.encode` and `Evaluation.control`.
    """
    path = encoded(source, Path(folder) / "control.mp4")
    faces = ledger[["x1", "y1", "x2", "y2"]].to_numpy(float)
    region = edited_region(pairs(), frames_of(source, path), faces)
    noise = encode_noise(pairs(), region)
    crf = matching_quality(source, region, noise, folder)
    control = control_frames(source, encoded(source, path, crf), ledger, truth, domain, discriminator)
    box = None if np.isnan(region.boxes).all() else np.nanmedian(region.boxes, axis=0).tolist()
    channels = dict(zip(("red", "green", "blue"), noise.channels, strict=True))
    return {
        **{"kind": region.kind, "contrast": region.contrast, "box": box, "crf": crf},
        "noise": {"luma": noise.luma, **channels},
    }, control


def encoded(source: Clip, path: str | Path, crf: int = USUAL, frames: int | None = None) -> Path:
    """Encode a source as H.264.

    Parameters
    ----------
    source : Clip
        Aligned with the output (`alignment.aligned_source`).
    path : path
        ``.mp4``, written whole or not at all.
    crf : int
        0 (best) to 51.
    frames : int, optional
        Only the first ones.

    Returns
    -------
    Path
        The file that was written.
    """
    return video.write_clip(path, source.read(0, frames), source.fps, crf=crf, full_range=source.full_range)


def frames_of(source: Clip, path: str | Path) -> Iterator[np.ndarray]:
    """Frames of `encoded`, uint8 RGB, of the size of the source's: encoders round odd sides up."""
    width, height = source.view.size
    return (frame.image[:height, :width] for frame in video.frames(path))


def matching_quality(source: Clip, region: EditedRegion, noise: EncodeNoise, folder: str | Path) -> int:
    """The crf at which the encode of a source makes the noise that was measured outside of the region.

    Parameters
    ----------
    source : Clip
        Aligned with the output.
    region : EditedRegion
    noise : EncodeNoise
        Of the output.
    folder : path
        For files of some frames, which are deleted.

    Returns
    -------
    int
        From 10 to 44; the usual one where the noise is unknown.
    """
    path, known = Path(folder) / "quality.mp4", noise.frames[:_FRAMES][~np.isnan(noise.frames[:_FRAMES])]
    if not len(known):
        return USUAL
    wanted = float(known.mean())

    def made(crf: int) -> float:
        encoded(source, path, crf, _FRAMES)
        pairs = zip(source.read(0, _FRAMES), frames_of(source, path), strict=False)
        return encode_noise(pairs, region).luma

    low, high = _LEAST, _MOST
    while low < high:
        middle = (low + high) // 2
        if made(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    path.unlink(missing_ok=True)
    return low


def control_frames(
    source: Clip,
    path: str | Path,
    ledger: pd.DataFrame,
    truth: pd.DataFrame | None = None,
    domain: str | None = None,
    discriminator=None,
) -> pd.DataFrame:
    """The metrics of the encoded source, at the boxes of the output.

    Parameters
    ----------
    source : Clip
        Aligned with the output.
    path : path
        Of `encoded`.
    ledger, truth : DataFrame
        Those that the output is measured with.
    domain : str, optional
    discriminator : torch.nn.Module, optional
        For realism.

    Returns
    -------
    DataFrame, index ``frame``
        A column for each metric that is computed from pictures.
    """
    pairs = zip(source.read(0, None), frames_of(source, path), strict=False)
    data = collect.collect(pairs, ledger, truth)
    if discriminator is not None:
        data = data.with_columns(realism.realism_metrics(data.faces, data.ledger, discriminator))
    frames = data.with_metrics(domain).frames
    return frames[[metric.name for metric in _of_pictures() if metric.name in frames]].astype(float)


def beyond_noise(frames: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """A table of metrics from which the noise of the encode is taken away.

    Parameters
    ----------
    frames : DataFrame, index ``frame``
        Metrics of the output, one row a frame.
    control : DataFrame
        Of `control_frames`.

    Returns
    -------
    DataFrame
        The same with every metric of `control` less `noise_levels`, not below 0 (above 0 where smaller is worse).
        Failures are found in it as in any other (`metrics.failures.find`).
    """
    out, levels = frames.copy(), noise_levels(control).reindex(frames.index)
    for metric in _of_pictures():
        if metric.name in levels and metric.name in out:
            beyond = metric.direction * (out[metric.name].astype(float) - levels[metric.name].fillna(0.0))
            out[metric.name] = metric.direction * beyond.clip(lower=0)
    return out


def noise_levels(control: pd.DataFrame) -> pd.DataFrame:
    """Noise of each metric in each frame: the worst value of the control within some frames; NaN where it has none."""
    out = control.copy()
    for metric in _of_pictures():
        if metric.name in control:
            values = metric.direction * control[metric.name].to_numpy(float)
            worst = ndimage.maximum_filter1d(np.nan_to_num(values, nan=-np.inf), _SPAN, mode="nearest")
            out[metric.name] = np.where(np.isfinite(worst), metric.direction * worst, np.nan)
    return out


def _of_pictures() -> list[registry.Metric]:
    """The metrics that an encode can change and that need no sound."""
    return [
        metric for metric in registry.metrics() if metric.stage != "detection" and metric.network in ("", "quality")
    ]
