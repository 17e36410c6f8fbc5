"""`evaluate`: any source and any output of it; a run is one caller.

One loop over both videos feeds every metric (`metrics.collect`). What needs the whole clip, the source's palette among
it, is computed from what that loop collected. Of two videos that are no run, a loop before it estimates the edited
region, since the metrics need its boxes; before it, a detector may read the source. Two videos that differ in size or
length are aligned first (`alignment.align`), which reads each once more. The pictures of a short video stay in memory
meanwhile (`media.kept`), so that it is decoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import files, runs, samples
from lipsync_lab.detection.detections import read_detections
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import boxes, cache, registration
from lipsync_lab.evaluation.alignment import SAME, Alignment, align, aligned_output, aligned_source
from lipsync_lab.evaluation.edited_region import EditedRegion, edited_region
from lipsync_lab.evaluation.networks import DISCRIMINATOR, LSE, MOUTH_OPENNESS, SYNC_EXPERT, identified, loaded
from lipsync_lab.evaluation.noise import EncodeNoise
from lipsync_lab.evaluation.result import FOLDER, Evaluation
from lipsync_lab.evaluation.sound import LseLips, sound_metrics, stated
from lipsync_lab.faces import Turn, spoken
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import Clip, open_clip
from lipsync_lab.metrics import collect, openness, realism, regions
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.models.registry import best_device
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: Most frames whose luma tells whether two videos of one size and length show the same footage.
_COMPARED = 12


@dataclass(frozen=True)
class _Material:
    """The inputs of an evaluation: the clip (aligned with the output), the output, their boxes, the voice.

    ``other_boxes`` are those of other faces that were dubbed, x1, y1, x2, y2 a frame; ``turns`` the seconds in which
    this face speaks, None for all.
    """

    clip: Clip
    output: Clip
    sound: Path | None
    ledger: pandas.DataFrame
    candidates: tuple
    ground_truth: pandas.DataFrame | None
    threshold: float
    exact: bool
    alignment: Alignment | None = None
    region: EditedRegion | None = None
    box_source: str = "run"
    other_boxes: tuple[np.ndarray, ...] = ()
    turns: tuple[tuple[float, float], ...] | None = None


def ground_truth_of(face: str | Path) -> pandas.DataFrame | None:
    """The ground truth beside a synthetic clip, ``<clip>.truth.csv``; None where there is none."""
    import pandas as pd

    path = _ground_truth_path(face)
    return pd.read_csv(path, keep_default_na=True) if path.is_file() else None


def evaluate(
    source: str | Path | runs.Run,
    output: str | Path | None = None,
    *,
    voice: str | Path | None = None,
    detections: str | Path | None = None,
    alignment: Alignment | None = None,
    face: int | None = None,
    domain: str | None = None,
    sync_expert: str | Path | None = SYNC_EXPERT,
    discriminator: str | Path | None = DISCRIMINATOR,
    lse: str | Path | None = LSE,
    mouth_openness: str | Path | None = MOUTH_OPENNESS,
    device: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure an output of any lip-sync model against its source.

    Parameters
    ----------
    source : str, path or runs.Run
        The untouched video: a path, or the name of a sample. A run has its own output,
        voice and detections; its tables are written into its folder, under `FOLDER`, unless `out` names another.
    output : str or path
        The dubbed video. Frames that differ from the source beyond the noise of the encode are taken to have a
        generated mouth (`edited_region`), and count as failing where a metric is beyond its threshold by more than that
        noise (`noise`). Where nothing differs, nothing fails.
    voice : str or path, optional
        The voice that was dubbed: a path, or the name of a sample; the output's own sound if not given.
    detections : path, optional
        A ``detections.json`` of the source; if not given, the default detector detects the faces.
    alignment : alignment.Alignment, optional
        How the two line up. If not given, frame n of the output is taken for frame n of the source where both have as
        many frames, to within one, and the same size, where odd sides may have been rounded up; elsewhere it is
        estimated. The ground truth of a synthetic clip is not used with an alignment.
    face : int, optional
        Of a run with several faces, one of `Run.faces`, with its own voice; the other faces are taken as the source
        shows them. The first if not given; each has its tables in a folder of its own.
    domain : str, optional
        One of `samples.CLIP_DOMAINS`; if not given, that of the sample with the same content, else unknown. A metric
        that is defined for animation only is undefined in the other domains, with its reason; where the domain is
        unknown it is computed for a clip that changes its drawings as animation does (`cadence.is_animated`).
    sync_expert, discriminator, lse, mouth_openness : str, path or None
        Sync expert, discriminator, network of LSE-D and LSE-C, and mouth-openness regressor, by name or file. Metrics
        of a network that is None, or whose published weights are absent, are undefined and say why. The last is used
        where ground truth lies beside the clip; elsewhere `metrics.openness.openness` is.
    device : str, optional
        "cuda" or "cpu"; None takes CUDA where there is one.
    out : path, optional
        Folder for the tables, from which the same evaluation is read the next time.
    force : bool
        Measure again, also where `out` has the evaluation.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    Evaluation

    Raises
    ------
    MediaError
        A video or the voice cannot be read.
    ParameterError
        The two videos do not show the same footage, or the domain is unknown.
    CheckpointError
        A network of no known name, or a file that is not the right one.
    """
    names = {
        "sync_expert": sync_expert,
        "discriminator": discriminator,
        "lse": lse,
        "mouth_openness": mouth_openness,
    }
    if isinstance(source, runs.Run):
        if any(given is not None for given in (output, voice, detections, alignment)):
            raise ParameterError("a run has its own output, voice and detections; give the run alone")
        return _evaluate_run(source, face, domain, names, device, out, force, progress)
    if face is not None:
        raise ParameterError("a face is chosen of a run; of two videos give its detections")
    if output is None:
        raise ParameterError("there is no output to evaluate; give the dubbed video beside its source")
    source, output = samples.resolve_path(source), samples.resolve_path(output)
    sound = output if voice is None else samples.resolve_path(voice)
    domain = _domain(domain, files.sha256(source))
    hashes = {"source": files.sha256(source), "output": files.sha256(output), "voice": files.sha256(sound)}
    inputs = {
        **hashes,
        "detections": boxes.detector_identity() if detections is None else files.sha256(detections),
        "ground_truth": _ground_truth_hash(source),
        "alignment": None if alignment is None else alignment.as_dict(),
    }
    named = {"source": source, "output": output, "voice": sound, "detections": detections}

    def material(device: str) -> _Material:
        clip, dubbed, lined_up = open_clip(source, keep=True), open_clip(output, keep=True), alignment
        if lined_up is None and not _is_comparable(clip, dubbed):
            lined_up = align(clip, dubbed)
        ledger, candidates, box_source = boxes.detected(clip, lined_up, detections, device, progress)
        known_sound = sound if sound != output or video.probe(output).has_sound else None
        if lined_up is not None:
            clip = aligned_source(clip, lined_up)
        ground_truth = ground_truth_of(source) if lined_up is None else None
        rest = ground_truth, Settings().threshold, lined_up is None, lined_up
        given = _Material(clip, dubbed, known_sound, ledger, candidates, *rest)
        return _with_region(given, box_source, progress)

    folder = None if out is None else Path(out)
    return _cached(material, inputs, _files(named), domain, names, device, folder, force, progress)


def _files(named: Mapping[str, str | Path | None]) -> dict[str, dict[str, str]]:
    """Name and SHA-256 of each input, without its folder: tables are to be the same on every machine."""
    return {
        kind: {"name": Path(path).name, "sha256": files.sha256(path)}
        for kind, path in named.items()
        if path is not None
    }


def _with_region(given: _Material, box_source: str, progress: Progress | None) -> _Material:
    count = len(given.ledger)

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, pair in enumerate(_frames(given, count), start=1):
            yield pair
            if progress:
                progress("evaluate: edited region", number, count)

    region = edited_region(pairs(), given.ledger[["x1", "y1", "x2", "y2"]].to_numpy(float))
    if region.kind == "none":
        # the face that was detected may be another one than the face that was dubbed
        region = edited_region(pairs())
    ledger, box_source = boxes.placed(given.ledger, box_source, region)
    return replace(given, ledger=ledger, region=region, box_source=box_source)


def _evaluate_run(run, face, domain, names, device, out, force, progress) -> Evaluation:
    info, ledger = run.info, run.ledger(face)
    source, number = Path(info["clip"]["file"]), int(ledger["face"].iloc[0])
    if not source.is_file():
        raise MediaError(f"{source}: the clip that {run.folder} was made from is gone; put it back, or run again")
    if files.sha256(source) != info["clip"]["sha256"]:
        raise MediaError(f"{source}: is not the clip any more that {run.folder} was made from; make the run again")
    parts = (run.folder / "ledger.csv", run.detections, run.output, run.folder / "run.json")
    inputs = {"run": [files.sha256(path) for path in parts], "ground_truth": _ground_truth_hash(source)}
    # the output's sound is the sum of all voices
    own = next((each for each in info.get("faces", ()) if each["face"] == number), None)
    sound = run.output if own is None else Path(own["voice"]["file"])
    turns = None if own is None or own["turns"] is None else tuple(map(tuple, own["turns"]))
    if own is not None:
        inputs |= {"face": number}
    domain = _domain(domain, info["clip"]["sha256"])

    def material(device: str) -> _Material:
        settings = Settings.read(info["settings"])
        usual = Settings()
        as_is = settings.resize_factor == 1 and not settings.rotate and settings.crop == usual.crop
        clip, ground_truth = open_clip(source, settings), ground_truth_of(source) if as_is else None
        candidates = read_detections(run.detections).candidates
        other_boxes = tuple(regions.generated(run.ledger(other)) for other in run.faces if other != number)
        about = ground_truth, settings.threshold, False
        output = open_clip(run.output)
        return _Material(*(clip, output, sound, ledger, candidates, *about), other_boxes=other_boxes, turns=turns)

    folder = run.folder / FOLDER if out is None else Path(out)
    folder = folder if len(run.faces) == 1 or out is not None else folder / f"face_{number}"
    named = {"source": source, "output": run.output, "voice": info["voice"]["file"] if own is None else sound}
    return _cached(material, inputs, _files(named), domain, names, device, folder, force, progress)


def _cached(
    material: Callable[[str], _Material], inputs, named, domain, names, device, folder: Path | None, force, progress
) -> Evaluation:
    about, device = identified(names), device or best_device()
    facts = {"inputs": named, "device": device, "versions": runs.versions()}
    own_key = cache.key(inputs | facts | {"networks": about, "domain": domain})
    if folder is not None and not force:
        cached = cache.read(folder, own_key)
        if cached is not None:
            return cached
    networks, about = loaded(names, about, device)
    tables, evaluation = cache.rounded(_measured(material(device), domain, networks, about, facts, progress))
    if folder is not None:
        cache.write(folder, tables, evaluation, own_key)
    return evaluation


def _measured(
    given: _Material, domain, networks: Mapping[str, Any], about, facts, progress: Progress | None
) -> Evaluation:
    count, fps, ground_truth = len(given.ledger), float(given.clip.fps), given.ground_truth
    if ground_truth is not None:
        ground_truth = ground_truth.iloc[:count].reset_index(drop=True)
    lse = LseLips(networks["lse"], given.ledger, fps) if "lse" in networks else None
    noise = None if given.region is None or given.region.kind == "none" else EncodeNoise(given.region, given.ledger)

    def visit(pair: FramePair) -> None:
        for each in (lse, noise):
            if each is not None:
                each.add(pair)
        if progress:
            progress("evaluate: frames", pair.row + 1, count)

    data = collect.collect(
        *(_frames(given, count), given.ledger, ground_truth),
        candidates=given.candidates,
        threshold=given.threshold,
        visit=visit,
    )
    if "discriminator" in networks:
        data = data.with_columns(realism.realism_metrics(data.faces, data.ledger, networks["discriminator"]))
    # the regressor is validated on synthetic clips alone, which have ground truth
    asked = (
        networks
        if ground_truth is not None
        else {kind: net for kind, net in networks.items() if kind != "mouth_openness"}
    )
    closed = openness.CLOSED_BY_NETWORK if "mouth_openness" in asked else openness.CLOSED_BY_PIXELS
    about = about | {"mouth_openness": about["mouth_openness"] | {"closed": closed}}
    wave = None
    if given.sound is not None:
        first = 0 if given.alignment is None else int((given.alignment.order() >= 0).argmax())
        start, stop = (round(frame / fps * audio.SAMPLE_RATE) for frame in (first, first + len(data)))
        wave = audio.load(given.sound)
        if given.turns is not None:
            wave = spoken([0], [wave], [Turn(*turn, 0) for turn in given.turns])[0]
        wave = wave[start:stop]
    if progress:
        progress("evaluate: sound", 0, 1)
    scores, curves, columns = sound_metrics(data, wave, asked, about, fps, None if lse is None else lse.finish())
    scores = stated(scores, about.get("sync_expert", {}).get("name"), domain)
    if progress:
        progress("evaluate: sound", 1, 1)
    frames = data.with_columns(columns).with_metrics(domain).frames
    alignment = None if given.alignment is None else given.alignment.as_dict()
    region = None
    if given.region is not None:
        region = given.region.as_dict() | {"levels": {} if noise is None else noise.levels()}
    facts = facts | {"box_source": given.box_source}
    return Evaluation(frames, scores, curves, about, domain, alignment, region, facts)


def _frames(given: _Material, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frame pairs, in one reading of either video; raises where an output that must be as long as the source is not."""
    if given.alignment is not None:
        yield from zip(given.clip.read(0, count), aligned_output(given.output, given.alignment), strict=False)
        return
    outputs, read = given.output.read(0, None if given.exact else count), 0
    compared, correlations = set(registration.spread(count, _COMPARED).tolist()), []
    for image in given.clip.read(0, count):
        shown = next(outputs, None)
        if shown is None:
            break
        shown = shown[: image.shape[0], : image.shape[1]]  # encoders round odd sides up
        if given.exact and read in compared:
            correlations.append(_correlation(image, shown))
        for boxes_of_other in given.other_boxes:
            if not np.isnan(boxes_of_other[read, 0]):
                part = Box(*boxes_of_other[read]).slices
                shown = shown.copy()
                shown[part] = image[part]
        read += 1
        yield image, shown
    if given.exact:
        _check_lengths(given.clip.name, count, given.output.name, read + sum(1 for _ in outputs))
        _check_same_footage(given.clip.name, given.output.name, correlations)


def _correlation(source: np.ndarray, output: np.ndarray) -> float:
    """Correlation of the luma of two frames without its low frequencies; NaN where a frame is flat."""
    pair = registration.unit(registration.luma(frame, registration.SMALL) for frame in (source, output))
    return float(pair[0] @ pair[1]) if (np.linalg.norm(pair, axis=1) > 0.5).all() else float("nan")


def _check_same_footage(source: str | Path, output: str | Path, correlations: list[float]) -> None:
    known = [value for value in correlations if not np.isnan(value)]
    if known and np.median(known) < SAME:
        raise ParameterError(
            f"{source} and {output} do not show the same footage: the luma of {len(known)} frames correlates by "
            f"{np.median(known):.2f} (median), and {SAME} is needed; if they are apart in time, give an alignment"
        )


def _is_comparable(source: Clip, output: Clip) -> bool:
    """Whether two videos have the same size and length, but for a frame more or less and odd sides rounded up."""
    sizes = {tuple(side + side % 2 for side in clip.view.clip) for clip in (source, output)}
    counts = [clip.expected for clip in (source, output)]
    if None in counts or abs(counts[0] - counts[1]) > 1:
        # headers may be wrong
        counts = [sum(1 for _ in clip.read(0, None)) for clip in (source, output)]
    return len(sizes) == 1 and abs(counts[0] - counts[1]) <= 1


def _check_lengths(source: str | Path, frames: int, output: str | Path, length: int) -> None:
    if abs(frames - length) > 1:
        raise ParameterError(
            f"{source} has {frames} frames and {output} {length}: an output of another length cannot be compared"
        )


def _domain(domain: str | None, digest: str) -> str | None:
    if domain is not None:
        if domain not in samples.CLIP_DOMAINS:
            raise ParameterError(f"unknown domain {domain!r}; known: {', '.join(samples.CLIP_DOMAINS)}")
        return domain
    known = {sample.sha256: sample.domain for sample in samples.SAMPLES.values()}.get(digest)
    return known if known in samples.CLIP_DOMAINS else None


def _ground_truth_path(face: str | Path) -> Path:
    return Path(face).with_suffix(".truth.csv")


def _ground_truth_hash(face: str | Path) -> str | None:
    path = _ground_truth_path(face)
    return files.sha256(path) if path.is_file() else None
