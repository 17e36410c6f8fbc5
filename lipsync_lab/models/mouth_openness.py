"""The mouth-openness regressor: a small network of this project that measures the gap between the lips."""

from __future__ import annotations

from torch import Tensor, nn

from lipsync_lab.models.blocks import Conv, residuals, scaled

#: Pixels of the crop for an output of 1.
UNIT = 10.0


class MouthOpennessNet(nn.Module):
    """Regress the height of the gap between the lips from the lower half of a face.

    Parameters
    ----------
    width : float
        1.0 has 16 channels in the first layer. There are no published weights.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c16, c32, c64 = (scaled(c, width) for c in (16, 32, 64))
        self.layers = nn.Sequential(
            Conv(3, c16, 5, 2, 2),
            Conv(c16, c32, 3, 2, 1),
            *residuals(c32, 1),
            Conv(c32, c64, 3, 2, 1),
            *residuals(c64, 1),
            Conv(c64, c64, 3, 2, 1),
            nn.Flatten(),
            nn.Linear(c64 * 3 * 6, 1),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Measure gaps.

        Parameters
        ----------
        faces : Tensor, float32, (N, 3, 96, 96)
            BGR in [0, 1]; only the lower half is used.

        Returns
        -------
        Tensor, float32, (N,)
            In units of `UNIT` pixels of the crop.
        """
        return self.layers(faces[:, :, faces.shape[2] // 2 :] - 0.5).squeeze(1)
