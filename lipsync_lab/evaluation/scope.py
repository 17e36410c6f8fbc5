"""What the runs of a notebook are of, in sentences: whose clips, of which domains, dubbed by which generator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lipsync_lab import samples
from lipsync_lab.evaluation.evaluated import EvaluatedCase, pairs
from lipsync_lab.evaluation.findings import label, plain
from lipsync_lab.evaluation.resampling import MIN_UNITS
from lipsync_lab.models import registry

#: Beginning of a sentence on numbers that are bundled, and the same whatever clips were dubbed.
RECORDED = "Recorded, not from these clips:"
#: Where a clip comes from, for one clip and for several.
_ORIGINS = {
    "bundled": ("bundled sample", "bundled samples"),
    "fetched": ("fetched sample", "fetched samples"),
    "own": ("clip of your own", "clips of your own"),
}
#: Clips whose pictures the bundled models saw in training, with other sentences, and the words for them.
_SEEN_IN_TRAINING = {"astronaut_": "the bundled portrait", "animation_hello": "the character of animation_hello"}


def clips(results: Sequence[EvaluatedCase]) -> str:
    """The clips by origin and domain, such as "2 clips of your own (1 of animation and 1 of live action)"."""
    domains: dict[str, list[str]] = {}
    for result in results:
        domains.setdefault(_origin(result.case.clip), []).append(_domain(result.case.domain))
    return words(_counted(origin, of_origin) for origin, of_origin in domains.items())


def limits(results: Sequence[EvaluatedCase]) -> list[str]:
    """What the runs can show and what not: their number, their origin, their generator."""
    out = [f"The runs are of {clips(results)}, dubbed by {_generator(results[0].run.info['generator']['name'])}."]
    if len(results) == 1:
        out.append(f"1 clip is too few for an interval ({MIN_UNITS} are needed): the numbers describe this clip alone.")
    elif len(results) < MIN_UNITS:
        few = f"{len(results)} clips are too few for an interval ({MIN_UNITS} are needed)"
        out.append(f"{few}: the numbers describe these clips alone.")
    origins = {_origin(result.case.clip) for result in results}
    if "bundled" in origins:
        which = "They are" if origins == {"bundled"} else "The bundled samples are"
        out.append(f"{which} synthetic: a program draws the characters or animates a photograph.")
    return out


def of_training(results: Sequence[EvaluatedCase]) -> list[str]:
    """Which pictures of these clips the generator saw in training, where a small model of this project dubbed them."""
    if not _is_small(results[0].run.info["generator"]["name"]):
        return []
    known = [
        text
        for start, text in _SEEN_IN_TRAINING.items()
        if any(_origin(result.case.clip) == "bundled" and result.case.clip.startswith(start) for result in results)
    ]
    return [f"The small model saw {words(known)} in training, with other sentences."] if known else []


def of_pairs(results: Sequence[EvaluatedCase]) -> str:
    """What matched pairs can show, or that there is none."""
    if pairs(results):
        return (
            "The two clips of a pair differ in more than their domain: another face, another framing. Only many pairs "
            "average that out."
        )
    return (
        "No two of these clips are a matched pair, so that nothing compares the domains on them; a clips table with "
        "the column pair, or two clips that keep the same sound, makes pairs."
    )


def words(parts: Iterable[str]) -> str:
    """Words as a list in a sentence."""
    *most, last = [*parts] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _origin(clip: str) -> str:
    sample = samples.SAMPLES.get(clip)
    return "own" if sample is None else "bundled" if sample.bundled else "fetched"


def _domain(domain: str) -> str:
    return label(domain)


def _counted(origin: str, domains: Sequence[str]) -> str:
    count = len(domains)
    noun = f"{count} {_ORIGINS[origin][count != 1]}"
    kinds = [f"{domains.count(domain)} of {domain}" for domain in dict.fromkeys(domains)]
    return f"{noun} of {domains[0]}" if len(kinds) == 1 and origin != "own" else f"{noun} ({_kinds(kinds, domains)})"


def _kinds(kinds: Sequence[str], domains: Sequence[str]) -> str:
    return domains[0] if len(kinds) == 1 else words(kinds)


def _is_small(generator: str) -> bool:
    model = registry.MODELS.get(generator)
    return model is not None and model.is_small


def _generator(name: str) -> str:
    """A generator, and what its pictures are evidence of."""
    if _is_small(name):
        what = "a small model of this project: this shows which failures occur, not how strong they are in Wav2Lip"
        return f"{name}, {what}"
    built_in = {
        "identity": "identity, which returns each face unchanged",
        "untrained": "untrained, whose mouths are noise",
        "cel": "cel, which is not Wav2Lip",
    }
    if name in built_in:
        return built_in[name]
    return f"the published weights {name}" if name in registry.MODELS else f"your own weights {plain(name)}"
