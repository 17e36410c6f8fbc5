"""Networks that measure sync: the sync expert of Wav2Lip, and the SyncNet of LSE-D and LSE-C."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import normalize

from lipsync_lab.models.blocks import Conv, audio_encoder, residuals, scaled


class SyncNetColor(nn.Module):
    """The sync expert that Wav2Lip was trained with (Prajwal et al. 2020, arXiv 2008.10010, section 3).

    Parameters
    ----------
    width : float
        1.0 is the published network, with embeddings of 512 numbers.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c32, c64, c128, c256, c512 = (scaled(c, width) for c in (32, 64, 128, 256, 512))
        self.face_encoder = nn.Sequential(
            Conv(15, c32, 7, 1, 3),
            Conv(c32, c64, 5, (1, 2), 1),
            *residuals(c64, 2),
            Conv(c64, c128, 3, 2, 1),
            *residuals(c128, 3),
            Conv(c128, c256, 3, 2, 1),
            *residuals(c256, 2),
            Conv(c256, c512, 3, 2, 1),
            *residuals(c512, 2),
            Conv(c512, c512, 3, 2, 1),
            Conv(c512, c512, 3, 1, 0),
            Conv(c512, c512, 1, 1, 0),
        )
        self.audio_encoder = audio_encoder(width, last_residuals=2)

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embed sound and lips.

        Parameters
        ----------
        mel : Tensor, float32, (N, 1, 80, 16)
            The mel window of the first of the five frames, in [-4, 4].
        faces : Tensor, float32, (N, 15, 48, 96)
            Five frames' lower half faces, BGR in [0, 1], stacked along the channels in time order.

        Returns
        -------
        audio, face : Tensor, float32, (N, 512 * width)
            Of unit length; their dot product is the cosine similarity.
        """
        return (
            normalize(self.audio_encoder(mel).flatten(1), dim=1),
            normalize(self.face_encoder(faces).flatten(1), dim=1),
        )


def _conv(conv, norm, *sizes, **options) -> list[nn.Module]:
    layer = conv(*sizes, **options)
    return [layer, norm(layer.out_channels), nn.ReLU()]


class SyncNetV2(nn.Module):
    """The network of LSE-D and LSE-C (Chung & Zisserman 2016, "Out of time").

    Parameters
    ----------
    width : float
        1.0 is the published network, with embeddings of 1024 numbers.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        c64, c96, c192, c256, c384, c512, c1024 = (scaled(c, width) for c in (64, 96, 192, 256, 384, 512, 1024))

        def flat(*sizes, **options):
            return _conv(nn.Conv2d, nn.BatchNorm2d, *sizes, **options)

        def deep(*sizes, **options):
            return _conv(nn.Conv3d, nn.BatchNorm3d, *sizes, **options)

        def head():
            return nn.Sequential(nn.Linear(c512, c512), nn.BatchNorm1d(c512), nn.ReLU(), nn.Linear(c512, c1024))

        self.netcnnaud = nn.Sequential(
            *flat(1, c64, 3, padding=1),
            nn.MaxPool2d(1, 1),
            *flat(c64, c192, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *flat(c192, c384, 3, padding=1),
            *flat(c384, c256, 3, padding=1),
            *flat(c256, c256, 3, padding=1),
            nn.MaxPool2d(3, 2),
            *flat(c256, c512, (5, 4)),
        )
        self.netfcaud = head()
        self.netcnnlip = nn.Sequential(
            *deep(3, c96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *deep(c96, c256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *deep(c256, c256, (1, 3, 3), padding=(0, 1, 1)),
            *deep(c256, c256, (1, 3, 3), padding=(0, 1, 1)),
            *deep(c256, c256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *deep(c256, c512, (1, 6, 6)),
        )
        self.netfclip = head()

    def forward(self, mfcc: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embed 0.2 s of sound and of lips.

        Parameters
        ----------
        mfcc : Tensor, float32, (N, 1, 13, 20)
            Coefficients of 0.2 s at 100 a second.
        faces : Tensor, float32, (N, 3, 5, 224, 224)
            Five whole face crops at 25 frames a second, BGR in [0, 255].

        Returns
        -------
        audio, face : Tensor, float32, (N, 1024 * width)
            Not normalised; the metric is their Euclidean distance.
        """
        audio = self.netfcaud(self.netcnnaud(mfcc).flatten(1))
        face = self.netfclip(self.netcnnlip(faces).flatten(1))
        return audio, face
