"""What the command line of training does, as functions of plain arguments.

Folders are shared by all of them: shards lie in ``DATA/train`` and ``DATA/validation``, whatever they hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.progress import Progress

if TYPE_CHECKING:
    from torch import nn


TRAINED = ("detector", "expert", "generator", "quality", "reader")
_VIDEO = {".avi", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}


def render(
    data: str | Path,
    *,
    recipe: str = "small-cpu",
    what: Sequence[str] = ("faces", "frames"),
    shards: int | None = None,
    first: int = 0,
    workers: int = 1,
    recordings: str | Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Render drawn material for training and validation.

    Parameters
    ----------
    data : path
        Shards go into ``train/`` and ``validation/`` in it; those that are there already stay.
    recipe : str
        A name of `recipes.RECIPES`, which says how many.
    what : sequence of {"faces", "frames"}
    shards : int, optional
        How many for training, instead of the recipe's number; validation gets the recipe's.
    first : int
        Number of the first for training: more of the same, later or elsewhere.
    workers : int
        Processes.
    recordings : path, optional
        Folder of recordings with GRID's ``.align`` files beside them, whose voices some characters get.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    """
    from lipsync_lab.training import render as rendering

    numbers = _recipe(recipe)
    found = _recordings(recordings)
    for one in what:
        train, held_out = numbers.face_shards if one == "faces" else numbers.frame_shards
        count = train if shards is None else shards
        common = {"workers": workers, "progress": progress}
        rendering.render(data, one, "train", count, first=first, recordings=found, **common)
        rendering.render(data, one, "validation", held_out, **common)


def preprocess(
    clips: Sequence[str | Path],
    out: str | Path,
    *,
    data: str | Path | None = None,
    detector: str | None = None,
    every: int = 1,
    threshold: float = 0.5,
    pads: tuple[int, int, int, int] = (0, 10, 0, 0),
    device: str = "cpu",
    progress: Progress | None = None,
) -> None:
    """Bring clips into the published layout, and when asked into shards.

    Parameters
    ----------
    clips : sequence of path
        Files, or folders that hold some. None of them: `out` holds crops in the layout already.
    out : path
        Folder of the layout.
    data : path, optional
        Pack all that is in `out` into shards there, one for training and one for validation.
    detector, threshold, every, pads
        See `preprocess.preprocess`; the detector by name or path as everywhere.
    device : str
    progress : callable, optional
    """
    from lipsync_lab import detection
    from lipsync_lab.training import clips as material
    from lipsync_lab.training.preprocess import preprocess as cut

    if clips:
        finder = detection.load(detector, device=device)
        cut(_clips(clips), out, finder, every=every, threshold=threshold, pads=pads, progress=progress)
    if data is not None:
        parts = material.split(material.read_layout(out, progress))
        for part, found in zip(("train", "validation"), parts, strict=True):
            if found:
                material.write_shard(Path(data) / part / f"film-{Path(out).resolve().name}", found)


def train(
    what: str,
    data: str | Path,
    out: str | Path,
    *,
    recipe: str = "small-cpu",
    expert: str | Path | None = None,
    generator: str | Path | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
    precision: str = "auto",
    minutes: float | None = None,
    progress: Progress | None = None,
    **changes: float,
) -> Path:
    """Train one network, or go on with it.

    Parameters
    ----------
    what : {"detector", "expert", "generator", "quality", "reader"}
    data : path
        Folder with shards in ``train/`` and ``validation/``.
    out : path
        Folder of the run.
    recipe : str
        A name of `recipes.RECIPES`.
    expert : path, optional
        For the generator: a run's folder, a file of weights, or a model's name.
    generator : path, optional
        The same, for the quality discriminator.
    weights : path, optional
        The same, for what is trained: it begins with these weights instead of random ones, and has their width. A run
        that is taken up goes on with its own.
    device, precision, minutes, progress
        See `loop.train`.
    changes
        Other numbers than the recipe's, such as ``steps=200``.

    Returns
    -------
    Path
        Of the log.
    """
    from lipsync_lab.training import loop
    from lipsync_lab.training.recipes import changed

    if what not in TRAINED:
        raise ParameterError(f"there is nothing to train by the name of {what!r}; take {', '.join(TRAINED)}")
    numbers = changed(getattr(_recipe(recipe), what), **changes)
    task = _task(what, numbers, Path(data), expert, generator, device)
    begun_from = "" if weights is None else _begin(task, weights)
    loop.train(task, out, device=device, precision=precision, minutes=minutes, begun_from=begun_from, progress=progress)
    return Path(out) / loop.LOG


def _begin(task, weights: str | Path) -> str:
    """Give the task's network these weights; returns what the card says of them."""
    mine, theirs = task.networks[task.kind], network_of(task.kind, weights)[0]
    wrong = [name for name, value in theirs.state_dict().items() if mine.state_dict()[name].shape != value.shape]
    if wrong:
        raise ParameterError(
            f"{weights}: has another width than the {task.recipe.width:g} of the recipe ({wrong[0]} differs); set the "
            "width that these weights have (--set width=...)"
        )
    mine.load_state_dict(theirs.state_dict())
    return Path(weights).name


def _task(what: str, numbers, data: Path, expert, generator, device: str):
    from lipsync_lab.training import detector as s3fd
    from lipsync_lab.training import discriminator, mouth_openness
    from lipsync_lab.training import expert as syncnet
    from lipsync_lab.training import generator as wav2lip
    from lipsync_lab.training.clips import open_shards

    held_out = data / "validation"
    if what == "detector":
        unseen = s3fd.open_frames(held_out) if held_out.is_dir() else ()
        return s3fd.DetectorTask(numbers, s3fd.open_frames(data / "train"), unseen)
    clips = open_shards(data / "train"), _spread(open_shards(held_out)) if held_out.is_dir() else ()
    if what == "expert":
        return syncnet.ExpertTask(numbers, *clips)
    if what == "reader":
        return mouth_openness.ReaderTask(numbers, *clips)
    if what == "quality":
        if generator is None:
            raise ParameterError("the quality discriminator learns from what a generator draws; give one")
        network, lead = network_of("generator", generator, device)
        return discriminator.QualityTask(numbers, *clips, network, lead)
    if numbers.sync > 0 and expert is None:
        raise ParameterError("the generator is taught by an expert; give one, or set sync=0")
    return wav2lip.GeneratorTask(numbers, *clips, expert and network_of("expert", expert, device)[0])


def _spread(clips: list) -> list:
    """The same clips with every kind and shard among the first ones, which is what checks in training look at."""
    import numpy as np

    return [clips[index] for index in np.random.default_rng(0).permutation(len(clips))]


def network_of(kind: str, given: str | Path, device: str = "cpu") -> tuple[nn.Module, int]:
    """A trained network, and the frames by which its mel windows start early (1 where nothing says so).

    Parameters
    ----------
    kind : str
        One of `TRAINED`.
    given : path or str
        A run's folder, a file of weights, or a model's name.
    device : str

    Raises
    ------
    CheckpointError
        It is not there, or is something else.
    """
    from lipsync_lab import checkpoints, statedict
    from lipsync_lab.training import loop

    if not Path(given).is_dir():
        return checkpoints.load(given, kind, device).model, 1
    state = loop.read_state(Path(given) / loop.STATE)
    recipe = state["recipe"]
    if kind not in state["averages"]:
        raise ParameterError(f"{given}: trained {', '.join(state['averages'])}, and a {kind} is wanted")
    network = statedict.network(kind, recipe["quality_width" if kind != state["kind"] else "width"])
    average = state["averages"][kind]
    prefix = "module."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in average.items() if k.startswith(prefix)})
    return network.eval().to(device), recipe.get("lead", 1)


def evaluate(
    what: str,
    weights: str | Path,
    data: str | Path,
    *,
    recipe: str = "small-cpu",
    reader: str | Path | None = None,
    expert: str | Path | None = None,
    generator: str | Path | None = None,
    clips: Sequence[str | Path] = (),
    boxes: str | Path | None = None,
    tiles: str | Path | None = None,
    step: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure one model on held-out material.

    Parameters
    ----------
    what : {"detector", "expert", "generator", "quality", "reader"}
    weights : path or str
        A run's folder, a file, or a model's name; for `clips` and `tiles` a detector must be a file or a name.
    data : path
        Folder with ``validation/``.
    recipe : str
        Says what is off sync.
    reader : path, optional
        The reader of mouths, which measures the generator; this project's own if not given.
    expert : path, optional
        Judges the generator too.
    generator : path, optional
        The quality discriminator needs it.
    clips : sequence of path
        For a detector: clips to count finds in.
    boxes : path, optional
        Recorded boxes of those clips; see `benchmark.read_boxes`. Clips that are not in it are counted without.
    tiles : path, optional
        A ``boxes.json`` beside its picture, whose tiles are searched one by one.
    step : int
        Look at one frame of `clips` out of so many.
    device : str
    progress : callable, optional

    Returns
    -------
    dict of str -> float
        See the functions of `benchmark`.
    """
    from lipsync_lab import checkpoints
    from lipsync_lab.training import benchmark as bars
    from lipsync_lab.training.clips import open_shards
    from lipsync_lab.training.detector import open_frames

    held_out = Path(data) / "validation"
    if what == "detector":
        numbers = bars.detector(network_of(what, weights, device)[0], open_frames(held_out))
        return numbers | _elsewhere(weights, clips, boxes, tiles, step, device, progress)
    network, lead = network_of(what, weights, device)
    found = open_shards(held_out)
    if what == "expert":
        return bars.sync_expert(network, found, _recipe(recipe).expert)
    if what == "generator":
        likes = expert and network_of("expert", expert, device)[0]
        judge = network_of("reader", reader or checkpoints.DEFAULTS["reader"], device)[0]
        return bars.generator(network, judge, found, lead=lead, likes=likes, progress=progress)
    if what == "quality":
        if generator is None:
            raise ParameterError("the quality discriminator is measured against a generator; give one")
        drawer, lead = network_of("generator", generator, device)
        return bars.judge_of_quality(network, drawer, found, lead=lead)
    if what == "reader":
        return bars.reader_of_mouths(network, found)
    raise ParameterError(f"nothing is measured by the name of {what!r}; take {', '.join(TRAINED)}")


def _elsewhere(weights, clips, boxes, tiles, step, device, progress) -> dict[str, float]:
    """A detector on recorded material."""
    import cv2

    from lipsync_lab import detection
    from lipsync_lab.geometry import Box
    from lipsync_lab.training import benchmark as bars

    if not clips and tiles is None:
        return {}
    if Path(weights).is_dir():
        raise ParameterError(f"{weights}: on clips a detector runs as it ships; export it, and give the file")
    finder, numbers = detection.load(weights, device=device), {}
    recorded = bars.read_boxes(boxes) if boxes else {}
    paths = _clips(clips) if clips else []
    known = [path for path in paths if path.stem in recorded]
    if known:
        found = bars.on_recorded(finder, known, recorded, step=step, progress=progress)
        numbers |= {f"recorded_{name}": value for name, value in found.items()}
    for path in paths:
        if path not in known:
            found = bars.on_clips(finder, [path], step=step)
            numbers |= {f"{path.stem}_{name}": value for name, value in found.items()}
    if tiles:
        try:
            (about,) = json.loads(Path(tiles).read_text(encoding="utf-8")).values()
            # the picture has the file's own name there, or lies beside the boxes under a shorter one
            beside = [Path(tiles).parent / Path(about["file"]).name, *sorted(Path(tiles).parent.glob("*.jpg"))]
            rows = [(*one["tile"], Box(*one["box_xyxy"])) for one in about["boxes"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MediaError(f"{tiles}: cannot be read as boxes of tiles ({error}); give their boxes.json") from None
        picture = next((cv2.imread(str(path)) for path in beside if path.is_file()), None)
        if picture is None:
            raise MediaError(f"{tiles}: the picture of these boxes is not beside it; put it there")
        found = bars.on_tiles(finder, picture[..., ::-1], about["tile"], rows)
        numbers |= {f"tiles_{name}": value for name, value in found.items()}
    return numbers


def _recipe(name: str):
    from lipsync_lab.training.recipes import RECIPES

    if name not in RECIPES:
        raise ParameterError(f"there is no recipe {name!r}; take {', '.join(RECIPES)}")
    return RECIPES[name]


def _recordings(folder: str | Path | None) -> tuple[tuple[str, str], ...]:
    """Recordings with alignments that are not held out as clips either."""
    if folder is None:
        return ()
    from lipsync_lab.training.clips import held_out

    pairs = []
    for alignment in sorted(Path(folder).glob("*.align")):
        sounds = [path for path in alignment.parent.glob(f"{alignment.stem}.*") if path != alignment]
        if sounds and not held_out(alignment.stem):
            pairs.append((str(sounds[0]), str(alignment)))
    if not pairs:
        raise MediaError(f"{folder}: holds no recording with an .align file beside it")
    return tuple(pairs)


def _clips(given: Sequence[str | Path]) -> list[Path]:
    """Files as they are, folders as the videos in them."""
    found = []
    for path in map(Path, given):
        inside = sorted(one for one in path.iterdir() if one.suffix.lower() in _VIDEO) if path.is_dir() else [path]
        if not inside:
            raise MediaError(f"{path}: holds no clip ({', '.join(sorted(_VIDEO))})")
        found += inside
    return found
