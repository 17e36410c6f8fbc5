"""What a page says about its pictures: which models made them, and what they are evidence of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lipsync_lab.evaluation.findings import plain
from lipsync_lab.models import registry

if TYPE_CHECKING:
    from lipsync_lab.pipeline import Pipeline


def banner(pipeline: Pipeline) -> str:
    """Markdown for the top of a page: the models that made its pictures, and what these are evidence of.

    Names from files (weights, `detections.json`) are escaped: they are shown, and neither HTML nor links in them work.
    """
    return (
        f"> **What made these pictures.** {plain(made(pipeline))}\n>\n"
        f"> **What they can prove.** {plain(proves(pipeline))}\n"
    )


def made(pipeline: Pipeline) -> str:
    """The models that made the pictures, as a sentence of plain text."""
    return f"{pipeline.models[0].upper()}{pipeline.models[1:]}."


def proves(pipeline: Pipeline) -> str:
    """What pictures made by these models are evidence of, and what not; plain text."""
    weights, detector = pipeline.generator, pipeline.detector.identity["detector"]
    model = registry.MODELS.get(weights.name)
    if weights.name == "untrained":
        mouths = (
            "The generator has random weights, so its mouths are noise. The pictures prove that sound, frames, boxes, "
            "crops and pastes go where they should; only the published weights can show which mouths Wav2Lip generates."
        )
    elif weights.name == "identity":
        mouths = (
            "The generator hands its input back, so whatever differs from the source is crop, resize, paste and "
            "encode; only the published weights can show which mouths Wav2Lip generates."
        )
    elif model is None:
        mouths = f"The generator's weights are your own ({weights.name}): the pictures speak for them and no others."
    elif model.url is None:
        mouths = (
            "The generator is small and was trained by this project: the pictures show which kinds of failure there "
            "are, and that they are measured; how strong they are in Wav2Lip only the published weights can show."
        )
    else:
        mouths = "The generator has the published weights: these pictures are what Wav2Lip generates for these clips."
    if detector == "recorded":
        origin = pipeline.detector.identity.get("origin", {}).get("name", "the program that wrote the file")
        boxes = f"The boxes were recorded before, by {origin}, or placed by hand."
    elif detector == "fixed":
        boxes = "The box was given by hand: nothing was detected."
    elif detector == "lbp":
        boxes = (
            "The detector is a small cascade: its missed detections say nothing about S3FD, the detector that "
            "Wav2Lip was published with."
        )
    elif pipeline.detector.name == "s3fd":
        boxes = "The detector is the published S3FD: its missed detections are those that users of Wav2Lip meet."
    else:
        boxes = f"The detector is {pipeline.detector.name}, which is not the published S3FD: its misses are its own."
    return f"{mouths} {boxes}"
