"""Published models: makes the numbers in ``data/published`` from 28 sources and what published weights made of them.

    python benchmarks/published.py              # continues where it stopped; evaluations in build/published
    python benchmarks/published.py --only jj_beads kim --out build/some

The videos are fetched from their public addresses and compared with their SHA-256 (`samples.published_names`). A pair
takes a minute or two on one core. Only the first seconds of every output are measured: these are long enough for the
sync scores, and all pairs then weigh alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import lipsync_lab
from lipsync_lab import files, samples
from lipsync_lab.errors import LipsyncError
from lipsync_lab.evaluation import published, registration
from lipsync_lab.evaluation.alignment import Alignment, align, aligned_pairs
from lipsync_lab.evaluation.boxes import detected
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.evaluation.result import Evaluation
from lipsync_lab.media.clip import Clip, open_clip
from lipsync_lab.metrics import regions

#: Seconds of each output that are measured.
SECONDS = 3.0


#: Grey level (luma) below which a pixel of the lips' box is dark, and the quantile over frames that is told.
DARK, OFTEN = 40, 0.9


def measured(name: str, pair: pd.Series, seconds: float, work: Path) -> tuple[Evaluation, dict]:
    """The evaluation of a pair, read from `work` where it is current, and the row of `published.evaluations`."""
    source, output = (samples.path(pair[side], progress=True) for side in ("source", "output"))
    alignment = align(open_clip(source), open_clip(output))
    frames = min(alignment.output_frames, round(seconds * alignment.fps))
    alignment = replace(alignment, output_frames=frames)
    evaluation = evaluate(
        source,
        output,
        alignment=alignment,
        domain=pair["domain"] or None,
        device="cpu",
        out=work / name,
    )
    more = described(open_clip(source), open_clip(output), alignment)
    return evaluation, published.evaluation_row(name, evaluation) | more


def described(source: Clip, output: Clip, alignment: Alignment) -> dict[str, float]:
    """The median box of the detected face, and how dark the lips' box is in source and output."""
    ledger, *_ = detected(source, alignment, None, "cpu", None)
    boxes, lips = regions.boxes(ledger), regions.mouths(ledger)
    shares = []
    for row, images in zip(lips, aligned_pairs(source, output, alignment), strict=False):
        box = regions.inside(row, images[0].shape)
        if box is not None:
            shares.append([(registration.luma(image, max(image.shape))[box.slices] < DARK).mean() for image in images])
    dark = np.quantile(shares, OFTEN, axis=0) if shares else (np.nan, np.nan)
    face = np.nanmedian(boxes, axis=0) if np.isfinite(boxes).any() else [np.nan] * 4
    return published.edges("face", face) | dict(zip(("dark_source", "dark_output"), dark, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/published"), help="a folder per pair: its evaluation")
    parser.add_argument("--out", type=Path, default=published.HOME, help="folder of the tables")
    parser.add_argument("--only", nargs="+", metavar="PAIR", help="these pairs only")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each output (%(default)s)")
    options = parser.parse_args()
    metrics, scores, evaluations, networks = [], [], [], {}
    for name, pair in published.pairs().set_index("pair").iterrows():
        if options.only and name not in options.only:
            continue
        begun = time.perf_counter()
        try:
            evaluation, row = measured(name, pair, options.seconds, options.work)
        except LipsyncError as error:
            evaluations.append({"pair": name, "status": "failed", "reason": str(error)})
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        metrics.append(published.metric_rows(name, evaluation))
        scores.append(published.score_rows(name, evaluation))
        evaluations.append(row)
        networks = evaluation.about
        print(f"{name} {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    tables = {"metrics": pd.concat(metrics), "scores": pd.concat(scores), "evaluations": pd.DataFrame(evaluations)}
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        files.write_text(options.out / f"{name}.csv", text)
    content = {"schema": 1, "version": lipsync_lab.__version__, "seconds": options.seconds, "networks": networks}
    files.write_text(options.out / "about.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
