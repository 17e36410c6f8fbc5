"""Live action beside animation: makes ``data/pairs/grid.csv`` and ``grid.json``, numbers only.

    python benchmarks/matched_pairs.py          # continues where it stopped; clips and runs in build/matched_pairs
    python benchmarks/matched_pairs.py --only grid_s3_sbia1a --out build/pairs

A pair is a filmed clip of the GRID corpus and an animation in which a character speaks the same recording, at the
times that `synthesis.recordings.recorded` measures. Both clips are dubbed with the recording of the next pair, by
`GENERATOR` and `DETECTOR` with `SETTINGS`, and evaluated alike. GRID clips are fetched from their public addresses;
those of speaker 1 have none, and without their files there are eight pairs instead of 16, which the command says.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import lipsync_lab
from lipsync_lab import files, samples
from lipsync_lab.errors import MediaError
from lipsync_lab.evaluation import evaluated, matched
from lipsync_lab.evaluation.cases import Case
from lipsync_lab.media import audio
from lipsync_lab.metrics.controls import level
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.runs import run_once
from lipsync_lab.settings import Settings
from lipsync_lab.synthesis import film, recordings
from lipsync_lab.synthesis.animation.character import STYLES
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.training.corpus import FIRST_HELD_OUT

#: Pinned, so that the numbers stay when a default moves or YuNet's file comes. Every clip has one face, which needs no
#: choice; the whole square is pasted, so that no metric of its edge is satisfied by construction.
DETECTOR, GENERATOR, SETTINGS = "s3fd-lab", "wav2lip-lab", Settings(face_selection="largest", feather=0.0)
FIRST_CHARACTER = FIRST_HELD_OUT + 112
DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero")
#: GRID's words by place and first letter; the letter in the middle is spelled.
WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {},
    dict(zip("123456789z", DIGITS, strict=True)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
#: The files without a sentence in their name: as PocketSphinx 5 recognises them with GRID's grammar.
RECOGNISED = {"grid_unk_032621": "lrwq7p", "grid_unk_120232": "brby3p"}
#: The filmed clips and their speakers: GRID's number, or a letter where the number is unknown.
SPEAKERS = {
    "grid_s2_pwij3p": "s2",
    "grid_s1_bbal8p": "s1",
    "grid_s2_swwp2s": "s2",
    "grid_s1_lrwf1s": "s1",
    "grid_s3_sbia1a": "s3",
    "grid_s1_pgij8n": "s1",
    "grid_lip_lbax4n": "a",
    "grid_s1_briz6n": "s1",
    "grid_lip_lbbc2a": "b",
    "grid_s1_swih6n": "s1",
    "grid_lip_sbwe5n": "c",
    "grid_s1_pwwy4p": "s1",
    "grid_unk_032621": "d",
    "grid_s1_lbak1s": "s1",
    "grid_unk_120232": "e",
    "grid_s1_sgwd1s": "s1",
}


@dataclass(frozen=True)
class Pair:
    """A filmed clip by its sample's name, its speaker and sentence, and the character of the animation."""

    live: str
    speaker: str
    sentence: str
    scene: Scene


def pairs() -> list[Pair]:
    out = []
    for number, (live, speaker) in enumerate(SPEAKERS.items()):
        code = RECOGNISED.get(live) or live.rpartition("_")[2]
        sentence = " ".join(words.get(letter, letter.upper()) for words, letter in zip(WORDS, code, strict=True))
        style = STYLES[number % len(STYLES)]
        scene = Scene(seed=FIRST_CHARACTER + number, style=style, size=(360, 288), grain=0.0)
        out.append(Pair(live, speaker, sentence, scene))
    return out


def animate(pair: Pair, folder: Path) -> Path:
    """The animation of a pair, made unless it is there."""
    clip, recording = folder / "clips" / f"{pair.live}.mp4", samples.path(pair.live)
    if not clip.with_suffix(".truth.csv").is_file():  # it is written last
        clip.parent.mkdir(parents=True, exist_ok=True)
        speech = recordings.recorded(audio.load(recording), pair.sentence, voice="en-gb")
        film.write_scene(clip, speech, pair.scene)
    return clip


def loudness_correlation(clip: Path) -> float:
    """Correlation of the animation's openness with the loudness of the recording in decibels, frame by frame."""
    openness = pd.read_csv(clip.with_suffix(".truth.csv"))["openness"].to_numpy()
    loudness = level(audio.load(clip), 25, len(openness))
    return float(np.corrcoef(openness, np.maximum(loudness, -60))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/matched_pairs"), help="clips, runs and evaluations")
    parser.add_argument("--out", type=Path, default=matched.HOME, help="folder of grid.csv and grid.json")
    parser.add_argument("--only", nargs="+", metavar="PAIR", help="these pairs only")
    options = parser.parse_args()
    wanted, rows, about = [], [], {}
    pipeline = Pipeline(GENERATOR, DETECTOR, SETTINGS)
    for pair in pairs():
        try:
            samples.path(pair.live)
            wanted.append(pair)
        except MediaError as error:
            print(f"left out: {error}", file=sys.stderr)
    for pair, following in zip(wanted, wanted[1:] + wanted[:1], strict=True):
        if options.only and pair.live not in options.only:
            continue
        begun, animation = time.perf_counter(), animate(pair, options.work)
        sides = {"animation": animation, "live_action": samples.path(pair.live)}
        cases = [
            Case(f"{pair.live}-{side}", str(clip), following.live, side, pair.live) for side, clip in sides.items()
        ]
        runs = {
            case.name: run_once(pipeline, case.clip, samples.path(case.voice), options.work / "runs" / case.name)
            for case in cases
        }
        results = evaluated.evaluate_cases(cases, runs)
        rows += matched.of_pair(pair.live, pair.speaker, pair.scene.seed, pair.sentence, *results)
        about[pair.live] = {
            "voice": following.live,
            "style": pair.scene.style,
            "openness_loudness": round(loudness_correlation(animation), 3),
            "sha256": {side: files.sha256(clip) for side, clip in sides.items()},
        }
        networks = results[0].evaluation.about
        print(f"{pair.live} {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    info = results[0].run.info
    options.out.mkdir(parents=True, exist_ok=True)
    files.write_text(options.out / "grid.csv", matched.text(rows))
    models = {kind: info[kind] for kind in ("detector", "generator")} | {"networks": networks}
    content = {"schema": 1, "version": lipsync_lab.__version__, "models": models, "pairs": about}
    files.write_text(options.out / "grid.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
