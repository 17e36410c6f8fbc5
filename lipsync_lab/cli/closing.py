"""The closing lines of `dub`, and the list of metrics that `evaluate` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync_lab.geometry import spans
from lipsync_lab.models import registry
from lipsync_lab.settings import PRESETS

if TYPE_CHECKING:
    from lipsync_lab.runs import Run


#: Share of frames that repeat the picture before, above which a clip is taken for animation. 59 and 64 % of the frames
#: of two bundled clips of animation repeat, and at most 1 % of those of two of synthetic photo (88 or 110 frames each).
_HOLDS = 1 / 3
#: What the closing line adds to a provenance.
_NOTES = {"missing": ", passed through unchanged", "copied": " from the same picture before"}


def lines(run: Run, outfile: Path, seconds: float) -> list[str]:
    """What a dub wrote and from what, where its time went, and what a small model's picture says.

    Parameters
    ----------
    run : Run
    outfile : Path
    seconds : float
        That the whole command took.
    """
    out = [_frames(run, outfile)]
    if run.mouths:
        out.append(f"mouths: {run.mouths}, as exposure_sheet.csv says frame by frame")
    if looped := _played_on(run):
        out.append(looped)
    if decided := run.info.get("decisions"):
        out.append(decided["summary"])
    out += [*_dropouts(run), _seconds(run.info["seconds"], seconds)]
    files = sorted(path.name + "/" * path.is_dir() for path in run.folder.iterdir())
    out.append(f"{run.folder}: {', '.join(files)}")
    return out + _small_model(run)


def _frames(run: Run, outfile: Path) -> str:
    info, provenance = run.info, run.column("provenance")
    kinds = [f"{number} {kind}{_NOTES.get(kind, '')}" for kind, number in Counter(provenance).most_common()]
    used, there = len(provenance), info["clip"]["frames_of_the_clip"]
    part = f"all {used}" if used == there else f"the first {used}{f' of {there}' if there else ''}"
    whole = "one frame" if used == 1 else f"{part} frames"
    by = info["generator"]["name"]
    return f"{outfile}: {info['frames_written']} frames written by {by}, from {whole} of the clip: {'; '.join(kinds)}"


def _played_on(run: Run) -> str:
    """How a clip that is shorter than its voice fills the rest; empty where it is not shorter, or is one picture."""
    info = run.info
    rest = info["frames_written"] - info["clip"]["frames"]
    if rest <= 0 or info["clip"]["frames"] == 1:
        return ""
    fps, extend = Fraction(info["clip"]["fps"]), info["settings"]["extend"]
    how = {"loop": "it starts again", "hold": "its last frame stays", "pingpong": "it plays back and forth"}[extend]
    seconds, more = float(info["clip"]["frames"] / fps), float(rest / fps)
    return (
        f"the clip lasts {seconds:.2f} s and the voice {more:.2f} s longer: for the last {rest} frames {how} "
        f"(--extend {extend})"
    )


def _dropouts(run: Run) -> list[str]:
    """Dropouts that were too long to be filled."""
    settings = run.info["settings"]
    if settings["dropouts"] not in ("hold", "interpolate"):
        return []
    limit, missing = settings["max_dropout"], [kind == "missing" for kind in run.column("provenance")]
    lengths = [end - start for start, end in spans(missing, run.column("shot"))]
    long = [length for length in lengths if length > limit]
    if not long:
        return []
    dropouts = "1 dropout" if len(long) == 1 else f"{len(long)} dropouts"
    length = f"{min(long)}" if min(long) == max(long) else f"{min(long)} to {max(long)}"
    was = "was" if len(long) == 1 else "were"
    return [f"{dropouts} of {length} frames {was} too long to be filled: --max-dropout {limit} is the limit"]


def _seconds(stages: Mapping[str, float], whole: float) -> str:
    """The time of a dub by stage; what no stage measures is mostly the loading of libraries and models."""
    named = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items() if seconds >= 0.05)
    rest = max(0.0, whole - sum(stages.values()))
    return f"{whole:.1f} s in all: {named}{', ' if named else ''}loading and the rest {rest:.1f}"


def _small_model(run: Run) -> list[str]:
    """Where this project's small weights generated a mouth, what the picture is no evidence of."""
    model = registry.MODELS.get(run.info["generator"]["name"])
    if model is None or model.kind != "generator" or not model.is_small or not run.info["mouths_generated"]:
        return []
    settings = run.info["settings"]
    has_preset = all(settings[name] == value for name, value in PRESETS["animation"].items())
    # the domain of a clip is not known here; pictures that repeat show animation on holds, and hardly occur in film
    kinds = run.column("provenance")
    has_holds = sum(kind == "copied" for kind in kinds) > _HOLDS * len(kinds)
    advice = "; for drawn animation: --preset animation" if has_holds and not has_preset else ""
    return [f"{model.name} is a small model, no measure of Wav2Lip: see its card, checkpoints/{model.name}.md{advice}"]


def metric_list() -> list[str]:
    """A line for every metric, by stage, then for every score: name, unit, threshold or better values, meaning."""
    from lipsync_lab.evaluation.text import columns
    from lipsync_lab.metrics import controls, registry

    rows = [("metric", "unit", "fails", "what it measures")]
    for metric in registry.metrics():
        limit = f"{'above' if metric.direction > 0 else 'below'} {metric.threshold:g}" if metric.failure else "-"
        rows.append((metric.name, metric.unit, limit, registry.definition(metric)))
    scores = [("score of the sound", "unit", "better", "what it measures")]
    scores += [(name, about.unit, about.better, about.meaning) for name, about in controls.SCORES.items()]
    return [*columns(rows), "", *columns(scores), "", "A score has one value a clip, and never fails."]
