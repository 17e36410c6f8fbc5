"""Evaluation of a dubbed video against its source: tables of frames, scores, failures and metrics."""

from lipsync_lab.evaluation.evaluate import evaluate, evaluate_run, truth_of
from lipsync_lab.evaluation.networks import EXPERT, JUDGE, LSE, READER
from lipsync_lab.evaluation.result import FOLDER, Evaluation

__all__ = ["EXPERT", "FOLDER", "JUDGE", "LSE", "READER", "Evaluation", "evaluate", "evaluate_run", "truth_of"]
