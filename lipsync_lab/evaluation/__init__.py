"""Evaluation of a dubbed video against its source: tables of frames, scores, failures and metrics."""

from lipsync_lab.evaluation.evaluate import evaluate, evaluate_run, truth_of
from lipsync_lab.evaluation.networks import DISCRIMINATOR, LSE, MOUTH_OPENNESS, SYNC_EXPERT
from lipsync_lab.evaluation.result import FOLDER, Evaluation

__all__ = [
    "SYNC_EXPERT",
    "FOLDER",
    "DISCRIMINATOR",
    "LSE",
    "MOUTH_OPENNESS",
    "Evaluation",
    "evaluate",
    "evaluate_run",
    "truth_of",
]
