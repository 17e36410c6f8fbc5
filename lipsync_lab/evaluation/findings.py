"""Findings in sentences, computed from the numbers: Markdown for the end of each notebook and for a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from lipsync_lab.evaluation.ablation import LEAST_EFFECT, largest_effects
from lipsync_lab.evaluation.bootstrap import UNITS, failing
from lipsync_lab.evaluation.evaluated import COUNTERPARTS, EvaluatedCase, counterpart, frames, pairs
from lipsync_lab.evaluation.tables import (
    bilabial_closures,
    cadence_summary,
    dropouts,
    missed,
    missed_detection_causes,
    missed_views,
    scores,
)
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas


def plain(text: object) -> str:
    """Text from a file or a user as Markdown that shows it and does nothing else: no HTML, no link, no new line."""
    out = escape(" ".join(str(text).split()), quote=False)
    for mark in ("\\", "`", "*", "[", "]", "|"):
        out = out.replace(mark, f"\\{mark}")
    return out


def label(domain: str) -> str:
    """A domain in words; "other" where it is unknown."""
    return plain(domain.replace("_", " ")) or "other"


def of_misses(table: pandas.DataFrame, recorded: pandas.DataFrame) -> str:
    """Missed detections and their causes: of `evaluated.frames`, and of `tables.recorded`."""
    why = missed_detection_causes(table)
    lines = [*_missed_shares(table), *_false_shares(table)]
    if count := int(why["misses"].sum()):
        # a cause that is as frequent among detected frames explains nothing
        known = int(why["misses"][why["among_detected"] < why["among_missed"]].sum())
        lines.append(
            f"- {known} of {count} missed frames have a cause, by ground truth or pixel statistics, that is less "
            "frequent among detected frames."
        )
    return "\n".join([*lines, *_of_recorded(recorded)])


def _of_recorded(recorded: pandas.DataFrame) -> list[str]:
    """Missed detections of the published detector, their lengths and causes."""
    study, lengths, longest = missed(recorded), dropouts(recorded)["length"], Settings().max_dropout
    total, of_all = int(study["missed_detection"].sum()), study["frames"].sum()
    worst = study["missed_detection"].nlargest(3)
    explained = total - missed_detection_causes(recorded).set_index("cause").loc["unexplained", "misses"]
    views = missed_views().groupby("view")["frames"].sum().sort_values(ascending=False)
    return [
        f"- Recorded with the published weights: S3FD missed **{total} of {of_all}** frames ({total / of_all:.1%}) of "
        f"{len(study)} clips of animation. {(study['missed_detection'] > 0).sum()} of the clips have a miss; "
        f"{worst.sum() / total:.0%} of the missed frames are in {len(worst)} of them ({', '.join(worst.index)}).",
        f"- Recorded: the longest dropout lasts {lengths.max()} frames; {(lengths > longest).sum()} of {len(lengths)} "
        f"dropouts are longer than the {longest} frames that are filled by default.",
        f"- Recorded: {explained} of the {total} missed frames are dark, low in contrast, in motion or next to a cut. "
        "A person who labelled each dropout saw a face in all of them; the view is "
        f"{', '.join(f'{view} in {count} frames' for view, count in views.items())}.",
    ]


def of_mouths(results: Sequence[EvaluatedCase], leads: pandas.Series | None = None) -> str:
    """The most common failure of each domain, the worst of each clip, and the validation of the metrics.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    leads : Series of bool, optional
        For each injected artifact, whether it moves the metric named for it more than any other.
    """
    known = failing(frames(results)).query("stage == 'picture'").dropna(subset="share")
    lines = []
    for domain, shares in known.groupby("domain", sort=False):
        worst = shares.loc[shares["share"].idxmax()]
        lines.append(
            f"- {label(domain)}: most common is **{worst['kind']}**, in {worst['frames']} of the "
            f"{worst['covered']} frames in which its metric is defined."
            if worst["frames"]
            else f"- {label(domain)}: no metric of the picture passes its threshold."
        )
    for result in results:
        for row in result.evaluation.failures.query("metric != 'missed_detection'").head(1).itertuples():
            lines.append(
                f"- {result.case.name}: worst is {plain(row.kind)}, frames {row.first} to {row.last}: "
                f"{plain(row.evidence)}."
            )
    if leads is not None:
        lines.append(
            f"- {int(leads.sum())} of {len(leads)} injected artifacts move the metric named for them more than any "
            "other."
        )
    return "\n".join(lines)


def of_timing(results: Sequence[EvaluatedCase]) -> str:
    """Whether mouths follow the voice, close on M, B and P, and keep the cadence of the source."""
    opening = scores(results).query("score == 'opening_correlation'").set_index(["clip", "input"])
    beat, sounds, lines = cadence_summary(results), bilabial_closures(results), []
    for result in results:
        name = result.case.name
        own, shuffled, source = opening["value"][name][["dubbed", "shuffled_audio", "untouched_source"]]
        lines.append(
            f"- {name}: the correlation of mouth openness and loudness is **{own:.2f}**; with shuffled audio "
            f"{shuffled:.2f}, in the untouched source {source:.2f}."
            if own == own
            else f"- {name}: mouth openness and loudness cannot be correlated: {opening['reason'][name]['dubbed']}."
        )
    for given, row in sounds.dropna(subset="least").groupby("input")["closed"].agg(["sum", "size"]).iterrows():
        lines.append(f"- On M, B and P the mouth of the {given} closes {int(row['sum'])} of {int(row['size'])} times.")
    for clip, row in beat.iterrows():
        if row["domain"] in COUNTERPARTS:
            lines.append(f"- {clip}: mouth changes during holds are measured in animation only.")
            continue
        extra = row["mouth_change_during_hold"]
        lines.append(
            f"- {clip}: the source has {row['drawings_per_second']:.1f} drawings a second, the output "
            f"{row['mouths_per_second']:.1f} mouths a second; the mouth changes in **{extra:.0%}** of the held frames."
            if extra == extra
            else f"- {clip}: no hold has generated mouths."
        )
    return "\n".join(lines)


def of_domains(results: Sequence[EvaluatedCase], differences: pandas.DataFrame) -> str:
    """The failures that are more severe in animation than in its counterpart, and the reverse.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    differences : DataFrame
        Of `evaluation.bootstrap.differences`, of several units one below the other.
    """
    count, against = len(pairs(results)), label(counterpart(result.case.domain for result in results))
    about = f"- {count} matched {'pair' if count == 1 else 'pairs'}; animation is compared with {against}."
    lines = [about, *_missed_shares(frames(results))]
    for by in UNITS:
        rows = differences[differences["by"] == by]
        certain = rows[rows["low"].notna()]
        if not len(certain):
            reasons = rows["reason"][rows["reason"] != ""]
            lines.append(
                f"- By {by} nothing can be compared: {reasons.iloc[0] if len(reasons) else 'nothing was measured'}."
            )
            continue
        worse = [", ".join(certain["kind"][rows]) or "none" for rows in (certain["low"] > 0, certain["high"] < 0)]
        lines.append(
            f"- By {by}, of {len(certain)} kinds of failure, worse in animation: **{worse[0]}**; worse in {against}: "
            f"**{worse[1]}**; the 95 % CI of the others includes 0."
        )
    return "\n".join(lines)


def of_mitigations(effects: pandas.DataFrame, filled: pandas.DataFrame) -> str:
    """Of `ablation.effects` and `ablation.filled`: the metrics that each mitigation changes most."""
    largest, lines = largest_effects(effects), []
    for mitigation in effects["mitigation"].unique():
        rows = largest[largest["mitigation"] == mitigation]
        if rows.empty:
            lines.append(f"- **{plain(mitigation)}** changes no metric by {LEAST_EFFECT:.0%} of its threshold.")
        for kind, clips in rows.groupby("kind", sort=False):
            effects_by_clip = [_effect(row) for row in clips.itertuples()]
            lines.append(f"- **{plain(mitigation)}**, {kind}: {'; '.join(effects_by_clip)}.")
    limit = Settings().max_dropout
    lines.append(
        f"- Recorded: of the {filled['of'].max()} frames that the published S3FD missed, interpolation fills "
        f"{filled.loc[limit, 'interpolate']} where dropouts of up to {limit} frames are filled, and "
        f"{filled['interpolate'].max()} where they may last {filled.index.max()}. The other dropouts begin or end a "
        "shot; they need another detector, a lower threshold or a box that is given by hand."
    )
    return "\n".join(lines)


def _effect(row) -> str:
    """The effect of a mitigation on one clip, in words."""
    if row.before != row.before:
        return f"{row.clip} not measured"
    if row.before == row.after:
        return f"{row.clip} unchanged at {row.before:.3g}"
    change = f"{row.clip} from {row.before:.3g} to **{row.after:.3g}**"
    if row.low != row.low:
        return f"{change} (no interval)"
    if row.low <= 0 <= row.high:
        return f"{change} (95 % CI includes 0)"
    return f"{change}, worse" if row.direction * (row.after - row.before) > 0 else change


def _missed_shares(table: pandas.DataFrame) -> list[str]:
    shares = table.groupby("domain", sort=False)["missed_detection"].agg(["sum", "count"])
    return [
        f"- {label(domain)}: the detector missed the face in **{int(row['sum'])} of {int(row['count'])}** frames "
        "that show one."
        for domain, row in shares.iterrows()
    ]


def _false_shares(table: pandas.DataFrame) -> list[str]:
    """Frames with false positives, of those with ground truth."""
    known = table.dropna(subset="false_positives")
    shares = (known["false_positives"] > 0).groupby(known["domain"], sort=False).agg(["sum", "count"])
    return [
        f"- {label(domain)}: {int(row['sum'])} of {int(row['count'])} frames with ground truth have a false positive."
        for domain, row in shares.iterrows()
    ]
