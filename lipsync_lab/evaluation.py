"""A run examined: its files read, everything in `scoring` asked, and the answers written beside it.

One table has a row a frame, one a row a score with its null baselines, one the sync curve. `failures` reads the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab import audio, checkpoints, failures, files, runs, source, video
from lipsync_lab.detection import record as records
from lipsync_lab.errors import MediaError
from lipsync_lab.generation import crop
from lipsync_lab.progress import Progress
from lipsync_lab.scoring import artifacts, baselines, cadence, detection, mouth, quality, regions, sync
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: What judges unless something else is named; the published networks take their place by name.
EXPERT, JUDGE = checkpoints.DEFAULTS["expert"], checkpoints.DEFAULTS["quality"]
#: Network of the published LSE scores, which are undefined without it.
LSE = checkpoints.DEFAULTS["lse"]
#: Reads mouths, on made clips alone: nothing vouches for it elsewhere.
READER = checkpoints.DEFAULTS["reader"]
#: Folder in a run's.
FOLDER = "evaluation"
#: Most frames out of which the source's palette is taken.
_PALETTE = 24


@dataclass(frozen=True)
class Evaluation:
    """What was found out about a run.

    Attributes
    ----------
    frames : DataFrame
        One row a source frame, index ``frame``: the columns of `scoring.detection.rows`, `scoring.artifacts.rows`,
        `scoring.cadence.rows` and `scoring.quality.rows`; ``sync``, the expert's distance at offset 0;
        ``opened``, how far the output's mouth is open (`scoring.mouth`: as a share of the source's range where a
        network reads it, of its own elsewhere), and ``opened_source``.
    scores : DataFrame
        One row a score and input, as `scoring.baselines.beside_nulls`; the input "source" is the untouched clip under
        the new voice.
    curves : DataFrame
        ``judge``, ``input`` ("output", "source"), ``offset``, ``distance``: the sync curves.
    clip : dict
        The means of everything, ``<part>_<name>``, with the share of frames that each covers.
    about : dict
        Which networks judged, with their hashes, and which could not, and why; of the reader of mouths also the bound
        ``closed``, which goes with the way in which they were read.
    """

    frames: pandas.DataFrame
    scores: pandas.DataFrame
    curves: pandas.DataFrame
    clip: dict[str, float]
    about: dict[str, Any]

    @property
    def closed(self) -> float:
        """A mouth that is ``opened`` less than this is closed."""
        return self.about["reader"]["closed"]

    @property
    def failures(self) -> pandas.DataFrame:
        """See `failures.find`."""
        return failures.find(self.frames)

    def score(self, name: str, given: str = "as is") -> float:
        """One number of `scores`; NaN where it was not measured."""
        rows = self.scores[(self.scores["score"] == name) & (self.scores["input"] == given)]
        return float(rows["value"].iloc[0]) if len(rows) else float("nan")


def truth_of(face: str | Path) -> pandas.DataFrame | None:
    """The truth table beside a made clip, ``<clip>.truth.csv``; None where there is none."""
    import pandas as pd

    path = Path(face).with_suffix(".truth.csv")
    return pd.read_csv(path, keep_default_na=True) if path.is_file() else None


def evaluate(
    run: runs.Run,
    *,
    expert: str | Path | None = EXPERT,
    judge: str | Path | None = JUDGE,
    lse: str | Path | None = LSE,
    reader: str | Path | None = READER,
    device: str = "cpu",
    force: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Examine a run, or read what was found when it was examined in the same way before.

    Parameters
    ----------
    run : runs.Run
        The clip that it was made from must still be where it was.
    expert, judge, lse, reader : str, path or None
        Networks by name or file: `models.syncnet.SyncNetColor`, `models.wav2lip.QualityDiscriminator`,
        `models.syncnet.SyncNetV2`, `models.mouth_openness.MouthReader`. Scores of a network that is None, or whose
        published weights are not there, are undefined and say why. Mouths are read by the last where a truth table lies
        beside the clip; elsewhere, or without it, by `scoring.mouth.openness`.
    device : str
    force : bool
        Examine it again.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    Evaluation
        Also written into the run's folder, under `FOLDER`.

    Raises
    ------
    MediaError
        The source clip is gone, or is another one now.
    CheckpointError
        A network of no known name, or a file that is not the right one.
    """
    info = run.info
    face = Path(info["face"]["file"])
    if not face.is_file():
        raise MediaError(f"{face}: the clip that {run.folder} was made from is gone; put it back, or run again")
    if files.sha256(face) != info["face"]["sha256"]:
        raise MediaError(f"{face}: is not the clip any more that {run.folder} was made from; make the run again")
    judges, about = _judges({"expert": expert, "quality": judge, "lse": lse, "reader": reader}, device)
    key = _key(run, about)
    if not force:
        found = _read(run.folder / FOLDER, key)
        if found is not None:
            return found
    found = _examined(run, info, face, judges, about, progress)
    _write(run.folder / FOLDER, found, key)
    # what is told now is what will be read again later, to the last digit
    return _read(run.folder / FOLDER, key) or found


def _judges(names: Mapping[str, str | Path | None], device: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Loaded networks by kind, and what is known of each; known ones that are not there are told, not raised."""
    loaded, about = {}, {}
    for kind, name in names.items():
        if name is None:
            about[kind] = {"name": None, "absent": "none was asked for"}
            continue
        model = checkpoints.MODELS.get(str(name))
        if model is not None and model.path is not None and not model.path.is_file():
            # without the folder that was looked in: tables are to be the same on every machine
            about[kind] = {
                "name": str(name),
                "absent": f"the weights of {name} are not here; see `weights fetch {name}`",
            }
            continue
        weights = checkpoints.load(name, kind, device)
        loaded[kind] = weights.model
        about[kind] = {"name": weights.name, "sha256": weights.sha256, "width": weights.width}
    return loaded, about


def _examined(run, info, face: Path, judges, about, progress) -> Evaluation:
    import pandas as pd

    settings, ledger = Settings.read(info["settings"]), run.ledger()
    clip = source.from_file(face, settings)
    plain = settings.resize_factor == 1 and not settings.rotate and settings.crop == Settings().crop
    truth = truth_of(face) if plain else None
    if truth is not None:
        truth = truth.iloc[: len(ledger)].reset_index(drop=True)
    count, fps = len(ledger), float(clip.fps)

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # the encoder rounds odd sizes up
        outputs = (frame.image for frame in video.frames(run.output, stop=count))
        for one, other in zip(clip.read(0, count), outputs, strict=False):
            yield one, other[: one.shape[0], : one.shape[1]]

    def staged(stage: str, done: int) -> None:
        if progress:
            progress(stage, done, 6)

    staged("examine: palette", 0)
    some = np.unique(np.linspace(0, count - 1, _PALETTE).astype(int))
    colours = artifacts.palette(_picked(clip.read(0, count), some), ledger.iloc[some].reset_index(drop=True))
    staged("examine: artifacts", 1)
    drawn = artifacts.rows(pairs(), ledger, truth, colours)
    staged("examine: cadence", 2)
    beat = cadence.rows(pairs(), ledger, truth)
    staged("examine: detection", 3)
    candidates = records.read(run.detections).candidates
    seen = detection.pixels((one for one, _ in pairs()), ledger, truth)
    found = detection.rows(ledger, truth, seen, beat["held"].to_numpy(), candidates, settings.threshold)
    tables = [found, drawn, beat.drop(columns=["time", "shot"])]
    clip_numbers = {f"detection_{k}": v for k, v in detection.summary(found).items()}
    clip_numbers |= {f"artifacts_{k}": v for k, v in artifacts.summary(drawn).items()}
    clip_numbers |= {f"cadence_{k}": v for k, v in cadence.summary(beat).items()}
    if "quality" in judges:
        staged("examine: quality", 4)
        opinions = quality.rows(pairs(), ledger, judges["quality"])
        tables.append(opinions)
        clip_numbers |= {f"quality_{k}": v for k, v in quality.summary(opinions).items()}
    staged("examine: sync", 5)
    reads = judges.get("reader") if truth is not None else None
    bound = mouth.CLOSED_SEEN if reads is None else mouth.CLOSED_READ
    about = about | {"reader": about["reader"] | {"closed": bound}}
    scores, curves, columns = _sync(pairs, ledger, run, judges, about, fps, reads)
    frames = pd.concat([*tables, columns], axis=1)
    staged("examine: sync", 6)
    return Evaluation(frames, scores, curves, clip_numbers, about)


def _picked(frames: Iterator[np.ndarray], numbers: np.ndarray) -> Iterator[np.ndarray]:
    wanted = set(numbers.tolist())
    return (frame for number, frame in enumerate(frames) if number in wanted)


def _sync(pairs, ledger, run, judges, about, fps: float, reader):
    """Scores with their nulls, curves, columns a frame: the voice against the output's and the source's lips."""
    import pandas as pd

    wave = audio.load(run.output)[: round(len(ledger) / fps * audio.SAMPLE_RATE)]
    boxes, shots = regions.drawn(ledger), ledger["shot"].tolist()
    tables, curves, usual = {"output": [], "source": []}, {"output": [], "source": []}, None
    index = pd.Index(ledger["frame"], name="frame")
    columns = pd.DataFrame({"sync": np.nan, "opened": np.nan, "opened_source": np.nan}, index=index)
    # the source first: what is open and what closed in the output is told by the range of the mouth that was there
    for which, side in (("source", 0), ("output", 1)):
        faces = [
            None if (box := regions.inside(row, pair[side].shape)) is None else crop(pair[side], box)
            for pair, row in zip(pairs(), boxes, strict=False)
        ]
        opened = np.full(len(ledger), np.nan)
        there = [number for number, one in enumerate(faces) if one is not None]
        if there and reader is not None:
            read = mouth.read(np.stack([faces[number] for number in there]), reader)
            usual = read if usual is None else usual
            opened[there] = mouth.in_range(read, usual)
        elif there:
            opened[there] = mouth.openness(np.stack([faces[number] for number in there]))
        columns["opened" if side else "opened_source"] = opened
        measures = [_of_mouth(opened, fps, about["reader"]["closed"])]
        if "expert" in judges:
            lips = sync.watch(sync.EXPERT, judges["expert"], faces, fps, shots)
            measures.append(_of_sync(lips, judges["expert"]))
            verdict = sync.judge_sync(lips, judges["expert"], wave)
            curves[which].append(verdict.curve.assign(judge="expert", input=which))
            if side:
                columns["sync"] = verdict.frames["distance"].reindex(range(len(ledger))).to_numpy()
        if "lse" in judges:
            from lipsync_lab.scoring.crops import crops

            cropped = crops((pair[side] for pair in pairs()), boxes, shots)
            lips = sync.watch(sync.LSE, judges["lse"], cropped, fps, shots)
            measures.append(_of_sync(lips, judges["lse"]))
            curves[which].append(sync.judge_sync(lips, judges["lse"], wave).curve.assign(judge="lse", input=which))
        for measure in measures:
            if side:
                tables[which].append(baselines.beside_nulls(measure, wave))
            else:
                tables[which].append(pd.DataFrame([one._asdict() for one in measure(wave)]).assign(input="source"))
    for kind, name in (("expert", "expert"), ("lse", "lse")):
        if kind not in judges:
            tables["source"].append(_undefined(name, about[kind]["absent"]))
    order = ["score", "input", "value", "covered", "reason"]
    scores = pd.concat([*tables["output"], *tables["source"]], ignore_index=True)[order]
    empty = pd.DataFrame(columns=["offset", "distance", "windows", "judge", "input"])
    drawn = [*curves["output"], *curves["source"]]
    return scores, pd.concat(drawn, ignore_index=True) if drawn else empty, columns


def _of_sync(lips: sync.Lips, network):
    return lambda wave: sync.judge_sync(lips, network, wave).scores


def _of_mouth(opened: np.ndarray, fps: float, closed: float):
    return lambda wave: (
        *mouth.follows_sound(opened, wave, fps)[1],
        *mouth.in_silence(opened, wave, fps, bound=closed),
    )


def _undefined(judge: str, reason: str) -> pandas.DataFrame:
    import pandas as pd

    names = [f"{judge}_{name}" for name in ("distance", "confidence", "offset", "at_zero")]
    return pd.DataFrame({"score": names, "input": "as is", "value": np.nan, "covered": 0.0, "reason": reason})


def _key(run: runs.Run, about: Mapping[str, Any]) -> str:
    """SHA-256 of what an evaluation depends on: the run's files, the judges, and the code that measures."""
    here, digest = Path(__file__).parent, hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for path in (run.folder / "ledger.csv", run.detections, run.output, run.folder / "run.json"):
        digest.update(files.sha256(path).encode())
    for path in [*sorted((here / "scoring").glob("*.py")), here / "drawings.py", Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(folder: Path, key: str) -> Evaluation | None:
    import pandas as pd

    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if about.pop("key", None) != key:
        return None
    clip = {name: float("nan") if value is None else value for name, value in about.pop("clip").items()}
    frames = pd.read_csv(folder / "frames.csv", index_col="frame", keep_default_na=True)
    frames["cause"] = frames["cause"].astype(object).fillna("")
    scores = pd.read_csv(folder / "scores.csv")
    scores["reason"] = scores["reason"].astype(object).fillna("")
    return Evaluation(frames, scores, pd.read_csv(folder / "curves.csv"), clip, about["judges"])


def _write(folder: Path, found: Evaluation, key: str) -> None:
    """Tables first; `about.json` last, so that an interrupted evaluation is none."""

    def table(name: str, content, index: bool) -> None:
        text = content.to_csv(index=index, lineterminator="\n", float_format="%.6g")
        files.write_text(folder / name, text)

    (folder / "about.json").unlink(missing_ok=True)
    table("frames.csv", found.frames, True)
    table("scores.csv", found.scores, False)
    table("curves.csv", found.curves, False)
    table("failures.csv", found.failures, False)
    clip = {name: None if np.isnan(value) else round(float(value), 6) for name, value in found.clip.items()}
    text = json.dumps({"key": key, "judges": found.about, "clip": clip}, indent=1) + "\n"
    files.write_text(folder / "about.json", text)
