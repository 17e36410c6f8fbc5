"""Label the faces of a clip by eye, as ``data/study/labels.csv`` holds them, with no detector in view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw

from lipsync_lab import files, limits, samples
from lipsync_lab.detection.shots import Shots, shot_numbers
from lipsync_lab.errors import LipsyncError, MediaError, ParameterError
from lipsync_lab.evaluation.study import BOX, LABEL_STEP
from lipsync_lab.explorer.edits import Edits
from lipsync_lab.explorer.frames import Frames
from lipsync_lab.explorer.session import LEAST_SIDE
from lipsync_lab.explorer.stage import Stage
from lipsync_lab.explorer.viewport import Viewport
from lipsync_lab.figures.style import PROVENANCE_COLOURS
from lipsync_lab.geometry import Box
from lipsync_lab.media.clip import open_clip

if TYPE_CHECKING:
    import pandas

#: Columns of a file of labels.
COLUMNS = ("clip", "frame", "face", *BOX, "pass")
_HINT = (
    "Drag to draw the face's box; <b>n</b> next unlabelled frame, <b>x</b> no face, <b>c</b> copy of the box before, "
    "<b>i</b> interpolate between the labels around this frame, <b>u</b> undo, <b>s</b> save, <b>←</b> <b>→</b> one "
    "frame, <b>wheel</b> or <b>+</b> <b>-</b> <b>0</b> zoom."
)


class Repeatability(NamedTuple):
    """How well two passes of labels agree: see `repeatability`."""

    median: float
    lowest: float
    n: int
    disagreed: int


def repeatability(a: pandas.DataFrame, b: pandas.DataFrame) -> Repeatability:
    """The agreement of two passes over the same frames.

    Parameters
    ----------
    a, b : DataFrame
        Columns clip, frame, face and `BOX`, as `evaluation.study.labels`. Faces other than the target do not count.

    Returns
    -------
    Repeatability
        Median and lowest intersection over union over the `n` frames with a target in both passes (NaN without any),
        and the number of frames that have a target in one pass and were labelled "none" in the other.
    """
    a, b = (table[table["face"].isin(["target", "none"])] for table in (a, b))
    pairs = a.merge(b, on=["clip", "frame"], suffixes=("", "_b"))
    both = pairs[(pairs["face"] == "target") & (pairs["face_b"] == "target")]
    other = both[[f"{side}_b" for side in BOX]].to_numpy(float)
    overlaps = [Box(*x).iou(Box(*y)) for x, y in zip(both[BOX].to_numpy(float), other, strict=True)]
    disagreed = int((pairs["face"] != pairs["face_b"]).sum())
    if not overlaps:
        return Repeatability(float("nan"), float("nan"), 0, disagreed)
    return Repeatability(float(np.median(overlaps)), min(overlaps), len(overlaps), disagreed)


class Labels:
    """Labels of a clip's frames, one pass, and the file that they are kept in.

    Parameters
    ----------
    clip : str or path
        A sample's name, or any clip.
    path : path
        A CSV file with the columns `COLUMNS`; it is made if absent. Labels in it of this clip and pass are taken over.
    frames : sequence of int, optional
        Frames to label; None for every `LABEL_STEP`-th.
    number : int
        Of the pass. A second one (2) does not show the first one's boxes.

    Raises
    ------
    LipsyncError
        The clip or file cannot be read.

    Attributes
    ----------
    name : str
        Of the clip, in the file: the sample's name, or the file's without its ending.
    frames : tuple of int
    edits : Edits
        The labels: a box, or None for a frame without a face.
    """

    def __init__(self, clip: str | Path, path: str | Path, frames: Sequence[int] | None = None, number: int = 1):
        self.path, self.number = Path(path), number
        self.clip = open_clip(clip)
        self.name = str(clip) if str(clip) in samples.names() else Path(clip).stem
        self.size, self._read = self.clip.view.size, Frames(self.clip.read, self.clip.view.size)
        count = self.clip.expected or sum(1 for _ in self.clip.read(0, None))
        self.frames = tuple(range(0, count, LABEL_STEP) if frames is None else sorted(frames))
        self._count, self._undone = count, []
        if not self.frames or not 0 <= self.frames[0] <= self.frames[-1] < count:
            raise ParameterError(f"{self.name}: the frames to label must be numbers from 0 to {count - 1}")
        own = self._table().query("clip == @self.name and `pass` == @self.number and face != 'other'")
        given = own.set_index("frame")
        boxes = {
            n: None if row["face"] == "none" else Box(*(float(row[side]) for side in BOX))
            for n, row in given.iterrows()
        }
        self.edits = Edits(boxes)

    def __len__(self) -> int:
        return self._count

    def image(self, frame: int) -> np.ndarray:
        """A frame, uint8 RGB (H, W, 3)."""
        return self._read[frame]

    def label(self, frame: int) -> Box | None:
        """The label of a frame; None where it has no face or no label yet."""
        return self.edits.boxes.get(frame, self.edits.interpolated.get(frame))

    def unlabelled(self) -> list[int]:
        """The frames that still have to be labelled."""
        return [n for n in self.frames if n not in self.edits.boxes and n not in self.edits.interpolated]

    def following(self, frame: int) -> int | None:
        """The next unlabelled frame after a frame, around the clip's end; None where all are labelled."""
        left = self.unlabelled()
        return next((n for n in left if n > frame), left[0] if left else None)

    def draw(self, frame: int, box: Box) -> Box | None:
        """Label a frame's face. Returns the box in whole pixels; None, and nothing is changed, below `LEAST_SIDE`."""
        box = Box(*(round(value) for value in box)).clipped(*self.size)
        if min(box.width, box.height) < LEAST_SIDE:
            return None
        self._change(self.edits.with_box(frame, box))
        return box

    def no_face(self, frame: int) -> None:
        """Label a frame as one without a face."""
        self._change(self.edits.with_box(frame, None))

    def copy(self, frame: int) -> Box:
        """Label a frame with the last box before it; raises `ParameterError` where there is none."""
        boxes = self.edits.interpolated | self.edits.boxes
        before = max((n for n, box in boxes.items() if n < frame and box is not None), default=None)
        if before is None:
            raise ParameterError(f"frame {frame}: no frame before it has a box")
        return self.draw(frame, boxes[before])

    def interpolate(self, frame: int) -> None:
        """Label the frames between the two boxes around a frame; see `Edits.with_interpolation`."""
        self._change(self.edits.with_interpolation(frame, self._shots))

    def undo(self) -> bool:
        """Take the last label back; False where there is none."""
        if self._undone:
            self.edits = self._undone.pop()
            return True
        return False

    def _change(self, edits: Edits) -> None:
        self._undone.append(self.edits)
        self.edits = edits

    @cached_property
    def _shots(self) -> np.ndarray:
        shots = Shots(float(self.clip.fps))
        for image in self.clip.read(0, None):
            shots.add(image)
        return shot_numbers(shots.starts, len(self))

    def table(self) -> pandas.DataFrame:
        """The labels of this clip and pass as they are saved, with the columns `COLUMNS`."""
        import pandas as pd

        boxes = self.edits.interpolated | self.edits.boxes
        wanted = sorted(set(self.edits.boxes) | (set(boxes) & set(self.frames)))
        rows = [
            (self.name, n, "none", *[np.nan] * 4, self.number)
            if boxes[n] is None
            else (self.name, n, "target", *boxes[n], self.number)
            for n in wanted
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def save(self) -> Path:
        """Write the labels into the file; other clips', other passes' and other faces' rows stay as they are."""
        import pandas as pd

        table = self._table()
        own = (table["clip"] == self.name) & (table["pass"] == self.number) & (table["face"] != "other")
        parts = [part for part in (table[~own], self.table()) if len(part)]
        table = pd.concat(parts or [table]).sort_values(["pass", "clip", "frame"], kind="stable")
        table[BOX] = table[BOX].astype(float).round().astype("Int64")
        files.write_text(self.path, table[list(COLUMNS)].to_csv(index=False, lineterminator="\n"))
        return self.path

    def _table(self) -> pandas.DataFrame:
        import pandas as pd

        if not self.path.exists():
            return pd.DataFrame({name: [] for name in COLUMNS})
        try:
            table = pd.read_csv(limits.checked(self.path))
        except (OSError, ValueError) as error:
            raise MediaError(f"{self.path}: cannot be read ({error}); name a file of labels, or a new one") from None
        if absent := [name for name in COLUMNS if name not in table]:
            raise MediaError(f"{self.path}: not a file of labels, it has no column {', '.join(absent)}")
        return table


class Labeller(widgets.VBox):
    """Widgets over `Labels`: parameters as there.

    Attributes
    ----------
    labels : Labels
    frame : int
        The frame that is shown, first the first unlabelled one.
    """

    def __init__(self, clip: str | Path, path: str | Path, frames: Iterable[int] | None = None, number: int = 1):
        self.labels = Labels(clip, path, None if frames is None else list(frames), number)
        left = self.labels.unlabelled()
        self.frame = left[0] if left else self.labels.frames[0]
        self.stage = Stage(self._picture, self._on_box, self._on_key, lambda: self.labels.edits.boxes.get(self.frame))
        self.words, self.status = widgets.HTML(), widgets.HTML()
        self._actions = {
            "n": ("Next unlabelled", lambda: self._go(self.labels.following(self.frame))),
            "x": ("No face", lambda: self.labels.no_face(self.frame)),
            "c": ("Copy box before", lambda: self.labels.copy(self.frame)),
            "i": ("Interpolate", lambda: self.labels.interpolate(self.frame)),
            "u": ("Undo", self.labels.undo),
            "s": ("Save", self._save),
        }
        self.buttons = {}
        for key, (words, _) in self._actions.items():
            self.buttons[key] = widgets.Button(description=words, layout=widgets.Layout(width="auto"))
            self.buttons[key].on_click(lambda _, key=key: self._on_key(key))
        super().__init__(
            [self.words, self.stage, widgets.HBox([*self.buttons.values(), self.status]), widgets.HTML(_HINT)]
        )
        self.add_class("lipsync-lab-labeller")
        self.stage.begin(self.labels.size)
        self._show()

    def _picture(self, viewport: Viewport) -> np.ndarray:
        picture = Image.fromarray(viewport.picture(self.labels.image(self.frame)))
        if (box := self.labels.label(self.frame)) is not None:
            kind = "manual" if self.frame in self.labels.edits.boxes else "interpolated"
            draw, corners = ImageDraw.Draw(picture), [round(value) for value in viewport.to_screen(box)]
            draw.rectangle([corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1], outline="white", width=4)
            draw.rectangle(corners, outline=PROVENANCE_COLOURS[kind], width=2)
        return np.array(picture)

    def _show(self) -> None:
        self.stage.show()
        labels = self.labels
        state = "no label yet"
        if self.frame in labels.edits.boxes or self.frame in labels.edits.interpolated:
            box = labels.label(self.frame)
            state = "no face" if box is None else "face " + ", ".join(f"{value:g}" for value in box)
        left = len(labels.unlabelled())
        self.words.value = (
            f"{escape(labels.name)}, frame {self.frame} of 0 to {len(labels) - 1}: <b>{state}</b>; "
            f"{left} of {len(labels.frames)} frames left, pass {labels.number}"
        )

    def _go(self, frame: int | None) -> None:
        if frame is None:
            raise ParameterError("all frames are labelled")
        self.frame = min(max(0, frame), len(self.labels) - 1)

    def _save(self) -> None:
        self.status.value = f"{escape(str(self.labels.save()))}: {len(self.labels.table())} frames saved"

    def _on_box(self, box: Box) -> None:
        self.labels.draw(self.frame, box)
        self._show()

    def _on_key(self, name: str, shift: bool = False, *_: Any) -> None:
        self.status.value = ""
        try:
            if name in self._actions:
                self._actions[name][1]()
            elif name in ("ArrowLeft", "ArrowRight"):
                self._go(self.frame + (1 if name == "ArrowRight" else -1) * (LABEL_STEP if shift else 1))
        except LipsyncError as error:
            self.status.value = f'<span style="color:#B3261E">{escape(str(error))}</span>'
        self._show()
