"""Findings in sentences, computed from the numbers: Markdown for the end of each notebook and for a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from lipsync_lab import samples
from lipsync_lab.evaluation.ablation import LEAST_EFFECT
from lipsync_lab.evaluation.comparison import ALPHA
from lipsync_lab.evaluation.evaluated import COUNTERPARTS, EvaluatedCase, counterpart, frames, pairs
from lipsync_lab.evaluation.tables import (
    bilabial_closures,
    cadence_summary,
    dropouts,
    failing,
    missed,
    missed_detection_causes,
    missed_views,
    scores,
)
from lipsync_lab.settings import Settings

if TYPE_CHECKING:
    import pandas

#: Beginning of a finding that is not of the clips at hand.
RECORDED = "- Recorded"
#: Changes that are named where none is tested.
_FEW = 3


def plain(text: object) -> str:
    """Text from a file or a user as Markdown that shows it and does nothing else: no HTML, no link, no new line."""
    out = escape(" ".join(str(text).split()), quote=False)
    for mark in ("\\", "`", "*", "[", "]", "|"):
        out = out.replace(mark, f"\\{mark}")
    return out


def label(domain: str) -> str:
    """A domain in words, safe in Markdown."""
    return plain(samples.domain_in_words(domain))


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
        f"{RECORDED} with the published weights: S3FD missed **{total} of {of_all}** frames ({total / of_all:.1%}) of "
        f"{len(study)} clips of animation. {(study['missed_detection'] > 0).sum()} of the clips have a miss; "
        f"{worst.sum() / total:.0%} of the missed frames are in {len(worst)} of them ({', '.join(worst.index)}).",
        f"{RECORDED}: the longest dropout lasts {lengths.max()} frames; {(lengths > longest).sum()} of {len(lengths)} "
        f"dropouts are longer than {longest} frames, the longest that the setting `dropouts` fills where it is not the "
        "default: by default none is filled.",
        f"{RECORDED}: {explained} of the {total} missed frames are dark, low in contrast, in motion or next to a cut. "
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
    opening = scores(results).query("score == 'openness_correlation'").set_index(["clip", "input"])
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


def of_domains(results: Sequence[EvaluatedCase], effects: pandas.DataFrame) -> str:
    """Missed detections, and the metrics that are worse in animation or in its counterpart.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    effects : DataFrame
        Of `evaluation.comparison.matched`.
    """
    count, against = len(pairs(results)), label(counterpart(result.case.domain for result in results))
    missed = _missed_shares(frames(results))
    if not count:
        return "\n".join(["- There is no matched pair: the domains are not compared metric by metric.", *missed])
    about = f"- {count} matched {'pair' if count == 1 else 'pairs'}; animation is compared with {against}."
    return "\n".join([about, *missed, *of_effects(effects)])


def of_effects(effects: pandas.DataFrame) -> list[str]:
    """The metrics that are worse in animation, those worse in its counterpart, and those that are not compared.

    Parameters
    ----------
    effects : DataFrame
        Of `evaluation.comparison.matched` or `independent`.
    """
    if effects.empty:
        return ["- No metric is there to be compared."]
    by, against = effects[["by", "against"]].iloc[0]
    compared = effects[effects["difference"].notna() & ~effects["by_construction"]]
    tested, lines = compared[compared["p_adjusted"].notna()], []
    if tested.empty:
        units = int(compared["n"].max()) if len(compared) else 0
        lines.append(f"- n = {units} {by}{'s' * (units != 1)}: too few for an interval or a test.")
    for sign, worse in ((1, "animation"), (-1, label(against))):
        rows = tested[(tested["p_adjusted"] <= ALPHA) & (sign * tested["difference"] > 0)]
        named = "; ".join(_difference(row) for row in rows.itertuples()) or "no metric"
        if len(tested):
            lines.append(f"- Worse in {worse}: {named}.")
    if rest := ", ".join(tested.loc[tested["p_adjusted"] > ALPHA, "label"]):
        lines.append(f"- Not established: {rest} (adjusted p above {ALPHA:g}).")
    if family := effects["p_adjusted"].notna().sum():
        alone = "a 95 % CI is that of its metric alone"
        lines.append(
            f"- The unit is the {by}. p values are adjusted for the {family} metrics tested together; {alone}."
        )
    if satisfied := ", ".join(effects.loc[effects["by_construction"], "label"]):
        lines.append(f"- Satisfied by construction, and no finding: {satisfied}.")
    if absent := ", ".join(effects.loc[effects["difference"].isna(), "label"]):
        lines.append(f"- Not compared, since no {by} has a value on both sides: {absent}.")
    return lines


def on_points(effects: pandas.DataFrame) -> str:
    """What points and intervals of a figure of effects mean, in Markdown; that there are none, where that is so."""
    if effects["low"].isna().all():
        return "These pairs are too few for an interval or a p value." if effects["n"].any() else "There is no pair."
    return (
        f"A filled point has an adjusted p value of at most {ALPHA:g}. The 95 % interval is that of one metric alone: "
        "it holds the differences that a sign-flip test of the pairs does not reject. The p values are adjusted for "
        "all metrics of the figure by joint sign flips (Westfall and Young, step-down maxT). How often such intervals "
        "miss the true difference was simulated: 4.5 to 5.1 % of the trials with 8 to 32 pairs and symmetric "
        "differences, 11 to 16 % with log-normal ones (`benchmarks/null_simulation.py`)."
    )


def _difference(row) -> str:
    """The effect on a metric, in words."""
    number = f"**{row.label}** {row.animation:.3g} against {row.other:.3g} {row.unit}"
    return f"{number} (difference {row.difference:+.3g}, 95 % CI {row.low:.3g} to {row.high:.3g}, n = {row.n})"


def of_mitigations(
    effects: pandas.DataFrame, together: pandas.DataFrame, filled: pandas.DataFrame | None = None
) -> str:
    """What each mitigation makes better and worse, what all of them do together, and which dropouts are filled.

    Parameters
    ----------
    effects, together, filled : DataFrame
        Of `ablation.summary`, `ablation.interactions` and `ablation.filled`. Of too few clips for a test in `effects`,
        the three largest changes for the better and the worse are named.
    """
    lines = []
    for mitigation, rows in effects.groupby("mitigation", sort=False):
        # a score has no threshold that could make a change small
        large = rows[rows["change"].abs().fillna(1) >= LEAST_EFFECT]
        lines.append(f"- **{plain(mitigation)}**{_effects_in_words(large[large['difference'].fillna(0) != 0])}.")
    sure = together[together["p_adjusted"] <= ALPHA]
    for row in sure.itertuples():
        lines.append(
            f"- Together: all combined change {row.label} by {row.combined:+.3g}, where the single effects add up to "
            f"{row.sum:+.3g} (n = {row.n} clips)."
        )
    if together["p_adjusted"].notna().any() and sure.empty:
        lines.append("- Together: in no metric do all combined differ from the sum of the single effects.")
    if filled is None:
        return "\n".join(lines)
    limit = Settings().max_dropout
    lines.append(
        f"{RECORDED}: of the {filled['of'].max()} frames that the published S3FD missed, interpolation fills "
        f"{filled.loc[limit, 'interpolate']} where dropouts of up to {limit} frames are filled, and "
        f"{filled['interpolate'].max()} where they may last {filled.index.max()}. The other dropouts begin or end a "
        "shot; they need another detector, a lower threshold or a box that is given by hand."
    )
    return "\n".join(lines)


def _effects_in_words(rows: pandas.DataFrame) -> str:
    """Of the rows of one mitigation that change a metric: what gets better, what gets worse, and how sure that is."""
    if rows.empty:
        return f" changes no metric by {LEAST_EFFECT:.0%} of its threshold"
    units, tested = int(rows["n"].max()), rows["p_adjusted"].notna().any()
    own = rows[~rows["by_construction"]].assign(size=lambda own: own["change"].abs())
    own = own.sort_values("size", ascending=False, kind="stable")
    if not tested:
        own = own[own["size"].notna()]
    worse = own["direction"] * own["difference"] > 0
    sure = own["p_adjusted"] <= ALPHA if tested else own["size"].groupby(worse).cumcount() < _FEW
    alone = ~sure & worse & ((own["low"] > 0) | (own["high"] < 0))
    about = f" (n = {units} clip{'s' * (units != 1)}{'' if tested else ', too few for a test'})"
    text = f"{about}: better in {_changes(own[sure & ~worse])}; **worse** in {_changes(own[sure & worse])}"
    if alone.any():
        text += f"; not established, worse by its interval alone: {_changes(own[alone])}"
    if satisfied := ", ".join(rows.loc[rows["by_construction"], "label"]):
        text += f"; by construction: {satisfied}"
    return text


def _changes(rows: pandas.DataFrame) -> str:
    """Metrics before and after a mitigation, in words."""
    return "; ".join(f"{row.label} {row.before:.3g} to {row.after:.3g}" for row in rows.itertuples()) or "no metric"


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
