"""Erasing of mouths against the exact ground truth: synthetic faces that are drawn with and without their mouth.

    python benchmarks/erasing.py [--faces 48] [--first 700] [--beards] [--pictures FOLDER]

The characters are held out: no bundled network was trained on them. Each face shows one shape of the mouth chart; the
mouth is located in it as in a run, and erased. Errors are those against the same face drawn without a mouth, where the
mouth is, or where anything was changed. Beside `cel.erase`:

- source: nothing is erased;
- Telea, same mask: OpenCV's inpainting (Telea 2004) of the pixels that `cel.erase` chose;
- Telea, box: of the box round the located mouth, as one would do without knowing lines from fills;
- mean of the skin: one colour in the same mask.

`l1` is the mean absolute difference in grey levels. `lines_lost` is the package's line-art loss with the true face as
the source: the share of its edges that is gone. `lines_left` is the same with the roles exchanged: the share of the
output's edges that the true face does not have, remnants of the mouth above all. A face with hardly an edge has
neither.

Medians over the 47 of 48 faces whose mouth is located (90th percentile in brackets):

                    l1            lines_lost      lines_left
    cel.erase        0.0 (18.5)   0.000 (0.046)   0.000 (0.025)
    source          76.2 (107.6)  0.000 (0.003)   0.220 (0.617)
    Telea, same mask 1.3 (28.6)   0.000 (0.043)   0.000 (0.032)
    Telea, box      19.0 (62.7)   0.007 (0.101)   0.036 (0.242)
    mean of the skin 1.0 (28.4)   0.000 (0.046)   0.000 (0.046)

Ghosting of a new mouth (`metrics.artifacts.ghosting`; median of the 47) is 0.0084 on the erased face and on the true
face without a mouth, and 0.0000 on either without a new mouth: the metric finds edges of the new mouth where the
old one had some, and hardly a remnant.

Of characters with a full beard alone (`--faces 40 --first 2500 --beards`), the 35 whose mouth is located:

                    l1            lines_lost      lines_left
    cel.erase       10.5 (38.9)   0.017 (0.082)   0.009 (0.053)
    source          42.3 (85.8)   0.000 (0.012)   0.175 (0.363)
    Telea, same mask 16.0 (43.4)  0.016 (0.102)   0.001 (0.035)
    Telea, box      28.7 (55.2)   0.065 (0.134)   0.010 (0.049)

Without the colours of the cheeks (`erase` without a face) `cel.erase` has 46.4 (85.3): it takes the bare skin around
the mouth for ink and fills its place with the colour of the beard. The limits for beards were chosen on the bearded
faces from 300, 700 and 1500 on; those from 2500 on were measured before the last of these choices too, which was made
for a bundled clip. No face of the table above is changed by the colours of the cheeks.

In the worst faces a moustache is erased with the mouth, or a piece of the nose, or of the jaw that the mouth touches,
is gone. Limits were chosen on the faces from 300 on; `SATURATED` was set after a fault of face 707, and changed nothing
on the faces 300 to 335 and 900 to 947.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lipsync_lab.generation.cel import draw, erase
from lipsync_lab.generation.cel.locate import MouthPose, locate
from lipsync_lab.generation.cel.look import Sample, look_of, seat_of
from lipsync_lab.generation.cel.shapes import CHART, SHAPES
from lipsync_lab.geometry import Box
from lipsync_lab.metrics.artifacts import ghosting, line_art_loss
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.synthesis.animation.character import STYLES, character
from lipsync_lab.synthesis.animation.scene import render
from lipsync_lab.synthesis.animation.settings import Scene, random_scene
from lipsync_lab.training.corpus import FIRST_HELD_OUT

VIEWS = ("front", "front", "three-quarter")
#: The shape of the new mouth where the old one has a shape.
NEXT = dict(zip(SHAPES, SHAPES[1:] + SHAPES[:1], strict=True)) | {"H": "B"}
#: Change of a pixel, in grey levels, at or above which it belongs to the mouth.
CHANGED = 2


@dataclass(frozen=True, eq=False)
class Face:
    """A frame with a mouth, the same without it, and the mouth as it was located; None where it is not located."""

    scene: Scene
    shape: str
    source: np.ndarray
    clean: np.ndarray
    box: Box | None
    pose: MouthPose | None


def characters(first: int, beards: bool) -> Iterator[tuple[int, str]]:
    """Number and style of held-out characters: of all, the styles in turn; or of those with a full beard."""
    for number in count(first):
        if not beards:
            yield number, STYLES[(number - first) % len(STYLES)]
        else:
            yield from (
                (number, style) for style in STYLES if character(FIRST_HELD_OUT + number, style).beard == "full"
            )


def faces(first: int, faces: int, beards: bool = False) -> Iterator[Face]:
    """Faces of held-out characters, all styles and shapes in turn, uncompressed."""
    for place, (number, style) in enumerate(islice(characters(first, beards), faces)):
        shape = SHAPES[place % len(SHAPES)]
        scene = random_scene(
            FIRST_HELD_OUT + number, style=style, view=VIEWS[place % len(VIEWS)],
            size=(320, 320), framing=("close", "portrait")[place % 2], occluder=None, partner=False, jpeg=0, grain=0.0,
            text="",
        )  # fmt: skip
        made = [
            next(render(Scene(**{**scene.__dict__, "mouth": mouth}), lambda _, shape=shape: CHART[shape], 0.04))
            for mouth in (True, False)
        ]
        box = next(iter(made[0].faces), None)
        (pose,) = locate([made[0].pixels], [box])
        pose = pose if pose is not None and pose.drawable else None
        yield Face(scene, shape, made[0].pixels, made[1].pixels, box, pose)


def telea(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return cv2.inpaint(frame, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def erasings(frame: np.ndarray, pose: MouthPose, face: Box) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The frame after each way of erasing, and the pixels that `cel.erase` chose, bool (H, W)."""
    erased = erase.erase(frame, pose, face)
    mask, out = np.zeros(frame.shape[:2], bool), frame.copy()
    mask[erased.box.slices], out[erased.box.slices] = erased.mask, erased.pixels
    points = np.array([pose.left, pose.right, pose.top, pose.bottom])
    margin = 0.15 * pose.width
    around = Box(*(points.min(0) - margin), *(points.max(0) + margin)).clipped(frame.shape[1], frame.shape[0])
    box = np.zeros_like(mask)
    box[around.slices] = True
    mean = frame.copy()
    mean[mask] = erased.skin[0].round().astype(np.uint8)
    return {
        "cel.erase": out, "source": frame, "Telea, same mask": telea(frame, mask), "Telea, box": telea(frame, box),
        "mean of the skin": mean,
    }, mask  # fmt: skip


def errors(output: np.ndarray, clean: np.ndarray, where: np.ndarray, box: Box) -> dict[str, float]:
    """Errors of an output against the face without a mouth, in the pixels `where` and on the edges in the box."""
    nowhere = np.full(4, np.nan)
    pasted = np.array(tuple(box), float)
    return {
        "l1": float(np.abs(output.astype(int) - clean)[where].mean()),
        "lines_lost": line_art_loss(FramePair(0, clean, output, pasted, nowhere)),
        "lines_left": line_art_loss(FramePair(0, output, clean, pasted, nowhere)),
    }


def measured(face: Face) -> list[dict]:
    """Errors of all ways of erasing one face whose mouth is located."""
    outputs, mask = erasings(face.source, face.pose, face.box)
    mouth = np.abs(face.source.astype(int) - face.clean).max(-1) > CHANGED
    box = erase.region(face.pose, face.source.shape)
    about = {"seed": face.scene.seed - FIRST_HELD_OUT, "style": face.scene.style, "shape": face.shape}
    return [
        about | {"method": name} | errors(output, face.clean, mouth | mask, box) for name, output in outputs.items()
    ]


def redrawn(face: Face) -> tuple[dict[str, np.ndarray], Box]:
    """The part of a face that may change, erased and as it is without a mouth, each alone and with a new mouth."""
    frame, pose, box = face.source, face.pose, erase.region(face.pose, face.source.shape)
    erased = erase.erase(frame, pose, face.box)
    look = look_of([Sample(face.box, pose, frame[box.slices], erased)])
    layer = draw.drawn(CHART[NEXT[face.shape]], seat_of(pose, face.box, look), look.pen, box)
    parts = {}
    for name, clean in (("erased", erased.pixels), ("true face", face.clean[box.slices])):
        parts |= {name: clean, f"{name}, new mouth": draw.composited(clean, layer)}
    return parts, box


def ghosts(face: Face) -> dict[str, float]:
    """Ghosting of a new mouth on the erased face and on the true face without a mouth, and of both without it."""
    lips = np.array([face.pose.left, face.pose.right, face.pose.top, face.pose.bottom])
    margin = 0.2 * face.pose.width
    mouth, pasted = np.r_[lips.min(0) - margin, lips.max(0) + margin], np.array(tuple(face.box), float)
    parts, box = redrawn(face)
    values = {}
    for name, part in parts.items():
        output = face.source.copy()
        output[box.slices] = part
        values[name] = ghosting(FramePair(0, face.source, output, pasted, mouth))
    return values


def picture(face: Face) -> np.ndarray:
    """Source, `cel.erase`, Telea in the same mask, and the true face without a mouth, side by side."""
    outputs, _ = erasings(face.source, face.pose, face.box)
    part = erase.region(face.pose, face.source.shape).slices
    row = [face.source, outputs["cel.erase"], outputs["Telea, same mask"], face.clean]
    return np.concatenate([cv2.resize(image[part], (300, 220), interpolation=cv2.INTER_NEAREST) for image in row], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=48)
    parser.add_argument("--first", type=int, default=700, help="first of the held-out characters")
    parser.add_argument("--beards", action="store_true", help="characters with a full beard alone")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of the worst faces")
    options = parser.parse_args()
    made = list(faces(options.first, options.faces, options.beards))
    located = {face.scene.seed - FIRST_HELD_OUT: face for face in made if face.pose is not None}
    table = pd.DataFrame([row for face in located.values() for row in measured(face)])
    columns = ["l1", "lines_lost", "lines_left"]
    print(f"{len(made)} faces, {len(located)} with a located mouth")
    groups = table.groupby("method", sort=False)[columns]
    print(
        pd.concat({"median": groups.median(), "90 %": groups.quantile(0.9), "n": groups.count()}, axis=1)
        .round(3)
        .to_string()
    )
    ghosting_of = pd.DataFrame({seed: ghosts(face) for seed, face in located.items()}).T
    print("ghosting:", ghosting_of.agg(["median", "mean", "count"]).round(4).to_string(), sep="\n")
    own = table[table["method"] == "cel.erase"]
    print(own.groupby("style")[columns].median().round(3).to_string())
    worst = own.sort_values("l1", ascending=False)
    print(worst.head(10).round(3).to_string(index=False))
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        rows = [picture(located[seed]) for seed in worst["seed"].head(12)]
        cv2.imwrite(str(options.pictures / "erasing.png"), np.concatenate(rows)[..., ::-1])
        rows = []
        for seed in ghosting_of["erased, new mouth"].sort_values(ascending=False).index[:3]:
            parts, box = redrawn(located[seed])
            rows.append([located[seed].source[box.slices], *parts.values()])
        rows = [np.hstack([cv2.resize(part, (240, 176), interpolation=cv2.INTER_AREA) for part in row]) for row in rows]
        cv2.imwrite(str(options.pictures / "ghosting.jpg"), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
