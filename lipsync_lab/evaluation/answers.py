"""The answer and its limits at the top of each notebook: sentences of Markdown, computed from its numbers, with n.

The answer is about the runs of the notebook alone. What is bundled, and the same for any clips, is a short paragraph
below it that says so; the notebook's sections on recorded numbers have the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lipsync_lab.evaluation import ablation, comparison, published, scope, study, tables
from lipsync_lab.evaluation.evaluated import EvaluatedCase, frames, pairs
from lipsync_lab.evaluation.findings import label, plain
from lipsync_lab.evaluation.resampling import MIN_UNITS
from lipsync_lab.evaluation.scope import RECORDED, words
from lipsync_lab.evaluation.sound import LEAST_CORRELATION
from lipsync_lab.metrics import failures

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.evaluation.result import Evaluation


def answer(sentences: Iterable[str], recorded: str = "") -> str:
    """Sentences as the answer of a notebook, and below them a sentence on what is bundled."""
    apart = f"\n\n*{RECORDED}* {recorded}" if recorded else ""
    return f"> **Answer.** {' '.join(sentences)}{apart}"


def limits(results: Sequence[EvaluatedCase], *rest: str) -> str:
    """The limits of a notebook: what its runs can show (`scope.limits`), then further sentences."""
    return f"**Limits.** {' '.join([*scope.limits(results), *rest])}"


def limits_of_domains(results: Sequence[EvaluatedCase]) -> str:
    """The limits of a comparison of domains."""
    return limits(results, scope.of_pairs(results), *scope.of_training(results))


def of_clip(evaluation: Evaluation) -> str:
    """What the evaluation of one clip finds: how many frames have a mouth, and what fails."""
    failed, faces = evaluation.failures, evaluation.frames["not_generated"].dropna()
    kinds = failures.kinds()
    measured = sum(kind.name in evaluation.frames and evaluation.frames[kind.name].notna().any() for kind in kinds)
    sentences = [
        f"A mouth is generated in **{(faces == 0).sum()} of {len(faces)}** frames with a face.",
        f"**{failed['kind'].nunique()} of the {measured}** kinds of failure that are measured here occur.",
    ]
    if len(failed):
        worst = failed.iloc[0]
        sentences.append(
            f"The most severe is **{plain(worst['kind'])}** in frames {worst['first']} to {worst['last']}: "
            f"{plain(worst['evidence'])}."
        )
    return answer(sentences)


def of_misses(table: pandas.DataFrame, recorded: pandas.DataFrame) -> str:
    """How often faces are missed: in the runs (`evaluated.frames`), and in short on the recorded clips.

    Parameters
    ----------
    table, recorded : DataFrame
        Of `evaluated.frames` and `tables.recorded`.
    """
    known = table.groupby("domain", sort=False)["missed_detection"].agg(["sum", "count"])
    here = words(
        f"{row['sum']:.0f} of {row['count']:.0f} frames of {label(domain)}" for domain, row in known.iterrows()
    )
    recall = study.detector_table().query("domain == 'animation'").set_index("detector").loc["auto-without-yunet"]
    missed = recorded["missed_detection"]
    return answer(
        [f"In these runs the detector misses the face in {here}.", *_dropouts(table)],
        f"the default detector finds {recall['recall']:.0%} of the faces of {recall['clips']} labelled clips of "
        f"animation, and the published S3FD misses {missed.sum():.0f} of {missed.count()} frames of "
        f"{recorded['clip'].nunique()}.",
    )


def _dropouts(table: pandas.DataFrame) -> list[str]:
    """The longest dropout of the runs, and the most frequent cause; nothing where no face is missed."""
    lengths, why = tables.dropouts(table), tables.missed_detection_causes(table).query("misses > 0")
    if lengths.empty:
        return []
    longest = lengths.loc[lengths["length"].idxmax()]
    cause = why.groupby("cause")["misses"].sum().idxmax()
    known = "have no cause that is known" if cause == "unexplained" else f"have the cause “{plain(cause)}”"
    return [
        f"The longest of {len(lengths)} dropout{'s' * (len(lengths) != 1)} lasts **{longest['length']:.0f} frames** "
        f"({plain(longest['clip'])}); most missed frames {known}."
    ]


def of_mouths(results: Sequence[EvaluatedCase]) -> str:
    """The most frequent artifact of the runs, and what Wav2Lip loses on animation with published weights."""
    return answer([f"The most frequent artifact in {scope.clips(results)}: {_commonest(results)}."], _published())


def _commonest(results: Sequence[EvaluatedCase]) -> str:
    """The most frequent artifact of each domain, with its frames."""
    known = tables.failing(frames(results)).query("stage == 'picture'").dropna(subset="share")
    worst = [rows.loc[rows["share"].idxmax()] for _, rows in known.groupby("domain", sort=False)]
    return words(
        f"{row['kind']} in {row['frames']} of {row['covered']} frames of {label(row['domain'])}"
        if row["frames"]
        else f"none in {label(row['domain'])}"
        for row in worst
    )


def of_timing(results: Sequence[EvaluatedCase]) -> str:
    """Whether the mouths of the runs follow the voice better than controls, and keep the holds."""
    scores = tables.scores(results).query("score == 'openness_correlation'")
    wide = scores.pivot(index="clip", columns="input", values="value").dropna(subset="dubbed")
    controls = wide[[name for name in wide if name.endswith("_audio")]].max(axis=1).dropna()
    own = wide["dubbed"][controls.index]
    held = frames(results)["mouth_change_during_hold"].dropna()
    margins = published.sync_margins().query("family == @published.WAV2LIP")["margin"].dropna()
    return answer(
        [
            f"In {scope.clips(results)}, the opening of the mouth fits the voice better than every control sound in "
            f"**{(own > controls).sum()} of {len(controls)}**{_correlations(own, own > controls)}.",
            f"The mouth changes in **{held.sum():.0f} of {len(held)}** held frames of animation."
            if len(held)
            else "No held frame of animation has a generated mouth.",
        ],
        f"with published weights, the bundled sync expert prefers the own sound to the same sound shuffled in "
        f"{(margins > 0).sum()} of {len(margins)} sources of Wav2Lip.",
    )


def _correlations(own: pandas.Series, better: pandas.Series) -> str:
    """The correlations by clip, where a control fits as well, and in how many clips sync is shown: an offset needs it.

    Parameters
    ----------
    own : Series
        Correlation of the output's opening and the voice, by clip.
    better : Series
        Whether it is higher than with every control, by clip.
    """
    if own.empty:
        return ""
    shown = own.sort_values(ascending=False).iloc[slice(None) if len(own) <= 3 else [0, -1]]
    numbers = (", " if len(own) <= 3 else " to ").join(f"{value:.2f} in {clip}" for clip, value in shown.items())
    worse = list(own.index[~better])
    bad = f". A control fits as well or better, which is bad, in {words(worse)}" if worse else ""
    least = LEAST_CORRELATION["animation"]
    enough, count = int((own >= least).sum()), len(own)
    limit = "which all reach" if enough == count else f"which {enough or 'none'} of {count} reach{'es' * (enough == 1)}"
    return f" (correlation {numbers}; higher is better){bad}. Sync is shown from a correlation of {least:g} on, {limit}"


def of_domains(results: Sequence[EvaluatedCase], effects: pandas.DataFrame, speakers: pandas.DataFrame) -> str:
    """What is worse in animation than in live action: in these clips, beside filmed speakers, with published weights.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    effects, speakers : DataFrame
        Of `comparison.matched`: on these clips, and on the bundled pairs.
    """
    return answer(
        [_domains_here(results, effects)],
        f"beside filmed speakers, {_worse(speakers)} (n = {_tested(speakers)[0]} speakers, bundled models, adjusted "
        f"p ≤ {comparison.ALPHA:g}). {_published('With')}",
    )


def _domains_here(results: Sequence[EvaluatedCase], effects: pandas.DataFrame) -> str:
    """What the pairs among the clips of a notebook say; that there are none, where that is so."""
    here, count = scope.clips(results), len(pairs(results))
    if not count:
        return (
            f"Among {here} there is no matched pair, so that the domains are not compared metric by metric. The most "
            f"frequent artifact is {_commonest(results)}."
        )
    pair = f"{count} matched pair{'s' * (count != 1)}"
    known = effects[effects["difference"].notna() & ~effects["by_construction"]]
    if count < MIN_UNITS or known.empty:
        largest = "; ".join(
            f"{row.label}, {row.animation:.3g} against {row.other:.3g}" for row in known[:3].itertuples()
        )
        return (
            f"{here[0].upper()}{here[1:]} form {pair}, too few for an interval ({MIN_UNITS} are needed). The largest "
            f"differences, mean over clips and frames of animation against its counterpart: "
            f"{largest or 'none is defined'}."
        )
    tested = f"of {_tested(effects)[1]} metrics that were tested (adjusted p ≤ {comparison.ALPHA:g})"
    return f"In {pair}, from {here}, {_worse(effects)}, {tested}."


def _tested(effects: pandas.DataFrame) -> tuple[int, int]:
    """The most units of a metric that was tested, and the number of these metrics."""
    tested = effects[effects["p_adjusted"].notna() & ~effects["by_construction"]]
    return int(tested["n"].max()) if len(tested) else 0, len(tested)


def _worse(effects: pandas.DataFrame) -> str:
    """Which metrics are established to be worse on either side."""
    sure = effects[(effects["p_adjusted"] <= comparison.ALPHA) & ~effects["by_construction"]]
    worse, other = (words(sure["label"][sign * sure["difference"] > 0]) or "no metric" for sign in (1, -1))
    against = label(effects["against"].iloc[0])
    return f"animation is worse in **{worse}**, and {against} in {other}"


def of_mitigations(results: Sequence[EvaluatedCase], changed: pandas.DataFrame, effects: pandas.DataFrame) -> str:
    """Which mitigations make which metrics better: in these clips, and in the bundled ones.

    Parameters
    ----------
    results : sequence of EvaluatedCase
        With one of the mitigations.
    changed, effects : DataFrame
        Of `ablation.summary`: of these clips, and of the bundled ones.
    """
    return answer(
        [f"In {scope.clips(results)}: {_mitigations(changed)}"],
        f"in eight bundled clips of animation, {_mitigations(effects, brief=True)}",
    )


def _mitigations(effects: pandas.DataFrame, brief: bool = False) -> str:
    """What one set of clips says of mitigations; of too few clips for a test, the largest changes."""
    known = effects[effects["threshold"].notna() & ~effects["by_construction"]]
    single = known[known["mitigation"] != ablation.MITIGATIONS[-1].name]
    if single["p_adjusted"].isna().all():
        return f"too few for a test (n = {effects['n'].max()}); {_largest(single)}."
    sure = single[single["p_adjusted"] <= comparison.ALPHA]
    better = sure[sure["change"] < 0].groupby("mitigation", sort=False)["label"].agg(words)
    helps = "; ".join(f"**{plain(name)}** reduces {labels}" for name, labels in better.items())
    worse = sure[sure["change"] > 0]
    worse = words(f"{row.label} with {row.mitigation}" for row in worse.itertuples()) or "No metric"
    count = f"{len(better)} of {single['mitigation'].nunique()} mitigations make a metric better"
    counted = "" if brief and helps else f"{count} that they do not satisfy by construction: "
    return (
        f"{counted}{helps or 'none'} (n = {effects['n'].max()} clips, adjusted p ≤ {comparison.ALPHA:g}). {worse} gets "
        "worse beyond doubt."
    )


def _largest(changes: pandas.DataFrame) -> str:
    """The largest change for the better and for the worse, in units of the threshold."""
    parts = []
    for towards, sign in (("better", -1), ("worse", 1)):
        rows = changes[sign * changes["change"] >= ablation.LEAST_EFFECT]
        if len(rows):
            row = rows.loc[rows["change"].abs().idxmax()]
            numbers = f"{row['label']} {row['before']:.3g} to {row['after']:.3g}"
            parts.append(f"the largest change for the {towards} is **{plain(row['mitigation'])}**, {numbers}")
        else:
            parts.append(f"none changes a metric for the {towards} by {ablation.LEAST_EFFECT:.0%} of its threshold")
    return "; ".join(parts)


def _published(start: str = "with") -> str:
    """What Wav2Lip does worse on animation with published weights."""
    effects = published.domain_effects()
    sure = (effects["p_adjusted"] <= comparison.ALPHA) & (effects["difference"] > 0)
    worse = words(
        f"**{row.label}** ({row.animation:.2f} against {row.other:.2f})" for row in effects[sure].itertuples()
    )
    sources = f"{effects['n'].iloc[0]} and {effects['n_other'].iloc[0]} sources"
    return (
        f"{start} published weights, Wav2Lip is worse on animation than on live action in {worse or 'no metric'} "
        f"({sources})."
    )
