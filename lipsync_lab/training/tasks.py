"""The steps of training as functions: render, preprocess, fit, benchmark.

All steps share a folder of material: shards lie in ``DATA/train`` and ``DATA/validation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab import renamed
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.progress import Progress

if TYPE_CHECKING:
    from torch import nn

#: Kinds of models that can be trained.
TRAINED = (
    *("detector", "sync_expert", "generator", "discriminator", "mouth_openness", "visemes", "mouth_locator"),
    "restorer",
)
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
    flite_lines: int = 0,
    texts: str | Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Render synthetic material for training and validation.

    Parameters
    ----------
    data : path
        Folder of the shards, which go into ``train/`` and ``validation/``; existing shards are kept.
    recipe : str
        Key of `recipes.RECIPES`, which has the number of shards.
    what : sequence of {"faces", "twins", "frames", "hard", "voices", "mouths"}
        "twins" are pairs of clips that differ only by their lines, for the restorer; "hard" frames are further frames
        for the detector.
    shards : int, optional
        Number of training shards instead of the recipe's; validation has the recipe's number.
    first : int
        Number of the first training shard, to add more later or on another machine.
    workers : int
        Processes.
    recordings : path, optional
        Folder of recordings with GRID's ``.align`` files beside them, as voices of some characters.
    flite_lines : int
        Lines that Flite speaks, among the training's voices; the program must be installed.
    texts : path, optional
        For `visemes.read_texts`: recordings with a text, among the training's voices.
    progress : callable, optional
    """
    from lipsync_lab.training import mouth_examples
    from lipsync_lab.training import render as rendering

    numbers, pairs = _recipe(recipe), _recordings(recordings)
    if "voices" in what:
        from lipsync_lab.training import visemes

        visemes.write(data, pairs, flite_lines, progress, visemes.read_texts(texts) if texts else ())
    for content in (content for content in what if content != "voices"):
        count, held_out = getattr(numbers, f"{content.rstrip('s')}_shards")
        count = count if shards is None else shards
        common = {"workers": workers, "progress": progress}
        common |= {"make": mouth_examples.make_shard} if content == "mouths" else {}
        rendering.render(data, content, "train", count, first=first, recordings=pairs, **common)
        rendering.render(data, content, "validation", held_out, **common)


def preprocess(
    clips: Sequence[str | Path],
    out: str | Path,
    *,
    data: str | Path | None = None,
    detector: str | None = None,
    step: int = 1,
    threshold: float = 0.5,
    pads: tuple[int, int, int, int] = (0, 10, 0, 0),
    device: str = "cpu",
    progress: Progress | None = None,
) -> None:
    """Bring clips into the published layout, and optionally into shards.

    Parameters
    ----------
    clips : sequence of path
        Files, or folders of files. If empty, `out` contains crops in the layout already.
    out : path
        Folder of the layout.
    data : path, optional
        Folder for one shard for training and one for validation, of all clips in `out`.
    detector, threshold, step, pads
        See `preprocess.preprocess`; the detector by name or path.
    device : str
    progress : callable, optional
    """
    from lipsync_lab import detection
    from lipsync_lab.training import clips as layout
    from lipsync_lab.training.preprocess import preprocess as crop

    if clips:
        loaded = detection.load(detector, device=device)
        crop(_clips(clips), out, loaded, step=step, threshold=threshold, pads=pads, progress=progress)
    if data is not None:
        parts = layout.split(layout.read_layout(out, progress))
        for part, members in zip(("train", "validation"), parts, strict=True):
            if members:
                layout.write_shard(Path(data) / part / f"film-{Path(out).resolve().name}", members)


def fit(
    kind: str,
    data: str | Path,
    out: str | Path,
    *,
    recipe: str = "small-cpu",
    sync_expert: str | Path | None = None,
    generator: str | Path | None = None,
    discriminator: str | Path | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
    precision: str = "auto",
    minutes: float | None = None,
    progress: Progress | None = None,
    **changes: float,
) -> Path:
    """Train a model, or continue its training.

    Parameters
    ----------
    kind : str
        One of `TRAINED`.
    data : path
        Folder with shards in ``train/`` and ``validation/``.
    out : path
        Folder of the run.
    recipe : str
        Key of `recipes.RECIPES`.
    sync_expert : path, optional
        For the generator: a run's folder, a file of weights, or a model's name.
    generator : path, optional
        The same, for the discriminator and the restorer.
    discriminator : path, optional
        The same, for the generator's and the restorer's adversarial loss: initial weights of the discriminator.
    weights : path, optional
        The same, as initial weights instead of random ones; their width must be the recipe's. A run that is continued
        keeps its own weights.
    device, precision, minutes, progress
        See `loop.train`.
    **changes
        Numbers of the recipe to change, such as ``steps=200``.

    Returns
    -------
    Path
        The log.
    """
    from lipsync_lab.training import loop
    from lipsync_lab.training.recipes import changed

    kind = _kind(kind)
    numbers = changed(getattr(_recipe(recipe), kind), **changes)
    task = _task(kind, numbers, Path(data), sync_expert, generator, discriminator, device)
    begun_from = "" if weights is None else _begin(task, weights)
    loop.train(task, out, device=device, precision=precision, minutes=minutes, begun_from=begun_from, progress=progress)
    return Path(out) / loop.LOG


def _kind(name: str) -> str:
    name = renamed.model(name)
    if name not in TRAINED:
        raise ParameterError(f"no model is of kind {name!r}; take {', '.join(TRAINED)}")
    return name


def _begin(task, weights: str | Path) -> str:
    """Load initial weights into the task's network; return their name for the model card."""
    own, given = task.networks[task.kind], network_of(task.kind, weights)[0]
    wrong = [name for name, value in given.state_dict().items() if own.state_dict()[name].shape != value.shape]
    if wrong:
        raise ParameterError(
            f"{weights}: has another width than the {task.recipe.width:g} of the recipe ({wrong[0]} differs); set the "
            "width that these weights have (--set width=...)"
        )
    own.load_state_dict(given.state_dict())
    return Path(weights).name


def _task(kind: str, numbers, data: Path, sync_expert, generator, discriminator, device: str):
    from lipsync_lab.models import registry
    from lipsync_lab.training import detector as s3fd
    from lipsync_lab.training import discriminator as quality
    from lipsync_lab.training import expert as syncnet
    from lipsync_lab.training import generator as wav2lip
    from lipsync_lab.training import mouth_examples, mouth_locator, mouth_openness, restorer
    from lipsync_lab.training.clips import open_shards

    held_out = data / "validation"
    if kind == "detector":
        unseen = s3fd.open_frames(held_out) if held_out.is_dir() else ()
        return s3fd.DetectorTask(numbers, s3fd.open_frames(data / "train"), unseen)
    if kind == "visemes":
        from lipsync_lab.training import visemes

        splits = [visemes.read(data / part / visemes.FILE) for part in ("train", "validation")]
        return visemes.VisemesTask(numbers, *splits)
    if kind == "mouth_locator":
        unseen = mouth_examples.open_examples(held_out) if held_out.is_dir() else None
        return mouth_locator.MouthLocatorTask(numbers, mouth_examples.open_examples(data / "train"), unseen)
    clips = open_shards(data / "train"), _shuffled(open_shards(held_out)) if held_out.is_dir() else ()
    if kind == "sync_expert":
        return syncnet.SyncExpertTask(numbers, *clips)
    if kind == "mouth_openness":
        return mouth_openness.MouthOpennessTask(numbers, *clips)
    if kind in ("discriminator", "restorer"):
        if generator is None:
            raise ParameterError(f"the {kind} is trained on faces of a generator; give one with --generator")
        source = network_of("generator", generator, device)
        if kind == "discriminator":
            return quality.DiscriminatorTask(numbers, *clips, *source)
        judge = network_of("discriminator", discriminator, device)[0] if discriminator else None
        regressor = network_of("mouth_openness", registry.DEFAULTS["mouth_openness"], device)[0]
        return restorer.RestorerTask(numbers, *clips, *source, discriminator=judge, regressor=regressor)
    if numbers.sync > 0 and sync_expert is None:
        raise ParameterError("the generator is trained with a sync expert; give one with --sync-expert, or set sync=0")
    given = {"sync_expert": sync_expert, "discriminator": discriminator}
    loaded = {name: network_of(name, model, device)[0] for name, model in given.items() if model}
    return wav2lip.GeneratorTask(numbers, *clips, **loaded)


def _shuffled(clips: list) -> list:
    """Shuffle clips, so that the first ones, which are used for checks during training, cover all domains."""
    import numpy as np

    return [clips[index] for index in np.random.default_rng(0).permutation(len(clips))]


def network_of(kind: str, given: str | Path, device: str = "cpu") -> tuple[nn.Module, int]:
    """Load a trained network.

    Parameters
    ----------
    kind : str
        One of `TRAINED`.
    given : path or str
        A run's folder, a file of weights, or a model's name.
    device : str

    Returns
    -------
    network : torch.nn.Module
        In evaluation mode.
    audio_offset : int
        Frames by which its mel windows start early; 1 if unknown.

    Raises
    ------
    CheckpointError
        It is absent, or of another kind.
    """
    from lipsync_lab.models import registry
    from lipsync_lab.models import weights as statedict
    from lipsync_lab.training import loop

    if not Path(given).is_dir():
        return registry.load(given, kind, device).model, 1
    state = loop.read_state(Path(given) / loop.STATE)
    recipe = state["recipe"]
    if kind not in state["averages"]:
        raise ParameterError(f"{given}: trained {', '.join(state['averages'])}, and a {kind} is wanted")
    width = recipe["discriminator_width" if kind != state["kind"] else "width"]
    network = statedict.network(kind, width)
    network.load_state_dict(loop.average_of(state, kind))
    return network.eval().to(device), recipe.get("audio_offset", 1)


def benchmark(
    kind: str,
    weights: str | Path,
    data: str | Path,
    *,
    recipe: str = "small-cpu",
    mouth_openness: str | Path | None = None,
    sync_expert: str | Path | None = None,
    generator: str | Path | None = None,
    clips: Sequence[str | Path] = (),
    boxes: str | Path | None = None,
    tiles: str | Path | None = None,
    step: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure a model on held-out material.

    Parameters
    ----------
    kind : str
        One of `TRAINED`.
    weights : path or str
        A run's folder, a file, or a model's name; for `clips` and `tiles` a detector must be a file or a name.
    data : path
        Folder with ``validation/``.
    recipe : str
        Its rule for off-sync windows is used.
    mouth_openness : path, optional
        The mouth-openness regressor that measures a generator; the bundled one if not given.
    sync_expert : path, optional
        Measures a generator too.
    generator : path, optional
        Source of generated faces for the discriminator and the restorer.
    clips : sequence of path
        For a detector: clips in which to count detections. For a mouth locator: clips with marked mouths.
    boxes : path, optional
        For a detector: recorded boxes of those clips; see `benchmark.read_boxes`. Without boxes only the detections are
        counted. For a mouth locator: its table of marked mouths.
    tiles : path, optional
        A ``boxes.json`` beside its picture of tiles.
    step : int
        Every `step`-th frame of `clips` is measured.
    device : str
    progress : callable, optional

    Returns
    -------
    dict of str -> float
        Defined in `benchmark.MEANINGS`.
    """
    from lipsync_lab.models import registry
    from lipsync_lab.training import benchmark as measures
    from lipsync_lab.training import mouth_examples, restorer
    from lipsync_lab.training.clips import open_shards
    from lipsync_lab.training.detector import held_out_scores

    kind, held_out = _kind(kind), Path(data) / "validation"
    network, audio_offset = network_of(kind, weights, device)
    if kind == "detector":
        numbers = held_out_scores(network, held_out)
        return numbers | _recorded_material(weights, clips, boxes, tiles, step, device, progress)
    if kind == "visemes":
        from lipsync_lab.training import visemes

        return visemes.accuracy(network, visemes.read(held_out / visemes.FILE))
    if kind == "mouth_locator":
        numbers = measures.mouth_locator(network, mouth_examples.open_examples(held_out))
        return numbers | (_marked_mouths(network, clips, boxes) if clips else {})
    shards = open_shards(held_out)
    if kind == "sync_expert":
        return measures.sync_expert(network, shards, _recipe(recipe).sync_expert)
    if kind == "mouth_openness":
        return measures.openness_regressor(network, shards)
    regressor = network_of("mouth_openness", mouth_openness or registry.DEFAULTS["mouth_openness"], device)[0]
    if kind in ("discriminator", "restorer"):
        if generator is None:
            raise ParameterError(f"the {kind} is measured with a generator; give one with --generator")
        source, audio_offset = network_of("generator", generator, device)
        if kind == "restorer":
            return restorer.measure(network, source, regressor, shards, audio_offset, progress)
        return measures.quality_discriminator(network, source, shards, audio_offset=audio_offset)
    expert = sync_expert and network_of("sync_expert", sync_expert, device)[0]
    return measures.generator(
        network, regressor, shards, audio_offset=audio_offset, sync_expert=expert, progress=progress
    )


def _marked_mouths(network, clips, marks) -> dict[str, float]:
    """Measure the mouth locator on clips with marked mouths."""
    from lipsync_lab.training import mouth_marks

    if marks is None:
        raise ParameterError("the clips need marked mouths; give their table with --boxes, as data/study/mouths.csv")
    numbers = mouth_marks.measure(network, _clips(clips), mouth_marks.read_marks(marks))
    return {f"marked_{name}": value for name, value in numbers.items()}


def _recorded_material(weights, clips, boxes, tiles, step, device, progress) -> dict[str, float]:
    """Measure a detector on recorded clips and on a picture of tiles."""
    from lipsync_lab import detection
    from lipsync_lab.training import benchmark as measures
    from lipsync_lab.training.detector import read_tiles

    if not clips and tiles is None:
        return {}
    if Path(weights).is_dir():
        raise ParameterError(f"{weights}: a run's folder cannot be measured on clips; export it, and give the file")
    detector, numbers = detection.load(weights, device=device), {}
    recorded = measures.read_boxes(boxes) if boxes else {}
    paths = _clips(clips) if clips else []
    known = [path for path in paths if path.stem in recorded]
    if known:
        scores = measures.recorded_recall(detector, known, recorded, step=step, progress=progress)
        numbers |= {f"recorded_{name}": value for name, value in scores.items()}
    for path in paths:
        if path not in known:
            counts = measures.detection_counts(detector, [path], step=step)
            numbers |= {f"{path.stem}_{name}": value for name, value in counts.items()}
    if tiles:
        numbers |= {f"tiles_{name}": v for name, v in measures.tile_scores(detector, *read_tiles(tiles)).items()}
    return numbers


def _recipe(name: str):
    from lipsync_lab.training.recipes import RECIPES

    if name not in RECIPES:
        raise ParameterError(f"there is no recipe {name!r}; take {', '.join(RECIPES)}")
    return RECIPES[name]


def _recordings(folder: str | Path | None) -> tuple[tuple[str, str], ...]:
    """Return pairs of recording and alignment, without the recordings that are held out as clips."""
    if folder is None:
        return ()
    from lipsync_lab.training.clips import held_out

    pairs = []
    for alignment in sorted(Path(folder).glob("*.align")):
        sounds = [path for path in alignment.parent.glob(f"{alignment.stem}.*") if path != alignment]
        if sounds and not held_out(alignment.stem):
            pairs.append((str(sounds[0]), str(alignment)))
    if not pairs:
        raise MediaError(f"{folder}: contains no recording with an .align file beside it")
    return tuple(pairs)


def _clips(given: Sequence[str | Path]) -> list[Path]:
    """Return files as they are, and for folders the videos in them."""
    paths = []
    for path in map(Path, given):
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in _VIDEO) if path.is_dir() else [path]
        if not inside:
            raise MediaError(f"{path}: contains no clip ({', '.join(sorted(_VIDEO))})")
        paths += inside
    return paths
