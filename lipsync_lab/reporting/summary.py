"""The first page of a report: the question, sentences that answer it, the plot behind them, a failure of each domain.

`evaluation.comparison` makes the statistics; this module puts them into sentences and chooses the frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync_lab import samples
from lipsync_lab.evaluation import comparison, evaluated, resampling
from lipsync_lab.evaluation.comparison import ALPHA
from lipsync_lab.evaluation.result import SYNC_EXPERT, UNRELIABLE
from lipsync_lab.figures import style
from lipsync_lab.media.difference import CAPTION, difference
from lipsync_lab.metrics import regions, registry
from lipsync_lab.reporting import media, paired
from lipsync_lab.reporting.clip_table import anchor, recall, unit_and_number, value
from lipsync_lab.reporting.runs import frame_to_show
from lipsync_lab.reporting.text import cards, models_line
from lipsync_lab.reporting.variants import ClipResult, Variant

if TYPE_CHECKING:
    import pandas

ANIMATION = "animation"
#: The domain that stands for live action where there is none.
_STAND_IN = evaluated.COUNTERPARTS[-1]
#: Folder of the pictures of the first page.
FOLDER = "summary"
#: The most metrics that a sentence names with their numbers.
_NAMED = 3


def content(out: Path, variants: Sequence[Variant], results: Sequence[ClipResult]) -> dict[str, Any]:
    """What the templates of the first page take; its pictures are written into `FOLDER` of the report.

    Parameters
    ----------
    out : Path
        Folder of the report.
    variants : sequence of Variant
        The sentences and the plot are about the first; the other variants are compared with it.
    results : sequence of ClipResult
        Of all variants.
    """
    (out / FOLDER).mkdir(exist_ok=True)
    good = [result for result in results if result.evaluated]
    of_variant = {variant.name: [result for result in good if result.variant == variant] for variant in variants}
    first = of_variant[variants[0].name] or good
    effects = comparison.matched(
        evaluated.frames([result.evaluated for result in first]),
        by_construction=first[0].variant.by_construction,
    )
    pairs = [_pair(variants[0], other, of_variant) for other in variants[1:]]
    return {
        "question": question(good),
        "scope": _scope(good, variants),
        "sentences": [
            *(limits := paired.not_compared([result.case for result in first], _pair_count(first))),
            *_about(variants),
            *sentences(first, effects, good)[len(limits) :],
            *(pair["sentence"] for pair in pairs),
        ],
        "forest": _plot(out, effects),
        "worst": [each | {"domain_colour": style.domain_colour(each["key"])} for each in pictures(out, good)],
        "models": " ".join(dict.fromkeys(models_line(variant.pipeline) for variant in variants)),
        "cards": cards(out, variants),
        "paired": pairs,
    }


def _plot(out: Path, effects: pandas.DataFrame) -> str:
    """The forest plot, in the size in which the page shows it; empty where nothing is compared."""
    import matplotlib.pyplot as plt

    from lipsync_lab import figures

    shown = int((effects["difference"].notna() & effects["threshold"].notna()).sum())
    if not shown:
        return ""
    with plt.style.context(figures.STYLE):
        ax = plt.subplots(figsize=(8.2, 1.6 + 0.27 * shown))[1]
    # sharp where it is printed
    media.save_chart(out / FOLDER / "forest.png", figures.forest(effects, ax), dpi=200, bbox_inches="tight")
    return f"{FOLDER}/forest.png"


def _pair(first: Variant, second: Variant, results: Mapping[str, Sequence[ClipResult]]) -> dict[str, Any]:
    """The table of differences of two variants, as the page shows it."""
    table = paired.differences(results[first.name], results[second.name])
    rows = []
    for row in table.itertuples():
        unit = unit_and_number(row.metric)[0]
        apart = (row.difference, row.low, row.high, *row.individual)
        values, signed = paired.in_row((row.first, row.second), apart, unit.startswith("%"))
        # of one clip it is the difference itself
        each = "; ".join(signed[3:]) if 1 < row.n < resampling.MIN_UNITS else ""
        rows.append(
            {
                "label": registry.label(row.metric),
                "unit": unit,
                "first": values[0],
                "second": values[1],
                "difference": signed[0],
                "interval": f"{signed[1]} to {signed[2]}" if row.low == row.low else each or "–",
                "p": f"{row.p_adjusted:.3f}" if row.p_adjusted == row.p_adjusted else "–",
                "n": row.n,
                "verdict": row.verdict,
                "note": "by construction"
                if row.by_construction
                else ""
                if row.n < resampling.MIN_UNITS
                else row.reason,
            }
        )
    sentence = paired.sentence(table, first.label, second.label)
    legend = f"{paired.STATISTIC} Differences are {second.label} minus {first.label}"
    directions = {known.name: known.direction for known in registry.metrics()}
    worse = all(directions.get(metric, 1) == 1 for metric in table["metric"])
    legend += ": in each of these metrics, less is better." if worse else "."
    dubbed, none = paired.without_mouth(results[first.name], results[second.name])
    if none:
        sentence += f" {second.label} gives no mouth in {none} of {dubbed} frames that {first.label} dubbed."
    shown = {name: any(row[name] != "–" for row in rows) for name in ("interval", "p")}
    return {
        "first": first.label,
        "second": second.label,
        "sentence": sentence,
        "legend": legend,
        "rows": rows,
        "shown": shown,
    }


def _pair_count(results: Sequence[ClipResult]) -> int:
    return len(evaluated.pairs([result.evaluated for result in results]))


def _about(variants: Sequence[Variant]) -> list[str]:
    """Which of several variants the sentences are about."""
    if len(variants) < 2:
        return []
    kind = "generator" if len({variant.generator for variant in variants}) > 1 else "settings"
    return [f"Sentences that name no {kind} are about {variants[0].label}."]


def _scope(results: Sequence[ClipResult], variants: Sequence[Variant]) -> str:
    """The clips and what dubbed them."""
    domains = {result.case.name: result.case.domain for result in results}
    counts = [
        f"{_counted(list(domains.values()).count(domain), 'clip')} of {_words(domain)}"
        for domain in sorted(set(domains.values()), key=lambda domain: (domain == _STAND_IN, domain))
    ]
    if evaluated.counterpart(domains.values()) == _STAND_IN and _STAND_IN in domains.values():
        counts[-1] += " (photographs that a program animates, in the place of live action)"
    whole = [variant.label for variant in variants if not variant.is_beside(variants[0])]
    beside = [
        f", {sum(result.variant == variant for result in results)} also by {variant.label}"
        for variant in variants
        if variant.is_beside(variants[0])
    ]
    return f"{', '.join(counts)}, dubbed by {' and by '.join(whole)}{''.join(beside)}"


def question(results: Sequence[ClipResult]) -> str:
    """The question of the report, for the domains that its clips have."""
    domains = {result.case.domain for result in results}
    if ANIMATION in domains and domains & {*evaluated.COUNTERPARTS}:
        return "Where does lip-sync fail on 2D animation, compared with live action?"
    where = " and ".join(sorted(_words(domain) for domain in domains if domain))
    return f"Where does lip-sync fail on {where or 'these clips'}?"


def sentences(results: Sequence[ClipResult], effects: pandas.DataFrame, of_all: Sequence[ClipResult] = ()) -> list[str]:
    """What the numbers of one variant say about the domains: three to five sentences of plain text.

    Parameters
    ----------
    results : sequence of ClipResult
        Of one variant; those that were evaluated.
    effects : DataFrame
        Of `evaluation.comparison.matched`.
    of_all : sequence of ClipResult
        Of all variants, whose sync one sentence gives, each by name; empty: of `results`.
    """
    return [
        *paired.not_compared([result.case for result in results], _pair_count(results)),
        *_of_effects(effects),
        *_of_failures(results),
        *_of_detection(results),
        *_of_sync(of_all or results),
    ]


def _of_effects(effects: pandas.DataFrame) -> list[str]:
    """The metrics that differ between the domains, in multiples that a reader can compare: in their units."""
    known = effects[effects["difference"].notna() & ~effects["by_construction"]]
    if known.empty or not known["n"].max():
        return []
    against, count = _words(known["against"].iloc[0]), int(known["n"].max())
    tested = known[known["p_adjusted"].notna()]
    if tested.empty:
        largest = "; ".join(_pair_of_means(row) for row in known.head(_NAMED).itertuples())
        return [f"The largest differences, mean over clips and frames of animation against {against}: {largest}."]
    sure = tested[tested["p_adjusted"] <= ALPHA]
    above = sure["difference"] * sure["metric"].map(_directions()) > 0
    worse, better = sure[above], sure[~above]
    condition = f"n = {count} matched pairs; 95 % CI; p ≤ {ALPHA:g} adjusted for {len(tested)} metrics"
    first = f"Animation is worse than {against} in {len(worse)} of {len(tested)} metrics ({condition})"
    out = [first + (f": {_listed(worse)}." if len(worse) else ".")]
    rest = len(tested) - len(sure)
    last = f"For the other {rest}, no difference is shown." if rest else ""
    named = f"{_capital(against)} is worse in {len(better)}: {_listed(better)}. " if len(better) else ""
    if named or last:
        out.append(f"{named}{last}".strip())
    return out


def _listed(rows: pandas.DataFrame) -> str:
    texts = [
        f"{row.label} by {value(row.metric, abs(row.difference))} [{_interval(row)}]"
        for row in rows.head(_NAMED).itertuples()
    ]
    more = [row.label for row in rows.iloc[_NAMED:].itertuples()]
    return "; ".join([*texts, *([", ".join(more)] if more else [])])


def _interval(row) -> str:
    """The interval of a difference, in the direction in which the sentence names it."""
    ends = (row.low, row.high) if row.difference > 0 else (-row.high, -row.low)
    share = row.unit.startswith("share")
    return " to ".join(f"{end:.0%}" if share else f"{end:.3g}" for end in ends)


def _pair_of_means(row) -> str:
    """Both means in one unit: "boundary artifact, 6.02 against 2.43 grey levels"."""
    second = value(row.metric, row.other)
    first = value(row.metric, row.animation).split()[0]
    return f"{row.label}, {first} against {second}"


def _of_failures(results: Sequence[ClipResult]) -> list[str]:
    """The commonest failure of each domain, in frames and in clips."""
    parts = []
    for domain, own in by_domain(results).items():
        kind, counts = commonest(own)
        frames, clips = sum(failed for failed, _ in counts), sum(failed > 0 for failed, _ in counts)
        covered = sum(count for _, count in counts)
        numbers = f" ({frames} of {covered} frames, {clips} of {_counted(len(own), 'clip')})" if kind else ""
        parts.append(f"{kind.failure if kind else 'none'} in {_words(domain)}{numbers}")
    return [f"The commonest failure of the picture is {' and '.join(parts)}."] if parts else []


def _of_detection(results: Sequence[ClipResult]) -> list[str]:
    """In how many frames with a face the detector missed it; nothing where no clip shows one."""
    detector = results[0].variant.pipeline.detector.name
    domains = by_domain(results)
    kept = {result.case.name for own in domains.values() for result in own}
    rest = [result for result in results if result.evaluated and result.case.name not in kept]
    groups = {_words(domain): own for domain, own in domains.items()}
    if rest:
        groups["clips without a partner"] = rest
    parts = []
    for name, own in groups.items():
        missed = [result.evaluated.evaluation.frames["missed_detection"].dropna() for result in own]
        if not sum(map(len, missed)):
            continue
        lower = sum(recall(result) < 1 for result in own)
        frames = f"{int(sum(map(sum, missed)))} of {sum(map(len, missed))} frames"
        parts.append(f"{frames} of {name}" + (f" ({lower} of {_counted(len(own), 'clip')})" if lower else ""))
    return [f"The detector {detector}{_applied(results)} missed the face in {_and(parts)}."] if parts else []


def _applied(results: Sequence[ClipResult]) -> str:
    """Of `auto`, in brackets: in how many frames each of its detectors gave the face."""
    shots = [
        shot
        for result in results
        if result.evaluated
        for shot in result.evaluated.run.info.get("decisions", {}).get("shots", ())
    ]
    names = dict.fromkeys(name for shot in shots for name in shot["faces"])
    counts = {name: sum(shot["faces"].get(name, 0) for shot in shots) for name in names}
    total = sum(shot["last"] - shot["first"] + 1 for shot in shots)
    given = ", ".join(f"{name} gave the face in {counts[name]} of {total} frames" for name in counts)
    return f" ({given})" if given else ""


def _of_sync(results: Sequence[ClipResult]) -> list[str]:
    """In how many clips the output of each variant is nearer to its voice than to the control."""
    labels = dict.fromkeys(result.variant.label for result in results)
    own = {label: _nearer([result for result in results if result.variant.label == label]) for label in labels}
    parts = "; ".join(f"with {label} in {' and in '.join(counts)}" for label, counts in own.items() if counts)
    return [f"The mouth is nearer to its voice than to the same voice shuffled {parts}."] if parts else []


def _nearer(results: Sequence[ClipResult]) -> list[str]:
    """In how many clips of each domain the output of one variant is nearer to its voice than to the control."""
    parts = []
    for domain, own in by_domain(results).items():
        scores = [
            [result.evaluated.evaluation.score("syncnet_distance", given) for given in ("dubbed", "shuffled_audio")]
            for result in own
        ]
        known = [(output, control) for output, control in scores if output == output and control == control]
        if known:
            nearer = sum(output < control for output, control in known)
            experts = {result.evaluated.evaluation.about.get("sync_expert", {}).get("name") for result in own}
            limit = f" ({UNRELIABLE})" if domain == "live_action" and SYNC_EXPERT in experts else ""
            parts.append(f"{nearer} of {_counted(len(known), 'clip')} of {_words(domain)}{limit}")
    return parts


def by_domain(results: Sequence[ClipResult]) -> dict[str, list[ClipResult]]:
    """Results by domain, animation first; only matched pairs where there are any, so that the domains are alike."""
    good = [result for result in results if result.evaluated]
    names = {name for pair in evaluated.pairs([result.evaluated for result in good]).values() for name in pair}
    kept = [result for result in good if not names or result.case.name in names]
    order = (ANIMATION, *evaluated.COUNTERPARTS)
    domains = dict.fromkeys(sorted((result.case.domain for result in kept), key=lambda d: (*order, d).index(d)))
    return {domain: [result for result in kept if result.case.domain == domain] for domain in domains}


def commonest(results: Sequence[ClipResult]) -> tuple[registry.Metric | None, list[tuple[int, int]]]:
    """The metric of the picture that fails in most frames, and its failing and its defined frames of each clip."""
    best, counts = None, []
    for kind in registry.metrics():
        if not kind.failure or kind.stage != "picture":
            continue
        tables = [result.evaluated.evaluation.frames for result in results]
        shares = [
            (int(kind.beyond(table[kind.name]).sum()), int(table[kind.name].notna().sum()))
            for table in tables
            if kind.name in table
        ]
        if sum(failed for failed, _ in shares) > sum(failed for failed, _ in counts):
            best, counts = kind, shares
    return best, counts


def pictures(out: Path, results: Sequence[ClipResult]) -> list[dict[str, Any]]:
    """Write the worst frame of the commonest failure of each domain, enlarged: of every variant that dubbed the clip.

    Parameters
    ----------
    out : Path
        Folder of the report.
    results : sequence of ClipResult
        Of all variants, the first variant's first.

    Returns
    -------
    list of dict
        domain, clip, anchor, frame, caption, images (pairs of a title and an address from `out`).
    """
    first = [result for result in results if result.evaluated and result.variant == results[0].variant]
    several = any(result.variant != results[0].variant for result in results)
    shown = []
    for domain, own in by_domain(first).items():
        kind, _ = commonest(own)
        clip, frame, caption = _worst(own, kind, several)
        compared = [
            result
            for result in results
            if result.evaluated and result.case.name == clip.case.name and result.variant != clip.variant
        ]
        title = clip.variant.label if several else "output"
        names = (domain or "other", _words(domain), clip, title, frame, compared)
        shown.append({"caption": caption, **_close_ups(out, *names)})
    return shown


def _worst(
    results: Sequence[ClipResult], kind: registry.Metric | None, several: bool = False
) -> tuple[ClipResult, int, str]:
    """The clip and the frame in which a metric is worst, with the number; without a metric, any frame.

    With `several` variants the caption says whose number it is.
    """
    if kind is None:
        frame = frame_to_show(results[0].evaluated.run.ledger())
        return results[0], frame, "no metric of the picture fails"
    worst = [
        (kind.direction * (values := result.evaluated.evaluation.frames[kind.name]).max(), int(values.idxmax()), result)
        for result in results
        if kind.name in result.evaluated.evaluation.frames
        and result.evaluated.evaluation.frames[kind.name].notna().any()
    ]
    number, frame, result = max(worst, key=lambda each: each[0])
    limit = value(kind.name, kind.threshold).split()[0]
    of = f" of {result.variant.label}" if several else ""
    most = value(kind.name, kind.direction * number)
    text = f"{kind.failure}{of}, worst single frame: {most} (fails beyond {limit})"
    return result, frame, text


def _close_ups(
    out: Path, key: str, domain: str, first: ClipResult, title: str, frame: int, compared: Sequence[ClipResult]
) -> dict[str, Any]:
    """Source, outputs and, of a clip that one variant dubbed, the difference, cut to the mouth."""
    before, after = first.evaluated.pictures(frame)
    images = {"source": before, title: after}
    for other in compared:
        images[other.variant.label] = other.evaluated.pictures(frame)[1]
    if not compared:
        images[CAPTION] = difference(before, after)
    box = regions.generated(first.evaluated.run.ledger())[frame]
    parts = media.close_ups(list(images.values()), box)
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    addresses = []
    for number, (title, part) in enumerate(zip(images, parts, strict=True)):
        media.jpeg(folder / f"{key}-{number}.jpg", part)
        addresses.append((title, f"{FOLDER}/{key}-{number}.jpg"))
    name = first.case.name
    return {"key": key, "domain": domain, "clip": name, "anchor": anchor(name), "frame": frame, "images": addresses}


def _directions() -> Mapping[str, int]:
    return {metric.name: metric.direction for metric in registry.metrics()}


def _words(domain: str) -> str:
    return samples.domain_in_words(domain)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
