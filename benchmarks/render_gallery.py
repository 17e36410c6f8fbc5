"""Render the gallery of failures into docs/pictures/gallery, and the first picture of the README.

    python benchmarks/render_gallery.py            # part of `make figures`; runs are kept in build/gallery

Bundled clips are dubbed by the bundled small models, with the whole square pasted as published, and evaluated. Of every
kind of failure up to three of the worst frames are shown for animation and for synthetic photo, with metric and value.
Kinds that the default models do not cause come from runs with a weaker detector, a larger box or a coarse encode
(`CAUSES`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from lipsync_lab import samples
from lipsync_lab.evaluation.cases import Case
from lipsync_lab.evaluation.evaluate import evaluate
from lipsync_lab.evaluation.evaluated import EvaluatedCase
from lipsync_lab.figures.style import DOMAIN_COLOURS, INK, STYLE
from lipsync_lab.geometry import Box
from lipsync_lab.media.difference import CAPTION, difference
from lipsync_lab.metrics import failures, regions, registry
from lipsync_lab.pipeline import Pipeline
from lipsync_lab.runs import run_once
from lipsync_lab.settings import Settings

ROOT = Path(__file__).parents[1]
#: The clips, all dubbed with one voice.
CLIPS = (
    *("animation_hello", "astronaut_hello", "astronaut_baker"),
    *("turning_away", "small_in_the_hills", "behind_a_cup", "cut_in_the_city", "dog_on_threes"),
    *(f"animation_{name}" for name in ("apples", "bus", "kettle", "tomatoes", "village", "violin")),
    *(f"astronaut_{name}" for name in ("apples", "bus")),
)
VOICE = "voice_umbrella"
#: Kinds that the default models do not cause: folder of the runs, detector, settings, clips.
CAUSES = {
    ("missed detection", "identity switch"): (
        *("cascade", "lbp", Settings(feather=0)),
        ("turning_away", "behind_a_cup", "cut_in_the_city", "animation_hello", "astronaut_hello", "astronaut_baker"),
    ),
    # the generator's 96 pixels cover more of the picture, and keep less of its lines
    ("line-art loss",): (
        *("padded", None, Settings(feather=0, pads=(50, 50, 50, 50))),
        (
            "animation_hello",
            "dog_on_threes",
            "animation_village",
            "animation_bus",
            "astronaut_hello",
            "astronaut_baker",
        ),
    ),
    ("background change",): (
        *("coarse", None, Settings(feather=0, crf=40)),
        ("animation_hello", "cut_in_the_city", "dog_on_threes", "astronaut_hello", "astronaut_baker", "astronaut_bus"),
    ),
}
#: Kinds of failure that the detector alone decides: the whole frame is shown, with the boxes.
OF_DETECTION = ("missed detection", "identity switch", "box jitter on holds")
#: Kinds that show in a change from one frame to the next.
OF_TIME = ("mouth change during hold", "temporal flicker", "box jitter on holds", "identity switch")
#: Kinds in the picture of the README.
FRONT = ("sharpness loss", "boundary artifact", "out-of-palette colours")
DOMAINS = ("animation", "synthetic_photo")
MOST = 3


@dataclass(frozen=True)
class Example:
    """A failing frame: `result` and its `frame`, the `kind` with its `value`."""

    result: EvaluatedCase
    frame: int
    kind: registry.Metric
    value: float


def evaluated(pipeline: Pipeline, work: Path, names: Sequence[str]) -> list[EvaluatedCase]:
    """Dub and evaluate clips; runs that are there already are read."""
    out = []
    for name in names:
        domain = samples.get(name).domain
        run = run_once(pipeline, samples.path(name), samples.path(VOICE), work / name)
        out.append(EvaluatedCase(Case(name, name, VOICE, domain), run, evaluate(run, domain=domain), ""))
        print(name, flush=True)
    return out


def examples(results: Sequence[EvaluatedCase], kind: registry.Metric, domain: str) -> list[Example]:
    """The worst failing frames of a kind and domain: one per clip, then further failures of these clips."""
    failing = []
    for result in results:
        table = result.evaluation.failures
        if result.case.domain == domain:
            rows = table[table["kind"] == kind.failure].sort_values("value", ascending=False, kind="stable")
            failing += [
                (rank, -kind.direction * row.value, Example(result, int(row.worst), kind, float(row.value)))
                for rank, row in enumerate(rows.itertuples())
            ]
    return [example for *_, example in sorted(failing, key=lambda each: each[:2])[:MOST]]


def tiles(example: Example) -> list[tuple[str, np.ndarray]]:
    """Pictures of an example with their captions, uint8 RGB."""
    kind, result, frame = example.kind.failure, example.result, example.frame
    before, after = result.pictures(frame)
    ledger = regions.boxes(result.run.ledger())
    if kind in OF_DETECTION:
        earlier = result.pictures(frame - 1)[0] if frame else before
        known = (ledger[frame - 1] if frame else None, ledger[frame])
        return [(f"frame {frame - 1}", _boxed(earlier, known[0])), (f"frame {frame}", _boxed(before, known[1]))]
    box = regions.inside(ledger[frame], before.shape, 0.12, 0.12) or Box(0, 0, before.shape[1], before.shape[0])
    source, output = before[box.slices], after[box.slices]
    if kind in OF_TIME:
        earlier = result.pictures(frame - 1)[1][box.slices]
        return [("source", source), (f"output {frame - 1}", earlier), (f"output {frame}", output)]
    return [("source", source), ("output", output), (CAPTION.replace(" (", "\n("), difference(source, output))]


def _boxed(picture: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    out, width = picture.copy(), max(3, picture.shape[1] // 60)
    if box is not None and not np.isnan(box).any():
        x1, y1, x2, y2 = (max(0, round(edge)) for edge in box.tolist())
        out[y1:y2, x1:x2] = (255, 122, 0)
        out[y1 + width : y2 - width, x1 + width : x2 - width] = picture[
            y1 + width : y2 - width, x1 + width : x2 - width
        ]
    return out


def value_of(example: Example) -> str:
    """Value with unit, and the threshold."""
    metric = example.kind
    unit = "" if metric.unit.startswith("share") else f" {metric.unit}"
    return f"{example.value:.2f}{unit} (fails beyond {metric.threshold:g})"


def picture_of(by_domain: dict[str, list[Example]], path: Path) -> None:
    """One kind: an example is a column, animation to the left of synthetic photo."""
    chosen = [example for domain in DOMAINS for example in by_domain[domain]]
    pictures = [tiles(example) for example in chosen]
    rows, width = len(pictures[0]), 2.6 if chosen[0].kind.failure in OF_DETECTION else 1.6
    figure, axes = plt.subplots(rows, len(chosen), figsize=(width * len(chosen), 1.6 * rows + 0.5), squeeze=False)
    for column, (example, shown) in enumerate(zip(chosen, pictures, strict=True)):
        for row, (caption, picture) in enumerate(shown):
            _show(axes[row, column], picture, caption)
        domain = example.result.case.domain
        text = f"{domain.replace('_', ' ')}\n{value_of(example).replace(' (', chr(10) + '(')}"
        axes[0, column].set_title(text, fontsize=7, color=DOMAIN_COLOURS[domain])
    _save(figure, path)


def pictures_of(kinds: Sequence[registry.Metric], results: Sequence[EvaluatedCase], out: Path) -> None:
    """A picture for each kind that occurs; the others are named."""
    for kind in kinds:
        by_domain = {domain: examples(results, kind, domain) for domain in DOMAINS}
        print(f"{kind.failure}: {', '.join(f'{len(by_domain[domain])} of {domain}' for domain in DOMAINS)}", flush=True)
        if any(by_domain.values()):
            picture_of(by_domain, out / f"{kind.name}.jpg")


def front(results: Sequence[EvaluatedCase], path: Path) -> None:
    """Three kinds as rows; source, output and difference of animation beside those of the synthetic photo."""
    figure, axes = plt.subplots(len(FRONT), 6, figsize=(9.6, 1.75 * len(FRONT) + 0.3))
    for row, name in enumerate(FRONT):
        for side, domain in enumerate(DOMAINS):
            example = examples(results, failures.kind(name), domain)[0]
            for column, (caption, picture) in enumerate(tiles(example), start=3 * side):
                _show(axes[row, column], picture, caption if row == len(FRONT) - 1 else "")
            text = f"{domain.replace('_', ' ')}: {name}\n{value_of(example)}"
            axes[row, 3 * side + 1].set_title(text, fontsize=8, color=DOMAIN_COLOURS[domain])
    _save(figure, path)


def _show(ax, picture: np.ndarray, caption: str) -> None:
    ax.imshow(picture)
    ax.set_xlabel(caption, fontsize=7, color=INK, labelpad=2)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _save(figure, path: Path) -> None:
    figure.set_layout_engine("none")
    figure.savefig(path, dpi=100, bbox_inches="tight", pad_inches=0.05, pil_kwargs={"quality": 80})
    plt.close(figure)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the gallery of failures and the first picture of the README.")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "gallery", help="folder of the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "gallery")
    parser.add_argument("--front", type=Path, default=ROOT / "reports" / "figures" / "failures.jpg")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with plt.style.context(STYLE):
        dubbed = evaluated(Pipeline(settings=Settings(feather=0)), options.work, CLIPS)
        front(dubbed, options.front)
        caused = {name for names in CAUSES for name in names}
        pictures_of([kind for kind in failures.kinds() if kind.failure not in caused], dubbed, options.out)
        for names, (folder, detector, settings, clips) in CAUSES.items():
            dubbed = evaluated(Pipeline(detector=detector, settings=settings), options.work / folder, clips)
            pictures_of([failures.kind(name) for name in names], dubbed, options.out)


if __name__ == "__main__":
    main()
