"""Sync: whether lips and sound belong together, and how far they are apart in time.

Two networks measure it in the same way: `LSE`, with which the published scores LSE-D and LSE-C are computed, and
`SYNC_EXPERT`, against which Wav2Lip was trained. Both take 0.2 s of lips and of sound, 25 times a second. The distance
between lips and sound is averaged over the clip for every offset between them; the offset with the least distance is
the AV offset.

**The sign** is that of syncnet_python: at a *positive* offset the sound comes too early, and has to be delayed by that
many frames of 40 ms to fit; at a negative one it comes too late. A sound that is delayed by k frames takes k from the
offset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation import FACE_SIZE
from lipsync_lab.media.audio import MEL_WINDOW, MELS_PER_SECOND, SAMPLE_RATE, mel_windows, melspectrogram
from lipsync_lab.metrics.controls import SILENT_DB, Score, level, scored
from lipsync_lab.metrics.registry import Metric
from lipsync_lab.metrics.syncnet_inputs import RATE, SIDE, mfcc

if TYPE_CHECKING:
    import pandas
    from torch import Tensor, nn

#: Frames a second that both networks were trained on; a clip with another rate is brought to it.
FPS = 25
#: Frames of their input.
WINDOW = 5
#: Largest offset between lips and sound, in frames, as published.
SHIFT = 15
#: Duration at or above which either network measures sync, in seconds: one window with sound at every offset.
LEAST_SECONDS = (2 * SHIFT + WINDOW + 1) / FPS

_MFCC_WINDOW = RATE * WINDOW // FPS
_AT_ONCE = 20
#: Names of the scores of either network; each is an attribute of `Sync`.
_SCORE_NAMES = {
    "sync_expert": {
        "syncnet_distance": "distance",
        "syncnet_confidence": "confidence",
        "av_offset": "offset",
        "syncnet_distance_at_zero": "at_zero",
    },
    "lse": {"lse_d": "distance", "lse_c": "confidence", "lse_av_offset": "offset", "lse_d_at_zero": "at_zero"},
}


@dataclass(frozen=True)
class SyncProtocol:
    """The inputs of a network, and the distance between its embeddings.

    Attributes
    ----------
    name : str
        First part of the names of its scores.
    side : int
        Height and width of the crops that it is given, in pixels.
    lips : callable
        Windows of crops, uint8 RGB (N, 5, side, side, 3), to what the network takes.
    sounds : callable
        A waveform to the sound of every window that it holds, float32 (M, 1, rows, columns).
    distance : callable
        Between rows of embeddings: two arrays (N, D) to (N,).
    published : bool
        Whether to reproduce two properties of the published evaluation: it leaves out the last window, and sound beyond
        either end is an embedding of zeros instead of being left out of the average.
    """

    name: str
    side: int
    lips: Callable[[Tensor], Tensor] = field(repr=False)
    sounds: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray] = field(repr=False)
    published: bool


def _whole_faces(windows: Tensor) -> Tensor:
    return windows.flip(-1).permute(0, 4, 1, 2, 3).float()


def _lower_halves(windows: Tensor) -> Tensor:
    halves = windows[:, :, FACE_SIZE // 2 :].flip(-1).permute(0, 1, 4, 2, 3).float() / 255
    return halves.reshape(len(windows), 3 * WINDOW, *halves.shape[3:])


def _mfcc_windows(wave: np.ndarray) -> np.ndarray:
    count = max(0, len(wave) * FPS // SAMPLE_RATE - WINDOW)
    starts = RATE // FPS * np.arange(count)
    windows = mfcc(wave)[:, starts[:, None] + np.arange(_MFCC_WINDOW)]
    return windows.transpose(1, 0, 2)[:, None].astype(np.float32)


def _mel_windows(wave: np.ndarray) -> np.ndarray:
    mel = melspectrogram(wave)
    starts = MELS_PER_SECOND * np.arange(len(wave) * FPS // SAMPLE_RATE + 1) // FPS
    return mel_windows(mel, starts[starts + MEL_WINDOW <= mel.shape[1]])[:, None]


def _euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b + 1e-6, axis=1)  # torch's `pairwise_distance` adds this too


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1 - (a * b).sum(axis=1)


#: `models.syncnet.SyncNetV2`: crops of `crops.crops`, and scores as syncnet_python's (Chung & Zisserman 2016, "Out of
#: time"; Prajwal et al. 2020, arXiv 2008.10010, section 4.2). LSE-D is its distance, LSE-C its confidence.
LSE = SyncProtocol("lse", SIDE, _whole_faces, _mfcc_windows, _euclidean, published=True)
#: `models.syncnet.SyncNetColor`: crops as the generator sees them (`generation.crop`), the distance is one less the
#: cosine of Prajwal et al. 2020, section 3.1, and only lips and sounds that are both there are compared.
SYNC_EXPERT = SyncProtocol("sync_expert", FACE_SIZE, _lower_halves, _mel_windows, _cosine, published=False)


def score_names(protocol: str) -> tuple[str, ...]:
    """Names of the scores of a network (``sync_expert`` or ``lse``), in the order distance, confidence, ..."""
    return tuple(_SCORE_NAMES[protocol])


@dataclass(frozen=True)
class Lips:
    """Embeddings of the faces of a clip, to be compared with one sound or with several.

    Attributes
    ----------
    protocol : SyncProtocol
    embeddings : ndarray, float32, (windows, D)
        One row per window of five frames at 25 a second; NaN where one of them has no face, or a cut lies between them.
    sources : ndarray, int64, (ticks,)
        Number of the clip's frame at each 25th of a second.
    frames : int
        Frames of the clip.
    fps : float
        Its frames a second.
    """

    protocol: SyncProtocol
    embeddings: np.ndarray = field(repr=False)
    sources: np.ndarray = field(repr=False)
    frames: int
    fps: float


def embed_frames(
    protocol: SyncProtocol,
    network: nn.Module,
    faces: Iterable[np.ndarray | None],
    fps: float = FPS,
    shots: Sequence[int] | None = None,
) -> Lips:
    """Embed the faces of a clip; five of them are in memory at a time, and a batch of windows.

    A clip of another rate is resampled to 25 frames a second: every 25th of a second shows the frame in its middle, so
    that frames are repeated or left out, as with FFmpeg's `-r 25` in the published pipeline.

    Parameters
    ----------
    protocol : SyncProtocol
        `LSE` or `SYNC_EXPERT`.
    network : nn.Module
        `SyncNetV2` or `SyncNetColor` in evaluation mode, of any width.
    faces : iterable of ndarray, uint8, (side, side, 3), or None
        RGB, of the size that the protocol names; None where there is no face.
    fps : float
        Frames a second.
    shots : sequence of int, optional
        Number of each frame's shot.

    Raises
    ------
    ParameterError
        A face of another size, or a frame rate that is not positive.
    """
    embedder = LipEmbedder(protocol, network, fps)
    for number, face in enumerate(faces):
        embedder.add(face, 0 if shots is None else shots[number])
    return embedder.finish()


class LipEmbedder:
    """Embeds the lips of a clip whose faces arrive one by one; see `embed_frames`, which has the parameters."""

    def __init__(self, protocol: SyncProtocol, network: nn.Module, fps: float = FPS):
        if not fps > 0:
            raise ParameterError(f"lips need a positive frame rate, not {fps}")
        self._protocol, self._network, self._fps = protocol, network, fps
        self._window: deque = deque(maxlen=WINDOW)
        self._frames, self._sources, self._complete = 0, [], []
        self._batch, self._embedded = [], []

    def add(self, face: np.ndarray | None, shot: int = 0) -> None:
        """Add the next frame's face, uint8 RGB (side, side, 3) or None, with the number of its shot."""
        number, size = self._frames, (self._protocol.side, self._protocol.side, 3)
        if face is not None and (face.shape != size or face.dtype != np.uint8):
            raise ParameterError(
                f"frame {number}: {self._protocol.name} takes uint8 RGB faces of {size}, not {face.dtype} {face.shape}"
            )
        self._frames += 1
        while ceil((len(self._sources) + 0.5) * self._fps / FPS) - 1 == number:
            self._sources.append(number)
            self._window.append((face, shot))
            if len(self._window) < WINDOW:
                continue
            faces, shots = zip(*self._window, strict=True)
            self._complete.append(all(face is not None for face in faces) and len(set(shots)) == 1)
            if self._complete[-1]:
                self._batch.append(np.stack(faces))
            if len(self._batch) == _AT_ONCE:
                self._embed()

    def _embed(self) -> None:
        if self._batch:
            self._embedded.append(_lips_of(self._protocol, self._network, np.stack(self._batch)))
            self._batch.clear()

    def finish(self) -> Lips:
        """The embeddings of every window, after the last frame."""
        self._embed()
        known = np.concatenate(self._embedded) if self._embedded else np.zeros((0, 1), np.float32)
        embeddings = np.full((len(self._complete), known.shape[1]), np.nan, np.float32)
        embeddings[np.array(self._complete, bool)] = known
        if self._protocol.published:
            embeddings = embeddings[:-1]
        return Lips(self._protocol, embeddings, np.array(self._sources, int), self._frames, self._fps)


def embed_audio(protocol: SyncProtocol, network: nn.Module, wave: np.ndarray) -> np.ndarray:
    """Embed a sound.

    Parameters
    ----------
    protocol, network
        As in `embed_frames`.
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1]; it begins with the first frame.

    Returns
    -------
    ndarray, float32, (windows, D)
        One row each 25th of a second.
    """
    import torch

    windows = protocol.sounds(np.asarray(wave, np.float32)) if len(wave) else np.zeros((0, 1, 1, 1), np.float32)
    face = protocol.lips(torch.zeros((1, WINDOW, protocol.side, protocol.side, 3), dtype=torch.uint8))
    embeddings = [np.zeros((0, 1), np.float32)]
    for first in range(0, len(windows), _AT_ONCE):
        sound = torch.from_numpy(np.ascontiguousarray(windows[first : first + _AT_ONCE]))
        embeddings.append(_call(network, sound, face)[0])
    return np.concatenate(embeddings[1:] or embeddings)


def _lips_of(protocol: SyncProtocol, network: nn.Module, windows: np.ndarray) -> np.ndarray:
    import torch

    sound = torch.from_numpy(protocol.sounds(np.zeros(SAMPLE_RATE // 2, np.float32))[:1])
    return _call(network, sound, protocol.lips(torch.from_numpy(windows)))[1]


def _call(network: nn.Module, sound: Tensor, lips: Tensor) -> list[np.ndarray]:
    """Both embeddings; the networks' halves do not meet, so that there may be another number of either."""
    import torch

    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        return [x.float().cpu().numpy() for x in network(sound.to(device), lips.to(device))]


def offset_distances(protocol: SyncProtocol, lips: np.ndarray, sounds: np.ndarray, shift: int = SHIFT) -> np.ndarray:
    """Distance of every window of lips to the sounds around it.

    Parameters
    ----------
    protocol : SyncProtocol
    lips, sounds : ndarray, float32, (windows, D)
        Embeddings; what one has more than the other is left out.
    shift : int
        Frames.

    Returns
    -------
    ndarray, float32, (windows, 2 * shift + 1)
        Columns by offset, from -shift to shift. NaN where there are no lips and, unless the protocol is `published`,
        where there is no sound.
    """
    count = min(len(lips), len(sounds))
    table = np.full((count, 2 * shift + 1), np.nan, np.float32)
    for column, offset in enumerate(range(-shift, shift + 1)):
        # the sound comes too early by `offset`: what belongs to window i is heard at i - offset
        first, stop = max(0, offset), min(count, count + offset)
        other = np.zeros_like(sounds, shape=(count, sounds.shape[1]))
        other[first:stop] = sounds[first - offset : stop - offset]
        rows = slice(None) if protocol.published else slice(first, max(first, stop))
        table[rows, column] = protocol.distance(lips[:count][rows], other[rows])
    return table


@dataclass(frozen=True)
class Sync:
    """Sync of a clip and a sound, by one network.

    Attributes
    ----------
    network : str
        Name of the protocol.
    curve : DataFrame
        One row an offset: ``offset`` in frames of 40 ms (positive: the sound comes too early), mean ``distance``,
        ``windows`` that it is the mean of.
    frames : DataFrame
        One row per frame of the clip: ``frame``, and ``distance``, the mean over the windows that show it, at offset 0;
        NaN where none does.
    offset, confidence, distance : float
        AV offset in frames of 40 ms; median less least of the curve's distances; the least of them. NaN where
        undefined, and of the offset also where the least distance lies at the edge of the range.
    at_zero : float
        Distance at offset 0: without the credit for an offset that the published scores give.
    covered : float
        Share of the clip's frames that lie in a window that was compared.
    reason : str
        Why everything is undefined; where the sound is silent, the offset and the confidence; at the edge of the range,
        the offset alone.
    """

    network: str
    curve: pandas.DataFrame = field(repr=False)
    frames: pandas.DataFrame = field(repr=False)
    offset: float
    confidence: float
    distance: float
    at_zero: float
    covered: float
    reason: str = ""

    @property
    def scores(self) -> tuple[Score, ...]:
        """Distance (LSE-D), confidence (LSE-C), AV offset and distance at offset 0; see `score_names`."""
        names = _SCORE_NAMES[self.network]
        return tuple(
            scored(name, getattr(self, attribute), self.covered, self.reason) for name, attribute in names.items()
        )


def measure_sync(
    lips: Lips, network: nn.Module, wave: np.ndarray, shift: int = SHIFT, sounds: np.ndarray | None = None
) -> Sync:
    """Compare lips with a sound.

    It is undefined, with its reason, unless one window of lips at least has sound at every offset, which takes 36
    frames (1.44 s) with `LSE` and 35 with `SYNC_EXPERT`. (The published evaluation skips every face that is not tracked
    for more than 100 frames.) At the ends of a clip `LSE` compares lips with embeddings of zeros, as published, which
    biases short clips; `SYNC_EXPERT` averages over the sound that exists.

    Parameters
    ----------
    lips : Lips
        From `embed_frames`.
    network : nn.Module
        The same.
    wave : ndarray, float32, (n,)
        Mono at 16 kHz, in [-1, 1]; it begins with the first frame.
    shift : int
        The greatest offset, in frames of 40 ms.
    sounds : ndarray, float32, (windows, D), optional
        `embed_audio` of the same, where it is known already.

    Returns
    -------
    Sync
    """
    protocol = lips.protocol
    if sounds is None:
        sounds = embed_audio(protocol, network, wave)
    count = min(len(lips.embeddings), len(sounds))
    offsets, nan = np.arange(-shift, shift + 1), float("nan")
    has_face = ~np.isnan(lips.embeddings[:count, 0]) if count else np.zeros(0, bool)
    if not has_face[shift : count - shift].any() or count <= 2 * shift:
        reason = (
            f"too short: {count} windows of lips and sound, and offsets up to {shift} frames need {2 * shift + 1}"
            if count <= 2 * shift
            else f"no {WINDOW} frames in a row have a face"
            if not has_face.any()
            else f"no window with a face has sound for {shift} frames before and after it"
        )
        nothing = np.full((0, len(offsets)), np.nan, np.float32)
        tables = _tables(lips, has_face & False, nothing, np.full(len(offsets), np.nan))
        return Sync(protocol.name, *tables, nan, nan, nan, nan, 0.0, reason)
    table = offset_distances(protocol, lips.embeddings, sounds, shift)
    curve = np.nanmean(table, axis=0)
    best = int(curve.argmin())
    of_curve, frames = _tables(lips, has_face, table[has_face], curve)
    offset, confidence, reason = float(offsets[best]), float(np.median(curve) - curve[best]), ""
    if level(wave, FPS, max(1, len(wave) * FPS // SAMPLE_RATE)).max() < SILENT_DB:
        offset, confidence, reason = nan, nan, "the sound is silent throughout"
    elif best in (0, 2 * shift):
        offset, reason = nan, f"the least distance lies at the edge of the range of {shift} frames"
    covered = float(frames["distance"].notna().mean())
    distances = float(curve[best]), float(curve[shift])
    return Sync(protocol.name, of_curve, frames, offset, confidence, *distances, covered, reason)


def _tables(lips: Lips, has_face: np.ndarray, table: np.ndarray, curve: np.ndarray):
    """Curve and frames, of the windows `has_face` and their rows of distances."""
    import pandas

    shift, starts = len(curve) // 2, np.flatnonzero(has_face)
    pairs = (~np.isnan(table)).sum(axis=0)
    of_curve = pandas.DataFrame({"offset": np.arange(-shift, shift + 1), "distance": curve, "windows": pairs})
    first, last = lips.sources[starts], lips.sources[starts + WINDOW - 1]
    total, times = np.zeros(lips.frames), np.zeros(lips.frames)
    for start, stop, value in zip(first, last + 1, table[:, shift], strict=True):
        total[start:stop] += value
        times[start:stop] += 1
    mean = np.divide(total, times, out=np.full(lips.frames, np.nan), where=times > 0)
    return of_curve, pandas.DataFrame({"frame": np.arange(lips.frames), "distance": mean})


METRICS = (
    Metric(
        "syncnet_distance_per_frame",
        "1 - cosine",
        "time",
        "out of sync",
        0.75,
        1.25,
        "the SyncNet distance is {value:.2f}",
        network="sync_expert",
        definition="Distance of the lips and of the sound that goes with them, by the sync expert; not in silence",
    ),
)
