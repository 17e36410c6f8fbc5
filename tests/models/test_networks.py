"""The networks against what the published code computed."""

import numpy as np
import pytest
import torch
from golden_weights import fill

from lipsync_lab.errors import ParameterError
from lipsync_lab.models import s3fd
from lipsync_lab.models.syncnet import SyncNetColor, SyncNetV2
from lipsync_lab.models.wav2lip import QualityDiscriminator, Wav2Lip

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def arrays(golden, name):
    with np.load(golden / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored}


def difference(ours: torch.Tensor, theirs: np.ndarray) -> float:
    assert tuple(ours.shape) == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max())


def test_generator(golden):
    known = arrays(golden, "wav2lip")
    out = fill(Wav2Lip())(torch.from_numpy(known["mel"]), torch.from_numpy(known["face"]))
    assert difference(out, known["out"]) < TOLERANCE


def test_quality_discriminator(golden):
    known = arrays(golden, "quality_disc")
    faces = torch.zeros(2, 3, 5, 96, 96)
    faces[:, :, :, 48:] = torch.from_numpy(known["lower"])
    assert difference(fill(QualityDiscriminator())(faces), known["out"]) < TOLERANCE


def test_expert(golden):
    known = arrays(golden, "syncnet_color")
    audio, face = fill(SyncNetColor())(torch.from_numpy(known["mel"]), torch.from_numpy(known["face"]))
    assert difference(audio, known["audio_embedding"]) < TOLERANCE
    assert difference(face, known["face_embedding"]) < TOLERANCE


def s3fd_input(frames_bgr: np.ndarray) -> torch.Tensor:
    rgb = torch.from_numpy(frames_bgr[..., ::-1].astype(np.float32))
    return (rgb - torch.tensor(s3fd.MEANS)).permute(0, 3, 1, 2)


def test_s3fd_heads(golden):
    known = arrays(golden, "s3fd")
    heads = fill(s3fd.S3FD())(s3fd_input(known["frames_bgr"]))
    assert len(heads) == 12
    for index in range(4, 12):
        assert difference(heads[index], known[f"head_{index}"]) < TOLERANCE


def test_anchors_by_hand():
    assert s3fd.anchors(1, 2, 8).tolist() == [[4, 4, 32, 32], [12, 4, 32, 32]]


def test_decode_undoes_encoding():
    """A box encoded by the textbook formula comes back, from every scale."""
    box = torch.tensor([20.0, 30.0, 84.0, 110.0])
    center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    heads = []
    for stride in s3fd.STRIDES:
        side = 128 // stride
        prior = s3fd.anchors(side, side, stride)
        offsets = torch.cat(
            (
                (center - prior[:, :2]) / prior[:, 2:] / s3fd.VARIANCES[0],
                (size / prior[:, 2:]).log() / s3fd.VARIANCES[1],
            ),
            dim=1,
        )
        heads += [torch.zeros(1, 2, side, side), offsets.T.reshape(1, 4, side, side)]
    rows = s3fd.decode(heads)[0]
    assert len(rows) == sum((128 // stride) ** 2 for stride in s3fd.STRIDES)
    assert torch.allclose(rows[:, :4], box.expand(len(rows), 4), atol=1e-3)
    assert torch.allclose(rows[:, 4], torch.tensor(0.5))


def lse_frames() -> np.ndarray:
    """The drawn clip of the golden numbers: 30 BGR frames of 224 x 224."""
    y, x = np.mgrid[0:224, 0:224].astype(float)
    frames = [
        np.stack(
            [
                128 + 90 * np.sin(x / 27 + 0.3 * i) + 20 * np.cos(y / 19),
                120 + 80 * np.cos(y / 31 - 0.2 * i) + 30 * np.sin(x / 21),
                110 + 70 * np.sin((x + y) / 35 + 0.15 * i),
            ]
        )
        for i in range(30)
    ]
    return np.stack(frames, axis=1).clip(0, 255).astype(np.uint8)


def test_lse_network(golden):
    """In float64: the features are as large as 90, where float32 alone is off by 2e-4 from one kernel to the next."""
    known, frames = arrays(golden, "syncnet_v2"), torch.from_numpy(lse_frames()).double()
    network, mfcc = fill(SyncNetV2()).double(), torch.from_numpy(known["mfcc"])
    for index in (0, 13, 24):
        audio, lip = network(mfcc[None, None, :, index * 4 : index * 4 + 20], frames[None, :, index : index + 5])
        assert difference(audio[0], known["aud"][index]) < TOLERANCE
        assert difference(lip[0], known["lip"][index]) < TOLERANCE


@pytest.mark.parametrize("network", [Wav2Lip, QualityDiscriminator, SyncNetColor, SyncNetV2, s3fd.S3FD])
def test_width_scales_the_inside_alone(network):
    with torch.device("meta"):
        whole, small = network(1.0).state_dict(), network(0.25).state_dict()
    assert list(whole) == list(small)
    count = {name: sum(t.numel() for t in state.values()) for name, state in (("whole", whole), ("small", small))}
    assert 0.05 < count["small"] / count["whole"] < 0.08  # a quarter of the channels on both sides: a sixteenth


@pytest.mark.parametrize(
    ("network", "inputs", "outputs"),
    [
        (Wav2Lip, [(2, 1, 80, 16), (2, 6, 96, 96)], [(2, 3, 96, 96)]),
        (QualityDiscriminator, [(2, 3, 5, 96, 96)], [(10, 1)]),
        (SyncNetColor, [(2, 1, 80, 16), (2, 15, 48, 96)], [(2, 64), (2, 64)]),
        (SyncNetV2, [(2, 1, 13, 20), (2, 3, 5, 224, 224)], [(2, 128), (2, 128)]),
    ],
)
def test_small_networks_run(network, inputs, outputs):
    made = network(0.125).eval()(*(torch.rand(shape) for shape in inputs))
    assert [tuple(out.shape) for out in (made if isinstance(made, tuple) else (made,))] == outputs


@pytest.mark.parametrize("width", [0, -1, 5])
def test_impossible_width(width):
    with pytest.raises(ParameterError, match="width"):
        Wav2Lip(width)
