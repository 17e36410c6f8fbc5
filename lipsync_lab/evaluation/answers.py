"""The answer at the top of each notebook: one to three sentences of Markdown, computed from its numbers, with n."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lipsync_lab.evaluation import ablation, comparison, published, study, tables
from lipsync_lab.evaluation.evaluated import EvaluatedCase, frames, pairs
from lipsync_lab.evaluation.findings import label, plain
from lipsync_lab.metrics import failures

if TYPE_CHECKING:
    import pandas

    from lipsync_lab.evaluation.result import Evaluation


def answer(sentences: Iterable[str]) -> str:
    """Sentences as the answer of a notebook."""
    return f"> **Answer.** {' '.join(sentences)}"


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
    """How often faces are missed: in the runs (`evaluated.frames`), on labelled clips, and by the published detector.

    Parameters
    ----------
    table, recorded : DataFrame
        Of `evaluated.frames` and `tables.recorded`.
    """
    known = table.groupby("domain", sort=False)["missed_detection"].agg(["sum", "count"])
    here = _list(
        f"{row['sum']:.0f} of {row['count']:.0f} frames of {label(domain)}" for domain, row in known.iterrows()
    )
    default = study.detector_table().query("detector == 'auto' and domain == 'animation'").iloc[0]
    missed, why = recorded["missed_detection"], tables.missed_detection_causes(recorded).set_index("cause")["misses"]
    return answer(
        [
            f"In these runs the detector misses the face in {here}.",
            f"On labelled animation the default detector finds **{default['recall']:.0%}** of the faces (95 % CI "
            f"{default['recall_low']:.0%} to {default['recall_high']:.0%}; {default['clips']} clips, "
            f"{default['frames']} frames).",
            f"The published S3FD misses **{missed.sum():.0f} of {missed.count()}** frames of "
            f"{recorded['clip'].nunique()} clips; {why['unexplained'] / why.sum():.0%} of these are neither dark nor "
            "low in contrast, in motion or next to a cut.",
        ]
    )


def of_mouths(results: Sequence[EvaluatedCase]) -> str:
    """The most frequent artifact of the runs, and what Wav2Lip loses on animation with published weights."""
    known = tables.failing(frames(results)).query("stage == 'picture'").dropna(subset="share")
    worst = [rows.loc[rows["share"].idxmax()] for _, rows in known.groupby("domain", sort=False)]
    here = _list(
        f"{row['kind']} in {row['frames']} of {row['covered']} frames of {label(row['domain'])}"
        if row["frames"]
        else f"none in {label(row['domain'])}"
        for row in worst
    )
    return answer([f"The most frequent artifact in these runs: {here} (n = {_clips(results)}).", _published()])


def of_timing(results: Sequence[EvaluatedCase]) -> str:
    """Whether the mouths of the runs follow the voice better than controls, and keep the holds."""
    scores = tables.scores(results).query("score == 'openness_correlation'")
    wide = scores.pivot(index="clip", columns="input", values="value").dropna(subset="dubbed")
    controls = wide[[name for name in wide if name.endswith("_audio")]].max(axis=1).dropna()
    above = int((wide["dubbed"][controls.index] > controls).sum())
    held = frames(results)["mouth_change_during_hold"].dropna()
    margins = published.sync_margins().query("family == @published.WAV2LIP")["margin"].dropna()
    return answer(
        [
            f"The opening of the mouth follows the voice more closely than every control in **{above} of "
            f"{len(controls)}** clips.",
            f"The mouth changes in **{held.sum():.0f} of {len(held)}** held frames of animation."
            if len(held)
            else "No held frame of animation has a generated mouth.",
            f"With published weights, the bundled sync expert prefers the own sound to the same sound shuffled in "
            f"{(margins > 0).sum()} of {len(margins)} sources of Wav2Lip.",
        ]
    )


def of_domains(results: Sequence[EvaluatedCase], speakers: pandas.DataFrame) -> str:
    """What is worse in animation than in live action: beside filmed speakers, and with published weights.

    Parameters
    ----------
    results : sequence of EvaluatedCase
    speakers : DataFrame
        Of `comparison.matched` on the bundled pairs.
    """
    tested = speakers[speakers["p_adjusted"].notna() & ~speakers["by_construction"]]
    sure = tested[tested["p_adjusted"] <= comparison.ALPHA]
    worse, other = (_list(sure["label"][sign * sure["difference"] > 0]) or "no metric" for sign in (1, -1))
    count = len(pairs(results))
    return answer(
        [
            f"Beside filmed speakers, animation is worse in **{worse}**, and live action in {other}, of {len(tested)} "
            f"metrics that were tested (n = {tested['n'].max()} speakers, bundled models, adjusted p ≤ "
            f"{comparison.ALPHA:g}).",
            _published(),
            f"The {'pair' if count == 1 else 'pairs'} dubbed here (n = {count}) "
            + ("shows" if count == 1 else "show")
            + " each metric at work.",
        ]
    )


def of_mitigations(effects: pandas.DataFrame) -> str:
    """Which mitigations make which metrics better, as `ablation.summary` of the bundled clips has it."""
    known = effects[effects["threshold"].notna() & ~effects["by_construction"]]
    single = known[known["mitigation"] != ablation.MITIGATIONS[-1].name]
    sure = single[single["p_adjusted"] <= comparison.ALPHA]
    better = sure[sure["change"] < 0].groupby("mitigation", sort=False)["label"].agg(_list)
    helps = "; ".join(f"**{plain(name)}** reduces {labels}" for name, labels in better.items())
    worse = sure[sure["change"] > 0]
    worse = _list(f"{row.label} with {row.mitigation}" for row in worse.itertuples()) or "No metric"
    count = single["mitigation"].nunique()
    return answer(
        [
            f"{len(better)} of {count} mitigations make a metric better that they do not satisfy by construction: "
            f"{helps or 'none'} (n = {effects['n'].max()} clips, adjusted p ≤ {comparison.ALPHA:g}).",
            f"{worse} gets worse beyond doubt.",
        ]
    )


def _published() -> str:
    """What Wav2Lip does worse on animation with published weights."""
    effects = published.domain_effects()
    sure = (effects["p_adjusted"] <= comparison.ALPHA) & (effects["difference"] > 0)
    worse = _list(
        f"**{row.label}** ({row.animation:.2f} against {row.other:.2f})" for row in effects[sure].itertuples()
    )
    rest = _list(effects.loc[~sure, "label"])
    sources = f"{effects['n'].iloc[0]} and {effects['n_other'].iloc[0]} sources"
    rest = f"; {rest} {'is' if (~sure).sum() == 1 else 'are'} not established" if rest else ""
    return (
        f"With published weights, Wav2Lip is worse on animation than on live action in {worse or 'no metric'}{rest} "
        f"({sources})."
    )


def _clips(results: Sequence[EvaluatedCase]) -> str:
    return f"{len(results)} clip{'s' * (len(results) != 1)}"


def _list(words: Iterable[str]) -> str:
    """Words as a list in a sentence."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} and {last}" if most else last
