"""Render the pictures of the glossary and of the tutorials into docs/pictures, with the character generator.

    python benchmarks/render_concepts.py

mouth_chart.png: the nine mouth shapes of one character. cadence.png: the same moment on ones, twos and threes, with the
drawings that are held. exposure_sheet.png: the exposure sheet of a bundled clip beside its frames. several_faces.jpg:
two characters in one clip, each dubbed with its own voice.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib

import lipsync_lab

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lipsync_lab import samples
from lipsync_lab.figures.style import ACCENT, DOMAIN_COLOURS, GREY, INK, STYLE
from lipsync_lab.generation.cel.shapes import CHART
from lipsync_lab.media import video
from lipsync_lab.synthesis import visemes
from lipsync_lab.synthesis.animation.scene import frames
from lipsync_lab.synthesis.animation.settings import Scene
from lipsync_lab.synthesis.speech import speak

OUT = Path(__file__).parents[1] / "docs" / "pictures"
_CHARACTER = {"seed": 2, "style": "western", "framing": "portrait", "grain": 0.0, "size": (256, 256)}
#: What each shape is for, after the conventions of Rhubarb Lip Sync and Preston Blair's chart.
_SOUNDS = {
    "A": "closed: m, b, p",
    "B": "teeth together: s, t, ee",
    "C": "open: eh, ae",
    "D": "wide open: ah",
    "E": "rounded: oh, er",
    "F": "puckered: oo, w",
    "G": "teeth on lip: f, v",
    "H": "tongue up: l",
    "X": "at rest",
}


def _drawn(shape, **settings) -> np.ndarray:
    scene = Scene(**(_CHARACTER | settings))
    return next(frames(scene, lambda time: shape, 1 / scene.fps))[0]


def mouth_chart(path: Path) -> None:
    """Draw the nine shapes of the chart on one face."""
    figure, axes = plt.subplots(1, 9, figsize=(9.0, 1.75))
    for ax, (name, shape) in zip(axes, CHART.items(), strict=True):
        ax.imshow(_drawn(shape)[110:250, 60:200])
        ax.set_title(name, fontsize=11, color=INK, fontweight="bold")
        ax.set_xlabel(_SOUNDS[name].replace(": ", ":\n"), fontsize=7)
        _bare(ax)
    _save(figure, path)


def cadence(path: Path, shown: int = 12, start: int = 8) -> None:
    """Show the same twelve frames on ones, twos and threes; a held frame is pale."""
    timeline = visemes.timeline(speak("Hello, my mother loves apples."))
    figure, axes = plt.subplots(3, shown, figsize=(9.0, 2.9))
    for row, (exposure, label) in enumerate(((1, "on ones"), (2, "on twos"), (3, "on threes"))):
        scene = Scene(**(_CHARACTER | {"exposure": exposure, "mouth_exposure": exposure, "life": 0.6}))
        poses = frames(scene, lambda time: visemes.pose_at(timeline, time), (start + shown) / scene.fps)
        pictures = [pixels for pixels, _ in poses]
        for column, ax in enumerate(axes[row]):
            number = start - start % 6 + column
            held = number % exposure > 0
            ax.imshow(pictures[number][110:250, 60:200], alpha=0.3 if held else 1.0)
            _bare(ax, GREY if held else ACCENT)
            if row == 2:
                ax.set_xlabel(f"{column}", fontsize=8)
            if column == 0:
                ax.set_ylabel(label, fontsize=9)
    figure.supxlabel("frame (25 a second); orange: a new drawing, grey and pale: the drawing is held", fontsize=8)
    _save(figure, path)


def exposure_sheet(path: Path, name: str = "animation_hello", first: int = 20, shown: int = 14) -> None:
    """Show the exposure sheet of a bundled clip: frames, drawing numbers, mouth shapes and sounds."""
    clip = samples.path(name)
    truth = pd.read_csv(clip.with_suffix(".truth.csv"), keep_default_na=False).iloc[first : first + shown]
    pictures = {frame.index: frame.image for frame in video.frames(clip) if frame.index in truth["frame"].to_numpy()}
    figure, axes = plt.subplots(2, shown, figsize=(9.0, 2.1), height_ratios=(1, 0.9))
    before = None
    for column, (number, row) in enumerate(truth.set_index("frame").iterrows()):
        x1, y1, x2, y2 = (int(float(row[f"mouth_{edge}"])) for edge in ("x1", "y1", "x2", "y2"))
        middle, half = ((x1 + x2) // 2, (y1 + y2) // 2), 34
        axes[0, column].imshow(
            pictures[number][middle[1] - half : middle[1] + half, middle[0] - half : middle[0] + half]
        )
        new = row["drawing"] != before
        _bare(axes[0, column], ACCENT if new else GREY)
        axes[1, column].set_axis_off()
        texts = (str(number), str(row["drawing"]) if new else "–", row["shape"], row["phoneme"] or "·")
        for line, text in enumerate(texts):
            axes[1, column].text(0.5, 0.92 - 0.27 * line, text, ha="center", va="center", fontsize=8, color=INK)
        before = row["drawing"]
    for line, text in enumerate(("frame", "drawing", "mouth", "sound")):
        axes[1, 0].text(
            -0.75, 0.92 - 0.27 * line, text, ha="right", va="center", fontsize=8, color=DOMAIN_COLOURS["animation"]
        )
    _save(figure, path)


def several_faces(path: Path, names: tuple[str, str] = ("animation_kettle", "animation_apples")) -> None:
    """Dub two bundled clips that stand side by side, and show frames of the source and of the output."""
    voices = [samples.path("voice_umbrella"), samples.path("voice_lighthouse")]
    both = [[frame.image for frame in video.frames(samples.path(name))] for name in names]
    source = [np.hstack(pair) for pair in zip(*both, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        clip = video.write_clip(Path(folder) / "two.mp4", source, 25)
        run = lipsync_lab.dub(clip, voices, Path(folder) / "run", preset="animation", faces="all")
        output = [frame.image for frame in video.frames(run.output)]
    shown = (12, 20, 28, 44)
    figure, axes = plt.subplots(2, len(shown), figsize=(9.0, 1.75), layout="constrained")
    for column, number in enumerate(shown):
        for ax, frame in zip(axes[:, column], (source[number], output[number]), strict=True):
            ax.imshow(frame[70:250])
            _bare(ax)
        axes[1, column].set_xlabel(f"frame {number}", fontsize=8)
    for ax, label in zip(axes[:, 0], ("source", "output"), strict=True):
        ax.set_ylabel(label, fontsize=9)
    _save(figure, path)


def _bare(ax, edge: str | None = None) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(edge is not None)
        spine.set_color(edge)
        spine.set_linewidth(2)


def _save(figure, path: Path) -> None:
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)
    print(path)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with plt.style.context(STYLE):
        mouth_chart(OUT / "mouth_chart.png")
        cadence(OUT / "cadence.png")
        exposure_sheet(OUT / "exposure_sheet.png")
        several_faces(OUT / "several_faces.jpg")


if __name__ == "__main__":
    main()
