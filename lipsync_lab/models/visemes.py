"""The viseme network: a small network of this project that classifies the mouth shape of speech."""

from __future__ import annotations

from torch import Tensor, nn

from lipsync_lab.models.blocks import scaled

#: Mouth shapes that are told apart, and numbers of the pose that are regressed beside them.
CLASSES, NUMBERS = 9, 3
#: Mel columns (80 a second) by which the network looks ahead: a fifth of a second.
LOOK_AHEAD = 16
#: Distances between the taps of the convolutions, in columns; they reach 0.9 s back.
_DILATIONS = (1, 2, 4, 8, 16, 1, 4)
#: Columns of the last convolution: the latest are `LOOK_AHEAD` columns to come, the earliest half as many.
_LAST = 9


class _Causal(nn.Module):
    """A residual convolution over time, of the past alone."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.reach = 2 * dilation
        self.layers = nn.Sequential(
            nn.Conv1d(channels, channels, 3, dilation=dilation),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 1),
            nn.BatchNorm1d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.layers(nn.functional.pad(x, (self.reach, 0)))).relu()


class VisemeNet(nn.Module):
    """Mouth shapes from a mel spectrogram, column by column.

    Parameters
    ----------
    width : float
        1.0 has 128 channels. There are no published weights.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        channels = scaled(128, width)
        self.first = nn.Conv1d(80, channels, 5)
        self.body = nn.Sequential(*(_Causal(channels, dilation) for dilation in _DILATIONS))
        self.last = nn.Conv1d(channels, CLASSES + NUMBERS, _LAST)

    def forward(self, mel: Tensor) -> Tensor:
        """Classify the columns.

        Parameters
        ----------
        mel : Tensor, float32, (N, 80, T)
            Of `media.audio.melspectrogram`: decibels brought to [-4, 4], 80 columns a second.

        Returns
        -------
        Tensor, float32, (N, 12, T)
            Logits of `generation.cel.shapes.SHAPES`, then logits of openness, width and rounding. A column depends on
            the past and on `LOOK_AHEAD` columns to come.
        """
        # silence before and after the sound; the first convolution takes five columns
        mel = nn.functional.pad(mel, (4, LOOK_AHEAD), value=-4.0)
        return self.last(self.body((self.first(mel / 4)).relu())[:, :, LOOK_AHEAD + 1 - _LAST :])
