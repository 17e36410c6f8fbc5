"""The mouth restorer: a small network of this project that restores detail in a generated lower half of a face."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsync_lab.models.blocks import scaled

#: Side of a face in pixels, the first row that the network sees, and the first that it restores.
SIDE, FIRST, HALF = 96, 32, 48
#: Pixels of the blur under which a generated face is compared with its source, and the difference (of 1) at which both
#: have the same weight before the network corrects it.
SEEN, APART = 2.5, 5 / 255
#: Largest logit of that weight, and what the network's correction is multiplied by.
SUREST, GAIN = 4.0, 8.0


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

    It is given the generated face and the source's. Its output is a detail that is added to the generated face, and by
    how much the source's own pixels take its place less than where both agree (`agreement`). It begins on squares of
    two pixels a side as channels, and leaves them at its end (Shi et al. 2016, arXiv 1609.05158). The last layer begins
    at 0: an untrained network adds nothing, and the source stands where the generated face agrees with it.

    Parameters
    ----------
    width : float
        1.0 has 24 channels at the first level. There are no published weights.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c8, c24, c48, c64 = (scaled(c, width) for c in (8, 24, 48, 64))
        # the generated face, the source's, and where they agree
        self.first = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(28, c24, 3, 1, 1), _Residual(c24))
        self.down = nn.Sequential(nn.ReLU(), nn.Conv2d(c24, c48, 3, 2, 1), _Residual(c48))
        self.deep = nn.Sequential(nn.ReLU(), nn.Conv2d(c48, c64, 3, 2, 1), _Residual(c64))
        # the style of the whole picture: contrast, noise, lines
        self.style = nn.Linear(c64, c64)
        self.up = nn.Sequential(_Residual(c64), nn.Conv2d(c64, c48, 1), nn.Upsample(scale_factor=2))
        self.middle = nn.Sequential(_Residual(c48), _Residual(c48), nn.Conv2d(c48, c24, 1), nn.Upsample(scale_factor=2))
        self.last = nn.Sequential(
            *(_Residual(c24), nn.ReLU(), nn.Conv2d(c24, 4 * c8, 3, 1, 1), nn.PixelShuffle(2)),
            # at full size, without which every second row and column differ
            *(nn.ReLU(), nn.Conv2d(c8, 4, 3, 1, 1)),
        )
        nn.init.zeros_(self.last[-1].weight)
        nn.init.zeros_(self.last[-1].bias)

    def forward(self, pairs: Tensor) -> Tensor:
        """Restore faces.

        Parameters
        ----------
        pairs : Tensor, float32, (N, 6, 96, 96)
            BGR in [0, 1]: the source's upper half with the generated lower half, then the source's face.

        Returns
        -------
        Tensor, float32, (N, 3, 96, 96)
            BGR, about [0, 1]; the upper half is unchanged.
        """
        given, source = pairs[:, :3, FIRST:], pairs[:, 3:, FIRST:]
        face = recoloured(given, source)
        logit = agreement(face, source)
        first = self.first(torch.cat((2 * face - 1, 2 * source - 1, logit / SUREST), dim=1))
        down = self.down(first)
        deep = self.deep(down)
        deep = deep + self.style(deep.mean((2, 3)))[:, :, None, None]
        x = self.middle(self.up(deep) + down) + first
        added = self.last(x)
        kept = torch.sigmoid(logit + (GAIN * added[:, 3:]).clamp(max=0))
        out = kept * source + (1 - kept) * (face + added[:, :3])
        return torch.cat((pairs[:, :3, :HALF], out[:, :, HALF - FIRST :]), dim=2)


def recoloured(faces: Tensor, sources: Tensor) -> Tensor:
    """Return the rows from `FIRST` of generated faces, with the median colour of their lower half that of the sources.

    A generator shifts the colour of a skin by some grey levels. All are (N, 3, 64, 96) in [0, 1].
    """
    apart = (sources - faces)[:, :, HALF - FIRST :].flatten(2)
    shift = apart.median(dim=2).values[:, :, None, None]
    lower = torch.arange(faces.shape[2], device=faces.device)[:, None] >= HALF - FIRST
    return faces + shift * lower


def agreement(faces: Tensor, sources: Tensor) -> Tensor:
    """Return the logit of the weight of the source's pixels: positive where a generated face is the source, but softer.

    Where the two differ by less than `APART` after a blur, the generator has only lost detail.

    Parameters
    ----------
    faces, sources : Tensor, float32, (N, 3, 64, 96)
        In [0, 1].

    Returns
    -------
    Tensor, float32, (N, 1, 64, 96)
        From ``-SUREST`` to `SUREST`.
    """
    apart = blurred(faces - sources, SEEN).abs().amax(dim=1, keepdim=True)
    apart = nn.functional.max_pool2d(apart, 3, 1, 1)
    return (SUREST * (1 - apart / APART)).clamp(-SUREST, SUREST)


def blurred(faces: Tensor, sigma: float) -> Tensor:
    """Return faces (N, C, H, W) after a Gaussian blur of `sigma` pixels."""
    at = torch.arange(-int(3 * sigma), int(3 * sigma) + 1, device=faces.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(faces.shape[1], 1, 1, -1)
    pad, groups = len(at) // 2, faces.shape[1]
    faces = nn.functional.pad(faces, (pad,) * 4, mode="replicate")
    faces = nn.functional.conv2d(faces, kernel, groups=groups)
    return nn.functional.conv2d(faces, kernel.transpose(2, 3), groups=groups)
