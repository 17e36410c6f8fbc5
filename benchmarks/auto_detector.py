"""What each part of the detector `auto` adds: recall and false positives, with its score chosen on other clips.

On the frames with ground truth of `study.faces`, every candidate of `s3fd-lab` is kept from a score on, with or without
the mouth locator's second opinion; where none is left in a frame, nothing, YuNet, or `s3fd-lab` at 640 in place of 320
pixels is asked. The score that a clip is reported at has the largest recall less false positives per frame on all other
clips (`study.held_out`); the last columns are the score that all clips together would choose, and for how many clips
of the domain each score was chosen. The interval of the recall is absent where all clips have the same recall.

    python benchmarks/auto_detector.py                       # all frames with ground truth, 140 s of CPU time
    python benchmarks/auto_detector.py --filmed-step 4       # every fourth of the filmed frames
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from lipsync_lab import detection, samples
from lipsync_lab.detection import auto, base
from lipsync_lab.evaluation import study
from lipsync_lab.media.clip import open_clip
from lipsync_lab.settings import Settings

SCORES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)
PARTS = ("s3fd-lab", "yunet", "s3fd-lab at 640")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filmed-step", type=int, default=1, help="take every so many of the filmed frames (1)")
    table, milliseconds = measured(parser.parse_args().filmed_step)
    print("ms a frame of CPU time:", ", ".join(f"{name} {value:.1f}" for name, value in milliseconds.items()))
    for second in ("nothing", *PARTS[1:]):
        for mouths in (False, True):
            rates = pd.concat([rates_at(table, sure, mouths, second) for sure in SCORES], ignore_index=True)
            by_score = rates.assign(gain=rates["recall"].fillna(1) - rates["false_positives"])
            best = by_score.groupby("threshold")["gain"].mean().idxmax()
            for domain, rows in study.held_out(rates).groupby("domain"):
                low, high = study.share_interval(rows["recall"].dropna().to_numpy())
                interval = "absent" if np.isnan(low) else f"{low:.2f} to {high:.2f}"
                chosen = rows["threshold"].value_counts().sort_index().items()
                print(
                    f"mouths checked: {str(mouths):5s}  then {second:15s}  {domain:11s} clips {len(rows):2d} "
                    f"frames {rows['frames'].sum():4d}  recall {rows['recall'].mean():.3f} ({interval})  "
                    f"false positives per frame {rows['false_positives'].mean():.3f}  score {best:g}  "
                    f"chosen {', '.join(f'{score:g}: {count}' for score, count in chosen)}"
                )


def measured(filmed_step: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """A row per candidate (``part``, ``mouth``) and one per frame without any; and the milliseconds a frame by part."""
    parts = {"s3fd-lab": detection.load("s3fd-lab"), "yunet": detection.load("yunet")}
    parts["s3fd-lab at 640"] = detection.load("s3fd-lab")
    parts["s3fd-lab at 640"].longest_side = 640
    network, spent, rows, frames = detection.load("auto").model, dict.fromkeys([*PARTS, "mouths"], 0.0), [], 0
    known = study.faces()[["clip", "domain", "frame"]].drop_duplicates()
    known = known[(known["domain"] != "live_action") | (known["frame"] % filmed_step == 0)]
    for (clip, domain), numbers in known.groupby(["clip", "domain"])["frame"]:
        wanted = set(numbers)
        for number, frame in enumerate(open_clip(samples.path(clip)).read(0, max(wanted) + 1)):
            if number not in wanted:
                continue
            frames += 1
            rows.append((clip, domain, number, "", np.nan, False, *[np.nan] * 4))
            for name, detector in parts.items():
                begun = time.process_time()
                proposed = base.at_detection_size(detector, frame[None], number, Settings().detection_size)[0]
                spent[name] += time.process_time() - begun
                shown = [each for each in proposed if each.score > min(SCORES) and each.box.area]
                begun = time.process_time()
                mouths = auto.has_mouth(network, [frame] * len(shown), [each.box for each in shown])
                spent["mouths"] += (time.process_time() - begun) * (name == "s3fd-lab")
                for each, mouth in zip(shown, mouths, strict=True):
                    rows.append((clip, domain, number, name, each.score, mouth, *each.box))
    columns = ["clip", "domain", "frame", "part", "score", "mouth", *study.BOX]
    return pd.DataFrame(rows, columns=columns), {name: 1000 * value / frames for name, value in spent.items()}


def rates_at(table: pd.DataFrame, sure: float, mouths: bool, second: str) -> pd.DataFrame:
    """`study.detection_rates` of what is kept; `threshold` is the score of `s3fd-lab`."""
    kept = table[(table["part"] == "s3fd-lab") & (table["score"] > sure) & (table["mouth"] | (not mouths))]
    if second != "nothing":
        # YuNet's own threshold is 0.5, and its candidates are not checked
        least = 0.5 if second == "yunet" else sure
        more = table[(table["part"] == second) & (table["score"] > least)]
        if mouths and second != "yunet":
            more = more[more["mouth"]]
        places = pd.MultiIndex.from_frame(kept[["clip", "frame"]])
        kept = pd.concat([kept, more[~pd.MultiIndex.from_frame(more[["clip", "frame"]]).isin(places)]])
    proposed = pd.concat([kept, table[table["part"] == ""]]).assign(detector="kept")
    rates = study.detection_rates([0.0], proposed)
    return rates.assign(threshold=sure)


if __name__ == "__main__":
    main()
