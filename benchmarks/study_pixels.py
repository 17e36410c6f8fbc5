"""What the pixels say where the published S3FD found or missed a face: makes ``data/study/pixels.csv`` anew.

    python benchmarks/study_pixels.py

The ten clips are fetched from their public addresses, or found where `samples` keeps them; numbers alone are written.
"""

from __future__ import annotations

import pandas as pd

from lipsync_lab import samples
from lipsync_lab.detection.shots import Shots, shot_numbers
from lipsync_lab.evaluation import study
from lipsync_lab.media import video
from lipsync_lab.metrics import detection


def measured(clip: str) -> pd.DataFrame:
    path, boxes = samples.path(clip), study.frames(clip)
    shots = Shots(video.probe(path).fps)
    for frame in video.frames(path, stop=len(boxes)):
        shots.add(frame.image)
    numbers = shot_numbers(shots.starts, len(boxes))
    ledger = boxes.assign(shot=numbers)
    pictures = (frame.image for frame in video.frames(path, stop=len(boxes)))
    table = detection.pixels(pictures, ledger).round(2).reset_index()
    return table.assign(clip=clip, shot=numbers)[["clip", "frame", "shot", *detection.PIXELS]]


def main() -> None:
    table = pd.concat([measured(clip) for clip in study.names()], ignore_index=True)
    table.to_csv(study.PIXELS, index=False, lineterminator="\n")
    print(f"{study.PIXELS}: {len(table)} frames of {table['clip'].nunique()} clips")


if __name__ == "__main__":
    main()
