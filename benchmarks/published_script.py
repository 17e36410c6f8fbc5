"""A plain transcription of the published algorithm, to measure against.

Every frame, at full size, in eager float32; the whole clip in memory, one candidate decoded at a time, nothing reused.
Written from the algorithm's description (Prajwal et al. 2020, and `tests/golden/README.md`), stage by stage, so that
`benchmarks/speed.py` can time each one. `tests/benchmarks/test_published_script.py` compares its boxes and its frames
with those that the published code gave.

    detector, generator = S3FD(), Wav2Lip()            # with weights, in evaluation mode
    dub("clip.mp4", "voice.wav", "out.mp4", detector, generator)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import librosa
import numpy as np
import scipy.signal
import torch

from lipsync_lab.media import audio

#: As published: faces per batch of the detector and of the generator, side of a crop, columns of a mel window.
DETECTION_BATCH, GENERATOR_BATCH, SIDE, WINDOW = 16, 128, 96, 16
#: Subtracted from the channels as they come, though they are RGB and these are means of BGR.
MEANS = np.array([104.0, 117.0, 123.0])
FLOOR, OVERLAP, THRESHOLD = 0.05, 0.3, 0.5


def read_clip(path: str | Path, resize_factor: int = 1) -> tuple[list[np.ndarray], float]:
    """All frames, BGR, and the frame rate."""
    capture = cv2.VideoCapture(str(path))
    fps, frames = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        there, frame = capture.read()
        if not there:
            break
        if resize_factor > 1:
            frame = cv2.resize(frame, (frame.shape[1] // resize_factor, frame.shape[0] // resize_factor))
        frames.append(frame)
    capture.release()
    return frames, fps


def mel_spectrogram(wave: np.ndarray) -> np.ndarray:
    """Mel spectrogram of a waveform at 16 kHz, (80, columns)."""
    emphasised = scipy.signal.lfilter([1, -0.97], [1], wave)
    spectrum = np.abs(librosa.stft(y=emphasised, n_fft=800, hop_length=200, win_length=800))
    mel = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600) @ spectrum
    level = 20 * np.log10(np.maximum(1e-5, mel)) - 20
    return np.clip(8 * (level + 100) / 100 - 4, -4, 4)


def mel_chunks(mel: np.ndarray, fps: float) -> list[np.ndarray]:
    """One window for each output frame; the last one is moved back to end with the sound."""
    chunks, number, step = [], 0, 80 / fps
    while True:
        start = int(number * step)
        if start + WINDOW > mel.shape[1]:
            chunks.append(mel[:, mel.shape[1] - WINDOW :])
            return chunks
        chunks.append(mel[:, start : start + WINDOW])
        number += 1


def candidates(network: torch.nn.Module, frames: np.ndarray) -> list[np.ndarray]:
    """Faces of a batch of frames, uint8 RGB (N, H, W, 3): rows x1, y1, x2, y2, score above `THRESHOLD` for each."""
    pixels = torch.from_numpy((frames - MEANS).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        heads = network(pixels)
    rows = []
    for level in range(6):
        scores = torch.softmax(heads[2 * level], dim=1)[:, 1].numpy()
        offsets, stride = heads[2 * level + 1].numpy(), 2 ** (level + 2)
        # each position that passes in any frame is decoded in all of them
        for _, y, x in zip(*np.where(scores > FLOOR), strict=True):
            side, loc = 4.0 * stride, offsets[:, :, y, x]
            center = np.array([stride / 2 + x * stride, stride / 2 + y * stride]) + loc[:, :2] * 0.1 * side
            size = side * np.exp(loc[:, 2:] * 0.2)
            rows.append(np.hstack([center - size / 2, center + size / 2, scores[:, y, x, None]]))
    if not rows:
        return [np.zeros((0, 5))] * len(frames)
    stacked = np.stack(rows)
    return [suppressed(stacked[:, number]) for number in range(len(frames))]


def suppressed(rows: np.ndarray) -> np.ndarray:
    """What is left of one frame's rows after non-maximum suppression, above `THRESHOLD`, best first."""
    areas = (rows[:, 2] - rows[:, 0] + 1) * (rows[:, 3] - rows[:, 1] + 1)
    order, kept = rows[:, 4].argsort()[::-1], []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(rows[best, :2], rows[rest, :2]), np.minimum(rows[best, 2:4], rows[rest, 2:4])
        inner = np.maximum(0.0, high - low + 1).prod(axis=1)
        order = rest[inner / (areas[best] + areas[rest] - inner) <= OVERLAP]
    return np.array([rows[place] for place in kept if rows[place, 4] > THRESHOLD]).reshape(-1, 5)


def detect(network: torch.nn.Module, frames: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """The best face of every frame (BGR), whole pixels x1, y1, x2, y2; None where there is none."""
    faces: list[np.ndarray | None] = []
    for start in range(0, len(frames), DETECTION_BATCH):
        batch = np.array(frames[start : start + DETECTION_BATCH])[..., ::-1]
        faces += [rows[0, :4].clip(0).astype(int) if len(rows) else None for rows in candidates(network, batch)]
    return faces


def boxes(
    faces: Sequence[np.ndarray | None],
    frames: Sequence[np.ndarray],
    pads: tuple[int, int, int, int] = (0, 10, 0, 0),
    smooth: bool = True,
) -> list[tuple[int, int, int, int]]:
    """Padded and smoothed boxes y1, y2, x1, x2; one frame without a face ends the run, as published."""
    top, bottom, left, right = pads
    rows = []
    for face, frame in zip(faces, frames, strict=True):
        if face is None:
            raise ValueError("Face not detected! Ensure the video contains a face in all the frames.")
        x1, y1, x2, y2 = (int(value) for value in face)
        height, width = frame.shape[:2]
        rows.append([max(0, x1 - left), max(0, y1 - top), min(width, x2 + right), min(height, y2 + bottom)])
    table = np.array(rows)
    for number in range(len(table) if smooth else 0):
        # forwards and in place: the next mean contains this one
        window = table[len(table) - 5 :] if number + 5 > len(table) else table[number : number + 5]
        table[number] = window.mean(axis=0)
    return [(y1, y2, x1, x2) for x1, y1, x2, y2 in table.tolist()]


def generate(network: torch.nn.Module, crops: list[np.ndarray], chunks: list[np.ndarray]) -> np.ndarray:
    """Generated faces in grey levels, float (N, 96, 96, 3), of BGR crops and mel windows."""
    faces, mels = np.asarray(crops), np.asarray(chunks)[..., None]
    masked = faces.copy()
    masked[:, SIDE // 2 :] = 0
    pair = np.concatenate((masked, faces), axis=3) / 255.0
    with torch.no_grad():
        out = network(
            torch.FloatTensor(mels.transpose(0, 3, 1, 2).astype(np.float32)),
            torch.FloatTensor(pair.transpose(0, 3, 1, 2).astype(np.float32)),
        )
    return out.numpy().transpose(0, 2, 3, 1) * 255.0


def dubbed(
    network: torch.nn.Module,
    frames: Sequence[np.ndarray],
    places: Sequence[tuple[int, int, int, int]],
    chunks: Sequence[np.ndarray],
) -> Iterator[np.ndarray]:
    """Frames with generated faces, BGR, one for each mel window."""
    crops = [cv2.resize(f[y1:y2, x1:x2], (SIDE, SIDE)) for f, (y1, y2, x1, x2) in zip(frames, places, strict=True)]
    for start in range(0, len(chunks), GENERATOR_BATCH):
        numbers = range(start, min(start + GENERATOR_BATCH, len(chunks)))
        copies = [frames[number % len(frames)].copy() for number in numbers]
        batch = generate(network, [crops[n % len(frames)].copy() for n in numbers], [chunks[n] for n in numbers])
        for number, face, frame in zip(numbers, batch, copies, strict=True):
            y1, y2, x1, x2 = places[number % len(frames)]
            frame[y1:y2, x1:x2] = cv2.resize(face.astype(np.uint8), (x2 - x1, y2 - y1))
            yield frame


def write(frames: Iterator[np.ndarray], fps: float, voice: str | Path, out: str | Path) -> None:
    """Write the frames as MPEG-4 in AVI; then encode that file again, as H.264 with the voice."""
    with tempfile.TemporaryDirectory() as name:
        between, writer = Path(name) / "result.avi", None
        for frame in frames:
            if writer is None:
                size = frame.shape[1], frame.shape[0]
                writer = cv2.VideoWriter(str(between), cv2.VideoWriter_fourcc(*"DIVX"), fps, size)
            writer.write(frame)
        writer.release()
        mux(between, voice, out)


def mux(pictures: str | Path, voice: str | Path, out: str | Path) -> None:
    """What ``ffmpeg -i voice -i pictures out.mp4`` does: libx264 and AAC with their own defaults."""
    with av.open(str(pictures)) as video, av.open(str(voice)) as sound, av.open(str(out), "w") as target:
        source, speech = video.streams.video[0], sound.streams.audio[0]
        source.thread_type = "AUTO"
        picture = target.add_stream("libx264", rate=source.average_rate)
        picture.width, picture.height, picture.pix_fmt = source.width, source.height, "yuv420p"
        wave = target.add_stream("aac", rate=speech.rate)
        for number, frame in enumerate(video.decode(source)):
            frame.pts, frame.time_base = number, 1 / source.average_rate
            target.mux(picture.encode(frame.reformat(format="yuv420p")))
        for frame in sound.decode(speech):
            target.mux(wave.encode(frame))
        target.mux(picture.encode(None))
        target.mux(wave.encode(None))


def dub(
    face: str | Path,
    voice: str | Path,
    out: str | Path,
    detector: torch.nn.Module,
    generator: torch.nn.Module,
) -> None:
    """The whole script with its defaults; every stage is complete before the next one begins."""
    frames, fps = read_clip(face)
    chunks = mel_chunks(mel_spectrogram(audio.load(voice)), fps)
    frames = frames[: len(chunks)]
    places = boxes(detect(detector, frames), frames)
    write(dubbed(generator, frames, places, chunks), fps, voice, out)
