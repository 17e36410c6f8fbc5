"""Generators side by side on animation: every metric, and the cost.

    python benchmarks/bakeoff.py                            # the bundled animations of matched pairs, and the study
    python benchmarks/bakeoff.py CLIP ... --voice VOICE     # these clips

Every clip is dubbed by `wav2lip-lab` as published, by `wav2lip-lab` with the preset "animation", and by `cel` with the
same preset, and evaluated. Boundary artifacts after a soft edge, and mouth changes during holds with the preset, are
small by construction. `cel` leaves most of the face as it is, which the metrics of the face count in its favour. The
table has the median over clips of each metric, by group of clips. A clip of the study that is not in the samples'
cache is fetched.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd

from lipsync_lab import samples
from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.settings import Settings

#: Name of the row: generator and preset.
METHODS = {
    "wav2lip-lab, as published": ("wav2lip-lab", None),
    "wav2lip-lab, preset animation": ("wav2lip-lab", "animation"),
    "cel, preset animation": ("cel", "animation"),
}


def measured(clip: str, voice: str, generator: str, preset: str | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        run = Pipeline(generator, None, Settings.of({}, preset)).run(clip, voice, Path(folder) / "run")
        seconds = time.process_time() - begun
        done = evaluate(run, domain="animation")
        row = done.metrics.set_index("metric")["value"].to_dict()
        frames = run.info["frames_written"]
        return row | {"generated": run.info["mouths_generated"] / frames, "cpu_ms_a_frame": 1000 * seconds / frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", metavar="CLIP")
    parser.add_argument("--voice", default="voice_umbrella", help="sample or file (voice_umbrella)")
    options = parser.parse_args()
    bundled = [name for name in samples.names("animation", bundled=True) if samples.get(name).pair]
    groups = {"given": options.clips} if options.clips else {"bundled": bundled, "study": study.names()}
    rows = []
    for group, clips in groups.items():
        for clip in clips:
            for method, (generator, preset) in METHODS.items():
                numbers = measured(clip, options.voice, generator, preset)
                rows.append({"group": group, "clip": clip, "method": method} | numbers)
                print(f"{clip}: {method}", flush=True)
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    medians = table.groupby(["group", "method"], sort=False).median(numeric_only=True).round(3).T
    with pd.option_context("display.width", 250, "display.max_columns", 20):
        print(medians.to_string())
        print(table.groupby("group").size().div(len(METHODS)).astype(int).rename("clips").to_string())


if __name__ == "__main__":
    main()
