"""How well the edited region is found: the box of each run is known, and its output is encoded again.

    python benchmarks/edited_region.py                     # every bundled clip with a face, about 20 min
    python benchmarks/edited_region.py animation_hello     # one clip

Each clip is dubbed by `wav2lip-lab` and by `identity`, with a hard paste and with one that is feathered, and the output
is encoded again at crf 18, 23 and 28, and at crf 23 at three quarters of the size. One line a case: whether the boxes
of faces were given, kind, contrast, what was redrawn, shift and noise, the intersection over union with the box of the
ledger (median and 10th percentile over frames), the frames, and of those the ones without a region (absent), and frames
with a region where nothing was pasted (false). With a feathered paste the true box is where the generated face has a
weight of a half: 5 % inside the lower half of the crop. The last lines are medians over the clips.
"""

from __future__ import annotations

import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

import lipsync_lab
from lipsync_lab import samples
from lipsync_lab.evaluation.alignment import align, aligned_pairs
from lipsync_lab.evaluation.edited_region import edited_region
from lipsync_lab.media import video
from lipsync_lab.media.clip import open_clip
from lipsync_lab.metrics.detection import iou

VOICE, FEATHERS, GENERATORS = "voice_umbrella", (0.0, 0.1), ("wav2lip-lab", "identity")
#: crf and scale of the second encode.
ENCODES = ((18, Fraction(1)), (23, Fraction(1)), (28, Fraction(1)), (23, Fraction(3, 4)))
#: Share of the crop by which a feathered paste at half weight is smaller on each side.
HALF = 0.05


def encode_again(path: Path, target: Path, crf: int, scale: Fraction) -> Path:
    def images():
        for frame in video.frames(path):
            size = tuple(2 * round(side * scale / 2) for side in frame.image.shape[1::-1])
            yield frame.image if scale == 1 else cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)

    return video.write_clip(target, images(), video.probe(path).fps, crf=crf)


def true_boxes(ledger: pd.DataFrame, feather: float) -> np.ndarray:
    """x1, y1, x2, y2 of the pasted part in pixels of the source, NaN where nothing was pasted; one row per frame."""
    boxes = np.trunc(ledger[["x1", "y1", "x2", "y2"]].to_numpy(float))
    boxes[~ledger["mouth_generated"].to_numpy(bool)] = np.nan
    if feather:
        side = boxes[:, 2:] - boxes[:, :2]
        boxes[:, 1] += side[:, 1] / 2
        boxes += HALF * np.hstack((side, -side))
    return boxes


def measured(clip: str, generator: str, feather: float, folder: Path) -> list[dict]:
    """One row for each second encode of one run."""
    run = lipsync_lab.dub(
        *(clip, VOICE, folder / "run"), generator=generator, feather=feather, device="cpu", cache=folder / "cache"
    )
    source, rows = open_clip(clip), []
    for crf, scale in ENCODES:
        output = open_clip(encode_again(run.output, folder / "again.mp4", crf, scale))
        alignment = align(source, output)
        order = alignment.order()
        truth = true_boxes(run.ledger(), feather)[order] * float(scale)
        for name, faces in (("boxes", run.ledger()[["x1", "y1", "x2", "y2"]].to_numpy(float)[order]), ("none", None)):
            faces = None if faces is None else faces * float(scale)
            region = edited_region(aligned_pairs(source, output, alignment), faces)
            there, known = ~np.isnan(region.boxes[:, 0]), ~np.isnan(truth[:, 0])
            overlap = iou(region.boxes[there & known], truth[there & known])
            rows.append(
                {
                    **{"clip": clip, "generator": generator, "feather": feather, "crf": crf, "scale": float(scale)},
                    **{"faces": name, "kind": region.kind, "contrast": region.contrast},
                    **{"redrawn": region.redrawn, "apart": region.apart, "shift": region.shift, "noise": region.noise},
                    "iou": float(np.median(overlap)) if len(overlap) else 0.0,
                    "iou_p10": float(np.quantile(overlap, 0.1)) if len(overlap) else 0.0,
                    **{"frames": int(known.sum()), "absent": int((known & ~there).sum())},
                    "false": int((there & ~known).sum()),
                }
            )
    return rows


def main(clips: list[str]) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, clip in enumerate(clips):
            for generator in GENERATORS:
                for feather in FEATHERS:
                    place = Path(folder) / f"{number}-{generator}-{feather:g}"
                    place.mkdir()
                    for row in measured(clip, generator, feather, place):
                        rows.append(row)
                        print(
                            "  ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()), flush=True
                        )
    table = pd.DataFrame(rows)
    by = table.groupby(["generator", "feather", "faces", "crf", "scale"])
    summary = by.agg(clips=("clip", "nunique"), iou=("iou", "median"), worst=("iou", "min"))
    summary["none"] = by["kind"].apply(lambda kind: int((kind == "none").sum()))
    print(summary.round(3).to_string())


if __name__ == "__main__":
    main(sys.argv[1:] or [name for name in samples.names(bundled=True) if "nobody" not in name and "voice" not in name])
