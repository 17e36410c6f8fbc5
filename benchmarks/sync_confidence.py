"""How often `syncnet-lab` is right on clips that it was not trained on: its AV offset, and its accuracy on people.

Each clip is compared with its own sound, delayed by the frames of `DELAYS`, and with as many sounds of other speakers
of its domain. An offset is right if it is within one frame of the delay; with the sound of another speaker none is.
The lowest confidence above which 0.9 of the offsets are right is chosen on one half of the speakers and reported on
the other half, for each domain.

    python benchmarks/sync_confidence.py --out confidence.csv     # 3 minutes of CPU time; an existing table is read

The accuracy is that of `train benchmark`: as many windows of 0.2 s with their own sound as with another sound of the
clip, up to `WINDOWS` of a clip, classified at a similarity of 0.5.

Animation and synthetic photo are rendered from held-out seeds: characters, voices and sentences that no training had.
Filmed are eight clips of seven GRID speakers other than the one of the training, and the pieces of three seconds of an
address, which count as clips of one speaker. Its lips close where its sound does (frames 141, 390 and 452 by eye).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lipsync_lab import detection, generation, samples
from lipsync_lab.detection import tracking
from lipsync_lab.detection.detect import detect
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio
from lipsync_lab.media.clip import open_clip
from lipsync_lab.metrics import sync
from lipsync_lab.models import registry
from lipsync_lab.settings import Settings
from lipsync_lab.training import corpus, expert, render
from lipsync_lab.training.clips import Clip
from lipsync_lab.training.expert import auc
from lipsync_lab.training.mouth_marks import WANTED, threshold_for
from lipsync_lab.training.recipes import RECIPES

DELAYS = (-6, -3, 0, 3, 6)
#: Filmed clips and their speakers.
FILMED = {
    "grid_s2_pwij3p": "s2",
    "grid_s2_swwp2s": "s2",
    "grid_s3_sbia1a": "s3",
    "grid_lip_lbax4n": "a",
    "grid_lip_lbbc2a": "b",
    "grid_lip_sbwe5n": "c",
    "grid_unk_032621": "d",
    "grid_unk_120232": "e",
    "obama_address": "f",
}
#: Frames of a piece of the address; held-out seeds that are rendered; sounds of other speakers for each clip.
PIECE, SEEDS, FOREIGN = 75, range(5000, 5060), 5
#: Windows of a filmed clip for the accuracy.
WINDOWS = 40


@dataclass(frozen=True)
class Talk:
    """The lips of a clip, embedded, and its sound, which begins with the first frame; filmed ones with their faces."""

    clip: str
    speaker: str
    domain: str
    lips: sync.Lips
    wave: np.ndarray
    faces: list[np.ndarray | None]


def rendered(network) -> Iterator[Talk]:
    for seed in SEEDS:
        held_out = corpus.seeds("validation", seed, 1)[0]
        clip, wave = render.clip(held_out), corpus.line(held_out).wave
        lips = sync.embed_frames(sync.SYNC_EXPERT, network, clip.faces)
        yield Talk(str(seed), str(seed), clip.domain, lips, wave[clip.first * audio.SAMPLE_RATE // sync.FPS :], [])


def filmed(network) -> Iterator[Talk]:
    settings, detector = Settings(), detection.load("auto")
    for name, speaker in FILMED.items():
        clip, wave = open_clip(samples.path(name)), audio.load(samples.path(name))
        detections = detect(clip, detector)
        chosen, shots = tracking.chosen_faces(detections, settings)
        track = tracking.track(detections.candidates, chosen, shots, detections.size, dropouts="interpolate")
        faces = [
            None if np.isnan(box[0]) else generation.crop(frame, Box(*box.tolist()))
            for frame, box in zip(clip.read(0, None), track.boxes, strict=True)
        ]
        length = PIECE if len(faces) > 2 * PIECE else len(faces)
        rate = audio.SAMPLE_RATE / float(clip.fps)
        for first in range(0, len(faces) - length + 1, length):
            part = faces[first : first + length]
            lips = sync.embed_frames(sync.SYNC_EXPERT, network, part, float(clip.fps))
            sound = wave[round(first * rate) : round((first + length) * rate)]
            yield Talk(f"{name}-{first}", speaker, "live_action", lips, sound, part)


def delayed(wave: np.ndarray, frames: int) -> np.ndarray:
    """The sound so many frames later, as long as before."""
    by = frames * audio.SAMPLE_RATE // sync.FPS
    return np.pad(wave, (by, 0))[: len(wave)] if by >= 0 else np.pad(wave[-by:], (0, -by))


def measured(talks: list[Talk], network) -> pd.DataFrame:
    """A row per clip and sound: ``own``, ``delay``, ``offset``, ``confidence``, and ``right`` within a frame."""
    rows = []
    for number, talk in enumerate(talks):
        rivals = [other for other in talks if other.domain == talk.domain and other.speaker != talk.speaker]
        rng = np.random.default_rng([3, number])
        sounds = [(True, delay, delayed(talk.wave, delay)) for delay in DELAYS]
        for index in rng.choice(len(rivals), min(FOREIGN, len(rivals)), replace=False):
            sounds.append((False, 0, rivals[index].wave))
        for own, delay, wave in sounds:
            result = sync.measure_sync(talk.lips, network, wave)
            # a delay of the sound takes as many frames from the offset; an offset at the edge is undefined
            right = own and abs(result.offset + delay) <= 1
            rows.append((talk.clip, talk.speaker, talk.domain, own, delay, result.offset, result.confidence, right))
    return pd.DataFrame(rows, columns=["clip", "speaker", "domain", "own", "delay", "offset", "confidence", "right"])


def accuracies(talks: list[Talk], network) -> pd.DataFrame:
    """A row per filmed clip: ``clip``, ``speaker``, ``windows`` of either class, ``accuracy``, ``auc``."""
    rows = []
    for talk in talks:
        if talk.domain != "live_action" or any(face is None for face in talk.faces):
            continue
        unknown = np.full(len(talk.faces), np.nan, np.float32)
        clip = Clip(
            *(np.stack(talk.faces), audio.melspectrogram(talk.wave), 0, talk.domain, talk.speaker, talk.speaker),
            *(unknown, unknown, np.full((len(talk.faces), 4), np.nan, np.float32)),
        )
        numbers = expert.accuracy(network, [clip], RECIPES["small-cpu"].sync_expert, of_clip=WINDOWS)
        rows.append((talk.clip, talk.speaker, numbers["windows"], numbers["accuracy"], numbers["auc"]))
    return pd.DataFrame(rows, columns=["clip", "speaker", "windows", "accuracy", "auc"])


def summary(table: pd.DataFrame) -> Iterator[str]:
    for domain, rows in table[table["confidence"].notna()].groupby("domain"):
        own, foreign = rows[rows["own"]], rows[~rows["own"]]
        by_clip = own.groupby("clip")["right"].mean()
        apart = auc(own["confidence"].to_numpy(), foreign["confidence"].to_numpy())
        yield (
            f"{domain}: {own['clip'].nunique()} clips of {own['speaker'].nunique()} speakers; offset right in "
            f"{(by_clip == 1).sum()} clips at every delay, in {by_clip.mean():.3f} of the delays; median confidence "
            f"{own['confidence'].median():.3f} (n = {len(own)}), with other sounds "
            f"{foreign['confidence'].median():.3f} (n = {len(foreign)}), AUC {apart:.3f}"
        )
        stated = rows[rows["offset"].notna()]
        speakers = sorted(rows["speaker"].unique())
        for half in (0, 1):
            mine = stated["speaker"].isin(speakers[half::2])
            least = threshold_for(stated[mine]["confidence"].to_numpy(), stated[mine]["right"].to_numpy(), WANTED)
            rest = stated[~mine]
            kept = rest["confidence"] >= least
            shares = (100 * kept[rest["own"] == own].mean() for own in (True, False))
            yield (
                f"  least confidence {least:.3f} chosen on {len(speakers[half::2])} speakers; on the other "
                f"{rest['speaker'].nunique()} right {rest[kept]['right'].mean():.3f} of {kept.sum()}; stated with the "
                "own sound {:.0f} %, with other sounds {:.0f} %".format(*shares)
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/sync_confidence.csv"), help="table, a row a sound")
    path = parser.parse_args().out
    by_clip = path.with_suffix(".accuracy.csv")
    if not (path.is_file() and by_clip.is_file()):
        network = registry.load(registry.DEFAULTS["sync_expert"], "sync_expert").model
        path.parent.mkdir(parents=True, exist_ok=True)
        people = [*filmed(network)]
        accuracies(people, network).round(4).to_csv(by_clip, index=False)
        measured([*rendered(network), *people], network).round(4).to_csv(path, index=False)
    print(*summary(pd.read_csv(path)), sep="\n")
    table = pd.read_csv(by_clip)
    for name, rows in (("GRID", table[table["speaker"] != "f"]), ("address", table[table["speaker"] == "f"])):
        mean = rows.groupby("speaker")["accuracy"].mean()
        spread = f"{mean.mean():.3f} (mean of {len(mean)} speakers, {mean.min():.2f} to {mean.max():.2f})"
        print(f"{name}: accuracy {spread}; {len(rows)} clips, {rows['windows'].sum()} windows of either class")


if __name__ == "__main__":
    main()
