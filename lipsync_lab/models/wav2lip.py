"""Wav2Lip's generator and its visual quality discriminator (Prajwal et al. 2020, arXiv 2008.10010)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsync_lab.models.blocks import Conv, PlainConv, UpConv, audio_encoder, residuals, scaled

#: Side of the face crop in pixels.
FACE_SIZE = 96


class Wav2Lip(nn.Module):
    """Generate the lower half of a face for 0.2 s of speech.

    Parameters
    ----------
    width : float
        1.0 is the published network (36 million parameters).
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c16, c32, c64, c128, c256, c384, c512 = (scaled(c, width) for c in (16, 32, 64, 128, 256, 384, 512))

        def down(before, after, count):
            return nn.Sequential(Conv(before, after, 3, 2, 1), *residuals(after, count))

        def up(before, after, count):
            return nn.Sequential(UpConv(before, after, 3, 2, 1, 1), *residuals(after, count))

        # 96 x 96 down to 1 x 1; the output of each block is also an input of the decoder
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(Conv(6, c16, 7, 1, 3)),
                down(c16, c32, 2),
                down(c32, c64, 3),
                down(c64, c128, 2),
                down(c128, c256, 2),
                down(c256, c512, 1),
                nn.Sequential(Conv(c512, c512, 3, 1, 0), Conv(c512, c512, 1, 1, 0)),
            ]
        )
        self.audio_encoder = audio_encoder(width, last_residuals=1)
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(Conv(c512, c512, 1, 1, 0)),
                nn.Sequential(UpConv(c512 + c512, c512, 3, 1, 0), *residuals(c512, 1)),
                up(c512 + c512, c512, 2),
                up(c512 + c256, c384, 2),
                up(c384 + c128, c256, 2),
                up(c256 + c64, c128, 2),
                up(c128 + c32, c64, 2),
            ]
        )
        self.output_block = nn.Sequential(Conv(c64 + c16, c32, 3, 1, 1), nn.Conv2d(c32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """Generate faces.

        Parameters
        ----------
        mel : Tensor, float32, (N, 1, 80, 16)
            One mel window a face, in [-4, 4].
        face : Tensor, float32, (N, 6, 96, 96)
            BGR in [0, 1]: channels 0-2 the face with its lower half black, 3-5 the reference face.

        Returns
        -------
        Tensor, float32, (N, 3, 96, 96)
            BGR in [0, 1], the whole face.
        """
        x, across = face, []
        for block in self.face_encoder_blocks:
            x = block(x)
            across.append(x)
        x = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            x = torch.cat((block(x), across.pop()), dim=1)
        return self.output_block(x)


class QualityDiscriminator(nn.Module):
    """Classify the lower half of a face as real or generated.

    Parameters
    ----------
    width : float
        1.0 is the published network.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c32, c64, c128, c256, c512 = (scaled(c, width) for c in (32, 64, 128, 256, 512))

        def down(before, after, kernel, stride=2):
            pad = kernel // 2
            return nn.Sequential(PlainConv(before, after, kernel, stride, pad), PlainConv(after, after, kernel, 1, pad))

        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(PlainConv(3, c32, 7, 1, 3)),
                down(c32, c64, 5, (1, 2)),
                down(c64, c128, 5),
                down(c128, c256, 5),
                down(c256, c512, 3),
                down(c512, c512, 3),
                nn.Sequential(PlainConv(c512, c512, 3, 1, 0), PlainConv(c512, c512, 1, 1, 0)),
            ]
        )
        self.binary_pred = nn.Sequential(nn.Conv2d(c512, 1, 1), nn.Sigmoid())

    def forward(self, faces: Tensor) -> Tensor:
        """Score faces.

        Parameters
        ----------
        faces : Tensor, float32, (N, 3, T, 96, 96)
            BGR in [0, 1]; only the lower half is used.

        Returns
        -------
        Tensor, float32, (T * N, 1)
            1 for real, 0 for generated; all clips' first frame, then all clips' second, and so on.
        """
        x = torch.cat(faces.unbind(dim=2), dim=0)
        x = x[:, :, x.shape[2] // 2 :]
        for block in self.face_encoder_blocks:
            x = block(x)
        return self.binary_pred(x).flatten(1)
