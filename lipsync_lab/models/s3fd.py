"""S3FD, the single shot scale-invariant face detector (Zhang et al. 2017, arXiv 1708.05237)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import relu_ as relu
from torch.nn.functional import max_pool2d

from lipsync_lab.models.blocks import scaled

#: Pixels between anchors, finest head first. An anchor is a square four strides wide.
STRIDES = (4, 8, 16, 32, 64, 128)
ANCHOR_STRIDES = 4
#: How far the regressed centre and size are scaled down (SSD's variances).
VARIANCES = (0.1, 0.2)
#: Mean of each channel, subtracted from 0..255. Published as BGR means, and published handing in RGB.
MEANS = (104.0, 117.0, 123.0)

#: Name of each head's feature map, and its channels in the published network.
HEADS = {
    "conv3_3_norm": 256,
    "conv4_3_norm": 512,
    "conv5_3_norm": 512,
    "fc7": 1024,
    "conv6_2": 512,
    "conv7_2": 256,
}
#: VGG-16 up to conv5_3: convolutions and channels of each stage.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class ChannelNorm(nn.Module):
    """Normalise the channels of each pixel to unit length, and scale them by a learned weight for each channel."""

    def __init__(self, channels: int, scale: float):
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        length = x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10
        return x / length * self.weight.view(1, -1, 1, 1)


class S3FD(nn.Module):
    """Scores and offsets of all anchors on six scales.

    Parameters
    ----------
    width : float
        1.0 is the published network (VGG-16 with six heads).
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        before = 3
        for stage, (count, channels) in enumerate(STAGES, start=1):
            for number in range(1, count + 1):
                after = scaled(channels, width)
                setattr(self, f"conv{stage}_{number}", nn.Conv2d(before, after, 3, 1, 1))
                before = after
        c128, c256, c512, c1024 = (scaled(c, width) for c in (128, 256, 512, 1024))
        self.fc6 = nn.Conv2d(c512, c1024, 3, 1, 3)
        self.fc7 = nn.Conv2d(c1024, c1024, 1)
        self.conv6_1 = nn.Conv2d(c1024, c256, 1)
        self.conv6_2 = nn.Conv2d(c256, c512, 3, 2, 1)
        self.conv7_1 = nn.Conv2d(c512, c128, 1)
        self.conv7_2 = nn.Conv2d(c128, c256, 3, 2, 1)
        self.conv3_3_norm = ChannelNorm(c256, 10)
        self.conv4_3_norm = ChannelNorm(c512, 8)
        self.conv5_3_norm = ChannelNorm(c512, 5)
        for index, (name, channels) in enumerate(HEADS.items()):
            # the finest head has three background scores, of which the largest counts ("max-out background")
            setattr(self, f"{name}_mbox_conf", nn.Conv2d(scaled(channels, width), 2 if index else 4, 3, 1, 1))
            setattr(self, f"{name}_mbox_loc", nn.Conv2d(scaled(channels, width), 4, 3, 1, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run all heads.

        Parameters
        ----------
        x : Tensor, float32, (N, 3, H, W)
            RGB in [0, 255] less `MEANS`.

        Returns
        -------
        list of 12 Tensor
            For each of the six `STRIDES` in turn: logits (N, 2, h, w) of background and face, and offsets
            (N, 4, h, w), to be read by `decode`.
        """
        maps = {}
        for stage, (count, _) in enumerate(STAGES, start=1):
            for number in range(1, count + 1):
                x = relu(getattr(self, f"conv{stage}_{number}")(x))
            norm = f"conv{stage}_3_norm"
            if norm in HEADS:
                maps[norm] = getattr(self, norm)(x)
            x = max_pool2d(x, 2, 2)
        maps["fc7"] = x = relu(self.fc7(relu(self.fc6(x))))
        maps["conv6_2"] = x = relu(self.conv6_2(relu(self.conv6_1(x))))
        maps["conv7_2"] = relu(self.conv7_2(relu(self.conv7_1(x))))

        out = []
        for name in HEADS:
            logits = getattr(self, f"{name}_mbox_conf")(maps[name])
            if logits.shape[1] == 4:
                logits = torch.cat((logits[:, :3].amax(dim=1, keepdim=True), logits[:, 3:]), dim=1)
            out += [logits, getattr(self, f"{name}_mbox_loc")(maps[name])]
        return out


def anchors(height: int, width: int, stride: int, device=None) -> Tensor:
    """Return centre and size of the anchors of a head, float32, (height * width, 4) as cx, cy, w, h in pixels."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    cx, cy = (stride / 2 + x.flatten() * stride), (stride / 2 + y.flatten() * stride)
    size = torch.full_like(cx, stride * ANCHOR_STRIDES)
    return torch.stack((cx, cy, size, size), dim=1)


def decode(heads: list[Tensor]) -> Tensor:
    """Decode boxes and scores of all anchors.

    Parameters
    ----------
    heads : list of 12 Tensor
        Output of `S3FD`.

    Returns
    -------
    Tensor, float32, (N, anchors, 5)
        x1, y1, x2, y2 in pixels of the network's input, and the score in [0, 1], of all anchors.
    """
    rows = []
    for stride, logits, offsets in zip(STRIDES, heads[::2], heads[1::2], strict=True):
        prior = anchors(*logits.shape[2:], stride, logits.device)
        offsets = offsets.flatten(2).transpose(1, 2)
        center = prior[:, :2] + offsets[..., :2] * VARIANCES[0] * prior[:, 2:]
        size = prior[:, 2:] * torch.exp(offsets[..., 2:] * VARIANCES[1])
        score = logits.softmax(dim=1)[:, 1].flatten(1).unsqueeze(2)
        rows.append(torch.cat((center - size / 2, center + size / 2, score), dim=2))
    return torch.cat(rows, dim=1)
