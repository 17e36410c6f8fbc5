"""Scores of the sound: the voice against the lips of the output and of the source, beside the null baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync_lab.metrics import controls, openness, regions, sync
from lipsync_lab.metrics.collect import ClipData
from lipsync_lab.metrics.pairs import FramePair
from lipsync_lab.metrics.syncnet_inputs import crop_at, crop_places
from lipsync_lab.models.registry import DEFAULTS

if TYPE_CHECKING:
    import pandas

#: The two inputs whose lips are compared with the voice: the source first, since its range of openness is the unit.
SIDES = ("source", "output")
_SCORES = ("score", "input", "value", "covered", "reason")
#: Least confidence at which the AV offset of the bundled sync expert is right within a frame 9 times of 10, by domain.
#: It was chosen on 28 animated characters, with as many sounds of others as of their own; on 27 others 0.970 of 134 are
#: right. Chosen on those 27 it is 0.18, with 0.824 of 170 right on the 28: the larger one was taken, with both known.
#: Infinite where there is no such confidence: on an address, six pieces of which look in sync, the offset is -6 to
#: -8 frames, with the confidence of right ones. `benchmarks/sync_confidence.py` has the numbers.
LEAST_CONFIDENCE = {"animation": 0.22, "synthetic_photo": 0.22, "live_action": math.inf}
#: The same for the offset of mouth openness and loudness, by its best correlation. It was chosen on 25 bundled clips
#: (15 of animation, 10 of synthetic photos) with as many sounds of other clips as own ones, and not tested on others:
#: the 7 own offsets at or above it are right, and 0.7 with another sound are expected. At 0.6 these are 10 and 1.7. On
#: 8 clips of GRID speakers 3 of 8 own offsets are right. `benchmarks/openness_offset.py` has the numbers.
LEAST_CORRELATION = {"animation": 0.65, "synthetic_photo": 0.65, "live_action": math.inf}


class LseLips:
    """Embeds the lips of source and output for the LSE scores while the frames are read."""

    def __init__(self, network: Any, ledger: pandas.DataFrame, fps: float):
        self._places, self._shots = (
            crop_places(regions.generated(ledger), ledger["shot"].tolist()),
            ledger["shot"].tolist(),
        )
        self._embedders = [sync.LipEmbedder(sync.LSE, network, fps) for _ in SIDES]

    def add(self, pair: FramePair) -> None:
        """Add the next frame pair."""
        for embedder, image in zip(self._embedders, (pair.source, pair.output), strict=True):
            embedder.add(crop_at(image, self._places[pair.row]), self._shots[pair.row])

    def finish(self) -> list[sync.Lips]:
        """Embeddings of the source and of the output."""
        return [embedder.finish() for embedder in self._embedders]


def sound_metrics(
    data: ClipData,
    wave: np.ndarray | None,
    networks: Mapping[str, Any],
    about: Mapping[str, Mapping[str, Any]],
    fps: float,
    lse: Sequence[sync.Lips] | None,
) -> tuple[pandas.DataFrame, pandas.DataFrame, pandas.DataFrame]:
    """Compare lips and voice.

    Parameters
    ----------
    data : ClipData
        Its `faces` are the lips.
    wave : ndarray, float32, (n,), or None
        Mono at 16 kHz, in [-1, 1]; it begins with the first frame. None leaves every score undefined.
    networks : mapping
        By kind: "sync_expert", "lse", "mouth_openness"; absent ones are left out.
    about : mapping
        By kind: ``absent``, the reason for each that is left out; for "mouth_openness" also ``closed``.
    fps : float
        Frames a second.
    lse : sequence of sync.Lips or None
        Of `LseLips.finish`; None without the network.

    Returns
    -------
    scores, curves, columns : DataFrame
        `Evaluation.scores`, `Evaluation.curves`, and the columns syncnet_distance_per_frame,
        mouth_openness and mouth_openness_source of `Evaluation.frames`.
    """
    import pandas as pd

    count, shots = len(data), data.ledger["shot"].tolist()
    index = pd.Index(data.ledger["frame"], name="frame")
    columns = pd.DataFrame(
        {"syncnet_distance_per_frame": np.nan, "mouth_openness": np.nan, "mouth_openness_source": np.nan}, index=index
    )
    tables, curves, usual = {"output": [], "source": []}, {"output": [], "source": []}, None
    protocols = {"sync_expert": sync.SYNC_EXPERT, "lse": sync.LSE}
    sounds = {
        kind: sync.embed_audio(protocol, networks[kind], wave)
        for kind, protocol in protocols.items()
        if kind in networks and wave is not None
    }
    for place, side in enumerate(SIDES):
        faces = data.faces[place]
        mouth_openness, usual = _openness(faces, networks.get("mouth_openness"), usual)
        columns["mouth_openness" if side == "output" else "mouth_openness_source"] = mouth_openness
        metrics: list[tuple[tuple[str, ...], Callable]] = [
            _mouth_scores(mouth_openness, fps, about["mouth_openness"]["closed"], len(set(shots)) > 1)
        ]
        lips = {}
        if "sync_expert" in networks:
            lips["sync_expert"] = sync.embed_frames(sync.SYNC_EXPERT, networks["sync_expert"], faces, fps, shots)
        if "lse" in networks:
            lips["lse"] = lse[place]
        for kind, embedded in lips.items():
            if wave is None:
                metrics.append((sync.score_names(embedded.protocol.name), None))
                continue
            measured = sync.measure_sync(embedded, networks[kind], wave, sounds=sounds[kind])
            metrics.append(_sync_scores(embedded, networks[kind], wave, measured))
            curves[side].append(measured.curve.assign(network=embedded.protocol.name, input=side))
            if side == "output" and kind == "sync_expert":
                distance = measured.frames["distance"].reindex(range(count)).to_numpy()
                # in silence there is nothing to be in sync with
                columns["syncnet_distance_per_frame"] = np.where(
                    openness.silent_frames(wave, fps, count), np.nan, distance
                )
        for names, metric in metrics:
            if wave is None:
                given = "dubbed" if side == "output" else "untouched_source"
                tables[side].append(_undefined(names, given, "the output has no sound, and no voice was given"))
            elif side == "output":
                tables[side].append(controls.with_controls(metric, wave))
            else:
                tables[side].append(
                    pd.DataFrame([score._asdict() for score in metric(wave)]).assign(input="untouched_source")
                )
    for kind, protocol in protocols.items():
        if kind not in networks:
            tables["source"].append(_undefined(sync.score_names(protocol.name), "dubbed", about[kind]["absent"]))
    scores = pd.concat([*tables["output"], *tables["source"]], ignore_index=True)[list(_SCORES)]
    shown = [*curves["output"], *curves["source"]]
    empty = pd.DataFrame(columns=["offset", "distance", "windows", "network", "input"])
    return scores, pd.concat(shown, ignore_index=True) if shown else empty, columns


def stated(scores: pandas.DataFrame, expert: str | None, domain: str | None) -> pandas.DataFrame:
    """Refuse the offsets that are not right 9 times of 10: of mouth openness, and of the bundled sync expert.

    Parameters
    ----------
    scores : DataFrame
        As `Evaluation.scores`.
    expert : str or None
        Name of the sync expert; the AV offsets of another than the bundled one are left as they are.
    domain : str or None
        Of the clip; one that is unknown may be any.

    Returns
    -------
    DataFrame
        `scores` with an undefined ``openness_offset``, and the reason, where ``openness_best`` with the same input is
        below `LEAST_CORRELATION`; and so of ``av_offset``, ``syncnet_confidence`` and `LEAST_CONFIDENCE`.
    """
    out = _refused(
        scores, "openness_offset", "openness_best", "correlation at the best offset", LEAST_CORRELATION, domain
    )
    if expert != DEFAULTS["sync_expert"]:
        return out
    return _refused(out, "av_offset", "syncnet_confidence", f"confidence of {expert}", LEAST_CONFIDENCE, domain)


def _refused(
    scores: pandas.DataFrame, offset: str, by: str, what: str, by_domain: Mapping[str, float], domain: str | None
) -> pandas.DataFrame:
    """`scores` without the offsets whose score `by`, called `what`, is too low in the domain."""
    least = by_domain.get(domain, max(by_domain.values()))
    known = scores["input"].map(scores[scores["score"] == by].set_index("input")["value"])
    refused = (scores["score"] == offset) & scores["value"].notna() & ~(known >= least)
    reasons = known.map(lambda number: _refusal(number, what, domain, least))
    return scores.assign(
        value=scores["value"].mask(refused),
        covered=scores["covered"].mask(refused, 0.0),
        reason=scores["reason"].mask(refused, reasons),
    )


def _refusal(number: float, what: str, domain: str | None, least: float) -> str:
    if math.isinf(least) and domain is not None:
        material = "filmed speech" if domain == "live_action" else domain.replace("_", " ")
        return f"no offset is stated on {material}: no {what} is enough there ({number:.2f} here)"
    # cut, not rounded: a number just below the least one is not shown as that
    measured = f"{math.floor(100 * number) / 100:.2f}" if number == number else "undefined"
    if domain is None:
        return (
            f"no offset is stated: the {what} is {measured}, and how high it must be depends on the domain; "
            "give it with --domain"
        )
    return f"no offset is stated: the {what} is {measured}, and at least {least:g} is needed"


def _openness(faces: Sequence[np.ndarray | None], regressor: Any, usual: np.ndarray | None):
    """Mouth openness of each frame, and the estimates whose range is the unit (None without a regressor)."""
    mouth_openness = np.full(len(faces), np.nan)
    known = [number for number, face in enumerate(faces) if face is not None]
    if known and regressor is not None:
        read = openness.read(np.stack([faces[number] for number in known]), regressor)
        usual = read if usual is None else usual
        mouth_openness[known] = openness.in_range(read, usual)
    elif known:
        mouth_openness[known] = openness.openness(np.stack([faces[number] for number in known]))
    return mouth_openness, usual


def _sync_scores(
    lips: sync.Lips, network: Any, own: np.ndarray, measured: sync.Sync
) -> tuple[tuple[str, ...], Callable]:
    """Names and scores of any sound; those of the clip's own sound are `measured`."""

    def scores(wave: np.ndarray) -> tuple[controls.Score, ...]:
        return (measured if wave is own else sync.measure_sync(lips, network, wave)).scores

    return sync.score_names(lips.protocol.name), scores


def _mouth_scores(
    mouth_openness: np.ndarray, fps: float, closed: float, is_cut: bool
) -> tuple[tuple[str, ...], Callable]:
    def scores(wave: np.ndarray) -> tuple[openness.Score, ...]:
        opened, moving = openness.in_silence(mouth_openness, wave, fps, threshold=closed)
        if is_cut and closed == openness.CLOSED_BY_PIXELS:
            reason = "the clip has several shots, and the openness of closed lips by their pixels differs between shots"
            opened = openness.scored("silence_open", np.nan, 0.0, reason)
        return *openness.follows_sound(mouth_openness, wave, fps)[1], opened, moving

    return openness.SCORES, scores


def _undefined(names: Sequence[str], given: str, reason: str) -> pandas.DataFrame:
    import pandas as pd

    return pd.DataFrame({"score": list(names), "input": given, "value": np.nan, "covered": 0.0, "reason": reason})
