"""Record what the detectors propose on real clips, as numbers: makes ``data/study/detections/<detector>.json``.

    python benchmarks/record_detections.py                  # all detectors, all clips; continues where it stopped
    python benchmarks/record_detections.py yunet            # one detector
    python benchmarks/record_detections.py --cost           # only the CPU time a frame: data/study/detections/cost.csv
    python benchmarks/record_detections.py --published      # sources of published outputs: data/published/detections

The clips are the ten of the study, three other animations and the filmed talking heads among the samples; they are
fetched from their public addresses or found where `samples` keeps them. Frames are shrunk to the pipeline's default
detection size. Each clip's entry says which frames were examined (`step`), and lists at most five candidates a frame:
x1, y1, x2, y2 in whole pixels of the clip, and the score. A clip whose entry was made by the same weights and settings
is not examined again. Of the sources of published outputs every tenth frame is examined, the first `MOST_FRAMES` of
these, and `STILL_FRAMES` of a still that was made into video.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import islice

import cv2
import numpy as np
import pandas as pd

from lipsync_lab import detection, files, samples
from lipsync_lab.evaluation import published, study
from lipsync_lab.media.clip import open_clip
from lipsync_lab.settings import Settings

SCHEMA, MOST = 1, 5
DETECTORS = ("auto", "auto-without-yunet", "s3fd-lab", "yunet", "centerface", "lbp", "anime-lbp")
#: Animation outside the study, which is examined at the frames that were labelled by eye: every 25th.
OTHER_ANIMATION = ("cherry_welcome", "popeye", "steamboat")
#: Frames that the CPU time is measured on, of one clip of 1920 x 1080 pixels.
TIMED_CLIP, TIMED_FRAMES = "output3", 24
#: Sources of published outputs: every how many frames are examined, how many frames at most, and how many of a still.
PUBLISHED_STEP, MOST_FRAMES, STILL_FRAMES = 10, 12, 1


def load(name: str) -> detection.Detector:
    """A detector of `DETECTORS`; "auto" is the one with YuNet, "auto-without-yunet" the one where that is absent."""
    detector = detection.load(name.removesuffix("-without-yunet"))
    if name == "auto" and detector.second is None:
        raise SystemExit(detector.absent)
    if name == "auto-without-yunet":
        detector.second, detector.identity = None, {k: v for k, v in detector.identity.items() if k != "yunet"}
    return detector


def steps() -> dict[str, int]:
    """The clips, and every how many frames each is examined: the long ones every second one."""
    clips = dict.fromkeys(study.names(), 1) | dict.fromkeys(OTHER_ANIMATION, 25)
    filmed = [samples.get(name) for name in samples.names("live_action")]
    return clips | {sample.name: 1 + (sample.frames > 400) for sample in filmed if sample.url}


def record(name: str, detector: detection.Detector, step: int, size: int) -> dict:
    """A clip's entry."""
    sample = samples.get(name)
    rows = [as_numbers(row) for row in candidates(name, detector, step, size)]
    about = {"domain": sample.domain, "sha256": sample.sha256, "size": sample.size, "step": step}
    return about | {"candidates": rows}


def record_published(detectors: list[str], size: int) -> None:
    """The sources of published outputs, a clip a footage; a frame is decoded once for all detectors."""
    loaded = {name: load(name) for name in detectors}
    contents = {
        name: {"schema": SCHEMA, "detector": {"name": each.name, **each.identity}, "detection_size": size, "clips": {}}
        for name, each in loaded.items()
    }
    study.PUBLISHED_DETECTIONS.mkdir(exist_ok=True)
    for source in published.pairs().drop_duplicates("footage").itertuples():
        most = STILL_FRAMES if source.motion == "still" else MOST_FRAMES
        path = samples.path(source.source)
        frames = list(islice(open_clip(path).read(0, None), 0, PUBLISHED_STEP * most, PUBLISHED_STEP))
        height, width = frames[0].shape[:2]
        about = {"domain": source.domain, "sha256": files.sha256(path), "size": [width, height], "step": PUBLISHED_STEP}
        for name, detector in loaded.items():
            rows = [detection.at_detection_size(detector, frame[None], 0, size)[0] for frame in frames]
            contents[name]["clips"][source.footage] = about | {"candidates": [as_numbers(row) for row in rows]}
        print(f"{source.footage} {len(frames)} frames", file=sys.stderr, flush=True)
        for name, content in contents.items():
            files.write_text(study.PUBLISHED_DETECTIONS / f"{name}.json", as_text(content))


def as_numbers(row: list[detection.Detection]) -> list[list[float]]:
    """The best candidates of a frame as numbers."""
    return [[*(round(value) for value in face.box), round(face.score, 3)] for face in row[:MOST]]


def candidates(name: str, detector: detection.Detector, step: int, size: int):
    frames = islice(open_clip(samples.path(name)).read(0, None), 0, None, step)
    for number, frame in enumerate(frames):
        yield detection.at_detection_size(detector, frame[None], number * step, size)[0]


def as_text(content: dict) -> str:
    """One clip a line."""
    clips = ",\n".join(f"{json.dumps(name)}: {compact(entry)}" for name, entry in sorted(content["clips"].items()))
    head = ",\n".join(f"{json.dumps(key)}: {compact(value)}" for key, value in content.items() if key != "clips")
    return f'{{\n{head},\n"clips": {{\n{clips}\n}}\n}}\n'


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def cost(size: int) -> pd.DataFrame:
    """CPU time a frame, the shrinking included, on one thread; the median over frames."""
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    frames = list(open_clip(samples.path(TIMED_CLIP)).read(0, TIMED_FRAMES))
    rows = []
    for name in DETECTORS:
        detector, times = load(name), []
        for frame in frames:
            begun = time.process_time()
            detection.at_detection_size(detector, frame[None], 0, size)
            times.append(1000 * (time.process_time() - begun))
        rows.append((name, round(float(np.median(times[2:])), 1), TIMED_FRAMES - 2, TIMED_CLIP))
    return pd.DataFrame(rows, columns=["detector", "ms", "frames", "clip"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detectors", nargs="*", metavar="detector", help=", ".join(DETECTORS))
    parser.add_argument("--cost", action="store_true", help="measure the CPU time a frame, and nothing else")
    parser.add_argument("--published", action="store_true", help="the sources of the published outputs instead")
    options = parser.parse_args()
    size = Settings().detection_size
    if options.cost:
        table = cost(size)
        table.to_csv(study.DETECTIONS / "cost.csv", index=False, lineterminator="\n")
        print(table.to_string(index=False))
        return
    if options.published:
        record_published(options.detectors or list(DETECTORS), size)
        return
    for name in options.detectors or DETECTORS:
        detector, path = load(name), study.DETECTIONS / f"{name}.json"
        content = {"schema": SCHEMA, "detector": {"name": detector.name, **detector.identity}, "detection_size": size}
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        same = all(before.get(key) == value for key, value in content.items())
        content["clips"] = before["clips"] if same else {}
        for clip, step in steps().items():
            if content["clips"].get(clip, {}).get("step") != step:
                begun = time.perf_counter()
                content["clips"][clip] = record(clip, detector, step, size)
                files.write_text(path, as_text(content))
                print(f"{name} {clip} {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
