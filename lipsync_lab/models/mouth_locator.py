"""The mouth locator: a small network of this project that finds the mouth in a face crop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsync_lab.models.blocks import scaled

#: Side of a crop in pixels, and of a heat map in cells.
SIDE, CELLS = 64, 16
#: Points of a mouth, each with a heat map: corners by their side of the picture, and the edges of the gap.
POINTS = ("left", "right", "top", "bottom")
#: What a crop shows of a mouth, in the order of the outputs.
VISIBILITIES = ("visible", "profile", "hidden", "off-picture", "no face")


def _conv(channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class MouthLocatorNet(nn.Module):
    """Heat maps of four points of the mouth by dilated convolutions, their visibility, and a confidence.

    The position of a point is the mean of its heat map (soft-argmax). The confidence is predicted from the features and
    from the height and the spread of the heat maps; its gradient does not reach the convolutions.

    Parameters
    ----------
    width : float
        1.0 has 16 channels in the first layer. There are no published weights.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c16, c24, c32, c48, c64 = (scaled(c, width) for c in (16, 24, 32, 48, 64))
        self.layers = nn.Sequential(
            _conv(3, c16),
            _conv(c16, c24, stride=2),
            _conv(c24, c32),
            _conv(c32, c48, stride=2),
            _conv(c48, c48),
            _conv(c48, c64, dilation=2),
            _conv(c64, c64, dilation=4),
            _conv(c64, c64, dilation=2),
            _conv(c64, c64),
        )
        self.maps = nn.Conv2d(c64, len(POINTS), 1)
        self.visibility = nn.Sequential(nn.Linear(2 * c64, c64), nn.ReLU(), nn.Linear(c64, len(VISIBILITIES)))
        self.confidence = nn.Sequential(
            nn.Linear(2 * c64 + 2 * len(POINTS) + len(VISIBILITIES), c64), nn.ReLU(), nn.Linear(c64, 1)
        )

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Locate mouths.

        Parameters
        ----------
        crops : Tensor, float32, (N, 3, 64, 64)
            BGR in [0, 1].

        Returns
        -------
        points : Tensor, float32, (N, 4, 2)
            x, y of `POINTS`, as shares of the crop's side.
        maps : Tensor, float32, (N, 4, 256)
            Logarithm of the probability of each cell, row by row.
        visibility : Tensor, float32, (N, 5)
            Logits of `VISIBILITIES`.
        confidence : Tensor, float32, (N,)
            Logit of the probability that the points are right.
        """
        features = self.layers(2 * crops - 1)
        maps = self.maps(features).float().flatten(2).log_softmax(2)
        cells = torch.arange(CELLS, device=maps.device)
        grid = torch.stack([cells.repeat(CELLS), cells.repeat_interleave(CELLS)], 1)
        grid = (grid + 0.5) / CELLS
        share = maps.exp()
        points = share @ grid
        spread = (share @ grid.square() - points.square()).sum(2)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1).float()
        visibility = self.visibility(pooled)
        shape = torch.cat([pooled, share.amax(2), 30 * spread, visibility], 1).detach()
        return points, maps, visibility, self.confidence(shape).squeeze(1)
