"""`evaluate`: any source and any output of it; a run is one caller.

Both videos are decoded once, in one loop that feeds every metric (`metrics.collect`). What needs the whole clip, the
source's palette among it, is computed from what that loop collected. Two videos that differ in size or length are
aligned first (`alignment.align`), which reads each once more.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import files, runs, samples
from lipsync_lab.detection import auto
from lipsync_lab.detection.base import Detection
from lipsync_lab.detection.detect import detect
from lipsync_lab.detection.detections import Detections, read_detections
from lipsync_lab.errors import MediaError, ParameterError
from lipsync_lab.evaluation import cache, registration
from lipsync_lab.evaluation.alignment import SAME, Alignment, align, aligned_output, aligned_source
from lipsync_lab.evaluation.encode_control import controlled
from lipsync_lab.evaluation.networks import DISCRIMINATOR, LSE, MOUTH_OPENNESS, SYNC_EXPERT, identified, loaded
from lipsync_lab.evaluation.result import FOLDER, Evaluation
from lipsync_lab.evaluation.sound import LseLips, sound_metrics
from lipsync_lab.geometry import Box
from lipsync_lab.media import audio, video
from lipsync_lab.media.clip import Clip, View, open_clip
from lipsync_lab.metrics import collect, openness, realism
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.models.registry import best_device
from lipsync_lab.plan import make_plan
from lipsync_lab.progress import Progress
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: Most frames whose luma tells whether two videos of one size and length show the same footage.
_COMPARED = 12


@dataclass(frozen=True)
class _Material:
    """The inputs of an evaluation: the clip (aligned with the output), the output, their boxes, the voice."""

    clip: Clip
    output: Path
    sound: Path | None
    ledger: pandas.DataFrame
    candidates: tuple
    ground_truth: pandas.DataFrame | None
    threshold: float
    exact: bool
    alignment: Alignment | None = None
    encode_control: bool = False


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
    encode_control: bool = False,
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
        The dubbed video. Every frame with a face is taken to have a generated mouth.
    voice : str or path, optional
        The voice that was dubbed: a path, or the name of a sample; the output's own sound if not given.
    detections : path, optional
        A ``detections.json`` of the source; if not given, the default detector detects the faces.
    alignment : alignment.Alignment, optional
        How the two line up. If not given, frame n of the output is taken for frame n of the source where both have as
        many frames, to within one, and the same size, where odd sides may have been rounded up; elsewhere it is
        estimated. The ground truth of a synthetic clip is not used with an alignment.
    encode_control : bool
        Whether to encode the source alone as the output was, to the noise that there is outside of the edited region,
        and to count as failures only what is beyond that (`encode_control`). For an output that was encoded again; it
        takes about three times as long. Not for a run.
    domain : str, optional
        One of `samples.CLIP_DOMAINS`; if not given, that of the sample with the same content, else unknown. A metric
        that is defined for animation only is undefined in the other domains, with its reason; where the domain is
        unknown it is computed.
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
        if encode_control or any(given is not None for given in (output, voice, detections, alignment)):
            raise ParameterError("a run has its own output, voice and detections; give the run alone")
        return _evaluate_run(source, domain, names, device, out, force, progress)
    if output is None:
        raise ParameterError("there is no output to evaluate; give the dubbed video beside its source")
    source, output = samples.resolve_path(source), samples.resolve_path(output)
    sound = output if voice is None else samples.resolve_path(voice)
    domain = _domain(domain, files.sha256(source))
    inputs = {
        "source": files.sha256(source),
        "output": files.sha256(output),
        "voice": files.sha256(sound),
        "detections": _detector_identity() if detections is None else files.sha256(detections),
        "ground_truth": _ground_truth_hash(source),
        "alignment": None if alignment is None else alignment.as_dict(),
        "encode_control": encode_control,
    }

    def material() -> _Material:
        clip, lined_up = open_clip(source), alignment
        if lined_up is None and not _is_comparable(source, output):
            lined_up = align(clip, open_clip(output))
        ledger, candidates = _detected(clip, lined_up, detections, device or best_device(), progress)
        known_sound = sound if sound != output or video.probe(output).has_sound else None
        if lined_up is not None:
            clip = aligned_source(clip, lined_up)
        ground_truth = ground_truth_of(source) if lined_up is None else None
        threshold, exact = Settings().threshold, lined_up is None
        return _Material(
            clip, output, known_sound, ledger, candidates, ground_truth, threshold, exact, lined_up, encode_control
        )

    return _cached(material, inputs, domain, names, device, None if out is None else Path(out), force, progress)


def _evaluate_run(run, domain, names, device, out, force, progress) -> Evaluation:
    info = run.info
    face = Path(info["face"]["file"])
    if not face.is_file():
        raise MediaError(f"{face}: the clip that {run.folder} was made from is gone; put it back, or run again")
    if files.sha256(face) != info["face"]["sha256"]:
        raise MediaError(f"{face}: is not the clip any more that {run.folder} was made from; make the run again")
    parts = (run.folder / "ledger.csv", run.detections, run.output, run.folder / "run.json")
    inputs = {"run": [files.sha256(path) for path in parts], "ground_truth": _ground_truth_hash(face)}
    domain = _domain(domain, info["face"]["sha256"])

    def material() -> _Material:
        settings, ledger = Settings.read(info["settings"]), run.ledger()
        usual = Settings()
        as_is = settings.resize_factor == 1 and not settings.rotate and settings.crop == usual.crop
        clip, ground_truth = open_clip(face, settings), ground_truth_of(face) if as_is else None
        candidates = read_detections(run.detections).candidates
        return _Material(clip, run.output, run.output, ledger, candidates, ground_truth, settings.threshold, False)

    folder = run.folder / FOLDER if out is None else Path(out)
    return _cached(material, inputs, domain, names, device, folder, force, progress)


def _cached(material, inputs, domain, names, device, folder: Path | None, force, progress) -> Evaluation:
    about = identified(names)
    own_key = cache.key(inputs | {"networks": about, "domain": domain})
    if folder is not None and not force:
        cached = cache.read(folder, own_key)
        if cached is not None:
            return cached
    networks, about = loaded(names, about, device or best_device())
    evaluation = _measured(material(), domain, networks, about, progress)
    # rounded as in the files, so that a cached evaluation equals a new one
    tables = cache.texts(evaluation)
    if folder is not None:
        cache.write(folder, tables, evaluation, own_key)
    return cache.parsed(tables, evaluation.about, evaluation.domain, evaluation.alignment, evaluation.encode)


def _measured(given: _Material, domain, networks: Mapping[str, Any], about, progress: Progress | None) -> Evaluation:
    count, fps, ground_truth = len(given.ledger), float(given.clip.fps), given.ground_truth
    if ground_truth is not None:
        ground_truth = ground_truth.iloc[:count].reset_index(drop=True)
    lse = LseLips(networks["lse"], given.ledger, fps) if "lse" in networks else None

    def visit(pair: FramePair) -> None:
        if lse is not None:
            lse.add(pair)
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
        wave = audio.load(given.sound)[start:stop]
    if progress:
        progress("evaluate: sound", 0, 1)
    scores, curves, columns = sound_metrics(data, wave, asked, about, fps, None if lse is None else lse.finish())
    if progress:
        progress("evaluate: sound", 1, 1)
    frames = data.with_columns(columns).with_metrics(domain).frames
    alignment = None if given.alignment is None else given.alignment.as_dict()
    encode = control = None
    if given.encode_control:
        if progress:
            progress("evaluate: encode", 0, 1)
        with tempfile.TemporaryDirectory(prefix="lipsync_lab_") as folder:
            encode, control = controlled(
                *(given.clip, lambda: _frames(given, count), given.ledger, ground_truth, domain),
                *(networks.get("discriminator"), folder),
            )
        if progress:
            progress("evaluate: encode", 1, 1)
    return Evaluation(frames, scores, curves, about, domain, alignment, encode, control)


def _frames(given: _Material, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frame pairs, each video decoded once; raises where an output that must be as long as the source is not."""
    if given.alignment is not None:
        yield from zip(
            given.clip.read(0, count), aligned_output(open_clip(given.output), given.alignment), strict=False
        )
        return
    outputs, read = video.frames(given.output, stop=None if given.exact else count), 0
    compared, correlations = set(registration.spread(count, _COMPARED).tolist()), []
    for image in given.clip.read(0, count):
        frame = next(outputs, None)
        if frame is None:
            break
        shown = frame.image[: image.shape[0], : image.shape[1]]  # encoders round odd sides up
        if given.exact and read in compared:
            correlations.append(_correlation(image, shown))
        read += 1
        yield image, shown
    if given.exact:
        _check_lengths(given.clip.name, count, given.output, read + sum(1 for _ in outputs))
        _check_same_footage(given.clip.name, given.output, correlations)


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


def _is_comparable(source: Path, output: Path) -> bool:
    """Whether two videos have the same size and length, but for a frame more or less and odd sides rounded up."""
    first, second = video.probe(source), video.probe(output)
    sizes = {(info.width + info.width % 2, info.height + info.height % 2) for info in (first, second)}
    counts = [info.frames for info in (first, second)]
    if None in counts or abs(counts[0] - counts[1]) > 1:
        # headers may be wrong
        counts = [sum(1 for _ in video.frames(path)) for path in (source, output)]
    return len(sizes) == 1 and abs(counts[0] - counts[1]) <= 1


def _check_lengths(source: str | Path, frames: int, output: str | Path, length: int) -> None:
    if abs(frames - length) > 1:
        raise ParameterError(
            f"{source} has {frames} frames and {output} {length}: an output of another length cannot be compared"
        )


def _detected(
    clip: Clip, alignment: Alignment | None, detections: str | Path | None, device: str, progress: Progress | None
):
    """A ledger of the source's face, and all candidates, in the frames and pixels that are measured."""
    if alignment is not None and detections is None:
        clip = aligned_source(clip, alignment)
    record = detect(clip, detections, device=device, progress=progress)
    if alignment is not None and detections is not None:
        clip, record = aligned_source(clip, alignment), _carried(record, alignment)
    track = make_plan(clip, record, None).track
    return runs.ledger(track, track.provenance != "missing", clip.fps), record.candidates


def _carried(record: Detections, alignment: Alignment) -> Detections:
    """Detections of the source in the frames and pixels of the aligned source."""
    order = alignment.order()
    order = order[order >= 0].tolist()
    rows = [[_carried_face(face, alignment) for face in record.candidates[number]] for number in order]
    manual = {
        frame: None if record.manual[number] is None else alignment.to_output(record.manual[number])
        for frame, number in enumerate(order)
        if number in record.manual
    }
    shot = np.searchsorted(record.shots or (0,), order, side="right")
    starts = tuple([0, *(np.flatnonzero(np.diff(shot)) + 1).tolist()])
    size = round(alignment.output_box.width), round(alignment.output_box.height)
    return replace(record, candidates=tuple(rows), manual=manual, shots=starts, size=size, view=View(size))


def _carried_face(face: Detection, alignment: Alignment) -> Detection:
    points = (alignment.to_output(Box(x, y, x, y)) for x, y in face.landmarks)
    return replace(face, box=alignment.to_output(face.box), landmarks=tuple((point.x1, point.y1) for point in points))


def _detector_identity() -> str:
    """Everything that the default detector depends on; no network is loaded for it."""
    return json.dumps(auto.identity(), sort_keys=True)


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
