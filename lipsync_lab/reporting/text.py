"""The banner of a page: the models behind its pictures, and what these are evidence of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lipsync_lab.evaluation.findings import plain
from lipsync_lab.models import registry

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline


def banner(pipeline: Pipeline) -> str:
    """Markdown for the top of a page: the models behind its pictures, and what these are evidence of.

    Names from files (weights, `detections.json`) are escaped: HTML and links in them do not work.
    """
    return (
        f"> **Models.** {plain(models_sentence(pipeline))}\n>\n"
        f"> **What these pictures are evidence of.** {plain(evidence_note(pipeline))}\n"
    )


def models_sentence(pipeline: Pipeline) -> str:
    """The models behind the pictures, as a sentence of plain text."""
    return f"{pipeline.models[0].upper()}{pipeline.models[1:]}."


def evidence_note(pipeline: Pipeline) -> str:
    """What pictures of these models are evidence of, and what not: plain text."""
    weights, identity = pipeline.generator, pipeline.detector.identity
    model = registry.MODELS.get(weights.name)
    if weights.name == "untrained":
        mouths = (
            "The generator has random weights, so its mouths are noise. The pictures show that audio, frames, boxes, "
            "crops and pastes are aligned; only the published weights can show which mouths Wav2Lip generates."
        )
    elif weights.name == "identity":
        mouths = (
            "The generator returns its input, so every difference from the source comes from crop, resize, paste and "
            "encoding; only the published weights can show which mouths Wav2Lip generates."
        )
    elif model is None:
        mouths = f"The generator's weights are your own ({weights.name}): the pictures are evidence of these weights."
    elif model.url is None:
        mouths = (
            "The generator is a small one that this project trained: the pictures show which kinds of failure occur "
            "and that they are measured; how strong they are in Wav2Lip only the published weights can show."
        )
    else:
        mouths = "The generator has the published weights: these pictures are what Wav2Lip generates for these clips."
    if identity["detector"] == "recorded":
        origin = identity.get("origin", {}).get("name", "the program that wrote the file")
        boxes = f"The boxes were recorded earlier, by {origin}, or given by hand."
    elif identity["detector"] == "fixed":
        boxes = "The box was given by hand: nothing was detected."
    elif identity["detector"] == "lbp":
        boxes = (
            "The detector is a small cascade: its missed detections are no evidence about S3FD, the detector that "
            "Wav2Lip was published with."
        )
    elif pipeline.detector.name == "s3fd":
        boxes = "The detector is the published S3FD: users of Wav2Lip meet the same missed detections."
    else:
        boxes = (
            f"The detector is {pipeline.detector.name}, which is not the published S3FD: its missed detections are "
            "evidence about this detector only."
        )
    return f"{mouths} {boxes}"
