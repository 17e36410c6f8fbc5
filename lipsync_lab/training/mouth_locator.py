"""The mouth locator: training on synthetic faces, and its errors on unseen ones.

Examples are varied at random: the box of the face, rotation, colours, blur, noise and compression; a blob before the
mouth makes it hidden, the edge of the picture may cut it off, and a part of a face beside the mouth shows none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor, nn

from lipsync_lab.generation.cel import locate
from lipsync_lab.geometry import Box
from lipsync_lab.models.mouth_locator import CELLS, SIDE, VISIBILITIES, MouthLocatorNet
from lipsync_lab.training.loop import pixels, seeded
from lipsync_lab.training.mouth_examples import MARGIN, STORED, MouthExamples
from lipsync_lab.training.recipes import MouthLocatorRecipe

#: A pose is right if its centre is wrong by this share of the mouth's width at most, and its width by that share.
RIGHT_CENTRE, RIGHT_WIDTH = 0.2, 0.25
VISIBLE, PROFILE, HIDDEN, OFF, NO_FACE = range(len(VISIBILITIES))
#: Weight of the points of a mouth by its visibility.
_WEIGHT = np.array([1.0, 1.0, 0.2, 0.0, 0.0], np.float32)
_CHECKED = 600
_BATCH = 256


class MouthLocatorTask:
    """Task of the mouth locator; see `loop.Task`."""

    kind = "mouth_locator"

    def __init__(self, recipe: MouthLocatorRecipe, examples: MouthExamples, held_out: MouthExamples | None = None):
        self.recipe, self.examples, self.held_out = recipe, examples, held_out
        self.networks = {self.kind: seeded(lambda: MouthLocatorNet(recipe.width), recipe.schedule.seed)}

    def batch(self, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        chosen = rng.integers(len(self.examples), size=self.recipe.crops)
        crops, points, visibility = zip(*(varied(self.examples, index, rng) for index in chosen), strict=True)
        return {
            "crops": np.stack(crops),
            "points": np.stack(points).astype(np.float32),
            "visibility": np.array(visibility),
        }

    def losses(self, batch: Mapping[str, Tensor], step: int) -> Iterator[tuple[str, Tensor, dict]]:
        points, maps, visibility, confidence = self.networks[self.kind](pixels(batch["crops"]))
        target, label = batch["points"], batch["visibility"]
        weight = target.new_tensor(_WEIGHT)[label]
        target = target.nan_to_num(0.5)
        share = weight / weight.sum().clamp_min(1)
        cell = (target * CELLS).long().clamp(0, CELLS - 1)
        hit = -maps.gather(2, (cell[..., 1] * CELLS + cell[..., 0])[..., None]).mean((1, 2))
        distance = (points - target).abs().sum(2).mean(1)
        right = (errors(points.detach(), target)[:, :2] <= target.new_tensor([RIGHT_CENTRE, RIGHT_WIDTH])).all(1)
        classes = nn.functional.cross_entropy(visibility.float(), label)
        sure = nn.functional.binary_cross_entropy_with_logits(confidence.float(), (right & (label <= PROFILE)).float())
        numbers = {"distance": (share * distance).sum(), "cells": (share * hit).sum(), "classes": classes, "sure": sure}
        loss = 4 * numbers["distance"] + 0.3 * numbers["cells"] + 0.3 * classes + 0.3 * sure
        yield self.kind, loss, numbers

    def check(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if self.held_out is None:
            return {}
        numbers = measure(networks[self.kind], self.held_out, most=_CHECKED)
        return {name: numbers[name] for name in ("all_centre_median", "all_width_median", "visibility_accuracy")}


def errors(points, target):
    """Errors of poses, for tensors and arrays (N, 4, 2) of points in a square crop, as (N, 4).

    The columns are the error of the centre, of the width and of the gap as shares of the true width, and that of the
    angle in degrees.
    """
    import torch

    points, target = (torch.as_tensor(value) for value in (points, target))
    (across, wanted), (gap, open_) = (
        [value[:, b] - value[:, a] for value in (points, target)] for a, b in ((0, 1), (2, 3))
    )
    width = wanted.norm(dim=1).clamp_min(1e-6)
    centre = (points.mean(1) - target.mean(1)).norm(dim=1) / width
    turn = torch.atan2(across[:, 1], across[:, 0]) - torch.atan2(wanted[:, 1], wanted[:, 0])
    turn = torch.rad2deg(torch.atan2(turn.sin(), turn.cos())).abs()
    return torch.stack(
        [centre, (across.norm(dim=1) - width).abs() / width, (gap.norm(dim=1) - open_.norm(dim=1)).abs() / width, turn],
        1,
    )


def varied(
    examples: MouthExamples, index: int, rng: np.random.Generator, *, events: bool = True, degraded: bool = True
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return crop (64, 64, 3), points (4, 2) as shares of its side, and visibility of an example, varied at random.

    Parameters
    ----------
    examples : MouthExamples
    index : int
    rng : numpy.random.Generator
    events : bool
        Whether blobs, the picture's edge and parts of faces occur.
    degraded : bool
        Whether colours, blur, noise and compression change.
    """
    import cv2

    crop, points, label = examples.crops[index], examples.points[index].astype(float), int(examples.visibility[index])
    area = _box_at_random(rng)
    if events and label != NO_FACE:
        event = rng.random()
        if event < 0.14:
            crop, label = _covered(crop, points, label, rng)
        elif event < 0.24:
            crop, label = _cut_off(crop, points, label, rng)
        elif event < 0.32:
            beside = _beside(points, rng)
            area, label = (area, label) if beside is None else (beside, NO_FACE)
    if events and label == NO_FACE and rng.random() < 0.5:
        crop = _scribbled(crop, rng)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
        points = np.stack([STORED - points[:, 0], points[:, 1]], axis=1)[[1, 0, 2, 3]]
        area = Box(STORED - area.x2, area.y1, STORED - area.x1, area.y2)
    turn = np.radians(rng.normal(0, 7))
    around = np.array(area.center)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = np.diag([SIDE / area.width, SIDE / area.height]) @ rotation
    shift = np.array([SIDE, SIDE]) / 2 - linear @ around
    matrix = np.column_stack([linear, shift + linear @ [0.5, 0.5] - 0.5])
    crop = cv2.warpAffine(
        np.ascontiguousarray(crop), matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return _degraded(crop, rng) if degraded else crop, (points @ linear.T + shift) / SIDE, label


def _box_at_random(rng: np.random.Generator) -> Box:
    """Return the area that the network sees, of a face box that is moved and scaled as a detector's may be."""
    side = STORED / (1 + 2 * MARGIN)
    middle = STORED / 2 + rng.normal(0, 0.06, 2) * side
    width, height = side * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.05, 2) * [1, -1])
    return locate.face_area(
        Box(middle[0] - width / 2, middle[1] - height / 2, middle[0] + width / 2, middle[1] + height / 2)
    )


def _covered(crop, points, label, rng) -> tuple[np.ndarray, int]:
    """Paint a blob over the mouth, or as often somewhere else."""
    import cv2

    width = np.hypot(*(points[1] - points[0]))
    over = rng.random() < 0.5
    middle = points.mean(0) if over else rng.uniform(0, STORED, 2)
    radius = rng.uniform(0.8, 1.6, 2) * width
    if not over and np.hypot(*((middle - points.mean(0)) / (radius + 0.7 * width))) < 1:
        return crop, label
    angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(7, 14)))
    if np.diff(angle, append=angle[0] + 2 * np.pi).max() > 1.8:  # the blob would have a bay where the mouth is
        angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    edge = middle + np.column_stack([np.cos(angle), np.sin(angle)]) * radius * rng.uniform(0.85, 1.15, (len(angle), 1))
    other = rng.integers(0, STORED, 2)
    colour = crop[other[0], other[1]] if rng.random() < 0.5 else rng.integers(0, 256, 3)
    crop, edge = np.ascontiguousarray(crop).copy(), (edge * 16).astype(np.int32)
    cv2.fillPoly(crop, [edge], tuple(int(level) for level in colour), cv2.LINE_AA, 4)
    if rng.random() < 0.7:
        cv2.polylines(crop, [edge], True, tuple(int(level) // 4 for level in colour), 1, cv2.LINE_AA, 4)
    return crop, HIDDEN if over else label


def _scribbled(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw outlined ovals and lines at random: clasps, fingers, folds and masonry are no faces."""
    import cv2

    crop, ink = np.ascontiguousarray(crop).copy(), tuple(int(level) for level in rng.integers(0, 90, 3))
    pen = int(rng.integers(1, 4))
    for _ in range(rng.integers(1, 8)):
        middle, colour = rng.integers(15, STORED - 15, 2).tolist(), rng.integers(0, 256, 3).tolist()
        if rng.random() < 0.5:
            shape = middle, rng.integers(3, 45, 2).tolist(), float(rng.uniform(0, 180)), 0, 360
            cv2.ellipse(crop, *shape, colour, -1, cv2.LINE_AA)
            cv2.ellipse(crop, *shape, ink, pen, cv2.LINE_AA)
        else:
            line = middle + np.cumsum(rng.normal(0, 9, (int(rng.integers(2, 6)), 2)), axis=0)
            cv2.polylines(crop, [line.astype(np.int32)], False, ink, pen, cv2.LINE_AA)
    return crop


def _cut_off(crop, points, label, rng) -> tuple[np.ndarray, int]:
    """End the picture at a line; what lies beyond repeats its edge, as `locate` does outside of a frame."""
    crop, centre = np.array(crop), points.mean(0)
    axis = int(rng.random() < 0.6)  # 1: the lower edge
    after = axis == 1 or rng.random() < 0.5
    at = int(np.clip(centre[axis] + rng.normal(0, 0.22) * STORED, 12, STORED - 12))
    lines = crop if axis == 1 else crop.transpose(1, 0, 2)
    if after:
        lines[at:] = lines[at - 1]
    else:
        lines[:at] = lines[at]
    return crop, OFF if (centre[axis] > at) == after else label


def _beside(points, rng) -> Box | None:
    """Return an area of a face that does not touch the mouth, or None if ten attempts find none."""
    low, high = points.min(0) - 4, points.max(0) + 4
    for _ in range(10):
        side = rng.uniform(24, 66)
        x, y = rng.uniform(0, STORED - side, 2)
        if x + side < low[0] or x > high[0] or y + side < low[1] or y > high[1]:
            return Box(x, y, x + side, y + side)
    return None


def _degraded(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change hue, saturation, brightness and contrast; blur, enlarge, add noise, and compress at random."""
    import cv2

    if rng.random() < 0.4:
        hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV).astype(np.int32)
        hsv[..., 0] = (hsv[..., 0] + rng.integers(180)) % 180
        hsv[..., 1] = np.minimum(hsv[..., 1] * rng.uniform(0, 1.3), 255)
        crop = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    if rng.random() < 0.15:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    picture = crop.astype(np.float32)
    if rng.random() < 0.7:
        picture = 255 * (picture / 255) ** np.exp(rng.normal(0, 0.35))
        picture = (picture - 128) * rng.uniform(0.45, 1.15) * rng.uniform(0.9, 1.1, 3) + 128 + rng.uniform(-45, 45)
    if rng.random() < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.2:
        small = int(rng.integers(22, 56))
        picture = cv2.resize(cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA), (SIDE, SIDE))
    if rng.random() < 0.35:
        picture = picture + rng.normal(0, rng.uniform(1, 9), picture.shape)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))])
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return picture


def measure(network: nn.Module, examples: MouthExamples, *, degraded: bool = False, most: int = 0) -> dict[str, float]:
    """Measure the locator on unseen characters.

    Face boxes are moved and scaled at random, and heads are turned, by the same seed each time.

    Parameters
    ----------
    network : MouthLocatorNet
        In evaluation mode.
    examples : MouthExamples
    degraded : bool
        Whether colours, blur, noise and compression change too.
    most : int
        Number of examples, chosen at even distances; 0 for all.

    Returns
    -------
    dict
        For each style, and for ``all``: ``n`` mouths that are visible or in profile; ``centre``, ``width``, ``gap`` and
        ``angle``, each with ``median`` and ``p90``; see `benchmark.MEANINGS`. And of the visibility and the confidence:
        ``visibility_accuracy``, ``mouth_recall``, ``no_mouth_recall``, ``confidence_auc``, ``confidence_error``.
    """
    rng = np.random.default_rng(7)
    step = max(1, len(examples) // most) if most else 1
    chosen = np.arange(0, len(examples), step)
    crops, target, label = zip(*(varied(examples, i, rng, degraded=degraded) for i in chosen), strict=True)
    target, label = np.stack(target) * SIDE, np.array(label)
    located = [locate.read(np.stack(crops[at : at + _BATCH]), network) for at in range(0, len(crops), _BATCH)]
    points, sure = (np.concatenate([part[column] for part in located]) for column in (0, 2))
    named = np.array([VISIBILITIES.index(name) for part in located for name in part[1]])
    mouth, wrong, numbers = label <= PROFILE, np.asarray(errors(points, target)), {}
    for style in ("all", *sorted(set(examples.style.tolist()) - {"none"}), "profile"):
        of_style = label == PROFILE if style == "profile" else (examples.style[chosen] == style) | (style == "all")
        rows = mouth & of_style
        numbers[f"{style}_n"] = int(rows.sum())
        for column, name in enumerate(("centre", "width", "gap", "angle")):
            values = wrong[rows, column] if rows.any() else np.array([np.nan])
            numbers |= {f"{style}_{name}_median": np.median(values), f"{style}_{name}_p90": np.quantile(values, 0.9)}
    right = mouth & (wrong[:, 0] <= RIGHT_CENTRE) & (wrong[:, 1] <= RIGHT_WIDTH)
    numbers["visibility_accuracy"] = float((named == label).mean())
    numbers["mouth_recall"] = float((named[mouth] <= PROFILE).mean())
    numbers["no_mouth_recall"] = float((named[~mouth] > PROFILE).mean())
    return {name: float(value) for name, value in (numbers | reliability(sure, right)).items()}


def reliability(sure: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Return ``confidence_auc`` (right against wrong poses) and ``confidence_error`` (expected calibration error)."""
    from scipy import stats

    ranks, count = stats.rankdata(sure), int(right.sum())
    pairs = count * (len(right) - count)
    auc = (ranks[right].sum() - count * (count + 1) / 2) / pairs if pairs else np.nan
    parts = np.array_split(np.argsort(sure), 10)
    gaps = [len(part) * abs(sure[part].mean() - right[part].mean()) for part in parts if len(part)]
    return {"confidence_auc": float(auc), "confidence_error": float(np.sum(gaps) / len(sure))}
