"""Figures of everything that is measured: ``(data, ax=None) -> Axes``; no function shows or saves a figure.

Every function draws into the parameter `ax`, or, without it, into a new figure of a suitable shape, in the common style
(`lab.mplstyle`), and returns the axes. The colours are those of Okabe and Ito ("Color Universal Design", 2008), which
are distinct with any kind of colour blindness; a colour with a meaning has the same meaning in every figure.
"""

from lipsync_lab.figures.artifacts import (
    failure_rates,
    metric_distributions,
    response_matrix,
    worst_frames,
)
from lipsync_lab.figures.comparison import ablation_matrix, forest, generator_matrix
from lipsync_lab.figures.detection import (
    detection_timeline,
    detector_comparison,
    dropout_lengths,
    missed_detection_causes,
    recall_curves,
)
from lipsync_lab.figures.published import published_boxes, published_domains, published_models, published_sync
from lipsync_lab.figures.run import (
    candidates,
    contact_sheet,
    coverage,
    generation_steps,
    mel_spectrogram,
    score_timeline,
    triptych,
    waveform,
)
from lipsync_lab.figures.style import DOMAIN_COLOURS, PROVENANCE_COLOURS, STYLE
from lipsync_lab.figures.sync import (
    bilabial_closures,
    cadence_timeline,
    mouth_durations,
    mouth_openness,
    offset_curves,
    scores_with_controls,
)
from lipsync_lab.figures.training import training_curves

__all__ = [
    "DOMAIN_COLOURS",
    "PROVENANCE_COLOURS",
    "STYLE",
    "ablation_matrix",
    "bilabial_closures",
    "cadence_timeline",
    "candidates",
    "contact_sheet",
    "coverage",
    "detection_timeline",
    "detector_comparison",
    "dropout_lengths",
    "failure_rates",
    "forest",
    "generation_steps",
    "generator_matrix",
    "mel_spectrogram",
    "metric_distributions",
    "missed_detection_causes",
    "mouth_durations",
    "mouth_openness",
    "offset_curves",
    "published_boxes",
    "published_domains",
    "published_models",
    "published_sync",
    "recall_curves",
    "response_matrix",
    "score_timeline",
    "scores_with_controls",
    "training_curves",
    "triptych",
    "waveform",
    "worst_frames",
]
