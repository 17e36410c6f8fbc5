"""The mouth restorer: a small network of this project that restores detail in a generated lower half of a face."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsync_lab.models.blocks import scaled

#: Side of a face in pixels, the first row that the network sees, and the first that it restores.
SIDE, FIRST, HALF = 96, 32, 48


class _Residual(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class MouthRestorer(nn.Module):
    """A U-Net on the rows around the lower half of a face (Ronneberger et al. 2015, arXiv 1505.04597).

    It begins on squares of two pixels a side as channels, and leaves them at its end (Shi et al. 2016, arXiv
    1609.05158). Its output is added to the picture; the last layer begins at 0, and thus the network as the identity.

    Parameters
    ----------
    width : float
        1.0 has 24 channels at the first level. There are no published weights.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c8, c24, c48, c64 = (scaled(c, width) for c in (8, 24, 48, 64))
        self.first = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, c24, 3, 1, 1), _Residual(c24))
        self.down = nn.Sequential(nn.ReLU(), nn.Conv2d(c24, c48, 3, 2, 1), _Residual(c48))
        self.deep = nn.Sequential(nn.ReLU(), nn.Conv2d(c48, c64, 3, 2, 1), _Residual(c64))
        # the style of the whole picture: contrast, noise, lines
        self.style = nn.Linear(c64, c64)
        self.up = nn.Sequential(_Residual(c64), nn.Conv2d(c64, c48, 1), nn.Upsample(scale_factor=2))
        self.middle = nn.Sequential(_Residual(c48), _Residual(c48), nn.Conv2d(c48, c24, 1), nn.Upsample(scale_factor=2))
        self.last = nn.Sequential(
            *(_Residual(c24), nn.ReLU(), nn.Conv2d(c24, 4 * c8, 3, 1, 1), nn.PixelShuffle(2)),
            # at full size, without which every second row and column differ
            *(nn.ReLU(), nn.Conv2d(c8, 3, 3, 1, 1)),
        )
        nn.init.zeros_(self.last[-1].weight)
        nn.init.zeros_(self.last[-1].bias)

    def forward(self, faces: Tensor) -> Tensor:
        """Restore faces.

        Parameters
        ----------
        faces : Tensor, float32, (N, 3, 96, 96)
            BGR in [0, 1]: the upper half of the source, the lower half of a generator.

        Returns
        -------
        Tensor, float32, (N, 3, 96, 96)
            BGR, about [0, 1]; the upper half is unchanged.
        """
        first = self.first(2 * faces[:, :, FIRST:] - 1)
        down = self.down(first)
        deep = self.deep(down)
        deep = deep + self.style(deep.mean((2, 3)))[:, :, None, None]
        x = self.middle(self.up(deep) + down) + first
        added = self.last(x)[:, :, HALF - FIRST :]
        return torch.cat((faces[:, :, :HALF], faces[:, :, HALF:] + added), dim=2)
