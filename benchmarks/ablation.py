"""The ablation on the bundled clips of animation: makes ``data/ablation``, numbers only.

    python benchmarks/ablation.py [--work build/ablation] [--out data/ablation]     # continues where it stopped

Every clip is dubbed with the sentence of the next one: as published, and with each mitigation. ``effects.csv`` has
every metric before and after, clip by clip; ``seconds.csv`` the processor seconds a frame of the default pipeline with
each mitigation: the least of three runs of one clip, after a first that detects the faces for all.
Takes about 15 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import lipsync_lab
from lipsync_lab import files, samples
from lipsync_lab.evaluation import ablation, cases
from lipsync_lab.reporting.runs import dub_and_evaluate

CLIPS = ("kettle", "village", "apples", "violin", "tomatoes", "wardrobe", "postman", "bus")
#: Every clip has one face, which needs no choice.
DETECTOR, SETTINGS = "s3fd-lab", {"face_selection": "largest"}
#: Runs of which the quickest counts: other processes only make a run slower.
TIMED_RUNS = 3


def cost(pipelines: dict, clip: str, voice: str) -> pd.Series:
    """Processor seconds a frame, by mitigation."""
    frames, least = int(samples.get(clip).frames), {}
    with TemporaryDirectory() as folder:
        pipelines[ablation.BASELINE.name].run(clip, voice, Path(folder) / "run")
        for _ in range(TIMED_RUNS):
            for name, pipeline in pipelines.items():
                begun = time.process_time()
                pipeline.run(clip, voice, Path(folder) / "run")
                taken = (time.process_time() - begun) / frames
                least[name] = min(taken, least.get(name, taken))
    return pd.Series(least, name="seconds_a_frame").rename_axis("mitigation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/ablation"), help="runs and evaluations")
    parser.add_argument("--out", type=Path, default=ablation.HOME, help="folder of the tables")
    parser.add_argument("--only", choices=("effects", "cost"), help="make one of the two tables")
    options = parser.parse_args()
    clips = [f"animation_{name}" for name in CLIPS]
    voices = [*clips[1:], clips[0]]
    pipelines = ablation.pipelines(None, DETECTOR, SETTINGS, cache=options.work / "detections")
    csv = {"lineterminator": "\n", "float_format": "%.6g"}
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only != "effects":
        files.write_text(options.out / "seconds.csv", cost(pipelines, clips[0], voices[0]).to_csv(**csv))
    if options.only == "cost":
        return
    todo, results = cases.read(clips, voices), {}
    for name, pipeline in pipelines.items():
        begun = time.perf_counter()
        results[name] = dub_and_evaluate(pipeline, todo, options.work / name.replace(" ", "_"))
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    files.write_text(options.out / "effects.csv", ablation.effects(results).to_csv(index=False, **csv))
    first = results[ablation.BASELINE.name][0]
    content = {
        **{"schema": 1, "version": lipsync_lab.__version__, "clips": clips, "voices": voices},
        **{kind: first.run.info[kind] for kind in ("detector", "generator", "versions", "device")},
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "networks": first.evaluation.about,
    }
    files.write_text(options.out / "ablation.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
