"""Does detection in some frames give the faces of detection in every frame? Clip by clip, with the bundled detector.

    python benchmarks/sparse_detection.py                  # all samples that are here; some minutes
    python benchmarks/sparse_detection.py --csv sparse.csv
    python benchmarks/sparse_detection.py --clips astronaut_hello --frames 50

For each clip and each `Settings.detection_cadence`: frames that the detector saw, median and lowest IoU of the chosen
face with that of every-frame detection, lost frames (a face there, none here), gained ones, frames whose faces do not
overlap (another face, or a false one), and, where the clip has ground truth, the median IoU of both with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lipsync_lab import detection, samples
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.tracking import chosen_faces
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import open_clip
from lipsync_lab.settings import DETECTION_CADENCES, Settings

#: Least median IoU of every clip, at no lost frame, for a cadence to be the default.
NEEDED = 0.95


class Counted:
    """A detector that counts the frames that it is asked about."""

    def __init__(self, detector: detection.Detector):
        self._detector, self.asked = detector, 0

    def __getattr__(self, name: str):
        return getattr(self._detector, name)

    def detect(self, frames: np.ndarray, first: int = 0) -> list:
        self.asked += len(frames)
        return self._detector.detect(frames, first)


def compared(
    clip: str, detector: Counted, frames: int | None, size: int | None, cadences: Sequence[str] = DETECTION_CADENCES
) -> list[dict]:
    """One row a cadence; the first is compared with."""
    path = samples.resolve_path(clip)
    truth, known = path.with_suffix(".truth.csv"), {}
    if truth.is_file():
        for row in pd.read_csv(truth).itertuples():
            if not np.isnan(row.face_x1):
                known[row.frame] = Box(row.face_x1, row.face_y1, row.face_x2, row.face_y2)
    rows, usual = [], None
    for cadence in cadences:
        settings, detector.asked = Settings(detection_cadence=cadence, detection_size=size), 0
        detections = detect(open_clip(path), detector, settings=settings, frames=frames)
        faces, _ = chosen_faces(detections, settings)
        usual = faces if usual is None else usual
        both = [a.box.iou(b.box) for a, b in zip(usual, faces, strict=True) if a and b]
        true = [face.box.iou(known[n]) for n, face in enumerate(faces) if face and n in known]
        rows.append(
            {
                "clip": clip,
                "cadence": cadence,
                "frames": len(faces),
                "detected": detector.asked,
                "copied": len(detections.copied),
                "tracked": len(detections.tracked),
                "median_iou": np.median(both) if both else np.nan,
                "lowest_iou": min(both, default=np.nan),
                "lost": sum(a is not None and b is None for a, b in zip(usual, faces, strict=True)),
                "gained": sum(a is None and b is not None for a, b in zip(usual, faces, strict=True)),
                "elsewhere": sum(value < 0.4 for value in both),
                "true_iou": np.median(true) if true else np.nan,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="+", help="files or samples (all samples that are here)")
    parser.add_argument("--frames", type=int, help="first frames only")
    parser.add_argument("--cadences", nargs="+", choices=DETECTION_CADENCES[1:], default=DETECTION_CADENCES[1:])
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--detection-size", type=int, default=Settings().detection_size)
    parser.add_argument("--csv", type=Path, help="file for the table")
    given = parser.parse_args()
    detector, rows = Counted(detection.load(given.detector)), []
    cadences = [DETECTION_CADENCES[0], *given.cadences]
    for clip in given.clips or here():
        rows += compared(clip, detector, given.frames, given.detection_size, cadences)
        print(pd.DataFrame(rows[-len(cadences) :]).round(3).to_string(index=False, header=False), flush=True)
    table = pd.DataFrame(rows)
    if given.csv:
        table.round(4).to_csv(given.csv, index=False, lineterminator="\n")
    print(table.round(3).to_string(index=False))
    for cadence, part in table.groupby("cadence", sort=False):
        medians = part["median_iou"].dropna()
        below = (medians < NEEDED).sum()
        print(
            f"{cadence}: {part['detected'].sum()} of {part['frames'].sum()} frames detected; "
            f"median IoU of a clip {medians.median():.3f}, lowest {medians.min():.3f}, "
            f"below {NEEDED} in {below} of {len(medians)} clips; frames: "
            f"{part['lost'].sum()} lost, {part['gained'].sum()} gained, {part['elsewhere'].sum()} elsewhere"
        )


def here() -> list[str]:
    """All samples that are clips and whose file is at hand."""
    domains = ("animation", "synthetic_photo", "live_action")
    return [name for domain in domains for name in samples.names(domain) if samples.place(name).is_file()]


if __name__ == "__main__":
    main()
