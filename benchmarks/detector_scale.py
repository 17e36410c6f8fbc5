"""Recall of `s3fd-lab` by the size of the face in the picture, and what a second look at another size adds.

From frames with ground truth (`study.faces`), close-ups are cropped in which the face fills a share of the picture's
height, and far views are made in which its longer side has so many pixels where `s3fd-lab` shrinks the picture to 320:
the frame is reduced, and its rim continued. A face is detected where a candidate of a score above 0.5 overlaps it
(IoU 0.4). The second look is asked only where the first one has no candidate above that score. A far view has one
face, so that further candidates are counted as false positives; a close-up may show a part of another face.

    python benchmarks/detector_scale.py                  # six frames a clip, a minute of CPU time
    python benchmarks/detector_scale.py --weights FILE   # other weights of S3FD
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd

from lipsync_lab import samples
from lipsync_lab.detection.base import Detection, shrunk
from lipsync_lab.detection.s3fd import S3FDDetector
from lipsync_lab.evaluation import study
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import open_clip
from lipsync_lab.settings import Settings

SHARES, SIDES = (0.6, 0.75, 0.9), (20, 28)
#: The size that `s3fd-lab` shrinks pictures to, and what it is asked at where it finds nothing.
USUAL, NEAR, FAR = 320, 160, 640
THRESHOLD = Settings().threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="s3fd-lab", help="a detector's name or a file (%(default)s)")
    parser.add_argument("--frames", type=int, default=6, help="frames of each clip, at even distances (%(default)s)")
    options = parser.parse_args()
    table = measured(options.weights, options.frames)
    means = table.groupby(["domain", "view", "clip"])[["first", "either", "more_first", "more_either"]].mean()
    means = means.groupby(["domain", "view"]).agg(["mean"]).droplevel(1, axis=1)
    counts = table.groupby(["domain", "view"]).agg(clips=("clip", "nunique"), pictures=("clip", "size"))
    print(counts.join(means).round(3).to_string())


def measured(weights: str, frames: int) -> pd.DataFrame:
    """A row per view: whether the first look, or either, detects the face, and further candidates of either."""
    detector, rows = S3FDDetector(weights), []
    targets = study.faces().query("face == 'target'")
    for (clip, domain), known in targets.groupby(["clip", "domain"]):
        wanted = known.iloc[np.linspace(0, len(known) - 1, frames).round().astype(int)].drop_duplicates("frame")
        boxes = {row.frame: Box(row.x1, row.y1, row.x2, row.y2) for row in wanted.itertuples()}
        for number, frame in enumerate(open_clip(samples.path(clip)).read(0, max(boxes) + 1)):
            if number in boxes:
                for view, picture, face in views(frame, boxes[number]):
                    first = look(detector, picture, USUAL)
                    second = first or look(detector, picture, NEAR if view.startswith("close") else FAR)
                    hits = [any(face.iou(each.box) >= study.MATCH for each in row) for row in (first, second)]
                    more = [len(row) - hit for row, hit in zip((first, second), hits, strict=True)]
                    rows.append((clip, domain, view, *hits, *more))
    return pd.DataFrame(rows, columns=["clip", "domain", "view", "first", "either", "more_first", "more_either"])


def look(detector: S3FDDetector, picture: np.ndarray, side: int) -> list[Detection]:
    """The candidates above the threshold in a picture that is shrunk to a longest side."""
    detector.longest_side = side
    return [each for each in detector.detect(picture[None])[0] if each.score > THRESHOLD]


def views(frame: np.ndarray, face: Box) -> Iterator[tuple[str, np.ndarray, Box]]:
    """Close-ups and far views of a frame, as (name, picture of 640 pixels, face); those that fit into it."""
    height, width = frame.shape[:2]
    longer = max(face.width, face.height)
    for share in SHARES:
        high = longer / share
        wide = min(high * 4 / 3, width)
        if high <= height:
            x, y = face.center[0] - wide / 2, face.center[1] - high / 2
            left, top = (round(min(max(at, 0), most)) for at, most in ((x, width - wide), (y, height - high)))
            part = np.ascontiguousarray(frame[top : top + round(high), left : left + round(wide)])
            scale = FAR / max(part.shape[:2])
            picture = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
            yield f"close, {share:g} of the height", picture, face.padded(top, -top, left, -left).scaled(scale, scale)
    for side in SIDES:
        scale = side * FAR / USUAL / longer
        small = shrunk(frame, round(scale * max(height, width)))
        high, wide = small.shape[:2]
        if wide <= FAR and high <= FAR * 3 // 4:
            top, left = (FAR * 3 // 4 - high) // 2, (FAR - wide) // 2
            rim = top, FAR * 3 // 4 - high - top, left, FAR - wide - left
            picture = cv2.copyMakeBorder(small, *rim, cv2.BORDER_REPLICATE)
            placed = face.scaled(wide / width, high / height).padded(-top, top, -left, left)
            yield f"far, {side} pixels at {USUAL}", picture, placed


if __name__ == "__main__":
    main()
