"""The mouth locator in frames: what it returns, how a crop maps to the frame, and what stays still in holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lipsync_lab.errors import ParameterError
from lipsync_lab.generation.cel.locate import MouthPose, face_area, locate, pose_of, steady
from lipsync_lab.geometry import Box
from lipsync_lab.models.mouth_locator import SIDE, VISIBILITIES, MouthLocatorNet

POINTS = np.array([[10.0, 20.0], [30.0, 24.0], [20.0, 18.0], [19.0, 28.0]])


class Redness(torch.nn.Module):
    """Stands for the network: it places all points on the mean of red, and names what it sees by its brightness."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, crops):
        red = crops[:, 2] * (crops[:, 0] < 0.1)
        grid = (torch.arange(SIDE) + 0.5) / SIDE
        share = red / red.sum((1, 2), keepdim=True)
        x, y = (share.sum(1) * grid).sum(1), (share.sum(2) * grid).sum(1)
        points = torch.stack([x, y], 1)[:, None].repeat(1, 4, 1)
        logits = torch.eye(len(VISIBILITIES))[:1].repeat(len(crops), 1)
        return points, None, logits, torch.full((len(crops),), 2.0)


def test_a_spot_is_found_where_it_is_in_the_frame():
    frames = np.full((2, 120, 200, 3), 128, np.uint8)
    frames[:, 70:74, 96:104] = (255, 0, 0)
    small, large = Box(70, 40, 120, 100), Box(40, 10, 140, 110)
    for pose in locate(list(frames), [small, large], network=Redness()):
        assert pose.centre == pytest.approx((100, 72), abs=0.4)
        assert pose.visibility == "visible"
        assert pose.confidence == pytest.approx(torch.tensor(2.0).sigmoid().item())


def test_a_mouth_beyond_the_frame_is_off_the_picture():
    frame = np.full((100, 100, 3), 128, np.uint8)
    frame[95:] = (255, 0, 0)  # the lowest rows are repeated below the frame
    (pose,) = locate([frame], [Box(20, 60, 80, 160)], network=Redness())
    assert pose.centre[1] > 100
    assert pose.visibility == "off-picture"
    assert not pose.drawable


def test_a_frame_without_a_face_has_no_pose():
    frame = np.zeros((40, 40, 3), np.uint8)
    assert locate([frame], [None], network=Redness()) == [None]
    with pytest.raises(ParameterError, match="as many boxes"):
        locate([frame], [], network=Redness())


def test_a_pose_has_width_angle_and_openness():
    pose = pose_of(POINTS, "visible", 0.75)
    assert pose.width == pytest.approx(np.hypot(20, 4))
    assert pose.angle == pytest.approx(11.31, abs=0.01)
    assert pose.openness == pytest.approx(np.hypot(1, 10) / np.hypot(20, 4))
    assert pose.centre == pytest.approx((19.75, 22.5))
    assert pose_of(POINTS * (1, 0) + POINTS[:, 1:] * (0, 10), "visible", 1).openness == 1.0


def test_a_pose_stands_still_during_a_hold():
    poses = [pose_of(POINTS + shift, "visible", 0.5 + shift / 10) for shift in (0.0, 1.0, 4.0, 0.0, 1.0)]
    held = steady([*poses[:3], None, *poses[3:]], [0, 0, 0, 0, 4, 4])
    assert held[0] == held[1] == held[2] == held[3] == poses[1]
    assert held[4] == held[5]
    assert held[4].left == pytest.approx((10.5, 20.5))
    cut = steady(poses, [0] * 5, [0, 0, 1, 1, 1])
    assert cut[0] == cut[1] != cut[2] == cut[4]
    assert steady([None, None], [0, 1]) == [None, None]


def test_the_area_is_a_little_larger_than_the_face():
    assert tuple(face_area(Box(0, 0, 100, 200))) == pytest.approx((-12, 0, 112, 240))


def test_the_network_has_one_heat_map_a_point():
    network = MouthLocatorNet(0.25).eval()
    points, maps, visibility, confidence = network(torch.rand(3, 3, SIDE, SIDE))
    assert points.shape == (3, 4, 2)
    assert maps.exp().sum(2).detach().numpy() == pytest.approx(np.ones((3, 4)), abs=1e-5)
    assert visibility.shape == (3, len(VISIBILITIES))
    confidence.sum().backward()
    assert network.layers[0][0].weight.grad is None  # the confidence does not train the convolutions
    assert isinstance(pose_of(POINTS, "hidden", 0.1), MouthPose)
