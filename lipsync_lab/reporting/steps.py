"""One frame of a run, step by step, from the waveform to the encoded file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync_lab import detection, generation, runs
from lipsync_lab.evaluation.answers import answer
from lipsync_lab.generation import compositing
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media import clip as media_clip
from lipsync_lab.reporting.runs import box_to_show, frame_summary, frame_to_show

if TYPE_CHECKING:
    from lipsync_lab.detection import Detection
    from lipsync_lab.pipeline import Pipeline


@dataclass(frozen=True)
class Steps:
    """What every step of the pipeline makes for one frame. Pictures are uint8 RGB (H, W, 3).

    Attributes
    ----------
    frame : int
    wave : ndarray, float32, (n,)
        The voice, mono at 16 kHz.
    mel : ndarray, float32, (80, columns)
    first : int
        First column of the frame's window.
    image, pasted, decoded : ndarray
        The frame of the source, with the generated mouth, and as it was decoded from the run's output.
    candidates : list of Detection
    box : Box
        What is cropped, in whole pixels.
    origin : str
        What the box is, in words.
    crop, masked, mouth : ndarray
        The generator's two pictures, and its output.
    mouth_generated : bool
        Whether the run generated a mouth for the frame.
    """

    frame: int
    wave: np.ndarray
    mel: np.ndarray
    first: int
    image: np.ndarray
    candidates: list[Detection]
    box: Box
    origin: str
    crop: np.ndarray
    masked: np.ndarray
    mouth: np.ndarray
    pasted: np.ndarray
    decoded: np.ndarray
    mouth_generated: bool

    @property
    def window(self) -> np.ndarray:
        """Start and end of the frame's window in the voice, in seconds."""
        return np.array([self.first, self.first + audio.MEL_WINDOW]) / audio.MELS_PER_SECOND

    @property
    def generation(self) -> dict[str, np.ndarray]:
        """The pictures of the generation, by name."""
        pasted = self.pasted[self.box.slices]
        return {"crop": self.crop, "masked": self.masked, "mouth": self.mouth, "pasted": pasted}


def follow(pipeline: Pipeline, run: runs.Run, frame: int | None = None) -> Steps:
    """Take one frame of a run through the steps of its pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        The run's.
    run : runs.Run
    frame : int, optional
        By default `frame_to_show`.
    """
    settings, ledger = pipeline.settings, run.ledger()
    stream = media_clip.open_clip(Path(run.info["clip"]["file"]), settings)
    wave = audio.load(Path(run.info["voice"]["file"]))
    frame = frame_to_show(ledger) if frame is None else frame
    image = next(stream.read(frame, frame + 1))
    first = math.floor((frame - settings.audio_offset) * audio.MELS_PER_SECOND / float(stream.fps))
    mel = audio.melspectrogram(wave)
    box, origin = box_to_show(ledger, frame, image)
    crop = generation.crop(image, box)
    mouth = pipeline.generator.generate(crop[None], audio.mel_windows(mel, [first]))[0]
    height, width = image.shape[:2]
    return Steps(
        frame,
        wave,
        mel,
        first,
        image,
        detection.at_detection_size(pipeline.detector, image[None], frame, settings.detection_size)[0],
        box,
        origin,
        crop,
        generation.masked(crop),
        mouth,
        compositing.paste(image, mouth, box, settings.feather),
        next(video.frames(run.output, start=frame, stop=frame + 1)).image[:height, :width],
        bool(ledger["mouth_generated"][frame]),
    )


def window_in_words(pipeline: Pipeline, steps: Steps) -> str:
    """Where the marked window of the voice lies beside the frame that was followed."""
    early = pipeline.settings.audio_offset
    frames = f"{abs(early)} frame{'s' * (abs(early) != 1)}"
    start = "at the frame" if not early else f"{frames} {'before' if early > 0 else 'after'} the frame"
    start_s, stop_s = steps.window
    return (
        f"The marked window ({start_s:.2f} to {stop_s:.2f} s) is all of the voice that the generator receives for "
        f"frame {steps.frame}. It starts **{start}** (`audio_offset` {early}) and lasts {stop_s - start_s:.2f} s, so "
        "that the coming sounds affect the mouth as well. The generator remembers nothing of earlier frames."
    )


def summary(run: runs.Run, steps: Steps) -> str:
    """What the pipeline changes: in how many frames, and in which pixels of the frame that was followed."""
    counts, box = frame_summary(run), steps.box
    outside = np.ones(steps.image.shape[:2], bool)
    outside[box.slices] = False
    changed = np.any(steps.image != steps.pasted, axis=2)
    moved = np.abs(steps.pasted.astype(int) - steps.decoded)
    encoder = (
        f"The encoder then moves a value by {moved[~outside].mean():.2f} of 255 levels on average inside of the "
        f"square, and by {moved[outside].mean():.2f} outside."
        if steps.mouth_generated
        else "The run generated no mouth for this frame; the paste is shown here alone."
    )
    return answer(
        [
            f"A face is detected, or copied from the same picture before, in **{counts['detected']} of "
            f"{counts['frames']}** frames, and a mouth is generated in "
            f"{counts['mouths_generated']}.",
            f"In frame {steps.frame}, {steps.mouth.shape[1]} × {steps.mouth.shape[0]} generated pixels are pasted as "
            f"{box.width:g} × {box.height:g}; this changes {changed[~outside].mean():.0%} of the pixels of that "
            f"square and {changed[outside].sum()} outside of it.",
            encoder,
        ]
    )
