"""Mouth shapes of unseen speakers: the viseme network beside Rhubarb Lip Sync.

    python benchmarks/visemes.py --transcripts ljspeech_metadata.csv
    python benchmarks/visemes.py --transcripts ljspeech_metadata.csv --rhubarb FOLDER [--weights FILE_OR_RUN]
    python benchmarks/visemes.py --transcripts benchmarks/ljspeech_9_to_24.csv --recordings FOLDER
    python benchmarks/visemes.py --transcripts FOLDER/english/transcripts.csv    # of benchmarks/announcements.py
    python benchmarks/visemes.py --transcripts ljspeech_metadata.csv --missed
    python benchmarks/visemes.py --synthetic 60

Material: the GRID clips among the samples whose sentence is in their name, of speakers that the network was not trained
on, and recordings of LJ Speech or announcements (`announcements.py`) that lie beside their
transcripts or in `--recordings`; both are named "LJ" in the table. Their mouths were not marked by
hand: the reference is what the character generator draws for the phonemes of espeak-ng, warped in time onto the
recording (`synthesis.recordings.recorded`); its own errors count against both systems alike.

``--synthetic`` measures on held-out lines of espeak-ng instead, half of them with noise, whose ground truth is that of
a synthetic clip on twos: each drawing shows the shape that lasts longest in it.

``--rhubarb`` names a folder in which ``npm install rhubarb-lip-sync-wasm`` was run; Rhubarb gets the transcript too.
All shapes are compared at 25 frames a second; A and X, both closed, count as one.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import wavfile

from lipsync_lab import samples
from lipsync_lab.generation.cel import timing
from lipsync_lab.generation.cel.shapes import CHART, CLOSED, REST
from lipsync_lab.media import audio
from lipsync_lab.synthesis import visemes
from lipsync_lab.synthesis.recordings import recorded
from lipsync_lab.training import corpus, tasks

FPS = 25
#: GRID's sentences, letter by letter of a clip's name; the fourth word is a letter of the alphabet.
GRAMMAR = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    None,
    {
        "z": "zero",
        "1": "one",
        "2": "two",
        "3": "three",
        "4": "four",
        "5": "five",
        "6": "six",
        "7": "seven",
        "8": "eight",
        "9": "nine",
    },
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
#: A mouth may close this much earlier or later than the sound, in seconds.
TOLERANCE = 0.04
#: First of the held-out synthetic lines.
FIRST = 7000
RHUBARB = """
import fs from "fs"; import {createRequire} from "module"; import {pathToFileURL} from "url";
const [folder, sound, text] = process.argv.slice(2);
const path = createRequire(folder + "/").resolve("rhubarb-lip-sync-wasm");
const {Rhubarb} = await import(pathToFileURL(path));
const result = await Rhubarb.getLipSync(fs.readFileSync(sound).subarray(44), {dialogText: text});
console.log("\\nCUES" + JSON.stringify(result.mouthCues)); process.exit(0);
"""


def grid_sentence(name: str) -> str:
    """The sentence of a GRID clip from its name: "lbax4n" is "lay blue at X four now"."""
    return " ".join(
        letter.upper() if words is None else words[letter] for letter, words in zip(name, GRAMMAR, strict=True)
    )


def material(transcripts: Path, recordings: Path) -> Iterator[tuple[str, str, np.ndarray, str]]:
    """Speaker, name, waveform and text."""
    for name in samples.names("live_action"):
        _, speaker, *code = name.split("_")
        if name.startswith("grid_") and speaker not in ("s1", "unk"):
            yield (
                f"GRID {speaker} {code[0] if speaker == 'lip' else ''}".strip(),
                name,
                audio.load(samples.path(name)),
                grid_sentence(code[0]),
            )
    with transcripts.open(encoding="utf-8", newline="") as lines:
        for name, _, text in csv.reader(lines, delimiter="|", quoting=csv.QUOTE_NONE):
            if (path := recordings / f"{name}.wav").is_file():
                yield "LJ Speech", name, audio.load(path), text


def rhubarb(folder: Path, wave: np.ndarray, text: str) -> list[timing.Cue]:
    script, sound = folder / "cues.mjs", folder / "sound.wav"
    script.write_text(RHUBARB)
    wavfile.write(sound, audio.SAMPLE_RATE, (np.clip(wave, -1, 1) * 32767).astype(np.int16))
    done = subprocess.run(["node", script, folder.resolve(), sound, text], capture_output=True, text=True, check=True)
    cues = json.loads(done.stdout.rpartition("CUES")[2])
    # cues of this port may overlap: each ends where the next one begins
    ends = [min(cue["end"], after["start"]) for cue, after in zip(cues, cues[1:], strict=False)] + [cues[-1]["end"]]
    return [timing.Cue(cue["start"], end, CHART[cue["value"]]) for cue, end in zip(cues, ends, strict=True)]


def at_frames(cues: list[timing.Cue], frames: int) -> list:
    """The shape of each frame."""
    return [shape or REST for shape in timing.shapes_at(cues, frames, FPS)]


def false_closures(drawings: list[timing.Cue], truth: visemes.Timeline) -> tuple[int, int]:
    """Closed drawings that lie further than `TOLERANCE` from every closed mouth of the reference, and all closed ones.

    The reference closes on m, b and p and in pauses.
    """
    closed = [drawing for drawing in drawings if drawing.shape.shape in CLOSED]
    keys = [key for key in truth.keys if key.pose.shape in CLOSED]
    false = [
        not any(each.start < key.end + TOLERANCE and each.end > key.start - TOLERANCE for key in keys)
        for each in closed
    ]
    return sum(false), len(closed)


def closures(cues: list[timing.Cue], truth: visemes.Timeline) -> list[tuple[visemes.Key, bool]]:
    """The m, b and p of the reference, and whether the lips are shown closed within `TOLERANCE` of them."""
    return [
        (k, any(c.shape.shape in CLOSED and c.start < k.end + TOLERANCE and c.end > k.start - TOLERANCE for c in cues))
        for k in truth.keys
        if k.pose.shape == "A"
    ]


def listed(name: str, spoken: timing.SpokenShapes, cues: list[timing.Cue], truth: visemes.Timeline) -> None:
    """Print the missed closures: time, length, the network's highest probability of closed lips, and phonemes."""
    columns = np.arange(spoken.probabilities.shape[1]) / audio.MELS_PER_SECOND
    for key, met in closures(cues, truth):
        if not met:
            near = (columns >= key.start - TOLERANCE) & (columns <= key.end + TOLERANCE)
            sounds = [p.symbol or "_" for p in truth.phonemes if p.start < key.end + 0.1 and p.end > key.start - 0.1]
            sure = spoken.probabilities[timing.SHAPES.index("A"), near].max()
            print(
                f"missed: {name} at {key.start:.2f} s for {key.end - key.start:.2f} s, {sure:.2f}, {' '.join(sounds)}"
            )


def row(cues: list[timing.Cue], truth: visemes.Timeline, frames: int, exposed: list[tuple[int, int]]) -> dict:
    """The numbers of a recording."""
    shapes = at_frames(cues, frames)
    drawings = [timing.Cue(first / FPS, last / FPS, shapes[first]) for first, last in exposed]
    true = [visemes.key_at(truth, (frame + 0.5) / FPS) for frame in range(frames)]
    same = [a.shape == b.shape or (a.shape in CLOSED and b.shape in CLOSED) for a, b in zip(shapes, true, strict=True)]
    met = [met for _, met in closures(cues, truth)]
    inner = [cue.end - cue.start for cue in cues[1:-1]]
    false, shown = false_closures(drawings, truth)
    return {
        "frames": frames,
        "right": sum(same),
        "closures": len(met),
        "closed": sum(met),
        "false_closures": false,
        "closed_drawings": shown,
        "openness": float(np.corrcoef([s.openness for s in shapes], [t.openness for t in true])[0, 1]),
        "closed_share": float(np.mean([shape.shape in CLOSED for shape in shapes])),
        "closed_share_reference": float(np.mean([shape.shape in CLOSED for shape in true])),
        "shortest_ms": round(1000 * min(inner)) if inner else None,
        "mouths_a_second": len(cues) / (frames / FPS),
    }


def synthetic(network, lines: int) -> None:
    """Print how the exposure sheet on twos follows the ground truth of synthetic lines."""
    rows = []
    for seed in range(FIRST, FIRST + lines):
        speech = corpus.line(corpus.FIRST_HELD_OUT + seed)
        wave, truth = corpus.as_recorded(np.random.default_rng(seed), speech.wave), visemes.timeline(speech)
        frames = int(len(wave) / audio.SAMPLE_RATE * FPS)
        exposed = timing.exposures(2 * (np.arange(frames) // 2), FPS)
        shapes = timing.sheet(timing.classify(audio.melspectrogram(wave), network), exposed, FPS)
        true = [visemes.key_at(truth, first / FPS, 2 / FPS) for first, _ in exposed]
        closed = np.array([shape.shape in CLOSED for shape in shapes])
        must = [number for number, shape in enumerate(true) if shape.shape == "A"]
        rows.append(
            {
                "openness": np.corrcoef([s.openness for s in shapes], [t.openness for t in true])[0, 1],
                "right": np.mean(
                    [a.shape == b.shape or {a.shape, b.shape} <= set(CLOSED) for a, b in zip(shapes, true, strict=True)]
                ),
                "closed": sum(closed[max(number - 1, 0) : number + 2].any() for number in must),
                "must_close": len(must),
            }
        )
    table = pd.DataFrame(rows)
    print(table[["openness", "right"]].describe().drop(["std", "max"]).round(3).to_string())
    print(
        f"closed: {table['closed'].sum()} of {table['must_close'].sum()} drawings of m, b and p, to within one drawing"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transcripts", type=Path, metavar="FILE", help="LJ Speech's metadata.csv")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="where they are not beside the transcripts")
    parser.add_argument("--synthetic", type=int, default=0, metavar="LINES", help="measure on synthetic lines alone")
    parser.add_argument("--rhubarb", type=Path, metavar="FOLDER", help="with rhubarb-lip-sync-wasm in node_modules")
    parser.add_argument("--weights", default="visemes-lab", help="name, file, or run's folder (visemes-lab)")
    parser.add_argument("--missed", action="store_true", help="list the closures that the network misses")
    options = parser.parse_args()
    network, _ = tasks.network_of("visemes", options.weights)
    if options.synthetic:
        synthetic(network, options.synthetic)
        return
    rows = []
    for speaker, name, wave, text in material(options.transcripts, options.recordings or options.transcripts.parent):
        truth = visemes.timeline(recorded(wave, text))
        frames = int(len(wave) / audio.SAMPLE_RATE * FPS)
        spoken = timing.classify(audio.melspectrogram(wave), network)
        exposed = timing.exposures(2 * (np.arange(frames) // 2), FPS)
        systems = {"network, on twos": timing.cues(timing.sheet(spoken, exposed, FPS), exposed, FPS)}
        if options.missed:
            listed(name, spoken, systems["network, on twos"], truth)
        if options.rhubarb:
            systems["Rhubarb"] = rhubarb(options.rhubarb, wave, text)
            # of a drawing the shape in its middle
            rhubarb_on_twos = at_frames(systems["Rhubarb"], frames)[1::2] + at_frames(systems["Rhubarb"], frames)[-1:]
            rhubarb_on_twos = rhubarb_on_twos[: len(exposed)]
            systems["Rhubarb, on twos"] = timing.cues(rhubarb_on_twos, exposed, FPS)
        for system, cues in systems.items():
            rows.append(
                {"system": system, "speaker": speaker.split()[0], "name": name} | row(cues, truth, frames, exposed)
            )
    table = pd.DataFrame(rows)
    groups = table.groupby(["speaker", "system"])
    sums = groups[["frames", "right", "closures", "closed", "false_closures", "closed_drawings"]].sum()
    shown = groups[["openness", "closed_share", "closed_share_reference", "mouths_a_second"]].mean()
    shown.insert(0, "false_closures", sums["false_closures"] / sums["closed_drawings"])
    shown.insert(0, "closures_met", sums["closed"] / sums["closures"])
    shown.insert(0, "accuracy", sums["right"] / sums["frames"])
    shown["shortest_ms"] = groups["shortest_ms"].min()
    print(
        shown.join(sums[["frames", "closures", "closed_drawings"]])
        .join(groups.size().rename("recordings"))
        .round(3)
        .T.to_string()
    )


if __name__ == "__main__":
    main()
