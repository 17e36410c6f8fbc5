"""Evaluation of a dubbed video against its source: tables of frames, scores, failures and metrics."""

from lipsync_lab.evaluation.result import FOLDER, Evaluation

__all__ = ["FOLDER", "Evaluation"]
