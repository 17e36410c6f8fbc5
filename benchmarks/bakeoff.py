"""Generators side by side on animation: every metric, openness against ground truth, and the cost.

    python benchmarks/bakeoff.py --out build/bakeoff                  # all groups
    python benchmarks/bakeoff.py --out build/bakeoff --groups study   # of bundled, study, other, published
    python benchmarks/bakeoff.py --out build/bakeoff --sheet          # the contact sheet of what is there

Every clip is dubbed with a foreign voice and with its own sound by each of `METHODS`, and evaluated. `bakeoff.csv` gets
a row per run as soon as it is measured; runs that are there already are not made again. Bundled clips are dubbed with
the sentence of the next matched pair, all others with that of `VOICE`, and clips of 700 pixels of height or more are
halved. A clip of the study that is not in the samples' cache is fetched; one that is not there is left out and named.

"published" are the sources of outputs of published models, dubbed with the foreign voice. Beside them stand those
outputs, measured with the voice that they were made with (`data/published`): another voice, and often another encoder.

For bundled clips the ground truth of the sentence is known. `openness_r` is the correlation of the openness of the
generated mouths, estimated by the mouth-openness regressor, with it; `sheet_r` that of the openness on `cel`'s exposure
sheet; `closures_met` the share of the m, b and p of the ground truth during which, or one frame beside which, the sheet
shows closed lips. `cel, true shapes` is a control: `cel` with the shapes of the ground truth in place of its viseme
network. What it loses is lost by the drawing and by the regressor, and its SyncNet distance is that of the right
timing.

Boundary artifacts after a soft edge, and mouth changes during holds with the preset, are small by construction. `cel`
leaves most of the face as it is, which the metrics of the face count in its favour.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from lipsync_lab import generation, samples
from lipsync_lab.errors import MediaError
from lipsync_lab.evaluation import study
from lipsync_lab.evaluation.evaluate import evaluate, ground_truth_of
from lipsync_lab.generation.cel.generator import Cel, DrawnClip
from lipsync_lab.generation.cel.shapes import CLOSED, SHAPES
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.runs import Run
from lipsync_lab.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
#: Name of the row: generator, preset, further settings.
METHODS = {
    "wav2lip-lab, as published": ("wav2lip-lab", None, {"feather": 0.0}),
    "wav2lip-lab, preset animation": ("wav2lip-lab", "animation", {}),
    "cel, clip": ("cel", "animation", {"mouth_source": "clip"}),
    "cel, drawn": ("cel", "animation", {"mouth_source": "drawn"}),
    "cel, auto": ("cel", "animation", {"mouth_source": "auto"}),
}
CONTROL = "cel, true shapes"
#: Sample whose sound is the foreign voice of clips that are no matched pair: two seconds.
VOICE = "animation_kettle"
#: Clips from this height on are halved first, which costs the generator of 96 pixels less than the others.
_HALVED = 700
OTHER = ("cherry_welcome", "popeye")
#: Sources of outputs of published models (`evaluation.published`): line drawing, comic, three paintings, 3D.
PUBLISHED = ("jj_nouveau1", "jj_scifi", "jj_pharaoh", "jj_zeus", "mona_gan", "potato")
#: Groups and metrics of the summary, in this order, and the metrics of larger numbers.
TITLES = {
    "bundled": "Bundled matched pairs",
    "study": "Clips of the study",
    "other": "`cherry_welcome` and `popeye`",
    "published": "Sources of published outputs",
}
SHOWN = {
    "generated": "frames with a generated mouth, share",
    "sharpness_loss": "sharpness loss",
    "line_art_loss": "line-art loss",
    "out_of_palette": "out-of-palette colours",
    "boundary_artifact": "boundary artifact, grey levels",
    "colour_shift": "colour shift, CIEDE2000",
    "ghosting": "ghosting",
    "temporal_flicker": "temporal flicker, grey levels",
    "realism_loss": "realism loss",
    "mouth_change_during_hold": "mouth change during hold",
    "openness_r": "openness against the ground truth, r",
    "sheet_r": "exposure sheet against the ground truth, r",
    "closures_met": "closures on m, b, p",
    "openness_correlation": "opening with the loudness, r",
    "syncnet_distance": "SyncNet distance",
    "syncnet_confidence": "SyncNet confidence",
    "av_offset": "AV offset, frames",
    "cpu_ms_a_frame": "CPU ms a frame",
}
WHOLE = ("cpu_ms_a_frame", "av_offset")
#: Height of a picture of the contact sheet, in pixels.
_HIGH = 200


class TrueVisemes(torch.nn.Module):
    """In place of the viseme network: the shapes and the openness of a ground truth, whatever the sound is."""

    def __init__(self, truth: pd.DataFrame, fps: float):
        super().__init__()
        self.truth, self.fps = truth, fps
        self.device = torch.nn.Parameter(torch.zeros(1))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        columns = np.arange(mel.shape[-1])
        rows = self.truth.iloc[
            np.minimum((columns * self.fps / audio.MELS_PER_SECOND).astype(int), len(self.truth) - 1)
        ]
        out = np.full((len(SHAPES) + 1, len(columns)), -8.0)
        out[[SHAPES.index(shape) for shape in rows["shape"]], columns] = 8.0
        openness = rows["openness"].clip(1e-3, 1 - 1e-3)
        out[-1] = np.log(openness / (1 - openness))
        return torch.from_numpy(out).float()[None]


class Remembering(Cel):
    """`Cel` that keeps what it drew."""

    def prepare(self, clip, plan):
        drawn, plan = super().prepare(clip, plan)
        object.__setattr__(self, "remembered", drawn)
        return drawn, plan


def bundled() -> list[str]:
    """The matched pairs of two seconds, in order."""
    names = (name for name in samples.names("animation", bundled=True) if samples.get(name).pair)
    return [name for name in names if samples.get(name).frames <= 60]


def cases(groups: list[str]) -> Iterator[tuple[str, str, str, str]]:
    """Group, clip, kind of voice, and voice; foreign voices first."""
    pairs = bundled()
    clips = {"bundled": pairs, "study": study.names(), "other": OTHER}
    clips["published"] = [f"{name}_source" for name in PUBLISHED]
    for kind in ("foreign", "own"):
        for group in groups:
            for number, clip in enumerate(clips[group]):
                try:
                    own = str(samples.resolve_path(clip))
                except MediaError as error:
                    print(f"{clip} is left out: {error}")
                    continue
                if kind == "foreign":
                    yield group, clip, kind, pairs[(number + 1) % len(pairs)] if group == "bundled" else VOICE
                elif samples.get(clip).has_sound and group != "published":
                    yield group, clip, kind, own if group != "bundled" else clip


def published_rows() -> list[dict]:
    """The published outputs of the sources in `PUBLISHED`, with their own voices, from `data/published`."""
    pairs, metrics = (pd.read_csv(ROOT / "data" / "published" / f"{name}.csv") for name in ("pairs", "metrics"))
    rows = []
    for pair in pairs[pairs["pair"].isin(PUBLISHED)].itertuples():
        values = metrics[metrics["pair"] == pair.pair].dropna(subset="value").set_index("metric")["value"].to_dict()
        about = {"group": "published", "clip": pair.source, "voice": "its own", "method": f"published {pair.model}"}
        rows.append(about | {name: values[name] for name in SHOWN if name in values})
    return rows


def measured(clip: str, voice: str, method: str, truth: pd.DataFrame | None, picture: Path) -> dict[str, float]:
    """Dub a clip with a method; every metric, and a picture of the loudest generated mouth."""
    name, preset, settings = METHODS["cel, drawn" if method == CONTROL else method]
    generator = generation.load(name)
    if isinstance(generator, Cel):
        generator = Remembering(**{field: getattr(generator, field) for field in generator.__dataclass_fields__})
    if method == CONTROL:
        generator = replace(generator, visemes=TrueVisemes(truth, float(samples.get(clip).fps)))
    with tempfile.TemporaryDirectory() as folder:
        if samples.get(clip).size[1] >= _HALVED:
            settings = {**settings, "resize_factor": 2}
        pipeline = Pipeline(generator, None, Settings.of(settings, preset), cache=picture.parent / "detections")
        begun = time.process_time()
        run = pipeline.run(clip, samples.resolve_path(voice), Path(folder) / "run")
        seconds = time.process_time() - begun
        done = evaluate(run, domain="animation")
        row = done.metrics.set_index("metric")["value"].to_dict()
        frames = run.info["frames_written"]
        row |= {"generated": run.info["mouths_generated"] / frames, "cpu_ms_a_frame": 1000 * seconds / frames}
        if truth is not None:
            row |= against_truth(
                done.frames["mouth_openness"].to_numpy(), truth, getattr(generator, "remembered", None)
            )
        snapshot(run, samples.resolve_path(clip), voice, picture)
    return row


def against_truth(openness: np.ndarray, truth: pd.DataFrame, drawn: DrawnClip | None) -> dict[str, float]:
    """Openness and closures of a dubbed clip against the ground truth of its sentence."""
    count = min(len(openness), len(truth))
    true, shapes = truth["openness"].to_numpy()[:count], truth["shape"].to_numpy()[:count]
    row = {"openness_r": correlation(openness[:count], true)}
    if drawn is None:
        return row
    shown = [drawn.shapes.get(int(mouth)) for mouth in drawn.mouths[:count]]
    sheet = np.array([np.nan if shape is None else shape.openness for shape in shown])
    closed = np.array([shape is not None and shape.shape in CLOSED for shape in shown])
    begins = np.flatnonzero((shapes == "A") & np.r_[True, shapes[:-1] != "A"])
    ends = [next((frame for frame in range(begin, count) if shapes[frame] != "A"), count) for begin in begins]
    met = [closed[max(begin - 1, 0) : end + 1].any() for begin, end in zip(begins, ends, strict=True)]
    return row | {"sheet_r": correlation(sheet, true), "closures": len(met), "closures_met": float(np.mean(met))}


def correlation(values: np.ndarray, true: np.ndarray) -> float:
    known = ~np.isnan(values)
    return float(np.corrcoef(values[known], true[known])[0, 1]) if known.sum() > 2 else np.nan


def snapshot(run: Run, clip: Path, voice: str, picture: Path) -> None:
    """Source and output at the loudest moment of the first second and a half in which a mouth is generated."""
    ledger, fps = run.ledger(), float(Fraction(run.info["clip"]["fps"]))
    level = np.abs(audio.load(samples.resolve_path(voice)))
    hop = audio.SAMPLE_RATE / fps
    loud = [float(level[int(frame * hop) : int((frame + 2) * hop)].mean()) for frame in range(int(1.5 * fps))]
    known = [frame for frame in range(min(len(loud), len(ledger))) if ledger["mouth_generated"].iloc[frame]]
    if not known:
        known = [0]
    frame = max(known, key=lambda frame: loud[frame])
    source, output = (next(video.frames(path, start=frame, stop=frame + 1)).image for path in (clip, run.output))
    source = cv2.resize(source, output.shape[1::-1], interpolation=cv2.INTER_AREA)
    box = ledger.iloc[frame][["x1", "y1", "x2", "y2"]].to_numpy(float)
    place = Box(0, 0, source.shape[1], source.shape[0])
    if not np.isnan(box).any():
        side = 0.12 * (box[2] - box[0])
        place = Box(*np.round(box + np.array([-side, -side, side, 2 * side]))).clipped(source.shape[1], source.shape[0])
    rows, columns = place.slices
    both = np.concatenate([image[rows, columns] for image in (source, output)], axis=1)
    cv2.imwrite(str(picture), both[..., ::-1])


def sheet(out: Path, clips: list[str]) -> None:
    """The contact sheet: a row per clip, its source and every method, dubbed with the foreign voice."""
    rows = []
    for clip in clips:
        paths = [out / f"{clip}--foreign--{method}.png" for method in METHODS]
        if not all(path.is_file() for path in paths):
            continue
        images = [cv2.imread(str(path)) for path in paths]
        tiles = [images[0][:, : images[0].shape[1] // 2], *(image[:, image.shape[1] // 2 :] for image in images)]
        tiles = [cv2.resize(tile, (_HIGH, _HIGH), interpolation=cv2.INTER_AREA) for tile in tiles]
        rows.append(np.concatenate(tiles, axis=1))
        print(clip, "|", " | ".join(["source", *METHODS]))
    cv2.imwrite(str(out / "sheet.png"), np.concatenate(rows))


def summary(table: pd.DataFrame) -> str:
    """Medians over clips in Markdown, a table per group and voice; in brackets the clips, where not all are defined."""
    lines = []
    for (group, voice), part in table.groupby(["group", "voice"], sort=False):
        clips, methods = part["clip"].nunique(), list(dict.fromkeys(part["method"]))
        lines += [f"{TITLES[group]}, {voice} voice, {clips} clips:", ""]
        lines += ["| median | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
        for metric, label in SHOWN.items():
            cells = []
            for method in methods:
                values = (
                    part.loc[part["method"] == method, metric].dropna() if metric in part else pd.Series(dtype=float)
                )
                few = f" ({len(values)})" if len(values) < clips else ""
                cells.append(f"{values.median():.{1 if metric in WHOLE else 3}f}{few}" if len(values) else "")
            if any(cells):
                lines.append(f"| {label} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--groups", nargs="+", default=["bundled", "study", "other", "published"])
    parser.add_argument("--methods", nargs="+", default=[*METHODS, CONTROL])
    parser.add_argument("--kinds", nargs="+", default=["foreign", "own"])
    parser.add_argument("--sheet", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.sheet:
        sheet(options.out, [*study.names()[::2], *OTHER, *bundled()[:4]])
        return
    file = options.out / "bakeoff.csv"
    rows = pd.read_csv(file).to_dict("records") if file.is_file() else []
    known = {(row["clip"], row["voice"], row["method"]) for row in rows}
    for group, clip, kind, voice in cases(options.groups):
        truth = ground_truth_of(samples.resolve_path(voice)) if group == "bundled" else None
        for method in options.methods:
            if (clip, kind, method) in known or kind not in options.kinds or (method == CONTROL and truth is None):
                continue
            numbers = measured(clip, voice, method, truth, options.out / f"{clip}--{kind}--{method}.png")
            rows.append({"group": group, "clip": clip, "voice": kind, "method": method} | numbers)
            pd.DataFrame(rows).to_csv(file, index=False, float_format="%.5g", lineterminator="\n")
            print(f"{clip}, {kind} voice: {method}", flush=True)
    if "published" in options.groups:
        rows += [row for row in published_rows() if (row["clip"], row["voice"], row["method"]) not in known]
        pd.DataFrame(rows).to_csv(file, index=False, float_format="%.5g", lineterminator="\n")
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
