"""What must be said beside every picture: who made it, and what it can prove."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lipsync_lab import checkpoints

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline


def banner(pipeline: Pipeline) -> str:
    """Markdown for the top of a page: which models made its pictures, and what these can prove."""
    return f"> **What made these pictures.** {made(pipeline)}\n>\n> **What they can prove.** {proves(pipeline)}\n"


def made(pipeline: Pipeline) -> str:
    """Which models made the pictures, as a sentence."""
    return f"{pipeline.models[0].upper()}{pipeline.models[1:]}."


def proves(pipeline: Pipeline) -> str:
    """What pictures made by these models can prove, and what not."""
    weights, detector = pipeline.weights, pipeline.finder.identity["detector"]
    model = checkpoints.MODELS.get(weights.name)
    if weights.name == "untrained":
        drawn = (
            "The generator has random weights, so its mouths are noise. The pictures prove that sound, frames, boxes, "
            "crops and pastes go where they should; only the published weights can show how Wav2Lip draws."
        )
    elif weights.name == "identity":
        drawn = (
            "The generator hands its input back, so whatever differs from the source is crop, resize, paste and "
            "encode; only the published weights can show how Wav2Lip draws."
        )
    elif model is None:
        drawn = f"The generator's weights are your own ({weights.name}): the pictures speak for them and no others."
    elif model.url is None:
        drawn = (
            "The generator is small and was trained by this project: the pictures show which kinds of fault there "
            "are, and that they are measured; how strong they are in Wav2Lip only the published weights can show."
        )
    else:
        drawn = "The generator has the published weights: what is seen here is what Wav2Lip draws on these clips."
    published = {one.name for one in checkpoints.MODELS.values() if one.kind == "detector" and one.url}
    if detector == "recorded":
        origin = pipeline.finder.identity.get("origin", {}).get("name", "whatever made the file")
        found = f"The boxes were recorded before, by {origin}, or drawn by hand."
    elif detector == "fixed":
        found = "The box was given by hand: nothing was detected."
    elif detector == "lbp":
        found = (
            "The detector is a small cascade: where it misses a face says nothing about S3FD, the detector that "
            "Wav2Lip was published with."
        )
    elif pipeline.finder.name in published:
        found = "The detector is the published S3FD: its misses are those that users of Wav2Lip meet."
    else:
        found = f"The detector is {pipeline.finder.name}, which is not the published S3FD: its misses are its own."
    return f"{drawn} {found}"
