"""Convolution blocks of Wav2Lip's networks."""

from __future__ import annotations

from torch import Tensor, nn

from lipsync_lab.errors import ParameterError


def scaled(channels: int, width: float) -> int:
    """Return the number of channels at a width, from the number in the published network."""
    if not 0 < width <= 4:
        raise ParameterError(f"width {width} is out of range: 1.0 is the published width, 0.25 a small one")
    return max(1, round(channels * width))


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; with ``residual`` the input is added before the ReLU."""

    def __init__(self, channels_in, channels_out, kernel, stride=1, padding=0, *, residual=False):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding), nn.BatchNorm2d(channels_out)
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        # in place: what neither the convolution nor the batch norm needs for its gradient
        if self.residual:
            y += x
        return y.relu_()


class PlainConv(nn.Module):
    """Convolution and leaky ReLU without normalisation: the block of the discriminator."""

    def __init__(self, channels_in, channels_out, kernel, stride=1, padding=0):
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel, stride, padding))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.conv_block(x), 0.01)


class UpConv(nn.Module):
    """Transposed convolution, batch norm, ReLU."""

    def __init__(self, channels_in, channels_out, kernel, stride=1, padding=0, output_padding=0):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(channels_in, channels_out, kernel, stride, padding, output_padding),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block(x).relu_()


def residuals(channels: int, count: int) -> list[nn.Module]:
    """Return residual blocks."""
    return [Conv(channels, channels, 3, 1, 1, residual=True) for _ in range(count)]


def audio_encoder(width: float, last_residuals: int) -> nn.Sequential:
    """Return the encoder of mel windows, (N, 1, 80, 16) to (N, 512 * width, 1, 1), of generator and sync expert.

    The two differ in the number of residual blocks after the last strided convolution.
    """
    c32, c64, c128, c256, c512 = (scaled(c, width) for c in (32, 64, 128, 256, 512))
    return nn.Sequential(
        Conv(1, c32, 3, 1, 1),
        *residuals(c32, 2),
        Conv(c32, c64, 3, (3, 1), 1),
        *residuals(c64, 2),
        Conv(c64, c128, 3, 3, 1),
        *residuals(c128, 2),
        Conv(c128, c256, 3, (3, 2), 1),
        *residuals(c256, last_residuals),
        Conv(c256, c512, 3, 1, 0),
        Conv(c512, c512, 1, 1, 0),
    )
