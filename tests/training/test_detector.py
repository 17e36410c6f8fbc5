"""The detector's targets, losses and counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_material import made_picture

from lipsync_lab.geometry import Box
from lipsync_lab.models.s3fd import S3FD, decode
from lipsync_lab.training import (
    detector,
)

# ----------------------------------------------------------------------------------------------------------- detector


def test_offsets_are_turned_back_by_the_network_s_own_decoder():
    rng = np.random.default_rng(2)
    prior = detector.all_anchors(128, 160)
    low = torch.from_numpy(rng.uniform(0, 90, (len(prior), 2)).astype(np.float32))
    faces = torch.cat((low, low + torch.from_numpy(rng.uniform(8, 60, (len(prior), 2)).astype(np.float32))), dim=1)
    offsets = detector.encode(faces, prior)
    heads, first = [], 0
    for head in S3FD(0.05).eval()(torch.zeros(1, 3, 128, 160))[::2]:
        height, width = head.shape[2:]
        part = offsets[first : first + height * width]
        heads += [torch.zeros(1, 2, height, width), part.T.reshape(1, 4, height, width)]
        first += height * width
    assert first == len(prior)
    torch.testing.assert_close(decode(heads)[0, :, :4], faces, atol=2e-3, rtol=1e-4)


def test_overlaps_equal_those_of_boxes():
    prior = detector.all_anchors(64, 64)
    faces = torch.tensor([[3.0, 5.0, 40.0, 60.0], [50.0, 50.0, 64.0, 63.0]])
    overlaps = detector.overlap(faces, prior)
    for row, face in enumerate(faces.tolist()):
        for column in range(0, len(prior), 37):
            cx, cy, w, h = prior[column].tolist()
            wanted = Box(*face).iou(Box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
            assert overlaps[row, column] == pytest.approx(wanted, abs=1e-6)


def slow_match(faces: list[list[float]], prior: list[list[float]]) -> list[int]:
    """Anchor matching as the paper tells it, box by box."""
    boxes = [Box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2) for cx, cy, w, h in prior]
    overlaps = [[Box(*face).iou(box) for box in boxes] for face in faces]
    owner = [-1] * len(boxes)
    for anchor in range(len(boxes)):
        best = max(range(len(faces)), key=lambda row: overlaps[row][anchor])
        if overlaps[best][anchor] > 0.35:
            owner[anchor] = best
    counts = [owner.count(row) for row in range(len(faces))]
    wanted = max(round(sum(counts) / len(faces)), 1)
    for row in range(len(faces)):
        if counts[row] < wanted:
            free = sorted((a for a in range(len(boxes)) if owner[a] < 0), key=lambda a: -overlaps[row][a])
            for anchor in free[: wanted - counts[row]]:
                if overlaps[row][anchor] > 0.1:
                    owner[anchor] = row
    for row in range(len(faces)):
        owner[max(range(len(boxes)), key=lambda a: overlaps[row][a])] = row
    return owner


def test_matching_equals_matching_by_hand():
    prior = detector.all_anchors(64, 64)
    rng = np.random.default_rng(4)
    compensated = 0
    for _ in range(8):
        # odd numbers: no two overlaps are the same, so that order does not matter
        low = rng.uniform(0, 40, (4, 2))
        faces = np.concatenate([low, low + rng.uniform(7, 45, (4, 2))], axis=1).astype(np.float32)
        owner = detector.match(torch.from_numpy(faces), prior)
        by_hand = slow_match(faces.tolist(), prior.tolist())
        overlaps = detector.overlap(torch.from_numpy(faces), prior)
        for row in range(4):
            # a face that lies within several anchors of one size overlaps them all alike: any of those will do
            mine, wanted = (np.sort(overlaps[row][torch.tensor(owners) == row]) for owners in (owner.tolist(), by_hand))
            assert len(mine) > 0
            np.testing.assert_allclose(mine, wanted, atol=1e-5)
        compensated += int((overlaps[owner[owner >= 0], (owner >= 0).nonzero()[:, 0]] <= 0.35).sum())
    assert compensated > 0
    assert (detector.match(torch.zeros(0, 4), prior) == -1).all()


def test_faces_cut_off_or_tiny_are_neither_face_nor_background():
    prior = detector.all_anchors(64, 64)
    faces = np.array([[4, 4, 24, 24], [40, 40, 60, 60]], np.float32)
    labels, offsets = detector.targets(faces, np.array([True, False]), prior)
    centers = prior[:, :2].numpy()
    passed = ((centers > 40) & (centers < 60)).all(axis=1)
    assert (labels.numpy()[passed] == detector.IGNORED).all()
    assert (labels == detector.FACE).any()
    assert (offsets[labels != detector.FACE] == 0).all()
    torch.testing.assert_close(
        detector.encode(torch.from_numpy(faces[:1]).expand(int((labels == 1).sum()), 4), prior[labels == 1]),
        offsets[labels == 1],
    )


def test_only_the_hardest_background_counts():
    heads = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, 4)]
    heads[0][0, 1, 0, :3] = 5.0  # three backgrounds that look like faces
    labels, offsets = torch.zeros(1, 16, dtype=torch.long), torch.zeros(1, 16, 4)
    labels[0, 15], offsets[0, 15] = 1, 1.0
    labels[0, 2] = detector.IGNORED
    what, where = detector.multibox_loss(heads, labels, offsets)
    # one face, undecided: log 2; three backgrounds: two that look like faces, one undecided
    assert float(what) == pytest.approx(np.log(2) + 2 * np.log(1 + np.exp(5)) + np.log(2), rel=1e-5)
    assert float(where) == pytest.approx(4 * 0.5)
    what, where = detector.multibox_loss(heads, torch.zeros(1, 16, dtype=torch.long), offsets)
    assert float(what) == pytest.approx(3 * np.log(1 + np.exp(5)), rel=1e-5)
    assert float(where) == 0


def test_squares_show_faces_where_they_say():
    pictures = [made_picture(seed, faces=2) for seed in range(4)]
    whole = 0
    for seed in range(60):
        pixels, faces, visible = detector.square(pictures, np.random.default_rng(seed), 128, tiled=0.4, close=0.2)
        assert pixels.shape == (128, 128, 3)
        assert (faces >= 0).all()
        assert (faces <= 128).all()
        assert len(faces) == len(visible)
        for x1, y1, x2, y2 in faces[(visible > 0.999) & (faces[:, 2] - faces[:, 0] > 14)]:
            inside = pixels[int(y1 + 0.75 * (y2 - y1)) - 1, int((x1 + x2) / 2)].astype(int)
            # yellow, or grey where colours were taken away; noise has no such patch
            patch = pixels[int(y1 + 0.6 * (y2 - y1)) : int(y1 + 0.9 * (y2 - y1)), int(x1) + 3 : int(x2) - 3]
            assert patch.reshape(-1, 3).std(axis=0).max() < 14
            assert inside[0] >= inside[2] - 8
            whole += 1
    assert whole > 40


def test_some_squares_are_filled_by_one_face():
    single = [made_picture(seed, faces=1) for seed in range(4)]

    def filled(close: float) -> float:
        """Share of faces that are longer than the largest that fits with a rim."""
        shares = []
        for seed in range(300):
            _, faces, visible = detector.square(single, np.random.default_rng(seed), 96, tiled=0.0, close=close)
            shares += [(face[2:] - face[:2]).max() / 96 for face in faces[visible > 0.5]]
        return float(np.mean(np.array(shares) > 0.95))

    assert filled(0.0) == 0
    assert 0.02 < filled(0.2) < 0.15
    assert filled(0.6) > 2 * filled(0.2)


def test_lines_are_bent_a_little():
    lines = np.full((96, 96, 3), 255, np.uint8)
    lines[::12] = 0
    bent = detector._bent(lines, np.random.default_rng(3))
    assert (bent != lines).mean() > 0.02
    rows = np.nonzero((bent[..., 0] < 128).any(axis=1))[0]
    assert all(min(abs(row - at) for at in range(0, 96, 12)) <= 4 for row in rows)


def test_recall_and_precision_are_counted():
    pictures = [made_picture(1, 2), made_picture(2, 0), made_picture(3, 1)]

    class Says(torch.nn.Module):
        """Finds one of the two faces, and one more where there is nothing."""

        def __init__(self):
            super().__init__()
            self.rows = iter([[pictures[0].faces[1]], [Box(100, 5, 140, 50)], [pictures[2].faces[0]]])
            self.nothing = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return next(self.rows)

    def read(boxes):
        return torch.tensor([[[*box, 0.9] for box in boxes]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "decode", read)
        numbers = detector.recall_and_precision(Says(), pictures)
    assert numbers == {"recall": pytest.approx(2 / 3), "precision": pytest.approx(2 / 3), "faces": 3}
